// Columns for a person's terminal that line up in Japanese and in Latin letters. Whatever is
// printed here is made visible (visible.h).
#ifndef VAULT_CLI_DISPLAY_H_
#define VAULT_CLI_DISPLAY_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vault::cli {

// `text`, made visible line by line, in lines of at most `width` columns, each after `indent`
// spaces: broken at spaces, or between wide characters but never before one that closes something.
std::string Wrapped(absl::string_view text, int width, int indent);

// Columns that a terminal gives to `text`: 2 for wide and full-width characters, 0 for combining
// marks and variation selectors, else 1 (Unicode Standard Annex #11; ambiguous width counts as 1).
int DisplayWidth(absl::string_view text);

// `text`, made visible, in `width` columns at the most: of a longer one the beginning and "…".
std::string Fitted(absl::string_view text, int width);

// Rows under a heading, each column as wide as its widest cell. Cells are made visible as they come
// in.
class Table {
 public:
  // An empty heading list prints no heading.
  explicit Table(std::vector<std::string> headings);

  void AddRow(std::vector<std::string> cells);
  // Writes the rows gathered so far, the heading before the first of them, and forgets the rows but
  // not the widths: a long listing is printed page by page.
  void Flush(std::ostream& out, int indent = 0);

 private:
  void PrintRow(std::ostream& out, int indent, const std::vector<std::string>& cells) const;
  void Widen(const std::vector<std::string>& cells);

  std::vector<std::string> headings_;
  std::vector<int> widths_;
  std::vector<std::vector<std::string>> rows_;
  bool heading_printed_ = false;
};

}  // namespace vault::cli

#endif  // VAULT_CLI_DISPLAY_H_
