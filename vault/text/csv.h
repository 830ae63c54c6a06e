// CSV files as municipalities send them: RFC 4180 in UTF-8, a row at a time, so that millions of
// rows pass through one row's memory.
//
//   ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(path));
//   CsvRow row;
//   while (true) {
//     ASSIGN_OR_RETURN(bool more, reader.Next(&row));   // the file cannot be read
//     if (!more) break;
//     if (!row.status.ok()) { report(row.line, row.status); continue; }   // this row only
//     use(row.fields);                                  // as many as reader.header()
//   }
//
// A byte order mark is allowed, lines end in LF or CRLF, quoted fields hold commas, quotes ("") and
// line breaks. Empty lines are skipped where the header names more than one column. Errors give
// line and column (from 1, in characters) and what is wrong, never a field's content; their reasons
// are constants (base/status.h).
#ifndef VAULT_TEXT_CSV_H_
#define VAULT_TEXT_CSV_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"

namespace vault::text {

constexpr size_t kCsvFieldBytesMax = size_t{2} << 20;
constexpr size_t kCsvColumnsMax = 1000;

struct CsvRow {
  uint64_t line = 0;  // where the row begins, from 1; the header stands on line 1
  // INVALID_ARGUMENT, reason: CSV_ROW_WIDTH, CSV_NOT_UTF8, CSV_FIELD_TOO_LONG, CSV_STRAY_QUOTE,
  // CSV_QUOTES_OPEN (line and column are where they were opened; no row follows).
  absl::Status status;
  std::vector<std::string> fields;  // meaningful only where `status` is OK
};

// Not thread-safe.
class CsvReader {
 public:
  // Opens and reads the header. NOT_FOUND where the file cannot be opened; INVALID_ARGUMENT for an
  // empty file (reason CSV_EMPTY), a first line without names, or a name that stands twice
  // (CSV_HEADER), or as a row's.
  // Reads it once, front to back: a pipe will do.
  static absl::StatusOr<CsvReader> Open(const std::string& path);
  static absl::StatusOr<CsvReader> FromStream(std::unique_ptr<std::istream> stream);

  CsvReader(CsvReader&&) = default;
  CsvReader& operator=(CsvReader&&) = default;

  const std::vector<std::string>& header() const { return header_; }
  // Where the header names `column`.
  absl::optional<size_t> IndexOf(absl::string_view column) const;

  // Reads the next row into `*row`; false at the end. An error (DATA_LOSS) means that reading
  // itself failed, or that the file ends before its size: that is no end, and the row before it may
  // be cut.
  absl::StatusOr<bool> Next(CsvRow* row);
  // For a progress bar: the bytes that the header and the rows so far take, and those of the whole
  // where it is known, which is of regular files.
  uint64_t bytes_read() const { return bytes_read_ - (end_ - pos_); }
  absl::optional<uint64_t> size() const { return size_; }

 private:
  static constexpr int kEnd = -1;

  CsvReader(std::unique_ptr<std::istream> stream, absl::optional<uint64_t> size)
      : stream_(std::move(stream)), size_(size) {}

  absl::Status ReadHeader();
  // DATA_LOSS where what was read is not all that there is.
  absl::Status CheckRead() const;
  // False at the end of the file; otherwise one record, whatever its width. `blank`: an empty line.
  bool ReadRecord(CsvRow* row, size_t* width, bool* blank);
  void ReadField(CsvRow* row, size_t index);
  void ReadQuoted(CsvRow* row, std::string* field);
  void ReadUnquoted(CsvRow* row, std::string* field);
  void Append(CsvRow* row, std::string* field, int byte);
  // Keeps the row's first error only: the others follow from it.
  void Fail(CsvRow* row, uint64_t line, uint64_t column, absl::string_view what,
            absl::string_view reason);

  bool Refill();
  int Peek() { return pos_ < end_ || Refill() ? static_cast<unsigned char>(buffer_[pos_]) : kEnd; }
  int Take();
  bool AtLineEnd();
  void TakeLineEnd();

  std::unique_ptr<std::istream> stream_;
  absl::optional<uint64_t> size_;
  std::string buffer_;
  size_t pos_ = 0, end_ = 0;
  uint64_t bytes_read_ = 0;         // those in the buffer too
  uint64_t line_ = 1, column_ = 1;  // of the next byte
  std::vector<std::string> header_;
};

// `field` as it stands in a CSV row: quoted where it has to be.
std::string CsvEscape(absl::string_view field);
// One row with its LF.
void AppendCsvRow(absl::Span<const std::string> fields, std::string* out);

}  // namespace vault::text

#endif  // VAULT_TEXT_CSV_H_
