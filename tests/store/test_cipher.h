// File ciphers for tests of the store: the real one belongs to a layer above. Neither hides
// anything from anybody.
#ifndef VAULT_TESTS_STORE_TEST_CIPHER_H_
#define VAULT_TESTS_STORE_TEST_CIPHER_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vault/base/mutex.h"
#include "vault/store/files.h"

namespace vault::store {

// The header is a magic (8 bytes), a nonce (8), the key's number (8), zeros, and a sum over all of
// that (8). The stream is a simple generator's output, counted by 8-byte words: enough for a wrong
// offset or a wrong nonce to show.
class TestCipher : public FileCipher {
 public:
  explicit TestCipher(uint32_t key = 1) : keys_{key}, key_(key) {}

  // Another key for what is written from now on.
  void WriteUnder(uint32_t key) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    keys_.insert(key);
    key_ = key;
  }
  void Forget(uint32_t key) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    keys_.erase(key);
  }

  absl::Status NewHeader(char* header) override VAULT_EXCLUDES(mu_) {
    const uint64_t key = WriteKeyId();
    std::memset(header, 0, kHeaderSize);
    std::memcpy(header, kMagic, 8);
    const uint64_t nonce = Mix(key ^ next_nonce_.fetch_add(1));
    std::memcpy(header + 8, &nonce, 8);
    std::memcpy(header + 16, &key, 8);
    const uint64_t sum = Sum(header);
    std::memcpy(header + kHeaderSize - 8, &sum, 8);
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> KeyId(absl::string_view header) const override {
    if (header.size() != kHeaderSize || std::memcmp(header.data(), kMagic, 8) != 0) {
      return absl::DataLossError("the file has no header");
    }
    uint64_t key = 0;
    std::memcpy(&key, header.data() + 16, 8);
    return static_cast<uint32_t>(key);
  }
  uint32_t WriteKeyId() const override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return key_;
  }

  absl::StatusOr<std::unique_ptr<Stream>> Open(absl::string_view header) override
      VAULT_EXCLUDES(mu_) {
    uint64_t sum = 0, nonce = 0, key = 0;
    std::memcpy(&sum, header.data() + kHeaderSize - 8, 8);
    std::memcpy(&nonce, header.data() + 8, 8);
    std::memcpy(&key, header.data() + 16, 8);
    if (std::memcmp(header.data(), kMagic, 8) != 0 || sum != Sum(header.data())) {
      return absl::DataLossError("the file's header is damaged");
    }
    MutexLock lock(&mu_);
    if (keys_.count(key) == 0) return absl::FailedPreconditionError("the file's key is gone");
    return std::unique_ptr<Stream>(new XorStream(Mix(nonce ^ key)));
  }

 private:
  static constexpr const char* kMagic = "testciph";

  class XorStream : public Stream {
   public:
    explicit XorStream(uint64_t seed) : seed_(seed) {}
    void Xor(uint64_t offset, char* data, size_t size) override {
      uint64_t word = 0;
      for (size_t i = 0; i < size; ++i) {
        const uint64_t at = offset + i;
        if (i == 0 || at % 8 == 0) word = Mix(seed_ + at / 8);
        data[i] ^= static_cast<char>(word >> (8 * (at % 8)));
      }
    }

   private:
    const uint64_t seed_;
  };

  static uint64_t Mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  static uint64_t Sum(const char* header) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 8 < kHeaderSize; ++i) {
      sum = Mix(sum ^ static_cast<unsigned char>(header[i]));
    }
    return sum;
  }

  mutable Mutex mu_;
  std::set<uint64_t> keys_ VAULT_GUARDED_BY(mu_);
  uint32_t key_ VAULT_GUARDED_BY(mu_);
  std::atomic<uint64_t> next_nonce_{0};
};

// Writes plaintext: shows what a search of the files finds when nothing is enciphered.
class NullCipher : public FileCipher {
 public:
  absl::Status NewHeader(char* header) override {
    std::memset(header, 0, kHeaderSize);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Stream>> Open(absl::string_view) override {
    return std::unique_ptr<Stream>(new NullStream);
  }
  absl::StatusOr<uint32_t> KeyId(absl::string_view) const override { return 0; }
  uint32_t WriteKeyId() const override { return 0; }

 private:
  class NullStream : public Stream {
   public:
    void Xor(uint64_t, char*, size_t) override {}
  };
};

}  // namespace vault::store

#endif  // VAULT_TESTS_STORE_TEST_CIPHER_H_
