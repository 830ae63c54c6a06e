#include "vault/base/folder_mark.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "vault/base/file.h"
#include "vault/base/status.h"

namespace vault {
namespace {

// A vault's id is shorter.
constexpr size_t kMarkBytesMax = 100;

std::string PathOf(const std::string& folder, absl::string_view name) {
  return absl::StrCat(folder, "/", name);
}

std::string ContentOf(absl::string_view vault_id) { return absl::StrCat(vault_id, "\n"); }

absl::Status NotThere(const std::string& folder, absl::string_view name, absl::string_view why) {
  return Reason(
      absl::UnavailableError(absl::StrCat(
          PathOf(folder, name), ": ", why,
          ": the folder is not mounted, or is not the one that this vault uses; one that "
          "is to become it is adopted on the stopped vault, with vaultd --adopt_folders")),
      "FOLDER");
}

// The mark's bytes. NOT_FOUND where the folder is there and has no mark.
absl::StatusOr<std::string> Read(const std::string& folder, absl::string_view name) {
  if (folder.empty()) return NotThere(folder, name, "no folder is named");
  const std::string path = PathOf(folder, name);
  // O_NONBLOCK: a FIFO in the file's place would hold whoever asks for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    struct stat info {};
    if (error == ENOENT && ::stat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return absl::NotFoundError("there is no mark");
    }
    return NotThere(folder, name, std::strerror(error));
  }
  char bytes[kMarkBytesMax];
  ssize_t n;
  while ((n = ::read(fd, bytes, sizeof bytes)) < 0 && errno == EINTR) {
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) return NotThere(folder, name, std::strerror(error));
  return std::string(bytes, static_cast<size_t>(n));
}

absl::Status CheckContent(const std::string& folder, absl::string_view name,
                          absl::string_view content, absl::string_view vault_id) {
  if (content == ContentOf(vault_id)) return absl::OkStatus();
  return Reason(absl::FailedPreconditionError(absl::StrCat(
                    PathOf(folder, name),
                    ": the mark is another vault's, or damaged. The right folder is named, or the "
                    "right one mounted; if this one is to be this vault's all the same, remove the "
                    "mark and adopt the folder with vaultd --adopt_folders")),
                "FOLDER");
}

}  // namespace

absl::Status CheckFolderMark(const std::string& folder, absl::string_view name,
                             absl::string_view vault_id) {
  const absl::StatusOr<std::string> content = Read(folder, name);
  if (absl::IsNotFound(content.status())) return NotThere(folder, name, "there is no such mark");
  RETURN_IF_ERROR(content.status());
  return CheckContent(folder, name, *content, vault_id);
}

absl::Status MarkFolder(const std::string& folder, absl::string_view name,
                        absl::string_view vault_id) {
  const absl::StatusOr<std::string> content = Read(folder, name);
  if (content.ok()) return CheckContent(folder, name, *content, vault_id);
  if (!absl::IsNotFound(content.status())) return content.status();
  const absl::Status made = CreateFile(PathOf(folder, name), ContentOf(vault_id), 0600);
  if (made.ok()) return made;
  return Reason(absl::UnavailableError(made.message()), "FOLDER");
}

}  // namespace vault
