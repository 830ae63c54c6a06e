#include "vault/crypto/crypto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/mman.h>

#include <cstdlib>
#include <functional>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/crypto/format_page.h"
#include "tests/testing/fakes.h"

namespace {
thread_local int64_t allocations = 0;
}  // namespace

// Counts this thread's allocations, for the promises not to make any.
void* operator new(size_t size) {
  ++allocations;
  void* p = std::malloc(size);
  if (p == nullptr) std::abort();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace vault::crypto {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::FixedRandom;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;
using vault::testing::SeededRandom;

SecretBytes<kKeySize> KeyOf(uint8_t fill) {
  SecretBytes<kKeySize> key;
  for (size_t i = 0; i < kKeySize; ++i) key.mutable_data()[i] = fill;
  return key;
}

std::string Hex(const Digest& d) { return absl::BytesToHexString(AsView(d)); }

class CryptoTest : public ::testing::Test {
 protected:
  CryptoTest() { Init(); }

  absl::StatusCode OpenCode(absl::string_view sealed, absl::string_view ad) {
    return Open(key(), sealed, ad).status().code();
  }
  AeadKey key() const { return AeadKey(key_); }

  const SecretBytes<kKeySize> key_ = KeyOf(7);
  SeededRandom random_;
};

TEST_F(CryptoTest, LengthPrefixedGivesThePagesExample) {
  FormatExamples page = LoadFormatExamples();
  EXPECT_EQ(LengthPrefixed({page["lp.part1"], page["lp.part2"], page["lp.part3"]}),
            page["lp.result"]);
  EXPECT_EQ(LengthPrefixed({}), "");
}

TEST_F(CryptoTest, LengthPrefixedTellsListsApart) {
  const std::set<std::string> all = {LengthPrefixed({}),
                                     LengthPrefixed({""}),
                                     LengthPrefixed({"", ""}),
                                     LengthPrefixed({"ab"}),
                                     LengthPrefixed({"a", "b"}),
                                     LengthPrefixed({"", "ab"}),
                                     LengthPrefixed({"ab", ""}),
                                     LengthPrefixed({"b", "a"}),
                                     LengthPrefixed({LengthPrefixed({"a", "b"})})};
  EXPECT_EQ(all.size(), 9u);
}

TEST_F(CryptoTest, MacAndSubkeyGiveThePagesExamples) {
  FormatExamples page = LoadFormatExamples();
  const MacKey key(page.Key("mac.key"));
  EXPECT_EQ(AsView(Mac(key, {page["lp.part1"], page["lp.part2"], page["lp.part3"]})),
            page["mac.result"]);
  const SecretBytes<kKeySize> subkey = DeriveSubkey(key, "example");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(subkey.Expose()), kKeySize),
            page["subkey.result"]);
}

TEST_F(CryptoTest, MacDependsOnKeyPartsAndTheirCut) {
  const SecretBytes<kKeySize> other = KeyOf(8);
  const std::set<std::string> all = {
      Hex(Mac(MacKey(key_), {"a", "b"})), Hex(Mac(MacKey(other), {"a", "b"})),
      Hex(Mac(MacKey(key_), {"ab"})),     Hex(Mac(MacKey(key_), {"ab", ""})),
      Hex(Mac(MacKey(key_), {"b", "a"})), Hex(Mac(MacKey(key_), {}))};
  EXPECT_EQ(all.size(), 6u);
}

TEST_F(CryptoTest, SealGivesThePagesExamples) {
  FormatExamples page = LoadFormatExamples();
  const AeadKey key(page.Key("seal.key"));
  FixedRandom nonces(page["seal.nonce"] + page["seal.nonce"]);
  EXPECT_EQ(Seal(key, page["seal.plaintext"], page["seal.ad"], nonces), page["seal.result"]);
  EXPECT_EQ(Seal(key, "", page["seal.ad"], nonces), page["seal.empty"]);
}

TEST_F(CryptoTest, OpenGivesBackWhatWasSealedAtEveryLength) {
  for (size_t size = 0; size <= 200; ++size) {
    const std::string plaintext = random_.Bytes(size);
    const std::string sealed = Seal(key(), plaintext, "ad", random_);
    EXPECT_EQ(sealed.size(), size + kSealOverhead);
    VAULT_ASSERT_OK_AND_ASSIGN(const SecretString opened, Open(key(), sealed, "ad"));
    EXPECT_EQ(opened.Expose(), plaintext);
  }
  const std::string large = random_.Bytes(1 << 20);
  VAULT_ASSERT_OK_AND_ASSIGN(const SecretString opened,
                             Open(key(), Seal(key(), large, "", random_), ""));
  EXPECT_TRUE(opened.Expose() == large);
}

TEST_F(CryptoTest, SealToAppends) {
  std::string out = "in front";
  SealTo(key(), "plain", "ad", random_, &out);
  EXPECT_EQ(out.substr(0, 8), "in front");
  VAULT_ASSERT_OK_AND_ASSIGN(const SecretString opened, Open(key(), out.substr(8), "ad"));
  EXPECT_EQ(opened.Expose(), "plain");
}

TEST_F(CryptoTest, SealingTwiceNeverLooksAlike) {
  EXPECT_NE(Seal(key(), "plain", "ad", random_), Seal(key(), "plain", "ad", random_));
}

TEST_F(CryptoTest, SealedBytesDoNotHoldThePlaintext) {
  const std::string plaintext = "a value long enough not to appear by chance";
  EXPECT_THAT(Seal(key(), plaintext, "ad", random_), Not(HasSubstr(plaintext.substr(0, 8))));
}

TEST_F(CryptoTest, OpenFailsWhenTruncatedAtAnyLength) {
  const std::string sealed = Seal(key(), "twenty bytes of text", "ad", random_);
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_EQ(OpenCode(sealed.substr(0, size), "ad"), size < kSealOverhead
                                                          ? absl::StatusCode::kInvalidArgument
                                                          : absl::StatusCode::kDataLoss)
        << size;
  }
}

TEST_F(CryptoTest, OpenFailsWhenExtended) {
  const std::string sealed = Seal(key(), "text", "ad", random_);
  EXPECT_EQ(OpenCode(sealed + std::string(1, '\0'), "ad"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenCode(std::string(1, '\0') + sealed, "ad"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenCode(sealed + sealed, "ad"), absl::StatusCode::kDataLoss);
}

TEST_F(CryptoTest, OpenFailsOnAnyFlippedBit) {
  for (absl::string_view plaintext : {"", "some text"}) {
    const std::string sealed = Seal(key(), plaintext, "ad", random_);
    for (size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
      std::string flipped = sealed;
      flipped[bit / 8] ^= 1 << (bit % 8);
      EXPECT_EQ(OpenCode(flipped, "ad"), absl::StatusCode::kDataLoss) << bit;
    }
  }
}

TEST_F(CryptoTest, OpenFailsUnderOtherAssociatedData) {
  const std::string sealed = Seal(key(), "text", "place", random_);
  for (absl::string_view other : {"", "Place", "plac", "places", " place"}) {
    EXPECT_EQ(OpenCode(sealed, other), absl::StatusCode::kDataLoss) << other;
  }
  EXPECT_EQ(OpenCode(Seal(key(), "text", "", random_), "place"), absl::StatusCode::kDataLoss);
}

TEST_F(CryptoTest, OpenFailsUnderAnyKeyOneBitAway) {
  const std::string sealed = Seal(key(), "text", "ad", random_);
  for (size_t bit = 0; bit < 8 * kKeySize; ++bit) {
    SecretBytes<kKeySize> other = KeyOf(7);
    other.mutable_data()[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(Open(AeadKey(other), sealed, "ad").status().code(), absl::StatusCode::kDataLoss);
  }
}

// Poly1305 alone commits to no key. The commitment alone, without the tag, would miss an edited
// ciphertext: both must hold.
TEST_F(CryptoTest, OpenFailsWithAnothersCommitmentOrAnothersTag) {
  const std::string a = Seal(key(), "text", "ad", random_);
  const std::string b = Seal(key(), "text", "ad", random_);
  const size_t tag_at = a.size() - kTagSize;
  EXPECT_EQ(OpenCode(a.substr(0, kNonceSize) + b.substr(kNonceSize, kCommitmentSize) +
                         a.substr(kNonceSize + kCommitmentSize),
                     "ad"),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenCode(a.substr(0, tag_at) + b.substr(tag_at), "ad"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenCode(b.substr(0, kNonceSize) + a.substr(kNonceSize), "ad"),
            absl::StatusCode::kDataLoss);
}

TEST_F(CryptoTest, OpenToWantsTheExactSize) {
  const std::string sealed = Seal(key(), "text", "ad", random_);
  uint8_t out[8];
  VAULT_EXPECT_OK(OpenTo(key(), sealed, "ad", out, 4));
  EXPECT_EQ(OpenTo(key(), sealed, "ad", out, 3).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenTo(key(), sealed, "ad", out, 5).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenTo(key(), "", "ad", out, 0).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CryptoTest, Sha256GivesThePublishedVectors) {
  EXPECT_EQ(Hex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256({"abc"})),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256({"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"})),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Hex(Sha256({std::string(1000000, 'a')})),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(CryptoTest, Sha256JoinsItsPartsWithoutPrefix) {
  EXPECT_EQ(Sha256({"", "a", "", "bc"}), Sha256({"abc"}));
  EXPECT_NE(Sha256({"abd"}), Sha256({"abc"}));
}

TEST_F(CryptoTest, Sha256WorksOnManyThreads) {
  const Digest expected = Sha256({"one", "two"});
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) wrong += Sha256({"one", "two"}) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(CryptoTest, XorStreamGivesThePagesExample) {
  FormatExamples page = LoadFormatExamples();
  const std::string nonce = page["storage.header"].substr(16, kNonceSize);
  std::string data = page["storage.plain"];
  XorStream(StreamKey(page.Key("storage.key")), reinterpret_cast<const uint8_t*>(nonce.data()),
            page.Number("storage.offset"), data.data(), data.size());
  EXPECT_EQ(data, page["storage.content"]);
}

TEST_F(CryptoTest, XorStreamIsTheSameStreamFromEveryOffset) {
  const std::string nonce = random_.Bytes(kNonceSize);
  const uint8_t* const n = reinterpret_cast<const uint8_t*>(nonce.data());
  std::string whole(400, '\0');
  XorStream(StreamKey(key_), n, 0, whole.data(), whole.size());
  for (size_t offset = 0; offset <= 200; ++offset) {
    for (size_t size : {0, 1, 2, 63, 64, 65, 127, 128, 129, 200}) {
      std::string part(size, '\0');
      XorStream(StreamKey(key_), n, offset, part.data(), part.size());
      ASSERT_EQ(part, whole.substr(offset, size)) << offset << " " << size;
    }
  }
}

TEST_F(CryptoTest, XorStreamGoesOnBehindFourGigablocks) {
  const std::string nonce = random_.Bytes(kNonceSize);
  const uint8_t* const n = reinterpret_cast<const uint8_t*>(nonce.data());
  const uint64_t wrap = uint64_t{64} << 32;
  std::string across(128, '\0');
  XorStream(StreamKey(key_), n, wrap - 64, across.data(), across.size());
  std::string behind(64, '\0');
  XorStream(StreamKey(key_), n, wrap, behind.data(), behind.size());
  std::string start(64, '\0');
  XorStream(StreamKey(key_), n, 0, start.data(), start.size());
  EXPECT_EQ(across.substr(64), behind);
  EXPECT_NE(behind, start);
}

TEST_F(CryptoTest, XorStreamDependsOnKeyAndNonce) {
  const SecretBytes<kKeySize> other_key = KeyOf(8);
  std::string a(64, '\0'), b(64, '\0'), c(64, '\0');
  const std::string n1(kNonceSize, '\1'), n2(kNonceSize, '\2');
  XorStream(StreamKey(key_), reinterpret_cast<const uint8_t*>(n1.data()), 0, a.data(), 64);
  XorStream(StreamKey(key_), reinterpret_cast<const uint8_t*>(n2.data()), 0, b.data(), 64);
  XorStream(StreamKey(other_key), reinterpret_cast<const uint8_t*>(n1.data()), 0, c.data(), 64);
  EXPECT_NE(a, b);
  EXPECT_NE(a, c);
}

TEST_F(CryptoTest, HotPathsAllocateNothingBeyondTheirOutput) {
  std::string sealed = Seal(key(), std::string(100, 'x'), "ad", random_);
  const std::string other_nonce(kNonceSize, 'n');
  char data[200] = {};
  uint8_t out[100];
  Sha256({"the first on a thread makes its context"});

  const int64_t before = allocations;
  VAULT_CHECK(OpenTo(key(), sealed, "ad", out, sizeof(out)).ok());
  Mac(MacKey(key_), {"a", "b"});
  DeriveSubkey(MacKey(key_), "purpose");
  Sha256({"a", "b"});
  XorStream(StreamKey(key_), reinterpret_cast<const uint8_t*>(other_nonce.data()), 33, data, 200);
  EXPECT_EQ(allocations, before);
  VAULT_CHECK(Open(key(), sealed, "ad").ok());
  EXPECT_EQ(allocations, before + 1);
  sealed = Seal(key(), "a text too long for a string's inner buffer", "ad", random_);
  EXPECT_EQ(allocations, before + 2);
}

// Runs `body` on a thread whose stack is this test's, and gives what it has left there.
std::string StackAfter(const std::function<void()>& body) {
  constexpr size_t kSize = 1 << 20;
  void* const stack =
      mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  VAULT_CHECK(stack != MAP_FAILED);
  pthread_attr_t attributes;
  VAULT_CHECK(pthread_attr_init(&attributes) == 0);
  VAULT_CHECK(pthread_attr_setstack(&attributes, stack, kSize) == 0);
  pthread_t thread;
  VAULT_CHECK(pthread_create(
                  &thread, &attributes,
                  [](void* of) -> void* {
                    (*static_cast<const std::function<void()>*>(of))();
                    return nullptr;
                  },
                  const_cast<std::function<void()>*>(&body)) == 0);
  VAULT_CHECK(pthread_join(thread, nullptr) == 0);
  std::string left(static_cast<const char*>(stack), kSize);
  munmap(stack, kSize);
  return left;
}

// What opens a file, or a message, without its key: it is drawn anew each time, and is on no stack
// afterwards, whole or in halves.
TEST_F(CryptoTest, NoSubkeyOfAStreamOrAMessageIsLeftOnTheStack) {
  const auto subkey_of = [](const uint8_t* key, const std::string& nonce) {
    std::string subkey(kKeySize, '\0');
    crypto_core_hchacha20(reinterpret_cast<uint8_t*>(subkey.data()),
                          reinterpret_cast<const uint8_t*>(nonce.data()), key, nullptr);
    return subkey;
  };
  const auto expect_gone = [](const std::string& left, const std::string& subkey) {
    for (const size_t at : {size_t{0}, kKeySize / 2}) {
      EXPECT_THAT(left, Not(HasSubstr(subkey.substr(at, kKeySize / 2))));
    }
  };
  const std::string nonce = "a nonce of its own: 24 b";
  ASSERT_EQ(nonce.size(), kNonceSize);
  const std::string stream_key = subkey_of(key_.Expose(), nonce);
  std::string data(5000, 'x');
  for (const uint64_t offset : {0, 7, 64, 4095}) {
    for (const size_t size : {size_t{1}, size_t{64}, size_t{300}, data.size()}) {
      expect_gone(StackAfter([&] {
                    XorStream(StreamKey(key_), reinterpret_cast<const uint8_t*>(nonce.data()),
                              offset, data.data(), size);
                  }),
                  stream_key);
    }
  }
  std::string sealed;
  for (const size_t size : {0, 1, 64, 5000}) {
    const std::string sealing =
        StackAfter([&] { sealed = Seal(key(), std::string(size, 'x'), "ad", random_); });
    const std::string opening = StackAfter([&] { VAULT_CHECK(Open(key(), sealed, "ad").ok()); });
    // The message's key as vault/keys/FORMAT.md has it, and the cipher's own of that.
    uint8_t message_key[64];
    crypto_generichash_state state;
    crypto_generichash_init(&state, key_.Expose(), kKeySize, sizeof message_key);
    crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(sealed.data()), kNonceSize);
    crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>("ad"), 2);
    crypto_generichash_final(&state, message_key, sizeof message_key);
    for (const std::string& left : {sealing, opening}) {
      expect_gone(left, std::string(reinterpret_cast<const char*>(message_key), kKeySize));
      expect_gone(left, subkey_of(message_key, sealed.substr(0, kNonceSize)));
    }
  }
}

}  // namespace
}  // namespace vault::crypto
