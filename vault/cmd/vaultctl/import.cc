// residents import: the rows of a CSV, one by one, over a stream that answers row by row.
//
// This thread reads the file, once and front to back, so that it may be a pipe, and sends; a second
// one takes the results. At most kWindowRows rows are under way without a result, so memory does
// not grow with the file. A wrong row is reported and left out; the good ones stand.
#include <grpcpp/client_context.h>

#include <algorithm>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "vault/base/clock.h"
#include "vault/base/mutex.h"
#include "vault/base/status.h"
#include "vault/cli/visible.h"
#include "vault/cli/words.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/fields.h"
#include "vault/cmd/vaultctl/progress.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/text/csv.h"
#include "vault/v1/resident_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr uint64_t kWindowRows = 4000;
// A repeated import finds every row there already; that many are named, the rest is counted.
constexpr uint64_t kExistingNamedMax = 20;

// Without a result.
constexpr uint64_t kEmptyMax = 1000;
// A longer message would end the stream, and with it the rows after it.
constexpr size_t kRowBytesMax = 3 << 20;

using ImportStream =
    grpc::ClientReaderWriter<api::ImportResidentsRequest, api::ImportResidentsResponse>;

// "fields[phone]", however deep, is told as the field's label; another path as it is.
std::string PathLabel(const FieldNames& names, absl::string_view path) {
  const size_t at = path.rfind("fields[");
  if (at == absl::string_view::npos || !absl::EndsWith(path, "]")) return cli::Visible(path);
  const absl::string_view id = path.substr(at + 7, path.size() - at - 8);
  return names.Label(id);
}

// Tells a column that is no field before a row is sent: 10,000 rows would fail one by one. What the
// vault does not name is not known.
absl::Status CheckHeader(const FieldNames& names, const std::string& path,
                         const std::vector<std::string>& header) {
  std::set<std::string> seen;
  for (size_t i = 0; i < header.size(); ++i) {
    const std::string& column = header[i];
    const std::string place = absl::StrCat(cli::Visible(path), ":1: column ", i + 1);
    if (!names.ids().empty() && !names.Has(column)) {
      // Without a header row the first resident stands here, so the word itself is not repeated
      // unless it is nearly right.
      const std::string nearest = cli::Nearest(column, names.ids());
      return Wrong(
          absl::StrCat(place,
                       nearest.empty() ? "" : absl::StrCat(" \"", cli::Visible(column), "\""),
                       " is no field"),
          nearest.empty()
              ? absl::StrCat("the first row names the columns: ", absl::StrJoin(names.ids(), ", "))
              : absl::StrCat("did you mean ", nearest, "?"));
    }
    if (!seen.insert(column).second) {
      return Wrong(absl::StrCat(place, names.ids().empty() ? "" : absl::StrCat(" \"", column, "\""),
                                " stands twice"),
                   "name each field once");
    }
  }
  return absl::OkStatus();
}

// Counts and prints what becomes of the rows, and holds the sender back. Thread-safe.
class ImportLedger {
 public:
  ImportLedger(Session& session, const FieldNames& names, std::string path)
      : session_(session),
        names_(names),
        path_(cli::Visible(path)),
        progress_(session.notes(), RealClock(), "rows", session.terminal(), session.json()) {}

  // One more row was read. How many there will be follows from the bytes that they took so far; of
  // a pipe nobody knows (`size` 0).
  void Read(uint64_t bytes, uint64_t size) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    ++read_;
    if (size == 0 || bytes == 0) return;
    const double rows = static_cast<double>(read_) * static_cast<double>(size) /
                        static_cast<double>(std::min(bytes, size));
    rows_estimate_ = std::max(read_, static_cast<uint64_t>(rows + 0.5));
  }

  // Waits until one more row, that of `line`, may be under way; false once the stream is over.
  bool WaitForRoom(uint64_t line) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    while (!ended_ && under_way_.size() >= kWindowRows) lock.Wait(room_);
    if (ended_) return false;
    under_way_.insert(line);
    return true;
  }

  void StreamEnded() VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    ended_ = true;
    room_.notify_all();
  }

  // DATA_LOSS for a result of a row that was not sent, or that has one.
  absl::Status Answered(const api::ImportResidentsResponse& response) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    if (response.results().empty() && ++empty_ > kEmptyMax) {
      return absl::DataLossError("the vault sends messages that bring nothing");
    }
    for (const api::ImportResult& result : response.results()) {
      if (under_way_.erase(result.row()) == 0) {
        return absl::DataLossError("the vault answers rows that were not sent");
      }
      Count(result);
    }
    progress_.Update(stored_ + bad_ + existing_, rows_estimate_);
    room_.notify_all();
    return absl::OkStatus();
  }

  // A row, or with it the rest of the file, that was never sent.
  void NotSent(uint64_t line, const absl::Status& why) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    api::ImportResult result;
    result.set_row(line);
    result.set_code(grpc::StatusCode::INVALID_ARGUMENT);
    result.set_reason(GetReason(why));
    // The reader names the line as well; the report opens with it.
    absl::string_view message = why.message();
    if (absl::ConsumePrefix(&message, absl::StrCat("line ", line))) {
      if (!absl::ConsumePrefix(&message, ", ")) absl::ConsumePrefix(&message, ": ");
    }
    result.set_message(std::string(message));
    Count(result);
  }

  // The end: the summary, what `status` or, of what no vault sends, `lied` says, and the exit code.
  int Finish(const grpc::Status& status, const absl::Status& lied) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    const uint64_t rows = stored_ + bad_ + existing_;
    progress_.Update(rows, rows);
    progress_.Finish();
    if (existing_ > kExistingNamedMax) {
      session_.notes() << path_ << ": " << existing_ - kExistingNamedMax
                       << " more rows are there already\n";
    }
    const std::string summary = Summary(rows);
    if (!session_.json()) session_.out() << summary << "\n";
    constexpr char kGoesOn[] = "what was imported stands; the same import again goes on from there";
    if (!lied.ok()) return session_.Failed(lied, kGoesOn);
    if (!status.ok()) return session_.CallFailed(status, {"", kGoesOn});
    if (!under_way_.empty()) {
      return session_.Fail({"UNANSWERED", summary, kGoesOn, kUnavailable});
    }
    if (bad_ + existing_ == 0) return kDone;
    // As text the rows themselves have been named.
    if (session_.json()) session_.Fail({"ROWS", summary, "", kBadInput});
    return kBadInput;
  }

 private:
  std::string Summary(uint64_t rows) const VAULT_REQUIRES(mu_) {
    const double seconds = absl::ToDoubleSeconds(RealClock().SinceBoot() - began_);
    std::string text = absl::StrFormat("imported %d of %d rows in %.1f s", stored_, rows, seconds);
    if (bad_ > 0) absl::StrAppend(&text, "; wrong: ", bad_);
    if (existing_ > 0) absl::StrAppend(&text, "; there already: ", existing_);
    if (!under_way_.empty()) absl::StrAppend(&text, "; without an answer: ", under_way_.size());
    return text;
  }

  void Count(const api::ImportResult& result) VAULT_REQUIRES(mu_) {
    const bool existing = result.code() == grpc::StatusCode::ALREADY_EXISTS;
    if (result.code() == grpc::StatusCode::OK) {
      ++stored_;
    } else if (existing) {
      ++existing_;
    } else {
      ++bad_;
    }
    if (session_.json()) {
      session_.PrintJson(result);
    } else if (result.code() != grpc::StatusCode::OK &&
               (!existing || existing_ <= kExistingNamedMax)) {
      PrintBad(result);
    }
  }

  void PrintBad(const api::ImportResult& result) VAULT_REQUIRES(mu_) {
    progress_.Clear();
    std::ostream& err = session_.notes();
    err << path_ << ":" << result.row() << ": ";
    if (!result.field().empty()) err << PathLabel(names_, result.field()) << ": ";
    err << cli::Visible(WithoutPath(result.message(), result.field())) << " ("
        << (result.reason().empty() ? std::string(CodeName(result.code()))
                                    : cli::Visible(result.reason()))
        << ")\n";
  }

  Session& session_;
  const FieldNames& names_;
  const std::string path_;
  const absl::Duration began_ = RealClock().SinceBoot();
  Mutex mu_;
  CondVar room_;
  Progress progress_ VAULT_GUARDED_BY(mu_);
  bool ended_ VAULT_GUARDED_BY(mu_) = false;
  uint64_t read_ VAULT_GUARDED_BY(mu_) = 0;
  uint64_t rows_estimate_ VAULT_GUARDED_BY(mu_) = 0;    // 0: not known
  std::set<uint64_t> under_way_ VAULT_GUARDED_BY(mu_);  // lines of rows without a result
  uint64_t empty_ VAULT_GUARDED_BY(mu_) = 0;
  uint64_t stored_ VAULT_GUARDED_BY(mu_) = 0;
  uint64_t existing_ VAULT_GUARDED_BY(mu_) = 0;
  uint64_t bad_ VAULT_GUARDED_BY(mu_) = 0;
};

api::ImportResidentsRequest ToRequest(const std::vector<std::string>& header,
                                      const text::CsvRow& row) {
  api::ImportResidentsRequest request;
  request.mutable_row()->set_row(row.line);
  for (size_t i = 0; i < header.size() && i < row.fields.size(); ++i) {
    // An empty cell is a field that the resident does not have.
    if (row.fields[i].empty()) continue;
    api::FieldValue* field = request.mutable_row()->add_fields();
    field->set_id(header[i]);
    field->set_value(row.fields[i]);
  }
  return request;
}

// Sends what is left of the file; ends early when the stream does.
void SendRows(text::CsvReader& reader, ImportStream& stream, ImportLedger& ledger,
              StallGuard& guard) {
  const std::vector<std::string> header(reader.header().begin(), reader.header().end());
  const uint64_t header_bytes = reader.bytes_read();
  const uint64_t row_bytes = reader.size().value_or(header_bytes) - header_bytes;
  text::CsvRow row;
  while (true) {
    const absl::StatusOr<bool> more = reader.Next(&row);
    if (!more.ok()) {
      ledger.NotSent(row.line, Reason(absl::InvalidArgumentError(absl::StrCat(
                                          more.status().message(), "; what follows was not read")),
                                      "CSV_READ"));
      return;
    }
    if (!*more) return;
    ledger.Read(reader.bytes_read() - header_bytes, row_bytes);
    if (!row.status.ok()) {
      ledger.NotSent(row.line, row.status);
      continue;
    }
    const api::ImportResidentsRequest request = ToRequest(header, row);
    if (request.ByteSizeLong() > kRowBytesMax) {
      ledger.NotSent(
          row.line, Reason(absl::InvalidArgumentError("the row is longer than 3 MiB"), "TOO_LONG"));
      continue;
    }
    if (!ledger.WaitForRoom(row.line)) return;
    if (!stream.Write(request)) return;
    guard.Poke();
  }
}

int ImportRows(Session& session, const FieldNames& names, const api::ImportResidentsRequest& open,
               text::CsvReader& reader, const std::string& path) {
  const auto stub = api::ResidentService::NewStub(session.channel());
  grpc::ClientContext context;
  session.Begin(&context);
  ImportLedger ledger(session, names, path);
  grpc::Status status;
  absl::Status lied;
  {
    StallGuard guard(&context, session.silence_max());
    std::unique_ptr<ImportStream> stream = stub->ImportResidents(&context);
    std::thread results([&] {
      api::ImportResidentsResponse response;
      while (lied.ok() && stream->Read(&response)) {
        guard.Poke();
        lied = ledger.Answered(response);
      }
      if (!lied.ok()) context.TryCancel();
      ledger.StreamEnded();
    });
    if (stream->Write(open)) SendRows(reader, *stream, ledger, guard);
    stream->WritesDone();
    results.join();
    status = guard.Explain(stream->Finish());
  }
  return ledger.Finish(status, lied);
}

}  // namespace

static int RunResidentsImport(Session& session) {
  const std::string& operand = session.args().operands()[0];
  const bool piped = operand == "-";
  const std::string path = piped ? "standard input" : operand;
  api::ImportResidentsRequest open;
  const absl::StatusOr<std::string> tenant = session.Tenant();
  if (!tenant.ok()) return session.BadInput(tenant.status());
  open.mutable_open()->set_tenant_id(*tenant);
  const absl::Status context = ReadContext(session, open.mutable_open()->mutable_context());
  if (!context.ok()) return session.BadInput(context);
  auto reader =
      piped ? text::CsvReader::FromStream(std::make_unique<std::istream>(session.in().rdbuf()))
            : text::CsvReader::Open(path);
  if (!reader.ok()) {
    return session.BadInput(
        Wrong(absl::StrCat(cli::Visible(path), ": ", reader.status().message())));
  }
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  const FieldNames names = FieldNames::Ask(session);
  if (session.check()) {
    const absl::Status header = CheckHeader(names, path, reader->header());
    if (!header.ok()) return session.BadInput(header);
  }
  return ImportRows(session, names, open, *reader, path);
}

Command ResidentsImport() {
  return {
      {"residents",
       "import",
       "FILE.csv",
       "store the residents of a CSV; a result for each row",
       "FILE may be a pipe, and - is standard input.\n"
       "The file is UTF-8; its first row names the fields; an empty cell is a field that is not "
       "there.\nWrong rows are reported as FILE:LINE: and left out, the good ones stand; exit code "
       "2 "
       "then.\nThe same import again stores only what is missing.\n",
       ContextFlags(),
       {"vaultctl --profile booking.textproto residents import residents.csv --tenant 131164 \\\n"
        "      --purpose migration --contact B-2026-11"}},
      RunResidentsImport};
}

}  // namespace vault::ctl
