// vault-verify as a process over exports on disk: what it says, and with which code it ends.
#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/testing/log_export.h"
#include "vault/base/logging.h"
#include "vault/cmd/vault-verify/state.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/statement.h"
#include "vault/tlog/tile.h"

namespace vault::verify {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::vault::testing::LogExport;
using ::vault::testing::LogExportOptions;
using ::vault::testing::TestVerifierKey;

struct Result {
  int code = -1;  // -1: it did not end by itself
  std::string out, err;
};

class VaultVerifyTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { crypto::Init(); }
  void SetUp() override {
    VAULT_ASSERT_OK(log_.Grow(300));
    key_ = log_.key().Format();
  }

  // `meanwhile` is called while it runs, `in_child` before it does.
  Result Run(std::vector<std::string> args, const char* out_path = nullptr,
             const std::function<void(pid_t)>& meanwhile = nullptr, void (*in_child)() = nullptr) {
    const std::string out = out_path != nullptr ? out_path : At("out"), err = At("err");
    args.insert(args.begin(), VAULT_BIN_DIR "/vault-verify");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(&arg[0]);
    argv.push_back(nullptr);
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      if (in_child != nullptr) in_child();
      execv(argv[0], argv.data());
      _exit(127);
    }
    if (meanwhile != nullptr) meanwhile(pid);
    int status = 0;
    VAULT_CHECK(waitpid(pid, &status, 0) == pid);
    Result result;
    if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
    if (out_path == nullptr) result.out = store::ReadBytes(out);
    result.err = store::ReadBytes(err);
    return result;
  }
  // Of the export, with its key.
  Result Verify(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {At("log"), "--vkey", key_});
    return Run(more);
  }
  std::string At(absl::string_view name) const { return absl::StrCat(dir_.path(), "/", name); }
  std::string InLog(absl::string_view name) const { return absl::StrCat(At("log"), "/", name); }
  void Flip(const std::string& path, size_t offset) {
    std::string bytes = store::ReadBytes(path);
    bytes[offset] ^= 1;
    store::WriteBytes(path, bytes);
  }
  // The same log with another history from entry `from` on.
  void Fork(uint64_t from, uint64_t size) {
    fs::remove_all(At("log"));
    LogExport other(At("log"), {});
    VAULT_ASSERT_OK(other.Grow(from));
    other.set_seed(99);
    VAULT_ASSERT_OK(other.Grow(size));
  }
  tlog::ProofFile Proof(uint64_t index) {
    const auto subtree = [&](uint32_t level, uint64_t at) {
      return tlog::SubtreeFromTiles(level, at, [&](int tile_level, uint64_t n) {
        std::string path = InLog(tlog::TilePath({tile_level, n}));
        if (!fs::exists(path)) {
          const auto width = static_cast<uint32_t>((log_.size() >> 8 * tile_level) % 256);
          path = InLog(tlog::TilePath({tile_level, n, width}));
        }
        return absl::StatusOr<std::string>(store::ReadBytes(path));
      });
    };
    tlog::ProofFile proof;
    proof.index = index;
    proof.hashes = *tlog::InclusionProof(index, log_.size(), subtree);
    proof.checkpoint = log_.checkpoint();
    const std::string bundle = store::ReadBytes(InLog("tile/entries/000"));
    proof.extra = std::string((*tlog::DecodeBundle(bundle, 256))[index]);
    return proof;
  }

  store::TempDir dir_;
  LogExport log_{At("log"), {}};
  std::string key_;
};

// Until the process waits for somebody's lock; it ends by itself if it never does.
void AwaitLock(pid_t pid) {
  const std::string waiter = absl::StrCat(" ", pid, " ");
  for (int i = 0; i < 3000; ++i) {
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
      if (absl::StrContains(line, "->") && absl::StrContains(line, waiter)) return;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  ADD_FAILURE() << "it never waited for the lock";
}

google::protobuf::Struct ParseJson(const std::string& text) {
  google::protobuf::Struct json;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &json);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << text;
  return json;
}

TEST_F(VaultVerifyTest, SaysWhatItChecked) {
  const Result result = Verify();
  EXPECT_EQ(result.code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, StartsWith("good: "));
  EXPECT_THAT(result.out, HasSubstr("結果: 正常"));
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat("300 entries (", log_.entry_bytes() - 600)));
  EXPECT_THAT(result.out, HasSubstr(tlog::Base64(crypto::AsView(log_.root()))));
  EXPECT_THAT(result.out, HasSubstr(key_));
  EXPECT_THAT(result.out, HasSubstr("2026-11-02T"));
  EXPECT_THAT(result.out, HasSubstr("nothing from before to compare with"));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(VaultVerifyTest, WritesJson) {
  const Result good = Verify({"--output", "json"});
  EXPECT_EQ(good.code, 0);
  auto json = ParseJson(good.out);
  EXPECT_EQ(json.fields().at("verdict").string_value(), "good");
  EXPECT_EQ(json.fields().at("entries_checked").number_value(), 300);
  EXPECT_EQ(json.fields().at("size").number_value(), 300);
  EXPECT_EQ(json.fields().at("origin").string_value(), log_.key().name);
  EXPECT_EQ(json.fields().at("keys").list_value().values_size(), 1);
  Flip(InLog("tile/entries/000"), 100);
  const Result bad = Verify({"--output=json"});
  EXPECT_EQ(bad.code, 1);
  json = ParseJson(bad.out);
  EXPECT_EQ(json.fields().at("verdict").string_value(), "broken");
  EXPECT_EQ(json.fields().at("exit").number_value(), 1);
  EXPECT_THAT(json.fields().at("problem").string_value(), StartsWith("tile/entries/000: entry "));
}

TEST_F(VaultVerifyTest, DamageIsBroken) {
  struct Case {
    const char* path;
    void (*damage)(const std::string& path);
  };
  const Case kCases[] = {
      {"tile/entries/000", [](const std::string& p) { fs::resize_file(p, 5000); }},
      {"tile/entries/000", [](const std::string& p) { fs::remove(p); }},
      {"tile/0/000", [](const std::string& p) { fs::remove(p); }},
      {"tile/0/000", [](const std::string& p) { fs::resize_file(p, 8191); }},
      {"tile/0/000", [](const std::string& p) { fs::resize_file(p, uint64_t{1} << 40); }},
      {"tile/1/000.p/1", [](const std::string& p) { fs::remove(p); }},
      {"checkpoint", [](const std::string& p) { fs::remove(p); }},
      {"checkpoint", [](const std::string& p) { fs::resize_file(p, 0); }},
      {"checkpoint", [](const std::string& p) { fs::resize_file(p, 100 << 20); }},
      // Neither followed nor waited for.
      {"tile/0/000",
       [](const std::string& p) {
         fs::rename(p, p + "x");
         fs::create_symlink(p + "x", p);
       }},
      {"tile/0/000",
       [](const std::string& p) {
         fs::remove(p);
         ASSERT_EQ(mkfifo(p.c_str(), 0600), 0);
       }},
      {"checkpoint",
       [](const std::string& p) {
         fs::remove(p);
         fs::create_directory(p);
       }},
  };
  fs::copy(At("log"), At("good"), fs::copy_options::recursive);
  for (const Case& c : kCases) {
    fs::remove_all(At("log"));
    fs::copy(At("good"), At("log"), fs::copy_options::recursive);
    c.damage(InLog(c.path));
    const Result result = Verify();
    EXPECT_EQ(result.code, 1) << c.path << result.out << result.err;
    EXPECT_THAT(result.out, StartsWith("broken: "));
    EXPECT_THAT(result.out, HasSubstr("結果: 異常"));
    EXPECT_THAT(result.out, HasSubstr(absl::StrCat("\n  ", c.path, ": ")));
  }
}

// What a kernel without openat2 would do.
void WithoutOpenat2() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {4, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ||
      syscall(SYS_openat2, -1, "", nullptr, 0) != -1 || errno != ENOSYS) {
    _exit(126);
  }
}

// Were a link in the path followed, all of it would be found, and found good.
TEST_F(VaultVerifyTest, NoFolderOfTheExportIsASymbolicLink) {
  fs::copy(At("log"), At("good"), fs::copy_options::recursive);
  for (void (*in_child)() : {static_cast<void (*)()>(nullptr), &WithoutOpenat2}) {
    const auto verify = [&] {
      return Run({At("log"), "--vkey", key_}, nullptr, nullptr, in_child);
    };
    for (const char* name : {"tile", "tile/0", "tile/entries", "tile/1/000.p", "checkpoint"}) {
      fs::remove_all(At("log"));
      fs::copy(At("good"), At("log"), fs::copy_options::recursive);
      EXPECT_EQ(verify().code, 0);
      fs::remove_all(InLog(name));
      fs::create_symlink(absl::StrCat(At("good"), "/", name), InLog(name));
      const Result result = verify();
      EXPECT_EQ(result.code, 1) << name << result.out;
      EXPECT_THAT(result.out, HasSubstr("symbolic link"));
      // Nor one that does not lead out.
      fs::remove(InLog(name));
      fs::rename(At("log"), At("moved"));
      fs::copy(At("good"), At("log"), fs::copy_options::recursive);
      fs::rename(InLog(name), InLog("aside"));
      fs::create_symlink(InLog("aside"), InLog(name));
      EXPECT_EQ(verify().code, 1) << name;
      fs::remove_all(At("moved"));
    }
    // The folder that the user names may be one, and what is missing is missing.
    fs::remove_all(At("log"));
    fs::create_symlink(At("good"), At("log"));
    EXPECT_EQ(verify().code, 0);
    fs::remove(At("log"));
    fs::copy(At("good"), At("log"), fs::copy_options::recursive);
    fs::remove_all(InLog("tile/0"));
    EXPECT_THAT(verify().out, HasSubstr("tile/0/000: missing"));
    store::WriteBytes(InLog("tile/0"), "a file");
    EXPECT_THAT(verify().out, HasSubstr("tile/0/000: missing"));
  }
}

TEST_F(VaultVerifyTest, KeysOfOthersAreBroken) {
  for (const tlog::VerifierKey& key : {TestVerifierKey(log_.key().name, 0x22),
                                       TestVerifierKey("vault.example/audit/141003", 0x11)}) {
    const Result result = Run({At("log"), "--vkey", key.Format()});
    EXPECT_EQ(result.code, 1) << result.out << result.err;
    EXPECT_THAT(result.out, HasSubstr("checkpoint: "));
  }
}

TEST_F(VaultVerifyTest, ACutTailIsRolledBack) {
  EXPECT_EQ(Verify({"--min-size", "300"}).code, 0);
  EXPECT_EQ(Verify({"--min-size", "301"}).code, 3);
  const std::string path = InLog("tile/entries/001.p/44");
  fs::resize_file(path, fs::file_size(path) - 1);
  EXPECT_EQ(Verify().code, 3);
  fs::remove(path);
  const Result result = Verify();
  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.out, StartsWith("rolled back: "));
  EXPECT_THAT(result.out, HasSubstr("結果: 巻き戻し"));
}

TEST_F(VaultVerifyTest, HoldsTheLogAgainstKeptCheckpoints) {
  store::WriteBytes(At("kept-300"), log_.checkpoint());
  VAULT_ASSERT_OK(log_.Grow(600));
  store::WriteBytes(At("kept-600"), log_.checkpoint());
  const Result good = Verify({"--since", At("kept-300"), "--since", At("kept-600")});
  EXPECT_EQ(good.code, 0);
  EXPECT_THAT(good.out, HasSubstr("goes on from 2 earlier checkpoints"));
  EXPECT_THAT(good.out, Not(HasSubstr("nothing from before")));

  Fork(280, 700);
  const Result forked = Verify({"--since", At("kept-300")});
  EXPECT_EQ(forked.code, 4);
  EXPECT_THAT(forked.out, StartsWith("forked: "));
  EXPECT_THAT(forked.out, HasSubstr("結果: 分岐"));
  EXPECT_EQ(Verify({"--since", At("kept-600")}).code, 4);
  Fork(300, 300);
  EXPECT_EQ(Verify({"--since", At("kept-300")}).code, 0);
  EXPECT_EQ(Verify({"--since", At("kept-600")}).code, 3);
  Fork(299, 300);
  EXPECT_EQ(Verify({"--since", At("kept-300")}).code, 4);
  EXPECT_EQ(Verify().code, 0);  // nothing but what was kept shows it
}

TEST_F(VaultVerifyTest, ADamagedFileOfOnesOwnIsNoVerdict) {
  const std::string note = log_.checkpoint();
  for (const std::string& bytes : {std::string(), std::string("x"), note.substr(0, 40), note + "x",
                                   std::string(2 << 20, 'x')}) {
    store::WriteBytes(At("kept"), bytes);
    const Result result = Verify({"--since", At("kept")});
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr(absl::StrCat(At("kept"), ": ")));
    EXPECT_THAT(result.err, HasSubstr("your own file"));
  }
  // A checkpoint whose signature does not hold is none of the log's, whoever has kept it.
  store::WriteBytes(At("kept"), absl::StrReplaceAll(note, {{"\n300\n", "\n299\n"}}));
  for (const char* flag : {"--since", "--state"}) {
    const Result bad = Verify({flag, At("kept")});
    EXPECT_EQ(bad.code, 1);
    EXPECT_THAT(bad.out, HasSubstr(At("kept")));
  }
}

TEST_F(VaultVerifyTest, TheStateMovesForwardsOnly) {
  const std::vector<std::string> state = {"--state", At("state")};
  EXPECT_EQ(Verify(state).code, 0);
  const std::string at_300 = log_.checkpoint();
  EXPECT_EQ(store::ReadBytes(At("state")), at_300);
  VAULT_ASSERT_OK(log_.Grow(600));
  const std::string at_600 = log_.checkpoint();
  const Result good = Verify(state);
  EXPECT_EQ(good.code, 0);
  EXPECT_THAT(good.out, HasSubstr("goes on from 1 earlier checkpoint\n"));
  EXPECT_EQ(store::ReadBytes(At("state")), at_600);
  EXPECT_FALSE(fs::exists(At("state.tmp")));

  Fork(300, 300);
  EXPECT_EQ(Verify(state).code, 3);
  Fork(599, 600);
  EXPECT_EQ(Verify(state).code, 4);
  Fork(599, 700);
  EXPECT_EQ(Verify(state).code, 4);
  Fork(700, 700);
  Flip(InLog("tile/0/002.p/188"), 0);
  EXPECT_EQ(Verify(state).code, 1);
  EXPECT_EQ(store::ReadBytes(At("state")), at_600);
  Flip(InLog("tile/0/002.p/188"), 0);
  EXPECT_EQ(Verify(state).code, 0);
}

TEST_F(VaultVerifyTest, TheStateHoldsSeveralLogs) {
  LogExportOptions options;
  options.origin = "vault.example/audit/141003";
  options.key_fill = 0x22;
  LogExport other(At("other"), options);
  VAULT_ASSERT_OK(other.Grow(5));
  const auto verify_other = [&] {
    return Run({At("other"), "--vkey", other.key().Format(), "--state", At("state")}).code;
  };
  EXPECT_EQ(Verify({"--state", At("state")}).code, 0);
  EXPECT_EQ(verify_other(), 0);
  const std::string both = absl::StrCat(log_.checkpoint(), "\n", other.checkpoint());
  EXPECT_EQ(store::ReadBytes(At("state")), both);
  VAULT_ASSERT_OK_AND_ASSIGN(const auto notes, ParseState(both));
  EXPECT_EQ(notes.size(), 2u);
  VAULT_ASSERT_OK(other.Grow(9));
  EXPECT_EQ(verify_other(), 0);
  EXPECT_EQ(store::ReadBytes(At("state")),
            absl::StrCat(log_.checkpoint(), "\n", other.checkpoint()));
}

TEST_F(VaultVerifyTest, ADamagedStateIsNoFirstRun) {
  const std::string note = log_.checkpoint();
  for (const std::string& bytes :
       {std::string(), std::string("\n"), note.substr(0, note.size() - 1), note + "\n",
        note + "\n" + note, note + "x", std::string("something else\n\nentirely\n")}) {
    store::WriteBytes(At("state"), bytes);
    const Result result = Verify({"--state", At("state")});
    EXPECT_EQ(result.code, 2) << bytes;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, HasSubstr(At("state")));
    EXPECT_THAT(result.err, HasSubstr("your own file"));
    EXPECT_EQ(store::ReadBytes(At("state")), bytes);
  }
  fs::remove(At("state"));
  store::WriteBytes(At("elsewhere"), note);
  fs::create_symlink(At("elsewhere"), At("state"));
  const Result link = Verify({"--state", At("state")});
  EXPECT_EQ(link.code, 2);
  EXPECT_THAT(link.err, HasSubstr("symbolic link"));
}

TEST_F(VaultVerifyTest, WhatAnotherRunKeptMeanwhileStays) {
  LogExport other(At("other"), {});
  VAULT_ASSERT_OK(other.Grow(200));
  const std::string at_200 = other.checkpoint();
  other.set_seed(99);
  VAULT_ASSERT_OK(other.Grow(300));
  const std::string ours = log_.checkpoint(), forked = other.checkpoint();
  VAULT_ASSERT_OK(other.Grow(301));
  const std::string longer = other.checkpoint();
  struct Case {
    absl::optional<std::string> found;
    std::string kept;  // meanwhile; empty: the file is gone
    absl::StatusCode code;
  };
  const Case kCases[] = {
      {absl::nullopt, "", absl::StatusCode::kOk},
      {at_200, at_200, absl::StatusCode::kOk},
      {ours, ours, absl::StatusCode::kOk},
      {at_200, ours, absl::StatusCode::kOk},
      {absl::nullopt, forked, absl::StatusCode::kAborted},
      {at_200, forked, absl::StatusCode::kAborted},
      {absl::nullopt, at_200, absl::StatusCode::kFailedPrecondition},
      {absl::nullopt, longer, absl::StatusCode::kFailedPrecondition},
      {at_200, longer, absl::StatusCode::kFailedPrecondition},
      {at_200, "", absl::StatusCode::kFailedPrecondition},
  };
  for (const Case& c : kCases) {
    fs::remove(At("state"));
    if (!c.kept.empty()) store::WriteBytes(At("state"), c.kept);
    VAULT_ASSERT_OK_AND_ASSIGN(const StateFile state, StateFile::Open(At("state")));
    const absl::Status status = state.Remember(ours, c.found);
    EXPECT_EQ(status.code(), c.code) << status;
    if (!status.ok() && c.kept.empty()) {
      EXPECT_FALSE(fs::exists(At("state")));
    } else {
      EXPECT_EQ(store::ReadBytes(At("state")), status.ok() ? ours : c.kept);
    }
  }
}

TEST_F(VaultVerifyTest, TwoRunsAtOnceLoseNoFork) {
  LogExport other(At("other"), {});
  other.set_seed(99);
  VAULT_ASSERT_OK(other.Grow(300));
  const std::string same_size = other.checkpoint();
  VAULT_ASSERT_OK(other.Grow(301));
  for (const std::string& kept : {same_size, other.checkpoint()}) {
    fs::remove(At("state"));
    const int folder = open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(flock(folder, LOCK_EX), 0);
    // Held, the lock lets the first run read the state, and not write it.
    const Result result =
        Run({At("log"), "--vkey", key_, "--state", At("state")}, nullptr, [&](pid_t pid) {
          AwaitLock(pid);
          store::WriteBytes(At("state"), kept);
          flock(folder, LOCK_UN);
        });
    close(folder);
    if (kept == same_size) {
      EXPECT_EQ(result.code, 4) << result.out << result.err;
      EXPECT_THAT(result.out, StartsWith("forked: "));
      EXPECT_THAT(result.out, HasSubstr(At("state")));
    } else {
      EXPECT_EQ(result.code, 2) << result.out << result.err;
      EXPECT_THAT(result.out, IsEmpty());
      EXPECT_THAT(result.err, HasSubstr("verify again"));
    }
    EXPECT_EQ(store::ReadBytes(At("state")), kept);
  }
}

TEST_F(VaultVerifyTest, AStateThatCannotBeKeptIsNoSuccess) {
  EXPECT_EQ(Verify({"--state", At("missing/state")}).code, 2);
  EXPECT_EQ(Verify({"--state", At("log/")}).code, 2);
  EXPECT_EQ(Verify({"--state", At("state")}).code, 0);
  const std::string before = store::ReadBytes(At("state"));
  VAULT_ASSERT_OK(log_.Grow(301));
  fs::create_directory(At("state.tmp"));
  const Result result = Verify({"--state", At("state")});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("was not kept"));
  EXPECT_EQ(store::ReadBytes(At("state")), before);
}

TEST_F(VaultVerifyTest, UsageErrorsSayWhatIsWrong) {
  const std::string key = key_;
  const std::string witness =
      TestVerifierKey("town.example/witness", 9, tlog::NoteAlgorithm::kCosignatureV1).Format();
  const std::string log = At("log");
  struct Case {
    std::vector<std::string> args;
    const char* says;
  };
  const std::vector<Case> cases = {
      {{}, "no folder"},
      {{log}, "no --vkey"},
      {{"--vkey", key}, "no folder"},
      {{log, "--vkey"}, "wants a value"},
      {{log, "--vkey", ""}, "wants a value"},
      {{log, "--vkey", "--state"}, "wants a value"},
      {{log, "--vkey", "x"}, "--vkey: "},
      {{log, "--vkey", key.substr(1)}, "--vkey: "},
      {{log, "--vkey", witness}, "witness"},
      {{log, "--vkey", key, "--vkey", TestVerifierKey("other", 1).Format()}, "several logs"},
      {{log, "--vkey", key, "--witness-vkey", key}, "not a witness's key"},
      {{log, "--vkey", key, "--require-witnesses", "1"}, "more witnesses"},
      {{log, "--vkey", key, "--min-size", "-1"}, "--min-size"},
      {{log, "--vkey", key, "--min-size", "1e3"}, "--min-size"},
      {{log, "--vkey", key, "--min-size", "99999999999999999999"}, "--min-size"},
      {{log, "--vkey", key, "--threads", "0"}, "--threads"},
      {{log, "--vkey", key, "--state", "a", "--state", "b"}, "stands twice"},
      {{log, "--vkey", key, "--output", "xml"}, "--output"},
      {{log, "--vkey", key, "--entry", "x"}, "no flag of"},
      {{log, "--vkey", key, "--colour"}, "unknown flag"},
      {{log, "--vkey", key, "-v"}, "unknown flag"},
      {{log, log, "--vkey", key}, "a word too many"},
      {{At("missing"), "--vkey", key}, "no such folder"},
      {{At("log/checkpoint"), "--vkey", key}, "is no folder"},
      {{log, "--vkey", key, "--since", At("missing")}, "no such file"},
      {{log, "--vkey", key, "--since", log}, "no regular file"},
      {{"proof", At("missing"), "--vkey", key}, "no such file"},
      {{log, "--vkey", key + "\nnone"}, "--vkey: "},
      {{log, "--vkey", "\n"}, "no --vkey given"},
      {{log, "--vkey", key, "--service-vkey", key + "\n" + key}, "--service-vkey names one key"},
      {{"proof", At("log/checkpoint"), "--vkey", key, "--state", "x"}, "no flag of"},
  };
  for (const Case& c : cases) {
    const Result result = Run(c.args);
    EXPECT_EQ(result.code, 2) << c.says << result.out;
    EXPECT_THAT(result.err, StartsWith("vault-verify: "));
    EXPECT_THAT(result.err, HasSubstr(c.says));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST_F(VaultVerifyTest, HelpNamesEveryFlagAndCode) {
  for (const char* word : {"--help", "-h", "help"}) {
    const Result result = Run({word});
    EXPECT_EQ(result.code, 0);
    for (const char* text :
         {"--vkey", "--service-vkey", "--since", "--state", "--min-size", "--witness-vkey",
          "--require-witnesses", "--output", "--entry", "--threads", "Exit codes",
          "that the checkpoint states", "against an export that was verified"}) {
      EXPECT_THAT(result.out, HasSubstr(text));
    }
  }
  for (const char* version : {"--version", "-V", "version"}) {
    EXPECT_THAT(Run({version}).out, StartsWith("vault-verify ")) << version;
  }
}

TEST_F(VaultVerifyTest, AVerdictThatCannotBeWrittenIsNoSuccess) {
  EXPECT_EQ(Run({At("log"), "--vkey", key_}, "/dev/full").code, 2);
}

TEST_F(VaultVerifyTest, AnEmptyLogIsNotGood) {
  fs::remove_all(At("log"));
  LogExport empty(At("log"), {});
  fs::create_directory(At("log"));
  VAULT_ASSERT_OK(empty.Grow(0));
  const Result result = Verify();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, HasSubstr("checkpoint: there is no entry at all"));
  EXPECT_THAT(result.out, HasSubstr("0 entries"));
  EXPECT_EQ(Verify({"--min-size", "1"}).code, 3);
}

TEST_F(VaultVerifyTest, ChecksOneEntrysProof) {
  const tlog::ProofFile proof = Proof(17);
  store::WriteBytes(At("proof"), tlog::FormatProofFile(proof));
  const Result good = Run({"proof", At("proof"), "--vkey", key_});
  EXPECT_EQ(good.code, 0) << good.out << good.err;
  EXPECT_THAT(good.out, StartsWith("good: "));
  EXPECT_THAT(good.out, HasSubstr("entry       17\n"));
  EXPECT_THAT(good.out, HasSubstr("action      resident."));
  EXPECT_THAT(good.out, HasSubstr("time        2026-11-02T"));
  const auto json = ParseJson(Run({"proof", At("proof"), "--vkey", key_, "--output", "json"}).out);
  EXPECT_EQ(json.fields().at("index").number_value(), 17);
  EXPECT_THAT(json.fields().at("action").string_value(), StartsWith("resident."));

  tlog::ProofFile bare = proof;
  bare.extra.reset();
  store::WriteBytes(At("bare"), tlog::FormatProofFile(bare));
  store::WriteBytes(At("entry"), *proof.extra);
  EXPECT_EQ(Run({"proof", At("bare"), "--vkey", key_, "--entry", At("entry")}).code, 0);
  EXPECT_EQ(Run({"proof", At("bare"), "--vkey", key_}).code, 2);
  store::WriteBytes(At("entry"), *Proof(18).extra);
  for (const char* name : {"bare", "proof"}) {
    const Result bad = Run({"proof", At(name), "--vkey", key_, "--entry", At("entry")});
    EXPECT_EQ(bad.code, 1);
    EXPECT_THAT(bad.out, StartsWith("broken: "));
  }
  const std::string other = TestVerifierKey(log_.key().name, 0x22).Format();
  EXPECT_EQ(Run({"proof", At("proof"), "--vkey", other}).code, 1);
  // By one of those that the log has had, in either form.
  EXPECT_EQ(Run({"proof", At("proof"), "--vkey", other, "--vkey", key_}).code, 0);
  EXPECT_EQ(Run({"proof", At("proof"), "--vkey", absl::StrCat(other, "\n", key_, "\n")}).code, 0);
  const std::string third = TestVerifierKey(log_.key().name, 0x33).Format();
  EXPECT_EQ(Run({"proof", At("proof"), "--vkey", absl::StrCat(other, "\n", third)}).code, 1);
  EXPECT_EQ(Run({"proof", InLog("checkpoint"), "--vkey", key_}).code, 1);
  EXPECT_EQ(Run({"proof", At("proof"), "--vkey", key_, "--min-size", "300"}).code, 0);
  const Result small = Run({"proof", At("proof"), "--vkey", key_, "--min-size", "301"});
  EXPECT_EQ(small.code, 3);
  EXPECT_THAT(small.out, StartsWith("rolled back: "));
  const Result small_json =
      Run({"proof", At("proof"), "--vkey", key_, "--min-size", "301", "--output", "json"});
  EXPECT_EQ(small_json.code, 3);
  EXPECT_EQ(ParseJson(small_json.out).fields().at("exit").number_value(), 3);
}

std::string Line(absl::string_view text, const tlog::VerifierKey& key, uint8_t fill) {
  const SecretBytes<crypto::kKeySize> seed = testing::TestSigningSeed(fill);
  return tlog::SignNote(text, key, crypto::SigningSeed(seed));
}

TEST_F(VaultVerifyTest, ChecksACertificateOfAnErasure) {
  tlog::ErasureCertificate facts;
  facts.tenant = TenantId::Parse("131164").value();
  facts.resident = ResidentId::Parse("000102030405060708090a0b0c0d0e0f").value();
  facts.erased = facts.issued = absl::FromUnixSeconds(1793588645);
  facts.origin = log_.key().name;
  facts.entry = 17;
  facts.inclusion = tlog::ErasureCertificate::Inclusion{crypto::Digest{}, 300, log_.root()};
  facts.kek_version = facts.index_generation = 1;
  facts.keyring_needed = 5;
  const auto write = [&](const std::string& text) {
    store::WriteBytes(At("certificate"), tlog::FormatNote(text, {Line(text, log_.key(), 0x11)}));
  };
  const auto run = [&](std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"certificate", At("certificate"), "--vkey", key_};
    args.insert(args.end(), more.begin(), more.end());
    return Run(args);
  };
  write(tlog::FormatCertificate(facts));
  const Result open = run();
  EXPECT_EQ(open.code, 0) << open.out << open.err;
  EXPECT_THAT(open.out, StartsWith("good: "));
  EXPECT_THAT(open.out, HasSubstr("entry       17\n"));
  EXPECT_THAT(open.out, HasSubstr("status      not final\n"));
  EXPECT_THAT(open.out, HasSubstr(tlog::CertificateTextJa(facts)));
  EXPECT_FALSE(ParseJson(run({"--output", "json"}).out).fields().at("final").bool_value());
  facts.attested = 5;
  write(tlog::FormatCertificate(facts));
  EXPECT_THAT(run().out, HasSubstr("status      final\n"));
  const auto json = ParseJson(run({"--output", "json"}).out);
  EXPECT_TRUE(json.fields().at("final").bool_value());
  EXPECT_EQ(json.fields().at("entry").number_value(), 17);

  // Another key; what says otherwise than it shows; what else the log signed; nothing at all.
  const std::string other = TestVerifierKey(log_.key().name, 0x22).Format();
  EXPECT_EQ(Run({"certificate", At("certificate"), "--vkey", other}).code, 1);
  EXPECT_EQ(Run({"certificate", At("certificate"), "--vkey", other, "--vkey", other}).code, 1);
  EXPECT_EQ(Run({"certificate", At("certificate"), "--vkey", absl::StrCat(other, "\n", key_)}).code,
            0);
  std::string lie = tlog::FormatCertificate(facts);
  lie.replace(lie.find("\"attested\":5"), 12, "\"attested\":4");
  write(lie);
  EXPECT_EQ(run().code, 1);
  EXPECT_THAT(run().out, StartsWith("broken: "));
  EXPECT_EQ(ParseJson(run({"--output", "json"}).out).fields().at("exit").number_value(), 1);
  EXPECT_EQ(Run({"certificate", InLog("checkpoint"), "--vkey", key_}).code, 1);
  EXPECT_EQ(Run({"certificate", At("missing"), "--vkey", key_}).code, 2);
  EXPECT_EQ(run({"--min-size", "3"}).code, 2);
  EXPECT_EQ(Run({"certificate", "--vkey", key_}).code, 2);
}

TEST_F(VaultVerifyTest, ANewKeyAfterATheftNeedsTheServiceLogOrTheVerifier) {
  const tlog::VerifierKey service = TestVerifierKey("vault.example/audit/service", 0x44);
  tlog::Handover handover;
  handover.origin = log_.key().name;
  handover.size = 300;
  handover.root = log_.root();
  handover.old_key = log_.key();
  handover.new_key = TestVerifierKey(log_.key().name, 0x22);
  handover.compromised = true;
  const std::string text = tlog::FormatHandover(handover);
  fs::create_directory(InLog("handover"));
  store::WriteBytes(InLog("handover/1"), tlog::FormatNote(text, {Line(text, handover.old_key, 0x11),
                                                                 Line(text, handover.new_key, 0x22),
                                                                 Line(text, service, 0x44)}));
  EXPECT_EQ(Verify().code, 0);
  log_.set_key_fill(0x22);
  VAULT_ASSERT_OK(log_.Grow(600));
  const std::string new_key = handover.new_key.Format();
  EXPECT_THAT(Verify().out, HasSubstr("compromised"));
  EXPECT_EQ(Verify().code, 1);
  EXPECT_EQ(Verify({"--vkey", new_key}).code, 0);
  EXPECT_EQ(Verify({"--service-vkey", handover.new_key.Format()}).code, 1);
  const Result result = Verify({"--service-vkey", service.Format()});
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat(new_key, " (from size 301; signed this)")));
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat(key_, " (sizes 0 to 300)")));
  // The thief goes on with the old key.
  log_.set_key_fill(0x11);
  VAULT_ASSERT_OK(log_.Grow(601));
  const Result beyond = Verify({"--vkey", new_key});
  EXPECT_EQ(beyond.code, 1);
  EXPECT_THAT(beyond.out, HasSubstr("size 601 is signed by a key that signs sizes from 0 to 300"));
}

TEST_F(VaultVerifyTest, APrunedBeginningIsSaid) {
  tlog::Pruned pruned;
  pruned.origin = log_.key().name;
  pruned.begin = 256;
  const auto leaves = tlog::DecodeTile(store::ReadBytes(InLog("tile/0/000")), 256);
  pruned.root = tlog::PerfectRoot(leaves->data(), leaves->size());
  pruned.leaf = leaves->back();
  pruned.at_size = 300;
  pruned.before = absl::FromUnixSeconds(1793588700);
  const std::string text = tlog::FormatPruned(pruned);
  fs::remove(InLog("tile/0/000"));
  fs::remove(InLog("tile/entries/000"));
  EXPECT_EQ(Verify().code, 1);
  store::WriteBytes(InLog("pruned"), tlog::FormatNote(text, {Line(text, log_.key(), 0x11)}));
  const Result early = Verify();
  EXPECT_EQ(early.code, 1);
  EXPECT_THAT(early.out, HasSubstr("though entries are kept for 5 years"));
  const Result result = Verify({"--retention", "0"});
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("entries 0 to 255, older than 2026-11-02T03:05:00Z"));
  EXPECT_THAT(result.out, HasSubstr("44 entries ("));
  const auto json = ParseJson(Verify({"--output", "json", "--retention=0"}).out);
  EXPECT_EQ(json.fields().at("pruned").struct_value().fields().at("begin").number_value(), 256);
}

// Whoever has the log's key writes another history, and says that what would show it was pruned.
TEST_F(VaultVerifyTest, AForgedHistoryWhoseBeginningIsPrunedDoesNotReplaceTheState) {
  ASSERT_EQ(Verify({"--state", At("state")}).code, 0);
  const std::string state = store::ReadBytes(At("state"));
  ASSERT_EQ(state, log_.checkpoint());
  store::WriteBytes(At("kept"), state);
  fs::remove_all(At("log"));
  LogExportOptions forged;
  forged.seed = 99;
  LogExport other(At("log"), forged);
  // The removal is signed when 1,050 entries are there.
  VAULT_ASSERT_OK(other.Grow(1024));
  tlog::Pruned pruned;
  pruned.origin = other.key().name;
  pruned.begin = 1024;
  pruned.root = other.root();
  pruned.leaf = tlog::DecodeTile(store::ReadBytes(InLog("tile/0/003")), 256)->back();
  pruned.at_size = 1050;
  pruned.before = absl::FromUnixSeconds(1577836800);
  VAULT_ASSERT_OK(other.Grow(1100));
  for (const char* n : {"000", "001", "002", "003"}) {
    fs::remove(InLog(absl::StrCat("tile/0/", n)));
    fs::remove(InLog(absl::StrCat("tile/entries/", n)));
  }
  const auto sign = [&] {
    const std::string text = tlog::FormatPruned(pruned);
    store::WriteBytes(InLog("pruned"), tlog::FormatNote(text, {Line(text, other.key(), 0x11)}));
  };
  sign();
  ASSERT_EQ(Verify().code, 0) << "well made, but for what was seen before";
  for (const char* flag : {"--state", "--since"}) {
    const Result result = Verify({flag, At(flag[4] == 'a' ? "state" : "kept")});
    EXPECT_EQ(result.code, 3) << result.out;
    EXPECT_THAT(result.out, HasSubstr("was signed at 300 entries"));
    EXPECT_EQ(store::ReadBytes(At("state")), state);
  }
  EXPECT_EQ(ParseJson(Verify({"--state", At("state"), "--output", "json"}).out)
                .fields()
                .at("exit")
                .number_value(),
            3);
  EXPECT_EQ(store::ReadBytes(At("state")), state);
  // The true log's own files beside it do not prove it either.
  fs::create_directories(InLog("tile/0/001.p"));
  LogExport truth(At("truth"), {});
  VAULT_ASSERT_OK(truth.Grow(300));
  fs::copy_file(At("truth/tile/0/001.p/44"), InLog("tile/0/001.p/44"));
  EXPECT_EQ(Verify({"--state", At("state")}).code, 3);
  // A time that has not come.
  pruned.before = absl::FromUnixSeconds(253402300799);
  sign();
  EXPECT_EQ(Verify().code, 1);
  EXPECT_EQ(Verify({"--retention", "0"}).code, 1);
  EXPECT_EQ(Verify({"--state", At("state")}).code, 1);
  EXPECT_EQ(store::ReadBytes(At("state")), state);
}

TEST_F(VaultVerifyTest, ContradictoryLeftOversOfTheExportAreBroken) {
  VAULT_ASSERT_OK(log_.Grow(600));
  ASSERT_EQ(Verify().code, 0) << "partial tiles of 300 entries stand beside the full ones";
  for (const char* path : {"tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"}) {
    const std::string kept = store::ReadBytes(InLog(path));
    Flip(InLog(path), kept.size() / 2);
    const Result result = Verify();
    EXPECT_EQ(result.code, 1) << path;
    EXPECT_THAT(result.out, HasSubstr(absl::StrCat(path, ": contradicts")));
    store::WriteBytes(InLog(path), kept);
  }
  EXPECT_EQ(Verify().code, 0);
  // Nor is one reached through a link.
  fs::rename(InLog("tile/0/001.p"), At("elsewhere"));
  fs::create_directory_symlink(At("elsewhere"), InLog("tile/0/001.p"));
  EXPECT_EQ(Verify().code, 1);
}

TEST_F(VaultVerifyTest, ACosignatureOfNoTimeIsToldAndDoesNotCount) {
  const tlog::VerifierKey witness =
      TestVerifierKey("town.example/witness", 9, tlog::NoteAlgorithm::kCosignatureV1);
  const auto parsed = tlog::ParseSignedCheckpoint(log_.checkpoint());
  const SecretBytes<crypto::kKeySize> seed = testing::TestSigningSeed(9);
  tlog::ProofFile proof = Proof(17);
  proof.checkpoint = absl::StrCat(
      log_.checkpoint(),
      tlog::Cosign(parsed->note.text, 253402300800, witness, crypto::SigningSeed(seed)));
  store::WriteBytes(InLog("checkpoint"), proof.checkpoint);
  store::WriteBytes(At("proof"), tlog::FormatProofFile(proof));
  const std::vector<std::string> kLines[] = {{At("log")}, {"proof", At("proof")}};
  for (std::vector<std::string> line : kLines) {
    for (const std::string& word :
         {std::string("--vkey"), key_, std::string("--witness-vkey"), witness.Format()}) {
      line.push_back(word);
    }
    const Result result = Run(line);
    EXPECT_EQ(result.code, 0) << result.out << result.err;
    EXPECT_THAT(result.out, HasSubstr("town.example/witness: has not cosigned"));
    EXPECT_THAT(result.out, HasSubstr("after the year 9999"));
    line.insert(line.end(), {"--require-witnesses", "1"});
    EXPECT_EQ(Run(line).code, 1);
  }
}

TEST_F(VaultVerifyTest, WitnessesCanBeRequired) {
  const tlog::VerifierKey witness =
      TestVerifierKey("town.example/witness", 9, tlog::NoteAlgorithm::kCosignatureV1);
  const std::vector<std::string> wanted = {"--witness-vkey", witness.Format(),
                                           "--require-witnesses", "1"};
  EXPECT_EQ(Verify(wanted).code, 1);
  const auto parsed = tlog::ParseSignedCheckpoint(log_.checkpoint());
  const SecretBytes<crypto::kKeySize> seed = testing::TestSigningSeed(9);
  store::WriteBytes(
      InLog("checkpoint"),
      absl::StrCat(log_.checkpoint(), tlog::Cosign(parsed->note.text, 1793588700, witness,
                                                   crypto::SigningSeed(seed))));
  const Result result = Verify(wanted);
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("town.example/witness: cosigned 2026-11-02T03:05:00Z"));
}

}  // namespace
}  // namespace vault::verify
