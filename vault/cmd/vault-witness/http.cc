#include "vault/cmd/vault-witness/http.h"

#include <httplib.h>
#include <sys/socket.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace vault::witness {
namespace {

constexpr size_t kThreads = 32;
constexpr time_t kReadSeconds = 5;
constexpr time_t kWriteSeconds = 5;

void Send(const Reply& reply, httplib::Response* response) {
  response->status = reply.status;
  response->set_content(reply.body, reply.content_type.c_str());
}

void SendError(int status, const std::string& why, httplib::Response* response) {
  Send(Reply{status, "text/plain; charset=utf-8", why + "\n"}, response);
}

// The library's own bound counts announced lengths only, so pieces are counted here.
void AddCheckpoint(Witness* witness, const httplib::Request& request, httplib::Response* response,
                   const httplib::ContentReader& read) {
  if (request.is_multipart_form_data()) {
    return SendError(400, "the body is a form", response);
  }
  std::string body;
  bool too_long = false;
  const bool complete = read([&](const char* data, size_t size) {
    too_long = too_long || size > Witness::kBodyBytesMax - body.size();
    if (!too_long) body.append(data, size);
    return !too_long;
  });
  // The status is the library's where it refused the announced length.
  if (too_long || response->status == 413)
    return SendError(413, "the request is too long", response);
  if (!complete) return SendError(400, "the body did not come whole", response);
  Send(witness->AddCheckpoint(body), response);
}

}  // namespace

struct HttpServer::Impl {
  httplib::Server server;
  int port = 0;
  std::thread thread;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Witness* witness,
                                                              const std::string& host, int port,
                                                              const std::string& prefix) {
  auto impl = std::make_unique<Impl>();
  httplib::Server& server = impl->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_read_timeout(kReadSeconds);
  server.set_write_timeout(kWriteSeconds);
  // One request a connection: the library would take what it left unread of a refused request for
  // the next one, and idle connections would hold its threads.
  server.set_keep_alive_max_count(1);
  server.set_payload_max_length(Witness::kBodyBytesMax);
  // The library's default would let a second process listen on the same port.
  server.set_socket_options([](int fd) {
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  const std::string submit = prefix + "/add-checkpoint";
  const std::string home = prefix + "/", health = prefix + "/healthz";
  // Everything else is refused before its body is read.
  server.set_pre_routing_handler(
      [submit, home, health](const httplib::Request& request, httplib::Response& response) {
        const bool looks = request.method == "GET" || request.method == "HEAD";
        const bool known = request.path == submit || request.path == home || request.path == health;
        if (known && looks == (request.path != submit) && (looks || request.method == "POST")) {
          return httplib::Server::HandlerResponse::Unhandled;
        }
        SendError(known ? 405 : 404, known ? "not by this method" : "nothing here", &response);
        return httplib::Server::HandlerResponse::Handled;
      });
  server.Post(submit, [witness](const httplib::Request& request, httplib::Response& response,
                                const httplib::ContentReader& read) {
    AddCheckpoint(witness, request, &response, read);
  });
  const auto describe = [witness](const httplib::Request&, httplib::Response& response) {
    Send(Reply{witness->failed() ? 503 : 200, "text/plain; charset=utf-8", witness->Describe()},
         &response);
  };
  server.Get(home, describe);
  server.Get(health, describe);

  impl->port = port == 0                         ? server.bind_to_any_port(host)
               : server.bind_to_port(host, port) ? port
                                                 : -1;
  if (impl->port <= 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", host, ":", port));
  }
  impl->thread = std::thread([&server] { server.listen_after_bind(); });
  // Before that, stop() would do nothing.
  while (!server.is_running()) absl::SleepFor(absl::Milliseconds(1));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() {
  impl_->server.stop();
  impl_->thread.join();
}

int HttpServer::port() const { return impl_->port; }

}  // namespace vault::witness
