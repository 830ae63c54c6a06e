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
                                                    std::vector<RawField> raw, absl::CivilDay today,
                                                    FieldsOf of) {
  std::vector<FieldInput> inputs;
  std::vector<absl::Status> wrong;
  inputs.reserve(raw.size());
  uint64_t seen = 0, emptied = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    const FieldSpec* spec = schema.Find(raw[i].id);
    // The id is the caller's: it is not repeated unless it is one of the schema's.
    if (spec == nullptr) {
      wrong.push_back(BadField(absl::StrCat("fields[", i, "].id"), "is no field of the schema",
                               "UNKNOWN_FIELD"));
      continue;
    }
    const std::string path = absl::StrCat("fields[", spec->id, "]");
    if (seen >> spec->index & 1) {
      wrong.push_back(BadField(path, "is named twice", "DUPLICATE_FIELD"));
      continue;
    }
    seen |= uint64_t{1} << spec->index;
    if (raw[i].value.empty()) emptied |= uint64_t{1} << spec->index;
    absl::StatusOr<FieldInput> input = CheckOne(*spec, std::move(raw[i].value), today, path);
    wrong.push_back(input.status());
    if (input.ok()) inputs.push_back(*std::move(input));
  }
  for (const FieldSpec& spec : schema.fields()) {
    const bool named = (seen >> spec.index & 1) != 0;
    const bool empty = named ? (emptied >> spec.index & 1) != 0 : of == FieldsOf::kNewRecord;
    if (spec.required && empty) {
      wrong.push_back(BadField(absl::StrCat("fields[", spec.id, "]"), "is required", "MISSING"));
    }
  }
  RETURN_IF_ERROR(AllBadFields(wrong));
  return inputs;
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
