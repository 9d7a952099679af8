"""The data syntax of csync, read into Python objects and written back.

    NIL            None
    atom, quoted   str (UTF-8, undecodable bytes as surrogates)
    {n} literal    str as well
    ( )            list
    %( )           dict (of a key that comes twice the first value wins)
    %{p g n}       File(partition, guid, data)
"""
import re
from dataclasses import dataclass

_TOKEN = re.compile(rb'%\(|[()]|"((?:[^"\\]|\\.)*)"|%\{|\{(\d+)\+?\}\r?\n|[^\s()"{][^\s()"]*', re.S)
_SPACE = re.compile(rb"\s*")
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff{()\"%*\\]+\Z")
_FILE = re.compile(rb"(\S+) ([0-9a-fA-F]{40}) (\d+)\}\r?\n")


@dataclass(frozen=True)
class File:
    partition: str
    guid: str
    data: bytes


def text(data):
    return data.decode("utf-8", "surrogateescape")


class Parser:
    """Reads values one after the other from bytes."""

    def __init__(self, data, pos=0):
        self.data, self.pos = data, pos

    def at_end(self):
        self.pos = _SPACE.match(self.data, self.pos).end()
        return self.pos >= len(self.data)

    def value(self):
        found = self._next()
        if found in (b")", None):
            raise ValueError(f"dlist: value expected at byte {self.pos}")
        return found[0]

    def _next(self):
        """A one-element tuple with a value, b")" or None at the end."""
        data = self.data
        m = _TOKEN.match(data, _SPACE.match(data, self.pos).end())
        if not m:
            if self.at_end():
                return None
            raise ValueError(f"dlist: bad byte {self.pos}: {data[self.pos:self.pos + 40]!r}")
        self.pos = m.end()
        token = m[0]
        if m[1] is not None:
            inner = m[1]
            return (text(re.sub(rb"\\(.)", rb"\1", inner, flags=re.S) if b"\\" in inner else inner),)
        if m[2] is not None:
            return (text(self._take(int(m[2]))),)
        if token == b"%(":
            return (self._dict(),)
        if token == b"(":
            return (self._list(),)
        if token == b")":
            return b")"
        if token == b"%{":
            return (self._file(),)
        return (None if token == b"NIL" else text(token),)

    def _take(self, count):
        start = self.pos
        if start + count > len(self.data):
            raise ValueError("dlist: literal is cut off")
        self.pos += count
        return self.data[start:self.pos]

    def _list(self):
        items = []
        while (found := self._next()) != b")":
            if found is None:
                raise ValueError("dlist: unclosed list")
            items.append(found[0])
        return items

    def _dict(self):
        items = self._list()
        if len(items) % 2:
            raise ValueError("dlist: key without value")
        result = {}
        for i in range(0, len(items), 2):
            result.setdefault(items[i], items[i + 1])
        return result

    def _file(self):
        m = _FILE.match(self.data, self.pos)
        if not m:
            raise ValueError(f"dlist: bad file header at byte {self.pos}")
        self.pos = m.end()
        return File(text(m[1]), text(m[2]), self._take(int(m[3])))


def parse(data):
    """All values of a piece of text, as a list."""
    parser, values = Parser(data), []
    while not parser.at_end():
        values.append(parser.value())
    return values


def write(value):
    """The bytes of a value; ints become decimal atoms."""
    if value is None:
        return b"NIL"
    if isinstance(value, dict):
        return b"%(" + b" ".join(write(k) + b" " + write(v) for k, v in value.items()) + b")"
    if isinstance(value, (list, tuple)):
        return b"(" + b" ".join(write(v) for v in value) + b")"
    if isinstance(value, File):
        return b"%%{%s %s %d}\r\n%s" % (value.partition.encode(), value.guid.encode(),
                                       len(value.data), value.data)
    if isinstance(value, int):
        return b"%d" % value
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    if data in (b"", b"NIL"):
        return b'"' + data + b'"'
    if len(data) < 1024 and (_ATOM.match(data) or re.fullmatch(rb"\\[A-Za-z]+", data)):
        return data
    if len(data) < 1024 and not re.search(rb'[\x00\r\n"%\\\x80-\xff]', data):
        return b'"' + data + b'"'
    return b"{%d+}\r\n%s" % (len(data), data)
