#include "vault/cmd/vault-verify/args.h"

#include <cstddef>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace vault::verify {
namespace {

constexpr uint64_t kThreadsMax = 256;
constexpr uint64_t kRetentionYearsMax = 100;

constexpr char kHelp[] =
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

Flags of DIR and proof
  --vkey V               the log's verifier key, from another source than the export (required);
                         may stand several times, or hold a line for each key the log has had
  --witness-vkey V       a witness whose cosignature is looked for; may stand several times
  --require-witnesses N  so many of them must have cosigned
  --min-size N           the size that the checkpoint states is at least this; entries that were
                         pruned count in it, though they are not here
  --output json          one JSON object instead of text

Flags for DIR
  --state FILE           remembers the checkpoint of each log that was found good, and holds the
                         log against it the next time; made by the first run
  --since FILE           a checkpoint kept from before that the log must go on from; may stand
                         several times
  --retention YEARS      for so long the contract keeps entries: a beginning that was pruned earlier
                         is broken (default 5; 0: not known)
  --service-vkey V       the service log's key, which vouches for a new key after a theft
  --threads N            instead of one a processor

Flags for proof
  --entry FILE           the entry's bytes, where the proof does not hold them
  A proof does not show when a key was replaced: one that a replaced key signed is taken at any
  size. Hold such a proof against an export that was verified: the entry must stand there too.

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

struct Flag {
  const char* name;
  const char* value;
  bool repeated;
  bool log, proof, certificate;  // where it may stand
};

constexpr Flag kFlags[] = {
    {"vkey", "V", true, true, true, true},
    {"witness-vkey", "V", true, true, true, false},
    {"require-witnesses", "N", false, true, true, false},
    {"min-size", "N", false, true, true, false},
    {"output", "json", false, true, true, true},
    {"state", "FILE", false, true, false, false},
    {"since", "FILE", true, true, false, false},
    {"retention", "YEARS", false, true, false, false},
    {"service-vkey", "V", false, true, false, false},
    {"threads", "N", false, true, false, false},
    {"entry", "FILE", false, false, true, false},
};

const Flag* FindFlag(absl::string_view name) {
  for (const Flag& flag : kFlags) {
    if (name == flag.name) return &flag;
  }
  return nullptr;
}

constexpr char kWhereKeysCome[] =
    "`vaultctl audit vkey --tenant CODE` prints it; take it from another source than the export";

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& line) : line_(line) {}

  Args Run() {
    for (size_t i = 0; i < line_.size() && error_.empty(); ++i) TakeWord(&i);
    if (args_.want == Want::kHelp || args_.want == Want::kVersion) return std::move(args_);
    if (line_ == std::vector<std::string>{"version"}) {
      args_.want = Want::kVersion;
      return std::move(args_);
    }
    if (line_ == std::vector<std::string>{"help"}) {
      args_.want = Want::kHelp;
      return std::move(args_);
    }
    if (error_.empty()) CheckWords();
    args_.want = what_;
    if (!error_.empty()) {
      args_.want = Want::kError;
      args_.error = error_;
      args_.hint = hint_;
    }
    return std::move(args_);
  }

 private:
  // The first thing that is wrong is the one that is told.
  void Fail(std::string error, std::string hint = "") {
    if (!error_.empty()) return;
    error_ = std::move(error);
    hint_ = std::move(hint);
  }

  void TakeWord(size_t* i) {
    const std::string& word = line_[*i];
    if (flags_ended_ || word.size() < 2 || word[0] != '-') {
      words_.push_back(word);
    } else if (word == "--") {
      flags_ended_ = true;
    } else if (word == "-h" || word == "--help") {
      args_.want = Want::kHelp;
    } else if (word == "--version" || word == "-V") {
      args_.want = Want::kVersion;
    } else if (!absl::StartsWith(word, "--")) {
      Fail("unknown flag", "flags start with two hyphens; vault-verify --help shows them");
    } else {
      TakeFlag(i);
    }
  }

  void TakeFlag(size_t* i) {
    const std::string& word = line_[*i];
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Flag* flag = FindFlag(name);
    if (flag == nullptr) {
      return Fail("unknown flag", "vault-verify --help shows them all");
    }
    std::string value;
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (*i + 1 < line_.size() && !absl::StartsWith(line_[*i + 1], "--")) {
      value = line_[++*i];
    }
    if (value.empty()) {
      return Fail(absl::StrCat("--", name, " wants a value: --", name, " ", flag->value),
                  flag->value == absl::string_view("V") ? kWhereKeysCome : "");
    }
    if (!given_.insert(name).second && !flag->repeated) {
      return Fail(absl::StrCat("--", name, " stands twice"));
    }
    TakeValue(name, value);
  }

  void TakeValue(const std::string& name, const std::string& value) {
    if (name == "vkey") {
      TakeKey(name, value, &args_.keys);
    } else if (name == "witness-vkey") {
      TakeKey(name, value, &args_.witness_keys);
    } else if (name == "service-vkey") {
      std::vector<tlog::VerifierKey> keys;
      TakeKey(name, value, &keys);
      if (keys.size() > 1) Fail("--service-vkey names one key");
      if (!keys.empty()) args_.service_key = keys[0];
    } else if (name == "require-witnesses") {
      TakeNumber(name, value, UINT32_MAX, &args_.witnesses_min);
    } else if (name == "min-size") {
      TakeNumber(name, value, UINT64_MAX, &args_.size_min);
    } else if (name == "retention") {
      TakeNumber(name, value, kRetentionYearsMax, &args_.retention_years);
    } else if (name == "threads") {
      uint64_t threads = 0;
      TakeNumber(name, value, kThreadsMax, &threads);
      if (threads == 0) Fail("--threads wants a number from 1 to 256");
      args_.threads = static_cast<int>(threads);
    } else if (name == "output") {
      if (value != "json" && value != "text") Fail("--output is json or text");
      args_.json = value == "json";
    } else if (name == "state") {
      args_.state = value;
    } else if (name == "since") {
      args_.since.push_back(value);
    } else {
      args_.entry = value;
    }
  }

  // One key, or several with a line each, as `vaultctl audit vkey` prints those of a log that has
  // had more than one.
  void TakeKey(const std::string& name, const std::string& value,
               std::vector<tlog::VerifierKey>* keys) {
    for (const absl::string_view line : absl::StrSplit(value, '\n', absl::SkipEmpty())) {
      absl::StatusOr<tlog::VerifierKey> key = tlog::ParseVerifierKey(line);
      if (!key.ok()) {
        return Fail(absl::StrCat("--", name, ": ", key.status().message()),
                    "a verifier key is one line: NAME+8 hex digits+base64, in quotes on the "
                    "command line");
      }
      keys->push_back(*std::move(key));
    }
  }

  void TakeNumber(const std::string& name, const std::string& value, uint64_t max,
                  uint64_t* number) {
    if (!absl::SimpleAtoi(value, number) || *number > max || value[0] == '-' || value[0] == '+') {
      Fail(absl::StrCat("--", name, " wants a whole number"));
    }
  }

  void CheckWords() {
    if (words_.size() > 1 && words_[0] == "proof") what_ = Want::kProof;
    if (words_.size() > 1 && words_[0] == "certificate") what_ = Want::kCertificate;
    if (what_ != Want::kLog) words_.erase(words_.begin());
    if (words_.empty()) return Fail("no folder given", "vault-verify DIR --vkey V");
    if (words_.size() > 1) {
      return Fail("a word too many",
                  "one folder, or `proof` or `certificate` and one file; spaces stand in quotes");
    }
    args_.path = words_[0];
    for (const std::string& name : given_) {
      const Flag* flag = FindFlag(name);
      if (what_ == Want::kLog     ? flag->log
          : what_ == Want::kProof ? flag->proof
                                  : flag->certificate) {
        continue;
      }
      Fail(absl::StrCat("--", name, " is no flag of ",
                        what_ == Want::kLog     ? "vault-verify DIR"
                        : what_ == Want::kProof ? "vault-verify proof"
                                                : "vault-verify certificate"));
    }
    if (args_.keys.empty()) {
      Fail("no --vkey given: without the log's key nothing is proved", kWhereKeysCome);
    }
  }

  const std::vector<std::string>& line_;
  Args args_;
  std::vector<std::string> words_;
  std::set<std::string> given_;
  std::string error_, hint_;
  bool flags_ended_ = false;
  Want what_ = Want::kLog;
};

}  // namespace

Args ParseArgs(const std::vector<std::string>& line) { return Parser(line).Run(); }

void PrintHelp(std::ostream& out) { out << kHelp; }

}  // namespace vault::verify
