#!/usr/bin/env python3
"""What rotations cost; deploy/bench-rotation builds and calls it. Every figure stands beside one taken in the same run."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TENANT = "131164"
BATCH = 500  # rows of one step of a rotation that runs as fast as it goes


def run(*command):
    """The command's output; its failure is this script's."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"rotation_bench: {' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Vault:
    """A sandbox with residents."""

    def __init__(self, repo, work, residents):
        self.bin_dir = os.path.join(repo, "build/release/bin")
        self.tool = os.path.join(repo, "deploy/sandbox")
        self.dir = os.path.join(work, "sandbox")
        self.csv = os.path.join(work, "residents.csv")
        self.result = os.path.join(work, "lookups.json")
        run(self.tool, "up", self.dir, "--bin", self.bin_dir, "--many-attempts")
        run(os.path.join(self.bin_dir, "residents-gen"), "--tenant", TENANT, "--count", str(residents), "--seed", "1",
            "--out", self.csv)
        began = time.monotonic()
        self.ctl("booking-service", "residents", "import", self.csv, "--tenant", TENANT, "--purpose", "migration",
                 "--contact", "B-2026-11")
        self.import_seconds = time.monotonic() - began

    def ctl(self, persona, *arguments):
        return run(os.path.join(self.bin_dir, "vaultctl"), "--profile", f"{self.dir}/profiles/{persona}.textproto",
                   *arguments)

    def restart(self):
        run(self.tool, "down", self.dir)
        run(self.tool, "start", self.dir, "--bin", self.bin_dir)

    def settle(self):
        """Until the vault does nothing any more: what was written before is compacted, as the plain rewrite's rows are."""
        with open(os.path.join(self.dir, "vaultd.pid"), encoding="utf-8") as file:
            stat = f"/proc/{int(file.read())}/stat"

        def ticks():
            with open(stat, encoding="utf-8") as file:
                return sum(int(field) for field in file.read().rsplit(")", 1)[1].split()[11:13])

        before = ticks()
        for _ in range(100):
            time.sleep(2)
            now = ticks()
            if now - before < 10:
                return
            before = now
        sys.exit("rotation_bench: the vault does not come to rest")

    def rotate(self, kind):
        """Seconds of a rotation as fast as it goes."""
        self.settle()
        began = time.monotonic()
        self.ctl("security", "keys", "rotate", "--tenant", TENANT, "--what", kind, "--rate", "0")
        return time.monotonic() - began

    def begin(self, kind):
        """The id of a job that runs at the shipped rate."""
        text = self.ctl("security", "--output", "json", "keys", "rotate", "--tenant", TENANT, "--what", kind, "--detach")
        message = json.loads(text)
        return message.get("job", message)["id"]

    def job(self, job):
        message = json.loads(self.ctl("security", "--output", "json", "jobs", "show", job, "--tenant", TENANT))
        return message.get("job", message)

    def lookups(self, in_flight, seconds):
        run(os.path.join(self.bin_dir, "vault-bench"), f"--sandbox={self.dir}", f"--csv={self.csv}",
            f"--in_flight={in_flight}", "--rounds=1", f"--duration={seconds}s", f"--json={self.result}")
        with open(self.result, encoding="utf-8") as file:
            return json.load(file)["results"][0]["lookup"]


def bench_lookups(vault, rounds, report):
    """p99 without and with a rotation at the shipped rate, in turns."""
    for kind in ("kek", "index"):
        for in_flight in (1, 8):
            idle, busy, rows = [], [], []
            vault.settle()
            for _ in range(rounds):
                idle.append(vault.lookups(in_flight, 4)["p99_us"])
                job = vault.begin(kind)
                time.sleep(0.5)
                before, began = int(vault.job(job).get("done", 0)), time.monotonic()
                busy.append(vault.lookups(in_flight, 4)["p99_us"])
                after = vault.job(job)
                if after["state"] != "JOB_STATE_RUNNING":
                    sys.exit("rotation_bench: the rotation ended while lookups were measured; take more residents")
                rows.append((int(after.get("done", 0)) - before) / (time.monotonic() - began))
                vault.ctl("security", "jobs", "cancel", job, "--tenant", TENANT)
            report[f"lookups beside {kind}, {in_flight} in flight"] = {
                "idle_p99_us": statistics.median(idle), "during_p99_us": statistics.median(busy),
                "ratio": statistics.median(busy) / statistics.median(idle), "rows_per_s": statistics.median(rows),
                "idle_rounds": idle, "during_rounds": busy,
            }


def bench_speed(vault, residents, work, report):
    """Rotations as fast as they go, and the plain rewrite of the same rows before and after."""
    plain = os.path.join(vault.bin_dir, "plain-rewrite")

    def rewrite(name):
        to = os.path.join(work, name)
        rows, size, seconds = run(plain, "--tenant", TENANT, "--batch", str(BATCH), vault.dir, to).split()
        shutil.rmtree(to)
        if int(rows) != residents:
            sys.exit(f"rotation_bench: {rows} rows instead of {residents}")
        return int(rows) / float(seconds), int(size)

    run(vault.tool, "down", vault.dir)
    plain_rates = [rewrite("plain-1")]
    run(vault.tool, "start", vault.dir, "--bin", vault.bin_dir)
    kek = [residents / vault.rotate("kek") for _ in range(2)]
    run(vault.tool, "down", vault.dir)
    plain_rates.append(rewrite("plain-2"))
    run(vault.tool, "start", vault.dir, "--bin", vault.bin_dir)
    index, dek = residents / vault.rotate("index"), residents / vault.rotate("dek")
    plain_rate = statistics.mean(r[0] for r in plain_rates)
    report["rotations"] = {
        "residents": residents, "row_bytes": plain_rates[0][1] / residents, "plain_rows_per_s": plain_rate,
        "plain_rounds": [round(r[0]) for r in plain_rates],
        "kek_rows_per_s": statistics.mean(kek), "kek_rounds": [round(r) for r in kek],
        "kek_of_plain": statistics.mean(kek) / plain_rate, "index_rows_per_s": index, "index_of_plain": index / plain_rate,
        "dek_rows_per_s": dek, "dek_of_plain": dek / plain_rate, "import_rows_per_s": residents / vault.import_seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--residents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of rounds with and without a rotation")
    parser.add_argument("--only", choices=["lookups", "speed"])
    parser.add_argument("--json")
    parser.add_argument("--work")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="bench-rotation.", dir=options.work)
    report = {}
    try:
        vault = Vault(options.repo, work, options.residents)
        vault.restart()
        if options.only in (None, "speed"):
            bench_speed(vault, options.residents, work, report)
        if options.only in (None, "lookups"):
            bench_lookups(vault, options.rounds, report)
    finally:
        subprocess.run([os.path.join(options.repo, "deploy/sandbox"), "down", os.path.join(work, "sandbox")],
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
