"""Independent channels share nothing that one of them can use up."""
import pytest

from test_rolling import eventually

from lab.clients import start_ours
from lab.pair import make_pair

DEAD = [f"dead{i}" for i in range(40)]


def message(text):
    return b"Subject: x\r\n\r\n%s\r\n" % text.encode()


def make_busy(master, records=3):
    with master.imap("fred") as c:
        for i in range(records):
            c.append("INBOX", message(str(i)))


@pytest.fixture
def crowd():
    """One channel with a replica, and forty whose replicas do not answer: each has a log that waits."""
    with make_pair(replicas=("alive",)) as pair:
        master = pair.master
        conf = {"sync_log_channels": " ".join([*DEAD, "alive"])}
        for name in DEAD:
            conf |= {f"{name}_sync_host": "127.0.0.1", f"{name}_sync_port": 1}
        master.set_conf(conf)
        master.restart()
        with master.imap() as admin:
            admin.create("user/fred")
        yield pair


def test_forty_channels_without_a_replica_do_not_starve_the_one_that_has_one(crowd):
    make_busy(crowd.master)
    with start_ours(crowd.master, "-R", "-n", ",".join([*DEAD, "alive"])):
        eventually(lambda: crowd.differences() == [], timeout=60)
        make_busy(crowd.master)
        eventually(lambda: crowd.differences() == [], timeout=60)
