// What the cache remembers, and when it forgets.
#include "vault/tokens/token_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace vault::tokens {
namespace {

Claims Of(const std::string& subject) {
  Claims claims;
  claims.subject = subject;
  return claims;
}

TokenCache::Digest Digest(int i) { return TokenCache::DigestOf(absl::StrCat("token ", i)); }

TEST(TokenCacheTest, RemembersByDigest) {
  TokenCache cache;
  cache.Remember(Digest(1), {1, 1}, Of("a"));
  ASSERT_TRUE(cache.Find(Digest(1), {1, 1}).has_value());
  EXPECT_EQ(cache.Find(Digest(1), {1, 1})->subject, "a");
  EXPECT_FALSE(cache.Find(Digest(2), {1, 1}).has_value());
}

TEST(TokenCacheTest, DigestIsSha256) {
  // FIPS 180-2, appendix B.1.
  const TokenCache::Digest digest = TokenCache::DigestOf("abc");
  EXPECT_EQ(digest[0], 0xba);
  EXPECT_EQ(digest[1], 0x78);
  EXPECT_EQ(digest[31], 0xad);
}

TEST(TokenCacheTest, ForgetsAllWhenKeysOrPolicyChange) {
  for (const TokenCache::Version& next : {TokenCache::Version{2, 1}, TokenCache::Version{1, 2}}) {
    TokenCache cache;
    cache.Remember(Digest(1), {1, 1}, Of("a"));
    EXPECT_FALSE(cache.Find(Digest(1), next).has_value());
    EXPECT_EQ(cache.size(), 0);
    // And not again under the version before.
    EXPECT_FALSE(cache.Find(Digest(1), {1, 1}).has_value());
  }
}

// What was verified under older keys, and comes late, is not remembered as if it were under newer.
TEST(TokenCacheTest, WhatComesLateIsNotRemembered) {
  TokenCache cache;
  EXPECT_FALSE(cache.Find(Digest(1), {2, 1}).has_value());
  cache.Remember(Digest(1), {1, 1}, Of("a"));
  EXPECT_FALSE(cache.Find(Digest(1), {2, 1}).has_value());
  EXPECT_FALSE(cache.Find(Digest(1), {1, 1}).has_value());
}

TEST(TokenCacheTest, IsBoundedAndKeepsWhatIsUsed) {
  TokenCache cache(100);
  for (int i = 0; i < 10000; ++i) {
    cache.Remember(Digest(i), {1, 1}, Of("a"));
    ASSERT_LE(cache.size(), 100);
    ASSERT_TRUE(cache.Find(Digest(0), {1, 1}).has_value()) << i;
  }
  EXPECT_GE(cache.size(), 50);
  EXPECT_FALSE(cache.Find(Digest(5), {1, 1}).has_value());
}

TEST(TokenCacheTest, IsUsedByManyThreads) {
  TokenCache cache(64);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int i = 0; i < 2000; ++i) {
        const TokenCache::Version version{static_cast<uint64_t>(i / 500), t % 2};
        const absl::optional<Claims> found = cache.Find(Digest(i % 90), version);
        if (found.has_value()) EXPECT_EQ(found->subject, absl::StrCat(i % 90, " ", version.first));
        cache.Remember(Digest(i % 90), version, Of(absl::StrCat(i % 90, " ", version.first)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace vault::tokens
