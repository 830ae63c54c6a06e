// vaultd: flags, hardening of the process, signals.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "vault/base/file.h"
#include "vault/base/logging.h"
#include "vault/base/random.h"
#include "vault/base/status.h"
#include "vault/cmd/vaultd/daemon.h"
#include "vault/recovery/offline.h"
#include "vault/recovery/restore.h"
#include "vault/rpc/acceptor.h"
#include "vault/rpc/library_log.h"

ABSL_FLAG(std::string, data_dir, "", "folder of db/, keyring and head");
ABSL_FLAG(bool, init, false,
          "first start: makes database, keyring and head; refused where they are");
ABSL_FLAG(std::string, policy_dir, "", "folder of schema, policy and tenants (.textproto)");
ABSL_FLAG(std::string, subjects, "", "subjects.textproto: who is who");
ABSL_FLAG(std::string, root_key, "", "root key file, mode 0600");
ABSL_FLAG(std::string, create_root_key, "", "writes a new root key to this file and exits");
ABSL_FLAG(std::string, tls_cert, "", "PEM: the server's certificate chain");
ABSL_FLAG(std::string, tls_key, "", "PEM: its key");
ABSL_FLAG(std::string, client_ca, "", "PEM: the CA whose client certificates are let in");
ABSL_FLAG(
    std::string, deny_list, "",
    "certificates that are refused: one SHA-256 fingerprint a line, as openssl prints it or bare; "
    "counts from the next call on when it changes");
ABSL_FLAG(std::string, jwks_dir, "",
          "folder of the public keys that tokens are verified by: ID.json, a JWKS, for each issuer "
          "of the subjects' file; counts from the next call on when it changes");
ABSL_FLAG(std::string, backup_dir, "",
          "folder of the backups; without it there are none; marked by --init or --adopt_folders");
ABSL_FLAG(std::string, keyring_copies_dir, "",
          "folder of copies of the keyring: one is made with a backup that has none yet; marked "
          "as the other");
ABSL_FLAG(bool, adopt_folders, false,
          "on a stopped vault: marks --backup_dir and --keyring_copies_dir, which must be there, "
          "as its own, and exits");
ABSL_FLAG(std::string, log_origin_prefix, "",
          "what the logs' names begin with, for instance pii.example/audit; never changes");
ABSL_FLAG(std::string, witnesses, "",
          "who cosigns checkpoints: a URL and a verifier key a line, a space between");
ABSL_FLAG(absl::Duration, witness_lag_max, absl::Minutes(1),
          "a witness that is behind for longer is a warning in the log");
ABSL_FLAG(absl::Duration, checkpoint_interval, absl::Milliseconds(500),
          "how often logs that grew are signed; more than a second is for measuring only");
ABSL_FLAG(
    std::string, listen, "127.0.0.1:0",
    "HOST:PORT or [IPV6]:PORT; port 0 takes a free one. \"inherited\": the socket that systemd "
    "passes on (socket activation)");
ABSL_FLAG(std::string, address_file, "", "gets the address once the vault serves");
ABSL_FLAG(int, disk_reserve_mib, 256, "free space that no write may take; at least 16");
ABSL_FLAG(absl::Duration, max_connection_age, absl::Minutes(30), "a connection's longest life");
ABSL_FLAG(
    bool, check, false,
    "reads configuration, control files, certificates and root key as a start would, and exits; "
    "opens no database, also beside a vault that serves");
ABSL_FLAG(std::string, export, "",
          "on a stopped vault: exports this log (a tenant's code, or service) and exits");
ABSL_FLAG(std::string, export_to, "", "a new folder for it");
ABSL_FLAG(std::string, replay, "",
          "on a stopped vault: appends what the database lacks of this log, and exits");
ABSL_FLAG(std::string, replay_from, "", "the export that has it");
ABSL_FLAG(bool, replay_accept_lost, false,
          "lets entries go that were acknowledged, not signed, and are in no export");
ABSL_FLAG(std::string, successor, "",
          "on a stopped vault: puts a new log in the place of this one, whose signed entries are "
          "lost, and exits");
ABSL_FLAG(bool, accept_keyring, false,
          "on a stopped vault whose newest keyring is lost: goes on with the older one that is "
          "there, and exits");
ABSL_FLAG(int, restore, 0,
          "on a vault without a database: restores this backup of --backup_dir, and exits");
ABSL_FLAG(bool, restore_lost_head, false,
          "with --restore: the head is lost too; every log is followed by another");
ABSL_FLAG(int, work_threads, 0,
          "threads that decide, read and decipher; 0: two a processor, at least four, so that some "
          "work while others wait for the disk");

namespace vault {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitCannotStart = 1;

constexpr absl::string_view kUsage =
    "vaultd: the vault's server.\n\n"
    "  vaultd --create_root_key=root.key\n"
    "  vaultd --init --data_dir=DIR --policy_dir=policies --subjects=subjects.textproto \\\n"
    "         --root_key=root.key --tls_cert=server.pem --tls_key=server.key --client_ca=ca.pem "
    "\\\n"
    "         --log_origin_prefix=pii.example/audit\n\n"
    "Without --init it opens what is there and refuses what it cannot explain. SIGTERM stops it in "
    "order;\nSIGHUP has it look at deny-list and TLS files, which it does by itself too, and take "
    "from "
    "the subjects'\nfile what removes or narrows rights; more takes a start. --check tells whether "
    "it would start.\n"
    "A database that lacks entries, as one from an older backup does, is refused, log by log. "
    "Two ways back, on the\nstopped vault:\n\n"
    "  vaultd --replay=131164 --replay_from=EXPORT --data_dir=DIR --root_key=root.key \\\n"
    "         --log_origin_prefix=pii.example/audit\n"
    "  vaultd --successor=131164 --data_dir=DIR --root_key=root.key \\\n"
    "         --log_origin_prefix=pii.example/audit\n\n"
    "The first appends them byte for byte from an export (vaultctl audit export, or vaultd "
    "--export=131164\n--export_to=EXPORT on a database that has them). The second is for entries "
    "that nobody has: another log, with a\nname and a key of its own, takes over.\n"
    "A dead disk: put the newest copies of keyring and head into an empty DIR, then\n\n"
    "  vaultd --restore=7 --backup_dir=BACKUPS --data_dir=DIR --root_key=root.key \\\n"
    "         --log_origin_prefix=pii.example/audit\n\n"
    "which says for each log what is missing.\n"
    "A keyring that is older than the one that this vault had is refused: put the newest copy "
    "there. "
    "Where it is\nlost for good, --accept_keyring goes on with the older one.\n"
    "The folders of backups and keyring copies bear the vault's mark, which --init gives them: one "
    "that is not mounted\nis never taken for an empty one. A folder that comes later is adopted, "
    "on the stopped vault:\n\n"
    "  vaultd --adopt_folders --backup_dir=BACKUPS --keyring_copies_dir=COPIES --data_dir=DIR "
    "--root_key=root.key\n\n"
    "Exit codes: 0 stopped or done, 1 cannot start (the message says why), 2 usage, 74 a write "
    "failed.";

// No core file, no debugger, files for this user alone: what the process knows stays in it. Before
// any key is read. What the system says afterwards counts.
absl::Status Harden() {
  umask(077);
  const rlimit none{0, 0};
  rlimit got{1, 1};
  if (setrlimit(RLIMIT_CORE, &none) != 0 || getrlimit(RLIMIT_CORE, &got) != 0 ||
      got.rlim_cur != 0 || got.rlim_max != 0) {
    return absl::FailedPreconditionError("the system does not let core files be forbidden");
  }
  if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_GET_DUMPABLE) != 0) {
    return absl::FailedPreconditionError(
        "the system does not let this process be kept from debuggers (PR_SET_DUMPABLE)");
  }
  return absl::OkStatus();
}

// Empty, or the first flag that is needed and was not given.
std::string MissingFlag(const DaemonOptions& options) {
  if (options.data_dir.empty()) return "--data_dir";
  if (options.policy_dir.empty()) return "--policy_dir";
  if (options.subjects_file.empty()) return "--subjects";
  if (options.root_key_file.empty()) return "--root_key";
  if (options.tls_cert_file.empty()) return "--tls_cert";
  if (options.tls_key_file.empty()) return "--tls_key";
  if (options.client_ca_file.empty()) return "--client_ca";
  if (options.log_origin_prefix.empty()) return "--log_origin_prefix";
  return "";
}

// How many works on a stopped vault are asked for.
int OfflineWorks() {
  int works = 0;
  for (const std::string& log :
       {absl::GetFlag(FLAGS_export), absl::GetFlag(FLAGS_replay), absl::GetFlag(FLAGS_successor)}) {
    works += log.empty() ? 0 : 1;
  }
  return works + (absl::GetFlag(FLAGS_restore) != 0 ? 1 : 0) +
         (absl::GetFlag(FLAGS_accept_keyring) ? 1 : 0) +
         (absl::GetFlag(FLAGS_adopt_folders) ? 1 : 0);
}

std::string MissingOfflineFlag(const DaemonOptions& options) {
  if (options.data_dir.empty()) return "--data_dir";
  if (options.root_key_file.empty()) return "--root_key";
  if (absl::GetFlag(FLAGS_adopt_folders)) {
    return options.folders.backup_dir.empty() && options.folders.keyring_copies_dir.empty()
               ? "--backup_dir or --keyring_copies_dir"
               : "";
  }
  if (options.log_origin_prefix.empty()) return "--log_origin_prefix";
  if (!absl::GetFlag(FLAGS_export).empty() && absl::GetFlag(FLAGS_export_to).empty()) {
    return "--export_to";
  }
  if (!absl::GetFlag(FLAGS_replay).empty() && absl::GetFlag(FLAGS_replay_from).empty()) {
    return "--replay_from";
  }
  if (absl::GetFlag(FLAGS_restore) != 0 && options.folders.backup_dir.empty()) {
    return "--backup_dir";
  }
  return "";
}

DaemonOptions OptionsFromFlags() {
  DaemonOptions options;
  options.data_dir = absl::GetFlag(FLAGS_data_dir);
  options.init = absl::GetFlag(FLAGS_init);
  options.policy_dir = absl::GetFlag(FLAGS_policy_dir);
  options.subjects_file = absl::GetFlag(FLAGS_subjects);
  options.root_key_file = absl::GetFlag(FLAGS_root_key);
  options.tls_cert_file = absl::GetFlag(FLAGS_tls_cert);
  options.tls_key_file = absl::GetFlag(FLAGS_tls_key);
  options.client_ca_file = absl::GetFlag(FLAGS_client_ca);
  options.deny_list_file = absl::GetFlag(FLAGS_deny_list);
  options.jwks_dir = absl::GetFlag(FLAGS_jwks_dir);
  options.folders.backup_dir = absl::GetFlag(FLAGS_backup_dir);
  options.folders.keyring_copies_dir = absl::GetFlag(FLAGS_keyring_copies_dir);
  options.log_origin_prefix = absl::GetFlag(FLAGS_log_origin_prefix);
  options.witness_file = absl::GetFlag(FLAGS_witnesses);
  options.witness_lag_max = absl::GetFlag(FLAGS_witness_lag_max);
  options.checkpoint_interval = absl::GetFlag(FLAGS_checkpoint_interval);
  options.listen = absl::GetFlag(FLAGS_listen);
  options.disk_reserve_bytes = uint64_t{1} << 20;
  options.disk_reserve_bytes *= absl::GetFlag(FLAGS_disk_reserve_mib);
  options.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  options.work_threads = absl::GetFlag(FLAGS_work_threads);
  if (options.work_threads == 0) {
    options.work_threads = std::max(4u, 2 * std::thread::hardware_concurrency());
  }
  options.version = VAULT_VERSION;
  return options;
}

int CreateRootKey(const std::string& path) {
  const absl::Status created = keys::RootKey::Create(path, SystemRandom());
  if (created.ok()) return 0;
  std::cerr << "vaultd: " << created.message() << "\n";
  return kExitCannotStart;
}

// One of the works on a stopped vault.
int RunOffline(const DaemonOptions& daemon) {
  recovery::OfflineOptions options;
  options.data_dir = daemon.data_dir;
  options.root_key_file = daemon.root_key_file;
  options.log_origin_prefix = daemon.log_origin_prefix;
  options.disk_reserve_bytes = daemon.disk_reserve_bytes;
  absl::StatusOr<std::string> done = absl::UnknownError("");
  if (!(options.log = absl::GetFlag(FLAGS_export)).empty()) {
    done = recovery::ExportOffline(options, absl::GetFlag(FLAGS_export_to));
  } else if (!(options.log = absl::GetFlag(FLAGS_replay)).empty()) {
    done = recovery::ReplayOffline(options, absl::GetFlag(FLAGS_replay_from),
                                   absl::GetFlag(FLAGS_replay_accept_lost));
  } else if (!(options.log = absl::GetFlag(FLAGS_successor)).empty()) {
    done = recovery::SuccessorOffline(options);
  } else if (absl::GetFlag(FLAGS_accept_keyring)) {
    done = recovery::AcceptKeyringOffline(options);
  } else if (absl::GetFlag(FLAGS_adopt_folders)) {
    done = recovery::AdoptFolders(options, daemon.folders);
  } else {
    done =
        recovery::RestoreOffline(options, daemon.folders.backup_dir, absl::GetFlag(FLAGS_restore),
                                 absl::GetFlag(FLAGS_restore_lost_head));
  }
  if (!done.ok()) {
    std::cerr << "vaultd: " << done.status().message() << "\n";
    return kExitCannotStart;
  }
  std::cout << *done;
  return 0;
}

int Serve(const DaemonOptions& options) {
  // Debian's abseil looks for lock cycles at every lock that gRPC takes; that is for finding bugs,
  // not for serving.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Before any thread is made, so that all of them leave the signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(options);
  if (!daemon.ok()) {
    std::cerr << "vaultd: cannot start: " << daemon.status().message() << "\n";
    return kExitCannotStart;
  }
  const size_t colon = options.listen.rfind(':');
  const std::string host =
      colon == std::string::npos ? "localhost" : options.listen.substr(0, colon);  // "inherited"
  const std::string address = absl::StrCat(host, ":", (*daemon)->port());
  const std::string address_file = absl::GetFlag(FLAGS_address_file);
  if (!address_file.empty()) {
    const absl::Status written = ReplaceFile(address_file, address + "\n", 0644);
    if (!written.ok()) {
      std::cerr << "vaultd: cannot start: " << written.message() << "\n";
      return kExitCannotStart;
    }
  }
  VAULT_LOG(INFO) << "serving on " << address;
  const timespec tick{0, 500 * 1000 * 1000};
  for (int got = 0; got != SIGTERM && got != SIGINT;) {
    (*daemon)->Tick();
    got = sigtimedwait(&signals, nullptr, &tick);
    if (got == SIGHUP) (*daemon)->RereadSubjects();
  }
  VAULT_LOG(INFO) << "stopping";
  if (!address_file.empty()) unlink(address_file.c_str());
  return 0;
}

bool IsOurs(absl::string_view file) { return absl::EndsWith(file, "vaultd/main.cc"); }

bool AsksFor(const std::vector<absl::string_view>& words, int argc, char** argv) {
  return std::find_first_of(argv + 1, argv + argc, words.begin(), words.end(),
                            [](absl::string_view a, absl::string_view b) { return a == b; }) !=
         argv + argc;
}

// abseil's own help ends with exit code 1 and names flags that are not for users.
void PrintHelp() {
  std::cout << kUsage << "\n\nFlags:\n";
  std::map<absl::string_view, const absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (IsOurs(flag->Filename())) flags.emplace(name, flag);
  }
  for (const auto& [name, flag] : flags) {
    const std::string usual = flag->DefaultValue();
    std::cout << "  --" << name << "  " << flag->Help()
              << (usual.empty() ? "" : absl::StrCat(" (default ", usual, ")")) << "\n";
  }
}

// Beside or without a vault that serves.
int CheckOnly(const DaemonOptions& options) {
  const absl::Status good = Daemon::Check(options);
  if (!good.ok()) {
    std::cerr << "vaultd: would not start: " << good.message() << "\n";
    return kExitCannotStart;
  }
  std::cout << "configuration, control files, certificates and root key are good\n";
  return 0;
}

int Main(int argc, char** argv) {
  rpc::TakeLibraryLogs();
  if (AsksFor({"--help", "-help", "-h", "help"}, argc, argv)) {
    PrintHelp();
    return 0;
  }
  if (AsksFor({"--version", "-V", "version"}, argc, argv)) {
    std::cout << "vaultd " VAULT_VERSION "\n";
    return 0;
  }
  absl::SetProgramUsageMessage(kUsage);
  absl::FlagsUsageConfig usage;
  usage.contains_helpshort_flags = IsOurs;
  usage.contains_help_flags = IsOurs;
  absl::SetFlagsUsageConfig(usage);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::cerr << "vaultd: unexpected argument; see --help\n";
    return kExitUsage;
  }
  const absl::Status hardened = Harden();
  if (!hardened.ok()) {
    std::cerr << "vaultd: cannot start: " << hardened.message() << "\n";
    return kExitCannotStart;
  }
  const std::string root_key = absl::GetFlag(FLAGS_create_root_key);
  if (!root_key.empty()) return CreateRootKey(root_key);
  const DaemonOptions options = OptionsFromFlags();
  const int works = OfflineWorks();
  if (works > 1) {
    std::cerr << "vaultd: --export, --replay, --successor, --accept_keyring, --restore and "
                 "--adopt_folders are one at a time; see --help\n";
    return kExitUsage;
  }
  if (works == 1 && (options.init || absl::GetFlag(FLAGS_check))) {
    std::cerr << "vaultd: " << (options.init ? "--init" : "--check")
              << " goes with no work on a stopped vault; see --help\n";
    return kExitUsage;
  }
  const std::string missing = works == 1 ? MissingOfflineFlag(options) : MissingFlag(options);
  if (!missing.empty() || absl::GetFlag(FLAGS_disk_reserve_mib) < 16 ||
      absl::GetFlag(FLAGS_restore) < 0 || options.work_threads < 1 ||
      options.checkpoint_interval < absl::Milliseconds(1) ||
      options.witness_lag_max < absl::ZeroDuration()) {
    std::cerr << "vaultd: " << (missing.empty() ? "a flag is out of range" : missing + " is needed")
              << "; see --help\n";
    return kExitUsage;
  }
  if (works == 1) return RunOffline(options);
  if (const absl::Status listen = rpc::ParseListenAddress(options.listen).status(); !listen.ok()) {
    std::cerr << "vaultd: --listen: " << listen.message() << "; see --help\n";
    return kExitUsage;
  }
  return absl::GetFlag(FLAGS_check) ? CheckOnly(options) : Serve(options);
}

}  // namespace
}  // namespace vault

int main(int argc, char** argv) { return vault::Main(argc, argv); }
