// The use cases: the only place where policy, records and audit meet.
//
//   engine->Lookup(info, std::move(request), [](absl::StatusOr<LookupResult> result) { … });
//
// Each is one straight pass: decide, find, open into an Answer, write the entry, release. The
// passes run on the work executor, never on the calling thread; `done` is called once, on an
// executor's thread, and only after the entry is durable. Statuses that come back without an entry
// of their own are those that say nothing about a resident: malformed calls and refusals over the
// limit (counted), a full queue, a trail that cannot be written.
//
// A pass is a function that prepares an entry and an Answer. When the sequencer finds that
// something changed since (ABORTED, RECHECK) the same function runs again: decided anew, found
// anew.
#ifndef VAULT_ENGINE_ENGINE_H_
#define VAULT_ENGINE_ENGINE_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "vault/audit/checkpointer.h"
#include "vault/audit/exporter.h"
#include "vault/audit/log_reader.h"
#include "vault/audit/sequencer.h"
#include "vault/audit/witness_feed.h"
#include "vault/base/answer.h"
#include "vault/base/clock.h"
#include "vault/base/executor.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/engine/call.h"
#include "vault/engine/idempotency.h"
#include "vault/engine/refusals.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy.h"
#include "vault/records/records.h"
#include "vault/store/store.h"

namespace vault::engine {

template <typename T>
using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;

struct LookupRequest {
  std::string tenant;
  AccessContext context;
  std::vector<records::RawField> criteria;
  std::vector<std::string> fields;  // by name; empty: all that the role may have
};
struct LookupResult {
  std::vector<records::ResidentView> residents;
  bool more = false;
};

struct GetRequest {
  std::string tenant;
  std::string resident;
  AccessContext context;
  std::vector<std::string> fields;
};

struct ChangeRequest {
  std::string tenant;
  std::string resident;  // update only
  AccessContext context;
  std::vector<records::RawField> fields;
  std::string etag;  // update only; may be empty
  std::string request_id;
};

struct ImportOpen {
  std::string tenant;
  AccessContext context;
};
struct ImportRow {
  uint64_t row = 0;
  std::vector<records::RawField> fields;
};
struct ImportRowResult {
  uint64_t row = 0;
  absl::Status status;  // OK: stored as `id`
  ResidentId id;
};

struct ListRequest {
  std::string log;
  audit::LogFilter filter;
  int page_size = 0;
  std::string page_token;
};
struct ListResult {
  std::vector<audit::LogRecord> records;
  std::string next_page_token;
  uint64_t size = 0;
};

struct KeyStatusResult {
  struct Version {
    uint32_t version;
    keys::KeyState state;
    absl::Time created;
    uint64_t residents;
  };
  std::vector<Version> versions;
  bool rotation_pending = false;
};
struct RotateProgress {
  uint32_t version = 0;
  uint64_t done = 0;
  uint64_t total = 0;
};
struct RotateResult {
  RotateProgress progress;
  uint64_t left_under_old = 0;
};

struct CheckpointResult {
  std::string checkpoint;  // signed notes
  std::string cosigned;    // may be empty
  std::vector<audit::WitnessState> witnesses;
};
struct LogKeysResult {
  std::string origin;
  std::vector<audit::LogKeyRange> keys;
};
struct InclusionResult {
  std::string entry;
  std::vector<crypto::Digest> hashes;
  std::string checkpoint;
};
struct ConsistencyResult {
  std::vector<crypto::Digest> hashes;
  uint64_t new_size = 0;
  std::string checkpoint;
};
struct ExportPart {
  std::vector<audit::ExportFile> files;
  uint64_t done = 0;
  uint64_t total = 0;
};
struct PruneRequest {
  std::string log;
  absl::Time before;
  bool dry_run = false;
};
struct PruneResult {
  uint64_t begin = 0;    // the first entry that remains
  uint64_t removed = 0;  // or would be
  std::string pruned;    // the signed record; empty where nothing went
};

struct EngineOptions {
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  audit::Checkpointer* checkpointer = nullptr;
  const audit::WitnessFeed* witnesses = nullptr;  // may be null
  keys::Keyring* keyring = nullptr;
  std::shared_ptr<const policy::PolicySet> policy;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* work = nullptr;  // requests, and the sequencer's completions
  // Counted refusals are written this often. Default: a minute.
  absl::Duration count_interval = absl::Minutes(1);
};

// Thread-safe. Everything in the options must outlive it; destroy it before the sequencer.
class Engine {
 public:
  static constexpr size_t kImportChunkMax = 500;
  static constexpr int kPageSizeMax = 1000;
  static constexpr size_t kCriteriaMax = 4;

  explicit Engine(EngineOptions options);
  // Waits for the calls that are in it, refuses new ones (UNAVAILABLE); writes what is counted and
  // the entry of the stop.
  ~Engine();

  // The entry of the start; keys for tenants that have none; goes on with a rotation that was
  // interrupted.
  absl::Status Start();

  void Lookup(const CallInfo& info, LookupRequest request, Done<LookupResult> done);
  void Get(const CallInfo& info, GetRequest request, Done<records::ResidentView> done);
  void Create(const CallInfo& info, ChangeRequest request, Done<ChangeResult> done);
  void Update(const CallInfo& info, ChangeRequest request, Done<ChangeResult> done);
  // At most kImportChunkMax rows; an error means that no row was stored.
  void ImportChunk(const CallInfo& info, ImportOpen open, std::vector<ImportRow> rows,
                   Done<std::vector<ImportRowResult>> done);

  void List(const CallInfo& info, ListRequest request, Done<ListResult> done);
  void Head(const CallInfo& info, std::string log, Done<audit::Sequencer::Head> done);
  // `progress` is called on a job's thread; false stops the work (CANCELLED).
  using VerifyProgress = absl::AnyInvocable<bool(uint64_t checked, uint64_t total)>;
  void Verify(const CallInfo& info, std::string log, VerifyProgress progress,
              Done<audit::Verdict> done);

  // The log's newest checkpoint, signed now where something is newer.
  void GetCheckpoint(const CallInfo& info, std::string log, Done<CheckpointResult> done);
  void GetLogKeys(const CallInfo& info, std::string log, Done<LogKeysResult> done);
  void ProveInclusion(const CallInfo& info, std::string log, uint64_t seq,
                      Done<InclusionResult> done);
  // `new_size` 0: the newest checkpoint's.
  void ProveConsistency(const CallInfo& info, std::string log, uint64_t old_size, uint64_t new_size,
                        Done<ConsistencyResult> done);
  // `part` is called on a job's thread and may wait for the caller; false stops (CANCELLED). The
  // checkpoint comes in the last part. `cosigned`: the newest one that the most witnesses cosigned,
  // and the tree of that.
  using ExportFn = absl::AnyInvocable<bool(ExportPart part)>;
  void Export(const CallInfo& info, std::string log, uint64_t from_size, ExportFn part,
              Done<bool> done, bool cosigned = false);
  void Prune(const CallInfo& info, PruneRequest request, Done<PruneResult> done);

  void KeyStatus(const CallInfo& info, std::string tenant, Done<KeyStatusResult> done);
  using RotateProgressFn = absl::AnyInvocable<bool(const RotateProgress&)>;
  void Rotate(const CallInfo& info, std::string tenant, RotateProgressFn progress,
              Done<RotateResult> done);
  // A new signing key for a log, with its handover.
  void RotateLogKey(const CallInfo& info, std::string log, bool compromised,
                    Done<audit::LogKeyRange> done);

  // A call that rpc could not even hand on (no such shape): counted like any malformed one.
  void CountMalformed(const CallInfo& info, absl::string_view action);
  // A caller whose certificate was let in at the handshake and is not any more: counted in the
  // service's log.
  void CountRefusedCaller(const CallInfo& info, absl::string_view rule);

 private:
  // An entry and the reply that its durability opens.
  template <typename T>
  struct Prepared {
    audit::Submission submission;
    Answer<T> answer;
  };
  template <typename T>
  using Prepare = absl::AnyInvocable<absl::StatusOr<Prepared<T>>()>;

  // A call whose form is right: who, what, where.
  struct Call {
    CallInfo info;
    policy::Action action;
    const policy::Subject* subject = nullptr;
    absl::Time now;
    policy::Request request;
    policy::Decision decision;
    LogId log = LogId::Service();
    tlog::EntryFields entry;
    uint64_t policy_epoch = 0;
    std::shared_ptr<const keys::TenantKeys> keys;  // residents' and key actions; OpenView's
    uint64_t changes_seen = 0;                     // OpenView's: Submission::changes_seen
  };

  // A record found for a call, with its view.
  struct Found {
    records::UnlockedRecord unlocked;
    const policy::View* view;
  };

  // Runs `prepare` on the work executor, submits, releases into `done`; again while the recheck
  // fails.
  template <typename T>
  void Run(Done<T> done, Prepare<T> prepare);
  // The same on a job's thread, for what may take long or wait for the disk.
  template <typename T>
  void RunJob(Done<T> done, Prepare<T> prepare);
  template <typename T>
  struct Pass;
  template <typename T>
  void Attempt(std::shared_ptr<Pass<T>> pass);

  // Reads the clock, finds the subject, checks tenant and context for their form, and decides.
  // INVALID_ARGUMENT is counted by the caller's Malformed. `fields`, `searched` and `changed` are
  // ids that were sent.
  absl::StatusOr<Call> Begin(const CallInfo& info, policy::Action action, absl::string_view log,
                             const AccessContext* context, const std::vector<std::string>& fields,
                             const std::vector<records::RawField>& searched,
                             const std::vector<records::RawField>& changed);
  // Counts the malformed call and gives the status back.
  absl::Status Malformed(const CallInfo& info, policy::Action action, absl::Status status);

  // What a pass turns into when its recheck has failed too often: an entry and a status that say
  // just that.
  template <typename T>
  static Prepared<T> Contended(Prepared<T> prepared);

  // The refusal that the decision calls for, as an entry, or counted. Nothing was looked up for it.
  template <typename T>
  absl::StatusOr<Prepared<T>> Refuse(const Call& call);
  // A refusal that follows from what was found, so that it tells of it: always an entry.
  template <typename T>
  Prepared<T> RefuseWith(const Call& call, std::vector<tlog::EntryFields> entries,
                         absl::Status status) const;
  // An allowed call that ends with this status, which discloses too.
  template <typename T>
  absl::StatusOr<Prepared<T>> Conclude(const Call& call, tlog::EntryFields entry,
                                       absl::Status status);
  // An allowed call with a body. The entries must be complete but for decision and outcome.
  template <typename T>
  Prepared<T> Allow(const Call& call, std::vector<tlog::EntryFields> entries, T body) const;
  audit::Submission NewSubmission(const Call& call, std::vector<tlog::EntryFields> entries) const;

  absl::StatusOr<Prepared<LookupResult>> PrepareLookup(const CallInfo& info,
                                                       const LookupRequest& request);
  absl::StatusOr<Prepared<LookupResult>> DiscloseAll(const Call& call, std::vector<Found> found,
                                                     bool more);
  absl::StatusOr<Prepared<records::ResidentView>> PrepareGet(const CallInfo& info,
                                                             const GetRequest& request);
  absl::StatusOr<Prepared<ChangeResult>> PrepareCreate(const CallInfo& info,
                                                       const ChangeRequest& request);
  absl::StatusOr<Prepared<ChangeResult>> PrepareUpdate(const CallInfo& info,
                                                       const ChangeRequest& request);
  absl::StatusOr<Prepared<ChangeResult>> ConcludeChange(const Call& call,
                                                        const ChangeRequest& request,
                                                        RequestMemory* memory,
                                                        const store::Snapshot& snapshot,
                                                        records::Change change);
  absl::StatusOr<Prepared<std::vector<ImportRowResult>>> PrepareImport(
      const CallInfo& info, const ImportOpen& open, const std::vector<ImportRow>& rows);
  absl::StatusOr<Prepared<ListResult>> PrepareList(const CallInfo& info,
                                                   const ListRequest& request);

  // The record behind a handle with what the role sees of its class. NOT_FOUND without one.
  absl::StatusOr<Found> Find(const Call& call, const store::Snapshot& snapshot,
                             const ResidentId& id);
  // Whether the record's own class refuses this call: the escalation, or an asked field withheld.
  absl::Status ClassRefusal(const Call& call, const Found& found, const std::vector<int>& fields,
                            std::string* rule) const;
  tlog::EntryFields DisclosureEntry(const Call& call, const Found& found) const;

  void ReportVerdict(const Call& call, absl::StatusOr<audit::Verdict> verdict,
                     Done<audit::Verdict> done);
  absl::StatusOr<audit::Verdict> VerifyOnJob(const LogId& log, audit::LogClaims claims,
                                             VerifyProgress& progress);
  absl::StatusOr<bool> ExportOnJob(const Call& call, uint64_t from_size, uint64_t size,
                                   const std::string& checkpoint, ExportFn& part);
  absl::StatusOr<Prepared<PruneResult>> PreparePrune(const CallInfo& info,
                                                     const PruneRequest& request);
  absl::StatusOr<audit::LogKeyRange> RotateLogKeyOnJob(const LogId& log, bool compromised,
                                                       const tlog::EntryFields& who);
  // The entry of a step that an allowed call takes; `count` -1: none.
  absl::Status RecordStep(const Call& call, absl::string_view action, int64_t count,
                          absl::string_view outcome = "OK");

  absl::Status CheckFilter(const audit::LogFilter& filter) const;
  absl::StatusOr<std::pair<uint64_t, uint64_t>> OpenPageToken(const Call& call,
                                                              const ListRequest& request) const;
  std::string SealPageToken(const Call& call, const ListRequest& request, uint64_t next,
                            uint64_t size) const;

  // A snapshot, and then the tenant's keys: read in this order, they know every KEK version that a
  // row of it is under.
  std::unique_ptr<const store::Snapshot> OpenView(Call* call) const;
  static absl::StatusOr<std::vector<uint64_t>> CountByKek(const store::Snapshot& snapshot,
                                                          const TenantId& tenant,
                                                          const keys::TenantKeys& keys);
  // The rotation itself, on a job's thread. `begin` is the entry of its begin.
  absl::StatusOr<RotateResult> RunRotation(const TenantId& tenant, const tlog::EntryFields& who,
                                           RotateProgressFn& progress);
  // Rewraps the next rows after `from`; gives the key to go on from, empty at the end.
  absl::StatusOr<std::string> RewrapSome(const TenantId& tenant, const tlog::EntryFields& who,
                                         const std::string& from, uint64_t* moved);
  absl::Status AddTenantKeys(const TenantId& tenant);
  // Goes on deleting what a crash left of a pruned beginning.
  void ResumePruning(const LogId& log);
  absl::Status EndKeyCreation(const TenantId& tenant);
  // An entry without a caller's reply: the service's own act, or a job's step.
  absl::Status Record(const LogId& log, tlog::EntryFields entry);
  tlog::EntryFields ServiceEntry(absl::string_view action) const;

  // RunRotation, one at a time a tenant; a failure gets its entry too.
  absl::StatusOr<RotateResult> Rotate(const TenantId& tenant, const tlog::EntryFields& who,
                                      RotateProgressFn& progress) VAULT_EXCLUDES(mu_);
  bool Rotating(const TenantId& tenant) VAULT_EXCLUDES(mu_);
  static absl::Status RotationRunning();
  bool Stopping() VAULT_EXCLUDES(mu_);
  // A pass is in the engine from Enter (false: it is stopping) to Leave; the destructor waits for
  // all of them.
  bool Enter() VAULT_EXCLUDES(mu_);
  void Leave() VAULT_EXCLUDES(mu_);
  void AwaitPasses() VAULT_EXCLUDES(mu_);
  // Runs a walk over a log on a job's thread; false where too many run already.
  // What it gives back runs once its place is free again: the caller's answer.
  using Walk = absl::AnyInvocable<Executor::Task()>;
  bool StartWalk(bool is_export, Walk walk) VAULT_EXCLUDES(mu_);
  static absl::Status Leaving();
  static absl::Status JobsBusy();
  void Housekeep();
  void FlushCounts();

  const EngineOptions options_;
  const records::Records records_;
  RefusalLimiter limiter_;
  RefusalCounter counter_;

  Mutex mu_;
  CondVar wake_;
  bool stopping_ VAULT_GUARDED_BY(mu_) = false;
  bool started_ VAULT_GUARDED_BY(mu_) = false;
  CondVar empty_;
  uint64_t passes_ VAULT_GUARDED_BY(mu_) = 0;
  std::set<TenantId> rotating_ VAULT_GUARDED_BY(mu_);
  std::thread housekeeping_;
  // Verification and export walk whole logs: together they leave a job's thread free. An export
  // waits for its caller, so of these there are fewer.
  static constexpr int kWalksMax = 3;
  static constexpr int kExportsMax = 2;
  int walks_ VAULT_GUARDED_BY(mu_) = 0;
  int exports_ VAULT_GUARDED_BY(mu_) = 0;
  // Verification, counting, rotation: each may hold a thread for long.
  std::unique_ptr<Executor> jobs_;
};

}  // namespace vault::engine

#endif  // VAULT_ENGINE_ENGINE_H_
