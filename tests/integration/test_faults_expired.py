"""What was deleted on the master, and expired there before the replica came back."""
import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.cyrus import installs
from lab.pair import make_pair


def delete_folder(pair):
    with pair.master.imap("fred") as c:
        c.delete("INBOX/x")


def make_user_again(pair):
    with pair.master.imap() as admin:
        admin.setacl("user/fred", "cyrus", "lrswipkxtecda")
        admin.delete("user/fred")
        admin.create("user/fred")


@pytest.mark.parametrize("edit", [delete_folder, make_user_again])
@pytest.mark.parametrize("version", [v for v, i in installs().items() if i.version >= (3, 6)])
def test_a_deleted_mailbox_that_has_expired_is_deleted_on_the_replica_without_a_record(version, edit):
    with make_pair(conf={"delete_mode": "delayed"}, install=installs()[version]) as pair:
        with pair.master.imap() as admin:
            admin.create("user/fred")
            admin.create("user/fred/x")
            admin.create("user/fred/y")
        with pair.master.imap("fred") as c:
            c.append("INBOX/x", b"Subject: x\r\n\r\nx\r\n")
        ours(pair.master, "-A")
        edit(pair)
        pair.master.run("cyr_expire", "-E", "0", "-X", "0", "-D", "0")
        ours(pair.master, "-A")
        assert pair.differences() == []
        assert stock_has_nothing_to_send(pair.master) == []
