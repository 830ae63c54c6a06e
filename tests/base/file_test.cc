#include "vault/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/testing/file_steps.h"

namespace vault {
namespace {

using ::testing::ElementsAre;
using testing::FileStep;
using testing::FileSteps;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names() const { return store::FileNames(dir_.path()); }
  mode_t Mode() const {
    struct stat info {};
    return stat(path_.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  const store::TempDir dir_;
  const std::string path_ = dir_.path() + "/file";
};

// The ways to put bytes in place of a file that is there.
std::vector<std::function<absl::Status(const std::string&, absl::string_view)>> Ways() {
  return {
      [](const std::string& path, absl::string_view bytes) {
        return ReplaceFile(path, bytes, 0600);
      },
      [](const std::string& path, absl::string_view bytes) {
        return ReplaceFile(path, bytes, 0644, Writers::kMany);
      },
      [](const std::string& path, absl::string_view bytes) {
        const int folder = open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const absl::Status status = ReplaceFileIn(folder, "file", bytes, 0600);
        close(folder);
        return status;
      },
      [](const std::string& path, absl::string_view bytes) {
        store::WriteBytes(path + ".next", std::string(bytes));
        const absl::Status status = MoveFile(path + ".next", path);
        if (!status.ok()) unlink((path + ".next").c_str());
        return status;
      },
  };
}

TEST_F(FileTest, PutsBytesInPlaceAndLeavesNothingBeside) {
  for (const auto& way : Ways()) {
    for (const std::string& bytes :
         {std::string("one"), std::string(), std::string(1 << 20, 'x')}) {
      VAULT_EXPECT_OK(way(path_, bytes));
      EXPECT_EQ(store::ReadBytes(path_), bytes);
      EXPECT_THAT(Names(), ElementsAre("file"));
    }
  }
}

TEST_F(FileTest, AFailureUpToTheRenameLeavesTheOldBytesAndSaysSo) {
  for (const auto& way : Ways()) {
    for (const char* call : {"fsync", "rename"}) {
      store::WriteBytes(path_, "old");
      absl::Status status;
      {
        const FileSteps steps([&](const FileStep& step) { return step.call == call ? EIO : 0; });
        status = way(path_, "new");
      }
      EXPECT_FALSE(status.ok()) << call;
      EXPECT_FALSE(MayBeInPlace(status)) << status;
      EXPECT_EQ(store::ReadBytes(path_), "old") << call;
      EXPECT_THAT(Names(), ElementsAre("file")) << call;
    }
  }
}

TEST_F(FileTest, AFailureBehindTheRenameIsToldFromOneBeforeIt) {
  for (const auto& way : Ways()) {
    store::WriteBytes(path_, "old");
    absl::Status status;
    {
      const FileSteps steps(
          [](const FileStep& step) { return step.call == "fsync-folder" ? EIO : 0; });
      status = way(path_, "new");
    }
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(MayBeInPlace(status)) << status;
    EXPECT_EQ(store::ReadBytes(path_), "new");
  }
}

TEST_F(FileTest, TheBytesAreSyncedBeforeTheNameAndTheFolderAfterIt) {
  for (const auto& way : Ways()) {
    store::WriteBytes(path_, "old");
    std::vector<std::string> calls;
    {
      const FileSteps steps([&](const FileStep& step) {
        calls.push_back(step.call);
        return 0;
      });
      VAULT_EXPECT_OK(way(path_, "new"));
    }
    EXPECT_THAT(calls, ElementsAre("fsync", "rename", "fsync-folder"));
  }
}

// With it gone or renamed meanwhile the name would be changed in one folder and another one synced.
TEST_F(FileTest, TheFolderIsOpenedBeforeAnythingIsWritten) {
  const std::string folder = dir_.path() + "/folder", moved = dir_.path() + "/moved";
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  std::string synced;
  {
    const FileSteps steps([&](const FileStep& step) {
      if (step.call == "fsync") EXPECT_EQ(rename(folder.c_str(), moved.c_str()), 0);
      if (step.call == "fsync-folder") synced = step.path;
      return 0;
    });
    VAULT_EXPECT_OK(ReplaceFile(folder + "/file", "new", 0600));
  }
  EXPECT_EQ(store::ReadBytes(moved + "/file"), "new");
  EXPECT_THAT(synced, HasSubstr("/moved"));
}

TEST_F(FileTest, CreatingNeverReplaces) {
  VAULT_ASSERT_OK(CreateFile(path_, "one", 0600));
  const absl::Status again = CreateFile(path_, "two", 0600);
  EXPECT_TRUE(absl::IsAlreadyExists(again));
  EXPECT_FALSE(MayBeInPlace(again));
  EXPECT_EQ(store::ReadBytes(path_), "one");
  EXPECT_THAT(Names(), ElementsAre("file"));
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(symlink("elsewhere", path_.c_str()), 0);
  EXPECT_TRUE(absl::IsAlreadyExists(CreateFile(path_, "two", 0600)));
  EXPECT_THAT(Names(), ElementsAre("file"));
}

// Without RENAME_NOREPLACE, as some file systems are.
TEST_F(FileTest, CreatingNeverReplacesWhereTheFileSystemKnowsNoSuchRename) {
  const FileSteps steps([](const FileStep& step) { return step.call == "rename" ? EINVAL : 0; });
  VAULT_EXPECT_OK(CreateFile(path_, "one", 0600));
  EXPECT_TRUE(absl::IsAlreadyExists(CreateFile(path_, "two", 0600)));
  EXPECT_EQ(store::ReadBytes(path_), "one");
  EXPECT_THAT(Names(), ElementsAre("file"));
}

TEST_F(FileTest, APrivateFileIsPrivateWhateverTheUmaskAndWhateverStoodThere) {
  const mode_t before = umask(0777);
  VAULT_EXPECT_OK(ReplaceFile(path_, "new", 0600));
  umask(before);
  EXPECT_EQ(Mode(), 0600u);
  // A temporary file that somebody else can write is not written into.
  store::WriteBytes(path_ + ".tmp", "left over");
  ASSERT_EQ(chmod((path_ + ".tmp").c_str(), 0666), 0);
  VAULT_EXPECT_OK(ReplaceFile(path_, "newer", 0600));
  EXPECT_EQ(Mode(), 0600u);
  ASSERT_EQ(symlink("victim", (path_ + ".tmp").c_str()), 0);
  VAULT_EXPECT_OK(ReplaceFile(path_, "newest", 0600));
  EXPECT_THAT(Names(), ElementsAre("file"));
}

TEST_F(FileTest, WhatCannotBeWrittenNamesTheFile) {
  for (const std::string& path : {dir_.path() + "/none/file", dir_.path() + "/"}) {
    const absl::Status status = ReplaceFile(path, "x", 0600);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(MayBeInPlace(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
  ASSERT_EQ(mkdir((path_ + ".tmp").c_str(), 0700), 0);
  EXPECT_FALSE(ReplaceFile(path_, "x", 0600).ok());
  EXPECT_FALSE(MoveFile(dir_.path() + "/none", path_).ok());
}

TEST_F(FileTest, AWriteThatNobodyCanTellTheEndOfEndsTheProcess) {
  EXPECT_EXIT(ExitWriteFailed(absl::UnavailableError("the disk")),
              ::testing::ExitedWithCode(kExitWriteFailed), "the disk");
}

}  // namespace
}  // namespace vault
