// What one decision costs by a seat among 5,000, under a policy of 50 roles, with the look into the
// book; beside it a hash of a kilobyte, so that the figure says something on another machine.
//
//   decision-bench [--roles=50] [--seats=5000]
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "vault/base/logging.h"
#include "vault/crypto/crypto.h"
#include "vault/grants/seat_book.h"
#include "vault/grants/shift.h"
#include "vault/pipeline/standing.h"
#include "vault/policy/policy.h"

ABSL_FLAG(int, roles, 50, "roles of the policy, shipped ones included");
ABSL_FLAG(int, seats, 5000, "seats in the book");

namespace vault {
namespace {

constexpr int kDecisions = 200'000;
constexpr int kRounds = 7;

// The shipped policy, its operator copied under other names.
std::shared_ptr<const policy::PolicySet> Policy(int roles) {
  const std::string root = VAULT_SOURCE_DIR;
  absl::StatusOr<policy::Sources> sources =
      policy::ReadSources(root + "/policies", root + "/deploy/subjects.textproto");
  VAULT_CHECK(sources.ok()) << sources.status();
  std::string& text = sources->policy.text;
  const size_t begin = text.find("roles {\n  id: \"operator\"");
  const std::string one = text.substr(begin, text.find("\n}\n", begin) + 3 - begin);
  for (int i = 9; i < roles; ++i) {
    text += absl::StrReplaceAll(one, {{"\"operator\"", absl::StrCat("\"operator_", i, "\"")}});
  }
  auto set = policy::PolicySet::Load(*sources);
  VAULT_CHECK(set.ok()) << set.status();
  return *std::move(set);
}

std::string SubjectOf(int seat) { return absl::StrCat("urn:vault:desk-", seat); }

void Fill(int seats, absl::Time now, grants::SeatBook* book) {
  std::vector<grants::Held> all;
  for (int i = 0; i < seats; ++i) {
    grants::Held held;
    held.seat.tenant = *TenantId::Parse("131164");
    held.seat.programme = "vaccination";
    held.seat.subject = SubjectOf(i);
    held.seat.role = "operator";
    held.seat.from = now - absl::Hours(1);
    held.seat.until = now + absl::Hours(8);
    held.seat.shifts = *grants::ParseShifts("00:00-12:00;12:00-24:00");
    held.seat.approval = std::string(32, 'a');
    held.row_key = absl::StrCat("s/131164/vaccination/", held.seat.subject);
    held.row_prefix = std::string(13, 'p');
    all.push_back(std::move(held));
  }
  book->Replace(std::move(all));
}

// The fastest of a few rounds: what the machine does beside it only makes it slower.
template <typename Fn>
double NanosecondsOf(Fn once) {
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    const absl::Time begin = absl::Now();
    for (int i = 0; i < kDecisions; ++i) once(i);
    best = std::min(best, absl::ToDoubleNanoseconds(absl::Now() - begin) / kDecisions);
  }
  return best;
}

void Run() {
  const absl::Time now = absl::Now();
  const int seats = absl::GetFlag(FLAGS_seats);
  const std::shared_ptr<const policy::PolicySet> policy = Policy(absl::GetFlag(FLAGS_roles));
  grants::SeatBook book;
  Fill(seats, now, &book);
  std::vector<pipeline::Caller> callers(seats);
  for (int i = 0; i < seats; ++i) callers[i].subject = SubjectOf(i);
  policy::Request request;
  request.action = policy::Action::kResidentLookup;
  request.has_tenant = true;
  request.tenant = *TenantId::Parse("131164");
  request.purpose = "vaccination_booking";
  request.contact = "C-1001";
  request.searched = {policy->schema().Find("phone")->index};
  const double decision = NanosecondsOf([&](int i) {
    const pipeline::Caller& caller = callers[(i * 7919) % seats];
    const auto held = book.Of(caller.subject);
    VAULT_CHECK(pipeline::DecideFor(*policy, caller, *held, 1, request, now).decision.allow);
  });
  const std::string kilobyte(1024, 'x');
  size_t sum = 0;
  const double hash = NanosecondsOf([&](int) { sum += crypto::Sha256({kilobyte})[0]; });
  VAULT_CHECK(sum > 0);
  std::cout << "decision by a seat of " << seats << ", " << absl::GetFlag(FLAGS_roles)
            << " roles: " << static_cast<int64_t>(decision)
            << " ns; SHA-256 of 1 KiB: " << static_cast<int64_t>(hash) << " ns\n";
}

}  // namespace
}  // namespace vault

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("decision-bench: what one decision by a seat costs");
  absl::ParseCommandLine(argc, argv);
  vault::crypto::Init();
  vault::Run();
  return 0;
}
