#include "vault/tlog/certificate.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "vault/base/bytes.h"
#include "vault/base/logging.h"
#include "vault/base/status.h"
#include "vault/tlog/lines.h"

namespace vault::tlog {
namespace {

using Certificate = ErasureCertificate;

constexpr absl::string_view kTimeFormat = "%Y-%m-%dT%H:%M:%SZ";
// What every reader of JSON takes for the same number.
constexpr uint64_t kNumberMax = (uint64_t{1} << 53) - 1;

absl::Status Invalid(absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("erasure certificate: ", problem));
}

std::string FormatSeconds(absl::Time time) {
  return absl::FormatTime(kTimeFormat, time, absl::UTCTimeZone());
}

std::string InJapan(absl::Time time) {
  return absl::FormatTime("%Y年%m月%d日%H時%M分%S秒", time, absl::FixedTimeZone(9 * 60 * 60));
}

std::string String(absl::string_view value) {
  std::string out = "\"";
  for (char c : value) {
    VAULT_CHECK(static_cast<uint8_t>(c) >= 0x20);
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string Number(uint64_t value) {
  VAULT_CHECK(value <= kNumberMax);
  return absl::StrCat(value);
}

std::string Numbers(const std::vector<uint32_t>& values) {
  return absl::StrCat("[", absl::StrJoin(values, ","), "]");
}

absl::string_view YesNo(bool yes) { return yes ? "yes" : "no"; }

absl::string_view CopiesName(Certificate::Copies copies) {
  switch (copies) {
    case Certificate::Copies::kNoneInVault:
      return "vault";
    case Certificate::Copies::kNoneAttested:
      return "attested";
    default:
      return "no";
  }
}

// Reads a flat object of strings, numbers and lists of numbers; each value as it stands. What it
// lets through that the format does not have is found by writing it again.
class ObjectReader {
 public:
  explicit ObjectReader(absl::string_view text) : rest_(text) {}

  bool Read(std::map<std::string, std::string>* members) {
    if (!absl::ConsumePrefix(&rest_, "{")) return false;
    do {
      std::string name, value;
      if (!ReadString(&name) || !absl::ConsumePrefix(&rest_, ":") || !ReadValue(&value) ||
          !members->emplace(std::move(name), std::move(value)).second) {
        return false;
      }
    } while (absl::ConsumePrefix(&rest_, ","));
    return absl::ConsumePrefix(&rest_, "}") && rest_.empty();
  }

 private:
  bool ReadValue(std::string* value) {
    if (absl::StartsWith(rest_, "\"")) return ReadString(value);
    const bool list = absl::ConsumePrefix(&rest_, "[");
    const size_t size = std::min(rest_.find_first_not_of("0123456789,", 0), rest_.size());
    absl::string_view digits = rest_.substr(0, size);
    // Behind a number of its own the comma is the object's.
    if (!list) digits = digits.substr(0, digits.find(','));
    *value = std::string(digits);
    rest_.remove_prefix(digits.size());
    return list ? absl::ConsumePrefix(&rest_, "]") : !value->empty();
  }

  bool ReadString(std::string* value) {
    if (!absl::ConsumePrefix(&rest_, "\"")) return false;
    while (!rest_.empty() && rest_[0] != '"') {
      if (rest_[0] == '\\') rest_.remove_prefix(1);
      if (rest_.empty()) return false;
      value->push_back(rest_[0]);
      rest_.remove_prefix(1);
    }
    return absl::ConsumePrefix(&rest_, "\"");
  }

  absl::string_view rest_;
};

// The members of one certificate; once one is missing or of another form it stays failed.
class Members {
 public:
  explicit Members(std::map<std::string, std::string> values) : values_(std::move(values)) {}

  bool Has(const std::string& name) const { return values_.count(name) != 0; }
  std::string Text(const std::string& name) {
    const auto it = values_.find(name);
    if (it != values_.end()) return it->second;
    failed_ = true;
    return "";
  }
  uint64_t Uint(const std::string& name, uint64_t max = kNumberMax) {
    uint64_t number = 0;
    if (!ParseNumber(Text(name), &number) || number > max) failed_ = true;
    return failed_ ? 0 : number;
  }
  std::vector<uint32_t> List(const std::string& name) {
    std::vector<uint32_t> list;
    const std::string text = Text(name);
    absl::string_view rest = text;
    while (!rest.empty() && !failed_) {
      uint64_t number = 0;
      const absl::string_view item = rest.substr(0, rest.find(','));
      if (!ParseNumber(item, &number) || number > UINT32_MAX) failed_ = true;
      list.push_back(static_cast<uint32_t>(number));
      rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    }
    return list;
  }
  absl::Time Time(const std::string& name) {
    absl::Time time;
    std::string error;
    const std::string text = Text(name);
    if (!absl::ParseTime(kTimeFormat, text, &time, &error) || time < absl::UnixEpoch() ||
        text.size() != 20) {
      failed_ = true;
    }
    return failed_ ? absl::UnixEpoch() : time;
  }
  crypto::Digest Digest(const std::string& name) {
    crypto::Digest digest = {};
    if (!HexToBytes(Text(name), absl::MakeSpan(digest))) failed_ = true;
    return digest;
  }
  bool failed() const { return failed_; }

 private:
  const std::map<std::string, std::string> values_;
  bool failed_ = false;
};

// What no erasure can be, though it has the form.
absl::Status CheckFacts(const Certificate& c) {
  if (!IsNoteName(c.origin)) return Invalid("names no log");
  if (!c.earlier_origin.empty() &&
      (!IsNoteName(c.earlier_origin) || c.earlier_origin == c.origin || c.inclusion.has_value())) {
    return Invalid("an earlier log that is none");
  }
  if (c.kek_version == 0 || c.index_generation == 0) return Invalid("a key version of 0");
  const auto ascend_to = [](const std::vector<uint32_t>& left, uint32_t last) {
    for (size_t i = 0; i < left.size(); ++i) {
      if (left[i] == 0 || left[i] > last || (i > 0 && left[i] <= left[i - 1])) return false;
    }
    return true;
  };
  if (!ascend_to(c.keks_left, c.kek_version) || !ascend_to(c.indexes_left, c.index_generation)) {
    return Invalid("key versions that are none of this resident's");
  }
  const bool all_destroyed = c.kek_destroyed() && c.index_destroyed();
  if (all_destroyed != (c.keyring_needed != 0)) {
    return Invalid("the keyring's serial is there without, or missing with, destroyed keys");
  }
  if (c.inclusion.has_value() && c.entry >= c.inclusion->tree_size) {
    return Invalid("a tree without the entry");
  }
  return absl::OkStatus();
}

}  // namespace

Certificate::Copies Certificate::copies() const {
  if (!kek_destroyed() || !index_destroyed() || copies_in_vault != 0) return Copies::kPresent;
  return attested >= keyring_needed ? Copies::kNoneAttested : Copies::kNoneInVault;
}

std::string CertificateTextJa(const Certificate& c) {
  std::string out = absl::StrCat(
      "市区町村コード", c.tenant.str(), "の住民（管理番号", c.resident.ToHex(), "）の記録は、",
      InJapan(c.erased), "（日本時間）に消去されました。データ鍵、すべての項目、検索用の索引は、",
      "一度の書き込みでまとめて消されています。この消去は、監査ログ", c.entry_origin(), "の",
      c.entry,
      "番の記録にあります。昔のバックアップからも誰にも読めなくなるのは、次の三つがそろったときです"
      "。");
  const auto keys = [&](absl::string_view what, uint32_t last, const std::vector<uint32_t>& left) {
    absl::StrAppend(&out, what, "（", last, "番まで）の破棄：");
    if (left.empty()) {
      absl::StrAppend(&out, "済み。");
    } else {
      absl::StrAppend(&out, "未了（残り：", absl::StrJoin(left, "、"), "番）。");
    }
  };
  keys("一、記録の鍵を包む鍵", c.kek_version, c.keks_left);
  keys("二、索引の鍵", c.index_generation, c.indexes_left);
  absl::StrAppend(&out, "三、破棄した鍵を含む鍵束の写しの廃棄：");
  switch (c.copies()) {
    case Certificate::Copies::kNoneAttested:
      absl::StrAppend(&out, "済み（通し番号", c.attested, "より前の写しの廃棄を二名が確認）。",
                      "この住民の記録は、もう誰にも読めません。状態：最終");
      return out;
    case Certificate::Copies::kNoneInVault:
      absl::StrAppend(&out, "保管庫の中は済み。外部の写し（通し番号", c.keyring_needed,
                      "より前）は未確認。");
      break;
    case Certificate::Copies::kPresent:
      absl::StrAppend(&out, "未了（保管庫の中に", c.copies_in_vault, "件）。");
      break;
  }
  absl::StrAppend(&out, "それまでは、昔のバックアップと鍵束の写しとルート鍵がそろえば、",
                  "この記録を読むことができます。状態：未完了");
  return out;
}

std::string CertificateTextEn(const Certificate& c) {
  std::string out = absl::StrCat(
      "The record of resident ", c.resident.ToHex(), " of municipality ", c.tenant.str(),
      " was erased at ", FormatSeconds(c.erased),
      ": its data key, all of its fields and its index tags, in one write. Entry ", c.entry,
      " of the audit log ", c.entry_origin(),
      " says so. Nobody can read it from an old backup either once these three are done. ");
  const auto keys = [&](absl::string_view what, uint32_t last, const std::vector<uint32_t>& left) {
    absl::StrAppend(&out, what, " up to ", last, " destroyed: ");
    if (left.empty()) {
      absl::StrAppend(&out, "yes. ");
    } else {
      absl::StrAppend(&out, "no (left: ", absl::StrJoin(left, ", "), "). ");
    }
  };
  keys("(1) Key encryption keys", c.kek_version, c.keks_left);
  keys("(2) Index keys", c.index_generation, c.indexes_left);
  absl::StrAppend(&out, "(3) Copies of the keyring that hold a destroyed key gone: ");
  switch (c.copies()) {
    case Certificate::Copies::kNoneAttested:
      absl::StrAppend(&out, "yes (two people attested it for every copy before serial ", c.attested,
                      "). Nobody can read this record any more. Status: final");
      return out;
    case Certificate::Copies::kNoneInVault:
      absl::StrAppend(&out, "in the vault yes; of copies elsewhere (before serial ",
                      c.keyring_needed, ") nobody has attested it. ");
      break;
    case Certificate::Copies::kPresent:
      absl::StrAppend(&out, "no (in the vault: ", c.copies_in_vault, "). ");
      break;
  }
  absl::StrAppend(&out,
                  "Until then an old backup, a copy of the keyring and the root key together can "
                  "read it. Status: not final");
  return out;
}

std::string FormatCertificate(const Certificate& c) {
  std::map<std::string, std::string> members = {
      {"attested", Number(c.attested)},
      {"copies_gone", String(CopiesName(c.copies()))},
      {"copies_in_vault", Number(c.copies_in_vault)},
      {"entry", Number(c.entry)},
      {"erased", String(FormatSeconds(c.erased))},
      {"index_destroyed", String(YesNo(c.index_destroyed()))},
      {"index_generation", Number(c.index_generation)},
      {"index_left", Numbers(c.indexes_left)},
      {"issued", String(FormatSeconds(c.issued))},
      {"kek_destroyed", String(YesNo(c.kek_destroyed()))},
      {"kek_left", Numbers(c.keks_left)},
      {"kek_version", Number(c.kek_version)},
      {"keyring_needed", Number(c.keyring_needed)},
      {"origin", String(c.origin)},
      {"record_version", Number(c.record_version)},
      {"resident", String(c.resident.ToHex())},
      {"root_generation", Number(c.root_generation)},
      {"status", String(c.final() ? "final" : "open")},
      {"tenant", String(c.tenant.str())},
      {"text_en", String(CertificateTextEn(c))},
      {"text_ja", String(CertificateTextJa(c))},
  };
  if (!c.earlier_origin.empty()) members["earlier_origin"] = String(c.earlier_origin);
  if (c.inclusion.has_value()) {
    members["entry_leaf"] = String(BytesToHex(c.inclusion->leaf));
    members["tree_root"] = String(BytesToHex(c.inclusion->tree_root));
    members["tree_size"] = Number(c.inclusion->tree_size);
  }
  // A map sorts by bytes, as the format wants it.
  return absl::StrCat(kErasureTitle, "\n{",
                      absl::StrJoin(members, ",",
                                    [](std::string* out, const auto& member) {
                                      absl::StrAppend(out, "\"", member.first,
                                                      "\":", member.second);
                                    }),
                      "}\n");
}

absl::StatusOr<Certificate> ParseCertificate(absl::string_view text) {
  const absl::string_view whole = text;
  std::map<std::string, std::string> values;
  if (!absl::ConsumePrefix(&text, absl::StrCat(kErasureTitle, "\n")) ||
      !absl::ConsumeSuffix(&text, "\n")) {
    return Invalid("is another text");
  }
  if (!ObjectReader(text).Read(&values)) return Invalid("is no object of its form");
  Members m(std::move(values));
  const absl::StatusOr<TenantId> tenant = TenantId::Parse(m.Text("tenant"));
  const absl::StatusOr<ResidentId> resident = ResidentId::Parse(m.Text("resident"));
  if (!tenant.ok() || !resident.ok()) return Invalid("names no resident");
  Certificate c;
  c.tenant = *tenant;
  c.resident = *resident;
  c.record_version = m.Uint("record_version");
  c.erased = m.Time("erased");
  c.issued = m.Time("issued");
  c.origin = m.Text("origin");
  c.entry = m.Uint("entry");
  if (m.Has("earlier_origin")) c.earlier_origin = m.Text("earlier_origin");
  if (m.Has("entry_leaf")) {
    c.inclusion =
        Certificate::Inclusion{m.Digest("entry_leaf"), m.Uint("tree_size"), m.Digest("tree_root")};
  }
  c.kek_version = m.Uint("kek_version", UINT32_MAX);
  c.index_generation = m.Uint("index_generation", UINT32_MAX);
  c.keks_left = m.List("kek_left");
  c.indexes_left = m.List("index_left");
  c.keyring_needed = m.Uint("keyring_needed");
  c.copies_in_vault = m.Uint("copies_in_vault");
  c.attested = m.Uint("attested");
  c.root_generation = m.Uint("root_generation", UINT32_MAX);
  if (m.failed()) return Invalid("a member is missing or of another form");
  RETURN_IF_ERROR(CheckFacts(c));
  if (FormatCertificate(c) != whole) return Invalid("says otherwise than its own facts");
  return c;
}

absl::StatusOr<Certificate> VerifyCertificate(absl::string_view bytes, const VerifierKey& key) {
  ASSIGN_OR_RETURN(const Note note, ParseNote(bytes));
  ASSIGN_OR_RETURN(Certificate certificate, ParseCertificate(note.text));
  RETURN_IF_ERROR(VerifyNote(note, key));
  if (certificate.origin != key.name) {
    return absl::DataLossError("erasure certificate: it names another log than the key is of");
  }
  return certificate;
}

}  // namespace vault::tlog
