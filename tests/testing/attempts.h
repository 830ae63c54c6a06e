// Policies under which a subject tries as often as it likes: for tests that put load on a vault,
// and are about something else.
#ifndef VAULT_TESTS_TESTING_ATTEMPTS_H_
#define VAULT_TESTS_TESTING_ATTEMPTS_H_

#include <string>

#include "vault/base/logging.h"

namespace vault::testing {

// Every `attempts { … }` of a policy.textproto at its largest.
inline void RaiseAttempts(std::string* policy) {
  const std::string open = "attempts {";
  int raised = 0;
  for (size_t at = 0; (at = policy->find(open, at)) != std::string::npos; ++raised) {
    at += open.size();
    policy->replace(at, policy->find('}', at) - at, " burst: 1000000 per_hour: 100000000 ");
  }
  VAULT_CHECK(raised > 0) << "the policy has no attempts";
}

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_ATTEMPTS_H_
