"""The differences of two dumps, one readable line each.

A mailbox is compared in the fields a sync client compares, the records exactly. Not a difference:
LAST_APPENDDATE, partition, quota usage and modseqs of annotations of the mailbox and of quota (a
client does not look at them); option P when there is no message; a CRC of 0; a FOLDERMODSEQ of 0
on the replica; expunged records that only one side still remembers; seen states that only the
replica has (nothing ever deletes them). `also` adds fields, for instance ("PARTITION",
"CREATEDMODSEQ"); `expunged=True` wants the expunged records to be the same set.
"""

FIELDS = ("UNIQUEID", "MBOXTYPE", "LAST_UID", "HIGHESTMODSEQ", "RECENTUID", "RECENTTIME",
          "POP3_LAST_LOGIN", "POP3_SHOW_AFTER", "UIDVALIDITY", "ACL", "XCONVMODSEQ")
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


def _annotations(holder, modseqs):
    found = {}
    for a in holder.get("ANNOTATIONS", []):
        value = (a["VALUE"], a["MODSEQ"]) if modseqs else a["VALUE"]
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
            if expunged or not _expunged(record):
                out.append(f"{where}: only on {side.name}")
            continue
        l, r = left[uid], right[uid]
        if not history and _expunged(l) and _expunged(r):
            continue
        for key in RECORD_FIELDS:
            out.check(where, key, l[key], r[key])
        out.check(where, "FLAGS", _flags(l), _flags(r))
        if not _expunged(l):
            _compare_annotations(out, where, _annotations(l, True), _annotations(r, True))


def _compare_users(out, a, b):
    for user in out.sides("user", a.users, b.users):
        left, right = a.users[user], b.users[user]
        out.check(f"user {user}", "subscriptions", left["LSUB"], right["LSUB"])
        for uniqueid, seen in left["SEEN"].items():
            out.check(f"user {user}", f"seen {uniqueid}", seen, right["SEEN"].get(uniqueid))
        for script in out.sides(f"user {user} sieve", left["SIEVE"], right["SIEVE"]):
            for key in ("GUID", "ISACTIVE"):
                out.check(f"user {user} sieve {script}", key, left["SIEVE"][script][key],
                          right["SIEVE"][script][key])


def compare(a, b, also=(), expunged=False, sieve_mailboxes=True, history=True):
    """The differences of two Dumps; empty when equal. Without SIEVE-MAILBOX in use each server
    makes its own #sieve mailbox: leave those out with sieve_mailboxes=False. After both sides were
    edited they may have expunged one uid each in its own way, which nothing mends: history=False."""
    out = Differences(a, b)
    for name in out.sides("mailbox", a.mailboxes, b.mailboxes):
        left, right = a.mailboxes[name], b.mailboxes[name]
        if not sieve_mailboxes and "f" in left.get("MBOXTYPE", ""):
            continue
        filled = bool(a.live(name) and b.live(name))
        _compare_header(out, name, left, right, filled, also)
        _compare_records(out, name, a.records.get(name, {}), b.records.get(name, {}), expunged, history)
    _compare_users(out, a, b)
    for root in out.sides("quota", a.quotas, b.quotas):
        left, right = ({k: v for k, v in d.quotas[root].items() if k != "MODSEQ"} for d in (a, b))
        for key in sorted(left.keys() | right.keys()):
            out.check(f"quota {root}", key, left.get(key), right.get(key))
    return list(out)
