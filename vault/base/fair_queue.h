// Work that waits, given out by fair shares: of the tenants that have work waiting the one that has
// used least comes next, and of its subjects the one that has used least. So a tenant or subject
// that asks for much waits behind its own work, and no other does.
//
// What was used is a cost that the caller measures (start-time fair queueing: a share that comes
// back after a while begins where the others are, and has saved nothing up). Work that is under way
// counts with what such work has cost so far, so that a burst does not take every thread before the
// first of it has been charged.
#ifndef VAULT_BASE_FAIR_QUEUE_H_
#define VAULT_BASE_FAIR_QUEUE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"

namespace vault {

// Whose work it is. The names are the caller's while it calls.
struct Share {
  absl::string_view tenant;
  absl::string_view subject;
};

// Not thread-safe.
class FairQueue {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Beyond `max` nothing more is taken; a fourth of that is kept from any one tenant.
  explicit FairQueue(size_t max) : max_(max), tenant_max_(max - max / 4) {}

  // False, and `task` is as it was, where there is no room.
  bool Push(const Share& share, Task& task);
  // What was taken once already and goes on: there is always room for it, it takes nobody's, and it
  // comes before what else its subject has waiting.
  void PushAgain(const Share& share, Task task);
  bool empty() const { return size() == 0; }
  size_t size() const { return size_ + again_; }
  // The next one, and whose it is: names that are valid until it is charged. REQUIRES: not empty.
  std::pair<Share, Task> Pop();
  // What it has cost, in any unit that is the same for all. Once for each Pop.
  void Charge(const Share& share, double cost);

 private:
  // What a share has used, and what of it is under way.
  struct Used {
    double used = 0;
    double each = 0;  // what one of its tasks has cost of late
    int running = 0;
    double rank() const { return used + running * each; }
    void Charge(double cost);
  };
  // Those that wait, by rank, and by name where that is the same.
  template <typename Of>
  struct Earlier {
    bool operator()(const std::pair<double, Of*>& a, const std::pair<double, Of*>& b) const {
      return a.first != b.first ? a.first < b.first : *a.second->name < *b.second->name;
    }
  };
  template <typename Of>
  using Waiting = std::set<std::pair<double, Of*>, Earlier<Of>>;
  template <typename Of>
  using ByName = std::map<std::string, Of, std::less<>>;

  struct Subject : Used {
    const std::string* name = nullptr;
    std::deque<Task> again, tasks;
    bool waits() const { return !again.empty() || !tasks.empty(); }
  };
  struct Tenant : Used {
    const std::string* name = nullptr;
    ByName<Subject> subjects;
    Waiting<Subject> waiting;
    size_t size = 0;  // of what Push took
    double now = 0;   // the rank that was served last
  };
  // Moves the share in the order of those that wait; `change` is what changes its rank.
  template <typename Of, typename Change>
  static void Move(Waiting<Of>* waiting, Of* of, bool waits_after, Change change);
  template <typename Of>
  static Of& Named(ByName<Of>* all, absl::string_view name);
  // Of the share, which gets something that waits.
  Subject& Enter(const Share& share);
  // Drops shares that have nothing waiting or under way, and nothing left to pay.
  void Forget();

  const size_t max_, tenant_max_;
  ByName<Tenant> tenants_;
  Waiting<Tenant> waiting_;
  size_t size_ = 0, again_ = 0;  // of what Push and PushAgain took
  double now_ = 0;
  size_t charged_ = 0;  // since Forget
};

}  // namespace vault

#endif  // VAULT_BASE_FAIR_QUEUE_H_
