"""A TCP proxy between a sync client and a sync_server: it counts, delays and breaks things.

The bytes pass as they are, but for the COMPRESS capability, which is taken out of the greeting so
that the commands stay readable, and for the faults asked for. Commands are counted here,
independently of what a client says it did.

`round_trips` is how often a command arrived when every earlier one of the session had been
answered, that is, how often the client waited. Give a delay when you assert on it: a local server
may answer while the client is still writing its burst.
"""
import queue
import re
import socket
import threading
import time
from collections import Counter

_BODY = re.compile(rb"(?:\{(\d+)\+?\}|%\{\S+ [0-9a-fA-F]{40} (\d+)\})\r?\n\Z")

CUT = object()   # ends the connection; the command is not passed on, earlier ones are answered
GONE = object()  # CUT, and nobody answers any more until heal()
LOSE = object()  # passes the command on and closes instead of passing its answer back
HOLD = object()  # passes the command on; neither its answer nor a later one comes back


class Scanner:
    """Cuts one direction's bytes into logical lines: a physical line together with the literals
    and files in it and what follows them."""

    def __init__(self):
        self.data = bytearray()
        self.pos = self.start = 0
        self.bodies = []

    def feed(self, data):
        """Yields (whole, text) for every line completed; text has its bodies left out."""
        self.data += data
        while True:
            if self.pos > len(self.data):
                return
            end = self.data.find(b"\n", self.pos) + 1
            if not end:
                return
            m = _BODY.search(bytes(self.data[max(self.pos, end - 300):end]))
            if m:
                size = int(m[1] or m[2])
                self.bodies.append((end, end + size))
                self.pos = end + size
                continue
            whole = bytes(self.data[:end])
            text, at = b"", 0
            for first, last in self.bodies:
                text, at = text + whole[at:first], last
            text += whole[at:]
            del self.data[:end]
            self.pos, self.bodies = 0, []
            yield whole, text


def command_name(text):
    """`APPLY MAILBOX` of a command line; None for a line that is no command (SASL response)."""
    words = text.split(None, 2)
    if not words or not re.fullmatch(rb"[A-Za-z]+", words[0]):
        return None
    first = words[0].decode().upper()
    if first in ("GET", "APPLY", "RESTORE") and len(words) > 1:
        return f"{first} {words[1].decode('utf-8', 'replace').upper()}"
    return first


def commands_in(data):
    """The (name, line) of every command in a client's bytes."""
    return [(name, text.decode("utf-8", "replace").strip())
            for _, text in Scanner().feed(data) if (name := command_name(text))]


class _Pipe(threading.Thread):
    """One direction's writer: sends what is put into it after the delay; None shuts the target
    down, for writing or for both."""

    def __init__(self, target, delay, sent, how):
        super().__init__(daemon=True)
        self.target, self.delay, self.sent, self.how = target, delay, sent, how
        self.queue = queue.Queue(maxsize=1000)
        self.start()

    def put(self, data, note=None):
        self.queue.put((time.monotonic() + self.delay, data, note))

    def run(self):
        while True:
            due, data, note = self.queue.get()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if data is None:
                return _shut(self.target, self.how)
            if note:
                self.sent(note)
            try:
                self.target.sendall(data)
            except OSError:
                pass


def _shut(sock, how=socket.SHUT_RDWR):
    try:
        sock.shutdown(how)
    except OSError:
        pass


class _Session:
    """One connection: two readers and two delayed writers, each a thread."""

    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection((proxy.host, proxy.target_port), 60)
        for s in (self.client, self.server):
            s.settimeout(None)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = self.answered = 0
        self.actions = {}  # number of a command -> LOSE or the answer to give
        self.to_server = _Pipe(self.server, proxy.delay, None, socket.SHUT_WR)
        self.to_client = _Pipe(self.client, proxy.delay, self._answers_passed, socket.SHUT_RDWR)
        self.threads = [self.to_server, self.to_client]
        for work, pipe in ((self._from_client, self.to_server), (self._from_server, self.to_client)):
            self.threads.append(threading.Thread(target=self._read_all, args=(work, pipe), daemon=True))
            self.threads[-1].start()

    def _answers_passed(self, count):
        self.answered += count

    def cut(self):
        _shut(self.client)
        _shut(self.server)

    def close(self):
        self.cut()
        for thread in self.threads:
            thread.join(5)
        self.client.close()
        self.server.close()

    @staticmethod
    def _read_all(work, pipe):
        try:
            work()
        finally:
            pipe.put(None)

    @staticmethod
    def _read(sock):
        try:
            return sock.recv(1 << 17)
        except OSError:
            return b""

    def _from_client(self):
        scanner, passed = Scanner(), 0  # of the line under way, so many bytes are passed on
        while data := self._read(self.client):
            out = []
            for whole, text in scanner.feed(data):
                name = command_name(text)
                action = name and self.proxy.note_command(self, name, text)
                if action is CUT:
                    # The server ends when it has answered what came before.
                    return self.to_server.put(b"".join(out))
                if name:
                    self.asked += 1
                if action is not None:
                    self.actions[self.asked] = action
                # A command answered here is replaced, so that answers stay in order.
                replaced = isinstance(action, bytes) and passed == 0
                out.append(b"NOOP\r\n" if replaced else whole[passed:])
                passed = 0
            if not self.proxy.has_rules():
                out.append(bytes(scanner.data[passed:]))
                passed = len(scanner.data)
            self.to_server.put(b"".join(out))

    def _from_server(self):
        scanner, number, greeted = Scanner(), 0, False
        while data := self._read(self.server):
            out, answers = [], 0
            for whole, text in scanner.feed(data):
                if not greeted:
                    greeted = text.startswith(b"* OK")
                    if not text.startswith(b"* COMPRESS"):
                        out.append(whole)
                    continue
                action = self.actions.get(number + 1)
                if action is LOSE or action is HOLD:
                    self._pass_answers(b"".join(out), answers)
                    return _shut(self.server) if action is LOSE else self._swallow()
                if text[:1] not in b"*+":
                    number += 1
                    answers += 1
                out.append(action if isinstance(action, bytes) else whole)
            if not self._pass_answers(b"".join(out), answers):
                return _shut(self.server)

    def _swallow(self):
        while self._read(self.server):
            pass

    def _pass_answers(self, data, answers):
        """Hands answers to the client, applying faults by byte count; False ends the session."""
        data, go_on = self.proxy.spoil(data)
        self.proxy.record_answer(data)
        if data:
            self.to_client.put(data, answers)
        return go_on


class Proxy:
    """`server` is anything with address and sync_port. delay_ms is added in each direction. Byte
    faults (cut_after, rubbish_after) count the bytes of answers over all sessions and happen once;
    refuse closes every new connection; cut_command=("APPLY MAILBOX", 3) is on(…, CUT, 3)."""

    def __init__(self, server, delay_ms=0, cut_after=None, rubbish_after=None, refuse=False,
                 cut_command=None):
        self.host, self.target_port = server.address, server.sync_port
        self.delay = delay_ms / 1000
        self.cut_after, self.rubbish_after, self.refuse = cut_after, rubbish_after, refuse
        self.rules, self.lasting = [], []
        self.fired = 0
        self._lock = threading.Lock()
        self._sessions = []
        self.reset()
        if cut_command:
            self.on(cut_command[0], CUT, cut_command[1])
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address, self.port = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def conf(self):
        """Settings that make a client of the master go through here."""
        return {"sync_host": self.address, "sync_port": self.port}

    @property
    def sync_port(self):
        return self.port

    # --- counting -----------------------------------------------------------------------

    def reset(self):
        """Forgets what was counted."""
        self.count = Counter()
        self.commands = []
        self.sessions = self.round_trips = self.bytes_sent = self.bytes_answered = 0

    @property
    def total(self):
        """All commands but AUTHENTICATE, CAPABILITIES and EXIT."""
        return sum(n for name, n in self.count.items()
                   if name not in ("AUTHENTICATE", "APPLY CAPABILITIES", "EXIT"))

    def applied(self):
        """The APPLY commands (name, line) that change something: all but CAPABILITIES, FORCE."""
        return [c for c in self.commands if c[0].startswith("APPLY ") and
                c[0] not in ("APPLY CAPABILITIES", "APPLY FORCE")]

    def note_command(self, session, name, text):
        """Counts a command; returns what a rule wants done with it."""
        with self._lock:
            self.count[name] += 1
            self.commands.append((name, text.decode("utf-8", "replace").strip()))
            if session.asked <= session.answered:
                self.round_trips += 1
            for rule in self.rules:
                if rule[0] == name:
                    rule[1] -= 1
                    if rule[1] == 0:
                        self.fired += 1
                        self.refuse |= rule[2] is GONE
                        return CUT if rule[2] is GONE else rule[2]
            for command, naming, do in self.lasting:
                if command == name and naming in text:
                    self.fired += 1
                    return do
        return None

    def record_answer(self, data):
        with self._lock:
            self.bytes_answered += len(data)

    # --- faults -------------------------------------------------------------------------

    def on(self, command, do, nth=1):
        """At the nth such command from now: CUT, GONE, LOSE, HOLD, or an answer line such as
        "NO IMAP_MAILBOX_LOCKED Mailbox locked" (the command is then not passed on)."""
        if isinstance(do, str):
            do = do.encode() + b"\r\n"
        with self._lock:
            self.rules.append([command, nth, do])

    def every(self, command, do, naming=""):
        """At each such command from now until heal() whose line has that text: the same."""
        if isinstance(do, str):
            do = do.encode() + b"\r\n"
        with self._lock:
            self.lasting.append((command, naming.encode(), do))

    def heal(self):
        """Ends all faults."""
        with self._lock:
            self.lasting = []
            self.rules, self.refuse, self.cut_after, self.rubbish_after = [], False, None, None

    def has_rules(self):
        return bool(self.rules or self.lasting)

    def spoil(self, data):
        """Applies the byte faults to answers; the second value is False to close."""
        with self._lock:
            for name, replacement in (("cut_after", b""), ("rubbish_after", b"\0%(*}rubbish\r\n")):
                limit = getattr(self, name)
                if limit is not None and limit <= self.bytes_answered + len(data):
                    setattr(self, name, None)
                    self.fired += 1
                    kept = data[:max(0, limit - self.bytes_answered)]
                    return kept + replacement, False
        return data, True

    # --- connections --------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            try:
                session = _Session(self, client)
            except OSError:
                client.close()
                continue
            self.sessions += 1
            self._sessions.append(session)

    def drop(self):
        """Cuts every connection that is open now."""
        for session in self._sessions:
            session.cut()

    def close(self):
        _shut(self._listener)
        self._listener.close()
        for session in self._sessions:
            session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
