// Memory that holds a secret: wiped when it goes, never printed, never copied by accident.
//
//   SecretString value("…");            // plaintext of a field, a search term
//   SecretBytes<32> dek;                // a short-lived key on the stack
//   use(value.Expose());                // every look inside is found by searching for "Expose"
//
// Long-lived keys do not live here but in crypto::KeyArena (guarded, locked pages). These buffers
// are ordinary memory: what is in them is for one request.
#ifndef VAULT_BASE_SECRET_H_
#define VAULT_BASE_SECRET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vault {

// Overwrites `size` bytes at `data`; the compiler may not leave it out.
void Wipe(void* data, size_t size);
// Wipes the whole capacity of `s` and empties it.
void Wipe(std::string* s);

// An owned, movable, wiping byte string. A copy is asked for by name (`Clone`).
class SecretString {
 public:
  SecretString() = default;
  explicit SecretString(absl::string_view value) : value_(value) {}
  // Takes over `value`, whose storage is wiped later by this object (no copy for long strings; the
  // moved-from small buffer is wiped here).
  static SecretString Take(std::string&& value);
  // `size` zero bytes, to be filled through mutable_data().
  static SecretString OfSize(size_t size);

  SecretString(SecretString&& other) noexcept;
  SecretString& operator=(SecretString&& other) noexcept;
  SecretString(const SecretString&) = delete;
  SecretString& operator=(const SecretString&) = delete;
  ~SecretString() { Wipe(&value_); }

  SecretString Clone() const { return SecretString(value_); }
  absl::string_view Expose() const { return value_; }
  uint8_t* mutable_data() { return reinterpret_cast<uint8_t*>(value_.data()); }
  size_t size() const { return value_.size(); }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

// A fixed-size secret on the stack or inside another object.
template <size_t N>
class SecretBytes {
 public:
  SecretBytes() { bytes_.fill(0); }
  SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_) { Wipe(other.bytes_.data(), N); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      Wipe(other.bytes_.data(), N);
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { Wipe(bytes_.data(), N); }

  const uint8_t* Expose() const { return bytes_.data(); }
  uint8_t* mutable_data() { return bytes_.data(); }
  static constexpr size_t size() { return N; }

 private:
  std::array<uint8_t, N> bytes_;
};

// Compares in time that depends on the lengths only.
bool ConstantTimeEquals(absl::string_view a, absl::string_view b);

}  // namespace vault

#endif  // VAULT_BASE_SECRET_H_
