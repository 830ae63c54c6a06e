// The way to the witnesses, with real vault-witness processes and with servers that misbehave.
#include "vault/publish/witness_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/testing/fakes.h"
#include "tests/testing/witness_process.h"
#include "vault/base/mutex.h"
#include "vault/tlog/checkpoint.h"

namespace vault::publish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HttpAnswer;
using testing::HttpPost;
using ::testing::IsEmpty;
using testing::RawServer;
using testing::TestLog;
using testing::WaitUntil;
using testing::WitnessProcess;

const LogId kTown = LogId::Of(*TenantId::Parse("131164"));

class FakeSource : public CheckpointSource {
 public:
  explicit FakeSource(std::vector<LogId> logs = {kTown}) : ids_(std::move(logs)) {
    for (const LogId& id : ids_) {
      logs_.emplace(id, std::make_unique<TestLog>(absl::StrCat("pii.example/audit/", id.str())));
    }
  }

  std::vector<LogId> logs() override { return ids_; }
  absl::StatusOr<std::string> Latest(const LogId& log) override {
    MutexLock lock(&mu_);
    if (sizes_.count(log) == 0) return absl::NotFoundError("nothing signed");
    return logs_.at(log)->Note(sizes_[log]);
  }
  absl::StatusOr<std::vector<crypto::Digest>> Consistency(const LogId& log, uint64_t old_size,
                                                          uint64_t new_size) override {
    return logs_.at(log)->Proof(old_size, new_size);
  }
  absl::Status Keep(const LogId& log, const tlog::VerifierKey& witness,
                    std::string cosigned_note) override {
    MutexLock lock(&mu_);
    if (refuse_to_keep_) return absl::UnavailableError("no room");
    kept_[{log, witness.name}].push_back(std::move(cosigned_note));
    return absl::OkStatus();
  }

  void Sign(const LogId& log, uint64_t size) {
    MutexLock lock(&mu_);
    sizes_[log] = size;
  }
  void RefuseToKeep(bool refuse) {
    MutexLock lock(&mu_);
    refuse_to_keep_ = refuse;
  }
  const TestLog& log(const LogId& id) const { return *logs_.at(id); }
  std::vector<tlog::VerifierKey> keys() const {
    std::vector<tlog::VerifierKey> keys;
    for (const LogId& id : ids_) keys.push_back(log(id).key);
    return keys;
  }
  std::vector<std::string> Kept(const LogId& log, const std::string& witness) {
    MutexLock lock(&mu_);
    return kept_[{log, witness}];
  }

 private:
  const std::vector<LogId> ids_;
  std::map<LogId, std::unique_ptr<TestLog>> logs_;
  Mutex mu_;
  std::map<LogId, uint64_t> sizes_ VAULT_GUARDED_BY(mu_);
  std::map<std::pair<LogId, std::string>, std::vector<std::string>> kept_ VAULT_GUARDED_BY(mu_);
  bool refuse_to_keep_ VAULT_GUARDED_BY(mu_) = false;
};

WitnessConfig ConfigOf(const WitnessProcess& witness) {
  return {witness.url(), witness.key(), absl::Seconds(5)};
}

WitnessState StateOf(const WitnessFeed& feed, const std::string& name, const LogId& log = kTown) {
  for (const WitnessState& state : feed.Status(log)) {
    if (state.name == name) return state;
  }
  ADD_FAILURE() << "no witness " << name;
  return {};
}

bool Cosigned(const WitnessFeed& feed, const std::string& name, uint64_t size,
              const LogId& log = kTown) {
  return WaitUntil([&] { return StateOf(feed, name, log).size == size; });
}

// The line of a witness with this key that has no memory and asks for no proof.
std::string LineFor(const tlog::VerifierKey& key, uint8_t seed, const std::string& request,
                    absl::Duration clock_ahead = absl::ZeroDuration()) {
  const SecretBytes<32> secret = testing::SeedOf(seed);
  const auto parsed = tlog::ParseAddCheckpoint(request);
  return tlog::Cosign(tlog::ParseNote(parsed.value().checkpoint)->text,
                      absl::ToUnixSeconds(absl::Now() + clock_ahead), key,
                      crypto::SigningSeed(secret));
}

std::string CosignAnything(const tlog::VerifierKey& key, uint8_t seed, const std::string& body) {
  return HttpAnswer(200, LineFor(key, seed, body));
}

// What makes, behind the submitted text and its empty line, a note of a longer text that this key
// signed.
std::string Extended(const tlog::VerifierKey& key, uint8_t seed, const std::string& request,
                     const std::string& more) {
  const SecretBytes<32> secret = testing::SeedOf(seed);
  const auto parsed = tlog::ParseAddCheckpoint(request);
  const std::string text =
      absl::StrCat(tlog::ParseNote(parsed.value().checkpoint)->text, "\n", more);
  return absl::StrCat(
      more, "\n",
      tlog::Cosign(text, absl::ToUnixSeconds(absl::Now()), key, crypto::SigningSeed(secret)));
}

// With a bit of the signature turned over.
std::string Spoil(const std::string& line) {
  const size_t begin = line.rfind(' ') + 1;
  std::string bytes = *tlog::Unbase64(line.substr(begin, line.size() - begin - 1));
  bytes[40] ^= 1;
  return absl::StrCat(line.substr(0, begin), tlog::Base64(bytes), "\n");
}

class WitnessFeedTest : public ::testing::Test {
 protected:
  void SetUp() override { crypto::Init(); }
};

TEST_F(WitnessFeedTest, TwoWitnessesCosignEveryLog) {
  FakeSource source({kTown, LogId::Service()});
  WitnessProcess a("a.example/witness", source.keys()), b("b.example/witness", source.keys());
  ASSERT_TRUE(a.Start());
  ASSERT_TRUE(b.Start());
  source.Sign(kTown, 5);
  WitnessFeed feed({ConfigOf(a), ConfigOf(b)}, &source, &RealClock());
  ASSERT_TRUE(Cosigned(feed, a.key().name, 5));
  ASSERT_TRUE(Cosigned(feed, b.key().name, 5));
  EXPECT_FALSE(StateOf(feed, a.key().name, LogId::Service()).size.has_value());
  source.Sign(kTown, 12);
  source.Sign(LogId::Service(), 3);
  feed.Wake();
  for (const WitnessProcess* witness : {&a, &b}) {
    ASSERT_TRUE(Cosigned(feed, witness->key().name, 12));
    ASSERT_TRUE(Cosigned(feed, witness->key().name, 3, LogId::Service()));
    const WitnessState state = StateOf(feed, witness->key().name);
    EXPECT_EQ(state.problem, "");
    EXPECT_EQ(state.behind, 0);
    EXPECT_FALSE(state.behind_since.has_value());
    EXPECT_LT(absl::AbsDuration(absl::Now() - state.time), absl::Minutes(1));
    const std::vector<std::string> kept = source.Kept(kTown, witness->key().name);
    ASSERT_EQ(kept.size(), 2);
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::SignedCheckpoint last,
                               tlog::ParseSignedCheckpoint(kept.back()));
    EXPECT_EQ(last.checkpoint.size, 12);
    EXPECT_TRUE(tlog::VerifyNote(last.note, source.log(kTown).key).ok());
    EXPECT_TRUE(tlog::VerifyCosignature(last.note, witness->key()).ok());
  }
}

TEST_F(WitnessFeedTest, LearnsAtItsStartWhatTheWitnessHolds) {
  FakeSource source;
  WitnessProcess witness("a.example/witness", source.keys());
  ASSERT_TRUE(witness.Start());
  ASSERT_EQ(HttpPost(witness.address(), "/add-checkpoint", source.log(kTown).Request(0, 7)).status,
            200);
  source.Sign(kTown, 7);
  {
    WitnessFeed feed({ConfigOf(witness)}, &source, &RealClock());
    ASSERT_TRUE(Cosigned(feed, witness.key().name, 7));
  }
  source.Sign(kTown, 20);
  WitnessFeed feed({ConfigOf(witness)}, &source, &RealClock());
  ASSERT_TRUE(Cosigned(feed, witness.key().name, 20));
  EXPECT_EQ(StateOf(feed, witness.key().name).problem, "");
}

TEST_F(WitnessFeedTest, AWitnessThatIsDownHoldsUpNobodyAndIsServedWhenItIsBack) {
  FakeSource source;
  WitnessProcess up("up.example/witness", source.keys()), down("down.example/w", source.keys());
  ASSERT_TRUE(up.Start());
  ASSERT_TRUE(down.Start());
  down.Kill();
  source.Sign(kTown, 5);
  WitnessFeed feed({ConfigOf(down), ConfigOf(up)}, &source, &RealClock());
  ASSERT_TRUE(Cosigned(feed, up.key().name, 5));
  ASSERT_TRUE(WaitUntil([&] { return !StateOf(feed, down.key().name).problem.empty(); }));
  const WitnessState state = StateOf(feed, down.key().name);
  EXPECT_THAT(state.problem, HasSubstr("cannot be reached"));
  EXPECT_EQ(state.behind, 5);
  ASSERT_TRUE(state.behind_since.has_value());
  EXPECT_LE(*state.behind_since, absl::Now());
  source.Sign(kTown, 6);
  feed.Wake();
  ASSERT_TRUE(Cosigned(feed, up.key().name, 6));
  ASSERT_TRUE(down.Start());
  ASSERT_TRUE(Cosigned(feed, down.key().name, 6));
  EXPECT_EQ(StateOf(feed, down.key().name).problem, "");
}

TEST_F(WitnessFeedTest, ASlowWitnessCostsNobodyTime) {
  FakeSource source;
  RawServer slow([](const std::string&) { return std::string(); });
  WitnessProcess good("good.example/witness", source.keys());
  ASSERT_TRUE(good.Start());
  WitnessConfig hanging{slow.url(), testing::WitnessKey("slow.example/w", 9), absl::Seconds(60)};
  WitnessConfig impatient{slow.url(), testing::WitnessKey("impatient.example/w", 9),
                          absl::Milliseconds(300)};
  source.Sign(kTown, 1);
  absl::Time began = absl::Now();
  {
    WitnessFeed feed({hanging, impatient, ConfigOf(good)}, &source, &RealClock());
    ASSERT_TRUE(WaitUntil([&] { return slow.requests() >= 2; }));
    // What a request's path would do meanwhile.
    const absl::Time calls_began = absl::Now();
    for (int i = 0; i < 1000; ++i) feed.Wake();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(feed.Status(kTown).size(), 3);
    EXPECT_LT(absl::Now() - calls_began, absl::Seconds(2));
    for (uint64_t size = 2; size <= 4; ++size) {
      source.Sign(kTown, size);
      feed.Wake();
      ASSERT_TRUE(Cosigned(feed, good.key().name, size));
    }
    EXPECT_EQ(StateOf(feed, "slow.example/w").behind, 4);
    EXPECT_TRUE(WaitUntil([&] {
      return absl::StartsWith(StateOf(feed, "slow.example/w").problem, "has not answered for ");
    }));
    EXPECT_THAT(StateOf(feed, "impatient.example/w").problem,
                HasSubstr("did not answer within 300ms"));
    began = absl::Now();
  }
  EXPECT_LT(absl::Now() - began, absl::Seconds(4)) << "to stop, with a request under way";
}

TEST_F(WitnessFeedTest, KeepsNothingFromAWitnessThatLiesOrBreaksTheProtocol) {
  FakeSource source;
  source.Sign(kTown, 10);
  const tlog::VerifierKey stranger = testing::WitnessKey("stranger.example/w", 33);
  RawServer elsewhere([](const std::string&) { return HttpAnswer(200, ""); });
  struct Case {
    std::string name;
    // What it answers; `key` is the one that the feed trusts, of seed 9.
    std::function<std::string(const tlog::VerifierKey& key, const std::string& body)> behave;
    std::string problem;
  };
  const auto fixed = [](const std::string& answer) {
    return [answer](const tlog::VerifierKey&, const std::string&) { return answer; };
  };
  const std::vector<Case> cases = {
      {"another-key",
       [&](const auto&, const std::string& body) { return CosignAnything(stranger, 33, body); },
       "without a cosignature of its key"},
      {"bad-signature",
       [](const tlog::VerifierKey& key, const std::string& body) {
         return HttpAnswer(200, Spoil(LineFor(key, 9, body)));
       },
       "does not hold"},
      {"another-checkpoint",
       [&](const tlog::VerifierKey& key, const std::string&) {
         return CosignAnything(key, 9, source.log(kTown).Request(0, 9));
       },
       "does not hold"},
      {"a-plain-signature",
       [&](const tlog::VerifierKey& key, const std::string&) {
         const SecretBytes<32> seed = testing::SeedOf(9);
         return HttpAnswer(200,
                           tlog::SignNote(tlog::ParseNote(source.log(kTown).Note(10))->text,
                                          testing::LogKey(key.name, 9), crypto::SigningSeed(seed)));
       },
       "without a cosignature of its key"},
      // Signed: this checkpoint's text with an extension line, or with nothing but an empty one.
      {"an-extended-text",
       [](const tlog::VerifierKey& key, const std::string& body) {
         return HttpAnswer(200, Extended(key, 9, body, "more\n"));
       },
       "no signature"},
      {"an-empty-line",
       [](const tlog::VerifierKey& key, const std::string& body) {
         return HttpAnswer(200, Extended(key, 9, body, ""));
       },
       "no signature"},
      {"a-clock-ahead",
       [](const tlog::VerifierKey& key, const std::string& body) {
         return HttpAnswer(200, LineFor(key, 9, body, absl::Minutes(7)));
       },
       "more than 5m ahead of the clock"},
      {"a-clock-far-ahead",
       [](const tlog::VerifierKey& key, const std::string& body) {
         return HttpAnswer(200, LineFor(key, 9, body, absl::Hours(24) * 365 * 200));
       },
       "more than 5m ahead of the clock"},
      {"empty", fixed(HttpAnswer(200, "")), "no signature"},
      {"garbage", fixed(HttpAnswer(200, std::string("\0\xff\n\n— x", 8))), "no signature"},
      {"a-page", fixed(HttpAnswer(200, "<html>welcome</html>\n")), "no signature"},
      {"huge", fixed(HttpAnswer(200, std::string(3 << 20, 'x'))), "more than 64 KiB"},
      {"huge-headers",
       fixed(HttpAnswer(200, "",
                        [] {
                          std::string headers;
                          for (int i = 0; i < 2000; ++i) {
                            absl::StrAppend(&headers, "X-", i, ": ", std::string(100, 'x'), "\r\n");
                          }
                          return headers;
                        }())),
       "more than 64 KiB"},
      {"no-http", fixed("hello\r\n\r\n"), "no good answer"},
      {"cut-off", fixed("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nx"), "no good answer"},
      {"conflict-words", fixed(HttpAnswer(409, "ten\n")), "names no size"},
      {"conflict-empty", fixed(HttpAnswer(409, "")), "names no size"},
      {"conflict-negative", fixed(HttpAnswer(409, "-1\n")), "names no size"},
      {"conflict-zeros", fixed(HttpAnswer(409, "007\n")), "names no size"},
      {"conflict-blank", fixed(HttpAnswer(409, " 7\n")), "names no size"},
      {"conflict-overflow", fixed(HttpAnswer(409, "18446744073709551616\n")), "names no size"},
      {"conflict-zero", fixed(HttpAnswer(409, "0\n")), "HTTP 409 to the size that it holds"},
      {"ahead", fixed(HttpAnswer(409, "500\n")), "ahead: holds 500, we have 10"},
      {"far-ahead", fixed(HttpAnswer(409, "18446744073709551615\n")), "ahead: holds 1844674"},
      {"forked", fixed(HttpAnswer(409, "10\n")), "holds another tree of 10 entries"},
      {"fickle",
       [n = std::make_shared<std::atomic<int>>(0)](const auto&, const std::string&) {
         return HttpAnswer(409, absl::StrCat(1 + ++*n % 8, "\n"));
       },
       "another size each time"},
      {"malformed", fixed(HttpAnswer(400, "")), "HTTP 400"},
      {"untrusted", fixed(HttpAnswer(403, "")), "HTTP 403"},
      {"unknown", fixed(HttpAnswer(404, "")), "HTTP 404"},
      {"no-proof", fixed(HttpAnswer(422, "")), "HTTP 422"},
      {"broken", fixed(HttpAnswer(500, "")), "HTTP 500"},
      {"redirects", fixed(HttpAnswer(302, "", "Location: " + elsewhere.url() + "/\r\n")),
       "HTTP 302"},
      {"to-a-file", fixed(HttpAnswer(301, "", "Location: file:///etc/hostname\r\n")), "HTTP 301"},
  };
  std::vector<std::unique_ptr<RawServer>> servers;
  std::vector<WitnessConfig> configs;
  for (const Case& c : cases) {
    const tlog::VerifierKey key = testing::WitnessKey(c.name, 9);
    servers.push_back(std::make_unique<RawServer>(
        [&c, key](const std::string& body) { return c.behave(key, body); }));
    configs.push_back({servers.back()->url(), key, absl::Seconds(5)});
  }
  // And one that does as it should, by the same means.
  const tlog::VerifierKey honest = testing::WitnessKey("honest", 9);
  servers.push_back(std::make_unique<RawServer>(
      [honest](const std::string& body) { return CosignAnything(honest, 9, body); }));
  configs.push_back({servers.back()->url(), honest, absl::Seconds(5)});
  // Clocks differ.
  const tlog::VerifierKey early = testing::WitnessKey("early", 9);
  servers.push_back(std::make_unique<RawServer>([early](const std::string& body) {
    return HttpAnswer(200, LineFor(early, 9, body, absl::Minutes(3)));
  }));
  configs.push_back({servers.back()->url(), early, absl::Seconds(5)});
  WitnessFeed feed(configs, &source, &RealClock());
  ASSERT_TRUE(Cosigned(feed, "early", 10));
  ASSERT_TRUE(Cosigned(feed, "honest", 10));
  for (const Case& c : cases) {
    EXPECT_TRUE(WaitUntil([&] {
      return absl::StrContains(StateOf(feed, c.name).problem, c.problem);
    })) << c.name
        << ": " << StateOf(feed, c.name).problem;
    EXPECT_EQ(StateOf(feed, c.name).behind, 10) << c.name;
    EXPECT_TRUE(source.Kept(kTown, c.name).empty()) << c.name;
  }
  EXPECT_EQ(elsewhere.requests(), 0);
}

TEST_F(WitnessFeedTest, WarnsOnceOfAWitnessThatIsBehindForLongAndOnceWhenItIsWellAgain) {
  FakeSource source;
  source.Sign(kTown, 10);
  const tlog::VerifierKey key = testing::WitnessKey("ill.example/w", 9);
  std::atomic<bool> ill{true};
  RawServer server([&](const std::string& body) {
    return ill ? HttpAnswer(404, "") : CosignAnything(key, 9, body);
  });
  const tlog::VerifierKey other = testing::WitnessKey("well.example/w", 9);
  RawServer well([&](const std::string& body) { return CosignAnything(other, 9, body); });
  WitnessFeed feed({{well.url(), other}, {server.url(), key}}, &source, &RealClock());
  EXPECT_THAT(feed.Alarms(absl::Minutes(1)), IsEmpty());
  ASSERT_TRUE(Cosigned(feed, other.name, 10));
  ASSERT_TRUE(WaitUntil([&] { return !StateOf(feed, key.name).problem.empty(); }));
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_THAT(feed.Alarms(absl::Minutes(1)), IsEmpty());
  EXPECT_THAT(feed.Alarms(absl::Milliseconds(50)),
              ElementsAre("witness ill.example/w: behind for more than 50ms, the longest with log "
                          "131164: does not know this log (HTTP 404)"));
  EXPECT_THAT(feed.Alarms(absl::Milliseconds(50)), IsEmpty());
  // Still behind, with more.
  source.Sign(kTown, 11);
  feed.Wake();
  ASSERT_TRUE(Cosigned(feed, other.name, 11));
  EXPECT_THAT(feed.Alarms(absl::Milliseconds(50)), IsEmpty());
  ill = false;
  ASSERT_TRUE(Cosigned(feed, key.name, 11));
  EXPECT_THAT(feed.Alarms(absl::Milliseconds(50)),
              ElementsAre("witness ill.example/w: well again"));
  EXPECT_THAT(feed.Alarms(absl::Milliseconds(50)), IsEmpty());
}

TEST_F(WitnessFeedTest, SaysWhenAWitnessWentBack) {
  FakeSource source;
  source.Sign(kTown, 10);
  const tlog::VerifierKey key = testing::WitnessKey("forgetful.example/w", 9);
  std::atomic<bool> forgot{false};
  RawServer server([&](const std::string& body) {
    return forgot ? HttpAnswer(409, "3\n") : CosignAnything(key, 9, body);
  });
  WitnessFeed feed({{server.url(), key, absl::Seconds(5)}}, &source, &RealClock());
  ASSERT_TRUE(Cosigned(feed, key.name, 10));
  forgot = true;
  source.Sign(kTown, 11);
  feed.Wake();
  ASSERT_TRUE(WaitUntil([&] {
    return absl::StrContains(StateOf(feed, key.name).problem, "went back: cosigned 10");
  })) << StateOf(feed, key.name).problem;
  EXPECT_EQ(StateOf(feed, key.name).size, 10);
}

TEST_F(WitnessFeedTest, ForkedLogGetsNoCosignature) {
  FakeSource source;
  WitnessProcess witness("a.example/witness", source.keys());
  ASSERT_TRUE(witness.Start());
  const TestLog forked(source.log(kTown).key.name, 1, 2);
  ASSERT_EQ(HttpPost(witness.address(), "/add-checkpoint", forked.Request(0, 7)).status, 200);
  source.Sign(kTown, 9);
  WitnessFeed feed({ConfigOf(witness)}, &source, &RealClock());
  EXPECT_TRUE(WaitUntil([&] {
    return absl::StrContains(StateOf(feed, witness.key().name).problem,
                             "its tree of 7 entries does not lead to this one");
  })) << StateOf(feed, witness.key().name).problem;
  EXPECT_TRUE(source.Kept(kTown, witness.key().name).empty());
}

TEST_F(WitnessFeedTest, SubmitsALogAtMostOnceASecond) {
  FakeSource source;
  const tlog::VerifierKey key = testing::WitnessKey("a.example/w", 9);
  RawServer server([&](const std::string& body) { return CosignAnything(key, 9, body); });
  source.Sign(kTown, 1);
  WitnessFeed feed({{server.url(), key, absl::Seconds(5)}}, &source, &RealClock());
  const absl::Time began = absl::Now();
  for (uint64_t size = 2; absl::Now() - began < absl::Milliseconds(2500); ++size) {
    source.Sign(kTown, size);
    feed.Wake();
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_GE(server.requests(), 2);
  EXPECT_LE(server.requests(), 4);
}

TEST_F(WitnessFeedTest, WhatCouldNotBeKeptIsFetchedAgain) {
  FakeSource source;
  WitnessProcess witness("a.example/witness", source.keys());
  ASSERT_TRUE(witness.Start());
  source.Sign(kTown, 5);
  source.RefuseToKeep(true);
  WitnessFeed feed({ConfigOf(witness)}, &source, &RealClock());
  ASSERT_TRUE(WaitUntil([&] {
    return absl::StrContains(StateOf(feed, witness.key().name).problem, "could not be kept");
  }));
  EXPECT_FALSE(StateOf(feed, witness.key().name).size.has_value());
  source.RefuseToKeep(false);
  EXPECT_TRUE(Cosigned(feed, witness.key().name, 5));
}

TEST_F(WitnessFeedTest, TakesOnlyConfigurationsThatCanWork) {
  const tlog::VerifierKey key = testing::WitnessKey("a.example/w", 9);
  EXPECT_TRUE(CheckWitnessConfig({"https://a.example/witness/", key}).ok());
  for (const std::string& url :
       {"", "a.example", "file:///etc/hostname", "ftp://a.example/", "https://", "https:///witness",
        "https://a.example/?log=1", "https://a.example/#1"}) {
    EXPECT_FALSE(CheckWitnessConfig({url, key}).ok()) << url;
  }
  EXPECT_FALSE(CheckWitnessConfig({"https://a.example", testing::LogKey("a", 9)}).ok());
  EXPECT_FALSE(CheckWitnessConfig({"https://a.example", key, absl::ZeroDuration()}).ok());
  EXPECT_FALSE(CheckWitnessConfig({"https://a.example", key, absl::InfiniteDuration()}).ok());
}

}  // namespace
}  // namespace vault::publish
