"""Connecting: transports, encryption and compression."""
import base64
import socket
import subprocess
import threading

import pytest

from lab.clients import ours
from lab.cyrus import PASSWORD, REPL
from lab.pipe import Pipe
from lab.proxy import Proxy


SECRETS = (PASSWORD.encode(), base64.b64encode(f"\0{REPL}\0{PASSWORD}".encode()))


@pytest.fixture
def fred(pair):
    with pair.master.imap() as admin:
        admin.create("user/fred")
    with pair.master.imap("fred") as c:
        c.append("INBOX", *[b"Subject: %d\r\n\r\n%s\r\n" % (i, b"the same words again and again " * 200) for i in range(20)])
    return pair


def offer_tls(server):
    """Gives a server a certificate of its own, so that it offers STARTTLS."""
    cert, key = server.outside / "cert.pem", server.outside / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=replica",
                    "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    server.own(cert, key)
    server.set_conf(tls_server_cert=server.folder / "cert.pem", tls_server_key=server.folder / "key.pem")
    server.restart()


def test_27_compression_can_be_required(fred):
    with Pipe(fred.replica) as wire:
        ours(fred.master, "-z", "-A", conf=wire.conf)
        assert b"COMPRESS DEFLATE\r\n" in wire.sent
        assert len(wire.sent) < 30000 and b"the same words again" not in wire.sent
    assert fred.differences() == []


def test_27_required_compression_that_is_not_to_be_had_ends_the_run_at_once(fred):
    """A server that neither offers the command nor takes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            s.sendall(b"* SASL PLAIN\r\n* OK replica Cyrus sync server\r\n")
            while line := s.recv(65536):
                s.sendall(b"OK Success\r\n" if line.startswith(b"AUTH") else b"NO not here\r\n")

    threading.Thread(target=refuse, daemon=True).start()
    run = ours(fred.master, "-z", "-A", conf={"sync_host": "127.0.0.1", "sync_port": listener.getsockname()[1]},
               check=False)
    listener.close()
    assert run.status == 1 and "retrying" not in run.err
    assert "Failed to enable compression to server '127.0.0.1'" in run.err


def test_a_peer_on_this_host_is_not_compressed_unless_asked(fred):
    with Pipe(fred.replica) as wire:
        ours(fred.master, "-A", conf=wire.conf)
        assert b"COMPRESS" not in wire.sent and b"the same words again" in wire.sent
    with Pipe(fred.replica) as wire:
        ours(fred.master, "-A", conf={**wire.conf, "sync_compress": "on"})
        assert b"COMPRESS DEFLATE\r\n" in wire.sent


def test_38_trying_imap_first_costs_no_waiting(fred):
    # stock waits ten seconds at every connect, for an answer to what no sync_server understands
    with Proxy(fred.replica) as proxy:
        run = ours(fred.master, "-A", conf={**proxy.conf, "sync_try_imap": "yes"})
        assert proxy.sessions == 1 and proxy.commands[0][0] == "AUTHENTICATE"
    assert run.log_lines("authenticate|mechanism") == []


def test_an_imap_port_is_told_at_once(fred):
    run = ours(fred.master, "-o", "-A", conf={"sync_port": 10143}, check=False, timeout=20)
    assert run.status == 1
    assert run.log_lines("speaks IMAP|IMAP")


def test_41_the_password_never_travels_in_the_clear_where_starttls_is_offered(fred):
    # stock sends it in the clear whenever the replica would take it so
    offer_tls(fred.replica)
    with Pipe(fred.replica) as wire:
        run = ours(fred.master, "-A", conf=wire.conf)
        assert wire.sent.startswith(b"STARTTLS\r\n\x16")
        assert not any(secret in wire.sent for secret in SECRETS)
        assert b"GET USER" not in wire.sent
    (line,) = run.log_lines("certificate.*not verified|not verified.*certificate")
    assert line.severity == "notice"
    assert fred.differences() == []


@pytest.mark.parametrize("options", [[], ["-z"]], ids=["40", "28-with-z"])
def test_a_replica_that_takes_no_password_in_the_clear(fred, options):
    # stock: -z fails after STARTTLS, because the offer of compression is withdrawn then
    fred.replica.set_conf(allowplaintext="no")
    offer_tls(fred.replica)
    assert ours(fred.master, *options, "-A").status == 0
    fred.replica.set_conf(allowplaintext="yes")
    fred.replica.restart()
    assert fred.differences() == []


def test_a_handshake_that_fails_is_not_followed_by_the_password(fred):
    """Whoever sits in between and breaks TLS learns nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard = []

    def impostor():
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            s.settimeout(3)
            try:
                s.sendall(b"* SASL PLAIN LOGIN\r\n* STARTTLS\r\n* OK replica Cyrus sync server\r\n")
                heard.append(s.recv(65536))
                s.sendall(b"OK Begin TLS negotiation now\r\n")
                heard.append(s.recv(65536))
                s.sendall(b"NO Starttls failed\r\n* SASL PLAIN LOGIN\r\n* OK go on in the clear\r\n")
                while data := s.recv(65536):
                    heard.append(data)
            except OSError:
                pass
            s.close()

    threading.Thread(target=impostor, daemon=True).start()
    run = ours(fred.master, "-o", "-A", conf={"sync_host": "127.0.0.1", "sync_port": listener.getsockname()[1]},
               check=False, timeout=30)
    listener.close()
    assert run.status == 1
    said = b"".join(heard)
    assert said.startswith(b"STARTTLS\r\n")
    assert b"AUTHENTICATE" not in said and not any(secret in said for secret in SECRETS)
