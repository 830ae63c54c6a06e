#include "vault/cmd/vaultctl/progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace vault::ctl {
namespace {

constexpr absl::Duration kBarInterval = absl::Milliseconds(100);
constexpr absl::Duration kLineInterval = absl::Seconds(2);
constexpr uint64_t kLineUnits = 1000;
constexpr int kBarWidth = 30;

}  // namespace

Progress::Progress(std::ostream& err, const Clock& clock, std::string what, bool terminal,
                   bool quiet)
    : err_(err),
      clock_(clock),
      what_(std::move(what)),
      terminal_(terminal),
      quiet_(quiet),
      began_(clock.SinceBoot()),
      shown_at_(began_),
      moved_at_(began_) {}

void Progress::Update(uint64_t done, uint64_t total) {
  const absl::Duration now = clock_.SinceBoot();
  if (done != done_) moved_at_ = now;
  done_ = done;
  total_ = total;
  if (quiet_) return;
  if (terminal_) {
    if (bar_drawn_ && now - shown_at_ < kBarInterval) return;
    DrawBar();
  } else {
    const uint64_t step = std::max(kLineUnits, total_ / 20);
    if (done_ < shown_done_ + step && now - shown_at_ < kLineInterval) return;
    if (done_ == shown_done_) return;
    PrintLine();
  }
  shown_at_ = now;
  shown_done_ = done_;
}

void Progress::Clear() {
  if (!bar_drawn_) return;
  err_ << "\r\x1b[K" << std::flush;
  bar_drawn_ = false;
}

void Progress::Finish() {
  if (quiet_ || done_ == 0) return;
  if (terminal_) {
    DrawBar();
    err_ << "\n";
    bar_drawn_ = false;
  } else if (done_ != shown_done_) {
    PrintLine();
    shown_done_ = done_;
  }
}

void Progress::DrawBar() {
  std::string bar;
  if (total_ > 0) {
    const uint64_t done = std::min(done_, total_);
    const int filled = static_cast<int>(static_cast<double>(done) / total_ * kBarWidth);
    bar = absl::StrCat("[", std::string(filled, '#'), std::string(kBarWidth - filled, '.'), "] ",
                       absl::StrFormat("%3d%%", static_cast<int>(100.0 * done / total_)), "  ");
  }
  err_ << "\r" << bar << done_;
  if (total_ > 0) err_ << "/" << total_;
  err_ << " " << what_ << Rate() << "\x1b[K" << std::flush;
  bar_drawn_ = true;
}

void Progress::PrintLine() {
  err_ << done_;
  if (total_ > 0) err_ << "/" << total_;
  err_ << " " << what_ << Rate() << "\n" << std::flush;
}

std::string Progress::Rate() const {
  const double seconds = absl::ToDoubleSeconds(moved_at_ - began_);
  if (seconds < 0.5 || done_ <= base_) return "";
  return absl::StrFormat(", %.0f/s", (done_ - base_) / seconds);
}

StallGuard::StallGuard(grpc::ClientContext* context, absl::Duration silence_max)
    : context_(context),
      silence_max_(silence_max),
      last_poke_(RealClock().SinceBoot()),
      thread_([this] { Run(); }) {}

StallGuard::~StallGuard() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StallGuard::Poke() {
  MutexLock lock(&mu_);
  last_poke_ = RealClock().SinceBoot();
}

grpc::Status StallGuard::Explain(grpc::Status status) {
  MutexLock lock(&mu_);
  if (!fired_ || status.ok()) return status;
  return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                      absl::StrCat("nothing came for ", absl::FormatDuration(silence_max_)));
}

void StallGuard::Run() {
  MutexLock lock(&mu_);
  while (!stopping_) {
    const absl::Duration left = last_poke_ + silence_max_ - RealClock().SinceBoot();
    if (left <= absl::ZeroDuration()) {
      fired_ = true;
      context_->TryCancel();
      return;
    }
    lock.WaitFor(changed_, left);
  }
}

}  // namespace vault::ctl
