// Whatever the vault writes is a row of exactly one family. CheckAll looks at every row of every
// test's vault; here is one that holds nearly all that there are.
#include "vault/base/row_families.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "tests/usecases/approval_fixture.h"

namespace vault::usecases {
namespace {

class RowFamiliesTest : public ApprovalTest {
 protected:
  void Populate() {
    const std::string erased = vault().Add(1);
    VAULT_ASSERT_OK(vault().Create(TestVault::Person(2), {}, "request-2").status());
    EraseRequest request{"131164", erased, {"erasure", "E-1", ""}, ""};
    Awaited<CertificateResult> certificate;
    vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"), request,
                                         certificate.Callback());
    VAULT_ASSERT_OK(certificate.Wait().status());
    VAULT_ASSERT_OK(vault().Rotate("security", KeyKind::kKek).status());
    VAULT_ASSERT_OK(Propose(DestroyKek(1)).status());
    Fill(LogId::Of(Toshima()), 300);  // the root of a subtree
  }
};

TEST_F(RowFamiliesTest, EveryRowIsOfOneFamily) {
  Populate();
  std::set<absl::string_view> seen;
  for (const auto& [key, value] : vault().Rows("")) {
    const auto owns = [&row = key](const RowFamily& family) { return family.Owns(row); };
    EXPECT_EQ(std::count_if(std::begin(kRowFamilies), std::end(kRowFamilies), owns), 1)
        << absl::CHexEscape(key);
    const RowFamily* const family = FamilyOfRow(key);
    ASSERT_NE(family, nullptr) << absl::CHexEscape(key);
    EXPECT_TRUE(family->Owns(key)) << absl::CHexEscape(key);
    seen.insert(family->prefix);
    // The tenant or the log that the family's keys are said to name.
    absl::string_view rest = absl::string_view(key).substr(family->prefix.size());
    const absl::string_view id = rest.substr(0, rest.find('/'));
    if (family->of == RowFamily::Key::kTenant) VAULT_EXPECT_OK(TenantId::Parse(id).status());
    if (family->of == RowFamily::Key::kLog) VAULT_EXPECT_OK(LogId::Parse(id).status());
  }
  for (absl::string_view prefix :
       {kEntryPrefix, kApprovalPrefix, kHeadPrefix, kIndexPrefix, kJobPrefix, kRequestPrefix,
        kResidentPrefix, kSubtreePrefix, kResidentRequestPrefix, kErasurePrefix, kNewestKeyringKey,
        kOriginPrefixKey, kSchemaKey}) {
    EXPECT_EQ(seen.count(prefix), 1) << "the vault holds no " << FamilyOfRow(prefix)->name;
  }
  vault().CheckAll();
}

// A row that no family owns cannot be sealed: no rotation would find it.
TEST_F(RowFamiliesTest, SealingARowOfNoSealedFamilyEndsTheProcess) {
  for (absl::string_view key : {"z/1", "m/other", "m/schema/", "m/keyring", "r/131164/x"}) {
    EXPECT_DEATH(vault().keyring()->SealRow(key, 0, ""), "no rotation would find it") << key;
  }
}

}  // namespace
}  // namespace vault::usecases
