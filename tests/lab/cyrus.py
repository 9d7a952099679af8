"""Real Cyrus servers for tests: an Install is where the programs are, a Cyrus is one server.

Each server has a folder of its own (store, configuration, sockets, log), a loopback address of
its own (127.x.y.z, so that port numbers never clash) and its own `master` process, which runs
until stop(). Servers are cheap: start several in parallel with start_all().
"""
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from . import syslog
from .csync import Csync
from .imap import PASSWORD, Imap
from .lmtp import Lmtp
from .managesieve import ManageSieve
from .workplace import place

ADMIN = "cyrus"
REPL = "repl"
PORTS = {"imap": 10143, "lmtp": 10024, "sync": 12005, "sieve": 14190}


class Install:
    """The programs of one Cyrus version. With a root, they run inside that chroot.

    Inside, the folder of all servers is mounted where it is outside, so a path is the same on both
    sides. Each program has a mount namespace of its own: what it mounts ends with it, whatever
    happens, and nobody else sees it."""

    def __init__(self, name="3.6.1", bindir="/usr/lib/cyrus/bin", root="/"):
        self.name = name
        self.bindir = Path(bindir)
        self.root = Path(root)

    def __repr__(self):
        return f"Cyrus {self.name}"

    @property
    def version(self):
        """For comparing: (3, 6, 1)."""
        return tuple(map(int, self.name.split(".")))

    @property
    def is_chroot(self):
        return self.root != Path("/")

    def program(self, name):
        return self.bindir / name

    def command(self, argv, preload, shared):
        """The argument list that runs argv; `shared` is the folder to be seen inside a chroot, too.
        There the library to preload is set for the program only: `chroot` could not load it."""
        argv = [str(a) for a in argv]
        if not self.is_chroot:
            return argv
        return ["unshare", "--mount", "/bin/sh", "-c", _ENTER, "enter", str(self.root), str(shared),
                f"LD_PRELOAD={preload}", *argv]

    def make_programs(self, folder, preload):
        """Of a chroot: a folder whose sync_server can be started from outside, as our client does, by
        the user who owns the store. It is the chroot's own program, with its loader and libraries."""
        libraries, = self.root.glob("usr/lib/*-linux-gnu")
        loader, = libraries.glob("ld-linux-*.so.*")
        script = folder / "sync_server"
        folder.mkdir()
        script.write_text(f'#!/bin/sh\nLD_PRELOAD={preload} SASL_PATH={libraries}/sasl2 exec {loader} --library-path '
                          f'{libraries}:{self.root}/usr/lib:{self.root}/lib {self.root}{self.program("sync_server")} "$@"\n')
        script.chmod(0o755)

    def owner(self):
        """The (name, uid, gid) that owns stores: cyrus if we may change to it, else ourselves."""
        wanted = "cyrus" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        for line in (self.root / "etc/passwd").read_text().splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if name == wanted:
                return name, int(uid), int(gid)
        raise LookupError(f"no user {wanted} in {self.root}: is Cyrus installed?")


_ENTER = """
root=$1 shared=$2
shift 2
mkdir -p "$root$shared" && mount --bind "$shared" "$root$shared" && mount --rbind /proc "$root/proc" &&
exec chroot "$root" /usr/bin/env "$@"
"""

SYSTEM = Install()
# Debian's releases with another Cyrus than this one's, by the name of the suite.
SUITES = {"bullseye": "3.2.6", "trixie": "3.10.2", "sid": "3.12.4"}


def cache():
    """Where the chroots of tests/make-chroot are kept."""
    return Path(os.environ.get("FANSYNC_TEST_CACHE", "/var/cache/fansync-tests"))


def installs():
    """The versions that can be run, by name: this system's, and those whose chroot has been made."""
    found = {SYSTEM.name: SYSTEM}
    for suite, version in SUITES.items():
        if (cache() / suite / ".complete").exists() and os.geteuid() == 0:
            found[version] = Install(version, root=cache() / suite)
    return dict(sorted(found.items(), key=lambda item: item[1].version))


def _loopback():
    return "127." + ".".join(str(random.randrange(1, 255)) for _ in range(3))


class Cyrus:
    """One server. `conf` overrides imapd.conf; a value of None removes a key.

    services: names out of imap, lmtp, sync, sieve, syncunix (sync_server on a socket).
    store: a folder made by copy_store() that the new server's store is copied from.
    events, start, daemons: lines for EVENTS, START and DAEMON of cyrus.conf, where @C stands for
    the option -C of this server.
    """

    def __init__(self, name="master", conf=None, services=("imap", "lmtp", "sync", "sieve"),
                 install=SYSTEM, store=None, events="", start="", daemons=""):
        self.name = name
        self.install = install
        self.services = tuple(services)
        self.events, self.start_lines, self.daemons = events, start, daemons
        self.place = place()
        self.folder = self.place.new_folder(name)
        self.outside = self.folder
        self.address = _loopback()
        self.owner, self.uid, self.gid = install.owner()
        self.process = None
        self.clients = 0
        self.conf = self._default_conf()
        self.set_conf(conf or {}, write=False)
        self._make_folders(store)
        self.write_conf()

    # --- configuration ------------------------------------------------------------------

    def _default_conf(self):
        f = self.folder
        return {
            "configdirectory": f / "conf",
            "defaultpartition": "default",
            "partition-default": f / "spool",
            "sievedir": f / "sieve",
            "sieveusehomedir": "no",
            "proc_path": f / "run/proc",
            "mboxname_lockpath": f / "run/lock",
            "temp_path": f / "run/tmp",
            "lmtpsocket": f / "run/lmtp",
            "idlesocket": f / "run/idle",
            "notifysocket": f / "run/notify",
            "servername": self.name,
            "syslog_prefix": self.name,
            "cyrus_user": self.owner,
            "cyrus_bindir": f / "programs" if self.install.is_chroot else self.install.bindir,
            "admins": f"{ADMIN} {REPL}",
            "allowplaintext": "yes",
            "failedloginpause": "0",
            "sasl_mech_list": "PLAIN",
            "sasl_pwcheck_method": "auxprop",
            "sasl_auxprop_plugin": "sasldb",
            "sasl_sasldb_path": f / "sasldb2",
            "virtdomains": "off",
            "unixhierarchysep": "yes",
            "altnamespace": "no",
            "hashimapspool": "yes",
            "delete_mode": "delayed",
            "expunge_mode": "delayed",
            "conversations": "no",
            "search_engine": "none",
            "annotation_allow_undefined": "yes",
            "sync_log": "yes",
            "sync_try_imap": "no",
        }

    def set_conf(self, conf=None, write=True, **more):
        """Changes imapd.conf; running services read it when they next start."""
        for key, value in {**(conf or {}), **more}.items():
            if value is None:
                self.conf.pop(key, None)
            else:
                self.conf[key] = value
        if write:
            self.write_conf()

    def write_conf(self):
        self.conf_path(self.conf)

    def conf_path(self, conf=None, name="imapd.conf"):
        """Writes a configuration file into the folder and returns its path (as seen inside)."""
        text = "".join(f"{key}: {value}\n" for key, value in (conf or self.conf).items())
        path = self.outside / name
        path.write_text(text)
        path.chmod(0o644)
        return self.folder / name

    def variant(self, name, **changes):
        """The path of a copy of imapd.conf with changes (None removes a key)."""
        conf = {k: v for k, v in {**self.conf, **changes}.items() if v is not None}
        return self.conf_path(conf, name)

    def replicate_to(self, address, port, channel=None):
        """Points this master's sync_client, or one channel of it, at a sync_server."""
        prefix = f"{channel}_" if channel else ""
        self.set_conf({prefix + "sync_host": address, prefix + "sync_port": port,
                       prefix + "sync_authname": REPL, prefix + "sync_password": PASSWORD})
        if channel:
            known = self.conf.get("sync_log_channels", "").split()
            self.set_conf(sync_log_channels=" ".join(dict.fromkeys([*known, channel])))

    def replicates_to(self, channel=None):
        """The address and sync_port that replicate_to() set."""
        prefix = f"{channel}_" if channel else ""
        return SimpleNamespace(address=self.conf[prefix + "sync_host"],
                               sync_port=int(self.conf[prefix + "sync_port"]))

    @property
    def sep(self):
        """The hierarchy separator of external names."""
        return "/" if self.conf.get("unixhierarchysep", "yes") == "yes" else "."

    def next_client(self):
        """Numbers the client runs, for the names of their files."""
        self.clients += 1
        return self.clients

    # --- files --------------------------------------------------------------------------

    def own(self, *paths):
        """Gives files and folders to the user that the servers run as."""
        if os.geteuid() == 0:
            for path in paths:
                os.chown(path, self.uid, self.gid)

    def _make_folders(self, store):
        out = self.outside
        self.place.own_folder(out)
        out.mkdir(parents=True)
        out.chmod(0o755)
        if store:
            subprocess.run(["cp", "-a", "--reflink=auto", f"{store}/.", out], check=True,
                           timeout=300)
        for sub in ("conf", "spool", "sieve", "run", "run/proc", "run/lock", "run/tmp",
                    "conf/socket", "conf/db", "conf/msg", "conf/log", "conf/sync", "conf/user"):
            (out / sub).mkdir(exist_ok=True)
            self.own(out / sub)
        (out / "log").touch()
        (out / "log").chmod(0o666)
        self.own(out / "log")
        shutil.copy(self.place.shim, out / "syslog_shim.so")
        if self.install.is_chroot:
            self.install.make_programs(out / "programs", self.folder / "syslog_shim.so")
        for user in (ADMIN, REPL):
            argv = self.command("/usr/sbin/saslpasswd2", "-f", self.folder / "sasldb2", "-c", "-p",
                                "-u", self.name, user)
            subprocess.run(argv, input=PASSWORD.encode(), check=True, timeout=60)
        self.own(out / "sasldb2")
        self._write_cyrus_conf()

    def _write_cyrus_conf(self):
        programs = {"imap": "imapd", "lmtp": "lmtpd", "sync": "sync_server",
                    "sieve": "timsieved", "syncunix": "sync_server"}
        options = f"-C {self.folder}/imapd.conf"
        lines = ["START {", f'  recover cmd="ctl_cyrusdb {options} -r"',
                 self.start_lines.replace("@C", options), "}", "SERVICES {"]
        for name in self.services:
            listen = self.sync_socket if name == "syncunix" else f"{self.address}:{PORTS[name]}"
            more = " -a" if name == "lmtp" else ""
            lines.append(f'  {name} cmd="{programs[name]} {options}{more}" listen="{listen}"')
        lines += ["}", "EVENTS {", self.events.replace("@C", options), "}",
                  "DAEMON {", self.daemons.replace("@C", options), "}", ""]
        (self.outside / "cyrus.conf").write_text("\n".join(lines))

    def set_daemons(self, lines):
        """Changes section DAEMON of cyrus.conf; restart() makes it count."""
        self.daemons = lines
        self._write_cyrus_conf()

    @property
    def sync_socket(self):
        return self.folder / "run/sync"

    @property
    def sync_port(self):
        return PORTS["sync"]

    def copy_store(self, target):
        """Copies the store of a stopped or idle server for Cyrus(store=target)."""
        target = Path(target)
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", *(self.outside / d for d in
                       ("conf", "spool", "sieve")), target], check=True, timeout=300)
        return target

    def mailbox_folders(self, *names):
        """Where the files of mailboxes are (internal names), whatever the layout."""
        out = self.run("mbpath", *map(self.external, names)).stdout.decode("utf-8", "surrogateescape")
        return [Path(line) for line in out.splitlines()]

    def external(self, name):
        """The administrator's spelling of an internal name (modified UTF-7 kept)."""
        parts = name.split(".")
        return "/".join(p.replace("^", ".") for p in parts) if self.sep == "/" else name

    def mailbox_folder(self, name):
        return self.mailbox_folders(name)[0]

    def sync_log(self, channel=None):
        """The path of a sync log."""
        return self.outside / "conf/sync" / (channel or "") / "log"

    # --- processes ----------------------------------------------------------------------

    def env(self, log=None, inside=True):
        """The environment of every program of this server; inside=False: of one that runs outside
        its chroot."""
        kept = {k: v for k, v in os.environ.items()
                if k in ("PATH", "HOME", "TZ", "TERM") or k.endswith("SAN_OPTIONS")}
        env = {**kept, "LC_ALL": "C", "LAB_SYSLOG": str(log or self.folder / "log"),
               "CYRUS_USER": self.owner}
        # The preloaded syslog shim comes before a sanitizer's runtime; that is all right.
        env["ASAN_OPTIONS"] = ":".join(filter(None, [kept.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"]))
        if not (inside and self.install.is_chroot):
            env["LD_PRELOAD"] = str(self.folder / "syslog_shim.so")
        return env

    def command(self, *argv):
        """The argument list that runs a program of this server's version."""
        return self.install.command(argv, self.folder / "syslog_shim.so", self.place.folder.parent)

    def start(self, timeout=60):
        """Starts the master process and waits until every service answers."""
        self.launch()
        self.wait_ready(timeout)
        return self

    def launch(self):
        assert self.process is None, f"{self.name} runs already"
        argv = self.command(self.install.program("master"), "-C", self.folder / "imapd.conf",
                            "-M", self.folder / "cyrus.conf", "-p", self.folder / "run/master.pid",
                            "-D")
        with open(self.outside / "output", "ab") as output:
            self.process = self.place.spawn(argv, env=self.env(), cwd="/", stdout=output,
                                            stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    def wait_ready(self, timeout=60):
        deadline = time.monotonic() + timeout
        for service in self.services:
            while not self._listens(service):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not start:\n{self.tail()}")
                time.sleep(0.01)

    def _listens(self, service):
        """Looks without connecting, which would leave traces in the log."""
        if service == "syncunix":
            return self.sync_socket.exists()
        number = int.from_bytes(socket.inet_aton(self.address), sys.byteorder)
        wanted = f" {number:08X}:{PORTS[service]:04X} 00000000:0000 0A "
        return wanted in Path("/proc/net/tcp").read_text()

    def stop(self, gently=True):
        """Ends the master process and its services; the store stays."""
        if self.process is not None:
            process, self.process = self.process, None
            self.place.end(process, gently=gently)

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        """Stops and deletes the folder (kept with LAB_KEEP=1)."""
        self.stop(gently=False)
        self.place.remove(self.outside)

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.remove()

    def run(self, program, *args, timeout=60, check=True, **options):
        """Runs one of Cyrus's programs with this server's configuration."""
        argv = self.command(self.install.program(program), "-C", self.folder / "imapd.conf", *args)
        done = subprocess.run(argv, env=self.env(), cwd="/", capture_output=True,
                              timeout=timeout, **options)
        if check and done.returncode:
            raise RuntimeError(f"{program} {args}: exit {done.returncode}\n"
                               f"{done.stdout.decode()}{done.stderr.decode()}")
        return done

    # --- what it says and how to talk to it ---------------------------------------------

    def log_lines(self, match=None):
        """The server's syslog, or the lines that match a regular expression."""
        return syslog.read(self.outside / "log", match)

    def tail(self, count=20):
        lines = [str(x) for x in self.log_lines()[-count:]]
        output = self.outside / "output"
        return "\n".join(lines) + (output.read_text() if output.exists() else "")

    def imap(self, user=ADMIN):
        """An IMAP session, logged in as the administrator or by proxy as a user."""
        return Imap(self.address, PORTS["imap"], user, sep=self.sep)

    def lmtp(self):
        return Lmtp(self.address, PORTS["lmtp"])

    def csync(self, through=None):
        """A csync session, directly or through a Proxy."""
        return Csync((through or self).address, (through or self).sync_port)

    def sieve(self, user):
        return ManageSieve(self.address, PORTS["sieve"], user)


def start_all(*servers):
    """Starts servers side by side."""
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_ready()


def make_all(*makers):
    """Runs constructors side by side and returns what they made."""
    with ThreadPoolExecutor(len(makers)) as pool:
        return [f.result() for f in [pool.submit(m) for m in makers]]
