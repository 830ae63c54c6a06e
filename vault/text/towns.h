// The 町字 of one municipality that a masked address may show.
//
//   ASSIGN_OR_RETURN(Towns towns, Towns::Parse("policies/towns/131164.txt", "131164", text));
//   std::string masked = MaskAddressToTown(address, towns);   // text.h
#ifndef VAULT_TEXT_TOWNS_H_
#define VAULT_TEXT_TOWNS_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::text {

namespace internal {
class PlaceText;
struct Municipality;
}  // namespace internal

// Immutable, and so thread-safe.
class Towns {
 public:
  // None: a mask shows an address to its municipality.
  Towns() = default;

  // Reads the list of a municipality, given by its 市区町村コード: UTF-8, one 町字 a line, without
  // 丁目, in a city that has wards behind its ward ("中区 本町"). Lines that are empty or begin
  // with # say nothing. INVALID_ARGUMENT "<file>:<line>: …" for the first line that could show more
  // than a 町字 or that nothing could ever match.
  static absl::StatusOr<Towns> Parse(absl::string_view file, absl::string_view code,
                                     absl::string_view text);

  // The end of the municipality with the longest of its 町字 at `from` of the folded text; `from`
  // where none stands there. `prefecture`: the index of the one that was written before, or -1.
  size_t End(const internal::PlaceText& address, size_t from, int prefecture) const;

 private:
  absl::Status AddLine(const internal::Municipality& municipality, absl::string_view line);

  int prefecture_ = -1;
  // Folded, each behind the names of its municipality.
  absl::flat_hash_set<std::string> names_;
  size_t longest_ = 0;
};

}  // namespace vault::text

#endif  // VAULT_TEXT_TOWNS_H_
