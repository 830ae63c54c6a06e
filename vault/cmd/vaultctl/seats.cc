// seats import, list, show, extend, suspend, resume, revoke, review: who may act for a municipality
// in a programme. A roster, an extension and a resumption are proposed, and another person decides
// on them (approvals.cc); one person suspends and revokes.
#include <algorithm>
#include <fstream>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/json.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/approvals.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/pages.h"
#include "vault/cmd/vaultctl/roster_csv.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/text/csv.h"
#include "vault/v1/seat_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr char kSubjectPrefix[] = "urn:vault:";
constexpr size_t kSubjectBytesMax = 64;
// The vault takes a message of 4 MiB.
constexpr size_t kRosterBytesMax = 3 << 20;
// Columns of a list; together 100 with two spaces between them.
constexpr int kSubjectWidth = 20, kRoleWidth = 10, kShiftWidth = 13, kStateWidth = 16;
// Columns of a value beside its key.
constexpr int kValueWidth = 72;
constexpr char kFrom[] = "2026-12-01T09:00:00+09:00";
constexpr char kUntil[] = "2027-03-31T18:00:00+09:00";

// ---- subjects and times

// "operator-07" as "urn:vault:operator-07"; what is written whole, or not at all, as it is.
std::string FullSubject(absl::string_view written) {
  if (written.empty() || absl::StartsWith(written, "urn:")) return std::string(written);
  return absl::StrCat(kSubjectPrefix, written);
}

// The reverse, as people say it.
std::string ShortSubject(absl::string_view subject) {
  absl::ConsumePrefix(&subject, kSubjectPrefix);
  return std::string(subject);
}

absl::TimeZone Japan() { return absl::FixedTimeZone(9 * 60 * 60); }

std::string Formatted(const google::protobuf::Timestamp& time, const char* format) {
  if (time.seconds() == 0) return "-";  // of a damaged one nothing is known
  return absl::FormatTime(format, absl::FromUnixSeconds(time.seconds()), Japan());
}

std::string Minute(const google::protobuf::Timestamp& time) {
  return Formatted(time, "%Y-%m-%d %H:%M");
}

std::string Second(const google::protobuf::Timestamp& time) {
  return Formatted(time, "%Y-%m-%d %H:%M:%S");
}

// As a roster is written.
std::string RosterTime(const google::protobuf::Timestamp& time) {
  return time.seconds() == 0 ? "" : Formatted(time, "%Y-%m-%dT%H:%M:%S%Ez");
}

// ---- requests

cli::Flag SeatTenantFlag() { return TenantFlag("the municipality whose seats they are"); }

cli::Flag ProgrammeFlag(const std::string& without) {
  return {"programme", "P",
          absl::StrCat("only in this programme: vaccination (default: ", without, ")")};
}

absl::StatusOr<std::string> ReadSubject(const Session& session) {
  const std::string subject = FullSubject(session.args().operands()[0]);
  if (!session.check()) return subject;
  absl::string_view name = subject;
  const bool fits = absl::ConsumePrefix(&name, kSubjectPrefix) && !name.empty() &&
                    name.size() <= kSubjectBytesMax &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
                    });
  if (fits) return subject;
  return Wrong("SUBJECT is nobody's name here",
               "operator-07 or urn:vault:operator-07: a-z, 0-9 and -, as seats list prints them");
}

// An empty one, of a script's variable that is not set, would be about all programmes.
absl::StatusOr<std::string> ReadProgramme(const Session& session) {
  const std::string programme = session.args().Get("programme");
  if (session.check() && session.args().Has("programme") && programme.empty()) {
    return Wrong("--programme is empty", "--programme vaccination; without the flag it is all");
  }
  return programme;
}

// A request about the seats of a tenant.
template <typename Request>
absl::StatusOr<Request> OfTenant(const Session& session) {
  Request request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  ASSIGN_OR_RETURN(*request.mutable_programme(), ReadProgramme(session));
  return request;
}

// A request about the seats of one person.
template <typename Request>
absl::StatusOr<Request> OfSubject(const Session& session) {
  ASSIGN_OR_RETURN(const std::string subject, ReadSubject(session));
  ASSIGN_OR_RETURN(Request request, OfTenant<Request>(session));
  request.set_subject(subject);
  return request;
}

absl::StatusOr<api::ExtendSeatsRequest> BuildExtend(const Session& session) {
  ASSIGN_OR_RETURN(api::ExtendSeatsRequest request, OfSubject<api::ExtendSeatsRequest>(session));
  request.set_until(session.args().Get("until"));
  if (!session.check()) return request;
  const std::string example = absl::StrCat("--until ", kUntil);
  if (request.until().empty()) return Wrong("--until is missing", example);
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, request.until(), &time, &error) ||
      time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return Wrong("--until is no time with an offset", example);
  }
  if (time != absl::FromUnixSeconds(absl::ToUnixSeconds(time))) {
    return Wrong("--until is no whole second", example);
  }
  return request;
}

// " --tenant 131164", and what narrows it further.
template <typename Request>
std::string Narrowed(const Request& request) {
  std::string flags = absl::StrCat(" --tenant ", cli::Visible(request.tenant_id()));
  if (!request.programme().empty()) {
    absl::StrAppend(&flags, " --programme ", cli::Visible(request.programme()));
  }
  return flags;
}

std::string ShowLine(const std::string& tenant, const std::string& subject) {
  return absl::StrCat("vaultctl seats show ", cli::Visible(ShortSubject(subject)), " --tenant ",
                      cli::Visible(tenant));
}

bool Unsure(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

// Of whatever proposes a change of this tenant's seats.
CallOptions Proposing(const std::string& tenant) {
  return {Wait::kLong, [tenant](const grpc::Status& status) -> Hints {
            const std::string list =
                absl::StrCat("vaultctl approvals list --tenant ", cli::Visible(tenant));
            const std::string reason = ToFailure(status).reason;
            if (reason == "TOO_MANY_OPEN") {
              return {absl::StrCat(list, " shows them: decide on some, or withdraw some"), ""};
            }
            return {"", Unsure(status) ? absl::StrCat("whether it was proposed: ", list) : ""};
          }};
}

// ---- a roster

struct Roster {
  std::string name;  // as messages call the file
  api::ImportSeatsRequest request;
  std::vector<uint64_t> lines;  // where each row of it stands
};

absl::StatusOr<std::string> ReadText(Session& session, const std::string& operand,
                                     const std::string& name) {
  std::ifstream file;
  if (operand != "-") file.open(operand, std::ios::binary);
  std::istream& in = operand == "-" ? session.in() : file;
  std::string text(kRosterBytesMax + 1, '\0');
  if (in) in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (operand != "-" && !file.is_open())) {
    return Wrong(absl::StrCat(cli::Visible(name), ": the file cannot be read"),
                 "a roster's CSV, or - for standard input");
  }
  text.resize(in.gcount());
  if (text.size() <= kRosterBytesMax) return text;
  return Wrong(absl::StrCat(cli::Visible(name), ": the file is larger than 3 MiB"),
               "give it in several rosters");
}

absl::StatusOr<Roster> BuildImport(Session& session) {
  const std::string& operand = session.args().operands()[0];
  Roster roster;
  roster.name = operand == "-" ? "standard input" : operand;
  ASSIGN_OR_RETURN(*roster.request.mutable_tenant_id(), session.Tenant());
  roster.request.set_dry_run(session.args().Has("dry-run"));
  ASSIGN_OR_RETURN(const std::string text, ReadText(session, operand, roster.name));
  ASSIGN_OR_RETURN(std::vector<RosterCsvRow> rows, ParseRosterCsv(text, roster.name));
  for (RosterCsvRow& row : rows) {
    roster.lines.push_back(row.line);
    api::RosterRow* out = roster.request.add_rows();
    out->set_subject(FullSubject(row.subject));
    out->set_programme(std::move(row.programme));
    out->set_role(std::move(row.role));
    out->set_from(std::move(row.from));
    out->set_until(std::move(row.until));
    out->set_shift(std::move(row.shift));
    out->set_contacts_max(std::move(row.contacts_max));
    out->set_trained_on(std::move(row.trained_on));
  }
  return roster;
}

// What the vault says of a row, which it names "rows[3]", in the file's own lines.
std::string InLines(absl::string_view message, const Roster& roster) {
  std::string out;
  while (!message.empty()) {
    const size_t at = message.find("rows[");
    const size_t end = at == absl::string_view::npos ? at : message.find(']', at);
    size_t row = 0;
    if (end == absl::string_view::npos ||
        !absl::SimpleAtoi(message.substr(at + 5, end - at - 5), &row) ||
        row >= roster.lines.size()) {
      const size_t some = end == absl::string_view::npos ? message.size() : end + 1;
      absl::StrAppend(&out, message.substr(0, some));
      message.remove_prefix(some);
      continue;
    }
    absl::StrAppend(&out, message.substr(0, at), "line ", roster.lines[row]);
    message.remove_prefix(end + 1);
  }
  return out;
}

// "until: expected a later time", without the row, which is told before it.
std::string RowMessage(const api::RosterRowError& error, const Roster& roster) {
  absl::string_view message = error.message();
  const std::string row = absl::StrCat("rows[", error.row(), "]");
  if (absl::ConsumePrefix(&message, row) && !absl::ConsumePrefix(&message, ": ")) {
    absl::ConsumePrefix(&message, ".");
  }
  return InLines(WithoutPath(message, error.field()), roster);
}

// The answer, in its own order; each error with the line of its row.
void PrintWrongJson(Session& session, const Roster& roster,
                    const api::ImportSeatsResponse& response) {
  cli::JsonObject object;
  object.Text("approval_id", response.approval_id());
  if (response.has_approval()) object.Raw("approval", session.ToJson(response.approval()));
  if (response.has_effect()) object.Raw("effect", session.ToJson(response.effect()));
  object.Number("row_count", uint64_t{response.row_count()});
  std::vector<std::string> errors;
  for (const api::RosterRowError& error : response.errors()) {
    cli::JsonObject each;
    each.Number("row", uint64_t{error.row()}).Text("field", error.field());
    each.Text("reason", error.reason()).Text("message", error.message());
    errors.push_back(each.Number("line", roster.lines[error.row()]).Done());
  }
  session.out() << object.List("errors", errors).Done() << "\n";
}

int WrongRows(Session& session, const Roster& roster, const api::ImportSeatsResponse& response) {
  std::set<uint32_t> wrong;
  for (const api::RosterRowError& error : response.errors()) {
    if (error.row() >= roster.lines.size()) {
      return session.Failed(absl::DataLossError("the vault answers rows that were not sent"));
    }
    wrong.insert(error.row());
  }
  if (session.json()) PrintWrongJson(session, roster, response);
  for (const api::RosterRowError& error : response.errors()) {
    session.notes() << cli::Visible(roster.name) << ":" << roster.lines[error.row()] << ": ";
    if (!error.field().empty()) session.notes() << cli::Visible(error.field()) << ": ";
    session.notes() << cli::Visible(RowMessage(error, roster)) << " ("
                    << cli::Visible(error.reason()) << ")\n";
  }
  const std::string summary = absl::StrCat(
      "nothing was proposed: ", wrong.size(), " of ", roster.lines.size(), " ",
      roster.lines.size() == 1 ? "row" : "rows", wrong.size() == 1 ? " is" : " are", " wrong");
  // As text the rows themselves have been named.
  if (session.json()) return session.Fail({"ROWS", summary, "", kBadInput});
  session.notes() << summary << "\n";
  return kBadInput;
}

// ---- seats as they are shown

std::string StateOf(const api::Seat& seat) {
  switch (seat.state()) {
    case api::SEAT_STATE_SUSPENDED:
      return "停止中 suspended";
    case api::SEAT_STATE_REVOKED:
      return "取消済 revoked";
    case api::SEAT_STATE_DAMAGED:
      return "破損 damaged";
    case api::SEAT_STATE_ACTIVE:
      break;
    default:
      return "不明 unknown";
  }
  if (seat.closed_by().empty()) return "開いている open";
  struct Label {
    absl::string_view rule, text;
  };
  static constexpr Label kLabels[] = {
      {"seat.not_begun", "開始前 not begun"},  {"seat.ended", "終了 ended"},
      {"seat.shift", "時間外 off shift"},      {"seat.untrained", "未研修 untrained"},
      {"seat.role", "役割なし no role"},       {"programme.bound", "業務なし gone"},
      {"separation.duties", "分離 separated"},
  };
  for (const Label& label : kLabels) {
    if (seat.closed_by() == label.rule) return std::string(label.text);
  }
  return "閉 closed";
}

std::string Period(const api::Seat& seat) {
  return absl::StrCat(Minute(seat.from()), "–", Minute(seat.until()));
}

// A heading and a table for each programme.
void PrintSeats(const api::ListSeatsResponse& response, std::ostream& out) {
  for (int i = 0; i < response.seats_size();) {
    const std::string& programme = response.seats(i).programme();
    out << (i > 0 ? "\n" : "") << "業務 programme " << cli::Visible(programme) << "\n";
    cli::Table table({"subject", "role", "from–until", "shift", "state"});
    for (; i < response.seats_size() && response.seats(i).programme() == programme; ++i) {
      const api::Seat& seat = response.seats(i);
      table.AddRow({cli::Fitted(ShortSubject(seat.subject()), kSubjectWidth),
                    cli::Fitted(seat.role(), kRoleWidth), Period(seat),
                    cli::Fitted(seat.shift(), kShiftWidth),
                    cli::Fitted(StateOf(seat), kStateWidth)});
    }
    table.Flush(out);
  }
}

void PrintHeading(const api::Seat& seat, std::ostream& out) {
  out << "seat " << cli::Visible(ShortSubject(seat.subject())) << " in "
      << cli::Visible(seat.programme()) << "\n";
}

std::string StateAndRule(const api::Seat& seat) {
  const std::string label = StateOf(seat);
  return seat.closed_by().empty() ? label : absl::StrCat(label, " (rule ", seat.closed_by(), ")");
}

std::string OrNone(const std::string& text) { return text.empty() ? "-" : text; }

// Every member.
void PrintSeat(const api::Seat& seat, std::ostream& out) {
  PrintHeading(seat, out);
  cli::Table table({});
  table.AddRow({"主体 subject", seat.subject()});
  table.AddRow({"業務 programme", seat.programme()});
  table.AddRow({"役割 role", OrNone(seat.role())});
  table.AddRow({"開始 from", Second(seat.from())});
  table.AddRow({"終了 until", Second(seat.until())});
  table.AddRow({"時間帯 shift", OrNone(seat.shift())});
  table.AddRow({"同時応対 contacts",
                seat.contacts_max() == 0 ? "-" : absl::StrCat(seat.contacts_max(), " at once")});
  table.AddRow({"研修日 trained", OrNone(seat.trained_on())});
  table.AddRow({"状態 state", StateAndRule(seat)});
  table.AddRow({"提案 proposed by", OrNone(seat.proposed_by())});
  table.AddRow({"承認 approved by", OrNone(seat.approved_by())});
  table.AddRow({"承認番号 approval", OrNone(seat.approval_id())});
  table.AddRow({"変更 changed", seat.has_change_time() ? absl::StrCat(Second(seat.change_time()),
                                                                      "  ", seat.changed_by())
                                                       : "-"});
  table.Flush(out, 2);
}

// `words` beside their key, in as many rows as they need.
void AddWords(const std::string& key, const google::protobuf::RepeatedPtrField<std::string>& words,
              cli::Table* table) {
  std::string row;
  std::string label = key;
  for (const std::string& word : words) {
    const std::string visible = cli::Visible(word);
    if (!row.empty() && cli::DisplayWidth(row) + 1 + cli::DisplayWidth(visible) > kValueWidth) {
      table->AddRow({label, row});
      label.clear();
      row.clear();
    }
    absl::StrAppend(&row, row.empty() ? "" : " ", visible);
  }
  table->AddRow({label, OrNone(row)});
}

// What a review wants to know of each: what may it see, who answers for it, does it need it?
void PrintReview(const api::ListSeatsResponse& response, std::ostream& out) {
  bool all_used = true;
  for (int i = 0; i < response.seats_size(); ++i) {
    const api::Seat& seat = response.seats(i);
    if (i > 0) out << "\n";
    PrintHeading(seat, out);
    cli::Table table({});
    table.AddRow({"役割 role", OrNone(seat.role())});
    AddWords("目的 purposes", seat.purposes(), &table);
    AddWords("全部 in full", seat.full_fields(), &table);
    AddWords("理由付き with reason", seat.reason_fields(), &table);
    AddWords("マスク masked", seat.masked_fields(), &table);
    table.AddRow({"承認 approved by", OrNone(seat.approved_by())});
    table.AddRow({"終了 until", Minute(seat.until())});
    table.AddRow({"状態 state", StateAndRule(seat)});
    table.AddRow({"最終利用 last use", Minute(seat.last_use_time())});
    table.Flush(out, 2);
    all_used = all_used && seat.has_last_use_time();
  }
  if (all_used) return;
  const std::string since =
      response.has_used_since() ? absl::StrCat(" since ", Minute(response.used_since())) : "";
  out << "\n最終利用 -: 調べた記録に利用なし no use" << since << " among the entries looked at\n";
}

// ---- a review as CSV

// Nothing that a spreadsheet would take for a formula: an apostrophe stands before it.
std::string Harmless(const std::string& cell) {
  static constexpr absl::string_view kBegins[] = {"=",  "+",  "-",  "@",  "\t", "\r",
                                                  "\n", "＝", "＋", "－", "＠"};
  const bool formula =
      std::any_of(std::begin(kBegins), std::end(kBegins),
                  [&](absl::string_view begin) { return absl::StartsWith(cell, begin); });
  return cli::Visible(formula ? absl::StrCat("'", cell) : cell);
}

void PrintCsvRow(const std::vector<std::string>& cells, std::ostream& out) {
  const char* gap = "";
  for (const std::string& cell : cells) {
    out << gap << text::CsvEscape(Harmless(cell));
    gap = ",";
  }
  out << "\r\n";
}

// UTF-8 with a byte order mark, which spreadsheets in Japan want, and lines that end in CRLF.
void PrintReviewCsv(const api::ListSeatsResponse& response, std::ostream& out) {
  out << "\xef\xbb\xbf";
  PrintCsvRow({"subject", "programme", "role", "purposes", "full_fields", "reason_fields",
               "masked_fields", "proposed_by", "approved_by", "approval_id", "from", "until",
               "shift", "state", "closed_by", "last_use", "used_since"},
              out);
  for (const api::Seat& seat : response.seats()) {
    PrintCsvRow({seat.subject(), seat.programme(), seat.role(), absl::StrJoin(seat.purposes(), " "),
                 absl::StrJoin(seat.full_fields(), " "), absl::StrJoin(seat.reason_fields(), " "),
                 absl::StrJoin(seat.masked_fields(), " "), seat.proposed_by(), seat.approved_by(),
                 seat.approval_id(), RosterTime(seat.from()), RosterTime(seat.until()),
                 seat.shift(), StateOf(seat), seat.closed_by(), RosterTime(seat.last_use_time()),
                 RosterTime(response.used_since())},
                out);
  }
}

// ---- what one person does

// "停止 suspended: operator-07 in vaccination, operator", for each.
int PrintStopped(Session& session, const google::protobuf::Message& response,
                 const google::protobuf::RepeatedPtrField<api::Seat>& seats,
                 absl::string_view done) {
  if (seats.empty()) {
    return session.Failed(absl::DataLossError("the vault says that it stopped no seat"));
  }
  session.Print(response, [&](const google::protobuf::Message&) {
    for (const api::Seat& seat : seats) {
      session.out() << done << ": " << cli::Visible(ShortSubject(seat.subject())) << " in "
                    << cli::Visible(seat.programme());
      if (!seat.role().empty()) session.out() << ", " << cli::Visible(seat.role());
      session.out() << "\n";
    }
  });
  return kDone;
}

template <typename Request>
CallOptions Stopping(const Request& request) {
  const std::string show = ShowLine(request.tenant_id(), request.subject());
  return {Wait::kShort, [show](const grpc::Status& status) -> Hints {
            return {"", Unsure(status) ? absl::StrCat("whether it was stopped: ", show) : ""};
          }};
}

template <typename Request, typename Response>
int Propose(Session& session, UnaryCall<api::SeatService::Stub, Request, Response> call,
            const absl::StatusOr<Request>& request) {
  Response response;
  const int code =
      session.Ask(call, request, &response, Proposing(request.ok() ? request->tenant_id() : ""));
  if (code == kDone) PrintProposal(session, response);
  return code;
}

}  // namespace

static int RunSeatsImport(Session& session) {
  const absl::StatusOr<Roster> roster = BuildImport(session);
  if (!roster.ok()) return session.BadInput(roster.status());
  api::ImportSeatsResponse response;
  const int code = session.Ask(&api::SeatService::Stub::ImportSeats, roster->request, &response,
                               Proposing(roster->request.tenant_id()));
  if (code != kDone) return code;
  if (!response.errors().empty()) return WrongRows(session, *roster, response);
  if (response.approval_id().empty() != roster->request.dry_run()) {
    return session.Failed(absl::DataLossError(
        roster->request.dry_run() ? "the vault proposed what it was only asked to look at"
                                  : "the vault answers without a proposal"));
  }
  if (!roster->request.dry_run()) {
    PrintProposal(session, response);
    return kDone;
  }
  session.Print(response, [&](const api::ImportSeatsResponse&) {
    session.out() << "名簿 roster " << cli::Visible(roster->name) << ": " << response.row_count()
                  << (response.row_count() == 1 ? " row\n" : " rows\n");
    PrintEffect(response.effect(), session.out());
    session.out() << "\n試行 dry run: nothing was proposed\n";
  });
  return kDone;
}

Command SeatsImport() {
  return {
      {"seats",
       "import",
       "ROSTER.csv",
       "propose a roster: who has a seat, in which role, from when until when",
       absl::StrCat(
           "別の人の承認で有効になります。Another person approves it (approvals approve).\n"
           "One wrong row, and nothing is proposed: each is told as ROSTER.csv:LINE:, exit code 2."
           "\n- is standard input. UTF-8, at most 5,000 rows; contacts_max (1 to 20) and "
           "trained_on\n(YYYY-MM-DD) may be empty:\n"
           "  subject,programme,role,from,until,shift,contacts_max,trained_on\n"
           "  operator-07,vaccination,operator,",
           kFrom, ",", kUntil, ",09:00-18:00,,\n"),
       {SeatTenantFlag(),
        {"dry-run", "", "says what it would do, and proposes nothing"},
        NoCheckFlag()},
       {absl::StrCat(kManager, "seats import roster.csv --tenant 131164 --dry-run"),
        absl::StrCat(kManager, "seats import roster.csv --tenant 131164")}},
      RunSeatsImport};
}

static int RunSeatsList(Session& session) {
  const auto request = OfTenant<api::ListSeatsRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  return CallAllPages(session, &api::SeatService::Stub::ListSeats, *request,
                      [&](const api::ListSeatsResponse& response) {
                        PrintSeats(response, session.out());
                        if (response.seats().empty()) session.notes() << "there is no seat\n";
                      });
}

Command SeatsList() {
  return {{"seats",
           "list",
           "",
           "the seats of a municipality, and whether each is open now",
           "What does not fit is cut (…): seats show has it whole.\n",
           {SeatTenantFlag(), ProgrammeFlag("all"), NoCheckFlag()},
           {absl::StrCat(kManager, "seats list --tenant 131164"),
            absl::StrCat(kSupervisor, "seats list --tenant 131164 --programme vaccination")}},
          RunSeatsList};
}

static int RunSeatsShow(Session& session) {
  const auto request = OfSubject<api::ListSeatsRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  api::ListSeatsResponse response;
  const int code = AskAllPages(session, &api::SeatService::Stub::ListSeats, *request, &response);
  if (code != kDone) return code;
  session.Print(response, [&](const api::ListSeatsResponse&) {
    for (int i = 0; i < response.seats_size(); ++i) {
      if (i > 0) session.out() << "\n";
      PrintSeat(response.seats(i), session.out());
    }
  });
  if (!response.seats().empty()) return kDone;
  return session.Fail(
      {"NOT_FOUND", "not found: 該当なし there is no such seat",
       absl::StrCat("vaultctl seats list --tenant ", cli::Visible(request->tenant_id())),
       kNotFound});
}

Command SeatsShow() {
  return {{"seats",
           "show",
           "SUBJECT",
           "the seats of one person, with who gave them",
           "",
           {SeatTenantFlag(), ProgrammeFlag("all"), NoCheckFlag()},
           {absl::StrCat(kManager, "seats show operator-07 --tenant 131164")}},
          RunSeatsShow};
}

static int RunSeatsExtend(Session& session) {
  return Propose(session, &api::SeatService::Stub::ExtendSeats, BuildExtend(session));
}

Command SeatsExtend() {
  return {{"seats",
           "extend",
           "SUBJECT",
           "propose that seats end later",
           "別の人の承認で有効になります。Another person approves it (approvals approve).\n"
           "An earlier end is a new roster; an end now is seats revoke.\n",
           {SeatTenantFlag(),
            ProgrammeFlag("all that are active"),
            {"until", "TIME", absl::StrCat("the new end: ", kUntil, " (required)")},
            NoCheckFlag()},
           {absl::StrCat(kManager, "seats extend operator-07 --tenant 131164 \\\n      --until ",
                         kUntil)}},
          RunSeatsExtend};
}

static int RunSeatsSuspend(Session& session) {
  const auto request = OfSubject<api::SuspendSeatsRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  api::SuspendSeatsResponse response;
  const int code =
      session.Ask(&api::SeatService::Stub::SuspendSeats, *request, &response, Stopping(*request));
  if (code != kDone) return code;
  const int printed = PrintStopped(session, response, response.seats(), "停止 suspended");
  if (printed != kDone) return printed;
  session.notes() << "hint: the next call is refused. It goes on when one proposes it and another "
                     "approves:\n      vaultctl seats resume "
                  << cli::Visible(ShortSubject(request->subject())) << Narrowed(*request) << "\n";
  return kDone;
}

Command SeatsSuspend() {
  return {{"seats",
           "suspend",
           "SUBJECT",
           "stop seats at once, until two people resume them",
           "次の呼出しから止まります。It acts on the next call, and wants nobody else.\n"
           "seats resume proposes that they go on.\n",
           {SeatTenantFlag(), ProgrammeFlag("all that are active"), NoCheckFlag()},
           {absl::StrCat(kSupervisor, "seats suspend operator-07 --tenant 131164")}},
          RunSeatsSuspend};
}

static int RunSeatsResume(Session& session) {
  return Propose(session, &api::SeatService::Stub::ResumeSeats,
                 OfSubject<api::ResumeSeatsRequest>(session));
}

Command SeatsResume() {
  return {{"seats",
           "resume",
           "SUBJECT",
           "propose that suspended seats go on",
           "別の人の承認で有効になります。Another person approves it (approvals approve).\n"
           "Their end stays what it was.\n",
           {SeatTenantFlag(), ProgrammeFlag("all that are suspended"), NoCheckFlag()},
           {absl::StrCat(kManager, "seats resume operator-07 --tenant 131164")}},
          RunSeatsResume};
}

static int RunSeatsRevoke(Session& session) {
  const auto request = OfSubject<api::RevokeSeatsRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  const std::string subject = cli::Visible(ShortSubject(request->subject()));
  if (!session.Confirmed(absl::StrCat(
          "席の取消しは戻せません: the seats of ", subject, " in ",
          request->programme().empty() ? "every programme" : cli::Visible(request->programme()),
          " of ", cli::Visible(request->tenant_id()), " are revoked for good"))) {
    return kBadInput;
  }
  api::RevokeSeatsResponse response;
  const int code =
      session.Ask(&api::SeatService::Stub::RevokeSeats, *request, &response, Stopping(*request));
  if (code != kDone) return code;
  const int printed = PrintStopped(session, response, response.seats(), "取消し revoked");
  if (printed != kDone) return printed;
  session.notes() << "hint: the next call is refused. Only a new roster gives a seat back, which "
                     "another approves:\n      vaultctl seats import ROSTER.csv --tenant "
                  << cli::Visible(request->tenant_id()) << "\n";
  return kDone;
}

Command SeatsRevoke() {
  return {
      {"seats",
       "revoke",
       "SUBJECT",
       "end seats at once and for good",
       "次の呼出しから止まります。It acts on the next call, and wants nobody else.\n"
       "On a terminal it asks first. Only a new roster gives such a seat back; what is suspended "
       "can be\nresumed.\n",
       {SeatTenantFlag(), ProgrammeFlag("all that are not revoked"), NoCheckFlag()},
       {absl::StrCat(kManager, "seats revoke operator-07 --tenant 131164")}},
      RunSeatsRevoke};
}

static int RunSeatsReview(Session& session) {
  absl::StatusOr<api::ListSeatsRequest> request = OfTenant<api::ListSeatsRequest>(session);
  if (!request.ok()) return session.BadInput(request.status());
  request->set_review(true);
  return CallAllPages(session, &api::SeatService::Stub::ListSeats, *request,
                      [&](const api::ListSeatsResponse& response) {
                        if (session.csv()) return PrintReviewCsv(response, session.out());
                        PrintReview(response, session.out());
                        if (response.seats().empty()) session.notes() << "there is no seat\n";
                      },
                      {Wait::kLong});
}

Command SeatsReview() {
  return {{"seats",
           "review",
           "",
           "what each seat may see, who approved it, and when it was last used",
           "For the regular review of who still needs what (席の棚卸し). --output csv is for a "
           "spreadsheet:\nUTF-8 with a byte order mark; a cell that would be a formula begins with "
           "an apostrophe.\n",
           {SeatTenantFlag(), ProgrammeFlag("all"), NoCheckFlag()},
           {absl::StrCat(kManager, "seats review --tenant 131164"),
            "vaultctl --profile compliance.textproto seats review --tenant 131164 --output csv"}},
          RunSeatsReview};
}

}  // namespace vault::ctl
