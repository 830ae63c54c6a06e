#include "vault/policy/narrowing.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace vault::policy {
namespace {

template <typename T>
bool AllIn(const std::vector<T>& some, const std::vector<T>& all) {
  return std::all_of(some.begin(), some.end(), [&](const T& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  });
}

// What of `next` is more than `now` has; empty: nothing.
absl::string_view More(const Subject& now, const Subject& next) {
  if (next.role != now.role) return "another role";
  if (!now.all_tenants && (next.all_tenants || !AllIn(next.tenants, now.tenants))) {
    return "more tenants";
  }
  // None named: all that there are.
  if (!now.programmes.empty() &&
      (next.programmes.empty() || !AllIn(next.programmes, now.programmes))) {
    return "more programmes";
  }
  for (const std::string& prefix : next.speaks_for) {
    if (std::none_of(now.speaks_for.begin(), now.speaks_for.end(),
                     [&](const std::string& had) { return absl::StartsWith(prefix, had); })) {
      return "more people to speak for";
    }
  }
  return "";
}

bool SameAs(const Subject& a, const Subject& b) {
  return a.role == b.role && a.all_tenants == b.all_tenants && a.tenants == b.tenants &&
         a.programmes == b.programmes && a.speaks_for == b.speaks_for;
}

bool SameAs(const Issuer& a, const Issuer& b) {
  return a.id == b.id && a.iss == b.iss && a.audience == b.audience &&
         absl::StartsWith(a.subject_prefix, b.subject_prefix) && a.lifetime_max <= b.lifetime_max;
}

absl::Status Widens(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("a subject has ", why,
                   ", which takes a start: while serving, rights can be removed and narrowed"));
}

void Concerns(const Subject& subject, Narrowing* narrowing) {
  narrowing->subjects.push_back(subject.id);
  narrowing->service |= subject.all_tenants || subject.tenants.empty();
  for (const TenantId& tenant : subject.tenants) {
    std::vector<TenantId>& tenants = narrowing->tenants;
    if (std::find(tenants.begin(), tenants.end(), tenant) == tenants.end()) {
      tenants.push_back(tenant);
    }
  }
}

}  // namespace

absl::StatusOr<Narrowing> CheckNarrower(const PolicySet& now, const PolicySet& next) {
  Narrowing narrowing;
  for (const Issuer& issuer : next.issuers()) {
    if (std::none_of(now.issuers().begin(), now.issuers().end(),
                     [&](const Issuer& had) { return SameAs(issuer, had); })) {
      return Widens("an issuer of tokens that is new, or another");
    }
  }
  for (const Subject* subject : next.AllSubjects()) {
    const Subject* had = now.FindSubject(subject->id);
    if (had == nullptr) return Widens("a right of its own that is new");
    const absl::string_view more = More(*had, *subject);
    if (!more.empty()) return Widens(more);
    if (SameAs(*had, *subject)) continue;
    ++narrowing.narrowed;
    Concerns(*had, &narrowing);
  }
  for (const Subject* had : now.AllSubjects()) {
    if (next.FindSubject(had->id) != nullptr) continue;
    ++narrowing.removed;
    Concerns(*had, &narrowing);
  }
  // Whose tokens are not taken any more, or for less, concerns every desk.
  if (next.issuers().size() != now.issuers().size()) narrowing.service = true;
  return narrowing;
}

}  // namespace vault::policy
