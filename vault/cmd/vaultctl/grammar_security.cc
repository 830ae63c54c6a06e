// The commands of whoever keeps keys, backups and the vault itself.
#include "absl/strings/str_cat.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/grammar.h"

namespace vault::ctl {
namespace {

constexpr char kSecurity[] = "vaultctl --profile security.textproto ";
constexpr char kSecurity2[] = "vaultctl --profile security-2.textproto ";
constexpr char kJob[] = "00112233445566778899aabbccddeeff";
constexpr char kDigest[] = "4f2a0c1d9e8b7a6655443322110ffeeddccbbaa99887766554433221100ffeed";

const Flag kDryRun = {"dry-run", "", "counts what it would do, and changes nothing"};

Flag VersionFlag() { return {"key-version", "N", "as keys status prints it (required)"}; }

Flag TenantFlag(absl::string_view help) {
  return {"tenant", "CODE", absl::StrCat(help, ", 6 digits (required)")};
}

std::string Example(absl::string_view profile, absl::string_view rest) {
  return absl::StrCat(profile, rest);
}

// What proposes something that takes two people.
std::vector<Command> ProposingCommands() {
  return {
      {"keys",
       "destroy",
       "",
       "propose that a version of a key be destroyed for good",
       "Another person approves it (approvals approve). A key goes at a counted zero: rotate "
       "first.\n",
       With(OwnerFlags(),
            {{"what", "KEY", "kek or index; with --service: storage or mac (required)"},
             VersionFlag(),
             NoCheckFlag()}),
       {Example(kSecurity, "keys destroy --tenant 131164 --what kek --key-version 1")},
       RunKeysDestroy},
      {"keys",
       "rotate-root",
       "",
       "propose that the keyring be sealed under the next root key",
       "The next root key stands beside the present one first: vaultd "
       "--create_root_key=root.key.next\n",
       {},
       {Example(kSecurity, "keys rotate-root")},
       RunKeysRotateRoot},
      {"keys",
       "attest-destroyed",
       "",
       "propose the statement that old copies of the keyring are gone",
       "Certificates of erasure say so from then on: no copy older than that exists outside the\n"
       "vault's own folders, or no root key that opens one.\n",
       {{"before-serial", "N", "copies of the keyring older than this serial (required)"},
        NoCheckFlag()},
       {Example(kSecurity, "keys attest-destroyed --before-serial 12")},
       RunKeysAttestDestroyed},
  };
}

}  // namespace

std::vector<Flag> OwnerFlags() {
  return {{"tenant", "CODE", "the municipality, 6 digits; or"},
          {"service", "", "the vault's own, instead of --tenant"}};
}

Flag DetachFlag() { return {"detach", "", "begins it and does not watch it: jobs watch does"}; }

Flag RateFlag() {
  return {"rate", "N",
          "at most so many a second; 0: as fast as it goes (default: what\n"
          "leaves lookups their time)"};
}

Flag NoCheckFlag() { return {"no-check", "", "sends what the vault would refuse", false, true}; }

std::vector<Command> KeyCommands() {
  std::vector<Command> commands = {
      {"keys",
       "status",
       "",
       "key versions, their states, how much is under each, by a scan",
       "",
       With(OwnerFlags(), {NoCheckFlag()}),
       {Example(kSecurity, "keys status --tenant 131164")},
       RunKeysStatus},
      {"keys",
       "rotate",
       "",
       "a new version of a key, and everything moved to it",
       "Lookups go on meanwhile; so does the job, when Ctrl-C ends the watching: jobs watch, jobs\n"
       "cancel. What was interrupted is taken up again by the same command.\n"
       "A log's new key takes two people: this proposes it, another person approves it (approvals\n"
       "approve), and it takes over at once, by a handover that both keys sign.\n",
       With(OwnerFlags(), {{"what", "KEY",
                            "kek (default): data keys are wrapped anew; dek: data keys and fields\n"
                            "anew; index: search tags anew; log: signs the log; with --service:\n"
                            "storage: the database's files; mac: what shows that rows and the\n"
                            "head were not changed; token: page tokens, of which those that are\n"
                            "out are refused; root: see keys rotate-root"},
                           kDryRun,
                           RateFlag(),
                           DetachFlag(),
                           {"compromised", "",
                            "with --what log: others may have the old key, so the service\n"
                            "log's key signs the handover as well"},
                           {"log", "service", "as --service, with --what log", false, true},
                           NoCheckFlag()}),
       {Example(kSecurity, "keys rotate --tenant 131164"),
        Example(kSecurity, "keys rotate --tenant 131164 --what index --dry-run"),
        Example(kSecurity, "keys rotate --service --what storage"),
        Example(kSecurity, "keys rotate --service --what mac"),
        Example(kSecurity, "keys rotate --what log --tenant 131164")},
       RunKeysRotate},
      {"keys",
       "compromised",
       "",
       "a version may be in other hands: move everything away from it",
       "Marks it for good and begins what moves everything away, as fast as it goes; keys under\n"
       "lists whom it concerns. Calls notice it: --rate, or jobs rate while it runs.\n",
       With(OwnerFlags(),
            {{"what", "KEY", "kek or index; with --service: storage, mac or token (required)"},
             VersionFlag(),
             {"rate", "N", "at most so many a second (default 0: as fast as it goes)"},
             NoCheckFlag()}),
       {Example(kSecurity, "keys compromised --tenant 131164 --what kek --key-version 1")},
       RunKeysCompromised},
      {"keys",
       "under",
       "",
       "the handles of residents that are under a version, one a line",
       "",
       {TenantFlag("the municipality"),
        {"what", "kek|dek|index", "which key (required)"},
        VersionFlag(),
        NoCheckFlag()},
       {Example(kSecurity, "keys under --tenant 131164 --what kek --key-version 1")},
       RunKeysUnder},
  };
  for (Command& command : ProposingCommands()) commands.push_back(std::move(command));
  return commands;
}

std::vector<Command> ApprovalCommands() {
  return {
      {"approvals",
       "list",
       "",
       "what waits for a second person",
       "",
       {{"all", "", "what was decided or has expired, too"}},
       {Example(kSecurity2, "approvals list")},
       RunApprovalsList},
      {"approvals",
       "show",
       "ID",
       "one proposal, what it would do now, and the digest of that",
       "",
       {NoCheckFlag()},
       {Example(kSecurity2, absl::StrCat("approvals show ", kJob))},
       RunApprovalsShow},
      {"approvals",
       "approve",
       "ID",
       "carry out what another person proposed",
       "Read first what approvals show prints: the digest says that you did. Nothing of it can be\n"
       "undone.\n",
       {{"effect", "DIGEST", "of what will be done, from approvals show (required)"},
        DetachFlag(),
        NoCheckFlag()},
       {Example(kSecurity2,
                absl::StrCat("approvals approve ", kJob, " \\\n      --effect ", kDigest))},
       RunApprovalsApprove},
      {"approvals",
       "withdraw",
       "ID",
       "take a proposal back, or turn one down",
       "",
       {NoCheckFlag()},
       {Example(kSecurity, absl::StrCat("approvals withdraw ", kJob))},
       RunApprovalsWithdraw},
      {"tenants",
       "offboard",
       "",
       "propose that all keys of a municipality be destroyed",
       "Another person approves it (approvals approve). From then on nothing of its residents can\n"
       "be read, in backups neither; its trail stays, and verifies.\n",
       {TenantFlag("the municipality that leaves"), NoCheckFlag()},
       {Example(kSecurity, "tenants offboard --tenant 141003")},
       RunTenantsOffboard},
  };
}

std::vector<Command> JobCommands() {
  const std::vector<Flag> of = With(OwnerFlags(), {NoCheckFlag()});
  return {
      {"jobs",
       "list",
       "",
       "jobs of a municipality or of the service, newest first",
       "",
       With(of, {{"limit", "N", "at most so many (default 100)"}}),
       {Example(kSecurity, "jobs list --tenant 131164")},
       RunJobsList},
      {"jobs",
       "show",
       "ID",
       "one job, as it is now",
       "",
       of,
       {Example(kSecurity, absl::StrCat("jobs show ", kJob, " --tenant 131164"))},
       RunJobsShow},
      {"jobs",
       "watch",
       "ID",
       "a job until its end; exit code 4 where it failed",
       "Ctrl-C ends the watching and leaves the job alone.\n",
       of,
       {Example(kSecurity, absl::StrCat("jobs watch ", kJob, " --service"))},
       RunJobsWatch},
      {"jobs",
       "cancel",
       "ID",
       "stop a job at its next step; what it has done stays",
       "",
       of,
       {Example(kSecurity, absl::StrCat("jobs cancel ", kJob, " --tenant 131164"))},
       RunJobsCancel},
      {"jobs",
       "rate",
       "ID N",
       "let a running job do at most N a second from now on; 0: as fast as it goes",
       "For rotations, retirements and off-boardings; a storage key's counts MiB.\n",
       of,
       {Example(kSecurity, absl::StrCat("jobs rate ", kJob, " 0 --tenant 131164"))},
       RunJobsRate},
  };
}

std::vector<Command> BackupCommands() {
  return {
      {"backup",
       "create",
       "",
       "make a backup of the database, and read it back",
       "Calls go on meanwhile. The keyring is copied to its own folder. Restoring is vaultd's:\n"
       "deploy/RUNBOOK.md.\n",
       {DetachFlag()},
       {Example(kSecurity, "backup create")},
       RunBackupCreate},
      {"backup",
       "verify",
       "N",
       "read a backup back, every row of it",
       "",
       {DetachFlag(), NoCheckFlag()},
       {Example(kSecurity, "backup verify 3")},
       RunBackupVerify},
      {"backup",
       "list",
       "",
       "backups, what is in them, and the keys they need",
       "",
       {},
       {Example(kSecurity, "backup list")},
       RunBackupList},
      {"backup",
       "delete",
       "N",
       "remove a backup for good",
       "",
       {NoCheckFlag()},
       {Example(kSecurity, "backup delete 1")},
       RunBackupDelete},
  };
}

std::vector<Command> VaultCommands() {
  return {
      {"vault",
       "status",
       "",
       "whether the vault is sealed: exit code 4 then",
       "",
       {},
       {Example(kSecurity, "status")},
       RunStatus,
       true},
      {"vault",
       "whoami",
       "",
       "who the vault takes you for: subject, role, municipalities",
       "",
       {},
       {Example(kSecurity, "whoami")},
       RunWhoami,
       true},
      {"vault",
       "seal",
       "",
       "wipe every key from the vault's memory, now",
       "Calls under way end, jobs stop and go on after the unseal. Whoever asks meanwhile is "
       "refused,\n"
       "and counted.\n",
       {},
       {Example(kSecurity, "seal")},
       RunSeal,
       true},
      {"vault",
       "unseal",
       "",
       "open a sealed vault again from its root key's file",
       "",
       {},
       {Example(kSecurity, "unseal")},
       RunUnseal,
       true},
  };
}

}  // namespace vault::ctl
