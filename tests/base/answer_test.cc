// What can only be seen at run time of Answer and Receipt; what must not compile stands in
// answer_nocompile.cc.
#include "vault/base/answer.h"

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

// This binary does not link audit, so the one name that may make a receipt is free for a fake.
namespace vault::audit {

class Sequencer {
 public:
  static Receipt Make(Ticket ticket, uint64_t seq) { return Receipt(ticket, seq); }
};

}  // namespace vault::audit

namespace vault {
namespace {

using StringAnswer = Answer<std::string>;

TEST(AnswerTest, ReleasesItsBodyAgainstItsReceipt) {
  StringAnswer answer = StringAnswer::Of("body");
  Receipt receipt = audit::Sequencer::Make(answer.ticket(), 17);
  EXPECT_EQ(receipt.seq(), 17u);
  EXPECT_EQ(*std::move(answer).Release(std::move(receipt)), "body");
}

TEST(AnswerTest, KeepsAStatusInsideToo) {
  StringAnswer answer = StringAnswer::Error(absl::NotFoundError("no such resident"));
  Receipt receipt = audit::Sequencer::Make(answer.ticket(), 0);
  EXPECT_EQ(std::move(answer).Release(std::move(receipt)).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(AnswerTest, MovesWithItsTicket) {
  StringAnswer first = StringAnswer::Of("body");
  const Ticket ticket = first.ticket();
  StringAnswer second = std::move(first);
  EXPECT_TRUE(second.ticket() == ticket);
  EXPECT_EQ(*std::move(second).Release(audit::Sequencer::Make(ticket, 1)), "body");
}

TEST(AnswerTest, TicketsAreNeverTheSame) {
  EXPECT_FALSE(Ticket::Next() == Ticket::Next());
  EXPECT_FALSE(StringAnswer::Of("a").ticket() == StringAnswer::Of("a").ticket());
}

TEST(AnswerTest, BodyIsDestroyedWhenNoReceiptComes) {
  auto body = std::make_shared<int>(1);
  std::weak_ptr<int> seen = body;
  { auto answer = Answer<std::shared_ptr<int>>::Of(std::move(body)); }
  EXPECT_TRUE(seen.expired());
}

TEST(AnswerDeathTest, AbortsOnAnotherAnswersReceipt) {
  StringAnswer mine = StringAnswer::Of("mine");
  StringAnswer other = StringAnswer::Of("other");
  EXPECT_DEATH((void)std::move(mine).Release(audit::Sequencer::Make(other.ticket(), 1)),
               "the answer it was made for");
}

TEST(AnswerDeathTest, AbortsOnAReceiptUsedBefore) {
  StringAnswer answer = StringAnswer::Of("body");
  Receipt receipt = audit::Sequencer::Make(answer.ticket(), 1);
  Receipt moved = std::move(receipt);
  EXPECT_DEATH((void)std::move(answer).Release(std::move(receipt)), "opens its answer once");
  EXPECT_TRUE(std::move(answer).Release(std::move(moved)).ok());
}

TEST(AnswerDeathTest, AbortsOnASecondRelease) {
  StringAnswer answer = StringAnswer::Of("body");
  const Ticket ticket = answer.ticket();
  EXPECT_TRUE(std::move(answer).Release(audit::Sequencer::Make(ticket, 1)).ok());
  EXPECT_DEATH((void)std::move(answer).Release(audit::Sequencer::Make(ticket, 1)),
               "opens its answer once");
}

TEST(AnswerDeathTest, AbortsOnAnAnswerMovedFrom) {
  StringAnswer answer = StringAnswer::Of("body");
  const Ticket ticket = answer.ticket();
  StringAnswer moved = std::move(answer);
  EXPECT_DEATH((void)std::move(answer).Release(audit::Sequencer::Make(ticket, 1)),
               "opens its answer once");
}

}  // namespace
}  // namespace vault
