#include "vault/engine/backup_rows.h"

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/audit/heads.h"
#include "vault/audit/layout.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/records/records.h"

namespace vault::engine {
namespace {

using row::v1::BackupRow;

constexpr absl::string_view kResidentPrefix = "r/";

absl::Status DamagedRow() { return absl::DataLossError("a backup's row is damaged"); }

std::string Seal(const keys::Keyring& keyring, absl::string_view key, uint64_t seq,
                 const BackupRow& row) {
  const SecretBytes<crypto::kKeySize> mac_key = keyring.row_mac_key();
  return crypto::SealRow(crypto::MacKey(mac_key), key, seq, row.SerializeAsString());
}

absl::StatusOr<absl::optional<BackupRow>> Read(const store::Store& store,
                                               const keys::Keyring& keyring,
                                               const std::string& key) {
  std::string bytes;
  const absl::Status found = store.Get(key, &bytes);
  if (absl::IsNotFound(found)) return absl::optional<BackupRow>();
  RETURN_IF_ERROR(found);
  const SecretBytes<crypto::kKeySize> mac_key = keyring.row_mac_key();
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed,
                   crypto::OpenRow(crypto::MacKey(mac_key), key, bytes));
  BackupRow row;
  if (!row.ParseFromString(sealed.content)) return DamagedRow();
  return absl::make_optional(std::move(row));
}

// What a walk over all rows of a backup finds.
class Reader {
 public:
  explicit Reader(const keys::Keyring& keyring) : keyring_(keyring) {}

  absl::Status Take(absl::string_view key, absl::string_view value) {
    if (absl::StartsWith(key, audit::kHeadPrefix)) {
      ASSIGN_OR_RETURN(const LogId log, LogId::Parse(key.substr(audit::kHeadPrefix.size())));
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
    // Whose key was destroyed is counted, and stays unreadable.
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
  for (int shift = 24; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

std::string FormatBackupMetadata(const BackupMetadata& metadata) {
  return absl::StrCat(metadata.vault_id, " ", metadata.keyring_serial, " ", metadata.job);
}

absl::StatusOr<BackupMetadata> ParseBackupMetadata(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  BackupMetadata metadata;
  if (parts.size() != 3 || parts[0].empty() || parts[2].empty() ||
      !absl::SimpleAtoi(parts[1], &metadata.keyring_serial)) {
    return absl::DataLossError("a backup's metadata is none of a vault's");
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
  if (metadata.ok()) row.set_keyring_serial(metadata->keyring_serial);
  return row;
}

absl::StatusOr<absl::optional<BackupRow>> ReadBackupRow(const store::Store& store,
                                                        const keys::Keyring& keyring,
                                                        const store::BackupFiles& files) {
  ASSIGN_OR_RETURN(absl::optional<BackupRow> row, Read(store, keyring, BackupKey(files.number)));
  if (!row.has_value()) return row;
  if (row->number() != files.number) return DamagedRow();
  if (row->created_us() != absl::ToUnixMicros(files.created)) row.reset();
  return row;
}

absl::AnyInvocable<void(uint64_t seq, store::Batch* writes)> PutBackupRow(
    const keys::Keyring* keyring, BackupRow row) {
  return [keyring, row = std::move(row)](uint64_t seq, store::Batch* writes) {
    const std::string key = BackupKey(row.number());
    writes->Put(key, Seal(*keyring, key, seq, row));
  };
}

absl::Status ReadBack(const store::Store& copy, const keys::Keyring& keyring,
                      absl::FunctionRef<bool()> go_on, BackupRow* row) {
  Reader reader(keyring);
  absl::Status bad;
  RETURN_IF_ERROR(
      copy.NewSnapshot()->Scan("", "", [&](absl::string_view key, absl::string_view value) {
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

}  // namespace vault::engine
