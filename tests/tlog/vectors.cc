#include "tests/tlog/vectors.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "vault/base/logging.h"
#include "vault/tlog/merkle.h"

namespace vault::tlog {
namespace {

using google::protobuf::Struct;

const std::string& Text(const Struct& object, const std::string& name) {
  return object.fields().at(name).string_value();
}

uint64_t Number(const Struct& object, const std::string& name) {
  return static_cast<uint64_t>(object.fields().at(name).number_value());
}

Vectors::Proof ReadProof(const Struct& object, const std::string& from, const std::string& size) {
  Vectors::Proof proof;
  proof.from = Number(object, from);
  proof.size = Number(object, size);
  if (object.fields().contains("Leaf")) proof.leaf = Text(object, "Leaf");
  for (const auto& hash : object.fields().at("Proof").list_value().values()) {
    proof.hashes.push_back(FromHex(hash.string_value()));
  }
  return proof;
}

Vectors Read() {
  std::ifstream file(VAULT_SOURCE_DIR "/tests/tlog/tlog-vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  Struct whole;
  Vectors vectors;
  if (!google::protobuf::util::JsonStringToMessage(text.str(), &whole).ok()) return vectors;
  for (const auto& value : whole.fields().at("checkpoints").list_value().values()) {
    const Struct& object = value.struct_value();
    vectors.checkpoints.push_back({Number(object, "size"), Text(object, "root_hex"),
                                   Text(object, "checkpoint"), Number(object, "cosig_time"),
                                   Text(object, "cosig_line")});
  }
  for (const auto& value : whole.fields().at("inclusion").list_value().values()) {
    vectors.inclusion.push_back(ReadProof(value.struct_value(), "Index", "Size"));
  }
  for (const auto& value : whole.fields().at("consistency").list_value().values()) {
    vectors.consistency.push_back(ReadProof(value.struct_value(), "Old", "New"));
  }
  for (const auto& [path, hash] : whole.fields().at("tiles").struct_value().fields()) {
    vectors.tiles[path] = hash.string_value();
  }
  vectors.origin = Text(whole, "origin");
  vectors.log_seed = Text(whole, "log_seed_hex");
  vectors.log_vkey = Text(whole, "log_vkey");
  vectors.witness_name = Text(whole, "witness_name");
  vectors.witness_seed = Text(whole, "witness_seed_hex");
  vectors.witness_vkey = Text(whole, "witness_vkey");
  vectors.proof_file = Text(whole, "tlog_proof_300_of_513");
  return vectors;
}

// Every test of this binary may sign.
class StartCrypto : public ::testing::Environment {
  void SetUp() override { crypto::Init(); }
};
const ::testing::Environment* const kStartCrypto =
    ::testing::AddGlobalTestEnvironment(new StartCrypto);

}  // namespace

const Vectors& TestVectors() {
  static const Vectors* const vectors = new Vectors(Read());
  return *vectors;
}

std::string VectorEntry(uint64_t i) { return absl::StrCat("{\"seq\":", i, "}"); }

crypto::Digest VectorLeaf(uint64_t i) { return LeafHash(VectorEntry(i)); }

std::string Hex(const crypto::Digest& digest) {
  return absl::BytesToHexString(crypto::AsView(digest));
}

crypto::Digest FromHex(absl::string_view hex) {
  const std::string bytes = absl::HexStringToBytes(hex);
  crypto::Digest digest = {};
  VAULT_CHECK(bytes.size() == digest.size());
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

SecretBytes<crypto::kKeySize> SeedFromHex(absl::string_view hex) {
  const crypto::Digest bytes = FromHex(hex);
  SecretBytes<crypto::kKeySize> seed;
  std::copy(bytes.begin(), bytes.end(), seed.mutable_data());
  return seed;
}

crypto::Digest DefinedRoot(const std::vector<crypto::Digest>& leaves, uint64_t begin,
                           uint64_t end) {
  if (end == begin) return crypto::Sha256({});
  if (end - begin == 1) return leaves[begin];
  uint64_t split = 1;
  while (split * 2 < end - begin) split *= 2;
  return NodeHash(DefinedRoot(leaves, begin, begin + split),
                  DefinedRoot(leaves, begin + split, end));
}

}  // namespace vault::tlog
