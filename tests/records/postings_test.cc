// What a lookup reads of the index: from the rarest criterion, no further than the limit, and never
// more than its budget.
#include "vault/records/postings.h"

#include <algorithm>
#include <set>

#include "tests/records/records_fixture.h"

namespace vault::records {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PostingsTest : public RecordsTest {
 protected:
  using Ids = std::vector<ResidentId>;

  Ids Handles(size_t count) {
    Ids ids;
    for (size_t i = 0; i < count; ++i) ids.push_back(ResidentId::Generate(random_));
    return ids;
  }
  // Postings as many records would have left them, under one generation that is read.
  void Put(const std::string& field, const std::string& value, const Ids& ids,
           size_t generation = 0) {
    const keys::IndexGeneration& key = Keys()->indexes[generation];
    const std::vector<FieldInput> input = Good({{field, value}});
    const RowTag tag{Spec(field).number, key.generation,
                     keys::IndexTag(key, Toshima(), kProgramme, 0, Spec(field).number,
                                    input[0].match_key.Expose())};
    store::Batch batch;
    for (const ResidentId& id : ids) {
      batch.Put(absl::StrCat(PostingPrefix(Toshima(), tag), id.bytes()), "");
    }
    VAULT_CHECK(store_->Write(batch).ok());
  }
  // What one lookup reads.
  uint64_t Cost(const Values& criteria, size_t limit = 21) {
    const uint64_t before = reads_.All();
    status_ = Find(criteria, limit).status();
    return reads_.All() - before;
  }

  absl::Status status_;
};

constexpr size_t kShared = 4990;
const Values kFour = {
    {"name", "多数"}, {"kana", "タスウ"}, {"birth_date", "1980-01-01"}, {"phone", "0312345678"}};

TEST_F(PostingsTest, OneRareCriterionAmongThoseThatThousandsShareCostsNoMoreThanItIsRare) {
  const Ids all = Handles(kShared);
  for (size_t i = 0; i + 1 < kFour.size(); ++i) Put(kFour[i].first, kFour[i].second, all);
  Put("phone", "0312345678", {all[77], all[78]});
  Values criteria = kFour;
  for (size_t turn = 0; turn < criteria.size(); ++turn) {
    std::rotate(criteria.begin(), criteria.begin() + 1, criteria.end());
    EXPECT_LT(Cost(criteria), 4 * 33 + 2 * 3 + 1) << turn;
    VAULT_EXPECT_OK(status_);
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const Ids found, Find(kFour));
  EXPECT_THAT(found, ::testing::UnorderedElementsAre(all[77], all[78]));
  // One that nobody has, alike.
  EXPECT_LT(Cost({kFour[0], kFour[1], kFour[2], {"phone", "0399999999"}}), 4 * 33 + 1);
  VAULT_EXPECT_OK(status_);
}

TEST_F(PostingsTest, FourCriteriaThatTheSameThousandsShareEndAtTheLimit) {
  const Ids all = Handles(kShared);
  for (const auto& [field, value] : kFour) Put(field, value, all);
  EXPECT_LT(Cost(kFour), 4 * 33 + 3 * 21 + 1);
  VAULT_ASSERT_OK_AND_ASSIGN(const Ids found, Find(kFour, 21));
  EXPECT_EQ(found.size(), 21);
  // One criterion reads the limit, in one scan.
  EXPECT_EQ(Cost({kFour[0]}), 22);
}

TEST_F(PostingsTest, WhatTakesMoreReadsThanTheBudgetIsRefusedAndReadsNoMore) {
  for (const auto& [field, value] : kFour) Put(field, value, Handles(kShared));
  EXPECT_LE(Cost(kFour), ReadBudget::kReadsMax);
  EXPECT_TRUE(absl::IsInvalidArgument(status_));
  EXPECT_EQ(GetReason(status_), "TOO_MANY_MATCHES");
  EXPECT_THAT(std::string(status_.message()), ::testing::HasSubstr("name one more field"));
  EXPECT_LE(Cost({kFour[0], kFour[1]}), ReadBudget::kReadsMax);
  EXPECT_EQ(GetReason(status_), "TOO_MANY_MATCHES");
  // One more field, which few have, and it is answered.
  Put("email", "few@example.com", Handles(10));
  EXPECT_LT(Cost({kFour[0], kFour[1], {"email", "few@example.com"}}), 3 * 33 + 10 * 2);
  VAULT_EXPECT_OK(status_);
}

TEST_F(PostingsTest, TheBudgetIsOneForAllSearchesOfALookup) {
  for (const auto& [field, value] : kFour) Put(field, value, Handles(kShared));
  const std::vector<FieldInput> inputs = Good({{"name", "多数"}, {"kana", "タスウ"}});
  const std::vector<const FieldInput*> criteria = {&inputs[0], &inputs[1]};
  ReadBudget budget;
  const vault::testing::CountingSnapshot snapshot(store_->TakeSnapshot().value(), &reads_);
  for (int of = 0; of < policy::kRecordClasses; ++of) {
    (void)records_.Find(snapshot, Toshima(), *Keys(), {kProgramme},
                        static_cast<policy::RecordClass>(of), criteria, 21, &budget);
  }
  EXPECT_EQ(budget.left, 0);
  EXPECT_LE(reads_.All(), ReadBudget::kReadsMax);
  // Used up, it lets nothing be read any more.
  const uint64_t before = reads_.All();
  EXPECT_FALSE(records_
                   .Find(snapshot, Toshima(), *Keys(), {kProgramme},
                         policy::RecordClass::kProtected, criteria, 21, &budget)
                   .ok());
  EXPECT_EQ(reads_.All(), before);
}

// Against sets: whatever the sizes, the order of the criteria, and over two generations of keys.
TEST_F(PostingsTest, TheIntersectionIsThatOfTheSets) {
  Rotate(keys::TenantKey::kIndex);
  ASSERT_EQ(Keys()->indexes.size(), 2);
  const Ids all = Handles(400);
  const auto below = [&](uint32_t n) {
    uint32_t value;
    random_.Fill(&value, sizeof(value));
    return value % n;
  };
  size_t found_any = 0;
  for (int round = 0; round < 60; ++round) {
    const size_t count = 1 + below(4);
    Values criteria;
    std::map<ResidentId, size_t> under;
    for (size_t i = 0; i < count; ++i) {
      const std::string value = i == 2   ? absl::StrCat(1900 + round, "-01-01")
                                : i == 3 ? absl::StrCat("03-5555-", 1000 + round)
                                         : absl::StrCat("試験", round);
      criteria.emplace_back(kFour[i].first, value);
      Ids old, now;
      const uint32_t one_in = 1 + below(i == 0 ? 2 : 40);
      for (const ResidentId& id : all) {
        if (below(one_in) != 0) continue;
        (below(2) == 0 ? old : now).push_back(id);
        ++under[id];
      }
      Put(criteria[i].first, value, old, 0);
      Put(criteria[i].first, value, now, 1);
    }
    Ids expected;
    for (const auto& [id, times] : under) {
      if (times == count) expected.push_back(id);
    }
    VAULT_ASSERT_OK_AND_ASSIGN(const Ids found, Find(criteria, 1000));
    EXPECT_EQ(found, expected) << round;
    found_any += !expected.empty();
    VAULT_ASSERT_OK_AND_ASSIGN(const Ids some, Find(criteria, 3));
    EXPECT_EQ(some.size(), std::min<size_t>(3, expected.size()));
    EXPECT_TRUE(std::includes(expected.begin(), expected.end(), some.begin(), some.end()));
  }
  EXPECT_GT(found_any, 20);
}

TEST_F(PostingsTest, TheCountOfWhatIsNotAllReadIsAnEstimate) {
  for (const size_t count : {40u, 500u, 1900u}) {
    const std::string value = absl::StrCat("数", count);
    Put("name", value, Handles(count));
    const std::vector<FieldInput> input = Good({{"name", value}});
    const RowTag tag{Spec("name").number, 1,
                     keys::IndexTag(Keys()->write_index(), Toshima(), kProgramme, 0,
                                    Spec("name").number, input[0].match_key.Expose())};
    const auto snapshot = store_->TakeSnapshot().value();
    Postings postings(*snapshot, PostingPrefix(Toshima(), tag));
    ReadBudget budget;
    VAULT_ASSERT_OK(postings.ReadSome(32, &budget));
    EXPECT_FALSE(postings.ended());
    EXPECT_GT(postings.Count(), count / 3.0);
    EXPECT_LT(postings.Count(), count * 3.0);
    VAULT_ASSERT_OK(postings.ReadSome(count, &budget));
    EXPECT_TRUE(postings.ended());
    EXPECT_EQ(postings.Count(), count);
    EXPECT_TRUE(std::is_sorted(postings.ids().begin(), postings.ids().end()));
  }
}

TEST_F(PostingsTest, AUniqueNumberIsOneOfTheCriteriaLikeAnyOther) {
  const ResidentId id = Add(Complete());
  Add(Complete({{"address_number", "B-1"}}));
  for (const Values& criteria : {Values{{"address_number", "A100"}, {"name", "検査太郎"}},
                                 Values{{"name", "検査太郎"}, {"address_number", "A100"}}}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const Ids found, Find(criteria));
    EXPECT_THAT(found, ElementsAre(id));
  }
  VAULT_ASSERT_OK_AND_ASSIGN(const Ids none, Find({{"address_number", "A100"}, {"name", "別人"}}));
  EXPECT_THAT(none, IsEmpty());
}

}  // namespace
}  // namespace vault::records
