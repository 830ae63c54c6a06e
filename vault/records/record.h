// A resident's row: everything about one person in one value, sealed. vault/records/FORMAT.md is
// the page.
#ifndef VAULT_RECORDS_RECORD_H_
#define VAULT_RECORDS_RECORD_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/ids.h"
#include "vault/keys/envelope.h"

namespace vault::records {

inline constexpr size_t kEtagSize = 16;
// A programme's code, as policy has it: 1 to so many bytes.
inline constexpr size_t kProgrammeBytesMax = 32;

// One index tag that the row has a posting for. Which form the posting's key has the row says
// itself, whatever the schema says of the field by now.
struct RowTag {
  uint32_t field_number;
  uint32_t generation;
  std::string tag;  // keys::kIndexTagSize bytes
  bool unique = false;
};

struct SealedField {
  uint32_t number;
  std::string sealed;
};

// A row, parsed; nothing in it is open.
struct Record {
  ResidentId id;
  uint64_t version = 1;
  std::array<char, kEtagSize> etag = {};
  uint32_t kek_version = 0;
  uint32_t dek_version = 1;
  std::string wrapped_dek;
  std::vector<SealedField> fields;  // ascending numbers
  std::vector<RowTag> tags;
  // What the resident is kept for, an opaque code; every record has one.
  std::string programme;

  absl::string_view etag_bytes() const { return absl::string_view(etag.data(), etag.size()); }
};

// The row's first bytes: format, version, etag. A row that still begins so is the same version,
// whatever KEK wraps it.
std::string RowPrefix(const Record& record);
std::string EncodeRecord(const Record& record);
// DATA_LOSS unless complete and well formed.
absl::StatusOr<Record> DecodeRecord(const ResidentId& id, absl::string_view row);
// The key versions that a row is under, without decoding the rest of it, for counting. DATA_LOSS
// where the row is too short, or has no programme.
struct RowKeys {
  uint32_t kek_version;
  uint32_t dek_version;
};
absl::StatusOr<RowKeys> ReadRowKeys(absl::string_view row);
// The wrapped DEK of a row that ReadRowKeys has read, and its programme.
absl::string_view RowWrappedDek(absl::string_view row);
absl::string_view RowProgramme(absl::string_view row);
// Such a row under another KEK: version and wrapped DEK take the place of those that are there, and
// nothing else is looked at.
std::string RewrappedRow(absl::string_view row, uint32_t kek_version,
                         absl::string_view wrapped_dek);
// The first generation among its tags that is not `generation`; 0 where there is none. DATA_LOSS.
absl::StatusOr<uint32_t> RowOtherGeneration(absl::string_view row, uint32_t generation);

// Keys: r/<tenant>/<resident>, and a posting i/<tenant>/<generation><field><tag>[<resident>].
std::string RecordPrefix(const TenantId& tenant);
std::string RecordKey(const TenantId& tenant, const ResidentId& id);
// All postings of one generation.
std::string GenerationPrefix(const TenantId& tenant, uint32_t generation);
// All postings of one term share their first kPostingPrefixSize bytes.
inline constexpr size_t kPostingPrefixSize = 2 + 6 + 1 + 4 + 1 + keys::kIndexTagSize;
std::string PostingPrefix(const TenantId& tenant, const RowTag& tag);
// Postings of a unique tag have no resident in the key (it stands in the value), so that two
// cannot be there at once; of others the key has it, and the value is empty.
std::string PostingKey(const TenantId& tenant, const RowTag& tag, const ResidentId& id);
std::string PostingValue(const RowTag& tag, const ResidentId& id);
// The resident of a posting of either form. DATA_LOSS.
absl::StatusOr<ResidentId> PostingResident(absl::string_view key, absl::string_view value);

}  // namespace vault::records

#endif  // VAULT_RECORDS_RECORD_H_
