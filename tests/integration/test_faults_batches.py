"""Records of a log that belong together, and records that must not be confirmed unread.

A chain of renames is one piece of work, whatever trees it leads through; and no record counts as
done unless the replica's state was compared after it had been read.
"""
import pytest
from test_batches import append, log_file, replay
from test_rolling import eventually, settled

from lab.clients import ours, start_ours, stock, stock_has_nothing_to_send
from lab.proxy import Proxy

RIGHTS = "lrswipkxtecda"
MESSAGE = b"Subject: y\r\n\r\nmore\r\n"


def in_step(pair):
    return pair.differences() == [] and stock_has_nothing_to_send(pair.master) == []


def new_records(pair, edit):
    """The records that an edit leaves in the log, which is empty before."""
    pair.master.sync_log().unlink(missing_ok=True)
    edit()
    return pair.master.sync_log().read_text()


@pytest.fixture
def shared(pair):
    """A shared mailbox with a message, and two users, replicated."""
    with pair.master.imap() as admin:
        for user in ("fred", "joe"):
            admin.create(f"user/{user}")
        admin.create("user/fred/f1")
        admin.create("pub2")
        admin.setacl("pub2", "anyone", RIGHTS)
        admin.append("pub2", MESSAGE)
    append(pair, "fred", "INBOX/f1")
    stock(pair.master, "-A")
    return pair


def renamed_twice(shared):
    """The records of a shared mailbox that was pub2, pub8 and is pub9."""
    def edit():
        with shared.master.imap() as admin:
            admin.rename("pub2", "pub8")
            admin.rename("pub8", "pub9")
    return new_records(shared, edit)


# --- chains ------------------------------------------------------------------------------------


def test_a_shared_mailbox_renamed_twice_arrives_under_its_last_name(shared):
    replay(shared, renamed_twice(shared))
    assert in_step(shared)


def test_rolling_mode_moves_a_shared_mailbox_that_was_renamed_twice_before_it_looked(shared):
    renamed_twice(shared)
    with start_ours(shared.master, "-R", "-o") as client:
        with shared.replica.imap() as admin:
            eventually(lambda: "pub9" in map(str, admin.list()), what="the mailbox's last name")
        eventually(settled(shared), what="the last confirmation")
        assert client.stop().status == 75
        assert not client.log_lines("SYNCERROR|IOERROR|Promoting")
    assert in_step(shared)


@pytest.mark.parametrize("mode", ["delayed", "immediate"])
def test_a_shared_mailbox_renamed_and_then_deleted_is_deleted(pair, mode):
    for server in pair.servers:
        server.set_conf(delete_mode=mode)
        server.restart()
    with pair.master.imap() as admin:
        admin.create("pub2")
        admin.setacl("pub2", "anyone", RIGHTS)
        admin.append("pub2", MESSAGE)
    stock(pair.master, "-A")

    def edit():
        with pair.master.imap() as admin:
            admin.rename("pub2", "pub8")
            admin.setacl("pub8", "cyrus", RIGHTS)
            admin.delete("pub8")
    replay(pair, new_records(pair, edit))
    with pair.replica.imap() as admin:
        assert [x for x in admin.list() if str(x).startswith("pub")] == []
    assert in_step(pair)


def test_a_chain_that_leads_through_three_owners_is_one_job(shared):
    def edit():
        with shared.master.imap() as admin:
            admin.rename("user/fred/f1", "user/joe/f2")
            admin.rename("user/joe/f2", "pub3")
            admin.rename("pub3", "pub4")
            admin.rename("pub2", "user/joe/f2")
    records = new_records(shared, edit)
    run = replay(shared, records)
    assert len([line for line in run.out.splitlines() if line.startswith("MAILBOXES")]) == 1
    assert in_step(shared)


def test_a_chain_that_fails_is_kept_whole(shared):
    """Half of it, tried again, would never be understood."""
    records = renamed_twice(shared)
    with Proxy(shared.replica) as proxy:
        proxy.on("APPLY RENAME", "NO Something went wrong")
        run = ours(shared.master, "-R", "-1", conf=proxy.conf, check=False)
    assert run.status == 1
    left = shared.master.sync_log().read_text()
    assert set(line for line in records.splitlines() if "RENAME" in line) <= set(left.splitlines())
    ours(shared.master, "-R", "-1")
    assert in_step(shared)


def test_other_shared_mailboxes_have_no_part_in_a_chains_failure(shared):
    with shared.master.imap() as admin:
        admin.create("other")
        admin.setacl("other", "anyone", RIGHTS)

    def edit():
        with shared.master.imap() as admin:
            admin.rename("pub2", "pub8")
            admin.append("other", MESSAGE)
    new_records(shared, edit)
    with Proxy(shared.replica) as proxy:
        proxy.on("APPLY RENAME", "NO Something went wrong")
        ours(shared.master, "-R", "-1", conf=proxy.conf, check=False)
    left = shared.master.sync_log().read_text()
    assert "pub8" in left and "other" not in left


def test_both_owners_of_a_failed_move_are_tried_whole(shared):
    def edit():
        append(shared, "fred")
        append(shared, "joe")
        with shared.master.imap() as admin:
            admin.rename("user/fred/f1", "user/joe/f2")
    records = new_records(shared, edit)
    with Proxy(shared.replica) as proxy:
        proxy.on("GET MAILBOXES", "NO Something went wrong")
        run = ours(shared.master, "-R", "-f", log_file(shared, records), conf=proxy.conf, check=False)
        users = {line.rsplit(None, 1)[-1] for name, line in proxy.commands if name == "GET USER"}
    assert users == {"fred", "joe"}
    assert run.log_lines("  Promoting: MAILBOX user.joe.f2 -> USER joe")


# --- confirmed means compared ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["delayed", "immediate"])
def test_a_user_made_again_is_compared_not_passed_over(pair, mode):
    """UNUSER covers SUB, SEEN, META and USER: it must not if he is there again."""
    for server in pair.servers:
        server.set_conf(delete_mode=mode)
        server.restart()
    with pair.master.imap() as admin:
        admin.create("user/fred")
    stock(pair.master, "-A")

    def edit():
        with pair.master.imap() as admin:
            admin.setacl("user/fred", "cyrus", RIGHTS)
            admin.delete("user/fred")
            admin.create("user/fred")
        with pair.master.imap("fred") as c:
            c.subscribe("INBOX")
    replay(pair, new_records(pair, edit))
    assert in_step(pair)


def test_records_that_an_unuser_of_somebody_who_is_here_covers_are_carried_out(shared):
    with shared.master.imap("fred") as c:
        c.subscribe("INBOX/f1")
    replay(shared, "SUB fred user.fred.f1\nUNUSER fred\n")
    assert in_step(shared)


def test_a_failed_record_of_somebody_without_inbox_is_not_confirmed(shared):
    """META and SUB of an administrator without mailboxes fail; his USER has nothing to compare."""
    with shared.master.imap() as admin:
        admin.subscribe("pub2")
    with Proxy(shared.replica) as proxy:
        proxy.on("APPLY SUB", "NO Something went wrong", nth=1)
        proxy.on("GET META", "NO Something went wrong", nth=1)
        run = ours(shared.master, "-R", "-f", log_file(shared, "SUB cyrus pub2\n"), conf=proxy.conf, check=False)
    assert run.status == 1
    assert run.log_lines("Processing sync log file .* failed: .*Something went wrong")


def test_a_user_without_inbox_covers_nothing(shared):
    with shared.master.imap() as admin:
        admin.subscribe("pub2")
    replay(shared, "SUB cyrus pub2\nUSER cyrus\n")
    with shared.replica.imap() as admin:
        assert "pub2" in str(admin.command("LSUB", '""', '"*"'))


def test_a_folder_made_again_after_the_record_of_its_deletion_is_compared(pair):
    """The record of the new one has not been read yet: without the other's it is refused for ever."""
    for server in pair.servers:
        server.set_conf(delete_mode="immediate")
        server.restart()
    with pair.master.imap() as admin:
        admin.create("user/fred")
        admin.create("user/fred/f1")
    append(pair, "fred", "INBOX/f1")
    stock(pair.master, "-A")

    def edit():
        with pair.master.imap("fred") as c:
            c.delete("INBOX/f1")
            c.create("INBOX/f1")
    new_records(pair, edit)
    replay(pair, "UNMAILBOX user.fred.f1\n")
    assert in_step(pair)


def test_what_was_not_reached_is_not_confirmed(shared):
    """One mailbox of a group is damaged, and the session ends before the others are sent."""
    with shared.master.imap() as admin:
        for name in ("f2", "f3"):
            admin.create(f"user/fred/{name}")
    stock(shared.master, "-A")
    for box in ("f1", "f2", "f3"):
        append(shared, "fred", f"INBOX/{box}")
    shared.master.sync_log().write_text("".join(f"MAILBOX user.fred.f{i}\n" for i in (1, 2, 3)))
    shared.master.own(shared.master.sync_log())
    (shared.master.mailbox_folder("user.fred.f1") / "cyrus.index").write_bytes(b"")
    with Proxy(shared.replica) as proxy:
        for nth in range(1, 20):
            proxy.on("APPLY MESSAGE", "NO Something went wrong", nth=nth)
        run = ours(shared.master, "-R", "-1", conf=proxy.conf, check=False)
    assert run.status == 1
    left = shared.master.sync_log().read_text()
    assert "user.fred.f2" in left and "user.fred.f3" in left
