#include "vault/inventory/sealed_rows.h"

#include "absl/strings/match.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"

namespace vault::inventory {

absl::Status ScanSealedRows(const store::Snapshot& snapshot, const std::string& from,
                            SealedRowFn row) {
  bool more = true;
  for (const RowFamily& family : kRowFamilies) {
    if (!family.sealed) continue;
    const absl::string_view begin = family.prefix;
    const bool within = absl::StartsWith(from, begin);
    if (!within && begin < from) continue;
    RETURN_IF_ERROR(snapshot.Scan(
        begin, within ? from : "",
        [&](absl::string_view key, absl::string_view bytes) { return more = row(key, bytes); }));
    if (!more) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<uint32_t, uint64_t>> CountSealedRows(const store::Snapshot& snapshot,
                                                             const keys::Keyring& keyring) {
  std::map<uint32_t, uint64_t> counts;
  RETURN_IF_ERROR(ScanSealedRows(snapshot, "", [&](absl::string_view key, absl::string_view bytes) {
    const absl::StatusOr<crypto::SealedRow> row = keyring.OpenRow(key, bytes);
    if (row.ok()) ++counts[row->key_version];
    return true;
  }));
  return counts;
}

}  // namespace vault::inventory
