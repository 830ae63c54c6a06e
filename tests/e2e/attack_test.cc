// Attacks on a vault that serves: floods of HTTP/2 frames, connections that hold descriptors, lines
// for the log. What is asked for is that others do not notice.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/e2e/raw_http2.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// An attacker has an address of its own, so that what is held per address does not hold the others.
constexpr char kElsewhere[] = "127.0.0.66";
constexpr char kLookupPath[] = "/vault.v1.ResidentService/LookupResidents";

class Attack : public WithSandbox<Attack> {
 protected:
  static void SetUpTestSuite() {
    // OpenSSL writes to sockets that the vault has closed.
    signal(SIGPIPE, SIG_IGN);
    WithSandbox::SetUpTestSuite();
  }

  static std::string Pem(const std::string& name) {
    return box().dir() + "/certs/" + name + ".pem";
  }
  static std::string Key(const std::string& name) {
    return box().dir() + "/certs/" + name + ".key";
  }

  static grpc::Status AskHead(const Stubs& stubs, absl::Duration timeout = absl::Seconds(20)) {
    v1::GetHeadRequest request;
    request.set_log_id("service");
    v1::GetHeadResponse response;
    return stubs.audit->GetHead(NewContext(timeout).get(), request, &response);
  }

  static int64_t ServerPid() {
    int64_t pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(ReadFileOrDie(box().dir() + "/vaultd.pid"), &pid));
    return pid;
  }
  // What the server holds in memory, in MiB.
  static int64_t MemoryMib() {
    std::ifstream in(absl::StrCat("/proc/", ServerPid(), "/status"));
    for (std::string line; std::getline(in, line);) {
      int64_t kib = 0;
      const std::vector<std::string> words =
          absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (words[0] == "VmRSS:" && absl::SimpleAtoi(words[1], &kib)) return kib >> 10;
    }
    ADD_FAILURE() << "no VmRSS";
    return 0;
  }

  // The 99th percentile of `count` answered calls one after the other, in milliseconds.
  static double P99(const Stubs& stubs, int count) {
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const absl::Time begin = absl::Now();
      const grpc::Status status = AskHead(stubs);
      EXPECT_TRUE(status.ok()) << status.error_message();
      times.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
    }
    std::sort(times.begin(), times.end());
    return times[count * 99 / 100];
  }
  static double Median(std::vector<double> of) {
    std::sort(of.begin(), of.end());
    return of[of.size() / 2];
  }
};

// `count` calls, each opened and reset.
std::string ResetCalls(int count, uint32_t first_stream = 1) {
  const std::string headers = CallHeaders(kLookupPath);
  std::string out;
  for (uint32_t i = 0; i < count; ++i) {
    out += Frame(kHeadersFrame, kEndHeaders, first_stream + 2 * i, headers);
    out += Frame(kResetFrame, 0, first_stream + 2 * i, std::string("\0\0\0\x08", 4));
  }
  return out;
}

// Opens and resets calls for as long as it lives, on one connection after the other.
class RapidReset {
 public:
  RapidReset(std::string address, std::string cert, std::string key)
      : thread_([this, address, cert, key] { Run(address, cert, key); }) {}
  ~RapidReset() {
    stop_.store(true);
    thread_.join();
  }
  int64_t calls() const { return calls_.load(); }

 private:
  void Run(const std::string& address, const std::string& cert, const std::string& key) {
    while (!stop_.load()) {
      RawHttp2 connection(address, cert, key, kElsewhere);
      if (!connection.good() || !connection.Begin()) {
        absl::SleepFor(absl::Milliseconds(1));
        continue;
      }
      for (uint32_t stream = 1; !stop_.load(); stream += 200) {
        if (!connection.Write(ResetCalls(100, stream))) break;
        calls_ += 100;
      }
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<int64_t> calls_{0};
  std::thread thread_;
};

TEST_F(Attack, RapidResetFromAValidCertificateIsNotNoticedByOthers) {
  const Stubs other = box().As("security-2");
  P99(other, 200);
  const int64_t before = MemoryMib();
  std::vector<double> idle, attacked;
  int64_t most = before, calls = 0;
  for (int round = 0; round < 5; ++round) {
    idle.push_back(P99(other, 200));
    const RapidReset attack(box().address(), Pem("operator-toshima"), Key("operator-toshima"));
    absl::SleepFor(absl::Milliseconds(200));
    attacked.push_back(P99(other, 200));
    most = std::max(most, MemoryMib());
    calls += attack.calls();
  }
  EXPECT_GT(calls, 0);
  // 721,000 of them took 13 GB where nothing bounded them.
  EXPECT_LT(most - before, 100);
  EXPECT_LE(Median(attacked), std::max(2 * Median(idle), Median(idle) + 15))
      << "idle " << Median(idle) << " ms; calls that were reset: " << calls;
  EXPECT_THAT(box().log(), HasSubstr("more calls given up, or idle frames"));
}

TEST_F(Attack, RapidResetFromADeniedCertificateOpensNoCall) {
  ASSERT_TRUE(box().Cert("outcast", {"--days", "1"}));
  ASSERT_TRUE(box().Cert("outcast", {"--deny"}));
  const Stubs other = box().As("security-2");
  const int64_t before = MemoryMib();
  std::vector<double> idle, attacked;
  for (int round = 0; round < 5; ++round) {
    idle.push_back(P99(other, 200));
    const RapidReset attack(box().address(), Pem("outcast"), Key("outcast"));
    attacked.push_back(P99(other, 200));
  }
  EXPECT_LT(MemoryMib() - before, 50);
  EXPECT_LE(Median(attacked), std::max(2 * Median(idle), Median(idle) + 15)) << Median(idle);
  // In the handshake already: nothing of HTTP/2 comes back.
  RawHttp2 connection(box().address(), Pem("outcast"), Key("outcast"), "127.0.0.67");
  connection.Begin();
  EXPECT_TRUE(connection.Closes(absl::Seconds(10)));
  EXPECT_EQ(connection.received(), "");
}

TEST_F(Attack, ANewConnectionDoesNotWipeTheDebtOut) {
  ASSERT_TRUE(box().Cert("spender", {"--days", "1"}));
  ASSERT_TRUE(box().Cert("thrifty", {"--days", "1"}));
  // Each within what one connection may owe.
  const std::string some = ResetCalls(400);
  int closed = 0;
  for (int i = 0; i < 8; ++i) {
    RawHttp2 connection(box().address(), Pem("spender"), Key("spender"), "127.0.0.69");
    connection.Begin();
    closed += !connection.Write(some) || connection.Closes(absl::Milliseconds(200));
  }
  EXPECT_GE(closed, 1);
  EXPECT_LE(closed, 4) << "2,048 are a certificate's";
  RawHttp2 other(box().address(), Pem("thrifty"), Key("thrifty"), "127.0.0.69");
  EXPECT_TRUE(other.Begin());
  EXPECT_TRUE(other.Write(some));
  EXPECT_FALSE(other.Closes(absl::Milliseconds(500)));
}

struct Flood {
  std::string name;
  std::string opening, repeated;
};
std::string Many(const std::string& frame, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += frame;
  return out;
}

TEST_F(Attack, FloodsOfFramesEndTheirConnection) {
  const std::string headers = CallHeaders(kLookupPath);
  // A literal header whose value is announced as 2 GiB.
  const std::string huge("\0\x01x\x7f\x80\xff\xff\xff\x07", 9);
  const std::string open = Frame(kHeadersFrame, kEndHeaders, 1, headers);
  const std::string half = Frame(kHeadersFrame, 0, 1, headers + huge);
  const std::vector<Flood> floods = {
      {"2 GiB of header", half, Frame(kContinuationFrame, 0, 1, std::string(16384, 'x'))},
      {"empty CONTINUATION", half, Many(Frame(kContinuationFrame, 0, 1, ""), 100)},
      {"SETTINGS", "",
       Many(Frame(kSettingsFrame, 0, 0, std::string("\0\x04\0\0\xff\xff", 6)), 100)},
      {"PING", "", Many(Frame(kPingFrame, 0, 0, "12345678"), 100)},
      {"PRIORITY", "", Many(Frame(kPriorityFrame, 0, 3, std::string("\0\0\0\0\x10", 5)), 100)},
      {"empty DATA", open, Many(Frame(kDataFrame, 0, 1, ""), 100)},
      {"one byte of DATA", open, Many(Frame(kDataFrame, 0, 1, std::string(1, '\0')), 100)},
      {"WINDOW_UPDATE", open, Many(Frame(kWindowFrame, 0, 0, std::string("\0\0\0\x01", 4)), 100)},
      {"RST_STREAM", open, Many(Frame(kResetFrame, 0, 1, std::string("\0\0\0\x08", 4)), 100)},
      {"unknown frames", "", Many(Frame(0xfa, 0, 0, "x"), 100)},
  };
  const Stubs other = box().As("security-2");
  for (const Flood& flood : floods) {
    SCOPED_TRACE(flood.name);
    const int64_t before = MemoryMib();
    const std::string name = absl::StrCat("flood-", &flood - &floods[0]);
    ASSERT_TRUE(box().Cert(name, {"--days", "1"}));
    // Two of them, as it takes to stop a server without bounds.
    RawHttp2 first(box().address(), Pem(name), Key(name), kElsewhere);
    RawHttp2 second(box().address(), Pem(name), Key(name), kElsewhere);
    int64_t sent = 0;
    for (RawHttp2* connection : {&first, &second}) {
      ASSERT_TRUE(connection->good());
      EXPECT_TRUE(connection->Begin());
      bool open_still = connection->Write(flood.opening);
      for (int i = 0; i < 20000 && open_still; ++i) {
        open_still = connection->Write(flood.repeated);
        sent += flood.repeated.size();
      }
      EXPECT_TRUE(connection->Closes(absl::Seconds(10))) << sent << " bytes were taken";
      EXPECT_TRUE(AskHead(other, absl::Seconds(10)).ok());
    }
    EXPECT_LT(MemoryMib() - before, 50);
  }
}

TEST_F(Attack, ManyCallsAndLargeMessagesAreNoAttack) {
  // As many calls at once as a connection may have, time and again, and a few that are given up.
  const Stubs stubs = box().As("security-2");
  std::vector<std::thread> callers;
  std::atomic<int> failed{0};
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&stubs, &failed, i] {
      for (int n = 0; n < 100; ++n) {
        if (n % 10 == 9 && i < 2) {
          AskHead(stubs, absl::Milliseconds(1));
        } else if (!AskHead(stubs).ok()) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failed.load(), 0);
}

// --- descriptors ---------------------------------------------------------------------------------

class Descriptors : public ::testing::Test {
 protected:
  // A vault whose limit of descriptors is `limit`.
  void UpWith(int limit) {
    ASSERT_TRUE(box_.Up());
    ASSERT_TRUE(box_.Down());
    const CommandResult started = box_.RunCommand(
        {"/bin/bash", "-c", absl::StrCat("ulimit -n ", limit, "; exec \"$0\" start \"$1\""),
         VAULT_SOURCE_DIR "/deploy/sandbox", box_.dir()});
    ASSERT_EQ(started.exit_code, 0) << started.All();
  }
  static bool Serves(const Stubs& stubs) {
    v1::GetHeadRequest request;
    request.set_log_id("service");
    v1::GetHeadResponse response;
    const auto context = NewContext(absl::Seconds(15));
    context->set_wait_for_ready(true);
    return stubs.audit->GetHead(context.get(), request, &response).ok();
  }

  Sandbox box_;
};

TEST_F(Descriptors, ConnectionsWithoutCertificatesLeaveRoomForOthers) {
  UpWith(832);
  const Stubs before = box_.As("security");
  ASSERT_TRUE(Serves(before));
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<int> held;
  for (int i = 0; i < 1100; ++i) held.push_back(ConnectTcp(box_.address(), kElsewhere));
  // While they are there …
  EXPECT_TRUE(Serves(before));
  EXPECT_TRUE(Serves(box_.As("security-2")));
  EXPECT_THAT(box_.log(), HasSubstr("its address"));
  for (const int fd : held) close(fd);
  // … and afterwards.
  EXPECT_TRUE(Serves(before));
  EXPECT_TRUE(Serves(box_.As("booking-service")) || Serves(box_.As("security-2")));
}

TEST_F(Descriptors, AcceptsAgainAfterNoneWereLeft) {
  UpWith(2000);
  const Stubs before = box_.As("security");
  ASSERT_TRUE(Serves(before));
  int64_t pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ReadFileOrDie(box_.dir() + "/vaultd.pid"), &pid));
  // Nothing new can be opened by it.
  rlimit old{};
  const rlimit none{10, 2000};
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, &none, &old), 0);
  for (int i = 0; i < 20; ++i) {
    const int fd = ConnectTcp(box_.address(), kElsewhere);
    EXPECT_GE(fd, 0);
    close(fd);
  }
  EXPECT_TRUE(Serves(before));
  absl::SleepFor(absl::Seconds(1));
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, &old, nullptr), 0);
  EXPECT_TRUE(Serves(box_.As("security-2")));
  EXPECT_THAT(box_.log(), HasSubstr("no descriptor is left for a connection"));
}

TEST_F(Descriptors, ALimitThatLeavesNoRoomStopsTheStart) {
  ASSERT_TRUE(box_.Up());
  ASSERT_TRUE(box_.Down());
  const CommandResult started =
      box_.RunCommand({"/bin/bash", "-c", "ulimit -n 600; exec \"$0\" start \"$1\"",
                       VAULT_SOURCE_DIR "/deploy/sandbox", box_.dir()});
  EXPECT_NE(started.exit_code, 0);
  EXPECT_THAT(box_.log(), HasSubstr("RLIMIT_NOFILE is 600"));
  ASSERT_TRUE(box_.Start());
}

// --- the log -------------------------------------------------------------------------------------

// A call with these bytes for its message.
grpc::StatusCode CallWith(const Stubs& stubs, const std::string& method, const std::string& bytes) {
  grpc::GenericStub stub(stubs.channel);
  grpc::CompletionQueue queue;
  void* tag;
  bool ok = false;
  const auto context = NewContext();
  const grpc::Slice slice(bytes);
  const auto call =
      stub.PrepareUnaryCall(context.get(), method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  queue.Next(&tag, &ok);
  return status.error_code();
}

size_t Lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST_F(Attack, MessagesThatAreNoUtf8AreLinesByTheMinute) {
  const Stubs stubs = box().As("operator-yokohama");
  const size_t before = Lines(box().log());
  for (int i = 0; i < 500; ++i) {
    EXPECT_NE(CallWith(stubs, "/vault.v1.AuditService/GetHead", "\x0a\x01\xff"),
              grpc::StatusCode::OK);
  }
  EXPECT_LT(Lines(box().log()) - before, 10);
}

TEST_F(Attack, HandshakesThatFailAreLinesByTheMinuteWithAnAddress) {
  const size_t before = Lines(box().log());
  for (int i = 0; i < 100; ++i) RawHttp2(box().address(), "", "", "127.0.0.68").Begin();
  EXPECT_LT(Lines(box().log()) - before, 10);
  EXPECT_THAT(box().log(), HasSubstr("ended without a TLS handshake"));
  // All of them in the service's one format.
  for (absl::string_view line : absl::StrSplit(box().log(), '\n', absl::SkipEmpty())) {
    if (absl::StrContains(line, "nohup")) continue;
    EXPECT_TRUE(line.size() > 28 && line[10] == 'T' && line[26] == 'Z') << line;
  }
}

TEST(Environment, TracesOfGrpcStayOut) {
  Sandbox box;
  ASSERT_EQ(setenv("GRPC_TRACE", "all", 1), 0);
  ASSERT_EQ(setenv("GRPC_VERBOSITY", "debug", 1), 0);
  const bool up = box.Up();
  unsetenv("GRPC_TRACE");
  unsetenv("GRPC_VERBOSITY");
  ASSERT_TRUE(up);
  const Stubs stubs = box.As("operator-toshima");
  v1::LookupResidentsResponse response;
  (void)stubs.residents->LookupResidents(NewContext().get(),
                                         LookupBy(kToshima, "phone", "090-9988-7766"), &response);
  EXPECT_THAT(box.log(), Not(HasSubstr("9988")));
  EXPECT_THAT(box.log(), Not(HasSubstr("chttp2")));
  EXPECT_LT(Lines(box.log()), 20);
}

}  // namespace
}  // namespace vault::testing
