"""Replicas that never stop talking, never answer, or vanish: what they may cost, and that a signal is
always heard."""
import signal
import subprocess
import threading

import pytest
from test_rolling import eventually

from lab.clients import ours, start_ours
from lab.scripted import Scripted


@pytest.fixture
def fred(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    return pair


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
