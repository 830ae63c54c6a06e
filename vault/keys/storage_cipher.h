// Enciphers every file that the store writes, with the keyring's storage keys (store::FileCipher).
#ifndef VAULT_KEYS_STORAGE_CIPHER_H_
#define VAULT_KEYS_STORAGE_CIPHER_H_

#include <memory>

#include "vault/base/random.h"
#include "vault/keys/keyring.h"
#include "vault/store/files.h"

namespace vault::keys {

// `keyring` and `random` must outlive the cipher and its streams. XChaCha20 by offset; the header
// holds magic, key id, a random 24-byte nonce and a MAC over them (FORMAT.md).
std::unique_ptr<store::FileCipher> NewStorageCipher(const Keyring* keyring, Random* random);

}  // namespace vault::keys

#endif  // VAULT_KEYS_STORAGE_CIPHER_H_
