// What crash_steps and the test that runs it must agree on.
#ifndef VAULT_TESTS_E2E_CRASH_STEPS_H_
#define VAULT_TESTS_E2E_CRASH_STEPS_H_

#include <cstdint>

#include "vault/tlog/note.h"

namespace vault::testing {

constexpr char kTenant[] = "131164";
// Who may read its log.
constexpr char kAuditor[] = "compliance-toshima";
// The witness, whose key is TestVerifierKey's.
constexpr char kWitnessName[] = "witness.example";
constexpr uint8_t kWitnessFill = 0x77;
constexpr tlog::NoteAlgorithm kCosignature = tlog::NoteAlgorithm::kCosignatureV1;

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_CRASH_STEPS_H_
