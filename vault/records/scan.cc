#include "vault/records/scan.h"

#include <algorithm>

#include "vault/base/status.h"
#include "vault/records/record.h"

namespace vault::records {

absl::Status ScanResidents(const store::Snapshot& snapshot, const TenantId& tenant,
                           const std::string& from, ResidentFn row) {
  const std::string prefix = RecordPrefix(tenant);
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(prefix, from, [&](absl::string_view key, absl::string_view bytes) {
    const absl::StatusOr<ResidentId> id = ResidentId::FromBytes(key.substr(prefix.size()));
    const absl::StatusOr<bool> more = id.ok() ? row(*id, bytes) : id.status();
    bad = more.status();
    return more.ok() && *more;
  }));
  return bad;
}

absl::StatusOr<uint64_t> CountResidents(
    const store::Snapshot& snapshot, const TenantId& tenant,
    absl::FunctionRef<absl::StatusOr<bool>(const ResidentId& id, absl::string_view row)> is) {
  uint64_t count = 0;
  RETURN_IF_ERROR(
      ScanResidents(snapshot, tenant, "",
                    [&](const ResidentId& id, absl::string_view row) -> absl::StatusOr<bool> {
                      ASSIGN_OR_RETURN(const bool counts, is(id, row));
                      count += counts;
                      return true;
                    }));
  return count;
}

absl::StatusOr<uint64_t> CountResidents(const store::Snapshot& snapshot, const TenantId& tenant) {
  return CountResidents(snapshot, tenant,
                        [](const ResidentId&, absl::string_view) { return true; });
}

absl::StatusOr<std::vector<uint64_t>> CountByKek(const store::Snapshot& snapshot,
                                                 const TenantId& tenant,
                                                 const keys::TenantKeys& keys) {
  std::vector<uint64_t> counts(keys.keks.back().version + 1, 0);
  RETURN_IF_ERROR(ScanResidents(
      snapshot, tenant, "", [&](const ResidentId&, absl::string_view row) -> absl::StatusOr<bool> {
        const absl::StatusOr<RowKeys> versions = ReadRowKeys(row);
        if (!versions.ok() || versions->kek_version >= counts.size()) return NoVersion();
        ++counts[versions->kek_version];
        return true;
      }));
  return counts;
}

absl::StatusOr<uint64_t> CountWrapped(const store::Snapshot& snapshot, const TenantId& tenant,
                                      uint32_t kek_version) {
  return CountResidents(snapshot, tenant,
                        [&](const ResidentId&, absl::string_view row) -> absl::StatusOr<bool> {
                          ASSIGN_OR_RETURN(const RowKeys versions, ReadRowKeys(row));
                          return versions.kek_version == kek_version;
                        });
}

absl::StatusOr<std::map<uint32_t, uint64_t>> CountByDek(const store::Snapshot& snapshot,
                                                        const TenantId& tenant) {
  std::map<uint32_t, uint64_t> counts;
  RETURN_IF_ERROR(ScanResidents(
      snapshot, tenant, "", [&](const ResidentId&, absl::string_view row) -> absl::StatusOr<bool> {
        ASSIGN_OR_RETURN(const RowKeys versions, ReadRowKeys(row));
        ++counts[versions.dek_version];
        return true;
      }));
  return counts;
}

absl::StatusOr<uint64_t> CountPostings(const store::Snapshot& snapshot, const TenantId& tenant,
                                       uint32_t generation) {
  uint64_t count = 0;
  RETURN_IF_ERROR(snapshot.Scan(GenerationPrefix(tenant, generation), "",
                                [&](absl::string_view, absl::string_view) {
                                  ++count;
                                  return true;
                                }));
  return count;
}

absl::StatusOr<uint64_t> CountTags(const store::Snapshot& snapshot, const TenantId& tenant,
                                   uint32_t generation) {
  ASSIGN_OR_RETURN(
      const uint64_t rows,
      CountResidents(snapshot, tenant,
                     [&](const ResidentId& id, absl::string_view row) -> absl::StatusOr<bool> {
                       ASSIGN_OR_RETURN(const Record record, DecodeRecord(id, row));
                       return std::any_of(
                           record.tags.begin(), record.tags.end(),
                           [&](const RowTag& tag) { return tag.generation == generation; });
                     }));
  ASSIGN_OR_RETURN(const uint64_t postings, CountPostings(snapshot, tenant, generation));
  return rows + postings;
}

absl::Status NoVersion() {
  return absl::DataLossError("a resident's row names no key version of this tenant");
}

}  // namespace vault::records
