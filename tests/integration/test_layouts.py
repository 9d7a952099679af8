"""The places and forms that a master's configuration can give its store: all replicate alike."""
import random

import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.edits import random_edits
from lab.fill import fill

KINDS = {"append", "flag", "copy", "expunge", "create", "rename", "delete", "annotate_message", "annotate_mailbox",
         "subscribe", "acl", "quota"}


def assert_in_step(pair):
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.parametrize("layout", [
    pytest.param({"conversations": "yes", "reverseacls": "yes"}, id="conversations"),
    pytest.param({"mailbox_legacy_dirs": "yes", "fulldirhash": "yes", "hashimapspool": "yes"}, id="legacy-full-hash"),
    pytest.param({"mailbox_legacy_dirs": "yes", "hashimapspool": "no"}, id="legacy-no-hash"),
    pytest.param({"metapartition_files": "header index annotations cache"}, id="metapartition"),
    pytest.param({"delete_mode": "immediate", "expunge_mode": "immediate"}, id="immediate"),
    pytest.param({"mboxlist_db": "skiplist", "annotation_db": "skiplist", "seenstate_db": "flat",
                  "subscription_db": "skiplist", "conversations": "yes", "conversations_db": "twoskip",
                  "quota_db": "twoskip"}, id="databases"),
    pytest.param({"unixhierarchysep": "no"}, id="dots"),
])
def test_a_layout(layout):
    from lab.pair import make_pair
    with make_pair(conf=layout) as pair:
        for server in pair.servers:
            if "metapartition_files" in layout:
                meta = server.outside / "meta"
                meta.mkdir()
                server.own(meta)
                server.set_conf({"metapartition-default": server.folder / "meta"})
                server.restart()
        users = fill(pair.master, users=4, mailboxes=4, messages=8, seed=21)
        ours(pair.master, "-A")
        assert_in_step(pair)
        random_edits(pair.master, random.Random(22), users, 60, kinds=KINDS)
        run = ours(pair.master, "-A")
        assert run.log_lines("SYNCERROR|IOERROR") == []
        assert_in_step(pair)


@pytest.mark.lab(conf={"virtdomains": "userid", "defaultdomain": "internal.test"})
def test_users_of_several_domains(pair):
    with pair.master.imap() as admin:
        for user in ("fred", "fred@one.test", "j.doe@two.test"):
            at = user.find("@")
            admin.create(f"user/{user}")
            admin.create(f"user/{user[:at]}/Work{user[at:]}" if at > 0 else f"user/{user}/Work")
            admin.setquota(f"user/{user}", STORAGE=5000)
    for user in ("fred", "fred@one.test", "j.doe@two.test"):
        with pair.master.imap(user) as c:
            c.append("INBOX", b"Subject: for %s\r\n\r\nhello\r\n" % user.encode())
            c.subscribe("INBOX/Work")
            c.store("1", "+FLAGS", r"\Seen $Mine", "INBOX")
    run = ours(pair.master, "-A", "-v")
    assert {"USER fred", "USER fred@one.test", "USER j.doe@two.test"} <= set(run.out.splitlines())
    assert "MAILBOX one.test!user.fred.Work" in run.out
    assert stock_has_nothing_to_send(pair.master) == []
    assert ours(pair.master, "-m", "user/fred/Work@one.test", "-v").out.count("MAILBOXES one.test!user.fred.Work") == 1


@pytest.mark.lab(conf={"archive_enabled": "yes", "archive_after": "0d"})
def test_archived_messages_are_found(pair):
    for server in pair.servers:
        archive = server.outside / "archive"
        archive.mkdir()
        server.own(archive)
        server.set_conf({"archivepartition-default": server.folder / "archive"})
        server.restart()
    users = fill(pair.master, users=2, mailboxes=2, messages=6, seed=23)
    pair.master.run("cyr_expire", "-A", "0")
    archived = list((pair.master.outside / "archive").rglob("*."))
    assert archived
    ours(pair.master, "-A")
    assert users and pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []
