#include "vault/records/field_input.h"

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/text/text.h"

namespace vault::records {
namespace {

using policy::FieldSpec;
namespace pb = ::vault::policy::v1;

// The form a value matches by, or why it is not of its type. For types without one, empty.
absl::StatusOr<std::string> MatchKey(const FieldSpec& spec, absl::string_view value,
                                     absl::CivilDay today) {
  switch (spec.type) {
    case pb::FIELD_TYPE_NAME:
      return text::NameKey(value);
    case pb::FIELD_TYPE_DATE: {
      ASSIGN_OR_RETURN(absl::CivilDay day, text::ParseBirthDate(value, today));
      return absl::FormatCivilTime(day);
    }
    case pb::FIELD_TYPE_SEX:
      return text::ParseSex(value);
    case pb::FIELD_TYPE_PHONE:
      return text::PhoneKey(value);
    case pb::FIELD_TYPE_EMAIL:
      return text::EmailKey(value);
    case pb::FIELD_TYPE_POSTAL_CODE:
      return text::PostalCodeKey(value);
    case pb::FIELD_TYPE_OPAQUE_NUMBER:
      return text::OpaqueNumberKey(value);
    case pb::FIELD_TYPE_TICKET:
      return text::TicketKey(value);
    case pb::FIELD_TYPE_PROTECTION:
      RETURN_IF_ERROR(text::ParseProtection(value).status());
      return std::string();
    default:
      return std::string();
  }
}

// Types whose own form a run of twelve digits can never be mistaken for, or that are judged by that
// form first.
bool MayHideMyNumber(pb::FieldType type) {
  switch (type) {
    case pb::FIELD_TYPE_NAME:
    case pb::FIELD_TYPE_ADDRESS:
    case pb::FIELD_TYPE_FREE_TEXT:
    case pb::FIELD_TYPE_OPAQUE_NUMBER:
    case pb::FIELD_TYPE_EMAIL:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<FieldInput> CheckOne(const FieldSpec& spec, SecretString value, absl::CivilDay today,
                                    absl::string_view path) {
  FieldInput input{&spec, std::move(value), SecretString()};
  const absl::string_view text = input.value.Expose();
  if (text.size() > spec.max_bytes) {
    return BadField(path, absl::StrCat("at most ", spec.max_bytes, " bytes"), "TOO_LONG");
  }
  if (!text::IsUtf8(text)) return BadField(path, "valid UTF-8 is expected", "INVALID_UTF8");
  if (text.empty()) return input;
  absl::StatusOr<std::string> key = MatchKey(spec, text, today);
  const bool parsed = key.ok();
  if (parsed) input.match_key = SecretString::Take(*std::move(key));
  if ((!parsed || MayHideMyNumber(spec.type)) && text::HoldsMyNumber(text)) {
    return BadField(path,
                    "holds a 12-digit number that is valid as a My Number; it may not be stored",
                    "MY_NUMBER");
  }
  if (!parsed) return BadField(path, key.status().message());
  if (!spec.searchable && !spec.unique) input.match_key = SecretString();
  return input;
}

}  // namespace

absl::StatusOr<std::vector<FieldInput>> CheckFields(const policy::Schema& schema,
                                                    std::vector<RawField> raw,
                                                    absl::CivilDay today) {
  std::vector<FieldInput> inputs;
  inputs.reserve(raw.size());
  uint64_t seen = 0;
  for (RawField& field : raw) {
    const FieldSpec* spec = schema.Find(field.id);
    // The id is the caller's: it is not repeated unless it is one of the schema's.
    if (spec == nullptr) {
      return BadField(absl::StrCat("fields[", inputs.size(), "].id"), "is no field of the schema",
                      "UNKNOWN_FIELD");
    }
    const std::string path = absl::StrCat("fields[", spec->id, "]");
    if (seen >> spec->index & 1) return BadField(path, "is named twice", "DUPLICATE_FIELD");
    seen |= uint64_t{1} << spec->index;
    ASSIGN_OR_RETURN(FieldInput input, CheckOne(*spec, std::move(field.value), today, path));
    inputs.push_back(std::move(input));
  }
  return inputs;
}

absl::Status CheckComplete(const policy::Schema& schema, absl::Span<const FieldInput> fields) {
  for (const FieldSpec& spec : schema.fields()) {
    if (!spec.required) continue;
    bool there = false;
    for (const FieldInput& f : fields) there |= f.spec == &spec && !f.value.empty();
    if (!there) return BadField(absl::StrCat("fields[", spec.id, "]"), "is required", "MISSING");
  }
  return absl::OkStatus();
}

policy::RecordClass ClassOf(absl::string_view protection) {
  if (protection.empty()) return policy::RecordClass::kOrdinary;
  absl::StatusOr<text::Protection> parsed = text::ParseProtection(protection);
  // What cannot be read any more protects.
  return parsed.ok() && parsed->supervisor_only ? policy::RecordClass::kSupervisorOnly
                                                : policy::RecordClass::kProtected;
}

absl::StatusOr<FieldInput> CheckCriterion(const FieldSpec& spec, SecretString value,
                                          absl::CivilDay today) {
  const std::string path = absl::StrCat("criteria[", spec.id, "]");
  if (value.empty()) return BadField(path, "a value is expected", "MISSING");
  return CheckOne(spec, std::move(value), today, path);
}

absl::StatusOr<SecretString> StoredForm(const FieldSpec& spec, absl::string_view value) {
  // What is stored was of no later day than the one on which it was stored.
  ASSIGN_OR_RETURN(std::string form, MatchKey(spec, value, absl::CivilDay(9999, 12, 31)));
  return SecretString::Take(std::move(form));
}

absl::StatusOr<SecretString> StoredMatchKey(const FieldSpec& spec, absl::string_view value) {
  if (!spec.searchable && !spec.unique) return SecretString();
  return StoredForm(spec, value);
}

}  // namespace vault::records
