#include "vault/cmd/vaultctl/tls_check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/base/status.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"

namespace vault::ctl {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

absl::Status Wrong(absl::string_view message, absl::string_view hint) {
  return absl::InvalidArgumentError(absl::StrCat(message, "\n", hint));
}

BioPtr Reading(absl::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
}

// Every certificate of the text, in its order; none where one of them is broken.
std::vector<X509Ptr> ReadCertificates(absl::string_view pem) {
  std::vector<X509Ptr> out;
  const BioPtr bio = Reading(pem);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    out.emplace_back(one, X509_free);
  }
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!whole) out.clear();
  return out;
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm tm{};
  return ASN1_TIME_to_tm(time, &tm) == 1 ? absl::FromTM(tm, absl::UTCTimeZone())
                                         : absl::InfinitePast();
}

absl::Status CheckDates(const X509& certificate, absl::string_view what, absl::Time now) {
  const absl::Time begin = ToTime(X509_get0_notBefore(&certificate));
  const absl::Time end = ToTime(X509_get0_notAfter(&certificate));
  if (now > end) {
    return Wrong(absl::StrCat(what, " ended on ", cli::TimeText(end)), "ask for a new one");
  }
  if (now < begin) {
    return Wrong(absl::StrCat(what, " holds from ", cli::TimeText(begin), " on"),
                 "is this machine's clock right?");
  }
  return absl::OkStatus();
}

// A passphrase that is asked for is not given, and remembered.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return 0;
}

absl::StatusOr<KeyPtr> ReadKey(const TlsTexts& texts) {
  bool asked = false;
  const BioPtr bio = Reading(texts.key);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked), EVP_PKEY_free);
  ERR_clear_error();
  if (key != nullptr) return key;
  const std::string what = absl::StrCat("key_file ", cli::Visible(texts.key_path));
  if (asked) {
    return Wrong(absl::StrCat(what, " wants a passphrase"),
                 "a file without one, mode 0600: openssl pkey -in OLD -out NEW");
  }
  return Wrong(absl::StrCat(what, " is no private key"), "it is PEM: -----BEGIN PRIVATE KEY-----");
}

}  // namespace

absl::Status CheckAddress(absl::string_view address) {
  const auto wrong = [&](absl::string_view why) {
    return Wrong(absl::StrCat("the profile's address ", cli::Visible(address), " ", why),
                 "HOST:PORT, for instance vault.example.jp:7443 or [::1]:7443");
  };
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return wrong("has no port");
  const absl::string_view host = address.substr(0, colon);
  const absl::optional<uint64_t> port = cli::ParseNumber(address.substr(colon + 1), 65535);
  if (!port.has_value() || *port == 0) {
    return wrong("has no port from 1 to 65535");
  }
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (host.empty() || (!bracketed && host.find(':') != absl::string_view::npos) ||
      host.find_first_of("/ \t@") != absl::string_view::npos) {
    return wrong("is no host and port");
  }
  return absl::OkStatus();
}

absl::Status CheckTls(const TlsTexts& texts, absl::Time now) {
  const std::string ca_name = absl::StrCat("ca_file ", cli::Visible(texts.ca_path));
  const std::vector<X509Ptr> cas = ReadCertificates(texts.ca);
  if (cas.empty()) {
    return Wrong(absl::StrCat(ca_name, " holds no certificate that can be read"),
                 "it is the PEM file of the CA that signed the vault's certificate");
  }
  // One of several that has ended does no harm: the vault's may be another's.
  absl::Status dates;
  for (const X509Ptr& ca : cas) {
    dates = CheckDates(*ca, ca_name, now);
    if (dates.ok()) break;
  }
  RETURN_IF_ERROR(dates);

  const std::string cert_name = absl::StrCat("cert_file ", cli::Visible(texts.cert_path));
  const std::vector<X509Ptr> chain = ReadCertificates(texts.cert);
  if (chain.empty()) {
    return Wrong(absl::StrCat(cert_name, " holds no certificate that can be read"),
                 "it is the PEM file of your own certificate");
  }
  ASSIGN_OR_RETURN(const KeyPtr key, ReadKey(texts));
  for (size_t i = 0; i < chain.size(); ++i) {
    const bool ours = X509_check_private_key(chain[i].get(), key.get()) == 1;
    ERR_clear_error();
    if (ours && i == 0) return CheckDates(*chain[i], cert_name, now);
    if (ours) {
      return Wrong(absl::StrCat(cert_name, " has its certificates in the wrong order"),
                   "your own comes first, then whoever signed it");
    }
  }
  return Wrong(
      absl::StrCat("key_file ", cli::Visible(texts.key_path), " is not the key of ", cert_name),
      "they are made together; take both from one place");
}

}  // namespace vault::ctl
