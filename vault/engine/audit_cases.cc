// The use cases that question the trail. Asking is an entry too.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/engine/engine.h"
#include "vault/engine/pass.h"

namespace vault::engine {
namespace {

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
  const audit::LogFilter& f = request.filter;
  return crypto::LengthPrefixed({"audit.list", request.log, f.resident, f.actor, f.action,
                                 f.decision, absl::FormatTime(f.from, absl::UTCTimeZone()),
                                 absl::FormatTime(f.to, absl::UTCTimeZone())});
}

// Where a listing goes on, and the size of the log that it is about.
std::string EncodePosition(uint64_t next, uint64_t size) {
  std::string out;
  AppendU64(next, &out);
  AppendU64(size, &out);
  return out;
}

}  // namespace

void Engine::List(const CallInfo& info, ListRequest request, Done<ListResult> done) {
  // A page may decode thousands of entries: a job's thread, not one that lookups wait for.
  RunJob<ListResult>(std::move(done), [this, info, request = std::move(request)] {
    return PrepareList(info, request);
  });
}

absl::Status Engine::CheckFilter(const audit::LogFilter& filter) const {
  if (!filter.resident.empty()) {
    const absl::Status parsed = ResidentId::Parse(filter.resident).status();
    if (!parsed.ok()) return BadField("resident_id", parsed.message());
  }
  if (!filter.actor.empty() && !IsSubject(filter.actor)) {
    return BadField("actor", "a subject such as urn:vault:operator-toshima");
  }
  if (!IsActionName(filter.action)) return BadField("action", "an action such as resident.get");
  if (!filter.decision.empty() && filter.decision != "ALLOW" && filter.decision != "DENY") {
    return BadField("decision", "ALLOW or DENY");
  }
  if (filter.from > filter.to) return BadField("end_time", "not before start_time");
  return absl::OkStatus();
}

std::string Engine::SealToken(const Call& call, absl::string_view list,
                              absl::string_view position) const {
  const keys::KeyPtr key = options_.keyring->token_key();
  return SealPageToken(crypto::AeadKey(key->Expose()), call.info.subject, list, position,
                       *options_.random);
}

absl::StatusOr<std::string> Engine::OpenToken(const Call& call, absl::string_view list,
                                              absl::string_view token) const {
  const keys::KeyPtr key = options_.keyring->token_key();
  return OpenPageToken(crypto::AeadKey(key->Expose()), call.info.subject, list, token);
}

absl::StatusOr<Engine::Prepared<ListResult>> Engine::PrepareList(const CallInfo& info,
                                                                 const ListRequest& request) {
  constexpr Action kAction = Action::kAuditList;
  absl::StatusOr<Call> begun = Begin(info, kAction, request.log, nullptr, {}, {}, {});
  if (!begun.ok()) return Malformed(info, kAction, begun.status());
  Call& call = *begun;
  const absl::StatusOr<size_t> page_size = PageSize(request.page.size);
  if (!page_size.ok()) return Malformed(info, kAction, page_size.status());
  const absl::Status filter = CheckFilter(request.filter);
  if (!filter.ok()) return Malformed(info, kAction, filter);
  if (!request.filter.resident.empty()) call.entry.query.push_back("resident");
  if (!request.filter.actor.empty()) call.entry.query.push_back("actor");
  if (!request.filter.action.empty()) call.entry.query.push_back("action");
  if (!request.filter.decision.empty()) call.entry.query.push_back("decision");
  if (request.filter.from != absl::InfinitePast()) call.entry.query.push_back("from");
  if (request.filter.to != absl::InfiniteFuture()) call.entry.query.push_back("to");
  if (!call.decision.allow) return Refuse<ListResult>(call);

  uint64_t from = 0;
  ListResult result;
  if (request.page.token.empty()) {
    // Fixed before this listing's own entry, and by the token for all its pages.
    result.size = options_.sequencer->GetHead(call.log).size;
  } else {
    absl::StatusOr<std::string> position = OpenToken(call, ListingOf(request), request.page.token);
    if (position.ok() && position->size() != kPositionSize) position = BadPageToken();
    if (!position.ok()) return Malformed(info, kAction, position.status());
    from = ReadU64(*position);
    result.size = ReadU64(absl::string_view(*position).substr(8));
  }
  absl::StatusOr<audit::LogPage> page = audit::ReadPage(*options_.store, call.log, request.filter,
                                                        from, result.size, *page_size, kScanMax);
  if (!page.ok()) return Conclude<ListResult>(call, call.entry, page.status());
  result.records = std::move(page->records);
  if (page->next_seq < result.size) {
    result.next_page_token =
        SealToken(call, ListingOf(request), EncodePosition(page->next_seq, result.size));
  }
  tlog::EntryFields entry = call.entry;
  entry.count = result.records.size();
  return Allow<ListResult>(call, {std::move(entry)}, std::move(result));
}

void Engine::Head(const CallInfo& info, std::string log, Done<audit::Sequencer::Head> done) {
  using Head = audit::Sequencer::Head;
  Run<Head>(std::move(done),
            [this, info, log = std::move(log)]() -> absl::StatusOr<Prepared<Head>> {
              constexpr Action kAction = Action::kAuditHead;
              absl::StatusOr<Call> call = Begin(info, kAction, log, nullptr, {}, {}, {});
              if (!call.ok()) return Malformed(info, kAction, call.status());
              if (!call->decision.allow) return Refuse<Head>(*call);
              return Allow<Head>(*call, {call->entry}, options_.sequencer->GetHead(call->log));
            });
}

// Two entries: one before any progress is reported, that names how far it will look, and one before
// the verdict.
void Engine::Verify(const CallInfo& info, std::string log, VerifyProgress progress,
                    Done<audit::Verdict> done) {
  auto call = std::make_shared<absl::StatusOr<Call>>(absl::UnknownError(""));
  auto place = std::make_shared<Place>(this);
  auto open = [this, info, log = std::move(log), place,
               call]() -> absl::StatusOr<Prepared<audit::LogClaims>> {
    constexpr Action kAction = Action::kAuditVerify;
    *call = Begin(info, kAction, log, nullptr, {}, {}, {});
    if (!call->ok()) return Malformed(info, kAction, call->status());
    if (!(*call)->decision.allow) return Refuse<audit::LogClaims>(**call);
    if (!place->Take(Long::kWalk)) {
      return Conclude<audit::LogClaims>(**call, (*call)->entry, JobsBusy());
    }
    audit::LogClaims claims;
    // In this order: what was signed is never longer than the log.
    claims.pinned = options_.sequencer->GetPinned((*call)->log);
    claims.head = options_.sequencer->GetHead((*call)->log);
    tlog::EntryFields entry = (*call)->entry;
    entry.count = claims.head.size;
    return Allow<audit::LogClaims>(**call, {std::move(entry)}, std::move(claims));
  };
  auto opened = [this, call, place, progress = std::move(progress),
                 done = std::move(done)](absl::StatusOr<audit::LogClaims> claims) mutable {
    if (!claims.ok()) return done(claims.status());
    StartWalk(place, [this, call, claims = *std::move(claims), done = std::move(done),
                      progress = std::move(progress)]() mutable {
      absl::StatusOr<audit::Verdict> verdict = VerifyOnJob((*call)->log, claims, progress);
      return [this, call, verdict = std::move(verdict), done = std::move(done)]() mutable {
        ReportVerdict(**call, std::move(verdict), std::move(done));
      };
    });
  };
  Run<audit::LogClaims>(std::move(opened), std::move(open));
}

// A whole log was walked for it: no full queue refuses it now.
void Engine::ReportVerdict(const Call& call, absl::StatusOr<audit::Verdict> verdict,
                           Done<audit::Verdict> done) {
  auto prepare = [this, call, verdict]() -> absl::StatusOr<Prepared<audit::Verdict>> {
    tlog::EntryFields entry = call.entry;
    if (!verdict.ok()) return Conclude<audit::Verdict>(call, entry, verdict.status());
    entry.outcome = verdict->good ? "OK" : "DATA_LOSS";
    return Allow<audit::Verdict>(call, {entry}, audit::Verdict(*verdict));
  };
  Run<audit::Verdict>(std::move(done), std::move(prepare), Admission::kGranted);
}

absl::StatusOr<audit::Verdict> Engine::VerifyOnJob(const LogId& log, audit::LogClaims claims,
                                                   VerifyProgress& progress) {
  ASSIGN_OR_RETURN(claims.keys, options_.checkpointer->Keys(log));
  return audit::VerifyLog(*options_.store, log, claims, [&](uint64_t checked) {
    return !stop_.stopped() && progress(checked, claims.head.size);
  });
}

}  // namespace vault::engine
