// How many connections, calls without an answer and idle frames one place, certificate and all
// together may have; addresses to listen on.
#include <arpa/inet.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"
#include "vault/rpc/acceptor.h"
#include "vault/rpc/connection_guard.h"
#include "vault/rpc/connection_ledger.h"

namespace vault::rpc {
namespace {

using Verdict = ConnectionLedger::Verdict;
constexpr absl::Duration kStart = absl::Hours(5);

TEST(ConnectionLedgerTest, OnePlaceHoldsHalfAtMost) {
  ConnectionLedger ledger(100);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(ledger.Open("a", kStart), Verdict::kTaken);
  EXPECT_EQ(ledger.Open("a", kStart), Verdict::kPlaceFull);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(ledger.Open("b", kStart), Verdict::kTaken);
  EXPECT_EQ(ledger.Open("c", kStart), Verdict::kFull);
  ledger.Close("a");
  EXPECT_EQ(ledger.Open("c", kStart), Verdict::kTaken);
  EXPECT_EQ(ledger.open(), 100);
}

TEST(ConnectionLedgerTest, OnePlaceMakesSoManyInASecond) {
  ConnectionLedger ledger(1000);
  absl::Duration now = kStart;
  for (int i = 0; i < ConnectionLedger::kBurst; ++i) {
    EXPECT_EQ(ledger.Open("a", now), Verdict::kTaken);
    ledger.Close("a");
  }
  EXPECT_EQ(ledger.Open("a", now), Verdict::kPlaceTooFast);
  EXPECT_EQ(ledger.Open("b", now), Verdict::kTaken);
  now += absl::Seconds(1);
  for (int i = 0; i < ConnectionLedger::kPerSecond; ++i) {
    EXPECT_EQ(ledger.Open("a", now), Verdict::kTaken);
    ledger.Close("a");
  }
  EXPECT_EQ(ledger.Open("a", now), Verdict::kPlaceTooFast);
  // Trying on costs nothing more.
  for (int i = 0; i < 10000; ++i) ledger.Open("a", now);
  EXPECT_EQ(ledger.Open("a", now + absl::Seconds(1)), Verdict::kTaken);
}

TEST(ConnectionLedgerTest, PlacesWithoutEndAreForgotten) {
  ConnectionLedger ledger(1 << 20);
  ASSERT_EQ(ledger.Open("held", kStart), Verdict::kTaken);
  for (int i = 0; i < 100000; ++i) {
    const std::string place = absl::StrCat(i);
    ASSERT_EQ(ledger.Open(place, kStart), Verdict::kTaken);
    ledger.Close(place);
  }
  EXPECT_EQ(ledger.open(), 1);
  ledger.Close("held");
  EXPECT_EQ(ledger.open(), 0);
}

Peer PeerAt(const std::string& text) {
  sockaddr_storage address{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    address.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    address.ss_family = AF_INET6;
  }
  return PeerOf(address);
}

TEST(PeerOfTest, OneMachineIsOnePlace) {
  EXPECT_EQ(PeerAt("192.0.2.7").text, "192.0.2.7");
  EXPECT_NE(PeerAt("192.0.2.7").place, PeerAt("192.0.2.8").place);
  EXPECT_EQ(PeerAt("2001:db8::7").text, "2001:db8::7");
  EXPECT_EQ(PeerAt("2001:db8::7").place, PeerAt("2001:db8::ffff:1").place);
  EXPECT_NE(PeerAt("2001:db8::7").place, PeerAt("2001:db8:0:1::7").place);
  EXPECT_EQ(PeerAt("::ffff:192.0.2.7").place, PeerAt("192.0.2.7").place);
}

// --- debts ---------------------------------------------------------------------------------------

constexpr DebtLimits kLimits{100, 10, 50, 5};

bool Within(Debt* debt, const ClientTally& tally, absl::Duration now) {
  return debt->Charge(tally, now) <= 1;
}

TEST(DebtTest, CallsThatAreAnsweredOweNothing) {
  Debt debt(kLimits);
  for (int i = 0; i < 100000; ++i) {
    ASSERT_TRUE(Within(&debt, {/*opened=*/1, /*idle=*/2}, kStart));
    debt.Pay({/*answered=*/1, /*sent=*/3});
  }
  EXPECT_TRUE(debt.Free(kStart));
}

TEST(DebtTest, CallsThatAreGivenUpAreOwed) {
  Debt debt(kLimits);
  EXPECT_TRUE(Within(&debt, {100, 0}, kStart));
  EXPECT_FALSE(Within(&debt, {1, 0}, kStart));
  // What was refused is not owed, however much it was.
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(Within(&debt, {100, 0}, kStart));
  // Time forgives, no more than was owed.
  EXPECT_TRUE(Within(&debt, {10, 0}, kStart + absl::Seconds(1)));
  EXPECT_FALSE(Within(&debt, {1, 0}, kStart + absl::Seconds(1)));
  EXPECT_TRUE(Within(&debt, {100, 0}, kStart + absl::Hours(1)));
  EXPECT_FALSE(Within(&debt, {1, 0}, kStart + absl::Hours(1)));
}

TEST(DebtTest, IdleFramesAreOwed) {
  Debt debt(kLimits);
  EXPECT_TRUE(Within(&debt, {0, 50}, kStart));
  EXPECT_FALSE(Within(&debt, {0, 1}, kStart));
  debt.Pay({/*answered=*/0, /*sent=*/1});
  EXPECT_TRUE(Within(&debt, {0, 3}, kStart));
  EXPECT_FALSE(Within(&debt, {0, 1}, kStart));
}

TEST(DebtTest, AnswersInAdvanceAreNoCredit) {
  Debt debt(kLimits);
  debt.Pay({1000, 1000});
  EXPECT_TRUE(Within(&debt, {100, 50}, kStart));
  EXPECT_FALSE(Within(&debt, {1, 0}, kStart));
}

// --- where to listen -----------------------------------------------------------------------------

TEST(ListenAddressTest, IsHostAndPort) {
  for (const auto& [text, host, port] :
       {std::make_tuple("127.0.0.1:0", "127.0.0.1", 0),
        std::make_tuple("0.0.0.0:7443", "0.0.0.0", 7443),
        std::make_tuple("localhost:65535", "localhost", 65535),
        std::make_tuple("[::]:443", "::", 443), std::make_tuple("[::1]:1", "::1", 1)}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const ListenAddress address, ParseListenAddress(text));
    EXPECT_EQ(address.host, host);
    EXPECT_EQ(address.port, port);
    EXPECT_FALSE(address.inherited);
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const ListenAddress inherited, ParseListenAddress("inherited"));
  EXPECT_TRUE(inherited.inherited);
}

TEST(ListenAddressTest, OutOfRangeIsRefused) {
  for (const char* text :
       {"", ":", "127.0.0.1", "127.0.0.1:", ":7443", "127.0.0.1:65536", "127.0.0.1:99999",
        "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:0x1", "127.0.0.1:123456",
        "127.0.0.1:7443x", "::1:443", "[]:443", "[::1]", "[::1]443", "Inherited", "unix:/tmp/x"}) {
    EXPECT_EQ(ParseListenAddress(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace vault::rpc
