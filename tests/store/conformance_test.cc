#include "tests/store/conformance.h"

#include <memory>
#include <string>

#include "tests/store/temp_dir.h"
#include "tests/store/test_cipher.h"
#include "vault/store/memory_store.h"
#include "vault/store/rocksdb_store.h"

namespace vault::store {
namespace {

class MemoryHarness : public StoreHarness {
 public:
  absl::StatusOr<std::unique_ptr<Store>> Open() override { return NewMemoryStore(); }
  bool durable() const override { return false; }
};

class RocksDbHarness : public StoreHarness {
 public:
  explicit RocksDbHarness(size_t write_buffer_bytes) {
    options_.path = dir_.path() + "/db";
    options_.create = true;
    options_.cipher = &cipher_;
    options_.write_buffer_bytes = write_buffer_bytes;
    // Some of the suite's keys and scans fall into groups, most do not: no scan may tell.
    options_.group_begin = "b";
    options_.group_length = 2;
  }
  absl::StatusOr<std::unique_ptr<Store>> Open() override { return OpenRocksDb(options_); }
  bool durable() const override { return true; }

 private:
  TempDir dir_;
  TestCipher cipher_;
  RocksDbOptions options_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreConformance,
    ::testing::Values(
        StoreCase{"Memory", [] { return std::make_unique<MemoryHarness>(); }},
        StoreCase{"RocksDb", [] { return std::make_unique<RocksDbHarness>(16 << 20); }},
        // Flushes and compacts all the time.
        StoreCase{"RocksDbTinyBuffer", [] { return std::make_unique<RocksDbHarness>(64 << 10); }}),
    StoreCaseName);

}  // namespace
}  // namespace vault::store
