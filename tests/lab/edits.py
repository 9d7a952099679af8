"""Random edit histories: what users do to their mail, through IMAP and ManageSieve only.

    random_edits(master, random.Random(7), ids, 200, kinds={"append", "flag"})

The same generator on equal servers makes the same history, but for times and unique ids. An edit
that the server refuses because of the state (a full name, nothing to expunge) is skipped.
"""
from .fill import SYSTEM_FLAGS, USER_FLAGS, date, flags, message
from .imap import Refused


class _User:
    """One user's session and what is known of the mailboxes, asked anew only when it changed."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.imap = server.imap(user)
        self.scripts = []
        self.folders = self.imap.own_mailboxes()
        self.counter = 0

    def new_name(self, rng, parent="INBOX"):
        self.counter += 1
        sep = self.server.sep
        dot = "." if sep == "/" else "-"
        word = rng.choice(("New", "Neu ü", "n (1)", "It's", "a&b"))
        return f"{parent}{sep}{word} {rng.getrandbits(20):x}{dot}{self.counter}"

    def pick(self, rng, own=False):
        """A mailbox; with own=True never the INBOX (None if there is no other)."""
        if not self.folders:
            raise Refused(f"{self.user} has no mailbox")
        choice = [f for f in self.folders if f != "INBOX"] if own else self.folders
        return rng.choice(choice) if choice else None

    def some(self, rng, name):
        """A few uids of a mailbox."""
        uids = self.imap.uids(name)
        return sorted(rng.sample(uids, rng.randint(1, min(5, len(uids))))) if uids else []

    def close(self):
        self.imap.close()


def _append(u, rng):
    u.imap.append(u.pick(rng), *[(message(rng), flags(rng), date(rng))
                                 for _ in range(rng.randint(1, 3))])


def _flag(u, rng, change="+FLAGS"):
    name = u.pick(rng)
    if uids := u.some(rng, name):
        u.imap.store(uids, change, rng.choice(SYSTEM_FLAGS + USER_FLAGS), name)


def _unflag(u, rng):
    _flag(u, rng, "-FLAGS")


def _copy(u, rng):
    name = u.pick(rng)
    if uids := u.some(rng, name):
        u.imap.copy(uids, u.pick(rng), name)


def _move(u, rng):
    name, target = u.pick(rng), u.pick(rng)
    if name != target and (uids := u.some(rng, name)):
        u.imap.move(uids, target, name)


def _expunge(u, rng):
    name = u.pick(rng)
    if uids := u.some(rng, name):
        u.imap.expunge(uids, name)


def _create(u, rng):
    name = u.new_name(rng, u.pick(rng))
    u.imap.create(name)
    u.folders.append(name)


def _rename(u, rng):
    old = u.pick(rng, own=True)
    if old:
        u.imap.unselect()
        u.imap.rename(old, u.new_name(rng))
        u.folders = u.imap.own_mailboxes()


def _delete(u, rng):
    name = u.pick(rng, own=True)
    if name:
        u.imap.unselect()
        u.imap.delete(name)
        u.folders = u.imap.own_mailboxes()


def _acl(u, rng):
    name, who = u.pick(rng), rng.choice(("anyone", "guest", "other"))
    if rng.random() < 0.3:
        u.imap.deleteacl(name, who)
    else:
        u.imap.setacl(name, who, rng.choice(("lr", "lrs", "lrswite", "l")))


def _subscribe(u, rng):
    u.imap.subscribe(u.pick(rng))


def _unsubscribe(u, rng):
    u.imap.unsubscribe(u.pick(rng))


def _annotate_mailbox(u, rng):
    value = None if rng.random() < 0.3 else rng.choice(("short", "two words", "Grüße", "x" * 3000))
    u.imap.setmetadata(u.pick(rng), rng.choice(("/shared/comment", "/private/comment",
                                                "/shared/vendor/example/tag")), value)


def _annotate_message(u, rng):
    name = u.pick(rng)
    if uids := u.some(rng, name):
        value = None if rng.random() < 0.3 else rng.choice(("note", "Grüße", "line 1\r\nline 2"))
        u.imap.annotate(uids[:1], rng.choice(("/comment", "/altsubject")), value,
                        rng.choice(("value.shared", "value.priv")), name)


def _quota(u, rng):
    root = f"user{u.server.sep}{u.user}"
    limits = rng.choice(({}, {"STORAGE": rng.randrange(10**6, 10**7)},
                         {"STORAGE": 10**8, "MESSAGE": rng.randrange(10**5, 10**6)}))
    with u.server.imap() as admin:
        admin.setquota(root, **limits)


def _sieve(u, rng):
    """In a session of its own: an idle timsieved may keep the #sieve mailbox locked, which an imapd then waits for (3.6.1)."""
    action = rng.choice(("put", "put", "activate", "deactivate", "delete"))
    with u.server.sieve(u.user) as sieve:
        if action == "put" or not u.scripts:
            name = rng.choice(("main", "two words", "spam"))
            sieve.put(name, f"# {rng.getrandbits(32):x}\r\nkeep;\r\n")
            u.scripts = sorted({*u.scripts, name})
        elif action == "activate":
            sieve.activate(rng.choice(u.scripts))
        elif action == "deactivate":
            sieve.activate("")
        else:
            sieve.activate("")
            sieve.delete(u.scripts.pop(rng.randrange(len(u.scripts))))


def _seen_shared(u, rng):
    """Reads in a shared mailbox: a private seen state."""
    if uids := u.some(rng, "shared"):
        u.imap.store(uids, rng.choice(("+FLAGS", "+FLAGS", "-FLAGS")), "\\Seen", "shared")
        u.imap.unselect()


KINDS = {
    "append": _append, "flag": _flag, "unflag": _unflag, "copy": _copy, "move": _move,
    "expunge": _expunge, "create": _create, "rename": _rename, "delete": _delete, "acl": _acl,
    "subscribe": _subscribe, "unsubscribe": _unsubscribe, "annotate_mailbox": _annotate_mailbox,
    "annotate_message": _annotate_message, "quota": _quota, "sieve": _sieve,
    "seen_shared": _seen_shared,
}


def random_edits(server, rng, users, n, kinds=None):
    """n edits by the given users, in random order; returns [(user, kind, done), …]."""
    names = sorted(KINDS if kinds is None else kinds)
    known, history = {}, []
    try:
        for _ in range(n):
            user, kind = rng.choice(users), rng.choice(names)
            if user not in known:
                known[user] = _User(server, user)
            try:
                KINDS[kind](known[user], rng)
                history.append((user, kind, True))
            except Refused:
                history.append((user, kind, False))
    finally:
        for u in known.values():
            u.close()
    return history
