#!/usr/bin/env python3
"""An export against a tool of independent origin: tlog_go.py TRAIL_GEN WORK [ENTRIES]
Only the tool, and where it is: tlog_go.py --build WORK NAME

Builds checklog.go (Debian's golang-go and golang-golang-x-mod-dev, no network) in WORK, runs it on an export that
TRAIL_GEN writes, and on copies with one thing wrong, which it must refuse for that very reason.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(work, name="checklog"):
    go = shutil.which("go")
    if go is None or not Path("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog").is_dir():
        sys.exit("tlog_go: golang-go or golang-golang-x-mod-dev is missing: deploy/install test")
    checker = work / name
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOENV="off", GOPROXY="off",
                       GOCACHE=str(work / "gocache"), CGO_ENABLED="0")
    subprocess.run([go, "build", "-o", str(checker), str(HERE / "checklog.go")], check=True, env=environment)
    return checker


def flip(path, offset):
    """Changes one bit, in a file of its own: the copies share their files with the original."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.unlink()
    path.write_bytes(data)


def entry_flipped(export):
    bundle = export / "tile/entries/100"
    flip(bundle, bundle.read_bytes().index(b'"resident":"') + 20)


def last_entry_flipped(export):
    bundle = next((export / "tile/entries").glob("*.p")) / "112"
    flip(bundle, -1)


def tile_flipped(export):
    flip(export / "tile/1/000", 4242)


def checkpoint_flipped(export):
    flip(export / "checkpoint", (export / "checkpoint").read_bytes().index(b"\n") + 1)


def bundle_missing(export):
    (export / "tile/entries/007").unlink()


# What is done to a copy, and what the checker must say.
DAMAGES = [
    (entry_flipped, "do not hash to the checkpoint's root"),
    (last_entry_flipped, "do not hash to the checkpoint's root"),
    (tile_flipped, "tile/1/000: not the hashes of its entries"),
    (checkpoint_flipped, "invalid signature"),
    (bundle_missing, "no such file"),
]


def main():
    if sys.argv[1] == "--build":
        work = Path(sys.argv[2]).resolve()
        work.mkdir(parents=True, exist_ok=True)
        print(build(work, sys.argv[3]))
        return
    trail_gen, work, entries = sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3]) if len(sys.argv) > 3 else 70000
    work.mkdir(parents=True, exist_ok=True)
    checker = build(work)

    def check(export, vkey):
        return subprocess.run([checker, export, vkey], capture_output=True, text=True)

    failures = []
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        export = Path(scratch) / "export"
        vkey = subprocess.run([trail_gen, str(entries), export], check=True, capture_output=True, text=True).stdout.strip()
        result = check(export, vkey)
        print(result.stdout + result.stderr, end="")
        if result.returncode != 0 or f"good: {entries} entries" not in result.stdout:
            failures.append("the export as it was written")
        other = subprocess.run([trail_gen, "--origin", "vault.example/audit/131172", "1", Path(scratch) / "other"],
                               check=True, capture_output=True, text=True).stdout.strip()
        if check(export, other).returncode != 1:
            failures.append("another log's key")
        for damage, said in DAMAGES:
            copy = Path(scratch) / damage.__name__
            shutil.copytree(export, copy, copy_function=os.link)
            damage(copy)
            result = check(copy, vkey)
            if result.returncode != 1 or said not in result.stderr:
                failures.append(f"{damage.__name__}: exit code {result.returncode}, {result.stdout}{result.stderr}")
        if check(export, vkey).returncode != 0:
            failures.append("the export after its copies were damaged")
    for failure in failures:
        print("tlog_go: not as it must be:", failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


main()
