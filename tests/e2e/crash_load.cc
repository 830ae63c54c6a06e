#include "tests/e2e/crash_load.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace vault::testing {
namespace {

std::atomic<uint64_t> next_phone{0};

// The entry's word for a code.
std::string OutcomeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "OK";
    case grpc::StatusCode::NOT_FOUND:
      return "NOT_FOUND";
    case grpc::StatusCode::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case grpc::StatusCode::ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case grpc::StatusCode::ABORTED:
      return "ABORTED";
    default:
      return absl::StrCat("code ", code);
  }
}

std::string TenantAt(uint64_t i) { return i % 3 == 0 ? kYokohama : kToshima; }

}  // namespace

std::string FreshPhone() {
  const uint64_t n = next_phone.fetch_add(1);
  return absl::StrFormat("090-1%03d-%04d", n / 10000 % 1000, n % 10000);
}

std::vector<std::pair<std::string, std::string>> PersonFields(const std::string& phone,
                                                              const std::string& memo) {
  return {{"name", "架空 花子"},
          {"kana", "カクウ ハナコ"},
          {"birth_date", "1980-02-29"},
          {"phone", phone},
          {"memo", memo},
          {"address_number", absl::StrCat("N", phone.substr(4))}};
}

Lane::Lane(LaneOptions options, std::string persona)
    : options_(std::move(options)), persona_(std::move(persona)), random_(options_.seed) {}

void Lane::Run() {
  lost_ = false;
  Connect();
  while (!lost_ && !options_.stop->load()) CallOnce();
}

std::string Lane::NextContact() { return absl::StrCat(options_.prefix, "-", ++contacts_); }

bool Lane::Note(const grpc::Status& status, Acknowledged call) {
  const Details details = DetailsOf(status);
  if (!status.ok() && details.reason.empty()) {
    // Not the vault's answer but the connection's end.
    if (!call.contact.empty()) unknown.insert(call.contact);
    lost_ = true;
    return false;
  }
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      if (call.outcome.empty()) call.outcome = "OK";
      break;
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::ABORTED:
      call.outcome = OutcomeOf(status.error_code());
      call.version = 0;
      break;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      // A refusal beyond the limit: counted, and in no entry of its own.
      if (details.reason == "REFUSALS") return true;
      [[fallthrough]];
    default:
      problems.push_back(absl::StrCat(call.action, ": code ", status.error_code(), " ",
                                      details.reason, " ", status.error_message()));
      return true;
  }
  if (!call.contact.empty()) acknowledged.push_back(std::move(call));
  return true;
}

void UpdateLane::CallOnce() {
  Person& person = people[Below(people.size())];
  v1::UpdateResidentRequest request;
  request.set_tenant_id(person.tenant);
  request.set_resident_id(person.id);
  const std::string contact = NextContact();
  *request.mutable_context() = Access("correction", contact);
  const std::string phone = FreshPhone(), memo = absl::StrCat("memo ", contact);
  SetField(&request, "phone", phone);
  SetField(&request, "memo", memo);
  const bool stale = Below(20) == 0;
  request.set_etag(stale ? std::string(32, 'e') : person.etag);
  v1::UpdateResidentResponse response;
  const grpc::Status status =
      stubs().residents->UpdateResident(NewContext().get(), request, &response);
  person.touched = true;
  Acknowledged call{contact, person.tenant, subject(), "resident.update", "", {person.id}, 0};
  if (status.ok()) call.version = response.version();
  if (!Note(status, call)) {
    person.pending = !stale;
    person.pending_phone = phone;
    person.pending_memo = memo;
    return;
  }
  if (!status.ok()) {
    if (!stale) problems.push_back("an update with the right etag was refused");
    return;
  }
  if (stale) problems.push_back("an update with a stale etag was taken");
  if (response.version() != person.version + 1) problems.push_back("an update's version skips");
  person.old_phone = person.phone;
  person.version = response.version();
  person.etag = response.etag();
  person.phone = phone;
  person.memo = memo;
}

bool CreateLane::Send(const v1::CreateResidentRequest& request) {
  v1::CreateResidentResponse response;
  const grpc::Status status =
      stubs().residents->CreateResident(NewContext().get(), request, &response);
  Acknowledged call{
      request.context().contact(), request.tenant_id(), subject(), "resident.create", "", {}, 0};
  if (status.ok()) {
    call.residents = {response.resident_id()};
    call.version = response.version();
  }
  if (!Note(status, call)) {
    unanswered.push_back(request);
    return false;
  }
  if (!status.ok() || response.version() != 1) {
    problems.push_back(
        absl::StrCat("a create ended with ", status.error_code(), " version ", response.version()));
    return true;
  }
  Person person;
  person.tenant = request.tenant_id();
  person.id = response.resident_id();
  person.etag = response.etag();
  for (const v1::FieldValue& field : request.fields()) {
    if (field.id() == "phone") person.phone = field.value();
    if (field.id() == "memo") person.memo = field.value();
  }
  people.push_back(std::move(person));
  return true;
}

void CreateLane::CallOnce() {
  if (people.size() >= kPeopleMax) return absl::SleepFor(absl::Milliseconds(20));
  v1::CreateResidentRequest request;
  request.set_tenant_id(TenantAt(Below(6)));
  const std::string contact = NextContact();
  *request.mutable_context() = Access("vaccination_booking", contact);
  request.set_request_id("create-" + contact);
  for (const auto& [id, value] : PersonFields(FreshPhone(), "memo " + contact)) {
    SetField(&request, id, value);
  }
  Send(request);
  absl::SleepFor(absl::Milliseconds(Below(15)));
}

// A row's number carries its tenant, so that a kept stream knows where it goes.
std::string ImportLane::TenantOf(const std::vector<v1::ImportRow>& rows) {
  return TenantAt(rows[0].row() / 1000);
}

bool ImportLane::Stream(const std::string& tenant, const std::string& contact,
                        const std::vector<v1::ImportRow>& rows,
                        std::vector<v1::ImportResult>* results) {
  const std::unique_ptr<grpc::ClientContext> context = NewContext();
  auto stream = stubs().residents->ImportResidents(context.get());
  v1::ImportResidentsRequest open;
  open.mutable_open()->set_tenant_id(tenant);
  *open.mutable_open()->mutable_context() = Access("migration", contact);
  bool sent = stream->Write(open);
  for (const v1::ImportRow& row : rows) {
    v1::ImportResidentsRequest message;
    *message.mutable_row() = row;
    sent = sent && stream->Write(message);
  }
  stream->WritesDone();
  v1::ImportResidentsResponse response;
  while (stream->Read(&response)) {
    for (const v1::ImportResult& result : response.results()) results->push_back(result);
  }
  const grpc::Status status = stream->Finish();
  Acknowledged call{contact, tenant, subject(), "resident.import", "", {}, 0};
  for (const v1::ImportResult& result : *results) {
    if (result.code() == 0) call.residents.push_back(result.resident_id());
  }
  // Results that came count as acknowledged, though the stream broke after them.
  if (results->size() == rows.size()) return Note(grpc::Status::OK, call);
  if (status.ok()) problems.push_back("an import ended well without all results");
  Note(status, call);
  return false;
}

void ImportLane::Adopt(const std::string& tenant, const std::vector<v1::ImportRow>& rows,
                       const std::vector<v1::ImportResult>& results) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (results[i].row() != rows[i].row()) problems.push_back("an import's results change places");
    if (results[i].code() != 0) continue;
    Person person;
    person.tenant = tenant;
    person.id = results[i].resident_id();
    for (const v1::FieldValue& field : rows[i].fields()) {
      if (field.id() == "phone") person.phone = field.value();
      if (field.id() == "memo") person.memo = field.value();
    }
    people.push_back(std::move(person));
  }
}

void ImportLane::CallOnce() {
  if (people.size() >= kPeopleMax) return absl::SleepFor(absl::Milliseconds(20));
  const std::string contact = NextContact();
  const uint64_t which = Below(6);
  std::vector<v1::ImportRow> rows(kRows);
  for (int i = 0; i < kRows; ++i) {
    rows[i].set_row(which * 1000 + i);
    for (const auto& [id, value] : PersonFields(FreshPhone(), absl::StrCat(contact, " row ", i))) {
      SetField(&rows[i], id, value);
    }
  }
  std::vector<v1::ImportResult> results;
  if (Stream(TenantAt(which), contact, rows, &results)) {
    Adopt(TenantAt(which), rows, results);
  } else {
    unanswered.push_back(std::move(rows));
  }
  absl::SleepFor(absl::Milliseconds(Below(40)));
}

void ReadLane::CallOnce() {
  if (people.empty()) return absl::SleepFor(absl::Milliseconds(20));
  const Person& person = people[Below(people.size())];
  switch (Below(12)) {
    case 0:
      return BeRefused(person);
    case 1: {
      // Nobody has this one.
      Person nobody = person;
      nobody.id = std::string(31, '0') + "1";
      nobody.phone = "090-9999-0000";
      return Below(2) == 0 ? GetOne(nobody) : FindOne(nobody);
    }
    case 2:
    case 3:
    case 4:
      return FindOne(person);
    default:
      return GetOne(person);
  }
}

void ReadLane::GetOne(const Person& person) {
  v1::GetResidentRequest request;
  request.set_tenant_id(tenant_);
  request.set_resident_id(person.id);
  const std::string contact = NextContact();
  *request.mutable_context() = Access("vaccination_booking", contact);
  v1::GetResidentResponse response;
  const grpc::Status status =
      stubs().residents->GetResident(NewContext().get(), request, &response);
  Note(status, {contact, tenant_, subject(), "resident.get", "", {person.id}, 0});
  if (status.ok() && (response.resident().version() < person.version ||
                      response.resident().resident_id() != person.id)) {
    problems.push_back("a read is older than what was acknowledged before it");
  }
}

void ReadLane::FindOne(const Person& person) {
  const std::string contact = NextContact();
  v1::LookupResidentsResponse response;
  const grpc::Status status = stubs().residents->LookupResidents(
      NewContext().get(), LookupBy(tenant_, "phone", person.phone, contact), &response);
  Acknowledged call{contact, tenant_, subject(), "resident.lookup", "", {}, 0};
  for (const v1::Resident& resident : response.residents()) {
    call.residents.push_back(resident.resident_id());
    // Its telephone may have changed meanwhile; then nobody has it.
    if (resident.resident_id() != person.id) problems.push_back("a lookup found somebody else");
  }
  if (call.residents.empty()) call.outcome = "NOT_FOUND";
  Note(status, std::move(call));
}

// By policy: a withheld field, a tenant that is not its own, no purpose.
void ReadLane::BeRefused(const Person& person) {
  v1::GetResidentRequest request;
  const uint64_t how = Below(3);
  const std::string asked = how != 1              ? tenant_
                            : tenant_ == kToshima ? std::string(kYokohama)
                                                  : std::string(kToshima);
  request.set_tenant_id(asked);
  request.set_resident_id(person.id);
  const std::string contact = NextContact();
  *request.mutable_context() = Access(how == 2 ? "" : "vaccination_booking", contact);
  if (how == 0) request.mutable_field_mask()->add_paths("birth_date");
  v1::GetResidentResponse response;
  const grpc::Status status =
      stubs().residents->GetResident(NewContext().get(), request, &response);
  if (status.ok()) problems.push_back("what policy forbids was answered");
  Note(status, {contact, asked, subject(), "resident.get", "", {person.id}, 0});
}

void RotateLane::CallOnce() {
  static constexpr v1::KeyKind kKinds[] = {v1::KEY_KIND_KEK, v1::KEY_KIND_DEK, v1::KEY_KIND_INDEX};
  v1::RotateKeysRequest request;
  request.set_tenant_id(TenantAt(Below(3)));
  request.set_kind(kKinds[Below(3)]);
  request.set_rows_per_second(0);
  v1::RotateKeysResponse begun;
  grpc::Status status = stubs().keys->RotateKeys(NewContext().get(), request, &begun);
  if (status.ok()) {
    v1::WatchJobRequest watch;
    watch.set_log_id(request.tenant_id());
    watch.set_job_id(begun.job().id());
    const std::unique_ptr<grpc::ClientContext> context = NewContext(absl::Seconds(60));
    const auto stream = stubs().jobs->WatchJob(context.get(), watch);
    v1::WatchJobResponse seen;
    while (stream->Read(&seen)) {
      const v1::Job& job = seen.job();
      if (job.state() == v1::JOB_STATE_FAILED) problems.push_back("a rotation failed");
      if (job.state() != v1::JOB_STATE_DONE) continue;
      finished.push_back({job.log_id(), request.kind(), job.version()});
      if (!job.counted() || job.left() != 0) problems.push_back("a rotation left something behind");
    }
    status = stream->Finish();
  }
  // CONFLICT while the start goes on with an interrupted one.
  if (!status.ok() && DetailsOf(status).reason != "CONFLICT") {
    Note(status, {"", request.tenant_id(), subject(), "key.rotate", "", {}, 0});
  }
  absl::SleepFor(absl::Milliseconds(5 + Below(60)));
}

void AuditLane::CallOnce() {
  if (Below(6) == 0) {
    v1::GetHeadRequest request;
    request.set_log_id(kToshima);
    v1::GetHeadResponse response;
    Note(stubs().audit->GetHead(NewContext().get(), request, &response),
         {"", kToshima, subject(), "audit.head", "", {}, 0});
  } else {
    v1::ListEntriesRequest request;
    request.set_log_id(kToshima);
    request.set_action("resident.update");
    request.set_page_size(20);
    v1::ListEntriesResponse response;
    const grpc::Status status = stubs().audit->ListEntries(NewContext().get(), request, &response);
    if (Note(status, {"", kToshima, subject(), "audit.list", "", {}, 0}) && status.ok()) ++lists;
  }
  absl::SleepFor(absl::Milliseconds(10 + Below(40)));
}

}  // namespace vault::testing
