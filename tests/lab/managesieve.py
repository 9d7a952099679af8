"""ManageSieve (RFC 5804), as far as tests need it: put, activate, delete, list scripts."""
import base64

from .imap import PASSWORD, Refused, quote
from .wire import Connection


def _string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"{%d+}\r\n%s" % (len(data), data)


class ManageSieve:
    def __init__(self, address, port, user, admin="cyrus", timeout=60):
        self.wire = Connection(address, port, timeout)
        self._answer()
        token = base64.b64encode(f"{user}\0{admin}\0{PASSWORD}".encode())
        self._command(b'AUTHENTICATE "PLAIN" ' + quote(token))

    def _answer(self):
        lines = []
        while True:
            line = self.wire.line_with_literals()
            if line[:2] in (b"OK", b"NO") or line[:3] == b"BYE":
                if line[:2] != b"OK":
                    raise Refused(line.decode("utf-8", "replace"))
                return lines
            lines.append(line)

    def _command(self, line):
        self.wire.write(line + b"\r\n")
        return self._answer()

    def put(self, name, script):
        return self._command(b"PUTSCRIPT " + _string(name) + b" " + _string(script))

    def activate(self, name):
        """Activates a script; "" deactivates the active one."""
        return self._command(b"SETACTIVE " + _string(name))

    def delete(self, name):
        return self._command(b"DELETESCRIPT " + _string(name))

    def list(self):
        return [line.decode("utf-8", "replace") for line in self._command(b"LISTSCRIPTS")]

    def close(self):
        self.wire.write(b"LOGOUT\r\n")
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
