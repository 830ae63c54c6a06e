#include <sys/stat.h>
#include <unistd.h>

#include <cctype>

#include "tests/crypto/format_page.h"
#include "tests/keys/keys_fixture.h"
#include "vault/keys/files.h"

namespace vault::keys {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;

class RootKeyTest : public KeysTest {
 protected:
  absl::Status LoadStatus() { return RootKey::Load(path_, arena_.get()).status(); }
  const std::string path_ = Path("root.key");
  const std::string hex_ = std::string(64, 'a');
};

TEST_F(RootKeyTest, CreateWritesAPrivateFileThatLoadReads) {
  const mode_t before = umask(0);
  VAULT_EXPECT_OK(RootKey::Create(path_, random_));
  umask(before);
  EXPECT_EQ(Mode(path_), 0600u);
  const std::string text = ReadFile(path_);
  ASSERT_EQ(text.size(), 65u);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), 64u);
  VAULT_ASSERT_OK_AND_ASSIGN(const RootKey root, RootKey::Load(path_, arena_.get()));
  EXPECT_EQ(absl::BytesToHexString(Bytes(root.key())), text.substr(0, 64));
}

TEST_F(RootKeyTest, CreateNeverOverwrites) {
  WriteFile(path_, "something");
  EXPECT_EQ(RootKey::Create(path_, random_).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path_), "something");
  EXPECT_FALSE(Exists(path_ + ".tmp"));
}

TEST_F(RootKeyTest, CreateSaysWhenTheDirectoryIsMissing) {
  EXPECT_EQ(RootKey::Create(Path("missing/root.key"), random_).code(), absl::StatusCode::kNotFound);
}

TEST_F(RootKeyTest, LoadsThePagesExampleWithEitherCaseAndWithoutNewline) {
  FormatExamples page = LoadFormatExamples();
  std::string upper = page["root.file"];
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const std::string& text : {page["root.file"], upper, page["root.file"].substr(0, 64)}) {
    WriteFile(path_, text);
    VAULT_ASSERT_OK_AND_ASSIGN(const RootKey root, RootKey::Load(path_, arena_.get()));
    EXPECT_EQ(root.key().Expose()[0], 0xc0);
    EXPECT_EQ(root.key().Expose()[31], 0xdf);
  }
}

TEST_F(RootKeyTest, LoadRefusesAnyRightOfGroupOrOthersAndSaysWhatToDo) {
  for (mode_t mode : {0640, 0620, 0610, 0604, 0602, 0601, 0644, 0666, 0440}) {
    WriteFile(path_, hex_, mode);
    const absl::Status status = LoadStatus();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << mode;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(path_), HasSubstr("chmod 0600")));
  }
  for (mode_t mode : {0600, 0400}) {
    WriteFile(path_, hex_, 0600);
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    VAULT_EXPECT_OK(LoadStatus());
  }
}

TEST_F(RootKeyTest, APrivateFileBelongsToTheProcessesUserOrRoot) {
  struct stat info = {};
  info.st_mode = S_IFREG | 0600;
  info.st_uid = 1000;
  VAULT_EXPECT_OK(CheckPrivate("f", info, 1000));
  EXPECT_EQ(CheckPrivate("f", info, 1001).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckPrivate("f", info, 0).code(), absl::StatusCode::kFailedPrecondition);
  info.st_uid = 0;
  VAULT_EXPECT_OK(CheckPrivate("f", info, 1000));
}

TEST_F(RootKeyTest, LoadRefusesWhatIsNoRegularFile) {
  WriteFile(Path("real"), hex_);
  ASSERT_EQ(symlink(Path("real").c_str(), path_.c_str()), 0);
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(RootKeyTest, LoadSaysWhenThereIsNone) {
  EXPECT_EQ(LoadStatus().code(), absl::StatusCode::kNotFound);
}

TEST_F(RootKeyTest, LoadRefusesWhatIsNoKeyWithoutRepeatingIt) {
  for (const std::string& text :
       {std::string(), hex_.substr(1), hex_ + "a", hex_ + "\n\n", hex_ + " ", " " + hex_,
        hex_ + "\r\n", "0x" + hex_.substr(2), std::string(63, 'a') + "g",
        std::string(32, 'a') + "\n" + std::string(31, 'a'), std::string(64, '\0'),
        std::string(100000, 'a')}) {
    WriteFile(path_, text);
    const absl::Status status = LoadStatus();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text.size();
    EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("aaaaaaaa")));
  }
}

TEST_F(RootKeyTest, ARefusedKeyLeavesNoSlotTaken) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto arena, crypto::KeyArena::New(1));
  WriteFile(path_, "not a key");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(RootKey::Load(path_, arena.get()).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  WriteFile(path_, hex_);
  VAULT_ASSERT_OK_AND_ASSIGN(const RootKey root, RootKey::Load(path_, arena.get()));
  EXPECT_EQ(RootKey::Load(path_, arena.get()).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace vault::keys
