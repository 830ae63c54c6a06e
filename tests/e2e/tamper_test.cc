// Thousands of damaged copies of a whole vault, a flipped bit or a cut file each. Allowed: the
// start is refused; it starts, and a read or `audit verify` reports the damage; everything is
// right, because the bit was one that nothing reads. Never allowed: another answer than the
// undamaged vault's, a trail of other bytes or a shorter one that verifies, a crash by memory, a
// hang.
//
// Each copy is opened as vaultd opens it, in forked children, since RocksDB may abort on what it
// finds (a refused start, counted apart). The test's own process never has a key or a thread.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"
#include "tests/e2e/whole_vault.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/log_export.h"
#include "vault/base/logging.h"
#include "vault/tlog/log_check.h"
#include "vault/tlog/statement.h"

namespace vault::testing {
namespace {

using store::ReadBytes;
using store::TempDir;

constexpr uint64_t kSeed = 20261102;
// A sample that takes longer than this hangs.
constexpr unsigned kSampleSecondsMax = 30;

// Every log, and who may read it.
const std::vector<std::pair<std::string, std::string>>& Logs() {
  static const auto* const logs =
      new std::vector<std::pair<std::string, std::string>>{{kToshima, "compliance-toshima"},
                                                           {kYokohama, "compliance-yokohama"},
                                                           {"service", "security"}};
  return *logs;
}

const std::string& AuditorOf(absl::string_view log) {
  for (const auto& [id, persona] : Logs()) {
    if (id == log) return persona;
  }
  VAULT_CHECK(false) << "no such log";
  return Logs()[0].second;
}

// What the undamaged vault says: to each question ("get TENANT ID", "find TENANT FIELD VALUE",
// "count TENANT", "keys LOG", "cosigned LOG") its answer, and each log's entries; and what an
// outsider kept of the log: its first key and its newest checkpoint.
struct LogTruth {
  std::vector<std::pair<uint64_t, std::string>> entries;
  std::string vkey, checkpoint;
};
struct Truth {
  std::vector<std::pair<std::string, std::string>> answers;
  std::map<std::string, LogTruth> logs;
};

void SaveTruth(const Truth& truth, const std::string& path) {
  std::string text;
  for (const auto& [question, answer] : truth.answers) {
    absl::StrAppend(&text, "A\t", absl::CHexEscape(question), "\t", absl::CHexEscape(answer), "\n");
  }
  for (const auto& [log, kept] : truth.logs) {
    for (const auto& [seq, entry] : kept.entries) {
      absl::StrAppend(&text, "E\t", log, " ", seq, "\t", absl::CHexEscape(entry), "\n");
    }
    absl::StrAppend(&text, "K\t", log, "\t", absl::CHexEscape(kept.vkey), "\n");
    absl::StrAppend(&text, "C\t", log, "\t", absl::CHexEscape(kept.checkpoint), "\n");
  }
  store::WriteBytes(path, text);
}

Truth LoadTruth(const std::string& path) {
  Truth truth;
  for (absl::string_view line : absl::StrSplit(ReadBytes(path), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, '\t');
    VAULT_CHECK(parts.size() == 3);
    std::string first, second;
    VAULT_CHECK(absl::CUnescape(parts[1], &first) && absl::CUnescape(parts[2], &second));
    if (parts[0] == "A") {
      truth.answers.emplace_back(first, second);
    } else if (parts[0] == "K") {
      truth.logs[first].vkey = second;
    } else if (parts[0] == "C") {
      truth.logs[first].checkpoint = second;
    } else {
      const std::pair<std::string, std::string> place = absl::StrSplit(first, ' ');
      truth.logs[place.first].entries.emplace_back(std::atoll(place.second.c_str()), second);
    }
  }
  return truth;
}

// "damage" for what says that something is damaged, "refused CODE" for another refusal.
std::string Describe(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kFailedPrecondition:
      return absl::StrCat("damage ", absl::StatusCodeToString(status.code()));
    default:
      return absl::StrCat("refused ", absl::StatusCodeToString(status.code()));
  }
}

std::string Describe(const records::ResidentView& view) {
  std::string text = absl::StrCat(view.id.ToHex(), " v", view.version, " ", view.etag);
  for (const records::FieldView& field : view.fields) {
    absl::StrAppend(&text, "\n", field.spec->id, " ", static_cast<int>(field.disclosure), " ",
                    field.present, " ", field.value.Expose());
  }
  return text;
}

std::string Describe(const usecases::LookupResult& result) {
  std::string text = absl::StrCat("more ", result.more);
  for (const records::ResidentView& view : result.residents) {
    absl::StrAppend(&text, "\n", Describe(view));
  }
  return text;
}

std::string Describe(const usecases::KeyStatusResult& result) {
  std::string text = absl::StrCat("pending ", result.pending.size(), " ", result.offboarded);
  for (const auto& version : result.versions) {
    absl::StrAppend(&text, "\n", inventory::KeyKindName(version.kind), " ", version.version, " ",
                    keys::KeyStateName(version.state), " ",
                    version.under.has_value() ? absl::StrCat(*version.under) : "-");
  }
  return text;
}

std::string Describe(const usecases::LogKeysResult& result) {
  std::string text = result.origin;
  for (const audit::LogKeyRange& range : result.keys) {
    absl::StrAppend(&text, "\n", range.version, " ", range.key.Format(), " ", range.after_size, " ",
                    range.last_size.value_or(0), " ", range.handover);
  }
  return text;
}

// The newest checkpoint is another one each time.
std::string Describe(const usecases::CheckpointResult& result) { return "by " + result.cosigned; }

template <typename T>
std::string Describe(const absl::StatusOr<T>& result) {
  return result.ok() ? Describe(*result) : Describe(result.status());
}

// The answers to all questions, asked at once.
class Questioning {
 public:
  explicit Questioning(WholeVault* vault) : vault_(vault) {}

  std::vector<std::string> Ask(const std::vector<std::string>& questions) {
    answers_.resize(questions.size());
    left_ = questions.size();
    for (size_t i = 0; i < questions.size(); ++i) AskOne(questions[i], i);
    MutexLock lock(&mu_);
    while (left_ != 0) lock.Wait(done_);
    return std::move(answers_);
  }

 private:
  template <typename T>
  testing::Done<T> Into(size_t i) {
    return [this, i](absl::StatusOr<T> result) {
      std::string text = Describe(result);
      MutexLock lock(&mu_);
      answers_[i] = std::move(text);
      // Under the lock: whoever waits may go as soon as it is given up.
      if (--left_ == 0) done_.notify_one();
    };
  }

  void AskOne(const std::string& question, size_t i) {
    const std::vector<std::string> words = absl::StrSplit(question, absl::MaxSplits(' ', 3));
    const std::string& tenant = words[1];
    if (words[0] == "keys" || words[0] == "cosigned") {
      const pipeline::Caller auditor = WholeVault::As(AuditorOf(words[1]));
      if (words[0] == "keys") {
        vault_->use_cases().trail().GetLogKeys(auditor, words[1], Into<usecases::LogKeysResult>(i));
      } else {
        vault_->use_cases().trail().GetCheckpoint(auditor, words[1],
                                                  Into<usecases::CheckpointResult>(i));
      }
      return;
    }
    // The officer sees every field as it was entered; Yokohama has none here.
    const pipeline::Caller who = WholeVault::As(words[0] == "count"  ? "security"
                                                : tenant == kToshima ? "officer-toshima"
                                                                     : "operator-yokohama");
    if (words[0] == "get") {
      vault_->use_cases().residents().Get(who, GetOf(tenant, words[2], "C-1"),
                                          Into<records::ResidentView>(i));
    } else if (words[0] == "find") {
      vault_->use_cases().residents().Lookup(who, FindBy(tenant, words[2], words[3], "C-1"),
                                             Into<usecases::LookupResult>(i));
    } else {
      vault_->use_cases().keys().Status(who, tenant, Into<usecases::KeyStatusResult>(i));
    }
  }

  WholeVault* const vault_;
  Mutex mu_;
  CondVar done_;
  std::vector<std::string> answers_;
  size_t left_ = 0;
};

// --- the vault that is damaged ----------------------------------------------------------------

// The machine's clock, as it was this long ago.
class PastClock : public Clock {
 public:
  explicit PastClock(absl::Duration ago) : ago_(ago) {}
  absl::Time Now() const override { return RealClock().Now() - ago_; }
  absl::Duration SinceBoot() const override { return RealClock().SinceBoot(); }

 private:
  const absl::Duration ago_;
};

// Builds it in `dir` (one session after another, so that the WAL of each becomes an SST), and what
// is true of it in `truth_path`: trees that were signed, handovers, cosignatures, a log whose
// beginning was pruned. Ends as a crash would: the last session's rows are in the WAL only.
class Builder {
 public:
  Builder(std::string dir, std::string truth_path)
      : dir_(std::move(dir)), truth_path_(std::move(truth_path)) {}

  void Run() {
    std::filesystem::create_directory(dir_);
    const PastClock past(absl::Hours(11 * 366 * 24));
    Open(/*create=*/true, &past);
    FillOld(kYokohama, kOldEntries);
    FillOld(kToshima, kOldEntries);  // of these nothing is pruned
    Open(/*create=*/false);
    CreateSome(kToshima, 50);
    CreateSome(kYokohama, 20);
    Cosign(kToshima);
    RotateLogKey(kYokohama);
    RotateLogKey("service");
    CreateSome(kToshima, 30);
    Update(0, 20);
    VAULT_CHECK(vault_->Rotate("security", kToshima).ok());
    Cosign(kYokohama);
    Prune(kYokohama);
    Open(/*create=*/false);
    CreateSome(kToshima, 15);
    Update(10, 35);
    RotateLogKey(kToshima);
    Cosign("service");
    RecordTruth();
    _exit(0);
  }

 private:
  struct Made {
    std::string tenant, id;
    GeneratedResident person;
  };

  // One whole bundle, and a rest.
  static constexpr uint64_t kOldEntries = 300;

  void Open(bool create, const Clock* clock = nullptr) {
    vault_.reset();
    WholeVault::Options options;
    options.dir = dir_;
    options.create = create;
    options.clock = clock;
    auto vault = WholeVault::Open(options);
    VAULT_CHECK(vault.ok()) << vault.status();
    vault_ = *std::move(vault);
  }

  void CreateSome(const std::string& tenant, int count) {
    ResidentGenerator people(*TenantId::Parse(tenant), /*seed=*/made_.size() + 1);
    for (int i = 0; i < count; ++i) {
      GeneratedResident person = people.Next();
      const auto created =
          vault_->Create("booking-service", ChangeOf(tenant, person.fields, "B-1"));
      VAULT_CHECK(created.ok()) << created.status();
      made_.push_back({tenant, created->id.ToHex(), std::move(person)});
    }
  }

  void FillOld(const std::string& log, uint64_t count) {
    audit::Submission submission(*LogId::Parse(log));
    for (uint64_t i = 0; i < count; ++i) {
      submission.entries.push_back(GenerateEntry(kSeed, i, {}).fields);
    }
    const absl::Status written = vault_->sequencer().SubmitAndWait(std::move(submission));
    VAULT_CHECK(written.ok()) << written;
  }

  void RotateLogKey(const std::string& log) {
    const auto made = vault_->RotateLogKey(log, /*compromised=*/false);
    VAULT_CHECK(made.ok()) << made.status();
  }

  void Cosign(const std::string& log) {
    const LogId id = *LogId::Parse(log);
    const auto note = vault_->checkpointer().Sign(id);
    VAULT_CHECK(note.ok()) << note.status();
    const tlog::Note parsed = *tlog::ParseNote(*note);
    const tlog::VerifierKey key =
        TestVerifierKey("witness.example", 7, tlog::NoteAlgorithm::kCosignatureV1);
    const SecretBytes<crypto::kKeySize> seed = TestSigningSeed(7);
    const std::string line =
        tlog::Cosign(parsed.text, absl::ToUnixSeconds(absl::Now()), key, crypto::SigningSeed(seed));
    const absl::Status kept = vault_->checkpointer().Keep(
        id, key, tlog::FormatNote(parsed.text, {parsed.signatures[0].line, line}));
    VAULT_CHECK(kept.ok()) << kept;
  }

  void Prune(const std::string& log) {
    const auto record = vault_->Prune(log, absl::Now() - absl::Hours(6 * 366 * 24));
    VAULT_CHECK(record.ok()) << record.status();
    const tlog::Pruned pruned = tlog::ParsePruned(tlog::ParseNote(*record)->text).value();
    VAULT_CHECK(pruned.begin == kOldEntries / 256 * 256);
  }

  // New telephones; the old ones are asked for too, and must find nobody.
  void Update(int from, int to) {
    for (int i = from; i < to; ++i) {
      Made& made = made_[i];
      for (auto& [field, value] : made.person.fields) {
        if (field != "phone") continue;
        if (!value.empty()) old_phones_.push_back(value);
        value = absl::StrCat("090-9000-", 1000 + phones_++);
      }
      usecases::ChangeRequest request =
          ChangeOf(made.tenant, {{"phone", made.person.Get("phone")}}, "B-2");
      request.resident = made.id;
      // The officer may change a protected resident too.
      const auto updated = vault_->Update("officer-toshima", std::move(request));
      VAULT_CHECK(updated.ok()) << updated.status();
    }
  }

  void RecordTruth() {
    std::vector<std::string> questions;
    for (const Made& made : made_) {
      questions.push_back(absl::StrCat("get ", made.tenant, " ", made.id));
      const std::string& phone = made.person.Get("phone");
      if (!phone.empty()) questions.push_back(absl::StrCat("find ", made.tenant, " phone ", phone));
    }
    for (size_t i = 0; i < 30; ++i) {
      questions.push_back(absl::StrCat("find ", kToshima, " name ", made_[i].person.Get("name")));
    }
    for (const std::string& phone : old_phones_) {
      questions.push_back(absl::StrCat("find ", kToshima, " phone ", phone));
    }
    questions.push_back(absl::StrCat("count ", kToshima));
    questions.push_back(absl::StrCat("count ", kYokohama));
    for (const auto& [log, persona] : Logs()) {
      questions.push_back(absl::StrCat("keys ", log));
      questions.push_back(absl::StrCat("cosigned ", log));
    }
    const std::vector<std::string> answers = Questioning(vault_.get()).Ask(questions);
    // The answers themselves are right: as generated, changed as asked.
    for (size_t i = 0, next = 0; i < made_.size(); ++i, ++next) {
      while (!absl::StartsWith(questions[next], "get ")) ++next;
      if (made_[i].tenant != kToshima) continue;
      for (const char* field : {"name", "kana", "phone", "address", "memo"}) {
        const std::string& value = made_[i].person.Get(field);
        VAULT_CHECK(value.empty() ||
                    absl::StrContains(answers[next], absl::StrCat("\n", field, " ")) &&
                        absl::StrContains(answers[next], absl::StrCat(" ", value)))
            << "resident " << i << ": " << field;
      }
    }
    Truth truth;
    for (size_t i = 0; i < questions.size(); ++i) {
      VAULT_CHECK(!absl::StartsWith(answers[i], "damage")) << questions[i];
      truth.answers.emplace_back(questions[i], answers[i]);
    }
    for (const auto& [log, persona] : Logs()) {
      auto entries = vault_->Entries(persona, log);
      VAULT_CHECK(entries.ok()) << entries.status();
      LogTruth& kept = truth.logs[log];
      for (trail::LogRecord& record : *entries) {
        kept.entries.emplace_back(record.seq, std::move(record.bytes));
      }
      const auto keys = vault_->checkpointer().Keys(*LogId::Parse(log));
      VAULT_CHECK(keys.ok() && keys->size() == 2) << keys.status();
      kept.vkey = keys->front().key.Format();
      const auto note = vault_->checkpointer().Sign(*LogId::Parse(log));
      VAULT_CHECK(note.ok()) << note.status();
      kept.checkpoint = *note;
    }
    VAULT_CHECK(truth.logs[kYokohama].entries[0].first > 0) << "nothing was pruned";
    SaveTruth(truth, truth_path_);
  }

  const std::string dir_, truth_path_;
  std::unique_ptr<WholeVault> vault_;
  std::vector<Made> made_;
  std::vector<std::string> old_phones_;
  int phones_ = 0;
};

// --- the judge --------------------------------------------------------------------------------

// Empty where the log's export is good and goes on from the checkpoint that was kept; else as
// JudgeLog.
std::string JudgeExport(WholeVault* vault, const std::string& log, const std::string& persona,
                        const LogTruth& truth) {
  const auto files = vault->Export(persona, log);
  if (!files.ok()) return Describe(files.status());
  const auto read = [&files](const std::string& path,
                             size_t bytes_max) -> absl::StatusOr<std::string> {
    const auto it = files->find(path);
    if (it == files->end()) return absl::NotFoundError(path);
    if (it->second.size() > bytes_max) return absl::OutOfRangeError(path);
    return it->second;
  };
  tlog::LogCheckOptions options;
  options.keys = {*tlog::ParseVerifierKey(truth.vkey)};
  options.old_checkpoints = {{"the kept one", truth.checkpoint}};
  options.threads = 1;
  const auto report = tlog::CheckLog(read, options);
  VAULT_CHECK(report.ok()) << report.status();
  if (report->verdict == tlog::Verdict::kGood) return "";
  return absl::StrCat("WRONG export of ", log, ": ", report->problem);
}

// Empty where the log's entries begin with the true ones and verify; "damage …" where something
// says so; "WRONG …".
std::string JudgeLog(WholeVault* vault, const std::string& log, const std::string& persona,
                     const LogTruth& truth) {
  const auto verdict = vault->Verify(persona, log);
  if (!verdict.ok()) return Describe(verdict.status());
  if (!verdict->good) return "damage verify";
  const auto entries = vault->Entries(persona, log);
  if (!entries.ok()) return Describe(entries.status());
  if (entries->size() < truth.entries.size()) {
    return absl::StrCat("WRONG log ", log, " is shorter");
  }
  for (size_t i = 0; i < truth.entries.size(); ++i) {
    if ((*entries)[i].seq != truth.entries[i].first ||
        (*entries)[i].bytes != truth.entries[i].second) {
      return absl::StrCat("WRONG log ", log, " at entry ", i);
    }
  }
  return JudgeExport(vault, log, persona, truth);
}

// "refused …", "damage …", "right" or "WRONG …".
std::string Judge(const std::string& dir, const Truth& truth) {
  WholeVault::Options options;
  options.dir = dir;
  // Signed when the questions ask for it: what is found is told to them.
  options.checkpoint_interval = absl::ZeroDuration();
  auto vault = WholeVault::Open(options);
  if (!vault.ok()) {
    return absl::StrCat("refused ", absl::StatusCodeToString(vault.status().code()), " ",
                        vault.status().message());
  }
  std::vector<std::string> questions;
  for (const auto& [question, answer] : truth.answers) questions.push_back(question);
  const std::vector<std::string> answers = Questioning(vault->get()).Ask(questions);
  std::string damage;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i] == truth.answers[i].second) continue;
    if (!absl::StartsWith(answers[i], "damage")) {
      return absl::StrCat("WRONG answer ", i, " (", questions[i].substr(0, 11), ")");
    }
    damage = answers[i] + " at a read";
  }
  for (const auto& [log, persona] : Logs()) {
    std::string judged = JudgeLog(vault->get(), log, persona, truth.logs.at(log));
    if (judged.empty()) continue;
    if (!absl::StartsWith(judged, "damage")) return judged;
    damage = judged;
  }
  return damage.empty() ? "right" : damage;
}

// --- the damage -------------------------------------------------------------------------------

// "flip FILE OFFSET BIT" or "cut FILE LENGTH"; "leave FILE" does nothing.
void Damage(const std::string& dir, const std::string& what) {
  const std::vector<std::string> words = absl::StrSplit(what, ' ');
  const std::string path = absl::StrCat(dir, "/", words[1]);
  if (words[0] == "cut") {
    VAULT_CHECK(truncate(path.c_str(), std::atoll(words[2].c_str())) == 0) << what;
  } else if (words[0] == "flip") {
    std::string bytes = ReadBytes(path);
    bytes[std::atoll(words[2].c_str())] ^= static_cast<char>(1 << std::atoi(words[3].c_str()));
    store::WriteBytes(path, bytes);
  }
}

std::string KindOf(const std::string& file) {
  if (absl::EndsWith(file, ".sst")) return "SST";
  if (absl::EndsWith(file, ".log")) return "WAL";
  if (absl::EndsWith(file, ".synced")) return "MANIFEST.synced";
  for (const char* kind : {"MANIFEST", "OPTIONS", "CURRENT", "IDENTITY", "keyring", "head"}) {
    if (absl::StrContains(file, kind)) return kind;
  }
  return "other";
}

// How many of the samples each kind of file gets, in per cent; the rest of a file's kind shares.
int ShareOf(const std::string& kind) {
  if (kind == "SST" || kind == "WAL") return 30;
  if (kind == "MANIFEST") return 15;
  return kind == "OPTIONS" || kind == "IDENTITY" ? 2 : 5;
}

// The samples, by a seed.
std::vector<std::string> MakePlan(const std::string& dir, int samples) {
  std::map<std::string, std::vector<std::pair<std::string, uint64_t>>> kinds;
  for (const auto& file : std::filesystem::recursive_directory_iterator(dir)) {
    if (!file.is_regular_file() || file.file_size() == 0) continue;
    const std::string name = std::filesystem::relative(file.path(), dir).string();
    if (name == "root.key") continue;
    kinds[KindOf(name)].emplace_back(name, file.file_size());
  }
  int shares = 0;
  for (auto& [kind, files] : kinds) {
    std::sort(files.begin(), files.end());
    shares += ShareOf(kind);
  }
  std::mt19937_64 random(kSeed);
  std::vector<std::string> plan;
  for (auto& [kind, files] : kinds) {
    const int count = (samples * ShareOf(kind) + shares - 1) / shares;
    for (int i = 0; i < count; ++i) {
      const auto& [name, size] = files[i % files.size()];
      // Anywhere, and now and then in the last bytes, where an SST has its footer.
      const uint64_t tail = std::min<uint64_t>(size, 128);
      const uint64_t at = i % 8 == 0 ? size - 1 - random() % tail : random() % size;
      plan.push_back(random() % 10 == 0 ? absl::StrCat("cut ", name, " ", at)
                                        : absl::StrCat("flip ", name, " ", at, " ", random() % 8));
    }
  }
  std::shuffle(plan.begin(), plan.end(), random);
  plan.resize(std::min<size_t>(plan.size(), samples));
  return plan;
}

// --- the children -----------------------------------------------------------------------------

// Runs `body` in a child whose standard error is `err`.
template <typename Body>
pid_t Fork(const std::string& err, Body body) {
  const pid_t pid = fork();
  VAULT_CHECK(pid >= 0) << "fork";
  if (pid != 0) return pid;
  const int fd = open(err.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  dup2(fd, 2);
  body();
  _exit(0);
}

// A child that tries one line of the plan after another, until it ends or a line kills it.
struct Worker {
  pid_t pid = -1;
  size_t next = 0, end = 0;
  std::string copy, verdicts, err;
};

void TryLines(const Worker& worker, const std::string& dir, const Truth& truth,
              const std::vector<std::string>& plan) {
  SetMinLogSeverity(LogSeverity::FATAL);
  const int out = open(worker.verdicts.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  VAULT_CHECK(out >= 0);
  for (size_t i = worker.next; i < worker.end; ++i) {
    std::error_code error;
    std::filesystem::remove_all(worker.copy, error);
    std::filesystem::copy(dir, worker.copy, std::filesystem::copy_options::recursive, error);
    VAULT_CHECK(!error) << error.message();
    Damage(worker.copy, plan[i]);
    alarm(kSampleSecondsMax);
    std::string verdict = Judge(worker.copy, truth);
    alarm(0);
    std::replace(verdict.begin(), verdict.end(), '\n', ' ');
    verdict += "\n";
    VAULT_CHECK(write(out, verdict.data(), verdict.size()) == static_cast<ssize_t>(verdict.size()));
  }
}

class TamperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto tasks = std::filesystem::directory_iterator("/proc/self/task");
    ASSERT_EQ(std::distance(begin(tasks), end(tasks)), 1) << "forking wants one thread";
    vault_ = dir_.path() + "/vault";
    const std::string truth = dir_.path() + "/truth", err = dir_.path() + "/build.err";
    const pid_t pid = Fork(err, [&] { Builder(vault_, truth).Run(); });
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_EQ(status, 0) << ReadBytes(err);
    truth_ = LoadTruth(truth);
  }

  // What came of each line.
  std::vector<std::string> TryAll(const std::vector<std::string>& plan) {
    constexpr int kWorkers = 2;
    std::vector<std::string> verdicts(plan.size());
    std::vector<Worker> workers(kWorkers);
    int running = 0;
    const auto start = [&](Worker* worker) {
      if (worker->next == worker->end) return;
      worker->pid = Fork(worker->err, [&] { TryLines(*worker, vault_, truth_, plan); });
      ++running;
    };
    for (int i = 0; i < kWorkers; ++i) {
      Worker& worker = workers[i];
      worker.next = plan.size() * i / kWorkers;
      worker.end = plan.size() * (i + 1) / kWorkers;
      worker.copy = absl::StrCat(dir_.path(), "/copy", i);
      worker.verdicts = absl::StrCat(dir_.path(), "/verdicts", i);
      worker.err = absl::StrCat(dir_.path(), "/err", i);
      start(&worker);
    }
    while (running > 0) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, 0);
      for (Worker& worker : workers) {
        if (worker.pid != pid) continue;
        --running;
        worker.pid = -1;
        Gather(&worker, status, &verdicts);
        start(&worker);
      }
    }
    return verdicts;
  }

  void Gather(Worker* worker, int status, std::vector<std::string>* verdicts) {
    for (absl::string_view line :
         absl::StrSplit(ReadBytes(worker->verdicts), '\n', absl::SkipEmpty())) {
      (*verdicts)[worker->next++] = std::string(line);
    }
    store::WriteBytes(worker->verdicts, "");
    if (worker->next == worker->end) return;
    // Only an abort is a refusal; a crash by memory or a hang is a bug.
    const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    std::string said = ReadBytes(worker->err);
    std::replace(said.begin(), said.end(), '\n', ' ');
    (*verdicts)[worker->next++] =
        absl::StrCat(aborted ? "aborted " : absl::StrCat("WRONG wait status ", status, " "),
                     said.substr(said.size() - std::min<size_t>(said.size(), 300)));
  }

  // Every verdict is allowed; prints how many of each there were, by the kind of file.
  static std::map<std::string, std::map<std::string, int>> Check(
      const std::vector<std::string>& plan, const std::vector<std::string>& verdicts) {
    std::map<std::string, std::map<std::string, int>> counts;
    for (size_t i = 0; i < plan.size(); ++i) {
      const std::vector<std::string> words = absl::StrSplit(verdicts[i], ' ');
      const std::vector<std::string> what = absl::StrSplit(plan[i], ' ');
      ++counts[KindOf(what[1])][words[0]];
      EXPECT_THAT(words[0], ::testing::AnyOf("refused", "damage", "right", "aborted"))
          << plan[i] << ": " << verdicts[i];
      // A refusal says which file or log, and is none of those that ask to look elsewhere.
      if (words[0] == "refused") {
        EXPECT_THAT(words[1], ::testing::AnyOf("DATA_LOSS", "FAILED_PRECONDITION", "NOT_FOUND"))
            << plan[i] << ": " << verdicts[i];
        EXPECT_GT(words.size(), 4u) << plan[i] << ": " << verdicts[i];
      }
      if (words[0] == "aborted" || std::getenv("VAULT_TAMPER_VERBOSE") != nullptr) {
        std::cout << plan[i] << ": " << verdicts[i] << "\n";
      }
    }
    for (const auto& [kind, outcomes] : counts) {
      std::cout << kind << ":";
      for (const auto& [outcome, count] : outcomes) std::cout << " " << outcome << " " << count;
      std::cout << "\n";
    }
    return counts;
  }

  TempDir dir_;
  std::string vault_;
  Truth truth_;
};

// The judge itself: it lets the undamaged vault pass, and that vault has what the samples need.
TEST_F(TamperTest, UndamagedVaultIsRight) {
  std::map<std::string, int> kinds;
  for (const auto& file : std::filesystem::directory_iterator(vault_ + "/db")) {
    if (file.file_size() > 1000) ++kinds[KindOf(file.path().filename().string())];
  }
  EXPECT_GE(kinds["SST"], 2);
  EXPECT_GE(kinds["WAL"], 1);
  EXPECT_GT(truth_.logs[kToshima].entries.size(), 300u);
  EXPECT_THAT(TryAll({"leave head", "leave keyring"}), ::testing::Each("right"));
}

// The judge itself: it sees one wrong value, one wrong entry and one that is missing.
TEST_F(TamperTest, JudgeSeesAWrongAnswer) {
  const Truth good = truth_;
  truth_.answers[3].second += "x";
  EXPECT_THAT(TryAll({"leave head"}), ::testing::Each(::testing::StartsWith("WRONG answer 3")));
  truth_ = good;
  truth_.logs[kToshima].entries[7].second[9] ^= 1;
  EXPECT_THAT(TryAll({"leave head"}),
              ::testing::Each(::testing::StartsWith("WRONG log 131164 at")));
  truth_ = good;
  truth_.logs[kYokohama].entries.resize(5000);
  EXPECT_THAT(TryAll({"leave head"}), ::testing::Each(::testing::EndsWith("is shorter")));
  truth_ = good;
  truth_.logs["service"].checkpoint = truth_.logs[kToshima].checkpoint;
  EXPECT_THAT(TryAll({"leave head"}),
              ::testing::Each(::testing::StartsWith("WRONG export of service")));
  truth_ = good;
  // Whoever forgets a cosignature is found too.
  truth_.answers.back().second += "x";
  EXPECT_THAT(TryAll({"leave head"}), ::testing::Each(::testing::StartsWith("WRONG answer")));
}

TEST_F(TamperTest, TwoThousandSampledOffsetsNeverGiveAWrongAnswer) {
  const char* asked = std::getenv("VAULT_TAMPER_SAMPLES");
  int samples = 2000;
  ASSERT_TRUE(asked == nullptr || absl::SimpleAtoi(asked, &samples));
  const std::vector<std::string> plan = MakePlan(vault_, samples);
  ASSERT_EQ(plan.size(), samples);
  const absl::Time begun = absl::Now();
  const auto counts = Check(plan, TryAll(plan));
  std::cout << plan.size() << " samples in " << absl::FormatDuration(absl::Now() - begun)
            << ", seed " << kSeed << "\n";
  for (const char* kind : {"SST", "WAL", "MANIFEST", "keyring", "head", "CURRENT"}) {
    ASSERT_TRUE(counts.count(kind)) << kind;
    // A judge that found no damage would not have looked.
    EXPECT_TRUE(counts.at(kind).count("refused") || counts.at(kind).count("damage")) << kind;
  }
}

}  // namespace
}  // namespace vault::testing
