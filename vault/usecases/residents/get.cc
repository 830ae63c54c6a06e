// residents get: one resident, by handle.
#include <utility>

#include "vault/base/status.h"
#include "vault/records/record.h"
#include "vault/usecases/residents/residents.h"
#include "vault/usecases/residents/residents_internal.h"

namespace vault::usecases {

using pipeline::Call;
using pipeline::Outcome;
using pipeline::Prepared;
using records::ResidentView;

void Residents::Get(const pipeline::Caller& caller, GetRequest request,
                    pipeline::Reply<ResidentView> reply) {
  pipeline::Asked asked(caller, policy::Action::kResidentGet, request.tenant);
  asked.context = request.context;
  asked.fields = std::move(request.fields);
  const absl::StatusOr<ResidentId> id = ParseHandle(request.resident);
  asked.describe = [id](Call& call) {
    if (id.ok()) call.entry.resident = id->ToHex();
    return id.status();
  };
  pipeline_.Run(
      pipeline::Lane::kQuick, std::move(reply), std::move(asked),
      [this, id](Call& call) -> Outcome<ResidentView> {
        const absl::StatusOr<std::unique_ptr<const store::Snapshot>> snapshot =
            pipeline_.OpenSnapshot(&call);
        if (!snapshot.ok()) return pipeline_.Conclude<ResidentView>(call, snapshot.status());
        absl::StatusOr<Found> found = Find(call, **snapshot, *id);
        if (!found.ok()) return pipeline_.Conclude<ResidentView>(call, found.status());
        call.entry.program = found->unlocked.record.programme;
        const absl::Status refusal = ClassRefusal(call, *found, call.request.asked, &call.entry);
        if (!refusal.ok()) return pipeline_.RefuseWith<ResidentView>(call, {call.entry}, refusal);
        absl::StatusOr<ResidentView> view = records_.Open(
            call.tenant(), found->unlocked, call.rules(), *found->view, call.request.asked);
        if (!view.ok()) return pipeline_.Conclude<ResidentView>(call, view.status());
        Prepared<ResidentView> prepared =
            pipeline_.Allow(call, {DisclosureEntry(call, *found)}, *std::move(view));
        const records::Record& record = found->unlocked.record;
        prepared.submission.preconditions.push_back(audit::RowIs{
            records::RecordKey(call.tenant(), *id), RowPrefix(record), call.changes_seen});
        audit::KeysUsed used = pipeline_.KeysOf(call);
        used.keks_read.push_back(record.kek_version);
        prepared.submission.preconditions.push_back(std::move(used));
        return prepared;
      });
}

}  // namespace vault::usecases
