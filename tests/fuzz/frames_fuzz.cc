// An HTTP/2 connection of any bytes: counted the same however it is divided, and nothing is held.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "vault/base/logging.h"
#include "vault/rpc/frames.h"

namespace vault::rpc {
namespace {

// The tally of both directions, in pieces of `piece` bytes.
struct Counts {
  bool good = true;
  ClientTally client;
  ServerTally server;
};
Counts Count(absl::string_view bytes, size_t piece) {
  Counts out;
  ClientFrames client;
  ServerFrames server;
  ClientTally preface;
  VAULT_CHECK(client.Feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &preface));
  while (!bytes.empty()) {
    const absl::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    if (out.good) out.good = client.Feed(part, &out.client);
    server.Feed(part, &out.server);
  }
  return out;
}

}  // namespace
}  // namespace vault::rpc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using vault::rpc::Count;
  using vault::rpc::Counts;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Counts whole = Count(bytes, std::max<size_t>(size, 1));
  VAULT_CHECK(whole.client.opened + whole.client.idle <= size / 9) << "more frames than heads";
  VAULT_CHECK(whole.server.answered >= 0 && whole.server.answered <= whole.server.sent);
  for (const size_t piece : {1, 8, 10}) {
    const Counts divided = Count(bytes, piece);
    VAULT_CHECK(divided.good == whole.good);
    VAULT_CHECK(divided.client.opened == whole.client.opened);
    VAULT_CHECK(divided.client.idle == whole.client.idle);
    VAULT_CHECK(divided.server.answered == whole.server.answered);
  }
  return 0;
}
