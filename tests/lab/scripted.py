"""A replica that follows a script: what no real server says, or how none behaves.

    def flood(peer):
        peer.greet()
        peer.serve(until=b"GET USER")      # answers OK to everything before it
        peer.flood(b"* X Y\\r\\n" * 1000)    # until the client goes away

    with Scripted(flood) as replica:
        ours(master, "-u", "fred", conf=replica.conf)
"""
import threading

from .listener import Listener

GREETING = b"* SASL PLAIN\r\n* OK replica Cyrus sync server v3.6.1\r\n"


class Peer:
    """One connection of a client. Whatever is sent after the client has gone ends the script."""

    def __init__(self, server, sock):
        self.server, self.socket, self.file = server, sock, sock.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """The next line; a script whose client has gone ends here."""
        line = self.file.readline()
        if not line:
            raise ConnectionResetError
        return line

    def greet(self):
        """The login: any password is right."""
        self.send(GREETING)
        self.line()
        self.send(b"OK Success\r\n")

    def serve(self, until):
        """Answers OK to all commands up to the one that begins so, which it returns."""
        while not (line := self.line()).startswith(until):
            self.send(b"OK Success\r\n")
        return line

    def flood(self, data):
        """Sends it over and over; `server.flooding` is set when the client has taken much of it."""
        sent = 0
        while True:
            self.send(data)
            sent += len(data)
            if sent > 4 << 20:
                self.server.flooding.set()

    def until_gone(self):
        while True:
            self.line()


class Scripted(Listener):
    def __init__(self, script):
        self.script = script
        self.connections = 0
        self.flooding = threading.Event()
        super().__init__()

    def serve(self, sock):
        self.connections += 1
        threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        with sock:
            try:
                self.script(Peer(self, sock))
            except OSError:
                pass
