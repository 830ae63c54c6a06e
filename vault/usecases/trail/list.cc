// audit list, head: pages of entries that match a filter; how long a log is.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/usecases/trail/trail.h"

namespace vault::usecases {
namespace {

using pipeline::Asked;
using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using policy::Action;

// How many entries one call looks at, whatever it finds: a bound on its time.
constexpr size_t kScanMax = 20000;
constexpr size_t kPositionSize = 16;

bool IsActionName(absl::string_view text) {
  return text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || c == '.' || c == '_';
         });
}

// The listing that a page token is of: the log and the filter.
std::string ListingOf(const ListRequest& request) {
  const trail::LogFilter& f = request.filter;
  return crypto::LengthPrefixed({"audit.list", request.log, f.resident, f.actor, f.action,
                                 f.decision, absl::FormatTime(f.from, absl::UTCTimeZone()),
                                 absl::FormatTime(f.to, absl::UTCTimeZone())});
}

absl::Status CheckFilter(const trail::LogFilter& filter) {
  if (!filter.resident.empty()) {
    const absl::Status parsed = ResidentId::Parse(filter.resident).status();
    if (!parsed.ok()) return BadField("resident_id", parsed.message());
  }
  if (!filter.actor.empty() && !pipeline::IsSubject(filter.actor)) {
    return BadField("actor", "a subject such as urn:vault:operator-toshima");
  }
  if (!IsActionName(filter.action)) return BadField("action", "an action such as resident.get");
  if (!filter.decision.empty() && filter.decision != "ALLOW" && filter.decision != "DENY") {
    return BadField("decision", "ALLOW or DENY");
  }
  if (filter.from > filter.to) return BadField("end_time", "not before start_time");
  return absl::OkStatus();
}

// What was asked by, for the entry.
std::vector<std::string> QueryOf(const trail::LogFilter& filter) {
  std::vector<std::string> query;
  if (!filter.resident.empty()) query.push_back("resident");
  if (!filter.actor.empty()) query.push_back("actor");
  if (!filter.action.empty()) query.push_back("action");
  if (!filter.decision.empty()) query.push_back("decision");
  if (filter.from != absl::InfinitePast()) query.push_back("from");
  if (filter.to != absl::InfiniteFuture()) query.push_back("to");
  return query;
}

}  // namespace

absl::StatusOr<Trail::Position> Trail::OpenPosition(const Call& call, const std::string& listing,
                                                    const std::string& token) const {
  if (token.empty()) return Position{0, options_.sequencer->GetHead(call.log).size};
  ASSIGN_OR_RETURN(const std::string bytes, pipeline_.OpenToken(call, listing, token));
  if (bytes.size() != kPositionSize) return pipeline::BadPageToken();
  return Position{ReadU64(bytes), ReadU64(absl::string_view(bytes).substr(8))};
}

std::string Trail::SealPosition(const Call& call, const std::string& listing,
                                const Position& position) const {
  std::string bytes;
  AppendU64(position.next, &bytes);
  AppendU64(position.size, &bytes);
  return pipeline_.SealToken(call, listing, bytes);
}

void Trail::List(const pipeline::Caller& caller, ListRequest request,
                 pipeline::Reply<ListResult> reply) {
  Asked asked(caller, Action::kAuditList, request.log);
  asked.describe = [filter = request.filter, size = request.page.size](Call& call) {
    call.entry.query = QueryOf(filter);
    return AllBadFields({pipeline::PageSize(size).status(), CheckFilter(filter)});
  };
  // A page may decode thousands of entries: not on a thread that lookups wait for.
  pipeline_.Run(
      Lane::kLong, std::move(reply), std::move(asked),
      [this, request = std::move(request)](Call& call) { return PrepareList(call, request); });
}

Outcome<ListResult> Trail::PrepareList(Call& call, const ListRequest& request) const {
  const std::string listing = ListingOf(request);
  const absl::StatusOr<Position> from = OpenPosition(call, listing, request.page.token);
  if (!from.ok()) return pipeline_.Malformed(call, from.status());
  ListResult result;
  result.size = from->size;
  absl::StatusOr<trail::LogPage> page =
      trail::ReadPage(*options_.store, call.log, request.filter, from->next, from->size,
                      *pipeline::PageSize(request.page.size), kScanMax);
  if (!page.ok()) return pipeline_.Conclude<ListResult>(call, page.status());
  result.records = std::move(page->records);
  if (page->next_seq < result.size) {
    result.next_page_token = SealPosition(call, listing, {page->next_seq, result.size});
  }
  tlog::EntryFields entry = call.entry;
  entry.count = result.records.size();
  return pipeline_.Allow(call, {std::move(entry)}, std::move(result));
}

void Trail::Head(const pipeline::Caller& caller, std::string log,
                 pipeline::Reply<audit::Sequencer::Head> reply) {
  pipeline_.Run(Lane::kQuick, std::move(reply), Asked(caller, Action::kAuditHead, std::move(log)),
                [this](Call& call) -> Outcome<audit::Sequencer::Head> {
                  return pipeline_.Allow(call, {call.entry}, options_.sequencer->GetHead(call.log));
                });
}

}  // namespace vault::usecases
