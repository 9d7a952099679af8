"""Random split brains on real servers: both sides are edited at random, then one pass makes them equal.

The model of tests/unit/sync runs thousands of such histories; these show that the real servers agree.
"""
import random

import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.dump import dump
from lab.edits import random_edits
from lab.fill import fill
from lab.pair import make_pair
from lab.proxy import Proxy

KINDS = {"append", "flag", "unflag", "copy", "move", "expunge", "annotate_message"}
ROUNDS = 6


def contents(server):
    """What is live: mailbox -> multiset of GUIDs."""
    found = dump(server)
    return {name: sorted(found.records[name][uid]["GUID"] for uid in found.live(name)) for name in found.records}


@pytest.mark.slow
@pytest.mark.parametrize("conversations", ["no", "yes"])
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_edited_at_random_become_equal(seed, conversations):
    services = ("imap", "lmtp", "sync", "sieve", "syncunix")
    with make_pair(conf={"conversations": conversations}, services=services) as pair:
        if seed % 2:  # else the client starts the server itself
            pair.master.set_conf(sync_copyback_host=pair.master.sync_socket)
        users = fill(pair.master, users=4, mailboxes=2, messages=6, seed=seed)
        ours(pair.master, "-A")
        for round_ in range(ROUNDS):
            for side, server in enumerate(pair.servers):
                rng = random.Random(1000 * seed + 10 * round_ + side)
                random_edits(server, rng, users, 12, kinds=KINDS)
            before = [contents(server) for server in pair.servers]
            # With conversations one mailbox's mending may touch the thread of another that is done already.
            for _ in range(2):
                run = ours(pair.master, "-A")
            assert pair.differences(history=False) == [], f"round {round_}"
            after = contents(pair.master)
            for name in after:
                known = set(before[0].get(name, [])) | set(before[1].get(name, []))
                assert set(after[name]) <= known, "a message that neither side had"
            assert run.log_lines("conflicts=<[1-9]") == []
        with Proxy(pair.replica) as proxy:
            ours(pair.master, "-A", conf=proxy.conf)
            assert proxy.applied() == []
        if conversations == "no":  # stock would raise the master's XCONVMODSEQ to the replica's
            assert stock_has_nothing_to_send(pair.master) == []
