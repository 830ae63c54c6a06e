#include <sodium.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "vault/base/file.h"
#include "vault/base/status.h"
#include "vault/keys/files.h"
#include "vault/keys/keyring.h"

namespace vault::keys {
namespace {

constexpr size_t kHexSize = 2 * crypto::kKeySize;

}  // namespace

absl::Status RootKey::Create(const std::string& path, Random& random) {
  SecretBytes<crypto::kKeySize> key;
  random.Fill(key.mutable_data(), key.size());
  SecretString text = SecretString::OfSize(kHexSize + 1);
  char* const hex = reinterpret_cast<char*>(text.mutable_data());
  sodium_bin2hex(hex, kHexSize + 1, key.Expose(), key.size());
  hex[kHexSize] = '\n';
  return CreateFile(path, text.Expose(), 0600);
}

absl::StatusOr<RootKey> RootKey::Load(const std::string& path, crypto::KeyArena* arena) {
  ASSIGN_OR_RETURN(File file, File::OpenRegular(path));
  RETURN_IF_ERROR(CheckPrivate(path, file.info(), geteuid()));
  // One byte more than a good file has, so that a longer one is seen.
  SecretBytes<kHexSize + 2> buffer;
  char* const text = reinterpret_cast<char*>(buffer.mutable_data());
  ASSIGN_OR_RETURN(const size_t size, file.Read(absl::MakeSpan(text, buffer.size())));
  ASSIGN_OR_RETURN(uint8_t* const slot, arena->Allocate());
  KeyPtr key = std::make_shared<const Key>(arena, slot);
  const bool one_line = size == kHexSize || (size == kHexSize + 1 && text[kHexSize] == '\n');
  size_t decoded = 0;
  if (!one_line ||
      sodium_hex2bin(slot, crypto::kKeySize, text, kHexSize, nullptr, &decoded, nullptr) != 0 ||
      decoded != crypto::kKeySize) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " does not hold a root key: expected one line of 64 hex digits"));
  }
  return RootKey(std::move(key));
}

}  // namespace vault::keys
