#include "vault/tlog/note.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/base/utf8.h"

namespace vault::tlog {
namespace {

constexpr absl::string_view kSignaturePrefix = "\u2014 ";
constexpr size_t kTimeSize = 8;
constexpr absl::string_view kDuplicate = "stands there twice";
constexpr absl::string_view kBadSignature = "does not hold";

std::string AlgorithmAndKey(const VerifierKey& key) {
  return absl::StrCat(
      absl::string_view(reinterpret_cast<const char*>(&key.algorithm), 1),
      absl::string_view(reinterpret_cast<const char*>(key.key.data()), key.key.size()));
}

absl::string_view AsView(const KeyId& id) {
  return absl::string_view(reinterpret_cast<const char*>(id.data()), id.size());
}

// The code point of a valid UTF-8 sequence.
char32_t CodePoint(absl::string_view sequence) {
  const uint8_t lead = static_cast<uint8_t>(sequence[0]);
  if (sequence.size() == 1) return lead;
  char32_t c = lead & (0xff >> (sequence.size() + 1));
  for (char next : sequence.substr(1)) c = c << 6 | (static_cast<uint8_t>(next) & 0x3f);
  return c;
}

// Unicode's White_Space beyond the controls.
bool IsWhiteSpace(char32_t c) {
  return c == 0x20 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

absl::Status BadKey(absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("verifier key: ", problem));
}

absl::Status BadNote(absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("note: ", problem));
}

absl::Status BadLine(size_t line, absl::string_view problem) {
  return BadNote(absl::StrCat("signature line ", line, " ", problem));
}

absl::Status CheckCharacters(absl::string_view bytes) {
  for (size_t pos = 0; pos < bytes.size();) {
    const uint8_t c = static_cast<uint8_t>(bytes[pos]);
    const size_t length = c < 0x20 && c != '\n' ? 0 : Utf8Length(bytes.substr(pos));
    if (length == 0) {
      return BadNote(absl::StrCat("a control character or no UTF-8 at byte ", pos));
    }
    pos += length;
  }
  return absl::OkStatus();
}

// `line` without its newline; `number` is for the error.
absl::StatusOr<NoteSignature> ParseSignatureLine(absl::string_view line, size_t number) {
  NoteSignature signature;
  signature.line = absl::StrCat(line, "\n");
  if (!absl::ConsumePrefix(&line, kSignaturePrefix)) {
    return BadLine(number, "does not begin with a dash and a space");
  }
  const size_t space = line.find(' ');
  if (space == absl::string_view::npos) return BadLine(number, "has no signature");
  if (!IsNoteName(line.substr(0, space))) return BadLine(number, "has no name");
  signature.name = std::string(line.substr(0, space));
  const absl::StatusOr<std::string> bytes = Unbase64(line.substr(space + 1));
  if (!bytes.ok()) return BadLine(number, "is not in canonical base64");
  if (bytes->size() <= signature.id.size()) return BadLine(number, "is too short");
  std::copy_n(bytes->begin(), signature.id.size(), signature.id.begin());
  signature.bytes = bytes->substr(signature.id.size());
  return signature;
}

std::string SignatureLine(const VerifierKey& key, absl::string_view bytes) {
  return absl::StrCat(kSignaturePrefix, key.name, " ",
                      Base64(absl::StrCat(AsView(key.id()), bytes)), "\n");
}

// A cosignature says until when the witness had seen nothing else.
std::string CosignedMessage(absl::string_view text, uint64_t time) {
  return absl::StrCat("cosignature/v1\ntime ", time, "\n", text);
}

std::string SignBytes(absl::string_view message, const VerifierKey& key, crypto::SigningSeed seed) {
  VAULT_CHECK(IsNoteName(key.name));
  VAULT_CHECK(crypto::PublicKeyOf(seed) == key.key) << "the seed is another key's";
  const crypto::Ed25519Signature signature = crypto::Sign(seed, message);
  return std::string(signature.begin(), signature.end());
}

bool SignatureHolds(const VerifierKey& key, absl::string_view message, absl::string_view bytes) {
  crypto::Ed25519Signature signature;
  if (bytes.size() != signature.size()) return false;
  std::copy(bytes.begin(), bytes.end(), signature.begin());
  return crypto::VerifySignature(key.key, message, signature);
}

absl::Status BadSignature(const VerifierKey& key, absl::string_view problem) {
  return absl::DataLossError(
      absl::StrCat("note: the signature of key ", BytesToHex(key.id()), " ", problem));
}

// The one signature by `key`.
absl::StatusOr<const NoteSignature*> FindSignature(const Note& note, const VerifierKey& key) {
  const KeyId id = key.id();
  const NoteSignature* found = nullptr;
  for (const NoteSignature& signature : note.signatures) {
    if (signature.name != key.name || signature.id != id) continue;
    if (found != nullptr) return BadSignature(key, kDuplicate);
    found = &signature;
  }
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrCat("note: no signature of key ", BytesToHex(id)));
  }
  return found;
}

absl::Status WantAlgorithm(const VerifierKey& key, NoteAlgorithm algorithm) {
  if (key.algorithm == algorithm) return absl::OkStatus();
  return BadKey(algorithm == NoteAlgorithm::kEd25519 ? "a witness's, where a log's is wanted"
                                                     : "a log's, where a witness's is wanted");
}

}  // namespace

KeyId VerifierKey::id() const {
  const crypto::Digest digest = crypto::Sha256({name, "\n", AlgorithmAndKey(*this)});
  KeyId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

std::string VerifierKey::Format() const {
  return absl::StrCat(name, "+", BytesToHex(id()), "+", Base64(AlgorithmAndKey(*this)));
}

absl::StatusOr<VerifierKey> ParseVerifierKey(absl::string_view vkey) {
  VerifierKey key;
  const size_t name_end = vkey.find('+');
  const size_t id_end =
      name_end == absl::string_view::npos ? name_end : vkey.find('+', name_end + 1);
  if (id_end == absl::string_view::npos) return BadKey("not of the form name+id+key");
  key.name = std::string(vkey.substr(0, name_end));
  if (!IsNoteName(key.name)) return BadKey("the name is empty or has a space or a control in it");
  const absl::StatusOr<std::string> bytes = Unbase64(vkey.substr(id_end + 1));
  if (!bytes.ok()) return BadKey("the key is not in canonical base64");
  if (bytes->size() != 1 + key.key.size()) return BadKey("the key is not of its length");
  key.algorithm = static_cast<NoteAlgorithm>(bytes->front());
  if (key.algorithm != NoteAlgorithm::kEd25519 && key.algorithm != NoteAlgorithm::kCosignatureV1) {
    return BadKey("neither Ed25519 nor cosignature/v1");
  }
  std::copy(bytes->begin() + 1, bytes->end(), key.key.begin());
  if (key.Format() != vkey) return BadKey("its id does not fit");
  return key;
}

bool IsNoteName(absl::string_view name) {
  if (name.empty()) return false;
  while (!name.empty()) {
    const size_t length = Utf8Length(name);
    if (length == 0) return false;
    const char32_t c = CodePoint(name.substr(0, length));
    if (c == '+' || IsControl(c) || IsWhiteSpace(c)) return false;
    name.remove_prefix(length);
  }
  return true;
}

absl::StatusOr<Note> ParseNote(absl::string_view bytes) {
  if (bytes.size() > kNoteBytesMax) return BadNote("too long");
  RETURN_IF_ERROR(CheckCharacters(bytes));
  const size_t separator = bytes.rfind("\n\n");
  if (separator == absl::string_view::npos) return BadNote("no empty line");
  Note note;
  note.text = std::string(bytes.substr(0, separator + 1));
  absl::string_view rest = bytes.substr(separator + 2);
  if (rest.empty()) return BadNote("no signature");
  while (!rest.empty()) {
    const size_t number = note.signatures.size() + 1;
    if (number > kNoteSignaturesMax) return BadNote("too many signatures");
    const size_t end = rest.find('\n');
    if (end == absl::string_view::npos) return BadLine(number, "does not end in a newline");
    ASSIGN_OR_RETURN(note.signatures.emplace_back(),
                     ParseSignatureLine(rest.substr(0, end), number));
    rest.remove_prefix(end + 1);
  }
  return note;
}

std::string FormatNote(absl::string_view text, const std::vector<std::string>& lines) {
  VAULT_CHECK(absl::EndsWith(text, "\n"));
  std::string bytes = absl::StrCat(text, "\n");
  for (const std::string& line : lines) absl::StrAppend(&bytes, line);
  return bytes;
}

std::string SignNote(absl::string_view text, const VerifierKey& key, crypto::SigningSeed seed) {
  VAULT_CHECK(key.algorithm == NoteAlgorithm::kEd25519);
  VAULT_CHECK(absl::EndsWith(text, "\n"));
  return SignatureLine(key, SignBytes(text, key, seed));
}

absl::Status VerifyNote(const Note& note, const VerifierKey& key) {
  RETURN_IF_ERROR(WantAlgorithm(key, NoteAlgorithm::kEd25519));
  ASSIGN_OR_RETURN(const NoteSignature* const signature, FindSignature(note, key));
  if (!SignatureHolds(key, note.text, signature->bytes)) return BadSignature(key, kBadSignature);
  return absl::OkStatus();
}

std::string Cosign(absl::string_view checkpoint_text, uint64_t time, const VerifierKey& key,
                   crypto::SigningSeed seed) {
  VAULT_CHECK(key.algorithm == NoteAlgorithm::kCosignatureV1);
  VAULT_CHECK(absl::EndsWith(checkpoint_text, "\n"));
  std::string bytes;
  AppendU64(time, &bytes);
  absl::StrAppend(&bytes, SignBytes(CosignedMessage(checkpoint_text, time), key, seed));
  return SignatureLine(key, bytes);
}

absl::StatusOr<uint64_t> VerifyCosignature(const Note& note, const VerifierKey& key) {
  RETURN_IF_ERROR(WantAlgorithm(key, NoteAlgorithm::kCosignatureV1));
  ASSIGN_OR_RETURN(const NoteSignature* const signature, FindSignature(note, key));
  const absl::string_view bytes = signature->bytes;
  if (bytes.size() < kTimeSize) return BadSignature(key, kBadSignature);
  const uint64_t time = ReadU64(bytes);
  if (!SignatureHolds(key, CosignedMessage(note.text, time), bytes.substr(kTimeSize))) {
    return BadSignature(key, kBadSignature);
  }
  return time;
}

std::string Base64(absl::string_view bytes) { return absl::Base64Escape(bytes); }

absl::StatusOr<std::string> Unbase64(absl::string_view text) {
  std::string bytes;
  // abseil's decoder passes over white space, missing padding and spare bits.
  if (!absl::Base64Unescape(text, &bytes) || absl::Base64Escape(bytes) != text) {
    return absl::InvalidArgumentError("not canonical base64");
  }
  return bytes;
}

}  // namespace vault::tlog
