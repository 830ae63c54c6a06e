// vault.v1.BackupService: authenticates, turns messages into the service's requests and back.
#ifndef VAULT_RPC_BACKUP_SERVICE_H_
#define VAULT_RPC_BACKUP_SERVICE_H_

#include "vault/rpc/gate.h"
#include "vault/rpc/identity.h"
#include "vault/v1/backup_service.grpc.pb.h"

namespace vault::rpc {

class BackupServiceImpl final : public v1::BackupService::CallbackService {
 public:
  BackupServiceImpl(Gate* gate, Identity* identity) : gate_(gate), identity_(identity) {}

  grpc::ServerUnaryReactor* CreateBackup(grpc::CallbackServerContext* context,
                                         const v1::CreateBackupRequest* request,
                                         v1::CreateBackupResponse* response) override;
  grpc::ServerUnaryReactor* VerifyBackup(grpc::CallbackServerContext* context,
                                         const v1::VerifyBackupRequest* request,
                                         v1::VerifyBackupResponse* response) override;
  grpc::ServerUnaryReactor* ListBackups(grpc::CallbackServerContext* context,
                                        const v1::ListBackupsRequest* request,
                                        v1::ListBackupsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteBackup(grpc::CallbackServerContext* context,
                                         const v1::DeleteBackupRequest* request,
                                         v1::DeleteBackupResponse* response) override;

 private:
  Gate* const gate_;
  Identity* const identity_;
};

}  // namespace vault::rpc

#endif  // VAULT_RPC_BACKUP_SERVICE_H_
