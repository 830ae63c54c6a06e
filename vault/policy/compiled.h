// What a PolicySet is made of once compiled; for policy.cc and compile.cc only.
#ifndef VAULT_POLICY_COMPILED_H_
#define VAULT_POLICY_COMPILED_H_

#include <re2/re2.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "vault/policy/policy.h"

namespace vault::policy {

inline constexpr int kActions = 28;
inline constexpr uint32_t Bit(Action action) { return 1u << static_cast<int>(action); }
inline constexpr uint32_t kResidentActions =
    Bit(Action::kResidentLookup) | Bit(Action::kResidentGet) | Bit(Action::kResidentCreate) |
    Bit(Action::kResidentUpdate) | Bit(Action::kResidentImport) | Bit(Action::kResidentErase) |
    Bit(Action::kResidentRetire);
inline constexpr uint32_t kAuditActions =
    Bit(Action::kAuditList) | Bit(Action::kAuditHead) | Bit(Action::kAuditVerify) |
    Bit(Action::kAuditCheckpoint) | Bit(Action::kAuditProve) | Bit(Action::kAuditExport);
inline constexpr uint32_t kKeyActions = Bit(Action::kKeyStatus) | Bit(Action::kKeyRotate) |
                                        Bit(Action::kKeyCompromise) | Bit(Action::kKeyList);
// The service's jobs are as its log is: of roles that have that.
inline constexpr uint32_t kJobActions = Bit(Action::kJobList) | Bit(Action::kJobCancel);
// About the service alone, whichever tenant is meant.
inline constexpr uint32_t kServiceActions =
    Bit(Action::kApprovalPropose) | Bit(Action::kApprovalList) | Bit(Action::kApprovalApprove) |
    Bit(Action::kBackupCreate) | Bit(Action::kBackupList) | Bit(Action::kBackupDelete) |
    Bit(Action::kVaultSeal) | Bit(Action::kVaultUnseal);
// Whoever operates the vault reads no resident.
inline constexpr uint32_t kOperateActions = kKeyActions | kServiceActions;
// What may be asked of the service's own log, and so without a tenant.
inline constexpr uint32_t kLogActions = kAuditActions | kKeyActions | kJobActions | kServiceActions;

using Views = std::array<View, kRecordClasses>;

struct PolicySet::CompiledRole {
  std::string rule;  // "role.<id>"
  uint32_t actions = 0;
  // Bits by FieldSpec::index.
  uint64_t search = 0;
  uint64_t change = 0;
  bool service_log = false;
  Attempts attempts;
  // By the index of the purpose, then by whether a reason was given. Everything that a decision can
  // disclose is worked out at load; Decide only picks.
  struct ForPurpose {
    bool allowed = false;
    std::array<Views, 2> views;
  };
  std::vector<ForPurpose> purposes;
};

struct PolicySet::Matcher {
  explicit Matcher(const std::string& pattern, const re2::RE2::Options& options)
      : re(pattern, options) {}
  re2::RE2 re;
};

// A contact reference is no longer than this, whatever the pattern says.
inline constexpr size_t kContactBytesMax = 64;

}  // namespace vault::policy

#endif  // VAULT_POLICY_COMPILED_H_
