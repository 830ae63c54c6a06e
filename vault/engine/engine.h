// The use cases: the only place where policy, records and audit meet.
//
//   engine->Lookup(info, std::move(request), [](absl::StatusOr<LookupResult> result) { … });
//
// Each is one straight pass: decide, find, open into an Answer, write the entry, release. The
// passes run on the work executor, never on the calling thread; `done` is called once, on an
// executor's thread (or the calling one, where nothing was begun), and only after the entry is
// durable. Statuses that come back without an entry
// of their own are those that say nothing about a resident: malformed calls and refusals over the
// limit (counted), a full queue, a trail that cannot be written.
//
// A pass is a function that prepares an entry and an Answer. When the sequencer finds that
// something changed since (ABORTED, RECHECK) the same function runs again: decided anew, found
// anew.
#ifndef VAULT_ENGINE_ENGINE_H_
#define VAULT_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
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
#include "vault/base/status.h"
#include "vault/base/stop.h"
#include "vault/engine/attempts.h"
#include "vault/engine/backup_reader.h"
#include "vault/engine/backup_rows.h"
#include "vault/engine/call.h"
#include "vault/engine/idempotency.h"
#include "vault/engine/intents.h"
#include "vault/engine/jobs.h"
#include "vault/engine/paging.h"
#include "vault/engine/refusals.h"
#include "vault/grants/approval.h"
#include "vault/keys/keyring.h"
#include "vault/policy/policy.h"
#include "vault/policy/policy_store.h"
#include "vault/records/records.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/backup.h"
#include "vault/store/stoppable_store.h"
#include "vault/store/store.h"
#include "vault/tlog/certificate.h"

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
  PageRequest page;
};
struct ListResult {
  std::vector<audit::LogRecord> records;
  std::string next_page_token;
  uint64_t size = 0;
};

// As vault.v1.KeyKind, with its numbers.
enum class KeyKind : uint8_t {
  kKek = 1,
  kDek = 2,
  kIndex = 3,
  kStorage = 4,
  kRoot = 5,
  kLog = 6,
  kMac = 7,
  kToken = 8,
};
absl::string_view KeyKindName(KeyKind kind);  // "kek", …: EntryFields::key

struct KeyStatusResult {
  struct Version {
    KeyKind kind;
    uint32_t version;
    keys::KeyState state;
    absl::Time created;
    absl::Time destroyed;            // InfinitePast: not
    absl::optional<uint64_t> under;  // residents, postings or files, counted by a scan
  };
  std::vector<Version> versions;
  std::vector<KeyKind> pending;
  bool offboarded = false;
};
struct RotateRequest {
  std::string log;  // a tenant's code, or "service"
  KeyKind kind = KeyKind::kKek;
  bool dry_run = false;
  absl::optional<uint32_t> rows_per_second;  // none: kRowsPerSecond
};
struct CompromisedResult {
  uint64_t under = 0;
  std::vector<row::v1::JobRow> jobs;
};

// What an approval would do, for whoever decides on it; the digest is SHA-256 over text_en, hex.
struct Effect {
  std::string text_ja, text_en, digest;
};
struct ApprovalResult {
  grants::Approval approval;
  absl::optional<Effect> effect;
};

struct EraseRequest {
  std::string tenant;
  std::string resident;
  AccessContext context;
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
  AccessContext context;
  absl::optional<uint32_t> rows_per_second;
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
struct EngineOptions {
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  audit::Checkpointer* checkpointer = nullptr;
  const audit::WitnessFeed* witnesses = nullptr;  // may be null
  keys::Keyring* keyring = nullptr;
  const policy::PolicyStore* policies = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* work = nullptr;  // requests, and the sequencer's completions
  // Null: there is no folder for backups.
  store::BackupSet* backups = nullptr;
  // Copies of the keyring, one a serial; empty: none are made.
  std::string keyring_copies_dir;
  // Where rotation of the root key finds the next one (`<file>.next`); empty: it cannot.
  std::string root_key_file;
  crypto::KeyArena* arena = nullptr;
  // Counted refusals are written this often; with the wait of whoever looks whether it is time, a
  // kill loses the last second's.
  absl::Duration count_interval = absl::Milliseconds(800);
  // Once it is stopped whatever takes long ends: for an owner who will destroy the engine soon, or
  // who waits for its start. May be null.
  const StopToken* stop = nullptr;
};

// Thread-safe. Everything in the options must outlive it; destroy it before the sequencer.
class Engine {
 public:
  static constexpr size_t kImportChunkMax = 500;
  static constexpr size_t kCriteriaMax = 4;
  static constexpr int kWatchersMax = 32;

  explicit Engine(EngineOptions options);
  // Refuses new calls, and those that wait for a thread; ends what takes long at its next step (all
  // of these UNAVAILABLE, reason STOPPING), waits for the rest, writes what is counted and the
  // entry of the stop.
  ~Engine();

  // The entry of the start; keys for tenants that have none; goes on with the jobs that were
  // interrupted.
  absl::Status Start();

  void Lookup(const CallInfo& info, LookupRequest request, Done<LookupResult> done);
  void Get(const CallInfo& info, GetRequest request, Done<records::ResidentView> done);
  void Create(const CallInfo& info, ChangeRequest request, Done<ChangeResult> done);
  void Update(const CallInfo& info, ChangeRequest request, Done<ChangeResult> done);
  // Whether an import may begin, before a row of it is taken: refused with its entry, or true,
  // without one, since nothing was looked at. Each chunk is decided again.
  void OpenImport(const CallInfo& info, ImportOpen open, Done<bool> done);
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

  // key_cases.cc
  void KeyStatus(const CallInfo& info, std::string log, Done<KeyStatusResult> done);
  // The measure of a rotation that leaves lookups their time.
  static constexpr uint32_t kRowsPerSecond = 500;
  void Rotate(const CallInfo& info, RotateRequest request, Done<row::v1::JobRow> done);
  // The rotations that follow go as fast as they can unless they are given a measure.
  void MarkCompromised(const CallInfo& info, std::string log, KeyKind kind, uint32_t version,
                       Done<CompromisedResult> done,
                       absl::optional<uint32_t> rows_per_second = absl::nullopt);
  // `part` gets handles in hex, at most 1,000 at a time, on a job's thread; false stops.
  using HandlesFn = absl::AnyInvocable<bool(std::vector<std::string> handles)>;
  void ListUnder(const CallInfo& info, std::string log, KeyKind kind, uint32_t version,
                 HandlesFn part, Done<bool> done);

  // job_cases.cc
  void ListJobs(const CallInfo& info, std::string log, PageRequest page,
                Done<Page<row::v1::JobRow>> done);
  void GetJob(const CallInfo& info, std::string log, std::string job, Done<row::v1::JobRow> done);
  // `move` as Jobs::Watcher without the last call, which is `done`.
  using JobFn = std::function<bool(const row::v1::JobRow&)>;
  void WatchJob(const CallInfo& info, std::string log, std::string job, JobFn move,
                Done<row::v1::JobRow> done);
  void CancelJob(const CallInfo& info, std::string log, std::string job,
                 Done<row::v1::JobRow> done);

  // A running job's measure, from its next step on. After a crash before that it has the one of
  // before.
  void SetJobRate(const CallInfo& info, std::string log, std::string job, uint32_t rows_per_second,
                  Done<row::v1::JobRow> done);

  // What runs, for whoever owns the engine; no call's answer comes from here.
  const Jobs& jobs() const { return *jobs_; }

  // approval_cases.cc
  void Propose(const CallInfo& info, grants::Operation operation, Done<ApprovalResult> done);
  void ListApprovals(const CallInfo& info, bool open, PageRequest page,
                     Done<Page<grants::Approval>> done);
  void GetApproval(const CallInfo& info, std::string id, Done<ApprovalResult> done);
  void Approve(const CallInfo& info, std::string id, std::string effect_digest,
               Done<grants::Approval> done);
  void Withdraw(const CallInfo& info, std::string id, Done<grants::Approval> done);

  // erasure_cases.cc
  void Erase(const CallInfo& info, EraseRequest request, Done<CertificateResult> done);
  void GetErasureCertificate(const CallInfo& info, std::string tenant, std::string resident,
                             Done<CertificateResult> done);
  void Retire(const CallInfo& info, RetireRequest request, Done<row::v1::JobRow> done);

  // backup_cases.cc
  void CreateBackup(const CallInfo& info, Done<row::v1::JobRow> done);
  void VerifyBackup(const CallInfo& info, uint32_t number, Done<row::v1::JobRow> done);
  void ListBackups(const CallInfo& info, PageRequest page, Done<Page<StoredBackup>> done);
  void DeleteBackup(const CallInfo& info, uint32_t number, Done<bool> done);

  // seal_cases.cc: the decision and the entry; whoever owns the vault then seals or has unsealed.
  void RecordSeal(const CallInfo& info, Done<bool> done);
  // `attempts`: what came while it was sealed, an entry each. Where it was not (`was_sealed`) that
  // is the answer: FAILED_PRECONDITION, reason NOT_SEALED.
  void RecordUnseal(const CallInfo& info, bool was_sealed, std::vector<SealedAttempts> attempts,
                    Done<bool> done);
  // Attempts that came between RecordUnseal and the moment from which calls were let in again.
  void CountSealed(const SealedAttempts& attempts);

  // The policy in force: who it takes a caller for tells of nobody else, so that has no entry.
  std::shared_ptr<const policy::PolicySet> policy() const { return options_.policies->set(); }

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
    // Spent when the answer is released; the pass's own, null where it may cost nothing.
    AttemptPurses::Hold* hold = nullptr;
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
    // The policy that decided; what the call goes by all the way.
    policy::PolicyStore::InForce policy;
    std::shared_ptr<const keys::TenantKeys> keys;  // residents' and key actions; OpenView's
    uint64_t changes_seen = 0;                     // OpenView's: RowIs::seen
  };

  // A record found for a call, with its view.
  struct Found {
    records::UnlockedRecord unlocked;
    const policy::View* view;
  };

  // What long calls have few places for. Verification and export walk whole logs: together they
  // leave a job's thread free. An export waits for its caller, so of these there are fewer. An
  // erasure goes on to its certificate on a job's thread.
  enum class Long { kWalk, kExport, kErasure, kWatch };
  // One of these places, taken by a call that is allowed before its entry says so: what was
  // admitted, and stands in the trail, is not refused then. Free again when it goes.
  class Place {
   public:
    explicit Place(Engine* engine) : engine_(engine) {}
    ~Place() { Free(); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    // False where all of them are taken. Once it has one it has it in every attempt of the pass.
    bool Take(Long kind);
    void Free();

   private:
    Engine* const engine_;
    absl::optional<Long> kind_;
  };
  // How a call comes past those that wait.
  enum class Admission {
    kBounded,  // refused where too many wait
    kFirst,    // before all that wait, and never refused: for who may seal
    kGranted,  // never refused: what began with another entry of the same call is durable already
  };
  // Runs `prepare` on the work executor, submits, releases into `done`; again while the recheck
  // fails.
  template <typename T>
  void Run(Done<T> done, Prepare<T> prepare, Admission admission = Admission::kBounded);
  // The same on a job's thread, for what may take long or wait for the disk.
  template <typename T>
  void RunJob(Done<T> done, Prepare<T> prepare, Admission admission = Admission::kBounded);
  static bool Admit(Executor* executor, Executor::Task task, Admission admission);
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

  // The fields that a refused call asked for and was refused: those that the rule is about; where
  // it refuses the whole call, those that the call named to see or to change. Sorted, each once.
  std::vector<std::string> RefusedFields(const Call& call) const;
  // The refusal that the decision calls for, as an entry, or counted. Nothing was looked up for it.
  template <typename T>
  absl::StatusOr<Prepared<T>> Refuse(const Call& call);
  // A refusal that follows from what was found, so that it tells of it: always an entry.
  template <typename T>
  Prepared<T> RefuseWith(const Call& call, std::vector<tlog::EntryFields> entries,
                         absl::Status status) const;
  // Holds what the call's answer may cost its subject, before anything is looked up for it.
  // RESOURCE_EXHAUSTED, reason ATTEMPTS, counted, where the subject has no attempt left.
  absl::Status HoldAttempts(const Call& call, size_t most, AttemptPurses::Hold* hold);
  // An allowed call that ends with this status, which discloses too.
  template <typename T>
  absl::StatusOr<Prepared<T>> Conclude(const Call& call, tlog::EntryFields entry,
                                       absl::Status status);
  // An allowed call with a body. The entries must be complete but for decision and outcome.
  template <typename T>
  Prepared<T> Allow(const Call& call, std::vector<tlog::EntryFields> entries, T body) const;
  audit::Submission NewSubmission(const Call& call, std::vector<tlog::EntryFields> entries) const;

  absl::StatusOr<Prepared<LookupResult>> PrepareLookup(const CallInfo& info,
                                                       const LookupRequest& request,
                                                       AttemptPurses::Hold* hold);
  // Adds the records of one class that match the criteria which the role may have of that class.
  // `at`: the one that a failure is about, or none.
  absl::Status FindAll(const Call& call, const store::Snapshot& snapshot, policy::RecordClass of,
                       const std::vector<records::FieldInput>& criteria,
                       records::ReadBudget* budget, std::vector<Found>* found, ResidentId* at);
  absl::StatusOr<Prepared<LookupResult>> DiscloseAll(const Call& call, std::vector<Found> found);
  absl::StatusOr<Prepared<records::ResidentView>> PrepareGet(const CallInfo& info,
                                                             const GetRequest& request);
  absl::StatusOr<Prepared<ChangeResult>> PrepareCreate(const CallInfo& info,
                                                       const ChangeRequest& request,
                                                       AttemptPurses::Hold* hold);
  absl::StatusOr<Prepared<ChangeResult>> PrepareUpdate(const CallInfo& info,
                                                       const ChangeRequest& request,
                                                       AttemptPurses::Hold* hold);
  absl::StatusOr<Prepared<ChangeResult>> ConcludeChange(
      const Call& call, const ChangeRequest& request, RequestMemory* memory,
      const store::Snapshot& snapshot, absl::string_view etag_before, records::Change change,
      AttemptPurses::Hold* hold);
  // The resident that has the number which a change wants: this posting's. `status` is what may be
  // told of it, ALREADY_EXISTS or, for a record that the caller may not open or whose number it may
  // not have, the escalation, whatever its class.
  struct Holder {
    std::string resident;  // hex
    absl::Status status;
    bool refused = false;
  };
  Holder WhoHas(const Call& call, const store::Snapshot& snapshot, absl::string_view posting);
  absl::StatusOr<Prepared<std::vector<ImportRowResult>>> PrepareImport(
      const CallInfo& info, const ImportOpen& open, const std::vector<ImportRow>& rows,
      AttemptPurses::Hold* hold);
  // What an import's chunk comes to, row by row.
  struct ImportedChunk;
  // Stores the row in the chunk, or says in its result why not.
  ImportRowResult ImportOne(const Call& call, const store::Snapshot& snapshot, const ImportRow& row,
                            ImportedChunk* chunk);
  absl::StatusOr<Prepared<ListResult>> PrepareList(const CallInfo& info,
                                                   const ListRequest& request);

  // The record behind a handle with what the role sees of its class. NOT_FOUND without one.
  absl::StatusOr<Found> Find(const Call& call, const store::Snapshot& snapshot,
                             const ResidentId& id);
  // Whether the record's own class refuses this call: the escalation, or asked fields withheld.
  // Then `entry` has the rule and those fields.
  absl::Status ClassRefusal(const Call& call, const Found& found, const std::vector<int>& fields,
                            tlog::EntryFields* entry) const;
  tlog::EntryFields DisclosureEntry(const Call& call, const Found& found) const;

  void ReportVerdict(const Call& call, absl::StatusOr<audit::Verdict> verdict,
                     Done<audit::Verdict> done);
  absl::StatusOr<audit::Verdict> VerifyOnJob(const LogId& log, audit::LogClaims claims,
                                             VerifyProgress& progress);
  absl::StatusOr<bool> ExportOnJob(const Call& call, uint64_t from_size, uint64_t size,
                                   const std::string& checkpoint, ExportFn& part);
  // The entry of a step that an allowed call takes; `count` -1: none.
  absl::Status RecordStep(const Call& call, absl::string_view action, int64_t count,
                          absl::string_view outcome = "OK");

  absl::Status CheckFilter(const audit::LogFilter& filter) const;
  // A position in one list as a page token for this caller, and back. `list`: which list, by which
  // filter.
  std::string SealToken(const Call& call, absl::string_view list, absl::string_view position) const;
  absl::StatusOr<std::string> OpenToken(const Call& call, absl::string_view list,
                                        absl::string_view token) const;
  // The page that was asked for of a list that is known whole; `id_of` names a row.
  template <typename Row, typename IdOf>
  absl::StatusOr<Page<Row>> OnePage(const Call& call, absl::string_view list,
                                    const PageRequest& request, size_t size, std::vector<Row> all,
                                    IdOf id_of) const {
    std::string after, last;
    if (!request.token.empty()) {
      ASSIGN_OR_RETURN(after, OpenToken(call, list, request.token));
    }
    Page<Row> page;
    ASSIGN_OR_RETURN(page.rows, TakePage(std::move(all), after, size, id_of, &last));
    if (!last.empty()) page.next_page_token = SealToken(call, list, last);
    return page;
  }

  // A snapshot, and the tenant's keys as they were when it was taken: they know every version and
  // generation that a row of it is under, and none of them has been destroyed in between.
  struct View {
    std::shared_ptr<const keys::TenantKeys> keys;  // null for a tenant without
    uint64_t changes_seen = 0;                     // RowIs::seen
    std::unique_ptr<const store::Snapshot> snapshot;
  };
  View OpenView(const TenantId& tenant) const;
  // The same for a call. FAILED_PRECONDITION, reason OFFBOARDED, for a tenant that is gone: an
  // Answer like any other (Conclude).
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> OpenView(Call* call) const;

  // For a call that begins a job:
  //
  //   Run<JobRow>(Starting(std::move(done)), [this, …]() -> absl::StatusOr<Prepared<JobRow>> {
  //     … Begin, refuse, check …
  //     row::v1::JobRow row = NewJob(*call, "retire", dry_run, rows_per_second);
  //     row.set_…;
  //     return PrepareJob(*call, std::move(row));
  //   });
  //
  // A job's row with who asked for it, in the log of the call.
  row::v1::JobRow NewJob(const Call& call, absl::string_view kind, bool dry_run,
                         absl::optional<uint32_t> rows_per_second) const;
  // The entry of the job's begin, its row, and the row as the answer; ABORTED, reason CONFLICT, as
  // an Answer where one of its kind runs in this log.
  absl::StatusOr<Prepared<row::v1::JobRow>> PrepareJob(const Call& call, row::v1::JobRow row);
  // Starts the job that the answer holds, then hands the answer on.
  Done<row::v1::JobRow> Starting(Done<row::v1::JobRow> done);

  // Of a call that may cancel jobs: whether it may cancel this one, or change its measure.
  policy::Decision DecideCancel(const Call& call, const row::v1::JobRow& row) const;
  absl::StatusOr<Prepared<row::v1::JobRow>> PrepareGetJob(const CallInfo& info,
                                                          const std::string& log,
                                                          const std::string& job, Place* watch);
  // Of a job that is to be cancelled, or with `rows_per_second` to have that measure.
  absl::StatusOr<Prepared<row::v1::JobRow>> PrepareCancel(const CallInfo& info,
                                                          const std::string& log,
                                                          const std::string& job,
                                                          absl::optional<uint32_t> rows_per_second);

  // What each kind of job is and does. Each file of use cases has its own.
  std::map<std::string, Jobs::Kind> JobKinds();
  std::map<std::string, Jobs::Kind> KeyJobKinds();
  std::map<std::string, Jobs::Kind> ApprovalJobKinds();
  std::map<std::string, Jobs::Kind> ErasureJobKinds();
  std::map<std::string, Jobs::Kind> BackupJobKinds();

  // An erasure (erasure_cases.cc). `call` is left as the pass that was submitted had it.
  absl::StatusOr<Prepared<ResidentId>> PrepareErase(const CallInfo& info,
                                                    const EraseRequest& request, Place* place,
                                                    absl::StatusOr<Call>* call);
  // What a tenant's keys, as they are after `snapshot` was taken, say of a record that goes.
  absl::StatusOr<row::v1::ErasureRow> ErasureOf(
      const store::Snapshot& snapshot, const TenantId& tenant, const records::Record& record,
      absl::Time now, std::vector<audit::Precondition>* preconditions) const;
  absl::StatusOr<Prepared<CertificateResult>> PrepareCertificate(Call call, const ResidentId& id);
  absl::StatusOr<CertificateResult> MakeCertificate(const LogId& log, const TenantId& tenant,
                                                    const ResidentId& id, absl::Time now) const;
  // Which conditions are met: what the keyring, its copies and the attestations say now.
  absl::Status AddKeyFacts(tlog::ErasureCertificate* certificate) const;
  // The highest serial before which, it was attested after that moment, no copy is left; 0: none.
  absl::StatusOr<uint64_t> AttestedSince(absl::Time destroyed) const;
  absl::StatusOr<Prepared<row::v1::JobRow>> PrepareRetire(const CallInfo& info,
                                                          const RetireRequest& request);
  // FAILED_PRECONDITION, reason RETENTION, before the programme's residents may be erased.
  static absl::Status CheckRetention(const policy::PolicySet& policy, const TenantId& tenant,
                                     absl::string_view programme, absl::Time now);
  absl::Status RunRetire(JobContext& job);
  // One step from the row `from` on, which moves behind it; false at the end. Where nothing was
  // written it stays where it is.
  absl::StatusOr<bool> RetireSome(JobContext& job, const TenantId& tenant, std::string* from);

  // The commit of an approval: its row, its entry, and the job that carries it out.
  absl::StatusOr<Prepared<grants::Approval>> PrepareApproved(const Call& call,
                                                             audit::RowIs unchanged,
                                                             grants::Approval approved);

  // Residents by KEK version, counted by a scan: element [version]. DATA_LOSS for a row that names
  // no version of this tenant.
  static absl::StatusOr<std::vector<uint64_t>> CountByKek(const store::Snapshot& snapshot,
                                                          const TenantId& tenant,
                                                          const keys::TenantKeys& keys);
  // Residents by the generation of their DEK, counted by a scan.
  static absl::StatusOr<std::map<uint32_t, uint64_t>> CountByDek(const store::Snapshot& snapshot,
                                                                 const TenantId& tenant);
  // Postings under one generation of index keys, counted by a scan.
  static absl::StatusOr<uint64_t> CountPostings(const store::Snapshot& snapshot,
                                                const TenantId& tenant, uint32_t generation);
  absl::StatusOr<KeyStatusResult> TenantKeyStatus(const TenantId& tenant) const;
  absl::StatusOr<KeyStatusResult> ServiceKeyStatus() const;
  // How much is under one version: residents, postings or files. NOT_FOUND where there is no such
  // version.
  absl::StatusOr<uint64_t> CountUnder(const Call& call, KeyKind kind, uint32_t version) const;
  absl::StatusOr<keys::KeyInfo> FindKeyInfo(const Call& call, KeyKind kind, uint32_t version) const;
  // Whether keys of this kind can be rotated and stand in this log: INVALID_ARGUMENT.
  static absl::Status CheckKeyKind(absl::string_view log, KeyKind kind);
  // The job that rotates these keys, with what is known of it now.
  absl::StatusOr<row::v1::JobRow> RotationJob(const Call& call, KeyKind kind, bool dry_run,
                                              bool compromised,
                                              absl::optional<uint32_t> rows_per_second) const;
  absl::StatusOr<Prepared<CompromisedResult>> PrepareCompromised(const CallInfo& info,
                                                                 const std::string& log,
                                                                 KeyKind kind, uint32_t version,
                                                                 uint32_t rows_per_second,
                                                                 std::string* intent);
  // The acts behind intents.
  std::map<std::string, Intents::Act> Acts() const;
  absl::Status MarkInKeyring(const LogId& log, const tlog::EntryFields& intent) const;
  absl::Status DeleteBackupFiles(uint32_t number) const;
  absl::StatusOr<bool> ListUnderOnJob(const Call& call, KeyKind kind, uint32_t version,
                                      HandlesFn& part);
  static absl::StatusOr<bool> IsUnder(const ResidentId& id, absl::string_view row, KeyKind kind,
                                      uint32_t version);

  // A rotation of one tenant's keys, as a job's body goes through it (key_jobs.cc).
  struct Rotation;
  struct RotationStep;
  absl::Status RunRotation(JobContext& job, keys::TenantKey what);
  // FAILED_PRECONDITION, reason KEK_COMPROMISED, where the KEK that a rotation of the DEKs is to
  // get away from is still the one that wraps.
  absl::Status CheckKekLeft(const JobContext& job, const TenantId& tenant) const;
  // Moves every row from the key `from` on (empty: all of them). A run before left its cursor
  // there: nothing has come under an older version behind that.
  absl::Status MoveRows(JobContext& job, const Rotation& rotation, std::string from);
  absl::StatusOr<RotationStep> PrepareRotationStep(JobContext& job, const Rotation& rotation,
                                                   const std::string& from, size_t most) const;
  // Adds to the submission what moves one row, and its preconditions.
  absl::Status MoveRow(const Rotation& rotation, const store::Snapshot& snapshot,
                       const ResidentId& id, absl::string_view row, bool readable,
                       audit::KeysUsed* used, audit::Submission* submission) const;
  // Residents that a rotation has yet to move; all that it can where `all`.
  static absl::StatusOr<uint64_t> CountToMove(const TenantId& tenant, const View& view,
                                              keys::TenantKey what, bool all);
  // What must be zero before a rotation ends: those, and of index keys the postings as well.
  absl::StatusOr<uint64_t> CountLeft(const TenantId& tenant, keys::TenantKey what) const;
  absl::Status RunStorageRotation(JobContext& job);

  absl::Status RunBackup(JobContext& job);
  absl::Status RunBackupVerify(JobContext& job);
  // The backup that this job made, or makes now.
  absl::StatusOr<uint32_t> MakeBackup(JobContext& job);
  // The rotations that rows call for which came back.
  struct Demand {
    TenantId tenant;
    bool compromised = false;  // a KEK is COMPROMISED
    bool index = false;        // rows are under another generation of index keys
    bool kek = false;          // rows are under a COMPROMISED KEK
    bool dek = false;          // DEKs are of an older generation, or such a KEK has wrapped them
    // Where one of the generation of now is among the latter: that KEK. Else 0.
    uint32_t compromised_kek = 0;
    bool none() const { return !index && !kek && !dek; }
  };
  struct Restored {
    uint32_t number = 0;
    bool mac = false;  // rows are under another MAC key than the one that is written
    uint64_t erased = 0;
    std::vector<Demand> demands;
  };
  // The first start on a restored database. Before calls and jobs: repeats the erasures that its
  // log knows of and it does not, removes the rows of tenants that were off-boarded since, and has
  // every generation of index keys read that rows are of. None where it is no such start.
  absl::StatusOr<absl::optional<Restored>> MendRestored();
  // Once jobs run: begins those rotations, and says that it was restored.
  absl::Status RecordRestored(const Restored& restored);
  absl::StatusOr<Demand> DemandOf(const TenantId& tenant, const keys::TenantKeys& keys) const;
  absl::Status RotateRestored(const Demand& demand, KeyKind kind);
  row::v1::JobRow RestoredMacRotation() const;
  absl::Status BeginRestored(row::v1::JobRow row);
  absl::Status PurgeAgain(const TenantId& tenant);
  // Erasures of the log from that entry on; how many there were to repeat.
  absl::StatusOr<uint64_t> EraseAgain(const LogId& log, uint64_t from);
  absl::Status ForgetErased(audit::Submission* submission) const;
  absl::Status EraseOneAgain(const audit::LogRecord& erasure, audit::Submission* submission);

  absl::Status AddTenantKeys(const TenantId& tenant);
  // Goes on deleting what a crash left of a pruned beginning.
  void ResumePruning(const LogId& log);
  absl::Status EndKeyCreation(const TenantId& tenant);
  // An entry without a caller's reply: the service's own act, or a job's step.
  absl::Status Record(const LogId& log, tlog::EntryFields entry);
  tlog::EntryFields ServiceEntry(absl::string_view action) const;

  // A pass is in the engine from Enter (false: it is stopping) to Leave; the destructor waits for
  // all of them.
  bool Enter() VAULT_EXCLUDES(mu_);
  void Leave() VAULT_EXCLUDES(mu_);
  void AwaitPasses() VAULT_EXCLUDES(mu_);
  // Runs a walk over a log, or over a tenant's rows, on a job's thread. What it gives back runs
  // once its place is free again: the caller's answer.
  using Walk = absl::AnyInvocable<Executor::Task()>;
  void StartWalk(std::shared_ptr<Place> place, Walk walk);
  static absl::Status JobsBusy();
  void Housekeep();
  // On the thread that keeps house, or once that has ended.
  void FlushCounts();
  // Deletes what is remembered of request ids whose time is over.
  // Writes what is counted meanwhile whenever `next_flush` is reached, and moves that on.
  void SweepAllRequests(absl::Duration* next_flush);

  StopToken stop_;
  // What the options name, with scans that end when the engine does.
  const std::unique_ptr<store::Store> store_;
  const EngineOptions options_;  // `store` is that one
  const BackupReader backup_reader_;
  const records::Records records_;
  RefusalLimiter limiter_;
  RefusalCounter counter_;
  AttemptPurses attempts_;
  bool counts_are_late_ = false;  // FlushCounts' own

  Mutex mu_;
  CondVar wake_;
  bool started_ VAULT_GUARDED_BY(mu_) = false;
  CondVar empty_;
  uint64_t passes_ VAULT_GUARDED_BY(mu_) = 0;
  std::thread housekeeping_;
  static constexpr int kWalksMax = 3;  // exports among them
  static constexpr int kExportsMax = 2;
  static constexpr int kErasuresMax = 64;
  std::map<Long, int> places_ VAULT_GUARDED_BY(mu_);
  // Verification, counting, export: each may hold a thread for long.
  std::unique_ptr<Executor> long_work_;
  std::unique_ptr<Intents> intents_;
  std::unique_ptr<Jobs> jobs_;
};

}  // namespace vault::engine

#endif  // VAULT_ENGINE_ENGINE_H_
