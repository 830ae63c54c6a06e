#include "vault/publish/witness_feed.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/publish/http_post.h"
#include "vault/tlog/checkpoint.h"

namespace vault::publish {
namespace {

// Between two submissions of one log to one witness.
constexpr absl::Duration kPace = absl::Seconds(1);
// After the n-th failure in a row: twice the one before, at most kBackoffMax, less up to half of it
// by chance, so that many vaults do not come back at once.
constexpr absl::Duration kBackoffMin = absl::Seconds(1);
constexpr absl::Duration kBackoffMax = absl::Seconds(60);
// Looks at all logs come no closer than this, however often the feed is woken.
constexpr absl::Duration kRoundPause = absl::Milliseconds(50);
// An answer that takes longer is reported before the request's time is over.
constexpr absl::Duration kSlow = absl::Seconds(2);
// A look without a call for it, so that a missed one costs lag and not the cosignature.
constexpr absl::Duration kIdleMax = absl::Seconds(30);
// How far a witness's clock may be ahead of the one here: cosignatures are told old from new by
// their times, so one from the future would count as the newest until then.
constexpr absl::Duration kAheadMax = absl::Minutes(5);

absl::Duration Backoff(int failures) {
  absl::Duration pause = kBackoffMin;
  for (int i = 1; i < failures && pause < kBackoffMax; ++i) pause *= 2;
  pause = std::min(pause, kBackoffMax);
  uint16_t chance = 0;
  SystemRandom().Fill(&chance, sizeof(chance));
  return pause - pause / 2 * (chance / 65536.0);
}

// "<size>\n", as a witness's 409 has it.
absl::optional<uint64_t> ParseHeldSize(absl::string_view body) {
  uint64_t size = 0;
  if (!absl::ConsumeSuffix(&body, "\n") || !absl::SimpleAtoi(body, &size) ||
      absl::StrCat(size) != body) {
    return absl::nullopt;
  }
  return size;
}

struct Cosigned {
  std::string note;
  absl::Time time;
};

// The checkpoint with the log's own signatures and this witness's line out of its answer; `now` by
// the clock here.
absl::StatusOr<Cosigned> CheckAnswer(const tlog::SignedCheckpoint& submitted,
                                     const tlog::VerifierKey& key, absl::string_view answer,
                                     absl::Time now) {
  const absl::StatusOr<tlog::Note> note =
      tlog::ParseNote(absl::StrCat(submitted.note.text, "\n", answer));
  // An empty line in the answer makes what comes before it part of the text.
  if (!note.ok() || note->text != submitted.note.text) {
    return absl::DataLossError("answered something that is no signature");
  }
  const absl::StatusOr<uint64_t> time = tlog::VerifyCosignature(*note, key);
  if (absl::IsNotFound(time.status())) {
    return absl::DataLossError("answered without a cosignature of its key");
  }
  if (!time.ok()) {
    return absl::DataLossError("gave a cosignature that does not hold over this checkpoint");
  }
  const absl::Time cosigned_at =
      absl::FromUnixSeconds(static_cast<int64_t>(std::min<uint64_t>(*time, INT64_MAX)));
  if (cosigned_at > now + kAheadMax) {
    // Without the time itself: a problem that stays the same is logged once.
    return absl::DataLossError(absl::StrCat("gave a cosignature of a time more than ",
                                            absl::FormatDuration(kAheadMax),
                                            " ahead of the clock here"));
  }
  std::vector<std::string> lines;
  for (const tlog::NoteSignature& signature : submitted.note.signatures) {
    if (signature.name == submitted.checkpoint.origin) lines.push_back(signature.line);
  }
  for (const tlog::NoteSignature& signature : note->signatures) {
    if (signature.name == key.name && signature.id == key.id()) lines.push_back(signature.line);
  }
  return Cosigned{tlog::FormatNote(submitted.note.text, lines), cosigned_at};
}

}  // namespace

absl::Status CheckWitnessConfig(const WitnessConfig& config) {
  if (!tlog::IsNoteName(config.key.name) ||
      config.key.algorithm != tlog::NoteAlgorithm::kCosignatureV1) {
    return absl::InvalidArgumentError("a witness's key is not a cosignature/v1 verifier key");
  }
  if (!absl::StartsWith(config.url, "http://") && !absl::StartsWith(config.url, "https://")) {
    return absl::InvalidArgumentError(
        absl::StrCat("the URL of witness ", config.key.name, " is neither http nor https"));
  }
  const absl::string_view host = absl::string_view(config.url).substr(config.url.find("//") + 2);
  if (host.empty() || host[0] == '/' || absl::StrContains(host, '?') ||
      absl::StrContains(host, '#')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the URL of witness ", config.key.name, " is no submission prefix: https://HOST[/PATH]"));
  }
  if (config.timeout < absl::Milliseconds(10) || config.timeout > absl::Minutes(5)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the timeout of witness ", config.key.name, " is out of range"));
  }
  return absl::OkStatus();
}

// One witness and the thread that goes to it.
class WitnessFeed::Worker {
 public:
  Worker(WitnessConfig config, CheckpointSource* source, const Clock* clock)
      : config_(std::move(config)),
        url_(absl::StrCat(absl::StripSuffix(config_.url, "/"), "/add-checkpoint")),
        source_(source),
        clock_(clock),
        poster_(&stop_),
        thread_([this] { Run(); }) {}

  ~Worker() { thread_.join(); }

  // Without waiting for the end, so that all workers end at the same time.
  void Stop() VAULT_EXCLUDES(mu_) {
    stop_ = true;
    Wake();
  }

  void Wake() VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    ++calls_;
    wake_.notify_one();
  }

  // What WitnessFeed::Alarms says of this one; empty where nothing changed.
  std::string Alarm(absl::Duration limit) VAULT_EXCLUDES(mu_);

  // `latest`: the size of the newest checkpoint, none if there is none.
  WitnessState StateOf(const LogId& log, absl::optional<uint64_t> latest) const
      VAULT_EXCLUDES(mu_) {
    WitnessState state;
    state.name = config_.key.name;
    MutexLock lock(&mu_);
    const auto it = logs_.find(log);
    if (it != logs_.end()) {
      state.size = it->second.cosigned;
      state.time = it->second.time;
      state.problem = it->second.problem;
    }
    if (latest.has_value() && state.size != latest) {
      const uint64_t have = state.size.value_or(0);
      state.behind = *latest > have ? *latest - have : 0;
      const bool waits = it != logs_.end() && it->second.behind_since.has_value();
      state.behind_since = waits ? *it->second.behind_since : clock_->Now();
      if (!problem_.empty()) state.problem = problem_;
      if (state.problem.empty()) state.problem = Silence();
    }
    return state;
  }

 private:
  struct Log {
    uint64_t held = 0;                  // what the witness holds, as far as is known
    absl::optional<uint64_t> cosigned;  // verified and kept
    absl::Time time = absl::InfinitePast();
    absl::optional<absl::Time> behind_since;
    absl::Duration waits_since;                 // since boot; where behind_since is set
    absl::Duration due = absl::ZeroDuration();  // since boot; no submission before
    int failures = 0;                           // in a row
    int conflicts = 0;                          // answers of 409 in a row
    std::string problem;
  };
  // One submission, from the first look at the log to the verdict.
  struct Attempt {
    const LogId& log;
    tlog::SignedCheckpoint checkpoint;
    uint64_t old_size = 0;
    absl::Duration began;  // since boot
  };

  void Run();
  absl::Duration VisitAll();
  absl::Duration Visit(const LogId& log);
  void Submit(const Attempt& attempt, const std::string& note);
  void Take(const Attempt& attempt, const HttpResponse& response);
  void TakeCosignature(const Attempt& attempt, absl::string_view answer);
  void TakeConflict(const Attempt& attempt, absl::string_view body);
  void LogFailed(const Attempt& attempt, std::string problem);
  void WitnessFailed(std::string problem);
  void Say(const LogId* log, const std::string& problem) const;
  // The message that an answer has been waited for long; empty where it has not.
  std::string Silence() const VAULT_REQUIRES(mu_);

  const WitnessConfig config_;
  const std::string url_;
  CheckpointSource* const source_;
  const Clock* const clock_;
  std::atomic<bool> stop_{false};
  HttpPoster poster_;  // the thread's

  mutable Mutex mu_;
  CondVar wake_;
  uint64_t calls_ VAULT_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<LogId, Log> logs_ VAULT_GUARDED_BY(mu_);
  // The problem of the witness as a whole, whichever the log: it cannot be reached.
  std::string problem_ VAULT_GUARDED_BY(mu_);
  int failures_ VAULT_GUARDED_BY(mu_) = 0;
  absl::Duration due_ VAULT_GUARDED_BY(mu_) = absl::ZeroDuration();
  absl::optional<absl::Duration> asked_ VAULT_GUARDED_BY(mu_);  // since boot; a request under way
  bool alarmed_ VAULT_GUARDED_BY(mu_) = false;

  std::thread thread_;  // last: it uses all of the above
};

std::string WitnessFeed::Worker::Alarm(absl::Duration limit) {
  const absl::Duration now = clock_->SinceBoot();
  MutexLock lock(&mu_);
  const std::pair<const LogId, Log>* longest = nullptr;
  for (const auto& log : logs_) {
    if (!log.second.behind_since.has_value() || now - log.second.waits_since <= limit) continue;
    if (longest == nullptr || log.second.waits_since < longest->second.waits_since) longest = &log;
  }
  if (alarmed_ == (longest != nullptr)) return "";
  alarmed_ = longest != nullptr;
  if (!alarmed_) return absl::StrCat("witness ", config_.key.name, ": well again");
  std::string problem = problem_.empty() ? longest->second.problem : problem_;
  if (problem.empty()) problem = Silence();
  return absl::StrCat("witness ", config_.key.name, ": behind for more than ",
                      absl::FormatDuration(limit), ", the longest with log ", longest->first.str(),
                      problem.empty() ? "" : ": ", problem);
}

std::string WitnessFeed::Worker::Silence() const {
  if (!asked_.has_value()) return "";
  const absl::Duration silent = clock_->SinceBoot() - *asked_;
  if (silent < kSlow) return "";
  return absl::StrCat("has not answered for ",
                      absl::FormatDuration(absl::Trunc(silent, absl::Seconds(1))));
}

void WitnessFeed::Worker::Run() {
  uint64_t seen = 0;
  while (!stop_) {
    {
      MutexLock lock(&mu_);
      seen = calls_;
    }
    const absl::Duration next = VisitAll();
    const absl::Duration earliest = clock_->SinceBoot() + kRoundPause;
    MutexLock lock(&mu_);
    while (!stop_) {
      const absl::Duration until = calls_ == seen ? std::max(next, earliest) : earliest;
      const absl::Duration left = until - clock_->SinceBoot();
      if (left <= absl::ZeroDuration()) break;
      lock.WaitFor(wake_, std::min(left, kIdleMax));
    }
  }
}

// Gives the time, since boot, of the next look that is worth it.
absl::Duration WitnessFeed::Worker::VisitAll() {
  absl::Duration next = clock_->SinceBoot() + kIdleMax;
  for (const LogId& log : source_->logs()) {
    if (stop_) break;
    next = std::min(next, Visit(log));
  }
  return next;
}

absl::Duration WitnessFeed::Worker::Visit(const LogId& log) {
  const absl::Duration now = clock_->SinceBoot();
  const absl::StatusOr<std::string> latest = source_->Latest(log);
  if (absl::IsNotFound(latest.status())) return absl::InfiniteDuration();
  Attempt attempt{log, {}, 0, now};
  absl::Status readable = latest.status();
  if (latest.ok()) {
    absl::StatusOr<tlog::SignedCheckpoint> parsed = tlog::ParseSignedCheckpoint(*latest);
    readable = parsed.status();
    if (parsed.ok()) attempt.checkpoint = *std::move(parsed);
  }
  {
    MutexLock lock(&mu_);
    Log& state = logs_[log];
    if (readable.ok() && state.cosigned == attempt.checkpoint.checkpoint.size) {
      return absl::InfiniteDuration();
    }
    if (!state.behind_since.has_value()) {
      state.behind_since = clock_->Now();
      state.waits_since = now;
    }
    const absl::Duration due = std::max(state.due, due_);
    if (now < due) return due;
    attempt.old_size = state.held;
  }
  if (readable.ok()) {
    Submit(attempt, *latest);
  } else {
    LogFailed(attempt, "the log's own checkpoint cannot be read");
  }
  MutexLock lock(&mu_);
  return std::max(logs_[log].due, due_);
}

void WitnessFeed::Worker::Submit(const Attempt& from, const std::string& note) {
  Attempt attempt = from;
  // A witness that is ahead is asked again what it holds: from 0 it must answer 409.
  if (attempt.old_size > attempt.checkpoint.checkpoint.size) attempt.old_size = 0;
  tlog::AddCheckpointRequest request;
  request.old_size = attempt.old_size;
  request.checkpoint = note;
  absl::StatusOr<std::vector<crypto::Digest>> proof =
      source_->Consistency(attempt.log, attempt.old_size, attempt.checkpoint.checkpoint.size);
  if (!proof.ok()) return LogFailed(attempt, "there is no consistency proof for it");
  request.proof = *std::move(proof);
  {
    MutexLock lock(&mu_);
    asked_ = clock_->SinceBoot();
  }
  const absl::StatusOr<HttpResponse> response =
      poster_.Post(url_, tlog::FormatAddCheckpoint(request), config_.timeout);
  {
    MutexLock lock(&mu_);
    asked_.reset();
  }
  if (absl::IsCancelled(response.status())) return;
  if (!response.ok()) return WitnessFailed(std::string(response.status().message()));
  if (response->status >= 500 || response->status == 429) {
    return WitnessFailed(absl::StrCat("answers HTTP ", response->status));
  }
  {
    MutexLock lock(&mu_);
    failures_ = 0;
    problem_.clear();
  }
  Take(attempt, *response);
}

void WitnessFeed::Worker::Take(const Attempt& attempt, const HttpResponse& response) {
  switch (response.status) {
    case 200:
      return TakeCosignature(attempt, response.body);
    case 409:
      return TakeConflict(attempt, response.body);
    case 400:
      return LogFailed(attempt, "takes the request for malformed (HTTP 400)");
    case 403:
      return LogFailed(attempt, "does not trust the key that signed (HTTP 403)");
    case 404:
      return LogFailed(attempt, "does not know this log (HTTP 404)");
    case 422:
      return LogFailed(attempt, absl::StrCat("finds that its tree of ", attempt.old_size,
                                             " entries does not lead to this one (HTTP 422)"));
    default:
      return LogFailed(attempt, absl::StrCat("answers HTTP ", response.status));
  }
}

void WitnessFeed::Worker::TakeCosignature(const Attempt& attempt, absl::string_view answer) {
  {
    MutexLock lock(&mu_);
    logs_[attempt.log].conflicts = 0;
  }
  absl::StatusOr<Cosigned> cosigned =
      CheckAnswer(attempt.checkpoint, config_.key, answer, clock_->Now());
  if (!cosigned.ok()) return LogFailed(attempt, std::string(cosigned.status().message()));
  const absl::Status kept = source_->Keep(attempt.log, config_.key, std::move(cosigned->note));
  if (!kept.ok()) return LogFailed(attempt, "cosigned, and that could not be kept");
  MutexLock lock(&mu_);
  Log& state = logs_[attempt.log];
  state.held = attempt.checkpoint.checkpoint.size;
  state.cosigned = state.held;
  state.time = cosigned->time;
  state.behind_since.reset();
  state.due = attempt.began + kPace;
  state.failures = 0;
  state.problem.clear();
}

void WitnessFeed::Worker::TakeConflict(const Attempt& attempt, absl::string_view body) {
  const uint64_t ours = attempt.checkpoint.checkpoint.size;
  const absl::optional<uint64_t> held = ParseHeldSize(body);
  if (!held.has_value()) return LogFailed(attempt, "answers HTTP 409 and names no size");
  if (*held == attempt.old_size) {
    return LogFailed(attempt, *held == ours
                                  ? absl::StrCat("holds another tree of ", ours, " entries")
                                  : "answers HTTP 409 to the size that it holds");
  }
  absl::optional<uint64_t> went_back_from;
  int conflicts = 0;
  {
    MutexLock lock(&mu_);
    Log& state = logs_[attempt.log];
    if (state.cosigned.has_value() && *held < *state.cosigned) went_back_from = state.cosigned;
    state.held = *held;
    conflicts = ++state.conflicts;
    state.due = attempt.began + std::max(kPace, Backoff(conflicts));
  }
  if (went_back_from.has_value()) {
    return LogFailed(
        attempt, absl::StrCat("went back: cosigned ", *went_back_from, " entries, holds ", *held));
  }
  if (*held > ours) {
    return LogFailed(attempt, absl::StrCat("ahead: holds ", *held, ", we have ", ours));
  }
  // Once is how a witness's size is learned.
  if (conflicts > 2) LogFailed(attempt, "names another size each time (HTTP 409)");
}

void WitnessFeed::Worker::LogFailed(const Attempt& attempt, std::string problem) {
  bool changed = false;
  {
    MutexLock lock(&mu_);
    Log& state = logs_[attempt.log];
    state.due = attempt.began + std::max(kPace, Backoff(++state.failures));
    changed = state.problem != problem;
    state.problem = problem;
  }
  if (changed) Say(&attempt.log, problem);
}

void WitnessFeed::Worker::WitnessFailed(std::string problem) {
  bool changed = false;
  {
    MutexLock lock(&mu_);
    due_ = clock_->SinceBoot() + std::max(kPace, Backoff(++failures_));
    changed = problem_ != problem;
    problem_ = problem;
  }
  if (changed) Say(nullptr, problem);
}

void WitnessFeed::Worker::Say(const LogId* log, const std::string& problem) const {
  VAULT_LOG(WARNING) << "witness " << config_.key.name << (log == nullptr ? "" : ", log ")
                     << (log == nullptr ? absl::string_view() : log->str()) << ": " << problem;
}

WitnessFeed::WitnessFeed(std::vector<WitnessConfig> witnesses, CheckpointSource* source,
                         const Clock* clock)
    : source_(source) {
  for (WitnessConfig& config : witnesses) {
    const absl::Status usable = CheckWitnessConfig(config);
    VAULT_CHECK(usable.ok()) << usable.message();
    workers_.push_back(std::make_unique<Worker>(std::move(config), source, clock));
  }
}

WitnessFeed::~WitnessFeed() {
  for (const auto& worker : workers_) worker->Stop();
}

void WitnessFeed::Wake() {
  for (const auto& worker : workers_) worker->Wake();
}

std::vector<std::string> WitnessFeed::Alarms(absl::Duration limit) {
  std::vector<std::string> lines;
  for (const auto& worker : workers_) {
    std::string line = worker->Alarm(limit);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<WitnessState> WitnessFeed::Status(const LogId& log) const {
  absl::optional<uint64_t> latest;
  if (const absl::StatusOr<std::string> note = source_->Latest(log); note.ok()) {
    const auto parsed = tlog::ParseSignedCheckpoint(*note);
    if (parsed.ok()) latest = parsed->checkpoint.size;
  }
  std::vector<WitnessState> states;
  states.reserve(workers_.size());
  for (const auto& worker : workers_) states.push_back(worker->StateOf(log, latest));
  return states;
}

}  // namespace vault::publish
