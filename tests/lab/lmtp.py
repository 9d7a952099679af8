"""LMTP delivery: envelope and message of many deliveries are written without waiting."""
from .wire import Connection


class Lmtp:
    def __init__(self, address, port, timeout=60):
        self.wire = Connection(address, port, timeout)
        self._answer()
        self.wire.write(b"LHLO lab\r\n")
        self._answer()

    def _answer(self):
        while True:
            line = self.wire.line()
            if line[3:4] != b"-":
                if line[:1] not in (b"2", b"3"):
                    raise RuntimeError(f"LMTP: {line.decode()}")
                return line.decode()

    def deliver(self, message, *recipients, sender="sender@example.org"):
        """Delivers one message; a recipient is `fred`, `fred+Folder` or `+shared`."""
        self.wire.write(b"RSET\r\nMAIL FROM:<%s>\r\n" % sender.encode() +
                        b"".join(b"RCPT TO:<%s>\r\n" % r.encode() for r in recipients) +
                        b"DATA\r\n")
        for _ in range(3 + len(recipients)):
            self._answer()
        body = message.replace(b"\r\n.", b"\r\n..")
        self.wire.write(body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return [self._answer() for _ in recipients]

    def close(self):
        self.wire.write(b"QUIT\r\n")
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
