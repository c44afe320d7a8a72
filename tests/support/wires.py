"""Raw sockets on adapters in a namespace: uplinks for viaduct-vswitchd, and ears on wires."""
import ctypes
import os
import socket
import struct

ETH_P_ALL, SOL_PACKET = 3, 263
PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 1, 8, 15, 23
PACKET_MR_PROMISC, PACKET_OUTGOING = 1, 4
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
AUXDATA = struct.Struct("=IIIHHHH")  # linux/if_packet.h: struct tpacket_auxdata
TP_STATUS_VLAN_VALID = 1 << 4
BUFFER_BYTES = 8 << 20

_libc = ctypes.CDLL(None, use_errno=True)


class Inside:
    """`with Inside(machine):` sockets are made in its network namespace."""

    def __init__(self, machine):
        self.path = f"/proc/{machine.pid}/ns/net"

    @staticmethod
    def _enter(fd):
        if _libc.setns(fd, 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")

    def __enter__(self):
        self.own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        try:
            self._enter(there)
        finally:
            os.close(there)

    def __exit__(self, *_):
        self._enter(self.own)
        os.close(self.own)


def _open(machine, interface, uplink):
    with Inside(machine):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        index = socket.if_nametoindex(interface)
        s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        if uplink:
            s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        s.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)
        s.bind((interface, ETH_P_ALL))
        s.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b""))
        return s


def uplink(machine, interface):
    """A raw socket as fabric_open_uplink() makes them."""
    return _open(machine, interface, True)


class Ear:
    """What comes out of an adapter's far end: frames with their tags in line."""

    def __init__(self, machine, interface):
        self.socket = _open(machine, interface, False)

    def close(self):
        self.socket.close()

    def send(self, frame):
        self.socket.send(frame)

    def receive(self):
        """All frames that are there, received ones only."""
        frames = []
        while True:
            try:
                data, messages, _, address = self.socket.recvmsg(65600, 256)
            except BlockingIOError:
                return frames
            if address[2] == PACKET_OUTGOING:
                continue
            for level, kind, content in messages:
                if level == SOL_PACKET and kind == PACKET_AUXDATA:
                    status, _, _, _, _, tci, tpid = AUXDATA.unpack(content[:AUXDATA.size])
                    if status & TP_STATUS_VLAN_VALID:
                        data = data[:12] + struct.pack(">HH", tpid or 0x8100, tci) + data[12:]
            frames.append(data)
