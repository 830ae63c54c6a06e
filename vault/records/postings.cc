#include "vault/records/postings.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vault/base/status.h"
#include "vault/records/record.h"

namespace vault::records {
namespace {

// Enough to tell the rarest criterion from the others.
constexpr size_t kFirstRead = 32;
constexpr size_t kNextRead = 128;

// Where a handle stands among all that there could be, in (0, 1].
double Position(const ResidentId& id) {
  double position = 0;
  for (size_t i = 8; i > 0; --i) {
    position = (position + static_cast<uint8_t>(id.bytes()[i - 1])) / 256;
  }
  return position + std::ldexp(1.0, -64);
}

double Count(const std::vector<Postings>& criterion) {
  double count = 0;
  for (const Postings& postings : criterion) count += postings.Count();
  return count;
}

}  // namespace

absl::Status ReadBudget::Take() {
  if (left == 0) {
    return Reason(absl::InvalidArgumentError("too many residents match; name one more field"),
                  "TOO_MANY_MATCHES");
  }
  --left;
  return absl::OkStatus();
}

absl::Status Postings::ReadSome(size_t most, ReadBudget* budget) {
  RETURN_IF_ERROR(budget->Take());
  const size_t enough = std::min(most, budget->left);
  if (enough == 0) return budget->Take();
  // Behind the last one: its key and one byte more.
  const std::string start =
      ids_.empty() ? "" : absl::StrCat(prefix_, ids_.back().bytes(), std::string(1, '\0'));
  size_t read = 0;
  absl::Status bad;
  RETURN_IF_ERROR(
      snapshot_->Scan(prefix_, start, [&](absl::string_view key, absl::string_view value) {
        const absl::StatusOr<ResidentId> id = PostingResident(key, value);
        bad = id.status();
        if (!bad.ok()) return false;
        ids_.push_back(*id);
        return ++read < enough;
      }));
  RETURN_IF_ERROR(bad);
  budget->left -= read;
  // Whether there are more is not known where the budget ended it.
  if (read == enough && enough < most) return budget->Take();
  ended_ = read < most;
  return absl::OkStatus();
}

double Postings::Count() const {
  const double read = static_cast<double>(ids_.size());
  return ended_ || ids_.empty() ? read : read / Position(ids_.back());
}

absl::StatusOr<bool> Postings::Has(const ResidentId& id, ReadBudget* budget) const {
  if (ended_ || (!ids_.empty() && !(ids_.back() < id))) {
    return std::binary_search(ids_.begin(), ids_.end(), id);
  }
  RETURN_IF_ERROR(budget->Take());
  std::string value;
  const absl::Status got = snapshot_->Get(absl::StrCat(prefix_, id.bytes()), &value);
  if (!got.ok() && !absl::IsNotFound(got)) return got;
  return got.ok();
}

absl::StatusOr<std::vector<ResidentId>> Intersect(std::vector<std::vector<Postings>> criteria,
                                                  size_t limit, ReadBudget* budget) {
  // Of one criterion all that can be wanted comes at once.
  const size_t first = criteria.size() == 1 ? limit : kFirstRead;
  for (std::vector<Postings>& criterion : criteria) {
    for (Postings& postings : criterion) RETURN_IF_ERROR(postings.ReadSome(first, budget));
  }
  const auto rarest =
      std::min_element(criteria.begin(), criteria.end(),
                       [](const auto& a, const auto& b) { return Count(a) < Count(b); });
  const auto under_all = [&](const ResidentId& id) -> absl::StatusOr<bool> {
    for (auto criterion = criteria.begin(); criterion != criteria.end(); ++criterion) {
      bool has = criterion == rarest;
      for (size_t i = 0; !has && i < criterion->size(); ++i) {
        ASSIGN_OR_RETURN(has, (*criterion)[i].Has(id, budget));
      }
      if (!has) return false;
    }
    return true;
  };

  std::vector<ResidentId> found;
  for (Postings& postings : *rarest) {
    for (size_t next = 0; found.size() < limit; ++next) {
      if (next == postings.ids().size() && !postings.ended()) {
        RETURN_IF_ERROR(postings.ReadSome(kNextRead, budget));
      }
      if (next == postings.ids().size()) break;
      ASSIGN_OR_RETURN(const bool matches, under_all(postings.ids()[next]));
      if (matches) found.push_back(postings.ids()[next]);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace vault::records
