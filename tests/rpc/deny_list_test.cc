// The deny-list's file: every form of a fingerprint counts, and nothing that is wrong with the file
// lets anybody in.
#include "vault/rpc/deny_list.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"

namespace vault::rpc {
namespace {

using ::testing::HasSubstr;

const std::string kA(64, 'a'), kB = std::string(32, '0') + std::string(32, '9');
constexpr absl::string_view kMark = "\xEF\xBB\xBF";

// In upper case with colons, as openssl prints it.
std::string Printed(const std::string& print) {
  std::string out;
  for (size_t i = 0; i < print.size(); i += 2) {
    absl::StrAppend(&out, i == 0 ? "" : ":", absl::AsciiStrToUpper(print.substr(i, 2)));
  }
  return out;
}

class DenyListTest : public ::testing::Test {
 protected:
  // Replaced as a whole, as an administrator should: a new inode each time, whatever the clock's
  // grain.
  void Write(absl::string_view text) {
    store::WriteBytes(path_ + ".new", std::string(text));
    ASSERT_EQ(rename((path_ + ".new").c_str(), path_.c_str()), 0);
  }
  // A list with kA on it that has been read and is at rest.
  void Listed() {
    Write(kA + "\n");
    VAULT_ASSERT_OK(list_.Load());
    Rest();
    ASSERT_TRUE(list_.Contains(kA));
  }
  void Rest() {
    list_.Look();
    clock_.Advance(absl::Seconds(1));
    list_.Look();
  }
  // A start is refused, the message says where. Beside a running vault: who was listed stays, and
  // the problem is told while it lasts.
  void ExpectMalformed(absl::string_view text, int line) {
    SCOPED_TRACE(text);
    Write(text);
    const std::string place = absl::StrCat(path_, ":", line, ":");
    DenyList fresh(path_, &clock_);
    const absl::Status refused = fresh.Load();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(place));
    for (int time = 0; time < 3; ++time) {
      Rest();
      EXPECT_TRUE(list_.Contains(kA));
      EXPECT_THAT(std::string(list_.Problem().message()), HasSubstr(place));
    }
  }

  const store::TempDir dir_;
  const std::string path_ = dir_.path() + "/deny-list";
  testing::FakeClock clock_;
  DenyList list_{path_, &clock_};
};

TEST_F(DenyListTest, WithoutAFileNobodyIsOnIt) {
  DenyList none("", &clock_);
  VAULT_EXPECT_OK(none.Load());
  EXPECT_FALSE(none.Contains(kA));
  EXPECT_FALSE(none.Contains(""));
  VAULT_EXPECT_OK(none.Problem());
}

TEST_F(DenyListTest, ReadsCommentsBlankLinesAndALastLineWithoutAnEnd) {
  Write(absl::StrCat("# lost telephones\n\n  \t\n", kA, "  # the clerk's\r\n#", kB, "\n  ",
                     std::string(64, '3')));
  VAULT_ASSERT_OK(list_.Load());
  EXPECT_TRUE(list_.Contains(kA));
  EXPECT_TRUE(list_.Contains(std::string(64, '3')));
  EXPECT_FALSE(list_.Contains(kB)) << "it stands in a comment";
  EXPECT_FALSE(list_.Contains(""));
}

TEST_F(DenyListTest, EveryUsualFormOfAFingerprintCounts) {
  const std::string print = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  std::string spaced = Printed(print);
  for (char& c : spaced) c = c == ':' ? ' ' : c;
  for (const std::string& line :
       {print, absl::AsciiStrToUpper(print), Printed(print), absl::AsciiStrToLower(Printed(print)),
        spaced, "sha256 Fingerprint=" + Printed(print), "SHA256 Fingerprint=" + Printed(print),
        "SHA-256 Fingerprint=" + print, "SHA256=" + print, "sha256:" + print, "SHA256:" + print,
        "\t" + print + "  ", print + " # lost", absl::StrCat(kMark, print),
        absl::StrCat(kMark, "sha256 Fingerprint=", Printed(print))}) {
    for (const char* end : {"", "\n", "\r\n", "\r"}) {
      SCOPED_TRACE(line + end);
      Write(line + end);
      DenyList list(path_, &clock_);
      VAULT_EXPECT_OK(list.Load());
      EXPECT_TRUE(list.Contains(print));
    }
  }
}

TEST_F(DenyListTest, WhatIsNoSha256FingerprintIsMalformed) {
  Listed();
  const std::string zeros(62, '0');
  for (const std::string& line :
       {std::string("not a fingerprint"), zeros + "0", zeros + "000", zeros + "0g",
        zeros + std::string(2, '\0'), kB + kB, kB + " " + kB, std::string("SHA1 Fingerprint=") + kB,
        "serial=" + kB, "sha1:" + kB, std::string(40, 'a'), "=" + kB, kB + "=",
        std::string("-----BEGIN CERTIFICATE-----"), std::string("\xFF\xFE") + "a"}) {
    ExpectMalformed(line + "\n", 1);
    ExpectMalformed(absl::StrCat("# a comment\r\n\r\n", line), 3);
  }
}

TEST_F(DenyListTest, GoodLinesCountBesideBadOnes) {
  Listed();
  ExpectMalformed("no\n" + kB + "\n", 1);
  EXPECT_TRUE(list_.Contains(kB));
  const std::string third(64, '3');
  ExpectMalformed(kB + "\n" + third + "\n" + kB.substr(1) + "\n", 3);
  EXPECT_TRUE(list_.Contains(third));
}

TEST_F(DenyListTest, WithABadLineNobodyComesOff) {
  Write(kA + "\n" + kB + "\n");
  VAULT_ASSERT_OK(list_.Load());
  // What was kB's line cannot be read any more.
  ExpectMalformed(kA + "\n" + kB.substr(0, 40) + "\n", 2);
  EXPECT_TRUE(list_.Contains(kB));
  Write(kA + "\n");
  Rest();
  EXPECT_FALSE(list_.Contains(kB));
  VAULT_EXPECT_OK(list_.Problem());
}

TEST_F(DenyListTest, AnEmptyFileIsAnEmptyList) {
  Write("");
  VAULT_EXPECT_OK(list_.Load());
  EXPECT_FALSE(list_.Contains(kA));
}

TEST_F(DenyListTest, WhoIsNewIsRefusedAtTheNextQuestion) {
  Listed();
  for (int i = 0; i < 200; ++i) {
    const std::string next = absl::StrCat(std::string(61, 'b'), 100 + i);
    Write(kA + "\n" + next + "\n");
    ASSERT_TRUE(list_.Contains(next)) << i;
  }
}

TEST_F(DenyListTest, ALineAppendedInPlaceIsSeen) {
  Listed();
  std::ofstream(path_, std::ios::app) << kB << "\n";
  EXPECT_TRUE(list_.Contains(kB));
}

TEST_F(DenyListTest, WhoIsTakenOffComesOffOnceTheFileIsAtRest) {
  Listed();
  Write(kB + "\n");
  EXPECT_TRUE(list_.Contains(kB));
  EXPECT_TRUE(list_.Contains(kA));
  clock_.Advance(absl::Milliseconds(900));
  EXPECT_TRUE(list_.Contains(kA));
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_FALSE(list_.Contains(kA));
  EXPECT_TRUE(list_.Contains(kB));
}

TEST_F(DenyListTest, AFileThatIsBeingWrittenLetsNobodyIn) {
  Listed();
  // An editor that writes in place: emptied, then written in pieces.
  std::ofstream in_place(path_, std::ios::trunc);
  EXPECT_TRUE(list_.Contains(kA));
  clock_.Advance(absl::Milliseconds(500));
  in_place << kB << "\n" << kA.substr(0, 20) << std::flush;
  EXPECT_TRUE(list_.Contains(kA));
  EXPECT_TRUE(list_.Contains(kB));
  clock_.Advance(absl::Milliseconds(500));
  in_place << kA.substr(20) << "\n" << std::flush;
  EXPECT_TRUE(list_.Contains(kA));
  VAULT_EXPECT_OK(list_.Problem());
  Rest();
  EXPECT_TRUE(list_.Contains(kA));
  EXPECT_TRUE(list_.Contains(kB));
  VAULT_EXPECT_OK(list_.Problem());
}

TEST_F(DenyListTest, ItsVersionChangesWithIt) {
  Listed();
  const uint64_t before = list_.version();
  Write("# the same\n" + kA + "\n");
  Rest();
  EXPECT_EQ(list_.version(), before);
  Write(kA + "\n" + kB + "\n");
  list_.Look();
  EXPECT_NE(list_.version(), before);
}

TEST_F(DenyListTest, AMalformedFileIsReadAgainOnceItIsMended) {
  Listed();
  ExpectMalformed("no\n", 1);
  Write(kB + "\n");
  Rest();
  EXPECT_TRUE(list_.Contains(kB));
  EXPECT_FALSE(list_.Contains(kA));
  VAULT_EXPECT_OK(list_.Problem());
}

TEST_F(DenyListTest, AFileThatIsGoneIsAProblemAndTheOldListStays) {
  Listed();
  ASSERT_EQ(unlink(path_.c_str()), 0);
  for (int time = 0; time < 2; ++time) {
    Rest();
    EXPECT_EQ(list_.Problem().code(), absl::StatusCode::kNotFound);
    EXPECT_TRUE(list_.Contains(kA));
  }
  Write(kB + "\n");
  EXPECT_TRUE(list_.Contains(kB));
}

TEST_F(DenyListTest, AFileThatNeverWasStopsTheStart) {
  EXPECT_EQ(list_.Load().code(), absl::StatusCode::kNotFound);
}

TEST_F(DenyListTest, ADirectoryOrADeviceIsAProblemAndTheOldListStays) {
  Listed();
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  Rest();
  EXPECT_FALSE(list_.Problem().ok());
  EXPECT_TRUE(list_.Contains(kA));
  EXPECT_FALSE(list_.Load().ok());
  ASSERT_EQ(rmdir(path_.c_str()), 0);
  ASSERT_EQ(symlink("/dev/null", path_.c_str()), 0);
  Rest();
  EXPECT_FALSE(list_.Problem().ok());
  EXPECT_TRUE(list_.Contains(kA));
  EXPECT_FALSE(list_.Load().ok());
}

TEST_F(DenyListTest, AFileThatMayNotBeReadIsAProblemAndTheOldListStays) {
  Listed();
  Write(kB + "\n");
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  Rest();
  // Root reads every file, so there the new list is simply read: that much is checked, and the
  // directory above stands for what nobody can read.
  if (geteuid() == 0) {
    EXPECT_TRUE(list_.Contains(kB));
    return;
  }
  EXPECT_FALSE(list_.Problem().ok());
  EXPECT_TRUE(list_.Contains(kA));
}

}  // namespace
}  // namespace vault::rpc
