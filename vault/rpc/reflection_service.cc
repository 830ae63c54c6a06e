#include "vault/rpc/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "vault/base/logging.h"
#include "vault/rpc/status_map.h"

namespace vault::rpc {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

// What is described: the services, and every file that they need.
class Described {
 public:
  explicit Described(const std::vector<std::string>& services) : services_(services) {
    for (const std::string& name : services_) {
      const auto* service = DescriptorPool::generated_pool()->FindServiceByName(name);
      VAULT_CHECK(service != nullptr) << "a service without a descriptor: " << name;
      Add(service->file());
    }
  }

  const std::vector<std::string>& services() const { return services_; }
  // Null for what is not described.
  const FileDescriptor* FindFile(const std::string& name) const {
    return Known(DescriptorPool::generated_pool()->FindFileByName(name));
  }
  const FileDescriptor* FindSymbol(const std::string& name) const {
    return Known(DescriptorPool::generated_pool()->FindFileContainingSymbol(name));
  }
  bool HasMessage(const std::string& name) const {
    const auto* message = DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    return message != nullptr && Known(message->file()) != nullptr;
  }

 private:
  void Add(const FileDescriptor* file) {
    if (!files_.insert(file).second) return;
    for (int i = 0; i < file->dependency_count(); ++i) Add(file->dependency(i));
  }
  const FileDescriptor* Known(const FileDescriptor* file) const {
    return files_.contains(file) ? file : nullptr;
  }

  const std::vector<std::string> services_;
  absl::flat_hash_set<const FileDescriptor*> files_;
};

// The two versions' messages have the same members under different types.
template <typename Request, typename Response>
class Stream final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  Stream(const Described* described, Identity* identity, grpc::CallbackServerContext* context)
      : described_(described), identity_(identity), context_(context) {
    const absl::Status who = identity_->Admit(context_, &id_).status();
    if (who.ok()) {
      this->StartRead(&request_);
    } else {
      this->Finish(ToGrpc(who, id_));
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::OK);
    // A stream outlives a check.
    const absl::Status who = identity_->Authenticate(*context_).status();
    if (!who.ok()) return this->Finish(ToGrpc(who, id_));
    response_.Clear();
    response_.set_valid_host(request_.host());
    *response_.mutable_original_request() = request_;
    AnswerOne();
    this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    this->StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  void AnswerOne() {
    switch (request_.message_request_case()) {
      case Request::kListServices:
        for (const std::string& name : described_->services()) {
          response_.mutable_list_services_response()->add_service()->set_name(name);
        }
        return;
      case Request::kFileByFilename:
        return AnswerFile(described_->FindFile(request_.file_by_filename()));
      case Request::kFileContainingSymbol:
        return AnswerFile(described_->FindSymbol(request_.file_containing_symbol()));
      // There are no extensions in proto3's messages.
      case Request::kFileContainingExtension:
        return AnswerFile(nullptr);
      case Request::kAllExtensionNumbersOfType:
        if (!described_->HasMessage(request_.all_extension_numbers_of_type())) {
          return AnswerFile(nullptr);
        }
        response_.mutable_all_extension_numbers_response()->set_base_type_name(
            request_.all_extension_numbers_of_type());
        return;
      default:
        return AnswerError(grpc::StatusCode::INVALID_ARGUMENT, "no question that is known here");
    }
  }

  void AnswerFile(const FileDescriptor* file) {
    if (file == nullptr) return AnswerError(grpc::StatusCode::NOT_FOUND, "there is none");
    // Answered with what goes with it the first time, and alone when it is asked for again.
    auto* files = response_.mutable_file_descriptor_response();
    sent_.erase(file);
    AddFile(file, files);
  }

  template <typename Files>
  void AddFile(const FileDescriptor* file, Files* files) {
    if (!sent_.insert(file).second) return;
    google::protobuf::FileDescriptorProto proto;
    file->CopyTo(&proto);
    files->add_file_descriptor_proto(proto.SerializeAsString());
    for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i), files);
  }

  void AnswerError(grpc::StatusCode code, const char* message) {
    response_.mutable_error_response()->set_error_code(code);
    response_.mutable_error_response()->set_error_message(message);
  }

  const Described* const described_;
  Identity* const identity_;
  grpc::CallbackServerContext* const context_;
  std::string id_;  // the request's
  Request request_;
  Response response_;
  absl::flat_hash_set<const FileDescriptor*> sent_;
};

template <typename Service, typename Request, typename Response>
class Reflection final : public Service {
 public:
  Reflection(std::shared_ptr<const Described> described, Identity* identity)
      : described_(std::move(described)), identity_(identity) {}

  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* context) override {
    return new Stream<Request, Response>(described_.get(), identity_, context);
  }

 private:
  const std::shared_ptr<const Described> described_;
  Identity* const identity_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> NewReflectionServices(
    Identity* identity, const std::vector<std::string>& services) {
  namespace v1 = grpc::reflection::v1;
  namespace v1alpha = grpc::reflection::v1alpha;
  const auto described = std::make_shared<const Described>(services);
  std::vector<std::unique_ptr<grpc::Service>> out;
  out.push_back(
      std::make_unique<Reflection<v1::ServerReflection::CallbackService,
                                  v1::ServerReflectionRequest, v1::ServerReflectionResponse>>(
          described, identity));
  out.push_back(
      std::make_unique<
          Reflection<v1alpha::ServerReflection::CallbackService, v1alpha::ServerReflectionRequest,
                     v1alpha::ServerReflectionResponse>>(described, identity));
  return out;
}

}  // namespace vault::rpc
