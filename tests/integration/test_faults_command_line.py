"""Names, numbers and options that an operator types, and records that a log may hold by accident.

What is given twice is done once, what cannot be is refused in words, and nothing is tried for ever.
"""
import os
import re

import pytest
from test_batches import append, log_file, users  # noqa: F401
from test_rolling import eventually, settled

from lab.clients import ours, start_ours, stock_has_nothing_to_send
from lab.proxy import Proxy


def counted(run):
    """The figures of the closing line."""
    return {k: v for k, v in re.findall(r"(\w+)=<([\d.]+)>", run.log_lines("sync_client done:")[-1].text)}


# --- names -------------------------------------------------------------------------------------


def test_a_mailbox_named_twice_is_sent_once(users):  # noqa: F811
    append(users, "a", "INBOX/sub")
    with Proxy(users.replica) as proxy:
        run = ours(users.master, "-m", "user/a/sub", "user/a/sub", "user/a/sub/", conf=proxy.conf)
        assert proxy.count["APPLY MAILBOX"] == 1
    assert counted(run)["mailboxes"] == "1"
    assert users.differences() == []


@pytest.mark.parametrize("mode", ["-u", "-s"])
def test_a_user_named_twice_is_asked_for_once(users, mode):  # noqa: F811
    with Proxy(users.replica) as proxy:
        ours(users.master, mode, "a", "b", "a", conf=proxy.conf)
        assert len([name for name, _ in proxy.commands if name in ("GET USER", "GET META")]) == 2


def test_names_of_a_file_are_taken_once_too(users):  # noqa: F811
    with Proxy(users.replica) as proxy:
        ours(users.master, "-u", "-f", log_file(users, "a\na\n"), conf=proxy.conf)
        assert proxy.count["GET USER"] == 1


@pytest.mark.parametrize("mode", ["-u", "-s"])
def test_a_user_may_be_spelled_as_in_his_mailboxes_names(pair, mode):
    with pair.master.imap() as admin:
        admin.create("user/joe.doe")
    ours(pair.master, "-u", "joe^doe")
    with pair.master.imap("joe.doe") as c:
        c.subscribe("INBOX")
    ours(pair.master, mode, "joe^doe")
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


def test_a_user_that_nobody_can_be_is_refused_in_words_and_the_others_are_done(users):  # noqa: F811
    append(users, "a")
    run = ours(users.master, "-u", "../../etc", "a", "-v", check=False)
    assert run.status == 1
    assert "../../etc: no user can be called so" in run.err
    assert users.differences() == []


@pytest.mark.lab(conf={"unixhierarchysep": "no"})
def test_where_dots_separate_a_caret_is_taken_in_a_mailbox_name(pair):
    with pair.master.imap() as admin:
        admin.create("user.fred")
    assert ours(pair.master, "-m", "user.j^doe").status == 0


# --- records that can be none ------------------------------------------------------------------

IMPOSSIBLE = ["USER ../../etc", "META a/b", "QUOTA ../..", "RENAME user.a/b user.c", "USER a!b"]


def test_records_that_can_be_none_are_rejected_by_a_single_run(users):  # noqa: F811
    append(users, "a")
    log = users.master.sync_log()
    log.write_text("\n".join([*IMPOSSIBLE, "USER a", ""]))
    users.master.own(log)
    ours(users.master, "-R", "-1")
    assert not log.exists() or log.read_text() == ""
    assert (log.parent / "rejected").read_text().splitlines() == IMPOSSIBLE
    assert users.differences() == []


def test_records_that_can_be_none_are_rejected_while_the_log_is_followed(users):  # noqa: F811
    log = users.master.sync_log()
    log.write_text("")
    with start_ours(users.master, "-R") as client:
        with open(log, "a") as f:
            f.write("\n".join([*IMPOSSIBLE, ""]))
        client.wait_log("No user name can be: ../../etc")
        eventually(lambda: settled(users)() and log.read_text() == "")
    assert (log.parent / "rejected").read_text().splitlines() == IMPOSSIBLE


# --- a file of records -------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user's needs root")
def test_a_file_of_records_needs_to_be_readable_only(users):  # noqa: F811
    """The stock client opens it for writing, and root's list fails."""
    append(users, "a")
    path = log_file(users, "MAILBOX user.a\n")
    os.chown(path, 0, 0)
    os.chmod(path, 0o644)
    ours(users.master, "-R", "-f", path)
    assert users.differences() == []


# --- the closing line --------------------------------------------------------------------------


def add_partition(server, name="two"):
    folder = server.outside / "spool" / name
    folder.mkdir()
    server.own(folder)
    server.set_conf({f"partition-{name}": folder})
    server.restart()


def test_the_closing_line_counts_users_once_and_what_failed(pair):
    add_partition(pair.master)
    with pair.master.imap() as admin:
        admin.create("user/anna")
        admin.create("user/bert", partition="two")
    for user in ("anna", "bert"):
        append(pair, user)
    run = ours(pair.master, "-A", check=False)
    assert run.status == 1
    told = counted(run)
    assert (told["users"], told["mailboxes"], told["sent"], told["messages"], told["failed"]) == ("2", "2", "1", "1", "1")


def test_what_was_tried_twice_counts_once(users):  # noqa: F811
    append(users, "a")
    with Proxy(users.replica) as proxy:
        proxy.on("APPLY MAILBOX", "NO IMAP_SYNC_CHECKSUM Checksum Failure")
        told = counted(ours(users.master, "-u", "a", conf=proxy.conf))
        assert proxy.count["APPLY MAILBOX"] == 2
    assert (told["users"], told["mailboxes"], told["sent"], told["messages"], told["failed"]) == ("1", "2", "1", "1", "0")


def test_a_record_that_a_larger_one_mends_has_not_failed(users):  # noqa: F811
    append(users, "a")
    with Proxy(users.replica) as proxy:
        proxy.on("GET MAILBOXES", "NO Something went wrong")
        run = ours(users.master, "-R", "-f", log_file(users, "MAILBOX user.a\n"), conf=proxy.conf)
    assert counted(run)["failed"] == "0"


@pytest.mark.parametrize("args", [["-u", "-f", "/nonexistent"], ["-R", "-f", "/nonexistent"], ["-m", "a//b"]])
def test_a_run_that_failed_never_says_that_nothing_did(users, args):  # noqa: F811
    run = ours(users.master, *args, check=False)
    assert run.status == 1 and counted(run)["failed"] == "1"


# --- sessions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["-R", "-r"])
def test_with_o_a_session_that_we_renew_ourselves_is_not_a_lost_one(users, mode):  # noqa: F811
    with start_ours(users.master, mode, "-o", "-t", "1", env={"CYRUS_ISDAEMON": "1"}) as client:
        client.wait_log("sync_client RESTART succeeded", count=2)
        append(users, "a")
        eventually(lambda: settled(users)() and users.differences() == [])
        assert client.alive()
    assert client.status == 75


# --- numbers, hosts and channels ---------------------------------------------------------------


@pytest.mark.parametrize("args", [["-R", "-d", "x"], ["-R", "-t", "1 hour"], ["-u", "-w", "soon", "a"], ["-u", "--json", "a"]])
def test_what_makes_no_sense_is_refused_before_anything_is_done(users, args):  # noqa: F811
    run = ours(users.master, *args, check=False)
    assert run.status == 64 and run.log_lines() == []


@pytest.mark.parametrize("suffix", [":12005/TLS", ":12005/ssl", ":12005/imap", "/tsl", ":12005/"])
def test_a_misspelt_option_of_the_host_is_fatal_and_nothing_is_sent_in_the_clear(users, suffix):  # noqa: F811
    with Proxy(users.replica) as proxy:
        run = ours(users.master, "-u", "a", conf={**proxy.conf, "sync_host": users.replica.address + suffix}, check=False)
    assert run.status == 78
    assert f"there is no option '{suffix[suffix.index('/'):]}' of a host" in run.err
    assert proxy.commands == []


def test_compression_that_is_required_and_turned_off_is_refused(users):  # noqa: F811
    run = ours(users.master, "-z", "-u", "a", conf={"sync_compress": "off"}, check=False)
    assert run.status == 78 and "sync_compress" in run.err


def test_a_channels_override_is_read_as_the_option_itself(users):  # noqa: F811
    """no was taken for a word of its own, which meant auto."""
    conf = {"sync_compress": "on", "east_sync_compress": "no"}
    assert ours(users.master, "-z", "-u", "a", conf=conf).status == 0
    assert ours(users.master, "-z", "-n", "east", "-u", "a", conf=conf, check=False).status == 78
