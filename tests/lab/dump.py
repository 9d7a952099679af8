"""Everything a server holds, as its own sync_server tells it.

Names come from the mailbox list (ctl_mboxlist), state from GET MAILBOXES, FULLMAILBOX, META and
QUOTA. GET USER is never sent: from 3.6 on it deletes unindexed files of a user's sieve folder,
which must not happen on a master. (GET META makes an empty dav.db for a user that has none; nothing
else of the store changes.)
"""
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

WINDOW = 50


@dataclass
class Dump:
    name: str
    mailboxes: dict = field(default_factory=dict)  # internal name -> keys of MAILBOX but RECORD
    records: dict = field(default_factory=dict)    # internal name -> {uid: keys of RECORD}
    users: dict = field(default_factory=dict)      # user id -> {"LSUB": set, "SEEN": {}, "SIEVE": {}}
    quotas: dict = field(default_factory=dict)     # root -> {resource: limit}

    def live(self, name):
        """The uids of the messages that are not expunged."""
        return [uid for uid, r in self.records.get(name, {}).items()
                if "\\Expunged" not in r["FLAGS"]]

    def size(self):
        """One line for people."""
        live = sum(len(self.live(name)) for name in self.records)
        total = sum(map(len, self.records.values()))
        return (f"{self.name}: {len(self.users)} users, {len(self.mailboxes)} mailboxes, "
                f"{live} messages, {total - live} expunged, {len(self.quotas)} quota roots")


def mailbox_names(server):
    """The internal names in the server's mailbox list, those of deleted mailboxes too."""
    out = server.run("ctl_mboxlist", "-d").stdout.decode("utf-8", "surrogateescape")
    if out.lstrip().startswith("{"):
        return list(json.loads(out))
    return [line.split("\t")[0] for line in out.splitlines() if "\t" in line]


def names_without_id(server):
    """Names without a mailbox and without a uniqueid in the mailbox list of a server from 3.12 on: what it leaves of
    a mailbox that was deleted at once before what was below it. ctl_mboxlist does not tell them."""
    out = server.run("cyr_dbtool", server.folder / "conf/mailboxes.db", "twoskip", "show").stdout
    found = []
    for key, _, value in (line.partition("\t") for line in out.decode("utf-8", "surrogateescape").splitlines()):
        if key.startswith("N") and re.match(r"%\(T \w*i\w* (?!I )", value):
            found.append(key[1:].replace(".", "^").replace("\x1f", "."))
    return found


def user_of(name):
    """The user id a mailbox belongs to (live or deleted), or None for a shared one."""
    parts = name.split(".")
    if len(parts) > 2 and parts[0] == "DELETED":
        parts = parts[1:-1]
    return parts[1].replace("^", ".") if len(parts) > 1 and parts[0] == "user" else None


def _ask(session, requests):
    """The answers to many GETs, some in flight at a time."""
    answers, sent = [], 0
    while len(answers) < len(requests):
        while sent < len(requests) and sent - len(answers) < WINDOW:
            what, value = requests[sent]
            session.send(session.get_line(what, value))
            sent += 1
        answers.append(session.answer(ok=False))
    return answers


def _roots_on_disk(server):
    return {path.name for path in (server.outside / "conf/quota").glob("*/*")
            if not path.name.endswith(".NEW")}


def _add_mailboxes(session, found, names):
    for start in range(0, len(names), 500):
        for box in session.get("MAILBOXES", names[start:start + 500]).of("MAILBOX"):
            found.mailboxes[box["MBOXNAME"]] = box
    real = [n for n, box in found.mailboxes.items() if "i" not in box.get("MBOXTYPE", "")]
    for name, answer in zip(real, _ask(session, [("FULLMAILBOX", n) for n in real])):
        for box in answer.of("MAILBOX"):
            found.records[name] = {int(r["UID"]): r for r in box.pop("RECORD", [])}
            found.mailboxes[name] = box


def _compiled_scripts(server, inbox):
    """The files of a user's sieve folder; the link `defaultbc` marks the active one."""
    uniqueid = inbox["UNIQUEID"]
    folder = server.outside / "sieve/uuid" / uniqueid[0] / uniqueid[1] / uniqueid
    link = folder / "defaultbc"
    active = os.readlink(link) if link.is_symlink() else None
    return {path.name: {"GUID": hashlib.sha1(path.read_bytes()).hexdigest(),
                        "ISACTIVE": str(int(path.name == active))}
            for path in folder.glob("*") if not path.is_symlink()}


def dump(server, users=None, sieve="server"):
    """The Dump of a running server; `users` limits it to those (and leaves shared mailboxes out).
    sieve="files" takes the compiled scripts on disk instead of the scripts the server tells."""
    wanted = None if users is None else set(users)
    names = [n for n in mailbox_names(server) if wanted is None or user_of(n) in wanted]
    found = Dump(server.name)
    with server.csync() as session:
        # Before SIEVE-MAILBOX is enabled META tells the scripts, afterwards #sieve is a mailbox.
        ids = sorted({user_of(n) for n in names} - {None})
        for user, answer in zip(ids, _ask(session, [("META", u) for u in ids])):
            found.users[user] = {
                "LSUB": {name for line in answer.of("LSUB") for name in line},
                "SEEN": {s.pop("UNIQUEID"): s for s in answer.of("SEEN")},
                "SIEVE": {s.pop("FILENAME"): s for s in answer.of("SIEVE")}}
        session.apply("CAPABILITIES", ["SIEVE-MAILBOX"], ok=False)
        _add_mailboxes(session, found, names)
        ids = sorted({user_of(n) for n in found.mailboxes} - {None})
        found.users = {user: found.users[user] for user in ids}
        for user in ids if sieve == "files" else []:
            inbox = found.mailboxes.get("user." + user.replace(".", "^"))
            found.users[user]["SIEVE"] = _compiled_scripts(server, inbox) if inbox else {}
        roots = {box["QUOTAROOT"] for box in found.mailboxes.values() if "QUOTAROOT" in box}
        roots |= {r for r in _roots_on_disk(server) if wanted is None or user_of(r) in wanted}
        for answer in _ask(session, [("QUOTA", r) for r in sorted(roots)]):
            for quota in answer.of("QUOTA"):
                found.quotas[quota.pop("ROOT")] = quota
    return found


def dump_all(*servers, users=None):
    """Dumps of several servers, taken side by side."""
    with ThreadPoolExecutor(len(servers)) as pool:
        return list(pool.map(lambda s: dump(s, users), servers))


def check_files(server, found=None):
    """What is wrong with the message files on disk: missing, or SHA-1 differs from the GUID."""
    found = found or dump(server)
    wrong = []
    names = list(found.records)
    for name, folder in zip(names, server.mailbox_folders(*names) if names else []):
        for uid in found.live(name):
            path, record = folder / f"{uid}.", found.records[name][uid]
            if not path.exists():
                wrong.append(f"mailbox {name} uid {uid}: no file {path}")
                continue
            data = path.read_bytes()
            if hashlib.sha1(data).hexdigest() != record["GUID"]:
                wrong.append(f"mailbox {name} uid {uid}: file is not of GUID {record['GUID']}")
            elif len(data) != int(record["SIZE"]):
                wrong.append(f"mailbox {name} uid {uid}: {len(data)} bytes, SIZE {record['SIZE']}")
    return wrong
