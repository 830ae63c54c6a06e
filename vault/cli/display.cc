#include "vault/cli/display.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/cli/visible.h"

namespace vault::cli {
namespace {

int CharacterWidth(UChar32 c) {
  switch (u_charType(c)) {
    case U_NON_SPACING_MARK:
    case U_ENCLOSING_MARK:
    case U_FORMAT_CHAR:
      return 0;
    default:
      break;
  }
  const int32_t width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
  return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
}

// What must not stand at the beginning of a line of Japanese.
bool Closes(absl::string_view character) {
  for (const char* const closing : {"。", "、", "）", "」", "』", "】", "：", "・", "ー", "々"}) {
    if (character == closing) return true;
  }
  return false;
}

// What of a visible line is never divided: a word, or one wide character, with the spaces after it.
struct Chunk {
  absl::string_view text;
  int width = 0;
  int spaces = 0;
};

std::vector<Chunk> ChunksOf(absl::string_view line) {
  std::vector<Chunk> chunks;
  const int32_t size = static_cast<int32_t>(line.size());
  bool open = false;  // the last chunk is a word that goes on
  for (int32_t i = 0; i < size;) {
    const int32_t start = i;
    UChar32 c;
    U8_NEXT(line.data(), i, size, c);
    const absl::string_view character = line.substr(start, i - start);
    if (c == ' ' && !chunks.empty()) {
      ++chunks.back().spaces;
      open = false;
      continue;
    }
    const int width = c < 0 ? 1 : CharacterWidth(c);
    const bool joins = open && (width < 2 || Closes(character));
    const bool clings = !open && !chunks.empty() && chunks.back().spaces == 0 && Closes(character);
    if (joins || clings) {
      Chunk& last = chunks.back();
      last.text = absl::string_view(last.text.data(), last.text.size() + character.size());
      last.width += width;
    } else {
      chunks.push_back({character, width, 0});
    }
    open = width < 2;
  }
  return chunks;
}

}  // namespace

std::string Wrapped(absl::string_view text, int width, int indent) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(absl::StripTrailingAsciiWhitespace(text), '\n')) {
    const std::string visible = Visible(line);
    std::string wrapped;
    int column = 0, spaces = 0;
    for (const Chunk& chunk : ChunksOf(visible)) {
      if (column > 0 && indent + column + spaces + chunk.width > width) {
        absl::StrAppend(&out, std::string(indent, ' '), wrapped, "\n");
        wrapped.clear();
        column = spaces = 0;
      }
      absl::StrAppend(&wrapped, std::string(spaces, ' '), chunk.text);
      column += spaces + chunk.width;
      spaces = chunk.spaces;
    }
    absl::StrAppend(&out, wrapped.empty() ? "" : std::string(indent, ' '), wrapped, "\n");
  }
  return out;
}

int DisplayWidth(absl::string_view text) {
  int width = 0;
  const int32_t size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT(text.data(), i, size, c);
    width += c < 0 ? 1 : CharacterWidth(c);
  }
  return width;
}

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
  Widen(headings_);
}

void Table::Widen(const std::vector<std::string>& cells) {
  if (widths_.size() < cells.size()) widths_.resize(cells.size(), 0);
  for (size_t i = 0; i < cells.size(); ++i) {
    widths_[i] = std::max(widths_[i], DisplayWidth(cells[i]));
  }
}

void Table::AddRow(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = Visible(cell);
  Widen(cells);
  rows_.push_back(std::move(cells));
}

void Table::Flush(std::ostream& out, int indent) {
  if (!heading_printed_ && !headings_.empty() && !rows_.empty()) {
    PrintRow(out, indent, headings_);
    heading_printed_ = true;
  }
  for (const std::vector<std::string>& row : rows_) PrintRow(out, indent, row);
  rows_.clear();
}

void Table::PrintRow(std::ostream& out, int indent, const std::vector<std::string>& cells) const {
  std::string line(indent, ' ');
  size_t padding = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    // Padding waits for the next cell that holds something: no line ends in spaces.
    if (!cells[i].empty()) {
      line.append(padding, ' ');
      line += cells[i];
      padding = 0;
    }
    padding += widths_[i] - DisplayWidth(cells[i]) + 2;
  }
  out << line << "\n";
}

std::string Fitted(absl::string_view text, int width) {
  const std::string visible = Visible(text);
  if (DisplayWidth(visible) <= width) return visible;
  const int32_t size = static_cast<int32_t>(visible.size());
  int32_t end = 0;
  for (int used = 1;;) {  // the ellipsis
    int32_t next = end;
    UChar32 c;
    U8_NEXT(visible.data(), next, size, c);
    used += CharacterWidth(c);
    if (used > width) return absl::StrCat(visible.substr(0, end), "…");
    end = next;
  }
}

}  // namespace vault::cli
