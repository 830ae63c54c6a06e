// Randomness, as a thing that is passed in, so that a test can repeat a run.
#ifndef VAULT_BASE_RANDOM_H_
#define VAULT_BASE_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace vault {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  // Fills `size` bytes at `data`.
  virtual void Fill(void* data, size_t size) = 0;

  std::string Bytes(size_t size) {
    std::string out(size, '\0');
    Fill(out.data(), size);
    return out;
  }
};

// The kernel's generator through libsodium; lives for ever.
Random& SystemRandom();

}  // namespace vault

#endif  // VAULT_BASE_RANDOM_H_
