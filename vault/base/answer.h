// What keeps "nothing leaves before its entry is durable" true by construction (G1).
//
// A use case puts status and body of its reply into an Answer, which nothing can read. The entry
// that says so goes to the sequencer together with the Answer's ticket. When the entry is durable
// the sequencer, and nobody else, makes a Receipt with that ticket; Release takes both and hands
// the reply out.
//
//   Answer<LookupResult> answer = Answer<LookupResult>::Of(std::move(result));
//   submission.ticket = answer.ticket();
//   submission.done = [answer = std::move(answer)](absl::StatusOr<Receipt> receipt) mutable {
//     if (!receipt.ok()) return reply(receipt.status());  // the plaintext is wiped here
//     reply(std::move(answer).Release(*std::move(receipt)));
//   };
//
// Code that answers without an entry does not compile: an Answer has no accessor, a Receipt no
// public constructor (tests/base/answer_nocompile.cc). "Not found" and "already exists" disclose
// too, so a status is inside as well.
#ifndef VAULT_BASE_ANSWER_H_
#define VAULT_BASE_ANSWER_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vault {

namespace audit {
class Sequencer;
}  // namespace audit

// Names one Answer within this process; never used twice.
class Ticket {
 public:
  static Ticket Next();
  friend bool operator==(const Ticket& a, const Ticket& b) { return a.value_ == b.value_; }

 private:
  explicit Ticket(uint64_t value) : value_(value) {}
  uint64_t value_;
};

// Proof that the entry of one Answer is durable. Made by the sequencer only; moves, never copies.
class Receipt {
 public:
  Receipt(Receipt&& other) noexcept : ticket_(other.ticket_), seq_(other.seq_), used_(other.used_) {
    other.used_ = true;
  }
  Receipt& operator=(Receipt&&) = delete;
  Receipt(const Receipt&) = delete;
  Receipt& operator=(const Receipt&) = delete;

  // The entry's sequence number in its log.
  uint64_t seq() const { return seq_; }

 private:
  friend class audit::Sequencer;
  template <typename T>
  friend class Answer;
  Receipt(Ticket ticket, uint64_t seq) : ticket_(ticket), seq_(seq) {}

  Ticket ticket_;
  uint64_t seq_;
  bool used_ = false;
};

namespace internal {
// Aborts unless the receipt belongs to the answer and neither was used.
void CheckRelease(bool same_ticket, bool receipt_used, bool answer_used);
}  // namespace internal

template <typename T>
class Answer {
 public:
  static Answer Of(T body) { return Answer(absl::StatusOr<T>(std::move(body))); }
  static Answer Error(absl::Status status) { return Answer(absl::StatusOr<T>(std::move(status))); }

  Answer(Answer&& other) noexcept
      : ticket_(other.ticket_), content_(std::move(other.content_)), used_(other.used_) {
    other.used_ = true;
  }
  Answer& operator=(Answer&&) = delete;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  Ticket ticket() const { return ticket_; }

  // The only way to status and body. Aborts on another answer's receipt or a second use.
  absl::StatusOr<T> Release(Receipt receipt) && {
    internal::CheckRelease(receipt.ticket_ == ticket_, receipt.used_, used_);
    receipt.used_ = true;
    used_ = true;
    return std::move(content_);
  }

 private:
  explicit Answer(absl::StatusOr<T> content)
      : ticket_(Ticket::Next()), content_(std::move(content)) {}

  Ticket ticket_;
  absl::StatusOr<T> content_;
  bool used_ = false;
};

}  // namespace vault

#endif  // VAULT_BASE_ANSWER_H_
