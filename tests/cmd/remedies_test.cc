// Every reason that the service can give: vaultctl says what is to be done, or the message does.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/cmd/vaultctl/failure.h"
#include "vault/cmd/vaultctl/remedies.h"

namespace vault::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Case {
  const char* reason;
  grpc::StatusCode code;
  // A piece of the hint that names the remedy; null where the service's message, or the place and
  // what is expected there, says it alone.
  const char* remedy;
};

constexpr Case kCases[] = {
    // The deny list and certificates.
    {"CERTIFICATE_DENIED", grpc::StatusCode::UNAUTHENTICATED, "the file of vaultd --deny_list"},
    {"CERTIFICATE_EXPIRED", grpc::StatusCode::UNAUTHENTICATED, "ask for a new certificate"},
    {"BAD_CERTIFICATE", grpc::StatusCode::UNAUTHENTICATED, "ask for a new one"},
    {"NO_CERTIFICATE", grpc::StatusCode::UNAUTHENTICATED, "certificate in the profile"},
    // Tokens.
    {"TOKEN_MALFORMED", grpc::StatusCode::UNAUTHENTICATED,
     "get a new one from the identity provider"},
    {"TOKEN_TOO_LONG", grpc::StatusCode::UNAUTHENTICATED, "put less into it"},
    {"TOKEN_ALGORITHM", grpc::StatusCode::UNAUTHENTICATED, "RS256, PS256 or ES256"},
    {"TOKEN_KEY", grpc::StatusCode::UNAUTHENTICATED, "vaultd --jwks_dir"},
    {"TOKEN_SIGNATURE", grpc::StatusCode::UNAUTHENTICATED, "get a new one"},
    {"TOKEN_ISSUER", grpc::StatusCode::UNAUTHENTICATED, "subjects' file"},
    {"TOKEN_AUDIENCE", grpc::StatusCode::UNAUTHENTICATED, "this vault's audience"},
    {"TOKEN_SUBJECT", grpc::StatusCode::UNAUTHENTICATED, "ask who manages it"},
    {"TOKEN_SERVICE", grpc::StatusCode::UNAUTHENTICATED, "is the right profile used?"},
    {"TOKEN_LIFETIME", grpc::StatusCode::UNAUTHENTICATED, "ask who manages it"},
    {"TOKEN_EXPIRED", grpc::StatusCode::UNAUTHENTICATED, "get a new token"},
    {"TOKEN_NOT_YET_VALID", grpc::StatusCode::UNAUTHENTICATED, "are the clocks right"},
    // The clock.
    {"CLOCK_JUMP", grpc::StatusCode::UNAVAILABLE, "clock right (chronyc makestep)"},
    // Room.
    {"DISK_FULL", grpc::StatusCode::RESOURCE_EXHAUSTED, "makes room on the disk of its data"},
    {"NO_ROOM", grpc::StatusCode::RESOURCE_EXHAUSTED, "backup delete N"},
    // Folders and files.
    {"FOLDER", grpc::StatusCode::UNAVAILABLE, "vaultd --adopt_folders"},
    {"BACKUPS", grpc::StatusCode::UNAVAILABLE, "mends the folder"},
    {"BACKUP_DAMAGED", grpc::StatusCode::DATA_LOSS, "vaultctl backup create"},
    {"NO_BACKUPS", grpc::StatusCode::FAILED_PRECONDITION, "vaultd --backup_dir"},
    {"KEYRING", grpc::StatusCode::UNAVAILABLE, "room and rights beside its keyring"},
    {"KEY_FILES", grpc::StatusCode::UNAVAILABLE, "room and rights"},
    {"LOG_KEY", grpc::StatusCode::UNAVAILABLE, "mends what its log names"},
    {"ROOT_KEY_FILE", grpc::StatusCode::UNAVAILABLE, "leaves the file .next where it is"},
    {"AUDIT_UNAVAILABLE", grpc::StatusCode::UNAVAILABLE, "tell the operator of the vault"},
    // The state of the vault, of keys, jobs and proposals.
    {"SEALED", grpc::StatusCode::FAILED_PRECONDITION, "vaultctl unseal"},
    {"CANNOT_UNSEAL", grpc::StatusCode::FAILED_PRECONDITION, "its log of messages says why"},
    {"NOT_SEALED", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"STOPPING", grpc::StatusCode::UNAVAILABLE, "try again"},
    {"NO_KEYS", grpc::StatusCode::FAILED_PRECONDITION, "made when the vault starts"},
    {"KEY_GONE", grpc::StatusCode::FAILED_PRECONDITION, "it was destroyed, or"},
    {"OFFBOARDED", grpc::StatusCode::FAILED_PRECONDITION, "nothing of it can be read"},
    {"DESTROYED", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"STILL_ACTIVE", grpc::StatusCode::FAILED_PRECONDITION, "keys rotate first"},
    {"NOT_EMPTY", grpc::StatusCode::FAILED_PRECONDITION, "keys rotate"},
    {"NO_NEWER_BACKUP", grpc::StatusCode::FAILED_PRECONDITION, "vaultctl backup create"},
    {"NO_NEXT_ROOT_KEY", grpc::StatusCode::FAILED_PRECONDITION, "vaultd --create_root_key"},
    {"BAD_NEXT_ROOT_KEY", grpc::StatusCode::FAILED_PRECONDITION, "sees in its log"},
    {"KEY_DESTROYED", grpc::StatusCode::FAILED_PRECONDITION, "vaultctl backup delete N"},
    {"NOTHING_TO_PRUNE", grpc::StatusCode::FAILED_PRECONDITION, "whole bundles of 256"},
    {"UNKNOWN_SERIAL", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"PENDING", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"LEFT_UNDER_OLD", grpc::StatusCode::INTERNAL, "tell the operator of the vault"},
    {"LEFT_IN_PROGRAMME", grpc::StatusCode::FAILED_PRECONDITION, "then retire again"},
    {"KEK_COMPROMISED", grpc::StatusCode::FAILED_PRECONDITION, "keys compromised"},
    {"RETENTION", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"AHEAD", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"OUT_OF_RANGE", grpc::StatusCode::OUT_OF_RANGE, nullptr},
    {"NOT_RUNNING", grpc::StatusCode::FAILED_PRECONDITION, "jobs show"},
    {"NOT_CANCELLABLE", grpc::StatusCode::FAILED_PRECONDITION, "must be finished"},
    {"NO_RATE", grpc::StatusCode::FAILED_PRECONDITION, "it takes what it needs"},
    {"JOB_CHANGED", grpc::StatusCode::FAILED_PRECONDITION, nullptr},
    {"CANCELLED", grpc::StatusCode::CANCELLED, nullptr},
    {"ALREADY_PROPOSED", grpc::StatusCode::ALREADY_EXISTS, "approvals withdraw"},
    {"TOO_MANY_OPEN", grpc::StatusCode::RESOURCE_EXHAUSTED, "approvals list"},
    {"EFFECT_CHANGED", grpc::StatusCode::FAILED_PRECONDITION, "approvals show"},
    {"EXPIRED", grpc::StatusCode::FAILED_PRECONDITION, "propose it again"},
    {"NOT_OPEN", grpc::StatusCode::FAILED_PRECONDITION, "approvals show"},
    {"SAME_PERSON", grpc::StatusCode::PERMISSION_DENIED, "somebody else decides"},
    // Seats.
    {"SEAT_SUSPENDED", grpc::StatusCode::FAILED_PRECONDITION, "vaultctl seats resume"},
    {"SEAT_NOT_SUSPENDED", grpc::StatusCode::FAILED_PRECONDITION, "seats show SUBJECT"},
    {"SEAT_REVOKED", grpc::StatusCode::FAILED_PRECONDITION, "vaultctl seats import"},
    {"SEAT_ENDED", grpc::StatusCode::FAILED_PRECONDITION, "seats extend --until"},
    {"PROPOSER_NO_RIGHT", grpc::StatusCode::FAILED_PRECONDITION, "must propose it again"},
    {"OTHER_PROGRAMME", grpc::StatusCode::FAILED_PRECONDITION, "of that programme approves it"},
    {"SEAT_NOT_LONGER", grpc::StatusCode::FAILED_PRECONDITION, "give a later --until"},
    {"SEPARATION_OF_DUTIES", grpc::StatusCode::FAILED_PRECONDITION, "to somebody else"},
    {"TWO_ROLES", grpc::StatusCode::FAILED_PRECONDITION, "one role in a programme"},
    {"OWN_SEAT", grpc::StatusCode::PERMISSION_DENIED, "nobody gives himself a seat"},
    {"DOUBLE_SEAT", grpc::StatusCode::INVALID_ARGUMENT, "once a programme"},
    {"NO_PROGRAMME", grpc::StatusCode::FAILED_PRECONDITION, "propose the rest"},
    {"NO_ROLE", grpc::StatusCode::FAILED_PRECONDITION, "with another role"},
    // Who may, how often, how much at once.
    {"POLICY", grpc::StatusCode::PERMISSION_DENIED, "ask who manages your role"},
    {"TRANSFER_TO_SUPERVISOR", grpc::StatusCode::PERMISSION_DENIED,
     "hand the call to a supervisor"},
    {"ATTEMPTS", grpc::StatusCode::RESOURCE_EXHAUSTED, "your role may ask so often"},
    {"REFUSALS", grpc::StatusCode::RESOURCE_EXHAUSTED, "too many refused calls"},
    {"QUEUE_FULL", grpc::StatusCode::RESOURCE_EXHAUSTED, "try again"},
    {"MEMORY_FULL", grpc::StatusCode::RESOURCE_EXHAUSTED, "try again"},
    {"TOO_MANY_STREAMS", grpc::StatusCode::RESOURCE_EXHAUSTED, "end one of those"},
    {"CONFLICT", grpc::StatusCode::ABORTED, "try again"},
    {"RECHECK", grpc::StatusCode::ABORTED, "try again"},
    // What was asked.
    {"ETAG_MISMATCH", grpc::StatusCode::ABORTED, "get the resident again"},
    {"REQUEST_ID_REUSED", grpc::StatusCode::ALREADY_EXISTS, "leave it out"},
    {"REQUEST_ID_ERASED", grpc::StatusCode::FAILED_PRECONDITION, "take a new one"},
    {"REQUEST_IDS", grpc::StatusCode::RESOURCE_EXHAUSTED, "See the trail"},
    {"NOT_FOUND", grpc::StatusCode::NOT_FOUND, nullptr},
    {"ALREADY_EXISTS", grpc::StatusCode::ALREADY_EXISTS, nullptr},
    {"TOO_MANY_MATCHES", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"PAGE_TOKEN", grpc::StatusCode::INVALID_ARGUMENT, "begin the listing again"},
    {"PAGE_SIZE", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"INVALID_FIELD", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"INVALID_CONTACT", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"INVALID_UTF8", grpc::StatusCode::INVALID_ARGUMENT, "convert the text to UTF-8"},
    {"UNKNOWN_FIELD", grpc::StatusCode::INVALID_ARGUMENT, "vaultctl whoami names the fields"},
    {"DUPLICATE_FIELD", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"MISSING", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"TOO_LONG", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"MY_NUMBER", grpc::StatusCode::INVALID_ARGUMENT, "take the My Number"},
    // Said of rows of a file.
    {"CSV_EMPTY", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"CSV_HEADER", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    {"CSV_ROW_WIDTH", grpc::StatusCode::INVALID_ARGUMENT, nullptr},
    // From below.
    {"INTERNAL", grpc::StatusCode::INTERNAL, "tell the operator of the vault"},
    {"INTERNAL", grpc::StatusCode::FAILED_PRECONDITION, "tell the operator of the vault"},
    {"DATA_LOSS", grpc::StatusCode::DATA_LOSS, "tell the operator of the vault"},
    // The connection was not let in: the vault is down, or the certificate is on its deny list.
    {"", grpc::StatusCode::UNAVAILABLE, "on the vault's deny list"},
};

Failure FailureOf(const Case& each) {
  Failure failure;
  failure.code = each.code;
  failure.message = "what the service says";
  failure.reason = each.reason;
  return failure;
}

TEST(RemediesTest, AreInTextAndInJson) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.reason);
    const std::string text = FailureText(FailureOf(each), "vault:7443", {}, /*json=*/false);
    google::protobuf::Struct json;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                    FailureText(FailureOf(each), "vault:7443", {}, /*json=*/true), &json)
                    .ok());
    const auto& error = json.fields().at("error").struct_value().fields();
    if (each.remedy == nullptr) {
      EXPECT_THAT(text, Not(HasSubstr("hint:")));
      EXPECT_EQ(error.count("hint"), 0u);
      continue;
    }
    const size_t hint = text.find("\nhint: ");
    ASSERT_NE(hint, std::string::npos) << text;
    EXPECT_THAT(text.substr(hint), HasSubstr(each.remedy));
    ASSERT_EQ(error.count("hint"), 1u);
    EXPECT_THAT(error.at("hint").string_value(), HasSubstr(each.remedy));
  }
}

TEST(RemediesTest, OfRulesThatRefuse) {
  const std::pair<const char*, const char*> kRules[] = {
      {"seat.ended", "席の期間が終わりました"},
      {"seat.not_begun", "席の期間前です"},
      {"seat.shift", "時間外です"},
      {"seat.suspended", "席は停止中です"},
      {"seat.revoked", "席は取り消されました"},
      {"seat.untrained", "研修が必要です"},
      {"seat.role", "may name your role any more"},
      {"seat.damaged", "tell the operator of the vault"},
      {"separation.duties", "has no seat"},
      {"service.bound", "this service may not act"},
      {"token.expired", "sign in again"},
      {"approval.own_seat", "somebody else approves it"},
      {"programme.bound", "no such programme"},
      {"programme.required", "--programme vaccination"},
  };
  for (const auto& [rule, hint] : kRules) {
    Failure failure = FailureOf({"POLICY", grpc::StatusCode::PERMISSION_DENIED, nullptr});
    failure.rule = rule;
    const std::string text = FailureText(failure, "", {}, /*json=*/false);
    EXPECT_THAT(text, HasSubstr(absl::StrCat("(rule ", rule, ")\nhint: "))) << rule;
    EXPECT_THAT(text.substr(text.find("\nhint: ")), HasSubstr(hint)) << rule;
  }
}

// What a command knows better stands in its place, and more beside it.
TEST(RemediesTest, GiveWayToWhatTheCommandKnows) {
  const Failure failure = FailureOf({"CONFLICT", grpc::StatusCode::ABORTED, nullptr});
  const std::string text = FailureText(failure, "", {"look", "and wait"}, /*json=*/false);
  EXPECT_THAT(text, HasSubstr("\nhint: look\nhint: and wait\n"));
  EXPECT_THAT(text, Not(HasSubstr("try again")));
  EXPECT_THAT(FailureText(failure, "", {"look", "and wait"}, /*json=*/true),
              HasSubstr("\"hint\":\"look; and wait\""));
}

bool IsReason(const std::string& word) {
  if (word.size() < 3) return false;
  for (const char c : word) {
    if (c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9')) return false;
  }
  return word[0] >= 'A' && word[0] <= 'Z';
}

// The literals, all in capitals, that stand within the parentheses which open at `begin`.
std::set<std::string> ReasonsWithin(const std::string& code, size_t begin) {
  std::set<std::string> words;
  int depth = 1;
  for (size_t i = begin; i < code.size() && depth > 0; ++i) {
    if (code[i] == '(') ++depth;
    if (code[i] == ')') --depth;
    if (code[i] != '"') continue;
    // A literal that goes on is a sentence.
    const bool goes_on = code[code.find_last_not_of(" \n", i - 1)] == '"';
    std::string word;
    for (++i; i < code.size() && code[i] != '"'; ++i) word += code[i] == '\\' ? code[++i] : code[i];
    if (!goes_on && IsReason(word)) words.insert(word);
  }
  return words;
}

// A reason that is new to the service is to have its line above.
TEST(RemediesTest, KnowEveryReasonOfTheService) {
  std::set<std::string> known;
  for (const Case& each : kCases) known.insert(each.reason);
  std::map<std::string, std::string> said;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(VAULT_SOURCE_DIR) + "/vault")) {
    const std::string path = entry.path().string();
    if (absl::StrContains(path, "/vault/cmd/") || !absl::EndsWith(path, ".cc")) continue;
    std::ifstream in(path);
    const std::string code(std::istreambuf_iterator<char>(in), {});
    for (const std::string call : {"Reason(", "BadField(", "CannotNow(", "Failed("}) {
      for (size_t at = code.find(call); at != std::string::npos; at = code.find(call, at + 1)) {
        for (const std::string& word : ReasonsWithin(code, at + call.size())) said[word] = path;
      }
    }
  }
  EXPECT_GT(said.size(), 50u) << "the words are not found any more";
  for (const auto& [word, path] : said) {
    EXPECT_EQ(known.count(word), 1u) << word << " of " << path << " has no remedy";
  }
}

}  // namespace
}  // namespace vault::ctl
