// What "erased for good" means, told by an implementation that is not ours: open_backup.py, written
// from the format pages, opens backups with root key and keyring. Before an erasure is final an old
// backup and an old keyring bring the resident back, as the certificate says; when the certificate
// says final, nothing that the vault has does.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "tests/e2e/sandbox.h"
#include "vault/v1/approval_service.pb.h"
#include "vault/v1/backup_service.pb.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kResidents = 40;

class FinalErasureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(sandbox_.Up());
    const std::string csv = sandbox_.Generate(kToshima, kResidents, 1);
    Expect("booking-service", {"residents", "import", csv, "--tenant", kToshima, "--purpose",
                               "migration", "--contact", "B-2026-11"});
    const auto people = GeneratedPeople(kToshima, kResidents, 1);
    // Nobody who is protected: their data are an officer's alone.
    for (const GeneratedResident& person : people) {
      if (!person.Get("protection").empty()) continue;
      (erased_.empty() ? erased_ : kept_) = person.Get("address_number");
      (erased_name_.empty() ? erased_name_ : kept_name_) = person.Get("name");
      if (!kept_.empty()) break;
    }
    erased_ = HandleOf(erased_);
    kept_ = HandleOf(kept_);
  }

  std::string Path(const std::string& name) const { return sandbox_.work_dir() + "/" + name; }

  CommandResult Expect(const std::string& persona, const std::vector<std::string>& arguments) {
    CommandResult result = sandbox_.Run(persona, arguments);
    EXPECT_EQ(result.exit_code, 0) << arguments[0] << " " << arguments[1] << ": " << result.All();
    return result;
  }

  template <typename Message>
  Message Json(const std::string& persona, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--output", "json"});
    Message message;
    const CommandResult result = Expect(persona, arguments);
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(result.out, &message).ok())
        << result.All();
    return message;
  }

  std::string HandleOf(const std::string& number) {
    const auto found = Json<v1::LookupResidentsResponse>(
        "officer-toshima",
        {"residents", "lookup", "--tenant", kToshima, "--by", "address_number=" + number,
         "--purpose", "correction", "--contact", "C-1"});
    EXPECT_EQ(found.residents_size(), 1);
    return found.residents_size() == 1 ? found.residents(0).resident_id() : "";
  }

  v1::ErasureCertificate Certificate() {
    return Json<v1::GetErasureCertificateResponse>(
               "officer-toshima", {"residents", "certificate", erased_, "--tenant", kToshima})
        .certificate();
  }

  // Proposed by one, carried out by another.
  void Together(const std::vector<std::string>& proposal) {
    const auto proposed = Json<v1::ProposeResponse>("security", proposal);
    const auto shown = Json<v1::GetApprovalResponse>(
        "security-2", {"approvals", "show", proposed.approval().id()});
    EXPECT_EQ(shown.effect().digest(), proposed.effect().digest());
    Expect("security-2",
           {"approvals", "approve", proposed.approval().id(), "--effect", shown.effect().digest()});
  }

  // One resident of a backup, as the other implementation sees it.
  CommandResult Outside(int number, const std::string& keyring, const std::string& resident) {
    return sandbox_.RunCommand({"python3", "-B", VAULT_SOURCE_DIR "/tests/keys/open_backup.py",
                                "--backup", sandbox_.dir() + "/backup", absl::StrCat(number),
                                "--root-key", sandbox_.dir() + "/root.key", "--keyring", keyring,
                                "--tenant", kToshima, "--resident", resident, "--values"});
  }
  void ExpectReadable(int number, const std::string& keyring, const std::string& resident,
                      const std::string& name) {
    const CommandResult opened = Outside(number, keyring, resident);
    EXPECT_EQ(opened.exit_code, 0) << opened.All();
    EXPECT_THAT(opened.out, HasSubstr("\"readable\": true"));
    EXPECT_THAT(opened.out, HasSubstr(name));
  }
  void ExpectUnreadable(int number, const std::string& keyring, const std::string& resident,
                        const std::string& why) {
    const CommandResult opened = Outside(number, keyring, resident);
    EXPECT_EQ(opened.exit_code, 0) << opened.All();
    EXPECT_THAT(opened.out, HasSubstr("\"readable\": false"));
    EXPECT_THAT(opened.out, HasSubstr(why));
  }

  std::string Keyring() const { return sandbox_.dir() + "/keyring"; }
  // How often the keyring was written: FORMAT.md of vault/keys, byte 32 of the file.
  uint64_t SerialOfKeyring() const {
    const std::string bytes = ReadFileOrDie(Keyring());
    uint64_t serial = 0;
    for (int i = 7; i >= 0; --i) serial = serial << 8 | static_cast<uint8_t>(bytes[32 + i]);
    return serial;
  }

  // A key moved on from version 1, and version 1 destroyed.
  void RotateAndDestroy(const std::string& what) {
    Expect("security", {"keys", "rotate", "--tenant", kToshima, "--what", what, "--rate", "0"});
    // Backups are told apart by the second.
    absl::SleepFor(absl::Seconds(1));
    Expect("security", {"backup", "create"});
    Together({"keys", "destroy", "--tenant", kToshima, "--what", what, "--key-version", "1"});
  }

  Sandbox sandbox_;
  std::string erased_, erased_name_, kept_, kept_name_;
};

TEST_F(FinalErasureTest, AnotherImplementationReadsWhatTheCertificateSaysAndNoMore) {
  Expect("security", {"backup", "create"});
  fs::copy(Keyring(), Path("old-keyring"));
  ExpectReadable(1, Keyring(), erased_, erased_name_);

  Expect("officer-toshima", {"residents", "erase", erased_, "--tenant", kToshima, "--purpose",
                             "erasure", "--contact", "E-1"});
  EXPECT_EQ(
      sandbox_
          .Run("officer-toshima", {"residents", "get", erased_, "--tenant", kToshima, "--fields",
                                   "name", "--purpose", "correction", "--contact", "C-2"})
          .exit_code,
      3);
  v1::ErasureCertificate certificate = Certificate();
  EXPECT_FALSE(certificate.final());
  EXPECT_THAT(certificate.text(), HasSubstr("未完了"));
  // Not final: whoever has the old backup reads it with the keyring of today.
  ExpectReadable(1, Keyring(), erased_, erased_name_);

  RotateAndDestroy("kek");
  EXPECT_FALSE(Certificate().final());
  ExpectUnreadable(1, Keyring(), erased_, "is destroyed");
  // So is everybody else in that backup; in the newer one they are there, and the erased is not.
  ExpectUnreadable(1, Keyring(), kept_, "is destroyed");
  ExpectReadable(2, Keyring(), kept_, kept_name_);
  ExpectUnreadable(2, Keyring(), erased_, "no row");
  // The copy of the keyring that somebody kept still opens it: the certificate does not say final.
  ExpectReadable(1, Path("old-keyring"), erased_, erased_name_);

  RotateAndDestroy("index");
  EXPECT_FALSE(Certificate().final()) << "copies of the keyring are out of the vault's sight";
  // What the vault itself keeps of old keyrings is gone.
  for (const auto& copy : fs::directory_iterator(sandbox_.dir() + "/keyrings")) {
    if (!absl::StartsWith(copy.path().filename().string(), "keyring-")) continue;
    ExpectUnreadable(1, copy.path(), erased_, "is destroyed");
  }

  const std::string serial = absl::StrCat(SerialOfKeyring());
  fs::remove(Path("old-keyring"));
  Together({"keys", "attest-destroyed", "--before-serial", serial});
  certificate = Certificate();
  EXPECT_TRUE(certificate.final()) << certificate.text();
  EXPECT_THAT(certificate.text(), Not(HasSubstr("未完了")));
  EXPECT_THAT(certificate.note(), HasSubstr("pii-vault/erasure-certificate/v1"));
  EXPECT_THAT(certificate.note(), Not(HasSubstr(erased_name_)));
  ExpectUnreadable(1, Keyring(), erased_, "is destroyed");

  // Another root key opens nothing.
  const CommandResult foreign =
      sandbox_.RunCommand({VAULT_BIN_DIR "/vaultd", "--create_root_key=" + Path("foreign.key")});
  ASSERT_EQ(foreign.exit_code, 0) << foreign.All();
  const CommandResult refused =
      sandbox_.RunCommand({"python3", "-B", VAULT_SOURCE_DIR "/tests/keys/open_backup.py",
                           "--backup", sandbox_.dir() + "/backup", "2", "--root-key",
                           Path("foreign.key"), "--keyring", Keyring(), "--tenant", kToshima});
  EXPECT_EQ(refused.exit_code, 3) << refused.All();
  EXPECT_THAT(refused.err, HasSubstr("another root key"));
  EXPECT_EQ(refused.out, "");
}

}  // namespace
}  // namespace vault::testing
