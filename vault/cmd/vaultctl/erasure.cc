// residents erase, certificate, retire: the end of residents' data, and what shows it.
#include <grpcpp/client_context.h>
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
  if (session.json()) {
    session.PrintJson(response);
  } else {
    PrintText(certificate.text(), session.out());
  }
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

absl::Status BuildErase(const Session& session, api::EraseResidentRequest* request) {
  ASSIGN_OR_RETURN(*request->mutable_resident_id(), ReadResident(session));
  ASSIGN_OR_RETURN(*request->mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request->mutable_context()));
  request->set_etag(session.args().Get("etag"));
  return CheckNewFile(session);
}

absl::Status BuildRetire(const Session& session, api::RetireResidentsRequest* request) {
  ASSIGN_OR_RETURN(*request->mutable_tenant_id(), session.Tenant());
  RETURN_IF_ERROR(ReadContext(session, request->mutable_context()));
  request->set_programme(session.args().Get("programme"));
  if (session.check() && request->programme().empty()) {
    return Wrong("--programme is missing", "one that has an end in policies/tenants.textproto");
  }
  request->set_dry_run(session.args().Has("dry-run"));
  return ReadRate(session, request);
}

int RunResidentsErase(Session& session) {
  api::EraseResidentRequest request;
  const absl::Status built = BuildErase(session, &request);
  if (!built.ok()) return session.BadInput(built);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  if (!session.Confirmed(absl::StrCat("消去は取り消せません: resident ", request.resident_id(),
                                      " is erased for good"))) {
    return kBadInput;
  }
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::EraseResidentResponse response;
  const grpc::Status status =
      api::ResidentService::NewStub(*channel)->EraseResident(&context, request, &response);
  const std::string again = AgainLine(request.tenant_id(), request.resident_id());
  if (!status.ok()) {
    // NOT_FOUND as well: whoever was erased before is not there any more.
    const grpc::StatusCode code = status.error_code();
    const bool unsure = code == grpc::StatusCode::NOT_FOUND ||
                        code == grpc::StatusCode::UNAVAILABLE ||
                        code == grpc::StatusCode::DEADLINE_EXCEEDED;
    return session.CallFailed(status,
                              {unsure ? absl::StrCat("whether it was erased: ", again) : "", ""});
  }
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

int RunResidentsCertificate(Session& session) {
  api::GetErasureCertificateRequest request;
  const absl::StatusOr<std::string> id = ReadResident(session);
  if (!id.ok()) return session.BadInput(id.status());
  request.set_resident_id(*id);
  const absl::StatusOr<std::string> tenant = session.Tenant();
  if (!tenant.ok()) return session.BadInput(tenant.status());
  request.set_tenant_id(*tenant);
  const absl::Status file = CheckNewFile(session);
  if (!file.ok()) return session.BadInput(file);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetDeadline(&context);
  api::GetErasureCertificateResponse response;
  const grpc::Status status =
      api::ResidentService::NewStub(*channel)->GetErasureCertificate(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  return HandOut(session, response, response.certificate(), AgainLine(*tenant, *id));
}

int RunResidentsRetire(Session& session) {
  api::RetireResidentsRequest request;
  const absl::Status built = BuildRetire(session, &request);
  if (!built.ok()) return session.BadInput(built);
  const auto channel = session.Connect();
  if (!channel.ok()) return session.BadInput(channel.status());
  grpc::ClientContext context;
  session.SetLongDeadline(&context);
  api::RetireResidentsResponse response;
  const grpc::Status status =
      api::ResidentService::NewStub(*channel)->RetireResidents(&context, request, &response);
  if (!status.ok()) return session.CallFailed(status);
  if (session.json()) session.PrintJson(response);
  return FollowJob(session, *channel, response.job());
}

}  // namespace

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

Command ResidentsRetire() {
  return {
      {"residents",
       "retire",
       "",
       "erase the residents of a programme whose time is over",
       "Programmes and their ends stand in policies/tenants.textproto. Look with --dry-run "
       "first.\n",
       cli::With(ContextFlags(), {{"programme", "ID", "the programme that has ended (required)"},
                                  DryRunFlag(),
                                  RateFlag(),
                                  DetachFlag()}),
       {"vaultctl --profile officer.textproto residents retire --tenant 131164 \\\n"
        "      --programme vaccination-2026 --dry-run --purpose erasure --contact E-2026-8"}},
      RunResidentsRetire};
}

}  // namespace vault::ctl
