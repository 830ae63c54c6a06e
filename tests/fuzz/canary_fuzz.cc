// A fuzzer with a bug in it, a few branches deep: if this one does not crash, the others' silence
// says nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size >= 3 && data[0] == 'p') {
    if (data[1] == 'i') {
      if (data[2] == 'i') std::abort();
    }
  }
  return 0;
}
