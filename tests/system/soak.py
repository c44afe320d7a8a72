#!/usr/bin/env python3
"""A switch in use for a long time, made short: 200 ports that come and go without end, with policies, traffic and
captures, while two ports talk to each other. Nothing leaks - memory, descriptors, addresses, groups - and nothing
stalls."""
import os
import random
import shutil
import struct
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)
from tests.support.chan import Child  # noqa: E402
from tests.support.harness import bin_directory, check, main  # noqa: E402
from tests.support.shm_port import ShmPort  # noqa: E402

PORTS, VLANS = 200, range(2, 12)
TURNS = int(os.environ.get("VIADUCT_SOAK_TURNS", "6000"))  # each removes a port and makes another
WARM_UP = TURNS // 2  # until tables of addresses and conversations are as full as they get
SLOW = float(os.environ.get("VIADUCT_SLOW", "1"))
STALL_S = 1.0 * SLOW
RING_BYTES = 256 << 10
POLICIES = [
    {},
    {"spoofing": True},
    {"guards": {"dhcp": True, "router": True, "addresses": True, "ips": ["10.0.0.1", "fd00::1"]}},
    {"acl": [{"action": "allow", "direction": "out", "protocol": "tcp", "remote": "10.0.0.0/8", "stateful": True},
             {"action": "meter", "direction": "both", "remote": "10.0.0.0/8"},
             {"action": "deny", "direction": "in", "protocol": "udp", "local_ports": "53"}]},
    {"bandwidth": {"max_bps": 100_000_000, "storm_fps": 1000}},
    {"mirror": "source"},
    {"mirror": "destination"},
]


class Soak:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="viaduct-soak-")
        # What is freed goes back to the kernel at once, so that what is resident is what is in use.
        os.environ.update(MALLOC_MMAP_THRESHOLD_="16384", MALLOC_TRIM_THRESHOLD_="16384", MALLOC_ARENA_MAX="1")
        self.switch = Child(os.path.join(bin_directory(), "viaduct-vswitchd"), os.path.join(self.directory, "log"))
        self.switch.call("switch.create", name="S", type="private")
        self.random, self.ports, self.made, self.mark = random.Random(1), [], 0, 0
        self.pair = [self.add({}, vid=2), self.add({}, vid=2)]

    def close(self):
        self.switch.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def add(self, policy, vid=None):
        self.made += 1
        name, mac = f"VM{self.made}/nic0", b"\x02" + struct.pack(">xI", self.made)
        _, fds = self.switch.call("port.add", switch="S", port=name, mac=mac.hex(":"), mode="access",
                                  vid=vid or self.random.choice(VLANS), ring_bytes=RING_BYTES, **policy)
        return name, mac, ShmPort(fds)

    def remove(self, port):
        self.switch.call("port.remove", port=port[0])
        port[2].close()

    def frame(self, port, dst, payload=bytes(50)):
        return dst + port[1] + struct.pack(">H", 0x88B5) + payload

    def chatter(self, port):
        """A few frames of a port: broadcast, a group, an address that it made up, TCP."""
        made_up = b"\x02\xff" + self.random.randbytes(4)
        for dst in (b"\xff" * 6, b"\x01\x00\x5e\x01" + self.random.randbytes(2), made_up):
            port[2].send(self.frame(port, dst))
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, bytes([10, 0, 0, 1]), self.random.randbytes(4))
        tcp = struct.pack(">HHIIBBHHH", self.random.randrange(1024, 65536), 80, 1, 0, 0x50, 2, 1000, 0, 0)
        port[2].send(b"\xff" * 6 + port[1] + struct.pack(">H", 0x0800) + ip + tcp)

    def talk(self):
        """A frame from one of the pair to the other; seconds until it was there."""
        a, b = self.pair
        self.mark += 1
        begin = time.monotonic()
        check(a[2].send(self.frame(a, b[1], struct.pack(">Q", self.mark) + bytes(42))), "the pair's ring is full")
        while True:
            for _, frame in b[2].receive():
                if frame[:6] == b[1] and struct.unpack_from(">Q", frame, 14)[0] == self.mark:
                    a[2].receive()
                    return time.monotonic() - begin
            check(time.monotonic() < begin + STALL_S, f"a frame took more than {STALL_S:g} s")

    def turn(self):
        index = self.random.randrange(len(self.ports))
        port = self.ports[index]
        port[2].receive()
        if self.random.random() < 0.1:
            self.switch.call("capture.start", port=port[0], ring_bytes=64 << 10)
        self.chatter(port)
        if self.random.random() < 0.3:
            self.switch.call("port.set", port=port[0], mode="access", vid=self.random.choice(VLANS),
                             **self.random.choice(POLICIES))
        if self.random.random() < 0.3:
            state = self.switch.call("port.export", port=port[0])[0]["state"]
            self.switch.call("port.mute", port=port[0])
            self.switch.call("port.import", port=port[0], state=state)
            self.switch.call("port.open", port=port[0])
        self.remove(port)
        self.ports[index] = self.add(self.random.choice(POLICIES))
        return self.talk()

    def settle(self):
        """Who has which policy is left to chance; here all is as it is at every other such time."""
        for i, port in enumerate(self.ports):
            self.remove(port)
            self.ports[i] = self.add(POLICIES[i % len(POLICIES)])
            self.chatter(self.ports[i])
            self.talk()

    def rss_kib(self):
        with open(f"/proc/{self.switch.process.pid}/status") as f:
            fields = dict(line.split(":", 1) for line in f)
        # Memory of ports is shared with VMs and goes with them; what is the switch's own must not grow.
        return int(fields["RssAnon"].split()[0])

    def n_fds(self):
        # What it passed with a reply it closes afterwards, and before it looks at the next request.
        self.switch.call("port.stats", port=self.pair[0][0])
        return len(os.listdir(f"/proc/{self.switch.process.pid}/fd"))


def setup():
    return Soak()


def teardown(soak):
    if soak:
        soak.close()


def test_ports_come_and_go(soak):
    for _ in range(PORTS):
        soak.ports.append(soak.add(soak.random.choice(POLICIES)))
    waits, begin = [], time.monotonic()
    for _ in range(WARM_UP):
        soak.turn()
    soak.settle()
    rss, fds = soak.rss_kib(), soak.n_fds()
    for _ in range(TURNS - WARM_UP):
        waits.append(soak.turn())
    soak.settle()
    grown = soak.rss_kib() - rss
    waits.sort()
    print(f"      {TURNS} ports came and went in {time.monotonic() - begin:.0f} s beside {PORTS}; memory {rss} KiB, "
          f"{grown:+} KiB since; a frame of the pair took {waits[len(waits) // 2] * 1e3:.2f} ms in the median, "
          f"{waits[-1] * 1e3:.1f} ms at most")
    check(grown < 512, f"the switch grew by {grown} KiB in {TURNS - WARM_UP} turns")
    check(soak.n_fds() == fds, f"{fds} descriptors became {soak.n_fds()}")


def test_nothing_is_left(soak):
    for port in soak.ports + soak.pair:
        soak.remove(port)
    entries = soak.switch.call("fdb.show", switch="S")[0]["entries"]
    groups = soak.switch.call("groups.show", switch="S")[0]["entries"]
    check(not entries and not groups, f"addresses or groups of ports that are gone: {entries} {groups}")
    soak.switch.call("switch.delete", name="S")
    check(soak.switch.call("switch.list")[0]["switches"] == [], "the switch is still there")


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
