#include "vault/policy/contact_probes.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace vault::policy {
namespace {

constexpr absl::string_view kTelephones[] = {
    "090-1234-5678",   "03-1234-5678",     "0120-123-456",    "0466-12-3456",     "011-123-4567",
    "+81-3-1234-5678", "+81-90-1234-5678", "81-90-1234-5678", "0081-3-1234-5678", "090-12345678",
};
constexpr absl::string_view kLongNumbers[] = {"983205673214", "9832-0567-3214", "983-205-673-214",
                                              "983205-673214"};
// Plainly fictional; in capitals and otherwise.
constexpr absl::string_view kNames[] = {
    "YAMADA",   "YAMADA-HANAKO", "HANAKO-YAMADA", "YAMADAHANAKO", "SATO",         "山田",
    "山田花子", "山田 花子",     "ヤマダ",        "ヤマダハナコ", "やまだはなこ", "ﾔﾏﾀﾞ",
};
constexpr absl::string_view kEmails[] = {"hanako@example.jp", "HANAKO@EXAMPLE.JP"};
// Something opaque in front or behind hides nothing.
constexpr absl::string_view kPrefixes[] = {"",     "C",   "C-",   "C_",   "C:", "C1-", "C-1-",
                                           "ABC-", "TEL", "TEL-", "TEL:", "c-", "#"};
constexpr absl::string_view kSuffixes[] = {"", "-1", "A", "-A"};
constexpr absl::string_view kSeparators[] = {"-", "", " ", ".", "/", "_", "ー"};

std::string FullWidth(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"0", "０"},
                                    {"1", "１"},
                                    {"2", "２"},
                                    {"3", "３"},
                                    {"4", "４"},
                                    {"5", "５"},
                                    {"6", "６"},
                                    {"7", "７"},
                                    {"8", "８"},
                                    {"9", "９"},
                                    {"-", "－"},
                                    {"+", "＋"}});
}

void Wrapped(absl::string_view what, absl::string_view core, std::vector<ContactProbe>* out) {
  for (absl::string_view prefix : kPrefixes) {
    for (absl::string_view suffix : kSuffixes) {
      out->push_back({what, absl::StrCat(prefix, core, suffix)});
    }
  }
}

void Numbers(absl::string_view what, absl::string_view number, std::vector<ContactProbe>* out) {
  for (absl::string_view separator : kSeparators) {
    Wrapped(what, absl::StrReplaceAll(number, {{"-", separator}}), out);
  }
  Wrapped(what, FullWidth(number), out);
}

}  // namespace

std::vector<ContactProbe> ContactProbes() {
  std::vector<ContactProbe> probes;
  for (absl::string_view number : kTelephones) Numbers("a telephone", number, &probes);
  for (absl::string_view number : kLongNumbers) Numbers("a number of 12 digits", number, &probes);
  for (absl::string_view name : kNames) {
    Wrapped("a name", name, &probes);
    Wrapped("a name", absl::AsciiStrToLower(name), &probes);
  }
  for (absl::string_view email : kEmails) Wrapped("a mail address", email, &probes);
  return probes;
}

}  // namespace vault::policy
