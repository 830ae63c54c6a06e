#include "vault/rpc/identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

absl::StatusOr<absl::Time> ToTime(const ASN1_TIME* time) {
  std::tm tm{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &tm) != 1) {
    return absl::InvalidArgumentError("a certificate without a valid time");
  }
  return absl::FromTM(tm, absl::UTCTimeZone());
}

std::vector<absl::string_view> Authorizations(const grpc::ServerContextBase& context) {
  std::vector<absl::string_view> values;
  const auto range = context.client_metadata().equal_range("authorization");
  for (auto it = range.first; it != range.second; ++it) {
    values.emplace_back(it->second.data(), it->second.size());
  }
  return values;
}

}  // namespace

std::string PeerAddress(absl::string_view peer) {
  if (!absl::ConsumePrefix(&peer, "ipv4:") && !absl::ConsumePrefix(&peer, "ipv6:")) {
    return std::string();
  }
  // An IPv6 address stands in brackets, which gRPC escapes as a URI does.
  const std::string plain =
      absl::StrReplaceAll(peer, {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
  const absl::string_view address = absl::string_view(plain).substr(0, plain.rfind(':'));
  // A zone ("%25eth0") is this machine's own affair.
  const absl::string_view bare = address.substr(0, address.find('%'));
  std::string out;
  for (char c : bare) {
    if (absl::ascii_isxdigit(c) || c == '.' || c == ':') out.push_back(c);
  }
  return out;
}

absl::StatusOr<Certificate> ParseCertificate(absl::string_view pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), pem.size()), BIO_free);
  std::unique_ptr<X509, decltype(&X509_free)> x509(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  if (x509 == nullptr) return absl::InvalidArgumentError("not a certificate");
  if (BIO_eof(bio.get()) != 1) return absl::InvalidArgumentError("more than one certificate");

  Certificate out;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  if (X509_digest(x509.get(), EVP_sha256(), digest, &digest_size) != 1) {
    return absl::InvalidArgumentError("not a certificate");
  }
  out.fingerprint = BytesToHex(absl::MakeConstSpan(digest, digest_size));
  ASSIGN_OR_RETURN(out.not_before, ToTime(X509_get0_notBefore(x509.get())));
  ASSIGN_OR_RETURN(out.not_after, ToTime(X509_get0_notAfter(x509.get())));

  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(x509.get(), NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  int uris = 0;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    ++uris;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    out.subject = std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                              ASN1_STRING_length(uri));
  }
  if (uris != 1 || !pipeline::IsSubject(out.subject)) {
    return absl::InvalidArgumentError("a certificate must have exactly one URI SAN, urn:vault:…");
  }
  return out;
}

Identity::Identity(const Clock* clock, Random* random, DenyList* deny_list, Bearers* bearers,
                   OnRefused on_refused)
    : clock_(clock),
      deny_list_(deny_list),
      bearers_(bearers),
      on_refused_(std::move(on_refused)),
      random_(random) {}

absl::StatusOr<std::shared_ptr<const Certificate>> Identity::Remembered(absl::string_view pem) {
  {
    MutexLock lock(&mu_);
    const auto it = certificates_.find(pem);
    if (it != certificates_.end()) return it->second;
  }
  ASSIGN_OR_RETURN(Certificate parsed, ParseCertificate(pem));
  auto certificate = std::make_shared<const Certificate>(std::move(parsed));
  MutexLock lock(&mu_);
  if (certificates_.size() >= kRememberedMax) certificates_.clear();
  certificates_[std::string(pem)] = certificate;
  return certificate;
}

std::string Identity::NewRequestId() {
  uint64_t id;
  {
    MutexLock lock(&mu_);
    // The system is asked for many at once: asking costs more than the rest of this.
    if (request_ids_.empty()) {
      request_ids_.resize(kRequestIdsAtOnce);
      random_->Fill(request_ids_.data(), request_ids_.size() * sizeof(uint64_t));
    }
    id = request_ids_.back();
    request_ids_.pop_back();
  }
  return absl::StrFormat("%016x", id);
}

absl::StatusOr<pipeline::Caller> Identity::Admit(grpc::ServerContextBase* context,
                                                 std::string* request) {
  absl::StatusOr<pipeline::Caller> caller = Authenticate(*context);
  *request = caller.ok() ? caller->request : NewRequestId();
  context->AddTrailingMetadata("x-request-id", *request);
  return caller;
}

absl::StatusOr<pipeline::Caller> Identity::Authenticate(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  const std::vector<grpc::string_ref> pems =
      auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pems.size() != 1) {
    return Reason(absl::UnauthenticatedError("a client certificate is needed"), "NO_CERTIFICATE");
  }
  absl::StatusOr<std::shared_ptr<const Certificate>> certificate =
      Remembered(absl::string_view(pems[0].data(), pems[0].size()));
  if (!certificate.ok()) {
    return Reason(absl::UnauthenticatedError(certificate.status().message()), "BAD_CERTIFICATE");
  }
  pipeline::Caller caller;
  caller.subject = (*certificate)->subject;
  caller.cert = (*certificate)->fingerprint;
  caller.not_after = (*certificate)->not_after;
  caller.peer = PeerAddress(context.peer());
  caller.request = NewRequestId();
  const absl::Time now = clock_->Now();
  if (now < (*certificate)->not_before || now > (*certificate)->not_after) {
    on_refused_(caller, "certificate.expired");
    return Reason(absl::UnauthenticatedError("the client certificate has ended"),
                  "CERTIFICATE_EXPIRED");
  }
  if (deny_list_->Contains(caller.cert)) {
    on_refused_(caller, "certificate.denied");
    return Reason(absl::UnauthenticatedError("the client certificate is on the deny-list"),
                  "CERTIFICATE_DENIED");
  }
  const absl::Status token = bearers_->Take(Authorizations(context), now, &caller);
  if (!token.ok()) {
    on_refused_(caller, TokenRule(token));
    return token;
  }
  return caller;
}

absl::StatusOr<Identity::Seat> Identity::TakeSeat(const std::string& subject,
                                                  absl::string_view action, int max) {
  Seat seat;
  seat.of_ = {subject, std::string(action)};
  MutexLock lock(&mu_);
  int& taken = seats_[seat.of_];
  if (taken >= max) {
    return WithRetryDelay(
        Reason(absl::ResourceExhaustedError(absl::StrCat(
                   "this subject has ", max, " streams of this kind open, as many as it may")),
               "TOO_MANY_STREAMS"),
        absl::Seconds(5));
  }
  ++taken;
  seat.identity_ = this;
  return absl::StatusOr<Seat>(std::move(seat));
}

Identity::Seat& Identity::Seat::operator=(Seat&& other) noexcept {
  std::swap(identity_, other.identity_);
  std::swap(of_, other.of_);
  return *this;
}

Identity::Seat::~Seat() {
  if (identity_ == nullptr) return;
  MutexLock lock(&identity_->mu_);
  const auto it = identity_->seats_.find(of_);
  if (--it->second == 0) identity_->seats_.erase(it);
}

}  // namespace vault::rpc
