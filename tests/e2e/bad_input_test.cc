// What is wrong is refused with the documented code, reason and place, the good beside it stands,
// and nothing of what was sent comes back: not in the status, not from vaultctl, not in the
// server's log.
#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/sandbox.h"

namespace vault::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr grpc::StatusCode kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
// Valid as a My Number; nobody's.
constexpr char kMyNumber[] = "983205673214";
constexpr char kHeader[] = "name,kana,birth_date,phone,address_number\n";

class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    box_ = new Sandbox();
    ASSERT_TRUE(box_->Up());
    booking_ = new Stubs(box_->As("booking-service"));
  }
  static void TearDownTestSuite() {
    delete booking_;
    delete box_;
  }
  // Whatever was sent, the log has none of it.
  void TearDown() override {
    const std::string log = box().log();
    EXPECT_THAT(log, HasSubstr("serving on"));
    for (const std::string& text : sent_) EXPECT_THAT(log, Not(HasSubstr(text)));
  }

  static Sandbox& box() { return *box_; }
  static Stubs& booking() { return *booking_; }

  // Remembers `text` as a thing that must not come back.
  std::string Sent(const std::string& text) {
    sent_.push_back(text);
    return text;
  }

  v1::CreateResidentRequest NewResident() {
    v1::CreateResidentRequest request;
    request.set_tenant_id(kToshima);
    *request.mutable_context() = Access("migration", "B-3001");
    SetField(&request, "name", Sent("見本　花子"));
    SetField(&request, "kana", Sent("ミホン　ハナコ"));
    SetField(&request, "birth_date", Sent("1970-05-05"));
    SetField(&request, "address_number", Sent(absl::StrCat("BADINPUT", next_number_++)));
    return request;
  }
  // With one more field, or another value of one that is there.
  v1::CreateResidentRequest NewResidentWith(const std::string& id, const std::string& value) {
    v1::CreateResidentRequest request = NewResident();
    for (v1::FieldValue& field : *request.mutable_fields()) {
      if (field.id() != id) continue;
      field.set_value(value);
      return request;
    }
    SetField(&request, id, value);
    return request;
  }

  grpc::Status Create(const v1::CreateResidentRequest& request,
                      v1::CreateResidentResponse* response) {
    return booking().residents->CreateResident(NewContext().get(), request, response);
  }
  grpc::Status CreateWith(const std::string& id, const std::string& value) {
    v1::CreateResidentResponse response;
    const grpc::Status status = Create(NewResidentWith(id, value), &response);
    EXPECT_EQ(response.ByteSizeLong(), 0u);
    return status;
  }
  grpc::Status Update(const std::string& id, const std::string& field, const std::string& value,
                      const std::string& etag = "", const std::string& request_id = "") {
    v1::UpdateResidentRequest request;
    request.set_tenant_id(kToshima);
    request.set_resident_id(id);
    *request.mutable_context() = Access("correction", "B-3002");
    SetField(&request, field, value);
    request.set_etag(etag);
    request.set_request_id(request_id);
    v1::UpdateResidentResponse response;
    return booking().residents->UpdateResident(NewContext().get(), request, &response);
  }
  grpc::Status Lookup(const v1::LookupResidentsRequest& request) {
    v1::LookupResidentsResponse response;
    const grpc::Status status =
        booking().residents->LookupResidents(NewContext().get(), request, &response);
    if (!status.ok()) EXPECT_EQ(response.ByteSizeLong(), 0u);
    return status;
  }
  v1::CreateResidentResponse Stored() {
    v1::CreateResidentResponse response;
    const grpc::Status status = Create(NewResident(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  void ExpectNothingSentIn(const std::string& text) {
    for (const std::string& sent : sent_) EXPECT_THAT(text, Not(HasSubstr(sent)));
  }
  void ExpectRefused(const grpc::Status& status, grpc::StatusCode code, const std::string& reason,
                     const std::string& field) {
    const Details details = DetailsOf(status);
    EXPECT_EQ(details.code, code) << status.error_message();
    EXPECT_EQ(details.reason, reason) << status.error_message();
    EXPECT_EQ(details.domain, "vault");
    if (field.empty()) {
      EXPECT_THAT(details.fields, IsEmpty());
    } else {
      EXPECT_THAT(details.fields, ElementsAre(field));
    }
    ExpectNothingSentIn(absl::StrCat(status.error_message(), "|", status.error_details()));
  }

  CommandResult Ctl(const std::string& persona, std::vector<std::string> arguments) {
    CommandResult result = box().Run(persona, arguments);
    ExpectNothingSentIn(result.All());
    return result;
  }
  CommandResult CtlSet(const std::string& assignment) {
    return Ctl("booking-service",
               {"residents", "create", "--tenant", kToshima, "--set", "name=見本　花子", "--set",
                "kana=ミホン　ハナコ", "--set", "birth_date=1970-05-05", "--set",
                absl::StrCat("address_number=BADINPUT", next_number_++), "--set", assignment,
                "--purpose", "migration", "--contact", "B-3003"});
  }
  // Imports a file of `csv`; what came back, line by line.
  CommandResult Import(const std::string& csv, int exit_code) {
    const std::string file = box().work_dir() + "/bad.csv";
    WriteFileOrDie(file, csv);
    CommandResult result =
        Ctl("booking-service", {"residents", "import", file, "--tenant", kToshima, "--purpose",
                                "migration", "--contact", "B-3004"});
    EXPECT_EQ(result.exit_code, exit_code) << result.All();
    return result;
  }
  bool IsStored(const std::string& address_number) {
    v1::LookupResidentsResponse response;
    const grpc::Status status = booking().residents->LookupResidents(
        NewContext().get(), LookupBy(kToshima, "address_number", address_number), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.residents_size() == 1;
  }
  std::string Row(const std::string& number) {
    return absl::StrCat(Sent("仮名　太郎"), ",", Sent("カメイ　タロウ"), ",", Sent("1981-02-03"),
                        ",", Sent("03-1999-4321"), ",", number, "\n");
  }

 private:
  static Sandbox* box_;
  static Stubs* booking_;
  static int next_number_;
  std::vector<std::string> sent_;
};

Sandbox* BadInput::box_ = nullptr;
Stubs* BadInput::booking_ = nullptr;
int BadInput::next_number_ = 1000;

TEST_F(BadInput, MalformedTelephoneIsRefusedWithItsPlace) {
  const std::string id = Stored().resident_id();
  for (const char* phone :
       {"03-1999-12", "０３－１２３４－番号", "#7119", "110", "+81-3-1234-567890123"}) {
    SCOPED_TRACE(phone);
    // "110" stands in many a time of day.
    if (absl::string_view(phone).size() > 5) Sent(phone);
    ExpectRefused(CreateWith("phone", phone), kInvalid, "INVALID_FIELD", "fields[phone]");
    ExpectRefused(Update(id, "phone", phone), kInvalid, "INVALID_FIELD", "fields[phone]");
    ExpectRefused(Lookup(LookupBy(kToshima, "phone", phone)), kInvalid, "INVALID_FIELD",
                  "criteria[phone]");
  }
  const CommandResult told = CtlSet("phone=" + Sent("03-1999-12"));
  EXPECT_EQ(told.exit_code, 2) << told.All();
  EXPECT_THAT(told.err, HasSubstr("fields[phone]"));
}

TEST_F(BadInput, ImpossibleDateIsRefusedWithItsPlace) {
  for (const char* date : {"1971-02-29", "1958-04-31", "1958-13-01", "2999-01-01", "1701-01-01",
                           "昭和33年4月1日", "19580401"}) {
    SCOPED_TRACE(date);
    Sent(date);
    ExpectRefused(CreateWith("birth_date", date), kInvalid, "INVALID_FIELD", "fields[birth_date]");
    ExpectRefused(Lookup(LookupBy(kToshima, "birth_date", date)), kInvalid, "INVALID_FIELD",
                  "criteria[birth_date]");
  }
  v1::CreateResidentResponse good;
  EXPECT_TRUE(Create(NewResidentWith("birth_date", "1972-02-29"), &good).ok());
}

TEST_F(BadInput, UnknownFieldIsRefusedAndItsNameIsNotRepeated) {
  // A name that slipped into the place of a field's id is a name.
  const std::string id = Sent("架空　次郎");
  const int last = NewResident().fields_size();
  ExpectRefused(CreateWith(id, "x"), kInvalid, "UNKNOWN_FIELD",
                absl::StrCat("fields[", last, "].id"));
  ExpectRefused(Update(Stored().resident_id(), id, "x"), kInvalid, "UNKNOWN_FIELD", "fields[0].id");
  ExpectRefused(Lookup(LookupBy(kToshima, id, "x")), kInvalid, "UNKNOWN_FIELD", "criteria[0].id");
  v1::LookupResidentsRequest masked = LookupBy(kToshima, "phone", "03-1999-0000");
  masked.mutable_field_mask()->add_paths(id);
  ExpectRefused(Lookup(masked), kInvalid, "UNKNOWN_FIELD", "field_mask.paths[0]");
  EXPECT_EQ(CtlSet(id + "=x").exit_code, 2);
}

TEST_F(BadInput, MissingFieldIsRefusedWithItsPlace) {
  v1::CreateResidentRequest request = NewResident();
  request.mutable_fields()->DeleteSubrange(2, 1);
  v1::CreateResidentResponse response;
  ExpectRefused(Create(request, &response), kInvalid, "MISSING", "fields[birth_date]");
  ExpectRefused(Update(Stored().resident_id(), "name", ""), kInvalid, "MISSING", "fields[name]");
}

TEST_F(BadInput, MyNumberIsRefusedInFreeTextHoweverItIsWritten) {
  const std::string id = Stored().resident_id();
  for (const std::string& number :
       {std::string(kMyNumber), std::string("9832-0567-3214"), std::string("9832 0567 3214"),
        std::string("９８３２０５６７３２１４")}) {
    Sent(number);
    const std::string memo = absl::StrCat("本人より ", number, " と申告");
    for (const char* field : {"memo", "health_note", "name", "address"}) {
      ExpectRefused(CreateWith(field, memo), kInvalid, "MY_NUMBER",
                    absl::StrCat("fields[", field, "]"));
    }
    ExpectRefused(Update(id, "memo", memo), kInvalid, "MY_NUMBER", "fields[memo]");
  }
  // In a field of another type that does not parse as its own.
  ExpectRefused(CreateWith("ticket_number", kMyNumber), kInvalid, "MY_NUMBER",
                "fields[ticket_number]");
  EXPECT_EQ(CtlSet(absl::StrCat("memo=", kMyNumber)).exit_code, 2);
  // One digit off is a number as any other.
  v1::CreateResidentResponse good;
  EXPECT_TRUE(Create(NewResidentWith("memo", "受付 983205673215"), &good).ok());
}

TEST_F(BadInput, MemoOfOneMebibyteIsRefusedWithItsPlace) {
  const std::string memo = Sent("長い覚え書き") + std::string(1 << 20, 'x');
  ExpectRefused(CreateWith("memo", memo), kInvalid, "TOO_LONG", "fields[memo]");
  ExpectRefused(Update(Stored().resident_id(), "memo", memo), kInvalid, "TOO_LONG", "fields[memo]");
  ExpectRefused(CreateWith("memo", std::string(8193, 'x')), kInvalid, "TOO_LONG", "fields[memo]");
  const std::string file = box().work_dir() + "/memo.txt";
  WriteFileOrDie(file, memo);
  const CommandResult told = CtlSet("memo=@" + file);
  EXPECT_EQ(told.exit_code, 2) << told.All();
  EXPECT_THAT(told.err, HasSubstr("fields[memo]"));
  v1::CreateResidentResponse good;
  EXPECT_TRUE(Create(NewResidentWith("memo", std::string(8192, 'x')), &good).ok());
}

TEST_F(BadInput, MessageBeyondTheServersBoundIsRefused) {
  const grpc::Status status = CreateWith("memo", Sent("長い覚え書き") + std::string(5 << 20, 'x'));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// Values are strings of proto3: the message that holds another does not parse, and gRPC ends the
// call before the vault sees it.
TEST_F(BadInput, InvalidUtf8EndsTheCallInTheMessagesParsing) {
  for (const std::string& text : {std::string("\xE8\xA6\x8B\xE6\x9C"), std::string("\xC0\xAFzz"),
                                  std::string("\xED\xA0\x80zz"), std::string("\x8C\xA9\x96\x7B")}) {
    Sent(text);
    for (const grpc::Status& status :
         {CreateWith("name", text), CreateWith("memo", text), CreateWith("address", text),
          Lookup(LookupBy(kToshima, "name", text))}) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
      ExpectNothingSentIn(absl::StrCat(status.error_message(), "|", status.error_details()));
    }
    EXPECT_EQ(CtlSet("memo=" + text).exit_code, 2);
  }
}

TEST_F(BadInput, UnknownTenantIsRefused) {
  v1::LookupResidentsRequest request = LookupBy("", "phone", Sent("03-1999-0000"));
  for (const char* malformed : {"", "131165", "13116", "豊島区", "service", "131164 "}) {
    request.set_tenant_id(malformed);
    SCOPED_TRACE(malformed);
    const Details details = DetailsOf(Lookup(request));
    // "service" is a log, and no tenant.
    EXPECT_EQ(details.code, absl::string_view(malformed) == "service"
                                ? grpc::StatusCode::PERMISSION_DENIED
                                : kInvalid);
  }
  request.set_tenant_id("131165");
  ExpectRefused(Lookup(request), kInvalid, "INVALID_FIELD", "tenant_id");
  // Well formed, and not served here.
  request.set_tenant_id("011002");
  const grpc::Status unserved = Lookup(request);
  ExpectRefused(unserved, grpc::StatusCode::PERMISSION_DENIED, "POLICY", "");
  EXPECT_EQ(DetailsOf(unserved).rule, "tenant.bound");
  const CommandResult told = Ctl("security", {"keys", "status", "--tenant", "011002"});
  EXPECT_EQ(told.exit_code, 1) << told.All();
}

TEST_F(BadInput, PageSizeOutOfRangeIsRefused) {
  const Stubs compliance = box().As("compliance-toshima");
  for (int size : {-1, 1001, 1000000}) {
    v1::ListEntriesRequest request;
    request.set_log_id(kToshima);
    request.set_page_size(size);
    v1::ListEntriesResponse response;
    ExpectRefused(compliance.audit->ListEntries(NewContext().get(), request, &response), kInvalid,
                  "PAGE_SIZE", "page_size");
    EXPECT_EQ(response.ByteSizeLong(), 0u);
  }
  EXPECT_EQ(
      Ctl("compliance-toshima", {"audit", "list", "--tenant", kToshima, "--page-size", "1000000"})
          .exit_code,
      2);
}

TEST_F(BadInput, ForgedPageTokenAndAnotherCallersAreRefused) {
  const Stubs security = box().As("security"), second = box().As("security-2");
  v1::ListEntriesRequest request;
  request.set_log_id("service");
  request.set_page_size(1);
  v1::ListEntriesResponse page;
  // So that there is more than a page.
  ASSERT_TRUE(security.audit->ListEntries(NewContext().get(), request, &page).ok());
  page.Clear();
  ASSERT_TRUE(security.audit->ListEntries(NewContext().get(), request, &page).ok());
  const std::string token = page.next_page_token();
  ASSERT_FALSE(token.empty());

  const auto refused = [&](const Stubs& stubs, const v1::ListEntriesRequest& asked) {
    v1::ListEntriesResponse response;
    ExpectRefused(stubs.audit->ListEntries(NewContext().get(), asked, &response), kInvalid,
                  "PAGE_TOKEN", "page_token");
    EXPECT_EQ(response.ByteSizeLong(), 0u);
  };
  request.set_page_token(token);
  refused(second, request);
  v1::ListEntriesRequest other_filter = request;
  other_filter.set_decision(v1::DECISION_DENY);
  refused(security, other_filter);
  for (size_t at : {size_t{0}, token.size() / 2, token.size() - 2}) {
    v1::ListEntriesRequest forged = request;
    std::string bent = token;
    bent[at] = bent[at] == 'A' ? 'B' : 'A';
    forged.set_page_token(bent);
    refused(security, forged);
  }
  for (const std::string& made_up : {std::string("AAAA"), std::string("1"), std::string(4000, 'A'),
                                     token + token, token.substr(0, token.size() / 2)}) {
    v1::ListEntriesRequest forged = request;
    forged.set_page_token(made_up);
    refused(security, forged);
  }
  // Of another log.
  v1::ListEntriesRequest elsewhere = request;
  elsewhere.set_log_id(kToshima);
  refused(box().As("compliance-toshima"), elsewhere);
  v1::ListEntriesResponse good;
  EXPECT_TRUE(security.audit->ListEntries(NewContext().get(), request, &good).ok());
  ASSERT_EQ(good.entries_size(), 1);
  EXPECT_EQ(good.entries(0).seq(), 1u);
}

TEST_F(BadInput, ContactThatIsATelephoneOrANameIsRefused) {
  for (const char* contact : {"03-1234-5678", "09012345678", "０９０１２３４５６７８", "見本花子",
                              "C-0312345678", "983205673214"}) {
    SCOPED_TRACE(contact);
    Sent(contact);
    ExpectRefused(Lookup(LookupBy(kToshima, "phone", "03-1999-0000", contact)), kInvalid,
                  "INVALID_CONTACT", "context.contact");
    v1::CreateResidentRequest create = NewResident();
    create.mutable_context()->set_contact(contact);
    v1::CreateResidentResponse response;
    ExpectRefused(Create(create, &response), kInvalid, "INVALID_CONTACT", "context.contact");
    EXPECT_EQ(Ctl("booking-service",
                  {"residents", "lookup", "--tenant", kToshima, "--by", "phone=03-1999-0000",
                   "--purpose", "vaccination_booking", "--contact", contact})
                  .exit_code,
              2);
  }
}

TEST_F(BadInput, ContextThatIsNotUtf8IsRefused) {
  // Of a string in a message the parser is the judge; nothing of it may reach the log either.
  const std::string contact = Sent("C-\xE8\xA6\x8B\xE6");
  const grpc::Status status = Lookup(LookupBy(kToshima, "phone", "03-1999-0000", contact));
  EXPECT_FALSE(status.ok());
  ExpectNothingSentIn(status.error_message() + status.error_details());
}

TEST_F(BadInput, RequestIdWithAnotherBodyIsRefused) {
  v1::CreateResidentRequest request = NewResident();
  request.set_request_id("attempt-1");
  v1::CreateResidentResponse first, again, other;
  ASSERT_TRUE(Create(request, &first).ok());
  ASSERT_TRUE(Create(request, &again).ok());
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());

  v1::CreateResidentRequest changed = request;
  SetField(&changed, "memo", Sent("別の本文"));
  ExpectRefused(Create(changed, &other), grpc::StatusCode::ALREADY_EXISTS, "REQUEST_ID_REUSED", "");
  EXPECT_EQ(other.ByteSizeLong(), 0u);

  EXPECT_TRUE(Update(first.resident_id(), "memo", "一", "", "attempt-2").ok());
  EXPECT_TRUE(Update(first.resident_id(), "memo", "一", "", "attempt-2").ok());
  ExpectRefused(Update(first.resident_id(), "memo", "二", "", "attempt-2"),
                grpc::StatusCode::ALREADY_EXISTS, "REQUEST_ID_REUSED", "");
  ExpectRefused(Update(first.resident_id(), "memo", "一", "", Sent("見本 花子")), kInvalid,
                "INVALID_FIELD", "request_id");
}

TEST_F(BadInput, StaleEtagIsRefusedAndChangesNothing) {
  const v1::CreateResidentResponse stored = Stored();
  ASSERT_TRUE(Update(stored.resident_id(), "memo", "一", stored.etag()).ok());
  ExpectRefused(Update(stored.resident_id(), "memo", Sent("二度目の覚え書き"), stored.etag()),
                grpc::StatusCode::ABORTED, "ETAG_MISMATCH", "");
  const CommandResult told =
      Ctl("booking-service",
          {"residents", "update", stored.resident_id(), "--tenant", kToshima, "--set", "memo=三",
           "--etag", stored.etag(), "--purpose", "correction", "--contact", "C-3005"});
  EXPECT_EQ(told.exit_code, 6) << told.All();
  v1::GetResidentRequest get;
  get.set_tenant_id(kToshima);
  get.set_resident_id(stored.resident_id());
  *get.mutable_context() = Access("complaint", "C-3006");
  get.mutable_field_mask()->add_paths("memo");
  v1::GetResidentResponse now;
  ASSERT_TRUE(
      box().As("operator-toshima").residents->GetResident(NewContext().get(), get, &now).ok());
  EXPECT_EQ(now.resident().fields(0).value(), "一");
  EXPECT_EQ(now.resident().version(), 2u);
}

TEST_F(BadInput, NumberThatIsTakenIsRefused) {
  v1::CreateResidentRequest request = NewResidentWith("address_number", Sent("TAKEN7"));
  v1::CreateResidentResponse response;
  ASSERT_TRUE(Create(request, &response).ok());
  response.Clear();
  ExpectRefused(Create(request, &response), grpc::StatusCode::ALREADY_EXISTS, "ALREADY_EXISTS", "");
}

TEST_F(BadInput, CsvWithAMissingColumnIsRefusedRowByRow) {
  const CommandResult told = Import(
      "name,kana,birth_date,phone\n"
      "仮名　太郎,カメイ　タロウ,1981-02-03,03-1999-4321\n"
      "仮名　次郎,カメイ　ジロウ,1981-02-03,03-1999-4322\n",
      2);
  EXPECT_THAT(told.err, AllOf(HasSubstr("bad.csv:2: "), HasSubstr("bad.csv:3: "),
                              HasSubstr("address_number"), HasSubstr("MISSING")));
  EXPECT_THAT(told.All(), AllOf(Not(HasSubstr("仮名")), Not(HasSubstr("03-1999"))));
}

TEST_F(BadInput, CsvWithoutAHeaderIsRefusedAndItsFirstResidentIsNotRepeated) {
  const CommandResult told = Import(Row("NOHEAD1") + Row("NOHEAD2"), 2);
  EXPECT_THAT(told.err, HasSubstr("bad.csv:1: column 1"));
  EXPECT_FALSE(IsStored("NOHEAD2"));
}

TEST_F(BadInput, CsvRowOfTheWrongWidthIsNamedAndTheOthersStand) {
  const CommandResult told =
      Import(absl::StrCat(kHeader, Row("WIDTH1"), Sent("幅狭　花"), ",", Sent("ハバセマ　ハナ"),
                          "\n", Row("WIDTH3"),
                          "幅広,ハバヒロ,1990-01-01,03-1999-0009,WIDTH4,余り\n", Row("WIDTH5")),
             2);
  EXPECT_THAT(told.err, AllOf(HasSubstr("bad.csv:3: "), HasSubstr("bad.csv:5: "),
                              HasSubstr("CSV_ROW_WIDTH")));
  EXPECT_THAT(told.out, HasSubstr("imported 3 of 5 rows"));
  EXPECT_TRUE(IsStored("WIDTH1") && IsStored("WIDTH3") && IsStored("WIDTH5"));
  EXPECT_FALSE(IsStored("WIDTH4"));
}

TEST_F(BadInput, CsvWithQuotesLeftOpenNamesWhereTheyOpenedAndTheRowsBeforeStand) {
  const CommandResult told =
      Import(absl::StrCat(kHeader, Row("QUOTE1"), Row("QUOTE2"), "\"", Sent("引用　花"), ",",
                          Row("QUOTE3"), Row("QUOTE4")),
             2);
  EXPECT_THAT(told.err, AllOf(HasSubstr("bad.csv:4: "), HasSubstr("CSV_QUOTES_OPEN")));
  EXPECT_TRUE(IsStored("QUOTE1") && IsStored("QUOTE2"));
  EXPECT_FALSE(IsStored("QUOTE3"));
}

TEST_F(BadInput, CsvRowThatIsNotUtf8IsNamedAndTheOthersStand) {
  const std::string shift_jis = Sent("\x8C\xA9\x96\x7B");
  const CommandResult told = Import(absl::StrCat(kHeader, Row("UTF1"), shift_jis, ",", shift_jis,
                                                 ",1981-02-03,03-1999-4321,UTF2\n", Row("UTF3")),
                                    2);
  EXPECT_THAT(told.err, AllOf(HasSubstr("bad.csv:3: "), HasSubstr("CSV_NOT_UTF8")));
  EXPECT_THAT(told.out, HasSubstr("imported 2 of 3 rows"));
  EXPECT_TRUE(IsStored("UTF1") && IsStored("UTF3"));
  EXPECT_FALSE(IsStored("UTF2"));
}

TEST_F(BadInput, ImportNamesEachBadRowWithItsFieldAndTheGoodRowsStand) {
  const std::string memo = absl::StrCat("番号 ", Sent(kMyNumber));
  const std::string csv =
      absl::StrCat("name,kana,birth_date,phone,address_number,memo\n",
                   "仮名　一,カメイ　イチ,1981-02-03,03-1999-4321,MIXED2,\n",
                   "仮名　二,カメイ　ニ,1981-02-30,03-1999-4321,MIXED3,\n",
                   "仮名　三,カメイ　サン,1981-02-03,03-19,MIXED4,\n",
                   "仮名　四,カメイ　ヨン,1981-02-03,03-1999-4321,MIXED5,", memo, "\n",
                   "仮名　五,カメイ　ゴ,1981-02-03,03-1999-4321,MIXED2,\n",
                   ",カメイ　ロク,1981-02-03,03-1999-4321,MIXED7,\n",
                   "仮名　七,カメイ　ナナ,1981-02-03,03-1999-4321,MIXED8,良い\n");
  const CommandResult told = Import(csv, 2);
  std::vector<std::string> bad;
  for (absl::string_view line : absl::StrSplit(told.err, '\n')) {
    const size_t at = line.find("bad.csv:");
    if (at != absl::string_view::npos) bad.emplace_back(line.substr(at));
  }
  EXPECT_THAT(bad,
              ElementsAre(AllOf(HasSubstr("csv:3: "), HasSubstr("birth_date")),
                          AllOf(HasSubstr("csv:4: "), HasSubstr("phone")),
                          AllOf(HasSubstr("csv:5: "), HasSubstr("memo"), HasSubstr("MY_NUMBER")),
                          AllOf(HasSubstr("csv:6: "), HasSubstr("ALREADY_EXISTS")),
                          AllOf(HasSubstr("csv:7: "), HasSubstr("name"), HasSubstr("MISSING"))));
  EXPECT_THAT(bad, Each(Not(HasSubstr("仮名"))));
  EXPECT_TRUE(IsStored("MIXED2") && IsStored("MIXED8"));
  EXPECT_FALSE(IsStored("MIXED3") || IsStored("MIXED4") || IsStored("MIXED5") ||
               IsStored("MIXED7"));
}

TEST_F(BadInput, ImportThatDoesNotOpenIsRefused) {
  const auto context = NewContext();
  const auto stream = booking().residents->ImportResidents(context.get());
  v1::ImportResidentsRequest row;
  row.mutable_row()->set_row(1);
  stream->Write(row);
  stream->WritesDone();
  v1::ImportResidentsResponse response;
  EXPECT_FALSE(stream->Read(&response));
  ExpectRefused(stream->Finish(), kInvalid, "INVALID_FIELD", "open");
}

TEST_F(BadInput, SecondVaultOnTheSameFolderIsRefusedAndTheFirstGoesOn) {
  const CommandResult second = box().RunVaultd({});
  EXPECT_EQ(second.exit_code, 1) << second.All();
  EXPECT_THAT(second.err, HasSubstr("cannot start"));
  EXPECT_THAT(second.All(), Not(HasSubstr("serving on")));
  EXPECT_FALSE(Stored().resident_id().empty());
  const CommandResult verified = Ctl("security", {"audit", "verify", "--log", "service"});
  EXPECT_EQ(verified.exit_code, 0) << verified.All();
}

// The vault is stopped here, and started again at the end.
TEST_F(BadInput, WrongOrReadableRootKeyAndASecondInitAreRefusedAndTheDataStays) {
  const std::string id = Stored().resident_id();
  ASSERT_TRUE(box().Down());
  const std::string head = ReadFileOrDie(box().dir() + "/keyring");

  const std::string other = box().work_dir() + "/other.key";
  ASSERT_EQ(box().RunCommand({VAULT_BIN_DIR "/vaultd", "--create_root_key=" + other}).exit_code, 0);
  const CommandResult wrong = box().RunVaultd({"--root_key=" + other});
  EXPECT_EQ(wrong.exit_code, 1) << wrong.All();
  EXPECT_THAT(wrong.err, HasSubstr("root key"));

  const std::string key = box().dir() + "/root.key";
  for (mode_t mode : {0644, 0640, 0604, 0700 | 0044}) {
    ASSERT_EQ(chmod(key.c_str(), mode), 0);
    const CommandResult readable = box().RunVaultd({});
    EXPECT_EQ(readable.exit_code, 1) << readable.All();
    EXPECT_THAT(readable.err, AllOf(HasSubstr("root.key"), HasSubstr("0600")));
  }
  ASSERT_EQ(chmod(key.c_str(), 0600), 0);

  const CommandResult again = box().RunVaultd({"--init"});
  EXPECT_EQ(again.exit_code, 1) << again.All();
  EXPECT_EQ(ReadFileOrDie(box().dir() + "/keyring"), head);
  EXPECT_EQ(box().RunCommand({VAULT_BIN_DIR "/vaultd", "--create_root_key=" + key}).exit_code, 1)
      << "a key that is there is never written over";

  ASSERT_TRUE(box().Start());
  booking() = box().As("booking-service");
  EXPECT_TRUE(Update(id, "memo", "後").ok());
}

}  // namespace
}  // namespace vault::testing
