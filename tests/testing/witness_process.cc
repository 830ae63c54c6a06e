#include "tests/testing/witness_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "vault/base/logging.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/proof.h"

extern char** environ;

namespace vault::testing {
namespace {

constexpr char kProgram[] = VAULT_BIN_DIR "/vault-witness";

// Standard output and error to files. The child dies with this process.
pid_t Spawn(const std::vector<std::string>& arguments, const std::string& out,
            const std::string& err) {
  std::vector<std::string> argv = {"/usr/bin/setpriv", "--pdeathsig", "KILL", kProgram};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<char*> args;
  for (std::string& arg : argv) args.push_back(arg.data());
  args.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, args[0], &files, nullptr, args.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  VAULT_CHECK(failed == 0) << "cannot run " << argv[0];
  return pid;
}

int Reap(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  VAULT_CHECK(absl::SimpleAtoi(address.substr(colon + 1), &port));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) return fd;
  close(fd);
  return -1;
}

bool SendAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

SecretBytes<32> SeedOf(uint8_t fill) {
  SecretBytes<32> seed;
  std::fill(seed.mutable_data(), seed.mutable_data() + seed.size(), fill);
  return seed;
}

tlog::VerifierKey LogKey(const std::string& name, uint8_t seed) {
  return {name, tlog::NoteAlgorithm::kEd25519,
          crypto::PublicKeyOf(crypto::SigningSeed(SeedOf(seed)))};
}

tlog::VerifierKey WitnessKey(const std::string& name, uint8_t seed) {
  return {name, tlog::NoteAlgorithm::kCosignatureV1,
          crypto::PublicKeyOf(crypto::SigningSeed(SeedOf(seed)))};
}

crypto::Digest TestLog::Subtree(uint32_t level, uint64_t index) const {
  if (level == 0) {
    return tlog::LeafHash(absl::StrCat(index < fork_at_ ? "entry " : "another ", index));
  }
  return tlog::NodeHash(Subtree(level - 1, 2 * index), Subtree(level - 1, 2 * index + 1));
}

std::string TestLog::Note(uint64_t size) const {
  const auto read = [this](uint32_t level, uint64_t index) {
    return absl::StatusOr<crypto::Digest>(Subtree(level, index));
  };
  const std::string text =
      tlog::FormatCheckpoint({key.name, size, tlog::RootAt(size, read).value()});
  const SecretBytes<32> seed = SeedOf(seed_);
  return tlog::FormatNote(text, {tlog::SignNote(text, key, crypto::SigningSeed(seed))});
}

std::vector<crypto::Digest> TestLog::Proof(uint64_t old_size, uint64_t size) const {
  const auto read = [this](uint32_t level, uint64_t index) {
    return absl::StatusOr<crypto::Digest>(Subtree(level, index));
  };
  return tlog::ConsistencyProof(old_size, size, read).value();
}

std::string TestLog::Request(uint64_t old_size, uint64_t size) const {
  return tlog::FormatAddCheckpoint({old_size, Proof(old_size, size), Note(size)});
}

TempFolder::TempFolder() {
  const char* temporary = std::getenv("TMPDIR");
  path_ = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/vault-witness.XXXXXX");
  VAULT_CHECK(mkdtemp(path_.data()) != nullptr) << "cannot make " << path_;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

void WriteBytes(const std::string& path, absl::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), bytes.size());
  out.close();
  VAULT_CHECK(static_cast<bool>(out)) << "cannot write " << path;
}

Ended RunWitness(const std::vector<std::string>& arguments) {
  const TempFolder folder;
  const std::string out = folder.path() + "/out", err = folder.path() + "/err";
  const pid_t pid = Spawn(arguments, out, err);
  int status = 0;
  const bool ended =
      WaitUntil([&] { return waitpid(pid, &status, WNOHANG) == pid; }, absl::Seconds(20));
  Ended result;
  if (!ended) {
    kill(pid, SIGKILL);
    Reap(pid);
  } else if (WIFEXITED(status)) {
    result.exit_code = WEXITSTATUS(status);
  }
  result.out = ReadBytes(out);
  result.err = ReadBytes(err);
  return result;
}

WitnessProcess::WitnessProcess(std::string name, const std::vector<tlog::VerifierKey>& logs)
    : name_(std::move(name)) {
  for (const tlog::VerifierKey& log : logs) log_flags_.push_back("--log=" + log.Format());
  const Ended made = RunWitness({"keygen", "--name", name_, "--out", dir() + "/key"});
  VAULT_CHECK(made.exit_code == 0) << made.err;
  key_ = tlog::ParseVerifierKey(absl::StripAsciiWhitespace(made.out)).value();
}

WitnessProcess::~WitnessProcess() { Kill(); }

bool WitnessProcess::Start() {
  const std::string address_file = dir() + "/address";
  unlink(address_file.c_str());
  std::vector<std::string> arguments = {"--name=" + name_, "--key=" + dir() + "/key",
                                        "--state=" + state_dir(), "--listen=" + address_,
                                        "--address_file=" + address_file};
  arguments.insert(arguments.end(), log_flags_.begin(), log_flags_.end());
  if (!begun_) arguments.push_back("--init");
  pid_ = Spawn(arguments, dir() + "/out", dir() + "/err");
  const bool up = WaitUntil([&] { return !ReadBytes(address_file).empty(); });
  if (!up) return false;
  begun_ = true;
  address_ = std::string(absl::StripAsciiWhitespace(ReadBytes(address_file)));
  return true;
}

void WitnessProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  Reap(pid_);
  pid_ = -1;
}

void WitnessProcess::Pause() { kill(pid_, SIGSTOP); }
void WitnessProcess::Resume() { kill(pid_, SIGCONT); }

int WitnessProcess::Stop() {
  kill(pid_, SIGTERM);
  const int code = Reap(pid_);
  pid_ = -1;
  return code;
}

RawServer::RawServer(Behaviour behave) : behave_(std::move(behave)) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  VAULT_CHECK(bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0 && listen(fd_, 64) == 0);
  socklen_t size = sizeof(at);
  getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this] { Accept(); });
}

RawServer::~RawServer() {
  stop_ = true;
  thread_.join();
  std::vector<std::thread> connections;
  {
    MutexLock lock(&mu_);
    connections.swap(connections_);
  }
  for (std::thread& connection : connections) connection.join();
  close(fd_);
}

std::string RawServer::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

void RawServer::Accept() {
  while (!stop_) {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, 50) <= 0) continue;
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    MutexLock lock(&mu_);
    connections_.emplace_back([this, fd] { Serve(fd); });
  }
}

void RawServer::Serve(int fd) {
  std::string request;
  size_t want = std::string::npos;
  while (!stop_ && request.size() < want) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, 50) <= 0) continue;
    char buffer[4096];
    const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0) break;
    request.append(buffer, static_cast<size_t>(n));
    const size_t end = request.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const std::string headers = absl::AsciiStrToLower(request.substr(0, end));
    const size_t length = headers.find("content-length: ");
    want = end + 4 + (length == std::string::npos ? 0 : std::atoll(headers.c_str() + length + 16));
  }
  if (request.size() >= want) {
    ++requests_;
    const std::string answer = behave_(request.substr(request.find("\r\n\r\n") + 4));
    while (answer.empty() && !stop_) absl::SleepFor(absl::Milliseconds(20));
    SendAll(fd, answer);
  }
  close(fd);
}

std::string HttpAnswer(int status, absl::string_view body, absl::string_view headers) {
  return absl::StrCat("HTTP/1.1 ", status,
                      " Whatever\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n",
                      headers, "\r\n", body);
}

HttpResult SendRaw(const std::string& address, absl::string_view request) {
  HttpResult result;
  const int fd = Connect(address);
  if (fd < 0) return result;
  SendAll(fd, request);
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, n);
  close(fd);
  while (absl::StartsWith(answer, "HTTP/1.1 100")) answer.erase(0, answer.find("\r\n\r\n") + 4);
  const size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos || !absl::StartsWith(answer, "HTTP/1.1 ")) return result;
  result.status = std::atoi(answer.c_str() + 9);
  result.headers = answer.substr(0, end);
  result.body = answer.substr(end + 4);
  return result;
}

HttpResult HttpPost(const std::string& address, absl::string_view path, absl::string_view body) {
  return SendRaw(address, absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: ", address,
                                       "\r\nConnection: close\r\nContent-Length: ", body.size(),
                                       "\r\n\r\n", body));
}

HttpResult HttpGet(const std::string& address, absl::string_view path) {
  return SendRaw(address, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", address,
                                       "\r\nConnection: close\r\n\r\n"));
}

bool WaitUntil(const std::function<bool()>& condition, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

}  // namespace vault::testing
