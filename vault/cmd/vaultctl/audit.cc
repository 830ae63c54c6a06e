// audit list, head, verify.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/base/bytes.h"
#include "vault/base/clock.h"
#include "vault/base/ids.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/pages.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/cmd/vaultctl/streams.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr uint64_t kLimit = 100;
constexpr int kPageSize = 500;

// RFC 3339, or a day, which begins at 00:00 UTC.
absl::StatusOr<absl::Time> ParseTime(const std::string& flag, const std::string& text) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error) ||
      absl::ParseTime("%Y-%m-%d", text, absl::UTCTimeZone(), &time, &error)) {
    return time;
  }
  return Wrong(absl::StrCat("--", flag, " is no time"),
               "2026-11-02 (00:00 UTC) or 2026-11-02T09:00:00+09:00");
}

absl::StatusOr<api::ListEntriesRequest> BuildList(const Session& session) {
  api::ListEntriesRequest request;
  ASSIGN_OR_RETURN(*request.mutable_log_id(), session.Log());
  request.set_resident_id(session.args().Get("resident"));
  request.set_actor(session.args().Get("actor"));
  request.set_action(session.args().Get("action"));
  if (session.args().Has("decision")) {
    api::Decision decision;
    if (!api::Decision_Parse(
            absl::StrCat("DECISION_", absl::AsciiStrToUpper(session.args().Get("decision"))),
            &decision)) {
      return Wrong("--decision is not known", "ALLOW or DENY");
    }
    request.set_decision(decision);
  }
  request.set_page_token(session.args().Get("page-token"));
  if (session.args().Has("from"))
    RETURN_IF_ERROR(ReadTime(session, "from", request.mutable_start_time()));
  if (session.args().Has("to"))
    RETURN_IF_ERROR(ReadTime(session, "to", request.mutable_end_time()));
  if (!session.check()) return request;
  if (!request.resident_id().empty() && !ResidentId::Parse(request.resident_id()).ok()) {
    return Wrong("--resident is no resident's handle",
                 "32 lower-case hex digits, as residents lookup prints them");
  }
  return request;
}

// An entry's members as text, for a table. The bytes themselves are what counts: --output raw gives
// them.
class EntryView {
 public:
  explicit EntryView(const std::string& bytes) {
    readable_ = google::protobuf::util::JsonStringToMessage(bytes, &members_).ok();
  }
  bool readable() const { return readable_; }
  std::string Get(const std::string& member) const {
    auto it = members_.fields().find(member);
    if (it == members_.fields().end()) return "";
    const google::protobuf::Value& value = it->second;
    if (value.kind_case() == google::protobuf::Value::kStringValue) return value.string_value();
    if (value.kind_case() != google::protobuf::Value::kNumberValue) return "";
    return absl::StrCat(static_cast<int64_t>(value.number_value()));
  }

 private:
  google::protobuf::Struct members_;
  bool readable_ = false;
};

std::string FieldsOf(const EntryView& entry) {
  std::string out;
  for (const char* member : {"shown", "masked", "verified", "changed", "query", "refused", "seats"}) {
    const std::string ids = entry.Get(member);
    if (ids.empty()) continue;
    absl::StrAppend(&out, out.empty() ? "" : " ", member, ":");
    for (char c : ids) out += c == ' ' ? ',' : c;
  }
  return out;
}

// A resident; or the key and version, the other log and until when, the number of things, the job
// and the approval, of whose ids the beginning tells them apart.
std::string WhatWasTouched(const EntryView& entry) {
  const std::string resident = entry.Get("resident");
  if (!resident.empty()) return resident;
  constexpr size_t kShortId = 8;
  const std::string key = entry.Get("key"), version = entry.Get("version");
  std::vector<std::string> parts;
  if (!key.empty() || !version.empty()) {
    parts.push_back(
        absl::StrCat(key.empty() ? "number" : key, version.empty() ? "" : " ", version));
  }
  const std::string origin = entry.Get("origin"), before = entry.Get("before");
  // Of one vault's logs the origins differ in their last part.
  if (!origin.empty()) parts.push_back(absl::StrCat("log ", origin.substr(origin.rfind('/') + 1)));
  if (!before.empty()) parts.push_back(absl::StrCat("before ", before));
  for (const std::string member : {"count", "entry", "job", "grant"}) {
    const std::string value = entry.Get(member);
    if (value.empty()) continue;
    const bool is_number = member == "count" || member == "entry";
    parts.push_back(absl::StrCat(member == "grant" ? "approval" : member, " ",
                                 is_number ? value : value.substr(0, kShortId)));
  }
  return absl::StrJoin(parts, ", ");
}

// Who asked: the operator, or the service where it acts for nobody.
std::string WhoAsked(const EntryView& entry) {
  const std::string actor = entry.Get("actor");
  return actor.empty() ? entry.Get("service") : actor;
}

// Purpose, contact and reason, as far as they are there.
std::string Why(const EntryView& entry) {
  std::string out;
  for (const char* member : {"purpose", "contact", "reason"}) {
    const std::string word = entry.Get(member);
    if (!word.empty()) absl::StrAppend(&out, out.empty() ? "" : " ", word);
  }
  return out;
}

cli::Table NewEntryTable() {
  return cli::Table(
      {"seq", "time", "actor", "action", "decision", "outcome", "about", "rule", "why", "fields"});
}

void AddEntry(const api::EntryRecord& record, cli::Table* table) {
  const EntryView entry(record.entry());
  if (!entry.readable()) {
    table->AddRow({absl::StrCat(record.seq()), "(unreadable entry)"});
    return;
  }
  table->AddRow({absl::StrCat(record.seq()), entry.Get("time"), WhoAsked(entry),
                 entry.Get("action"), entry.Get("decision"), entry.Get("outcome"),
                 WhatWasTouched(entry), entry.Get("rule"), Why(entry), FieldsOf(entry)});
}

bool FitsOneLine(const std::string& bytes) { return cli::Visible(bytes) == bytes; }

// Holds the pages of a listing to what the first of them said.
class Listing {
 public:
  // DATA_LOSS where `page`, of at most `entries_max`, is none of this listing.
  absl::Status Take(const api::ListEntriesResponse& page, uint64_t entries_max) {
    if (!size_.has_value()) size_ = page.size();
    if (page.size() != *size_) {
      return absl::DataLossError("the log's size changes from page to page");
    }
    if (static_cast<uint64_t>(page.entries_size()) > entries_max) {
      return absl::DataLossError("the vault sent more entries than were asked for");
    }
    for (const api::EntryRecord& record : page.entries()) {
      if (record.seq() < next_ || record.seq() >= *size_) {
        return absl::DataLossError(
            absl::StrCat("entry ", record.seq(), " is none of the ", *size_, ", or out of order"));
      }
      next_ = record.seq() + 1;
    }
    empty_pages_ += page.entries().empty() ? 1 : 0;
    const bool again = !page.next_page_token().empty() &&
                       !tokens_.insert(std::hash<std::string>()(page.next_page_token())).second;
    if (again || empty_pages_ > *size_ / kPageLooksAt + 1) {
      return absl::DataLossError("the vault's pages have no end");
    }
    return absl::OkStatus();
  }

 private:
  // What a page without a match has looked at, at the least.
  static constexpr uint64_t kPageLooksAt = 1000;

  absl::optional<uint64_t> size_;
  uint64_t next_ = 0;
  uint64_t empty_pages_ = 0;
  std::set<size_t> tokens_;
};

// Prints a page; false where an entry is not what an entry may be.
bool PrintPage(Session& session, const api::ListEntriesResponse& page, cli::Table* table) {
  for (const api::EntryRecord& record : page.entries()) {
    if (session.json()) {
      session.PrintJson(record);
    } else if (!session.raw()) {
      AddEntry(record, table);
    } else if (FitsOneLine(record.entry())) {
      session.out() << record.entry() << "\n";
    } else {
      session.Fail(
          {"VERIFICATION_FAILED",
           absl::StrCat("verification failed: entry ", record.seq(), " holds control characters"),
           "", kVerificationFailed});
      return false;
    }
  }
  table->Flush(session.out());
  return true;
}

// One page, as asked for, with its token: for those who page themselves.
int ListOnePage(Session& session, api::ListEntriesRequest request) {
  int32_t page_size = kPageSize;
  if (session.args().Has("page-size") &&
      !absl::SimpleAtoi(session.args().Get("page-size"), &page_size)) {
    return session.BadInput(Wrong("--page-size is no number"));
  }
  request.set_page_size(page_size);
  api::ListEntriesResponse page;
  const int code = session.Ask(&api::AuditService::Stub::ListEntries, request, &page);
  if (code != kDone) return code;
  const absl::Status good_page =
      Listing().Take(page, static_cast<uint64_t>(std::max(page_size, 0)));
  if (session.check() && !good_page.ok()) return session.Failed(good_page);
  if (session.json()) {
    session.PrintJson(page);
    return kDone;
  }
  cli::Table table = NewEntryTable();
  const bool good = PrintPage(session, page, &table);
  if (!page.next_page_token().empty()) {
    session.notes() << "next page token: " << cli::Visible(page.next_page_token()) << "\n";
  }
  return good ? kDone : kVerificationFailed;
}

// All pages up to `limit` entries; 0: all.
int ListPages(Session& session, api::ListEntriesRequest request, uint64_t limit) {
  cli::Table table = NewEntryTable();
  Listing listing;
  uint64_t printed = 0;
  while (true) {
    const uint64_t wanted = limit == 0 ? kPageSize : std::min<uint64_t>(limit - printed, kPageSize);
    request.set_page_size(static_cast<int32_t>(wanted));
    api::ListEntriesResponse page;
    const int code = session.Ask(&api::AuditService::Stub::ListEntries, request, &page);
    if (code != kDone) return code;
    const absl::Status good = listing.Take(page, wanted);
    if (!good.ok()) return session.Failed(good);
    if (!PrintPage(session, page, &table)) return kVerificationFailed;
    printed += page.entries_size();
    if (page.next_page_token().empty()) break;
    if (limit != 0 && printed >= limit) {
      session.notes() << "hint: there may be more; --limit 0 lists all, --from T begins later\n";
      break;
    }
    request.set_page_token(page.next_page_token());
  }
  if (printed == 0 && !session.raw()) session.notes() << "no entry matches\n";
  return kDone;
}

// A verdict, once it is plain that it covers what it says.
int JudgeVerdict(Session& session, const api::VerifyLogResponse& last) {
  const api::VerifyVerdict& verdict = last.verdict();
  const auto failed = [&session](std::string message, std::string hint = "") {
    return session.Fail(
        {"VERIFICATION_FAILED", std::move(message), std::move(hint), kVerificationFailed});
  };
  if (!last.has_verdict()) return failed("verification failed: the vault ended without a verdict");
  if (!verdict.good()) {
    return failed(absl::StrCat("verification failed at entry ", verdict.first_bad_seq(), ": ",
                               cli::Visible(verdict.problem())),
                  "keep the vault's directory as it is and report this at once");
  }
  if (last.checked() != last.total()) {
    return failed(absl::StrCat("verification failed: only ", last.checked(), " of ", last.total(),
                               " entries were checked"));
  }
  if (last.total() == 0) {
    return session.Fail(
        {"NOT_FOUND", "not found: the log has no entry, nothing was verified", "", kNotFound});
  }
  if (!session.json()) {
    session.out() << "good: " << last.checked() << " entries, root " << BytesToHex(verdict.root())
                  << "\n";
  }
  return kDone;
}

// One stream of reports, the newest of which is `last`.
grpc::Status VerifyOnce(Session& session, api::AuditService::Stub& stub,
                        const api::VerifyLogRequest& request, api::VerifyLogResponse* last,
                        absl::Status* lied) {
  grpc::ClientContext context;
  session.Begin(&context);
  Progress progress(session.notes(), RealClock(), "entries", session.terminal(), session.json());
  grpc::Status status;
  {
    StallGuard guard(&context, session.silence_max());
    const auto stream = stub.VerifyLog(&context, request);
    api::VerifyLogResponse message;
    StreamBounds bounds;
    while (stream->Read(&message)) {
      const absl::StatusOr<bool> moved = bounds.Take(message.checked(), message.total());
      *lied = last->has_verdict() ? absl::DataLossError("the vault goes on after its verdict")
                                  : moved.status();
      if (!lied->ok()) break;
      if (*moved) guard.Poke();
      progress.Update(message.checked(), message.total());
      if (session.json()) session.PrintJson(message);
      *last = message;
    }
    if (!lied->ok()) context.TryCancel();
    status = guard.Explain(stream->Finish());
  }
  progress.Finish();
  return status;
}

}  // namespace

absl::Status ReadTime(const Session& session, const std::string& flag,
                      google::protobuf::Timestamp* out) {
  ASSIGN_OR_RETURN(const absl::Time time, ParseTime(flag, session.args().Get(flag)));
  *out = google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(time));
  return absl::OkStatus();
}

static int RunAuditList(Session& session) {
  absl::StatusOr<api::ListEntriesRequest> request = BuildList(session);
  if (!request.ok()) return session.BadInput(request.status());
  const absl::optional<uint64_t> limit =
      cli::ParseNumber(session.args().Get("limit", absl::StrCat(kLimit)));
  if (!limit.has_value()) return session.BadInput(Wrong("--limit is no number", "0 for all"));
  if (session.args().Has("page-size") || session.args().Has("page-token")) {
    return ListOnePage(session, *std::move(request));
  }
  return ListPages(session, *std::move(request), *limit);
}

Command AuditList() {
  return {
      {"audit",
       "list",
       "",
       "entries that match, oldest first",
       "A time is 2026-11-02T09:00:00+09:00, or a day: 2026-11-02 begins at 00:00 UTC, which is "
       "09:00\nin Japan. --output raw prints the entries' bytes as they were hashed, one a line.\n",
       cli::With(LogFlags(), {{"resident", "ID", "that touched this resident"},
                              {"actor", "SUBJECT", "by this subject: urn:vault:operator-toshima"},
                              {"action", "ACTION", "resident.get, resident.lookup, audit.list, …"},
                              {"decision", "D", "ALLOW or DENY"},
                              {"from", "T", "from this time on"},
                              {"to", "T", "before this time"},
                              {"limit", "N", "at most so many (default 100; 0: all)"},
                              {"page-size", "N", "one page of this size", false, true},
                              {"page-token", "TOKEN", "one page, from here", false, true}}),
       {"vaultctl --profile compliance.textproto audit list --tenant 131164 --decision DENY \\\n"
        "      --from 2026-11-01T00:00:00+09:00"}},
      RunAuditList};
}

static int RunAuditCount(Session& session) {
  const absl::StatusOr<api::CountEntriesRequest> request = OfLog<api::CountEntriesRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  return CallAllPages(session, &api::AuditService::Stub::CountEntries, *request,
                      [&](const api::CountEntriesResponse& response) {
                        // What goes on in the next page is counted in both.
                        std::map<std::pair<std::string, std::string>, uint64_t> counts;
                        for (const api::EntryCount& count : response.counts()) {
                          counts[{count.day(), count.action()}] += count.entries();
                        }
                        cli::Table table({"DAY (JAPAN)", "ENTRIES", "ACTION"});
                        for (const auto& [of, entries] : counts) {
                          table.AddRow({of.first, absl::StrCat(entries), of.second});
                        }
                        table.Flush(session.out());
                      });
}

Command AuditCount() {
  return {
      {"audit",
       "count",
       "",
       "how many entries there are, by day and action",
       "Days are Japan's. With --output json one action of one day may stand several times: add "
       "them up.\n",
       LogFlags(),
       {"vaultctl --profile compliance.textproto audit count --tenant 131164"}},
      RunAuditCount};
}

static int RunAuditHead(Session& session) {
  return session.Call(&api::AuditService::Stub::GetHead, OfLog<api::GetHeadRequest>(session),
                      [&](const api::GetHeadResponse& response) {
                        session.out() << response.size() << " entries, root "
                                      << BytesToHex(response.root()) << "\n";
                      });
}

Command AuditHead() {
  return {{"audit",
           "head",
           "",
           "how long the log is, and its root",
           "",
           LogFlags(),
           {"vaultctl --profile compliance.textproto audit head --tenant 131164"}},
          RunAuditHead};
}

static int RunAuditVerify(Session& session) {
  const absl::StatusOr<api::VerifyLogRequest> request = OfLog<api::VerifyLogRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  const auto stub = api::AuditService::NewStub(session.channel());
  Reconnects reconnects;
  uint64_t furthest = 0;
  for (;;) {
    api::VerifyLogResponse last;
    absl::Status lied;
    const grpc::Status status = VerifyOnce(session, *stub, *request, &last, &lied);
    if (!lied.ok()) return session.Failed(lied);
    if (status.ok()) return JudgeVerdict(session, last);
    // It begins with the first entry again, so only one that got further is progress.
    if (last.checked() > furthest) reconnects.Progress();
    furthest = std::max(furthest, last.checked());
    if (!reconnects.Again(status)) return session.CallFailed(status);
    session.notes() << "the connection was lost: verifying again from the first entry\n";
  }
}

Command AuditVerify() {
  return {{"audit",
           "verify",
           "",
           "rehash the whole log from its first entry",
           "",
           LogFlags(),
           {"vaultctl --profile compliance.textproto audit verify --tenant 131164"}},
          RunAuditVerify};
}

}  // namespace vault::ctl
