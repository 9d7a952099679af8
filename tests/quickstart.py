"""What ./quickstart shows: a real master and two replicas, runs of our client with a table, then
rolling mode towards both, and both sides changed at once."""
import json
import random
import sys
import time

from lab.clients import ours, start_ours, stock_has_nothing_to_send
from lab.edits import random_edits
from lab.fill import fill
from lab.pair import make_pair

KINDS = {"append", "flag", "unflag", "copy", "expunge", "create", "acl", "subscribe", "unsubscribe", "quota",
         "annotate_mailbox", "annotate_message"}


def counters(run):
    """The client's own closing line as a dictionary."""
    line = run.log_lines("sync_client done: ")[-1].text
    fields = dict(word.split("=") for word in line.split("done: ")[1].split())
    return {k: v.strip("<>") for k, v in fields.items()}


def replicate(pair, title):
    print(f"== {title}: sync_client -A -v")
    run = ours(pair.master, "-A", "-v")
    lines = run.out.splitlines()
    print("\n".join("   " + x for x in lines[:8]))
    if len(lines) > 8:
        print(f"   … and {len(lines) - 8} lines more")
    c = counters(run)
    different = pair.differences()
    left = stock_has_nothing_to_send(pair.master)
    return {"run": title, "users": c["users"], "mailboxes": c["mailboxes"], "sent": c["sent"],
            "messages": c["messages"], "bytes": c["bytes_out"], "round trips": c["round_trips"],
            "seconds": c["seconds"], "replica equals master": "yes" if not different and not left else "no"}, different


def show(rows):
    heads = list(rows[0])
    widths = [max(len(h), *(len(str(r[h])) for r in rows)) for h in heads]
    for cells in (heads, ["-" * w for w in widths], *([str(r[h]) for h in heads] for r in rows)):
        print("   " + "  ".join(c.ljust(w) for c, w in zip(cells, widths)).rstrip())


def wait_until_settled(master):
    for _ in range(600):
        run = ours(master, "-n", "east", "--status", "--json", check=False)
        told = json.loads(run.out) if run.status in (0, 2) else None # 2: something needs an operator
        if told and all(c["queued"] + c["sending"] + c["retrying"] == 0 for c in told["channels"]) and \
                all(log["unconfirmed_bytes"] == 0 for log in told["logs"]):
            return
        time.sleep(0.1)


def roll():
    """Two channels of one process follow the log while users work; then a split brain."""
    print("\n== rolling mode: one process, two replicas: sync_client -R -n east,west")
    with make_pair(replicas=("east", "west")) as pair:
        pair.master.set_conf(sync_repeat_interval=0)
        with start_ours(pair.master, "-R", "-n", "east,west") as client:
            users = fill(pair.master, users=4, mailboxes=3, messages=10, seed=3)
            time.sleep(0.5)
            wait_until_settled(pair.master)
            with pair.replicas["east"].imap(users[0]) as there, pair.master.imap(users[0]) as here:
                here.append("INBOX", b"Subject: here\r\n\r\nadded on the master\r\n")
                there.append("INBOX", b"Subject: there\r\n\r\nadded on the replica at the same time\r\n")
            time.sleep(0.5)
            wait_until_settled(pair.master)
            print("   sync_client --status:")
            print("\n".join("   " + x for x in ours(pair.master, "-n", "east", "--status").out.splitlines()))
        different = pair.differences(history=False)
        for line in different[:20]:
            print("   difference:", line)
        print(f"   both replicas equal the master, a message added on each side included: {'no' if different else 'yes'}")
    return not different


def main():
    begun = time.monotonic()
    print("== starting a Cyrus master and a replica on loopback")
    with make_pair() as pair:
        users = fill(pair.master, users=6, mailboxes=5, messages=14, seed=2)
        first, bad1 = replicate(pair, "first run")
        random_edits(pair.master, random.Random(1), users, 60, kinds=KINDS)
        second, bad2 = replicate(pair, "after 60 changes")
        third, bad3 = replicate(pair, "nothing changed")
        print()
        show([first, second, third])
        different = bad1 + bad2 + bad3
        for line in different[:20]:
            print("   difference:", line)
        equal = all(r["replica equals master"] == "yes" for r in (first, second, third))
    equal = roll() and equal
    print(f"\nreplica equals master: {'yes' if equal else 'no'}"
          f" ({time.monotonic() - begun:.0f} s, everything stopped and removed)")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
