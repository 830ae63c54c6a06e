// The ids that calls, rows and log entries carry. None of them is personal data: a tenant is a
// public municipality code, a resident's handle is random.
#ifndef VAULT_BASE_IDS_H_
#define VAULT_BASE_IDS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/base/random.h"

namespace vault {

// A municipality: its 6-digit 市区町村コード, check digit included (five digits × weights 6 5 4 3
// 2, check = (11 − Σ mod 11) mod 10).
class TenantId {
 public:
  // INVALID_ARGUMENT unless `text` is six ASCII digits with the right check digit.
  static absl::StatusOr<TenantId> Parse(absl::string_view text);

  TenantId() { code_.fill('0'); }
  absl::string_view str() const { return absl::string_view(code_.data(), code_.size()); }

  friend bool operator==(const TenantId& a, const TenantId& b) { return a.code_ == b.code_; }
  friend bool operator!=(const TenantId& a, const TenantId& b) { return a.code_ != b.code_; }
  friend bool operator<(const TenantId& a, const TenantId& b) { return a.code_ < b.code_; }
  template <typename H>
  friend H AbslHashValue(H h, const TenantId& t) {
    return H::combine(std::move(h), t.code_);
  }

 private:
  std::array<char, 6> code_;
};

// A resident's handle: 128 random bits, written as 32 lower-case hex digits.
class ResidentId {
 public:
  static constexpr size_t kSize = 16;
  static ResidentId Generate(Random& random);
  // INVALID_ARGUMENT unless `hex` is 32 lower-case hex digits.
  static absl::StatusOr<ResidentId> Parse(absl::string_view hex);
  // From the 16 bytes of a row's key; INVALID_ARGUMENT for any other length.
  static absl::StatusOr<ResidentId> FromBytes(absl::string_view bytes);

  ResidentId() { bytes_.fill('\0'); }
  std::string ToHex() const;
  absl::string_view bytes() const { return absl::string_view(bytes_.data(), bytes_.size()); }

  friend bool operator==(const ResidentId& a, const ResidentId& b) { return a.bytes_ == b.bytes_; }
  friend bool operator!=(const ResidentId& a, const ResidentId& b) { return a.bytes_ != b.bytes_; }
  // In the order of the bytes, as rows are sorted.
  friend bool operator<(const ResidentId& a, const ResidentId& b) { return a.bytes() < b.bytes(); }
  template <typename H>
  friend H AbslHashValue(H h, const ResidentId& r) {
    return H::combine(std::move(h), r.bytes_);
  }

 private:
  std::array<char, kSize> bytes_;
};

// One log: a tenant's, or the service's own ("service").
class LogId {
 public:
  static LogId Of(const TenantId& tenant) { return LogId(tenant.str()); }
  static LogId Service() { return LogId("service"); }
  // INVALID_ARGUMENT unless "service" or a tenant's code.
  static absl::StatusOr<LogId> Parse(absl::string_view text);

  absl::string_view str() const { return name_; }
  bool is_service() const { return name_ == "service"; }

  friend bool operator==(const LogId& a, const LogId& b) { return a.name_ == b.name_; }
  friend bool operator!=(const LogId& a, const LogId& b) { return a.name_ != b.name_; }
  friend bool operator<(const LogId& a, const LogId& b) { return a.name_ < b.name_; }
  template <typename H>
  friend H AbslHashValue(H h, const LogId& l) {
    return H::combine(std::move(h), l.name_);
  }

 private:
  explicit LogId(absl::string_view name) : name_(name) {}
  std::string name_;  // at most 7 bytes: never on the heap
};

}  // namespace vault

#endif  // VAULT_BASE_IDS_H_
