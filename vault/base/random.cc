#include "vault/base/random.h"

#include <sodium.h>

#include <cstdlib>

namespace vault {
namespace {

class SodiumRandom : public Random {
 public:
  SodiumRandom() {
    if (sodium_init() < 0) std::abort();
  }
  void Fill(void* data, size_t size) override { randombytes_buf(data, size); }
};

}  // namespace

Random& SystemRandom() {
  static SodiumRandom* const random = new SodiumRandom();
  return *random;
}

}  // namespace vault
