#!/usr/bin/python3
"""fansync beside the stock client, in one run on one machine: prints times and ratios.

One master, two replicas; each client has a replica of its own. CPU seconds are the client's alone; wall time
includes the replica's work, which is the same for both. Medians of several runs where a run can be repeated.

    bench/against_stock.py [--users 200] [--mailboxes 8] [--messages 10] [--runs 5] [--client ./sync_client]
"""
import argparse
import os
import random
import resource
import statistics
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests"))

from lab.clients import ours, stock  # noqa: E402
from lab.edits import random_edits  # noqa: E402
from lab.fill import fill  # noqa: E402
from lab.pair import make_pair  # noqa: E402
from lab.proxy import Proxy  # noqa: E402


def measure(run):
    """(wall seconds, CPU seconds of the client)."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run()
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median(runs):
    return tuple(statistics.median(column) for column in zip(*runs))


class Bench:
    def __init__(self, pair, runs):
        self.pair, self.runs = pair, runs
        login = {"sync_authname": "repl", "sync_password": "secret"}
        east, west = pair.servers[1:3]
        self.conf = [{**login, "sync_host": s.address, "sync_port": s.sync_port} for s in (east, west)]
        self.login, self.replicas = login, (east, west)
        print(f"{'':34} {'wall s':>17} {'':8} {'client CPU s':>17}")
        print(f"{'':34} {'stock':>8} {'ours':>8} {'ratio':>8} {'stock':>8} {'ours':>8} {'ratio':>8}")

    def both(self, title, repeat=True, before=None, conf=None):
        conf = conf or self.conf
        results = ([], [])
        for _ in range(self.runs if repeat else 1):
            if before:
                before()
            for i, client in enumerate((ours, stock)):
                results[i].append(measure(lambda: client(self.pair.master, "-A", conf=conf[i], timeout=600)))
        (ow, oc), (sw, sc) = median(results[0]), median(results[1])
        print(f"{title:34} {sw:8.2f} {ow:8.2f} {sw / ow:7.1f}x {sc:8.2f} {oc:8.2f} {sc / max(oc, 0.001):7.1f}x", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("users", 200), ("mailboxes", 8), ("messages", 10), ("runs", 5)):
        p.add_argument(f"--{name}", type=int, default=value)
    p.add_argument("--client", default=str(TOP / "sync_client"))
    a = p.parse_args()
    os.environ["FANSYNC_CLIENT"] = str(Path(a.client).resolve())
    with make_pair(replicas=("east", "west")) as pair:
        users = fill(pair.master, users=a.users, mailboxes=a.mailboxes, messages=a.messages, seed=1)
        print(f"{a.users} users x {a.mailboxes} mailboxes x {a.messages} messages, master and replicas on one machine\n")
        bench = Bench(pair, a.runs)
        bench.both("first sync", repeat=False)
        bench.both("nothing changed")
        rng = random.Random(2)
        bench.both("after 100 changes", before=lambda: random_edits(
            pair.master, rng, users, 100, kinds={"append", "flag", "copy", "expunge"}))
        with Proxy(bench.replicas[0], delay_ms=10) as east, Proxy(bench.replicas[1], delay_ms=10) as west:
            far = [{**bench.login, **x.conf} for x in (east, west)]
            bench.both("nothing changed, 20 ms away", repeat=False, conf=far)
            bench.both("after 100 changes, 20 ms away", repeat=False, conf=far, before=lambda: random_edits(
                pair.master, rng, users, 100, kinds={"append", "flag", "copy", "expunge"}))


if __name__ == "__main__":
    main()
