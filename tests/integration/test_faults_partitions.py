"""Partitions that the replica lacks, that are not mounted or full, or have another name there; and a
replica that does not take us for an administrator. What concerns one partition costs its own
mailboxes only, what concerns the session ends the run at once, and the message says what to do.
"""
import os
import subprocess

import pytest
from test_batches import append
from test_faults_command_line import add_partition, counted

from lab.clients import ours, stock_has_nothing_to_send
from lab.cyrus import SUITES, SYSTEM, installs
from lab.pair import make_pair
from lab.proxy import Proxy

VERSIONS = [SYSTEM.name, *SUITES.values()]


def make_users(server, *users):
    """Each with one folder on partition two, one beside it, and a message in all of them."""
    with server.imap() as admin:
        for user in users:
            admin.create(f"user/{user}")
            admin.create(f"user/{user}/On two", partition="two")
            admin.create(f"user/{user}/Other")
    for user in users:
        with server.imap(user) as c:
            for i, box in enumerate(("INBOX", "INBOX/On two", "INBOX/Other")):
                c.append(box, b"Subject: n\r\nMessage-ID: <%d.%s@x>\r\n\r\nbody\r\n" % (i, user.encode()))


def mailboxes(server):
    with server.imap() as admin:
        return sorted(str(name) for name in admin.list())


def deaths(server):
    return len(server.log_lines("Fatal error"))


@pytest.mark.parametrize("there", VERSIONS)
def test_a_partition_that_the_replica_lacks_costs_its_own_mailboxes_only(there):
    if there not in installs():
        pytest.skip(f"no chroot of Cyrus {there}: tests/make-chroot makes it")
    with make_pair(replica_install=installs()[there]) as pair:
        add_partition(pair.master)
        make_users(pair.master, "anna", "bert", "carl")
        run = ours(pair.master, "-A", check=False)
        assert run.status == 1
        for user in ("anna", "bert", "carl"):
            assert {f"user/{user}", f"user/{user}/Other"} <= set(mailboxes(pair.replica))
            with pair.replica.imap(user) as c:
                assert c.uids("INBOX/Other") == [1]
        assert run.log_lines("no partition 'two'")
        assert counted(run)["failed"] == "3"
        assert deaths(pair.replica) <= 3 # not three times for each of three users


def test_one_that_answers_with_no_is_named_too(pair):
    """A mailbox without messages: the server answers, in words that say nothing."""
    add_partition(pair.master)
    with pair.master.imap() as admin:
        admin.create("user/anna")
        admin.create("user/anna/On two", partition="two")
    run = ours(pair.master, "-u", "anna", check=False)
    assert run.status == 1 and run.log_lines("user replication failed.*Unknown error .*no partition 'two'")
    assert mailboxes(pair.replica) == ["user/anna"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_costs_what_is_on_it_and_is_named(pair):
    add_partition(pair.master)
    add_partition(pair.replica)
    folder = pair.replica.outside / "spool/two"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=777", "none", folder], check=True)
    try:
        make_users(pair.master, "anna")
        with pair.master.imap("anna") as c:
            c.append("INBOX/On two", b"Subject: large\r\n\r\n" + b"x" * 100000)
        run = ours(pair.master, "-A", check=False)
        assert run.status == 1 and run.log_lines("partition 'two'.*full")
        with pair.replica.imap("anna") as c:
            assert c.uids("INBOX") == [1] and c.uids("INBOX/Other") == [1]
    finally:
        pair.replica.stop()
        subprocess.run(["umount", folder], check=True)


def test_partitions_may_have_other_names_on_the_replica(pair):
    add_partition(pair.master)
    make_users(pair.master, "anna")
    conf = {"sync_partition_map": "two=default"}
    ours(pair.master, "-A", conf=conf)
    assert pair.differences() == []
    with pair.master.imap() as admin:  # a rename, and a move to the other partition
        admin.rename("user/anna/On two", "user/anna/Still on two")
        admin.command("RENAME", "user/anna/Other", "user/anna/Other", "two", ok=False)
    append(pair, "anna", "INBOX/Still on two")
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-A", conf={**proxy.conf, **conf})
        assert not [line for _, line in proxy.applied() if "PARTITION two" in line or "%{two " in line]
    assert pair.differences() == []
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-A", conf={**proxy.conf, **conf})
        assert proxy.applied() == []


def test_a_channel_has_its_own_map_and_p_beats_it(pair):
    add_partition(pair.master)
    for name in ("two", "three"):
        add_partition(pair.replica, name)
    make_users(pair.master, "anna", "bert")
    conf = {"sync_partition_map": "two=default", "east_sync_partition_map": "two=three"}
    ours(pair.master, "-n", "east", "-u", "anna", conf=conf)
    ours(pair.master, "-n", "east", "-u", "bert", "-p", "two", conf=conf)
    with pair.replica.csync() as s:
        where = {m["MBOXNAME"]: m["PARTITION"] for user in ("anna", "bert") for m in s.get("USER", user).of("MAILBOX")}
    assert where["user.anna.On two"] == "three" and where["user.bert.On two"] == "two"
    assert where["user.anna"] == "default" and where["user.bert"] == "two"


@pytest.mark.parametrize("text", ["two", "two=", "a=b=c"])
def test_a_map_that_is_none_is_fatal(pair, text):
    run = ours(pair.master, "-A", conf={"sync_partition_map": text}, check=False)
    assert run.status == 78 and "sync_partition_map" in run.err


@pytest.mark.parametrize("there", VERSIONS)
def test_without_admin_rights_the_run_ends_at_once_and_says_what_to_do(there):
    if there not in installs():
        pytest.skip(f"no chroot of Cyrus {there}: tests/make-chroot makes it")
    with make_pair(replica_install=installs()[there], replica_conf={"admins": "cyrus"}) as pair:
        with pair.master.imap() as admin:
            for i in range(70): # more than go at a time
                admin.create(f"user/u{i}")
        with Proxy(pair.replica) as proxy:
            run = ours(pair.master, "-A", conf=proxy.conf, check=False)
            assert run.status == 1
            assert proxy.total <= 70 and proxy.sessions == 1
        assert len(run.log_lines("SYNCERROR: .*: Permission denied: repl must be in the replica's admins")) == 1
        assert run.log_lines("user replication failed") == []


def test_with_admin_rights_at_last_all_is_well(pair):
    pair.replica.set_conf(admins="cyrus")
    pair.replica.restart()
    with pair.master.imap() as admin:
        admin.create("user/anna")
    assert ours(pair.master, "-A", check=False).status == 1
    pair.replica.set_conf(admins="cyrus repl")
    pair.replica.restart()
    ours(pair.master, "-A")
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []
