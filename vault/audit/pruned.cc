#include "vault/audit/pruned.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/base/status.h"
#include "vault/tlog/note.h"

namespace vault::audit {

absl::StatusOr<tlog::Pruned> ReadPruned(const store::Snapshot& snapshot, const LogId& log) {
  std::string row;
  const absl::Status found = snapshot.Get(PrunedKey(log), &row);
  if (absl::IsNotFound(found)) return tlog::Pruned();
  RETURN_IF_ERROR(found);
  const absl::StatusOr<tlog::Note> note = tlog::ParseNote(row);
  absl::StatusOr<tlog::Pruned> pruned =
      note.ok() ? tlog::ParsePruned(note->text) : absl::StatusOr<tlog::Pruned>(note.status());
  if (!pruned.ok()) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": the record of its pruning is damaged"));
  }
  return pruned;
}

}  // namespace vault::audit
