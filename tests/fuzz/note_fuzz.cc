// The log's texts have one form each: whatever parses is written in the same bytes again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vault/base/logging.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"
#include "vault/tlog/tile.h"

namespace vault::tlog {
namespace {

void CheckTexts(absl::string_view text) {
  if (absl::StatusOr<Checkpoint> checkpoint = ParseCheckpoint(text); checkpoint.ok()) {
    VAULT_CHECK(FormatCheckpoint(*checkpoint) == text) << "the same checkpoint has two forms";
    VAULT_CHECK(!ParseHandover(text).ok() && !ParsePruned(text).ok())
        << "a checkpoint is a statement as well";
  }
  if (absl::StatusOr<Handover> handover = ParseHandover(text); handover.ok()) {
    VAULT_CHECK(FormatHandover(*handover) == text) << "the same handover has two forms";
    VAULT_CHECK(!ParsePruned(text).ok()) << "a handover says that a log was pruned";
  }
  if (absl::StatusOr<Pruned> pruned = ParsePruned(text); pruned.ok()) {
    VAULT_CHECK(FormatPruned(*pruned) == text) << "the same removal has two forms";
  }
  if (absl::StatusOr<ErasureCertificate> erased = ParseCertificate(text); erased.ok()) {
    VAULT_CHECK(FormatCertificate(*erased) == text) << "the same certificate has two forms";
    VAULT_CHECK(!ParseCheckpoint(text).ok()) << "a certificate is a checkpoint as well";
  }
}

void CheckNote(absl::string_view bytes) {
  absl::StatusOr<Note> note = ParseNote(bytes);
  if (!note.ok()) return;
  std::vector<std::string> lines;
  VerifierKey key;
  for (const NoteSignature& signature : note->signatures) {
    lines.push_back(signature.line);
    VAULT_CHECK(IsNoteName(signature.name) && !signature.bytes.empty());
    key.name = signature.name;
    VAULT_CHECK(!VerifyNote(*note, key).ok()) << "a key of zeros signs";
  }
  VAULT_CHECK(FormatNote(note->text, lines) == bytes) << "the same note has two forms";
  CheckTexts(note->text);
}

void CheckRequests(absl::string_view bytes) {
  if (absl::StatusOr<ProofFile> proof = ParseProofFile(bytes); proof.ok()) {
    VAULT_CHECK(FormatProofFile(*proof) == bytes) << "the same proof has two forms";
    CheckNote(proof->checkpoint);
  }
  if (absl::StatusOr<AddCheckpointRequest> request = ParseAddCheckpoint(bytes); request.ok()) {
    VAULT_CHECK(FormatAddCheckpoint(*request) == bytes) << "the same request has two forms";
    CheckNote(request->checkpoint);
  }
}

void CheckNames(absl::string_view text) {
  if (absl::StatusOr<VerifierKey> key = ParseVerifierKey(text); key.ok()) {
    VAULT_CHECK(key->Format() == text) << "the same key has two forms";
  }
  if (absl::StatusOr<TileId> tile = ParseTilePath(text); tile.ok()) {
    VAULT_CHECK(TilePath(*tile) == text) << "the same tile has two paths";
  }
}

// The first byte says how many entries there ought to be.
void CheckBundle(absl::string_view bytes) {
  if (bytes.empty()) return;
  const uint32_t width = static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  const auto entries = DecodeBundle(bytes, width);
  if (!entries.ok()) return;
  std::string again;
  for (absl::string_view entry : *entries) AppendToBundle(entry, &again);
  VAULT_CHECK(again == bytes) << "the same bundle has two forms";
}

}  // namespace
}  // namespace vault::tlog

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  vault::crypto::Init();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  vault::tlog::CheckTexts(input);
  vault::tlog::CheckNote(input);
  vault::tlog::CheckRequests(input);
  vault::tlog::CheckNames(input);
  vault::tlog::CheckBundle(input);
  return 0;
}
