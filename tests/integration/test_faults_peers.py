"""Replicas that never stop talking, never answer, or vanish: what they may cost, and that a signal is
always heard."""
import re
import signal
import subprocess
import threading

import pytest
from test_rolling import eventually, settled

from lab.clients import ours, start_ours
from lab.proxy import Proxy
from lab.scripted import Scripted


def greeting_without_end(peer):
    peer.flood(b"* XX\r\n" * 5000)


def lines_without_end(peer):
    peer.greet()
    peer.serve(until=b"GET USER")
    peer.flood(b"* X Y\r\n" * 5000)


def items_without_end(peer):
    peer.greet()
    peer.serve(until=b"GET USER")
    peer.send(b"* LSUB (")
    peer.flood(b"a " * 50000)


def one_byte_now_and_then(peer):
    peer.greet()
    peer.serve(until=b"GET USER")
    peer.send(b"* X ")
    while not peer.server.closed.wait(0.1):
        peer.send(b"x")


@pytest.mark.parametrize("script, words", [
    (greeting_without_end, "bytes before the session is open"),
    (lines_without_end, "the answer is longer than|too much memory"),
    (items_without_end, "the answer is longer than|too much memory"),
])
def test_what_a_peer_says_has_a_bound(fred, script, words):
    with Scripted(script) as replica:
        run = ours(fred.master, "-o", "-u", "fred", conf=replica.conf, check=False)
    assert run.status == 1 and run.log_lines(words), run.report()


@pytest.mark.parametrize("script", [lines_without_end, items_without_end])
def test_a_signal_is_heard_while_bytes_flow(fred, script):
    with Scripted(script) as replica, start_ours(fred.master, "-u", "fred", conf=replica.conf) as client:
        assert replica.flooding.wait(60)
        client.signal(signal.SIGTERM)
        assert client.finish().status == 75


def test_one_byte_now_and_then_does_not_hold_a_session(fred):
    with Scripted(one_byte_now_and_then) as replica:
        replica.closed = threading.Event()
        run = ours(fred.master, "-o", "-u", "fred", conf={**replica.conf, "sync_timeout": "3s"}, check=False)
        replica.closed.set()
    assert run.status == 1 and run.log_lines("too slow|idle for too long"), run.report()


HANGING_RESOLVER = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const void *hints, void **out)
{
    (void)node, (void)service, (void)hints, (void)out;
    close(open(getenv("LAB_HANGS"), O_CREAT | O_WRONLY, 0644));
    for (;;)
        pause();
}
"""


@pytest.fixture
def hanging_resolver(fred):
    """(env of a client whose look-ups of names never end, the file that appears when one has begun)"""
    folder = fred.master.outside
    (folder / "hang.c").write_text(HANGING_RESOLVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "hang.so", folder / "hang.c"], check=True, timeout=60)
    env = fred.master.env(folder / "unused.log", False)
    return {"LD_PRELOAD": f"{env['LD_PRELOAD']} {folder / 'hang.so'}", "LAB_HANGS": f"{folder}/conf/hangs"}, folder / "conf/hangs"


@pytest.mark.parametrize("args", [("-u", "fred"), ("-R",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_client_that_hangs(fred, hanging_resolver, args, number):
    env, begun = hanging_resolver
    with start_ours(fred.master, *args, env=env, conf={"sync_host": "replica.example.com"}) as client:
        eventually(begun.exists, what="a look-up")
        client.signal(number)
        assert client.finish().status == 75


def timer_of_connection(port):
    """What the kernel's timer of an established connection to that port is for: "02" is keep-alive."""
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        words = line.split()
        if words[2].endswith(f":{port:04X}") and words[3] == "01":
            return words[5].split(":")[0]
    return None


@pytest.mark.parametrize("conf, timer", [({}, "02"), ({"tcp_keepalive": "no"}, "00")])
def test_a_session_at_rest_is_kept_alive_unless_that_is_switched_off(fred, conf, timer):
    with Proxy(fred.replica) as proxy, start_ours(fred.master, "-R", conf={**proxy.conf, **conf}) as client:
        eventually(lambda: timer_of_connection(proxy.conf["sync_port"]) == timer, what="the timer")
        assert client.alive()


def test_a_replica_that_closes_a_session_at_rest_is_noticed_at_once(fred):
    """Long before the next mail, and before a session at rest is asked whether it lives, after a minute."""
    with Proxy(fred.replica) as proxy, start_ours(fred.master, "-R", conf=proxy.conf) as client:
        eventually(settled(fred))
        assert proxy.sessions == 1
        proxy.drop()
        client.wait_log("connection lost", timeout=30)
        eventually(lambda: proxy.sessions == 2, timeout=30)


def bye_at_rest(peer):
    peer.greet()
    peer.server.greeted.set()
    peer.server.told.wait(60)
    peer.send(b"BYE shutting down\r\n")
    peer.until_gone()


def test_a_replica_that_says_bye_at_rest_ends_a_client_with_o_at_once(fred):
    with Scripted(bye_at_rest) as replica:
        replica.greeted, replica.told = threading.Event(), threading.Event()
        with start_ours(fred.master, "-R", "-o", conf=replica.conf) as client:
            assert replica.greeted.wait(60)
            replica.told.set()
            assert client.finish(timeout=30).status == 0


def greet_and_close(peer):
    peer.greet()


def test_a_replica_that_closes_each_session_at_once_is_not_called_again_and_again(fred):
    with Scripted(greet_and_close) as replica, start_ours(fred.master, "-R", conf=replica.conf) as client:
        client.wait_log("connection lost", count=3)
        assert replica.connections < 50


FORGED = b"NO IMAP_MAILBOX_NOTSUPPORTED \x1b]0;pwned\x07\x1b[2J\rhost sshd[1]: Accepted \xc3\xa9\x9b31m"


def refuse_with_control_bytes(peer):
    peer.greet()
    while True:
        line = peer.line()
        peer.send(FORGED + b"\r\n" if line.startswith(b"GET") else b"OK Success\r\n")


def test_control_bytes_of_a_peer_reach_no_terminal_and_no_log(fred):
    with Scripted(refuse_with_control_bytes) as replica:
        run = ours(fred.master, "-u", "-v", "fred", conf=replica.conf, check=False)
        assert run.status == 1
        with start_ours(fred.master, "-R", conf=replica.conf) as client:
            fred.master.imap("fred").append("INBOX", b"Subject: x\r\n\r\nx\r\n")
            eventually(lambda: "pwned" in ours(fred.master, "--status", check=False).out, what="an error in the status")
            status = ours(fred.master, "--status").out
            logged = [x.text for x in client.log_lines("pwned")]
    told = [x.text for x in run.log_lines("pwned")] + logged + [run.err, run.out, status]
    assert any("\\x1b]0;pwned\\x07\\x1b[2J\\x0dhost" in text and "\u00e9\\x9b31m" in text for text in told)
    for text in told:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), ascii(text)
