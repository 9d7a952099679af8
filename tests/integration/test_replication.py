"""The main job on real servers: what arrives on the replica, and what a further run sends.

The last word is a real server's: the dumps of both sides are equal, and the stock client that
runs next finds nothing to send.
"""
import random
import threading
import time

import pytest

from lab.clients import ours, stock_has_nothing_to_send
from lab.edits import random_edits
from lab.fill import fill
from lab.proxy import Proxy

# What this version replicates; renames, deletions and the like are left alone with a notice.
IN_PLACE = {"append", "flag", "unflag", "copy", "expunge", "create", "acl", "subscribe", "unsubscribe",
            "annotate_mailbox", "annotate_message", "quota"}


def assert_in_step(pair):
    assert pair.differences() == []
    assert stock_has_nothing_to_send(pair.master) == []


def applied(proxy):
    """The APPLY commands that change something, with how often each was sent."""
    return {name: n for name, n in proxy.count.items()
            if name.startswith("APPLY") and name != "APPLY CAPABILITIES"}


def test_fifty_users_arrive_and_a_second_run_sends_nothing(pair):
    fill(pair.master, users=50, mailboxes=4, messages=25, seed=3)
    with Proxy(pair.replica) as proxy:
        run = ours(pair.master, "-A", conf=proxy.conf)
        assert run.log_lines("SYNCERROR|IOERROR|SYNCNOTICE") == []
        first = applied(proxy)
        assert first["APPLY MAILBOX"] >= 200
    assert_in_step(pair)
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-A", conf=proxy.conf)
        assert applied(proxy) == {}


def test_after_flag_changes_only_the_changed_mailboxes_are_sent(pair):
    users = fill(pair.master, users=50, mailboxes=4, messages=25, seed=4)
    ours(pair.master, "-A")
    rng = random.Random(5)
    changed = set()
    with pair.master.imap() as admin:
        mailboxes = [m for m in admin.list() if m.startswith("user/") and "#" not in m]
    while len(changed) < 10:
        name = rng.choice(mailboxes)
        owner = name.split("/")[1]
        with pair.master.imap(owner) as user:
            own = "/".join(["INBOX", *name.split("/")[2:]])
            uids = user.uids(own)
            if uids:
                user.store(rng.sample(uids, min(5, len(uids))), "+FLAGS", r"\Flagged $Changed", own)
                changed.add(name)
    assert users
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-A", conf=proxy.conf)
        assert applied(proxy) == {"APPLY MAILBOX": len(changed)}
    assert_in_step(pair)


@pytest.mark.parametrize("seed", range(3))
def test_random_edits_arrive(filled_pair, seed):
    pair = filled_pair
    with pair.master.imap() as admin:
        users = sorted({m.split("/")[1] for m in admin.list() if m.startswith("user/")})
    for step in range(3):
        random_edits(pair.master, random.Random(100 * seed + step), users, 60, kinds=IN_PLACE)
        ours(pair.master, "-A")
        assert_in_step(pair)


@pytest.mark.lab(conf={"conversations": "yes"})
def test_threads_keep_their_ids_with_conversations(pair):
    users = fill(pair.master, users=4, mailboxes=3, messages=12, seed=6)
    ours(pair.master, "-A")
    assert_in_step(pair)
    random_edits(pair.master, random.Random(7), users, 40, kinds={"append", "flag", "copy", "expunge"})
    ours(pair.master, "-A")
    assert_in_step(pair)


@pytest.mark.lab(conf={"mailbox_legacy_dirs": "yes", "fulldirhash": "yes", "unixhierarchysep": "no",
                       "subscription_db": "skiplist", "seenstate_db": "flat", "annotation_db": "skiplist",
                       "mboxlist_db": "skiplist", "quota_db": "twoskip"})
def test_legacy_paths_and_other_databases(pair):
    fill(pair.master, users=5, mailboxes=4, messages=8, seed=8)
    ours(pair.master, "-A")
    assert_in_step(pair)


def test_a_first_sync_goes_in_parts_and_an_interrupted_one_resumes(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as fred:
        fred.append("INBOX", *[b"Subject: %d\r\n\r\nbody %d\r\n" % (i, i) for i in range(100)])
    conf = {"sync_batchsize": 20}
    with Proxy(pair.replica, cut_command=("APPLY MAILBOX", 3)) as proxy:
        # the cut makes the client begin anew; what had arrived before is not sent again
        ours(pair.master, "-u", "fred", conf={**proxy.conf, **conf})
        assert proxy.count["APPLY MAILBOX"] >= 5
        uploaded = sum(line.count("%{") for name, line in proxy.commands if name == "APPLY MESSAGE")
        assert uploaded <= 120
    assert_in_step(pair)


def test_messages_copied_between_folders_are_not_uploaded_again(filled_pair):
    pair = filled_pair
    with pair.master.imap() as admin:
        user = next(m for m in admin.list() if m.startswith("user/")).split("/")[1]
    with pair.master.imap(user) as c:
        c.create("INBOX/Copies")
        uids = c.uids("INBOX")
        time.sleep(2.1)  # a copy made within a second of delivery may be uploaded
        c.copy(uids, "INBOX/Copies", "INBOX")
    with Proxy(pair.replica) as proxy:
        ours(pair.master, "-u", user, conf=proxy.conf)
        assert proxy.count["APPLY RESERVE"] == 1
        assert proxy.count.get("APPLY MESSAGE", 0) == 0
    assert_in_step(pair)


def test_round_trips_do_not_grow_with_the_number_of_users(pair):
    fill(pair.master, users=30, mailboxes=2, messages=3, seed=9)
    with Proxy(pair.replica, delay_ms=10) as proxy:
        ours(pair.master, "-A", conf=proxy.conf)
        assert proxy.count["GET USER"] >= 30 and proxy.count["APPLY MAILBOX"] >= 60
        # log in, capabilities, ask, upload, apply, exit: not one of them is once a user
        assert proxy.round_trips <= 8
    assert_in_step(pair)


@pytest.mark.slow
def test_while_imapd_and_lmtpd_write_at_full_speed(filled_pair):
    pair = filled_pair
    with pair.master.imap() as admin:
        users = sorted({m.split("/")[1] for m in admin.list() if m.startswith("user/")})
    stop = threading.Event()
    faults = []

    def deliver(seed):
        rng = random.Random(seed)
        try:
            with pair.master.lmtp() as lmtp:
                while not stop.is_set():
                    lmtp.deliver(b"Subject: %d\r\n\r\n%s\r\n" % (seed, rng.randbytes(200).hex().encode()),
                                 rng.choice(users))
        except Exception as e:  # noqa: BLE001 - told below
            faults.append(e)

    def edit(seed):
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                random_edits(pair.master, rng, users, 10, kinds={"append", "flag", "unflag", "copy", "expunge"})
        except Exception as e:  # noqa: BLE001 - told below
            faults.append(e)

    writers = [threading.Thread(target=f, args=(i,)) for i, f in enumerate([deliver, deliver, edit, edit])]
    for w in writers:
        w.start()
    try:
        for _ in range(12):
            run = ours(pair.master, "-A")
            assert run.log_lines("SYNCERROR|IOERROR") == []
    finally:
        stop.set()
        for w in writers:
            w.join(60)
    assert faults == []
    ours(pair.master, "-A")
    assert_in_step(pair)
    assert pair.master.log_lines("IOERROR|Failed to lock") == []
