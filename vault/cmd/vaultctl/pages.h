// Lists that come by the page, read whole.
#ifndef VAULT_CMD_VAULTCTL_PAGES_H_
#define VAULT_CMD_VAULTCTL_PAGES_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "vault/cmd/vaultctl/session.h"

namespace vault::ctl {

// More than any vault has; one that lies about there being more ends all the same.
inline constexpr int kPagesMax = 1000;

// All pages in one response. `call` makes one call: grpc::Status(ClientContext*, request, page*).
// DATA_LOSS for a list that does not end.
template <typename Request, typename Response, typename Call>
grpc::Status ReadAllPages(const Session& session, Request request, Response* all,
                          const Call& call) {
  request.set_page_size(1000);
  for (int pages = 0; pages < kPagesMax; ++pages) {
    grpc::ClientContext context;
    session.SetDeadline(&context);
    Response page;
    const grpc::Status status = call(&context, request, &page);
    if (!status.ok()) return status;
    request.set_page_token(page.next_page_token());
    page.clear_next_page_token();
    all->MergeFrom(page);
    if (request.page_token().empty()) return grpc::Status::OK;
  }
  return grpc::Status(grpc::StatusCode::DATA_LOSS, "the list does not end");
}

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_PAGES_H_
