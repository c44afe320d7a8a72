"""The switches of tests/bench/run switch, each in a namespace of its own: two ports for VMs and an uplink, whose
far end a raw socket holds. The ports of a kernel's switch and of Open vSwitch are TAPs, as QEMU uses them
without vhost; the pump (tests/bench/pump) holds their queue."""
import contextlib
import ctypes
import os
import shutil
import socket
import sys

from tests.support.chan import Child
from tests.support.harness import ROOT
from tests.support.tap import open_tap

sys.path.insert(0, os.path.join(ROOT, "deploy"))
from lablib.namespaces import Machine, cable, wait_for  # noqa: E402
from lablib.physical import PhysicalSwitches  # noqa: E402

MACS = {"vm1": "02:00:00:00:00:01", "vm2": "02:00:00:00:00:02", "far": "02:00:00:00:00:03",
        "wire": "02:00:00:00:00:03"}
CLONE_NEWNET = 0x40000000
# linux/if_packet.h, asm/socket.h
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
ETH_P_ALL, ETH_P_PUMP, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 0x0003, 0x88B5, 32, 33
SOCKET_BUFFER_BYTES = 8 << 20


@contextlib.contextmanager
def inside(machine):
    """This thread's network is that of the machine."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(fd):
        if libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    with open("/proc/thread-self/ns/net") as ours, open(f"/proc/{machine.pid}/ns/net") as theirs:
        enter(theirs.fileno())
        try:
            yield
        finally:
            enter(ours.fileno())


def make_tap(machine, name, offload):
    with inside(machine):
        fd = open_tap(name, offload)
    machine.run("ip", "link", "set", name, "up")
    return fd


def open_raw(machine, name, protocol=ETH_P_ALL):
    """As fabric/open.h opens an uplink."""
    with inside(machine):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        for option in (PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING):
            s.setsockopt(SOL_PACKET, option, 1)
        for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
            s.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        s.bind((name, protocol))
        return s.detach()


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Peer:
    """Something that forwards between `vm1`, `vm2` and the wire to `far`."""

    title = key = None
    offload = True

    def __init__(self, bin_directory, directory):
        self.bin_directory, self.directory, self.stack = bin_directory, directory, contextlib.ExitStack()
        try:
            self.machine = Machine.start(f"bench-{self.key}")
            self.stack.callback(self.machine.stop)
            cable(self.machine, "near", self.machine, "far")
            if not self.offload:
                for name in ("near", "far"):
                    self.machine.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
            self.far = {"far": self._keep(open_raw(self.machine, "far")),
                        "wire": self._keep(open_raw(self.machine, "far", ETH_P_PUMP))}
            self.start()
        except BaseException:
            self.stack.close()
            raise

    def _keep(self, fd):
        self.stack.callback(os.close, fd)
        return fd

    def close(self):
        self.stack.close()

    @classmethod
    def missing(cls, bin_directory):
        """None, or why this one cannot take part."""
        return None

    @contextlib.contextmanager
    def port(self, name):
        """(what --port of the pump takes, its descriptors) for one use of a port. "wire" is the far end, but sees
        only the words by which pumps find each other: what else comes the adapter counts."""
        if name in self.far:
            yield f"packet:{self.far[name]}", [self.far[name]]
        else:
            yield from self.vm_port(name)

    def wire_frames(self):
        """Frames that came out of the uplink, as the far adapter counts them."""
        with inside(self.machine), open("/proc/thread-self/net/dev") as f:
            return int(next(line for line in f if line.strip().startswith("far:")).split()[2])

    def cpu_seconds(self):
        """Of the switch's process, or None when it has none."""
        return None


class Viaduct(Peer):
    title, key, program = "Viaduct", "viaduct", "viaduct-vswitchd"

    @classmethod
    def missing(cls, bin_directory):
        path = os.path.join(bin_directory, cls.program)
        return None if os.path.exists(path) else f"{path} is not there (deploy/build dev)"

    def start(self):
        self.child = Child(os.path.join(self.bin_directory, self.program), os.path.join(self.directory, "viaduct.log"))
        self.stack.callback(self.child.stop)
        uplink = open_raw(self.machine, "near")
        try:
            self.child.call("switch.create", [uplink], name="bench", type="external", uplink="near")
        finally:
            os.close(uplink)

    def vm_port(self, name):
        # A port serves one VM process.
        _, fds = self.child.call("port.add", switch="bench", port=name, mac=MACS[name])
        try:
            yield "shm:" + ",".join(map(str, fds)), fds
        finally:
            for fd in fds:
                os.close(fd)
            self.child.call("port.remove", port=name)

    def cpu_seconds(self):
        return cpu_seconds(self.child.process.pid)


class Taps(Peer):
    """A switch whose ports for VMs are TAPs."""

    def start(self):
        self.taps = {name: self._keep(make_tap(self.machine, name, self.offload)) for name in ("vm1", "vm2")}
        self.connect(["vm1", "vm2", "near"])

    @classmethod
    def missing(cls, bin_directory):
        return None if os.path.exists("/dev/net/tun") else "/dev/net/tun is not there"

    def vm_port(self, name):
        yield f"tap:{self.taps[name]}", [self.taps[name]]


class Bridge(Taps):
    title, key = "Linux bridge", "bridge"

    def connect(self, ports):
        # Where the kernel hands bridged packets to its firewall, this would pay for it.
        self.machine.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", check=False)
        self.machine.run("ip", "link", "add", "bench", "type", "bridge", "mcast_snooping", "0")
        self.machine.run("ip", "link", "set", "bench", "up")
        for port in ports:
            self.machine.run("ip", "link", "set", port, "master", "bench")
        self.lone = self._keep(make_tap(self.machine, "lone", True))


class OpenVSwitch(Taps):
    """Its user-space datapath."""

    title, key, offload = "OVS", "ovs", False

    @classmethod
    def missing(cls, bin_directory):
        if not shutil.which("ovs-vswitchd"):
            return "Open vSwitch is not installed (deploy/install-packages brings it)"
        return super().missing(bin_directory)

    def connect(self, ports):
        switches = PhysicalSwitches(self.machine, os.path.join(self.directory, self.key))
        switches.start(segmentation=self.offload)
        switches.add_switch("bench")
        for port in ports:
            switches.vsctl("add-port", "bench", port)
        self.pid = wait_for(self._find, 10, "the start of ovs-vswitchd")

    def _find(self):
        namespace = os.readlink(f"/proc/{self.machine.pid}/ns/pid")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
                if f.read() == "ovs-vswitchd\n" and os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                    return int(pid)
        return None

    def cpu_seconds(self):
        return cpu_seconds(self.pid)


class OpenVSwitchTso(OpenVSwitch):
    title, key, offload = "OVS tso", "ovs-tso", True


PEERS = [Viaduct, Bridge, OpenVSwitch, OpenVSwitchTso]
