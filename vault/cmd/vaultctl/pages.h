// Lists that come by the page, read whole.
#ifndef VAULT_CMD_VAULTCTL_PAGES_H_
#define VAULT_CMD_VAULTCTL_PAGES_H_

#include <grpcpp/support/status.h>

#include "vault/cmd/vaultctl/session.h"

namespace vault::ctl {

// More than any vault has; one that lies about there being more ends all the same.
inline constexpr int kPagesMax = 1000;

// As Session::Ask, with all pages in one answer. A list that does not end is DATA_LOSS.
template <typename Stub, typename Request, typename Response>
int AskAllPages(Session& session, UnaryCall<Stub, Request, Response> call, Request request,
                Response* all, const CallOptions& options = {}) {
  request.set_page_size(1000);
  for (int pages = 0; pages < kPagesMax; ++pages) {
    Response page;
    const int code = session.Ask(call, request, &page, options);
    if (code != kDone) return code;
    request.set_page_token(page.next_page_token());
    page.clear_next_page_token();
    all->MergeFrom(page);
    if (request.page_token().empty()) return kDone;
  }
  return session.CallFailed(grpc::Status(grpc::StatusCode::DATA_LOSS, "the list does not end"));
}

// AskAllPages, and Print.
template <typename Stub, typename Request, typename Response, typename Print>
int CallAllPages(Session& session, UnaryCall<Stub, Request, Response> call, const Request& request,
                 const Print& print, const CallOptions& options = {}) {
  Response all;
  const int code = AskAllPages(session, call, request, &all, options);
  if (code == kDone) session.Print(all, print);
  return code;
}

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_PAGES_H_
