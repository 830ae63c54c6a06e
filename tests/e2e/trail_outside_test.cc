// The trail as an outsider gets it from a real vault: exports of more than one tile of every kind,
// checked by vault-verify and by a tool of independent origin; exports and witnesses that are
// killed at random moments, beside the vault itself.
//
// VAULT_CRASH_SEED sets the moments, VAULT_EXPORT_ROUNDS how many exports are killed (20).
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"
#include "tests/testing/fakes.h"
#include "tests/testing/witness_process.h"
#include "vault/tlog/checkpoint.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kAuditor[] = "compliance-toshima";
// More than 65,536 + 4,096: tiles of three levels, full ones of two.
constexpr uint64_t kEntries = 70000;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t value = otherwise;
  EXPECT_TRUE(text == nullptr || absl::SimpleAtoi(text, &value)) << name;
  return value;
}

uint64_t Seed() { return FromEnvironment("VAULT_CRASH_SEED", 20261122); }

std::string Bin(const std::string& name) { return absl::StrCat(VAULT_BIN_DIR "/", name); }

std::string Vkey(Sandbox* sandbox, const std::string& persona,
                 const std::vector<std::string>& log) {
  std::vector<std::string> arguments = {"audit", "vkey"};
  arguments.insert(arguments.end(), log.begin(), log.end());
  const CommandResult result = sandbox->Run(persona, arguments);
  EXPECT_EQ(result.exit_code, 0) << result.All();
  return std::string(absl::StripAsciiWhitespace(result.out));
}

tlog::Checkpoint CheckpointOf(absl::string_view note) {
  const auto parsed = tlog::ParseSignedCheckpoint(note);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? parsed->checkpoint : tlog::Checkpoint();
}

// --- a large log ------------------------------------------------------------------------------

// One vault with a large log for all of these tests; each leaves it running.
class LargeTrailTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    sandbox_ = new Sandbox();
    ASSERT_TRUE(sandbox_->Up());
    vkey_ = Vkey(sandbox_, kAuditor, {"--tenant", kToshima});
    ASSERT_NO_FATAL_FAILURE(Grow(kEntries));
  }
  static void TearDownTestSuite() {
    delete sandbox_;
    sandbox_ = nullptr;
  }

  void SetUp() override { ASSERT_FALSE(vkey_.empty()) << "the vault was not made"; }

  // Appends while the vault is stopped; then it runs.
  static void Grow(uint64_t entries) {
    ASSERT_TRUE(sandbox_->Down());
    ASSERT_NO_FATAL_FAILURE(GrowStopped(entries));
  }
  static void GrowStopped(uint64_t entries) {
    const CommandResult filled =
        sandbox_->RunCommand({Bin("trail-fill"), absl::StrCat("--log=", kToshima),
                              absl::StrCat(entries), sandbox_->dir()});
    ASSERT_EQ(filled.exit_code, 0) << filled.All();
    ASSERT_TRUE(sandbox_->Start());
  }

  static std::vector<std::string> ExportTo(const std::string& dir) {
    return {Bin("vaultctl"),
            "--profile",
            absl::StrCat(sandbox_->dir(), "/profiles/", kAuditor, ".textproto"),
            "audit",
            "export",
            "--tenant",
            kToshima,
            "--out",
            dir};
  }
  static CommandResult Export(const std::string& dir) {
    return sandbox_->RunCommand(ExportTo(dir));
  }

  static CommandResult Verify(const std::string& dir, const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = {Bin("vault-verify"), dir, "--vkey", vkey_};
    argv.insert(argv.end(), more.begin(), more.end());
    return sandbox_->RunCommand(argv);
  }

  // How many entries it found, 0 where it is not good.
  static uint64_t VerifiedSize(const std::string& dir, const std::vector<std::string>& more = {}) {
    const CommandResult verified = Verify(dir, more);
    EXPECT_EQ(verified.exit_code, 0) << verified.All();
    return verified.exit_code == 0 ? CheckpointOf(ReadFileOrDie(dir + "/checkpoint")).size : 0;
  }

  static std::string Path(const std::string& name) { return sandbox_->work_dir() + "/" + name; }
  // A copy of what an outsider would keep.
  static std::string Keep(const std::string& dir, const std::string& name) {
    WriteFileOrDie(Path(name), ReadFileOrDie(dir + "/checkpoint"));
    return Path(name);
  }

  static Sandbox* sandbox_;
  static std::string vkey_;
};

Sandbox* LargeTrailTest::sandbox_ = nullptr;
std::string LargeTrailTest::vkey_;

class IndependentToolTest : public LargeTrailTest {
 protected:
  void SetUp() override {
    LargeTrailTest::SetUp();
    const CommandResult built = sandbox_->RunCommand(
        {"/usr/bin/python3", "-B", VAULT_SOURCE_DIR "/tests/tlog/independent/tlog_go.py", "--build",
         VAULT_GO_DIR, "checklog-e2e"},
        absl::Minutes(4));
    ASSERT_EQ(built.exit_code, 0) << built.All();
    checklog_ = std::string(absl::StripAsciiWhitespace(built.out));
  }
  CommandResult Checklog(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {checklog_};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return sandbox_->RunCommand(argv);
  }
  std::string checklog_;
};

TEST_F(IndependentToolTest, LargeExportAndItsIncrementsAreGood) {
  const std::string dir = Path("log");
  CommandResult exported = Export(dir);
  ASSERT_EQ(exported.exit_code, 0) << exported.All();
  const std::string first = Keep(dir, "first");
  uint64_t size = CheckpointOf(ReadFileOrDie(first)).size;
  EXPECT_GE(size, kEntries);
  // A second run of a few entries, and one that goes over the ends of tiles.
  for (const uint64_t more : {0, 3000}) {
    const CommandResult independent = Checklog({dir, vkey_});
    EXPECT_EQ(independent.exit_code, 0) << independent.All();
    EXPECT_THAT(independent.out, HasSubstr(absl::StrCat("good: ", size, " entries")));
    const CommandResult own = Verify(dir, {"--since", first, "--min-size", absl::StrCat(size)});
    EXPECT_EQ(own.exit_code, 0) << own.All();
    if (more > 0) ASSERT_NO_FATAL_FAILURE(Grow(more));
    exported = Export(dir);
    ASSERT_EQ(exported.exit_code, 0) << exported.All();
    const uint64_t grown = CheckpointOf(ReadFileOrDie(dir + "/checkpoint")).size;
    EXPECT_GT(grown, size + more);
    size = grown;
  }
  EXPECT_EQ(Checklog({dir, vkey_}).exit_code, 0);
  EXPECT_EQ(VerifiedSize(dir, {"--since", first}), size);

  // Both look: one bit of one entry's text.
  const std::string bundle = dir + "/tile/entries/x001/000";
  const std::string path = fs::exists(bundle) ? bundle : dir + "/tile/entries/100";
  std::string bytes = ReadFileOrDie(path);
  bytes[bytes.size() / 2] ^= 1;
  WriteFileOrDie(path, bytes);
  EXPECT_EQ(Checklog({dir, vkey_}).exit_code, 1);
  EXPECT_EQ(Verify(dir).exit_code, 1);
}

TEST_F(IndependentToolTest, ProofsOfSingleEntriesAreGood) {
  for (const char* seq : {"0", "255", "256", "65535", "65536", "69999"}) {
    const std::string file = Path(absl::StrCat("proof-", seq));
    const CommandResult proven = sandbox_->Run(
        kAuditor, {"audit", "prove", "--tenant", kToshima, "--seq", seq, "--out", file});
    ASSERT_EQ(proven.exit_code, 0) << proven.All();
    const CommandResult own =
        sandbox_->RunCommand({Bin("vault-verify"), "proof", file, "--vkey", vkey_});
    EXPECT_EQ(own.exit_code, 0) << own.All();
    const CommandResult independent = Checklog({"proof", file, vkey_});
    EXPECT_EQ(independent.exit_code, 0) << independent.All();
    EXPECT_THAT(independent.out, HasSubstr(absl::StrCat("good: entry ", seq, " of ")));
    // Neither takes it for another entry's.
    std::string text = ReadFileOrDie(file);
    const size_t index = text.find(absl::StrCat("\nindex ", seq, "\n"));
    ASSERT_NE(index, std::string::npos);
    text.replace(index, 8 + std::string(seq).size(), "\nindex 70\n");
    WriteFileOrDie(file, text);
    EXPECT_EQ(sandbox_->RunCommand({Bin("vault-verify"), "proof", file, "--vkey", vkey_}).exit_code,
              1);
    EXPECT_EQ(Checklog({"proof", file, vkey_}).exit_code, 1);
  }
}

// --- killed exports ---------------------------------------------------------------------------

// What came of the kills, so that a test that killed nothing cannot pass.
struct Kills {
  int client = 0, server = 0;     // that were really cut off
  int old_stayed = 0, begun = 0;  // the old checkpoint was still there; a first export was cut off
};

class KilledExportTest : public LargeTrailTest {
 protected:
  // Starts an export and kills the client or the vault, or both, somewhere in it.
  void KillOnce(const std::string& dir, int who, absl::Duration after, Kills* kills) {
    std::thread killer;
    if (who != 0) {
      // The script that kills takes its time too.
      killer = std::thread([after] {
        absl::SleepFor(after * 0.4);
        EXPECT_TRUE(sandbox_->Kill());
      });
    }
    const CommandResult exported =
        sandbox_->RunCommand(ExportTo(dir), who == 1 ? absl::Seconds(60) : after);
    if (killer.joinable()) killer.join();
    running_ = who == 0;
    if (exported.exit_code == -1) ++kills->client;
    if (exported.exit_code > 0) ++kills->server;
    if (who == 0) EXPECT_THAT(exported.exit_code, ::testing::AnyOf(0, -1)) << exported.All();
  }

  void Restart(uint64_t more) {
    if (!running_ && more > 0) ASSERT_NO_FATAL_FAILURE(GrowStopped(more));
    if (!running_ && more == 0) ASSERT_TRUE(sandbox_->Start());
    running_ = true;
  }

  bool running_ = true;
};

TEST_F(KilledExportTest, DirectoryIsTheOldLogOrTheNewOneAfterEveryKill) {
  const uint64_t rounds = FromEnvironment("VAULT_EXPORT_ROUNDS", 20);
  std::mt19937_64 random(Seed());
  const std::string dir = Path("killed");
  absl::Time begun = absl::Now();
  ASSERT_EQ(Export(dir).exit_code, 0);
  const absl::Duration whole = absl::Now() - begun;
  begun = absl::Now();
  ASSERT_EQ(Export(dir).exit_code, 0);
  const absl::Duration increment = absl::Now() - begun;
  const std::string first = Keep(dir, "killed-first");
  Kills kills;
  for (uint64_t round = 0; round < rounds && !HasFatalFailure(); ++round) {
    const bool fresh = round % 5 == 2;
    const std::string to = fresh ? Path(absl::StrCat("fresh", round)) : dir;
    const std::string old = fresh ? "" : Keep(dir, "killed-old");
    ASSERT_NO_FATAL_FAILURE(KillOnce(
        to, random() % 3, (fresh ? whole : increment) * (0.1 + random() % 1000 / 1000.0), &kills));
    const bool there = fs::exists(to + "/checkpoint");
    if (!there) {
      // Never good without a checkpoint.
      ASSERT_TRUE(fresh) << "the checkpoint is gone";
      ++kills.begun;
      if (fs::exists(to)) EXPECT_NE(Verify(to).exit_code, 0);
    } else {
      std::vector<std::string> since;
      if (!fresh) since = {"--since", old};
      EXPECT_GE(VerifiedSize(to, since), kEntries) << "round " << round;
      if (!fresh && ReadFileOrDie(old) == ReadFileOrDie(dir + "/checkpoint")) ++kills.old_stayed;
    }
    ASSERT_NO_FATAL_FAILURE(Restart(round % 3 == 0 ? random() % 700 : 0));
    if (!fresh) continue;
    // Taken up again, it becomes whole.
    const CommandResult resumed = Export(to);
    EXPECT_EQ(resumed.exit_code, 0) << resumed.All();
    EXPECT_GE(VerifiedSize(to), kEntries) << "round " << round;
    fs::remove_all(to);
  }
  const CommandResult last = Export(dir);
  ASSERT_EQ(last.exit_code, 0) << last.All();
  EXPECT_GT(VerifiedSize(dir, {"--since", first, "--since", Path("killed-old")}),
            kEntries + rounds);
  const std::string under_way = dir + "/.export.tmp";
  EXPECT_TRUE(!fs::exists(under_way) || fs::is_empty(under_way));
  std::cout << "killed: " << kills.client << " clients, " << kills.server << " vaults under one; "
            << kills.old_stayed << " times the old log stayed, " << kills.begun
            << " first exports were cut off; seed " << Seed() << "\n";
  EXPECT_GE(kills.client + kills.server, static_cast<int>(rounds) / 3);
  EXPECT_GE(kills.old_stayed, 1);
  EXPECT_GE(kills.begun, 1);
}

// --- killed witnesses -------------------------------------------------------------------------

class KilledWitnessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto::Init();
    ASSERT_TRUE(sandbox_.Up());
    vkey_ = Vkey(&sandbox_, kAuditor, {"--tenant", kToshima});
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::VerifierKey key, tlog::ParseVerifierKey(vkey_));
    origin_ = key.name;
    std::vector<tlog::VerifierKey> logs = {key};
    for (const auto& [persona, log] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"compliance-yokohama", {"--tenant", kYokohama}},
             {"security", {"--log", "service"}}}) {
      VAULT_ASSERT_OK_AND_ASSIGN(logs.emplace_back(),
                                 tlog::ParseVerifierKey(Vkey(&sandbox_, persona, log)));
    }
    witness_ = std::make_unique<WitnessProcess>("witness.example", logs);
    ASSERT_TRUE(witness_->Start());
    list_ = sandbox_.dir() + "/witnesses";
    WriteFileOrDie(list_, absl::StrCat(witness_->url(), " ", witness_->key().Format(), "\n"));
    ASSERT_TRUE(sandbox_.Down());
    ASSERT_TRUE(StartVault());
  }

  bool StartVault() { return sandbox_.Start({"--witnesses=" + list_}); }

  // Asks for a new checkpoint again and again, so that the witness always has work.
  void Ask(absl::Duration time) {
    const Stubs raw = sandbox_.As(kAuditor);
    const absl::Time end = absl::Now() + time;
    do {
      v1::GetCheckpointRequest request;
      request.set_log_id(kToshima);
      v1::GetCheckpointResponse response;
      const grpc::Status status = raw.audit->GetCheckpoint(NewContext().get(), request, &response);
      if (!status.ok()) return;
      ASSERT_NO_FATAL_FAILURE(See(response.checkpoint(), false));
      if (!response.cosigned().empty()) ASSERT_NO_FATAL_FAILURE(See(response.cosigned(), true));
      behind_ = response.witnesses_size() == 1 ? response.witnesses(0).behind() : UINT64_MAX;
      absl::SleepFor(absl::Milliseconds(5));
    } while (absl::Now() < end);
  }

  // Over all lives of vault and witness: one root a size, and no cosignature is ever taken back.
  void See(const std::string& note, bool cosigned) {
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::SignedCheckpoint parsed,
                               tlog::ParseSignedCheckpoint(note));
    const auto [it, added] = roots_.emplace(parsed.checkpoint.size, parsed.checkpoint.root);
    ASSERT_EQ(it->second, parsed.checkpoint.root) << "two roots of " << parsed.checkpoint.size;
    if (!cosigned) return;
    VAULT_ASSERT_OK(tlog::VerifyCosignature(parsed.note, witness_->key()));
    ASSERT_GE(parsed.checkpoint.size, cosigned_) << "the vault forgot a cosignature";
    if (parsed.checkpoint.size > cosigned_) ++cosignatures_;
    cosigned_ = parsed.checkpoint.size;
  }

  // What the witness says that it holds.
  uint64_t Held() const {
    for (absl::string_view line :
         absl::StrSplit(HttpGet(witness_->address(), "/healthz").body, '\n')) {
      const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
      uint64_t size = 0;
      if (words[0] == origin_ && words.size() > 1 && absl::SimpleAtoi(words[1], &size)) return size;
    }
    return 0;
  }

  Sandbox sandbox_;
  std::string vkey_, origin_, list_;
  std::unique_ptr<WitnessProcess> witness_;
  std::map<uint64_t, crypto::Digest> roots_;
  uint64_t cosigned_ = 0, behind_ = UINT64_MAX;
  int cosignatures_ = 0;
};

TEST_F(KilledWitnessTest, NeverTwoRootsOfOneSizeAndNoCosignatureIsLost) {
  constexpr int kRounds = 12;
  std::mt19937_64 random(Seed());
  int restarted_vaults = 0;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_NO_FATAL_FAILURE(Ask(absl::Milliseconds(random() % 250)));
    if (round % 4 == 3) {
      // The vault too, while it keeps what the witness answers.
      std::thread asking([this] { Ask(absl::Seconds(30)); });
      absl::SleepFor(absl::Milliseconds(random() % 200));
      EXPECT_TRUE(sandbox_.Kill());
      asking.join();
      ASSERT_TRUE(StartVault());
      ++restarted_vaults;
    } else {
      witness_->Kill();
      ASSERT_NO_FATAL_FAILURE(Ask(absl::Milliseconds(random() % 60)));
      ASSERT_TRUE(witness_->Start());
    }
    EXPECT_GE(Held(), cosigned_) << "the witness forgot what it cosigned";
    // Its answer comes again: the pause after a failure is over.
    const uint64_t before = cosigned_;
    for (int i = 0; i < 200 && cosigned_ == before; ++i) {
      ASSERT_NO_FATAL_FAILURE(Ask(absl::Milliseconds(30)));
    }
    ASSERT_GT(cosigned_, before) << "no cosignature came any more";
  }
  EXPECT_EQ(restarted_vaults, kRounds / 4);
  EXPECT_GE(cosignatures_, kRounds);
  std::cout << cosignatures_ << " cosignatures of " << roots_.size() << " trees seen over "
            << kRounds << " kills; seed " << Seed() << "\n";

  // What the witness vouched for last is a beginning of what the vault exports.
  const std::string dir = sandbox_.work_dir() + "/log", file = sandbox_.work_dir() + "/cosigned";
  const CommandResult exported =
      sandbox_.Run(kAuditor, {"audit", "export", "--tenant", kToshima, "--out", dir});
  ASSERT_EQ(exported.exit_code, 0) << exported.All();
  const CommandResult kept = sandbox_.Run(
      kAuditor, {"audit", "checkpoint", "--tenant", kToshima, "--cosigned", "--out", file});
  ASSERT_EQ(kept.exit_code, 0) << kept.All();
  // Cosigned after the export, it may be ahead of it; then it is the export that came before.
  if (CheckpointOf(ReadFileOrDie(file)).size >
      CheckpointOf(ReadFileOrDie(dir + "/checkpoint")).size) {
    ASSERT_EQ(
        sandbox_.Run(kAuditor, {"audit", "export", "--tenant", kToshima, "--out", dir}).exit_code,
        0);
  }
  const CommandResult verified =
      sandbox_.RunCommand({Bin("vault-verify"), dir, "--vkey", vkey_, "--since", file});
  EXPECT_EQ(verified.exit_code, 0) << verified.All();
}

// --- what two people do to a log --------------------------------------------------------------

// The words that follow "key " up to the end of its line; empty where there is no such line.
std::string After(const std::string& text, absl::string_view key) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t at = line.find(key);
    if (at != absl::string_view::npos) {
      return std::string(absl::StripAsciiWhitespace(line.substr(at + key.size())));
    }
  }
  return "";
}

TEST(LogOperations, ALogsKeyIsChangedByTwoAndWhoeverVerifiesFollows) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  const std::string vkey = Vkey(&box, kAuditor, {"--tenant", kToshima});
  const CommandResult proposed =
      box.Run("security", {"keys", "rotate", "--what", "log", "--tenant", kToshima});
  ASSERT_EQ(proposed.exit_code, 0) << proposed.All();
  EXPECT_THAT(proposed.out, HasSubstr("ログ署名鍵の更新 rotate a log's key"));
  EXPECT_THAT(proposed.out, HasSubstr("の署名鍵を新しくします"));
  EXPECT_THAT(proposed.out, HasSubstr("a new signing key"));
  const std::string id = After(proposed.out, "approval "), digest = After(proposed.out, "digest ");
  const std::vector<std::string> approve = {"approvals", "approve", id, "--effect", digest};
  EXPECT_THAT(proposed.err, HasSubstr(absl::StrCat("vaultctl ", absl::StrJoin(approve, " "))));
  // The one who proposed it is one person.
  const CommandResult alone = box.Run("security", approve);
  EXPECT_EQ(alone.exit_code, 1) << alone.All();
  EXPECT_EQ(Vkey(&box, kAuditor, {"--tenant", kToshima}), vkey);
  EXPECT_THAT(box.Run("security-2", {"approvals", "list"}).out,
              HasSubstr(absl::StrCat("the log key of ", kToshima)));
  const CommandResult done = box.Run("security-2", approve);
  EXPECT_EQ(done.exit_code, 0) << done.All();
  EXPECT_THAT(done.out, HasSubstr("rotated: version 2 of the log's key signs from now on"));
  EXPECT_THAT(done.err, HasSubstr(absl::StrCat("vaultctl audit vkey --tenant ", kToshima)));
  const std::vector<std::string> keys =
      absl::StrSplit(Vkey(&box, kAuditor, {"--tenant", kToshima}), '\n');
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0], vkey);
  const std::string dir = box.work_dir() + "/log";
  const CommandResult exported =
      box.Run(kAuditor, {"audit", "export", "--tenant", kToshima, "--out", dir});
  ASSERT_EQ(exported.exit_code, 0) << exported.All();
  for (const std::string& key : keys) {
    const CommandResult verified = box.RunCommand({Bin("vault-verify"), dir, "--vkey", key});
    EXPECT_EQ(verified.exit_code, 0) << verified.All();
  }
  // Both stand in the trail: who proposed it about which log, who approved it.
  const CommandResult trail = box.Run("security", {"audit", "list", "--log", "service"});
  EXPECT_THAT(trail.out,
              ::testing::ContainsRegex(absl::StrCat(
                  "urn:vault:security +approval.propose +ALLOW +OK +log, log ", kToshima)));
  EXPECT_THAT(trail.out, ::testing::ContainsRegex("urn:vault:security-2 +approval.approve +ALLOW"));
}

TEST(LogOperations, AYoungLogIsPrunedByNobody) {
  Sandbox box;
  ASSERT_TRUE(box.Up());
  const auto prune = [&](const std::string& before) {
    return box.Run("security", {"audit", "prune", "--tenant", kToshima, "--before", before});
  };
  const CommandResult early = prune("2100-01-01");
  EXPECT_EQ(early.exit_code, 6) << early.All();
  EXPECT_THAT(early.err, HasSubstr("(RETENTION)"));
  const CommandResult nothing = prune("2001-01-01");
  EXPECT_EQ(nothing.exit_code, 6) << nothing.All();
  EXPECT_THAT(nothing.err, HasSubstr("(NOTHING_TO_PRUNE)"));
  EXPECT_EQ(box.Run(kAuditor, {"audit", "prune", "--tenant", kToshima, "--before", "2001-01-01"})
                .exit_code,
            1);
  EXPECT_EQ(box.Run("security-2", {"approvals", "list", "--all"}).err, "nothing was proposed\n");
}

}  // namespace
}  // namespace vault::testing
