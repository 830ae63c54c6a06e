// Guarded, locked memory for long-lived keys, allocated once (an allocation costs 50 µs) and cut
// into slots.
#ifndef VAULT_CRYPTO_KEY_ARENA_H_
#define VAULT_CRYPTO_KEY_ARENA_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/base/mutex.h"
#include "vault/crypto/crypto.h"

namespace vault::crypto {

// Thread-safe. Slots are 32 bytes; a slot's address is stable until it is freed.
class KeyArena {
 public:
  // RESOURCE_EXHAUSTED, with what to do (ulimit -l, LimitMEMLOCK), where the pages cannot be
  // locked: sodium_malloc alone succeeds unlocked, so the lock is checked.
  static absl::StatusOr<std::unique_ptr<KeyArena>> New(size_t slots);
  ~KeyArena();  // wipes
  KeyArena(const KeyArena&) = delete;
  KeyArena& operator=(const KeyArena&) = delete;

  // RESOURCE_EXHAUSTED when full. The slot is zeroed.
  absl::StatusOr<uint8_t*> Allocate() VAULT_EXCLUDES(mu_);
  // Wipes the slot and takes it back.
  void Free(uint8_t* slot) VAULT_EXCLUDES(mu_);

 private:
  KeyArena(uint8_t* base, size_t slots);

  uint8_t* const base_;
  const size_t slots_;
  Mutex mu_;
  std::vector<uint32_t> free_ VAULT_GUARDED_BY(mu_);
  std::vector<bool> used_ VAULT_GUARDED_BY(mu_);  // a slot given back twice aborts
};

}  // namespace vault::crypto

#endif  // VAULT_CRYPTO_KEY_ARENA_H_
