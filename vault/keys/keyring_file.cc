#include "vault/keys/keyring_file.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/secret.h"
#include "vault/base/status.h"

namespace vault::keys {
namespace {

constexpr absl::string_view kMagic("VAULTKR\n", 8);
constexpr uint32_t kFormatVersion = 1;

// The header's parts.
constexpr size_t kVersionAt = 8;
constexpr size_t kCountAt = 12;
constexpr size_t kVaultIdAt = 16;
constexpr size_t kSerialAt = 32;
constexpr size_t kRootCheckAt = 40;
constexpr size_t kHeaderSumAt = 72;
constexpr size_t kHeaderSize = 104;
// Behind the last record.
constexpr size_t kFileMacSize = 32;

// A record's parts; the bytes before the wrapped key are that key's associated data.
constexpr size_t kTenantAt = 2;
constexpr size_t kTenantSize = 6;
constexpr size_t kKeyVersionAt = 8;
constexpr size_t kCreatedAt = 12;
constexpr size_t kFlagsAt = 20;
constexpr size_t kWrappedAt = 24;
constexpr size_t kWrappedSize = crypto::kKeySize + crypto::kSealOverhead;
constexpr size_t kRecordSize = kWrappedAt + kWrappedSize;
static_assert(kRecordSize == 128);
// The bytes in a destroyed key's place; zeros behind them.
constexpr size_t kDestroyedAtAt = 8;
constexpr size_t kDestroyedSize = 16;

constexpr uint32_t kPendingFlag = 1;

// Tells the right root key from another: a MAC that only the right one gives.
std::array<uint8_t, 32> RootCheck(const Key& root, absl::string_view vault_id) {
  const SecretBytes<crypto::kKeySize> key =
      crypto::DeriveSubkey(crypto::MacKey(root.Expose()), "vault/keyring-check/v1");
  return crypto::Mac(crypto::MacKey(key), {vault_id});
}

std::array<uint8_t, 32> FileMac(const Key& root, absl::string_view bytes) {
  const SecretBytes<crypto::kKeySize> key =
      crypto::DeriveSubkey(crypto::MacKey(root.Expose()), "vault/keyring-file/v1");
  return crypto::Mac(crypto::MacKey(key), {bytes});
}

std::string WrapAssociatedData(absl::string_view vault_id, absl::string_view record_front) {
  return crypto::LengthPrefixed({"vault/keyring-key/v1", vault_id, record_front});
}

absl::string_view TenantText(const KeyRecord& record) {
  return record.tenant ? record.tenant->str() : absl::string_view("\0\0\0\0\0\0", kTenantSize);
}

auto SortKey(const KeyRecord& r) { return std::make_tuple(TenantText(r), r.kind, r.version); }

std::string EncodeFront(const KeyRecord& record) {
  std::string front;
  AppendU8(static_cast<uint8_t>(record.kind), &front);
  AppendU8(static_cast<uint8_t>(record.state), &front);
  front.append(TenantText(record).data(), kTenantSize);
  AppendLittleU32(record.version, &front);
  AppendLittleU64(static_cast<uint64_t>(absl::ToUnixMicros(record.created)), &front);
  AppendLittleU32(record.pending ? kPendingFlag : 0, &front);
  return front;
}

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("damaged (", what, "): restore the newest copy of the keyring"));
}

absl::Status Newer() {
  return absl::FailedPreconditionError(
      "written by a newer version of this software: start that one instead");
}

// What can be told without a key: is this a keyring, of this format, with a whole header?
absl::Status CheckHeader(absl::string_view bytes) {
  if (bytes.size() < kHeaderSize + kFileMacSize) return Damaged("too short");
  if (bytes.substr(0, kMagic.size()) != kMagic) return Damaged("not a keyring");
  // Without a key, so that damage is told from a wrong root key.
  if (crypto::AsView(crypto::Sha256({bytes.substr(0, kHeaderSumAt)})) !=
      bytes.substr(kHeaderSumAt, kHeaderSize - kHeaderSumAt)) {
    return Damaged("its header");
  }
  return ReadLittleU32(bytes.substr(kVersionAt)) == kFormatVersion ? absl::OkStatus() : Newer();
}

absl::Status CheckLength(absl::string_view bytes) {
  const uint64_t count = ReadLittleU32(bytes.substr(kCountAt));
  if (count > KeyringContents::kMaxRecords ||
      bytes.size() != kHeaderSize + count * kRecordSize + kFileMacSize) {
    return Damaged("its length");
  }
  return absl::OkStatus();
}

// Everything that can be told before the records: is this a keyring, whole, and under this root
// key?
absl::Status CheckEnvelope(absl::string_view bytes, const Key& root) {
  RETURN_IF_ERROR(CheckHeader(bytes));
  const crypto::Digest check =
      RootCheck(root, bytes.substr(kVaultIdAt, KeyringContents::kVaultIdSize));
  if (!ConstantTimeEquals(crypto::AsView(check),
                          bytes.substr(kRootCheckAt, kHeaderSumAt - kRootCheckAt))) {
    return absl::FailedPreconditionError(
        "the root key does not open this keyring: give the one that sealed it last");
  }
  RETURN_IF_ERROR(CheckLength(bytes));
  const size_t mac_at = bytes.size() - kFileMacSize;
  if (!ConstantTimeEquals(crypto::AsView(FileMac(root, bytes.substr(0, mac_at))),
                          bytes.substr(mac_at))) {
    return Damaged("its MAC does not hold");
  }
  return absl::OkStatus();
}

// The front of a record whose file's MAC held: what is wrong here was written wrong.
absl::StatusOr<KeyRecord> DecodeFront(absl::string_view front) {
  KeyRecord record;
  const uint64_t kind = static_cast<uint8_t>(front[0]);
  const uint64_t state = static_cast<uint8_t>(front[1]);
  const uint64_t flags = ReadLittleU32(front.substr(kFlagsAt));
  if (kind < 1 || kind > static_cast<uint64_t>(KeyKind::kRootGeneration)) return Newer();
  if (state < 1 || state > static_cast<uint64_t>(KeyState::kDestroyed)) return Newer();
  if ((flags & ~uint64_t{kPendingFlag}) != 0) return Newer();
  record.kind = static_cast<KeyKind>(kind);
  record.state = static_cast<KeyState>(state);
  record.pending = flags != 0;
  record.version = ReadLittleU32(front.substr(kKeyVersionAt));
  record.created =
      absl::FromUnixMicros(static_cast<int64_t>(ReadLittleU64(front.substr(kCreatedAt))));
  const absl::string_view tenant = front.substr(kTenantAt, kTenantSize);
  const bool of_service = tenant == TenantText(record);
  if (of_service && !MayLackTenant(record.kind)) return Damaged("a tenant key without a tenant");
  if (!of_service) {
    if (!MayHaveTenant(record.kind)) return Damaged("a service key with a tenant");
    absl::StatusOr<TenantId> id = TenantId::Parse(tenant);
    if (!id.ok()) return Damaged("a record's tenant");
    record.tenant = *id;
  }
  if (record.version == 0) return Damaged("a key version 0");
  if (record.pending && !(MayBePending(record.kind) && record.state == KeyState::kActive)) {
    return Damaged("a record's flags");
  }
  if (IsCounter(record.kind) && record.state != KeyState::kActive) {
    return Damaged("a generation's state");
  }
  return record;
}

bool IsZero(absl::string_view bytes) {
  return bytes.find_first_not_of('\0') == absl::string_view::npos;
}

// A record without its key.
absl::StatusOr<KeyRecord> DecodeOpenPart(absl::string_view bytes) {
  ASSIGN_OR_RETURN(KeyRecord record, DecodeFront(bytes.substr(0, kWrappedAt)));
  const absl::string_view wrapped = bytes.substr(kWrappedAt);
  if (IsCounter(record.kind) && !IsZero(wrapped)) return Damaged("a generation with a key");
  if (record.state == KeyState::kDestroyed) {
    if (!IsZero(wrapped.substr(kDestroyedSize))) {
      return Damaged("a destroyed key that is still there");
    }
    record.destroyed_serial = ReadLittleU64(wrapped);
    record.destroyed =
        absl::FromUnixMicros(static_cast<int64_t>(ReadLittleU64(wrapped.substr(kDestroyedAtAt))));
  }
  return record;
}

absl::StatusOr<KeyRecord> DecodeRecord(absl::string_view bytes, absl::string_view vault_id,
                                       const Key& root, crypto::KeyArena* arena) {
  ASSIGN_OR_RETURN(KeyRecord record, DecodeOpenPart(bytes));
  if (IsCounter(record.kind) || record.state == KeyState::kDestroyed) return record;
  const absl::string_view front = bytes.substr(0, kWrappedAt);
  const absl::string_view wrapped = bytes.substr(kWrappedAt);
  ASSIGN_OR_RETURN(uint8_t* const slot, arena->Allocate());
  record.key = std::make_shared<const Key>(arena, slot);
  if (!crypto::OpenTo(crypto::AeadKey(root.Expose()), wrapped, WrapAssociatedData(vault_id, front),
                      slot, crypto::kKeySize)
           .ok()) {
    return Damaged("a key does not open");
  }
  return record;
}

// Of a file whose length fits.
absl::StatusOr<KeyringContents> DecodeRecords(
    absl::string_view bytes,
    absl::FunctionRef<absl::StatusOr<KeyRecord>(absl::string_view record)> decode) {
  KeyringContents contents;
  contents.vault_id = std::string(bytes.substr(kVaultIdAt, KeyringContents::kVaultIdSize));
  contents.serial = ReadLittleU64(bytes.substr(kSerialAt));
  const uint64_t count = ReadLittleU32(bytes.substr(kCountAt));
  contents.records.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(KeyRecord record,
                     decode(bytes.substr(kHeaderSize + i * kRecordSize, kRecordSize)));
    if (i > 0 && !(SortKey(contents.records.back()) < SortKey(record))) {
      return Damaged("its records' order");
    }
    // The first keyring without a key came after one that had it, and not after this one.
    if (record.state == KeyState::kDestroyed &&
        (record.destroyed_serial < 2 || record.destroyed_serial > contents.serial)) {
      return Damaged("when a key was destroyed");
    }
    contents.records.push_back(std::move(record));
  }
  return contents;
}

}  // namespace

size_t MaxKeyringFileSize() {
  return kHeaderSize + KeyringContents::kMaxRecords * kRecordSize + kFileMacSize;
}

std::string EncodeKeyring(const KeyringContents& contents, const Key& root, Random& random) {
  VAULT_CHECK(contents.vault_id.size() == KeyringContents::kVaultIdSize);
  VAULT_CHECK(contents.records.size() <= KeyringContents::kMaxRecords);
  std::string out;
  out.reserve(kHeaderSize + contents.records.size() * kRecordSize + kFileMacSize);
  absl::StrAppend(&out, kMagic);
  AppendLittleU32(kFormatVersion, &out);
  AppendLittleU32(contents.records.size(), &out);
  absl::StrAppend(&out, contents.vault_id);
  AppendLittleU64(contents.serial, &out);
  absl::StrAppend(&out, crypto::AsView(RootCheck(root, contents.vault_id)));
  absl::StrAppend(&out, crypto::AsView(crypto::Sha256({out})));

  std::vector<const KeyRecord*> sorted;
  sorted.reserve(contents.records.size());
  for (const KeyRecord& record : contents.records) sorted.push_back(&record);
  std::sort(sorted.begin(), sorted.end(),
            [](const KeyRecord* a, const KeyRecord* b) { return SortKey(*a) < SortKey(*b); });
  for (const KeyRecord* record : sorted) {
    const bool destroyed = record->state == KeyState::kDestroyed;
    VAULT_CHECK((record->key == nullptr) == (destroyed || IsCounter(record->kind)));
    const std::string front = EncodeFront(*record);
    absl::StrAppend(&out, front);
    if (record->key == nullptr) {
      const size_t end = out.size() + kWrappedSize;
      if (destroyed) {
        AppendLittleU64(record->destroyed_serial, &out);
        AppendLittleU64(static_cast<uint64_t>(absl::ToUnixMicros(record->destroyed)), &out);
      }
      out.resize(end, '\0');
      continue;
    }
    crypto::SealTo(
        crypto::AeadKey(root.Expose()),
        absl::string_view(reinterpret_cast<const char*>(record->key->Expose()), crypto::kKeySize),
        WrapAssociatedData(contents.vault_id, front), random, &out);
  }
  absl::StrAppend(&out, crypto::AsView(FileMac(root, out)));
  return out;
}

absl::StatusOr<KeyringContents> DecodeKeyring(absl::string_view bytes, const Key& root,
                                              crypto::KeyArena* arena) {
  RETURN_IF_ERROR(CheckEnvelope(bytes, root));
  return DecodeRecords(bytes, [&](absl::string_view record) {
    return DecodeRecord(record, bytes.substr(kVaultIdAt, KeyringContents::kVaultIdSize), root,
                        arena);
  });
}

absl::StatusOr<KeyringContents> DecodeKeyringFronts(absl::string_view bytes) {
  RETURN_IF_ERROR(CheckHeader(bytes));
  RETURN_IF_ERROR(CheckLength(bytes));
  return DecodeRecords(bytes, DecodeOpenPart);
}

}  // namespace vault::keys
