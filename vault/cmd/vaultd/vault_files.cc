#include "vault/cmd/vaultd/vault_files.h"

#include <algorithm>
#include <utility>

#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/keys/storage_cipher.h"
#include "vault/records/record.h"
#include "vault/store/rocksdb_store.h"

namespace vault {
namespace {

// A key takes 32 bytes; two thousand tenants with a few versions each fit.
constexpr size_t kKeySlots = 16384;

}  // namespace

absl::StatusOr<VaultFiles> OpenVaultFiles(const VaultFilesOptions& options) {
  VaultFiles files;
  ASSIGN_OR_RETURN(files.arena, crypto::KeyArena::New(kKeySlots));
  ASSIGN_OR_RETURN(keys::RootKey root,
                   keys::RootKey::Load(options.root_key_file, files.arena.get()));
  const auto keyring = options.create ? keys::Keyring::Create : keys::Keyring::Open;
  ASSIGN_OR_RETURN(files.keyring, keyring(options.data_dir + "/keyring", std::move(root),
                                          files.arena.get(), &SystemRandom(), &RealClock()));
  files.cipher = keys::NewStorageCipher(files.keyring.get(), &SystemRandom());
  store::RocksDbOptions db;
  db.path = options.data_dir + "/db";
  db.create = options.create;
  db.cipher = files.cipher.get();
  db.group_begin = std::string(records::kPostingBegin);
  db.group_length = records::kPostingPrefixSize;
  // What a flush and the compaction after it write must fit into the reserve.
  db.write_buffer_bytes = std::min<uint64_t>(db.write_buffer_bytes, options.disk_reserve_bytes / 4);
  ASSIGN_OR_RETURN(files.store, store::OpenRocksDb(db));
  return files;
}

}  // namespace vault
