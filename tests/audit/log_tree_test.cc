// Proofs and exports at the sizes where tiles begin and end, from the rows that the sequencer
// writes, against the tree that the entries alone give.
#include "vault/audit/log_tree.h"

#include <algorithm>
#include <functional>
#include <set>

#include "absl/strings/escaping.h"
#include "tests/publish/checkpoint_fixture.h"
#include "vault/tlog/proof.h"
#include "vault/tlog/tile.h"

namespace vault::audit {
namespace {

using publish::CheckFiles;
using publish::CheckpointTest;
using publish::Files;
using publish::LeavesOf;
using publish::RootOf;

class LogTreeTest : public CheckpointTest {
 protected:
  void GrowTo(uint64_t size) {
    const uint64_t have = sequencer_->GetHead(log_).size;
    if (size > have) Append(log_, size - have);
  }
  // All proofs of the tree of `size`, or those around the ends of tiles where that is too many.
  void CheckProofs(const store::Snapshot& snapshot, const std::vector<crypto::Digest>& leaves,
                   uint64_t size) {
    const crypto::Digest root = RootOf(leaves, 0, size);
    LogTree tree(snapshot, log_, size);
    VAULT_ASSERT_OK_AND_ASSIGN(const crypto::Digest own, tree.Root());
    EXPECT_EQ(own, root);
    VAULT_ASSERT_OK_AND_ASSIGN(const tlog::TreeEdge edge, tree.Edge());
    EXPECT_EQ(edge.size(), size);
    EXPECT_EQ(edge.Root(), root);
    std::set<uint64_t> places = {0, size};
    for (uint64_t at = 1; at <= size; at += size > 1000 ? 7919 : size > 257 ? 7 : 1)
      places.insert(at);
    for (uint64_t at : {255, 256, 257, 511, 512, 65279, 65280, 65535, 65536}) {
      if (at < size) places.insert(at);
    }
    for (uint64_t at : places) {
      if (at < size) {
        VAULT_ASSERT_OK_AND_ASSIGN(const auto proof, tree.Inclusion(at));
        VAULT_ASSERT_OK(tlog::VerifyInclusion(at, size, leaves[at], proof, root));
      }
      VAULT_ASSERT_OK_AND_ASSIGN(const auto proof, tree.Consistency(at));
      VAULT_ASSERT_OK(tlog::VerifyConsistency(at, RootOf(leaves, 0, at), size, root, proof));
    }
    EXPECT_TRUE(absl::IsOutOfRange(tree.Inclusion(size).status()));
    EXPECT_TRUE(absl::IsOutOfRange(tree.Consistency(size + 1).status()));
  }
  absl::Status RootNow(uint64_t size) {
    const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
    return LogTree(*snapshot, log_, size).Root().status();
  }
  // The rows as they are, but for one, while `use` runs.
  template <typename F>
  void Without(const std::string& key, absl::optional<std::string> other, F use) {
    SCOPED_TRACE(absl::CHexEscape(key));
    const std::string row = Rows(*base_).at(key);
    if (other.has_value()) {
      PutRow(base_.get(), key, *other);
    } else {
      DeleteRow(base_.get(), key);
    }
    use();
    PutRow(base_.get(), key, row);
  }
  static std::string Flipped(std::string row) {
    row[row.size() / 2] ^= 1;
    return row;
  }
};

void ExpectLoss(const absl::Status& status, const std::string& place) {
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("log 131164"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(place));
}

TEST_F(LogTreeTest, ProofsHoldAtTheSizesWhereTilesBeginAndEnd) {
  CreateAll();
  for (uint64_t size : {0, 1, 2, 255, 256, 257, 511, 512, 513}) {
    SCOPED_TRACE(size);
    GrowTo(size);
    const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
    CheckProofs(*snapshot, LeavesOf(*store_, log_), size);
  }
  // And so do those of smaller trees, with larger ones' rows behind them.
  const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
  for (uint64_t size : {1, 256, 300, 511}) {
    CheckProofs(*snapshot, LeavesOf(*store_, log_), size);
  }
}

TEST_F(LogTreeTest, ExportsAreWholeAndGrowToTheSameFilesFromEverySize) {
  CreateAll();
  std::map<uint64_t, Files> dirs;
  for (uint64_t size : {1, 2, 255, 256, 257, 511, 512, 513, 800}) {
    SCOPED_TRACE(size);
    GrowTo(size);
    const Files whole = Export(log_);
    EXPECT_EQ(Check(log_, whole).entries_checked, size);
    ExpectGood(log_, whole);
    for (const auto& [smaller, old] : dirs) {
      SCOPED_TRACE(smaller);
      Files added;
      VAULT_ASSERT_OK(Export(log_, smaller, &added));
      EXPECT_LE(added.size(), whole.size());
      Files grown = old;
      for (const auto& [path, content] : added) grown[path] = content;
      for (const auto& [path, content] : whole) EXPECT_EQ(grown[path], content) << path;
      ExpectGood(log_, grown);
      // Only what is new: no full bundle that was there already.
      for (const auto& [path, content] : added) {
        EXPECT_FALSE(path.find(".p/") == std::string::npos && path != "checkpoint" &&
                     old.count(path))
            << path;
      }
    }
    Files again;
    VAULT_ASSERT_OK(Export(log_, size, &again));
    for (const auto& [path, content] : again) EXPECT_EQ(whole.at(path), content);
    EXPECT_EQ(again.count("tile/entries/000"), 0);
    dirs[size] = whole;
  }
}

TEST_F(LogTreeTest, TheSecondLevelOfTilesIsRightToo) {
  CreateAll();
  std::map<uint64_t, Files> dirs;
  GrowTo(513);
  dirs[513] = Export(log_);
  for (uint64_t size : {65535, 65536, 65537}) {
    SCOPED_TRACE(size);
    GrowTo(size);
    const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
    CheckProofs(*snapshot, LeavesOf(*store_, log_), size);
    for (auto& [smaller, dir] : dirs) {
      if (smaller == 513 && size != 65537) continue;
      VAULT_ASSERT_OK(Export(log_, smaller, &dir));
    }
    if (size == 65535) dirs[size] = Export(log_);
    if (size == 65536) dirs[size] = dirs.at(65535);
  }
  const Files whole = Export(log_);
  ExpectGood(log_, whole);
  EXPECT_EQ(whole.count("tile/1/000"), 1);
  EXPECT_EQ(whole.at("tile/2/000.p/1").size(), 32);
  for (const auto& [smaller, dir] : dirs) {
    for (const auto& [path, content] : whole) EXPECT_EQ(dir.at(path), content) << path;
  }
  ExpectGood(log_, dirs.at(513));

  // Damage that only this level shows.
  const std::string upper = SubtreeKey(log_, 2, 0), lower = SubtreeKey(log_, 1, 7);
  Files out;
  Without(upper, Flipped(Rows(*base_).at(upper)), [&] {
    ExpectLoss(Export(log_, 65535, &out), "tile 0 of level 1");
    ExpectLoss(Export(log_, 65536, &out), "65537 entries that was signed");
  });
  Without(upper, absl::nullopt, [&] {
    ExpectLoss(Export(log_, 65535, &out), "tile 0 of level 1");
    ExpectLoss(Export(log_, 65536, &out), "hash 0 of tile level 2");
    ExpectLoss(RootNow(65537), "hash 0 of tile level 2 is missing or damaged");
    VAULT_EXPECT_OK(RootNow(65535));
  });
  Without(lower, Flipped(Rows(*base_).at(lower)),
          [&] { ExpectLoss(Export(log_, 65535, &out), "tile 0 of level 1"); });
  Without(lower, absl::nullopt, [&] {
    ExpectLoss(Export(log_, 65535, &out), "hash 7 of tile level 1");
    ExpectLoss(RootNow(65535), "hash 7 of tile level 1");
    VAULT_EXPECT_OK(RootNow(65536));  // the level above says it all
  });
}

TEST_F(LogTreeTest, MissingAndEditedRowsAreDataLossThatNamesThePlace) {
  CreateAll();
  GrowTo(700);
  (void)Sign(log_);
  const auto rows = Rows(*base_);
  const std::string middle = EntryKey(log_, 300), last = EntryKey(log_, 699);
  const std::string kept = SubtreeKey(log_, 1, 1);
  Files out;
  Without(middle, absl::nullopt, [&] {
    ExpectLoss(Export(log_, 0, &out), "entry 300 is missing or damaged");
    ExpectLoss(Export(log_, 256, &out), "entry 300 is missing or damaged");
    const std::unique_ptr<const store::Snapshot> snapshot = store_->TakeSnapshot().value();
    LogTree tree(*snapshot, log_, 700);
    ExpectLoss(tree.Inclusion(301).status(), "entry 300");
    ExpectLoss(tree.Inclusion(300).status(), "entry 300");
    VAULT_EXPECT_OK(tree.Inclusion(255));
    VAULT_EXPECT_OK(tree.Root());
  });
  Without(middle, Flipped(rows.at(middle)), [&] {
    ExpectLoss(Export(log_, 0, &out), "the entries from 256 on do not give the tree's root");
  });
  Without(middle, std::string(tlog::kMaxEntrySize + 1, 'x'),
          [&] { ExpectLoss(Export(log_, 0, &out), "entry 300 is missing or damaged"); });
  Without(last, absl::nullopt, [&] {
    ExpectLoss(Export(log_, 0, &out), "entry 699");
    ExpectLoss(Export(log_, 600, &out), "entry 699");
    ExpectLoss(RootNow(700), "entry 699");
  });
  Without(last, Flipped(rows.at(last)), [&] {
    ExpectLoss(Export(log_, 0, &out), "700 entries that was signed");
    ExpectLoss(Export(log_, 699, &out), "700 entries that was signed");
  });
  Without(kept, Flipped(rows.at(kept)), [&] {
    ExpectLoss(Export(log_, 0, &out), "the entries from 256 on");
    ExpectLoss(Export(log_, 512, &out), "700 entries that was signed");
  });
  Without(kept, absl::nullopt, [&] {
    ExpectLoss(Export(log_, 0, &out), "the entries from 256 on");
    ExpectLoss(Export(log_, 512, &out), "hash 1 of tile level 1");
    ExpectLoss(RootNow(700), "hash 1 of tile level 1");
  });
  Without(kept, rows.at(kept).substr(1),
          [&] { ExpectLoss(RootNow(700), "hash 1 of tile level 1"); });
  // Of a log that is whole, what a failing disk says is no loss.
  store_->FailReads(absl::UnavailableError("the disk is away"));
  EXPECT_TRUE(absl::IsUnavailable(RootNow(700)));
  store_->FailReads(absl::OkStatus());
  ExpectGood(log_, Export(log_));
}

TEST_F(LogTreeTest, TwoEntriesThatChangePlacesAreFound) {
  CreateAll();
  GrowTo(700);
  const auto rows = Rows(*base_);
  PutRow(base_.get(), EntryKey(log_, 10), rows.at(EntryKey(log_, 11)));
  PutRow(base_.get(), EntryKey(log_, 11), rows.at(EntryKey(log_, 10)));
  Files out;
  ExpectLoss(Export(log_, 0, &out), "the entries from 0 on");
}

TEST_F(LogTreeTest, AnExportsHandoversAreThoseOfItsLog) {
  CreateAll();
  GrowTo(300);
  Append(yokohama_, 3);
  const Files first = Export(log_);
  EXPECT_EQ(first.count("handover/1"), 0);
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  GrowTo(310);
  VAULT_ASSERT_OK(ChangeKey(log_, false));
  GrowTo(320);
  Files grown = first;
  VAULT_ASSERT_OK(Export(log_, 300, &grown));
  EXPECT_EQ(grown.at("handover/1"), KeysOf(log_)[1].handover);
  EXPECT_EQ(grown.at("handover/2"), KeysOf(log_)[2].handover);
  EXPECT_EQ(grown.count("handover/3"), 0);
  ExpectGood(log_, grown);
  EXPECT_EQ(Export(yokohama_).count("handover/1"), 0);
  // Whoever has the first key alone is led on to the third.
  tlog::LogCheckOptions options;
  options.keys = {KeysOf(log_)[0].key};
  EXPECT_EQ(CheckFiles(grown, options).verdict, tlog::Verdict::kGood);
  grown.erase("handover/2");
  EXPECT_EQ(CheckFiles(grown, options).verdict, tlog::Verdict::kBroken);
}

}  // namespace
}  // namespace vault::audit
