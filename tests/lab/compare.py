"""The differences of two dumps, one readable line each.

A mailbox is compared in the fields a sync client compares, the records exactly. Not a difference:
LAST_APPENDDATE, partition, quota usage and modseqs of annotations of the mailbox and of quota (a
client does not look at them); option P when there is no message; a CRC of 0; a FOLDERMODSEQ of 0
on the replica, an XCONVMODSEQ that is higher there or that one side does not have; seen states
that only the replica has (nothing ever deletes them). `also` adds fields, for instance
("PARTITION", "CREATEDMODSEQ").

Expunged records count like live ones, with their modseqs: QRESYNC clients rest on them. Two exceptions
have to be asked for. `expunged=False`: a host has cleaned up by itself (cyr_expire -X, expunge_mode
immediate), so the two need not remember the same ones. `history=False`: both sides were edited, or a
record was touched after it was expunged (unexpunge): no server changes what it knows as expunged, or the
modseq of an annotation whose value it has already, so these are not compared.
"""

FIELDS = ("UNIQUEID", "MBOXTYPE", "LAST_UID", "HIGHESTMODSEQ", "RECENTUID", "RECENTTIME",
          "POP3_LAST_LOGIN", "POP3_SHOW_AFTER", "UIDVALIDITY", "ACL")
RECORD_FIELDS = ("MODSEQ", "LAST_UPDATED", "INTERNALDATE", "SIZE", "GUID")


class Differences(list):
    """Lines for people; master and replica are called by the names of their servers."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def check(self, where, what, left, right):
        if left != right:
            self.append(f"{where} {what}: {self.a.name} {_show(left)} {self.b.name} {_show(right)}")

    def sides(self, what, left, right):
        """The common keys, after noting those that only one side has."""
        for key in sorted(left.keys() - right.keys()):
            self.append(f"{what} {key}: only on {self.a.name}")
        for key in sorted(right.keys() - left.keys()):
            self.append(f"{what} {key}: only on {self.b.name}")
        return sorted(left.keys() & right.keys())


def _show(value):
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    return "-" if value is None else repr(value)


# Kept in the index of a mailbox, where they have no modseq, or, if its version has no room, beside it.
VIRTUAL = {"/vendor/cmu/cyrus-imapd/" + name for name in ("createdmodseq", "savedate", "thrid", "basethrid")}


def _annotations(holder, modseqs):
    found = {}
    for a in holder.get("ANNOTATIONS", []):
        value = (a["VALUE"], a["MODSEQ"]) if modseqs and a["ENTRY"] not in VIRTUAL else a["VALUE"]
        found.setdefault((a["ENTRY"], a["USERID"]), value)
    return found


def _flags(record):
    return {f.lower() if f.startswith("\\") else f for f in record["FLAGS"]}


def _compare_annotations(out, where, left, right):
    for key in sorted(left.keys() | right.keys()):
        entry, user = key
        out.check(where, f"annotation {entry} of {user!r}", left.get(key), right.get(key))


def _compare_header(out, name, left, right, both_filled, also):
    where = f"mailbox {name}"
    for key in (*FIELDS, *also):
        out.check(where, key, left.get(key), right.get(key))
    for key in ("SYNC_CRC", "SYNC_CRC_ANNOT"):
        if left.get(key, "0") != "0" and right.get(key, "0") != "0":
            out.check(where, key, left[key], right[key])
    if right.get("FOLDERMODSEQ", "0") != "0":
        out.check(where, "FOLDERMODSEQ", left.get("FOLDERMODSEQ"), right["FOLDERMODSEQ"])
    # The replica's own conversations may have numbered it higher; a lower one would be told to its clients.
    if int(left.get("XCONVMODSEQ", 0)) > int(right.get("XCONVMODSEQ", 0)) > 0:
        out.check(where, "XCONVMODSEQ", left["XCONVMODSEQ"], right["XCONVMODSEQ"])
    ignored = set() if both_filled else {"P"}
    out.check(where, "OPTIONS", set(left["OPTIONS"]) - ignored, set(right["OPTIONS"]) - ignored)
    _compare_annotations(out, where, _annotations(left, False), _annotations(right, False))


def _expunged(record):
    return "\\Expunged" in record["FLAGS"]


def _compare_records(out, name, left, right, expunged, history):
    for uid in sorted(left.keys() | right.keys()):
        where = f"mailbox {name} uid {uid}"
        if uid not in left or uid not in right:
            side, record = (out.a, left[uid]) if uid in left else (out.b, right[uid])
            if (expunged and history) or not _expunged(record):
                out.append(f"{where}: only on {side.name}")
            continue
        l, r = left[uid], right[uid]
        if not history and _expunged(l) and _expunged(r):
            continue
        for key in RECORD_FIELDS:
            out.check(where, key, l[key], r[key])
        out.check(where, "FLAGS", _flags(l), _flags(r))
        if not _expunged(l):
            _compare_annotations(out, where, _annotations(l, history), _annotations(r, history))


def _sources(scripts):
    """What every version tells of a user's scripts: the sources, and which one is active."""
    found = {name: {"GUID": s["GUID"], "ISACTIVE": None} for name, s in scripts.items()
             if name.endswith(".script")}
    for name, s in scripts.items():
        source = name.removesuffix(".bc").removesuffix(".script") + ".script"
        if s["ISACTIVE"] == "1" and source in found:
            found[source]["ISACTIVE"] = "1"
    return found


def _compare_users(out, a, b, sieve_mailboxes):
    for user in out.sides("user", a.users, b.users):
        left, right = a.users[user], b.users[user]
        out.check(f"user {user}", "subscriptions", left["LSUB"], right["LSUB"])
        for uniqueid, seen in left["SEEN"].items():
            out.check(f"user {user}", f"seen {uniqueid}", seen, right["SEEN"].get(uniqueid))
        l, r = ((x["SIEVE"] if sieve_mailboxes else _sources(x["SIEVE"])) for x in (left, right))
        for script in out.sides(f"user {user} sieve", l, r):
            for key in ("GUID", "ISACTIVE"):
                out.check(f"user {user} sieve {script}", key, l[script][key], r[script][key])


def _mailboxes(found, sieve_mailboxes):
    return {name: box for name, box in found.mailboxes.items()
            if sieve_mailboxes or "f" not in box.get("MBOXTYPE", "")}


def compare(a, b, also=(), expunged=True, sieve_mailboxes=True, history=True):
    """The differences of two Dumps; empty when equal. Without SIEVE-MAILBOX in use each server
    makes its own #sieve mailbox, if it is of 3.6 or later, and compiles scripts itself: with
    sieve_mailboxes=False the sources and the active script count instead."""
    out = Differences(a, b)
    lefts, rights = (_mailboxes(d, sieve_mailboxes) for d in (a, b))
    for name in out.sides("mailbox", lefts, rights):
        left, right = lefts[name], rights[name]
        filled = bool(a.live(name) and b.live(name))
        _compare_header(out, name, left, right, filled, also)
        _compare_records(out, name, a.records.get(name, {}), b.records.get(name, {}), expunged, history)
    _compare_users(out, a, b, sieve_mailboxes)
    for root in out.sides("quota", a.quotas, b.quotas):
        left, right = ({k: v for k, v in d.quotas[root].items() if k != "MODSEQ"} for d in (a, b))
        for key in sorted(left.keys() | right.keys()):
            out.check(f"quota {root}", key, left.get(key), right.get(key))
    return list(out)
