"""A small and quick IMAP client: one socket, literal+, any number of commands in flight.

Mailbox names are Unicode with the server's separator ("user/fred/Entwürfe"); they travel in
modified UTF-7. A command that is refused raises Refused, unless it is sent with ok=False.
"""
import base64
import re
import socket
from dataclasses import dataclass, field

from .wire import Connection

PASSWORD = "secret"


class Refused(Exception):
    """A server said NO or BAD."""


@dataclass
class Reply:
    status: str
    text: str
    untagged: list = field(default_factory=list)

    def code(self, name):
        """The words of a response code such as [APPENDUID 1 2], or None."""
        m = re.match(rf"\[{name} ([^\]]*)\]", self.text)
        return m and m[1].split()


def utf7(name):
    """Modified UTF-7 (RFC 3501) of a Unicode name, as bytes."""
    def shift(m):
        coded = base64.b64encode(m[0].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return f"&{coded.decode()}-"
    return re.sub(r"[^\x20-\x7e]+", shift, name.replace("&", "&-")).encode()


def from_utf7(data):
    """The Unicode name of modified UTF-7 bytes."""
    def unshift(m):
        coded = m[1].replace(b",", b"/")
        return base64.b64decode(coded + b"=" * (-len(coded) % 4)).decode("utf-16-be") or "&"
    parts = re.split(rb"&([^-]*)-", data)
    return "".join(p.decode() if i % 2 == 0 else unshift((None, p)) for i, p in enumerate(parts))


def quote(value):
    """A string argument: quoted, or a literal where that cannot be."""
    data = value if isinstance(value, bytes) else value.encode()
    if len(data) < 1000 and not re.search(rb'[\r\n\0"\\\x80-\xff]', data):
        return b'"' + data + b'"'
    return b"{%d+}\r\n%s" % (len(data), data)


def mailbox(name):
    return quote(utf7(name))


def uid_set(uids):
    """A sequence set, from an int, a string or an iterable of ints."""
    if isinstance(uids, (int, str)):
        return str(uids).encode()
    return ",".join(map(str, uids)).encode()


class Imap:
    def __init__(self, address, port, user="cyrus", admin="cyrus", sep="/", timeout=60):
        self.user, self.sep = user, sep
        self.wire = Connection(address, port, timeout)
        self.tag = 0
        self.selected = None
        self.wire.line()
        authzid = "" if user == admin else user
        token = base64.b64encode(f"{authzid}\0{admin}\0{PASSWORD}".encode())
        self.command(b"AUTHENTICATE PLAIN " + token)

    # --- commands in flight -------------------------------------------------------------

    def send(self, *parts):
        """Writes one command (str or bytes parts, joined by blanks) without waiting."""
        self.tag += 1
        line = b" ".join(p if isinstance(p, bytes) else p.encode() for p in parts)
        self.wire.write(b"%d %s\r\n" % (self.tag, line))
        return self.tag

    def reply(self, ok=True):
        """Reads up to the next tagged reply."""
        untagged = []
        while True:
            line = self.wire.line_with_literals()
            if line.startswith(b"* "):
                untagged.append(line[2:])
            elif line.startswith(b"+"):
                continue
            else:
                _, status, text = (line + b"  ").split(b" ", 2)
                reply = Reply(status.decode(), text.decode("utf-8", "replace").strip(), untagged)
                if ok and reply.status != "OK":
                    raise Refused(f"{reply.status} {reply.text}")
                return reply

    def command(self, *parts, ok=True):
        self.send(*parts)
        return self.reply(ok)

    def pipeline(self, commands, ok=True, window=200):
        """Sends many commands (tuples of parts), `window` in flight; returns their replies."""
        replies, waiting = [], 0
        for parts in commands:
            self.send(*parts)
            waiting += 1
            if waiting >= window:
                replies.append(self.reply(ok))
                waiting -= 1
        return replies + [self.reply(ok) for _ in range(waiting)]

    # --- mailboxes ----------------------------------------------------------------------

    def create(self, name, ok=True, partition=None):
        extra = [partition] if partition else []
        return self.command("CREATE", mailbox(name), *extra, ok=ok)

    def delete(self, name, ok=True):
        return self.command("DELETE", mailbox(name), ok=ok)

    def delete_user(self, user):
        """Deletes a user's INBOX and folders; an administrator has to take the right first."""
        inbox = f"user{self.sep}{user}"
        self.setacl(inbox, self.user, "lrswipkxtecda")
        return self.delete(inbox)

    def rename(self, old, new, ok=True, partition=None):
        extra = [partition] if partition else []
        return self.command("RENAME", mailbox(old), mailbox(new), *extra, ok=ok)

    def setacl(self, name, who, rights, ok=True):
        return self.command("SETACL", mailbox(name), quote(who), quote(rights), ok=ok)

    def deleteacl(self, name, who, ok=True):
        return self.command("DELETEACL", mailbox(name), quote(who), ok=ok)

    def subscribe(self, name, ok=True):
        return self.command("SUBSCRIBE", mailbox(name), ok=ok)

    def unsubscribe(self, name, ok=True):
        return self.command("UNSUBSCRIBE", mailbox(name), ok=ok)

    def setquota(self, root, ok=True, **limits):
        """setquota("user/fred", STORAGE=1000); no limit at all takes every limit away."""
        words = " ".join(f"{k} {v}" for k, v in limits.items())
        return self.command("SETQUOTA", mailbox(root), f"({words})", ok=ok)

    def setmetadata(self, name, entry, value, ok=True):
        """entry like /private/comment or /shared/comment; None removes; name "" is the server."""
        value = b"NIL" if value is None else quote(value)
        return self.command("SETMETADATA", mailbox(name), b"(" + quote(entry) + b" " + value + b")",
                            ok=ok)

    def list(self, pattern="*"):
        """The names on the server, in Unicode."""
        names = []
        for line in self.command("LIST", '""', mailbox(pattern)).untagged:
            m = re.match(rb'LIST \([^)]*\) (?:"."|NIL) (?:\{\d+\+?\}\r\n)?(.*)', line, re.S)
            if m:
                name = m[1]
                if name.startswith(b'"'):
                    name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
                names.append(from_utf7(name))
        return names

    def own_mailboxes(self):
        """INBOX and the folders below it."""
        return [n for n in self.list() if n == "INBOX" or n.startswith("INBOX" + self.sep)]

    # --- messages -----------------------------------------------------------------------

    def select(self, name="INBOX", ok=True):
        reply = self.command("SELECT", mailbox(name), ok=ok)
        self.selected = name if reply.status == "OK" else None
        return reply

    def unselect(self):
        """Leaves the selected mailbox, if any; seen states are written then at the latest."""
        if self.selected is not None:
            self.selected = None
            self.command("UNSELECT")

    def _select(self, name):
        if name is not None and name != self.selected:
            self.select(name)

    def append_parts(self, name, messages):
        """The parts of one (multi-)APPEND. A message is bytes or a tuple (bytes, flags, date,
        annotations) with flags a list, date "01-Jan-2020 10:11:12 +0100", annotations a dict
        {("/comment", "value.shared"): "x"}; trailing ones may be missing."""
        parts = [b"APPEND", mailbox(name)]
        for message in messages:
            data, flags, date, annotations = (message if isinstance(message, tuple) else
                                              (message,)) + (None,) * (
                4 - (len(message) if isinstance(message, tuple) else 1))
            if flags:
                parts.append(f"({' '.join(flags)})")
            if date:
                parts.append(f'"{date}"')
            if annotations:
                parts.append(b"ANNOTATION (" + b" ".join(
                    b"%s (%s %s)" % (quote(entry), quote(attribute), quote(value))
                    for (entry, attribute), value in annotations.items()) + b")")
            parts.append(b"{%d+}\r\n%s" % (len(data), data))
        return parts

    def append(self, name, *messages, ok=True):
        """Appends in one command; returns the uids."""
        reply = self.command(*self.append_parts(name, messages), ok=ok)
        code = reply.code("APPENDUID")
        return expand(code[1]) if code else reply

    def store(self, uids, change, flags, name=None, ok=True):
        """store([1, 2], "+FLAGS", "\\Seen $Todo", "INBOX")"""
        self._select(name)
        return self.command("UID STORE", uid_set(uids), f"{change}.SILENT ({flags})", ok=ok)

    def annotate(self, uids, entry, value, attribute="value.shared", name=None, ok=True):
        """Sets or removes (None) an annotation of messages."""
        self._select(name)
        value = b"NIL" if value is None else quote(value)
        return self.command("UID STORE", uid_set(uids), b"ANNOTATION (%s (%s %s))" % (
            quote(entry), quote(attribute), value), ok=ok)

    def copy(self, uids, target, name=None, ok=True):
        self._select(name)
        return self.command("UID COPY", uid_set(uids), mailbox(target), ok=ok)

    def move(self, uids, target, name=None, ok=True):
        self._select(name)
        return self.command("UID MOVE", uid_set(uids), mailbox(target), ok=ok)

    def expunge(self, uids=None, name=None, ok=True):
        """Expunges \\Deleted messages; given uids, marks those first and expunges only them."""
        self._select(name)
        if uids is None:
            return self.command("EXPUNGE", ok=ok)
        self.store(uids, "+FLAGS", "\\Deleted", ok=ok)
        return self.command("UID EXPUNGE", uid_set(uids), ok=ok)

    def fetch(self, uids, items, name=None):
        """The untagged FETCH lines, literals included."""
        self._select(name)
        return self.command("UID FETCH", uid_set(uids), items).untagged

    def uids(self, name=None, criteria="ALL"):
        self._select(name)
        for line in self.command("UID SEARCH", criteria).untagged:
            if line.startswith(b"SEARCH"):
                return [int(x) for x in line.split()[1:]]
        return []

    def noop(self):
        return self.command("NOOP")

    # --- end ----------------------------------------------------------------------------

    def close(self):
        """Logs out; a session that is already gone is no fault."""
        try:
            self.command("LOGOUT", ok=False)
        except (OSError, EOFError, socket.timeout):
            pass
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def expand(sequence):
    """[1, 2, 3, 7] from "1:3,7"."""
    uids = []
    for part in sequence.split(","):
        first, _, last = part.partition(":")
        uids.extend(range(int(first), int(last or first) + 1))
    return uids
