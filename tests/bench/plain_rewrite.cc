// plain-rewrite: what rewriting residents' rows costs at the least: the same rows in a RocksDB
// without cipher, trail, keys or checks, scanned and put back in synchronous batches.
//
//   plain-rewrite --tenant 131164 --batch 500 SANDBOX WORK
//
// Reads the rows out of the stopped vault in SANDBOX into a database in the new folder WORK, then
// times the rewrite alone and prints "ROWS BYTES SECONDS". Exit codes: 0 done, 2 usage, 4 failed.
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/time/clock.h"
#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/base/row_families.h"
#include "vault/base/status.h"
#include "vault/crypto/key_arena.h"
#include "vault/keys/keyring.h"
#include "vault/keys/storage_cipher.h"
#include "vault/records/record.h"
#include "vault/store/rocksdb/rocksdb_store.h"

ABSL_FLAG(std::string, tenant, "131164", "whose residents");
ABSL_FLAG(int, batch, 500, "rows in one write");

namespace vault::bench {
namespace {

absl::Status FromRocks(const rocksdb::Status& status) {
  return status.ok() ? absl::OkStatus() : absl::UnavailableError(status.ToString());
}

// As the vault's own store is shaped, where that matters for speed.
rocksdb::Options PlainOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.write_buffer_size = 64 << 20;
  options.max_write_buffer_number = 3;
  options.max_background_jobs = 2;
  options.bytes_per_sync = 1 << 20;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = 32 << 20;
  options.max_bytes_for_level_base = 128 << 20;
  options.compression_per_level = {rocksdb::kNoCompression, rocksdb::kLZ4Compression};
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 8 << 10;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// Copies the rows from the vault to the plain database.
absl::Status CopyRows(const std::string& sandbox, const std::string& prefix, rocksdb::DB* to) {
  ASSIGN_OR_RETURN(const auto arena, crypto::KeyArena::New(4096));
  ASSIGN_OR_RETURN(keys::RootKey root, keys::RootKey::Load(sandbox + "/root.key", arena.get()));
  ASSIGN_OR_RETURN(const auto keyring,
                   keys::Keyring::Open(sandbox + "/keyring", std::move(root), arena.get(),
                                       &SystemRandom(), &RealClock()));
  const auto cipher = keys::NewStorageCipher(keyring.get(), &SystemRandom());
  store::RocksDbOptions db;
  db.path = sandbox + "/db";
  db.cipher = cipher.get();
  db.group_begin = std::string(kIndexPrefix);
  db.group_length = records::kPostingPrefixSize;
  ASSIGN_OR_RETURN(const std::unique_ptr<store::Store> from, store::OpenRocksDb(db));
  rocksdb::WriteBatch batch;
  absl::Status bad;
  const auto flush = [&] {
    bad = FromRocks(to->Write(rocksdb::WriteOptions(), &batch));
    batch.Clear();
  };
  RETURN_IF_ERROR(from->Scan(prefix, "", [&](absl::string_view key, absl::string_view row) {
    batch.Put(rocksdb::Slice(key.data(), key.size()), rocksdb::Slice(row.data(), row.size()));
    if (batch.GetDataSize() > (4 << 20)) flush();
    return bad.ok();
  }));
  if (bad.ok()) flush();
  RETURN_IF_ERROR(bad);
  RETURN_IF_ERROR(FromRocks(to->Flush(rocksdb::FlushOptions())));
  return FromRocks(to->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
}

// Every row read and put back, so many in one synchronous write.
absl::Status Rewrite(rocksdb::DB* db, int rows_a_batch, uint64_t* rows, uint64_t* bytes) {
  rocksdb::WriteOptions write;
  write.sync = true;
  rocksdb::WriteBatch batch;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(rocksdb::ReadOptions()));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    ++*rows;
    *bytes += it->key().size() + it->value().size();
    RETURN_IF_ERROR(FromRocks(batch.Put(it->key(), it->value())));
    if (batch.Count() < rows_a_batch) continue;
    RETURN_IF_ERROR(FromRocks(db->Write(write, &batch)));
    batch.Clear();
  }
  RETURN_IF_ERROR(FromRocks(it->status()));
  return FromRocks(db->Write(write, &batch));
}

absl::Status Run(const std::string& sandbox, const std::string& work) {
  rocksdb::DB* opened = nullptr;
  RETURN_IF_ERROR(FromRocks(rocksdb::DB::Open(PlainOptions(), work, &opened)));
  const std::unique_ptr<rocksdb::DB> db(opened);
  ASSIGN_OR_RETURN(const TenantId tenant, TenantId::Parse(absl::GetFlag(FLAGS_tenant)));
  RETURN_IF_ERROR(CopyRows(sandbox, records::RecordPrefix(tenant), db.get()));
  uint64_t rows = 0, bytes = 0;
  const absl::Time began = absl::Now();
  RETURN_IF_ERROR(Rewrite(db.get(), absl::GetFlag(FLAGS_batch), &rows, &bytes));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  std::printf("%llu %llu %.3f\n", static_cast<unsigned long long>(rows),
              static_cast<unsigned long long>(bytes), seconds);
  return absl::OkStatus();
}

}  // namespace
}  // namespace vault::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "times the plain rewrite of a stopped vault's residents\n"
      "  plain-rewrite [--tenant CODE] [--batch ROWS] SANDBOX WORK");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  if (arguments.size() != 3 || absl::GetFlag(FLAGS_batch) < 1) {
    std::fprintf(stderr, "plain-rewrite: expected two folders; see --help\n");
    return 2;
  }
  const absl::Status done = vault::bench::Run(arguments[1], arguments[2]);
  if (done.ok()) return 0;
  std::fprintf(stderr, "plain-rewrite: %s\n", std::string(done.message()).c_str());
  return 4;
}
