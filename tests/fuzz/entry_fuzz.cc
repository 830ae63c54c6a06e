// The entry's one form: whatever decodes encodes to the same bytes again, and whatever encodes
// decodes to what it was; CheckEntry and Decode never disagree.
#include <cstddef>
#include <cstdint>
#include <string>

#include "vault/base/logging.h"
#include "vault/tlog/entry.h"

namespace vault::tlog {
namespace {

void CheckBytes(absl::string_view bytes) {
  absl::StatusOr<Entry> entry = Decode(bytes);
  absl::StatusOr<EntryPlace> place = CheckEntry(bytes);
  VAULT_CHECK(place.status() == entry.status()) << "two readers see two things";
  if (!entry.ok()) return;
  VAULT_CHECK(place->seq == entry->place.seq && place->time == entry->place.time &&
              place->clock == entry->place.clock && place->prev == entry->place.prev &&
              place->nonce == entry->place.nonce)
      << "two readers see two places";
  absl::StatusOr<std::string> again = Encode(entry->fields, entry->place);
  VAULT_CHECK(again.ok()) << again.status();
  VAULT_CHECK(*again == bytes) << "the same entry has two forms";
}

void CheckValue(absl::string_view value) {
  EntryFields fields;
  fields.action = "resident.lookup";
  fields.outcome = "OK";
  fields.contact = std::string(value);
  fields.shown = {std::string(value), "name"};
  EntryPlace place;
  place.time = absl::UnixEpoch() + absl::Seconds(value.size());
  absl::StatusOr<std::string> bytes = Encode(fields, place);
  if (!bytes.ok()) return;
  absl::StatusOr<Entry> entry = Decode(*bytes);
  VAULT_CHECK(entry.ok()) << entry.status();
  VAULT_CHECK(entry->fields.contact == value) << "a value does not come back";
  VAULT_CHECK(entry->fields.shown.size() == 2) << "a list does not come back";
  VAULT_CHECK(entry->place.time == place.time) << "a time does not come back";
}

}  // namespace
}  // namespace vault::tlog

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  vault::tlog::CheckBytes(input);
  vault::tlog::CheckValue(input);
  return 0;
}
