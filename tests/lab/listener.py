"""What stands in for a replica: a port on loopback, whose connections a subclass serves."""
import socket
import threading


class Listener:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.conf = {"sync_host": "127.0.0.1", "sync_port": self.listener.getsockname()[1]}
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, sock):
        """Called for each connection, in the thread that accepts: what takes time goes to another one."""
        raise NotImplementedError

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.serve(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
