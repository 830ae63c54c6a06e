// vaultctl's command line: its groups, its commands in the order of the help, the flags of all.
#include <map>

#include "vault/cmd/vaultctl/commands.h"

namespace vault::ctl {
namespace {

cli::Grammar Build() {
  cli::Grammar grammar;
  grammar.program = "vaultctl";
  grammar.purpose =
      "store, find, change and erase residents, read and verify the trail, turn\n"
      "and destroy keys, give and stop seats, make backups";
  grammar.invocation = "vaultctl --profile FILE";
  grammar.nothing_hint = "vaultctl help shows them all";
  grammar.groups = {{"residents", "find, read, store, change and erase residents",
                     "Fields: vaultctl whoami names them, as the vault's schema has them.\n"},
                    {"audit", "who saw whom, when and why; is the trail whole", ""},
                    {"keys", "their state, their rotation, their end", ""},
                    {"approvals", "what takes two people", ""},
                    {"seats", "who may act in a programme, in which role, from when until when",
                     "SUBJECT is written operator-07 or urn:vault:operator-07. A seat's times are "
                     "Japan's.\n"},
                    {"tenants", "municipalities as a whole", ""},
                    {"jobs", "long work that the vault does by itself", ""},
                    {"backup", "backups of the database", ""},
                    {"vault", "the vault itself", ""}};
  for (const Command& command : AllCommands()) grammar.commands.push_back(&command);
  grammar.global_flags = {
      {"profile", "FILE", "where the vault is and who asks (or VAULT_PROFILE)"},
      {"token-file", "FILE",
       "a token of the identity provider, in one line: who asks through the\n"
       "profile's service; read again for each call"},
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
  grammar.exit_codes =
      "Exit codes\n"
      "  0  done\n"
      "  1  refused by policy\n"
      "  2  usage or bad input\n"
      "  3  not found\n"
      "  4  unreachable, sealed or busy, or its job failed: it may pass by itself\n"
      "  5  verification failed\n"
      "  6  not as things stand: retention, an approval that changed, a stale etag\n"
      "  7  the output could not be written; standard error says whether it was done\n";
  cli::CheckGrammar(grammar);
  return grammar;
}

}  // namespace

const std::vector<Command>& AllCommands() {
#define VAULT_CTL_MAKE(name) name(),
  static const auto* const commands = new std::vector<Command>{VAULT_CTL_COMMANDS(VAULT_CTL_MAKE)};
#undef VAULT_CTL_MAKE
  return *commands;
}

const cli::Grammar& TheGrammar() {
  static const cli::Grammar* const grammar = new cli::Grammar(Build());
  return *grammar;
}

}  // namespace vault::ctl
