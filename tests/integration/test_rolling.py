"""Rolling mode as operators know it: following logs, signals, lost replicas, failing items.

The numbers are the conformance statements of the operator's specification; where our client
deliberately differs from the stock one the test says so.
"""
import fcntl
import json
import os
import re
import signal
import time
import urllib.error
import urllib.request

import pytest
from test_modes import SyncLock

from lab.clients import ours, start_ours, stock, stock_has_nothing_to_send
from lab.proxy import Proxy
from lab.waiting import eventually, is_settled

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


@pytest.fixture
def users(pair):
    with pair.master.imap() as admin:
        for name in ("a", "b", "c"):
            admin.create(f"user/{name}")
        admin.create("shared")
    ours(pair.master, "-A")
    pair.master.sync_log().write_bytes(b"")
    return pair


def append(pair, user, box="INBOX", n=1):
    with pair.master.imap(user) as c:
        for _ in range(n):
            c.append(box, MESSAGE)


def count(server, user, box="INBOX"):
    """By STATUS: selecting a mailbox would change it."""
    with server.imap(user) as c:
        reply = c.command("STATUS", box, "(MESSAGES)", ok=False)
    return int(re.search(rb"MESSAGES (\d+)", b"".join(reply.untagged))[1]) if reply.status == "OK" else -1


def settled(pair, channel=None, **conf):
    return lambda: is_settled(pair.master, *(["-n", channel] if channel else []), **conf)


def status(pair, *args):
    return json.loads(ours(pair.master, *args, "--status", "--json").out)


def retrying(pair):
    run = ours(pair.master, "--status", "--json", check=False)
    return json.loads(run.out)["channels"][0]["retrying"] if run.status == 0 else 0


# --- following the log -------------------------------------------------------------------------


def test_changes_are_replicated_as_they_happen_and_the_log_is_left_empty(users):
    with start_ours(users.master, "-R") as client:
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        with users.master.imap("b") as c:
            c.create("INBOX/new")
            c.append("INBOX/new", MESSAGE)
            c.store("1", "+FLAGS", r"\Seen", "INBOX/new")
            c.subscribe("INBOX/new")
        eventually(settled(users))
        assert users.differences() == []
        assert users.master.sync_log().stat().st_size == 0
        run = client.stop()
    assert run.status == 75
    assert stock_has_nothing_to_send(users.master) == []


def test_60_a_record_is_on_its_way_within_milliseconds(users):
    """With -d 0: from the end of the APPEND to the message on the replica."""
    with start_ours(users.master, "-R", conf={"sync_repeat_interval": 0}):
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        with users.master.imap("a") as here, users.replica.imap("a") as there:
            there.uids("INBOX")
            times = []
            for n in range(2, 22):
                here.append("INBOX", MESSAGE)
                begun = time.monotonic()
                while len(there.command("UID SEARCH", "ALL").untagged[-1].split()) - 1 < n:
                    there.command("NOOP")
                times.append(time.monotonic() - begun)
    # A look once a second would not be so quick so often; a busy machine is now and then.
    assert sorted(times)[4] < 0.1, times


def test_53_54_what_an_earlier_run_left_is_done_first(users):
    """Left-over log-run and log of a stock client that was killed."""
    append(users, "a")
    log = users.master.sync_log()
    os.rename(log, log.with_name("log-run"))
    append(users, "b")
    with start_ours(users.master, "-R") as client:
        eventually(lambda: count(users.replica, "a") == 1 and count(users.replica, "b") == 1)
        eventually(settled(users))
        assert not log.with_name("log-run").exists()
        assert client.log_lines("Reprocessing sync log file")


def test_54_once_takes_a_left_over_log_only(users):
    append(users, "a")
    log = users.master.sync_log()
    os.rename(log, log.with_name("log-run"))
    append(users, "b")
    run = ours(users.master, "-R", "-1")
    assert run.log_lines("Reprocessing sync log file")
    assert count(users.replica, "a") == 1 and count(users.replica, "b") == 0
    assert not log.with_name("log-run").exists() and b"user.b" in log.read_bytes()
    run = ours(users.master, "-R", "-1")
    assert not run.log_lines("Reprocessing sync log file")
    assert count(users.replica, "b") == 1 and not log.exists()


def test_55_an_empty_log_is_nothing(users):
    assert ours(users.master, "-R", "-1").log_lines("SYNCERROR|IOERROR") == []


def test_99_once_without_a_log_and_with_a_failing_record(users):
    """The stock client exits with 0 in both cases."""
    users.master.sync_log().unlink()
    assert ours(users.master, "-R", "-1").status == 0
    append(users, "a")
    append(users, "b")
    (users.master.mailbox_folder("user.a") / "cyrus.index").write_bytes(b"")
    assert ours(users.master, "-R", "-1", check=False).status == 1
    assert count(users.replica, "b") == 1
    assert set(users.master.sync_log().read_text().split("\n")) == {"MAILBOX user.a", ""}


@pytest.mark.lab(conf={"sync_log_channels": "east"})
def test_50_51_a_channels_log_is_followed_from_its_first_record(users):
    with start_ours(users.master, "-n", "east", "-R", conf={"east_sync_repeat_interval": 0}):
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        assert b"user.a" not in users.master.sync_log().read_bytes()


def test_two_processes_do_not_follow_one_log(users):
    with start_ours(users.master, "-R") as first:
        eventually(settled(users))
        run = ours(users.master, "-R", check=False)
        assert run.status == 1
        assert run.log_lines(f"process {first.pid} already follows this log")


def test_a_stock_client_may_take_over_and_give_back(users):
    with start_ours(users.master, "-R"):
        append(users, "a", n=3)
        eventually(lambda: count(users.replica, "a") == 3)
    append(users, "a", n=2)
    stock(users.master, "-R", "-1")
    assert count(users.replica, "a") == 5
    append(users, "a", n=2)
    with start_ours(users.master, "-R"):
        eventually(lambda: count(users.replica, "a") == 7)
        eventually(settled(users))
    assert users.differences() == []


def test_85_the_delay_is_the_least_time_between_two_batches(users):
    """For the stock client it is the time between two looks: an upper bound of ours."""
    with start_ours(users.master, "-R", "-d", "2"):
        eventually(settled(users))
        time.sleep(2)
        begun = time.monotonic()
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 2)
        assert 1 < time.monotonic() - begun


def test_61_another_process_that_holds_the_logs_lock_loses_us_nothing(users):
    log = users.master.sync_log()
    with start_ours(users.master, "-R", conf={"sync_repeat_interval": 0}):
        eventually(settled(users))
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        for _ in range(3):
            if not log.exists():
                append(users, "a")
                continue
            with open(log, "r+b") as f:
                fcntl.lockf(f, fcntl.LOCK_EX)
                time.sleep(1)
            append(users, "a")
        want = count(users.master, "a")
        eventually(lambda: count(users.replica, "a") == want)
        eventually(settled(users))


# --- signals, files, sessions ------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_90_a_signal_ends_it_while_idle(users, number):
    with start_ours(users.master, "-R") as client:
        eventually(settled(users))
        client.signal(number)
        run = client.finish()
    assert run.status == 75 and run.log_lines("graceful shutdown")


def test_91_hup_reads_the_configuration_again_and_usr1_tells(users):
    with start_ours(users.master, "-R") as client:
        eventually(settled(users))
        client.signal(signal.SIGUSR2)
        client.signal(signal.SIGUSR1)
        client.wait_log("status: .default. -> .*connected since")
        client.signal(signal.SIGHUP)
        client.wait_log("the configuration has been read again")
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)


def test_92_a_signal_in_a_batch_leaves_every_unfinished_record(users):
    append(users, "a", n=5)
    append(users, "b", n=5)
    with Proxy(users.replica, delay_ms=1500) as proxy:
        with start_ours(users.master, "-R", conf=proxy.conf) as client:
            eventually(lambda: proxy.total > 1)
            client.signal(signal.SIGTERM)
            run = client.finish()
    assert run.status == 75
    left = users.master.sync_log().read_text()
    assert all(f"MAILBOX user.{u}" in left or count(users.replica, u) == 5 for u in "ab")
    ours(users.master, "-R", "-1")
    assert users.differences() == []


def test_86_a_shutdown_file_that_is_there_already(users):
    file = users.master.outside / "conf/stop"
    file.write_text("")
    users.master.own(file)
    append(users, "a")
    before = users.master.sync_log().read_bytes()
    run = ours(users.master, "-R", "-F", str(file))
    assert run.status == 0 and not file.exists()
    assert users.master.sync_log().read_bytes() == before and count(users.replica, "a") == 0


@pytest.mark.lab(conf={"sync_log_channels": '"" east'})
def test_87_88_a_shutdown_file_while_it_runs_and_that_of_another_channel(users):
    mine, other = users.master.outside / "conf/mine", users.master.outside / "conf/other"
    conf = {"sync_shutdown_file": other, "east_sync_shutdown_file": mine}
    with start_ours(users.master, "-n", "east", "-R", conf=conf) as client:
        eventually(lambda: client.alive() and settled(users, "east", **conf)())
        for file in (other, mine):
            file.write_text("")
            users.master.own(file)
        assert client.finish(10).status == 0
        assert other.exists() and not mine.exists()


@pytest.mark.lab(replicas=("east", "west"))
def test_a_shutdown_file_ends_all_channels_of_the_process(pair):
    """One that ended alone would keep logs from being retired."""
    file = pair.master.outside / "conf/stop"
    with start_ours(pair.master, "-R", "-n", "east,west", "-F", str(file)) as client:
        eventually(settled(pair, "west"))
        file.write_text("")
        pair.master.own(file)
        assert client.finish(10).status == 0
        assert not file.exists()


def test_89_a_session_ends_after_its_time(users):
    with start_ours(users.master, "-R", "-t", "1") as client:
        client.wait_log("sync_client RESTART succeeded", count=2)
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)


def test_96_r_goes_into_the_background_and_98_not_as_a_daemon(users):
    with start_ours(users.master, "-r", env={"CYRUS_ISDAEMON": "1"}) as client:
        eventually(settled(users))
        assert client.alive()
    with start_ours(users.master, "-r") as parent:
        assert parent.process.wait(60) == 0
        eventually(settled(users))
        pid = int((users.master.sync_log().parent / ".sync-reader.lock").read_text())
        assert pid != parent.pid
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: ours(users.master, "--status", check=False).status == 1)


def test_status_without_a_process(users):
    run = ours(users.master, "--status", check=False)
    assert run.status == 1 and "no process follows the logs of" in run.err


def test_metrics_over_http(users):
    port = 20000 + os.getpid() % 20000
    with start_ours(users.master, "-R", conf={"sync_metrics_listen": f"127.0.0.1:{port}"}):
        append(users, "a")
        eventually(settled(users))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            text = answer.read().decode()
        assert 'fansync_connections{channel=""} 1\n' in text and text.endswith("# EOF\n")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=5)


def test_metrics_on_an_address_of_the_network_are_refused(users):
    with start_ours(users.master, "-R", conf={"sync_metrics_listen": "192.0.2.1:9109"}) as client:
        client.wait_log("sync_metrics_listen: '192.0.2.1:9109' is not on this machine's loopback")
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)


# --- replicas that go away ---------------------------------------------------------------------


def test_33_34_a_closed_port_is_tried_again(users):
    with start_ours(users.master, "-R", conf={"sync_port": 1, "sync_reconnect_maxwait": 1}) as client:
        eventually(lambda: client.collect().err.count("retrying in 1 seconds") >= 2)
        assert client.log_lines(r"connect\(.*\) failed")


def test_35_a_closed_port_with_o(users):
    run = ours(users.master, "-R", "-o", conf={"sync_port": 1}, check=False)
    assert run.status == 1 and "retrying" not in run.err


def test_93_a_replica_that_says_bye_ends_it_with_o(users):
    with start_ours(users.master, "-v", "-v", "-o", "-R") as client:
        eventually(settled(users))
        users.replica.stop()
        append(users, "a")
        run = client.finish(20)
    assert run.status == 0
    assert run.log_lines("IOERROR") == []
    users.replica.start()


def test_94_a_replica_that_vanishes_is_waited_for(users):
    """The stock client ends."""
    with start_ours(users.master, "-R", conf={"sync_reconnect_maxwait": 1}) as client:
        eventually(settled(users))
        users.replica.stop(gently=False)
        append(users, "a", n=3)
        time.sleep(1.5)
        assert client.alive()
        users.replica.start()
        eventually(lambda: count(users.replica, "a") == 3)
        eventually(settled(users))
    assert users.differences() == []


@pytest.mark.lab(replica_conf={"sync_timeout": "3"})
def test_100_a_session_that_the_replica_tired_of_is_made_anew(users):
    with start_ours(users.master, "-R") as client:
        eventually(settled(users))
        time.sleep(4)
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        assert client.alive()


# --- items that fail ---------------------------------------------------------------------------


def test_95_one_failing_mailbox_holds_nobody_up_and_is_not_tried_at_full_speed(users):
    """The stock client makes hundreds of connections a second, and replicates nothing else."""
    index = users.master.mailbox_folder("user.a") / "cyrus.index"
    with start_ours(users.master, "-R", conf={"sync_repeat_interval": 0}) as client:
        eventually(settled(users))
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        good = index.read_bytes()
        index.write_bytes(b"")
        with open(users.master.sync_log(), "a") as log:
            log.write("MAILBOX user.a\n")
        for n in range(1, 4):
            append(users, "b")
            eventually(lambda: count(users.replica, "b") == n)
        eventually(lambda: retrying(users) == 1)
        (retry,) = status(users)["channels"][0]["retries"]
        assert retry["record"] == "MAILBOX user.a"
        assert len(client.log_lines("IOERROR: user replication failed")) == 1
        assert b"user.a" in users.master.sync_log().read_bytes()
        index.write_bytes(good)
        with open(users.master.sync_log(), "a") as log:
            log.write("MAILBOX user.c\n")
        eventually(settled(users), timeout=30)
    assert users.differences() == []


@pytest.mark.slow
def test_a_failing_record_does_not_keep_a_growing_log(users):
    """The log is moved aside and goes; the failing record is written into the new one."""
    (users.master.mailbox_folder("user.a") / "cyrus.index").write_bytes(b"")
    log = users.master.sync_log()
    with start_ours(users.master, "-R", conf={"sync_repeat_interval": 0}):
        with open(log, "a") as f:
            f.write("MAILBOX user.a\n")
        eventually(lambda: retrying(users) == 1)
        with open(log, "a") as f:
            for _ in range(80000):
                f.write("MAILBOX user.b\n")
        eventually(lambda: log.exists() and log.stat().st_size < 1000, timeout=30)
        eventually(lambda: not log.with_name("log-run").exists(), timeout=30)
        assert "MAILBOX user.a\n" in log.read_text()
    assert "MAILBOX user.a\n" in log.read_text()


def test_a_user_whom_another_client_works_on_holds_nobody_up(users):
    with start_ours(users.master, "-R", conf={"sync_repeat_interval": 0}) as client:
        eventually(settled(users))
        with SyncLock(users, "a"):
            append(users, "a")
            append(users, "b")
            eventually(lambda: count(users.replica, "b") == 1)
            client.wait_log("  Deferred: MAILBOX user.a")
            assert count(users.replica, "a") == 0
        eventually(lambda: count(users.replica, "a") == 1)
        eventually(settled(users))


def test_malformed_records_are_told_and_kept(users):
    with start_ours(users.master, "-R") as client:
        with open(users.master.sync_log(), "a") as f:
            f.write('NONSENSE user.a\nMAILBOX "user.a\nMAILBOX user.b\n')
        client.wait_log("Unknown action type: NONSENSE")
        eventually(settled(users))
        assert "NONSENSE user.a" in (users.master.sync_log().parent / "rejected").read_text()


# --- several channels --------------------------------------------------------------------------


@pytest.mark.lab(replicas=("east", "west"))
def test_several_channels_in_one_process(pair):
    with start_ours(pair.master, "-R", "-n", "east,west") as client:
        with pair.master.imap() as admin:
            admin.create("user/a")
        append(pair, "a", n=3)
        for replica in pair.replicas.values():
            eventually(lambda: count(replica, "a") == 3)
        eventually(settled(pair, "west"))
        assert [c["channel"] for c in status(pair, "-n", "east")["channels"]] == ["east", "west"]
        with open(pair.master.sync_log("west"), "a") as log:
            log.write("UNMAILBOX user.a.never\n")
        client.wait_log(r"^\[west\] SYNCNOTICE: attempt to UNMAILBOX without a tombstone")
    assert pair.differences() == []


@pytest.mark.lab(replicas=("east", "west"), master_conf={"sync_log_channels": "hub", "hub_sync_fanout": "east west"})
def test_a_hub_feeds_several_replicas_and_one_that_is_away_holds_nobody_up(pair):
    east, west = pair.replicas.values()
    pair.master.set_conf(sync_log_channels="hub")
    pair.master.restart()
    west.stop()
    hub = pair.master.sync_log("hub")
    with start_ours(pair.master, "-R", "-n", "hub", conf={"sync_reconnect_maxwait": 1, "sync_repeat_interval": 0}):
        with pair.master.imap() as admin:
            admin.create("user/a")
        append(pair, "a", n=3)
        eventually(lambda: count(east, "a") == 3)
        assert [c["channel"] for c in status(pair, "-n", "hub")["channels"]] == ["east", "west"]
        assert not pair.master.sync_log("east").exists() or pair.master.sync_log("east").stat().st_size == 0
        eventually(lambda: hub.stat().st_size == 0, timeout=30, what="the retirement of the hub's log")
        assert b"user.a" in pair.master.sync_log("west").read_bytes()
        append(pair, "a")
        eventually(lambda: count(east, "a") == 4)
        west.start()
        eventually(lambda: count(west, "a") == 4, timeout=30)
        eventually(settled(pair, "west"))
    assert pair.differences() == []


@pytest.mark.lab(conf={"sync_log_channels": "east"})
def test_several_connections_of_one_channel(users):
    conf = {"east_sync_connections": 3, "east_sync_repeat_interval": 0}
    with start_ours(users.master, "-R", "-n", "east", conf=conf):
        for name in "abc":
            append(users, name, n=5)
        eventually(lambda: all(count(users.replica, name) == 5 for name in "abc"))
        eventually(settled(users, "east", **conf))
        assert status(users, "-n", "east")["channels"][0]["connections"] == 3
    assert users.differences() == []


def test_paced_handover_leaves_the_log_as_the_stock_client_does(users):
    with start_ours(users.master, "-R", conf={"sync_paced_handover": "yes"}):
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == 1)
        eventually(lambda: not users.master.sync_log().exists())


# --- killed ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_59_killed_again_and_again_nothing_is_lost(users):
    for round_ in range(15):
        client = start_ours(users.master, "-R", conf={"sync_repeat_interval": 0})
        for name in "abc":
            append(users, name)
        with users.master.imap("a") as c:
            c.store("1:*", "+FLAGS", f"$round{round_}", "INBOX")
        time.sleep(0.01 * (round_ % 7))
        client.kill()
    with start_ours(users.master, "-R"):
        eventually(settled(users))
    assert users.differences() == []
    assert stock_has_nothing_to_send(users.master) == []
