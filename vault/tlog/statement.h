// What a log's keys vouch for besides checkpoints, as signed notes: that another key goes on
// (handover), and that the log's beginning was removed after its time (pruned). STATEMENTS.md is
// the page.
//
// Their first line is no origin of a log, so that no checkpoint and no statement is ever taken for
// the other.
#ifndef VAULT_TLOG_STATEMENT_H_
#define VAULT_TLOG_STATEMENT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/note.h"

namespace vault::tlog {

// `old_key` signs trees of at most `size` entries, `new_key` larger ones only. Both sign it. With
// `compromised` (the old key may be in other hands) the service log's key signs as well, or whoever
// verifies names the new key by hand.
struct Handover {
  std::string origin;
  uint64_t size = 0;
  crypto::Digest root = {};  // of the tree of `size`
  VerifierKey old_key, new_key;
  bool compromised = false;
};
inline constexpr absl::string_view kHandoverTitle = "pii-vault/key-handover/v1";
std::string FormatHandover(const Handover& handover);
// Strict; INVALID_ARGUMENT with the line. Verifies nothing.
absl::StatusOr<Handover> ParseHandover(absl::string_view text);
// Parses the note and checks both signatures (and `service_key`'s, where it is given and the
// handover says compromised; it is neither of the two). INVALID_ARGUMENT where it is no handover,
// DATA_LOSS saying which signature does not hold.
absl::StatusOr<Handover> VerifyHandover(absl::string_view bytes, const VerifierKey* service_key);

// The entries before `begin` (a multiple of 256, below `at_size`) were removed; the tree stays as
// it was. Signed by the key that signs trees of `at_size`, the log's size when that was decided;
// where that key was said to be compromised since, by a later one too.
struct Pruned {
  std::string origin;
  uint64_t begin = 0;
  crypto::Digest root = {};  // of the tree of the first `begin` entries
  crypto::Digest leaf = {};  // leaf hash of entry begin − 1: the `prev` of the first that remains
  uint64_t at_size = 0;
  absl::Time before;  // every removed entry is older than this; whole seconds, UTC
};
inline constexpr absl::string_view kPrunedTitle = "pii-vault/log-pruned/v1";
// What is older than this may go at `now` where entries are kept for `years`.
absl::Time RetentionEnd(absl::Time now, int years);
std::string FormatPruned(const Pruned& pruned);
absl::StatusOr<Pruned> ParsePruned(absl::string_view text);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_STATEMENT_H_
