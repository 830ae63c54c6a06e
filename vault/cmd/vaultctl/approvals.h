// Approvals as every command shows them that proposes something for another person to decide on.
#ifndef VAULT_CMD_VAULTCTL_APPROVALS_H_
#define VAULT_CMD_VAULTCTL_APPROVALS_H_

#include <google/protobuf/message.h>

#include <ostream>

#include "vault/cmd/vaultctl/session.h"
#include "vault/v1/approval_service.pb.h"

namespace vault::ctl {

void PrintApproval(const ::vault::v1::Approval& approval, std::ostream& out);
// The effect as whoever decides must see it: in both languages, whole, and the digest that names
// it. Nothing where there is none.
void PrintEffect(const ::vault::v1::Effect& effect, std::ostream& out);

// `response` as JSON, or approval and effect of it; and of one that waits, the command of whoever
// decides.
void PrintProposed(Session& session, const google::protobuf::Message& response,
                   const ::vault::v1::Approval& approval, const ::vault::v1::Effect& effect);
// Of an answer that has both.
template <typename Response>
void PrintProposal(Session& session, const Response& response) {
  PrintProposed(session, response, response.approval(), response.effect());
}

}  // namespace vault::ctl

#endif  // VAULT_CMD_VAULTCTL_APPROVALS_H_
