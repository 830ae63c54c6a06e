#include "vault/rpc/resident_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "vault/base/status.h"
#include "vault/rpc/status_map.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

pipeline::AccessContext ToContext(const v1::AccessContext& context) {
  return {context.purpose(), context.contact(), context.reason(), context.programme()};
}

// A schema has at most 64 fields, so one more is a repetition or unknown and refused as such.
// Whatever comes behind it is not copied: two bytes of a message must not become a hundred of
// memory.
constexpr int kFieldsMax = 65;

std::vector<std::string> ToFields(const google::protobuf::FieldMask& mask) {
  const auto end = mask.paths().begin() + std::min(mask.paths_size(), kFieldsMax);
  return std::vector<std::string>(mask.paths().begin(), end);
}

std::vector<records::RawField> ToRaw(
    const google::protobuf::RepeatedPtrField<v1::FieldValue>& fields) {
  std::vector<records::RawField> out;
  const int count = std::min(fields.size(), kFieldsMax);
  out.reserve(count);
  for (int i = 0; i < count; ++i) out.push_back({fields[i].id(), SecretString(fields[i].value())});
  return out;
}

v1::Disclosure ToDisclosure(const records::FieldView& field) {
  switch (field.disclosure) {
    case policy::Disclosure::kWithheld:
      return v1::DISCLOSURE_WITHHELD;
    case policy::Disclosure::kUnseen:
      return v1::DISCLOSURE_UNSEEN;
    case policy::Disclosure::kMasked:
      return field.present ? v1::DISCLOSURE_MASKED : v1::DISCLOSURE_ABSENT;
    case policy::Disclosure::kFull:
      return field.present ? v1::DISCLOSURE_FULL : v1::DISCLOSURE_ABSENT;
  }
  return v1::DISCLOSURE_WITHHELD;
}

void Fill(const records::ResidentView& view, v1::Resident* out) {
  out->set_resident_id(view.id.ToHex());
  out->set_version(view.version);
  out->set_etag(view.etag);
  out->set_programme(view.programme);
  out->mutable_fields()->Reserve(view.fields.size());
  for (const records::FieldView& field : view.fields) {
    v1::Field* f = out->add_fields();
    f->set_id(field.spec->id);
    f->set_disclosure(ToDisclosure(field));
    if (!field.value.empty()) {
      const absl::string_view value = field.value.Expose();
      f->set_value(value.data(), value.size());
    }
  }
}

usecases::ChangeRequest ToChange(const v1::CreateResidentRequest& request) {
  return {request.tenant_id(),     "", ToContext(request.context()),
          ToRaw(request.fields()), "", request.request_id()};
}

usecases::ChangeRequest ToChange(const v1::UpdateResidentRequest& request) {
  return {request.tenant_id(),     request.resident_id(), ToContext(request.context()),
          ToRaw(request.fields()), request.etag(),        request.request_id()};
}

// What a row makes this process hold.
size_t BytesOf(const usecases::ImportRow& row) {
  size_t bytes = sizeof(row);
  for (const records::RawField& field : row.fields) {
    bytes += sizeof(field) + field.id.size() + field.value.size();
  }
  return bytes;
}

// Asks whether the import is allowed before it takes a row; then reads up to a chunk of rows,
// stores it, writes its results, goes on: one thing at a time, so the caller's speed is the vault's
// and nothing piles up.
class ImportStream final
    : public grpc::ServerBidiReactor<v1::ImportResidentsRequest, v1::ImportResidentsResponse>,
      public Gate::Stream {
 public:
  ImportStream(Gate* gate, Identity* identity, ByteBudget* budget,
               grpc::CallbackServerContext* context)
      : gate_(gate),
        identity_(identity),
        budget_(budget),
        context_(context),
        info_(identity->Admit(context, &id_)) {
    if (!info_.ok()) {
      Finish(ToGrpc(info_.status(), id_));
      return;
    }
    // A vault that is sealed says so at once, and not when the first rows have come.
    const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*info_, kAction);
    if (!use_cases.ok()) {
      Finish(ToGrpc(use_cases.status(), id_));
      return;
    }
    gate_->Add(this);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    // A caller that went away has not said that its rows were complete.
    if (!ok && context_->IsCancelled()) return Finish(grpc::Status::CANCELLED);
    if (!ok) {
      ended_ = true;
      if (!opened_) return Malformed("open", "the first message opens the import");
      // An import of no rows is asked for all the same, and decided.
      if (rows_.empty() && stored_any_) return Finish(grpc::Status::OK);
      return Store();
    }
    if (request_.has_open() == opened_) {
      return Malformed(opened_ ? "row" : "open", "the first message opens, the others carry rows");
    }
    if (!opened_) return Open();
    usecases::ImportRow row{request_.row().row(), ToRaw(request_.row().fields())};
    const absl::Status room = budget_->Take(info_->subject, BytesOf(row), &held_);
    if (!room.ok()) return Finish(ToGrpc(room, id_));
    rows_.push_back(std::move(row));
    if (rows_.size() == usecases::Residents::kImportChunkMax || held_.bytes() >= kChunkBytesMax) {
      return Store();
    }
    ReadNext();
  }

  void OnWriteDone(bool ok) override {
    if (!ok || ended_) return Finish(grpc::Status::OK);
    ReadNext();
  }
  void OnDone() override {
    gate_->Remove(this);
    delete this;
  }
  // It may be waiting for rows that its caller has not sent.
  void OnSeal() override { context_->TryCancel(); }

 private:
  static constexpr size_t kChunkBytesMax = 2 << 20;
  static constexpr absl::string_view kAction = "resident.import";

  void Malformed(absl::string_view path, absl::string_view expected) {
    const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*info_, kAction);
    if (!use_cases.ok()) return Finish(ToGrpc(use_cases.status(), id_));
    (*use_cases)->pipeline().CountMalformed(*info_, kAction);
    Finish(ToGrpc(BadField(path, expected), id_));
  }

  void ReadNext() {
    // A message keeps the room that its longest took, and a caller may leave it at that.
    constexpr size_t kKeptBytesMax = 64 << 10;
    if (request_.SpaceUsedLong() > kKeptBytesMax) request_ = v1::ImportResidentsRequest();
    StartRead(&request_);
  }

  void Open() {
    opened_ = true;
    open_ = {request_.open().tenant_id(), ToContext(request_.open().context())};
    const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*info_, kAction);
    if (!use_cases.ok()) return Finish(ToGrpc(use_cases.status(), id_));
    (*use_cases)->residents().OpenImport(*info_, open_, [this](absl::StatusOr<bool> allowed) {
      if (!allowed.ok()) return Finish(ToGrpc(allowed.status(), id_));
      ReadNext();
    });
  }

  void Store() {
    // A stream outlives a check: the certificate may have ended, or been put on the deny-list,
    // since the last chunk.
    info_ = identity_->Authenticate(*context_);
    if (!info_.ok()) return Finish(ToGrpc(info_.status(), id_));
    const absl::StatusOr<UseCasesRef> use_cases = gate_->Enter(*info_, kAction);
    if (!use_cases.ok()) return Finish(ToGrpc(use_cases.status(), id_));
    stored_any_ = true;
    // The rows go with the call, and so does what is held for them.
    (*use_cases)
        ->residents()
        .ImportChunk(*info_, open_, std::exchange(rows_, {}),
                     [this, held = std::move(held_)](
                         absl::StatusOr<std::vector<usecases::ImportRowResult>> results) mutable {
                       { const ByteBudget::Hold ended = std::move(held); }
                       if (!results.ok()) return Finish(ToGrpc(results.status(), id_));
                       Answer(*results);
                     });
  }

  void Answer(const std::vector<usecases::ImportRowResult>& results) {
    response_.Clear();
    const absl::Time now = absl::Now();
    for (const usecases::ImportRowResult& result : results) {
      v1::ImportResult* out = response_.add_results();
      out->set_row(result.row);
      out->mutable_time()->set_seconds(absl::ToUnixSeconds(now));
      if (result.status.ok()) {
        out->set_resident_id(result.id.ToHex());
        continue;
      }
      out->set_code(static_cast<int>(result.status.code()));
      out->set_reason(GetReason(result.status));
      out->set_field(GetFieldPath(result.status));
      out->set_message(std::string(result.status.message()));
    }
    StartWrite(&response_);
  }

  Gate* const gate_;
  Identity* const identity_;
  ByteBudget* const budget_;
  grpc::CallbackServerContext* const context_;
  std::string id_;  // the request's
  absl::StatusOr<pipeline::Caller> info_;
  v1::ImportResidentsRequest request_;
  v1::ImportResidentsResponse response_;
  usecases::ImportOpen open_;
  std::vector<usecases::ImportRow> rows_;
  ByteBudget::Hold held_;  // for rows_
  bool opened_ = false;
  bool ended_ = false;
  bool stored_any_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* ResidentServiceImpl::CreateResident(
    grpc::CallbackServerContext* context, const v1::CreateResidentRequest* request,
    v1::CreateResidentResponse* response) {
  return ServeUnary(
      context, identity_, gate_, budget_, *request, "resident.create",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->residents().Create(
            caller, ToChange(*request),
            call.Into<pipeline::ChangeResult>([response](pipeline::ChangeResult result) {
              response->set_resident_id(result.id.ToHex());
              response->set_version(result.version);
              response->set_etag(result.etag);
            }));
      });
}

grpc::ServerUnaryReactor* ResidentServiceImpl::GetResident(grpc::CallbackServerContext* context,
                                                           const v1::GetResidentRequest* request,
                                                           v1::GetResidentResponse* response) {
  return ServeUnary(context, identity_, gate_, budget_, *request, "resident.get",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->residents().Get(
                          caller,
                          {request->tenant_id(), request->resident_id(),
                           ToContext(request->context()), ToFields(request->field_mask())},
                          call.Into<records::ResidentView>([response](records::ResidentView view) {
                            Fill(view, response->mutable_resident());
                          }));
                    });
}

grpc::ServerUnaryReactor* ResidentServiceImpl::LookupResidents(
    grpc::CallbackServerContext* context, const v1::LookupResidentsRequest* request,
    v1::LookupResidentsResponse* response) {
  return ServeUnary(
      context, identity_, gate_, budget_, *request, "resident.lookup",
      [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
        use_cases->residents().Lookup(
            caller,
            {request->tenant_id(), ToContext(request->context()), ToRaw(request->criteria()),
             ToFields(request->field_mask())},
            call.Into<usecases::LookupResult>([response](usecases::LookupResult result) {
              for (const records::ResidentView& view : result.residents) {
                Fill(view, response->add_residents());
              }
              response->set_more(result.more);
            }));
      });
}

grpc::ServerUnaryReactor* ResidentServiceImpl::UpdateResident(
    grpc::CallbackServerContext* context, const v1::UpdateResidentRequest* request,
    v1::UpdateResidentResponse* response) {
  return ServeUnary(context, identity_, gate_, budget_, *request, "resident.update",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->residents().Update(caller, ToChange(*request),
                                                    call.Into<pipeline::ChangeResult>(
                                                        [response](pipeline::ChangeResult result) {
                                                          response->set_version(result.version);
                                                          response->set_etag(result.etag);
                                                        }));
                    });
}

grpc::ServerBidiReactor<v1::ImportResidentsRequest, v1::ImportResidentsResponse>*
ResidentServiceImpl::ImportResidents(grpc::CallbackServerContext* context) {
  return new ImportStream(gate_, identity_, budget_, context);
}

}  // namespace vault::rpc
