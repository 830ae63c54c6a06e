#!/usr/bin/env python3
"""Holds the tree to its rules: tidy.py [ROOT], or tidy.py --self-test.

Every rule is a function that yields (path, line, message). The self-test feeds each of them a small bad tree and
wants it caught, and a good one that must pass.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

# DESIGN.md's layers: a module uses only what stands in a lower one.
LAYERS = {
    "base": 0,
    "crypto": 1, "text": 1, "store": 1, "policy": 1, "tlog": 1, "tokens": 1,
    "keys": 2, "grants": 2,
    "audit": 3, "records": 3,
    "pipeline": 4, "jobs": 4, "publish": 4, "trail": 4,
    "inventory": 5,
    "usecases": 6, "recovery": 6,
    "wiring": 7,
    "rpc": 8, "console": 8,
    "cli": 9,
    "cmd": 10,
}
# The pairs within a layer: the log's hashes are crypto's, and whoever verifies a log links base, cli, crypto
# and tlog and nothing else; a policy's lists of towns are read, and refused, by what masks with them.
WITHIN_A_LAYER = {("tlog", "crypto"), ("policy", "text")}
# Programs that must stay free of the server, and what they share: what they may use besides their own folder and
# the messages.
CLIENTS = {
    # crypto and tlog: an export and a proof are checked before they are written.
    "vaultctl": {"base", "cli", "crypto", "text", "tlog"},
    "vault-verify": {"base", "cli", "crypto", "tlog"},
    "vault_verify": {"base", "cli", "crypto", "tlog"},
    "vault-witness": {"base", "cli", "crypto", "tlog"},
    "cli": {"base"},
}
# Implementations of the store, by their headers and by their libraries: who uses a store knows none of them, but for
# the mains and for what opens the files of a stopped vault.
CHOSEN = re.compile(r"vault/store/(?:rocksdb|memory)/|vault::store_")
ROOT_ENTRIES = {
    "CMakeLists.txt", "CMakePresets.json", "vault", "proto", "policies", "tests", "deploy",
    "README.md", "LICENSE", "CHANGELOG.md", "build",
}
ROW_FAMILIES = "vault/base/row_families.h"
COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FORMAT_SECONDS_MAX = 200
# Public messages that are taken over as they are published.
FOREIGN = ("proto/google/",)

TEXT_SUFFIXES = (
    ".cc", ".h", ".proto", ".py", ".sh", ".md", ".txt", ".cmake", ".json", ".textproto", ".yaml",
    ".yml", ".js", ".ts", ".service", ".conf", ".tsv", ".csv",
)


class Tree:
    """The files of a tree by their paths, read once."""

    def __init__(self, root):
        self.root = root
        self.paths = sorted(p for p in list_files(root) if os.path.isfile(os.path.join(root, p)))
        self._texts = {}

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def lines(self, path):
        return enumerate(self.text(path).split("\n"), 1)

    def select(self, suffixes, under=""):
        for path in self.paths:
            if path.endswith(suffixes) and path.startswith(under) and not path.startswith(FOREIGN):
                yield path


def list_files(root):
    """What git would commit, or every file where this is no git checkout."""
    if os.path.exists(os.path.join(root, ".git")) and shutil.which("git"):
        done = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                              capture_output=True, check=False)
        # git refuses a checkout that belongs to somebody else (a container's mount): walk it instead.
        if done.returncode == 0:
            return set(done.stdout.decode().split("\0")) - {""}
    found = []
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        folders[:] = [f for f in folders if f not in (".git", "node_modules")
                      and not (inside == "." and f == "build")]
        found += [os.path.normpath(os.path.join(inside, f)) for f in files]
    return found


def why_not(user, path, used):
    """What is wrong with the module `user`, in the file `path`, using the module `used`; None if nothing."""
    if used not in LAYERS:
        return f"module {used} is in no layer"
    if user == used:
        return None
    client = path.split("/")[2] if user == "cmd" else user
    if client in CLIENTS and used not in CLIENTS[client]:
        return f"{client} is a client's and may not use {used}"
    if LAYERS[used] >= LAYERS[user] and (user, used) not in WITHIN_A_LAYER:
        return f"{user} (layer {LAYERS[user]}) may not use {used} (layer {LAYERS[used]})"
    return None


def check_includes(tree):
    pattern = re.compile(r'\s*#\s*include\s*["<]((?:\.\./|tests/|vault/)[^">]*)[">]')
    for path in tree.select((".cc", ".h"), "vault/"):
        user = path.split("/")[1]
        if user not in LAYERS:
            yield path, 1, f"module {user} is in no layer: put it into the table of tidy.py"
            continue
        for number, line in tree.lines(path):
            match = pattern.match(line)
            if not match:
                continue
            included = match.group(1)
            if not included.startswith("vault/"):
                yield path, number, f"includes {included}: what ships knows no test and no relative path"
                continue
            parts = included.split("/")
            if included.endswith(".pb.h"):
                continue
            if user == "cmd" and parts[1] == "cmd" and parts[2:3] != path.split("/")[2:3]:
                yield path, number, "one program may not use another's folder"
                continue
            problem = why_not(user, path, parts[1])
            if problem:
                yield path, number, problem
            if CHOSEN.match(included) and user not in ("store", "recovery", "cmd"):
                yield path, number, "an implementation of the store is the mains' choice"
            # A folder under usecases is an area; what areas share lies beside them.
            if user == parts[1] == "usecases" and len(parts) == 4:
                area = path.split("/")[2:-1]
                if area != parts[2:3]:
                    yield path, number, f"uses the area {parts[2]}: areas do not know each other"


def check_links(tree):
    """The same in the build's files, where a forgotten include would not show."""
    for path in tree.select(("CMakeLists.txt",), "vault/"):
        parts = path.split("/")
        if len(parts) < 3 or parts[1] not in LAYERS:
            continue
        for number, line in tree.lines(path):
            if CHOSEN.search(line.split("#")[0]) and parts[1] not in ("store", "recovery", "cmd"):
                yield path, number, "an implementation of the store is the mains' choice"
            for used in re.findall(r"\bvault::(\w+)", line.split("#")[0]):
                problem = used in LAYERS and why_not(parts[1], path, used)
                if problem and not (parts[1] == "cmd" and len(parts) == 3):
                    yield path, number, problem


def check_long_lines(tree):
    for path in tree.select((".cc", ".h", ".proto")):
        for number, line in tree.lines(path):
            if len(line) > COLUMNS_MAX:
                yield path, number, f"{len(line)} columns, at most {COLUMNS_MAX}"


def check_guards(tree):
    for path in tree.select((".h",)):
        stem = path[len("vault/"):] if path.startswith("vault/") else path
        guard = "VAULT_" + re.sub(r"[^A-Z0-9]", "_", stem[:-2].upper()) + "_H_"
        text = tree.text(path)
        wanted = (f"#ifndef {guard}\n#define {guard}\n", f"\n#endif  // {guard}\n")
        if wanted[0] not in text or not text.endswith(wanted[1]):
            yield path, 1, f"wants the include guard {guard}"


def check_words(tree):
    marks = re.compile(r"\b(" + "|".join(("TO" "DO", "FIX" "ME", "X" "XX")) + r")\b")
    # A path of the machine where something was written works on no other.
    machine = re.compile(r"(?<![\w.*}$-])/(?:wo" r"rk|ho" r"me)/")
    skip = re.compile(r"GTEST" r"_SKIP\(\)")
    namespace = re.compile(r"^\s*using\s+namespace\b")
    for path in tree.paths:
        if path.startswith(FOREIGN) or not (
                path.endswith(TEXT_SUFFIXES) or "." not in os.path.basename(path)):
            continue
        text = tree.text(path)
        code = path.endswith((".cc", ".h"))
        for number, line in tree.lines(path):
            if marks.search(line):
                yield path, number, "a mark of unfinished work"
            if machine.search(line):
                yield path, number, "a path of one machine"
            if code and namespace.match(line):
                yield path, number, "a using directive"
        if code:
            for match in skip.finditer(text):
                if not re.match(r'\s*<<\s*"[^"]{10,}', text[match.end():]):
                    yield path, text.count("\n", 0, match.start()) + 1, "a test skipped without its reason"


def check_row_keys(tree):
    """What the keys of the database's rows begin with stands in one table, so that no row is left out of it."""
    literal = re.compile(r'(?<!\\)"(?:[a-z]{1,3}/|m/[a-z-]+)"')
    for path in tree.select((".cc", ".h"), "vault/"):
        if path == ROW_FAMILIES:
            continue
        for number, line in tree.lines(path):
            if literal.search(line.split("//")[0]):
                yield path, number, f"what a row's key begins with: take the constant from {ROW_FAMILIES}"


def check_long_functions(tree):
    """By the formatted shape: from a line that opens a body to the brace at the same indentation."""
    opening = re.compile(r"^( {0,2})\S.*\)[^;=]*\{$")
    other = re.compile(r"^\s*(?:namespace|class|struct|enum|union|extern|if|for|while|switch|else|do|\}|//)\b|^\s*//")
    for path in tree.select((".cc", ".h"), "vault/"):
        began = None
        for number, line in tree.lines(path):
            match = opening.match(line)
            if match and not other.match(line):
                began = (number, match.group(1) + "}")
            elif began and line.startswith(began[1]):
                if number - began[0] + 1 > FUNCTION_LINES_MAX:
                    yield path, began[0], (f"a function of {number - began[0] + 1} lines, at most "
                                           f"{FUNCTION_LINES_MAX}")
                began = None


def check_readmes(tree):
    modules = {p.split("/")[1] for p in tree.paths if p.startswith("vault/") and p.count("/") >= 2}
    for module in sorted(modules):
        path = f"vault/{module}/README.md"
        if path not in tree.paths or not tree.text(path).strip():
            yield path, 1, "every module's folder says what it is"


def check_root(tree):
    for entry in sorted({p.split("/")[0] for p in tree.paths}):
        if entry not in ROOT_ENTRIES and not entry.startswith("."):
            yield entry, 1, "nothing of this name belongs at the top of the tree"


def check_format(tree):
    tool = shutil.which("clang-format-14")
    if not tool:
        print("tidy: clang-format-14 is not installed, so the format was not checked")
        return
    paths = list(tree.select((".cc", ".h")))
    deadline = time.monotonic() + FORMAT_SECONDS_MAX
    for begin in range(0, len(paths), 25):
        left = deadline - time.monotonic()
        if left <= 0:
            yield paths[begin], 1, f"clang-format did not come to an end in {FORMAT_SECONDS_MAX} s"
            return
        try:
            done = subprocess.run(
                [tool, "--dry-run", "-Werror", "--ferror-limit=1", *paths[begin:begin + 25]],
                cwd=tree.root, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            yield paths[begin], 1, f"clang-format did not come to an end in {FORMAT_SECONDS_MAX} s"
            return
        named = set()
        for path, number in re.findall(r"^(\S+?):(\d+):\d+: error:", done.stderr, re.MULTILINE):
            if path not in named:
                named.add(path)
                yield path, int(number), "not as clang-format-14 writes it (clang-format-14 -i)"
        if done.returncode != 0 and not named:
            yield paths[begin], 1, "clang-format-14 failed: " + done.stderr.strip()[:200]


CHECKS = (check_includes, check_links, check_long_lines, check_guards, check_words, check_row_keys,
          check_long_functions, check_readmes, check_root, check_format)


def run(root):
    tree = Tree(root)
    if len(tree.paths) < 3:
        sys.exit(f"tidy: there is next to nothing in {root}")
    problems = [problem for check in CHECKS for problem in check(tree)]
    for path, number, message in problems:
        print(f"{path}:{number}: {message}")
    print(f"tidy: {len(tree.paths)} files, {len(problems)} problems")
    return 1 if problems else 0


GOOD_HEADER = "#ifndef VAULT_BASE_A_H_\n#define VAULT_BASE_A_H_\n\nint A();\n\n#endif  // VAULT_BASE_A_H_\n"
LONG_FUNCTION = "int A() {\n" + "  B();\n" * 70 + "}\n"
SHORT_FUNCTIONS = ("int A() {\n" + "  B();\n" * 30 + "}\n\n") * 4

# (check, files, whether it must be caught)
SELF_TESTS = [
    (check_includes, {"vault/base/a.cc": '#include "vault/crypto/crypto.h"\n'}, True),
    (check_includes, {"vault/text/a.cc": '#include "vault/crypto/crypto.h"\n'}, True),
    (check_includes, {"vault/crypto/a.cc": '#include "vault/tlog/entry.h"\n'}, True),
    (check_includes, {"vault/policy/a.h": '#  include "vault/tlog/entry.h"\n'}, True),
    (check_includes, {"vault/audit/a.cc": '#include "vault/records/records.h"\n'}, True),
    (check_includes, {"vault/usecases/trail/a.cc": '#include "vault/rpc/server.h"\n'}, True),
    (check_includes, {"vault/usecases/trail/a.cc": '#include "vault/usecases/keys/keys.h"\n'}, True),
    (check_includes, {"vault/usecases/a.cc": '#include "vault/usecases/keys/keys.h"\n'}, True),
    (check_includes, {"vault/usecases/trail/a.cc": '#include "vault/recovery/start.h"\n'}, True),
    (check_includes, {"vault/pipeline/a.cc": '#include "vault/jobs/jobs.h"\n'}, True),
    (check_includes, {"vault/audit/a.cc": '#include "vault/publish/checkpointer.h"\n'}, True),
    (check_includes, {"vault/publish/a.cc": '#include "vault/trail/log_reader.h"\n'}, True),
    (check_includes, {"vault/trail/a.cc": '#include "vault/publish/checkpointer.h"\n'}, True),
    (check_includes, {"vault/publish/a.cc": '#include "vault/recovery/replay.h"\n'}, True),
    (check_includes, {"vault/cmd/vaultd/a.cc": '#include "vault/recovery/restore.h"\n'}, False),
    (check_includes, {"vault/recovery/a.cc":
                      '#include "vault/publish/exporter.h"\n#include "vault/trail/log_reader.h"\n'}, False),
    (check_includes, {"vault/usecases/trail/a.cc":
                      '#include "vault/usecases/trail/trail.h"\n#include "vault/usecases/job_calls.h"\n'}, False),
    (check_includes, {"vault/rpc/a.cc": '#include <vault/cmd/main.h>\n'}, True),
    (check_includes, {"vault/base/a.cc": '#include "tests/testing/fakes.h"\n'}, True),
    (check_includes, {"vault/base/a.cc": '#include "../crypto/crypto.h"\n'}, True),
    (check_includes, {"vault/base/a.cc": '#include "vault/nowhere/a.h"\n'}, True),
    (check_includes, {"vault/nowhere/a.cc": "int a;\n"}, True),
    (check_includes, {"vault/audit/a.cc": '#include "vault/store/rocksdb/rocksdb_store.h"\n'}, True),
    (check_includes, {"vault/wiring/a.cc": '#include "vault/store/memory/memory_store.h"\n'}, True),
    (check_includes, {"vault/cmd/vaultd/a.cc": '#include "vault/store/rocksdb/rocksdb_store.h"\n',
                      "vault/audit/a.cc": '#include "vault/store/files.h"\n'}, False),
    (check_includes, {"vault/cmd/vaultctl/a.cc": '#include "vault/wiring/use_cases.h"\n'}, True),
    (check_includes, {"vault/cmd/vaultctl/a.cc": '#include "vault/keys/keyring.h"\n'}, True),
    (check_includes, {"vault/cmd/vaultctl/a.cc": '#include "vault/cmd/vaultd/flags.h"\n'}, True),
    (check_includes, {"vault/cmd/vault-verify/a.cc": '#include "vault/store/store.h"\n'}, True),
    (check_includes, {"vault/cmd/vault-witness/a.cc": '#include "vault/keys/files.h"\n'}, True),
    (check_includes, {"vault/cli/a.cc": '#include "vault/text/text.h"\n'}, True),
    (check_includes, {"vault/cli/a.cc": '#include "vault/cmd/vaultctl/session.h"\n'}, True),
    (check_includes, {"vault/rpc/a.cc": '#include "vault/cli/parser.h"\n'}, True),
    (check_includes, {"vault/cli/a.cc": '#include "vault/base/utf8.h"\n#include "vault/cli/parser.h"\n'}, False),
    (check_includes, {"vault/cmd/vault-witness/a.cc": '#include "vault/cli/parser.h"\n'}, False),
    (check_includes, {"vault/tlog/a.cc": '#include "vault/crypto/crypto.h"\n'}, False),
    (check_includes, {"vault/cmd/vaultctl/a.cc":
                      '#include "vault/cmd/vaultctl/commands.h"\n#include "vault/text/text.h"\n'
                      '#include "vault/v1/key_service.pb.h"\n'}, False),
    (check_includes, {"vault/pipeline/a.cc": '#include "vault/audit/sequencer.h"\n'}, False),
    (check_links, {"vault/text/CMakeLists.txt": "vault_library(text DEPS vault::crypto)\n"}, True),
    (check_links, {"vault/audit/CMakeLists.txt": "vault_library(audit\n  DEPS vault::pipeline)\n"}, True),
    (check_links, {"vault/cmd/vaultctl/CMakeLists.txt": "target_link_libraries(x vault::keys)\n"}, True),
    (check_links, {"vault/usecases/CMakeLists.txt": "vault_library(usecases DEPS vault::store_rocksdb)\n"}, True),
    (check_links, {"vault/cmd/vaultd/CMakeLists.txt": "vault_library(vaultd DEPS vault::store_rocksdb)\n"}, False),
    (check_links, {"vault/cli/CMakeLists.txt": "vault_library(cli DEPS vault::tlog)\n"}, True),
    (check_links, {"vault/tlog/CMakeLists.txt": "vault_library(tlog DEPS vault::base vault::crypto)\n"},
     False),
    (check_long_lines, {"vault/base/a.cc": "//" + "x" * 99 + "\n"}, True),
    (check_long_lines, {"proto/vault/v1/a.proto": "//" + "x" * 99 + "\n"}, True),
    (check_long_lines, {"vault/base/a.cc": "//" + "é" * 98 + "\n"}, False),
    (check_guards, {"vault/base/a.h": "#pragma once\nint A();\n"}, True),
    (check_guards, {"vault/base/b.h": GOOD_HEADER}, True),
    (check_guards, {"vault/base/a.h": GOOD_HEADER + "int B();\n"}, True),
    (check_guards, {"vault/base/a.h": GOOD_HEADER}, False),
    (check_guards, {"tests/testing/a.h": GOOD_HEADER.replace("BASE_A", "TESTS_TESTING_A")}, False),
    (check_words, {"vault/base/a.cc": "using namespace" " std;\n"}, True),
    (check_words, {"vault/base/a.cc": "int a;  // TO" "DO: b\n"}, True),
    (check_words, {"deploy/run.sh": "# FIX" "ME\n"}, True),
    (check_words, {"README.md": "X" "XX\n"}, True),
    (check_words, {"deploy/run": "cd /wo" "rk/main\n"}, True),
    (check_words, {"tests/a.json": '"/ho' 'me/somebody/x"\n'}, True),
    (check_words, {"tests/a_test.cc": "TEST(A, B) { GTEST" "_SKIP(); }\n"}, True),
    (check_words, {"tests/a_test.cc": 'TEST(A, B) { GTEST' '_SKIP() << ""; }\n'}, True),
    (check_words, {"tests/a_test.cc": 'GTEST' '_SKIP()\n    << "mounting needs root";\n'}, False),
    (check_words, {"deploy/run.sh": 'mktemp -d "${TMPDIR:-/tmp}/vault.' + "X" * 6 + '"\ncd $A/wo' 'rk/x\n'},
     False),
    (check_row_keys, {"vault/audit/a.cc": 'Scan("e/", "");\n'}, True),
    (check_row_keys, {"vault/audit/a.cc": 'Scan(absl::StrCat("uvw/", log.str()), "");\n'}, True),
    (check_row_keys, {"vault/engine/a.h": 'constexpr absl::string_view kKey = "m/schema";\n'}, True),
    (check_row_keys, {"vault/base/row_families.cc": 'Owns("r/");\n'}, True),
    (check_row_keys, {ROW_FAMILIES: 'inline constexpr absl::string_view kEntryPrefix = "e/";\n'}, False),
    (check_row_keys, {"vault/tlog/a.cc": 'Take("tile/"); Take("/"); Take("text/plain"); Take("a/b/"); '
                                         'Take(".p/");  // "e/" <log>\n',
                      "tests/audit/a_test.cc": 'Scan("e/", "");\n'}, False),
    (check_long_functions, {"vault/base/a.cc": LONG_FUNCTION}, True),
    (check_long_functions, {"vault/base/a.cc": "class A {\n  int B() const {\n" + "    C();\n" * 70
                            + "  }\n};\n"}, True),
    (check_long_functions, {"vault/base/a.cc": SHORT_FUNCTIONS}, False),
    (check_readmes, {"vault/base/a.cc": "int a;\n"}, True),
    (check_readmes, {"vault/base/a.cc": "int a;\n", "vault/base/README.md": "\n"}, True),
    (check_readmes, {"vault/base/a.cc": "int a;\n", "vault/base/README.md": "# base\n"}, False),
    (check_root, {"notes.txt": "x\n"}, True),
    (check_root, {"src/a.cc": "int a;\n"}, True),
    (check_root, {"README.md": "x\n", ".clang-format": "x\n", "vault/base/a.cc": "x\n"}, False),
]
if shutil.which("clang-format-14"):
    SELF_TESTS += [
        (check_format, {".clang-format": "BasedOnStyle: Google\n", "vault/base/a.cc": "int  a ;\n"}, True),
        (check_format, {".clang-format": "BasedOnStyle: Google\n", "vault/base/a.cc": "int a;\n"}, False),
    ]


def self_test():
    failures = 0
    for number, (check, files, bad) in enumerate(SELF_TESTS):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            problems = list(check(Tree(root)))
        if bool(problems) != bad:
            failures += 1
            print(f"self-test {number}, {check.__name__}: "
                  + ("was not caught" if bad else f"was caught: {problems}") + f": {files}")
    unproved = {c.__name__ for c in CHECKS if c is not check_format} - {
        c.__name__ for c, _, bad in SELF_TESTS if bad}
    if unproved:
        failures += 1
        print(f"no self-test shows these to catch anything: {sorted(unproved)}")
    print(f"tidy: {len(SELF_TESTS)} self-tests, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    sys.exit(run(os.path.normpath(sys.argv[1] if len(sys.argv) > 1 else default)))
