// Destroying a storage key under which RocksDB has its files.
#include "tests/engine/approval_fixture.h"

namespace vault::engine {
namespace {

class ApprovalStorageTest : public ApprovalTest {
 protected:
  ApprovalStorageTest() {
    TestVaultOptions options;
    options.rocksdb = true;
    Restart(options);
  }
};

TEST_F(ApprovalStorageTest, AKeyGoesOnceNoFileIsUnderIt) {
  const std::string resident = vault().Add(1);
  VAULT_ASSERT_OK(vault().keyring()->AddStorageKey(false).status());
  const absl::Status refused = Propose(DestroyStorage(1)).status();
  EXPECT_EQ(Outcome(refused), "FAILED_PRECONDITION NOT_EMPTY");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("files are under storage key 1"));
  Rotate(KeyKind::kStorage, "service");
  // The rotation may have gone on with the key that was there or have added one of its own.
  const uint32_t writes = vault().keyring()->write_storage_key_id();
  for (uint32_t id = 1; id < writes; ++id) {
    EXPECT_EQ(Execute(DestroyStorage(id)).state, ApprovalState::kExecuted);
    EXPECT_EQ(vault().keyring()->storage_key(id), nullptr);
  }
  EXPECT_EQ(Outcome(Propose(DestroyStorage(writes)).status()), "FAILED_PRECONDITION STILL_ACTIVE");
  vault().Stop();
  VAULT_ASSERT_OK(vault().Start());
  VAULT_EXPECT_OK(vault().Get("operator-toshima", resident));
}

// A rotation of storage keys that finds no room for the files that it rewrites waits for it.
TEST_F(ApprovalStorageTest, ARotationThatFindsNoRoomWaitsForIt) {
  vault().Add(1);
  vault().faults()->FailRewrites(2);
  Rotate(KeyKind::kStorage, "service");
  EXPECT_EQ(vault().faults()->failing_rewrites(), 0);
  const auto by_key = vault().base()->FilesByKey();
  VAULT_ASSERT_OK(by_key);
  for (const auto& files : *by_key) {
    EXPECT_EQ(files.key_id, vault().keyring()->write_storage_key_id());
  }
}

}  // namespace
}  // namespace vault::engine
