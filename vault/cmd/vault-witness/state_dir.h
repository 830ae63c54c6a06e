// The folder in which a witness keeps what it cosigned. README.md has its files' form.
//
// Files are replaced whole (base/file.h), and an origin's first file is written before the list of
// origins names it. So a crash leaves the old state or the new one, and a file that is listed and
// missing was taken away.
#ifndef VAULT_CMD_VAULT_WITNESS_STATE_DIR_H_
#define VAULT_CMD_VAULT_WITNESS_STATE_DIR_H_

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/mutex.h"
#include "vault/base/secret.h"
#include "vault/cmd/vault-witness/witness.h"
#include "vault/tlog/note.h"

namespace vault::witness {

class StateDir : public StateStore {
 public:
  // Makes the folder, where there is none, and an empty state for the witness `key` in it.
  // ALREADY_EXISTS where it holds one; DATA_LOSS where it holds what one cosigned, without its
  // list; FAILED_PRECONDITION where another process has it.
  static absl::Status Init(const std::string& dir, const tlog::VerifierKey& key);
  // Locks the folder against other processes until this object goes. NOT_FOUND without a state;
  // FAILED_PRECONDITION where another process has it or it is another witness's; DATA_LOSS where
  // it is damaged, the list that is gone from beside its checkpoints included.
  static absl::StatusOr<std::unique_ptr<StateDir>> Open(const std::string& dir,
                                                        const tlog::VerifierKey& key);
  ~StateDir() override;

  // DATA_LOSS, naming the file, where one is damaged or missing.
  absl::StatusOr<std::map<std::string, std::string>> Load() override;
  absl::Status Put(const std::string& origin, const std::string& cosigned_note) override;

 private:
  StateDir(std::string dir, int lock_fd, const tlog::VerifierKey& key)
      : dir_(std::move(dir)), lock_fd_(lock_fd), key_(key) {}

  absl::Status ReadList();

  const std::string dir_;
  const int lock_fd_;
  const tlog::VerifierKey key_;
  Mutex mu_;
  std::set<std::string> origins_ VAULT_GUARDED_BY(mu_);  // as the list on disk
};

// The private key's file: one line of 64 hex digits, mode 0600. ALREADY_EXISTS rather than replace.
absl::Status CreateSeedFile(const std::string& path, const SecretBytes<32>& seed);
// FAILED_PRECONDITION where others than its owner can reach it.
absl::StatusOr<SecretBytes<32>> LoadSeedFile(const std::string& path);

}  // namespace vault::witness

#endif  // VAULT_CMD_VAULT_WITNESS_STATE_DIR_H_
