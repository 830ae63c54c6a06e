// What job_steps and the test that runs it must agree on.
#ifndef VAULT_TESTS_E2E_JOB_STEPS_H_
#define VAULT_TESTS_E2E_JOB_STEPS_H_

namespace vault::testing {

constexpr char kJobTenant[] = "131164";
// More than two steps of a hundred.
constexpr int kJobResidents = 230;
// Two bundles of 256 and a rest.
constexpr int kJobOldEntries = 600;

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_JOB_STEPS_H_
