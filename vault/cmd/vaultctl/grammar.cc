// The tables behind parsing and help: residents and the trail.
#include "vault/cmd/vaultctl/grammar.h"

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/cmd/vaultctl/commands.h"

namespace vault::ctl {
namespace {

constexpr char kUsage[] = "vaultctl --profile operator.textproto ";

std::vector<Flag> ContextFlags() {
  return {
      {"tenant", "CODE", "the municipality, 6 digits: 131164 豊島区 (required)"},
      {"purpose", "PURPOSE",
       "why: vaccination_booking, health_observation, correction,\nmigration, complaint or "
       "erasure (required)"},
      {"contact", "REF", "the call's or batch's opaque reference: C-1001 (required)"},
      {"reason", "CODE",
       "where the policy wants one: identity_check, read_back, mailing,\nsupervision"},
      NoCheckFlag(),
  };
}

std::vector<Flag> LogFlags() {
  return {
      {"tenant", "CODE", "the municipality whose log it is, 6 digits"},
      {"log", "service", "the service's own log, instead of --tenant"},
      NoCheckFlag(),
  };
}

const Flag kFields = {"fields", "A,B", "only these; one that is withheld refuses the whole call",
                      true};
const Flag kSet = {"set", "FIELD=VALUE",
                   "as often as needed; FIELD=@FILE takes the value from a file,\n"
                   "FIELD=@- from standard input",
                   true};
const Flag kRequestId = {"request-id", "ID",
                         "makes a repeated attempt safe (default: a new random one)"};

std::vector<Command> ResidentCommands() {
  return {
      {"residents",
       "lookup",
       "",
       "find residents by exact values, however they are written",
       "",
       With(ContextFlags(), {{"by", "FIELD=VALUE",
                              "1 to 4 times; a resident matches all of them; FIELD=@- takes the\n"
                              "value from standard input",
                              true},
                             kFields}),
       {absl::StrCat(kUsage,
                     "residents lookup --tenant 131164 \\\n"
                     "      --by phone=03-1234-5678 --purpose vaccination_booking "
                     "--contact C-1001")},
       RunResidentsLookup},
      {"residents",
       "get",
       "ID",
       "read one resident by its handle",
       "",
       With(ContextFlags(), {kFields}),
       {absl::StrCat(kUsage,
                     "residents get 00112233445566778899aabbccddeeff \\\n"
                     "      --tenant 131164 --fields name,kana --purpose "
                     "vaccination_booking --contact C-1001")},
       RunResidentsGet},
      {"residents",
       "create",
       "",
       "store a new resident",
       "",
       With(ContextFlags(), {kSet, kRequestId}),
       {"vaultctl --profile booking.textproto residents create --tenant 131164 \\\n"
        "      --set name=豊島花子 --set phone=03-1234-5678 --purpose migration --contact "
        "B-2026-11"},
       RunResidentsCreate},
      {"residents",
       "update",
       "ID",
       "change fields of a resident; an empty value removes one",
       "",
       With(ContextFlags(),
            {kSet, {"etag", "E", "only if this is still the resident's etag"}, kRequestId}),
       {"vaultctl --profile supervisor.textproto residents update "
        "00112233445566778899aabbccddeeff \\\n"
        "      --tenant 131164 --set phone=090-1234-5678 --purpose correction --contact C-1001"},
       RunResidentsUpdate},
      {"residents",
       "import",
       "FILE.csv",
       "store the residents of a CSV; a result for each row",
       "FILE may be a pipe, and - is standard input.\n"
       "The file is UTF-8; its first row names the fields; an empty cell is a field that is not "
       "there.\nWrong rows are reported as FILE:LINE: and left out, the good ones stand; exit code "
       "2 "
       "then.\nThe same import again stores only what is missing.\n",
       ContextFlags(),
       {"vaultctl --profile booking.textproto residents import residents.csv --tenant 131164 \\\n"
        "      --purpose migration --contact B-2026-11"},
       RunResidentsImport},
  };
}

const Flag kTo = {"to", "FILE", "the signed certificate goes to this file, a new one"};

// The end of a resident's data.
std::vector<Command> ErasureCommands() {
  return {
      {"residents",
       "erase",
       "ID",
       "erase a resident for good; prints the certificate",
       "The data key, the fields and the search tags go in one write with the entry. What old\n"
       "backups and keyrings still hold, and until when, the certificate says.\n",
       With(ContextFlags(), {kTo, {"etag", "E", "only if this is still the resident's etag"}}),
       {"vaultctl --profile officer.textproto residents erase 00112233445566778899aabbccddeeff "
        "\\\n"
        "      --tenant 131164 --purpose erasure --contact E-2026-7 --to erased.note"},
       RunResidentsErase},
      {"residents",
       "certificate",
       "ID",
       "the certificate of an erasure, as things stand now",
       "It is final once nobody can read the data any more, in old backups neither.\n",
       {{"tenant", "CODE", "the municipality, 6 digits (required)"}, kTo, NoCheckFlag()},
       {"vaultctl --profile officer.textproto residents certificate "
        "00112233445566778899aabbccddeeff \\\n"
        "      --tenant 131164 --to erased.note"},
       RunResidentsCertificate},
      {"residents",
       "retire",
       "",
       "erase the residents of a programme whose time is over",
       "Programmes and their ends stand in policies/tenants.textproto. Look with --dry-run "
       "first.\n",
       With(ContextFlags(), {{"programme", "ID", "the programme that has ended (required)"},
                             {"dry-run", "", "counts what it would do, and changes nothing"},
                             RateFlag(),
                             DetachFlag()}),
       {"vaultctl --profile officer.textproto residents retire --tenant 131164 \\\n"
        "      --programme vaccination-2026 --dry-run --purpose erasure --contact E-2026-8"},
       RunResidentsRetire},
  };
}

std::vector<Command> AuditCommands() {
  return {
      {"audit",
       "list",
       "",
       "entries that match, oldest first",
       "A time is 2026-11-02T09:00:00+09:00, or a day: 2026-11-02 begins at 00:00 UTC, which is "
       "09:00\nin Japan. --output raw prints the entries' bytes as they were hashed, one a line.\n",
       With(LogFlags(), {{"resident", "ID", "that touched this resident"},
                         {"actor", "SUBJECT", "by this subject: urn:vault:operator-toshima"},
                         {"action", "ACTION", "resident.get, resident.lookup, audit.list, …"},
                         {"decision", "D", "ALLOW or DENY"},
                         {"from", "T", "from this time on"},
                         {"to", "T", "before this time"},
                         {"limit", "N", "at most so many (default 100; 0: all)"},
                         {"page-size", "N", "one page of this size", false, true},
                         {"page-token", "TOKEN", "one page, from here", false, true}}),
       {"vaultctl --profile compliance.textproto audit list --tenant 131164 --decision DENY \\\n"
        "      --from 2026-11-01T00:00:00+09:00"},
       RunAuditList},
      {"audit",
       "head",
       "",
       "how long the log is, and its root",
       "",
       LogFlags(),
       {"vaultctl --profile compliance.textproto audit head --tenant 131164"},
       RunAuditHead},
      {"audit",
       "verify",
       "",
       "rehash the whole log from its first entry",
       "",
       LogFlags(),
       {"vaultctl --profile compliance.textproto audit verify --tenant 131164"},
       RunAuditVerify},
  };
}

// What leaves the vault so that an outsider can check it.
std::vector<Command> EvidenceCommands() {
  return {
      {"audit",
       "vkey",
       "",
       "the log's public key, for whoever verifies it",
       "One key a line, the oldest first; of a log whose key was changed there are several, and "
       "standard\nerror says which sizes each signs.\n",
       LogFlags(),
       {"vaultctl --profile compliance.textproto audit vkey --tenant 131164"},
       RunAuditVkey},
      {"audit",
       "checkpoint",
       "",
       "the log's size and root, signed; and how far its witnesses are",
       "Where FILE holds a checkpoint of the log already, it is replaced once it is proven that "
       "the\n"
       "log goes on from it: exit code 5 where it does not, and FILE stays.\n",
       With(LogFlags(), {{"out", "FILE", "the note goes to this file, not to standard output"},
                         {"cosigned", "", "the newest one that the most witnesses signed"}}),
       {"vaultctl --profile compliance.textproto audit checkpoint --tenant 131164 \\\n"
        "      --out 2026-11-02.checkpoint"},
       RunAuditCheckpoint},
      {"audit",
       "export",
       "",
       "the log as files that vault-verify and other tools check",
       "A later run into the same directory adds what is new, once it is proven that the log "
       "still\n"
       "begins with what is there: exit code 5 where it does not, and nothing is written then.\n"
       "Interrupted, it goes on where its files stop: by itself where the connection was lost, "
       "else\n"
       "by the same command.\n",
       With(LogFlags(),
            {{"out", "DIR", "the directory (required)"},
             {"cosigned", "", "up to the newest checkpoint that the most witnesses signed"}}),
       {"vaultctl --profile compliance.textproto audit export --tenant 131164 --out toshima-log"},
       RunAuditExport},
      {"audit",
       "prove",
       "",
       "that one entry is in the log: a .tlog-proof file",
       "The proof is checked before it is written, the checkpoint's signature is not: "
       "vault-verify\n"
       "proof does that, with the log's key.\n",
       With(LogFlags(), {{"seq", "N", "the entry's number, from 0 (required)"},
                         {"out", "FILE", "the file to write (required)"}}),
       {"vaultctl --profile compliance.textproto audit prove --tenant 131164 --seq 4711 \\\n"
        "      --out entry-4711.tlog-proof"},
       RunAuditProve},
      {"audit",
       "prune",
       "",
       "propose that entries whose time of retention is over be removed",
       "Another person approves it (approvals approve). The vault refuses what the retention does "
       "not\nallow. Entries go in whole bundles of 256, and a signed record says so: what remains\n"
       "verifies. What would go is printed; nothing goes before it is approved. Export the log "
       "first.\n",
       With(LogFlags(), {{"before", "DATE", "entries before this time (required)"}}),
       {"vaultctl --profile security.textproto audit prune --tenant 131164 \\\n"
        "      --before 2021-11-01"},
       RunAuditPrune},
  };
}

// The parser relies on one shape for one name.
void CheckShapes(const Grammar& grammar) {
  std::map<std::string, bool> takes_value;
  auto check = [&](const Flag& flag) {
    const auto added = takes_value.emplace(flag.name, !flag.value.empty());
    VAULT_CHECK(added.first->second == !flag.value.empty()) << flag.name << " has two shapes";
  };
  for (const Flag& flag : grammar.global_flags) check(flag);
  for (const Command& command : grammar.commands) {
    for (const Flag& flag : command.flags) check(flag);
  }
}

Grammar Build() {
  Grammar grammar;
  grammar.groups = {{"residents", "find, read, store, change and erase residents",
                     "Fields: vaultctl whoami names them, as the vault's schema has them.\n"},
                    {"audit", "who saw whom, when and why; is the trail whole", ""},
                    {"keys", "their state, their rotation, their end", ""},
                    {"approvals", "what takes two people", ""},
                    {"tenants", "municipalities as a whole", ""},
                    {"jobs", "long work that the vault does by itself", ""},
                    {"backup", "backups of the database", ""},
                    {"vault", "the vault itself", ""}};
  for (const std::vector<Command>& commands :
       {ResidentCommands(), ErasureCommands(), AuditCommands(), EvidenceCommands(), KeyCommands(),
        ApprovalCommands(), JobCommands(), BackupCommands(), VaultCommands()}) {
    grammar.commands.insert(grammar.commands.end(), commands.begin(), commands.end());
  }
  grammar.global_flags = {
      {"profile", "FILE", "where the vault is and who asks (or VAULT_PROFILE)"},
      {"output", "text|json",
       "json: the protos' JSON, one message a line; an error is one object\n"
       "on standard error, where nothing else stands, and nobody is asked:\n"
       "what cannot be undone wants --yes on a terminal"},
      {"timeout", "T",
       "longest wait for an answer: 30, 2m (default 10s; where it counts\n"
       "everything, and between two messages of a long work, 5m)"},
      {"yes", "", "does not ask, on a terminal, before what cannot be undone"},
      {"help", "", "this text"},
      {"version", "", "the version (-V)"},
  };
  CheckShapes(grammar);
  return grammar;
}

}  // namespace

std::vector<Flag> With(std::vector<Flag> flags, const std::vector<Flag>& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

const Grammar& TheGrammar() {
  static const Grammar* const grammar = new Grammar(Build());
  return *grammar;
}

}  // namespace vault::ctl
