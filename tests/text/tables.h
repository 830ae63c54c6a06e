// What the tests of this folder read: tables of inputs with what is right, and shipped lists.
#ifndef VAULT_TESTS_TEXT_TABLES_H_
#define VAULT_TESTS_TEXT_TABLES_H_

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/base/logging.h"
#include "vault/text/towns.h"
#include "vault/text/unicode.h"

namespace vault::text {

inline std::string ReadSourceFile(const std::string& path) {
  std::ifstream file(absl::StrCat(VAULT_SOURCE_DIR, "/", path), std::ios::binary);
  VAULT_CHECK(file.is_open()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// "\\n" and "\\uXXXX" as what they stand for.
inline std::string Unescaped(const std::string& cell) {
  std::string out;
  for (size_t i = 0; i < cell.size(); ++i) {
    if (cell[i] != '\\') {
      out.push_back(cell[i]);
    } else if (cell[++i] == 'n') {
      out.push_back('\n');
    } else {
      VAULT_CHECK(cell[i] == 'u') << "an escape that the tables do not have";
      internal::AppendUtf8(static_cast<char32_t>(std::stoul(cell.substr(i + 1, 4), nullptr, 16)),
                           &out);
      i += 4;
    }
  }
  return out;
}

// The rows of tests/text/testdata/`name`, cell by cell, without those that begin with #.
inline std::vector<std::vector<std::string>> ReadTable(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(
           ReadSourceFile("tests/text/testdata/" + name), '\n', absl::SkipEmpty()))) {
    if (line[0] == '#') continue;
    std::vector<std::string>& row = rows.emplace_back();
    for (const std::string& cell : std::vector<std::string>(absl::StrSplit(line, '\t'))) {
      row.push_back(Unescaped(cell));
    }
  }
  return rows;
}

// The list that ships for this tenant.
inline Towns ShippedTowns(const std::string& tenant) {
  const std::string path = absl::StrCat("policies/towns/", tenant, ".txt");
  absl::StatusOr<Towns> towns = Towns::Parse(path, tenant, ReadSourceFile(path));
  VAULT_CHECK(towns.ok()) << towns.status();
  return *std::move(towns);
}

}  // namespace vault::text

#endif  // VAULT_TESTS_TEXT_TABLES_H_
