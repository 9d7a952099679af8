"""Mailboxes whose summaries do not tell what to do: all records are compared.

What needs no change on the master is mended; a real conflict is told message by message, and both
sides stay as they are, where copyback is switched off.
"""
import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.proxy import Proxy

pytestmark = pytest.mark.lab(master_conf={"sync_copyback": "off"})


@pytest.fixture
def fred(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as c:
        c.append("INBOX", *[b"Subject: %d\r\n\r\nmessage %d\r\n" % (i, i) for i in range(12)])
    ours(pair.master, "-A")
    return pair


@pytest.mark.lab(conf={"expunge_mode": "delayed"})
def test_expunges_that_the_master_has_forgotten_reach_the_replica(fred):
    with fred.master.imap("fred") as c:
        c.store("3:7", "+FLAGS", r"\Deleted", "INBOX")
        c.expunge(name="INBOX")
        c.append("INBOX", b"Subject: new\r\n\r\nafter it\r\n")
    fred.master.run("cyr_expire", "-E", "1", "-X", "0")
    with Proxy(fred.replica) as proxy:
        run = ours(fred.master, "-A", conf=proxy.conf)
        assert proxy.count["GET FULLMAILBOX"] == 1 and proxy.count["APPLY EXPUNGE"] == 1
    assert run.log_lines("SYNCNOTICE: comparing all records: mailbox=<user.fred> because=<DELETEDMODSEQ>")
    with fred.replica.imap("fred") as there, fred.master.imap("fred") as here:
        assert there.uids("INBOX") == here.uids("INBOX")
    assert stock_has_nothing_to_send(fred.master) == []
    with Proxy(fred.replica) as proxy:
        ours(fred.master, "-A", conf=proxy.conf)
        assert proxy.applied() == {} or not proxy.applied()


def test_a_flag_changed_on_the_replica_is_told_by_its_uid(fred):
    with fred.replica.imap("fred") as there:
        there.store("4", "+FLAGS", r"\Flagged", "INBOX")
    run = ours(fred.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"user\.fred: both sides have changed, .* 1 messages differ: uid 4 was changed on the replica")


def test_equal_counters_with_different_records_are_found_by_their_sums(fred):
    """Both sides change another message: the modseqs are equal, the sums are not."""
    with fred.replica.imap("fred") as there:
        there.store("4", "+FLAGS", r"\Flagged", "INBOX")
    with fred.master.imap("fred") as here:
        here.store("5", "+FLAGS", r"\Answered", "INBOX")
    run = ours(fred.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines("SYNC_NOTICE: CRC failure on sync user.fred, recalculating counts and trying again")
    assert run.log_lines("CRC failure on sync for user.fred, trying full update")
    (told,) = run.log_lines(r"IOERROR: user replication failed")
    assert "1 messages differ: uid 4 was changed on the replica" in told.text
    with fred.replica.imap("fred") as there:
        assert len(there.uids("INBOX")) == 12
        assert there.uids("INBOX", "ANSWERED") == [5], "what only the master changed arrives"


def test_a_message_added_on_the_replica_is_told_and_kept(fred):
    with fred.replica.imap("fred") as there:
        (uid,) = there.append("INBOX", b"Subject: theirs\r\n\r\nonly there\r\n")
    run = ours(fred.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(f"uid {uid} was added on the replica")
    with fred.replica.imap("fred") as there:
        assert uid in there.uids("INBOX")


def test_other_mailboxes_of_the_user_go_on(fred):
    with fred.replica.imap("fred") as there:
        there.store("4", "+FLAGS", r"\Flagged", "INBOX")
    with fred.master.imap("fred") as c:
        c.create("INBOX/Work")
        c.append("INBOX/Work", b"Subject: w\r\n\r\nwork\r\n")
    assert ours(fred.master, "-A", check=False).status == 1
    with fred.replica.imap("fred") as there:
        assert len(there.uids("INBOX/Work")) == 1
