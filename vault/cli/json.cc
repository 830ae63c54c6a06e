#include "vault/cli/json.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "vault/base/utf8.h"

namespace vault::cli {

std::string JsonString(absl::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&text, "\\u%04x", static_cast<unsigned>(c));
    } else {
      text += c;
    }
  }
  return EscapeUnseen(text) + "\"";
}

JsonObject& JsonObject::Text(absl::string_view name, absl::string_view value) {
  return Raw(name, JsonString(value));
}

JsonObject& JsonObject::Number(absl::string_view name, int64_t value) {
  return Raw(name, absl::StrCat(value));
}

JsonObject& JsonObject::Number(absl::string_view name, uint64_t value) {
  return Raw(name, absl::StrCat(value));
}

JsonObject& JsonObject::Number(absl::string_view name, int value) {
  return Raw(name, absl::StrCat(value));
}

JsonObject& JsonObject::Truth(absl::string_view name, bool value) {
  return Raw(name, value ? "true" : "false");
}

JsonObject& JsonObject::Object(absl::string_view name, const JsonObject& value) {
  return Raw(name, value.Done());
}

JsonObject& JsonObject::List(absl::string_view name, const std::vector<std::string>& items) {
  return Raw(name, absl::StrCat("[", absl::StrJoin(items, ","), "]"));
}

JsonObject& JsonObject::Raw(absl::string_view name, absl::string_view value) {
  absl::StrAppend(&members_, members_.empty() ? "" : ",", JsonString(name), ":", value);
  return *this;
}

std::string JsonObject::Done() const { return absl::StrCat("{", members_, "}"); }

}  // namespace vault::cli
