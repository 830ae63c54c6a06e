// The certificate that a resident was erased: what was erased, which entry says so, and what is
// still needed until nobody can read it any more, old backups and old copies of the keyring
// included. vault/tlog/CERTIFICATE.md is the page.
//
//   note = checkpointer->SignStatement(log, FormatCertificate(facts));
//   ASSIGN_OR_RETURN(ErasureCertificate facts, VerifyCertificate(note, key));
//
// Everything that follows from the facts (conditions, status, the words for people) is worked out
// here, when a certificate is written as when one is read: no certificate says one thing in numbers
// and another in words.
#ifndef VAULT_TLOG_CERTIFICATE_H_
#define VAULT_TLOG_CERTIFICATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/ids.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/note.h"

namespace vault::tlog {

struct ErasureCertificate {
  TenantId tenant;
  ResidentId resident;
  uint64_t record_version = 0;  // of the record as it was when it was erased
  absl::Time erased, issued;    // whole seconds

  // The log by whose key this is signed, and the number of the entry in it; or in the log of this
  // name that it has followed.
  std::string origin;
  uint64_t entry = 0;
  std::string earlier_origin;
  // The entry's leaf, and a tree that has it. None where the entry was pruned, or stands in an
  // earlier log.
  struct Inclusion {
    crypto::Digest leaf = {};
    uint64_t tree_size = 0;
    crypto::Digest tree_root = {};
  };
  absl::optional<Inclusion> inclusion;

  // The last KEK version that can have wrapped the DEK, and the last index generation that can have
  // made a tag; of those and all before, the ones that have a key still, ascending.
  uint32_t kek_version = 0, index_generation = 0;
  std::vector<uint32_t> keks_left, indexes_left;
  // The serial of the first keyring that has none of those keys; 0 while there is one.
  uint64_t keyring_needed = 0;
  // Copies of the keyring in the vault's own folder that hold such a key.
  uint64_t copies_in_vault = 0;
  // All copies before this serial, wherever they are, were said by two people to be destroyed; 0:
  // none were.
  uint64_t attested = 0;
  // How many root keys have sealed the keyring, the one now included.
  uint32_t root_generation = 1;

  absl::string_view entry_origin() const {
    return earlier_origin.empty() ? origin : earlier_origin;
  }
  bool kek_destroyed() const { return keks_left.empty(); }
  bool index_destroyed() const { return indexes_left.empty(); }
  // Copies of the keyring with such a key: there are some, or there may be; none in the vault's own
  // folder; none anywhere.
  enum class Copies : uint8_t { kPresent, kNoneInVault, kNoneAttested };
  Copies copies() const;
  // Nobody can read the resident any more.
  bool final() const { return copies() == Copies::kNoneAttested; }
};

inline constexpr absl::string_view kErasureTitle = "pii-vault/erasure-certificate/v1";

// A few sentences each, without a newline; the last one is the status.
std::string CertificateTextJa(const ErasureCertificate& certificate);
std::string CertificateTextEn(const ErasureCertificate& certificate);

// The text to be signed. The times must be of the years 1970 to 9999.
std::string FormatCertificate(const ErasureCertificate& certificate);
// Strict: accepts exactly what FormatCertificate gives. INVALID_ARGUMENT otherwise.
absl::StatusOr<ErasureCertificate> ParseCertificate(absl::string_view text);
// Of a signed note. NOT_FOUND where `key` has not signed it, DATA_LOSS where its signature does not
// hold, or the certificate names another log than the key is of; INVALID_ARGUMENT where it is no
// certificate.
absl::StatusOr<ErasureCertificate> VerifyCertificate(absl::string_view note,
                                                     const VerifierKey& key);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_CERTIFICATE_H_
