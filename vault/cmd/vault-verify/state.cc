#include "vault/cmd/vault-verify/state.h"

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/tlog/checkpoint.h"

namespace vault::verify {
namespace {

constexpr size_t kStateBytesMax = 64 << 20;

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseState(absl::string_view bytes) {
  const absl::Status damaged = absl::DataLossError("is not what vault-verify keeps there");
  std::map<std::string, std::string> notes;
  absl::string_view rest = bytes;
  while (!rest.empty()) {
    // A note has one empty line, before its signatures; the next one ends it.
    const size_t text_end = rest.find("\n\n");
    if (text_end == rest.npos) return damaged;
    const size_t end = rest.find("\n\n", text_end + 2);
    const std::string note(rest.substr(0, end == rest.npos ? end : end + 1));
    const absl::StatusOr<tlog::SignedCheckpoint> parsed = tlog::ParseSignedCheckpoint(note);
    if (!parsed.ok()) return damaged;
    notes[parsed->checkpoint.origin] = note;
    rest = end == rest.npos ? absl::string_view() : rest.substr(end + 2);
  }
  if (notes.empty() || FormatState(notes) != bytes) return damaged;
  return notes;
}

std::string FormatState(const std::map<std::string, std::string>& notes) {
  std::string bytes;
  for (const auto& [origin, note] : notes) {
    absl::StrAppend(&bytes, bytes.empty() ? "" : "\n", note);
  }
  return bytes;
}

absl::StatusOr<StateFile> StateFile::Open(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty()) return absl::FailedPreconditionError("is a folder's name");
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  absl::StatusOr<Folder> opened = Folder::Open(folder);
  if (!opened.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder ", folder, ": ", opened.status().message()));
  }
  return StateFile(std::move(opened).value(), name);
}

absl::StatusOr<std::map<std::string, std::string>> StateFile::Load() const {
  const absl::StatusOr<std::string> bytes = folder_.Read(name_, kStateBytesMax);
  if (absl::IsNotFound(bytes.status())) return std::map<std::string, std::string>();
  if (!bytes.ok()) return absl::DataLossError(bytes.status().message());
  return ParseState(*bytes);
}

absl::StatusOr<absl::optional<std::string>> StateFile::Find(const std::string& origin) const {
  ASSIGN_OR_RETURN(const auto notes, Load());
  auto it = notes.find(origin);
  if (it == notes.end()) return absl::optional<std::string>();
  return absl::optional<std::string>(it->second);
}

absl::Status StateFile::Remember(const std::string& checkpoint,
                                 const absl::optional<std::string>& known) const {
  RETURN_IF_ERROR(folder_.Lock());
  const absl::Status changed =
      absl::FailedPreconditionError("was changed meanwhile by another verification: verify again");
  ASSIGN_OR_RETURN(auto notes, Load());
  ASSIGN_OR_RETURN(const tlog::SignedCheckpoint ours, tlog::ParseSignedCheckpoint(checkpoint));
  std::string& kept = notes[ours.checkpoint.origin];
  if (kept != known.value_or("")) {
    if (kept.empty()) return changed;
    ASSIGN_OR_RETURN(const tlog::SignedCheckpoint theirs, tlog::ParseSignedCheckpoint(kept));
    if (theirs.checkpoint.size != ours.checkpoint.size) return changed;
    if (theirs.checkpoint.root == ours.checkpoint.root) return absl::OkStatus();
    return absl::AbortedError(
        absl::StrCat("another verification has meanwhile kept a checkpoint of the same ",
                     ours.checkpoint.size, " entries with another root"));
  }
  kept = checkpoint;
  return folder_.Replace(name_, FormatState(notes));
}

}  // namespace vault::verify
