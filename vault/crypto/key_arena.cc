#include "vault/crypto/key_arena.h"

#include <sodium.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"

namespace vault::crypto {
namespace {

constexpr size_t kMaxSlots = 1 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<KeyArena>> KeyArena::New(size_t slots) {
  VAULT_CHECK(slots > 0 && slots <= kMaxSlots);
  Init();
  const size_t size = slots * kKeySize;
  uint8_t* const base = static_cast<uint8_t*>(sodium_malloc(size));
  if (base == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no guarded memory for keys (", size, " bytes)"));
  }
  // sodium_malloc does not say whether it could lock. The system call itself, because the
  // sanitizers replace mlock() by a function that always succeeds.
  if (syscall(SYS_mlock, base, size) != 0) {
    const int error = errno;
    sodium_free(base);
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot lock ", size, " bytes of memory for keys (", strerror(error),
                     "): raise the limit with `ulimit -l` or LimitMEMLOCK= in the systemd unit"));
  }
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  uint8_t* const first = base - reinterpret_cast<uintptr_t>(base) % page;
  const size_t length = (base + size - first + page - 1) / page * page;
  // A forked child and a core dump have no business with keys. Neither call fails on memory like
  // this one.
  VAULT_CHECK(madvise(first, length, MADV_DONTDUMP) == 0);
  VAULT_CHECK(madvise(first, length, MADV_DONTFORK) == 0);
  std::memset(base, 0, size);
  return std::unique_ptr<KeyArena>(new KeyArena(base, slots));
}

KeyArena::KeyArena(uint8_t* base, size_t slots) : base_(base), slots_(slots), used_(slots, false) {
  free_.reserve(slots);
  for (size_t i = slots; i > 0; --i) free_.push_back(static_cast<uint32_t>(i - 1));
}

KeyArena::~KeyArena() { sodium_free(base_); }

absl::StatusOr<uint8_t*> KeyArena::Allocate() {
  MutexLock lock(&mu_);
  if (free_.empty()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all ", slots_, " key slots are taken: start with more key memory"));
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  used_[index] = true;
  return base_ + size_t{index} * kKeySize;
}

void KeyArena::Free(uint8_t* slot) {
  MutexLock lock(&mu_);
  VAULT_CHECK(slot >= base_ && slot < base_ + slots_ * kKeySize);
  const size_t offset = static_cast<size_t>(slot - base_);
  VAULT_CHECK(offset % kKeySize == 0);
  const uint32_t index = static_cast<uint32_t>(offset / kKeySize);
  // A slot given back twice would end up with two keys.
  VAULT_CHECK(used_[index]);
  Wipe(slot, kKeySize);
  used_[index] = false;
  free_.push_back(index);
}

}  // namespace vault::crypto
