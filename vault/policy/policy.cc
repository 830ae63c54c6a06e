#include "vault/policy/policy.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/policy/compiled.h"

namespace vault::policy {
namespace {

// A policy is read by people: a file beyond this is not one.
constexpr size_t kSourceBytesMax = 16 << 20;

Decision Deny(absl::string_view rule) {
  Decision d;
  d.rule = std::string(rule);
  return d;
}

Decision DenyFields(absl::string_view rule, std::vector<std::string> fields) {
  Decision d = Deny(rule);
  d.refused_fields = std::move(fields);
  return d;
}

bool Has(uint64_t mask, int index) {
  return index >= 0 && index < 64 && ((mask >> index) & 1) != 0;
}

// Ids of those of `indexes` that are not in `mask`. `*outside` when there is one, a field that the
// schema does not have included, which has no id to name.
std::vector<std::string> NotIn(const Schema& schema, const std::vector<int>& indexes, uint64_t mask,
                               bool* outside) {
  std::vector<std::string> ids;
  for (int index : indexes) {
    if (Has(mask, index)) continue;
    *outside = true;
    if (index >= 0 && index < schema.fields().size()) ids.push_back(schema.fields()[index].id);
  }
  return ids;
}

// The fields that `view` discloses in some way, as bits.
uint64_t Disclosed(const View& view) {
  uint64_t mask = 0;
  for (size_t i = 0; i < view.fields.size(); ++i) {
    if (view.fields[i] != Disclosure::kWithheld) mask |= uint64_t{1} << i;
  }
  return mask;
}

void KeepOnly(const std::vector<int>& asked, Views* views) {
  uint64_t mask = 0;
  for (int index : asked) mask |= uint64_t{1} << index;
  for (View& view : *views) {
    for (size_t i = 0; i < view.fields.size(); ++i) {
      if (!Has(mask, i)) view.fields[i] = Disclosure::kWithheld;
    }
  }
}

}  // namespace

absl::StatusOr<Source> ReadSource(const std::string& path) {
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);
  const uintmax_t size = regular ? std::filesystem::file_size(path, error) : 0;
  std::ifstream in(path, std::ios::binary);
  if (!regular || error || !in.is_open()) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read; expected a file"));
  }
  if (size > kSourceBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": longer than ", kSourceBytesMax, " bytes"));
  }
  Source source{path, std::string(size, '\0')};
  if (!in.read(source.text.data(), size)) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read; expected a file"));
  }
  return source;
}

namespace {

// Every file of the folder, by name; none where there is no such folder.
absl::StatusOr<std::vector<Source>> ReadTowns(const std::string& dir) {
  std::vector<Source> sources;
  std::error_code error;
  if (std::filesystem::status(dir, error).type() == std::filesystem::file_type::not_found) {
    return sources;
  }
  std::vector<std::string> paths;
  std::filesystem::directory_iterator entries(dir, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    paths.push_back(entries->path().string());
  }
  if (error) return absl::NotFoundError(absl::StrCat(dir, ": cannot be read; expected a folder"));
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(Source source, ReadSource(path));
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

absl::StatusOr<Action> ParseAction(absl::string_view name) {
  for (size_t i = 0; i < kActionCount; ++i) {
    if (kActions[i].name == name) return static_cast<Action>(i);
  }
  return absl::InvalidArgumentError("unknown action");
}

const FieldSpec* Schema::Find(absl::string_view id) const {
  auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &fields_[it->second];
}

const FieldSpec* Schema::FindNumber(uint32_t number) const {
  if (number >= by_number_.size() || by_number_[number] < 0) return nullptr;
  return &fields_[by_number_[number]];
}

absl::StatusOr<Sources> ReadSources(const std::string& policy_dir,
                                    const std::string& subjects_file) {
  Sources sources;
  ASSIGN_OR_RETURN(sources.schema, ReadSource(policy_dir + "/schema.textproto"));
  ASSIGN_OR_RETURN(sources.policy, ReadSource(policy_dir + "/policy.textproto"));
  ASSIGN_OR_RETURN(sources.tenants, ReadSource(policy_dir + "/tenants.textproto"));
  ASSIGN_OR_RETURN(sources.subjects, ReadSource(subjects_file));
  ASSIGN_OR_RETURN(sources.towns, ReadTowns(policy_dir + "/towns"));
  return sources;
}

PolicySet::PolicySet() = default;
PolicySet::~PolicySet() = default;

bool PolicySet::Bound(const Request& request) const {
  if (!request.has_tenant) {
    // Only a log can be the service's own; everything else belongs to a tenant.
    return IsAskedOfLogs(request.action);
  }
  return Binds(*request.subject, request.tenant);
}

bool PolicySet::Binds(const Subject& subject, const TenantId& tenant) const {
  if (!HasTenant(tenant)) return false;
  return subject.all_tenants ||
         std::find(subject.tenants.begin(), subject.tenants.end(), tenant) != subject.tenants.end();
}

std::vector<RoleRight> PolicySet::RightsOf(absl::string_view role, const TenantId& tenant,
                                           absl::string_view programme) const {
  std::vector<RoleRight> rights;
  const auto it = roles_.find(role);
  if (it == roles_.end() || FindProgramme(tenant, programme) == nullptr) return rights;
  constexpr int kOrdinary = static_cast<int>(RecordClass::kOrdinary);
  for (size_t i = 0; i < purposes_.size(); ++i) {
    const CompiledRole::ForPurpose& of = it->second->Case(ProgrammeIndex(programme), i);
    if (!of.allowed) continue;
    rights.push_back(
        {purposes_[i], {of.views[0][kOrdinary].fields, of.views[1][kOrdinary].fields}});
  }
  return rights;
}

bool PolicySet::HasSeats(absl::string_view role) const {
  const auto it = roles_.find(role);
  return it != roles_.end() && it->second->seats;
}

std::vector<std::string> PolicySet::SeatRoles() const {
  std::vector<std::string> ids;
  for (const auto& [id, role] : roles_) {
    if (role->seats) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

// A role of seats is of the desk, which reads residents.
bool PolicySet::SeparatesFromSeats(absl::string_view role) const {
  const auto it = roles_.find(role);
  if (it == roles_.end()) return false;
  const ActionSet& actions = it->second->actions;
  return actions.Any(IsOperation) || actions.Any(IsOfTrail) || actions.Has(Action::kSeatsPropose);
}

bool PolicySet::HasServiceLog(const Subject& subject) const {
  const auto role = roles_.find(subject.role);
  return role != roles_.end() && role->second->service_log;
}

bool PolicySet::HasLog(const CompiledRole& role, const Request& request) {
  switch (GroupOf(request.action)) {
    case ActionGroup::kAudit:
      return role.service_log != request.has_tenant;
    case ActionGroup::kJob:
    case ActionGroup::kApproval:
      return role.service_log || request.has_tenant;
    case ActionGroup::kService:
      return !request.has_tenant;
    default:
      return true;
  }
}

Decision PolicySet::Decide(const Request& request) const {
  if (request.subject == nullptr) return Deny("subject.unknown");
  auto it = roles_.find(request.subject->role);
  if (it == roles_.end()) return Deny("subject.unknown");
  const CompiledRole& role = *it->second;
  if (!Bound(request)) return Deny("tenant.bound");
  if (!role.actions.Has(request.action)) return Deny("role.action");
  if (!HasLog(role, request)) return Deny("role.log");
  if (!IsOfResidents(request.action)) return DecideOfNoResident(role, request);

  std::vector<std::string> programmes;
  const absl::string_view wrong = ResolveProgrammes(role, request, &programmes);
  if (!wrong.empty()) return Deny(wrong);
  Decision d = DecideOfResidents(role, request, programmes.front());
  d.programmes = std::move(programmes);
  return d;
}

absl::string_view PolicySet::ResolveProgrammes(const CompiledRole& role, const Request& request,
                                               std::vector<std::string>* programmes) const {
  const std::vector<std::string>& own = request.subject->programmes;
  for (const Programme& programme : ProgrammesOf(request.tenant)) {
    if (!request.programme.empty() && programme.id != request.programme) continue;
    if (!own.empty() && std::find(own.begin(), own.end(), programme.id) == own.end()) continue;
    programmes->push_back(programme.id);
  }
  if (programmes->empty()) return "programme.bound";
  // A record is made in one programme.
  const bool joins = role.joins_programmes && request.action != Action::kResidentCreate &&
                     request.action != Action::kResidentImport;
  return programmes->size() == 1 || joins ? "" : "programme.required";
}

Decision PolicySet::DecideOfNoResident(const CompiledRole& role, const Request& request) const {
  if (!request.reason.empty() && !KnowsReason(request.reason)) return Deny("reason.unknown");
  bool outside = false;
  std::vector<std::string> refused = NotIn(schema_, request.searched, role.search, &outside);
  if (outside) return DenyFields("field.search", std::move(refused));
  refused = NotIn(schema_, request.changed, role.change, &outside);
  if (outside) return DenyFields("field.change", std::move(refused));
  if (!request.asked.empty()) {
    return DenyFields("field.withheld", NotIn(schema_, request.asked, 0, &outside));
  }
  Decision d = Allow(role);
  for (View& view : d.views) view.fields.assign(schema_.fields().size(), Disclosure::kWithheld);
  return d;
}

Decision PolicySet::Allow(const CompiledRole& role) const {
  Decision d;
  d.allow = true;
  d.rule = role.rule;
  d.lookup_matches_max = limits_.lookup_matches_max();
  return d;
}

Decision PolicySet::DecideOfResidents(const CompiledRole& role, const Request& request,
                                      absl::string_view programme) const {
  if (request.purpose.empty()) return Deny("purpose.required");
  const int purpose = PurposeIndex(request.purpose);
  if (purpose < 0) return Deny("purpose.role");
  const auto& views_of = role.Case(ProgrammeIndex(programme), purpose);
  if (!views_of.allowed) return Deny("purpose.role");
  if (request.contact.empty()) return Deny("contact.required");
  if (!ContactMatches(request.contact)) return Deny("contact.pattern");
  if (!request.reason.empty() && !KnowsReason(request.reason)) return Deny("reason.unknown");

  bool outside = false;
  std::vector<std::string> refused = NotIn(schema_, request.searched, role.search, &outside);
  // A lookup by nothing would be a listing.
  if (request.action == Action::kResidentLookup && request.searched.empty()) outside = true;
  if (outside) return DenyFields("field.search", std::move(refused));
  refused = NotIn(schema_, request.changed, role.change, &outside);
  if (outside) return DenyFields("field.change", std::move(refused));

  const Views& granted = views_of.views[request.reason.empty() ? 0 : 1];
  constexpr int kOrdinary = static_cast<int>(RecordClass::kOrdinary);
  refused = NotIn(schema_, request.asked, Disclosed(views_of.views[1][kOrdinary]), &outside);
  if (outside) return DenyFields("field.withheld", std::move(refused));
  refused = NotIn(schema_, request.asked, Disclosed(granted[kOrdinary]), &outside);
  if (outside) return DenyFields("reason.required", std::move(refused));
  Decision d = Allow(role);
  d.views = granted;
  const std::vector<Disclosure>& ordinary = granted[kOrdinary].fields;
  d.guesses = std::any_of(request.searched.begin(), request.searched.end(),
                          [&](int i) { return ordinary[i] != Disclosure::kFull; });
  d.attempts = role.attempts;
  if (!request.asked.empty()) KeepOnly(request.asked, &d.views);
  return d;
}

const Subject* PolicySet::FindSubject(absl::string_view id) const {
  auto it = subjects_.find(id);
  return it == subjects_.end() ? nullptr : &it->second;
}

std::vector<const Subject*> PolicySet::AllSubjects() const {
  std::vector<const Subject*> all;
  all.reserve(subjects_.size());
  for (const auto& [id, subject] : subjects_) all.push_back(&subject);
  std::sort(all.begin(), all.end(),
            [](const Subject* a, const Subject* b) { return a->id < b->id; });
  return all;
}

int PolicySet::TrailRetentionYears(const LogId& log) const {
  int longest = 0;
  for (const auto& [tenant, years] : trail_retention_) {
    if (LogId::Of(tenant) == log) return years;
    longest = std::max(longest, years);
  }
  return longest;
}

absl::Span<const Programme> PolicySet::ProgrammesOf(const TenantId& tenant) const {
  const auto it = programmes_.find(tenant);
  return it == programmes_.end() ? absl::Span<const Programme>() : absl::MakeConstSpan(it->second);
}

const Programme* PolicySet::FindProgramme(const TenantId& tenant, absl::string_view id) const {
  for (const Programme& programme : ProgrammesOf(tenant)) {
    if (programme.id == id) return &programme;
  }
  return nullptr;
}

size_t PolicySet::ProgrammeIndex(absl::string_view programme) const {
  const auto it = std::lower_bound(programme_ids_.begin(), programme_ids_.end(), programme);
  VAULT_CHECK(it != programme_ids_.end() && *it == programme);
  return static_cast<size_t>(it - programme_ids_.begin());
}

const text::Towns& PolicySet::TownsOf(const TenantId& tenant) const {
  static const text::Towns* const none = new text::Towns;
  const auto it = towns_.find(tenant);
  return it == towns_.end() ? *none : it->second;
}

bool PolicySet::HasTenant(const TenantId& tenant) const {
  return std::binary_search(tenants_.begin(), tenants_.end(), tenant);
}

int PolicySet::PurposeIndex(absl::string_view purpose) const {
  for (size_t i = 0; i < purposes_.size(); ++i) {
    if (purposes_[i] == purpose) return static_cast<int>(i);
  }
  return -1;
}

bool PolicySet::ContactMatches(absl::string_view contact) const {
  return contact.size() <= kContactBytesMax &&
         re2::RE2::FullMatch(re2::StringPiece(contact.data(), contact.size()), contact_->re);
}

bool PolicySet::KnowsPurpose(absl::string_view purpose) const { return PurposeIndex(purpose) >= 0; }

bool PolicySet::KnowsReason(absl::string_view reason) const {
  return std::find(reasons_.begin(), reasons_.end(), reason) != reasons_.end();
}

}  // namespace vault::policy
