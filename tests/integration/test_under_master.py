"""Under a real Cyrus master: sections START and DAEMON, writers at full speed, and being killed.

The numbers are the conformance statements of the operator's specification.
"""
import os
import random
import signal
import threading
import time
from contextlib import contextmanager

import pytest
from test_rolling import append, count, eventually, settled, status

from lab.clients import our_client, start_ours, stock_has_nothing_to_send
from lab.cyrus import Cyrus
from lab.edits import random_edits
from lab.pair import make_pair


def process_of(master):
    """The process that follows the log, or None."""
    try:
        pid = int((master.sync_log().parent / ".sync-reader.lock").read_text())
        return pid if os.path.exists(f"/proc/{pid}") else None
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def under_master(section, arguments):
    """A running pair whose master process starts our client."""
    line = {section: f'  fansync cmd="{our_client()} @C {arguments}"'}
    replica = Cyrus("replica").start()
    try:
        master = Cyrus("master", **line)
        try:
            master.replicate_to(replica.address, replica.sync_port)
            master.start()
            yield master, replica
        finally:
            master.remove()
    finally:
        replica.remove()


def test_96_in_start_it_does_not_delay_the_master_and_ends_with_it():
    """The master waits for the end of each entry before it starts a service."""
    with under_master("start", "-r") as (master, replica):
        with master.imap() as admin:
            admin.create("user/a")
        eventually(lambda: count(replica, "a") == 0)
        pid = process_of(master)
        assert pid
        master.stop()
        eventually(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.parametrize("option", ["-r", "-R"])
def test_97_as_a_daemon_it_stays_and_is_started_again_when_it_ends(option):
    with under_master("daemons", option) as (master, replica):
        with master.imap() as admin:
            admin.create("user/a")
        eventually(lambda: count(replica, "a") == 0)
        pid = process_of(master)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: process_of(master) not in (None, pid))
        with master.imap("a") as c:
            c.append("INBOX", b"Subject: x\r\n\r\nhello\r\n")
        eventually(lambda: count(replica, "a") == 1)
        assert master.log_lines("graceful shutdown")


# --- writers at full speed ---------------------------------------------------------------------

WRITERS = 12
KILLS = int(os.environ.get("FANSYNC_KILLS", "20"))


class Writers:
    """Threads that deliver by LMTP and edit by IMAP until they are stopped."""

    def __init__(self, master, users):
        self.master, self.users, self.faults = master, users, []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(WRITERS)]

    def run(self, seed):
        rng = random.Random(seed)
        try:
            (self.deliver if seed % 2 else self.edit)(rng)
        except Exception as e:  # noqa: BLE001 - told by the test
            self.faults.append(e)

    def deliver(self, rng):
        with self.master.lmtp() as lmtp:
            while not self.stopped.is_set():
                lmtp.deliver(b"Subject: x\r\n\r\n%s\r\n" % rng.randbytes(200).hex().encode(), rng.choice(self.users))

    def edit(self, rng):
        kinds = {"append", "flag", "unflag", "copy", "expunge"}
        while not self.stopped.is_set():
            random_edits(self.master, rng, self.users, 10, kinds=kinds)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for t in self.threads:
            t.join(60)


@pytest.fixture
def busy():
    """A master with two replicas on channels and a third channel that nobody reads."""
    with make_pair(replicas=("east", "west"), master_conf={"east_sync_repeat_interval": 0,
                                                           "west_sync_repeat_interval": 1}) as pair:
        pair.master.set_conf(sync_log_channels="east west control")
        pair.master.restart()
        users = [f"user{i}" for i in range(12)]
        with pair.master.imap() as admin:
            for user in users:
                admin.create(f"user/{user}")
                admin.create(f"user/{user}/Sub")
        yield pair, users


def assert_in_step(pair):
    assert pair.differences() == []
    for channel in ("east", "west"):
        assert stock_has_nothing_to_send(pair.master, channel=channel) == []
    assert pair.master.log_lines("Failed to lock|IOERROR") == []


@pytest.mark.slow
def test_57_58_twelve_writers_two_channels_and_every_record_is_read(busy):
    """Started by the master process from its section DAEMON."""
    pair, users = busy
    pair.master.set_daemons(f'  fansync cmd="{our_client()} @C -r -n east,west"')
    pair.master.restart()
    control = pair.master.sync_log("control")
    with Writers(pair.master, users) as writers:
        eventually(lambda: writers.faults or (control.exists() and control.read_bytes().count(b"\n") > 1000),
                   timeout=600, what="a thousand records")
    assert writers.faults == []
    eventually(settled(pair, "east"), timeout=60)
    told = status(pair, "-n", "east")
    read = {log["folder"].rstrip("/").rpartition("/")[2]: log["records"] for log in told["logs"]}
    for channel in told["channels"]:  # records that waited while their log was moved aside come again
        read[channel["channel"]] -= channel["spilled"]
    written = control.read_bytes().count(b"\n")
    assert read == {"east": written, "west": written}
    assert_in_step(pair)


@pytest.mark.slow
def test_59_killed_while_twelve_writers_write_nothing_is_lost(busy):
    pair, users = busy
    with Writers(pair.master, users) as writers:
        for i in range(KILLS):
            client = start_ours(pair.master, "-R", "-n", "east,west")
            time.sleep(0.05 + 0.02 * (i % 10))
            client.kill()
    assert writers.faults == []
    with start_ours(pair.master, "-R", "-n", "east,west"):
        eventually(settled(pair, "east"), timeout=60)
    assert_in_step(pair)
