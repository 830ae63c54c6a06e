// A full disk: nothing is disclosed, nothing half done, nothing aborts, and the vault serves again
// once there is room.
//
// On a real tmpfs of 96 MiB, in a mount namespace of the test's own, where mounting is allowed: the
// test …/OnATmpfs is there only then. WithAFakeFreeSpaceProbe runs everywhere.
#include <fcntl.h>
#include <grpcpp/generic/generic_stub.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_load.h"
#include "tests/e2e/sandbox.h"
#include "tests/e2e/whole_vault.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/fakes.h"
#include "tests/testing/fault_store.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::testing {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr int kReserveMiB = 48;

// Takes a mount namespace of this process's own, which goes with it and its children, and what is
// mounted there too. Without root, root of a user namespace of its own is tried.
bool TakeNamespace() {
  const std::string user = absl::StrCat("0 ", geteuid(), " 1"),
                    group = absl::StrCat("0 ", getegid(), " 1");
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    const auto put = [](const char* path, const std::string& text) {
      const int fd = open(path, O_WRONLY | O_CLOEXEC);
      const bool ok = fd >= 0 && write(fd, text.data(), text.size()) > 0;
      if (fd >= 0) close(fd);
      return ok;
    };
    if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/uid_map", user) ||
        !put("/proc/self/gid_map", group)) {
      return false;
    }
  }
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool MountTmpfs(const std::string& dir) {
  return mount("tmpfs", dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=96m") == 0;
}

// Tried in a child, so that this process stays where it is.
bool CanMount() {
  const pid_t pid = fork();
  VAULT_CHECK(pid >= 0) << "fork";
  if (pid == 0) {
    char dir[] = "/tmp/vault-mount.XXXXXX";
    const bool made = mkdtemp(dir) != nullptr;
    const bool mounted = made && TakeNamespace() && MountTmpfs(dir);
    if (mounted) umount2(dir, MNT_DETACH);
    if (made) rmdir(dir);
    _exit(mounted ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// What a caller is told on a full disk, and that is all it gets.
void ExpectDiskFull(const grpc::Status& status, const google::protobuf::Message& response) {
  const Details details = DetailsOf(status);
  EXPECT_EQ(details.code, grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(details.reason, "DISK_FULL");
  EXPECT_TRUE(details.has_retry_delay);
  EXPECT_EQ(response.ByteSizeLong(), 0u) << "a refused call has a body";
}

// grpc.health.v1.Health/Check for the whole server: SERVING.
bool Healthy(const Stubs& raw) {
  grpc::GenericStub stub(raw.channel);
  grpc::CompletionQueue queue;
  const auto context = NewContext(absl::Seconds(5));
  // The service's name: "", in one slice, since gRPC takes none at all for no message.
  const grpc::Slice name(std::string("\x0a\x00", 2));
  const grpc::ByteBuffer request(&name, 1);
  auto call = stub.PrepareUnaryCall(context.get(), "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, &response);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  grpc::Slice bytes;
  return ok && status.ok() && response.DumpToSingleSlice(&bytes).ok() &&
         std::string(bytes.begin(), bytes.end()) == std::string("\x08\x01", 2);
}

// --- a real file system -----------------------------------------------------------------------

// A client that reads and changes its own residents until it is stopped, and knows what it was
// told.
struct Client {
  Stubs raw;
  std::vector<Person> people;
  std::string prefix;
  uint64_t calls = 0, refused = 0, served_since_refused = 0;
  std::vector<std::string> contacts;  // of served calls

  void CallOnce() {
    Person& person = people[calls % people.size()];
    const std::string contact = absl::StrCat(prefix, "-", ++calls);
    grpc::Status status;
    if (calls % 2 == 0) {
      v1::UpdateResidentRequest request;
      request.set_tenant_id(person.tenant);
      request.set_resident_id(person.id);
      *request.mutable_context() = Access("correction", contact);
      SetField(&request, "memo", "memo " + contact);
      v1::UpdateResidentResponse response;
      status = raw.residents->UpdateResident(NewContext().get(), request, &response);
      if (status.ok()) {
        EXPECT_EQ(response.version(), person.version + 1);
        person.version = response.version();
        person.memo = "memo " + contact;
      } else {
        ExpectDiskFull(status, response);
      }
    } else {
      v1::LookupResidentsResponse response;
      status = raw.residents->LookupResidents(
          NewContext().get(), LookupBy(person.tenant, "phone", person.phone, contact), &response);
      if (!status.ok()) ExpectDiskFull(status, response);
    }
    if (status.ok()) {
      contacts.push_back(contact);
      ++served_since_refused;
    } else {
      ++refused;
      served_since_refused = 0;
      absl::SleepFor(absl::Milliseconds(2));
    }
  }
};

class FullDiskTest : public ::testing::TestWithParam<std::string> {
 protected:
  // A sandbox whose own folder is the small one; what commands print goes elsewhere.
  void SetUp() override {
    sandbox_ = std::make_unique<Sandbox>();
    ASSERT_EQ(mkdir(sandbox_->dir().c_str(), 0700), 0);
    ASSERT_TRUE(MountTmpfs(sandbox_->dir()));
    ASSERT_TRUE(sandbox_->Up({Reserve()}));
  }
  void TearDown() override {
    EXPECT_TRUE(sandbox_->Down());
    EXPECT_EQ(umount2(sandbox_->dir().c_str(), MNT_DETACH), 0);
  }
  static std::string Reserve() { return absl::StrCat("--disk_reserve_mib=", kReserveMiB); }

  uint64_t FreeBytes() const {
    struct statvfs info {};
    VAULT_CHECK(statvfs(sandbox_->dir().c_str(), &info) == 0);
    return info.f_bavail * info.f_frsize;
  }

  // Takes room until `left` bytes are free, or none.
  void Fill(uint64_t left) {
    const int fd = open(Ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    const std::string piece(256 << 10, 'b');
    while (FreeBytes() > left) {
      const size_t size = std::min<uint64_t>(piece.size(), FreeBytes() - left);
      if (write(fd, piece.data(), size) <= 0) break;
      absl::SleepFor(absl::Microseconds(200));
    }
    close(fd);
  }
  std::string Ballast() const { return sandbox_->dir() + "/ballast"; }

  // New residents of 131164.
  std::vector<Person> Import(int count) {
    ImportLane lane({sandbox_.get(), "I", 1, &never_}, "booking-service");
    lane.Connect();
    std::vector<v1::ImportRow> rows(count);
    for (int i = 0; i < count; ++i) {
      rows[i].set_row(i);
      for (const auto& [id, value] : PersonFields(FreshPhone(), "memo at first")) {
        SetField(&rows[i], id, value);
      }
    }
    std::vector<v1::ImportResult> results;
    EXPECT_TRUE(lane.Stream(kToshima, "I-1", rows, &results));
    lane.Adopt(kToshima, rows, results);
    return lane.people;
  }

  // What was acknowledged is there, with an entry each; the trail verifies.
  void CheckAll(const std::vector<std::unique_ptr<Client>>& clients) {
    const Stubs officer = sandbox_->As("officer-toshima");
    std::multiset<std::string> contacts;
    for (const Entry& entry : sandbox_->Entries("compliance-toshima", kToshima)) {
      contacts.insert(entry.Get("contact"));
    }
    for (const auto& client : clients) {
      for (const std::string& contact : client->contacts) {
        EXPECT_EQ(contacts.count(contact), 1u) << contact;
      }
      for (const Person& person : client->people) {
        v1::GetResidentRequest request;
        request.set_tenant_id(person.tenant);
        request.set_resident_id(person.id);
        *request.mutable_context() = Access("complaint", "J-1");
        v1::GetResidentResponse response;
        const grpc::Status status =
            officer.residents->GetResident(NewContext().get(), request, &response);
        ASSERT_TRUE(status.ok()) << status.error_message();
        EXPECT_EQ(response.resident().version(), person.version);
        ASSERT_NE(FieldOf(response.resident(), "memo"), nullptr);
        EXPECT_EQ(FieldOf(response.resident(), "memo")->value(), person.memo);
      }
    }
    const CommandResult verified =
        sandbox_->Run("compliance-toshima", {"audit", "verify", "--tenant", kToshima});
    EXPECT_EQ(verified.exit_code, 0) << verified.All();
  }

  std::atomic<bool> never_{false};
  std::unique_ptr<Sandbox> sandbox_;
};

// While it is full, each kind of call: a refusal that says so, from a server that lives.
void ExpectRefusedAndAlive(const Sandbox& sandbox, const std::string& phone) {
  const Stubs desk = sandbox.As("operator-toshima");
  EXPECT_TRUE(Healthy(desk));
  // "Not found" discloses as well, and so does a refusal.
  for (const v1::LookupResidentsRequest& request :
       {LookupBy(kToshima, "phone", phone, "X-1"),
        LookupBy(kToshima, "phone", "090-9999-0000", "X-2"),
        LookupBy(kToshima, "birth_date", "1980-02-29", "X-3")}) {
    v1::LookupResidentsResponse response;
    ExpectDiskFull(desk.residents->LookupResidents(NewContext().get(), request, &response),
                   response);
  }
  v1::GetKeyStatusRequest status;
  status.set_tenant_id(kToshima);
  v1::GetKeyStatusResponse keys;
  ExpectDiskFull(sandbox.As("security").keys->GetKeyStatus(NewContext().get(), status, &keys),
                 keys);
  v1::GetHeadRequest head;
  head.set_log_id(kToshima);
  v1::GetHeadResponse size;
  ExpectDiskFull(sandbox.As("compliance-toshima").audit->GetHead(NewContext().get(), head, &size),
                 size);
}

TEST_P(FullDiskTest, DisclosesNothingAndServesAgainOnceThereIsRoom) {
  std::vector<std::unique_ptr<Client>> clients;
  for (const char* prefix : {"A", "B", "C"}) {
    clients.emplace_back(new Client{sandbox_->As("supervisor-toshima"), Import(20), prefix});
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (auto& client : clients) {
    threads.emplace_back([&stop, c = client.get()] {
      while (!stop) c->CallOnce();
    });
  }
  absl::SleepFor(absl::Milliseconds(300));
  // To just within the reserve, then to the last byte.
  for (uint64_t left : {(kReserveMiB - 4) * kMiB, uint64_t{0}}) {
    Fill(left);
    absl::SleepFor(absl::Milliseconds(200));
    ExpectRefusedAndAlive(*sandbox_, clients[0]->people[0].phone);
  }
  EXPECT_EQ(FreeBytes(), 0u);
  // An operation that would write the keyring anew: refused before it touches it.
  const CommandResult rotated = sandbox_->Run("security", {"keys", "rotate", "--tenant", kToshima});
  EXPECT_EQ(rotated.exit_code, 4) << rotated.All();
  // The rollback anchor is synced in the meantime.
  absl::SleepFor(absl::Milliseconds(1500));
  EXPECT_TRUE(Healthy(clients[0]->raw));
  EXPECT_EQ(unlink(Ballast().c_str()), 0);
  absl::SleepFor(absl::Milliseconds(500));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& client : clients) {
    EXPECT_GT(client->refused, 10u);
    // The last calls were served again.
    EXPECT_GT(client->served_since_refused, 10u);
  }
  CheckAll(clients);
  // A start that finds too little room is refused, wherever it ends, and never an abort.
  ASSERT_TRUE(sandbox_->Kill());
  for (uint64_t left : {0 * kMiB, kMiB / 16, kMiB, 6 * kMiB, 20 * kMiB, 40 * kMiB}) {
    Fill(left);
    const CommandResult started = sandbox_->RunVaultd({Reserve()});
    EXPECT_EQ(started.exit_code, 1) << left << ": " << started.All();
    EXPECT_THAT(started.err, ::testing::HasSubstr("cannot start"));
    EXPECT_THAT(started.err, ::testing::AnyOf(::testing::HasSubstr("No space left"),
                                              ::testing::HasSubstr("disk is nearly full")));
    EXPECT_EQ(unlink(Ballast().c_str()), 0);
  }
  ASSERT_TRUE(sandbox_->Start({Reserve()}));
  CheckAll(clients);
}

// Before any test has made a thread: a process of more than one gets no user namespace.
class OwnNamespace : public ::testing::Environment {
 public:
  void SetUp() override {
    if (CanMount()) ASSERT_TRUE(TakeNamespace());
  }
};
const auto* const kOwnNamespace = ::testing::AddGlobalTestEnvironment(new OwnNamespace());

// The places that there are: none where mounting is not allowed.
std::vector<std::string> Places() {
  if (CanMount()) return {"OnATmpfs"};
  std::cout << "no tmpfs may be mounted here: only the fake free-space probe is tested\n";
  return {};
}
INSTANTIATE_TEST_SUITE_P(RealFileSystem, FullDiskTest, ::testing::ValuesIn(Places()),
                         [](const auto& info) { return info.param; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FullDiskTest);

// --- a fake probe -----------------------------------------------------------------------------

// In this process: the store is asked for its free space and lies.
TEST(FullDiskWithAFakeFreeSpaceProbe, DisclosesNothingAndServesAgainOnceThereIsRoom) {
  store::TempDir dir;
  FaultStore* faults = nullptr;
  WholeVault::Options options;
  options.dir = dir.path();
  options.create = true;
  options.disk_reserve_bytes = kReserveMiB * kMiB;
  options.wrap = [&faults](store::Store* base) {
    auto store = std::make_unique<FaultStore>(base);
    faults = store.get();
    return store;
  };
  VAULT_ASSERT_OK_AND_ASSIGN(auto vault, WholeVault::Open(options));
  VAULT_ASSERT_OK_AND_ASSIGN(
      const pipeline::ChangeResult made,
      vault->Create("booking-service",
                    ChangeOf(kToshima, PersonFields("090-1234-5678", "memo"), "C-1")));
  const auto change = [&](const char* contact) {
    usecases::ChangeRequest request = ChangeOf(kToshima, {{"memo", contact}}, contact);
    request.resident = made.id.ToHex();
    return request;
  };
  // An unknown amount of room is none.
  for (const absl::StatusOr<uint64_t>& room :
       {absl::StatusOr<uint64_t>(kReserveMiB * kMiB - 1), absl::StatusOr<uint64_t>(0),
        absl::StatusOr<uint64_t>(absl::UnavailableError("no such mount"))}) {
    faults->SetFreeBytes(room);
    const int writes = faults->writes();
    const absl::Status refused[] = {
        vault->Lookup("operator-toshima", FindBy(kToshima, "phone", "090-1234-5678", "C-2"))
            .status(),
        vault->Get("operator-toshima", GetOf(kToshima, std::string(32, '0'), "C-3")).status(),
        vault->Get("operator-toshima", GetOf(kYokohama, made.id.ToHex(), "C-4")).status(),
        vault->Update("supervisor-toshima", change("C-5")).status(),
        vault->Rotate("security", kToshima).status(),
    };
    for (const absl::Status& status : refused) {
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_EQ(GetReason(status), "DISK_FULL");
      EXPECT_GT(GetRetryDelay(status), absl::ZeroDuration());
    }
    EXPECT_EQ(faults->writes(), writes) << "a full disk was written to";
  }
  faults->SetFreeBytes(absl::nullopt);
  VAULT_ASSERT_OK_AND_ASSIGN(const pipeline::ChangeResult changed,
                             vault->Update("supervisor-toshima", change("C-6")));
  EXPECT_EQ(changed.version, 2u);
  VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict,
                             vault->Verify("compliance-toshima", kToshima));
  EXPECT_TRUE(verdict.good) << verdict.problem;
}

}  // namespace
}  // namespace vault::testing
