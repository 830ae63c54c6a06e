// The worked examples of vault/keys/FORMAT.md, read from the page itself, so that page and code
// cannot part.
#ifndef VAULT_TESTS_CRYPTO_FORMAT_PAGE_H_
#define VAULT_TESTS_CRYPTO_FORMAT_PAGE_H_

#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"

namespace vault::testing {

// Lines "    group.name = hex", continued by lines of eight spaces and hex; everything else on the
// page is prose.
class FormatExamples {
 public:
  explicit FormatExamples(const std::string& path) {
    std::ifstream file(path);
    VAULT_CHECK(file.good()) << path;
    std::string line;
    std::string name;
    while (std::getline(file, line)) {
      absl::string_view rest = line;
      if (absl::ConsumePrefix(&rest, "        ")) {
        if (!name.empty()) hex_[name] += std::string(rest);
        continue;
      }
      name.clear();
      if (!absl::ConsumePrefix(&rest, "    ")) continue;
      const size_t equals = rest.find(" =");
      if (equals == absl::string_view::npos) continue;
      const absl::string_view left = rest.substr(0, equals);
      const absl::string_view value = absl::StripAsciiWhitespace(rest.substr(equals + 2));
      if (left.find('.') == absl::string_view::npos ||
          left.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.0123456789") !=
              absl::string_view::npos ||
          value.find_first_not_of("0123456789abcdef") != absl::string_view::npos) {
        continue;
      }
      name = std::string(left);
      VAULT_CHECK(hex_.emplace(name, std::string(value)).second) << name << " stands twice";
    }
  }

  // The example's bytes. Aborts where there is none of that name.
  std::string operator[](const std::string& name) const {
    auto it = hex_.find(name);
    VAULT_CHECK(it != hex_.end()) << "no example " << name;
    return absl::HexStringToBytes(it->second);
  }
  // An example of 32 bytes, alive as long as this object.
  const uint8_t* Key(const std::string& name) {
    std::string& bytes = keys_[name];
    if (bytes.empty()) bytes = (*this)[name];
    VAULT_CHECK(bytes.size() == 32) << name;
    return reinterpret_cast<const uint8_t*>(bytes.data());
  }
  // The little-endian number of up to 8 bytes.
  uint64_t Number(const std::string& name) const {
    const std::string bytes = (*this)[name];
    uint64_t n = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
      n |= uint64_t{static_cast<uint8_t>(bytes[i])} << 8 * i;
    return n;
  }

 private:
  std::map<std::string, std::string> hex_;
  std::map<std::string, std::string> keys_;
};

inline FormatExamples LoadFormatExamples() {
  return FormatExamples(absl::StrCat(VAULT_SOURCE_DIR, "/vault/keys/FORMAT.md"));
}

// Gives out these bytes, in order, and aborts when they are used up.
class FixedRandom : public Random {
 public:
  explicit FixedRandom(std::string bytes) : bytes_(std::move(bytes)) {}
  void Fill(void* data, size_t size) override {
    VAULT_CHECK(used_ + size <= bytes_.size());
    std::memcpy(data, bytes_.data() + used_, size);
    used_ += size;
  }

 private:
  const std::string bytes_;
  size_t used_ = 0;
};

// 00 01 02 … ff 00 ….
class CountingRandom : public Random {
 public:
  void Fill(void* data, size_t size) override {
    for (size_t i = 0; i < size; ++i) static_cast<uint8_t*>(data)[i] = next_++;
  }

 private:
  uint8_t next_ = 0;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_CRYPTO_FORMAT_PAGE_H_
