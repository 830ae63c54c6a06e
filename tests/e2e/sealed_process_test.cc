// What a running vault's process gives away: its memory searched for every key byte, before and
// after a seal, in a core file's part of it, and by debuggers. And the seal as callers see it: what
// is refused, what goes on afterwards, what stands in the trail.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/process_memory.h"
#include "tests/e2e/sandbox.h"
#include "tests/testing/fakes.h"
#include "vault/crypto/key_arena.h"
#include "vault/keys/keyring.h"
#include "vault/v1/approval_service.grpc.pb.h"
#include "vault/v1/backup_service.grpc.pb.h"
#include "vault/v1/job_service.grpc.pb.h"
#include "vault/v1/seat_service.grpc.pb.h"
#include "vault/v1/vault_service.grpc.pb.h"

namespace vault::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

constexpr uint64_t kResidents = 300;
constexpr uint64_t kSeed = 7;
constexpr char kOrigin[] = "vault.sandbox.example/audit";

std::string RawKey(const keys::KeyPtr& key) {
  return std::string(reinterpret_cast<const char*>(key->Expose()), crypto::kKeySize);
}

// What a register's spill would leave is a piece of a key: each half is looked for by itself.
std::vector<Needle> Halves(const std::vector<Needle>& keys) {
  std::vector<Needle> out;
  for (const Needle& key : keys) {
    const size_t half = key.bytes.size() / 2;
    out.push_back({key.label + ", first half", key.bytes.substr(0, half)});
    out.push_back({key.label + ", second half", key.bytes.substr(half)});
  }
  return out;
}

// Every key of a sandbox's vault, learned from its files. Its copies go with the test's process.
std::vector<Needle> KeysOf(const Sandbox& box) {
  std::vector<Needle> out;
  const std::string hex(absl::StripAsciiWhitespace(ReadFileOrDie(box.dir() + "/root.key")));
  std::string root(crypto::kKeySize, '\0');
  EXPECT_EQ(sodium_hex2bin(reinterpret_cast<uint8_t*>(root.data()), root.size(), hex.data(),
                           hex.size(), nullptr, nullptr, nullptr),
            0);
  out.push_back({"root key", root});
  out.push_back({"root key's hex", hex});
  auto arena = crypto::KeyArena::New(1024);
  EXPECT_TRUE(arena.ok());
  auto loaded = keys::RootKey::Load(box.dir() + "/root.key", arena->get());
  EXPECT_TRUE(loaded.ok());
  auto opened = keys::Keyring::Open(box.dir() + "/keyring", *std::move(loaded), arena->get(),
                                    &SystemRandom(), &RealClock());
  EXPECT_TRUE(opened.ok()) << opened.status();
  const keys::Keyring& ring = **opened;
  out.push_back({"head MAC key", RawKey(ring.write_mac().key)});
  out.push_back({"token key", RawKey(ring.token_key())});
  for (uint32_t id = 1; id <= ring.write_storage_key_id(); ++id) {
    out.push_back({absl::StrCat("storage key ", id), RawKey(ring.storage_key(id))});
  }
  std::vector<LogId> logs = {LogId::Service()};
  for (const char* code : {kToshima, kYokohama}) {
    const TenantId tenant = *TenantId::Parse(code);
    logs.push_back(LogId::Of(tenant));
    const auto keys = ring.Tenant(tenant);
    for (const keys::KekVersion& kek : keys->keks) {
      if (kek.key == nullptr) continue;
      out.push_back({absl::StrCat(code, " KEK ", kek.version), RawKey(kek.key)});
    }
    for (const keys::IndexGeneration& index : keys->indexes) {
      out.push_back({absl::StrCat(code, " index key ", index.generation), RawKey(index.key)});
    }
    out.push_back({absl::StrCat(code, " MAC key"), RawKey(keys->mac)});
  }
  for (const LogId& log : logs) {
    for (const keys::LogKeyVersion& key : ring.LogKeys(log)) {
      if (key.seed == nullptr) continue;
      out.push_back({absl::StrCat("log seed of ", log.str(), " ", key.version), RawKey(key.seed)});
    }
  }
  return out;
}

// Keys that are drawn from others by purpose, and never stay: nowhere in memory at any time but
// while they are used.
std::vector<Needle> DerivedFrom(const std::vector<Needle>& keys) {
  std::vector<Needle> out;
  for (const Needle& key : keys) {
    for (const char* purpose : {"vault/keyring-check/v1", "vault/keyring-file/v1",
                                "vault/storage-header/v1", "vault/sealed-row/v1"}) {
      if (key.bytes.size() != crypto::kKeySize) continue;
      const SecretBytes<crypto::kKeySize> subkey = crypto::DeriveSubkey(
          crypto::MacKey(reinterpret_cast<const uint8_t*>(key.bytes.data())), purpose);
      out.push_back({absl::StrCat(key.label, ", ", purpose),
                     std::string(reinterpret_cast<const char*>(subkey.Expose()), subkey.size())});
    }
  }
  return Halves(out);
}

// What opens each of the database's files without the storage key: XChaCha20's subkey of key and
// nonce (vault/keys/FORMAT.md, "Stored files").
std::vector<Needle> FileKeysOf(const Sandbox& box, const std::vector<Needle>& keys) {
  std::vector<Needle> out;
  for (const auto& file : std::filesystem::directory_iterator(box.dir() + "/db")) {
    const std::string header = ReadFileOrDie(file.path().string()).substr(0, 64);
    if (header.size() < 64) continue;
    const uint32_t id = static_cast<uint8_t>(header[8]);
    for (const Needle& key : keys) {
      if (key.label != absl::StrCat("storage key ", id)) continue;
      std::string subkey(crypto::kKeySize, '\0');
      EXPECT_EQ(crypto_core_hchacha20(reinterpret_cast<uint8_t*>(subkey.data()),
                                      reinterpret_cast<const uint8_t*>(header.data() + 16),
                                      reinterpret_cast<const uint8_t*>(key.bytes.data()), nullptr),
                0);
      out.push_back({absl::StrCat("file key of ", file.path().filename().string()), subkey});
    }
  }
  EXPECT_GT(out.size(), 4u);
  return Halves(out);
}

std::vector<Needle> operator+(std::vector<Needle> a, const std::vector<Needle>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<std::string> Labels(const std::vector<Needle>& needles) {
  std::vector<std::string> out;
  for (const Needle& needle : needles) out.push_back(needle.label);
  return out;
}

class SealedProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto::Init();
    ASSERT_TRUE(box_.Up());
    const std::string csv = box_.Generate(kToshima, kResidents, kSeed);
    const CommandResult imported =
        box_.Run("booking-service", {"residents", "import", csv, "--tenant", kToshima, "--purpose",
                                     "migration", "--contact", "B-2026-11"});
    ASSERT_EQ(imported.exit_code, 0) << imported.All();
  }

  pid_t pid() const {
    pid_t pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        absl::StripAsciiWhitespace(ReadFileOrDie(box_.dir() + "/vaultd.pid")), &pid));
    return pid;
  }

  grpc::Status Seal(const std::string& persona = "security") {
    v1::SealResponse response;
    return Vault(persona)->Seal(NewContext(absl::Seconds(60)).get(), v1::SealRequest(), &response);
  }
  grpc::Status Unseal(const std::string& persona = "security") {
    v1::UnsealResponse response;
    return Vault(persona)->Unseal(NewContext(absl::Seconds(60)).get(), v1::UnsealRequest(),
                                  &response);
  }
  bool Sealed() {
    v1::GetSealStatusResponse response;
    const grpc::Status status =
        Vault("security")->GetSealStatus(NewContext().get(), v1::GetSealStatusRequest(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.sealed();
  }
  std::unique_ptr<v1::VaultService::Stub> Vault(const std::string& persona) {
    return v1::VaultService::NewStub(box_.As(persona).channel);
  }

  grpc::Status Lookup(const Stubs& stubs, const GeneratedResident& who) {
    v1::LookupResidentsResponse response;
    return stubs.residents->LookupResidents(
        NewContext().get(), LookupBy(kToshima, "phone", std::string(who.Get("phone"))), &response);
  }
  // Some of everything that uses keys.
  void Load() {
    const Stubs stubs = box_.As("operator-toshima");
    const Stubs supervisor = box_.As("supervisor-toshima");
    for (const GeneratedResident& who : GeneratedPeople(kToshima, 60, kSeed)) {
      if (who.Get("phone").empty()) continue;
      v1::LookupResidentsResponse found;
      if (!stubs.residents
               ->LookupResidents(NewContext().get(),
                                 LookupBy(kToshima, "phone", std::string(who.Get("phone"))), &found)
               .ok()) {
        continue;
      }
      ++found_;
      for (const v1::Resident& resident : found.residents()) Update(supervisor, resident);
    }
    const Stubs security = box_.As("security");
    for (const v1::KeyKind kind : {v1::KEY_KIND_KEK, v1::KEY_KIND_DEK, v1::KEY_KIND_INDEX}) {
      v1::RotateKeysRequest rotate;
      rotate.set_tenant_id(kToshima);
      rotate.set_kind(kind);
      rotate.set_rows_per_second(0);
      v1::RotateKeysResponse job;
      const grpc::Status begun = security.keys->RotateKeys(NewContext().get(), rotate, &job);
      EXPECT_TRUE(begun.ok()) << begun.error_message();
    }
    v1::GetCheckpointRequest checkpoint;
    checkpoint.set_log_id(kToshima);
    v1::GetCheckpointResponse signed_one;
    EXPECT_TRUE(box_.As("compliance-toshima")
                    .audit->GetCheckpoint(NewContext().get(), checkpoint, &signed_one)
                    .ok());
    absl::SleepFor(absl::Seconds(1));  // the jobs end
    EXPECT_GT(found_, 20);
    EXPECT_GT(updated_, 0);
  }
  void Update(const Stubs& stubs, const v1::Resident& resident) {
    v1::UpdateResidentRequest request;
    request.set_tenant_id(kToshima);
    request.set_resident_id(resident.resident_id());
    *request.mutable_context() = Access("correction", "C-1001");
    SetField(&request, "memo", "試験の折返し");
    request.set_request_id(absl::StrCat("load-", ++requests_));
    v1::UpdateResidentResponse response;
    updated_ += stubs.residents->UpdateResident(NewContext().get(), request, &response).ok();
  }
  int found_ = 0, updated_ = 0, requests_ = 0;

  Sandbox box_;
};

TEST_F(SealedProcess, NoKeyByteIsInTheMemoryOfASealedVault) {
  Load();
  const std::vector<Needle> whole = KeysOf(box_);
  const std::vector<Needle> keys = Halves(whole);
  const std::vector<Needle> all = keys + DerivedFrom(whole) + FileKeysOf(box_, whole);
  const MemoryHits before = SearchMemory(pid(), Mappings::kAll, keys);
  if (!before.readable) GTEST_SKIP() << "another process's memory can be read by root alone";
  // The search looks where they are.
  std::vector<std::string> raw = Labels(keys);
  raw.erase(std::remove_if(
                raw.begin(), raw.end(),
                [](const std::string& label) { return absl::StartsWith(label, "root key's hex"); }),
            raw.end());
  EXPECT_THAT(before.labels, IsSupersetOf(raw));
  EXPECT_GT(before.bytes_read, 10 << 20);

  const grpc::Status sealed = Seal();
  ASSERT_TRUE(sealed.ok()) << sealed.error_message();
  const MemoryHits after = SearchMemory(pid(), Mappings::kAll, all);
  EXPECT_TRUE(after.readable);
  EXPECT_GT(after.bytes_read, 10 << 20);
  EXPECT_THAT(after.lines, IsEmpty());

  // An unseal that fails when the keys were read already leaves none of them.
  const std::string head = box_.dir() + "/head";
  ASSERT_EQ(rename(head.c_str(), (head + ".away").c_str()), 0);
  EXPECT_EQ(DetailsOf(Unseal()).reason, "CANNOT_UNSEAL");
  EXPECT_THAT(SearchMemory(pid(), Mappings::kAll, all).lines, IsEmpty());
  ASSERT_EQ(rename((head + ".away").c_str(), head.c_str()), 0);

  ASSERT_TRUE(Unseal().ok());
  EXPECT_THAT(SearchMemory(pid(), Mappings::kAll, keys).labels, IsSupersetOf(raw));
}

TEST_F(SealedProcess, ACoreHoldsNoKeyByte) {
  Load();
  const std::vector<Needle> whole = KeysOf(box_);
  std::vector<Needle> keys = Halves(whole) + DerivedFrom(whole) + FileKeysOf(box_, whole);
  keys.push_back({"planted", kOrigin});
  const MemoryHits dumped = SearchMemory(pid(), Mappings::kDumped, keys);
  if (!dumped.readable) GTEST_SKIP() << "another process's memory can be read by root alone";
  EXPECT_THAT(dumped.labels, ::testing::ElementsAre("planted"))
      << ::testing::PrintToString(dumped.lines);
  // And as a debugger writes it, where there is one.
  if (access("/usr/bin/gcore", X_OK) != 0) return;
  const std::string core = box_.work_dir() + "/core";
  const CommandResult written =
      box_.RunCommand({"/usr/bin/gcore", "-o", core, absl::StrCat(pid())}, absl::Seconds(120));
  ASSERT_EQ(written.exit_code, 0) << written.All();
  const MemoryHits found = SearchFile(absl::StrCat(core, ".", pid()), keys);
  EXPECT_TRUE(found.readable);
  EXPECT_THAT(found.labels, ::testing::ElementsAre("planted"))
      << ::testing::PrintToString(found.lines);
}

// Runs `body` in a child that has become nobody; its exit code.
int AsNobody(const std::function<int()>& body) {
  constexpr uid_t kNobody = 65534;
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(100);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// 0: attached; else errno.
int Attach(pid_t pid) {
  if (ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) != 0) return errno;
  waitpid(pid, nullptr, 0);
  ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return 0;
}

int OpenMemory(pid_t pid) {
  const int fd = open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDONLY);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

TEST_F(SealedProcess, ADebuggerIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const pid_t vault = pid();
  EXPECT_EQ(AsNobody([&] { return Attach(vault); }), EPERM);
  EXPECT_EQ(AsNobody([&] { return OpenMemory(vault); }), EACCES);
  EXPECT_THAT(ReadFileOrDie(absl::StrCat("/proc/", vault, "/limits")),
              ::testing::ContainsRegex("Max core file size +0 +0"));
}

// A vaultd that waits in its start for a file, as the same user as whoever attaches to it.
TEST_F(SealedProcess, ADebuggerOfTheSameUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  // The sandbox's folders are root's alone; what nobody needs of them is copied to where it may go.
  char open_dir[] = "/tmp/vault-nobody.XXXXXX";
  ASSERT_NE(mkdtemp(open_dir), nullptr);
  ASSERT_EQ(chmod(open_dir, 0755), 0);
  const std::string program = absl::StrCat(open_dir, "/vaultd");
  ASSERT_EQ(box_.RunCommand({"/bin/cp", VAULT_BIN_DIR "/vaultd", program}).exit_code, 0);
  ASSERT_EQ(chmod(program.c_str(), 0755), 0);
  const std::string fifo = absl::StrCat(open_dir, "/witnesses");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0666), 0);
  ASSERT_EQ(chmod(fifo.c_str(), 0666), 0);
  ASSERT_EQ(box_.RunCommand({"/bin/cp", "-r", VAULT_SOURCE_DIR "/policies",
                             VAULT_SOURCE_DIR "/deploy/subjects.textproto", open_dir})
                .exit_code,
            0);
  box_.RunCommand({"/bin/chmod", "-R", "a+rX", open_dir});
  const auto spawn = [&](const std::vector<std::string>& argv) {
    const pid_t child = fork();
    if (child != 0) return child;
    std::vector<char*> args;
    for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
    args.push_back(nullptr);
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(100);
    execv(args[0], args.data());
    _exit(101);
  };
  const std::string at(open_dir);
  const pid_t vaultd = spawn({program, "--data_dir=" + at, "--policy_dir=" + at + "/policies",
                              "--subjects=" + at + "/subjects.textproto",
                              "--root_key=" + at + "/none", "--tls_cert=" + at + "/none",
                              "--tls_key=" + at + "/none", "--client_ca=" + at + "/none",
                              "--log_origin_prefix=a.example/b", "--witnesses=" + fifo});
  const pid_t other = spawn({"/bin/sleep", "60"});
  absl::SleepFor(absl::Seconds(1));
  // The control: such a process can be attached to here.
  EXPECT_EQ(AsNobody([&] { return Attach(other); }), 0);
  EXPECT_EQ(AsNobody([&] { return OpenMemory(other); }), 0);
  ASSERT_EQ(waitpid(vaultd, nullptr, WNOHANG), 0) << "it has ended";
  EXPECT_EQ(AsNobody([&] { return Attach(vaultd); }), EPERM);
  EXPECT_EQ(AsNobody([&] { return OpenMemory(vaultd); }), EACCES);
  for (const pid_t child : {vaultd, other}) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  box_.RunCommand({"/bin/rm", "-rf", "--", at});
}

// --- The seal as callers see it
// --------------------------------------------------------------------

std::string Unary(const Stubs& stubs, const std::string& method, const std::string& request,
                  grpc::Status* status) {
  grpc::GenericStub stub(stubs.channel);
  grpc::CompletionQueue queue;
  void* tag;
  bool ok = false;
  const auto context = NewContext();
  const auto call = stub.PrepareCall(context.get(), method, &queue);
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  queue.Next(&tag, &ok);
  call->Finish(status, nullptr);
  queue.Next(&tag, &ok);
  std::string out;
  std::vector<grpc::Slice> slices;
  if (response.Valid() && response.Dump(&slices).ok()) {
    for (const grpc::Slice& part : slices) {
      out.append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  return out;
}

// The services that the server itself says it has: ServerReflectionRequest{list_services: ""}, and
// of the answer every name that is one.
std::vector<const google::protobuf::ServiceDescriptor*> ServicesOf(const Stubs& stubs) {
  // So that they are linked in and known below.
  (void)v1::ListJobsRequest::descriptor();
  (void)v1::SealRequest::descriptor();
  (void)v1::ListApprovalsRequest::descriptor();
  (void)v1::ListBackupsRequest::descriptor();
  (void)v1::ListSeatsRequest::descriptor();
  grpc::Status status;
  const std::string listed =
      Unary(stubs, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            std::string("\x3a\x00", 2), &status);
  std::vector<const google::protobuf::ServiceDescriptor*> out;
  const absl::string_view begin = "vault.v1.";
  for (size_t at = listed.find(begin.data()); at != std::string::npos;
       at = listed.find(begin.data(), at + 1)) {
    const std::string name = listed.substr(at, static_cast<uint8_t>(listed[at - 1]));
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    EXPECT_NE(service, nullptr) << "this test does not know " << name;
    if (service != nullptr) out.push_back(service);
  }
  return out;
}

TEST_F(SealedProcess, EveryCallButTheFewIsRefusedAndRecordedLater) {
  const Stubs caller = box_.As("operator-toshima");
  const auto services = ServicesOf(caller);
  EXPECT_GE(services.size(), 7u);
  ASSERT_TRUE(Seal().ok());
  EXPECT_TRUE(Sealed());
  const std::set<std::string> answered = {"vault.v1.VaultService.GetSealStatus",
                                          "vault.v1.VaultService.Unseal"};
  int refused = 0;
  for (const auto* service : services) {
    for (int i = 0; i < service->method_count(); ++i) {
      const auto* method = service->method(i);
      if (answered.count(method->full_name()) != 0) continue;
      grpc::Status status;
      Unary(caller, absl::StrCat("/", service->full_name(), "/", method->name()), "", &status);
      const Details details = DetailsOf(status);
      EXPECT_EQ(details.code, grpc::StatusCode::FAILED_PRECONDITION) << method->full_name();
      EXPECT_EQ(details.reason, "SEALED") << method->full_name();
      ++refused;
    }
  }
  EXPECT_GE(refused, 30);
  // Health and reflection go on; health says that nothing is served.
  grpc::Status status;
  EXPECT_EQ(Unary(caller, "/grpc.health.v1.Health/Check", "", &status), "\x08\x02");
  EXPECT_EQ(ServicesOf(caller).size(), services.size());
  // Whoever may not unseal is told so, sealed or not.
  const Details denied = DetailsOf(Unseal("operator-toshima"));
  EXPECT_EQ(denied.code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Sealed());

  const grpc::Status unsealed = Unseal();
  ASSERT_TRUE(unsealed.ok()) << unsealed.error_message();
  EXPECT_FALSE(Sealed());
  EXPECT_EQ(Unary(caller, "/grpc.health.v1.Health/Check", "", &status), "\x08\x01");
  int counted = 0, denials = 0;
  bool sealed_entry = false, unsealed_entry = false;
  for (const Entry& entry : box_.Entries("security", "service")) {
    const std::string action = entry.Get("action");
    sealed_entry |= action == "vault.seal" && entry.Get("outcome") == "OK";
    unsealed_entry |= action == "vault.unseal" && entry.Get("outcome") == "OK";
    if (entry.Get("rule") == "vault.sealed") {
      EXPECT_EQ(entry.Get("actor"), "urn:vault:operator-toshima");
      EXPECT_EQ(entry.Get("decision"), "DENY");
      EXPECT_EQ(entry.Get("outcome"), "FAILED_PRECONDITION");
      counted += std::stoi(entry.Get("count"));
    }
    denials += action == "vault.unseal" && entry.Get("outcome") == "PERMISSION_DENIED";
  }
  EXPECT_TRUE(sealed_entry);
  EXPECT_TRUE(unsealed_entry);
  EXPECT_EQ(counted, refused);
  EXPECT_EQ(denials, 1);
  EXPECT_TRUE(Lookup(caller, GeneratedPeople(kToshima, 1, kSeed)[0]).ok());
  EXPECT_EQ(box_.Run("security", {"audit", "verify", "--log", "service"}).exit_code, 0);
}

TEST_F(SealedProcess, SealAndUnsealAreRefusedToOthersAndWhereTheyMakeNoSense) {
  EXPECT_EQ(DetailsOf(Seal("operator-toshima")).code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_FALSE(Sealed());
  const Details open = DetailsOf(Unseal());
  EXPECT_EQ(open.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(open.reason, "NOT_SEALED");
  ASSERT_TRUE(Seal().ok());
  EXPECT_EQ(DetailsOf(Seal()).reason, "SEALED");
  // Without its root key it stays as it is, and says why to whoever runs it alone.
  const std::string root = box_.dir() + "/root.key";
  ASSERT_EQ(rename(root.c_str(), (root + ".away").c_str()), 0);
  const grpc::Status status = Unseal();
  EXPECT_EQ(DetailsOf(status).reason, "CANNOT_UNSEAL");
  EXPECT_THAT(status.error_message(), ::testing::Not(HasSubstr("root.key")));
  EXPECT_THAT(box_.log(), HasSubstr("cannot unseal"));
  EXPECT_TRUE(Sealed());
  ASSERT_EQ(rename((root + ".away").c_str(), root.c_str()), 0);
  EXPECT_TRUE(Unseal().ok());
  bool found = false;
  for (const Entry& entry : box_.Entries("security", "service")) {
    found |= entry.Get("rule") == "vault.cannot_unseal";
  }
  EXPECT_TRUE(found);
}

TEST_F(SealedProcess, AJobGoesOnAfterTheUnseal) {
  const Stubs security = box_.As("security");
  v1::RotateKeysRequest request;
  request.set_tenant_id(kToshima);
  request.set_kind(v1::KEY_KIND_KEK);
  request.set_rows_per_second(60);
  v1::RotateKeysResponse begun;
  const grpc::Status status = security.keys->RotateKeys(NewContext().get(), request, &begun);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(Seal().ok());
  ASSERT_TRUE(Unseal().ok());
  const auto jobs = v1::JobService::NewStub(security.channel);
  v1::GetJobRequest get;
  get.set_log_id(kToshima);
  get.set_job_id(begun.job().id());
  v1::GetJobResponse job;
  ASSERT_TRUE(jobs->GetJob(NewContext().get(), get, &job).ok());
  EXPECT_EQ(job.job().state(), v1::JOB_STATE_RUNNING);
  for (const absl::Time end = absl::Now() + absl::Seconds(30);
       job.job().state() == v1::JOB_STATE_RUNNING && absl::Now() < end;) {
    absl::SleepFor(absl::Milliseconds(200));
    ASSERT_TRUE(jobs->GetJob(NewContext().get(), get, &job).ok());
  }
  EXPECT_EQ(job.job().state(), v1::JOB_STATE_DONE);
  EXPECT_EQ(job.job().left(), 0u);
}

// Takes a kilobyte at a time, and only when its caller reads.
std::shared_ptr<grpc::Channel> NarrowChannel(const Sandbox& box, const std::string& persona) {
  const std::string stem = absl::StrCat(box.dir(), "/certs/", persona);
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ReadFileOrDie(box.dir() + "/certs/ca.pem");
  tls.pem_cert_chain = ReadFileOrDie(stem + ".pem");
  tls.pem_private_key = ReadFileOrDie(stem + ".key");
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("vault");
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return grpc::CreateCustomChannel(box.address(), grpc::SslCredentials(tls), arguments);
}

// An import that waits for its caller's next row, and an export whose caller reads nothing.
TEST_F(SealedProcess, ASealWaitsForNobody) {
  Load();
  const Stubs service = box_.As("booking-service");
  const auto import_context = NewContext(absl::Seconds(60));
  const auto import = service.residents->ImportResidents(import_context.get());
  v1::ImportResidentsRequest open;
  open.mutable_open()->set_tenant_id(kToshima);
  ASSERT_TRUE(import->Write(open));
  const Stubs narrow(NarrowChannel(box_, "compliance-toshima"));
  const auto export_context = NewContext(absl::Seconds(60));
  v1::ExportLogRequest request;
  request.set_log_id(kToshima);
  const auto exported = narrow.audit->ExportLog(export_context.get(), request);
  absl::SleepFor(absl::Milliseconds(500));
  const absl::Time begun = absl::Now();
  ASSERT_TRUE(Seal().ok());
  v1::ImportResidentsResponse rows;
  EXPECT_FALSE(import->Read(&rows));
  EXPECT_FALSE(import->Finish().ok());
  v1::ExportLogResponse part;
  while (exported->Read(&part)) {
  }
  EXPECT_FALSE(exported->Finish().ok());
  EXPECT_LT(absl::Now() - begun, absl::Seconds(15));
  EXPECT_TRUE(Unseal().ok());
}

TEST_F(SealedProcess, CallsThatRaceSealsGetAnAnswerAndAnEntry) {
  std::atomic<bool> stop{false};
  std::atomic<int> good{0}, refused{0}, others{0};
  const auto people = GeneratedPeople(kToshima, 20, kSeed);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const Stubs stubs = box_.As("operator-toshima");
      for (size_t n = 0; !stop; ++n) {
        const grpc::Status status = Lookup(stubs, people[n % people.size()]);
        const Details details = DetailsOf(status);
        if (status.ok()) {
          ++good;
        } else if (details.reason == "SEALED") {
          ++refused;
        } else if (details.reason != "STOPPING") {
          ++others;
        }
      }
    });
  }
  std::vector<std::thread> sealers;
  std::atomic<int> seals{0}, unseals{0};
  for (int i = 0; i < 2; ++i) {
    sealers.emplace_back([&] {
      for (int n = 0; n < 5; ++n) {
        seals += Seal().ok();
        unseals += Unseal("security-2").ok();
      }
    });
  }
  for (std::thread& thread : sealers) thread.join();
  (void)Unseal();
  stop = true;
  for (std::thread& thread : callers) thread.join();
  EXPECT_GT(seals, 0);
  EXPECT_GT(unseals, 0);
  EXPECT_GT(good, 0);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(others, 0);
  // The attempts of the last seals have their entries at the latest when the vault stops.
  ASSERT_TRUE(box_.Down());
  ASSERT_TRUE(box_.Start());
  int counted = 0, sealed = 0, unsealed = 0, found = 0;
  for (const Entry& entry : box_.Entries("security", "service")) {
    const std::string action = entry.Get("action");
    if (entry.Get("rule") == "vault.sealed" && action == "resident.lookup") {
      counted += std::stoi(entry.Get("count"));
    }
    sealed += action == "vault.seal" && entry.Get("outcome") == "OK";
    unsealed += action == "vault.unseal" && entry.Get("outcome") == "OK";
  }
  v1::ListEntriesRequest lookups;
  lookups.set_log_id(kToshima);
  lookups.set_action("resident.lookup");
  std::set<std::string> requests;
  for (const Entry& entry : box_.Entries("compliance-toshima", lookups)) {
    requests.insert(entry.Get("request"));
  }
  found = static_cast<int>(requests.size());
  EXPECT_EQ(counted, refused);
  EXPECT_GE(sealed, seals);
  EXPECT_EQ(unsealed, unseals);
  EXPECT_GE(found, good);
  EXPECT_EQ(box_.Run("compliance-toshima", {"audit", "verify", "--tenant", kToshima}).exit_code, 0);
}

TEST_F(SealedProcess, SigtermEndsASealedVaultAndOneThatIsBeingSealed) {
  ASSERT_TRUE(Seal().ok());
  ASSERT_TRUE(box_.Down());
  EXPECT_THAT(box_.log(), HasSubstr("stopping"));
  ASSERT_TRUE(box_.Start());
  EXPECT_FALSE(Sealed());
  std::thread sealing([this] { (void)Seal(); });
  ASSERT_TRUE(box_.Down());
  sealing.join();
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(box_.Run("security", {"audit", "verify", "--log", "service"}).exit_code, 0);
}

// --- The root key's file, as a rotation that was cut short leaves it -----------------------------

class RootKeyFiles : public SealedProcess {
 protected:
  std::string Root() const { return box_.dir() + "/root.key"; }
  void MakeNext() {
    ASSERT_EQ(box_.RunCommand({VAULT_BIN_DIR "/vaultd", "--create_root_key=" + Root() + ".next"})
                  .exit_code,
              0);
  }
  void ResealUnderNext() {
    auto arena = crypto::KeyArena::New(1024);
    ASSERT_TRUE(arena.ok());
    auto old_root = keys::RootKey::Load(Root(), arena->get());
    auto next_root = keys::RootKey::Load(Root() + ".next", arena->get());
    ASSERT_TRUE(old_root.ok() && next_root.ok());
    auto ring = keys::Keyring::Open(box_.dir() + "/keyring", *std::move(old_root), arena->get(),
                                    &SystemRandom(), &RealClock());
    ASSERT_TRUE(ring.ok()) << ring.status();
    const absl::Status resealed = (*ring)->Reseal(*std::move(next_root));
    ASSERT_TRUE(resealed.ok()) << resealed;
  }
};

TEST_F(RootKeyFiles, TheNextOneIsTakenWhereItAloneOpensTheKeyring) {
  ASSERT_TRUE(box_.Down());
  MakeNext();
  const std::string next = ReadFileOrDie(Root() + ".next");
  ResealUnderNext();
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(ReadFileOrDie(Root()), next);
  EXPECT_NE(access((Root() + ".next").c_str(), F_OK), 0);
  EXPECT_THAT(box_.log(), HasSubstr("a rotation of the root key was cut short"));
  EXPECT_TRUE(Lookup(box_.As("operator-toshima"), GeneratedPeople(kToshima, 1, kSeed)[0]).ok());
  // From then on it is the one.
  ASSERT_TRUE(box_.Down());
  ASSERT_TRUE(box_.Start());
}

TEST_F(RootKeyFiles, TheNextOneIsTakenByAnUnsealToo) {
  ASSERT_TRUE(Seal().ok());
  MakeNext();
  ResealUnderNext();
  ASSERT_TRUE(Unseal().ok());
  EXPECT_NE(access((Root() + ".next").c_str(), F_OK), 0);
}

TEST_F(RootKeyFiles, TheNextOneIsLeftAloneWhereItIsNotNeededOrDoesNotHelp) {
  ASSERT_TRUE(box_.Down());
  MakeNext();
  const std::string ours = ReadFileOrDie(Root());
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(ReadFileOrDie(Root()), ours);
  EXPECT_EQ(access((Root() + ".next").c_str(), F_OK), 0);
  ASSERT_TRUE(box_.Down());
  // Neither of the two is the one.
  ASSERT_EQ(rename(Root().c_str(), (Root() + ".good").c_str()), 0);
  ASSERT_EQ(box_.RunCommand({VAULT_BIN_DIR "/vaultd", "--create_root_key=" + Root()}).exit_code, 0);
  const CommandResult refused = box_.RunVaultd({});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("the root key does not open this keyring"));
  EXPECT_EQ(access((Root() + ".next").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace vault::testing
