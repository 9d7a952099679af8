"""While a replica is away nothing is written again and again."""
import pytest
from test_rolling import status, users  # noqa: F401

from lab.clients import start_ours
from lab.waiting import eventually

AWAY = {"sync_port": 1, "sync_repeat_interval": 0}
WAITING = 60000  # different records: more than the megabyte that a log may have


def told(pair):
    both = status(pair)
    return both["channels"][0], both["logs"][0]


def has_read(pair, records):
    return told(pair)[1]["records"] >= records


def goes_on(pair):
    """By the process's own clock it has looked after its logs for so long that it would have written them again twice."""
    until = told(pair)[1]["oldest_seconds"] + 12
    eventually(lambda: told(pair)[1]["oldest_seconds"] >= until, what="12 s of the process")


def names():
    return "".join(f"MAILBOX user.zz{i // 10:05}.box{i:06}\n" for i in range(WAITING))


@pytest.mark.slow
def test_waiting_records_stay_where_they_are_while_the_replica_is_away(users):  # noqa: F811
    log = users.master.sync_log()
    text = names()
    with start_ours(users.master, "-R", conf=AWAY) as client:
        client.wait_log("connect")
        with open(log, "a") as f:
            f.write(text)
        eventually(lambda: has_read(users, WAITING))
        goes_on(users)
        channel, now = told(users)
        assert now["rotations"] == 0 and channel["spilled"] == 0
        assert log.read_text() == text


@pytest.mark.slow
def test_a_log_of_which_most_can_go_is_made_short_once(users):  # noqa: F811
    """One record that is written as often as all others together; then the replica comes back."""
    log = users.master.sync_log()
    with start_ours(users.master, "-R", conf=AWAY) as client:
        client.wait_log("connect")
        with open(log, "a") as f:
            f.write(names())
        eventually(lambda: has_read(users, WAITING))
        with open(log, "a") as f:
            f.write("MAILBOX user.a\n" * (WAITING + 100))
        eventually(lambda: told(users)[0]["spilled"] == WAITING + 1, timeout=120)
        eventually(lambda: not log.with_name("log-run").exists())
        goes_on(users)
        channel, now = told(users)
        assert now["rotations"] == 1 and channel["spilled"] == WAITING + 1
        lines = log.read_text().splitlines()
        assert len(lines) == WAITING + 1 and "MAILBOX user.a" in lines
