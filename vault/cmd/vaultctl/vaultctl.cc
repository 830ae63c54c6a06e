#include "vault/cmd/vaultctl/vaultctl.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "vault/cmd/vaultctl/args.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/text/text.h"

namespace vault::ctl {

int RunVaultctl(const std::vector<std::string>& args, std::istream& in, std::ostream& out,
                std::ostream& err, bool terminal, const Connector& connector, Random& random) {
  const Grammar& grammar = TheGrammar();
  const ParsedLine line = ParseLine(grammar, args);
  switch (line.want) {
    case ParsedLine::Want::kHelp:
      PrintHelp(grammar, line.group, line.command, out);
      return kDone;
    case ParsedLine::Want::kVersion:
      out << "vaultctl " << VAULT_VERSION << "\n";
      return kDone;
    case ParsedLine::Want::kError:
      // The help first: the message is what stays in sight.
      PrintHelp(grammar, line.group, nullptr, err);
      err << "\nvaultctl: " << line.error << "\n";
      if (!line.hint.empty()) err << "hint: " << line.hint << "\n";
      return kBadInput;
    case ParsedLine::Want::kRun:
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
  return line.command->run(session);
}

}  // namespace vault::ctl
