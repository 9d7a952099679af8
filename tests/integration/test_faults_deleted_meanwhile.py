"""A mailbox that is deleted while we look at it: its records are in the log before the list says so."""
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from test_faults_renamed_users import MESSAGE, install

from lab.clients import ours, start_ours
from lab.pair import make_pair
from lab.waiting import eventually

FOLDERS = 10


def descendants(pid, name):
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().strip() == name:
            found.append(int(child))
        found += descendants(child, name)
    return found


def delete_and_stop(server, c, folder):
    """The server stands still in the middle of a deletion, somewhere behind its first record. Returns what goes on."""
    log = server.sync_log()
    deletion = threading.Thread(target=c.delete, args=(folder,))
    stopped = descendants(server.process.pid, "imapd")
    deletion.start()
    while deletion.is_alive() and not (log.exists() and b"UNMAILBOX" in log.read_bytes()):
        pass
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)

    def go_on():
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        deletion.join()
    return go_on


def has_open(pid, name):
    """Whether the process has a file open whose name has this in it."""
    with suppress(FileNotFoundError):  # it has ended, or closed one meanwhile
        return any(name in str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return False


@pytest.mark.parametrize("version", ["3.6.1", "3.12.4"])
def test_a_mailbox_whose_deletion_is_not_finished_is_not_taken_for_replicated(version):
    """The master holds the user's namespace lock meanwhile, and writes no record when it is done."""
    with make_pair(conf={"delete_mode": "immediate"}, install=install(version)) as pair:
        with pair.master.imap() as admin:
            admin.create("user/fred")
        with pair.master.imap("fred") as c:
            for number in range(FOLDERS):
                folder = f"INBOX/f{number}"
                c.create(folder)
                c.append(folder, *[MESSAGE] * 60)
                ours(pair.master, "-A")
                log = pair.master.sync_log()
                log.unlink()
                go_on = delete_and_stop(pair.master, c, folder)
                work = log.with_name("work")
                work.write_bytes(log.read_bytes())
                with start_ours(pair.master, "-R", "-f", work) as client:
                    # It waits for that lock, or has ended: the server stood still before it had the lock, or behind it.
                    eventually(lambda: not client.alive() or has_open(client.process.pid, "*U*"))
                    go_on()
                    client.finish()
                assert pair.differences() == [], work.read_bytes()
