// POSTs to a server that is not trusted: bounded in time and size, no redirects, no
// protocol but http and https, no proxy from the environment.
#ifndef VAULT_PUBLISH_HTTP_POST_H_
#define VAULT_PUBLISH_HTTP_POST_H_

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace vault::publish {

struct HttpResponse {
  int status = 0;
  std::string body;
};

// Keeps its connection between calls. For one thread.
class HttpPoster {
 public:
  // Of the body, and again of the headers.
  static constexpr size_t kResponseBytesMax = 64 * 1024;

  // Once `*stop` is true, what is under way ends within a second, and nothing more begins.
  explicit HttpPoster(const std::atomic<bool>* stop);
  ~HttpPoster();
  HttpPoster(const HttpPoster&) = delete;
  HttpPoster& operator=(const HttpPoster&) = delete;

  // Whatever status the server answered with. UNAVAILABLE where it cannot be reached,
  // DEADLINE_EXCEEDED where it took longer than `timeout`, RESOURCE_EXHAUSTED where it sent more
  // than the bound, CANCELLED when stopped. The messages are constants, fit to follow "it ".
  absl::StatusOr<HttpResponse> Post(const std::string& url, absl::string_view body,
                                    absl::Duration timeout);

 private:
  const std::atomic<bool>* const stop_;
  void* const curl_;  // CURL*
  void* headers_;     // curl_slist*
};

}  // namespace vault::publish

#endif  // VAULT_PUBLISH_HTTP_POST_H_
