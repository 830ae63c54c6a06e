#include "vault/wiring/use_cases.h"

#include <utility>

#include "vault/base/logging.h"
#include "vault/recovery/start.h"
#include "vault/store/stoppable_store.h"

namespace vault {
namespace {

UseCasesOptions WithStore(UseCasesOptions options, store::Store* store) {
  // Without its files nothing would count as under a storage key, and one that they need could be
  // destroyed.
  VAULT_CHECK(options.files != nullptr ||
              dynamic_cast<const store::EncipheredFiles*>(options.store) == nullptr);
  options.store = store;
  return options;
}

}  // namespace

UseCases::UseCases(UseCasesOptions options)
    : stop_(options.stop),
      store_(store::NewStoppableStore(options.store, &stop_)),
      options_(WithStore(std::move(options), store_.get())),
      pipeline_({options_.store, options_.sequencer, options_.keyring, options_.policies,
                 &seat_book_, [this](const std::string& subject) { seats_.Refresh(subject); },
                 options_.clock, options_.random, options_.work, options_.count_interval, &stop_}),
      jobs_({options_.store, options_.sequencer, options_.keyring, options_.clock,
             options_.policies, &stop_}),
      intents_(options_.store, options_.sequencer, options_.keyring, options_.random),
      backup_reader_({options_.store, options_.keyring, options_.clock, options_.backups,
                      options_.keyring_copies_dir}),
      residents_({&pipeline_, options_.store, options_.sequencer, options_.keyring, options_.clock,
                  options_.random}),
      trail_({&pipeline_, options_.store, options_.sequencer, options_.checkpointer,
              options_.witnesses}),
      keys_({&pipeline_, options_.store, options_.files, options_.sequencer, options_.keyring,
             options_.clock, options_.random, &jobs_, &intents_}),
      approvals_({&pipeline_, options_.store, options_.files, options_.sequencer,
                  options_.checkpointer, options_.keyring, options_.clock, options_.random, &jobs_,
                  &backup_reader_, options_.backups, options_.keyring_copies_dir,
                  options_.root_key_file, options_.arena, &seat_book_}),
      erasure_({&pipeline_, options_.store, options_.sequencer, options_.checkpointer,
                options_.keyring, options_.clock, options_.random, &jobs_,
                options_.keyring_copies_dir}),
      backups_({&pipeline_, options_.store, options_.keyring, options_.random, &jobs_, &intents_,
                &backup_reader_, options_.backups}),
      job_control_(&pipeline_, &jobs_),
      sealing_(&pipeline_),
      seats_({&pipeline_, options_.store, options_.keyring, &seat_book_}) {}

UseCases::~UseCases() {
  stop_.Stop();
  jobs_.Stop();  // what asks for it until the calls are over is told so: not destroyed yet
  pipeline_.AwaitStop();
  if (!recorded_) return;
  const absl::Status stopped =
      pipeline_.Record(LogId::Service(), pipeline_.ServiceEntry("server.stop"));
  if (!stopped.ok()) VAULT_LOG(WARNING) << "the stop was not recorded: " << stopped.message();
}

absl::Status UseCases::Start() {
  recovery::Start start({&pipeline_, options_.store, options_.sequencer, options_.checkpointer,
                         options_.keyring, options_.random, &jobs_, &intents_,
                         options_.keyring_copies_dir});
  absl::Status started = start.Run(&recorded_);
  // Only now: a start on a restored database stops seats.
  if (started.ok()) started = seats_.Load();
  pipeline_.StartChores();
  return started;
}

}  // namespace vault
