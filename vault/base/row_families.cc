#include "vault/base/row_families.h"

#include "absl/strings/str_cat.h"

namespace vault {

const RowFamily* FamilyOfRow(absl::string_view key) {
  for (const RowFamily& family : kRowFamilies) {
    if (family.Owns(key)) return &family;
  }
  return nullptr;
}

std::string TenantPrefix(absl::string_view prefix, const TenantId& tenant) {
  return absl::StrCat(prefix, tenant.str(), "/");
}

std::string LogPrefix(absl::string_view prefix, const LogId& log) {
  return absl::StrCat(prefix, log.str(), "/");
}

std::vector<std::string> OffboardedPrefixes(const TenantId& tenant) {
  std::vector<std::string> prefixes = {TenantPrefix(kResidentPrefix, tenant)};
  for (const RowFamily& family : kRowFamilies) {
    if (!family.offboarded || family.prefix == kResidentPrefix) continue;
    prefixes.push_back(TenantPrefix(family.prefix, tenant));
  }
  return prefixes;
}

}  // namespace vault
