// Tokens beside certificates: files of keys that change while serving, services that may and may
// not pass tokens on, and a stream whose token ends while it is open, over real TLS.
#include "vault/rpc/bearers.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/tokens/mint.h"
#include "vault/base/status.h"
#include "vault/rpc/identity.h"
#include "vault/rpc/status_map.h"
#include "vault/rpc/stream_caller.h"

namespace vault::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Jwks;
using testing::SigningKey;

constexpr char kService[] = "urn:vault:booking-service";
constexpr char kOperator[] = "urn:vault:operator-07";
constexpr char kSubjects[] = R"(
subjects { id: "urn:vault:booking-service" role: "service" tenants: "131164"
           programmes: "vaccination"
           speaks_for: "urn:vault:operator-" speaks_for: "urn:vault:clerk-" }
subjects { id: "urn:vault:other-service" role: "service" tenants: "131164"
           programmes: "vaccination"
           speaks_for: "urn:vault:clerk-" }
subjects { id: "urn:vault:mute-service" role: "service" tenants: "131164"
           programmes: "vaccination" }
subjects { id: "urn:vault:operator-07" role: "operator" tenants: "131164"
           programmes: "vaccination" }
issuers { id: "desk" iss: "https://id.desk.example/" audience: "vault" subject_prefix:
          "urn:vault:operator-" lifetime_minutes_max: 60 }
issuers { id: "clinic" iss: "https://id.clinic.example/" audience: "vault" subject_prefix:
          "urn:vault:clerk-" lifetime_minutes_max: 60 }
)";

const SigningKey& Desk() {
  static const auto* const key = new SigningKey(SigningKey::Ec("k1"));
  return *key;
}

class BearersTest : public ::testing::Test {
 protected:
  BearersTest()
      : policies_(LoadPolicy()), files_(dir_.path(), &clock_), bearers_(&policies_, &files_) {
    Put("desk", Jwks({Desk().Jwk()}));
    Put("clinic", R"({"keys":[]})");
  }

  static std::shared_ptr<const policy::PolicySet> LoadPolicy(
      const std::string& subjects = kSubjects) {
    const std::string root = VAULT_SOURCE_DIR;
    policy::Sources sources =
        *policy::ReadSources(root + "/policies", root + "/deploy/subjects.textproto");
    sources.subjects.text = subjects;
    auto set = policy::PolicySet::Load(sources);
    EXPECT_TRUE(set.ok()) << set.status();
    return *std::move(set);
  }
  // In the place of what is there, as `mv` does.
  void Put(const std::string& issuer, absl::string_view text) {
    store::WriteBytes(dir_.path() + "/new", std::string(text));
    std::filesystem::rename(dir_.path() + "/new", PathOf(issuer));
  }
  std::string PathOf(const std::string& issuer) { return dir_.path() + "/" + issuer + ".json"; }

  std::string Token(const std::string& subject = kOperator, const std::string& service = kService,
                    int64_t seconds = 600, const std::string& iss = "https://id.desk.example/") {
    const int64_t now = absl::ToUnixSeconds(clock_.Now());
    return Desk().Sign(absl::StrCat(R"({"iss":")", iss, R"(","aud":"vault","sub":")", subject,
                                    R"(","azp":")", service, R"(","iat":)", now, R"(,"exp":)",
                                    now + seconds, "}"));
  }
  pipeline::Caller Certificate(const std::string& subject) {
    pipeline::Caller caller;
    caller.subject = subject;
    caller.not_after = clock_.Now() + absl::Hours(24);
    return caller;
  }
  // The reason; empty where it is taken.
  std::string Take(const std::vector<absl::string_view>& authorizations,
                   const std::string& subject = kService) {
    pipeline::Caller caller = Certificate(subject);
    const absl::Status taken = bearers_.Take(authorizations, clock_.Now(), &caller);
    EXPECT_EQ(caller.by_token, taken.ok() && !authorizations.empty());
    if (!taken.ok()) {
      EXPECT_EQ(taken.code(), absl::StatusCode::kUnauthenticated);
      EXPECT_EQ(caller.subject, subject);
      EXPECT_EQ(caller.service, "");
    }
    return GetReason(taken);
  }
  std::string TakeToken(const std::string& token, const std::string& subject = kService) {
    return Take({absl::StrCat("Bearer ", token)}, subject);
  }

  store::TempDir dir_;
  testing::FakeClock clock_;
  policy::PolicyStore policies_;
  JwksFiles files_;
  Bearers bearers_;
};

TEST_F(BearersTest, TokenNamesWhoActsAndTheCertificateTheService) {
  pipeline::Caller caller = Certificate(kService);
  const std::string authorization = "Bearer " + Token();
  VAULT_ASSERT_OK(bearers_.Take({authorization}, clock_.Now(), &caller));
  EXPECT_EQ(caller.subject, kOperator);
  EXPECT_EQ(caller.service, kService);
  EXPECT_TRUE(caller.by_token);
  const absl::Time ends = absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now()) + 600);
  EXPECT_EQ(caller.not_after, ends - absl::Microseconds(1));
}

TEST_F(BearersTest, CertificatesEndCountsWhereItIsFirst) {
  pipeline::Caller caller = Certificate(kService);
  const absl::Time ends = caller.not_after = clock_.Now() + absl::Minutes(1);
  const std::string authorization = "Bearer " + Token();
  VAULT_ASSERT_OK(bearers_.Take({authorization}, clock_.Now(), &caller));
  EXPECT_EQ(caller.not_after, ends);
}

TEST_F(BearersTest, WithoutATokenTheCertificateIsAll) {
  EXPECT_EQ(Take({}), "");
  EXPECT_EQ(Take({}, kOperator), "");
}

TEST_F(BearersTest, SchemeIsInAnyCaseAndOneSpaceFollows) {
  const std::string token = Token();
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER ", "bEaReR "}) {
    EXPECT_EQ(Take({absl::StrCat(scheme, token)}), "") << scheme;
  }
  for (const char* scheme : {"", " ", "Bearer", "Bearer  ", " Bearer ", "Bearer\t", "Basic ",
                             "Bearer Bearer ", "Bearer,", "Token "}) {
    EXPECT_EQ(Take({absl::StrCat(scheme, token)}), "TOKEN_MALFORMED") << scheme;
  }
  EXPECT_EQ(Take({""}), "TOKEN_MALFORMED");
  EXPECT_EQ(Take({"Bearer "}), "TOKEN_MALFORMED");
  EXPECT_EQ(Take({absl::StrCat("Bearer ", token, ", Bearer ", token)}), "TOKEN_MALFORMED");
  EXPECT_EQ(TakeToken(token + " "), "TOKEN_MALFORMED");
}

TEST_F(BearersTest, TwoBearersAreRefused) {
  const std::string bearer = "Bearer " + Token();
  EXPECT_EQ(Take({bearer, bearer}), "TOKEN_MALFORMED");
  EXPECT_EQ(Take({bearer, "Basic x"}), "TOKEN_MALFORMED");
}

TEST_F(BearersTest, TokenFromAPersonsCertificateIsRefused) {
  EXPECT_EQ(TakeToken(Token(kOperator, kOperator), kOperator), "TOKEN_SERVICE");
  EXPECT_EQ(TakeToken("anything", kOperator), "TOKEN_SERVICE");
}

TEST_F(BearersTest, ServiceThatSpeaksForNobodyIsRefused) {
  EXPECT_EQ(TakeToken(Token(kOperator, "urn:vault:mute-service"), "urn:vault:mute-service"),
            "TOKEN_SERVICE");
  EXPECT_EQ(TakeToken(Token(kOperator, "urn:vault:nobody"), "urn:vault:nobody"), "TOKEN_SERVICE");
}

TEST_F(BearersTest, ServiceThatSpeaksForOthersIsRefused) {
  EXPECT_EQ(TakeToken(Token(kOperator, "urn:vault:other-service"), "urn:vault:other-service"),
            "TOKEN_SERVICE");
}

TEST_F(BearersTest, TokenOfAnotherServiceIsRefusedAlsoWhenItIsKnown) {
  const std::string token = Token(kOperator, "urn:vault:other-service");
  EXPECT_EQ(TakeToken(token), "TOKEN_SERVICE");
  EXPECT_EQ(TakeToken(token), "TOKEN_SERVICE");
  const std::string mine = Token();
  EXPECT_EQ(TakeToken(mine), "");
  EXPECT_EQ(TakeToken(mine, "urn:vault:other-service"), "TOKEN_SERVICE");
}

TEST_F(BearersTest, TimeCountsAtEachUse) {
  const std::string token = Token(kOperator, kService, 60);
  EXPECT_EQ(TakeToken(token), "");
  clock_.Advance(absl::Seconds(60) - absl::Microseconds(1));
  EXPECT_EQ(TakeToken(token), "");
  clock_.Advance(absl::Microseconds(1));
  EXPECT_EQ(TakeToken(token), "TOKEN_EXPIRED");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(TakeToken(token), "TOKEN_EXPIRED");
  clock_.StepWall(-absl::Hours(1));
  EXPECT_EQ(TakeToken(token), "TOKEN_NOT_YET_VALID");
}

TEST_F(BearersTest, OtherRefusalsKeepTheirReasons) {
  EXPECT_EQ(TakeToken(std::string(16 << 10, 'x')), "TOKEN_TOO_LONG");
  EXPECT_EQ(TakeToken(SigningKey::Ec("k1").Sign(R"({"iss":"https://id.desk.example/"})")),
            "TOKEN_SIGNATURE");
  EXPECT_EQ(TakeToken(Token("urn:vault:clerk-1")), "TOKEN_SUBJECT");
  EXPECT_EQ(TakeToken(Token(kOperator, kService, 3601)), "TOKEN_LIFETIME");
  EXPECT_EQ(TakeToken(Token("urn:vault:clerk-1", kService, 600, "https://id.clinic.example/")),
            "TOKEN_KEY");
  EXPECT_EQ(TakeToken(Token(kOperator, kService, 600, "https://elsewhere.example/")),
            "TOKEN_ISSUER");
}

TEST_F(BearersTest, RulesAreNamedAfterTheReasons) {
  EXPECT_EQ(TokenRule(tokens::TokenReason("", "TOKEN_EXPIRED")), "token.expired");
  EXPECT_EQ(TokenRule(tokens::TokenReason("", "TOKEN_NOT_YET_VALID")), "token.not_yet_valid");
}

// --- the files of keys ---------------------------------------------------------------------------

TEST_F(BearersTest, KeysThatAreEmptiedVerifyNothingAtOnce) {
  const std::string token = Token();
  EXPECT_EQ(TakeToken(token), "");
  Put("desk", R"({"keys":[]})");
  EXPECT_EQ(TakeToken(token), "TOKEN_KEY");
  Put("desk", Jwks({Desk().Jwk()}));
  EXPECT_EQ(TakeToken(token), "");
}

TEST_F(BearersTest, BrokenKeysVerifyNothingUntilTheyAreMended) {
  const std::string token = Token(), good = Jwks({Desk().Jwk()});
  const std::vector<std::string> broken = {"",
                                           "{",
                                           good.substr(0, good.size() / 2),
                                           good.substr(0, good.size() - 1),
                                           good + "x",
                                           Jwks({Desk().Jwk(), Desk().Jwk()}),
                                           Jwks({Desk().Jwk(R"(, "d": "AAAA")")}),
                                           good + std::string(300 << 10, ' ')};
  for (const std::string& text : broken) {
    ASSERT_EQ(TakeToken(token), "");
    Put("desk", text);
    EXPECT_EQ(TakeToken(token), "TOKEN_KEY") << text.substr(0, 80);
    EXPECT_EQ(TakeToken(token), "TOKEN_KEY");
    Put("desk", good);
  }
  EXPECT_EQ(TakeToken(token), "");
}

TEST_F(BearersTest, WhatIsNoFileVerifiesNothing) {
  const std::string token = Token();
  ASSERT_EQ(TakeToken(token), "");
  ASSERT_EQ(unlink(PathOf("desk").c_str()), 0);
  EXPECT_EQ(TakeToken(token), "TOKEN_KEY");
  ASSERT_EQ(mkdir(PathOf("desk").c_str(), 0700), 0);
  EXPECT_EQ(TakeToken(token), "TOKEN_KEY");
  ASSERT_EQ(rmdir(PathOf("desk").c_str()), 0);
  ASSERT_EQ(mkfifo(PathOf("desk").c_str(), 0600), 0);
  EXPECT_EQ(TakeToken(token), "TOKEN_KEY");
  ASSERT_EQ(unlink(PathOf("desk").c_str()), 0);
  Put("desk", Jwks({Desk().Jwk()}));
  EXPECT_EQ(TakeToken(token), "");
}

TEST_F(BearersTest, AnotherKeyOfTheSameNameIsTakenUp) {
  const std::string token = Token();
  ASSERT_EQ(TakeToken(token), "");
  Put("desk", Jwks({SigningKey::Ec("k1").Jwk()}));
  EXPECT_EQ(TakeToken(token), "TOKEN_SIGNATURE");
}

// One issuer's broken file is no other's affair.
TEST_F(BearersTest, BrokenFileOfOneIssuerLeavesTheOther) {
  Put("clinic", "{");
  EXPECT_EQ(TakeToken(Token()), "");
}

// The second reading, at rest, is no change where the text is the same.
TEST_F(BearersTest, VersionRisesWithTheKeysAndNotWithAReading) {
  const std::vector<policy::Issuer> issuers = {policies_.set()->issuers()[0]};
  const uint64_t before = files_.Look(issuers);
  struct stat st {};
  ASSERT_EQ(stat(PathOf("desk").c_str(), &st), 0);
  EXPECT_EQ(files_.Look(issuers), before);
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(files_.Look(issuers), before);  // read again, and the same
  Put("desk", R"({"keys":[]})");
  EXPECT_GT(files_.Look(issuers), before);
}

TEST_F(BearersTest, NewPolicyForgetsTokens) {
  const std::string token = Token();
  ASSERT_EQ(TakeToken(token), "");
  policies_.Exchange(LoadPolicy(
      absl::StrReplaceAll(kSubjects, {{"https://id.desk.example/", "https://id.new.example/"}})));
  EXPECT_EQ(TakeToken(token), "TOKEN_ISSUER");
  policies_.Exchange(
      LoadPolicy(absl::StrReplaceAll(kSubjects, {{"speaks_for: \"urn:vault:operator-\"", ""}})));
  EXPECT_EQ(TakeToken(token), "TOKEN_SERVICE");
  policies_.Exchange(LoadPolicy());
  EXPECT_EQ(TakeToken(token), "");
}

// --- over TLS ------------------------------------------------------------------------------------

struct Pair {
  std::string cert, key;
};

std::string Pem(const std::function<int(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  EXPECT_EQ(write(bio), 1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string pem(data, size);
  BIO_free(bio);
  return pem;
}

// Signed by itself, from 2001 to 2100.
Pair MakePair(const char* san) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  ASN1_TIME_set(X509_getm_notBefore(x509), 1000000000);
  ASN1_TIME_set(X509_getm_notAfter(x509), 4102444800);
  X509_set_pubkey(x509, key);
  X509_EXTENSION* name = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, san);
  X509_add_ext(x509, name, -1);
  X509_EXTENSION_free(name);
  EXPECT_GT(X509_sign(x509, key, EVP_sha256()), 0);
  Pair pair{Pem([x509](BIO* bio) { return PEM_write_bio_X509(bio, x509); }), Pem([key](BIO* bio) {
              return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
            })};
  X509_free(x509);
  EVP_PKEY_free(key);
  return pair;
}

// Answers each message of a stream with who reads it, until its caller is refused.
class Echo final : public grpc::CallbackGenericService {
 public:
  explicit Echo(Identity* identity) : identity_(identity) {}
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Stream(context, identity_);
  }

 private:
  class Stream final : public grpc::ServerGenericBidiReactor {
   public:
    Stream(grpc::GenericCallbackServerContext* context, Identity* identity)
        : caller_(context, identity) {
      const absl::StatusOr<pipeline::Caller> caller = caller_.Open("echo", 8);
      if (!caller.ok()) {
        Finish(ToGrpc(caller.status(), caller_.request()));
        return;
      }
      who_ = absl::StrCat(caller->subject, " by ", caller->service);
      StartRead(&message_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);  // the client has no more
      const absl::Status still = caller_.Check();
      if (!still.ok()) return Finish(ToGrpc(still, caller_.request()));
      const grpc::Slice slice(who_);
      message_ = grpc::ByteBuffer(&slice, 1);
      StartWrite(&message_);
    }
    void OnWriteDone(bool ok) override {
      if (ok) return StartRead(&message_);
      Finish(grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    StreamCaller caller_;
    std::string who_;
    grpc::ByteBuffer message_;
  };
  Identity* const identity_;
};

class TokenOverTlsTest : public BearersTest {
 protected:
  TokenOverTlsTest() {
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
    options.pem_key_cert_pairs.push_back({server_pair_.key, server_pair_.cert});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port_);
    builder.RegisterCallbackGenericService(&echo_);
    server_ = builder.BuildAndStart();
  }
  ~TokenOverTlsTest() override { server_->Shutdown(); }

  // A stream as a client's synchronous code sees it.
  class Call {
   public:
    Call(const TokenOverTlsTest& test, const std::string& certificate,
         const std::vector<std::string>& authorizations) {
      const Pair pair = MakePair(absl::StrCat("URI:", certificate).c_str());
      grpc::SslCredentialsOptions options;
      options.pem_root_certs = test.server_pair_.cert;
      options.pem_cert_chain = pair.cert;
      options.pem_private_key = pair.key;
      grpc::ChannelArguments arguments;
      arguments.SetSslTargetNameOverride("vault");
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      channel_ = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", test.port_),
                                           grpc::SslCredentials(options), arguments);
      for (const std::string& value : authorizations) context_.AddMetadata("authorization", value);
      context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      stream_ = grpc::GenericStub(channel_).PrepareCall(&context_, "/test/Echo", &queue_);
      stream_->StartCall(this);
      Next();
    }
    ~Call() {
      if (!finished_) {
        context_.TryCancel();
        Reason();
      }
      queue_.Shutdown();
      void* tag = nullptr;
      bool ok = false;
      while (queue_.Next(&tag, &ok)) {
      }
    }
    // Empty where the stream has ended.
    std::string Ask() {
      const grpc::Slice slice("?");
      stream_->Write(grpc::ByteBuffer(&slice, 1), this);
      if (!Next()) return "";
      grpc::ByteBuffer answer;
      stream_->Read(&answer, this);
      if (!Next()) return "";
      std::vector<grpc::Slice> slices;
      EXPECT_TRUE(answer.Dump(&slices).ok());
      std::string text;
      for (const grpc::Slice& one : slices) {
        text.append(reinterpret_cast<const char*>(one.begin()), one.size());
      }
      return text;
    }
    grpc::Status Finish() {
      grpc::Status status;
      stream_->Finish(&status, this);
      Next();
      finished_ = true;
      return status;
    }
    std::string Reason() {
      const grpc::Status status = Finish();
      const size_t at = status.error_details().find("TOKEN_");
      if (at == std::string::npos) return absl::StrCat(status.error_code());
      const std::string rest = status.error_details().substr(at);
      return rest.substr(0, rest.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
    }

   private:
    bool Next() {
      void* tag = nullptr;
      bool ok = false;
      return queue_.Next(&tag, &ok) && ok;
    }
    std::shared_ptr<grpc::Channel> channel_;
    grpc::ClientContext context_;
    grpc::CompletionQueue queue_;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
    bool finished_ = false;
  };

  std::vector<std::string> Refused() {
    MutexLock lock(&mu_);
    return refused_;
  }

  Pair server_pair_ = MakePair("DNS:vault");
  testing::SeededRandom random_;
  DenyList deny_list_{"", &clock_};
  Mutex mu_;
  std::vector<std::string> refused_ VAULT_GUARDED_BY(mu_);
  Identity identity_{&clock_, &random_, &deny_list_, &bearers_,
                     [this](const pipeline::Caller& caller, absl::string_view rule) {
                       MutexLock lock(&mu_);
                       refused_.push_back(absl::StrCat(caller.subject, " ", rule));
                     }};
  Echo echo_{&identity_};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(TokenOverTlsTest, TokenThatEndsWhileAStreamIsOpenEndsIt) {
  Call call(*this, kService, {"Bearer " + Token(kOperator, kService, 60)});
  EXPECT_EQ(call.Ask(), absl::StrCat(kOperator, " by ", kService));
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(call.Ask(), absl::StrCat(kOperator, " by ", kService));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(call.Ask(), "");
  EXPECT_EQ(call.Reason(), "TOKEN_EXPIRED");
  EXPECT_THAT(Refused(), ElementsAre("urn:vault:booking-service token.expired"));
}

TEST_F(TokenOverTlsTest, KeysThatAreTakenAwayEndAStream) {
  for (const char* text : {R"({"keys":[]})", "broken"}) {
    Put("desk", Jwks({Desk().Jwk()}));
    Call call(*this, kService, {"Bearer " + Token()});
    EXPECT_NE(call.Ask(), "");
    Put("desk", text);
    EXPECT_EQ(call.Ask(), "");
    EXPECT_EQ(call.Reason(), "TOKEN_KEY");
  }
}

TEST_F(TokenOverTlsTest, TwoBearersAreRefused) {
  const std::string bearer = "Bearer " + Token();
  Call call(*this, kService, {bearer, bearer});
  EXPECT_EQ(call.Ask(), "");
  EXPECT_EQ(call.Reason(), "TOKEN_MALFORMED");
  EXPECT_THAT(Refused(), ElementsAre("urn:vault:booking-service token.malformed"));
}

TEST_F(TokenOverTlsTest, TokenFromAPersonIsRefused) {
  Call call(*this, kOperator, {"Bearer " + Token(kOperator, kOperator)});
  EXPECT_EQ(call.Ask(), "");
  EXPECT_EQ(call.Reason(), "TOKEN_SERVICE");
  EXPECT_THAT(Refused(), ElementsAre("urn:vault:operator-07 token.service"));
}

TEST_F(TokenOverTlsTest, ServiceThatSpeaksForNobodyIsRefused) {
  const char* mute = "urn:vault:mute-service";
  Call call(*this, mute, {"Bearer " + Token(kOperator, mute)});
  EXPECT_EQ(call.Ask(), "");
  EXPECT_EQ(call.Reason(), "TOKEN_SERVICE");
}

TEST_F(TokenOverTlsTest, WithoutATokenTheCertificateIsAll) {
  Call call(*this, kService, {});
  EXPECT_EQ(call.Ask(), absl::StrCat(kService, " by "));
  EXPECT_THAT(Refused(), IsEmpty());
}

}  // namespace
}  // namespace vault::rpc
