#include "tests/e2e/process_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vault/base/logging.h"

namespace vault::testing {
namespace {

struct Mapping {
  uint64_t begin = 0, end = 0;
  std::string name;
  bool readable = false, of_file = false, dont_dump = false;
};

// /proc/PID/smaps: a line of the mapping, then lines of what is known of it, the last one its
// flags.
std::vector<Mapping> ReadMappings(pid_t pid) {
  std::vector<Mapping> out;
  std::ifstream in(absl::StrCat("/proc/", pid, "/smaps"));
  for (std::string line; std::getline(in, line);) {
    Mapping next;
    char rights[8] = {};
    uint64_t inode = 0;
    int name_at = 0;
    unsigned long begin = 0, end = 0, node = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %7s %*s %*s %lu %n", &begin, &end, rights, &node,
                    &name_at) >= 4 &&
        name_at > 0) {
      next.begin = begin;
      next.end = end;
      inode = node;
      next.readable = rights[0] == 'r';
      next.of_file = inode != 0;
      next.name = line.substr(std::min<size_t>(name_at, line.size()));
      out.push_back(std::move(next));
    } else if (absl::StartsWith(line, "VmFlags:") && !out.empty()) {
      out.back().dont_dump = absl::StrContains(line, " dd");
    }
  }
  return out;
}

class Searcher {
 public:
  static constexpr size_t kChunk = 4 << 20;

  explicit Searcher(const std::vector<Needle>& needles) : needles_(needles) {
    for (size_t i = 0; i < needles.size(); ++i) {
      const std::string& bytes = needles[i].bytes;
      VAULT_CHECK(bytes.size() >= 16) << "shorter ones stand anywhere by chance";
      longest_ = std::max(longest_, bytes.size());
      by_head_[Head(bytes.data())].push_back(i);
    }
  }

  // [begin, end) of the file; `where` is what hits there are called.
  void Search(int fd, uint64_t begin, uint64_t end, const std::string& where) {
    std::string buffer;
    for (uint64_t at = begin; at < end; at += kChunk) {
      const uint64_t size = std::min<uint64_t>(kChunk + longest_ - 1, end - at);
      buffer.resize(size);
      const ssize_t got = pread(fd, buffer.data(), size, static_cast<off_t>(at));
      if (got <= 0) continue;  // a guard page, or one that has gone
      hits_.bytes_read += std::min<uint64_t>(got, kChunk);
      SearchBuffer(absl::string_view(buffer.data(), got), where);
    }
  }

  MemoryHits Take() {
    for (const auto& [label, places] : found_) {
      hits_.labels.push_back(label);
      std::string line = label + ":";
      for (const auto& [place, count] : places) absl::StrAppend(&line, " ", place, " ×", count);
      hits_.lines.push_back(std::move(line));
    }
    return std::move(hits_);
  }
  void SetReadable() { hits_.readable = true; }

 private:
  static uint16_t Head(const char* bytes) {
    uint16_t head;
    std::memcpy(&head, bytes, sizeof(head));
    return head;
  }

  void SearchBuffer(absl::string_view buffer, const std::string& where) {
    for (size_t i = 0; i + 16 <= buffer.size() && i < kChunk; ++i) {
      const std::vector<size_t>& candidates = by_head_[Head(&buffer[i])];
      for (const size_t n : candidates) {
        const std::string& bytes = needles_[n].bytes;
        if (buffer.size() - i < bytes.size()) continue;
        if (std::memcmp(&buffer[i], bytes.data(), bytes.size()) != 0) continue;
        ++found_[needles_[n].label][where];
      }
    }
  }

  const std::vector<Needle>& needles_;
  size_t longest_ = 0;
  std::array<std::vector<size_t>, 65536> by_head_;
  std::map<std::string, std::map<std::string, int>> found_;

  MemoryHits hits_;
};

}  // namespace

MemoryHits SearchMemory(pid_t pid, Mappings which, const std::vector<Needle>& needles) {
  auto searcher = std::make_unique<Searcher>(needles);
  const int fd = open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return searcher->Take();
  searcher->SetReadable();
  for (const Mapping& mapping : ReadMappings(pid)) {
    if (!mapping.readable || absl::StartsWith(mapping.name, "[v")) continue;
    if (which == Mappings::kDumped && (mapping.dont_dump || mapping.of_file)) continue;
    searcher->Search(fd, mapping.begin, mapping.end,
                     absl::StrFormat("%s[%x+%d KiB]", mapping.name, mapping.begin,
                                     (mapping.end - mapping.begin) >> 10));
  }
  close(fd);
  return searcher->Take();
}

MemoryHits SearchFile(const std::string& path, const std::vector<Needle>& needles) {
  auto searcher = std::make_unique<Searcher>(needles);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) return searcher->Take();
  searcher->SetReadable();
  searcher->Search(fd, 0, static_cast<uint64_t>(info.st_size), path);
  close(fd);
  return searcher->Take();
}

}  // namespace vault::testing
