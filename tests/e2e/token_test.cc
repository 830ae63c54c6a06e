// Tokens on a whole vault over real TLS: minted by deploy/sandbox token, passed on by raw calls and
// by vaultctl, refused and counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Tokens : public WithSandbox<Tokens> {
 protected:
  static CommandResult Mint(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {VAULT_SOURCE_DIR "/deploy/sandbox", "token", box().dir()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return box().RunCommand(argv, absl::Seconds(20));
  }
  static std::string Token(const std::vector<std::string>& arguments = {"operator-07"}) {
    const CommandResult minted = Mint(arguments);
    EXPECT_EQ(minted.exit_code, 0) << minted.All();
    return std::string(absl::StripAsciiWhitespace(minted.out));
  }
  static grpc::Status WhoAmI(const std::string& persona,
                             const std::vector<std::string>& authorizations,
                             v1::GetCallerResponse* who = nullptr) {
    const auto context = NewContext();
    for (const std::string& one : authorizations) context->AddMetadata("authorization", one);
    v1::GetCallerResponse response;
    const grpc::Status status =
        box().As(persona).vault->GetCaller(context.get(), v1::GetCallerRequest(), &response);
    if (who != nullptr) *who = response;
    return status;
  }
  static std::string Reason(const std::vector<std::string>& authorizations,
                            const std::string& persona = "booking-service") {
    const grpc::Status status = WhoAmI(persona, authorizations);
    if (status.ok()) return "";
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
    return DetailsOf(status).reason;
  }
  static std::string Bearer(const std::string& token) { return "Bearer " + token; }
  static std::string Keys() { return box().dir() + "/jwks/desk.json"; }
  static void Replace(const std::string& path, const std::string& text) {
    WriteFileOrDie(path + ".new", text);
    std::filesystem::rename(path + ".new", path);
  }
};

TEST_F(Tokens, NamesWhoActsAndGivesNoRightOfTheSubjectsFile) {
  v1::GetCallerResponse who;
  ASSERT_TRUE(WhoAmI("booking-service", {Bearer(Token({"operator-toshima"}))}, &who).ok());
  EXPECT_EQ(who.subject(), "urn:vault:operator-toshima");
  EXPECT_EQ(who.role(), "");
  EXPECT_EQ(who.tenant_ids_size(), 0);

  const auto context = NewContext();
  context->AddMetadata("authorization", Bearer(Token({"operator-toshima"})));
  v1::LookupResidentsResponse found;
  const Details refused =
      DetailsOf(box()
                    .As("booking-service")
                    .residents->LookupResidents(context.get(),
                                                LookupBy(kToshima, "name", "検査 太郎"), &found));
  EXPECT_EQ(refused.code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(refused.rule, "subject.unknown");
  const Entry entry = box().Entries("compliance-toshima", kToshima).back();
  EXPECT_EQ(entry.Get("actor"), "urn:vault:operator-toshima");
  EXPECT_EQ(entry.Get("service"), "urn:vault:booking-service");
  EXPECT_EQ(entry.Get("rule"), "subject.unknown");
}

TEST_F(Tokens, RefusalsHaveTheirReasons) {
  const std::string token = Token();
  EXPECT_EQ(Reason({Bearer(token)}), "");
  EXPECT_EQ(Reason({Bearer(token), Bearer(token)}), "TOKEN_MALFORMED");
  EXPECT_EQ(Reason({"Basic dTpw"}), "TOKEN_MALFORMED");
  EXPECT_EQ(Reason({Bearer(token)}, "operator-toshima"), "TOKEN_SERVICE");
  EXPECT_EQ(Reason({Bearer(Token({"operator-07", "--service", "other-service"}))}),
            "TOKEN_SERVICE");
  EXPECT_EQ(Reason({Bearer(Token({"operator-07", "--minutes", "61"}))}), "TOKEN_LIFETIME");
  std::string forged = token;
  forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Reason({Bearer(forged)}), "TOKEN_SIGNATURE");
  // The longest that is looked at, one more, and nearly twice as much.
  EXPECT_EQ(Reason({Bearer(std::string(8192, 'a'))}), "TOKEN_MALFORMED");
  EXPECT_EQ(Reason({Bearer(std::string(8193, 'a'))}), "TOKEN_TOO_LONG");
  EXPECT_EQ(Reason({Bearer(std::string(15 << 10, 'a'))}), "TOKEN_TOO_LONG");
}

TEST_F(Tokens, LongerHeadersThanThatDoNotGetThrough) {
  for (const int kilobytes : {16, 20, 40}) {
    EXPECT_FALSE(WhoAmI("booking-service", {Bearer(std::string(kilobytes << 10, 'a'))}).ok());
  }
  EXPECT_TRUE(WhoAmI("booking-service", {}).ok());
}

TEST_F(Tokens, KeysAreTakenUpWhileServing) {
  const std::string good = ReadFileOrDie(Keys()), bearer = Bearer(Token());
  EXPECT_EQ(Reason({bearer}), "");
  Replace(Keys(), R"({"keys":[]})");
  EXPECT_EQ(Reason({bearer}), "TOKEN_KEY");
  Replace(Keys(), good);
  EXPECT_EQ(Reason({bearer}), "");
  Replace(Keys(), good.substr(0, good.size() / 2));
  EXPECT_EQ(Reason({bearer}), "TOKEN_KEY");
  EXPECT_THAT(box().log(), HasSubstr("the keys of issuer desk"));
  Replace(Keys(), good);
  EXPECT_EQ(Reason({bearer}), "");
  ASSERT_EQ(unlink(Keys().c_str()), 0);
  EXPECT_EQ(Reason({bearer}), "TOKEN_KEY");
  Replace(Keys(), good);
  EXPECT_EQ(Reason({bearer}), "");
  // No token, no subject of one, no key stands in the log.
  EXPECT_THAT(box().log(), Not(HasSubstr(bearer.substr(7, 20))));
  EXPECT_THAT(box().log(), Not(HasSubstr("operator-07")));
}

TEST_F(Tokens, SandboxSaysWhatIsWrong) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"operator 07"},
                                             {"urn:other:x"},
                                             {"operator-07", "--minutes"},
                                             {"operator-07", "--minutes", "0"},
                                             {"operator-07", "--minutes", "x"},
                                             {"operator-07", "--service", "a b"},
                                             {"operator-07", "--what"}}) {
    const CommandResult minted = Mint(arguments);
    EXPECT_EQ(minted.exit_code, 2);
    EXPECT_EQ(minted.out, "");
    EXPECT_THAT(minted.err, HasSubstr("sandbox: "));
  }
}

TEST_F(Tokens, VaultctlPassesOneOn) {
  const std::string file = box().work_dir() + "/token";
  WriteFileOrDie(file, Mint({"urn:vault:operator-07"}).out);
  const CommandResult who = box().Run("booking-service", {"--token-file", file, "whoami"});
  EXPECT_EQ(who.exit_code, 0) << who.All();
  EXPECT_THAT(who.out, HasSubstr("urn:vault:operator-07"));
  const CommandResult person = box().Run("operator-toshima", {"--token-file", file, "whoami"});
  EXPECT_NE(person.exit_code, 0);
  EXPECT_THAT(person.err, HasSubstr("is the right profile used?"));
  EXPECT_THAT(person.err, Not(HasSubstr(ReadFileOrDie(file).substr(0, 20))));
}

// Counted, and in the service's own log when the vault stops at the latest.
TEST_F(Tokens, RefusalsAreCountedUnderTheCertificate) {
  EXPECT_EQ(Reason({Bearer("a.b.c")}), "TOKEN_MALFORMED");
  ASSERT_TRUE(box().Down());
  ASSERT_TRUE(box().Start());
  bool seen = false;
  for (const Entry& entry : box().Entries("security", "service")) {
    if (entry.Get("rule") != "token.malformed") continue;
    seen = true;
    EXPECT_EQ(entry.Get("service"), "urn:vault:booking-service");
    EXPECT_EQ(entry.Get("actor"), "");
    EXPECT_EQ(entry.Get("action"), "call.authenticate");
  }
  EXPECT_TRUE(seen);
}

TEST_F(Tokens, IssuersWithoutAFolderOfKeysStopTheStart) {
  CommandResult refused = box().RunVaultd({"--jwks_dir="});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--jwks_dir is needed"));
  refused = box().RunVaultd({"--jwks_dir=" + box().dir() + "/none"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--jwks_dir"));
  refused = box().RunVaultd({"--jwks_dir=" + Keys()});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("is no folder"));
}

}  // namespace
}  // namespace vault::testing
