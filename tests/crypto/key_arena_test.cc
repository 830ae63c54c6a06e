#include "vault/crypto/key_arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"

namespace vault::crypto {
namespace {

using ::testing::HasSubstr;

bool IsZero(const uint8_t* slot) {
  for (size_t i = 0; i < kKeySize; ++i) {
    if (slot[i] != 0) return false;
  }
  return true;
}

// The kernel's flags of the mapping that holds `address` ("rd wr … lo … dd").
std::string MappingFlags(const void* address) {
  const uintptr_t wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(smaps, line)) {
    uintptr_t from, to;
    char dash;
    if (std::sscanf(line.c_str(), "%lx%c%lx", &from, &dash, &to) == 3 && dash == '-') {
      inside = from <= wanted && wanted < to;
    }
    if (inside && absl::StartsWith(line, "VmFlags:")) return absl::StrCat(line, " ");
  }
  return "";
}

TEST(KeyArenaTest, HandsOutDistinctZeroedSlots) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, KeyArena::New(100));
  std::set<uint8_t*> slots;
  for (int i = 0; i < 100; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(uint8_t* const slot, arena->Allocate());
    EXPECT_TRUE(IsZero(slot));
    std::memset(slot, i + 1, kKeySize);
    slots.insert(slot);
  }
  ASSERT_EQ(slots.size(), 100u);
  uint8_t* last = nullptr;
  for (uint8_t* slot : slots) {
    if (last != nullptr) EXPECT_GE(slot - last, static_cast<ptrdiff_t>(kKeySize));
    last = slot;
  }
}

TEST(KeyArenaTest, SaysWhenItIsFullAndGoesOnAfterAFree) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, KeyArena::New(2));
  VAULT_ASSERT_OK_AND_ASSIGN(uint8_t* const first, arena->Allocate());
  VAULT_ASSERT_OK(arena->Allocate());
  EXPECT_EQ(arena->Allocate().status().code(), absl::StatusCode::kResourceExhausted);
  std::memset(first, 0xff, kKeySize);
  arena->Free(first);
  EXPECT_TRUE(IsZero(first));
  VAULT_ASSERT_OK_AND_ASSIGN(uint8_t* const again, arena->Allocate());
  EXPECT_EQ(again, first);
}

TEST(KeyArenaTest, PagesAreLockedOutOfDumpsAndOutOfChildren) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, KeyArena::New(1000));
  std::vector<uint8_t*> slots;
  for (int i = 0; i < 1000; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(uint8_t* const slot, arena->Allocate());
    slots.push_back(slot);
  }
  for (uint8_t* slot : {slots.front(), slots.back()}) {
    const std::string flags = MappingFlags(slot);
    EXPECT_THAT(flags, HasSubstr(" lo "));
    EXPECT_THAT(flags, HasSubstr(" dd "));
    EXPECT_THAT(flags, HasSubstr(" dc "));
  }
}

// In a child: what New() says when nothing may be locked.
[[noreturn]] void PrintNewWithoutLocks() {
  struct rlimit none;
  none.rlim_cur = none.rlim_max = 0;
  if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) _exit(2);
  // The superuser may lock whatever the limit.
  if (geteuid() == 0 && setuid(65534) != 0) _exit(3);
  const absl::Status status = KeyArena::New(100).status();
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  _exit(status.code() == absl::StatusCode::kResourceExhausted ? 0 : 1);
}

// libsodium's own allocation succeeds there, unlocked.
TEST(KeyArenaTest, RefusesMemoryThatCannotBeLocked) {
  EXPECT_EXIT(PrintNewWithoutLocks(), ::testing::ExitedWithCode(0),
              "cannot lock 3200 bytes.*LimitMEMLOCK");
}

TEST(KeyArenaTest, AbortsOnASlotGivenBackTwiceOrNotItsOwn) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, KeyArena::New(4));
  VAULT_ASSERT_OK_AND_ASSIGN(uint8_t* const slot, arena->Allocate());
  EXPECT_DEATH(arena->Free(slot + 1), "broken invariant");
  EXPECT_DEATH(arena->Free(slot - kKeySize), "broken invariant");
  EXPECT_DEATH(arena->Free(slot + 4 * kKeySize), "broken invariant");
  arena->Free(slot);
  EXPECT_DEATH(arena->Free(slot), "broken invariant");
}

TEST(KeyArenaTest, ThreadsNeverShareASlot) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, KeyArena::New(8));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        absl::StatusOr<uint8_t*> slot = arena->Allocate();
        if (!slot.ok() || !IsZero(*slot)) {
          ++wrong;
          continue;
        }
        std::memset(*slot, t + 1, kKeySize);
        std::this_thread::yield();
        for (size_t b = 0; b < kKeySize; ++b) wrong += (*slot)[b] != t + 1;
        arena->Free(*slot);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace vault::crypto
