// A vault that does one job and kills itself at the n-th of the moments at which a crash could
// matter: before and after each write to the store, and before and after each file with keys in it
// is put in place or taken away. job_crash_test runs it once for each n.
//
//   job_steps prepare DIR KIND    makes a vault with residents, ready for a job of this kind
//   job_steps run DIR KIND N      does the job, or ends the one that an earlier run began; SIGKILL
//                                 at the N-th moment, or exit code 0 without one
//   job_steps judge DIR KIND      opens the vault, waits for its jobs, and checks everything that
//                                 must hold; exit code 1, and what does not on standard error
//
// KIND: rotate-kek, rotate-dek, rotate-index, rotate-storage, rotate-root, rotate-log-key,
// prune-log, destroy-kek, destroy-index, destroy-storage, offboard, retire or backup. Standard
// output of run: "killed MOMENT".
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/job_steps.h"
#include "tests/e2e/whole_vault.h"
#include "tests/testing/generate/generate.h"
#include "vault/audit/pruned.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/jobs/jobs.h"
#include "vault/records/record.h"
#include "vault/tlog/entry.h"

namespace vault::testing {
namespace {

using row::v1::JobRow;

// Four steps of a rotation that runs as fast as it goes would be many residents; a rate makes
// steps small.
constexpr uint32_t kRowsPerSecond = 1000000;

class KillSwitch {
 public:
  void Arm(int at) { at_ = at; }
  void Passing(absl::string_view moment) {
    if (++passed_ != at_) return;
    const std::string line = absl::StrCat("killed ", moment, "\n");
    VAULT_CHECK(write(1, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    kill(getpid(), SIGKILL);
    while (true) pause();
  }

 private:
  std::atomic<int> at_{0};
  std::atomic<int> passed_{0};
};

KillSwitch& Moments() {
  static auto* const moments = new KillSwitch();
  return *moments;
}

bool HasKeys(const char* path) {
  return path != nullptr &&
         (absl::StrContains(path, "keyring") || absl::StrContains(path, "root.key"));
}

class KillingStore : public store::Store {
 public:
  explicit KillingStore(store::Store* base) : base_(base) {}
  absl::Status Get(absl::string_view key, std::string* value) const override {
    return base_->Get(key, value);
  }
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> TakeSnapshot() const override {
    return base_->TakeSnapshot();
  }
  absl::StatusOr<uint64_t> FreeBytes() const override { return base_->FreeBytes(); }
  absl::Status Write(const store::Batch& batch) override {
    Moments().Passing("before-write");
    absl::Status written = base_->Write(batch);
    if (written.ok()) Moments().Passing("after-write");
    return written;
  }

 private:
  store::Store* const base_;
};

class KillingFiles : public store::EncipheredFiles {
 public:
  explicit KillingFiles(store::EncipheredFiles* base) : base_(base) {}
  absl::StatusOr<std::vector<FilesUnderKey>> FilesByKey() const override {
    return base_->FilesByKey();
  }
  absl::StatusOr<bool> RewriteSome() override {
    Moments().Passing("before-rewrite");
    absl::StatusOr<bool> more = base_->RewriteSome();
    Moments().Passing("after-rewrite");
    return more;
  }

 private:
  store::EncipheredFiles* const base_;
};

class LaterClock : public Clock {
 public:
  explicit LaterClock(absl::Duration by) : by_(by) {}
  absl::Time Now() const override { return RealClock().Now() + by_; }
  absl::Duration SinceBoot() const override { return RealClock().SinceBoot(); }

 private:
  const absl::Duration by_;
};

const TenantId& Toshima() {
  static const TenantId* const tenant = new TenantId(*TenantId::Parse(kJobTenant));
  return *tenant;
}

// The vault, and the job of this kind in it.
class Life {
 public:
  Life(const std::string& dir, std::string kind, bool create)
      : dir_(dir),
        kind_(std::move(kind)),
        clock_(create && kind_ == "prune-log" ? kLater - kOlder : kLater) {
    WholeVault::Options options;
    options.dir = dir;
    options.create = create;
    options.clock = &clock_;
    options.checkpoint_interval = absl::ZeroDuration();
    options.wrap = [](store::Store* base) { return std::make_unique<KillingStore>(base); };
    options.wrap_files = [](store::EncipheredFiles* base) {
      return std::make_unique<KillingFiles>(base);
    };
    auto vault = WholeVault::Open(options);
    VAULT_CHECK(vault.ok()) << vault.status();
    vault_ = *std::move(vault);
  }

  void Prepare() {
    ResidentGenerator people(Toshima(), /*seed=*/7);
    for (int i = 0; i < kJobResidents; ++i) {
      auto fields = people.Next().fields;
      for (auto& [id, value] : fields) {
        if (id == "phone") value = PhoneOf(i);
        if (id == "protection") value = "";
      }
      const auto made =
          vault_->Create("booking-service", ChangeOf(kJobTenant, fields, absl::StrCat("P-", i)));
      VAULT_CHECK(made.ok()) << made.status();
    }
    if (kind_ == "destroy-kek") Rotate(inventory::KeyKind::kKek);
    if (kind_ == "destroy-index") Rotate(inventory::KeyKind::kIndex);
    if (kind_ == "destroy-storage") Rotate(inventory::KeyKind::kStorage);
    if (absl::StartsWith(kind_, "destroy")) {
      // Destroying wants a newer backup that was read back.
      Ended(Started([&](testing::Done<JobRow> done) {
        vault_->use_cases().backups().Create(WholeVault::As("security"), std::move(done));
      }));
    }
    if (kind_ == "rotate-root") {
      const absl::Status made = keys::RootKey::Create(dir_ + "/root.key.next", SystemRandom());
      VAULT_CHECK(made.ok()) << made;
    }
  }

  // Of a vault that is made: entries that are old by the time of the job.
  void FillLog() {
    audit::Submission submission(LogId::Of(Toshima()));
    for (int i = 0; i < kJobOldEntries; ++i) {
      tlog::EntryFields& entry = submission.entries.emplace_back();
      entry.action = "resident.get";
      entry.outcome = "OK";
    }
    const absl::Status written = vault_->sequencer().SubmitAndWait(std::move(submission));
    VAULT_CHECK(written.ok()) << written;
  }

  // Ends what an earlier run began; begins it where none did.
  void Run() {
    const std::vector<JobRow> jobs = Jobs();
    for (const JobRow& job : jobs) {
      if (job.kind() == kind_ && !IsPreparation(job)) return Ended(job);
    }
    if (kind_ == "rotate-kek") return Rotate(inventory::KeyKind::kKek);
    if (kind_ == "rotate-dek") return Rotate(inventory::KeyKind::kDek);
    if (kind_ == "rotate-index") return Rotate(inventory::KeyKind::kIndex);
    if (kind_ == "rotate-storage") return Rotate(inventory::KeyKind::kStorage);
    if (kind_ == "retire") return Retire();
    if (kind_ == "backup") {
      return Ended(Started([&](testing::Done<JobRow> done) {
        vault_->use_cases().backups().Create(WholeVault::As("security"), std::move(done));
      }));
    }
    Approve();
  }

  void Judge() {
    bool found = false;
    for (const JobRow& job : Jobs()) {
      Ended(job);
      found |= job.kind() == kind_;
    }
    // Before its row was durable there is no job, and nothing happened: so it is asked for again.
    if (!found) Run();
    for (const JobRow& job : Jobs()) Check(job.state() == JobRow::STATE_DONE, "a job is not done");
    CheckLogs();
    CheckResidents();
    CheckKeys();
  }

  bool good() const { return good_; }

 private:
  std::string Log() const {
    const bool tenants = absl::StartsWith(kind_, "rotate-kek") ||
                         absl::StartsWith(kind_, "rotate-dek") ||
                         absl::StartsWith(kind_, "rotate-index") || kind_ == "retire";
    return tenants ? kJobTenant : "service";
  }

  void Check(bool holds, const std::string& what) {
    if (holds) return;
    good_ = false;
    std::fprintf(stderr, "job_steps: %s: %s\n", kind_.c_str(), what.c_str());
  }

  // Jobs that made the vault what this kind needs.
  bool IsPreparation(const JobRow& job) const { return job.kind() != kind_; }

  std::vector<JobRow> Jobs() {
    std::vector<JobRow> all;
    for (const std::string& log : {std::string(kJobTenant), std::string("service")}) {
      auto some = Await<pipeline::Page<JobRow>>([&](testing::Done<pipeline::Page<JobRow>> done) {
        vault_->use_cases().job_control().List(WholeVault::As("security"), log, {},
                                               std::move(done));
      });
      VAULT_CHECK(some.ok()) << some.status();
      all.insert(all.end(), some->rows.begin(), some->rows.end());
    }
    return all;
  }

  JobRow Started(absl::FunctionRef<void(testing::Done<JobRow>)> start) {
    absl::StatusOr<JobRow> job = Await<JobRow>(start);
    VAULT_CHECK(job.ok()) << job.status();
    return *std::move(job);
  }

  void Ended(const JobRow& job) {
    const auto ended = vault_->AwaitJob("security", job.log(), job.id());
    VAULT_CHECK(ended.ok()) << ended.status();
    Check(ended->state() == JobRow::STATE_DONE, absl::StrCat("ended as ", ended->failure()));
    if (ended->counted()) Check(ended->left() == 0, "something is left under the old version");
  }

  void Rotate(inventory::KeyKind kind) {
    usecases::RotateRequest request;
    request.log = kind == inventory::KeyKind::kStorage ? "service" : kJobTenant;
    request.kind = kind;
    request.rows_per_second = kRowsPerSecond;
    Ended(Started([&](testing::Done<JobRow> done) {
      vault_->use_cases().keys().Rotate(WholeVault::As("security"), std::move(request),
                                        std::move(done));
    }));
  }

  void Retire() {
    usecases::RetireRequest request;
    request.tenant = kJobTenant;
    request.programme = "vaccination";
    request.context = Why("erasure", "E-1");
    request.rows_per_second = kRowsPerSecond;
    Ended(Started([&](testing::Done<JobRow> done) {
      vault_->use_cases().erasure().Retire(WholeVault::As("officer-toshima"), std::move(request),
                                           std::move(done));
    }));
  }

  grants::Operation Operation() const {
    grants::Operation operation;
    operation.tenant = Toshima();
    operation.version = 1;
    if (kind_ == "destroy-kek") operation.key = "kek";
    if (kind_ == "destroy-index") operation.key = "index";
    if (kind_ == "destroy-storage") {
      operation.key = "storage";
      operation.tenant.reset();
    }
    if (kind_ == "offboard") {
      operation.kind = grants::OperationKind::kOffboardTenant;
      operation.version = 0;
    }
    if (kind_ == "rotate-root") {
      operation.kind = grants::OperationKind::kRotateRoot;
      operation.tenant.reset();
      operation.version = 0;
    }
    if (kind_ == "rotate-log-key") {
      operation.kind = grants::OperationKind::kRotateLogKey;
      operation.version = 0;
      operation.compromised = true;
    }
    if (kind_ == "prune-log") {
      operation.kind = grants::OperationKind::kPruneLog;
      operation.version = 0;
      // Behind what the vault was made with.
      operation.before =
          absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now() - kOlder + absl::Hours(24)));
    }
    return operation;
  }

  // Proposed by one, approved by the other; goes on with what an earlier run had proposed.
  void Approve() {
    using usecases::ApprovalResult;
    using Proposals = pipeline::Page<grants::Approval>;
    auto open = Await<Proposals>([&](testing::Done<Proposals> done) {
      vault_->use_cases().approvals().List(WholeVault::As("security"), "service", true, {},
                                           std::move(done));
    });
    VAULT_CHECK(open.ok()) << open.status();
    std::string id;
    if (!open->rows.empty()) id = open->rows.front().id;
    if (id.empty()) {
      const auto made = Await<ApprovalResult>([&](testing::Done<ApprovalResult> done) {
        vault_->use_cases().approvals().Propose(WholeVault::As("security"), Operation(),
                                                std::move(done));
      });
      VAULT_CHECK(made.ok()) << made.status();
      id = made->approval.id;
    }
    const auto shown = Await<ApprovalResult>([&](testing::Done<ApprovalResult> done) {
      vault_->use_cases().approvals().Get(WholeVault::As("security-2"), id, std::move(done));
    });
    VAULT_CHECK(shown.ok() && shown->effect.has_value()) << shown.status();
    const auto approved = Await<grants::Approval>([&](testing::Done<grants::Approval> done) {
      vault_->use_cases().approvals().Approve(WholeVault::As("security-2"), id,
                                              shown->effect->digest, std::move(done));
    });
    VAULT_CHECK(approved.ok()) << approved.status();
    JobRow job;
    job.set_log("service");
    job.set_id(approved->job);
    Ended(job);
  }

  void CheckLogs() {
    for (const auto& [log, persona] :
         {std::pair<std::string, std::string>(kJobTenant, "compliance-toshima"),
          {"service", "security"}}) {
      const auto verdict = vault_->Verify(persona, log);
      Check(verdict.ok() && verdict->good, absl::StrCat("log ", log, " does not verify"));
    }
  }

  void CheckResidents() {
    const bool gone = kind_ == "offboard" || kind_ == "retire";
    for (int i = 0; i < kJobResidents; ++i) {
      const auto found = vault_->Lookup(
          "operator-toshima", FindBy(kJobTenant, "phone", PhoneOf(i), absl::StrCat("J-", i)));
      if (kind_ == "offboard") {
        Check(absl::IsFailedPrecondition(found.status()), "a tenant that is gone was looked up");
        continue;
      }
      Check(found.ok(), absl::StrCat("resident ", i, " cannot be looked up: ",
                                     absl::StatusCodeToString(found.status().code())));
      if (!found.ok()) continue;
      Check(found->residents.size() == (gone ? 0u : 1u),
            absl::StrCat("resident ", i, " found ", found->residents.size(), " times"));
    }
    uint64_t rows = 0;
    const absl::Status scanned = vault_->database().Scan(records::RecordPrefix(Toshima()), "",
                                                         [&](absl::string_view, absl::string_view) {
                                                           ++rows;
                                                           return true;
                                                         });
    Check(scanned.ok() && rows == (gone ? 0 : kJobResidents),
          absl::StrCat(rows, " rows of residents"));
  }

  void CheckKeys() {
    const auto status =
        vault_->KeyStatus("security", Log() == "service" && kind_ != "offboard" &&
                                              !absl::StartsWith(kind_, "destroy-k") &&
                                              !absl::StartsWith(kind_, "destroy-i")
                                          ? "service"
                                          : kJobTenant);
    VAULT_CHECK(status.ok()) << status.status();
    Check(status->pending.empty(), "a rotation is pending");
    Check(status->offboarded == (kind_ == "offboard"), "off-boarded, or not");
    const auto version = [&](inventory::KeyKind kind, uint32_t number) -> const auto* {
      const usecases::KeyStatusResult::Version* found = nullptr;
      for (const auto& v : status->versions) {
        if (v.kind == kind && v.version == number) found = &v;
      }
      return found;
    };
    const auto moved = [&](inventory::KeyKind kind, uint64_t least) {
      const auto* before = version(kind, 1);
      const auto* after = version(kind, 2);
      Check(after != nullptr && after->under.value_or(0) >= least, "too few under the new version");
      Check(before == nullptr || before->under.value_or(0) == 0, "some are under the old version");
      Check(version(kind, 3) == nullptr, "one rotation made two versions");
    };
    if (kind_ == "rotate-kek") moved(inventory::KeyKind::kKek, kJobResidents);
    if (kind_ == "rotate-dek") moved(inventory::KeyKind::kDek, kJobResidents);
    if (kind_ == "rotate-index") moved(inventory::KeyKind::kIndex, kJobResidents);
    if (kind_ == "rotate-storage") moved(inventory::KeyKind::kStorage, 1);
    if (kind_ == "rotate-root") {
      Check(vault_->keyring().root_generation() == 2, "the root key's generation");
      Check(!std::filesystem::exists(dir_ + "/root.key.next"), "the next root key's file is there");
    }
    const inventory::KeyKind destroyed = kind_ == "destroy-kek"     ? inventory::KeyKind::kKek
                                         : kind_ == "destroy-index" ? inventory::KeyKind::kIndex
                                                                    : inventory::KeyKind::kStorage;
    if (absl::StartsWith(kind_, "destroy")) {
      const auto* one = version(destroyed, 1);
      Check(one != nullptr && one->state == keys::KeyState::kDestroyed, "it is not destroyed");
    }
    if (kind_ == "backup") CheckBackups();
    CheckLogOperations();
  }

  // One new key, one record, each with its entry in the log itself, once.
  void CheckLogOperations() {
    const LogId log = LogId::Of(Toshima());
    const size_t keys = kind_ == "rotate-log-key" ? 2 : 1;
    Check(vault_->keyring().LogKeys(log).size() == keys, "keys of the log in the keyring");
    const auto ranges = vault_->checkpointer().Keys(log);
    Check(ranges.ok() && ranges->size() == keys, "keys that the log was handed over to");
    const auto pruned = audit::ReadPruned(*vault_->database().TakeSnapshot().value(), log);
    Check(pruned.ok() && pruned->begin == (kind_ == "prune-log" ? 512u : 0u),
          "the pruned beginning");
    const auto entries = vault_->Entries("compliance-toshima", kJobTenant);
    VAULT_CHECK(entries.ok()) << entries.status();
    size_t handovers = 1, prunings = 0;
    for (const trail::LogRecord& record : *entries) {
      const auto entry = tlog::Decode(record.bytes);
      VAULT_CHECK(entry.ok()) << entry.status();
      handovers += entry->fields.action == "key.rotate_log.end";
      prunings += entry->fields.action == "log.prune";
    }
    Check(handovers == keys, absl::StrCat(handovers - 1, " entries of a handover"));
    Check(prunings == (kind_ == "prune-log" ? 1 : 0),
          absl::StrCat(prunings, " entries of a pruning"));
  }

  void CheckBackups() {
    using Backups = pipeline::Page<inventory::StoredBackup>;
    const auto page = Await<Backups>([&](testing::Done<Backups> d) {
      vault_->use_cases().backups().List(WholeVault::As("security"), {}, std::move(d));
    });
    VAULT_CHECK(page.ok()) << page.status();
    Check(page->rows.size() == 1, absl::StrCat(page->rows.size(), " backups"));
    for (const inventory::StoredBackup& backup : page->rows) {
      Check(backup.verified(), "a backup that was not read back");
      uint64_t residents = 0;
      for (const auto& content : backup.row.contents()) residents += content.residents();
      Check(residents == kJobResidents, absl::StrCat("a backup of ", residents, " residents"));
    }
  }

  static std::string PhoneOf(int i) { return absl::StrCat("03-9100-", 1000 + i); }

  const std::string dir_;
  const std::string kind_;
  // Behind the end of the programme that residents are retired with.
  static constexpr absl::Duration kLater = absl::Hours(24 * 400);
  // What is to be pruned was written so much earlier: longer ago than a trail is kept.
  static constexpr absl::Duration kOlder = absl::Hours(24 * 366 * 6);
  const LaterClock clock_;
  std::unique_ptr<WholeVault> vault_;
  bool good_ = true;
};

}  // namespace

int Main(const std::vector<std::string>& arguments) {
  int at = 0;
  if (arguments.size() == 4 && arguments[1] == "prepare") {
    std::filesystem::create_directory(arguments[2]);
    const bool prune = arguments[3] == "prune-log";
    if (prune) Life(arguments[2], arguments[3], /*create=*/true).FillLog();
    Life(arguments[2], arguments[3], /*create=*/!prune).Prepare();
    return 0;
  }
  if (arguments.size() == 5 && arguments[1] == "run" && absl::SimpleAtoi(arguments[4], &at)) {
    Moments().Arm(at);
    Life life(arguments[2], arguments[3], /*create=*/false);
    life.Run();
    return life.good() ? 0 : 1;
  }
  if (arguments.size() == 4 && arguments[1] == "judge") {
    Life life(arguments[2], arguments[3], /*create=*/false);
    life.Judge();
    return life.good() ? 0 : 1;
  }
  std::fprintf(stderr, "usage: job_steps prepare DIR KIND | run DIR KIND N | judge DIR KIND\n");
  return 2;
}

}  // namespace vault::testing

// The program's own, in place of the C library's: every file with keys passes here.
extern "C" int renameat2(int from_folder, const char* from, int folder, const char* to,
                         unsigned int flags) noexcept {
  const bool keys = vault::testing::HasKeys(to);
  if (keys) vault::testing::Moments().Passing("before-key-file");
  const int result = static_cast<int>(syscall(SYS_renameat2, from_folder, from, folder, to, flags));
  if (keys) vault::testing::Moments().Passing("after-key-file");
  return result;
}

extern "C" int renameat(int from_folder, const char* from, int folder, const char* to) noexcept {
  return renameat2(from_folder, from, folder, to, 0);
}

extern "C" int unlink(const char* path) noexcept {
  const bool keys = vault::testing::HasKeys(path);
  if (keys) vault::testing::Moments().Passing("before-key-file-goes");
  const int result = static_cast<int>(syscall(SYS_unlink, path));
  if (keys) vault::testing::Moments().Passing("after-key-file-goes");
  return result;
}

int main(int argc, char** argv) {
  // A run never outlives the test that started it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return vault::testing::Main(std::vector<std::string>(argv, argv + argc));
}
