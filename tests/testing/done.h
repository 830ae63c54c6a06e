// What a call is answered through.
#ifndef VAULT_TESTS_TESTING_DONE_H_
#define VAULT_TESTS_TESTING_DONE_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace vault::testing {

template <typename T>
using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_DONE_H_
