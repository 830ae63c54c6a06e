// Residents erased, one or a programme's, and what certifies it. An erasure opens no field; where
// the key of a record is gone nothing needs to be opened at all.
#ifndef VAULT_USECASES_ERASURE_ERASURE_H_
#define VAULT_USECASES_ERASURE_ERASURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/pipeline/steps.h"
#include "vault/publish/checkpointer.h"
#include "vault/records/records.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/store.h"
#include "vault/tlog/certificate.h"

namespace vault::usecases {

struct EraseRequest {
  std::string tenant;
  std::string resident;
  pipeline::AccessContext context;
  std::string etag;  // may be empty
};
struct CertificateResult {
  // vault/tlog/CERTIFICATE.md. Of an erasure that is durable and whose certificate could not be
  // made now: empty, and so is the text.
  std::string note;
  std::string text;
  bool final = false;
};
struct RetireRequest {
  std::string tenant;
  std::string programme;
  bool dry_run = false;
  pipeline::AccessContext context;
  absl::optional<uint32_t> rows_per_second;
};

struct ErasureOptions {
  pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  publish::Checkpointer* checkpointer = nullptr;
  const keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  jobs::Jobs* jobs = nullptr;
  std::string keyring_copies_dir;  // empty: no copies are made
};

// Thread-safe. Everything in the options must outlive it. It adds the kind of its job.
class Erasure {
 public:
  explicit Erasure(ErasureOptions options);

  // The certificate names the entry of the erasure, whose number is known once it is durable. From
  // then on the answer is that it is erased, whatever becomes of the certificate: that can be asked
  // for again, and the erasure cannot.
  void Erase(const pipeline::Caller& caller, EraseRequest request,
             pipeline::Reply<CertificateResult> reply);
  void GetCertificate(const pipeline::Caller& caller, std::string tenant, std::string resident,
                      pipeline::Reply<CertificateResult> reply);
  // A job that erases the residents of a programme whose time is over.
  void Retire(const pipeline::Caller& caller, RetireRequest request,
              pipeline::Reply<row::v1::JobRow> reply);

 private:
  pipeline::Outcome<ResidentId> PrepareErase(pipeline::Call& call, const EraseRequest& request,
                                             const ResidentId& id) const;
  // Whether the record's class refuses the call: OK, or the escalation.
  absl::Status CheckClass(const pipeline::Call& call, const records::Record& record) const;
  // What a tenant's keys, as they are after `snapshot` was taken, say of a record that goes.
  absl::StatusOr<row::v1::ErasureRow> ErasureOf(
      const store::Snapshot& snapshot, const TenantId& tenant, const records::Record& record,
      absl::Time now, std::vector<audit::Precondition>* preconditions) const;
  pipeline::Prepared<CertificateResult> PrepareCertificate(const pipeline::Call& call,
                                                           const ResidentId& id) const;
  absl::StatusOr<CertificateResult> MakeCertificate(const LogId& log, const TenantId& tenant,
                                                    const ResidentId& id, absl::Time now) const;
  // The entry of the erasure in the log's newest signed tree, where it is there.
  absl::Status AddInclusion(const LogId& log, tlog::ErasureCertificate* certificate) const;
  // Which conditions are met: what the keyring, its copies and the attestations say now.
  absl::Status AddKeyFacts(tlog::ErasureCertificate* certificate) const;
  // The highest serial before which, it was attested after that moment, no copy is left; 0: none.
  absl::StatusOr<uint64_t> AttestedSince(absl::Time destroyed) const;

  absl::Status RunRetire(jobs::JobContext& job) const;
  // One step from the row `from` on, which moves behind it; false at the end. Where nothing was
  // written it stays where it is.
  absl::StatusOr<bool> RetireSome(jobs::JobContext& job, const TenantId& tenant,
                                  std::string* from) const;
  // The programme's residents from `from` on, as many as fit a step, which goes on at `next`.
  absl::StatusOr<std::vector<records::Record>> FindSome(const jobs::JobContext& job,
                                                        const store::Snapshot& snapshot,
                                                        const TenantId& tenant,
                                                        const std::string& from,
                                                        std::string* next) const;

  const ErasureOptions options_;
  pipeline::Pipeline& pipeline_;
  const records::Records records_;
};

}  // namespace vault::usecases

#endif  // VAULT_USECASES_ERASURE_ERASURE_H_
