// Files as a verifier opens them: regular ones only, of bounded size, in the export no symbolic
// links; and the one file that it writes.
#ifndef VAULT_CMD_VAULT_VERIFY_FILES_H_
#define VAULT_CMD_VAULT_VERIFY_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vault::verify {

// A folder, open as long as this lives. Thread-safe.
class Folder {
 public:
  // NOT_FOUND or FAILED_PRECONDITION, saying why, where it cannot be opened.
  static absl::StatusOr<Folder> Open(const std::string& path);
  Folder(Folder&& other) noexcept;
  Folder& operator=(Folder&&) = delete;
  ~Folder();

  // NOT_FOUND where there is none, OUT_OF_RANGE where it is larger than `bytes_max`,
  // FAILED_PRECONDITION where it or a folder on the way to it is a symbolic link, where it is no
  // regular file, cannot be read, or ends before its size. No path leads out of the folder.
  absl::StatusOr<std::string> Read(const std::string& path, size_t bytes_max) const;
  // The names in a folder inside, without "." and ".."; none where there is no such folder.
  // FAILED_PRECONDITION where it cannot be read, is reached through a symbolic link, or holds more
  // than any folder of an export.
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) const;
  // So that a crash leaves the old file or the new one, both whole: a temporary name, sync, rename,
  // sync of the folder. UNKNOWN where that fails.
  absl::Status Replace(const std::string& name, absl::string_view bytes) const;
  // Waits until no other process holds it; held until this goes away.
  absl::Status Lock() const;

 private:
  explicit Folder(int fd) : fd_(fd) {}
  int fd_;
};

// A file that the user named; a symbolic link is followed. Statuses as Folder::Read.
absl::StatusOr<std::string> ReadNamedFile(const std::string& path, size_t bytes_max);

}  // namespace vault::verify

#endif  // VAULT_CMD_VAULT_VERIFY_FILES_H_
