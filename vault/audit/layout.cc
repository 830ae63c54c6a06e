#include "vault/audit/layout.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/status.h"

namespace vault::audit {
namespace {

constexpr char kFormat = 1;
constexpr size_t kFixedSize = 1 + 8 + 8 + 32 + 32;
constexpr size_t kMarkSize = 1 + 8 + 32;

crypto::Digest ReadDigest(absl::string_view bytes) {
  crypto::Digest d;
  std::memcpy(d.data(), bytes.data(), d.size());
  return d;
}

}  // namespace

std::string EntryPrefix(const LogId& log) { return LogPrefix(kEntryPrefix, log); }

std::string EntryKey(const LogId& log, uint64_t seq) {
  std::string key = EntryPrefix(log);
  AppendU64(seq, &key);
  return key;
}

std::string HeadKey(const LogId& log) { return absl::StrCat(kHeadPrefix, log.str()); }

std::string SubtreePrefix(const LogId& log, uint32_t level) {
  std::string prefix = LogPrefix(kSubtreePrefix, log);
  prefix.push_back(static_cast<char>(level));
  return prefix;
}

std::string SubtreeKey(const LogId& log, uint32_t level, uint64_t index) {
  std::string key = SubtreePrefix(log, level);
  AppendU64(index, &key);
  return key;
}

std::string HandoverPrefix(const LogId& log) { return LogPrefix(kHandoverPrefix, log); }

std::string HandoverKey(const LogId& log, uint32_t version) {
  std::string key = HandoverPrefix(log);
  AppendU32(version, &key);
  return key;
}

std::string PrunedKey(const LogId& log) { return absl::StrCat(kPrunedPrefix, log.str()); }

std::string CosignedPrefix(const LogId& log) { return LogPrefix(kCosignedPrefix, log); }

std::string CosignedKey(const LogId& log, absl::string_view key_id_hex) {
  return absl::StrCat(CosignedPrefix(log), key_id_hex);
}

std::string LogGenerationKey(const LogId& log) {
  return absl::StrCat(kLogGenerationPrefix, log.str());
}

std::string ArchiveKey(const LogId& log, uint32_t number, absl::string_view key) {
  std::string archived = LogPrefix(kArchivePrefix, log);
  AppendU32(number, &archived);
  absl::StrAppend(&archived, "/", key);
  return archived;
}

std::string ReplayedKey(const LogId& log) { return absl::StrCat(kReplayedPrefix, log.str()); }

std::string EncodeKeyringMark(const keys::KeyringMark& mark) {
  std::string row(1, kFormat);
  AppendU64(mark.serial, &row);
  absl::StrAppend(&row, crypto::AsView(mark.digest));
  return row;
}

absl::StatusOr<keys::KeyringMark> DecodeKeyringMark(absl::string_view row) {
  if (row.size() != kMarkSize || row[0] != kFormat) {
    return absl::DataLossError("the row of the newest keyring is not of its format");
  }
  return keys::KeyringMark{ReadU64(row.substr(1)), ReadDigest(row.substr(9))};
}

std::string EncodeHead(const LogHead& head) {
  std::string out;
  out.reserve(kFixedSize + 32 * head.edge.hashes().size());
  out.push_back(kFormat);
  AppendU64(head.edge.size(), &out);
  AppendU64(absl::ToUnixMicros(head.last_time), &out);
  absl::StrAppend(&out, crypto::AsView(head.last_leaf), crypto::AsView(head.edge.Root()));
  for (const crypto::Digest& hash : head.edge.hashes()) absl::StrAppend(&out, crypto::AsView(hash));
  return out;
}

absl::StatusOr<LogHead> DecodeHead(absl::string_view bytes) {
  if (bytes.size() < kFixedSize || bytes[0] != kFormat || (bytes.size() - kFixedSize) % 32 != 0) {
    return absl::DataLossError("a log's head is not of its format");
  }
  LogHead head;
  const uint64_t size = ReadU64(bytes.substr(1));
  head.last_time = absl::FromUnixMicros(static_cast<int64_t>(ReadU64(bytes.substr(9))));
  head.last_leaf = ReadDigest(bytes.substr(17));
  const crypto::Digest root = ReadDigest(bytes.substr(49));
  std::vector<crypto::Digest> hashes;
  for (size_t at = kFixedSize; at < bytes.size(); at += 32) {
    hashes.push_back(ReadDigest(bytes.substr(at)));
  }
  ASSIGN_OR_RETURN(head.edge, tlog::TreeEdge::FromHashes(size, std::move(hashes)));
  if (head.edge.Root() != root) {
    return absl::DataLossError("a log's head: the root does not follow from the tree's edge");
  }
  return head;
}

}  // namespace vault::audit
