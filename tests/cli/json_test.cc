#include "vault/cli/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace vault::cli {
namespace {

TEST(JsonStringTest, EscapesWhatJsonAndTerminalsTakeOtherwise) {
  EXPECT_EQ(JsonString(""), "\"\"");
  EXPECT_EQ(JsonString("見本 \"a\\b\""), "\"見本 \\\"a\\\\b\\\"\"");
  EXPECT_EQ(JsonString("a\nb\x1b[2J"), "\"a\\u000ab\\u001b[2J\"");
  EXPECT_EQ(JsonString(std::string("\0", 1)), "\"\\u0000\"");
  EXPECT_EQ(JsonString("\x7f"), "\"\\u007f\"");
  EXPECT_EQ(JsonString("a\u202e"), "\"a\\u202e\"");
  EXPECT_EQ(JsonString("\U000E0021"), "\"\\udb40\\udc21\"");
}

TEST(JsonObjectTest, HoldsItsMembersInTheirOrder) {
  JsonObject inner;
  inner.Text("text", "a\"b");
  JsonObject object;
  object.Number("z", uint64_t{UINT64_MAX})
      .Number("less", int64_t{-1})
      .Number("int", 2)
      .Truth("yes", true)
      .Truth("no", false)
      .Object("inner", inner)
      .List("list", {JsonString("x"), inner.Done()})
      .List("none", {})
      .Raw("raw", "1.5");
  EXPECT_EQ(object.Done(),
            "{\"z\":18446744073709551615,\"less\":-1,\"int\":2,\"yes\":true,\"no\":false,"
            "\"inner\":{\"text\":\"a\\\"b\"},\"list\":[\"x\",{\"text\":\"a\\\"b\"}],\"none\":[],"
            "\"raw\":1.5}");
  EXPECT_EQ(JsonObject().Done(), "{}");
}

TEST(JsonObjectTest, NamesAreEscapedToo) {
  JsonObject object;
  object.Text("a\"b", "");
  EXPECT_EQ(object.Done(), "{\"a\\\"b\":\"\"}");
}

}  // namespace
}  // namespace vault::cli
