#include "vault/rpc/key_service.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "vault/base/status.h"
#include "vault/rpc/job_messages.h"
#include "vault/rpc/paced_stream.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

// Each holds a thread for as long as its caller reads: one subject must leave room for others.
constexpr int kListsOfSubjectMax = 1;

// The kind, where it is one of those that the call is about. The numbers are the same.
absl::StatusOr<inventory::KeyKind> ToKind(v1::KeyKind kind, std::initializer_list<v1::KeyKind> of) {
  if (std::find(of.begin(), of.end(), kind) != of.end())
    return static_cast<inventory::KeyKind>(kind);
  return BadField(
      "kind", absl::StrCat("one of ", absl::StrJoin(of, ", ", [](std::string* out, v1::KeyKind k) {
                             out->append(v1::KeyKind_Name(k));
                           })));
}

absl::Status CheckVersion(uint32_t version) {
  return version > 0 ? absl::OkStatus() : BadField("version", "a version, from 1");
}

void Fill(const usecases::KeyStatusResult& result, v1::GetKeyStatusResponse* response) {
  for (const usecases::KeyStatusResult::Version& version : result.versions) {
    v1::KeyVersion* out = response->add_versions();
    out->set_kind(static_cast<v1::KeyKind>(version.kind));
    out->set_version(version.version);
    out->set_state(static_cast<v1::KeyState>(version.state));  // the numbers are the same
    if (version.created != absl::InfinitePast()) {
      out->mutable_create_time()->set_seconds(absl::ToUnixSeconds(version.created));
    }
    if (version.destroyed != absl::InfinitePast()) {
      out->mutable_destroy_time()->set_seconds(absl::ToUnixSeconds(version.destroyed));
    }
    if (version.under.has_value()) out->set_under(*version.under);
  }
  for (const inventory::KeyKind kind : result.pending) {
    response->add_pending(static_cast<v1::KeyKind>(kind));
  }
  response->set_offboarded(result.offboarded);
}

}  // namespace

grpc::ServerUnaryReactor* KeyServiceImpl::GetKeyStatus(grpc::CallbackServerContext* context,
                                                       const v1::GetKeyStatusRequest* request,
                                                       v1::GetKeyStatusResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "key.status",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->keys().Status(
            caller, request->tenant_id(),
            call.Into<usecases::KeyStatusResult>(
                [response](const usecases::KeyStatusResult& result) { Fill(result, response); }));
      });
}

grpc::ServerUnaryReactor* KeyServiceImpl::RotateKeys(grpc::CallbackServerContext* context,
                                                     const v1::RotateKeysRequest* request,
                                                     v1::RotateKeysResponse* response) {
  return ServeUnary(
      context, identity_, gate_, "key.rotate",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        const absl::StatusOr<inventory::KeyKind> kind =
            ToKind(request->kind(), {v1::KEY_KIND_KEK, v1::KEY_KIND_DEK, v1::KEY_KIND_INDEX,
                                     v1::KEY_KIND_STORAGE, v1::KEY_KIND_MAC, v1::KEY_KIND_TOKEN});
        if (!kind.ok()) return call.Malformed(kind.status());
        usecases::RotateRequest rotate;
        rotate.log = request->tenant_id();
        rotate.kind = *kind;
        rotate.dry_run = request->dry_run();
        if (request->has_rows_per_second()) rotate.rows_per_second = request->rows_per_second();
        use_cases->keys().Rotate(caller, std::move(rotate),
                                 call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                                   Fill(row, response->mutable_job());
                                 }));
      });
}

grpc::ServerUnaryReactor* KeyServiceImpl::MarkKeyCompromised(
    grpc::CallbackServerContext* context, const v1::MarkKeyCompromisedRequest* request,
    v1::MarkKeyCompromisedResponse* response) {
  return ServeUnary(context, identity_, gate_, "key.compromise",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      const absl::StatusOr<inventory::KeyKind> kind =
                          ToKind(request->kind(),
                                 {v1::KEY_KIND_KEK, v1::KEY_KIND_INDEX, v1::KEY_KIND_STORAGE,
                                  v1::KEY_KIND_MAC, v1::KEY_KIND_TOKEN});
                      if (!kind.ok()) return call.Malformed(kind.status());
                      const absl::Status version = CheckVersion(request->version());
                      if (!version.ok()) return call.Malformed(version);
                      absl::optional<uint32_t> rate;
                      if (request->has_rows_per_second()) rate = request->rows_per_second();
                      use_cases->keys().MarkCompromised(
                          caller, request->tenant_id(), *kind, request->version(),
                          call.Into<usecases::CompromisedResult>(
                              [response](const usecases::CompromisedResult& result) {
                                response->set_under(result.under);
                                for (const row::v1::JobRow& row : result.jobs) {
                                  Fill(row, response->add_jobs());
                                }
                              }),
                          rate);
                    });
}

grpc::ServerWriteReactor<v1::ListUnderKeyResponse>* KeyServiceImpl::ListUnderKey(
    grpc::CallbackServerContext* context, const v1::ListUnderKeyRequest* request) {
  auto* stream = new PacedStream<v1::ListUnderKeyResponse>(context, gate_, identity_);
  const absl::StatusOr<pipeline::Caller> caller = stream->Open("key.list", kListsOfSubjectMax);
  if (!caller.ok()) {
    stream->FinishWith(caller.status());
    return stream;
  }
  const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*caller, "key.list");
  if (!use_cases.ok()) {
    stream->FinishWith(use_cases.status());
    return stream;
  }
  const absl::StatusOr<inventory::KeyKind> kind =
      ToKind(request->kind(), {v1::KEY_KIND_KEK, v1::KEY_KIND_DEK, v1::KEY_KIND_INDEX});
  const absl::Status wrong = kind.ok() ? CheckVersion(request->version()) : kind.status();
  if (!wrong.ok()) {
    (*use_cases)->pipeline().CountMalformed(*caller, "key.list");
    stream->FinishWith(wrong);
    return stream;
  }
  (*use_cases)
      ->keys()
      .ListUnder(
          *caller, request->tenant_id(), *kind, request->version(),
          [stream](std::vector<std::string> handles) {
            v1::ListUnderKeyResponse message;
            for (std::string& handle : handles) message.add_resident_ids(std::move(handle));
            return stream->Send(std::move(message));
          },
          [stream](absl::StatusOr<bool> done) { stream->FinishWith(done.status()); });
  return stream;
}

}  // namespace vault::rpc
