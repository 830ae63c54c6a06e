// Client certificates that are refused: a file of SHA-256 fingerprints, one a line.
//
// All usual forms of a fingerprint count: as `openssl x509 -fingerprint -sha256` prints it
// ("sha256 Fingerprint=AA:BB:…"), in either case, with colons or spaces or without; '#' begins a
// comment; a byte order mark and either kind of line end are well.
//
// The file is looked at at each call and read where it has changed. It fails closed: a certificate
// that is new on it is refused at once; one that is no longer on it comes off once the file has
// been at rest, so that a file that is just being written lets none in; of a file with a bad line
// the good ones count, and no certificate comes off; a file that is gone or cannot be read changes
// nothing.
#ifndef VAULT_RPC_DENY_LIST_H_
#define VAULT_RPC_DENY_LIST_H_

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"

namespace vault::rpc {

// 64 lower-case hex digits, from any of the forms above; none for anything else.
absl::optional<std::string> ParseFingerprint(absl::string_view text);

// Thread-safe.
class DenyList {
 public:
  // An empty path: nobody is on it.
  DenyList(std::string path, const Clock* clock) : path_(std::move(path)), clock_(clock) {}

  // The first reading. A list that cannot be read whole may hide the very certificate that must not
  // come in: NOT_FOUND, INVALID_ARGUMENT with the line.
  absl::Status Load() VAULT_EXCLUDES(mu_);
  // Looks at the file first, which costs a stat(2).
  bool Contains(const std::string& fingerprint) VAULT_EXCLUDES(mu_);
  // Reads the file where it has changed.
  void Look() VAULT_EXCLUDES(mu_);
  // What is wrong with the file, once it has been at rest.
  absl::Status Problem() const VAULT_EXCLUDES(mu_);
  // Another number whenever the list was.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }

 private:
  // A file is at rest when nothing has changed for so long.
  static constexpr absl::Duration kRest = absl::Seconds(1);
  static constexpr int64_t kBytesMax = 16 << 20;

  // What tells one state of the file from another; all zeros: none could be seen.
  struct Stamp {
    int64_t device = 0, inode = 0, size = 0, modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp& other) const;
  };
  struct Reading {
    absl::flat_hash_set<std::string> fingerprints;
    absl::Status problem;
  };
  Stamp Seen() const;
  Reading Read() const;

  const std::string path_;
  const Clock* const clock_;
  std::atomic<uint64_t> version_{1};
  mutable Mutex mu_;
  absl::flat_hash_set<std::string> fingerprints_ VAULT_GUARDED_BY(mu_);
  Stamp stamp_ VAULT_GUARDED_BY(mu_);
  absl::Duration changed_ VAULT_GUARDED_BY(mu_);  // when stamp_ was seen first, since boot
  bool at_rest_ VAULT_GUARDED_BY(mu_) = false;    // read again after that
  absl::Status problem_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_DENY_LIST_H_
