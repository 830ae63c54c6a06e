// What a verifier remembers: of every log that it found good, the checkpoint. The file holds these
// signed notes as they stand, by origin, an empty line between them; with one log in it, it is that
// log's checkpoint, as any tool reads it.
//
//   ASSIGN_OR_RETURN(StateFile state, StateFile::Open("/var/lib/verify/state"));
//   ASSIGN_OR_RETURN(absl::optional<std::string> known, state.Find(origin));
//   …
//   RETURN_IF_ERROR(state.Remember(checkpoint_bytes, known));
#ifndef VAULT_CMD_VAULT_VERIFY_STATE_H_
#define VAULT_CMD_VAULT_VERIFY_STATE_H_

#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/cmd/vault-verify/files.h"

namespace vault::verify {

// By origin. DATA_LOSS unless it is what FormatState gives.
absl::StatusOr<std::map<std::string, std::string>> ParseState(absl::string_view bytes);
std::string FormatState(const std::map<std::string, std::string>& notes);

class StateFile {
 public:
  // The folder it lies in must exist; the file need not.
  static absl::StatusOr<StateFile> Open(const std::string& path);

  // The note kept of a log; nullopt where there is none. DATA_LOSS where the file is not what it
  // should be: it must not be taken for a first run. Its signature is for the caller to verify.
  absl::StatusOr<absl::optional<std::string>> Find(const std::string& origin) const;
  // Keeps a checkpoint that was found good against `known`, what Find gave. Where another process
  // has kept another one meanwhile, which this one was not compared with, that one stays: OK if it
  // is of the same tree, ABORTED if it is of the same size with another root, else
  // FAILED_PRECONDITION. UNKNOWN where it cannot be written.
  absl::Status Remember(const std::string& checkpoint,
                        const absl::optional<std::string>& known) const;

 private:
  StateFile(Folder folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}
  absl::StatusOr<std::map<std::string, std::string>> Load() const;

  Folder folder_;
  std::string name_;
};

}  // namespace vault::verify

#endif  // VAULT_CMD_VAULT_VERIFY_STATE_H_
