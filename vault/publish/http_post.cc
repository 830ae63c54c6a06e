#include "vault/publish/http_post.h"

#include <curl/curl.h>

#include "absl/strings/str_cat.h"
#include "vault/base/logging.h"

namespace vault::publish {
namespace {

struct Received {
  std::string body;
  size_t header_bytes = 0;
  bool too_long = false;
};

// libcurl ends the transfer when less is taken than it gave.
size_t TakeBody(char* data, size_t, size_t size, void* to) {
  Received* const received = static_cast<Received*>(to);
  if (size > HttpPoster::kResponseBytesMax - received->body.size()) {
    received->too_long = true;
    return 0;
  }
  received->body.append(data, size);
  return size;
}

size_t TakeHeader(char*, size_t, size_t size, void* to) {
  Received* const received = static_cast<Received*>(to);
  received->header_bytes += size;
  received->too_long = received->too_long || received->header_bytes > HttpPoster::kResponseBytesMax;
  return received->too_long ? 0 : size;
}

int Progress(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(stop)->load() ? 1 : 0;
}

}  // namespace

HttpPoster::HttpPoster(const std::atomic<bool>* stop)
    : stop_(stop),
      curl_([] {
        // Once in a process, and thread-safe as an initialisation of a static.
        static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
        VAULT_CHECK(started == CURLE_OK) << "libcurl";
        return curl_easy_init();
      }()),
      headers_(curl_slist_append(nullptr, "Content-Type: text/plain; charset=utf-8")) {
  VAULT_CHECK(curl_ != nullptr && headers_ != nullptr) << "libcurl";
  CURL* const curl = static_cast<CURL*>(curl_);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "pii-vault");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers_);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBody);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, Progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(stop_));
}

HttpPoster::~HttpPoster() {
  curl_easy_cleanup(static_cast<CURL*>(curl_));
  curl_slist_free_all(static_cast<curl_slist*>(headers_));
}

absl::StatusOr<HttpResponse> HttpPoster::Post(const std::string& url, absl::string_view body,
                                              absl::Duration timeout) {
  if (*stop_) return absl::CancelledError("was not asked: stopping");
  CURL* const curl = static_cast<CURL*>(curl_);
  const long timeout_ms = static_cast<long>(absl::ToInt64Milliseconds(timeout));
  Received received;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &received);
  const CURLcode code = curl_easy_perform(curl);
  if (received.too_long) return absl::ResourceExhaustedError("sent more than 64 KiB");
  switch (code) {
    case CURLE_OK:
      break;
    case CURLE_ABORTED_BY_CALLBACK:
      return absl::CancelledError("was not waited for: stopping");
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(
          absl::StrCat("did not answer within ", absl::FormatDuration(timeout)));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
      return absl::UnavailableError(absl::StrCat("cannot be reached: ", curl_easy_strerror(code)));
    default:
      return absl::UnavailableError(
          absl::StrCat("gave no good answer: ", curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return HttpResponse{static_cast<int>(status), std::move(received.body)};
}

}  // namespace vault::publish
