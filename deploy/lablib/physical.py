"""The physical network of the lab: plain bridges for the hosts' own networks, and Open vSwitch, an
independent implementation, as the physical switches that VLANs must get along with."""
import os

from .namespaces import wait_for

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class Bridges:
    """One plain bridge for each network of the hosts, all in one namespace."""

    def __init__(self, machine):
        self.machine = machine

    def add(self, network):
        self.machine.run("ip", "link", "add", f"br-{network}", "type", "bridge", "mcast_snooping", "0")
        self.machine.run("ip", "link", "set", f"br-{network}", "up")

    def attach(self, network, port):
        self.machine.run("ip", "link", "set", port, "master", f"br-{network}")


class PhysicalSwitches:
    """Open vSwitch without its kernel module, in the namespace of `machine`."""

    def __init__(self, machine, directory):
        self.machine, self.directory = machine, directory
        self.socket = os.path.join(directory, "db.sock")

    def _environment(self):
        return ["env", f"OVS_RUNDIR={self.directory}", f"OVS_DBDIR={self.directory}",
                f"OVS_LOGDIR={self.directory}"]

    def start(self, segmentation=True):
        """`segmentation`: 64 KiB segments and partial checksums pass through, as they do inside a real adapter."""
        os.makedirs(self.directory, exist_ok=True)
        database = os.path.join(self.directory, "conf.db")
        self.machine.run("ovsdb-tool", "create", database, SCHEMA)
        self.machine.daemon(os.path.join(self.directory, "ovsdb.log"), *self._environment(),
                            "ovsdb-server", database, f"--remote=punix:{self.socket}")
        wait_for(lambda: os.path.exists(self.socket), 10, "the start of ovsdb-server")
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".",
                   f"other_config:userspace-tso-enable={'true' if segmentation else 'false'}")
        self.machine.daemon(os.path.join(self.directory, "vswitchd.log"), *self._environment(),
                            "ovs-vswitchd", f"unix:{self.socket}")

    def vsctl(self, *words):
        return self.machine.run("ovs-vsctl", "--timeout=20", f"--db=unix:{self.socket}", *words)

    def add_switch(self, name):
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")

    def add_access(self, switch, port, vlan):
        self.vsctl("--may-exist", "add-port", switch, port, f"tag={vlan}")

    def add_trunk(self, switch, port, vlans):
        self.vsctl("--may-exist", "add-port", switch, port, f"trunks={vlans}", "vlan_mode=trunk")

    def connect(self, a, b, vlans):
        """A trunk cable between two switches."""
        for here, there in ((a, b), (b, a)):
            port, peer = f"{here}-{there}", f"{there}-{here}"
            self.vsctl("add-port", here, port, f"trunks={vlans}", "vlan_mode=trunk", "--", "set", "interface",
                       port, "type=patch", f"options:peer={peer}")
