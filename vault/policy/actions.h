// Every action that a policy can grant. A refusal's entry names the one that was asked for; entries
// of what was done may say more closely what it was (`audit.count`, `key.rotate.begin`): those
// names are their use case's.
//
// A new one is a line of this table (vault/usecases/README.md has the rest). Whatever holds for a
// group holds for it without a further word: which log it is asked of, what a role may have beside
// it (README.md).
#ifndef VAULT_POLICY_ACTIONS_H_
#define VAULT_POLICY_ACTIONS_H_

#include <bitset>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::policy {

enum class ActionGroup {
  kResident,  // reads or changes residents: wants a purpose and a contact, and has views
  kErasure,   // says what became of an erased resident, and discloses nothing else
  kAudit,     // asks the trail: of a tenant, or of the service for roles with service_log
  kKey,       // operates keys: of a tenant or of the service
  kJob,       // sees and stops jobs, as the log that they are in is seen
  kApproval,  // sees what waits for a second person, as the log that it is in is seen
  kSeats,     // gives, sees and stops the seats of a tenant
  kService,   // about the service alone, whichever tenant is meant
};

// X(enumerator, name, group)
#define VAULT_POLICY_ACTIONS(X)                           \
  X(kResidentLookup, "resident.lookup", kResident)        \
  X(kResidentGet, "resident.get", kResident)              \
  X(kResidentCreate, "resident.create", kResident)        \
  X(kResidentUpdate, "resident.update", kResident)        \
  X(kResidentImport, "resident.import", kResident)        \
  X(kResidentErase, "resident.erase", kResident)          \
  X(kResidentRetire, "resident.retire", kResident)        \
  X(kErasureCertificate, "erasure.certificate", kErasure) \
  X(kAuditList, "audit.list", kAudit)                     \
  X(kAuditHead, "audit.head", kAudit)                     \
  X(kAuditVerify, "audit.verify", kAudit)                 \
  X(kAuditCheckpoint, "audit.checkpoint", kAudit)         \
  X(kAuditProve, "audit.prove", kAudit)                   \
  X(kAuditExport, "audit.export", kAudit)                 \
  X(kKeyStatus, "key.status", kKey)                       \
  X(kKeyRotate, "key.rotate", kKey)                       \
  X(kKeyCompromise, "key.compromise", kKey)               \
  X(kKeyList, "key.list", kKey)                           \
  X(kJobList, "job.list", kJob)                           \
  X(kJobCancel, "job.cancel", kJob)                       \
  X(kKeyPropose, "key.propose", kService)                 \
  X(kKeyApprove, "key.approve", kService)                 \
  X(kApprovalList, "approval.list", kApproval)            \
  X(kSeatsList, "seats.list", kSeats)                     \
  X(kSeatsPropose, "seats.propose", kSeats)               \
  X(kSeatsApprove, "seats.approve", kSeats)               \
  X(kSeatsStop, "seats.stop", kSeats)                     \
  X(kBackupCreate, "backup.create", kService)             \
  X(kBackupList, "backup.list", kService)                 \
  X(kBackupDelete, "backup.delete", kService)             \
  X(kVaultSeal, "vault.seal", kService)                   \
  X(kVaultUnseal, "vault.unseal", kService)

enum class Action {
#define VAULT_POLICY_ENUMERATOR(id, name, group) id,
  VAULT_POLICY_ACTIONS(VAULT_POLICY_ENUMERATOR)
#undef VAULT_POLICY_ENUMERATOR
};

struct ActionSpec {
  absl::string_view name;
  ActionGroup group;
};
inline constexpr ActionSpec kActions[] = {
#define VAULT_POLICY_SPEC(id, name, group) {name, ActionGroup::group},
    VAULT_POLICY_ACTIONS(VAULT_POLICY_SPEC)
#undef VAULT_POLICY_SPEC
};
inline constexpr size_t kActionCount = sizeof(kActions) / sizeof(kActions[0]);

// "resident.lookup", …: as in policies and entries.
inline constexpr absl::string_view ActionName(Action action) {
  return kActions[static_cast<size_t>(action)].name;
}
inline constexpr ActionGroup GroupOf(Action action) {
  return kActions[static_cast<size_t>(action)].group;
}
// INVALID_ARGUMENT where there is none of this name.
absl::StatusOr<Action> ParseAction(absl::string_view name);

inline constexpr bool IsOfResidents(Action action) {
  return GroupOf(action) == ActionGroup::kResident;
}
inline constexpr bool IsOfTrail(Action action) { return GroupOf(action) == ActionGroup::kAudit; }
// Whoever operates the vault reads no resident (G12).
inline constexpr bool IsOperation(Action action) {
  return GroupOf(action) == ActionGroup::kKey || GroupOf(action) == ActionGroup::kService;
}
// What may be asked of the service's own log, and so without a tenant.
inline constexpr bool IsAskedOfLogs(Action action) {
  return GroupOf(action) != ActionGroup::kResident && GroupOf(action) != ActionGroup::kErasure &&
         GroupOf(action) != ActionGroup::kSeats;
}

// Any number of them.
class ActionSet {
 public:
  bool Has(Action action) const { return bits_[static_cast<size_t>(action)]; }
  void Add(Action action) { bits_.set(static_cast<size_t>(action)); }
  // Whether one of them is so.
  template <typename Predicate>
  bool Any(Predicate is) const {
    for (size_t i = 0; i < kActionCount; ++i) {
      if (bits_[i] && is(static_cast<Action>(i))) return true;
    }
    return false;
  }

 private:
  std::bitset<kActionCount> bits_;
};

}  // namespace vault::policy

#endif  // VAULT_POLICY_ACTIONS_H_
