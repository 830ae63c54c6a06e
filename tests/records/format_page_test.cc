// The worked example of vault/records/FORMAT.md, built here from the page's words and held against
// the page and the code.
#include "tests/crypto/format_page.h"
#include "absl/strings/escaping.h"
#include "tests/records/records_fixture.h"

namespace vault::records {
namespace {

using vault::testing::FormatExamples;

FormatExamples Page() {
  return FormatExamples(absl::StrCat(VAULT_SOURCE_DIR, "/vault/records/FORMAT.md"));
}

ResidentId Resident() { return ResidentId::Parse("000102030405060708090a0b0c0d0e0f").value(); }

TEST(RecordsFormatPageTest, Row) {
  const FormatExamples page = Page();
  Record record;
  record.id = Resident();
  record.version = 3;
  const std::string etag = page["row.etag"];
  ASSERT_EQ(etag.size(), kEtagSize);
  std::copy(etag.begin(), etag.end(), record.etag.begin());
  record.kek_version = 2;
  record.dek_version = 1;
  record.wrapped_dek = page["row.wrapped_dek"];
  record.programme = "vaccination";
  record.fields = {{1, page["row.sealed1"]}, {5, page["row.sealed5"]}};
  record.tags = {{5, 1, page["row.tag5"]}};
  const std::string row = page["row.bytes"];
  EXPECT_EQ(absl::BytesToHexString(EncodeRecord(record)), absl::BytesToHexString(row));
  EXPECT_EQ(RowPrefix(record), row.substr(0, 25));
  VAULT_ASSERT_OK_AND_ASSIGN(const Record back, DecodeRecord(Resident(), row));
  EXPECT_EQ(back.version, 3);
  EXPECT_EQ(back.fields[1].sealed, record.fields[1].sealed);
  EXPECT_EQ(back.tags[0].tag, record.tags[0].tag);
  EXPECT_FALSE(back.tags[0].unique);
  EXPECT_EQ(back.programme, "vaccination");
}

TEST(RecordsFormatPageTest, Keys) {
  const FormatExamples page = Page();
  EXPECT_EQ(RecordKey(Toshima(), Resident()), page["key.record"]);
  const RowTag tag{5, 1, page["row.tag5"]};
  EXPECT_EQ(PostingKey(Toshima(), tag, Resident()), page["key.posting"]);
  EXPECT_EQ(PostingValue(tag, Resident()), "");
  EXPECT_EQ(GenerationPrefix(Toshima(), 1), page["key.generation"]);
  EXPECT_EQ(PostingPrefix(Toshima(), tag).rfind(page["key.generation"], 0), 0);
  const RowTag unique{9, 1, page["row.tag5"], true};
  EXPECT_EQ(PostingKey(Toshima(), unique, Resident()), page["key.unique"]);
  EXPECT_EQ(PostingValue(unique, Resident()), Resident().bytes());
  for (const RowTag& of : {tag, unique}) {
    EXPECT_EQ(*PostingResident(PostingKey(Toshima(), of, Resident()), PostingValue(of, Resident())),
              Resident());
  }
  const std::string key = page["key.posting"], resident(Resident().bytes());
  for (const auto& [bad, value] :
       std::map<std::string, std::string>{{key, resident},
                                          {key + "x", ""},
                                          {key.substr(0, key.size() - 1), ""},
                                          {page["key.unique"], ""},
                                          {page["key.unique"].substr(1), resident}}) {
    EXPECT_EQ(PostingResident(bad, value).status().code(), absl::StatusCode::kDataLoss);
  }
}

class RecordsFormatTest : public RecordsTest {};

// The rows that a new resident really leaves have the page's keys.
TEST_F(RecordsFormatTest, PostingsAreAsThePageSays) {
  const ResidentId id = Add(Complete());
  const Record record = Stored(id);
  std::map<std::string, std::string> expected;
  for (const RowTag& tag : record.tags) {
    EXPECT_EQ(tag.unique, tag.field_number == Spec("address_number").number);
    expected[PostingKey(Toshima(), tag, id)] = PostingValue(tag, id);
  }
  EXPECT_EQ(Rows("i/"), expected);
  EXPECT_EQ(expected.size(), 5);  // name, kana, birth date, telephone, address number
}

}  // namespace
}  // namespace vault::records
