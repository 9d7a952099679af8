"""SIGHUP with a configuration that cannot work: the old one goes on, and one line says why."""
import signal

import pytest
from test_rolling import append, count, eventually, users  # noqa: F401

from lab.clients import start_ours


def rewrite(master, change):
    """Changes the text of the file that the client reads."""
    path = master.conf_path()
    text = path.read_text()
    path.write_text(change(text))
    return text


def without(option):
    return lambda text: "".join(line for line in text.splitlines(True) if not line.startswith(option + ":"))


def with_line(line):
    return lambda text: text + line + "\n"


UNUSABLE = {
    "no host": (without("sync_host"), "sync_host"),
    "no parse": (with_line("sync_repeat_interval"), "imapd.conf"),
    "no store": (lambda text: text.replace("configdirectory: ", "configdirectory: /nonexistent"), "/nonexistent"),
    "no number": (with_line("sync_batchsize: many"), "sync_batchsize"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_the_old_configuration_goes_on_when_the_new_one_cannot_work(users, what):  # noqa: F811
    change, named = UNUSABLE[what]
    with start_ours(users.master, "-R") as client:
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == count(users.master, "a"))
        good = rewrite(users.master, change)
        client.signal(signal.SIGHUP)
        client.wait_log(rf"SIGHUP: the configuration stays as it was: .*{named}")
        append(users, "a")
        eventually(lambda: count(users.replica, "a") == count(users.master, "a"))
        users.master.conf_path().write_text(good)
        client.signal(signal.SIGHUP)
        client.wait_log("the configuration has been read again")
        append(users, "b")
        eventually(lambda: count(users.replica, "b") == count(users.master, "b"))
        assert client.alive()
