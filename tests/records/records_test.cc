// Sealed residents: round trips, what is opened and what stays shut, what moved does not open,
// postings.
#include "vault/records/records.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/records/records_fixture.h"

namespace vault::records {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
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

TEST_F(RecordsTest, SeveralAreReadInTheOrderOfTheirHandlesAndOneThatIsDamagedAlone) {
  const ResidentId a = Add(Complete({{"address_number", "A-1"}}));
  const ResidentId b = Add(Complete({{"address_number", "A-2"}}));
  const ResidentId bad = Add(Complete({{"address_number", "A-3"}}));
  const ResidentId gone = ResidentId::Generate(random_);
  PutRow(RecordKey(Toshima(), bad), "x");
  const auto snapshot = store_->TakeSnapshot().value();
  const std::vector<ResidentId> ids = {b, gone, bad, a, b};
  const std::vector<absl::StatusOr<Record>> read = records_.ReadAll(*snapshot, Toshima(), ids);
  ASSERT_EQ(read.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(read[i].status(), records_.Read(*snapshot, Toshima(), ids[i]).status()) << i;
    if (read[i].ok()) EXPECT_EQ(read[i]->id, ids[i]);
  }
  EXPECT_TRUE(read[0].ok() && read[3].ok() && read[4].ok());
  EXPECT_TRUE(absl::IsNotFound(read[1].status()));
  EXPECT_TRUE(absl::IsDataLoss(read[2].status()));
  EXPECT_THAT(records_.ReadAll(*snapshot, Toshima(), {}), IsEmpty());
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
  EXPECT_FALSE(Commit(records_.Create(
      Toshima(), *Keys(), schema(), Good(Complete({{"address_number", "a１００"}})), kProgramme)));
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
      Commit(*records_.Update(Toshima(), *Keys(), schema(), seen, Good({{"memo", "second"}}))));
  EXPECT_EQ(Value(id, "memo"), "first");
}

// Each class has postings of its own: a search goes over one, and nothing of another is in its way.
TEST_F(RecordsTest, ASearchOfOneClassSeesNothingOfAnother) {
  constexpr policy::RecordClass kClasses[] = {policy::RecordClass::kOrdinary,
                                              policy::RecordClass::kSupervisorOnly,
                                              policy::RecordClass::kProtected};
  const ResidentId ids[] = {
      Add(Complete()),
      Add(Complete({{"address_number", "B-1"}, {"protection", "supervisor_only"}})),
      Add(Complete({{"address_number", "C-1"}, {"protection", "dv_support"}}))};
  for (int of = 0; of < policy::kRecordClasses; ++of) {
    for (const Values& criteria : {Values{{"phone", "03-1234-5678"}},
                                   Values{{"name", "検査太郎"}, {"kana", "けんさたろう"}}}) {
      VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find(criteria, 100, kClasses[of]));
      EXPECT_THAT(found, ElementsAre(ids[of]));
    }
    const char* const numbers[] = {"A-100", "B-1", "C-1"};
    for (int other = 0; other < policy::kRecordClasses; ++other) {
      VAULT_ASSERT_OK_AND_ASSIGN(const auto found,
                                 Find({{"address_number", numbers[other]}}, 100, kClasses[of]));
      EXPECT_EQ(found.size(), of == other ? 1 : 0);
    }
  }
  // Whoever reads the deciphered database sees in no posting of which class it is.
  std::map<size_t, size_t> sizes;
  for (const auto& [key, value] : Rows("i/")) ++sizes[key.size() + value.size()];
  EXPECT_EQ(sizes.size(), 1);
}

TEST_F(RecordsTest, AChangeOfClassMovesEveryPostingInTheSameWrite) {
  const ResidentId id = Add(Complete({{"email", "taro@example.com"}}));
  const ResidentId other = Add(Complete({{"address_number", "B-1"}}));
  const auto before = Rows("i/");
  ASSERT_TRUE(Set(id, {{"protection", "dv_support"}}));
  EXPECT_EQ(Rows("i/").size(), before.size());
  const Record record = Stored(id);
  EXPECT_EQ(record.tags.size(), 6);
  for (const RowTag& tag : record.tags) {
    EXPECT_EQ(Rows(PostingPrefix(Toshima(), tag)).size(), 1) << tag.field_number;
  }
  for (const auto& [field, value] : Complete({{"email", "taro@example.com"}})) {
    VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{field, value}}));
    EXPECT_THAT(found, Not(::testing::Contains(id))) << field;
    VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{field, value}}, 100, policy::RecordClass::kProtected));
    EXPECT_THAT(found, ElementsAre(id)) << field;
  }
  // From one class to the next with a number of its own that changes, while an index rotation is
  // under way; and back, as if nothing had been.
  Rotate(keys::TenantKey::kIndex);
  ASSERT_TRUE(Set(id, {{"protection", "supervisor_only"}, {"address_number", "C-1"}}));
  for (const RowTag& tag : Stored(id).tags) EXPECT_EQ(tag.generation, 2);
  EXPECT_EQ(Rows(GenerationPrefix(Toshima(), 2)).size(), 6);
  VAULT_ASSERT_OK_AND_ASSIGN(
      auto found, Find({{"address_number", "C1"}}, 100, policy::RecordClass::kSupervisorOnly));
  EXPECT_THAT(found, ElementsAre(id));
  ASSERT_TRUE(Set(id, {{"protection", ""}, {"address_number", "A-100"}}));
  for (const ResidentId& each : {id, other}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const Change change,
                               records_.Reindex(Toshima(), *Keys(), schema(), Stored(each)));
    ASSERT_TRUE(Commit(change));
  }
  EXPECT_EQ(Rows("i/").size(), before.size());
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"phone", "0312345678"}}));
  EXPECT_THAT(found, UnorderedElementsAre(id, other));
}

TEST_F(RecordsTest, AUniqueNumberIsGivenOnceAcrossTheClasses) {
  const char* const kProtections[] = {"", "supervisor_only", "dv_support"};
  int added = 0;
  for (const char* had : kProtections) {
    const std::string number = absl::StrCat("N", ++added);
    const ResidentId holder = Add(Complete({{"address_number", number}, {"protection", had}}));
    for (const char* wants : kProtections) {
      EXPECT_FALSE(Commit(records_.Create(
          Toshima(), *Keys(), schema(),
          Good(Complete({{"address_number", number}, {"protection", wants}})), kProgramme)));
      const ResidentId other =
          Add(Complete({{"address_number", absl::StrCat("O", ++added)}, {"protection", wants}}));
      EXPECT_FALSE(Set(other, {{"address_number", number}}));
      EXPECT_FALSE(Set(other, {{"address_number", number}, {"protection", had}}));
      // Its own number does not keep the holder from another class.
      EXPECT_TRUE(Set(holder, {{"protection", wants}}));
      EXPECT_FALSE(Set(other, {{"address_number", number}}));
      EXPECT_TRUE(Set(holder, {{"protection", had}, {"address_number", number}}));
    }
  }
}

// What cannot be opened cannot be given new tags: the class does not change over half of them.
TEST_F(RecordsTest, AChangeOfClassOverADamagedFieldIsDataLoss) {
  const ResidentId id = Add(Complete());
  Record record = Stored(id);
  record.fields[1].sealed[80] ^= 1;
  PutRow(RecordKey(Toshima(), id), EncodeRecord(record));
  const UnlockedRecord seen = Unlocked(id).value();
  const auto update = [&](const Values& values) {
    return records_.Update(Toshima(), *Keys(), schema(), seen, Good(values)).status();
  };
  EXPECT_TRUE(absl::IsDataLoss(update({{"protection", "dv_support"}})));
  VAULT_EXPECT_OK(update({{"memo", "another field"}}));
  VAULT_EXPECT_OK(update({{"kana", "ケンサ"}, {"protection", "dv_support"}}));
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

// Of what was entered nothing is shown for where it stands: a telephone's extension, an address
// that is none, another tenant's towns.
TEST_F(RecordsTest, MasksShowWhatWasRecognisedAndNotWhatStandsAtAnEnd) {
  const struct {
    const char* field;
    const char* value;
    const char* shown;
  } kCases[] = {
      {"phone", "03-1234-5678 内線4321", "＊＊＊5678"},
      {"phone", "03-1234-5678 ext. 12", "＊＊＊5678"},
      {"phone", "０９０－１２３４－５６７８", "＊＊＊5678"},
      {"phone", "\u202a03-1234-5678\u202c", "＊＊＊5678"},
      {"address", "東京都豊島区西池袋一ー二ー三 コーポ検査101", "東京都豊島区西池袋＊＊＊"},
      {"address", "豊島区西池袋検査様方", "豊島区西池袋＊＊＊"},
      {"address", "神奈川県横浜市中区本町1", "神奈川県横浜市中区＊＊＊"},
      {"address", "1-1-1 Nishi-Ikebukuro, Toshima-ku, Tokyo", "＊＊＊"},
      {"address", "ハイツ検査１０１", "＊＊＊"},
  };
  int number = 0;
  for (const auto& c : kCases) {
    const ResidentId id =
        Add(Complete({{c.field, c.value}, {"address_number", absl::StrCat("M", ++number)}}));
    VAULT_ASSERT_OK_AND_ASSIGN(const ResidentView view, Open(id, {{c.field, Disclosure::kMasked}}));
    EXPECT_EQ(Field(view, c.field).value.Expose(), c.shown) << c.value;
    VAULT_ASSERT_OK_AND_ASSIGN(const ResidentView whole, Open(id, {{c.field, Disclosure::kFull}}));
    EXPECT_EQ(Field(whole, c.field).value.Expose(), c.value);
  }
}

// The last four are those of the canonical form, whatever type has that mask; a value that is of
// its type no more shows nothing.
TEST_F(RecordsTest, TheLastFourAreOfTheCanonicalFormOfEachType) {
  const struct {
    policy::v1::FieldType type;
    const char* value;
    const char* form;  // null: none
  } kCases[] = {
      {policy::v1::FIELD_TYPE_PHONE, "03-1234-5678 内線99", "+81312345678"},
      {policy::v1::FIELD_TYPE_PHONE, "内線99 03-1234-5678", nullptr},
      {policy::v1::FIELD_TYPE_OPAQUE_NUMBER, "ａｂ－１２ ３４", "AB1234"},
      {policy::v1::FIELD_TYPE_OPAQUE_NUMBER, "12345678 (世帯主)", nullptr},
      {policy::v1::FIELD_TYPE_TICKET, "００１２３４－５６７８\u200b", "0012345678"},
      {policy::v1::FIELD_TYPE_TICKET, "0012345678 2回目", nullptr},
      {policy::v1::FIELD_TYPE_FREE_TEXT, "12345678", ""},
      {policy::v1::FIELD_TYPE_ADDRESS, "東京都豊島区西池袋1-2345", ""},
  };
  for (const auto& c : kCases) {
    policy::FieldSpec spec = Spec("phone");
    spec.type = c.type;
    const absl::StatusOr<SecretString> form = StoredForm(spec, c.value);
    ASSERT_EQ(form.ok(), c.form != nullptr) << c.value;
    if (form.ok()) EXPECT_EQ(form->Expose(), c.form) << c.value;
  }
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
  EXPECT_DEATH((void)records_.Open(Toshima(), record, *policy_, view, {}), "not opened");
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
  Rotate(keys::TenantKey::kKek);
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change,
                             records_.Rewrap(Toshima(), *Keys(), id, EncodeRecord(before)));
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
  Rotate(keys::TenantKey::kKek);
  VAULT_ASSERT_OK_AND_ASSIGN(const Change rewrap,
                             records_.Rewrap(Toshima(), *Keys(), id, EncodeRecord(Stored(id))));
  ASSERT_TRUE(Set(id, {{"memo", "newer"}}));
  EXPECT_FALSE(Commit(rewrap));
  EXPECT_EQ(Value(id, "memo"), "newer");
}

TEST_F(RecordsTest, AnUpdateDuringARotationMovesTheRecordToTheActiveKey) {
  const ResidentId id = Add(Complete());
  Rotate(keys::TenantKey::kKek);
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

TEST_F(RecordsTest, ANewRecordSaysWhatItWasWrittenUnder) {
  Rotate(keys::TenantKey::kKek);
  Rotate(keys::TenantKey::kIndex);
  Rotate(keys::TenantKey::kIndex);
  const uint32_t dek = Rotate(keys::TenantKey::kDek);
  const Change change = records_.Create(Toshima(), *Keys(), schema(), Good(Complete()), kProgramme);
  EXPECT_EQ(change.kek_written, 2);
  EXPECT_EQ(change.index_written, 3);
  EXPECT_EQ(change.dek_written, dek);
  EXPECT_TRUE(change.row_before.empty());
  ASSERT_TRUE(Commit(change));
  EXPECT_EQ(Stored(change.id).dek_version, dek);
  VAULT_ASSERT_OK_AND_ASSIGN(const UnlockedRecord seen, Unlocked(change.id));
  const auto update = [&](const Values& values) {
    return records_.Update(Toshima(), *Keys(), schema(), seen, Good(values)).value();
  };
  const Change memo = update({{"memo", "no index"}});
  EXPECT_EQ(memo.kek_written, 2);
  EXPECT_EQ(memo.index_written, 0);
  EXPECT_EQ(memo.dek_written, 0);
  EXPECT_EQ(memo.row_before, Row(change.id));
  EXPECT_EQ(update({{"phone", ""}}).index_written, 0);
  EXPECT_EQ(update({{"phone", "0312345679"}}).index_written, 3);
}

// A rotation changes a row and neither version nor etag: a change made before it would undo it.
TEST_F(RecordsTest, AnUpdateDoesNotUndoARotationThatWasFaster) {
  const ResidentId id = Add(Complete());
  VAULT_ASSERT_OK_AND_ASSIGN(const UnlockedRecord seen, Unlocked(id));
  const auto update = [&] {
    return records_.Update(Toshima(), *Keys(), schema(), seen, Good({{"memo", "late"}})).value();
  };
  const Change before_rekey = update();
  Rotate(keys::TenantKey::kDek);
  VAULT_ASSERT_OK_AND_ASSIGN(Change change, records_.Rekey(Toshima(), *Keys(), Stored(id)));
  ASSERT_TRUE(Commit(change));
  EXPECT_EQ(RowPrefix(Stored(id)), RowPrefix(seen.record));
  EXPECT_FALSE(Commit(before_rekey));
  EXPECT_FALSE(Commit(update()));
  EXPECT_FALSE(Commit(records_.Erase(Toshima(), seen.record)));
  EXPECT_EQ(Value(id, "name"), "検査 太郎");
}

TEST_F(RecordsTest, ARekeySealsEveryFieldAnewAndChangesNoValue) {
  const Values values = Complete({{"memo", "m"}, {"protection", "stalking"}});
  const ResidentId id = Add(values);
  const Record before = Stored(id);
  const auto postings = Rows("i/");
  Rotate(keys::TenantKey::kKek);
  const uint32_t generation = Rotate(keys::TenantKey::kDek);
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change, records_.Rekey(Toshima(), *Keys(), before));
  EXPECT_EQ(change.kek_written, 2);
  EXPECT_EQ(change.dek_written, generation);
  EXPECT_EQ(change.index_written, 0);
  ASSERT_TRUE(Commit(change));
  const Record after = Stored(id);
  EXPECT_EQ(after.dek_version, generation);
  EXPECT_EQ(after.kek_version, 2);
  EXPECT_EQ(RowPrefix(after), RowPrefix(before));
  EXPECT_EQ(Rows("i/"), postings);
  ASSERT_EQ(after.fields.size(), before.fields.size());
  for (size_t i = 0; i < after.fields.size(); ++i) {
    EXPECT_NE(after.fields[i].sealed, before.fields[i].sealed);
  }
  for (const auto& [field, value] : values) EXPECT_EQ(Value(id, field), value);
  EXPECT_EQ(Unlocked(id)->record_class(), policy::RecordClass::kProtected);
}

// Wycheproof's manner: of what was there before and what is there now, nothing fits the other.
TEST_F(RecordsTest, NothingOfARowFitsTheSameRowAfterARekey) {
  const ResidentId id = Add(Complete());
  const Record before = Stored(id);
  Rotate(keys::TenantKey::kDek);
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change, records_.Rekey(Toshima(), *Keys(), before));
  ASSERT_TRUE(Commit(change));
  const Record after = Stored(id);
  const auto opens = [&](Record record, size_t field) {
    absl::StatusOr<UnlockedRecord> unlocked =
        records_.Unlock(Toshima(), *Keys(), std::move(record));
    if (!unlocked.ok()) return unlocked.status();
    const std::string name = schema().FindNumber(before.fields[field].number)->id;
    return records_.Open(Toshima(), *unlocked, *policy_, ViewOf({{name, Disclosure::kFull}}), {})
        .status();
  };
  const auto dek_of = [&](const Record& record) {
    return records_.Unlock(Toshima(), *Keys(), record).value().dek;
  };
  const keys::Dek old_dek = dek_of(before), new_dek = dek_of(after);
  for (size_t i = 0; i < before.fields.size(); ++i) {
    // Not even in the new place.
    const keys::DekPlace place{Toshima(), id, after.programme, after.dek_version};
    const SealedField& field = after.fields[i];
    VAULT_EXPECT_OK(keys::OpenField(new_dek, place, field.number, field.sealed));
    EXPECT_FALSE(keys::OpenField(old_dek, place, field.number, field.sealed).ok());
    VAULT_EXPECT_OK(opens(before, i));
    VAULT_EXPECT_OK(opens(after, i));
    Record mixed = after;
    mixed.fields[i].sealed = before.fields[i].sealed;
    EXPECT_TRUE(absl::IsDataLoss(opens(mixed, i))) << i;
    mixed = before;
    mixed.fields[i].sealed = after.fields[i].sealed;
    EXPECT_TRUE(absl::IsDataLoss(opens(mixed, i))) << i;
    mixed = after;
    mixed.wrapped_dek = before.wrapped_dek;
    EXPECT_TRUE(absl::IsDataLoss(opens(mixed, i))) << i;
    // The old DEK in its own place opens none of the new fields.
    mixed.dek_version = before.dek_version;
    EXPECT_TRUE(absl::IsDataLoss(opens(mixed, i))) << i;
    mixed = after;
    mixed.dek_version = before.dek_version;
    EXPECT_TRUE(absl::IsDataLoss(opens(mixed, i))) << i;
  }
}

TEST_F(RecordsTest, ARekeyOrReindexOfADamagedRowChangesNothing) {
  const ResidentId id = Add(Complete());
  Rotate(keys::TenantKey::kDek);
  Rotate(keys::TenantKey::kIndex);
  const Record good = Stored(id);
  const auto rekey = [&](const Record& r) { return records_.Rekey(Toshima(), *Keys(), r); };
  const auto reindex = [&](const Record& r) {
    return records_.Reindex(Toshima(), *Keys(), schema(), r);
  };
  VAULT_EXPECT_OK(rekey(good));
  VAULT_EXPECT_OK(reindex(good));
  for (size_t i = 0; i < good.fields.size(); ++i) {
    Record bad = good;
    bad.fields[i].sealed.back() ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(rekey(bad).status())) << i;
    EXPECT_TRUE(absl::IsDataLoss(reindex(bad).status())) << i;
    bad = good;
    bad.fields[i].sealed.resize(40);
    EXPECT_TRUE(absl::IsDataLoss(rekey(bad).status())) << i;
    EXPECT_TRUE(absl::IsDataLoss(reindex(bad).status())) << i;
  }
  std::vector<Record> others(5, good);
  others[0].id = ResidentId::Generate(random_);
  others[1].dek_version = 2;
  others[2].wrapped_dek[50] ^= 1;
  others[3].wrapped_dek = std::string(keys::kWrappedDekSize, '\0');
  std::swap(others[4].fields[0].sealed, others[4].fields[1].sealed);
  for (const Record& bad : others) {
    EXPECT_TRUE(absl::IsDataLoss(rekey(bad).status()));
    EXPECT_TRUE(absl::IsDataLoss(reindex(bad).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(records_.Rekey(Yokohama(), *Keys(Yokohama()), good).status()));
  EXPECT_TRUE(absl::IsDataLoss(records_.Rekey(Yokohama(), *Keys(), good).status()));
  EXPECT_TRUE(
      absl::IsDataLoss(records_.Reindex(Yokohama(), *Keys(Yokohama()), schema(), good).status()));
  Record gone = good;
  gone.kek_version = 9;
  EXPECT_EQ(GetReason(rekey(gone).status()), "KEY_GONE");
  EXPECT_EQ(GetReason(reindex(gone).status()), "KEY_GONE");
}

TEST_F(RecordsTest, AReindexMovesEveryTagAndPostingAndNothingElse) {
  const ResidentId id = Add(Complete());
  const ResidentId other = Add(Complete({{"address_number", "B-1"}}));
  const Record before = Stored(id);
  EXPECT_EQ(*RowOtherGeneration(Row(id), 1), 0);
  Rotate(keys::TenantKey::kIndex);
  EXPECT_EQ(*RowOtherGeneration(Row(id), 2), 1);
  EXPECT_EQ(Rows(GenerationPrefix(Toshima(), 1)).size(), 10);
  VAULT_ASSERT_OK_AND_ASSIGN(Change change, records_.Reindex(Toshima(), *Keys(), schema(), before));
  EXPECT_EQ(change.index_written, 2);
  EXPECT_EQ(change.kek_written, 0);
  EXPECT_EQ(change.dek_written, 0);
  ASSERT_TRUE(Commit(change));
  const Record after = Stored(id);
  EXPECT_EQ(RowPrefix(after), RowPrefix(before));
  EXPECT_EQ(after.wrapped_dek, before.wrapped_dek);
  ASSERT_EQ(after.tags.size(), before.tags.size());
  for (const RowTag& tag : after.tags) EXPECT_EQ(tag.generation, 2);
  EXPECT_EQ(*RowOtherGeneration(Row(id), 2), 0);
  EXPECT_EQ(*RowOtherGeneration(Row(id), 1), 2);
  EXPECT_EQ(Rows(GenerationPrefix(Toshima(), 1)).size(), 5);
  EXPECT_EQ(Rows(GenerationPrefix(Toshima(), 2)).size(), 5);
  // While it lasts both generations are read.
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"phone", "03-1234-5678"}}));
  EXPECT_THAT(found, UnorderedElementsAre(id, other));
  VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{"name", "検査太郎"}, {"address_number", "B1"}}));
  EXPECT_THAT(found, ElementsAre(other));
  VAULT_ASSERT_OK_AND_ASSIGN(change, records_.Reindex(Toshima(), *Keys(), schema(), Stored(other)));
  ASSERT_TRUE(Commit(change));
  EXPECT_THAT(Rows(GenerationPrefix(Toshima(), 1)), IsEmpty());
  VAULT_ASSERT_OK(keys_.keyring()->EndRotation(Toshima(), keys::TenantKey::kIndex));
  for (const auto& [field, value] : Complete()) {
    if (field == "address_number") continue;
    VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{field, value}}));
    EXPECT_THAT(found, UnorderedElementsAre(id, other)) << field;
  }
}

TEST_F(RecordsTest, AReindexDoneTwiceIsDoneOnce) {
  const ResidentId id = Add(Complete());
  Rotate(keys::TenantKey::kIndex);
  for (int i = 0; i < 2; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(const Change change,
                               records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)));
    ASSERT_TRUE(Commit(change));
  }
  const auto rows = Rows("");
  VAULT_ASSERT_OK_AND_ASSIGN(const Change again,
                             records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)));
  ASSERT_TRUE(Commit(again));
  EXPECT_EQ(Rows(""), rows);
}

TEST_F(RecordsTest, AReindexDoesNotTakeAUniqueNumberFromAnother) {
  const ResidentId id = Add(Complete());
  Rotate(keys::TenantKey::kIndex);
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change,
                             records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)));
  ASSERT_EQ(change.absent.size(), 1);
  PutRow(change.absent[0], std::string(ResidentId::Generate(random_).bytes()));
  EXPECT_FALSE(Commit(change));
}

TEST_F(RecordsTest, AReindexDoesNotUndoAnUpdateThatWasFaster) {
  const ResidentId id = Add(Complete());
  Rotate(keys::TenantKey::kIndex);
  VAULT_ASSERT_OK_AND_ASSIGN(const Change reindex,
                             records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)));
  ASSERT_TRUE(Set(id, {{"phone", "090-1234-5678"}}));
  EXPECT_FALSE(Commit(reindex));
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"phone", "0312345678"}}));
  EXPECT_THAT(found, IsEmpty());
}

TEST_F(RecordsTest, AnUpdateBetweenTwoGenerationsMovesTheTouchedFieldsAlone) {
  const ResidentId id = Add(Complete());
  Rotate(keys::TenantKey::kIndex);
  ASSERT_TRUE(Set(id, {{"phone", "090-1234-5678"}, {"address_number", "a100"}}));
  const uint32_t phone = Spec("phone").number, number = Spec("address_number").number;
  for (const RowTag& tag : Stored(id).tags) {
    EXPECT_EQ(tag.generation, tag.field_number == phone || tag.field_number == number ? 2 : 1);
  }
  EXPECT_EQ(Rows("i/").size(), 5);
  for (const char* was : {"0312345678"}) {
    VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find({{"phone", was}}));
    EXPECT_THAT(found, IsEmpty());
  }
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"phone", "09012345678"}, {"name", "検査太郎"}}));
  EXPECT_THAT(found, ElementsAre(id));
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change,
                             records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)));
  EXPECT_THAT(change.absent, IsEmpty()) << "its own number is no one else's";
  ASSERT_TRUE(Commit(change));
  EXPECT_THAT(Rows(GenerationPrefix(Toshima(), 1)), IsEmpty());
  EXPECT_EQ(Rows("i/").size(), 5);
}

TEST_F(RecordsTest, AUniqueNumberIsGivenOnceAcrossTwoGenerations) {
  const ResidentId old = Add(Complete());
  Rotate(keys::TenantKey::kIndex);
  const ResidentId young = Add(Complete({{"address_number", "B-1"}}));
  const auto taken = [&](const char* number) {
    return !Commit(records_.Create(Toshima(), *Keys(), schema(),
                                   Good(Complete({{"address_number", number}})), kProgramme));
  };
  EXPECT_TRUE(taken("A-100"));
  EXPECT_TRUE(taken("B-1"));
  EXPECT_FALSE(Set(young, {{"address_number", "A-100"}}));
  EXPECT_FALSE(Set(old, {{"address_number", "B-1"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(const Change change,
                             records_.Reindex(Toshima(), *Keys(), schema(), Stored(old)));
  ASSERT_TRUE(Commit(change));
  EXPECT_TRUE(taken("A-100"));
  ASSERT_TRUE(Set(old, {{"address_number", "C-1"}}));
  EXPECT_FALSE(taken("A-100"));
}

TEST_F(RecordsTest, AnErasureLeavesNoRowOfThatResidentAndEveryRowOfOthers) {
  const ResidentId other = Add(Complete({{"address_number", "B-1"}}));
  const auto rest = Rows("");
  const ResidentId id = Add(Complete({{"memo", "text"}, {"ticket_number", "0123456789"}}));
  Rotate(keys::TenantKey::kIndex);
  ASSERT_TRUE(Set(id, {{"phone", "090-1234-5678"}, {"email", "taro@example.com"}}));
  const Record record = Stored(id);
  const Change change = records_.Erase(Toshima(), record);
  EXPECT_EQ(change.version, 2);
  EXPECT_EQ(change.row_before, Row(id));
  EXPECT_EQ(change.kek_written + change.index_written + change.dek_written, 0);
  ASSERT_TRUE(Commit(change));
  EXPECT_EQ(Rows(""), rest);
  for (const auto& [key, value] : Rows("")) {
    EXPECT_THAT(key, Not(HasSubstr(std::string(id.bytes()))));
    EXPECT_THAT(value, Not(HasSubstr(std::string(id.bytes()))));
    for (const RowTag& tag : record.tags) {
      if (tag.field_number == Spec("phone").number) EXPECT_EQ(key.find(tag.tag), std::string::npos);
    }
  }
  EXPECT_TRUE(absl::IsNotFound(Unlocked(id).status()));
  VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{"kana", "けんさたろう"}}));
  EXPECT_THAT(found, ElementsAre(other));
  // Its number is free again.
  Add(Complete());
}

TEST_F(RecordsTest, WhatNobodyCanOpenCanBeErased) {
  const ResidentId id = Add(Complete());
  Record record = Stored(id);
  record.kek_version = 7;
  for (SealedField& field : record.fields) field.sealed.clear();
  PutRow(RecordKey(Toshima(), id), EncodeRecord(record));
  ASSERT_TRUE(Commit(records_.Erase(Toshima(), Stored(id))));
  EXPECT_THAT(Rows(""), IsEmpty());
}

TEST_F(RecordsTest, AnErasureDoesNotCommitOverAnUpdateThatWasFaster) {
  const ResidentId id = Add(Complete());
  const Change change = records_.Erase(Toshima(), Stored(id));
  ASSERT_TRUE(Set(id, {{"phone", "090-1234-5678"}}));
  EXPECT_FALSE(Commit(change));
  VAULT_ASSERT_OK_AND_ASSIGN(const auto found, Find({{"phone", "09012345678"}}));
  EXPECT_THAT(found, ElementsAre(id));
}

// A field that was dropped from the schema: its postings go whichever form they are of.
TEST_F(RecordsTest, PostingsOfAFieldThatTheSchemaHasNoMoreAreErasedToo) {
  const ResidentId id = Add(Complete());
  Record record = Stored(id);
  for (const uint32_t number : {60u, 61u}) {
    const RowTag tag{number, 1, std::string(keys::kIndexTagSize, 't'), number == 60};
    record.tags.push_back(tag);
    PutRow(PostingKey(Toshima(), tag, id), PostingValue(tag, id));
  }
  PutRow(RecordKey(Toshima(), id), EncodeRecord(record));
  ASSERT_TRUE(Commit(records_.Erase(Toshima(), record)));
  EXPECT_THAT(Rows(""), IsEmpty());
}

// The row of a resident as it was stored while `field` was unique, or was not: the schema says the
// other now.
TEST_F(RecordsTest, PostingsOfEitherFormAreFoundUpdatedReindexedAndErased) {
  for (const char* field : {"address_number", "phone"}) {
    SCOPED_TRACE(field);
    const policy::FieldSpec& spec = Spec(field);
    const auto store_in_other_form = [&](const ResidentId& id) {
      Record record = Stored(id);
      for (RowTag& tag : record.tags) {
        if (tag.field_number != spec.number) continue;
        DeleteRow(PostingKey(Toshima(), tag, id));
        tag.unique = !tag.unique;
        PutRow(PostingKey(Toshima(), tag, id), PostingValue(tag, id));
      }
      PutRow(RecordKey(Toshima(), id), EncodeRecord(record));
    };
    const Values values = Complete();
    const std::string value = std::find_if(values.begin(), values.end(), [&](const auto& of) {
                                return of.first == field;
                              })->second;
    const auto rest = Rows("");
    ResidentId id = Add(values);
    store_in_other_form(id);
    VAULT_ASSERT_OK_AND_ASSIGN(auto found, Find({{field, value}}));
    EXPECT_THAT(found, ElementsAre(id));
    // Changed to another value and back: nothing of the old form stays.
    ASSERT_TRUE(Set(id, {{field, spec.unique ? "B-7" : "090-9999-0000"}}));
    VAULT_ASSERT_OK_AND_ASSIGN(found, Find({{field, value}}));
    EXPECT_THAT(found, IsEmpty());
    ASSERT_TRUE(Set(id, {{field, value}}));
    store_in_other_form(id);
    Rotate(keys::TenantKey::kIndex);
    ASSERT_TRUE(Commit(records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)).value()));
    EXPECT_EQ(Rows("i/").size(), Stored(id).tags.size());
    for (const RowTag& tag : Stored(id).tags) {
      EXPECT_EQ(tag.unique, schema().FindNumber(tag.field_number)->unique);
    }
    store_in_other_form(id);
    ASSERT_TRUE(Commit(records_.Erase(Toshima(), Stored(id))));
    EXPECT_EQ(Rows(""), rest);
  }
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
  Rotate(keys::TenantKey::kKek);
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
  other[0] = 1;
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(id, other).status()));
  EXPECT_TRUE(absl::IsDataLoss(ReadRowKeys(other).status()));
  EXPECT_TRUE(absl::IsDataLoss(RowOtherGeneration(other, 1).status()));
  VAULT_ASSERT_OK_AND_ASSIGN(const RowKeys keys, ReadRowKeys(row));
  EXPECT_EQ(keys.kek_version, 1);
  EXPECT_EQ(keys.dek_version, 1);
  for (size_t length = 0; length < row.size(); ++length) {
    EXPECT_TRUE(absl::IsDataLoss(RowOtherGeneration(row.substr(0, length), 1).status())) << length;
    EXPECT_EQ(ReadRowKeys(row.substr(0, length)).ok(),
              length > 1 + 8 + 16 + 8 + 105 + 1 + sizeof(kProgramme) - 1)
        << length;
  }
}

TEST_F(RecordsTest, ARowKeepsItsProgrammeThroughEveryChange) {
  const ResidentId id = Add(Complete());
  EXPECT_EQ(Stored(id).programme, "vaccination");
  ASSERT_TRUE(Set(id, {{"memo", "newer"}}));
  VAULT_ASSERT_OK_AND_ASSIGN(Change change,
                             records_.Rewrap(Toshima(), *Keys(), id, EncodeRecord(Stored(id))));
  ASSERT_TRUE(Commit(change));
  VAULT_ASSERT_OK_AND_ASSIGN(change, records_.Rekey(Toshima(), *Keys(), Stored(id)));
  ASSERT_TRUE(Commit(change));
  VAULT_ASSERT_OK_AND_ASSIGN(change, records_.Reindex(Toshima(), *Keys(), schema(), Stored(id)));
  ASSERT_TRUE(Commit(change));
  EXPECT_EQ(Stored(id).programme, "vaccination");
}

TEST_F(RecordsTest, ARowHasOneProgrammeOfOneToThirtyTwoBytes) {
  const Record record = Stored(Add(Complete()));
  const std::string row = EncodeRecord(record);
  const size_t at = 1 + 8 + kEtagSize + 4 + 4 + keys::kWrappedDekSize;
  const std::string before = row.substr(0, at), after = row.substr(at + sizeof(kProgramme));
  ASSERT_EQ(row, before + "\x0bvaccination" + after);
  EXPECT_EQ(RowProgramme(row), kProgramme);
  const std::string longest = std::string("\x20") + std::string(32, 'p');
  VAULT_EXPECT_OK(DecodeRecord(record.id, before + longest + after));
  const std::string too_long = std::string("\x21") + std::string(33, 'p');
  for (const std::string& other : {std::string(1, '\0'), too_long, std::string("\x0avaccination"),
                                   std::string("\x0cvaccination"), std::string()}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(record.id, before + other + after).status()));
  }
}

TEST_F(RecordsTest, ARowMovedToAnotherProgrammeDoesNotOpen) {
  Record record = Stored(Add(Complete()));
  VAULT_EXPECT_OK(records_.Unlock(Toshima(), *Keys(), record));
  for (const char* other : {"health_observation", "vaccinatio", "vaccination2"}) {
    record.programme = other;
    EXPECT_TRUE(absl::IsDataLoss(records_.Unlock(Toshima(), *Keys(), record).status())) << other;
    EXPECT_TRUE(absl::IsDataLoss(
        records_.Rewrap(Toshima(), *Keys(), record.id, EncodeRecord(record)).status()));
  }
}

TEST_F(RecordsTest, ProgrammesHaveNothingInCommon) {
  const ResidentId here = Add(Complete());
  // The same person with the same number: in another programme it is nobody's.
  const ResidentId there = Add(Complete(), Toshima(), "health_observation");
  const auto tags = [&](const ResidentId& id) {
    std::set<std::string> all;
    for (const RowTag& tag : Stored(id).tags) all.insert(tag.tag);
    return all;
  };
  std::vector<std::string> shared;
  const std::set<std::string> a = tags(here), b = tags(there);
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(shared));
  EXPECT_FALSE(a.empty());
  EXPECT_TRUE(shared.empty());
  const auto snapshot = store_->TakeSnapshot().value();
  const std::vector<FieldInput> phone = Good({{"phone", "03-1234-5678"}});
  const auto found = [&](const std::vector<std::string>& programmes) {
    ReadBudget budget;
    const std::vector<const FieldInput*> criteria = {&phone[0]};
    return records_
        .Find(*snapshot, Toshima(), *Keys(), programmes, policy::RecordClass::kOrdinary, criteria,
              10, &budget)
        .value();
  };
  EXPECT_EQ(found({"vaccination"}), std::vector<ResidentId>{here});
  EXPECT_EQ(found({"health_observation"}), std::vector<ResidentId>{there});
  EXPECT_EQ(found({"grants"}), std::vector<ResidentId>{});
  std::vector<ResidentId> both = {here, there};
  std::sort(both.begin(), both.end());
  EXPECT_EQ(found({"vaccination", "health_observation"}), both);
  // Within its programme the number is taken, after an update as well.
  const Change again = records_.Create(Toshima(), *Keys(), schema(), Good(Complete()), kProgramme);
  EXPECT_FALSE(Commit(again));
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
      view = unlocked.ok() ? records_.Open(Toshima(), *unlocked, *policy_, ViewOf(all), {})
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
