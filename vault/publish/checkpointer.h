// Signs what a log has become, so that others can hold the vault to it.
//
// A thread of its own looks twice a second for logs that have grown: it proves to itself that the
// new tree begins with the one that was signed last, signs, puts the signed tree into the rollback
// anchor durably, and only then shows it. A checkpoint is never of entries that are not durable,
// and no two of one log ever contradict each other, whatever was put back in between.
//
// A log's key changes by a handover (vault/tlog/statement.h): the old key signs trees up to a size,
// the new one from there on. What a crash cuts off is finished at the next start.
#ifndef VAULT_PUBLISH_CHECKPOINTER_H_
#define VAULT_PUBLISH_CHECKPOINTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vault/audit/log_generation.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/base/mutex.h"
#include "vault/crypto/crypto.h"
#include "vault/keys/keyring.h"
#include "vault/publish/witness_feed.h"
#include "vault/store/store.h"
#include "vault/tlog/checkpoint.h"
#include "vault/tlog/note.h"
#include "vault/tlog/statement.h"

namespace vault::publish {

struct CheckpointerOptions {
  store::Store* store = nullptr;
  keys::Keyring* keyring = nullptr;
  audit::Sequencer* sequencer = nullptr;
  // Origins are `<prefix>/<tenant>` and `<prefix>/service`, with `.<n>` where a log is its name's
  // n-th (audit/log_generation.h). It never changes.
  std::string origin_prefix;
  // How often the thread looks. Default: twice a second. Zero: only when asked (tests).
  absl::Duration interval = absl::Milliseconds(500);
  // Called on the signing thread after something new was signed; must not block.
  absl::AnyInvocable<void()> on_signed = [] {};
};

// Thread-safe. Calls that may sign or write wait for the disk: never from a completion or a gRPC
// thread.
class Checkpointer : public CheckpointSource {
 public:
  // Reads the handovers and cosignatures. INVALID_ARGUMENT for a prefix that makes no origin,
  // FAILED_PRECONDITION for another one than the database was written under; DATA_LOSS where a row
  // is damaged or speaks of another origin.
  static absl::StatusOr<std::unique_ptr<Checkpointer>> Open(CheckpointerOptions options);
  ~Checkpointer() override;

  // Ends handovers that a crash cut off, each with `entry` in the log. To be called before any
  // other method.
  absl::Status Resume(const tlog::EntryFields& entry) VAULT_EXCLUDES(sign_mu_, mu_);

  std::string Origin(const LogId& log) const;
  // The newest checkpoint, signed now if the log is longer, with the cosignatures it has. NOT_FOUND
  // for a log without entries.
  absl::StatusOr<std::string> Sign(const LogId& log) VAULT_EXCLUDES(sign_mu_, mu_);
  // Of the checkpoints that witnesses cosigned, the one with the most cosignatures, and the newest
  // of these; empty where there is none. Left out are cosignatures more than an hour older than the
  // newest one of this log: witnesses that are gone must not pin it to an old size for ever.
  std::string Cosigned(const LogId& log) const VAULT_EXCLUDES(mu_);
  // Oldest first. NOT_FOUND for a log without keys.
  absl::StatusOr<std::vector<audit::LogKeyRange>> Keys(const LogId& log)
      VAULT_EXCLUDES(sign_mu_, mu_);

  // The key that takes over from version `from`: makes it, signs the handover and commits it with
  // `entry`, whose version it sets. From then on the new key signs. Whatever of that is done
  // already, it does not do again: where a later key than `from` signs, no other is made. So an
  // attempt that failed or was cut off is ended by the same call.
  absl::StatusOr<audit::LogKeyRange> ChangeKey(const LogId& log, uint32_t from, bool compromised,
                                               tlog::EntryFields entry)
      VAULT_EXCLUDES(sign_mu_, mu_);
  // A statement about the log as it is now, signed by the key that signs trees of that size.
  absl::StatusOr<std::string> SignPruned(const LogId& log, uint64_t begin, absl::Time before)
      VAULT_EXCLUDES(sign_mu_, mu_);

  // A note of this text, signed by the log's newest key. The text must begin with a title of this
  // project's, which no log has as its name (tlog::IsOrigin), so that it is never a checkpoint.
  // NOT_FOUND for a log without keys.
  absl::StatusOr<std::string> SignStatement(const LogId& log, absl::string_view text)
      VAULT_EXCLUDES(sign_mu_);

  // CheckpointSource.
  std::vector<LogId> logs() override;
  absl::StatusOr<std::string> Latest(const LogId& log) override VAULT_EXCLUDES(mu_);
  absl::StatusOr<std::vector<crypto::Digest>> Consistency(const LogId& log, uint64_t old_size,
                                                          uint64_t new_size) override;
  // Refuses a note that is no checkpoint signed by this log, or not cosigned by `witness`.
  absl::Status Keep(const LogId& log, const tlog::VerifierKey& witness,
                    std::string cosigned_note) override VAULT_EXCLUDES(sign_mu_, mu_);

 private:
  struct SignedTree {
    audit::Sequencer::Head head;
    std::string text;
    std::string line;  // the log's signature
  };

  explicit Checkpointer(CheckpointerOptions options);
  // The cosignatures, and that nothing there is of another origin.
  absl::Status ReadStatements();
  absl::Status ReadLogGenerations();
  const audit::LogGeneration& LogGenerationOf(const LogId& log) const;
  void Run();
  // Signs those of `logs` that have grown; shows them when they are pinned.
  absl::Status SignGrown(const std::vector<LogId>& logs) VAULT_REQUIRES(sign_mu_)
      VAULT_EXCLUDES(mu_);
  // Checks that the tree of `head` begins with the one that was signed last.
  absl::Status CheckGrowth(const LogId& log, const audit::Sequencer::Head& head,
                           const store::Snapshot& snapshot) VAULT_REQUIRES(sign_mu_);
  // The log's keys with their ranges, from keyring and handovers; read once a log.
  absl::StatusOr<const std::vector<audit::LogKeyRange>*> LoadKeys(const LogId& log)
      VAULT_REQUIRES(sign_mu_);
  absl::StatusOr<std::string> SignatureOf(const LogId& log, const audit::LogKeyRange& key,
                                          absl::string_view text) const;
  absl::StatusOr<std::string> MakeHandover(const LogId& log, const audit::LogKeyRange& from,
                                           const audit::LogKeyRange& to,
                                           const audit::Sequencer::Head& head, bool compromised)
      VAULT_REQUIRES(sign_mu_);
  // The second half of a key's change: the keyring has the new version, the first that was not
  // handed over to, already.
  absl::StatusOr<audit::LogKeyRange> HandOver(const LogId& log, bool compromised,
                                              tlog::EntryFields entry) VAULT_REQUIRES(sign_mu_)
      VAULT_EXCLUDES(mu_);
  // The leaf hash of entry `begin` − 1. DATA_LOSS unless it and `root`, that of the tree of
  // `begin`, follow from the tree of `head`.
  absl::StatusOr<crypto::Digest> LeafBefore(const LogId& log, uint64_t begin,
                                            const audit::Sequencer::Head& head,
                                            const crypto::Digest& root,
                                            const store::Snapshot& snapshot) const;
  // The log's signature line of a checkpoint that it signed; INVALID_ARGUMENT, NOT_FOUND or
  // DATA_LOSS where it did not.
  absl::StatusOr<std::string> OwnLine(const LogId& log, const tlog::SignedCheckpoint& checkpoint)
      VAULT_EXCLUDES(sign_mu_);
  // Where the key that signed the record of a pruned beginning has been declared compromised since,
  // the new key signs the record again: a holder of the old key could have written it.
  absl::Status RenewPruned(const LogId& log) VAULT_REQUIRES(sign_mu_) VAULT_EXCLUDES(mu_);
  std::string WithCosignatures(const LogId& log, const SignedTree& tree) const VAULT_REQUIRES(mu_);

  CheckpointerOptions options_;
  std::map<std::string, audit::LogGeneration>
      log_generations_;  // by log; as they were at the start

  Mutex sign_mu_;  // held while signing, pinning and handing over; taken before mu_
  std::map<std::string, audit::Sequencer::Head> pinned_ VAULT_GUARDED_BY(sign_mu_);  // by log
  std::map<std::string, std::vector<audit::LogKeyRange>> keys_ VAULT_GUARDED_BY(sign_mu_);

  mutable Mutex mu_;
  std::map<std::string, SignedTree> shown_ VAULT_GUARDED_BY(mu_);
  // By log, by witness's name and key id: its newest cosigned note.
  std::map<std::string, std::map<std::string, std::string>> cosigned_ VAULT_GUARDED_BY(mu_);
  CondVar wake_;
  bool stopping_ VAULT_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace vault::publish

#endif  // VAULT_PUBLISH_CHECKPOINTER_H_
