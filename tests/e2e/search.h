// Looks for many texts at once, as bytes in UTF-8, UTF-16LE and UTF-16BE, in every file of a
// folder: how the tests see that nothing readable lies on the disk.
//
//   TextSearch search;
//   search.Add("name", "架空　花子");
//   EXPECT_THAT(search.InFolder(dir, {"import", "certs"}), IsEmpty());
//
// A test that uses it plants a text and finds it: a search that finds nothing may be a search that
// does not look.
#ifndef VAULT_TESTS_E2E_SEARCH_H_
#define VAULT_TESTS_E2E_SEARCH_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace vault::testing {

std::string Utf16(absl::string_view utf8, bool big_endian);

class TextSearch {
 public:
  // Shorter ones stand in megabytes of ciphertext by chance.
  static constexpr size_t kCharactersMin = 4;
  static constexpr size_t kBytesMin = 8;

  TextSearch();
  // Each of the three encodings that has kBytesMin bytes; a text of fewer than kCharactersMin
  // characters not at all. `label` is what a hit calls it. The same text twice counts once.
  void Add(const std::string& label, absl::string_view utf8);
  size_t text_count() const { return texts_.size(); }

  // One line a hit: the file, the offset, the label and the encoding.
  std::vector<std::string> InFile(const std::string& path) const;
  // Of every regular file under `dir` but those whose path there begins with one of `exempt`.
  // `bytes_read` gets how many bytes were looked at.
  std::vector<std::string> InFolder(const std::string& dir, const std::vector<std::string>& exempt,
                                    uint64_t* bytes_read = nullptr) const;

 private:
  static uint64_t Head(const char* bytes);
  static size_t Slot(uint64_t head) { return head * 0x9E3779B97F4A7C15u >> 40; }
  void AddBytes(const std::string& bytes, std::string label);

  std::set<std::string> texts_;
  absl::flat_hash_map<std::string, std::string> labels_;  // by what is looked for
  // Which lengths there are behind eight first bytes; the bits say for most places that none is.
  absl::flat_hash_map<uint64_t, std::set<size_t>> lengths_;
  std::vector<bool> maybe_;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_SEARCH_H_
