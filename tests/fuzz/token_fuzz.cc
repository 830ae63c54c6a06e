// Nothing that a stranger sends is a token, and whatever parses as a set of keys is within its
// bounds. The input is a token, a set of keys, and the parts of a token under a key that is there.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tokens/token.h"

namespace vault::tokens {
namespace {

// RFC 7515, appendix A.3.
constexpr char kKeys[] = R"({"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"a",)"
                         R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                         R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";

std::vector<Trusted> Trust(KeySet keys) {
  return {{{"a", "a", "v", "urn:vault:", absl::Hours(1)},
           std::make_shared<const KeySet>(std::move(keys))}};
}

void ExpectNoToken(absl::string_view token, absl::Span<const Trusted> trusted) {
  const absl::StatusOr<Claims> claims = Verify(token, trusted);
  VAULT_CHECK(!claims.ok()) << "a token that nobody signed";
  VAULT_CHECK(absl::IsUnauthenticated(claims.status()) && !GetReason(claims.status()).empty());
}

void CheckKeys(absl::string_view input) {
  absl::StatusOr<KeySet> keys = KeySet::Parse(input);
  if (!keys.ok()) return;
  VAULT_CHECK(keys->size() <= KeySet::kKeysMax);
  const std::string payload = absl::WebSafeBase64Escape(R"({"iss":"a"})");
  const std::string header = absl::WebSafeBase64Escape(R"({"alg":"ES256","kid":"a"})");
  ExpectNoToken(absl::StrCat(header, ".", payload, ".", std::string(86, 'A')),
                Trust(*std::move(keys)));
}

// The first two bytes divide the rest into header, payload and signature.
void CheckParts(absl::string_view input, absl::Span<const Trusted> trusted) {
  if (input.size() < 2) return;
  const size_t first = static_cast<uint8_t>(input[0]), second = static_cast<uint8_t>(input[1]);
  input.remove_prefix(2);
  const absl::string_view header = input.substr(0, first);
  input.remove_prefix(header.size());
  const absl::string_view payload = input.substr(0, second);
  input.remove_prefix(payload.size());
  const auto token = [&](absl::string_view head, absl::string_view body) {
    return absl::StrCat(absl::WebSafeBase64Escape(head), ".", absl::WebSafeBase64Escape(body), ".",
                        absl::WebSafeBase64Escape(input));
  };
  ExpectNoToken(token(header, payload), trusted);
  ExpectNoToken(token(R"({"alg":"ES256","kid":"a"})", payload), trusted);
  ExpectNoToken(token(R"({"alg":"ES256","kid":"a"})", R"({"iss":"a"})"), trusted);
}

}  // namespace
}  // namespace vault::tokens

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using vault::tokens::KeySet;
  static const auto* const trusted = new std::vector<vault::tokens::Trusted>(
      vault::tokens::Trust(*KeySet::Parse(vault::tokens::kKeys)));
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  vault::tokens::ExpectNoToken(input, *trusted);
  vault::tokens::CheckKeys(input);
  vault::tokens::CheckParts(input, *trusted);
  return 0;
}
