// An HTTP/2 client that keeps no rule: TLS by OpenSSL, frames as bytes. For attacks.
#ifndef VAULT_TESTS_E2E_RAW_HTTP2_H_
#define VAULT_TESTS_E2E_RAW_HTTP2_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault::testing {

inline constexpr uint8_t kDataFrame = 0, kHeadersFrame = 1, kPriorityFrame = 2, kResetFrame = 3,
                         kSettingsFrame = 4, kPingFrame = 6, kWindowFrame = 8,
                         kContinuationFrame = 9;
inline constexpr uint8_t kEndStream = 0x1, kEndHeaders = 0x4;

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view payload);
// The header block (HPACK) of a gRPC call.
std::string CallHeaders(absl::string_view path);

// A TCP connection to "127.0.0.1:PORT", from another loopback address where `from` names one; -1
// where it fails.
int ConnectTcp(const std::string& address, const std::string& from = "");

// Blocking, with a bound on each wait. One thread at a time.
class RawHttp2 {
 public:
  // Empty files: no certificate. `good` tells whether TLS was agreed on; the server may still
  // refuse the certificate, which the first read shows.
  RawHttp2(const std::string& address, const std::string& cert_file, const std::string& key_file,
           const std::string& from = "");
  ~RawHttp2();
  RawHttp2(const RawHttp2&) = delete;
  RawHttp2& operator=(const RawHttp2&) = delete;

  bool good() const { return good_; }
  // The preface and empty SETTINGS.
  bool Begin();
  // False once the server has closed. Reads what has come, so that the server can write.
  bool Write(absl::string_view bytes);
  // Reads until the server closes; false where it does not within `timeout`.
  bool Closes(absl::Duration timeout);
  // All that the server sent.
  const std::string& received() const { return received_; }

 private:
  // What came; false at the connection's end.
  bool Drain();

  int fd_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool good_ = false;
  std::string received_;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_RAW_HTTP2_H_
