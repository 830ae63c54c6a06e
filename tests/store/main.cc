// gtest's main, and the child of the damage tests: what it opens may abort inside RocksDB, so it
// runs in a process of its own, begun by exec (RocksDB's background threads do not survive a fork).
#include <cstring>

#include "gtest/gtest.h"
#include "tests/store/damage.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], vault::store::kDamageChildFlag) == 0) {
    return vault::store::DamageChildMain(argc, argv);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
