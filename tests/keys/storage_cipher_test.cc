#include "vault/keys/storage_cipher.h"

#include <algorithm>
#include <set>

#include "tests/crypto/format_page.h"
#include "tests/keys/keys_fixture.h"
#include "vault/keys/keyring_file.h"

namespace vault::keys {
namespace {

using store::FileCipher;
using vault::testing::FixedRandom;
using vault::testing::FormatExamples;
using vault::testing::LoadFormatExamples;

class StorageCipherTest : public KeysTest {
 protected:
  StorageCipherTest()
      : ring_(Keyring::Create(Path("keyring"), NewRoot(), arena_.get(), &random_, &clock_).value()),
        cipher_(NewStorageCipher(ring_.get(), &random_)) {}

  std::string Header() {
    std::string header(FileCipher::kHeaderSize, 'x');
    VAULT_CHECK(cipher_->NewHeader(header.data()).ok());
    return header;
  }
  absl::StatusCode OpenCode(absl::string_view header) {
    return cipher_->Open(header).status().code();
  }

  const std::unique_ptr<Keyring> ring_;
  const std::unique_ptr<FileCipher> cipher_;
};

TEST_F(StorageCipherTest, KeyIdIsTheOneThatAHeaderNames) {
  const std::string first = Header();
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t id, cipher_->KeyId(first));
  EXPECT_EQ(id, cipher_->WriteKeyId());
  EXPECT_EQ(id, ring_->write_storage_key_id());
  VAULT_ASSERT_OK_AND_ASSIGN(const uint32_t added,
                             ring_->AddServiceKey(ServiceKey::kStorage, /*compromised=*/false));
  EXPECT_NE(added, id);
  EXPECT_EQ(cipher_->WriteKeyId(), added);
  EXPECT_EQ(*cipher_->KeyId(Header()), added);
  EXPECT_EQ(*cipher_->KeyId(first), id);
}

TEST_F(StorageCipherTest, WhatIsNoHeaderNamesNoKey) {
  const std::string header = Header();
  EXPECT_EQ(cipher_->KeyId("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(cipher_->KeyId(header.substr(1)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(cipher_->KeyId(header + "x").status().code(), absl::StatusCode::kDataLoss);
  std::string foreign = header;
  foreign[7] ^= 1;
  EXPECT_EQ(cipher_->KeyId(foreign).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(StorageCipherTest, GivesThePagesExample) {
  FormatExamples page = LoadFormatExamples();
  const RootKey root = NewRoot("example.key");
  KeyringContents contents;
  contents.vault_id = std::string(16, 'v');
  for (KeyKind kind : {KeyKind::kStorage, KeyKind::kServiceMac, KeyKind::kToken}) {
    KeyRecord record;
    record.kind = kind;
    record.key = KeyOf(page.Key("storage.key"));
    contents.records.push_back(record);
  }
  WriteFile(Path("example"), EncodeKeyring(contents, root.key(), random_));
  VAULT_ASSERT_OK_AND_ASSIGN(auto ring,
                             Keyring::Open(Path("example"), root, arena_.get(), &random_, &clock_));
  FixedRandom nonce(page["storage.header"].substr(16, 24));
  const auto cipher = NewStorageCipher(ring.get(), &nonce);
  std::string header(FileCipher::kHeaderSize, 'x');
  VAULT_EXPECT_OK(cipher->NewHeader(header.data()));
  EXPECT_EQ(header, page["storage.header"]);
  VAULT_ASSERT_OK_AND_ASSIGN(auto stream, cipher->Open(header));
  std::string data = page["storage.plain"];
  stream->Xor(page.Number("storage.offset"), data.data(), data.size());
  EXPECT_EQ(data, page["storage.content"]);
}

TEST_F(StorageCipherTest, ReadsInOtherPiecesWhatItWrote) {
  const std::string plain = random_.Bytes(10000);
  const std::string header = Header();
  VAULT_ASSERT_OK_AND_ASSIGN(auto writer, cipher_->Open(header));
  std::string data = plain;
  for (size_t at = 0; at < data.size(); at += 777) {
    writer->Xor(at, data.data() + at, std::min<size_t>(777, data.size() - at));
  }
  EXPECT_NE(data, plain);
  VAULT_ASSERT_OK_AND_ASSIGN(auto reader, cipher_->Open(header));
  for (size_t at = 0; at < data.size(); at += 1001) {
    reader->Xor(at, data.data() + at, std::min<size_t>(1001, data.size() - at));
  }
  EXPECT_EQ(data, plain);
}

TEST_F(StorageCipherTest, EveryFileHasItsOwnKeyStream) {
  std::set<std::string> streams;
  for (int i = 0; i < 100; ++i) {
    VAULT_ASSERT_OK_AND_ASSIGN(auto stream, cipher_->Open(Header()));
    std::string zeros(64, '\0');
    stream->Xor(0, zeros.data(), zeros.size());
    streams.insert(zeros);
  }
  EXPECT_EQ(streams.size(), 100u);
}

TEST_F(StorageCipherTest, RefusesAHeaderWithAnyBitFlipped) {
  const std::string header = Header();
  for (size_t bit = 0; bit < 8 * header.size(); ++bit) {
    std::string flipped = header;
    flipped[bit / 8] ^= 1 << (bit % 8);
    const bool names_another_key = bit / 8 >= 8 && bit / 8 < 12;
    EXPECT_EQ(OpenCode(flipped), names_another_key ? absl::StatusCode::kFailedPrecondition
                                                   : absl::StatusCode::kDataLoss)
        << bit;
  }
}

TEST_F(StorageCipherTest, RefusesAHeaderOfAnotherLength) {
  const std::string header = Header();
  for (size_t size = 0; size < header.size(); ++size) {
    EXPECT_EQ(OpenCode(header.substr(0, size)), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(OpenCode(header + "x"), absl::StatusCode::kDataLoss);
}

TEST_F(StorageCipherTest, RefusesWhatIsNoHeader) {
  EXPECT_EQ(OpenCode(std::string(64, '\0')), absl::StatusCode::kDataLoss);
  EXPECT_EQ(OpenCode(random_.Bytes(64)), absl::StatusCode::kDataLoss);
}

TEST_F(StorageCipherTest, RefusesAnotherVaultsFile) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto other, Keyring::Create(Path("other"), NewRoot("other.key"),
                                                         arena_.get(), &random_, &clock_));
  const auto cipher = NewStorageCipher(other.get(), &random_);
  EXPECT_EQ(cipher->Open(Header()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(StorageCipherTest, AStreamKeepsItsKeyWhenTheKeyringGoes) {
  auto ring =
      Keyring::Create(Path("short"), NewRoot("short.key"), arena_.get(), &random_, &clock_).value();
  auto cipher = NewStorageCipher(ring.get(), &random_);
  std::string header(FileCipher::kHeaderSize, '\0');
  VAULT_EXPECT_OK(cipher->NewHeader(header.data()));
  VAULT_ASSERT_OK_AND_ASSIGN(auto stream, cipher->Open(header));
  std::string before(64, '\0'), after(64, '\0');
  stream->Xor(0, before.data(), before.size());
  cipher.reset();
  ring.reset();
  stream->Xor(0, after.data(), after.size());
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace vault::keys
