#include "vault/cmd/vault-verify/report.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "vault/base/logging.h"
#include "vault/cli/json.h"
#include "vault/cli/visible.h"
#include "vault/tlog/entry.h"

namespace vault::verify {
namespace {

using tlog::LogReport;
using tlog::ProofReport;
using tlog::Verdict;

struct VerdictText {
  const char* word;
  const char* english;
  const char* japanese;
};

VerdictText TextOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return {"good", "every entry is as it was signed",
              "正常 — すべての記録が署名されたとおりです"};
    case Verdict::kBroken:
      return {"broken", "something does not hold", "異常 — 記録または署名が正しくありません"};
    case Verdict::kRolledBack:
      return {"rolled back", "entries that there were are not here",
              "巻き戻し、または欠落 — 以前にあった記録がありません"};
    case Verdict::kForked:
      return {"forked", "this is another history than the one signed before",
              "分岐 — 以前に署名された履歴と異なります"};
  }
  VAULT_CHECK(false);
}

std::string RangeText(const tlog::KeyChain::Link& link) {
  if (link.first > link.last) return "no size";
  return link.last == UINT64_MAX ? absl::StrCat("from size ", link.first)
                                 : absl::StrCat("sizes ", link.first, " to ", link.last);
}

// Lines of "name  value". What stands in an entry may have been written by whoever is under
// suspicion, to move a terminal's cursor: it is made visible.
class Lines {
 public:
  explicit Lines(std::ostream& out) : out_(out) {}
  void Add(absl::string_view name, absl::string_view value) {
    out_ << absl::StrFormat("  %-12s%s\n", name, cli::Visible(value));
  }

 private:
  std::ostream& out_;
};

std::string RootText(const tlog::Checkpoint& checkpoint) {
  return tlog::Base64(crypto::AsView(checkpoint.root));
}

void PrintWitnesses(const std::vector<tlog::CheckedWitness>& witnesses, Lines* lines) {
  for (const tlog::CheckedWitness& witness : witnesses) {
    lines->Add("witness", absl::StrCat(witness.key.name, ": ",
                                       witness.time.has_value()
                                           ? absl::StrCat("cosigned ", cli::TimeText(*witness.time))
                                           : "has not cosigned"));
  }
}

std::vector<std::string> WitnessesJson(const std::vector<tlog::CheckedWitness>& witnesses) {
  std::vector<std::string> list;
  for (const tlog::CheckedWitness& witness : witnesses) {
    cli::JsonObject json;
    json.Text("vkey", witness.key.Format()).Truth("cosigned", witness.time.has_value());
    if (witness.time.has_value()) json.Text("time", cli::TimeText(*witness.time));
    list.push_back(json.Done());
  }
  return list;
}

std::vector<std::string> NoticesJson(const std::vector<std::string>& notices) {
  std::vector<std::string> list;
  for (const std::string& notice : notices) list.push_back(cli::JsonString(notice));
  return list;
}

void PrintVerdict(Verdict verdict, absl::string_view problem, std::ostream& out) {
  const VerdictText text = TextOf(verdict);
  out << text.word << ": " << text.english << "\n結果: " << text.japanese << "\n";
  if (!problem.empty()) out << "\n  " << cli::Visible(problem) << "\n";
  out << "\n";
}

std::string CheckedText(const LogReport& report, absl::Duration took) {
  std::string text = absl::StrCat(report.entries_checked, " entries (", report.entry_bytes,
                                  " bytes), ", report.tiles_checked, " tiles");
  const double seconds = absl::ToDoubleSeconds(took);
  if (seconds > 0) {
    absl::StrAppendFormat(&text, " in %.2f s: %.0f entries/s, %.0f MB/s", seconds,
                          static_cast<double>(report.entries_checked) / seconds,
                          static_cast<double>(report.entry_bytes) / seconds / 1e6);
  }
  return text;
}

}  // namespace

ExitCode ToExitCode(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return kGood;
    case Verdict::kBroken:
      return kBroken;
    case Verdict::kRolledBack:
      return kRolledBack;
    case Verdict::kForked:
      return kForked;
  }
  VAULT_CHECK(false);
}

void PrintLogText(const LogReport& report, absl::Duration took, std::ostream& out) {
  PrintVerdict(report.verdict, report.problem, out);
  Lines lines(out);
  if (report.checkpoint.has_value()) {
    lines.Add("log", report.checkpoint->origin);
    lines.Add("size", absl::StrCat(report.checkpoint->size));
    lines.Add("root", RootText(*report.checkpoint));
  }
  lines.Add("checked", CheckedText(report, took));
  if (report.last_time.has_value()) lines.Add("last entry", cli::TimeText(*report.last_time));
  if (report.pruned.has_value()) {
    lines.Add("pruned", absl::StrCat("entries 0 to ", report.pruned->begin - 1, ", older than ",
                                     cli::TimeText(report.pruned->before), "; ",
                                     report.entries_absent, " of them are not here"));
  }
  for (const tlog::KeyChain::Link& link : report.keys) {
    lines.Add("key", absl::StrCat(link.key.Format(), " (", RangeText(link),
                                  report.signer == link.key ? "; signed this" : "", ")"));
  }
  PrintWitnesses(report.witnesses, &lines);
  if (report.old_checkpoints_held > 0) {
    lines.Add("compared",
              absl::StrCat("goes on from ", report.old_checkpoints_held, " earlier checkpoint",
                           report.old_checkpoints_held > 1 ? "s" : ""));
  }
  for (const std::string& notice : report.notices) lines.Add("notice", notice);
}

void PrintLogJson(const LogReport& report, absl::Duration took, std::ostream& out) {
  cli::JsonObject json;
  json.Text("verdict", TextOf(report.verdict).word).Number("exit", ToExitCode(report.verdict));
  if (!report.problem.empty()) json.Text("problem", report.problem);
  if (report.checkpoint.has_value()) {
    json.Text("origin", report.checkpoint->origin)
        .Number("size", report.checkpoint->size)
        .Text("root", RootText(*report.checkpoint));
  }
  json.Number("entries_checked", report.entries_checked)
      .Number("entry_bytes", report.entry_bytes)
      .Number("tiles_checked", report.tiles_checked)
      .Number("checkpoints_compared", report.old_checkpoints_held);
  if (report.last_time.has_value()) json.Text("last_time", cli::TimeText(*report.last_time));
  if (report.pruned.has_value()) {
    cli::JsonObject pruned;
    pruned.Number("begin", report.pruned->begin)
        .Text("before", cli::TimeText(report.pruned->before))
        .Number("entries_absent", report.entries_absent);
    json.Object("pruned", pruned);
  }
  std::vector<std::string> keys;
  for (const tlog::KeyChain::Link& link : report.keys) {
    cli::JsonObject key;
    key.Text("vkey", link.key.Format()).Number("first_size", link.first);
    if (link.last != UINT64_MAX) key.Number("last_size", link.last);
    keys.push_back(
        key.Truth("given", link.given).Truth("signed", report.signer == link.key).Done());
  }
  json.List("keys", keys).List("witnesses", WitnessesJson(report.witnesses));
  json.List("notices", NoticesJson(report.notices));
  if (took > absl::ZeroDuration()) json.Number("micros", absl::ToInt64Microseconds(took));
  out << json.Done() << "\n";
}

Verdict VerdictOf(const absl::StatusOr<ProofReport>& report) {
  if (report.ok()) return Verdict::kGood;
  return absl::IsOutOfRange(report.status()) ? Verdict::kRolledBack : Verdict::kBroken;
}

void PrintProofText(const absl::StatusOr<ProofReport>& report, std::ostream& out) {
  if (!report.ok()) return PrintVerdict(VerdictOf(report), report.status().message(), out);
  out << "good: the entry stands in the log, as it was signed\n"
         "結果: 正常 — この記録は署名されたとおりにログに含まれています\n\n";
  const absl::StatusOr<tlog::Entry> entry = tlog::Decode(report->entry);
  VAULT_CHECK(entry.ok()) << "a checked entry decodes";
  Lines lines(out);
  lines.Add("log", report->checkpoint.origin);
  lines.Add("size", absl::StrCat(report->checkpoint.size));
  lines.Add("entry", absl::StrCat(report->index));
  lines.Add("time", cli::TimeText(entry->place.time));
  lines.Add("action", entry->fields.action);
  lines.Add("outcome", entry->fields.outcome);
  PrintWitnesses(report->witnesses, &lines);
  for (const std::string& notice : report->notices) lines.Add("notice", notice);
}

void PrintProofJson(const absl::StatusOr<ProofReport>& report, std::ostream& out) {
  cli::JsonObject json;
  if (!report.ok()) {
    json.Text("verdict", TextOf(VerdictOf(report)).word)
        .Number("exit", ToExitCode(VerdictOf(report)))
        .Text("problem", report.status().message());
  } else {
    const absl::StatusOr<tlog::Entry> entry = tlog::Decode(report->entry);
    VAULT_CHECK(entry.ok()) << "a checked entry decodes";
    json.Text("verdict", TextOf(Verdict::kGood).word)
        .Number("exit", kGood)
        .Text("origin", report->checkpoint.origin)
        .Number("size", report->checkpoint.size)
        .Text("root", RootText(report->checkpoint))
        .Number("index", report->index)
        .Text("time", cli::TimeText(entry->place.time))
        .Text("action", entry->fields.action)
        .Text("outcome", entry->fields.outcome)
        .List("witnesses", WitnessesJson(report->witnesses))
        .List("notices", NoticesJson(report->notices));
  }
  out << json.Done() << "\n";
}

void PrintCertificateText(const absl::StatusOr<tlog::ErasureCertificate>& certificate,
                          std::ostream& out) {
  if (!certificate.ok()) {
    return PrintVerdict(Verdict::kBroken, certificate.status().message(), out);
  }
  out << "good: the log's key signed this certificate\n"
         "結果: 正常 — この証明書はログの鍵で署名されたとおりです\n\n";
  Lines lines(out);
  lines.Add("log", certificate->entry_origin());
  lines.Add("entry", absl::StrCat(certificate->entry));
  if (certificate->inclusion.has_value()) {
    lines.Add("leaf", tlog::Base64(crypto::AsView(certificate->inclusion->leaf)));
  }
  lines.Add("issued", cli::TimeText(certificate->issued));
  lines.Add("status", certificate->final() ? "final" : "not final");
  out << "\n"
      << tlog::CertificateTextJa(*certificate) << "\n"
      << tlog::CertificateTextEn(*certificate) << "\n";
}

void PrintCertificateJson(const absl::StatusOr<tlog::ErasureCertificate>& certificate,
                          std::ostream& out) {
  cli::JsonObject json;
  if (!certificate.ok()) {
    json.Text("verdict", TextOf(Verdict::kBroken).word)
        .Number("exit", kBroken)
        .Text("problem", certificate.status().message());
  } else {
    json.Text("verdict", TextOf(Verdict::kGood).word)
        .Number("exit", kGood)
        .Truth("final", certificate->final())
        .Text("tenant", certificate->tenant.str())
        .Text("resident", certificate->resident.ToHex())
        .Text("origin", certificate->entry_origin())
        .Number("entry", certificate->entry)
        .Text("erased", cli::TimeText(certificate->erased))
        .Text("issued", cli::TimeText(certificate->issued))
        .Truth("kek_destroyed", certificate->kek_destroyed())
        .Truth("index_destroyed", certificate->index_destroyed());
    if (certificate->inclusion.has_value()) {
      json.Text("leaf", tlog::Base64(crypto::AsView(certificate->inclusion->leaf)));
    }
  }
  out << json.Done() << "\n";
}

}  // namespace vault::verify
