#include "vault/text/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/fakes.h"
#include "vault/base/status.h"

namespace vault::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<CsvReader> Read(const std::string& file) {
  return CsvReader::FromStream(std::make_unique<std::istringstream>(file));
}

struct Outcome {
  uint64_t line;
  std::string reason;  // empty for a good row
  std::string message;
  std::vector<std::string> fields;
};

std::vector<Outcome> ReadAll(const std::string& file) {
  std::vector<Outcome> all;
  absl::StatusOr<CsvReader> reader = Read(file);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (!reader.ok()) return all;
  CsvRow row;
  while (true) {
    const absl::StatusOr<bool> more = reader->Next(&row);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) return all;
    all.push_back({row.line, GetReason(row.status), std::string(row.status.message()),
                   row.status.ok() ? row.fields : std::vector<std::string>()});
  }
}

std::string HeaderReason(const std::string& file) { return GetReason(Read(file).status()); }

TEST(CsvTest, ReadsPlainAndQuotedFields) {
  const std::vector<Outcome> rows = ReadAll(
      "name,memo\n検査 花子,折り返し\n\"検査, 太郎\",\"「\"\"至急\"\"」\"\n,\n\"\",\"\"\n a , b "
      "\n");
  ASSERT_EQ(rows.size(), 5);
  for (const Outcome& row : rows) EXPECT_EQ(row.reason, "") << row.message;
  EXPECT_THAT(rows[0].fields, ElementsAre("検査 花子", "折り返し"));
  EXPECT_THAT(rows[1].fields, ElementsAre("検査, 太郎", "「\"至急\"」"));
  EXPECT_THAT(rows[2].fields, ElementsAre("", ""));
  EXPECT_THAT(rows[3].fields, ElementsAre("", ""));
  EXPECT_THAT(rows[4].fields, ElementsAre(" a ", " b "));
}

TEST(CsvTest, LineEndsAndByteOrderMark) {
  for (const char* file :
       {"a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4\r\n", "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r",
        "\xEF\xBB\xBF"
        "a,b\n1,2\n3,4\n",
        "a,b\n\n1,2\r\n\r\n3,4\n\n\n", "\"a\",\"b\"\r\n\"1\",\"2\"\r\n\"3\",\"4\""}) {
    absl::StatusOr<CsvReader> reader = Read(file);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_THAT(reader->header(), ElementsAre("a", "b"));
    const std::vector<Outcome> rows = ReadAll(file);
    ASSERT_EQ(rows.size(), 2) << file;
    EXPECT_THAT(rows[0].fields, ElementsAre("1", "2"));
    EXPECT_THAT(rows[1].fields, ElementsAre("3", "4"));
  }
}

TEST(CsvTest, LinesAreCountedThroughLineBreaksInFields) {
  const std::vector<Outcome> rows = ReadAll("a,b\n\"1\n\r\n2\",x\n3,4\n");
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0].line, 2);
  EXPECT_THAT(rows[0].fields, ElementsAre("1\n\r\n2", "x"));
  EXPECT_EQ(rows[1].line, 5);
}

TEST(CsvTest, FindsColumns) {
  VAULT_ASSERT_OK_AND_ASSIGN(CsvReader reader, Read("a,b\n"));
  EXPECT_EQ(reader.IndexOf("b"), 1);
  EXPECT_EQ(reader.IndexOf("c"), absl::nullopt);
}

TEST(CsvTest, OneColumnMayBeEmpty) {
  const std::vector<Outcome> rows = ReadAll("a\n1\n\n2\n");
  ASSERT_EQ(rows.size(), 3);
  EXPECT_THAT(rows[1].fields, ElementsAre(""));
}

TEST(CsvTest, RefusesAFileWithoutAHeader) {
  EXPECT_EQ(HeaderReason(""), "CSV_EMPTY");
  EXPECT_EQ(HeaderReason("\xEF\xBB\xBF"), "CSV_EMPTY");
  EXPECT_EQ(HeaderReason("\n"), "CSV_HEADER");
  EXPECT_EQ(HeaderReason("\r\na,b\n"), "CSV_HEADER");
  EXPECT_EQ(HeaderReason("a,,c\n"), "CSV_HEADER");
  EXPECT_EQ(HeaderReason("a,b,a\n"), "CSV_HEADER");
  EXPECT_EQ(HeaderReason(",\n"), "CSV_HEADER");
  EXPECT_EQ(HeaderReason("a,\"b\n"), "CSV_QUOTES_OPEN");
  EXPECT_EQ(HeaderReason("a,\x8e\x81\n"), "CSV_NOT_UTF8");  // Shift_JIS
  EXPECT_EQ(HeaderReason(std::string("\xff\xfe"
                                     "a\0,\0b\0\n\0",
                                     10)),
            "CSV_NOT_UTF8");
  std::string wide = "c0";
  for (size_t i = 1; i < kCsvColumnsMax; ++i) absl::StrAppend(&wide, ",c", i);
  EXPECT_TRUE(Read(wide).ok());
  EXPECT_EQ(HeaderReason(absl::StrCat(wide, ",more")), "CSV_HEADER");
}

TEST(CsvTest, ARowOfTheWrongWidthLeavesTheOthers) {
  const std::vector<Outcome> rows = ReadAll("a,b,c\n1,2,3\n1,2\n1,2,3,4,5\nx\n4,5,6\n");
  ASSERT_EQ(rows.size(), 5);
  EXPECT_EQ(rows[0].reason, "");
  EXPECT_EQ(rows[1].reason, "CSV_ROW_WIDTH");
  EXPECT_EQ(rows[1].message, "line 3: expected 3 fields, found 2");
  EXPECT_EQ(rows[2].message, "line 4: expected 3 fields, found 5");
  EXPECT_EQ(rows[3].message, "line 5: expected 3 fields, found 1");
  EXPECT_THAT(rows[4].fields, ElementsAre("4", "5", "6"));
}

TEST(CsvTest, QuotesLeftOpenNameTheirPlaceAndEndTheFile) {
  const std::vector<Outcome> rows = ReadAll("a,b\n1,2\n検査,\"3\n5,6\n7,8\n");
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[1].reason, "CSV_QUOTES_OPEN");
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_THAT(rows[1].message, HasSubstr("line 3, column 4:"));
  EXPECT_THAT(rows[1].message, Not(HasSubstr("検査")));
  for (const char* file : {"a,b\n1,\"", "a,b\n\"", "a,b\n\"\"\"\n", "a,b\n1,\"2\"\"\n"}) {
    const std::vector<Outcome> open = ReadAll(file);
    ASSERT_EQ(open.size(), 1) << file;
    EXPECT_EQ(open[0].reason, "CSV_QUOTES_OPEN") << file;
  }
}

TEST(CsvTest, QuotesLeftOpenInAFieldThatGrowsTooLongNameTheirPlace) {
  const std::vector<Outcome> rows =
      ReadAll(absl::StrCat("a,b\n1,\"2\n", std::string(kCsvFieldBytesMax, 'x'), "\n3,4\n"));
  ASSERT_EQ(rows.size(), 1);
  EXPECT_EQ(rows[0].reason, "CSV_QUOTES_OPEN");
  EXPECT_THAT(rows[0].message, HasSubstr("line 2, column 3:"));
}

TEST(CsvTest, StrayQuotesAreTheRowsOwn) {
  const std::vector<Outcome> rows = ReadAll("a,b\nx\"y,2\n\"1\"x,2\n\"1\" ,2\n5,6\n");
  ASSERT_EQ(rows.size(), 4);
  EXPECT_EQ(rows[0].reason, "CSV_STRAY_QUOTE");
  EXPECT_THAT(rows[0].message, HasSubstr("line 2, column 2:"));
  EXPECT_EQ(rows[1].reason, "CSV_STRAY_QUOTE");
  EXPECT_THAT(rows[1].message, HasSubstr("line 3, column 4:"));
  EXPECT_EQ(rows[2].reason, "CSV_STRAY_QUOTE");
  EXPECT_THAT(rows[3].fields, ElementsAre("5", "6"));
}

TEST(CsvTest, InvalidUtf8IsTheRowsOwn) {
  const std::vector<Outcome> rows = ReadAll("a,b\n1,\x82\xa0\n検査,\"\xed\xa0\x80\"\n5,6\n");
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(rows[0].reason, "CSV_NOT_UTF8");
  EXPECT_THAT(rows[0].message, HasSubstr("line 2, column 3:"));
  EXPECT_EQ(rows[1].reason, "CSV_NOT_UTF8");
  EXPECT_THAT(rows[1].message, HasSubstr("line 3, column 4:"));
  EXPECT_THAT(rows[2].fields, ElementsAre("5", "6"));
}

TEST(CsvTest, AFieldLongerThanTheBoundIsTheRowsOwn) {
  const std::string most(kCsvFieldBytesMax, 'x');
  const std::vector<Outcome> rows =
      ReadAll(absl::StrCat("a,b\n", most, ",2\n", most, "x,2\n\"", most, "\n\",2\n5,6\n"));
  ASSERT_EQ(rows.size(), 4);
  EXPECT_EQ(rows[0].fields.at(0).size(), kCsvFieldBytesMax);
  EXPECT_EQ(rows[1].reason, "CSV_FIELD_TOO_LONG");
  EXPECT_EQ(rows[2].reason, "CSV_FIELD_TOO_LONG");
  EXPECT_THAT(rows[3].fields, ElementsAre("5", "6"));
}

TEST(CsvTest, AMissingFileOrADirectoryIsAnErrorOfTheCall) {
  EXPECT_EQ(CsvReader::Open("/nonexistent/residents.csv").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(CsvReader::Open(::testing::TempDir()).ok());
}

TEST(CsvTest, AReadThatFailsIsNotTheEnd) {
  auto stream = std::make_unique<std::istringstream>("a,b\n1,2\n");
  std::istringstream* raw = stream.get();
  VAULT_ASSERT_OK_AND_ASSIGN(CsvReader reader, CsvReader::FromStream(std::move(stream)));
  raw->setstate(std::ios::badbit);
  CsvRow row;
  EXPECT_EQ(reader.Next(&row).status().code(), absl::StatusCode::kDataLoss);
}

TEST(CsvTest, AFileThatCannotBeReadIsNotEmpty) {
  // Nothing is mapped at its beginning: EIO.
  const absl::Status status = CsvReader::Open("/proc/self/mem").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST(CsvTest, AFileThatIsCutWhileItIsReadHasNoEnd) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/csv-test-cut.csv");
  std::string csv = "a,b\n";
  while (csv.size() < 500000) absl::StrAppend(&csv, csv.size(), ",2\n");
  for (const size_t left : {size_t{0}, size_t{100}, size_t{70000}, csv.size() - 3, csv.size()}) {
    std::ofstream(path, std::ios::binary) << csv;
    VAULT_ASSERT_OK_AND_ASSIGN(CsvReader reader, CsvReader::Open(path));
    EXPECT_EQ(reader.size(), csv.size());
    std::filesystem::resize_file(path, left);
    CsvRow row;
    absl::StatusOr<bool> more = true;
    while (more.ok() && *more) {
      more = reader.Next(&row);
      if (more.ok() && *more) ASSERT_EQ(row.fields[1], "2") << "a cell that was cut in two";
    }
    EXPECT_EQ(more.ok(), left == csv.size());
    if (!more.ok()) EXPECT_EQ(more.status().code(), absl::StatusCode::kDataLoss);
    if (more.ok()) EXPECT_EQ(reader.bytes_read(), csv.size());
  }
  std::filesystem::remove(path);
}

TEST(CsvTest, WhatIsWrittenIsReadBack) {
  std::mt19937 random(6);
  const char* kPieces[] = {"a", "検査", ",", "\"", "\n", "\r\n", " ", "", "ー", "\r"};
  std::vector<std::vector<std::string>> rows = {{"a", "b", "c"}};
  std::string file = "a,b,c\n";
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::string> fields(3);
    for (std::string& field : fields) {
      for (int n = static_cast<int>(random() % 6); n > 0; --n) field += kPieces[random() % 10];
    }
    AppendCsvRow(fields, &file);
    rows.push_back(std::move(fields));
  }
  const std::vector<Outcome> back = ReadAll(file);
  ASSERT_EQ(back.size() + 1, rows.size());
  for (size_t i = 0; i < back.size(); ++i) ASSERT_EQ(back[i].fields, rows[i + 1]) << i;
}

TEST(CsvTest, OneEmptyFieldIsNotAnEmptyLine) {
  std::string file = "a\n";
  AppendCsvRow({""}, &file);
  EXPECT_EQ(file, "a\n\"\"\n");
}

TEST(CsvTest, EscapesOnlyWhereItHasTo) {
  EXPECT_EQ(CsvEscape("検査 花子"), "検査 花子");
  EXPECT_EQ(CsvEscape(""), "");
  EXPECT_EQ(CsvEscape("a,b"), "\"a,b\"");
  EXPECT_EQ(CsvEscape("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(CsvEscape("a\nb"), "\"a\nb\"");
  EXPECT_EQ(CsvEscape(" a"), "\" a\"");
}

TEST(CsvTest, NoBytesBreakTheReader) {
  std::mt19937 random(7);
  const char kBytes[] = {',', '"', '\n', '\r', 'a', '\x80', '\xe3', '\xff', '\0', ' '};
  for (int round = 0; round < 5000; ++round) {
    std::string file = "a,b\n";
    for (int n = static_cast<int>(random() % 60); n > 0; --n) file.push_back(kBytes[random() % 10]);
    for (const Outcome& row : ReadAll(file)) {
      if (row.reason.empty()) ASSERT_EQ(row.fields.size(), 2);
      ASSERT_GE(row.line, 2);
    }
  }
}

}  // namespace
}  // namespace vault::text
