// A caller by token has none of the rights of the subjects' file, whoever the token names.
#include "tests/usecases/usecases_fixture.h"
#include "vault/pipeline/call.h"

namespace vault::usecases {
namespace {

Caller ByToken(absl::string_view persona) {
  Caller caller = TestVault::Info(persona);
  caller.service = "urn:vault:booking-service";
  caller.by_token = true;
  return caller;
}

class TokenCallerTest : public UsecasesTest {
 protected:
  absl::Status Lookup(const Caller& caller) {
    Awaited<LookupResult> answer;
    vault().use_cases()->residents().Lookup(caller,
                                            {"131164",
                                             {"vaccination_booking", "C-1001", ""},
                                             TestVault::Raw({{"name", "検査 太郎"}}),
                                             {}},
                                            answer.Callback());
    return answer.Wait().status();
  }
};

TEST_F(TokenCallerTest, HasNoRightOfTheSubjectsFile) {
  VAULT_EXPECT_OK(vault().Lookup("operator-toshima", {{"name", "検査 太郎"}}));
  for (const char* persona : {"operator-toshima", "booking-service", "security", "operator-07"}) {
    SCOPED_TRACE(persona);
    const absl::Status refused = Lookup(ByToken(persona));
    EXPECT_EQ(Outcome(refused), "PERMISSION_DENIED POLICY");
    EXPECT_EQ(GetRule(refused), "subject.unknown");
  }
}

TEST_F(TokenCallerTest, RefusalNamesThePersonAndTheService) {
  // As one who would be `service` with the certificate, too.
  for (const char* persona : {"operator-toshima", "booking-service", "operator-07"}) {
    Lookup(ByToken(persona)).IgnoreError();
    const tlog::EntryFields entry = vault().LastEntry();
    EXPECT_EQ(entry.actor, absl::StrCat("urn:vault:", persona));
    EXPECT_EQ(entry.service, "urn:vault:booking-service");
    EXPECT_EQ(entry.role, "");
    EXPECT_EQ(entry.rule, "subject.unknown");
    EXPECT_EQ(entry.decision, "DENY");
  }
}

TEST_F(TokenCallerTest, TokenThatHasEndedIsRefused) {
  Caller caller = ByToken("operator-07");
  caller.not_after = vault().clock.Now() - absl::Seconds(1);
  EXPECT_EQ(GetRule(Lookup(caller)), "token.expired");
}

TEST_F(TokenCallerTest, SealsNothing) {
  Awaited<bool> sealed;
  vault().use_cases()->sealing().RecordSeal(ByToken("security"), sealed.Callback());
  EXPECT_EQ(GetRule(sealed.Wait().status()), "subject.unknown");
}

TEST_F(TokenCallerTest, StaticSubjectIsTheCertificatesAlone) {
  const policy::PolicySet& policy = vault().policy();
  EXPECT_NE(pipeline::StaticSubject(policy, TestVault::Info("security")), nullptr);
  EXPECT_EQ(pipeline::StaticSubject(policy, ByToken("security")), nullptr);
  EXPECT_EQ(pipeline::StaticSubject(policy, TestVault::Info("nobody")), nullptr);
}

// What was counted while the vault was sealed.
TEST_F(TokenCallerTest, AttemptWhileSealedNamesThePersonAndTheService) {
  SealedAttempts attempts;
  attempts.subject = "urn:vault:security";
  attempts.service = "urn:vault:booking-service";
  attempts.action = "resident.get";
  attempts.rule = "vault.sealed";
  attempts.count = 2;
  Awaited<bool> recorded;
  vault().use_cases()->sealing().RecordUnseal(TestVault::Info("security"), /*was_sealed=*/true,
                                              {attempts}, recorded.Callback());
  VAULT_ASSERT_OK(recorded.Wait());
  const tlog::EntryFields entry = vault().LastEntry(LogId::Service());
  EXPECT_EQ(entry.actor, "urn:vault:security");
  EXPECT_EQ(entry.service, "urn:vault:booking-service");
  EXPECT_EQ(entry.role, "");
  EXPECT_EQ(entry.count, 2);
}

}  // namespace
}  // namespace vault::usecases
