// Pages of a log, and the check of the whole.
#include "vault/trail/log_reader.h"

#include "tests/audit/audit_fixture.h"

namespace vault::trail {
namespace {

using audit::AuditTest;
using audit::DeleteRow;
using audit::EntryKey;
using audit::PutRow;
using audit::Rows;
using audit::Submission;

constexpr char kAnna[] = "000102030405060708090a0b0c0d0e0f";
constexpr char kBerta[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

class LogReaderTest : public AuditTest {
 protected:
  // Ten entries, a minute apart, alternating in who and whom.
  void Ten() {
    Create();
    for (int i = 0; i < 10; ++i) {
      clock_.Advance(absl::Minutes(1));
      Submission submission = Make(log_, i < 5 ? "resident.get" : "resident.lookup");
      tlog::EntryFields& entry = submission.entries[0];
      (i % 2 == 0 ? entry.actor : entry.service) = i % 3 == 0 ? "urn:vault:a" : "urn:vault:b";
      entry.decision = i == 4 ? "DENY" : "ALLOW";
      if (i == 7) {
        entry.residents = {kBerta};
        entry.found = {kAnna};
      } else {
        entry.resident = i < 3 ? kAnna : kBerta;
      }
      ASSERT_TRUE(Submit(std::move(submission)).ok());
    }
  }
  std::vector<uint64_t> Seqs(const LogFilter& filter) {
    absl::StatusOr<LogPage> page = ReadPage(*store_, log_, filter, 0, 10, 100, 1000);
    VAULT_CHECK(page.ok());
    EXPECT_EQ(page->next_seq, 10);
    std::vector<uint64_t> seqs;
    for (const LogRecord& record : page->records) seqs.push_back(record.seq);
    return seqs;
  }
};

using Seqset = std::vector<uint64_t>;

TEST_F(LogReaderTest, EachFilterKeepsWhatMatchesAndAllMustMatch) {
  Ten();
  LogFilter filter;
  EXPECT_EQ(Seqs(filter).size(), 10);
  filter.resident = kAnna;
  EXPECT_EQ(Seqs(filter), (Seqset{0, 1, 2, 7}));
  filter.action = "resident.get";
  EXPECT_EQ(Seqs(filter), (Seqset{0, 1, 2}));
  filter.actor = "urn:vault:b";
  EXPECT_EQ(Seqs(filter), (Seqset{1, 2}));
  filter = LogFilter();
  filter.actor = "urn:vault:a";  // as actor at 0 and 6, as service at 3 and 9
  EXPECT_EQ(Seqs(filter), (Seqset{0, 3, 6, 9}));
  filter = LogFilter();
  filter.decision = "DENY";
  EXPECT_EQ(Seqs(filter), (Seqset{4}));
  filter.decision = "DENY";
  filter.resident = kAnna;
  EXPECT_EQ(Seqs(filter), (Seqset{}));
}

TEST_F(LogReaderTest, TimesAreFromInclusiveToExclusive) {
  const absl::Time start = clock_.Now();
  Ten();
  LogFilter filter;
  filter.from = start + absl::Minutes(3);
  filter.to = start + absl::Minutes(5);
  EXPECT_EQ(Seqs(filter), (Seqset{2, 3}));
  filter.to = filter.from;
  EXPECT_EQ(Seqs(filter), (Seqset{}));
}

TEST_F(LogReaderTest, PagesAreBoundedAndTogetherGiveEverythingOnce) {
  Ten();
  LogFilter filter;
  filter.actor = "urn:vault:a";
  Seqset all;
  uint64_t from = 0;
  int pages = 0;
  while (from < 9) {
    VAULT_ASSERT_OK_AND_ASSIGN(const LogPage page, ReadPage(*store_, log_, filter, from, 9, 2, 3));
    EXPECT_LE(page.records.size(), 2);
    EXPECT_LE(page.next_seq, from + 3);
    ASSERT_GT(page.next_seq, from);
    for (const LogRecord& record : page.records) all.push_back(record.seq);
    from = page.next_seq;
    ++pages;
  }
  EXPECT_EQ(all, (Seqset{0, 3, 6}));  // 9 is behind the size that the listing is about
  EXPECT_EQ(pages, 3);
}

TEST_F(LogReaderTest, APageBehindTheEndIsEmpty) {
  Ten();
  for (uint64_t from : {10, 11, 1000000}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const LogPage page, ReadPage(*store_, log_, {}, from, 10, 5, 100));
    EXPECT_TRUE(page.records.empty());
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const LogPage none,
                             ReadPage(*store_, LogId::Service(), {}, 0, 0, 5, 100));
  EXPECT_TRUE(none.records.empty());
}

TEST_F(LogReaderTest, RecordsAreTheStoredBytes) {
  Ten();
  VAULT_ASSERT_OK_AND_ASSIGN(const LogPage page, ReadPage(*store_, log_, {}, 4, 10, 1, 100));
  ASSERT_EQ(page.records.size(), 1);
  EXPECT_EQ(page.records[0].bytes, Rows(*base_)[EntryKey(log_, 4)]);
}

TEST_F(LogReaderTest, AMissingOrDamagedEntryIsNeverPassedOver) {
  Ten();
  const auto rows = Rows(*base_);
  LogFilter filter;
  filter.action = "none.such";
  DeleteRow(base_.get(), EntryKey(log_, 4));
  EXPECT_TRUE(absl::IsDataLoss(ReadPage(*store_, log_, filter, 0, 10, 5, 100).status()));
  VAULT_EXPECT_OK(ReadPage(*store_, log_, filter, 0, 4, 5, 100));
  VAULT_EXPECT_OK(ReadPage(*store_, log_, filter, 5, 10, 5, 100));
  PutRow(base_.get(), EntryKey(log_, 4), rows.at(EntryKey(log_, 5)));
  EXPECT_TRUE(absl::IsDataLoss(ReadPage(*store_, log_, filter, 0, 10, 5, 100).status()));
  PutRow(base_.get(), EntryKey(log_, 4), rows.at(EntryKey(log_, 4)) + " ");
  EXPECT_TRUE(absl::IsDataLoss(ReadPage(*store_, log_, filter, 0, 10, 5, 100).status()));
  PutRow(base_.get(), EntryKey(log_, 4), rows.at(EntryKey(log_, 4)));
  DeleteRow(base_.get(), EntryKey(log_, 9));
  EXPECT_TRUE(absl::IsDataLoss(ReadPage(*store_, log_, filter, 0, 10, 5, 100).status()));
}

TEST_F(LogReaderTest, AStoreThatCannotReadIsAnErrorForAPageAndAVerdictForTheWhole) {
  Ten();
  store_->FailReads(absl::DataLossError("block damaged"));
  EXPECT_TRUE(absl::IsDataLoss(ReadPage(*store_, log_, {}, 0, 10, 5, 100).status()));
  EXPECT_FALSE(Verify(log_).good);
  store_->FailReads(absl::UnavailableError("try again"));
  EXPECT_TRUE(absl::IsUnavailable(
      VerifyLog(*store_, log_, Claims(log_), [](uint64_t) { return true; }).status()));
}

TEST_F(LogReaderTest, WhatIsWrittenAfterTheHeadWasReadDoesNotDisturb) {
  Ten();
  const LogClaims claims = Claims(log_);
  Fill(log_, 3);
  VAULT_ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                             VerifyLog(*store_, log_, claims, [](uint64_t) { return true; }));
  EXPECT_TRUE(verdict.good);
  EXPECT_EQ(verdict.root, claims.head.root);
}

TEST_F(LogReaderTest, ARootThatIsNotTheHeadsIsFound) {
  Ten();
  LogClaims claims = Claims(log_);
  claims.head.root[5] ^= 1;
  VAULT_ASSERT_OK_AND_ASSIGN(Verdict verdict,
                             VerifyLog(*store_, log_, claims, [](uint64_t) { return true; }));
  EXPECT_FALSE(verdict.good);
  claims = Claims(log_);
  ++claims.head.size;
  VAULT_ASSERT_OK_AND_ASSIGN(verdict,
                             VerifyLog(*store_, log_, claims, [](uint64_t) { return true; }));
  EXPECT_FALSE(verdict.good);
  EXPECT_EQ(verdict.first_bad_seq, 10);
}

TEST_F(LogReaderTest, VerificationReportsAndCanBeStopped) {
  Create();
  Submission submission = Make(log_);
  submission.entries.resize(300, submission.entries[0]);
  for (int i = 0; i < 30; ++i) {
    Submission again = Make(log_);
    again.entries = submission.entries;
    ASSERT_TRUE(Submit(std::move(again)).ok());
  }
  const LogClaims claims = Claims(log_);
  std::vector<uint64_t> reported;
  VAULT_ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                             VerifyLog(*store_, log_, claims, [&](uint64_t checked) {
                               reported.push_back(checked);
                               return true;
                             }));
  EXPECT_TRUE(verdict.good);
  EXPECT_EQ(reported, (std::vector<uint64_t>{4096, 8192}));
  EXPECT_TRUE(
      absl::IsCancelled(VerifyLog(*store_, log_, claims, [](uint64_t) { return false; }).status()));
}

TEST_F(LogReaderTest, AnEmptyLogVerifies) {
  Create();
  EXPECT_TRUE(Verify(log_).good);
}

}  // namespace
}  // namespace vault::trail
