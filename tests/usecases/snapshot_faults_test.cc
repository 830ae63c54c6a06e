// The store gives no snapshot: every call and job that would have read from one ends with that, has
// its entry, discloses nothing and leaves nothing half done.
#include <algorithm>

#include "tests/usecases/usecases_fixture.h"
#include "vault/base/row_families.h"

namespace vault::usecases {
namespace {

using row::v1::JobRow;

constexpr char kPhone[] = "03-1234-5678";

class SnapshotFaultsTest : public UsecasesTest {
 protected:
  SnapshotFaultsTest() { SetMinLogSeverity(LogSeverity::FATAL); }
  ~SnapshotFaultsTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  void NoSnapshots(int but = 0) {
    vault().faults()->FailSnapshots(absl::UnavailableError("/var/lib/vault/db is away"), but);
  }
  void SnapshotsAgain() { vault().faults()->FailSnapshots(absl::OkStatus()); }

  // Everything in the store that is not the trail.
  std::map<std::string, std::string> Stored() {
    std::map<std::string, std::string> rows = vault().Rows("");
    for (const absl::string_view trail : {kEntryPrefix, kHeadPrefix, kSubtreePrefix}) {
      rows.erase(rows.lower_bound(std::string(trail)),
                 rows.lower_bound(std::string(trail.substr(0, 1)) + "0"));
    }
    return rows;
  }

  // One entry, of an allowed call that ended so; no row but the trail's is another.
  template <typename Call>
  void ExpectOneFailure(absl::string_view action, const LogId& log, Call call) {
    SCOPED_TRACE(action);
    const std::map<std::string, std::string> before = Stored();
    const size_t entries = EntryCount(log);
    NoSnapshots();
    const absl::Status status = call();
    SnapshotsAgain();
    // Without a reason: rpc keeps the text for the service's log.
    EXPECT_EQ(Outcome(status), "UNAVAILABLE ");
    ASSERT_EQ(EntryCount(log), entries + 1);
    const tlog::EntryFields entry = vault().LastEntry(log);
    EXPECT_EQ(entry.action, action);
    EXPECT_EQ(entry.decision, "ALLOW");
    EXPECT_EQ(entry.outcome, "UNAVAILABLE");
    EXPECT_THAT(entry.shown, IsEmpty());
    EXPECT_THAT(entry.masked, IsEmpty());
    EXPECT_THAT(entry.found, IsEmpty());
    EXPECT_EQ(Stored(), before);
  }

  // Rotations that begin while only the first so many snapshots can be taken, one more each time,
  // until one comes to its end.
  void RotateUntilDone(KeyKind kind, const std::string& log) {
    SCOPED_TRACE(inventory::KeyKindName(kind));
    const LogId id = *LogId::Parse(log);
    int failed = 0;
    for (int but = 0; but < 50; ++but) {
      NoSnapshots(but);
      const absl::StatusOr<JobRow> begun = vault().BeginRotation("security", kind, log);
      VAULT_ASSERT_OK(begun);
      const absl::StatusOr<JobRow> ended = vault().AwaitJob(log, begun->id());
      SnapshotsAgain();
      VAULT_ASSERT_OK(ended);
      const tlog::EntryFields entry = vault().LastEntry(id);
      EXPECT_EQ(entry.action, "key.rotate.end");
      EXPECT_EQ(entry.job, begun->id());
      vault().CheckAll();
      if (ended->state() == JobRow::STATE_DONE) {
        EXPECT_EQ(entry.outcome, "OK");
        EXPECT_GT(failed, 1);
        return;
      }
      ++failed;
      EXPECT_EQ(ended->state(), JobRow::STATE_FAILED);
      EXPECT_EQ(ended->failure(), "UNAVAILABLE");
      EXPECT_EQ(entry.outcome, "UNAVAILABLE");
    }
    ADD_FAILURE() << "no rotation came to its end";
  }
};

TEST_F(SnapshotFaultsTest, ALookupEndsWithItAndDisclosesNothing) {
  vault().Add(1, {{"phone", kPhone}});
  ExpectOneFailure("resident.lookup", toshima_, [&] {
    return vault().Lookup("operator-toshima", {{"phone", kPhone}}).status();
  });
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", kPhone}}));
  EXPECT_EQ(found.residents.size(), 1u);
}

TEST_F(SnapshotFaultsTest, AGetEndsWithItAndDisclosesNothing) {
  const std::string id = vault().Add(1);
  ExpectOneFailure("resident.get", toshima_,
                   [&] { return vault().Get("operator-toshima", id).status(); });
}

TEST_F(SnapshotFaultsTest, AnUpdateChangesNothing) {
  const std::string id = vault().Add(1);
  ExpectOneFailure("resident.update", toshima_, [&] {
    return vault()
        .Update("booking-service", id, {{"phone", "03-9999-0000"}}, "", "request-1")
        .status();
  });
  // It was not remembered as done.
  VAULT_ASSERT_OK_AND_ASSIGN(
      const ChangeResult changed,
      vault().Update("booking-service", id, {{"phone", "03-9999-0000"}}, "", "request-1"));
  EXPECT_EQ(changed.version, 2u);
}

TEST_F(SnapshotFaultsTest, AnErasureErasesNothing) {
  const std::string id = vault().Add(1);
  ExpectOneFailure("resident.erase", toshima_, [&] {
    Awaited<CertificateResult> answer;
    vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"),
                                         {"131164", id, {"erasure", "C-1001", ""}, ""},
                                         answer.Callback());
    return answer.Wait().status();
  });
  VAULT_EXPECT_OK(vault().Get("operator-toshima", id));
}

TEST_F(SnapshotFaultsTest, KeyStatusEndsWithItInsteadOfCountingNothing) {
  vault().Add(1);
  ExpectOneFailure("key.status", toshima_, [&] { return vault().KeyStatus("security").status(); });
  ExpectOneFailure("key.status", LogId::Service(),
                   [&] { return vault().KeyStatus("security", "service").status(); });
}

TEST_F(SnapshotFaultsTest, ARotationFailsWithItAndTheNextOneGoesOn) {
  for (int n = 1; n <= 3; ++n) vault().Add(n);
  for (const KeyKind kind : {KeyKind::kKek, KeyKind::kDek, KeyKind::kIndex}) {
    RotateUntilDone(kind, "131164");
  }
  RotateUntilDone(KeyKind::kMac, "service");
  // A rotation that was cut off was gone on with: no further version.
  EXPECT_EQ(vault().keyring()->Tenant(Toshima())->active_kek().version, 2u);
}

}  // namespace
}  // namespace vault::usecases
