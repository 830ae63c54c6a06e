// Every mistake in a policy stops the start, with its place and what was expected.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/testing/fakes.h"
#include "vault/policy/contact_probes.h"
#include "vault/policy/policy.h"
#include "vault/text/text.h"

namespace vault::policy {
namespace {

// A small policy whose every line a case below can spoil; lines are counted from 1 at the first.
constexpr char kSchema[] = R"(fields {
  id: "name" number: 1 type: FIELD_TYPE_NAME required: true searchable: true
  max_bytes: 100 mask: MASK_ALL label_ja: "氏名" label_en: "name"
}
fields {
  id: "phone" number: 2 type: FIELD_TYPE_PHONE searchable: true
  max_bytes: 64 mask: MASK_LAST_4 label_ja: "電話" label_en: "telephone"
}
fields {
  id: "memo" number: 3 type: FIELD_TYPE_FREE_TEXT max_bytes: 8192 label_ja: "メモ" label_en: "memo"
}
fields {
  id: "protection" number: 4 type: FIELD_TYPE_PROTECTION
  max_bytes: 64 mask: MASK_EXISTENCE label_ja: "支援措置" label_en: "protection"
}
)";

constexpr char kPolicy[] = R"(purposes: ["booking", "complaint"]
reasons: "read_back"
contact_pattern: "[A-Z]-[0-9]{1,8}"
limits {
  lookup_matches_max: 20
  refusal_burst: 30
  refusals_per_minute: 10
  request_id_hours: 24
  clock_jump_seconds_max: 3600 attempts { burst: 30 per_hour: 60 }
}
roles {
  id: "desk" label_ja: "窓口" label_en: "desk"
  actions: "resident.lookup"
  actions: "resident.update"
  purposes: "booking"
  search_fields: "name"
  change_fields: "phone"
  fields { field: "name" disclosure: DISCLOSURE_FULL }
  fields { field: "phone" disclosure: DISCLOSURE_MASKED }
  protected_resident {
    fields { field: "phone" disclosure: DISCLOSURE_MASKED }
  }
}
roles {
  id: "auditor" label_ja: "監査" label_en: "auditor"
  actions: "audit.list"
}
roles {
  id: "keeper" label_ja: "鍵" label_en: "keeper"
  actions: "key.status"
  actions: "audit.head"
  service_log: true
}
)";

constexpr char kTenants[] =
    R"(tenants { id: "131164" label_ja: "豊島区" label_en: "Toshima" )"
    R"(programmes { id: "surge_1" end_date: "2027-03-31" label_ja: "接種" label_en: "surge" } }
tenants { id: "141003" label_ja: "横浜市" label_en: "Yokohama" }
)";

constexpr char kSubjects[] =
    R"(subjects { id: "urn:vault:one" role: "desk" tenants: "131164" programmes: "surge_1" }
subjects { id: "urn:vault:two" role: "keeper" tenants: "*" }
)";

Sources Good() {
  return {{"schema.textproto", kSchema},
          {"policy.textproto", kPolicy},
          {"tenants.textproto", kTenants},
          {"subjects.textproto", kSubjects}};
}

enum Which { kInSchema, kInPolicy, kInTenants, kInSubjects };

Source& Pick(Sources& sources, Which which) {
  switch (which) {
    case kInSchema:
      return sources.schema;
    case kInPolicy:
      return sources.policy;
    case kInTenants:
      return sources.tenants;
    default:
      return sources.subjects;
  }
}

// `from`, which stands once in the file, becomes `to`; the message is `golden`.
struct Mistake {
  Which which;
  const char* from;
  const char* to;
  const char* golden;
};

const Mistake kMistakes[] = {
    // Text that is no textproto of this shape.
    {kInSchema, "required: true", "requird: true",
     "schema.textproto:2:46: unknown name \"requird\"; one of id, number, type, required, "
     "searchable, unique, max_bytes, mask, label_ja, label_en"},
    {kInSchema, "FIELD_TYPE_PHONE", "FIELD_TYPE_FAX",
     "schema.textproto:6:31: unknown value \"FIELD_TYPE_FAX\" for type; one of FIELD_TYPE_NAME, "
     "FIELD_TYPE_DATE, FIELD_TYPE_SEX, FIELD_TYPE_PHONE, FIELD_TYPE_EMAIL, FIELD_TYPE_POSTAL_CODE, "
     "FIELD_TYPE_ADDRESS, FIELD_TYPE_OPAQUE_NUMBER, FIELD_TYPE_TICKET, FIELD_TYPE_FREE_TEXT, "
     "FIELD_TYPE_PROTECTION"},
    {kInSchema, "number: 2", "number: \"2\"",
     "schema.textproto:6:23: Expected integer, got: \"2\""},
    {kInSchema, "number: 2", "number: 2 number: 5",
     "schema.textproto:6:31: Non-repeated field \"number\" is specified multiple times."},
    {kInPolicy, "disclosure: DISCLOSURE_MASKED }\n  protected", "disclosure: SHOWN }\n  protected",
     "policy.textproto:19:39: unknown value \"SHOWN\" for disclosure; one of DISCLOSURE_FULL, "
     "DISCLOSURE_MASKED, DISCLOSURE_UNSEEN"},
    {kInPolicy, "limits {", "limits {{", "policy.textproto:4:9: Expected identifier, got: {"},
    {kInPolicy, "service_log: true\n}", "service_log: true\n",
     "policy.textproto:34:1: Expected identifier, got: "},
    {kInPolicy, "service_log: true", "service_log: maybe",
     "policy.textproto:33:1: Invalid value for boolean field \"service_log\". Value: \"maybe\"."},
    {kInTenants, "id: \"141003\"", "id: 141003",
     "tenants.textproto:2:15: Expected string, got: 141003"},
    {kInSubjects, "role: \"desk\"", "role: \"desk", "subjects.textproto:1:54: Expected identifier"},

    // Schema.
    {kInSchema, "\"memo\"", "\"Memo\"",
     "schema.textproto:10:3: field id \"Memo\": expected a lower-case letter, then letters, digits "
     "and _, at most 32"},
    {kInSchema, "\"memo\"", "\"\"",
     "schema.textproto:10:3: field id \"\": expected a lower-case letter, then letters, digits and "
     "_, at most 32"},
    {kInSchema, "id: \"memo\"", "id: \"a23456789012345678901234567890123\"",
     "schema.textproto:10:3: field id \"a23456789012345678901234567890123\": expected a lower-case "
     "letter, then letters, digits and _, at most 32"},
    {kInSchema, "id: \"memo\"", "id: \"phone\"",
     "schema.textproto:10:3: field \"phone\": the id stands twice; expected each once"},
    {kInSchema, "number: 3", "number: 2",
     "schema.textproto:10:14: field \"memo\": number 2 belongs to \"phone\"; numbers are never "
     "reused"},
    {kInSchema, "number: 3", "number: 64",
     "schema.textproto:10:14: field \"memo\": number 64; expected 1 to 63"},
    {kInSchema, "number: 3", "",
     "schema.textproto:9:1: field \"memo\": number 0; expected 1 to 63"},
    {kInSchema, "type: FIELD_TYPE_PHONE", "",
     "schema.textproto:5:1: field \"phone\": no known type; expected FIELD_TYPE_NAME or another of "
     "its kind"},
    {kInSchema, "type: FIELD_TYPE_PHONE", "type: 99",
     "schema.textproto:6:25: field \"phone\": no known type; expected FIELD_TYPE_NAME or another "
     "of its kind"},
    {kInSchema, "mask: MASK_LAST_4", "mask: MASK_TOWN",
     "schema.textproto:7:17: field \"phone\": MASK_TOWN does not fit FIELD_TYPE_PHONE; expected "
     "MASK_ALL"},
    {kInSchema, "mask: MASK_ALL", "mask: MASK_LAST_4",
     "schema.textproto:3:18: field \"name\": MASK_LAST_4 does not fit FIELD_TYPE_NAME; expected "
     "MASK_ALL"},
    {kInSchema, "mask: MASK_ALL", "mask: 17",
     "schema.textproto:3:18: field \"name\": unknown mask; expected MASK_ALL or another of its "
     "kind"},
    {kInSchema, "max_bytes: 8192", "max_bytes: 8192 searchable: true",
     "schema.textproto:10:67: field \"memo\": FIELD_TYPE_FREE_TEXT has no index; expected no "
     "searchable"},
    {kInSchema, "max_bytes: 8192", "max_bytes: 8192 unique: true",
     "schema.textproto:10:67: field \"memo\": unique is checked by the index; expected searchable: "
     "true"},
    {kInSchema, "max_bytes: 8192", "max_bytes: 1048576",
     "schema.textproto:10:51: field \"memo\": max_bytes 1048576; expected 1 to 65536"},
    {kInSchema, "max_bytes: 8192", "",
     "schema.textproto:9:1: field \"memo\": max_bytes 0; expected 1 to 65536"},
    {kInSchema, "type: FIELD_TYPE_FREE_TEXT", "type: FIELD_TYPE_PROTECTION",
     "schema.textproto:13:30: field \"protection\": \"memo\" is the protection; expected one only"},
    {kInSchema, "label_ja: \"電話\"", "",
     "schema.textproto:5:1: field \"phone\": no label_ja; expected its Japanese name"},
    {kInSchema, "label_en: \"memo\"", "label_en: \"\"",
     "schema.textproto:9:1: field \"memo\": no label_en; expected its English name"},
    {kInSchema, "label_en: \"memo\"", "label_en: \"me\\033[2Jmo\"",
     "schema.textproto:10:86: field \"memo\": label_en holds what cannot be seen; expected one "
     "line without control or bidirectional characters"},
    {kInSchema, "label_ja: \"電話\"", "label_ja: \"電\\u202e話\"",
     "schema.textproto:7:35: field \"phone\": label_ja holds what cannot be seen; expected one "
     "line without control or bidirectional characters"},
    {kInSchema, "label_ja: \"電話\"", "label_ja: \" \\u3000\"",
     "schema.textproto:7:35: field \"phone\": label_ja holds what cannot be seen; expected one "
     "line without control or bidirectional characters"},
    {kInSchema, "label_ja: \"電話\"", "label_ja: \"電\\n話\"",
     "schema.textproto:7:35: field \"phone\": label_ja holds what cannot be seen; expected one "
     "line without control or bidirectional characters"},
    {kInTenants, "label_ja: \"横浜市\"", "label_ja: \"横\\u200b浜市\"",
     "tenants.textproto:2:24: tenant \"141003\": label_ja holds what cannot be seen; expected one "
     "line without control or bidirectional characters"},

    // Tenants.
    {kInTenants, "141003", "141004",
     "tenants.textproto:2:11: tenant \"141004\": expected a municipality's code: six digits, the "
     "last its check digit"},
    {kInTenants, "141003", "14100",
     "tenants.textproto:2:11: tenant \"14100\": expected a municipality's code: six digits, the "
     "last its check digit"},
    {kInTenants, "141003", "131164",
     "tenants.textproto:2:11: tenant \"131164\": the id stands twice; expected each once"},
    {kInTenants, "label_en: \"Yokohama\"", "label_en: \"Yokohama\" trail_retention_years: 0",
     "tenants.textproto:2:67: tenant \"141003\": trail_retention_years is out of range; expected 1 "
     "to "
     "100"},
    {kInTenants, "label_en: \"Yokohama\"", "label_en: \"Yokohama\" trail_retention_years: 101",
     "tenants.textproto:2:67: tenant \"141003\": trail_retention_years is out of range; expected 1 "
     "to "
     "100"},
    {kInTenants, "label_en: \"Yokohama\"", "label_en: \"Yokohama\" trail_retention_years: -5",
     "tenants.textproto:2:90: Expected integer, got: -"},
    {kInTenants, "label_ja: \"横浜市\"", "",
     "tenants.textproto:2:1: tenant \"141003\": no label_ja; expected its Japanese name"},

    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"Surge\" end_date: \"2027-03-31\" }",
     "tenants.textproto:2:80: programme \"Surge\": expected a lower-case letter, then letters, "
     "digits and _, at most 32"},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { end_date: \"2027-03-31\" }",
     "tenants.textproto:2:67: programme \"\": expected a lower-case letter, then letters, digits "
     "and _, at most 32"},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" keep_days: 1 }",
     "tenants.textproto:2:92: programme \"surge\": keep_days without end_date; expected both or "
     "neither"},
    {kInTenants, "label_en: \"Yokohama\"", "label_en: \"Yokohama\" programmes { id: \"surge\" }",
     "tenants.textproto:2:67: programme \"surge\": no label_ja; expected its Japanese name"},
    {kInTenants, "label_ja: \"接種\"", "label_ja: \"接\\n種\"",
     "tenants.textproto:1:116: programme \"surge_1\": label_ja holds what cannot be seen; expected "
     "one line without control or bidirectional characters"},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" end_date: \"2027-02-29\" }",
     "tenants.textproto:2:92: programme \"surge\": end_date \"2027-02-29\" is no day; expected one "
     "such as \"2027-03-31\""},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" end_date: \"2027-3-31\" }",
     "tenants.textproto:2:92: programme \"surge\": end_date \"2027-3-31\" is no day; expected one "
     "such as \"2027-03-31\""},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" end_date: \"0027-03-31\" }",
     "tenants.textproto:2:92: programme \"surge\": end_date \"0027-03-31\" is no day; expected one "
     "such as \"2027-03-31\""},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" end_date: \"2027-03-31 \" }",
     "tenants.textproto:2:92: programme \"surge\": end_date \"2027-03-31 \" is no day; expected "
     "one "
     "such as \"2027-03-31\""},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" end_date: \"2027-03-31\" keep_days: 36501 "
     "}",
     "tenants.textproto:2:115: programme \"surge\": keep_days is 36501; expected 0 to 36500"},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" end_date: \"2027-03-31\" keep_days: -1 }",
     "tenants.textproto:2:126: Expected integer, got: -"},
    {kInTenants, "label_en: \"Yokohama\"",
     "label_en: \"Yokohama\" programmes { id: \"surge\" label_ja: \"a\" label_en: \"a\" } "
     "programmes { id: \"surge\" end_date: \"2028-03-31\" }",
     "tenants.textproto:2:135: programme \"surge\": the id stands twice; expected each once"},

    // Purposes, reasons, contact, limits.
    {kInPolicy, "[\"booking\", \"complaint\"]", "[\"booking\", \"booking\"]",
     "policy.textproto:1:1: purpose \"booking\" stands twice"},
    {kInPolicy, "[\"booking\", \"complaint\"]", "[\"booking\", \"com plaint\"]",
     "policy.textproto:1:1: purpose \"com plaint\": expected a lower-case letter, then letters, "
     "digits and _, at most 32"},
    {kInPolicy, "purposes: [\"booking\", \"complaint\"]", "",
     "policy.textproto:1:1: no purposes; expected at least one"},
    {kInPolicy, "reasons: \"read_back\"", "",
     "policy.textproto:1:1: no reasons; expected at least one"},
    {kInPolicy, "reasons: \"read_back\"", "reasons: \"Read\"",
     "policy.textproto:2:1: reason \"Read\": expected a lower-case letter, then letters, digits "
     "and _, at most 32"},
    {kInPolicy, "contact_pattern: \"[A-Z]-[0-9]{1,8}\"", "",
     "policy.textproto:1:1: no contact_pattern; expected an RE2 pattern such as "
     "\"[A-Z]{1,3}-[0-9]{1,8}\""},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "[A-Z",
     "policy.textproto:3:1: not an RE2 pattern: missing ]: [A-Z"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", ".*",
     "policy.textproto:3:1: can match a telephone, such as \"090-1234-5678\"; expected an opaque "
     "reference: a letter, and then at most 8 digits"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "[A-Z]-[0-9-]{1,24}",
     "policy.textproto:3:1: can match a telephone, such as \"C-090-1234-5678\"; expected an opaque "
     "reference: a letter, and then at most 8 digits"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "[0-9]{1,11}",
     "policy.textproto:3:1: can match a telephone, such as \"09012345678\"; expected an opaque "
     "reference: a letter, and then at most 8 digits"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "[0-9]{12}",
     "policy.textproto:3:1: can match a telephone, such as \"819012345678\"; expected an opaque "
     "reference: a letter, and then at most 8 digits"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "[A-Z]{1,8}",
     "policy.textproto:3:1: can match a name, such as \"YAMADA\"; expected an opaque reference: a "
     "letter, and then at most 8 digits"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "\\\\pL+",
     "policy.textproto:3:1: can match a name, such as \"YAMADA\"; expected an opaque reference: a "
     "letter, and then at most 8 digits"},
    {kInPolicy, "[A-Z]-[0-9]{1,8}", "[^0-9]*",
     "policy.textproto:3:1: can match a telephone, such as \"０９０－１２３４－５６７８\"; "
     "expected an opaque reference: a letter, and then at most 8 digits"},
    {kInPolicy, "lookup_matches_max: 20", "lookup_matches_max: 0",
     "policy.textproto:5:3: limits: lookup_matches_max is 0; expected 1 to 100"},
    {kInPolicy, "lookup_matches_max: 20", "lookup_matches_max: 101",
     "policy.textproto:5:3: limits: lookup_matches_max is 101; expected 1 to 100"},
    {kInPolicy, "refusal_burst: 30", "",
     "policy.textproto:4:1: limits: refusal_burst is 0; expected 1 to 1000"},
    {kInPolicy, "refusals_per_minute: 10", "refusals_per_minute: 601",
     "policy.textproto:7:3: limits: refusals_per_minute is 601; expected 1 to 600"},
    {kInPolicy, "request_id_hours: 24", "request_id_hours: 169",
     "policy.textproto:8:3: limits: request_id_hours is 169; expected 1 to 168"},
    {kInPolicy, "clock_jump_seconds_max: 3600", "clock_jump_seconds_max: 86401",
     "policy.textproto:9:3: limits: clock_jump_seconds_max is 86401; expected 1 to 86400"},
    {kInPolicy, "clock_jump_seconds_max: 3600", "clock_jump_seconds_max: -1",
     "policy.textproto:9:27: Expected integer, got: -"},
    {kInPolicy, "attempts { burst: 30 per_hour: 60 }", "",
     "policy.textproto:4:1: limits: no attempts; expected attempts { … }"},
    {kInPolicy, "burst: 30 per_hour: 60", "burst: 0 per_hour: 60",
     "policy.textproto:9:43: limits: attempts.burst is 0; expected 1 to 1000000"},
    {kInPolicy, "burst: 30 per_hour: 60", "burst: 1000001 per_hour: 60",
     "policy.textproto:9:43: limits: attempts.burst is 1000001; expected 1 to 1000000"},
    {kInPolicy, "burst: 30 per_hour: 60", "burst: 30",
     "policy.textproto:9:32: limits: attempts.per_hour is 0; expected 1 to 100000000"},
    {kInPolicy, "burst: 30 per_hour: 60", "burst: 30 per_hour: 100000001",
     "policy.textproto:9:53: limits: attempts.per_hour is 100000001; expected 1 to 100000000"},
    {kInPolicy, "search_fields: \"name\"", "search_fields: \"name\" attempts { burst: 5 }",
     "policy.textproto:16:25: role \"desk\": attempts.per_hour is 0; expected 1 to 100000000"},
    {kInPolicy, "actions: \"audit.list\"",
     "actions: \"audit.list\" attempts { burst: 5 per_hour: 5 }",
     "policy.textproto:26:25: role \"auditor\": attempts without an action on residents"},

    // Roles.
    {kInPolicy, "id: \"desk\"", "id: \"Desk\"",
     "policy.textproto:12:3: role id \"Desk\": expected a lower-case letter, then letters, digits "
     "and _, at most 32"},
    {kInPolicy, "id: \"auditor\"", "id: \"desk\"",
     "policy.textproto:25:3: role \"desk\": the id stands twice; expected each once"},
    {kInPolicy, "label_en: \"desk\"", "",
     "policy.textproto:11:1: role \"desk\": no label_en; expected its English name"},
    {kInPolicy, "\"resident.update\"", "\"resident.delete\"",
     "policy.textproto:14:3: role \"desk\": unknown action \"resident.delete\"; one of "
     "resident.lookup, resident.get, resident.create, resident.update, resident.import, "
     "resident.erase, resident.retire, erasure.certificate, audit.list, audit.head, "
     "audit.verify, audit.checkpoint, audit.prove, audit.export, key.status, key.rotate, "
     "key.compromise, key.list, job.list, job.cancel, key.propose, key.approve, approval.list, "
     "seats.list, seats.propose, seats.approve, seats.stop, backup.create, backup.list, "
     "backup.delete, vault.seal, vault.unseal"},
    {kInPolicy, "\"resident.update\"", "\"resident.lookup\"",
     "policy.textproto:14:3: role \"desk\": action \"resident.lookup\" stands twice"},
    {kInPolicy, "purposes: \"booking\"", "purposes: \"bookin\"",
     "policy.textproto:15:3: role \"desk\": unknown purpose \"bookin\"; one of booking, complaint"},
    {kInPolicy, "purposes: \"booking\"", "purposes: \"booking\" purposes: \"booking\"",
     "policy.textproto:15:23: role \"desk\": purpose \"booking\" stands twice"},
    {kInPolicy, "purposes: \"booking\"", "",
     "policy.textproto:11:1: role \"desk\": acts on residents without a purpose; expected "
     "purposes"},
    {kInPolicy, "search_fields: \"name\"", "search_fields: \"nam\"",
     "policy.textproto:16:3: role \"desk\": unknown field \"nam\"; one of name, phone, memo, "
     "protection"},
    {kInPolicy, "search_fields: \"name\"", "search_fields: \"memo\"",
     "policy.textproto:16:3: role \"desk\": field \"memo\" is not searchable; one of name, phone"},
    {kInPolicy, "search_fields: \"name\"", "",
     "policy.textproto:11:1: role \"desk\": resident.lookup without search_fields; expected at "
     "least one"},
    {kInPolicy, "search_fields: \"name\"", "search_fields: \"name\" transfer_fields: \"fax\"",
     "policy.textproto:16:25: role \"desk\": unknown field \"fax\"; one of name, phone, memo, "
     "protection"},
    {kInPolicy, "search_fields: \"name\"",
     "search_fields: \"name\" transfer_fields: [\"name\", \"name\"]",
     "policy.textproto:16:25: role \"desk\": field \"name\" stands twice"},
    // Not searched by; searched by and masked; in full with a reason only; for one purpose only.
    {kInPolicy, "search_fields: \"name\"", "search_fields: \"name\" transfer_fields: \"phone\"",
     "policy.textproto:16:25: role \"desk\": field \"phone\" is not the role's to search "
     "by and to have; expected one of search_fields that fields give as DISCLOSURE_FULL or "
     "DISCLOSURE_UNSEEN, for every purpose and without a reason"},
    {kInPolicy, "search_fields: \"name\"",
     "search_fields: [\"name\", \"phone\"] transfer_fields: [\"name\", \"phone\"]",
     "policy.textproto:16:36: role \"desk\": field \"phone\" is not the role's to search "
     "by and to have; expected one of search_fields that fields give as DISCLOSURE_FULL or "
     "DISCLOSURE_UNSEEN, for every purpose and without a reason"},
    {kInPolicy,
     "search_fields: \"name\"\n  change_fields: \"phone\"\n  fields { field: \"name\" disclosure: "
     "DISCLOSURE_FULL",
     "search_fields: \"name\" transfer_fields: \"name\"\n  change_fields: \"phone\"\n  fields { "
     "field: \"name\" disclosure: DISCLOSURE_FULL reason_required: true",
     "policy.textproto:16:25: role \"desk\": field \"name\" is not the role's to search "
     "by and to have; expected one of search_fields that fields give as DISCLOSURE_FULL or "
     "DISCLOSURE_UNSEEN, for every purpose and without a reason"},
    {kInPolicy,
     "purposes: \"booking\"\n  search_fields: \"name\"\n  change_fields: \"phone\"\n  fields { "
     "field: "
     "\"name\" disclosure: DISCLOSURE_FULL",
     "purposes: [\"booking\", \"complaint\"]\n  search_fields: \"name\" transfer_fields: "
     "\"name\"\n  "
     "change_fields: \"phone\"\n  fields { field: \"name\" disclosure: DISCLOSURE_FULL purposes: "
     "\"complaint\"",
     "policy.textproto:16:25: role \"desk\": field \"name\" is not the role's to search "
     "by and to have; expected one of search_fields that fields give as DISCLOSURE_FULL or "
     "DISCLOSURE_UNSEEN, for every purpose and without a reason"},
    {kInPolicy, "search_fields: \"name\"",
     "search_fields: \"name\" transfer_fields: \"name\" supervisor_only {}",
     "policy.textproto:16:25: role \"desk\": transfer_fields in a role that sees every kind of "
     "record; expected none"},
    {kInPolicy, "\"audit.list\"", "\"audit.list\" transfer_fields: \"name\"",
     "policy.textproto:26:3: role \"auditor\": separation of duties: who audits reads no resident; "
     "expected no resident action, purpose, field or view beside audit.*"},
    {kInPolicy, "change_fields: \"phone\"", "change_fields: \"fax\"",
     "policy.textproto:17:3: role \"desk\": unknown field \"fax\"; one of name, phone, memo, "
     "protection"},
    {kInPolicy, "change_fields: \"phone\"", "",
     "policy.textproto:11:1: role \"desk\": changes residents without change_fields; expected at "
     "least one"},
    {kInPolicy, "actions: \"resident.lookup\"", "actions: \"resident.get\"",
     "policy.textproto:16:3: role \"desk\": search_fields without resident.lookup"},
    {kInPolicy, "actions: \"resident.update\"", "",
     "policy.textproto:17:3: role \"desk\": change_fields without resident.create, resident.update "
     "or resident.import"},
    {kInPolicy, "\"resident.update\"", "\"resident.import\"",
     "policy.textproto:11:1: role \"desk\": makes residents but may not change \"name\", which a "
     "record must have; expected it in change_fields"},
    {kInPolicy, "field: \"name\"", "field: \"nam\"",
     "policy.textproto:18:12: role \"desk\": unknown field \"nam\"; one of name, phone, memo, "
     "protection"},
    {kInPolicy, "field: \"name\"", "field: \"phone\"",
     "policy.textproto:19:12: role \"desk\": field \"phone\" stands twice"},
    {kInPolicy, "disclosure: DISCLOSURE_FULL", "",
     "policy.textproto:18:3: role \"desk\": field \"name\" without a disclosure; one of "
     "DISCLOSURE_FULL, DISCLOSURE_MASKED, DISCLOSURE_UNSEEN (to withhold it, leave the rule out)"},
    {kInPolicy, "disclosure: DISCLOSURE_FULL", "disclosure: DISCLOSURE_UNSPECIFIED",
     "policy.textproto:18:26: role \"desk\": field \"name\" without a disclosure; one of "
     "DISCLOSURE_FULL, DISCLOSURE_MASKED, DISCLOSURE_UNSEEN (to withhold it, leave the rule out)"},
    {kInPolicy, "disclosure: DISCLOSURE_FULL", "disclosure: 9",
     "policy.textproto:18:26: role \"desk\": field \"name\" without a disclosure; one of "
     "DISCLOSURE_FULL, DISCLOSURE_MASKED, DISCLOSURE_UNSEEN (to withhold it, leave the rule out)"},
    {kInPolicy, "\"name\" disclosure: DISCLOSURE_FULL", "\"memo\" disclosure: DISCLOSURE_MASKED",
     "policy.textproto:18:26: role \"desk\": field \"memo\" has no mask; expected one in the "
     "schema"},
    {kInPolicy, "DISCLOSURE_MASKED }\n  protected",
     "DISCLOSURE_MASKED reason_required: true }\n  protected",
     "policy.textproto:19:57: role \"desk\": a reason opens a field in full; expected "
     "DISCLOSURE_FULL"},
    {kInPolicy, "disclosure: DISCLOSURE_FULL",
     "disclosure: DISCLOSURE_FULL purposes: \"complaint\"",
     "policy.textproto:18:54: role \"desk\": unknown purpose of this role \"complaint\"; one of "
     "booking"},
    {kInPolicy, "    fields { field: \"phone\" disclosure: DISCLOSURE_MASKED",
     "    fields { field: \"phone\" disclosure: DISCLOSURE_FULL",
     "policy.textproto:21:29: role \"desk\": field \"phone\" shows more here than in an ordinary "
     "record"},
    {kInPolicy, "    fields { field: \"phone\"", "    fields { field: \"memo\"",
     "policy.textproto:21:28: role \"desk\": field \"memo\" has no mask; expected one in the "
     "schema"},
    {kInPolicy, "\"name\" disclosure: DISCLOSURE_FULL",
     "\"name\" disclosure: DISCLOSURE_FULL } fields { field: \"protection\"",
     "policy.textproto:18:56: role \"desk\": field \"protection\" without a disclosure; one of "
     "DISCLOSURE_FULL, DISCLOSURE_MASKED, DISCLOSURE_UNSEEN (to withhold it, leave the rule out)"},

    // Separation of duties.
    {kInPolicy, "\"resident.update\"", "\"key.rotate\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"resident.update\"", "\"seats.propose\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who proposes seats reads no "
     "resident; expected no resident action, purpose, field or view beside seats.propose"},
    {kInPolicy, "\"audit.list\"", "\"audit.list\" seats: true",
     "policy.textproto:26:25: role \"auditor\": separation of duties: a seat is of the desk; "
     "expected no is_service, no joins_programmes and no key.*, backup.*, vault.*, audit.*, "
     "resident.erase, resident.retire or seats.propose"},
    {kInPolicy, "\"key.status\"", "\"key.status\" seats: true",
     "policy.textproto:30:25: role \"keeper\": separation of duties: a seat is of the desk; "
     "expected no is_service, no joins_programmes and no key.*, backup.*, vault.*, audit.*, "
     "resident.erase, resident.retire or seats.propose"},
    {kInPolicy, "\"audit.list\"", "\"seats.propose\" seats: true",
     "policy.textproto:26:28: role \"auditor\": separation of duties: a seat is of the desk; "
     "expected no is_service, no joins_programmes and no key.*, backup.*, vault.*, audit.*, "
     "resident.erase, resident.retire or seats.propose"},
    {kInPolicy, "purposes: \"booking\"", "seats: true is_service: true purposes: \"booking\"",
     "policy.textproto:15:3: role \"desk\": separation of duties: a seat is of the desk; expected "
     "no is_service, no joins_programmes and no key.*, backup.*, vault.*, audit.*, "
     "resident.erase, resident.retire or seats.propose"},
    {kInPolicy, "purposes: \"booking\"", "seats: true joins_programmes: true purposes: \"booking\"",
     "policy.textproto:15:3: role \"desk\": separation of duties: a seat is of the desk; expected "
     "no is_service, no joins_programmes and no key.*, backup.*, vault.*, audit.*, "
     "resident.erase, resident.retire or seats.propose"},
    {kInPolicy, "\"resident.update\"", "\"backup.create\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"resident.update\"", "\"vault.seal\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"resident.update\"", "\"vault.unseal\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"resident.update\"", "\"key.propose\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"resident.update\"", "\"key.approve\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"resident.update\"", "\"key.compromise\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"audit.list\"", "\"resident.erase\" actions: \"vault.seal\"",
     "policy.textproto:26:29: role \"auditor\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"audit.list\"", "\"audit.list\" actions: \"backup.list\"",
     "policy.textproto:26:3: role \"auditor\": separation of duties: who operates keys asks no "
     "tenant's trail; expected service_log: true"},
    {kInPolicy, "\"audit.list\"", "\"resident.erase\"",
     "policy.textproto:24:1: role \"auditor\": acts on residents without a purpose; expected "
     "purposes"},
    {kInPolicy, "\"audit.list\"", "\"resident.retire\"",
     "policy.textproto:24:1: role \"auditor\": acts on residents without a purpose; expected "
     "purposes"},
    {kInPolicy, "\"resident.update\"", "\"audit.list\"",
     "policy.textproto:14:3: role \"desk\": separation of duties: who audits reads no resident; "
     "expected no resident action, purpose, field or view beside audit.*"},
    {kInPolicy, "\"key.status\"",
     "\"key.status\" fields { field: \"name\" disclosure: DISCLOSURE_MASKED }",
     "policy.textproto:30:3: role \"keeper\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"key.status\"", "\"key.status\" purposes: \"booking\"",
     "policy.textproto:30:3: role \"keeper\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"key.status\"", "\"key.status\" protected_resident {}",
     "policy.textproto:30:3: role \"keeper\": separation of duties: who operates keys reads no "
     "resident; expected no resident action, purpose, field or view beside key.*, "
     "backup.* and vault.*"},
    {kInPolicy, "\"audit.list\"", "\"audit.list\" search_fields: \"name\"",
     "policy.textproto:26:3: role \"auditor\": separation of duties: who audits reads no resident; "
     "expected no resident action, purpose, field or view beside audit.*"},
    {kInPolicy, "\"audit.list\"", "\"resident.get\" actions: \"audit.verify\"",
     "policy.textproto:26:27: role \"auditor\": separation of duties: who audits reads no "
     "resident; expected no resident action, purpose, field or view beside audit.*"},
    {kInPolicy, "service_log: true", "",
     "policy.textproto:31:3: role \"keeper\": separation of duties: who operates keys asks no "
     "tenant's trail; expected service_log: true"},
    {kInPolicy, "  actions: \"audit.head\"\n", "",
     "policy.textproto:31:3: role \"keeper\": service_log without an audit action; expected "
     "one of audit.*"},
    {kInPolicy, "actions: \"audit.list\"", "purposes: \"booking\"",
     "policy.textproto:26:3: role \"auditor\": purposes without an action on residents"},
    {kInPolicy, "actions: \"audit.list\"", "fields { field: \"name\" disclosure: DISCLOSURE_FULL }",
     "policy.textproto:24:1: role \"auditor\": sees fields without an action on residents; "
     "expected resident.get"},

    // Subjects: the message gives the place, not who it is.
    {kInSubjects, "urn:vault:two", "urn:other:two",
     "subjects.textproto:2:12: subject: expected an id \"urn:vault:\" and then a-z, 0-9 and -, at "
     "most 64"},
    {kInSubjects, "urn:vault:two", "urn:vault:Two",
     "subjects.textproto:2:12: subject: expected an id \"urn:vault:\" and then a-z, 0-9 and -, at "
     "most 64"},
    {kInSubjects, "urn:vault:two", "urn:vault:one",
     "subjects.textproto:2:12: subject: the id stands twice, first in line 1"},
    {kInSubjects, "role: \"desk\"", "role: \"disk\"",
     "subjects.textproto:1:32: subject: unknown role \"disk\"; one of auditor, desk, keeper"},
    {kInSubjects, "role: \"desk\"", "",
     "subjects.textproto:1:1: subject: unknown role \"\"; one of auditor, desk, keeper"},
    {kInSubjects, "\"131164\"", "\"011002\"",
     "subjects.textproto:1:45: subject: unknown tenant \"011002\"; one of 131164, 141003"},
    {kInSubjects, "\"131164\"", "\"131165\"",
     "subjects.textproto:1:45: subject: unknown tenant \"131165\"; one of 131164, 141003"},
    {kInSubjects, "\"131164\"", "[\"131164\", \"131164\"]",
     "subjects.textproto:1:45: subject: tenant \"131164\" stands twice"},
    {kInSubjects, "\"*\"", "[\"131164\", \"*\"]",
     "subjects.textproto:2:47: subject: \"*\" beside other tenants; expected it alone"},
    {kInSubjects, "tenants: \"131164\"", "",
     "subjects.textproto:1:1: subject: no tenants; expected municipality codes, or \"*\" for all"},
    {kInSubjects, "surge_1", "山田",
     "subjects.textproto:1:63: subject: unknown programme of its tenants "
     "\"\\xe5\\xb1\\xb1\\xe7\\x94\\xb0\"; one of surge_1"},
    {kInSubjects, "surge_1", "surge_2",
     "subjects.textproto:1:63: subject: unknown programme of its tenants \"surge_2\"; one of "
     "surge_1"},
    {kInSubjects, "\"surge_1\"", "[\"surge_1\", \"surge_1\"]",
     "subjects.textproto:1:63: subject: programme of its tenants \"surge_1\" stands twice"},
    {kInSubjects, "\"131164\"", "\"141003\"",
     "subjects.textproto:1:63: subject: its tenants have no programmes"},
    {kInSubjects, "\"131164\"", "[\"131164\", \"141003\"]",
     "subjects.textproto:1:45: subject: tenant \"141003\" has none of its programmes"},
    {kInSubjects, " programmes: \"surge_1\"", "",
     "subjects.textproto:1:1: subject: acts on residents of no programme; expected programmes; one "
     "of surge_1"},
    {kInSubjects, "\"*\"", "\"*\" programmes: \"surge_1\"",
     "subjects.textproto:2:60: subject: programmes of a role that acts on no resident"},
    {kInPolicy, "fields { field: \"name\" disclosure: DISCLOSURE_FULL }",
     "fields { field: \"name\" disclosure: DISCLOSURE_FULL programmes: \"grants\" }",
     "policy.textproto:18:54: role \"desk\": unknown programme \"grants\"; one of surge_1"},
    {kInPolicy, "fields { field: \"name\" disclosure: DISCLOSURE_FULL }",
     "fields { field: \"name\" disclosure: DISCLOSURE_FULL programmes: [\"surge_1\", \"surge_1\"] "
     "}",
     "policy.textproto:18:54: role \"desk\": programme \"surge_1\" stands twice"},
    {kInPolicy, "fields { field: \"name\" disclosure: DISCLOSURE_FULL }",
     "joins_programmes: true\n"
     "  fields { field: \"name\" disclosure: DISCLOSURE_FULL programmes: \"surge_1\" }",
     "policy.textproto:19:54: role \"desk\": the role joins programmes, and sees the same in all; "
     "expected none"},
    {kInPolicy, "actions: \"audit.list\"", "actions: \"audit.list\" joins_programmes: true",
     "policy.textproto:26:3: role \"auditor\": separation of duties: who audits reads no resident; "
     "expected no resident action, purpose, field or view beside audit.*"},
};

// Issuers of tokens, and who passes them on: the small policy with its desk as a service.
constexpr char kTokenSubjects[] =
    R"(subjects { id: "urn:vault:one" role: "desk" tenants: "131164" speaks_for: "urn:vault:a-" )"
    R"(programmes: "surge_1" }
subjects { id: "urn:vault:two" role: "keeper" tenants: "*" }
issuers { id: "first" iss: "https://a" audience: "v" subject_prefix: "urn:vault:a-"
  lifetime_minutes_max: 15 }
issuers { id: "second" iss: "https://b" audience: "v" subject_prefix: "urn:vault:b-"
  lifetime_minutes_max: 15 }
)";

Sources GoodTokens() {
  Sources sources = Good();
  sources.policy.text =
      absl::StrReplaceAll(kPolicy, {{"id: \"desk\"", "id: \"desk\" is_service: true"}});
  sources.subjects.text = kTokenSubjects;
  return sources;
}

const char kPrefixGolden[] =
    "expected \"urn:vault:\", alone or with a-z, 0-9 and - behind it, at most 64";

struct TokenMistake {
  const char* from;
  std::string to;
  std::string golden;
};

const TokenMistake kTokenMistakes[] = {
    {"speaks_for: \"urn:vault:a-\"", "speaks_for: \"\"",
     absl::StrCat("subjects.textproto:1:63: subject: ", kPrefixGolden)},
    {"speaks_for: \"urn:vault:a-\"", "speaks_for: \"urn:\"",
     absl::StrCat("subjects.textproto:1:63: subject: ", kPrefixGolden)},
    {"speaks_for: \"urn:vault:a-\"", "speaks_for: \"urn:vault:a*\"",
     absl::StrCat("subjects.textproto:1:63: subject: ", kPrefixGolden)},
    {"speaks_for: \"urn:vault:a-\"", "speaks_for: [\"urn:vault:\", \"urn:vault:\"]",
     "subjects.textproto:1:63: subject: the prefix stands twice"},
    {"tenants: \"*\"", "tenants: \"*\" speaks_for: \"urn:vault:\"",
     "subjects.textproto:2:60: subject: speaks_for of who is no service; expected a role with "
     "is_service"},
    {"\"second\"", "\"Second\"",
     "subjects.textproto:5:11: issuer id \"Second\": expected a lower-case letter, then letters, "
     "digits and _, at most 32"},
    {"\"second\"", "\"../second\"",
     "subjects.textproto:5:11: issuer id \"../second\": expected a lower-case letter, then "
     "letters, "
     "digits and _, at most 32"},
    {"\"second\"", "\"\"",
     "subjects.textproto:5:11: issuer id \"\": expected a lower-case letter, then letters, digits "
     "and _, at most 32"},
    {"\"second\"", "\"first\"",
     "subjects.textproto:5:11: issuer \"first\": the id stands twice; expected each once"},
    {"\"https://b\"", "\"https://a\"",
     "subjects.textproto:5:24: issuer \"second\": the iss is that of \"first\" too"},
    {"iss: \"https://b\"", "", "subjects.textproto:5:1: issuer \"second\": no iss"},
    {"https://b", std::string(257, 'b'),
     "subjects.textproto:5:24: issuer \"second\": iss is longer than 256 bytes"},
    {"https://b", "https://b\\n",
     "subjects.textproto:5:24: issuer \"second\": iss holds what cannot be seen"},
    {"https://b", "https://b\xE2\x80\xAE",
     "subjects.textproto:5:24: issuer \"second\": iss holds what cannot be seen"},
    {"audience: \"v\" subject_prefix: \"urn:vault:b-\"", "subject_prefix: \"urn:vault:b-\"",
     "subjects.textproto:5:1: issuer \"second\": no audience"},
    {"audience: \"v\" subject_prefix: \"urn:vault:b-\"",
     absl::StrCat("audience: \"", std::string(257, 'v'), "\" subject_prefix: \"urn:vault:b-\""),
     "subjects.textproto:5:41: issuer \"second\": audience is longer than 256 bytes"},
    {"audience: \"v\" subject_prefix: \"urn:vault:b-\"",
     "audience: \"\\001\" subject_prefix: \"urn:vault:b-\"",
     "subjects.textproto:5:41: issuer \"second\": audience holds what cannot be seen"},
    {"urn:vault:b-", "urn:other:b-",
     absl::StrCat("subjects.textproto:5:55: issuer \"second\": ", kPrefixGolden)},
    {"urn:vault:b-", "urn:vault:B-",
     absl::StrCat("subjects.textproto:5:55: issuer \"second\": ", kPrefixGolden)},
    {"urn:vault:b-", "",
     absl::StrCat("subjects.textproto:5:55: issuer \"second\": ", kPrefixGolden)},
    {"urn:vault:b-", "urn:vault:a-",
     "subjects.textproto:5:55: issuer \"second\": the prefix and that of \"first\" hold the same "
     "subjects; expected each subject to have one issuer"},
    {"urn:vault:b-", "urn:vault:a-7",
     "subjects.textproto:5:55: issuer \"second\": the prefix and that of \"first\" hold the same "
     "subjects; expected each subject to have one issuer"},
    {"urn:vault:b-", "urn:vault:",
     "subjects.textproto:5:55: issuer \"second\": the prefix and that of \"first\" hold the same "
     "subjects; expected each subject to have one issuer"},
    {"lifetime_minutes_max: 15 }\nissuers", "}\nissuers",
     "subjects.textproto:3:1: issuer \"first\": lifetime_minutes_max is 0; expected 1 to 1440"},
    {"lifetime_minutes_max: 15 }\nissuers", "lifetime_minutes_max: 1441 }\nissuers",
     "subjects.textproto:4:3: issuer \"first\": lifetime_minutes_max is 1441; expected 1 to 1440"},
};

std::string Spoil(const std::string& text, const Mistake& mistake) {
  const size_t at = text.find(mistake.from);
  EXPECT_NE(at, std::string::npos) << mistake.from;
  if (at == std::string::npos) return text;
  return text.substr(0, at) + mistake.to + text.substr(at + strlen(mistake.from));
}

TEST(PolicyLoad, AcceptsIssuersAndWhoSpeaksForTheirPeople) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(GoodTokens()));
  ASSERT_EQ(set->issuers().size(), 2);
  EXPECT_EQ(set->issuers()[0].id, "first");
  EXPECT_EQ(set->issuers()[0].iss, "https://a");
  EXPECT_EQ(set->issuers()[0].audience, "v");
  EXPECT_EQ(set->issuers()[0].subject_prefix, "urn:vault:a-");
  EXPECT_EQ(set->issuers()[0].lifetime_max, absl::Minutes(15));
  EXPECT_THAT(set->FindSubject("urn:vault:one")->speaks_for,
              ::testing::ElementsAre("urn:vault:a-"));
  EXPECT_TRUE(set->FindSubject("urn:vault:two")->speaks_for.empty());
}

TEST(PolicyLoad, EveryMistakeAboutTokensIsRefusedWithItsPlace) {
  for (const TokenMistake& mistake : kTokenMistakes) {
    SCOPED_TRACE(mistake.golden);
    Sources sources = GoodTokens();
    const size_t at = sources.subjects.text.find(mistake.from);
    ASSERT_NE(at, std::string::npos) << mistake.from;
    sources.subjects.text.replace(at, strlen(mistake.from), mistake.to);
    const auto set = PolicySet::Load(sources);
    EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(set.status().message(), mistake.golden);
  }
}

TEST(PolicyLoad, HasAtMostSixteenIssuers) {
  Sources sources = GoodTokens();
  const auto add = [&sources](int i) {
    absl::StrAppend(&sources.subjects.text, "issuers { id: \"i", i, "\" iss: \"", i,
                    "\" audience: \"v\" subject_prefix: \"urn:vault:x", i,
                    "-\" lifetime_minutes_max: 1 }\n");
  };
  for (int i = 0; i < 14; ++i) add(i);
  VAULT_EXPECT_OK(PolicySet::Load(sources));
  add(14);
  EXPECT_EQ(PolicySet::Load(sources).status().message(),
            "subjects.textproto:21:1: more than 16 issuers");
}

TEST(PolicyLoad, AcceptsTheSmallPolicyThatTheMistakesSpoil) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(Good()));
  EXPECT_EQ(set->schema().fields().size(), 4);
  EXPECT_EQ(set->schema().protection()->id, "protection");
  EXPECT_EQ(set->schema().FindNumber(2)->id, "phone");
  EXPECT_EQ(set->schema().FindNumber(5), nullptr);
  EXPECT_EQ(set->schema().FindNumber(4000000000u), nullptr);
  EXPECT_EQ(set->schema().Find("fax"), nullptr);
  EXPECT_EQ(set->limits().refusal_burst(), 30);
  EXPECT_EQ(set->limits().attempts().burst(), 30);
  EXPECT_TRUE(set->FindSubject("urn:vault:two")->all_tenants);
  EXPECT_TRUE(set->FindSubject("urn:vault:two")->programmes.empty());
  EXPECT_EQ(set->FindSubject("urn:vault:one")->programmes, std::vector<std::string>{"surge_1"});
  EXPECT_EQ(set->FindSubject("urn:vault:three"), nullptr);
  EXPECT_TRUE(set->KnowsPurpose("complaint"));
  EXPECT_FALSE(set->KnowsPurpose(""));
  EXPECT_TRUE(set->KnowsReason("read_back"));
  EXPECT_FALSE(set->KnowsReason("booking"));
}

TEST(PolicyLoad, EveryMistakeIsFoundWithItsPlaceAndWhatWasExpected) {
  for (const Mistake& mistake : kMistakes) {
    Sources sources = Good();
    Source& source = Pick(sources, mistake.which);
    source.text = Spoil(source.text, mistake);
    const auto set = PolicySet::Load(sources);
    ASSERT_FALSE(set.ok()) << "accepted: " << mistake.from << " -> " << mistake.to;
    EXPECT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(set.status().message()), mistake.golden)
        << mistake.from << " -> " << mistake.to;
  }
}

TEST(PolicyLoad, ATrailIsKeptFiveYearsUnlessItsTenantSaysOtherwise) {
  const LogId toshima = LogId::Parse("131164").value(), yokohama = LogId::Parse("141003").value();
  for (const auto& [said, years, longest] :
       std::vector<std::tuple<std::string, int, int>>{{"", 5, 5}, {"1", 1, 5}, {"100", 100, 100}}) {
    Sources sources = Good();
    if (!said.empty()) {
      absl::StrReplaceAll(
          {{"\"Yokohama\"", absl::StrCat("\"Yokohama\" trail_retention_years: ", said)}},
          &sources.tenants.text);
    }
    VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
    EXPECT_EQ(set->TrailRetentionYears(toshima), 5);
    EXPECT_EQ(set->TrailRetentionYears(yokohama), years);
    EXPECT_EQ(set->TrailRetentionYears(LogId::Service()), longest);
  }
}

TEST(PolicyLoad, AProgrammeIsItsTenantsAlone) {
  Sources sources = Good();
  absl::StrReplaceAll(
      {{"\"Yokohama\"",
        "\"Yokohama\" programmes { id: \"surge\" end_date: \"2028-02-29\" keep_days: 36500 "
        "label_ja: \"接種\" label_en: \"surge\" } programmes { id: \"drive\" label_ja: \"巡回\" "
        "label_en: \"drive\" end_date: \"2026-12-31\" } programmes { id: \"always\" "
        "label_ja: \"常設\" label_en: \"always\" }"}},
      &sources.tenants.text);
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
  const TenantId toshima = TenantId::Parse("131164").value();
  const TenantId yokohama = TenantId::Parse("141003").value();
  const Programme* surge = set->FindProgramme(yokohama, "surge");
  ASSERT_NE(surge, nullptr);
  EXPECT_EQ(surge->label_ja, "接種");
  EXPECT_EQ(surge->term->end, absl::CivilDay(2028, 2, 29));
  EXPECT_EQ(surge->term->keep_days, 36500);
  ASSERT_NE(set->FindProgramme(yokohama, "drive"), nullptr);
  EXPECT_EQ(set->FindProgramme(yokohama, "drive")->term->keep_days, 0);
  ASSERT_NE(set->FindProgramme(yokohama, "always"), nullptr);
  EXPECT_FALSE(set->FindProgramme(yokohama, "always")->term.has_value());
  EXPECT_EQ(set->ProgrammesOf(yokohama).size(), 3u);
  EXPECT_EQ(set->ProgrammesOf(toshima).size(), 1u);
  EXPECT_TRUE(set->ProgrammesOf(TenantId::Parse("011002").value()).empty());
  EXPECT_EQ(set->FindProgramme(toshima, "surge"), nullptr);
  for (const char* other : {"", "surg", "surge2", "Surge", "surge "}) {
    EXPECT_EQ(set->FindProgramme(yokohama, other), nullptr) << other;
  }
  EXPECT_EQ(set->FindProgramme(TenantId::Parse("011002").value(), "surge"), nullptr);
}

// To see a job, or that a resident was erased, is of no duty that others exclude.
TEST(PolicyLoad, JobsAndCertificatesStandBesideResidentsAndBesideTheTrail) {
  for (const char* beside : {"\"resident.update\"", "\"audit.list\"", "\"key.status\""}) {
    Sources sources = Good();
    absl::StrReplaceAll({{beside, absl::StrCat("[", beside,
                                               ", \"job.list\", \"job.cancel\", "
                                               "\"erasure.certificate\"]")}},
                        &sources.policy.text);
    VAULT_EXPECT_OK(PolicySet::Load(sources).status());
  }
}

// A log's key and a log's beginning: no single role's to change, whatever an older policy says.
TEST(PolicyLoad, WhatTwoPeopleDecideOfALogIsNoActionOfARole) {
  for (const char* action : {"key.rotate_log", "log.prune"}) {
    for (const char* beside : {"\"resident.update\"", "\"audit.list\"", "\"key.status\""}) {
      Sources sources = Good();
      absl::StrReplaceAll({{beside, absl::StrCat("[", beside, ", \"", action, "\"]")}},
                          &sources.policy.text);
      const absl::Status status = PolicySet::Load(sources).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()),
                  ::testing::ContainsRegex(absl::StrCat(
                      "^policy\\.textproto:[0-9]+:[0-9]+: role \"[a-z]+\": unknown action \"",
                      action, "\"; one of .*key\\.propose, key\\.approve, approval\\.list, ")));
    }
  }
}

// A mask needs a form that the type is read into: no other type has one.
TEST(PolicyLoad, AMaskFitsOnlyATypeThatCanBeReadForIt) {
  const std::set<std::pair<v1::Mask, v1::FieldType>> fitting = {
      {v1::MASK_LAST_4, v1::FIELD_TYPE_PHONE},
      {v1::MASK_LAST_4, v1::FIELD_TYPE_OPAQUE_NUMBER},
      {v1::MASK_LAST_4, v1::FIELD_TYPE_TICKET},
      {v1::MASK_TOWN, v1::FIELD_TYPE_ADDRESS}};
  for (int type = 1; type < v1::FieldType_ARRAYSIZE; ++type) {
    if (type == v1::FIELD_TYPE_PROTECTION) continue;  // the schema has one
    for (int mask = 0; mask < v1::Mask_ARRAYSIZE; ++mask) {
      const auto field_type = static_cast<v1::FieldType>(type);
      const auto field_mask = static_cast<v1::Mask>(mask);
      Sources sources = Good();
      absl::StrReplaceAll(
          {{"type: FIELD_TYPE_FREE_TEXT", absl::StrCat("type: ", v1::FieldType_Name(field_type),
                                                       " mask: ", v1::Mask_Name(field_mask))}},
          &sources.schema.text);
      const bool always = field_mask != v1::MASK_LAST_4 && field_mask != v1::MASK_TOWN;
      EXPECT_EQ(PolicySet::Load(sources).ok(),
                always || fitting.count({field_mask, field_type}) != 0)
          << v1::FieldType_Name(field_type) << " " << v1::Mask_Name(field_mask);
    }
  }
}

// --- the tenants' lists of towns ----------------------------------------------------------------

std::string Masked(const PolicySet& set, const std::string& tenant, const std::string& address) {
  return text::MaskAddressToTown(address, set.TownsOf(TenantId::Parse(tenant).value()));
}

TEST(PolicyTowns, AreTheirTenantsAlone) {
  Sources sources = Good();
  sources.towns = {{"towns/131164.txt", "西池袋\n"}};
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
  EXPECT_EQ(Masked(*set, "131164", "豊島区西池袋1"), "豊島区西池袋＊＊＊");
  EXPECT_EQ(Masked(*set, "131164", "横浜市中区本町1"), "横浜市中区＊＊＊");
  // A tenant without a list, and one that there is not: no town at all.
  EXPECT_EQ(Masked(*set, "141003", "横浜市中区本町1"), "横浜市中区＊＊＊");
  EXPECT_EQ(Masked(*set, "141003", "豊島区西池袋1"), "豊島区＊＊＊");
  EXPECT_EQ(Masked(*set, "011002", "豊島区西池袋1"), "豊島区＊＊＊");
}

TEST(PolicyTowns, AListThatIsWrongOrOfNoTenantStopsTheStart) {
  const struct {
    const char* file;
    const char* text;
    const char* message;
  } kCases[] = {
      {"towns/011002.txt", "中区 本町\n",
       "towns/011002.txt: is of no tenant; one of 131164.txt, 141003.txt"},
      {"towns/131164", "西池袋\n", "towns/131164: is of no tenant; one of 131164.txt, 141003.txt"},
      {"towns/131164.txt~", "西池袋\n",
       "towns/131164.txt~: is of no tenant; one of 131164.txt, 141003.txt"},
      {"towns/.131164.txt.swp", "西池袋\n",
       "towns/.131164.txt.swp: is of no tenant; one of 131164.txt, 141003.txt"},
      {"towns/README.md", "", "towns/README.md: is of no tenant; one of 131164.txt, 141003.txt"},
      {"towns/131164.txt", "", "towns/131164.txt:1: no 町字; expected at least one, or no file"},
      {"towns/131164.txt", "# 豊島区\n西池袋\n西池袋1-2ハイツ\n",
       "towns/131164.txt:3: expected a 町字 of letters alone"},
      {"towns/131164.txt", "西池袋\n西池袋一丁目\n",
       "towns/131164.txt:2: expected the 町字 without its 丁目"},
      {"towns/131164.txt", "西池袋\xff\n", "towns/131164.txt:1: not UTF-8"},
  };
  for (const auto& c : kCases) {
    Sources sources = Good();
    sources.towns = {{c.file, c.text}};
    const absl::Status status = PolicySet::Load(sources).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.file;
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(PolicyTowns, AreReadFromTheFolderBesideTheTenants) {
  const std::string root = VAULT_SOURCE_DIR;
  const std::string dir = absl::StrCat(::testing::TempDir(), "/policy-towns");
  std::filesystem::remove_all(dir);
  std::filesystem::copy(root + "/policies", dir, std::filesystem::copy_options::recursive);
  const auto read = [&] { return ReadSources(dir, root + "/deploy/subjects.textproto"); };
  VAULT_ASSERT_OK_AND_ASSIGN(Sources sources, read());
  ASSERT_EQ(sources.towns.size(), 2);
  EXPECT_EQ(sources.towns[0].name, dir + "/towns/131164.txt");
  EXPECT_EQ(sources.towns[1].name, dir + "/towns/141003.txt");
  // What is no file is no list, and is not passed over.
  std::filesystem::create_directory(dir + "/towns/more");
  EXPECT_EQ(read().status().message(), dir + "/towns/more: cannot be read; expected a file");
  std::filesystem::remove_all(dir + "/towns");
  VAULT_ASSERT_OK_AND_ASSIGN(sources, read());
  EXPECT_TRUE(sources.towns.empty());
  VAULT_ASSERT_OK_AND_ASSIGN(const auto set, PolicySet::Load(sources));
  EXPECT_EQ(Masked(*set, "131164", "豊島区西池袋1"), "豊島区＊＊＊");
  std::ofstream(dir + "/towns") << "西池袋\n";
  EXPECT_EQ(read().status().message(), dir + "/towns: cannot be read; expected a folder");
  std::filesystem::remove_all(dir);
}

TEST(PolicyLoad, RefusesEmptyFiles) {
  const std::pair<Which, const char*> kFiles[] = {
      {kInSchema, "schema.textproto:1:1: the file is empty; expected Schema"},
      {kInPolicy, "policy.textproto:1:1: the file is empty; expected Policy"},
      {kInTenants, "tenants.textproto:1:1: the file is empty; expected Tenants"},
      {kInSubjects, "subjects.textproto:1:1: the file is empty; expected Subjects"},
  };
  for (const auto& [which, golden] : kFiles) {
    Sources sources = Good();
    Pick(sources, which).text = " \n";
    EXPECT_EQ(PolicySet::Load(sources).status().message(), golden);
    Pick(sources, which).text = "# nothing but a comment\n";
    EXPECT_THAT(std::string(PolicySet::Load(sources).status().message()),
                ::testing::HasSubstr(".textproto:1:1: no "));
  }
}

TEST(PolicyLoad, MessagesNeverNameASubject) {
  for (const Mistake& mistake : kMistakes) {
    if (mistake.which != kInSubjects) continue;
    EXPECT_EQ(std::string(mistake.golden).find("urn:vault:one"), std::string::npos);
    EXPECT_EQ(std::string(mistake.golden).find("urn:vault:two"), std::string::npos);
  }
}

TEST(PolicyLoad, ReadSourcesNamesTheFileThatIsMissing) {
  const std::string policies = std::string(VAULT_SOURCE_DIR) + "/policies";
  const auto sources = ReadSources(policies, policies + "/none.textproto");
  EXPECT_EQ(sources.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(sources.status().message(),
            policies + "/none.textproto: cannot be read; expected a file");
  EXPECT_FALSE(ReadSources(policies + "/none", policies + "/schema.textproto").ok());
  // A directory opens, but does not read.
  EXPECT_FALSE(ReadSources(policies, policies).ok());
}

TEST(PolicyLoad, ShippedFilesLoad) {
  const std::string root = VAULT_SOURCE_DIR;
  VAULT_ASSERT_OK_AND_ASSIGN(Sources sources,
                             ReadSources(root + "/policies", root + "/deploy/subjects.textproto"));
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
  EXPECT_EQ(set->tenants().size(), 2);
  ASSERT_EQ(set->schema().fields().size(), 14);
  for (const FieldSpec& field : set->schema().fields()) EXPECT_EQ(field.number, field.index + 1);
  const TenantId toshima = TenantId::Parse("131164").value();
  const Programme* vaccination = set->FindProgramme(toshima, "vaccination");
  ASSERT_NE(vaccination, nullptr);
  EXPECT_EQ(vaccination->term->end, absl::CivilDay(2027, 3, 31));
  EXPECT_EQ(vaccination->term->keep_days, 30);
  ASSERT_NE(set->FindProgramme(toshima, "health_observation"), nullptr);
  EXPECT_FALSE(set->FindProgramme(toshima, "health_observation")->term.has_value());
  EXPECT_EQ(Masked(*set, "131164", "豊島区西池袋1"), "豊島区西池袋＊＊＊");
  EXPECT_EQ(Masked(*set, "141003", "横浜市中区本町1"), "横浜市中区本町＊＊＊");
  for (const char* id :
       {"booking-service", "operator-toshima", "operator-yokohama", "supervisor-toshima",
        "officer-toshima", "compliance-toshima", "compliance-yokohama", "security", "security-2"}) {
    EXPECT_NE(set->FindSubject(absl::StrCat("urn:vault:", id)), nullptr) << id;
  }
}

TEST(PolicyDigest, IsSha256OverTheSourcesEachWithItsLength) {
  // By Python: sha256(b"".join(struct.pack(">Q", len(t)) + t for t in texts)).
  Sources sources = Good();
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
  EXPECT_EQ(set->digest(), "a7cf6d35399488508feb0cc95414ea3b230e53c25d9affa07256c389b1d67f69");
  // Behind them each list's file name and text.
  sources.towns = {{"policies/towns/131164.txt", "西池袋\n"}};
  VAULT_ASSERT_OK_AND_ASSIGN(set, PolicySet::Load(sources));
  EXPECT_EQ(set->digest(), "987c5607d0618ca27fada202c0b53afcb899e5019fb2b85e8d60729ae802a438");
}

TEST(PolicyDigest, ChangesWithAnyByteAndWithNothingElse) {
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(Good()));
  std::set<std::string> digests = {set->digest()};
  size_t made = 1;
  for (Which which : {kInSchema, kInPolicy, kInTenants, kInSubjects}) {
    // A comment's byte changes no decision and yet the digest.
    for (const char* added : {"#", "# a", "# b", "\n"}) {
      Sources sources = Good();
      Pick(sources, which).text += added;
      VAULT_ASSERT_OK_AND_ASSIGN(auto other, PolicySet::Load(sources));
      digests.insert(other->digest());
      ++made;
    }
  }
  EXPECT_EQ(digests.size(), made);
  // A town more or less, and whose it is.
  for (const char* file : {"towns/131164.txt", "towns/141003.txt"}) {
    for (const char* text : {"# a\n中区 本町\n", "中区 本町\n"}) {
      Sources sources = Good();
      sources.towns = {{file, text}};
      VAULT_ASSERT_OK_AND_ASSIGN(auto other, PolicySet::Load(sources));
      digests.insert(other->digest());
      ++made;
    }
  }
  EXPECT_EQ(digests.size(), made);
  Sources renamed = Good();
  renamed.policy.name = "elsewhere";
  VAULT_ASSERT_OK_AND_ASSIGN(auto same, PolicySet::Load(renamed));
  EXPECT_EQ(same->digest(), set->digest());
}

TEST(PolicyContact, ShippedPatternTakesReferencesAndNothingThatNamesAPerson) {
  const std::string root = VAULT_SOURCE_DIR;
  VAULT_ASSERT_OK_AND_ASSIGN(Sources sources,
                             ReadSources(root + "/policies", root + "/deploy/subjects.textproto"));
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
  for (const char* good : {"C-1001", "B-2026-11", "C-1", "CTI-12345678", "AB-1234-5678", "Z-0"}) {
    EXPECT_TRUE(set->ContactMatches(good)) << good;
  }
  for (const char* bad : {"",
                          "C",
                          "C-",
                          "c-1001",
                          "C1001",
                          "1001",
                          "03-1234-5678",
                          "0312345678",
                          "090-1234-5678",
                          "09012345678",
                          "+819012345678",
                          "+81-90-1234-5678",
                          "０９０－１２３４－５６７８",
                          "C-090-1234-5678",
                          "C-09012345678",
                          "C-0312345678",
                          "C-123456789",
                          "983205673214",
                          "C-9832-0567-3214",
                          "C-983205673214",
                          "ABCD-1",
                          "C-1001 ",
                          " C-1001",
                          "C-1001\n",
                          "C-1001-1-1",
                          "C-YAMADA",
                          "YAMADA-1",
                          "C-山田",
                          "C-１００１",
                          "C--1",
                          "C-1-"}) {
    EXPECT_FALSE(set->ContactMatches(bad)) << bad;
  }
  EXPECT_FALSE(set->ContactMatches(absl::string_view("C-1001\0", 7)));
  EXPECT_FALSE(set->ContactMatches("C-\xff"));
}

TEST(PolicyContact, NoReferenceIsLongerThan64BytesWhateverThePatternSays) {
  Sources sources = Good();
  sources.policy.text =
      absl::StrReplaceAll(sources.policy.text, {{"[A-Z]-[0-9]{1,8}", "X{1,100}"}});
  VAULT_ASSERT_OK_AND_ASSIGN(auto set, PolicySet::Load(sources));
  EXPECT_TRUE(set->ContactMatches(std::string(64, 'X')));
  EXPECT_FALSE(set->ContactMatches(std::string(65, 'X')));
}

TEST(PolicyContact, ProbesHoldTheTelephonesThatPeopleHideBehindALetter) {
  std::set<std::string> probes;
  for (const ContactProbe& probe : ContactProbes()) probes.insert(probe.text);
  for (const char* text : {"090-1234-5678", "C-090-1234-5678", "C-09012345678", "03 1234 5678",
                           "+81-90-1234-5678", "０９０－１２３４－５６７８", "983205673214",
                           "C-9832-0567-3214", "YAMADA-HANAKO", "C-山田花子"}) {
    EXPECT_EQ(probes.count(text), 1) << text;
  }
}

}  // namespace
}  // namespace vault::policy
