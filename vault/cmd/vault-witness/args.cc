#include "vault/cmd/vault-witness/args.h"

#include <cstddef>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"
#include "vault/cli/help.h"
#include "vault/cli/visible.h"

namespace vault::witness {
namespace {

constexpr char kFlagFile[] = "--flagfile";

constexpr char kHelpBegins[] =
    R"(vault-witness: a witness of transparency logs (C2SP tlog-witness), for whoever wants to hold
a log to its word. It cosigns a log's checkpoint only if the log has grown from the one it cosigned
before, and keeps that one on disk before it answers.

  vault-witness keygen --name town.example/witness --out witness.key
      makes a private key (mode 0600) and prints the verifier key to give to the log's operator
  vault-witness vkey --name town.example/witness --key witness.key
      prints that verifier key again
  vault-witness --init --name town.example/witness --key witness.key --state DIR \
      --listen 127.0.0.1:8091 --log VKEY [--log VKEY ...]
      serves; --init at the very first start only

)";

constexpr char kHelpEnds[] =
    R"(
  POST <prefix>/add-checkpoint    for logs
  GET  <prefix>/healthz           its verifier key, and per log: origin, size, root, time (Unix)

It speaks plain HTTP: put a reverse proxy with TLS in front of it (nginx, Caddy, Apache), listen on
loopback, and let the proxy limit connections and rates.

SIGTERM stops it. Exit codes: 0 stopped, 1 cannot start (the message says why), 2 usage, 74 the
state could not be written.
)";

// Each may stand several times, and but for --log the last one counts: what stands behind
// --flagfile overrides what the file says. One file serves the commands as well as the server, so
// every command has all flags.
std::vector<cli::Flag> Flags() {
  return {
      {"name", "NAME", "the witness's name in its cosignatures", true},
      {"key", "FILE", "its private key; refused if others can read it", true},
      {"state", "DIR",
       "what it cosigned. Never put back an older copy of it: the witness would\n"
       "cosign a second history",
       true},
      {"init", "",
       "begins an empty state in DIR; refused where there is one, or what is left\n"
       "of one",
       true},
      {"log", "VKEY",
       "the verifier key of a log that is served; again for more logs, and for the\n"
       "next key of a log that changes its key",
       true},
      {"listen", "HOST:PORT", "default 127.0.0.1:0; port 0 takes a free one", true},
      {"prefix", "PATH", "in front of /add-checkpoint, such as /witness", true},
      {"address_file", "FILE", "gets HOST:PORT once it serves", true},
      {"flagfile", "FILE",
       "flags as above, one a line; empty lines and lines with # are passed over", true},
      {"out", "FILE", "of keygen: the file of the new key", true, true},
  };
}

struct Commands {
  const cli::Command serve = {"", "", "", "serves"};
  const cli::Command keygen = {"", "keygen", "", "makes a private key"};
  const cli::Command vkey = {"", "vkey", "", "prints its verifier key"};
};

cli::Grammar Build() {
  static const auto* const commands = new Commands();
  cli::Grammar grammar;
  grammar.program = "vault-witness";
  grammar.commands = {&commands->serve, &commands->keygen, &commands->vkey};
  grammar.global_flags = Flags();
  grammar.help_hint = "vault-witness --help shows them all";
  cli::CheckGrammar(grammar);
  return grammar;
}

const cli::Grammar& TheGrammar() {
  static const auto* const grammar = new cli::Grammar(Build());
  return *grammar;
}

// Appends the flags of the file, each as one word.
absl::Status ReadFlagFile(const std::string& path, std::vector<std::string>* words) {
  const std::string shown = cli::Visible(path);
  std::ifstream in(path);
  if (!in) return absl::InvalidArgumentError(absl::StrCat("cannot read the flag file ", shown));
  std::string line;
  while (std::getline(in, line)) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text[0] == '#') continue;
    // "--flag value" and "--flag=value": the first of '=' and white space ends the name.
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(text, absl::MaxSplits(absl::ByAnyChar("= \t"), 1));
    if (!absl::StartsWith(parts.first, "--") || parts.first == "--") {
      return absl::InvalidArgumentError(absl::StrCat("a line of ", shown, " is no flag"));
    }
    if (parts.first == kFlagFile) {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag ", kFlagFile, " in ", shown));
    }
    const cli::Flag* flag = cli::FindFlag(TheGrammar().global_flags, parts.first.substr(2));
    const absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    if (flag != nullptr && !flag->value.empty() && value.empty()) {
      // Else the next word of the command line would be its value.
      return absl::InvalidArgumentError(absl::StrCat(parts.first, " in ", shown, " wants a value"));
    }
    words->push_back(value.empty() ? parts.first : absl::StrCat(parts.first, "=", value));
  }
  if (in.bad()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read the flag file ", shown, " whole"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<cli::ParsedLine> ParseArgs(const std::vector<std::string>& line) {
  std::vector<std::string> words;
  bool flags_ended = false;
  for (size_t i = 0; i < line.size(); ++i) {
    absl::string_view path = line[i];
    flags_ended = flags_ended || line[i] == "--";
    if (flags_ended) {
      words.push_back(line[i]);
    } else if (absl::ConsumePrefix(&path, absl::StrCat(kFlagFile, "="))) {
      RETURN_IF_ERROR(ReadFlagFile(std::string(path), &words));
    } else if (line[i] == kFlagFile && i + 1 < line.size()) {
      RETURN_IF_ERROR(ReadFlagFile(line[++i], &words));
    } else {
      words.push_back(line[i]);
    }
  }
  return cli::ParseLine(TheGrammar(), words);
}

void PrintHelp(std::ostream& out) {
  out << kHelpBegins;
  cli::PrintFlags(Flags(), out);
  out << kHelpEnds;
}

}  // namespace vault::witness
