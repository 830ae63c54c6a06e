// JSON of strangers, by jansson: one document, no member twice, nothing behind it. The module's
// own.
#ifndef VAULT_TOKENS_JSON_H_
#define VAULT_TOKENS_JSON_H_

#include <jansson.h>

#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace vault::tokens {

struct JsonDeleter {
  void operator()(json_t* json) const { json_decref(json); }
};
using Json = std::unique_ptr<json_t, JsonDeleter>;

// Null unless `text` is one object of UTF-8. jansson refuses numbers that do not fit, NaN, and a
// NUL in a string.
inline Json ParseObject(absl::string_view text) {
  Json json(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, nullptr));
  return json_is_object(json.get()) ? std::move(json) : nullptr;
}

// None where the member is no string, or not there.
inline absl::optional<absl::string_view> GetString(const json_t* object, const char* member) {
  const json_t* value = json_object_get(object, member);
  if (!json_is_string(value)) return absl::nullopt;
  return absl::string_view(json_string_value(value), json_string_length(value));
}

// RFC 7515, section 2: no padding, no white space, and one text only for the same bytes. The
// decoders of others let more pass.
inline absl::optional<std::string> DecodeBase64Url(absl::string_view text) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes)) return absl::nullopt;
  if (absl::WebSafeBase64Escape(bytes) != text) return absl::nullopt;
  return bytes;
}

}  // namespace vault::tokens

#endif  // VAULT_TOKENS_JSON_H_
