#include "vault/policy/source_locations.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/base/logging.h"

namespace vault::policy {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

absl::Status Mistake(absl::string_view file, int line, int column, absl::string_view message) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", line + 1, ":", column + 1, ": ", message));
}

// The values of the enum of a field called `name` somewhere in the file of `root`, or none.
std::vector<std::string> EnumValues(const Descriptor& root, absl::string_view name) {
  std::vector<std::string> values;
  for (int i = 0; i < root.file()->message_type_count(); ++i) {
    const FieldDescriptor* field = root.file()->message_type(i)->FindFieldByName(std::string(name));
    if (field == nullptr || field->enum_type() == nullptr) continue;
    // The first one means that nothing was said.
    for (int v = 1; v < field->enum_type()->value_count(); ++v) {
      values.push_back(field->enum_type()->value(v)->name());
    }
    return values;
  }
  return values;
}

// The parser says what is wrong with a name but not which names there are: this adds them. `*name`
// is the name, where the message is about one.
std::string WithPossibilities(const Descriptor& root, absl::string_view message,
                              std::string* name) {
  std::vector<absl::string_view> parts = absl::StrSplit(message, '"');
  std::vector<std::string> known;
  if (parts.size() == 5 && parts[2] == " has no field named ") {
    const Descriptor* type = root.file()->pool()->FindMessageTypeByName(std::string(parts[1]));
    for (int i = 0; type != nullptr && i < type->field_count(); ++i) {
      known.push_back(type->field(i)->name());
    }
    if (!known.empty()) {
      *name = std::string(parts[3]);
      return absl::StrCat("unknown name \"", parts[3], "\"; one of ", absl::StrJoin(known, ", "));
    }
  }
  if (parts.size() == 5 && parts[2] == " for field ") known = EnumValues(root, parts[3]);
  if (!known.empty()) {
    *name = std::string(parts[1]);
    return absl::StrCat("unknown value \"", parts[1], "\" for ", parts[3], "; one of ",
                        absl::StrJoin(known, ", "));
  }
  return std::string(message);
}

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  FirstError(const Descriptor& root, absl::string_view text)
      : root_(root), lines_(absl::StrSplit(text, '\n')) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!message_.empty()) return;
    line_ = std::max(line, 0);
    column_ = std::max<int>(column, 0);
    std::string name;
    message_ = WithPossibilities(root_, message, &name);
    // The parser repeats what it found, which in the subjects' file may be who somebody is.
    if (root_.name() == "Subjects")
      message_.resize(std::min(message_.size(), message_.find(", got:")));
    // The parser has read past the name by then; step back to it.
    if (name.empty() || line_ >= lines_.size() || column_ > lines_[line_].size()) return;
    const absl::string_view before =
        absl::StripTrailingAsciiWhitespace(lines_[line_].substr(0, column_));
    if (absl::EndsWith(before, name)) column_ = static_cast<int>(before.size() - name.size());
  }

  absl::Status ToStatus(absl::string_view file) const {
    return Mistake(file, line_, column_, message_.empty() ? "cannot be parsed" : message_);
  }

 private:
  const Descriptor& root_;
  const std::vector<absl::string_view> lines_;
  int line_ = 0, column_ = 0;
  std::string message_;
};

}  // namespace

absl::Status ParseText(const Source& source, google::protobuf::Message* message, Tree* tree) {
  const Descriptor& type = *message->GetDescriptor();
  if (absl::StripAsciiWhitespace(source.text).empty()) {
    return Mistake(source.name, 0, 0, absl::StrCat("the file is empty; expected ", type.name()));
  }
  FirstError errors(type, source.text);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.WriteLocationsTo(tree);
  if (!parser.ParseFromString(source.text, message)) return errors.ToStatus(source.name);
  return absl::OkStatus();
}

Node Node::Child(absl::string_view field, int index) const {
  const FieldDescriptor* descriptor =
      message_->GetDescriptor()->FindFieldByName(std::string(field));
  VAULT_CHECK(descriptor != nullptr) << field;
  const google::protobuf::Reflection& reflection = *message_->GetReflection();
  Node child = *this;
  child.self_ = At(field, index);
  child.message_ = index < 0 ? &reflection.GetMessage(*message_, descriptor)
                             : &reflection.GetRepeatedMessage(*message_, descriptor, index);
  child.tree_ = tree_ == nullptr ? nullptr : tree_->GetTreeForNested(descriptor, index);
  return child;
}

Node Node::Named(std::string what) const {
  Node named = *this;
  named.what_ = std::move(what);
  return named;
}

Node::SourceLocation Node::At(absl::string_view field, int index) const {
  const FieldDescriptor* descriptor =
      message_->GetDescriptor()->FindFieldByName(std::string(field));
  VAULT_CHECK(descriptor != nullptr) << field;
  if (tree_ == nullptr) return self_;
  // A list in brackets has one location, its beginning.
  for (int i = index; i >= -1; --i) {
    if (descriptor->is_repeated() && i < 0) break;
    const auto location = tree_->GetLocation(descriptor, i);
    if (location.line >= 0) return SourceLocation{location.line, location.column};
  }
  return self_;
}

int Node::Line(absl::string_view field, int index) const { return At(field, index).line + 1; }

absl::Status Node::Error(absl::string_view message) const { return ErrorAt(self_, message); }

absl::Status Node::ErrorAt(absl::string_view field, int index, absl::string_view message) const {
  return ErrorAt(At(field, index), message);
}

absl::Status Node::ErrorAt(SourceLocation location, absl::string_view message) const {
  if (what_.empty()) return Mistake(file_, location.line, location.column, message);
  return Mistake(file_, location.line, location.column, absl::StrCat(what_, ": ", message));
}

}  // namespace vault::policy
