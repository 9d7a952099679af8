"""Runs sync clients: stock's and ours, to the end or in the background, never without a timeout."""
import os
import re
import subprocess
import time
from pathlib import Path

from . import syslog
from .proxy import Proxy, commands_in
from .workplace import place

REPO = Path(__file__).resolve().parents[2]


class ClientFailed(AssertionError):
    """A client ended with another status than 0; the text has all it said."""


class Run:
    """A client that has ended (or still runs, for a Background)."""

    def __init__(self, argv, log):
        self.argv, self.log = argv, log
        self.status, self.out, self.raw_err = None, "", b""

    @property
    def err(self):
        return self.raw_err.decode("utf-8", "replace")

    def log_lines(self, match=None):
        """The LogLines of this run, or those that match a regular expression."""
        return syslog.read(self.log, match)

    def traffic(self, direction=">"):
        """With -v -v: the bytes the client says it sent (">") or received ("<")."""
        pieces = re.split(rb"([<>])\d{9,}\1", self.raw_err)
        return b"".join(data for mark, data in zip(pieces[1::2], pieces[2::2])
                        if mark == direction.encode())

    def commands(self, prefix=""):
        """With -v -v: the (name, line) of the commands the client says it sent."""
        return [c for c in commands_in(self.traffic()) if c[0].startswith(prefix)]

    def report(self):
        lines = "\n".join(map(str, self.log_lines()))
        return (f"{' '.join(self.argv)}\nexit status {self.status}\n--- stdout\n{self.out[-4000:]}\n"
                f"--- stderr\n{self.err[-8000:]}\n--- syslog\n{lines[-8000:]}")


class Background(Run):
    """A client left running; a context manager that stops it."""

    def __init__(self, argv, log, how):
        super().__init__(argv, log)
        self._files = [log.with_suffix(".out"), log.with_suffix(".err")]
        with open(self._files[0], "wb") as out, open(self._files[1], "wb") as err:
            self.process = place().spawn(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **how)
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait_log(self, match, timeout=60, count=1):
        """Waits until `count` log lines match; returns them."""
        return self._wait(lambda: self.log_lines(match), f"log line {match!r}", timeout, count)

    def wait_out(self, match, timeout=60, count=1):
        """Waits until `count` lines of stdout match; returns them."""
        return self._wait(lambda: [x for x in self.collect().out.splitlines() if re.search(match, x)],
                          f"line {match!r} on stdout", timeout, count)

    def _wait(self, find, what, timeout, count):
        deadline = time.monotonic() + timeout
        while len(found := find()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what}\n{self.collect().report()}")
            time.sleep(0.01)
        return found

    def collect(self):
        self.out = self._files[0].read_text(errors="replace")
        self.raw_err = self._files[1].read_bytes()
        return self

    def finish(self, timeout=60):
        """Waits for the end by itself."""
        self.status = self.process.wait(timeout)
        place().end(self.process)
        return self.collect()

    def stop(self, timeout=20):
        """SIGTERM, then SIGKILL if it does not end."""
        place().end(self.process, timeout)
        self.status = self.process.returncode
        return self.collect()

    def kill(self):
        """SIGKILL."""
        place().end(self.process, gently=False)
        self.status = self.process.returncode
        return self.collect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def our_client():
    """The path of our client."""
    path = Path(os.environ.get("FANSYNC_CLIENT", REPO / "sync_client")).resolve()
    if not path.exists():
        raise FileNotFoundError(f"{path}: build it, or set FANSYNC_CLIENT")
    return path


def _prepare(master, program, args, conf, env, inside):
    """Argument list, log file and options of Popen; conf goes into a variant of imapd.conf. A program
    inside the master's chroot changes to the cyrus user there by itself; one that runs outside would
    change to another user of that name, so it is started as the owner of the store."""
    number = master.next_client()
    log = master.outside / f"client.{number}.log"
    log.touch()
    log.chmod(0o666)
    path = master.variant(f"client.{number}.conf", **conf) if conf else master.folder / "imapd.conf"
    argv = [str(program), "-C", str(path), *map(str, args)]
    if inside:
        argv = master.command(*argv)
    environment = master.env(master.folder / log.name, inside)
    environment.update(env or {})
    how = {"env": environment, "cwd": "/"}
    if master.install.is_chroot and not inside:
        how.update(user=master.uid, group=master.gid, extra_groups=[])
    return argv, log, how


def _run(prepared, check, timeout, stdin):
    argv, log, how = prepared
    run = Run(argv, log)
    process = place().spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
    try:
        out, run.raw_err = process.communicate(stdin, timeout)
        run.out = out.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        place().end(process, gently=False)
        out, run.raw_err = process.communicate()
        run.out, run.status = out.decode("utf-8", "replace"), "timeout"
        raise ClientFailed(f"no end after {timeout} s\n{run.report()}") from None
    place().end(process)
    run.status = process.returncode
    if check and run.status != 0:
        raise ClientFailed(run.report())
    return run


def _prepare_ours(master, args, conf, env):
    return _prepare(master, our_client(), args, conf, env, inside=False)


def _prepare_stock(master, args, conf, env):
    return _prepare(master, master.install.program("sync_client"), args, conf, env, inside=True)


def ours(master, *args, conf=None, env=None, check=True, timeout=60, stdin=b""):
    """Runs our client against a master's configuration; conf changes settings for this run."""
    return _run(_prepare_ours(master, args, conf, env), check, timeout, stdin)


def stock(master, *args, conf=None, env=None, check=True, timeout=60, stdin=b""):
    """Runs the stock client of the master's own version."""
    return _run(_prepare_stock(master, args, conf, env), check, timeout, stdin)


def start_ours(master, *args, conf=None, env=None):
    """Starts our client in the background."""
    return Background(*_prepare_ours(master, args, conf, env))


def start_stock(master, *args, conf=None, env=None):
    """Starts the stock client in the background (rolling mode needs -d to stay in front)."""
    return Background(*_prepare_stock(master, args, conf, env))


def stock_has_nothing_to_send(master, users=None, channel=None, which=None):
    """The APPLY commands a stock `sync_client -A` (or -u, or `which`) still sends: [] when all is equal."""
    which = which or (["-u", *users] if users else ["-A"])
    prefix = f"{channel}_" if channel else ""
    with Proxy(master.replicates_to(channel)) as proxy:
        conf = {prefix + key: value for key, value in proxy.conf.items()}
        stock(master, *(["-n", channel] if channel else []), *which, conf=conf)
        return [line for _, line in proxy.applied()]
