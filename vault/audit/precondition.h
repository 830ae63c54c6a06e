// Preconditions: what must still hold when an item is committed. Each is a value that carries what
// the item was prepared from, and checks itself against the moment of the commit:
//
//   submission.preconditions.push_back(RowIs{key, old_row, sequencer->changes()});
//   submission.preconditions.push_back(NotAfter{certificate.not_after});
//
// Where a precondition does not hold the item is not written, and its caller is told ABORTED,
// reason RECHECK: look again, decide again, submit anew.
#ifndef VAULT_AUDIT_PRECONDITION_H_
#define VAULT_AUDIT_PRECONDITION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "vault/base/ids.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy_store.h"
#include "vault/store/store.h"

namespace vault::audit {

// The moment of one item's commit.
struct CommitMoment {
  const store::Store* store = nullptr;
  // What earlier items of the group write: null for a delete.
  const absl::flat_hash_map<absl::string_view, const std::string*>* written = nullptr;
  // The decision's time (Sequencer::Now); no entry of the item is later.
  absl::Time now;
  // How many groups have changed rows (Sequencer::changes), and from which of them on all were of
  // the item's own author; none where the last one was of another.
  uint64_t changes = 0;
  absl::optional<uint64_t> own_since;

  // Whether no other author has changed rows since the counter was `seen`, not even in this group.
  bool Unchanged(absl::optional<uint64_t> seen) const;
  // Whether the row is there and begins so; `absent`: whether there is none. A row that cannot be
  // read satisfies neither.
  absl::Status CheckRow(absl::string_view key, bool absent, absl::string_view prefix) const;
};

// The row is there and begins with these bytes. `seen`: Sequencer::changes() from before the
// snapshot that it was read from; where no other author has changed rows since, the row is not read
// again. None: it is always read.
struct RowIs {
  std::string key;
  std::string prefix = {};
  absl::optional<uint64_t> seen = absl::nullopt;
  absl::Status Check(const CommitMoment& view) const;
};

struct RowAbsent {
  std::string key;
  absl::optional<uint64_t> seen = absl::nullopt;
  absl::Status Check(const CommitMoment& view) const;
};

// The tenant's keys that rows were read and written under. A KEK that was read under must still
// have its key: a COMPROMISED one too, since its residents are served until they have moved. What
// was written under must still be what is written: the ACTIVE KEK and index key, and the
// generation of a DEK that was drawn (0: none).
struct KeysUsed {
  const keys::Keyring* keyring = nullptr;
  TenantId tenant;
  // The keys that these versions were taken from: where they still are the tenant's all of it
  // holds. May be null.
  std::shared_ptr<const keys::TenantKeys> seen;
  std::vector<uint32_t> keks_read;
  uint32_t kek_written = 0;
  uint32_t index_written = 0;
  uint32_t dek_written = 0;
  absl::Status Check(const CommitMoment& view) const;
};

// The policy that decided is still in force.
struct PolicyVersion {
  const policy::PolicyStore* policies = nullptr;
  uint64_t version = 0;
  absl::Status Check(const CommitMoment& view) const;
};

// The right that the decision rested on ends then.
struct NotAfter {
  absl::Time time;
  absl::Status Check(const CommitMoment& view) const;
};

// The row that the caller's right rests on, a seat's, is still the one that was decided by: RowIs,
// for what a call may do and not for what it is about.
struct RightIs : RowIs {};

using Precondition = absl::variant<RowIs, RowAbsent, KeysUsed, PolicyVersion, NotAfter, RightIs>;
// The row is unchanged: it has the bytes `before`, or is absent where `before` is empty.
Precondition RowStill(std::string key, std::string before);

// ABORTED, reason RECHECK, where it does not hold, or where that cannot be told.
absl::Status Check(const Precondition& precondition, const CommitMoment& view);

}  // namespace vault::audit

#endif  // VAULT_AUDIT_PRECONDITION_H_
