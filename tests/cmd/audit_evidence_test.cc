// vaultctl's commands for whoever verifies the trail, against a vault that has a log and may lie
// about it.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/cmd/exported_log.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/vaultctl.h"
#include "vault/crypto/crypto.h"
#include "vault/tlog/merkle.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using ::testing::HasSubstr;
using ::testing::Not;

template <typename Out>
void SetHashes(const std::vector<crypto::Digest>& hashes, Out* out) {
  for (const crypto::Digest& hash : hashes) out->Add(std::string(crypto::AsView(hash)));
}

// Serves `log` at its newest size. Each answer passes through a hook, which may spoil it.
class FakeTrail : public api::AuditService::Service {
 public:
  grpc::Status GetCheckpoint(grpc::ServerContext*, const api::GetCheckpointRequest* request,
                             api::GetCheckpointResponse* response) override {
    log_id = request->log_id();
    response->set_checkpoint(log->newest());
    if (spoil_checkpoint) spoil_checkpoint(response);
    return status;
  }
  grpc::Status ListVerifierKeys(grpc::ServerContext*, const api::ListVerifierKeysRequest* request,
                                api::ListVerifierKeysResponse* response) override {
    log_id = request->log_id();
    *response = keys;
    return status;
  }
  grpc::Status ProveInclusion(grpc::ServerContext*, const api::ProveInclusionRequest* request,
                              api::ProveInclusionResponse* response) override {
    log_id = request->log_id();
    if (request->seq() >= log->size()) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such entry");
    }
    response->set_entry(log->EntryAt(request->seq()));
    SetHashes(log->Inclusion(request->seq(), log->size()), response->mutable_hashes());
    response->set_checkpoint(log->newest());
    if (spoil_inclusion) spoil_inclusion(response);
    return status;
  }
  grpc::Status ProveConsistency(grpc::ServerContext*, const api::ProveConsistencyRequest* request,
                                api::ProveConsistencyResponse* response) override {
    ++proofs;
    SetHashes(log->Consistency(request->old_size(), request->new_size()),
              response->mutable_hashes());
    response->set_new_size(request->new_size());
    if (spoil_consistency) spoil_consistency(response);
    return status;
  }
  grpc::Status ExportLog(grpc::ServerContext*, const api::ExportLogRequest* request,
                         grpc::ServerWriter<api::ExportLogResponse>* writer) override {
    export_request = *request;
    Files files = log->FilesOf(request->from_size(), log->size());
    if (spoil_files) spoil_files(&files);
    for (size_t i = 0; i < files.size() && i < files_max; ++i) {
      api::ExportLogResponse message;
      message.add_files()->set_path(files[i].first);
      message.mutable_files(0)->set_content(files[i].second);
      message.set_done(log->size() * (i + 1) / files.size());
      message.set_total(log->size());
      writer->Write(message);
    }
    return export_status;
  }
  ExportedLog* log = nullptr;
  grpc::Status status, export_status;
  std::string log_id;
  int proofs = 0;
  api::ListVerifierKeysResponse keys;
  api::ExportLogRequest export_request;
  size_t files_max = 1 << 30;
  std::function<void(api::GetCheckpointResponse*)> spoil_checkpoint;
  std::function<void(api::ProveInclusionResponse*)> spoil_inclusion;
  std::function<void(api::ProveConsistencyResponse*)> spoil_consistency;
  std::function<void(Files*)> spoil_files;
};

class EvidenceTest : public CtlTest {
 protected:
  EvidenceTest() {
    crypto::Init();
    log_.Grow(700);
    trail_.log = &log_;
    AddKey(log_.key().Format(), 1, 0, 0);
    Serve({&trail_});
  }
  ~EvidenceTest() override { Stop(); }

  void AddKey(const std::string& vkey, uint32_t version, uint64_t after, uint64_t last) {
    trail_.keys.set_origin(log_.key().name);
    api::LogKey* key = trail_.keys.add_keys();
    key->set_vkey(vkey);
    key->set_version(version);
    key->set_after_size(after);
    key->set_last_size(last);
  }
  Ran Run(const std::string& line) { return RunWithProfile(line); }
  Ran Export(const std::string& more = "") {
    return Run(absl::StrCat("audit export --tenant 131164 --out ", dir_, " ", more));
  }
  void ExpectExported(uint64_t size) {
    std::map<std::string, std::string> wanted;
    for (const auto& [path, content] : log_.FilesOf(0, size)) wanted[path] = content;
    EXPECT_EQ(Tree(dir_), wanted);
  }
  std::string Path(const std::string& name) const { return around_.path() + "/" + name; }

  store::TempDir around_;
  const std::string dir_ = Path("out");
  ExportedLog log_;
  FakeTrail trail_;
};

// ---- what is wrong before anything is sent

TEST_F(EvidenceTest, WrongLinesAreToldBeforeAnythingIsSent) {
  for (const char* line :
       {"audit vkey", "audit vkey --tenant 131165", "audit vkey --tenant 131164 --log service",
        "audit vkey --log elsewhere", "audit checkpoint", "audit export --tenant 131164",
        "audit export --out x", "audit prove --tenant 131164 --seq 1",
        "audit prove --tenant 131164 --out x", "audit prove --tenant 131164 --seq -1 --out x",
        "audit prove --tenant 131164 --seq 1x --out x"}) {
    EXPECT_EQ(Run(line).code, kBadInput) << line;
  }
  EXPECT_EQ(trail_.log_id, "");
  EXPECT_FALSE(std::filesystem::exists("x"));
}

TEST_F(EvidenceTest, RefusalsAreTold) {
  trail_.status = trail_.export_status = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no");
  const std::string file = Path("f");
  for (const std::string& line :
       {std::string("audit vkey"), std::string("audit checkpoint"),
        absl::StrCat("audit prove --seq 3 --out ", file), absl::StrCat("audit export --out ", dir_),
        absl::StrCat("audit checkpoint --out ", file)}) {
    const Ran ran = Run(absl::StrCat(line, " --tenant 131164"));
    EXPECT_EQ(ran.code, kRefused) << line << ran.err;
    EXPECT_EQ(ran.out, "") << line;
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

// ---- vkey

TEST_F(EvidenceTest, OneKeyStandsAloneOnItsLine) {
  const Ran ran = Run("audit vkey --log service");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, log_.key().Format() + "\n");
  EXPECT_EQ(trail_.log_id, "service");
}

TEST_F(EvidenceTest, SeveralKeysComeWithTheirRanges) {
  trail_.keys.mutable_keys(0)->set_last_size(500);
  const std::string second = testing::TestVerifierKey(log_.key().name, 0x22).Format();
  AddKey(second, 2, 500, 0);
  const Ran ran = Run("audit vkey --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, absl::StrCat(log_.key().Format(), "\n", second, "\n"));
  EXPECT_EQ(ran.err, absl::StrCat("sizes 1 to 500: ", log_.key().Format(),
                                  "\nsizes 501 and more: ", second, "\n"));
  api::ListVerifierKeysResponse parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                  Run("audit vkey --tenant 131164 --output json").out, &parsed)
                  .ok());
  EXPECT_EQ(parsed.keys(1).vkey(), second);
}

TEST_F(EvidenceTest, AKeyThatIsNoneOfTheLogsIsNotPrinted) {
  const std::string other = testing::TestVerifierKey("vault.example/audit/141003", 0x11).Format();
  for (const std::string& wrong : {std::string(), std::string("x"), other,
                                   log_.key().Format() + "\n", "\x1b[2J" + log_.key().Format()}) {
    trail_.keys.mutable_keys(0)->set_vkey(wrong);
    const Ran ran = Run("audit vkey --tenant 131164");
    EXPECT_EQ(ran.code, kVerificationFailed);
    EXPECT_EQ(ran.out, "");
  }
  trail_.keys.clear_keys();
  EXPECT_EQ(Run("audit vkey --tenant 131164").code, kVerificationFailed);
}

// ---- checkpoint

TEST_F(EvidenceTest, TheCheckpointIsTheNoteAndNothingElse) {
  trail_.spoil_checkpoint = [&](api::GetCheckpointResponse* response) {
    api::WitnessStatus* witness = response->add_witnesses();
    witness->set_name("witness.example/toshima");
    witness->set_size(690);
    witness->mutable_time()->set_seconds(1793577600);
    witness->set_behind(10);
    witness->set_problem("no answer\x1b[2J");
    response->add_witnesses()->set_name("witness.example/never");
  };
  Ran ran = Run("audit checkpoint --tenant 131164");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, log_.checkpoint(700));
  EXPECT_EQ(ran.err,
            "witness                  size  behind  time                  problem\n"
            "witness.example/toshima  690   10      2026-11-02T00:00:00Z  no answer\\x1b[2J\n"
            "witness.example/never    0     0       -\n");
  ran = Run(absl::StrCat("audit checkpoint --tenant 131164 --out ", Path("kept")));
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(store::ReadBytes(Path("kept")), log_.checkpoint(700));
  EXPECT_THAT(ran.out, HasSubstr("checkpoint of 700 entries in "));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(around_.path()), {}), 1);
}

TEST_F(EvidenceTest, TheCosignedCheckpointIsAskedForByName) {
  EXPECT_EQ(Run("audit checkpoint --cosigned --tenant 131164").code, kNotFound);
  log_.Grow(800);
  trail_.spoil_checkpoint = [&](api::GetCheckpointResponse* response) {
    response->set_cosigned(log_.checkpoint(700));
  };
  EXPECT_EQ(Run("audit checkpoint --cosigned --tenant 131164").out, log_.checkpoint(700));
  EXPECT_EQ(Run("audit checkpoint --tenant 131164").out, log_.checkpoint(800));
}

TEST_F(EvidenceTest, ACheckpointThatIsNoneIsNotKept) {
  store::WriteBytes(Path("kept"), "older");
  for (const std::string& wrong :
       {std::string(), std::string("x\n"), log_.checkpoint(700).substr(1, 40)}) {
    trail_.spoil_checkpoint = [&](api::GetCheckpointResponse* response) {
      response->set_checkpoint(wrong);
    };
    EXPECT_EQ(Run(absl::StrCat("audit checkpoint --tenant 131164 --out ", Path("kept"))).code,
              kVerificationFailed);
    EXPECT_EQ(store::ReadBytes(Path("kept")), "older");
  }
}

// A kept checkpoint is a memory of what was seen: nothing takes its place that was not held against
// it.
TEST_F(EvidenceTest, AKeptCheckpointIsReplacedByOneThatGoesOnFromItOnly) {
  const std::string line = absl::StrCat("audit checkpoint --tenant 131164 --out ", Path("kept"));
  const auto kept = [&] { return store::ReadBytes(Path("kept")); };
  ASSERT_EQ(Run(line).code, kDone);
  log_.Grow(800);
  EXPECT_EQ(Run(line).code, kDone);
  EXPECT_EQ(kept(), log_.checkpoint(800));
  const int proofs = trail_.proofs;
  EXPECT_GT(proofs, 0);
  // Another history, larger, as large, and smaller.
  for (const uint64_t size : {1300, 800, 700}) {
    ExportedLog rewritten;
    rewritten.Grow(600);
    rewritten.Fork();
    rewritten.Grow(size);
    trail_.log = &rewritten;
    const Ran ran = Run(line);
    trail_.log = &log_;
    EXPECT_EQ(ran.code, kVerificationFailed) << size;
    EXPECT_EQ(kept(), log_.checkpoint(800));
  }
  // The same log, cut.
  trail_.spoil_checkpoint = [&](api::GetCheckpointResponse* response) {
    response->set_checkpoint(log_.checkpoint(700));
    response->set_cosigned(log_.checkpoint(700));
  };
  EXPECT_EQ(Run(line).code, kVerificationFailed);
  // What witnesses signed may be behind what is kept, which stays.
  EXPECT_EQ(Run(line + " --cosigned").code, kBadInput);
  EXPECT_EQ(kept(), log_.checkpoint(800));
  trail_.spoil_checkpoint = nullptr;
  testing::LogExportOptions elsewhere;
  elsewhere.origin = "vault.example/audit/141003";
  ExportedLog other(elsewhere);
  other.Grow(10);
  for (const std::string& none : {other.checkpoint(10), std::string("my notes\n")}) {
    store::WriteBytes(Path("kept"), none);
    EXPECT_EQ(Run(line).code, kBadInput);
    EXPECT_EQ(kept(), none);
  }
}

// ---- prove

TEST_F(EvidenceTest, AProofIsAFileThatProves) {
  for (uint64_t seq : {0, 255, 256, 699}) {
    const std::string path = Path("p.tlog-proof");
    const Ran ran = Run(absl::StrCat("audit prove --tenant 131164 --seq ", seq, " --out ", path));
    EXPECT_EQ(ran.code, kDone) << ran.err;
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::ProofFile proof,
                               tlog::ParseProofFile(store::ReadBytes(path)));
    EXPECT_EQ(proof.index, seq);
    EXPECT_EQ(proof.checkpoint, log_.checkpoint(700));
    ASSERT_TRUE(proof.extra.has_value());
    EXPECT_EQ(*proof.extra, log_.EntryAt(seq));
    VAULT_EXPECT_OK(tlog::VerifyInclusion(seq, 700, tlog::LeafHash(*proof.extra), proof.hashes,
                                          log_.parsed(700).root));
  }
}

TEST_F(EvidenceTest, AProofThatDoesNotHoldIsNotWritten) {
  const std::vector<std::function<void(api::ProveInclusionResponse*)>> spoils = {
      [](auto* r) { (*r->mutable_entry())[3] ^= 1; },
      [](auto* r) { r->clear_entry(); },
      [](auto* r) { (*r->mutable_hashes(0))[0] ^= 1; },
      [](auto* r) { r->mutable_hashes()->RemoveLast(); },
      [](auto* r) { r->add_hashes(std::string(32, 'h')); },
      [](auto* r) { r->mutable_hashes(0)->pop_back(); },
      [](auto* r) { r->mutable_hashes(0)->push_back('x'); },
      [](auto* r) { r->clear_hashes(); },
      [](auto* r) { r->clear_checkpoint(); },
      [](auto* r) { r->set_checkpoint("x"); },
      [&](auto* r) { r->set_entry(log_.EntryAt(8)); },
  };
  const std::string path = Path("p.tlog-proof");
  for (size_t i = 0; i < spoils.size(); ++i) {
    trail_.spoil_inclusion = spoils[i];
    const Ran ran = Run(absl::StrCat("audit prove --tenant 131164 --seq 7 --out ", path));
    EXPECT_EQ(ran.code, kVerificationFailed) << i;
    EXPECT_EQ(ran.out, "");
    EXPECT_TRUE(std::filesystem::is_empty(around_.path())) << i;
  }
  trail_.spoil_inclusion = nullptr;
  EXPECT_EQ(Run(absl::StrCat("audit prove --tenant 131164 --seq 700 --out ", path)).code,
            kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(around_.path()));
  EXPECT_EQ(Run("audit prove --tenant 131164 --seq 7 --out /nonexistent/p").code, kOutputFailed);
}

// ---- export

TEST_F(EvidenceTest, ExportsAddWhatIsNew) {
  Ran ran = Export();
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out, "exported: 700 entries, 8 new files\n");
  EXPECT_EQ(trail_.export_request.log_id(), "131164");
  EXPECT_EQ(trail_.export_request.from_size(), 0u);
  EXPECT_EQ(trail_.proofs, 0);
  ExpectExported(700);
  log_.Grow(1300);
  ran = Export("--output json");
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, Not(HasSubstr("content")));
  EXPECT_EQ(trail_.export_request.from_size(), 700u);
  EXPECT_EQ(trail_.proofs, 1);
  ExpectExported(1300);
  // Nothing new.
  EXPECT_EQ(Export().code, kDone);
  ExpectExported(1300);
}

TEST_F(EvidenceTest, ARewrittenLogIsNotExportedOverTheOldOne) {
  ASSERT_EQ(Export().code, kDone);
  ExportedLog rewritten;
  rewritten.Grow(600);
  rewritten.Fork();
  rewritten.Grow(700);
  trail_.log = &rewritten;
  for (uint64_t size : {700, 1300}) {
    rewritten.Grow(size);
    trail_.export_request.Clear();
    const Ran ran = Export();
    EXPECT_EQ(ran.code, kVerificationFailed) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("does not begin with the one that is here"));
    EXPECT_EQ(trail_.export_request.log_id(), "");
    ExpectExported(700);
  }
}

TEST_F(EvidenceTest, AShorterLogIsNotExportedOverALongerOne) {
  ASSERT_EQ(Export().code, kDone);
  ExportedLog shorter;
  shorter.Grow(600);
  trail_.log = &shorter;
  const Ran ran = Export();
  EXPECT_EQ(ran.code, kVerificationFailed);
  EXPECT_THAT(ran.err, HasSubstr("600 entries"));
  ExpectExported(700);
}

TEST_F(EvidenceTest, AnotherLogIsNotExportedIntoTheSameDirectory) {
  ASSERT_EQ(Export().code, kDone);
  testing::LogExportOptions options;
  options.origin = "vault.example/audit/141003";
  ExportedLog other(options);
  other.Grow(900);
  trail_.log = &other;
  const Ran ran = Run(absl::StrCat("audit export --tenant 141003 --out ", dir_));
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr("another log"));
  ExpectExported(700);
}

TEST_F(EvidenceTest, AProofOfGrowthThatDoesNotHoldStopsTheExport) {
  ASSERT_EQ(Export().code, kDone);
  log_.Grow(1300);
  const std::vector<std::function<void(api::ProveConsistencyResponse*)>> spoils = {
      [](auto* r) { (*r->mutable_hashes(0))[0] ^= 1; },
      [](auto* r) { r->mutable_hashes()->RemoveLast(); },
      [](auto* r) { r->add_hashes(std::string(32, 'h')); },
      [](auto* r) { r->mutable_hashes(0)->push_back('x'); },
      [](auto* r) { r->mutable_hashes(0)->clear(); },
      [](auto* r) { r->clear_hashes(); },
      [](auto* r) { r->set_new_size(1299); },
  };
  for (size_t i = 0; i < spoils.size(); ++i) {
    trail_.spoil_consistency = spoils[i];
    EXPECT_EQ(Export().code, kVerificationFailed) << i;
    EXPECT_EQ(trail_.export_request.from_size(), 0u);
    ExpectExported(700);
  }
}

// Only the checkpoint that comes with the files counts in the end.
TEST_F(EvidenceTest, ALogThatChangesBetweenProofAndExportIsFound) {
  ASSERT_EQ(Export().code, kDone);
  ExportedLog rewritten;
  rewritten.Grow(600);
  rewritten.Fork();
  rewritten.Grow(700);
  rewritten.Grow(1300);
  log_.Grow(1300);
  trail_.spoil_files = [&](Files* files) { *files = rewritten.FilesOf(768, 1300); };
  EXPECT_EQ(Export().code, kVerificationFailed);
  EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(700));
}

TEST_F(EvidenceTest, FilesThatNoExportHasEndIt) {
  const std::vector<std::function<void(Files*)>> spoils = {
      [](Files* files) {
        files->insert(files->begin(), {"../victim", "x"});
      },
      [](Files* files) {
        files->insert(files->begin(), {"/tmp/victim", "x"});
      },
      [](Files* files) { files->back().first = "tile/../checkpoint"; },
      [](Files* files) { std::swap(files->front(), files->back()); },
      [](Files* files) { files->pop_back(); },
      [](Files* files) { files->erase(files->begin() + 1); },
      [](Files* files) { files->clear(); },
  };
  for (size_t i = 0; i < spoils.size(); ++i) {
    trail_.spoil_files = spoils[i];
    const Ran ran = Export();
    EXPECT_EQ(ran.code, kVerificationFailed) << i << ran.err;
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/checkpoint"));
    EXPECT_FALSE(std::filesystem::exists(Path("victim")));
  }
  trail_.spoil_files = nullptr;
  EXPECT_EQ(Export().code, kDone);
  ExpectExported(700);
}

TEST_F(EvidenceTest, AnInterruptedExportIsTakenUpAgain) {
  ASSERT_EQ(Export().code, kDone);
  log_.Grow(1300);
  trail_.export_status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
  for (size_t files : {0, 1, 5}) {
    trail_.files_max = files;
    const Ran ran = Export();
    EXPECT_EQ(ran.code, kUnavailable);
    EXPECT_THAT(ran.err, HasSubstr("goes on where the files end"));
    EXPECT_EQ(Tree(dir_)["checkpoint"], log_.checkpoint(700));
  }
  trail_.files_max = 1 << 30;
  trail_.export_status = grpc::Status::OK;
  EXPECT_EQ(Export().code, kDone);
  ExpectExported(1300);
}

TEST_F(EvidenceTest, ADirectoryThatIsNoExportIsBadInput) {
  std::filesystem::create_directories(dir_);
  store::WriteBytes(dir_ + "/letter", "precious");
  EXPECT_EQ(Export().code, kBadInput);
  EXPECT_EQ(Run("audit export --tenant 131164 --out /nonexistent/a").code, kBadInput);
  EXPECT_EQ(Tree(dir_).size(), 1u);
}

}  // namespace
}  // namespace vault::ctl
