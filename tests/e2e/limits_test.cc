// The limits on what a caller may try and make the vault hold, in a vault as it ships; and that
// what is only counted outlives SIGKILL.
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

constexpr uint64_t kSeed = 33;

class Limits : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(box_.UpAsShipped()); }

  static v1::ImportResidentsRequest OpenImport(const std::string& purpose = "migration") {
    v1::ImportResidentsRequest open;
    open.mutable_open()->set_tenant_id(kToshima);
    *open.mutable_open()->mutable_context() = Access(purpose, "B-2026-11");
    return open;
  }
  // How many refusals of this rule the entries of the log speak of, and how many entries do.
  struct Told {
    int64_t refusals = 0;
    int64_t entries = 0;
  };
  Told ToldOf(const std::string& persona, const std::string& log, const std::string& rule) {
    Told told;
    for (const Entry& entry : box_.Entries(persona, log)) {
      if (entry.Get("rule") != rule) continue;
      ++told.entries;
      int64_t count = 1;
      if (!entry.Get("count").empty()) EXPECT_TRUE(absl::SimpleAtoi(entry.Get("count"), &count));
      told.refusals += count;
    }
    return told;
  }

  Sandbox box_;
};

TEST_F(Limits, CountedRefusalsOutliveAKillButForTheLastSeconds) {
  constexpr int kCalls = 200;
  const Stubs desk = box_.As("operator-toshima");
  for (int i = 0; i < kCalls; ++i) {
    v1::GetResidentRequest request;
    request.set_tenant_id(kToshima);
    request.set_resident_id(std::string(32, '0'));
    *request.mutable_context() = Access("migration", "C-1001");
    v1::GetResidentResponse response;
    EXPECT_FALSE(desk.residents->GetResident(NewContext().get(), request, &response).ok());
  }
  // One second, and time for a busy machine to come to it.
  absl::SleepFor(absl::Seconds(4));
  ASSERT_TRUE(box_.Kill());
  ASSERT_TRUE(box_.Start());
  const Told told = ToldOf("compliance-toshima", kToshima, "purpose.role");
  EXPECT_EQ(told.refusals, kCalls);
  EXPECT_LT(told.entries, kCalls / 2);
}

TEST_F(Limits, AnOperatorDoesNotFindAMaskedTelephone) {
  const std::string csv = box_.Generate(kToshima, 20, kSeed);
  const CommandResult imported =
      box_.Run("booking-service", {"residents", "import", csv, "--tenant", kToshima, "--purpose",
                                   "migration", "--contact", "B-2026-11"});
  ASSERT_EQ(imported.exit_code, 0) << imported.All();
  const std::string name(GeneratedPeople(kToshima, 1, kSeed)[0].Get("name"));
  const Stubs desk = box_.As("operator-toshima");
  int answered = 0, refused = 0;
  for (int guess = 0; guess < 100; ++guess) {
    v1::LookupResidentsRequest request = LookupBy(kToshima, "name", name);
    v1::FieldValue* phone = request.add_criteria();
    phone->set_id("phone");
    phone->set_value(absl::StrCat("03-", 1000 + guess, "-0000"));
    v1::LookupResidentsResponse response;
    const grpc::Status status =
        desk.residents->LookupResidents(NewContext().get(), request, &response);
    if (status.ok()) {
      ++answered;
      continue;
    }
    const Details details = DetailsOf(status);
    EXPECT_EQ(details.code, grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    EXPECT_EQ(details.reason, "ATTEMPTS");
    EXPECT_TRUE(details.has_retry_delay);
    ++refused;
  }
  // 30, and one more for each minute that this took.
  EXPECT_GE(answered, 30);
  EXPECT_LE(answered, 40);
  absl::SleepFor(absl::Seconds(4));
  EXPECT_EQ(ToldOf("compliance-toshima", kToshima, "limit.attempts").refusals, refused);
}

// Whoever may not import is told so at the first message: nothing of theirs is kept meanwhile.
TEST_F(Limits, AnImportIsDecidedBeforeARowIsTaken) {
  struct Case {
    std::string persona, purpose, rule;
  };
  for (const Case& c : {Case{"operator-toshima", "migration", "role.action"},
                        Case{"security", "migration", "role.action"},
                        Case{"booking-service", "complaint", "purpose.role"}}) {
    const Stubs stubs = box_.As(c.persona);
    const auto context = NewContext(absl::Seconds(60));
    const auto stream = stubs.residents->ImportResidents(context.get());
    ASSERT_TRUE(stream->Write(OpenImport(c.purpose)));
    v1::ImportResidentsResponse response;
    // Neither rows nor the end of them are sent.
    EXPECT_FALSE(stream->Read(&response));
    const Details details = DetailsOf(stream->Finish());
    EXPECT_EQ(details.code, grpc::StatusCode::PERMISSION_DENIED) << c.persona;
    EXPECT_EQ(details.rule, c.rule);
  }
  EXPECT_EQ(ToldOf("compliance-toshima", kToshima, "role.action").refusals, 2);
  EXPECT_EQ(ToldOf("compliance-toshima", kToshima, "purpose.role").refusals, 1);
}

TEST_F(Limits, AnImportWhoseFirstMessageOpensNothingIsMalformed) {
  const Stubs stubs = box_.As("booking-service");
  const auto context = NewContext(absl::Seconds(60));
  const auto stream = stubs.residents->ImportResidents(context.get());
  v1::ImportResidentsRequest open = OpenImport();
  open.mutable_open()->set_tenant_id("Toshima");
  ASSERT_TRUE(stream->Write(open));
  v1::ImportResidentsResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const Details details = DetailsOf(stream->Finish());
  EXPECT_EQ(details.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(details.fields, std::vector<std::string>{"tenant_id"});
}

// Rows that wait for the rest of their chunk are bounded for all streams together, and what ended
// makes room.
TEST_F(Limits, RowsThatWaitAreBoundedForTheProcess) {
  constexpr int kStreams = 60;
  const Stubs stubs = box_.As("booking-service");
  using Stream = grpc::ClientReaderWriter<v1::ImportResidentsRequest, v1::ImportResidentsResponse>;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<Stream>> streams;
  v1::ImportResidentsRequest row;
  row.mutable_row()->set_row(1);
  SetField(row.mutable_row(), "memo", std::string(1 << 20, 'x'));
  for (int i = 0; i < kStreams; ++i) {
    contexts.push_back(NewContext(absl::Seconds(30)));
    streams.push_back(stubs.residents->ImportResidents(contexts.back().get()));
    ASSERT_TRUE(streams.back()->Write(OpenImport()));
    // One that was refused takes no more.
    (void)streams.back()->Write(row);
  }
  int full = 0;
  v1::ImportResidentsResponse response;
  // Those that are held wait for their rows: the last ones were refused.
  for (int i = kStreams - 1; i >= kStreams - 20; --i) {
    EXPECT_FALSE(streams[i]->Read(&response));
    const Details details = DetailsOf(streams[i]->Finish());
    full += details.reason == "MEMORY_FULL" && details.has_retry_delay;
  }
  EXPECT_EQ(full, 20);
  // Others' calls go on.
  v1::LookupResidentsResponse found;
  EXPECT_TRUE(
      box_.As("officer-toshima")
          .residents
          ->LookupResidents(NewContext().get(), LookupBy(kToshima, "phone", "03-1234-5678"), &found)
          .ok());
  for (int i = 0; i < kStreams - 20; ++i) {
    contexts[i]->TryCancel();
    (void)streams[i]->Finish();
  }
  const CommandResult imported = box_.Run(
      "booking-service", {"residents", "import", box_.Generate(kToshima, 600, kSeed), "--tenant",
                          kToshima, "--purpose", "migration", "--contact", "B-2026-11"});
  EXPECT_EQ(imported.exit_code, 0) << imported.All();
}

}  // namespace
}  // namespace vault::testing
