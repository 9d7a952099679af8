"""A raw csync client: what a sync_server says, as Python objects.

    with server.csync() as c:
        for key, value in c.get("USER", "fred").items: ...
        c.apply("SUB", {"USERID": "fred", "MBOXNAME": "user.fred"})
"""
import base64
import re
from dataclasses import dataclass, field

from . import dlist
from .imap import PASSWORD
from .wire import Connection

_OPEN = re.compile(rb'\{(\d+)\+?\}\r?\n\Z|%\{\S+ [0-9a-fA-F]{40} (\d+)\}\r?\n\Z')


class SyncError(Exception):
    """The server's answer was not OK."""


@dataclass
class Answer:
    status: str
    text: str
    items: list = field(default_factory=list)

    def of(self, key):
        """The values of the untagged lines of one key."""
        return [value for k, value in self.items if k == key]


class Csync:
    def __init__(self, address, port=None, user="repl", password=PASSWORD, timeout=60):
        self.wire = Connection(address, port, timeout)
        self.greeting = self._greeting()
        if any(line.startswith("SASL") for line in self.greeting):
            self.authenticate(user, password)

    def _greeting(self):
        lines = []
        while True:
            line = self.wire.line().decode()
            lines.append(line[2:])
            if line.startswith("* OK"):
                return lines

    def authenticate(self, user, password):
        token = base64.b64encode(f"\0{user}\0{password}".encode())
        self.send(b"AUTHENTICATE PLAIN " + token)
        return self.answer()

    def send(self, line):
        """Writes one command without waiting for its answer."""
        self.wire.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    def answer(self, ok=True):
        """Reads one command's answer."""
        items = []
        while True:
            line = self.wire.raw_line()
            if line.startswith(b"* Fatal"):
                raise SyncError(line.decode().strip())
            if not line.startswith(b"* "):
                status, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
                if ok and status != "OK":
                    raise SyncError(f"{status} {rest}")
                return Answer(status, rest, items)
            items.append(self._item(line))

    def _item(self, line):
        pieces = [line]
        while m := _OPEN.search(pieces[-1][-512:]):
            pieces.append(self.wire.read(int(m[1] or m[2])))
            pieces.append(self.wire.raw_line())
        key, value = dlist.parse(b"".join(pieces)[2:])
        return key, value

    def command(self, line, ok=True):
        self.send(line)
        return self.answer(ok)

    @staticmethod
    def get_line(what, value):
        return b"GET " + what.encode() + b" " + dlist.write(value)

    def get(self, what, value, ok=True):
        return self.command(self.get_line(what, value), ok)

    def apply(self, what, value, ok=True):
        return self.command(b"APPLY " + what.encode() + b" " + dlist.write(value), ok)

    def close(self):
        try:
            self.send("EXIT")
            self.wire.raw_line()
        except (OSError, EOFError):
            pass
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
