#!/usr/bin/python3
"""Rolling mode measured against real Cyrus servers on loopback, beside the stock client.

    bench/rolling.py latency [--seconds 60] [--rate 50]   append on the master to visible on the replica
    bench/rolling.py merging [--records 100000]           records in, actions and commands out, by delay
    bench/rolling.py fanout [--messages 300]              four replicas: a hub's log beside four channels' logs

The client is $FANSYNC_CLIENT, else ./sync_client. Needs Debian's packages of ./runtests; fanout also strace.
"""
import argparse
import fcntl
import json
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lab.clients import ours, start_ours, start_stock  # noqa: E402
from lab.pair import make_pair  # noqa: E402

MESSAGE = b"Subject: bench\r\n\r\n" + b"x" * 2000 + b"\r\n"


def ms(seconds):
    return f"{seconds * 1000:8.1f}"


def spread(name, times):
    times = sorted(times)
    print(f"  {name:34s} median {ms(statistics.median(times))} ms   p99 {ms(times[int(len(times) * 0.99)])} ms   "
          f"max {ms(times[-1])} ms   of {len(times)}")


def told(master, *args):
    return json.loads(ours(master, *args, "--status", "--json").out)


def until_settled(master, *args, timeout=120):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        run = ours(master, *args, "--status", "--json", check=False)
        if run.status == 0:
            now = json.loads(run.out)
            if all(c["queued"] + c["sending"] + c["retrying"] == 0 for c in now["channels"]) and \
                    all(log["unconfirmed_bytes"] == 0 for log in now["logs"]):
                return now
        time.sleep(0.1)
    raise TimeoutError("not settled")


# --- latency -----------------------------------------------------------------------------------


def watch(replica, seen, stop):
    """Notes when each message is visible to a session that has the mailbox selected."""
    with replica.imap("fred") as c:
        c.command("SELECT", "INBOX")
        while not stop.is_set():
            for line in c.command("NOOP").untagged:
                words = line.split()
                if len(words) > 1 and words[1] == b"EXISTS":
                    now = time.monotonic()
                    for n in range(len(seen), int(words[0])):
                        seen.append(now)


def measure_latency(name, start, seconds, rate):
    with make_pair(conf={"sync_repeat_interval": 0}) as pair:
        with pair.master.imap() as admin:
            admin.create("user/fred")
        ours(pair.master, "-A")
        pair.master.sync_log().unlink(missing_ok=True)
        seen, stop, sent = [], threading.Event(), []
        with start(pair.master):
            time.sleep(1)
            watcher = threading.Thread(target=watch, args=(pair.replica, seen, stop))
            watcher.start()
            with pair.master.imap("fred") as c:
                begun = time.monotonic()
                for n in range(int(seconds * rate)):
                    time.sleep(max(0, begun + n / rate - time.monotonic()))
                    c.append("INBOX", MESSAGE)
                    sent.append(time.monotonic())
            deadline = time.monotonic() + 20
            while len(seen) < len(sent) and time.monotonic() < deadline:
                time.sleep(0.05)
            stop.set()
            watcher.join(20)
        spread(name, [max(0, there - here) for here, there in zip(sent, seen)])
        if len(seen) < len(sent):
            print(f"  {name}: {len(sent) - len(seen)} messages never came")


def latency(o):
    print(f"append on the master to visible by IMAP on the replica, {o.rate} a second for {o.seconds} s:")
    measure_latency("ours, -R (event-driven)", lambda m: start_ours(m, "-R"), o.seconds, o.rate)
    measure_latency("stock, -R, smallest delay (0.1 s)", lambda m: start_stock(m, "-R"), o.seconds, o.rate)


# --- merging -----------------------------------------------------------------------------------


def write_records(master, names, weights, total, seconds, rng):
    """As Cyrus's daemons do: open, lock, append."""
    path = master.sync_log()
    pieces, begun = 200, time.monotonic()
    for i in range(pieces):
        lines = "".join(f"MAILBOX {n}\n" for n in rng.choices(names, weights, k=total // pieces))
        with open(path, "a") as f:
            master.own(path)
            fcntl.lockf(f, fcntl.LOCK_EX)
            f.write(lines)
        time.sleep(max(0, begun + seconds * (i + 1) / pieces - time.monotonic()))


def merging(o):
    print(f"{o.records} records over {o.users} users, Zipf, written within {o.seconds:.0f} s:")
    print("  delay    records in    merged   actions out   commands out   seconds")
    with make_pair() as pair:
        users = [f"u{i}" for i in range(o.users)]
        with pair.master.imap() as admin:
            admin.pipeline([("CREATE", f"user/{u}") for u in users])
        ours(pair.master, "-A")
        names, weights = [f"user.{u}" for u in users], [1 / (i + 1) for i in range(o.users)]
        for delay in (0, 1, 3, 10):
            pair.master.sync_log().unlink(missing_ok=True)
            # Without the cache each action costs a question: nothing has changed, so that is all it costs.
            conf = {"sync_repeat_interval": delay, "sync_replica_cache": "no"}
            with start_ours(pair.master, "-R", conf=conf):
                until_settled(pair.master)
                before = told(pair.master)["channels"][0]["commands"]
                begun = time.monotonic()
                write_records(pair.master, names, weights, o.records, o.seconds, random.Random(1))
                c = until_settled(pair.master)["channels"][0]
            print(f"  {delay:3d} s {c['records']:12d} {c['merged']:10d} {c['confirmed']:12d} "
                  f"{c['commands'] - before:13d} {time.monotonic() - begun:10.1f}")


# --- fan-out -----------------------------------------------------------------------------------


def count_fsyncs(master, work):
    """fsync and fdatasync calls of the server's processes during work()."""
    file = master.outside / "strace"
    group = subprocess.run(["pgrep", "-g", str(master.process.pid)], capture_output=True, text=True).stdout.split()
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(file),
                               *(x for pid in group for x in ("-p", pid))], start_new_session=True)
    time.sleep(0.5)
    work()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    return sum("sync(" in line for line in file.read_text().splitlines())


def appends(master, n):
    def work():
        with master.imap("fred") as c:
            for _ in range(n):
                c.append("INBOX", MESSAGE)
    return work


def fanout(o):
    replicas = ("r1", "r2", "r3", "r4")
    print(f"{o.messages} messages appended, four replicas:")
    for kind in ("four channels", "a hub"):
        hub = {"hub_sync_fanout": " ".join(replicas)} if kind == "a hub" else {}
        with make_pair(replicas=replicas, master_conf={"sync_repeat_interval": 0, **hub}) as pair:
            pair.master.set_conf(sync_log_channels="hub" if hub else " ".join(replicas))
            pair.master.restart()
            away = pair.replicas["r4"]
            away.stop()
            names = "hub" if hub else ",".join(replicas)
            with start_ours(pair.master, "-R", "-n", names, conf={"sync_reconnect_maxwait": 1}):
                with pair.master.imap() as admin:
                    admin.create("user/fred")
                begun = time.monotonic()
                fsyncs = count_fsyncs(pair.master, appends(pair.master, o.messages))
                took = time.monotonic() - begun
                lag = {c["channel"]: c["lag_seconds"] for c in told(pair.master, "-n", "r1")["channels"]}
                away.start()
                until_settled(pair.master, "-n", "r1")
            print(f"  {kind:14s} fsyncs of the writers {fsyncs:6d} ({fsyncs / o.messages:.1f} a message), {took:.1f} s; "
                  f"lag of the three that are there {max(lag[r] for r in replicas[:3]):.2f} s, of the one that is away "
                  f"{lag['r4']:.1f} s; differences afterwards: {len(pair.differences())}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("latency", "merging", "fanout"))
    p.add_argument("--seconds", type=float, default=None)
    p.add_argument("--rate", type=int, default=50)
    p.add_argument("--records", type=int, default=100000)
    p.add_argument("--users", type=int, default=200)
    p.add_argument("--messages", type=int, default=300)
    o = p.parse_args()
    if o.seconds is None:
        o.seconds = 60 if o.what == "latency" else 20
    {"latency": latency, "merging": merging, "fanout": fanout}[o.what](o)


if __name__ == "__main__":
    main()
