// The whole vault over RocksDB: restarts, and power cuts under a file system that forgets what was
// not synced.
#include "tests/engine/engine_fixture.h"
#include "tests/testing/discarding_fs.h"

namespace vault::engine {
namespace {

using vault::testing::DiscardingFs;
using vault::testing::SeededRandom;

TestVaultOptions OnDisk(std::shared_ptr<rocksdb::FileSystem> fs = nullptr) {
  TestVaultOptions options;
  options.rocksdb = true;
  options.file_system = std::move(fs);
  return options;
}

TEST(DurabilityTest, ARestartHasEverything) {
  TestVault vault(OnDisk());
  const std::string id = vault.Add(1);
  VAULT_ASSERT_OK(vault.Update("supervisor-toshima", id, {{"phone", "090-1234-5678"}}));
  VAULT_ASSERT_OK(vault.Rotate("security"));
  for (int i = 0; i < 3; ++i) {
    vault.Stop();
    VAULT_ASSERT_OK(vault.Start());
    vault.CheckAll();
    VAULT_ASSERT_OK_AND_ASSIGN(const LookupResult found,
                               vault.Lookup("operator-toshima", {{"phone", "09012345678"}}));
    EXPECT_EQ(found.residents.size(), 1);
  }
}

// A vault under mixed load loses its power after some number of syncs. What was answered before the
// cut is there afterwards, and the trail verifies.
class PowerCutTest : public ::testing::TestWithParam<int> {
 protected:
  // One step of the load; what it acknowledges goes into `versions_` and `entries_`, unless the
  // power was gone already.
  void Step(TestVault* vault, DiscardingFs* fs, int i) {
    std::map<std::string, uint64_t> changed;
    bool answered = false;
    if (i % 5 == 4) {
      absl::StatusOr<std::vector<ImportRowResult>> rows =
          vault->Import({TestVault::Person(10000 + i), TestVault::Person(20000 + i)});
      answered = rows.ok();
      for (size_t r = 0; rows.ok() && r < rows->size(); ++r) changed[(*rows)[r].id.ToHex()] = 1;
    } else if (i % 5 == 3 && !versions_.empty()) {
      const std::string id = versions_.begin()->first;
      absl::StatusOr<ChangeResult> result =
          vault->Update("supervisor-toshima", id, {{"memo", absl::StrCat(i)}});
      answered = result.ok();
      if (answered) changed[id] = result->version;
    } else if (i % 5 == 2) {
      answered = vault->Lookup("operator-toshima", {{"phone", "0312345678"}}).ok();
    } else if (i % 17 == 6) {
      answered = vault->Rotate("security").ok();
    } else {
      absl::StatusOr<ChangeResult> result = vault->Create(TestVault::Person(i));
      answered = result.ok();
      if (answered) changed[result->id.ToHex()] = result->version;
    }
    if (fs->frozen()) return;
    EXPECT_TRUE(answered);
    for (const auto& [id, version] : changed) versions_[id] = version;
    entries_ = vault->sequencer()->GetHead(LogId::Of(Toshima())).size;
  }

  std::map<std::string, uint64_t> versions_;
  uint64_t entries_ = 0;
};

TEST_P(PowerCutTest, EverythingAcknowledgedIsThere) {
  const store::TempDir durable;
  auto fs = std::make_shared<DiscardingFs>(rocksdb::FileSystem::Default(), durable.path() + "/d");
  TestVault vault(OnDisk(fs));
  SeededRandom torn(GetParam());
  // The outside head as it was when the power went: it is not on that file system.
  std::string head;
  for (int round = 0; round < 2; ++round) {
    vault.faults()->SetBeforeWrite([&](const store::Batch&) {
      if (!fs->frozen()) head = store::ReadBytes(vault.keys()->Path("outside-head"));
    });
    fs->FreezeAfterSyncs(GetParam());
    for (int i = round * 1000; !fs->frozen(); ++i) Step(&vault, fs.get(), i);
    vault.Stop();
    VAULT_ASSERT_OK(fs->DropUnsynced(GetParam() % 2 == 0 ? &torn : nullptr));
    store::WriteBytes(vault.keys()->Path("outside-head"), head);

    VAULT_ASSERT_OK(vault.Start());
    EXPECT_GE(vault.Entries().size(), entries_);
    for (const auto& [id, version] : versions_) {
      absl::StatusOr<records::ResidentView> view =
          vault.Get("officer-toshima", id, {}, With("correction"));
      ASSERT_TRUE(view.ok()) << view.status();
      EXPECT_GE(view->version, version);
    }
    vault.CheckAll();
  }
}

INSTANTIATE_TEST_SUITE_P(AfterSyncs, PowerCutTest, ::testing::Values(1, 2, 3, 5, 8, 13, 21, 34));

}  // namespace
}  // namespace vault::engine
