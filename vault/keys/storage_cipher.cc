#include "vault/keys/storage_cipher.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"

namespace vault::keys {
namespace {

using store::FileCipher;

// The header: magic[8] || key id u32 LE || zero[4] || nonce[24] || zero[8] || MAC[16].
constexpr absl::string_view kMagic("VAULTST1", 8);
constexpr size_t kKeyIdAt = 8;
constexpr size_t kNonceAt = 16;
constexpr size_t kMacAt = 48;
constexpr size_t kMacSize = 16;
static_assert(kMacAt + kMacSize == FileCipher::kHeaderSize);

// The MAC over everything in front of it, under a key of its own made from the storage key.
std::array<char, kMacSize> HeaderMac(const Key& key, absl::string_view header) {
  const SecretBytes<crypto::kKeySize> mac_key =
      crypto::DeriveSubkey(crypto::MacKey(key.Expose()), "vault/storage-header/v1");
  const std::array<uint8_t, 32> mac =
      crypto::Mac(crypto::MacKey(mac_key), {header.substr(0, kMacAt)});
  std::array<char, kMacSize> out;
  std::memcpy(out.data(), mac.data(), out.size());
  return out;
}

class StorageStream : public FileCipher::Stream {
 public:
  StorageStream(KeyPtr key, absl::string_view nonce) : key_(std::move(key)) {
    VAULT_CHECK(nonce.size() == nonce_.size());
    std::memcpy(nonce_.data(), nonce.data(), nonce_.size());
  }
  void Xor(uint64_t offset, char* data, size_t size) override {
    crypto::XorStream(crypto::StreamKey(key_->Expose()), nonce_.data(), offset, data, size);
  }

 private:
  const KeyPtr key_;
  std::array<uint8_t, crypto::kNonceSize> nonce_;
};

class StorageCipher : public FileCipher {
 public:
  StorageCipher(const Keyring* keyring, Random* random) : keyring_(keyring), random_(random) {}

  absl::Status NewHeader(char* header) override {
    const uint32_t id = keyring_->write_storage_key_id();
    const KeyPtr key = keyring_->storage_key(id);
    VAULT_CHECK(key != nullptr);
    std::memset(header, 0, kHeaderSize);
    std::memcpy(header, kMagic.data(), kMagic.size());
    const std::array<uint8_t, 4> id_bytes = LittleU32(id);
    std::memcpy(header + kKeyIdAt, id_bytes.data(), id_bytes.size());
    random_->Fill(header + kNonceAt, crypto::kNonceSize);
    const std::array<char, kMacSize> mac = HeaderMac(*key, absl::string_view(header, kHeaderSize));
    std::memcpy(header + kMacAt, mac.data(), mac.size());
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> KeyId(absl::string_view header) const override {
    if (header.size() != kHeaderSize) {
      return absl::DataLossError("a stored file's header has the wrong length");
    }
    if (header.substr(0, kMagic.size()) != kMagic) {
      return absl::DataLossError("a stored file was not written by this service, or is damaged");
    }
    return ReadLittleU32(header.substr(kKeyIdAt));
  }

  uint32_t WriteKeyId() const override { return keyring_->write_storage_key_id(); }

  absl::StatusOr<std::unique_ptr<Stream>> Open(absl::string_view header) override {
    ASSIGN_OR_RETURN(const uint32_t id, KeyId(header));
    const KeyPtr key = keyring_->storage_key(id);
    if (key == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("the keyring has no storage key ", id,
                       ", which a stored file's header names: restore the keyring that belongs to "
                       "this database"));
    }
    const std::array<char, kMacSize> mac = HeaderMac(*key, header);
    if (!ConstantTimeEquals(absl::string_view(mac.data(), mac.size()), header.substr(kMacAt))) {
      return absl::DataLossError("a stored file's header is damaged, or is another vault's");
    }
    return std::unique_ptr<Stream>(
        new StorageStream(key, header.substr(kNonceAt, crypto::kNonceSize)));
  }

 private:
  const Keyring* const keyring_;
  Random* const random_;
};

}  // namespace

std::unique_ptr<FileCipher> NewStorageCipher(const Keyring* keyring, Random* random) {
  return std::make_unique<StorageCipher>(keyring, random);
}

}  // namespace vault::keys
