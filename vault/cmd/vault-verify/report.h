// What the program says of what it found, for people (English, the verdict in Japanese too) and for
// programs (one JSON object).
#ifndef VAULT_CMD_VAULT_VERIFY_REPORT_H_
#define VAULT_CMD_VAULT_VERIFY_REPORT_H_

#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/tlog/certificate.h"
#include "vault/tlog/log_check.h"

namespace vault::verify {

enum ExitCode : int {
  kGood = 0,
  kBroken = 1,
  kUsage = 2,
  kRolledBack = 3,
  kForked = 4,
};
ExitCode ToExitCode(tlog::Verdict verdict);

// `took` is left out of both forms where it is zero.
void PrintLogText(const tlog::LogReport& report, absl::Duration took, std::ostream& out);
void PrintLogJson(const tlog::LogReport& report, absl::Duration took, std::ostream& out);
// Of a proof that holds, or what CheckProof found against it.
tlog::Verdict VerdictOf(const absl::StatusOr<tlog::ProofReport>& report);
void PrintProofText(const absl::StatusOr<tlog::ProofReport>& report, std::ostream& out);
void PrintProofJson(const absl::StatusOr<tlog::ProofReport>& report, std::ostream& out);
// Of a certificate that holds, or what VerifyCertificate found against it.
void PrintCertificateText(const absl::StatusOr<tlog::ErasureCertificate>& certificate,
                          std::ostream& out);
void PrintCertificateJson(const absl::StatusOr<tlog::ErasureCertificate>& certificate,
                          std::ostream& out);

}  // namespace vault::verify

#endif  // VAULT_CMD_VAULT_VERIFY_REPORT_H_
