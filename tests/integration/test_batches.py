"""-R -f FILE: records of a sync log carried out as one batch.

The numbers are the conformance statements of the operator's specification; where our client
deliberately differs from the stock one the test says so.
"""
from pathlib import Path

import pytest
from test_modes import SyncLock, progress

from lab.clients import ours, stock_has_nothing_to_send
from lab.proxy import Proxy


@pytest.fixture
def users(pair):
    with pair.master.imap() as admin:
        for name in ("a", "b", "c"):
            admin.create(f"user/{name}")
            admin.create(f"user/{name}/sub")
        admin.create("shared")
        admin.create("shared/x")
    ours(pair.master, "-A")
    return pair


def append(pair, user, box="INBOX"):
    with pair.master.imap(user) as c:
        c.append(box, b"Subject: x\r\n\r\nhello\r\n")


def log_file(pair, text):
    path = pair.master.folder / "records"
    file = Path(path)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    pair.master.own(file)
    return str(path)


def replay(pair, text, *args, check=True, **conf):
    with Proxy(pair.replica) as proxy:
        run = ours(pair.master, "-R", "-v", "-f", log_file(pair, text), *args, conf={**proxy.conf, **conf}, check=check)
        run.commands_seen = [name for name, _ in proxy.commands]
        run.lines_seen = [line for _, line in proxy.commands]
    return run


def uids(server, user, box="INBOX"):
    with server.imap(user) as c:
        return c.uids(box)


# --- parsing -----------------------------------------------------------------------------------


def test_62_case_crlf_and_empty_lines_are_no_matter(users):
    append(users, "a")
    append(users, "b")
    replay(users, "\n\r\nmailbox user.a\r\nApPeNd user.b\n")
    assert uids(users.replica, "a") == [1] and uids(users.replica, "b") == [1]


def test_63_64_65_66_a_bad_line_costs_itself_and_is_told(users):
    """66: the stock client ignores the rest of the file without a word."""
    append(users, "a")
    run = replay(users, 'FOO user.b\nNOARG\nMAILBOX user.a user.b user.c\nMAILBOX (foo\nMAILBOX "user.c\nMAILBOX user.a\n')
    assert uids(users.replica, "a") == [1]
    assert run.log_lines("Unknown action type: FOO")
    assert run.log_lines("Garbage at end of input line")
    assert len(run.log_lines(r"records: line \d+: ")) == 4


def test_67_a_last_line_without_newline_is_done_with_a_warning(users):
    append(users, "a")
    run = replay(users, "MAILBOX user.a")
    assert uids(users.replica, "a") == [1]
    assert [line.severity for line in run.log_lines("does not end in a newline")] == ["warning"]


def test_68_records_on_standard_input(users):
    append(users, "a")
    ours(users.master, "-R", "-f", "-", stdin=b"MAILBOX user.a\n")
    assert uids(users.replica, "a") == [1]


def test_69_the_file_stays_and_r_does_not_go_into_the_background(users):
    append(users, "a")
    path = log_file(users, "MAILBOX user.a\n")
    run = ours(users.master, "-r", "-f", path)
    assert run.log_lines(f"Reprocessing sync log file {path}")
    assert Path(path).read_text() == "MAILBOX user.a\n"
    assert uids(users.replica, "a") == [1]


def test_a_missing_file_and_one_that_may_not_be_opened(users):
    run = ours(users.master, "-R", "-f", "/nonexistent", check=False)
    assert run.status == 1 and run.log_lines("No sync log filename")
    path = log_file(users, "MAILBOX user.a\n")
    Path(path).chmod(0o400)
    run = ours(users.master, "-R", "-f", path, check=False)
    assert run.status in (0, 1) and (run.status == 0 or run.log_lines(f"Failed to open {path}"))


def test_names_that_need_quotes(users):
    with users.master.imap() as admin:
        admin.create('user/a/with odd name')
    append(users, "a", 'INBOX/with odd name')
    line = users.master.sync_log().read_text().splitlines()[-1]
    replay(users, line + "\n")
    assert uids(users.replica, "a", 'INBOX/with odd name') == [1]


# --- batches -----------------------------------------------------------------------------------

EVERYTHING = """\
UNUSER nobody
USER c
META b
UNMAILBOX user.b.gone
SUB b user.b.sub
UNSUB c user.c
SEEN b someid
ANNOTATION ""
QUOTA user.b
RENAME user.a.old user.a.new
DOUBLEMAILBOX user.a user.b
APPEND user.a
MAILBOX user.a
SIEVE b
"""


@pytest.mark.lab(conf={"delete_mode": "immediate"})
def test_70_every_record_type_in_cyruss_order(users):
    with users.master.imap("b") as c:
        c.create("INBOX/gone")
    with users.master.imap("a") as c:
        c.create("INBOX/old")
    with users.master.imap() as admin:
        admin.setquota("user/b", STORAGE=1000)
        admin.create("user/nobody")
    ours(users.master, "-A")
    with users.master.imap() as admin:
        admin.setacl("user/nobody", "cyrus", "lrswipkxtecdan")
        admin.delete("user/nobody")
        admin.setmetadata("", "/shared/comment", "hello")
    with users.master.imap("b") as c:
        c.delete("INBOX/gone")
        c.subscribe("INBOX/sub")
    with users.master.imap("a") as c:
        c.rename("INBOX/old", "INBOX/new")
    append(users, "c", "INBOX/sub")
    run = replay(users, EVERYTHING)
    # UNMAILBOX goes with the mailboxes: what the replica has under the name is asked for first
    order = ["GET MAILBOXES", "APPLY UNMAILBOX", "APPLY QUOTA", "GET ANNOTATION", "GET META", "GET USER", "APPLY UNUSER"]
    places = [run.commands_seen.index(name) for name in order]
    assert places == sorted(places)
    assert "APPLY RENAME" in run.commands_seen
    assert users.differences() == []
    assert stock_has_nothing_to_send(users.master) == []


def test_71_a_user_covers_meta_seen_and_sub_but_his_mailboxes_come_before(users):
    append(users, "a")
    run = replay(users, "USER a\nMETA a\nSEEN a x\nSUB a user.a\nMAILBOX user.a\n")
    asked = [name for name in run.commands_seen if name.startswith("GET")]
    assert asked == ["GET MAILBOXES", "GET USER"]
    assert not any(name in ("APPLY SUB", "APPLY SEEN") for name in run.commands_seen)


def test_72_an_unuser_of_a_user_who_exists_deletes_nothing(users):
    """He is compared: the stock client takes both records for done without a look at the replica."""
    append(users, "a")
    run = replay(users, "USER a\nUNUSER a\n")
    assert run.commands_seen.count("GET USER") == 1 and "APPLY UNUSER" not in run.commands_seen
    assert users.differences() == []


def test_73_a_mailbox_appears_once(users):
    run = replay(users, "MAILBOX user.a\nAPPEND user.a\nMAILBOX user.a\n")
    assert [x for x in progress(run) if x.startswith("MAILBOXES")] == ["MAILBOXES user.a"]


def test_74_a_double_mailbox_is_one_question(users):
    run = replay(users, "DOUBLEMAILBOX user.a user.b\n")
    assert [x for x in progress(run) if x.startswith("MAILBOXES")] == ["MAILBOXES user.a user.b"]


def test_75_an_unmailbox_without_tombstone_deletes_nothing(users):
    run = replay(users, "UNMAILBOX user.a.never\n")
    assert run.log_lines("SYNCNOTICE: attempt to UNMAILBOX without a tombstone: mailbox=<user.a.never>")
    assert "APPLY UNMAILBOX" not in run.commands_seen


def test_75_an_unmailbox_of_a_mailbox_that_exists_deletes_nothing(users):
    assert "APPLY UNMAILBOX" not in replay(users, "UNMAILBOX user.a.sub\n").commands_seen


def test_76_an_unuser_of_nobody_is_ignored_with_a_warning(users):
    run = replay(users, 'UNUSER ""\n')
    assert [line.severity for line in run.log_lines("ignoring attempt to do_unuser")] == ["warning"]


def test_77_a_sub_sends_the_present_state(users):
    with users.master.imap("a") as c:
        c.subscribe("INBOX/sub")
    assert "APPLY SUB" in replay(users, "SUB a user.a.sub\n").commands_seen
    with users.master.imap("a") as c:
        c.unsubscribe("INBOX/sub")
    assert "APPLY UNSUB" in replay(users, "SUB a user.a.sub\n").commands_seen


def test_a_seen_record_sends_that_one_state_and_an_unknown_one_nothing(users):
    with users.master.imap() as admin:
        admin.setacl("user/a", "b", "lrs")
    append(users, "a")
    ours(users.master, "-A")
    with users.master.imap("b") as c:
        c.fetch("1", "BODY[]", "user/a")
    line = [x for x in users.master.sync_log().read_text().splitlines() if x.startswith("SEEN b ")][-1]
    run = replay(users, line + "\nSEEN b nosuchid\n")
    assert run.commands_seen.count("APPLY SEEN") == 1


def test_78_a_failing_personal_mailbox_becomes_a_user(users):
    append(users, "a")
    append(users, "b")
    with Proxy(users.replica) as proxy:
        proxy.on("GET MAILBOXES", "NO Something went wrong")
        run = ours(users.master, "-R", "-v", "-f", log_file(users, "MAILBOX user.a\nMAILBOX user.b\n"), conf=proxy.conf)
        asked = [name for name, _ in proxy.commands if name.startswith("GET")]
    (line,) = run.log_lines("  Promoting: MAILBOX ")
    assert line.text.startswith("  Promoting: MAILBOX user.") and "-> USER" in line.text
    assert asked[-1] == "GET USER"
    assert uids(users.replica, "a") == [1] and uids(users.replica, "b") == [1]


def test_79_a_failing_quota_becomes_its_owner(users):
    """The stock client crashes, or forgets it."""
    with users.master.imap() as admin:
        admin.setquota("user/b", STORAGE=1000)
    with Proxy(users.replica) as proxy:
        proxy.on("APPLY QUOTA", "NO Something went wrong")
        run = ours(users.master, "-R", "-f", log_file(users, "QUOTA user.b\n"), conf=proxy.conf)
        assert proxy.count["GET USER"] == 1
    assert run.log_lines("  Promoting: QUOTA user.b -> USER b")
    assert users.differences() == []


def test_79_a_failing_shared_quota_is_an_error(users):
    with users.master.imap() as admin:
        admin.setquota("shared", STORAGE=1000)
    with Proxy(users.replica) as proxy:
        proxy.on("APPLY QUOTA", "NO Something went wrong")
        run = ours(users.master, "-R", "-f", log_file(users, "QUOTA shared\n"), conf=proxy.conf, check=False)
    assert run.status == 1 and run.log_lines("Processing sync log file .* failed: .*Something went wrong")


def test_80_a_failing_shared_mailbox_is_told_whatever_follows(users):
    """The stock client forgets it in more than half of the runs."""
    append(users, "a")
    (users.master.mailbox_folder("shared.x") / "cyrus.index").write_bytes(b"")
    records = "MAILBOX shared.x\nMAILBOX shared\nMAILBOX user.a\nMAILBOX user.b\nMAILBOX user.c\n"
    for _ in range(3):
        assert replay(users, records, check=False).status == 1
    assert uids(users.replica, "a") == [1]


def test_81_82_a_locked_user_is_deferred_to_the_channels_log(users):
    """82: the stock client does so on named channels only."""
    append(users, "a")
    append(users, "b")
    for channel in (None, "east"):
        conf = {"sync_host": users.replica.address, "sync_port": users.replica.sync_port}
        path = users.master.sync_log(channel)
        before = path.read_text() if path.exists() else ""
        with SyncLock(users, "a"):
            run = ours(users.master, *(["-n", channel] if channel else []), "-N", "-R", "-f",
                       log_file(users, "MAILBOX user.a\nMAILBOX user.b\nSEEN a x\n"), conf=conf)
        assert [x.text for x in run.log_lines("Deferred")] == ["  Deferred: MAILBOX user.a", "  Deferred: SEEN a x"]
        assert path.read_text()[len(before):] == "MAILBOX user.a\nSEEN a x\n"
    assert uids(users.replica, "b") == [1]


@pytest.mark.lab(conf={"sync_log_channels": "east west"})
def test_84_a_skip_file_keeps_a_user_back(users):
    append(users, "a")
    append(users, "b")
    folder = users.master.sync_log("east").parent
    (folder / "skipuser-a").write_text("")
    before = users.master.sync_log("east").read_text()
    run = replay(users, "MAILBOX user.a\nMAILBOX user.b\n", "-n", "east")
    assert run.log_lines("  Deferred: MAILBOX user.a")
    assert users.master.sync_log("east").read_text()[len(before):] == "MAILBOX user.a\n"
    assert ours(users.master, "-n", "east", "-u", "a", check=False).status == 1
    assert ours(users.master, "-n", "east", "-A").log_lines("Skipping locked user a")
    assert uids(users.replica, "b") == [1]
    ours(users.master, "-u", "a")
    assert uids(users.replica, "a") == [1]


# --- objects -----------------------------------------------------------------------------------


@pytest.mark.lab(conf={"delete_mode": "immediate"})
def test_a_folder_deleted_and_made_again_between_two_syncs(users):
    """The stock client answers with a permanent MOVED."""
    append(users, "a", "INBOX/sub")
    ours(users.master, "-A")
    start = users.master.sync_log().read_text()
    with users.master.imap("a") as c:
        c.delete("INBOX/sub")
        c.create("INBOX/sub")
        c.append("INBOX/sub", b"Subject: y\r\n\r\nanother\r\n", b"Subject: z\r\n\r\nmore\r\n")
    # Without the record nothing tells this folder from one that was made on the replica: it stays.
    assert ours(users.master, "-A", check=False).status == 1
    assert uids(users.replica, "a", "INBOX/sub") == [1]
    replay(users, users.master.sync_log().read_text()[len(start):])
    assert users.differences() == []
    assert stock_has_nothing_to_send(users.master) == []


@pytest.mark.parametrize("mode", ["immediate", "delayed"])
def test_a_deleted_user(pair, mode):
    pair.master.set_conf(delete_mode=mode)
    pair.replica.set_conf(delete_mode=mode)
    for server in pair.servers:
        server.restart()
    with pair.master.imap() as admin:
        admin.create("user/gone")
        admin.create("user/gone/sub")
        admin.create("user/stays")
        admin.setquota("user/gone", STORAGE=1000)
    with pair.master.imap("gone") as c:
        c.append("INBOX/sub", b"Subject: y\r\n\r\nanother\r\n")
        c.subscribe("INBOX/sub")
    ours(pair.master, "-A")
    start = pair.master.sync_log().read_text()
    with pair.master.imap() as admin:
        admin.setacl("user/gone", "cyrus", "lrswipkxtecdan")
        admin.delete("user/gone")
    replay(pair, pair.master.sync_log().read_text()[len(start):])
    assert pair.differences() == []
    with pair.replica.imap() as admin:
        assert not [name for name in admin.list() if "user/gone" in str(name) and "DELETED" not in str(name)]


def test_a_renamed_user(pair):
    for server in pair.servers:
        server.set_conf(allowusermoves="yes")
        server.restart()
    with pair.master.imap() as admin:
        for name in ("old", "old/sub", "old/sub/more"):
            admin.create(f"user/{name}")
    with pair.master.imap("old") as c:
        c.append("INBOX/sub", b"Subject: y\r\n\r\nanother\r\n")
        c.subscribe("INBOX/sub")
    ours(pair.master, "-A")
    start = pair.master.sync_log().read_text()
    with pair.master.imap() as admin:
        admin.rename("user/old", "user/new")
    replay(pair, pair.master.sync_log().read_text()[len(start):])
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.lab(services=("imap", "lmtp", "sync", "sieve", "syncunix"), conf={"sync_log_channels": '"" east squatter'})
def test_other_channels_hear_of_a_copyback(users):
    users.master.set_conf(sync_copyback_host=users.master.sync_socket)
    with users.replica.imap("a") as there:
        there.append("INBOX", b"Subject: theirs\r\n\r\nx\r\n")
    before = {c: users.master.sync_log(c).read_text() for c in (None, "east", "squatter")}
    replay(users, "MAILBOX user.a\n")
    after = {c: users.master.sync_log(c).read_text()[len(before[c]):] for c in before}
    assert after[None] == "" and after["east"] == "MAILBOX user.a\n"
    assert after["squatter"].count("MAILBOX user.a\n") >= 1  # by the server itself
