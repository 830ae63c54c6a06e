#include "vault/cmd/vaultctl/key_kinds.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace vault::ctl {
namespace {

namespace api = ::vault::v1;

struct KindName {
  api::KeyKind kind;
  const char* name;
  const char* label;
};

constexpr KindName kKinds[] = {
    {api::KEY_KIND_KEK, "kek", "鍵暗号鍵 kek"},
    {api::KEY_KIND_DEK, "dek", "住民鍵 dek"},
    {api::KEY_KIND_INDEX, "index", "索引鍵 index"},
    {api::KEY_KIND_STORAGE, "storage", "保存鍵 storage"},
    {api::KEY_KIND_ROOT, "root", "ルート鍵 root"},
    {api::KEY_KIND_LOG, "log", "署名鍵 log"},
    {api::KEY_KIND_MAC, "mac", "認証鍵 mac"},
    {api::KEY_KIND_TOKEN, "token", "ページ鍵 token"},
};

const KindName* FindKind(api::KeyKind kind) {
  for (const KindName& known : kKinds) {
    if (known.kind == kind) return &known;
  }
  return nullptr;
}

}  // namespace

std::string KeyKindName(api::KeyKind kind) {
  const KindName* known = FindKind(kind);
  return known == nullptr ? "" : known->name;
}

std::string KeyKindLabel(api::KeyKind kind) {
  const KindName* known = FindKind(kind);
  return known == nullptr ? "不明 unknown" : known->label;
}

absl::StatusOr<api::KeyKind> ReadKeyKind(const Session& session,
                                         std::initializer_list<api::KeyKind> of) {
  const std::string what = session.args().Get("what");
  for (const KindName& known : kKinds) {
    if (what != known.name) continue;
    for (const api::KeyKind kind : of) {
      if (known.kind == kind) return kind;
    }
    if (!session.check()) return known.kind;
  }
  std::vector<std::string> names;
  for (const api::KeyKind kind : of) names.push_back(absl::StrCat("--what ", KeyKindName(kind)));
  if (what == "log") names.push_back("a log's key: keys rotate --what log --compromised");
  return Wrong(what.empty() ? "--what is missing" : "--what does not go with this",
               absl::StrJoin(names, ", "));
}

}  // namespace vault::ctl
