"""What happens to a mail server in a year, in random order: users' edits and those of its administrators.

    world = World(master, replica, users, random.Random(7), deletions=True, forgetting=True)
    for _ in range(10):
        print(world.step())

A step is one edit; it returns a line that tells what was done and what the server said. An edit that the
server refuses because of the state is part of the history too.
"""
from contextlib import suppress

from .edits import random_edits
from .imap import Refused, utf7
from .waiting import eventually

EDITS = {}
ALL_RIGHTS = "lrswipkxtecda"


def edit(weight=1, deletes=False, forgets=False):
    """Names a method of World as an edit. deletes: a mailbox or user is gone for good afterwards, which
    only the log tells to a replica; forgets: a host changes by itself what it remembers of expunged
    messages, and nobody tells the other."""
    def note(function):
        EDITS[function.__name__] = (function, weight, deletes, forgets)
        return function
    return note


def subject(text):
    return f"Subject: {text}\r\n\r\nthe text of {text}\r\n".encode()


class World:
    def __init__(self, master, replica, users, rng, deletions, forgetting, kinds=None):
        self.master, self.replica, self.users, self.rng = master, replica, list(users), rng
        self.shared, self.number, self.kinds, self.deletions = [], 0, kinds, deletions
        self.choice = [function for function, weight, deletes, forgets in EDITS.values()
                       if (deletions or not deletes) and (forgetting or not forgets) for _ in range(weight)]

    def step(self):
        function = self.rng.choice(self.choice)
        try:
            told = function(self)
        except Refused as refusal:
            told = f"refused: {refusal}"
        return f"{function.__name__}: {told}"

    # --- helpers ------------------------------------------------------------------------

    def new(self, base):
        self.number += 1
        return f"{base}{self.number}"

    def user(self):
        return self.rng.choice(self.users)

    def folders(self, user):
        """His mailboxes but the INBOX, as he names them."""
        with self.master.imap(user) as c:
            return [name for name in c.own_mailboxes() if name != "INBOX"]

    def a_folder(self, user):
        folders = self.folders(user)
        return self.rng.choice(folders) if folders else None

    def admin(self, what, *args, **options):
        with self.master.imap() as c:
            reply = getattr(c, what)(*args, ok=False, **options)
        return f"{what} {args} {options or ''} -> {reply.status} {reply.text[:60]}"

    def delete(self, name):
        """An administrator may delete only what he gives himself the right for."""
        with self.master.imap() as c:
            c.setacl(name, "cyrus", ALL_RIGHTS, ok=False)
        return self.admin("delete", name)

    def tool(self, server, *args):
        done = server.run(args[0], *(utf7(a).decode() for a in args[1:]), check=False)
        return f"{server.name}: {' '.join(args)} -> {done.returncode}"

    # --- users --------------------------------------------------------------------------

    @edit(weight=8)
    def mail(self):
        """Everything that users do by themselves."""
        return random_edits(self.master, self.rng, self.users, self.rng.randint(3, 12), kinds=self.kinds)

    @edit(weight=2)
    def folder_made_again(self):
        user = self.user()
        with self.master.imap(user) as c:
            name = self.a_folder(user)
            if not name:
                return "-"
            if c.delete(name, ok=False).status == "OK" and c.create(name, ok=False).status == "OK" \
                    and self.rng.random() < .7:
                c.append(name, subject(self.new("again ")))
        return f"{user}: {name}"

    @edit(weight=2)
    def folders_swapped(self):
        user = self.user()
        folders = self.folders(user)
        if len(folders) < 2:
            return "-"
        one, two = self.rng.sample(folders, 2)
        between = self.new("INBOX/tmp")
        with self.master.imap(user) as c:
            done = [c.rename(old, new, ok=False).status for old, new in ((one, between), (two, one), (between, two))]
        return f"{user}: {one} and {two}: {done}"

    @edit(weight=2)
    def folder_to_another_user(self):
        one, other = self.user(), self.user()
        name = self.a_folder(one)
        if not name or one == other:
            return "-"
        return self.admin("rename", f"user/{one}{name[5:]}", f"user/{other}/{self.new('from')}")

    # --- administrators: users ----------------------------------------------------------

    @edit()
    def user_renamed(self):
        old, new = self.user(), self.new("moved")
        told = self.admin("rename", f"user/{old}", f"user/{new}")
        if " -> OK" in told:
            self.users[self.users.index(old)] = new
        return told

    @edit()
    def user_made_again(self):
        name = self.user()
        told = self.delete(f"user/{name}")
        if " -> OK" in told:
            told += "; " + self.admin("create", f"user/{name}")
            with self.master.imap(name) as c:
                c.append("INBOX", subject(self.new("fresh ")))
        return told

    @edit(deletes=True)
    def user_deleted(self):
        if len(self.users) < 3:
            return "-"
        name = self.user()
        told = self.delete(f"user/{name}")
        if " -> OK" in told:
            self.users.remove(name)
            self.delete_what_was_left(name)
        return told

    def delete_what_was_left(self, user):
        """A folder that was made again within the second of its deletion cannot be deleted in that second, since the place
        in the deleted tree is taken. Cyrus leaves it behind, and no replica from 3.6 on makes it without an INBOX. What
        cannot be deleted in the next seconds either is part of the history."""
        def left():
            with self.master.imap() as c:
                return [name for name in c.list() if name.startswith(f"user/{user}/")]
        for name in sorted(left(), reverse=True):  # children first
            with suppress(AssertionError):
                eventually(lambda: " -> OK" in self.delete(name) or name not in left(), timeout=3)

    @edit()
    def user_made_under_a_former_name(self):
        old, new = self.user(), self.new("moved")
        told = self.admin("rename", f"user/{old}", f"user/{new}")
        if " -> OK" in told:
            self.users[self.users.index(old)] = new
            told += "; " + self.admin("create", f"user/{old}")
            self.users.append(old)
        return told

    @edit()
    def partition_changed(self):
        """A replica of 3.12.4 refuses to move an INBOX, the stock client's too. A master of 3.2.6 logs nothing of it,
        so that it travels with what is logged next. With the INBOX move the folders."""
        user = self.user()
        movable = self.folders(user) + (["INBOX"] if self.replica.install.version < (3, 12) else [])
        name = self.rng.choice(movable) if movable else None
        if not name:
            return "-"
        told = self.admin("rename", f"user/{user}{name[5:]}", f"user/{user}{name[5:]}",
                          partition=self.rng.choice(("second", "default")))
        if self.master.install.version < (3, 6):
            with self.master.imap(user) as c:
                for moved in [name, *movable] if name == "INBOX" else [name]:
                    c.append(moved, subject(self.new("moved ")))
        return told

    @edit()
    def quota_removed(self):
        return self.admin("setquota", f"user/{self.user()}")

    @edit()
    def acl_changed(self):
        return self.admin("setacl", f"user/{self.user()}", "anyone", self.rng.choice(("lr", "lrs")))

    # --- shared trees -------------------------------------------------------------------

    @edit(weight=2)
    def shared_tree_made(self):
        name = self.new("pub")
        self.shared.append(name)
        return "; ".join((self.admin("create", name), self.admin("setacl", name, "anyone", ALL_RIGHTS),
                          self.admin("create", name + "/sub")))

    @edit(weight=2)
    def mail_in_a_shared_tree(self):
        if not self.shared:
            return "-"
        name = self.rng.choice(self.shared)
        with self.master.imap(self.user()) as c:
            c.append(name, subject(self.new("shared ")))
            c.store([1], "+FLAGS", "\\Seen", name)
            c.unselect()
        return name

    @edit()
    def shared_tree_renamed(self):
        if not self.shared:
            return "-"
        old, new = self.rng.choice(self.shared), self.new("pub")
        told = self.admin("rename", old, new)
        if " -> OK" in told:
            self.shared[self.shared.index(old)] = new
        return told

    @edit(deletes=True)
    def shared_tree_deleted(self):
        if not self.shared:
            return "-"
        name = self.shared.pop(self.rng.randrange(len(self.shared)))
        return "; ".join((self.delete(name + "/sub"), self.delete(name)))

    # --- administrators: tools ----------------------------------------------------------

    def expire(self, server):
        """Only the log tells of a user who is made again when the master has expired the old one."""
        deleted = ("-D", "0") if self.rng.random() < .3 and (self.deletions or server is self.replica) else ()
        return self.tool(server, "cyr_expire", "-E", "0", "-X", "0", *deleted)

    @edit(forgets=True)
    def expired_on_the_master(self):
        return self.expire(self.master)

    @edit(forgets=True)
    def expired_on_the_replica(self):
        return self.expire(self.replica)

    @edit()
    def reconstructed(self):
        return self.tool(self.master, "reconstruct", "-r", f"user/{self.user()}")

    @edit(weight=2, forgets=True)
    def unexpunged(self):
        user = self.user()
        name = self.rng.choice(["INBOX", *self.folders(user)])
        return self.tool(self.master, "unexpunge", "-a", f"user/{user}{name[5:]}")

    @edit()
    def quota_fixed(self):
        return self.tool(self.master, "quota", "-f")
