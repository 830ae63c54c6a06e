// What the tests of this module share.
#ifndef VAULT_TESTS_USECASES_USECASES_FIXTURE_H_
#define VAULT_TESTS_USECASES_USECASES_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/test_vault.h"
#include "vault/inventory/approval_rows.h"
#include "vault/inventory/backup_rows.h"
#include "vault/recovery/schema_row.h"

namespace vault::usecases {

using inventory::ApprovalRows;
using inventory::BackupKey;
using inventory::BackupState;
using inventory::KeyKind;
using inventory::StoredApproval;
using inventory::StoredBackup;
using jobs::IsJobId;
using jobs::JobContext;
using jobs::JobKey;
using jobs::Jobs;
using jobs::JobsOptions;
using jobs::kJobIdSize;
using jobs::NewJobId;
using pipeline::AccessContext;
using pipeline::AttemptPurses;
using pipeline::Caller;
using pipeline::ChangeResult;
using pipeline::kPageSizeMax;
using pipeline::Page;
using pipeline::PageRequest;
using pipeline::RefusalCounter;
using pipeline::RefusalLimiter;
using pipeline::SealedAttempts;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using vault::testing::Awaited;
using vault::testing::Done;
using vault::testing::FaultStore;
using vault::testing::TestVault;
using vault::testing::TestVaultOptions;
using vault::testing::Toshima;
using vault::testing::Under;
using vault::testing::Values;
using vault::testing::Yokohama;

constexpr char kNobody[] = "00000000000000000000000000000000";

inline Under InYokohama() { return {"vaccination_booking", "C-1001", "", "141003"}; }
inline Under With(const std::string& purpose, const std::string& reason = "") {
  return {purpose, "C-1001", reason};
}

inline const records::FieldView& Field(const records::ResidentView& view, absl::string_view id) {
  for (const records::FieldView& field : view.fields) {
    if (field.spec->id == id) return field;
  }
  VAULT_CHECK(false) << "no such field";
  return view.fields[0];
}

inline std::string Shown(const records::ResidentView& view, absl::string_view id) {
  return std::string(Field(view, id).value.Expose());
}

// "OK", or the code with the reason.
inline std::string Outcome(const absl::Status& status) {
  return status.ok()
             ? "OK"
             : absl::StrCat(absl::StatusCodeToString(status.code()), " ", GetReason(status));
}

// Everything about a status, for comparison.
inline std::string Whole(const absl::Status& status) {
  std::map<std::string, std::string> payloads;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    payloads[std::string(url)] = std::string(payload);
  });
  std::string out = absl::StrCat(status.code(), "|", status.message());
  for (const auto& [url, payload] : payloads) absl::StrAppend(&out, "|", url, "=", payload);
  return out;
}

class UsecasesTest : public ::testing::Test {
 protected:
  ~UsecasesTest() override {
    if (vault_ != nullptr) vault_->CheckAll();
  }
  // Another vault takes the place of the one there was.
  void Restart(TestVaultOptions options) {
    vault_.reset();
    vault_ = std::make_unique<TestVault>(std::move(options));
  }
  TestVault& vault() { return *vault_; }
  size_t EntryCount(const LogId& log = LogId::Of(Toshima())) { return vault().Entries(log).size(); }

  std::unique_ptr<TestVault> vault_ = std::make_unique<TestVault>();
  const LogId toshima_ = LogId::Of(Toshima());
  const LogId yokohama_ = LogId::Of(Yokohama());
};

}  // namespace vault::usecases

#endif  // VAULT_TESTS_USECASES_USECASES_FIXTURE_H_
