// Numbers and hex digits as bytes, for every format of this vault. Numbers are big-endian; a format
// that is not (the keyring's file, crypto::LengthPrefixed, RocksDB's logs) uses the functions with
// Little in their names.
//
//   AppendU32(version, &row);
//   const uint64_t size = ReadU64(row.substr(1));  // the row's length was checked before
//
//   ByteReader in(row);                            // the row may end anywhere
//   const uint64_t version = in.U64();
//   const absl::string_view name = in.Take(in.U8());
//   if (!in.Done()) return Damaged();
//
// Nothing here reads behind the end of what it was given: Read… ends the process, since its caller
// promised the length, and ByteReader says that it failed.
#ifndef VAULT_BASE_BYTES_H_
#define VAULT_BASE_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vault/base/logging.h"

namespace vault {
namespace internal {

template <size_t kSize>
void AppendBig(uint64_t v, std::string* out) {
  char bytes[kSize];
  for (size_t i = 0; i < kSize; ++i) bytes[i] = static_cast<char>(v >> (8 * (kSize - 1 - i)));
  out->append(bytes, kSize);
}

template <size_t kSize>
uint64_t ReadBig(absl::string_view bytes) {
  VAULT_CHECK(bytes.size() >= kSize);
  uint64_t v = 0;
  for (size_t i = 0; i < kSize; ++i) v = v << 8 | static_cast<uint8_t>(bytes[i]);
  return v;
}

template <size_t kSize>
uint64_t ReadLittle(absl::string_view bytes) {
  VAULT_CHECK(bytes.size() >= kSize);
  uint64_t v = 0;
  for (size_t i = kSize; i > 0; --i) v = v << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return v;
}

}  // namespace internal

inline void AppendU8(uint8_t v, std::string* out) { out->push_back(static_cast<char>(v)); }
inline void AppendU16(uint16_t v, std::string* out) { internal::AppendBig<2>(v, out); }
inline void AppendU32(uint32_t v, std::string* out) { internal::AppendBig<4>(v, out); }
inline void AppendU64(uint64_t v, std::string* out) { internal::AppendBig<8>(v, out); }

// The number at the front of `bytes`, which are long enough.
inline uint32_t ReadU24(absl::string_view bytes) {
  return static_cast<uint32_t>(internal::ReadBig<3>(bytes));
}
inline uint32_t ReadU32(absl::string_view bytes) {
  return static_cast<uint32_t>(internal::ReadBig<4>(bytes));
}
inline uint64_t ReadU64(absl::string_view bytes) { return internal::ReadBig<8>(bytes); }

// As an array, for what takes bytes without a string: a hash, a buffer of its own.
inline std::array<uint8_t, 4> LittleU32(uint32_t v) {
  return {static_cast<uint8_t>(v), static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v >> 16),
          static_cast<uint8_t>(v >> 24)};
}
void AppendLittleU32(uint32_t v, std::string* out);
void AppendLittleU64(uint64_t v, std::string* out);

inline uint16_t ReadLittleU16(absl::string_view bytes) {
  return static_cast<uint16_t>(internal::ReadLittle<2>(bytes));
}
inline uint32_t ReadLittleU32(absl::string_view bytes) {
  return static_cast<uint32_t>(internal::ReadLittle<4>(bytes));
}
inline uint64_t ReadLittleU64(absl::string_view bytes) { return internal::ReadLittle<8>(bytes); }

// Takes bytes off the front of what may be cut short. Once it has failed it stays failed, takes
// nothing more, and gives zeros and empty views: a caller may ask once, at the end, but must before
// it uses what it was given. Views are into the bytes that it was made of, which must stay.
class ByteReader {
 public:
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  uint8_t U8() { return static_cast<uint8_t>(Number<1>()); }
  uint16_t U16() { return static_cast<uint16_t>(Number<2>()); }
  uint32_t U32() { return static_cast<uint32_t>(Number<4>()); }
  uint64_t U64() { return Number<8>(); }
  absl::string_view Take(size_t size) {
    if (failed_ || rest_.size() < size) {
      failed_ = true;
      return absl::string_view();
    }
    const absl::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  bool failed() const { return failed_; }
  // What was not taken yet.
  absl::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }
  // All of it was there, and nothing follows.
  bool Done() const { return !failed_ && rest_.empty(); }

 private:
  template <size_t kSize>
  uint64_t Number() {
    const absl::string_view bytes = Take(kSize);
    return failed_ ? 0 : internal::ReadBig<kSize>(bytes);
  }

  absl::string_view rest_;
  bool failed_ = false;
};

// Lower-case, two digits a byte: the only form of hex here.
void AppendHex(absl::Span<const uint8_t> bytes, std::string* out);
std::string BytesToHex(absl::Span<const uint8_t> bytes);
std::string BytesToHex(absl::string_view bytes);
// Whether `text` is exactly `digits` lower-case hex digits. Inline and without a branch per digit,
// so that a known length is unrolled: hashes are a third of a log entry's bytes.
inline bool IsHex(absl::string_view text, size_t digits) {
  if (text.size() != digits) return false;
  uint8_t wrong = 0;
  for (size_t i = 0; i < digits; ++i) {
    const uint8_t number = static_cast<uint8_t>(text[i] - '0');
    const uint8_t letter = static_cast<uint8_t>(text[i] - 'a');
    wrong |= static_cast<uint8_t>((number > 9) & (letter > 5));
  }
  return wrong == 0;
}

// Fills `out`, if `text` is exactly its bytes' lower-case digits; otherwise it is left as it was.
inline bool HexToBytes(absl::string_view text, absl::Span<uint8_t> out) {
  if (!IsHex(text, 2 * out.size())) return false;
  // Of a digit that is known to be one, the low four bits and nine more for a letter.
  const auto digit = [](char c) { return (c & 15) + (c >> 6) * 9; };
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  }
  return true;
}

}  // namespace vault

#endif  // VAULT_BASE_BYTES_H_
