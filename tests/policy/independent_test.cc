// The service's side of tests/policy/independent.py, which runs it with VAULT_DECIDER_DIR: reads
// policies and requests of that folder's requests.tsv, writes what is decided to decisions.tsv, a
// line for each.
//
//   P  schema  policy  tenants  subjects                                    each as textproto
//   R  subject  action  tenant  programme  purpose  contact  reason  searched  changed  asked
//
// Columns are separated by tabs, fields within one by commas; empty: not said. A subject is an id
// of the subjects' file or "seat:ROLE:TENANT:PROGRAMME".
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vault/policy/policy.h"

namespace vault::policy {
namespace {

using Columns = std::vector<std::string>;

std::string LineOf(absl::Status status) {
  std::string line = status.ToString();
  for (char& c : line) c = c == '\n' || c == '\t' ? ' ' : c;
  return line;
}

// -1 for a field that the schema does not have.
std::vector<int> Indexes(const Schema& schema, absl::string_view ids) {
  std::vector<int> out;
  for (absl::string_view id : absl::StrSplit(ids, ',', absl::SkipEmpty())) {
    const FieldSpec* field = schema.Find(id);
    out.push_back(field == nullptr ? -1 : field->index);
  }
  return out;
}

// What a seat is to a policy.
Subject OfSeat(absl::string_view seat) {
  const std::vector<std::string> parts = absl::StrSplit(seat, ':');
  Subject subject;
  subject.id = "urn:vault:holder";
  subject.role = parts.at(1);
  subject.tenants = {TenantId::Parse(parts.at(2)).value()};
  subject.programmes = {parts.at(3)};
  return subject;
}

// Three columns: whether it escalates, the fields with how much of each, the criteria.
std::string Describe(const Schema& schema, const View& view) {
  constexpr absl::string_view kWords[] = {"", "unseen", "masked", "full"};
  std::vector<std::string> shown, match;
  for (const FieldSpec& field : schema.fields()) {
    const Disclosure disclosure = view.fields.at(field.index);
    if (disclosure != Disclosure::kWithheld) {
      shown.push_back(absl::StrCat(field.id, ":", kWords[static_cast<int>(disclosure)]));
    }
    if ((view.match >> field.index & 1) != 0) match.push_back(field.id);
  }
  return absl::StrCat(view.escalate ? "escalate" : "view", "\t", absl::StrJoin(shown, ","), "\t",
                      absl::StrJoin(match, ","));
}

std::string Describe(const Schema& schema, const Decision& d) {
  const std::string programmes = absl::StrJoin(d.programmes, ",");
  if (!d.allow) {
    return absl::StrCat("deny\t", d.rule, "\t", absl::StrJoin(d.refused_fields, ","), "\t",
                        programmes);
  }
  std::string line =
      absl::StrCat("allow\t", d.rule, "\t", programmes, "\t", d.guesses ? "guesses" : "-", "\t",
                   d.lookup_matches_max, "\t", d.attempts.burst, "/", d.attempts.per_hour);
  for (const View& view : d.views) absl::StrAppend(&line, "\t", Describe(schema, view));
  return line;
}

std::string Decided(const PolicySet& set, const Columns& c) {
  Subject of_seat;
  Request request;
  request.subject = set.FindSubject(c.at(1));
  if (absl::StartsWith(c.at(1), "seat:")) {
    of_seat = OfSeat(c.at(1));
    request.subject = &of_seat;
  }
  request.action = ParseAction(c.at(2)).value();
  request.has_tenant = !c.at(3).empty();
  if (request.has_tenant) request.tenant = TenantId::Parse(c.at(3)).value();
  request.programme = c.at(4);
  request.purpose = c.at(5);
  request.contact = c.at(6);
  request.reason = c.at(7);
  request.searched = Indexes(set.schema(), c.at(8));
  request.changed = Indexes(set.schema(), c.at(9));
  request.asked = Indexes(set.schema(), c.at(10));
  return Describe(set.schema(), set.Decide(request));
}

TEST(Independent, DecidesAsTheOtherImplementation) {
  const char* const directory = std::getenv("VAULT_DECIDER_DIR");
  if (directory == nullptr) GTEST_SKIP() << "no VAULT_DECIDER_DIR; policy_independent runs this";
  std::ifstream in(absl::StrCat(directory, "/requests.tsv"));
  std::ofstream out(absl::StrCat(directory, "/decisions.tsv"));
  ASSERT_TRUE(in.is_open() && out.is_open()) << directory;
  std::unique_ptr<const PolicySet> set;
  for (std::string line; std::getline(in, line);) {
    const Columns columns = absl::StrSplit(line, '\t');
    if (columns[0] == "P") {
      ASSERT_EQ(columns.size(), 5) << line;
      auto loaded = PolicySet::Load({{"schema.textproto", columns[1]},
                                     {"policy.textproto", columns[2]},
                                     {"tenants.textproto", columns[3]},
                                     {"subjects.textproto", columns[4]},
                                     {}});
      out << (loaded.ok() ? "loaded" : LineOf(loaded.status())) << '\n';
      set = loaded.ok() ? *std::move(loaded) : nullptr;
      continue;
    }
    ASSERT_EQ(columns.size(), 11) << line;
    out << (set == nullptr ? "no policy" : Decided(*set, columns)) << '\n';
  }
  ASSERT_TRUE(out.flush().good());
}

}  // namespace
}  // namespace vault::policy
