#include "vault/crypto/sealed_row.h"

#include "absl/strings/str_cat.h"

namespace vault::crypto {
namespace {

constexpr char kVersion = 1;
constexpr size_t kSeqSize = 8;
constexpr size_t kMacSize = 32;

std::array<uint8_t, kMacSize> RowMac(MacKey key, absl::string_view row_key, absl::string_view seq,
                                     absl::string_view content) {
  return Mac(key, {"vault/row/v1", row_key, seq, content});
}

}  // namespace

std::string SealRow(MacKey key, absl::string_view row_key, uint64_t seq,
                    absl::string_view content) {
  std::string out(1, kVersion);
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(seq >> shift));
  const std::array<uint8_t, kMacSize> mac =
      RowMac(key, row_key, absl::string_view(out).substr(1), content);
  absl::StrAppend(&out, content, AsView(mac));
  return out;
}

absl::StatusOr<SealedRow> OpenRow(MacKey key, absl::string_view row_key, absl::string_view bytes) {
  const absl::Status damaged =
      absl::DataLossError("a sealed row of the database was changed, moved or damaged");
  if (bytes.size() < 1 + kSeqSize + kMacSize || bytes[0] != kVersion) return damaged;
  const absl::string_view seq = bytes.substr(1, kSeqSize);
  const absl::string_view content =
      bytes.substr(1 + kSeqSize, bytes.size() - 1 - kSeqSize - kMacSize);
  const std::array<uint8_t, kMacSize> mac = RowMac(key, row_key, seq, content);
  if (!ConstantTimeEquals(AsView(mac), bytes.substr(bytes.size() - kMacSize))) return damaged;
  SealedRow row;
  for (char c : seq) row.seq = row.seq << 8 | static_cast<uint8_t>(c);
  row.content = std::string(content);
  return row;
}

}  // namespace vault::crypto
