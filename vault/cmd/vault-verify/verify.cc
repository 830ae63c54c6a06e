#include "vault/cmd/vault-verify/verify.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/cli/error_text.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vault-verify/args.h"
#include "vault/cmd/vault-verify/files.h"
#include "vault/cmd/vault-verify/report.h"
#include "vault/cmd/vault-verify/state.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/log_check.h"

namespace vault::verify {
namespace {

int Usage(std::ostream& err, absl::string_view problem, absl::string_view hint = "") {
  err << cli::ErrorText("vault-verify", cli::Visible(problem), hint);
  return kUsage;
}

int NotRead(std::ostream& err, absl::string_view path, const absl::Status& status,
            absl::string_view hint = "") {
  return Usage(err, absl::StrCat(path, ": ", status.message()), hint);
}

// Whose the damage is must be plain: the log has no part in it.
int OwnFileDamaged(std::ostream& err, absl::string_view path, absl::string_view problem) {
  return Usage(
      err, absl::StrCat(path, ": ", problem, " (your own file, which is no part of the log)"),
      "put a copy of it back; without it the log is not held against what was seen before");
}

tlog::LogCheckOptions OptionsOf(const Args& args) {
  tlog::LogCheckOptions options;
  options.keys = args.keys;
  options.service_key = args.service_key;
  options.witness_keys = args.witness_keys;
  options.witnesses_min = args.witnesses_min;
  options.size_min = args.size_min;
  options.threads = args.threads;
  options.now = absl::Now();
  options.retention_years = static_cast<int>(args.retention_years);
  return options;
}

void Print(const Args& args, const tlog::LogReport& report, absl::Duration took,
           std::ostream& out) {
  args.json ? PrintLogJson(report, took, out) : PrintLogText(report, took, out);
}

int RunLog(const Args& args, std::ostream& out, std::ostream& err) {
  absl::StatusOr<Folder> folder = Folder::Open(args.path);
  if (!folder.ok()) {
    return NotRead(err, args.path, folder.status(),
                   "DIR is what `vaultctl audit export --out DIR` wrote");
  }
  tlog::LogCheckOptions options = OptionsOf(args);
  options.list = [&](const std::string& path) { return folder->List(path); };
  for (const std::string& path : args.since) {
    absl::StatusOr<std::string> bytes = ReadNamedFile(path, tlog::kNoteBytesMax);
    if (absl::IsNotFound(bytes.status())) {
      return NotRead(err, path, bytes.status(), "--since wants a kept checkpoint");
    }
    if (!bytes.ok()) return OwnFileDamaged(err, path, bytes.status().message());
    const absl::Status parsed = tlog::ParseSignedCheckpoint(*bytes).status();
    if (!parsed.ok()) return OwnFileDamaged(err, path, parsed.message());
    options.old_checkpoints.push_back({path, *std::move(bytes)});
  }
  absl::optional<StateFile> state;
  absl::optional<std::string> known;
  if (!args.state.empty()) {
    absl::StatusOr<StateFile> opened = StateFile::Open(args.state);
    if (!opened.ok()) return NotRead(err, args.state, opened.status(), "the folder must exist");
    state.emplace(*std::move(opened));
    absl::StatusOr<absl::optional<std::string>> found = state->Find(args.keys[0].name);
    if (!found.ok()) return OwnFileDamaged(err, args.state, found.status().message());
    known = *std::move(found);
    if (known.has_value()) options.old_checkpoints.push_back({args.state, *known});
  }
  const absl::Time begin = absl::Now();
  absl::StatusOr<tlog::LogReport> report = tlog::CheckLog(
      [&](const std::string& path, size_t bytes_max) { return folder->Read(path, bytes_max); },
      options);
  if (!report.ok()) return Usage(err, report.status().message(), "vault-verify --help");
  if (report->verdict == tlog::Verdict::kGood && options.old_checkpoints.empty()) {
    report->notices.push_back(
        "nothing from before to compare with: that this log was never written anew is not shown; "
        "keep this checkpoint (--state)");
  }
  absl::Status kept;
  if (report->verdict == tlog::Verdict::kGood && state.has_value()) {
    kept = state->Remember(report->checkpoint_bytes, known);
    // No verdict: the log was not held against what is kept now.
    if (absl::IsFailedPrecondition(kept)) return NotRead(err, args.state, kept);
    if (absl::IsAborted(kept)) {
      report->verdict = tlog::Verdict::kForked;
      report->problem = absl::StrCat(args.state, ": ", kept.message());
      kept = absl::OkStatus();
    }
  }
  Print(args, *report, absl::Now() - begin, out);
  if (!kept.ok()) {
    return Usage(err, absl::StrCat(args.state, ": ", kept.message(),
                                   ": the log is good, but its checkpoint was not kept"));
  }
  return ToExitCode(report->verdict);
}

int RunProof(const Args& args, std::ostream& out, std::ostream& err) {
  const absl::StatusOr<std::string> proof = ReadNamedFile(args.path, tlog::kNoteBytesMax);
  if (!proof.ok()) {
    return NotRead(err, args.path, proof.status(),
                   "FILE is what `vaultctl audit prove --out FILE` wrote");
  }
  std::string entry;
  if (!args.entry.empty()) {
    absl::StatusOr<std::string> bytes = ReadNamedFile(args.entry, tlog::kMaxEntrySize);
    if (!bytes.ok()) return NotRead(err, args.entry, bytes.status(), "--entry wants its bytes");
    entry = *std::move(bytes);
  }
  // By one of the keys that the log has had; where none signed it, as the first one says.
  absl::optional<absl::StatusOr<tlog::ProofReport>> checked;
  for (const tlog::VerifierKey& key : args.keys) {
    tlog::LogCheckOptions options = OptionsOf(args);
    options.keys = {key};
    absl::StatusOr<tlog::ProofReport> by_key =
        tlog::CheckProof(*proof,
                         args.entry.empty() ? absl::optional<absl::string_view>()
                                            : absl::optional<absl::string_view>(entry),
                         options);
    const bool good = VerdictOf(by_key) == tlog::Verdict::kGood;
    if (good || !checked.has_value()) checked = std::move(by_key);
    if (good) break;
  }
  const absl::StatusOr<tlog::ProofReport>& report = *checked;
  if (absl::IsInvalidArgument(report.status())) {
    return Usage(err, report.status().message(), "--entry FILE names a file of the entry's bytes");
  }
  args.json ? PrintProofJson(report, out) : PrintProofText(report, out);
  return ToExitCode(VerdictOf(report));
}

int RunCertificate(const Args& args, std::ostream& out, std::ostream& err) {
  const absl::StatusOr<std::string> note = ReadNamedFile(args.path, tlog::kNoteBytesMax);
  if (!note.ok()) {
    return NotRead(err, args.path, note.status(),
                   "FILE is what `vaultctl residents certificate --to FILE` wrote");
  }
  absl::StatusOr<tlog::ErasureCertificate> certificate =
      tlog::VerifyCertificate(*note, args.keys[0]);
  for (size_t i = 1; !certificate.ok() && i < args.keys.size(); ++i) {
    absl::StatusOr<tlog::ErasureCertificate> by_key = tlog::VerifyCertificate(*note, args.keys[i]);
    if (by_key.ok()) certificate = std::move(by_key);
  }
  args.json ? PrintCertificateJson(certificate, out) : PrintCertificateText(certificate, out);
  return certificate.ok() ? kGood : kBroken;
}

}  // namespace

int RunVaultVerify(const std::vector<std::string>& args, std::ostream& out, std::ostream& err) {
  const Args parsed = ParseArgs(args);
  switch (parsed.want) {
    case Want::kHelp:
      PrintHelp(out);
      return kGood;
    case Want::kVersion:
      out << "vault-verify " << VAULT_VERSION << "\n";
      return kGood;
    case Want::kLog:
      return RunLog(parsed, out, err);
    case Want::kProof:
      return RunProof(parsed, out, err);
    case Want::kCertificate:
      return RunCertificate(parsed, out, err);
    case Want::kError:
      break;
  }
  return Usage(err, parsed.error, parsed.hint);
}

}  // namespace vault::verify
