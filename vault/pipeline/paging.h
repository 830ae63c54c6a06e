// Pages of lists. One rule for all of them: a size of 0 is the default, one out of range an error;
// the token of the next page is sealed to the caller and to the list that it was given for.
#ifndef VAULT_PIPELINE_PAGING_H_
#define VAULT_PIPELINE_PAGING_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/random.h"
#include "vault/crypto/crypto.h"

namespace vault::pipeline {

inline constexpr int kPageSizeMax = 1000;
inline constexpr int kPageSizeDefault = 100;

struct PageRequest {
  int size = 0;
  std::string token;  // of the last page; empty: the first
};

template <typename Row>
struct Page {
  std::vector<Row> rows;
  std::string next_page_token;  // empty at the end
};

// How many rows the page may have. INVALID_ARGUMENT, reason PAGE_SIZE.
absl::StatusOr<size_t> PageSize(int asked);

// `position` as a token for `list`: which list it is, of whom, by which filter. Anybody else's, and
// any other list's, does not open (INVALID_ARGUMENT, reason PAGE_TOKEN).
std::string SealPageToken(crypto::AeadKey key, absl::string_view subject, absl::string_view list,
                          absl::string_view position, Random& random);
absl::StatusOr<std::string> OpenPageToken(crypto::AeadKey key, absl::string_view subject,
                                          absl::string_view list, absl::string_view token);
absl::Status BadPageToken();

// The rows of `all` behind the one whose id is `after` (empty: from the first), `size` of them at
// most; `*last` is the id to go on behind, empty where nothing is left. A row that has gone since
// makes the token a bad one.
template <typename Row, typename IdOf>
absl::StatusOr<std::vector<Row>> TakePage(std::vector<Row> all, absl::string_view after,
                                          size_t size, IdOf id_of, std::string* last) {
  auto from = all.begin();
  if (!after.empty()) {
    from =
        std::find_if(all.begin(), all.end(), [&](const Row& row) { return id_of(row) == after; });
    if (from == all.end()) return BadPageToken();
    ++from;
  }
  const size_t count = std::min<size_t>(size, all.end() - from);
  std::vector<Row> page(std::make_move_iterator(from), std::make_move_iterator(from + count));
  *last = from + count == all.end() || count == 0 ? std::string() : id_of(page.back());
  return page;
}

}  // namespace vault::pipeline

#endif  // VAULT_PIPELINE_PAGING_H_
