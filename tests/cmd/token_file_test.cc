// --token-file: what is sent with every call, when it is read, and what is no token.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/store/temp_dir.h"
#include "vault/v1/audit_service.grpc.pb.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> Sent(const grpc::ServerContext& context) {
  std::vector<std::string> sent;
  const auto range = context.client_metadata().equal_range("authorization");
  for (auto it = range.first; it != range.second; ++it) {
    sent.emplace_back(it->second.data(), it->second.size());
  }
  return sent;
}

class FakeVault : public api::VaultService::Service {
 public:
  grpc::Status GetSealStatus(grpc::ServerContext* context, const api::GetSealStatusRequest*,
                             api::GetSealStatusResponse* response) override {
    sent = Sent(*context);
    response->mutable_since()->set_seconds(1);
    ++calls;
    return grpc::Status::OK;
  }
  std::vector<std::string> sent;
  int calls = 0;
};

// Whose first stream is lost.
class FakeAudit : public api::AuditService::Service {
 public:
  grpc::Status VerifyLog(grpc::ServerContext* context, const api::VerifyLogRequest*,
                         grpc::ServerWriter<api::VerifyLogResponse>* writer) override {
    for (const std::string& one : Sent(*context)) sent.push_back(one);
    if (++calls == 1) {
      api::VerifyLogResponse message;
      message.set_checked(1);
      message.set_total(2);
      writer->Write(message);
      lost();
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "lost");
    }
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "enough");
  }
  std::function<void()> lost = [] {};
  std::vector<std::string> sent;
  int calls = 0;
};

class TokenFileTest : public CtlTest {
 protected:
  TokenFileTest() { Serve({&vault_, &audit_}); }
  ~TokenFileTest() override { Stop(); }

  std::string At(const std::string& name) { return absl::StrCat(dir_.path(), "/", name); }
  std::string Write(const std::string& text) {
    store::WriteBytes(At("token"), text);
    return At("token");
  }
  Ran Status(const std::string& file) {
    return RunWords({"--profile", "p", "--token-file", file, "status"}, false, "");
  }
  void ExpectBad(const std::string& file) {
    const Ran ran = Status(file);
    EXPECT_EQ(ran.code, 2) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("--token-file"));
    EXPECT_THAT(ran.err, Not(HasSubstr("secret")));
    EXPECT_EQ(vault_.calls, 0);
  }

  store::TempDir dir_;
  FakeVault vault_;
  FakeAudit audit_;
};

TEST_F(TokenFileTest, IsSentAsABearer) {
  for (const char* end : {"", "\n", "\r\n"}) {
    EXPECT_EQ(Status(Write(absl::StrCat("aa.b-b.c_c", end))).code, 0);
    EXPECT_THAT(vault_.sent, ElementsAre("Bearer aa.b-b.c_c"));
  }
}

TEST_F(TokenFileTest, WithoutItNothingIsSent) {
  EXPECT_EQ(RunWithProfile("status").code, 0);
  EXPECT_EQ(vault_.calls, 1);
  EXPECT_THAT(vault_.sent, IsEmpty());
}

TEST_F(TokenFileTest, IsReadAgainWhenAStreamIsBegunAnew) {
  const std::string file = Write("first.a.b\n");
  audit_.lost = [this] { Write("second.a.b\n"); };
  const Ran ran = RunWords(
      {"--profile", "p", "--token-file", file, "audit", "verify", "--log", "service"}, false, "");
  EXPECT_NE(ran.code, 0);
  EXPECT_THAT(audit_.sent, ElementsAre("Bearer first.a.b", "Bearer second.a.b"));
}

TEST_F(TokenFileTest, ThatIsGoneOnTheWayLeavesTheLastToken) {
  const std::string file = Write("first.a.b\n");
  audit_.lost = [&file] { std::remove(file.c_str()); };
  RunWords({"--profile", "p", "--token-file", file, "audit", "verify", "--log", "service"}, false,
           "");
  EXPECT_THAT(audit_.sent, ElementsAre("Bearer first.a.b", "Bearer first.a.b"));
}

TEST_F(TokenFileTest, WhatIsNoTokenIsNotSent) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("secret.a.b\n\n"),
        std::string("secret.a.b\nmore\n"), std::string(" secret.a.b"), std::string("secret.a.b "),
        std::string("Bearer secret.a.b"), std::string("secret\0.a.b", 11),
        std::string("-----BEGIN PRIVATE KEY-----\nsecret\n"), std::string("secret=.a.b"),
        "secret" + std::string(8187, 'a')}) {
    ExpectBad(Write(text));
  }
}

TEST_F(TokenFileTest, WhatIsNoFileIsSaid) {
  ExpectBad(At("none"));
  ExpectBad(dir_.path());
  ExpectBad("-");
  ExpectBad("/dev/zero");
  ExpectBad("");
}

TEST_F(TokenFileTest, LongTokenIsSent) {
  EXPECT_EQ(Status(Write(std::string(4000, 'a'))).code, 0);
  EXPECT_THAT(vault_.sent, ElementsAre("Bearer " + std::string(4000, 'a')));
}

}  // namespace
}  // namespace vault::ctl
