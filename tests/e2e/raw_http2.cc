#include "tests/e2e/raw_http2.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "vault/base/logging.h"

namespace vault::testing {
namespace {

constexpr size_t kReceivedMax = 1 << 20;

sockaddr_in LoopbackAt(const std::string& ip, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  VAULT_CHECK(inet_pton(AF_INET, ip.c_str(), &address.sin_addr) == 1);
  return address;
}

// Without indexing, a new name, no Huffman code.
void AppendHeader(absl::string_view name, absl::string_view value, std::string* out) {
  out->push_back(0);
  out->push_back(static_cast<char>(name.size()));
  out->append(name.data(), name.size());
  out->push_back(static_cast<char>(value.size()));
  out->append(value.data(), value.size());
}

}  // namespace

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string out;
  for (const int shift : {16, 8, 0}) out.push_back(static_cast<char>(payload.size() >> shift));
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(stream >> shift));
  out.append(payload.data(), payload.size());
  return out;
}

std::string CallHeaders(absl::string_view path) {
  std::string out = "\x83\x87";  // :method POST, :scheme https
  AppendHeader(":path", path, &out);
  AppendHeader(":authority", "vault", &out);
  AppendHeader("content-type", "application/grpc", &out);
  AppendHeader("te", "trailers", &out);
  return out;
}

int ConnectTcp(const std::string& address, const std::string& from) {
  const size_t colon = address.rfind(':');
  int port = 0;
  VAULT_CHECK(absl::SimpleAtoi(address.substr(colon + 1), &port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!from.empty()) {
    const sockaddr_in own = LoopbackAt(from, 0);
    VAULT_CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof(own)) == 0);
  }
  const timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const sockaddr_in to = LoopbackAt(address.substr(0, colon), port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0) return fd;
  close(fd);
  return -1;
}

RawHttp2::RawHttp2(const std::string& address, const std::string& cert_file,
                   const std::string& key_file, const std::string& from) {
  fd_ = ConnectTcp(address, from);
  if (fd_ < 0) return;
  context_ = SSL_CTX_new(TLS_client_method());
  if (!cert_file.empty()) {
    VAULT_CHECK(SSL_CTX_use_certificate_chain_file(context_, cert_file.c_str()) == 1);
    VAULT_CHECK(SSL_CTX_use_PrivateKey_file(context_, key_file.c_str(), SSL_FILETYPE_PEM) == 1);
  }
  constexpr unsigned char kH2[] = {2, 'h', '2'};
  VAULT_CHECK(SSL_CTX_set_alpn_protos(context_, kH2, sizeof(kH2)) == 0);
  ssl_ = SSL_new(context_);
  SSL_set_fd(ssl_, fd_);
  good_ = SSL_connect(ssl_) == 1;
  ERR_clear_error();
  // From here on a read that finds nothing must not wait.
  SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  fcntl(fd_, F_SETFL, O_NONBLOCK);
}

RawHttp2::~RawHttp2() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  if (fd_ >= 0) close(fd_);
}

bool RawHttp2::Begin() {
  return Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettingsFrame, 0, 0, ""));
}

bool RawHttp2::Drain() {
  char some[16384];
  while (good_) {
    const int got = SSL_read(ssl_, some, sizeof(some));
    if (got > 0) {
      received_.append(some, std::min<size_t>(got, kReceivedMax - received_.size()));
      continue;
    }
    good_ = SSL_get_error(ssl_, got) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    break;
  }
  return good_;
}

bool RawHttp2::Write(absl::string_view bytes) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (good_ && !bytes.empty()) {
    const int put = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    if (put > 0) {
      bytes.remove_prefix(put);
      continue;
    }
    good_ = SSL_get_error(ssl_, put) == SSL_ERROR_WANT_WRITE && absl::Now() < deadline;
    ERR_clear_error();
    if (good_ && Drain()) {
      pollfd fd{fd_, POLLOUT | POLLIN, 0};
      poll(&fd, 1, 100);
    }
  }
  return Drain();
}

bool RawHttp2::Closes(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (Drain() && absl::Now() < deadline) {
    pollfd fd{fd_, POLLIN, 0};
    poll(&fd, 1, 100);
  }
  return !good_;
}

}  // namespace vault::testing
