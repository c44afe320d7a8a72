"""Watch every wire of the lab for frames of VMs: the proof of isolation and of where a MAC address is.

Runs as a program inside the 'fabric' namespace, where all wires end: captures Ethernet frames whose source
or destination lies in the VM MAC range (00:15:5d) and writes one line for each to the file it was given:

    TIME_NS WIRE in|out SOURCE DESTINATION

'in' means that the frame came from the machine at the other end of the wire. Prints "ready" when it
watches; ends on SIGTERM, after writing "end DROPPED", the number of frames the kernel had to drop.
"""
import ctypes
import os
import select
import signal
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
VM_PREFIX = 0x00155D


def _filter():
    """Classic BPF: accept when the source or the destination begins with the VM prefix. Bytes 0-5 are the
    destination, 6-11 the source."""
    def op(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    load_word, shift_right, jump_equal, give = 0x20, 0x74, 0x15, 0x06
    program = [
        op(load_word, 0, 0, 6), op(shift_right, 0, 0, 8), op(jump_equal, 3, 0, VM_PREFIX),
        op(load_word, 0, 0, 0), op(shift_right, 0, 0, 8), op(jump_equal, 0, 1, VM_PREFIX),
        op(give, 0, 0, 64), op(give, 0, 0, 0),
    ]
    return b"".join(program), len(program)


def open_socket():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    code, n = _filter()
    buffer = ctypes.create_string_buffer(code)
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", n, ctypes.addressof(buffer)))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    s.setblocking(False)
    try:
        while True:  # what came before the filter was there
            s.recv(1)
    except BlockingIOError:
        return s


def main():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    signal.set_wakeup_fd(wake_w)
    s = open_socket()
    with open(sys.argv[1], "w", buffering=1 << 20) as out:
        print("ready", flush=True)
        while not ended:
            select.select([s, wake_r], [], [])
            drain(s, out)
        drain(s, out)
        _, dropped = struct.unpack("II", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        out.write(f"end {dropped}\n")


def drain(s, out):
    while True:
        try:
            frame, (wire, _, kind, _, _) = s.recvfrom(64)
        except BlockingIOError:
            return
        way = "out" if kind == PACKET_OUTGOING else "in"
        out.write(f"{time.monotonic_ns()} {wire} {way} {frame[6:12].hex(':')} {frame[0:6].hex(':')}\n")


class Capture:
    """A running capture of a lab; stop() returns the frames as (time_ns, wire, way, source, destination)."""

    def __init__(self, lab, name):
        self.path = os.path.join(lab.directory, f"{name}.frames")
        self.process = lab.fabric.popen(sys.executable, os.path.realpath(__file__), self.path,
                                        stdout=-1, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the capture did not start")

    def stop(self):
        from .namespaces import end_inside  # not at the top: this file is also a program of its own
        end_inside(self.process)
        self.process.wait(timeout=20)
        self.process.stdout.close()
        with open(self.path) as f:
            lines = f.read().splitlines()
        if not lines or not lines[-1].startswith("end "):
            raise RuntimeError("the capture was cut short")
        if lines[-1] != "end 0":
            raise RuntimeError(f"the capture lost frames: {lines[-1]}")
        frames = []
        for line in lines[:-1]:
            time_ns, wire, way, source, destination = line.split()
            frames.append((int(time_ns), wire, way, source, destination))
        return frames


if __name__ == "__main__":
    main()
