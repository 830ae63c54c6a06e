#include "tests/testing/log_export.h"

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/tile.h"

namespace vault::testing {
namespace {

constexpr uint64_t kEntriesAnHour = 4500;

// A stream of numbers for each place of a log, so that entry n costs no n numbers.
class Numbers {
 public:
  Numbers(uint64_t seed, uint64_t seq) : state_(seed * 0xd1342543de82ef95u + seq) { Next(); }
  uint64_t Next() {  // splitmix64
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  std::string Handle() { return absl::StrFormat("%016x%016x", Next(), Next()); }

 private:
  uint64_t state_;
};

absl::Status CannotWrite(const std::string& path) {
  return absl::UnknownError(absl::StrCat("cannot write ", path));
}

}  // namespace

SecretBytes<crypto::kKeySize> TestSigningSeed(uint8_t fill) {
  SecretBytes<crypto::kKeySize> seed;
  for (size_t i = 0; i < seed.size(); ++i) seed.mutable_data()[i] = fill;
  return seed;
}

tlog::VerifierKey TestVerifierKey(absl::string_view name, uint8_t fill,
                                  tlog::NoteAlgorithm algorithm) {
  tlog::VerifierKey key;
  key.name = std::string(name);
  key.algorithm = algorithm;
  key.key = crypto::PublicKeyOf(crypto::SigningSeed(TestSigningSeed(fill)));
  return key;
}

tlog::Entry GenerateEntry(uint64_t seed, uint64_t seq, const crypto::Digest& prev) {
  Numbers numbers(seed, seq);
  tlog::Entry entry;
  tlog::EntryFields& f = entry.fields;
  f.actor = absl::StrCat("urn:vault:operator-", 100 + numbers.Below(100));
  f.service = "urn:vault:desk";
  f.cert = std::string(64, "0123456789abcdef"[numbers.Below(16)]);
  f.peer = absl::StrCat("192.0.2.", 1 + numbers.Below(250), ":", 49152 + numbers.Below(16384));
  f.policy = "e998c6ad26026cb1324b0c6531cc27da1b83a0ad9206f07f3a580270d366e6f3";
  f.role = "operator";
  f.purpose = "vaccination_booking";
  f.contact = absl::StrCat("C-", 100000 + numbers.Below(900000));
  f.request = absl::StrFormat("r-%016x", numbers.Next());
  const uint64_t kind = numbers.Below(10);
  f.action = kind < 6 ? "resident.lookup" : kind < 9 ? "resident.get" : "resident.update";
  f.decision = kind == 8 ? "DENY" : "ALLOW";
  f.outcome = kind == 8 ? "PERMISSION_DENIED" : "OK";
  f.rule = kind == 8 ? "withheld-field" : "operator-lookup";
  if (kind < 6) f.query = {"phone"};
  if (kind != 8) {
    f.resident = numbers.Handle();
    f.shown = {"kana", "name"};
    f.masked = {"address", "phone"};
  }
  if (kind == 9) {
    f.changed = {"phone"};
    f.version = static_cast<int64_t>(2 + numbers.Below(9));
  }
  entry.place.seq = seq;
  entry.place.prev = prev;
  const absl::Duration step = absl::Hours(1) / kEntriesAnHour;
  // Never earlier than the entry before: what is added at random is less than a step.
  entry.place.time = absl::FromUnixSeconds(1793588645) + static_cast<int64_t>(seq) * step +
                     absl::Microseconds(static_cast<int64_t>(numbers.Below(1000)));
  for (uint8_t& byte : entry.place.nonce) byte = static_cast<uint8_t>(numbers.Next());
  return entry;
}

LogExport::LogExport(std::string dir, LogExportOptions options)
    : dir_(std::move(dir)), options_(std::move(options)) {}

tlog::VerifierKey LogExport::key() const {
  return TestVerifierKey(options_.origin, options_.key_fill);
}

absl::Status LogExport::Grow(uint64_t size) {
  VAULT_CHECK(size >= edge_.size());
  while (edge_.size() < size) RETURN_IF_ERROR(Append());
  RETURN_IF_ERROR(WritePartial());
  const std::string text = tlog::FormatCheckpoint({options_.origin, edge_.size(), edge_.Root()});
  const SecretBytes<crypto::kKeySize> seed = TestSigningSeed(options_.key_fill);
  checkpoint_ = tlog::FormatNote(text, {tlog::SignNote(text, key(), crypto::SigningSeed(seed))});
  return WriteFile("checkpoint", checkpoint_);
}

absl::Status LogExport::Append() {
  const uint64_t seq = edge_.size();
  const tlog::Entry entry = GenerateEntry(options_.seed, seq, prev_);
  ASSIGN_OR_RETURN(std::string bytes, tlog::Encode(entry.fields, entry.place));
  if (options_.edit) options_.edit(seq, &bytes);
  const size_t before = bundle_.size();
  tlog::AppendToBundle(bytes, &bundle_);
  entry_bytes_ += bundle_.size() - before;
  prev_ = tlog::LeafHash(bytes);
  edge_.Append(prev_);
  if (edge_.size() % tlog::kTileWidth == 0) {
    const tlog::TileId id{tlog::TileId::kEntries, seq / tlog::kTileWidth};
    RETURN_IF_ERROR(WriteFile(tlog::TilePath(id), bundle_));
    bundle_.clear();
  }
  return AddHash(0, prev_);
}

absl::Status LogExport::AddHash(size_t level, const crypto::Digest& hash) {
  if (level == tiles_.size()) tiles_.emplace_back();
  std::vector<crypto::Digest>& tile = tiles_[level];
  tile.push_back(hash);
  if (tile.size() < tlog::kTileWidth) return absl::OkStatus();
  const uint64_t index = (edge_.size() >> tlog::kTileHeight * (level + 1)) - 1;
  RETURN_IF_ERROR(
      WriteFile(tlog::TilePath({static_cast<int>(level), index}), tlog::EncodeTile(tile)));
  const crypto::Digest root = tlog::PerfectRoot(tile.data(), tile.size());
  tile.clear();
  return AddHash(level + 1, root);
}

absl::Status LogExport::WritePartial() {
  if (!bundle_.empty()) {
    const tlog::TileId id{tlog::TileId::kEntries, edge_.size() / tlog::kTileWidth,
                          static_cast<uint32_t>(edge_.size() % tlog::kTileWidth)};
    RETURN_IF_ERROR(WriteFile(tlog::TilePath(id), bundle_));
  }
  for (size_t level = 0; level < tiles_.size(); ++level) {
    if (tiles_[level].empty()) continue;
    const tlog::TileId id{static_cast<int>(level), edge_.size() >> tlog::kTileHeight * (level + 1),
                          static_cast<uint32_t>(tiles_[level].size())};
    RETURN_IF_ERROR(WriteFile(tlog::TilePath(id), tlog::EncodeTile(tiles_[level])));
  }
  return absl::OkStatus();
}

absl::Status LogExport::WriteFile(const std::string& path, absl::string_view bytes) {
  const std::filesystem::path whole = std::filesystem::path(dir_) / path;
  if (whole.parent_path() != folder_) {
    std::error_code error;
    std::filesystem::create_directories(whole.parent_path(), error);
    if (error) return CannotWrite(whole.parent_path());
    folder_ = whole.parent_path();
  }
  std::FILE* const file = std::fopen(whole.c_str(), "wb");
  if (file == nullptr) return CannotWrite(whole);
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (std::fclose(file) != 0 || !written) return CannotWrite(whole);
  return absl::OkStatus();
}

}  // namespace vault::testing
