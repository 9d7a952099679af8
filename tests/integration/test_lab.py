"""The laboratory itself: what it tells must be true, and what differs must not pass unseen."""
import os
import random
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import pytest

from lab import clients, dlist
from lab.clients import ClientFailed, stock, stock_has_nothing_to_send
from lab.compare import compare
from lab.cyrus import Install
from lab.dump import check_files, dump
from lab.edits import KINDS, random_edits
from lab.fill import fill
from lab.imap import Refused, from_utf7, utf7
from lab.pair import make_pair
from lab.proxy import CUT, LOSE, Proxy, Scanner, commands_in
from lab.workplace import place

TESTS = Path(__file__).resolve().parents[1]


# --- a pair, from nothing to equal -------------------------------------------------------------

def test_a_filled_master_is_replicated_by_the_stock_client(pair):
    fill(pair.master, users=3, mailboxes=4, messages=6, seed=2)
    assert len(pair.differences()) > 3
    assert stock_has_nothing_to_send(pair.master) != []
    pair.replicate()
    assert pair.differences(also=("PARTITION", "CREATEDMODSEQ")) == []
    assert stock_has_nothing_to_send(pair.master) == []
    assert check_files(pair.master) == check_files(pair.replica) == []


def test_a_cloned_pair_is_equal_and_filled(filled_pair):
    found = dump(filled_pair.master)
    assert len(found.users) == 12
    assert len(found.mailboxes) > 36
    assert sum(len(found.live(name)) for name in found.records) > 300
    assert any(u["SIEVE"] for u in found.users.values()) and found.quotas
    assert filled_pair.differences() == []


def test_the_same_seed_fills_the_same(pair):
    ids = fill(pair.master, users=2, mailboxes=3, messages=4, seed=9)
    assert fill(pair.replica, users=2, mailboxes=3, messages=4, seed=9) == ids

    def content(server):
        found = dump(server)
        return {name: [(r["GUID"], r["FLAGS"], r["INTERNALDATE"]) for r in records.values()]
                for name, records in found.records.items()}
    mine, theirs = content(pair.master), content(pair.replica)
    for name in [n for n in mine if n.endswith("#sieve")]:
        del mine[name], theirs[name]  # scripts carry the time they were put
    assert mine == theirs


@pytest.fixture(scope="module")
def edited_pair(filled_template):
    with make_pair(template=filled_template) as pair:
        yield pair


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_edit_changes_something_and_is_replicated(edited_pair, kind):
    pair = edited_pair
    ids = sorted(dump(pair.master).users)
    history = random_edits(pair.master, random.Random(3), ids, 12, kinds={kind})
    assert sum(done for _, _, done in history) > 6
    assert pair.differences() != []
    pair.replicate()
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


@pytest.mark.lab(replicas=("east", "west"))
def test_two_replicas_have_a_channel_each(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    assert pair.master.sync_log("east").read_text() == pair.master.sync_log("west").read_text()
    stock(pair.master, "-n", "west", "-A")
    assert dump(pair.replicas["west"]).users.keys() == {"fred"}
    assert dump(pair.replicas["east"]).users == {}
    pair.replicate()
    assert pair.differences() == []


@pytest.mark.lab(conf={"unixhierarchysep": "no", "conversations": "yes", "mailbox_legacy_dirs": "yes"},
                 services=("imap", "sync", "syncunix"))
def test_other_settings_and_a_sync_server_on_a_socket(pair):
    fill(pair.master, users=2, mailboxes=3, messages=3)
    stock(pair.master, "-A", conf={"sync_host": pair.replica.sync_socket, "sync_port": None})
    # Conversations are made by each side; sieve mailboxes cannot be enabled on a socket.
    assert pair.differences(sieve_mailboxes=False) == []
    assert check_files(pair.replica) == []


# --- compare() notices everything --------------------------------------------------------------

@pytest.fixture(scope="module")
def equal_dumps(filled_template):
    with make_pair(template=filled_template) as pair:
        return dump(pair.master), dump(pair.replica)


def _message(found):
    """A mailbox and a live uid in it."""
    name = next(n for n in sorted(found.records) if found.live(n))
    return name, found.live(name)[0]


@pytest.mark.parametrize("key", ["UNIQUEID", "MBOXTYPE", "LAST_UID", "HIGHESTMODSEQ", "RECENTUID",
                                 "RECENTTIME", "POP3_LAST_LOGIN", "POP3_SHOW_AFTER", "UIDVALIDITY",
                                 "ACL", "SYNC_CRC", "SYNC_CRC_ANNOT", "FOLDERMODSEQ"])
def test_a_changed_mailbox_field_is_told(equal_dumps, key):
    a, b = equal_dumps[0], deepcopy(equal_dumps[1])
    name, _ = _message(b)
    b.mailboxes[name][key] = "12345"
    (line,) = compare(a, b)
    assert line.startswith(f"mailbox {name} {key}: master ") and "replica '12345'" in line


def test_only_a_lower_xconvmodseq_is_told(equal_dumps):
    a, b = deepcopy(equal_dumps[0]), deepcopy(equal_dumps[1])
    name, _ = _message(b)
    a.mailboxes[name]["XCONVMODSEQ"], b.mailboxes[name]["XCONVMODSEQ"] = "10", "11"
    assert compare(a, b) == []
    assert compare(b, a) == [f"mailbox {name} XCONVMODSEQ: replica '11' master '10'"]


def test_option_p_counts_only_where_there_are_messages(equal_dumps):
    a, b = equal_dumps[0], deepcopy(equal_dumps[1])
    name, _ = _message(b)
    b.mailboxes[name]["OPTIONS"] = "S"
    assert len(compare(a, b)) == 1
    a, b = deepcopy(equal_dumps[0]), deepcopy(equal_dumps[1])
    a.records[name] = b.records[name] = {}
    b.mailboxes[name]["OPTIONS"] = ""
    assert compare(a, b) == []
    b.mailboxes[name]["OPTIONS"] = "PD"
    assert len(compare(a, b)) == 1


@pytest.mark.parametrize("key, value", [("MODSEQ", "99"), ("LAST_UPDATED", "1"), ("INTERNALDATE", "1"),
                                        ("SIZE", "1"), ("GUID", "0" * 40), ("FLAGS", ["$odd"])])
def test_a_changed_record_field_is_told(equal_dumps, key, value):
    a, b = equal_dumps[0], deepcopy(equal_dumps[1])
    name, uid = _message(b)
    b.records[name][uid][key] = value
    (line,) = compare(a, b)
    assert line.startswith(f"mailbox {name} uid {uid} {key}: ")


def test_a_record_that_one_side_lacks_is_told_an_expunged_one_too(equal_dumps):
    a, b = equal_dumps[0], deepcopy(equal_dumps[1])
    name, uid = _message(b)
    record = b.records[name].pop(uid)
    assert compare(a, b) == [f"mailbox {name} uid {uid}: only on master"]
    assert compare(b, a) == [f"mailbox {name} uid {uid}: only on master"]
    b = deepcopy(equal_dumps[1])
    b.records[name][9999] = {**record, "UID": "9999", "FLAGS": ["\\Expunged"]}
    assert compare(a, b) == [f"mailbox {name} uid 9999: only on replica"]
    assert compare(a, b, expunged=False) == compare(a, b, history=False) == []


def test_annotations_are_told_by_entry_and_user(equal_dumps):
    a, b = equal_dumps[0], deepcopy(equal_dumps[1])
    name, uid = _message(b)
    b.records[name][uid].setdefault("ANNOTATIONS", []).append(
        {"ENTRY": "/odd", "USERID": "joe", "MODSEQ": "1", "VALUE": "x"})
    b.mailboxes[name].setdefault("ANNOTATIONS", []).append(
        {"ENTRY": "/odder", "USERID": "", "MODSEQ": "1", "VALUE": "y"})
    assert compare(a, b) == [f"mailbox {name} annotation /odder of '': master - replica 'y'",
                             f"mailbox {name} uid {uid} annotation /odd of 'joe': master - replica ('x', '1')"]


def test_whole_objects_that_one_side_lacks_are_told(equal_dumps):
    a, b = equal_dumps[0], deepcopy(equal_dumps[1])
    name, _ = _message(b)
    del b.mailboxes[name]
    del b.users["user3"]
    root = next(iter(b.quotas))
    del b.quotas[root]
    assert compare(a, b) == [f"mailbox {name}: only on master", "user user3: only on master",
                             f"quota {root}: only on master"]


# Changes on a real replica: what to do there, and what the line must begin with.
def _as_user(action):
    def plant(pair):
        with pair.replica.imap("user1") as user:
            action(user)
    return plant


def _as_admin(action):
    def plant(pair):
        with pair.replica.imap() as admin:
            action(admin)
    return plant


def _sieve(pair):
    with pair.replica.sieve("user1") as s:
        s.put("planted", "discard;")


def _seen(pair):
    for server, wait in ((pair.master, 1.1), (pair.replica, 0)):
        with server.imap("user1") as user:
            user.store(1, "+FLAGS", "\\Seen", "shared")
        time.sleep(wait)  # seen states have times in seconds


PLANTS = {
    "a message more": (_as_user(lambda u: u.append("INBOX", b"Subject: x\r\n\r\n")), "mailbox user.user1 uid 11: only"),
    "a flag": (_as_user(lambda u: u.store(u.uids("INBOX")[0], "+FLAGS", "$odd", "INBOX")), "mailbox user.user1 uid "),
    "an expunge": (_as_user(lambda u: u.expunge(u.uids("INBOX")[0], "INBOX")), "mailbox user.user1 uid "),
    "a note": (_as_user(lambda u: u.annotate(u.uids("INBOX")[0], "/odd", "x", name="INBOX")),
               "mailbox user.user1 uid "),
    "a mailbox": (_as_user(lambda u: u.create("INBOX/odd")), "mailbox user.user1.odd: only"),
    "an annotation": (_as_user(lambda u: u.setmetadata("INBOX", "/shared/odd", "x")),
                      "mailbox user.user1 annotation /odd"),
    "an ACL": (_as_user(lambda u: u.setacl("INBOX", "odd", "l")), "mailbox user.user1 ACL"),
    "a subscription": (_as_user(lambda u: u.subscribe("shared")), "user user1 subscriptions"),
    "a quota root": (_as_admin(lambda i: i.setquota("shared", STORAGE=77)), "quota shared: only"),
    "a limit": (_as_admin(lambda i: i.setquota("user/user3", STORAGE=77)), "quota user.user3"),
    "a user": (_as_admin(lambda i: i.create("user/odd")), "user odd: only"),
    "a deleted user": (_as_admin(lambda i: i.delete_user("user4")), "mailbox user.user4: only"),
    "a script": (_sieve, "mailbox user.user1.#sieve"),
    "a seen state": (_seen, "user user1 seen "),
}


@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_difference_is_told(filled_pair, plant):
    change, expected = PLANTS[plant]
    change(filled_pair)
    found = filled_pair.differences()
    assert [line for line in found if line.startswith(expected)], "\n".join(found)


def test_compiled_scripts_are_compared_on_disk(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.sieve("fred") as sieve:
        sieve.put("one", "keep;")
        sieve.put("two", "discard;")
        sieve.activate("two")
    pair.replicate()
    a, b = (dump(server, sieve="files") for server in pair.servers)
    assert {name: s["ISACTIVE"] for name, s in a.users["fred"]["SIEVE"].items()} == {"one.bc": "0", "two.bc": "1"}
    assert compare(a, b) == []
    next(pair.replica.outside.glob("sieve/uuid/*/*/*/one.bc")).unlink()
    assert compare(a, dump(pair.replica, sieve="files")) == ["user fred sieve one.bc: only on master"]


def test_damaged_missing_and_cut_files_are_told(filled_pair):
    server = filled_pair.replica
    folder = server.mailbox_folder("user.user1")
    first, second, third = sorted(folder.glob("[0-9]*."))[:3]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    third.write_bytes(b"")
    found = check_files(server)
    # An expunged message's file may be among the three: then nobody asks for it.
    assert 2 <= len(found) <= 3 and all(line.startswith("mailbox user.user1 uid ") for line in found), found


# --- proxy -------------------------------------------------------------------------------------

BODY = b"GET USER nobody\r\n{5+}\r\nAPPLY MAILBOX %(\r\n"
STREAM = (b"AUTHENTICATE PLAIN AAAA\r\nget user fred\r\n"
          b"APPLY MESSAGE (%%{default %s %d}\r\n%s %%{default %s 0}\r\n)\r\n"
          b"APPLY SUB %%(USERID {4+}\r\nfred MBOXNAME {%d+}\r\n%s)\r\nNOOP\r\n"
          % (b"a" * 40, len(BODY), BODY, b"b" * 40, len(BODY), BODY))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10000])
def test_commands_are_cut_out_of_a_stream_however_it_arrives(step):
    scanner = Scanner()
    lines = [whole for i in range(0, len(STREAM), step) for whole, _ in scanner.feed(STREAM[i:i + step])]
    assert b"".join(lines) == STREAM
    assert len(lines) == 5
    assert [name for name, _ in commands_in(STREAM)] == ["AUTHENTICATE", "GET USER", "APPLY MESSAGE",
                                                         "APPLY SUB", "NOOP"]


def test_the_proxy_counts_what_the_stock_client_shows(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as fred:
        fred.append("INBOX", b"Subject: x\r\n\r\n" + BODY, b"Subject: {3+}\r\n\r\n%{default " + b"a" * 40 + b" 9}\r\n")
    with Proxy(pair.replica) as proxy:
        run = stock(pair.master, "-A", "-v", "-v", conf=proxy.conf)
    shown = [c for c in run.commands() if c[0] != "EXIT"]
    assert [c for c in proxy.commands if c[0] not in ("AUTHENTICATE", "APPLY CAPABILITIES", "EXIT")] == shown
    assert proxy.count["APPLY MESSAGE"] == 1 and proxy.total == len(shown) > 2
    # The stock client waits for every answer.
    assert proxy.round_trips == len(proxy.commands)
    assert pair.differences() == []


def test_a_pipelining_client_makes_few_round_trips(pair):
    with Proxy(pair.replica, delay_ms=5) as proxy, pair.replica.csync(proxy) as session:
        for _ in range(50):
            session.send("NOOP")
        for _ in range(50):
            session.answer()
        assert proxy.count["NOOP"] == 50
        assert proxy.round_trips == 2  # AUTHENTICATE and the burst
        begun = time.monotonic()
        for _ in range(5):
            session.command("NOOP")
        assert 0.05 <= time.monotonic() - begun
        assert proxy.round_trips == 7


def test_compression_is_not_offered_through_the_proxy(pair):
    with pair.replica.csync() as direct, Proxy(pair.replica) as proxy, pair.replica.csync(proxy) as through:
        assert [x for x in direct.greeting if x not in through.greeting] == ["COMPRESS DEFLATE"]


def test_faults_at_a_command(pair):
    with Proxy(pair.replica) as proxy:
        def subscribe(name):
            with pair.replica.csync(proxy) as session:
                return session.apply("SUB", {"USERID": "fred", "MBOXNAME": name}, ok=False)
        def subscribed():
            with pair.replica.csync() as session:
                return [n for line in session.get("META", "fred").of("LSUB") for n in line]
        proxy.on("APPLY SUB", CUT, nth=2)
        assert subscribe("user.fred.a").status == "OK"
        with pytest.raises((EOFError, ConnectionError)):
            subscribe("user.fred.b")
        assert subscribed() == ["user.fred.a"]
        proxy.on("APPLY SUB", LOSE)
        with pytest.raises((EOFError, ConnectionError)):
            subscribe("user.fred.c")
        assert subscribed() == ["user.fred.a", "user.fred.c"]
        proxy.on("APPLY SUB", "NO IMAP_MAILBOX_LOCKED Mailbox locked")
        assert subscribe("user.fred.d").text == "IMAP_MAILBOX_LOCKED Mailbox locked"
        assert subscribed() == ["user.fred.a", "user.fred.c"]
        assert proxy.fired == 3
        proxy.on("APPLY SUB", CUT)
        proxy.heal()
        assert subscribe("user.fred.e").status == "OK"


def test_rules_that_come_and_go_in_mid_command_lose_no_byte(pair):
    with Proxy(pair.replica) as proxy, pair.replica.csync(proxy) as session:
        def slowly(*pieces):
            for piece in pieces:
                session.wire.write(piece)
                time.sleep(0.02)
                proxy.on("NOOP", CUT) if not proxy.has_rules() else proxy.heal()
            return session.answer(ok=False)
        assert slowly(b"APPLY SUB %(USERID fred MBOX", b"NAME {3+}\r\na", b".b", b")\r\n").status == "OK"
        assert slowly(b"GET ME", b"TA fred", b"\r\n").items == [("LSUB", ["a.b"])]


def test_a_cut_lets_earlier_commands_of_a_burst_be_answered(pair):
    with Proxy(pair.replica, cut_command=("GET QUOTA", 1), delay_ms=5) as proxy:
        with pair.replica.csync(proxy) as session:
            session.wire.write(b"NOOP\r\nGET META fred\r\nGET QUOTA user.fred\r\nNOOP\r\n")
            assert [session.answer().status for _ in range(2)] == ["OK", "OK"]
            with pytest.raises((EOFError, ConnectionError)):
                session.answer()
        assert [name for name, _ in proxy.commands][1:] == ["NOOP", "GET META", "GET QUOTA"]


def test_faults_in_the_bytes(filled_pair):
    replica = filled_pair.replica
    with Proxy(replica, cut_after=2000) as proxy:
        with pytest.raises((EOFError, ConnectionError)), replica.csync(proxy) as session:
            session.get("FULLMAILBOX", "user.user1")
        assert proxy.bytes_answered == 2000
        with replica.csync(proxy) as session:  # once only
            assert session.get("FULLMAILBOX", "user.user1").status == "OK"
    with Proxy(replica, rubbish_after=2000) as proxy, replica.csync(proxy) as session:
        with pytest.raises((ValueError, EOFError)):
            session.get("FULLMAILBOX", "user.user1")
    with Proxy(replica, refuse=True) as proxy:
        with pytest.raises((EOFError, ConnectionError)):
            replica.csync(proxy)
        proxy.heal()
        replica.csync(proxy).close()


# --- data, names, clients, clean-up ------------------------------------------------------------

ODD = ["", "NIL", "a b", "(a)", 'q"q', "50%", "*", "back\\slash", "Grüße", "line\r\nline", "{3+}", "\t", "'"]


def test_dlists_are_read_as_they_are_written():
    value = [None, ODD, {name or "EMPTY": name for name in ODD}, ["\\Seen", "$x"], [[], {}],
             dlist.File("default", "a" * 40, b"\r\n)")]
    assert dlist.parse(dlist.write(value)) == [value]
    assert dlist.write("\\Seen") == b"\\Seen" and dlist.write("NIL") == b'"NIL"'


def test_what_servers_of_all_versions_write_is_read():
    assert dlist.parse(b'%(A {3}\r\nx\ry B {2+}\r\n() C "q\\"q" A 2) NIL ("NIL" NIL)') == [
        {"A": "x\ry", "B": "()", "C": 'q"q'}, None, ["NIL", None]]
    for wrong in (b"(a", b"%(A)", b")", b"{9}\r\nabc", b"%{default xyz 3}\r\nabc"):
        with pytest.raises(ValueError):
            dlist.parse(wrong)


def test_odd_mailbox_names_come_through(pair):
    names = ["two words", "(brackets) [x]", "O'Brien & Co", "Grüße", "日本語", "a.b", "#x*y", "~&-"]
    with pair.master.imap() as admin:
        admin.create("user/dot.ted")
    with pair.master.imap("dot.ted") as user:
        for name in names:
            user.create(f"INBOX/{name}")
        with pytest.raises(Refused):
            user.create('INBOX/"quoted"')
        assert {f"INBOX/{n}" for n in names} <= set(user.own_mailboxes())
    found = dump(pair.master)
    assert found.users.keys() == {"dot.ted"}
    assert {f"user.dot^ted.{utf7(n).decode().replace('.', '^')}" for n in names} | {"user.dot^ted"} == \
        found.mailboxes.keys()
    assert all(from_utf7(utf7(n)) == n for n in names)
    pair.replicate()
    assert pair.differences() == []


def test_delivery_and_syslog(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.lmtp() as lmtp:
        lmtp.deliver(b"Message-ID: <1@x>\r\n\r\n.dot\r\n", "fred")
    (line,) = pair.master.log_lines("Delivered: <1@x> to mailbox: user.fred")
    assert (line.severity, line.facility, line.ident, line.pri) == ("info", 2, "master/lmtp", 22)
    assert pair.replica.log_lines("Delivered") == []
    run = stock(pair.master, "-u", "-l", "fred")
    assert [x.text for x in run.log_lines(r"^USER")] == ["USER fred"]
    assert pair.master.log_lines(r"^USER") == []


def _script(tmp_path, monkeypatch, text):
    tmp_path.chmod(0o755)
    path = tmp_path / "client"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("FANSYNC_CLIENT", str(path))


def test_a_client_that_hangs_is_ended(pair, tmp_path, monkeypatch):
    _script(tmp_path, monkeypatch, "echo said; sleep 60 & wait")
    with pytest.raises(ClientFailed, match="(?s)no end after 5 s.*said"):
        clients.ours(pair.master, "-A", timeout=5)
    with clients.start_ours(pair.master, "-r") as running:
        assert running.wait_out("said") == ["said"] and running.alive()
        with pytest.raises(TimeoutError, match="(?s)no log line 'never'.*said"):
            running.wait_log("never", timeout=0.1)
    assert running.status == -signal.SIGTERM and running.out == "said\n"


def test_a_client_that_fails_tells_all(pair, tmp_path, monkeypatch):
    _script(tmp_path, monkeypatch, "echo out; echo err >&2; exit 3")
    with pytest.raises(ClientFailed, match="(?s)-A x.*status 3.*out.*err"):
        clients.ours(pair.master, "-A", "x")
    assert clients.ours(pair.master, check=False).status == 3


def test_nothing_is_left_of_a_pair():
    with make_pair() as pair:
        pair.master.imap("cyrus")
        folders = [s.outside for s in pair.servers]
        assert len(place().strays()) >= 2
    assert [line for line in place().strays() for f in folders if str(f) in line] == []
    assert not any(f.exists() for f in folders)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_tests_are_killed(number):
    """SIGINT is ignored by what a shell starts in the background: the child takes it all the same."""
    code = ("import signal; from lab.pair import make_pair; from lab.workplace import place\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "with make_pair() as p: print(place().folder, flush=True); signal.pause()")
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as child:
        folder = child.stdout.readline().strip()
        assert Path(folder).is_dir()
        child.send_signal(number)
        child.wait(60)
    deadline = time.monotonic() + 60
    while (left := _processes_of(folder)) or Path(folder).exists():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _processes_of(folder):
    out = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if f"{folder}/" in line]


def test_an_install_in_a_chroot_runs_its_programs_there():
    inside = Install("3.2.6", root="/srv/old")
    argv = inside.command([inside.program("imapd"), "-D"], "/x.so", "/dev/shm")
    assert argv[:3] == ["unshare", "--mount", "/bin/sh"]
    assert argv[-5:] == ["/srv/old", "/dev/shm", "LD_PRELOAD=/x.so", "/usr/lib/cyrus/bin/imapd", "-D"]
    assert inside.version < (3, 6)
