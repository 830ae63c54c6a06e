// tlog-vectors.json, as tests want it.
#ifndef VAULT_TESTS_TLOG_VECTORS_H_
#define VAULT_TESTS_TLOG_VECTORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vault/crypto/crypto.h"
#include "vault/crypto/ed25519.h"

namespace vault::tlog {

struct Vectors {
  struct Checkpoint {
    uint64_t size = 0;
    std::string root;  // hex
    std::string checkpoint;
    uint64_t cosignature_time = 0;
    std::string cosignature_line;
  };
  struct Proof {
    uint64_t from = 0;  // entry or old size
    uint64_t size = 0;
    std::string leaf;  // hex; of an entry
    std::vector<crypto::Digest> hashes;
  };
  std::vector<Checkpoint> checkpoints;
  std::vector<Proof> inclusion, consistency;
  std::map<std::string, std::string> tiles;  // path → SHA-256, hex
  std::string origin, log_seed, log_vkey, witness_name, witness_seed, witness_vkey, proof_file;
};

// The whole file, read once; empty where it cannot be read.
const Vectors& TestVectors();
// Entry i of the vectors' log.
std::string VectorEntry(uint64_t i);
crypto::Digest VectorLeaf(uint64_t i);

std::string Hex(const crypto::Digest& digest);
crypto::Digest FromHex(absl::string_view hex);
// A seed of 32 bytes in hex.
SecretBytes<crypto::kKeySize> SeedFromHex(absl::string_view hex);

// RFC 6962 §2.1 as it is written, over [begin, end) of `leaves`, to compare with.
crypto::Digest DefinedRoot(const std::vector<crypto::Digest>& leaves, uint64_t begin, uint64_t end);

}  // namespace vault::tlog

#endif  // VAULT_TESTS_TLOG_VECTORS_H_
