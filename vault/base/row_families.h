// Every kind of row that the database holds, by how its key begins: who writes it and which page
// says what is in it. The one place where these beginnings stand; keys are made from the constants.
//
//   const std::string key = absl::StrCat(kApprovalPrefix, id);
//   store.Scan(LogPrefix(kEntryPrefix, log), "", …);
//   for (const std::string& prefix : OffboardedPrefixes(tenant)) Purge(prefix);
//
// A row belongs to exactly one family, so that what walks over the database (a backup that is read
// back, the rotation of a key, an off-boarding) can say that it has met everything. A new family is
// a line here and a line in its page.
#ifndef VAULT_BASE_ROW_FAMILIES_H_
#define VAULT_BASE_ROW_FAMILIES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vault/base/ids.h"

namespace vault {

inline constexpr absl::string_view kArchivePrefix = "a/";
inline constexpr absl::string_view kBackupPrefix = "b/";
inline constexpr absl::string_view kEntryPrefix = "e/";
inline constexpr absl::string_view kApprovalPrefix = "g/";
inline constexpr absl::string_view kHeadPrefix = "h/";
inline constexpr absl::string_view kIndexPrefix = "i/";
inline constexpr absl::string_view kJobPrefix = "j/";
inline constexpr absl::string_view kHandoverPrefix = "k/";
inline constexpr absl::string_view kReplayedPrefix = "l/";
inline constexpr absl::string_view kAcceptedKeyringKey = "m/accepted";
inline constexpr absl::string_view kNewestKeyringKey = "m/keyring";
inline constexpr absl::string_view kKeyringCopiesKey = "m/keyring-copies";
inline constexpr absl::string_view kOriginPrefixKey = "m/origin-prefix";
inline constexpr absl::string_view kRestoredKey = "m/restored";
inline constexpr absl::string_view kSchemaKey = "m/schema";
inline constexpr absl::string_view kLogGenerationPrefix = "n/";
inline constexpr absl::string_view kIntentPrefix = "o/";
inline constexpr absl::string_view kPrunedPrefix = "p/";
inline constexpr absl::string_view kRequestPrefix = "q/";
inline constexpr absl::string_view kResidentPrefix = "r/";
inline constexpr absl::string_view kSeatPrefix = "s/";
inline constexpr absl::string_view kSubtreePrefix = "t/";
inline constexpr absl::string_view kResidentRequestPrefix = "u/";
inline constexpr absl::string_view kCosignedPrefix = "w/";
inline constexpr absl::string_view kErasurePrefix = "x/";
inline constexpr absl::string_view kRosterPrefix = "y/";

struct RowFamily {
  // What stands behind the prefix: a tenant and "/", a log, or neither; or nothing, where there is
  // one row, whose whole key `prefix` is.
  enum class Key { kTenant, kLog, kService, kSingle };

  constexpr bool Owns(absl::string_view key) const {
    return key.substr(0, prefix.size()) == prefix &&
           (of != Key::kSingle || key.size() == prefix.size());
  }

  absl::string_view prefix;
  Key of;
  absl::string_view name;
  absl::string_view owner;  // the module that knows what is in it: vault/<owner>
  absl::string_view page;   // describes its bytes
  // All of it is sealed rows (crypto/sealed_row.h), and nothing else is: the rotation of the key
  // that MACs them goes by this.
  bool sealed = false;
  // It goes when its tenant is off-boarded.
  bool offboarded = false;
};

// In the order of their prefixes, which is that of their rows.
inline constexpr RowFamily kRowFamilies[] = {
    {kArchivePrefix, RowFamily::Key::kLog, "rows that made way for a successor log", "recovery",
     "vault/audit/FORMAT.md"},
    {kBackupPrefix, RowFamily::Key::kService, "backups", "inventory", "vault/inventory/FORMAT.md",
     /*sealed=*/true},
    {kEntryPrefix, RowFamily::Key::kLog, "entries", "audit", "vault/audit/FORMAT.md"},
    {kApprovalPrefix, RowFamily::Key::kService, "approvals", "grants", "vault/grants/FORMAT.md",
     /*sealed=*/true},
    {kHeadPrefix, RowFamily::Key::kLog, "heads of logs", "audit", "vault/audit/FORMAT.md"},
    {kIndexPrefix, RowFamily::Key::kTenant, "postings", "records", "vault/records/FORMAT.md",
     /*sealed=*/false, /*offboarded=*/true},
    {kJobPrefix, RowFamily::Key::kLog, "jobs", "jobs", "vault/inventory/FORMAT.md",
     /*sealed=*/true},
    {kHandoverPrefix, RowFamily::Key::kLog, "handovers of logs' keys", "audit",
     "vault/audit/FORMAT.md"},
    {kReplayedPrefix, RowFamily::Key::kLog, "what was replayed", "recovery",
     "vault/audit/FORMAT.md"},
    {kAcceptedKeyringKey, RowFamily::Key::kSingle, "an accepted keyring", "recovery",
     "vault/audit/FORMAT.md"},
    {kNewestKeyringKey, RowFamily::Key::kSingle, "the newest keyring", "audit",
     "vault/audit/FORMAT.md"},
    {kKeyringCopiesKey, RowFamily::Key::kSingle, "that copies of the keyring are kept", "inventory",
     "vault/inventory/FORMAT.md", /*sealed=*/true},
    {kOriginPrefixKey, RowFamily::Key::kSingle, "what logs' names begin with", "audit",
     "vault/audit/FORMAT.md", /*sealed=*/true},
    {kRestoredKey, RowFamily::Key::kSingle, "a restore that no start has followed", "inventory",
     "vault/inventory/FORMAT.md", /*sealed=*/true},
    {kSchemaKey, RowFamily::Key::kSingle, "the schema that shaped the rows", "recovery",
     "vault/inventory/FORMAT.md", /*sealed=*/true},
    {kLogGenerationPrefix, RowFamily::Key::kLog, "log generations", "audit",
     "vault/audit/FORMAT.md", /*sealed=*/true},
    {kIntentPrefix, RowFamily::Key::kLog, "intents", "jobs", "vault/inventory/FORMAT.md",
     /*sealed=*/true},
    {kPrunedPrefix, RowFamily::Key::kLog, "records of pruned beginnings", "audit",
     "vault/audit/FORMAT.md"},
    {kRequestPrefix, RowFamily::Key::kTenant, "remembered requests", "pipeline",
     "vault/inventory/FORMAT.md", /*sealed=*/false, /*offboarded=*/true},
    {kResidentPrefix, RowFamily::Key::kTenant, "residents", "records", "vault/records/FORMAT.md",
     /*sealed=*/false, /*offboarded=*/true},
    // A seat speaks of staff, not of residents, and outlives its tenant as the trail does.
    {kSeatPrefix, RowFamily::Key::kTenant, "seats", "grants", "vault/grants/FORMAT.md",
     /*sealed=*/true},
    {kSubtreePrefix, RowFamily::Key::kLog, "roots of subtrees", "audit", "vault/audit/FORMAT.md"},
    {kResidentRequestPrefix, RowFamily::Key::kTenant, "remembered requests by resident", "pipeline",
     "vault/inventory/FORMAT.md", /*sealed=*/false, /*offboarded=*/true},
    {kCosignedPrefix, RowFamily::Key::kLog, "cosigned checkpoints", "publish",
     "vault/audit/FORMAT.md"},
    {kErasurePrefix, RowFamily::Key::kTenant, "erasures", "inventory", "vault/inventory/FORMAT.md",
     /*sealed=*/true},
    {kRosterPrefix, RowFamily::Key::kService, "seats that are proposed", "grants",
     "vault/grants/FORMAT.md", /*sealed=*/true},
};

// The family that owns this row; null for a row of none, which no version of the vault writes.
const RowFamily* FamilyOfRow(absl::string_view key);

// What the keys of a family's rows begin with that are of this tenant, or of this log where more
// than one row of a log is in the family: `prefix`, the id, "/".
std::string TenantPrefix(absl::string_view prefix, const TenantId& tenant);
std::string LogPrefix(absl::string_view prefix, const LogId& log);
// What the rows begin with that go when this tenant is off-boarded. Its residents come first: what
// is cut off leaves no resident whose index is gone.
std::vector<std::string> OffboardedPrefixes(const TenantId& tenant);

}  // namespace vault

#endif  // VAULT_BASE_ROW_FAMILIES_H_
