#include "vault/rpc/tls_files.h"

#include <grpc/grpc.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "vault/base/logging.h"
#include "vault/base/secret.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

template <typename T, void (*kFree)(T*)>
struct Freer {
  void operator()(T* object) const { kFree(object); }
};
using X509Ptr = std::unique_ptr<X509, Freer<X509, X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;

absl::Status ReadWhole(const std::string& path, absl::string_view what, std::string* out) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", what, " ", path, ": ", std::strerror(errno)));
  }
  *out = text.str();
  return absl::OkStatus();
}

// The three texts. The key is wiped with them.
struct Texts {
  std::string cert, key, ca;
  ~Texts() { Wipe(&key); }
  crypto::Digest Hash() const { return crypto::Sha256({crypto::LengthPrefixed({cert, ca}), key}); }
};

// A group of its own may read a key, as Debian's ssl-cert does; nobody else.
absl::Status CheckKeyMode(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) == 0 && (st.st_mode & 027) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path,
        ": others than its owner and group can reach the key; run chmod o= on it (and g-w), "
        "and make a new one if they may have read it"));
  }
  return absl::OkStatus();
}

absl::Status ReadTexts(const TlsPaths& paths, Texts* texts) {
  RETURN_IF_ERROR(ReadWhole(paths.cert_file, "the server's certificate", &texts->cert));
  RETURN_IF_ERROR(CheckKeyMode(paths.key_file));
  RETURN_IF_ERROR(ReadWhole(paths.key_file, "the server's key", &texts->key));
  return ReadWhole(paths.client_ca_file, "the clients' CA", &texts->ca);
}

BioPtr Over(const std::string& text) {
  BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  VAULT_CHECK(bio != nullptr);
  return bio;
}

// All certificates of a text, to its end.
absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(const std::string& pem,
                                                       const std::string& path) {
  const BioPtr bio = Over(pem);
  std::vector<X509Ptr> out;
  ERR_clear_error();
  while (true) {
    X509Ptr next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    out.push_back(std::move(next));
  }
  // At a text's end, as at its beginning, there is no further beginning of a certificate.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (out.empty() || !at_end) {
    return absl::InvalidArgumentError(absl::StrCat(path, " does not hold whole PEM certificates"));
  }
  return out;
}

// A key under a passphrase is refused, not asked for on a terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

// When the server's certificate ends.
absl::StatusOr<absl::Time> CheckTexts(const TlsPaths& paths, const Texts& texts) {
  ASSIGN_OR_RETURN(const std::vector<X509Ptr> chain,
                   ParseCertificates(texts.cert, paths.cert_file));
  RETURN_IF_ERROR(ParseCertificates(texts.ca, paths.client_ca_file).status());
  const BioPtr bio = Over(texts.key);
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(paths.key_file, " does not hold a PEM key without passphrase"));
  }
  const bool fits = X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat(paths.key_file, " is not the key of ", paths.cert_file));
  }
  std::tm tm{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(chain.front().get()), &tm) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(paths.cert_file, " has no valid end"));
  }
  const absl::Time not_after = absl::FromTM(tm, absl::UTCTimeZone());
  if (not_after <= absl::Now()) {
    return absl::InvalidArgumentError(absl::StrCat(paths.cert_file, " has ended"));
  }
  return not_after;
}

grpc_ssl_server_certificate_config* NewConfig(const Texts& texts) {
  const grpc_ssl_pem_key_cert_pair pair{texts.key.c_str(), texts.cert.c_str()};
  return grpc_ssl_server_certificate_config_create(texts.ca.c_str(), &pair, 1);
}

// gRPC's C++ layer knows TLS files only as they were at the start; its core asks at each
// connection.
class AskingCredentials final : public grpc::ServerCredentials {
 public:
  AskingCredentials(grpc_ssl_server_certificate_config_callback fetch, void* files)
      : credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, files))) {}
  ~AskingCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& processor) override {
    VAULT_CHECK(processor == nullptr) << "who calls comes from the certificate alone";
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }
  grpc_server_credentials* const credentials_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TlsFiles>> TlsFiles::Load(TlsPaths paths) {
  Texts texts;
  RETURN_IF_ERROR(ReadTexts(paths, &texts));
  ASSIGN_OR_RETURN(const absl::Time not_after, CheckTexts(paths, texts));
  std::unique_ptr<TlsFiles> files(new TlsFiles(std::move(paths)));
  MutexLock lock(&files->mu_);
  files->taken_ = files->seen_ = texts.Hash();
  files->next_ = NewConfig(texts);
  files->not_after_ = not_after;
  return absl::StatusOr<std::unique_ptr<TlsFiles>>(std::move(files));
}

TlsFiles::~TlsFiles() {
  if (next_ != nullptr) grpc_ssl_server_certificate_config_destroy(next_);
}

absl::StatusOr<bool> TlsFiles::Refresh() {
  Texts texts;
  const absl::Status read = ReadTexts(paths_, &texts);
  // Of what cannot be read there is no text: one that is empty stands for it.
  const crypto::Digest now = texts.Hash();
  MutexLock lock(&mu_);
  const bool settled = std::exchange(seen_, now) == now;
  if (!settled || now == taken_ || now == refused_) return false;
  const absl::StatusOr<absl::Time> not_after = [&]() -> absl::StatusOr<absl::Time> {
    RETURN_IF_ERROR(read);
    return CheckTexts(paths_, texts);
  }();
  if (!not_after.ok()) {
    refused_ = now;
    return absl::Status(
        not_after.status().code(),
        absl::StrCat(not_after.status().message(), "; the TLS files that were read last stay"));
  }
  if (next_ != nullptr) grpc_ssl_server_certificate_config_destroy(next_);
  next_ = NewConfig(texts);
  taken_ = now;
  refused_ = {};
  not_after_ = *not_after;
  return true;
}

absl::Time TlsFiles::not_after() {
  MutexLock lock(&mu_);
  return not_after_;
}

std::shared_ptr<grpc::ServerCredentials> TlsFiles::Credentials() {
  return std::make_shared<AskingCredentials>(&TlsFiles::Fetch, this);
}

grpc_ssl_certificate_config_reload_status TlsFiles::Fetch(
    void* self, grpc_ssl_server_certificate_config** config) {
  auto* const files = static_cast<TlsFiles*>(self);
  MutexLock lock(&files->mu_);
  if (files->next_ == nullptr) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  *config = std::exchange(files->next_, nullptr);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

}  // namespace vault::rpc
