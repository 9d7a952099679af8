"""Scripts that a replica refuses, and what deleted and renamed users and folders leave there."""
import pytest
from test_faults_renamed_users import install

from lab.clients import ours, stock, stock_has_nothing_to_send
from lab.cyrus import SUITES, SYSTEM
from lab.dump import names_without_id
from lab.pair import make_pair

NEW = [SYSTEM.name, *(v for v in SUITES.values() if not v.startswith("3.2."))]


@pytest.fixture(params=NEW)
def version(request):
    return install(request.param)


def make_user(server, user):
    with server.imap() as admin:
        admin.create(f"user/{user}")
        admin.setacl(f"user/{user}", "cyrus", "lrswipkxtecda")


def replicate_log(pair, run=ours, **options):
    log = pair.master.sync_log()
    log.rename(log.with_name("work"))
    return run(pair.master, "-R" if run is ours else "-r", "-f", log.with_name("work"), **options)


def forget_log(pair):
    pair.master.sync_log().unlink(missing_ok=True)


# --- expunged scripts --------------------------------------------------------------------------


@pytest.mark.parametrize("expunge_mode", ["immediate", "semidelayed", "delayed"])
@pytest.mark.parametrize("args", [("-A",), ("-u", "fred"), ("-m", "user/fred/#sieve")], ids=lambda args: args[0])
def test_a_script_that_was_replaced_does_not_keep_the_new_one_away(version, expunge_mode, args):
    """A replica of 3.12 compiles every script that it is told of, and the message of the first one is gone."""
    with make_pair(conf={"expunge_mode": expunge_mode}, install=version) as pair:
        make_user(pair.master, "fred")
        ours(pair.master, "-A")
        with pair.master.sieve("fred") as scripts:
            scripts.put("one", "discard;")
            scripts.put("one", "keep;")
            scripts.put("two", "stop;")
            scripts.activate("one")
            scripts.put("three", "keep;")
            scripts.delete("three")
        ours(pair.master, *args)
        assert pair.differences(expunged=expunge_mode == "delayed") == []
        with pair.master.sieve("fred") as here, pair.replica.sieve("fred") as there:
            assert here.list() == there.list()
        assert stock_has_nothing_to_send(pair.master) == []
        with pair.master.sieve("fred") as scripts:
            scripts.put("two", "keep;")
        ours(pair.master, *args)
        assert pair.differences(expunged=expunge_mode == "delayed") == []
        assert stock_has_nothing_to_send(pair.master) == []


# --- scripts that the replica cannot compile ---------------------------------------------------

VACATION = 'require "vacation";\r\nvacation "away";\r\n'


@pytest.mark.parametrize("args", [("-A",), ("-R", "-f")], ids=lambda args: args[0])
def test_a_script_that_the_replica_cannot_compile_is_named_and_all_but_newer_scripts_arrive(version, args):
    with make_pair(conf={"expunge_mode": "delayed"}, replica_conf={"sieve_extensions": "fileinto"}, install=version) as pair:
        for user in ("anna", "fred", "zoe"):
            make_user(pair.master, user)
        with pair.master.imap() as admin:
            admin.create("user/fred/zzz")
        ours(pair.master, "-A")
        forget_log(pair)
        for user in ("anna", "fred", "zoe"):
            with pair.master.sieve(user) as scripts:
                scripts.put("one", "keep;")
        with pair.master.sieve("fred") as scripts:
            scripts.put("out of office", VACATION)
            scripts.put("three", "stop;")
        with pair.master.imap("fred") as c:
            c.append("INBOX/zzz", b"Subject: x\r\n\r\nx\r\n")
            c.subscribe("INBOX/zzz")
        run = replicate_log(pair, check=False) if args[0] == "-R" else ours(pair.master, *args, check=False)
        assert run.status == 1
        assert run.log_lines('cannot compile the sieve script "out of office" of fred .uid 2.; .*sieve_extensions')
        left = pair.differences()
        assert left and all("user.fred.#sieve" in line or "user fred sieve" in line for line in left)
        with pair.replica.sieve("fred") as scripts:
            assert "one" in str(scripts.list()) and "three" not in str(scripts.list())
        with pair.master.sieve("fred") as scripts:
            scripts.delete("out of office")
        replicate_log(pair) if args[0] == "-R" else ours(pair.master, *args)
        assert pair.differences(expunged=False) == []
        assert stock_has_nothing_to_send(pair.master) == []


# --- deleted users and folders -----------------------------------------------------------------


@pytest.mark.parametrize("run", [ours, stock])
def test_every_client_leaves_the_scripts_of_a_user_in_the_deleted_tree(version, run):
    """The replica's server finds a tombstone of his INBOX, and deletes nothing but quotas and subscriptions. His
    successor has none of them."""
    with make_pair(conf={"delete_mode": "delayed"}, install=version) as pair:
        make_user(pair.master, "fred")
        with pair.master.sieve("fred") as scripts:
            scripts.put("one", "keep;")
            scripts.activate("one")
        run(pair.master, "-A")
        forget_log(pair)
        with pair.master.imap() as admin:
            admin.delete("user/fred")
        replicate_log(pair, run)
        assert pair.differences() == ["user fred sieve one.bc: only on replica", "user fred sieve one.script: only on replica"]
        with pair.master.imap() as admin:
            admin.create("user/fred")
        replicate_log(pair, run)
        assert pair.differences() == []


@pytest.mark.parametrize("args", [("-u", "fred"), ("-A",)], ids=lambda args: args[0])
def test_stock_of_3_12_dies_of_what_its_master_leaves_of_a_folder_with_children(args):
    """What tests/campaign knows of (left_for_stock_in_parts): stock clients and servers alone."""
    with make_pair(conf={"delete_mode": "immediate"}, install=install("3.12.4")) as pair:
        make_user(pair.master, "fred")
        with pair.master.imap() as admin:
            admin.create("user/fred/top")
            admin.create("user/fred/top/below")
        stock(pair.master, "-A")
        with pair.master.imap() as admin:
            admin.delete("user/fred")
            admin.create("user/fred")
        assert names_without_id(pair.master) == ["user.fred.top"]
        assert stock(pair.master, *args, check=False).status == -11
        stock(pair.master, "-m", "user/fred")
        stock(pair.master, "-s", "fred")
        ours(pair.master, *args)


def test_no_folder_is_deleted_before_what_is_below_it():
    """Whatever the order of the records: the replica would keep its name, of which its stock client dies."""
    with make_pair(conf={"delete_mode": "immediate"}, install=install("3.12.4")) as pair:
        make_user(pair.master, "fred")
        with pair.master.imap() as admin:
            for name in ("top", "top/below", "zzz"):
                admin.create(f"user/fred/{name}")
        ours(pair.master, "-A")
        forget_log(pair)
        with pair.master.imap("fred") as c:
            for name in ("INBOX/zzz", "INBOX/top/below", "INBOX/top"):
                c.append(name, b"Subject: x\r\n\r\nx\r\n")
        with pair.master.imap() as admin:
            admin.delete("user/fred")
        replicate_log(pair)
        assert names_without_id(pair.replica) == []


# --- scripts that are files here and a mailbox there ---------------------------------------------


@pytest.mark.parametrize("args", [("-A",), ("-u", "fred", "erna"), ("-R", "-f")], ids=lambda args: args[0])
@pytest.mark.parametrize("there", NEW)
def test_the_scripts_of_a_renamed_user_can_still_be_changed(there, args):
    """The replica keeps them in a #sieve mailbox that it tells nobody of. His successor has none of them."""
    with make_pair(conf={"allowusermoves": "yes"}, install=install("3.2.6"), replica_install=install(there)) as pair:
        make_user(pair.master, "fred")
        with pair.master.sieve("fred") as scripts:
            scripts.put("one", "keep;")
            scripts.put("two", "discard;")
            scripts.activate("one")
        ours(pair.master, "-A")
        forget_log(pair)
        with pair.master.imap() as admin:
            admin.rename("user/fred", "user/erna")
            admin.create("user/fred")
        replicate_log(pair) if args[0] == "-R" else ours(pair.master, *args)
        assert pair.differences(sieve_mailboxes=False) == []
        forget_log(pair)
        with pair.master.sieve("erna") as scripts:
            scripts.put("three", "stop;")
            scripts.activate("three")
        with pair.master.sieve("fred") as scripts:
            scripts.put("four", "stop;")
        replicate_log(pair) if args[0] == "-R" else ours(pair.master, *args)
        assert pair.differences(sieve_mailboxes=False) == []
