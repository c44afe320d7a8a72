#!/usr/bin/env python3
"""The isolation matrix: every VLAN mode against every other, on one host and across two, by real frames in every
form a port could send. Two switch processes, Open vSwitch as the physical switch of each, and an ear on both
wires that checks the tags. What must happen is computed here from 802.1Q and RFC 5517, not from the switch."""
import os
import shutil
import struct
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.namespaces import SLOW, Machine, wait_for  # noqa: E402
from lablib.physical import PhysicalSwitches  # noqa: E402
from tests.support.chan import Child  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, skip  # noqa: E402
from tests.support.shm_port import ShmPort  # noqa: E402
from tests.support.wires import Ear, uplink  # noqa: E402

ETHERTYPE, TPID, BROADCAST = 0x88B5, 0x8100, b"\xff" * 6
CARRIED = {0, 2, 3, 100, 101, 102, 103}  # by the physical switches; VLAN 7 ends at the host
QUIET_S, PATIENCE_S = 0.5, 5

# name, keys of port.add, the VLAN of untagged frames, VLANs whose tags may come in, {VLAN: leaves with tag}
MODES = [
    ("untagged", {}, 0, (), {0: False}),
    ("untagged2", {}, 0, (), {0: False}),
    ("access2", {"mode": "access", "vid": 2}, 2, (), {2: False}),
    ("access2b", {"mode": "access", "vid": 2}, 2, (), {2: False}),
    ("access3", {"mode": "access", "vid": 3}, 3, (), {3: False}),
    ("access7", {"mode": "access", "vid": 7}, 7, (), {7: False}),
    ("trunk", {"mode": "trunk", "allowed": "2-3,7,101"}, 0, (2, 3, 7, 101),
     {0: False, 2: True, 3: True, 7: True, 101: True}),
    ("trunk-native", {"mode": "trunk", "native": 2, "allowed": "3"}, 2, (2, 3), {2: False, 3: True}),
    ("isolated", {"mode": "isolated", "primary": 100, "secondary": 101}, 101, (), {100: False}),
    ("isolated2", {"mode": "isolated", "primary": 100, "secondary": 101}, 101, (), {100: False}),
    ("community", {"mode": "community", "primary": 100, "secondary": 102}, 102, (), {100: False, 102: False}),
    ("community2", {"mode": "community", "primary": 100, "secondary": 102}, 102, (), {100: False, 102: False}),
    ("other-community", {"mode": "community", "primary": 100, "secondary": 103}, 103, (), {100: False, 103: False}),
    ("promiscuous", {"mode": "promiscuous", "primary": 100, "secondaries": "101-103"}, 100, (),
     {100: False, 101: False, 102: False, 103: False}),
]
# What a port may try: (outer tag or None, is there another tag behind it).
FORMS = [(None, False), (0, False), (2, False), (3, False), (7, False), (100, False), (101, False), (4095, False),
         (2, True), (0, True)]


class Port:
    def __init__(self, host, number, mode):
        self.name, self.keys, self.pvid, self.accepts, self.leaves = mode
        self.host, self.id = host, f"{host.name}/{self.name}"
        self.mac = bytes([2, 0, 0, 0, host.number, number])
        _, fds = host.switch.call("port.add", switch="lan", port=self.id, mac=self.mac.hex(":"), **self.keys)
        self.end = ShmPort(fds)

    def ingress(self, form):
        """The VLAN a frame of that form is of, or None: it must not come in."""
        outer, inner = form
        if not self.accepts:  # not a trunk
            return None if (outer or inner) else self.pvid
        if not outer:
            return self.pvid
        return outer if outer in self.accepts else None

    def egress(self, vid, inner):
        """None, or the form a frame of the VLAN leaves in: the tag's VLAN, 0 for no tag."""
        if vid not in self.leaves:
            return None
        if self.leaves[vid]:
            return vid
        return None if inner else 0


class Host:
    def __init__(self, number, name, fabric, log):
        self.number, self.name = number, name
        self.switch = Child(os.path.join(bin_directory(), "viaduct-vswitchd"), log)
        socket = uplink(fabric, f"up{name}")
        try:
            self.switch.call("switch.create", [socket.fileno()], name="lan", type="external", uplink=f"up{name}")
        finally:
            socket.close()
        self.ports = [Port(self, n, mode) for n, mode in enumerate(MODES, 1)]
        self.wire = Ear(fabric, f"wire{name}")  # hears what leaves the host


class Scene:
    """Two hosts, a physical switch each, a trunk between those."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="viaduct-isolation-")
        self.fabric = Machine.start("fabric", full=True)
        self.hosts, self.mark = [], 0
        physical = PhysicalSwitches(self.fabric, os.path.join(self.directory, "ovs"))
        physical.start()
        vlans = ",".join(map(str, sorted(CARRIED)))
        for name in "AB":
            self.fabric.run("ip", "link", "add", f"up{name}", "type", "veth", "peer", "name", f"wire{name}")
            self.fabric.run("ip", "link", "set", f"up{name}", "up")
            self.fabric.run("ip", "link", "set", f"wire{name}", "up")
            physical.add_switch(f"ph{name}")
            physical.add_trunk(f"ph{name}", f"wire{name}", vlans)
        physical.connect("phA", "phB", vlans)
        for number, name in enumerate("AB"):
            self.hosts.append(Host(number, name, self.fabric, os.path.join(self.directory, f"{name}.log")))
        self.ports = [p for host in self.hosts for p in host.ports]

    def close(self):
        for host in self.hosts:
            host.switch.stop()
            host.wire.close()
            for port in host.ports:
                port.end.close()
        self.fabric.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def send(self, port, dst, form):
        """The frame's mark."""
        self.mark += 1
        outer, inner = form
        frame = dst + port.mac
        if outer is not None:
            frame += struct.pack(">HH", TPID, 5 << 13 | outer)
        if inner:
            frame += struct.pack(">HH", TPID, 3)
        frame += struct.pack(">HI", ETHERTYPE, self.mark) + bytes(46)
        check(port.end.send(frame), f"{port.id} has no room")
        return self.mark

    def heard(self, seen):
        """Add what has arrived to `seen`: {mark: {(place, tag)}}. True: there was something."""
        any_frame = False
        places = [(p.id, [f for _, f in p.end.receive()]) for p in self.ports]
        places += [(f"wire{h.name}", h.wire.receive()) for h in self.hosts]
        for place, frames in places:
            for frame in frames:
                parsed = parse(frame)
                if parsed:
                    any_frame = True
                    check((place, parsed[1]) not in seen.setdefault(parsed[0], set()),
                          f"{place} got a frame twice")
                    seen[parsed[0]].add((place, parsed[1]))
        return any_frame

    def arrive(self, expected, seen):
        """Until everything expected is there, or nothing has come for a long time. Physical switches have small
        queues: whoever sends much waits for it to get through."""
        last = time.monotonic()
        while any(not places <= seen.get(mark, set()) for mark, places in expected.items()):
            now = time.monotonic()
            if self.heard(seen):
                last = now
            elif now - last > PATIENCE_S * SLOW:
                return
            time.sleep(0.001)

    def quiet(self, seen):
        """Until nothing more comes."""
        last = time.monotonic()
        while time.monotonic() - last < QUIET_S * SLOW:
            if self.heard(seen):
                last = time.monotonic()
            time.sleep(0.001)
        return seen


def parse(frame):
    """(mark, VLAN of the outer tag or 0) of one of our frames."""
    at, tag = 12, 0
    if struct.unpack_from(">H", frame, at)[0] == TPID:
        tag = struct.unpack_from(">H", frame, at + 2)[0] & 0xFFF
        at += 4
    if struct.unpack_from(">H", frame, at)[0] == TPID:
        at += 4
    kind, mark = struct.unpack_from(">HI", frame, at)
    return (mark, tag) if kind == ETHERTYPE else None


def reached(scene, sender, form):
    """Where a broadcast must arrive: {(place, tag)}."""
    vid, inner = sender.ingress(form), form[1]
    if vid is None or (vid == 0 and inner):
        here = set()
        if vid == 0:
            here = {(p.id, p.egress(vid, inner)) for p in sender.host.ports if p is not sender}
        return {(place, tag) for place, tag in here if tag is not None}
    other = next(h for h in scene.hosts if h is not sender.host)
    places = {(p.id, p.egress(vid, inner)) for p in sender.host.ports if p is not sender}
    places.add((f"wire{sender.host.name}", vid))
    if vid in CARRIED:
        places |= {(p.id, p.egress(vid, inner)) for p in other.ports}
    return {(place, tag) for place, tag in places if tag is not None}


def compare(what, expected, seen):
    wrong = []
    for mark in sorted(expected.keys() | seen.keys()):
        want, got = expected.get(mark, set()), seen.get(mark, set())
        if want != got:
            wrong.append(f"{what.get(mark, mark)}: missing {sorted(want - got)}, too much {sorted(got - want)}")
    check(not wrong, f"{len(wrong)} of {len(expected)} are wrong:\n" + "\n".join(wrong[:20]))


def setup():
    need_namespaces()
    if not shutil.which("ovs-vswitchd"):
        skip("Open vSwitch is not installed")
    return Scene()


def teardown(scene):
    if scene:
        scene.close()


def test_the_wires_carry(scene):
    """The physical switches are up: a frame of each carried VLAN gets across."""
    for sender, receiver in (scene.hosts, scene.hosts[::-1]):
        port = next(p for p in sender.ports if p.name == "access2")
        there = next(p for p in receiver.ports if p.name == "access2")

        def crosses(port=port, there=there):
            mark = scene.send(port, BROADCAST, (None, False))
            seen = {}
            end = time.monotonic() + 0.2 * SLOW
            while time.monotonic() < end and not any(p == there.id for p, _ in seen.get(mark, ())):
                scene.heard(seen)
            return any(p == there.id for p, _ in seen.get(mark, ()))
        wait_for(crosses, 30, f"a frame from {sender.name} to {receiver.name}")
    scene.quiet({})


def test_broadcasts(scene):
    expected, what, seen = {}, {}, {}
    for port in scene.ports:
        for form in FORMS:
            mark = scene.send(port, BROADCAST, form)
            expected[mark] = reached(scene, port, form)
            what[mark] = f"broadcast of {port.id}, tag {form[0]}{', another behind it' if form[1] else ''}"
        scene.arrive(expected, seen)
    compare(what, expected, scene.quiet(seen))
    n = sum(len(places) for places in expected.values())
    print(f"      {len(expected)} broadcasts of {len(scene.ports)} ports in {len(FORMS)} forms: {n} copies, "
          "each where it belongs and nowhere else")


def test_unicasts(scene):
    """From every port to every other one's address, as the sender would send it untagged."""
    expected, what, seen = {}, {}, {}
    for port in scene.ports:
        for target in scene.ports:
            if target is port:
                continue
            mark = scene.send(port, target.mac, (None, False))
            expected[mark] = {(place, tag) for place, tag in reached(scene, port, (None, False))
                              if place == target.id}
            what[mark] = f"{port.id} to {target.id}"
        scene.arrive(expected, seen)
    scene.quiet(seen)
    # What is for nobody here goes out by the uplink, which is the broadcasts' test.
    at_ports = {mark: {(place, tag) for place, tag in places if not place.startswith("wire")}
                for mark, places in seen.items()}
    compare(what, expected, at_ports)
    n = sum(len(places) for places in expected.values())
    print(f"      {len(expected)} pairs: {n} reach each other, {len(expected) - n} do not; nobody overhears")


def test_forged_sources(scene):
    for port in scene.ports[:3]:
        other = scene.ports[-1]
        own, port.mac = port.mac, other.mac
        try:
            scene.send(port, BROADCAST, (None, False))
        finally:
            port.mac = own
        dropped = wait_for(lambda p=port: p.host.switch.call("port.stats", port=p.id)[0]["port"]["dropped"].get(
            "spoofed"), 5, "the count of a forged frame")
        check(dropped == 1, f"{dropped} forged frames were counted")
    check(scene.quiet({}) == {}, "a forged frame arrived")


def test_an_address_at_two_places(scene):
    """Somebody outside uses the address of an open port: told once, with both places, and the port goes on."""
    host = scene.hosts[0]
    port = next(p for p in host.ports if p.name == "access2")
    for _ in range(3):
        scene.mark += 1
        host.wire.send(BROADCAST + port.mac + struct.pack(">HHHI", TPID, 2, ETHERTYPE, scene.mark) + bytes(46))
    _, event = host.switch.wait_event(lambda m: m.get("op") == "address.duplicate", 10)
    check((event["port"], event["switch"], event["uplink"]) == (port.id, "lan", "upA"), f"{event}")
    wait_for(lambda: host.switch.call("port.stats", port=port.id)[0]["port"]["duplicates"] == 3, 5, "the count")
    told = [m for _, m in host.switch.events if m.get("op") == "address.duplicate"]
    check(len(told) == 1, f"it was told {len(told)} times")
    print(f"      3 frames of {port.id}'s twin behind upA: told {len(told)} time")
    other = next(p for p in host.ports if p.name == "access2b")
    scene.quiet({})
    mark = scene.send(other, port.mac, (None, False))
    check(scene.quiet({})[mark] == {(port.id, 0)}, "the port lost its address")


def test_malformed_frames(scene):
    """Runts, giants and lies about lengths: dropped and counted, or the port is shut; the rest goes on."""
    a = scene.hosts[0]
    runt, liar, indexer, well = a.ports[0], a.ports[1], a.ports[2], a.ports[3]
    check(runt.end.send(b"\x02" * 9), "no room")
    wait_for(lambda: a.switch.call("port.stats", port=runt.id)[0]["port"]["dropped"].get("runt"), 5, "a runt's count")
    check(liar.end.send(bytes(60), claimed_bytes=1 << 20), "no room")
    indexer.end.poke(0, 0, 0x12345)  # the head leaves the ring
    indexer.end.kick()
    for port in (liar, indexer):
        _, event = a.switch.wait_event(lambda m, p=port: m.get("op") == "port.shut" and m["port"] == p.id, 10)
        check(event["reason"], f"no reason was given: {event}")
        state = a.switch.call("port.stats", port=port.id)[0]["port"]
        check(state["state"] == "shut" and state["reason"] == event["reason"], f"{state}")
        print(f"      {port.id} was shut: {event['reason']}")
    mark = scene.send(well, BROADCAST, (None, False))
    twin = next(p for p in scene.hosts[1].ports if p.name == "access2b")
    seen = {}
    wait_for(lambda: scene.heard(seen) and any(p == twin.id for p, _ in seen.get(mark, ())), 10,
             "a frame of a well-behaved port")


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
