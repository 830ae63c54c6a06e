// The one way of a call: decided, prepared, committed, answered.
//
//   void Keys::Status(const Caller& caller, std::string log, Reply<KeyStatusResult> reply) {
//     pipeline_->Run(Lane::kLong, std::move(reply), Asked(caller, Action::kKeyStatus, log),
//                    [this](Call& call) -> Outcome<KeyStatusResult> {
//                      absl::StatusOr<KeyStatusResult> result = …;
//                      if (!result.ok()) {
//                        return pipeline_->Conclude<KeyStatusResult>(call, result.status());
//                      }
//                      return pipeline_->Allow(call, {call.entry}, *std::move(result));
//                    });
//   }
//
// The body is called for a call whose form is right and that policy allows; whatever else comes to
// an entry or is counted here. It prepares an entry and an Answer, on a thread of the lane and
// never on the calling one. When the sequencer finds that something changed since (ABORTED,
// RECHECK) all of it runs again: decided anew, found anew. The reply is fulfilled once, and only
// after the entry is durable.
#ifndef VAULT_PIPELINE_PIPELINE_H_
#define VAULT_PIPELINE_PIPELINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/executor.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/base/stop.h"
#include "vault/grants/seat_book.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/attempts.h"
#include "vault/pipeline/call.h"
#include "vault/pipeline/lane.h"
#include "vault/pipeline/outcome.h"
#include "vault/pipeline/paging.h"
#include "vault/pipeline/places.h"
#include "vault/pipeline/refusals.h"
#include "vault/pipeline/reply.h"
#include "vault/policy/policy_store.h"
#include "vault/store/store.h"

namespace vault::pipeline {

// How a call comes past those that wait.
enum class Admission {
  kBounded,  // refused where too many wait
  kFirst,    // before all that wait, and never refused: for who may seal
  kGranted,  // never refused: what began with another entry of the same call is durable already
};

struct PipelineOptions {
  store::Store* store = nullptr;
  audit::Sequencer* sequencer = nullptr;
  const keys::Keyring* keyring = nullptr;
  const policy::PolicyStore* policies = nullptr;
  const grants::SeatBook* seats = nullptr;
  // Reads a subject's rows again into the book; before a call that was told RECHECK is decided
  // anew.
  std::function<void(const std::string& subject)> refresh_seats;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* quick = nullptr;  // the quick lane, and the sequencer's completions
  // Counted refusals are written this often; together with the housekeeping thread's wait, a kill
  // loses no more than a second's.
  absl::Duration count_interval = absl::Milliseconds(800);
  // Stopped by the owner before AwaitStop.
  const StopToken* stop = nullptr;
};

// A snapshot, and the tenant's keys as they were when it was taken: they know every version and
// generation that a row of it is under, and none of them has been destroyed in between.
struct TenantSnapshot {
  std::shared_ptr<const keys::TenantKeys> keys;  // null for a tenant without
  uint64_t changes_seen = 0;                     // RowIs::seen
  std::unique_ptr<const store::Snapshot> snapshot;
};

// FAILED_PRECONDITION, reason OFFBOARDED.
absl::Status Offboarded();
// RESOURCE_EXHAUSTED, reason QUEUE_FULL: no place for another long call.
absl::Status LongCallsBusy();

// Thread-safe. Everything in the options must outlive it.
class Pipeline {
 public:
  template <typename T>
  using Body = absl::AnyInvocable<Outcome<T>(Call& call)>;

  explicit Pipeline(PipelineOptions options);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  template <typename T, typename Fn>
  void Run(Lane lane, Reply<T> reply, Asked asked, Fn body,
           Admission admission = Admission::kBounded);
  // A call in steps: what `open` gives is durable when `rest` is called, with what goes on.
  // Steps is in steps.h.
  template <typename Opened, typename T, typename Open, typename Rest>
  void RunSteps(Lane lane, Reply<T> reply, Asked asked, Open open, Rest rest);
  // Whether a call whose parts are each decided again may begin: refused with its entry, or true
  // without one, since nothing was looked at.
  void MayBegin(Reply<bool> reply, Asked asked);

  // --- What a body ends with.

  // An allowed call with a body. The entries must be complete but for decision and outcome.
  template <typename T>
  Prepared<T> Allow(const Call& call, std::vector<tlog::EntryFields> entries, T body) const {
    return {Allowed(call, std::move(entries)), Answer<T>::Of(std::move(body))};
  }
  // An allowed call that ends with this status, which discloses too.
  template <typename T>
  Prepared<T> Conclude(const Call& call, const absl::Status& status) const {
    return Conclude<T>(call, call.entry, status);
  }
  template <typename T>
  Prepared<T> Conclude(const Call& call, tlog::EntryFields entry, absl::Status status) const {
    entry.outcome = absl::StatusCodeToString(status.code());
    return {Allowed(call, {std::move(entry)}), Answer<T>::Error(std::move(status))};
  }
  // The refusal that the decision calls for, as an entry, or counted. Nothing was looked up for it.
  template <typename T>
  Outcome<T> Refuse(const Call& call);
  // A refusal that follows from what was found, so that it tells of it: always an entry.
  template <typename T>
  Prepared<T> RefuseWith(const Call& call, std::vector<tlog::EntryFields> entries,
                         absl::Status status) const {
    return {Refused(call, std::move(entries), status.code()), Answer<T>::Error(std::move(status))};
  }
  // Counts a malformed call. Only INVALID_ARGUMENT is told as it is: anything else might be about a
  // resident.
  Unrecorded Malformed(const Call& call, absl::Status status);
  // For a call that reads more than the quick lane allows: all of it runs again on the long one,
  // once. REQUIRES: call.lane is kQuick.
  static LeavesQuickLane LeaveQuickLane(const Call& call);
  // Holds what the call's answer may cost its subject, before anything is looked up for it. None
  // where the subject has enough; else the end of the call: RESOURCE_EXHAUSTED, reason ATTEMPTS,
  // counted.
  absl::optional<Unrecorded> HoldAttempts(Call& call, size_t most);

  // --- What a body may ask for.

  // Fails as the store's snapshot does.
  absl::StatusOr<TenantSnapshot> OpenSnapshot(const TenantId& tenant) const;
  // The same for a call; FAILED_PRECONDITION, reason OFFBOARDED or NO_KEYS, too.
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> OpenSnapshot(Call* call) const;
  // The keys that the call's snapshot was opened with, to say what was read and written under.
  audit::KeysUsed KeysOf(const Call& call) const {
    return {options_.keyring, call.request.tenant, call.keys};
  }
  // The fields that a refused call asked for and was refused: those that the rule is about; where
  // it refuses the whole call, those that the call named to see or to change. Sorted, each once.
  static std::vector<std::string> RefusedFields(const Call& call);
  // A position in one list as a page token for this caller, and back. `list`: which list, by which
  // filter.
  std::string SealToken(const Call& call, absl::string_view list, absl::string_view position) const;
  absl::StatusOr<std::string> OpenToken(const Call& call, absl::string_view list,
                                        absl::string_view token) const;
  // The page that was asked for of a list that is known whole; `id_of` names a row.
  template <typename Row, typename IdOf>
  absl::StatusOr<Page<Row>> OnePage(const Call& call, absl::string_view list,
                                    const PageRequest& request, std::vector<Row> all,
                                    IdOf id_of) const;

  // --- Without a call.

  // A call that rpc could not even hand on (no such shape): counted like any malformed one.
  void CountMalformed(const Caller& caller, absl::string_view action);
  // A caller whose certificate was let in at the handshake and is not any more: counted in the
  // service's log.
  void CountRefusedCaller(const Caller& caller, absl::string_view rule);
  // Counted into one entry an interval.
  void Count(const LogId& log, const tlog::EntryFields& entry, int64_t count = 1);
  // An entry without a caller's reply: the service's own act. Waits until it is durable.
  absl::Status Record(const LogId& log, tlog::EntryFields entry);
  tlog::EntryFields ServiceEntry(absl::string_view action) const;
  // On the long lane, never refused: the service's own.
  void OnLongLane(Executor::Task task);

  // Work that is done now and then, on a thread that keeps house, from StartChores on. It asks
  // whether to go on before each step.
  using Chore = std::function<void(absl::FunctionRef<bool()> keep_going)>;
  void AddChore(absl::Duration first, absl::Duration interval, Chore chore);
  void StartChores() VAULT_EXCLUDES(mu_);

  // Once the stop token is stopped: new calls, and those that wait for a thread, are refused
  // (UNAVAILABLE, reason STOPPING); waits for the rest, and writes what is counted.
  void AwaitStop() VAULT_EXCLUDES(mu_);

  const policy::PolicyStore& policies() const { return *options_.policies; }
  const audit::Sequencer& sequencer() const { return *options_.sequencer; }
  bool stopped() const { return options_.stop->stopped(); }

 private:
  template <typename T>
  friend class Steps;
  template <typename T>
  struct Pass;
  // A call is in the pipeline as long as one of these is; AwaitStop waits for all of them.
  class Presence {
   public:
    explicit Presence(Pipeline* pipeline) : pipeline_(pipeline) {}
    ~Presence() { pipeline_->Leave(); }
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;

   private:
    Pipeline* const pipeline_;
  };
  // Null once it is stopping.
  std::shared_ptr<Presence> Enter() VAULT_EXCLUDES(mu_);
  void Leave() VAULT_EXCLUDES(mu_);
  void AwaitCalls() VAULT_EXCLUDES(mu_);

  template <typename T>
  void Admit(std::shared_ptr<Pass<T>> pass, Admission admission);
  template <typename T>
  void Attempt(std::shared_ptr<Pass<T>> pass);
  template <typename T>
  Outcome<T> Prepare(Pass<T>& pass);
  Executor* ExecutorOf(Lane lane) const {
    return lane == Lane::kQuick ? options_.quick : long_.get();
  }
  // The share of a lane that a call belongs to: its tenant's (or the service's), where policy binds
  // the subject to it. Nothing has been decided yet, so a call about another tenant, or about none,
  // must not use up a tenant's share: such calls have one share together, divided by subject;
  // unknown subjects count as one subject. Its names are those of `asked`.
  Share ShareOf(const Asked& asked) const;
  static absl::Status BusyStatus(Lane lane);

  // Reads the clock, finds the subject, checks what was sent for its form, and decides.
  // INVALID_ARGUMENT.
  absl::StatusOr<Call> Begin(std::shared_ptr<const Asked> asked) const;
  // Decides on the call as one of this action.
  void DecideBy(policy::Action action, Call* call) const;
  Unrecorded Malformed(const Asked& asked, absl::Status status);
  // The entry of a refusal that is decided without a look at the store; none where the subject has
  // had too many, which are counted.
  absl::optional<audit::Submission> RefusalEntry(const Call& call, absl::Status* status);
  audit::Submission NewSubmission(const Call& call, std::vector<tlog::EntryFields> entries) const;
  audit::Submission Allowed(const Call& call, std::vector<tlog::EntryFields> entries) const;
  audit::Submission Refused(const Call& call, std::vector<tlog::EntryFields> entries,
                            absl::StatusCode code) const;
  // Turns an attempt whose recheck has failed too often into an entry that says just that. False
  // where its only preconditions were the decision's.
  static bool Contend(audit::Submission* submission);
  // An entry of a step of an allowed call, which is decided anew: PERMISSION_DENIED, with its
  // entry, where it is not allowed any more.
  absl::Status RecordStep(const std::shared_ptr<const Asked>& asked, absl::string_view action,
                          int64_t count, absl::string_view outcome);

  void Housekeep() VAULT_EXCLUDES(mu_);
  // On the thread that keeps house, or once that has ended.
  void FlushCounts();
  bool FlushIfDue();

  const PipelineOptions options_;
  Places places_;
  RefusalLimiter limiter_;
  RefusalCounter counter_;
  AttemptPurses attempts_;
  bool counts_are_late_ = false;  // FlushCounts' own
  absl::Duration next_flush_;     // by the boot clock; the housekeeping thread's own

  struct DueChore {
    Chore chore;
    absl::Duration interval, due;
  };
  Mutex mu_;
  CondVar wake_;
  std::vector<DueChore> chores_ VAULT_GUARDED_BY(mu_);
  bool chores_started_ VAULT_GUARDED_BY(mu_) = false;
  CondVar empty_;
  uint64_t calls_ VAULT_GUARDED_BY(mu_) = 0;
  std::thread housekeeping_;
  std::unique_ptr<Executor> long_, walks_;
};

}  // namespace vault::pipeline

#include "vault/pipeline/pass.h"  // IWYU pragma: keep

#endif  // VAULT_PIPELINE_PIPELINE_H_
