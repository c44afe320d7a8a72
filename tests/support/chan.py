"""The private control channel of viaductd's children (base/chan.h), spoken from Python: tests and
benchmarks drive viaduct-vmhost and viaduct-vswitchd with it as viaductd does."""
import json
import os
import socket
import subprocess
import threading
import time

MAX_BYTES = 131072
MAX_FDS = 16


class ChannelError(Exception):
    """The child refused a request."""


class Child:
    """A child program with a control channel on descriptor 3."""

    def __init__(self, path, log, *arguments):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_BYTES)
        self.channel, self.next_id = ours, 0
        self.replies, self.events = {}, []
        self.condition = threading.Condition()
        with open(log, "ab") as out:
            self.process = subprocess.Popen([path, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=lambda: os.dup2(theirs.fileno(), 3), pass_fds=[3])
        theirs.close()
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.channel, MAX_BYTES, MAX_FDS)
            except OSError:
                data, fds = b"", []
            with self.condition:
                if not data:
                    self.channel_closed = True
                    self.events.append((time.monotonic(), {"op": "closed"}))
                    self.condition.notify_all()
                    return
                message = json.loads(data)
                if message.get("id") and "op" not in message:
                    self.replies[message["id"]] = (message, fds)
                else:
                    self.events.append((time.monotonic(), message))
                self.condition.notify_all()

    def send(self, op, fds=(), **fields):
        self.next_id += 1
        request = {"id": self.next_id, "op": op, **fields}
        socket.send_fds(self.channel, [json.dumps(request).encode()], list(fds))
        return self.next_id

    def wait_reply(self, request_id, timeout=30):
        with self.condition:
            if not self.condition.wait_for(lambda: request_id in self.replies or self._closed(), timeout):
                raise TimeoutError(f"no reply within {timeout} s")
            if request_id not in self.replies:
                raise ChannelError("the child closed its channel")
            message, fds = self.replies.pop(request_id)
        if not message.get("ok"):
            raise ChannelError(message.get("error", f"errno {message.get('errno')}"))
        return message, fds

    def call(self, op, fds=(), timeout=30, **fields):
        """Ask and wait: (reply, descriptors)."""
        return self.wait_reply(self.send(op, fds, **fields), timeout)

    def _closed(self):
        return any(m["op"] == "closed" for _, m in self.events)

    def wait_event(self, matches, timeout=30):
        """The first event, past or to come, for which matches(message): (time, message)."""
        def find():
            return next((e for e in self.events if matches(e[1])), None)
        with self.condition:
            if not self.condition.wait_for(lambda: find() or self._closed(), timeout):
                raise TimeoutError(f"no such event within {timeout} s")
            found = find()
            if not found:
                raise ChannelError("the child closed its channel")
            return found

    def stop(self):
        try:
            self.channel.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.channel.close()
