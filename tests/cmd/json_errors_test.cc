// Whatever goes wrong under --output json: one JSON object on standard error, whose exit code is
// the program's, and JSON or nothing on standard output. The lines are the examples of every
// command's help, so that a new command is held to it as well.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/store/temp_dir.h"
#include "vault/cli/grammar.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/vaultctl.h"
#include "vault/v1/approval_service.pb.h"
#include "vault/v1/audit_service.pb.h"
#include "vault/v1/job_service.pb.h"
#include "vault/v1/key_service.pb.h"
#include "vault/v1/resident_service.pb.h"
#include "vault/v1/vault_service.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using Words = std::vector<std::string>;

constexpr char kId[] = "00112233445566778899aabbccddeeff";

grpc::Status Refusal(grpc::StatusCode code, const std::string& reason, const std::string& message) {
  google::rpc::Status details;
  details.set_code(code);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("vault");
  if (!reason.empty()) details.add_details()->PackFrom(info);
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("fields[phone].value");
  bad.mutable_field_violations(0)->set_description("fields[phone].value: \"\\\x1b[31m\" is none");
  if (code == grpc::StatusCode::INVALID_ARGUMENT) details.add_details()->PackFrom(bad);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(3);
  if (code == grpc::StatusCode::RESOURCE_EXHAUSTED) details.add_details()->PackFrom(retry);
  return grpc::Status(code, message, details.SerializeAsString());
}

// Answers every method of every service: what is set for it, or else with `status`.
class AnyService : public grpc::CallbackGenericService {
 public:
  struct Answer {
    std::vector<grpc::ByteBuffer> messages;
    grpc::Status status;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const auto it = answers_.find(context->method().substr(context->method().rfind('/') + 1));
    if (it == answers_.end() && hang) {
      hanging = true;
      return new Silent();
    }
    return new Reactor(it == answers_.end() ? Answer{{}, status} : it->second);
  }
  template <typename... Messages>
  void Set(const std::string& method, const grpc::Status& end, const Messages&... messages) {
    Answer answer;
    answer.status = end;
    (answer.messages.push_back(Serialized(messages)), ...);
    answers_[method] = std::move(answer);
  }

  grpc::Status status;
  // What no answer is set for is never answered.
  bool hang = false;
  std::atomic<bool> hanging{false};

 private:
  class Silent : public grpc::ServerGenericBidiReactor {
   public:
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }
  };
  class Reactor : public grpc::ServerGenericBidiReactor {
   public:
    explicit Reactor(Answer answer) : answer_(std::move(answer)) { StartRead(&read_); }
    void OnReadDone(bool ok) override {
      if (ok) return StartRead(&read_);
      Next();
    }
    void OnWriteDone(bool) override { Next(); }
    void OnDone() override { delete this; }

   private:
    void Next() {
      if (written_ == answer_.messages.size()) return Finish(answer_.status);
      StartWrite(&answer_.messages[written_++]);
    }
    Answer answer_;
    grpc::ByteBuffer read_;
    size_t written_ = 0;
  };

  static grpc::ByteBuffer Serialized(const google::protobuf::Message& message) {
    const grpc::Slice slice(message.SerializeAsString());
    return grpc::ByteBuffer(&slice, 1);
  }

  std::map<std::string, Answer> answers_;
};

// The words of a help's example behind the program's name; an example may go on in a second line.
Words WordsOf(const std::string& example) {
  Words words =
      absl::StrSplit(absl::StrReplaceAll(example, {{"\\\n", " "}}), ' ', absl::SkipEmpty());
  EXPECT_EQ(words.front(), "vaultctl") << example;
  words.erase(words.begin());
  return words;
}

// The examples of every command.
std::vector<Words> AllLines() {
  std::vector<Words> lines;
  for (const Command& command : AllCommands()) {
    EXPECT_FALSE(command.examples.empty()) << CommandWords(command);
    for (const std::string& example : command.examples) lines.push_back(WordsOf(example));
  }
  return lines;
}

// `line` without each of its words in turn, and, of a flag, without flag and value.
std::vector<Words> Shortened(const Words& line) {
  std::vector<Words> all;
  for (size_t i = 0; i < line.size(); ++i) {
    for (size_t count = 1; count <= 2 && i + count <= line.size(); ++count) {
      if (count == 2 && !absl::StartsWith(line[i], "--")) break;
      Words rest = line;
      rest.erase(rest.begin() + i, rest.begin() + i + count);
      all.push_back(std::move(rest));
    }
  }
  return all;
}

Words Json(Words words) {
  words.insert(words.begin(), {"--output", "json"});
  return words;
}

void ExpectOneError(const Ran& ran, const Words& words) {
  SCOPED_TRACE(absl::StrJoin(words, " "));
  EXPECT_NE(ran.code, kDone);
  ASSERT_TRUE(absl::EndsWith(ran.err, "\n")) << ran.err;
  // A second line, and a second object, would be behind the first one.
  ASSERT_EQ(ran.err.find('\n'), ran.err.size() - 1) << ran.err;
  google::protobuf::Struct whole;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.err, &whole).ok()) << ran.err;
  ASSERT_EQ(whole.fields().size(), 1u) << ran.err;
  ASSERT_EQ(whole.fields().count("error"), 1u) << ran.err;
  const auto& error = whole.fields().at("error").struct_value().fields();
  ASSERT_EQ(error.count("exit_code"), 1u) << ran.err;
  EXPECT_EQ(error.at("exit_code").number_value(), ran.code) << ran.err;
  ASSERT_EQ(error.count("message"), 1u) << ran.err;
  EXPECT_NE(error.at("message").string_value(), "") << ran.err;
  EXPECT_TRUE(error.count("code") == 1 || error.count("reason") == 1) << ran.err;
  static const auto* const known = new std::set<std::string>{
      "code", "reason", "rule", "message", "hint", "retry_seconds", "violations", "exit_code"};
  for (const auto& member : error) EXPECT_EQ(known->count(member.first), 1u) << member.first;

  for (const absl::string_view line : absl::StrSplit(ran.out, '\n', absl::SkipEmpty())) {
    google::protobuf::Struct json;
    const google::protobuf::StringPiece text(line.data(), line.size());
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text, &json).ok()) << ran.out;
  }
}

class JsonErrorsTest : public CtlTest {
 protected:
  JsonErrorsTest() : before_(std::filesystem::current_path()) {
    ServeGeneric(&any_);
    // What the examples write and read lies beside each other.
    std::filesystem::current_path(around_.path());
    std::ofstream("residents.csv") << "name,phone\n見本,\n見本,\n";
    std::ofstream("roster.csv")
        << "subject,programme,role,from,until,shift,contacts_max,trained_on\n"
           "operator-07,vaccination,operator,2026-12-01T09:00:00+09:00,"
           "2027-03-31T18:00:00+09:00,09:00-18:00,2,2026-11-20\n";
  }
  ~JsonErrorsTest() override {
    std::filesystem::current_path(before_);
    Stop();
  }

  // On a terminal too, which is where a person would be asked.
  void ExpectError(const Words& words) {
    for (const bool terminal : {false, true}) {
      ExpectOneError(RunWords(Json(words), terminal, ""), words);
    }
  }
  int ExpectError(const std::string& line) {
    Words words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    words.insert(words.begin(), {"--profile", "p"});
    const Ran ran = RunWords(Json(words), /*terminal=*/false, "");
    ExpectOneError(ran, words);
    return ran.code;
  }

  AnyService any_;
  store::TempDir around_;
  const std::filesystem::path before_;
};

TEST_F(JsonErrorsTest, OfEveryCommandThatIsWrittenWrongly) {
  any_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY", "no");
  for (const Words& line : AllLines()) {
    for (const std::string word : {"--nonsense", "--nonsense=1", "-x", "--output", "--profile",
                                   "--timeout=soon", "--timeout=0", "\xff", "one more word"}) {
      Words behind = line, before = line;
      behind.push_back(word);
      ExpectError(behind);
      if (word == "--output" || word == "--profile") continue;
      before.insert(before.begin(), word);
      ExpectError(before);
    }
    // What is left is refused by the vault, where it is whole.
    for (const Words& shortened : Shortened(line)) ExpectError(shortened);
    // Empty values.
    for (size_t i = 0; i < line.size(); ++i) {
      Words empty = line;
      empty[i] = "";
      ExpectError(empty);
    }
  }
}

TEST_F(JsonErrorsTest, OfLinesThatNameNoCommand) {
  for (const std::string line :
       {"", "residents", "resident get", "residents lokup", "nonsense", "keys", "-x", "--nonsense",
        "whoami now", "version 2", "help nonsense", "--timeout", "keys status --tenant"}) {
    const Words words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    for (const Words& json : {Words{"--output", "json"}, Words{"--output=json"}}) {
      // Wherever it stands.
      for (size_t at = 0; at <= words.size(); ++at) {
        Words all = words;
        all.insert(all.begin() + at, json.begin(), json.end());
        ExpectOneError(RunWords(all, /*terminal=*/false, ""), all);
      }
    }
  }
}

TEST_F(JsonErrorsTest, OfEveryCommandThatIsRefusedOrFails) {
  const std::vector<grpc::Status> statuses = {
      Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY", "no"),
      Refusal(grpc::StatusCode::PERMISSION_DENIED, "TRANSFER_TO_SUPERVISOR", "no"),
      Refusal(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD", "\"\n\t\\\xe2\x80\xae"),
      Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "REFUSALS", "later"),
      Refusal(grpc::StatusCode::NOT_FOUND, "NOT_FOUND", "none"),
      Refusal(grpc::StatusCode::FAILED_PRECONDITION, "SEALED", "sealed"),
      Refusal(grpc::StatusCode::ABORTED, "CONFLICT", "again"),
      Refusal(grpc::StatusCode::ABORTED, "EFFECT_CHANGED", "again"),
      Refusal(grpc::StatusCode::UNAVAILABLE, "CLOCK_JUMP", "no"),
      Refusal(grpc::StatusCode::UNAVAILABLE, "", ""),
      Refusal(grpc::StatusCode::DATA_LOSS, "", "damaged"),
      grpc::Status(grpc::StatusCode::UNKNOWN, "\x01"),
      grpc::Status(grpc::StatusCode::UNAUTHENTICATED, ""),
      grpc::Status(grpc::StatusCode::INTERNAL, "x", "no details\xff"),
  };
  for (const grpc::Status& status : statuses) {
    SCOPED_TRACE(status.error_code());
    any_.status = status;
    for (const Words& line : AllLines()) ExpectError(line);
  }
}

TEST_F(JsonErrorsTest, OfEveryCommandThatFindsNoVault) {
  ServeNobody();
  for (const Words& line : AllLines()) ExpectError(line);
}

TEST_F(JsonErrorsTest, OfEveryCommandWhoseProfileIsNone) {
  const auto write = [](const std::string& name, const std::string& text) {
    std::ofstream(name) << text;
    std::filesystem::permissions(name, std::filesystem::perms::owner_read);
  };
  const std::string files = "ca_file: 'ca' cert_file: 'cert' key_file: 'key' address: ";
  write("empty", "");
  write("words", "ca_file: 'a' \x1b[2J nonsense");
  write("no_address", "ca_file: 'a' cert_file: 'a' key_file: 'a'");
  write("vault_down", "ca_file: 'a' cert_file: 'a' key_file: 'a' address_file: 'nowhere'");
  write("no_port", files + "'localhost'");
  write("no_pem", files + "'localhost:1'");
  write("ca", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
  write("cert", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
  write("key", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n");
  ASSERT_EQ(
      std::system("(openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a "
                  "-keyout ended.key -out a.csr && openssl x509 -req -in a.csr -days -1 "
                  "-signkey ended.key -out ended.pem) 2>openssl.log"),
      0);
  std::filesystem::permissions("ended.key", std::filesystem::perms::owner_read);
  write("ended",
        "ca_file: 'ended.pem' cert_file: 'ended.pem' key_file: 'ended.key' "
        "address: 'localhost:1'");
  write("open",
        "ca_file: 'ended.pem' cert_file: 'ended.pem' key_file: 'open.key' "
        "address: 'localhost:1'");
  write("open.key", "-----BEGIN PRIVATE KEY-----\n");
  std::filesystem::permissions("open.key", std::filesystem::perms::all);
  for (const Words& line : AllLines()) {
    for (const std::string profile : {"not_there", ".", "/dev/null", "empty", "words", "no_address",
                                      "vault_down", "no_port", "no_pem", "ended", "open", ""}) {
      Words words = line;
      ASSERT_EQ(words[0], "--profile");
      words[1] = profile;
      std::istringstream in;
      std::ostringstream out, err;
      Ran ran;
      ran.code = RunVaultctl(Json(words), in, out, err, Terminal::kNone);
      ran.out = out.str();
      ran.err = err.str();
      ExpectOneError(ran, words);
    }
  }
}

TEST_F(JsonErrorsTest, OfLocalFiles) {
  std::ofstream("bad.csv") << "name,phone\n\xff\xfe,\n";
  std::ofstream("wrong.csv") << "name,phon\n";
  std::ofstream("there") << "x";
  api::GetCallerResponse caller;
  caller.add_fields()->set_id("name");
  caller.add_fields()->set_id("phone");
  any_.Set("GetCaller", grpc::Status::OK, caller);
  const std::string context = " --tenant 131164 --purpose erasure --contact c";
  for (const std::string line :
       {"residents import not_there.csv", "residents import .", "residents import wrong.csv",
        "residents import -", "residents create --set name=@not_there",
        "residents create --set name=@.", "residents lookup --by phone=@not_there",
        "residents erase 00112233445566778899aabbccddeeff --to there",
        "residents erase 00112233445566778899aabbccddeeff --to not/there"}) {
    EXPECT_EQ(ExpectError(line + context), kBadInput);
  }
  for (const std::string out : {"there", "/dev/null", "not/there"}) {
    ExpectError("audit export --tenant 131164 --out " + out);
  }
  api::GetCheckpointResponse none;
  any_.Set("GetCheckpoint", grpc::Status::OK, none);
  EXPECT_EQ(ExpectError("audit checkpoint --tenant 131164"), kVerificationFailed);
  EXPECT_EQ(ExpectError("audit checkpoint --tenant 131164 --cosigned"), kNotFound);
  api::GetErasureCertificateResponse certificate;
  certificate.mutable_certificate()->set_note("n");
  any_.Set("GetErasureCertificate", grpc::Status::OK, certificate);
  any_.Set("EraseResident", grpc::Status::OK, api::EraseResidentResponse());
  EXPECT_EQ(ExpectError(absl::StrCat("residents erase ", kId, context, " --to new")), kUnavailable);
}

TEST_F(JsonErrorsTest, OfAnOutputThatTakesNothing) {
  api::GetHeadResponse head;
  any_.Set("GetHead", grpc::Status::OK, head);
  const Words words = Json({"--profile", "p", "audit", "head", "--tenant", "131164"});
  std::ostringstream full;
  full.setstate(std::ios::badbit);
  const Ran ran = RunInto(words, full);
  EXPECT_EQ(ran.code, kOutputFailed);
  ExpectOneError(ran, words);
  // What went wrong before stands no more beside it.
  any_.Set("GetHead", Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY", "no"));
  const Ran twice = RunInto(words, full);
  EXPECT_EQ(twice.code, kOutputFailed);
  ExpectOneError(twice, words);
}

TEST_F(JsonErrorsTest, OfJobsThatEndOtherwiseThanDone) {
  struct Case {
    api::JobState state;
    const char* failure;
    uint64_t left;
    grpc::Status end;
    int code;
  };
  const Case cases[] = {
      {api::JOB_STATE_FAILED, "KEYRING", 0, grpc::Status::OK, kUnavailable},
      {api::JOB_STATE_FAILED, "NOT_EMPTY", 0, grpc::Status::OK, kWrongState},
      {api::JOB_STATE_FAILED, "DATA_LOSS", 0, grpc::Status::OK, kVerificationFailed},
      {api::JOB_STATE_FAILED, "BACKUP_DAMAGED", 0, grpc::Status::OK, kVerificationFailed},
      {api::JOB_STATE_FAILED, "\"\\\n\x1b[2J", 0, grpc::Status::OK, kUnavailable},
      {api::JOB_STATE_CANCELLED, "", 0, grpc::Status::OK, kUnavailable},
      {api::JOB_STATE_RUNNING, "", 0, grpc::Status::OK, kUnavailable},
      {api::JOB_STATE_UNSPECIFIED, "", 0, grpc::Status::OK, kUnavailable},
      {api::JOB_STATE_DONE, "", 3, grpc::Status::OK, kUnavailable},
      {api::JOB_STATE_RUNNING, "", 0, Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY", "no"),
       kRefused},
      {api::JOB_STATE_RUNNING, "", 0, Refusal(grpc::StatusCode::NOT_FOUND, "", "gone"), kNotFound},
  };
  for (const Case& each : cases) {
    api::Job job;
    job.set_id(kId);
    job.set_log_id("131164");
    job.set_kind(api::JOB_KIND_ROTATE_KEK);
    job.set_state(each.state);
    job.set_failure(each.failure);
    job.set_counted(true);
    job.set_left(each.left);
    api::WatchJobResponse watched;
    *watched.mutable_job() = job;
    api::GetJobResponse got;
    *got.mutable_job() = job;
    api::RotateKeysResponse rotated;
    *rotated.mutable_job() = job;
    api::RetireResidentsResponse retired;
    *retired.mutable_job() = job;
    any_.Set("WatchJob", each.end, watched);
    any_.Set("GetJob", grpc::Status::OK, got);
    any_.Set("RotateKeys", grpc::Status::OK, rotated);
    any_.Set("RetireResidents", grpc::Status::OK, retired);
    for (const std::string line :
         {"jobs watch 00112233445566778899aabbccddeeff --tenant 131164",
          "keys rotate --tenant 131164",
          "residents retire --tenant 131164 --programme p --purpose erasure --contact c"}) {
      EXPECT_EQ(ExpectError(line), each.code) << each.state << " " << each.failure;
    }
  }
}

TEST_F(JsonErrorsTest, OfWatchingThatASignalEnds) {
  api::GetJobResponse got;
  got.mutable_job()->set_id(kId);
  got.mutable_job()->set_log_id("131164");
  any_.Set("GetJob", grpc::Status::OK, got);
  any_.hang = true;
  std::thread presser([this] {
    while (!any_.hanging) std::this_thread::yield();
    kill(getpid(), SIGTERM);
  });
  EXPECT_EQ(ExpectError(absl::StrCat("jobs watch ", kId, " --tenant 131164")), 128 + SIGTERM);
  presser.join();
}

TEST_F(JsonErrorsTest, OfVerdictsThatAreNotGood) {
  const std::string line = "audit verify --tenant 131164";
  api::VerifyLogResponse message;
  any_.Set("VerifyLog", grpc::Status::OK);
  EXPECT_EQ(ExpectError(line), kVerificationFailed) << "no verdict";
  any_.Set("VerifyLog", Refusal(grpc::StatusCode::UNAVAILABLE, "", ""), message);
  EXPECT_EQ(ExpectError(line), kUnavailable);
  message.mutable_verdict()->set_problem("\"broken\"\n");
  any_.Set("VerifyLog", grpc::Status::OK, message);
  EXPECT_EQ(ExpectError(line), kVerificationFailed);
  any_.Set("VerifyLog", grpc::Status::OK, message, message);
  EXPECT_EQ(ExpectError(line), kVerificationFailed) << "it goes on behind its verdict";
  message.mutable_verdict()->set_good(true);
  any_.Set("VerifyLog", grpc::Status::OK, message);
  EXPECT_EQ(ExpectError(line), kNotFound) << "an empty log";
  message.set_total(2);
  any_.Set("VerifyLog", grpc::Status::OK, message);
  EXPECT_EQ(ExpectError(line), kVerificationFailed) << "not all of it";
}

TEST_F(JsonErrorsTest, OfAnswersThatBringNothingOrBreakOff) {
  const std::string context = " --tenant 131164 --purpose correction --contact c";
  any_.Set("LookupResidents", grpc::Status::OK, api::LookupResidentsResponse());
  EXPECT_EQ(ExpectError("residents lookup --by name=x" + context), kNotFound);

  api::GetSealStatusResponse sealed;
  sealed.set_sealed(true);
  any_.Set("GetSealStatus", grpc::Status::OK, sealed);
  EXPECT_EQ(ExpectError("status"), kUnavailable);

  // Rows 2 and 3 of the file.
  api::ImportResidentsResponse results;
  results.add_results()->set_row(2);
  results.add_results()->set_row(3);
  results.mutable_results(1)->set_code(grpc::StatusCode::INVALID_ARGUMENT);
  any_.Set("ImportResidents", grpc::Status::OK, results);
  EXPECT_EQ(ExpectError("residents import residents.csv" + context), kBadInput);
  results.mutable_results(1)->set_code(grpc::StatusCode::ALREADY_EXISTS);
  any_.Set("ImportResidents", grpc::Status::OK, results);
  EXPECT_EQ(ExpectError("residents import residents.csv" + context), kBadInput);
  any_.Set("ImportResidents", Refusal(grpc::StatusCode::UNAVAILABLE, "", ""), results);
  EXPECT_EQ(ExpectError("residents import residents.csv" + context), kUnavailable);
  results.mutable_results()->RemoveLast();
  any_.Set("ImportResidents", grpc::Status::OK, results);
  EXPECT_EQ(ExpectError("residents import residents.csv" + context), kUnavailable)
      << "a row without an answer";
  results.mutable_results(0)->set_row(99);
  any_.Set("ImportResidents", grpc::Status::OK, results);
  EXPECT_EQ(ExpectError("residents import residents.csv" + context), kVerificationFailed);

  api::ListUnderKeyResponse part;
  part.add_resident_ids(kId);
  any_.Set("ListUnderKey", Refusal(grpc::StatusCode::UNAVAILABLE, "SEALED", "no"), part);
  const std::string under = "keys under --tenant 131164 --what kek --key-version 1";
  EXPECT_EQ(ExpectError(under), kUnavailable) << "cut off";
  part.add_resident_ids(kId);
  any_.Set("ListUnderKey", grpc::Status::OK, part);
  EXPECT_EQ(ExpectError(under), kVerificationFailed) << "one handle twice";

  // A time that JSON cannot say.
  api::ListApprovalsResponse approvals;
  approvals.add_approvals()->mutable_propose_time()->set_seconds(1'000'000'000'000'000);
  any_.Set("ListApprovals", grpc::Status::OK, approvals);
  EXPECT_EQ(ExpectError("approvals list"), kVerificationFailed);
}

// What a person is told beside an answer is not told to a program.
TEST_F(JsonErrorsTest, NothingStandsBesideAnAnswer) {
  any_.Set("ListJobs", grpc::Status::OK, api::ListJobsResponse());
  any_.Set("ListBackups", grpc::Status::OK, google::protobuf::Struct());
  any_.Set("ListApprovals", grpc::Status::OK, api::ListApprovalsResponse());
  any_.Set("EraseResident", grpc::Status::OK, api::EraseResidentResponse());
  any_.Set("Seal", grpc::Status::OK, api::SealResponse());
  api::RotateKeysResponse rotated;
  rotated.mutable_job()->set_id(kId);
  any_.Set("RotateKeys", grpc::Status::OK, rotated);
  api::ProposeResponse proposed;
  proposed.mutable_approval()->set_state(api::APPROVAL_STATE_PROPOSED);
  any_.Set("Propose", grpc::Status::OK, proposed);
  api::LookupResidentsResponse more;
  more.add_residents()->set_resident_id(kId);
  more.set_more(true);
  any_.Set("LookupResidents", grpc::Status::OK, more);
  const std::string context = " --tenant 131164 --purpose correction --contact c";
  for (const std::string& line :
       {std::string("jobs list --service"), std::string("backup list"),
        std::string("approvals list"), std::string("seal --yes"),
        std::string("keys rotate --tenant 131164 --detach"), std::string("keys rotate-root"),
        std::string("keys rotate --what log --tenant 131164"),
        std::string("audit prune --tenant 131164 --before 2021-11-01"),
        absl::StrCat("residents erase ", kId, context, " --yes"),
        "residents lookup --by name=x" + context}) {
    Words words = absl::StrSplit(line, ' ');
    words.insert(words.begin(), {"--profile", "p"});
    const Ran ran = RunWords(Json(words), /*terminal=*/true, "");
    EXPECT_EQ(ran.code, kDone) << line;
    EXPECT_EQ(ran.err, "") << line;
    google::protobuf::Struct json;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &json).ok()) << ran.out;
  }
}

}  // namespace
}  // namespace vault::ctl
