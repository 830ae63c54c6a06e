// A municipality's file of any bytes: read to its end, within bounds, and no bad row passes for a
// good one.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>

#include "vault/base/logging.h"
#include "vault/text/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::StatusOr<vault::text::CsvReader> reader = vault::text::CsvReader::FromStream(
      std::make_unique<std::istringstream>(std::string(reinterpret_cast<const char*>(data), size)));
  if (!reader.ok()) return 0;
  const size_t width = reader->header().size();
  VAULT_CHECK(width > 0 && width <= vault::text::kCsvColumnsMax) << "a header without a width";
  vault::text::CsvRow row;
  uint64_t line_before = 1;
  for (size_t rows = 0;; ++rows) {
    VAULT_CHECK(rows <= size) << "more rows than bytes";
    absl::StatusOr<bool> more = reader->Next(&row);
    VAULT_CHECK(more.ok()) << "memory cannot fail to be read";
    if (!*more) break;
    VAULT_CHECK(row.line > line_before) << "rows go backwards";
    line_before = row.line;
    if (!row.status.ok()) continue;
    VAULT_CHECK(row.fields.size() == width) << "a good row of another width";
    size_t bytes = 0;
    for (const std::string& field : row.fields) bytes += field.size();
    VAULT_CHECK(bytes <= size) << "more in a row than in the file";
  }
  VAULT_CHECK(reader->bytes_read() <= size) << "more bytes than there are";
  return 0;
}
