"""Damage on the master and hostile replicas: a clear error each, exit 1, the others are replicated."""
import pytest

from lab.clients import ours
from lab.compare import compare
from lab.dump import dump
from lab.fill import fill
from lab.pipe import Hangup, Pipe
from lab.proxy import Proxy


@pytest.fixture
def users(pair):
    """Three users with mail, nothing replicated yet."""
    fill(pair.master, users=3, mailboxes=2, messages=6, seed=11)
    with pair.master.imap() as admin:
        return sorted({m.split("/")[1] for m in admin.list() if m.startswith("user/")})


def assert_others_arrived(pair, others):
    assert compare(dump(pair.master, users=others, sieve="files"),
                   dump(pair.replica, users=others, sieve="files")) == []


def live_message(pair, user):
    """The file of a message that exists nowhere else."""
    with pair.master.imap(user) as c:
        (uid,) = c.append("INBOX", b"Subject: only here\r\n\r\nthe only copy\r\n")
    return pair.master.mailbox_folder(f"user.{user}") / f"{uid}."


def index_of(pair, user):
    return pair.master.mailbox_folder(f"user.{user}") / "cyrus.index"


@pytest.mark.parametrize("keep", [0, 100, 160, 300])
def test_a_truncated_index_fails_its_user_and_names_the_file(pair, users, keep):
    path = index_of(pair, users[1])
    path.write_bytes(path.read_bytes()[:keep])
    run = ours(pair.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"IOERROR: mailbox open failed: mboxname=<user\.%s> error=<\S*cyrus.index: offset" % users[1])
    assert run.log_lines(r"Error in do_user\(%s\): bailing out!" % users[1])
    assert_others_arrived(pair, [users[0], users[2]])


def test_a_flipped_byte_in_a_record_fails_its_user_and_names_the_record(pair, users):
    path = index_of(pair, users[1])
    data = bytearray(path.read_bytes())
    data[160 + 112 + 20] ^= 1
    path.write_bytes(data)
    run = ours(pair.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"cyrus.index: offset \d+: index record 2: CRC mismatch")
    assert_others_arrived(pair, [users[0], users[2]])


def test_a_flipped_byte_in_the_mailbox_list_is_told_with_its_place(pair, users):
    path = pair.master.outside / "conf/mailboxes.db"
    data = bytearray(path.read_bytes())
    victim = b"user\x1f" + users[1].encode()
    for at in (i for i in range(len(data)) if data.startswith(victim, i)):
        data[at + 2] ^= 1  # whichever copy of the record is the live one
    path.write_bytes(data)
    run = ours(pair.master, "-A", check=False)
    assert run.status != 0
    assert "mailboxes.db: offset" in run.err + "".join(str(x) for x in run.log_lines())
    with pair.replica.imap() as admin:
        assert [m for m in admin.list() if m.startswith("user/")] == []


def test_a_missing_message_file_fails_its_mailbox_only(pair, users):
    victim = live_message(pair, users[1])
    victim.unlink()
    run = ours(pair.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"user replication failed: .*user\.%s: .*uid %s" % (users[1], victim.name[:-1]))
    assert_others_arrived(pair, [users[0], users[2]])


def test_a_message_file_with_other_content_is_not_sent(pair, users):
    victim = live_message(pair, users[1])
    data = bytearray(victim.read_bytes())
    data[-3] ^= 1
    victim.write_bytes(data)
    run = ours(pair.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"uid %s.*(SHA-1|GUID)" % victim.name[:-1])
    assert_others_arrived(pair, [users[0], users[2]])
    # his other folder has arrived all the same, below an INBOX that is still empty
    with pair.replica.imap() as admin:
        assert any(m.startswith(f"user/{users[1]}/") for m in admin.list())
    with pair.replica.imap(users[1]) as there:
        assert there.uids("INBOX") == []
    data[-3] ^= 1
    victim.write_bytes(data)
    ours(pair.master, "-A")
    assert pair.differences() == []


def test_a_replica_that_closes_in_mid_answer_is_asked_again(pair, users):
    with Proxy(pair.replica, cut_command=("GET USER", 2)) as proxy:
        run = ours(pair.master, "-A", conf=proxy.conf)
        assert run.log_lines("IOERROR: (zero length|received bad) response: command=<GET ")
    assert pair.differences() == []


class Poisoned(Pipe):
    """Answers GET USER of one user with rubbish or not at all; everything else goes to the real replica."""

    def __init__(self, replica, user, answer):
        super().__init__(replica)
        self.question, self.answer = b"GET USER " + user.encode(), answer

    def from_client(self, data):
        if self.question in data:
            raise Hangup(self.answer)
        return data


@pytest.mark.parametrize("answer, told", [
    (b"", "zero length response"),
    (b"* MAILBOX %(UNIQUEID x MBOXN", "bad response: command=<GET USER> .*end of file"),
    (b"* MAILBOX rubbish)(\r\nOK success\r\n", "bad response|MAILBOX"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "bad response"),
    (b"* MAILBOX %(UNIQUEID x)\r\nOK success\r\n", "MBOXNAME"),
    (b"* MAILBOX %(A {99999999999999999999}\r\nOK success\r\n", "bad response"),
    (b"NO IMAP_MAILBOX_LOCKED Mailbox locked\r\n", "[Ll]ocked|LOCKED"),
    (b"* Fatal error: everything is lost\r\n", "everything is lost"),
    (b"BYE shutting down\r\n", "shutting down|BYE"),
])
def test_rubbish_for_one_user_fails_that_user_only(pair, users, answer, told):
    with Poisoned(pair.replica, users[1], answer) as poisoned:
        run = ours(pair.master, "-A", conf=poisoned.conf, check=False, timeout=60)
    assert run.status == 1
    assert run.log_lines(told), "\n".join(str(x) for x in run.log_lines())
    assert run.log_lines(r"Error in do_user\(%s\): bailing out!" % users[1])
    assert_others_arrived(pair, [users[0], users[2]])
