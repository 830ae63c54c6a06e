#include "vault/recovery/accept_keyring.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/audit/rollback_anchor.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::recovery {
namespace {

constexpr char kFormat = 1;
constexpr size_t kRowSize = 17;

std::string EncodeRow(const AcceptedKeyring& accepted) {
  std::string row(1, kFormat);
  AppendU64(accepted.serial, &row);
  AppendU64(accepted.expected, &row);
  return row;
}

absl::StatusOr<AcceptedKeyring> DecodeRow(absl::string_view row) {
  if (row.size() != kRowSize || row[0] != kFormat) {
    return absl::DataLossError("the row of an accepted keyring is damaged");
  }
  return AcceptedKeyring{ReadU64(row.substr(1)), ReadU64(row.substr(9))};
}

}  // namespace

absl::StatusOr<AcceptedKeyring> AcceptKeyring(store::Store* store, const std::string& anchor_path,
                                              keys::Keyring* keyring) {
  const keys::KeyringMark now = keyring->mark();
  ASSIGN_OR_RETURN(keys::KeyringMark known,
                   audit::RollbackAnchor::KnownKeyring(anchor_path, keyring));
  std::string row;
  const absl::Status found = store->Get(std::string(kNewestKeyringKey), &row);
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  if (found.ok()) {
    ASSIGN_OR_RETURN(const keys::KeyringMark written, audit::DecodeKeyringMark(row));
    if (audit::CheckKeyring("", known, now).ok() || written.serial > known.serial) known = written;
  }
  if (audit::CheckKeyring("", known, now).ok()) {
    return absl::FailedPreconditionError(
        "the keyring is the newest that this vault has had: just start it");
  }
  if (known.serial == std::numeric_limits<uint64_t>::max()) {
    return absl::DataLossError("no serial is left behind that of the keyring that is lost");
  }
  // One serial behind the lost one: should that turn up again, it is the older one from now on.
  const AcceptedKeyring accepted = {std::max(now.serial, known.serial) + 1, known.serial};
  // The database first: an acceptance that nothing tells of is worse than a row that the next start
  // finds to be none.
  store::Batch batch;
  batch.Put(std::string(kAcceptedKeyringKey), EncodeRow(accepted));
  batch.Put(std::string(kNewestKeyringKey), audit::EncodeKeyringMark(now));
  RETURN_IF_ERROR(store->Write(batch));
  RETURN_IF_ERROR(keyring->GoOnBehind(known.serial));
  VAULT_CHECK(keyring->serial() == accepted.serial);
  RETURN_IF_ERROR(audit::RollbackAnchor::AcceptKeyring(anchor_path, keyring));
  return accepted;
}

absl::Status RecordAcceptedKeyring(const store::Store& store, const keys::Keyring& keyring,
                                   audit::Sequencer* sequencer) {
  const std::string key(kAcceptedKeyringKey);
  std::string row;
  const absl::Status found = store.Get(key, &row);
  if (absl::IsNotFound(found)) return absl::OkStatus();
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(const AcceptedKeyring accepted, DecodeRow(row));
  audit::Submission submission(LogId::Service());
  submission.writes.Delete(key);
  submission.preconditions.push_back(audit::RowIs{key, row});
  if (keyring.serial() == accepted.serial) {
    tlog::EntryFields& entry = submission.entries.emplace_back();
    entry.action = "keyring.accept";
    entry.outcome = "OK";
    entry.version = static_cast<int64_t>(accepted.serial);
    entry.count = static_cast<int64_t>(accepted.expected);
  } else {
    // A crash came before the rollback anchor, and the newest keyring was put back after all.
    submission.derived = true;
  }
  return sequencer->SubmitAndWait(std::move(submission));
}

}  // namespace vault::recovery
