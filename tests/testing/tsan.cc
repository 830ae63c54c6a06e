// What ThreadSanitizer is to pass over. Debian's abseil is not instrumented, so it does not see the
// decrement that comes before the last reference to a Status's payload deletes it, and takes that
// for a race. Nothing else is hidden.

extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:absl::debian3::Status::UnrefNonInlined\n"
         "race:^Unref$\n"
         "race:status_internal::Payload\n"
         "race:~StatusOrData\n";
}
