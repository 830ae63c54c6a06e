// What the tests of approvals share: calls that wait, and what rows and entries say.
#ifndef VAULT_TESTS_USECASES_APPROVAL_FIXTURE_H_
#define VAULT_TESTS_USECASES_APPROVAL_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/usecases/usecases_fixture.h"
#include "vault/audit/layout.h"
#include "vault/crypto/sealed_row.h"
#include "vault/inventory/approval_rows.h"
#include "vault/inventory/key_files.h"
#include "vault/keys/keyring_file.h"
#include "vault/usecases/approvals/effects.h"

namespace vault::usecases {

using grants::Approval;
using grants::ApprovalState;
using grants::Operation;
using grants::OperationKind;

inline Operation DestroyKek(uint64_t version) {
  return {OperationKind::kDestroyKey, Toshima(), "kek", version};
}
inline Operation DestroyIndex(uint64_t version) {
  return {OperationKind::kDestroyKey, Toshima(), "index", version};
}
inline Operation DestroyStorage(uint64_t id) {
  return {OperationKind::kDestroyKey, absl::nullopt, "storage", id};
}
inline Operation Offboard() { return {OperationKind::kOffboardTenant, Toshima(), "", 0}; }
inline Operation RotateRoot() { return {OperationKind::kRotateRoot, absl::nullopt, "", 0}; }
inline Operation Attest(uint64_t serial) {
  return {OperationKind::kAttestCopiesDestroyed, absl::nullopt, "", serial};
}

// None: the service's own log.
inline Operation NewLogKey(absl::optional<TenantId> tenant, bool compromised = false) {
  return {OperationKind::kRotateLogKey, std::move(tenant), "", 0, compromised};
}
inline Operation PruneLog(absl::optional<TenantId> tenant, absl::Time before) {
  return {OperationKind::kPruneLog, std::move(tenant), "", 0, false, before};
}

class ApprovalTest : public UsecasesTest {
 protected:
  // Entries that concern no resident, in one commit.
  void Fill(const LogId& log, size_t entries) {
    audit::Submission submission(log);
    tlog::EntryFields entry;
    entry.action = "resident.get";
    entry.outcome = "OK";
    submission.entries.resize(entries, entry);
    VAULT_ASSERT_OK(vault().sequencer()->SubmitAndWait(std::move(submission)));
  }
  // As the rows say: the sequencer's own size moves a moment after a job's last row is seen.
  uint64_t SizeOf(const LogId& log) {
    uint64_t size = vault().sequencer()->GetHead(log).size;
    const auto rows = vault().Rows(audit::EntryPrefix(log));
    while (rows.count(audit::EntryKey(log, size)) != 0) ++size;
    return size;
  }
  // The actions, decisions and outcomes of what came since.
  std::vector<std::string> Since(const LogId& log, uint64_t size) {
    std::vector<std::string> said;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      if (entry.place.seq < size) continue;
      said.push_back(
          absl::StrCat(entry.fields.action, " ", entry.fields.decision, " ", entry.fields.outcome));
    }
    return said;
  }

  absl::StatusOr<ApprovalResult> Propose(const Operation& operation,
                                         absl::string_view persona = "security") {
    Awaited<ApprovalResult> answer;
    vault().use_cases()->approvals().Propose(TestVault::Info(persona), operation,
                                             answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<ApprovalResult> Get(const std::string& id,
                                     absl::string_view persona = "security-2") {
    Awaited<ApprovalResult> answer;
    vault().use_cases()->approvals().Get(TestVault::Info(persona), id, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<Page<Approval>> ListPage(bool open, PageRequest page,
                                          absl::string_view persona = "security",
                                          const std::string& log = "service") {
    Awaited<Page<Approval>> answer;
    vault().use_cases()->approvals().List(TestVault::Info(persona), log, open, std::move(page),
                                          answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<std::vector<Approval>> List(bool open, absl::string_view persona = "security") {
    ASSIGN_OR_RETURN(Page<Approval> page, ListPage(open, {kPageSizeMax, ""}, persona));
    return std::move(page.rows);
  }
  absl::StatusOr<Approval> Approve(const std::string& id, const std::string& digest,
                                   absl::string_view persona = "security-2") {
    Awaited<Approval> answer;
    vault().use_cases()->approvals().Approve(TestVault::Info(persona), id, digest,
                                             answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<Approval> Withdraw(const std::string& id, absl::string_view persona = "security") {
    Awaited<Approval> answer;
    vault().use_cases()->approvals().Withdraw(TestVault::Info(persona), id, answer.Callback());
    return answer.Wait();
  }

  // As the rows say.
  Approval Stored(const std::string& id) {
    absl::StatusOr<StoredApproval> stored =
        ApprovalRows(vault().base(), vault().keyring()).ReadNewest(id);
    VAULT_CHECK(stored.ok()) << stored.status();
    return std::move(stored->approval);
  }
  row::v1::JobRow StoredJob(const std::string& id, const std::string& log = "service") {
    const std::string key = absl::StrCat("j/", log, "/", id);
    std::string bytes;
    row::v1::JobRow row;
    if (!vault().base()->Get(key, &bytes).ok()) return row;
    VAULT_CHECK(row.ParseFromString(vault().keyring()->OpenRow(key, bytes).value().content));
    return row;
  }
  // Waits until the approval and its job have ended, or the store has failed.
  Approval AwaitEnd(const std::string& id) {
    for (int i = 0; i < 10000; ++i) {
      const Approval approval = Stored(id);
      if (vault().fatal() != 0) return approval;
      const bool open = approval.state == ApprovalState::kProposed;
      const bool running = !approval.job.empty() &&
                           StoredJob(approval.job).state() == row::v1::JobRow::STATE_RUNNING;
      // Read again: the end of the approval may have come between the two readings.
      if (!open && !running) return Stored(id);
      absl::SleepFor(absl::Milliseconds(1));
    }
    ADD_FAILURE() << "the job does not end";
    return Stored(id);
  }
  // The same of a vault that was started again after its store had failed.
  void AwaitQuiet(const std::string& id) {
    for (int i = 0; i < 10000; ++i) {
      const Approval approval = Stored(id);
      if (approval.state != ApprovalState::kProposed &&
          approval.state != ApprovalState::kApproved &&
          StoredJob(approval.job).state() != row::v1::JobRow::STATE_RUNNING) {
        return;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    FAIL() << "the job does not end";
  }
  // Proposed, looked at, approved, carried out.
  Approval Execute(const Operation& operation) {
    absl::StatusOr<ApprovalResult> proposed = Propose(operation);
    VAULT_CHECK(proposed.ok()) << proposed.status();
    const absl::StatusOr<Approval> approved =
        Approve(proposed->approval.id, proposed->effect->digest);
    VAULT_CHECK(approved.ok()) << approved.status();
    return AwaitEnd(proposed->approval.id);
  }
  // A rotation by the service itself, waited for.
  void Rotate(KeyKind kind, const std::string& log = "131164") {
    Awaited<row::v1::JobRow> answer;
    RotateRequest request;
    request.log = log;
    request.kind = kind;
    request.rows_per_second = 0;
    vault().use_cases()->keys().Rotate(TestVault::Info("security"), request, answer.Callback());
    const absl::StatusOr<row::v1::JobRow> begun = answer.Wait();
    ASSERT_TRUE(begun.ok()) << begun.status();
    for (int i = 0; i < 10000; ++i) {
      const row::v1::JobRow job = StoredJob(begun->id(), log);
      if (job.state() != row::v1::JobRow::STATE_RUNNING) {
        ASSERT_EQ(job.state(), row::v1::JobRow::STATE_DONE) << job.failure();
        return;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    FAIL() << "the rotation does not end";
  }

  keys::KeyState KekState(uint32_t version) {
    return vault().keyring()->Infos(Toshima(), keys::TenantKey::kKek)[version - 1].state;
  }
  keys::KeyState IndexState(uint32_t version) {
    return vault().keyring()->Infos(Toshima(), keys::TenantKey::kIndex)[version - 1].state;
  }
  // The actions of a log's entries that name this approval and went well.
  std::vector<std::string> Actions(const LogId& log, const std::string& grant) {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries(log)) {
      if (entry.fields.grant == grant && entry.fields.outcome == "OK") {
        actions.push_back(entry.fields.action);
      }
    }
    return actions;
  }
  // A row that whoever has the MAC key might have written.
  void PutApproval(const Approval& approval, uint64_t seq) {
    const std::string key = grants::ApprovalKey(approval.id);
    vault().PutRow(key, vault().keyring()->SealRow(key, seq, grants::EncodeApproval(approval)));
  }
  void DeleteRow(const std::string& key) {
    store::Batch batch;
    batch.Delete(key);
    VAULT_CHECK(vault().base()->Write(batch).ok());
  }
  std::string Copies() { return vault().keys()->Path("copies"); }
  std::string RootFile() { return vault().keys()->Path("root.key"); }
  // A keyring's file, opened with the root key in another.
  absl::StatusOr<keys::KeyringContents> FileUnder(const std::string& root,
                                                  const std::string& file) {
    ASSIGN_OR_RETURN(const keys::RootKey key, keys::RootKey::Load(root, vault().keys()->arena()));
    return keys::DecodeKeyring(store::ReadBytes(file), key.key(), vault().keys()->arena());
  }
  void MakeNextRootKey() {
    VAULT_ASSERT_OK(keys::RootKey::Create(RootFile() + ".next", *vault().random()));
  }

  const LogId service_ = LogId::Service();
};

}  // namespace vault::usecases

#endif  // VAULT_TESTS_USECASES_APPROVAL_FIXTURE_H_
