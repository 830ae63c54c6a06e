// What a PolicySet is made of once compiled; for policy.cc and compile.cc only.
#ifndef VAULT_POLICY_COMPILED_H_
#define VAULT_POLICY_COMPILED_H_

#include <re2/re2.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "vault/policy/policy.h"

namespace vault::policy {

using Views = std::array<View, kRecordClasses>;

struct PolicySet::CompiledRole {
  std::string rule;  // "role.<id>"
  ActionSet actions;
  // Bits by FieldSpec::index.
  uint64_t search = 0;
  uint64_t change = 0;
  bool service_log = false;
  bool is_service = false;
  bool joins_programmes = false;
  bool seats = false;
  Attempts attempts;
  // By whether a reason was given. Everything that a decision can disclose is worked out at load;
  // Decide only picks.
  struct ForPurpose {
    bool allowed = false;
    std::array<Views, 2> views;
  };
  // Every purpose of the first programme, then of the next; where no rule is for some programmes
  // only, once for all of them.
  std::vector<ForPurpose> cases;
  bool by_programme = false;
  size_t purpose_count = 0;

  const ForPurpose& Case(size_t programme, size_t purpose) const {
    return cases[(by_programme ? programme : 0) * purpose_count + purpose];
  }
};

struct PolicySet::Matcher {
  explicit Matcher(const std::string& pattern, const re2::RE2::Options& options)
      : re(pattern, options) {}
  re2::RE2 re;
};

// A contact reference is no longer than this, whatever the pattern says.
inline constexpr size_t kContactBytesMax = 64;

}  // namespace vault::policy

#endif  // VAULT_POLICY_COMPILED_H_
