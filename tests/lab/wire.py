"""What the laboratory's clients share: a buffered socket without Nagle's delay."""
import re
import socket

_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n\Z")


class Connection:
    def __init__(self, address, port=None, timeout=60):
        """address is an IP address, or the path of a Unix socket when there is no port."""
        if port is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(address))
        else:
            self.socket = socket.create_connection((address, port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)

    def write(self, data):
        self.socket.sendall(data)

    def read(self, count):
        data = self.file.read(count)
        if len(data) < count:
            raise EOFError("connection closed")
        return data

    def raw_line(self):
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise EOFError(f"connection closed after {line!r}")
        return line

    def line(self):
        """The next line without its end."""
        return self.raw_line().rstrip(b"\r\n")

    def line_with_literals(self):
        """The next line with the literals {n} in it and what follows them."""
        whole = self.raw_line()
        m = _LITERAL.search(whole[-24:])
        if not m:
            return whole.rstrip(b"\r\n")
        pieces = [whole]
        while m:
            pieces.append(self.read(int(m[1])))
            pieces.append(self.raw_line())
            m = _LITERAL.search(pieces[-1][-24:])
        return b"".join(pieces).rstrip(b"\r\n")

    def close(self):
        self.file.close()
        self.socket.close()
