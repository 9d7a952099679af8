"""Which mailbox is it? Renames, deletions and names that are used again, where only the uniqueid
tells: nothing is deleted or taken away because of a name, and nothing gets stuck."""
import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.cyrus import installs
from lab.dump import dump
from lab.pair import make_pair
from lab.proxy import Proxy

ALL_RIGHTS = "lrswipkxtecda"


def message(text):
    return b"Subject: x\r\n\r\n%s\r\n" % text.encode()


def make_users(pair, *users):
    """Users with a quota root and a folder f1 of one message, replicated; the log is empty then."""
    with pair.master.imap() as admin:
        for user in users:
            admin.create(f"user/{user}")
            admin.setquota(f"user/{user}", STORAGE=12345)
    for user in users:
        with pair.master.imap(user) as c:
            c.create("INBOX/f1")
            c.append("INBOX/f1", message(f"hello {user}"))
            c.subscribe("INBOX/f1")
    replicate(pair)


def replicate(pair):
    ours(pair.master, "-A")
    forget_log(pair)


def forget_log(pair):
    if pair.master.sync_log().exists():
        pair.master.sync_log().unlink()


def replay(pair, **options):
    """All records of the log as one batch."""
    work = pair.master.sync_log().with_name("work")
    pair.master.sync_log().rename(work)
    run = ours(pair.master, "-R", "-f", str(work), "-v", **options)
    if work.exists():
        work.unlink()
    return run


def assert_in_step(pair):
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


def quotas(server, user="fred"):
    with server.imap() as admin:
        return admin.command("GETQUOTAROOT", f"user/{user}", ok=False).untagged


def texts(server, name):
    """GUIDs of the live messages of a mailbox, or None."""
    d = dump(server)
    return sorted(d.records[name][uid]["GUID"] for uid in d.live(name)) if name in d.records else None


def delete_user(pair, user):
    with pair.master.imap() as admin:
        admin.setacl(f"user/{user}", "cyrus", ALL_RIGHTS)
        admin.delete(f"user/{user}")


def damage_entry(server, name, value="%(rubbish"):
    path = next(server.outside.rglob("mailboxes.db"))
    server.run("cyr_dbtool", str(path), "twoskip", "set", "N" + name.replace(".", "\x1f"), value)


# --- absence in a list that was not read ----------------------------------------------------------


def test_a_damaged_entry_takes_no_quota_root_away(pair):
    make_users(pair, "fred")
    before = quotas(pair.replica)
    damage_entry(pair.master, "user.fred.zz")
    with Proxy(pair.replica) as proxy:
        run = ours(pair.master, "-u", "fred", conf=proxy.conf, check=False)
        assert run.status == 1
        assert proxy.count.get("APPLY UNQUOTA", 0) == 0
    assert run.log_lines("mailboxes.db: entry .*zz")
    assert quotas(pair.replica) == before


def test_the_other_mailboxes_of_a_user_with_a_damaged_entry_arrive(pair):
    make_users(pair, "fred")
    with pair.master.imap("fred") as c:
        c.append("INBOX/f1", message("new"))
    damage_entry(pair.master, "user.fred.zz")
    assert ours(pair.master, "-u", "fred", check=False).status == 1
    assert len(texts(pair.replica, "user.fred.f1")) == 2


def test_a_damaged_entry_of_the_inbox_is_an_error_and_changes_nothing(pair):
    make_users(pair, "fred")
    before = dump(pair.replica)
    damage_entry(pair.master, "user.fred")
    with Proxy(pair.replica) as proxy:
        assert ours(pair.master, "-u", "fred", conf=proxy.conf, check=False).status == 1
        assert proxy.applied() == []
    assert dump(pair.replica).mailboxes == before.mailboxes


@pytest.mark.parametrize("kind", ["r", "z", "m"])
def test_mailboxes_that_take_no_part_keep_what_they_have_on_the_replica(pair, kind):
    # on another server, just being made, on the way to another server
    make_users(pair, "fred")
    with pair.master.imap() as admin:
        admin.setquota("user/fred/f1", STORAGE=777)
    replicate(pair)
    d = dump(pair.master).mailboxes["user.fred.f1"]
    damage_entry(pair.master, "user.fred.f1", f"%(T e{kind} I {d['UNIQUEID']} P default V {d['UIDVALIDITY']} C 1 F 1 M 1 A %())")
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-u", "fred", conf=proxy.conf, check=False)
        assert proxy.applied() == []
    assert len(texts(pair.replica, "user.fred.f1")) == 1


# --- names decide where uniqueids should ----------------------------------------------------------


@pytest.mark.parametrize("how", ["log", "-u"])
@pytest.mark.lab(conf={"delete_mode": "immediate"})
def test_a_deleted_folder_whose_name_a_rename_takes(pair, how):
    make_users(pair, "fred")
    with pair.master.imap("fred") as c:
        for folder in "ab":
            c.create(f"INBOX/{folder}")
            c.append(f"INBOX/{folder}", message(f"in {folder}"))
    replicate(pair)
    with pair.master.imap("fred") as c:
        c.delete("INBOX/a")
        c.rename("INBOX/b", "INBOX/a")
    if how == "log":
        replay(pair)
        assert_in_step(pair)
    else: # the list has forgotten that the old one was deleted, and no record tells: it stays, and is named
        old = dump(pair.replica).mailboxes["user.fred.a"]["UNIQUEID"]
        run = ours(pair.master, "-u", "fred", check=False)
        assert run.status == 1
        assert run.log_lines(old)
        ours(pair.master, "-u", "fred", conf={"sync_delete_extra": "yes"})
        assert_in_step(pair)


@pytest.mark.lab(conf={"delete_mode": "immediate"})
def test_a_folder_that_was_renamed_and_deleted(pair):
    make_users(pair, "fred")
    with pair.master.imap("fred") as c:
        c.rename("INBOX/f1", "INBOX/f2")
        c.delete("INBOX/f2")
    replay(pair)
    assert_in_step(pair)


@pytest.mark.parametrize("args", [("-A",), ("-u", "joe"), ("-u", "joe", "fred"), ("-u", "fred", "joe"),
                                  ("-m", "user/joe/f9")])
def test_a_folder_that_went_to_another_user(pair, args):
    make_users(pair, "fred", "joe")
    with pair.master.imap() as admin:
        admin.rename("user/fred/f1", "user/joe/f9")
    with Proxy(pair.replica) as proxy:
        ours(pair.master, *args, conf=proxy.conf)
        assert proxy.count["APPLY RENAME"] == 1
        assert proxy.count.get("APPLY UNMAILBOX", 0) == 0
    ours(pair.master, "-A") # the root that the folder had there
    assert_in_step(pair)


def test_the_old_owner_alone_does_not_delete_what_another_user_has_now(pair):
    make_users(pair, "fred", "joe")
    with pair.replica.imap("fred") as c:
        c.append("INBOX/f1", message("only on the replica"))
    with pair.master.imap() as admin:
        admin.rename("user/fred/f1", "user/joe/f9")
    run = ours(pair.master, "-u", "fred")
    assert run.log_lines(r"left alone on the replica.*user\.fred\.f1.*user\.joe\.f9")
    assert len(texts(pair.replica, "user.fred.f1")) == 2


@pytest.mark.lab(services=("imap", "lmtp", "sync", "sieve", "syncunix"))
@pytest.mark.parametrize("args", [("-A",), ("-u", "fred", "joe")])
def test_what_only_the_replica_had_survives_a_rename_to_another_user(pair, args):
    pair.master.set_conf(sync_copyback_host=pair.master.sync_socket)
    make_users(pair, "fred", "joe")
    with pair.replica.imap("fred") as c:
        c.append("INBOX/f1", message("only on the replica"))
    with pair.master.imap() as admin:
        admin.rename("user/fred/f1", "user/joe/f9")
    ours(pair.master, *args)
    assert len(texts(pair.replica, "user.joe.f9")) == 2
    assert len(texts(pair.master, "user.joe.f9")) == 2
    assert texts(pair.replica, "user.fred.f1") is None


@pytest.mark.parametrize("args", [("-A",), ("-u", "fritz"), ("-u", "fred", "fritz"), ("-u", "fritz", "fred"),
                                  ("-m", "user/fritz", "user/fritz/f1")])
@pytest.mark.lab(conf={"allowusermoves": "yes"})
def test_a_renamed_user(pair, args):
    make_users(pair, "fred", "joe")
    with pair.master.imap() as admin:
        admin.rename("user/fred", "user/fritz")
    with Proxy(pair.replica) as proxy:
        ours(pair.master, *args, conf=proxy.conf)
        assert proxy.count["APPLY RENAME"] == 2
    ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.parametrize("args", [("-A",), ("-m", "shared/z", "shared/z/b"), ("-m", "shared/z/b", "shared/z")])
def test_renamed_shared_mailboxes(pair, args):
    make_users(pair, "fred")
    with pair.master.imap() as admin:
        for name in ("shared", "shared/a", "shared/a/b"):
            admin.create(name)
            admin.setacl(name, "cyrus", ALL_RIGHTS)
        admin.append("shared/a", message("more"))
    replicate(pair)
    with pair.master.imap() as admin:
        admin.rename("shared/a", "shared/z")
    ours(pair.master, *args)
    assert_in_step(pair)


def test_a_renamed_folder_named_alone(pair):
    make_users(pair, "fred")
    with pair.master.imap("fred") as c:
        c.rename("INBOX/f1", "INBOX/f9")
    ours(pair.master, "-m", "user/fred/f9")
    assert_in_step(pair)


@pytest.mark.parametrize("how", ["log", "-A"])
def test_two_shared_mailboxes_that_swapped_their_names(pair, how):
    with pair.master.imap() as admin:
        for name in ("pub1", "pub2"):
            admin.create(name)
            admin.setacl(name, "anyone", ALL_RIGHTS)
            admin.append(name, message(name))
    replicate(pair)
    with pair.master.imap() as admin:
        for old, new in (("pub1", "pub3"), ("pub2", "pub1"), ("pub3", "pub2")):
            admin.rename(old, new)
    replay(pair) if how == "log" else ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.parametrize("args", [("-A",), ("-u", "fred", "joe"), ("log",)])
def test_two_users_that_swapped_a_folder(pair, args):
    make_users(pair, "fred", "joe")
    with pair.master.imap() as admin:
        for old, new in (("fred/f1", "joe/tmp"), ("joe/f1", "fred/f1"), ("joe/tmp", "joe/f1")):
            admin.rename(f"user/{old}", f"user/{new}")
    replay(pair) if args == ("log",) else ours(pair.master, *args)
    ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.lab(conf={"allowusermoves": "yes"})
def test_two_users_that_swapped_their_names(pair):
    make_users(pair, "fred", "joe")
    with pair.master.imap() as admin:
        for old, new in (("fred", "fritz"), ("joe", "fred"), ("fritz", "joe")):
            admin.rename(f"user/{old}", f"user/{new}")
    ours(pair.master, "-A")
    ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.lab(conf={"allowusermoves": "yes"})
def test_users_renamed_in_a_chain_and_the_last_made_again(pair):
    make_users(pair, "anna", "fred", "joe")
    with pair.master.imap() as admin:
        for old, new in (("joe", "zoe"), ("fred", "joe"), ("anna", "fred")):
            admin.rename(f"user/{old}", f"user/{new}")
        admin.create("user/anna")
    ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.parametrize("version", ["3.10.2", "3.12.4"])
def test_a_renamed_user_of_a_later_version(version):
    if version not in installs():
        pytest.skip(f"Cyrus {version} is not installed (./runtests --matrix makes its chroot)")
    with make_pair(conf={"allowusermoves": "yes"}, install=installs()[version], replica_install=installs()[version]) as pair:
        make_users(pair, "fred")
        with pair.master.imap() as admin:
            admin.rename("user/fred", "user/fritz")
        ours(pair.master, "-u", "fritz")
        assert pair.differences() == []


def test_a_folder_made_again_after_its_deleted_copy_expired(pair):
    make_users(pair, "fred")
    with pair.master.imap("fred") as c:
        c.delete("INBOX/f1")
        c.create("INBOX/f1")
        c.append("INBOX/f1", message("the new one"))
    pair.master.run("cyr_expire", "-D", "0", "-E", "1")
    replay(pair)
    assert texts(pair.replica, "user.fred.f1") == texts(pair.master, "user.fred.f1")
    assert pair.differences() == []  # the old one is gone on both sides: a record tells that it expired


# --- mail that was deleted must not come back -----------------------------------------------------


@pytest.mark.lab(conf={"delete_mode": "immediate"}, services=("imap", "lmtp", "sync", "sieve", "syncunix"))
@pytest.mark.parametrize("again", ["user", "folder"])
def test_deleted_mail_does_not_come_back_into_a_mailbox_made_again(pair, again):
    pair.master.set_conf(sync_copyback_host=pair.master.sync_socket)
    make_users(pair, "fred")
    with pair.master.imap("fred") as c:
        c.create("INBOX/deep")
        c.create("INBOX/deep/er")
        c.append("INBOX/deep", message("old secret"))
    replicate(pair)
    if again == "user":
        delete_user(pair, "fred")
        with pair.master.imap() as admin:
            admin.create("user/fred")
    else:
        with pair.master.imap("fred") as c:
            c.delete("INBOX/deep/er")
            c.delete("INBOX/deep")
    with pair.master.imap("fred") as c:
        c.create("INBOX/deep/er/new") # makes "deep" again, with the uniqueid of its tombstone
    replay(pair)
    assert texts(pair.master, "user.fred.deep") == []
    assert_in_step(pair)


# --- quota roots ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["immediate", "delayed"])
@pytest.mark.parametrize("how", ["log", "-u"])
def test_a_user_made_again_does_not_keep_the_old_quota(pair, mode, how):
    for server in pair.servers:
        server.set_conf(delete_mode=mode)
        server.restart()
    make_users(pair, "fred")
    delete_user(pair, "fred")
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as c:
        c.subscribe("INBOX")
    if how == "log":
        replay(pair)
    else:
        ours(pair.master, "-u", "fred", conf={"sync_delete_extra": "yes"})
    assert quotas(pair.replica) == quotas(pair.master)
    assert_in_step(pair)


def test_a_root_without_a_mailbox_does_not_take_hold_of_a_new_one(pair):
    """The folder goes to the deleted tree, its root stays on both sides, and goes on the master without a mailbox."""
    def root(server):
        with server.csync() as session:
            return session.get("QUOTA", "user.fred.f1").of("QUOTA")

    for server in pair.servers:
        server.set_conf(delete_mode="delayed")
        server.restart()
    make_users(pair, "fred")
    with pair.master.imap() as admin:
        admin.setquota("user/fred/f1", STORAGE=99)
        ours(pair.master, "-u", "fred")
        admin.setacl("user/fred/f1", "cyrus", "lrswipkxtecda")
        admin.delete("user/fred/f1")
        ours(pair.master, "-u", "fred")
        assert root(pair.master) and root(pair.replica)
        with pair.master.csync() as session:
            session.apply("UNQUOTA", "user.fred.f1")
        admin.create("user/fred/f1")
    ours(pair.master, "-u", "fred")
    assert not root(pair.master) and not root(pair.replica)
    assert_in_step(pair)


def test_a_root_that_only_the_replica_has_goes(pair):
    make_users(pair, "fred")
    with pair.replica.imap() as admin:
        admin.setquota("user/fred/f1", STORAGE=99)
    ours(pair.master, "-u", "fred")
    assert_in_step(pair)


# --- another user of the same name ----------------------------------------------------------------


def renamed_and_made_again(pair):
    make_users(pair, "anna")
    with pair.master.imap("anna") as c:
        c.create("INBOX/f1/deep")
        c.append("INBOX", message("in the inbox"))
    replicate(pair)
    with pair.master.imap() as admin:
        admin.rename("user/anna", "user/ann2")
        admin.create("user/anna")
    with pair.master.imap("anna") as c:
        c.append("INBOX", message("the new one"))


@pytest.mark.parametrize("args", [("-u", "anna"), ("-s", "anna")])
@pytest.mark.lab(conf={"allowusermoves": "yes"})
def test_another_user_of_that_name_on_the_replica_is_left_alone(pair, args):
    renamed_and_made_again(pair)
    before = dump(pair.replica)
    with Proxy(pair.replica) as proxy:
        run = ours(pair.master, *args, conf=proxy.conf, check=False)
        assert run.status == 1
        assert proxy.applied() == []
    assert run.log_lines("uniqueid")
    after = dump(pair.replica)
    assert (after.mailboxes, after.users) == (before.mailboxes, before.users)


@pytest.mark.parametrize("args", [("-A",), ("-u", "anna", "ann2"), ("-u", "ann2", "anna"), ("log",)])
@pytest.mark.lab(conf={"allowusermoves": "yes"})
def test_a_user_renamed_and_made_again(pair, args):
    renamed_and_made_again(pair)
    with Proxy(pair.replica) as proxy:
        if args == ("log",):
            replay(pair, conf=proxy.conf)
        else:
            ours(pair.master, *args, conf=proxy.conf)
        assert proxy.count.get("APPLY UNMAILBOX", 0) == 0
    ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.lab(conf={"allowusermoves": "yes"})
@pytest.mark.parametrize("records", ["UNUSER anna", "UNMAILBOX user.anna.f1", "META anna", "SUB anna user.anna.f1"])
def test_a_record_of_the_old_name_takes_nothing_from_the_renamed_user(pair, records):
    make_users(pair, "anna")
    with pair.master.imap() as admin:
        admin.rename("user/anna", "user/ann2")
    before = dump(pair.replica)
    log = pair.master.sync_log()
    log.write_text(records + "\n") # the RENAME records were lost, or have failed
    pair.master.own(log)
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-R", "-f", str(log), conf=proxy.conf, check=False)
        assert proxy.applied() == []
    after = dump(pair.replica)
    assert (after.mailboxes, after.users) == (before.mailboxes, before.users)


# --- on demand ------------------------------------------------------------------------------------


def test_a_folder_that_only_the_replica_has_is_deleted_on_demand_only(pair):
    make_users(pair, "fred")
    with pair.replica.imap("fred") as c:
        c.create("INBOX/theirs")
        c.append("INBOX/theirs", message("there"))
    ours(pair.master, "-u", "fred")
    ours(pair.master, "-O", "-u", "fred")
    assert len(texts(pair.replica, "user.fred.theirs")) == 1
    ours(pair.master, "-u", "fred", conf={"sync_delete_extra": "yes"})
    assert_in_step(pair)


def test_on_demand_nothing_is_deleted_while_the_list_has_a_damaged_entry(pair):
    make_users(pair, "fred")
    with pair.replica.imap("fred") as c:
        c.create("INBOX/theirs")
    damage_entry(pair.master, "user.fred.zz")
    with Proxy(pair.replica) as proxy:
        conf = {"sync_delete_extra": "yes", **proxy.conf}
        assert ours(pair.master, "-u", "fred", conf=conf, check=False).status == 1
        assert proxy.count.get("APPLY UNMAILBOX", 0) == 0


# --- replicas before 3.6 --------------------------------------------------------------------------


def test_an_empty_mailbox_that_is_only_renamed_is_not_deleted_on_a_replica_before_3_6():
    if "3.2.6" not in installs():
        pytest.skip("Cyrus 3.2.6 is not installed (./runtests --matrix makes its chroot)")
    with make_pair(replica_install=installs()["3.2.6"]) as pair:
        with pair.master.imap() as admin:
            admin.create("user/fred")
        with pair.master.imap("fred") as c:
            c.create("INBOX/a")
        ours(pair.master, "-A")
        with pair.master.imap("fred") as c:
            c.rename("INBOX/a", "INBOX/b")
            c.create("INBOX/a")
        with Proxy(pair.replica) as proxy:
            ours(pair.master, "-A", conf=proxy.conf)
            assert proxy.count.get("APPLY UNMAILBOX", 0) == 0
            assert proxy.count["APPLY RENAME"] == 1
