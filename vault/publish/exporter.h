// A log as the files of a C2SP tlog-tiles directory.
#ifndef VAULT_PUBLISH_EXPORTER_H_
#define VAULT_PUBLISH_EXPORTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vault/audit/log_generation.h"
#include "vault/base/ids.h"
#include "vault/crypto/crypto.h"
#include "vault/store/store.h"

namespace vault::publish {

struct ExportFile {
  std::string path;  // within the directory
  std::string content;
};

// The files that a log of `size` entries has and one of `from_size` had not. DATA_LOSS, naming the
// place, where the rows do not give the tree.
class Exporter {
 public:
  // `snapshot` must outlive it and hold the log's first `size` entries, which make `root`.
  Exporter(const store::Snapshot& snapshot, LogId log, uint64_t from_size, uint64_t size,
           const crypto::Digest& root)
      : snapshot_(snapshot),
        log_(std::move(log)),
        from_size_(from_size),
        size_(size),
        root_(root) {}

  // The entry that the first bundle begins with: what is pruned, or there already, is passed over.
  absl::StatusOr<uint64_t> Begin() const;
  // Bundles, with their tiles of level 0, from the one that begins at entry `from` on, until about
  // `bytes_max` are together or `to` (a multiple of 256, or the size) is reached; sets `*next`.
  absl::StatusOr<std::vector<ExportFile>> Bundles(uint64_t from, uint64_t to, size_t bytes_max,
                                                  uint64_t* next) const;
  // The tiles above, the handovers and the record of what was pruned; and that all of it, with the
  // bundles that are not full, gives the root.
  absl::StatusOr<std::vector<ExportFile>> Rest(const std::vector<audit::LogKeyRange>& keys) const;

 private:
  const store::Snapshot& snapshot_;
  const LogId log_;
  const uint64_t from_size_;
  const uint64_t size_;
  const crypto::Digest root_;
};

}  // namespace vault::publish

#endif  // VAULT_PUBLISH_EXPORTER_H_
