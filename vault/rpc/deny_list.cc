#include "vault/rpc/deny_list.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"

namespace vault::rpc {
namespace {

constexpr size_t kDigits = 64;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

absl::optional<std::string> ParseFingerprint(absl::string_view text) {
  std::string print = absl::AsciiStrToLower(text);
  if (const size_t equals = print.find('='); equals != std::string::npos) {
    const std::string name = absl::StrReplaceAll(print.substr(0, equals), {{" ", ""}, {"-", ""}});
    if (name != "sha256fingerprint" && name != "sha256") return absl::nullopt;
    print.erase(0, equals + 1);
  } else if (absl::string_view rest = print; absl::ConsumePrefix(&rest, "sha256:")) {
    print = std::string(rest);
  }
  print = absl::StrReplaceAll(print, {{":", ""}, {" ", ""}, {"\t", ""}});
  if (!IsHex(print, kDigits)) return absl::nullopt;
  return print;
}

bool DenyList::Stamp::operator==(const Stamp& other) const {
  return std::tie(device, inode, size, modified_ns, changed_ns) ==
         std::tie(other.device, other.inode, other.size, other.modified_ns, other.changed_ns);
}

DenyList::Stamp DenyList::Seen() const {
  struct stat st {};
  if (stat(path_.c_str(), &st) != 0) return Stamp();
  constexpr int64_t kSecond = 1000000000;
  return {static_cast<int64_t>(st.st_dev), static_cast<int64_t>(st.st_ino), st.st_size,
          st.st_mtim.tv_sec * kSecond + st.st_mtim.tv_nsec,
          st.st_ctim.tv_sec * kSecond + st.st_ctim.tv_nsec};
}

DenyList::Reading DenyList::Read() const {
  Reading out;
  struct stat st {};
  if (stat(path_.c_str(), &st) != 0) {
    out.problem = absl::NotFoundError(absl::StrCat(path_, ": ", std::strerror(errno)));
    return out;
  }
  // A device or a pipe is no list, and would perhaps never end.
  if (!S_ISREG(st.st_mode) || st.st_size > kBytesMax) {
    out.problem = absl::InvalidArgumentError(absl::StrCat(path_, ": no file of at most 16 MiB"));
    return out;
  }
  std::ifstream in(path_, std::ios::binary);
  std::ostringstream text;
  if (in && st.st_size > 0) text << in.rdbuf();
  if (!in || text.bad() || (st.st_size > 0 && text.fail())) {
    out.problem = absl::UnavailableError(absl::StrCat(path_, ": cannot be read"));
    return out;
  }
  const std::string lines = absl::StrReplaceAll(text.str(), {{"\r\n", "\n"}, {"\r", "\n"}});
  int number = 0;
  for (absl::string_view line : absl::StrSplit(lines, '\n')) {
    ++number;
    (void)absl::ConsumePrefix(&line, kByteOrderMark);
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (absl::optional<std::string> print = ParseFingerprint(line); print.has_value()) {
      out.fingerprints.insert(*std::move(print));
    } else if (out.problem.ok()) {
      out.problem = absl::InvalidArgumentError(
          absl::StrCat(path_, ":", number, ": a certificate's SHA-256 fingerprint is expected"));
    }
  }
  return out;
}

absl::Status DenyList::Load() {
  if (path_.empty()) return absl::OkStatus();
  const Stamp seen = Seen();
  Reading reading = Read();
  if (!reading.problem.ok()) {
    return absl::Status(reading.problem.code(), absl::StrCat("the deny-list cannot be read whole: ",
                                                             reading.problem.message()));
  }
  MutexLock lock(&mu_);
  fingerprints_ = std::move(reading.fingerprints);
  stamp_ = seen;
  changed_ = clock_->SinceBoot();
  at_rest_ = false;
  ++version_;
  return absl::OkStatus();
}

void DenyList::Look() {
  if (path_.empty()) return;
  const Stamp seen = Seen();
  const absl::Duration now = clock_->SinceBoot();
  MutexLock lock(&mu_);
  const bool same = seen == stamp_;
  if (same && (at_rest_ || now - changed_ < kRest)) return;
  Reading reading = Read();
  // What changes within the grain of a file's time is seen by the second reading.
  at_rest_ = same;
  problem_ = std::move(reading.problem);
  if (!same) {
    stamp_ = seen;
    changed_ = now;
  }
  if (!same || !problem_.ok()) {
    reading.fingerprints.insert(fingerprints_.begin(), fingerprints_.end());
  }
  if (reading.fingerprints == fingerprints_) return;
  fingerprints_ = std::move(reading.fingerprints);
  version_.fetch_add(1, std::memory_order_release);
}

bool DenyList::Contains(const std::string& fingerprint) {
  Look();
  MutexLock lock(&mu_);
  return fingerprints_.contains(fingerprint);
}

absl::Status DenyList::Problem() const {
  MutexLock lock(&mu_);
  return at_rest_ ? problem_ : absl::OkStatus();
}

}  // namespace vault::rpc
