#include "vault/pipeline/paging.h"

#include "absl/strings/escaping.h"
#include "vault/base/status.h"

namespace vault::pipeline {
namespace {

// Longer than any position with its seal, in base64.
constexpr size_t kTokenSizeMax = 512;

std::string TokenContext(absl::string_view subject, absl::string_view list) {
  return crypto::LengthPrefixed({"page-token", subject, list});
}

}  // namespace

absl::StatusOr<size_t> PageSize(int asked) {
  if (asked < 0 || asked > kPageSizeMax) {
    return BadField("page_size", "0 to 1000; 0 is 100", "PAGE_SIZE");
  }
  return asked == 0 ? kPageSizeDefault : asked;
}

absl::Status BadPageToken() {
  return BadField("page_token", "the token of the last page, by the same caller and filter",
                  "PAGE_TOKEN");
}

std::string SealPageToken(crypto::AeadKey key, absl::string_view subject, absl::string_view list,
                          absl::string_view position, Random& random) {
  return absl::WebSafeBase64Escape(
      crypto::Seal(key, position, TokenContext(subject, list), random));
}

absl::StatusOr<std::string> OpenPageToken(crypto::AeadKey key, absl::string_view subject,
                                          absl::string_view list, absl::string_view token) {
  std::string sealed;
  if (token.size() > kTokenSizeMax || !absl::WebSafeBase64Unescape(token, &sealed)) {
    return BadPageToken();
  }
  const absl::StatusOr<SecretString> position =
      crypto::Open(key, sealed, TokenContext(subject, list));
  if (!position.ok()) return BadPageToken();
  return std::string(position->Expose());
}

}  // namespace vault::pipeline
