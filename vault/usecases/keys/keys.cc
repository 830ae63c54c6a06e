#include "vault/usecases/keys/keys.h"

#include <utility>

#include "vault/usecases/keys/mac_rotation.h"
#include "vault/usecases/keys/rotation.h"

namespace vault::usecases {

using jobs::JobContext;
using keys::TenantKey;

Keys::Keys(KeysOptions options) : options_(options), pipeline_(*options.pipeline) {
  options_.intents->AddAct(std::string(policy::ActionName(policy::Action::kKeyCompromise)),
                           [this](const LogId& log, const tlog::EntryFields& intent) {
                             return MarkInKeyring(log, intent);
                           });
  AddJobKinds();
}

void Keys::AddJobKinds() {
  const auto add = [this](const char* name, absl::string_view key, absl::string_view unit,
                          absl::string_view step, jobs::Jobs::Body body) {
    jobs::Jobs::Kind kind;
    kind.action = "key.rotate";
    kind.key = std::string(key);
    kind.unit = std::string(unit);
    kind.step = std::string(step);
    kind.body = std::move(body);
    kind.has_rate = !step.empty();
    kind.begun_by = policy::Action::kKeyRotate;
    options_.jobs->AddKind(name, std::move(kind));
  };
  const auto tenants = [&](const char* name, absl::string_view key, TenantKey what,
                           absl::string_view step) {
    add(name, key, "residents", step,
        [this, what](JobContext& job) { return RotateTenantKeys(options_, what, job); });
  };
  tenants(inventory::kRotateKek, "kek", TenantKey::kKek, "key.rewrap");
  tenants(inventory::kRotateDek, "dek", TenantKey::kDek, "key.rekey");
  tenants(inventory::kRotateIndex, "index", TenantKey::kIndex, "key.reindex");
  add(inventory::kRotateStorage, "storage", "MiB", "key.rewrite",
      [this](JobContext& job) { return RotateStorage(options_, job); });
  add(inventory::kRotateMac, "mac", "rows", "key.reseal",
      [this](JobContext& job) { return RotateMac(options_, job); });
  add(inventory::kRotateToken, "token", "rows", "",
      [this](JobContext& job) { return RotateToken(options_, job); });
}

}  // namespace vault::usecases
