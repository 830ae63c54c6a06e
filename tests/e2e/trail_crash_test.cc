// SIGKILL at every moment at which the trail's proof could break: before and after each write to
// the store of a small life (crash_steps), and between a signed tree's pin and its being shown.
// After each kill the vault is opened again, all of its logs are exported, and what an outsider had
// been told by then is the judge: every checkpoint that was shown is a beginning of what there is
// now, every acknowledged entry stands there byte for byte, and nothing that was promised is gone.
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_steps.h"
#include "tests/e2e/killed_runs.h"
#include "tests/e2e/whole_vault.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/testing/log_export.h"
#include "vault/audit/layout.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/log_check.h"
#include "vault/tlog/tile.h"

namespace vault::testing {
namespace {

using Files = std::map<std::string, std::string>;

constexpr char kSteps[] = VAULT_BIN_DIR "/crash_steps";
// More moments than this: the life does not end.
constexpr int kMomentsMax = 400;

const std::vector<std::pair<std::string, std::string>>& Logs() {
  static const auto* const logs = new std::vector<std::pair<std::string, std::string>>{
      {kTenant, kAuditor}, {"service", "security"}};
  return *logs;
}

// What crash_steps said of one log.
struct ToldOfLog {
  std::map<uint64_t, std::string> entries;
  std::vector<tlog::OldCheckpoint> checkpoints;
  std::vector<std::string> kept;
  std::map<std::string, std::string> handovers;  // by their number
  std::string pruned;
  bool pruning = false;
};

struct Told {
  std::map<std::string, ToldOfLog> logs;
  std::vector<std::pair<std::string, std::string>> acknowledged;  // contact, decision
  std::map<std::string, tlog::VerifierKey> keys;
  std::string killed;
};

void Read(const std::string& path, Told* told) {
  for (absl::string_view line : absl::StrSplit(store::ReadBytes(path), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    const std::string& what = words[0];
    std::string note;
    ASSERT_GE(words.size(), 2u) << line;
    if (what == "killed") {
      told->killed = words[1];
      continue;
    }
    if (what == "ack") {
      told->acknowledged.emplace_back(words[1], words[2]);
      continue;
    }
    ToldOfLog& log = told->logs[words[1]];
    if (what == "key") {
      VAULT_ASSERT_OK_AND_ASSIGN(told->keys[words[1]], tlog::ParseVerifierKey(words[2]));
    } else if (what == "entry") {
      uint64_t seq;
      ASSERT_TRUE(absl::SimpleAtoi(words[2], &seq)) << line;
      log.entries[seq] = absl::HexStringToBytes(words[3]);
    } else if (what == "pruning") {
      log.pruning = true;
    } else {
      ASSERT_TRUE(absl::Base64Unescape(words.back(), &note)) << what;
      if (what == "kept") log.kept.push_back(note);
      if (what == "handover") log.handovers[words[2]] = note;
      if (what == "pruned") log.pruned = note;
      if (what == "checkpoint" || what == "exported") {
        log.checkpoints.push_back({absl::StrCat("shown ", log.checkpoints.size()), note});
      }
    }
  }
}

// Runs crash_steps to its end; its wait status.
int RunSteps(std::vector<std::string> arguments, const std::string& stem) {
  return RunToEnd(kSteps, std::move(arguments), stem);
}

// Judges one vault that was killed by what it had told.
class Judge {
 public:
  Judge(std::string dir, const Told& told) : dir_(std::move(dir)), told_(told) {}

  void Run() {
    WholeVault::Options options;
    options.dir = dir_;
    options.checkpoint_interval = absl::ZeroDuration();
    VAULT_ASSERT_OK_AND_ASSIGN(vault_, WholeVault::Open(options));
    for (const auto& [log, persona] : Logs()) {
      VAULT_ASSERT_OK_AND_ASSIGN(Files files, vault_->Export(persona, log));
      ASSERT_NO_FATAL_FAILURE(CheckFiles(log, files, {}));
      CheckPromises(log, files);
      VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict, vault_->Verify(persona, log));
      EXPECT_TRUE(verdict.good) << log << ": " << verdict.problem;
      ASSERT_NO_FATAL_FAILURE(CheckGrowth(log, persona, std::move(files)));
    }
    ASSERT_NO_FATAL_FAILURE(CheckAcknowledged());
    CheckDeleted();
  }

 private:
  const ToldOfLog& Of(const std::string& log) const {
    static const ToldOfLog* const kNothing = new ToldOfLog();
    const auto it = told_.logs.find(log);
    return it == told_.logs.end() ? *kNothing : it->second;
  }

  // The export as vault-verify would check it, held against every checkpoint that was ever shown.
  void CheckFiles(const std::string& log, const Files& files,
                  std::vector<tlog::OldCheckpoint> more) {
    const auto read = [&files](const std::string& path,
                               size_t bytes_max) -> absl::StatusOr<std::string> {
      const auto it = files.find(path);
      if (it == files.end()) return absl::NotFoundError(path);
      if (it->second.size() > bytes_max) return absl::OutOfRangeError(path);
      return it->second;
    };
    tlog::LogCheckOptions options;
    options.keys = {told_.keys.at(log)};
    if (log != "service") options.service_key = told_.keys.at("service");
    options.old_checkpoints = Of(log).checkpoints;
    for (tlog::OldCheckpoint& old : more) options.old_checkpoints.push_back(std::move(old));
    options.threads = 1;
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::LogReport report, tlog::CheckLog(read, options));
    ASSERT_EQ(report.verdict, tlog::Verdict::kGood) << log << ": " << report.problem;
    EXPECT_EQ(report.old_checkpoints_held, options.old_checkpoints.size());
    begin_[log] = report.pruned.has_value() ? report.pruned->begin : 0;
    ASSERT_NO_FATAL_FAILURE(CheckEntries(log, files, report.checkpoint->size));
  }

  // Whatever was durable is there, byte for byte, but for what was pruned, which takes a pruning.
  void CheckEntries(const std::string& log, const Files& files, uint64_t size) {
    std::map<uint64_t, std::string> entries;
    for (const auto& [path, bytes] : files) {
      const auto tile = tlog::ParseTilePath(path);
      if (!tile.ok() || tile->level != tlog::TileId::kEntries) continue;
      VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<absl::string_view> bundle,
                                 tlog::DecodeBundle(bytes, tile->width));
      for (size_t i = 0; i < bundle.size(); ++i) {
        entries[tile->index * tlog::kTileWidth + i] = std::string(bundle[i]);
      }
    }
    EXPECT_TRUE(begin_[log] == 0 || Of(log).pruning) << log << " was pruned, and nobody asked";
    for (const auto& [seq, bytes] : Of(log).entries) {
      if (seq < begin_[log]) continue;
      ASSERT_LT(seq, size) << log << ": a durable entry is beyond the signed tree";
      ASSERT_EQ(entries.count(seq), 1u) << log << ": entry " << seq << " is gone";
      ASSERT_EQ(entries[seq], bytes) << log << ": entry " << seq;
    }
    for (const auto& [seq, bytes] : entries) {
      VAULT_ASSERT_OK_AND_ASSIGN(const tlog::Entry entry, tlog::Decode(bytes));
      if (!entry.fields.contact.empty()) {
        found_.emplace(entry.fields.contact, entry.fields.decision);
      }
    }
  }

  void CheckAcknowledged() {
    for (const auto& [contact, decision] : told_.acknowledged) {
      EXPECT_EQ(found_.count({contact, decision}), 1u)
          << "the call " << contact << ", answered " << decision << ", has no entry";
    }
  }

  // Handovers, cosignatures and the record of a pruning that somebody was told of.
  void CheckPromises(const std::string& log, const Files& files) {
    const ToldOfLog& told = Of(log);
    for (const auto& [number, note] : told.handovers) {
      const auto it = files.find("handover/" + number);
      ASSERT_NE(it, files.end()) << log << ": handover " << number << " is gone";
      EXPECT_EQ(it->second, note) << log << ": handover " << number;
    }
    if (!told.pruned.empty()) {
      ASSERT_EQ(files.count("pruned"), 1u) << log;
      EXPECT_EQ(files.at("pruned"), told.pruned) << log;
    }
    if (told.kept.empty()) return;
    const tlog::VerifierKey witness = TestVerifierKey(kWitnessName, kWitnessFill, kCosignature);
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::SignedCheckpoint last,
                               tlog::ParseSignedCheckpoint(told.kept.back()));
    VAULT_ASSERT_OK_AND_ASSIGN(
        const tlog::SignedCheckpoint now,
        tlog::ParseSignedCheckpoint(vault_->checkpointer().Cosigned(*LogId::Parse(log))));
    VAULT_EXPECT_OK(tlog::VerifyCosignature(now.note, witness));
    EXPECT_GE(now.checkpoint.size, last.checkpoint.size) << log;
  }

  // The log goes on, and the increment fits what was exported before.
  void CheckGrowth(const std::string& log, const std::string& persona, Files files) {
    const std::string before = files.at("checkpoint");
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::SignedCheckpoint old,
                               tlog::ParseSignedCheckpoint(before));
    VAULT_ASSERT_OK_AND_ASSIGN(const Files grown,
                               vault_->Export(persona, log, old.checkpoint.size));
    for (const auto& [path, bytes] : grown) files[path] = bytes;
    EXPECT_NE(files.at("checkpoint"), before) << "the export itself is in the log";
    CheckFiles(log, files, {{"the export after the kill", before}});
  }

  // What a pruning that was cut off left is removed by the start, off everybody's path.
  void CheckDeleted() {
    const std::string log = kTenant;
    const uint64_t begin = begin_[log];
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (begin > 0) {
      std::string first;
      VAULT_ASSERT_OK(vault_->database().Scan(audit::EntryPrefix(*LogId::Parse(log)), "",
                                              [&](absl::string_view key, absl::string_view) {
                                                first = std::string(key);
                                                return false;
                                              }));
      if (first == audit::EntryKey(*LogId::Parse(log), begin)) return;
      ASSERT_LT(absl::Now(), deadline) << "pruned entries are still there";
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  const std::string dir_;
  const Told& told_;
  std::unique_ptr<WholeVault> vault_;
  std::map<std::string, uint64_t> begin_;
  std::set<std::pair<std::string, std::string>> found_;  // contact and decision
};

class TrailCrashTest : public ::testing::Test {
 protected:
  void SetUp() override {
    prepared_ = dir_.path() + "/prepared";
    const int status = RunSteps({"prepare", prepared_}, dir_.path() + "/prepare");
    ASSERT_EQ(status, 0) << store::ReadBytes(dir_.path() + "/prepare.err");
  }

  std::string Copy(const std::string& name) {
    std::string copy = absl::StrCat(dir_.path(), "/", name);
    CopyFolder(prepared_, copy);
    return copy;
  }

  Told ToldByPreparation() {
    Told told;
    Read(dir_.path() + "/prepare.out", &told);
    return told;
  }

  // One life, killed at moment `n`, and its judgement; false where it ended by itself.
  // `restarts`: moments at which the starts after it are killed as well.
  bool TryMoment(int n, const std::string& name, const std::vector<int>& restarts, Told* told) {
    const std::string copy = Copy(name), stem = copy + ".run";
    const int status = RunSteps({"run", copy, absl::StrCat(n)}, stem);
    *told = ToldByPreparation();
    Read(stem + ".out", told);
    const bool killed = WasKilled(status);
    EXPECT_TRUE(killed || status == 0)
        << "wait status " << status << store::ReadBytes(stem + ".err");
    EXPECT_EQ(killed, !told->killed.empty());
    const std::string first = told->killed;
    for (const int restart : restarts) {
      const int again = RunSteps({"run", copy, absl::StrCat(restart)}, stem);
      EXPECT_TRUE(WasKilled(again)) << "wait status " << again << store::ReadBytes(stem + ".err");
      Read(stem + ".out", told);
    }
    told->killed = first;
    Judge(copy, *told).Run();
    return killed;
  }

  store::TempDir dir_;
  std::string prepared_;
};

// The judge itself: it lets a whole life pass, and sees each kind of loss in one.
TEST_F(TrailCrashTest, JudgeSeesWhatIsMissing) {
  const std::string copy = Copy("judged");
  ASSERT_EQ(RunSteps({"run", copy, absl::StrCat(kMomentsMax)}, copy), 0);
  Told whole = ToldByPreparation();
  Read(copy + ".out", &whole);
  Judge(copy, whole).Run();
  ASSERT_FALSE(HasFailure());
  const auto finds = [&](const std::function<void(Told*)>& edit) {
    Told told = whole;
    edit(&told);
    ::testing::TestPartResultArray found;
    {
      const ::testing::ScopedFakeTestPartResultReporter reporter(
          ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &found);
      Judge(copy, told).Run();
    }
    return found.size() > 0;
  };
  EXPECT_FALSE(finds([](Told*) {}));
  EXPECT_TRUE(finds([](Told* told) { told->acknowledged.emplace_back("K-99", "ALLOW"); }));
  EXPECT_TRUE(finds([](Told* told) { told->acknowledged[0].second = "DENY"; }));
  EXPECT_TRUE(finds([](Told* told) { told->logs["service"].entries[5][20] ^= 1; }));
  EXPECT_TRUE(finds([](Told* told) { told->logs[kTenant].entries[1 << 20] = "beyond"; }));
  EXPECT_TRUE(finds([](Told* told) { told->logs[kTenant].pruning = false; }));
  EXPECT_TRUE(finds([](Told* told) { told->logs[kTenant].pruned += "x"; }));
  EXPECT_TRUE(finds([](Told* told) { told->logs[kTenant].handovers["2"] += "x"; }));
  EXPECT_TRUE(finds([](Told* told) { told->logs[kTenant].handovers["3"] = "x"; }));
  EXPECT_TRUE(finds([](Told* told) {
    told->logs[kTenant].checkpoints.push_back(told->logs["service"].checkpoints[0]);
  }));
  EXPECT_TRUE(finds([](Told* told) { told->logs["service"].kept = told->logs[kTenant].kept; }));
}

TEST_F(TrailCrashTest, KilledAtEveryMomentNothingSignedOrAcknowledgedIsLost) {
  Kills kills = KillAtEveryMoment(kMomentsMax, [&](int moment, const std::string& copy) {
    Told told;
    return TryMoment(moment, copy, {}, &told) ? told.killed : std::string();
  });
  ASSERT_FALSE(HasFailure());
  // Each moment before the one that the life outlived.
  EXPECT_EQ(kills.total, kills.last - 1);
  EXPECT_EQ(kills.kinds["before-write"], kills.kinds["after-write"]);
  EXPECT_GE(kills.kinds["after-write"], 30);
  EXPECT_GE(kills.kinds["signed"], 8);
  EXPECT_GE(kills.kinds["before-signing"], 4);
}

// What ends a cut-off handover or pruning is cut off too, at one of its own first moments, twice.
TEST_F(TrailCrashTest, KilledAgainWhileItRecoversNothingIsLost) {
  std::set<std::string> kinds;
  int lives = 0;
  for (int n = 4; !HasFailure(); n += 5, ++lives) {
    Told told;
    if (!TryMoment(n, "again", {1 + n % 6, 2 + n % 3}, &told)) break;
    kinds.insert(told.killed);
    if (HasFailure()) std::cout << "moment " << n << ": " << told.killed << "\n";
  }
  EXPECT_GE(lives, 12);
  EXPECT_THAT(kinds, ::testing::IsSupersetOf({"before-write", "after-write"}));
}

}  // namespace
}  // namespace vault::testing
