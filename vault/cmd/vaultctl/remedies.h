// What to do about what the vault says, by its reason (google.rpc.ErrorInfo.reason, a job's
// failure) and, where the reason is POLICY, by the rule that refused.
#ifndef VAULT_CMD_VAULTCTL_REMEDIES_H_
#define VAULT_CMD_VAULTCTL_REMEDIES_H_

#include "absl/strings/string_view.h"

namespace vault::ctl {

// Empty where the message says by itself what is to be done.
absl::string_view RemedyFor(absl::string_view reason, absl::string_view rule = "");

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_REMEDIES_H_
