#include "vault/store/rocksdb/rocksdb_store.h"

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/metadata.h"
#include "rocksdb/options.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/snapshot.h"
#include "rocksdb/table.h"
#include "rocksdb/transaction_log.h"
#include "rocksdb/write_batch.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"
#include "vault/base/status.h"
#include "vault/store/rocksdb/rocksdb_db.h"
#include "vault/store/rocksdb/rocksdb_files.h"

namespace vault::store {
namespace {

using rocksdb::IOOptions;

rocksdb::Slice ToSlice(absl::string_view s) { return rocksdb::Slice(s.data(), s.size()); }
absl::string_view ToView(const rocksdb::Slice& s) { return absl::string_view(s.data(), s.size()); }

// RocksDB's own log, warnings and worse, as lines of ours. They hold file names, numbers and
// statuses; keys stay out of them (allow_data_in_errors), values never enter.
class LogForwarder : public rocksdb::Logger {
 public:
  LogForwarder() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using Logger::Logv;
  void LogHeader(const char*, va_list) override {}
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list args) override {
    if (level < GetInfoLogLevel() || level >= rocksdb::InfoLogLevel::HEADER_LEVEL) return;
    char line[1024];
    std::vsnprintf(line, sizeof(line), format, args);
    // Each backup makes RocksDB warn of its own doing.
    if (absl::StrContains(line, "File Deletions")) return;
    if (level == rocksdb::InfoLogLevel::WARN_LEVEL) {
      VAULT_LOG(WARNING) << "rocksdb: " << line;
    } else {
      VAULT_LOG(ERROR) << "rocksdb: " << line;
    }
  }
};

// The first key behind every key that starts with `prefix`; empty when there is none.
std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) ++end.back();
  return end;
}

absl::Status RowError(const rocksdb::Status& status) {
  // Without RocksDB's text: this one is ordinary, and made on every miss.
  if (status.IsNotFound()) return absl::NotFoundError("no such row");
  return FromRocksDb(status, "reading a row");
}

absl::Status GetRow(rocksdb::DB* db, const rocksdb::Snapshot* snapshot, absl::string_view key,
                    std::string* value) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.verify_checksums = true;
  return RowError(db->Get(options, ToSlice(key), value));
}

std::vector<absl::StatusOr<std::string>> GetRows(rocksdb::DB* db, const rocksdb::Snapshot* snapshot,
                                                 absl::Span<const std::string> keys) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.verify_checksums = true;
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  db->MultiGet(options, db->DefaultColumnFamily(), keys.size(), slices.data(), values.data(),
               statuses.data());
  std::vector<absl::StatusOr<std::string>> rows;
  rows.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].ok()) {
      rows.emplace_back(values[i].ToString());
    } else {
      rows.emplace_back(RowError(statuses[i]));
    }
  }
  return rows;
}

// RocksDbOptions::group_begin and group_length, as RocksDB wants to be told.
class GroupTransform : public rocksdb::SliceTransform {
 public:
  GroupTransform(std::string begin, size_t length)
      : begin_(std::move(begin)),
        length_(length),
        id_(absl::StrCat("vault.group.", begin_, length)) {}

  const char* Name() const override { return id_.c_str(); }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return rocksdb::Slice(key.data(), length_);
  }
  bool InDomain(const rocksdb::Slice& key) const override {
    return key.size() >= length_ && key.starts_with(begin_);
  }
  bool IsGroup(absl::string_view prefix) const {
    return prefix.size() == length_ && absl::StartsWith(prefix, begin_);
  }

 private:
  const std::string begin_;
  const size_t length_;
  const std::string id_;
};

class RocksDbSnapshot : public Snapshot {
 public:
  RocksDbSnapshot(rocksdb::DB* db, const GroupTransform* groups, const rocksdb::Snapshot* snapshot)
      : db_(db), groups_(groups), snapshot_(snapshot) {}
  ~RocksDbSnapshot() override { db_->ReleaseSnapshot(snapshot_); }

  absl::Status Get(absl::string_view key, std::string* value) const override {
    return GetRow(db_, snapshot_, key, value);
  }

  std::vector<absl::StatusOr<std::string>> MultiGet(
      absl::Span<const std::string> keys) const override {
    return keys.size() < 2 ? Snapshot::MultiGet(keys) : GetRows(db_, snapshot_, keys);
  }

  absl::Status Scan(absl::string_view prefix, absl::string_view start, RowFn row) const override {
    if (!start.empty() && !absl::StartsWith(start, prefix)) {
      return absl::InvalidArgumentError("a scan's start must begin with its prefix");
    }
    const std::string end = PrefixEnd(prefix);
    const rocksdb::Slice end_slice(end);
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    options.verify_checksums = true;
    if (!end.empty()) options.iterate_upper_bound = &end_slice;
    // Any other scan must see all keys, in whatever group.
    const bool group = groups_ != nullptr && groups_->IsGroup(prefix);
    options.prefix_same_as_start = group;
    options.total_order_seek = !group;
    // A long scan reads each block once: it must not drive out what lookups need.
    options.fill_cache = group;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
    for (it->Seek(ToSlice(start.empty() ? prefix : start)); it->Valid(); it->Next()) {
      if (!row(ToView(it->key()), ToView(it->value()))) return absl::OkStatus();
    }
    // An iterator that met damage is as invalid as one at its end; only its status tells them
    // apart.
    return FromRocksDb(it->status(), "scanning");
  }

 private:
  rocksdb::DB* const db_;
  const GroupTransform* const groups_;
  const rocksdb::Snapshot* const snapshot_;
};

// A row that nobody writes. Its deletion gives a memory table something to flush.
constexpr absl::string_view kNoRow("\0vault/store/rewrite", 20);

class RocksDbStore : public RocksDb, public RocksDbHandle {
 public:
  RocksDbStore(const RocksDbOptions& options, std::shared_ptr<GuardedFs> fs,
               std::shared_ptr<rocksdb::Env> env, std::shared_ptr<const GroupTransform> groups,
               std::unique_ptr<rocksdb::DB> db)
      : options_(options),
        fs_(std::move(fs)),
        env_(std::move(env)),
        groups_(std::move(groups)),
        db_(std::move(db)) {}

  ~RocksDbStore() override {
    const rocksdb::Status closed = db_->Close();
    if (!closed.ok()) VAULT_LOG(ERROR) << "closing the database: " << closed.ToString();
  }

  rocksdb::DB* db() override { return db_.get(); }
  const RocksDbOptions& options() const override { return options_; }

  absl::Status Get(absl::string_view key, std::string* value) const override {
    return GetRow(db_.get(), nullptr, key, value);
  }

  absl::StatusOr<std::unique_ptr<const Snapshot>> TakeSnapshot() const override {
    const rocksdb::Snapshot* const snapshot = db_->GetSnapshot();
    // A read at a null one would be of the newest rows, each of another moment.
    if (snapshot == nullptr) return absl::InternalError("the database gives no snapshot");
    return std::make_unique<RocksDbSnapshot>(db_.get(), groups_.get(), snapshot);
  }

  absl::Status Write(const Batch& batch) override {
    if (write_failed_.load()) {
      return absl::UnavailableError(
          "an earlier write failed: the database takes no more until restart");
    }
    if (batch.empty()) return absl::OkStatus();
    if (fs_ == nullptr) return ReadOnly();
    // An operation costs its bytes, a tag and two lengths; the batch a header of 12 bytes.
    constexpr size_t kBatchHeader = 12, kPerOp = 11;
    rocksdb::WriteBatch writes(kBatchHeader + batch.bytes() + kPerOp * batch.ops().size());
    for (const Batch::Op& op : batch.ops()) {
      const rocksdb::Status added =
          op.is_delete ? writes.Delete(op.key) : writes.Put(op.key, op.value);
      if (!added.ok()) return FromRocksDb(added, "building a batch");
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    const rocksdb::Status status = db_->Write(options, &writes);
    if (!status.ok()) write_failed_.store(true);
    return FromRocksDb(status, "writing a batch");
  }

  absl::StatusOr<uint64_t> FreeBytes() const override {
    if (fs_ == nullptr) return ReadOnly();
    uint64_t free_bytes = 0;
    const rocksdb::IOStatus status =
        fs_->GetFreeSpace(db_->GetName(), IOOptions(), &free_bytes, nullptr);
    if (!status.ok()) return FromRocksDb(status, "asking for the free space");
    return free_bytes;
  }

  absl::StatusOr<std::vector<FilesUnderKey>> FilesByKey() const override {
    if (fs_ == nullptr) return ReadOnly();
    ASSIGN_OR_RETURN(const std::vector<GuardedFs::FileKey> files, fs_->FileKeys(options_.path));
    std::map<uint32_t, FilesUnderKey> by_key;
    for (const GuardedFs::FileKey& file : files) {
      FilesUnderKey& under = by_key[file.key_id];
      under.key_id = file.key_id;
      ++under.files;
      under.bytes += file.bytes;
    }
    std::vector<FilesUnderKey> result;
    for (const auto& [key_id, under] : by_key) result.push_back(under);
    return result;
  }

  absl::StatusOr<bool> RewriteSome() override VAULT_EXCLUDES(rewrite_mu_) {
    if (fs_ == nullptr) return ReadOnly();
    MutexLock lock(&rewrite_mu_);
    const uint32_t now = options_.cipher->WriteKeyId();
    ASSIGN_OR_RETURN(std::vector<GuardedFs::FileKey> old, fs_->FileKeys(options_.path));
    old.erase(std::remove_if(old.begin(), old.end(),
                             [now](const GuardedFs::FileKey& file) { return file.key_id == now; }),
              old.end());
    if (old.empty()) return false;
    RETURN_IF_ERROR(CheckRoom());
    ASSIGN_OR_RETURN(const bool some, RewriteSmallFiles(old));
    ASSIGN_OR_RETURN(const bool logs, LeaveLogs(old));
    if (some || logs) return true;
    ASSIGN_OR_RETURN(const bool tables, RewriteTables(old));
    if (tables) return true;
    // What is left is being written or compacted, or is needed no more. Of the latter RocksDB keeps
    // what a crash had left, an empty log for instance, until it looks at the whole folder, as it
    // does when deletions are let in again.
    RETURN_IF_ERROR(FromRocksDb(db_->DisableFileDeletions(), "looking for old files"));
    RETURN_IF_ERROR(FromRocksDb(db_->EnableFileDeletions(/*force=*/false), "removing old files"));
    absl::SleepFor(absl::Milliseconds(20));
    return true;
  }

 private:
  // What a call of RewriteSome rewrites at most, beyond one step, and the room that must be there.
  static constexpr uint64_t kRewriteBytes = 64 << 20;
  static constexpr uint64_t kRewriteRoom = 2 * kRewriteBytes;

  static absl::Status ReadOnly() {
    return absl::FailedPreconditionError("a backup cannot be written");
  }

  absl::Status CheckRoom() const {
    ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeBytes());
    if (free_bytes >= kRewriteRoom) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("no room to rewrite files: ", free_bytes,
                                                     " bytes free, ", kRewriteRoom, " wanted"));
  }

  // The files that RocksDB itself never rewrites while it runs.
  absl::StatusOr<bool> RewriteSmallFiles(const std::vector<GuardedFs::FileKey>& old) {
    bool some = false;
    for (const GuardedFs::FileKey& file : old) {
      if (!IsRewritable(file.name)) continue;
      RETURN_IF_ERROR(fs_->Rewrite(options_.path, file.name));
      some = true;
    }
    return some;
  }

  // Flushes what WALs under an old key hold; RocksDB then goes on in a new one, and removes them.
  absl::StatusOr<bool> LeaveLogs(const std::vector<GuardedFs::FileKey>& old) {
    uint64_t oldest_needed = 0;
    if (!db_->GetIntProperty("rocksdb.min-log-number-to-keep", &oldest_needed)) {
      return absl::InternalError("the database does not say which logs it needs");
    }
    bool needed = false;
    for (const GuardedFs::FileKey& file : old) {
      absl::string_view number = file.name;
      uint64_t n = 0;
      if (!absl::ConsumeSuffix(&number, ".log") || !absl::SimpleAtoi(number, &n)) continue;
      if (n >= oldest_needed) needed = true;
    }
    if (!needed) return false;
    // A flush of an empty memory table would begin no new log.
    Batch nothing;
    nothing.Delete(std::string(kNoRow));
    RETURN_IF_ERROR(Write(nothing));
    RETURN_IF_ERROR(FromRocksDb(db_->Flush(rocksdb::FlushOptions()), "flushing"));
    return true;
  }

  // Compacts table files under an old key within their level; those of level 0 into the next that
  // has any. False where nothing could be done now.
  absl::StatusOr<bool> RewriteTables(const std::vector<GuardedFs::FileKey>& old) {
    std::set<std::string> names;
    for (const GuardedFs::FileKey& file : old) names.insert(file.name);
    rocksdb::ColumnFamilyMetaData meta;
    db_->GetColumnFamilyMetaData(&meta);
    int base_level = db_->NumberLevels() - 1;
    for (const rocksdb::LevelMetaData& level : meta.levels) {
      if (level.level > 0 && !level.files.empty()) base_level = std::min(base_level, level.level);
    }
    bool some = false;
    uint64_t bytes = 0;
    for (const rocksdb::LevelMetaData& level : meta.levels) {
      std::vector<std::string> input;
      for (const rocksdb::SstFileMetaData& file : level.files) {
        if (bytes >= kRewriteBytes) break;
        if (file.being_compacted || names.count(file.relative_filename) == 0) continue;
        input.push_back(file.relative_filename);
        bytes += file.size;
        if (level.level == 0) continue;
        ASSIGN_OR_RETURN(const bool done, Compact(input, level.level));
        some = some || done;
        input.clear();
      }
      if (input.empty()) continue;
      ASSIGN_OR_RETURN(const bool done, Compact(input, base_level));
      some = some || done;
    }
    return some;
  }

  // False where RocksDB's own compaction is at these files, or has been.
  absl::StatusOr<bool> Compact(const std::vector<std::string>& files, int level) {
    rocksdb::CompactionOptions options;
    options.compression = rocksdb::kDisableCompressionOption;  // as the database's options say
    options.output_file_size_limit = kRewriteBytes;
    const rocksdb::Status status = db_->CompactFiles(options, files, level);
    if (status.IsAborted() || status.IsInvalidArgument() || status.IsNotFound()) return false;
    RETURN_IF_ERROR(FromRocksDb(status, "rewriting table files"));
    return true;
  }

  const RocksDbOptions options_;
  // In the order in which they are built up; the database goes first.
  const std::shared_ptr<GuardedFs> fs_;  // null: read-only
  const std::shared_ptr<rocksdb::Env> env_;
  const std::shared_ptr<const GroupTransform> groups_;
  const std::unique_ptr<rocksdb::DB> db_;
  // Once a write has failed it is unknown what is on disk until a start reads it again.
  std::atomic<bool> write_failed_{false};
  Mutex rewrite_mu_;
};

void SetDurability(rocksdb::Options* options) {
  options->paranoid_checks = true;
  options->wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // A whole WAL that is missing from the middle is refused, and not replayed over.
  options->track_and_verify_wals_in_manifest = true;
  options->recycle_log_file_num = 0;
  options->manual_wal_flush = false;
  options->use_fsync = false;  // fdatasync
  options->allow_mmap_reads = false;
  options->allow_mmap_writes = false;
  options->allow_data_in_errors = false;
  // A write error ends the process; RocksDB must not resume by itself behind our back.
  options->max_bgerror_resume_count = 0;
  options->write_dbid_to_manifest = true;
  options->db_host_id = "";
  options->verify_sst_unique_id_in_manifest = true;
  options->stats_dump_period_sec = 0;
  options->stats_persist_period_sec = 0;
}

// Small rows, one writer that brings 50–200 KB at a time, point lookups and short scans.
void SetShape(const RocksDbOptions& from, rocksdb::Options* options) {
  options->max_open_files = 512;
  options->max_background_jobs = 2;
  options->bytes_per_sync = 1 << 20;
  options->avoid_unnecessary_blocking_io = true;
  options->allow_concurrent_memtable_write = false;
  options->enable_write_thread_adaptive_yield = false;
  options->max_manifest_file_size = 16 << 20;

  options->write_buffer_size = from.write_buffer_bytes;
  options->max_write_buffer_number = 3;
  options->max_total_wal_size = 4 * from.write_buffer_bytes;
  options->memtable_whole_key_filtering = true;
  options->memtable_prefix_bloom_size_ratio = 0.02;
  options->compaction_style = rocksdb::kCompactionStyleLevel;
  options->level_compaction_dynamic_level_bytes = true;
  options->target_file_size_base = 32 << 20;
  options->max_bytes_for_level_base = 128 << 20;
  // What a flush writes is compacted soon: not compressed for that while.
  options->compression_per_level = {rocksdb::kNoCompression, rocksdb::kLZ4Compression};
  // One read and one pass of the cipher for many blocks.
  options->compaction_readahead_size = 1 << 20;

  rocksdb::BlockBasedTableOptions table;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  // Some residents' rows a block: fewer passes of cipher and checksum in a scan, and a lookup that
  // misses the cache still deciphers little.
  table.block_size = 8 << 10;
  table.initial_auto_readahead_size = 64 << 10;
  table.block_cache = rocksdb::NewLRUCache(from.block_cache_bytes);
  table.cache_index_and_filter_blocks = true;
  // Counted into the cache's bound and held there: looking each of them up again would cost a read
  // as much as the row.
  table.metadata_cache_options.unpartitioned_pinning = rocksdb::PinningTier::kAll;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  options->table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
}

// Whether there is a database. Refuses one that is not there and may not be made, or whose CURRENT
// is gone: RocksDB would begin a new one over the rest.
absl::StatusOr<bool> CheckPresence(rocksdb::FileSystem* base, const RocksDbOptions& options) {
  if (base->FileExists(options.path + "/CURRENT", IOOptions(), nullptr).ok()) return true;
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocksDb(base->GetChildren(options.path, IOOptions(), &names, nullptr),
                              "listing the database"));
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".sst") || absl::EndsWith(name, ".log")) {
      return absl::DataLossError(absl::StrCat(options.path, "/CURRENT is missing, but ", name,
                                              " is there: restore the database from a backup"));
    }
  }
  if (options.create) return false;
  return absl::NotFoundError(absl::StrCat("no database in ", options.path));
}

absl::Status CheckFiles(rocksdb::FileSystem* base, GuardedFs* guarded,
                        const RocksDbOptions& options) {
  ASSIGN_OR_RETURN(const bool present, CheckPresence(base, options));
  if (!present) return absl::OkStatus();
  // RocksDB reports the first as an invalid option, and aborts on the second.
  for (const char* name : {"/CURRENT", "/IDENTITY"}) {
    RETURN_IF_ERROR(CheckHeader(base, options.cipher, options.path + name));
  }
  RETURN_IF_ERROR(RemoveUnfinishedRewrites(base, options.path));
  RETURN_IF_ERROR(CheckManifest(guarded, options.path));
  return RemoveHeaderlessWal(base, options.path);
}

// What must hold, and is mended, before RocksDB looks at the files. Holds the directory's lock
// meanwhile, so that a running vault's files are left alone.
absl::Status Prepare(rocksdb::FileSystem* base, GuardedFs* guarded, const RocksDbOptions& options) {
  if (options.create) {
    RETURN_IF_ERROR(MakeDirectory(base, options.path));
  } else if (!base->FileExists(options.path, IOOptions(), nullptr).ok()) {
    return absl::NotFoundError(absl::StrCat("no database in ", options.path));
  }
  rocksdb::FileLock* lock = nullptr;
  const rocksdb::IOStatus locked =
      base->LockFile(options.path + "/LOCK", IOOptions(), &lock, nullptr);
  if (!locked.ok()) {
    return absl::UnavailableError(absl::StrCat(
        "cannot lock ", options.path, ": does another vault run on it? (", locked.ToString(), ")"));
  }
  absl::Status status = CheckFiles(base, guarded, options);
  const rocksdb::IOStatus unlocked = base->UnlockFile(lock, IOOptions(), nullptr);
  if (!unlocked.ok()) status.Update(FromRocksDb(unlocked, "unlocking the database"));
  return status;
}

// CheckPresence has found a database, and the options are ours: what RocksDB then misses or finds
// invalid is damage.
absl::Status OpenError(const rocksdb::Status& status, const std::string& path) {
  const std::string doing = absl::StrCat("opening the database in ", path);
  if (status.IsNotFound() || status.IsInvalidArgument()) {
    return absl::DataLossError(absl::StrCat(doing, ": ", status.ToString()));
  }
  return FromRocksDb(status, doing);
}

rocksdb::Options DbOptions(const RocksDbOptions& from, rocksdb::Env* env) {
  rocksdb::Options options;
  options.env = env;
  options.info_log = NewLogForwarder();
  SetDurability(&options);
  SetShape(from, &options);
  return options;
}

std::shared_ptr<const GroupTransform> Groups(const RocksDbOptions& options) {
  if (options.group_begin.empty()) return nullptr;
  return std::make_shared<const GroupTransform>(options.group_begin, options.group_length);
}

}  // namespace

std::shared_ptr<rocksdb::Logger> NewLogForwarder() { return std::make_shared<LogForwarder>(); }

absl::StatusOr<std::unique_ptr<RocksDb>> OpenRocksDb(const RocksDbOptions& options) {
  VAULT_CHECK(options.cipher != nullptr) << "a store never writes plaintext";
  std::shared_ptr<rocksdb::FileSystem> base =
      options.file_system != nullptr ? options.file_system : rocksdb::FileSystem::Default();
  std::shared_ptr<GuardedFs> fs = NewGuardedFs(base, options.cipher);
  RETURN_IF_ERROR(Prepare(base.get(), fs.get(), options));

  std::shared_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
  // Compaction takes what calls leave: where it falls behind, RocksDB slows the writes down.
  (void)env->LowerThreadPoolCPUPriority(rocksdb::Env::Priority::LOW, rocksdb::CpuPriority::kLow);
  rocksdb::Options db_options = DbOptions(options, env.get());
  db_options.create_if_missing = options.create;
  std::shared_ptr<const GroupTransform> groups = Groups(options);
  db_options.prefix_extractor = groups;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(db_options, options.path, &db);
  if (!status.ok()) return OpenError(status, options.path);
  return std::make_unique<RocksDbStore>(options, std::move(fs), std::move(env), std::move(groups),
                                        std::unique_ptr<rocksdb::DB>(db));
}

absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbReadOnly(const RocksDbOptions& options,
                                                           std::shared_ptr<rocksdb::Env> env) {
  rocksdb::Options db_options = DbOptions(options, env.get());
  std::shared_ptr<const GroupTransform> groups = Groups(options);
  db_options.prefix_extractor = groups;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(db_options, options.path, &db);
  if (!status.ok()) return OpenError(status, options.path);
  return std::make_unique<RocksDbStore>(options, nullptr, std::move(env), std::move(groups),
                                        std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace vault::store
