#include "vault/text/csv.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/text/text.h"

namespace vault::text {
namespace {

constexpr size_t kBufferBytes = size_t{64} << 10;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

void AppendEscaped(absl::string_view field, std::string* out) {
  const bool spaced = !field.empty() && (field.front() == ' ' || field.back() == ' ');
  if (!spaced && field.find_first_of(",\"\r\n") == absl::string_view::npos) {
    out->append(field.data(), field.size());
    return;
  }
  out->push_back('"');
  for (char c : field) {
    if (c == '"') out->push_back('"');
    out->push_back(c);
  }
  out->push_back('"');
}

}  // namespace

absl::StatusOr<CsvReader> CsvReader::Open(const std::string& path) {
  auto file = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!file->is_open()) return absl::NotFoundError("the CSV file cannot be opened");
  absl::optional<uint64_t> size;
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) {
    size = std::filesystem::file_size(path, error);
    if (error) return absl::NotFoundError("the CSV file cannot be looked at");
  }
  CsvReader reader(std::move(file), size);
  RETURN_IF_ERROR(reader.ReadHeader());
  return reader;
}

absl::StatusOr<CsvReader> CsvReader::FromStream(std::unique_ptr<std::istream> stream) {
  CsvReader reader(std::move(stream), absl::nullopt);
  RETURN_IF_ERROR(reader.ReadHeader());
  return reader;
}

absl::Status CsvReader::CheckRead() const {
  if (stream_->bad()) return absl::DataLossError("the CSV file cannot be read");
  if (stream_->eof() && size_.has_value() && bytes_read_ < *size_) {
    return absl::DataLossError("the CSV file became shorter while it was read");
  }
  return absl::OkStatus();
}

absl::optional<size_t> CsvReader::IndexOf(absl::string_view column) const {
  for (size_t i = 0; i < header_.size(); ++i) {
    if (header_[i] == column) return i;
  }
  return absl::nullopt;
}

absl::Status CsvReader::ReadHeader() {
  if (Refill() && absl::string_view(buffer_.data(), end_).substr(0, 3) == kByteOrderMark) pos_ = 3;
  CsvRow row;
  size_t width = 0;
  bool blank = false;
  const bool any = ReadRecord(&row, &width, &blank);
  RETURN_IF_ERROR(CheckRead());
  if (!any) {
    return Reason(absl::InvalidArgumentError("the CSV file is empty: expected a header row"),
                  "CSV_EMPTY");
  }
  RETURN_IF_ERROR(row.status);
  absl::flat_hash_set<absl::string_view> names;
  bool valid = !blank && width <= kCsvColumnsMax;
  for (const std::string& name : row.fields)
    valid = valid && !name.empty() && names.insert(name).second;
  if (!valid) {
    return Reason(absl::InvalidArgumentError(
                      "line 1: expected a header row that names each column, and none twice"),
                  "CSV_HEADER");
  }
  header_ = std::move(row.fields);
  return absl::OkStatus();
}

absl::StatusOr<bool> CsvReader::Next(CsvRow* row) {
  size_t width = 0;
  bool blank = false;
  bool any;
  do {
    any = ReadRecord(row, &width, &blank);
  } while (any && blank && header_.size() > 1);
  RETURN_IF_ERROR(CheckRead());
  if (!any) return false;
  if (row->status.ok() && width != header_.size()) {
    row->status =
        Reason(absl::InvalidArgumentError(absl::StrCat("line ", row->line, ": expected ",
                                                       header_.size(), " fields, found ", width)),
               "CSV_ROW_WIDTH");
  }
  return true;
}

bool CsvReader::ReadRecord(CsvRow* row, size_t* width, bool* blank) {
  row->line = line_;
  row->status = absl::OkStatus();
  *width = 0;
  if (Peek() == kEnd) return false;
  *blank = AtLineEnd();
  const size_t stored_max = header_.empty() ? kCsvColumnsMax : header_.size();
  while (true) {
    // Fields beyond the width are counted, all in one place that is not kept.
    const size_t index = *width < stored_max ? *width : stored_max;
    if (row->fields.size() <= index) row->fields.resize(index + 1);
    ReadField(row, index);
    ++*width;
    if (Peek() != ',') break;
    Take();
  }
  TakeLineEnd();
  row->fields.resize(*width < stored_max ? *width : stored_max);
  return true;
}

void CsvReader::ReadField(CsvRow* row, size_t index) {
  std::string* field = &row->fields[index];
  field->clear();
  const uint64_t line = line_, column = column_;
  if (Peek() == '"') ReadQuoted(row, field);
  ReadUnquoted(row, field);
  if (!IsUtf8(*field)) Fail(row, line, column, "this field is not UTF-8", "CSV_NOT_UTF8");
}

void CsvReader::ReadQuoted(CsvRow* row, std::string* field) {
  const uint64_t line = line_, column = column_;
  Take();
  while (true) {
    const int byte = Take();
    if (byte == kEnd) {
      // Whatever else was wrong, this explains it.
      row->status = absl::OkStatus();
      Fail(row, line, column, "the quotes opened here are never closed", "CSV_QUOTES_OPEN");
      field->clear();
      return;
    }
    if (byte == '"') {
      if (Peek() != '"') break;
      Take();
    }
    Append(row, field, byte);
  }
  if (Peek() != kEnd && Peek() != ',' && !AtLineEnd()) {
    Fail(row, line_, column_, "expected a comma or the line's end after closing quotes",
         "CSV_STRAY_QUOTE");
  }
}

void CsvReader::ReadUnquoted(CsvRow* row, std::string* field) {
  while (Peek() != kEnd && Peek() != ',' && !AtLineEnd()) {
    if (Peek() == '"') {
      Fail(row, line_, column_, "quotes within a field that does not begin with them",
           "CSV_STRAY_QUOTE");
    }
    Append(row, field, Take());
  }
}

void CsvReader::Append(CsvRow* row, std::string* field, int byte) {
  if (field->size() < kCsvFieldBytesMax) {
    field->push_back(static_cast<char>(byte));
    return;
  }
  Fail(row, line_, column_, "the field is longer than 2 MiB", "CSV_FIELD_TOO_LONG");
}

void CsvReader::Fail(CsvRow* row, uint64_t line, uint64_t column, absl::string_view what,
                     absl::string_view reason) {
  if (!row->status.ok()) return;
  row->status = Reason(
      absl::InvalidArgumentError(absl::StrCat("line ", line, ", column ", column, ": ", what)),
      reason);
}

bool CsvReader::Refill() {
  if (!stream_->good()) return false;
  buffer_.resize(kBufferBytes + 1);
  // The last byte stays in front: AtLineEnd looks one byte ahead of it.
  const size_t kept = end_ - pos_;
  VAULT_CHECK(kept <= 1) << "a refill happens at the buffer's end";
  if (kept == 1) buffer_[0] = buffer_[pos_];
  stream_->read(&buffer_[kept], kBufferBytes);
  const size_t got = static_cast<size_t>(stream_->gcount());
  bytes_read_ += got;
  pos_ = 0;
  end_ = kept + got;
  return got > 0;
}

int CsvReader::Take() {
  const int byte = Peek();
  if (byte == kEnd) return kEnd;
  ++pos_;
  if (byte == '\n') {
    ++line_;
    column_ = 1;
  } else if ((byte & 0xC0) != 0x80) {
    ++column_;
  }
  return byte;
}

bool CsvReader::AtLineEnd() {
  const int byte = Peek();
  if (byte == '\n') return true;
  if (byte != '\r') return false;
  if (pos_ + 1 >= end_) Refill();
  // A file that ends in CR ends its last line so.
  return pos_ + 1 >= end_ || buffer_[pos_ + 1] == '\n';
}

void CsvReader::TakeLineEnd() {
  if (Peek() == '\r') Take();
  if (Peek() == '\n') Take();
}

std::string CsvEscape(absl::string_view field) {
  std::string out;
  AppendEscaped(field, &out);
  return out;
}

void AppendCsvRow(absl::Span<const std::string> fields, std::string* out) {
  // A single empty field without quotes would be an empty line.
  if (fields.size() == 1 && fields[0].empty()) absl::StrAppend(out, "\"\"");
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendEscaped(fields[i], out);
  }
  out->push_back('\n');
}

}  // namespace vault::text
