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

bool PolicySet::HasServiceLog(const Subject& subject) const {
  const auto role = roles_.find(subject.role);
  return role != roles_.end() && role->second->service_log;
}

bool PolicySet::HasLog(const CompiledRole& role, const Request& request) {
  switch (GroupOf(request.action)) {
    case ActionGroup::kAudit:
      return role.service_log != request.has_tenant;
    case ActionGroup::kJob:
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
  const bool of_resident = IsOfResidents(request.action);
  if (!HasLog(role, request)) return Deny("role.log");
  int purpose = -1;
  if (of_resident) {
    if (request.purpose.empty()) return Deny("purpose.required");
    purpose = PurposeIndex(request.purpose);
    if (purpose < 0 || !role.purposes[purpose].allowed) return Deny("purpose.role");
    if (request.contact.empty()) return Deny("contact.required");
    if (!ContactMatches(request.contact)) return Deny("contact.pattern");
  }
  if (!request.reason.empty() && !KnowsReason(request.reason)) return Deny("reason.unknown");

  bool outside = false;
  std::vector<std::string> refused = NotIn(schema_, request.searched, role.search, &outside);
  // A lookup by nothing would be a listing.
  if (request.action == Action::kResidentLookup && request.searched.empty()) outside = true;
  if (outside) return DenyFields("field.search", std::move(refused));
  refused = NotIn(schema_, request.changed, role.change, &outside);
  if (outside) return DenyFields("field.change", std::move(refused));

  Decision d;
  if (of_resident) {
    const auto& views = role.purposes[purpose].views;
    const Views& granted = views[request.reason.empty() ? 0 : 1];
    constexpr int kOrdinary = static_cast<int>(RecordClass::kOrdinary);
    refused = NotIn(schema_, request.asked, Disclosed(views[1][kOrdinary]), &outside);
    if (outside) return DenyFields("field.withheld", std::move(refused));
    refused = NotIn(schema_, request.asked, Disclosed(granted[kOrdinary]), &outside);
    if (outside) return DenyFields("reason.required", std::move(refused));
    d.views = granted;
    const std::vector<Disclosure>& ordinary = granted[kOrdinary].fields;
    d.guesses = std::any_of(request.searched.begin(), request.searched.end(),
                            [&](int i) { return ordinary[i] != Disclosure::kFull; });
    d.attempts = role.attempts;
    if (!request.asked.empty()) KeepOnly(request.asked, &d.views);
  } else {
    if (!request.asked.empty()) {
      return DenyFields("field.withheld", NotIn(schema_, request.asked, 0, &outside));
    }
    for (View& view : d.views) view.fields.assign(schema_.fields().size(), Disclosure::kWithheld);
  }
  d.allow = true;
  d.rule = role.rule;
  d.lookup_matches_max = limits_.lookup_matches_max();
  return d;
}

const Subject* PolicySet::FindSubject(absl::string_view id) const {
  auto it = subjects_.find(id);
  return it == subjects_.end() ? nullptr : &it->second;
}

int PolicySet::TrailRetentionYears(const LogId& log) const {
  int longest = 0;
  for (const auto& [tenant, years] : trail_retention_) {
    if (LogId::Of(tenant) == log) return years;
    longest = std::max(longest, years);
  }
  return longest;
}

const ProgrammeTerm* PolicySet::FindProgramme(const TenantId& tenant, absl::string_view id) const {
  auto it = programmes_.find(tenant);
  if (it == programmes_.end()) return nullptr;
  auto programme = it->second.find(id);
  return programme == it->second.end() ? nullptr : &programme->second;
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
