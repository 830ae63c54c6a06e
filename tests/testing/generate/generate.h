// Residents that never were, for benches, tests and the sandbox: the same seed gives the same
// people on every machine, household by household, as many as are asked for.
//
//   ResidentGenerator people(*TenantId::Parse("131164"), /*seed=*/1);
//   GeneratedResident one = people.Next();
//   for (const auto& [id, value] : one.fields) …
//
// Names are common ones put together at random. Towns of 131164 (豊島区) and 141003 (横浜市) are
// real and in the lists that ship with the policies, house numbers are drawn. Fixed telephones come
// from exchanges that no subscriber has (03-1…, 045-0…); mobiles have no such range. Mail goes to
// example.jp and example.com. In a household surname, address, number and often the telephone are
// shared; the telephone is then written in different ways. No checked field holds a valid My
// Number.
#ifndef VAULT_TESTS_TESTING_GENERATE_GENERATE_H_
#define VAULT_TESTS_TESTING_GENERATE_GENERATE_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "vault/base/ids.h"

namespace vault::testing {

// The columns, in the order of a file's header and of GeneratedResident::fields.
const std::vector<std::string>& GeneratedColumns();

struct GeneratedResident {
  // Every column with its value, empty where this resident has none (a phone, an e-mail, a ticket,
  // notes, protection).
  std::vector<std::pair<std::string, std::string>> fields;

  // The value of column `id`, which has to be one.
  const std::string& Get(absl::string_view id) const;
};

// Not thread-safe.
class ResidentGenerator {
 public:
  ResidentGenerator(const TenantId& tenant, uint64_t seed);
  ResidentGenerator(const ResidentGenerator&) = delete;
  ResidentGenerator& operator=(const ResidentGenerator&) = delete;

  GeneratedResident Next();

 private:
  struct Household;
  struct Town {
    absl::string_view municipality, name, postal_code;
  };

  // Kinds of numbers, each with a walk of its own.
  enum Series {
    kAddressNumber,
    kHouseholdNumber,
    kTicket,
    kFixedPhone,
    kMobilePhone,
    kEmail,
    kSeriesCount
  };

  uint64_t Random();
  // Uniform in [0, n).
  uint64_t Below(uint64_t n);
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // A one-to-one walk through [0, modulus): numbers are spread, and none comes twice before all
  // have come. REQUIRES: `modulus` has no prime factor but 2, 3 and 5.
  uint64_t Spread(Series series, uint64_t index, uint64_t modulus) const;

  void MakeHousehold();
  GeneratedResident MakeMember(const Household& household, int place, absl::CivilDay birth,
                               bool female);
  std::string MakeAddress(const Town& town);
  // National digits with area and exchange set apart ("03-1234-5678").
  std::string FixedPhone(uint64_t index) const;
  std::string MobilePhone(uint64_t index) const;
  // `phone` in one of the ways in which people write it.
  std::string Rewrite(absl::string_view phone);
  std::string Ticket(uint64_t index);
  std::string Protection();

  const TenantId tenant_;
  std::vector<Town> towns_;
  uint64_t state_;
  uint64_t offsets_[kSeriesCount];  // where this seed's numbers of each kind begin
  uint64_t households_ = 0;
  uint64_t residents_ = 0;
  std::deque<GeneratedResident> ready_;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_GENERATE_GENERATE_H_
