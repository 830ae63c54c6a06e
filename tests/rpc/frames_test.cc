// Frames counted and bounded: what a caller opens, what carries nothing, headers without an end.
#include "vault/rpc/frames.h"

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/fakes.h"

namespace vault::rpc {
namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kContinuation = 9;
constexpr uint8_t kEndStream = 0x1, kEndHeaders = 0x4;

// A frame's head; its payload is `size` bytes of `fill`.
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, size_t size, char fill = 'x') {
  std::string out;
  for (const int shift : {16, 8, 0}) out.push_back(static_cast<char>(size >> shift));
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(stream >> shift));
  return out + std::string(size, fill);
}

struct Fed {
  bool good = false;
  ClientTally tally;
};
// Behind a preface, and in pieces of `piece` bytes.
Fed Feed(const std::string& frames, size_t piece = 1 << 30) {
  ClientFrames client;
  Fed out;
  const std::string all = kPreface + frames;
  for (size_t at = 0; at < all.size(); at += std::min(piece, all.size() - at)) {
    out.good = client.Feed(absl::string_view(all).substr(at, piece), &out.tally);
    if (!out.good) break;
  }
  return out;
}

std::string Call(uint32_t stream) {
  return Frame(kHeaders, kEndHeaders, stream, 120) + Frame(kData, kEndStream, stream, 64);
}

TEST(ClientFramesTest, CountsCallsHoweverTheBytesAreDivided) {
  const std::string frames =
      Frame(kSettings, 0, 0, 18) + Call(1) + Frame(kPing, 0, 0, 8) + Call(3) + Call(5);
  for (const size_t piece : {1, 2, 7, 9, 10, 100, 1 << 20}) {
    const Fed fed = Feed(frames, piece);
    EXPECT_TRUE(fed.good);
    EXPECT_EQ(fed.tally.opened, 3);
    EXPECT_EQ(fed.tally.idle, 2);
  }
}

TEST(ClientFramesTest, ACallThatIsResetIsOpenedAllTheSame) {
  std::string frames;
  for (int i = 0; i < 100; ++i) {
    frames += Frame(kHeaders, kEndHeaders, 2 * i + 1, 50) + Frame(kReset, 0, 2 * i + 1, 4);
  }
  const Fed fed = Feed(frames);
  EXPECT_TRUE(fed.good);
  EXPECT_EQ(fed.tally.opened, 100);
  EXPECT_EQ(fed.tally.idle, 100);
}

TEST(ClientFramesTest, FramesThatCarryNothingAreIdle) {
  for (int type = 2; type < 256; ++type) {
    if (type == kContinuation) continue;
    EXPECT_EQ(Feed(Frame(type, 0, 0, 100)).tally.idle, 1) << type;
  }
  EXPECT_EQ(Feed(Frame(kData, 0, 1, 0)).tally.idle, 1);
  EXPECT_EQ(Feed(Frame(kData, kEndStream, 1, 0)).tally.idle, 1);
  EXPECT_EQ(Feed(Frame(kData, 0, 1, ClientFrames::kSmallData - 1)).tally.idle, 1);
  EXPECT_EQ(Feed(Frame(kData, 0, 1, ClientFrames::kSmallData)).tally.idle, 0);
  // Headers behind those that opened the stream.
  EXPECT_EQ(Feed(Call(1) + Frame(kHeaders, kEndHeaders, 1, 9)).tally.idle, 1);
}

TEST(ClientFramesTest, LargeDataIsNoFault) {
  EXPECT_TRUE(Feed(Call(1) + Frame(kData, 0, 1, 4 << 20) + Frame(kPing, 0, 0, 8), 5000).good);
}

TEST(ClientFramesTest, WhatIsNoHttp2IsEnded) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\0\0\0", 3),
        std::string("PRI * HTTP/3"), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX")}) {
    ClientFrames client;
    ClientTally tally;
    EXPECT_FALSE(client.Feed(bytes, &tally)) << bytes;
    EXPECT_FALSE(client.Feed(kPreface, &tally)) << "for ever";
  }
}

TEST(ClientFramesTest, HeadersWithoutAnEndAreEnded) {
  const std::string open = Frame(kHeaders, 0, 1, 1000);
  EXPECT_TRUE(Feed(open + Frame(kContinuation, kEndHeaders, 1, 1000) + Call(3)).good);
  // By their bytes …
  std::string many = open;
  for (int i = 0; i < 2; ++i) many += Frame(kContinuation, 0, 1, 16000);
  EXPECT_FALSE(Feed(many).good);
  EXPECT_FALSE(Feed(Frame(kHeaders, 0, 1, 16384) + Frame(kContinuation, 0, 1, 16384) +
                    Frame(kContinuation, kEndHeaders, 1, 1))
                   .good);
  // … and by their number, however small.
  std::string small = open;
  for (int i = 0; i < 5; ++i) small += Frame(kContinuation, 0, 1, 0);
  EXPECT_FALSE(Feed(small).good);
}

TEST(ClientFramesTest, TheHeadIsEnoughToEndIt) {
  // Nothing of what it announces has to come.
  EXPECT_FALSE(Feed(Frame(kHeaders, 0, 1, (16 << 10) + 1).substr(0, 9)).good);
  EXPECT_FALSE(Feed(Frame(kSettings, 0, 0, (16 << 10) + 1).substr(0, 9)).good);
}

TEST(ClientFramesTest, HeadersThatAreInterruptedAreEnded) {
  const std::string open = Frame(kHeaders, 0, 1, 100);
  EXPECT_FALSE(Feed(open + Frame(kData, 0, 1, 100)).good);
  EXPECT_FALSE(Feed(open + Frame(kPing, 0, 0, 8)).good);
  EXPECT_FALSE(Feed(open + Frame(kHeaders, kEndHeaders, 3, 8)).good);
  EXPECT_FALSE(Feed(open + Frame(kContinuation, kEndHeaders, 3, 8)).good);
  EXPECT_FALSE(Feed(Frame(kContinuation, kEndHeaders, 1, 8)).good);
  EXPECT_FALSE(Feed(Call(1) + Frame(kContinuation, 0, 1, 8)).good);
  EXPECT_FALSE(Feed(Frame(kHeaders, kEndHeaders, 0, 8)).good);
}

TEST(ClientFramesTest, AnyBytesAreTheSameHoweverDivided) {
  testing::SeededRandom random;
  for (int i = 0; i < 2000; ++i) {
    std::string noise(200, '\0');
    random.Fill(noise.data(), noise.size());
    // Small frames, so that there are many.
    for (size_t at = 0; at + 9 < noise.size(); at += 20) noise[at] = noise[at + 1] = '\0';
    const Fed whole = Feed(noise), bytes = Feed(noise, 1);
    EXPECT_EQ(whole.good, bytes.good);
    EXPECT_EQ(whole.tally.opened, bytes.tally.opened);
    EXPECT_EQ(whole.tally.idle, bytes.tally.idle);
  }
}

TEST(ServerFramesTest, CountsWhatIsAnsweredInOrderOnly) {
  ServerFrames server;
  ServerTally tally;
  const std::string bytes = Frame(kSettings, 0, 0, 30) + Frame(kHeaders, kEndHeaders, 1, 40) +
                            Frame(kData, 0, 1, 500) +
                            Frame(kHeaders, kEndHeaders | kEndStream, 1, 30) +
                            Frame(kReset, 0, 3, 4) + Frame(kPing, 1, 0, 8);
  for (const char byte : bytes) server.Feed({&byte, 1}, &tally);
  EXPECT_EQ(tally.answered, 1);
  EXPECT_EQ(tally.sent, 3);
}

TEST(ServerFramesTest, WhatIsResetBehindItsEndIsNoAnswer) {
  ServerFrames server;
  ServerTally first, second;
  server.Feed(Frame(kHeaders, kEndHeaders | kEndStream, 1, 30) +
                  Frame(kHeaders, kEndHeaders | kEndStream, 3, 30),
              &first);
  EXPECT_EQ(first.answered, 2);
  server.Feed(Frame(kReset, 0, 3, 4) + Frame(kReset, 0, 3, 4) + Frame(kReset, 0, 5, 4), &second);
  EXPECT_EQ(second.answered, -1);
}

// Of no stream: nothing was answered on it before.
TEST(ServerFramesTest, AResetOfNoStreamTakesNoAnswerBack) {
  ServerFrames server;
  ServerTally tally;
  server.Feed(Frame(kReset, 0, 0, 4) + Frame(kReset, 0, 0, 4), &tally);
  EXPECT_EQ(tally.answered, 0);
}

}  // namespace
}  // namespace vault::rpc
