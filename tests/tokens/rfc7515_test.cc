// The signatures of RFC 7515's appendices A.2 and A.3, whose headers name no key and whose payload
// is no token of ours.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"
#include "vault/base/status.h"
#include "vault/tokens/token.h"

namespace vault::tokens {
namespace {

constexpr char kPayload[] =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
    "Q";
constexpr char kRsaKey[] =
    R"({"kty":"RSA","alg":"RS256","kid":"a","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l)"
    R"(8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2)"
    R"(jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsm)"
    R"(tdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk)"
    R"(2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})";
constexpr char kRsaSignature[] =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5ju"
    "jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07"
    "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipU"
    "TI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
constexpr char kEcKey[] =
    R"({"kty":"EC","crv":"P-256","alg":"ES256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9u)"
    R"(PHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
constexpr char kEcSignature[] =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

std::string RsaToken() {
  return absl::StrCat("eyJhbGciOiJSUzI1NiJ9.", kPayload, ".", kRsaSignature);
}
std::string EcToken() { return absl::StrCat("eyJhbGciOiJFUzI1NiJ9.", kPayload, ".", kEcSignature); }

absl::Status Check(const std::string& token, const char* jwk) {
  const absl::StatusOr<KeySet> keys = KeySet::Parse(absl::StrCat("{\"keys\":[", jwk, "]}"));
  if (!keys.ok()) return keys.status();
  const Key& key = *keys->Find("a");
  return internal::CheckSignature(token, key.signature_bytes, key.alg, key);
}

TEST(Rfc7515Test, SignatureOfAppendixA2Verifies) { VAULT_EXPECT_OK(Check(RsaToken(), kRsaKey)); }

TEST(Rfc7515Test, SignatureOfAppendixA3Verifies) { VAULT_EXPECT_OK(Check(EcToken(), kEcKey)); }

TEST(Rfc7515Test, OtherPayloadsDoNotVerify) {
  std::string rsa = RsaToken(), ec = EcToken();
  ++rsa[30];
  ++ec[30];
  EXPECT_EQ(GetReason(Check(rsa, kRsaKey)), "TOKEN_SIGNATURE");
  EXPECT_EQ(GetReason(Check(ec, kEcKey)), "TOKEN_SIGNATURE");
}

// As a whole they are refused: they name no key.
TEST(Rfc7515Test, AreNoTokensOfOurs) {
  EXPECT_EQ(GetReason(Verify(RsaToken(), {}).status()), "TOKEN_KEY");
  EXPECT_EQ(GetReason(Verify(EcToken(), {}).status()), "TOKEN_KEY");
}

}  // namespace
}  // namespace vault::tokens
