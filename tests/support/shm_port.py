"""The VM's end of a shared-memory switch port (fabric/shm_port.h), for tests that are the VM: frames in and out,
byte for byte."""
import mmap
import os
import struct

DATA_AT = 4096
CONTROLS_AT = (128, 256)  # to the switch, to the VM
HEAD, WANT_SPACE, TAIL, WANT_DATA = 0, 4, 64, 68
RECORD = struct.Struct("<IH10s")
MAGIC = 0x3154504D48534456
NO_OFFLOAD = bytes(10)


def _align(n):
    return (n + 7) & ~7


class ShmPort:
    """Takes over the three descriptors of port.add's answer."""

    def __init__(self, fds, caps=0):
        self.memory_fd, self.kick_switch_fd, self.kick_vm_fd = fds
        self.memory = mmap.mmap(self.memory_fd, 0)
        magic, _, self.ring_bytes = struct.unpack_from("<QII", self.memory, 0)
        assert magic == MAGIC
        struct.pack_into("<I", self.memory, 64, caps)
        self.head = self.tail = 0

    def close(self):
        self.memory.close()
        for fd in (self.memory_fd, self.kick_switch_fd, self.kick_vm_fd):
            os.close(fd)

    def _load(self, ring, field):
        return struct.unpack_from("<I", self.memory, CONTROLS_AT[ring] + field)[0]

    def poke(self, ring, field, value):
        """Write a control word, right or wrong."""
        struct.pack_into("<I", self.memory, CONTROLS_AT[ring] + field, value & 0xFFFFFFFF)

    def _copy_in(self, at, data):
        base, offset = DATA_AT, at % self.ring_bytes
        first = min(len(data), self.ring_bytes - offset)
        self.memory[base + offset:base + offset + first] = data[:first]
        self.memory[base:base + len(data) - first] = data[first:]

    def _copy_out(self, at, n):
        base, offset = DATA_AT + self.ring_bytes, at % self.ring_bytes
        first = min(n, self.ring_bytes - offset)
        return self.memory[base + offset:base + offset + first] + self.memory[base:base + n - first]

    def kick(self):
        os.write(self.kick_switch_fd, struct.pack("<Q", 1))

    def send(self, frame, hdr=NO_OFFLOAD, claimed_bytes=None):
        """Queue one frame and kick the switch. False: no room. `claimed_bytes`: what the record says, if a lie."""
        n = _align(RECORD.size + len(frame))
        if self.head + n - self._load(0, TAIL) > self.ring_bytes:
            return False
        record = RECORD.pack(len(frame) if claimed_bytes is None else claimed_bytes, 0, hdr)
        self._copy_in(self.head, record + frame)
        self.head += n
        self.poke(0, HEAD, self.head)
        self.kick()
        return True

    def receive(self):
        """All frames that are there: [(hdr, frame)]."""
        frames, head = [], self._load(1, HEAD)
        while (self.tail - head) & 0xFFFFFFFF:
            n, _, hdr = RECORD.unpack(self._copy_out(self.tail, RECORD.size))
            frames.append((hdr, self._copy_out(self.tail + RECORD.size, n)))
            self.tail = (self.tail + _align(RECORD.size + n)) & 0xFFFFFFFF
        self.poke(1, TAIL, self.tail)
        return frames
