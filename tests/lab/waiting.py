"""Waiting for what a server or our client will have done, however slow the machine is."""
import json
import time

from lab.clients import ours


def eventually(condition, timeout=60, what="it"):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout} s"
        time.sleep(0.02)


def is_settled(master, *args, **conf):
    """Every record that was read is confirmed, as the status tells it; args say of which channel."""
    run = ours(master, *args, "--status", "--json", check=False, conf=conf)
    if run.status not in (0, 2): # 2: something needs an operator
        return False
    told = json.loads(run.out)
    return all(c["queued"] + c["sending"] + c["retrying"] == 0 for c in told["channels"]) and \
        all(log["unconfirmed_bytes"] == 0 for log in told["logs"])
