// The first start on a database that was restored from a backup. Residents erased since the backup
// was made are there again; the log says that they were erased, where its entries were replayed.
#ifndef VAULT_RECOVERY_FIRST_START_H_
#define VAULT_RECOVERY_FIRST_START_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/random.h"
#include "vault/inventory/key_kinds.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/publish/checkpointer.h"
#include "vault/records/records.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/store.h"
#include "vault/trail/log_reader.h"

namespace vault::recovery {

struct FirstStartOptions {
  const pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  const publish::Checkpointer* checkpointer = nullptr;
  keys::Keyring* keyring = nullptr;
  Random* random = nullptr;
  jobs::Jobs* jobs = nullptr;
};

// Does nothing where the database bears no mark of a restore. Cut short anywhere, the next start
// finds the mark, and rows and keyring as far as this had come.
class FirstStart {
 public:
  explicit FirstStart(FirstStartOptions options) : options_(options), records_(options.random) {}

  // Before calls and jobs: repeats the erasures that the log has and the database lacks, stops the
  // seats that somebody has changed since the backup (revoked ones for good; of the others nothing
  // but that is known), and all of a log that lacks entries, removes the rows of tenants that were
  // off-boarded since, and has every generation of index keys that rows are under read.
  absl::Status Mend();
  // Once jobs run: begins the rotations that the rows that came back call for, and records that the
  // database was restored.
  absl::Status Record();

 private:
  struct Demand {
    TenantId tenant;
    bool compromised = false;  // a KEK is COMPROMISED
    bool index = false;        // rows are under another generation of index keys
    bool kek = false;          // rows are under a COMPROMISED KEK
    bool dek = false;          // DEKs are of an older generation, or such a KEK has wrapped them
    // The COMPROMISED KEK that has wrapped a DEK of the current generation; 0: none has.
    uint32_t compromised_kek = 0;
    bool none() const { return !index && !kek && !dek; }
  };
  struct Restored {
    uint32_t number = 0;
    bool mac = false;  // rows are under another MAC key than the one that is written
    uint64_t erased = 0;
    uint64_t stopped = 0;  // seats
    std::vector<Demand> demands;
  };
  absl::StatusOr<Demand> DemandOf(const TenantId& tenant, const keys::TenantKeys& keys) const;
  absl::Status RotateRestored(const Demand& demand, inventory::KeyKind kind);
  row::v1::JobRow RestoredMacRotation() const;
  absl::Status BeginRestored(row::v1::JobRow row);
  absl::Status PurgeAgain(const TenantId& tenant);
  // Erasures of the log from that entry on; how many there were to repeat.
  absl::StatusOr<uint64_t> EraseAgain(const LogId& log, uint64_t from);
  // Stops seats by the log's entries from that one on; how many.
  absl::StatusOr<uint64_t> StopSeatsAgain(const TenantId& tenant, uint64_t from);
  // What the log says of seats since then: the last act upon each, by "<programme>/<subject>".
  struct SeatActs {
    bool incomplete = false;  // entries of the log are lost
    absl::flat_hash_map<std::string, std::string> last;
  };
  absl::StatusOr<SeatActs> SeatActsSince(const LogId& log, uint64_t from) const;
  absl::Status ForgetErased(audit::Submission* submission) const;
  absl::Status EraseOneAgain(const trail::LogRecord& erasure, audit::Submission* submission);

  const FirstStartOptions options_;
  const records::Records records_;
  absl::optional<Restored> restored_;
};

}  // namespace vault::recovery

#endif  // VAULT_RECOVERY_FIRST_START_H_
