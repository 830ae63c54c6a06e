// residents erase, certificate, retire: the end of residents' data, and what shows it.
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vault/base/status.h"
#include "vault/cli/display.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/commands.h"
#include "vault/cmd/vaultctl/files.h"
#include "vault/cmd/vaultctl/jobs.h"
#include "vault/cmd/vaultctl/shared_flags.h"
#include "vault/v1/resident_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

constexpr int kWidth = 96;

cli::Flag ToFlag() { return {"to", "FILE", "the signed certificate goes to this file, a new one"}; }

// Looked at before anything is asked: an erasure is not undone because a file was in the way.
absl::Status CheckNewFile(const Session& session) {
  const std::string path = session.args().Get("to");
  if (!session.args().Has("to")) return absl::OkStatus();
  if (path.empty()) return Wrong("--to wants a file", "--to certificate.note");
  struct stat there;
  if (lstat(path.c_str(), &there) == 0) {
    return Wrong(absl::StrCat("--to ", cli::Visible(path), " is there already"),
                 "name another file: none is overwritten");
  }
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(directory.c_str(), W_OK) != 0) return ErrnoAt("write into", directory);
  return absl::OkStatus();
}

// A paragraph a language, for a terminal; the note holds the text as it is.
void PrintText(const std::string& text, std::ostream& out) {
  absl::string_view gap = "";
  for (absl::string_view paragraph : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    out << gap << cli::Wrapped(paragraph, kWidth, 0);
    gap = "\n";
  }
}

// `again`: the line that asks for the certificate once more.
int HandOut(Session& session, const google::protobuf::Message& response,
            const api::ErasureCertificate& certificate, const std::string& again) {
  session.Print(response, [&](const google::protobuf::Message&) {
    PrintText(certificate.text(), session.out());
  });
  const std::string path = session.args().Get("to");
  if (path.empty()) {
    session.notes() << "hint: the signed certificate: " << again << " --to FILE\n";
    return kDone;
  }
  const absl::Status written = CreateFileAtomically(path, certificate.note());
  if (!written.ok()) {
    return session.OutputFailed(
        written.message(), absl::StrCat("the vault has done what was asked; the certificate can be "
                                        "had again: ",
                                        again, " --to FILE"));
  }
  session.notes() << "certificate in " << cli::Visible(path) << "\n";
  return kDone;
}

std::string AgainLine(const std::string& tenant, const std::string& resident) {
  return absl::StrCat("vaultctl residents certificate ", cli::Visible(resident), " --tenant ",
                      cli::Visible(tenant));
}

absl::StatusOr<api::EraseResidentRequest> BuildErase(const Session& session) {
  api::EraseResidentRequest request;
  ASSIGN_OR_RETURN(*request.mutable_resident_id(), ReadResident(session));
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request.mutable_context()));
  request.set_etag(session.args().Get("etag"));
  RETURN_IF_ERROR(CheckNewFile(session));
  return request;
}

absl::StatusOr<api::GetErasureCertificateRequest> BuildCertificate(const Session& session) {
  api::GetErasureCertificateRequest request;
  ASSIGN_OR_RETURN(*request.mutable_resident_id(), ReadResident(session));
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(CheckNewFile(session));
  return request;
}

absl::StatusOr<api::RetireResidentsRequest> BuildRetire(const Session& session) {
  api::RetireResidentsRequest request;
  ASSIGN_OR_RETURN(*request.mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request.mutable_context()));
  request.set_programme(session.args().Get("programme"));
  if (session.check() && request.programme().empty()) {
    return Wrong("--programme is missing", "one that has an end in policies/tenants.textproto");
  }
  request.set_dry_run(session.args().Has("dry-run"));
  RETURN_IF_ERROR(ReadRate(session, &request));
  return request;
}

}  // namespace

static int RunResidentsErase(Session& session) {
  const absl::StatusOr<api::EraseResidentRequest> request = BuildErase(session);
  if (!request.ok()) return session.BadInput(request.status());
  const int connected = session.Connect();
  if (connected != kDone) return connected;
  if (!session.Confirmed(absl::StrCat("消去は取り消せません: resident ", request->resident_id(),
                                      " is erased for good"))) {
    return kBadInput;
  }
  const std::string again = AgainLine(request->tenant_id(), request->resident_id());
  const auto hints = [&](const grpc::Status& status) -> Hints {
    // NOT_FOUND as well: whoever was erased before is not there any more.
    const grpc::StatusCode code = status.error_code();
    const bool unsure = code == grpc::StatusCode::NOT_FOUND ||
                        code == grpc::StatusCode::UNAVAILABLE ||
                        code == grpc::StatusCode::DEADLINE_EXCEEDED;
    return {unsure ? absl::StrCat("whether it was erased: ", again) : "", ""};
  };
  api::EraseResidentResponse response;
  const int code = session.Ask(&api::ResidentService::Stub::EraseResident, request, &response,
                               {Wait::kShort, hints});
  if (code != kDone) return code;
  if (response.has_certificate()) {
    return HandOut(session, response, response.certificate(), again);
  }
  if (session.json()) session.PrintJson(response);
  if (session.args().Has("to")) {
    return session.Fail(
        {"NO_CERTIFICATE", "erased; the certificate could not be made now", again, kUnavailable});
  }
  session.notes() << "erased; the certificate could not be made now\nhint: " << again << "\n";
  return kDone;
}

Command ResidentsErase() {
  return {{"residents",
           "erase",
           "ID",
           "erase a resident for good; prints the certificate",
           "The data key, the fields and the search tags go in one write with the entry. What old\n"
           "backups and keyrings still hold, and until when, the certificate says.\n",
           cli::With(ContextFlags(), {ToFlag(), EtagFlag()}),
           {"vaultctl --profile officer.textproto residents erase 00112233445566778899aabbccddeeff "
            "\\\n"
            "      --tenant 131164 --purpose erasure --contact E-2026-7 --to erased.note"}},
          RunResidentsErase};
}

static int RunResidentsCertificate(Session& session) {
  const absl::StatusOr<api::GetErasureCertificateRequest> request = BuildCertificate(session);
  api::GetErasureCertificateResponse response;
  const int code =
      session.Ask(&api::ResidentService::Stub::GetErasureCertificate, request, &response);
  if (code != kDone) return code;
  return HandOut(session, response, response.certificate(),
                 AgainLine(request->tenant_id(), request->resident_id()));
}

Command ResidentsCertificate() {
  return {{"residents",
           "certificate",
           "ID",
           "the certificate of an erasure, as things stand now",
           "It is final once nobody can read the data any more, in old backups neither.\n",
           {TenantFlag("the municipality"), ToFlag(), NoCheckFlag()},
           {"vaultctl --profile officer.textproto residents certificate "
            "00112233445566778899aabbccddeeff \\\n"
            "      --tenant 131164 --to erased.note"}},
          RunResidentsCertificate};
}

static int RunResidentsRetire(Session& session) {
  return BeginJob(session, &api::ResidentService::Stub::RetireResidents, BuildRetire(session),
                  {Wait::kLong});
}

Command ResidentsRetire() {
  return {{"residents",
           "retire",
           "",
           "erase the residents of a programme whose time is over",
           "--programme is required here. Programmes and their ends stand in "
           "policies/tenants.textproto.\nLook with --dry-run first.\n",
           cli::With(ContextFlags(), {DryRunFlag(), RateFlag(), DetachFlag()}),
           {"vaultctl --profile officer.textproto residents retire --tenant 131164 \\\n"
            "      --programme vaccination --dry-run --purpose erasure --contact E-2026-8"}},
          RunResidentsRetire};
}

}  // namespace vault::ctl
