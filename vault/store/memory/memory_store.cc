#include "vault/store/memory/memory_store.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"

namespace vault::store {
namespace {

// Every key has a short list of versions, oldest first; a snapshot is a batch number and sees of
// each key the newest version that is not younger. So taking a snapshot costs one set insertion,
// and a version goes as soon as no snapshot can see it.
class MemoryStore : public Store {
 public:
  absl::Status Get(absl::string_view key, std::string* value) const override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return GetAt(key, last_batch_, value);
  }

  absl::StatusOr<std::unique_ptr<const Snapshot>> TakeSnapshot() const override;

  absl::Status Write(const Batch& batch) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    ++last_batch_;
    for (const Batch::Op& op : batch.ops()) Apply(op);
    Prune();
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> FreeBytes() const override { return uint64_t{1} << 40; }

 private:
  class MemorySnapshot;

  struct Version {
    uint64_t batch;
    bool deleted;
    std::string value;
  };
  using Rows = std::map<std::string, std::vector<Version>, std::less<>>;

  // A key that has a version which was replaced, or is deleted, since `batch`.
  struct Stale {
    uint64_t batch;
    std::string key;
  };

  // The newest version that `at` sees; null where the row is not there.
  static const Version* Visible(const std::vector<Version>& versions, uint64_t at) {
    for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
      if (it->batch <= at) return it->deleted ? nullptr : &*it;
    }
    return nullptr;
  }

  absl::Status GetAt(absl::string_view key, uint64_t at, std::string* value) const
      VAULT_REQUIRES(mu_) {
    auto it = rows_.find(key);
    const Version* version = it == rows_.end() ? nullptr : Visible(it->second, at);
    if (version == nullptr) return absl::NotFoundError("no such row");
    *value = version->value;
    return absl::OkStatus();
  }

  void Apply(const Batch::Op& op) VAULT_REQUIRES(mu_) {
    std::vector<Version>& versions = rows_[op.key];
    if (versions.empty() || versions.back().batch != last_batch_) {
      if (!versions.empty() || op.is_delete) stale_.push_back({last_batch_, op.key});
      versions.push_back({last_batch_, op.is_delete, op.value});
      return;
    }
    // The same batch wrote the key before: the last operation wins.
    if (op.is_delete) stale_.push_back({last_batch_, op.key});
    versions.back().deleted = op.is_delete;
    versions.back().value = op.value;
  }

  // Drops the versions that nobody can see any more.
  void Prune() const VAULT_REQUIRES(mu_) {
    const uint64_t oldest = live_.empty() ? last_batch_ : *live_.begin();
    while (!stale_.empty() && stale_.front().batch <= oldest) {
      auto it = rows_.find(stale_.front().key);
      stale_.pop_front();
      if (it == rows_.end()) continue;
      std::vector<Version>& versions = it->second;
      size_t first = 0;
      while (first + 1 < versions.size() && versions[first + 1].batch <= oldest) ++first;
      if (versions[first].deleted && versions[first].batch <= oldest) ++first;
      versions.erase(versions.begin(), versions.begin() + first);
      if (versions.empty()) rows_.erase(it);
    }
  }

  // Copies up to a bounded piece of the scan out; true while there may be more. `*from` moves on.
  bool ScanPiece(absl::string_view prefix, uint64_t at, std::string* from, bool* inclusive,
                 std::vector<std::pair<std::string, std::string>>* piece) const VAULT_EXCLUDES(mu_);

  mutable Mutex mu_;
  uint64_t last_batch_ VAULT_GUARDED_BY(mu_) = 0;
  mutable Rows rows_ VAULT_GUARDED_BY(mu_);
  mutable std::deque<Stale> stale_ VAULT_GUARDED_BY(mu_);
  // Batch numbers of the snapshots that are alive.
  mutable std::multiset<uint64_t> live_ VAULT_GUARDED_BY(mu_);
};

class MemoryStore::MemorySnapshot : public Snapshot {
 public:
  explicit MemorySnapshot(const MemoryStore* store) : store_(store) {
    MutexLock lock(&store_->mu_);
    at_ = store_->last_batch_;
    store_->live_.insert(at_);
  }
  ~MemorySnapshot() override {
    MutexLock lock(&store_->mu_);
    store_->live_.erase(store_->live_.find(at_));
    store_->Prune();
  }

  absl::Status Get(absl::string_view key, std::string* value) const override {
    MutexLock lock(&store_->mu_);
    return store_->GetAt(key, at_, value);
  }

  // The rows are copied out in pieces, so that `row` runs without the lock and may use the store.
  absl::Status Scan(absl::string_view prefix, absl::string_view start, RowFn row) const override {
    if (!start.empty() && !absl::StartsWith(start, prefix)) {
      return absl::InvalidArgumentError("a scan's start must begin with its prefix");
    }
    std::string from(start.empty() ? prefix : start);
    bool inclusive = true;
    std::vector<std::pair<std::string, std::string>> piece;
    bool more = true;
    while (more) {
      piece.clear();
      more = store_->ScanPiece(prefix, at_, &from, &inclusive, &piece);
      for (const auto& [key, value] : piece) {
        if (!row(key, value)) return absl::OkStatus();
      }
    }
    return absl::OkStatus();
  }

 private:
  const MemoryStore* const store_;
  uint64_t at_;
};

bool MemoryStore::ScanPiece(absl::string_view prefix, uint64_t at, std::string* from,
                            bool* inclusive,
                            std::vector<std::pair<std::string, std::string>>* piece) const {
  constexpr size_t kRowsMax = 128;
  MutexLock lock(&mu_);
  auto it = *inclusive ? rows_.lower_bound(*from) : rows_.upper_bound(*from);
  for (; it != rows_.end() && absl::StartsWith(it->first, prefix); ++it) {
    const Version* version = Visible(it->second, at);
    if (version == nullptr) continue;
    piece->emplace_back(it->first, version->value);
    if (piece->size() == kRowsMax) {
      *from = it->first;
      *inclusive = false;
      return true;
    }
  }
  return false;
}

absl::StatusOr<std::unique_ptr<const Snapshot>> MemoryStore::TakeSnapshot() const {
  return std::make_unique<MemorySnapshot>(this);
}

}  // namespace

std::unique_ptr<Store> NewMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace vault::store
