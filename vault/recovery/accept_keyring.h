// The way on for a vault whose newest keyring is lost for good: an older copy is in its place, and
// the rollback anchor refuses it until an operator accepts it, on the stopped vault.
#ifndef VAULT_RECOVERY_ACCEPT_KEYRING_H_
#define VAULT_RECOVERY_ACCEPT_KEYRING_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/audit/sequencer.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::recovery {

struct AcceptedKeyring {
  uint64_t serial = 0;    // that the keyring goes on with, behind the lost one
  uint64_t expected = 0;  // of the keyring that the rollback anchor had recorded
};

// FAILED_PRECONDITION where the keyring that is there is the one that the rollback anchor knows, or
// a newer one. The keyring that is there gets the serial behind the lost one, so that the lost one
// is refused as an older copy should it turn up. After a crash before that serial is on the disk it
// is called again; after it the next start goes on by itself. The next start says so in the
// service's log.
absl::StatusOr<AcceptedKeyring> AcceptKeyring(store::Store* store, const std::string& anchor_path,
                                              keys::Keyring* keyring);

// At the start, before anything changes the keyring: the entry `keyring.accept` of the service's
// log (`version` the serial that was accepted, `count` that of the lost keyring), in one commit
// with the end of what AcceptKeyring left in the store.
absl::Status RecordAcceptedKeyring(const store::Store& store, const keys::Keyring& keyring,
                                   audit::Sequencer* sequencer);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_ACCEPT_KEYRING_H_
