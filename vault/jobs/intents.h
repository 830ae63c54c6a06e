// Acts on something outside the store (a file, the keyring) that a call does at once: an entry of
// intent, the act, an entry of completion. Long work that does the same is a job (jobs.h).
//
//   std::string id = intents.Intend(&prepared.submission);   // its first entry is the intent
//   … the submission is committed …
//   absl::Status done = intents.Complete(log, id);           // the act, and the entry of its end
//
// Both entries carry the id as `job`; the second one has ".end" behind the action, and the outcome.
// Between the two entries there is the row
//
//   o/<log>/<id>   nothing but the intent's place: a sealed row (crypto/sealed_row.h) tied to it
//
// written with the intent and removed with the completion. The entry of intent says what is to be
// done. Where a crash left an intent alone the next start does the act again, so an act must be one
// that may be done twice. A row that was put back, or whose intent is gone with a part of its log,
// is dropped with a warning and nothing is done.
#ifndef VAULT_JOBS_INTENTS_H_
#define VAULT_JOBS_INTENTS_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vault/audit/sequencer.h"
#include "vault/base/ids.h"
#include "vault/base/random.h"
#include "vault/keys/keyring.h"
#include "vault/store/store.h"

namespace vault::jobs {

// Thread-safe; all that is given must outlive it.
class Intents {
 public:
  // Does what the intent's entry says.
  using Act = std::function<absl::Status(const LogId& log, const tlog::EntryFields& intent)>;

  Intents(const store::Store* store, audit::Sequencer* sequencer, const keys::Keyring* keyring,
          Random* random);
  // By the intent's action. Before anything is intended or taken up.
  void AddAct(const std::string& action, Act act);

  // The submission's first entry is an intent from now on. Gives its id.
  std::string Intend(audit::Submission* submission) const;
  // Acts, and writes the completion: the act's status is the entry's outcome, and the answer. An
  // error of another kind: the completion could not be written, and the next start acts once more.
  // Never from a completion of the sequencer's.
  absl::Status Complete(const LogId& log, const std::string& id) const;
  // Completes what a crash left. Once, at the start, before anybody is served.
  absl::Status Resume() const;

 private:
  struct Open {
    uint64_t seq = 0;
    std::string row;
    tlog::EntryFields intent;
  };
  // DATA_LOSS where the row does not open, or the entry that it names is no intent of that id.
  absl::StatusOr<Open> Read(const LogId& log, const std::string& id) const;
  // Whether an entry behind the intent says how it ended.
  absl::StatusOr<bool> HasEnded(const LogId& log, const std::string& id, const Open& open) const;
  absl::Status ActAndEnd(const LogId& log, const std::string& id, Open open) const;
  absl::Status Drop(const LogId& log, const std::string& id) const;

  const store::Store* const store_;
  audit::Sequencer* const sequencer_;
  const keys::Keyring* const keyring_;
  Random* const random_;
  std::map<std::string, Act> acts_;
};

}  // namespace vault::jobs

#endif  // VAULT_JOBS_INTENTS_H_
