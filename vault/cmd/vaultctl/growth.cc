#include "vault/cmd/vaultctl/growth.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"
#include "vault/tlog/proof.h"
#include "vault/v1/audit_service.grpc.pb.h"

namespace vault::ctl {

int CheckGrowth(Session& session, const std::string& log, const tlog::Checkpoint& old,
                const tlog::Checkpoint& now, absl::string_view also) {
  VAULT_CHECK(now.origin == old.origin);
  if (now.size < old.size) {
    return session.Failed(absl::DataLossError(absl::StrCat("the vault's log has ", now.size,
                                                           " entries, the one that is here had ",
                                                           old.size, ": entries are gone")),
                          also);
  }
  ::vault::v1::ProveConsistencyRequest request;
  request.set_log_id(log);
  request.set_old_size(old.size);
  request.set_new_size(now.size);
  ::vault::v1::ProveConsistencyResponse response;
  const int code = session.Ask(&::vault::v1::AuditService::Stub::ProveConsistency, request,
                               &response, {Wait::kShort, [&](const grpc::Status&) -> Hints {
                                             return {"", std::string(also)};
                                           }});
  if (code != kDone) return code;
  std::vector<crypto::Digest> proof;
  bool good = response.new_size() == now.size;
  for (const std::string& bytes : response.hashes()) {
    crypto::Digest hash = {};
    good &= bytes.size() == hash.size();
    std::copy_n(bytes.begin(), std::min(bytes.size(), hash.size()), hash.begin());
    proof.push_back(hash);
  }
  if (!good || !tlog::VerifyConsistency(old.size, old.root, now.size, now.root, proof).ok()) {
    return session.Failed(
        absl::DataLossError("the vault's log does not begin with the one that is here: it was "
                            "rewritten, or is another"),
        also);
  }
  return kDone;
}

}  // namespace vault::ctl
