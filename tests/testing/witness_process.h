// What tests about witnesses share: a log that need not be stored, a vault-witness in a process of
// its own, a server that behaves as it is told, and one HTTP request.
#ifndef VAULT_TESTS_TESTING_WITNESS_PROCESS_H_
#define VAULT_TESTS_TESTING_WITNESS_PROCESS_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vault/base/mutex.h"
#include "vault/base/secret.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/note.h"

namespace vault::testing {

SecretBytes<32> SeedOf(uint8_t fill);
tlog::VerifierKey LogKey(const std::string& name, uint8_t seed);
tlog::VerifierKey WitnessKey(const std::string& name, uint8_t seed);

// Its entries follow from their numbers. Small sizes only: every proof hashes from the leaves.
class TestLog {
 public:
  // From `fork_at` on the entries are others than those of the same log without it.
  explicit TestLog(std::string origin, uint8_t seed = 1, uint64_t fork_at = UINT64_MAX)
      : key(LogKey(origin, seed)), seed_(seed), fork_at_(fork_at) {}

  // The signed note of the first `size` entries.
  std::string Note(uint64_t size) const;
  std::vector<crypto::Digest> Proof(uint64_t old_size, uint64_t size) const;
  // A witness's request.
  std::string Request(uint64_t old_size, uint64_t size) const;

  const tlog::VerifierKey key;

 private:
  crypto::Digest Subtree(uint32_t level, uint64_t index) const;

  const uint8_t seed_;
  const uint64_t fork_at_;
};

// A folder that goes with it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string ReadBytes(const std::string& path);
void WriteBytes(const std::string& path, absl::string_view bytes);

// How a program ended and what it said.
struct Ended {
  int exit_code = -1;  // -1 after a signal
  std::string out, err;
};
// Runs the built vault-witness to its end, or for 20 seconds.
Ended RunWitness(const std::vector<std::string>& arguments);

// A vault-witness on a port of its own, killed when this goes, also when the test itself dies.
class WitnessProcess {
 public:
  WitnessProcess(std::string name, const std::vector<tlog::VerifierKey>& logs);
  ~WitnessProcess();

  // False where it did not come up. The first start makes key and state; later ones use the same
  // port again.
  bool Start();
  // SIGKILL.
  void Kill();
  // SIGSTOP: it takes connections, as the kernel does for it, and answers none; SIGCONT.
  void Pause();
  void Resume();
  // SIGTERM; its exit code.
  int Stop();

  std::string url() const { return "http://" + address_; }
  const std::string& address() const { return address_; }
  const tlog::VerifierKey& key() const { return key_; }
  const std::string& dir() const { return folder_.path(); }
  // What it cosigned. For a copy, and for putting that back, while it does not run.
  std::string state_dir() const { return dir() + "/state"; }

 private:
  const std::string name_;
  TempFolder folder_;
  std::vector<std::string> log_flags_;
  std::string address_ = "127.0.0.1:0";
  tlog::VerifierKey key_;
  bool begun_ = false;
  pid_t pid_ = -1;
};

// Accepts on loopback and answers what `behave` makes of a request's body: raw bytes, headers
// included. Empty: it never answers. Then the connection is closed.
class RawServer {
 public:
  using Behaviour = std::function<std::string(const std::string& body)>;
  explicit RawServer(Behaviour behave);
  ~RawServer();

  std::string url() const;
  int requests() const { return requests_; }

 private:
  void Accept();
  void Serve(int fd);

  const Behaviour behave_;
  int fd_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> requests_{0};
  Mutex mu_;
  std::vector<std::thread> connections_ VAULT_GUARDED_BY(mu_);
  std::thread thread_;
};

// With Content-Length and "Connection: close".
std::string HttpAnswer(int status, absl::string_view body, absl::string_view headers = "");

struct HttpResult {
  int status = -1;  // -1: no whole answer came
  std::string headers, body;
};
// Sends `request` as it stands and reads until the server closes.
HttpResult SendRaw(const std::string& address, absl::string_view request);
HttpResult HttpPost(const std::string& address, absl::string_view path, absl::string_view body);
HttpResult HttpGet(const std::string& address, absl::string_view path);

// False where `condition` did not come true in time.
bool WaitUntil(const std::function<bool()>& condition, absl::Duration timeout = absl::Seconds(15));

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_WITNESS_PROCESS_H_
