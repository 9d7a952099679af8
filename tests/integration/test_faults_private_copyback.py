"""Copyback without configuration: the client starts the master's own sync_server as its child.

That server speaks with nobody else, ends with the session that needed it, and never outlives the client.
"""
import os
from functools import partial
from pathlib import Path

import pytest

from lab.clients import ours, start_ours, stock_has_nothing_to_send
from lab.cyrus import installs
from lab.fill import plain_message as message
from lab.fill import user_with_mail
from lab.pair import make_pair
from lab.proxy import HOLD, Proxy
from lab.waiting import eventually

soon = partial(eventually, timeout=20)  # before a server that waits for nobody would end by itself


@pytest.fixture
def fred(pair):
    user_with_mail(pair.master, "fred", *[message(str(i)) for i in range(4)])
    ours(pair.master, "-A")
    return pair


def split(pair, text="theirs"):
    with pair.replica.imap("fred") as there:
        there.append("INBOX", message(text))


def uids(server):
    with server.imap("fred") as c:
        return c.uids("INBOX")


def children(pid):
    """The process ids of pid's children, of all of its threads."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def is_gone(pid):
    """An ended process may stay a zombie until somebody else's parent looks."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def leftovers(master):
    return list((master.outside / "run/tmp").glob("fansync*"))


def test_a_split_mailbox_is_mended_without_any_configuration(fred):
    split(fred)
    run = ours(fred.master, "-A")
    assert run.log_lines("copybacks=<1> conflicts=<0>")
    assert fred.differences(history=False) == []
    assert stock_has_nothing_to_send(fred.master) == []
    assert uids(fred.master) == [1, 2, 3, 4, 5]
    assert leftovers(fred.master) == []
    assert fred.master.log_lines("IOERROR|SYNCERROR|notify_master|lock") == []


@pytest.mark.parametrize("version", list(installs()))
def test_every_version_serves_as_a_private_server(version):
    with make_pair(install=installs()[version]) as pair:
        with pair.master.imap() as admin:
            admin.create("user/fred")
        ours(pair.master, "-A")
        for server in pair.servers:
            with server.imap("fred") as c:
                c.append("INBOX", message(f"on {server.name}"))
        ours(pair.master, "-A")
        assert pair.differences(history=False) == []
        assert stock_has_nothing_to_send(pair.master) == []
        assert len(uids(pair.master)) == 2


def test_the_server_is_started_only_when_it_is_needed(fred):
    with fred.master.imap("fred") as c:
        c.append("INBOX", message("ours"))
    run = ours(fred.master, "-A", conf={"cyrus_bindir": "/nonexistent"})
    assert run.log_lines("cyrus_bindir") == []
    assert fred.differences() == []


@pytest.mark.parametrize("bindir, says", [("/nonexistent", r"no sync_server is found to be started \(cyrus_bindir\)"),
                                          (None, r"the master's own sync_server cannot be used for copyback: .*said this")])
def test_a_server_that_cannot_be_had_is_told_with_the_remedy(fred, bindir, says):
    if not bindir:
        bindir = fred.master.outside / "bin"
        bindir.mkdir()
        (bindir / "sync_server").write_text("#!/bin/sh\necho said this >&2\n")
        (bindir / "sync_server").chmod(0o755)
    split(fred)
    run = ours(fred.master, "-A", conf={"cyrus_bindir": bindir}, check=False)
    assert run.status == 1
    assert len(run.log_lines(says)) == 1
    assert run.log_lines("both sides have changed")
    assert uids(fred.master) == [1, 2, 3, 4] and uids(fred.replica) == [1, 2, 3, 4, 5]


def conflict(pair):
    """Copyback needs an expunge on the replica, at whose answer a client can be held."""
    with pair.master.imap("fred") as here, pair.replica.imap("fred") as there:
        here.append("INBOX", message("ours"))
        there.append("INBOX", message("theirs"))


def start_and_hold(pair, proxy, *args):
    """A client whose replica does not answer EXPUNGE, and the process of its private server."""
    proxy.on("APPLY EXPUNGE", HOLD)
    client = start_ours(pair.master, *args, conf=proxy.conf)
    soon(lambda: proxy.fired, what="EXPUNGE")
    (server,) = children(client.pid)
    return client, server


def test_nobody_else_can_reach_the_server_and_it_inherits_nothing(fred):
    conflict(fred)
    with Proxy(fred.replica) as proxy:
        client, server = start_and_hold(fred, proxy, "-A")
        with client:
            links = {int(fd.name): os.readlink(fd) for fd in Path(f"/proc/{server}/fd").iterdir()}
            assert "sync_server" in Path(f"/proc/{server}/cmdline").read_text()
            # Our own logs, stores and connections: nothing of it is open there.
            assert not [path for path in links.values() if "/sync/" in path or path.endswith("cyrus.index")]
            assert os.getpgid(server) == server
            assert leftovers(fred.master) == []  # the socket it listens on has no name any more
    soon(lambda: is_gone(server), what="the server's end")


def test_a_killed_client_takes_its_server_with_it(fred):
    conflict(fred)
    with Proxy(fred.replica) as proxy:
        client, server = start_and_hold(fred, proxy, "-A")
        client.signal(9)
        soon(lambda: is_gone(server), what="the server's end")
        client.kill()
    ours(fred.master, "-A")
    assert fred.differences(history=False) == []
    assert len(uids(fred.master)) == 6


def test_rolling_mode_ends_the_server_when_there_is_nothing_to_do(fred):
    conflict(fred)
    with start_ours(fred.master, "-R") as client:
        soon(lambda: fred.differences(history=False) == [], what="the replica's mending")
        soon(lambda: not children(client.pid), what="the end of the server that has nothing to do")
        assert client.alive()
        split(fred, "theirs again")
        with fred.master.imap("fred") as here:
            here.append("INBOX", message("ours again"))
        soon(lambda: len(uids(fred.master)) == 8 and fred.differences(history=False) == [],
             what="the mending of the second conflict")
    assert leftovers(fred.master) == []


@pytest.mark.lab(conf={"sync_connections": "3"})
def test_several_connections_have_a_server_each(pair):
    users = ["fred", "joe", "ann", "bob", "eve", "kim"]
    with pair.master.imap() as admin:
        for user in users:
            admin.create(f"user/{user}")
    ours(pair.master, "-A")
    for user in users:
        for server in pair.servers:
            with server.imap(user) as c:
                c.append("INBOX", message(f"{user} on {server.name}"))
    with start_ours(pair.master, "-R") as client:
        soon(lambda: pair.differences(history=False) == [], what="the mending of all")
        soon(lambda: not children(client.pid), what="the end of servers that have nothing to do")
    for user in users:
        with pair.master.imap(user) as c:
            assert len(c.uids("INBOX")) == 2


@pytest.mark.lab(replicas=("east", "west"))
@pytest.mark.parametrize("chain", ["no", "yes"])
def test_the_other_channels_hear_of_what_a_private_server_changed(pair, chain):
    pair.master.set_conf(synclocal_sync_log_chain=chain)
    with pair.master.imap() as admin:
        admin.create("user/fred")
    for channel in ("east", "west"):
        ours(pair.master, "-n", channel, "-A")
        pair.master.sync_log(channel).unlink()
    with pair.replicas["east"].imap("fred") as there:
        there.append("INBOX", message("theirs"))
    ours(pair.master, "-n", "east", "-A")
    assert "MAILBOX user.fred\n" in pair.master.sync_log("west").read_text()
    ours(pair.master, "-n", "west", "-R", "-1")
    assert pair.differences(history=False) == []
