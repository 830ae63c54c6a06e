#include "vault/usecases/approvals/effects.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "vault/audit/pruned.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/inventory/backup_rows.h"
#include "vault/inventory/key_files.h"
#include "vault/inventory/key_kinds.h"
#include "vault/tlog/statement.h"

namespace vault::usecases {
namespace {

using grants::Operation;
using grants::OperationKind;
using inventory::BackupState;
using inventory::RootKeyFingerprint;
using inventory::StoredBackup;
using keys::KeyState;
using keys::TenantKey;

// "1, 2, 3" of those that still have a key.
std::string Remaining(const std::vector<keys::KeyInfo>& infos) {
  std::vector<std::string> versions;
  for (const keys::KeyInfo& info : infos) {
    if (info.state != KeyState::kDestroyed) versions.push_back(absl::StrCat(info.version));
  }
  return absl::StrJoin(versions, ", ");
}

}  // namespace

// Line by line, in both languages.
class Effects::Text {
 public:
  void Add(absl::string_view ja, absl::string_view en) {
    absl::StrAppend(&effect_.text_ja, ja, "\n");
    absl::StrAppend(&effect_.text_en, en, "\n");
  }
  Effect Finish() && {
    effect_.digest = BytesToHex(crypto::Sha256({effect_.text_en}));
    return std::move(effect_);
  }

 private:
  Effect effect_;
};

absl::StatusOr<Effect> Effects::Of(const Operation& operation, absl::Time now) const {
  switch (operation.kind) {
    case OperationKind::kDestroyKey:
      return OfDestroy(operation);
    case OperationKind::kOffboardTenant:
      return OfOffboard(operation);
    case OperationKind::kRotateRoot:
      return OfRootRotation();
    case OperationKind::kAttestCopiesDestroyed:
      return OfAttestation(operation);
    case OperationKind::kRotateLogKey:
      return OfLogKey(operation);
    case OperationKind::kPruneLog:
      return OfPruning(operation, now);
    case OperationKind::kSeats:
      break;  // seat_changes.h
  }
  return BadField("operation", "one of the operations");
}

void Effects::AddCopies(Text* text) const {
  if (options_->keyring_copies_dir.empty()) {
    text->Add("この保管庫は鍵束の写しを作っていません。",
              "The vault keeps no copies of the keyring.");
  } else {
    text->Add(
        "保管庫自身のフォルダーにある、それより古い鍵束の写しは削除し、新しい写しを 1 つ作ります。",
        "Copies of the keyring in the vault's own folder that are older than that are deleted, "
        "and a new one is made.");
  }
  text->Add(
      "それ以外の場所にある鍵束の写しには及びません。写しと、それを封じたルート鍵を持つ者は、写しが"
      "破棄されるまで、古い鍵を使えます。",
      "Copies of the keyring elsewhere are not reached: whoever has one, and the root key that "
      "sealed it, has the old keys until it is destroyed.");
}

namespace {

// What is said of a backup whose content nobody can know now; empty of one that was read back.
BothNames Unknown(const StoredBackup& backup) {
  switch (backup.state) {
    case BackupState::kMissing:
      return {"フォルダーに見当たらず中身は不明", "not in its folder, what is in it is not known"};
    case BackupState::kDamaged:
      return {"破損しており中身は不明", "damaged, what is in it is not known"};
    case BackupState::kPresent:
    case BackupState::kKeyDestroyed:
      break;
  }
  if (backup.verified()) return {};
  return {"未検証で中身は不明", "not verified, what is in it is not known"};
}

// The backups that an operation makes unreadable, each with its number and its day.
template <typename Backups>
BothNames ListOf(const Backups& backups, bool with_residents) {
  BothNames list;
  for (const auto& backup : backups) {
    const uint32_t number = backup.row.number();
    // Of one whose list of files is damaged, and that has no row, the day is not known either.
    const std::string day =
        backup.row.created_us() == 0
            ? ""
            : absl::FormatTime("%Y-%m-%d", backup.created(), absl::UTCTimeZone());
    absl::StrAppend(&list.ja, list.ja.empty() ? "" : "、", number, " 番(",
                    day.empty() ? "作成日不明" : absl::StrCat(day, " 作成"));
    absl::StrAppend(&list.en, list.en.empty() ? "" : ", ", "number ", number,
                    day.empty() ? "" : " of ", day);
    const BothNames unknown = Unknown(backup);
    if (!unknown.en.empty()) {
      absl::StrAppend(&list.ja, "、", unknown.ja);
      absl::StrAppend(&list.en, " (", unknown.en, ")");
    } else if (with_residents) {
      absl::StrAppend(&list.ja, "、該当する住民 ", backup.residents, " 件");
      absl::StrAppend(&list.en, " (", backup.residents, " residents)");
    }
    absl::StrAppend(&list.ja, ")");
  }
  return list;
}

}  // namespace

void Effects::AddBackups(const Operation& operation,
                         const std::vector<OperationState::Backup>& backups, Text* text) const {
  if (options_->backups == nullptr && backups.empty()) {
    text->Add(
        "この保管庫はバックアップを作っていません。別の方法で作られたデータベースの写しがこの鍵を"
        "必要とするかは分かりません。",
        "The vault makes no backups. Whether copies of the database that were made by other means "
        "need this key is not known.");
    return;
  }
  if (backups.empty()) {
    text->Add("読めなくなるバックアップ: なし。", "Backups that become unreadable: none.");
    return;
  }
  BothNames what{"該当する住民が読めなくなるバックアップ: ",
                 "Backups in which those residents become unreadable: "};
  if (operation.key == "index") {
    what = {"住民を検索できなくなるバックアップ(復元後に索引鍵を更新すると再び検索できます): ",
            "Backups whose residents, once restored, are not found by a search until the index is "
            "rotated: "};
  } else if (operation.key == "storage") {
    what = {"全体が読めなくなるバックアップ: ", "Backups that become unreadable as a whole: "};
  } else if (operation.key == "mac") {
    what = {"復元できなくなるバックアップ: ", "Backups that can no longer be restored: "};
  }
  const BothNames list = ListOf(backups, operation.tenant.has_value());
  text->Add(absl::StrCat(what.ja, list.ja,
                         "。この鍵を必要としない、より新しい検証済みのバックアップがあります。"),
            absl::StrCat(what.en, list.en,
                         ". A newer, verified one that does not need this key is there."));
}

absl::StatusOr<Effect> Effects::OfDestroy(const Operation& operation) const {
  RETURN_IF_ERROR(state_.CheckDestroyable(operation));
  RETURN_IF_ERROR(state_.CheckCopiesThere());
  const BothNames name = NameOf(operation);
  const BothNames what = operation.key == "storage" ? BothNames{"ファイル", "Files"}
                         : operation.key == "mac"   ? BothNames{"行", "Rows"}
                                                    : BothNames{"住民", "Residents"};
  uint32_t newer;
  ASSIGN_OR_RETURN(const std::vector<OperationState::Backup> backups,
                   state_.BackupsThatNeed(operation, &newer));
  if (!backups.empty() && newer == 0) {
    return CannotNow(
        absl::StrCat("backups need this key (", ListOf(backups, operation.tenant.has_value()).en,
                     "); make a newer one first, which does not, and have it verified"),
        "NO_NEWER_BACKUP");
  }
  Text text;
  text.Add(absl::StrCat(name.ja, " を完全に破棄します。"),
           absl::StrCat("Destroys ", name.en, " for good."));
  text.Add(absl::StrCat(
               "この鍵の下にある", what.ja,
               ": 0 件(走査で数えた値)。実行時にもう一度数え、0 件でなければ何も破棄しません。"),
           absl::StrCat(
               what.en,
               " under it: 0, counted by a scan. They are counted again when it is carried out; "
               "unless it is 0 then, nothing is destroyed."));
  AddBackups(operation, backups, &text);
  AddCopies(&text);
  text.Add("残るもの: すべての住民、監査ログ、ほかのすべての鍵。",
           "Stays: every resident, the trail, every other key.");
  text.Add("取り消せません。", "It cannot be undone.");
  return std::move(text).Finish();
}

absl::StatusOr<Effect> Effects::OfOffboard(const Operation& operation) const {
  const TenantId& tenant = *operation.tenant;
  const std::shared_ptr<const keys::TenantKeys> keys = options_->keyring->Tenant(tenant);
  if (keys == nullptr) {
    return Reason(absl::NotFoundError("this tenant has no keys here"), "NOT_FOUND");
  }
  if (keys->offboarded) return CannotNow("this tenant is off-boarded already", "OFFBOARDED");
  RETURN_IF_ERROR(state_.CheckIdle(tenant));
  RETURN_IF_ERROR(state_.CheckCopiesThere());
  ASSIGN_OR_RETURN(const uint64_t residents, state_.CountResidents(tenant));
  uint32_t newer;
  ASSIGN_OR_RETURN(const std::vector<OperationState::Backup> backups,
                   state_.BackupsThatNeed(operation, &newer));
  const std::string keks = Remaining(options_->keyring->Infos(tenant, TenantKey::kKek));
  const std::string indexes = Remaining(options_->keyring->Infos(tenant, TenantKey::kIndex));
  Text text;
  text.Add(absl::StrCat("自治体 ", tenant.str(),
                        " の利用を終え、ログの署名鍵を除くすべての鍵を破棄します。"),
           absl::StrCat("Off-boards tenant ", tenant.str(),
                        ": destroys all of its keys but those that sign its log."));
  text.Add(absl::StrCat("ただちに読めなくなる住民: ", residents,
                        " 件(走査で数えた値)"
                        "。実行までに登録された住民も含みます。その後、行と索引を削除します。"),
           absl::StrCat(
               "Residents that become unreadable at once: ", residents,
               ", counted by a scan, and those that are stored until then. Their rows and index "
               "entries are removed after that."));
  text.Add(absl::StrCat("破棄する鍵: KEK バージョン ", keks, "、索引鍵 第 ", indexes,
                        " 世代、リクエスト ID の鍵。"),
           absl::StrCat("Keys destroyed: KEK versions ", keks, "; index key generations ", indexes,
                        "; the key of request ids."));
  if (options_->backups == nullptr && backups.empty()) {
    text.Add(
        "この保管庫はバックアップを作っていません。別の方法で作られたデータベースの写しの中の、"
        "この自治体の住民も読めなくなります。",
        "The vault makes no backups. In copies of the database that were made by other means the "
        "tenant's residents become unreadable too.");
  } else if (backups.empty()) {
    text.Add("この自治体の住民が読めなくなるバックアップ: なし。",
             "Backups in which the tenant's residents become unreadable: none.");
  } else {
    const BothNames list = ListOf(backups, true);
    text.Add(
        absl::StrCat("この自治体の住民が読めなくなるバックアップ: ", list.ja, "。"),
        absl::StrCat("Backups in which the tenant's residents become unreadable: ", list.en, "."));
  }
  AddCopies(&text);
  text.Add(
      "残るもの: この自治体の監査ログとその署名鍵(検証と書き出しは今までどおりできます)、承認、"
      "ジョブ、消去の証明、ほかの自治体のすべて。",
      "Stays: the tenant's trail and the keys that sign it, so that it is verified and exported "
      "as before; approvals, jobs, what certificates of erasure rest on; everything of other "
      "tenants.");
  text.Add("この自治体コードは、この保管庫では二度と使えません。取り消せません。",
           "This tenant's code can never be used again in this vault. It cannot be undone.");
  return std::move(text).Finish();
}

absl::StatusOr<Effect> Effects::OfRootRotation() const {
  RETURN_IF_ERROR(state_.CheckCopiesThere());
  ASSIGN_OR_RETURN(const keys::RootKey next, state_.NextRootKey());
  const std::string fingerprint = RootKeyFingerprint(next);
  const absl::StatusOr<keys::RootKey> now =
      keys::RootKey::Load(options_->root_key_file, options_->arena);
  if (now.ok() && RootKeyFingerprint(*now) == fingerprint) {
    return CannotNow("the next root key is the one that there is", "NO_NEXT_ROOT_KEY");
  }
  const uint32_t generation = options_->keyring->root_generation() + 1;
  Text text;
  text.Add(absl::StrCat("鍵束を、次のルート鍵(識別子 ", fingerprint, ")で封じ直します。第 ",
                        generation, " 世代のルート鍵になります。"),
           absl::StrCat("Seals the keyring anew under the next root key, whose fingerprint is ",
                        fingerprint, ". It is the root key's generation ", generation, "."));
  text.Add("「<ルート鍵のファイル>.next」が今のルート鍵のファイルに置き換わります。",
           "`<root key file>.next` takes the place of the root key's file.");
  text.Add("今のルート鍵では、封じ直した鍵束は開けません。",
           "The root key of today does not open the keyring any more.");
  AddCopies(&text);
  text.Add("残るもの: すべての鍵、住民、監査ログ、バックアップ。読めなくなる住民はありません。",
           "Stays: every key, resident, trail and backup. No resident becomes unreadable.");
  text.Add("取り消せません。", "It cannot be undone.");
  return std::move(text).Finish();
}

absl::StatusOr<Effect> Effects::OfAttestation(const Operation& operation) const {
  if (operation.version > options_->keyring->serial()) {
    return CannotNow(absl::StrCat("the keyring's serial is ", options_->keyring->serial()),
                     "UNKNOWN_SERIAL");
  }
  Text text;
  text.Add(
      absl::StrCat("次のことを二人で証言します: 通し番号が ", operation.version,
                   " より小さい鍵束の写しは、保管庫自身のフォルダーの外にはもう存在しないか、"
                   "それを開けるルート鍵がすべて破棄されている。"),
      absl::StrCat("Two people state: of every copy of the keyring with a serial below ",
                   operation.version,
                   ", outside the vault's own folder, either the copy is destroyed or every root "
                   "key that opens it."));
  text.Add("消去の証明書は、この証言をもとに消去を「最終」とします。",
           "Certificates of erasure call an erasure final on this word.");
  text.Add("データは何も変わらず、何も削除されません。承認した後は取り消せません。",
           "No data changes and nothing is deleted. Once approved it cannot be withdrawn.");
  return std::move(text).Finish();
}

namespace {

// What a log is called, in both languages.
BothNames NameOf(const LogId& log, absl::string_view origin) {
  if (log.is_service()) {
    return {absl::StrCat("保管庫自身の監査ログ(", origin, ")"),
            absl::StrCat("the service's own log (", origin, ")")};
  }
  return {absl::StrCat("自治体 ", log.str(), " の監査ログ(", origin, ")"),
          absl::StrCat("the log of tenant ", log.str(), " (", origin, ")")};
}

}  // namespace

absl::StatusOr<Effect> Effects::OfLogKey(const Operation& operation) const {
  const LogId log = LogOf(operation);
  ASSIGN_OR_RETURN(const OperationState::LogKeyStep step, state_.LogKeyStepOf(log));
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_->store->TakeSnapshot());
  ASSIGN_OR_RETURN(const tlog::Pruned pruned, audit::ReadPruned(*snapshot, log));
  const BothNames name = NameOf(log, options_->checkpointer->Origin(log));
  Text text;
  text.Add(absl::StrCat(name.ja, "の署名鍵を新しくします。次に署名する鍵はバージョン ", step.to,
                        " です。"),
           absl::StrCat("Gives ", name.en, " a new signing key: version ", step.to,
                        " is the one that signs next."));
  text.Add(
      absl::StrCat("今のバージョン ", step.from,
                   " は引き継ぎに署名し、その後は署名しません。これまでの署名は有効なままです。"),
      absl::StrCat("Version ", step.from,
                   ", which signs now, signs the handover and nothing after it. What it has "
                   "signed stays signed."));
  if (!operation.compromised) {
    text.Add(
        absl::StrCat("バージョン ", step.from,
                     " は漏えいしていないものとして扱います。この鍵を信頼する検証者は、引き継ぎ"
                     "だけで新しい鍵に移れます。他者が持っているおそれがあれば、これでは足り"
                     "ません。取り下げて、危殆化として提案し直してください。"),
        absl::StrCat("Version ", step.from,
                     " is not said to be in other hands: whoever trusts it follows the "
                     "handover. Where others may have it this is not enough: withdraw it, and "
                     "propose it as compromised."));
  } else if (log.is_service()) {
    text.Add(absl::StrCat("バージョン ", step.from,
                          " は他者の手にあるものとして扱います(危殆化)。このログの上に立つ鍵はない"
                          "ため、検証者には新しい鍵を書面で知らせる必要があります。"),
             absl::StrCat("Version ", step.from,
                          " is said to be in other hands. There is no key above this log's: "
                          "whoever verifies it must be given the new key in writing."));
  } else {
    text.Add(
        absl::StrCat("バージョン ", step.from,
                     " は他者の手にあるものとして扱います(危殆化)。保管庫自身のログの鍵も引き継ぎ"
                     "に署名します。検証者には、その鍵か新しい鍵を書面で知らせる必要があります。"),
        absl::StrCat("Version ", step.from,
                     " is said to be in other hands: the key of the service's own log signs "
                     "the handover as well. Whoever verifies this log must be given that key, "
                     "or the new one, in writing."));
  }
  if (operation.compromised && pruned.begin != 0) {
    text.Add(absl::StrCat("先頭から ", pruned.begin,
                          " 番の手前までを削除した記録には、新しい鍵で署名し直します。"),
             absl::StrCat("The record that the entries before entry ", pruned.begin,
                          " were removed is signed again, by the new key."));
  }
  text.Add(
      "残るもの: すべての記録、書き出したもの、ほかのすべての鍵。読めなくなる住民はありません。",
      "Stays: every entry, every export, every other key. No resident becomes unreadable.");
  text.Add("取り消せません。", "It cannot be undone.");
  return std::move(text).Finish();
}

absl::StatusOr<Effect> Effects::OfPruning(const Operation& operation, absl::Time now) const {
  const LogId log = LogOf(operation);
  ASSIGN_OR_RETURN(const OperationState::Pruning pruning, state_.PruningOf(operation, now));
  const BothNames name = NameOf(log, options_->checkpointer->Origin(log));
  const std::string before =
      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", operation.before, absl::UTCTimeZone());
  const int years = options_->pipeline->policies().set()->TrailRetentionYears(log);
  Text text;
  text.Add(
      absl::StrCat(name.ja, "の先頭から、", before,
                   " より古い記録を、256 件のまとまりごとに削除します。"),
      absl::StrCat("Removes the beginning of ", name.en,
                   ": its entries, in whole bundles of 256, that are older than ", before, "."));
  text.Add(absl::StrCat("削除される記録: ", pruning.begin - pruning.from, " 件(", pruning.from,
                        " 番から ", pruning.begin - 1, " 番まで)。残る最初の記録: ", pruning.begin,
                        " 番。"),
           absl::StrCat("Entries that go: ", pruning.begin - pruning.from, ", from entry ",
                        pruning.from, " to entry ", pruning.begin - 1,
                        ". The first that remains: entry ", pruning.begin, "."));
  text.Add(absl::StrCat("このログの保存期間は ", years,
                        " 年です。実行時にもう一度時計で確かめ、期間内なら何も削除しません。"),
           absl::StrCat("This log is kept for ", years,
                        " years. That is held against the clock again when it is carried out; "
                        "where it is not over then, nothing goes."));
  text.Add("代わりに、ログの鍵で署名した記録が残ります。残る記録は今までどおり検証できます。",
           "A record signed by the log's key takes their place. What remains verifies as before.");
  text.Add(
      "これまでに書き出したものとバックアップには残ります。後で必要なら、先に書き出してください。",
      "Exports and backups that were made before keep them. Whoever will need them exports the log "
      "first.");
  text.Add("取り消せません。", "It cannot be undone.");
  return std::move(text).Finish();
}

}  // namespace vault::usecases
