"""A TCP conversation with a VM's echo service in which every byte is accounted for.

usage: conversation.py ADDRESS PORT

Sends a numbered stream, a little at a time, and checks every byte that comes back. On SIGTERM it stops
sending, waits until everything is back, and prints one line of JSON: {ok, sent, received, longest_gap_ms,
error}. Prints "talking" when the first bytes are back.
"""
import hashlib
import json
import os
import select
import signal
import socket
import sys
import time

CHUNK = 1024
# A slow machine has little left for the rest when somebody talks all the time.
PERIOD_S = 0.002 * max(1.0, float(os.environ.get("VIADUCT_SLOW", "1")))
DRAIN_S = 20


def chunk(number):
    """The bytes of one chunk: anyone can compute them, nobody can guess half of them."""
    return (hashlib.sha512(str(number).encode()).digest() * (CHUNK // 64))[:CHUNK]


class Conversation:
    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port), timeout=10)
        self.socket.setblocking(False)
        self.sent = self.received = 0
        self.out = self.expected = b""
        self.next_out = self.next_in = 0
        self.last_arrival = time.monotonic()
        self.longest_gap = 0.0

    def queue(self):
        self.out += chunk(self.next_out)
        self.next_out += 1

    def write(self):
        try:
            n = self.socket.send(self.out)
        except BlockingIOError:
            return
        self.sent += n
        self.out = self.out[n:]

    def read(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the VM closed the connection")
        while len(self.expected) < len(data):
            self.expected += chunk(self.next_in)
            self.next_in += 1
        if data != self.expected[:len(data)]:
            raise ValueError(f"wrong bytes came back after {self.received}")
        self.expected = self.expected[len(data):]
        if self.received == 0:
            print("talking", flush=True)
        self.received += len(data)
        now = time.monotonic()
        if self.received > len(data):
            self.longest_gap = max(self.longest_gap, now - self.last_arrival)
        self.last_arrival = now

    def turn(self, wait_s):
        readable, writable, _ = select.select([self.socket], [self.socket] if self.out else [], [], wait_s)
        if writable:
            self.write()
        if readable:
            self.read()


def run(conversation, ended):
    next_send = time.monotonic()
    while not ended:
        now = time.monotonic()
        # What is under way is bounded, so that the connection breathes through a pause of the VM.
        if now >= next_send and conversation.sent - conversation.received < 32 * CHUNK and not conversation.out:
            conversation.queue()
            next_send = now + PERIOD_S
        conversation.turn(max(0.0, min(PERIOD_S, next_send - now)))
    end = time.monotonic() + DRAIN_S
    while (conversation.out or conversation.received < conversation.sent) and time.monotonic() < end:
        conversation.turn(0.1)
    if conversation.received != conversation.sent or conversation.out:
        raise TimeoutError("not every byte came back")


def main():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    conversation, error = None, ""
    try:
        conversation = Conversation(sys.argv[1], int(sys.argv[2]))
        run(conversation, ended)
    except (OSError, ValueError) as e:
        error = str(e) or type(e).__name__
    c = conversation
    print(json.dumps({"ok": not error, "error": error, "sent": c.sent if c else 0,
                      "received": c.received if c else 0,
                      "longest_gap_ms": round(c.longest_gap * 1000, 1) if c else 0}), flush=True)


if __name__ == "__main__":
    main()
