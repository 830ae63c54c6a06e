// vaultctl's commands for keys, jobs, approvals, erasure, backups and the seal, against services
// that answer what each test tells them to.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "vault/cli/grammar.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/files.h"
#include "vault/cmd/vaultctl/vaultctl.h"
#include "vault/v1/approval_service.grpc.pb.h"
#include "vault/v1/backup_service.grpc.pb.h"
#include "vault/v1/job_service.grpc.pb.h"
#include "vault/v1/key_service.grpc.pb.h"
#include "vault/v1/resident_service.grpc.pb.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kId[] = "00112233445566778899aabbccddeeff";
constexpr int64_t kNoon = 1793577600;  // 2026-11-02T00:00:00Z

grpc::Status Refusal(grpc::StatusCode code, const std::string& reason) {
  google::rpc::Status details;
  details.set_code(code);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("vault");
  details.add_details()->PackFrom(info);
  return grpc::Status(code, "no", details.SerializeAsString());
}

api::Job SampleJob(api::JobKind kind, api::JobState state) {
  api::Job job;
  job.set_id(kId);
  job.set_kind(kind);
  job.set_log_id("131164");
  job.set_state(state);
  job.set_version(2);
  job.set_unit("residents");
  job.mutable_start_time()->set_seconds(kNoon);
  return job;
}

class FakeKeys : public api::KeyService::Service {
 public:
  grpc::Status GetKeyStatus(grpc::ServerContext*, const api::GetKeyStatusRequest* request,
                            api::GetKeyStatusResponse* response) override {
    ++calls;
    tenant = request->tenant_id();
    *response = answer;
    return status;
  }
  grpc::Status RotateKeys(grpc::ServerContext*, const api::RotateKeysRequest* request,
                          api::RotateKeysResponse* response) override {
    ++calls;
    rotate = *request;
    *response->mutable_job() = job;
    return status;
  }
  grpc::Status MarkKeyCompromised(grpc::ServerContext*,
                                  const api::MarkKeyCompromisedRequest* request,
                                  api::MarkKeyCompromisedResponse* response) override {
    ++calls;
    compromised = *request;
    response->set_under(7);
    *response->add_jobs() = job;
    return status;
  }
  grpc::Status ListUnderKey(grpc::ServerContext*, const api::ListUnderKeyRequest* request,
                            grpc::ServerWriter<api::ListUnderKeyResponse>* writer) override {
    ++calls;
    under = *request;
    for (const std::vector<std::string>& part : parts) {
      api::ListUnderKeyResponse message;
      for (const std::string& id : part) message.add_resident_ids(id);
      writer->Write(message);
    }
    return status;
  }

  int calls = 0;
  grpc::Status status;
  std::string tenant;
  api::GetKeyStatusResponse answer;
  api::Job job;
  api::RotateKeysRequest rotate;
  api::MarkKeyCompromisedRequest compromised;
  api::ListUnderKeyRequest under;
  std::vector<std::vector<std::string>> parts;
};

class FakeJobs : public api::JobService::Service {
 public:
  grpc::Status ListJobs(grpc::ServerContext*, const api::ListJobsRequest* request,
                        api::ListJobsResponse* response) override {
    list = *request;
    for (const api::Job& job : jobs) *response->add_jobs() = job;
    return status;
  }
  grpc::Status GetJob(grpc::ServerContext*, const api::GetJobRequest* request,
                      api::GetJobResponse* response) override {
    get = *request;
    if (!jobs.empty()) *response->mutable_job() = jobs.front();
    return status;
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const api::WatchJobRequest* request,
                        grpc::ServerWriter<api::WatchJobResponse>* writer) override {
    ++watches;
    watch = *request;
    for (const api::Job& job : jobs) {
      api::WatchJobResponse message;
      *message.mutable_job() = job;
      writer->Write(message);
    }
    watching = true;
    while (hang && !context->IsCancelled()) usleep(1000);
    return watch_status;
  }
  grpc::Status CancelJob(grpc::ServerContext*, const api::CancelJobRequest* request,
                         api::CancelJobResponse* response) override {
    cancel = *request;
    if (!jobs.empty()) *response->mutable_job() = jobs.front();
    return status;
  }
  grpc::Status SetJobRate(grpc::ServerContext*, const api::SetJobRateRequest* request,
                          api::SetJobRateResponse* response) override {
    rate = *request;
    if (!jobs.empty()) *response->mutable_job() = jobs.front();
    response->mutable_job()->set_rows_per_second(request->rows_per_second());
    return status;
  }

  grpc::Status status, watch_status;
  std::vector<api::Job> jobs;
  bool hang = false;
  std::atomic<bool> watching{false};
  int watches = 0;
  api::ListJobsRequest list;
  api::GetJobRequest get;
  api::SetJobRateRequest rate;
  api::WatchJobRequest watch;
  api::CancelJobRequest cancel;
};

class FakeApprovals : public api::ApprovalService::Service {
 public:
  grpc::Status Propose(grpc::ServerContext*, const api::ProposeRequest* request,
                       api::ProposeResponse* response) override {
    ++calls;
    propose = *request;
    *response->mutable_approval() = approval;
    *response->mutable_effect() = effect;
    return status;
  }
  grpc::Status ListApprovals(grpc::ServerContext*, const api::ListApprovalsRequest* request,
                             api::ListApprovalsResponse* response) override {
    list = *request;
    if (!approval.id().empty()) *response->add_approvals() = approval;
    return status;
  }
  grpc::Status GetApproval(grpc::ServerContext*, const api::GetApprovalRequest* request,
                           api::GetApprovalResponse* response) override {
    asked = request->approval_id();
    *response->mutable_approval() = approval;
    *response->mutable_effect() = effect;
    return status;
  }
  grpc::Status Approve(grpc::ServerContext*, const api::ApproveRequest* request,
                       api::ApproveResponse* response) override {
    ++calls;
    approve = *request;
    *response->mutable_approval() = approval;
    return status;
  }
  grpc::Status Withdraw(grpc::ServerContext*, const api::WithdrawRequest* request,
                        api::WithdrawResponse* response) override {
    ++calls;
    asked = request->approval_id();
    *response->mutable_approval() = approval;
    return status;
  }

  int calls = 0;
  grpc::Status status;
  api::Approval approval;
  api::Effect effect;
  api::ProposeRequest propose;
  api::ListApprovalsRequest list;
  api::ApproveRequest approve;
  std::string asked;
};

class FakeErasure : public api::ResidentService::Service {
 public:
  grpc::Status EraseResident(grpc::ServerContext*, const api::EraseResidentRequest* request,
                             api::EraseResidentResponse* response) override {
    ++calls;
    erase = *request;
    if (!certificate.note().empty()) *response->mutable_certificate() = certificate;
    if (meanwhile) meanwhile();
    return status;
  }
  grpc::Status GetErasureCertificate(grpc::ServerContext*,
                                     const api::GetErasureCertificateRequest* request,
                                     api::GetErasureCertificateResponse* response) override {
    ++calls;
    again = *request;
    *response->mutable_certificate() = certificate;
    return status;
  }
  grpc::Status RetireResidents(grpc::ServerContext*, const api::RetireResidentsRequest* request,
                               api::RetireResidentsResponse* response) override {
    ++calls;
    retire = *request;
    *response->mutable_job() = job;
    return status;
  }

  int calls = 0;
  grpc::Status status;
  api::ErasureCertificate certificate;
  api::Job job;
  api::EraseResidentRequest erase;
  api::GetErasureCertificateRequest again;
  api::RetireResidentsRequest retire;
  std::function<void()> meanwhile;
};

class FakeBackups : public api::BackupService::Service {
 public:
  grpc::Status CreateBackup(grpc::ServerContext*, const api::CreateBackupRequest*,
                            api::CreateBackupResponse* response) override {
    *response->mutable_job() = job;
    return status;
  }
  grpc::Status VerifyBackup(grpc::ServerContext*, const api::VerifyBackupRequest* request,
                            api::VerifyBackupResponse* response) override {
    number = request->number();
    *response->mutable_job() = job;
    return status;
  }
  grpc::Status ListBackups(grpc::ServerContext*, const api::ListBackupsRequest* request,
                           api::ListBackupsResponse* response) override {
    ++pages;
    *response = list;
    if (request->page_token() == last_token) response->clear_next_page_token();
    return status;
  }
  grpc::Status DeleteBackup(grpc::ServerContext*, const api::DeleteBackupRequest* request,
                            api::DeleteBackupResponse*) override {
    number = request->number();
    return status;
  }

  grpc::Status status;
  api::Job job;
  api::ListBackupsResponse list;
  std::string last_token;  // the page that it asks for is the last one
  int pages = 0;
  uint32_t number = 0;
};

class FakeVault : public api::VaultService::Service {
 public:
  grpc::Status GetSealStatus(grpc::ServerContext*, const api::GetSealStatusRequest*,
                             api::GetSealStatusResponse* response) override {
    response->set_sealed(sealed);
    response->mutable_since()->set_seconds(kNoon);
    response->set_version("1.2.3");
    return status;
  }
  grpc::Status Seal(grpc::ServerContext*, const api::SealRequest*, api::SealResponse*) override {
    return status;
  }
  grpc::Status Unseal(grpc::ServerContext*, const api::UnsealRequest*,
                      api::UnsealResponse*) override {
    return status;
  }

  grpc::Status GetCaller(grpc::ServerContext*, const api::GetCallerRequest*,
                         api::GetCallerResponse* response) override {
    *response = caller;
    return status;
  }

  grpc::Status status;
  bool sealed = false;
  api::GetCallerResponse caller;
};

class SecurityCommandsTest : public CtlTest {
 protected:
  SecurityCommandsTest() { Serve({&keys_, &jobs_, &approvals_, &erasure_, &backups_, &vault_}); }
  ~SecurityCommandsTest() override { Stop(); }

  Ran Run(const std::string& line, bool terminal = false) { return RunWithProfile(line, terminal); }
  // keys rotate, whose job is seen to go through these states.
  Ran Rotate(std::vector<api::Job> seen, const std::string& more = "", bool terminal = false) {
    keys_.job = seen.front();
    jobs_.jobs = std::move(seen);
    return Run(absl::StrCat("keys rotate --tenant 131164 ", more), terminal);
  }
  std::string Path(const std::string& name) const { return around_.path() + "/" + name; }
  static std::string Read(const std::string& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  store::TempDir around_;
  FakeKeys keys_;
  FakeJobs jobs_;
  FakeApprovals approvals_;
  FakeErasure erasure_;
  FakeBackups backups_;
  FakeVault vault_;
};

// ---- what is wrong before anything is sent

struct BadInputCase {
  const char* line;
  const char* error;
};

class SecurityBadInput : public SecurityCommandsTest,
                         public ::testing::WithParamInterface<BadInputCase> {};

TEST_P(SecurityBadInput, IsToldBeforeAnythingIsSent) {
  const Ran ran = Run(GetParam().line);
  EXPECT_EQ(ran.code, kBadInput) << ran.err;
  EXPECT_THAT(ran.err, StartsWith(absl::StrCat("vaultctl: ", GetParam().error)));
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_EQ(keys_.calls + approvals_.calls + erasure_.calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, SecurityBadInput,
    ::testing::Values(
        BadInputCase{"keys status", "--tenant is missing"},
        BadInputCase{"keys status --tenant 131164 --service", "--tenant and --service both"},
        BadInputCase{"keys status --tenant 131165", "--tenant is no municipality's code"},
        BadInputCase{"keys rotate", "--tenant is missing"},
        BadInputCase{"keys rotate --service", "--what is missing"},
        BadInputCase{"keys rotate --service --what root", "the root key takes two people"},
        BadInputCase{"keys rotate --service --what kek", "--what does not go with this"},
        BadInputCase{"keys rotate --tenant 131164 --what storage", "--what does not go with this"},
        BadInputCase{"keys rotate --tenant 131164 --what keks", "--what does not go with this"},
        BadInputCase{"keys rotate --tenant 131164 --rate -1", "--rate is no number"},
        BadInputCase{"keys rotate --tenant 131164 --rate 4294967296", "--rate is too large"},
        BadInputCase{"keys rotate --tenant 131164 --compromised", "--compromised is about a log"},
        BadInputCase{"keys rotate --tenant 131164 --what log --dry-run",
                     "--dry-run does not go with --what log"},
        BadInputCase{"keys rotate --tenant 131164 --what log --rate 5",
                     "--rate does not go with --what log"},
        BadInputCase{"keys rotate --tenant 131164 --what log --detach",
                     "--detach does not go with --what log"},
        BadInputCase{"keys rotate --what log", "--tenant is missing"},
        BadInputCase{"keys rotate --what log --tenant 131165", "--tenant is no municipality"},
        BadInputCase{"keys rotate --what log --tenant 131164 --log service",
                     "--tenant and --log both name a log"},
        BadInputCase{"keys rotate --what log --tenant 131164 --service",
                     "--tenant and --service both"},
        BadInputCase{"keys rotate --what log --log elsewhere", "--log is not known"},
        BadInputCase{"keys rotate --log service", "--log is about a log's key"},
        BadInputCase{"keys rotate --what kek --log service", "--log is about a log's key"},
        BadInputCase{"audit prune --tenant 131164", "--before is missing"},
        BadInputCase{"audit prune --before 2021-11-01", "--tenant is missing"},
        BadInputCase{"audit prune --tenant 131164 --log service --before 2021-11-01",
                     "--tenant and --log both name a log"},
        BadInputCase{"audit prune --tenant 131164 --before yesterday", "--before is no time"},
        BadInputCase{"audit prune --tenant 131164 --before 2021-11-01T09:00:00.5+09:00",
                     "--before is no whole second"},
        BadInputCase{"audit prune --tenant 131164 --before 2021-11-01 --dry-run",
                     "audit prune has no flag --dry-run"},
        BadInputCase{"keys compromised --tenant 131164 --key-version 1", "--what is missing"},
        BadInputCase{"keys compromised --tenant 131164 --what kek", "--key-version is missing"},
        BadInputCase{"keys compromised --tenant 131164 --what dek --key-version 1",
                     "--what does not go with this"},
        BadInputCase{"keys compromised --tenant 131164 --what kek --key-version 0",
                     "--key-version is no number from 1"},
        BadInputCase{"keys under --tenant 131164 --what kek --key-version 4294967296",
                     "--key-version is too large"},
        BadInputCase{"keys under --tenant 131164 --what storage --key-version 1",
                     "--what does not go with this"},
        BadInputCase{"keys destroy --tenant 131164 --what dek --key-version 1",
                     "--what does not go with this"},
        BadInputCase{"keys destroy --service --what kek --key-version 1",
                     "--what does not go with this"},
        BadInputCase{"keys destroy --tenant 131164 --what kek", "--key-version is missing"},
        BadInputCase{"keys attest-destroyed", "--before-serial is missing"},
        BadInputCase{"keys attest-destroyed --before-serial 0", "--before-serial is no number"},
        BadInputCase{"tenants offboard", "--tenant is missing"},
        BadInputCase{"approvals show x", "ID is no approval's"},
        BadInputCase{"approvals approve 00112233445566778899aabbccddeeff", "--effect is missing"},
        BadInputCase{"approvals approve 00112233445566778899aabbccddeeff --effect 12ab",
                     "--effect is no digest"},
        BadInputCase{"approvals withdraw 00112233445566778899AABBCCDDEEFF", "ID is no approval's"},
        BadInputCase{"jobs list", "--tenant is missing"},
        BadInputCase{"jobs list --service --limit 0", "--limit is no number from 1"},
        BadInputCase{"jobs list --service --limit 1001", "--limit is too large"},
        BadInputCase{"jobs watch 0011 --service", "ID is no job's"},
        BadInputCase{"jobs cancel 00112233445566778899aabbccddeeff", "--tenant is missing"},
        BadInputCase{"residents erase 0011 --tenant 131164 --purpose erasure --contact c",
                     "ID is no resident's handle"},
        BadInputCase{"residents erase 00112233445566778899aabbccddeeff --tenant 131164",
                     "--purpose is missing"},
        BadInputCase{"residents erase 00112233445566778899aabbccddeeff --tenant 131164 "
                     "--purpose erasure --contact c --to /nonexistent/f",
                     "cannot write into /nonexistent/"},
        BadInputCase{"residents retire --tenant 131164 --purpose erasure --contact c",
                     "--programme is missing"},
        BadInputCase{"backup verify 0", "N is no backup's number"},
        BadInputCase{"backup delete three", "N is no backup's number"}));

// ---- keys status

TEST_F(SecurityCommandsTest, KeyStatusIsATable) {
  api::KeyVersion* version = keys_.answer.add_versions();
  version->set_kind(api::KEY_KIND_KEK);
  version->set_version(1);
  version->set_state(api::KEY_STATE_DESTROYED);
  version->mutable_create_time()->set_seconds(kNoon);
  version->mutable_destroy_time()->set_seconds(kNoon + 60);
  version->set_under(0);
  version = keys_.answer.add_versions();
  version->set_kind(api::KEY_KIND_KEK);
  version->set_version(2);
  version->set_state(api::KEY_STATE_ACTIVE);
  version->set_under(10000);
  version = keys_.answer.add_versions();
  version->set_kind(api::KEY_KIND_LOG);
  version->set_version(1);
  version->set_state(api::KEY_STATE_ACTIVE);
  keys_.answer.add_pending(api::KEY_KIND_KEK);
  const Ran ran = Run("keys status --tenant 131164");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(keys_.tenant, "131164");
  EXPECT_EQ(
      ran.out,
      "key           version  state             created               destroyed             "
      "under it\n"
      "鍵暗号鍵 kek  1        破棄済 destroyed  2026-11-02T00:00:00Z  2026-11-02T00:01:00Z  "
      "0 residents\n"
      "鍵暗号鍵 kek  2        使用中 active     -                     -                     "
      "10000 residents\n"
      "署名鍵 log    1        使用中 active     -                     -                     -\n"
      "更新中 kek: a rotation was begun and has not ended: jobs list --tenant 131164 shows how far "
      "it is; where no job runs, keys rotate --tenant 131164 --what kek goes on with it\n");
  EXPECT_EQ(Run("keys status --service").code, kDone);
  EXPECT_EQ(keys_.tenant, "service");
}

TEST_F(SecurityCommandsTest, SealedVaultIsUnavailableAndSaysHowToOpenIt) {
  keys_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "SEALED");
  const Ran ran = Run("keys status --tenant 131164");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("(SEALED)\nhint: the vault is sealed"));
}

// ---- keys rotate

TEST_F(SecurityCommandsTest, RotateIsDoneOnlyAtACountedZero) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_DONE);
  job.set_done(10000);
  job.set_total(10000);
  job.set_counted(true);
  job.set_left(1);
  EXPECT_EQ(Rotate({job}).code, kUnavailable);
  job.set_left(0);
  const Ran ran = Rotate({job});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, "rotated: 10000 residents moved to version 2, 0 left under an older one\n");
  EXPECT_EQ(keys_.rotate.kind(), api::KEY_KIND_KEK);
  EXPECT_FALSE(keys_.rotate.has_rows_per_second());
  EXPECT_EQ(jobs_.watch.log_id(), "131164");
  EXPECT_EQ(jobs_.watch.job_id(), kId);
}

TEST_F(SecurityCommandsTest, JobThatEndsBadlyIsUnavailable) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_INDEX, api::JOB_STATE_FAILED);
  job.set_done(5);
  job.set_total(9);
  job.set_failure("LEFT_UNDER_OLD");
  Ran ran = Rotate({job}, "--what index");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err,
              HasSubstr("failed: rotate-index after 5/9 residents (LEFT_UNDER_OLD)\n"
                        "hint: keys rotate --tenant 131164 --what index goes on from there\n"));
  EXPECT_THAT(ran.out, IsEmpty());
  // What is to be mended first stands in front.
  job.set_failure("KEYRING");
  EXPECT_THAT(Rotate({job}, "--what index").err,
              HasSubstr("and it goes on; keys rotate --tenant 131164 --what index goes on"));
  job.set_failure("FOLDER");
  EXPECT_THAT(Rotate({job}, "--what index --output json").err,
              HasSubstr("vaultd --adopt_folders; keys rotate --tenant 131164"));
  job.set_failure("KEK_COMPROMISED");
  ran = Rotate({job}, "--what index");
  EXPECT_THAT(ran.err, HasSubstr("mark it again with keys compromised\n"));
  EXPECT_THAT(ran.err, Not(HasSubstr("goes on from there")));
  job.clear_failure();
  job.set_state(api::JOB_STATE_CANCELLED);
  ran = Rotate({job}, "--what index");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("cancelled: rotate-index after 5/9 residents"));
  // The stream ended, the job did not.
  job.set_state(api::JOB_STATE_RUNNING);
  ran = Rotate({job}, "--what index");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("goes on by itself when it runs again\nhint: vaultctl jobs watch "
                                 "00112233445566778899aabbccddeeff --tenant 131164\n"));
}

TEST_F(SecurityCommandsTest, LostStreamSaysThatTheJobGoesOn) {
  jobs_.watch_status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  const Ran ran = Rotate({SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_RUNNING)});
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("hint: the job goes on without this: vaultctl jobs watch "));
}

TEST_F(SecurityCommandsTest, DryRunMeasureAndDetachAreSent) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_DEK, api::JOB_STATE_DONE);
  job.set_dry_run(true);
  job.set_total(12);
  job.set_counted(true);
  job.set_left(12);
  Ran ran = Rotate({job}, "--what dek --dry-run --rate 0");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, "would move 12 residents; nothing was changed\n");
  EXPECT_EQ(keys_.rotate.kind(), api::KEY_KIND_DEK);
  EXPECT_TRUE(keys_.rotate.dry_run());
  EXPECT_TRUE(keys_.rotate.has_rows_per_second());
  EXPECT_EQ(keys_.rotate.rows_per_second(), 0);
  jobs_.watches = 0;
  ran = Rotate({job}, "--what dek --detach");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(ran.out, absl::StrCat("job ", kId, "\n"));
  EXPECT_EQ(jobs_.watches, 0);
}

TEST_F(SecurityCommandsTest, RotationUnderWaySaysWhereToLook) {
  keys_.status = Refusal(grpc::StatusCode::ABORTED, "CONFLICT");
  const Ran ran = Run("keys rotate --service --what storage");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_EQ(keys_.rotate.tenant_id(), "service");
  EXPECT_EQ(keys_.rotate.kind(), api::KEY_KIND_STORAGE);
  EXPECT_THAT(ran.err, HasSubstr("vaultctl jobs list --service\n"));
}

TEST_F(SecurityCommandsTest, JsonIsTheJobAndThenItsStates) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_DONE);
  const Ran ran =
      Rotate({SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_RUNNING), job}, "--output json");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.err, IsEmpty());
  const std::vector<std::string> lines = absl::StrSplit(ran.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u);
  api::WatchJobResponse last;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(lines[2], &last).ok());
  EXPECT_EQ(last.job().state(), api::JOB_STATE_DONE);
}

TEST_F(SecurityCommandsTest, ABarIsDrawnOnATerminal) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_DONE);
  job.set_done(50);
  job.set_total(100);
  const Ran ran = Rotate({job}, "", /*terminal=*/true);
  EXPECT_THAT(ran.err, HasSubstr("[###############...............]  50%  50/100 residents"));
}

TEST_F(SecurityCommandsTest, CtrlCLeavesTheJobAloneAndSaysSo) {
  jobs_.hang = true;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    jobs_.watching = false;
    std::thread sends([&] {
      while (!jobs_.watching) usleep(1000);
      kill(getpid(), signal);
    });
    const Ran ran = Rotate({SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_RUNNING)});
    sends.join();
    EXPECT_EQ(ran.code, 128 + signal);
    EXPECT_THAT(ran.err, HasSubstr("stopped watching; the job goes on\nhint: vaultctl jobs watch "
                                   "00112233445566778899aabbccddeeff --tenant 131164\n"));
    EXPECT_EQ(jobs_.cancel.job_id(), "");
  }
  // What held before holds again.
  struct sigaction now;
  ASSERT_EQ(sigaction(SIGINT, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST_F(SecurityCommandsTest, WhatTheVaultSaysSteersNoTerminal) {
  api::Job job = SampleJob(static_cast<api::JobKind>(4711), api::JOB_STATE_FAILED);
  job.set_failure("\x1b]0;x\x07");
  job.set_unit("\x1b[1m");
  job.set_log_id("\x1b[3m");
  const Ran ran = Rotate({job});
  EXPECT_THAT(ran.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Run(absl::StrCat("jobs show ", kId, " --service")).out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Run("jobs list --service").out, Not(HasSubstr("\x1b")));
}

// ---- keys compromised, under

TEST_F(SecurityCommandsTest, CompromisedSaysWhatWasUnderItAndWhatBegan) {
  keys_.job = SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_RUNNING);
  const Ran ran = Run("keys compromised --tenant 131164 --what kek --key-version 1");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(keys_.compromised.kind(), api::KEY_KIND_KEK);
  EXPECT_EQ(keys_.compromised.version(), 1u);
  EXPECT_EQ(ran.out, absl::StrCat("危殆化 compromised: kek version 1 of 131164; under it: 7 "
                                  "residents\nbegan rotate-kek: job ",
                                  kId, "\n"));
  EXPECT_THAT(ran.err, HasSubstr("jobs watch"));
}

TEST_F(SecurityCommandsTest, UnderPrintsHandlesAndSaysWhereItIsCutOff) {
  const std::string a(32, 'a'), b(32, 'b'), c(32, 'c');
  keys_.parts = {{a, b}, {c}};
  Ran ran = Run("keys under --tenant 131164 --what index --key-version 3");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(ran.out, absl::StrCat(a, "\n", b, "\n", c, "\n"));
  EXPECT_EQ(ran.err, "3 residents\n");
  EXPECT_EQ(keys_.under.kind(), api::KEY_KIND_INDEX);
  EXPECT_EQ(keys_.under.version(), 3u);
  keys_.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  ran = Run("keys under --tenant 131164 --what index --key-version 3");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("the list is cut off after 3"));
}

// ---- what takes two people

class ApprovalCommandsTest : public SecurityCommandsTest {
 protected:
  ApprovalCommandsTest() {
    approvals_.approval.set_id(kId);
    approvals_.approval.set_operation(api::OPERATION_DESTROY_KEY);
    approvals_.approval.set_state(api::APPROVAL_STATE_PROPOSED);
    approvals_.approval.set_tenant_id("131164");
    approvals_.approval.set_key(api::KEY_KIND_KEK);
    approvals_.approval.set_version(1);
    approvals_.approval.set_proposed_by("urn:vault:security");
    approvals_.approval.mutable_propose_time()->set_seconds(kNoon);
    approvals_.approval.mutable_expire_time()->set_seconds(kNoon + 60);
    approvals_.effect.set_text_ja("豊島区の鍵を破棄する。\n戻せない。\n");
    approvals_.effect.set_text_en("The key is destroyed.\nNo way back.\n");
    approvals_.effect.set_digest(digest_);
  }
  const std::string digest_ = std::string(64, 'd');
};

TEST_F(ApprovalCommandsTest, ProposingPrintsTheEffectAndHowToApproveIt) {
  const Ran ran = Run("keys destroy --tenant 131164 --what kek --key-version 1");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, absl::StrCat("approval ", kId,
                                  "\n"
                                  "  操作 operation  鍵の破棄 destroy a key\n"
                                  "  対象 of         kek version 1 of 131164\n"
                                  "  状態 state      承認待ち proposed\n"
                                  "  提案 proposed   2026-11-02T00:00:00Z  urn:vault:security\n"
                                  "  期限 expires    2026-11-02T00:01:00Z\n"
                                  "\n"
                                  "実施されること what will be done\n"
                                  "  豊島区の鍵を破棄する。\n"
                                  "  戻せない。\n"
                                  "\n"
                                  "  The key is destroyed.\n"
                                  "  No way back.\n"
                                  "\n"
                                  "digest ",
                                  digest_, "\n"));
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("vaultctl approvals approve ", kId, " --effect ",
                                              digest_, "\n")));
  EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_DESTROY_KEY);
  EXPECT_EQ(approvals_.propose.tenant_id(), "131164");
  EXPECT_EQ(approvals_.propose.key(), api::KEY_KIND_KEK);
  EXPECT_EQ(approvals_.propose.version(), 1u);
}

TEST_F(ApprovalCommandsTest, EachProposalIsSentAsWhatItIs) {
  EXPECT_EQ(Run("keys destroy --service --what storage --key-version 4").code, kDone);
  EXPECT_EQ(approvals_.propose.tenant_id(), "");
  EXPECT_EQ(approvals_.propose.key(), api::KEY_KIND_STORAGE);
  EXPECT_EQ(Run("keys rotate-root").code, kDone);
  EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_ROTATE_ROOT);
  EXPECT_EQ(Run("tenants offboard --tenant 141003").code, kDone);
  EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_OFFBOARD_TENANT);
  EXPECT_EQ(approvals_.propose.tenant_id(), "141003");
  EXPECT_EQ(Run("keys attest-destroyed --before-serial 5000000000").code, kDone);
  EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_ATTEST_COPIES_DESTROYED);
  EXPECT_EQ(approvals_.propose.version(), 5000000000u);
  EXPECT_EQ(Run("keys rotate --what log --tenant 131164").code, kDone);
  EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_ROTATE_LOG_KEY);
  EXPECT_EQ(approvals_.propose.tenant_id(), "131164");
  EXPECT_FALSE(approvals_.propose.compromised());
  for (const char* flag : {"--service", "--log service"}) {
    EXPECT_EQ(Run(absl::StrCat("keys rotate --what log --compromised ", flag)).code, kDone);
    EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_ROTATE_LOG_KEY);
    EXPECT_EQ(approvals_.propose.tenant_id(), "") << flag;
    EXPECT_TRUE(approvals_.propose.compromised());
    EXPECT_FALSE(approvals_.propose.has_before());
  }
  EXPECT_EQ(Run("audit prune --tenant 131164 --before 2021-11-01").code, kDone);
  EXPECT_EQ(approvals_.propose.operation(), api::OPERATION_PRUNE_LOG);
  EXPECT_EQ(approvals_.propose.tenant_id(), "131164");
  EXPECT_EQ(approvals_.propose.before().seconds(), 1635724800);
  EXPECT_EQ(approvals_.propose.before().nanos(), 0);
  EXPECT_FALSE(approvals_.propose.compromised());
  EXPECT_EQ(Run("audit prune --log service --before 2021-11-01T09:00:00+09:00").code, kDone);
  EXPECT_EQ(approvals_.propose.tenant_id(), "");
  EXPECT_EQ(approvals_.propose.before().seconds(), 1635724800);
  // What each proposes is sent once.
  EXPECT_EQ(approvals_.calls, 9);
}

TEST_F(ApprovalCommandsTest, WhatIsProposedAboutALogIsPrintedWithItsEffectAndHint) {
  approvals_.approval.set_operation(api::OPERATION_PRUNE_LOG);
  approvals_.approval.clear_key();
  approvals_.approval.clear_version();
  approvals_.approval.mutable_before()->set_seconds(1635724800);
  Ran ran = Run("audit prune --tenant 131164 --before 2021-11-01");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("保存期間を過ぎた記録の削除 prune a log\n"));
  EXPECT_THAT(ran.out, HasSubstr("the log of 131164 before 2021-11-01T00:00:00Z\n"));
  EXPECT_THAT(ran.out, HasSubstr("  豊島区の鍵を破棄する。\n"));
  EXPECT_THAT(ran.out, HasSubstr("  The key is destroyed.\n"));
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("vaultctl approvals approve ", kId, " --effect ",
                                              digest_, "\n")));
  EXPECT_THAT(Run("approvals list").out,
              HasSubstr("the log of 131164 before 2021-11-01T00:00:00Z  承認待ち proposed"));
  approvals_.approval.set_operation(api::OPERATION_ROTATE_LOG_KEY);
  approvals_.approval.clear_before();
  approvals_.approval.set_compromised(true);
  ran = Run("keys rotate --what log --tenant 131164 --compromised");
  EXPECT_THAT(ran.out, HasSubstr("ログ署名鍵の更新 rotate a log's key\n"));
  EXPECT_THAT(ran.out, HasSubstr("the log key of 131164, compromised\n"));
  EXPECT_THAT(ran.err, HasSubstr("vaultctl approvals approve "));
  approvals_.approval.clear_tenant_id();
  approvals_.approval.set_compromised(false);
  EXPECT_THAT(Run(absl::StrCat("approvals show ", kId)).out,
              HasSubstr("the log key of the service\n"));
  ran = Run("keys rotate --what log --service --output json");
  api::ProposeResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_EQ(parsed.effect().digest(), digest_);
}

TEST_F(ApprovalCommandsTest, ProposalsAboutALogThatAreRefusedSayWhy) {
  const std::pair<const char*, const char*> kRefusals[] = {
      {"RETENTION", ""}, {"NOTHING_TO_PRUNE", "hint: entries go in whole bundles of 256"}};
  for (const auto& [reason, hint] : kRefusals) {
    approvals_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, reason);
    const Ran ran = Run("audit prune --tenant 131164 --before 2021-11-01");
    EXPECT_EQ(ran.code, kWrongState);
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, HasSubstr(reason));
    EXPECT_THAT(ran.err, HasSubstr(hint));
  }
  approvals_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY");
  for (const char* line : {"audit prune --tenant 131164 --before 2021-11-01",
                           "keys rotate --what log --tenant 131164"}) {
    const Ran ran = Run(line);
    EXPECT_EQ(ran.code, kRefused) << line;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(ApprovalCommandsTest, ApprovingALogsNewKeySaysWhereItIs) {
  approvals_.approval.set_operation(api::OPERATION_ROTATE_LOG_KEY);
  approvals_.approval.set_state(api::APPROVAL_STATE_APPROVED);
  approvals_.approval.set_job_id(kId);
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_LOG_KEY, api::JOB_STATE_DONE);
  job.set_log_id("service");
  job.set_approval_id(kId);
  jobs_.jobs = {job};
  const std::string line = absl::StrCat("approvals approve ", kId, " --effect ", digest_);
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("rotated: version 2 of the log's key signs from now on\n"));
  EXPECT_THAT(ran.err, HasSubstr("vaultctl audit vkey --tenant 131164 (a compliance officer's)\n"));
  EXPECT_THAT(ran.err, Not(HasSubstr("in writing")));
  approvals_.approval.set_compromised(true);
  ran = Run(line);
  EXPECT_THAT(ran.err, HasSubstr("in writing: vault-verify wants it by name, or the service log's "
                                 "key: audit vkey --log service\n"));
  approvals_.approval.clear_tenant_id();
  ran = Run(line);
  EXPECT_THAT(ran.err, HasSubstr("vaultctl audit vkey --log service\n"));
  EXPECT_THAT(ran.err, HasSubstr("in writing: vault-verify wants it by name\n"));
  EXPECT_THAT(Run(line + " --output json").err, Not(HasSubstr("audit vkey")));
  // Nor where there is none.
  jobs_.jobs[0].set_state(api::JOB_STATE_FAILED);
  jobs_.jobs[0].set_failure("LOG_KEY");
  ran = Run(line);
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, Not(HasSubstr("audit vkey")));
  EXPECT_THAT(ran.err,
              HasSubstr(absl::StrCat("; approvals show ", kId, " says what was approved")));
}

TEST_F(ApprovalCommandsTest, ApprovingAPruningSaysWhatWent) {
  approvals_.approval.set_operation(api::OPERATION_PRUNE_LOG);
  approvals_.approval.set_state(api::APPROVAL_STATE_APPROVED);
  approvals_.approval.set_job_id(kId);
  api::Job job = SampleJob(api::JOB_KIND_PRUNE_LOG, api::JOB_STATE_DONE);
  job.set_log_id("service");
  job.set_unit("entries");
  job.set_done(512);
  job.set_total(512);
  jobs_.jobs = {job};
  const std::string line = absl::StrCat("approvals approve ", kId, " --effect ", digest_);
  const Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("pruned: 512 entries removed\n"));
  EXPECT_THAT(ran.err, Not(HasSubstr("audit vkey")));
  // Its time comes, and with another approval.
  for (const char* reason : {"RETENTION", "NOTHING_TO_PRUNE", "EFFECT_CHANGED"}) {
    jobs_.jobs[0].set_state(api::JOB_STATE_FAILED);
    jobs_.jobs[0].set_failure(reason);
    EXPECT_EQ(Run(line).code, kWrongState) << reason;
  }
}

TEST_F(ApprovalCommandsTest, EffectSteersNoTerminal) {
  approvals_.effect.set_text_en("harmless\x1b[2J\n\r\nmore");
  approvals_.effect.set_digest("\x1b[2J");
  const Ran ran = Run(absl::StrCat("approvals show ", kId));
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(ran.out, Not(HasSubstr("\r")));
}

TEST_F(ApprovalCommandsTest, ApprovingWatchesTheJobOfTheService) {
  approvals_.approval.set_state(api::APPROVAL_STATE_APPROVED);
  approvals_.approval.set_job_id(kId);
  api::Job job = SampleJob(api::JOB_KIND_DESTROY_KEK, api::JOB_STATE_DONE);
  job.set_log_id("service");
  jobs_.jobs = {job};
  const std::string line = absl::StrCat("approvals approve ", kId, " --effect ", digest_);
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(approvals_.approve.effect_digest(), digest_);
  EXPECT_EQ(jobs_.watch.log_id(), "service");
  EXPECT_THAT(ran.out, HasSubstr("destroyed: kek version 2; counted"));
  jobs_.jobs[0].set_state(api::JOB_STATE_FAILED);
  jobs_.jobs[0].set_failure("NOT_EMPTY");
  EXPECT_EQ(Run(line).code, kWrongState);
  jobs_.jobs[0].set_failure("STORAGE");
  EXPECT_EQ(Run(line).code, kUnavailable);
  // Nothing to watch where no job carries it out.
  approvals_.approval.clear_job_id();
  jobs_.watches = 0;
  ran = Run(line);
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(jobs_.watches, 0);
}

TEST_F(ApprovalCommandsTest, RefusalsAreToldWithWhatToDo) {
  const std::string line = absl::StrCat("approvals approve ", kId, " --effect ", digest_);
  approvals_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "SAME_PERSON");
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_THAT(ran.err, HasSubstr("hint: somebody else decides than who proposed it"));
  approvals_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "EFFECT_CHANGED");
  ran = Run(line);
  EXPECT_EQ(ran.code, kWrongState);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("hint: vaultctl approvals show ", kId, "\n")));
  approvals_.status = Refusal(grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  EXPECT_EQ(Run(line).code, kNotFound);
  EXPECT_EQ(Run(absl::StrCat("approvals withdraw ", kId)).code, kNotFound);
  EXPECT_EQ(jobs_.watches, 0);
}

TEST_F(ApprovalCommandsTest, ListShowsWhatWaits) {
  Ran ran = Run("approvals list");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_TRUE(approvals_.list.open());
  EXPECT_THAT(ran.out, HasSubstr("kek version 1 of 131164  承認待ち proposed  urn:vault:security  "
                                 "2026-11-02T00:01:00Z\n"));
  approvals_.approval.Clear();
  ran = Run("approvals list --all");
  EXPECT_FALSE(approvals_.list.open());
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "nothing was proposed\n");
}

// ---- jobs

TEST_F(SecurityCommandsTest, JobsAreListedAndShown) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_FAILED);
  job.set_done(5);
  job.set_total(9);
  job.set_failure("DATA_LOSS");
  job.set_subject("urn:vault:security");
  jobs_.jobs = {job};
  Ran ran = Run("jobs list --tenant 131164 --limit 20");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(jobs_.list.page_size(), 20);
  EXPECT_THAT(ran.out, HasSubstr("rotate-kek  失敗 failed (DATA_LOSS)  5/9 residents  "
                                 "2026-11-02T00:00:00Z\n"));
  ran = Run(absl::StrCat("jobs show ", kId, " --tenant 131164"));
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(jobs_.get.log_id(), "131164");
  EXPECT_THAT(ran.out, HasSubstr("  依頼者 asked by  urn:vault:security\n"));
  EXPECT_THAT(ran.out, HasSubstr("  理由 reason      DATA_LOSS\n"));
}

TEST_F(SecurityCommandsTest, UnknownJobIsNotFound) {
  jobs_.status = Refusal(grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  for (const char* what : {"show", "watch", "cancel"}) {
    const Ran ran = Run(absl::StrCat("jobs ", what, " ", kId, " --service"));
    EXPECT_EQ(ran.code, kNotFound) << what;
    EXPECT_THAT(ran.out, IsEmpty());
  }
}

TEST_F(SecurityCommandsTest, CancelSaysWhatStays) {
  api::Job job = SampleJob(api::JOB_KIND_ROTATE_INDEX, api::JOB_STATE_CANCELLED);
  job.set_done(3);
  jobs_.jobs = {job};
  const std::string line = absl::StrCat("jobs cancel ", kId, " --tenant 131164");
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("cancelled: rotate-index after 3 residents; what it has done"));
  // It was faster.
  jobs_.jobs[0].set_state(api::JOB_STATE_DONE);
  ran = Run(line);
  EXPECT_EQ(ran.out, "rotate-index had ended: 完了 done\n");
  jobs_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "NOT_CANCELLABLE");
  EXPECT_EQ(Run(line).code, kWrongState);
}

TEST_F(SecurityCommandsTest, RateTakesTheJobAndANumber) {
  const std::string line = absl::StrCat("jobs rate ", kId, " 2000 --tenant 131164");
  jobs_.jobs = {SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_RUNNING)};
  Ran ran = Run(line);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(jobs_.rate.job_id(), kId);
  EXPECT_EQ(jobs_.rate.log_id(), "131164");
  EXPECT_EQ(jobs_.rate.rows_per_second(), 2000u);
  EXPECT_THAT(ran.out, HasSubstr("at most 2000 "));
  ran = Run(absl::StrCat("jobs rate ", kId, " 0 --service"));
  EXPECT_THAT(ran.out, HasSubstr("as fast as it goes"));
  for (const char* bad : {"", "x", "-1", "4294967296", "1 2", "1.5"}) {
    EXPECT_EQ(Run(absl::StrCat("jobs rate ", kId, " ", bad, " --tenant 131164")).code, kBadInput)
        << bad;
  }
}

// ---- erasure

class ErasureCommandsTest : public SecurityCommandsTest {
 protected:
  ErasureCommandsTest() {
    erasure_.certificate.set_note("pii-vault/erasure-certificate/v1\n…\n\n— x y\n");
    erasure_.certificate.set_text("消去した。未完了\n\nErased; not final yet.\n");
  }
  const std::string erase_ =
      absl::StrCat("residents erase ", kId, " --tenant 131164 --purpose erasure --contact E-1");
};

TEST_F(ErasureCommandsTest, TextIsPrintedAndTheNoteGoesToAFile) {
  const std::string path = Path("note");
  const Ran ran = Run(absl::StrCat(erase_, " --to ", path, " --etag e1"));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, "消去した。未完了\n\nErased; not final yet.\n");
  EXPECT_EQ(Read(path), erasure_.certificate.note());
  EXPECT_EQ(erasure_.erase.resident_id(), kId);
  EXPECT_EQ(erasure_.erase.etag(), "e1");
  EXPECT_EQ(erasure_.erase.context().purpose(), "erasure");
  EXPECT_EQ(erasure_.erase.context().contact(), "E-1");
}

TEST_F(ErasureCommandsTest, AFileInTheWayStopsItBeforeAnythingIsErased) {
  const std::string path = Path("note");
  std::ofstream(path) << "mine";
  std::filesystem::create_symlink("/nonexistent", Path("dangling"));
  for (const std::string& way : {path, Path("dangling")}) {
    const Ran ran = Run(absl::StrCat(erase_, " --to ", way));
    EXPECT_EQ(ran.code, kBadInput);
    EXPECT_THAT(ran.err, HasSubstr("is there already"));
  }
  EXPECT_EQ(erasure_.calls, 0);
  EXPECT_EQ(Read(path), "mine");
}

TEST_F(ErasureCommandsTest, AFileThatComesMeanwhileIsNotOverwritten) {
  const std::string path = Path("note");
  erasure_.meanwhile = [&] { std::ofstream(path) << "theirs"; };
  const Ran ran = Run(absl::StrCat(erase_, " --to ", path));
  EXPECT_EQ(ran.code, kOutputFailed);
  EXPECT_THAT(ran.err,
              HasSubstr("the certificate can be had again: vaultctl residents certificate"));
  EXPECT_EQ(Read(path), "theirs");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(around_.path()), {}), 1);
}

// Done is said, with or without the file that was asked for.
TEST_F(ErasureCommandsTest, ErasedWithoutACertificateIsErased) {
  erasure_.certificate.Clear();
  const std::string path = Path("note");
  Ran ran = Run(erase_);
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.err, HasSubstr("erased; the certificate could not be made now"));
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("vaultctl residents certificate ", kId,
                                              " --tenant 131164\n")));
  ran = Run(absl::StrCat(erase_, " --to ", path));
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("erased; the certificate could not be made now"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ErasureCommandsTest, NoFileAfterAFailure) {
  const std::string path = Path("note");
  for (const auto& [code, exit] : {std::pair{grpc::StatusCode::PERMISSION_DENIED, kRefused},
                                   {grpc::StatusCode::NOT_FOUND, kNotFound},
                                   {grpc::StatusCode::UNAVAILABLE, kUnavailable}}) {
    erasure_.status = grpc::Status(code, "no");
    const Ran ran = Run(absl::StrCat(erase_, " --to ", path));
    EXPECT_EQ(ran.code, exit);
    EXPECT_THAT(ran.out, IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST_F(ErasureCommandsTest, ErasedBeforePointsToTheCertificate) {
  erasure_.status = Refusal(grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  const Ran ran = Run(erase_);
  EXPECT_EQ(ran.code, kNotFound);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("vaultctl residents certificate ", kId,
                                              " --tenant 131164\n")));
}

TEST_F(ErasureCommandsTest, CertificateCanBeHadAgain) {
  const Ran ran =
      Run(absl::StrCat("residents certificate ", kId, " --tenant 131164 --output json"));
  EXPECT_EQ(ran.code, kDone);
  api::GetErasureCertificateResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &parsed).ok());
  EXPECT_EQ(parsed.certificate().note(), erasure_.certificate.note());
  EXPECT_EQ(erasure_.again.tenant_id(), "131164");
}

TEST_F(ErasureCommandsTest, RetireCountsOnADryRunAndErasesWithout) {
  api::Job job = SampleJob(api::JOB_KIND_RETIRE, api::JOB_STATE_DONE);
  job.set_programme("vaccination-2026");
  job.set_dry_run(true);
  job.set_total(40);
  erasure_.job = job;
  jobs_.jobs = {job};
  const std::string line =
      "residents retire --tenant 131164 --programme vaccination-2026 --purpose erasure "
      "--contact E-2 ";
  Ran ran = Run(line + "--dry-run");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, "would erase 40 residents of vaccination-2026; nobody was erased\n");
  EXPECT_TRUE(erasure_.retire.dry_run());
  jobs_.jobs[0].set_dry_run(false);
  jobs_.jobs[0].set_done(40);
  ran = Run(line + "--rate 10");
  EXPECT_EQ(ran.out, "retired: 40 residents of vaccination-2026 erased\n");
  EXPECT_EQ(erasure_.retire.rows_per_second(), 10u);
  erasure_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "RETENTION");
  EXPECT_EQ(Run(line).code, kWrongState);
}

// ---- backups

TEST_F(SecurityCommandsTest, BackupsAreListedWithTheKeysTheyNeed) {
  api::Backup* backup = backups_.list.add_backups();
  backup->set_number(3);
  backup->mutable_create_time()->set_seconds(kNoon);
  backup->set_bytes(5 << 20);
  backup->set_keyring_serial(12);
  for (const uint32_t version : {1, 2}) {
    api::BackupContent* content = backup->add_contents();
    content->set_tenant_id("131164");
    content->set_kek_version(version);
    content->set_residents(100);
  }
  backup->add_storage_keys(1);
  Ran ran = Run("backup list");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(
      ran.out,
      "number  made                  read back     size     residents  keyring  keys it needs\n"
      "3       2026-11-02T00:00:00Z  未検証 never  5.0 MiB  200        12       "
      "131164 kek 1 2, storage 1\n");
  backups_.list.Clear();
  ran = Run("backup list");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.err, HasSubstr("no backup yet"));
}

TEST_F(SecurityCommandsTest, ListIsReadToItsLastPage) {
  backups_.list.add_backups()->set_number(7);
  backups_.list.set_next_page_token("more");
  backups_.last_token = "more";
  const Ran ran = Run("backup list --output json");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(backups_.pages, 2);
  EXPECT_EQ(absl::StrSplit(ran.out, "\"number\":7").operator std::vector<std::string>().size(), 3u);
  EXPECT_THAT(ran.out, HasSubstr("\"next_page_token\":\"\""));
}

TEST_F(SecurityCommandsTest, ListWithoutAnEndIsNotBelieved) {
  backups_.list.set_next_page_token("more");
  backups_.last_token = "never";
  const Ran ran = Run("backup list");
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_EQ(ran.out, "");
}

TEST_F(SecurityCommandsTest, AnswerWithoutAJsonFormIsSaid) {
  backups_.list.add_backups()->mutable_create_time()->set_seconds(int64_t{1} << 60);
  const Ran ran = Run("backup list --output json");
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("has no JSON form"));
}

// Neither counts as read back, though it was once.
TEST_F(SecurityCommandsTest, BackupThatIsDamagedOrMissingIsListedAsThat) {
  for (const api::BackupState state :
       {api::BACKUP_STATE_DAMAGED, api::BACKUP_STATE_MISSING, api::BACKUP_STATE_KEY_DESTROYED}) {
    api::Backup* backup = backups_.list.add_backups();
    backup->set_number(state);
    backup->mutable_verify_time()->set_seconds(kNoon);
    backup->set_state(state);
  }
  const Ran ran = Run("backup list");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("\n2       -     破損 damaged"));
  EXPECT_THAT(ran.out, HasSubstr("\n3       -     所在不明 missing"));
  EXPECT_THAT(ran.out, HasSubstr("\n4       -     鍵破棄 key destroyed"));
  EXPECT_THAT(ran.out, Not(HasSubstr("2026-11-02")));
}

TEST_F(SecurityCommandsTest, FolderOfBackupsThatIsNotThereIsNoEmptyList) {
  backups_.status = Refusal(grpc::StatusCode::UNAVAILABLE, "FOLDER");
  const Ran ran = Run("backup list");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("is not mounted"));
  EXPECT_THAT(ran.err, Not(HasSubstr("no backup yet")));
}

TEST_F(SecurityCommandsTest, BackupThatDoesNotReadBackFailsItsVerification) {
  api::Job job = SampleJob(api::JOB_KIND_BACKUP_VERIFY, api::JOB_STATE_DONE);
  job.set_log_id("service");
  job.set_version(3);
  job.set_unit("bytes");
  job.set_done(3 << 20);
  job.set_total(9 << 20);
  backups_.job = job;
  jobs_.jobs = {job};
  Ran ran = Run("backup verify 3");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, "backup 3 read back whole\n");
  EXPECT_EQ(backups_.number, 3u);
  jobs_.jobs[0].set_state(api::JOB_STATE_FAILED);
  jobs_.jobs[0].set_failure("DATA_LOSS");
  ran = Run("backup verify 3");
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_THAT(ran.err, HasSubstr("failed: backup-verify after 3/9 MiB (DATA_LOSS)"));
}

TEST_F(SecurityCommandsTest, BackupIsDeletedByItsNumber) {
  EXPECT_EQ(Run("backup delete 7").out, "deleted: backup 7\n");
  EXPECT_EQ(backups_.number, 7u);
  backups_.status = Refusal(grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  EXPECT_EQ(Run("backup delete 7").code, kNotFound);
  backups_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "NO_BACKUPS");
  const Ran ran = Run("backup create");
  EXPECT_EQ(ran.code, kWrongState);
  EXPECT_THAT(ran.err, HasSubstr("vaultd --backup_dir"));
}

// ---- the seal

TEST_F(SecurityCommandsTest, StatusTellsASealedVaultByItsExitCode) {
  Ran ran = Run("status");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(ran.out, "稼働中 open since 2026-11-02T00:00:00Z, vaultd 1.2.3\n");
  vault_.sealed = true;
  ran = Run("status");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_EQ(ran.out, "封印中 sealed since 2026-11-02T00:00:00Z, vaultd 1.2.3\n");
}

TEST_F(SecurityCommandsTest, SealAndUnsealSayWhatBecameOfIt) {
  EXPECT_THAT(Run("seal").out, StartsWith("封印 sealed"));
  EXPECT_THAT(Run("unseal").out, StartsWith("開封 unsealed"));
  vault_.status = Refusal(grpc::StatusCode::FAILED_PRECONDITION, "CANNOT_UNSEAL");
  const Ran ran = Run("unseal");
  EXPECT_EQ(ran.code, kUnavailable);
  EXPECT_THAT(ran.err, HasSubstr("hint: it stays sealed"));
  vault_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY");
  EXPECT_EQ(Run("seal").code, kRefused);
}

// ---- files

TEST(CreateFileTest, NothingIsOverwrittenAndNothingIsLeftBehind) {
  store::TempDir dir;
  const std::string path = dir.path() + "/f";
  EXPECT_TRUE(CreateFileAtomically(path, "one").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(CreateFileAtomically(path, "two")));
  std::ifstream in(path);
  std::string text;
  std::getline(in, text);
  EXPECT_EQ(text, "one");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

// ---- what every command says of how it ended

TEST_F(SecurityCommandsTest, ExitCodesTellWhatPassesFromWhatIsNotAsThingsStand) {
  const auto code = [&](grpc::StatusCode status, const char* reason) {
    return static_cast<int>(ToExitCode(status, reason));
  };
  for (const char* reason : {"SEALED", "NO_KEYS", "INTERNAL", ""}) {
    EXPECT_EQ(code(grpc::StatusCode::FAILED_PRECONDITION, reason), kUnavailable) << reason;
  }
  for (const char* reason : {"RETENTION", "OFFBOARDED", "EFFECT_CHANGED", "NOT_OPEN", "EXPIRED",
                             "STILL_ACTIVE", "KEY_GONE", "SOMETHING_NEW"}) {
    EXPECT_EQ(code(grpc::StatusCode::FAILED_PRECONDITION, reason), kWrongState) << reason;
  }
  EXPECT_EQ(code(grpc::StatusCode::ABORTED, "CONFLICT"), kUnavailable);
  EXPECT_EQ(code(grpc::StatusCode::ABORTED, "ETAG_MISMATCH"), kWrongState);
  EXPECT_EQ(code(grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL"), kUnavailable);
}

TEST_F(SecurityCommandsTest, WhoamiSaysWhoTheVaultTakesTheCallerFor) {
  vault_.caller.set_subject("urn:vault:operator-toshima");
  EXPECT_THAT(Run("whoami").out, HasSubstr("none: every call is refused"));
  vault_.caller.set_role("operator");
  vault_.caller.add_tenant_ids("131164");
  const Ran ran = Run("whoami");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("urn:vault:operator-toshima"));
  EXPECT_THAT(ran.out, HasSubstr("131164"));
}

TEST_F(SecurityCommandsTest, AnErrorOfACallIsOneObjectInJson) {
  vault_.status = Refusal(grpc::StatusCode::PERMISSION_DENIED, "POLICY");
  const Ran ran = Run("seal --output json");
  EXPECT_EQ(ran.code, kRefused);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, ::testing::MatchesRegex(
                           "[{]\"error\":[{]\"code\":\"PERMISSION_DENIED\",\"reason\":\"POLICY\","
                           "\"message\":\"no\",\"hint\":.*,\"exit_code\":1[}][}]\n"));
}

TEST_F(SecurityCommandsTest, JsonSaysWhatIsEmptyToo) {
  const Ran ran = Run("backup list --output json");
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, HasSubstr("\"backups\":[]"));
  EXPECT_THAT(ran.out, HasSubstr("\"next_page_token\":\"\""));
}

TEST_F(SecurityCommandsTest, WhatCannotBeUndoneIsAskedForOnATerminalAlone) {
  const std::vector<std::vector<std::string>> lines = {{"--profile", "p", "seal"},
                                                       {"--profile", "p", "backup", "delete", "3"}};
  for (const std::vector<std::string>& line : lines) {
    // One over which no line can be drawn is one at which somebody sits.
    for (const Terminal terminal : {Terminal::kDraws, Terminal::kAsks}) {
      const Ran no = RunAt(line, terminal, "no\n");
      EXPECT_EQ(no.code, kBadInput);
      EXPECT_THAT(no.err, HasSubstr("nothing was done"));
      EXPECT_EQ(RunAt(line, terminal, "").code, kBadInput);  // the end of the input is no yes
      EXPECT_EQ(RunAt(line, terminal, "y\n").code, kBadInput);
      EXPECT_EQ(RunAt(line, terminal, "yes\n").code, kDone);
      EXPECT_EQ(RunAt(line, terminal, "はい\n").code, kDone);
      std::vector<std::string> sure = line;
      sure.push_back("--yes");
      EXPECT_EQ(RunAt(sure, terminal, "").code, kDone);
    }
    EXPECT_EQ(RunAt(line, Terminal::kNone, "").code, kDone);
  }
}

TEST_F(SecurityCommandsTest, NothingIsDrawnOnADumbTerminal) {
  jobs_.jobs = {SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_DONE)};
  jobs_.jobs[0].set_done(50);
  jobs_.jobs[0].set_total(100);
  const Ran ran =
      RunAt({"--profile", "p", "jobs", "watch", kId, "--tenant", "131164"}, Terminal::kAsks, "");
  EXPECT_THAT(ran.err, HasSubstr("50/100 residents\n"));
  for (const char* drawn : {"\r", "\x1b", "#"}) EXPECT_THAT(ran.err, Not(HasSubstr(drawn)));
}

TEST_F(SecurityCommandsTest, OutputThatCannotBeWrittenSaysWhetherItWasDone) {
  // A stream that takes nothing, as a full disk does.
  std::ostream full(nullptr);
  const Ran ran = RunInto({"--profile", "p", "backup", "list"}, full);
  EXPECT_EQ(ran.code, kOutputFailed);
  EXPECT_THAT(ran.err, HasSubstr("the output could not be written"));
  EXPECT_THAT(ran.err, HasSubstr("what was asked for was done"));
}

// A line of a help text as a shell takes it: no quotes stand in one, a backslash goes on below.
std::vector<std::string> WordsOf(std::string example) {
  example = absl::StrReplaceAll(example, {{"\\\n", " "}});
  std::vector<std::string> words = absl::StrSplit(example, ' ', absl::SkipEmpty());
  EXPECT_EQ(words.front(), "vaultctl") << example;
  words.erase(words.begin());
  return words;
}

TEST_F(SecurityCommandsTest, EveryExampleOfEveryHelpIsTakenAsItStands) {
  // Files that examples read and write are beside the reader.
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(around_.path());
  std::ofstream("residents.csv") << "name,kana,birth_date,address_number\n";
  std::ofstream("roster.csv")
      << "subject,programme,role,from,until,shift,contacts_max,trained_on\n,,,,,,,\n";
  jobs_.jobs = {SampleJob(api::JOB_KIND_ROTATE_KEK, api::JOB_STATE_DONE)};
  int ran_all = 0;
  for (const Command& command : AllCommands()) {
    EXPECT_FALSE(command.examples.empty()) << CommandWords(command);
    for (const std::string& example : command.examples) {
      const Ran ran = RunWords(WordsOf(example), /*terminal=*/false, "");
      // What this test's services do not answer is UNIMPLEMENTED, which is no fault of the line.
      EXPECT_NE(ran.code, kBadInput) << example << "\n" << ran.err;
      ++ran_all;
    }
  }
  std::filesystem::current_path(before);
  EXPECT_GE(ran_all, 40);
}

}  // namespace
}  // namespace vault::ctl
