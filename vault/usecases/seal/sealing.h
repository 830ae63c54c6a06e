// Sealing and unsealing, as far as the trail is concerned: the decision and the entries. Whoever
// owns the vault then seals it, or has unsealed it.
#ifndef VAULT_USECASES_SEAL_SEALING_H_
#define VAULT_USECASES_SEAL_SEALING_H_

#include <vector>

#include "vault/pipeline/pipeline.h"

namespace vault::usecases {

// Thread-safe; the pipeline must outlive it.
class Sealing {
 public:
  explicit Sealing(pipeline::Pipeline* pipeline) : pipeline_(*pipeline) {}

  void RecordSeal(const pipeline::Caller& caller, pipeline::Reply<bool> reply);
  // `attempts`: what came while it was sealed, an entry each. Where it was not (`was_sealed`) that
  // is the answer: FAILED_PRECONDITION, reason NOT_SEALED.
  void RecordUnseal(const pipeline::Caller& caller, bool was_sealed,
                    std::vector<pipeline::SealedAttempts> attempts, pipeline::Reply<bool> reply);
  // Attempts that came between RecordUnseal and the moment from which calls were let in again.
  void CountSealed(const pipeline::SealedAttempts& attempts);

 private:
  pipeline::Pipeline& pipeline_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_SEAL_SEALING_H_
