#include "vault/base/secret.h"

#include <sodium.h>

namespace vault {

void Wipe(void* data, size_t size) {
  if (size > 0) sodium_memzero(data, size);
}

void Wipe(std::string* s) {
  // The bytes between size and capacity may hold what a longer value left there.
  Wipe(&(*s)[0], s->capacity());
  s->clear();
}

SecretString SecretString::Take(std::string&& value) {
  SecretString s;
  s.value_ = std::move(value);
  Wipe(&value);
  return s;
}

SecretString SecretString::OfSize(size_t size) {
  SecretString s;
  s.value_.resize(size);
  return s;
}

SecretString::SecretString(SecretString&& other) noexcept : value_(std::move(other.value_)) {
  Wipe(&other.value_);
}

SecretString& SecretString::operator=(SecretString&& other) noexcept {
  if (this != &other) {
    Wipe(&value_);
    value_ = std::move(other.value_);
    Wipe(&other.value_);
  }
  return *this;
}

bool ConstantTimeEquals(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace vault
