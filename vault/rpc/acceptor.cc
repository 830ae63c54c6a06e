#include "vault/rpc/acceptor.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "vault/base/counted_log.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::rpc {
namespace {

// What the process needs beside connections: the store's files (512), backups, jobs, witnesses,
// gRPC itself.
constexpr int kDescriptorsKept = 768;
constexpr int kConnectionsMin = 16;
constexpr int kConnectionsMax = 4096;
constexpr int kQueue = 1024;
// How long to wait for a descriptor to come free.
constexpr absl::Duration kPause = absl::Milliseconds(50);
// systemd's sd_listen_fds(3).
constexpr int kFirstInherited = 3;

absl::Status Failed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

absl::StatusOr<int> ConnectionsMax() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Failed("RLIMIT_NOFILE cannot be read");
  if (limit.rlim_cur < limit.rlim_max) {
    const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  const rlim_t all = std::min<rlim_t>(limit.rlim_cur, kDescriptorsKept + kConnectionsMax);
  if (all < kDescriptorsKept + kConnectionsMin) {
    return absl::FailedPreconditionError(
        absl::StrCat("RLIMIT_NOFILE is ", limit.rlim_cur, ": at least ",
                     kDescriptorsKept + kConnectionsMin, " descriptors are needed"));
  }
  return static_cast<int>(all) - kDescriptorsKept;
}

absl::StatusOr<int> Inherited() {
  const char* const pid = std::getenv("LISTEN_PID");
  const char* const count = std::getenv("LISTEN_FDS");
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (pid == nullptr || count == nullptr || absl::StrCat(getpid()) != pid ||
      absl::string_view(count) != "1" ||
      getsockopt(kFirstInherited, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
      listening != 1) {
    return absl::FailedPreconditionError(
        "no listening socket was passed on (LISTEN_PID, LISTEN_FDS=1): start it from a socket unit "
        "of systemd, or give an address");
  }
  const int flags = fcntl(kFirstInherited, F_GETFL);
  if (flags < 0 || fcntl(kFirstInherited, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(kFirstInherited, F_SETFD, FD_CLOEXEC) != 0) {
    return Failed("the inherited socket");
  }
  return kFirstInherited;
}

absl::StatusOr<int> Bound(const addrinfo& to) {
  const int fd = socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed("socket");
  const int on = 1;
  // A restart must not wait for old connections' ends. Two vaults on one port are refused all the
  // same.
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
      bind(fd, to.ai_addr, to.ai_addrlen) == 0 && listen(fd, kQueue) == 0) {
    return fd;
  }
  const absl::Status failed = Failed("cannot listen");
  close(fd);
  return failed;
}

absl::StatusOr<int> BoundTo(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
  if (failed != 0) {
    return absl::UnavailableError(absl::StrCat("no such address: ", gai_strerror(failed)));
  }
  absl::StatusOr<int> fd = absl::UnavailableError("no such address");
  for (const addrinfo* to = found; to != nullptr && !fd.ok(); to = to->ai_next) fd = Bound(*to);
  freeaddrinfo(found);
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  if (bound.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(bound).sin_port);
  if (bound.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(bound).sin6_port);
  return 0;
}

absl::string_view Why(ConnectionLedger::Verdict verdict) {
  switch (verdict) {
    case ConnectionLedger::Verdict::kFull:
      return "there are as many as the limit of descriptors (RLIMIT_NOFILE) lets be";
    case ConnectionLedger::Verdict::kPlaceFull:
      return "its address holds half of all connections";
    case ConnectionLedger::Verdict::kPlaceTooFast:
      return "its address makes too many in a second";
    case ConnectionLedger::Verdict::kTaken:
      break;
  }
  return "";
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  ListenAddress out;
  if (text == "inherited") {
    out.inherited = true;
    return out;
  }
  const size_t colon = text.rfind(':');
  absl::string_view host = text.substr(0, colon == absl::string_view::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const absl::string_view port = text.substr(host.empty() ? text.size() : colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == absl::string_view::npos;
  if (host.empty() || (!bracketed && host.find_first_of("[]:") != absl::string_view::npos) ||
      !digits || !absl::SimpleAtoi(port, &out.port) || out.port > 65535) {
    return absl::InvalidArgumentError(
        "an address is HOST:PORT or [IPV6]:PORT, the port from 0 to 65535, or \"inherited\"");
  }
  out.host = std::string(host);
  return out;
}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const ListenAddress& address,
                                                           std::shared_ptr<ConnectionGuard> guard,
                                                           const Clock* clock) {
  ASSIGN_OR_RETURN(const int connections_max, ConnectionsMax());
  std::unique_ptr<Acceptor> acceptor(new Acceptor(std::move(guard), clock, connections_max));
  ASSIGN_OR_RETURN(acceptor->listening_, address.inherited ? Inherited() : BoundTo(address));
  acceptor->port_ = PortOf(acceptor->listening_);
  acceptor->spare_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  acceptor->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (acceptor->port_ == 0 || acceptor->spare_ < 0 || acceptor->wake_ < 0) {
    return Failed("cannot listen");
  }
  return absl::StatusOr<std::unique_ptr<Acceptor>>(std::move(acceptor));
}

Acceptor::Acceptor(std::shared_ptr<ConnectionGuard> guard, const Clock* clock, int connections_max)
    : guard_(std::move(guard)),
      clock_(clock),
      ledger_(std::make_shared<ConnectionLedger>(connections_max)) {}

Acceptor::~Acceptor() {
  Stop();
  for (const int fd : {listening_, spare_, wake_}) {
    if (fd >= 0) close(fd);
  }
}

void Acceptor::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> to) {
  to_ = std::move(to);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  const uint64_t one = 1;
  (void)!write(wake_, &one, sizeof(one));
  thread_.join();
  // Whoever still waits in the queue, or comes, is told at once.
  close(std::exchange(listening_, -1));
}

void Acceptor::Run() {
  while (!stopping_.load()) {
    pollfd fds[] = {{listening_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (poll(fds, 2, /*timeout=*/-1) < 0) continue;
    while (!stopping_.load() && TakeOne()) {
    }
  }
}

bool Acceptor::TakeOne() {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const int fd = accept4(listening_, reinterpret_cast<sockaddr*>(&address), &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      CloseOneWithoutRoom();
      return false;
    }
    // Anything else is about a connection that has gone already.
    return errno != EAGAIN && errno != EWOULDBLOCK;
  }
  const Peer peer = PeerOf(address);
  const ConnectionLedger::Verdict verdict = ledger_->Open(peer.place, clock_->SinceBoot());
  if (verdict != ConnectionLedger::Verdict::kTaken) {
    close(fd);
    CountedLog().Say(Why(verdict), LogSeverity::WARNING,
                     absl::StrCat("a connection from ", peer.text, " was closed: ", Why(verdict)));
    return true;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  guard_->HandOver(
      peer.text, [ledger = ledger_, place = peer.place] { ledger->Close(place); },
      [&] {
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
        parameters.listener_fd = listening_;
        parameters.fd = fd;
        to_->HandleNewConnection(&parameters);
      });
  return true;
}

void Acceptor::CloseOneWithoutRoom() {
  CountedLog().Say("descriptors", LogSeverity::ERROR,
                   absl::StrCat("no descriptor is left for a connection: ", std::strerror(errno),
                                "; it is closed"));
  if (spare_ >= 0) close(spare_);
  const int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  spare_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  absl::SleepFor(kPause);
}

}  // namespace vault::rpc
