// audit vkey, checkpoint, prove: what a verifier needs that is not a whole export.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/files.h"
#include "vault/cmd/vaultctl/growth.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/note.h"
#include "vault/tlog/proof.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr absl::string_view kNothingChanged = "nothing was changed in the vault";

// Every key must be one, under the log's name: what is printed here is trusted from then on.
absl::Status CheckKeys(const api::ListVerifierKeysResponse& response) {
  if (response.keys().empty()) return absl::DataLossError("the vault has no key of this log");
  for (const api::LogKey& key : response.keys()) {
    const absl::StatusOr<tlog::VerifierKey> parsed = tlog::ParseVerifierKey(key.vkey());
    if (!parsed.ok() || parsed->name != response.origin()) {
      return absl::DataLossError("the vault sent a key that is none of this log's");
    }
  }
  return absl::OkStatus();
}

std::string RangeText(const api::LogKey& key) {
  if (key.last_size() == 0) return absl::StrCat(key.after_size() + 1, " and more");
  return absl::StrCat(key.after_size() + 1, " to ", key.last_size());
}

// One a line, however many there are: a script takes them as they come.
void PrintKeys(const api::ListVerifierKeysResponse& response, Session& session) {
  for (const api::LogKey& key : response.keys()) {
    session.out() << cli::Visible(key.vkey()) << "\n";
  }
  if (response.keys_size() < 2) return;
  for (const api::LogKey& key : response.keys()) {
    session.notes() << "sizes " << RangeText(key) << ": " << cli::Visible(key.vkey()) << "\n";
  }
}

absl::StatusOr<api::ProveInclusionRequest> BuildProve(const Session& session) {
  ASSIGN_OR_RETURN(api::ProveInclusionRequest request, OfLog<api::ProveInclusionRequest>(session));
  const absl::optional<uint64_t> seq = cli::ParseNumber(session.args().Get("seq"));
  if (!seq.has_value()) {
    return Wrong("--seq is missing, or no number", "the entry's number: --seq 0");
  }
  request.set_seq(*seq);
  if (session.args().Get("out").empty()) {
    return Wrong("--out is missing", "--out entry.tlog-proof");
  }
  return request;
}

void PrintWitnesses(const api::GetCheckpointResponse& response, std::ostream& out) {
  cli::Table table({"witness", "size", "behind", "time", "problem"});
  for (const api::WitnessStatus& witness : response.witnesses()) {
    const std::string time =
        witness.has_time() ? cli::TimeText(absl::FromUnixSeconds(witness.time().seconds())) : "-";
    table.AddRow({witness.name(), absl::StrCat(witness.size()), absl::StrCat(witness.behind()),
                  time, witness.problem()});
  }
  table.Flush(out);
}

// The proof as a file, once it is plain that it proves something.
absl::StatusOr<std::string> ProofFileOf(uint64_t seq, const api::ProveInclusionResponse& response) {
  const absl::StatusOr<tlog::SignedCheckpoint> signed_checkpoint =
      tlog::ParseSignedCheckpoint(response.checkpoint());
  if (!signed_checkpoint.ok()) return absl::DataLossError("the vault's checkpoint is none");
  tlog::ProofFile proof;
  proof.extra = response.entry();
  proof.index = seq;
  proof.checkpoint = response.checkpoint();
  for (const std::string& bytes : response.hashes()) {
    crypto::Digest hash;
    if (bytes.size() != hash.size()) return absl::DataLossError("the vault's proof is none");
    std::copy(bytes.begin(), bytes.end(), hash.begin());
    proof.hashes.push_back(hash);
  }
  const tlog::Checkpoint& checkpoint = signed_checkpoint->checkpoint;
  if (seq >= checkpoint.size ||
      !tlog::VerifyInclusion(seq, checkpoint.size, tlog::LeafHash(response.entry()), proof.hashes,
                             checkpoint.root)
           .ok()) {
    return absl::DataLossError("the vault's proof does not show that the entry is in its log");
  }
  return tlog::FormatProofFile(proof);
}

// A file that holds a checkpoint already is a verifier's memory: only what the log has shown to go
// on from it takes its place. kDone, or the exit code, and the file stays.
int CheckKept(Session& session, const std::string& log, const std::string& path,
              const tlog::Checkpoint& now) {
  const absl::StatusOr<std::string> bytes = ReadRegularFile(path, tlog::kNoteBytesMax);
  if (absl::IsNotFound(bytes.status())) return kDone;
  if (!bytes.ok()) return session.BadInput(bytes.status());
  const absl::StatusOr<tlog::SignedCheckpoint> kept = tlog::ParseSignedCheckpoint(*bytes);
  if (!kept.ok()) {
    return session.BadInput(Wrong(
        absl::StrCat(cli::Visible(path), " is there and holds no checkpoint"), "name a new file"));
  }
  const tlog::Checkpoint& old = kept->checkpoint;
  if (old.origin != now.origin) {
    return session.BadInput(Wrong(
        absl::StrCat(cli::Visible(path), " holds another log's checkpoint"), "name a new file"));
  }
  if (session.args().Has("cosigned") && now.size < old.size) {
    return session.BadInput(
        Wrong(absl::StrCat(cli::Visible(path), " holds a newer checkpoint than witnesses signed"),
              "name a new file, or wait for the witnesses"));
  }
  return CheckGrowth(session, log, old, now);
}

}  // namespace

static int RunAuditVkey(Session& session) {
  api::ListVerifierKeysResponse response;
  const int code = session.Ask(&api::AuditService::Stub::ListVerifierKeys,
                               OfLog<api::ListVerifierKeysRequest>(session), &response);
  if (code != kDone) return code;
  const absl::Status good = CheckKeys(response);
  if (!good.ok()) return session.Failed(good);
  session.Print(response,
                [&](const api::ListVerifierKeysResponse&) { PrintKeys(response, session); });
  return kDone;
}

Command AuditVkey() {
  return {
      {"audit",
       "vkey",
       "",
       "the log's public key, for whoever verifies it",
       "One key a line, the oldest first; of a log whose key was changed there are several, and "
       "standard\nerror says which sizes each signs.\n",
       LogFlags(),
       {"vaultctl --profile compliance.textproto audit vkey --tenant 131164"}},
      RunAuditVkey};
}

static int RunAuditCheckpoint(Session& session) {
  const absl::StatusOr<api::GetCheckpointRequest> request =
      OfLog<api::GetCheckpointRequest>(session);
  api::GetCheckpointResponse response;
  const int asked = session.Ask(&api::AuditService::Stub::GetCheckpoint, request, &response);
  if (asked != kDone) return asked;
  const bool cosigned = session.args().Has("cosigned");
  const std::string& note = cosigned ? response.cosigned() : response.checkpoint();
  if (cosigned && note.empty()) {
    return session.Fail({"NOT_FOUND", "not found: no witness has signed this log", "", kNotFound});
  }
  const absl::StatusOr<tlog::SignedCheckpoint> parsed = tlog::ParseSignedCheckpoint(note);
  if (!parsed.ok()) return session.Failed(absl::DataLossError("the vault's checkpoint is none"));
  const std::string path = session.args().Get("out");
  if (!path.empty()) {
    const int code = CheckKept(session, request->log_id(), path, parsed->checkpoint);
    if (code != kDone) return code;
    const absl::Status written = WriteFileAtomically(path, note);
    if (!written.ok()) return session.OutputFailed(written.message(), kNothingChanged);
  }
  if (session.json()) {
    session.PrintJson(response);
  } else if (path.empty()) {
    // The note alone, so that it can go into a file.
    session.out() << note;
    PrintWitnesses(response, session.notes());
  } else {
    session.out() << "checkpoint of " << parsed->checkpoint.size << " entries in "
                  << cli::Visible(path) << "\n";
    PrintWitnesses(response, session.out());
  }
  return kDone;
}

Command AuditCheckpoint() {
  return {
      {"audit",
       "checkpoint",
       "",
       "the log's size and root, signed; and how far its witnesses are",
       "Where FILE holds a checkpoint of the log already, it is replaced once it is proven that "
       "the\n"
       "log goes on from it: exit code 5 where it does not, and FILE stays.\n",
       cli::With(LogFlags(), {{"out", "FILE", "the note goes to this file, not to standard output"},
                              {"cosigned", "", "the newest one that the most witnesses signed"}}),
       {"vaultctl --profile compliance.textproto audit checkpoint --tenant 131164 \\\n"
        "      --out 2026-11-02.checkpoint"}},
      RunAuditCheckpoint};
}

static int RunAuditProve(Session& session) {
  const absl::StatusOr<api::ProveInclusionRequest> request = BuildProve(session);
  api::ProveInclusionResponse response;
  const int code = session.Ask(&api::AuditService::Stub::ProveInclusion, request, &response);
  if (code != kDone) return code;
  const absl::StatusOr<std::string> file = ProofFileOf(request->seq(), response);
  if (!file.ok()) return session.Failed(file.status());
  const std::string path = session.args().Get("out");
  const absl::Status written = WriteFileAtomically(path, *file);
  if (!written.ok()) return session.OutputFailed(written.message(), kNothingChanged);
  session.Print(response, [&](const api::ProveInclusionResponse&) {
    session.out() << "proof of entry " << request->seq() << " in " << cli::Visible(path) << "\n";
  });
  return kDone;
}

Command AuditProve() {
  return {{"audit",
           "prove",
           "",
           "that one entry is in the log: a .tlog-proof file",
           "The proof is checked before it is written, the checkpoint's signature is not: "
           "vault-verify\n"
           "proof does that, with the log's key.\n",
           cli::With(LogFlags(), {{"seq", "N", "the entry's number, from 0 (required)"},
                                  {"out", "FILE", "the file to write (required)"}}),
           {"vaultctl --profile compliance.textproto audit prove --tenant 131164 --seq 4711 \\\n"
            "      --out entry-4711.tlog-proof"}},
          RunAuditProve};
}

}  // namespace vault::ctl
