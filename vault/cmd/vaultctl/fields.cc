#include "vault/cmd/vaultctl/fields.h"

#include <grpcpp/client_context.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "vault/cli/display.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

// What a schema has, at the most.
constexpr size_t kFieldsMax = 63;
constexpr size_t kIdBytesMax = 32;
// Columns of a name; names that people read are shorter.
constexpr int kNameWidthMax = 40;

bool IsId(absl::string_view id) {
  return !id.empty() && id.size() <= kIdBytesMax && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
  });
}

}  // namespace

FieldNames::FieldNames(const api::GetCallerResponse& caller) {
  for (const api::SchemaField& field : caller.fields()) {
    if (ids_.size() == kFieldsMax) return;
    if (!IsId(field.id()) || Has(field.id())) continue;
    ids_.push_back(field.id());
    names_[field.id()] = cli::Fitted(field.label_ja(), kNameWidthMax);
  }
}

FieldNames FieldNames::Ask(const Session& session) {
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::GetCallerResponse caller;
  const auto stub = api::VaultService::NewStub(session.channel());
  const grpc::Status status = stub->GetCaller(&context, api::GetCallerRequest(), &caller);
  return status.ok() ? FieldNames(caller) : FieldNames();
}

std::string FieldNames::Label(absl::string_view id) const {
  const auto it = names_.find(std::string(id));
  if (it == names_.end() || it->second.empty()) return cli::Fitted(id, kNameWidthMax);
  return absl::StrCat(it->second, " ", it->first);
}

}  // namespace vault::ctl
