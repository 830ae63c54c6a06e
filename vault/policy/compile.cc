// From the sources to a PolicySet: everything that could be wrong is found here, with its
// place, so that Decide has nothing left to doubt.
#include <openssl/sha.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "absl/types/optional.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/policy/compiled.h"
#include "vault/policy/contact_probes.h"
#include "vault/policy/policy.h"
#include "vault/policy/source_locations.h"
#include "vault/text/text.h"

namespace vault::policy {
namespace {

constexpr size_t kCodeBytesMax = 32;
constexpr size_t kLabelBytesMax = 128;
constexpr int kFieldsMax = 63;
constexpr int kPurposesMax = 64;
constexpr uint32_t kValueBytesMax = 65536;
constexpr size_t kPatternBytesMax = 512;
constexpr int64_t kPatternMemoryMax = 1 << 20;
constexpr int kIssuersMax = 16;
constexpr size_t kIssuerBytesMax = 256;
constexpr uint32_t kLifetimeMinutesMax = 24 * 60;

// What was written, fit for a message: short and printable.
std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, 40)), "\"");
}

// [a-z][a-z0-9_]*
bool IsCode(absl::string_view text) {
  if (text.empty() || text.size() > kCodeBytesMax) return false;
  if (text[0] < 'a' || text[0] > 'z') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

constexpr absl::string_view kCodeExpected =
    "expected a lower-case letter, then letters, digits and _, at most 32";

// "urn:vault:" and then [a-z0-9-]+
bool IsSubjectId(absl::string_view text) {
  constexpr absl::string_view kPrefix = "urn:vault:";
  if (text.substr(0, kPrefix.size()) != kPrefix) return false;
  text.remove_prefix(kPrefix.size());
  if (text.empty() || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

constexpr absl::string_view kSubjectPrefix = "urn:vault:";

// "urn:vault:" and then [a-z0-9-]*: what some subject's id can begin with.
bool IsSubjectPrefix(absl::string_view text) { return text == kSubjectPrefix || IsSubjectId(text); }

constexpr absl::string_view kPrefixExpected =
    "expected \"urn:vault:\", alone or with a-z, 0-9 and - behind it, at most 64";

template <typename Container>
std::string OneOf(const Container& known) {
  return absl::StrCat("; one of ", absl::StrJoin(known, ", "));
}

// A repeated field of codes that must be known (where `known` is given) and stand once.
absl::Status CheckList(const Node& node, absl::string_view field, absl::string_view what,
                       const google::protobuf::RepeatedPtrField<std::string>& values,
                       const std::vector<std::string>& known) {
  std::set<std::string> seen;
  for (int i = 0; i < values.size(); ++i) {
    if (std::find(known.begin(), known.end(), values[i]) == known.end()) {
      return node.ErrorAt(field, i,
                          absl::StrCat("unknown ", what, " ", Quote(values[i]), OneOf(known)));
    }
    if (!seen.insert(values[i]).second) {
      return node.ErrorAt(field, i, absl::StrCat(what, " ", Quote(values[i]), " stands twice"));
    }
  }
  return absl::OkStatus();
}

// A repeated field that brings codes into being.
absl::Status CheckDeclared(const Node& node, absl::string_view field, absl::string_view what,
                           const google::protobuf::RepeatedPtrField<std::string>& values) {
  if (values.empty()) return node.Error(absl::StrCat("no ", field, "; expected at least one"));
  if (values.size() > kPurposesMax) {
    return node.ErrorAt(field, kPurposesMax, absl::StrCat("more than ", kPurposesMax, " ", field));
  }
  std::set<std::string> seen;
  for (int i = 0; i < values.size(); ++i) {
    if (!IsCode(values[i])) {
      return node.ErrorAt(field, i, absl::StrCat(what, " ", Quote(values[i]), ": ", kCodeExpected));
    }
    if (!seen.insert(values[i]).second) {
      return node.ErrorAt(field, i, absl::StrCat(what, " ", Quote(values[i]), " stands twice"));
    }
  }
  return absl::OkStatus();
}

// A century; more is a mistake in writing.
constexpr uint32_t kKeepDaysMax = 36500;

// "2027-03-31"; nothing for what is no such day, the 30th of February included.
absl::optional<absl::CivilDay> ParseDay(absl::string_view iso) {
  absl::CivilDay day;
  if (!absl::ParseCivilTime(iso, &day) || absl::FormatCivilTime(day) != iso) return absl::nullopt;
  // Four digits: no typing mistake makes a programme end before it can have begun.
  if (day < absl::CivilDay(2000, 1, 1) || day > absl::CivilDay(9999, 12, 31)) return absl::nullopt;
  return day;
}

// Contracts ask for five years; a tenant may say otherwise.
constexpr int kTrailRetentionYears = 5;

absl::Status CheckLabel(const Node& node, const char* name, const std::string& label) {
  if (label.size() > kLabelBytesMax) {
    return node.ErrorAt(name, -1, absl::StrCat("longer than ", kLabelBytesMax, " bytes"));
  }
  // It goes to terminals and pages as it is.
  if (!text::IsSeen(label)) {
    return node.ErrorAt(name, -1,
                        absl::StrCat(name,
                                     " holds what cannot be seen; expected one line without "
                                     "control or bidirectional characters"));
  }
  return absl::OkStatus();
}

// Of a schema's field, a role or a tenant.
template <typename M>
absl::Status CheckLabels(const Node& node, const M& message) {
  if (message.label_ja().empty()) return node.Error("no label_ja; expected its Japanese name");
  if (message.label_en().empty()) return node.Error("no label_en; expected its English name");
  RETURN_IF_ERROR(CheckLabel(node, "label_ja", message.label_ja()));
  return CheckLabel(node, "label_en", message.label_en());
}

// Whether one of these is this one.
bool Holds(const google::protobuf::RepeatedPtrField<std::string>& values, absl::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool NamesProgrammes(const v1::Role& role) {
  for (const auto* rules :
       {&role.fields(), &role.supervisor_only().fields(), &role.protected_resident().fields()}) {
    for (const v1::FieldRule& rule : *rules) {
      if (!rule.programmes().empty()) return true;
    }
  }
  return false;
}

std::vector<std::string> ActionNames() {
  std::vector<std::string> names;
  for (const ActionSpec& action : kActions) names.emplace_back(action.name);
  return names;
}

bool MaskFits(v1::Mask mask, v1::FieldType type) {
  switch (mask) {
    case v1::MASK_LAST_4:
      return type == v1::FIELD_TYPE_PHONE || type == v1::FIELD_TYPE_OPAQUE_NUMBER ||
             type == v1::FIELD_TYPE_TICKET;
    case v1::MASK_TOWN:
      return type == v1::FIELD_TYPE_ADDRESS;
    default:
      return true;
  }
}

// "131164.txt" of "policies/towns/131164.txt".
absl::string_view FileName(absl::string_view path) {
  return path.substr(path.rfind('/') == absl::string_view::npos ? 0 : path.rfind('/') + 1);
}

std::string Digest(const Sources& sources) {
  std::string all;
  const auto add = [&all](absl::string_view text) {
    AppendU64(text.size(), &all);
    absl::StrAppend(&all, text);
  };
  for (const Source* source :
       {&sources.schema, &sources.policy, &sources.tenants, &sources.subjects}) {
    add(source->text);
  }
  for (const Source& towns : sources.towns) {
    add(FileName(towns.name));
    add(towns.text);
  }
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), hash);
  return BytesToHex(hash);
}

}  // namespace

// Fills one PolicySet, source by source, in the order in which they refer to each other.
class Compiler {
 public:
  static absl::StatusOr<std::unique_ptr<const PolicySet>> Compile(const Sources& sources);

 private:
  using Rules = google::protobuf::RepeatedPtrField<v1::FieldRule>;

  absl::Status CompileSchema(const Source& source);
  absl::Status CompileField(const Node& node, const v1::Field& field);
  absl::Status CompileTenants(const Source& source);
  absl::Status CompileTowns(const std::vector<Source>& sources);
  absl::Status CompileProgrammes(const Node& node, const v1::Tenant& tenant, const TenantId& id);
  absl::Status CompilePolicy(const Source& source);
  absl::Status CompileContact(const Node& node, const std::string& pattern);
  absl::Status CompileLimits(const Node& node, const v1::Limits& limits);
  static absl::Status CompileAttempts(const Node& node, const v1::Attempts& attempts,
                                      Attempts* out);
  absl::Status CompileRole(const Node& node, const v1::Role& role);
  absl::Status CompileActions(const Node& node, const v1::Role& role, PolicySet::CompiledRole* out);
  absl::Status CheckSeparation(const Node& node, const v1::Role& role, const ActionSet& actions);
  absl::Status CheckResidentPart(const Node& node, const v1::Role& role,
                                 const PolicySet::CompiledRole& out);
  absl::Status CompileFieldList(const Node& node, absl::string_view list,
                                const google::protobuf::RepeatedPtrField<std::string>& ids,
                                uint64_t* mask);
  absl::Status CompileView(const Node& node, const v1::Role& role, const Rules& rules,
                           RecordClass record, PolicySet::CompiledRole* out);
  absl::Status CheckRule(const Node& node, const v1::Role& role, const v1::FieldRule& rule);
  absl::Status CheckTransferFields(const Node& node, const v1::Role& role,
                                   const PolicySet::CompiledRole& out);
  absl::Status CompileMatches(const Node& node, const v1::Role& role, PolicySet::CompiledRole* out);
  absl::Status CompileSubjects(const Source& source);
  absl::Status CompileSubject(const Node& node, const v1::Subject& subject);
  absl::Status CompileProgrammesOf(const Node& node, const v1::Subject& subject, Subject* out);
  static absl::Status CompileSpeaksFor(const Node& node, const v1::Subject& subject, Subject* out);
  absl::Status CompileIssuer(const Node& node, const v1::Issuer& issuer);

  std::vector<std::string> FieldIds() const;
  std::vector<std::string> RoleIds() const;

  std::unique_ptr<PolicySet> set_{new PolicySet};
  // Lines where something was declared first, for "stands twice".
  std::map<std::string, int> subject_lines_;
};

absl::StatusOr<std::unique_ptr<const PolicySet>> PolicySet::Load(const Sources& sources) {
  return Compiler::Compile(sources);
}

absl::StatusOr<std::unique_ptr<const PolicySet>> Compiler::Compile(const Sources& sources) {
  Compiler compiler;
  RETURN_IF_ERROR(compiler.CompileSchema(sources.schema));
  RETURN_IF_ERROR(compiler.CompileTenants(sources.tenants));
  RETURN_IF_ERROR(compiler.CompileTowns(sources.towns));
  RETURN_IF_ERROR(compiler.CompilePolicy(sources.policy));
  RETURN_IF_ERROR(compiler.CompileSubjects(sources.subjects));
  compiler.set_->digest_ = Digest(sources);
  return std::unique_ptr<const PolicySet>(std::move(compiler.set_));
}

std::vector<std::string> Compiler::FieldIds() const {
  std::vector<std::string> ids;
  for (const FieldSpec& field : set_->schema_.fields()) ids.push_back(field.id);
  return ids;
}

std::vector<std::string> Compiler::RoleIds() const {
  std::vector<std::string> ids;
  for (const auto& role : set_->roles_) ids.push_back(role.first);
  std::sort(ids.begin(), ids.end());
  return ids;
}

// --- schema.textproto

absl::Status Compiler::CompileSchema(const Source& source) {
  v1::Schema schema;
  Tree tree;
  RETURN_IF_ERROR(ParseText(source, &schema, &tree));
  const Node root(source, schema, tree);
  if (schema.fields().empty()) return root.Error("no fields; expected at least one");
  if (schema.fields_size() > kFieldsMax) {
    return root.ErrorAt("fields", kFieldsMax, absl::StrCat("more than ", kFieldsMax, " fields"));
  }
  set_->schema_.fields_.reserve(schema.fields_size());
  for (int i = 0; i < schema.fields_size(); ++i) {
    RETURN_IF_ERROR(CompileField(root.Child("fields", i), schema.fields(i)));
  }
  for (const FieldSpec& field : set_->schema_.fields_) {
    if (field.type == v1::FIELD_TYPE_PROTECTION) set_->schema_.protection_ = &field;
  }
  return absl::OkStatus();
}

// What a type cannot do, whatever its flags say.
static absl::Status CheckFieldKind(const Node& node, const v1::Field& field) {
  if (!v1::FieldType_IsValid(field.type()) || field.type() == v1::FIELD_TYPE_UNSPECIFIED) {
    return node.ErrorAt("type", -1,
                        "no known type; expected FIELD_TYPE_NAME or another of its kind");
  }
  if (!v1::Mask_IsValid(field.mask())) {
    return node.ErrorAt("mask", -1, "unknown mask; expected MASK_ALL or another of its kind");
  }
  if (!MaskFits(field.mask(), field.type())) {
    return node.ErrorAt("mask", -1,
                        absl::StrCat(v1::Mask_Name(field.mask()), " does not fit ",
                                     v1::FieldType_Name(field.type()), "; expected MASK_ALL"));
  }
  if (field.unique() && !field.searchable()) {
    return node.ErrorAt("unique", -1, "unique is checked by the index; expected searchable: true");
  }
  if (field.searchable() &&
      (field.type() == v1::FIELD_TYPE_FREE_TEXT || field.type() == v1::FIELD_TYPE_PROTECTION)) {
    return node.ErrorAt(
        "searchable", -1,
        absl::StrCat(v1::FieldType_Name(field.type()), " has no index; expected no searchable"));
  }
  return absl::OkStatus();
}

absl::Status Compiler::CompileField(const Node& unnamed, const v1::Field& field) {
  Schema& schema = set_->schema_;
  if (!IsCode(field.id())) {
    return unnamed.ErrorAt("id", -1,
                           absl::StrCat("field id ", Quote(field.id()), ": ", kCodeExpected));
  }
  const Node node = unnamed.Named(absl::StrCat("field \"", field.id(), "\""));
  if (schema.Find(field.id()) != nullptr) {
    return node.ErrorAt("id", -1, "the id stands twice; expected each once");
  }
  if (field.number() < 1 || field.number() > kFieldsMax) {
    return node.ErrorAt("number", -1,
                        absl::StrCat("number ", field.number(), "; expected 1 to ", kFieldsMax));
  }
  if (const FieldSpec* other = schema.FindNumber(field.number()); other != nullptr) {
    return node.ErrorAt("number", -1,
                        absl::StrCat("number ", field.number(), " belongs to \"", other->id,
                                     "\"; numbers are never reused"));
  }
  RETURN_IF_ERROR(CheckFieldKind(node, field));
  for (const FieldSpec& other : schema.fields_) {
    if (field.type() == v1::FIELD_TYPE_PROTECTION && other.type == field.type()) {
      return node.ErrorAt("type", -1,
                          absl::StrCat("\"", other.id, "\" is the protection; expected one only"));
    }
  }
  if (field.max_bytes() < 1 || field.max_bytes() > kValueBytesMax) {
    return node.ErrorAt(
        "max_bytes", -1,
        absl::StrCat("max_bytes ", field.max_bytes(), "; expected 1 to ", kValueBytesMax));
  }
  RETURN_IF_ERROR(CheckLabels(node, field));
  const int index = static_cast<int>(schema.fields_.size());
  schema.fields_.push_back({index, field.id(), field.number(), field.type(), field.required(),
                            field.searchable(), field.unique(), field.max_bytes(), field.mask(),
                            field.label_ja(), field.label_en()});
  schema.by_id_[field.id()] = index;
  schema.by_number_[field.number()] = index;
  return absl::OkStatus();
}

// --- tenants.textproto

absl::Status Compiler::CompileTenants(const Source& source) {
  v1::Tenants tenants;
  Tree tree;
  RETURN_IF_ERROR(ParseText(source, &tenants, &tree));
  const Node root(source, tenants, tree);
  if (tenants.tenants().empty()) return root.Error("no tenants; expected at least one");
  for (int i = 0; i < tenants.tenants_size(); ++i) {
    const v1::Tenant& tenant = tenants.tenants(i);
    const Node node = root.Child("tenants", i).Named(absl::StrCat("tenant ", Quote(tenant.id())));
    absl::StatusOr<TenantId> id = TenantId::Parse(tenant.id());
    if (!id.ok()) {
      return node.ErrorAt("id", -1,
                          "expected a municipality's code: six digits, the last its check digit");
    }
    if (std::find(set_->tenants_.begin(), set_->tenants_.end(), *id) != set_->tenants_.end()) {
      return node.ErrorAt("id", -1, "the id stands twice; expected each once");
    }
    RETURN_IF_ERROR(CheckLabels(node, tenant));
    if (tenant.has_trail_retention_years() &&
        (tenant.trail_retention_years() < 1 || tenant.trail_retention_years() > 100)) {
      return node.ErrorAt("trail_retention_years", -1,
                          "trail_retention_years is out of range; expected 1 to 100");
    }
    const int years =
        tenant.has_trail_retention_years() ? tenant.trail_retention_years() : kTrailRetentionYears;
    set_->trail_retention_[*id] = years;
    RETURN_IF_ERROR(CompileProgrammes(node, tenant, *id));
    set_->tenants_.push_back(*id);
  }
  std::sort(set_->tenants_.begin(), set_->tenants_.end());
  std::vector<std::string>& programmes = set_->programme_ids_;
  std::sort(programmes.begin(), programmes.end());
  programmes.erase(std::unique(programmes.begin(), programmes.end()), programmes.end());
  return absl::OkStatus();
}

absl::Status Compiler::CompileProgrammes(const Node& tenant_node, const v1::Tenant& tenant,
                                         const TenantId& id) {
  std::vector<Programme>& programmes = set_->programmes_[id];
  for (int i = 0; i < tenant.programmes_size(); ++i) {
    const v1::Programme& programme = tenant.programmes(i);
    const Node node =
        tenant_node.Child("programmes", i).Named(absl::StrCat("programme ", Quote(programme.id())));
    if (!IsCode(programme.id())) return node.ErrorAt("id", -1, kCodeExpected);
    if (set_->FindProgramme(id, programme.id()) != nullptr) {
      return node.ErrorAt("id", -1, "the id stands twice; expected each once");
    }
    const absl::optional<absl::CivilDay> end = ParseDay(programme.end_date());
    if (!end.has_value() && !programme.end_date().empty()) {
      return node.ErrorAt("end_date", -1,
                          absl::StrCat("end_date ", Quote(programme.end_date()),
                                       " is no day; expected one such as \"2027-03-31\""));
    }
    if (programme.keep_days() > kKeepDaysMax) {
      return node.ErrorAt(
          "keep_days", -1,
          absl::StrCat("keep_days is ", programme.keep_days(), "; expected 0 to ", kKeepDaysMax));
    }
    if (!end.has_value() && programme.keep_days() != 0) {
      return node.ErrorAt("keep_days", -1, "keep_days without end_date; expected both or neither");
    }
    RETURN_IF_ERROR(CheckLabels(node, programme));
    programmes.push_back({programme.id(), programme.label_ja(), programme.label_en(), {}});
    if (end.has_value()) programmes.back().term = ProgrammeTerm{*end, programme.keep_days()};
    programmes.back().training_required = programme.training_required();
    set_->programme_ids_.push_back(programme.id());
  }
  std::sort(programmes.begin(), programmes.end(),
            [](const Programme& a, const Programme& b) { return a.id < b.id; });
  return absl::OkStatus();
}

// --- towns/

absl::Status Compiler::CompileTowns(const std::vector<Source>& sources) {
  for (const Source& source : sources) {
    const absl::string_view name = FileName(source.name);
    const absl::StatusOr<TenantId> tenant = TenantId::Parse(absl::StripSuffix(name, ".txt"));
    if (!tenant.ok() || !absl::EndsWith(name, ".txt") || !set_->HasTenant(*tenant)) {
      std::vector<std::string> known;
      for (const TenantId& id : set_->tenants_) known.push_back(absl::StrCat(id.str(), ".txt"));
      return absl::InvalidArgumentError(
          absl::StrCat(source.name, ": is of no tenant", OneOf(known)));
    }
    ASSIGN_OR_RETURN(set_->towns_[*tenant],
                     text::Towns::Parse(source.name, tenant->str(), source.text));
  }
  return absl::OkStatus();
}

// --- policy.textproto

absl::Status Compiler::CompilePolicy(const Source& source) {
  v1::Policy policy;
  Tree tree;
  RETURN_IF_ERROR(ParseText(source, &policy, &tree));
  const Node root(source, policy, tree);
  RETURN_IF_ERROR(CheckDeclared(root, "purposes", "purpose", policy.purposes()));
  RETURN_IF_ERROR(CheckDeclared(root, "reasons", "reason", policy.reasons()));
  set_->purposes_.assign(policy.purposes().begin(), policy.purposes().end());
  set_->reasons_.assign(policy.reasons().begin(), policy.reasons().end());
  RETURN_IF_ERROR(CompileContact(root, policy.contact_pattern()));
  if (!policy.has_limits()) return root.Error("no limits; expected limits { … }");
  RETURN_IF_ERROR(CompileLimits(root.Child("limits"), policy.limits()));
  if (policy.roles().empty()) return root.Error("no roles; expected at least one");
  for (int i = 0; i < policy.roles_size(); ++i) {
    RETURN_IF_ERROR(CompileRole(root.Child("roles", i), policy.roles(i)));
  }
  return absl::OkStatus();
}

absl::Status Compiler::CompileContact(const Node& node, const std::string& pattern) {
  if (pattern.empty()) {
    return node.ErrorAt("contact_pattern", -1,
                        "no contact_pattern; expected an RE2 pattern such as "
                        "\"[A-Z]{1,3}-[0-9]{1,8}\"");
  }
  if (pattern.size() > kPatternBytesMax) {
    return node.ErrorAt("contact_pattern", -1,
                        absl::StrCat("longer than ", kPatternBytesMax, " bytes"));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemoryMax);
  set_->contact_ = std::make_unique<PolicySet::Matcher>(pattern, options);
  if (!set_->contact_->re.ok()) {
    return node.ErrorAt("contact_pattern", -1,
                        absl::StrCat("not an RE2 pattern: ", set_->contact_->re.error()));
  }
  for (const ContactProbe& probe : ContactProbes()) {
    if (set_->ContactMatches(probe.text)) {
      return node.ErrorAt("contact_pattern", -1,
                          absl::StrCat("can match ", probe.what, ", such as \"", probe.text,
                                       "\"; expected an opaque reference: a letter, and then at "
                                       "most 8 digits"));
    }
  }
  return absl::OkStatus();
}

absl::Status Compiler::CompileLimits(const Node& unnamed, const v1::Limits& limits) {
  const Node node = unnamed.Named("limits");
  const struct {
    absl::string_view name;
    uint32_t value, least, most;
  } kBounds[] = {
      {"lookup_matches_max", limits.lookup_matches_max(), 1, 100},
      {"refusal_burst", limits.refusal_burst(), 1, 1000},
      {"refusals_per_minute", limits.refusals_per_minute(), 1, 600},
      {"request_id_hours", limits.request_id_hours(), 1, 168},
      {"clock_jump_seconds_max", limits.clock_jump_seconds_max(), 1, 86400},
  };
  for (const auto& bound : kBounds) {
    if (bound.value < bound.least || bound.value > bound.most) {
      return node.ErrorAt(bound.name, -1,
                          absl::StrCat(bound.name, " is ", bound.value, "; expected ", bound.least,
                                       " to ", bound.most));
    }
  }
  if (!limits.has_attempts()) return node.Error("no attempts; expected attempts { … }");
  set_->limits_ = limits;
  Attempts attempts;
  return CompileAttempts(node.Child("attempts"), limits.attempts(), &attempts);
}

absl::Status Compiler::CompileAttempts(const Node& node, const v1::Attempts& attempts,
                                       Attempts* out) {
  constexpr uint32_t kBurstMax = 1'000'000, kPerHourMax = 100'000'000;
  if (attempts.burst() < 1 || attempts.burst() > kBurstMax) {
    return node.ErrorAt(
        "burst", -1,
        absl::StrCat("attempts.burst is ", attempts.burst(), "; expected 1 to ", kBurstMax));
  }
  if (attempts.per_hour() < 1 || attempts.per_hour() > kPerHourMax) {
    return node.ErrorAt("per_hour", -1,
                        absl::StrCat("attempts.per_hour is ", attempts.per_hour(),
                                     "; expected 1 to ", kPerHourMax));
  }
  *out = {attempts.burst(), attempts.per_hour()};
  return absl::OkStatus();
}

absl::Status Compiler::CompileRole(const Node& unnamed, const v1::Role& role) {
  if (!IsCode(role.id())) {
    return unnamed.ErrorAt("id", -1,
                           absl::StrCat("role id ", Quote(role.id()), ": ", kCodeExpected));
  }
  const Node node = unnamed.Named(absl::StrCat("role \"", role.id(), "\""));
  if (set_->roles_.contains(role.id())) {
    return node.ErrorAt("id", -1, "the id stands twice; expected each once");
  }
  RETURN_IF_ERROR(CheckLabels(node, role));
  auto out = std::make_unique<PolicySet::CompiledRole>();
  out->rule = absl::StrCat("role.", role.id());
  RETURN_IF_ERROR(CompileActions(node, role, out.get()));
  if (role.has_attempts() && !out->actions.Any(IsOfResidents)) {
    return node.ErrorAt("attempts", -1, "attempts without an action on residents");
  }
  RETURN_IF_ERROR(role.has_attempts()
                      ? CompileAttempts(node.Child("attempts"), role.attempts(), &out->attempts)
                      : CompileAttempts(node, set_->limits_.attempts(), &out->attempts));
  RETURN_IF_ERROR(CompileFieldList(node, "search_fields", role.search_fields(), &out->search));
  RETURN_IF_ERROR(CompileFieldList(node, "change_fields", role.change_fields(), &out->change));
  RETURN_IF_ERROR(CheckResidentPart(node, role, *out));

  PolicySet::CompiledRole::ForPurpose nothing;
  for (Views& views : nothing.views) {
    for (View& view : views) {
      view.escalate = true;
      view.fields.assign(set_->schema_.fields().size(), Disclosure::kWithheld);
    }
  }
  out->joins_programmes = role.joins_programmes();
  out->seats = role.seats();
  out->by_programme = NamesProgrammes(role);
  out->purpose_count = set_->purposes_.size();
  out->cases.assign((out->by_programme ? set_->programme_ids_.size() : 1) * out->purpose_count,
                    nothing);
  RETURN_IF_ERROR(CompileView(node, role, role.fields(), RecordClass::kOrdinary, out.get()));
  if (role.has_supervisor_only()) {
    RETURN_IF_ERROR(CompileView(node.Child("supervisor_only"), role,
                                role.supervisor_only().fields(), RecordClass::kSupervisorOnly,
                                out.get()));
  }
  if (role.has_protected_resident()) {
    RETURN_IF_ERROR(CompileView(node.Child("protected_resident"), role,
                                role.protected_resident().fields(), RecordClass::kProtected,
                                out.get()));
  }
  RETURN_IF_ERROR(CompileMatches(node, role, out.get()));
  set_->roles_[role.id()] = std::move(out);
  return absl::OkStatus();
}

absl::Status Compiler::CompileActions(const Node& node, const v1::Role& role,
                                      PolicySet::CompiledRole* out) {
  RETURN_IF_ERROR(CheckList(node, "actions", "action", role.actions(), ActionNames()));
  for (const std::string& name : role.actions()) out->actions.Add(*ParseAction(name));
  out->service_log = role.service_log();
  out->is_service = role.is_service();
  RETURN_IF_ERROR(CheckList(node, "purposes", "purpose", role.purposes(), set_->purposes_));
  return CheckSeparation(node, role, out->actions);
}

// G12: a role that reads residents neither operates the vault nor asks the trail; a role that
// operates it asks no tenant's trail. Seeing a job, or that a resident was erased, counts as
// neither.
absl::Status Compiler::CheckSeparation(const Node& node, const v1::Role& role,
                                       const ActionSet& actions) {
  const bool resident = actions.Any(IsOfResidents) || !role.fields().empty() ||
                        !role.purposes().empty() || !role.search_fields().empty() ||
                        !role.change_fields().empty() || !role.transfer_fields().empty() ||
                        role.joins_programmes() || role.has_supervisor_only() ||
                        role.has_protected_resident();
  const auto at = [&](bool (*is)(Action)) {
    int i = 0;
    while (!is(*ParseAction(role.actions(i)))) ++i;
    return i;
  };
  const bool operates = actions.Any(IsOperation);
  const bool audits = actions.Any(IsOfTrail);
  if (operates && resident) {
    return node.ErrorAt("actions", at(IsOperation),
                        "separation of duties: who operates keys reads no resident; expected no "
                        "resident action, purpose, field or view beside key.*, backup.* "
                        "and vault.*");
  }
  if (audits && resident) {
    return node.ErrorAt("actions", at(IsOfTrail),
                        "separation of duties: who audits reads no resident; expected no resident "
                        "action, purpose, field or view beside audit.*");
  }
  if (operates && audits && !role.service_log()) {
    return node.ErrorAt("actions", at(IsOfTrail),
                        "separation of duties: who operates keys asks no tenant's trail; expected "
                        "service_log: true");
  }
  const auto proposes_seats = [](Action action) { return action == Action::kSeatsPropose; };
  if (resident && actions.Any(proposes_seats)) {
    return node.ErrorAt("actions", at(proposes_seats),
                        "separation of duties: who proposes seats reads no resident; expected no "
                        "resident action, purpose, field or view beside seats.propose");
  }
  if (role.seats() && (operates || audits || actions.Any(proposes_seats) || role.is_service() ||
                       role.joins_programmes() || actions.Has(Action::kResidentErase) ||
                       actions.Has(Action::kResidentRetire))) {
    return node.ErrorAt("seats", -1,
                        "separation of duties: a seat is of the desk; expected no is_service, no "
                        "joins_programmes and no key.*, backup.*, vault.*, audit.*, "
                        "resident.erase, resident.retire or seats.propose");
  }
  if (role.service_log() && !audits) {
    return node.ErrorAt("service_log", -1,
                        "service_log without an audit action; expected one of audit.*");
  }
  return absl::OkStatus();
}

absl::Status Compiler::CompileFieldList(const Node& node, absl::string_view list,
                                        const google::protobuf::RepeatedPtrField<std::string>& ids,
                                        uint64_t* mask) {
  RETURN_IF_ERROR(CheckList(node, list, "field", ids, FieldIds()));
  for (int i = 0; i < ids.size(); ++i) {
    const FieldSpec* field = set_->schema_.Find(ids[i]);
    if (list == "search_fields" && !field->searchable) {
      std::vector<std::string> searchable;
      for (const FieldSpec& other : set_->schema_.fields()) {
        if (other.searchable) searchable.push_back(other.id);
      }
      return node.ErrorAt(
          list, i, absl::StrCat("field ", Quote(ids[i]), " is not searchable", OneOf(searchable)));
    }
    *mask |= uint64_t{1} << field->index;
  }
  return absl::OkStatus();
}

// Actions, purposes and fields make sense only together: half a grant is a mistake, not a grant.
absl::Status Compiler::CheckResidentPart(const Node& node, const v1::Role& role,
                                         const PolicySet::CompiledRole& out) {
  const bool resident = out.actions.Any(IsOfResidents);
  const bool lookup = out.actions.Has(Action::kResidentLookup);
  const bool makes =
      out.actions.Has(Action::kResidentCreate) || out.actions.Has(Action::kResidentImport);
  const bool change = makes || out.actions.Has(Action::kResidentUpdate);
  if (resident && role.purposes().empty()) {
    return node.Error("acts on residents without a purpose; expected purposes");
  }
  if (!resident && !role.purposes().empty()) {
    return node.ErrorAt("purposes", 0, "purposes without an action on residents");
  }
  if (!resident &&
      (!role.fields().empty() || role.has_supervisor_only() || role.has_protected_resident())) {
    return node.Error("sees fields without an action on residents; expected resident.get");
  }
  if (!resident && role.joins_programmes()) {
    return node.ErrorAt("joins_programmes", -1, "joins_programmes without an action on residents");
  }
  if (lookup && out.search == 0) {
    return node.Error("resident.lookup without search_fields; expected at least one");
  }
  if (!lookup && out.search != 0) {
    return node.ErrorAt("search_fields", 0, "search_fields without resident.lookup");
  }
  if (change && out.change == 0) {
    return node.Error("changes residents without change_fields; expected at least one");
  }
  if (!change && out.change != 0) {
    return node.ErrorAt("change_fields", 0,
                        "change_fields without resident.create, resident.update or "
                        "resident.import");
  }
  for (const FieldSpec& field : set_->schema_.fields()) {
    if (makes && field.required && ((out.change >> field.index) & 1) == 0) {
      return node.Error(absl::StrCat("makes residents but may not change \"", field.id,
                                     "\", which a record must have; expected it in "
                                     "change_fields"));
    }
  }
  return absl::OkStatus();
}

absl::Status Compiler::CheckRule(const Node& node, const v1::Role& role,
                                 const v1::FieldRule& rule) {
  const FieldSpec* field = set_->schema_.Find(rule.field());
  if (field == nullptr) {
    return node.ErrorAt("field", -1,
                        absl::StrCat("unknown field ", Quote(rule.field()), OneOf(FieldIds())));
  }
  if (!v1::Disclosure_IsValid(rule.disclosure()) ||
      rule.disclosure() == v1::DISCLOSURE_UNSPECIFIED) {
    return node.ErrorAt("disclosure", -1,
                        absl::StrCat("field \"", field->id,
                                     "\" without a disclosure; one of DISCLOSURE_FULL, "
                                     "DISCLOSURE_MASKED, DISCLOSURE_UNSEEN (to withhold it, leave "
                                     "the rule out)"));
  }
  if (rule.disclosure() == v1::DISCLOSURE_MASKED && field->mask == v1::MASK_UNSPECIFIED) {
    return node.ErrorAt(
        "disclosure", -1,
        absl::StrCat("field \"", field->id, "\" has no mask; expected one in the schema"));
  }
  if (rule.reason_required() && rule.disclosure() != v1::DISCLOSURE_FULL) {
    return node.ErrorAt("reason_required", -1,
                        "a reason opens a field in full; expected DISCLOSURE_FULL");
  }
  if (role.joins_programmes() && !rule.programmes().empty()) {
    return node.ErrorAt("programmes", 0,
                        "the role joins programmes, and sees the same in all; expected none");
  }
  RETURN_IF_ERROR(
      CheckList(node, "programmes", "programme", rule.programmes(), set_->programme_ids_));
  const std::vector<std::string> purposes(role.purposes().begin(), role.purposes().end());
  return CheckList(node, "purposes", "purpose of this role", rule.purposes(), purposes);
}

absl::Status Compiler::CompileView(const Node& node, const v1::Role& role, const Rules& rules,
                                   RecordClass record, PolicySet::CompiledRole* out) {
  const int cls = static_cast<int>(record);
  for (size_t i = 0; i < out->cases.size(); ++i) {
    PolicySet::CompiledRole::ForPurpose& purpose = out->cases[i];
    purpose.allowed = Holds(role.purposes(), set_->purposes_[i % out->purpose_count]);
    if (!purpose.allowed) continue;
    for (Views& views : purpose.views) views[cls].escalate = false;
  }
  std::set<std::string> seen;
  for (int i = 0; i < rules.size(); ++i) {
    const v1::FieldRule& rule = rules[i];
    const Node at = node.Child("fields", i);
    RETURN_IF_ERROR(CheckRule(at, role, rule));
    if (!seen.insert(rule.field()).second) {
      return at.ErrorAt("field", -1, absl::StrCat("field \"", rule.field(), "\" stands twice"));
    }
    const Disclosure disclosure = rule.disclosure() == v1::DISCLOSURE_FULL ? Disclosure::kFull
                                  : rule.disclosure() == v1::DISCLOSURE_MASKED
                                      ? Disclosure::kMasked
                                      : Disclosure::kUnseen;
    const int field = set_->schema_.Find(rule.field())->index;
    for (size_t c = 0; c < out->cases.size(); ++c) {
      if (!out->cases[c].allowed) continue;
      const std::string& purpose = set_->purposes_[c % out->purpose_count];
      if (!rule.purposes().empty() && !Holds(rule.purposes(), purpose)) continue;
      // Where the role has one list of cases for all programmes no rule names any.
      if (!rule.programmes().empty() &&
          !Holds(rule.programmes(), set_->programme_ids_[c / out->purpose_count])) {
        continue;
      }
      for (int reason = rule.reason_required() ? 1 : 0; reason < 2; ++reason) {
        Views& views = out->cases[c].views[reason];
        views[cls].fields[field] = disclosure;
        // A request names fields by what the ordinary view grants: another view may only take away.
        if (disclosure > views[0].fields[field]) {
          return at.ErrorAt("disclosure", -1,
                            absl::StrCat("field \"", rule.field(),
                                         "\" shows more here than in an ordinary record"));
        }
      }
    }
  }
  return absl::OkStatus();
}

// A lookup by one of these tells its value of a record that the role sees nothing of: it must be a
// field that the role has of others.
absl::Status Compiler::CheckTransferFields(const Node& node, const v1::Role& role,
                                           const PolicySet::CompiledRole& out) {
  if (!role.transfer_fields().empty() && role.has_supervisor_only() &&
      role.has_protected_resident()) {
    return node.ErrorAt("transfer_fields", 0,
                        "transfer_fields in a role that sees every kind of record; expected none");
  }
  for (int i = 0; i < role.transfer_fields_size(); ++i) {
    const FieldSpec* field = set_->schema_.Find(role.transfer_fields(i));
    bool had = ((out.search >> field->index) & 1) != 0;
    for (const PolicySet::CompiledRole::ForPurpose& purpose : out.cases) {
      const View& ordinary = purpose.views[0][static_cast<int>(RecordClass::kOrdinary)];
      const Disclosure shown = ordinary.fields[field->index];
      had &= !purpose.allowed || shown == Disclosure::kFull || shown == Disclosure::kUnseen;
    }
    if (had) continue;
    return node.ErrorAt("transfer_fields", i,
                        absl::StrCat("field ", Quote(field->id),
                                     " is not the role's to search by and to have; expected one of "
                                     "search_fields that fields give as DISCLOSURE_FULL or "
                                     "DISCLOSURE_UNSEEN, for every purpose and without a reason"));
  }
  return absl::OkStatus();
}

// What a lookup may find each class of record by: a match tells the value, so it takes the right to
// have it in full.
absl::Status Compiler::CompileMatches(const Node& node, const v1::Role& role,
                                      PolicySet::CompiledRole* out) {
  uint64_t transfer = 0;
  RETURN_IF_ERROR(CompileFieldList(node, "transfer_fields", role.transfer_fields(), &transfer));
  RETURN_IF_ERROR(CheckTransferFields(node, role, *out));
  for (PolicySet::CompiledRole::ForPurpose& purpose : out->cases) {
    for (Views& views : purpose.views) {
      for (View& view : views) {
        view.match = view.escalate ? transfer : 0;
        for (size_t i = 0; i < view.fields.size(); ++i) {
          if (view.fields[i] == Disclosure::kFull) view.match |= uint64_t{1} << i;
        }
        view.match &= out->search;
      }
      views[static_cast<int>(RecordClass::kOrdinary)].match = out->search;
    }
  }
  return absl::OkStatus();
}

// --- subjects.textproto

absl::Status Compiler::CompileSubjects(const Source& source) {
  v1::Subjects subjects;
  Tree tree;
  RETURN_IF_ERROR(ParseText(source, &subjects, &tree));
  const Node root(source, subjects, tree);
  if (subjects.subjects().empty()) return root.Error("no subjects; expected at least one");
  for (int i = 0; i < subjects.subjects_size(); ++i) {
    RETURN_IF_ERROR(CompileSubject(root.Child("subjects", i), subjects.subjects(i)));
  }
  if (subjects.issuers_size() > kIssuersMax) {
    return root.ErrorAt("issuers", kIssuersMax,
                        absl::StrCat("more than ", kIssuersMax, " issuers"));
  }
  for (int i = 0; i < subjects.issuers_size(); ++i) {
    RETURN_IF_ERROR(CompileIssuer(root.Child("issuers", i), subjects.issuers(i)));
  }
  return absl::OkStatus();
}

// A subject's id does not belong in a message: the source location leads a reader of the file to
// it.
absl::Status Compiler::CompileSubject(const Node& unnamed, const v1::Subject& subject) {
  const Node node = unnamed.Named("subject");
  if (!IsSubjectId(subject.id())) {
    return node.ErrorAt("id", -1,
                        "expected an id \"urn:vault:\" and then a-z, 0-9 and -, at most 64");
  }
  const auto first = subject_lines_.emplace(subject.id(), node.Line("id"));
  if (!first.second) {
    return node.ErrorAt("id", -1,
                        absl::StrCat("the id stands twice, first in line ", first.first->second));
  }
  if (!set_->roles_.contains(subject.role())) {
    return node.ErrorAt("role", -1,
                        absl::StrCat("unknown role ", Quote(subject.role()), OneOf(RoleIds())));
  }
  if (subject.tenants().empty()) {
    return node.Error("no tenants; expected municipality codes, or \"*\" for all");
  }
  Subject out;
  out.id = subject.id();
  out.role = subject.role();
  out.is_service = set_->roles_.at(subject.role())->is_service;
  for (int i = 0; i < subject.tenants_size(); ++i) {
    if (subject.tenants(i) == "*" && subject.tenants_size() == 1) {
      out.all_tenants = true;
      continue;
    }
    if (subject.tenants(i) == "*") {
      return node.ErrorAt("tenants", i, "\"*\" beside other tenants; expected it alone");
    }
    absl::StatusOr<TenantId> tenant = TenantId::Parse(subject.tenants(i));
    if (!tenant.ok() || !set_->HasTenant(*tenant)) {
      std::vector<std::string> known;
      for (const TenantId& id : set_->tenants_) known.emplace_back(id.str());
      return node.ErrorAt("tenants", i,
                          absl::StrCat("unknown tenant ", Quote(subject.tenants(i)), OneOf(known)));
    }
    if (std::find(out.tenants.begin(), out.tenants.end(), *tenant) != out.tenants.end()) {
      return node.ErrorAt("tenants", i,
                          absl::StrCat("tenant ", Quote(subject.tenants(i)), " stands twice"));
    }
    out.tenants.push_back(*tenant);
  }
  RETURN_IF_ERROR(CompileProgrammesOf(node, subject, &out));
  RETURN_IF_ERROR(CompileSpeaksFor(node, subject, &out));
  set_->subjects_.emplace(subject.id(), std::move(out));
  return absl::OkStatus();
}

// In which programmes it acts on residents: half a grant is a mistake here, too.
absl::Status Compiler::CompileProgrammesOf(const Node& node, const v1::Subject& subject,
                                           Subject* out) {
  std::set<std::string> known;
  for (const TenantId& tenant : out->all_tenants ? set_->tenants_ : out->tenants) {
    for (const Programme& programme : set_->ProgrammesOf(tenant)) known.insert(programme.id);
  }
  if (known.empty() && !subject.programmes().empty()) {
    return node.ErrorAt("programmes", 0, "its tenants have no programmes");
  }
  RETURN_IF_ERROR(CheckList(node, "programmes", "programme of its tenants", subject.programmes(),
                            {known.begin(), known.end()}));
  out->programmes.assign(subject.programmes().begin(), subject.programmes().end());
  std::sort(out->programmes.begin(), out->programmes.end());
  const PolicySet::CompiledRole& role = *set_->roles_.at(out->role);
  const bool resident = role.actions.Any(IsOfResidents);
  if (!resident && !out->programmes.empty()) {
    return node.ErrorAt("programmes", 0, "programmes of a role that acts on no resident");
  }
  if (!resident || (role.joins_programmes && out->programmes.empty())) return absl::OkStatus();
  if (out->programmes.empty()) {
    return node.Error(
        absl::StrCat("acts on residents of no programme; expected programmes", OneOf(known)));
  }
  for (size_t i = 0; i < out->tenants.size(); ++i) {
    const absl::Span<const Programme> has = set_->ProgrammesOf(out->tenants[i]);
    if (std::none_of(has.begin(), has.end(), [&](const Programme& programme) {
          return Holds(subject.programmes(), programme.id);
        })) {
      return node.ErrorAt(
          "tenants", static_cast<int>(i),
          absl::StrCat("tenant ", Quote(out->tenants[i].str()), " has none of its programmes"));
    }
  }
  return absl::OkStatus();
}

// A person who spoke for others, or a service that speaks for nobody in particular, would be a
// mistake that nothing else finds.
absl::Status Compiler::CompileSpeaksFor(const Node& node, const v1::Subject& subject,
                                        Subject* out) {
  for (int i = 0; i < subject.speaks_for_size(); ++i) {
    const std::string& prefix = subject.speaks_for(i);
    if (!out->is_service) {
      return node.ErrorAt("speaks_for", i,
                          "speaks_for of who is no service; expected a role with is_service");
    }
    if (!IsSubjectPrefix(prefix)) return node.ErrorAt("speaks_for", i, kPrefixExpected);
    if (std::find(out->speaks_for.begin(), out->speaks_for.end(), prefix) !=
        out->speaks_for.end()) {
      return node.ErrorAt("speaks_for", i, "the prefix stands twice");
    }
    out->speaks_for.push_back(prefix);
  }
  return absl::OkStatus();
}

// What a token is compared with byte by byte, and what is read by people who look for the mistake.
static absl::Status CheckIssuerText(const Node& node, const char* field, const std::string& text) {
  if (text.empty()) return node.ErrorAt(field, -1, absl::StrCat("no ", field));
  if (text.size() > kIssuerBytesMax) {
    return node.ErrorAt(field, -1,
                        absl::StrCat(field, " is longer than ", kIssuerBytesMax, " bytes"));
  }
  if (!text::IsSeen(text)) {
    return node.ErrorAt(field, -1, absl::StrCat(field, " holds what cannot be seen"));
  }
  return absl::OkStatus();
}

absl::Status Compiler::CompileIssuer(const Node& unnamed, const v1::Issuer& issuer) {
  if (!IsCode(issuer.id())) {
    return unnamed.ErrorAt("id", -1,
                           absl::StrCat("issuer id ", Quote(issuer.id()), ": ", kCodeExpected));
  }
  const Node node = unnamed.Named(absl::StrCat("issuer \"", issuer.id(), "\""));
  RETURN_IF_ERROR(CheckIssuerText(node, "iss", issuer.iss()));
  RETURN_IF_ERROR(CheckIssuerText(node, "audience", issuer.audience()));
  if (!IsSubjectPrefix(issuer.subject_prefix())) {
    return node.ErrorAt("subject_prefix", -1, kPrefixExpected);
  }
  const uint32_t minutes = issuer.lifetime_minutes_max();
  if (minutes < 1 || minutes > kLifetimeMinutesMax) {
    return node.ErrorAt(
        "lifetime_minutes_max", -1,
        absl::StrCat("lifetime_minutes_max is ", minutes, "; expected 1 to ", kLifetimeMinutesMax));
  }
  for (const Issuer& other : set_->issuers_) {
    if (other.id == issuer.id()) {
      return node.ErrorAt("id", -1, "the id stands twice; expected each once");
    }
    if (other.iss == issuer.iss()) {
      return node.ErrorAt("iss", -1, absl::StrCat("the iss is that of \"", other.id, "\" too"));
    }
    // Or one provider could name the other's people.
    if (absl::StartsWith(other.subject_prefix, issuer.subject_prefix()) ||
        absl::StartsWith(issuer.subject_prefix(), other.subject_prefix)) {
      return node.ErrorAt("subject_prefix", -1,
                          absl::StrCat("the prefix and that of \"", other.id,
                                       "\" hold the same subjects; expected each subject to have "
                                       "one issuer"));
    }
  }
  set_->issuers_.push_back({issuer.id(), issuer.iss(), issuer.audience(), issuer.subject_prefix(),
                            absl::Minutes(minutes)});
  return absl::OkStatus();
}

}  // namespace vault::policy
