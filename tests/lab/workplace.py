"""Where instances live, and who cleans up after them whatever happens.

One folder per test process, by default in /dev/shm (LAB_DIR overrides). A helper process, the
reaper, is told of every process group that is started. When our end of its pipe closes, be it by
a normal exit, an exception, SIGTERM or SIGKILL, it kills the groups that are left and removes the
folder (not with LAB_KEEP=1). Processes are always ended by their id.
"""
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from . import syslog

_REAPER = """
import os, shutil, signal, sys
keep, groups, folders = sys.argv[1], set(), []
for line in sys.stdin:
    sign, what = line[0], line[1:-1]
    if sign == '/':
        folders.append(line[:-1])
    elif sign == '+':
        groups.add(int(what))
    else:
        groups.discard(int(what))
for pid in groups:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
for folder in folders if not keep else []:
    for attempt in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
"""

_lock = threading.Lock()
_making = threading.Lock()
_place = None


class Workplace:
    """The folder of this test process, its reaper and the compiled syslog shim."""

    def __init__(self):
        base = os.environ.get("LAB_DIR", "/dev/shm")
        self.keep = os.environ.get("LAB_KEEP", "") not in ("", "0")
        self.folder = Path(tempfile.mkdtemp(prefix="fansync-lab.", dir=base))
        self.folder.chmod(0o755)
        self._numbers = {}
        self._running = {}
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _REAPER, "1" if self.keep else ""],
            stdin=subprocess.PIPE, text=True, start_new_session=True)
        self.own_folder(self.folder)
        self.shim = syslog.build_shim(self.folder)
        atexit.register(self.close)

    def new_folder(self, name):
        """A fresh path `name.N`, not yet made."""
        with _lock:
            self._numbers[name] = number = self._numbers.get(name, 0) + 1
        return self.folder / f"{name}.{number}"

    def _tell(self, line):
        with _lock:
            self._reaper.stdin.write(line + "\n")
            self._reaper.stdin.flush()

    def own_folder(self, path):
        """Has a folder removed at the end, wherever it is."""
        self._tell(str(path))

    def spawn(self, argv, **options):
        """Popen in a process group of its own that is known to the reaper."""
        process = subprocess.Popen([str(a) for a in argv], start_new_session=True, **options)
        self._running[process.pid] = process
        self._tell(f"+{process.pid}")
        return process

    def end(self, process, timeout=10, gently=True):
        """Ends a spawned process: SIGTERM, then SIGKILL to what is left of its group."""
        if gently and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(timeout)
        self._running.pop(process.pid, None)
        self._tell(f"-{process.pid}")

    def running(self):
        """The processes that were spawned and not ended."""
        return list(self._running.values())

    def strays(self):
        """The command lines of all processes that have to do with our folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if f"{self.folder}/" in line:
                found.append(line)
        return found

    def remove(self, folder):
        if not self.keep:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self):
        """Leaves everything to the reaper and waits for it."""
        self._reaper.stdin.close()
        self._reaper.wait(30)


def place():
    """The Workplace of this process, made when first asked for."""
    global _place
    with _making:
        if _place is None:
            _place = Workplace()
        return _place
