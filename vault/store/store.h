// Ordered key-value storage: what the vault needs of a database and no more. One conformance suite
// (tests/store/conformance.h) runs over every implementation.
//
// Keys and values are arbitrary bytes; keys sort bytewise. One batch is atomic, and durable when
// Write returns OK (power loss included). Thread-safe.
#ifndef VAULT_STORE_STORE_H_
#define VAULT_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vault::store {

// Puts and deletes, in order; the last one on a key wins.
class Batch {
 public:
  struct Op {
    std::string key;
    std::string value;
    bool is_delete;
  };

  void Put(std::string key, std::string value) {
    bytes_ += key.size() + value.size();
    ops_.push_back({std::move(key), std::move(value), false});
  }
  void Delete(std::string key) {
    bytes_ += key.size();
    ops_.push_back({std::move(key), std::string(), true});
  }
  // Moves the other's operations behind these.
  void Append(Batch&& other);
  void Clear() {
    ops_.clear();
    bytes_ = 0;
  }

  const std::vector<Op>& ops() const { return ops_; }
  bool empty() const { return ops_.empty(); }
  size_t bytes() const { return bytes_; }

 private:
  std::vector<Op> ops_;
  size_t bytes_ = 0;
};

// Called once a row, in key order; false stops the scan. The views live for the call.
using RowFn = absl::FunctionRef<bool(absl::string_view key, absl::string_view value)>;

// A consistent view of one moment. Must go before its store does.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  // NOT_FOUND without the row; DATA_LOSS where the storage is damaged.
  virtual absl::Status Get(absl::string_view key, std::string* value) const = 0;
  // What Get gives of each key, in the order of the keys; one may come more than once. One damaged
  // row takes none of the others with it. An implementation that reads many faster than one after
  // the other overrides it.
  virtual std::vector<absl::StatusOr<std::string>> MultiGet(
      absl::Span<const std::string> keys) const;
  // Rows whose key starts with `prefix` and is >= `start` (`start` may be empty, or must start with
  // `prefix`). DATA_LOSS where the storage is damaged, never a silently shorter scan.
  virtual absl::Status Scan(absl::string_view prefix, absl::string_view start, RowFn row) const = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  // The newest value. Status as Snapshot::Get.
  virtual absl::Status Get(absl::string_view key, std::string* value) const = 0;
  // A snapshot of the present state. Fails as a read does: the caller has read nothing then.
  virtual absl::StatusOr<std::unique_ptr<const Snapshot>> TakeSnapshot() const = 0;
  // Snapshot::MultiGet and Scan, of a snapshot that is taken for it. Where that fails each key has
  // its status.
  std::vector<absl::StatusOr<std::string>> MultiGet(absl::Span<const std::string> keys) const;
  absl::Status Scan(absl::string_view prefix, absl::string_view start, RowFn row) const;
  // Atomic and durable. After any error here the caller cannot know what is on disk: it must stop
  // writing and read the state again at the next start, never retry.
  virtual absl::Status Write(const Batch& batch) = 0;
  // Bytes that the file system still has for this store (the reserve is the caller's to keep).
  virtual absl::StatusOr<uint64_t> FreeBytes() const = 0;
};

}  // namespace vault::store

#endif  // VAULT_STORE_STORE_H_
