#include "vault/base/ids.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"
#include "vault/base/bytes.h"

namespace vault {

absl::StatusOr<TenantId> TenantId::Parse(absl::string_view text) {
  if (text.size() != 6) {
    return absl::InvalidArgumentError("a tenant is a 6-digit municipality code");
  }
  int sum = 0;
  for (int i = 0; i < 6; ++i) {
    if (text[i] < '0' || text[i] > '9') {
      return absl::InvalidArgumentError("a tenant is a 6-digit municipality code");
    }
    if (i < 5) sum += (text[i] - '0') * (6 - i);
  }
  if ((11 - sum % 11) % 10 != text[5] - '0') {
    return absl::InvalidArgumentError("a municipality code with a wrong check digit");
  }
  TenantId id;
  std::memcpy(id.code_.data(), text.data(), 6);
  return id;
}

ResidentId ResidentId::Generate(Random& random) {
  ResidentId id;
  random.Fill(id.bytes_.data(), kSize);
  return id;
}

absl::StatusOr<ResidentId> ResidentId::Parse(absl::string_view hex) {
  std::array<uint8_t, kSize> bytes;
  if (!HexToBytes(hex, absl::MakeSpan(bytes))) {
    return absl::InvalidArgumentError("a resident's handle is 32 lower-case hex digits");
  }
  ResidentId id;
  std::memcpy(id.bytes_.data(), bytes.data(), kSize);
  return id;
}

absl::StatusOr<ResidentId> ResidentId::FromBytes(absl::string_view bytes) {
  if (bytes.size() != kSize) {
    return absl::InvalidArgumentError("a resident's handle is 16 bytes");
  }
  ResidentId id;
  std::memcpy(id.bytes_.data(), bytes.data(), kSize);
  return id;
}

std::string ResidentId::ToHex() const { return BytesToHex(bytes()); }

absl::StatusOr<LogId> LogId::Parse(absl::string_view text) {
  if (text == "service") return Service();
  absl::StatusOr<TenantId> tenant = TenantId::Parse(text);
  if (!tenant.ok())
    return absl::InvalidArgumentError("a log is \"service\" or a municipality code");
  return Of(*tenant);
}

}  // namespace vault
