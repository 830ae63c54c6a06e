#include "vault/audit/log_generation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/audit/layout.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"
#include "vault/crypto/crypto.h"
#include "vault/crypto/ed25519.h"
#include "vault/crypto/sealed_row.h"
#include "vault/tlog/statement.h"

namespace vault::audit {
namespace {

constexpr size_t kHeaderSize = 1 + 4 + 4;

}  // namespace

std::string EncodeLogGeneration(const LogGeneration& log_generation, const LogId& log,
                                const keys::Keyring& keyring) {
  std::string content(1, static_cast<char>(log_generation.state));
  AppendU32(log_generation.number, &content);
  AppendU32(log_generation.first_version, &content);
  absl::StrAppend(&content, log_generation.predecessor);
  return keyring.SealRow(LogGenerationKey(log), /*seq=*/0, content);
}

absl::StatusOr<LogGeneration> DecodeLogGeneration(absl::string_view row, const LogId& log,
                                                  const keys::Keyring& keyring) {
  const auto damaged = [&](absl::string_view why) {
    return absl::DataLossError(absl::StrCat(
        "log ", log.str(), ": the row of what it follows is damaged, or another's: ", why));
  };
  const absl::StatusOr<crypto::SealedRow> sealed = keyring.OpenRow(LogGenerationKey(log), row);
  if (!sealed.ok()) return damaged(sealed.status().message());
  const absl::string_view content = sealed->content;
  if (content.size() < kHeaderSize) return damaged("it is too short");
  LogGeneration log_generation;
  log_generation.state = static_cast<LogGeneration::State>(content[0]);
  log_generation.number = ReadU32(content.substr(1));
  log_generation.first_version = ReadU32(content.substr(5));
  log_generation.predecessor = std::string(content.substr(kHeaderSize));
  if (log_generation.state < LogGeneration::State::kMoving ||
      log_generation.state > LogGeneration::State::kOpen || log_generation.number < 2) {
    return damaged("it says what cannot be");
  }
  return log_generation;
}

absl::StatusOr<LogGeneration> ReadLogGeneration(const store::Store& store, const LogId& log,
                                                const keys::Keyring& keyring) {
  std::string row;
  const absl::Status found = store.Get(LogGenerationKey(log), &row);
  if (absl::IsNotFound(found)) return LogGeneration();
  RETURN_IF_ERROR(found);
  return DecodeLogGeneration(row, log, keyring);
}

absl::Status CheckOpen(const LogGeneration& log_generation, const LogId& log) {
  if (log_generation.state == LogGeneration::State::kOpen) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("log ", log.str(),
                   ": its successor was begun and is not there yet: run vaultd "
                   "--successor=",
                   log.str(), " again, and it goes on"));
}

absl::Status CheckOriginPrefix(const store::Store& store, const keys::Keyring& keyring,
                               absl::string_view prefix) {
  std::string row;
  const absl::Status found = store.Get(kOriginPrefixKey, &row);
  if (absl::IsNotFound(found)) return absl::OkStatus();
  RETURN_IF_ERROR(found);
  ASSIGN_OR_RETURN(const crypto::SealedRow kept, keyring.OpenRow(kOriginPrefixKey, row));
  if (kept.content == prefix) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the logs of this vault are named ", kept.content, "/…, and --log_origin_prefix is ", prefix,
      ": it never changes, since everybody who verifies knows them by that name. Start with "
      "--log_origin_prefix=",
      kept.content));
}

absl::Status KeepOriginPrefix(store::Store* store, const keys::Keyring& keyring,
                              absl::string_view prefix) {
  RETURN_IF_ERROR(CheckOriginPrefix(*store, keyring, prefix));
  std::string row;
  const absl::Status found = store->Get(kOriginPrefixKey, &row);
  if (!absl::IsNotFound(found)) return found;
  store::Batch batch;
  batch.Put(std::string(kOriginPrefixKey), keyring.SealRow(kOriginPrefixKey, /*seq=*/0, prefix));
  return store->Write(batch);
}

std::string OriginOf(absl::string_view prefix, const LogId& log,
                     const LogGeneration& log_generation) {
  std::string origin = absl::StrCat(prefix, "/", log.str());
  if (log_generation.number > 1) absl::StrAppend(&origin, ".", log_generation.number);
  return origin;
}

std::vector<keys::LogKeyVersion> KeyVersions(const keys::Keyring& keyring, const LogId& log,
                                             const LogGeneration& log_generation) {
  std::vector<keys::LogKeyVersion> versions;
  for (keys::LogKeyVersion& version : keyring.LogKeys(log)) {
    if (version.version >= log_generation.first_version) versions.push_back(std::move(version));
  }
  return versions;
}

absl::Status KeyringIsOlder(const LogId& log) {
  return absl::FailedPreconditionError(
      absl::StrCat("log ", log.str(),
                   ": its signing key is not in the keyring: put the newest "
                   "copy of the keyring back"));
}

absl::StatusOr<uint32_t> NewestHandover(const store::Store& store, const keys::Keyring& keyring,
                                        const LogId& log) {
  const std::string prefix = HandoverPrefix(log);
  uint32_t newest = 0;
  bool damaged = false;
  RETURN_IF_ERROR(store.Scan(prefix, "", [&](absl::string_view key, absl::string_view /*note*/) {
    key.remove_prefix(prefix.size());
    damaged |= key.size() != sizeof(uint32_t);
    if (!damaged) newest = std::max(newest, ReadU32(key));
    return !damaged;
  }));
  if (damaged) {
    return absl::DataLossError(
        absl::StrCat("log ", log.str(), ": a handover is of no version of its key"));
  }
  const std::vector<keys::LogKeyVersion> versions = keyring.LogKeys(log);
  // The older key must not sign beyond the size at which it handed over.
  if (newest > (versions.empty() ? 0 : versions.back().version)) return KeyringIsOlder(log);
  return newest;
}

absl::StatusOr<std::vector<LogKeyRange>> ReadLogKeys(const store::Store& store,
                                                     const keys::Keyring& keyring, const LogId& log,
                                                     const LogGeneration& log_generation,
                                                     absl::string_view origin) {
  ASSIGN_OR_RETURN(const uint32_t newest_handover, NewestHandover(store, keyring, log));
  std::vector<LogKeyRange> ranges;
  const std::vector<keys::LogKeyVersion> versions = KeyVersions(keyring, log, log_generation);
  for (const keys::LogKeyVersion& version : versions) {
    if (version.seed == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("log ", log.str(), ": a signing key was destroyed"));
    }
    LogKeyRange next;
    next.version = version.version;
    next.key = {std::string(origin), tlog::NoteAlgorithm::kEd25519,
                crypto::PublicKeyOf(crypto::SigningSeed(version.seed->Expose()))};
    if (!ranges.empty()) {
      const absl::Status found = store.Get(HandoverKey(log, version.version), &next.handover);
      if (absl::IsNotFound(found) && version.version > newest_handover) continue;
      if (!found.ok() && !absl::IsNotFound(found)) return found;
      const absl::StatusOr<tlog::Handover> handover = tlog::VerifyHandover(next.handover, nullptr);
      if (!handover.ok()) {
        return absl::DataLossError(absl::StrCat("log ", log.str(), ": the handover to key version ",
                                                next.version, " is missing or damaged"));
      }
      if (handover->origin != origin || !(handover->old_key == ranges.back().key) ||
          !(handover->new_key == next.key)) {
        return absl::DataLossError(absl::StrCat(
            "log ", log.str(), ": the handover to key version ", next.version,
            " is of other keys or of another origin; the origin prefix may not change"));
      }
      next.after_size = handover->size;
      ranges.back().last_size = handover->size;
    }
    ranges.push_back(std::move(next));
  }
  // Only a first log generation begins before it has keys.
  if (ranges.empty() && log_generation.number > 1) return KeyringIsOlder(log);
  if (ranges.empty()) {
    return absl::NotFoundError(absl::StrCat("log ", log.str(), " has no signing key"));
  }
  return ranges;
}

}  // namespace vault::audit
