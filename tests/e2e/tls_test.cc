// Who is let in: mutual TLS at the handshake, the certificate's end and the deny-list at each call,
// a connection's age; and what is served beside the vault's own services.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Tls : public WithSandbox<Tls> {
 protected:
  static grpc::Status AskHead(const Stubs& stubs, const std::string& log) {
    v1::GetHeadRequest request;
    request.set_log_id(log);
    v1::GetHeadResponse response;
    const grpc::Status status = stubs.audit->GetHead(NewContext().get(), request, &response);
    EXPECT_EQ(status.ok(), !response.root().empty());
    return status;
  }
  static std::string Pem(const std::string& name) {
    return ReadFileOrDie(absl::StrCat(box().dir(), "/certs/", name));
  }
  // Whether the TLS handshake itself succeeds, as a program that is not gRPC sees it. TLS 1.2,
  // where the server's word about the client's certificate comes before the handshake is over.
  static bool Handshakes(const std::string& name) {
    std::vector<std::string> argv = {"/usr/bin/openssl",
                                     "s_client",
                                     "-connect",
                                     box().address(),
                                     "-tls1_2",
                                     "-alpn",
                                     "h2",
                                     "-servername",
                                     "vault",
                                     "-CAfile",
                                     box().dir() + "/certs/ca.pem"};
    if (!name.empty()) {
      const std::string stem = absl::StrCat(box().dir(), "/certs/", name);
      argv.insert(argv.end(), {"-cert", stem + ".pem", "-key", stem + ".key"});
    }
    return box().RunCommand(argv, absl::Seconds(10)).exit_code == 0;
  }
};

TEST_F(Tls, HandshakeSucceedsWithACertificateOfOurs) {
  EXPECT_TRUE(Handshakes("security-2"));
  EXPECT_TRUE(AskHead(box().As("security-2"), "service").ok());
}

TEST_F(Tls, HandshakeIsRefusedWithoutACertificate) {
  EXPECT_FALSE(Handshakes(""));
  EXPECT_EQ(AskHead(box().With("", ""), "service").error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Tls, PlainConnectionIsRefused) {
  const Stubs plain(grpc::CreateChannel(box().address(), grpc::InsecureChannelCredentials()));
  EXPECT_EQ(AskHead(plain, "service").error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Tls, HandshakeIsRefusedWithACertificateOfAnotherCa) {
  // The very subject that security-2 has, vouched for by somebody else.
  ASSERT_TRUE(box().Cert("security-2", {"--foreign-ca"}));
  EXPECT_FALSE(Handshakes("security-2"));
  EXPECT_EQ(AskHead(box().As("security-2"), "service").error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Tls, HandshakeIsRefusedWithAnExpiredCertificate) {
  ASSERT_TRUE(box().Cert("security-2", {"--expired"}));
  EXPECT_FALSE(Handshakes("security-2"));
  EXPECT_EQ(AskHead(box().As("security-2"), "service").error_code(), grpc::StatusCode::UNAVAILABLE);
  ASSERT_TRUE(box().Cert("security-2", {"--days", "1"}));
  EXPECT_TRUE(Handshakes("security-2"));
  EXPECT_TRUE(AskHead(box().As("security-2"), "service").ok());
}

TEST_F(Tls, CertificateOfOursWithoutARoleMayDoNothing) {
  ASSERT_TRUE(box().Cert("visitor", {"--days", "1"}));
  const Details refused = DetailsOf(AskHead(box().As("visitor"), kToshima));
  EXPECT_EQ(refused.code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(refused.rule, "subject.unknown");
}

TEST_F(Tls, CertificateThatEndsWhileConnectedIsRefusedAtTheNextCall) {
  ASSERT_TRUE(box().Cert("compliance-yokohama", {"--seconds", "3"}));
  const Stubs connected = box().As("compliance-yokohama");
  ASSERT_TRUE(AskHead(connected, kYokohama).ok());
  absl::SleepFor(absl::Milliseconds(4200));
  // UNAUTHENTICATED is this connection's answer: a new one would not pass the handshake.
  const Details refused = DetailsOf(AskHead(connected, kYokohama));
  EXPECT_EQ(refused.code, grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(refused.reason, "CERTIFICATE_EXPIRED");
  EXPECT_EQ(AskHead(box().As("compliance-yokohama"), kYokohama).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Tls, CertificatePutOnTheDenyListWhileConnectedIsRefusedAtTheNextCall) {
  const Stubs connected = box().As("compliance-toshima");
  const Stubs other = box().As("security");
  ASSERT_TRUE(AskHead(connected, kToshima).ok());
  ASSERT_TRUE(box().Cert("compliance-toshima", {"--deny"}));
  const Details refused = DetailsOf(AskHead(connected, kToshima));
  EXPECT_EQ(refused.code, grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(refused.reason, "CERTIFICATE_DENIED");
  // A new connection does not come so far.
  EXPECT_EQ(box().Run("compliance-toshima", {"audit", "head", "--tenant", kToshima}).exit_code, 4);
  EXPECT_FALSE(Handshakes("compliance-toshima"));
  EXPECT_EQ(AskHead(box().As("compliance-toshima"), kToshima).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(AskHead(other, "service").ok());

  // A list that cannot be read leaves the last one in force, and says so.
  const std::string list = box().dir() + "/deny-list";
  const std::string good = ReadFileOrDie(list);
  WriteFileOrDie(list, "not a fingerprint\n");
  absl::SleepFor(absl::Milliseconds(2500));
  EXPECT_EQ(AskHead(connected, kToshima).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(AskHead(other, "service").ok());
  EXPECT_THAT(box().log(), HasSubstr(":1: a certificate's SHA-256 fingerprint is expected"));
  WriteFileOrDie(list, good);

  // Nor does the connection stay.
  for (int i = 0;
       i < 150 && AskHead(connected, kToshima).error_code() == grpc::StatusCode::UNAUTHENTICATED;
       ++i) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_EQ(AskHead(connected, kToshima).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Tls, ALineOfTheDenyListAsOpensslPrintsItCounts) {
  ASSERT_TRUE(box().Cert("printed", {"--days", "1"}));
  const Stubs connected = box().As("printed");
  EXPECT_EQ(AskHead(connected, kToshima).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const CommandResult printed =
      box().RunCommand({"/usr/bin/openssl", "x509", "-in", box().dir() + "/certs/printed.pem",
                        "-noout", "-fingerprint", "-sha256"});
  ASSERT_EQ(printed.exit_code, 0);
  const std::string list = box().dir() + "/deny-list";
  WriteFileOrDie(list, ReadFileOrDie(list) + printed.out);
  EXPECT_EQ(AskHead(connected, kToshima).error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

bool StaysConnected(const Stubs& stubs, absl::Duration time) {
  return !stubs.channel->WaitForStateChange(GRPC_CHANNEL_READY,
                                            absl::ToChronoTime(absl::Now() + time));
}

TEST_F(Tls, ConnectionEndsAtItsGreatestAgeAndANewOneIsMade) {
  const Stubs before = box().As("security");
  ASSERT_TRUE(AskHead(before, "service").ok());
  EXPECT_TRUE(StaysConnected(before, absl::Seconds(3)));

  ASSERT_TRUE(box().Down());
  ASSERT_TRUE(box().Start({"--max_connection_age=1s"}));
  const Stubs stubs = box().As("security");
  ASSERT_TRUE(AskHead(stubs, "service").ok());
  ASSERT_EQ(stubs.channel->GetState(false), GRPC_CHANNEL_READY);
  EXPECT_FALSE(StaysConnected(stubs, absl::Seconds(3)));
  EXPECT_TRUE(AskHead(stubs, "service").ok());
  ASSERT_TRUE(box().Down());
  ASSERT_TRUE(box().Start());
}

grpc::ByteBuffer Bytes(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string out;
  for (const grpc::Slice& slice : slices) {
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return out;
}

// One message there and one back, without generated code.
std::string Exchange(const Stubs& stubs, const std::string& method, const std::string& request,
                     grpc::Status* status) {
  grpc::GenericStub stub(stubs.channel);
  grpc::CompletionQueue queue;
  void* tag;
  bool ok = false;
  const auto context = NewContext();
  const auto call = stub.PrepareCall(context.get(), method, &queue);
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  call->WriteLast(Bytes(request), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  queue.Next(&tag, &ok);
  call->Finish(status, nullptr);
  queue.Next(&tag, &ok);
  return response.Valid() ? Text(response) : "";
}

// HealthCheckRequest{}.
std::string AskHealth(const Stubs& stubs, grpc::Status* status) {
  return Exchange(stubs, "/grpc.health.v1.Health/Check", "", status);
}
// ServerReflectionRequest{list_services: ""}.
std::string AskServices(const Stubs& stubs, grpc::Status* status) {
  return Exchange(stubs, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                  std::string("\x3a\x00", 2), status);
}

TEST_F(Tls, HealthSaysServing) {
  grpc::Status status;
  // HealthCheckResponse{status: SERVING}.
  EXPECT_EQ(AskHealth(box().As("security"), &status), "\x08\x01");
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(Tls, ReflectionNamesTheServices) {
  grpc::Status status;
  const std::string services = AskServices(box().As("security"), &status);
  EXPECT_TRUE(status.ok()) << status.error_message();
  for (const char* service :
       {"vault.v1.ResidentService", "vault.v1.AuditService", "vault.v1.KeyService",
        "vault.v1.JobService", "vault.v1.ApprovalService", "vault.v1.BackupService",
        "vault.v1.VaultService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(services, HasSubstr(service));
  }
}

TEST_F(Tls, HealthAndReflectionAnswerNoCertificateThatIsDeniedOrHasEnded) {
  ASSERT_TRUE(box().Cert("leaver", {"--days", "1"}));
  ASSERT_TRUE(box().Cert("short", {"--seconds", "3"}));
  const Stubs denied = box().As("leaver"), ended = box().As("short");
  grpc::Status status;
  for (const Stubs* stubs : {&denied, &ended}) {
    EXPECT_EQ(AskHealth(*stubs, &status), "\x08\x01");
    EXPECT_THAT(AskServices(*stubs, &status), HasSubstr("vault.v1.ResidentService"));
  }
  ASSERT_TRUE(box().Cert("leaver", {"--deny"}));
  absl::SleepFor(absl::Milliseconds(4200));
  for (const Stubs* stubs : {&denied, &ended}) {
    EXPECT_EQ(AskHealth(*stubs, &status), "");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
    EXPECT_EQ(AskServices(*stubs, &status), "");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
  }
}

// --- streams that are open when a certificate is denied -----------------------------------------

class OpenStreams : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(box_.Up());
    const std::string file = box_.Generate(kToshima, 200, 7);
    ASSERT_EQ(box_.Run("booking-service", {"residents", "import", file, "--tenant", kToshima,
                                           "--purpose", "migration", "--contact", "B-3004"})
                  .exit_code,
              0);
  }
  // A rotation that takes minutes; its job.
  std::string SlowJob() {
    v1::RotateKeysRequest request;
    request.set_tenant_id(kToshima);
    request.set_kind(v1::KEY_KIND_KEK);
    request.set_rows_per_second(1);
    v1::RotateKeysResponse response;
    const grpc::Status begun =
        box_.As("security-2").keys->RotateKeys(NewContext().get(), request, &response);
    EXPECT_TRUE(begun.ok()) << begun.error_message();
    return response.job().id();
  }
  static v1::WatchJobRequest Watching(const std::string& job) {
    v1::WatchJobRequest request;
    request.set_log_id(kToshima);
    request.set_job_id(job);
    return request;
  }

  Sandbox box_;
};

TEST_F(OpenStreams, AWatchEndsWhenItsCertificateIsDenied) {
  const v1::WatchJobRequest request = Watching(SlowJob());
  const Stubs watcher = box_.As("security");
  const auto context = NewContext(absl::Seconds(60));
  const auto stream = watcher.jobs->WatchJob(context.get(), request);
  v1::WatchJobResponse moved;
  ASSERT_TRUE(stream->Read(&moved));
  ASSERT_TRUE(box_.Cert("security", {"--deny"}));
  while (stream->Read(&moved)) {
  }
  const Details refused = DetailsOf(stream->Finish());
  EXPECT_EQ(refused.code, grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(refused.reason, "CERTIFICATE_DENIED");
  // The refusal is counted, and the job has not noticed.
  const std::string rules = [&] {
    std::string out;
    for (const absl::Time end = absl::Now() + absl::Seconds(90); absl::Now() < end;) {
      for (const Entry& entry : box_.Entries("security-2", "service")) {
        absl::StrAppend(&out, entry.Get("rule"), " ");
      }
      if (out.find("certificate.denied") != std::string::npos) break;
      absl::SleepFor(absl::Seconds(1));
    }
    return out;
  }();
  EXPECT_THAT(rules, HasSubstr("certificate.denied"));
}

TEST_F(OpenStreams, OneSubjectsWatchesLeaveRoomForOthers) {
  const v1::WatchJobRequest request = Watching(SlowJob());
  const Stubs one = box_.As("security"), other = box_.As("security-2");
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchJobResponse>>> streams;
  v1::WatchJobResponse moved;
  int open = 0;
  for (int i = 0; i < 40; ++i) {
    contexts.push_back(NewContext(absl::Seconds(60)));
    streams.push_back(one.jobs->WatchJob(contexts.back().get(), request));
    if (streams.back()->Read(&moved)) {
      ++open;
      continue;
    }
    const Details refused = DetailsOf(streams.back()->Finish());
    EXPECT_EQ(refused.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(refused.reason, "TOO_MANY_STREAMS");
    EXPECT_TRUE(refused.has_retry_delay);
    streams.pop_back();
  }
  EXPECT_EQ(open, 8);
  const auto context = NewContext(absl::Seconds(60));
  const auto stream = other.jobs->WatchJob(context.get(), request);
  EXPECT_TRUE(stream->Read(&moved));
  context->TryCancel();
  (void)stream->Finish();
  // A place that was left is free again.
  for (const auto& each : contexts) each->TryCancel();
  for (const auto& each : streams) (void)each->Finish();
  bool again = false;
  for (int i = 0; i < 50 && !again; ++i) {
    const auto next = NewContext(absl::Seconds(60));
    const auto reader = one.jobs->WatchJob(next.get(), request);
    again = reader->Read(&moved);
    next->TryCancel();
    (void)reader->Finish();
    if (!again) absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_TRUE(again);
}

// --- TLS files that change while it runs
// -----------------------------------------------------------

// A folder's worth of TLS files for one vault, made by openssl.
class NewTlsFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(box_.Up());
    // Its own CA beside the sandbox's, a server's certificate and a client's under it.
    Openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", At("ca2.key"), "-out", At("ca2.pem"), "-days", "2", "-subj",
             "/CN=second CA", "-addext", "keyUsage=critical,keyCertSign"});
    Sign("server2", "ca2", "subjectAltName=IP:127.0.0.1,DNS:vault\nextendedKeyUsage=serverAuth\n");
    Sign("client2", "ca2", "subjectAltName=URI:urn:vault:security\nextendedKeyUsage=clientAuth\n");
    ours_ = {ReadFileOrDie(Cert("server.pem")), ReadFileOrDie(Cert("server.key")),
             ReadFileOrDie(Cert("ca.pem"))};
    theirs_ = {ReadFileOrDie(At("server2.pem")), ReadFileOrDie(At("server2.key")),
               ReadFileOrDie(At("ca2.pem"))};
  }

  struct Pems {
    std::string cert, key, ca;
  };
  std::string At(const std::string& name) const { return box_.work_dir() + "/" + name; }
  std::string Cert(const std::string& name) const { return box_.dir() + "/certs/" + name; }

  void Openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/usr/bin/openssl");
    const CommandResult result = box_.RunCommand(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.All();
  }
  void Sign(const std::string& name, const std::string& ca, const std::string& extensions) {
    Openssl({"req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", At(name + ".key"), "-out", At(name + ".csr"), "-subj", "/CN=" + name});
    WriteFileOrDie(At(name + ".ext"), extensions);
    Openssl({"x509", "-req", "-in", At(name + ".csr"), "-CA", At(ca + ".pem"), "-CAkey",
             At(ca + ".key"), "-CAcreateserial", "-days", "1", "-extfile", At(name + ".ext"),
             "-out", At(name + ".pem")});
  }

  // Each file as a whole, one after the other.
  void Put(const Pems& pems) {
    for (const auto& [name, text] :
         {std::make_pair("server.key", &pems.key), std::make_pair("server.pem", &pems.cert),
          std::make_pair("ca.pem", &pems.ca)}) {
      WriteFileOrDie(Cert(name) + ".new", *text);
      ASSERT_EQ(chmod((Cert(name) + ".new").c_str(), 0600), 0);
      ASSERT_EQ(rename((Cert(name) + ".new").c_str(), Cert(name).c_str()), 0);
    }
  }

  // One call over a connection of its own, by a client that trusts `ca`.
  grpc::Status Ask(const std::string& ca, const std::string& cert, const std::string& key) {
    return Ask(Connect(ca, cert, key));
  }
  Stubs Connect(const std::string& ca, const std::string& cert, const std::string& key) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = ca;
    tls.pem_cert_chain = cert;
    tls.pem_private_key = key;
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride("vault");
    return Stubs(grpc::CreateCustomChannel(box_.address(), grpc::SslCredentials(tls), arguments));
  }
  static grpc::Status Ask(const Stubs& stubs) {
    v1::GetHeadRequest request;
    request.set_log_id("service");
    v1::GetHeadResponse response;
    return stubs.audit->GetHead(NewContext().get(), request, &response);
  }
  grpc::Status AskAsOurs(const std::string& ca) {
    return Ask(ca, ReadFileOrDie(Cert("security.pem")), ReadFileOrDie(Cert("security.key")));
  }
  grpc::Status AskAsTheirs(const std::string& ca) {
    return Ask(ca, ReadFileOrDie(At("client2.pem")), ReadFileOrDie(At("client2.key")));
  }
  bool LogSays(const std::string& text) {
    for (const absl::Time end = absl::Now() + absl::Seconds(5); absl::Now() < end;) {
      if (box_.log().find(text) != std::string::npos) return true;
      absl::SleepFor(absl::Milliseconds(50));
    }
    return false;
  }

  Sandbox box_;
  Pems ours_, theirs_;
};

TEST_F(NewTlsFiles, AreTakenByNewConnectionsAndOldOnesLiveOn) {
  const Stubs old =
      Connect(ours_.ca, ReadFileOrDie(Cert("security.pem")), ReadFileOrDie(Cert("security.key")));
  ASSERT_TRUE(Ask(old).ok());
  EXPECT_FALSE(AskAsTheirs(ours_.ca).ok());
  Put(theirs_);
  ASSERT_TRUE(LogSays("new TLS files"));
  // The new certificate is shown, and the new CA's clients are let in: nobody else is.
  EXPECT_TRUE(AskAsTheirs(theirs_.ca).ok());
  EXPECT_EQ(AskAsTheirs(ours_.ca).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(AskAsOurs(theirs_.ca).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Ask(theirs_.ca, "", "").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Ask(old).ok());
  // And back.
  Put(ours_);
  for (int i = 0; i < 50 && !AskAsOurs(ours_.ca).ok(); ++i) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_TRUE(AskAsOurs(ours_.ca).ok());
  EXPECT_FALSE(AskAsTheirs(ours_.ca).ok());
}

TEST_F(NewTlsFiles, ThatAreBrokenChangeNothing) {
  const std::vector<std::pair<Pems, std::string>> broken = {
      {{theirs_.cert, ours_.key, ours_.ca}, "is not the key of"},
      {{ours_.cert.substr(0, ours_.cert.size() / 2), ours_.key, ours_.ca},
       "server.pem does not hold whole PEM certificates"},
      {{ours_.cert, ours_.key.substr(0, ours_.key.size() / 2), ours_.ca},
       "does not hold a PEM key"},
      {{ours_.cert, ours_.key, ours_.ca.substr(0, ours_.ca.size() / 2)},
       "ca.pem does not hold whole PEM certificates"},
      {{ours_.cert, ours_.key, ""}, "ca.pem does not hold whole PEM certificates"},
  };
  for (const auto& [pems, message] : broken) {
    Put(pems);
    EXPECT_TRUE(LogSays(message)) << message;
    EXPECT_TRUE(AskAsOurs(ours_.ca).ok()) << message;
    EXPECT_FALSE(AskAsTheirs(ours_.ca).ok()) << message;
    EXPECT_FALSE(Ask(ours_.ca, "", "").ok()) << message;
  }
  ASSERT_EQ(unlink(Cert("server.key").c_str()), 0);
  EXPECT_TRUE(LogSays("cannot read the server's key"));
  EXPECT_TRUE(AskAsOurs(ours_.ca).ok());
  Put(ours_);
}

}  // namespace
}  // namespace vault::testing
