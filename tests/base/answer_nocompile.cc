// Ways round the receipt, none of which may compile. nocompile.cmake compiles this file once
// for each CASE and wants the text of the line "EXPECT n: …" among the errors; CASE 0 is the right
// way and must compile, so that a broken include path does not pass for a refusal.
#include <string>
#include <utility>

#include "vault/base/answer.h"

using Reply = vault::Answer<std::string>;

absl::StatusOr<std::string> Leak(Reply answer, vault::Receipt receipt, vault::Ticket ticket) {
#if CASE == 0
  (void)ticket;
  return std::move(answer).Release(std::move(receipt));
#elif CASE == 1
  // EXPECT 1: calling a private constructor of class 'vault::Receipt'
  return std::move(answer).Release(vault::Receipt(ticket, 0));
#elif CASE == 2
  // EXPECT 2: no matching constructor for initialization of 'vault::Receipt'
  return std::move(answer).Release(vault::Receipt());
#elif CASE == 3
  // EXPECT 3: call to deleted constructor of 'vault::Receipt'
  return std::move(answer).Release(receipt);
#elif CASE == 4
  // EXPECT 4: 'this' argument to member function 'Release' is an lvalue
  return answer.Release(std::move(receipt));
#elif CASE == 5
  // EXPECT 5: too few arguments to function call, single argument 'receipt' was not specified
  return std::move(answer).Release();
#elif CASE == 6
  // EXPECT 6: 'content_' is a private member of 'vault::Answer<
  return answer.content_;
#elif CASE == 7
  // EXPECT 7: no member named 'value' in 'vault::Answer<
  return answer.value();
#elif CASE == 8
  // EXPECT 8: no member named 'status' in 'vault::Answer<
  return answer.status();
#elif CASE == 9
  // EXPECT 9: indirection requires pointer operand
  return *answer;
#elif CASE == 10
  // EXPECT 10: no viable conversion from returned value of type 'Reply'
  return answer;
#elif CASE == 11
  // EXPECT 11: call to deleted constructor of 'Reply'
  Reply copy(answer);
  return std::move(copy).Release(std::move(receipt));
#elif CASE == 12
  // EXPECT 12: overload resolution selected deleted operator '='
  receipt = std::move(receipt);
  return std::move(answer).Release(std::move(receipt));
#elif CASE == 13
  // EXPECT 13: calling a private constructor of class 'vault::Ticket'
  return std::move(answer).Release(vault::Receipt(vault::Ticket(1), 0));
#elif CASE == 14
  // EXPECT 14: 'used_' is a private member of 'vault::Receipt'
  receipt.used_ = false;
  return std::move(answer).Release(std::move(receipt));
#elif CASE == 15
  // EXPECT 15: no viable conversion from 'vault::Ticket' to 'vault::Receipt'
  return std::move(answer).Release(ticket);
#else
#error no such case
#endif
}
