"""The end of rolling mode, and every failed beginning, while records arrive.

Records are written at full speed by the rules of Cyrus's writers. Whatever ends, nothing that is
being taken down may take one of them; a sanitizer would end the process with a status of its own.
"""
import fcntl
import os
import signal
import threading
from contextlib import contextmanager

import pytest
from test_rolling import append, count, eventually, settled, users  # noqa: F401

from lab.clients import ours, start_ours

TURNS = 8


def append_record(log, record):
    """False if the log was moved aside meanwhile."""
    fd = os.open(log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        if not os.path.exists(log) or os.fstat(fd).st_ino != os.stat(log).st_ino:
            return False
        os.write(fd, record)
        return True
    except FileNotFoundError:
        return False
    finally:
        os.close(fd)


@contextmanager
def records_flow(master, channel=None):
    """A writer at work until the end of the block; its object has the number of records."""
    log = master.sync_log(channel)
    log.parent.mkdir(exist_ok=True)
    log.touch()
    log.chmod(0o666)
    master.own(log.parent, log)
    end = threading.Event()
    written = []

    def write():
        while not end.is_set():
            written.append(append_record(log, b"MAILBOX user.a\n"))

    def more():
        before = len(written)
        eventually(lambda: len(written) > before + 20, what="more records")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield more
    finally:
        end.set()
        thread.join()


def ready(master):
    """Signals are caught and the log is followed."""
    eventually(lambda: ours(master, "--status", check=False).status == 0, what="an answer")


def test_hup_while_records_flow_again_and_again(users):  # noqa: F811
    with start_ours(users.master, "-R") as client:
        ready(users.master)
        with records_flow(users.master) as more:
            for turn in range(1, TURNS + 1):
                more()
                client.signal(signal.SIGHUP)
                client.wait_log("the configuration has been read again", count=turn)
                more()
        append(users, "a")
        eventually(lambda: settled(users)() and count(users.replica, "a") == 1)
        assert client.alive()
    assert client.status == 75


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_ends_it_while_records_flow(users, number):  # noqa: F811
    with records_flow(users.master) as more:
        for _ in range(TURNS):
            with start_ours(users.master, "-R") as client:
                ready(users.master)
                more()
                client.signal(number)
                assert client.finish().status == 75
    ours(users.master, "-R", "-1")
    assert users.differences() == []


def test_a_replica_that_cannot_be_reached_with_o_while_records_flow(users):  # noqa: F811
    with records_flow(users.master) as more:
        for _ in range(TURNS):
            more()
            run = ours(users.master, "-o", "-R", conf={"sync_port": 1}, check=False)
            assert run.status == 1 and "AddressSanitizer" not in run.err, run.report()


@pytest.mark.lab(conf={"sync_log_channels": "east west"})
def test_a_beginning_that_fails_half_way_while_records_flow(pair):
    """The second of two channels belongs to another process; the first one's log is full of records."""
    conf = {f"{c}_{k}": pair.master.conf[k] for c in ("east", "west") for k in ("sync_host", "sync_port")}
    with start_ours(pair.master, "-R", "-n", "west", conf=conf) as other:
        eventually(settled(pair, "west", **conf))
        with records_flow(pair.master, "east") as more:
            for _ in range(TURNS):
                more()
                run = ours(pair.master, "-R", "-n", "east,west", conf=conf, check=False)
                assert run.status == 1 and "sync-reader.lock" in run.err, run.report()
        assert other.alive()
        assert pair.master.sync_log("east").stat().st_size > 0


def test_a_shutdown_file_while_records_flow(users):  # noqa: F811
    file = users.master.outside / "conf/stop"
    with records_flow(users.master) as more:
        for _ in range(TURNS):
            with start_ours(users.master, "-R", "-F", file) as client:
                more()
                file.write_text("")
                assert client.finish().status == 0
