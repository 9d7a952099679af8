"""What Cyrus's own writer puts into a sync log, our parser must read as it was meant."""
import subprocess

import pytest

from lab.clients import our_client
from lab.cyrus import Cyrus

MAILBOX, USER, QUOTA = 0, 3, 6  # enum action_kind

NAMES = ["user.a", "user.a b", "user.a\tb", "user.(a)", 'user."a', "user.\\a", "user.{a}", "user.a{3}",
         "user.%*'", "user.\u00e9", " ", "a  b ", '\\"{}()', "user.x.&AOk-", "joe@example.com"]


@pytest.fixture(scope="module")
def parser():
    """The unit tests' program, beside the client that is tested."""
    path = our_client().parent / "tests/unit/log/test_parse"
    if not path.exists():
        pytest.skip(f"{path} is not built (make check-build)")
    return path


@pytest.fixture(scope="module")
def server():
    master = Cyrus("synclog", conf={"sync_log": "yes"})
    yield master
    master.remove()


def written_and_read(server, parser, *records):
    log = server.sync_log()
    log.unlink(missing_ok=True)
    for option, name in records:
        server.run("cyr_synclog", option, name)
    done = subprocess.run([parser, "--show", log], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, ""), log.read_bytes()
    return [tuple(bytes.fromhex(x) if i else int(x) for i, x in enumerate(line.split(" ")))
            for line in done.stdout.splitlines()]


def test_names_with_special_bytes_come_back_as_they_were(server, parser):
    got = written_and_read(server, parser, *[("-m", name) for name in NAMES])
    assert got == [(MAILBOX, name.encode(), b"") for name in NAMES]


def test_other_types_are_read_as_well(server, parser):
    got = written_and_read(server, parser, ("-u", "a b"), ("-q", "user.q(1)"))
    assert got == [(USER, b"a b", b""), (QUOTA, b"user.q(1)", b"")]
