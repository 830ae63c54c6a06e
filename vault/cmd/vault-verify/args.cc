#include "vault/cmd/vault-verify/args.h"

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "vault/cli/help.h"
#include "vault/cli/parser.h"
#include "vault/cli/words.h"

namespace vault::verify {
namespace {

constexpr uint64_t kThreadsMax = 256;
constexpr uint64_t kRetentionYearsMax = 100;

constexpr char kHelpBegins[] =
    R"help(vault-verify: checks an exported log, one entry's proof, or an erasure's certificate,
with nothing but a public key

Usage: vault-verify DIR --vkey V [flags]
       vault-verify proof FILE --vkey V [flags]
       vault-verify certificate FILE --vkey V [--output json]

  DIR     what `vaultctl audit export` wrote: every entry, every hash and every signature is
          checked, and that the log is still the one that was seen before
  FILE    what `vaultctl audit prove` wrote: that one entry stands in the log
          what `vaultctl residents certificate` wrote: that the log's key signed it, and that its
          words and its status follow from its facts; whether the erasure is final is said, and no
          matter of the exit code

)help";

constexpr char kProofNotes[] =
    "  A proof does not show when a key was replaced: one that a replaced key signed is taken at "
    "any\n"
    "  size. Hold such a proof against an export that was verified: the entry must stand there "
    "too.\n";

constexpr char kHelpEnds[] =
    R"help(
Examples
  vault-verify export/131164 --vkey "$(cat 131164.vkey)" --state verified
  vault-verify export/131164 --vkey "$(cat 131164.vkey)" --since checkpoint-2026-11
  vault-verify proof entry-17.tlog-proof --vkey "$(cat 131164.vkey)"
  vault-verify certificate erasure.txt --vkey "$(cat 131164.vkey)"

Exit codes
  0  good                            正常
  1  broken                          異常
  2  usage; a file that is not there or cannot be written; a file of your own (--state, --since)
     that is damaged, or was changed by another run meanwhile: no verdict
  3  rolled back or truncated, or    巻き戻し、または欠落
     pruned beyond what --state or --since needs to be compared
  4  forked: another history         分岐
)help";

constexpr char kWhereKeysCome[] =
    "`vaultctl audit vkey --tenant CODE` prints it; take it from another source than the export";

// None of them may be empty: a variable of a script that was never set is no value.
cli::Flag Filled(std::string name, std::string value, std::string help, bool repeated = false) {
  cli::Flag flag = {std::move(name), std::move(value), std::move(help), repeated};
  flag.filled = true;
  if (flag.value == "V") flag.source = kWhereKeysCome;
  return flag;
}

cli::Flag VkeyFlag() {
  return Filled("vkey", "V",
                "the log's verifier key, from another source than the export (required);\n"
                "may stand several times, or hold a line for each key the log has had",
                true);
}

cli::Flag OutputFlag() { return Filled("output", "json", "one JSON object instead of text"); }

// Of a whole log, and of a proof.
std::vector<cli::Flag> SharedFlags() {
  return {VkeyFlag(),
          Filled("witness-vkey", "V",
                 "a witness whose cosignature is looked for; may stand several times", true),
          Filled("require-witnesses", "N", "so many of them must have cosigned"),
          Filled("min-size", "N",
                 "the size that the checkpoint states is at least this; entries that were\n"
                 "pruned count in it, though they are not here"),
          OutputFlag()};
}

std::vector<cli::Flag> LogFlags() {
  return {Filled("state", "FILE",
                 "remembers the checkpoint of each log that was found good, and holds the\n"
                 "log against it the next time; made by the first run"),
          Filled("since", "FILE",
                 "a checkpoint kept from before that the log must go on from; may stand\n"
                 "several times",
                 true),
          Filled("retention", "YEARS",
                 "for so long the contract keeps entries: a beginning that was pruned earlier\n"
                 "is broken (default 5; 0: not known)"),
          Filled("service-vkey", "V",
                 "the service log's key, which vouches for a new key after a theft"),
          Filled("threads", "N", "instead of one a processor")};
}

std::vector<cli::Flag> ProofFlags() {
  return {Filled("entry", "FILE", "the entry's bytes, where the proof does not hold them")};
}

struct Commands {
  const cli::Command log = {
      "", "", "DIR", "checks an exported log", "", cli::With(SharedFlags(), LogFlags())};
  const cli::Command proof = {
      "", "proof", "FILE", "checks one entry's proof", "", cli::With(SharedFlags(), ProofFlags())};
  const cli::Command certificate = {
      "", "certificate", "FILE", "checks an erasure's certificate", "", {VkeyFlag(), OutputFlag()}};
};

const Commands& TheCommands() {
  static const auto* const commands = new Commands();
  return *commands;
}

cli::Grammar Build() {
  cli::Grammar grammar;
  grammar.program = "vault-verify";
  grammar.commands = {&TheCommands().log, &TheCommands().proof, &TheCommands().certificate};
  grammar.nothing_given = "no folder given";
  grammar.nothing_hint = "vault-verify DIR --vkey V";
  grammar.help_hint = "vault-verify --help shows them all";
  grammar.words_hint =
      "one folder, or `proof` or `certificate` and one file; spaces stand in quotes";
  cli::CheckGrammar(grammar);
  return grammar;
}

const cli::Grammar& TheGrammar() {
  static const auto* const grammar = new cli::Grammar(Build());
  return *grammar;
}

// What the flags' values mean; the first that is wrong is the one that is told.
class ValueReader {
 public:
  ValueReader(const cli::Args& given, Args* args) : given_(given), args_(*args) {}

  void Run() {
    args_.path = given_.operands()[0];
    ReadKeys("vkey", &args_.keys);
    ReadKeys("witness-vkey", &args_.witness_keys);
    std::vector<tlog::VerifierKey> service;
    ReadKeys("service-vkey", &service);
    if (service.size() > 1) Fail("--service-vkey names one key");
    if (!service.empty()) args_.service_key = service[0];
    ReadNumber("require-witnesses", UINT32_MAX, &args_.witnesses_min);
    ReadNumber("min-size", UINT64_MAX, &args_.size_min);
    ReadNumber("retention", kRetentionYearsMax, &args_.retention_years);
    uint64_t threads = 0;
    ReadNumber("threads", kThreadsMax, &threads);
    if (given_.Has("threads") && threads == 0) Fail("--threads wants a number from 1 to 256");
    args_.threads = static_cast<int>(threads);
    const std::string output = given_.Get("output", "text");
    if (output != "json" && output != "text") Fail("--output is json or text");
    args_.json = output == "json";
    args_.state = given_.Get("state");
    args_.since = given_.GetAll("since");
    args_.entry = given_.Get("entry");
    if (args_.keys.empty()) {
      Fail("no --vkey given: without the log's key nothing is proved", kWhereKeysCome);
    }
  }

 private:
  void Fail(std::string error, std::string hint = "") {
    if (!args_.error.empty()) return;
    args_.want = Want::kError;
    args_.error = std::move(error);
    args_.hint = std::move(hint);
  }

  // One key, or several with a line each, as `vaultctl audit vkey` prints those of a log that has
  // had more than one.
  void ReadKeys(const std::string& flag, std::vector<tlog::VerifierKey>* keys) {
    for (const std::string& value : given_.GetAll(flag)) {
      for (const absl::string_view line : absl::StrSplit(value, '\n', absl::SkipEmpty())) {
        absl::StatusOr<tlog::VerifierKey> key = tlog::ParseVerifierKey(line);
        if (!key.ok()) {
          return Fail(absl::StrCat("--", flag, ": ", key.status().message()),
                      "a verifier key is one line: NAME+8 hex digits+base64, in quotes on the "
                      "command line");
        }
        keys->push_back(*std::move(key));
      }
    }
  }

  void ReadNumber(const std::string& flag, uint64_t max, uint64_t* number) {
    if (!given_.Has(flag)) return;
    const absl::optional<uint64_t> read = cli::ParseNumber(given_.Get(flag), max);
    if (!read.has_value()) return Fail(absl::StrCat("--", flag, " wants a whole number"));
    *number = *read;
  }

  const cli::Args& given_;
  Args& args_;
};

Want WantOf(const cli::ParsedLine& line) {
  switch (line.want) {
    case cli::ParsedLine::Want::kHelp:
      return Want::kHelp;
    case cli::ParsedLine::Want::kVersion:
      return Want::kVersion;
    case cli::ParsedLine::Want::kError:
      return Want::kError;
    case cli::ParsedLine::Want::kRun:
      break;
  }
  if (line.command == &TheCommands().proof) return Want::kProof;
  return line.command == &TheCommands().certificate ? Want::kCertificate : Want::kLog;
}

}  // namespace

Args ParseArgs(const std::vector<std::string>& line) {
  const cli::ParsedLine parsed = cli::ParseLine(TheGrammar(), line);
  Args args;
  args.want = WantOf(parsed);
  args.error = parsed.error;
  args.hint = parsed.hint;
  if (parsed.want == cli::ParsedLine::Want::kRun) ValueReader(parsed.args, &args).Run();
  return args;
}

void PrintHelp(std::ostream& out) {
  const std::vector<cli::Flag> all = cli::With(cli::With(SharedFlags(), LogFlags()), ProofFlags());
  out << kHelpBegins << "Flags of DIR and proof\n";
  cli::PrintFlags(SharedFlags(), out, 2, all);
  out << "\nFlags for DIR\n";
  cli::PrintFlags(LogFlags(), out, 2, all);
  out << "\nFlags for proof\n";
  cli::PrintFlags(ProofFlags(), out, 2, all);
  out << kProofNotes << kHelpEnds;
}

}  // namespace vault::verify
