// C2SP signed-note: a text and the signatures under it.
//
//   note    = text "\n" 1*sigline
//   sigline = "— " name " " base64(key id[4] || signature) "\n"
//
// Names are told apart from each other and keys of one name by their ids. Signatures by keys that
// a reader does not know are passed over; a known key's bad signature condemns the whole note.
#ifndef VAULT_TLOG_NOTE_H_
#define VAULT_TLOG_NOTE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/crypto/ed25519.h"

namespace vault::tlog {

using KeyId = std::array<uint8_t, 4>;
inline constexpr size_t kNoteBytesMax = 1 << 20;
inline constexpr size_t kNoteSignaturesMax = 100;

// What a signature is over: the algorithm's byte in key ids and verifier keys.
enum class NoteAlgorithm : uint8_t {
  kEd25519 = 0x01,        // the text itself
  kCosignatureV1 = 0x04,  // "cosignature/v1\ntime …\n" and the text: a witness
};

// A public key under a name: what a reader trusts, passed around as a line of text (a "vkey").
struct VerifierKey {
  std::string name;
  NoteAlgorithm algorithm = NoteAlgorithm::kEd25519;
  crypto::Ed25519PublicKey key = {};

  // SHA-256(name || 0x0A || algorithm || key), first four bytes.
  KeyId id() const;
  // name "+" hex8(id) "+" base64(algorithm || key).
  std::string Format() const;
  friend bool operator==(const VerifierKey& a, const VerifierKey& b) {
    return a.name == b.name && a.algorithm == b.algorithm && a.key == b.key;
  }
};

// INVALID_ARGUMENT, saying what is wrong, unless exactly what Format gives (name, id that fits).
absl::StatusOr<VerifierKey> ParseVerifierKey(absl::string_view vkey);
// Not empty, UTF-8, no white space (Unicode's), no '+', no control character.
bool IsNoteName(absl::string_view name);

struct NoteSignature {
  std::string name;
  KeyId id = {};
  std::string bytes;  // what follows the id: 64 bytes; 72 with a cosignature's time
  std::string line;   // as it stands, with its "\n"
};

struct Note {
  std::string text;  // with its last "\n"
  std::vector<NoteSignature> signatures;
};

// INVALID_ARGUMENT, with the place, where it is no note: bytes below 0x20 but "\n", not UTF-8, no
// empty line, no signature, a line that is not one, base64 with spare bits, more than the bounds.
absl::StatusOr<Note> ParseNote(absl::string_view bytes);
// text || "\n" || lines.
std::string FormatNote(absl::string_view text, const std::vector<std::string>& lines);

// One signature line by a log's key (kEd25519), its name and id from `key`.
std::string SignNote(absl::string_view text, const VerifierKey& key, crypto::SigningSeed seed);
// Whether `key` (kEd25519) has signed: NOT_FOUND when no line is its own, DATA_LOSS when one is and
// does not hold, or when it stands there twice.
absl::Status VerifyNote(const Note& note, const VerifierKey& key);

// cosignature/v1: the line of a witness whose `key` is kCosignatureV1. `time` in Unix seconds.
std::string Cosign(absl::string_view checkpoint_text, uint64_t time, const VerifierKey& key,
                   crypto::SigningSeed seed);
// The time of the witness's cosignature; NOT_FOUND, DATA_LOSS and INVALID_ARGUMENT as VerifyNote.
absl::StatusOr<uint64_t> VerifyCosignature(const Note& note, const VerifierKey& key);

// Standard base64 with padding; strict: nothing but exactly what encoding gives.
std::string Base64(absl::string_view bytes);
absl::StatusOr<std::string> Unbase64(absl::string_view text);

}  // namespace vault::tlog

#endif  // VAULT_TLOG_NOTE_H_
