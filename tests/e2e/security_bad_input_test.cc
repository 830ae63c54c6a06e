// Keys, jobs, approvals, backups and erasures, asked for wrongly by a client that checks nothing:
// each call is refused with its field's place and begins nothing.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kNobody[] = "00112233445566778899aabbccddeeff";

class SecurityBadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    box_ = new Sandbox();
    ASSERT_TRUE(box_->Up());
    security_ = new Stubs(box_->As("security"));
    officer_ = new Stubs(box_->As("officer-toshima"));
  }
  static void TearDownTestSuite() {
    delete officer_;
    delete security_;
    delete box_;
  }
  // Whatever was asked for, nothing began.
  void TearDown() override {
    for (const char* log : {kToshima, "service"}) {
      v1::ListJobsRequest request;
      request.set_log_id(log);
      v1::ListJobsResponse response;
      ASSERT_TRUE(security().jobs->ListJobs(NewContext().get(), request, &response).ok());
      EXPECT_THAT(response.jobs(), IsEmpty());
    }
    v1::ListApprovalsResponse approvals;
    ASSERT_TRUE(security().approvals->ListApprovals(NewContext().get(), {}, &approvals).ok());
    EXPECT_THAT(approvals.approvals(), IsEmpty());
  }

  static Sandbox& box() { return *box_; }
  static Stubs& security() { return *security_; }
  static Stubs& officer() { return *officer_; }

  static void ExpectBadField(const grpc::Status& status, const std::string& field,
                             const std::string& reason = "INVALID_FIELD") {
    const Details details = DetailsOf(status);
    EXPECT_EQ(details.code, grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(details.reason, reason) << status.error_message();
    EXPECT_THAT(details.fields, ElementsAre(field)) << status.error_message();
  }
  static void ExpectCode(const grpc::Status& status, grpc::StatusCode code,
                         const std::string& reason) {
    const Details details = DetailsOf(status);
    EXPECT_EQ(details.code, code) << status.error_message();
    EXPECT_EQ(details.reason, reason) << status.error_message();
  }

  static grpc::Status Rotate(const std::string& tenant, int kind) {
    v1::RotateKeysRequest request;
    request.set_tenant_id(tenant);
    request.set_kind(static_cast<v1::KeyKind>(kind));
    v1::RotateKeysResponse response;
    return security().keys->RotateKeys(NewContext().get(), request, &response);
  }
  static grpc::Status MarkCompromised(const std::string& tenant, int kind, uint32_t version) {
    v1::MarkKeyCompromisedRequest request;
    request.set_tenant_id(tenant);
    request.set_kind(static_cast<v1::KeyKind>(kind));
    request.set_version(version);
    v1::MarkKeyCompromisedResponse response;
    return security().keys->MarkKeyCompromised(NewContext().get(), request, &response);
  }
  static grpc::Status ListUnder(const std::string& tenant, int kind, uint32_t version) {
    v1::ListUnderKeyRequest request;
    request.set_tenant_id(tenant);
    request.set_kind(static_cast<v1::KeyKind>(kind));
    request.set_version(version);
    const auto context = NewContext();
    const auto stream = security().keys->ListUnderKey(context.get(), request);
    v1::ListUnderKeyResponse part;
    while (stream->Read(&part)) ADD_FAILURE() << "a part came";
    return stream->Finish();
  }
  static grpc::Status Propose(int operation, const std::string& tenant, v1::KeyKind key,
                              uint64_t version) {
    v1::ProposeRequest request;
    request.set_operation(static_cast<v1::Operation>(operation));
    request.set_tenant_id(tenant);
    request.set_key(key);
    request.set_version(version);
    v1::ProposeResponse response;
    return security().approvals->Propose(NewContext().get(), request, &response);
  }
  static grpc::Status Approve(const std::string& id, const std::string& digest) {
    v1::ApproveRequest request;
    request.set_approval_id(id);
    request.set_effect_digest(digest);
    v1::ApproveResponse response;
    return security().approvals->Approve(NewContext().get(), request, &response);
  }
  static grpc::Status Erase(const std::string& resident, const v1::AccessContext& access) {
    v1::EraseResidentRequest request;
    request.set_tenant_id(kToshima);
    request.set_resident_id(resident);
    *request.mutable_context() = access;
    v1::EraseResidentResponse response;
    return officer().residents->EraseResident(NewContext().get(), request, &response);
  }

 private:
  static Sandbox* box_;
  static Stubs* security_;
  static Stubs* officer_;
};
Sandbox* SecurityBadInput::box_ = nullptr;
Stubs* SecurityBadInput::security_ = nullptr;
Stubs* SecurityBadInput::officer_ = nullptr;

TEST_F(SecurityBadInput, KeyKindsThatDoNotFitAreRefused) {
  for (const int kind : {0, 4, 5, 6, 7, 99, -1}) {
    SCOPED_TRACE(kind);
    ExpectBadField(Rotate(kToshima, kind), "kind");
    ExpectBadField(MarkCompromised(kToshima, kind, 1), "kind");
    ExpectBadField(ListUnder(kToshima, kind, 1), "kind");
  }
  ExpectBadField(MarkCompromised(kToshima, v1::KEY_KIND_DEK, 1), "kind");
  for (const int kind : {0, 1, 2, 3, 5, 6}) {
    ExpectBadField(Rotate("service", kind), "kind");
    ExpectBadField(MarkCompromised("service", kind, 1), "kind");
  }
}

TEST_F(SecurityBadInput, VersionsThatAreNoneAreRefused) {
  ExpectBadField(MarkCompromised(kToshima, v1::KEY_KIND_KEK, 0), "version");
  ExpectBadField(ListUnder(kToshima, v1::KEY_KIND_INDEX, 0), "version");
  ExpectCode(MarkCompromised(kToshima, v1::KEY_KIND_KEK, 9), grpc::StatusCode::NOT_FOUND,
             "NOT_FOUND");
  ExpectCode(ListUnder(kToshima, v1::KEY_KIND_KEK, 4294967295u), grpc::StatusCode::NOT_FOUND,
             "NOT_FOUND");
}

TEST_F(SecurityBadInput, TenantsThatAreNoneAreRefused) {
  for (const char* tenant : {"", "131165", "13116", "豊島区", "131164 ", "../131164"}) {
    SCOPED_TRACE(tenant);
    EXPECT_EQ(Rotate(tenant, v1::KEY_KIND_KEK).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    v1::ListJobsRequest list;
    list.set_log_id(tenant);
    v1::ListJobsResponse jobs;
    EXPECT_EQ(security().jobs->ListJobs(NewContext().get(), list, &jobs).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(SecurityBadInput, JobsThatAreNoneAreRefusedOrNotFound) {
  for (const std::string& job :
       {std::string(), std::string("0011"), std::string(33, 'a'), std::string(32, 'G'),
        std::string("../../131164/00112233445566778899aa"), std::string(kNobody)}) {
    SCOPED_TRACE(job);
    v1::GetJobRequest get;
    get.set_log_id("service");
    get.set_job_id(job);
    v1::GetJobResponse got;
    v1::CancelJobRequest cancel;
    cancel.set_log_id("service");
    cancel.set_job_id(job);
    v1::CancelJobResponse cancelled;
    v1::WatchJobRequest watch;
    watch.set_log_id("service");
    watch.set_job_id(job);
    const auto context = NewContext();
    const auto stream = security().jobs->WatchJob(context.get(), watch);
    v1::WatchJobResponse seen;
    EXPECT_FALSE(stream->Read(&seen));
    for (const grpc::Status& status :
         {security().jobs->GetJob(NewContext().get(), get, &got),
          security().jobs->CancelJob(NewContext().get(), cancel, &cancelled), stream->Finish()}) {
      if (job == kNobody) {
        ExpectCode(status, grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
      } else {
        ExpectBadField(status, "job_id");
      }
    }
  }
  for (const int size : {-1, 1001, 2147483647}) {
    v1::ListJobsRequest list;
    list.set_log_id("service");
    list.set_page_size(size);
    v1::ListJobsResponse jobs;
    ExpectBadField(security().jobs->ListJobs(NewContext().get(), list, &jobs), "page_size",
                   "PAGE_SIZE");
  }
}

TEST_F(SecurityBadInput, ProposalsThatDoNotFitTogetherAreRefused) {
  for (const int operation : {0, 7, 99, -1}) {
    ExpectBadField(Propose(operation, kToshima, v1::KEY_KIND_KEK, 1), "operation");
  }
  ExpectBadField(Propose(v1::OPERATION_DESTROY_KEY, "131165", v1::KEY_KIND_KEK, 1), "tenant_id");
  ExpectBadField(Propose(v1::OPERATION_OFFBOARD_TENANT, "豊島区", v1::KEY_KIND_UNSPECIFIED, 0),
                 "tenant_id");
  for (const auto& [operation, tenant, key, version] :
       std::vector<std::tuple<int, std::string, v1::KeyKind, uint64_t>>{
           {v1::OPERATION_DESTROY_KEY, kToshima, static_cast<v1::KeyKind>(99), 1},
           {v1::OPERATION_DESTROY_KEY, "", v1::KEY_KIND_KEK, 1},
           {v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_UNSPECIFIED, 1},
           {v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_DEK, 1},
           {v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_STORAGE, 1},
           {v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_KEK, 0},
           {v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_KEK, uint64_t{1} << 32},
           {v1::OPERATION_OFFBOARD_TENANT, "", v1::KEY_KIND_UNSPECIFIED, 0},
           {v1::OPERATION_OFFBOARD_TENANT, kToshima, v1::KEY_KIND_KEK, 0},
           {v1::OPERATION_ROTATE_ROOT, kToshima, v1::KEY_KIND_UNSPECIFIED, 0},
           {v1::OPERATION_ATTEST_COPIES_DESTROYED, "", v1::KEY_KIND_UNSPECIFIED, 0},
           {v1::OPERATION_ROTATE_LOG_KEY, kToshima, v1::KEY_KIND_LOG, 0},
           {v1::OPERATION_ROTATE_LOG_KEY, "", v1::KEY_KIND_UNSPECIFIED, 1},
           {v1::OPERATION_PRUNE_LOG, kToshima, v1::KEY_KIND_UNSPECIFIED, 0}}) {
    const grpc::Status status = Propose(operation, tenant, key, version);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << operation << " " << tenant << " " << key << " " << version;
  }
  // It fits together and cannot be done.
  ExpectCode(Propose(v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_KEK, 1),
             grpc::StatusCode::FAILED_PRECONDITION, "STILL_ACTIVE");
  ExpectCode(Propose(v1::OPERATION_DESTROY_KEY, kToshima, v1::KEY_KIND_KEK, 7),
             grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
}

TEST_F(SecurityBadInput, TimesAndWordsThatDoNotGoWithAProposalAreRefused) {
  const auto propose = [](v1::Operation operation, int64_t seconds, int32_t nanos,
                          bool compromised) {
    v1::ProposeRequest request;
    request.set_operation(operation);
    if (operation != v1::OPERATION_ROTATE_ROOT) request.set_tenant_id(kToshima);
    if (seconds != 0 || nanos != 0) {
      request.mutable_before()->set_seconds(seconds);
      request.mutable_before()->set_nanos(nanos);
    }
    request.set_compromised(compromised);
    v1::ProposeResponse response;
    return security().approvals->Propose(NewContext().get(), request, &response);
  };
  constexpr int64_t kThen = 1635724800;
  const std::pair<int64_t, int32_t> kTimes[] = {{kThen, 1},        {kThen, -1},    {-1, 0},
                                                {253402300800, 0}, {INT64_MAX, 0}, {INT64_MIN, 0}};
  for (const auto& [seconds, nanos] : kTimes) {
    ExpectBadField(propose(v1::OPERATION_PRUNE_LOG, seconds, nanos, false), "before");
  }
  ExpectBadField(propose(v1::OPERATION_PRUNE_LOG, kThen, 0, true), "compromised");
  ExpectBadField(propose(v1::OPERATION_ROTATE_LOG_KEY, kThen, 0, false), "before");
  ExpectBadField(propose(v1::OPERATION_OFFBOARD_TENANT, kThen, 0, false), "before");
  ExpectBadField(propose(v1::OPERATION_OFFBOARD_TENANT, 0, 0, true), "compromised");
  ExpectBadField(propose(v1::OPERATION_ROTATE_ROOT, 0, 0, true), "compromised");
  // They go with it, and it cannot be done: this log has begun today.
  ExpectCode(propose(v1::OPERATION_PRUNE_LOG, kThen, 0, false),
             grpc::StatusCode::FAILED_PRECONDITION, "NOTHING_TO_PRUNE");
  ExpectCode(propose(v1::OPERATION_PRUNE_LOG, 253402300799, 0, false),
             grpc::StatusCode::FAILED_PRECONDITION, "RETENTION");
}

TEST_F(SecurityBadInput, ApprovalsThatAreNoneAreRefusedOrNotFound) {
  const std::string digest(64, 'a');
  ExpectCode(Approve(kNobody, digest), grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  for (const std::string& id : {std::string(), std::string("0011"), std::string(32, 'G'),
                                std::string("../00112233445566778899aabbccddee")}) {
    SCOPED_TRACE(id);
    EXPECT_EQ(Approve(id, digest).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(SecurityBadInput, BackupsThatAreNoneAreRefusedOrNotFound) {
  for (const auto& [number, code] :
       {std::pair<uint32_t, grpc::StatusCode>{0, grpc::StatusCode::INVALID_ARGUMENT},
        {1, grpc::StatusCode::NOT_FOUND},
        {4294967295u, grpc::StatusCode::NOT_FOUND}}) {
    v1::VerifyBackupRequest verify;
    verify.set_number(number);
    v1::VerifyBackupResponse verified;
    EXPECT_EQ(security().backups->VerifyBackup(NewContext().get(), verify, &verified).error_code(),
              code);
    v1::DeleteBackupRequest remove;
    remove.set_number(number);
    v1::DeleteBackupResponse removed;
    EXPECT_EQ(security().backups->DeleteBackup(NewContext().get(), remove, &removed).error_code(),
              code);
  }
}

TEST_F(SecurityBadInput, ErasuresWithoutAReasonOrOfNobodyAreRefused) {
  ExpectCode(Erase(kNobody, Access("erasure", "E-1")), grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  EXPECT_EQ(Erase("0011", Access("erasure", "E-1")).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Erase(kNobody, Access("", "E-1")).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Erase(kNobody, Access("no_such_purpose", "E-1")).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  ExpectCode(Erase(kNobody, Access("erasure", "090-1234-5678")), grpc::StatusCode::INVALID_ARGUMENT,
             "INVALID_CONTACT");
  EXPECT_THAT(box().log(), Not(HasSubstr("090-1234-5678")));
  v1::GetErasureCertificateRequest certificate;
  certificate.set_tenant_id(kToshima);
  certificate.set_resident_id(kNobody);
  v1::GetErasureCertificateResponse response;
  ExpectCode(officer().residents->GetErasureCertificate(NewContext().get(), certificate, &response),
             grpc::StatusCode::NOT_FOUND, "NOT_FOUND");
  v1::RetireResidentsRequest retire;
  retire.set_tenant_id(kToshima);
  retire.set_programme("no-such-programme");
  *retire.mutable_context() = Access("erasure", "E-1");
  v1::RetireResidentsResponse retired;
  EXPECT_FALSE(officer().residents->RetireResidents(NewContext().get(), retire, &retired).ok());
}

TEST_F(SecurityBadInput, WhoeverMayNotIsRefused) {
  const Stubs desk = box().As("operator-toshima");
  const Stubs compliance = box().As("compliance-toshima");
  for (const Stubs* stubs : {&desk, &compliance}) {
    std::vector<grpc::Status> refused;
    v1::RotateKeysRequest rotate;
    rotate.set_tenant_id(kToshima);
    rotate.set_kind(v1::KEY_KIND_KEK);
    v1::RotateKeysResponse rotated;
    refused.push_back(stubs->keys->RotateKeys(NewContext().get(), rotate, &rotated));
    v1::ProposeRequest propose;
    propose.set_operation(v1::OPERATION_OFFBOARD_TENANT);
    propose.set_tenant_id(kToshima);
    v1::ProposeResponse proposed;
    refused.push_back(stubs->approvals->Propose(NewContext().get(), propose, &proposed));
    v1::CreateBackupResponse made;
    refused.push_back(stubs->backups->CreateBackup(NewContext().get(), {}, &made));
    v1::SealResponse sealed;
    refused.push_back(stubs->vault->Seal(NewContext().get(), {}, &sealed));
    v1::EraseResidentRequest erase;
    erase.set_tenant_id(kToshima);
    erase.set_resident_id(kNobody);
    *erase.mutable_context() = Access("erasure", "E-1");
    v1::EraseResidentResponse erased;
    refused.push_back(stubs->residents->EraseResident(NewContext().get(), erase, &erased));
    for (const grpc::Status& status : refused) {
      EXPECT_EQ(DetailsOf(status).rule, "role.action") << status.error_message();
    }
  }
}

// A stream whose reader is gone is let go, and the job with it goes on.
TEST(Watching, IsLetGoWithItsWatcherAndLeavesTheJobAlone) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  const std::string csv = box.Generate(kToshima, 300, 3);
  ASSERT_EQ(box.Run("booking-service", {"residents", "import", csv, "--tenant", kToshima,
                                        "--purpose", "migration", "--contact", "B-1"})
                .exit_code,
            0);
  const Stubs security = box.As("security");
  v1::RotateKeysRequest rotate;
  rotate.set_tenant_id(kToshima);
  rotate.set_kind(v1::KEY_KIND_DEK);
  rotate.set_rows_per_second(5);
  v1::RotateKeysResponse begun;
  ASSERT_TRUE(security.keys->RotateKeys(NewContext().get(), rotate, &begun).ok());
  EXPECT_EQ(begun.job().kind(), v1::JOB_KIND_ROTATE_DEK);
  EXPECT_EQ(begun.job().unit(), "residents");
  EXPECT_EQ(begun.job().rows_per_second(), 5u);
  EXPECT_EQ(begun.job().subject(), "urn:vault:security");
  // More than a subject may have open: the vault notices at the job's next move that one is gone.
  int seen_running = 0;
  for (const absl::Time end = absl::Now() + absl::Seconds(60);
       seen_running < 30 && absl::Now() < end;) {
    v1::WatchJobRequest watch;
    watch.set_log_id(kToshima);
    watch.set_job_id(begun.job().id());
    const auto context = NewContext();
    const auto stream = security.jobs->WatchJob(context.get(), watch);
    v1::WatchJobResponse seen;
    if (!stream->Read(&seen)) {
      ASSERT_EQ(DetailsOf(stream->Finish()).reason, "TOO_MANY_STREAMS");
      absl::SleepFor(absl::Milliseconds(50));
      continue;
    }
    EXPECT_EQ(seen.job().state(), v1::JOB_STATE_RUNNING);
    ++seen_running;
    context->TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_EQ(seen_running, 30);
  v1::CancelJobRequest cancel;
  cancel.set_log_id(kToshima);
  cancel.set_job_id(begun.job().id());
  v1::CancelJobResponse cancelled;
  ASSERT_TRUE(security.jobs->CancelJob(NewContext().get(), cancel, &cancelled).ok());
  EXPECT_EQ(cancelled.job().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(cancelled.job().has_end_time());
  const absl::Time stopping = absl::Now();
  EXPECT_TRUE(box.Down());
  EXPECT_LT(absl::Now() - stopping, absl::Seconds(8));
}

}  // namespace
}  // namespace vault::testing
