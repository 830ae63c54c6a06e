#include "vault/rpc/backup_service.h"

#include <utility>
#include <vector>

#include "vault/base/status.h"
#include "vault/rpc/job_messages.h"
#include "vault/rpc/unary.h"

namespace vault::rpc {
namespace {

absl::Status CheckNumber(uint32_t number) {
  return number > 0 ? absl::OkStatus() : BadField("number", "a backup's number, from 1");
}

void Fill(const inventory::StoredBackup& backup, v1::Backup* out) {
  const row::v1::BackupRow& row = backup.row;
  out->set_state(static_cast<v1::BackupState>(backup.state));
  out->set_number(row.number());
  if (row.created_us() != 0) *out->mutable_create_time() = ToTimestamp(row.created_us());
  out->set_bytes(row.bytes());
  if (backup.verified()) *out->mutable_verify_time() = ToTimestamp(row.verified_us());
  out->set_keyring_serial(row.keyring_serial());
  for (const row::v1::BackupRow::Content& content : row.contents()) {
    v1::BackupContent* of = out->add_contents();
    of->set_tenant_id(content.tenant());
    of->set_kek_version(content.kek_version());
    of->set_residents(content.residents());
  }
  for (const row::v1::BackupRow::Log& log : row.logs()) {
    v1::BackupLog* of = out->add_logs();
    of->set_log_id(log.log());
    of->set_size(log.size());
  }
  *out->mutable_storage_keys() = row.storage_keys();
  *out->mutable_mac_keys() = row.mac_keys();
}

}  // namespace

grpc::ServerUnaryReactor* BackupServiceImpl::CreateBackup(grpc::CallbackServerContext* context,
                                                          const v1::CreateBackupRequest*,
                                                          v1::CreateBackupResponse* response) {
  return ServeUnary(context, identity_, gate_, "backup.create",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->backups().Create(
                          caller,
                          call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                            Fill(row, response->mutable_job());
                          }));
                    });
}

grpc::ServerUnaryReactor* BackupServiceImpl::VerifyBackup(grpc::CallbackServerContext* context,
                                                          const v1::VerifyBackupRequest* request,
                                                          v1::VerifyBackupResponse* response) {
  return ServeUnary(context, identity_, gate_, "backup.create",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      const absl::Status number = CheckNumber(request->number());
                      if (!number.ok()) return call.Malformed(number);
                      use_cases->backups().Verify(
                          caller, request->number(),
                          call.Into<row::v1::JobRow>([response](const row::v1::JobRow& row) {
                            Fill(row, response->mutable_job());
                          }));
                    });
}

grpc::ServerUnaryReactor* BackupServiceImpl::ListBackups(grpc::CallbackServerContext* context,
                                                         const v1::ListBackupsRequest* request,
                                                         v1::ListBackupsResponse* response) {
  return ServeUnary(context, identity_, gate_, "backup.list",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      use_cases->backups().List(
                          caller, {request->page_size(), request->page_token()},
                          call.Into<pipeline::Page<inventory::StoredBackup>>(
                              [response](pipeline::Page<inventory::StoredBackup> page) {
                                for (const auto& backup : page.rows) {
                                  Fill(backup, response->add_backups());
                                }
                                response->set_next_page_token(page.next_page_token);
                              }));
                    });
}

grpc::ServerUnaryReactor* BackupServiceImpl::DeleteBackup(grpc::CallbackServerContext* context,
                                                          const v1::DeleteBackupRequest* request,
                                                          v1::DeleteBackupResponse*) {
  return ServeUnary(context, identity_, gate_, "backup.delete",
                    [&](UseCases* use_cases, const pipeline::Caller& caller, UnaryCall call) {
                      const absl::Status number = CheckNumber(request->number());
                      if (!number.ok()) return call.Malformed(number);
                      use_cases->backups().Delete(caller, request->number(),
                                                  call.Into<bool>([](bool) {}));
                    });
}

}  // namespace vault::rpc
