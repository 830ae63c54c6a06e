// A small, fixed piece of a vault's life in one process, which kills itself at the n-th of the
// moments at which a crash could matter; trail_crash_test runs it once for each n.
//
//   crash_steps prepare DIR     makes the vault: old entries enough to prune, each log's first key
//   crash_steps run DIR N       lives it; SIGKILL at the N-th moment, or exit code 0 without one
//
// Standard output says what an outsider has been told, one line each, written before the process
// goes on; a note is in base64.
//
//   key LOG VKEY                the log's first key
//   entry LOG SEQ HEX           durable: the store's write of it has returned
//   ack CONTACT DECISION        a call was answered
//   checkpoint LOG NOTE
//   kept LOG NOTE               the vault says that it keeps this cosigned checkpoint
//   handover LOG N NOTE         the N-th change of the log's key is done
//   pruning LOG                 from here on a beginning may go
//   pruned LOG NOTE
//   exported LOG NOTE
//   killed KIND                 before-write, after-write, before-signing or signed
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/crash_steps.h"
#include "tests/e2e/whole_vault.h"
#include "tests/testing/generate/generate.h"
#include "tests/testing/log_export.h"
#include "vault/audit/layout.h"
#include "vault/base/logging.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/statement.h"

namespace vault::testing {
namespace {

// More than two commits of pruned rows, and a rest.
constexpr uint64_t kOldEntries = 4400;
constexpr absl::Duration kAge = absl::Hours(11 * 366 * 24);
// Between the age of the old entries and the five years that a trail is kept.
constexpr absl::Duration kPrunedAge = absl::Hours(6 * 366 * 24);

const LogId& Toshima() {
  static const LogId* const log = new LogId(*LogId::Parse(kTenant));
  return *log;
}

// One line, whole or not at all.
void Say(const std::string& text) {
  const std::string line = text + "\n";
  VAULT_CHECK(write(1, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

class OffsetClock : public Clock {
 public:
  explicit OffsetClock(absl::Duration offset) : offset_(offset) {}
  absl::Time Now() const override { return RealClock().Now() + offset_; }
  absl::Duration SinceBoot() const override { return RealClock().SinceBoot(); }

 private:
  const absl::Duration offset_;
};

// Counts the moments.
class KillSwitch {
 public:
  explicit KillSwitch(int at) : at_(at) {}
  void Passing(absl::string_view kind) {
    if (++passed_ != at_) return;
    Say(absl::StrCat("killed ", kind));
    kill(getpid(), SIGKILL);
    while (true) pause();
  }

 private:
  const int at_;
  std::atomic<int> passed_{0};
};

// A store that tells of each entry that is durable, and is a moment before and after each write.
class KillingStore : public store::Store {
 public:
  KillingStore(store::Store* base, KillSwitch* moments) : base_(base), moments_(moments) {}
  absl::Status Get(absl::string_view key, std::string* value) const override {
    return base_->Get(key, value);
  }
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> TakeSnapshot() const override {
    return base_->TakeSnapshot();
  }
  absl::StatusOr<uint64_t> FreeBytes() const override { return base_->FreeBytes(); }
  absl::Status Write(const store::Batch& batch) override {
    moments_->Passing("before-write");
    absl::Status written = base_->Write(batch);
    if (!written.ok()) return written;
    for (const store::Batch::Op& op : batch.ops()) {
      if (op.is_delete) continue;
      for (const LogId& log : {Toshima(), LogId::Service()}) {
        const std::string prefix = audit::EntryPrefix(log);
        if (op.key.compare(0, prefix.size(), prefix) != 0) continue;
        uint64_t seq = 0;
        for (const char c : op.key.substr(prefix.size())) seq = seq << 8 | static_cast<uint8_t>(c);
        Say(absl::StrCat("entry ", log.str(), " ", seq, " ", absl::BytesToHexString(op.value)));
      }
    }
    moments_->Passing("after-write");
    return written;
  }

 private:
  store::Store* const base_;
  KillSwitch* const moments_;
};

void Fill(audit::Sequencer* sequencer, uint64_t count) {
  audit::Submission submission(Toshima());
  for (uint64_t i = 0; i < count; ++i) {
    submission.entries.push_back(GenerateEntry(/*seed=*/1, i, {}).fields);
  }
  const absl::Status written = sequencer->SubmitAndWait(std::move(submission));
  VAULT_CHECK(written.ok()) << written;
}

void Prepare(const std::string& dir) {
  std::filesystem::create_directory(dir);
  const OffsetClock then(-kAge);
  WholeVault::Options options;
  options.dir = dir;
  options.create = true;
  options.clock = &then;
  options.checkpoint_interval = absl::ZeroDuration();
  auto vault = WholeVault::Open(options);
  VAULT_CHECK(vault.ok()) << vault.status();
  Fill(&(*vault)->sequencer(), kOldEntries);
  for (const LogId& log : {Toshima(), LogId::Service()}) {
    const auto keys = (*vault)->checkpointer().Keys(log);
    VAULT_CHECK(keys.ok() && keys->size() == 1) << keys.status();
    Say(absl::StrCat("key ", log.str(), " ", keys->front().key.Format()));
    const auto note = (*vault)->checkpointer().Sign(log);
    VAULT_CHECK(note.ok()) << note.status();
    Say(absl::StrCat("checkpoint ", log.str(), " ", absl::Base64Escape(*note)));
  }
}

// What happens, one step after the other, so that the moments are the same in every run.
class Life {
 public:
  Life(const std::string& dir, int kill_at) : moments_(kill_at) {
    WholeVault::Options options;
    options.dir = dir;
    options.checkpoint_interval = absl::ZeroDuration();
    options.wrap = [this](store::Store* base) {
      return std::make_unique<KillingStore>(base, &moments_);
    };
    options.on_signed = [this] { moments_.Passing("signed"); };
    auto vault = WholeVault::Open(options);
    VAULT_CHECK(vault.ok()) << vault.status();
    vault_ = *std::move(vault);
  }

  void Run() {
    Create("03-9000-1001");
    Find("03-9000-1001");
    Keep(Sign(kTenant));
    Sign("service");
    Refused();
    Export(kTenant, 0);
    RotateLogKey(kTenant, /*compromised=*/false);
    Create("03-9000-1002");
    const uint64_t before = SizeOf(Sign(kTenant));
    RotateLogKey(kTenant, /*compromised=*/true);
    Find("03-9000-1002");
    Keep(Sign(kTenant));
    Prune();
    Find("03-9000-1003");
    Export(kTenant, before);
    RotateLogKey("service", /*compromised=*/false);
    Export("service", 0);
    vault_.reset();
  }

 private:
  std::string NextContact() { return absl::StrCat("K-", ++contacts_); }

  void Create(const std::string& phone) {
    const std::string contact = NextContact();
    auto fields = people_.Next().fields;
    for (auto& [id, value] : fields) {
      if (id == "phone") value = phone;
      if (id == "protection") value = "";
    }
    const auto made = vault_->Create("booking-service", ChangeOf(kTenant, fields, contact));
    // In a life after a killed one it may be there.
    VAULT_CHECK(made.ok() || absl::IsAlreadyExists(made.status())) << made.status();
    Say(absl::StrCat("ack ", contact, " ALLOW"));
  }

  void Find(const std::string& phone) {
    const std::string contact = NextContact();
    const auto found = vault_->Lookup("operator-toshima", FindBy(kTenant, "phone", phone, contact));
    VAULT_CHECK(found.ok()) << found.status();
    Say(absl::StrCat("ack ", contact, " ALLOW"));
  }

  void Refused() {
    const std::string contact = NextContact();
    usecases::LookupRequest request = FindBy(kTenant, "phone", "03-9000-1001", contact);
    request.context.purpose = "migration";
    const auto found = vault_->Lookup("operator-toshima", std::move(request));
    VAULT_CHECK(absl::IsPermissionDenied(found.status())) << found.status();
    Say(absl::StrCat("ack ", contact, " DENY"));
  }

  std::string Sign(const std::string& log) {
    moments_.Passing("before-signing");
    auto note = vault_->checkpointer().Sign(*LogId::Parse(log));
    VAULT_CHECK(note.ok()) << note.status();
    Say(absl::StrCat("checkpoint ", log, " ", absl::Base64Escape(*note)));
    return *std::move(note);
  }

  static uint64_t SizeOf(const std::string& note) {
    return tlog::ParseSignedCheckpoint(note)->checkpoint.size;
  }

  // As a witness's answer is kept.
  void Keep(const std::string& note) {
    const tlog::Note parsed = *tlog::ParseNote(note);
    const tlog::VerifierKey key = TestVerifierKey(kWitnessName, kWitnessFill, kCosignature);
    const SecretBytes<32> seed = TestSigningSeed(kWitnessFill);
    const std::string cosigned = tlog::FormatNote(
        parsed.text, {parsed.signatures[0].line,
                      tlog::Cosign(parsed.text, absl::ToUnixSeconds(RealClock().Now()), key,
                                   crypto::SigningSeed(seed))});
    const absl::Status kept = vault_->checkpointer().Keep(Toshima(), key, cosigned);
    VAULT_CHECK(kept.ok()) << kept;
    Say(absl::StrCat("kept ", kTenant, " ", absl::Base64Escape(cosigned)));
  }

  void RotateLogKey(const std::string& log, bool compromised) {
    const auto made = vault_->RotateLogKey(log, compromised);
    VAULT_CHECK(made.ok()) << made.status();
    Say(absl::StrCat("handover ", log, " ", made->version - 1, " ",
                     absl::Base64Escape(made->handover)));
  }

  void Prune() {
    Say(absl::StrCat("pruning ", kTenant));
    const auto record = vault_->Prune(kTenant, RealClock().Now() - kPrunedAge);
    VAULT_CHECK(record.ok()) << record.status();
    const tlog::Pruned pruned = tlog::ParsePruned(tlog::ParseNote(*record)->text).value();
    VAULT_CHECK(pruned.begin == kOldEntries / 256 * 256) << pruned.begin;
    Say(absl::StrCat("pruned ", kTenant, " ", absl::Base64Escape(*record)));
  }

  void Export(const std::string& log, uint64_t from_size) {
    const auto files = vault_->Export(log == kTenant ? kAuditor : "security", log, from_size);
    VAULT_CHECK(files.ok()) << files.status();
    Say(absl::StrCat("exported ", log, " ", absl::Base64Escape(files->at("checkpoint"))));
  }

  KillSwitch moments_;
  std::unique_ptr<WholeVault> vault_;
  ResidentGenerator people_{*TenantId::Parse(kTenant), /*seed=*/1};
  int contacts_ = 0;
};

}  // namespace
}  // namespace vault::testing

int main(int argc, char** argv) {
  // A run never outlives the test that started it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string what = argc > 1 ? argv[1] : "";
  int at = 0;
  if (what == "prepare" && argc == 3) {
    vault::testing::Prepare(argv[2]);
    return 0;
  }
  if (what == "run" && argc == 4 && absl::SimpleAtoi(argv[3], &at)) {
    vault::testing::Life(argv[2], at).Run();
    return 0;
  }
  std::fprintf(stderr, "usage: crash_steps prepare DIR | run DIR N\n");
  return 2;
}
