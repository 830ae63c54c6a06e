// residents import from whatever can be read once: files, FIFOs, descriptors, standard input.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cmd/ctl_fixture.h"
#include "tests/store/temp_dir.h"
#include "vault/base/logging.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/v1/resident_service.grpc.pb.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Stores every row.
class Residents : public api::ResidentService::Service {
 public:
  grpc::Status ImportResidents(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<api::ImportResidentsResponse, api::ImportResidentsRequest>* stream)
      override {
    api::ImportResidentsRequest request;
    stream->Read(&request);
    while (stream->Read(&request)) {
      api::ImportResidentsResponse response;
      response.add_results()->set_row(request.row().row());
      rows.push_back(request.row());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
  grpc::Status CreateResident(grpc::ServerContext*, const api::CreateResidentRequest* request,
                              api::CreateResidentResponse*) override {
    created.push_back(*request);
    return grpc::Status::OK;
  }

  std::vector<api::ImportRow> rows;
  std::vector<api::CreateResidentRequest> created;
};

class ImportInputTest : public CtlTest {
 protected:
  // Several blocks of what a reader asks for, and of what a pipe holds, so that a value stands
  // across the end of each.
  static constexpr int kRows = 9000;

  ImportInputTest() { Serve({&residents_}); }
  ~ImportInputTest() override { Stop(); }

  static std::string ValueOf(int row) { return absl::StrCat("見本花子", row, "番"); }
  static std::string Csv() {
    std::string csv = "name,memo\n";
    for (int row = 0; row < kRows; ++row) {
      absl::StrAppend(&csv, ValueOf(row), ",\"二,", ValueOf(row), "\"\n");
    }
    return csv;
  }
  std::string At(absl::string_view name) const { return absl::StrCat(dir_.path(), "/", name); }
  Ran Import(const std::string& path, const std::string& input = "") {
    return RunWords({"--profile", "p", "residents", "import", path, "--tenant", "131164",
                     "--purpose", "migration", "--contact", "B-1"},
                    false, input);
  }
  void ExpectWhole(const Ran& ran) {
    EXPECT_EQ(ran.code, kDone) << ran.err;
    EXPECT_THAT(ran.out, StartsWith(absl::StrCat("imported ", kRows, " of ", kRows, " rows")));
    ASSERT_EQ(residents_.rows.size(), static_cast<size_t>(kRows));
    for (int row = 0; row < kRows; ++row) {
      ASSERT_EQ(residents_.rows[row].fields(0).value(), ValueOf(row));
      ASSERT_EQ(residents_.rows[row].fields(1).value(), absl::StrCat("二,", ValueOf(row)));
    }
  }
  // In pieces that end where no row does.
  static void WriteTo(int fd, const std::string& bytes) {
    constexpr size_t kPiece = 777;
    for (size_t at = 0; at < bytes.size();) {
      const size_t piece = std::min(kPiece, bytes.size() - at);
      const ssize_t n = write(fd, bytes.data() + at, piece);
      VAULT_CHECK(n > 0) << "nobody reads the pipe to its end";
      at += static_cast<size_t>(n);
    }
    close(fd);
  }

  Residents residents_;
  store::TempDir dir_;
};

TEST_F(ImportInputTest, AFileIsReadWhole) {
  store::WriteBytes(At("a.csv"), Csv());
  ExpectWhole(Import(At("a.csv")));
}

TEST_F(ImportInputTest, AFifoIsReadOnceAndWhole) {
  ASSERT_EQ(mkfifo(At("fifo").c_str(), 0600), 0);
  std::thread writer([&] { WriteTo(open(At("fifo").c_str(), O_WRONLY), Csv()); });
  const Ran ran = Import(At("fifo"));
  writer.join();
  ExpectWhole(ran);
}

// As a shell's <(…) and /dev/stdin are.
TEST_F(ImportInputTest, ADescriptorOfAPipeIsReadOnceAndWhole) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::thread writer([&] { WriteTo(ends[1], Csv()); });
  const Ran ran = Import(absl::StrCat("/dev/fd/", ends[0]));
  writer.join();
  close(ends[0]);
  ExpectWhole(ran);
}

TEST_F(ImportInputTest, AHyphenIsStandardInput) {
  ExpectWhole(Import("-", Csv()));
  const Ran wrong = Import("-", "name,memo\n見本,\n見本\n");
  EXPECT_EQ(wrong.code, kBadInput);
  EXPECT_THAT(wrong.err, HasSubstr("standard input:3: "));
  const Ran empty = Import("-", "");
  EXPECT_EQ(empty.code, kBadInput);
  EXPECT_THAT(empty.err, HasSubstr("standard input: the CSV file is empty"));
}

TEST_F(ImportInputTest, AReadThatFailsIsNoEnd) {
  // Its first bytes cannot be read.
  const Ran ran = Import("/proc/self/mem");
  EXPECT_EQ(ran.code, kBadInput);
  EXPECT_THAT(ran.err, HasSubstr("cannot be read"));
  EXPECT_TRUE(residents_.rows.empty());
}

TEST_F(ImportInputTest, TwoValuesDoNotComeFromOneInput) {
  const auto create = [&](const std::string& first, const std::string& second) {
    return RunWords(
        {"--profile", "p", "residents", "create", "--tenant", "131164", "--purpose", "migration",
         "--contact", "B-1", "--set", "name=" + first, "--set", "memo=" + second},
        false, "見本\n");
  };
  store::WriteBytes(At("a"), "見本\n");
  store::WriteBytes(At("b"), "見本\n");
  for (const std::string& input : {std::string("@-"), "@" + At("a")}) {
    const Ran ran = create(input, input);
    EXPECT_EQ(ran.code, kBadInput);
    EXPECT_THAT(ran.err, HasSubstr("two values are to come from one file"));
  }
  EXPECT_TRUE(residents_.created.empty());
  EXPECT_EQ(create("@-", "@" + At("a")).code, kDone);
  EXPECT_EQ(create("@" + At("a"), "@" + At("b")).code, kDone);
  EXPECT_EQ(create("@@", "@@").code, kDone) << "values that are no files";
}

}  // namespace
}  // namespace vault::ctl
