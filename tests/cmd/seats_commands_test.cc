// vaultctl's commands for seats, against services that answer what each test tells them to.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/store/temp_dir.h"
#include "vault/cli/display.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/vaultctl.h"
#include "vault/v1/approval_service.grpc.pb.h"
#include "vault/v1/job_service.grpc.pb.h"
#include "vault/v1/seat_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kId[] = "00112233445566778899aabbccddeeff";
constexpr int64_t kFrom = 1796083200;   // 2026-12-01T09:00:00+09:00
constexpr int64_t kUntil = 1806483600;  // 2027-03-31T18:00:00+09:00

constexpr char kHeader[] = "subject,programme,role,from,until,shift,contacts_max,trained_on\n";
// Of one seat each.
constexpr char kTail[] =
    ",vaccination,operator,2026-12-01T09:00:00+09:00,2027-03-31T18:00:00+09:00,09:00-18:00,2,\n";

grpc::Status Refusal(grpc::StatusCode code, const std::string& reason) {
  google::rpc::Status details;
  details.set_code(code);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("vault");
  details.add_details()->PackFrom(info);
  return grpc::Status(code, "no", details.SerializeAsString());
}

api::Seat SampleSeat(const std::string& name, const std::string& programme) {
  api::Seat seat;
  seat.set_subject("urn:vault:" + name);
  seat.set_programme(programme);
  seat.set_role("operator");
  seat.mutable_from()->set_seconds(kFrom);
  seat.mutable_until()->set_seconds(kUntil);
  seat.set_shift("09:00-18:00");
  seat.set_contacts_max(2);
  seat.set_trained_on("2026-11-20");
  seat.set_state(api::SEAT_STATE_ACTIVE);
  seat.set_proposed_by("urn:vault:manager-toshima");
  seat.set_approved_by("urn:vault:supervisor-toshima");
  seat.set_approval_id(kId);
  seat.set_changed_by("urn:vault:supervisor-toshima");
  seat.mutable_change_time()->set_seconds(kFrom + 5);
  return seat;
}

class FakeSeats : public api::SeatService::Service {
 public:
  grpc::Status ImportSeats(grpc::ServerContext*, const api::ImportSeatsRequest* request,
                           api::ImportSeatsResponse* response) override {
    ++calls;
    import = *request;
    *response = imported;
    return status;
  }
  grpc::Status ListSeats(grpc::ServerContext*, const api::ListSeatsRequest* request,
                         api::ListSeatsResponse* response) override {
    ++calls;
    list = *request;
    const size_t page = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    if (page < pages.size()) *response = pages[page];
    if (page + 1 < pages.size()) response->set_next_page_token(std::to_string(page + 1));
    return status;
  }
  grpc::Status ExtendSeats(grpc::ServerContext*, const api::ExtendSeatsRequest* request,
                           api::ExtendSeatsResponse* response) override {
    ++calls;
    extend = *request;
    Copy(response);
    return status;
  }
  grpc::Status ResumeSeats(grpc::ServerContext*, const api::ResumeSeatsRequest* request,
                           api::ResumeSeatsResponse* response) override {
    ++calls;
    resume = *request;
    Copy(response);
    return status;
  }
  grpc::Status SuspendSeats(grpc::ServerContext*, const api::SuspendSeatsRequest* request,
                            api::SuspendSeatsResponse* response) override {
    ++calls;
    suspend = *request;
    for (const api::Seat& seat : stopped) *response->add_seats() = seat;
    return status;
  }
  grpc::Status RevokeSeats(grpc::ServerContext*, const api::RevokeSeatsRequest* request,
                           api::RevokeSeatsResponse* response) override {
    ++calls;
    revoke = *request;
    for (const api::Seat& seat : stopped) *response->add_seats() = seat;
    return status;
  }

  int calls = 0;
  grpc::Status status;
  api::ImportSeatsResponse imported;
  std::vector<api::ListSeatsResponse> pages;
  std::vector<api::Seat> stopped;
  api::ImportSeatsRequest import;
  api::ListSeatsRequest list;
  api::ExtendSeatsRequest extend;
  api::ResumeSeatsRequest resume;
  api::SuspendSeatsRequest suspend;
  api::RevokeSeatsRequest revoke;

 private:
  template <typename Response>
  void Copy(Response* response) const {
    response->set_approval_id(imported.approval_id());
    *response->mutable_approval() = imported.approval();
    *response->mutable_effect() = imported.effect();
  }
};

class FakeApprovals : public api::ApprovalService::Service {
 public:
  grpc::Status ListApprovals(grpc::ServerContext*, const api::ListApprovalsRequest* request,
                             api::ListApprovalsResponse* response) override {
    list = *request;
    *response->add_approvals() = approval;
    return grpc::Status::OK;
  }
  grpc::Status Approve(grpc::ServerContext*, const api::ApproveRequest* request,
                       api::ApproveResponse* response) override {
    approve = *request;
    *response->mutable_approval() = approval;
    return status;
  }

  grpc::Status status;
  api::Approval approval;
  api::ListApprovalsRequest list;
  api::ApproveRequest approve;
};

class SeatsCommandsTest : public CtlTest {
 protected:
  SeatsCommandsTest() {
    Serve({&seats_, &approvals_});
    api::Approval* approval = seats_.imported.mutable_approval();
    approval->set_id(kId);
    approval->set_operation(api::OPERATION_SEATS);
    approval->set_change("grant");
    approval->set_state(api::APPROVAL_STATE_PROPOSED);
    approval->set_tenant_id("131164");
    approval->set_proposed_by("urn:vault:manager-toshima");
    approval->mutable_propose_time()->set_seconds(kFrom);
    approval->mutable_expire_time()->set_seconds(kFrom + 60);
    approvals_.approval = *approval;
    seats_.imported.set_approval_id(kId);
    seats_.imported.mutable_effect()->set_text_ja("席を与える。\n");
    seats_.imported.mutable_effect()->set_text_en("Seats are given.\n");
    seats_.imported.mutable_effect()->set_digest(digest_);
    seats_.imported.set_row_count(2);
  }
  ~SeatsCommandsTest() override { Stop(); }

  Ran Run(const std::string& line, bool terminal = false) { return RunWithProfile(line, terminal); }
  Ran RunWithInput(const std::string& line, const std::string& input, bool terminal = false) {
    std::vector<std::string> words = {"--profile", "p"};
    for (absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      words.emplace_back(word);
    }
    return RunWords(words, terminal, input);
  }
  std::string Write(const std::string& text) const {
    const std::string path = around_.path() + "/roster.csv";
    std::ofstream(path) << text;
    return path;
  }
  // Two seats, on lines 2 and 4.
  std::string TwoSeats() const {
    return Write(absl::StrCat(kHeader, "operator-07", kTail, "\n", "urn:vault:operator-08", kTail));
  }
  api::RosterRowError* AddError(uint32_t row, const char* field, const char* reason,
                                const char* message) {
    // Nothing is proposed then.
    seats_.imported.clear_approval_id();
    seats_.imported.clear_approval();
    seats_.imported.clear_effect();
    api::RosterRowError* error = seats_.imported.add_errors();
    error->set_row(row);
    error->set_field(field);
    error->set_reason(reason);
    error->set_message(message);
    return error;
  }

  const std::string digest_ = std::string(64, 'd');
  store::TempDir around_;
  FakeSeats seats_;
  FakeApprovals approvals_;
};

// ---- what is wrong before anything is sent

struct BadInputCase {
  const char* line;
  const char* error;
};

class SeatsBadInput : public SeatsCommandsTest,
                      public ::testing::WithParamInterface<BadInputCase> {};

TEST_P(SeatsBadInput, IsToldBeforeAnythingIsSent) {
  const Ran ran = Run(absl::StrReplaceAll(GetParam().line, {{"ROSTER", TwoSeats()}}));
  EXPECT_EQ(ran.code, kBadInput) << ran.err;
  EXPECT_THAT(ran.err, StartsWith(absl::StrCat("vaultctl: ", GetParam().error)));
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_EQ(seats_.calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, SeatsBadInput,
    ::testing::Values(
        BadInputCase{"seats import ROSTER", "--tenant is missing"},
        BadInputCase{"seats import ROSTER --tenant 131165", "--tenant is no municipality's code"},
        BadInputCase{"seats import --tenant 131164", "seats import wants"},
        BadInputCase{"seats import /nonexistent.csv --tenant 131164",
                     "/nonexistent.csv: the file cannot be read"},
        BadInputCase{"seats import / --tenant 131164", "/: the file cannot be read"},
        BadInputCase{"seats import - --tenant 131164", "standard input:1: "},
        BadInputCase{"seats list", "--tenant is missing"},
        BadInputCase{"seats list --tenant 131164 --programme=", "--programme is empty"},
        BadInputCase{"seats list --tenant 131164 --output csv", "--output csv is not known here"},
        BadInputCase{"seats review", "--tenant is missing"},
        BadInputCase{"seats review --tenant 131164 --output raw", "--output raw is not known here"},
        BadInputCase{"seats show --tenant 131164", "seats show wants SUBJECT"},
        BadInputCase{"seats show operator-07", "--tenant is missing"},
        BadInputCase{"seats show Operator-07 --tenant 131164", "SUBJECT is nobody's name"},
        BadInputCase{"seats show urn:vault: --tenant 131164", "SUBJECT is nobody's name"},
        BadInputCase{"seats show urn:other:operator-07 --tenant 131164", "SUBJECT is nobody's"},
        BadInputCase{"seats suspend operator_07 --tenant 131164", "SUBJECT is nobody's name"},
        BadInputCase{"seats suspend operator-07", "--tenant is missing"},
        BadInputCase{"seats suspend operator-07 --tenant 131164 --programme=",
                     "--programme is empty"},
        BadInputCase{"seats revoke operator-07", "--tenant is missing"},
        BadInputCase{"seats revoke operator.07 --tenant 131164", "SUBJECT is nobody's name"},
        BadInputCase{"seats revoke operator-07 --tenant 131164 --programme=",
                     "--programme is empty"},
        BadInputCase{"seats resume operator-07", "--tenant is missing"},
        BadInputCase{"seats extend operator-07 --tenant 131164", "--until is missing"},
        BadInputCase{"seats extend operator-07 --until 2027-03-31T18:00:00+09:00",
                     "--tenant is missing"},
        BadInputCase{"seats extend operator-07 --tenant 131164 --until 2027-03-31",
                     "--until is no time with an offset"},
        BadInputCase{"seats extend operator-07 --tenant 131164 --until infinite-future",
                     "--until is no time with an offset"},
        BadInputCase{"seats extend operator-07 --tenant 131164 --until "
                     "2027-03-31T18:00:00.5+09:00",
                     "--until is no whole second"},
        BadInputCase{"approvals list --tenant 131165", "--tenant is no municipality's code"}));

TEST_F(SeatsCommandsTest, ARosterThatIsNoneIsToldBeforeAnythingIsSent) {
  const std::string path = Write(absl::StrCat(kHeader, "operator-07", kTail, "operator-08,x\n"));
  Ran ran = Run(absl::StrCat("seats import ", path, " --tenant 131164"));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, StartsWith(absl::StrCat("vaultctl: ", path, ":3: ")));
  EXPECT_THAT(ran.err, HasSubstr("hint: nothing of the file was sent\n"));
  Write("subject,programme\na,b\n");
  ran = Run(absl::StrCat("seats import ", path, " --tenant 131164"));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr(":1: the heading role is missing"));
  Write(std::string((3 << 20) + 1, 'x'));
  ran = Run(absl::StrCat("seats import ", path, " --tenant 131164"));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr("the file is larger than 3 MiB"));
  EXPECT_EQ(seats_.calls, 0);
}

// ---- rosters

TEST_F(SeatsCommandsTest, ImportSendsTheCellsAndPrintsWhatIsProposed) {
  const Ran ran = Run(absl::StrCat("seats import ", TwoSeats(), " --tenant 131164"));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(seats_.import.tenant_id(), "131164");
  EXPECT_FALSE(seats_.import.dry_run());
  ASSERT_EQ(seats_.import.rows_size(), 2);
  const api::RosterRow& row = seats_.import.rows(0);
  EXPECT_EQ(row.subject(), "urn:vault:operator-07");
  EXPECT_EQ(row.programme(), "vaccination");
  EXPECT_EQ(row.role(), "operator");
  EXPECT_EQ(row.from(), "2026-12-01T09:00:00+09:00");
  EXPECT_EQ(row.until(), "2027-03-31T18:00:00+09:00");
  EXPECT_EQ(row.shift(), "09:00-18:00");
  EXPECT_EQ(row.contacts_max(), "2");
  EXPECT_EQ(row.trained_on(), "");
  EXPECT_EQ(seats_.import.rows(1).subject(), "urn:vault:operator-08");
  EXPECT_EQ(ran.out, absl::StrCat("approval ", kId,
                                  "\n"
                                  "  操作 operation  席の変更 seats\n"
                                  "  対象 of         grant seats of 131164\n"
                                  "  状態 state      承認待ち proposed\n"
                                  "  提案 proposed   2026-12-01T00:00:00Z  "
                                  "urn:vault:manager-toshima\n"
                                  "  期限 expires    2026-12-01T00:01:00Z\n"
                                  "\n"
                                  "実施されること what will be done\n"
                                  "  席を与える。\n"
                                  "\n"
                                  "  Seats are given.\n"
                                  "\n"
                                  "digest ",
                                  digest_, "\n"));
  EXPECT_THAT(ran.err, HasSubstr("hint: another person decides, until 2026-12-01T00:01:00Z:\n"));
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("vaultctl approvals approve ", kId, " --effect ",
                                              digest_, "\n")));
}

TEST_F(SeatsCommandsTest, ImportReadsStandardInputAndLeavesEmptySubjectsToTheVault) {
  const Ran ran = RunWithInput("seats import - --tenant 131164", absl::StrCat(kHeader, kTail));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  ASSERT_EQ(seats_.import.rows_size(), 1);
  EXPECT_EQ(seats_.import.rows(0).subject(), "");
}

TEST_F(SeatsCommandsTest, TheRosterOfTheHelpIsOne) {
  const Ran help = Run("help seats import");
  std::string roster;
  for (absl::string_view line : absl::StrSplit(help.out, '\n')) {
    if (absl::ConsumePrefix(&line, "  ") &&
        (absl::StartsWith(line, "subject,") || absl::StartsWith(line, "operator-07,"))) {
      absl::StrAppend(&roster, line, "\n");
    }
  }
  const Ran ran = RunWithInput("seats import - --tenant 131164", roster);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  ASSERT_EQ(seats_.import.rows_size(), 1);
  EXPECT_EQ(seats_.import.rows(0).shift(), "09:00-18:00");
  EXPECT_EQ(seats_.import.rows(0).trained_on(), "");
}

// Whoever approves must see all of it.
TEST_F(SeatsCommandsTest, ALongEffectIsPrintedWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&text, "operator-", i, ": operator\n");
  seats_.imported.mutable_effect()->set_text_en(text);
  const Ran ran = Run(absl::StrCat("seats import ", TwoSeats(), " --tenant 131164"));
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("  operator-0: operator\n"));
  EXPECT_THAT(ran.out, HasSubstr("  operator-4999: operator\n\ndigest "));
}

TEST_F(SeatsCommandsTest, ADryRunPrintsTheEffectAndProposesNothing) {
  seats_.imported.clear_approval_id();
  seats_.imported.clear_approval();
  const std::string path = TwoSeats();
  const std::string line = absl::StrCat("seats import ", path, " --tenant 131164 --dry-run");
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_TRUE(seats_.import.dry_run());
  EXPECT_EQ(ran.out, absl::StrCat("名簿 roster ", path,
                                  ": 2 rows\n"
                                  "\n"
                                  "実施されること what will be done\n"
                                  "  席を与える。\n"
                                  "\n"
                                  "  Seats are given.\n"
                                  "\n"
                                  "digest ",
                                  digest_,
                                  "\n"
                                  "\n"
                                  "試行 dry run: nothing was proposed\n"));
  EXPECT_EQ(ran.err, "");
  ran = Run(line + " --output json");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, StartsWith("{\"approval_id\":\"\",\"effect\":{"));
}

TEST_F(SeatsCommandsTest, AVaultThatDoesOtherwiseThanItWasAskedIsNotBelieved) {
  const std::string line = absl::StrCat("seats import ", TwoSeats(), " --tenant 131164");
  EXPECT_EQ(Run(line + " --dry-run").code, kVerificationFailed) << "it proposed";
  seats_.imported.clear_approval_id();
  EXPECT_EQ(Run(line).code, kVerificationFailed) << "it did not";
  AddError(2, "until", "INVALID_FIELD", "of a row that was not sent");
  EXPECT_EQ(Run(line).code, kVerificationFailed);
}

TEST_F(SeatsCommandsTest, WrongRowsAreNamedByTheirLinesAndNothingIsProposed) {
  const std::string path = TwoSeats();
  AddError(0, "until", "INVALID_FIELD", "rows[0].until: expected a time later than from");
  AddError(1, "", "TWO_ROLES", "rows[1]: one role; rows[0] names \x1b[2J another");
  AddError(1, "shift", "INVALID_FIELD", "expected hours");
  const std::string line = absl::StrCat("seats import ", path, " --tenant 131164");
  const Ran ran = Run(line);
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            absl::StrCat(path, ":2: until: expected a time later than from (INVALID_FIELD)\n", path,
                         ":4: one role; line 2 names \\x1b[2J another (TWO_ROLES)\n", path,
                         ":4: shift: expected hours (INVALID_FIELD)\n"
                         "nothing was proposed: 2 of 2 rows are wrong\n"));
  // Of a dry run as well.
  EXPECT_EQ(Run(line + " --dry-run").err, ran.err);
}

TEST_F(SeatsCommandsTest, WrongRowsAreInTheJsonWithTheirLines) {
  AddError(1, "until", "INVALID_FIELD", "rows[1].until: expected \"later\"");
  const Ran ran = Run(absl::StrCat("seats import ", TwoSeats(), " --tenant 131164 --output json"));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_EQ(ran.out,
            "{\"approval_id\":\"\",\"row_count\":2,\"errors\":[{\"row\":1,\"field\":\"until\","
            "\"reason\":\"INVALID_FIELD\",\"message\":\"rows[1].until: expected \\\"later\\\"\","
            "\"line\":4}]}\n");
  EXPECT_EQ(ran.err,
            "{\"error\":{\"reason\":\"ROWS\",\"message\":\"nothing was proposed: 1 of 2 rows is "
            "wrong\",\"exit_code\":2}}\n");
  // It is the answer, and one member more.
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  api::ImportSeatsResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed, options).ok());
  EXPECT_EQ(parsed.SerializeAsString(), seats_.imported.SerializeAsString());
}

TEST_F(SeatsCommandsTest, ProposalsAsJsonBeginWithTheApprovalsId) {
  const std::string begin = absl::StrCat("{\"approval_id\":\"", kId, "\",\"approval\":{");
  for (const std::string& line :
       {absl::StrCat("seats import ", TwoSeats(), " --tenant 131164"),
        std::string("seats resume operator-07 --tenant 131164"),
        std::string(
            "seats extend operator-07 --tenant 131164 --until 2027-06-30T18:00:00+09:00")}) {
    const Ran ran = Run(line + " --output json");
    EXPECT_EQ(ran.code, kDone) << line;
    EXPECT_EQ(ran.err, "");
    EXPECT_THAT(ran.out, StartsWith(begin));
    api::ExtendSeatsResponse parsed;
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed, options).ok());
    EXPECT_EQ(parsed.effect().digest(), digest_);
  }
}

TEST_F(SeatsCommandsTest, RefusedProposalsSayWhatToDo) {
  struct Case {
    grpc::StatusCode code;
    const char* reason;
    int exit;
    const char* hint;
  };
  const Case cases[] = {
      {grpc::StatusCode::ALREADY_EXISTS, "ALREADY_PROPOSED", kBadInput, "approvals show ID"},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, "TOO_MANY_OPEN", kUnavailable,
       "hint: vaultctl approvals list --tenant 131164 shows them"},
      {grpc::StatusCode::FAILED_PRECONDITION, "SEAT_NOT_LONGER", kWrongState, "--until"},
      {grpc::StatusCode::PERMISSION_DENIED, "OWN_SEAT", kRefused, "nobody gives himself a seat"},
      {grpc::StatusCode::DEADLINE_EXCEEDED, "", kUnavailable,
       "hint: whether it was proposed: vaultctl approvals list --tenant 131164\n"},
  };
  for (const Case& each : cases) {
    seats_.status = Refusal(each.code, each.reason);
    const Ran ran =
        Run("seats extend operator-07 --tenant 131164 --until 2027-06-30T18:00:00+09:00");
    EXPECT_EQ(ran.code, each.exit) << each.reason;
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, HasSubstr(each.hint));
  }
}

TEST_F(SeatsCommandsTest, ExtendAndResumeAreProposedAsTheyAreWritten) {
  Ran ran =
      Run("seats extend operator-07 --tenant 131164 --programme vaccination --until "
          "2027-06-30T18:00:00+09:00");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(seats_.extend.tenant_id(), "131164");
  EXPECT_EQ(seats_.extend.subject(), "urn:vault:operator-07");
  EXPECT_EQ(seats_.extend.programme(), "vaccination");
  EXPECT_EQ(seats_.extend.until(), "2027-06-30T18:00:00+09:00");
  EXPECT_THAT(ran.out, HasSubstr("  Seats are given.\n"));
  EXPECT_THAT(ran.err, HasSubstr("hint: another person decides"));
  ran = Run("seats resume urn:vault:operator-07 --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(seats_.resume.subject(), "urn:vault:operator-07");
  EXPECT_EQ(seats_.resume.programme(), "");
  EXPECT_THAT(ran.err, HasSubstr("hint: another person decides"));
  EXPECT_EQ(seats_.calls, 2);
}

// What would be stopped here is sent all the same.
TEST_F(SeatsCommandsTest, NoCheckLeavesItToTheVault) {
  EXPECT_EQ(Run("seats extend OPERATOR --no-check --until soon").code, kDone);
  EXPECT_EQ(seats_.extend.subject(), "urn:vault:OPERATOR");
  EXPECT_EQ(seats_.extend.until(), "soon");
}

// ---- lists

TEST_F(SeatsCommandsTest, ListShowsWhoIsOpenNow) {
  api::ListSeatsResponse first, second;
  *first.add_seats() = SampleSeat("operator-07", "health_observation");
  *second.add_seats() = SampleSeat("operator-07", "vaccination");
  api::Seat* long_one = second.add_seats();
  *long_one = SampleSeat("supervisor-of-the-longest-name", "vaccination");
  long_one->set_shift("09:00-12:00;13:00-18:00");
  long_one->set_closed_by("seat.shift");
  seats_.pages = {first, second};
  Ran ran = Run("seats list --tenant 131164 --programme vaccination");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(seats_.list.tenant_id(), "131164");
  EXPECT_EQ(seats_.list.programme(), "vaccination");
  EXPECT_FALSE(seats_.list.review());
  EXPECT_EQ(ran.out,
            "業務 programme health_observation\n"
            "subject      role      from–until                         shift        state\n"
            "operator-07  operator  2026-12-01 09:00–2027-03-31 18:00  09:00-18:00  "
            "開いている open\n"
            "\n"
            "業務 programme vaccination\n"
            "subject               role      from–until                         shift          "
            "state\n"
            "operator-07           operator  2026-12-01 09:00–2027-03-31 18:00  09:00-18:00    "
            "開いている open\n"
            "supervisor-of-the-l…  operator  2026-12-01 09:00–2027-03-31 18:00  09:00-12:00;…  "
            "時間外 off shift\n");
  ran = Run("seats list --tenant 131164 --output json");
  api::ListSeatsResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_EQ(parsed.seats_size(), 3);
  EXPECT_EQ(parsed.next_page_token(), "");
  seats_.pages.clear();
  ran = Run("seats list --tenant 131164");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "there is no seat\n");
}

TEST_F(SeatsCommandsTest, ListSaysWhyASeatIsNotOpenWithinAnUsualTerminal) {
  struct Case {
    api::SeatState state;
    const char* closed_by;
    const char* label;
  };
  const Case cases[] = {
      {api::SEAT_STATE_ACTIVE, "", "開いている open"},
      {api::SEAT_STATE_ACTIVE, "seat.not_begun", "開始前 not begun"},
      {api::SEAT_STATE_ACTIVE, "seat.ended", "終了 ended"},
      {api::SEAT_STATE_ACTIVE, "seat.shift", "時間外 off shift"},
      {api::SEAT_STATE_ACTIVE, "seat.untrained", "未研修 untrained"},
      {api::SEAT_STATE_ACTIVE, "seat.role", "役割なし no role"},
      {api::SEAT_STATE_ACTIVE, "programme.bound", "業務なし gone"},
      {api::SEAT_STATE_ACTIVE, "a.new.rule", "閉 closed"},
      {api::SEAT_STATE_SUSPENDED, "seat.suspended", "停止中 suspended"},
      {api::SEAT_STATE_SUSPENDED, "programme.bound", "停止中 suspended"},
      {api::SEAT_STATE_REVOKED, "seat.revoked", "取消済 revoked"},
      {api::SEAT_STATE_DAMAGED, "seat.damaged", "破損 damaged"},
      {api::SEAT_STATE_UNSPECIFIED, "", "不明 unknown"},
  };
  for (const Case& each : cases) {
    api::Seat seat = SampleSeat("a-name-that-is-longer-than-most", "vaccination");
    seat.set_role("a_role_of_another_time");
    seat.set_shift("00:00-06:00;09:00-12:00;13:00-18:00");
    seat.set_state(each.state);
    seat.set_closed_by(each.closed_by);
    seats_.pages.assign(1, api::ListSeatsResponse());
    *seats_.pages[0].add_seats() = seat;
    const Ran ran = Run("seats list --tenant 131164");
    EXPECT_THAT(ran.out, EndsWith(absl::StrCat("  ", each.label, "\n")));
    for (absl::string_view line : absl::StrSplit(ran.out, '\n')) {
      EXPECT_LE(cli::DisplayWidth(line), 100) << line;
    }
  }
}

TEST_F(SeatsCommandsTest, ShowPrintsEveryMember) {
  seats_.pages.resize(1);
  *seats_.pages[0].add_seats() = SampleSeat("operator-07", "vaccination");
  seats_.pages[0].mutable_seats(0)->set_closed_by("seat.shift");
  api::Seat* damaged = seats_.pages[0].add_seats();
  damaged->set_subject("urn:vault:operator-07");
  damaged->set_programme("x");
  damaged->set_state(api::SEAT_STATE_DAMAGED);
  damaged->set_closed_by("seat.damaged");
  Ran ran = Run("seats show operator-07 --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(seats_.list.subject(), "urn:vault:operator-07");
  EXPECT_THAT(ran.out,
              StartsWith(absl::StrCat("seat operator-07 in vaccination\n"
                                      "  主体 subject       urn:vault:operator-07\n"
                                      "  業務 programme     vaccination\n"
                                      "  役割 role          operator\n"
                                      "  開始 from          2026-12-01 09:00:00\n"
                                      "  終了 until         2027-03-31 18:00:00\n"
                                      "  時間帯 shift       09:00-18:00\n"
                                      "  同時応対 contacts  2 at once\n"
                                      "  研修日 trained     2026-11-20\n"
                                      "  状態 state         時間外 off shift (rule seat.shift)\n"
                                      "  提案 proposed by   urn:vault:manager-toshima\n"
                                      "  承認 approved by   urn:vault:supervisor-toshima\n"
                                      "  承認番号 approval  ",
                                      kId,
                                      "\n"
                                      "  変更 changed       2026-12-01 09:00:05  "
                                      "urn:vault:supervisor-toshima\n"
                                      "\n"
                                      "seat operator-07 in x\n")));
  EXPECT_THAT(ran.out, HasSubstr("  終了 until         -\n"));
  EXPECT_THAT(ran.out, HasSubstr("  同時応対 contacts  -\n"));
  ran = Run("seats show operator-07 --tenant 131164 --output json");
  api::ListSeatsResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_EQ(parsed.seats_size(), 2);
  seats_.pages.clear();
  ran = Run("seats show operator-07 --tenant 131164");
  EXPECT_EQ(ran.code, kNotFound);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("not found: 該当なし there is no such seat\nhint: vaultctl seats "
                                 "list --tenant 131164\n"));
}

// ---- a review

class SeatsReviewTest : public SeatsCommandsTest {
 protected:
  SeatsReviewTest() {
    seats_.pages.resize(1);
    seats_.pages[0].mutable_used_since()->set_seconds(kFrom - 86400);
    api::Seat* seat = seats_.pages[0].add_seats();
    *seat = SampleSeat("operator-07", "vaccination");
    seat->add_purposes("vaccination_booking");
    seat->add_purposes("complaint");
    seat->add_full_fields("name");
    seat->add_full_fields("kana");
    seat->add_reason_fields("address");
    seat->add_masked_fields("phone");
    seat->mutable_last_use_time()->set_seconds(kFrom + 3600);
    *seats_.pages[0].add_seats() = SampleSeat("operator-08", "vaccination");
  }
};

TEST_F(SeatsReviewTest, SaysWhatEachMaySeeAndWhenItWasLastUsed) {
  const Ran ran = Run("seats review --tenant 131164 --programme vaccination");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_TRUE(seats_.list.review());
  EXPECT_EQ(seats_.list.programme(), "vaccination");
  EXPECT_EQ(ran.out,
            "seat operator-07 in vaccination\n"
            "  役割 role             operator\n"
            "  目的 purposes         vaccination_booking complaint\n"
            "  全部 in full          name kana\n"
            "  理由付き with reason  address\n"
            "  マスク masked         phone\n"
            "  承認 approved by      urn:vault:supervisor-toshima\n"
            "  終了 until            2027-03-31 18:00\n"
            "  状態 state            開いている open\n"
            "  最終利用 last use     2026-12-01 10:00\n"
            "\n"
            "seat operator-08 in vaccination\n"
            "  役割 role             operator\n"
            "  目的 purposes         -\n"
            "  全部 in full          -\n"
            "  理由付き with reason  -\n"
            "  マスク masked         -\n"
            "  承認 approved by      urn:vault:supervisor-toshima\n"
            "  終了 until            2027-03-31 18:00\n"
            "  状態 state            開いている open\n"
            "  最終利用 last use     -\n"
            "\n"
            "最終利用 -: 調べた記録に利用なし no use since 2026-11-30 09:00 among the entries "
            "looked at\n");
  seats_.pages[0].mutable_seats()->RemoveLast();
  EXPECT_THAT(Run("seats review --tenant 131164").out, Not(HasSubstr("looked at")));
}

TEST_F(SeatsReviewTest, ManyFieldsStandInSeveralRows) {
  for (int i = 0; i < 40; ++i) {
    seats_.pages[0].mutable_seats(0)->add_full_fields(absl::StrCat("field_number_", i));
  }
  const Ran ran = Run("seats review --tenant 131164");
  EXPECT_THAT(ran.out, HasSubstr("field_number_39\n"));
  for (absl::string_view line : absl::StrSplit(ran.out, '\n')) {
    EXPECT_LE(cli::DisplayWidth(line), 100) << line;
  }
}

TEST_F(SeatsReviewTest, IsACsvThatASpreadsheetTakes) {
  const Ran ran = Run("seats review --tenant 131164 --output csv");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.out,
            absl::StrCat(
                "\xef\xbb\xbf"
                "subject,programme,role,purposes,full_fields,reason_fields,masked_fields,"
                "proposed_by,approved_by,approval_id,from,until,shift,state,closed_by,last_use,"
                "used_since\r\n"
                "urn:vault:operator-07,vaccination,operator,vaccination_booking complaint,"
                "name kana,address,phone,urn:vault:manager-toshima,urn:vault:supervisor-toshima,",
                kId,
                ",2026-12-01T09:00:00+09:00,2027-03-31T18:00:00+09:00,09:00-18:00,"
                "開いている open,,2026-12-01T10:00:00+09:00,2026-11-30T09:00:00+09:00\r\n"
                "urn:vault:operator-08,vaccination,operator,,,,,urn:vault:manager-toshima,"
                "urn:vault:supervisor-toshima,",
                kId,
                ",2026-12-01T09:00:00+09:00,2027-03-31T18:00:00+09:00,09:00-18:00,"
                "開いている open,,,2026-11-30T09:00:00+09:00\r\n"));
}

TEST_F(SeatsReviewTest, ACsvHoldsNoFormulas) {
  const std::pair<const char*, const char*> kCells[] = {
      {"=1+1", "'=1+1"},       {"+1", "'+1"},
      {"-1", "'-1"},           {"@x", "'@x"},
      {"\tx", "'\\tx"},        {"\rx", "'\\x0dx"},
      {"＝1", "'＝1"},         {"=\"a\",b", "\"'=\"\"a\"\",b\""},
      {"a,b", "\"a,b\""},      {"a\"b", "\"a\"\"b\""},
      {"a=1", "a=1"},          {"a\r\n=1", "a\\x0d\\n=1"},
      {"\x1b[2J", "\\x1b[2J"},
  };
  for (const auto& [role, cell] : kCells) {
    seats_.pages[0].mutable_seats(0)->set_role(role);
    EXPECT_THAT(Run("seats review --tenant 131164 --output csv").out,
                HasSubstr(absl::StrCat("operator-07,vaccination,", cell, ",vaccination_booking")));
  }
}

TEST_F(SeatsReviewTest, AReviewOfNobodyIsAHeadingAndErrorsAreText) {
  seats_.pages.clear();
  Ran ran = Run("seats review --tenant 131164 --output csv");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, AllOf(StartsWith("\xef\xbb\xbfsubject,"), EndsWith("used_since\r\n")));
  ran = Run("seats review --tenant 131164");
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "there is no seat\n");
  seats_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY");
  ran = Run("seats review --tenant 131164 --output csv");
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, StartsWith("vaultctl: refused: no"));
}

// ---- what one person does

TEST_F(SeatsCommandsTest, SuspendStopsAtOnceAndAsksNobody) {
  seats_.stopped = {SampleSeat("operator-07", "health_observation"),
                    SampleSeat("operator-07", "vaccination")};
  Ran ran = Run("seats suspend operator-07 --tenant 131164", /*terminal=*/true);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(seats_.suspend.tenant_id(), "131164");
  EXPECT_EQ(seats_.suspend.subject(), "urn:vault:operator-07");
  EXPECT_EQ(seats_.suspend.programme(), "");
  EXPECT_EQ(ran.out,
            "停止 suspended: operator-07 in health_observation, operator\n"
            "停止 suspended: operator-07 in vaccination, operator\n");
  EXPECT_THAT(ran.err, EndsWith("vaultctl seats resume operator-07 --tenant 131164\n"));
  ran = Run("seats suspend operator-07 --tenant 131164 --programme vaccination");
  EXPECT_EQ(seats_.suspend.programme(), "vaccination");
  EXPECT_THAT(ran.err, EndsWith("seats resume operator-07 --tenant 131164 --programme "
                                "vaccination\n"));
  ran = Run("seats suspend operator-07 --tenant 131164 --output json");
  api::SuspendSeatsResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_EQ(parsed.seats_size(), 2);
  EXPECT_EQ(ran.err, "");
}

TEST_F(SeatsCommandsTest, RevokeAsksOnATerminal) {
  seats_.stopped = {SampleSeat("operator-07", "vaccination")};
  const std::string line = "seats revoke operator-07 --tenant 131164";
  Ran ran = RunWithInput(line, "no\n", /*terminal=*/true);
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, StartsWith("席の取消しは戻せません: the seats of operator-07 in every "
                                  "programme of 131164 are revoked for good\n"));
  EXPECT_THAT(ran.err, HasSubstr("nothing was done"));
  EXPECT_EQ(seats_.calls, 0);
  ran = RunWithInput(line + " --output json", "yes\n", /*terminal=*/true);
  EXPECT_EQ(ran.code, kBadInput) << "JSON asks nobody";
  EXPECT_EQ(seats_.calls, 0);
  ran = RunWithInput(line + " --programme vaccination", "はい\n", /*terminal=*/true);
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.err, HasSubstr("of operator-07 in vaccination of 131164 are revoked"));
  EXPECT_EQ(seats_.revoke.subject(), "urn:vault:operator-07");
  EXPECT_EQ(seats_.revoke.programme(), "vaccination");
  EXPECT_EQ(ran.out, "取消し revoked: operator-07 in vaccination, operator\n");
  EXPECT_THAT(ran.err, EndsWith("vaultctl seats import ROSTER.csv --tenant 131164\n"));
  // A script is not asked, nor whoever said it before.
  EXPECT_EQ(Run(line).code, kDone);
  EXPECT_EQ(RunWithInput(line + " --yes", "", /*terminal=*/true).code, kDone);
  EXPECT_EQ(seats_.calls, 3);
}

TEST_F(SeatsCommandsTest, StoppingThatFailsSaysHowToLook) {
  for (const std::string command : {"suspend", "revoke"}) {
    const std::string line = absl::StrCat("seats ", command, " operator-07 --tenant 131164");
    seats_.status = Refusal(grpc::StatusCode::UNAVAILABLE, "STOPPING");
    Ran ran = Run(line);
    EXPECT_EQ(ran.code, kUnavailable);
    EXPECT_THAT(ran.err, HasSubstr("hint: whether it was stopped: vaultctl seats show operator-07 "
                                   "--tenant 131164\n"));
    seats_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "SEAT_REVOKED");
    ran = Run(line);
    EXPECT_EQ(ran.code, kWrongState);
    EXPECT_THAT(ran.err, HasSubstr("hint: only a new roster gives it back"));
    EXPECT_THAT(ran.err, Not(HasSubstr("whether it was")));
    seats_.status = Refusal(grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
    EXPECT_EQ(Run(line).code, kNotFound);
    seats_.status = grpc::Status::OK;
    EXPECT_EQ(Run(line).code, kVerificationFailed) << "it says that it stopped nothing";
  }
}

// ---- who approves

TEST_F(SeatsCommandsTest, ApprovalsOfATenantAreListed) {
  Ran ran = Run("approvals list --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(approvals_.list.tenant_id(), "131164");
  EXPECT_THAT(ran.out, HasSubstr("grant seats of 131164  承認待ち proposed  "
                                 "urn:vault:manager-toshima"));
  EXPECT_EQ(Run("approvals list").code, kDone);
  EXPECT_EQ(approvals_.list.tenant_id(), "");
}

TEST_F(SeatsCommandsTest, ApprovingSeatsHasNoJobToWatch) {
  approvals_.approval.set_state(api::APPROVAL_STATE_EXECUTED);
  approvals_.approval.set_decided_by("urn:vault:supervisor-toshima");
  approvals_.approval.mutable_decide_time()->set_seconds(kFrom + 30);
  const std::string line = absl::StrCat("approvals approve ", kId, " --effect ", digest_);
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(approvals_.approve.effect_digest(), digest_);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("  操作 operation  席の変更 seats\n"),
                             HasSubstr("  状態 state      実施済 executed\n"),
                             HasSubstr("2026-12-01T00:00:30Z  urn:vault:supervisor-toshima\n")));
  EXPECT_EQ(ran.err, "");
  approvals_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "OWN_SEAT");
  ran = Run(line);
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.err, HasSubstr("nobody gives himself a seat"));
}

}  // namespace
}  // namespace vault::ctl
