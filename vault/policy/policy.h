// Who may do what, to which fields, why: textproto compiled at start into an immutable set, and one
// pure decision.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<const PolicySet> set, PolicySet::Load(sources));
//   Decision d = set->Decide(request);
//
// Deny by default. A PolicySet is immutable and so thread-safe; Decide reads no clock, no store, no
// random bits.
#ifndef VAULT_POLICY_POLICY_H_
#define VAULT_POLICY_POLICY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "vault/base/ids.h"
#include "vault/policy/actions.h"
#include "vault/policy/v1/policy.pb.h"
#include "vault/text/towns.h"

namespace vault::policy {

// Makes PolicySets; compile.cc.
class Compiler;

// One field of the schema, compiled. `index` counts from 0 in the schema's order.
struct FieldSpec {
  int index;
  std::string id;
  uint32_t number;
  v1::FieldType type;
  bool required, searchable, unique;
  size_t max_bytes;
  v1::Mask mask;
  // What people read: on one line, without control and unseen characters.
  std::string label_ja, label_en;
};

class Schema {
 public:
  Schema() { by_number_.fill(-1); }
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  absl::Span<const FieldSpec> fields() const { return fields_; }
  // Null where there is none.
  const FieldSpec* Find(absl::string_view id) const;
  const FieldSpec* FindNumber(uint32_t number) const;
  // The field of type PROTECTION; null where the schema has none.
  const FieldSpec* protection() const { return protection_; }

 private:
  friend class Compiler;
  std::vector<FieldSpec> fields_;
  absl::flat_hash_map<std::string, int> by_id_;
  std::array<int, 64> by_number_;
  const FieldSpec* protection_ = nullptr;
};

// What kind of record it is, known only when the record has been found.
enum class RecordClass : uint8_t { kOrdinary = 0, kSupervisorOnly = 1, kProtected = 2 };
inline constexpr int kRecordClasses = 3;

enum class Disclosure : uint8_t { kWithheld, kUnseen, kMasked, kFull };

// What a role sees of one record class: a disclosure a field (by FieldSpec::index), or the
// escalation.
struct View {
  bool escalate = false;  // 「SV転送」: no field
  std::vector<Disclosure> fields;
  // Bits by FieldSpec::index: the criteria that a lookup holds against a record of this class. What
  // is not in it is not looked at, so that the answer does not depend on its truth; where none of a
  // call's criteria is in it, nothing of this class is found.
  uint64_t match = 0;
};

struct Subject {
  std::string id;
  std::string role;
  bool all_tenants = false;
  std::vector<TenantId> tenants;
  std::vector<std::string> programmes;  // none: all that its tenants have
  bool is_service = false;              // a program, not a person
  // What the subjects begin with whose tokens it passes on; a service's only.
  std::vector<std::string> speaks_for;
};

// v1::Issuer, compiled.
struct Issuer {
  std::string id, iss, audience, subject_prefix;
  absl::Duration lifetime_max;
};

// v1::Attempts, compiled.
struct Attempts {
  uint32_t burst = 0;
  uint32_t per_hour = 0;
};

// When a programme's residents may be erased: so many days after the day of its end, in Japan.
struct ProgrammeTerm {
  absl::CivilDay end;
  uint32_t keep_days;
};

// One of a tenant's programmes.
struct Programme {
  std::string id;
  std::string label_ja, label_en;
  absl::optional<ProgrammeTerm> term;  // none: it has no end
  bool training_required = false;      // of whoever has a seat in it
};

struct Request {
  const Subject* subject = nullptr;  // null: unknown to the subjects' file
  Action action = Action::kResidentGet;
  // The log asked for where there is no tenant is the service's own.
  bool has_tenant = false;
  TenantId tenant;
  absl::string_view programme;  // empty: none was named
  absl::string_view purpose;    // residents' actions only
  absl::string_view contact;
  absl::string_view reason;
  std::vector<int> asked;  // fields asked for by name (indexes); empty: all that the role may have
  std::vector<int> searched;  // lookup
  std::vector<int> changed;   // create, update, import
};

struct Decision {
  bool allow = false;
  // The id of the rule that decided: "role.action", "role.log" (a tenant's log where the role has
  // the service's, or the other way round), "tenant.bound", "programme.bound" (none of the tenant's
  // that is the subject's), "programme.required" (it has several), "purpose.required",
  // "purpose.role",
  // "contact.required", "contact.pattern", "reason.unknown", "reason.required" (asked fields that a
  // reason would open), "field.withheld", "field.search", "field.change", "subject.unknown",
  // "escalation.supervisor" (the use case's, when a view escalates), "role.<id>" where allowed.
  std::string rule;
  // Where refused for fields: their ids.
  std::vector<std::string> refused_fields;
  // In which of the tenant's programmes the call acts, of residents' actions; where it makes or
  // shows records of one only, that one. Of refusals, too, once they are known. Of actions upon
  // seats and approvals pipeline::DecideFor puts it in: none: all.
  std::vector<std::string> programmes;
  // By RecordClass; valid where allow, and then never wider than what was asked for: fields that
  // were not asked for by name, where some were, are withheld here.
  std::array<View, kRecordClasses> views;
  uint32_t lookup_matches_max = 0;
  // The subject's, where it acts on residents.
  Attempts attempts;
  // A field is searched by that the role does not see in full of an ordinary record, under this
  // purpose and reason: a match tells more of it than the answer shows.
  bool guesses = false;
};

// What a role sees of an ordinary record for one purpose: by FieldSpec::index, without a reason and
// with one.
struct RoleRight {
  std::string purpose;
  std::array<std::vector<Disclosure>, 2> ordinary;
};

struct Source {
  std::string name;  // file name for messages
  std::string text;
};
struct Sources {
  Source schema, policy, tenants, subjects;
  // The tenants' lists of 町字 that a masked address may show, "<tenant>.txt" each; a tenant
  // without one shows none. By name.
  std::vector<Source> towns;
};
// Reads schema.textproto, policy.textproto, tenants.textproto and what is in towns/ from
// `policy_dir`, and `subjects_file`.
absl::StatusOr<Sources> ReadSources(const std::string& policy_dir,
                                    const std::string& subjects_file);
// One of them.
absl::StatusOr<Source> ReadSource(const std::string& path);

class PolicySet {
 public:
  // INVALID_ARGUMENT "policy.textproto:12:3: role "operator": unknown field "nam"; one of name,
  // kana, …".
  static absl::StatusOr<std::unique_ptr<const PolicySet>> Load(const Sources& sources);

  // Pure. In this order: subject known, tenant bound, action in the role, programme, purpose,
  // contact, reason, searched, changed, asked fields. The tenant's existence is not told apart from
  // not being bound to it. Asked fields are judged by the ordinary view; those of the other record
  // classes never disclose more (checked at load).
  Decision Decide(const Request& request) const;

  const Schema& schema() const { return schema_; }
  const v1::Limits& limits() const { return limits_; }
  // Null where unknown.
  const Subject* FindSubject(absl::string_view id) const;
  // By their ids.
  std::vector<const Subject*> AllSubjects() const;
  // Whose tokens are taken; none of their subject prefixes begins with another's.
  absl::Span<const Issuer> issuers() const { return issuers_; }
  bool HasTenant(const TenantId& tenant) const;
  // There is this tenant, and the subject acts for it.
  bool Binds(const Subject& subject, const TenantId& tenant) const;
  // What the role sees of an ordinary record in a programme, purpose by purpose; none for a role or
  // a programme that there is not.
  std::vector<RoleRight> RightsOf(absl::string_view role, const TenantId& tenant,
                                  absl::string_view programme) const;
  // There is this role, and a seat may name it.
  bool HasSeats(absl::string_view role) const;
  // Those roles, sorted.
  std::vector<std::string> SeatRoles() const;
  // Whoever has this role of the subjects' file has no seat beside it (G12): it operates the vault,
  // asks the trail, or proposes seats.
  bool SeparatesFromSeats(absl::string_view role) const;
  // The subject's role has the service's log.
  bool HasServiceLog(const Subject& subject) const;
  absl::Span<const TenantId> tenants() const { return tenants_; }
  // How many years a log's entries must be kept; the service's own as long as any tenant's.
  int TrailRetentionYears(const LogId& log) const;
  // A programme of this tenant; null where there is none of this id.
  const Programme* FindProgramme(const TenantId& tenant, absl::string_view id) const;
  // By their ids.
  absl::Span<const Programme> ProgrammesOf(const TenantId& tenant) const;
  // What a masked address of this tenant may show.
  const text::Towns& TownsOf(const TenantId& tenant) const;
  // SHA-256 in hex over all sources, each length-prefixed: what entries name as `policy`.
  const std::string& digest() const { return digest_; }
  // True where `contact` may stand in an entry.
  bool ContactMatches(absl::string_view contact) const;
  bool KnowsPurpose(absl::string_view purpose) const;
  bool KnowsReason(absl::string_view reason) const;

  ~PolicySet();

 private:
  friend class Compiler;
  PolicySet();
  struct CompiledRole;
  // Whether the tenant or the log asked for is this subject's.
  bool Bound(const Request& request) const;
  // The log asked for, a tenant's or the service's own, is one that the role has for this action.
  static bool HasLog(const CompiledRole& role, const Request& request);
  int PurposeIndex(absl::string_view purpose) const;
  size_t ProgrammeIndex(absl::string_view programme) const;
  Decision Allow(const CompiledRole& role) const;
  Decision DecideOfNoResident(const CompiledRole& role, const Request& request) const;
  Decision DecideOfResidents(const CompiledRole& role, const Request& request,
                             absl::string_view programme) const;
  // The programmes in which the request acts, or the rule that refuses it.
  absl::string_view ResolveProgrammes(const CompiledRole& role, const Request& request,
                                      std::vector<std::string>* programmes) const;

  Schema schema_;
  v1::Limits limits_;
  std::vector<TenantId> tenants_;
  absl::flat_hash_map<TenantId, int> trail_retention_;                // years
  absl::flat_hash_map<TenantId, std::vector<Programme>> programmes_;  // by their ids
  std::vector<std::string> programme_ids_;                            // of all tenants, sorted
  absl::flat_hash_map<TenantId, text::Towns> towns_;
  absl::flat_hash_map<std::string, std::unique_ptr<CompiledRole>> roles_;
  absl::flat_hash_map<std::string, Subject> subjects_;
  std::vector<Issuer> issuers_;
  std::vector<std::string> purposes_, reasons_;
  std::string digest_;
  struct Matcher;
  std::unique_ptr<Matcher> contact_;
};

}  // namespace vault::policy

#endif  // VAULT_POLICY_POLICY_H_
