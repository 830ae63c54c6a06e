#include "vault/rpc/health_service.h"

#include <utility>

#include "vault/base/status.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Writes a state whenever it differs from the one written before; a state that came and went while
// a write was under way is left out. Every method but gRPC's own is called with the service's lock
// held.
class HealthServiceImpl::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthServiceImpl* health, grpc::CallbackServerContext* context, std::string service)
      : health_(health), context_(context), service_(std::move(service)) {}

  const std::string& service() const { return service_; }

  // RESOURCE_EXHAUSTED where this subject watches enough already: one must not take every place.
  absl::Status Sit(const std::string& subject) {
    ASSIGN_OR_RETURN(seat_, health_->identity_->TakeSeat(subject, "health.watch", kWatchesMax));
    return absl::OkStatus();
  }

  void Tell(HealthCheckResponse::ServingStatus now) {
    if (writing_ || finished_) return;
    if (told_ && now == message_.status()) return;
    // A watch outlives a check.
    const absl::Status who = health_->identity_->Authenticate(*context_).status();
    if (!who.ok()) return End(ToGrpc(who));
    told_ = writing_ = true;
    message_.set_status(now);
    StartWrite(&message_);
  }

  void End(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&health_->mu_);
    writing_ = false;
    if (!ok) return End(grpc::Status::CANCELLED);
    Tell(health_->StatusOf(service_));
  }
  void OnCancel() override {
    MutexLock lock(&health_->mu_);
    End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    {
      MutexLock lock(&health_->mu_);
      health_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  HealthServiceImpl* const health_;
  grpc::CallbackServerContext* const context_;
  static constexpr int kWatchesMax = 8;
  const std::string service_;
  Identity::Seat seat_;
  HealthCheckResponse message_;
  bool told_ = false, writing_ = false, finished_ = false;
};

HealthServiceImpl::HealthServiceImpl(Identity* identity, const std::vector<std::string>& with_keys,
                                     const std::vector<std::string>& always)
    : identity_(identity) {
  needs_keys_[""] = true;
  for (const std::string& service : with_keys) needs_keys_[service] = true;
  for (const std::string& service : always) needs_keys_[service] = false;
}

HealthCheckResponse::ServingStatus HealthServiceImpl::StatusOf(absl::string_view service) const {
  const auto it = needs_keys_.find(service);
  if (it == needs_keys_.end()) return HealthCheckResponse::SERVICE_UNKNOWN;
  const bool up = !stopped_ && (serving_ || !it->second);
  return up ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

grpc::ServerUnaryReactor* HealthServiceImpl::Check(grpc::CallbackServerContext* context,
                                                   const HealthCheckRequest* request,
                                                   HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::string id;
  absl::Status status = identity_->Admit(context, &id).status();
  if (status.ok()) {
    MutexLock lock(&mu_);
    response->set_status(StatusOf(request->service()));
    if (response->status() == HealthCheckResponse::SERVICE_UNKNOWN) {
      status = Reason(absl::NotFoundError("there is no such service"), "NOT_FOUND");
    }
  }
  reactor->Finish(ToGrpc(status, id));
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthServiceImpl::Watch(
    grpc::CallbackServerContext* context, const HealthCheckRequest* request) {
  auto* watcher = new Watcher(this, context, request->service());
  std::string id;
  const absl::StatusOr<pipeline::Caller> caller = identity_->Admit(context, &id);
  absl::Status status = caller.status();
  if (status.ok()) status = watcher->Sit(caller->subject);
  MutexLock lock(&mu_);
  if (status.ok() && stopped_) {
    status = Reason(absl::UnavailableError("the service is stopping"), "STOPPING");
  } else if (status.ok() && watchers_.size() >= kWatchersMax) {
    status =
        WithRetryDelay(Reason(absl::ResourceExhaustedError("too many watch already"), "QUEUE_FULL"),
                       absl::Seconds(10));
  }
  if (!status.ok()) {
    watcher->End(ToGrpc(status, id));
  } else {
    watchers_.insert(watcher);
    watcher->Tell(StatusOf(watcher->service()));
  }
  return watcher;
}

void HealthServiceImpl::SetServing(bool serving) {
  MutexLock lock(&mu_);
  serving_ = serving;
  for (Watcher* watcher : watchers_) watcher->Tell(StatusOf(watcher->service()));
}

void HealthServiceImpl::Stop() {
  MutexLock lock(&mu_);
  stopped_ = true;
  for (Watcher* watcher : watchers_) {
    watcher->End(ToGrpc(Reason(absl::UnavailableError("the service is stopping"), "STOPPING")));
  }
}

}  // namespace vault::rpc
