#include "vault/rpc/connection_ledger.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/string_view.h"

namespace vault::rpc {
namespace {

std::string Bytes(const void* data, size_t size) {
  return std::string(static_cast<const char*>(data), size);
}

}  // namespace

Peer PeerOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return {text, Bytes(&v4.sin_addr, sizeof(v4.sin_addr))};
  }
  if (address.ss_family != AF_INET6) return {"an unknown address", ""};
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  inet_ntop(AF_INET6, &v6, text, sizeof(text));
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return {text, Bytes(v6.s6_addr + 12, 4)};
  return {text, Bytes(v6.s6_addr, 8)};
}

ConnectionLedger::Verdict ConnectionLedger::Open(const std::string& place, absl::Duration now) {
  MutexLock lock(&mu_);
  if (places_.size() >= kPlacesMax) {
    for (auto it = places_.begin(); it != places_.end();) {
      const auto here = it++;
      if (here->second.open == 0) places_.erase(here);
    }
  }
  const auto [it, fresh] = places_.try_emplace(place);
  Place& of = it->second;
  if (!fresh) of.made -= std::max(0.0, absl::ToDoubleSeconds(now - of.at)) * kPerSecond;
  of.made = std::max(0.0, of.made) + 1;
  of.at = now;
  if (of.made > kBurst) {
    of.made = kBurst;
    return Verdict::kPlaceTooFast;
  }
  if (open_ >= max_) return Verdict::kFull;
  if (of.open >= of_place_max_) return Verdict::kPlaceFull;
  ++of.open;
  ++open_;
  return Verdict::kTaken;
}

void ConnectionLedger::Close(const std::string& place) {
  MutexLock lock(&mu_);
  --open_;
  --places_[place].open;
}

int ConnectionLedger::open() const {
  MutexLock lock(&mu_);
  return open_;
}

}  // namespace vault::rpc
