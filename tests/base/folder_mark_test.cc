#include "vault/base/folder_mark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/store/temp_dir.h"
#include "vault/base/status.h"

namespace vault {
namespace {

using ::testing::HasSubstr;

constexpr char kVault[] = "000102030405060708090a0b0c0d0e0f";
constexpr char kOther[] = "000102030405060708090a0b0c0d0e10";

class FolderMarkTest : public ::testing::Test {
 protected:
  absl::StatusCode Checked(absl::string_view name = kBackupsMark,
                           absl::string_view vault_id = kVault) {
    const absl::Status status = CheckFolderMark(folder_, name, vault_id);
    if (!status.ok()) EXPECT_EQ(GetReason(status), "FOLDER") << status;
    return status.code();
  }
  absl::StatusCode Marked(absl::string_view vault_id = kVault) {
    return MarkFolder(folder_, kBackupsMark, vault_id).code();
  }
  void Write(const std::string& bytes) { std::ofstream(path_) << bytes; }

  const store::TempDir dir_;
  const std::string folder_ = dir_.path();
  const std::string path_ = folder_ + "/vault-backups";
};

// As vault/store/FORMAT.md has it.
TEST_F(FolderMarkTest, IsTheVaultsIdInAFileOfItsKind) {
  EXPECT_EQ(Checked(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Marked(), absl::StatusCode::kOk);
  EXPECT_EQ(Checked(), absl::StatusCode::kOk);
  std::ostringstream bytes;
  bytes << std::ifstream(path_).rdbuf();
  EXPECT_EQ(bytes.str(), "000102030405060708090a0b0c0d0e0f\n");
  EXPECT_EQ(Marked(), absl::StatusCode::kOk);
  // The other kind's is another mark.
  EXPECT_EQ(Checked(kKeyringCopiesMark), absl::StatusCode::kUnavailable);
}

TEST_F(FolderMarkTest, AnotherVaultsIsNeitherTakenNorReplaced) {
  EXPECT_EQ(Marked(kOther), absl::StatusCode::kOk);
  EXPECT_EQ(Checked(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Marked(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Checked(kBackupsMark, kOther), absl::StatusCode::kOk);
}

TEST_F(FolderMarkTest, AnythingButTheWholeMarkIsNone) {
  const std::string good = std::string(kVault) + "\n";
  for (const std::string& bad :
       {std::string(), std::string("\n"), std::string(kVault), good + "\n",
        good + std::string(200, 'a'), good.substr(1), " " + good, std::string("\0", 1) + good}) {
    Write(bad);
    EXPECT_EQ(Checked(), absl::StatusCode::kFailedPrecondition) << bad;
    EXPECT_EQ(Marked(), absl::StatusCode::kFailedPrecondition) << bad;
  }
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(Checked(), absl::StatusCode::kUnavailable);
  std::filesystem::remove(path_);
  // What would be followed, or would hold whoever opens it.
  std::ofstream(folder_ + "/elsewhere") << good;
  std::filesystem::create_symlink(folder_ + "/elsewhere", path_);
  EXPECT_EQ(Checked(), absl::StatusCode::kUnavailable);
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(Checked(), absl::StatusCode::kOk);
}

TEST_F(FolderMarkTest, AFolderThatIsNotThereIsNeitherMadeNorMarked) {
  for (const std::string& folder : {folder_ + "/none", folder_ + "/no/such", std::string()}) {
    const absl::Status status = CheckFolderMark(folder, kBackupsMark, kVault);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--adopt_folders"));
    EXPECT_EQ(MarkFolder(folder, kBackupsMark, kVault).code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/none"));
}

}  // namespace
}  // namespace vault
