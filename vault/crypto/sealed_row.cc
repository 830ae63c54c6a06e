#include "vault/crypto/sealed_row.h"

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"

namespace vault::crypto {
namespace {

constexpr char kFormat = 2;
constexpr size_t kKeyVersionSize = 4;
constexpr size_t kSeqSize = 8;
constexpr size_t kHeaderSize = 1 + kKeyVersionSize + kSeqSize;
constexpr size_t kMacSize = 32;

std::array<uint8_t, kMacSize> RowMac(MacKey key, absl::string_view row_key,
                                     absl::string_view header, absl::string_view content) {
  return Mac(key, {"vault/row/v2", row_key, header.substr(1, kKeyVersionSize),
                   header.substr(1 + kKeyVersionSize), content});
}

absl::Status Damaged() {
  return absl::DataLossError("a sealed row of the database was changed, moved or damaged");
}

}  // namespace

std::string SealRow(MacKey key, uint32_t key_version, absl::string_view row_key, uint64_t seq,
                    absl::string_view content) {
  std::string out(1, kFormat);
  AppendU32(key_version, &out);
  AppendU64(seq, &out);
  const std::array<uint8_t, kMacSize> mac = RowMac(key, row_key, out, content);
  absl::StrAppend(&out, content, AsView(mac));
  return out;
}

absl::StatusOr<uint32_t> RowKeyVersion(absl::string_view bytes) {
  if (bytes.size() < kHeaderSize + kMacSize || bytes[0] != kFormat) return Damaged();
  return ReadU32(bytes.substr(1));
}

absl::string_view RowHeader(absl::string_view bytes) {
  return RowKeyVersion(bytes).ok() ? bytes.substr(0, kHeaderSize) : absl::string_view();
}

absl::StatusOr<SealedRow> OpenRow(MacKey key, absl::string_view row_key, absl::string_view bytes) {
  SealedRow row;
  ASSIGN_OR_RETURN(row.key_version, RowKeyVersion(bytes));
  const absl::string_view header = bytes.substr(0, kHeaderSize);
  const absl::string_view content =
      bytes.substr(kHeaderSize, bytes.size() - kHeaderSize - kMacSize);
  const std::array<uint8_t, kMacSize> mac = RowMac(key, row_key, header, content);
  if (!ConstantTimeEquals(AsView(mac), bytes.substr(bytes.size() - kMacSize))) return Damaged();
  row.seq = ReadU64(header.substr(1 + kKeyVersionSize));
  row.content = std::string(content);
  return row;
}

}  // namespace vault::crypto
