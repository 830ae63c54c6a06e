#include "tests/testing/file_steps.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vault/base/logging.h"
#include "vault/base/mutex.h"

namespace vault::testing {
namespace {

struct Watch {
  Mutex mu;
  std::function<int(const FileStep&)> before VAULT_GUARDED_BY(mu);
};

// Never destroyed: threads may sync files while the process ends.
Watch& TheWatch() {
  static Watch* const watch = new Watch;
  return *watch;
}

std::string PathOf(int fd) {
  char path[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(link.c_str(), path, sizeof(path));
  return size < 0 ? std::string() : std::string(path, static_cast<size_t>(size));
}

bool IsWatched() {
  MutexLock lock(&TheWatch().mu);
  return TheWatch().before != nullptr;
}

int Ask(const FileStep& step) {
  std::function<int(const FileStep&)> before;
  {
    MutexLock lock(&TheWatch().mu);
    before = TheWatch().before;
  }
  return before == nullptr ? 0 : before(step);
}

int Failed(int error) {
  errno = error;
  return -1;
}

int BeforeRename(int folder, const char* to) {
  if (!IsWatched()) return 0;
  return Ask({"rename", to[0] == '/' ? std::string(to) : PathOf(folder) + "/" + to});
}

}  // namespace

FileSteps::FileSteps(std::function<int(const FileStep&)> before) {
  MutexLock lock(&TheWatch().mu);
  VAULT_CHECK(TheWatch().before == nullptr) << "one at a time";
  TheWatch().before = std::move(before);
}

FileSteps::~FileSteps() {
  MutexLock lock(&TheWatch().mu);
  TheWatch().before = nullptr;
}

}  // namespace vault::testing

extern "C" int renameat(int from_folder, const char* from, int folder, const char* to) noexcept {
  const int error = vault::testing::BeforeRename(folder, to);
  if (error != 0) return vault::testing::Failed(error);
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, folder, to, 0));
}

extern "C" int renameat2(int from_folder, const char* from, int folder, const char* to,
                         unsigned int flags) noexcept {
  const int error = vault::testing::BeforeRename(folder, to);
  if (error != 0) return vault::testing::Failed(error);
  return static_cast<int>(syscall(SYS_renameat2, from_folder, from, folder, to, flags));
}

extern "C" int fsync(int fd) {
  if (vault::testing::IsWatched()) {
    struct stat info {};
    const bool folder = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
    const int error =
        vault::testing::Ask({folder ? "fsync-folder" : "fsync", vault::testing::PathOf(fd)});
    if (error != 0) return vault::testing::Failed(error);
  }
  return static_cast<int>(syscall(SYS_fsync, fd));
}
