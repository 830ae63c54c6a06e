// Secrets: wiped where they go, never left where they were moved from, never printed.
#include "vault/base/secret.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "gtest/gtest.h"

namespace vault {
namespace {

const char kLong[] = "plaintext that is too long for a string's own small buffer";
// These fit into it. A moved-from string loses its first byte in any case, and a string that goes
// to the heap overwrites half of its buffer: so what is looked for is the end.
const char kShort[] = "shortish value";
const char kOtherShort[] = "2nd short value";
const char kShortTail[] = "value";

// Looks for `needle` among the bytes at `data`, without reading past them.
bool Holds(const void* data, size_t size, absl::string_view needle) {
  const char* begin = static_cast<const char*>(data);
  return std::search(begin, begin + size, needle.begin(), needle.end()) != begin + size;
}

// The object's own bytes stay readable after its destruction, since the buffer is the test's.
template <typename T>
struct Place {
  alignas(T) char bytes[sizeof(T)] = {};
};

TEST(SecretBytesTest, IsZeroAtFirstAndWipedAtTheEnd) {
  Place<SecretBytes<32>> place;
  auto* secret = new (place.bytes) SecretBytes<32>();
  EXPECT_EQ(std::count(secret->Expose(), secret->Expose() + 32, 0), 32);
  std::memset(secret->mutable_data(), 0x5a, 32);
  EXPECT_TRUE(Holds(place.bytes, sizeof(place.bytes), std::string(32, 0x5a)));
  secret->~SecretBytes<32>();
  EXPECT_FALSE(Holds(place.bytes, sizeof(place.bytes), "\x5a"));
}

TEST(SecretBytesTest, IsWipedWhereItIsMovedFrom) {
  SecretBytes<16> from;
  std::memset(from.mutable_data(), 0x5a, 16);
  SecretBytes<16> to(std::move(from));
  EXPECT_EQ(std::count(from.Expose(), from.Expose() + 16, 0), 16);
  EXPECT_EQ(std::count(to.Expose(), to.Expose() + 16, 0x5a), 16);
  SecretBytes<16> assigned;
  assigned = std::move(to);
  EXPECT_EQ(std::count(to.Expose(), to.Expose() + 16, 0), 16);
  EXPECT_EQ(std::count(assigned.Expose(), assigned.Expose() + 16, 0x5a), 16);
}

TEST(SecretBytesTest, SurvivesBeingAssignedToItself) {
  SecretBytes<4> secret;
  std::memset(secret.mutable_data(), 7, 4);
  SecretBytes<4>& same = secret;
  secret = std::move(same);
  EXPECT_EQ(std::count(secret.Expose(), secret.Expose() + 4, 7), 4);
}

TEST(SecretStringTest, ShortValueIsWipedAtTheEnd) {
  Place<SecretString> place;
  auto* secret = new (place.bytes) SecretString(kShort);
  EXPECT_TRUE(Holds(place.bytes, sizeof(place.bytes), kShort));
  secret->~SecretString();
  EXPECT_FALSE(Holds(place.bytes, sizeof(place.bytes), kShortTail));
}

TEST(SecretStringTest, ShortValueIsWipedWhereItIsMovedFrom) {
  Place<SecretString> place;
  auto* secret = new (place.bytes) SecretString(kShort);
  SecretString moved(std::move(*secret));
  EXPECT_TRUE(secret->empty());
  EXPECT_EQ(moved.Expose(), kShort);
  EXPECT_FALSE(Holds(place.bytes, sizeof(place.bytes), kShortTail));
  SecretString assigned("to be replaced");
  new (place.bytes) SecretString(kOtherShort);
  assigned = std::move(*secret);
  EXPECT_TRUE(secret->empty());
  EXPECT_EQ(assigned.Expose(), kOtherShort);
  EXPECT_FALSE(Holds(place.bytes, sizeof(place.bytes), kShortTail));
  secret->~SecretString();
}

TEST(SecretStringTest, LongValueMovesWithoutACopy) {
  SecretString secret{absl::string_view(kLong)};
  const char* where = secret.Expose().data();
  SecretString moved(std::move(secret));
  EXPECT_EQ(moved.Expose().data(), where);
  EXPECT_TRUE(secret.empty());
}

TEST(SecretStringTest, TakeLeavesNothingBehind) {
  Place<std::string> place;
  auto* source = new (place.bytes) std::string(kShort);
  SecretString secret = SecretString::Take(std::move(*source));
  EXPECT_EQ(secret.Expose(), kShort);
  EXPECT_TRUE(source->empty());
  EXPECT_FALSE(Holds(place.bytes, sizeof(place.bytes), kShortTail));
  source->~basic_string();
}

TEST(SecretStringTest, WhatIsReplacedByAssignmentIsWiped) {
  Place<SecretString> place;
  auto* secret = new (place.bytes) SecretString(kShort);
  SecretString other{absl::string_view(kLong)};
  *secret = std::move(other);
  EXPECT_EQ(secret->Expose(), kLong);
  EXPECT_TRUE(other.empty());
  // The new value is on the heap, so whatever the small buffer holds is what the old one left.
  EXPECT_FALSE(Holds(place.bytes, sizeof(place.bytes), kShortTail));
  secret->~SecretString();
}

TEST(SecretStringTest, CloneIsItsOwnBytes) {
  SecretString secret{absl::string_view(kLong)};
  SecretString clone = secret.Clone();
  EXPECT_EQ(clone.Expose(), secret.Expose());
  clone.mutable_data()[0] = 'P';
  EXPECT_EQ(secret.Expose(), kLong);
}

TEST(SecretStringTest, OfSizeIsZeros) {
  SecretString secret = SecretString::OfSize(40);
  EXPECT_EQ(secret.Expose(), std::string(40, '\0'));
  EXPECT_TRUE(SecretString::OfSize(0).empty());
}

TEST(WipeTest, StringIsWipedToItsCapacity) {
  std::string s = kLong;
  const size_t capacity = s.capacity();
  const char* data = s.data();
  // The end of the longer value lies behind the shorter one's size.
  s.resize(3);
  Wipe(&s);
  EXPECT_TRUE(s.empty());
  ASSERT_EQ(s.data(), data);
  ASSERT_EQ(s.capacity(), capacity);
  EXPECT_EQ(std::count(data, data + capacity, '\0'), static_cast<long>(capacity));
}

TEST(WipeTest, LeavesItsNeighboursAlone) {
  char bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  Wipe(bytes + 2, 4);
  const char want[8] = {1, 2, 0, 0, 0, 0, 7, 8};
  EXPECT_EQ(std::memcmp(bytes, want, 8), 0);
  Wipe(nullptr, 0);
}

TEST(ConstantTimeEqualsTest, ComparesAsEqualsDoes) {
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "xbc"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "ab"));
  EXPECT_FALSE(ConstantTimeEquals("", "a"));
}

template <typename T, typename = void>
struct Printable : std::false_type {};
template <typename T>
struct Printable<T,
                 std::void_t<decltype(std::declval<std::ostream&>() << std::declval<const T&>())>>
    : std::true_type {};

TEST(SecretTypesTest, AreNeitherPrintedNorCopiedNorTurnedIntoStringsByAccident) {
  EXPECT_TRUE(Printable<std::string>::value);
  EXPECT_FALSE(Printable<SecretString>::value);
  EXPECT_FALSE(Printable<SecretBytes<32>>::value);
  EXPECT_FALSE(std::is_copy_constructible<SecretString>::value);
  EXPECT_FALSE(std::is_copy_assignable<SecretString>::value);
  EXPECT_FALSE(std::is_copy_constructible<SecretBytes<32>>::value);
  EXPECT_FALSE(std::is_copy_assignable<SecretBytes<32>>::value);
  EXPECT_FALSE((std::is_convertible<SecretString, std::string>::value));
  EXPECT_FALSE((std::is_convertible<SecretString, absl::string_view>::value));
  EXPECT_FALSE((std::is_convertible<std::string, SecretString>::value));
}

}  // namespace
}  // namespace vault
