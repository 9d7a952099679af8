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

_TOKEN = re.compile(rb"""\s*(?:
    ([^\s()"{%][^\s()"]*) |                       # 1 atom
    (\)) |                                        # 2 end of a list
    (%?\() |                                      # 3 begin of a list
    "((?:[^"\\]|\\.)*)" |                        # 4 quoted
    \{(\d+)\+?\}\r?\n |                           # 5 literal
    %\{(\S+)\ ([0-9a-fA-F]{40})\ (\d+)\}\r?\n |  # 6, 7, 8 file
    (\Z))""", re.S | re.X)
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff{()\"%*\\]+\Z")


@dataclass(frozen=True)
class File:
    partition: str
    guid: str
    data: bytes


def text(data):
    return data.decode("utf-8", "surrogateescape")


def parse(data):
    """All values of a piece of text, as a list."""
    match, pos = _TOKEN.match, 0
    current, is_dict, outer = [], False, []
    while True:
        m = match(data, pos)
        if not m:
            raise ValueError(f"dlist: bad byte {pos}: {data[pos:pos + 40]!r}")
        pos, kind = m.end(), m.lastindex
        if kind == 1:
            value = None if m[1] == b"NIL" else text(m[1])
        elif kind == 3:
            outer.append((current, is_dict))
            current, is_dict = [], m[3] == b"%("
            continue
        elif kind == 2:
            if not outer:
                raise ValueError(f"dlist: bracket closed at byte {pos} was never opened")
            value = _pairs(current) if is_dict else current
            current, is_dict = outer.pop()
        elif kind == 4:
            value = text(re.sub(rb"\\(.)", rb"\1", m[4], flags=re.S))
        elif kind == 5:
            body, pos = _take(data, pos, int(m[5]))
            value = text(body)
        elif kind == 8:
            body, pos = _take(data, pos, int(m[8]))
            value = File(text(m[6]), text(m[7]), body)
        else:
            if outer:
                raise ValueError("dlist: unclosed list")
            return current
        current.append(value)


def _take(data, pos, count):
    if pos + count > len(data):
        raise ValueError("dlist: literal is cut off")
    return data[pos:pos + count], pos + count


def _pairs(items):
    if len(items) % 2:
        raise ValueError("dlist: key without value")
    result = {}
    for key, value in zip(items[::2], items[1::2]):
        result.setdefault(key, value)
    return result


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
