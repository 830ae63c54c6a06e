// The keys of the service that MAC rows and the rollback anchor, and that seal page tokens: rotated
// while the service runs, cut off and taken up again, and destroyed when nothing is under them.
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "tests/store/temp_dir.h"
#include "tests/usecases/approval_fixture.h"
#include "vault/base/row_families.h"
#include "vault/crypto/sealed_row.h"
#include "vault/inventory/sealed_rows.h"

namespace vault::usecases {
namespace {

using keys::KeyState;
using keys::ServiceKey;
using row::v1::JobRow;
using Counts = std::map<uint32_t, uint64_t>;

Operation DestroyMac(uint64_t version) {
  return {OperationKind::kDestroyKey, absl::nullopt, "mac", version};
}

class MacRotationTest : public ApprovalTest {
 protected:
  static constexpr char kService[] = "service";

  // Rows of several kinds: jobs and what points at them, an erasure, approvals, single facts.
  void MakeRows() {
    const std::string resident = vault().Add(1);
    vault().Add(2);
    Rotate(KeyKind::kKek);
    VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyKek(1)));
    proposed_ = proposed;
    VAULT_ASSERT_OK(Propose(Attest(1)));
    Awaited<CertificateResult> erased;
    EraseRequest request;
    request.tenant = "131164";
    request.resident = resident;
    request.context = {"erasure", "E-1", ""};
    vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"), std::move(request),
                                         erased.Callback());
    VAULT_ASSERT_OK(erased.Wait().status());
  }
  // Every sealed row.
  std::map<std::string, std::string> SealedRows() {
    std::map<std::string, std::string> rows;
    for (const RowFamily& family : kRowFamilies) {
      if (family.sealed) rows.merge(vault().Rows(family.prefix));
    }
    return rows;
  }
  // How many there are by version, by the rows' own bytes.
  Counts Under() {
    Counts versions;
    for (const auto& [key, bytes] : SealedRows()) {
      const absl::StatusOr<uint32_t> version = crypto::RowKeyVersion(bytes);
      if (version.ok()) ++versions[*version];
    }
    return versions;
  }
  KeyState State(ServiceKey what, uint32_t version) {
    return vault().keyring()->Infos(what)[version - 1].state;
  }
  JobRow Begin(KeyKind kind, uint32_t rate = 0, bool dry_run = false) {
    absl::StatusOr<JobRow> job = vault().BeginRotation("security", kind, kService, rate, dry_run);
    VAULT_CHECK(job.ok()) << job.status();
    return *job;
  }
  JobRow Ended(const JobRow& job) {
    absl::StatusOr<JobRow> ended = vault().AwaitJob(job.log(), job.id());
    VAULT_CHECK(ended.ok()) << ended.status();
    return *ended;
  }
  absl::StatusOr<CompromisedResult> MarkCompromised(KeyKind kind, uint32_t version,
                                                    const std::string& log = kService) {
    Awaited<CompromisedResult> answer;
    vault().use_cases()->keys().MarkCompromised(TestVault::Info("security"), log, kind, version,
                                                answer.Callback());
    return answer.Wait();
  }
  std::vector<std::string> RotationEntries() {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries(service_)) {
      if (absl::StartsWith(entry.fields.action, "key.") && entry.fields.key != "kek") {
        actions.push_back(entry.fields.action);
      }
    }
    return actions;
  }
  // The versions that the slots of the rollback anchor name.
  Counts HeadVersions() {
    const std::string file = store::ReadBytes(vault().keys()->Path("anchor"));
    Counts versions;
    for (size_t at = 0; at + 128 <= file.size(); at += 128) {
      if (file.compare(at, 2, "VH") == 0) ++versions[static_cast<uint8_t>(file[at + 67])];
    }
    return versions;
  }

  // A rotation that is stopped after ten rows.
  JobRow BegunAndCancelled() {
    for (int i = 0; i < 60; ++i) {
      PutApproval(
          grants::Propose(absl::StrCat(std::string(30, 'a'), i / 10, i % 10), Attest(1000 + i),
                          "urn:vault:security", vault().clock.Now(), absl::Hours(1))
              .value(),
          1);
    }
    const JobRow job = Begin(KeyKind::kMac, /*rate=*/100);
    while (vault().StoredJob(kService, job.id())->done() < 10) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    Awaited<JobRow> cancelled;
    vault().use_cases()->job_control().Cancel(TestVault::Info("security"), kService, job.id(),
                                              cancelled.Callback());
    return cancelled.Wait().value();
  }

  ApprovalResult proposed_;
};

TEST_F(MacRotationTest, EveryRowAndTheRollbackAnchorAreSealedAnew) {
  MakeRows();
  const auto before = SealedRows();
  const size_t count = before.size();
  std::map<std::string, crypto::SealedRow> opened;
  std::map<std::string, int> kinds;
  for (const auto& [key, bytes] : before) {
    opened[key] = vault().keyring()->OpenRow(key, bytes).value();
    ++kinds[key.substr(0, 2)];
  }
  EXPECT_EQ(kinds.count("g/") + kinds.count("j/") + kinds.count("x/") + kinds.count("m/"), 4u);
  ASSERT_EQ(Under(), (Counts{{1, count}}));
  const JobRow job = Ended(Begin(KeyKind::kMac));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(job.done(), count + 1) << "with the row that points at it";
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 0);
  EXPECT_EQ(Under(), (Counts{{2, count + 2}})) << "and with its own";
  EXPECT_FALSE(vault().keyring()->mac_pending());
  const Counts head = HeadVersions();
  EXPECT_EQ(head.size(), 1u);
  EXPECT_GE(head.at(2), 8u);
  const auto after = SealedRows();
  for (const auto& [key, row] : opened) {
    VAULT_ASSERT_OK_AND_ASSIGN(const crypto::SealedRow now,
                               vault().keyring()->OpenRow(key, after.at(key)));
    EXPECT_EQ(now.seq, row.seq) << key.substr(0, 2);
    EXPECT_EQ(now.content, row.content);
  }
  EXPECT_THAT(RotationEntries(),
              ElementsAre("key.rotate.begin", "key.activate", "key.reseal", "key.rotate.end"));
  EXPECT_EQ(vault().LastEntry(service_).key, "mac");
  // What was proposed before goes on.
  VAULT_ASSERT_OK(Approve(proposed_.approval.id, proposed_.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed_.approval.id).state, ApprovalState::kExecuted);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  vault().CheckAll();
}

TEST_F(MacRotationTest, StatusCountsRowsByVersion) {
  MakeRows();
  const auto status = [&](KeyKind kind) {
    std::vector<KeyStatusResult::Version> versions;
    const absl::StatusOr<KeyStatusResult> result = vault().KeyStatus("security", kService);
    VAULT_CHECK(result.ok());
    for (const KeyStatusResult::Version& version : result->versions) {
      if (version.kind == kind) versions.push_back(version);
    }
    return versions;
  };
  const uint64_t count = SealedRows().size();
  ASSERT_EQ(status(KeyKind::kMac).size(), 1u);
  EXPECT_EQ(status(KeyKind::kMac)[0].under, count);
  Rotate(KeyKind::kMac, kService);
  Rotate(KeyKind::kToken, kService);
  const auto macs = status(KeyKind::kMac);
  ASSERT_EQ(macs.size(), 2u);
  EXPECT_EQ(macs[0].under, 0u);
  EXPECT_EQ(macs[0].state, KeyState::kDeactivated);
  EXPECT_EQ(macs[1].under, count + 4);
  const auto tokens = status(KeyKind::kToken);
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].state, KeyState::kDestroyed);
  EXPECT_FALSE(tokens[1].under.has_value());
}

TEST_F(MacRotationTest, ADryRunCountsAndChangesNothing) {
  MakeRows();
  const auto rows = SealedRows();
  const uint64_t serial = vault().keyring()->serial();
  const JobRow job = Ended(Begin(KeyKind::kMac, 0, /*dry_run=*/true));
  EXPECT_EQ(job.total(), rows.size() + 2);
  EXPECT_EQ(job.done(), 0);
  EXPECT_EQ(vault().keyring()->serial(), serial);
  for (const auto& [key, bytes] : rows) EXPECT_EQ(SealedRows().at(key), bytes);
  EXPECT_EQ(Under().size(), 1u);
}

// The row of a job that runs is what it left: sealed anew by the job itself, with its next step.
TEST_F(MacRotationTest, WhatARunningJobHoldsIsLeftToItUntilItGoesOn) {
  for (int i = 0; i < 30; ++i) vault().Add(i);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow held,
                             vault().BeginRotation("security", KeyKind::kKek, "131164", 100));
  while (vault().StoredJob("131164", held.id())->done() < 10) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const std::string row = vault().Rows(absl::StrCat("j/131164/", held.id())).begin()->second;
  const JobRow job = Begin(KeyKind::kMac);
  while (Under()[1] > 1) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(vault().Rows(absl::StrCat("j/131164/", held.id())).begin()->second, row);
  EXPECT_EQ(vault().StoredJob(kService, job.id())->state(), JobRow::STATE_RUNNING);
  EXPECT_TRUE(vault().keyring()->mac_pending());
  // AwaitJob moves the clock on.
  EXPECT_EQ(Ended(held).state(), JobRow::STATE_DONE);
  EXPECT_EQ(Ended(job).state(), JobRow::STATE_DONE);
  EXPECT_EQ(Under().size(), 1u);
  vault().CheckAll();
}

// A job that is durable and has not begun yet is not known to run.
TEST_F(MacRotationTest, AJobThatHasJustBegunKeepsItsRow) {
  MakeRows();
  JobRow mac;
  std::string id;
  vault().store()->after_get = [&](absl::string_view key, std::string* value) {
    // What its start reads.
    if (!absl::StartsWith(key, "j/131164/") || key.size() != 9 + kJobIdSize || !id.empty()) return;
    JobRow row;
    VAULT_CHECK(row.ParseFromString(vault().keyring()->OpenRow(key, *value).value().content));
    if (row.state() != JobRow::STATE_RUNNING || row.kind() != "rotate-index") return;
    id = row.id();
    mac = Begin(KeyKind::kMac);
    // But for this one all have moved.
    while (vault().keyring()->write_mac().version == 1 || Under()[1] > 1) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  };
  VAULT_ASSERT_OK(vault().BeginRotation("security", KeyKind::kIndex, "131164").status());
  vault().store()->after_get = nullptr;
  ASSERT_NE(id, "");
  EXPECT_EQ(Ended(mac).state(), JobRow::STATE_DONE);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow index, vault().AwaitJob("131164", id));
  EXPECT_EQ(index.state(), JobRow::STATE_DONE);
  EXPECT_EQ(Under().size(), 1u);
}

TEST_F(MacRotationTest, ACancelledOneIsPendingAndTheNextGoesOn) {
  MakeRows();
  const JobRow ended = BegunAndCancelled();
  EXPECT_EQ(ended.state(), JobRow::STATE_CANCELLED);
  EXPECT_TRUE(vault().keyring()->mac_pending());
  EXPECT_EQ(Under().size(), 2u);
  vault().CheckAll();
  EXPECT_EQ(Outcome(Propose(DestroyMac(1)).status()), "FAILED_PRECONDITION PENDING");
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(Ended(Begin(KeyKind::kMac)).version(), 2) << "no further version";
  EXPECT_EQ(Under().size(), 1u);
  EXPECT_FALSE(vault().keyring()->mac_pending());
}

// The one that is rotated away from is one that nobody else has, or is marked.
class KilledMacRotationTest : public MacRotationTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Compromised, KilledMacRotationTest, ::testing::Bool());

TEST_P(KilledMacRotationTest, KilledAtAnyWriteItIsTakenUpAndEndsWithOneNewVersion) {
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(nth);
      Restart({});
      MakeRows();
      vault().faults()->FailWrite(nth, fault);
      std::string id;
      if (GetParam()) {
        const absl::StatusOr<CompromisedResult> marked = MarkCompromised(KeyKind::kMac, 1);
        if (marked.ok()) id = marked->jobs[0].id();
      } else {
        const absl::StatusOr<JobRow> begun =
            vault().BeginRotation("security", KeyKind::kMac, kService);
        if (begun.ok()) id = begun->id();
      }
      const bool whole = !id.empty() && vault().AwaitJob(kService, id).ok();
      vault().Stop();
      VAULT_ASSERT_OK(vault().Start());
      for (const JobRow& job : vault().StoredJobs(kService)) Ended(job);
      const size_t versions = vault().keyring()->Infos(ServiceKey::kMac).size();
      // Of one that never began nothing is there.
      if (versions == 1) {
        EXPECT_EQ(id, "");
        EXPECT_EQ(Under().size(), 1u);
        continue;
      }
      EXPECT_EQ(State(ServiceKey::kMac, 1),
                GetParam() ? KeyState::kCompromised : KeyState::kDeactivated);
      EXPECT_EQ(versions, 2u);
      EXPECT_FALSE(vault().keyring()->mac_pending());
      EXPECT_EQ(Under().size(), 1u);
      EXPECT_EQ(HeadVersions().size(), 1u);
      vault().CheckAll();
      if (whole) break;
      ASSERT_LT(nth, 20);
    }
  }
}

// Whoever has the old key could write rows under it; nobody else does any more.
TEST_F(MacRotationTest, UnderACompromisedVersionNothingCountsOnceAllHasMoved) {
  MakeRows();
  const std::string key = grants::ApprovalKey(proposed_.approval.id);
  const std::string old = vault().Rows(key).at(key);
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult result, MarkCompromised(KeyKind::kMac, 1));
  ASSERT_EQ(result.jobs.size(), 1u);
  EXPECT_GT(result.under, 5u);
  EXPECT_EQ(Ended(result.jobs[0]).state(), JobRow::STATE_DONE);
  EXPECT_EQ(State(ServiceKey::kMac, 1), KeyState::kCompromised);
  EXPECT_EQ(Under().size(), 1u);
  VAULT_EXPECT_OK(Get(proposed_.approval.id));
  vault().PutRow(key, old);
  EXPECT_TRUE(absl::IsDataLoss(Get(proposed_.approval.id).status()));
  EXPECT_TRUE(absl::IsDataLoss(Approve(proposed_.approval.id, proposed_.effect->digest).status()));
  DeleteRow(key);
  // A routine rotation leaves the version before readable: a row that comes back under it opens.
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult other, Propose(Attest(2)));
  const std::string other_key = grants::ApprovalKey(other.approval.id);
  const std::string before = vault().Rows(other_key).at(other_key);
  Rotate(KeyKind::kMac, kService);
  vault().PutRow(other_key, before);
  VAULT_EXPECT_OK(Get(other.approval.id));
  // Named compromised afterwards, it is read until that row has moved, and no longer.
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult second, MarkCompromised(KeyKind::kMac, 2));
  ASSERT_EQ(second.jobs.size(), 1u);
  EXPECT_EQ(Ended(second.jobs[0]).state(), JobRow::STATE_DONE);
  EXPECT_EQ(vault().keyring()->write_mac().version, 3u) << "the one that writes is well";
  VAULT_EXPECT_OK(Get(other.approval.id));
  vault().PutRow(other_key, before);
  EXPECT_TRUE(absl::IsDataLoss(Get(other.approval.id).status()));
  DeleteRow(other_key);
}

// The mark of one that has moved opens the rotation again: who runs one beside it may be through
// before.
TEST_F(MacRotationTest, NoneIsMarkedBesideARotationThatMayEndBeforeTheMark) {
  MakeRows();
  Rotate(KeyKind::kMac, kService);
  const JobRow job = Begin(KeyKind::kMac, /*rate=*/1);
  for (const uint32_t version : {1, 2}) {
    EXPECT_EQ(Outcome(MarkCompromised(KeyKind::kMac, version).status()), "ABORTED CONFLICT")
        << version;
  }
  EXPECT_THAT(vault().Rows("o/"), IsEmpty());
  EXPECT_EQ(State(ServiceKey::kMac, 1), KeyState::kDeactivated);
  EXPECT_EQ(Ended(job).state(), JobRow::STATE_DONE);
  EXPECT_FALSE(vault().keyring()->mac_pending());
}

TEST_F(MacRotationTest, MarkedOnceMoreItMovesNothingAndRotatesNoneThatIsWell) {
  MakeRows();
  Rotate(KeyKind::kMac, kService);
  for (const size_t jobs : {1, 0}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult marked, MarkCompromised(KeyKind::kMac, 1));
    ASSERT_EQ(marked.jobs.size(), jobs);
    for (const JobRow& job : marked.jobs) EXPECT_EQ(Ended(job).state(), JobRow::STATE_DONE);
    EXPECT_EQ(vault().keyring()->write_mac().version, 2u);
    EXPECT_FALSE(vault().keyring()->mac_pending());
  }
}

TEST_F(MacRotationTest, TheActiveOneOfAPendingRotationIsLeftOnceThatIsOver) {
  MakeRows();
  BegunAndCancelled();
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult marked, MarkCompromised(KeyKind::kMac, 2));
  ASSERT_EQ(marked.jobs.size(), 1u);
  EXPECT_EQ(Ended(marked.jobs[0]).state(), JobRow::STATE_DONE);
  EXPECT_EQ(vault().keyring()->write_mac().version, 3u);
  EXPECT_EQ(State(ServiceKey::kMac, 1), KeyState::kDeactivated);
  EXPECT_EQ(State(ServiceKey::kMac, 2), KeyState::kCompromised);
  EXPECT_EQ(Under().size(), 1u);
  EXPECT_EQ(HeadVersions().size(), 1u);
}

// A rotation may come between an act and the entry that ends it.
TEST_F(MacRotationTest, AnIntentWhoseRowIsSealedAnewBesideItEndsAsItWould) {
  vault().Add(1);
  Rotate(KeyKind::kKek);
  bool done = false;
  vault().store()->after_get = [&](absl::string_view key, std::string* value) {
    if (!absl::StartsWith(key, "o/") || std::exchange(done, true)) return;
    keys::Keyring* const ring = vault().keyring();
    const crypto::SealedRow row = ring->OpenRow(key, *value).value();
    VAULT_CHECK(ring->AddServiceKey(ServiceKey::kMac, false).ok());
    vault().PutRow(std::string(key), ring->SealRow(key, row.seq, row.content));
  };
  VAULT_ASSERT_OK(MarkCompromised(KeyKind::kKek, 1, "131164"));
  vault().store()->after_get = nullptr;
  EXPECT_TRUE(done);
  EXPECT_THAT(vault().Rows("o/"), IsEmpty());
  EXPECT_EQ(KekState(1), KeyState::kCompromised);
  for (const JobRow& job : vault().StoredJobs("131164")) Ended(job);
}

TEST_F(MacRotationTest, DamagedRowsAreLeftAsTheyAreAndHoldNothingUp) {
  MakeRows();
  const std::string ids[] = {std::string(32, 'a'), std::string(32, 'b'), std::string(32, 'c')};
  std::string flipped = vault().Rows("g/").begin()->second;
  flipped.back() ^= 1;
  std::string of_the_future = flipped;
  of_the_future[4] = 9;
  const std::string bytes[] = {"", flipped, of_the_future};
  for (int i = 0; i < 3; ++i) vault().PutRow(grants::ApprovalKey(ids[i]), bytes[i]);
  const JobRow job = Ended(Begin(KeyKind::kMac));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(vault().Rows(grants::ApprovalKey(ids[i])).begin()->second, bytes[i]) << i;
    EXPECT_TRUE(absl::IsDataLoss(Get(ids[i]).status())) << i;
  }
  // No key is kept for them.
  EXPECT_EQ(Execute(DestroyMac(1)).state, ApprovalState::kExecuted);
  for (const std::string& id : ids) DeleteRow(grants::ApprovalKey(id));
}

TEST_F(MacRotationTest, AVersionIsDestroyedByTwoPeopleWhenNoRowIsUnderIt) {
  MakeRows();
  EXPECT_EQ(Outcome(Propose(DestroyMac(1)).status()), "FAILED_PRECONDITION STILL_ACTIVE");
  EXPECT_EQ(Outcome(Propose(DestroyMac(2)).status()), "NOT_FOUND NOT_FOUND");
  const std::string key = grants::ApprovalKey(proposed_.approval.id);
  const std::string old = vault().Rows(key).at(key);
  Rotate(KeyKind::kMac, kService);
  const std::string now = vault().Rows(key).at(key);
  vault().PutRow(key, old);
  EXPECT_EQ(Outcome(Propose(DestroyMac(1)).status()), "FAILED_PRECONDITION NOT_EMPTY");
  vault().PutRow(key, now);
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(DestroyMac(1)));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("Destroys MAC key version 1 for good"));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("Rows under it: 0"));
  EXPECT_THAT(proposed.effect->text_ja, HasSubstr("認証鍵"));
  EXPECT_EQ(Outcome(Approve(proposed.approval.id, proposed.effect->digest, "security").status()),
            "PERMISSION_DENIED SAME_PERSON");
  EXPECT_EQ(State(ServiceKey::kMac, 1), KeyState::kDeactivated);
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_EQ(AwaitEnd(proposed.approval.id).state, ApprovalState::kExecuted);
  EXPECT_EQ(State(ServiceKey::kMac, 1), KeyState::kDestroyed);
  EXPECT_EQ(Outcome(Propose(DestroyMac(1)).status()), "FAILED_PRECONDITION DESTROYED");
  vault().PutRow(key, old);
  EXPECT_TRUE(absl::IsDataLoss(Get(proposed_.approval.id).status()));
  vault().PutRow(key, now);
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  vault().CheckAll();
}

TEST_F(MacRotationTest, PageTokensOfBeforeAreRefusedAfterTheTokenKeysRotation) {
  for (int i = 0; i < 6; ++i) vault().Add(i);
  const ListRequest first{"131164", {}, {2, ""}};
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult page, vault().List("compliance-toshima", first));
  ASSERT_NE(page.next_page_token, "");
  const ListRequest next{"131164", {}, {2, page.next_page_token}};
  VAULT_EXPECT_OK(vault().List("compliance-toshima", next));
  const JobRow job = Ended(Begin(KeyKind::kToken));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.version(), 2);
  EXPECT_EQ(State(ServiceKey::kToken, 1), KeyState::kDestroyed);
  EXPECT_EQ(GetFieldPath(vault().List("compliance-toshima", next).status()), "page_token");
  VAULT_ASSERT_OK_AND_ASSIGN(const ListResult again, vault().List("compliance-toshima", first));
  VAULT_EXPECT_OK(vault().List("compliance-toshima", {"131164", {}, {2, again.next_page_token}}));
  // The one before is gone already, and the one of now is rotated.
  EXPECT_EQ(GetReason(MarkCompromised(KeyKind::kToken, 1).status()), "DESTROYED");
  VAULT_ASSERT_OK_AND_ASSIGN(const CompromisedResult result, MarkCompromised(KeyKind::kToken, 2));
  ASSERT_EQ(result.jobs.size(), 1u);
  EXPECT_EQ(Ended(result.jobs[0]).version(), 3);
}

TEST_F(MacRotationTest, ATokenRotationThatACrashCutOffMakesNoFurtherVersion) {
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    Restart({});
    vault().faults()->FailWrite(2, fault);  // of the entry that says to which version it moves
    const JobRow job = Begin(KeyKind::kToken);
    EXPECT_FALSE(vault().AwaitJob(kService, job.id()).ok());
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_EQ(Ended(job).version(), 2);
    EXPECT_EQ(vault().keyring()->Infos(ServiceKey::kToken).size(), 2u);
  }
}

TEST_F(MacRotationTest, TheseKeysAreTheServicesAndNoTenants) {
  for (const KeyKind kind : {KeyKind::kMac, KeyKind::kToken}) {
    EXPECT_EQ(GetFieldPath(vault().BeginRotation("security", kind, "131164").status()), "kind");
    EXPECT_EQ(GetFieldPath(MarkCompromised(kind, 1, "131164").status()), "kind");
    EXPECT_TRUE(absl::IsNotFound(MarkCompromised(kind, 2).status()));
    Awaited<bool> listed;
    vault().use_cases()->keys().ListUnder(
        TestVault::Info("security"), kService, kind, 1,
        [](std::vector<std::string>) { return true; }, listed.Callback());
    EXPECT_EQ(GetFieldPath(listed.Wait().status()), "kind");
    for (const char* persona : {"operator-toshima", "officer-toshima", "compliance-toshima"}) {
      EXPECT_TRUE(absl::IsPermissionDenied(vault().BeginRotation(persona, kind, kService).status()))
          << persona;
    }
  }
  for (Operation wrong : {DestroyMac(1), DestroyMac(0)}) {
    if (wrong.version == 1) wrong.tenant = Toshima();
    EXPECT_TRUE(absl::IsInvalidArgument(Propose(wrong).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(
      Propose({OperationKind::kDestroyKey, absl::nullopt, "token", 1}).status()));
}

}  // namespace
}  // namespace vault::usecases
