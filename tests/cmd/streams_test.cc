// Commands against a vault whose connections end while streams are on them, and against one that
// lies without end.
#include "vault/cmd/vaultctl/streams.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/cmd/exported_log.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/v1/audit_service.grpc.pb.h"
#include "vault/v1/job_service.grpc.pb.h"
#include "vault/v1/key_service.grpc.pb.h"
#include "vault/v1/resident_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kJob[] = "00112233445566778899aabbccddeeff";
// Far more than any command reads before it gives up, and the end of a test that finds none.
constexpr int kWithoutEnd = 200000;

void SetHashes(const std::vector<crypto::Digest>& hashes,
               google::protobuf::RepeatedPtrField<std::string>* out) {
  for (const crypto::Digest& hash : hashes) out->Add(std::string(crypto::AsView(hash)));
}

// ---- a vault whose streams last

class Trail : public api::AuditService::Service {
 public:
  explicit Trail(ExportedLog* log) : log_(log) {}

  grpc::Status GetCheckpoint(grpc::ServerContext*, const api::GetCheckpointRequest*,
                             api::GetCheckpointResponse* response) override {
    response->set_checkpoint(log_->newest());
    return grpc::Status::OK;
  }
  grpc::Status ProveConsistency(grpc::ServerContext*, const api::ProveConsistencyRequest* request,
                                api::ProveConsistencyResponse* response) override {
    SetHashes(log_->Consistency(request->old_size(), request->new_size()),
              response->mutable_hashes());
    response->set_new_size(request->new_size());
    return grpc::Status::OK;
  }
  // As the vault does it: bundle by bundle, then the tiles above.
  grpc::Status ExportLog(grpc::ServerContext* context, const api::ExportLogRequest* request,
                         grpc::ServerWriter<api::ExportLogResponse>* writer) override {
    from_sizes.push_back(request->from_size());
    std::map<std::string, std::string> content;
    for (auto& [path, bytes] : log_->FilesOf(0, log_->size())) content[path] = bytes;
    std::vector<std::pair<std::string, uint64_t>> order;
    tlog::ForEachBundle(request->from_size(), log_->size(), [&](const tlog::TileId& bundle) {
      const uint64_t done = bundle.index * 256 + bundle.width;
      order.emplace_back(tlog::TilePath(bundle), done);
      order.emplace_back(tlog::TilePath({0, bundle.index, bundle.width}), done);
    });
    tlog::ForEachTile(request->from_size(), log_->size(), [&](const tlog::TileId& tile) {
      if (tile.level > 0) order.emplace_back(tlog::TilePath(tile), log_->size());
    });
    order.emplace_back("checkpoint", log_->size());
    for (const auto& [path, done] : order) {
      if (sent.size() == files_max) return grpc::Status(grpc::StatusCode::INTERNAL, "broke off");
      absl::SleepFor(pause);
      api::ExportLogResponse message;
      message.set_done(done);
      message.set_total(log_->size());
      message.add_files()->set_path(path);
      message.mutable_files(0)->set_content(content.at(path));
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
      sent.push_back(path);
    }
    return grpc::Status::OK;
  }
  grpc::Status VerifyLog(grpc::ServerContext*, const api::VerifyLogRequest*,
                         grpc::ServerWriter<api::VerifyLogResponse>* writer) override {
    // Each stream is quicker than the one before: once the cache is warm, it gets to the end.
    ++verified;
    const int parts = 30;
    for (int i = 1; i <= parts; ++i) {
      absl::SleepFor(absl::Milliseconds(300) / (verified * verified));
      api::VerifyLogResponse message;
      message.set_checked(static_cast<uint64_t>(i));
      message.set_total(parts);
      if (i == parts) message.mutable_verdict()->set_good(true);
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }

  std::vector<uint64_t> from_sizes;
  std::vector<std::string> sent;
  size_t files_max = SIZE_MAX;
  absl::Duration pause;
  int verified = 0;

 private:
  ExportedLog* const log_;
};

api::Job RunningJob(uint64_t done, uint64_t total) {
  api::Job job;
  job.set_id(kJob);
  job.set_kind(api::JOB_KIND_ROTATE_KEK);
  job.set_log_id("131164");
  job.set_state(done == total ? api::JOB_STATE_DONE : api::JOB_STATE_RUNNING);
  job.set_done(done);
  job.set_total(total);
  job.set_unit("residents");
  job.set_version(2);
  return job;
}

class Jobs : public api::JobService::Service {
 public:
  grpc::Status GetJob(grpc::ServerContext*, const api::GetJobRequest*,
                      api::GetJobResponse* response) override {
    *response->mutable_job() = RunningJob(0, 20);
    return grpc::Status::OK;
  }
  // The job goes on by itself, whoever watches.
  grpc::Status WatchJob(grpc::ServerContext*, const api::WatchJobRequest*,
                        grpc::ServerWriter<api::WatchJobResponse>* writer) override {
    ++watched;
    for (; done_ < 20; ++done_) {
      api::WatchJobResponse message;
      *message.mutable_job() = RunningJob(done_, 20);
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
      absl::SleepFor(absl::Milliseconds(250));
    }
    api::WatchJobResponse message;
    *message.mutable_job() = RunningJob(20, 20);
    writer->Write(message);
    return grpc::Status::OK;
  }
  int watched = 0;

 private:
  uint64_t done_ = 0;
};

std::string Handle(uint64_t n) { return absl::StrFormat("%032x", n); }

class Keys : public api::KeyService::Service {
 public:
  grpc::Status ListUnderKey(grpc::ServerContext*, const api::ListUnderKeyRequest*,
                            grpc::ServerWriter<api::ListUnderKeyResponse>* writer) override {
    ++listed;
    for (uint64_t part = 0; part < 30; ++part) {
      // What it has read already comes quickly.
      if (part >= slow_from_) absl::SleepFor(absl::Milliseconds(200));
      slow_from_ = std::max(slow_from_, part);
      api::ListUnderKeyResponse message;
      for (uint64_t i = 0; i < 100; ++i) message.add_resident_ids(Handle(part * 100 + i));
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }
  int listed = 0;

 private:
  uint64_t slow_from_ = 0;
};

class ConnectionAgeTest : public CtlTest {
 protected:
  // 40 bundles and a part of one.
  static constexpr uint64_t kSize = 40 * 256 + 17;

  ConnectionAgeTest() {
    crypto::Init();
    log_.Grow(kSize);
  }
  ~ConnectionAgeTest() override { Stop(); }
  void ServeBriefly() {
    ServeWithAge({&trail_, &jobs_, &keys_}, absl::Seconds(1), absl::Milliseconds(500));
  }
  Ran Export() { return RunWithProfile(absl::StrCat("audit export --tenant 131164 --out ", dir_)); }
  void ExpectExported() {
    std::map<std::string, std::string> wanted;
    for (const auto& [path, content] : log_.FilesOf(0, log_.size())) wanted[path] = content;
    EXPECT_EQ(Tree(dir_), wanted);
  }

  ExportedLog log_;
  Trail trail_{&log_};
  Jobs jobs_;
  Keys keys_;
  store::TempDir around_;
  const std::string dir_ = around_.path() + "/out";
};

TEST_F(ConnectionAgeTest, AnExportGoesOnWhereItsFilesStop) {
  trail_.pause = absl::Milliseconds(60);
  ServeBriefly();
  const Ran ran = Export();
  EXPECT_EQ(ran.code, kDone) << ran.err;
  ExpectExported();
  ASSERT_GT(trail_.from_sizes.size(), 1u) << "the connection never ended: nothing was shown";
  EXPECT_TRUE(std::is_sorted(trail_.from_sizes.begin(), trail_.from_sizes.end()));
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("the export goes on behind the ",
                                              trail_.from_sizes.back(), " entries")));
  // A few files a connection come twice, and no more.
  EXPECT_LT(trail_.sent.size(), log_.FilesOf(0, kSize).size() + 16 * trail_.from_sizes.size());
}

TEST_F(ConnectionAgeTest, TheNextExportGoesOnWhereOneWasBrokenOff) {
  Serve({&trail_});
  for (const size_t files : {1, 2, 21, 40, 81}) {
    std::filesystem::remove_all(dir_);
    trail_.from_sizes.clear();
    trail_.sent.clear();
    trail_.files_max = files;
    const Ran broken = Export();
    EXPECT_EQ(broken.code, kUnavailable);
    EXPECT_THAT(broken.err, HasSubstr("goes on where the files end"));
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/checkpoint"));
    trail_.files_max = SIZE_MAX;
    const Ran ran = Export();
    EXPECT_EQ(ran.code, kDone) << ran.err;
    ExpectExported();
    EXPECT_EQ(trail_.from_sizes.back(), std::min<uint64_t>(files / 2, 40) * 256);
  }
}

// Large enough for full tiles above, which the vault does not send again.
TEST_F(ConnectionAgeTest, TheTilesAboveAreMadeFromWhatIsThere) {
  Serve({&trail_});
  log_.Grow(2 * 65536 + 700);
  for (const bool increment : {false, true}) {
    SCOPED_TRACE(increment);
    std::filesystem::remove_all(dir_);
    if (increment) {
      ExportedLog before;
      before.Grow(65536 + 300);
      std::filesystem::create_directories(dir_);
      for (const auto& [path, content] : before.FilesOf(0, before.size())) {
        std::filesystem::create_directories(std::filesystem::path(dir_ + "/" + path).parent_path());
        store::WriteBytes(dir_ + "/" + path, content);
      }
    }
    trail_.from_sizes.clear();
    trail_.sent.clear();
    trail_.files_max = increment ? 300 : 700;
    EXPECT_EQ(Export().code, kUnavailable);
    trail_.files_max = SIZE_MAX;
    const Ran ran = Export();
    EXPECT_EQ(ran.code, kDone) << ran.err;
    EXPECT_EQ(trail_.from_sizes.back(), increment ? 65536u + 256 + 150 * 256 : 350u * 256);
    ExpectExported();
  }
}

TEST_F(ConnectionAgeTest, WhatAnotherLogLeftIsNotGoneOnFrom) {
  Serve({&trail_});
  ExportedLog other;
  other.Grow(300);
  other.Fork();
  other.Grow(kSize);
  Trail elsewhere(&other);
  // Bundles of another history, which no checkpoint confirmed.
  for (const tlog::TileId& tile :
       {tlog::TileId{tlog::TileId::kEntries, 0}, tlog::TileId{tlog::TileId::kEntries, 1},
        tlog::TileId{0, 0}, tlog::TileId{0, 1}}) {
    const std::string path = dir_ + "/" + tlog::TilePath(tile);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    for (const auto& [name, content] : other.FilesOf(0, kSize)) {
      if (name == tlog::TilePath(tile)) store::WriteBytes(path, content);
    }
  }
  store::WriteBytes(dir_ + "/.export.lock", "");
  const Ran ran = Export();
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_THAT(ran.err, HasSubstr("export into a new directory"));
  EXPECT_TRUE(trail_.sent.empty());
}

TEST_F(ConnectionAgeTest, AWatchedJobIsWatchedToItsEnd) {
  ServeBriefly();
  const Ran ran = RunWithProfile(absl::StrCat("jobs watch ", kJob, " --tenant 131164"));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("rotated: 20 residents moved to version 2"));
  EXPECT_GT(jobs_.watched, 1) << "the connection never ended: nothing was shown";
}

TEST_F(ConnectionAgeTest, AVerificationIsBegunAgain) {
  ServeBriefly();
  const Ran ran = RunWithProfile("audit verify --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("verifying again from the first entry"));
  EXPECT_GT(trail_.verified, 1);
}

TEST_F(ConnectionAgeTest, AListOfHandlesGoesOnBehindTheLast) {
  ServeBriefly();
  const Ran ran = RunWithProfile("keys under --tenant 131164 --what kek --key-version 1");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  std::string wanted;
  for (uint64_t n = 0; n < 3000; ++n) absl::StrAppend(&wanted, Handle(n), "\n");
  EXPECT_EQ(ran.out, wanted);
  EXPECT_GT(keys_.listed, 1) << "the connection never ended: nothing was shown";
}

TEST(ReconnectsTest, TriesAreBoundedAndProgressRenewsThem) {
  const grpc::Status lost(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  Reconnects reconnects;
  EXPECT_FALSE(reconnects.Again(lost)) << "nothing ever came";
  for (int round = 0; round < 2; ++round) {
    reconnects.Progress();
    EXPECT_TRUE(reconnects.Again(lost));
    EXPECT_TRUE(reconnects.Again(lost));
  }
  EXPECT_FALSE(reconnects.Again(grpc::Status(grpc::StatusCode::INTERNAL, "")));
  EXPECT_FALSE(reconnects.Again(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "")));
  EXPECT_FALSE(reconnects.Again(lost, [] { return true; })) << "stopped";
  int tries = 0;
  reconnects.Progress();
  while (reconnects.Again(lost)) ++tries;
  EXPECT_EQ(tries, Reconnects::kTriesMax);
}

TEST(ReconnectsTest, AStreamThatWasLostAndStillCountsIsWaitedFor) {
  const auto exhausted = [](const char* reason) {
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain("vault");
    google::rpc::Status details;
    details.set_code(static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED));
    details.add_details()->PackFrom(info);
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "", details.SerializeAsString());
  };
  Reconnects reconnects;
  EXPECT_FALSE(reconnects.Again(exhausted("TOO_MANY_STREAMS"))) << "it is somebody else's";
  reconnects.Progress();
  EXPECT_TRUE(reconnects.Again(exhausted("TOO_MANY_STREAMS")));
  EXPECT_FALSE(reconnects.Again(exhausted("QUEUE_FULL")));
}

// ---- a vault that lies

class HostileTrail : public api::AuditService::Service {
 public:
  grpc::Status ListEntries(grpc::ServerContext*, const api::ListEntriesRequest* request,
                           api::ListEntriesResponse* response) override {
    list(++calls, *request, response);
    return calls < kWithoutEnd ? grpc::Status::OK
                               : grpc::Status(grpc::StatusCode::INTERNAL, "endless");
  }
  grpc::Status VerifyLog(grpc::ServerContext*, const api::VerifyLogRequest*,
                         grpc::ServerWriter<api::VerifyLogResponse>* writer) override {
    for (calls = 1; calls < kWithoutEnd; ++calls) {
      api::VerifyLogResponse message;
      verify(calls, &message);
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  }
  grpc::Status ExportLog(grpc::ServerContext*, const api::ExportLogRequest*,
                         grpc::ServerWriter<api::ExportLogResponse>* writer) override {
    for (calls = 1; calls < kWithoutEnd; ++calls) {
      api::ExportLogResponse message;
      exported(calls, &message);
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  }
  int calls = 0;
  std::function<void(int, const api::ListEntriesRequest&, api::ListEntriesResponse*)> list;
  std::function<void(int, api::VerifyLogResponse*)> verify;
  std::function<void(int, api::ExportLogResponse*)> exported;
};

class HostileJobs : public api::JobService::Service {
 public:
  grpc::Status GetJob(grpc::ServerContext*, const api::GetJobRequest*,
                      api::GetJobResponse* response) override {
    *response->mutable_job() = RunningJob(0, 20);
    return grpc::Status::OK;
  }
  grpc::Status ListJobs(grpc::ServerContext*, const api::ListJobsRequest*,
                        api::ListJobsResponse* response) override {
    for (int i = 0; i < 100; ++i) *response->add_jobs() = RunningJob(0, 20);
    return grpc::Status::OK;
  }
  grpc::Status WatchJob(grpc::ServerContext*, const api::WatchJobRequest*,
                        grpc::ServerWriter<api::WatchJobResponse>* writer) override {
    for (calls = 1; calls < kWithoutEnd; ++calls) {
      api::WatchJobResponse message;
      watch(calls, message.mutable_job());
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  }
  int calls = 0;
  std::function<void(int, api::Job*)> watch;
};

class HostileKeys : public api::KeyService::Service {
 public:
  grpc::Status ListUnderKey(grpc::ServerContext*, const api::ListUnderKeyRequest*,
                            grpc::ServerWriter<api::ListUnderKeyResponse>* writer) override {
    for (calls = 1; calls < kWithoutEnd; ++calls) {
      api::ListUnderKeyResponse message;
      under(calls, &message);
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  }
  int calls = 0;
  std::function<void(int, api::ListUnderKeyResponse*)> under;
};

class HostileResidents : public api::ResidentService::Service {
 public:
  grpc::Status ImportResidents(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<api::ImportResidentsResponse, api::ImportResidentsRequest>* stream)
      override {
    api::ImportResidentsRequest request;
    while (stream->Read(&request) && !request.has_row()) {
    }
    for (calls = 1; calls < kWithoutEnd; ++calls) {
      api::ImportResidentsResponse message;
      answer(calls, request.row().row(), &message);
      if (!stream->Write(message)) break;
    }
    return grpc::Status::OK;
  }
  int calls = 0;
  std::function<void(int, uint64_t, api::ImportResidentsResponse*)> answer;
};

class HostileVaultTest : public CtlTest {
 protected:
  HostileVaultTest() {
    crypto::Init();
    Serve({&trail_, &jobs_, &keys_, &residents_});
  }
  ~HostileVaultTest() override { Stop(); }
  // It ends, long before the vault does, and says that the vault is not to be trusted.
  void ExpectFoundOut(const std::string& line, const int& calls) {
    for (const char* form : {"", " --output json"}) {
      SCOPED_TRACE(line + form);
      const Ran ran = RunWithProfile(line + form);
      EXPECT_EQ(ran.code, kVerificationFailed) << ran.err;
      EXPECT_THAT(ran.err, HasSubstr("verification failed: "));
      EXPECT_LT(calls, kWithoutEnd / 2);
      EXPECT_LT(ran.out.size() + ran.err.size(), 10u << 20);
    }
  }

  HostileTrail trail_;
  HostileJobs jobs_;
  HostileKeys keys_;
  HostileResidents residents_;
  store::TempDir around_;
};

TEST_F(HostileVaultTest, AListingEnds) {
  const auto add = [](uint64_t seq, api::ListEntriesResponse* page) {
    page->add_entries()->set_seq(seq);
    page->mutable_entries(page->entries_size() - 1)->set_entry("{\"action\":\"resident.get\"}");
  };
  const std::vector<
      std::function<void(int, const api::ListEntriesRequest&, api::ListEntriesResponse*)>>
      kLies = {
          // A token that comes again, with and without entries.
          [&](int, const auto&, auto* page) {
            page->set_size(1000000);
            page->set_next_page_token("again");
          },
          [&](int call, const auto&, auto* page) {
            page->set_size(1u << 30);
            add(static_cast<uint64_t>(call), page);
            page->set_next_page_token(call % 2 == 0 ? "one" : "other");
          },
          // Tokens that are new, for ever.
          [&](int call, const auto&, auto* page) {
            page->set_size(100000);
            page->set_next_page_token(absl::StrCat("t", call));
          },
          // Entries that go back, repeat, or lie beyond the log.
          [&](int call, const auto&, auto* page) {
            page->set_size(100);
            add(static_cast<uint64_t>(call % 7), page);
            page->set_next_page_token(absl::StrCat("t", call));
          },
          [&](int call, const auto&, auto* page) {
            page->set_size(100);
            add(static_cast<uint64_t>(call), page);
            page->set_next_page_token(absl::StrCat("t", call));
          },
          // A log that grows while it is listed.
          [&](int call, const auto&, auto* page) {
            page->set_size(static_cast<uint64_t>(call) * 10);
            add(static_cast<uint64_t>(call), page);
            page->set_next_page_token(absl::StrCat("t", call));
          },
          // More than was asked for.
          [&](int, const auto& request, auto* page) {
            page->set_size(1u << 30);
            for (int i = 0; i <= request.page_size(); ++i) add(static_cast<uint64_t>(i), page);
          },
      };
  for (const auto& lie : kLies) {
    trail_.list = lie;
    trail_.calls = 0;
    ExpectFoundOut("audit list --tenant 131164 --limit 0", trail_.calls);
  }
}

TEST_F(HostileVaultTest, AVerificationEnds) {
  const std::vector<std::function<void(int, api::VerifyLogResponse*)>> kLies = {
      [](int, auto* message) { message->set_total(100); },
      [](int call, auto* message) {
        message->set_checked(static_cast<uint64_t>(call % 3));
        message->set_total(100);
      },
      [](int call, auto* message) {
        message->set_checked(static_cast<uint64_t>(call));
        message->set_total(100);
      },
      [](int call, auto* message) {
        message->set_checked(static_cast<uint64_t>(call));
        message->set_total(static_cast<uint64_t>(call) + 10);
      },
      [](int, auto* message) {
        message->set_checked(100);
        message->set_total(100);
        message->mutable_verdict()->set_good(true);
      },
  };
  for (const auto& lie : kLies) {
    trail_.verify = lie;
    ExpectFoundOut("audit verify --tenant 131164", trail_.calls);
  }
}

TEST_F(HostileVaultTest, AListOfHandlesEnds) {
  const std::vector<std::function<void(int, api::ListUnderKeyResponse*)>> kLies = {
      [](int, auto*) {},
      [](int, auto* message) { message->add_resident_ids(Handle(7)); },
      [](int call, auto* message) {
        message->add_resident_ids(Handle(static_cast<uint64_t>(kWithoutEnd - call)));
      },
      [](int, auto* message) { message->add_resident_ids(std::string(1 << 20, 'a')); },
      [](int, auto* message) { message->add_resident_ids(""); },
      [](int call, auto* message) {
        for (int i = 0; i < 1001; ++i) {
          message->add_resident_ids(Handle(static_cast<uint64_t>(call * 2000 + i)));
        }
      },
  };
  for (const auto& lie : kLies) {
    keys_.under = lie;
    ExpectFoundOut("keys under --tenant 131164 --what kek --key-version 1", keys_.calls);
  }
}

TEST_F(HostileVaultTest, WatchingEnds) {
  const std::vector<std::function<void(int, api::Job*)>> kLies = {
      [](int, auto* job) { *job = RunningJob(1, 20); },
      [](int call, auto* job) { *job = RunningJob(static_cast<uint64_t>(call), 1u << 30); },
      [](int, auto* job) { *job = RunningJob(20, 20); },
      [](int call, auto* job) { *job = RunningJob(call % 2 == 0 ? 20 : 1, 20); },
      [](int, auto* job) {
        *job = RunningJob(1, 20);
        job->set_id(std::string(32, 'a'));
      },
      [](int, auto* job) {
        *job = RunningJob(1, 20);
        job->set_log_id("141003");
      },
  };
  for (const auto& lie : kLies) {
    jobs_.watch = lie;
    ExpectFoundOut(absl::StrCat("jobs watch ", kJob, " --tenant 131164"), jobs_.calls);
  }
  const int none = 0;
  ExpectFoundOut("jobs list --tenant 131164 --limit 20", none);
}

TEST_F(HostileVaultTest, AnExportEnds) {
  ExportedLog log;
  log.Grow(700);
  const Files files = log.FilesOf(0, 700);
  const auto send = [](const std::pair<std::string, std::string>& file,
                       api::ExportLogResponse* message) {
    message->set_total(700);
    message->add_files()->set_path(file.first);
    message->mutable_files(0)->set_content(file.second);
  };
  testing::LogExportOptions options;
  const std::string tile(tlog::kTileBytes, 'h');
  const std::vector<std::function<void(int, api::ExportLogResponse*)>> kLies = {
      // Parts without files, one file again and again, files that no log of its size has.
      [&](int, auto* message) { message->set_total(700); },
      [&](int, auto* message) { send(files[0], message); },
      [&](int call, auto* message) {
        send({tlog::TilePath({0, static_cast<uint64_t>(call - 1)}), tile}, message);
      },
      [&](int call, auto* message) {
        send({tlog::TilePath({call % 60, 0}), tile}, message);
      },
      // The count goes back, beyond the whole; the whole grows.
      [&](int call, auto* message) {
        send({tlog::TilePath({0, static_cast<uint64_t>(call - 1)}), tile}, message);
        message->set_total(1u << 30);
        message->set_done(static_cast<uint64_t>(call == 5 ? 1 : call));
      },
      [&](int call, auto* message) {
        send({tlog::TilePath({0, static_cast<uint64_t>(call - 1)}), tile}, message);
        message->set_done(static_cast<uint64_t>(call) * 256);
        message->set_total(1024);
      },
      [&](int call, auto* message) {
        send({tlog::TilePath({0, static_cast<uint64_t>(call - 1)}), tile}, message);
        message->set_total(static_cast<uint64_t>(call) * 1000);
      },
      // A checkpoint of another size than it said.
      [&](int, auto* message) {
        send({"checkpoint", log.checkpoint(700)}, message);
        message->set_total(701);
      },
      // A log larger than any.
      [&](int, auto* message) {
        send(files[0], message);
        message->set_total(UINT64_MAX);
      },
  };
  for (size_t i = 0; i < kLies.size(); ++i) {
    SCOPED_TRACE(i);
    trail_.exported = kLies[i];
    const std::string dir = absl::StrCat(around_.path(), "/out-", i);
    const Ran ran = RunWithProfile(absl::StrCat("audit export --tenant 131164 --out ", dir));
    EXPECT_EQ(ran.code, kVerificationFailed) << ran.err;
    EXPECT_LT(trail_.calls, kWithoutEnd / 2);
    EXPECT_FALSE(std::filesystem::exists(dir + "/checkpoint"));
  }
}

TEST_F(HostileVaultTest, AnImportEnds) {
  store::WriteBytes(around_.path() + "/a.csv", "name\n見本\n見本\n");
  const std::vector<std::function<void(int, uint64_t, api::ImportResidentsResponse*)>> kLies = {
      [](int, uint64_t, auto*) {},
      [](int, uint64_t row, auto* message) { message->add_results()->set_row(row); },
      [](int call, uint64_t, auto* message) {
        message->add_results()->set_row(static_cast<uint64_t>(call) + 100);
      },
  };
  for (const auto& lie : kLies) {
    residents_.answer = lie;
    ExpectFoundOut(absl::StrCat("residents import ", around_.path(),
                                "/a.csv --tenant 131164 --purpose migration --contact B-1"),
                   residents_.calls);
  }
}

// ---- what is not seen

TEST_F(HostileVaultTest, JsonHidesNothingAndTurnsNothingAround) {
  const std::string steering =
      "\u202eevil\u202c \u2066\u2069 \u200e\u200f \u061c \u200b \u2028 \ufeff \u00ad \u0085 "
      "\U000E0041 葛\U000E0100城 花子\x7f";
  jobs_.watch = [&](int, api::Job* job) {
    *job = RunningJob(20, 20);
    job->set_failure(steering);
    // One message, and then another job's, which ends it.
    if (jobs_.calls > 1) job->set_id("other");
  };
  const Ran ran =
      RunWithProfile(absl::StrCat("jobs watch ", kJob, " --tenant 131164 --output json"));
  for (const char* hidden :
       {"\u202e", "\u202c", "\u2066", "\u2069", "\u200e", "\u200f", "\u061c", "\u200b", "\u2028",
        "\ufeff", "\u00ad", "\u0085", "\U000E0041", "\x7f"}) {
    EXPECT_THAT(ran.out, Not(HasSubstr(hidden)));
    EXPECT_THAT(ran.err, Not(HasSubstr(hidden)));
  }
  EXPECT_THAT(ran.out, HasSubstr("\\u202eevil\\u202c"));
  EXPECT_THAT(ran.out, HasSubstr("葛\U000E0100城 花子")) << "names are left as they are";
  // It is the same text.
  const std::vector<std::string> lines = absl::StrSplit(ran.out, '\n');
  api::WatchJobResponse message;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(lines[0], &message).ok());
  EXPECT_EQ(message.job().failure(), steering);
}

TEST_F(HostileVaultTest, RawEntriesSteerNothing) {
  trail_.list = [](int, const api::ListEntriesRequest&, api::ListEntriesResponse* page) {
    page->set_size(1);
    page->add_entries()->set_entry("{\"actor\":\"\u202eurn\"}");
  };
  const Ran ran = RunWithProfile("audit list --tenant 131164 --output raw");
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_EQ(ran.out, "");
}

}  // namespace
}  // namespace vault::ctl
