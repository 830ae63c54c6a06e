// What a caller puts into a record, checked field by field and brought to the forms that it matches
// by.
#ifndef VAULT_RECORDS_FIELD_INPUT_H_
#define VAULT_RECORDS_FIELD_INPUT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "vault/base/secret.h"
#include "vault/policy/policy.h"

namespace vault::records {

// A field's id and its value as it was sent.
struct RawField {
  std::string id;
  SecretString value;
};

// A checked value. `value` is what was entered, byte for byte; an empty one removes the field
// (updates only).
struct FieldInput {
  const policy::FieldSpec* spec;
  SecretString value;
  // The form that lookups match by; empty where the field is not searchable or is removed.
  SecretString match_key;
};

// What a list of fields is: a record needs all that are required; a change may empty none of them.
enum class FieldsOf : uint8_t { kNewRecord, kChange };

// Checks every field: known, named once, valid UTF-8, not too long, of its type, no My Number, and
// those that are required. All that is wrong comes back at once (AllBadFields), each with the path
// "fields[<id>]", or "fields[<position>].id" for one that is not known, and a reason:
// UNKNOWN_FIELD, DUPLICATE_FIELD, INVALID_UTF8, TOO_LONG, INVALID_FIELD, MY_NUMBER, MISSING.
absl::StatusOr<std::vector<FieldInput>> CheckFields(const policy::Schema& schema,
                                                    std::vector<RawField> raw, absl::CivilDay today,
                                                    FieldsOf of);

// The class that a protection value gives ("" is ordinary). The value must have passed CheckFields.
policy::RecordClass ClassOf(absl::string_view protection);

// The match key of a value searched by: path "criteria[<id>]".
absl::StatusOr<FieldInput> CheckCriterion(const policy::FieldSpec& spec, SecretString value,
                                          absl::CivilDay today);

// The canonical form of a value of the store; empty for types that have none. INVALID_ARGUMENT
// where the value is not of its type.
absl::StatusOr<SecretString> StoredForm(const policy::FieldSpec& spec, absl::string_view value);
// The form that a value of the store matches by, for the index; empty where the field is not
// searchable. INVALID_ARGUMENT where it has none.
absl::StatusOr<SecretString> StoredMatchKey(const policy::FieldSpec& spec, absl::string_view value);

}  // namespace vault::records

#endif  // VAULT_RECORDS_FIELD_INPUT_H_
