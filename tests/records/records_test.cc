// Sealed residents: round trips, what is opened and what stays shut, what moved does not open,
// postings.
#include "vault/records/records.h"

#include "absl/strings/escaping.h"
#include "tests/records/records_fixture.h"

namespace vault::records {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(RecordsTest, WhatWasStoredComesBackByteForByte) {
  const Values values =
      Complete({{"address", "東京都豊島区西池袋一丁目１番１号　検査荘"}, {"memo", "改行\nと\t印"}});
  const ResidentId id = Add(values);
  for (const auto& [field, value] : values) EXPECT_EQ(Value(id, field), value);
}

TEST_F(RecordsTest, NothingOfItIsReadableInTheStore) {
  Add(Complete({{"memo", "PLAINMEMO"}}));
  for (const auto& [key, row] : Rows("")) {
    for (const char* term : {"PLAINMEMO", "検査", "12345678", "1234-5678", "1958-04-01"}) {
      EXPECT_EQ(key.find(term), std::string::npos);
      EXPECT_EQ(row.find(term), std::string::npos);
    }
  }
}

TEST_F(RecordsTest, AnUnknownHandleIsNotFound) {
  Add(Complete());
  EXPECT_TRUE(absl::IsNotFound(Unlocked(ResidentId::Generate(random_)).status()));
}

TEST_F(RecordsTest, ATenantDoesNotReachAnothersResident) {
  const ResidentId id = Add(Complete());
  EXPECT_TRUE(absl::IsNotFound(Unlocked(id, Yokohama()).status()));
}

TEST_F(RecordsTest, LookupsMatchHoweverItIsWritten) {
  const ResidentId id = Add(Complete());
  for (const char* phone : {"03-1234-5678", "０３（１２３４）５６７８", "+81 3 1234 5678"}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find({{"phone", phone}}));
    EXPECT_THAT(found, ElementsAre(id)) << phone;
  }
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"kana", "けんさたろう"}}));
  EXPECT_THAT(found, ElementsAre(id));
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"phone", "03-1234-5679"}}));
  EXPECT_THAT(found, IsEmpty());
  // The same characters in another field are another tag.
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"name", "けんさたろう"}}));
  EXPECT_THAT(found, IsEmpty());
}

TEST_F(RecordsTest, AllCriteriaMustMatch) {
  const ResidentId a = Add(Complete());
  const ResidentId b = Add(Complete({{"address_number", "A-101"}, {"birth_date", "1990-01-01"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"phone", "03-1234-5678"}}));
  EXPECT_THAT(found, UnorderedElementsAre(a, b));
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
  VAULT_ASSERT_OK_AND_ASSIGN(found,
                             Find({{"phone", "03-1234-5678"}, {"birth_date", "1990-01-01"}}));
  EXPECT_THAT(found, ElementsAre(b));
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"address_number", "a101"}, {"phone", "0312345678"}}));
  EXPECT_THAT(found, ElementsAre(b));
  VAULT_ASSERT_OK_AND_ASSIGN(found,
                             Find({{"phone", "03-1234-5678"}, {"birth_date", "1990-01-02"}}));
  EXPECT_THAT(found, IsEmpty());
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"phone", "03-1234-5678"}}, /*limit=*/1));
  EXPECT_EQ(found.size(), 1);
}

TEST_F(RecordsTest, ACriterionThatMatchesTooManyIsRefusedAmongSeveral) {
  const std::vector<FieldInput> family = Good({{"name", "多数"}});
  RowTag tag{Spec("name").number, 1,
             keys::IndexTag(Keys()->write_index(), Toshima(), Spec("name").number,
                            family[0].match_key.Expose())};
  store::Batch batch;
  for (size_t i = 0; i <= Records::kPostingsMax; ++i) {
    batch.Put(absl::StrCat(PostingPrefix(Toshima(), tag), ResidentId::Generate(random_).bytes()),
              "");
  }
  VAULT_ASSERT_OK(store_->Write(batch));
  const absl::Status status = Find({{"name", "多数"}, {"phone", "0312345678"}}).status();
  EXPECT_EQ(GetReason(status), "TOO_MANY_MATCHES");
  VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find({{"name", "多数"}}, /*limit=*/21));
  EXPECT_EQ(found.size(), 21);
}

TEST_F(RecordsTest, ADamagedPostingIsDataLoss) {
  Add(Complete());
  const auto postings = Rows("i/");
  for (const auto& [key, value] : postings) PutRow(key + "x", value);
  EXPECT_TRUE(absl::IsDataLoss(Find({{"phone", "0312345678"}}).status()));
  for (const auto& [key, value] : postings) PutRow(key, "short");
  EXPECT_TRUE(absl::IsDataLoss(Find({{"address_number", "A100"}}).status()));
}

TEST_F(RecordsTest, AnUpdateMovesItsPostingsAndLeavesTheRest) {
  const ResidentId id = Add(Complete());
  const Record before = Stored(id);
  ASSERT_TRUE(Set(id, {{"phone", "090-1234-5678"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"phone", "03-1234-5678"}}));
  EXPECT_THAT(found, IsEmpty());
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"phone", "09012345678"}}));
  EXPECT_THAT(found, ElementsAre(id));
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"name", "検査太郎"}}));
  EXPECT_THAT(found, ElementsAre(id));
  const Record after = Stored(id);
  EXPECT_EQ(after.version, 2);
  EXPECT_NE(after.etag, before.etag);
  EXPECT_EQ(after.tags.size(), before.tags.size());
  for (const SealedField& field : before.fields) {
    for (const SealedField& now : after.fields) {
      if (now.number != field.number) continue;
      EXPECT_EQ(now.sealed == field.sealed, field.number != Spec("phone").number);
    }
  }
  EXPECT_EQ(Rows("i/").size(), after.tags.size());
}

TEST_F(RecordsTest, AnEmptyValueRemovesFieldAndPosting) {
  const ResidentId id = Add(Complete());
  ASSERT_TRUE(Set(id, {{"phone", ""}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find({{"phone", "03-1234-5678"}}));
  EXPECT_THAT(found, IsEmpty());
  VAULT_ASSERT_OK_AND_ASSIGN(const ResidentView view, Open(id, {{"phone", Disclosure::kFull}}));
  EXPECT_FALSE(Field(view, "phone").present);
  ASSERT_TRUE(Set(id, {{"phone", "03-1234-5678"}}));
  EXPECT_EQ(Value(id, "phone"), "03-1234-5678");
}

TEST_F(RecordsTest, TheSameValueAgainKeepsItsPosting) {
  const ResidentId id = Add(Complete());
  const auto before = Rows("i/");
  ASSERT_TRUE(Set(id, {{"phone", "0312345678"}, {"address_number", "a 100"}}));
  EXPECT_EQ(Rows("i/"), before);
}

TEST_F(RecordsTest, AUniqueNumberIsGivenOnceAndFreedByAnUpdate) {
  const ResidentId a = Add(Complete());
  EXPECT_FALSE(Commit(records_.Create(Toshima(), *Keys(), schema(),
                                      Good(Complete({{"address_number", "a１００"}})))));
  const ResidentId b = Add(Complete({{"address_number", "B-1"}}));
  EXPECT_FALSE(Set(b, {{"address_number", "A-100"}}));
  ASSERT_TRUE(Set(a, {{"address_number", "C-1"}}));
  ASSERT_TRUE(Set(b, {{"address_number", "A-100"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find({{"address_number", "A100"}}));
  EXPECT_THAT(found, ElementsAre(b));
  // Another tenant's numbers are its own.
  Add(Complete(), Yokohama());
}

TEST_F(RecordsTest, AnUpdateOfAnOlderVersionDoesNotCommit) {
  const ResidentId id = Add(Complete());
  VAULT_ASSERT_OK_AND_ASSIGN(const UnlockedRecord seen, Unlocked(id));
  ASSERT_TRUE(Set(id, {{"memo", "first"}}));
  EXPECT_FALSE(
      Commit(records_.Update(Toshima(), *Keys(), schema(), seen, Good({{"memo", "second"}}))));
  EXPECT_EQ(Value(id, "memo"), "first");
}

TEST_F(RecordsTest, TheClassFollowsTheProtection) {
  const ResidentId id = Add(Complete());
  EXPECT_EQ(Unlocked(id)->record_class(), policy::RecordClass::kOrdinary);
  ASSERT_TRUE(Set(id, {{"protection", "dv_support"}}));
  EXPECT_EQ(Unlocked(id)->record_class(), policy::RecordClass::kProtected);
  ASSERT_TRUE(Set(id, {{"phone", "0312345679"}}));
  EXPECT_EQ(Unlocked(id)->record_class(), policy::RecordClass::kProtected);
  ASSERT_TRUE(Set(id, {{"protection", "supervisor_only"}}));
  EXPECT_EQ(Unlocked(id)->record_class(), policy::RecordClass::kSupervisorOnly);
  ASSERT_TRUE(Set(id, {{"protection", ""}}));
  EXPECT_EQ(Unlocked(id)->record_class(), policy::RecordClass::kOrdinary);
  EXPECT_EQ(Unlocked(Add(Complete({{"protection", "stalking"}, {"address_number", "P1"}})))
                ->record_class(),
            policy::RecordClass::kProtected);
}

TEST_F(RecordsTest, MasksShowWhatTheSchemaSaysAndNoMore) {
  const ResidentId id =
      Add(Complete({{"address", "東京都豊島区西池袋1-2-3"}, {"ticket_number", "0123456789"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const ResidentView view,
                             Open(id, {{"name", Disclosure::kMasked},
                                       {"phone", Disclosure::kMasked},
                                       {"address", Disclosure::kMasked},
                                       {"ticket_number", Disclosure::kMasked},
                                       {"household_number", Disclosure::kMasked},
                                       {"kana", Disclosure::kUnseen},
                                       {"birth_date", Disclosure::kFull}}));
  EXPECT_EQ(Field(view, "name").value.Expose(), "＊＊＊");
  EXPECT_EQ(Field(view, "phone").value.Expose(), "＊＊＊5678");
  EXPECT_EQ(Field(view, "address").value.Expose(), "東京都豊島区西池袋＊＊＊");
  EXPECT_EQ(Field(view, "ticket_number").value.Expose(), "＊＊＊");
  EXPECT_FALSE(Field(view, "household_number").present);
  EXPECT_TRUE(Field(view, "household_number").value.empty());
  EXPECT_TRUE(Field(view, "kana").present);
  EXPECT_TRUE(Field(view, "kana").value.empty());
  EXPECT_EQ(Field(view, "birth_date").value.Expose(), "1958-04-01");
  // Withheld: not even whether it is there.
  EXPECT_EQ(Field(view, "address_number").disclosure, Disclosure::kWithheld);
  EXPECT_FALSE(Field(view, "address_number").present);
  EXPECT_TRUE(Field(view, "address_number").value.empty());
}

TEST_F(RecordsTest, OnlyAskedFieldsAreInTheAnswer) {
  const ResidentId id = Add(Complete());
  VAULT_ASSERT_OK_AND_ASSIGN(
      const ResidentView view,
      Open(id, {{"name", Disclosure::kFull}, {"phone", Disclosure::kFull}}, {Spec("phone").index}));
  ASSERT_EQ(view.fields.size(), 1);
  EXPECT_EQ(view.fields[0].spec->id, "phone");
  EXPECT_EQ(view.etag, absl::BytesToHexString(Stored(id).etag_bytes()));
}

TEST_F(RecordsTest, AnEscalatedRecordIsNeverOpened) {
  const ResidentId id = Add(Complete());
  policy::View view = ViewOf({});
  view.escalate = true;
  VAULT_ASSERT_OK_AND_ASSIGN(const UnlockedRecord record, Unlocked(id));
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)records_.Open(Toshima(), record, schema(), view, {}), "not opened");
}

// G7: a field whose sealed bytes are broken does no harm while it is withheld, unseen or masked to
// its existence, because nobody opens it.
TEST_F(RecordsTest, OnlyWhatIsDisclosedIsDecrypted) {
  const ResidentId id = Add(Complete({{"memo", "text"}}));
  Record record = Stored(id);
  for (SealedField& field : record.fields) {
    if (field.number != Spec("name").number) field.sealed.back() ^= 1;
  }
  PutRow(RecordKey(Toshima(), id), EncodeRecord(record));
  VAULT_ASSERT_OK_AND_ASSIGN(const ResidentView view, Open(id, {{"name", Disclosure::kFull},
                                                                {"kana", Disclosure::kUnseen},
                                                                {"memo", Disclosure::kMasked}}));
  EXPECT_EQ(Field(view, "name").value.Expose(), "検査 太郎");
  EXPECT_EQ(Field(view, "memo").value.Expose(), "＊＊＊");
  EXPECT_TRUE(absl::IsDataLoss(Open(id, {{"kana", Disclosure::kFull}}).status()));
  EXPECT_TRUE(absl::IsDataLoss(Open(id, {{"phone", Disclosure::kMasked}}).status()));
}

TEST_F(RecordsTest, ARewrapTouchesTheKeyAndNothingElse) {
  const ResidentId id = Add(Complete());
  const Record before = Stored(id);
  VAULT_ASSERT_OK(keys_.keyring()->BeginKekRotation(Toshima()));
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change, records_.Rewrap(Toshima(), *Keys(), before));
  ASSERT_TRUE(Commit(change));
  const Record after = Stored(id);
  EXPECT_EQ(after.kek_version, 2);
  EXPECT_NE(after.wrapped_dek, before.wrapped_dek);
  EXPECT_EQ(RowPrefix(after), RowPrefix(before));
  ASSERT_EQ(after.fields.size(), before.fields.size());
  for (size_t i = 0; i < after.fields.size(); ++i) {
    EXPECT_EQ(after.fields[i].sealed, before.fields[i].sealed);
  }
  EXPECT_EQ(Value(id, "name"), "検査 太郎");
}

TEST_F(RecordsTest, ARewrapDoesNotUndoAnUpdateThatWasFaster) {
  const ResidentId id = Add(Complete());
  VAULT_ASSERT_OK(keys_.keyring()->BeginKekRotation(Toshima()));
  VAULT_ASSERT_OK_AND_ASSIGN(const Change rewrap, records_.Rewrap(Toshima(), *Keys(), Stored(id)));
  ASSERT_TRUE(Set(id, {{"memo", "newer"}}));
  EXPECT_FALSE(Commit(rewrap));
  EXPECT_EQ(Value(id, "memo"), "newer");
}

TEST_F(RecordsTest, AnUpdateDuringARotationMovesTheRecordToTheActiveKey) {
  const ResidentId id = Add(Complete());
  VAULT_ASSERT_OK(keys_.keyring()->BeginKekRotation(Toshima()));
  ASSERT_TRUE(Set(id, {{"memo", "newer"}}));
  EXPECT_EQ(Stored(id).kek_version, 2);
  EXPECT_EQ(Value(id, "name"), "検査 太郎");
}

TEST_F(RecordsTest, ARecordOfAKeyThatIsNotThereSaysSo) {
  const ResidentId id = Add(Complete());
  Record record = Stored(id);
  record.kek_version = 7;
  const absl::Status status = records_.Unlock(Toshima(), *Keys(), record).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(GetReason(status), "KEY_GONE");
}

// G5: whatever is moved does not open where it was put.
TEST_F(RecordsTest, ARowMovedToAnotherResidentDoesNotOpen) {
  const ResidentId a = Add(Complete());
  const ResidentId b = Add(Complete({{"address_number", "B"}}));
  PutRow(RecordKey(Toshima(), b), Rows(RecordKey(Toshima(), a)).begin()->second);
  EXPECT_TRUE(absl::IsDataLoss(Unlocked(b).status()));
}

TEST_F(RecordsTest, ARowMovedToAnotherTenantDoesNotOpen) {
  const ResidentId a = Add(Complete());
  PutRow(RecordKey(Yokohama(), a), Rows(RecordKey(Toshima(), a)).begin()->second);
  EXPECT_TRUE(absl::IsDataLoss(Unlocked(a, Yokohama()).status()));
}

TEST_F(RecordsTest, AFieldMovedToAnotherFieldOrResidentDoesNotOpen) {
  const ResidentId a = Add(Complete());
  const ResidentId b = Add(Complete({{"address_number", "B"}}));
  Record swapped = Stored(a);
  ASSERT_GE(swapped.fields.size(), 2);
  std::swap(swapped.fields[0].sealed, swapped.fields[1].sealed);  // name and kana
  PutRow(RecordKey(Toshima(), a), EncodeRecord(swapped));
  EXPECT_TRUE(absl::IsDataLoss(Open(a, {{"name", Disclosure::kFull}}).status()));

  Record moved = Stored(b);
  moved.fields[2].sealed = Stored(a).fields[2].sealed;  // the birth date
  PutRow(RecordKey(Toshima(), b), EncodeRecord(moved));
  EXPECT_TRUE(absl::IsDataLoss(Open(b, {{"birth_date", Disclosure::kFull}}).status()));
  VAULT_EXPECT_OK(Open(b, {{"name", Disclosure::kFull}}));
}

TEST_F(RecordsTest, AWrappedKeyOfAnotherVersionDoesNotOpen) {
  const ResidentId id = Add(Complete());
  Record record = Stored(id);
  record.dek_version = 2;
  EXPECT_TRUE(absl::IsDataLoss(records_.Unlock(Toshima(), *Keys(), record).status()));
  VAULT_ASSERT_OK(keys_.keyring()->BeginKekRotation(Toshima()));
  record = Stored(id);
  record.kek_version = 2;
  EXPECT_TRUE(absl::IsDataLoss(records_.Unlock(Toshima(), *Keys(), record).status()));
}

TEST_F(RecordsTest, ARowCutAtAnyLengthOrContinuedIsDataLoss) {
  const ResidentId id = Add(Complete({{"memo", "m"}}));
  const std::string row = Rows(RecordKey(Toshima(), id)).begin()->second;
  VAULT_ASSERT_OK(DecodeRecord(id, row));
  EXPECT_EQ(EncodeRecord(*DecodeRecord(id, row)), row);
  for (size_t length = 0; length < row.size(); ++length) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(id, row.substr(0, length)).status())) << length;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(id, row + "x").status()));
  std::string other = row;
  other[0] = 2;
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(id, other).status()));
  EXPECT_TRUE(absl::IsDataLoss(RowKekVersion(other).status()));
  EXPECT_TRUE(absl::IsDataLoss(RowKekVersion(row.substr(0, 40)).status()));
  EXPECT_EQ(*RowKekVersion(row), 1);
}

TEST_F(RecordsTest, FieldsOutOfOrderOrTwiceAreDataLoss) {
  const ResidentId id = Add(Complete());
  Record record = Stored(id);
  std::swap(record.fields[0], record.fields[1]);
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(id, EncodeRecord(record)).status()));
  record = Stored(id);
  record.fields[1].number = record.fields[0].number;
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(id, EncodeRecord(record)).status()));
}

// A change of any one byte of a row is an error of the read, an older etag, or a posting's tag:
// never another value.
TEST_F(RecordsTest, ARowWithAnyByteChangedGivesNoOtherValue) {
  const ResidentId id = Add(Complete());
  const std::string row = Rows(RecordKey(Toshima(), id)).begin()->second;
  std::map<std::string, Disclosure> all;
  for (const policy::FieldSpec& spec : schema().fields()) all[spec.id] = Disclosure::kFull;
  int refused = 0;
  for (size_t at = 0; at < row.size(); ++at) {
    std::string edited = row;
    edited[at] ^= 0x04;
    absl::StatusOr<Record> record = DecodeRecord(id, edited);
    absl::StatusOr<ResidentView> view = absl::DataLossError("not decoded");
    if (record.ok()) {
      absl::StatusOr<UnlockedRecord> unlocked = records_.Unlock(Toshima(), *Keys(), *record);
      view = unlocked.ok() ? records_.Open(Toshima(), *unlocked, schema(), ViewOf(all), {})
                           : absl::StatusOr<ResidentView>(unlocked.status());
    }
    if (!view.ok()) {
      ++refused;
      continue;
    }
    for (const auto& [field, value] : Complete()) {
      const FieldView& shown = Field(*view, field);
      EXPECT_TRUE(!shown.present || shown.value.Expose() == value) << at;
    }
  }
  EXPECT_GT(refused, row.size() / 2);
}

}  // namespace
}  // namespace vault::records
