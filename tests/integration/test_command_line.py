"""The command line, without any server: statements 1-11, 30, 33-36, 43-45, 48, 49 and 98 of spec/operation.md §8.

The client is $FANSYNC_CLIENT, else ./sync_client of the source tree. LAB_CLIENT=stock runs the same
tests against Cyrus's own sync_client, which proves them right; what the two do differently, and
what old stock versions lack, is marked `ours_only`.
"""
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from shutil import chown, rmtree

import pytest

from lab import syslog
from lab.workplace import place

TESTS = Path(__file__).resolve().parents[1]
STOCK = os.environ.get("LAB_CLIENT") == "stock"
CYRUS = Path("/usr/lib/cyrus/bin")
CLIENT = CYRUS / "sync_client" if STOCK else os.environ.get("FANSYNC_CLIENT", TESTS.parent / "sync_client")
TIMEOUT = 30

ours_only = pytest.mark.skipif(STOCK, reason="differs in, or is missing from, the stock client")

USAGE = "Usage: sync_client -S <servername>"
MODE_LETTERS = "rRAums"


class Site:
    """A folder with a configuration and an empty store, nothing running."""

    def __init__(self, folder):
        self.folder = folder
        self.confdir = folder / "conf"
        self.confdir.mkdir()
        self.path = folder / "imapd.conf"
        self.log = folder / "syslog"
        self.log.touch()
        self.log.chmod(0o666)
        self.running = []
        self.configure()
        (folder / "spool").mkdir()
        for owned in self.confdir, folder / "spool":
            chown(owned, "cyrus", "mail")
        subprocess.run([CYRUS / "cyr_dbtool", "-C", self.path, "-n", self.confdir / "mailboxes.db",
                        "twoskip", "show"], check=True, timeout=TIMEOUT)

    def configure(self, **options):
        lines = {"configdirectory": self.confdir, "defaultpartition": "default",
                 "partition-default": self.folder / "spool", "sync_try_imap": "no", **options}
        self.path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))

    def start(self, *args, config=True, shell=None, **env):
        """The client as a running process; shell: a line to run it by, as "$@"."""
        argv = [str(CLIENT), *(["-C", str(self.path)] if config else []), *map(str, args)]
        if shell:
            argv = ["/bin/sh", "-c", shell, "sh", *argv]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env={**os.environ, **env})
        self.running.append(process)
        return process

    def run(self, *args, **options):
        """The client, run to its end. Without -v nothing may be on stdout (statement 30)."""
        process = self.start(*args, **options)
        process.out, process.err = process.communicate(timeout=TIMEOUT)
        if not {"--help", "--version"} & set(map(str, args)):
            assert process.out == ""
        return process

    def end(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=TIMEOUT)


@pytest.fixture
def site():
    folder = Path(tempfile.mkdtemp(prefix="fansync-cli."))
    try:
        folder.chmod(0o755)
        site = Site(folder)
        yield site
        site.end()
    finally:
        rmtree(folder)


@pytest.fixture(scope="session")
def shim():
    """The environment in which syslog messages go to the site's file."""
    options = [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]
    return {"LD_PRELOAD": str(place().shim), "ASAN_OPTIONS": ":".join(filter(None, options))}


@pytest.fixture
def closed():
    """Addresses where nobody listens, for as long as the test runs."""
    sockets = []

    def make(host="127.0.0.1"):
        s = socket.socket()
        s.bind((host, 0))
        sockets.append(s)
        return f"{host}:{s.getsockname()[1]}"

    yield make
    for s in sockets:
        s.close()


def first_line(process):
    """The first line on stderr; the pytest timeout is the client's end."""
    return process.stderr.readline().rstrip("\n")


def proc_status(process):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))


def open_files(process):
    """What descriptors 0-2 are; None while one is closed."""
    try:
        return [os.readlink(f"/proc/{process.pid}/fd/{i}") for i in range(3)]
    except FileNotFoundError:
        return None


def assert_usage(done, *texts):
    assert done.returncode == 64
    for text in texts:
        assert text in done.err
    assert re.search(rf"^{re.escape(USAGE)}", done.err, re.M)


# ---- usage: 1-7 ----

@pytest.mark.parametrize("args", [[], ["-v"], ["-S", "host"], ["-n", "east", "-N", "-O", "-z", "-l"], ["fred"],
                                  ["-f", "/x", "-d", "3", "-t", "4", "-w", "1", "-p", "p", "-F", "f"]])
def test_1_without_a_mode_it_is_a_usage_error(site, args):
    assert_usage(site.run(*args), "No replication mode specified\n\n")


def test_2_once_alone_is_no_mode(site):
    assert_usage(site.run("-1"), "No replication mode specified\n\n")


@pytest.mark.parametrize("first", MODE_LETTERS)
@pytest.mark.parametrize("second", MODE_LETTERS)
def test_3_two_modes_exclude_each_other_even_if_they_are_the_same(site, first, second):
    assert_usage(site.run(f"-{first}", f"-{second}"), "Mutually exclusive options defined\n\n")


@pytest.mark.parametrize("args, text", [
    (["-u", "-Q"], "invalid option -- 'Q'"),
    (["-u", "-h"], "invalid option -- 'h'"),
    (["-uV"], "invalid option -- 'V'"),
    (["-u", "-S"], "option requires an argument -- 'S'"),
    (["-u", "-C"], "option requires an argument -- 'C'"),
])
def test_4_an_unknown_option_or_a_missing_argument_is_a_usage_error(site, args, text):
    assert_usage(site.run(*args, config=False), text)


@ours_only
@pytest.mark.parametrize("args, text", [
    (["-u", "--quux"], "unrecognized option '--quux'"),
    (["-u", "--server"], "option '--server' requires an argument"),
    (["-u", "--userids=fred"], "option '--userids' doesn't allow an argument"),
    (["-u", "--verb"], "option '--verb'"),
    (["-R", "-d", "-1"], "The delay must not be negative"),
])
def test_4_so_are_bad_long_options_and_a_negative_delay(site, args, text):
    assert_usage(site.run(*args, config=False), text)


@ours_only
@pytest.mark.parametrize("option", ["--userids", "--user"])
def test_5_long_options_and_their_prefixes_are_the_short_ones(site, option):
    assert site.run(option).returncode == 70  # a mode, and no host
    assert_usage(site.run(option, "-u"), "Mutually exclusive")


def test_6_operands_may_stand_before_options(site):
    assert site.run("fred", "-u", "joe").returncode == 70
    assert_usage(site.run("fred", "-u", "joe", "-m"), "Mutually exclusive")


def test_6_behind_two_dashes_everything_is_an_operand(site):
    assert site.run("-u", "--", "-m", "--quux").returncode == 70


@ours_only
def test_7_help_and_version_are_printed_on_stdout(site):
    done = site.run("--help")
    assert (done.returncode, done.err) == (0, "")
    assert done.out.startswith(USAGE)
    done = site.run("--version")
    assert (done.returncode, done.err) == (0, "")
    assert re.fullmatch(r"fansync \d+\.\d+\.\d+\n", done.out)


# ---- configuration and host: 8-10, 43-45, 48, 98 ----

def test_8_an_unreadable_configuration_is_fatal(site):
    done = site.run("-u", "-C", "/nonexistent/imapd.conf")
    assert done.returncode == 78
    assert done.err == "Fatal error: can't open configuration file /nonexistent/imapd.conf: No such file or directory\n"


@pytest.mark.parametrize("line", ["sync_timeout: 5x", "debug: maybe", "sync_log : yes", "sync_host:", "@nonsense: x",
                                  "sync_host: a\nsync_host: b", "foo: a\nfoo: b", "@include: /nonexistent"])
def test_8_so_is_a_malformed_one(site, line):
    site.path.write_text(site.path.read_text() + line + "\n")
    done = site.run("-u")
    assert done.returncode == 78
    assert done.err.startswith("Fatal error: ")
    if not STOCK:
        assert f"{site.path}:" in done.err


def test_9_in_the_background_the_parent_does_not_care(site):
    assert site.run("-r", "-C", "/nonexistent/imapd.conf").returncode == 0


@pytest.mark.parametrize("args, env", [(["-r"], {"CYRUS_ISDAEMON": ""}), (["-r"], {"CYRUS_ISDAEMON": "1"}),
                                       (["-r", "-f", "/x"], {}), (["-R"], {})])
def test_98_in_the_foreground_the_status_tells(site, args, env):
    assert site.run(*args, "-C", "/nonexistent/imapd.conf", **env).returncode == 78


@pytest.mark.parametrize("mode", ["-u", "-m", "-A", "-s"])
def test_10_without_a_host_nothing_is_done(site, mode):
    done = site.run(mode, "-n", "east")
    assert (done.returncode, done.err) == (70, "Fatal error: sync_host not defined\n")


HOST, PREFIXED, CHANNEL, BOTH = (f"127.0.0.{i}" for i in (2, 3, 4, 5))
HOSTS = {"sync_host": HOST, "sync_client_sync_host": PREFIXED, "east_sync_host": CHANNEL,
         "sync_client_east_sync_host": BOTH}


@pytest.mark.parametrize("keys, args, used", [
    (["sync_host"], [], HOST),
    (["sync_host"], ["-n", "east"], HOST),
    (["sync_host", "sync_client_sync_host"], ["-n", "east"], PREFIXED),
    (["sync_client_sync_host", "east_sync_host"], ["-n", "east"], CHANNEL),
    (["east_sync_host", "sync_client_east_sync_host"], ["-n", "east"], BOTH),
    (["sync_host", "east_sync_host"], ["-n", "west"], HOST),
    (list(HOSTS), ["-n", "east", "-S", "127.0.0.6"], "127.0.0.6"),
])
def test_43_44_45_the_most_specific_host_is_used(site, closed, keys, args, used):
    port = closed(used).rpartition(":")[2]
    site.configure(sync_port=port, **{key: HOSTS[key] for key in keys})
    line = first_line(site.start("-u", "fred", *args))
    assert line == f"Can not connect to server '{used}', retrying in 15 seconds"


@ours_only
def test_44_channels_match_without_regard_to_case(site, closed):
    port = closed(CHANNEL).rpartition(":")[2]
    site.configure(sync_port=port, sync_host=HOST, East_sync_host=CHANNEL)
    assert f"'{CHANNEL}'" in first_line(site.start("-u", "fred", "-n", "EAST"))


def test_48_an_unknown_cyrus_user_is_fatal(site):
    done = site.run("-u", CYRUS_USER="nosuchuser")
    assert (done.returncode, done.err) == (64, "Fatal error: must run as the Cyrus user\n")


def test_started_by_root_it_becomes_the_cyrus_user(site, closed):
    site.configure(umask="027")
    process = site.start("-u", "fred", "-S", closed())
    first_line(process)
    status = proc_status(process)
    ids = subprocess.run(["id", "-u", "cyrus"], capture_output=True, text=True, check=True).stdout.strip()
    assert status["Uid"].split() == [ids] * 4
    group = subprocess.run(["id", "-g", "cyrus"], capture_output=True, text=True, check=True).stdout.strip()
    assert status["Gid"].split() == [group] * 4
    assert "0" not in status["Groups"].split()
    assert status["Umask"] == "0027"


def test_closed_standard_descriptors_are_opened(site, closed):
    process = site.start("-u", "fred", "-S", closed(), shell='exec "$@" <&- >&- 2>&-')
    deadline = time.monotonic() + TIMEOUT
    while open_files(process) != ["/dev/null"] * 3 and time.monotonic() < deadline:  # still the shell
        time.sleep(0.05)
    assert open_files(process) == ["/dev/null"] * 3


# ---- syslog: 49 ----

@pytest.mark.parametrize("conf, env, ident, facility", [
    ({}, {}, "cyrus/sync_client", 2),
    ({"syslog_prefix": "P"}, {}, "P/sync_client", 2),
    ({"syslog_prefix": "P"}, {"CYRUS_SYSLOG_PREFIX": "Q"}, "Q/sync_client", 2),
    ({"syslog_prefix": "P", "syslog_facility": "LOCAL3"}, {}, "P/sync_client", 19),
    ({"syslog_prefix": "P", "syslog_facility": "nonsense"}, {}, "P/sync_client", 2),
])
def test_49_prefix_and_facility_are_as_configured(site, shim, conf, env, ident, facility):
    site.configure(**conf)
    site.run("-u", LAB_SYSLOG=str(site.log), **shim, **env)
    line, = syslog.read(site.log, "Fatal error: sync_host not defined")
    assert (line.ident, line.facility, line.severity) == (ident, facility, "err")


# ---- connecting: 11, 33-36 ----

@pytest.mark.parametrize("wait, least, notice", [("1", 1, True), ("0", 0, False), ("-3", 0, False)])
def test_11_it_waits_before_it_connects(site, wait, least, notice):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        begun = time.monotonic()
        process = site.start("-u", "fred", "-w", wait, "-S", "127.0.0.1:%d" % server.getsockname()[1])
        connection, _ = server.accept()
        took = time.monotonic() - begun
        connection.close()
    assert least <= took
    first = first_line(process)
    assert (first == f"Waiting for {wait} seconds for gdb attach...") == notice


def test_33_after_a_failure_it_waits_15_seconds(site, closed):
    server = closed()
    process = site.start("-u", "fred", "-S", server)
    assert first_line(process) == f"Can not connect to server '{server}', retrying in 15 seconds"
    assert process.poll() is None


def test_34_the_limit_lowers_the_waits(site, closed):
    server = closed()
    site.configure(sync_reconnect_maxwait=1)
    begun = time.monotonic()
    process = site.start("-u", "fred", "-S", server)
    for _ in range(3):
        assert first_line(process) == f"Can not connect to server '{server}', retrying in 1 seconds"
    assert 2 <= time.monotonic() - begun


@ours_only
def test_35_connect_once_does_not_try_again(site, closed):
    server = closed()
    done = site.run("-u", "fred", "-o", "-S", server)
    assert (done.returncode, done.err) == (1, f"Can not connect to server '{server}'\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_the_wait_with_75(site, closed, number):
    process = site.start("-u", "fred", "-S", closed())
    first_line(process)
    process.send_signal(number)
    assert process.wait(TIMEOUT) == 75


@pytest.mark.parametrize("sent, said", [("by its parent", "graceful shutdown"), ("by another", "graceful shutdown "
                                        r"initiated by unexpected process \d+ \(/bin/sh -c kill -TERM .*\)")])
def test_who_sent_the_signal_is_logged(site, shim, closed, sent, said):
    process = site.start("-u", "fred", "-S", closed(), LAB_SYSLOG=str(site.log), **shim)
    first_line(process)
    if sent == "by its parent":
        process.terminate()
        assert process.wait(TIMEOUT) == 75
    else:
        # The shell stays until the client has looked at it.
        killer = subprocess.Popen(["/bin/sh", "-c", f"kill -TERM {process.pid}; read line"], stdin=subprocess.PIPE)
        assert process.wait(TIMEOUT) == 75
        killer.communicate(b"\n", timeout=TIMEOUT)
    line, = syslog.read(site.log, "graceful shutdown")
    assert re.fullmatch(said, line.text)
    assert line.severity == "notice"
