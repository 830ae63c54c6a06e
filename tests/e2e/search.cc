#include "tests/e2e/search.h"

#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

size_t Characters(absl::string_view utf8) {
  size_t count = 0;
  for (unsigned char c : utf8) count += (c & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

void AppendUnit(uint32_t unit, bool big_endian, std::string* out) {
  const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xFF);
  out->push_back(big_endian ? high : low);
  out->push_back(big_endian ? low : high);
}

}  // namespace

std::string Utf16(absl::string_view utf8, bool big_endian) {
  std::string out;
  for (size_t i = 0; i < utf8.size();) {
    const unsigned char lead = utf8[i++];
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    uint32_t point = more == 0 ? lead : lead & (0x3F >> more);
    for (int k = 0; k < more && i < utf8.size(); ++k) {
      point = point << 6 | (static_cast<unsigned char>(utf8[i++]) & 0x3F);
    }
    if (point < 0x10000) {
      AppendUnit(point, big_endian, &out);
    } else {
      AppendUnit(0xD800 + ((point - 0x10000) >> 10), big_endian, &out);
      AppendUnit(0xDC00 + ((point - 0x10000) & 0x3FF), big_endian, &out);
    }
  }
  return out;
}

TextSearch::TextSearch() : maybe_(size_t{1} << 24) {}

uint64_t TextSearch::Head(const char* bytes) {
  uint64_t head;
  std::memcpy(&head, bytes, sizeof(head));
  return head;
}

void TextSearch::Add(const std::string& label, absl::string_view utf8) {
  if (Characters(utf8) < kCharactersMin || !texts_.insert(std::string(utf8)).second) return;
  AddBytes(std::string(utf8), label + ", UTF-8");
  AddBytes(Utf16(utf8, false), label + ", UTF-16LE");
  AddBytes(Utf16(utf8, true), label + ", UTF-16BE");
}

void TextSearch::AddBytes(const std::string& bytes, std::string label) {
  if (bytes.size() < kBytesMin) return;
  const uint64_t head = Head(bytes.data());
  lengths_[head].insert(bytes.size());
  maybe_[Slot(head)] = true;
  labels_.emplace(bytes, std::move(label));
}

std::vector<std::string> TextSearch::InFile(const std::string& path) const {
  std::vector<std::string> hits;
  const std::string file = ReadFileOrDie(path);
  const absl::string_view bytes = file;
  for (size_t at = 0; at + kBytesMin <= bytes.size(); ++at) {
    const uint64_t head = Head(bytes.data() + at);
    if (!maybe_[Slot(head)]) continue;
    const auto lengths = lengths_.find(head);
    if (lengths == lengths_.end()) continue;
    for (size_t length : lengths->second) {
      const auto found = labels_.find(bytes.substr(at, length));
      if (found != labels_.end()) {
        hits.push_back(absl::StrCat(path, " at ", at, ": ", found->second));
      }
    }
  }
  return hits;
}

std::vector<std::string> TextSearch::InFolder(const std::string& dir,
                                              const std::vector<std::string>& exempt,
                                              uint64_t* bytes_read) const {
  std::vector<std::string> hits;
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(dir)) {
    if (!file.is_regular_file()) continue;
    const std::string path = file.path().string();
    const std::string inside = path.substr(dir.size() + 1);
    bool skip = false;
    for (const std::string& prefix : exempt) skip |= absl::StartsWith(inside, prefix);
    if (skip) continue;
    bytes += file.file_size();
    for (std::string& hit : InFile(path)) hits.push_back(std::move(hit));
  }
  if (bytes_read != nullptr) *bytes_read = bytes;
  return hits;
}

}  // namespace vault::testing
