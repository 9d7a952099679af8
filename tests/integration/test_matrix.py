"""Our client between every two versions of Cyrus.

The versions other than this system's run in chroots (tests/make-chroot). Each of them is tested as
master and as replica of this system's; `./runtests --matrix` makes the chroots that are missing and
runs all pairs.
"""
import random
import re
import struct
from contextlib import ExitStack

import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.cyrus import SUITES, SYSTEM, cache, installs
from lab.edits import KINDS, random_edits
from lab.fill import fill
from lab.pair import make_pair
from lab.proxy import Proxy

VERSIONS = sorted([SYSTEM.name, *SUITES.values()], key=lambda v: tuple(map(int, v.split("."))))
ANNOTATIONS = {"annotate_mailbox", "annotate_message"}


def pairs():
    for master in VERSIONS:
        for replica in VERSIONS:
            plain = (master == SYSTEM.name) != (replica == SYSTEM.name)
            yield pytest.param(master, replica, id=f"{master}-{replica}",
                               marks=[] if plain else pytest.mark.matrix)


def install(version):
    found = installs()
    if version not in found:
        pytest.skip(f"no Cyrus {version} in {cache()}: ./runtests --matrix makes its chroot "
                    "(root, debootstrap and Debian's mirror are needed)")
    return found[version]


@pytest.fixture
def between(request):
    """Makes a pair of two versions, which lives until the end of the test."""
    with ExitStack() as stack:
        def make(master, replica, **conf):
            request.node.lab_pair = stack.enter_context(
                make_pair(conf=conf, install=install(master), replica_install=install(replica)))
            return request.node.lab_pair
        yield make


def has_sieve_mailboxes(server):
    return server.install.version >= (3, 6)


def assert_same(pair):
    # Before 3.6 there are no #sieve mailboxes: the scripts themselves are replicated and compared.
    both = all(map(has_sieve_mailboxes, pair.servers))
    assert pair.differences(sieve_mailboxes=both, also=("CREATEDMODSEQ", "QUOTAROOT", "PARTITION")) == []


def assert_stock_agrees(pair):
    left = stock_has_nothing_to_send(pair.master)
    if not has_sieve_mailboxes(pair.master) and has_sieve_mailboxes(pair.replica):
        # 3.2 takes every name that it is told and did not ask for as deleted, intermediates too, which
        # only newer replicas tell of.
        with pair.replica.csync() as session:
            names = [line.split()[-1] for line in left if line.startswith("APPLY UNMAILBOX ")]
            real = {box["MBOXNAME"] for box in session.get("MAILBOXES", names or ["-"]).of("MAILBOX")}
        left = [line for line in left if not line.startswith("APPLY UNMAILBOX ") or line.split()[-1] in real]
    if has_sieve_mailboxes(pair.master) and not has_sieve_mailboxes(pair.replica):
        # Later clients know no compiled form of a script that is not active, and delete the replica's.
        left = [line for line in left if not re.match(r"APPLY UNSIEVE %\(.*\.bc\"?\)$", line)]
    assert left == []


def assert_nothing_left(pair):
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-A", conf=proxy.conf)
        assert proxy.applied() == []
        assert proxy.count["GET FULLMAILBOX"] == 0


def edit_and_replicate(pair, seed, users, kinds, count=120):
    random_edits(pair.master, random.Random(seed), users, count, kinds=kinds)
    run = ours(pair.master, "-A")
    assert run.log_lines("SYNCERROR|IOERROR|CRC failure") == []
    for server in pair.servers:
        assert [str(x) for x in server.log_lines("Fatal|assert|IOERROR")] == []
    assert_same(pair)


@pytest.mark.parametrize("master, replica", pairs())
def test_pair(master, replica, between):
    pair = between(master, replica, conversations="yes")
    users = fill(pair.master, users=10, mailboxes=3, messages=5, seed=31)
    assert ours(pair.master, "-A").log_lines("SYNCERROR|IOERROR") == []
    assert_same(pair)
    assert_nothing_left(pair)
    edit_and_replicate(pair, 32, users, KINDS.keys() - ANNOTATIONS)
    assert_stock_agrees(pair)
    edit_and_replicate(pair, 33, users, KINDS)
    # Debian's later clients cannot read the literals {n+} in answers of 3.2, which annotations
    # need; ours can.
    if has_sieve_mailboxes(pair.replica) or not has_sieve_mailboxes(pair.master):
        assert_stock_agrees(pair)
    assert_same(pair)
    assert_nothing_left(pair)


def index_version(server, name):
    return struct.unpack_from(">I", (server.mailbox_folder(name) / "cyrus.index").read_bytes(), 8)[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_the_index_that_a_server_can_write(version, between):
    """What we read is what the master's own server says: every field that is compared at all, and
    those that only a new mailbox gets."""
    newest = {"3.2.6": 16, "3.6.1": 17}.get(version, 19)
    pair = between(version, version, conversations="yes", reverseacls="yes", conversations_max_thread="2")
    users = fill(pair.master, users=10, mailboxes=2, messages=6, seed=41)
    with pair.master.imap(users[-1]) as user:  # a thread that is split gives annotations of its own
        user.append("INBOX", *[b"Subject: Re: x\r\nMessage-ID: <%d@x>\r\nReferences: <0@x>\r\n\r\n%d\r\n" % (n, n)
                               for n in range(5)])
    random_edits(pair.master, random.Random(42), users, 80)
    for number, user in zip([12, *range(15, newest + 1)], users):
        name = "user." + user.replace(".", "^")
        pair.master.run("reconstruct", "-V", str(number), f"user/{user}")
        assert index_version(pair.master, name) == number
    ours(pair.master, "-A")
    assert pair.differences(also=("CREATEDMODSEQ", "QUOTAROOT", "PARTITION", "LAST_APPENDDATE", "RACLMODSEQ")) == []
    assert stock_has_nothing_to_send(pair.master) == []
    assert_nothing_left(pair)


@pytest.mark.parametrize("master, replica", [
    pytest.param("3.6.1", "3.2.6", id="to-files"), pytest.param("3.2.6", "3.6.1", id="from-files"),
    pytest.param("3.2.6", "3.2.6", id="both-files")])
def test_sieve_scripts_without_mailboxes(master, replica, between):
    pair = between(master, replica)
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.sieve("fred") as s:
        s.put("one", "keep;\r\n")
        s.put("two words", 'require "fileinto";\r\nfileinto "Grüße";\r\n')
        s.activate("one")
    assert sieve_commands(pair) == ["SIEVE one.script", "SIEVE two words.script", "ACTIVATE_SIEVE one.bc"]
    with pair.master.sieve("fred") as s:
        s.activate("two words")
        s.put("one", "stop;\r\n")
    assert sieve_commands(pair) == ["SIEVE one.script", "ACTIVATE_SIEVE two words.bc"]
    with pair.master.sieve("fred") as s:
        s.activate("")
        s.delete("two words")
    first, *others = sieve_commands(pair, "-s", "fred")
    assert first == "UNACTIVATE_SIEVE"
    assert "UNSIEVE two words.script" in others and all("UNSIEVE two words" in x for x in others)
    assert sieve_commands(pair) == []


def test_a_record_of_a_sieve_mailbox_is_one_of_its_owners_scripts(between):
    """In rolling mode, towards a replica that takes no #sieve mailbox."""
    pair = between(SYSTEM.name, "3.2.6")
    with pair.master.imap() as admin:
        admin.create("user/fred")
    ours(pair.master, "-A")
    pair.master.sync_log().write_bytes(b"")
    with pair.master.sieve("fred") as s:
        s.put("one", "keep;")
        s.activate("one")
    assert b"#sieve" in pair.master.sync_log().read_bytes()
    run = ours(pair.master, "-R", "-1", "-v")
    assert "SIEVE fred one.script" in run.out
    assert pair.differences(sieve_mailboxes=False) == []


def sieve_commands(pair, *args):
    run = ours(pair.master, *(args or ["-u", "fred"]), "-v")
    lines = [line.replace(" fred", "", 1) for line in run.out.splitlines() if "SIEVE" in line and "ENABLE" not in line]
    assert pair.differences(sieve_mailboxes=False) == []
    return lines


def test_a_name_without_a_mailbox_stays_one(between):
    """A master of 3.2 has intermediate mailboxes; they come, become real, and go again."""
    pair = between("3.2.6", SYSTEM.name)
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as fred:
        steps = [lambda: fred.create("INBOX/deep/er/x"), lambda: fred.create("INBOX/deep"),
                 lambda: fred.delete("INBOX/deep"), lambda: fred.delete("INBOX/deep/er/x"),
                 lambda: fred.create("INBOX/deep")]
        kinds = [{"deep": "ei", "deep.er": "ei", "deep.er.x": None}, {"deep": None, "deep.er": "ei", "deep.er.x": None},
                 {"deep": "ei", "deep.er": "ei", "deep.er.x": None}, {}, {"deep": None}]
        for step, wanted in zip(steps, kinds):
            step()
            ours(pair.master, "-u", "fred")
            with pair.replica.csync() as session:
                found = {box["MBOXNAME"].removeprefix("user.fred."): box.get("MBOXTYPE")
                         for box in session.get("USER", "fred").of("MAILBOX")
                         if box["MBOXNAME"].startswith("user.fred.")}
            assert found == wanted
            assert pair.differences() == []
            assert_nothing_left(pair)


@pytest.mark.parametrize("master, replica", [
    *[pytest.param(v, v, id=v) for v in VERSIONS], pytest.param("3.2.6", "3.12.4", id="3.2.6-3.12.4")])
def test_mailboxes_that_are_deleted_at_once(master, replica, between):
    """Each version leaves something else behind in its list of mailboxes."""
    pair = between(master, replica, delete_mode="immediate")
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as fred:
        for name in ("gone", "renamed", "again", "parent", "parent/child"):
            fred.create("INBOX/" + name)
            if name != "again":
                fred.append("INBOX/" + name, b"Subject: x\r\n\r\nhello\r\n")
        ours(pair.master, "-A")
        fred.delete("INBOX/gone")
        fred.rename("INBOX/renamed", "INBOX/other")
        fred.delete("INBOX/other")
        fred.delete("INBOX/again")
        fred.create("INBOX/again")
        fred.command("DELETE", "INBOX/parent", ok=False)  # 3.6 and later refuse
        ours(pair.master, "-A")
        assert pair.differences() == []
        assert_nothing_left(pair)
        if not has_sieve_mailboxes(pair.master):
            fred.create("INBOX/parent")
            ours(pair.master, "-A")
            assert pair.differences() == []
