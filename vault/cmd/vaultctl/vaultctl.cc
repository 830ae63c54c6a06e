#include "vault/cmd/vaultctl/vaultctl.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "vault/cli/help.h"
#include "vault/cli/parser.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/text/text.h"

namespace vault::ctl {
namespace {

// A line that does not parse may have said how it wants its errors.
bool WantsJson(const std::vector<std::string>& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--output=json") return true;
    if (args[i] == "--output" && i + 1 < args.size() && args[i + 1] == "json") return true;
  }
  return false;
}

// " residents get", as far as it was recognised.
std::string HelpOf(const cli::ParsedLine& line) {
  if (line.command != nullptr) return absl::StrCat(" ", cli::CommandWords(*line.command));
  return line.group.empty() ? "" : absl::StrCat(" ", line.group);
}

}  // namespace

int RunVaultctl(const std::vector<std::string>& args, std::istream& in, std::ostream& out,
                std::ostream& err, Terminal terminal, const Connector& connector, Random& random) {
  const cli::Grammar& grammar = TheGrammar();
  const cli::ParsedLine line = cli::ParseLine(grammar, args);
  switch (line.want) {
    case cli::ParsedLine::Want::kHelp:
      cli::PrintHelp(grammar, line.group, line.command, out);
      return kDone;
    case cli::ParsedLine::Want::kVersion:
      out << "vaultctl " << VAULT_VERSION << "\n";
      return kDone;
    case cli::ParsedLine::Want::kError:
      err << ErrorText({"USAGE", line.error, line.hint, kBadInput}, WantsJson(args));
      if (!WantsJson(args)) err << "More: vaultctl help" << HelpOf(line) << "\n";
      return kBadInput;
    case cli::ParsedLine::Want::kRun:
      break;
  }
  Session session(*line.command, line.args, in, out, err, terminal, connector, random);
  const absl::Status flags = session.ReadGlobalFlags();
  if (!flags.ok()) return session.BadInput(flags);
  const bool utf8 = std::all_of(args.begin(), args.end(),
                                [](const std::string& word) { return text::IsUtf8(word); });
  if (session.check() && !utf8) {
    return session.BadInput(Wrong("the command line is not UTF-8",
                                  "set the terminal to UTF-8; iconv -f SHIFT_JIS converts files"));
  }
  const int ran = static_cast<const Command*>(line.command)->run(session);
  const int code = session.no_json_form() ? kVerificationFailed : ran;
  out.flush();
  if (out.good()) return code;
  return session.OutputFailed("standard output",
                              code == kDone ? "what was asked for was done"
                                            : "what was asked for was not, or not wholly, done");
}

}  // namespace vault::ctl
