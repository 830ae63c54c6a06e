// The public keys of the policy's issuers of tokens: a file ID.json each (RFC 7517) in one folder,
// taken up when it changes.
//
// The files are looked at whenever keys are asked for, and read where they have changed. They fail
// closed: an issuer whose file is not there, cannot be read whole or is not well formed has no keys
// until it is; the log says so once for each change.
#ifndef VAULT_RPC_JWKS_FILES_H_
#define VAULT_RPC_JWKS_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/policy/policy.h"
#include "vault/tokens/token.h"

namespace vault::rpc {

// Thread-safe.
class JwksFiles {
 public:
  // An empty folder: no issuer has keys.
  JwksFiles(std::string folder, const Clock* clock) : folder_(std::move(folder)), clock_(clock) {}

  // Looks at the files of these issuers, which costs a stat(2) each. The number is another, and a
  // higher one, whenever any issuer's keys are others.
  uint64_t Look(absl::Span<const policy::Issuer> issuers) VAULT_EXCLUDES(mu_);
  // What was seen at the last look.
  std::vector<tokens::Trusted> Trusted(absl::Span<const policy::Issuer> issuers) const
      VAULT_EXCLUDES(mu_);

 private:
  // As DenyList's: what changes within the grain of a file's time is seen by a second reading.
  static constexpr absl::Duration kRest = absl::Seconds(1);

  // What tells one state of a file from another; all zeros: none could be seen.
  struct Stamp {
    int64_t device = 0, inode = 0, size = 0, modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp& other) const;
  };
  struct File {
    bool seen = false;
    Stamp stamp;
    absl::Duration changed;  // when the stamp was seen first, since boot
    bool at_rest = false;
    std::string text;  // its last reading's; empty where that failed
    absl::Status problem;
    std::shared_ptr<const tokens::KeySet> keys;  // null: none
  };
  std::string PathOf(const std::string& issuer) const;
  static Stamp SeenAt(const std::string& path);
  static absl::StatusOr<std::string> Read(const std::string& path);
  void LookAt(const std::string& issuer, absl::Duration now, File* file) VAULT_REQUIRES(mu_);

  const std::string folder_;
  const Clock* const clock_;
  mutable Mutex mu_;
  uint64_t version_ VAULT_GUARDED_BY(mu_) = 1;
  std::map<std::string, File> files_ VAULT_GUARDED_BY(mu_);  // by the issuer's id
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_JWKS_FILES_H_
