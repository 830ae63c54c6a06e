// What the tests of a stopped vault's works share: a log that went on after a backup was taken, and
// the vault with the backup's database and everything else as it is.
#ifndef VAULT_TESTS_RECOVERY_OFFLINE_FIXTURE_H_
#define VAULT_TESTS_RECOVERY_OFFLINE_FIXTURE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "tests/publish/checkpoint_fixture.h"
#include "vault/audit/heads.h"
#include "vault/audit/log_generation.h"
#include "vault/recovery/offline_trail.h"
#include "vault/recovery/replay.h"

namespace vault::recovery {

using audit::LogKeyRange;
using audit::RollbackAnchor;
using audit::Rows;
using publish::CheckFiles;
using publish::CheckpointTest;
using publish::Files;
using trail::LogFilter;
using trail::LogPage;
using trail::ReadPage;
using vault::testing::FaultStore;

using Rowset = std::map<std::string, std::string>;

class OfflineTest : public CheckpointTest {
 protected:
  // The backup has `backed_up` entries of the log, the vault has `size`, all of them signed; then
  // it stops. `meanwhile` runs between the two.
  template <typename F>
  void MakeHistory(size_t backed_up, size_t size, F meanwhile) {
    CreateAll();
    Append(service_, 2);
    Append(log_, backed_up);
    kept_ = checkpointer_->Sign(log_).value();
    Stop();
    backup_ = Rows(*base_);
    ASSERT_TRUE(RestartAll().ok());
    meanwhile();
    Append(log_, size - sequencer_->GetHead(log_).size);
    export_ = Export(log_);
    Stop();
    newest_ = Rows(*base_);
    head_ = store::ReadBytes(HeadPath());
  }
  void MakeHistory(size_t backed_up, size_t size) {
    MakeHistory(backed_up, size, [] {});
  }
  // The vault after its database was put back to `rows`, and nothing else.
  void PutBack(const Rowset& rows) {
    anchor_.reset();
    ReplaceRows(rows);
    store::WriteBytes(HeadPath(), head_);
  }
  // Another keyring in the place of the one that is there.
  void PutBackKeyring(const std::string& bytes) {
    anchor_.reset();
    Stop();
    store::WriteBytes(keys_.Path("keyring"), bytes);
    keys_.Reopen();
  }
  void AcceptKeyring() {
    anchor_.reset();
    VAULT_CHECK(RollbackAnchor::AcceptKeyring(HeadPath(), keys_.keyring()).ok());
  }
  // The backup of a vault that did not know the log.
  Rowset WithoutLog() const {
    Rowset rows;
    for (const auto& [key, row] : backup_) {
      if (!absl::StrContains(key, log_.str())) rows[key] = row;
    }
    return rows;
  }
  // A restart that finds the database as it is, and begins the same work again.
  void Kill() {
    anchor_.reset();
    store_ = std::make_unique<FaultStore>(base_.get());
    keys_.Reopen();
  }

  OfflineTrail Trail() {
    absl::StatusOr<std::unique_ptr<RollbackAnchor>> opened =
        RollbackAnchor::Open(HeadPath(), keys_.keyring());
    VAULT_CHECK(opened.ok()) << opened.status();
    anchor_ = *std::move(opened);
    OfflineTrail trail;
    trail.store = store_.get();
    trail.keyring = keys_.keyring();
    trail.anchor = anchor_.get();
    trail.clock = &clock_;
    trail.random = &random_;
    trail.origin_prefix = kPrefix;
    trail.disk_reserve_bytes = 1000;
    trail.batch_bytes_max = 1;  // as many batches as there can be
    return trail;
  }
  absl::StatusOr<ReplayResult> Replay(const Files& files, bool accept_lost = false) {
    ReplayOptions options;
    options.accept_lost = accept_lost;
    options.threads = 1;
    absl::StatusOr<ReplayResult> result = recovery::Replay(
        Trail(), log_,
        [&](const std::string& path, size_t bytes_max) -> absl::StatusOr<std::string> {
          const auto it = files.find(path);
          if (it == files.end()) return absl::NotFoundError(path);
          if (it->second.size() > bytes_max) return absl::OutOfRangeError(path);
          return it->second;
        },
        options);
    anchor_.reset();
    return result;
  }
  // The start that the vault makes afterwards.
  absl::Status Start() {
    RETURN_IF_ERROR(RestartAll());
    return RecordReplays(*store_, sequencer_.get());
  }
  // The count of the log's only entry with this action; -1 without one.
  int64_t CountOf(const std::string& action) {
    const LogFilter filter{"", "", action, ""};
    const LogPage page =
        ReadPage(*store_, log_, filter, 0, sequencer_->GetHead(log_).size, 10, 1 << 20).value();
    EXPECT_LE(page.records.size(), 1);
    if (page.records.empty()) return -1;
    return tlog::Decode(page.records[0].bytes).value().fields.count;
  }
  // That the log goes on from the checkpoint that was kept at the backup, and from the newest.
  void ExpectGoesOn() {
    EXPECT_TRUE(Verify(log_).good) << Verify(log_).problem;
    tlog::LogCheckOptions options;
    for (const LogKeyRange& range : KeysOf(log_)) options.keys.push_back(range.key);
    options.old_checkpoints = {{"at the backup", kept_}, {"newest", export_["checkpoint"]}};
    const tlog::LogReport report = CheckFiles(Export(log_), options);
    EXPECT_EQ(report.verdict, tlog::Verdict::kGood) << report.problem;
    EXPECT_EQ(report.old_checkpoints_held, 2);
  }

  Rowset backup_, newest_;
  std::string head_;  // the rollback anchor's bytes at the end
  std::string kept_;  // the checkpoint at the backup
  Files export_;      // of the whole log
  std::unique_ptr<RollbackAnchor> anchor_;
};

}  // namespace vault::recovery

#endif  // VAULT_TESTS_RECOVERY_OFFLINE_FIXTURE_H_
