// What may be done with keys while the vault serves. Whoever calls these reads no resident (G12).
#ifndef VAULT_USECASES_KEYS_KEYS_H_
#define VAULT_USECASES_KEYS_KEYS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "vault/audit/sequencer.h"
#include "vault/base/clock.h"
#include "vault/base/random.h"
#include "vault/inventory/key_kinds.h"
#include "vault/jobs/intents.h"
#include "vault/jobs/jobs.h"
#include "vault/keys/keyring.h"
#include "vault/pipeline/pipeline.h"
#include "vault/pipeline/steps.h"
#include "vault/row/v1/rows.pb.h"
#include "vault/store/files.h"
#include "vault/store/store.h"

namespace vault::usecases {

using inventory::KeyKind;

struct KeyStatusResult {
  struct Version {
    KeyKind kind;
    uint32_t version;
    keys::KeyState state;
    absl::Time created;
    absl::Time destroyed;            // InfinitePast: not
    absl::optional<uint64_t> under;  // residents, postings or files, counted by a scan
  };
  std::vector<Version> versions;
  std::vector<KeyKind> pending;
  bool offboarded = false;
};
struct RotateRequest {
  std::string log;  // a tenant's code, or "service"
  KeyKind kind = KeyKind::kKek;
  bool dry_run = false;
  absl::optional<uint32_t> rows_per_second;  // none: inventory::kRowsPerSecond
};
struct CompromisedResult {
  uint64_t under = 0;
  std::vector<row::v1::JobRow> jobs;
};

struct KeysOptions {
  pipeline::Pipeline* pipeline = nullptr;
  store::Store* store = nullptr;
  store::EncipheredFiles* files = nullptr;  // null: the store has none
  audit::Sequencer* sequencer = nullptr;
  keys::Keyring* keyring = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  jobs::Jobs* jobs = nullptr;
  jobs::Intents* intents = nullptr;
};

// Thread-safe. Everything in the options must outlive it. It adds the kinds of its jobs.
class Keys {
 public:
  explicit Keys(KeysOptions options);

  void Status(const pipeline::Caller& caller, std::string log,
              pipeline::Reply<KeyStatusResult> reply);
  void Rotate(const pipeline::Caller& caller, RotateRequest request,
              pipeline::Reply<row::v1::JobRow> reply);
  // The rotations that follow go as fast as they can unless they are given a rate.
  void MarkCompromised(const pipeline::Caller& caller, std::string log, KeyKind kind,
                       uint32_t version, pipeline::Reply<CompromisedResult> reply,
                       absl::optional<uint32_t> rows_per_second = absl::nullopt);
  // An entry at the open, and one before each part that says how many handles it brings. `part`
  // gets handles in hex, at most 1,000 at a time, on the long lane; false stops.
  using HandlesFn = absl::AnyInvocable<bool(std::vector<std::string> handles)>;
  void ListUnder(const pipeline::Caller& caller, std::string log, KeyKind kind, uint32_t version,
                 HandlesFn part, pipeline::Reply<bool> reply);

 private:
  absl::StatusOr<KeyStatusResult> TenantStatus(const TenantId& tenant) const;
  absl::StatusOr<KeyStatusResult> ServiceStatus() const;
  // How much is under one version: residents, postings or files.
  absl::StatusOr<uint64_t> CountUnder(const pipeline::Call& call, KeyKind kind,
                                      uint32_t version) const;
  // NOT_FOUND where there is no such version.
  absl::StatusOr<keys::KeyInfo> FindKey(const pipeline::Call& call, KeyKind kind,
                                        uint32_t version) const;
  // The job that rotates these keys, with what is known of it now.
  absl::StatusOr<row::v1::JobRow> RotationJob(const pipeline::Call& call, KeyKind kind,
                                              bool dry_run, bool compromised,
                                              absl::optional<uint32_t> rows_per_second) const;
  // An allowed MarkCompromised: the result, and the intent that its completion goes on with.
  struct Marked {
    CompromisedResult result;
    std::string intent;
  };
  pipeline::Outcome<Marked> PrepareCompromised(const pipeline::Call& call, KeyKind kind,
                                               uint32_t version, uint32_t rows_per_second) const;
  // Which keys are rotated once this version is in other hands. ABORTED, reason CONFLICT, while a
  // rotation runs that this one cannot go beside.
  absl::StatusOr<std::vector<KeyKind>> RotatedAfter(const pipeline::Call& call, KeyKind kind,
                                                    const keys::KeyInfo& key, uint64_t under) const;
  absl::Status MarkInKeyring(const LogId& log, const tlog::EntryFields& intent) const;
  absl::StatusOr<bool> ListParts(pipeline::Steps<bool>& steps, KeyKind kind, uint32_t version,
                                 HandlesFn& part) const;
  void AddJobKinds();

  const KeysOptions options_;
  pipeline::Pipeline& pipeline_;
};

// Whether keys of this kind can be rotated and stand in this log: INVALID_ARGUMENT.
absl::Status CheckKeyKind(absl::string_view log, KeyKind kind);

}  // namespace vault::usecases

#endif  // VAULT_USECASES_KEYS_KEYS_H_
