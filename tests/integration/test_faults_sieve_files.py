"""Sieve scripts that are still files on a master that has #sieve mailboxes: nobody has touched them since an upgrade.

The master's own server is made to move them into a mailbox, which is then replicated like any other.
"""
import os

import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.cyrus import installs
from lab.pair import make_pair

SCRIPTS = {"one": "keep;\r\n", "two words": "discard;\r\n", "drei-ß": "stop;\r\n"}


def sieve_folder(server, user):
    """Where the scripts of a user are, by the uniqueid of his INBOX."""
    inbox = server.csync().get("FULLMAILBOX", f"user.{user}").of("MAILBOX")[0]["UNIQUEID"]
    return server.outside / "sieve/uuid" / inbox[0] / inbox[1] / inbox


def leave_files(server, user, active="one"):
    """What an older version left: sources, compiled scripts and the link to the active one."""
    folder = sieve_folder(server, user)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in SCRIPTS.items():
        (folder / f"{name}.script").write_bytes(text.encode())
        server.run("sievec", folder / f"{name}.script", folder / f"{name}.bc")
    if active:
        os.symlink(f"{active}.bc", folder / "defaultbc")
    for path in [server.outside / "sieve", *(server.outside / "sieve").rglob("*")]:
        os.chown(path, server.uid, server.gid, follow_symlinks=False)
    return folder


def sources(folder):
    return sorted(path.name for path in folder.glob("*.script"))


def scripts(server, user):
    with server.sieve(user) as s:
        return s.list()


@pytest.fixture
def fred(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    ours(pair.master, "-A")
    return pair


@pytest.mark.parametrize("args", [("-u", "fred"), ("-A",)])
def test_scripts_that_are_files_reach_the_replica(fred, args):
    folder = leave_files(fred.master, "fred")
    run = ours(fred.master, *args)
    assert run.log_lines("sieve scripts that were files are in a mailbox now: mailbox=<user.fred.#sieve>")
    assert fred.differences() == []
    assert stock_has_nothing_to_send(fred.master) == []
    assert len(scripts(fred.replica, "fred")) == len(SCRIPTS)
    assert scripts(fred.replica, "fred") == scripts(fred.master, "fred")
    assert sources(folder) == []


def test_a_user_without_an_active_script_has_none_afterwards(fred):
    leave_files(fred.master, "fred", active=None)
    ours(fred.master, "-u", "fred")
    assert fred.differences() == []
    assert not any("ACTIVE" in line for line in scripts(fred.replica, "fred"))


def test_a_record_of_the_log_brings_them_too(fred):
    leave_files(fred.master, "fred")
    fred.master.sync_log().write_text("USER fred\n")
    ours(fred.master, "-R", "-1")
    assert fred.differences() == []
    assert len(scripts(fred.replica, "fred")) == len(SCRIPTS)


@pytest.mark.parametrize("options, conf", [(["-O"], {}), ([], {"sync_copyback": "off"})])
def test_where_the_master_may_not_be_changed_it_is_an_error_and_all_else_is_sent(fred, options, conf):
    folder = leave_files(fred.master, "fred")
    with fred.master.imap("fred") as c:
        c.append("INBOX", b"Subject: new\r\n\r\nmail\r\n")
    run = ours(fred.master, *options, "-u", "fred", conf=conf, check=False)
    assert run.status == 1
    assert run.log_lines("user replication failed: .*sieve scripts are still files.* userid=<fred>")
    with fred.replica.imap("fred") as c:
        assert c.uids("INBOX") == [1]
    assert len(sources(folder)) == len(SCRIPTS)
    # No mailbox with an identity of its own has been made there.
    assert not fred.replica.csync().get("FULLMAILBOX", "user.fred.#sieve", ok=False).of("MAILBOX")


@pytest.mark.lab(replicas=("east", "west"))
def test_the_other_channels_hear_of_the_new_mailbox(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    for channel in ("east", "west"):
        ours(pair.master, "-n", channel, "-A")
        pair.master.sync_log(channel).unlink()
    leave_files(pair.master, "fred")
    ours(pair.master, "-n", "east", "-A")
    assert "MAILBOX user.fred.#sieve\n" in pair.master.sync_log("west").read_text()
    ours(pair.master, "-n", "west", "-R", "-1")
    assert pair.differences() == []


@pytest.mark.parametrize("version", [v for v, i in installs().items() if i.version >= (3, 6)])
def test_every_version_moves_them(version):
    with make_pair(install=installs()[version]) as pair:
        with pair.master.imap() as admin:
            admin.create("user/fred")
        leave_files(pair.master, "fred")
        ours(pair.master, "-A")
        assert pair.differences() == []
        assert stock_has_nothing_to_send(pair.master) == []
        assert len(scripts(pair.replica, "fred")) == len(SCRIPTS)
