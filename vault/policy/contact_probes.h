// Telephones, My Numbers and names in the shapes that people would write them into a contact
// reference. A policy whose contact_pattern matches one of them does not load: contacts stand in
// the trail in the clear.
#ifndef VAULT_POLICY_CONTACT_PROBES_H_
#define VAULT_POLICY_CONTACT_PROBES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::policy {

struct ContactProbe {
  absl::string_view what;  // "a telephone"
  std::string text;
};

// A few thousand; deterministic.
std::vector<ContactProbe> ContactProbes();

}  // namespace vault::policy

#endif  // VAULT_POLICY_CONTACT_PROBES_H_
