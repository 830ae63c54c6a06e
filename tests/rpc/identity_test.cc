// Certificates that are refused or read, and a peer's address.
#include "vault/rpc/identity.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"

namespace vault::rpc {
namespace {

using ::testing::IsEmpty;

// --- certificates --------------------------------------------------------------------------------

struct San {
  int type;  // GEN_URI, GEN_DNS, GEN_EMAIL
  std::string text;
};

constexpr int64_t kNotBefore = 1793584800;  // 2026-11-02T02:00:00Z
constexpr int64_t kNotAfter = 1796176799;   // 2026-12-02T01:59:59Z

EVP_PKEY* TestKey() {
  static EVP_PKEY* const key = EVP_EC_gen("P-256");
  VAULT_CHECK(key != nullptr);
  return key;
}

void AddSan(X509* x509, const std::vector<San>& sans) {
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  for (const San& san : sans) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    VAULT_CHECK(ASN1_STRING_set(text, san.text.data(), san.text.size()) == 1);
    GENERAL_NAME_set0_value(name, san.type, text);
    sk_GENERAL_NAME_push(names, name);
  }
  VAULT_CHECK(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1);
  GENERAL_NAMES_free(names);
}

// A self-signed certificate in PEM with a SAN extension for each of `extensions`.
std::string MakeCertificate(const std::vector<std::vector<San>>& extensions) {
  X509* x509 = X509_new();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  ASN1_TIME_set(X509_getm_notBefore(x509), kNotBefore);
  ASN1_TIME_set(X509_getm_notAfter(x509), kNotAfter);
  X509_set_pubkey(x509, TestKey());
  // The common name never counts, so it says something that would.
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("urn:vault:security"), -1, -1,
                             0);
  for (const std::vector<San>& sans : extensions) AddSan(x509, sans);
  VAULT_CHECK(X509_sign(x509, TestKey(), EVP_sha256()) > 0);
  BIO* bio = BIO_new(BIO_s_mem());
  VAULT_CHECK(PEM_write_bio_X509(bio, x509) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT: OpenSSL's type
  std::string pem(data, size);
  BIO_free(bio);
  X509_free(x509);
  return pem;
}

std::string Good() { return MakeCertificate({{{GEN_URI, "urn:vault:operator-toshima"}}}); }

void ExpectRefused(absl::string_view pem) {
  const absl::StatusOr<Certificate> certificate = ParseCertificate(pem);
  EXPECT_EQ(certificate.status().code(), absl::StatusCode::kInvalidArgument)
      << certificate.status();
}

TEST(ParseCertificateTest, ReadsSubjectAndTimes) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Certificate certificate, ParseCertificate(Good()));
  EXPECT_EQ(certificate.subject, "urn:vault:operator-toshima");
  EXPECT_EQ(certificate.not_before, absl::FromUnixSeconds(kNotBefore));
  EXPECT_EQ(certificate.not_after, absl::FromUnixSeconds(kNotAfter));
}

TEST(ParseCertificateTest, OtherKindsOfNamesDoNotCount) {
  VAULT_ASSERT_OK_AND_ASSIGN(const Certificate certificate,
                             ParseCertificate(MakeCertificate({{{GEN_DNS, "urn:vault:security"},
                                                                {GEN_URI, "urn:vault:clerk-1"},
                                                                {GEN_EMAIL, "a@example.jp"}}})));
  EXPECT_EQ(certificate.subject, "urn:vault:clerk-1");
}

// What an administrator copies onto the deny-list is what this tool prints.
TEST(ParseCertificateTest, FingerprintIsTheOneThatOpensslPrints) {
  const store::TempDir dir;
  const std::string path = dir.path() + "/cert.pem", pem = Good();
  store::WriteBytes(path, pem);
  FILE* tool =
      popen(absl::StrCat("openssl x509 -noout -fingerprint -sha256 -in ", path).c_str(), "r");
  ASSERT_NE(tool, nullptr);
  char line[256] = {};
  ASSERT_NE(fgets(line, sizeof(line), tool), nullptr);
  ASSERT_EQ(pclose(tool), 0);
  const std::string printed(absl::StripAsciiWhitespace(line));
  VAULT_ASSERT_OK_AND_ASSIGN(const Certificate certificate, ParseCertificate(pem));
  EXPECT_EQ(certificate.fingerprint, absl::AsciiStrToLower(absl::StrReplaceAll(
                                         printed.substr(printed.find('=') + 1), {{":", ""}})));
  EXPECT_EQ(certificate.fingerprint.size(), 64);
}

TEST(ParseCertificateTest, FailsWithoutANameExtension) { ExpectRefused(MakeCertificate({})); }

TEST(ParseCertificateTest, FailsWithoutAUri) {
  ExpectRefused(MakeCertificate({{{GEN_DNS, "urn:vault:clerk"}}}));
  ExpectRefused(MakeCertificate({{{GEN_EMAIL, "clerk@example.jp"}}}));
}

TEST(ParseCertificateTest, FailsWithTwoUris) {
  ExpectRefused(MakeCertificate({{{GEN_URI, "urn:vault:a"}, {GEN_URI, "urn:vault:b"}}}));
  ExpectRefused(MakeCertificate({{{GEN_URI, "urn:vault:a"}, {GEN_URI, "urn:vault:a"}}}));
  ExpectRefused(MakeCertificate({{{GEN_URI, "https://example.jp/"}, {GEN_URI, "urn:vault:a"}}}));
}

TEST(ParseCertificateTest, FailsWithTwoNameExtensions) {
  ExpectRefused(MakeCertificate({{{GEN_URI, "urn:vault:a"}}, {{GEN_URI, "urn:vault:b"}}}));
}

TEST(ParseCertificateTest, FailsWithAUriThatIsNoSubject) {
  for (const std::string& uri :
       {std::string("https://example.jp/clerk"), std::string("spiffe://vault/clerk"),
        std::string("urn:vaults:clerk"), std::string("URN:VAULT:clerk"), std::string("urn:vault:"),
        std::string("urn:vault"), std::string("vault:clerk"), std::string("clerk"), std::string(),
        std::string(" urn:vault:clerk"), std::string("urn:vault:clerk "),
        std::string("urn:vault:clerk\n"), std::string("urn:vault:Clerk"),
        std::string("urn:vault:clerk/a"), std::string("urn:vault:cl*"),
        std::string("urn:vault:\xC3\xA9"), "urn:vault:" + std::string(65, 'a')}) {
    SCOPED_TRACE(uri);
    ExpectRefused(MakeCertificate({{{GEN_URI, uri}}}));
  }
}

TEST(ParseCertificateTest, FailsWithAZeroByteInTheUri) {
  ExpectRefused(MakeCertificate({{{GEN_URI, std::string("urn:vault:clerk\0.example", 24)}}}));
  ExpectRefused(MakeCertificate({{{GEN_URI, std::string("urn:vault:clerk\0", 16)}}}));
}

TEST(ParseCertificateTest, FailsWithWhatIsNoCertificate) {
  ExpectRefused("");
  ExpectRefused("urn:vault:clerk");
  ExpectRefused(std::string(100, '\0'));
  ExpectRefused("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
  ExpectRefused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  ExpectRefused(absl::StrReplaceAll(Good(), {{"CERTIFICATE", "PUBLIC KEY"}}));
}

TEST(ParseCertificateTest, FailsWhereverItIsCutShort) {
  const std::string pem = Good();
  // The last line's end may be missing; nothing else may.
  for (size_t size = 0; size + 1 < pem.size(); size += 7) {
    SCOPED_TRACE(size);
    ExpectRefused(absl::string_view(pem).substr(0, size));
  }
}

TEST(ParseCertificateTest, FailsWithMoreBehindTheCertificate) {
  ExpectRefused(Good() + "garbage\n");
  ExpectRefused(Good() + Good());
  ExpectRefused(Good() + MakeCertificate({{{GEN_URI, "urn:vault:security"}}}));
}

// --- a peer's address ----------------------------------------------------------------------------

TEST(PeerAddressTest, IsTheAddressWithoutItsPort) {
  EXPECT_EQ(PeerAddress("ipv4:127.0.0.1:4711"), "127.0.0.1");
  EXPECT_EQ(PeerAddress("ipv6:%5B::1%5D:4711"), "::1");
  EXPECT_EQ(PeerAddress("ipv6:[::1]:4711"), "::1");
  EXPECT_EQ(PeerAddress("ipv6:%5B2001:db8::a:1%5D:4711"), "2001:db8::a:1");
  EXPECT_EQ(PeerAddress("ipv6:[::ffff:192.0.2.7]:4711"), "::ffff:192.0.2.7");
}

TEST(PeerAddressTest, LeavesAZoneOut) {
  EXPECT_EQ(PeerAddress("ipv6:[fe80::1%25eth0]:4711"), "fe80::1");
  EXPECT_EQ(PeerAddress("ipv6:%5Bfe80::1%25eth0%5D:4711"), "fe80::1");
}

TEST(PeerAddressTest, IsEmptyForWhatIsNoAddress) {
  for (absl::string_view peer :
       {"", ":", "ipv4", "ipv4:", "ipv6:", "unix:", "unix:/run/face/bad.sock", "unix:face:1",
        "unix-abstract:face", "inproc", "unknown", "dns:cafe.example:443", "127.0.0.1:4711",
        "IPV4:127.0.0.1:4711", " ipv4:127.0.0.1:4711", "vsock:2:1"}) {
    EXPECT_THAT(PeerAddress(peer), IsEmpty()) << peer;
  }
}

TEST(PeerAddressTest, HoldsNothingButHexDigitsDotsAndColons) {
  testing::SeededRandom random;
  for (int i = 0; i < 3000; ++i) {
    char noise[24];
    random.Fill(noise, sizeof(noise));
    const absl::string_view middle(noise, sizeof(noise));
    const std::string peer =
        i % 3 == 0   ? absl::StrCat("ipv4:", middle, ":4711")
        : i % 3 == 1 ? absl::StrCat("ipv6:[", middle, "]:4711")
                     : absl::StrCat("ipv6:%5B::1", middle.substr(0, 8), "\n\"", middle.substr(8));
    for (const char c : PeerAddress(peer)) {
      ASSERT_TRUE(absl::ascii_isxdigit(c) || c == '.' || c == ':') << static_cast<int>(c);
    }
  }
}

}  // namespace
}  // namespace vault::rpc
