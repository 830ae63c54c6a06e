// The fields of a resident, as the vault's schema has them: their ids, and what people call them.
#ifndef VAULT_CMD_VAULTCTL_FIELDS_H_
#define VAULT_CMD_VAULTCTL_FIELDS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/vault_service.pb.h"

namespace vault::ctl {

class FieldNames {
 public:
  // None is known.
  FieldNames() = default;
  // More than a schema has, and ids that none has, are left out.
  explicit FieldNames(const ::vault::v1::GetCallerResponse& caller);
  // What the vault answers over the channel that is open; none, without an error, where it does
  // not.
  static FieldNames Ask(const Session& session);

  // "氏名 name": the Japanese name before the id, which stands alone where the vault names it not.
  // Harmless, and not wider than a line.
  std::string Label(absl::string_view id) const;
  bool Has(absl::string_view id) const { return names_.count(std::string(id)) > 0; }
  // In the schema's order.
  const std::vector<std::string>& ids() const { return ids_; }

 private:
  std::vector<std::string> ids_;
  std::map<std::string, std::string> names_;  // in Japanese, by id
};

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_FIELDS_H_
