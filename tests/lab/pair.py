"""A master and its replicas, and stores made once and cloned for many tests."""
from contextlib import contextmanager

from .clients import stock
from .compare import compare
from .cyrus import SYSTEM, Cyrus, make_all, start_all
from .dump import dump_all

SERVICES = ("imap", "lmtp", "sync", "sieve")


class Pair:
    """`master`, `replicas` (by name) and `replica`, the first of them."""

    def __init__(self, master, replicas):
        self.master, self.replicas = master, replicas
        self.replica = next(iter(replicas.values()))
        self.servers = [master, *replicas.values()]

    def differences(self, users=None, **options):
        """What differs between the master and each replica; options are those of compare()."""
        first, *others = dump_all(*self.servers, users=users)
        return [line for other in others for line in compare(first, other, **options)]

    def sizes(self):
        return "\n".join(d.size() for d in dump_all(*self.servers))

    def replicate(self, *args):
        """Lets the stock client bring every replica up to date."""
        for channel in self.channels:
            stock(self.master, *(["-n", channel] if channel else []), *(args or ["-A"]))

    @property
    def channels(self):
        """The channel names, [None] for a plain pair."""
        return list(self.replicas) if len(self.replicas) > 1 else [None]

    def remove(self):
        for server in self.servers:
            server.remove()


class Template:
    """The stores of a filled pair, for make_pair(template=…)."""

    def __init__(self, pair):
        """Takes copies of a pair; its servers are stopped and removed."""
        for server in pair.servers:
            server.stop()
        folder = pair.master.place.new_folder("template")
        self.master = pair.master.copy_store(folder / "master")
        self.replicas = {name: server.copy_store(folder / name)
                         for name, server in pair.replicas.items()}
        pair.remove()


@contextmanager
def make_pair(conf=None, master_conf=None, replica_conf=None, replicas=("replica",),
              services=SERVICES, template=None, install=SYSTEM, replica_install=None, start=True):
    """A running Pair. More than one replica name means a channel of that name for each."""
    def server(name, special, store, where):
        return lambda: Cyrus(name, {**(conf or {}), **(special or {})}, services, where, store)
    stores = template.replicas if template else {}
    servers = make_all(server("master", master_conf, template and template.master, install),
                       *(server(name, replica_conf, stores.get(name), replica_install or install)
                         for name in replicas))
    pair = Pair(servers[0], dict(zip(replicas, servers[1:])))
    try:
        for channel, replica in zip(pair.channels, pair.replicas.values()):
            pair.master.replicate_to(replica.address, replica.sync_port, channel)
        if start:
            start_all(*pair.servers)
        yield pair
    finally:
        pair.remove()
