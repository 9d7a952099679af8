"""Users who are deleted, whom a log or the list tells of only in part: their settings, deleted copies, and folders that
stay behind. Found by tests/campaign."""
import time

import pytest
from test_faults_campaign import CONF, anna_on_both, delete_user, make_shared, make_user, rename
from test_faults_renamed_users import MESSAGE, install

from lab.clients import ours, stock_has_nothing_to_send
from lab.dump import dump
from lab.pair import make_pair
from lab.waiting import eventually


def settings(lines, user):
    """What is said of a user's subscriptions and scripts."""
    return [line for line in lines if line.startswith(f"user {user} ") and " seen " not in line]


# --- a master of 3.2 writes no UNUSER for a user who was deleted ----------------------------------------------------


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made again"])
@pytest.mark.parametrize("delete_mode", ["delayed", "immediate"])
@pytest.mark.parametrize("there", ["3.2.6", "3.6.1", "3.12.4"])
def test_settings_of_a_user_whom_no_record_calls_deleted_go(there, delete_mode, again):
    with anna_on_both("3.2.6", there, delete_mode=delete_mode) as (pair, log):
        delete_user(pair.master, "anna")
        if again:
            with pair.master.imap() as admin:
                admin.create("user/anna")
        assert "UNUSER" not in log.read_text()
        ours(pair.master, "-R", "-f", log)
        found = pair.differences(sieve_mailboxes=False)
        assert settings(found, "anna") == []
        assert [line for line in found if "DELETED" in line] == []
        with pair.replica.imap() as admin:
            admin.create("user/anna", ok=False)
        with pair.replica.imap("anna") as c:
            assert "INBOX" not in str(c.command("LSUB", '""', '"*"'))


@pytest.mark.parametrize("delete_mode", ["delayed", "immediate"])
@pytest.mark.parametrize("here, there", [("3.2.6", "3.2.6"), ("3.2.6", "3.12.4"), ("3.12.4", "3.2.6")])
def test_a_new_inbox_brings_the_settings_of_its_owner(here, there, delete_mode):
    """The other records of the former user were done while his INBOX was still there."""
    with anna_on_both(here, there, delete_mode=delete_mode) as (pair, log):
        # Cyrus takes the new INBOX's UIDVALIDITY from the clock, and on 3.2 nothing else tells the two apart.
        former = int(dump(pair.master).mailboxes["user.anna"]["UIDVALIDITY"])
        eventually(lambda: int(time.time()) > former, what="the next second")
        delete_user(pair.master, "anna")
        with pair.master.imap() as admin:
            admin.create("user/anna")
        log.write_text("APPEND MAILBOX user.anna\n")
        ours(pair.master, "-R", "-f", log)
        assert settings(pair.differences(sieve_mailboxes=False), "anna") == []


# --- a folder that outlives its user -----------------------------------------------------------------------------


def delete_alone(server, name):
    """Without what is below it, as Cyrus does when something keeps it from deleting a folder of a user."""
    with server.imap() as admin:
        admin.setacl(name, "cyrus", "lrswipkxtecda")
        admin.command("LOCALDELETE", name)


@pytest.mark.parametrize("there", ["3.2.6", "3.6.1", "3.12.4"])
@pytest.mark.parametrize("here", ["3.6.1", "3.12.4"])
def test_a_folder_that_outlives_its_user_outlives_him_on_the_replica_too(here, there):
    """UNUSER would delete it, and a replica from 3.6 on makes no new one without an INBOX."""
    with anna_on_both(here, there) as (pair, log):
        delete_alone(pair.master, "user/anna")
        with log.open("a") as out:
            out.write("UNUSER anna\n")
        done = ours(pair.master, "-R", "-f", log)
        assert done.log_lines("a folder of a deleted user lives on: mailbox=<user.anna.sub> userid=<anna>")
        ours(pair.master, "-R", "-f", log)
        assert [line for line in pair.differences(sieve_mailboxes=False) if line.startswith("mailbox ")] == []
        with pair.replica.imap() as admin:
            assert "user/anna/sub" in admin.list()


@pytest.mark.parametrize("version", ["3.6.1", "3.10.2", "3.12.4"])
def test_a_folder_without_a_user_says_what_to_do(version):
    with make_pair(conf=CONF, install=install(version), replica_install=install(version)) as pair:
        make_shared(pair.master)
        make_user(pair.master, "anna")
        delete_alone(pair.master, "user/anna")
        done = ours(pair.master, "-m", "user/anna/sub", check=False)
        assert done.status == 1
        assert done.log_lines("user.anna.sub: user anna has no INBOX, here or there: a replica makes no folder for him")
        assert done.log_lines("partition") == []


# --- a user who was renamed, and what his former name stands for ---------------------------------------------------


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("here, there", [("3.6.1", "3.6.1"), ("3.6.1", "3.12.4"), ("3.12.4", "3.12.4")])
def test_a_successor_who_leaves_no_trace_takes_nothing_from_the_renamed_user(here, there, batches):
    """His tombstone is the only one of the name, and the replica tells nothing of it: it deletes the settings all the same."""
    with anna_on_both(here, there, delete_mode="immediate") as (pair, log):
        rename(pair.master, "user/anna", "user/berta")
        if batches == 2:
            ours(pair.master, "-R", "-f", log)
            log.unlink()
        with pair.master.imap() as admin:
            admin.create("user/anna")
        delete_user(pair.master, "anna")
        ours(pair.master, "-R", "-f", log)
        assert settings(pair.differences(sieve_mailboxes=False), "berta") == []
        with pair.replica.imap("berta") as c:
            assert "INBOX/sub" in str(c.command("LSUB", '""', '"*"'))


@pytest.mark.parametrize("here", ["3.2.6", "3.6.1", "3.12.4"])
def test_a_replica_that_keeps_settings_by_name_forgets_those_of_a_former_name(here):
    """The next user of that name would have them."""
    with anna_on_both(here, "3.2.6") as (pair, log):
        rename(pair.master, "user/anna", "user/berta")
        ours(pair.master, "-R", "-f", log)
        assert settings(pair.differences(sieve_mailboxes=False), "berta") == []
        with pair.replica.imap() as admin:
            admin.create("user/anna")
        with pair.replica.imap("anna") as c:
            assert "INBOX" not in str(c.command("LSUB", '""', '"*"'))
        with pair.replica.sieve("anna") as sieve:
            assert sieve.list() == []


# --- copies in the deleted tree of users who are not here any more: no log tells of them, but the list ----------------


@pytest.mark.parametrize("here, there", [("3.12.4", "3.12.4"), ("3.12.4", "3.6.1"), ("3.6.1", "3.10.2"), ("3.6.1", "3.2.6"),
                                         ("3.12.4", "3.2.6")])
def test_all_finds_what_was_deleted_of_a_user_who_is_called_otherwise_now(here, there):
    with make_pair(conf=CONF, install=install(here), replica_install=install(there)) as pair:
        make_shared(pair.master)
        for user in ("anna", "berta"):
            make_user(pair.master, user)
        ours(pair.master, "-A")
        with pair.master.imap("anna") as c:
            c.append("INBOX/sub", MESSAGE)
            c.delete("INBOX/sub")
            c.create("INBOX/sub")
        delete_user(pair.master, "berta")
        with pair.master.imap() as admin:
            admin.create("user/berta")
        rename(pair.master, "user/anna", "user/carla")
        rename(pair.master, "user/berta", "user/dora")
        ours(pair.master, "-A")
        found = pair.differences(sieve_mailboxes=False)
        assert [line for line in found if not line.startswith(("user anna ", "user berta "))] == []
        if there != "3.2.6":
            assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.lab(conf=CONF)
def test_all_does_not_bring_back_a_deleted_user_whose_copies_have_expired(pair):
    make_shared(pair.master)
    make_user(pair.master, "anna")
    ours(pair.master, "-A")
    delete_user(pair.master, "anna")
    ours(pair.master, "-A")
    assert [line for line in pair.differences(sieve_mailboxes=False) if line.startswith("mailbox ")] == []
    pair.replica.run("cyr_expire", "-E", "0", "-D", "0")
    done = ours(pair.master, "-A", "-v")
    assert "MAILBOX DELETED" not in done.out
    with pair.replica.imap() as admin:
        assert [name for name in admin.list() if "anna" in name] == []


@pytest.mark.lab(conf=CONF)
def test_a_quota_root_goes_though_a_new_mailbox_still_names_it(pair):
    """Cyrus leaves the name of the root in the header of a mailbox that outlives it."""
    make_shared(pair.master)
    make_user(pair.master, "anna")
    with pair.master.imap() as admin:
        admin.setquota("user/anna", STORAGE=10000)
    ours(pair.master, "-A")
    delete_user(pair.master, "anna")
    make_user(pair.master, "anna")
    with pair.master.imap() as admin:
        admin.setquota("user/anna", STORAGE=20000)
    next((pair.master.outside / "conf/quota").glob("*/user.anna")).unlink()
    ours(pair.master, "-A")
    assert pair.differences() == []
    assert list((pair.replica.outside / "conf/quota").glob("*/user.anna")) == []


# --- a name that was used several times -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.6.1", "3.10.2", "3.12.4"])
def test_the_place_in_the_deleted_tree_that_a_record_names_may_be_taken(version):
    """A replica makes a parent by itself for a child without one; the deleted parent is where the record has put it."""
    with anna_on_both(version) as (pair, log):
        with pair.master.imap("anna") as c:
            c.delete("INBOX/sub")
        ours(pair.master, "-R", "-f", log)
        with pair.replica.imap("anna") as c:
            c.create("INBOX/sub")
        ours(pair.master, "-R", "-f", log)
        assert pair.differences() == []


@pytest.mark.parametrize("here, there", [("3.6.1", "3.2.6"), ("3.6.1", "3.6.1"), ("3.10.2", "3.12.4"), ("3.12.4", "3.2.6")])
def test_a_parent_that_was_renamed_with_its_user_before_both_were_deleted_goes(here, there):
    """Its uniqueid is left as a name without a mailbox, where it was last."""
    conf = {**CONF, "delete_mode": "immediate"}
    with make_pair(conf=conf, install=install(here), replica_install=install(there)) as pair:
        make_shared(pair.master)
        make_user(pair.master, "anna")
        with pair.master.imap("anna") as c:
            c.create("INBOX/sub/child")
        ours(pair.master, "-A")
        log = pair.master.sync_log()
        log.unlink()
        with pair.master.imap("anna") as c:
            c.rename("INBOX/sub", "INBOX/other")
        rename(pair.master, "user/anna", "user/berta")
        with pair.master.imap() as admin:
            admin.create("user/anna")
        delete_user(pair.master, "berta")
        with pair.master.imap() as admin:
            admin.create("user/berta")
        ours(pair.master, "-R", "-f", log)
        ours(pair.master, "-R", "-f", log)
        assert [line for line in pair.differences(sieve_mailboxes=False) if " sieve " not in line] == []


@pytest.mark.parametrize("args", [("-u", "anna"), ("-R", "-f")], ids=["users", "log"])
@pytest.mark.parametrize("here", ["3.2.6", "3.6.1"])
def test_a_folder_whose_former_name_was_used_again_is_moved_by_who_meets_it(here, args):
    """A replica before 3.6 cannot be asked for a uniqueid, and the tombstone of the name is the later folder's."""
    with anna_on_both(here, "3.2.6", delete_mode="immediate") as (pair, log):
        rename(pair.master, "user/anna", "user/berta")
        make_user(pair.master, "anna")
        with pair.master.imap("anna") as c:
            c.delete("INBOX/sub")
        if "-u" in args:
            ours(pair.master, "-m", "user/anna", "user/berta")
        ours(pair.master, *args, *([log] if "-f" in args else []))
        ours(pair.master, "-u", "anna", "berta")
        assert [line for line in pair.differences(sieve_mailboxes=False) if line.startswith("mailbox user.")] == []
        with pair.replica.imap("berta") as c:
            assert c.uids("INBOX/sub") == [1]


@pytest.mark.parametrize("args", [("-u", "anna", "berta"), ("-R", "-f")], ids=["users", "log"])
def test_an_inbox_whose_former_name_was_used_again_is_moved_too(args):
    """A successor came and went: his tombstone of the name is all that a list of 3.2 remembers."""
    with anna_on_both("3.2.6", delete_mode="immediate") as (pair, log):
        rename(pair.master, "user/anna", "user/berta")
        make_user(pair.master, "anna")
        if "-f" in args:
            delete_user(pair.master, "anna")
        ours(pair.master, *args, *([log] if "-f" in args else []))
        ours(pair.master, "-u", "anna", "berta")
        assert [line for line in pair.differences(sieve_mailboxes=False) if line.startswith("mailbox user.")] == []
        with pair.replica.imap("berta") as c:
            assert c.uids("INBOX/sub") == [1]
