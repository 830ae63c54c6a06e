// residents lookup, get, create, update.
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/base/bytes.h"
#include "vault/base/ids.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/fields.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/text/text.h"
#include "vault/v1/resident_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr int kCriteriaMax = 4;
// Above anything the vault takes, below what hurts here.
constexpr size_t kValueBytesMax = 3 << 20;
constexpr char kOperator[] = "vaultctl --profile operator.textproto ";

cli::Flag FieldsFlag() {
  return {"fields", "A,B", "only these; one that is withheld refuses the whole call", true};
}

cli::Flag SetFlag() {
  return {"set", "FIELD=VALUE",
          "as often as needed; FIELD=@FILE takes the value from a file,\n"
          "FIELD=@- from standard input",
          true};
}

cli::Flag RequestIdFlag() {
  return {"request-id", "ID", "makes a repeated attempt safe (default: a new random one)"};
}

bool IsFile(absl::string_view written) {
  return absl::StartsWith(written, "@") && !absl::StartsWith(written, "@@");
}

// A value that starts with '@' stands in a file ("-": standard input): long memos do not fit on a
// command line, and a command line is seen by every process of the machine.
absl::StatusOr<std::string> ReadValue(Session& session, const std::string& flag,
                                      const std::string& written) {
  if (!IsFile(written)) return written.substr(absl::StartsWith(written, "@@") ? 1 : 0);
  const std::string path = written.substr(1);
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? session.in() : file;
  std::string value(kValueBytesMax + 1, '\0');
  if (in) in.read(value.data(), value.size());
  if (in.bad() || (path != "-" && !file.is_open())) {
    return Wrong(absl::StrCat("--", flag, ": the file after @ cannot be read"),
                 "a value that itself begins with @ is written @@");
  }
  value.resize(in.gcount());
  if (value.size() > kValueBytesMax) {
    return Wrong(absl::StrCat("--", flag, ": the file after @ is larger than 3 MiB"));
  }
  if (!value.empty() && value.back() == '\n') value.pop_back();
  if (session.check() && !text::IsUtf8(value)) {
    return Wrong(absl::StrCat("--", flag, ": the file after @ is not UTF-8"),
                 "convert it first: iconv -f SHIFT_JIS -t UTF-8");
  }
  return value;
}

// FIELD=VALUE, as often as `flag` stands there. What was written is never repeated in a message: it
// may be a name.
template <typename Fields>
absl::Status ReadAssignments(Session& session, const std::string& flag, Fields* fields) {
  std::set<std::string> seen, read;
  for (const std::string& assignment : session.args().GetAll(flag)) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Wrong(absl::StrCat("--", flag, " wants FIELD=VALUE"),
                   absl::StrCat("--", flag, " phone=03-1234-5678"));
    }
    const std::string id = assignment.substr(0, equals);
    if (session.check() && !seen.insert(id).second) {
      return Wrong(absl::StrCat("--", flag, " names ", cli::Visible(id), " twice"));
    }
    const std::string written = assignment.substr(equals + 1);
    // A pipe gives what it has once: the second value would be empty.
    if (IsFile(written) && !read.insert(written).second) {
      return Wrong(absl::StrCat("--", flag, ": two values are to come from one file"),
                   "a file, or standard input, for each");
    }
    ASSIGN_OR_RETURN(std::string value, ReadValue(session, flag, written));
    api::FieldValue* field = fields->Add();
    field->set_id(id);
    field->set_value(std::move(value));
  }
  if (session.check() && fields->empty()) {
    return Wrong(absl::StrCat("--", flag, " is missing"),
                 absl::StrCat("--", flag, " phone=03-1234-5678"));
  }
  return absl::OkStatus();
}

void ReadFields(const Session& session, google::protobuf::FieldMask* mask) {
  for (const std::string& list : session.args().GetAll("fields")) {
    for (absl::string_view id : absl::StrSplit(list, ',', absl::SkipWhitespace())) {
      mask->add_paths(std::string(absl::StripAsciiWhitespace(id)));
    }
  }
}

std::string DisclosureLabel(api::Disclosure disclosure) {
  switch (disclosure) {
    case api::DISCLOSURE_FULL:
      return "";
    case api::DISCLOSURE_MASKED:
      return "マスク masked";
    case api::DISCLOSURE_WITHHELD:
      return "非開示 withheld";
    case api::DISCLOSURE_ABSENT:
      return "なし absent";
    case api::DISCLOSURE_UNSEEN:
      return "非表示 unseen";
    default:
      return "不明 unknown";
  }
}

void PrintResident(const api::Resident& resident, const FieldNames& names, std::ostream& out) {
  out << "resident " << cli::Visible(resident.resident_id()) << "  version " << resident.version()
      << "  etag " << cli::Visible(resident.etag()) << "\n";
  cli::Table table({});
  table.AddRow({"業務 programme", resident.programme(), ""});
  for (const api::Field& field : resident.fields()) {
    const bool has_value =
        field.disclosure() == api::DISCLOSURE_FULL || field.disclosure() == api::DISCLOSURE_MASKED;
    table.AddRow({names.Label(field.id()), has_value ? field.value() : "-",
                  DisclosureLabel(field.disclosure())});
  }
  table.Flush(out, 2);
}

// Set on changes that were not told apart from new ones by the user: an attempt whose answer was
// lost can be repeated.
absl::StatusOr<std::string> RequestIdOf(Session& session) {
  if (!session.args().Has("request-id")) {
    return BytesToHex(session.random().Bytes(16));
  }
  const std::string id = session.args().Get("request-id");
  const bool fits =
      !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
      });
  if (session.check() && !fits) {
    return Wrong("--request-id has the wrong form", "1 to 64 of A-Z a-z 0-9 . _ -");
  }
  return id;
}

// After a change whose answer may have been lost on the way. `request` outlives the result.
template <typename Request>
std::function<Hints(const grpc::Status&)> HintToRepeat(const absl::StatusOr<Request>& request) {
  return [&request](const grpc::Status& status) -> Hints {
    const bool unsure = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    return {"", unsure ? absl::StrCat("it may have been done all the same; repeat it with "
                                      "--request-id ",
                                      cli::Visible(request->request_id()),
                                      ", which does it once at most")
                       : ""};
  };
}

absl::StatusOr<api::LookupResidentsRequest> BuildLookup(Session& session) {
  api::LookupResidentsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request.mutable_context()));
  RETURN_IF_ERROR(ReadAssignments(session, "by", request.mutable_criteria()));
  if (session.check() && request.criteria_size() > kCriteriaMax) {
    return Wrong("--by stands more than 4 times", "4 fields are enough to tell a person");
  }
  ReadFields(session, request.mutable_field_mask());
  return request;
}

absl::StatusOr<api::GetResidentRequest> BuildGet(Session& session) {
  api::GetResidentRequest request;
  ASSIGN_OR_RETURN(*request.mutable_resident_id(), ReadResident(session));
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request.mutable_context()));
  ReadFields(session, request.mutable_field_mask());
  return request;
}

absl::StatusOr<api::CreateResidentRequest> BuildCreate(Session& session) {
  api::CreateResidentRequest request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request.mutable_context()));
  RETURN_IF_ERROR(ReadAssignments(session, "set", request.mutable_fields()));
  ASSIGN_OR_RETURN(*request.mutable_request_id(), RequestIdOf(session));
  return request;
}

absl::StatusOr<api::UpdateResidentRequest> BuildUpdate(Session& session) {
  api::UpdateResidentRequest request;
  ASSIGN_OR_RETURN(*request.mutable_resident_id(), ReadResident(session));
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request.mutable_context()));
  RETURN_IF_ERROR(ReadAssignments(session, "set", request.mutable_fields()));
  ASSIGN_OR_RETURN(*request.mutable_request_id(), RequestIdOf(session));
  request.set_etag(session.args().Get("etag"));
  return request;
}

}  // namespace

absl::StatusOr<std::string> ReadResident(const Session& session) {
  const std::string& id = session.args().operands()[0];
  if (session.check() && !ResidentId::Parse(id).ok()) {
    return Wrong("ID is no resident's handle",
                 "32 lower-case hex digits, as residents lookup prints them");
  }
  return id;
}

absl::Status ReadContext(const Session& session, api::AccessContext* context) {
  context->set_programme(session.args().Get("programme"));
  context->set_purpose(session.args().Get("purpose"));
  context->set_contact(session.args().Get("contact"));
  context->set_reason(session.args().Get("reason"));
  if (!session.check()) return absl::OkStatus();
  if (context->purpose().empty()) {
    return Wrong("--purpose is missing",
                 "why the resident is touched: vaccination_booking, health_observation, "
                 "correction, migration, complaint, erasure");
  }
  if (context->contact().empty()) {
    return Wrong("--contact is missing",
                 "the call's or batch's opaque reference: --contact C-1001");
  }
  return absl::OkStatus();
}

static int RunResidentsLookup(Session& session) {
  api::LookupResidentsResponse response;
  const int code =
      session.Ask(&api::ResidentService::Stub::LookupResidents, BuildLookup(session), &response);
  if (code != kDone) return code;
  if (session.json()) {
    session.PrintJson(response);
  } else if (!response.residents().empty()) {
    const FieldNames names = FieldNames::Ask(session);
    for (int i = 0; i < response.residents_size(); ++i) {
      if (i > 0) session.out() << "\n";
      PrintResident(response.residents(i), names, session.out());
    }
  }
  if (response.residents().empty()) {
    return session.Fail({"NOT_FOUND", "not found: 該当なし no resident matches", "", kNotFound});
  }
  if (response.more()) {
    session.notes() << "hint: there are more than these; add another --by to narrow the search\n";
  }
  return kDone;
}

Command ResidentsLookup() {
  return {{"residents",
           "lookup",
           "",
           "find residents by exact values, however they are written",
           "",
           cli::With(ContextFlags(),
                     {{"by", "FIELD=VALUE",
                       "1 to 4 times; a resident matches all of them; FIELD=@- takes the\n"
                       "value from standard input",
                       true},
                      FieldsFlag()}),
           {absl::StrCat(kOperator,
                         "residents lookup --tenant 131164 \\\n"
                         "      --by phone=03-1234-5678 --purpose vaccination_booking "
                         "--contact C-1001")}},
          RunResidentsLookup};
}

static int RunResidentsGet(Session& session) {
  return session.Call(&api::ResidentService::Stub::GetResident, BuildGet(session),
                      [&](const api::GetResidentResponse& response) {
                        PrintResident(response.resident(), FieldNames::Ask(session), session.out());
                      });
}

Command ResidentsGet() {
  return {{"residents",
           "get",
           "ID",
           "read one resident by its handle",
           "",
           cli::With(ContextFlags(), {FieldsFlag()}),
           {absl::StrCat(kOperator,
                         "residents get 00112233445566778899aabbccddeeff \\\n"
                         "      --tenant 131164 --fields name,kana --purpose "
                         "vaccination_booking --contact C-1001")}},
          RunResidentsGet};
}

static int RunResidentsCreate(Session& session) {
  const absl::StatusOr<api::CreateResidentRequest> request = BuildCreate(session);
  return session.Call(&api::ResidentService::Stub::CreateResident, request,
                      [&](const api::CreateResidentResponse& response) {
                        session.out() << "created resident " << cli::Visible(response.resident_id())
                                      << "  version " << response.version() << "  etag "
                                      << cli::Visible(response.etag()) << "\n";
                      },
                      {Wait::kShort, HintToRepeat(request)});
}

Command ResidentsCreate() {
  return {{"residents",
           "create",
           "",
           "store a new resident",
           "",
           cli::With(ContextFlags(), {SetFlag(), RequestIdFlag()}),
           {"vaultctl --profile booking.textproto residents create --tenant 131164 \\\n"
            "      --set name=豊島花子 --set phone=03-1234-5678 --purpose migration --contact "
            "B-2026-11"}},
          RunResidentsCreate};
}

static int RunResidentsUpdate(Session& session) {
  const absl::StatusOr<api::UpdateResidentRequest> request = BuildUpdate(session);
  return session.Call(&api::ResidentService::Stub::UpdateResident, request,
                      [&](const api::UpdateResidentResponse& response) {
                        session.out() << "updated resident " << cli::Visible(request->resident_id())
                                      << "  version " << response.version() << "  etag "
                                      << cli::Visible(response.etag()) << "\n";
                      },
                      {Wait::kShort, HintToRepeat(request)});
}

Command ResidentsUpdate() {
  return {
      {"residents",
       "update",
       "ID",
       "change fields of a resident; an empty value removes one",
       "",
       cli::With(ContextFlags(), {SetFlag(), EtagFlag(), RequestIdFlag()}),
       {"vaultctl --profile supervisor.textproto residents update "
        "00112233445566778899aabbccddeeff \\\n"
        "      --tenant 131164 --set phone=090-1234-5678 --purpose correction --contact C-1001"}},
      RunResidentsUpdate};
}

}  // namespace vault::ctl
