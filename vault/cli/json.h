// JSON that a program writes by itself, as one object on one line.
#ifndef VAULT_CLI_JSON_H_
#define VAULT_CLI_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::cli {

// A string of JSON (RFC 8259 §7) that steers no terminal either: characters that are not seen are
// written as \uXXXX. Bytes that are no UTF-8 stay as they are.
std::string JsonString(absl::string_view value);

// An object whose members stand in the order in which they were added.
class JsonObject {
 public:
  JsonObject& Text(absl::string_view name, absl::string_view value);
  JsonObject& Number(absl::string_view name, int64_t value);
  JsonObject& Number(absl::string_view name, uint64_t value);
  JsonObject& Number(absl::string_view name, int value);
  JsonObject& Truth(absl::string_view name, bool value);
  JsonObject& Object(absl::string_view name, const JsonObject& value);
  // `items` are JSON already: of Done(), or of JsonString.
  JsonObject& List(absl::string_view name, const std::vector<std::string>& items);
  // `value` is JSON already.
  JsonObject& Raw(absl::string_view name, absl::string_view value);

  std::string Done() const;

 private:
  std::string members_;
};

}  // namespace vault::cli

#endif  // VAULT_CLI_JSON_H_
