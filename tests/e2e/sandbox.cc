#include "tests/e2e/sandbox.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "vault/base/ids.h"
#include "vault/base/logging.h"

extern char** environ;

namespace vault::testing {
namespace {

constexpr char kScript[] = VAULT_SOURCE_DIR "/deploy/sandbox";
constexpr char kBin[] = VAULT_BIN_DIR;

// Waits for the child's end, at most `timeout`; then it is killed. Its exit code, or -1.
int WaitFor(pid_t pid, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  int status = 0;
  absl::Duration pause = absl::Milliseconds(1);
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (absl::Now() > deadline) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return -1;
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Milliseconds(20));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

pid_t Spawn(const std::vector<std::string>& argv, posix_spawn_file_actions_t* files) {
  std::vector<char*> args;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, args[0], files, nullptr, args.data(), environ);
  VAULT_CHECK(failed == 0) << "cannot run " << argv[0];
  return pid;
}

}  // namespace

std::string ReadFileOrDie(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  VAULT_CHECK(static_cast<bool>(in)) << "cannot read " << path;
  return bytes.str();
}

void WriteFileOrDie(const std::string& path, absl::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), bytes.size());
  out.close();
  VAULT_CHECK(static_cast<bool>(out)) << "cannot write " << path;
}

std::string RosterTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", time, absl::FixedTimeZone(9 * 60 * 60));
}

std::string RosterOf(const std::vector<std::string>& subjects, absl::Time until,
                     absl::string_view role, absl::string_view programme) {
  std::string csv = "subject,programme,role,from,until,shift,contacts_max,trained_on\n";
  const std::string from = RosterTime(absl::Now() - absl::Minutes(1));
  for (const std::string& subject : subjects) {
    absl::StrAppend(&csv, subject, ",", programme, ",", role, ",", from, ",", RosterTime(until),
                    ",00:00-24:00,,\n");
  }
  return csv;
}

Details DetailsOf(const grpc::Status& status) {
  Details out;
  out.code = status.error_code();
  google::rpc::Status message;
  if (!message.ParseFromString(status.error_details())) return out;
  for (const google::protobuf::Any& detail : message.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    if (detail.UnpackTo(&info)) {
      out.reason = info.reason();
      out.domain = info.domain();
      const auto rule = info.metadata().find("rule");
      if (rule != info.metadata().end()) out.rule = rule->second;
      const auto refused = info.metadata().find("refused");
      if (refused != info.metadata().end()) out.refused = refused->second;
    } else if (detail.UnpackTo(&bad)) {
      for (const auto& violation : bad.field_violations()) out.fields.push_back(violation.field());
    } else if (detail.Is<google::rpc::RetryInfo>()) {
      out.has_retry_delay = true;
    }
  }
  return out;
}

Stubs::Stubs(std::shared_ptr<grpc::Channel> to)
    : channel(std::move(to)),
      residents(v1::ResidentService::NewStub(channel)),
      audit(v1::AuditService::NewStub(channel)),
      keys(v1::KeyService::NewStub(channel)),
      jobs(v1::JobService::NewStub(channel)),
      approvals(v1::ApprovalService::NewStub(channel)),
      backups(v1::BackupService::NewStub(channel)),
      vault(v1::VaultService::NewStub(channel)) {}

std::unique_ptr<grpc::ClientContext> NewContext(absl::Duration timeout) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  return context;
}

v1::AccessContext Access(const std::string& purpose, const std::string& contact,
                         const std::string& reason) {
  v1::AccessContext access;
  access.set_purpose(purpose);
  access.set_contact(contact);
  access.set_reason(reason);
  return access;
}

v1::LookupResidentsRequest LookupBy(const std::string& tenant, const std::string& id,
                                    const std::string& value, const std::string& contact,
                                    const std::string& purpose) {
  v1::LookupResidentsRequest request;
  request.set_tenant_id(tenant);
  *request.mutable_context() = Access(purpose, contact);
  v1::FieldValue* criterion = request.add_criteria();
  criterion->set_id(id);
  criterion->set_value(value);
  return request;
}

const v1::Field* FieldOf(const v1::Resident& resident, const std::string& id) {
  for (const v1::Field& field : resident.fields()) {
    if (field.id() == id) return &field;
  }
  return nullptr;
}

Entry::Entry(const v1::EntryRecord& record) : seq_(record.seq()), bytes_(record.entry()) {
  google::protobuf::Struct members;
  const auto parsed = google::protobuf::util::JsonStringToMessage(bytes_, &members);
  EXPECT_TRUE(parsed.ok()) << "entry " << seq_ << " is no JSON object";
  for (const auto& [name, value] : members.fields()) {
    if (value.kind_case() == google::protobuf::Value::kStringValue) {
      members_.emplace_back(name, value.string_value());
    } else {
      EXPECT_EQ(value.kind_case(), google::protobuf::Value::kNumberValue) << name;
      members_.emplace_back(name, absl::StrCat(static_cast<int64_t>(value.number_value())));
    }
  }
}

std::string Entry::Get(const std::string& member) const {
  for (const auto& [name, value] : members_) {
    if (name == member) return value;
  }
  return "";
}

Sandbox::Sandbox() {
  const char* temporary = std::getenv("TMPDIR");
  root_ = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/vault-e2e.XXXXXX");
  VAULT_CHECK(mkdtemp(root_.data()) != nullptr) << "cannot make " << root_;
  dir_ = root_ + "/sandbox";
  work_dir_ = root_ + "/work";
  VAULT_CHECK(mkdir(work_dir_.c_str(), 0700) == 0);
  setenv("VAULT_BIN", kBin, /*overwrite=*/1);

  int ends[2];
  VAULT_CHECK(pipe2(ends, O_CLOEXEC) == 0);
  janitor_pipe_ = ends[1];
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[0], 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  // In a session of its own, so that what kills this process's tree leaves it to its work.
  const pid_t shell =
      Spawn({"/bin/bash", "-c",
             "exec 3<&0; setsid bash -c 'cat <&3; [ -e \"$1/sandbox\" ] && \"$2\" kill "
             "\"$1/sandbox\"; rm -rf -- \"$1\"' janitor \"$1\" \"$2\" &",
             "janitor", root_, kScript},
            &files);
  posix_spawn_file_actions_destroy(&files);
  close(ends[0]);
  WaitFor(shell, absl::Seconds(10));
}

Sandbox::~Sandbox() {
  struct stat made;
  if (stat((dir_ + "/.vault-sandbox").c_str(), &made) == 0) {
    if (::testing::Test::HasFailure()) {
      const std::string text = log();
      std::cerr << "the end of vaultd.log:\n"
                << text.substr(text.size() - std::min<size_t>(text.size(), 4000));
    }
    EXPECT_TRUE(Down());
  }
  RunCommand({"/bin/rm", "-rf", "--", root_});
  close(janitor_pipe_);
}

CommandResult Sandbox::RunCommand(const std::vector<std::string>& argv, absl::Duration timeout) {
  const std::string stem = absl::StrCat(work_dir_, "/command.", commands_.fetch_add(1));
  const std::string out = stem + ".out", err = stem + ".err";
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const pid_t pid = Spawn(argv, &files);
  posix_spawn_file_actions_destroy(&files);
  CommandResult result;
  result.exit_code = WaitFor(pid, timeout);
  struct stat there;
  if (stat(out.c_str(), &there) != 0) return result;  // the command removed the folder
  result.out = ReadFileOrDie(out);
  result.err = ReadFileOrDie(err);
  unlink(out.c_str());
  unlink(err.c_str());
  return result;
}

bool Sandbox::Script(const std::vector<std::string>& arguments, absl::Duration timeout) {
  std::vector<std::string> argv = {kScript};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const CommandResult result = RunCommand(argv, timeout);
  EXPECT_EQ(result.exit_code, 0) << "deploy/sandbox " << arguments[0] << ": " << result.All();
  return result.exit_code == 0;
}

bool Sandbox::Launch(std::vector<std::string> arguments,
                     const std::vector<std::string>& vaultd_flags) {
  arguments.push_back("--");
  arguments.insert(arguments.end(), vaultd_flags.begin(), vaultd_flags.end());
  return Script(arguments, absl::Seconds(60));
}

bool Sandbox::Up(const std::vector<std::string>& vaultd_flags) {
  return Launch({"up", dir_, "--many-attempts"}, vaultd_flags);
}
bool Sandbox::UpAsShipped(const std::vector<std::string>& vaultd_flags) {
  return Launch({"up", dir_}, vaultd_flags);
}
bool Sandbox::Start(const std::vector<std::string>& vaultd_flags) {
  return Launch({"start", dir_}, vaultd_flags);
}
bool Sandbox::Down() { return Script({"down", dir_}, absl::Seconds(30)); }
bool Sandbox::Kill() { return Script({"kill", dir_}, absl::Seconds(30)); }

bool Sandbox::Cert(const std::string& name, const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"cert", dir_, name};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Script(all, absl::Seconds(30));
}

std::string Sandbox::address() const {
  return std::string(absl::StripAsciiWhitespace(ReadFileOrDie(dir_ + "/address")));
}

CommandResult Sandbox::Run(const std::string& persona, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {std::string(kBin) + "/vaultctl", "--profile",
                                   absl::StrCat(dir_, "/profiles/", persona, ".textproto")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunCommand(argv, absl::Seconds(120));
}

CommandResult Sandbox::RunVaultd(const std::vector<std::string>& flags) {
  std::vector<std::string> argv = {std::string(kBin) + "/vaultd",
                                   "--data_dir=" + dir_,
                                   "--policy_dir=" + dir_ + "/policies",
                                   "--subjects=" + dir_ + "/subjects.textproto",
                                   "--root_key=" + dir_ + "/root.key",
                                   "--tls_cert=" + dir_ + "/certs/server.pem",
                                   "--tls_key=" + dir_ + "/certs/server.key",
                                   "--client_ca=" + dir_ + "/certs/ca.pem",
                                   "--deny_list=" + dir_ + "/deny-list",
                                   "--jwks_dir=" + dir_ + "/jwks",
                                   "--log_origin_prefix=vault.sandbox.example/audit",
                                   "--listen=127.0.0.1:0"};
  argv.insert(argv.end(), flags.begin(), flags.end());
  return RunCommand(argv, absl::Seconds(20));
}

std::string Sandbox::Generate(const std::string& tenant, uint64_t count, uint64_t seed) {
  mkdir((dir_ + "/import").c_str(), 0700);
  const std::string path = absl::StrCat(dir_, "/import/", tenant, "-", seed, ".csv");
  const CommandResult made =
      RunCommand({std::string(kBin) + "/residents-gen", "--tenant=" + tenant,
                  absl::StrCat("--count=", count), absl::StrCat("--seed=", seed), "--out=" + path});
  EXPECT_EQ(made.exit_code, 0) << made.All();
  return path;
}

Stubs Sandbox::As(const std::string& persona) const {
  const std::string stem = absl::StrCat(dir_, "/certs/", persona);
  return With(ReadFileOrDie(stem + ".pem"), ReadFileOrDie(stem + ".key"));
}

Stubs Sandbox::With(const std::string& cert_pem, const std::string& key_pem) const {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = ReadFileOrDie(dir_ + "/certs/ca.pem");
  tls.pem_cert_chain = cert_pem;
  tls.pem_private_key = key_pem;
  grpc::ChannelArguments args;
  args.SetSslTargetNameOverride("vault");
  args.SetMaxReceiveMessageSize(64 << 20);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return Stubs(grpc::CreateCustomChannel(address(), grpc::SslCredentials(tls), args));
}

std::vector<Entry> Sandbox::Entries(const std::string& persona,
                                    const v1::ListEntriesRequest& filter) {
  const Stubs raw = As(persona);
  v1::ListEntriesRequest request = filter;
  request.set_page_size(1000);
  std::vector<Entry> entries;
  do {
    v1::ListEntriesResponse page;
    const grpc::Status status = raw.audit->ListEntries(NewContext().get(), request, &page);
    EXPECT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
    if (!status.ok()) break;
    for (const v1::EntryRecord& record : page.entries()) entries.emplace_back(record);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return entries;
}

std::vector<Entry> Sandbox::Entries(const std::string& persona, const std::string& log_id) {
  v1::ListEntriesRequest all;
  all.set_log_id(log_id);
  return Entries(persona, all);
}

std::vector<GeneratedResident> GeneratedPeople(const std::string& tenant, uint64_t count,
                                               uint64_t seed) {
  ResidentGenerator generator(*TenantId::Parse(tenant), seed);
  std::vector<GeneratedResident> people;
  people.reserve(count);
  for (uint64_t i = 0; i < count; ++i) people.push_back(generator.Next());
  return people;
}

}  // namespace vault::testing
