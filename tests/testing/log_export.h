// Writes a valid export of a log that never was (tlog-tiles: entries, tiles, signed checkpoint),
// for tests and benches of whoever reads one.
//
//   LogExport log(dir, {});
//   VAULT_ASSERT_OK(log.Grow(1000));         // entries 0 to 999, and the checkpoint of 1000
//   std::string kept = log.checkpoint();
//   VAULT_ASSERT_OK(log.Grow(1700));         // goes on where it was
//   options.keys = {log.key()};
//
// The same options give the same bytes, however many calls of Grow it takes (of partial tiles,
// those of each call's size are left). It holds one unfinished tile a level and one bundle in
// memory. crypto::Init must have been called. Not thread-safe.
#ifndef VAULT_TESTS_TESTING_LOG_EXPORT_H_
#define VAULT_TESTS_TESTING_LOG_EXPORT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "vault/base/secret.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/entry.h"
#include "vault/tlog/merkle.h"
#include "vault/tlog/note.h"

namespace vault::testing {

// The signing seed of a test's key: `fill` in every byte. For tests only.
SecretBytes<crypto::kKeySize> TestSigningSeed(uint8_t fill);
// Its public key under a name.
tlog::VerifierKey TestVerifierKey(absl::string_view name, uint8_t fill,
                                  tlog::NoteAlgorithm algorithm = tlog::NoteAlgorithm::kEd25519);

// Entry `seq` of the log of `seed`, about 600 bytes, whatever the entries before it are but for
// `prev`. An hour has 4,500 of them.
tlog::Entry GenerateEntry(uint64_t seed, uint64_t seq, const crypto::Digest& prev);

struct LogExportOptions {
  std::string origin = "vault.example/audit/131164";
  uint8_t key_fill = 0x11;  // TestSigningSeed's
  uint64_t seed = 1;        // of the entries' contents
  // Where it is set, each entry passes through it before it is hashed: a log that is well signed
  // and wrong all the same.
  std::function<void(uint64_t seq, std::string* entry)> edit;
};

class LogExport {
 public:
  // `dir` is made by the first Grow; what stands in it is written over.
  LogExport(std::string dir, LogExportOptions options);

  // Appends up to `size` entries in all, writes them, their tiles and the checkpoint. UNKNOWN where
  // a file cannot be written.
  absl::Status Grow(uint64_t size);
  // The entries from here on are another seed's: a fork, where the same was done without.
  void set_seed(uint64_t seed) { options_.seed = seed; }
  // Checkpoints from here on are signed by another key.
  void set_key_fill(uint8_t fill) { options_.key_fill = fill; }

  tlog::VerifierKey key() const;
  uint64_t size() const { return edge_.size(); }
  crypto::Digest root() const { return edge_.Root(); }
  // The signed note as it was written last.
  const std::string& checkpoint() const { return checkpoint_; }
  // Of the bundles, length prefixes included.
  uint64_t entry_bytes() const { return entry_bytes_; }

 private:
  absl::Status Append();
  // Takes a finished hash of `level` into its tile, which is written and hashed upward when full.
  absl::Status AddHash(size_t level, const crypto::Digest& hash);
  absl::Status WritePartial();
  absl::Status WriteFile(const std::string& path, absl::string_view bytes);

  const std::string dir_;
  LogExportOptions options_;
  tlog::TreeEdge edge_;
  crypto::Digest prev_ = {};
  std::string bundle_;                              // of the entries that fill no bundle yet
  std::vector<std::vector<crypto::Digest>> tiles_;  // by level, each less than full
  std::string folder_;                              // the one made last
  std::string checkpoint_;
  uint64_t entry_bytes_ = 0;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_TESTING_LOG_EXPORT_H_
