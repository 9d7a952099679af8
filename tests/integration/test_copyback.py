"""Split brain: both sides were changed. What the master lacks goes to it through its own sync_server.

Every scene is a mailbox of its own in one pair of stores, of which each client gets a copy: the
end state has to be the stock client's.
"""
import time
from types import SimpleNamespace

import pytest

from lab.clients import ours, start_ours, stock, stock_has_nothing_to_send
from lab.dump import dump
from lab.fill import plain_message as message
from lab.fill import user_with_mail
from lab.pair import Template, make_pair
from lab.proxy import LOSE, Proxy

SERVICES = ("imap", "lmtp", "sync", "sieve", "syncunix")
SCENES = {}


def scene(function):
    SCENES[function.__name__] = function
    return function


def flag(c, box, uids, *flags):
    c.store(uids, "+FLAGS", " ".join(flags), box)


def expunge(c, box, uids):
    flag(c, box, uids, r"\Deleted")
    c.expunge(name=box)


@scene
def s2_other_messages_under_one_uid(here, there, box):
    here.append(box, message(box + " ours a"), message(box + " ours b"))
    there.append(box, message(box + " theirs a"), message(box + " theirs b"), message(box + " theirs c"))


@scene
def s3_expunged_here_another_there(here, there, box):
    here.append(box, message(box + " ours"))
    expunge(here, box, "5")
    there.append(box, message(box + " theirs"))


@scene
def s4_expunged_there_another_here(here, there, box):
    here.append(box, message(box + " ours"))
    there.append(box, message(box + " theirs"))
    expunge(there, box, "5")


@scene
def s6_flags_newer_there(here, there, box):
    flag(there, box, "2", r"\Flagged", "$Label", "Other")
    flag(there, box, "3", r"\Answered")


@scene
def s7_flags_on_both(here, there, box):
    flag(there, box, "2", r"\Flagged")
    for extra in (r"\Answered", r"\Seen", "$Todo"):
        flag(here, box, "2", extra)


@scene
def s8_expunged_here_flagged_there(here, there, box):
    for extra in (r"\Flagged", r"\Seen", "$A", "$B"):
        flag(there, box, "2", extra)
    expunge(here, box, "2")


@scene
def s9_expunged_there(here, there, box):
    expunge(there, box, "2:3")


@scene
def s9_expunged_there_flagged_here(here, there, box):
    expunge(there, box, "2")
    for extra in (r"\Flagged", r"\Seen", "$A", "$B"):
        flag(here, box, "2", extra)


@scene
def r2_appended_there(here, there, box):
    there.append(box, message(box + " theirs a"), (message(box + " theirs b"), [r"\Seen", r"\Flagged"], None, None))


@scene
def r2_and_s6_together(here, there, box):
    there.append(box, message(box + " theirs a"))
    flag(there, box, "1", r"\Seen")
    expunge(there, box, "4")


@scene
def equal_counters(here, there, box):
    flag(here, box, "1", r"\Seen")
    flag(there, box, "2", r"\Flagged")


@scene
def a_message_annotation_there(here, there, box):
    there.annotate("2", "/comment", "theirs", "value.priv", box)
    there.annotate("3", "/comment", "theirs", "value.shared", box)


@scene
def message_annotations_on_both(here, there, box):
    here.annotate("2", "/comment", "ours", "value.priv", box)
    there.annotate("2", "/comment", "theirs", "value.priv", box)
    there.annotate("2", "/altsubject", "more", "value.shared", box)
    there.annotate("3", "/comment", "theirs", "value.shared", box)


@scene
def mailbox_annotation_there(here, there, box):
    there.setmetadata(box, "/shared/comment", "theirs")


@scene
def mailbox_annotations_on_both(here, there, box):
    here.setmetadata(box, "/shared/comment", "ours")
    there.setmetadata(box, "/private/comment", "theirs")
    flag(there, box, "1", r"\Seen")
    flag(there, box, "2", r"\Seen")


@scene
def the_same_message_appended_on_both(here, there, box):
    here.append(box, message(box + " same"))
    there.append(box, message(box + " same"))


def label(name):
    return f"INBOX/{name}"


def fill(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
        for name in SCENES:
            admin.create(f"user/fred/{name}")
    with pair.master.imap("fred") as c:
        for name in SCENES:
            c.append(label(name), *[message(f"{name} {i}") for i in range(4)])
    ours(pair.master, "-A")


def split(pair):
    """Both sides are edited, the replica's later wherever the order counts."""
    with pair.master.imap("fred") as here, pair.replica.imap("fred") as there:
        for name, edit in SCENES.items():
            edit(here, there, label(name))


def state(found):
    """What an IMAP client sees, mailbox by mailbox."""
    out = {}
    for name, records in found.records.items():
        live = {}
        for uid in found.live(name):
            r = records[uid]
            notes = {(a["ENTRY"], a["USERID"]): a["VALUE"] for a in r.get("ANNOTATIONS", [])
                     if not a["ENTRY"].startswith("/vendor/cmu/cyrus-imapd/")}
            live[uid] = (r["GUID"], frozenset(f.lower() for f in r["FLAGS"]), r["INTERNALDATE"], r["SIZE"],
                         tuple(sorted(notes.items())))
        box = found.mailboxes[name]
        notes = {(a["ENTRY"], a["USERID"]): a["VALUE"] for a in box.get("ANNOTATIONS", [])}
        out[name] = SimpleNamespace(live=live, last_uid=box["LAST_UID"], uidvalidity=box["UIDVALIDITY"], acl=box["ACL"],
                                    notes=notes)
    return out


def with_service(pair):
    pair.master.set_conf(sync_copyback="service", sync_copyback_host=pair.master.sync_socket)
    return pair


def with_private_server(pair):
    """Nothing is configured: the client starts the master's sync_server itself."""
    return pair


WAYS = [with_service, with_private_server]


@pytest.fixture(params=WAYS, ids=["service", "private"])
def copyback(request):
    return request.param


@pytest.fixture(scope="module", params=[("no", with_service), ("yes", with_service), ("yes", with_private_server)],
                ids=["plain", "conversations", "private"])
def both(request):
    """The end states of the same split pair after our client and after the stock client."""
    conversations, copyback = request.param
    conf = {"conversations": conversations}
    result = SimpleNamespace()
    with make_pair(conf=conf, services=SERVICES) as pair:
        fill(pair)
        split(pair)
        template = Template(pair)
    with make_pair(conf=conf, services=SERVICES, template=template) as pair:
        result.before = state(dump(pair.master)), state(dump(pair.replica))
        stock(pair.master, "-A")
        result.stock = state(dump(pair.master))
    with make_pair(conf=conf, services=SERVICES, template=template) as pair:
        copyback(pair)
        with Proxy(pair.replica) as proxy:
            run = ours(pair.master, "-A", conf=proxy.conf)
            result.told = [line.text for line in run.log_lines()]
            proxy.reset()
            ours(pair.master, "-A", conf=proxy.conf)
            result.second_applied = proxy.applied()
        result.differences = pair.differences(history=False)
        result.stock_sends = stock_has_nothing_to_send(pair.master)
        result.ours = state(dump(pair.master))
        result.master_log = pair.master.log_lines("SYNCERROR|IOERROR")
    return result


@pytest.mark.parametrize("name", SCENES)
def test_the_end_state_is_the_stock_clients(both, name):
    name = f"user.fred.{name}"
    mine, other = both.ours[name], both.stock[name]
    assert mine.live == other.live
    assert (mine.last_uid, mine.uidvalidity, mine.acl, mine.notes) == \
        (other.last_uid, other.uidvalidity, other.acl, other.notes)


def test_both_sides_are_equal_and_stay_so(both):
    assert both.differences == []
    assert both.stock_sends == []
    assert both.second_applied == []
    assert both.master_log == []
    assert any("failed=<0>" in line and "conflicts=<0>" in line for line in both.told)


def test_no_message_is_lost_that_nobody_expunged(both):
    """A live message is on the other side afterwards, unless that side had expunged the same one."""
    here, there = both.before
    for name, result in both.ours.items():
        left = {x[0] for x in result.live.values()}
        for side, other in ((here, there), (there, here)):
            for uid, (guid, *_) in side[name].live.items():
                expunged = uid <= 4 and uid not in other[name].live
                assert expunged or guid in left, (name, uid)


# --- without a service, and with -O ------------------------------------------------------------


@pytest.fixture
def fred(pair):
    user_with_mail(pair.master, "fred", *[message(str(i)) for i in range(4)])
    ours(pair.master, "-A")
    return pair


def uids(server):
    with server.imap("fred") as c:
        return c.uids("INBOX")


def flags(server, uid):
    with server.imap("fred") as c:
        return str(c.fetch(str(uid), "FLAGS", "INBOX"))


def test_without_a_service_both_sides_stay_and_the_log_says_once_how_to_have_one(fred):
    with fred.replica.imap("fred") as there:
        there.append("INBOX", message("theirs"))
    run = ours(fred.master, "-A", conf={"sync_copyback": "service"}, check=False)
    assert run.status == 1
    assert len(run.log_lines(r"no copyback service is configured \(sync_copyback_host\)")) == 1
    assert run.log_lines("conflicts=<")
    assert uids(fred.master) == [1, 2, 3, 4] and uids(fred.replica) == [1, 2, 3, 4, 5]


def test_copyback_can_be_switched_off(fred):
    with fred.replica.imap("fred") as there:
        there.append("INBOX", message("theirs"))
    run = ours(fred.master, "-A", conf={"sync_copyback": "off", "sync_copyback_host": fred.master.sync_socket}, check=False)
    assert run.status == 1
    assert len(run.log_lines(r"copyback is switched off \(sync_copyback\)")) == 1
    assert uids(fred.master) == [1, 2, 3, 4] and uids(fred.replica) == [1, 2, 3, 4, 5]


def test_a_service_that_does_not_answer_is_told(fred):
    with fred.replica.imap("fred") as there:
        there.append("INBOX", message("theirs"))
    run = ours(fred.master, "-A", conf={"sync_copyback_host": "/nonexistent/socket"}, check=False)
    assert run.status == 1
    assert len(run.log_lines("the copyback service does not answer")) == 1
    assert uids(fred.replica) == [1, 2, 3, 4, 5]


def test_a_service_on_tcp_with_credentials_and_channel_overrides(fred):
    with fred.replica.imap("fred") as there:
        there.append("INBOX", message("theirs"))
    conf = {"sync_copyback_host": "127.0.0.1", "sync_copyback_port": "1",
            "east_sync_copyback_host": fred.master.address, "east_sync_copyback_port": fred.master.sync_port,
            "east_sync_host": fred.replica.address, "east_sync_port": fred.replica.sync_port}
    ours(fred.master, "-n", "east", "-A", conf=conf)
    assert fred.differences(history=False) == []
    assert uids(fred.master) == [1, 2, 3, 4, 5]


def test_with_force_an_expunge_here_wins_over_flags_there(fred):
    with fred.master.imap("fred") as here, fred.replica.imap("fred") as there:
        expunge(here, "INBOX", "2")
        for name in ("$A", "$B", "$C", "$D"):
            flag(there, "INBOX", "2", name)
    before = dump(fred.master)
    ours(fred.master, "-O", "-A", conf={"sync_copyback_host": "/nonexistent/socket"})
    assert dump(fred.master).records == before.records
    assert fred.differences(history=False) == []
    assert uids(fred.replica) == [1, 3, 4]


def test_with_force_counters_of_the_replica_fall_to_the_masters(fred):
    with fred.replica.imap("fred") as there:
        there.setmetadata("INBOX", "/shared/comment", "theirs")
    before = dump(fred.master)
    ours(fred.master, "-O", "-A")
    assert dump(fred.master).mailboxes == before.mailboxes
    # A replica's own FOLDERMODSEQ never falls, and only a change of the master's could follow it.
    assert [x for x in fred.differences() if "FOLDERMODSEQ" not in x] == []
    with Proxy(fred.replica) as proxy:
        ours(fred.master, "-O", "-A", conf=proxy.conf)
        assert [c for c, _ in proxy.applied() if c != "APPLY FORCE"] == []


def test_with_force_a_message_of_the_replica_only_is_an_error_and_no_header_is_half_updated(fred):
    with fred.replica.imap("fred") as there:
        there.append("INBOX", message("theirs"))
        flag(there, "INBOX", "2", r"\Flagged")
    before = dump(fred.replica)
    run = ours(fred.master, "-O", "-A", check=False)
    assert run.status == 1 and run.log_lines("uid 5 was added on the replica")
    assert run.log_lines("uid 2 was changed on the replica")
    after = dump(fred.replica)
    assert after.records == before.records and after.mailboxes == before.mailboxes


@pytest.mark.lab(services=SERVICES)
def test_sieve_scripts_of_both_sides(fred, copyback):
    """Scripts are messages of a #sieve mailbox, which a server takes only when told so."""
    copyback(fred)
    with fred.master.sieve("fred") as s:
        s.put("first", "keep;")
    ours(fred.master, "-A")
    for server, name in ((fred.replica, "theirs"), (fred.master, "ours")):
        with server.sieve("fred") as s:
            s.put(name, "keep;")
    ours(fred.master, "-A")
    ours(fred.master, "-A")
    assert fred.differences(history=False) == []
    assert len(dump(fred.master).live("user.fred.#sieve")) == 3


# --- crashes and races -------------------------------------------------------------------------


@pytest.mark.lab(services=SERVICES)
@pytest.mark.parametrize("command", ["APPLY EXPUNGE", "APPLY MAILBOX", "GET FETCH", "GET FULLMAILBOX"])
def test_a_run_that_is_killed_between_the_steps_makes_no_second_copy(fred, command, copyback):
    """The replica's answer never comes: the process is killed there, and another one goes on."""
    copyback(fred)
    with fred.master.imap("fred") as here, fred.replica.imap("fred") as there:
        here.append("INBOX", message("ours a"), message("ours b"))
        there.append("INBOX", message("theirs a"), message("theirs b"), message("theirs c"))
        expunge(here, "INBOX", "6")
    with Proxy(fred.replica) as proxy:
        proxy.on(command, LOSE)
        client = start_ours(fred.master, "-A", conf=proxy.conf)
        try:
            deadline = time.monotonic() + 20
            while not proxy.fired and time.monotonic() < deadline:
                time.sleep(0.002)
        finally:
            client.kill()
        assert proxy.fired
    ours(fred.master, "-A")
    ours(fred.master, "-A")
    assert fred.differences(history=False) == []
    assert stock_has_nothing_to_send(fred.master) == []
    with fred.master.imap("fred") as here:
        assert len(here.uids("INBOX")) == 4 + 1 + 3
