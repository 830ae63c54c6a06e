// What can be wrong with a profile's address and TLS files, found before anything is sent: gRPC
// itself would only say that the vault cannot be reached.
#ifndef VAULT_CMD_VAULTCTL_TLS_CHECK_H_
#define VAULT_CMD_VAULTCTL_TLS_CHECK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault::ctl {

// HOST:PORT, an IPv6 address in brackets. INVALID_ARGUMENT with a sentence, and what to do after
// "\n", as all here.
absl::Status CheckAddress(absl::string_view address);

struct TlsTexts {
  absl::string_view ca, cert, key;           // PEM
  std::string ca_path, cert_path, key_path;  // for messages
};
// That the CA and the certificate are ones and hold at `now`, that the key needs no passphrase and
// belongs to the first certificate of its file.
absl::Status CheckTls(const TlsTexts& texts, absl::Time now);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_TLS_CHECK_H_
