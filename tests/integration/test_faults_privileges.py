"""What the process may do, and who may look at it and at its files."""
import os
import re
import stat
from pathlib import Path

import pytest
from test_faults_teardown import ready

from lab.clients import ours, start_ours
from lab.waiting import eventually


def test_it_gains_no_privileges_by_what_it_starts(fred):
    with start_ours(fred.master, "-R") as client:
        ready(fred.master)
        assert re.search(r"NoNewPrivs:\s+1", Path(f"/proc/{client.pid}/status").read_text())


@pytest.mark.parametrize("debug", ["no", "yes"])
def test_nobody_of_the_same_user_may_look_into_it_unless_it_is_debugged(fred, debug):
    with start_ours(fred.master, "-R", conf={"debug": debug}) as client:
        ready(fred.master)
        user = int(re.search(r"Uid:\s+(\d+)", Path(f"/proc/{client.pid}/status").read_text())[1])
        assert os.stat(f"/proc/{client.pid}/mem").st_uid == (user if debug == "yes" else 0)


def test_the_folder_that_it_makes_is_its_users_own(fred):
    folder = fred.master.sync_log("west").parent
    conf = {"west_sync_host": "127.0.0.1", "west_sync_port": 1}
    assert not folder.exists()
    with start_ours(fred.master, "-R", "-n", "west", conf=conf):
        # 2: a channel that is not in sync_log_channels needs an operator
        eventually(lambda: ours(fred.master, "--status", "-n", "west", conf=conf, check=False).status == 2)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_the_place_of_a_file_that_it_writes_is_not_followed(fred):
    folder, target = fred.master.sync_log().parent, fred.master.outside / "conf/precious"
    folder.mkdir(exist_ok=True)
    target.write_text("precious\n")
    (folder / ".sync-reader.lock").unlink(missing_ok=True)
    (folder / ".sync-reader.lock").symlink_to(target)
    fred.master.own(folder, target)
    run = ours(fred.master, "-R", check=False, timeout=30)
    assert run.status == 1 and ".sync-reader.lock: cannot open" in run.err
    assert target.read_text() == "precious\n"
