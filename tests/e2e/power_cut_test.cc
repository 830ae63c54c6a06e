// The power goes while calls run: everything that was not synced is gone (tests/testing/
// discarding_fs.h). What was acknowledged before is there, each answer has its entry, the trail
// verifies.
//
// VAULT_POWER_ROUNDS sets the rounds (20), VAULT_CRASH_SEED the moments.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_load.h"
#include "tests/e2e/whole_vault.h"
#include "tests/store/temp_dir.h"
#include "tests/testing/discarding_fs.h"
#include "tests/testing/fakes.h"
#include "vault/base/logging.h"
#include "vault/tlog/entry.h"

namespace vault::testing {
namespace {

// The machine goes with the power: a write that ends after the cut tells nobody of it, and nothing
// is written to the rollback anchor for it.
class PoweredStore : public store::Store {
 public:
  PoweredStore(store::Store* base, std::shared_ptr<DiscardingFs> fs)
      : base_(base), fs_(std::move(fs)) {}
  absl::Status Get(absl::string_view key, std::string* value) const override {
    return base_->Get(key, value);
  }
  absl::StatusOr<std::unique_ptr<const store::Snapshot>> TakeSnapshot() const override {
    return base_->TakeSnapshot();
  }
  absl::Status Write(const store::Batch& batch) override {
    const absl::Status written = base_->Write(batch);
    return fs_->frozen() ? absl::UnavailableError("no power") : written;
  }
  absl::StatusOr<uint64_t> FreeBytes() const override { return base_->FreeBytes(); }

 private:
  store::Store* const base_;
  const std::shared_ptr<DiscardingFs> fs_;
};

// A resident that one thread alone changes.
struct Owned {
  std::string id, etag;
  uint64_t version = 0;
  std::string memo, phone;
  std::string pending_memo;  // of a change whose fate is not known
};

struct Client {
  std::string prefix;
  uint64_t seed = 0;
  std::vector<Owned> people;
  std::vector<std::string> contacts;  // of answers that came before the cut
  uint64_t calls = 0, unknown = 0;
  std::vector<std::string> problems;
};

class PowerCutTest : public ::testing::Test {
 protected:
  // That the trail cannot be written after the cut is no news.
  PowerCutTest() { SetMinLogSeverity(LogSeverity::FATAL); }
  ~PowerCutTest() override { SetMinLogSeverity(LogSeverity::INFO); }

  absl::Status Open() {
    WholeVault::Options options;
    options.dir = dir_.path();
    options.file_system = fs_;
    options.wrap = [this](store::Store* base) { return std::make_unique<PoweredStore>(base, fs_); };
    auto vault = WholeVault::Open(options);
    if (vault.ok()) vault_ = *std::move(vault);
    return vault.status();
  }

  // Notes the answer; false once the power is gone.
  static bool Note(const absl::Status& status, const std::string& contact, Client* client) {
    if (status.code() == absl::StatusCode::kUnavailable) {
      ++client->unknown;
      return false;
    }
    if (!status.ok() && !absl::IsNotFound(status)) {
      client->problems.push_back(status.ToString());
    }
    client->contacts.push_back(contact);
    return true;
  }

  bool CreateOne(Client* client) {
    const std::string contact = absl::StrCat(client->prefix, "-", ++client->calls);
    Owned person;
    person.phone = FreshPhone();
    person.memo = "memo " + contact;
    auto made = vault_->Create(
        "booking-service", ChangeOf(kToshima, PersonFields(person.phone, person.memo), contact));
    if (!Note(made.status(), contact, client) || !made.ok()) return made.ok();
    person.id = made->id.ToHex();
    person.etag = made->etag;
    person.version = made->version;
    client->people.push_back(std::move(person));
    return true;
  }

  bool UpdateOne(Client* client, Owned* person) {
    const std::string contact = absl::StrCat(client->prefix, "-", ++client->calls);
    usecases::ChangeRequest request = ChangeOf(kToshima, {{"memo", "memo " + contact}}, contact);
    request.resident = person->id;
    request.etag = person->etag;
    auto changed = vault_->Update("supervisor-toshima", std::move(request));
    if (!Note(changed.status(), contact, client)) {
      person->pending_memo = "memo " + contact;
      return false;
    }
    if (!changed.ok()) return true;
    person->memo = "memo " + contact;
    person->etag = changed->etag;
    person->version = changed->version;
    return true;
  }

  bool FindOne(Client* client, const std::string& phone) {
    const std::string contact = absl::StrCat(client->prefix, "-", ++client->calls);
    return Note(
        vault_->Lookup("operator-toshima", FindBy(kToshima, "phone", phone, contact)).status(),
        contact, client);
  }

  void Run(Client* client) {
    std::mt19937_64 random(client->seed);
    bool powered = true;
    while (powered) {
      const uint64_t what = random() % 4;
      if (client->people.size() < 5 || (what == 0 && client->people.size() < 60)) {
        powered = CreateOne(client);
      } else if (what == 1) {
        powered = FindOne(client, client->people[random() % client->people.size()].phone);
      } else {
        powered = UpdateOne(client, &client->people[random() % client->people.size()]);
      }
    }
  }

  void LoadUntilTheCut(uint64_t syncs) {
    fs_->FreezeAfterSyncs(static_cast<int>(syncs));
    std::vector<std::thread> threads;
    for (Client& client : clients_) threads.emplace_back([this, &client] { Run(&client); });
    threads.emplace_back([this] {
      while (!fs_->frozen()) (void)vault_->Rotate("security", kToshima);
    });
    // A store that syncs too seldom is cut off all the same.
    for (int i = 0; i < 300 && !fs_->frozen(); ++i) absl::SleepFor(absl::Milliseconds(10));
    fs_->Freeze();
    for (std::thread& thread : threads) thread.join();
    vault_.reset();
  }

  void CheckPerson(Owned* person) {
    auto now = vault_->Get("officer-toshima", GetOf(kToshima, person->id, "J-1"));
    ASSERT_TRUE(now.ok()) << person->id << " was acknowledged: " << now.status();
    std::string memo;
    for (const records::FieldView& field : now->fields) {
      if (field.spec->id == "memo") memo = std::string(field.value.Expose());
    }
    if (!person->pending_memo.empty() && now->version == person->version + 1) {
      person->version = now->version;
      person->memo = person->pending_memo;
      person->etag = now->etag;
    }
    person->pending_memo.clear();
    EXPECT_EQ(now->version, person->version);
    EXPECT_EQ(now->etag, person->etag);
    EXPECT_EQ(memo, person->memo);
  }

  void CheckAll() {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto entries, vault_->Entries("compliance-toshima", kToshima));
    ASSERT_GE(entries.size(), seen_.size());
    std::map<std::string, int> contacts;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i < seen_.size()) ASSERT_EQ(entries[i].bytes, seen_[i]) << i;
      const auto entry = tlog::Decode(entries[i].bytes);
      ASSERT_TRUE(entry.ok()) << entry.status();
      ++contacts[entry->fields.contact];
      if (i >= seen_.size()) seen_.push_back(entries[i].bytes);
    }
    for (Client& client : clients_) {
      EXPECT_THAT(client.problems, ::testing::IsEmpty());
      for (const std::string& contact : client.contacts) {
        EXPECT_GE(contacts[contact], 1) << contact << " was answered and has no entry";
      }
      answers_ += std::exchange(client.contacts, {}).size();
      unknown_ += std::exchange(client.unknown, 0);
      for (Owned& person : client.people) CheckPerson(&person);
    }
    for (const auto& [log, persona] :
         {std::pair{kToshima, "compliance-toshima"}, std::pair{"service", "security"}}) {
      VAULT_ASSERT_OK_AND_ASSIGN(const trail::Verdict verdict, vault_->Verify(persona, log));
      EXPECT_TRUE(verdict.good) << log << ": " << verdict.problem;
    }
  }

  // The rollback anchor is synced each second only; what a cut leaves of it may be that much older.
  void ForgetTheHead(const std::string& older) {
    std::filesystem::copy_file(older, dir_.path() + "/head",
                               std::filesystem::copy_options::overwrite_existing);
  }

  store::TempDir dir_;
  std::shared_ptr<DiscardingFs> fs_ =
      std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(), dir_.path() + "/durable");
  std::unique_ptr<WholeVault> vault_;
  std::vector<Client> clients_;
  std::vector<std::string> seen_;
  uint64_t answers_ = 0, unknown_ = 0;
};

TEST_F(PowerCutTest, NothingAcknowledgedIsLost) {
  uint64_t rounds = 20, seed = 20261102;
  const char* text = std::getenv("VAULT_POWER_ROUNDS");
  ASSERT_TRUE(text == nullptr || absl::SimpleAtoi(text, &rounds));
  text = std::getenv("VAULT_CRASH_SEED");
  ASSERT_TRUE(text == nullptr || absl::SimpleAtoi(text, &seed));
  std::cout << "seed " << seed << ", " << rounds << " rounds\n";
  std::mt19937_64 random(seed);
  SeededRandom torn(seed);
  // Made before, so that the file system under test takes care of db/ alone: keyring and head are
  // not the database's.
  {
    WholeVault::Options options;
    options.dir = dir_.path();
    options.create = true;
    VAULT_ASSERT_OK(WholeVault::Open(options).status());
  }
  VAULT_ASSERT_OK(Open());
  for (const char* prefix : {"A", "B", "C"}) {
    clients_.emplace_back();
    clients_.back().prefix = prefix;
  }
  for (uint64_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round, ", seed ", seed));
    for (Client& client : clients_) client.seed = random();
    const std::string older = dir_.path() + "/head.older";
    std::filesystem::copy_file(dir_.path() + "/head", older,
                               std::filesystem::copy_options::overwrite_existing);
    LoadUntilTheCut(1 + random() % 300);
    VAULT_ASSERT_OK(fs_->DropUnsynced(round % 2 == 0 ? nullptr : &torn));
    if (random() % 2 == 0) ForgetTheHead(older);
    VAULT_ASSERT_OK(Open());
    ASSERT_NO_FATAL_FAILURE(CheckAll());
    ASSERT_FALSE(HasFailure());
  }
  std::cout << answers_ << " answers acknowledged, " << unknown_ << " calls cut off, "
            << seen_.size() << " entries\n";
  EXPECT_GT(answers_, rounds * 20);
  EXPECT_GE(unknown_, rounds);
}

}  // namespace
}  // namespace vault::testing
