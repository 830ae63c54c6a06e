// The parts of the schema that shaped the stored rows: their index terms, and the keys of their
// postings. Under a schema that says something else of a field, residents are not found by that
// field, or a taken number counts as free, and so the vault does not start with such a schema.
//
//   m/schema   row::v1::SchemaRow, sealed (crypto/sealed_row.h) under the number 0
#ifndef VAULT_RECOVERY_SCHEMA_ROW_H_
#define VAULT_RECOVERY_SCHEMA_ROW_H_

#include "absl/status/status.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy.h"
#include "vault/store/store.h"

namespace vault::recovery {

// FAILED_PRECONDITION, saying each difference and what to do, where residents are stored under a
// schema that this one contradicts: a field's number with another type, searched by or unique where
// it was not, or the reverse. Fields that are new or gone pass; the row remembers both, so that a
// number does not come back as something else. For a start, before anything is written.
absl::Status CheckSchema(store::Store* store, const keys::Keyring& keyring,
                         const policy::Schema& schema);

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_SCHEMA_ROW_H_
