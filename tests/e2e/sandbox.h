// A whole vault in real processes, for tests from outside: deploy/sandbox in a folder of its own
// under the system's temporary folder, vaultctl as each persona, and raw stubs over mutual TLS for
// what vaultctl would not send.
//
//   Sandbox sandbox;
//   ASSERT_TRUE(sandbox.Up());
//   CommandResult found = sandbox.Run("operator-toshima", {"residents", "lookup", …});
//   Stubs raw = sandbox.As("operator-toshima");
//
// The destructor stops the vault by its process id and removes the folder; should the test itself
// be killed, a janitor process does both.
#ifndef VAULT_TESTS_E2E_SANDBOX_H_
#define VAULT_TESTS_E2E_SANDBOX_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/testing/generate/generate.h"
#include "vault/v1/approval_service.grpc.pb.h"
#include "vault/v1/audit_service.grpc.pb.h"
#include "vault/v1/backup_service.grpc.pb.h"
#include "vault/v1/job_service.grpc.pb.h"
#include "vault/v1/key_service.grpc.pb.h"
#include "vault/v1/resident_service.grpc.pb.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::testing {

// The two municipalities of the sandbox.
constexpr char kToshima[] = "131164";
constexpr char kYokohama[] = "141003";

std::string ReadFileOrDie(const std::string& path);
void WriteFileOrDie(const std::string& path, absl::string_view bytes);

// As a roster's CSV has a time, in Japan and whole seconds.
std::string RosterTime(absl::Time time);
// A roster's CSV that gives each of these a seat from a minute ago until then, at all hours.
std::string RosterOf(const std::vector<std::string>& subjects, absl::Time until,
                     absl::string_view role = "operator",
                     absl::string_view programme = "vaccination");

// What a process did.
struct CommandResult {
  // -1: it was killed, by a signal or because it took too long.
  int exit_code = -1;
  std::string out, err;
  // Both, for a test's message.
  std::string All() const { return out + err; }
};

// A call's status, taken apart.
struct Details {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string reason, domain, rule, refused;
  // Field paths of google.rpc.BadRequest.
  std::vector<std::string> fields;
  bool has_retry_delay = false;
};
Details DetailsOf(const grpc::Status& status);

// One connection, and the services over it.
struct Stubs {
  explicit Stubs(std::shared_ptr<grpc::Channel> to);

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ResidentService::Stub> residents;
  std::unique_ptr<v1::AuditService::Stub> audit;
  std::unique_ptr<v1::KeyService::Stub> keys;
  std::unique_ptr<v1::JobService::Stub> jobs;
  std::unique_ptr<v1::ApprovalService::Stub> approvals;
  std::unique_ptr<v1::BackupService::Stub> backups;
  std::unique_ptr<v1::VaultService::Stub> vault;
};

// A call's context with a deadline, so that no test hangs.
std::unique_ptr<grpc::ClientContext> NewContext(absl::Duration timeout = absl::Seconds(20));

v1::AccessContext Access(const std::string& purpose, const std::string& contact,
                         const std::string& reason = "");
// `request`'s criterion, or field to set.
template <typename Request>
void SetField(Request* request, const std::string& id, absl::string_view value) {
  v1::FieldValue* field = request->add_fields();
  field->set_id(id);
  field->set_value(value.data(), value.size());
}
v1::LookupResidentsRequest LookupBy(const std::string& tenant, const std::string& id,
                                    const std::string& value, const std::string& contact = "C-1001",
                                    const std::string& purpose = "vaccination_booking");
// Null where the resident has no such field in its answer.
const v1::Field* FieldOf(const v1::Resident& resident, const std::string& id);

// A log entry as text members; numbers as decimals. Fails the test where it is no flat JSON object.
class Entry {
 public:
  explicit Entry(const v1::EntryRecord& record);
  // Empty where it has none.
  std::string Get(const std::string& member) const;
  uint64_t seq() const { return seq_; }
  const std::string& bytes() const { return bytes_; }

 private:
  uint64_t seq_;
  std::string bytes_;
  std::vector<std::pair<std::string, std::string>> members_;
};

class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  // deploy/sandbox's commands; false, with a failure of the test that shows its output, where they
  // fail. Up: with --many-attempts, since tests ask faster than any desk.
  bool Up(const std::vector<std::string>& vaultd_flags = {});
  bool UpAsShipped(const std::vector<std::string>& vaultd_flags = {});
  bool Start(const std::vector<std::string>& vaultd_flags = {});
  bool Down();
  bool Kill();
  bool Cert(const std::string& name, const std::vector<std::string>& arguments);

  // The sandbox's folder; files that are not the vault's go to work_dir().
  const std::string& dir() const { return dir_; }
  const std::string& work_dir() const { return work_dir_; }
  // Of the running vault.
  std::string address() const;
  std::string log() const { return ReadFileOrDie(dir_ + "/vaultd.log"); }

  // Runs a program, its output caught. Thread-safe.
  CommandResult RunCommand(const std::vector<std::string>& argv,
                           absl::Duration timeout = absl::Seconds(60));
  // vaultctl with a persona's profile. Thread-safe.
  CommandResult Run(const std::string& persona, const std::vector<std::string>& arguments);
  // A second vaultd on this folder, with `flags` after, and so before in force, those that
  // deploy/sandbox gives. Killed after 20 s where it does not end by itself.
  CommandResult RunVaultd(const std::vector<std::string>& flags);

  // `count` generated residents as dir()/import/NAME.csv; its path.
  std::string Generate(const std::string& tenant, uint64_t count, uint64_t seed);

  // A connection of its own, never shared with another's.
  Stubs As(const std::string& persona) const;
  // With these PEM texts; empty ones: no client certificate.
  Stubs With(const std::string& cert_pem, const std::string& key_pem) const;

  // Every entry of a log, by the persona's questions; they are entries too, but not of this answer.
  std::vector<Entry> Entries(const std::string& persona, const v1::ListEntriesRequest& filter);
  std::vector<Entry> Entries(const std::string& persona, const std::string& log_id);

 private:
  bool Script(const std::vector<std::string>& arguments, absl::Duration timeout);
  bool Launch(std::vector<std::string> arguments, const std::vector<std::string>& vaultd_flags);

  std::string root_, dir_, work_dir_;
  std::atomic<int> commands_{0};
  // Its far end tells the janitor when this process has gone.
  int janitor_pipe_ = -1;
};

// A suite with one vault for all of its tests, box(): class Tls : public WithSandbox<Tls>.
template <typename Suite>
class WithSandbox : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    box_ = new Sandbox();
    ASSERT_TRUE(box_->Up());
  }
  static void TearDownTestSuite() {
    delete box_;
    box_ = nullptr;
  }
  static Sandbox& box() { return *box_; }

 private:
  static Sandbox* box_;
};
template <typename Suite>
Sandbox* WithSandbox<Suite>::box_ = nullptr;

// The same residents as the file that Generate writes.
std::vector<GeneratedResident> GeneratedPeople(const std::string& tenant, uint64_t count,
                                               uint64_t seed);

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_SANDBOX_H_
