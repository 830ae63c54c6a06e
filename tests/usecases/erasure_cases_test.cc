// Erasing one resident and a programme's: what is gone, what the certificate says as the conditions
// are met, who may, what it races with, and what a crash leaves.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "tests/usecases/approval_fixture.h"
#include "vault/audit/layout.h"
#include "vault/inventory/erasures.h"
#include "vault/pipeline/idempotency.h"
#include "vault/records/record.h"
#include "vault/recovery/accept_keyring.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/merkle.h"

namespace vault::usecases {
namespace {

using ::testing::EndsWith;
using Copies = tlog::ErasureCertificate::Copies;
using row::v1::JobRow;

const Under kErasure{"erasure", "C-1001"};

class ErasureTest : public ApprovalTest {
 protected:
  absl::StatusOr<CertificateResult> Erase(const std::string& id,
                                          absl::string_view persona = "officer-toshima",
                                          const Under& under = kErasure,
                                          const std::string& etag = "") {
    Awaited<CertificateResult> answer;
    vault().use_cases()->erasure().Erase(
        TestVault::Info(persona),
        {under.tenant, id, {under.purpose, under.contact, under.reason, under.programme}, etag},
        answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<CertificateResult> Certificate(const std::string& id,
                                                absl::string_view persona = "officer-toshima",
                                                const std::string& tenant = "131164") {
    Awaited<CertificateResult> answer;
    vault().use_cases()->erasure().GetCertificate(TestVault::Info(persona), tenant, id,
                                                  answer.Callback());
    return answer.Wait();
  }
  // What it says, once the log's key has verified it.
  tlog::ErasureCertificate Verified(const CertificateResult& result) {
    const tlog::VerifierKey key = vault().checkpointer()->Keys(toshima_).value().back().key;
    absl::StatusOr<tlog::ErasureCertificate> facts = tlog::VerifyCertificate(result.note, key);
    VAULT_CHECK(facts.ok()) << facts.status();
    EXPECT_EQ(result.final, facts->final());
    EXPECT_EQ(result.text,
              absl::StrCat(tlog::CertificateTextJa(*facts), "\n", tlog::CertificateTextEn(*facts)));
    return *std::move(facts);
  }
  tlog::ErasureCertificate Facts(const std::string& id) {
    absl::StatusOr<CertificateResult> result = Certificate(id);
    VAULT_CHECK(result.ok()) << result.status();
    return Verified(*result);
  }
  // Later than what was destroyed so far, or it would not count.
  Approval AttestNow(uint64_t serial) {
    vault().clock.Advance(absl::Microseconds(1));
    return Execute(Attest(serial));
  }
  uint64_t Serial() { return vault().keyring()->serial(); }
  // All that an erasure which was made under the first keys waits for.
  void DestroyTheFirstKeys() {
    Rotate(KeyKind::kKek);
    Rotate(KeyKind::kIndex);
    ASSERT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
    ASSERT_EQ(Execute(DestroyIndex(1)).state, ApprovalState::kExecuted);
  }
  static ResidentId Id(const std::string& hex) { return ResidentId::Parse(hex).value(); }
  std::string RowKey(const std::string& id) { return records::RecordKey(Toshima(), Id(id)); }
  records::Record Stored(const std::string& id) {
    return records::DecodeRecord(Id(id), vault().Rows("r/").at(RowKey(id))).value();
  }
  bool There(const std::string& id) { return vault().Rows("r/").count(RowKey(id)) != 0; }
  // Rows, entries apart, in which the handle's bytes stand.
  std::vector<std::string> Naming(const std::string& id) {
    std::vector<std::string> kinds;
    for (const auto& [key, value] : vault().Rows("")) {
      const std::string bytes(Id(id).bytes());
      if (absl::StrContains(key, bytes) || absl::StrContains(value, bytes)) {
        kinds.push_back(key.substr(0, 2));
      }
    }
    return kinds;
  }
  std::vector<tlog::Entry> Erasures(const std::string& id) {
    std::vector<tlog::Entry> found;
    for (tlog::Entry& entry : vault().Entries()) {
      if (entry.fields.action == "resident.erase" && entry.fields.resident == id &&
          entry.fields.outcome == "OK") {
        found.push_back(std::move(entry));
      }
    }
    return found;
  }

  absl::StatusOr<JobRow> BeginRetire(bool dry_run = false, uint32_t rows_per_second = 0,
                                     absl::string_view persona = "officer-toshima",
                                     const Under& under = {"erasure", "B-2027-1"},
                                     const std::string& programme = "vaccination") {
    Awaited<JobRow> answer;
    vault().use_cases()->erasure().Retire(
        TestVault::Info(persona),
        {under.tenant,
         programme,
         dry_run,
         {under.purpose, under.contact, under.reason, under.programme},
         rows_per_second},
        answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<JobRow> Retire(bool dry_run = false, uint32_t rows_per_second = 0) {
    ASSIGN_OR_RETURN(const JobRow begun, BeginRetire(dry_run, rows_per_second));
    return vault().AwaitJob("131164", begun.id());
  }
  // To this moment of UTC.
  void AdvanceTo(const absl::CivilSecond& then) {
    vault().clock.Advance(absl::FromCivil(then, absl::UTCTimeZone()) - vault().clock.Now());
  }
  // The first moment, in Japan, at which the shipped programme's residents may go.
  void AdvanceToTheEnd() { AdvanceTo(absl::CivilSecond(2027, 4, 30, 15, 0, 0)); }
  // As if stored by somebody of another programme.
  void SetProgramme(const std::string& id, const std::string& programme) {
    records::Record record = Stored(id);
    const auto keys = vault().keyring()->Tenant(Toshima());
    const keys::KekVersion& kek = *keys->FindKek(record.kek_version);
    keys::DekPlace place{Toshima(), record.id, record.programme, record.dek_version};
    const keys::Dek dek = keys::UnwrapDek(record.wrapped_dek, place, kek).value();
    place.programme = programme;
    record.wrapped_dek = keys::WrapDek(dek, place, kek, *vault().random());
    record.programme = programme;
    vault().PutRow(RowKey(id), records::EncodeRecord(record));
  }
};

TEST_F(ErasureTest, AnErasedResidentIsGoneFromEverywhere) {
  const std::string other = vault().Add(1);
  const auto rest_r = vault().Rows("r/"), rest_i = vault().Rows("i/");
  const std::string id = vault().Add(2);
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_EQ(GetReason(vault().Get("operator-toshima", id).status()), "NOT_FOUND");
  VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                             vault().Lookup("operator-toshima", {{"phone", "03-1234-5678"}}));
  ASSERT_EQ(found.residents.size(), 1u);
  EXPECT_EQ(found.residents[0].id.ToHex(), other);
  EXPECT_EQ(vault().Rows("r/"), rest_r);
  EXPECT_EQ(vault().Rows("i/"), rest_i);
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
  // Its number may be given again.
  vault().Add(2);
}

TEST_F(ErasureTest, TheEntriesSayWhoWhyAndWhichVersion) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(
      vault().Update("officer-toshima", id, {{"memo", "x"}}, "", "", {"correction", "C-1001"}));
  VAULT_ASSERT_OK(Erase(id));
  const std::vector<tlog::Entry> entries = vault().Entries();
  const tlog::EntryFields& erase = entries[entries.size() - 2].fields;
  EXPECT_EQ(erase.action, "resident.erase");
  EXPECT_EQ(erase.actor, "urn:vault:officer-toshima");
  EXPECT_EQ(erase.rule, "role.officer");
  EXPECT_EQ(erase.purpose, "erasure");
  EXPECT_EQ(erase.contact, "C-1001");
  EXPECT_EQ(erase.resident, id);
  EXPECT_EQ(erase.version, 2);
  EXPECT_EQ(erase.outcome, "OK");
  const tlog::EntryFields& certificate = entries.back().fields;
  EXPECT_EQ(certificate.action, "erasure.certificate");
  EXPECT_EQ(certificate.resident, id);
  EXPECT_EQ(certificate.actor, "urn:vault:officer-toshima");
}

TEST_F(ErasureTest, TheCertificateNamesTheEntryAndATreeThatHasIt) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult result, Erase(id));
  const tlog::ErasureCertificate facts = Verified(result);
  EXPECT_EQ(facts.tenant, Toshima());
  EXPECT_EQ(facts.resident.ToHex(), id);
  EXPECT_EQ(facts.record_version, 1u);
  EXPECT_EQ(facts.origin, "vault.example/audit/131164");
  const std::vector<tlog::Entry> erasures = Erasures(id);
  ASSERT_EQ(erasures.size(), 1u);
  EXPECT_EQ(facts.entry, erasures[0].place.seq);
  EXPECT_EQ(facts.erased, absl::FromUnixSeconds(absl::ToUnixSeconds(erasures[0].place.time)));
  ASSERT_TRUE(facts.inclusion.has_value());
  EXPECT_EQ(facts.inclusion->leaf,
            tlog::LeafHash(vault().Rows("e/").at(audit::EntryKey(toshima_, facts.entry))));
  EXPECT_GT(facts.inclusion->tree_size, facts.entry);
  tlog::TreeEdge edge;
  for (uint64_t i = 0; i < facts.inclusion->tree_size; ++i) {
    edge.Append(tlog::LeafHash(vault().Rows("e/").at(audit::EntryKey(toshima_, i))));
  }
  EXPECT_EQ(facts.inclusion->tree_root, edge.Root());
  EXPECT_FALSE(facts.final());
  EXPECT_THAT(result.text, EndsWith("Status: not final"));
}

// What is in a folder that is not mounted nobody knows, and no certificate says anything of it. An
// erasure waits for none.
TEST_F(ErasureTest, WhereTheFolderOfCopiesIsNotThereNothingIsCertified) {
  const std::string first = vault().Add(1), second = vault().Add(2);
  std::filesystem::rename(Copies(), Copies() + "-away");
  for (const std::string& id : {first, second}) {
    const absl::StatusOr<CertificateResult> erased = Erase(id);
    VAULT_ASSERT_OK(erased);
    EXPECT_EQ(erased->note, "");
    EXPECT_FALSE(erased->final);
    EXPECT_EQ(Outcome(Certificate(id).status()), "UNAVAILABLE FOLDER");
    EXPECT_FALSE(There(id));
    std::filesystem::create_directory(Copies());
  }
  std::filesystem::remove(Copies());
  std::filesystem::rename(Copies() + "-away", Copies());
  VAULT_EXPECT_OK(Certificate(first).status());
}

// Each condition alone is not enough, and the last one makes it final.
TEST_F(ErasureTest, TheConditionsAreMetOneByOne) {
  vault().Add(1);
  const std::string id = vault().Add(2);
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_THAT(Facts(id).keks_left, ElementsAre(1));
  EXPECT_THAT(Facts(id).indexes_left, ElementsAre(1));
  EXPECT_EQ(Facts(id).keyring_needed, 0u);
  Rotate(KeyKind::kKek);
  EXPECT_THAT(Facts(id).keks_left, ElementsAre(1)) << "2 never wrapped it";
  ASSERT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
  EXPECT_TRUE(Facts(id).kek_destroyed());
  EXPECT_FALSE(Facts(id).index_destroyed());
  EXPECT_EQ(Facts(id).copies(), Copies::kPresent);
  Rotate(KeyKind::kIndex);
  EXPECT_FALSE(Facts(id).index_destroyed());
  ASSERT_EQ(Execute(DestroyIndex(1)).state, ApprovalState::kExecuted);
  tlog::ErasureCertificate facts = Facts(id);
  EXPECT_TRUE(facts.index_destroyed());
  EXPECT_EQ(facts.keyring_needed,
            vault().keyring()->Infos(Toshima(), keys::TenantKey::kIndex)[0].destroyed_serial);
  EXPECT_EQ(facts.copies_in_vault, 0u);
  EXPECT_EQ(facts.copies(), Copies::kNoneInVault);
  // Somebody puts an old copy back, or leaves half of one.
  for (const char* ending : {"", ".tmp"}) {
    const std::string old = absl::StrCat(inventory::KeyringCopyPath(Copies(), 1), ending);
    std::ofstream(old) << "keyring";
    EXPECT_EQ(Facts(id).copies_in_vault, 1u);
    EXPECT_EQ(Facts(id).copies(), Copies::kPresent);
    std::filesystem::remove(old);
  }
  ASSERT_EQ(AttestNow(facts.keyring_needed - 1).state, ApprovalState::kExecuted);
  EXPECT_EQ(Facts(id).attested, facts.keyring_needed - 1);
  EXPECT_EQ(Facts(id).copies(), Copies::kNoneInVault);
  // A proposal attests nothing.
  VAULT_ASSERT_OK_AND_ASSIGN(const ApprovalResult proposed, Propose(Attest(facts.keyring_needed)));
  EXPECT_FALSE(Facts(id).final());
  VAULT_ASSERT_OK(Approve(proposed.approval.id, proposed.effect->digest));
  EXPECT_TRUE(Facts(id).final());
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult result, Certificate(id));
  EXPECT_TRUE(result.final);
  EXPECT_THAT(result.text, HasSubstr("状態：最終\n"));
  // One that is erased later has conditions of its own.
  const std::string later = vault().Add(3);
  VAULT_ASSERT_OK(Erase(later));
  EXPECT_THAT(Facts(later).keks_left, ElementsAre(2));
  EXPECT_FALSE(Facts(later).final());
  EXPECT_TRUE(Facts(id).final());
}

TEST_F(ErasureTest, AnAttestationFromBeforeTheKeyWasDestroyedDoesNotCount) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(Erase(id));
  const std::string file = vault().keys()->Path("keyring"), old = store::ReadBytes(file);
  ASSERT_NO_FATAL_FAILURE(DestroyTheFirstKeys());
  // Of the same microsecond nobody knows which came first.
  ASSERT_EQ(Execute(Attest(Serial())).state, ApprovalState::kExecuted);
  EXPECT_EQ(Facts(id).attested, 0u);
  EXPECT_FALSE(Facts(id).final());
  ASSERT_EQ(AttestNow(Serial()).state, ApprovalState::kExecuted);
  ASSERT_TRUE(Facts(id).final());
  // An older keyring is put back: it gives the same serials once more, to other copies.
  const uint64_t foreign_serial = vault().keyring()->serial();
  vault().Stop();
  store::WriteBytes(file, old);
  vault().keys()->Reopen();
  EXPECT_TRUE(absl::IsFailedPrecondition(vault().Start()));
  vault().Stop();
  VAULT_ASSERT_OK(
      recovery::AcceptKeyring(vault().base(), vault().keys()->Path("anchor"), vault().keyring()));
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_FALSE(Facts(id).final());
  vault().clock.Advance(absl::Seconds(1));
  ASSERT_NO_FATAL_FAILURE(DestroyTheFirstKeys());
  EXPECT_TRUE(Facts(id).kek_destroyed());
  // What the vault has copied in the other history is nobody's it knows, and may hold any key.
  const std::string foreign = inventory::KeyringCopyPath(Copies(), foreign_serial);
  EXPECT_EQ(Facts(id).copies_in_vault, std::filesystem::exists(foreign) ? 1u : 0u);
  std::filesystem::remove(foreign);
  EXPECT_EQ(Facts(id).attested, 0u) << "nobody attested anything of these copies";
  EXPECT_FALSE(Facts(id).final());
  ASSERT_EQ(AttestNow(Serial()).state, ApprovalState::kExecuted);
  EXPECT_TRUE(Facts(id).final());
}

TEST_F(ErasureTest, AnAttestationWhoseEntryIsNotThereIsNobodysWord) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(Erase(id));
  ASSERT_NO_FATAL_FAILURE(DestroyTheFirstKeys());
  const Approval lower = AttestNow(Facts(id).keyring_needed);
  Rotate(KeyKind::kDek);  // the keyring's next serial
  const Approval higher = AttestNow(Serial());
  ASSERT_GT(higher.operation.version, lower.operation.version);
  EXPECT_EQ(Facts(id).attested, higher.operation.version);
  // As where another log has followed the one that had the entries.
  const auto move = [&](const Approval& approval, uint64_t seq) {
    store::Batch batch;
    ApprovalRows(vault().base(), vault().keyring()).Put(approval)(seq, &batch);
    VAULT_ASSERT_OK(vault().base()->Write(batch));
  };
  move(higher, 1000000);
  EXPECT_EQ(Facts(id).attested, lower.operation.version);
  EXPECT_TRUE(Facts(id).final());
  move(lower, 0);
  EXPECT_EQ(Facts(id).attested, 0u);
  EXPECT_FALSE(Facts(id).final());
  VAULT_EXPECT_OK(Erase(vault().Add(2)));
  // It can be given anew.
  ASSERT_EQ(AttestNow(Serial()).state, ApprovalState::kExecuted);
  EXPECT_TRUE(Facts(id).final());
}

// One that is damaged is nobody's word either, and keeps no other from counting.
TEST_F(ErasureTest, ADamagedAttestationStopsNoCertificateAndMakesNoneFinal) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(Erase(id));
  ASSERT_NO_FATAL_FAILURE(DestroyTheFirstKeys());
  const Approval lower = AttestNow(Facts(id).keyring_needed);
  Rotate(KeyKind::kDek);
  const Approval higher = AttestNow(Serial());
  const auto damage = [&](const Approval& approval) {
    const std::string key = grants::ApprovalKey(approval.id);
    const std::string good = vault().Rows(key).begin()->second;
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    vault().PutRow(key, bad);
    return std::pair(key, good);
  };
  const auto [higher_key, higher_row] = damage(higher);
  EXPECT_EQ(Facts(id).attested, lower.operation.version);
  EXPECT_TRUE(Facts(id).final());
  const auto [lower_key, lower_row] = damage(lower);
  EXPECT_EQ(Facts(id).attested, 0u);
  EXPECT_FALSE(Facts(id).final());
  VAULT_EXPECT_OK(Erase(vault().Add(2)));
  vault().PutRow(higher_key, higher_row);
  vault().PutRow(lower_key, lower_row);
  EXPECT_TRUE(Facts(id).final());
}

TEST_F(ErasureTest, ACertificateReadsNoLogFromAnAttestationOn) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(Erase(id));
  ASSERT_NO_FATAL_FAILURE(DestroyTheFirstKeys());
  ASSERT_EQ(AttestNow(Serial()).state, ApprovalState::kExecuted);
  audit::Submission filler(service_);
  tlog::EntryFields entry;
  entry.action = "job.list";
  entry.outcome = "OK";
  filler.entries.resize(3000, entry);
  VAULT_ASSERT_OK(vault().sequencer()->SubmitAndWait(std::move(filler)));
  const uint64_t before = vault().faults()->rows_scanned();
  EXPECT_TRUE(Facts(id).final());
  EXPECT_LT(vault().faults()->rows_scanned() - before, 1000u);
}

// A backup may hold the row under a later version than the one that an older backup brought back.
TEST_F(ErasureTest, ALaterVersionThatWrappedItBeforeARestoreCounts) {
  const std::string id = vault().Add(1);
  const auto first = vault().Rows("");
  const auto restore = [&](const std::map<std::string, std::string>& rows) {
    for (const auto& [key, value] : rows) {
      if (absl::StartsWith(key, "r/") || absl::StartsWith(key, "i/")) vault().PutRow(key, value);
    }
  };
  Rotate(KeyKind::kKek);
  Rotate(KeyKind::kIndex);
  for (const auto& [key, value] : vault().Rows("i/")) DeleteRow(key);
  restore(first);
  EXPECT_EQ(Stored(id).kek_version, 1u);
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_EQ(Facts(id).kek_version, 2u);
  EXPECT_EQ(Facts(id).index_generation, 2u);
  ASSERT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
  ASSERT_EQ(Execute(DestroyIndex(1)).state, ApprovalState::kExecuted);
  ASSERT_EQ(AttestNow(Serial()).state, ApprovalState::kExecuted);
  EXPECT_THAT(Facts(id).keks_left, ElementsAre(2));
  EXPECT_THAT(Facts(id).indexes_left, ElementsAre(2));
  EXPECT_FALSE(Facts(id).final());
}

TEST_F(ErasureTest, EveryVersionThatMayHaveWrappedItCounts) {
  const std::string id = vault().Add(1);
  Rotate(KeyKind::kKek);
  Rotate(KeyKind::kIndex);
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_EQ(Facts(id).kek_version, 2u);
  EXPECT_THAT(Facts(id).keks_left, ElementsAre(1, 2));
  EXPECT_THAT(Facts(id).indexes_left, ElementsAre(1, 2));
  ASSERT_EQ(Execute(DestroyKek(1)).state, ApprovalState::kExecuted);
  EXPECT_THAT(Facts(id).keks_left, ElementsAre(2));
}

TEST_F(ErasureTest, OffboardingDestroysWhatAnErasureWaitsFor) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(Erase(id));
  const std::string other = vault().Add(2);
  ASSERT_EQ(Execute(Offboard()).state, ApprovalState::kExecuted);
  EXPECT_TRUE(Facts(id).kek_destroyed());
  EXPECT_TRUE(Facts(id).index_destroyed());
  EXPECT_EQ(GetReason(Erase(other).status()), "OFFBOARDED");
  EXPECT_EQ(vault().LastEntry().outcome, "FAILED_PRECONDITION");
  AdvanceToTheEnd();
  EXPECT_EQ(GetReason(BeginRetire().status()), "OFFBOARDED");
}

TEST_F(ErasureTest, TheSecondErasureFindsNobodyAndTheFirstOnesCertificateStays) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult first, Erase(id));
  const absl::Status again = Erase(id).status();
  EXPECT_TRUE(absl::IsNotFound(again));
  EXPECT_EQ(GetReason(again), "NOT_FOUND");
  EXPECT_EQ(vault().LastEntry().outcome, "NOT_FOUND");
  // Of one that was erased it says no more than of one that never was.
  EXPECT_EQ(Whole(again), Whole(Erase(kNobody).status()));
  EXPECT_EQ(Facts(id).entry, Verified(first).entry);
  EXPECT_EQ(Erasures(id).size(), 1u);
}

TEST_F(ErasureTest, ACertificateIsOfWhoWasErasedAlone) {
  const std::string id = vault().Add(1);
  EXPECT_EQ(GetReason(Certificate(id).status()), "NOT_FOUND");
  EXPECT_EQ(vault().LastEntry().action, "erasure.certificate");
  EXPECT_EQ(vault().LastEntry().outcome, "NOT_FOUND");
  EXPECT_EQ(GetReason(Certificate(kNobody).status()), "NOT_FOUND");
  EXPECT_TRUE(absl::IsInvalidArgument(Certificate("nobody").status()));
  EXPECT_EQ(GetFieldPath(Certificate("nobody").status()), "resident_id");
  EXPECT_TRUE(absl::IsInvalidArgument(Certificate(id, "officer-toshima", "13").status()));
  EXPECT_EQ(GetFieldPath(Certificate(id, "officer-toshima", "13").status()), "tenant_id");
  VAULT_ASSERT_OK(Erase(id));
  VAULT_EXPECT_OK(Certificate(id, "compliance-toshima"));
  for (const char* persona :
       {"operator-toshima", "supervisor-toshima", "booking-service", "security"}) {
    EXPECT_EQ(GetRule(Certificate(id, persona).status()), "role.action") << persona;
  }
  EXPECT_EQ(GetRule(Certificate(id, "compliance-yokohama").status()), "tenant.bound");
  EXPECT_TRUE(absl::IsPermissionDenied(Certificate(id, "officer-toshima", "service").status()));
}

TEST_F(ErasureTest, WhoMayNotErasesNobody) {
  const std::string id = vault().Add(1);
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "booking-service",
                              "compliance-toshima", "security"}) {
    EXPECT_EQ(GetRule(Erase(id, persona).status()), "role.action") << persona;
  }
  EXPECT_EQ(GetRule(Erase(id, "operator-yokohama").status()), "tenant.bound");
  EXPECT_EQ(GetRule(Erase(id, "nobody").status()), "subject.unknown");
  const auto under = [&](const Under& u) {
    return GetRule(Erase(id, "officer-toshima", u).status());
  };
  EXPECT_EQ(under({"", "C-1001"}), "purpose.required");
  EXPECT_EQ(under({"marketing", "C-1001"}), "purpose.role");
  EXPECT_EQ(under({"erasure", ""}), "contact.required");
  EXPECT_EQ(under({"erasure", "C-1001", "", "141003"}), "tenant.bound");
  EXPECT_EQ(GetReason(Erase(id, "officer-toshima", {"erasure", "090-1234-5678"}).status()),
            "INVALID_CONTACT");
  EXPECT_TRUE(absl::IsInvalidArgument(Erase("x").status()));
  EXPECT_EQ(GetReason(Erase(id, "officer-toshima", kErasure, "00").status()), "ETAG_MISMATCH");
  EXPECT_TRUE(There(id));
  EXPECT_TRUE(vault().Rows("x/").empty());
  VAULT_ASSERT_OK(
      Erase(id, "officer-toshima", kErasure, absl::BytesToHexString(Stored(id).etag_bytes())));
  EXPECT_FALSE(There(id));
}

// A role that may erase (so no seat is of it), and has no view of those who are protected.
class ErasingOperatorTest : public ErasureTest {
 protected:
  ErasingOperatorTest() {
    TestVaultOptions options;
    options.edit_policy = [](std::string* policy) {
      const std::string from =
          "seats: true\n  actions: [\"resident.lookup\", \"resident.get\"]\n  purposes: "
          "[\"vaccination";
      const size_t at = policy->find(from);
      VAULT_CHECK(at != std::string::npos);
      policy->replace(at, from.size(),
                      "actions: [\"resident.lookup\", \"resident.get\", \"resident.erase\"]\n  "
                      "purposes: [\"erasure\", \"vaccination");
    };
    Restart(std::move(options));
  }
};

TEST_F(ErasingOperatorTest, AProtectedResidentGoesToASupervisor) {
  const std::string open = vault().Add(1);
  for (const char* protection : {"dv_support", "supervisor_only"}) {
    const std::string id = vault().Add(2, {{"protection", protection}});
    const absl::Status refused = Erase(id, "operator-toshima").status();
    EXPECT_EQ(GetReason(refused), "TRANSFER_TO_SUPERVISOR");
    EXPECT_EQ(vault().LastEntry().decision, "DENY");
    EXPECT_EQ(vault().LastEntry().rule, "escalation.supervisor");
    EXPECT_TRUE(There(id));
    VAULT_EXPECT_OK(Erase(id));
    EXPECT_FALSE(There(id));
  }
  // It may, where nothing is protected; and has the certificate with it.
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult result, Erase(open, "operator-toshima"));
  EXPECT_EQ(Verified(result).resident.ToHex(), open);
  EXPECT_EQ(GetRule(Certificate(open, "operator-toshima").status()), "role.action");
}

TEST_F(ErasingOperatorTest, ARecordThatNobodyCanOpenIsErasedByWhoMayEraseAnyRecord) {
  const std::string id = vault().Add(1);
  records::Record record = Stored(id);
  record.kek_version = 7;
  vault().PutRow(RowKey(id), records::EncodeRecord(record));
  EXPECT_EQ(GetReason(vault().Get("officer-toshima", id, {}, kErasure).status()), "KEY_GONE");
  EXPECT_EQ(GetReason(Erase(id, "operator-toshima").status()), "TRANSFER_TO_SUPERVISOR");
  EXPECT_TRUE(There(id));
  VAULT_EXPECT_OK(Erase(id));
  EXPECT_FALSE(There(id));
  const std::string damaged = vault().Add(2);
  record = Stored(damaged);
  record.wrapped_dek[40] ^= 1;
  vault().PutRow(RowKey(damaged), records::EncodeRecord(record));
  EXPECT_EQ(GetReason(Erase(damaged, "operator-toshima").status()), "TRANSFER_TO_SUPERVISOR");
  VAULT_EXPECT_OK(Erase(damaged));
}

TEST_F(ErasureTest, AnErasureRowThatIsNotItsOwnIsDataLoss) {
  const std::string id = vault().Add(1), other = vault().Add(2);
  VAULT_ASSERT_OK(Erase(id));
  const std::string key = inventory::ErasureKey(Toshima(), Id(id));
  const std::string good = vault().Rows("x/").at(key);
  for (size_t at = 0; at < good.size(); at += 5) {
    std::string edited = good;
    edited[at] ^= 1;
    vault().PutRow(key, edited);
    EXPECT_TRUE(absl::IsDataLoss(Certificate(id).status())) << at;
  }
  EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
  vault().PutRow(key, good);
  VAULT_EXPECT_OK(Certificate(id));
  // Another's row does not make somebody erased.
  const std::string elsewhere = inventory::ErasureKey(Toshima(), Id(other));
  vault().PutRow(elsewhere, good);
  EXPECT_TRUE(absl::IsDataLoss(Certificate(other).status()));
  EXPECT_TRUE(absl::IsDataLoss(Erase(other).status()));
  EXPECT_TRUE(There(other));
  // Nor does an entry about something else, though the service itself had written the row.
  const inventory::StoredErasure stored =
      inventory::ReadErasure(*vault().base()->TakeSnapshot().value(), *vault().keyring(), Toshima(),
                             Id(id))
          .value();
  for (uint64_t seq : {stored.seq - 1, stored.seq + 1}) {
    store::Batch batch;
    inventory::PutErasures(vault().keyring(), {{key, stored.row}})(seq, &batch);
    VAULT_ASSERT_OK(vault().base()->Write(batch));
    EXPECT_TRUE(absl::IsDataLoss(Certificate(id).status()));
  }
  // Of an earlier log, which this one has followed.
  row::v1::ErasureRow earlier = stored.row;
  earlier.set_origin("vault.example/audit/earlier");
  store::Batch batch;
  inventory::PutErasures(vault().keyring(), {{key, earlier}})(1000000, &batch);
  VAULT_ASSERT_OK(vault().base()->Write(batch));
  EXPECT_EQ(Facts(id).earlier_origin, "vault.example/audit/earlier");
  EXPECT_EQ(Facts(id).entry, 1000000u);
  EXPECT_FALSE(Facts(id).inclusion.has_value());
  vault().PutRow(key, good);
  DeleteRow(elsewhere);
}

// A backup brings somebody back who was erased: erased again, the certificate counts for both
// times.
TEST_F(ErasureTest, OneWhoCameBackIsErasedAgainAndNoVersionIsForgotten) {
  const std::string id = vault().Add(1);
  const auto before = vault().Rows("");
  Rotate(KeyKind::kKek);
  VAULT_ASSERT_OK(Erase(id));
  const uint64_t first = Facts(id).entry;
  for (const auto& [key, value] : before) {
    if (absl::StartsWith(key, "r/") || absl::StartsWith(key, "i/")) vault().PutRow(key, value);
  }
  EXPECT_EQ(Stored(id).kek_version, 1u);
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_GT(Facts(id).entry, first);
  EXPECT_EQ(Facts(id).kek_version, 2u);
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
}

TEST_F(ErasureTest, ErasuresUpdatesLookupsAndRotationsLoseNobodyAndLeaveNobody) {
  constexpr int kResidents = 24;
  std::vector<std::string> ids;
  for (int i = 0; i < kResidents; ++i) ids.push_back(vault().Add(i));
  std::vector<absl::Status> erased(kResidents);
  std::thread eraser([&] {
    for (int i = 0; i < kResidents; i += 2) erased[i] = Erase(ids[i]).status();
  });
  std::thread updater([&] {
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < kResidents; ++i) {
        const absl::Status updated =
            vault()
                .Update("officer-toshima", ids[i],
                        {{"memo", "newer"}, {"phone", absl::StrCat("03-3456-10", i + 10)}}, "", "",
                        {"correction", "C-1001"})
                .status();
        if (i % 2 == 1) VAULT_EXPECT_OK(updated);
        EXPECT_TRUE(updated.ok() || absl::IsNotFound(updated)) << updated;
      }
    }
  });
  std::thread reader([&] {
    for (int i = 1; i < kResidents; i += 2) {
      VAULT_EXPECT_OK(vault().Get("operator-toshima", ids[i]));
    }
  });
  for (KeyKind kind : {KeyKind::kKek, KeyKind::kIndex, KeyKind::kDek, KeyKind::kKek}) Rotate(kind);
  eraser.join();
  updater.join();
  reader.join();
  for (int i = 0; i < kResidents; ++i) {
    // One that loses the same race nine times is told so.
    if (i % 2 == 0 && absl::IsAborted(erased[i])) erased[i] = Erase(ids[i]).status();
    VAULT_EXPECT_OK(erased[i]);
    EXPECT_EQ(There(ids[i]), i % 2 == 1);
    if (i % 2 == 0) EXPECT_THAT(Naming(ids[i]), ElementsAre("x/"));
  }
}

// One work thread, and a gate in front of the store: what is begun while it is shut is prepared
// from the same rows, in the order in which it came, and meets in one group.
class ErasureRacesTest : public ErasureTest {
 protected:
  ErasureRacesTest() {
    TestVaultOptions options;
    options.work_threads = 1;
    Restart(options);
  }
  ~ErasureRacesTest() override {
    OpenGate();
    vault().CheckAll();
    vault_.reset();  // its last writes pass the gate, which is this object's
  }
  void ShutGate() {
    shut_ = true;
    vault().faults()->SetBeforeWrite([this](const store::Batch&) {
      waiting_ = true;
      while (shut_) absl::SleepFor(absl::Milliseconds(1));
    });
    // Something that the group waits behind.
    vault().sequencer()->Submit(Step(LogId::Service()));
    while (!waiting_) absl::SleepFor(absl::Milliseconds(1));
  }
  void OpenGate() { shut_ = false; }
  audit::Submission Step(const LogId& log) {
    audit::Submission step(log);
    step.entries.emplace_back();
    step.entries[0].action = "test.step";
    step.entries[0].outcome = "OK";
    step.done = [](absl::StatusOr<Receipt>) {};
    return step;
  }
  void StartErase(const std::string& id, Awaited<CertificateResult>* answer) {
    vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"),
                                         {"131164", id, {"erasure", "C-1001", ""}, ""},
                                         answer->Callback());
  }
  void StartUpdate(const std::string& id, Awaited<ChangeResult>* answer) {
    vault().use_cases()->residents().Update(TestVault::Info("officer-toshima"),
                                            {"131164",
                                             id,
                                             {"correction", "C-1001", ""},
                                             TestVault::Raw({{"phone", "090-1234-5678"}}),
                                             "",
                                             ""},
                                            answer->Callback());
  }

  std::atomic<bool> shut_{false};
  std::atomic<bool> waiting_{false};
};

TEST_F(ErasureRacesTest, AnUpdateThatWasFasterIsErasedWithTheRest) {
  const std::string id = vault().Add(1);
  ShutGate();
  Awaited<ChangeResult> updated;
  Awaited<CertificateResult> erased;
  StartUpdate(id, &updated);
  StartErase(id, &erased);
  vault().DrainWork();
  OpenGate();
  VAULT_EXPECT_OK(updated.Wait());
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult result, erased.Wait());
  EXPECT_EQ(Verified(result).record_version, 2u);
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
  EXPECT_TRUE(vault().Rows("i/").empty());
}

TEST_F(ErasureRacesTest, AnUpdateThatWasSlowerFindsNobody) {
  const std::string id = vault().Add(1);
  ShutGate();
  Awaited<ChangeResult> updated;
  Awaited<CertificateResult> erased, again;
  StartErase(id, &erased);
  StartUpdate(id, &updated);
  StartErase(id, &again);
  vault().DrainWork();
  OpenGate();
  VAULT_EXPECT_OK(erased.Wait());
  EXPECT_EQ(GetReason(updated.Wait().status()), "NOT_FOUND");
  EXPECT_EQ(GetReason(again.Wait().status()), "NOT_FOUND");
  EXPECT_EQ(Erasures(id).size(), 1u);
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
}

// A rotation changes neither version nor etag, and yet other postings have to go.
TEST_F(ErasureRacesTest, ARotationThatWasFasterLeavesNoPosting) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(vault().keyring()->BeginRotation(Toshima(), keys::TenantKey::kIndex, false));
  const records::Records records(vault().random());
  VAULT_ASSERT_OK_AND_ASSIGN(records::Change change,
                             records.Reindex(Toshima(), *vault().keyring()->Tenant(Toshima()),
                                             vault().policy().schema(), Stored(id)));
  ShutGate();
  audit::Submission step = Step(toshima_);
  step.writes = std::move(change.writes);
  audit::KeysUsed used{vault().keyring(), Toshima()};
  used.index_written = change.index_written;
  step.preconditions.push_back(used);
  step.preconditions.push_back(audit::RowIs{change.row_key, change.row_before});
  vault().sequencer()->Submit(std::move(step));
  Awaited<CertificateResult> erased;
  StartErase(id, &erased);
  vault().DrainWork();
  OpenGate();
  VAULT_ASSERT_OK_AND_ASSIGN(const CertificateResult result, erased.Wait());
  EXPECT_EQ(Verified(result).index_generation, 2u);
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
  EXPECT_TRUE(vault().Rows("i/").empty());
  VAULT_ASSERT_OK(vault().keyring()->EndRotation(Toshima(), keys::TenantKey::kIndex));
}

// A programme's residents.

TEST_F(ErasureTest, BeforeTheTimeIsOverNobodyIsRetired) {
  const std::string id = vault().Add(1);
  EXPECT_EQ(GetReason(BeginRetire().status()), "RETENTION");
  EXPECT_EQ(vault().LastEntry().action, "resident.retire");
  EXPECT_EQ(vault().LastEntry().outcome, "FAILED_PRECONDITION");
  // 31 March and thirty days, to the last second of it in Japan.
  AdvanceTo(absl::CivilSecond(2027, 4, 30, 14, 59, 59));
  EXPECT_EQ(GetReason(BeginRetire().status()), "RETENTION");
  EXPECT_EQ(GetReason(BeginRetire(/*dry_run=*/true).status()), "RETENTION");
  EXPECT_TRUE(There(id));
  AdvanceToTheEnd();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Retire());
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_FALSE(There(id));
}

TEST_F(ErasureTest, WhoMayNotRetiresNobody) {
  const std::string id = vault().Add(1);
  AdvanceToTheEnd();
  const auto rule = [&](absl::string_view persona, const Under& under) {
    return GetRule(BeginRetire(false, 0, persona, under).status());
  };
  const Under good{"erasure", "B-2027-1"};
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "booking-service",
                              "compliance-toshima", "security"}) {
    EXPECT_EQ(rule(persona, good), "role.action") << persona;
  }
  EXPECT_EQ(rule("officer-toshima", {"", "B-2027-1"}), "purpose.required");
  EXPECT_EQ(rule("officer-toshima", {"erasure", ""}), "contact.required");
  EXPECT_EQ(rule("officer-toshima", {"erasure", "B-2027-1", "", "141003"}), "tenant.bound");
  for (const char* programme : {"", "surge", "Vaccination", "090-1234-5678"}) {
    const absl::Status refused = BeginRetire(false, 0, "officer-toshima", good, programme).status();
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    EXPECT_EQ(GetFieldPath(refused), "programme");
  }
  EXPECT_TRUE(There(id));
  EXPECT_TRUE(vault().StoredJobs().empty());
}

TEST_F(ErasureTest, ADryRunCountsAndErasesNobody) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(vault().Add(i));
  SetProgramme(ids[0], "surge");
  SetProgramme(ids[1], "vaccinatio");
  const auto rows = vault().Rows("r/");
  AdvanceToTheEnd();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Retire(/*dry_run=*/true));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE);
  EXPECT_TRUE(job.dry_run());
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 3u);
  EXPECT_EQ(vault().Rows("r/"), rows);
  EXPECT_TRUE(vault().Rows("x/").empty());
}

TEST_F(ErasureTest, AProgrammesResidentsGoAndOthersStayAsTheyAre) {
  std::vector<std::string> ids;
  for (int i = 0; i < 130; ++i) {
    ids.push_back(vault().Add(i, i == 7 ? Values{{"protection", "dv_support"}} : Values{}));
  }
  const std::string yokohama = vault().Add(1, {}, InYokohama());
  SetProgramme(ids[3], "surge");
  SetProgramme(ids[4], "vaccinatio");
  SetProgramme(ids[5], "vaccination_2");
  const std::string kept[] = {RowKey(ids[3]), RowKey(ids[4]), RowKey(ids[5])};
  auto rest = vault().Rows("r/131164/");
  for (auto it = rest.begin(); it != rest.end();) {
    it = std::find(std::begin(kept), std::end(kept), it->first) == std::end(kept) ? rest.erase(it)
                                                                                  : std::next(it);
  }
  AdvanceToTheEnd();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Retire());
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.done(), 127u);
  EXPECT_TRUE(job.counted());
  EXPECT_EQ(job.left(), 0u);
  EXPECT_EQ(vault().Rows("r/131164/"), rest);
  EXPECT_EQ(vault().Rows("r/141003/").size(), 1u);
  EXPECT_EQ(vault().Rows("x/").size(), 127u);
  for (int i : {0, 7, 99, 129}) {
    const std::vector<tlog::Entry> erasures = Erasures(ids[i]);
    ASSERT_EQ(erasures.size(), 1u);
    const tlog::EntryFields& entry = erasures[0].fields;
    EXPECT_EQ(entry.actor, "urn:vault:officer-toshima");
    EXPECT_EQ(entry.job, job.id());
    EXPECT_EQ(entry.purpose, "erasure");
    EXPECT_EQ(entry.contact, "B-2027-1");
    EXPECT_EQ(entry.version, 1);
    EXPECT_EQ(Facts(ids[i]).entry, erasures[0].place.seq);
    EXPECT_THAT(Naming(ids[i]), ElementsAre("x/"));
  }
  EXPECT_EQ(GetReason(Certificate(ids[3]).status()), "NOT_FOUND");
  // Again: nobody is left.
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow again, Retire());
  EXPECT_EQ(again.state(), JobRow::STATE_DONE);
  EXPECT_EQ(again.done(), 0u);
}

// Longer than the job's rounds would last if each of its waits counted as one.
TEST_F(ErasureTest, ARetirementOnAFullDiskWaitsForRoom) {
  for (int i = 0; i < 3; ++i) vault().Add(i);
  AdvanceToTheEnd();
  std::atomic<int> writes{0};
  vault().faults()->SetBeforeWrite([&](const store::Batch&) {
    // The job's begin, and its copy in the service's log.
    if (++writes == 2) vault().faults()->SetFreeBytes(absl::StatusOr<uint64_t>(0));
  });
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, BeginRetire());
  absl::SleepFor(absl::Seconds(10));
  EXPECT_EQ(vault().StoredJob("131164", begun.id())->state(), JobRow::STATE_RUNNING);
  vault().faults()->SetBeforeWrite(nullptr);
  vault().faults()->SetFreeBytes(absl::nullopt);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", begun.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.done(), 3u);
}

// The clock was set back while it ran, to before the day on which it could begin.
TEST_F(ErasureTest, ARetirementBesideAClockThatWasSetBackGoesOn) {
  for (int i = 0; i < 6; ++i) vault().Add(i);
  AdvanceToTheEnd();
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, BeginRetire(false, /*rows_per_second=*/1));
  while (vault().StoredJob("131164", begun.id())->done() == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  vault().Stop();
  vault().clock.StepWall(-absl::Hours(48));
  VAULT_ASSERT_OK(vault().Start());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, vault().AwaitJob("131164", begun.id()));
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.done(), 6u);
}

TEST_F(ErasureTest, ARetirementThatIsCancelledStopsWhereItIs) {
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(vault().Add(i));
  AdvanceToTheEnd();
  // The clock stands still, so it waits after its first step.
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow begun, BeginRetire(false, /*rows_per_second=*/1));
  EXPECT_EQ(GetReason(BeginRetire().status()), "CONFLICT");
  Awaited<JobRow> cancelled;
  vault().use_cases()->job_control().Cancel(TestVault::Info("officer-toshima"), "131164",
                                            begun.id(), cancelled.Callback());
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow row, cancelled.Wait());
  EXPECT_EQ(row.state(), JobRow::STATE_CANCELLED);
  EXPECT_GE(vault().Rows("r/131164/").size(), 5u);
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow next, Retire());
  EXPECT_EQ(next.state(), JobRow::STATE_DONE);
  EXPECT_TRUE(vault().Rows("r/131164/").empty());
}

// Killed at each of its writes, with and without the write itself being there.
TEST_F(ErasureTest, ARetirementThatIsCutOffGoesOnAndErasesEachOnce) {
  using Fault = vault::testing::FaultStore::Fault;
  for (const Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    for (int nth = 1; nth <= 6; ++nth) {
      SCOPED_TRACE(absl::StrCat(nth, fault == Fault::kPersisted ? " persisted" : ""));
      Restart({});
      std::vector<std::string> ids;
      for (int i = 0; i < 3; ++i) ids.push_back(vault().Add(i));
      const std::string other = vault().Add(9);
      SetProgramme(other, "surge");
      AdvanceToTheEnd();
      vault().faults()->FailWrite(nth, fault);
      // Steps of one row each.
      const absl::StatusOr<JobRow> begun = BeginRetire(false, /*rows_per_second=*/10);
      if (begun.ok()) (void)vault().AwaitJob("131164", begun->id());
      vault().Stop();
      VAULT_ASSERT_OK(vault().Start());
      std::vector<JobRow> jobs = vault().StoredJobs();
      if (jobs.empty()) {
        EXPECT_FALSE(begun.ok());
        VAULT_ASSERT_OK(Retire());
        jobs = vault().StoredJobs();
      }
      ASSERT_EQ(jobs.size(), 1u);
      VAULT_ASSERT_OK_AND_ASSIGN(const JobRow ended, vault().AwaitJob("131164", jobs[0].id()));
      EXPECT_EQ(ended.state(), JobRow::STATE_DONE) << ended.failure();
      EXPECT_EQ(ended.done(), 3u);
      for (const std::string& id : ids) {
        EXPECT_FALSE(There(id));
        EXPECT_EQ(Erasures(id).size(), 1u);
        EXPECT_EQ(Facts(id).entry, Erasures(id)[0].place.seq);
      }
      EXPECT_TRUE(There(other));
      vault().CheckAll();
    }
  }
}

// The erasure itself, cut off: there with everything that belongs to it, or not at all.
TEST_F(ErasureTest, AnErasureThatIsCutOffIsDoneOrNot) {
  using Fault = vault::testing::FaultStore::Fault;
  for (const Fault fault : {Fault::kNotPersisted, Fault::kPersisted}) {
    for (int nth = 1; nth <= 2; ++nth) {
      Restart({});
      const std::string id = vault().Add(1);
      vault().faults()->FailWrite(nth, fault);
      // Behind its own write it is done, with or without a certificate.
      EXPECT_EQ(Erase(id).ok(), nth == 2);
      vault().Stop();
      VAULT_ASSERT_OK(vault().Start());
      const bool done = nth == 2 || fault == Fault::kPersisted;
      EXPECT_EQ(There(id), !done);
      EXPECT_EQ(Erasures(id).size(), done ? 1u : 0u);
      EXPECT_EQ(Certificate(id).ok(), done);
      vault().CheckAll();
    }
  }
}

// What is remembered of request ids.

class RequestRowsTest : public ErasureTest {
 protected:
  std::map<std::string, std::string> Remembered() { return vault().Rows("q/"); }
  absl::StatusOr<ChangeResult> UpdateAs(const std::string& request_id, const std::string& id) {
    return vault().Update("officer-toshima", id, {{"memo", "newer"}}, "", request_id,
                          {"correction", "C-1001"});
  }
  // Rows as this one, which stands under another key of its own each.
  void PutMany(const std::string& row, int count) {
    store::Batch batch;
    for (int i = 0; i < count; ++i) {
      batch.Put(absl::StrCat("q/131164/", absl::Dec(i, absl::kZeroPad16)), row);
    }
    VAULT_ASSERT_OK(vault().base()->Write(batch));
  }
  absl::Status Sweep(absl::FunctionRef<bool()> keep_going) {
    return pipeline::SweepRequests(vault().store(), vault().sequencer(), Toshima(),
                                   vault().clock.Now(), keep_going);
  }
  absl::Status Sweep() {
    return Sweep([] { return true; });
  }
};

// All of it goes in the commit of the erasure.
TEST_F(RequestRowsTest, WhatIsRememberedOfOneResidentHasABound) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made,
                             vault().Create(TestVault::Person(1), {}, "R-1"));
  const std::string id = made.id.ToHex();
  const std::string first = vault().Rows("u/").begin()->first;
  const std::string prefix = first.substr(0, first.size() - 16);
  store::Batch batch;
  for (size_t i = 1; i + 1 < pipeline::kRememberedMax; ++i) {
    batch.Put(absl::StrCat(prefix, absl::Dec(i, absl::kZeroPad16)), "");
  }
  VAULT_ASSERT_OK(vault().base()->Write(batch));
  VAULT_EXPECT_OK(UpdateAs("R-2", id));  // the last that there is room for
  const absl::Status full = UpdateAs("R-3", id).status();
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_EQ(GetReason(full), "REQUEST_IDS");
  VAULT_EXPECT_OK(UpdateAs("R-2", id));  // a retry of what was done
  VAULT_EXPECT_OK(UpdateAs("", id));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult other,
                             vault().Create(TestVault::Person(2), {}, "R-4"));
  VAULT_EXPECT_OK(UpdateAs("R-5", other.id.ToHex()));
  VAULT_ASSERT_OK(Erase(id));
  for (const auto& [key, value] : vault().Rows("u/")) {
    EXPECT_NE(key.substr(0, prefix.size()), prefix);
  }
}

TEST_F(RequestRowsTest, WhoIsErasedIsRememberedInNoRequest) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made,
                             vault().Create(TestVault::Person(1), {}, "R-1"));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult other,
                             vault().Create(TestVault::Person(2), {}, "R-2"));
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(3), InYokohama(), "R-1"));
  const auto rest = Remembered();
  const std::string id = made.id.ToHex();
  VAULT_ASSERT_OK(UpdateAs("R-3", id));
  EXPECT_THAT(Naming(id), ::testing::Contains("q/").Times(2));
  EXPECT_THAT(Naming(id), ::testing::Contains("u/").Times(2));
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
  // Of two rows the expiry alone is left, as it was; the others' are as they were.
  int left = 0;
  for (const auto& [key, value] : Remembered()) {
    if (value.size() == 8) {
      ++left;
      if (rest.count(key) != 0) EXPECT_EQ(value, rest.at(key).substr(0, 8));
    } else {
      EXPECT_EQ(rest.at(key), value);
    }
  }
  EXPECT_EQ(left, 2);
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult replay,
                             vault().Create(TestVault::Person(2), {}, "R-2"));
  EXPECT_EQ(replay.id, other.id);
}

// Whoever sends a create again without having heard the answer must not make the person anew.
TEST_F(RequestRowsTest, ACreateRetriedAfterAnErasureIsRefused) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made,
                             vault().Create(TestVault::Person(1), {}, "R-1"));
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(2), {}, "R-2"));
  const size_t residents = vault().Rows("r/").size();
  VAULT_ASSERT_OK(Erase(made.id.ToHex()));
  // The body is forgotten: whatever is sent under the id is refused, and tells nothing of it.
  std::set<std::string> answers;
  for (const Values& person : {TestVault::Person(1), TestVault::Person(3)}) {
    const absl::Status again = vault().Create(person, {}, "R-1").status();
    EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
    EXPECT_EQ(GetReason(again), "REQUEST_ID_ERASED");
    answers.insert(Whole(again));
    EXPECT_EQ(vault().LastEntry().outcome, "ALREADY_EXISTS");
    EXPECT_EQ(vault().LastEntry().resident, "");
  }
  EXPECT_EQ(answers.size(), 1u);
  EXPECT_EQ(vault().Rows("r/").size(), residents - 1);
  // Another caller's, tenant's or method's id of the same name is another one.
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(1), InYokohama(), "R-1"));
  // It goes by no longer than the memory would have, and a new id makes a new person at once.
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult next,
                             vault().Create(TestVault::Person(1), {}, "R-9"));
  VAULT_ASSERT_OK(Erase(next.id.ToHex()));
  vault().clock.Advance(absl::Hours(24) - absl::Seconds(1));
  EXPECT_EQ(GetReason(vault().Create(TestVault::Person(1), {}, "R-1").status()),
            "REQUEST_ID_ERASED");
  vault().clock.Advance(absl::Seconds(1));
  VAULT_EXPECT_OK(vault().Create(TestVault::Person(1), {}, "R-1"));
}

TEST_F(RequestRowsTest, WhatAnErasureLeavesOfARequestIsSweptInTime) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made,
                             vault().Create(TestVault::Person(1), {}, "R-1"));
  VAULT_ASSERT_OK(Erase(made.id.ToHex()));
  VAULT_ASSERT_OK(Sweep());
  ASSERT_EQ(Remembered().size(), 1u);
  // Another erasure goes over it and leaves it.
  const auto left = Remembered();
  VAULT_ASSERT_OK(Erase(vault().Add(2)));
  EXPECT_EQ(Remembered(), left);
  vault().clock.Advance(absl::Hours(24));
  VAULT_ASSERT_OK(Sweep());
  EXPECT_TRUE(Remembered().empty());
}

TEST_F(RequestRowsTest, WhoIsRetiredIsRememberedInNoRequest) {
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made,
                               vault().Create(TestVault::Person(i), {}, absl::StrCat("R-", i)));
    ids.push_back(made.id.ToHex());
  }
  const std::string kept = RowKey(ids[2]);
  AdvanceToTheEnd();
  // The clock of a day much later: written again, or the sweep might have been faster.
  for (const std::string& id : ids) VAULT_ASSERT_OK(UpdateAs("R-" + id, id));
  SetProgramme(ids[2], "surge");
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Retire());
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  for (int i = 0; i < 2; ++i) EXPECT_THAT(Naming(ids[i]), ElementsAre("x/"));
  EXPECT_TRUE(There(ids[2]));
  EXPECT_THAT(Naming(ids[2]), ::testing::Contains("q/"));
}

// What is remembered is given as an answer: edited, or another request's, it is none.
TEST_F(RequestRowsTest, ARowThatWasEditedOrMovedIsNoAnswer) {
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult made,
                             vault().Create(TestVault::Person(1), {}, "R-1"));
  const std::string key = Remembered().begin()->first, row = Remembered().begin()->second;
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(2), {}, "R-2"));
  const auto replay = [&] { return vault().Create(TestVault::Person(1), {}, "R-1"); };
  for (size_t at = 0; at < row.size(); ++at) {
    std::string edited = row;
    edited[at] ^= 1;
    vault().PutRow(key, edited);
    EXPECT_EQ(replay().status().code(), absl::StatusCode::kDataLoss) << at;
    EXPECT_EQ(vault().LastEntry().outcome, "DATA_LOSS");
  }
  for (const auto& [other, content] : Remembered()) {
    if (other != key) vault().PutRow(key, content);
  }
  EXPECT_EQ(replay().status().code(), absl::StatusCode::kDataLoss);
  vault().PutRow(key, row);
  EXPECT_EQ(replay()->id, made.id);
}

// One of his own goes with him though nobody can read it; another's keeps nobody from being erased.
TEST_F(RequestRowsTest, ADamagedRowStopsNoErasure) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(UpdateAs("R-1", id));
  ASSERT_EQ(Remembered().size(), 1u);
  vault().PutRow(Remembered().begin()->first, "damaged");
  vault().PutRow("q/131164/damaged", "damaged");
  // The sweep neither fails over them nor hides them.
  VAULT_EXPECT_OK(Sweep());
  EXPECT_EQ(Remembered().size(), 2u);
  VAULT_EXPECT_OK(Erase(id));
  ASSERT_EQ(Remembered().size(), 1u);
  EXPECT_EQ(Remembered().begin()->first, "q/131164/damaged");
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
}

TEST_F(RequestRowsTest, AnErasureReadsNoRequestsButItsResidents) {
  const std::string id = vault().Add(1), other = vault().Add(2);
  VAULT_ASSERT_OK(UpdateAs("R-1", other));
  PutMany(Remembered().begin()->second, 3000);
  VAULT_ASSERT_OK(UpdateAs("R-2", id));
  const uint64_t before = vault().faults()->rows_scanned();
  VAULT_ASSERT_OK(Erase(id));
  EXPECT_LT(vault().faults()->rows_scanned() - before, 100u);
  EXPECT_EQ(Remembered().size(), 3002u);
  EXPECT_THAT(Naming(id), ElementsAre("x/"));
}

// The row under the one whom an id stood for goes when the id stands for another.
TEST_F(RequestRowsTest, AnIdThatIsUsedAgainForAnotherIsHisAlone) {
  const std::string first = vault().Add(1), second = vault().Add(2);
  VAULT_ASSERT_OK(UpdateAs("R-1", first));
  vault().clock.Advance(absl::Hours(24));
  VAULT_ASSERT_OK(UpdateAs("R-1", second));
  EXPECT_EQ(vault().Rows("u/").size(), Remembered().size());
  EXPECT_THAT(Naming(first), Not(::testing::Contains("u/")));
  VAULT_ASSERT_OK(Erase(first));
  EXPECT_EQ(UpdateAs("R-1", second)->version, 2u);
  VAULT_ASSERT_OK(Erase(second));
  // The tag and its expiry.
  ASSERT_EQ(Remembered().size(), 1u);
  EXPECT_EQ(Remembered().begin()->second.size(), 8u);
  EXPECT_TRUE(vault().Rows("u/").empty());
}

TEST_F(RequestRowsTest, TheRowUnderTheResidentGoesWithWhatIsOver) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(UpdateAs("R-1", id));
  EXPECT_EQ(vault().Rows("u/").size(), 1u);
  vault().clock.Advance(absl::Hours(24));
  VAULT_ASSERT_OK(Sweep());
  EXPECT_TRUE(Remembered().empty());
  EXPECT_TRUE(vault().Rows("u/").empty());
}

TEST_F(RequestRowsTest, WhatIsOverGoesByItselfAndWhatIsFreshStays) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(UpdateAs("R-1", id));
  VAULT_ASSERT_OK(vault().Create(TestVault::Person(2), InYokohama(), "R-1"));
  vault().clock.Advance(absl::Hours(24) - absl::Seconds(1));
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult fresh, UpdateAs("R-2", id));
  EXPECT_EQ(fresh.version, 3u);
  vault().clock.Advance(absl::Hours(1));
  for (int i = 0; i < 5000 && Remembered().size() > 1; ++i) {
    // The thread that sweeps may have read the clock for the first time only now.
    vault().clock.Advance(absl::Seconds(1));
    absl::SleepFor(absl::Milliseconds(1));
  }
  ASSERT_EQ(Remembered().size(), 1u);
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult replay, UpdateAs("R-2", id));
  EXPECT_EQ(replay.version, 3u);
  // The other one's time is over: it is a new change.
  VAULT_ASSERT_OK_AND_ASSIGN(const ChangeResult again, UpdateAs("R-1", id));
  EXPECT_EQ(again.version, 4u);
  EXPECT_EQ(UpdateAs("R-1", id)->version, 4u);
}

TEST_F(RequestRowsTest, TheSweepTakesNoRowBeforeItsTimeIsOver) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(UpdateAs("R-1", id));
  const size_t entries = EntryCount();
  vault().clock.Advance(absl::Hours(24) - absl::Microseconds(1));
  VAULT_ASSERT_OK(Sweep());
  EXPECT_EQ(Remembered().size(), 1u);
  EXPECT_EQ(UpdateAs("R-1", id)->version, 2u);
  vault().clock.Advance(absl::Microseconds(1));
  VAULT_ASSERT_OK(Sweep());
  EXPECT_TRUE(Remembered().empty());
  EXPECT_EQ(EntryCount(), entries + 1) << "the replay's alone";
  VAULT_ASSERT_OK(Sweep());
}

// Between the sweep's look and its write the id is used for another change.
TEST_F(RequestRowsTest, ARowThatIsUsedAgainMeanwhileStays) {
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(UpdateAs("R-1", id));
  const auto old = Remembered();
  vault().clock.Advance(absl::Hours(25));
  int asked = 0;
  VAULT_ASSERT_OK(Sweep([&] {
    if (asked++ == 0) EXPECT_EQ(UpdateAs("R-1", id)->version, 3u);
    return true;
  }));
  EXPECT_EQ(asked, 2);
  ASSERT_EQ(Remembered().size(), 1u);
  EXPECT_NE(Remembered(), old);
  EXPECT_EQ(UpdateAs("R-1", id)->version, 3u);
}

// Cut off between its commits, it has harmed nothing, and the next one goes on.
TEST_F(RequestRowsTest, ASweepThatIsCutOffIsGoneOnWith) {
  constexpr int kRows = 600;
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    Restart({});
    const std::string id = vault().Add(1);
    VAULT_ASSERT_OK(UpdateAs("R-1", id));
    PutMany(Remembered().begin()->second, kRows);
    // Not long enough for the service's own one.
    vault().clock.Advance(absl::Seconds(50));
    const std::string expired(8, '\0');
    for (const auto& [key, value] : Remembered()) vault().PutRow(key, expired + value.substr(8));
    VAULT_ASSERT_OK(UpdateAs("R-2", id));
    ASSERT_EQ(Remembered().size(), kRows + 2u);
    EXPECT_TRUE(absl::IsCancelled(Sweep([] { return false; })));
    ASSERT_EQ(Remembered().size(), kRows + 2u);
    vault().faults()->FailWrite(2, fault);
    EXPECT_FALSE(Sweep().ok());
    const size_t left = Remembered().size();
    EXPECT_GT(left, 1u);
    EXPECT_LT(left, kRows + 2u);
    vault().Stop();
    VAULT_ASSERT_OK(vault().Start());
    EXPECT_EQ(Remembered().size(), left);
    VAULT_EXPECT_OK(Sweep());
    EXPECT_EQ(Remembered().size(), 1u);
    EXPECT_EQ(UpdateAs("R-2", id)->version, 3u);
    vault().CheckAll();
  }
}

// A day of changes takes a while to sweep: what is refused meanwhile is not to wait for its end.
TEST_F(RequestRowsTest, WhatIsCountedIsWrittenWhileTheSweepGoesOn) {
  constexpr int kRows = 700;  // three commits
  const std::string id = vault().Add(1);
  VAULT_ASSERT_OK(UpdateAs("R-1", id));
  const std::string expired(8, '\0');
  PutMany(expired + Remembered().begin()->second.substr(8), kRows);
  // The entries that stand in the service's log as each commit of the sweep begins. What is counted
  // is counted within the first of them, by the thread that sweeps.
  std::vector<size_t> entries;
  vault().faults()->SetBeforeWrite([&](const store::Batch& batch) {
    if (batch.empty() || !batch.ops()[0].is_delete) return;
    entries.push_back(EntryCount(LogId::Service()));
    if (entries.size() > 1) return;
    vault().use_cases()->pipeline().CountMalformed(TestVault::Info("operator-toshima"),
                                                   "resident.get");
    vault().clock.Advance(absl::Minutes(2));
  });
  for (int i = 0; i < 5000 && Remembered().size() > 1; ++i) {
    // The thread that sweeps may have read the clock for the first time only now.
    vault().clock.Advance(absl::Seconds(1));
    absl::SleepFor(absl::Milliseconds(1));
  }
  vault().faults()->SetBeforeWrite(nullptr);
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[1], entries[0] + 1);
  EXPECT_EQ(entries[2], entries[1]);
}

// Residents of whom much is remembered: a step of a retirement ends where its commit has grown
// enough, and the next goes on with the one behind.
TEST_F(RequestRowsTest, AStepOfARetirementEndsByItsSize) {
  constexpr int kResidents = 8, kEach = 900;
  store::Batch batch;
  for (int i = 0; i < kResidents; ++i) {
    std::map<std::string, std::string> before = vault().Rows("u/");
    VAULT_ASSERT_OK(vault().Create(TestVault::Person(i), {}, absl::StrCat("R-", i)));
    for (const auto& [key, value] : vault().Rows("u/")) {
      if (before.count(key) != 0) continue;
      for (int each = 0; each < kEach; ++each) {
        const std::string tag = absl::StrCat(absl::Dec(i * kEach + each, absl::kZeroPad16));
        batch.Put(key.substr(0, key.size() - tag.size()) + tag, "");
        batch.Put("q/131164/" + tag, "damaged");
      }
    }
  }
  VAULT_ASSERT_OK(vault().base()->Write(batch));
  AdvanceToTheEnd();
  std::vector<int> erased;
  vault().faults()->SetBeforeWrite([&](const store::Batch& of) {
    const auto residents = std::count_if(
        of.ops().begin(), of.ops().end(),
        [](const store::Batch::Op& op) { return op.is_delete && absl::StartsWith(op.key, "r/"); });
    if (residents > 0) erased.push_back(static_cast<int>(residents));
  });
  VAULT_ASSERT_OK_AND_ASSIGN(const JobRow job, Retire());
  vault().faults()->SetBeforeWrite(nullptr);
  EXPECT_EQ(job.state(), JobRow::STATE_DONE) << job.failure();
  EXPECT_EQ(job.done(), kResidents);
  // 5,000 rows to be looked at, and what the last one of them brings.
  EXPECT_THAT(erased, ElementsAre(6, 2));
  EXPECT_TRUE(vault().Rows("r/").empty());
  EXPECT_TRUE(vault().Rows("u/").empty());
}

}  // namespace
}  // namespace vault::usecases
