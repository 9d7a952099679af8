"""The status in bad times: no descriptors, a process that hangs, clients that say nothing, many channels."""
import itertools
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from test_rolling import append, count, eventually, settled, users  # noqa: F401
from test_faults_teardown import ready

from lab.clients import ours, start_ours


def take_descriptors(client):
    """From now on the process can open nothing more: all numbers below the limit are in use."""
    used = set(map(int, os.listdir(f"/proc/{client.pid}/fd")))
    set_limit(client, next(n for n in itertools.count() if n not in used))


def set_limit(client, soft):
    """By its own user, who needs no privilege for that."""
    ids = dict(re.findall(r"(Uid|Gid):\s+(\d+)", Path(f"/proc/{client.pid}/status").read_text()))
    how = {"user": int(ids["Uid"]), "group": int(ids["Gid"]), "extra_groups": []} if os.getuid() == 0 else {}
    subprocess.run(["prlimit", f"--pid={client.pid}", f"--nofile={soft}:"], check=True, timeout=60, **how)


def give_descriptors(client):
    set_limit(client, 1024)


# With it another process of the same user may look at this one, and a sanitizer's report has a stack.
DEBUG = {"debug": "yes"}


def test_the_status_is_told_when_no_descriptor_is_left(users):  # noqa: F811
    with start_ours(users.master, "-R", conf=DEBUG) as client:
        ready(users.master)
        take_descriptors(client)
        for _ in range(3):
            assert "lag" in ours(users.master, "--status").out


def test_items_wait_when_no_descriptor_is_left_and_none_of_them_has_failed(users):  # noqa: F811
    with start_ours(users.master, "-R", conf=DEBUG) as client:
        append(users, "a")
        eventually(lambda: settled(users)() and count(users.replica, "a") == 1)
        take_descriptors(client)
        append(users, "a")
        eventually(lambda: "no descriptor is left" in ours(users.master, "--status").out, what="a pause")
        give_descriptors(client)
        eventually(lambda: settled(users)() and count(users.replica, "a") == 2)
        assert '"failed": 0' in ours(users.master, "--status", "--json").out
    assert users.differences() == []


def test_a_process_that_hangs_is_not_waited_for(users):  # noqa: F811
    with start_ours(users.master, "-R") as client:
        ready(users.master)
        client.signal(signal.SIGSTOP)
        try:
            run = ours(users.master, "--status", check=False)
        finally:
            client.signal(signal.SIGCONT)
        assert run.status == 1 and "does not answer" in run.err


def test_silent_clients_hold_up_nobody(users):  # noqa: F811
    with start_ours(users.master, "-R") as client:
        ready(users.master)
        folder = os.open(users.master.sync_log().parent, os.O_PATH)
        silent = []
        for _ in range(5):
            s = socket.socket(socket.AF_UNIX)
            s.connect(f"/proc/self/fd/{folder}/status.socket")
            silent.append(s)
        assert "lag" in ours(users.master, "--status").out
        client.signal(signal.SIGTERM)
        assert client.finish().status == 75
        for s in silent:
            s.close()
        os.close(folder)


CHANNELS = [f"c{i}" for i in range(70)]


@pytest.mark.lab(conf={"sync_log_channels": "hub"})
def test_a_hub_of_seventy_channels_tells_its_status(pair):
    conf = {"hub_sync_fanout": " ".join(CHANNELS)}
    for c in CHANNELS:
        conf |= {f"{c}_sync_host": "127.0.0.1", f"{c}_sync_port": 1}
    with start_ours(pair.master, "-R", "-n", "hub", conf=conf):
        eventually(lambda: ours(pair.master, "--status", "-n", "hub", conf=conf, check=False).status == 0)
        out = ours(pair.master, "--status", "-n", "c69", conf=conf).out
    assert all(f"{c} ->" in out for c in CHANNELS)
