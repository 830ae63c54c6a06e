// Flags, and parts of examples, that commands of several files have in common. What only one file's
// commands have stands there, beside what they run.
#ifndef VAULT_CMD_VAULTCTL_SHARED_FLAGS_H_
#define VAULT_CMD_VAULTCTL_SHARED_FLAGS_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "vault/cli/grammar.h"

namespace vault::ctl {

// --tenant, --programme, --purpose, --contact, --reason: of whatever touches a resident.
std::vector<cli::Flag> ContextFlags();
// --tenant or --log, which name a log.
std::vector<cli::Flag> LogFlags();
// --tenant and --service, of which one stands there.
std::vector<cli::Flag> OwnerFlags();
// A municipality that must be named; `help` opens what is said of it.
cli::Flag TenantFlag(absl::string_view help);
cli::Flag KeyVersionFlag();
cli::Flag EtagFlag();
// Of commands that begin a job: --detach, --dry-run, and --rate where the job has a rate.
cli::Flag DetachFlag();
cli::Flag DryRunFlag();
cli::Flag RateFlag();
// Sends what would be stopped here.
cli::Flag NoCheckFlag();

// How examples begin, by who has the role.
inline constexpr char kSecurity[] = "vaultctl --profile security.textproto ";
inline constexpr char kSecurity2[] = "vaultctl --profile security-2.textproto ";
inline constexpr char kManager[] = "vaultctl --profile manager.textproto ";
inline constexpr char kSupervisor[] = "vaultctl --profile supervisor.textproto ";
// The id of a job or an approval in examples.
inline constexpr char kExampleId[] = "00112233445566778899aabbccddeeff";

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_SHARED_FLAGS_H_
