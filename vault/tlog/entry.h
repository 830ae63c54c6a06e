// One entry of a log: its members, its canonical bytes, and back. vault/tlog/ENTRY.md is the
// format's page.
//
// The stored bytes are the truth: they are hashed and carried as they are, never serialised again.
#ifndef VAULT_TLOG_ENTRY_H_
#define VAULT_TLOG_ENTRY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vault/crypto/crypto.h"

namespace vault::tlog {

inline constexpr size_t kMaxEntrySize = 65535;

// What a caller fills in. An empty string or list means that the member is absent. Lists may come
// in any order and are sorted when encoded; their items hold no space.
struct EntryFields {
  std::string action;
  std::string decision;  // "ALLOW" or "DENY"
  std::string rule;
  std::string policy;  // SHA-256, hex
  std::string outcome;
  std::string actor, service, cert, peer;
  std::string role, seat, program;
  std::string purpose, contact, reason;
  std::string resident;  // hex
  int64_t version = -1;  // -1: absent
  std::vector<std::string> residents;
  std::vector<std::string> found;  // given away, and not opened: whose number was taken
  int64_t count = -1;              // -1: absent
  int64_t entry = -1;              // another entry's number; -1: absent
  std::vector<std::string> masked, shown, verified, changed, query, refused;
  std::string request;
  std::string grant, job;    // an approval's id, a job's: hex
  // Seats that an act is about, "<programme>/<subject>" each.
  std::vector<std::string> seats;
  std::string key;           // which kind of key an act is about: "kek", "dek", "index", …
  std::string origin, root;  // another log's name, and its tree's root: SHA-256, hex
  // Entries of a log that are older than this: what a pruning is about. InfinitePast: absent.
  absl::Time before = absl::InfinitePast();
};

// What the sequencer gives it.
struct EntryPlace {
  uint64_t seq = 0;
  absl::Time time;           // truncated to microseconds
  crypto::Digest prev = {};  // leaf hash of the entry before; zeros for seq 0
  std::array<uint8_t, 16> nonce = {};
  // The raw reading where `time` was clamped; InfinitePast: absent.
  absl::Time clock = absl::InfinitePast();
};

struct Entry {
  EntryFields fields;
  EntryPlace place;
};

// The canonical bytes. INVALID_ARGUMENT, naming the member, where a value may not stand in an entry
// (no action or outcome, not UTF-8, not hex of its length, a decision that is neither ALLOW nor
// DENY, an empty item or a space inside one, a number beyond 2^53 − 1, a year outside 1970 to 9999,
// too long in all).
absl::StatusOr<std::string> Encode(const EntryFields& fields, const EntryPlace& place);

// Strict: accepts exactly what Encode can give, so Encode of the result is `bytes` again; DATA_LOSS
// naming the place, and nothing that stands there, otherwise.
absl::StatusOr<Entry> Decode(absl::string_view bytes);

// Accepts what Decode accepts, refuses what it refuses with the same words, and gives the place
// alone: several times as fast, for whoever goes over a whole log.
absl::StatusOr<EntryPlace> CheckEntry(absl::string_view bytes);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_ENTRY_H_
