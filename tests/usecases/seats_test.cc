// Seats: two people give them, one stops them; what a call by one may do ends with it, to the
// second, also between its decision and its commit.
#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/usecases/usecases_fixture.h"
#include "vault/grants/seat_row.h"
#include "vault/inventory/seat_rows.h"

namespace vault::usecases {
namespace {

using grants::RosterRow;
using grants::SeatState;

const absl::Time kMorning =
    absl::FromCivil(absl::CivilSecond(2026, 12, 1, 9, 0, 0), absl::FixedTimeZone(9 * 60 * 60));

std::string Subject(absl::string_view name) { return absl::StrCat("urn:vault:", name); }

RosterRow Row(absl::string_view name, absl::string_view role = "operator",
              absl::string_view programme = "vaccination",
              absl::string_view shift = "00:00-24:00") {
  return {Subject(name),
          std::string(programme),
          std::string(role),
          "2026-12-01T09:00:00+09:00",
          "2026-12-03T18:00:00+09:00",
          std::string(shift),
          "",
          ""};
}

class SeatsTest : public UsecasesTest {
 protected:
  SeatsTest() { To(kMorning); }
  void To(absl::Time then) { vault().clock.Advance(then - vault().clock.Now()); }

  absl::StatusOr<SeatsProposed> Propose(SeatsProposal proposal,
                                        absl::string_view persona = "manager-toshima") {
    Awaited<SeatsProposed> answer;
    vault().use_cases()->approvals().ProposeSeats(TestVault::Info(persona), std::move(proposal),
                                                  answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<SeatsProposed> Import(std::vector<RosterRow> rows, bool dry_run = false,
                                       absl::string_view persona = "manager-toshima") {
    SeatsProposal proposal;
    proposal.tenant = "131164";
    proposal.change = "grant";
    proposal.rows = std::move(rows);
    proposal.dry_run = dry_run;
    return Propose(std::move(proposal), persona);
  }
  absl::StatusOr<grants::Approval> Approve(const SeatsProposed& proposed,
                                           absl::string_view persona = "supervisor-toshima") {
    Awaited<grants::Approval> answer;
    vault().use_cases()->approvals().Approve(TestVault::Info(persona), proposed.approval->id,
                                             proposed.effect->digest, answer.Callback());
    return answer.Wait();
  }
  // A roster that two people have agreed on.
  void Give(std::vector<RosterRow> rows) {
    const absl::StatusOr<SeatsProposed> proposed = Import(std::move(rows));
    ASSERT_TRUE(proposed.ok()) << proposed.status();
    ASSERT_TRUE(proposed->approval.has_value());
    const auto approved = Approve(*proposed);
    ASSERT_TRUE(approved.ok()) << approved.status();
    EXPECT_EQ(approved->state, grants::ApprovalState::kExecuted);
  }
  absl::StatusOr<std::vector<SeatView>> Stop(absl::string_view name, bool revoke = false,
                                             const std::string& programme = "",
                                             absl::string_view persona = "supervisor-toshima") {
    Awaited<std::vector<SeatView>> answer;
    vault().use_cases()->seats().Stop(
        TestVault::Info(persona), {"131164", Subject(name), programme, revoke}, answer.Callback());
    return answer.Wait();
  }
  absl::StatusOr<SeatsPage> List(bool review = false,
                                 absl::string_view persona = "manager-toshima") {
    Awaited<SeatsPage> answer;
    ListSeatsRequest request;
    request.tenant = "131164";
    request.review = review;
    vault().use_cases()->seats().List(TestVault::Info(persona), std::move(request),
                                      answer.Callback());
    return answer.Wait();
  }
  absl::Status Lookup(absl::string_view name, const std::string& programme = "",
                      const std::string& tenant = "131164") {
    Under under;
    under.tenant = tenant;
    under.programme = programme;
    return vault().Lookup(name, {{"phone", "03-1234-5678"}}, {}, under).status();
  }
  std::string Rule(absl::string_view name, const std::string& programme = "") {
    const absl::Status status = Lookup(name, programme);
    return status.ok() ? "" : GetRule(status);
  }
  // Puts a policy into force whose subjects are these.
  void WithSubjects(const std::string& from, const std::string& to) {
    const std::string root = VAULT_SOURCE_DIR;
    auto sources =
        policy::ReadSources(root + "/policies", root + "/deploy/subjects.textproto").value();
    ASSERT_EQ(absl::StrReplaceAll({{from, to}}, &sources.subjects.text), 1);
    auto set = policy::PolicySet::Load(sources);
    ASSERT_TRUE(set.ok()) << set.status();
    vault().policies().Exchange(*std::move(set));
  }
  std::vector<std::string> Actions(size_t last) {
    std::vector<std::string> actions;
    for (const tlog::Entry& entry : vault().Entries()) actions.push_back(entry.fields.action);
    return {actions.end() - static_cast<std::ptrdiff_t>(std::min(last, actions.size())),
            actions.end()};
  }
};

TEST_F(SeatsTest, ASeatIsGivenByTwoAndActsAtOnce) {
  EXPECT_EQ(Rule("desk-1"), "subject.unknown");
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Import({Row("desk-1")}));
  ASSERT_TRUE(proposed.approval.has_value());
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("urn:vault:desk-1 operator"));
  EXPECT_EQ(Rule("desk-1"), "subject.unknown");
  VAULT_ASSERT_OK(Approve(proposed).status());
  VAULT_EXPECT_OK(Lookup("desk-1"));
  const tlog::EntryFields entry = vault().LastEntry();
  EXPECT_EQ(entry.actor, Subject("desk-1"));
  EXPECT_EQ(entry.role, "operator");
  EXPECT_EQ(entry.seat, proposed.approval->id);
  EXPECT_EQ(entry.program, "vaccination");
  EXPECT_EQ(entry.rule, "role.operator");
  EXPECT_THAT(Actions(3), ElementsAre("approval.approve", "seats.grant", "resident.lookup"));
  vault().CheckAll();
}

TEST_F(SeatsTest, TheTrailNamesWhoGaveWhatToWhom) {
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Import({Row("desk-2"), Row("desk-1")}));
  const std::vector<tlog::Entry> proposal = vault().Entries();
  const tlog::EntryFields propose = proposal[proposal.size() - 2].fields;
  EXPECT_EQ(proposal.back().fields.action, "seats.grant.propose");
  EXPECT_EQ(proposal.back().fields.seats.size(), 2u);
  EXPECT_EQ(propose.action, "approval.propose");
  EXPECT_EQ(propose.actor, Subject("manager-toshima"));
  EXPECT_EQ(propose.grant, proposed.approval->id);
  EXPECT_EQ(propose.count, 2);
  VAULT_ASSERT_OK(Approve(proposed).status());
  const std::vector<tlog::Entry> entries = vault().Entries();
  const tlog::EntryFields& approve = entries[entries.size() - 2].fields;
  const tlog::EntryFields& grant = entries.back().fields;
  EXPECT_EQ(approve.action, "approval.approve");
  EXPECT_EQ(grant.action, "seats.grant");
  EXPECT_EQ(grant.actor, Subject("supervisor-toshima"));
  EXPECT_EQ(grant.grant, proposed.approval->id);
  EXPECT_THAT(grant.seats,
              UnorderedElementsAre("vaccination/urn:vault:desk-1/operator/2026-12-03T09:00:00Z",
                                   "vaccination/urn:vault:desk-2/operator/2026-12-03T09:00:00Z"));
}

TEST_F(SeatsTest, ItLapsesByItselfToTheSecond) {
  Give({Row("desk-1")});
  const absl::Time until = kMorning + absl::Hours(48 + 9);
  To(until - absl::Seconds(1));
  VAULT_EXPECT_OK(Lookup("desk-1"));
  To(until - absl::Microseconds(1));
  VAULT_EXPECT_OK(Lookup("desk-1"));
  To(until);
  EXPECT_EQ(Rule("desk-1"), "seat.ended");
  EXPECT_EQ(vault().LastEntry().decision, "DENY");
  EXPECT_EQ(vault().LastEntry().role, "operator");
}

TEST_F(SeatsTest, AClockSetBackKeepsNoSeatAlive) {
  Give({Row("desk-1")});
  To(kMorning + absl::Hours(48 + 9));
  EXPECT_EQ(Rule("desk-1"), "seat.ended");
  vault().clock.StepWall(-absl::Hours(1));
  EXPECT_EQ(Rule("desk-1"), "seat.ended");
}

TEST_F(SeatsTest, AShiftEndsAndBeginsToTheSecond) {
  Give({Row("desk-1", "operator", "vaccination", "09:00-12:00;13:00-18:00")});
  VAULT_EXPECT_OK(Lookup("desk-1"));
  To(kMorning + absl::Hours(3) - absl::Seconds(1));
  VAULT_EXPECT_OK(Lookup("desk-1"));
  To(kMorning + absl::Hours(3));
  EXPECT_EQ(Rule("desk-1"), "seat.shift");
  To(kMorning + absl::Hours(4));
  VAULT_EXPECT_OK(Lookup("desk-1"));
  To(kMorning + absl::Hours(9));
  EXPECT_EQ(Rule("desk-1"), "seat.shift");
  To(kMorning + absl::Hours(24));
  VAULT_EXPECT_OK(Lookup("desk-1"));
}

TEST_F(SeatsTest, OnePersonSuspendsAndTwoResume) {
  Give({Row("desk-1")});
  VAULT_ASSERT_OK_AND_ASSIGN(const std::vector<SeatView> stopped, Stop("desk-1"));
  ASSERT_EQ(stopped.size(), 1u);
  EXPECT_EQ(stopped[0].closed, "seat.suspended");
  EXPECT_EQ(vault().LastEntry().action, "seats.suspend");
  EXPECT_THAT(vault().LastEntry().seats, ElementsAre("vaccination/urn:vault:desk-1"));
  EXPECT_EQ(Rule("desk-1"), "seat.suspended");
  EXPECT_EQ(GetReason(Stop("desk-1").status()), "SEAT_SUSPENDED");
  // A roster does not resume what somebody has stopped.
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed roster, Import({Row("desk-1")}));
  EXPECT_FALSE(roster.approval.has_value());
  EXPECT_EQ(GetReason(roster.rows[0]), "SEAT_SUSPENDED");
  SeatsProposal resume;
  resume.tenant = "131164";
  resume.change = "resume";
  resume.subject = Subject("desk-1");
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Propose(resume));
  EXPECT_EQ(Rule("desk-1"), "seat.suspended");
  EXPECT_TRUE(absl::IsPermissionDenied(Approve(proposed, "manager-toshima").status()));
  VAULT_ASSERT_OK(Approve(proposed).status());
  VAULT_EXPECT_OK(Lookup("desk-1"));
  vault().CheckAll();
}

TEST_F(SeatsTest, RevokedIsForGoodButForARoster) {
  Give({Row("desk-1")});
  VAULT_ASSERT_OK(Stop("desk-1", /*revoke=*/true).status());
  EXPECT_EQ(Rule("desk-1"), "seat.revoked");
  SeatsProposal resume;
  resume.tenant = "131164";
  resume.change = "resume";
  resume.subject = Subject("desk-1");
  resume.programme = "vaccination";
  EXPECT_EQ(GetReason(Propose(resume).status()), "SEAT_REVOKED");
  Give({Row("desk-1")});
  VAULT_EXPECT_OK(Lookup("desk-1"));
}

TEST_F(SeatsTest, AnExtensionTakesTwo) {
  Give({Row("desk-1")});
  SeatsProposal extend;
  extend.tenant = "131164";
  extend.change = "extend";
  extend.subject = Subject("desk-1");
  for (const char* until : {"", "tomorrow", "2026-12-04T18:00:00", "2026-12-04"}) {
    extend.until = until;
    EXPECT_TRUE(absl::IsInvalidArgument(Propose(extend).status())) << until;
  }
  extend.until = "2026-12-03T17:59:59+09:00";
  EXPECT_EQ(GetReason(Propose(extend).status()), "SEAT_NOT_LONGER");
  extend.until = "2026-12-04T18:00:00+09:00";
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Propose(extend));
  EXPECT_EQ(GetReason(Propose(extend).status()), "ALREADY_PROPOSED");
  VAULT_ASSERT_OK(Approve(proposed).status());
  To(kMorning + absl::Hours(48 + 10));
  VAULT_EXPECT_OK(Lookup("desk-1"));
  To(kMorning + absl::Hours(72 + 9));
  EXPECT_EQ(Rule("desk-1"), "seat.ended");
}

TEST_F(SeatsTest, NobodyApprovesASeatOfTheirOwn) {
  Give({Row("lead", "supervisor")});
  VAULT_ASSERT_OK_AND_ASSIGN(
      const SeatsProposed proposed,
      Import({Row("desk-1"), Row("lead", "supervisor", "health_observation")}));
  const absl::Status own = Approve(proposed, "lead").status();
  EXPECT_TRUE(absl::IsPermissionDenied(own)) << own;
  EXPECT_EQ(GetReason(own), "OWN_SEAT");
  EXPECT_EQ(vault().LastEntry().rule, "approval.own_seat");
  EXPECT_EQ(vault().LastEntry().decision, "DENY");
  // Who proposes has none either, and the proposer approves nothing.
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed self, Import({Row("manager-toshima")}));
  EXPECT_EQ(GetReason(self.rows[0]), "SEPARATION_OF_DUTIES");
  EXPECT_EQ(GetReason(Approve(proposed, "manager-toshima").status()), "SAME_PERSON");
  VAULT_ASSERT_OK(Approve(proposed).status());
  // By a seat of the desk as well, where it is another's.
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed other, Import({Row("desk-2")}));
  VAULT_EXPECT_OK(Approve(other, "lead").status());
}

TEST_F(SeatsTest, WhoMayNotProposesApprovesAndStopsNothing) {
  Give({Row("desk-1"), Row("lead", "supervisor")});
  for (const char* persona : {"operator-toshima", "supervisor-toshima", "officer-toshima",
                              "compliance-toshima", "booking-service", "security", "desk-1"}) {
    EXPECT_EQ(GetRule(Import({Row("desk-2")}, false, persona).status()), "role.action") << persona;
  }
  EXPECT_EQ(GetRule(Import({Row("desk-2")}, false, "operator-yokohama").status()), "tenant.bound");
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Import({Row("desk-2")}));
  for (const char* persona :
       {"operator-toshima", "compliance-toshima", "booking-service", "security", "desk-1"}) {
    EXPECT_EQ(GetRule(Approve(proposed, persona).status()), "role.action") << persona;
    EXPECT_EQ(GetRule(Stop("desk-1", false, "", persona).status()), "role.action") << persona;
  }
  EXPECT_EQ(GetRule(Approve(proposed, "compliance-yokohama").status()), "tenant.bound");
  EXPECT_EQ(GetRule(List(false, "operator-toshima").status()), "role.action");
  VAULT_EXPECT_OK(Lookup("desk-1"));
  EXPECT_EQ(Rule("desk-2"), "subject.unknown");
}

TEST_F(SeatsTest, DutiesAreSeparatedPerSubject) {
  for (const char* subject : {"security", "compliance-toshima", "compliance-yokohama",
                              "manager-toshima", "booking-service"}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed refused, Import({Row(subject)}));
    EXPECT_FALSE(refused.approval.has_value());
    EXPECT_EQ(GetReason(refused.rows[0]), "SEPARATION_OF_DUTIES") << subject;
  }
  // A role of the subjects' file and a seat in the same programme would be two.
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed two, Import({Row("operator-toshima", "qa")}));
  EXPECT_EQ(GetReason(two.rows[0]), "TWO_ROLES");
  Give({Row("operator-toshima", "operator", "health_observation")});
  EXPECT_EQ(Rule("operator-toshima"), "programme.required");
  VAULT_EXPECT_OK(Lookup("operator-toshima", "vaccination"));
  EXPECT_EQ(vault().LastEntry().seat, "");
  VAULT_EXPECT_OK(Lookup("operator-toshima", "health_observation"));
  EXPECT_NE(vault().LastEntry().seat, "");
}

TEST_F(SeatsTest, ASeatOpensItsOwnProgrammeAndTenantAlone) {
  Give({Row("desk-1"), Row("desk-2"), Row("desk-2", "qa", "health_observation")});
  EXPECT_EQ(Rule("desk-1", "health_observation"), "programme.bound");
  EXPECT_EQ(Rule("desk-1", "grants"), "programme.bound");
  EXPECT_EQ(GetRule(Lookup("desk-1", "", "141003")), "tenant.bound");
  VAULT_EXPECT_OK(Lookup("desk-2", "vaccination"));
  // Quality assurance looks nobody up: the operator's seat is the only one that allows it.
  VAULT_EXPECT_OK(Lookup("desk-2"));
  EXPECT_EQ(vault().LastEntry().role, "operator");
  EXPECT_EQ(Rule("desk-2", "health_observation"), "role.action");
  EXPECT_EQ(vault().LastEntry().role, "qa");
  // Suspended in one programme, it goes on in the other.
  VAULT_ASSERT_OK(Stop("desk-2", false, "vaccination").status());
  EXPECT_EQ(Rule("desk-2", "vaccination"), "seat.suspended");
  const std::string id = vault().Add(1);
  EXPECT_EQ(GetRule(vault()
                        .Get("desk-2", id, {}, {"complaint", "C-1", "", "131164", "vaccination"})
                        .status()),
            "seat.suspended");
}

TEST_F(SeatsTest, AWrongRowIsAnsweredAndNothingIsProposed) {
  RosterRow wrong_end = Row("desk-2");
  wrong_end.until = wrong_end.from;
  RosterRow no_shift = Row("desk-3");
  no_shift.shift = "09:00-09:00";
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed result,
                             Import({Row("desk-1"), wrong_end, no_shift, Row("desk-4", "officer"),
                                     Row("desk-5"), Row("desk-5"), Row("desk-6"),
                                     Row("desk-6", "qa"), Row("desk-7", "operator", "grants")}));
  EXPECT_FALSE(result.approval.has_value());
  EXPECT_FALSE(result.effect.has_value());
  ASSERT_EQ(result.rows.size(), 9u);
  VAULT_EXPECT_OK(result.rows[0]);
  EXPECT_EQ(GetFieldPath(result.rows[1]), "rows[1].until");
  EXPECT_EQ(GetFieldPath(result.rows[2]), "rows[2].shift");
  EXPECT_EQ(GetFieldPath(result.rows[3]), "rows[3].role");
  EXPECT_EQ(GetReason(result.rows[5]), "DOUBLE_SEAT");
  EXPECT_EQ(GetReason(result.rows[7]), "TWO_ROLES");
  EXPECT_EQ(GetFieldPath(result.rows[8]), "rows[8].programme");
  EXPECT_TRUE(vault().Rows("y/").empty());
  EXPECT_EQ(vault().LastEntry().outcome, "INVALID_ARGUMENT");
  EXPECT_TRUE(absl::IsInvalidArgument(Import({}).status()));
}

TEST_F(SeatsTest, ADryRunProposesNothing) {
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed checked, Import({Row("desk-1")}, true));
  EXPECT_FALSE(checked.approval.has_value());
  EXPECT_THAT(checked.effect->text_en, HasSubstr("desk-1"));
  EXPECT_EQ(vault().LastEntry().action, "seats.check");
  EXPECT_TRUE(vault().Rows("y/").empty());
  EXPECT_TRUE(vault().Rows("g/").empty());
}

TEST_F(SeatsTest, WhatIsApprovedIsWhatWasShown) {
  Give({Row("desk-1")});
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Import({Row("desk-1", "qa")}));
  EXPECT_THAT(proposed.effect->text_en, HasSubstr("until now operator"));
  // What it replaces is another one by then.
  VAULT_ASSERT_OK(Stop("desk-1", /*revoke=*/true).status());
  EXPECT_EQ(GetReason(Approve(proposed).status()), "EFFECT_CHANGED");
  EXPECT_EQ(Rule("desk-1"), "seat.revoked");
}

TEST_F(SeatsTest, ALargeRosterNamesFiveHundredAnEntry) {
  std::vector<RosterRow> rows;
  for (int i = 0; i < 1201; ++i) rows.push_back(Row(absl::StrCat("desk-", i)));
  Give(rows);
  std::vector<size_t> named;
  uint64_t first = 0;
  for (const tlog::Entry& entry : vault().Entries()) {
    if (entry.fields.action != "seats.grant") continue;
    if (named.empty()) first = entry.place.seq;
    named.push_back(entry.fields.seats.size());
  }
  EXPECT_THAT(named, ElementsAre(500u, 500u, 201u));
  const inventory::SeatRows stored(vault().base(), vault().keyring());
  VAULT_ASSERT_OK_AND_ASSIGN(const inventory::SeatsFound found, stored.AllOf(Toshima()));
  EXPECT_EQ(found.seats.size(), 1201u);
  // Each row has the number of the entry that names it.
  for (const inventory::StoredSeat& seat : found.seats) {
    EXPECT_GE(seat.seat.seq, first);
    EXPECT_LE(seat.seat.seq, first + 2);
  }
  EXPECT_TRUE(vault().Rows("y/").empty());
  VAULT_EXPECT_OK(Lookup("desk-0"));
  VAULT_EXPECT_OK(Lookup("desk-1200"));
}

TEST_F(SeatsTest, SeatsOutliveARestart) {
  Give({Row("desk-1"), Row("desk-2")});
  VAULT_ASSERT_OK(Stop("desk-2").status());
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed waiting, Import({Row("desk-3")}));
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(Lookup("desk-1"));
  EXPECT_EQ(Rule("desk-2"), "seat.suspended");
  EXPECT_EQ(Rule("desk-3"), "subject.unknown");
  VAULT_ASSERT_OK(Approve(waiting).status());
  VAULT_EXPECT_OK(Lookup("desk-3"));
}

// The rows get another header: calls by what the book had are told to look again.
TEST_F(SeatsTest, ARotationOfTheMacKeyLeavesSeatsAsTheyAre) {
  Give({Row("desk-1"), Row("desk-2")});
  VAULT_ASSERT_OK(Stop("desk-2").status());
  const auto before = vault().Rows("s/");
  VAULT_ASSERT_OK_AND_ASSIGN(const row::v1::JobRow job,
                             vault().Rotate("security", KeyKind::kMac, "service"));
  EXPECT_EQ(job.state(), row::v1::JobRow::STATE_DONE) << job.failure();
  EXPECT_NE(vault().Rows("s/"), before);
  VAULT_EXPECT_OK(Lookup("desk-1"));
  EXPECT_EQ(vault().LastEntry().decision, "ALLOW");
  EXPECT_EQ(Rule("desk-2"), "seat.suspended");
  VAULT_ASSERT_OK(Stop("desk-1").status());
  EXPECT_EQ(Rule("desk-1"), "seat.suspended");
}

TEST_F(SeatsTest, ADamagedSeatIsListedAndOpensNothing) {
  Give({Row("desk-1")});
  vault().Stop();
  const auto rows = vault().Rows("s/");
  ASSERT_EQ(rows.size(), 1u);
  std::string bytes = rows.begin()->second;
  bytes[bytes.size() / 2] ^= 1;
  vault().PutRow(rows.begin()->first, bytes);
  VAULT_ASSERT_OK(vault().Start());
  EXPECT_EQ(Rule("desk-1"), "subject.unknown");
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsPage page, List());
  ASSERT_EQ(page.page.rows.size(), 1u);
  EXPECT_TRUE(page.page.rows[0].damaged);
  EXPECT_EQ(page.page.rows[0].closed, "seat.damaged");
  vault().PutRow(rows.begin()->first, rows.begin()->second);
}

TEST_F(SeatsTest, AProposedRosterThatWasChangedIsDamage) {
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed one, Import({Row("desk-1")}));
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed two, Import({Row("desk-2")}));
  const auto rows = vault().Rows("y/");
  ASSERT_EQ(rows.size(), 2u);
  // Another proposal's row in its place, and none.
  vault().PutRow(grants::RosterKey(one.approval->id, 0),
                 rows.at(grants::RosterKey(two.approval->id, 0)));
  EXPECT_TRUE(absl::IsDataLoss(Approve(one).status()));
  EXPECT_EQ(Rule("desk-1"), "subject.unknown");
  EXPECT_EQ(Rule("desk-2"), "subject.unknown");
  vault().PutRow(grants::RosterKey(one.approval->id, 0),
                 rows.at(grants::RosterKey(one.approval->id, 0)));
  VAULT_EXPECT_OK(Approve(one).status());
}

TEST_F(SeatsTest, AProposalIsOfItsTenantsLog) {
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Import({Row("desk-1")}));
  const auto listed = [&](absl::string_view persona, const std::string& log) {
    Awaited<Page<grants::Approval>> answer;
    vault().use_cases()->approvals().List(TestVault::Info(persona), log, true, {},
                                          answer.Callback());
    return answer.Wait();
  };
  EXPECT_EQ(listed("supervisor-toshima", "131164")->rows.size(), 1u);
  EXPECT_EQ(listed("security", "service")->rows.size(), 0u);
  EXPECT_EQ(GetRule(listed("supervisor-toshima", "service").status()), "role.log");
  EXPECT_EQ(GetRule(listed("supervisor-toshima", "141003").status()), "tenant.bound");
  const size_t service = vault().Entries(LogId::Service()).size();
  VAULT_ASSERT_OK(Approve(proposed).status());
  EXPECT_EQ(vault().Entries(LogId::Service()).size(), service);
}

TEST_F(SeatsTest, AReviewSaysWhatEachMaySeeAndWhenItWasUsed) {
  Give({Row("desk-1"), Row("lead", "supervisor", "health_observation")});
  VAULT_EXPECT_OK(Lookup("desk-1"));
  const absl::Time used = vault().Entries().back().place.time;
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsPage page, List(/*review=*/true, "compliance-toshima"));
  ASSERT_EQ(page.page.rows.size(), 2u);
  const SeatView& lead = page.page.rows[0];
  const SeatView& desk = page.page.rows[1];
  EXPECT_EQ(desk.seat.subject, Subject("desk-1"));
  EXPECT_THAT(desk.full, ElementsAre("name", "kana", "memo"));
  EXPECT_THAT(desk.masked, ElementsAre("phone", "address", "household_number", "ticket_number"));
  EXPECT_TRUE(desk.with_reason.empty());
  EXPECT_EQ(desk.last_used, used);
  EXPECT_FALSE(lead.last_used.has_value());
  EXPECT_THAT(lead.full, ElementsAre("name", "kana", "health_note", "memo"));
  EXPECT_FALSE(lead.with_reason.empty());
  EXPECT_EQ(vault().LastEntry().action, "seats.review");
}

TEST_F(SeatsTest, AProgrammeMayDemandTraining) {
  TestVaultOptions options;
  options.edit_tenants = [](std::string* tenants) {
    const std::string id = "id: \"vaccination\"";
    tenants->insert(tenants->find(id), "training_required: true ");
  };
  Restart(options);
  To(kMorning);
  RosterRow trained = Row("desk-2"), soon = Row("desk-3");
  trained.trained_on = "2026-11-30";
  soon.trained_on = "2026-12-02";
  Give({Row("desk-1"), trained, soon});
  EXPECT_EQ(Rule("desk-1"), "seat.untrained");
  VAULT_EXPECT_OK(Lookup("desk-2"));
  EXPECT_EQ(Rule("desk-3"), "seat.untrained");
  To(kMorning + absl::Hours(15) - absl::Seconds(1));
  EXPECT_EQ(Rule("desk-3"), "seat.untrained");
  To(kMorning + absl::Hours(15));  // midnight in Japan
  VAULT_EXPECT_OK(Lookup("desk-3"));
}

TEST_F(SeatsTest, ASuspensionBetweenDecisionAndCommitRefusesTheCall) {
  Give({Row("desk-1")});
  vault().Add(1);
  // The lookup's snapshot is taken after it was decided; the suspension comes in then.
  bool suspended = false;
  vault().store()->before_snapshot = [&] {
    if (std::exchange(suspended, true)) return;
    VAULT_EXPECT_OK(Stop("desk-1").status());
  };
  EXPECT_EQ(Rule("desk-1"), "seat.suspended");
  EXPECT_TRUE(suspended);
  const std::vector<tlog::Entry> entries = vault().Entries();
  EXPECT_EQ(entries.back().fields.action, "resident.lookup");
  EXPECT_EQ(entries.back().fields.decision, "DENY");
  EXPECT_THAT(entries.back().fields.shown, IsEmpty());
  EXPECT_EQ(entries[entries.size() - 2].fields.action, "seats.suspend");
}

TEST_F(SeatsTest, AShiftThatEndsBetweenDecisionAndCommitRefusesTheCall) {
  Give({Row("desk-1", "operator", "vaccination", "09:00-12:00")});
  vault().Add(1);
  To(kMorning + absl::Hours(3) - absl::Milliseconds(1));
  bool ended = false;
  vault().store()->before_snapshot = [&] {
    if (!std::exchange(ended, true)) To(kMorning + absl::Hours(3));
  };
  EXPECT_EQ(Rule("desk-1"), "seat.shift");
  EXPECT_TRUE(ended);
}

TEST_F(SeatsTest, ASeatOfOneProgrammeGivesAndStopsNothingInAnother) {
  Give({Row("lead", "supervisor"), Row("desk-1")});
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed nurse,
                             Import({Row("nurse", "operator", "health_observation")}));
  EXPECT_EQ(GetRule(Approve(nurse, "lead").status()), "programme.bound");
  VAULT_ASSERT_OK(Approve(nurse).status());
  EXPECT_TRUE(absl::IsNotFound(Stop("nurse", false, "", "lead").status()));
  EXPECT_EQ(GetRule(Stop("nurse", false, "health_observation", "lead").status()),
            "programme.bound");
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsPage page, List(false, "lead"));
  EXPECT_EQ(page.page.rows.size(), 2u);
  for (const SeatView& view : page.page.rows) EXPECT_EQ(view.seat.programme, "vaccination");
  EXPECT_EQ(GetRule(Stop("nurse", false, "grants").status()), "programme.bound");
  EXPECT_EQ(Rule("nurse", "health_observation"), "");
  VAULT_EXPECT_OK(Stop("desk-1", false, "", "lead").status());
  EXPECT_EQ(vault().LastEntry().program, "vaccination");
  // A service that passes tokens on is in its own programmes.
  Caller caller = TestVault::Info("lead");
  caller.by_token = true;
  caller.service = "urn:vault:health-service";
  Awaited<std::vector<SeatView>> stopped;
  vault().use_cases()->seats().Stop(caller, {"131164", Subject("desk-1"), "", true},
                                    stopped.Callback());
  EXPECT_EQ(GetRule(stopped.Wait().status()), "service.bound");
}

TEST_F(SeatsTest, AnApprovalIsOfTheStopThatWasShown) {
  VAULT_ASSERT_OK_AND_ASSIGN(
      const SeatsProposed roster,
      Import({Row("desk-1"), Row("desk-1", "operator", "health_observation")}));
  VAULT_ASSERT_OK(Approve(roster, "officer-toshima").status());
  VAULT_ASSERT_OK(Stop("desk-1", false, "", "officer-toshima").status());
  SeatsProposal both;
  both.tenant = "131164";
  both.change = "resume";
  both.subject = Subject("desk-1");
  SeatsProposal one = both;
  one.programme = "vaccination";
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed first, Propose(both));
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed second, Propose(one));
  EXPECT_THAT(first.effect->text_en, HasSubstr("suspended by urn:vault:officer-toshima"));
  VAULT_ASSERT_OK(Approve(second, "officer-toshima").status());
  // Something else has come up since.
  vault().clock.Advance(absl::Seconds(1));
  VAULT_ASSERT_OK(Stop("desk-1", false, "vaccination", "officer-toshima").status());
  EXPECT_EQ(GetReason(Approve(first, "officer-toshima").status()), "EFFECT_CHANGED");
  EXPECT_EQ(Rule("desk-1", "vaccination"), "seat.suspended");
}

TEST_F(SeatsTest, WhatWasProposedBySomebodyWhoMayNotAnyMoreIsNotApproved) {
  VAULT_ASSERT_OK_AND_ASSIGN(const SeatsProposed proposed, Import({Row("desk-1")}));
  WithSubjects("  id: \"urn:vault:manager-toshima\"", "  id: \"urn:vault:manager-2\"");
  EXPECT_EQ(GetReason(Approve(proposed).status()), "PROPOSER_NO_RIGHT");
  EXPECT_EQ(Rule("desk-1"), "subject.unknown");
}

TEST_F(SeatsTest, WhoGetsAnotherDutyActsByNoSeatAndIsSaidToBeShut) {
  Give({Row("desk-1"), Row("desk-2"), Row("desk-3")});
  const auto closed = [&](absl::string_view name) {
    const std::vector<SeatView> views = vault().use_cases()->seats().HeldBy(Subject(name));
    return views.empty() ? "none" : views[0].closed;
  };
  EXPECT_EQ(closed("desk-1"), "");
  const std::string manager = "subjects {\n  id: \"urn:vault:manager-toshima\"";
  WithSubjects(manager,
               "subjects { id: \"urn:vault:desk-1\" role: \"compliance\" tenants: \"131164\" }\n"
               "subjects { id: \"urn:vault:desk-2\" role: \"service\" tenants: \"141003\" "
               "programmes: \"vaccination\" }\n"
               "subjects { id: \"urn:vault:desk-3\" role: \"qa\" tenants: \"131164\" "
               "programmes: \"vaccination\" }\n" +
                   manager);
  EXPECT_EQ(Rule("desk-1"), "separation.duties");
  EXPECT_EQ(closed("desk-1"), "separation.duties");
  EXPECT_EQ(closed("desk-2"), "separation.duties");
  EXPECT_EQ(closed("desk-3"), "seat.two_roles");
  EXPECT_NE(Rule("desk-2"), "");
  EXPECT_NE(Rule("desk-3"), "");
}

// Whatever order the trail has them in: between an entry that stops a seat and the one that gives
// it back nobody was allowed anything by it.
TEST_F(SeatsTest, NoLookupIsAllowedBehindTheEntryThatStopsItsSeat) {
  constexpr int kDesks = 3, kRounds = 12;
  std::vector<RosterRow> rows;
  for (int i = 0; i < kDesks; ++i) rows.push_back(Row(absl::StrCat("desk-", i)));
  Give(rows);
  vault().Add(1);
  std::atomic<bool> over{false};
  std::atomic<int> allowed{0}, refused{0};
  std::vector<std::thread> desks;
  for (int i = 0; i < kDesks; ++i) {
    desks.emplace_back([this, i, &over, &allowed, &refused] {
      while (!over.load()) {
        const absl::Status status = Lookup(absl::StrCat("desk-", i));
        (status.ok() ? allowed : refused)++;
        if (!status.ok()) {
          const std::string rule = GetRule(status);
          EXPECT_TRUE(rule == "seat.suspended" || rule == "seat.revoked" ||
                      GetReason(status) == "REFUSALS")
              << status;
        }
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    const std::string name = absl::StrCat("desk-", round % kDesks);
    const bool revoke = round % 2 == 1;
    VAULT_EXPECT_OK(Stop(name, revoke).status());
    if (revoke) {
      Give({Row(name)});
    } else {
      SeatsProposal resume;
      resume.tenant = "131164";
      resume.change = "resume";
      resume.subject = Subject(name);
      const absl::StatusOr<SeatsProposed> proposed = Propose(resume);
      ASSERT_TRUE(proposed.ok()) << proposed.status();
      VAULT_EXPECT_OK(Approve(*proposed).status());
    }
  }
  over = true;
  for (std::thread& desk : desks) desk.join();
  EXPECT_GT(allowed.load(), 0);
  std::set<std::string> stopped;
  int behind = 0;
  for (const tlog::Entry& entry : vault().Entries()) {
    const tlog::EntryFields& fields = entry.fields;
    for (const std::string& seat : fields.seats) {
      std::string subject = seat.substr(seat.find('/') + 1);
      subject = subject.substr(0, subject.find('/'));
      if (absl::EndsWith(fields.action, ".propose")) continue;
      if (fields.action == "seats.suspend" || fields.action == "seats.revoke") {
        stopped.insert(subject);
      } else {
        stopped.erase(subject);
      }
    }
    if (fields.action != "resident.lookup" || fields.decision != "ALLOW") continue;
    behind += static_cast<int>(stopped.count(fields.actor));
  }
  EXPECT_EQ(behind, 0);
}

// Killed at each write, before it is on disk and behind it: what two people have given is there
// whole, or not at all, and the trail says which.
TEST(KilledSeatsTest, ARosterIsGivenWholeOrNotAtAll) {
  constexpr size_t kSeats = 501;
  for (const FaultStore::Fault fault :
       {FaultStore::Fault::kNotPersisted, FaultStore::Fault::kPersisted}) {
    for (int at = 1; at <= 2; ++at) {
      SCOPED_TRACE(absl::StrCat(at, " ", static_cast<int>(fault)));
      TestVault vault;
      vault.clock.Advance(kMorning - vault.clock.Now());
      const auto propose = [&] {
        Awaited<SeatsProposed> answer;
        SeatsProposal proposal;
        proposal.tenant = "131164";
        proposal.change = "grant";
        for (size_t i = 0; i < kSeats; ++i) proposal.rows.push_back(Row(absl::StrCat("desk-", i)));
        vault.use_cases()->approvals().ProposeSeats(TestVault::Info("manager-toshima"),
                                                    std::move(proposal), answer.Callback());
        return answer.Wait();
      };
      const auto approve = [&](const std::string& id, const std::string& digest) {
        Awaited<grants::Approval> answer;
        vault.use_cases()->approvals().Approve(TestVault::Info("supervisor-toshima"), id, digest,
                                               answer.Callback());
        return answer.Wait().status();
      };
      vault.faults()->FailWrite(at, fault);
      const absl::StatusOr<SeatsProposed> proposed = propose();
      EXPECT_EQ(proposed.ok(), at == 2);
      if (proposed.ok()) {
        EXPECT_FALSE(approve(proposed->approval->id, proposed->effect->digest).ok());
      }
      vault.Stop();
      VAULT_ASSERT_OK(vault.Start());
      size_t named = 0;
      for (const tlog::Entry& entry : vault.Entries()) {
        if (entry.fields.action == "seats.grant") named += entry.fields.seats.size();
      }
      const bool given = at == 2 && fault == FaultStore::Fault::kPersisted;
      EXPECT_EQ(vault.Rows("s/").size(), given ? kSeats : 0);
      EXPECT_EQ(named, given ? kSeats : 0);
      EXPECT_EQ(vault.Rows("y/").empty(),
                given || (at == 1 && fault == FaultStore::Fault::kNotPersisted));
      EXPECT_EQ(vault
                    .Lookup("desk-500", {{"phone", "03-1234-5678"}}, {},
                            {"complaint", "C-1", "", "131164", ""})
                    .ok(),
                given);
      if (given || !proposed.ok()) continue;
      // What was proposed waits, and goes on.
      VAULT_EXPECT_OK(approve(proposed->approval->id, proposed->effect->digest));
      EXPECT_EQ(vault.Rows("s/").size(), kSeats);
      EXPECT_TRUE(vault.Rows("y/").empty());
      vault.CheckAll();
    }
  }
}

}  // namespace
}  // namespace vault::usecases
