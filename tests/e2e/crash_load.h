// Mixed load on a vault that is going to be killed, and each client's own log of what the vault
// acknowledged to it: the judge afterwards is that log, never the vault.
//
//   LaneOptions options = {&sandbox, "WA", seed, &stop};
//   UpdateLane lane(options, "supervisor-toshima");
//   std::thread thread([&] { lane.Run(); });     // until stop, or until the vault is gone
//
// Every call carries a contact reference of its own, so that its entry can be found by it.
#ifndef VAULT_TESTS_E2E_CRASH_LOAD_H_
#define VAULT_TESTS_E2E_CRASH_LOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/sandbox.h"

namespace vault::testing {

// A call that the vault answered, and what its entry must therefore say.
struct Acknowledged {
  std::string contact, tenant, subject;
  std::string action;   // "resident.get"
  std::string outcome;  // "OK", "NOT_FOUND", "PERMISSION_DENIED", …
  // One entry each for reads and changes; for an import all in one.
  std::vector<std::string> residents;
  uint64_t version = 0;  // after a change; 0: none
};

// A resident as the one client that changes it knows it. The change that was under way at the kill
// may have happened.
struct Person {
  std::string tenant, id;
  uint64_t version = 1;
  std::string etag, phone, memo;
  // What it had before; nobody has it now.
  std::string old_phone;
  bool pending = false;
  std::string pending_phone, pending_memo;
  bool touched = true;  // since it was last checked
};

// Telephones that no two residents of a run ever share, one for each call.
std::string FreshPhone();
// A complete resident with this telephone and memo.
std::vector<std::pair<std::string, std::string>> PersonFields(const std::string& phone,
                                                              const std::string& memo);

struct LaneOptions {
  const Sandbox* sandbox;
  std::string prefix;  // of its contacts: one to three capitals, its own
  uint64_t seed;
  const std::atomic<bool>* stop;
};

// One client: one thread at a time.
class Lane {
 public:
  Lane(LaneOptions options, std::string persona);
  virtual ~Lane() = default;

  // Connects anew and calls until it is told to stop or the vault is gone.
  void Run();
  // One connection for a judge that calls by itself.
  void Connect() { stubs_ = std::make_unique<Stubs>(options_.sandbox->As(persona_)); }
  Stubs& stubs() { return *stubs_; }

  // Of this round; the judge takes them.
  std::vector<Acknowledged> acknowledged;
  // Contacts of calls whose fate nobody knows.
  std::set<std::string> unknown;
  // Answers that no correct vault gives.
  std::vector<std::string> problems;

  std::string NextContact();
  std::string subject() const { return "urn:vault:" + persona_; }
  // Writes the answer down. False where there was none: the vault is gone.
  bool Note(const grpc::Status& status, Acknowledged call);

 protected:
  virtual void CallOnce() = 0;
  uint64_t Below(uint64_t n) { return random_() % n; }
  bool lost() const { return lost_; }

 private:
  const LaneOptions options_;
  const std::string persona_;
  std::mt19937_64 random_;
  std::unique_ptr<Stubs> stubs_;
  uint64_t contacts_ = 0;
  bool lost_ = false;
};

// Changes residents of its own: telephone and memo, now and then with a stale etag.
class UpdateLane : public Lane {
 public:
  UpdateLane(LaneOptions options, std::string persona, std::vector<Person> people)
      : Lane(std::move(options), std::move(persona)), people(std::move(people)) {}
  std::vector<Person> people;

 private:
  void CallOnce() override;
};

// Stores new residents one by one. A create without an answer is kept, to be repeated as it was.
class CreateLane : public Lane {
 public:
  static constexpr size_t kPeopleMax = 800;
  using Lane::Lane;
  std::vector<Person> people;
  std::vector<v1::CreateResidentRequest> unanswered;
  // Sends `request`, and remembers what became of it.
  bool Send(const v1::CreateResidentRequest& request);

 private:
  void CallOnce() override;
};

// Stores a few at a time. A stream without an answer is kept: all of its rows are there, or none.
class ImportLane : public Lane {
 public:
  static constexpr size_t kPeopleMax = 800;
  static constexpr int kRows = 8;
  using Lane::Lane;
  std::vector<Person> people;
  std::vector<std::vector<v1::ImportRow>> unanswered;

  // Opens a stream, sends the rows, and gives the results; false without all of them.
  bool Stream(const std::string& tenant, const std::string& contact,
              const std::vector<v1::ImportRow>& rows, std::vector<v1::ImportResult>* results);
  // Takes the stored rows over.
  void Adopt(const std::string& tenant, const std::vector<v1::ImportRow>& rows,
             const std::vector<v1::ImportResult>& results);
  static std::string TenantOf(const std::vector<v1::ImportRow>& rows);

 private:
  void CallOnce() override;
};

// Looks up, gets, is refused, asks for nobody. Its residents are others' to change.
class ReadLane : public Lane {
 public:
  ReadLane(LaneOptions options, std::string persona, std::string tenant)
      : Lane(std::move(options), std::move(persona)), tenant_(std::move(tenant)) {}
  std::vector<Person> people;

 private:
  void CallOnce() override;
  void GetOne(const Person& person);
  void FindOne(const Person& person);
  void BeRefused(const Person& person);
  const std::string tenant_;
};

// Rotates the keys of both tenants, of all kinds, again and again.
class RotateLane : public Lane {
 public:
  using Lane::Lane;
  struct Finished {
    std::string tenant;
    v1::KeyKind kind;
    uint32_t version;
  };
  // Rotations that were acknowledged as finished, in this round.
  std::vector<Finished> finished;

 private:
  void CallOnce() override;
};

// Lists with a filter by action, asks for the head, verifies.
class AuditLane : public Lane {
 public:
  using Lane::Lane;
  // Acknowledged listings of this round.
  int lists = 0;

 private:
  void CallOnce() override;
};

}  // namespace vault::testing

#endif  // VAULT_TESTS_E2E_CRASH_LOAD_H_
