#include "vault/cmd/vaultctl/connection.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vault/base/clock.h"
#include "vault/base/secret.h"
#include "vault/base/status.h"
#include "vault/cli/visible.h"
#include "vault/cmd/vaultctl/tls_check.h"
#include "vault/ctl/v1/profile.pb.h"

namespace vault::ctl {
namespace {

// Certificates and profiles are a few kilobytes; anything longer is a wrong file.
constexpr size_t kFileBytesMax = 1 << 20;
// A page of the trail holds up to 500 entries of up to 65,535 bytes.
constexpr int kMessageBytesMax = 64 << 20;
constexpr int kConnectTimeoutMs = 5000;

absl::Status Wrong(absl::string_view message, absl::string_view hint) {
  return absl::InvalidArgumentError(absl::StrCat(message, "\n", hint));
}

// The parser's messages quote the profile's words and nothing secret stands in one.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, absl::string_view what) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return Wrong(absl::StrCat(what, " ", cli::Visible(path), ": ", std::strerror(errno)),
                 "check the path; in a profile, paths start at the profile's folder");
  }
  if (!S_ISREG(info.st_mode) || info.st_size > static_cast<off_t>(kFileBytesMax)) {
    return Wrong(absl::StrCat(what, " ", cli::Visible(path), " is not a small file"),
                 "check the path");
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(static_cast<size_t>(info.st_size), '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size()))) {
    return Wrong(absl::StrCat(what, " ", cli::Visible(path), " cannot be read whole"),
                 "check who may read it");
  }
  return text;
}

absl::StatusOr<std::string> ReadPem(const std::string& path, absl::string_view what,
                                    absl::string_view label) {
  ASSIGN_OR_RETURN(std::string text, ReadSmallFile(path, what));
  if (!absl::StrContains(text, label)) {
    return Wrong(absl::StrCat(what, " ", cli::Visible(path), " is not PEM"),
                 absl::StrCat("it should hold a line \"", label, "…\""));
  }
  return text;
}

absl::Status CheckKeyMode(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::OkStatus();  // ReadPem says what is wrong
  if ((info.st_mode & 077) == 0) return absl::OkStatus();
  return Wrong(absl::StrCat("key_file ", cli::Visible(path), " can be read by others"),
               absl::StrCat("chmod 600 ", cli::Visible(path)));
}

std::string Beside(const std::string& profile_path, const std::string& path) {
  const size_t slash = profile_path.rfind('/');
  if (path.empty() || path[0] == '/' || slash == std::string::npos) return path;
  return absl::StrCat(profile_path.substr(0, slash + 1), path);
}

absl::StatusOr<v1::Profile> ReadProfile(const std::string& profile_path) {
  ASSIGN_OR_RETURN(std::string text, ReadSmallFile(profile_path, "profile"));
  v1::Profile profile;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &profile)) {
    return Wrong(
        absl::StrCat("profile ", cli::Visible(profile_path), ":", cli::Visible(error.text())),
        "it holds: address or address_file, ca_file, cert_file, key_file, server_name");
  }
  if (profile.address().empty() == profile.address_file().empty()) {
    return Wrong(absl::StrCat("profile ", cli::Visible(profile_path),
                              " wants either address or address_file"),
                 "address: \"127.0.0.1:7443\"");
  }
  if (profile.ca_file().empty() || profile.cert_file().empty() || profile.key_file().empty()) {
    return Wrong(absl::StrCat("profile ", cli::Visible(profile_path),
                              " wants ca_file, cert_file and key_file"),
                 "the vault takes no connection without a client certificate");
  }
  return profile;
}

absl::StatusOr<std::string> AddressOf(const v1::Profile& profile, const std::string& profile_path) {
  if (!profile.address().empty()) return profile.address();
  // A vault writes this file when it serves and takes it away when it stops.
  const std::string path = Beside(profile_path, profile.address_file());
  const absl::StatusOr<std::string> text = ReadSmallFile(path, "address_file");
  const std::string address(absl::StripAsciiWhitespace(text.ok() ? *text : ""));
  if (address.empty()) {
    return absl::UnavailableError(absl::StrCat("unavailable: no address stands in ",
                                               cli::Visible(path), "\nis the vault up?"));
  }
  return address;
}

grpc::ChannelArguments ArgumentsOf(const v1::Profile& profile) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kMessageBytesMax);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  // Residents' data goes to the address in the profile and nowhere else.
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (!profile.server_name().empty()) args.SetSslTargetNameOverride(profile.server_name());
  return args;
}

}  // namespace

absl::StatusOr<Connection> ConnectWithProfile(const std::string& profile_path) {
  ASSIGN_OR_RETURN(v1::Profile profile, ReadProfile(profile_path));
  ASSIGN_OR_RETURN(std::string address, AddressOf(profile, profile_path));
  const std::string key_path = Beside(profile_path, profile.key_file());
  RETURN_IF_ERROR(CheckKeyMode(key_path));
  RETURN_IF_ERROR(CheckAddress(address));
  const std::string ca_path = Beside(profile_path, profile.ca_file());
  const std::string cert_path = Beside(profile_path, profile.cert_file());
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(ca_path, "ca_file", "-----BEGIN CERTIFICATE"));
  ASSIGN_OR_RETURN(options.pem_cert_chain,
                   ReadPem(cert_path, "cert_file", "-----BEGIN CERTIFICATE"));
  ASSIGN_OR_RETURN(options.pem_private_key, ReadPem(key_path, "key_file", "-----BEGIN "));
  const absl::Status fits = CheckTls({options.pem_root_certs, options.pem_cert_chain,
                                      options.pem_private_key, ca_path, cert_path, key_path},
                                     RealClock().Now());
  if (!fits.ok()) {
    Wipe(&options.pem_private_key);
    return fits;
  }
  Connection connection;
  connection.address = address;
  connection.channel =
      grpc::CreateCustomChannel(address, grpc::SslCredentials(options), ArgumentsOf(profile));
  Wipe(&options.pem_private_key);
  return connection;
}

}  // namespace vault::ctl
