// keys status; keys rotate, of the residents' keys and of a log's.
#include <grpcpp/client_context.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "vault/base/clock.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/display.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/v1/key_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

std::string StateLabel(api::KeyState state) {
  switch (state) {
    case api::KEY_STATE_ACTIVE:
      return "使用中 active";
    case api::KEY_STATE_DEACTIVATED:
      return "停止 deactivated";
    case api::KEY_STATE_COMPROMISED:
      return "危殆化 compromised";
    case api::KEY_STATE_DESTROYED:
      return "破棄済 destroyed";
    default:
      return "不明 unknown";
  }
}

void PrintStatus(const api::StatusResponse& response, std::ostream& out) {
  Table table({"version", "state", "created", "residents"});
  for (const api::KeyVersion& version : response.versions()) {
    table.AddRow({absl::StrCat(version.version()), StateLabel(version.state()),
                  version.has_create_time()
                      ? TimeText(absl::FromUnixSeconds(version.create_time().seconds()))
                      : "-",
                  absl::StrCat(version.residents())});
  }
  table.Flush(out);
  if (response.rotation_pending()) {
    out << "a rotation was begun and has not ended: keys rotate goes on with it\n";
  }
}

// What a rotation whose stream ended well came to.
int JudgeRotation(Session& session, const api::RotateResponse& last) {
  if (!last.finished()) {
    session.err() << "vaultctl: unavailable: the rotation stopped at " << last.done() << " of "
                  << last.total() << " residents\nhint: keys rotate again goes on from there\n";
    return kUnavailable;
  }
  if (last.left_under_old() > 0) {
    session.err() << "vaultctl: unavailable: " << last.left_under_old()
                  << " residents are still under an older version\n"
                  << "hint: keys rotate again moves them\n";
    return kUnavailable;
  }
  if (!session.json()) {
    session.out() << "rotated: " << last.done() << " residents moved to version " << last.version()
                  << ", 0 left under an older one\n";
  }
  return kDone;
}

}  // namespace

int RunKeysStatus(Session& session) {
  api::StatusRequest request;
  const absl::StatusOr<std::string> tenant = session.Tenant();
  if (!tenant.ok()) return session.BadInput(tenant.status());
  request.set_tenant_id(*tenant);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::StatusResponse response;
  const grpc::Status status =
      api::KeyService::NewStub(*channel)->Status(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
  } else {
    PrintStatus(response, session.out());
  }
  return kDone;
}

namespace {

int RotateLogKey(Session& session) {
  api::RotateLogKeyRequest request;
  const absl::StatusOr<std::string> log = session.Log();
  if (!log.ok()) return session.BadInput(log.status());
  request.set_log_id(*log);
  request.set_compromised(session.args().Has("compromised"));
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::RotateLogKeyResponse response;
  const grpc::Status status =
      api::KeyService::NewStub(*channel)->RotateLogKey(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) {
    session.PrintJson(response);
    return kDone;
  }
  session.out() << Visible(response.vkey()) << "\n";
  session.err() << "this key signs trees of more than " << response.size()
                << " entries; the key before it signs no larger one\n"
                << (request.compromised()
                        ? "hint: whoever verifies this log gives the new key and the service log's "
                          "key to vault-verify\n"
                        : "hint: the next audit export carries the handover from key to key\n");
  return kDone;
}

int RotateKek(Session& session) {
  api::RotateRequest request;
  const absl::StatusOr<std::string> tenant = session.Tenant();
  if (!tenant.ok()) return session.BadInput(tenant.status());
  request.set_tenant_id(*tenant);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  const auto stub = api::KeyService::NewStub(*channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(false);
  Progress progress(session.err(), RealClock(), "residents", session.terminal(), session.json());
  api::RotateResponse last;
  grpc::Status status;
  {
    StallGuard guard(&context, session.silence_max());
    const auto stream = stub->Rotate(&context, request);
    api::RotateResponse message;
    while (stream->Read(&message)) {
      guard.Poke();
      progress.Update(message.done(), message.total());
      if (session.json()) session.PrintJson(message);
      last = message;
    }
    status = guard.Explain(stream->Finish());
  }
  progress.Finish();
  if (!status.ok()) {
    const int code = session.CallFailed(status);
    if (last.done() > 0) session.err() << "hint: keys rotate again goes on from there\n";
    return code;
  }
  return JudgeRotation(session, last);
}

}  // namespace

int RunKeysRotate(Session& session) {
  const std::string what = session.args().Get("what", "kek");
  if (what == "log") return RotateLogKey(session);
  if (what != "kek") return session.BadInput(Wrong("--what is not known", "kek or log"));
  for (const char* flag : {"log", "compromised"}) {
    if (!session.args().Has(flag)) continue;
    return session.BadInput(
        Wrong(absl::StrCat("--", flag, " is about a log's key"), "--what log rotates that one"));
  }
  return RotateKek(session);
}

}  // namespace vault::ctl
