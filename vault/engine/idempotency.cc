#include "vault/engine/idempotency.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"

namespace vault::engine {
namespace {

constexpr size_t kTagSize = 16;
constexpr size_t kEtagHexSize = 32;
constexpr size_t kRowSize = 8 + 32 + ResidentId::kSize + 8 + kEtagHexSize;

void AppendU64(uint64_t v, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(v >> shift));
}

uint64_t ReadU64(absl::string_view bytes) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | static_cast<uint8_t>(bytes[i]);
  return v;
}

std::string MacString(const keys::TenantKeys& keys, absl::string_view what, absl::string_view a,
                      absl::string_view b, absl::string_view c) {
  const auto mac = crypto::Mac(crypto::MacKey(keys.mac->Expose()), {what, a, b, c});
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

}  // namespace

RequestMemory::RequestMemory(const TenantId& tenant, const keys::TenantKeys& keys,
                             absl::string_view caller, absl::string_view method,
                             absl::string_view request_id, absl::string_view body)
    : key_(absl::StrCat(
          "q/", tenant.str(), "/",
          MacString(keys, "request-id", caller, method, request_id).substr(0, kTagSize))),
      body_mac_(MacString(keys, "request-body", caller, method, body)) {}

absl::StatusOr<RequestMemory::Found> RequestMemory::Look(const store::Snapshot& snapshot,
                                                         absl::Time now, ChangeResult* result) {
  std::string row;
  const absl::Status found = snapshot.Get(key_, &row);
  if (absl::IsNotFound(found)) return Found::kNew;
  RETURN_IF_ERROR(found);
  if (row.size() != kRowSize) return absl::DataLossError("a remembered request is damaged");
  if (absl::FromUnixMicros(static_cast<int64_t>(ReadU64(row))) <= now) {
    expired_row_ = std::move(row);
    return Found::kNew;
  }
  absl::string_view rest = absl::string_view(row).substr(8);
  if (!ConstantTimeEquals(rest.substr(0, 32), body_mac_)) return Found::kReused;
  rest.remove_prefix(32);
  ASSIGN_OR_RETURN(result->id, ResidentId::FromBytes(rest.substr(0, ResidentId::kSize)));
  rest.remove_prefix(ResidentId::kSize);
  result->version = ReadU64(rest);
  result->etag = std::string(rest.substr(8));
  return Found::kReplay;
}

void RequestMemory::Remember(const ChangeResult& result, absl::Time expires,
                             audit::Submission* submission) const {
  std::string row;
  row.reserve(kRowSize);
  AppendU64(absl::ToUnixMicros(expires), &row);
  absl::StrAppend(&row, body_mac_, result.id.bytes());
  AppendU64(result.version, &row);
  absl::StrAppend(&row, result.etag);
  submission->checks.push_back(expired_row_.empty() ? audit::RowCheck::Absent(key_)
                                                    : audit::RowCheck::Prefix(key_, expired_row_));
  submission->writes.Put(key_, std::move(row));
}

SecretString ChangeBody(const std::vector<absl::string_view>& parts,
                        const std::vector<records::RawField>& fields) {
  size_t size = 0;
  for (absl::string_view part : parts) size += 4 + part.size();
  for (const records::RawField& f : fields) size += 8 + f.id.size() + f.value.size();
  std::string out;
  out.reserve(size);  // grown once: no plaintext is left behind in a smaller block
  const auto add = [&out](absl::string_view part) {
    for (int shift = 0; shift < 32; shift += 8)
      out.push_back(static_cast<char>(part.size() >> shift));
    out.append(part.data(), part.size());
  };
  for (absl::string_view part : parts) add(part);
  for (const records::RawField& f : fields) {
    add(f.id);
    add(f.value.Expose());
  }
  return SecretString::Take(std::move(out));
}

}  // namespace vault::engine
