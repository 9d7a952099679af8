"""A plain pipe between a client and a server, for tests that want the very bytes.

Where the proxy understands csync, this does not: encrypted and compressed sessions pass as they are. A subclass
overrides `from_client` or `from_server` to look at the bytes, change them, or raise `Hangup`.
"""
import socket
import threading

from .listener import Listener


class Hangup(Exception):
    """Ends the connection; the bytes in its argument are still sent back to whoever sent last."""


class Pipe(Listener):
    def __init__(self, server):
        self.target = (server.address, server.sync_port)
        self.sent = b""  # by clients, over all connections
        super().__init__()

    def from_client(self, data):
        """What to hand on of these bytes of a client."""
        self.sent += data
        return data

    def from_server(self, data):
        return data

    def serve(self, client):
        server = socket.create_connection(self.target)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target, through in ((client, server, self.from_client), (server, client, self.from_server)):
            threading.Thread(target=self._pass, args=(source, target, through), daemon=True).start()

    def _pass(self, source, target, through):
        how, ends = socket.SHUT_WR, [target]
        try:
            while data := source.recv(65536):
                target.sendall(through(data))
        except Hangup as end:
            source.sendall(end.args[0])
            how, ends = socket.SHUT_RDWR, [source, target]
        except OSError:
            pass
        for s in ends:
            try:
                s.shutdown(how)
            except OSError:
                pass
