#include "vault/tlog/checkpoint.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/lines.h"
#include "vault/tlog/statement.h"

namespace vault::tlog {
namespace {

constexpr absl::string_view kProofTitle = "c2sp.org/tlog-proof@v1";

void AppendHashes(const std::vector<crypto::Digest>& hashes, std::string* out) {
  VAULT_CHECK(hashes.size() <= kMaxProofHashes);
  for (const crypto::Digest& hash : hashes) {
    absl::StrAppend(out, Base64(crypto::AsView(hash)), "\n");
  }
}

// The rest is a signed note, which whoever verifies it parses.
absl::StatusOr<std::string> Rest(const LineReader& lines) {
  if (lines.AtEnd()) return lines.Error("is not followed by a checkpoint");
  return std::string(lines.rest());
}

}  // namespace

bool IsOrigin(absl::string_view text) {
  return IsNoteName(text) && text != kHandoverTitle && text != kPrunedTitle &&
         text != kErasureTitle;
}

std::string FormatCheckpoint(const Checkpoint& checkpoint) {
  VAULT_CHECK(IsOrigin(checkpoint.origin) && checkpoint.size <= kMaxTreeSize);
  return absl::StrCat(checkpoint.origin, "\n", checkpoint.size, "\n",
                      Base64(crypto::AsView(checkpoint.root)), "\n");
}

absl::StatusOr<Checkpoint> ParseCheckpoint(absl::string_view text) {
  LineReader lines("checkpoint", text);
  Checkpoint checkpoint;
  ASSIGN_OR_RETURN(const absl::string_view origin, lines.Line());
  if (!IsOrigin(origin)) return lines.Error("is no log's origin");
  checkpoint.origin = std::string(origin);
  ASSIGN_OR_RETURN(checkpoint.size, lines.Number(""));
  ASSIGN_OR_RETURN(checkpoint.root, lines.Hash(""));
  RETURN_IF_ERROR(lines.End());
  return checkpoint;
}

absl::StatusOr<SignedCheckpoint> ParseSignedCheckpoint(absl::string_view bytes) {
  SignedCheckpoint result;
  ASSIGN_OR_RETURN(result.note, ParseNote(bytes));
  ASSIGN_OR_RETURN(result.checkpoint, ParseCheckpoint(result.note.text));
  return result;
}

std::string FormatProofFile(const ProofFile& proof) {
  VAULT_CHECK(proof.index <= kMaxTreeSize);
  std::string bytes = absl::StrCat(kProofTitle, "\n");
  if (proof.extra.has_value()) absl::StrAppend(&bytes, "extra ", Base64(*proof.extra), "\n");
  absl::StrAppend(&bytes, "index ", proof.index, "\n");
  AppendHashes(proof.hashes, &bytes);
  absl::StrAppend(&bytes, "\n", proof.checkpoint);
  return bytes;
}

absl::StatusOr<ProofFile> ParseProofFile(absl::string_view bytes) {
  if (bytes.size() > kNoteBytesMax) return absl::InvalidArgumentError("proof: too long");
  LineReader lines("proof", bytes);
  ProofFile proof;
  ASSIGN_OR_RETURN(const absl::string_view title, lines.Line());
  if (title != kProofTitle) return lines.Error("is not that of a proof");
  if (lines.NextBeginsWith("extra ")) {
    ASSIGN_OR_RETURN(const absl::string_view text, lines.After("extra "));
    absl::StatusOr<std::string> extra = Unbase64(text);
    if (!extra.ok()) return lines.Error("is not in canonical base64");
    proof.extra = std::move(extra).value();
  }
  ASSIGN_OR_RETURN(proof.index, lines.Number("index "));
  ASSIGN_OR_RETURN(proof.hashes, lines.Hashes());
  ASSIGN_OR_RETURN(proof.checkpoint, Rest(lines));
  return proof;
}

std::string FormatAddCheckpoint(const AddCheckpointRequest& request) {
  VAULT_CHECK(request.old_size <= kMaxTreeSize);
  std::string body = absl::StrCat("old ", request.old_size, "\n");
  AppendHashes(request.proof, &body);
  absl::StrAppend(&body, "\n", request.checkpoint);
  return body;
}

absl::StatusOr<AddCheckpointRequest> ParseAddCheckpoint(absl::string_view body) {
  if (body.size() > kNoteBytesMax) return absl::InvalidArgumentError("add-checkpoint: too long");
  LineReader lines("add-checkpoint", body);
  AddCheckpointRequest request;
  ASSIGN_OR_RETURN(request.old_size, lines.Number("old "));
  ASSIGN_OR_RETURN(request.proof, lines.Hashes());
  ASSIGN_OR_RETURN(request.checkpoint, Rest(lines));
  return request;
}

}  // namespace vault::tlog
