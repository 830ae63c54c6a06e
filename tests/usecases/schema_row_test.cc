// A start whose schema contradicts what is stored is refused; one that only adds to it is not.
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_replace.h"
#include "tests/usecases/usecases_fixture.h"
#include "vault/recovery/schema_row.h"

namespace vault::usecases {
namespace {

class SchemaRowTest : public UsecasesTest {
 protected:
  // What is looked at in the end is a vault that runs, under the schema that its rows are of.
  void TearDown() override {
    if (vault().use_cases() != nullptr) return;
    vault().EditSchema(stored_under_);
    VAULT_ASSERT_OK(vault().Start());
  }
  // The lines of one field, from its id to the end.
  static void EditField(std::string* schema, const std::string& id, const std::string& from,
                        const std::string& to) {
    const size_t begin = schema->find("id: \"" + id + "\""), end = schema->find('}', begin);
    VAULT_CHECK(begin != std::string::npos);
    std::string field = schema->substr(begin, end - begin);
    VAULT_CHECK(absl::StrReplaceAll({{from, to}}, &field) == 1) << from;
    schema->replace(begin, end - begin, field);
  }
  static std::function<void(std::string*)> Field(const std::string& id, const std::string& from,
                                                 const std::string& to) {
    return [=](std::string* schema) { EditField(schema, id, from, to); };
  }
  // Of a stopped vault.
  absl::Status StartWith(std::function<void(std::string*)> edit) {
    vault().EditSchema(std::move(edit));
    const absl::Status started = vault().Start();
    vault().Stop();
    return started;
  }
  void ExpectRefused(std::function<void(std::string*)> edit, const std::string& difference) {
    const auto before = Everything();
    const absl::Status started = StartWith(std::move(edit));
    EXPECT_EQ(started.code(), absl::StatusCode::kFailedPrecondition) << started;
    EXPECT_THAT(std::string(started.message()), HasSubstr(difference));
    EXPECT_THAT(std::string(started.message()), HasSubstr("a number of its own"));
    EXPECT_EQ(Everything(), before) << "a start that is refused writes nothing";
  }
  // In memory it is there while the vault is stopped.
  std::map<std::string, std::string> Everything() {
    std::map<std::string, std::string> rows;
    VAULT_CHECK(vault()
                    .base()
                    ->Scan("", "",
                           [&](absl::string_view key, absl::string_view value) {
                             rows[std::string(key)] = std::string(value);
                             return true;
                           })
                    .ok());
    return rows;
  }
  const std::function<void(std::string*)> as_shipped_ = [](std::string*) {};
  std::function<void(std::string*)> stored_under_ = as_shipped_;
};

TEST_F(SchemaRowTest, AUniqueFieldThatIsNotUniqueAnyMoreIsRefused) {
  const std::string id = vault().Add(1);
  vault().Stop();
  ExpectRefused(Field("address_number", "unique: true", ""),
                "field 9 (address_number) was unique and is not any more");
  // With the schema that is right all is as it was, and an erasure leaves no posting.
  VAULT_ASSERT_OK(StartWith(as_shipped_));
  VAULT_ASSERT_OK(vault().Start());
  Awaited<CertificateResult> answer;
  vault().use_cases()->erasure().Erase(TestVault::Info("officer-toshima"),
                                       {"131164", id, {"erasure", "C-1001", ""}, ""},
                                       answer.Callback());
  VAULT_ASSERT_OK(answer.Wait().status());
  EXPECT_THAT(vault().Rows("i/"), IsEmpty());
}

TEST_F(SchemaRowTest, EachContradictionIsSpelledOut) {
  vault().Add(1);
  vault().Stop();
  ExpectRefused(Field("phone", "searchable: true", "searchable: true\n  unique: true"),
                "field 5 (phone) was not unique and is.");
  ExpectRefused(Field("sex", "max_bytes", "searchable: true\n  max_bytes"),
                "field 4 (sex) was not searchable and is.");
  ExpectRefused(Field("email", "FIELD_TYPE_EMAIL", "FIELD_TYPE_OPAQUE_NUMBER"),
                "field 6 (email) was EMAIL and is OPAQUE_NUMBER.");
  // Two at once, both.
  ExpectRefused(
      [](std::string* schema) {
        EditField(schema, "sex", "max_bytes", "searchable: true\n  max_bytes");
        EditField(schema, "email", "FIELD_TYPE_EMAIL", "FIELD_TYPE_OPAQUE_NUMBER");
      },
      "field 4 (sex) was not searchable and is; field 6 (email) was EMAIL and is OPAQUE_NUMBER.");
  VAULT_ASSERT_OK(StartWith(as_shipped_));
}

TEST_F(SchemaRowTest, AFieldThatIsNotSearchedByAnyMoreIsRefused) {
  TestVaultOptions options;
  stored_under_ = Field("sex", "max_bytes", "searchable: true\n  max_bytes");
  options.edit_schema = stored_under_;
  Restart(options);
  vault().Add(1);
  vault().Stop();
  ExpectRefused(as_shipped_, "field 4 (sex) was searchable and is not any more.");
}

TEST_F(SchemaRowTest, WhatShapesNothingThatIsStoredPasses) {
  vault().Add(1);
  vault().Stop();
  VAULT_EXPECT_OK(StartWith(Field("phone", "max_bytes: 64", "max_bytes: 60")));
  VAULT_EXPECT_OK(StartWith(Field("phone", "MASK_LAST_4", "MASK_ALL")));
  const auto added = [](std::string* schema) {
    schema->append(
        "\nfields { id: \"shelter\" number: 40 type: FIELD_TYPE_FREE_TEXT max_bytes: 60\n"
        "  mask: MASK_ALL label_ja: \"避難所\" label_en: \"shelter\" }\n");
  };
  VAULT_EXPECT_OK(StartWith(added));
  // It is remembered from the first start on that had it, and after it has gone.
  VAULT_EXPECT_OK(StartWith(as_shipped_));
  ExpectRefused(
      [&](std::string* schema) {
        added(schema);
        EditField(schema, "shelter", "FIELD_TYPE_FREE_TEXT", "FIELD_TYPE_PHONE");
      },
      "field 40 (shelter) was FREE_TEXT and is PHONE");
}

TEST_F(SchemaRowTest, WithoutAResidentThereIsNothingToContradict) {
  vault().Stop();
  const auto changed = Field("address_number", "unique: true", "");
  stored_under_ = changed;
  VAULT_ASSERT_OK(StartWith(changed));
  VAULT_ASSERT_OK(vault().Start());
  vault().Add(1);
  vault().Stop();
  ExpectRefused(as_shipped_, "field 9 (address_number) was not unique and is");
  VAULT_EXPECT_OK(StartWith(changed));
}

TEST_F(SchemaRowTest, ADatabaseWithoutTheRowGetsItAndAnEditedOneIsDataLoss) {
  vault().Add(1);
  vault().Stop();
  const std::string key(kSchemaKey);
  const std::string good = Everything().at(key);
  store::Batch without;
  without.Delete(key);
  VAULT_ASSERT_OK(vault().base()->Write(without));
  VAULT_EXPECT_OK(StartWith(as_shipped_));
  EXPECT_EQ(Everything().at(key), good);
  for (size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] ^= 1;
    store::Batch batch;
    batch.Put(key, bad);
    VAULT_ASSERT_OK(vault().base()->Write(batch));
    EXPECT_EQ(StartWith(as_shipped_).code(), absl::StatusCode::kDataLoss) << at;
  }
  store::Batch back;
  back.Put(key, good);
  VAULT_ASSERT_OK(vault().base()->Write(back));
}

}  // namespace
}  // namespace vault::usecases
