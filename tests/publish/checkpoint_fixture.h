// What the tests of signed logs share: a checkpointer over AuditTest's store, the tree as the
// entries alone give it, and exports in memory.
#ifndef VAULT_TESTS_PUBLISH_CHECKPOINT_FIXTURE_H_
#define VAULT_TESTS_PUBLISH_CHECKPOINT_FIXTURE_H_

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/audit/audit_fixture.h"
#include "vault/publish/checkpointer.h"
#include "vault/publish/exporter.h"
#include "vault/publish/pruning.h"
#include "vault/tlog/key_chain.h"
#include "vault/tlog/log_check.h"

namespace vault::publish {

using audit::AuditTest;
using audit::LogKeyRange;
using audit::Submission;
using trail::LogClaims;
using trail::LogFilter;
using trail::ReadPage;
using trail::Verdict;
using trail::VerifyLog;

using Files = std::map<std::string, std::string>;

// RFC 6962 §2.1, by its recursive definition.
inline crypto::Digest RootOf(const std::vector<crypto::Digest>& leaves, size_t from, size_t to) {
  if (from == to) return crypto::Sha256({""});
  if (to - from == 1) return leaves[from];
  size_t left = 1;
  while (left * 2 < to - from) left *= 2;
  return crypto::Sha256({absl::string_view("\x01", 1),
                         crypto::AsView(RootOf(leaves, from, from + left)),
                         crypto::AsView(RootOf(leaves, from + left, to))});
}

inline std::vector<crypto::Digest> LeavesOf(const store::Store& store, const LogId& log) {
  std::vector<crypto::Digest> leaves;
  VAULT_CHECK(store
                  .Scan(absl::StrCat("e/", log.str(), "/"), "",
                        [&](absl::string_view, absl::string_view entry) {
                          leaves.push_back(crypto::Sha256({absl::string_view("\0", 1), entry}));
                          return true;
                        })
                  .ok());
  return leaves;
}

inline tlog::LogReport CheckFiles(const Files& files, const tlog::LogCheckOptions& options) {
  absl::StatusOr<tlog::LogReport> report = tlog::CheckLog(
      [&](const std::string& path, size_t bytes_max) -> absl::StatusOr<std::string> {
        const auto it = files.find(path);
        if (it == files.end()) return absl::NotFoundError(path);
        if (it->second.size() > bytes_max) return absl::OutOfRangeError(path);
        return it->second;
      },
      options);
  VAULT_CHECK(report.ok()) << report.status();
  return *std::move(report);
}

class CheckpointTest : public AuditTest {
 protected:
  static constexpr char kPrefix[] = "vault.example/audit";

  absl::Status OpenCheckpointer(const std::string& prefix = kPrefix) {
    checkpointer_.reset();
    CheckpointerOptions options;
    options.store = store_.get();
    options.keyring = keys_.keyring();
    options.sequencer = sequencer_.get();
    options.origin_prefix = prefix;
    options.interval = absl::ZeroDuration();
    absl::StatusOr<std::unique_ptr<Checkpointer>> opened = Checkpointer::Open(std::move(options));
    if (opened.ok()) checkpointer_ = *std::move(opened);
    return opened.status();
  }
  void CreateAll() {
    Create();
    ASSERT_TRUE(OpenCheckpointer().ok());
  }
  // Another vault's rows and rollback anchor take the place of those there were; the keys stay.
  void CreateAnew() {
    checkpointer_.reset();
    ReplaceRows({});
    std::filesystem::remove(HeadPath());
    CreateAll();
  }
  void Stop() {
    checkpointer_.reset();
    Close();
    store_->Heal();
  }
  // As after a crash: what the files and the rows say.
  absl::Status RestartAll(const std::string& prefix = kPrefix) {
    Stop();
    keys_.Reopen();
    RETURN_IF_ERROR(Reopen());
    return OpenCheckpointer(prefix);
  }
  // So many entries in one commit.
  void Append(const LogId& log, size_t entries) {
    Submission submission = Make(log);
    submission.entries.resize(entries, submission.entries[0]);
    const absl::Status appended = sequencer_->SubmitAndWait(std::move(submission));
    ASSERT_TRUE(appended.ok()) << appended;
  }
  static tlog::EntryFields Entry(absl::string_view action) {
    tlog::EntryFields entry;
    entry.action = std::string(action);
    return entry;
  }
  static const tlog::EntryFields& RotationEntry() {
    static const tlog::EntryFields* const entry =
        new tlog::EntryFields(Entry("key.rotate_log.end"));
    return *entry;
  }
  // From the key that signs now.
  absl::StatusOr<LogKeyRange> ChangeKey(const LogId& log, bool compromised) {
    ASSIGN_OR_RETURN(const std::vector<LogKeyRange> keys, checkpointer_->Keys(log));
    return checkpointer_->ChangeKey(log, keys.back().version, compromised, RotationEntry());
  }
  // How many entries of the log say that a key took over.
  int Rotations(const LogId& log) {
    const LogFilter filter{"", "", "key.rotate_log.end", ""};
    const uint64_t size = sequencer_->GetHead(log).size;
    return ReadPage(*store_, log, filter, 0, size, 100, 1 << 20).value().records.size();
  }
  // The newest checkpoint; its origin, root and signature hold.
  tlog::SignedCheckpoint Sign(const LogId& log) {
    absl::StatusOr<std::string> note = checkpointer_->Sign(log);
    VAULT_CHECK(note.ok()) << note.status();
    const tlog::SignedCheckpoint parsed = tlog::ParseSignedCheckpoint(*note).value();
    EXPECT_EQ(parsed.checkpoint.origin, absl::StrCat(kPrefix, "/", log.str()));
    const std::vector<crypto::Digest> leaves = LeavesOf(*base_, log);
    EXPECT_LE(parsed.checkpoint.size, leaves.size());
    EXPECT_EQ(parsed.checkpoint.root, RootOf(leaves, 0, parsed.checkpoint.size));
    EXPECT_TRUE(Chain(log).Verify(parsed.note, parsed.checkpoint.size).ok());
    return parsed;
  }
  std::vector<LogKeyRange> KeysOf(const LogId& log) { return checkpointer_->Keys(log).value(); }
  // What somebody sees who was given all keys and the handovers.
  tlog::KeyChain Chain(const LogId& log) {
    std::vector<tlog::VerifierKey> given;
    std::vector<std::string> handovers;
    for (const LogKeyRange& range : KeysOf(log)) {
      given.push_back(range.key);
      if (!range.handover.empty()) handovers.push_back(range.handover);
    }
    absl::StatusOr<tlog::KeyChain> chain =
        tlog::KeyChain::Build(checkpointer_->Origin(log), given, {}, handovers);
    VAULT_CHECK(chain.ok()) << chain.status();
    return *std::move(chain);
  }
  LogClaims Claims(const LogId& log) {
    LogClaims claims = AuditTest::Claims(log);
    claims.keys = KeysOf(log);
    return claims;
  }
  Verdict Verify(const LogId& log) {
    absl::StatusOr<Verdict> verdict =
        VerifyLog(*store_, log, Claims(log), [](uint64_t) { return true; });
    VAULT_CHECK(verdict.ok()) << verdict.status();
    return *verdict;
  }
  // As the use case exports, into `files`, which has `from_size` entries already.
  absl::Status Export(const LogId& log, uint64_t from_size, Files* files) {
    ASSIGN_OR_RETURN(const std::string note, checkpointer_->Sign(log));
    const tlog::Checkpoint newest = tlog::ParseSignedCheckpoint(note).value().checkpoint;
    const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
    const Exporter exporter(*snapshot, log, from_size, newest.size, newest.root);
    std::vector<ExportFile> all;
    const auto take = [&all](std::vector<ExportFile> some) {
      std::move(some.begin(), some.end(), std::back_inserter(all));
    };
    ASSIGN_OR_RETURN(uint64_t next, exporter.Begin());
    while (next < newest.size) {
      ASSIGN_OR_RETURN(std::vector<ExportFile> some,
                       exporter.Bundles(next, newest.size, 100000, &next));
      take(std::move(some));
    }
    ASSIGN_OR_RETURN(std::vector<ExportFile> rest, exporter.Rest(KeysOf(log)));
    take(std::move(rest));
    for (ExportFile& file : all) (*files)[file.path] = std::move(file.content);
    (*files)["checkpoint"] = note;
    return absl::OkStatus();
  }
  Files Export(const LogId& log) {
    Files files;
    const absl::Status exported = Export(log, 0, &files);
    VAULT_CHECK(exported.ok()) << exported;
    return files;
  }
  tlog::LogReport Check(const LogId& log, const Files& files) {
    tlog::LogCheckOptions options;
    for (const LogKeyRange& range : KeysOf(log)) options.keys.push_back(range.key);
    return CheckFiles(files, options);
  }
  void ExpectGood(const LogId& log, const Files& files) {
    const tlog::LogReport report = Check(log, files);
    EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
    EXPECT_EQ(report.entries_checked + report.entries_absent, sequencer_->GetHead(log).size);
  }

  std::unique_ptr<Checkpointer> checkpointer_;
  const LogId yokohama_ = LogId::Of(vault::testing::Yokohama());
  const LogId service_ = LogId::Service();
};

}  // namespace vault::publish

#endif  // VAULT_TESTS_PUBLISH_CHECKPOINT_FIXTURE_H_
