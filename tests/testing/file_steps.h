// The system calls that put files in place, watched and failed by a test. A program that links this
// has them in place of the C library's, whoever calls: the code under test is the one that ships.
//
//   const FileSteps steps([](const FileStep& step) {
//     return step.call == "fsync-folder" ? EIO : 0;
//   });
#ifndef VAULT_TESTS_TESTING_FILE_STEPS_H_
#define VAULT_TESTS_TESTING_FILE_STEPS_H_

#include <functional>
#include <string>

namespace vault::testing {

struct FileStep {
  std::string call;  // "rename", "fsync" of a file, "fsync-folder"
  std::string path;  // the file's new name, or what is synced
};

// As long as it lives, `before` is asked before each call, on the calling thread: 0 lets it go on,
// anything else is the errno with which it fails and nothing is done. One at a time.
class FileSteps {
 public:
  explicit FileSteps(std::function<int(const FileStep&)> before);
  ~FileSteps();
  FileSteps(const FileSteps&) = delete;
  FileSteps& operator=(const FileSteps&) = delete;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_FILE_STEPS_H_
