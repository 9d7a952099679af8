"""Users who get another name: what UNUSER of the old one takes away, and users who get the old one.

A replica finds a user's subscriptions and seen states by the uniqueid of his INBOX, and of a user
who is deleted it takes the uniqueid from a tombstone: after a rename that is the new user's. The
stock client leaves the renamed user without subscriptions on every version up to 3.12.
"""
import pytest
from test_batches import append
from test_rolling import eventually, settled

from lab.clients import ours, start_ours, stock_has_nothing_to_send
from lab.cyrus import SUITES, SYSTEM, installs
from lab.pair import make_pair
from lab.proxy import GONE, Proxy

VERSIONS = [SYSTEM.name, *(v for v in SUITES.values() if not v.startswith("3.2."))]
CONF = {"allowusermoves": "yes", "conversations": "yes"}
MESSAGE = b"Subject: y\r\n\r\nmore\r\n"


def install(version):
    if version not in installs():
        pytest.skip(f"no chroot of Cyrus {version}: tests/make-chroot makes it")
    return installs()[version]


def followed(pair):
    """Everything that was logged is confirmed."""
    look = settled(pair)
    eventually(lambda: look() and not pair.master.sync_log().read_bytes(), what="the end of the log")


def make_user(server, user):
    """A user with a folder, a subscription, a script, and a seen state of a shared mailbox."""
    with server.imap() as admin:
        admin.create(f"user/{user}")
        admin.create(f"user/{user}/sub")
        admin.create("pub")
        admin.setacl("pub", "anyone", "lrs")
        admin.setacl("pub", "cyrus", "lrswipkxtecda")
        admin.append("pub", MESSAGE)
    with server.imap(user) as c:
        c.append("INBOX/sub", MESSAGE)
        c.subscribe("INBOX/sub")
        c.fetch("1", "BODY[]", "pub")
    with server.sieve(user) as scripts:
        scripts.put("one", "keep;")
        scripts.activate("one")


@pytest.mark.parametrize("there", VERSIONS)
@pytest.mark.parametrize("here", VERSIONS)
def test_a_user_renamed_while_we_follow_the_log_keeps_what_is_his(here, there):
    with make_pair(conf=CONF, install=install(here), replica_install=install(there)) as pair:
        make_user(pair.master, "old")
        ours(pair.master, "-A")
        with start_ours(pair.master, "-R") as client:
            with pair.master.imap() as admin:
                admin.rename("user/old", "user/new")
            followed(pair)
            client.stop()
        assert pair.differences() == []
        with pair.replica.imap("new") as c:
            assert "INBOX/sub" in str(c.command("LSUB", '""', '"*"'))
        assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.lab(conf=CONF)
def test_a_new_user_of_the_old_name_keeps_what_is_his_too(pair):
    make_user(pair.master, "old")
    ours(pair.master, "-A")
    with start_ours(pair.master, "-R") as client:
        with pair.master.imap() as admin:
            admin.rename("user/old", "user/new")
            admin.create("user/old")
        with pair.master.imap("old") as c:
            c.subscribe("INBOX")
        append(pair, "old")
        followed(pair)
        client.stop()
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.lab(conf=CONF)
def test_without_copyback_a_stranger_of_the_former_name_is_left_alone(pair):
    """A user was renamed, and the replica has somebody else of the old name: -O for the renamed one
    must not meet him through the tombstone."""
    make_user(pair.master, "old")
    ours(pair.master, "-A")
    with pair.master.imap() as admin:
        admin.rename("user/old", "user/new")
    ours(pair.master, "-R", "-1")
    with pair.replica.imap() as admin:
        admin.create("user/old")
    append_there(pair)
    ours(pair.master, "-u", "new", "-O")
    with pair.replica.imap("old") as c:
        assert c.uids("INBOX") == [1]
    assert pair.differences(users=["new"]) == []


def append_there(pair):
    with pair.replica.imap("old") as c:
        c.append("INBOX", MESSAGE)


@pytest.mark.lab(conf=CONF)
def test_the_quota_root_of_a_name_between_two_goes(pair):
    """The replica goes away when it has renamed the user, and nothing else of it; meanwhile he is renamed again."""
    with pair.master.imap() as admin, Proxy(pair.replica) as proxy:
        make_user(pair.master, "ann")
        admin.setquota("user/ann", STORAGE=1000)
        ours(pair.master, "-A")
        pair.master.sync_log().unlink()
        admin.rename("user/ann", "user/carl")
        proxy.on("GET MAILBOXES", GONE, nth=2)
        with start_ours(pair.master, "-R", conf={**proxy.conf, "sync_reconnect_maxwait": "1"}):
            eventually(lambda: proxy.fired)
            admin.rename("user/carl", "user/dora")
            proxy.heal()
            followed(pair)
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []
