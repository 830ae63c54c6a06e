// seal, unseal, status.
#include <grpcpp/client_context.h>

#include "absl/time/time.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/display.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::ctl {
namespace api = ::vault::v1;

int RunSeal(Session& session) {
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::SealResponse response;
  const grpc::Status status =
      api::VaultService::NewStub(*channel)->Seal(&context, api::SealRequest(), &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    session.out() << "封印 sealed: no key is in the vault's memory any more\n";
    session.err() << "hint: vaultctl unseal opens it again from the root key's file\n";
  }
  return kDone;
}

int RunUnseal(Session& session) {
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::UnsealResponse response;
  const grpc::Status status =
      api::VaultService::NewStub(*channel)->Unseal(&context, api::UnsealRequest(), &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    session.out() << "開封 unsealed: the vault answers, and its jobs go on\n";
  }
  return kDone;
}

int RunStatus(Session& session) {
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::GetSealStatusResponse response;
  const grpc::Status status = api::VaultService::NewStub(*channel)->GetSealStatus(
      &context, api::GetSealStatusRequest(), &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    session.out() << (response.sealed() ? "封印中 sealed" : "稼働中 open") << " since "
                  << TimeText(absl::FromUnixSeconds(response.since().seconds())) << ", vaultd "
                  << Visible(response.version()) << "\n";
  }
  return response.sealed() ? kUnavailable : kDone;
}

}  // namespace vault::ctl
