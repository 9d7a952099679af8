"""Records that are compared whole: expunged ones and their modseqs, which QRESYNC clients of a replica rely on."""
import pytest

from lab.clients import ours, stock, stock_has_nothing_to_send
from lab.proxy import LOSE, Proxy

PARTS = {"sync_batchsize": 4}


def message(i):
    return b"Subject: %d\r\n\r\nbody %d\r\n" % (i, i)


@pytest.fixture
def large(pair):
    """A mailbox that goes in parts, of which some messages were expunged after all had arrived."""
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as c:
        c.append("INBOX", *[message(i) for i in range(20)])
        c.store("2,7,13:14", "+FLAGS", r"\Deleted", "INBOX")
        c.expunge(name="INBOX")
        c.store("3", "+FLAGS", r"\Flagged", "INBOX")
    return pair


def vanished(server, since):
    """What a QRESYNC client is told that was last in step at a modseq."""
    with server.imap("fred") as c:
        c.command("ENABLE QRESYNC")
        status = c.command("STATUS INBOX (UIDVALIDITY)").untagged[0]
        validity = status.split(b"UIDVALIDITY ")[1].rstrip(b")\r\n ").decode()
        lines = c.command(f"SELECT INBOX (QRESYNC ({validity} {since}))").untagged
    return [line.strip().decode() for line in lines if line.startswith(b"VANISHED")]


def assert_in_step(pair):
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


def test_expunged_records_keep_their_modseq_when_a_mailbox_goes_in_parts(large):
    with Proxy(large.replica) as proxy:
        ours(large.master, "-A", conf={**proxy.conf, **PARTS})
        assert proxy.count["APPLY MAILBOX"] >= 4
    assert_in_step(large)


def test_a_client_of_the_replica_is_told_what_has_vanished(large):
    with large.master.imap("fred") as c:
        c.append("INBOX", message(100))
    ours(large.master, "-A", conf=PARTS)
    before_the_expunge = 21  # the twenty messages have the modseqs up to here
    told = vanished(large.master, before_the_expunge)
    assert told == ["VANISHED (EARLIER) 2,7,13:14"]
    assert vanished(large.replica, before_the_expunge) == told


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_run_that_is_cut_off_between_parts_is_finished_by_the_next(large, nth):
    with Proxy(large.replica) as proxy:
        proxy.on("APPLY MAILBOX", LOSE, nth=nth)
        ours(large.master, "-A", conf={**proxy.conf, **PARTS}, check=False)
        assert proxy.fired == 1
    ours(large.master, "-A", conf=PARTS)
    assert_in_step(large)


@pytest.mark.parametrize("nth", [2, 4])
def test_the_stock_client_can_finish_what_was_cut_off_between_parts(large, nth):
    """The replica refuses every later part: what came before it stays."""
    with Proxy(large.replica) as proxy:
        proxy.on("APPLY MAILBOX", "NO IMAP_IOERROR System I/O error", nth=nth)
        ours(large.master, "-A", conf={**proxy.conf, **PARTS}, check=False)
        assert proxy.fired == 1
    uids = large.master.imap("fred").uids("INBOX")
    stock(large.master, "-A")
    assert_in_step(large)
    assert large.master.imap("fred").uids("INBOX") == uids


def test_messages_expunged_between_two_parts_have_their_own_modseq(large):
    with Proxy(large.replica) as proxy:
        proxy.on("APPLY MAILBOX", "NO IMAP_IOERROR System I/O error", nth=3)
        ours(large.master, "-A", conf={**proxy.conf, **PARTS}, check=False)
    with large.master.imap("fred") as c:
        c.store("1,20", "+FLAGS", r"\Deleted", "INBOX")
        c.expunge(name="INBOX")
    ours(large.master, "-A", conf=PARTS)
    assert_in_step(large)


@pytest.mark.lab(conf={"conversations": "yes"})
def test_parts_of_a_mailbox_with_conversations_that_the_replica_has_already(large):
    """The replica's own conversations raise its XCONVMODSEQ with each part: no part may be refused for it."""
    ours(large.master, "-A")
    with large.master.imap("fred") as c:
        c.append("INBOX", *[message(100 + i) for i in range(16)])
        c.store("22,25", "+FLAGS", r"\Deleted", "INBOX")
        c.expunge(name="INBOX")
    with Proxy(large.replica) as proxy:
        run = ours(large.master, "-A", conf={**proxy.conf, **PARTS})
        assert proxy.count["APPLY MAILBOX"] >= 4
    assert run.log_lines("CRC failure|CHECKSUM") == []
    assert_in_step(large)


def test_a_message_that_is_unexpunged_arrives_under_its_new_uid(large):
    """The old record is touched once more on the master, of which no server takes notice: the replica keeps the
    modseq of the expunge, which is what its clients need."""
    ours(large.master, "-A", conf=PARTS)
    large.master.run("unexpunge", "-u", "user/fred", "7")
    ours(large.master, "-A")
    assert [x for x in large.differences() if " uid 7 " not in x] == []
    assert stock_has_nothing_to_send(large.master) == []
    assert vanished(large.replica, 21) == ["VANISHED (EARLIER) 2,7,13:14"]


def test_a_new_mailbox_says_what_was_forgotten_before(large):
    """A replica that makes the mailbox cannot know it otherwise; from 3.13.7 on it asks for that, others ignore it."""
    large.master.run("cyr_expire", "-E", "1", "-X", "0")
    with Proxy(large.replica) as proxy:
        ours(large.master, "-A", conf={**proxy.conf, **PARTS})
        lines = [line for name, line in proxy.commands if name == "APPLY MAILBOX"]
    assert len(lines) >= 4 and all(" DELETEDMODSEQ " in line for line in lines)
    assert large.differences() == []
