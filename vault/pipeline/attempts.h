// What a subject may try.
//
// "No match" tells as much as a match: a caller who may not see a value in full finds it by asking
// for one guess after the other, and a caller who may not see a record learns of it from a number
// that is taken. So each subject has a purse of attempts, as policy says (policy::Attempts). A call
// holds what its answer may cost before the store is read, so that the refusal of an empty purse
// cannot depend on what is there; what the answer did not cost comes back once it is released. An
// answer that is never released tells nothing and costs nothing.
//
//   AttemptPurses::Hold hold;                    // lives as long as the call
//   const absl::Duration wait = purses.Take(subject, attempts, 1, clock.SinceBoot(), &hold);
//   if (wait > absl::ZeroDuration()) …           // RESOURCE_EXHAUSTED
//   hold.SetCost(0);                             // a match by fields that the role sees
//   hold.Spend();                                // released
#ifndef VAULT_PIPELINE_ATTEMPTS_H_
#define VAULT_PIPELINE_ATTEMPTS_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "vault/base/mutex.h"
#include "vault/policy/policy.h"

namespace vault::pipeline {

// A token bucket a subject; only known subjects ask, so there are no more of them than in the
// subjects' file. Thread-safe.
class AttemptPurses {
 public:
  // What one call has taken out. For one thread at a time.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&&) = delete;
    // Gives back what was not spent.
    ~Hold();
    // How much of what is held the answer costs; all of it unless this is called.
    void SetCost(int64_t cost);
    // The answer is out: its cost is gone, the rest goes back.
    void Spend();

   private:
    friend class AttemptPurses;
    AttemptPurses* purses_ = nullptr;  // null: nothing is held
    std::string subject_;
    int64_t held_ = 0;
    int64_t cost_ = 0;
  };

  // Zero: `hold` has `most`, which may leave the purse in debt: then nothing more comes out of it
  // until that is paid. Else how long until there is one again, in
  // whole seconds: one, if all that lacks is held by calls under way. A hold that has
  // something already keeps it: a call that is looked at anew pays once.
  absl::Duration Take(const policy::Subject& subject, const policy::Attempts& attempts,
                      int64_t most, absl::Duration since_boot, Hold* hold) VAULT_EXCLUDES(mu_);

 private:
  struct Purse {
    double left;
    double burst;           // as of the last Take: policy may change while serving
    int64_t held;           // by calls under way, out of `left` already
    absl::Duration filled;  // since boot: whoever sets the wall clock fills no purse
  };
  void GiveBack(const std::string& subject, int64_t held, int64_t cost) VAULT_EXCLUDES(mu_);

  Mutex mu_;
  absl::flat_hash_map<std::string, Purse> purses_ VAULT_GUARDED_BY(mu_);
};

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_ATTEMPTS_H_
