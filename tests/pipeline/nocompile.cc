// Ways to answer a call without an entry, none of which may compile (G1).
// tests/base/nocompile.cmake compiles this file once for each CASE and wants the text of the line
// "EXPECT n: …" among the errors; CASE 0 is the right way and must compile, so that a broken
// include path does not pass for a refusal.
#include <string>
#include <utility>

#include "vault/base/status.h"
#include "vault/pipeline/pipeline.h"
#include "vault/pipeline/steps.h"

namespace vault::pipeline {

struct UseCase {
  absl::StatusOr<std::string> Find() const { return absl::NotFoundError("there is no such one"); }
  Outcome<std::string> Prepare(Call& call) const;
  void Answer(Reply<std::string> reply) const;
  Pipeline* pipeline;
};

Outcome<std::string> UseCase::Prepare(Call& call) const {
  const absl::StatusOr<std::string> found = Find();
#if CASE == 0
  if (!found.ok()) return pipeline->Conclude<std::string>(call, found.status());
  return pipeline->Allow(call, {call.entry}, std::string(*found));
#elif CASE == 1
  // EXPECT 1: conversion function from 'const absl::Status' to 'Outcome<std::string>'
  return found.status();
#elif CASE == 2
  // EXPECT 2: invokes a deleted function
  return found;
#elif CASE == 3
  // EXPECT 3: invokes a deleted function
  RETURN_IF_ERROR(found.status());
  return pipeline->Allow(call, {call.entry}, std::string(*found));
#elif CASE == 4
  // EXPECT 4: invokes a deleted function
  ASSIGN_OR_RETURN(const std::string text, Find());
  return pipeline->Allow(call, {call.entry}, std::string(text));
#elif CASE == 5
  // EXPECT 5: no viable conversion from returned value of type
  return std::string(*found);
#elif CASE == 6
  // EXPECT 6: calling a private constructor of class 'vault::pipeline::Unrecorded'
  return Unrecorded(Unrecorded::Why::kMalformed, found.status());
#elif CASE == 7
  // EXPECT 7: 'status_' is a private member of 'vault::pipeline::Unrecorded'
  Unrecorded bad = pipeline->Malformed(call, absl::InvalidArgumentError(""));
  bad.status_ = found.status();
  return bad;
#elif CASE == 8
  // EXPECT 8: call to deleted constructor of 'Outcome<std::string>'
  Outcome<std::string> outcome(found.status());
  return outcome;
#elif CASE == 9
  // EXPECT 9: 'content_' is a private member of 'vault::pipeline::Outcome<
  Outcome<std::string> outcome = pipeline->Allow(call, {call.entry}, std::string(*found));
  (void)outcome.content_;
  return outcome;
#else
  return pipeline->Allow(call, {call.entry}, std::string(*found));
#endif
}

void UseCase::Answer(Reply<std::string> reply) const {
#if CASE == 10
  // EXPECT 10: 'Fulfil' is a private member of 'vault::pipeline::Reply<
  std::move(reply).Fulfil(Find());
#elif CASE == 11
  // EXPECT 11: 'fn_' is a private member of 'vault::pipeline::Reply<
  reply.fn_(Find());
#elif CASE == 12
  // EXPECT 12: does not provide a call operator
  reply(Find());
#elif CASE == 13
  // EXPECT 13: calling a private constructor of class 'vault::pipeline::Steps<
  Steps<std::string>(pipeline, nullptr, nullptr, nullptr, std::move(reply)).End(Find());
#elif CASE == 14
  // EXPECT 14: call to implicitly-deleted copy constructor of 'Reply<std::string>'
  Reply<std::string> twice = reply;
#else
  pipeline->Run(Lane::kQuick, std::move(reply),
                Asked(Caller(), policy::Action::kAuditHead, "service"),
                [this](Call& call) { return Prepare(call); });
#endif
}

}  // namespace vault::pipeline
