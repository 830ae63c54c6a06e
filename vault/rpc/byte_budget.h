// What callers' messages make this process hold while they are worked on: bounded for the process,
// and for one subject to half of that.
//
//   ByteBudget::Hold hold;                                    // as long as the bytes are there
//   const absl::Status room = budget->Take(subject, bytes, &hold);
//   if (!room.ok()) …                                         // RESOURCE_EXHAUSTED, MEMORY_FULL
#ifndef VAULT_RPC_BYTE_BUDGET_H_
#define VAULT_RPC_BYTE_BUDGET_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "vault/base/mutex.h"

namespace vault::rpc {

// Thread-safe; outlives its holds.
class ByteBudget {
 public:
  // For one thread at a time.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)),
          subject_(std::move(other.subject_)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (budget_ != nullptr) budget_->GiveBack(subject_, bytes_);
    }
    size_t bytes() const { return bytes_; }

   private:
    friend class ByteBudget;
    ByteBudget* budget_ = nullptr;
    std::string subject_;
    size_t bytes_ = 0;
  };

  explicit ByteBudget(size_t bytes_max) : bytes_max_(bytes_max) {}
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  // Adds to what `hold` has, always for the same subject; nothing where there is no room.
  absl::Status Take(const std::string& subject, size_t bytes, Hold* hold) VAULT_EXCLUDES(mu_);
  size_t held() VAULT_EXCLUDES(mu_);

 private:
  void GiveBack(const std::string& subject, size_t bytes) VAULT_EXCLUDES(mu_);

  const size_t bytes_max_;
  Mutex mu_;
  size_t held_ VAULT_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<std::string, size_t> by_subject_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_BYTE_BUDGET_H_
