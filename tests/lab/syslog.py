"""What programs say to syslog(3), captured without a log daemon.

A small library (syslog_shim.c, compiled once per session) is preloaded into every program
the laboratory starts; it appends each message with its priority to the file LAB_SYSLOG.
"""
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_LINE = re.compile(r"<(\d+)>(\d+\.\d+) (.*?)\[(\d+)\]: (.*)", re.S)


@dataclass(frozen=True)
class LogLine:
    """One message: pri is facility * 8 + severity, as in RFC 3164."""
    pri: int
    time: float
    ident: str
    pid: int
    text: str

    @property
    def severity(self):
        return SEVERITIES[self.pri & 7]

    @property
    def facility(self):
        return self.pri >> 3

    def __str__(self):
        return f"{self.time:.3f} {self.severity:7} {self.ident}[{self.pid}]: {self.text}"


def parse(data):
    """The LogLines of a log file's content (bytes)."""
    found = []
    for line in data.decode("utf-8", "replace").split("\n"):
        m = _LINE.fullmatch(line)
        if m:
            found.append(LogLine(int(m[1]), float(m[2]), m[3], int(m[4]), m[5]))
    return found


def read(path, match=None):
    """The LogLines of a log file, or those whose text or ident matches a regular expression."""
    path = Path(path)
    lines = parse(path.read_bytes()) if path.exists() else []
    if match is None:
        return lines
    pattern = re.compile(match)
    return [x for x in lines if pattern.search(x.text) or pattern.search(x.ident)]


def build_shim(folder):
    """Compiles the shim into a folder and returns its path."""
    target = Path(folder) / "syslog_shim.so"
    source = Path(__file__).with_name("syslog_shim.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-U_FORTIFY_SOURCE", "-o", target, source],
                   check=True, timeout=60)
    target.chmod(0o755)
    return target
