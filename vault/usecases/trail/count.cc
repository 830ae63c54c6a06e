// audit count: how many entries a log has, by action and day.
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/base/status.h"
#include "vault/tlog/entry.h"
#include "vault/usecases/trail/trail.h"

namespace vault::usecases {
namespace {

using pipeline::Call;
using pipeline::Outcome;

// How many entries one page looks at: a bound on its time.
constexpr uint64_t kScanMax = 20000;

}  // namespace

void Trail::Count(const pipeline::Caller& caller, CountRequest request,
                  pipeline::Reply<CountResult> reply) {
  pipeline::Asked asked(caller, policy::Action::kAuditList, request.log);
  asked.describe = [size = request.page.size](Call& call) {
    call.entry.action = "audit.count";
    return pipeline::PageSize(size).status();
  };
  pipeline_.Run(
      pipeline::Lane::kLong, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) { return PrepareCount(call, request); });
}

Outcome<CountResult> Trail::PrepareCount(Call& call, const CountRequest& request) const {
  const std::string listing = absl::StrCat("audit.count/", request.log);
  const absl::StatusOr<Position> from = OpenPosition(call, listing, request.page.token);
  if (!from.ok()) return pipeline_.Malformed(call, from.status());
  const size_t most = *pipeline::PageSize(request.page.size);
  std::map<std::pair<std::string, std::string>, uint64_t> counts;
  uint64_t looked = 0, next = from->size;
  const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
      options_.store->TakeSnapshot();
  if (!snapshot.ok()) return pipeline_.Conclude<CountResult>(call, snapshot.status());
  absl::Status bad;
  const absl::Status read = (*snapshot)->Scan(
      audit::EntryPrefix(call.log), audit::EntryKey(call.log, from->next),
      [&](absl::string_view, absl::string_view bytes) {
        const absl::StatusOr<tlog::Entry> entry = tlog::Decode(bytes);
        bad = entry.status();
        if (!bad.ok() || entry->place.seq >= from->size) return false;
        std::pair<std::string, std::string> key = {
            absl::FormatCivilTime(pipeline::TodayInJapan(entry->place.time)), entry->fields.action};
        const bool full = counts.size() == most && counts.count(key) == 0;
        if (full || looked++ == kScanMax) {
          next = entry->place.seq;
          return false;
        }
        ++counts[std::move(key)];
        return true;
      });
  if (!read.ok()) return pipeline_.Conclude<CountResult>(call, read);
  if (!bad.ok()) return pipeline_.Conclude<CountResult>(call, bad);
  CountResult result;
  result.size = from->size;
  for (const auto& [of, entries] : counts) result.counts.push_back({of.first, of.second, entries});
  if (next < from->size) {
    result.next_page_token = SealPosition(call, listing, {next, from->size});
  }
  tlog::EntryFields entry = call.entry;
  entry.count = static_cast<int64_t>(result.counts.size());
  return pipeline_.Allow(call, {std::move(entry)}, std::move(result));
}

}  // namespace vault::usecases
