#!/usr/bin/env python3
"""What the trail's proof costs; deploy/bench-trail builds and calls it. Every figure stands beside one taken in the same run."""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TENANT = "131164"


def run(*command, env=None):
    """The command's output; its failure is this script's."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        sys.exit(f"trail_bench: {' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(*command):
    """(seconds, peak memory in MB, output) of one process."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        out.seek(0)
        text = out.read()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"trail_bench: {' '.join(command)} exited with {process.returncode}:\n{text}")
    return seconds, usage.ru_maxrss / 1024, text


def size_of(folder):
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(base, name)).st_size
    return total


def sha256_rate(entry_bytes):
    """OpenSSL's SHA-256 over messages of this length, bytes a second on one core."""
    out = run("openssl", "speed", "-mr", "-seconds", "3", "-bytes", str(entry_bytes), "-evp", "sha256")
    return float(re.search(r"^\+F:\d+:sha256:([\d.]+)", out, re.IGNORECASE | re.MULTILINE).group(1))


def bench_verify(bin_dir, work, entries, report):
    export = os.path.join(work, "generated")
    vkey = run(os.path.join(bin_dir, "trail-gen"), str(entries), export).strip()
    entry_bytes = size_of(os.path.join(export, "tile", "entries"))
    mean = entry_bytes // entries
    rates = [sha256_rate(mean)]
    verify = os.path.join(bin_dir, "vault-verify")
    # Once, so that every run finds the files in memory as far as they fit.
    timed(verify, export, "--vkey", vkey)
    one = [timed(verify, export, "--vkey", vkey, "--threads", "1") for _ in range(3)]
    rates.append(sha256_rate(mean))
    both = [timed(verify, export, "--vkey", vkey) for _ in range(3)]
    rates.append(sha256_rate(mean))
    sha = statistics.median(rates)
    seconds_one = statistics.median(r[0] for r in one)
    seconds_all = statistics.median(r[0] for r in both)
    report["verify"] = {
        "entries": entries, "mean_entry_bytes": mean, "sha256_bytes_per_s": sha,
        "one_thread_entries_per_s": entries / seconds_one, "one_thread_bytes_per_s": entry_bytes / seconds_one,
        "one_thread_of_sha256": entry_bytes / seconds_one / sha,
        "all_threads_entries_per_s": entries / seconds_all, "all_threads_bytes_per_s": entry_bytes / seconds_all,
        "all_of_one": seconds_one / seconds_all, "threads": os.cpu_count(),
        "peak_memory_mb": max(r[1] for r in one + both),
    }
    shutil.rmtree(export)


def bench_export(repo, bin_dir, work, entries, report):
    sandbox = os.path.join(work, "sandbox")
    up = [os.path.join(repo, "deploy/sandbox"), "up", sandbox, "--bin", bin_dir]
    down = [os.path.join(repo, "deploy/sandbox"), "down", sandbox]
    start = [os.path.join(repo, "deploy/sandbox"), "start", sandbox, "--bin", bin_dir]
    run(*up)
    run(*down)
    db = os.path.join(sandbox, "db")
    before = size_of(db)
    fill = os.path.join(bin_dir, "trail-fill")
    seconds, _, _ = timed(fill, str(entries), sandbox)
    run(*start)
    out = os.path.join(work, "export")
    export = [os.path.join(bin_dir, "vaultctl"), "--profile", f"{sandbox}/profiles/compliance-toshima.textproto", "audit",
              "export", "--tenant", TENANT, "--out", out]
    whole, _, _ = timed(*export)
    run(*down)
    after = size_of(db)
    timed(fill, "1000", sandbox)
    run(*start)
    more, _, _ = timed(*export)
    same, _, _ = timed(*export)
    vkey = run(*export[:3], "audit", "vkey", "--tenant", TENANT).strip()
    checked, memory, _ = timed(os.path.join(bin_dir, "vault-verify"), out, "--vkey", vkey)
    report["export"] = {
        "append_entries_per_s": entries / seconds, "export_entries_per_s": entries / whole,
        "export_bytes_per_s": size_of(out) / whole, "increment_1000_s": more, "nothing_new_s": same,
        "verify_after_s": checked, "verify_after_memory_mb": memory,
        "database_bytes_per_entry": (after - before) / entries, "export_bytes_per_entry": size_of(out) / entries,
    }
    run(*down)
    shutil.rmtree(sandbox)
    shutil.rmtree(out)


def processor_ticks(pid):
    """Processor time of a process's threads, by name."""
    ticks = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as file:
            text = file.read()
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        ticks[name] = ticks.get(name, 0) + int(rest[11]) + int(rest[12])
    return ticks


def bench_checkpoints(repo, bin_dir, work, rounds, report):
    """Audited lookups with checkpoints and without, in turns."""
    sandbox = os.path.join(work, "lookups")
    run(os.path.join(repo, "deploy/sandbox"), "up", sandbox, "--bin", bin_dir, "--many-attempts")
    csv = os.path.join(work, "residents.csv")
    run(os.path.join(bin_dir, "residents-gen"), "--tenant", TENANT, "--count", "20000", "--seed", "1", "--out", csv)
    run(os.path.join(bin_dir, "vaultctl"), "--profile", f"{sandbox}/profiles/booking-service.textproto", "residents",
        "import", csv, "--tenant", TENANT, "--purpose", "migration", "--contact", "B-2026-11")
    rates = {"500ms": [], "24h": []}
    shares = []
    result = os.path.join(work, "lookups.json")
    for turn in range(2 * rounds):
        interval = ("500ms", "24h")[turn % 2]
        run(os.path.join(repo, "deploy/sandbox"), "down", sandbox)
        run(os.path.join(repo, "deploy/sandbox"), "start", sandbox, "--bin", bin_dir,
            env={**os.environ, "VAULT_FLAGS": f"--checkpoint_interval={interval}"})
        with open(os.path.join(sandbox, "vaultd.pid"), encoding="utf-8") as file:
            pid = int(file.read())
        before = processor_ticks(pid)
        run(os.path.join(bin_dir, "vault-bench"), f"--sandbox={sandbox}", f"--csv={csv}", "--in_flight=64", "--rounds=1",
            "--duration=4s", f"--json={result}")
        after = processor_ticks(pid)
        if interval == "500ms":
            used = sum(after.values()) - sum(before.values())
            shares.append((after["vault-signer"] - before["vault-signer"]) / used)
        with open(result, encoding="utf-8") as file:
            lookup = json.load(file)["results"][0]["lookup"]
            rates[interval].append((lookup["calls_per_second"], lookup["server_cpu_us"]))
    time_cost = [without[0] / with_[0] - 1 for with_, without in zip(rates["500ms"], rates["24h"])]
    cpu_cost = [with_[1] / without[1] - 1 for with_, without in zip(rates["500ms"], rates["24h"])]
    report["checkpoints"] = {
        "lookups_per_s_with": statistics.median(r[0] for r in rates["500ms"]),
        "lookups_per_s_without": statistics.median(r[0] for r in rates["24h"]),
        "signer_share_of_processor": statistics.median(shares),
        "cost_in_time": statistics.median(time_cost), "cost_in_processor": statistics.median(cpu_cost),
        "pairs_in_time": [round(c, 3) for c in time_cost], "pairs_in_processor": [round(c, 3) for c in cpu_cost],
    }
    run(os.path.join(repo, "deploy/sandbox"), "down", sandbox)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs with and without checkpoints")
    parser.add_argument("--only", choices=["verify", "export", "checkpoints"])
    parser.add_argument("--json")
    parser.add_argument("--work")
    options = parser.parse_args()
    bin_dir = os.path.join(options.repo, "build/release/bin")
    work = tempfile.mkdtemp(prefix="bench-trail.", dir=options.work)
    report = {}
    try:
        if options.only in (None, "verify"):
            bench_verify(bin_dir, work, options.entries, report)
        if options.only in (None, "export"):
            bench_export(options.repo, bin_dir, work, options.entries, report)
        if options.only in (None, "checkpoints"):
            bench_checkpoints(options.repo, bin_dir, work, options.rounds, report)
    finally:
        for name in ("sandbox", "lookups"):
            if os.path.isdir(os.path.join(work, name)):
                subprocess.run([os.path.join(options.repo, "deploy/sandbox"), "down", os.path.join(work, name)],
                               capture_output=True, check=False)
        shutil.rmtree(work)
    for part, figures in report.items():
        print(part)
        for name, value in figures.items():
            shown = f"{value:,.3f}" if isinstance(value, float) else f"{value}"
            print(f"  {name:28} {shown}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
