#include "vault/recovery/schema_row.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/sealed_row.h"
#include "vault/row/v1/rows.pb.h"

namespace vault::recovery {
namespace {

using row::v1::SchemaRow;

std::string TypeName(uint32_t type) {
  const std::string& name = policy::v1::FieldType_Name(static_cast<policy::v1::FieldType>(type));
  absl::string_view word = name;
  absl::ConsumePrefix(&word, "FIELD_TYPE_");
  return name.empty() ? absl::StrCat("type ", type) : std::string(word);
}

absl::StatusOr<absl::optional<SchemaRow>> Read(const store::Store& store,
                                               const keys::Keyring& keyring) {
  std::string bytes;
  const absl::Status found = store.Get(kSchemaKey, &bytes);
  if (absl::IsNotFound(found)) return absl::optional<SchemaRow>();
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(const crypto::SealedRow sealed, keyring.OpenRow(kSchemaKey, bytes));
  SchemaRow row;
  if (!row.ParseFromString(sealed.content)) {
    return absl::DataLossError("the row of the schema is damaged");
  }
  return absl::make_optional(std::move(row));
}

absl::Status Write(store::Store* store, const keys::Keyring& keyring,
                   const std::map<uint32_t, SchemaRow::Field>& fields) {
  SchemaRow row;
  for (const auto& [number, field] : fields) *row.add_fields() = field;
  store::Batch batch;
  batch.Put(std::string(kSchemaKey), keyring.SealRow(kSchemaKey,
                                                     /*seq=*/0, row.SerializeAsString()));
  return store->Write(batch);
}

absl::StatusOr<bool> HasResidents(const store::Store& store) {
  bool found = false;
  RETURN_IF_ERROR(store.Scan(kResidentPrefix, "", [&](absl::string_view, absl::string_view) {
    found = true;
    return false;
  }));
  return found;
}

std::map<uint32_t, SchemaRow::Field> FieldsOf(const policy::Schema& schema) {
  std::map<uint32_t, SchemaRow::Field> fields;
  for (const policy::FieldSpec& spec : schema.fields()) {
    SchemaRow::Field& field = fields[spec.number];
    field.set_number(spec.number);
    field.set_id(spec.id);
    field.set_type(spec.type);
    field.set_searchable(spec.searchable);
    field.set_unique(spec.unique);
  }
  return fields;
}

// How a field is not what it was; empty where it is.
std::string Difference(const SchemaRow::Field& was, const SchemaRow::Field& is) {
  std::vector<std::string> parts;
  if (was.type() != is.type()) {
    parts.push_back(absl::StrCat("was ", TypeName(was.type()), " and is ", TypeName(is.type())));
  }
  const auto flag = [&](bool before, bool now, absl::string_view name) {
    if (before != now) {
      parts.push_back(
          absl::StrCat(before ? "was " : "was not ", name, " and is", now ? "" : " not any more"));
    }
  };
  flag(was.searchable(), is.searchable(), "searchable");
  flag(was.unique(), is.unique(), "unique");
  if (parts.empty()) return "";
  return absl::StrCat("field ", was.number(), " (", was.id(), ") ", absl::StrJoin(parts, ", "));
}

}  // namespace

absl::Status CheckSchema(store::Store* store, const keys::Keyring& keyring,
                         const policy::Schema& schema) {
  ASSIGN_OR_RETURN(const absl::optional<SchemaRow> stored, Read(*store, keyring));
  ASSIGN_OR_RETURN(const bool residents, HasResidents(*store));
  std::map<uint32_t, SchemaRow::Field> fields = FieldsOf(schema);
  // Without residents there are no rows that the schema could contradict.
  if (!stored.has_value() || !residents) return Write(store, keyring, fields);
  std::vector<std::string> differences;
  bool renamed = false;
  for (const SchemaRow::Field& was : stored->fields()) {
    const auto [it, gone] = fields.emplace(was.number(), was);
    if (gone) continue;
    std::string difference = Difference(was, it->second);
    if (!difference.empty()) differences.push_back(std::move(difference));
    renamed = renamed || was.id() != it->second.id();
  }
  if (!differences.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "schema.textproto contradicts the residents that are stored: ",
        absl::StrJoin(differences, "; "),
        ". Put that back as it was; a field that is to be another one gets a number of its own, "
        "which was never used, and its values are imported anew"));
  }
  // With those that are gone `fields` has all of the row's: another size is a new field.
  if (!renamed && stored->fields_size() == static_cast<int>(fields.size())) return absl::OkStatus();
  return Write(store, keyring, fields);
}

}  // namespace vault::recovery
