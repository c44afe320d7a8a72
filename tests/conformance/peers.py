"""The other ends of a guest's network: namespaces with a TAP on viaduct-vswitchd each."""
import contextlib
import os
import subprocess
import sys

from tests.support.harness import ROOT, check, need_namespaces
from tests.support.tap import open_tap

sys.path.insert(0, os.path.join(ROOT, "deploy"))
from lablib.namespaces import Machine, wait_for  # noqa: E402

MTU = 9000


class Peer:
    """A small machine in one VLAN of the switch."""

    def __init__(self, switch, vid, address):
        self.vid, self.address, self.interface = vid, address, f"peer{vid}"
        mac = f"02:00:00:00:00:{vid:02x}"
        self.machine = Machine.start(self.interface)
        try:
            fd = open_tap(self.interface)
            try:
                subprocess.run(["ip", "link", "set", self.interface, "address", mac, "mtu", str(MTU), "netns",
                                str(self.machine.pid)], check=True, capture_output=True, timeout=20)
                switch.call("port.add_tap", [fd], switch="lan", port=self.interface, mac=mac, mode="access", vid=vid)
            finally:
                os.close(fd)
            self.run("sysctl", "-qw", f"net.ipv6.conf.{self.interface}.disable_ipv6=0",
                     f"net.ipv6.conf.{self.interface}.accept_dad=0")
            self.run("ip", "link", "set", self.interface, "up")
            self.run("ip", "addr", "add", f"{address}/24", "dev", self.interface)
            self.run("ip", "addr", "add", f"fd00:{vid}::1/64", "dev", self.interface)
        except BaseException:
            self.machine.stop()
            raise

    def run(self, *words, **options):
        return self.machine.run(*words, **options)

    def reaches(self, address):
        return self.run("ping", "-c", "1", "-W", "2", address, check=False).returncode == 0

    @contextlib.contextmanager
    def iperf(self):
        """A server of iperf3 for as long as it is needed."""
        process = self.machine.popen("iperf3", "-s", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: ":5201 " in self.run("ss", "-tlnH").stdout, 10, "the start of iperf3's server")
            yield
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()


@contextlib.contextmanager
def network(suite, addresses):
    """A switch and a peer in each VLAN: (switch, {vid: Peer})."""
    need_namespaces()
    check(os.path.exists("/dev/net/tun"), "/dev/net/tun is not there")
    with suite.switch() as switch, contextlib.ExitStack() as stack:
        switch.call("switch.create", name="lan", type="internal")
        peers = {}
        for vid, address in addresses.items():
            peers[vid] = Peer(switch, vid, address)
            stack.callback(peers[vid].machine.stop)
        yield switch, peers


def add_port(switch, port, mac, **vlan):
    """A VM's port: its three descriptors."""
    return switch.call("port.add", switch="lan", port=port, mac=mac, **vlan)[1]
