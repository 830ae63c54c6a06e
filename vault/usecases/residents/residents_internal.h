// What the verbs of residents share.
#ifndef VAULT_USECASES_RESIDENTS_RESIDENTS_INTERNAL_H_
#define VAULT_USECASES_RESIDENTS_RESIDENTS_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "vault/base/ids.h"
#include "vault/records/field_input.h"

namespace vault::usecases {

absl::Status NoSuchResident();
absl::Status AlreadyExists();
// INVALID_ARGUMENT naming the field.
absl::StatusOr<ResidentId> ParseHandle(const std::string& resident);

std::vector<records::RawField> CloneFields(const std::vector<records::RawField>& fields);
std::vector<std::string> Ids(const std::vector<records::RawField>& fields);

}  // namespace vault::usecases

#endif  // VAULT_USECASES_RESIDENTS_RESIDENTS_INTERNAL_H_
