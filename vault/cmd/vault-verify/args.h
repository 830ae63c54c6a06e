// The command line: vault-verify DIR [flags], vault-verify proof FILE [flags],
// vault-verify certificate FILE [flags], and its help.
#ifndef VAULT_CMD_VAULT_VERIFY_ARGS_H_
#define VAULT_CMD_VAULT_VERIFY_ARGS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "vault/tlog/note.h"

namespace vault::verify {

enum class Want { kLog, kProof, kCertificate, kHelp, kVersion, kError };

struct Args {
  Want want = Want::kError;
  // For kError: what is wrong, and what was probably meant.
  std::string error, hint;

  std::string path;  // the export's folder, or the proof's or certificate's file
  std::vector<tlog::VerifierKey> keys;
  absl::optional<tlog::VerifierKey> service_key;
  std::vector<tlog::VerifierKey> witness_keys;
  uint64_t witnesses_min = 0;
  std::vector<std::string> since;  // files
  std::string state, entry;        // files; empty: not given
  uint64_t size_min = 0;
  uint64_t retention_years = 5;  // what the vault itself keeps a trail for, unless it is told
  int threads = 0;
  bool json = false;
};

// `line` is without the program's name.
Args ParseArgs(const std::vector<std::string>& line);
void PrintHelp(std::ostream& out);

}  // namespace vault::verify

#endif  // VAULT_CMD_VAULT_VERIFY_ARGS_H_
