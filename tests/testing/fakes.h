// Fakes that tests share: a clock that is set, and randomness that repeats.
#ifndef VAULT_TESTS_TESTING_FAKES_H_
#define VAULT_TESTS_TESTING_FAKES_H_

#include <atomic>
#include <cstdint>
#include <random>

#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/base/status.h"

namespace vault::testing {

// Starts at 2026-11-02T03:04:05Z; wall and boot clocks move only when told to. Thread-safe.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixMicros(now_us_.load()); }
  absl::Duration SinceBoot() const override { return absl::Microseconds(boot_us_.load()); }
  // Both clocks go on.
  void Advance(absl::Duration d) {
    StepWall(d);
    boot_us_ += absl::ToInt64Microseconds(d);
  }
  // Somebody sets the wall clock.
  void StepWall(absl::Duration d) { now_us_ += absl::ToInt64Microseconds(d); }

 private:
  std::atomic<int64_t> now_us_{absl::ToUnixMicros(
      absl::FromCivil(absl::CivilSecond(2026, 11, 2, 3, 4, 5), absl::UTCTimeZone()))};
  std::atomic<int64_t> boot_us_{1000000};
};

// Repeats with its seed. Thread-safe. For tests only.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed = 1) : service_(seed) {}
  void Fill(void* data, size_t size) override {
    MutexLock lock(&mu_);
    for (size_t i = 0; i < size; ++i) static_cast<uint8_t*>(data)[i] = service_() & 0xff;
  }

 private:
  Mutex mu_;
  std::mt19937_64 service_ VAULT_GUARDED_BY(mu_);
};

// Matchers for absl::Status and StatusOr: EXPECT_TRUE(IsOk(x)) prints the status on failure.
#define VAULT_EXPECT_OK(expr)                                       \
  do {                                                              \
    auto vault_expect_status_ = ::vault::testing::ToStatus((expr)); \
    EXPECT_TRUE(vault_expect_status_.ok()) << vault_expect_status_; \
  } while (false)
#define VAULT_ASSERT_OK(expr)                                       \
  do {                                                              \
    auto vault_assert_status_ = ::vault::testing::ToStatus((expr)); \
    ASSERT_TRUE(vault_assert_status_.ok()) << vault_assert_status_; \
  } while (false)
// Declares `lhs` from a StatusOr, or fails the test.
#define VAULT_ASSERT_OK_AND_ASSIGN(lhs, expr) \
  VAULT_ASSERT_OK_AND_ASSIGN_(VAULT_CONCAT(vault_test_or_, __LINE__), lhs, expr)
#define VAULT_ASSERT_OK_AND_ASSIGN_(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  ASSERT_TRUE(tmp.ok()) << tmp.status();            \
  lhs = std::move(tmp).value()

inline absl::Status ToStatus(const absl::Status& s) { return s; }
template <typename T>
absl::Status ToStatus(const absl::StatusOr<T>& s) {
  return s.status();
}

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_FAKES_H_
