"""Renames, moves and deletions: the replica follows, in whatever order names change hands."""
import random

import pytest

from lab.clients import ours, stock, stock_has_nothing_to_send
from lab.edits import random_edits
from lab.proxy import Proxy

FOLDERS = [f"INBOX/f{i}" for i in range(10)]


def assert_in_step(pair):
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


@pytest.fixture
def fred(pair):
    """A replicated user with ten folders of one message each."""
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as c:
        for i, folder in enumerate(FOLDERS):
            c.create(folder)
            c.append(folder, b"Subject: %d\r\n\r\nin folder %d\r\n" % (i, i))
    ours(pair.master, "-A")
    return pair


def rename(pair, *steps):
    with pair.master.imap("fred") as c:
        for old, new in steps:
            c.rename(f"INBOX/{old}", f"INBOX/{new}")


def run_and_count(pair):
    with Proxy(pair.replica) as proxy:
        run = ours(pair.master, "-A", "-v", conf=proxy.conf)
        assert run.log_lines("SYNCERROR|IOERROR|failed to") == []
        return proxy.count, run


def test_a_rename_costs_one_command_and_no_message(fred):
    rename(fred, ("f1", "new name"))
    count, run = run_and_count(fred)
    assert count["APPLY RENAME"] == 1 and count.get("APPLY MESSAGE", 0) == 0
    assert "RENAME user.fred.f1 -> user.fred.new name (default)" in run.out
    assert_in_step(fred)


def test_a_chain_of_nine(fred):
    rename(fred, ("f9", "last"), *((f"f{i}", f"f{i + 1}") for i in range(8, -1, -1)))
    count, _ = run_and_count(fred)
    assert count["APPLY RENAME"] == 10
    assert_in_step(fred)


def test_two_names_swapped(fred):
    # stock gives up on this: a cycle of renames has no order
    rename(fred, ("f1", "tmp"), ("f2", "f1"), ("tmp", "f2"))
    count, _ = run_and_count(fred)
    assert count["APPLY RENAME"] == 3
    assert_in_step(fred)


def test_a_tree_moves_with_its_children(fred):
    with fred.master.imap("fred") as c:
        c.create("INBOX/f1/a")
        c.create("INBOX/f1/a/b")
    ours(fred.master, "-A")
    rename(fred, ("f1", "moved"))
    run_and_count(fred)
    assert_in_step(fred)


def test_a_delayed_delete_and_a_new_mailbox_of_the_same_name(fred):
    with fred.master.imap("fred") as c:
        c.delete("INBOX/f1")
        c.delete("INBOX/f2")
        c.create("INBOX/f2")
        c.append("INBOX/f2", b"Subject: another\r\n\r\nf2 again\r\n")
    run_and_count(fred)
    assert_in_step(fred)


@pytest.mark.lab(conf={"delete_mode": "immediate"})
def test_an_immediate_delete_is_known_by_its_tombstone(fred):
    with fred.master.imap("fred") as c:
        c.delete("INBOX/f1")
    count, run = run_and_count(fred)
    assert count["APPLY UNMAILBOX"] == 1
    assert "UNMAILBOX user.fred.f1" in run.out
    assert_in_step(fred)


def test_a_mailbox_of_the_replica_only_stays(fred):
    with fred.replica.imap("fred") as there:
        there.create("INBOX/theirs")
        there.append("INBOX/theirs", b"Subject: x\r\n\r\nkept\r\n")
    run = ours(fred.master, "-A")
    assert run.log_lines(r"SYNCNOTICE: no tombstone for deleted mailbox user\.fred\.theirs")
    with fred.replica.imap("fred") as there:
        assert len(there.uids("INBOX/theirs")) == 1


def test_a_name_taken_on_the_replica_fails_that_mailbox_only(fred):
    with fred.replica.imap("fred") as there:
        there.create("INBOX/taken")
        there.append("INBOX/taken", b"Subject: x\r\n\r\nkept\r\n")
    rename(fred, ("f1", "taken"), ("f2", "free"))
    run = ours(fred.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"failed to rename: user\.fred\.f1 -> user\.fred\.taken")
    with fred.replica.imap("fred") as there:
        assert len(there.uids("INBOX/taken")) == 1
        assert "INBOX/free" in there.list() or "user/fred/free" in there.list()


@pytest.mark.lab(conf={"partition-two": "/dev/null"})
def test_26_a_partition_that_the_replica_lacks(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    ours(pair.master, "-A")
    run = ours(pair.master, "-p", "nosuch", "-v", "-u", "fred", check=False)
    assert run.status == 1
    assert "RENAME user.fred -> user.fred (nosuch)" in run.out
    assert run.log_lines("the replica may have no partition 'nosuch'")


@pytest.mark.parametrize("seed", range(3))
def test_random_renames_and_deletes_arrive(filled_pair, seed):
    pair = filled_pair
    with pair.master.imap() as admin:
        users = sorted({m.split("/")[1] for m in admin.list() if m.startswith("user/")})
    for step in range(3):
        random_edits(pair.master, random.Random(50 * seed + step), users, 60,
                     kinds={"create", "rename", "delete", "append", "flag", "copy", "move", "expunge"})
        run = ours(pair.master, "-A")
        assert run.log_lines("SYNCERROR|IOERROR") == []
        assert_in_step(pair)


# --- one name, two mailboxes: made on both sides by themselves -----------------------------------


def made_on_both(pair, here, there):
    """A folder of one name on both sides, with that many messages each."""
    with pair.master.imap() as admin:
        admin.create("user/fred")
    ours(pair.master, "-A")
    for server, n in ((pair.master, here), (pair.replica, there)):
        with server.imap("fred") as c:
            c.create("INBOX/Twice")
            for i in range(n):
                c.append("INBOX/Twice", b"Subject: %d\r\n\r\non %s\r\n" % (i, server.name.encode()))


@pytest.mark.parametrize("here", [0, 2])
def test_an_empty_folder_of_another_uniqueid_makes_room_as_with_the_stock_client(pair, here):
    made_on_both(pair, here, 0)
    ours(pair.master, "-A")
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.parametrize("client", [ours, stock])
def test_a_filled_folder_of_another_uniqueid_stays_and_is_an_error_as_with_the_stock_client(pair, client):
    made_on_both(pair, 1, 2)
    assert client(pair.master, "-A", check=False).status == 1
    with pair.replica.imap("fred") as c:
        assert len(c.uids("INBOX/Twice")) == 2


@pytest.mark.parametrize("client", [ours, stock])
def test_with_force_a_filled_folder_of_another_uniqueid_is_replaced_as_with_the_stock_client(pair, client):
    made_on_both(pair, 1, 2)
    client(pair.master, "-O", "-A")
    assert pair.differences() == []
