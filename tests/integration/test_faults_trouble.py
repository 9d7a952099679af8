"""Faults of the replica or of this host are charged to no record: the channel waits for a short while, and what
waited goes on as soon as anything succeeds. A record that fails alone is deferred alone."""
import os
import subprocess

import pytest
from test_rolling import append, count, retrying, status, users  # noqa: F401

from lab.clients import ours, start_ours
from lab.cyrus import start_all
from lab.pair import make_pair
from lab.proxy import Proxy
from lab.waiting import eventually, is_settled

CONF = {"sync_repeat_interval": 0}
WAITS = "nothing can be carried out: waiting for"


def channel(pair):
    return status(pair)["channels"][0]


def assert_nothing_is_charged(pair):
    told = channel(pair)
    assert told["failed"] == 0
    assert [r["record"] for r in told["retries"] if r["tries"]] == []


@pytest.mark.parametrize("answer", ["NO IMAP_IOERROR System I/O error", "NO IMAP_QUOTA_EXCEEDED Over quota",
                                    "NO IMAP_SYS_ERROR System Error", "NO System I/O error", "NO Unknown error"])
def test_a_replica_that_can_take_nothing_is_waited_for_and_no_record_pays(users, answer):  # noqa: F811
    with Proxy(users.replica) as proxy, start_ours(users.master, "-R", conf={**proxy.conf, **CONF}) as client:
        eventually(lambda: is_settled(users.master))
        proxy.every("APPLY MAILBOX", answer)
        with open(users.master.sync_log(), "a") as log: # in one piece: all three are met in one batch
            for name in "abc":
                with users.master.imap(name) as c:
                    c.create("INBOX/new")
            log.write("".join(f"MAILBOX user.{name}.new\n" for name in "abc"))
        client.wait_log(WAITS, count=3)
        assert channel(users)["retrying"] + channel(users)["queued"] + channel(users)["sending"] > 0
        if "Unknown" not in answer: # the first one that fails without a reason may be at fault himself
            assert_nothing_is_charged(users)
        proxy.heal()
        eventually(lambda: is_settled(users.master))
        client.wait_log("what kept all records from being carried out is over")
    assert users.differences() == []


def fill_up(folder):
    """Makes its file system full; the file that does it."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as f:
        size = 1 << 16
        while size:
            try:
                f.write(b"x" * size)
            except OSError:
                size //= 4
    return filler


@pytest.fixture
def small_disk():
    """A pair whose replica has its mail on a file system of 4 MB of its own; (pair, its folder)."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with make_pair(start=False) as pair:
        folder = pair.replica.outside / "spool"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "none", folder], check=True)
        try:
            pair.replica.own(folder)
            start_all(pair.master, pair.replica)
            with pair.master.imap() as admin:
                for name in "abcdef":
                    admin.create(f"user/{name}")
            ours(pair.master, "-A")
            pair.master.sync_log().write_bytes(b"")
            yield pair, folder
        finally:
            pair.replica.stop(gently=False)
            subprocess.run(["umount", folder], check=True)


def test_a_full_disk_of_the_replica_delays_nothing_for_longer_than_it_is_full(small_disk):
    pair, folder = small_disk
    with start_ours(pair.master, "-R", conf=CONF) as client:
        eventually(lambda: is_settled(pair.master))
        filler = fill_up(folder)
        for name in "abcdef":
            with pair.master.imap(name) as c:
                c.append("INBOX", b"Subject: large\r\n\r\n" + b"x" * 20000)
        client.wait_log(WAITS, count=2)
        filler.unlink()
        eventually(lambda: is_settled(pair.master), timeout=120)
        late = client.log_lines(WAITS)[-1].text
        assert int(late.split(WAITS)[1].split()[0]) <= 60
    assert pair.differences() == []


def test_one_mailbox_that_the_replica_cannot_write_is_deferred_alone(users):  # noqa: F811
    with Proxy(users.replica) as proxy, start_ours(users.master, "-R", conf={**proxy.conf, **CONF}) as client:
        eventually(lambda: is_settled(users.master))
        proxy.every("APPLY MAILBOX", "NO IMAP_IOERROR System I/O error", naming="user.a")
        append(users, "a")
        eventually(lambda: retrying(users) == 1)
        for n in range(1, 4):
            append(users, "b")
            eventually(lambda: count(users.replica, "b") == n)
            append(users, "c")
            eventually(lambda: count(users.replica, "c") == n)
        assert client.log_lines(WAITS) == []
        assert [r["record"] for r in channel(users)["retries"]] == ["MAILBOX user.a"]
        proxy.heal()
        eventually(lambda: is_settled(users.master), timeout=120)
    assert users.differences() == []


def test_a_replica_that_says_bye_in_a_batch_costs_no_try(users):  # noqa: F811
    with Proxy(users.replica) as proxy, start_ours(users.master, "-R", conf={**proxy.conf, **CONF}) as client:
        eventually(lambda: is_settled(users.master))
        proxy.every("APPLY MAILBOX", "BYE shutting down")
        append(users, "a")
        client.wait_log("SYNCNOTICE: .*BYE shutting down", count=2)
        assert_nothing_is_charged(users)
        proxy.heal()
        eventually(lambda: is_settled(users.master))
    assert users.differences() == []
