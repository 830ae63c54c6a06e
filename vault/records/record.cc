#include "vault/records/record.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"

namespace vault::records {
namespace {

constexpr char kFormat = 2;
constexpr size_t kPrefixSize = 1 + 8 + kEtagSize;
constexpr size_t kFixedSize = kPrefixSize + 4 + 4 + keys::kWrappedDekSize;
constexpr size_t kTagSize = 1 + 1 + 4 + keys::kIndexTagSize;

absl::Status Damaged() { return absl::DataLossError("a resident's row is damaged"); }

// Everything up to the fields is there.
bool HasFixedPart(absl::string_view row) {
  if (row.size() <= kFixedSize || row[0] != kFormat) return false;
  const size_t programme = static_cast<uint8_t>(row[kFixedSize]);
  return programme > 0 && programme <= kProgrammeBytesMax &&
         row.size() > kFixedSize + 1 + programme;
}

}  // namespace

std::string RowPrefix(const Record& record) {
  std::string out;
  out.push_back(kFormat);
  AppendU64(record.version, &out);
  absl::StrAppend(&out, record.etag_bytes());
  return out;
}

std::string EncodeRecord(const Record& record) {
  VAULT_CHECK(record.wrapped_dek.size() == keys::kWrappedDekSize);
  VAULT_CHECK(!record.programme.empty() && record.programme.size() <= kProgrammeBytesMax);
  size_t size = kFixedSize + 1 + record.programme.size() + 2 + record.tags.size() * kTagSize;
  for (const SealedField& f : record.fields) size += 5 + f.sealed.size();
  std::string out = RowPrefix(record);
  out.reserve(size);
  AppendU32(record.kek_version, &out);
  AppendU32(record.dek_version, &out);
  absl::StrAppend(&out, record.wrapped_dek);
  AppendU8(record.programme.size(), &out);
  absl::StrAppend(&out, record.programme);
  AppendU8(record.fields.size(), &out);
  for (const SealedField& f : record.fields) {
    AppendU8(f.number, &out);
    AppendU32(f.sealed.size(), &out);
    absl::StrAppend(&out, f.sealed);
  }
  AppendU8(record.tags.size(), &out);
  for (const RowTag& t : record.tags) {
    AppendU8(t.field_number, &out);
    AppendU8(t.unique ? 1 : 0, &out);
    AppendU32(t.generation, &out);
    absl::StrAppend(&out, t.tag);
  }
  return out;
}

absl::StatusOr<Record> DecodeRecord(const ResidentId& id, absl::string_view row) {
  ByteReader in(row);
  Record record;
  record.id = id;
  if (in.U8() != kFormat) return Damaged();
  record.version = in.U64();
  const absl::string_view etag = in.Take(kEtagSize);
  if (in.failed()) return Damaged();
  std::memcpy(record.etag.data(), etag.data(), kEtagSize);
  record.kek_version = in.U32();
  record.dek_version = in.U32();
  record.wrapped_dek = std::string(in.Take(keys::kWrappedDekSize));
  record.programme = std::string(in.Take(in.U8()));
  if (record.programme.empty() || record.programme.size() > kProgrammeBytesMax) return Damaged();
  const uint64_t fields = in.U8();
  record.fields.reserve(fields);
  for (uint64_t i = 0; i < fields && !in.failed(); ++i) {
    const uint32_t number = in.U8();
    if (i > 0 && number <= record.fields.back().number) return Damaged();
    const size_t size = in.U32();
    record.fields.push_back({number, std::string(in.Take(size))});
  }
  const uint64_t tags = in.U8();
  record.tags.reserve(tags);
  for (uint64_t i = 0; i < tags && !in.failed(); ++i) {
    const uint32_t number = in.U8();
    const uint64_t unique = in.U8();
    if (unique > 1) return Damaged();
    const uint32_t generation = in.U32();
    record.tags.push_back(
        {number, generation, std::string(in.Take(keys::kIndexTagSize)), unique == 1});
  }
  if (!in.Done()) return Damaged();
  return record;
}

absl::StatusOr<RowKeys> ReadRowKeys(absl::string_view row) {
  if (!HasFixedPart(row)) return Damaged();
  ByteReader in(row.substr(kPrefixSize));
  RowKeys keys;
  keys.kek_version = in.U32();
  keys.dek_version = in.U32();
  return keys;
}

absl::string_view RowWrappedDek(absl::string_view row) {
  VAULT_CHECK(HasFixedPart(row));
  return row.substr(kFixedSize - keys::kWrappedDekSize, keys::kWrappedDekSize);
}

absl::string_view RowProgramme(absl::string_view row) {
  VAULT_CHECK(HasFixedPart(row));
  return row.substr(kFixedSize + 1, static_cast<uint8_t>(row[kFixedSize]));
}

std::string RewrappedRow(absl::string_view row, uint32_t kek_version,
                         absl::string_view wrapped_dek) {
  VAULT_CHECK(row.size() >= kFixedSize && wrapped_dek.size() == keys::kWrappedDekSize);
  std::string version;
  AppendU32(kek_version, &version);
  std::string out(row);
  out.replace(kPrefixSize, version.size(), version);
  out.replace(kFixedSize - wrapped_dek.size(), wrapped_dek.size(), wrapped_dek.data(),
              wrapped_dek.size());
  return out;
}

absl::StatusOr<uint32_t> RowOtherGeneration(absl::string_view row, uint32_t generation) {
  if (!HasFixedPart(row)) return Damaged();
  ByteReader in(row.substr(kFixedSize + 1 + RowProgramme(row).size()));
  const uint64_t fields = in.U8();
  for (uint64_t i = 0; i < fields && !in.failed(); ++i) {
    in.Take(1);
    in.Take(in.U32());
  }
  const uint64_t tags = in.U8();
  uint32_t other = 0;
  for (uint64_t i = 0; i < tags && !in.failed(); ++i) {
    in.Take(2);
    const uint32_t found = in.U32();
    in.Take(keys::kIndexTagSize);
    if (other == 0 && found != generation) other = found;
  }
  if (in.failed()) return Damaged();
  return other;
}

std::string RecordPrefix(const TenantId& tenant) { return TenantPrefix(kResidentPrefix, tenant); }

std::string RecordKey(const TenantId& tenant, const ResidentId& id) {
  return absl::StrCat(RecordPrefix(tenant), id.bytes());
}

std::string GenerationPrefix(const TenantId& tenant, uint32_t generation) {
  std::string out = TenantPrefix(kIndexPrefix, tenant);
  AppendU32(generation, &out);
  return out;
}

std::string PostingPrefix(const TenantId& tenant, const RowTag& tag) {
  std::string out = GenerationPrefix(tenant, tag.generation);
  AppendU8(tag.field_number, &out);
  absl::StrAppend(&out, tag.tag);
  VAULT_CHECK(out.size() == kPostingPrefixSize);
  return out;
}

std::string PostingKey(const TenantId& tenant, const RowTag& tag, const ResidentId& id) {
  std::string key = PostingPrefix(tenant, tag);
  if (!tag.unique) absl::StrAppend(&key, id.bytes());
  return key;
}

std::string PostingValue(const RowTag& tag, const ResidentId& id) {
  return tag.unique ? std::string(id.bytes()) : std::string();
}

absl::StatusOr<ResidentId> PostingResident(absl::string_view key, absl::string_view value) {
  absl::StatusOr<ResidentId> id = absl::DataLossError("");
  if (key.size() == kPostingPrefixSize) {
    id = ResidentId::FromBytes(value);
  } else if (key.size() > kPostingPrefixSize && value.empty()) {
    id = ResidentId::FromBytes(key.substr(kPostingPrefixSize));
  }
  if (id.ok()) return id;
  return absl::DataLossError("a posting of the index is damaged");
}

}  // namespace vault::records
