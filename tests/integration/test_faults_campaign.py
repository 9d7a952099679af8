"""What tests/campaign found: users, folders and partitions that a random history brought into an odd state."""
from contextlib import contextmanager

import pytest
from test_faults_renamed_users import MESSAGE, install

from lab.clients import ours, stock_has_nothing_to_send
from lab.pair import make_pair

CONF = {"allowusermoves": "yes"}
VERSIONS = ["3.2.6", "3.6.1", "3.12.4"]


def make_user(server, user, *, scripts=("one",)):
    """A user with a folder, subscriptions, scripts, and a seen state of a shared mailbox."""
    with server.imap() as admin:
        admin.create(f"user/{user}")
        admin.create(f"user/{user}/sub")
    with server.imap(user) as c:
        c.append("INBOX/sub", MESSAGE)
        c.subscribe("INBOX")
        c.subscribe("INBOX/sub")
        c.fetch("1", "BODY[]", "pub")
    with server.sieve(user) as sieve:
        for name in scripts:
            sieve.put(name, "keep;")
        sieve.activate(scripts[0])


def make_shared(server):
    with server.imap() as admin:
        admin.create("pub")
        admin.setacl("pub", "anyone", "lrs")
        admin.setacl("pub", "cyrus", "lrswipkxtecda")
        admin.append("pub", MESSAGE)


@contextmanager
def anna_on_both(here, there=None, **conf):
    """Servers of these versions, both with anna and what she has; and the master's log, which is empty."""
    with make_pair(conf={**CONF, **conf}, install=install(here), replica_install=install(there or here)) as pair:
        make_shared(pair.master)
        make_user(pair.master, "anna")
        ours(pair.master, "-A")
        log = pair.master.sync_log()
        log.unlink()
        yield pair, log


def delete_user(server, user):
    with server.imap() as admin:
        admin.setacl(f"user/{user}", "cyrus", "lrswipkxtecda")
        admin.delete(f"user/{user}")


def rename(server, old, new):
    with server.imap() as admin:
        admin.rename(old, new)


def has_crashed(server):
    return server.log_lines("signaled to death")


# --- a user who was deleted and made again --------------------------------------------------------


@pytest.mark.parametrize("args", [("-A",), ("-R", "-f")], ids=["all", "log"])
@pytest.mark.parametrize("here, there", [("3.6.1", "3.6.1"), ("3.12.4", "3.12.4"), ("3.6.1", "3.2.6"),
                                         ("3.2.6", "3.6.1")])
def test_what_a_replica_tells_of_a_deleted_user_is_not_his_successors(here, there, args):
    """It finds subscriptions, seen states and scripts by the tombstone of the old INBOX."""
    with make_pair(conf=CONF, install=install(here), replica_install=install(there)) as pair:
        make_shared(pair.master)
        make_user(pair.master, "anna", scripts=("one", "two"))
        ours(pair.master, "-A")
        pair.master.sync_log().unlink()
        delete_user(pair.master, "anna")
        make_user(pair.master, "anna")
        ours(pair.master, *args, *([pair.master.sync_log()] if "-f" in args else []))
        assert pair.differences(sieve_mailboxes=False) == []


def test_settings_of_a_user_whom_the_replica_lacks_are_not_confirmed(pair):
    make_shared(pair.master)
    make_user(pair.master, "anna")
    done = ours(pair.master, "-s", "anna", check=False)
    assert done.status == 1
    assert done.log_lines("no INBOX of anna: he has to be replicated first")
    ours(pair.master, "-A")
    assert pair.differences() == []


# --- mailboxes that are named alone ---------------------------------------------------------------


@pytest.fixture
def renamed(pair):
    """A user was renamed, and a new one has the old name; the replica does not know yet."""
    make_shared(pair.master)
    make_user(pair.master, "anna")
    ours(pair.master, "-A")
    pair.master.sync_log().unlink()
    rename(pair.master, "user/anna", "user/berta")
    make_user(pair.master, "anna", scripts=("other",))
    return pair


@pytest.mark.lab(conf=CONF)
@pytest.mark.parametrize("name", ["user/anna/#sieve", "user/anna/sub"])
def test_nothing_is_made_in_the_tree_of_another_user(renamed, name):
    done = ours(renamed.master, "-m", name, check=False)
    assert done.status == 1
    assert done.log_lines("another mailbox|is another one than here")
    ours(renamed.master, "-A")
    assert renamed.differences() == []
    assert has_crashed(renamed.replica) == []
    assert stock_has_nothing_to_send(renamed.master) == []


@pytest.mark.lab(conf=CONF)
@pytest.mark.parametrize("name", ["user.anna.#sieve", "user.anna.new"])
def test_a_record_of_a_mailbox_in_another_users_tree_becomes_one_of_its_user(renamed, name):
    with renamed.master.imap("anna") as c:
        c.create("INBOX/new")
    log = renamed.master.sync_log()
    log.write_text(f"MAILBOX {name}\nUSER berta\n")
    ours(renamed.master, "-R", "-f", log)
    ours(renamed.master, "-A")
    assert renamed.differences() == []
    assert has_crashed(renamed.replica) == []


@pytest.mark.lab(conf=CONF)
def test_a_folder_of_a_user_whom_the_replica_lacks_says_what_to_do(pair):
    make_shared(pair.master)
    make_user(pair.master, "anna")
    done = ours(pair.master, "-m", "user/anna/sub", check=False)
    assert done.status == 1
    assert done.log_lines(r"user anna has no INBOX on the replica: he has to be replicated first \(-u anna\)")
    assert done.log_lines("partition") == []
    ours(pair.master, "-m", "user/anna/sub", "user/anna")
    ours(pair.master, "-A")
    assert pair.differences() == []


# --- renames ---------------------------------------------------------------------------------------


@pytest.mark.lab(conf=CONF)
def test_a_mailbox_that_is_still_to_be_renamed_is_not_sent(pair):
    """The replica's server dies of a #sieve mailbox whose uniqueid has another name there."""
    make_shared(pair.master)
    make_user(pair.master, "anna")
    ours(pair.master, "-A")
    rename(pair.master, "user/anna", "user/berta")
    make_user(pair.master, "anna", scripts=("other",))
    rename(pair.master, "pub", "pub2")
    ours(pair.master, "-m", "user/berta", "user/anna")
    done = ours(pair.master, "-A")
    assert done.log_lines("IOERROR|SYNCERROR|MOVED") == []
    assert has_crashed(pair.replica) == []
    assert pair.differences() == []


@pytest.mark.parametrize("args", [("-A",), ("-R", "-f")], ids=["all", "log"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_parent_and_its_child_that_change_places(version, args):
    """The third rename is refused by later masters, which leaves the parent where the child was."""
    with make_pair(conf=CONF, install=install(version), replica_install=install(version)) as pair:
        make_shared(pair.master)
        make_user(pair.master, "anna")
        with pair.master.imap("anna") as c:
            c.create("INBOX/sub/child")
            c.append("INBOX/sub/child", MESSAGE)
        ours(pair.master, "-A")
        pair.master.sync_log().unlink()
        with pair.master.imap("anna") as c:
            c.rename("INBOX/sub/child", "INBOX/between")
            c.rename("INBOX/sub", "INBOX/sub/child")
            c.rename("INBOX/between", "INBOX/sub", ok=False)
        ours(pair.master, *args, *([pair.master.sync_log()] if "-f" in args else []))
        assert pair.differences(sieve_mailboxes=version != "3.2.6") == []


def test_an_inbox_whose_partition_the_replica_does_not_change_gets_its_mail_all_the_same():
    """3.12.4 refuses to move an INBOX to another partition."""
    with make_pair(conf=CONF, install=install("3.12.4"), replica_install=install("3.12.4")) as pair:
        for server in pair.servers:
            (server.outside / "second").mkdir()
            server.own(server.outside / "second")
            server.set_conf({"partition-second": server.folder / "second"})
            server.restart()
        make_shared(pair.master)
        make_user(pair.master, "anna")
        ours(pair.master, "-A")
        with pair.master.imap() as admin:
            admin.rename("user/anna", "user/anna", partition="second")
        rename(pair.master, "user/anna", "user/berta")
        with pair.master.imap("berta") as c:
            c.append("INBOX", MESSAGE)
        done = ours(pair.master, "-A", check=False)
        assert done.status == 1
        assert done.log_lines("user.berta: the replica does not move it to partition second, it is kept up to date on "
                              "default there")
        assert pair.differences() == []


# --- deletions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("here, there", [("3.12.4", "3.2.6"), ("3.12.4", "3.12.4"), ("3.6.1", "3.6.1")])
def test_a_deleted_mailbox_that_had_children_goes(here, there):
    """3.12 makes an intermediate of it, and forgets that too when the children go: there is no tombstone."""
    with anna_on_both(here, there, delete_mode="immediate") as (pair, _):
        with pair.master.imap("anna") as c:
            c.create("INBOX/sub/child")
        delete_user(pair.master, "anna")
        with pair.master.imap() as admin:
            admin.create("user/anna")
        ours(pair.master, "-R", "-f", pair.master.sync_log())
        assert pair.differences(sieve_mailboxes=False) == []


@pytest.mark.lab(conf={**CONF, "delete_mode": "immediate"})
def test_a_deleted_folder_goes_though_its_name_is_another_ones_tombstone(pair):
    """Deleted, made again, and the new one renamed: the tombstone that is left has the new one's uniqueid."""
    make_shared(pair.master)
    make_user(pair.master, "anna")
    ours(pair.master, "-A")
    pair.master.sync_log().unlink()
    with pair.master.imap("anna") as c:
        c.delete("INBOX/sub")
        c.create("INBOX/sub")
        c.rename("INBOX/sub", "INBOX/other")
    ours(pair.master, "-R", "-f", pair.master.sync_log())
    assert pair.differences() == []


# --- replicas before 3.6, whose servers die of an unknown uniqueid -------------------------------------


@pytest.mark.parametrize("args", [("-A",), ("-u", "carla", "berta"), ("-R", "-f")], ids=["all", "users", "log"])
@pytest.mark.parametrize("here", ["3.2.6", "3.6.1", "3.12.4"])
def test_what_was_renamed_across_users_is_found_by_its_tombstone(here, args):
    """A master of 3.2 logs no RENAME for it."""
    with make_pair(conf=CONF, install=install(here), replica_install=install("3.2.6")) as pair:
        make_shared(pair.master)
        make_user(pair.master, "anna")
        make_user(pair.master, "berta")
        ours(pair.master, "-A")
        pair.master.sync_log().unlink()
        rename(pair.master, "user/anna/sub", "user/berta/from")
        rename(pair.master, "user/anna", "user/carla")
        rename(pair.master, "pub", "pub2")
        ours(pair.master, *args, *([pair.master.sync_log()] if "-f" in args else []))
        ours(pair.master, "-A")
        assert pair.differences(sieve_mailboxes=False) == []
        assert has_crashed(pair.replica) == []
        assert "user/anna" not in str(pair.replica.imap().list())


# --- a user who was renamed, and a successor who came and went ------------------------------------------


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("version", ["3.6.1", "3.10.2", "3.12.4"])
def test_deleting_a_successor_takes_nothing_from_the_renamed_user(version, batches):
    """The replica never had the successor: its tombstone of the name is the renamed user's."""
    with anna_on_both(version) as (pair, log):
        rename(pair.master, "user/anna", "user/berta")
        if batches == 2:
            ours(pair.master, "-R", "-f", log)
            log.unlink(missing_ok=True)
        with pair.master.imap() as admin:
            admin.create("user/anna")
        delete_user(pair.master, "anna")
        ours(pair.master, "-R", "-f", log)
        # Asked for anna, the replica tells of berta: her tombstone is the only one of that name there.
        assert [line for line in pair.differences() if not line.startswith("user anna ")] == []
        with pair.replica.imap("berta") as c:
            assert "INBOX/sub" in str(c.command("LSUB", '""', '"*"'))


@pytest.mark.lab(conf=CONF)
def test_a_deleted_user_leaves_no_settings_behind(pair):
    """His INBOX lives on in the deleted tree, which makes it nobody's."""
    make_shared(pair.master)
    make_user(pair.master, "anna")
    ours(pair.master, "-A")
    log = pair.master.sync_log()
    log.unlink()
    delete_user(pair.master, "anna")
    ours(pair.master, "-R", "-f", log)
    assert [line for line in pair.differences() if " sieve " not in line] == []
