"""Independent channels share nothing that one of them can use up."""
import re

import pytest
from test_rolling import eventually

from lab.clients import ours, start_ours
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


# --- slips of the pen that would let a replica go without ------------------------------------------


@pytest.fixture
def hub(pair):
    pair.master.set_conf(sync_log_channels="hub", hub_sync_fanout="east west",
                         east_sync_host=pair.replica.address, west_sync_host=pair.replica.address)
    return pair.master


REFUSED = {
    "hub_sync_fanuot": ("hub", {"hub_sync_fanout": None, "hub_sync_fanuot": "east west"},
                        r"hub_sync_fanuot: .*did you mean sync_fanout\?"),
    "east_sync_hosst": ("hub", {"east_sync_host": None, "east_sync_hosst": "127.0.0.1"},
                        r"east_sync_hosst: .*did you mean sync_host\?"),
    "itself": ("hub", {"hub_sync_fanout": "east hub"}, "hub_sync_fanout names hub itself"),
    "nobody": ("hub", {"hub_sync_fanout": " , "}, "names no channel"),
    "twice": ("east,west,EAST", {}, "the channel EAST is named twice"),
    "a path": ("../east", {}, r'"\.\./east" cannot be the name of a channel'),
    "a blank": ("east, west", {}, r'" west" cannot be the name of a channel'),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_channel_that_is_not_what_it_seems_is_refused_in_words(hub, what):
    channels, conf, said = REFUSED[what]
    run = ours(hub, "-R", "-n", channels, conf=conf, check=False)
    assert run.status == 78
    assert re.search(said, run.err)


def test_two_channels_with_one_replica_are_told(hub):
    with start_ours(hub, "-R", "-n", "east,west") as client:
        client.wait_log("channels east and west have the same replica.*west_sync_host")
