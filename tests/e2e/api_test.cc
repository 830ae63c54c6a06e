// What clients in any language rest on: reflection, health a service, the request's id, and all
// that is wrong with a request at once.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>

#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::UnorderedElementsAre;

constexpr char kToshima[] = "131164";

class Api : public WithSandbox<Api> {
 protected:
  static HealthCheckResponse::ServingStatus HealthOf(const Stubs& stubs, const std::string& service,
                                                     grpc::StatusCode code = grpc::OK) {
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    const grpc::Status status =
        Health::NewStub(stubs.channel)->Check(NewContext().get(), request, &response);
    EXPECT_EQ(status.error_code(), code) << service << ": " << status.error_message();
    return response.status();
  }
};

// One question each, over one stream.
template <typename Reflection, typename Request, typename Response>
std::vector<Response> AskReflection(const Stubs& stubs, const std::vector<Request>& questions) {
  const auto context = NewContext();
  const auto stream = Reflection::NewStub(stubs.channel)->ServerReflectionInfo(context.get());
  std::vector<Response> answers;
  for (const Request& question : questions) {
    Response answer;
    EXPECT_TRUE(stream->Write(question));
    EXPECT_TRUE(stream->Read(&answer));
    answers.push_back(answer);
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  return answers;
}

template <typename Reflection, typename Request, typename Response>
void ExpectEveryServiceIsDescribed(const Stubs& stubs) {
  Request list;
  list.set_list_services("");
  const auto answers = AskReflection<Reflection, Request, Response>(stubs, {list});
  ASSERT_EQ(answers.size(), 1u);
  std::vector<std::string> services;
  for (const auto& service : answers[0].list_services_response().service()) {
    services.push_back(service.name());
  }
  EXPECT_THAT(
      services,
      UnorderedElementsAre("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                           "grpc.reflection.v1alpha.ServerReflection", "vault.v1.ApprovalService",
                           "vault.v1.AuditService", "vault.v1.BackupService", "vault.v1.JobService",
                           "vault.v1.KeyService", "vault.v1.ResidentService",
                           "vault.v1.SeatService", "vault.v1.VaultService"));
  // Each of them can be built from what comes back for its name, as a client does that has nothing.
  for (const std::string& service : services) {
    Request ask;
    ask.set_file_containing_symbol(service);
    const auto files = AskReflection<Reflection, Request, Response>(stubs, {ask});
    google::protobuf::SimpleDescriptorDatabase database;
    for (const std::string& bytes : files[0].file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      ASSERT_TRUE(file.ParseFromString(bytes));
      database.Add(file);
    }
    google::protobuf::DescriptorPool pool(&database);
    const auto* described = pool.FindServiceByName(service);
    ASSERT_NE(described, nullptr) << service;
    EXPECT_GT(described->method_count(), 0) << service;
  }
}

TEST_F(Api, ReflectionV1DescribesEveryService) {
  namespace r = grpc::reflection::v1;
  ExpectEveryServiceIsDescribed<r::ServerReflection, r::ServerReflectionRequest,
                                r::ServerReflectionResponse>(box().As("operator-toshima"));
}

TEST_F(Api, ReflectionV1alphaDescribesEveryService) {
  namespace r = grpc::reflection::v1alpha;
  ExpectEveryServiceIsDescribed<r::ServerReflection, r::ServerReflectionRequest,
                                r::ServerReflectionResponse>(box().As("operator-toshima"));
}

TEST_F(Api, ReflectionAnswersEachQuestionInItsOrderAndDescribesNothingElse) {
  namespace r = grpc::reflection::v1;
  std::vector<r::ServerReflectionRequest> asked(6);
  asked[0].set_file_by_filename("vault/v1/job_service.proto");
  asked[1].set_file_by_filename("vault/row/v1/rows.proto");  // linked in, and no part of the API
  asked[2].set_file_containing_symbol("vault.policy.v1.Policy");
  asked[3].set_all_extension_numbers_of_type("vault.v1.Job");
  asked[5].set_file_by_filename("vault/v1/job_service.proto");  // asked for again
  const auto answers =
      AskReflection<r::ServerReflection, r::ServerReflectionRequest, r::ServerReflectionResponse>(
          box().As("operator-toshima"), asked);
  ASSERT_EQ(answers.size(), 6u);
  // With what it imports, once.
  EXPECT_EQ(answers[0].file_descriptor_response().file_descriptor_proto_size(), 2);
  EXPECT_EQ(answers[1].error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(answers[2].error_response().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(answers[3].all_extension_numbers_response().base_type_name(), "vault.v1.Job");
  EXPECT_EQ(answers[4].error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(answers[5].file_descriptor_response().file_descriptor_proto_size(), 1);
  EXPECT_EQ(answers[1].original_request().file_by_filename(), "vault/row/v1/rows.proto");
}

TEST_F(Api, HealthIsToldAService) {
  const Stubs stubs = box().As("security");
  for (const char* service : {"", "vault.v1.ResidentService", "vault.v1.AuditService",
                              "vault.v1.VaultService", "grpc.health.v1.Health"}) {
    EXPECT_EQ(HealthOf(stubs, service), HealthCheckResponse::SERVING) << service;
  }
  for (const char* unknown : {"vault.v1.Resident", "vault.v1.ResidentService ", "x"}) {
    HealthOf(stubs, unknown, grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(Api, HealthIsWatchedThroughSealAndUnseal) {
  const Stubs stubs = box().As("security");
  const auto context = NewContext(absl::Seconds(60)), other = NewContext(absl::Seconds(60));
  HealthCheckRequest request;
  request.set_service("vault.v1.ResidentService");
  const auto watch = Health::NewStub(stubs.channel)->Watch(context.get(), request);
  HealthCheckResponse state;
  ASSERT_TRUE(watch->Read(&state));
  EXPECT_EQ(state.status(), HealthCheckResponse::SERVING);
  v1::SealResponse sealed;
  ASSERT_TRUE(stubs.vault->Seal(NewContext().get(), {}, &sealed).ok());
  ASSERT_TRUE(watch->Read(&state));
  EXPECT_EQ(state.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(HealthOf(stubs, "vault.v1.KeyService"), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(HealthOf(stubs, ""), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(HealthOf(stubs, "vault.v1.VaultService"), HealthCheckResponse::SERVING);
  v1::UnsealResponse unsealed;
  ASSERT_TRUE(stubs.vault->Unseal(NewContext().get(), {}, &unsealed).ok());
  ASSERT_TRUE(watch->Read(&state));
  EXPECT_EQ(state.status(), HealthCheckResponse::SERVING);
  request.set_service("nobody");
  const auto unknown = Health::NewStub(stubs.channel)->Watch(other.get(), request);
  ASSERT_TRUE(unknown->Read(&state));
  EXPECT_EQ(state.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  context->TryCancel();
  other->TryCancel();
}

// So one that may call takes no place from the probes of others.
TEST_F(Api, HealthIsWatchedEightTimesByOne) {
  const Stubs stubs = box().As("security");
  const auto health = Health::NewStub(stubs.channel);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<HealthCheckResponse>>> watches;
  HealthCheckResponse state;
  for (int i = 0; i < 8; ++i) {
    contexts.push_back(NewContext(absl::Seconds(60)));
    watches.push_back(health->Watch(contexts.back().get(), {}));
    ASSERT_TRUE(watches.back()->Read(&state)) << i;
  }
  const auto context = NewContext(absl::Seconds(60));
  const auto ninth = health->Watch(context.get(), {});
  EXPECT_FALSE(ninth->Read(&state));
  EXPECT_EQ(ninth->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const Stubs other = box().As("booking-service");
  const auto theirs = NewContext(absl::Seconds(60));
  const auto watch = Health::NewStub(other.channel)->Watch(theirs.get(), {});
  EXPECT_TRUE(watch->Read(&state));
  for (const auto& one : contexts) one->TryCancel();
  theirs->TryCancel();
}

// The id that an answer names in its trailers; every answer has exactly one.
std::string RequestIdOf(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  EXPECT_EQ(trailers.count("x-request-id"), 1u);
  const auto it = trailers.find("x-request-id");
  return it == trailers.end() ? "" : std::string(it->second.data(), it->second.size());
}

google::rpc::RequestInfo RequestInfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RequestInfo info;
  for (const auto& any : details.details()) {
    if (any.UnpackTo(&info)) return info;
  }
  ADD_FAILURE() << "no RequestInfo";
  return info;
}

TEST_F(Api, EveryAnswerNamesItsRequestAsTheTrailDoes) {
  const Stubs stubs = box().As("operator-toshima");
  v1::LookupResidentsResponse response;
  const auto good = NewContext();
  ASSERT_TRUE(
      stubs.residents
          ->LookupResidents(good.get(), LookupBy(kToshima, "phone", "03-1999-0000"), &response)
          .ok());
  const std::string id = RequestIdOf(*good);
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]{16}"));

  v1::LookupResidentsRequest withheld = LookupBy(kToshima, "phone", "03-1999-0000");
  withheld.mutable_field_mask()->add_paths("birth_date");
  const auto refused = NewContext();
  const grpc::Status status = stubs.residents->LookupResidents(refused.get(), withheld, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(RequestInfoOf(status).request_id(), RequestIdOf(*refused));
  EXPECT_NE(RequestIdOf(*refused), id);

  // Malformed ones, and those of streams, have one too.
  const auto malformed = NewContext();
  const grpc::Status bad =
      stubs.residents->LookupResidents(malformed.get(), LookupBy("1", "phone", "x"), &response);
  EXPECT_EQ(RequestInfoOf(bad).request_id(), RequestIdOf(*malformed));
  const auto streaming = NewContext();
  v1::VerifyLogRequest verify;
  verify.set_log_id(kToshima);
  const auto stream = stubs.audit->VerifyLog(streaming.get(), verify);
  v1::VerifyLogResponse progress;
  while (stream->Read(&progress)) {
  }
  const grpc::Status denied = stream->Finish();
  EXPECT_EQ(denied.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(RequestInfoOf(denied).request_id(), RequestIdOf(*streaming));

  std::vector<std::string> recorded;
  for (const Entry& entry : box().Entries("compliance-toshima", kToshima)) {
    recorded.push_back(entry.Get("request"));
  }
  EXPECT_THAT(recorded, Contains(id));
  EXPECT_THAT(recorded, Contains(RequestIdOf(*refused)));
}

TEST_F(Api, AllThatIsWrongWithARequestComesBackAtOnce) {
  const Stubs stubs = box().As("booking-service");
  v1::CreateResidentRequest request;
  request.set_tenant_id(kToshima);
  *request.mutable_context() = Access("migration", "B-1");
  SetField(&request, "name", "見本　花子");
  SetField(&request, "phone", "110");
  SetField(&request, "birth_date", "1950-02-30");
  v1::CreateResidentResponse response;
  const grpc::Status status =
      stubs.residents->CreateResident(NewContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(DetailsOf(status).fields, ElementsAre("fields[phone]", "fields[birth_date]",
                                                    "fields[kana]", "fields[address_number]"));
  // What is wrong with the form of a request comes before what its fields hold.
  request.set_tenant_id("131165");
  request.set_request_id("not allowed");
  *request.mutable_context() = Access("migration", "0312345678");
  EXPECT_THAT(
      DetailsOf(stubs.residents->CreateResident(NewContext().get(), request, &response)).fields,
      ElementsAre("tenant_id", "context.contact", "request_id"));
}

TEST_F(Api, TheCallerIsToldWhoItIsTakenFor) {
  v1::GetCallerResponse caller;
  ASSERT_TRUE(box().As("operator-toshima").vault->GetCaller(NewContext().get(), {}, &caller).ok());
  EXPECT_EQ(caller.subject(), "urn:vault:operator-toshima");
  EXPECT_EQ(caller.role(), "operator");
  EXPECT_THAT(caller.tenant_ids(), ElementsAre(kToshima));
  EXPECT_THAT(caller.certificate_fingerprint(), MatchesRegex("[0-9a-f]{64}"));
  v1::GetCallerResponse service;
  ASSERT_TRUE(box().As("security").vault->GetCaller(NewContext().get(), {}, &service).ok());
  EXPECT_THAT(service.tenant_ids(), ElementsAre(kToshima, "141003"));
  // What the shipped schema calls its fields, whoever asks.
  for (const v1::GetCallerResponse& told : {caller, service}) {
    ASSERT_EQ(told.fields_size(), 14);
    EXPECT_EQ(told.fields(4).id(), "phone");
    EXPECT_EQ(told.fields(4).label_ja(), "電話");
    EXPECT_EQ(told.fields(4).label_en(), "telephone");
  }
  ASSERT_TRUE(box().Cert("nobody", {}));
  v1::GetCallerResponse nobody;
  ASSERT_TRUE(box().As("nobody").vault->GetCaller(NewContext().get(), {}, &nobody).ok());
  EXPECT_EQ(nobody.role(), "");
  EXPECT_EQ(nobody.fields_size(), 0);
  // As a person reads them.
  EXPECT_THAT(box().Run("operator-toshima", {"whoami"}).out, HasSubstr("電話 phone"));
}

TEST_F(Api, ACallThatNamesATenantIsToldOfItsTenantId) {
  const Stubs security = box().As("security");
  v1::GetKeyStatusRequest keys;
  keys.set_tenant_id("131165");
  v1::GetKeyStatusResponse status;
  EXPECT_THAT(DetailsOf(security.keys->GetKeyStatus(NewContext().get(), keys, &status)).fields,
              ElementsAre("tenant_id"));
  v1::ListJobsRequest jobs;
  jobs.set_log_id("131165");
  v1::ListJobsResponse listed;
  EXPECT_THAT(DetailsOf(security.jobs->ListJobs(NewContext().get(), jobs, &listed)).fields,
              ElementsAre("log_id"));
}

}  // namespace
}  // namespace vault::testing
