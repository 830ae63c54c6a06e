// The keys that signed a log one after the other, and which sizes of the tree each may sign: what a
// verifier trusts to begin with, led on by the log's handovers.
#ifndef VAULT_TLOG_KEY_CHAIN_H_
#define VAULT_TLOG_KEY_CHAIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"

namespace vault::tlog {

// Immutable once it is made.
class KeyChain {
 public:
  struct Link {
    VerifierKey key;
    // The sizes that it may sign; an empty range (first > last) where two changes fell on one size.
    uint64_t first = 0, last = 0;
    bool given = false;
    // Given, or reached from a given key. Forwards through a handover that both keys signed, unless
    // it says that the older key is compromised: then the service log's key must have signed too.
    // Backwards through any, since the newer key vouches for what it says.
    bool trusted = false;
  };

  // `given`: the keys trusted by hand, at least one, all of the log `origin`. `handovers`: all
  // notes there are, in order. DATA_LOSS, naming the handover ("handover/2: …"), where one does not
  // hold or does not follow from the one before, and where they do not link all given keys.
  static absl::StatusOr<KeyChain> Build(absl::string_view origin,
                                        const std::vector<VerifierKey>& given,
                                        const absl::optional<VerifierKey>& service_key,
                                        const std::vector<std::string>& handovers);

  // The link whose key signed `note`, the statement about a tree of `size`. DATA_LOSS, naming keys
  // and ranges, unless that is the key for such sizes, trusted, and no signature by any key of the
  // chain is broken.
  absl::StatusOr<Link> Verify(const Note& note, uint64_t size) const;
  // As Verify, of a statement that entries were removed. A key that its handover says is
  // compromised does not do that alone, or else its thief removes what shows the theft: a later key
  // that is not compromised itself, or `service_key`, must have signed too.
  absl::StatusOr<Link> VerifyRemoval(const Note& note, uint64_t size,
                                     const absl::optional<VerifierKey>& service_key) const;

  const std::vector<Link>& links() const { return links_; }
  // Between the links, so one fewer than there are keys.
  const std::vector<Handover>& handovers() const { return handovers_; }
  // What whoever verifies should know: later keys than he named, keys said to be compromised.
  std::vector<std::string> Notices() const;

 private:
  absl::Status Append(absl::string_view origin, const std::string& bytes,
                      const absl::optional<VerifierKey>& service_key);
  void Trust();
  bool Compromised(size_t link) const {
    return link < handovers_.size() && handovers_[link].compromised;
  }

  std::vector<Link> links_;
  std::vector<Handover> handovers_;
  std::vector<bool>
      leads_on_;  // by handover: whether trust in the older key goes over to the newer
};

}  // namespace vault::tlog

#endif  // VAULT_TLOG_KEY_CHAIN_H_
