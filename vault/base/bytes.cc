#include "vault/base/bytes.h"

namespace vault {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

template <size_t kSize>
void AppendLittle(uint64_t v, std::string* out) {
  char bytes[kSize];
  for (size_t i = 0; i < kSize; ++i) bytes[i] = static_cast<char>(v >> (8 * i));
  out->append(bytes, kSize);
}

}  // namespace

void AppendLittleU32(uint32_t v, std::string* out) { AppendLittle<4>(v, out); }
void AppendLittleU64(uint64_t v, std::string* out) { AppendLittle<8>(v, out); }

void AppendHex(absl::Span<const uint8_t> bytes, std::string* out) {
  size_t at = out->size();
  out->resize(at + 2 * bytes.size());
  for (const uint8_t byte : bytes) {
    (*out)[at++] = kHexDigits[byte >> 4];
    (*out)[at++] = kHexDigits[byte & 15];
  }
}

std::string BytesToHex(absl::Span<const uint8_t> bytes) {
  std::string out;
  AppendHex(bytes, &out);
  return out;
}

std::string BytesToHex(absl::string_view bytes) {
  return BytesToHex(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

}  // namespace vault
