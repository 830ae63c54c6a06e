// A process's memory as /proc shows it, searched for byte strings: how the tests see that a key is
// there, and that it is not.
#ifndef VAULT_TESTS_E2E_PROCESS_MEMORY_H_
#define VAULT_TESTS_E2E_PROCESS_MEMORY_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::testing {

// What to look for, by the names that hits are called.
struct Needle {
  std::string label;
  std::string bytes;  // at least 16
};

struct MemoryHits {
  // A line a needle that was found: its label and the mappings it stands in, with a number each.
  std::vector<std::string> lines;
  std::vector<std::string> labels;  // ascending, each once
  uint64_t bytes_read = 0;
  // False where the memory may not be read: root, or CAP_SYS_PTRACE, is needed.
  bool readable = false;
};

enum class Mappings {
  kAll,     // every mapping that can be read
  kDumped,  // those that a core file holds: without VM_DONTDUMP ("dd" in smaps) and without files'
};
MemoryHits SearchMemory(pid_t pid, Mappings which, const std::vector<Needle>& needles);
// In a file, a core file for instance.
MemoryHits SearchFile(const std::string& path, const std::vector<Needle>& needles);

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_PROCESS_MEMORY_H_
