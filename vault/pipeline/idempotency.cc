#include "vault/pipeline/idempotency.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"

namespace vault::pipeline {
namespace {

constexpr size_t kTagSize = 16;
constexpr size_t kEtagHexSize = 32;
constexpr size_t kExpirySize = 8;
// All that is left of a row whose resident was erased.
constexpr size_t kErasedRowSize = kExpirySize;
constexpr size_t kResidentAt = kExpirySize + 32;
constexpr size_t kSealSize = 16;
constexpr size_t kRowSize = kResidentAt + ResidentId::kSize + 8 + kEtagHexSize + kSealSize;

// A commit's deletes, each of which the sequencer may have to look up again, while others wait; and
// the rows that one snapshot is held for.
constexpr size_t kSweptAtOnce = 256;
constexpr size_t kScannedAtOnce = 20000;

std::string RequestPrefix(const TenantId& tenant) { return TenantPrefix(kRequestPrefix, tenant); }

// The prefix of this resident's rows u/<tenant>/<resident><tag>; the tags are those of its
// requests.
std::string ResidentPrefix(const TenantId& tenant, absl::string_view resident) {
  return absl::StrCat(TenantPrefix(kResidentRequestPrefix, tenant), resident);
}

// The row under the resident that a row of the right size names.
std::string UnderResident(const TenantId& tenant, absl::string_view key, absl::string_view row) {
  return absl::StrCat(ResidentPrefix(tenant, row.substr(kResidentAt, ResidentId::kSize)),
                      key.substr(key.size() - std::min(key.size(), kTagSize)));
}

absl::Status Damaged() { return absl::DataLossError("a remembered request is damaged"); }

bool IsWhole(absl::string_view row) {
  return row.size() == kRowSize || row.size() == kErasedRowSize;
}

// Of a row that is whole.
bool IsOver(absl::string_view row, absl::Time now) {
  return absl::FromUnixMicros(static_cast<int64_t>(ReadU64(row))) <= now;
}

void DeleteUnchanged(absl::string_view key, absl::string_view row, audit::Submission* submission) {
  submission->preconditions.push_back(audit::RowIs{std::string(key), std::string(row)});
  submission->writes.Delete(std::string(key));
}

std::string MacString(const keys::KeyPtr& key, absl::string_view what, absl::string_view a,
                      absl::string_view b, absl::string_view c) {
  const auto mac = crypto::Mac(crypto::MacKey(key->Expose()), {what, a, b, c});
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

}  // namespace

RequestMemory::RequestMemory(const TenantId& tenant, const keys::TenantKeys& keys,
                             absl::string_view caller, absl::string_view method,
                             absl::string_view request_id, absl::string_view body)
    : tenant_(tenant),
      mac_key_(keys.mac),
      key_(absl::StrCat(
          RequestPrefix(tenant),
          MacString(mac_key_, "request-id", caller, method, request_id).substr(0, kTagSize))),
      body_mac_(MacString(mac_key_, "request-body", caller, method, body)) {}

std::string RequestMemory::SealOf(absl::string_view content) const {
  return MacString(mac_key_, "request-row", key_, content, "").substr(0, kSealSize);
}

absl::StatusOr<RequestMemory::Found> RequestMemory::Look(const store::Snapshot& snapshot,
                                                         absl::Time now, ChangeResult* result) {
  std::string row;
  const absl::Status found = snapshot.Get(key_, &row);
  if (absl::IsNotFound(found)) return Found::kNew;
  RETURN_IF_ERROR(found);
  if (!IsWhole(row)) return Damaged();
  // A whole row gives an answer, so its seal must show that it is what was put here. A row that
  // only says that its resident was erased gives none.
  absl::string_view content = row;
  if (row.size() == kRowSize) {
    content.remove_suffix(kSealSize);
    const absl::string_view seal = absl::string_view(row).substr(content.size());
    if (!ConstantTimeEquals(seal, SealOf(content))) return Damaged();
  }
  if (IsOver(row, now)) {
    expired_row_ = std::move(row);
    return Found::kNew;
  }
  if (row.size() == kErasedRowSize) return Found::kErased;
  absl::string_view rest = content.substr(kExpirySize);
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
  absl::StrAppend(&row, SealOf(row));
  submission->preconditions.push_back(audit::RowStill(key_, expired_row_));
  if (expired_row_.size() == kRowSize) {
    submission->writes.Delete(UnderResident(tenant_, key_, expired_row_));
  }
  submission->writes.Put(UnderResident(tenant_, key_, row), "");
  submission->writes.Put(key_, std::move(row));
}

absl::Status RoomToRemember(const store::Snapshot& snapshot, const TenantId& tenant,
                            const ResidentId& resident) {
  size_t remembered = 0;
  RETURN_IF_ERROR(snapshot.Scan(
      ResidentPrefix(tenant, resident.bytes()), "",
      [&](absl::string_view, absl::string_view) { return ++remembered < kRememberedMax; }));
  if (remembered < kRememberedMax) return absl::OkStatus();
  return WithRetryDelay(
      Reason(absl::ResourceExhaustedError(
                 "too many changes of this resident are remembered by their request_id"),
             "REQUEST_IDS"),
      absl::Hours(1));
}

absl::Status ForgetResidents(const store::Snapshot& snapshot, const TenantId& tenant,
                             const absl::flat_hash_set<ResidentId>& residents,
                             audit::Submission* submission) {
  std::vector<std::string> tags;
  for (const ResidentId& id : residents) {
    const std::string prefix = ResidentPrefix(tenant, id.bytes());
    tags.clear();
    RETURN_IF_ERROR(snapshot.Scan(prefix, "", [&](absl::string_view key, absl::string_view) {
      tags.emplace_back(key.substr(prefix.size()));
      return true;
    }));
    for (const std::string& tag : tags) {
      submission->writes.Delete(absl::StrCat(prefix, tag));
      const std::string key = absl::StrCat(RequestPrefix(tenant), tag);
      std::string row;
      const absl::Status found = snapshot.Get(key, &row);
      if (absl::IsNotFound(found)) continue;
      RETURN_IF_ERROR(found);
      if (!IsWhole(row)) {
        DeleteUnchanged(key, row, submission);
        continue;
      }
      // A row that was taken for another resident's change since belongs to that one, erased or
      // not.
      const bool own = row.size() == kRowSize &&
                       absl::string_view(row).substr(kResidentAt, ResidentId::kSize) == id.bytes();
      if (!own) continue;
      submission->preconditions.push_back(audit::RowIs{key, row});
      submission->writes.Put(key, row.substr(0, kErasedRowSize));
    }
  }
  return absl::OkStatus();
}

absl::Status SweepRequests(store::Store* store, audit::Sequencer* sequencer, const TenantId& tenant,
                           absl::Time now, absl::FunctionRef<bool()> keep_going) {
  constexpr int kAbortedMax = 8;
  int aborted = 0;  // at this place
  std::string from;
  while (true) {
    audit::Submission submission(LogId::Of(tenant));
    submission.derived = true;
    const uint64_t seen = sequencer->changes();
    std::string next;
    size_t scanned = 0;
    RETURN_IF_ERROR(
        store->Scan(RequestPrefix(tenant), from, [&](absl::string_view key, absl::string_view row) {
          if (scanned++ == kScannedAtOnce || submission.preconditions.size() == kSweptAtOnce) {
            next = std::string(key);
            return false;
          }
          if (!IsWhole(row) || !IsOver(row, now)) return true;
          DeleteUnchanged(key, row, &submission);
          if (row.size() == kRowSize) submission.writes.Delete(UnderResident(tenant, key, row));
          return true;
        }));
    if (!keep_going()) return absl::CancelledError("stopped; the next sweep goes on");
    if (!submission.writes.empty()) {
      submission.RowsSeenAt(seen);
      const absl::Status swept = sequencer->SubmitAndWait(std::move(submission));
      // Another change was faster with one of them: looked at again from the same place.
      if (absl::IsAborted(swept) && ++aborted < kAbortedMax) continue;
      RETURN_IF_ERROR(swept);
    }
    aborted = 0;
    if (next.empty()) return absl::OkStatus();
    from = std::move(next);
  }
}

SecretString ChangeBody(const std::vector<absl::string_view>& parts,
                        const std::vector<records::RawField>& fields) {
  size_t size = 0;
  for (absl::string_view part : parts) size += 4 + part.size();
  for (const records::RawField& f : fields) size += 8 + f.id.size() + f.value.size();
  std::string out;
  out.reserve(size);  // grown once: no plaintext is left behind in a smaller block
  const auto add = [&out](absl::string_view part) {
    AppendLittleU32(static_cast<uint32_t>(part.size()), &out);
    out.append(part.data(), part.size());
  };
  for (absl::string_view part : parts) add(part);
  for (const records::RawField& f : fields) {
    add(f.id);
    add(f.value.Expose());
  }
  return SecretString::Take(std::move(out));
}

}  // namespace vault::pipeline
