"""Fills a master with mail, the same for the same seed.

Several sessions work side by side, one user each; a mailbox's messages go in a few MULTIAPPENDs.
Content: mail-like messages of 1 to 20 kB, system and user flags, odd folder names, ACLs,
subscriptions, quota roots, annotations, sieve scripts, expunged messages, a shared folder.
"""
import random
from concurrent.futures import ThreadPoolExecutor

from .imap import mailbox as quoted

WORKERS = 4
BATCH = 200
FOLDERS = ("Sent", "Two Words", "with.dot", "Entwürfe", "(brackets)", "O'Brien & Co", "日本語",
           "a+b=c", "deep/er/still", "[list]", "#hash", "*star*", "~tilde", "x, y: z?")
USER_FLAGS = ("$Forwarded", "$MDNSent", "NonJunk", "Project-X", "$label1", "todo")
SYSTEM_FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Draft")
_WORDS = ("the of and to in is for that with on as are this be at or from by an it not have was "
          "mail server replica mailbox message meeting report invoice minutes schedule regards "
          "please attached tomorrow question answer budget release planning coffee weather").split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _paragraphs(rng):
    return ["\r\n".join(" ".join(rng.choices(_WORDS, k=11)) for _ in range(8)) + "\r\n"
            for _ in range(300)]


_PARAGRAPHS = _paragraphs(random.Random(0))


def message(rng, size=None, subject=None):
    """A message of mail-like size, with CRLF line ends."""
    size = size or min(20000, int(1000 + rng.expovariate(1 / 4000)))
    number = rng.getrandbits(64)
    head = (f"From: {rng.choice(_WORDS)} <{rng.choice(_WORDS)}@example.org>\r\n"
            f"To: someone@example.com\r\nSubject: {subject or ' '.join(rng.choices(_WORDS, k=5))}\r\n"
            f"Date: {rng.randrange(1, 28)} {rng.choice(_MONTHS)} 2021 12:00:00 +0000\r\n"
            f"Message-ID: <{number:x}@example.org>\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n")
    count = max(1, (size - len(head)) // len(_PARAGRAPHS[0]))
    return (head + f"{number:x}\r\n" + "".join(rng.choices(_PARAGRAPHS, k=count))).encode()


def flags(rng):
    """Some flags, often none."""
    chosen = [f for f in SYSTEM_FLAGS if rng.random() < (0.5 if f == "\\Seen" else 0.1)]
    return chosen + [f for f in USER_FLAGS if rng.random() < 0.06]


def date(rng):
    return (f"{rng.randrange(1, 29):02}-{rng.choice(_MONTHS)}-{rng.randrange(2010, 2025)} "
            f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02} +0000")


def user_ids(users):
    """user1 … userN; the second has a dot in its name."""
    return ["dot.ted" if n == 2 else f"user{n}" for n in range(1, users + 1)]


def folder(rng, server, name):
    """The external name of a folder of one's own; dots are taken out where they separate."""
    if server.sep == ".":
        name = name.replace(".", "-").replace("/", ".")
    return f"INBOX{server.sep}{name}"


def append_many(imap, name, count, rng, size=None):
    """Appends random messages, BATCH in a command; returns the uids."""
    uids = []
    for start in range(0, count, BATCH):
        uids += imap.append(name, *[(message(rng, size), flags(rng), date(rng))
                                    for _ in range(min(BATCH, count - start))])
    return uids


def _fill_user(server, user, mailboxes, messages, seed):
    rng = random.Random(f"{seed} {user}")
    with server.imap(user) as imap:
        names = ["INBOX"] + [folder(rng, server, n) for n in
                             rng.sample(FOLDERS, min(len(FOLDERS), mailboxes - 1))]
        names += [folder(rng, server, f"more{n}") for n in range(mailboxes - len(names))]
        imap.pipeline([("CREATE", quoted(n)) for n in names[1:]])
        for name in names:
            uids = append_many(imap, name, messages, rng)
            if rng.random() < 0.5:
                imap.subscribe(name)
            if rng.random() < 0.3:
                imap.setacl(name, "anyone", rng.choice(("lrs", "lr", "lrswi")))
            if rng.random() < 0.3:
                imap.setmetadata(name, "/shared/comment", f"about {name}")
            if uids and rng.random() < 0.5:
                imap.annotate(rng.choice(uids), "/comment", "a note", name=name)
            if len(uids) > 3 and rng.random() < 0.5:
                imap.expunge(rng.sample(uids, len(uids) // 8 + 1), name)
            if uids and rng.random() < 0.3:
                imap.store(rng.sample(uids, len(uids) // 3 + 1), "+FLAGS",
                           rng.choice(USER_FLAGS), name)
    if "sieve" in server.services and rng.random() < 0.3:
        with server.sieve(user) as sieve:
            sieve.put("filter", f"# {user}\r\nkeep;\r\n")
            sieve.activate("filter")


def fill(server, users=50, mailboxes=4, messages=25, seed=1):
    """Fills an empty server; returns the user ids. INBOX counts among the mailboxes."""
    ids = user_ids(users) if server.sep == "/" else [u.replace(".", "") for u in user_ids(users)]
    rng = random.Random(seed)
    with server.imap() as admin:
        admin.pipeline([("CREATE", quoted(f"user{server.sep}{u}")) for u in ids])
        admin.pipeline([("SETQUOTA", quoted(f"user{server.sep}{u}"),
                         f"(STORAGE {rng.randrange(10**5, 10**6)} MESSAGE 100000)")
                        for u in ids if rng.random() < 0.5])
        admin.create("shared")
        admin.setacl("shared", "anyone", "lrswipkxte")
        append_many(admin, "shared", messages, rng)
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(_fill_user, server, u, mailboxes, messages, seed) for u in ids]:
            done.result()
    return ids


def plain_message(text):
    """The same bytes for the same text."""
    return f"Subject: {text}\r\n\r\nthe text of {text}\r\n".encode()


def user_with_mail(server, user, *messages):
    with server.imap() as admin:
        admin.create(f"user/{user}")
    with server.imap(user) as c:
        c.append("INBOX", *messages)
