"""What the status says is so: in the middle of a batch, through a silent network, of records that keep failing, and
of all that needs an operator."""
import json
import re
import socket

import pytest
from test_rolling import append, count, retrying, status, users  # noqa: F401

from lab.clients import ours, start_ours
from lab.proxy import HOLD, Proxy
from lab.waiting import eventually, is_settled

CONF = {"sync_repeat_interval": 0}
LABELLED = re.compile(r'fansync_(log_)?(\w+?)(_total)?\{(channel|folder)="([^"]*)"\} (\S+)')


def figures(entry):
    return {name: value for name, value in entry.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}


NOT_FIGURES = {"last_error_time", "more_retries"}


def test_json_and_metrics_have_the_same_figures(users):  # noqa: F811
    with start_ours(users.master, "-R", conf=CONF):
        append(users, "a")
        eventually(lambda: is_settled(users.master) and count(users.replica, "a") == 1)
        told = status(users)
        metrics = ours(users.master, "--status", "--metrics").out
    found = {"channel": {}, "folder": {}}
    for m in LABELLED.finditer(metrics):
        found[m[4]][m[2]] = float(m[6])
    (channel,), (log,) = told["channels"], told["logs"]
    assert set(found["channel"]) == set(figures(channel)) - NOT_FIGURES
    assert set(found["folder"]) == set(figures(log))
    assert all(found["channel"][x] == channel[x] for x in ("records", "confirmed", "messages_uploaded", "bytes_out"))
    assert found["channel"]["messages_uploaded"] == 1 and found["folder"]["records"] > 0
    assert "\nfansync_faults 0\n" in metrics and metrics.endswith("# EOF\n")


def state(pair):
    return status(pair)["channels"][0]["states"][0]


def test_progress_and_silence_are_seen_in_the_middle_of_a_batch(users):  # noqa: F811
    with Proxy(users.replica) as proxy, start_ours(users.master, "-R", conf={**proxy.conf, **CONF}):
        eventually(lambda: is_settled(users.master))
        assert state(users)["state"] == "idle"
        before = status(users)["channels"][0]
        proxy.on("APPLY MAILBOX", HOLD, 2)
        with open(users.master.sync_log(), "a") as log:
            for name in "abc":
                with users.master.imap(name) as c:
                    c.create("INBOX/new")
            log.write("".join(f"MAILBOX user.{name}.new\n" for name in "abc"))
        eventually(lambda: state(users)["state"] == "waiting for the replica")
        eventually(lambda: status(users)["channels"][0]["sending"] > 0)
        now = status(users)["channels"][0]
        assert now["mailboxes_sent"] > before["mailboxes_sent"]
        assert "waiting for the replica since" in ours(users.master, "--status").out
        proxy.heal()
        proxy.drop()
        eventually(lambda: is_settled(users.master))
    assert users.differences() == []


def test_a_failing_record_is_told_with_its_reason_and_is_no_lag(users):  # noqa: F811
    index = users.master.mailbox_folder("user.a") / "cyrus.index"
    with start_ours(users.master, "-R", conf=CONF):
        eventually(lambda: is_settled(users.master))
        index.write_bytes(b"")
        with open(users.master.sync_log(), "a") as log:
            log.write("MAILBOX user.a\n")
        eventually(lambda: retrying(users) == 1)
        told = status(users)["channels"][0]
        (retry,) = told["retries"]
        assert retry["tries"] >= 1 and retry["next_seconds"] > 0 and "cyrus.index" in retry["why"]
        assert told["lag_seconds"] == 0 and told["oldest_retry_seconds"] > 0
        assert told["last_error"] and told["last_error_time"] > 0 and not told["last_error_over"]
        assert re.search(r"retry: MAILBOX user\.a \(\d+ tries, for \d+ s, next in \d+ s\): .*cyrus.index",
                         ours(users.master, "--status").out)
        append(users, "b")
        eventually(lambda: count(users.replica, "b") == 1)
        eventually(lambda: status(users)["channels"][0]["last_error_over"])


def test_of_many_retries_the_oldest_are_told_and_the_others_counted(users):  # noqa: F811
    folder = users.master.sync_log().parent
    for n in range(60):
        (folder / f"skipuser-u{n}").write_text("")
    with start_ours(users.master, "-R", conf=CONF):
        with open(users.master.sync_log(), "a") as log:
            for n in range(60):
                log.write(f"USER u{n}\n")
        eventually(lambda: retrying(users) == 60)
        told = status(users)["channels"][0]
        assert len(told["retries"]) + told["more_retries"] == told["retrying"] or retrying(users) < 60
        ages = [r["age_seconds"] for r in told["retries"]]
        assert ages == sorted(ages, reverse=True) and len(ages) <= 50
        assert all("skipuser" in r["why"] for r in told["retries"])
        eventually(lambda: re.search(r"and \d+ more", ours(users.master, "--status").out), what="a count")
        for n in range(60):
            (folder / f"skipuser-u{n}").unlink()


def test_a_replica_that_cannot_be_reached_is_told_with_the_time_of_the_next_try(users):  # noqa: F811
    with start_ours(users.master, "-R", conf={"sync_port": 1}) as client:
        client.wait_log("connect")
        eventually(lambda: state(users)["state"] == "waiting to connect")
        told = state(users)
        assert told["until"] >= told["since"] > 0
        assert "not connected, waiting to connect until" in ours(users.master, "--status").out


# --- what needs an operator ----------------------------------------------------------------------


def faults(pair, *args, conf=None):
    """The faults, as text and JSON agree on them; [] and exit status 0 if there are none."""
    run = ours(pair.master, *args, "--status", conf=conf, check=False)
    found = re.findall("NEEDS AN OPERATOR: (.*)", run.out)
    assert run.status == (2 if found else 0), run.report()
    return found


def test_nothing_needs_an_operator_when_all_is_well(users):  # noqa: F811
    with start_ours(users.master, "-R"):
        eventually(lambda: is_settled(users.master))
        assert faults(users) == []


def test_a_wrong_password_needs_an_operator(users):  # noqa: F811
    with start_ours(users.master, "-R", conf={"sync_password": "wrong"}):
        eventually(lambda: ours(users.master, "--status", check=False).status == 2)
        assert any("the replica refuses us" in x for x in faults(users))
        assert state_of_run(users) == "blocked"


def state_of_run(pair):
    return json.loads(ours(pair.master, "--status", "--json", check=False).out)["channels"][0]["states"][0]["state"]


def test_logging_that_is_off_needs_an_operator(users):  # noqa: F811
    with start_ours(users.master, "-R", conf={"sync_log": "no"}) as client:
        client.wait_log("sync_log is off")
        eventually(lambda: faults(users) == ["sync_log is off: the servers write to no log"])


@pytest.mark.lab(conf={"sync_log_channels": "east"})
def test_a_channel_without_a_log_needs_an_operator(users):  # noqa: F811
    with start_ours(users.master, "-R", "-n", "west"):
        eventually(lambda: ours(users.master, "-n", "west", "--status", check=False).status == 2)
        assert any("west is not in sync_log_channels" in x for x in faults(users, "-n", "west"))
    with start_ours(users.master, "-R", "-n", "east"):
        eventually(lambda: is_settled(users.master, "-n", "east"))
        assert faults(users, "-n", "east") == []


def test_metrics_that_cannot_be_served_need_an_operator(users):  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with start_ours(users.master, "-R", conf={"sync_metrics_listen": address}):
            eventually(lambda: ours(users.master, "--status", check=False).status == 2)
            assert faults(users) == [f"sync_metrics_listen: cannot listen on {address}"]


def test_a_log_that_cannot_be_read_needs_an_operator_until_it_can(users):  # noqa: F811
    log = users.master.sync_log()
    log.unlink()
    log.mkdir()
    with start_ours(users.master, "-R"):
        eventually(lambda: ours(users.master, "--status", check=False).status == 2)
        assert any("Failed to open" in x for x in faults(users))
        log.rmdir()
        eventually(lambda: faults(users) == [])
