"""The modes -u, -m, -A, -s as operators know them: what is tried, said and returned.

The numbers are the conformance statements of the operator's specification; where our client
deliberately differs from the stock one the test says so.
"""
import fcntl
import re

import pytest

from lab.clients import ours
from lab.proxy import Proxy


@pytest.fixture
def users(pair):
    with pair.master.imap() as admin:
        for name in ("a", "b", "c"):
            admin.create(f"user/{name}")
        admin.create("shared")
        admin.create("shared/x")
    return pair


def progress(run):
    """The progress lines without those of the connection."""
    return [line for line in run.out.splitlines() if not line.startswith("ENABLE")]


class SyncLock:
    """Holds a user's sync lock as another client to the same replica would."""

    def __init__(self, pair, user):
        name = f"*S*{pair.replica.address.replace('.', '^')}*{user}"
        conf = pair.master.conf
        folder = conf["mboxname_lockpath"]
        if conf.get("hashimapspool") == "yes":
            folder = folder / "q"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.lock"
        pair.master.own(folder)

    def __enter__(self):
        self.file = open(self.path, "w")
        self.path.chmod(0o666)
        fcntl.lockf(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


def test_12_no_objects_connects_and_is_content(users):
    run = ours(users.master, "-u", "-v")
    assert progress(run) == []
    assert users.replica.log_lines("login: .* repl PLAIN")


def test_13_a_user_without_inbox_is_skipped_with_success(users):
    run = ours(users.master, "-u", "-v", "nosuch")
    assert "Does not exist locally nosuch" in progress(run)


def test_14_the_others_are_tried_when_one_fails(users):
    with SyncLock(users, "a"):
        run = ours(users.master, "-N", "-v", "-u", "a", "b", check=False)
    assert run.status == 1
    assert "MAILBOX user.b" in progress(run)
    assert run.log_lines(r"Error in sync_do_user\(a\): bailing out!")
    assert "Error from sync_do_user(a): bailing out!" in run.err


def test_15_16_the_file_of_names_is_taken_as_it_stands(users, tmp_path):
    path = users.master.outside / "names"
    path.write_text("# comment\na\n\n b\nc")
    run = ours(users.master, "-v", "-u", "-f", str(path), "extra")
    assert sorted(x for x in progress(run) if x.startswith("USER")) == ["USER  b", "USER a", "USER c"]
    assert "Does not exist locally  b" in progress(run)


def test_17_a_missing_file_of_names(users):
    run = ours(users.master, "-u", "-f", "/missing", check=False)
    assert run.status == 1
    (line,) = run.log_lines("Unable to open /missing")
    assert line.severity == "notice"
    assert run.err == ""


def test_18_a_name_that_cannot_be_one_is_told_and_the_others_are_done(users):
    # stock: dropped silently, exit 0
    run = ours(users.master, "-v", "-m", "user.a", "user/b", check=False)
    assert run.status == 1
    assert run.log_lines(r"SYNCERROR: .*user.a")
    assert "MAILBOXES user.b" in progress(run)


def test_19_mailboxes_are_asked_for_in_one_question_in_order(users):
    with Proxy(users.replica) as proxy:
        run = ours(users.master, "-v", "-m", "user/b", "user/a", conf=proxy.conf)
        assert proxy.count["GET MAILBOXES"] == 1
    assert progress(run)[0] == "MAILBOXES user.b user.a"
    assert "MAILBOX user.a" in progress(run) and "MAILBOX user.b" in progress(run)


def test_20_a_dot_inside_a_name(users):
    with users.master.imap() as admin:
        admin.create("user/j.doe")
    run = ours(users.master, "-v", "-m", "user/j.doe")
    assert progress(run)[0] == "MAILBOXES user.j^doe"


def test_a_mailbox_unknown_to_both_sides_is_no_error(users):
    assert ours(users.master, "-m", "user/nosuch").status == 0


def test_21_all_users_once_each_and_shared_mailboxes(users):
    with users.master.imap("a") as a:
        a.create("INBOX/Gone")
        a.delete("INBOX/Gone")
        a.create("INBOX/Kept")
    with Proxy(users.replica) as proxy:
        run = ours(users.master, "-A", "-v", conf=proxy.conf)
        assert proxy.count["GET USER"] == 3
    said = progress(run)
    assert [x for x in said if x.startswith("USER")] == ["USER a", "USER b", "USER c"]
    assert "MAILBOXES shared.x" in said and "MAILBOX user.a.Kept" in said
    assert not any(x.startswith("MAILBOXES DELETED.user") for x in said)


def test_22_a_prefix_limits_the_run(users):
    run = ours(users.master, "-A", "-v", "user.b")
    assert [x for x in progress(run) if x.startswith("USER") or x.startswith("MAILBOXES")] == ["USER b"]


def test_23_one_failing_mailbox_stops_nobody(users):
    index = users.master.mailbox_folder("user.b") / "cyrus.index"
    index.write_bytes(b"")
    run = ours(users.master, "-A", "-v", check=False)
    assert run.status == 1
    assert run.log_lines(r"Error in do_user\(b\): bailing out!")
    assert {"MAILBOX user.a", "MAILBOX user.c", "MAILBOX shared.x"} <= set(progress(run))


def test_24_a_locked_user_is_skipped_with_success(users):
    with SyncLock(users, "b"):
        run = ours(users.master, "-N", "-A", "-v")
    assert run.status == 0
    assert "Skipping locked user b" in run.err
    assert "MAILBOX user.b" not in progress(run) and "MAILBOX user.c" in progress(run)


def test_without_N_a_lock_is_waited_for_while_the_others_are_done(users):
    from lab.clients import start_ours
    lock = SyncLock(users, "b")
    with lock:
        with start_ours(users.master, "-A", "-l") as p:
            p.wait_log("MAILBOX user.c")
            assert p.alive()
            lock.file.close()
            run = p.finish(30)
    assert run.status == 0
    assert run.log_lines("MAILBOX user.b")


def test_25_metadata_of_a_user_needs_no_lock(users):
    ours(users.master, "-u", "a")  # without an INBOX there the replica has no place for them
    with users.master.imap("a") as a:
        a.subscribe("INBOX")
    with SyncLock(users, "a"):
        run = ours(users.master, "-N", "-v", "-s", "a")
    assert progress(run) == ["META a", "SUB a user.a"]


@pytest.mark.lab(replica_conf={})
def test_29_archive_is_asked_for_where_it_is_offered(users):
    run = ours(users.master, "-a", "-u", "a")
    (line,) = run.log_lines("Destination doesn't support replication to archive")
    assert line.severity == "notice"


def test_30_nothing_is_printed_without_v(users):
    for args in (["-A"], ["-u", "a"], ["-m", "user/a"], ["-s", "a"]):
        run = ours(users.master, *args)
        assert (run.out, run.err) == ("", "")


def test_31_l_sends_the_same_lines_to_syslog(users):
    run = ours(users.master, "-l", "-u", "a")
    assert run.out == ""
    lines = run.log_lines(r"^(USER a|MAILBOX user\.a)$")
    assert len(lines) == 2 and {x.severity for x in lines} == {"info"}


def test_32_the_protocol_is_shown_with_v_v(users):
    run = ours(users.master, "-v", "-v", "-u", "a")
    assert re.search(r">\d{10}>GET USER a\r?\n", run.err)
    assert re.search(r"<\d{10}<OK success", run.err)
    assert "secret" not in run.err


@pytest.mark.lab(services=("imap", "sync", "syncunix"))
def test_39_a_unix_socket_needs_no_login(users):
    run = ours(users.master, "-v", "-u", "a", conf={"sync_host": str(users.replica.sync_socket),
                                                    "sync_password": None, "sync_authname": None})
    assert "ENABLE" not in run.out
    assert "MAILBOX user.a" in progress(run)


def test_35_one_attempt_with_o(users):
    run = ours(users.master, "-o", "-u", "a", conf={"sync_port": 1}, check=False, timeout=20)
    assert run.status == 1
    assert "retrying" not in run.err
    assert "Can not connect to server" in run.err


def test_33_34_waits_between_attempts(users):
    from lab.clients import start_ours
    with start_ours(users.master, "-u", "a", conf={"sync_port": 1, "sync_reconnect_maxwait": "1s"}) as p:
        p.wait_log("connect")
        import time
        time.sleep(2.5)
        assert p.alive()
        run = p.stop()
    assert run.err.count("retrying in 1 seconds") >= 2
    assert run.status == 75


def test_36_a_wrong_password_is_a_failed_connection(users):
    run = ours(users.master, "-o", "-u", "a", conf={"sync_password": "wrong"}, check=False, timeout=30)
    assert run.status == 1 and run.log_lines("authenticat|[Ll]ogin")
    assert "wrong" not in "".join(str(x) for x in run.log_lines())


def test_37_a_login_that_is_no_administrator_ends_the_run_and_says_what_to_do(users):
    users.replica.set_conf(admins="cyrus")
    users.replica.restart()
    run = ours(users.master, "-u", "a", "b", check=False)
    assert run.status == 1
    assert run.log_lines("received NO response: .*Permission denied")
    assert "repl must be in the replica's admins" in run.err
    assert run.commands("GET") == [] # no object is tried


def test_43_the_server_of_the_command_line_wins(users):
    conf = {"sync_host": "192.0.2.1", "east_sync_host": "192.0.2.2"}
    run = ours(users.master, "-n", "east", "-S", users.replica.address, "-u", "a", conf=conf, timeout=20)
    assert run.status == 0


def test_44_45_channel_overrides_and_the_programs_own_prefix(users):
    address = users.replica.address
    for conf, channel in (
            ({"sync_host": "192.0.2.1", "east_sync_host": address}, ["-n", "east"]),
            ({"sync_host": "192.0.2.1", "east_sync_host": address}, ["-n", "EAST"]),
            ({"sync_host": "192.0.2.1", "sync_client_sync_host": address}, []),
            ({"east_sync_host": "192.0.2.1", "sync_client_east_sync_host": address}, ["-n", "east"])):
        assert ours(users.master, *channel, "-o", "-u", "a", conf=conf, timeout=20).status == 0


def test_47_the_port_behind_the_host_wins(users):
    server = f"{users.replica.address}:{users.replica.sync_port}"
    assert ours(users.master, "-S", server, "-o", "-u", "a", conf={"sync_port": 1}, timeout=20).status == 0


def test_49_the_syslog_ident_has_the_prefix(users):
    run = ours(users.master, "-l", "-u", "a", env={"CYRUS_SYSLOG_PREFIX": "P"})
    assert {x.ident for x in run.log_lines("USER a")} == {"P/sync_client"}


def test_a_mailbox_changed_on_the_replica_is_a_clear_error_and_nothing_is_lost(users):
    with users.master.imap("a") as a:
        a.append("INBOX", b"Subject: 1\r\n\r\none\r\n")
    ours(users.master, "-A")
    with users.replica.imap("a") as there:
        there.append("INBOX", b"Subject: 2\r\n\r\ntwo\r\n", b"Subject: 3\r\n\r\nthree\r\n")
    with users.master.imap("a") as a:
        a.append("INBOX", b"Subject: 4\r\n\r\nfour\r\n")
    run = ours(users.master, "-A", conf={"sync_copyback": "off"}, check=False)
    assert run.status == 1
    assert run.log_lines(r"user replication failed: .*user\.a: .*both sides have changed")
    with users.replica.imap("a") as there:
        assert len(there.uids("INBOX")) == 3
    with users.master.imap("a") as a:
        assert len(a.uids("INBOX")) == 2
