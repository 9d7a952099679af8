"""Mailboxes that changed on both sides: what may be sent is sent, what a replica may not say is refused."""
import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.dump import dump
from lab.proxy import Proxy

SERVICES = ("imap", "lmtp", "sync", "sieve", "syncunix")


def message(i):
    return b"Subject: n\r\nMessage-ID: <%d@x>\r\n\r\nbody %d\r\n" % (i, i)


@pytest.fixture
def anna(pair):
    pair.master.set_conf(sync_copyback="off")
    with pair.master.imap() as admin:
        admin.create("user/anna")
    with pair.master.imap("anna") as c:
        c.append("INBOX", *[message(i) for i in range(1, 7)])
    ours(pair.master, "-A")
    return pair


def with_service(pair):
    pair.master.set_conf(sync_copyback="service", sync_copyback_host=pair.master.sync_socket)
    return pair


def flags(server, uid):
    with server.imap("anna") as c:
        return str(c.fetch(str(uid), "FLAGS", "INBOX"))


def uids(server):
    with server.imap("anna") as c:
        return c.uids("INBOX")


def flag(server, uid, name, sign="+", times=1):
    with server.imap("anna") as c:
        for _ in range(times):
            c.store(uid, sign + "FLAGS", name, "INBOX")


def expunge(server, what):
    with server.imap("anna") as c:
        c.store(what, "+FLAGS", r"\Deleted", "INBOX")
        c.expunge(name="INBOX")


def set_header(replica, **header):
    """The replica's own server is told other counters."""
    with replica.csync() as session:
        box = session.get("MAILBOXES", ["user.anna"]).of("MAILBOX")[0]
        box = {key: value for key, value in box.items() if key not in ("SYNC_CRC", "SYNC_CRC_ANNOT", "QUOTAROOT")}
        session.apply("MAILBOX", {**box, **header, "SYNC_CRC": "0", "RECORD": []})


# --- without copyback --------------------------------------------------------------------------


def test_a_flag_set_and_taken_back_on_the_replica_holds_nothing_back(anna):
    for _ in range(4):
        flag(anna.replica, "1", r"\Flagged")
        flag(anna.replica, "1", r"\Flagged", "-")
    with anna.master.imap("anna") as c:
        c.append("INBOX", message(7))
    flag(anna.master, "2", r"\Answered")
    run = ours(anna.master, "-A")
    assert run.log_lines("both sides|SYNCERROR|IOERROR") == []
    assert uids(anna.replica) == uids(anna.master)
    assert r"\Answered" in flags(anna.replica, 2)
    with Proxy(anna.replica) as proxy:
        ours(anna.master, "-A", conf=proxy.conf)
        assert proxy.applied() == []


def test_what_the_replica_cannot_lose_arrives_and_the_rest_is_told_by_uid(anna):
    flag(anna.replica, "1", r"\Flagged")
    expunge(anna.replica, "4")
    before = dump(anna.master)
    with anna.master.imap("anna") as c:
        c.append("INBOX", message(7))
    flag(anna.master, "2", r"\Answered")
    expunge(anna.master, "3")
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1
    (told,) = run.log_lines("IOERROR: user replication failed")
    assert "2 messages differ: uid 1 was changed on the replica; uid 4 is live here and expunged on the replica" in told.text
    assert uids(anna.replica) == [1, 2, 5, 6, 7]
    assert r"\Answered" in flags(anna.replica, 2)
    assert r"\Flagged" in flags(anna.replica, 1)
    assert dump(anna.master).records["user.anna"][1] == before.records["user.anna"][1]
    with Proxy(anna.replica) as proxy:
        assert ours(anna.master, "-A", conf=proxy.conf, check=False).status == 1
        assert proxy.applied() == [], "the second run has nothing more to send"


def test_flags_of_both_sides_overwrite_nothing(anna):
    flag(anna.replica, "1", r"\Flagged")
    flag(anna.master, "1", r"\Answered", times=1)
    flag(anna.master, "1", "$Todo")
    flag(anna.master, "6", r"\Seen")
    for name in ("$A", "$B", "$C"):
        flag(anna.replica, "2", name)
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1 and run.log_lines("uid 1 differs, and is not newer here|uid 1 was changed")
    assert r"\Flagged" in flags(anna.replica, 1) and r"\Answered" not in flags(anna.replica, 1)
    assert "$C" in flags(anna.replica, 2)


def test_a_message_of_the_replica_only_keeps_no_other_from_arriving(anna):
    with anna.replica.imap("anna") as c:
        c.append("INBOX", message(100))
    flag(anna.master, "2", r"\Answered")
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1 and run.log_lines("uid 7 was added on the replica")
    assert r"\Answered" in flags(anna.replica, 2)
    assert uids(anna.replica) == [1, 2, 3, 4, 5, 6, 7]


def test_mailbox_annotations_of_the_replica_are_not_overwritten(anna):
    with anna.replica.imap("anna") as c:
        c.setmetadata("INBOX", "/shared/comment", "theirs")
    flag(anna.master, "2", r"\Answered")
    flag(anna.replica, "5", "$A")
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1 and run.log_lines("its annotations differ")
    assert dump(anna.replica).mailboxes["user.anna"]["ANNOTATIONS"][0]["VALUE"] == "theirs"
    assert r"\Answered" in flags(anna.replica, 2)


def test_counters_that_are_ahead_are_no_conflict(pair):
    """Moved from A to B, deleted on A, moved back: only HIGHESTMODSEQ is ahead there."""
    a, b = pair.master, pair.replica
    b.replicate_to(a.address, a.sync_port)
    b.set_conf(sync_copyback="off")
    with a.imap() as admin:
        admin.create("user/anna")
        admin.create("user/anna/Sub")
    with a.imap("anna") as c:
        c.append("INBOX", message(1))
        c.append("INBOX/Sub", message(2))
    ours(a, "-u", "anna")
    with a.imap() as admin:
        admin.delete_user("anna")
    for _ in range(2):
        run = ours(b, "-u", "anna")
        assert run.log_lines("both sides|SYNCERROR|IOERROR") == []


# --- conversations -----------------------------------------------------------------------------


@pytest.mark.lab(conf={"conversations": "yes"}, services=SERVICES)
@pytest.mark.parametrize("service", [False, True])
def test_conversations_of_the_replica_are_no_conflict(anna, service):
    """The replica's own threads have numbered the mailbox higher, and nobody touched the replica."""
    if service:
        with_service(anna)
    here = int(dump(anna.master).mailboxes["user.anna"]["XCONVMODSEQ"])
    set_header(anna.replica, XCONVMODSEQ=str(here + 20))
    with anna.master.imap("anna") as c:
        c.append("INBOX", message(7))
    before = dump(anna.master)
    run = ours(anna.master, "-A")
    assert run.log_lines("both sides|SYNCERROR|IOERROR|comparing all") == []
    assert anna.differences() == []
    assert dump(anna.master).mailboxes == before.mailboxes
    with Proxy(anna.replica) as proxy:
        ours(anna.master, "-A", conf=proxy.conf)
        assert proxy.applied() == []


# --- sums --------------------------------------------------------------------------------------

FAR = (message(50), (), "31-Dec-2999 00:00:00 +0000", ())


@pytest.mark.lab(services=SERVICES)
@pytest.mark.parametrize("service", [False, True])
def test_a_wrong_stored_sum_is_told_once_and_makes_no_traffic(pair, service):
    """The index cannot hold the date, the sum was made with it."""
    pair.master.set_conf(sync_copyback="off")
    if service:
        with_service(pair)
    with pair.master.imap() as admin:
        admin.create("user/anna")
    with pair.master.imap("anna") as c:
        c.append("INBOX", FAR)
    first = ours(pair.master, "-A")
    assert pair.differences() == [] or not service
    told = "has corrected a stored checksum" if service else r"reconstruct\(8\) corrects it: mailbox=<user.anna>"
    assert len(first.log_lines(told)) == 1
    with Proxy(pair.replica) as proxy:
        again = ours(pair.master, "-A", conf=proxy.conf)
        assert proxy.applied() == []
        assert "GET FULLMAILBOX" not in proxy.count
    assert again.log_lines("CHECKSUM|CRC failure") == []
    assert len(again.log_lines(told)) == (0 if service else 1)
    if service:
        with pair.master.imap("anna") as c:
            c.append("INBOX", message(51))
        assert ours(pair.master, "-A").log_lines("CHECKSUM|checksum") == []
        assert pair.differences() == []
        assert stock_has_nothing_to_send(pair.master) == []


# --- what a replica may say --------------------------------------------------------------------


@pytest.mark.lab(services=SERVICES)
@pytest.mark.parametrize("option", ["-A", "-O"])
@pytest.mark.parametrize("key, value", [
    ("HIGHESTMODSEQ", "18446744073709551000"), ("HIGHESTMODSEQ", "5000000000"), ("LAST_UID", "4294967295"),
    ("UIDVALIDITY", "4294967295")])
def test_implausible_counters_of_a_replica_do_not_reach_the_master(anna, key, value, option):
    with_service(anna)
    set_header(anna.replica, **{key: value})
    before = dump(anna.master)
    run = ours(anna.master, "-A", *(["-O"] if option == "-O" else []), check=False)
    assert run.status == 1
    assert run.log_lines(f"the replica's {key} {value} is not plausible")
    after = dump(anna.master)
    assert after.mailboxes == before.mailboxes and after.records == before.records
    with anna.master.imap("anna") as c:
        c.append("INBOX", message(60))


@pytest.mark.lab(services=SERVICES)
def test_copyback_that_would_expunge_too_much_is_a_conflict_that_names_the_number(anna):
    with_service(anna)
    anna.master.set_conf(sync_copyback_max_expunge="2 and 40%")
    expunge(anna.replica, "1:3")
    flag(anna.master, "5", r"\Answered")
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1
    assert run.log_lines(r"3 of 6 messages are expunged on the replica: more than sync_copyback_max_expunge \(2 and 40%\)")
    assert uids(anna.master) == [1, 2, 3, 4, 5, 6]
    assert r"\Answered" in flags(anna.replica, 5)
    for limit in ("2 and 50%", "3 40%", "no"):
        run = ours(anna.master, "-A", conf={"sync_copyback_max_expunge": limit})
        assert uids(anna.master) == [4, 5, 6]
    assert anna.differences(history=False) == []


def test_a_limit_that_is_none_is_refused(anna):
    run = ours(anna.master, "-A", conf={"sync_copyback_max_expunge": "many"}, check=False)
    assert run.status not in (0, 1)
    assert "sync_copyback_max_expunge: 'many' is not" in run.err + " ".join(str(x) for x in run.log_lines())


# --- another mailbox under the name ------------------------------------------------------------


@pytest.mark.parametrize("emptied", [False, True])
def test_another_mailbox_under_the_name_is_told_in_the_words_that_scripts_look_for(anna, emptied):
    for server in anna.servers:
        with server.imap("anna") as c:
            c.create("INBOX/Same")
            c.append("INBOX/Same", message(1))
    if emptied:
        with anna.replica.imap("anna") as c:
            c.store("1", "+FLAGS", r"\Deleted", "INBOX/Same")
            c.expunge(name="INBOX/Same")
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1
    assert len(run.log_lines("MAILBOX received NO response: IMAP_MAILBOX_MOVED Mailbox Moved")) >= 1
    what = "that has had messages" if emptied else "with messages"
    assert run.log_lines(f"the replica has another mailbox {what} under this name")


def test_two_messages_under_one_uid_keep_no_flag_from_arriving(anna):
    with anna.replica.imap("anna") as c:
        c.append("INBOX", message(100))
    for uid in "123":
        flag(anna.master, uid, r"\Answered")
    with anna.master.imap("anna") as c:
        c.append("INBOX", message(101), message(102))
    run = ours(anna.master, "-A", check=False)
    assert run.status == 1 and run.log_lines("uid 7 exists here under a uid that the replica has used otherwise")
    with Proxy(anna.replica) as proxy:
        assert ours(anna.master, "-A", conf=proxy.conf, check=False).log_lines("CHECKSUM") == []
        assert proxy.applied() == []
    assert uids(anna.replica) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(r"\Answered" in flags(anna.replica, uid) for uid in (1, 2, 3))


# --- a copyback that was cut off, and then nobody to tell the master ----------------------------------


@pytest.mark.lab(services=SERVICES)
@pytest.mark.parametrize("changed_since", [False, True])
def test_the_original_of_a_copy_does_not_stay_beside_it(anna, changed_since):
    """Only one that was changed after it was copied: its change is not on the master yet."""
    with_service(anna)
    for server, body in ((anna.master, 10), (anna.replica, 20)):
        with server.imap("anna") as c:
            c.append("INBOX", message(body))
    with Proxy(anna.replica) as proxy:
        for nth in range(1, 10):  # in every try
            proxy.on("APPLY EXPUNGE", "NO IMAP_MAILBOX_LOCKED Mailbox is locked", nth=nth)
        assert ours(anna.master, "-A", conf=proxy.conf, check=False).status == 1 and proxy.fired
    copied = [uid for uid in uids(anna.master) if uid > 7]
    assert len(copied) == 2 and uids(anna.replica)[-1] == 7
    if changed_since:
        flag(anna.replica, 7, r"\Flagged")
    run = ours(anna.master, "-A", conf={"sync_copyback": "off"}, check=False)
    assert run.status == 1 or not changed_since
    assert uids(anna.replica) == [*range(1, 7), *([7] if changed_since else []), *copied]
    ours(anna.master, "-A")
    assert uids(anna.replica) == uids(anna.master) == [*range(1, 7), *copied]
    assert anna.differences(history=False) == []
    assert stock_has_nothing_to_send(anna.master) == []
