#include "vault/store/stoppable_store.h"

#include <string>
#include <utility>
#include <vector>

#include "vault/base/status.h"

namespace vault::store {
namespace {

class StoppableSnapshot : public Snapshot {
 public:
  StoppableSnapshot(std::unique_ptr<const Snapshot> base, const StopToken* stop)
      : base_(std::move(base)), stop_(*stop) {}

  absl::Status Get(absl::string_view key, std::string* value) const override {
    return base_->Get(key, value);
  }
  std::vector<absl::StatusOr<std::string>> MultiGet(
      absl::Span<const std::string> keys) const override {
    return base_->MultiGet(keys);
  }
  absl::Status Scan(absl::string_view prefix, absl::string_view start, RowFn row) const override {
    if (stop_.stopped()) return StoppingStatus();
    bool stopped = false;
    RETURN_IF_ERROR(base_->Scan(prefix, start, [&](absl::string_view key, absl::string_view value) {
      stopped = stop_.stopped();
      return !stopped && row(key, value);
    }));
    return stopped ? StoppingStatus() : absl::OkStatus();
  }

 private:
  const std::unique_ptr<const Snapshot> base_;
  const StopToken& stop_;
};

class StoppableStore : public Store {
 public:
  StoppableStore(Store* base, const StopToken* stop) : base_(base), stop_(stop) {}

  absl::Status Get(absl::string_view key, std::string* value) const override {
    return base_->Get(key, value);
  }
  absl::StatusOr<std::unique_ptr<const Snapshot>> TakeSnapshot() const override {
    ASSIGN_OR_RETURN(std::unique_ptr<const Snapshot> base, base_->TakeSnapshot());
    return std::make_unique<StoppableSnapshot>(std::move(base), stop_);
  }
  absl::Status Write(const Batch& batch) override { return base_->Write(batch); }
  absl::StatusOr<uint64_t> FreeBytes() const override { return base_->FreeBytes(); }

 private:
  Store* const base_;
  const StopToken* const stop_;
};

}  // namespace

std::unique_ptr<Store> NewStoppableStore(Store* base, const StopToken* stop) {
  return std::make_unique<StoppableStore>(base, stop);
}

}  // namespace vault::store
