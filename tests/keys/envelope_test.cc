#include "vault/keys/envelope.h"

#include <cstring>
#include <functional>
#include <set>
#include <vector>

#include "tests/crypto/format_page.h"
#include "tests/keys/keys_fixture.h"

namespace vault::keys {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using vault::testing::FixedRandom;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;

constexpr uint32_t kField = 7;

class EnvelopeTest : public KeysTest {
 protected:
  EnvelopeTest() : kek_(Kek(3, KeyOf(0x33))), dek_(NewDek(2, random_)) {
    place_.tenant = Tenant("131164");
    place_.resident = ResidentId::Generate(random_);
    place_.programme = "vaccination";
    place_.dek_version = 4;
  }

  // `place_` with one thing changed that fields are bound to.
  std::vector<DekPlace> OtherPlaces() {
    std::vector<DekPlace> places(5, place_);
    places[0].tenant = Tenant("141003");
    places[1].resident = ResidentId::Generate(random_);
    places[2].dek_version = 3;
    places[3].dek_version = 5;
    places[4].dek_version = 4 + (1u << 24);
    return places;
  }
  static Dek Copy(const Dek& dek) {
    Dek copy;
    std::memcpy(copy.key.mutable_data(), dek.key.Expose(), crypto::kKeySize);
    copy.record_class = dek.record_class;
    return copy;
  }
  absl::StatusCode UnwrapCode(absl::string_view wrapped) {
    return UnwrapDek(wrapped, place_, kek_).status().code();
  }
  absl::StatusCode OpenCode(absl::string_view sealed) {
    return OpenField(dek_, place_, kField, sealed).status().code();
  }

  const KekVersion kek_;
  const Dek dek_;
  DekPlace place_;
};

TEST_F(EnvelopeTest, GivesThePagesExamples) {
  FormatExamples page = LoadFormatExamples();
  const KekVersion kek =
      Kek(static_cast<uint32_t>(page.Number("dek.kek_version")), KeyOf(page.Key("dek.kek")));
  DekPlace place;
  place.tenant = Tenant(page["dek.tenant"]);
  place.resident = ResidentId::FromBytes(page["dek.resident"]).value();
  const std::string programme = page["dek.programme"];
  place.programme = programme;
  place.dek_version = static_cast<uint32_t>(page.Number("dek.version"));
  Dek dek;
  std::memcpy(dek.key.mutable_data(), page.Key("dek.key"), crypto::kKeySize);
  dek.record_class = static_cast<uint8_t>(page.Number("dek.class"));

  FixedRandom dek_nonce(page["dek.nonce"]);
  EXPECT_EQ(WrapDek(dek, place, kek, dek_nonce), page["dek.wrapped"]);
  FixedRandom field_nonce(page["field.nonce"]);
  const uint32_t number = static_cast<uint32_t>(page.Number("field.number"));
  EXPECT_EQ(SealField(dek, place, number, page["field.value"], field_nonce), page["field.sealed"]);
  const IndexGeneration generation =
      Index(static_cast<uint32_t>(page.Number("tag.generation")), KeyOf(page.Key("tag.key")));
  EXPECT_EQ(
      IndexTag(generation, place.tenant, programme, static_cast<uint8_t>(page.Number("tag.class")),
               page.Number("tag.field_number"), page["tag.canonical"]),
      page["tag.result"]);
}

TEST_F(EnvelopeTest, UnwrapsWhatItWrapped) {
  const std::string wrapped = WrapDek(dek_, place_, kek_, random_);
  EXPECT_EQ(wrapped.size(), kWrappedDekSize);
  VAULT_ASSERT_OK_AND_ASSIGN(const Dek opened, UnwrapDek(wrapped, place_, kek_));
  EXPECT_EQ(std::memcmp(opened.key.Expose(), dek_.key.Expose(), crypto::kKeySize), 0);
  EXPECT_EQ(opened.record_class, 2);
}

TEST_F(EnvelopeTest, NewDeksDiffer) {
  EXPECT_NE(std::memcmp(NewDek(1, random_).key.Expose(), NewDek(1, random_).key.Expose(),
                        crypto::kKeySize),
            0);
}

TEST_F(EnvelopeTest, ADekMovedToAnotherPlaceDoesNotOpen) {
  const std::string wrapped = WrapDek(dek_, place_, kek_, random_);
  for (const DekPlace& other : OtherPlaces()) {
    EXPECT_EQ(UnwrapDek(wrapped, other, kek_).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(EnvelopeTest, ADekDoesNotOpenUnderAnotherKekVersionOrKek) {
  const std::string wrapped = WrapDek(dek_, place_, kek_, random_);
  EXPECT_EQ(UnwrapDek(wrapped, place_, Kek(4, kek_.key)).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(UnwrapDek(wrapped, place_, Kek(3, KeyOf(0x34))).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, ADamagedDekDoesNotOpen) {
  const std::string wrapped = WrapDek(dek_, place_, kek_, random_);
  for (size_t size = 0; size < wrapped.size(); ++size) {
    EXPECT_EQ(UnwrapCode(wrapped.substr(0, size)), absl::StatusCode::kDataLoss) << size;
  }
  for (size_t bit = 0; bit < 8 * wrapped.size(); ++bit) {
    std::string flipped = wrapped;
    flipped[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(UnwrapCode(flipped), absl::StatusCode::kDataLoss) << bit;
  }
  EXPECT_EQ(UnwrapCode(wrapped + "x"), absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, SomethingElseSealedUnderTheKekIsNoDek) {
  const std::string sealed = crypto::Seal(crypto::AeadKey(kek_.key->Expose()), std::string(33, 'x'),
                                          "another purpose", random_);
  EXPECT_EQ(UnwrapCode(sealed), absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, OpensTheFieldItSealed) {
  for (absl::string_view value : {"", "x", "架空花子"}) {
    const std::string sealed = SealField(dek_, place_, kField, value, random_);
    VAULT_ASSERT_OK_AND_ASSIGN(const SecretString opened, OpenField(dek_, place_, kField, sealed));
    EXPECT_EQ(opened.Expose(), value);
  }
}

TEST_F(EnvelopeTest, AFieldMovedToAnotherPlaceDoesNotOpen) {
  const std::string sealed = SealField(dek_, place_, kField, "value", random_);
  for (const DekPlace& other : OtherPlaces()) {
    EXPECT_EQ(OpenField(dek_, other, kField, sealed).status().code(), absl::StatusCode::kDataLoss);
  }
  for (uint32_t other : {0u, 6u, 8u, 7u + (1u << 8)}) {
    EXPECT_EQ(OpenField(dek_, place_, other, sealed).status().code(), absl::StatusCode::kDataLoss);
  }
}

// Field 4 under DEK version 7 is not field 7 under DEK version 4.
TEST_F(EnvelopeTest, AFieldsNumberAndDekVersionDoNotChangePlaces) {
  const std::string sealed = SealField(dek_, place_, 7, "value", random_);
  DekPlace other = place_;
  other.dek_version = 7;
  EXPECT_EQ(OpenField(dek_, other, 4, sealed).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, AFieldDoesNotOpenUnderAnotherResidentsDek) {
  const std::string sealed = SealField(dek_, place_, kField, "value", random_);
  EXPECT_EQ(OpenField(NewDek(2, random_), place_, kField, sealed).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, AFieldSurvivesAKekRotation) {
  const std::string sealed = SealField(dek_, place_, kField, "value", random_);
  const KekVersion next = Kek(4, KeyOf(0x44));
  const std::string rewrapped = WrapDek(dek_, place_, next, random_);
  VAULT_ASSERT_OK_AND_ASSIGN(const Dek dek, UnwrapDek(rewrapped, place_, next));
  VAULT_ASSERT_OK_AND_ASSIGN(const SecretString opened, OpenField(dek, place_, kField, sealed));
  EXPECT_EQ(opened.Expose(), "value");
}

TEST_F(EnvelopeTest, ADamagedFieldDoesNotOpen) {
  const std::string sealed = SealField(dek_, place_, kField, "some value", random_);
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_EQ(OpenCode(sealed.substr(0, size)), absl::StatusCode::kDataLoss) << size;
  }
  for (size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    std::string flipped = sealed;
    flipped[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(OpenCode(flipped), absl::StatusCode::kDataLoss) << bit;
  }
  EXPECT_EQ(OpenCode(sealed + "x"), absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, AWrappedDekIsNoFieldAndAFieldNoDek) {
  const KekVersion as_kek = Kek(3, KeyOf(dek_.key.Expose()));
  const std::string wrapped = WrapDek(dek_, place_, as_kek, random_);
  EXPECT_EQ(OpenCode(wrapped), absl::StatusCode::kDataLoss);
  const std::string field = SealField(dek_, place_, kField, std::string(33, 'x'), random_);
  EXPECT_EQ(UnwrapDek(field, place_, as_kek).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EnvelopeTest, AWrappedDekIsOfOneProgramme) {
  const std::string wrapped = WrapDek(dek_, place_, kek_, random_);
  for (const char* programme : {"", "vaccinatio", "vaccination2", "health_observation"}) {
    DekPlace other = place_;
    other.programme = programme;
    EXPECT_EQ(UnwrapDek(wrapped, other, kek_).status().code(), absl::StatusCode::kDataLoss)
        << programme;
  }
}

TEST_F(EnvelopeTest, ErrorsNameNoValue) {
  const std::string sealed = SealField(dek_, place_, kField, "value", random_);
  DekPlace other = place_;
  other.resident = ResidentId::Generate(random_);
  const absl::Status status = OpenField(dek_, other, kField, sealed).status();
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("value")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(other.resident.ToHex())));
}

TEST_F(EnvelopeTest, AnIndexTagDependsOnEverythingThatItNames) {
  const IndexGeneration generation = Index(1, KeyOf(0x51));
  const TenantId tenant = Tenant("131164");
  const std::set<std::string> tags = {
      IndexTag(generation, tenant, "p", 0, 5, "canonical"),
      IndexTag(Index(2, generation.key), tenant, "p", 0, 5, "canonical"),
      IndexTag(Index(1, KeyOf(0x52)), tenant, "p", 0, 5, "canonical"),
      IndexTag(generation, Tenant("141003"), "p", 0, 5, "canonical"),
      IndexTag(generation, tenant, "q", 0, 5, "canonical"),
      IndexTag(generation, tenant, "", 0, 5, "canonical"),
      IndexTag(generation, tenant, "p", 0, 6, "canonical"),
      IndexTag(generation, tenant, "p", 1, 5, "canonical"),
      IndexTag(generation, tenant, "p", 2, 5, "canonical"),
      IndexTag(generation, tenant, "p", 0, 5, "canonica"),
      IndexTag(generation, tenant, "p", 0, 5, ""),
  };
  EXPECT_EQ(tags.size(), 11u);
  EXPECT_EQ(tags.count(IndexTag(generation, tenant, "p", 0, 5, "canonical")), 1u);
  for (const std::string& tag : tags) EXPECT_EQ(tag.size(), kIndexTagSize);
}

}  // namespace
}  // namespace vault::keys
