// Textproto with places: a message together with the line and column that each of its fields was
// written at, so that a mistake found long after the parse still says where it stands.
//
//   Node root = …;
//   Node role = root.Child("roles", 2).Named("role \"operator\"");
//   return role.ErrorAt("purposes", 0, "unknown purpose …");  // "policy.textproto:12:3: role
//   "operator": unknown …"
#ifndef VAULT_POLICY_SOURCE_LOCATIONS_H_
#define VAULT_POLICY_SOURCE_LOCATIONS_H_

#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "vault/policy/policy.h"

namespace vault::policy {

using Tree = google::protobuf::TextFormat::ParseInfoTree;

// Reads `source` into `message`, places into `tree`. INVALID_ARGUMENT "file:line:column: …" for the
// first mistake.
absl::Status ParseText(const Source& source, google::protobuf::Message* message, Tree* tree);

// One message within a file. Cheap to copy; message, tree and file name must outlive it.
class Node {
 public:
  Node(const Source& source, const google::protobuf::Message& message, const Tree& tree)
      : file_(source.name), message_(&message), tree_(&tree) {}

  // The sub-message `field`, of a repeated one the one at `index`.
  Node Child(absl::string_view field, int index = -1) const;
  // The same, whose errors say first what it is.
  Node Named(std::string what) const;

  // 1-based; where `field` is not set, the message's own.
  int Line(absl::string_view field, int index = -1) const;
  absl::Status Error(absl::string_view message) const;
  absl::Status ErrorAt(absl::string_view field, int index, absl::string_view message) const;

 private:
  struct SourceLocation {
    int line = 0, column = 0;
  };
  SourceLocation At(absl::string_view field, int index) const;
  absl::Status ErrorAt(SourceLocation location, absl::string_view message) const;

  absl::string_view file_;
  std::string what_;
  const google::protobuf::Message* message_;
  const Tree* tree_;  // null where the parser kept none
  SourceLocation self_;
};

}  // namespace vault::policy

#endif  // VAULT_POLICY_SOURCE_LOCATIONS_H_
