// What there is about a store's files, for a store that has any: enciphering them, and getting them
// from under one storage key to another. Code that reads and writes rows has no use for it; code
// that needs it gets a pointer of its own beside the store's, null where the store keeps no files.
#ifndef VAULT_STORE_FILES_H_
#define VAULT_STORE_FILES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::store {

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

// The files of a store, each under the storage key that was written under when it was made.
// Thread-safe.
class EncipheredFiles {
 public:
  virtual ~EncipheredFiles() = default;

  // How much is under one key (FileCipher).
  struct FilesUnderKey {
    uint32_t key_id;
    uint64_t files;
    uint64_t bytes;
  };
  // Ascending by key; counted by a look at every file's header.
  virtual absl::StatusOr<std::vector<FilesUnderKey>> FilesByKey() const = 0;
  // Rewrites some of the files (about 64 MiB) that are under another key than the one that writes
  // now; false when there are none left. Reads and writes go on beside it; a crash leaves a file
  // under the old key or under the new one.
  virtual absl::StatusOr<bool> RewriteSome() = 0;
};

}  // namespace vault::store

#endif  // VAULT_STORE_FILES_H_
