// C2SP tlog-checkpoint: the state of a log that its key vouches for; and tlog-proof, an entry's
// inclusion with the checkpoint that it leads to.
#ifndef VAULT_TLOG_CHECKPOINT_H_
#define VAULT_TLOG_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/note.h"

namespace vault::tlog {

struct Checkpoint {
  std::string origin;
  uint64_t size = 0;
  crypto::Digest root = {};
};

// Whether a log may go by this name: a note's name, and no statement's title (statement.h).
bool IsOrigin(absl::string_view text);

// origin "\n" size "\n" base64(root) "\n": the text that is signed.
std::string FormatCheckpoint(const Checkpoint& checkpoint);
// Strict, and without extension lines, size below 2^63: INVALID_ARGUMENT with the line.
absl::StatusOr<Checkpoint> ParseCheckpoint(absl::string_view text);

struct SignedCheckpoint {
  Checkpoint checkpoint;
  Note note;
};
// Parses note and text. Verifies nothing.
absl::StatusOr<SignedCheckpoint> ParseSignedCheckpoint(absl::string_view bytes);

// c2sp.org/tlog-proof@v1.
struct ProofFile {
  absl::optional<std::string> extra;  // bytes
  uint64_t index = 0;
  std::vector<crypto::Digest> hashes;  // the leaf's sibling first
  std::string checkpoint;              // the signed note, as it stands
};
std::string FormatProofFile(const ProofFile& proof);
// Strict; INVALID_ARGUMENT with the line. Verifies nothing, and leaves the checkpoint unread.
absl::StatusOr<ProofFile> ParseProofFile(absl::string_view bytes);

// A witness's request: "old <size>\n", base64 hashes one a line, "\n", the checkpoint.
struct AddCheckpointRequest {
  uint64_t old_size = 0;
  std::vector<crypto::Digest> proof;  // at most 63
  std::string checkpoint;             // the signed note, as it stands
};
std::string FormatAddCheckpoint(const AddCheckpointRequest& request);
// As ParseProofFile.
absl::StatusOr<AddCheckpointRequest> ParseAddCheckpoint(absl::string_view body);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_CHECKPOINT_H_
