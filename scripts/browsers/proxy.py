"""A network between browser and server that fails in a chosen way.

Only answers to POST suffer, so a preflight comes through. Connections are kept as the server keeps them.
"""

import contextlib
import socket
import threading

from scripts.sdks.server import until

PASS, HOLD, LOSE, REFUSE = "pass", "hold", "lose", "refuse"


class Proxy:
    """Forwards connections to a port of this machine.

    `mode` is PASS; HOLD: answers wait for another mode; LOSE: the server answers, and the connection ends before the answer arrives;
    or REFUSE: no request passes. `posts` counts the POSTs that passed, `lost` the answers that did not arrive, `refused` the refused requests.
    """

    def __init__(self, port):
        self.target, self.mode = port, PASS
        self.posts = self.lost = self.refused = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def host(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self):
        self.listener.close()

    def accept(self):
        # Ends when the listener is closed.
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=Connection(self, client).run, daemon=True).start()

    def passes_answer(self):
        """Whether the answer to a POST arrives. Waits as long as answers are held."""
        until(lambda: self.mode != HOLD, 60, "answers are still held")
        if self.mode != PASS:
            self.lost += 1
        return self.mode == PASS


class Connection:
    def __init__(self, proxy, client):
        self.proxy, self.client, self.server, self.method = proxy, client, None, b""

    def run(self):
        with contextlib.suppress(OSError), self.client:
            with socket.create_connection(("127.0.0.1", self.proxy.target)) as self.server:
                threading.Thread(target=self.answers, daemon=True).start()
                while data := self.client.recv(65536):
                    if self.proxy.mode == REFUSE:
                        self.proxy.refused += 1
                        break
                    # A request begins only after the answer to the one before.
                    if data.startswith((b"POST ", b"GET ", b"OPTIONS ")):
                        self.method = data.split(b" ", 1)[0]
                        self.proxy.posts += self.method == b"POST"
                    self.server.sendall(data)
                self.shut()

    def answers(self):
        with contextlib.suppress(OSError):
            while data := self.server.recv(65536):
                if self.method == b"POST" and not self.proxy.passes_answer():
                    break
                self.client.sendall(data)
        self.shut()

    def shut(self):
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
