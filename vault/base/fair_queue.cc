#include "vault/base/fair_queue.h"

#include <algorithm>

#include "vault/base/logging.h"

namespace vault {
namespace {

// So many charges apart, shares that are over are looked for.
constexpr size_t kForgetEvery = 1024;

}  // namespace

void FairQueue::Used::Charge(double cost) {
  --running;
  used += cost;
  each = each == 0 ? cost : each + (cost - each) / 8;
}

template <typename Of, typename Change>
void FairQueue::Move(Waiting<Of>* waiting, Of* of, bool waits_after, Change change) {
  waiting->erase({of->rank(), of});
  change();
  if (waits_after) waiting->insert({of->rank(), of});
}

template <typename Of>
Of& FairQueue::Named(ByName<Of>* all, absl::string_view name) {
  auto it = all->find(name);
  if (it == all->end()) {
    it = all->try_emplace(std::string(name)).first;
    it->second.name = &it->first;
  }
  return it->second;
}

bool FairQueue::Push(const Share& share, Task& task) {
  const auto known = tenants_.find(share.tenant);
  if (size_ >= max_) return false;
  if (known != tenants_.end() && known->second.size >= tenant_max_) return false;
  Enter(share).tasks.push_back(std::move(task));
  ++tenants_.find(share.tenant)->second.size;
  ++size_;
  return true;
}

void FairQueue::PushAgain(const Share& share, Task task) {
  Enter(share).again.push_back(std::move(task));
  ++again_;
}

FairQueue::Subject& FairQueue::Enter(const Share& share) {
  Tenant& tenant = Named(&tenants_, share.tenant);
  Subject& subject = Named(&tenant.subjects, share.subject);
  // One that has been away begins where the others are.
  if (tenant.waiting.empty() && tenant.running == 0) tenant.used = std::max(tenant.used, now_);
  if (!subject.waits() && subject.running == 0) {
    subject.used = std::max(subject.used, tenant.now);
  }
  tenant.waiting.insert({subject.rank(), &subject});
  waiting_.insert({tenant.rank(), &tenant});
  return subject;
}

std::pair<Share, FairQueue::Task> FairQueue::Pop() {
  VAULT_CHECK(!empty());
  Tenant& tenant = *waiting_.begin()->second;
  // The used amount, not the rank: work under way is an estimate, and the next share must not begin
  // behind an estimate that was too high.
  now_ = std::max(now_, tenant.used);
  Subject& subject = *tenant.waiting.begin()->second;
  tenant.now = std::max(tenant.now, subject.used);
  const bool again = !subject.again.empty();
  std::deque<Task>& of = again ? subject.again : subject.tasks;
  Task task = std::move(of.front());
  of.pop_front();
  if (again) {
    --again_;
  } else {
    --tenant.size;
    --size_;
  }
  Move(&tenant.waiting, &subject, subject.waits(), [&] { ++subject.running; });
  Move(&waiting_, &tenant, !tenant.waiting.empty(), [&] { ++tenant.running; });
  return {Share{*tenant.name, *subject.name}, std::move(task)};
}

void FairQueue::Charge(const Share& share, double cost) {
  const auto tenant_at = tenants_.find(share.tenant);
  VAULT_CHECK(tenant_at != tenants_.end());
  Tenant& tenant = tenant_at->second;
  const auto subject_at = tenant.subjects.find(share.subject);
  VAULT_CHECK(subject_at != tenant.subjects.end());
  Subject& subject = subject_at->second;
  Move(&tenant.waiting, &subject, subject.waits(), [&] { subject.Charge(cost); });
  Move(&waiting_, &tenant, !tenant.waiting.empty(), [&] { tenant.Charge(cost); });
  if (++charged_ >= kForgetEvery) Forget();
}

void FairQueue::Forget() {
  charged_ = 0;
  for (auto tenant = tenants_.begin(); tenant != tenants_.end();) {
    for (auto it = tenant->second.subjects.begin(); it != tenant->second.subjects.end();) {
      const Subject& subject = it->second;
      const bool over =
          !subject.waits() && subject.running == 0 && subject.used <= tenant->second.now;
      it = over ? tenant->second.subjects.erase(it) : std::next(it);
    }
    const Tenant& of = tenant->second;
    const bool over = of.subjects.empty() && of.running == 0 && of.used <= now_;
    tenant = over ? tenants_.erase(tenant) : std::next(tenant);
  }
}

}  // namespace vault
