#include "vault/tlog/statement.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/lines.h"
#include "vault/tlog/tile.h"

namespace vault::tlog {
namespace {

constexpr absl::string_view kTimeFormat = "%Y-%m-%dT%H:%M:%SZ";
constexpr absl::string_view kCompromised = "compromised";

absl::Status Invalid(absl::string_view what, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", problem));
}

// What the lines cannot show each alone.
absl::Status CheckHandover(const Handover& handover) {
  constexpr absl::string_view kWhat = "handover";
  for (const VerifierKey* key : {&handover.old_key, &handover.new_key}) {
    if (key->name != handover.origin) return Invalid(kWhat, "a key of another log's");
    if (key->algorithm != NoteAlgorithm::kEd25519) return Invalid(kWhat, "a witness's key");
  }
  // By name and id are signatures told apart.
  if (handover.old_key.id() == handover.new_key.id()) {
    return Invalid(kWhat, "both keys have one id");
  }
  return absl::OkStatus();
}

absl::Status CheckPruned(const Pruned& pruned) {
  constexpr absl::string_view kWhat = "pruned";
  if (pruned.begin == 0 || pruned.begin % kTileWidth != 0) {
    return Invalid(kWhat, "begins with no bundle after the first");
  }
  // Of a log of which nothing is left nothing can be checked.
  if (pruned.begin >= pruned.at_size) return Invalid(kWhat, "leaves no entry of the log");
  return absl::OkStatus();
}

std::string FormatSeconds(absl::Time time) {
  return absl::FormatTime(kTimeFormat, time, absl::UTCTimeZone());
}

// What FormatSeconds gives for the years 1970 to 9999.
bool ParseSeconds(absl::string_view text, absl::Time* time) {
  std::string error;
  return absl::ParseTime(kTimeFormat, text, time, &error) && FormatSeconds(*time) == text &&
         text.size() == 20 && *time >= absl::UnixEpoch();
}

absl::StatusOr<std::string> Origin(LineReader* lines) {
  ASSIGN_OR_RETURN(const absl::string_view origin, lines->After("origin "));
  if (!IsOrigin(origin)) return lines->Error("is no log's origin");
  return std::string(origin);
}

absl::StatusOr<VerifierKey> Key(absl::string_view prefix, LineReader* lines) {
  ASSIGN_OR_RETURN(const absl::string_view text, lines->After(prefix));
  absl::StatusOr<VerifierKey> key = ParseVerifierKey(text);
  if (!key.ok()) return lines->Error("is no verifier key");
  return key;
}

absl::Status Title(absl::string_view title, LineReader* lines) {
  ASSIGN_OR_RETURN(const absl::string_view line, lines->Line());
  return line == title ? absl::OkStatus() : lines->Error("is another statement's");
}

// Under what a signature of VerifyHandover's is missing or broken.
absl::Status WhoseSignature(absl::string_view whose, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::DataLossError(absl::StrCat("handover: ", whose, ": ", status.message()));
}

}  // namespace

std::string FormatHandover(const Handover& handover) {
  const absl::Status status = CheckHandover(handover);
  VAULT_CHECK(status.ok() && IsOrigin(handover.origin) && handover.size <= kMaxTreeSize) << status;
  return absl::StrCat(kHandoverTitle, "\norigin ", handover.origin, "\nsize ", handover.size,
                      "\nroot ", Base64(crypto::AsView(handover.root)), "\nold ",
                      handover.old_key.Format(), "\nnew ", handover.new_key.Format(), "\n",
                      handover.compromised ? absl::StrCat(kCompromised, "\n") : "");
}

absl::StatusOr<Handover> ParseHandover(absl::string_view text) {
  LineReader lines("handover", text);
  RETURN_IF_ERROR(Title(kHandoverTitle, &lines));
  Handover handover;
  ASSIGN_OR_RETURN(handover.origin, Origin(&lines));
  ASSIGN_OR_RETURN(handover.size, lines.Number("size "));
  ASSIGN_OR_RETURN(handover.root, lines.Hash("root "));
  ASSIGN_OR_RETURN(handover.old_key, Key("old ", &lines));
  ASSIGN_OR_RETURN(handover.new_key, Key("new ", &lines));
  if (!lines.AtEnd()) {
    ASSIGN_OR_RETURN(const absl::string_view rest, lines.After(kCompromised));
    if (!rest.empty()) return lines.Error("stands behind the end");
    handover.compromised = true;
  }
  RETURN_IF_ERROR(lines.End());
  RETURN_IF_ERROR(CheckHandover(handover));
  return handover;
}

absl::StatusOr<Handover> VerifyHandover(absl::string_view bytes, const VerifierKey* service_key) {
  ASSIGN_OR_RETURN(const Note note, ParseNote(bytes));
  ASSIGN_OR_RETURN(Handover handover, ParseHandover(note.text));
  RETURN_IF_ERROR(WhoseSignature("the old key", VerifyNote(note, handover.old_key)));
  RETURN_IF_ERROR(WhoseSignature("the new key", VerifyNote(note, handover.new_key)));
  if (!handover.compromised || service_key == nullptr) return handover;
  // Otherwise a holder of the old key would vouch for themselves.
  if (service_key->key == handover.old_key.key || service_key->key == handover.new_key.key) {
    return absl::DataLossError("handover: the service log's key is one of the two");
  }
  RETURN_IF_ERROR(WhoseSignature("the service log's key", VerifyNote(note, *service_key)));
  return handover;
}

absl::Time RetentionEnd(absl::Time now, int years) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  const absl::CivilSecond then = absl::ToCivilSecond(now, utc);
  return absl::FromCivil(absl::CivilSecond(then.year() - years, then.month(), then.day(),
                                           then.hour(), then.minute(), then.second()),
                         utc);
}

std::string FormatPruned(const Pruned& pruned) {
  const absl::Status status = CheckPruned(pruned);
  VAULT_CHECK(status.ok() && IsOrigin(pruned.origin) && pruned.at_size <= kMaxTreeSize) << status;
  const std::string before = FormatSeconds(pruned.before);
  absl::Time whole;
  VAULT_CHECK(ParseSeconds(before, &whole) && whole == pruned.before) << "not whole seconds";
  return absl::StrCat(kPrunedTitle, "\norigin ", pruned.origin, "\nbegin ", pruned.begin, "\nroot ",
                      Base64(crypto::AsView(pruned.root)), "\nleaf ",
                      Base64(crypto::AsView(pruned.leaf)), "\nsize ", pruned.at_size, "\nbefore ",
                      before, "\n");
}

absl::StatusOr<Pruned> ParsePruned(absl::string_view text) {
  LineReader lines("pruned", text);
  RETURN_IF_ERROR(Title(kPrunedTitle, &lines));
  Pruned pruned;
  ASSIGN_OR_RETURN(pruned.origin, Origin(&lines));
  ASSIGN_OR_RETURN(pruned.begin, lines.Number("begin "));
  ASSIGN_OR_RETURN(pruned.root, lines.Hash("root "));
  ASSIGN_OR_RETURN(pruned.leaf, lines.Hash("leaf "));
  ASSIGN_OR_RETURN(pruned.at_size, lines.Number("size "));
  ASSIGN_OR_RETURN(const absl::string_view before, lines.After("before "));
  if (!ParseSeconds(before, &pruned.before)) {
    return lines.Error("is no time in whole seconds of the years 1970 to 9999");
  }
  RETURN_IF_ERROR(lines.End());
  RETURN_IF_ERROR(CheckPruned(pruned));
  return pruned;
}

}  // namespace vault::tlog
