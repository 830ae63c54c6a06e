// audit export: a log as tlog-tiles files, for outsiders.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vault/base/status.h"
#include "vault/tlog/tile.h"
#include "vault/usecases/trail/trail.h"

namespace vault::usecases {
namespace {

using pipeline::Call;
using pipeline::Lane;
using pipeline::Outcome;
using pipeline::Steps;

// Entries that one of an export's own entries covers, and bytes of one message.
constexpr uint64_t kExportPartEntries = 64 * tlog::kTileWidth;
constexpr size_t kExportMessageBytes = 1 << 20;

absl::Status Gone() {
  return Reason(absl::CancelledError("stopped; begin again, and it goes on"), "CANCELLED");
}

}  // namespace

void Trail::Export(const pipeline::Caller& caller, std::string log, uint64_t from_size,
                   ExportFn part, pipeline::Reply<bool> reply, bool cosigned) {
  pipeline_.RunSteps<Signed>(
      Lane::kLong, std::move(reply),
      pipeline::Asked(caller, policy::Action::kAuditExport, std::move(log)),
      [this, from_size, cosigned](Call& call) { return PrepareExport(call, from_size, cosigned); },
      [this, from_size, part = std::move(part)](Steps<bool> steps, Signed newest) mutable {
        std::move(steps).OnWalk([this, from_size, newest = std::move(newest),
                                 part = std::move(part)](Steps<bool> walk) mutable {
          absl::StatusOr<bool> ended = ExportParts(walk, from_size, newest, part);
          if (absl::IsDataLoss(ended.status())) {
            // Damage that the export found is recorded in the log itself.
            const absl::Status recorded = walk.Record("audit.export", -1, "DATA_LOSS");
            if (!recorded.ok()) ended = recorded;
          }
          std::move(walk).End(std::move(ended));
        });
      });
}

Outcome<Trail::Signed> Trail::PrepareExport(const Call& call, uint64_t from_size,
                                            bool cosigned) const {
  absl::StatusOr<Signed> newest = cosigned ? LastCosigned(call.log) : SignNow(call.log);
  if (!newest.ok()) return pipeline_.Conclude<Signed>(call, newest.status());
  if (from_size > newest->size) {
    return pipeline_.Conclude<Signed>(
        call, Reason(absl::FailedPreconditionError(absl::StrCat(
                         "the directory has ", from_size, " entries, ",
                         cosigned ? "the newest cosigned checkpoint " : "the log ", newest->size)),
                     "AHEAD"));
  }
  if (!call.place->Take(pipeline::Places::Kind::kExport, call.log)) {
    return pipeline_.Conclude<Signed>(call, pipeline::LongCallsBusy());
  }
  tlog::EntryFields entry = call.entry;
  entry.count = newest->size;
  return pipeline_.Allow(call, {std::move(entry)}, *std::move(newest));
}

absl::StatusOr<bool> Trail::ExportParts(Steps<bool>& steps, uint64_t from_size,
                                        const Signed& newest, ExportFn& part) const {
  const LogId& log = steps.call().log;
  const uint64_t size = newest.size;
  ASSIGN_OR_RETURN(const std::unique_ptr<const store::Snapshot> snapshot,
                   options_.store->TakeSnapshot());
  const publish::Exporter exporter(*snapshot, log, from_size, size, newest.root);
  ASSIGN_OR_RETURN(uint64_t next, exporter.Begin());
  while (next < size) {
    const uint64_t to = std::min(size, (next / kExportPartEntries + 1) * kExportPartEntries);
    RETURN_IF_ERROR(steps.Record("audit.export", static_cast<int64_t>(to)));
    while (next < to) {
      ExportPart message;
      ASSIGN_OR_RETURN(message.files, exporter.Bundles(next, to, kExportMessageBytes, &next));
      message.done = next;
      message.total = size;
      if (steps.stopped() || !part(std::move(message))) return Gone();
    }
  }
  ASSIGN_OR_RETURN(const std::vector<audit::LogKeyRange> keys, options_.checkpointer->Keys(log));
  ASSIGN_OR_RETURN(std::vector<publish::ExportFile> rest, exporter.Rest(keys));
  rest.push_back({"checkpoint", newest.note});
  for (size_t i = 0; i < rest.size();) {
    ExportPart message;
    message.done = message.total = size;
    size_t bytes = 0;
    while (i < rest.size() && bytes < kExportMessageBytes) {
      bytes += rest[i].content.size();
      message.files.push_back(std::move(rest[i++]));
    }
    if (steps.stopped() || !part(std::move(message))) return Gone();
  }
  return true;
}

}  // namespace vault::usecases
