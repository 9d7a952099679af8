"""What ./quickstart shows: a real master and replica, two runs of our client, a table."""
import random
import sys
import time

from lab.clients import ours, stock_has_nothing_to_send
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
    print(f"\nreplica equals master: {'yes' if equal else 'no'}"
          f" ({time.monotonic() - begun:.0f} s, everything stopped and removed)")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
