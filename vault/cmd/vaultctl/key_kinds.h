// Kinds of keys as commands name and show them.
#ifndef VAULT_CMD_VAULTCTL_KEY_KINDS_H_
#define VAULT_CMD_VAULTCTL_KEY_KINDS_H_

#include <initializer_list>
#include <string>

#include "absl/status/statusor.h"
#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/key_service.pb.h"

namespace vault::ctl {

// "kek", as --what takes it; empty for a kind that is not known here.
std::string KeyKindName(::vault::v1::KeyKind kind);
// "鍵暗号鍵 kek".
std::string KeyKindLabel(::vault::v1::KeyKind kind);
// The kind that --what names, which must be one of these.
absl::StatusOr<::vault::v1::KeyKind> ReadKeyKind(const Session& session,
                                                 std::initializer_list<::vault::v1::KeyKind> of);

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_KEY_KINDS_H_
