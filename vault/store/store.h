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
  // Rows whose key starts with `prefix` and is >= `start` (`start` may be empty, or must start with
  // `prefix`). DATA_LOSS where the storage is damaged, never a silently shorter scan.
  virtual absl::Status Scan(absl::string_view prefix, absl::string_view start, RowFn row) const = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  // The newest value. Status as Snapshot::Get.
  virtual absl::Status Get(absl::string_view key, std::string* value) const = 0;
  virtual std::unique_ptr<const Snapshot> NewSnapshot() const = 0;
  // Atomic and durable. After any error here the caller cannot know what is on disk: it must stop
  // writing and read the state again at the next start, never retry.
  virtual absl::Status Write(const Batch& batch) = 0;
  // Bytes that the file system still has for this store (the reserve is the caller's to keep).
  virtual absl::StatusOr<uint64_t> FreeBytes() const = 0;

  // Which key the store's files are under (FileCipher), ascending by key; counted by a look at
  // every file's header. Empty for a store without files.
  struct FilesUnderKey {
    uint32_t key_id;
    uint64_t files;
    uint64_t bytes;
  };
  virtual absl::StatusOr<std::vector<FilesUnderKey>> FilesByKey() const = 0;
  // Rewrites some of the files (about 64 MiB) that are under another key than the one that writes
  // now; false when there are none left. Reads and writes go on beside it; a crash leaves a file
  // under the old key or under the new one.
  virtual absl::StatusOr<bool> RewriteSome() = 0;
};

// Enciphers what a store puts in files. `keys` implements it over the keyring; a store only calls
// it. Confidentiality only. Thread-safe.
class FileCipher {
 public:
  static constexpr size_t kHeaderSize = 64;
  virtual ~FileCipher() = default;

  // One open file: XORs `size` bytes at `data` that stand at `offset` behind the header. Both
  // directions.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual void Xor(uint64_t offset, char* data, size_t size) = 0;
  };

  // A fresh header (key id, random nonce, MAC) of kHeaderSize bytes for a new file.
  virtual absl::Status NewHeader(char* header) = 0;
  // DATA_LOSS if the header's MAC does not hold (damaged, or foreign); FAILED_PRECONDITION if its
  // key is gone.
  virtual absl::StatusOr<std::unique_ptr<Stream>> Open(absl::string_view header) = 0;
  // The id of the key that a header names, without a look at its MAC. DATA_LOSS for what is no
  // header.
  virtual absl::StatusOr<uint32_t> KeyId(absl::string_view header) const = 0;
  // The id of the key that NewHeader takes now.
  virtual uint32_t WriteKeyId() const = 0;
};

}  // namespace vault::store

#endif  // VAULT_STORE_STORE_H_
