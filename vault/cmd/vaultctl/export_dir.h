// A directory that a log is exported to, as C2SP tlog-tiles lays it out, with the handovers and the
// record of pruning beside the tiles.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<ExportWriter> writer, ExportWriter::Open("toshima"));
//   uint64_t have = writer->old_checkpoint() == nullptr ? 0 : writer->old_checkpoint()->size;
//   ASSIGN_OR_RETURN(tlog::Checkpoint here, writer->Resume());  // further, if it was interrupted
//   RETURN_IF_ERROR(writer->Begin(size));                       // of the log that comes
//   … RETURN_IF_ERROR(writer->Add("tile/0/000", bytes));        // "checkpoint" last
//   RETURN_IF_ERROR(writer->Finish());
//
// At every moment, and after a crash at any, the directory holds the checkpoint that it had, with
// every file that this one calls for, or the new one with all of its own. Handovers, the record of
// pruning and the checkpoint cannot be put in place in one step: they go in this order, so that a
// crash between them leaves the old checkpoint beside newer statements, an interrupted export: run
// it again. Files and paths come from a vault that may be hostile: nothing is written elsewhere, no
// file that the old checkpoint calls for ever changes, and nothing goes that is the only copy of an
// entry, though the vault has removed its own.
//
//   DIR/.export.lock    held while an export writes
//   DIR/.export.tmp/    files under way; whatever a killed export left there is removed
#ifndef VAULT_CMD_VAULTCTL_EXPORT_DIR_H_
#define VAULT_CMD_VAULTCTL_EXPORT_DIR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "vault/cmd/vaultctl/files.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/tile.h"

namespace vault::ctl {

// DATA_LOSS is what the vault sent wrong; FAILED_PRECONDITION what is wrong with the directory;
// other codes are the system's. Not thread-safe.
class ExportWriter {
 public:
  static constexpr size_t kBatchFiles = 256;

  // Makes the directory where there is none; its parent must be there. FAILED_PRECONDITION where
  // another export writes to it, where it holds something else than an export, where a file is
  // missing that its checkpoint calls for, and where a link stands in the place of a file.
  // `batch_files`: so many are synced at a time.
  static absl::StatusOr<std::unique_ptr<ExportWriter>> Open(const std::string& dir,
                                                            size_t batch_files = kBatchFiles);
  // Without Finish: the files since the last Flush go, those of earlier ones stay.
  ~ExportWriter();
  ExportWriter(const ExportWriter&) = delete;
  ExportWriter& operator=(const ExportWriter&) = delete;

  // What the directory held when it was opened, and what Add was given; null: none.
  const tlog::Checkpoint* old_checkpoint() const { return old_ ? &*old_ : nullptr; }
  const tlog::Checkpoint* new_checkpoint() const { return new_ ? &*new_ : nullptr; }
  // How many files were taken, those that were here already among them.
  uint64_t files() const { return files_; }

  // How far an export that was interrupted has come behind the old checkpoint: so many entries
  // stand here in full bundles without a gap, and the root of their tree, as the tiles beside them
  // have it. The tiles above, which come last, are made from those. Size 0: nothing. What it says
  // is worth what the vault proves of it. Of a log whose beginning was pruned a first export begins
  // anew.
  absl::StatusOr<tlog::Checkpoint> Resume();
  // The files of a log of `size` follow, each once, those of a level in their order: Add takes no
  // others. May be called again, where what came before broke off.
  absl::Status Begin(uint64_t size);

  // Takes one file; "checkpoint" comes last. DATA_LOSS for any path but an export's, content that
  // cannot be what the path says, another content for a file that the old checkpoint calls for, and
  // a checkpoint of a smaller log, or of another one of the same size. FAILED_PRECONDITION for
  // another log's checkpoint.
  absl::Status Add(absl::string_view path, absl::string_view content);
  // Puts the files so far in place, as every `batch_files` of them are by themselves: what an
  // export that breaks off leaves.
  absl::Status Flush();
  // Puts the new checkpoint in place, once every file that it calls for is on disk, then removes
  // partial tiles that a wider one has taken the place of. DATA_LOSS, and the old one stays, where
  // there was no checkpoint, a file is missing, or a handover is of a larger log, of another one,
  // or not the one that is here.
  absl::Status Finish();

 private:
  struct Pending {
    std::string temporary;
    std::string path;
    Fd fd;  // stays open until it is synced: an error on the way to the disk is told there
  };

  ExportWriter(const std::string& dir, size_t batch_files) : dir_(dir), batch_files_(batch_files) {}
  std::string Shown(absl::string_view path) const;
  absl::Status OpenDirectory();
  absl::Status TakeLock();
  absl::Status EmptyTemporaries();
  absl::Status ReadOld();
  // The descriptor of a directory inside, made where it is missing; kept until the next Flush syncs
  // it. "": the directory itself.
  absl::StatusOr<int> DirectoryAt(const std::string& path);
  // The bytes of a file; none where there is none.
  absl::StatusOr<absl::optional<std::string>> ReadAt(const std::string& path, size_t bytes_max);
  // Whether a file may come now, after Begin.
  absl::Status CheckTurn(absl::string_view path);
  // The root over the entries of a full bundle: from the tile above, where the old checkpoint calls
  // for one, else from its own.
  absl::StatusOr<crypto::Digest> BundleRoot(uint64_t index);
  absl::Status AddCheckpoint(absl::string_view content);
  absl::Status AddHandover(absl::string_view path, absl::string_view content);
  absl::Status CheckPrefix(const tlog::TileId& tile, absl::string_view content);
  absl::Status AddFile(const std::string& path, absl::string_view content, bool may_change);
  absl::Status WriteTemporary(const std::string& path, absl::string_view content);
  // The first bundle that the record of pruning (`note`) leaves; 0 without one.
  absl::StatusOr<uint64_t> FirstBundle(const absl::optional<std::string>& note) const;
  // A path that a log of `size` calls for and that is missing, but for what a log of `from_size`
  // had already; empty: none.
  std::string FirstMissing(uint64_t from_size, uint64_t size, uint64_t first_bundle) const;
  // Whether handovers_ may stand beside new_; drops those that are here already.
  absl::Status CheckHandovers();
  // Whether pruned_ may stand beside new_.
  absl::Status CheckPruned();
  // Whether a wider tile that stays begins with the partial one.
  bool IsCovered(const tlog::TileId& partial);
  absl::Status RemoveStaleIn(const std::string& path);

  const std::string dir_;
  const size_t batch_files_;
  Fd fd_, lock_, temporaries_;
  absl::optional<tlog::Checkpoint> old_, new_;
  std::string new_checkpoint_bytes_;
  absl::optional<uint64_t> size_;       // that Begin gave
  std::map<int, uint64_t> next_index_;  // by level, since Begin
  std::set<std::string> statements_;    // since Begin
  // Held back until Finish: that a checkpoint follows which they belong to must be known first.
  absl::optional<std::string> pruned_;
  std::map<uint64_t, std::string> handovers_;  // by their numbers
  size_t handover_bytes_ = 0;
  std::vector<Pending> pending_;
  std::map<std::string, Fd> directories_;
  uint64_t next_temporary_ = 0;
  uint64_t files_ = 0;
};

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_EXPORT_DIR_H_
