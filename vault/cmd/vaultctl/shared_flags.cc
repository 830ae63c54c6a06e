#include "vault/cmd/vaultctl/shared_flags.h"

#include "absl/strings/str_cat.h"

namespace vault::ctl {

std::vector<cli::Flag> ContextFlags() {
  return {
      {"tenant", "CODE", "the municipality, 6 digits: 131164 豊島区 (required)"},
      {"programme", "ID",
       "the programme: vaccination, health_observation (needed where you\nhave several)"},
      {"purpose", "PURPOSE",
       "why: vaccination_booking, health_observation, correction,\nmigration, complaint or "
       "erasure (required)"},
      {"contact", "REF", "the call's or batch's opaque reference: C-1001 (required)"},
      {"reason", "CODE",
       "where the policy wants one: identity_check, read_back, mailing,\nsupervision"},
      NoCheckFlag(),
  };
}

std::vector<cli::Flag> LogFlags() {
  return {
      {"tenant", "CODE", "the municipality whose log it is, 6 digits"},
      {"log", "service", "the service's own log, instead of --tenant"},
      NoCheckFlag(),
  };
}

std::vector<cli::Flag> OwnerFlags() {
  return {{"tenant", "CODE", "the municipality, 6 digits; or"},
          {"service", "", "the vault's own, instead of --tenant"}};
}

cli::Flag TenantFlag(absl::string_view help) {
  return {"tenant", "CODE", absl::StrCat(help, ", 6 digits (required)")};
}

cli::Flag KeyVersionFlag() { return {"key-version", "N", "as keys status prints it (required)"}; }

cli::Flag EtagFlag() { return {"etag", "E", "only if this is still the resident's etag"}; }

cli::Flag DetachFlag() {
  return {"detach", "", "begins it and does not watch it: jobs watch does"};
}

cli::Flag DryRunFlag() { return {"dry-run", "", "counts what it would do, and changes nothing"}; }

cli::Flag RateFlag() {
  return {"rate", "N",
          "at most so many a second; 0: as fast as it goes (default: what\n"
          "leaves lookups their time)"};
}

cli::Flag NoCheckFlag() {
  return {"no-check", "", "sends what the vault would refuse", false, true};
}

}  // namespace vault::ctl
