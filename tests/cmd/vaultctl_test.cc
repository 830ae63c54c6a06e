// vaultctl against a service that answers what each test tells it to: what is sent, what is
// printed, which code comes back.
#include <arpa/inet.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/testing/fakes.h"
#include "vault/cli/display.h"
#include "vault/cli/parser.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/cmd/vaultctl/vaultctl.h"
#include "vault/v1/audit_service.grpc.pb.h"
#include "vault/v1/key_service.grpc.pb.h"
#include "vault/v1/resident_service.grpc.pb.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using cli::DisplayWidth;
using cli::Flag;
using cli::Group;
using cli::ParsedLine;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kResident[] = "00112233445566778899aabbccddeeff";

// A status with details, as the vault sends it.
grpc::Status Refusal(grpc::StatusCode code, const std::string& message, const std::string& reason,
                     const std::string& rule = "", const std::string& field = "",
                     int64_t retry_ms = 0) {
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("vault");
  if (!rule.empty()) (*info.mutable_metadata())["rule"] = rule;
  details.add_details()->PackFrom(info);
  if (!field.empty()) {
    google::rpc::BadRequest bad;
    bad.add_field_violations()->set_field(field);
    bad.mutable_field_violations(0)->set_description(message);
    details.add_details()->PackFrom(bad);
  }
  if (retry_ms > 0) {
    google::rpc::RetryInfo retry;
    *retry.mutable_retry_delay() =
        google::protobuf::util::TimeUtil::MillisecondsToDuration(retry_ms);
    details.add_details()->PackFrom(retry);
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

class FakeResidents : public api::ResidentService::Service {
 public:
  grpc::Status CreateResident(grpc::ServerContext*, const api::CreateResidentRequest* request,
                              api::CreateResidentResponse* response) override {
    ++calls;
    create = *request;
    response->set_resident_id(kResident);
    response->set_version(1);
    response->set_etag("e1");
    return status;
  }
  grpc::Status GetResident(grpc::ServerContext*, const api::GetResidentRequest* request,
                           api::GetResidentResponse* response) override {
    ++calls;
    get = *request;
    *response = get_response;
    return status;
  }
  grpc::Status LookupResidents(grpc::ServerContext*, const api::LookupResidentsRequest* request,
                               api::LookupResidentsResponse* response) override {
    ++calls;
    lookup = *request;
    *response = lookup_response;
    return status;
  }
  grpc::Status UpdateResident(grpc::ServerContext*, const api::UpdateResidentRequest* request,
                              api::UpdateResidentResponse* response) override {
    ++calls;
    update = *request;
    response->set_version(2);
    response->set_etag("e2");
    return status;
  }
  grpc::Status ImportResidents(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<api::ImportResidentsResponse, api::ImportResidentsRequest>* stream)
      override {
    ++calls;
    api::ImportResidentsRequest request;
    if (stream->Read(&request)) open = request.open();
    if (!status.ok()) return status;
    api::ImportResidentsResponse response;
    while (stream->Read(&request)) {
      rows.push_back(request.row());
      api::ImportResult* result = response.add_results();
      result->set_row(request.row().row());
      if (judge) {
        judge(request.row(), result);
      } else {
        result->set_resident_id(kResident);
      }
      if (response.results_size() == chunk) {
        stream->Write(response);
        response.clear_results();
      }
      if (hang) {
        while (!context->IsCancelled()) usleep(1000);
        return grpc::Status::CANCELLED;
      }
      if (rows.size() == rows_max) return import_end;
    }
    if (response.results_size() > 0) stream->Write(response);
    return import_end;
  }

  grpc::Status status;
  int calls = 0;
  api::CreateResidentRequest create;
  api::GetResidentRequest get;
  api::GetResidentResponse get_response;
  api::LookupResidentsRequest lookup;
  api::LookupResidentsResponse lookup_response;
  api::UpdateResidentRequest update;
  api::ImportOpen open;
  std::vector<api::ImportRow> rows;
  std::function<void(const api::ImportRow&, api::ImportResult*)> judge;
  int chunk = 500;
  bool hang = false;
  size_t rows_max = 0;
  grpc::Status import_end;
};

class FakeAudit : public api::AuditService::Service {
 public:
  grpc::Status ListEntries(grpc::ServerContext*, const api::ListEntriesRequest* request,
                           api::ListEntriesResponse* response) override {
    requests.push_back(*request);
    if (!status.ok()) return status;
    size_t from = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    const size_t page = std::min<size_t>(request->page_size(), page_max);
    for (; from < entries.size() && response->entries_size() < static_cast<int>(page); ++from) {
      response->add_entries()->set_seq(from);
      response->mutable_entries()->rbegin()->set_entry(entries[from]);
    }
    if (from < entries.size()) response->set_next_page_token(absl::StrCat(from));
    response->set_size(entries.size());
    return grpc::Status::OK;
  }
  grpc::Status GetHead(grpc::ServerContext*, const api::GetHeadRequest* request,
                       api::GetHeadResponse* response) override {
    response->set_size(7);
    response->set_root(std::string(32, '\x0a'));
    head = *request;
    return status;
  }
  grpc::Status VerifyLog(grpc::ServerContext*, const api::VerifyLogRequest*,
                         grpc::ServerWriter<api::VerifyLogResponse>* writer) override {
    for (const api::VerifyLogResponse& message : verify) writer->Write(message);
    return status;
  }

  grpc::Status status;
  std::vector<std::string> entries;
  size_t page_max = 1000;
  std::vector<api::ListEntriesRequest> requests;
  api::GetHeadRequest head;
  std::vector<api::VerifyLogResponse> verify;
};

class FakeKeys : public api::KeyService::Service {
 public:
  grpc::Status GetKeyStatus(grpc::ServerContext*, const api::GetKeyStatusRequest*,
                            api::GetKeyStatusResponse* response) override {
    *response = answer;
    return status;
  }

  grpc::Status status;
  api::GetKeyStatusResponse answer;
};

class FakeVault : public api::VaultService::Service {
 public:
  grpc::Status GetCaller(grpc::ServerContext*, const api::GetCallerRequest*,
                         api::GetCallerResponse* response) override {
    ++calls;
    *response = caller;
    return status;
  }
  void Add(const std::string& id, const std::string& label_ja, const std::string& label_en) {
    api::SchemaField* field = caller.add_fields();
    field->set_id(id);
    field->set_label_ja(label_ja);
    field->set_label_en(label_en);
  }

  grpc::Status status;
  int calls = 0;
  api::GetCallerResponse caller;
};

class VaultctlTest : public CtlTest {
 protected:
  VaultctlTest() {
    Serve({&residents_, &audit_, &keys_, &vault_});
    vault_.Add("name", "氏名", "name");
    vault_.Add("phone", "電話", "telephone");
    vault_.Add("email", "メール", "mail address");
    vault_.Add("birth_date", "生年月日", "date of birth");
    vault_.Add("memo", "応対メモ", "call memo");
    vault_.Add("health_note", "健康観察", "health note");
    char name[] = "/tmp/vaultctl_test.XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~VaultctlTest() override {
    Stop();
    for (const std::string& file : files_) unlink(file.c_str());
    rmdir(dir_.c_str());
  }

  // Runs a command line, written with single spaces between its words; `more` words are taken as
  // they are.
  Ran Run(const std::string& line, const std::vector<std::string>& more = {},
          bool terminal = false) {
    std::vector<std::string> args = absl::StrSplit(line, ' ', absl::SkipEmpty());
    args.insert(args.end(), more.begin(), more.end());
    return RunWords(args, terminal, stdin_);
  }

  // With the flags that every touch of a resident needs.
  Ran RunResidents(const std::string& line, const std::vector<std::string>& more = {},
                   bool terminal = false) {
    return Run(absl::StrCat("--profile p residents ", line,
                            " --tenant 131164 --purpose vaccination_booking --contact C-1001"),
               more, terminal);
  }

  std::string Write(const std::string& name, const std::string& content, mode_t mode = 0600) {
    const std::string path = absl::StrCat(dir_, "/", name);
    std::ofstream(path, std::ios::binary) << content;
    chmod(path.c_str(), mode);
    files_.push_back(path);
    return path;
  }

  FakeResidents residents_;
  FakeAudit audit_;
  FakeKeys keys_;
  FakeVault vault_;
  std::string dir_;
  std::vector<std::string> files_;
  std::string stdin_;
};

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

void AddField(api::Resident* resident, const std::string& id, api::Disclosure disclosure,
              const std::string& value = "") {
  api::Field* field = resident->add_fields();
  field->set_id(id);
  field->set_disclosure(disclosure);
  field->set_value(value);
}

api::Resident SampleResident() {
  api::Resident resident;
  resident.set_resident_id(kResident);
  resident.set_version(3);
  resident.set_etag("e3");
  resident.set_programme("vaccination");
  AddField(&resident, "name", api::DISCLOSURE_FULL, "見本 花子");
  AddField(&resident, "phone", api::DISCLOSURE_MASKED, "＊＊＊5678");
  AddField(&resident, "email", api::DISCLOSURE_ABSENT);
  AddField(&resident, "birth_date", api::DISCLOSURE_WITHHELD);
  AddField(&resident, "memo", api::DISCLOSURE_UNSEEN);
  return resident;
}

// ---- the grammar

struct BadLine {
  const char* line;
  const char* error;
};

class BadLines : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadLines, AreShortUsageErrorsThatNameTheHelp) {
  std::istringstream in;
  std::ostringstream out, err;
  const std::vector<std::string> args = absl::StrSplit(GetParam().line, ' ', absl::SkipEmpty());
  EXPECT_EQ(RunVaultctl(args, in, out, err, Terminal::kNone), kBadInput);
  EXPECT_THAT(out.str(), IsEmpty());
  EXPECT_THAT(err.str(), StartsWith(absl::StrCat("vaultctl: ", GetParam().error)));
  EXPECT_THAT(err.str(), HasSubstr("\nMore: vaultctl help"));
  EXPECT_LE(Lines(err.str()).size(), 3u);
}

TEST(UsageErrorTest, IsOneObjectWhereTheLineAskedForJson) {
  for (const char* output : {"--output json", "--output=json"}) {
    std::istringstream in;
    std::ostringstream out, err;
    const std::vector<std::string> args =
        absl::StrSplit(absl::StrCat("keys statsu ", output), ' ', absl::SkipEmpty());
    EXPECT_EQ(RunVaultctl(args, in, out, err, Terminal::kNone), kBadInput);
    EXPECT_EQ(err.str(),
              "{\"error\":{\"reason\":\"USAGE\",\"message\":\"unknown command keys statsu\","
              "\"hint\":\"did you mean status?\",\"exit_code\":2}}\n");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, BadLines,
    ::testing::Values(
        BadLine{"", "no command given"},
        BadLine{"resident get", "unknown group resident\nhint: did you mean residents?"},
        BadLine{"residents", "residents wants a command"},
        BadLine{"residents lokup", "unknown command residents lokup\nhint: did you mean lookup?"},
        BadLine{"residents get", "residents get wants ID"},
        BadLine{"residents get a b", "a word too many after residents get"},
        BadLine{"audit head extra", "a word too many after audit head"},
        BadLine{"keys status --tenent 131164",
                "unknown flag --tenent\nhint: did you mean --tenant?"},
        BadLine{"keys status --tenant", "--tenant wants a value"},
        BadLine{"keys status --tenant --output text", "--tenant wants a value"},
        BadLine{"keys status --tenant 1 --tenant 2", "--tenant stands twice"},
        BadLine{"keys status --purpose x", "keys status has no flag --purpose"},
        BadLine{"keys status -t 131164", "unknown flag -t"},
        BadLine{"keys status --no-check=1", "--no-check takes no value"},
        BadLine{"--zzzzzzzz", "unknown flag --zzzzzzzz"},
        BadLine{"unsael", "unknown group unsael\nhint: did you mean unseal?"},
        BadLine{"seal now", "a word too many after seal"},
        BadLine{"jobs show", "jobs show wants ID"},
        BadLine{"keys under --key-version", "--key-version wants a value"},
        BadLine{"keys destroy --what kek --version 1", "a word too many after keys destroy"},
        BadLine{"keys status --key-version 3", "keys status has no flag --key-version"},
        BadLine{"keys under --key-version 1 --key-version=2", "--key-version stands twice"},
        BadLine{"jobs watch --service=1 x", "--service takes no value"},
        BadLine{"backup list 3", "a word too many after backup list"},
        BadLine{"help residnts", "unknown group residnts\nhint: did you mean residents?"}));

TEST(ParseLineTest, FlagsStandAnywhereAndInBothForms) {
  const ParsedLine line =
      ParseLine(TheGrammar(), {"--profile=p", "residents", "--tenant", "131164", "update", "--set",
                               "memo=--a=b", "ID", "--set=name=x", "--etag="});
  ASSERT_EQ(line.want, ParsedLine::Want::kRun) << line.error;
  EXPECT_EQ(line.command->name, "update");
  EXPECT_THAT(line.args.operands(), ElementsAre("ID"));
  EXPECT_THAT(line.args.GetAll("set"), ElementsAre("memo=--a=b", "name=x"));
  EXPECT_EQ(line.args.Get("profile"), "p");
  EXPECT_TRUE(line.args.Has("etag"));
  EXPECT_EQ(line.args.Get("etag", "fallback"), "");
}

TEST(ParseLineTest, TheVersionIsAskedForInEveryUsualWay) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--version"}, {"-V"}, {"version"}, {"keys", "under", "--version"}, {"keys", "-V"}}) {
    EXPECT_EQ(ParseLine(TheGrammar(), words).want, ParsedLine::Want::kVersion);
  }
  const ParsedLine line = ParseLine(TheGrammar(), {"keys", "under", "--key-version=3"});
  ASSERT_EQ(line.want, ParsedLine::Want::kRun) << line.error;
  EXPECT_EQ(line.args.Get("key-version"), "3");
}

TEST(ParseLineTest, SomeCommandsStandAlone) {
  const ParsedLine line = ParseLine(TheGrammar(), {"seal", "--profile", "p"});
  ASSERT_EQ(line.want, ParsedLine::Want::kRun) << line.error;
  EXPECT_EQ(line.command->name, "seal");
  EXPECT_EQ(ParseLine(TheGrammar(), {"vault", "seal"}).command, line.command);
  EXPECT_EQ(ParseLine(TheGrammar(), {"help", "seal"}).want, ParsedLine::Want::kHelp);
}

TEST(ParseLineTest, TwoHyphensEndTheFlags) {
  const ParsedLine line = ParseLine(TheGrammar(), {"residents", "get", "--", "--tenant"});
  ASSERT_EQ(line.want, ParsedLine::Want::kRun) << line.error;
  EXPECT_THAT(line.args.operands(), ElementsAre("--tenant"));
}

TEST(HelpTest, EveryCommandHasAnExampleThatParsesAndItsFlags) {
  for (const Command& command : AllCommands()) {
    std::istringstream in;
    std::ostringstream out, err;
    EXPECT_EQ(RunVaultctl({command.group, command.name, "--help"}, in, out, err, Terminal::kNone),
              kDone);
    EXPECT_THAT(err.str(), IsEmpty());
    EXPECT_THAT(out.str(), HasSubstr("Exit codes"));
    for (const Flag& flag : command.flags) {
      EXPECT_EQ(absl::StrContains(out.str(), absl::StrCat("--", flag.name, " ")), !flag.hidden)
          << command.name << " " << flag.name;
    }
    ASSERT_FALSE(command.examples.empty());
    for (std::string example : command.examples) {
      std::vector<std::string> words;
      for (absl::string_view word :
           absl::StrSplit(example, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
        if (word != "\\" && word != "vaultctl") words.push_back(std::string(word));
      }
      const ParsedLine line = ParseLine(TheGrammar(), words);
      EXPECT_EQ(line.want, ParsedLine::Want::kRun) << example << ": " << line.error;
      EXPECT_EQ(line.command, &command);
    }
  }
}

TEST(HelpTest, FitsAnUsualTerminal) {
  std::vector<std::vector<std::string>> lines = {{"help"}};
  for (const Group& group : TheGrammar().groups) lines.push_back({"help", group.name});
  for (const Command& command : AllCommands()) {
    lines.push_back({"help", command.group, command.name});
  }
  for (const auto& line : lines) {
    std::istringstream in;
    std::ostringstream out, err;
    EXPECT_EQ(RunVaultctl(line, in, out, err, Terminal::kNone), kDone);
    for (const std::string& text : Lines(out.str())) EXPECT_LE(DisplayWidth(text), 100) << text;
  }
}

TEST(HelpTest, VersionIsPrinted) {
  std::istringstream in;
  std::ostringstream out, err;
  EXPECT_EQ(RunVaultctl({"--version"}, in, out, err, Terminal::kNone), kDone);
  EXPECT_THAT(out.str(), ::testing::MatchesRegex("vaultctl [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

// ---- exit codes

struct CodeCase {
  grpc::StatusCode code;
  const char* reason;
  int exit;
};

class ExitCodes : public VaultctlTest, public ::testing::WithParamInterface<CodeCase> {};

TEST_P(ExitCodes, FollowTheStatus) {
  residents_.status = Refusal(GetParam().code, "told so", GetParam().reason);
  const Ran ran = RunResidents(absl::StrCat("get ", kResident));
  EXPECT_EQ(ran.code, GetParam().exit);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_THAT(ran.err, StartsWith("vaultctl: "));
}

INSTANTIATE_TEST_SUITE_P(
    All, ExitCodes,
    ::testing::Values(CodeCase{grpc::StatusCode::PERMISSION_DENIED, "POLICY", 1},
                      CodeCase{grpc::StatusCode::PERMISSION_DENIED, "TRANSFER_TO_SUPERVISOR", 1},
                      CodeCase{grpc::StatusCode::UNAUTHENTICATED, "", 1},
                      CodeCase{grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD", 2},
                      CodeCase{grpc::StatusCode::OUT_OF_RANGE, "", 2},
                      CodeCase{grpc::StatusCode::ALREADY_EXISTS, "REQUEST_ID_REUSED", 2},
                      CodeCase{grpc::StatusCode::ABORTED, "ETAG_MISMATCH", 6},
                      CodeCase{grpc::StatusCode::ABORTED, "CONFLICT", 4},
                      CodeCase{grpc::StatusCode::NOT_FOUND, "NOT_FOUND", 3},
                      CodeCase{grpc::StatusCode::UNAVAILABLE, "AUDIT_UNAVAILABLE", 4},
                      CodeCase{grpc::StatusCode::FAILED_PRECONDITION, "SEALED", 4},
                      CodeCase{grpc::StatusCode::RESOURCE_EXHAUSTED, "REFUSALS", 4},
                      CodeCase{grpc::StatusCode::DEADLINE_EXCEEDED, "", 4},
                      CodeCase{grpc::StatusCode::CANCELLED, "", 4},
                      CodeCase{grpc::StatusCode::INTERNAL, "", 4},
                      CodeCase{grpc::StatusCode::UNKNOWN, "", 4},
                      CodeCase{grpc::StatusCode::UNIMPLEMENTED, "", 4},
                      CodeCase{grpc::StatusCode::DATA_LOSS, "", 5}),
    [](const auto& info) {
      return absl::StrCat(CodeName(info.param.code), "_", info.param.reason);
    });

TEST_F(VaultctlTest, RefusalNamesTheRuleAndWhatToDo) {
  residents_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "birth_date is withheld",
                              "POLICY", "field.withheld");
  const Ran ran = RunResidents(absl::StrCat("get ", kResident, " --fields birth_date"));
  EXPECT_EQ(ran.err,
            "vaultctl: refused: birth_date is withheld (rule field.withheld)\n"
            "hint: without --fields the answer holds what your role may have and names what is "
            "withheld\n");
}

TEST_F(VaultctlTest, TransferSaysNothingElse) {
  residents_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "anything else",
                              "TRANSFER_TO_SUPERVISOR", "escalation.supervisor");
  const Ran ran = RunResidents("lookup --by phone=03-1234-5678");
  EXPECT_THAT(ran.err, StartsWith("vaultctl: SV転送 transfer to supervisor\n"));
  EXPECT_THAT(ran.err, Not(HasSubstr("anything else")));
  EXPECT_THAT(ran.err, Not(HasSubstr("rule")));
}

TEST_F(VaultctlTest, BadFieldIsNamedOnce) {
  for (const char* message : {"a telephone number", "criteria[phone]: a telephone number"}) {
    residents_.status = Refusal(grpc::StatusCode::INVALID_ARGUMENT, message, "INVALID_FIELD", "",
                                "criteria[phone]");
    EXPECT_EQ(RunResidents("lookup --by phone=x").err,
              "vaultctl: bad input: criteria[phone]: a telephone number (INVALID_FIELD)\n");
  }
}

TEST_F(VaultctlTest, RetryDelayIsTold) {
  residents_.status =
      Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many refusals", "REFUSALS", "", "", 2500);
  EXPECT_THAT(RunResidents(absl::StrCat("get ", kResident)).err, HasSubstr("try again in 3s\n"));
}

TEST_F(VaultctlTest, DetailsThatCannotBeReadLeaveTheCode) {
  residents_.status = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no", "\xff\xff garbage");
  const Ran ran = RunResidents(absl::StrCat("get ", kResident));
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.err, StartsWith("vaultctl: refused: no\n"));
}

TEST_F(VaultctlTest, MessagesFromTheVaultDoNotReachTheTerminalRaw) {
  residents_.status = Refusal(grpc::StatusCode::INVALID_ARGUMENT, "a\x1b[2Jb", "R\x1b", "", "f\n");
  EXPECT_THAT(RunResidents(absl::StrCat("get ", kResident)).err, Not(HasSubstr("\x1b")));
  residents_.status = grpc::Status(grpc::StatusCode::NOT_FOUND, "a\x1b[2Jb");
  EXPECT_THAT(RunResidents(absl::StrCat("get ", kResident)).err, HasSubstr("a\\x1b[2Jb"));
}

// ---- residents

TEST_F(VaultctlTest, LookupSendsWhatWasWrittenAndPrintsATable) {
  *residents_.lookup_response.add_residents() = SampleResident();
  const Ran ran = RunResidents(
      "lookup --by phone=０３-1234=5678 --by name=見本花子 --fields name,phone --reason read_back");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(residents_.lookup.tenant_id(), "131164");
  EXPECT_EQ(residents_.lookup.context().purpose(), "vaccination_booking");
  EXPECT_EQ(residents_.lookup.context().contact(), "C-1001");
  EXPECT_EQ(residents_.lookup.context().reason(), "read_back");
  ASSERT_EQ(residents_.lookup.criteria_size(), 2);
  EXPECT_EQ(residents_.lookup.criteria(0).id(), "phone");
  EXPECT_EQ(residents_.lookup.criteria(0).value(), "０３-1234=5678");
  EXPECT_THAT(residents_.lookup.field_mask().paths(), ElementsAre("name", "phone"));
  EXPECT_EQ(ran.out,
            "resident 00112233445566778899aabbccddeeff  version 3  etag e3\n"
            "  業務 programme       vaccination\n"
            "  氏名 name            見本 花子\n"
            "  電話 phone           ＊＊＊5678   マスク masked\n"
            "  メール email         -            なし absent\n"
            "  生年月日 birth_date  -            非開示 withheld\n"
            "  応対メモ memo        -            非表示 unseen\n");
  EXPECT_EQ(vault_.calls, 1);
}

// The vault's names are as little trusted as its values, and it need not have any.
TEST_F(VaultctlTest, FieldsAreCalledWhatTheVaultCallsThem) {
  vault_.caller.Clear();
  vault_.Add("name", "\x1b]0;owned\x07", "");
  vault_.Add("phone", "電\xe2\x80\xae話", "");
  vault_.Add("email", std::string(100, 'x'), "");
  vault_.Add("email", "二度", "");
  vault_.Add("\x1b[2J", "x", "");
  *residents_.get_response.mutable_resident() = SampleResident();
  AddField(residents_.get_response.mutable_resident(), std::string(1000, 'y'),
           api::DISCLOSURE_ABSENT);
  const Ran ran = RunResidents(absl::StrCat("get ", kResident));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("  \\x1b]0;owned\\x07 name "));
  EXPECT_THAT(ran.out, HasSubstr("  電\\u{202e}話 phone "));
  EXPECT_THAT(ran.out, HasSubstr(absl::StrCat("  ", std::string(39, 'x'), "… email ")));
  EXPECT_THAT(ran.out, HasSubstr(absl::StrCat("  ", std::string(39, 'y'), "… ")));
  EXPECT_THAT(ran.out, HasSubstr("  birth_date "));
  for (const char* steering : {"\x1b", "\xe2\x80\xae"})
    EXPECT_THAT(ran.out, Not(HasSubstr(steering)));
  for (const std::string& line : Lines(ran.out)) EXPECT_LE(DisplayWidth(line), 100) << line;

  // More fields than a schema has.
  for (int i = 0; i < 100; ++i) vault_.Add(absl::StrCat("f", i), "欄", "");
  AddField(residents_.get_response.mutable_resident(), "f99", api::DISCLOSURE_ABSENT);
  EXPECT_THAT(RunResidents(absl::StrCat("get ", kResident)).out, HasSubstr("\n  f99 "));
  // Whoever asks for JSON gets the ids, and nothing is asked for their names.
  vault_.calls = 0;
  EXPECT_EQ(RunResidents(absl::StrCat("get ", kResident, " --output json")).code, kDone);
  EXPECT_EQ(vault_.calls, 0);
  // A vault that does not say.
  vault_.status = Refusal(grpc::StatusCode::UNAVAILABLE, "no", "AUDIT_UNAVAILABLE");
  const Ran silent = RunResidents(absl::StrCat("get ", kResident));
  EXPECT_EQ(silent.code, kDone) << silent.err;
  EXPECT_THAT(silent.out, HasSubstr("\n  name "));
  EXPECT_EQ(silent.err, "");
}

TEST_F(VaultctlTest, WhoamiNamesTheFields) {
  vault_.Add("sex", "性別\x1b[2J", std::string(100, 'x'));
  const Ran ran = Run("--profile p whoami");
  EXPECT_THAT(ran.out, HasSubstr("\n項目 fields\n  氏名 name             name\n"));
  EXPECT_THAT(ran.out,
              HasSubstr(absl::StrCat("  性別\\x1b[2J sex       ", std::string(39, 'x'), "…\n")));
}

// Nothing is known of the columns then; what is wrong the vault says.
TEST_F(VaultctlTest, ImportGoesOnWhereTheVaultNamesNoFields) {
  vault_.caller.Clear();
  EXPECT_EQ(RunResidents("import", {Write("a.csv", "shelter\nx\n")}).code, kDone);
  ASSERT_EQ(residents_.rows.size(), 1u);
  EXPECT_EQ(residents_.rows[0].fields(0).id(), "shelter");
}

TEST_F(VaultctlTest, LookupWithoutAMatchIsNotFound) {
  const Ran ran = RunResidents("lookup --by phone=03-1234-5678");
  EXPECT_EQ(ran.code, kNotFound);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_THAT(ran.err, HasSubstr("該当なし"));
}

TEST_F(VaultctlTest, LookupSaysWhenThereAreMore) {
  *residents_.lookup_response.add_residents() = SampleResident();
  *residents_.lookup_response.add_residents() = SampleResident();
  residents_.lookup_response.set_more(true);
  const Ran ran = RunResidents("lookup --by phone=03-1234-5678");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("\n\nresident "));
  EXPECT_THAT(ran.err, HasSubstr("there are more"));
}

TEST_F(VaultctlTest, ValuesDoNotSteerTheTerminal) {
  AddField(residents_.get_response.mutable_resident(), "memo", api::DISCLOSURE_FULL,
           "\x1b]0;owned\x07\xc2\x9b\n二行目");
  AddField(residents_.get_response.mutable_resident(), "\x1b[1m", api::DISCLOSURE_FULL, "x");
  residents_.get_response.mutable_resident()->set_etag("\x1b[2J");
  const Ran ran = RunResidents(absl::StrCat("get ", kResident));
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(ran.out, Not(HasSubstr("\xc2\x9b")));
  EXPECT_THAT(ran.out, HasSubstr("\\x1b]0;owned\\x07\\u{9b}\\n二行目"));
}

TEST_F(VaultctlTest, JsonIsTheProtosOwnAndOneLine) {
  *residents_.get_response.mutable_resident() = SampleResident();
  AddField(residents_.get_response.mutable_resident(), "address", api::DISCLOSURE_FULL,
           "a\x1b[2J\xc2\x9b\nb");
  const Ran ran = RunResidents(absl::StrCat("get ", kResident, " --output json"));
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(Lines(ran.out), ::testing::SizeIs(1));
  EXPECT_THAT(ran.out, HasSubstr("\"resident_id\":"));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(ran.out, Not(HasSubstr("\xc2\x9b")));
  api::GetResidentResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_EQ(parsed.SerializeAsString(), residents_.get_response.SerializeAsString());
}

TEST_F(VaultctlTest, UpdateSendsFieldsEtagAndAFreshRequestId) {
  const Ran first = RunResidents(
      absl::StrCat("update ", kResident, " --set phone=090-1234-5678 --set memo= --etag e1"));
  EXPECT_EQ(first.code, kDone) << first.err;
  ASSERT_EQ(residents_.update.fields_size(), 2);
  EXPECT_EQ(residents_.update.fields(1).id(), "memo");
  EXPECT_EQ(residents_.update.fields(1).value(), "");
  EXPECT_EQ(residents_.update.etag(), "e1");
  EXPECT_EQ(residents_.update.resident_id(), kResident);
  const std::string id = residents_.update.request_id();
  EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(first.out, absl::StrCat("updated resident ", kResident, "  version 2  etag e2\n"));
  RunResidents(absl::StrCat("update ", kResident, " --set memo=x"));
  EXPECT_NE(residents_.update.request_id(), id);
  RunResidents(absl::StrCat("update ", kResident, " --set memo=x --request-id r.1_A-z"));
  EXPECT_EQ(residents_.update.request_id(), "r.1_A-z");
}

TEST_F(VaultctlTest, ChangeWithoutAnAnswerSaysHowToRepeatIt) {
  residents_.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  const Ran ran = RunResidents("create --set name=見本花子");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("--request-id ", residents_.create.request_id())));
}

TEST_F(VaultctlTest, ValueComesFromAFileOrStandardInput) {
  const std::string memo(1 << 20, 'm');
  const std::string path = Write("memo.txt", memo + "\n");
  stdin_ = "見本\n";
  const Ran ran =
      RunResidents("create", {"--set", "memo=@" + path, "--set", "name=@-", "--set", "email=@@x"});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  ASSERT_EQ(residents_.create.fields_size(), 3);
  EXPECT_EQ(residents_.create.fields(0).value(), memo);
  EXPECT_EQ(residents_.create.fields(1).value(), "見本");
  EXPECT_EQ(residents_.create.fields(2).value(), "@x");
}

struct BadInputCase {
  const char* line;
  const char* error;
};

class BadInputs : public VaultctlTest, public ::testing::WithParamInterface<BadInputCase> {};

TEST_P(BadInputs, AreToldBeforeAnythingIsSent) {
  const Ran ran = Run(absl::StrCat("--profile p ", GetParam().line));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_EQ(residents_.calls, 0);
  EXPECT_TRUE(audit_.requests.empty());
  EXPECT_THAT(ran.err, StartsWith(absl::StrCat("vaultctl: ", GetParam().error)));
  EXPECT_THAT(ran.err, Not(HasSubstr("secret")));
}

INSTANTIATE_TEST_SUITE_P(
    Checks, BadInputs,
    ::testing::Values(
        BadInputCase{"residents lookup --by phone=1 --purpose p --contact c",
                     "--tenant is missing"},
        BadInputCase{"residents lookup --tenant 131165 --by phone=1 --purpose p --contact c",
                     "--tenant is no municipality's code"},
        BadInputCase{"residents lookup --tenant 131164 --by phone=1 --contact c",
                     "--purpose is missing"},
        BadInputCase{"residents lookup --tenant 131164 --by phone=1 --purpose p",
                     "--contact is missing"},
        BadInputCase{"residents lookup --tenant 131164 --purpose p --contact c", "--by is missing"},
        BadInputCase{"residents lookup --tenant 131164 --by secret --purpose p --contact c",
                     "--by wants FIELD=VALUE"},
        BadInputCase{"residents lookup --tenant 131164 --by =secret --purpose p --contact c",
                     "--by wants FIELD=VALUE"},
        BadInputCase{"residents lookup --tenant 131164 --by name=secret --by name=secret --purpose "
                     "p --contact c",
                     "--by names name twice"},
        BadInputCase{"residents lookup --tenant 131164 --by a=1 --by b=1 --by c=1 --by d=1 --by "
                     "e=1 --purpose p --contact c",
                     "--by stands more than 4 times"},
        BadInputCase{"residents get 0011 --tenant 131164 --purpose p --contact c",
                     "ID is no resident's handle"},
        BadInputCase{"residents create --tenant 131164 --purpose p --contact c",
                     "--set is missing"},
        BadInputCase{"residents create --tenant 131164 --set memo=@/nonexistent/secret --purpose p "
                     "--contact c",
                     "--set: the file after @ cannot be read"},
        BadInputCase{"residents create --tenant 131164 --set name=x --request-id a/b --purpose p "
                     "--contact c",
                     "--request-id has the wrong form"},
        BadInputCase{"residents import /nonexistent.csv --tenant 131164 --purpose p --contact c",
                     "/nonexistent.csv: "},
        BadInputCase{"audit list --tenant 131164 --from yesterday", "--from is no time"},
        BadInputCase{"audit list --tenant 131164 --to 2026-02-30", "--to is no time"},
        BadInputCase{"audit list --tenant 131164 --limit -1", "--limit is no number"},
        BadInputCase{"audit list --tenant 131164 --resident x",
                     "--resident is no resident's handle"},
        BadInputCase{"audit list --tenant 131164 --decision MAYBE", "--decision is not known"},
        BadInputCase{"audit list --tenant 131164 --log service",
                     "--tenant and --log both name a log"},
        BadInputCase{"audit head --log other", "--log is not known"},
        BadInputCase{"audit head --tenant 131164 --output raw", "--output raw is not known here"},
        BadInputCase{"keys status", "--tenant is missing"},
        BadInputCase{"keys status --tenant 131164 --timeout 0", "--timeout is out of range"},
        BadInputCase{"keys status --tenant 131164 --timeout nan", "--timeout is out of range"},
        BadInputCase{"keys status --tenant 131164 --timeout soon", "--timeout wants seconds"}));

TEST_F(VaultctlTest, TextThatIsNotUtf8IsToldBeforeSending) {
  const Ran ran = RunResidents("create", {"--set", "name=\x8c\xa9\x96\x7b"});
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_EQ(residents_.calls, 0);
  EXPECT_THAT(ran.err, StartsWith("vaultctl: the command line is not UTF-8\n"));
  const Ran file =
      RunResidents("create", {"--set", "name=@" + Write("sjis.txt", "\x8c\xa9\x96\x7b")});
  EXPECT_EQ(file.code, kBadInput);
  EXPECT_EQ(residents_.calls, 0);
}

TEST_F(VaultctlTest, NoCheckSendsWhatTheVaultWouldRefuse) {
  residents_.status =
      Refusal(grpc::StatusCode::PERMISSION_DENIED, "no purpose", "POLICY", "purpose.required");
  const Ran ran = Run("--profile p residents lookup --no-check --tenant 131165 --by phone=1");
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_EQ(residents_.calls, 1);
  EXPECT_EQ(residents_.lookup.tenant_id(), "131165");
  EXPECT_EQ(residents_.lookup.context().purpose(), "");
  EXPECT_THAT(ran.err, HasSubstr("hint: say why: --purpose"));
}

// ---- import

TEST_F(VaultctlTest, ImportSendsRowsByLineWithoutEmptyCells) {
  const std::string path =
      Write("a.csv", "name,phone,memo\n見本花子,03-1111-2222,\n\"見本\n太郎\",,x\n見本次郎,,\n");
  const Ran ran = RunResidents("import", {path});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(residents_.open.tenant_id(), "131164");
  EXPECT_EQ(residents_.open.context().contact(), "C-1001");
  ASSERT_EQ(residents_.rows.size(), 3u);
  EXPECT_EQ(residents_.rows[0].row(), 2u);
  EXPECT_EQ(residents_.rows[0].fields_size(), 2);
  EXPECT_EQ(residents_.rows[1].fields(0).value(), "見本\n太郎");
  EXPECT_EQ(residents_.rows[2].row(), 5u);
  EXPECT_THAT(ran.out, StartsWith("imported 3 of 3 rows in "));
}

TEST_F(VaultctlTest, ImportReportsBadRowsByLineAndGoesOn) {
  residents_.judge = [](const api::ImportRow& row, api::ImportResult* result) {
    if (row.row() != 3) return;
    result->set_code(grpc::StatusCode::INVALID_ARGUMENT);
    result->set_reason("INVALID_FIELD");
    result->set_field("row.fields[phone]");
    result->set_message("row.fields[phone]: not a telephone\x1b[2J number");
  };
  const std::string path =
      Write("a.csv", "name,phone\n見本花子,03-1111-2222\n秘密,12\n見本次郎,\n");
  const Ran ran = RunResidents("import", {path});
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err,
              HasSubstr(absl::StrCat(
                  path, ":3: 電話 phone: not a telephone\\x1b[2J number (INVALID_FIELD)\n")));
  EXPECT_THAT(ran.err, Not(HasSubstr("秘密")));
  EXPECT_THAT(ran.out, StartsWith("imported 2 of 3 rows in "));
  EXPECT_THAT(ran.out, HasSubstr("; wrong: 1\n"));
}

struct CsvCase {
  const char* name;
  const char* content;
  const char* error;  // after "FILE:"
  size_t sent;
};

class BadCsv : public VaultctlTest, public ::testing::WithParamInterface<CsvCase> {};

TEST_P(BadCsv, IsToldWithItsPlaceAndTheGoodRowsStand) {
  const std::string path = Write("a.csv", GetParam().content);
  const Ran ran = RunResidents("import", {path});
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat(path, ":", GetParam().error)));
  EXPECT_THAT(ran.err, Not(HasSubstr("秘密")));
  EXPECT_EQ(residents_.rows.size(), GetParam().sent);
  if (GetParam().sent == 0) EXPECT_EQ(residents_.calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Import, BadCsv,
    ::testing::Values(
        CsvCase{"UnknownColumn", "name,phon\n秘密,1\n", "1: column 2 \"phon\" is no field", 0},
        CsvCase{"NoHeader", "秘密,03-1111-2222\n", "1: column 1 is no field", 0},
        CsvCase{"ColumnTwice", "name,name\n秘密,秘密\n", " line 1", 0},
        CsvCase{"Empty", "", " ", 0},
        CsvCase{"WrongWidth", "name,phone\n見本,\n秘密\n見本,\n",
                "3: expected 2 fields, found 1 (CSV_ROW_WIDTH)", 2},
        CsvCase{"QuotesOpen", "name,phone\n見本,\n\"秘密,\n見本,\n", "3: column 1: ", 1},
        CsvCase{"InvalidUtf8", "name,phone\n見本,\n\xff\xfe,\n見本,\n", "3: column 1: ", 2}),
    [](const auto& info) { return info.param.name; });

TEST_F(VaultctlTest, ImportJsonIsAResultALineWithTheRowsThatWereNotSent) {
  residents_.judge = [](const api::ImportRow& row, api::ImportResult* result) {
    result->set_resident_id(kResident);
  };
  const std::string path = Write("a.csv", "name,phone\n見本,\n見本\n見本,\n");
  const Ran ran = RunResidents("import --output json", {path});
  EXPECT_EQ(ran.code, kBadInput);
  const std::vector<std::string> lines = Lines(ran.out);
  ASSERT_EQ(lines.size(), 3u);
  int bad = 0;
  for (const std::string& line : lines) {
    api::ImportResult result;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, &result).ok()) << line;
    if (result.code() == 0) continue;
    ++bad;
    EXPECT_EQ(result.row(), 3u);
    EXPECT_EQ(result.reason(), "CSV_ROW_WIDTH");
  }
  EXPECT_EQ(bad, 1);
  EXPECT_THAT(ran.err, HasSubstr("\"message\":\"imported 2 of 3 rows"));
}

TEST_F(VaultctlTest, RepeatedImportCountsWhatIsThereAlready) {
  residents_.judge = [](const api::ImportRow&, api::ImportResult* result) {
    result->set_code(grpc::StatusCode::ALREADY_EXISTS);
    result->set_reason("ALREADY_EXISTS");
    result->set_message("there already");
  };
  std::string csv = "name\n";
  for (int i = 0; i < 50; ++i) csv += "見本\n";
  const std::string path = Write("a.csv", csv);
  const Ran ran = RunResidents("import", {path});
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr("30 more rows are there already\n"));
  EXPECT_THAT(ran.out, HasSubstr("; there already: 50\n"));
}

TEST_F(VaultctlTest, LargeImportPrintsLinesOrABar) {
  std::string csv = "name\n";
  // A line break in quotes is no row: the bar's total is right.
  for (int i = 0; i < 10000; ++i) csv += i % 10 == 0 ? "\"見\n本\"\n" : "見本\n";
  const std::string path = Write("a.csv", csv);
  const Ran plain = RunResidents("import", {path});
  EXPECT_EQ(plain.code, kDone) << plain.err;
  EXPECT_THAT(plain.err, ContainsRegex("(^|\n)[0-9]+/(99[0-9][0-9]|100[0-9][0-9]) rows"))
      << "what the bytes so far let expect";
  EXPECT_THAT(plain.err, HasSubstr("10000/10000 rows"));
  EXPECT_THAT(plain.err, Not(HasSubstr("\r")));
  residents_.rows.clear();
  const Ran bar = RunResidents("import", {path}, true);
  EXPECT_EQ(bar.code, kDone);
  EXPECT_THAT(bar.err, HasSubstr("\r[##############################] 100%  10000/10000 rows"));
  EXPECT_EQ(residents_.rows.size(), 10000u);
}

TEST_F(VaultctlTest, RefusedImportIsARefusal) {
  residents_.status =
      Refusal(grpc::StatusCode::PERMISSION_DENIED, "no import", "POLICY", "role.action");
  std::string csv = "name\n";
  for (int i = 0; i < 20000; ++i) csv += "見本\n";
  const Ran ran = RunResidents("import", {Write("a.csv", csv)});
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.err, HasSubstr("vaultctl: refused: no import (rule role.action)"));
}

TEST_F(VaultctlTest, ImportThatEndsEarlyIsNotDone) {
  residents_.rows_max = 600;
  std::string csv = "name\n";
  for (int i = 0; i < 1000; ++i) csv += "見本\n";
  const Ran ran = RunResidents("import", {Write("a.csv", csv)});
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.out, HasSubstr("without an answer: "));
  residents_.import_end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
  residents_.rows.clear();
  EXPECT_EQ(RunResidents("import", {files_.back()}).code, kUnavailable);
}

TEST_F(VaultctlTest, RowsUnderWayAreBounded) {
  residents_.chunk = 1 << 30;
  std::string csv = "name\n";
  for (int i = 0; i < 6000; ++i) csv += "見本\n";
  EXPECT_EQ(RunResidents("import --timeout 0.5", {Write("a.csv", csv)}).code, kUnavailable);
  Shutdown();
  EXPECT_EQ(residents_.rows.size(), 4000u);
}

TEST_F(VaultctlTest, RowTooLongForAMessageIsLeftOut) {
  const std::string half(1800000, 'm');
  const std::string path = Write(
      "a.csv", absl::StrCat("name,memo,health_note\n見本,,\n見本,", half, ",", half, "\n見本,,\n"));
  const Ran ran = RunResidents("import", {path});
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr(":3: the row is longer than 3 MiB (TOO_LONG)\n"));
  EXPECT_EQ(residents_.rows.size(), 2u);
}

TEST_F(VaultctlTest, SilentImportEnds) {
  residents_.hang = true;
  std::string csv = "name\n";
  for (int i = 0; i < 5000; ++i) csv += "見本\n";
  const Ran ran = RunResidents("import --timeout 0.3", {Write("a.csv", csv)});
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("nothing came for 300ms"));
}

// ---- audit

std::string Entry(int seq, const std::string& more) {
  return absl::StrCat(
      "{\"action\":\"resident.lookup\",\"actor\":\"urn:vault:operator-toshima\",\"decision\":"
      "\"ALLOW\",",
      more, "\"outcome\":\"OK\",\"rule\":\"role.operator\",\"seq\":", seq,
      ",\"time\":\"2026-11-02T03:04:05.000006Z\",\"v\":1}");
}

TEST_F(VaultctlTest, AuditListSendsTheFilterAndFollowsPages) {
  for (int i = 0; i < 250; ++i) audit_.entries.push_back(Entry(i, ""));
  audit_.page_max = 100;
  const Ran ran = Run(
      absl::StrCat("--profile p audit list --tenant 131164 --limit 0 --resident ", kResident,
                   " --actor urn:vault:a --action resident.get --decision deny --from 2026-11-02"
                   " --to 2026-11-02T09:00:00.5+09:00"));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(Lines(ran.out).size(), 251u);
  ASSERT_EQ(audit_.requests.size(), 3u);
  const api::ListEntriesRequest& request = audit_.requests[1];
  EXPECT_EQ(request.log_id(), "131164");
  EXPECT_EQ(request.resident_id(), kResident);
  EXPECT_EQ(request.actor(), "urn:vault:a");
  EXPECT_EQ(request.action(), "resident.get");
  EXPECT_EQ(request.decision(), api::DECISION_DENY);
  EXPECT_EQ(request.start_time().seconds(), 1793577600);
  EXPECT_EQ(request.end_time().seconds(), 1793577600);
  EXPECT_EQ(request.end_time().nanos(), 500000000);
  EXPECT_EQ(request.page_token(), "100");
}

TEST_F(VaultctlTest, AuditListStopsAtItsLimitAndSaysSo) {
  for (int i = 0; i < 250; ++i) audit_.entries.push_back(Entry(i, ""));
  Ran ran = Run("--profile p audit list --tenant 131164");
  EXPECT_EQ(Lines(ran.out).size(), 101u);
  EXPECT_THAT(ran.err, HasSubstr("--limit 0 lists all"));
  ran = Run("--profile p audit list --log service --limit 3 --output raw");
  EXPECT_EQ(audit_.requests.back().log_id(), "service");
  EXPECT_EQ(audit_.requests.back().page_size(), 3);
  EXPECT_EQ(ran.out, absl::StrCat(Entry(0, ""), "\n", Entry(1, ""), "\n", Entry(2, ""), "\n"));
}

TEST_F(VaultctlTest, AuditTableShowsWhoAndWhichFields) {
  audit_.entries = {
      Entry(0,
            absl::StrCat(
                "\"contact\":\"C-1\",\"masked\":\"address "
                "phone\",\"purpose\":\"vaccination_booking\",\"query\":\"phone\",\"resident\":\"",
                kResident, "\",\"shown\":\"kana name\",")),
      "{\"action\":\"resident.import\",\"count\":500,\"service\":\"urn:vault:s\"}", "not json",
      Entry(3, "\"contact\":\"\\u001b[2J\",\"reason\":\"\\u001b\","),
      Entry(4, "\"refused\":\"birth_date sex\",")};
  const Ran ran = Run("--profile p audit list --tenant 131164");
  EXPECT_EQ(ran.code, kDone);
  const std::vector<std::string> lines = Lines(ran.out);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[5], EndsWith("refused:birth_date,sex"));
  EXPECT_THAT(lines[0],
              ::testing::ContainsRegex(
                  "^seq +time +actor +action +decision +outcome +about +rule +why +fields$"));
  EXPECT_THAT(lines[1],
              HasSubstr(absl::StrCat("ALLOW     OK       ", kResident,
                                     "  role.operator  vaccination_booking C-1  shown:kana,name "
                                     "masked:address,phone query:phone")));
  EXPECT_THAT(lines[2], HasSubstr("urn:vault:s "));
  EXPECT_THAT(lines[2], HasSubstr("count 500"));
  EXPECT_THAT(lines[3], HasSubstr("(unreadable entry)"));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
}

TEST_F(VaultctlTest, AuditTableShowsWhichLogAProposalIsAboutAndUntilWhen) {
  audit_.entries = {
      "{\"action\":\"approval.propose\",\"before\":\"2021-11-01T00:00:00.000000Z\",\"grant\":"
      "\"00112233445566778899aabbccddeeff\",\"origin\":\"a.example/audit/131164.2\"}",
      "{\"action\":\"approval.propose\",\"key\":\"log\",\"origin\":\"\\u001b[2J\",\"reason\":"
      "\"compromised\"}"};
  const Ran ran = Run("--profile p audit list --log service");
  EXPECT_EQ(ran.code, kDone);
  const std::vector<std::string> lines = Lines(ran.out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[1], HasSubstr("log 131164.2, before 2021-11-01T00:00:00.000000Z, approval "
                                  "00112233"));
  EXPECT_THAT(lines[2], ::testing::ContainsRegex(" log, log .*compromised"));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
}

TEST_F(VaultctlTest, RawRefusesAnEntryThatIsNotOneLine) {
  audit_.entries = {"{\"a\":1}", "{\"a\":\n1}"};
  const Ran ran = Run("--profile p audit list --tenant 131164 --output raw");
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_EQ(ran.out, "{\"a\":1}\n");
}

TEST_F(VaultctlTest, AuditJsonKeepsTheEntrysBytes) {
  audit_.entries = {Entry(0, "")};
  const Ran ran = Run("--profile p audit list --tenant 131164 --output json");
  api::EntryRecord record;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &record).ok());
  EXPECT_EQ(record.entry(), Entry(0, ""));
}

TEST_F(VaultctlTest, PageFlagsGiveOnePageWithItsToken) {
  for (int i = 0; i < 5; ++i) audit_.entries.push_back(Entry(i, ""));
  const Ran ran = Run("--profile p audit list --tenant 131164 --page-size 2 --output json");
  api::ListEntriesResponse page;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &page).ok());
  EXPECT_EQ(page.next_page_token(), "2");
  audit_.status =
      Refusal(grpc::StatusCode::INVALID_ARGUMENT, "1 to 1000", "PAGE_SIZE", "", "page_size");
  EXPECT_EQ(Run("--profile p audit list --tenant 131164 --page-size 1000000").code, kBadInput);
  EXPECT_EQ(audit_.requests.back().page_size(), 1000000);
}

TEST_F(VaultctlTest, AuditHeadPrintsTheRootInHex) {
  const Ran ran = Run("--profile p audit head --tenant 131164");
  EXPECT_EQ(ran.out,
            "7 entries, root 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\n");
}

api::VerifyLogResponse Verdict(uint64_t checked, uint64_t total, bool good) {
  api::VerifyLogResponse message;
  message.set_checked(checked);
  message.set_total(total);
  message.mutable_verdict()->set_good(good);
  message.mutable_verdict()->set_root(std::string(32, '\x01'));
  return message;
}

TEST_F(VaultctlTest, VerifySaysHowManyItChecked) {
  api::VerifyLogResponse progress;
  progress.set_checked(1000);
  progress.set_total(2000);
  audit_.verify = {progress, Verdict(2000, 2000, true)};
  const Ran ran = Run("--profile p audit verify --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("good: 2000 entries, root 0101"));
  EXPECT_THAT(ran.err, HasSubstr("1000/2000 entries"));
}

TEST_F(VaultctlTest, VerifyFailsWhereTheVaultSaysSo) {
  audit_.verify = {Verdict(5, 9, false)};
  audit_.verify[0].mutable_verdict()->set_first_bad_seq(5);
  audit_.verify[0].mutable_verdict()->set_problem("prev does not match\x1b");
  const Ran ran = Run("--profile p audit verify --tenant 131164");
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_THAT(ran.err, HasSubstr("verification failed at entry 5: prev does not match\\x1b\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("good")));
}

TEST_F(VaultctlTest, VerifyDoesNotTakeSilenceForGood) {
  EXPECT_EQ(Run("--profile p audit verify --tenant 131164").code, kVerificationFailed);
  api::VerifyLogResponse progress;
  progress.set_checked(5);
  progress.set_total(5);
  audit_.verify = {progress};
  EXPECT_EQ(Run("--profile p audit verify --tenant 131164").code, kVerificationFailed);
  audit_.verify = {Verdict(4, 5, true)};
  EXPECT_EQ(Run("--profile p audit verify --tenant 131164").code, kVerificationFailed);
  audit_.verify = {Verdict(0, 0, true)};
  EXPECT_EQ(Run("--profile p audit verify --tenant 131164").code, kNotFound);
  audit_.verify = {Verdict(5, 5, true)};
  audit_.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
  EXPECT_EQ(Run("--profile p audit verify --tenant 131164").code, kUnavailable);
}

TEST_F(VaultctlTest, VerifyJsonIsAMessageALineAndStillFails) {
  audit_.verify = {Verdict(5, 9, false)};
  const Ran ran = Run("--profile p audit verify --tenant 131164 --output json");
  EXPECT_EQ(ran.code, kVerificationFailed);
  api::VerifyLogResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_FALSE(parsed.verdict().good());
}

// ---- progress

TEST(ProgressTest, LinesComeEveryThousandOrTwoSeconds) {
  testing::FakeClock clock;
  std::ostringstream err;
  Progress progress(err, clock, "rows", false, false);
  progress.Update(999, 0);
  EXPECT_EQ(err.str(), "");
  progress.Update(1000, 0);
  EXPECT_EQ(err.str(), "1000 rows\n");
  clock.Advance(absl::Seconds(2));
  progress.Update(1000, 0);
  EXPECT_EQ(err.str(), "1000 rows\n");
  progress.Update(1200, 0);
  EXPECT_EQ(err.str(), "1000 rows\n1200 rows, 600/s\n");
  progress.Finish();
  EXPECT_EQ(Lines(err.str()).size(), 2u);
}

TEST(ProgressTest, WhatWasDoneBeforeCountsForNoRate) {
  testing::FakeClock clock;
  std::ostringstream err;
  Progress progress(err, clock, "residents", false, false);
  progress.StartFrom(9000);
  clock.Advance(absl::Seconds(2));
  progress.Update(9000, 10000);
  progress.Update(9800, 10000);
  clock.Advance(absl::Seconds(2));
  progress.Update(9900, 10000);
  EXPECT_EQ(err.str(), "9000/10000 residents\n9900/10000 residents, 225/s\n");
}

TEST(ProgressTest, BarIsDrawnAtMostTenTimesASecond) {
  testing::FakeClock clock;
  std::ostringstream err;
  Progress progress(err, clock, "rows", true, false);
  for (int i = 1; i <= 100; ++i) progress.Update(i, 50);  // more than was estimated
  EXPECT_EQ(err.str(), "\r[..............................]   2%  1/50 rows\x1b[K");
  clock.Advance(absl::Milliseconds(100));
  progress.Update(100, 50);
  EXPECT_THAT(err.str(), HasSubstr("100%"));
}

// ---- profiles and TLS

class ProfileTest : public VaultctlTest {
 protected:
  Ran RunWithProfile(const std::string& profile, const std::string& more = "") {
    std::istringstream in;
    std::ostringstream out, err;
    std::vector<std::string> args = {"--profile", profile, "keys", "status", "--tenant", "131164"};
    for (absl::string_view word : absl::StrSplit(more, ' ', absl::SkipEmpty()))
      args.emplace_back(word);
    Ran ran;
    ran.code = RunVaultctl(args, in, out, err, Terminal::kNone);
    ran.out = out.str();
    ran.err = err.str();
    return ran;
  }

  // A certificate authority, a certificate it signed (both for the server and a client), made by
  // the openssl tool.
  void MakeCertificates(const std::string& prefix) {
    const std::string d = dir_ + "/" + prefix;
    const std::string script = absl::StrCat(
        "exec >/dev/null 2>&1; set -e; ",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=",
        prefix, "-ca -keyout ", d, "ca.key -out ", d, "ca.pem; ",
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf -keyout ", d,
        "leaf.key -out ", d, "leaf.csr; printf 'subjectAltName=DNS:vault.test' > ", d, "ext; ",
        "openssl x509 -req -in ", d, "leaf.csr -CA ", d, "ca.pem -CAkey ", d,
        "ca.key -set_serial 1 -days 2 -extfile ", d, "ext -out ", d, "leaf.pem; chmod 600 ", d,
        "leaf.key");
    ASSERT_EQ(std::system(script.c_str()), 0);
    for (const char* name : {"ca.key", "ca.pem", "leaf.key", "leaf.csr", "ext", "leaf.pem"}) {
      files_.push_back(d + name);
    }
  }

  std::string ReadFile(const std::string& name) {
    std::ifstream in(dir_ + "/" + name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::string Profile(const std::string& prefix, const std::string& address,
                      const std::string& ca) {
    return absl::StrCat("address: \"", address, "\"\nca_file: \"", ca, "\"\ncert_file: \"", prefix,
                        "leaf.pem\"\nkey_file: \"", prefix,
                        "leaf.key\"\nserver_name: \"vault.test\"\n");
  }
};

TEST_F(ProfileTest, MissingOrWrongProfilesSaySo) {
  unsetenv("VAULT_PROFILE");
  std::istringstream in;
  std::ostringstream out, err;
  EXPECT_EQ(RunVaultctl({"keys", "status", "--tenant", "131164"}, in, out, err, Terminal::kNone),
            kBadInput);
  EXPECT_THAT(err.str(), HasSubstr("--profile FILE"));

  EXPECT_THAT(RunWithProfile("/nonexistent").err, HasSubstr("No such file"));
  Ran ran = RunWithProfile(Write("typo", "address: \"x\"\nca_fil: \"y\"\n"));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr("typo:2:"));
  EXPECT_THAT(RunWithProfile(Write("none", "ca_file: \"y\"\n")).err,
              HasSubstr("wants either address or address_file"));
  EXPECT_THAT(RunWithProfile(Write("nokey", "address: \"x:1\" ca_file: \"y\"\n")).err,
              HasSubstr("wants ca_file, cert_file and key_file"));
}

TEST_F(ProfileTest, FilesAreCheckedBesideTheProfile) {
  const std::string profile =
      Write("p", "address_file: \"address\" ca_file: \"ca\" cert_file: \"cert\" key_file: \"key\"");
  const Ran stopped = RunWithProfile(profile);
  EXPECT_EQ(stopped.code, kUnavailable);
  EXPECT_THAT(stopped.err, HasSubstr("is the vault up?"));
  Write("address", "\n");
  EXPECT_EQ(RunWithProfile(profile).code, kUnavailable);
  Write("address", "127.0.0.1:1\n");
  EXPECT_THAT(RunWithProfile(profile).err, HasSubstr("ca_file"));
  Write("ca", "not pem");
  EXPECT_THAT(RunWithProfile(profile).err, HasSubstr("is not PEM"));
}

TEST_F(ProfileTest, AddressesThatAreNoneAreRefusedBeforeAnythingIsSent) {
  MakeCertificates("a");
  for (const char* address :
       {"127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:port", ":7443",
        "::1:7443", "https://vault.test:7443", "vault test:7443"}) {
    const Ran ran = RunWithProfile(Write("p", Profile("a", address, "aca.pem")));
    EXPECT_EQ(ran.code, kBadInput) << address;
    EXPECT_THAT(ran.err, HasSubstr("the profile's address")) << address;
    EXPECT_THAT(ran.err, HasSubstr("hint: HOST:PORT")) << address;
  }
}

TEST_F(ProfileTest, TlsFilesThatCannotWorkAreRefusedBeforeAnythingIsSent) {
  MakeCertificates("a");
  MakeCertificates("b");
  const std::string d = dir_ + "/";
  const auto shell = [&](const std::string& script) {
    ASSERT_EQ(
        std::system(absl::StrCat("exec >/dev/null 2>&1; set -e; cd ", d, "; ", script).c_str()), 0)
        << script;
  };
  shell(
      "openssl ec -in aleaf.key -aes128 -passout pass:abcd -out locked.key; chmod 600 locked.key");
  shell(
      "openssl x509 -req -in aleaf.csr -CA aca.pem -CAkey aca.key -set_serial 2 -days -1 -out "
      "ended.pem");
  shell("cat aca.pem aleaf.pem > turned.pem");
  shell("sed 's/^MII/MI!/' aleaf.pem > broken.pem");
  for (const char* name : {"locked.key", "ended.pem", "turned.pem", "broken.pem"}) {
    files_.push_back(d + name);
  }
  const auto told = [&](const std::string& ca, const std::string& cert, const std::string& key) {
    const Ran ran = RunWithProfile(
        Write("p", absl::StrCat("address: \"127.0.0.1:1\" ca_file: \"", ca, "\" cert_file: \"",
                                cert, "\" key_file: \"", key, "\"")));
    EXPECT_EQ(ran.code, kBadInput) << ran.err;
    return ran.err;
  };
  EXPECT_THAT(told("aca.pem", "aleaf.pem", "locked.key"), HasSubstr("wants a passphrase"));
  EXPECT_THAT(told("aca.pem", "aleaf.pem", "bleaf.key"), HasSubstr("is not the key of cert_file"));
  EXPECT_THAT(told("aca.pem", "ended.pem", "aleaf.key"), HasSubstr("ended on"));
  EXPECT_THAT(told("aca.pem", "turned.pem", "aleaf.key"), HasSubstr("in the wrong order"));
  EXPECT_THAT(told("aca.pem", "broken.pem", "aleaf.key"), HasSubstr("no certificate that can"));
  EXPECT_THAT(told("broken.pem", "aleaf.pem", "aleaf.key"), HasSubstr("ca_file"));
  EXPECT_THAT(told("ended.pem", "aleaf.pem", "aleaf.key"), HasSubstr("ended on"));
  // What is right goes on to the vault, which is not there.
  Write("good", absl::StrCat("address: \"127.0.0.1:1\" ca_file: \"aca.pem\" cert_file: "
                             "\"aleaf.pem\" key_file: \"aleaf.key\""));
  EXPECT_EQ(RunWithProfile(d + "good").code, kUnavailable);
}

TEST_F(ProfileTest, KeyThatOthersCanReadIsRefused) {
  const std::string profile =
      Write("p", "address: \"127.0.0.1:1\" ca_file: \"ca\" cert_file: \"cert\" key_file: \"key\"");
  const std::string key = Write("key", "-----BEGIN PRIVATE KEY-----\n", 0640);
  const Ran ran = RunWithProfile(profile);
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("key_file ", key,
                                              " can be read by others\nhint: chmod 600 ", key)));
}

TEST_F(ProfileTest, MutualTlsWorksAndStrangersAreUnavailable) {
  setenv("GRPC_VERBOSITY", "NONE", 0);
  MakeCertificates("a");
  MakeCertificates("b");
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = ReadFile("aca.pem");
  options.pem_key_cert_pairs = {{ReadFile("aleaf.key"), ReadFile("aleaf.pem")}};
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
  FakeKeys keys;
  keys.answer.add_versions()->set_version(1);
  builder.RegisterService(&keys);
  const auto server = builder.BuildAndStart();
  const std::string address = absl::StrCat("127.0.0.1:", port);

  const Ran good = RunWithProfile(Write("good", Profile("a", address, "aca.pem")));
  EXPECT_EQ(good.code, kDone) << good.err;
  EXPECT_EQ(RunWithProfile(Write("stranger", Profile("b", address, "aca.pem"))).code, kUnavailable);
  const Ran impostor = RunWithProfile(Write("impostor", Profile("a", address, "bca.pem")));
  EXPECT_EQ(impostor.code, kUnavailable);
  EXPECT_THAT(impostor.err, HasSubstr(absl::StrCat("hint: is the vault running at ", address)));
  server->Shutdown();
  EXPECT_EQ(RunWithProfile(Write("gone", Profile("a", address, "aca.pem"))).code, kUnavailable);
}

TEST_F(ProfileTest, VaultThatNeverAnswersTimesOut) {
  // A listener that accepts and says nothing.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  ASSERT_EQ(listen(fd, 8), 0);
  socklen_t size = sizeof where;
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size), 0);
  MakeCertificates("a");
  const std::string profile =
      Write("p", Profile("a", absl::StrCat("127.0.0.1:", ntohs(where.sin_port)), "aca.pem"));
  const Ran ran = RunWithProfile(profile, "--timeout 0.5");
  close(fd);
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("--timeout waits longer"));
}

}  // namespace
}  // namespace vault::ctl
