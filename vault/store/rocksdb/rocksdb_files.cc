#include "vault/store/rocksdb/rocksdb_files.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "rocksdb/env_encryption.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/mutex.h"
#include "vault/base/status.h"

namespace vault::store {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

// RocksDB counts offsets from the file's first byte, FileCipher from the first behind the header.
class CipherStream : public rocksdb::BlockAccessCipherStream {
 public:
  explicit CipherStream(std::unique_ptr<FileCipher::Stream> stream) : stream_(std::move(stream)) {}

  size_t BlockSize() override { return 1; }
  rocksdb::Status Encrypt(uint64_t offset, char* data, size_t size) override {
    VAULT_CHECK(offset >= FileCipher::kHeaderSize) << "the header is never enciphered";
    if (size > 0) stream_->Xor(offset - FileCipher::kHeaderSize, data, size);
    return rocksdb::Status::OK();
  }
  rocksdb::Status Decrypt(uint64_t offset, char* data, size_t size) override {
    return Encrypt(offset, data, size);
  }

 protected:
  // Encrypt and Decrypt above take any length at any offset, so nothing goes block by block.
  void AllocateScratch(std::string&) override {}
  rocksdb::Status EncryptBlock(uint64_t, char*, char*) override {
    return rocksdb::Status::NotSupported("no blocks here");
  }
  rocksdb::Status DecryptBlock(uint64_t, char*, char*) override {
    return rocksdb::Status::NotSupported("no blocks here");
  }

 private:
  const std::unique_ptr<FileCipher::Stream> stream_;
};

class CipherProvider : public rocksdb::EncryptionProvider {
 public:
  explicit CipherProvider(FileCipher* cipher) : cipher_(cipher) {}

  const char* Name() const override { return "VaultFileCipher"; }
  size_t GetPrefixLength() const override { return FileCipher::kHeaderSize; }

  rocksdb::Status CreateNewPrefix(const std::string& file, char* prefix,
                                  size_t size) const override {
    VAULT_CHECK(size == FileCipher::kHeaderSize) << size;
    const absl::Status made = cipher_->NewHeader(prefix);
    if (made.ok()) return rocksdb::Status::OK();
    return ToRocksDb(made, file);
  }

  rocksdb::Status CreateCipherStream(
      const std::string& file, const rocksdb::EnvOptions&, rocksdb::Slice& prefix,
      std::unique_ptr<rocksdb::BlockAccessCipherStream>* result) override {
    if (prefix.size() != FileCipher::kHeaderSize) {
      return rocksdb::Status::Corruption("shorter than its cipher header", file);
    }
    auto stream = cipher_->Open(absl::string_view(prefix.data(), prefix.size()));
    if (!stream.ok()) return ToRocksDb(stream.status(), file);
    *result = std::make_unique<CipherStream>(*std::move(stream));
    return rocksdb::Status::OK();
  }

  rocksdb::Status AddCipher(const std::string&, const char*, size_t, bool) override {
    return rocksdb::Status::NotSupported("keys come through FileCipher");
  }

 private:
  static rocksdb::Status ToRocksDb(const absl::Status& status, const std::string& file) {
    const std::string text(status.message());
    switch (status.code()) {
      case absl::StatusCode::kDataLoss:
        return rocksdb::Status::Corruption(text, file);
      case absl::StatusCode::kFailedPrecondition:
        return rocksdb::Status::NotSupported(text, file);
      default:
        return rocksdb::Status::IOError(text, file);
    }
  }

  FileCipher* const cipher_;
};

constexpr char kSyncedSuffix[] = ".synced";
// No name of RocksDB's: it neither reads nor removes such files.
constexpr char kRewriteSuffix[] = ".rewrite";
// A length and its complement, 8 bytes each, little endian.
constexpr size_t kSyncedRecordSize = 16;

absl::string_view BaseName(absl::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

bool IsManifest(absl::string_view path) {
  const absl::string_view name = BaseName(path);
  return absl::StartsWith(name, "MANIFEST-") && !absl::EndsWith(name, kSyncedSuffix);
}

// Whether a file of this name is RocksDB's or ours.
bool IsOfDatabase(absl::string_view name) {
  for (const char* suffix : {".sst", ".log", ".dbtmp", kRewriteSuffix}) {
    if (absl::EndsWith(name, suffix)) return true;
  }
  return IsRewritable(name);
}

std::string SyncedRecord(uint64_t size) {
  std::string record;
  AppendLittleU64(size, &record);
  AppendLittleU64(~size, &record);
  return record;
}

// A file under a layer that may be put in the place of another, with the same content, while it is
// being appended to.
class ReplaceableFile : public rocksdb::FSWritableFile {
 public:
  explicit ReplaceableFile(std::unique_ptr<rocksdb::FSWritableFile> file)
      : file_(std::move(file)) {}

  // `write` makes the other file from what is in this one, `put` gives it this one's name, durably.
  // Where that fails nobody knows which of the two a crash leaves: nothing is appended any more.
  // False, and nothing done, if the file is closed.
  absl::StatusOr<bool> Replace(
      absl::FunctionRef<absl::Status(std::unique_ptr<rocksdb::FSWritableFile>*)> write,
      absl::FunctionRef<absl::Status()> put) VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    if (closed_) return false;
    RETURN_IF_ERROR(FromRocksDb(file_->Flush(IOOptions(), nullptr), "flushing a file"));
    std::unique_ptr<rocksdb::FSWritableFile> other;
    RETURN_IF_ERROR(write(&other));
    const absl::Status there = put();
    broken_ = !there.ok();
    RETURN_IF_ERROR(there);
    const IOStatus closed = file_->Close(IOOptions(), nullptr);
    file_ = std::move(other);
    RETURN_IF_ERROR(FromRocksDb(closed, "closing a file that was replaced"));
    return true;
  }

  using FSWritableFile::Append;
  using FSWritableFile::PositionedAppend;
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return broken_ ? Broken() : file_->Append(data, options, dbg);
  }
  IOStatus PositionedAppend(const rocksdb::Slice&, uint64_t, const IOOptions&,
                            IODebugContext*) override {
    return IOStatus::NotSupported("only appended to");
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* dbg) override
      VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return file_->Truncate(size, options, dbg);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    closed_ = true;
    return file_->Close(options, dbg);
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return file_->Flush(options, dbg);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return broken_ ? Broken() : file_->Sync(options, dbg);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return Sync(options, dbg);
  }
  uint64_t GetFileSize(const IOOptions& options, IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return file_->GetFileSize(options, dbg);
  }
  void PrepareWrite(size_t offset, size_t size, const IOOptions& options,
                    IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    file_->PrepareWrite(offset, size, options, dbg);
  }
  void SetPreallocationBlockSize(size_t size) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    file_->SetPreallocationBlockSize(size);
  }
  IOStatus RangeSync(uint64_t offset, uint64_t size, const IOOptions& options,
                     IODebugContext* dbg) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return file_->RangeSync(offset, size, options, dbg);
  }
  IOStatus InvalidateCache(size_t offset, size_t size) override VAULT_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return file_->InvalidateCache(offset, size);
  }

 private:
  static IOStatus Broken() {
    return IOStatus::IOError("an earlier change of the file's key may not be durable");
  }

  Mutex mu_;
  std::unique_ptr<rocksdb::FSWritableFile> file_ VAULT_GUARDED_BY(mu_);
  bool broken_ VAULT_GUARDED_BY(mu_) = false;
  bool closed_ VAULT_GUARDED_BY(mu_) = false;
};

// A MANIFEST that, before a Sync returns, has its length written down durably beside it. RocksDB
// deletes nothing that a record replaces until that Sync returned.
class ManifestFile : public rocksdb::FSWritableFileWrapper {
 public:
  ManifestFile(std::shared_ptr<ReplaceableFile> file, std::shared_ptr<ReplaceableFile> lengths)
      : FSWritableFileWrapper(file.get()), file_(std::move(file)), lengths_(std::move(lengths)) {}

  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    const uint64_t size = GetFileSize(options, dbg);
    IOStatus status = FSWritableFileWrapper::Sync(options, dbg);
    return status.ok() ? WriteDown(size, options, dbg) : status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return Sync(options, dbg);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    IOStatus status = FSWritableFileWrapper::Close(options, dbg);
    const IOStatus closed = lengths_->Close(options, dbg);
    return status.ok() ? closed : status;
  }

 private:
  IOStatus WriteDown(uint64_t size, const IOOptions& options, IODebugContext* dbg) {
    IOStatus status = lengths_->Append(SyncedRecord(size), options, dbg);
    return status.ok() ? lengths_->Sync(options, dbg) : status;
  }

  const std::shared_ptr<ReplaceableFile> file_;
  const std::shared_ptr<ReplaceableFile> lengths_;
};

// Tells RocksDB to read ahead into memory of its own. It would else ask the kernel to, and then
// still read and decipher block by block, a few kilobytes at a time.
class ReadAheadFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  using FSRandomAccessFileOwnerWrapper::FSRandomAccessFileOwnerWrapper;

  IOStatus Prefetch(uint64_t, size_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("read ahead in memory");
  }
};

class EncipheredFs : public rocksdb::FileSystemWrapper {
 public:
  EncipheredFs(const std::shared_ptr<rocksdb::FileSystem>& base,
               const std::shared_ptr<rocksdb::FileSystem>& enciphered)
      : FileSystemWrapper(enciphered), base_(base) {}

  const char* Name() const override { return "VaultEncipheredFs"; }

  // The enciphering layer asserts that a file is at least as long as its header.
  IOStatus GetFileSize(const std::string& file, const IOOptions& options, uint64_t* size,
                       IODebugContext* dbg) override {
    IOStatus status = base_->GetFileSize(file, options, size, dbg);
    if (!status.ok()) return status;
    if (*size < FileCipher::kHeaderSize) {
      return IOStatus::Corruption("shorter than its cipher header", file);
    }
    *size -= FileCipher::kHeaderSize;
    return status;
  }

  IOStatus GetChildrenFileAttributes(const std::string& dir, const IOOptions& options,
                                     std::vector<rocksdb::Env::FileAttributes>* result,
                                     IODebugContext* dbg) override {
    IOStatus status = base_->GetChildrenFileAttributes(dir, options, result, dbg);
    for (auto& file : *result) {
      file.size_bytes -= std::min<uint64_t>(file.size_bytes, FileCipher::kHeaderSize);
    }
    return status;
  }

 private:
  const std::shared_ptr<rocksdb::FileSystem> base_;
};

absl::Status ReadFile(rocksdb::FileSystem* fs, const std::string& file, std::string* content);

class DatabaseFs : public GuardedFs {
 public:
  DatabaseFs(const std::shared_ptr<rocksdb::FileSystem>& base,
             const std::shared_ptr<rocksdb::FileSystem>& enciphered, FileCipher* cipher)
      : GuardedFs(enciphered), base_(base), cipher_(cipher) {}

  const char* Name() const override { return "VaultGuardedFs"; }

  IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    const IOStatus status = FileSystemWrapper::NewRandomAccessFile(name, options, &file, dbg);
    if (status.ok()) *result = std::make_unique<ReadAheadFile>(std::move(file));
    return status;
  }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* dbg) override VAULT_EXCLUDES(names_mu_) {
    MutexLock lock(&names_mu_);
    if (!IsManifest(name)) return FileSystemWrapper::NewWritableFile(name, options, result, dbg);
    std::unique_ptr<rocksdb::FSWritableFile> file, lengths;
    IOStatus status =
        FileSystemWrapper::NewWritableFile(name + kSyncedSuffix, options, &lengths, dbg);
    if (status.ok()) status = FileSystemWrapper::NewWritableFile(name, options, &file, dbg);
    if (!status.ok()) return status;
    *result = std::make_unique<ManifestFile>(Remember(name, std::move(file)),
                                             Remember(name + kSyncedSuffix, std::move(lengths)));
    return status;
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* dbg) override VAULT_EXCLUDES(names_mu_) {
    MutexLock lock(&names_mu_);
    return FileSystemWrapper::RenameFile(from, to, options, dbg);
  }

  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* dbg) override VAULT_EXCLUDES(names_mu_) {
    MutexLock lock(&names_mu_);
    if (IsManifest(name)) {
      // First, so that a crash between leaves nothing that nobody would ever remove.
      const IOStatus gone = FileSystemWrapper::DeleteFile(name + kSyncedSuffix, options, dbg);
      if (!gone.ok() && !gone.IsPathNotFound() && !gone.IsNotFound()) return gone;
    }
    return FileSystemWrapper::DeleteFile(name, options, dbg);
  }

  absl::StatusOr<std::vector<FileKey>> FileKeys(const std::string& dir) override
      VAULT_EXCLUDES(names_mu_) {
    MutexLock lock(&names_mu_);
    std::vector<std::string> names;
    RETURN_IF_ERROR(
        FromRocksDb(base_->GetChildren(dir, IOOptions(), &names, nullptr), "listing the database"));
    std::vector<FileKey> files;
    for (std::string& name : names) {
      if (!IsOfDatabase(name)) continue;
      const std::string path = absl::StrCat(dir, "/", name);
      FileKey file;
      ASSIGN_OR_RETURN(const std::string header, ReadHeader(base_.get(), path));
      if (header.size() < FileCipher::kHeaderSize) continue;
      auto id = cipher_->KeyId(header);
      if (!id.ok()) {
        return absl::Status(id.status().code(), absl::StrCat(path, ": ", id.status().message()));
      }
      RETURN_IF_ERROR(FromRocksDb(base_->GetFileSize(path, IOOptions(), &file.bytes, nullptr),
                                  "asking for a file's size"));
      file.key_id = *id;
      file.name = std::move(name);
      files.push_back(std::move(file));
    }
    return files;
  }

  absl::Status Rewrite(const std::string& dir, const std::string& name) override
      VAULT_EXCLUDES(names_mu_) {
    VAULT_CHECK(IsRewritable(name)) << name;
    MutexLock lock(&names_mu_);
    const std::string path = absl::StrCat(dir, "/", name);
    if (base_->FileExists(path, IOOptions(), nullptr).IsNotFound()) return absl::OkStatus();
    const auto open = appended_.find(path);
    const std::shared_ptr<ReplaceableFile> file =
        open == appended_.end() ? nullptr : open->second.lock();
    if (file != nullptr) {
      ASSIGN_OR_RETURN(const bool replaced,
                       file->Replace([&](auto* copy) { return WriteCopy(path, copy); },
                                     [&] { return PutCopy(path); }));
      if (replaced) return absl::OkStatus();
    }
    std::unique_ptr<rocksdb::FSWritableFile> copy;
    RETURN_IF_ERROR(WriteCopy(path, &copy));
    RETURN_IF_ERROR(FromRocksDb(copy->Close(IOOptions(), nullptr), "closing a file"));
    return PutCopy(path);
  }

  absl::Status Replace(const std::string& path, const std::string& content) override
      VAULT_EXCLUDES(names_mu_) {
    MutexLock lock(&names_mu_);
    std::unique_ptr<rocksdb::FSWritableFile> copy;
    RETURN_IF_ERROR(WriteBeside(path, content, &copy));
    RETURN_IF_ERROR(FromRocksDb(copy->Close(IOOptions(), nullptr), "closing a file"));
    return PutCopy(path);
  }

 private:
  std::shared_ptr<ReplaceableFile> Remember(const std::string& path,
                                            std::unique_ptr<rocksdb::FSWritableFile> file)
      VAULT_REQUIRES(names_mu_) {
    for (auto it = appended_.begin(); it != appended_.end();) {
      it = it->second.expired() ? appended_.erase(it) : std::next(it);
    }
    auto replaceable = std::make_shared<ReplaceableFile>(std::move(file));
    appended_[path] = replaceable;
    return replaceable;
  }

  // A copy of `path` beside it, under a new header, durable and open at its end.
  absl::Status WriteCopy(const std::string& path, std::unique_ptr<rocksdb::FSWritableFile>* copy) {
    std::string content;
    RETURN_IF_ERROR(ReadFile(target(), path, &content));
    return WriteBeside(path, content, copy);
  }
  absl::Status WriteBeside(const std::string& path, const std::string& content,
                           std::unique_ptr<rocksdb::FSWritableFile>* copy) {
    const std::string beside = path + kRewriteSuffix;
    IOStatus status =
        FileSystemWrapper::NewWritableFile(beside, rocksdb::FileOptions(), copy, nullptr);
    if (status.ok() && !content.empty()) status = (*copy)->Append(content, IOOptions(), nullptr);
    if (status.ok()) status = (*copy)->Sync(IOOptions(), nullptr);
    if (status.ok()) return absl::OkStatus();
    copy->reset();
    (void)base_->DeleteFile(beside, IOOptions(), nullptr);
    return FromRocksDb(status, absl::StrCat("writing ", beside));
  }
  absl::Status PutCopy(const std::string& path) {
    RETURN_IF_ERROR(
        FromRocksDb(base_->RenameFile(path + kRewriteSuffix, path, IOOptions(), nullptr),
                    absl::StrCat("replacing ", path)));
    return SyncDirectory(base_.get(), ParentOf(path));
  }

  const std::shared_ptr<rocksdb::FileSystem> base_;
  FileCipher* const cipher_;
  // Held while a file comes into being (its header included), is renamed, replaced or removed.
  Mutex names_mu_;
  // What RocksDB may be appending to, of what can be replaced.
  std::map<std::string, std::weak_ptr<ReplaceableFile>> appended_ VAULT_GUARDED_BY(names_mu_);
};

absl::Status ReadFile(rocksdb::FileSystem* fs, const std::string& file, std::string* content) {
  return FromRocksDb(rocksdb::ReadFileToString(fs, file, content), "reading " + file);
}

// The last length written down; DATA_LOSS if there is none. A last record that is torn or wrong
// does not count (`torn`): its Sync did not return.
absl::StatusOr<uint64_t> LastLength(absl::string_view records, const std::string& file,
                                    bool* torn) {
  absl::StatusOr<uint64_t> last = absl::DataLossError(absl::StrCat(file, ": holds no length"));
  *torn = false;
  while (records.size() >= kSyncedRecordSize) {
    const uint64_t size = ReadLittleU64(records);
    const bool good = ReadLittleU64(records.substr(8)) == ~size;
    records.remove_prefix(kSyncedRecordSize);
    if (good) {
      last = size;
    } else if (records.size() >= kSyncedRecordSize) {
      return absl::DataLossError(absl::StrCat(file, ": a length in the middle is damaged"));
    } else {
      *torn = true;
    }
  }
  *torn = *torn || !records.empty();
  return last;
}

// RocksDB's log format: blocks of 32 KiB; a record is a checksum (4 bytes), a length (2), a type
// (1) and that many bytes; fewer than 7 bytes at a block's end are padding.
constexpr uint64_t kBlock = 32768, kRecordHeader = 7;

// Whether the first `size` bytes of `log` are whole records. Their checksums are RocksDB's to
// check.
bool IsWholeRecords(absl::string_view log, uint64_t size) {
  if (log.size() < size) return false;
  uint64_t at = 0;
  while (at < size) {
    const uint64_t left = kBlock - at % kBlock;
    if (left < kRecordHeader) {
      at += left;
      continue;
    }
    if (at + kRecordHeader > size) return false;
    const uint64_t record = kRecordHeader + ReadLittleU16(log.substr(at + 4));
    if (record > left || log[at + 6] == 0) return false;
    at += record;
  }
  return at == size;
}

// CRC-32C (Castagnoli, reflected), bit by bit: a tail is short.
uint32_t Crc32c(absl::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

// Where, from `from` on, the first record begins that is not whole and right; the log's size if
// there is none. A record's checksum is over type and content, rotated by 15 bits and moved by a
// constant.
uint64_t FirstBadRecord(absl::string_view log, uint64_t from) {
  uint64_t at = from;
  while (at < log.size()) {
    const uint64_t left = kBlock - at % kBlock;
    if (left < kRecordHeader) {
      at += left;
      continue;
    }
    if (at + kRecordHeader > log.size()) return at;
    const uint64_t size = ReadLittleU16(log.substr(at + 4));
    if (kRecordHeader + size > left || at + kRecordHeader + size > log.size()) return at;
    const uint32_t crc = Crc32c(log.substr(at + 6, 1 + size));
    const uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8u;
    if (ReadLittleU32(log.substr(at)) != masked) return at;
    at += kRecordHeader + size;
  }
  return log.size();
}

}  // namespace

std::shared_ptr<GuardedFs> NewGuardedFs(const std::shared_ptr<rocksdb::FileSystem>& base,
                                        FileCipher* cipher) {
  return std::make_shared<DatabaseFs>(base, NewEncipheredFs(base, cipher), cipher);
}

std::shared_ptr<rocksdb::FileSystem> NewEncipheredFs(
    const std::shared_ptr<rocksdb::FileSystem>& base, FileCipher* cipher) {
  return std::make_shared<EncipheredFs>(
      base, rocksdb::NewEncryptedFS(base, std::make_shared<CipherProvider>(cipher)));
}

bool IsRewritable(absl::string_view name) {
  if (absl::EndsWith(name, ".dbtmp") || absl::EndsWith(name, kRewriteSuffix)) return false;
  return name == "CURRENT" || name == "IDENTITY" || absl::StartsWith(name, "OPTIONS-") ||
         absl::StartsWith(name, "MANIFEST-");
}

absl::StatusOr<std::string> ReadHeader(rocksdb::FileSystem* base, const std::string& file) {
  std::unique_ptr<rocksdb::FSSequentialFile> in;
  char header[FileCipher::kHeaderSize];
  rocksdb::Slice read;
  IOStatus status = base->NewSequentialFile(file, rocksdb::FileOptions(), &in, nullptr);
  if (status.ok()) status = in->Read(sizeof(header), IOOptions(), &read, header, nullptr);
  if (!status.ok()) return FromRocksDb(status, "reading a cipher header");
  return std::string(read.data(), read.size());
}

absl::Status RemoveUnfinishedRewrites(rocksdb::FileSystem* base, const std::string& dir) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(
      FromRocksDb(base->GetChildren(dir, IOOptions(), &names, nullptr), "listing the database"));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, kRewriteSuffix)) continue;
    RETURN_IF_ERROR(
        FromRocksDb(base->DeleteFile(absl::StrCat(dir, "/", name), IOOptions(), nullptr),
                    "removing an unfinished file"));
  }
  return absl::OkStatus();
}

std::string ParentOf(absl::string_view path) {
  const size_t slash = path.find_last_of('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<size_t>(slash, 1)));
}

absl::Status MakeDirectory(rocksdb::FileSystem* base, const std::string& path) {
  if (base->FileExists(path, IOOptions(), nullptr).ok()) return absl::OkStatus();
  const std::string parent = ParentOf(path);
  if (!base->FileExists(parent, IOOptions(), nullptr).ok()) {
    return absl::NotFoundError(absl::StrCat("no directory ", parent, " to make ", path, " in"));
  }
  RETURN_IF_ERROR(FromRocksDb(base->CreateDirIfMissing(path, IOOptions(), nullptr),
                              absl::StrCat("making ", path)));
  return SyncDirectory(base, parent);
}

absl::Status SyncDirectory(rocksdb::FileSystem* fs, const std::string& dir) {
  std::unique_ptr<rocksdb::FSDirectory> directory;
  IOStatus status = fs->NewDirectory(dir, IOOptions(), &directory, nullptr);
  if (status.ok()) status = directory->Fsync(IOOptions(), nullptr);
  return FromRocksDb(status, absl::StrCat("syncing ", dir));
}

absl::Status RemoveHeaderlessWal(rocksdb::FileSystem* base, const std::string& dir) {
  std::vector<std::string> names;
  IOStatus status = base->GetChildren(dir, IOOptions(), &names, nullptr);
  if (!status.ok()) return FromRocksDb(status, "listing the database");
  uint64_t newest = 0;
  std::string newest_path;
  for (const std::string& name : names) {
    absl::string_view number = name;
    uint64_t n = 0;
    if (!absl::ConsumeSuffix(&number, ".log") || !absl::SimpleAtoi(number, &n)) continue;
    if (n < newest) continue;
    newest = n;
    newest_path = absl::StrCat(dir, "/", name);
  }
  if (newest_path.empty()) return absl::OkStatus();
  uint64_t size = 0;
  status = base->GetFileSize(newest_path, IOOptions(), &size, nullptr);
  if (!status.ok()) return FromRocksDb(status, "looking at the newest WAL");
  if (size >= FileCipher::kHeaderSize) return absl::OkStatus();
  VAULT_LOG(WARNING) << "removing " << newest_path << ": " << size
                     << " bytes, shorter than a cipher header; a power cut left it, nothing was "
                        "acknowledged in it";
  return FromRocksDb(base->DeleteFile(newest_path, IOOptions(), nullptr), "removing an empty WAL");
}

absl::Status CheckHeader(rocksdb::FileSystem* base, FileCipher* cipher, const std::string& file) {
  if (base->FileExists(file, IOOptions(), nullptr).IsNotFound()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string header, ReadHeader(base, file));
  if (header.size() != FileCipher::kHeaderSize) {
    return absl::DataLossError(absl::StrCat(file, ": shorter than its cipher header"));
  }
  const absl::Status opened = cipher->Open(header).status();
  if (opened.ok()) return opened;
  return absl::Status(opened.code(), absl::StrCat(file, ": ", opened.message()));
}

absl::Status CheckManifest(GuardedFs* fs, const std::string& dir) {
  std::string name, lengths, log;
  RETURN_IF_ERROR(ReadFile(fs, dir + "/CURRENT", &name));
  if (!IsManifest(name) || absl::StrContains(name, '/') || name.back() != '\n') {
    return absl::DataLossError(absl::StrCat(dir, "/CURRENT: does not name a MANIFEST"));
  }
  name.pop_back();
  const std::string manifest = absl::StrCat(dir, "/", name);
  RETURN_IF_ERROR(ReadFile(fs, manifest + kSyncedSuffix, &lengths));
  RETURN_IF_ERROR(ReadFile(fs, manifest, &log));
  bool torn = false;
  ASSIGN_OR_RETURN(const uint64_t size, LastLength(lengths, manifest + kSyncedSuffix, &torn));
  if (!IsWholeRecords(log, size)) {
    return absl::DataLossError(
        absl::StrCat(manifest, ": not whole up to byte ", size, ", which was synced"));
  }
  // A length that is torn was written behind a Sync: the MANIFEST is longer than the one before it
  // says, and what is wrong there is damage.
  const uint64_t good = torn ? log.size() : FirstBadRecord(log, size);
  if (good >= log.size()) return absl::OkStatus();
  VAULT_LOG(WARNING) << "cutting " << manifest << " back from byte " << log.size() << " to " << good
                     << ": a power cut tore what had not been synced";
  return fs->Replace(manifest, log.substr(0, good));
}

absl::Status FromRocksDb(const rocksdb::Status& status, absl::string_view doing) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat(doing, ": ", status.ToString());
  if (status.IsNotFound()) return absl::NotFoundError(text);
  // A file that the database names is not there: as damaged as one that is there and wrong.
  if (status.IsCorruption() || status.IsPathNotFound()) return absl::DataLossError(text);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (status.IsNotSupported()) return absl::FailedPreconditionError(text);
  if (status.IsIOError() || status.IsShutdownInProgress() || status.IsBusy() ||
      status.IsTimedOut() || status.IsTryAgain() || status.IsAborted() || status.IsIncomplete()) {
    return absl::UnavailableError(text);
  }
  return absl::InternalError(text);
}

}  // namespace vault::store
