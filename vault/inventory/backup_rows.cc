#include "vault/inventory/backup_rows.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/audit/heads.h"
#include "vault/audit/layout.h"
#include "vault/audit/pruned.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/records/records.h"
#include "vault/tlog/entry.h"

namespace vault::inventory {
namespace {

using row::v1::BackupRow;

absl::Status DamagedRow() { return absl::DataLossError("a backup's row is damaged"); }

std::string Seal(const keys::Keyring& keyring, absl::string_view key, uint64_t seq,
                 const BackupRow& row) {
  return keyring.SealRow(key, seq, row.SerializeAsString());
}

absl::StatusOr<absl::optional<BackupRow>> Read(const store::Store& store,
                                               const keys::Keyring& keyring,
                                               const std::string& key) {
  std::string bytes;
  const absl::Status found = store.Get(key, &bytes);
  if (absl::IsNotFound(found)) return absl::optional<BackupRow>();
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed, keyring.OpenRow(key, bytes));
  BackupRow row;
  if (!row.ParseFromString(sealed.content)) return DamagedRow();
  return absl::make_optional(std::move(row));
}

// What a walk over all rows of a backup finds.
class Reader {
 public:
  explicit Reader(const keys::Keyring& keyring) : keyring_(keyring) {}

  absl::Status Take(absl::string_view key, absl::string_view value) {
    if (absl::StartsWith(key, kHeadPrefix)) {
      ASSIGN_OR_RETURN(const LogId log, LogId::Parse(key.substr(kHeadPrefix.size())));
      ASSIGN_OR_RETURN(const audit::LogHead head, audit::DecodeHead(value));
      heads_.emplace(log, head);
      return absl::OkStatus();
    }
    if (absl::StartsWith(key, kResidentPrefix)) return TakeResident(key, value);
    return absl::OkStatus();
  }

  absl::Status Finish(const store::Store& copy, BackupRow* row) const {
    row->clear_logs();
    for (const auto& [log, head] : heads_) {
      RETURN_IF_ERROR(audit::CheckHead(copy, log, head));
      BackupRow::Log* of = row->add_logs();
      of->set_log(std::string(log.str()));
      of->set_size(head.edge.size());
    }
    row->clear_contents();
    for (const auto& [of, residents] : residents_) {
      BackupRow::Content* content = row->add_contents();
      content->set_tenant(std::string(of.first.str()));
      content->set_kek_version(of.second);
      content->set_residents(residents);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status TakeResident(absl::string_view key, absl::string_view value) {
    const absl::StatusOr<TenantId> tenant = TenantId::Parse(key.substr(kResidentPrefix.size(), 6));
    if (!tenant.ok()) return absl::DataLossError("a resident's row is of no tenant");
    const std::string prefix = records::RecordPrefix(*tenant);
    const absl::StatusOr<ResidentId> id =
        absl::StartsWith(key, prefix) ? ResidentId::FromBytes(key.substr(prefix.size()))
                                      : absl::DataLossError("a resident's row has no handle");
    RETURN_IF_ERROR(id.status());
    ASSIGN_OR_RETURN(records::Record record, records::DecodeRecord(*id, value));
    ++residents_[{*tenant, record.kek_version}];
    const std::shared_ptr<const keys::TenantKeys> keys = keyring_.Tenant(*tenant);
    // A resident whose key was destroyed is counted, and stays unreadable.
    if (keys == nullptr || keys->FindKek(record.kek_version) == nullptr) return absl::OkStatus();
    return records_.Unlock(*tenant, *keys, std::move(record)).status();
  }

  const keys::Keyring& keyring_;
  const records::Records records_{&SystemRandom()};
  std::map<LogId, audit::LogHead> heads_;
  std::map<std::pair<TenantId, uint32_t>, uint64_t> residents_;
};

}  // namespace

std::string BackupKey(uint32_t number) {
  std::string key(kBackupPrefix);
  AppendU32(number, &key);
  return key;
}

std::string FormatBackupMetadata(const BackupMetadata& metadata) {
  return absl::StrCat(metadata.vault_id, " ", metadata.keyring_serial, " ", metadata.job, " ",
                      absl::StrJoin(metadata.mac_keys, ","));
}

absl::StatusOr<BackupMetadata> ParseBackupMetadata(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  BackupMetadata metadata;
  const absl::Status none = absl::DataLossError("a backup's metadata is none of a vault's");
  if (parts.size() != 4 || parts[0].empty() || parts[2].empty() ||
      !absl::SimpleAtoi(parts[1], &metadata.keyring_serial)) {
    return none;
  }
  for (const absl::string_view part : absl::StrSplit(parts[3], ',')) {
    uint32_t version = 0;
    if (!absl::SimpleAtoi(part, &version) || version == 0) return none;
    metadata.mac_keys.push_back(version);
  }
  metadata.vault_id = parts[0];
  metadata.job = parts[2];
  return metadata;
}

BackupRow BackupRowOf(const store::BackupFiles& files) {
  BackupRow row;
  row.set_number(files.number);
  row.set_created_us(absl::ToUnixMicros(files.created));
  row.set_bytes(files.bytes);
  for (const uint32_t key_id : files.key_ids) row.add_storage_keys(key_id);
  const absl::StatusOr<BackupMetadata> metadata = ParseBackupMetadata(files.metadata);
  if (metadata.ok()) {
    row.set_keyring_serial(metadata->keyring_serial);
    row.mutable_mac_keys()->Add(metadata->mac_keys.begin(), metadata->mac_keys.end());
  }
  return row;
}

absl::StatusOr<std::vector<uint32_t>> BackupNumbers(const store::Store& store) {
  std::vector<uint32_t> numbers;
  absl::Status bad;
  RETURN_IF_ERROR(store.Scan(kBackupPrefix, "", [&](absl::string_view key, absl::string_view) {
    ByteReader in(key.substr(kBackupPrefix.size()));
    const uint32_t number = in.U32();
    bad = in.Done() ? absl::OkStatus() : DamagedRow();
    numbers.push_back(number);
    return bad.ok();
  }));
  RETURN_IF_ERROR(bad);
  return numbers;
}

namespace {

// A row that opens, and the entry of the service's log that wrote it.
struct TiedRow {
  BackupRow row;
  uint64_t seq = 0;
};

// The entries of the service's log that change a backup or its row.
constexpr absl::string_view kBackupEntry = "{\"action\":\"backup.";
constexpr absl::string_view kMade = "backup.made";
constexpr absl::string_view kReadBack = "backup.read_back";
constexpr absl::string_view kDisqualify = "backup.disqualify";
constexpr absl::string_view kDelete = "backup.delete";

bool ChangesBackup(const tlog::EntryFields& entry) {
  if (entry.action == kDelete) return entry.decision == "ALLOW" && entry.outcome == "OK";
  return entry.action == kMade || entry.action == kReadBack || entry.action == kDisqualify;
}

// The newest of those entries for each number, from `from` on.
struct LastEntry {
  uint64_t seq = 0;
  std::string action;
  bool good = false;
};
absl::StatusOr<std::map<uint32_t, LastEntry>> LastEntries(const store::Snapshot& snapshot,
                                                          uint64_t from) {
  const LogId log = LogId::Service();
  std::map<uint32_t, LastEntry> last;
  absl::Status bad;
  RETURN_IF_ERROR(snapshot.Scan(audit::EntryPrefix(log), audit::EntryKey(log, from),
                                [&](absl::string_view, absl::string_view bytes) {
                                  // Most entries are about something else: not decoded. An action
                                  // stands first in its entry.
                                  if (!absl::StartsWith(bytes, kBackupEntry)) return true;
                                  absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
                                  bad = entry.status();
                                  if (!bad.ok()) return false;
                                  if (!ChangesBackup(entry->fields)) return true;
                                  last[static_cast<uint32_t>(entry->fields.version)] = {
                                      entry->place.seq, std::move(entry->fields.action),
                                      entry->fields.outcome == "OK"};
                                  return true;
                                }));
  RETURN_IF_ERROR(bad);
  return last;
}

// Whether the row is what the trail says last of this backup. Its own entry may be pruned, years
// later.
bool IsNewest(const TiedRow& tied, const std::map<uint32_t, LastEntry>& last, uint64_t begin) {
  const auto it = last.find(tied.row.number());
  if (it == last.end()) return tied.seq < begin;
  const bool wrote = it->second.action == kReadBack || it->second.action == kDisqualify;
  const bool counts = it->second.action == kReadBack && it->second.good;
  return wrote && it->second.seq == tied.seq && counts == (tied.row.verified_us() != 0);
}

// The rows, read from one snapshot with the trail that they are checked against. A row that was put
// back to an older state, or that the trail does not know, proves nothing: what it says of a
// reading is taken out of it. The row of a backup that was deleted since is left out.
absl::StatusOr<std::map<uint32_t, BackupRow>> HeldRows(const store::Snapshot& snapshot,
                                                       const keys::Keyring& keyring) {
  std::map<uint32_t, TiedRow> tied;
  absl::Status bad;
  RETURN_IF_ERROR(
      snapshot.Scan(kBackupPrefix, "", [&](absl::string_view key, absl::string_view bytes) {
        const absl::StatusOr<crypto::SealedRow> sealed = keyring.OpenRow(key, bytes);
        bad = sealed.status();
        if (!bad.ok()) return false;
        TiedRow row;
        row.seq = sealed->seq;
        if (!row.row.ParseFromString(sealed->content) || BackupKey(row.row.number()) != key) {
          bad = DamagedRow();
        }
        tied.emplace(row.row.number(), std::move(row));
        return bad.ok();
      }));
  RETURN_IF_ERROR(bad);
  std::map<uint32_t, BackupRow> rows;
  if (tied.empty()) return rows;
  uint64_t from = std::numeric_limits<uint64_t>::max();
  for (const auto& [number, row] : tied) from = std::min(from, row.seq);
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(snapshot, LogId::Service()));
  ASSIGN_OR_RETURN(const auto last, LastEntries(snapshot, from));
  for (auto& [number, row] : tied) {
    const auto it = last.find(number);
    if (it != last.end() && it->second.action == kDelete) continue;
    if (!IsNewest(row, last, pruned.begin)) {
      VAULT_LOG(WARNING) << "the row of backup " << number
                         << " is not what the trail says last of it: it counts as not read back";
      ForgetReading(&row.row);
    }
    rows.emplace(number, std::move(row.row));
  }
  // Backups made since whose row is gone, or not there yet.
  for (const auto& [number, entry] : last) {
    if (entry.action != kDelete) rows[number].set_number(number);
  }
  return rows;
}

// Whether the backup needs a destroyed key of the service, by what is known of it.
bool NeedsDestroyedKey(const keys::Keyring& keyring, const BackupRow& row) {
  const auto needs = [&](keys::ServiceKey what, const auto& versions) {
    const std::vector<keys::KeyInfo> infos = keyring.Infos(what);
    return std::any_of(infos.begin(), infos.end(), [&](const keys::KeyInfo& info) {
      return info.state == keys::KeyState::kDestroyed &&
             std::count(versions.begin(), versions.end(), info.version) != 0;
    });
  };
  return needs(keys::ServiceKey::kStorage, row.storage_keys()) ||
         needs(keys::ServiceKey::kMac, row.mac_keys());
}

// The backup with what its row says, where the row is about these files: a number may have been
// another backup's. Files whose metadata does not name this vault count as damaged: it could not
// read them.
StoredBackup Joined(const keys::Keyring& keyring, const store::BackupFiles& files,
                    const BackupRow* row) {
  StoredBackup backup;
  const absl::StatusOr<BackupMetadata> metadata = ParseBackupMetadata(files.metadata);
  const bool own = metadata.ok() && metadata->vault_id == keyring.vault_id();
  backup.state = own && !files.damaged ? BackupState::kPresent : BackupState::kDamaged;
  backup.row = BackupRowOf(files);
  const bool created_known = files.created != absl::Time();
  backup.has_row =
      row != nullptr && (!created_known || row->created_us() == absl::ToUnixMicros(files.created));
  if (backup.has_row) {
    backup.row = *row;
    for (const uint32_t key_id : files.key_ids) {
      const auto& known = row->storage_keys();
      if (std::count(known.begin(), known.end(), key_id) == 0) backup.row.add_storage_keys(key_id);
    }
  }
  if ((own || backup.has_row) && NeedsDestroyedKey(keyring, backup.row)) {
    backup.state = BackupState::kKeyDestroyed;
  }
  return backup;
}

}  // namespace

void ForgetReading(BackupRow* row) {
  row->clear_verified_us();
  row->clear_contents();
  row->clear_logs();
}

absl::StatusOr<std::vector<StoredBackup>> ReadBackups(
    const store::Store& store, const keys::Keyring& keyring,
    const std::vector<store::BackupFiles>& files) {
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot, store.TakeSnapshot());
  ASSIGN_OR_RETURN(auto rows, HeldRows(*snapshot, keyring));
  std::vector<StoredBackup> all;
  for (const store::BackupFiles& of : files) {
    const auto it = rows.find(of.number);
    all.push_back(Joined(keyring, of, it == rows.end() ? nullptr : &it->second));
    rows.erase(of.number);
  }
  for (auto& [number, row] : rows) all.push_back({BackupState::kMissing, std::move(row), true});
  std::sort(all.begin(), all.end(), [](const StoredBackup& a, const StoredBackup& b) {
    return a.row.number() < b.row.number();
  });
  return all;
}

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutBackupRows(
    const keys::Keyring* keyring, std::vector<BackupRow> rows) {
  return [keyring, rows = std::move(rows)](uint64_t seq, store::Batch* writes) {
    for (const BackupRow& row : rows) {
      const std::string key = BackupKey(row.number());
      writes->Put(key, Seal(*keyring, key, seq++, row));
    }
  };
}

absl::Status ReadBackRows(const store::Store& copy, const keys::Keyring& keyring,
                          absl::FunctionRef<bool()> go_on, BackupRow* row) {
  Reader reader(keyring);
  absl::Status bad;
  RETURN_IF_ERROR(copy.Scan("", "", [&](absl::string_view key, absl::string_view value) {
    bad = go_on() ? reader.Take(key, value) : absl::CancelledError("stopped");
    return bad.ok();
  }));
  RETURN_IF_ERROR(bad);
  return reader.Finish(copy, row);
}

std::string SealRestored(const keys::Keyring& keyring, const BackupRow& row) {
  return Seal(keyring, kRestoredKey, /*seq=*/0, row);
}

absl::StatusOr<absl::optional<BackupRow>> ReadRestored(const store::Store& store,
                                                       const keys::Keyring& keyring) {
  return Read(store, keyring, std::string(kRestoredKey));
}

}  // namespace vault::inventory
