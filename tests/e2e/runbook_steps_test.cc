// The procedures of deploy/RUNBOOK.md, run as they are written: each command is taken from the page
// and run on a real vault, under the profile of the role that the page names, with its
// placeholders filled from what the commands before it printed. A command that stands on the page
// and is run by no test fails the suite.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/runbook_page.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kStolen[] = "A stolen backup", kLeaked[] = "A leaked key";
constexpr char kDisk[] = "A dead disk", kLost[] = "A lost keyring", kClock[] = "A wrong clock";
constexpr char kIntruder[] = "An intruder on the machine";
constexpr char kErasure[] = "Erasure that must be final";
constexpr char kDesk[] = "A desk that grows or shrinks";
constexpr char kHeld[] = "A caller that is held back", kOpens[] = "What opens what";

constexpr char kErase[] = "residents erase ID --tenant T --purpose erasure --contact REF";
constexpr char kPrefix[] = "vault.sandbox.example/audit";

// The first group of the first match; empty where there is none.
std::string Find(const std::string& text, const std::string& pattern) {
  std::smatch found;
  return std::regex_search(text, found, std::regex(pattern)) ? std::string(found[1]) : "";
}

// What the tests have run, as it stands on the page.
std::set<std::string>& TheRun() {
  static auto* const run = new std::set<std::string>();
  return *run;
}

// Behind the last test, where all of them ran.
class EachCommandWasRun : public ::testing::Environment {
 public:
  void TearDown() override {
    const auto& tests = *::testing::UnitTest::GetInstance();
    if (tests.test_to_run_count() != tests.total_test_count()) return;
    std::string page = RunbookText();
    const std::string table = RunbookSection("Who runs what");
    page.erase(page.find(table), table.size());
    for (const std::string& command : RunbookCommands(page)) {
      EXPECT_EQ(TheRun().count(command), 1u) << "stands on the page and was not run: " << command;
    }
  }
};
const auto* const kEachCommandWasRun = ::testing::AddGlobalTestEnvironment(new EachCommandWasRun());

class RunbookSteps : public ::testing::Test {
 protected:
  void SetUp() override {
    values_ = {{"T", kToshima},
               {"REF", "E-2026-7"},
               {"P", "vaccination"},
               {"PREFIX", kPrefix},
               {"DIR", box_.dir()},
               {"ROOT", box_.dir() + "/root.key"},
               {"BACKUPS", box_.dir() + "/backup"},
               {"COPIES", box_.dir() + "/keyrings"},
               {"OLD", Path("old")}};
  }

  std::string Path(const std::string& name) const { return box_.work_dir() + "/" + name; }
  std::string In(const std::string& name) const { return box_.dir() + "/" + name; }

  void Import(uint64_t count, uint64_t seed) {
    const CommandResult imported = box_.Run(
        "booking-service", {"residents", "import", box_.Generate(kToshima, count, seed), "--tenant",
                            kToshima, "--purpose", "migration", "--contact", "B-2026-11"});
    ASSERT_EQ(imported.exit_code, 0) << imported.All();
  }
  CommandResult Get(const std::string& resident) {
    return box_.Run("officer-toshima",
                    {"residents", "get", resident, "--tenant", kToshima, "--fields", "name",
                     "--purpose", "correction", "--contact", "C-1"});
  }

  // The role of the table's row that has the most words in common with the command; who decides on
  // a proposal is another person of it.
  std::string PersonaFor(const std::vector<std::string>& words) {
    if (words[0] == "approvals") return approver_;
    size_t best = 0;
    std::string role;
    for (const RunbookRow& row : RunbookRows()) {
      const std::vector<std::string> of = absl::StrSplit(row.command, ' ');
      size_t same = 0;
      while (same < of.size() && same < words.size() && of[same] == words[same]) ++same;
      if (same <= best) continue;
      best = same;
      role = std::vector<std::string>(absl::StrSplit(row.roles, ", "))[0];
    }
    for (const auto& [name, persona] : PersonaOfRole()) {
      if (name == role) return persona;
    }
    ADD_FAILURE() << "no role is named for: " << absl::StrJoin(words, " ");
    return "";
  }

  // The versions of the command's key that are in one of these states, the oldest first.
  std::vector<std::string> KeyVersions(const std::vector<std::string>& words,
                                       const std::string& states) {
    const bool service = std::find(words.begin(), words.end(), "--service") != words.end();
    const std::string what = *(std::find(words.begin(), words.end(), std::string("--what")) + 1);
    std::vector<std::string> status = {"keys", "status"};
    if (service) status.push_back("--service");
    if (!service) status.insert(status.end(), {"--tenant", kToshima});
    const CommandResult listed = box_.Run("security", status);
    EXPECT_EQ(listed.exit_code, 0) << listed.All();
    std::vector<std::string> versions;
    const std::regex row(absl::StrCat(" ", what, " +([0-9]+) +[^ ]+ (", states, ")"));
    for (std::sregex_iterator it(listed.out.begin(), listed.out.end(), row), end; it != end; ++it) {
      versions.push_back((*it)[1]);
    }
    return versions;
  }

  // A placeholder, which is a run of capitals, stands for what is known of it.
  std::string Filled(const std::string& word, const std::string& group) {
    static const std::regex placeholder("(^|[=/])([A-Z]+)(?=$|[./])");
    std::smatch found;
    if (word == "DENY" || !std::regex_search(word, found, placeholder)) return word;
    const std::string name = found[2] == "ID" ? "ID of " + group : std::string(found[2]);
    EXPECT_EQ(values_.count(name), 1u) << "nothing is known for " << name << " in " << word;
    return absl::StrCat(std::string(found.prefix()), std::string(found[1]), values_[name],
                        std::string(found.suffix()));
  }

  // One command as it stands on the page.
  CommandResult Run(const std::string& command) {
    TheRun().insert(command);
    // Of a later second than what was done before it.
    if (command == "backup create") absl::SleepFor(absl::Seconds(1));
    std::vector<std::string> words = absl::StrSplit(command, ' ', absl::SkipEmpty());
    const std::string group = words[0];
    std::string into;
    if (words.size() > 2 && words[words.size() - 2] == ">") {
      into = Path(words.back());
      words.resize(words.size() - 2);
    }
    EXPECT_THAT(command, Not(HasSubstr("…"))) << "cannot be run as it is written";
    const std::string persona = group == "vaultd" ? "" : PersonaFor(words);
    for (std::string& word : words) word = Filled(word, group);
    if (group == "vaultd") {
      words[0] = std::string(VAULT_BIN_DIR) + "/vaultd";
      return box_.RunCommand(words);
    }
    const CommandResult result = box_.Run(persona, words);
    if (!into.empty()) WriteFileOrDie(into, result.out);
    for (const auto& [name, pattern] : std::vector<std::pair<std::string, std::string>>{
             {"ID of jobs", "\\bjob ([0-9a-f]{32})"},
             {"ID of approvals", "\\bapproval ([0-9a-f]{32})"},
             {"DIGEST", "\ndigest ([0-9a-f]{64})\n"}}) {
      const std::string value = Find("\n" + result.All(), pattern);
      if (!value.empty()) values_[name] = value;
    }
    return result;
  }
  CommandResult Done(const std::string& command) {
    const CommandResult result = Run(command);
    EXPECT_EQ(result.exit_code, 0) << command << ": " << result.All();
    return result;
  }

  // Refusals that are counted are entries within a second or so.
  void ExpectSoon(const std::string& command, const std::string& piece) {
    const absl::Time until = absl::Now() + absl::Seconds(20);
    std::string out;
    do {
      out = Done(command).out;
    } while (!absl::StrContains(out, piece) && absl::Now() < until);
    EXPECT_THAT(out, HasSubstr(piece));
  }

  // The commands one after the other, each of which must be done. N and V of a key are the versions
  // that it is about; what is proposed is decided on by the other person, as the page says it.
  void RunAll(const std::vector<std::string>& commands) {
    ASSERT_FALSE(commands.empty());
    for (size_t i = 0; i < commands.size(); ++i) {
      const std::vector<std::string> words = absl::StrSplit(commands[i], ' ', absl::SkipEmpty());
      std::vector<std::string> versions = {""};
      const auto flag = std::find(words.begin(), words.end(), "--key-version");
      if (flag != words.end()) {
        versions = KeyVersions(words, words[1] == "destroy" ? "deactivated|compromised" : "active");
        ASSERT_FALSE(versions.empty()) << commands[i];
        if (*(flag + 1) == "N") versions.resize(1);
      }
      for (const std::string& version : versions) {
        if (!version.empty()) values_["N"] = values_["V"] = version;
        const CommandResult result = Done(commands[i]);
        if (!absl::StrContains(result.out, "承認待ち proposed")) continue;
        if (words[0] == "approvals") continue;
        if (i + 1 < commands.size() && absl::StartsWith(commands[i + 1], "approvals show"))
          continue;
        ASSERT_NO_FATAL_FAILURE(Approve());
      }
    }
  }
  void Approve() {
    const std::string block =
        RunbookLine(kStolen, "approvals show ID ; approvals approve ID --effect DIGEST   #");
    ASSERT_NO_FATAL_FAILURE(RunAll(RunbookCommands(block)));
  }
  // Those of the line that begins so.
  void RunLine(const std::string& section, const std::string& begin) {
    SCOPED_TRACE(absl::StrCat(section, ": ", begin));
    ASSERT_NO_FATAL_FAILURE(RunAll(RunbookCommands(RunbookLine(section, begin))));
  }
  // The one command of the line that begins so and holds `piece`.
  std::string CommandOf(const std::string& section, const std::string& begin,
                        const std::string& piece = "") {
    std::vector<std::string> found;
    for (const std::string& command : RunbookCommands(RunbookLine(section, begin))) {
      if (absl::StrContains(command, piece)) found.push_back(command);
    }
    EXPECT_EQ(found.size(), 1u) << section << ": " << begin;
    return found.empty() ? "" : found[0];
  }

  std::vector<std::string> Handles() {
    const CommandResult listed = box_.Run(
        "security", {"keys", "under", "--tenant", kToshima, "--what", "kek", "--key-version", "1"});
    EXPECT_EQ(listed.exit_code, 0) << listed.All();
    return absl::StrSplit(listed.out, '\n', absl::SkipEmpty());
  }

  static void Copy(const std::string& from, const std::string& to) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }

  Sandbox box_;
  std::string approver_ = "security-2";
  std::map<std::string, std::string> values_;
};

TEST_F(RunbookSteps, EveryDayAndAStolenBackup) {
  ASSERT_TRUE(box_.Up());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  ASSERT_EQ(Done("backup create").exit_code, 0);
  ASSERT_NO_FATAL_FAILURE(RunLine(kOpens, "Every day:"));
  EXPECT_THAT(Done("backup list").out, HasSubstr("131164 kek 1"));

  // A folder that is not there, and there again.
  fs::rename(In("backup"), Path("away"));
  const CommandResult lost = Run("backup list");
  EXPECT_EQ(lost.exit_code, 4);
  EXPECT_THAT(lost.err, AllOf(HasSubstr("(FOLDER)"), HasSubstr("mounts it")));
  EXPECT_EQ(Get(Handles()[0]).exit_code, 0) << "residents are served meanwhile";
  fs::rename(Path("away"), In("backup"));
  Done("backup list");
  // A new one, on the stopped vault.
  ASSERT_TRUE(box_.Down());
  for (const char* folder : {"BACKUPS", "COPIES"}) {
    values_[folder] = Path(folder);
    fs::create_directory(Path(folder));
  }
  const std::vector<std::string> folders = {"--backup_dir=" + Path("BACKUPS"),
                                            "--keyring_copies_dir=" + Path("COPIES")};
  Done(CommandOf(kOpens, "- The folders of backups", "vaultd"));
  ASSERT_TRUE(box_.Start(folders));
  EXPECT_THAT(Done("backup list").out, HasSubstr("所在不明 missing"));
  ASSERT_TRUE(box_.Down());
  ASSERT_TRUE(box_.Start());

  ASSERT_NO_FATAL_FAILURE(RunLine(kStolen, "keys rotate --tenant T --what kek"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kStolen, "keys rotate --tenant T --what index"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kStolen, "keys rotate --service --what storage"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kStolen, "keys rotate --service --what mac"));
  std::vector<std::string> rest;
  for (const std::string& command : RunbookCommands(RunbookSection(kStolen))) {
    if (command == "backup create" || !rest.empty()) rest.push_back(command);
  }
  // Steps 4 and 5 want more than the block before them.
  rest.resize(rest.size() - 3);
  ASSERT_NO_FATAL_FAILURE(RunAll(rest));
  for (const std::string words : {"--tenant T --what kek", "--tenant T --what index",
                                  "--service --what storage", "--service --what mac"}) {
    const std::vector<std::string> of = absl::StrSplit(absl::StrCat("keys status ", words), ' ');
    EXPECT_TRUE(KeyVersions(of, "deactivated").empty()) << words;
    EXPECT_EQ(KeyVersions(of, "destroyed"), std::vector<std::string>{"1"}) << words;
  }
  const std::string listed = Done("backup list").out;
  values_["S"] = Find(listed, "\n2 .* 20 +([0-9]+) +131164 kek 2");
  ASSERT_NE(values_["S"], "") << listed;
  ASSERT_NO_FATAL_FAILURE(RunAll({CommandOf(kStolen, "4. ", "attest")}));
  values_["DAY"] = "2026-11-02";
  const CommandResult seen = Done(CommandOf(kStolen, "5. "));
  EXPECT_THAT(seen.err, HasSubstr("no entry matches")) << "of no day";

  // One whose files cannot be read any more.
  for (const auto& file : fs::recursive_directory_iterator(In("backup"))) {
    if (file.path().extension() != ".sst") continue;
    std::string bytes = ReadFileOrDie(file.path());
    bytes[bytes.size() / 2] ^= 1;
    WriteFileOrDie(file.path(), bytes);
  }
  values_["N"] = "2";
  EXPECT_EQ(Run(CommandOf(kOpens, "- `backup list` says", "backup verify N")).exit_code, 5);
  const std::string after = Done("backup list").out;
  EXPECT_THAT(after, ContainsRegex("\n2 .*未検証 never")) << "damage is found by reading";
  EXPECT_THAT(after, ContainsRegex("\n1 .*鍵破棄 key destroyed"));
  Done(CommandOf(kOpens, "- `backup list` says", "backup delete N"));
  Done(CommandOf(kOpens, "- `backup list` says", "backup create"));
  EXPECT_EQ(Get(Find(Done("audit list --tenant T").out, "([0-9a-f]{32})")).exit_code, 0);
}

TEST_F(RunbookSteps, ALeakedKey) {
  ASSERT_TRUE(box_.Up());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  const std::string resident = Handles()[0];
  const std::string old_root = ReadFileOrDie(In("root.key"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| root key alone"));
  EXPECT_NE(ReadFileOrDie(In("root.key")), old_root);

  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| a KEK"));
  EXPECT_THAT(ReadFileOrDie(Path("who")), HasSubstr(resident));
  // Both jobs that it began; of the newest the command that it began with names nothing yet.
  const std::string listed = Done("jobs list --tenant T").out;
  int jobs = 0;
  const std::regex id("\n([0-9a-f]{32}) ");
  for (std::sregex_iterator it(listed.begin(), listed.end(), id), end; it != end; ++it, ++jobs) {
    values_["ID of jobs"] = (*it)[1];
    Done(CommandOf(kLeaked, "A COMPROMISED version", "jobs watch"));
  }
  EXPECT_GE(jobs, 1);
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| an index key"));
  Done(CommandOf(kLeaked, "A COMPROMISED version", "jobs watch"));
  Done(CommandOf(kLeaked, "A COMPROMISED version", "keys status"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| a storage key"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| the MAC key"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| the token key"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "| a log's key"));
  EXPECT_EQ(Get(resident).exit_code, 0);

  // A client certificate.
  const std::string print = CommandOf(kLeaked, "| a client certificate", "openssl");
  TheRun().insert(print);
  const std::string cert = In("certs/operator-toshima.pem");
  const CommandResult printed = box_.RunCommand(
      {"/bin/sh", "-c", print + " < \"$1\" >> \"$2\"", "sh", cert, In("deny-list")});
  ASSERT_EQ(printed.exit_code, 0) << printed.All();
  const CommandResult denied = box_.Run("operator-toshima", {"whoami"});
  EXPECT_NE(denied.exit_code, 0) << denied.All();
  EXPECT_THAT(denied.err, HasSubstr("deny list"));
  EXPECT_EQ(box_.Run("security", {"whoami"}).exit_code, 0);

  // A rotation that is in the way, held back and stopped, and ended later.
  const CommandResult begun = box_.Run("security", {"keys", "rotate", "--tenant", kToshima,
                                                    "--what", "kek", "--rate", "1", "--detach"});
  ASSERT_EQ(begun.exit_code, 0) << begun.All();
  values_["ID of jobs"] = Find(begun.out, "job ([0-9a-f]{32})");
  values_["N"] = "2";
  const std::string stands_still = "**A rotation stands still";
  EXPECT_THAT(Done(CommandOf(kLeaked, stands_still, "jobs list")).out, HasSubstr("running"));
  EXPECT_THAT(Done(CommandOf(kLeaked, stands_still, "jobs show")).out, HasSubstr("rotate-kek"));
  EXPECT_THAT(Done(CommandOf(kLeaked, stands_still, "jobs rate")).out, HasSubstr("at most 2"));
  EXPECT_THAT(Done(CommandOf(kLeaked, stands_still, "jobs cancel")).out, HasSubstr("cancelled"));
  EXPECT_THAT(Done("keys rotate --tenant T --what kek").out, HasSubstr("0 left"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kLeaked, "**An approval is listed as damaged"));

  // The new root key opens it.
  ASSERT_TRUE(box_.Down());
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(Get(resident).exit_code, 0);
}

class DeadDisk : public RunbookSteps {
 protected:
  // A backup, and what came after it: a change and an erasure. The disk is dead then: what can be
  // read of it stands in OLD.
  void SetUp() override {
    RunbookSteps::SetUp();
    ASSERT_TRUE(box_.Up());
    ASSERT_NO_FATAL_FAILURE(Import(20, 1));
    Done("backup create");
    values_["NUMBER"] = Find(Done("backup list").out, "\n([0-9]+) ");
    const std::vector<std::string> handles = Handles();
    ASSERT_GE(handles.size(), 3u);
    kept_ = handles[0];
    changed_ = handles[1];
    values_["ID of residents"] = erased_ = handles[2];
    const CommandResult changed = box_.Run(
        "officer-toshima", {"residents", "update", changed_, "--tenant", kToshima, "--set",
                            "phone=03-1234-5678", "--purpose", "correction", "--contact", "C-1"});
    ASSERT_EQ(changed.exit_code, 0) << changed.All();
    Done(kErase);
    ASSERT_EQ(Get(erased_).exit_code, 3);
    ASSERT_TRUE(box_.Down());
    fs::create_directory(Path("old"));
    for (const char* part : {"db", "keyring", "head"}) {
      fs::rename(In(part), Path(absl::StrCat("old/", part)));
    }
  }

  // Steps 1 and 2 on a new machine.
  void Restore(const std::string& command, const std::vector<std::string>& parts) {
    for (const char* part : {"db", "keyring", "head"}) fs::remove_all(In(part));
    for (const std::string& part : parts) Copy(Path("old/" + part), In(part));
    const CommandResult restored = Done(command);
    EXPECT_THAT(restored.out, HasSubstr("131164"));
  }
  // Step 3: `begin` of one of its ways, for a log.
  void Way(const std::string& begin, const std::string& log, const std::string& from) {
    values_["LOG"] = log;
    values_["E"] = Path(absl::StrCat(from, "-", log));
    ASSERT_NO_FATAL_FAILURE(RunLine(kDisk, begin));
  }
  void Verified() { EXPECT_THAT(Done("audit verify --tenant T").out, HasSubstr("good: ")); }

  const std::string restore_ =
      "vaultd --restore=NUMBER --backup_dir=BACKUPS --data_dir=DIR "
      "--root_key=ROOT --log_origin_prefix=PREFIX";
  const std::vector<std::string> logs_ = {"service", kToshima, kYokohama};
  std::string kept_, changed_, erased_;
};

TEST_F(DeadDisk, WhoseEntriesAreReplayed) {
  ASSERT_THAT(RunbookCommands(RunbookSection(kDisk)), ::testing::Contains(restore_));
  ASSERT_NO_FATAL_FAILURE(Restore(restore_, {"keyring", "head"}));
  EXPECT_THAT(box_.RunVaultd({}).err, HasSubstr("are missing"));
  for (const std::string& log : logs_) {
    ASSERT_NO_FATAL_FAILURE(Way("- the old disk still reads", log, "whole"));
  }
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(Get(erased_).exit_code, 3);
  EXPECT_EQ(Get(kept_).exit_code, 0);
  EXPECT_THAT(Done(CommandOf(kDisk, "- residents erased after the backup")).out,
              HasSubstr(erased_));
  ASSERT_NO_FATAL_FAILURE(RunLine(kDisk, "- rows from before a rotation of index keys"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kDisk, "- rows under a COMPROMISED KEK"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kDisk, "- rows under an older KEK"));
  EXPECT_THAT(Done(CommandOf(kDisk, "Residents changed after the backup")).out,
              HasSubstr(changed_));
  ASSERT_NO_FATAL_FAILURE(RunLine(kDisk, "7. "));
  Verified();
}

TEST_F(DeadDisk, WhoseSignedEntriesAreLost) {
  ASSERT_NO_FATAL_FAILURE(Restore(restore_, {"keyring", "head"}));
  for (const std::string& log : logs_) {
    ASSERT_NO_FATAL_FAILURE(
        Way(log == kToshima ? "- signed entries are lost for good" : "- the old disk still reads",
            log, "whole"));
  }
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(Get(erased_).exit_code, 0) << "the erasure is lost with its entry";
  EXPECT_THAT(Done(CommandOf(kDisk, "6. ")).out, HasSubstr(erased_));
  EXPECT_EQ(Get(erased_).exit_code, 3);
  Verified();
}

TEST_F(DeadDisk, WhoseHeadIsLost) {
  ASSERT_NO_FATAL_FAILURE(Restore(CommandOf(kDisk, "4. "), {"keyring"}));
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(Get(erased_).exit_code, 0);
  EXPECT_THAT(Done(CommandOf(kDisk, "6. ")).out, HasSubstr(erased_));
  Verified();
}

// A log's newest entries were signed by nobody, and are in no export.
TEST_F(DeadDisk, WhoseUnsignedEntriesAreLost) {
  for (const char* part : {"db", "keyring", "head"})
    Copy(Path(absl::StrCat("old/", part)), In(part));
  ASSERT_TRUE(box_.Start());
  ASSERT_TRUE(box_.Down());
  for (const std::string& log : logs_) {
    const CommandResult exported =
        box_.RunVaultd({"--export=" + log, "--export_to=" + Path("before-" + log)});
    ASSERT_EQ(exported.exit_code, 0) << exported.All();
  }
  ASSERT_TRUE(box_.Start({"--checkpoint_interval=1h"}));
  ASSERT_EQ(Get(kept_).exit_code, 0);
  ASSERT_TRUE(box_.Kill());
  Copy(In("head"), Path("old/head"));
  ASSERT_NO_FATAL_FAILURE(Restore(restore_, {"keyring", "head"}));
  for (const std::string& log : logs_) {
    ASSERT_NO_FATAL_FAILURE(Way("- only entries that nobody had signed", log, "before"));
  }
  ASSERT_TRUE(box_.Start());
  EXPECT_THAT(Done("audit list --tenant T").out, HasSubstr("log.lost"));
  EXPECT_EQ(Get(erased_).exit_code, 3);
  Verified();
}

TEST_F(RunbookSteps, ALostKeyring) {
  ASSERT_TRUE(box_.Up());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  const std::string resident = Handles()[0];
  Done("backup create");
  std::string copy;
  for (const auto& file : fs::directory_iterator(In("keyrings"))) {
    if (absl::StartsWith(file.path().filename().string(), "keyring-")) copy = file.path();
  }
  Copy(copy, Path("copy"));
  ASSERT_TRUE(box_.Down());
  // The newest copy is as new as the keyring was.
  fs::remove(In("keyring"));
  Copy(Path("copy"), In("keyring"));
  ASSERT_TRUE(box_.Start());
  EXPECT_EQ(Get(resident).exit_code, 0);

  // An older one.
  Done("keys rotate --tenant T --what index");
  ASSERT_TRUE(box_.Down());
  Copy(Path("copy"), In("keyring"));
  EXPECT_THAT(box_.RunVaultd({}).err, HasSubstr("it is an older copy"));
  const std::string older = "- Only an **older** copy is left";
  Done(CommandOf(kLost, older, "vaultd"));
  ASSERT_TRUE(box_.Start());
  EXPECT_THAT(Done("audit list --log service").out, HasSubstr("keyring.accept"));
  EXPECT_EQ(Get(resident).exit_code, 0);
  std::vector<std::string> rotations;
  for (const std::string& command : RunbookCommands(RunbookLine(kLost, older))) {
    if (absl::StartsWith(command, "keys rotate")) rotations.push_back(command);
  }
  EXPECT_EQ(rotations.size(), 3u) << "each kind once";
  ASSERT_NO_FATAL_FAILURE(RunAll(rotations));
  // The index until its version is above the newest that any history gave.
  const std::vector<std::string> index = {"keys", "rotate", "--what", "index"};
  const CommandResult given = Done(CommandOf(kLost, older, "audit list"));
  const std::string lost = Find(given.out, "key\\.activate[^\n]* index ([0-9]+)");
  ASSERT_EQ(lost, "2") << given.out;
  ASSERT_EQ(KeyVersions(index, "active"), std::vector<std::string>{lost});
  Done("keys rotate --tenant T --what index");
  Done(CommandOf(kLost, older, "keys status"));
  const GeneratedResident person = GeneratedPeople(kToshima, 1, 1)[0];
  const CommandResult found =
      box_.Run("officer-toshima", {"residents", "lookup", "--tenant", kToshima, "--by",
                                   "address_number=" + person.Get("address_number"), "--purpose",
                                   "correction", "--contact", "C-1"});
  EXPECT_EQ(found.exit_code, 0) << found.All();
}

TEST_F(RunbookSteps, AWrongClockAndAnIntruder) {
  ASSERT_TRUE(box_.Up());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  const std::string resident = Handles()[0];
  ASSERT_NO_FATAL_FAILURE(RunLine(kClock, "- **It stepped back**"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kClock, "- A witness whose clock"));

  Done(CommandOf(kIntruder, "1. "));
  const CommandResult refused = Get(resident);
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("(SEALED)"));
  Done(CommandOf(kIntruder, "3. "));
  EXPECT_EQ(Get(resident).exit_code, 0);
  // What was attempted meanwhile becomes an entry.
  ExpectSoon("audit list --log service", "vault.sealed");
}

TEST_F(RunbookSteps, ErasureThatMustBeFinal) {
  ASSERT_TRUE(box_.Up());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  values_["ID of residents"] = Handles()[0];
  Done(kErase);
  const std::string certificate = CommandOf(kErasure, "`residents certificate");
  EXPECT_THAT(Done(certificate).out, HasSubstr("Status: not final"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kErasure, "| KEK versions"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kErasure, "| index generations"));
  const std::string text = absl::StrReplaceAll(Done(certificate).out, {{"\n", " "}});
  values_["S"] = Find(text, "serial ([0-9]+)");
  ASSERT_NE(values_["S"], "") << text;
  ASSERT_NO_FATAL_FAILURE(RunLine(kErasure, "| keyring copies"));
  EXPECT_THAT(Done(certificate).out, HasSubstr("Status: final"));

  // A programme's end.
  ASSERT_TRUE(box_.Down());
  std::string tenants = ReadFileOrDie(In("policies/tenants.textproto"));
  ASSERT_GE(absl::StrReplaceAll({{"2027-03-31", "2026-01-31"}}, &tenants), 1);
  WriteFileOrDie(In("policies/tenants.textproto"), tenants);
  ASSERT_TRUE(box_.Start());
  const std::string ends = "A programme's end";
  EXPECT_THAT(Done(CommandOf(kErasure, ends, "--dry-run")).out, HasSubstr("would erase 19"));
  const std::vector<std::string> commands = RunbookCommands(RunbookLine(kErasure, ends));
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_THAT(Done(commands[1]).out, HasSubstr("retired: 19"));
  Done(commands[2]);

  // A contract's end.
  values_["FOLDER"] = Path("toshima-log");
  ASSERT_NO_FATAL_FAILURE(RunLine(kErasure, "A contract's end"));
  EXPECT_THAT(Done("keys status --tenant T").out, HasSubstr("off-boarded"));
  const CommandResult vkey =
      box_.Run("compliance-toshima", {"audit", "vkey", "--tenant", kToshima});
  const CommandResult checked =
      box_.RunCommand({std::string(VAULT_BIN_DIR) + "/vault-verify", Path("toshima-log"), "--vkey",
                       std::string(absl::StripAsciiWhitespace(vkey.out))});
  EXPECT_EQ(checked.exit_code, 0) << checked.All();
}

TEST_F(RunbookSteps, ADeskThatGrowsOrShrinks) {
  ASSERT_TRUE(box_.Up());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  approver_ = "supervisor-toshima";
  values_["ROSTER"] = Path("roster.csv");
  values_["SUBJECT"] = "desk-1";
  values_["TIME"] = RosterTime(absl::Now() + absl::Hours(48));
  WriteFileOrDie(values_["ROSTER"], RosterOf({"desk-1", "desk-2"}, absl::Now() + absl::Hours(24)));
  const auto lookup = [this](const std::string& who) {
    const CommandResult minted = box_.RunCommand(
        {VAULT_SOURCE_DIR "/deploy/sandbox", "token", box_.dir(), who}, absl::Seconds(20));
    WriteFileOrDie(Path("token"), minted.out);
    return box_.Run("booking-service",
                    {"--token-file", Path("token"), "residents", "lookup", "--tenant", kToshima,
                     "--by", "name=検査 太郎", "--purpose", "complaint", "--contact", "C-1"});
  };
  EXPECT_THAT(lookup("desk-1").err, HasSubstr("subject.unknown"));
  const std::vector<std::string> roster =
      RunbookCommands(RunbookSection(kDesk).substr(0, RunbookSection(kDesk).find("2. Longer")));
  ASSERT_EQ(roster.size(), 4u);
  EXPECT_THAT(Done(roster[0]).out, HasSubstr("urn:vault:desk-2"));
  EXPECT_THAT(lookup("desk-1").err, HasSubstr("subject.unknown"));
  for (size_t i = 1; i < roster.size(); ++i) Done(roster[i]);
  EXPECT_EQ(lookup("desk-1").exit_code, 3) << lookup("desk-1").All();
  ASSERT_NO_FATAL_FAILURE(RunLine(kDesk, "2. Longer"));
  const std::vector<std::string> wrong = RunbookCommands(RunbookLine(kDesk, "3. Something"));
  ASSERT_EQ(wrong.size(), 3u);
  Done(wrong[0]);
  EXPECT_THAT(lookup("desk-1").err, HasSubstr("seat.suspended"));
  EXPECT_EQ(lookup("desk-2").exit_code, 3);
  Done(wrong[1]);
  Done("approvals approve ID --effect DIGEST");
  EXPECT_EQ(lookup("desk-1").exit_code, 3);
  Done(wrong[2]);
  EXPECT_THAT(lookup("desk-1").err, HasSubstr("seat.revoked"));
  ASSERT_NO_FATAL_FAILURE(RunLine(kDesk, "4. Once a month"));
}

TEST_F(RunbookSteps, ACallerThatIsHeldBack) {
  ASSERT_TRUE(box_.UpAsShipped());
  ASSERT_NO_FATAL_FAILURE(Import(20, 1));
  const auto guess = [this] {
    return box_.Run("operator-toshima",
                    {"residents", "lookup", "--tenant", kToshima, "--by", "name=検査 太郎",
                     "--purpose", "vaccination_booking", "--contact", "C-1001"});
  };
  CommandResult guessed;
  for (int i = 0; i < 60 && !absl::StrContains(guessed.err, "(ATTEMPTS)"); ++i) guessed = guess();
  EXPECT_THAT(guessed.err, HasSubstr("(ATTEMPTS)"));
  ExpectSoon(CommandOf(kHeld, "1. "), "limit.attempts");
  // A desk that has grown.
  ASSERT_TRUE(box_.Down());
  std::string policy = ReadFileOrDie(In("policies/policy.textproto"));
  ASSERT_GE(absl::StrReplaceAll({{"burst: 30 per_hour: 60", "burst: 500 per_hour: 600"}}, &policy),
            1);
  WriteFileOrDie(In("policies/policy.textproto"), policy);
  ASSERT_TRUE(box_.Start());
  for (int i = 0; i < 40; ++i) ASSERT_EQ(guess().exit_code, 3) << i;
}

}  // namespace
}  // namespace vault::testing
