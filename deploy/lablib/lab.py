"""A whole lab: nodes, their networks, the physical switches and servers; up, down, and back from disk."""
import json
import os
import shutil
import socket
import subprocess
import time

from . import corosync
from .namespaces import SLOW, Machine, cable, wait_for
from .physical import Bridges, PhysicalSwitches

# The hosts' own networks: adapter, address prefix, name, settings. The first one carries the heartbeat.
NETWORKS = [
    ("clu0", "10.10.2", "Cluster", ["--role", "Cluster"]),
    ("mgmt0", "10.10.1", "Management", ["--role", "ClusterAndClient", "--migration-order", "-1"]),
    ("mig0", "10.10.3", "Migration", ["--role", "Cluster", "--migration-order", "1"]),
]
VLANS = "2,3,4"
DEFAULT_DIRECTORY = "/var/lib/viaduct-lab"
NODE_SETUP = """
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777,size=512m tmpfs /dev/shm
mkdir -p /etc/corosync /var/lib/corosync /var/log/corosync
mount --bind {d}/etc /etc/corosync
mount --bind {d}/lib /var/lib/corosync
mount --bind {d}/log /var/log/corosync
"""


class Node:
    """One Viaduct node."""

    def __init__(self, lab, node_id, name, physical):
        self.lab, self.id, self.name, self.physical = lab, node_id, name, physical
        self.directory = os.path.join(lab.directory, "nodes", name)
        self.machine = None

    def start(self):
        for sub in ("etc", "lib", "log", "state"):
            os.makedirs(os.path.join(self.directory, sub), exist_ok=True)
        with open(os.path.join(self.directory, "etc", "corosync.conf"), "w") as f:
            f.write(self.lab.corosync_conf)
        key = os.path.join(self.directory, "etc", "authkey")
        shutil.copy(os.path.join(self.lab.directory, "authkey"), key)
        os.chmod(key, 0o400)
        setup = NODE_SETUP.format(d=self.directory) + self.lab.node_setup
        self.machine = Machine.start(self.name, full=True, setup=setup,
                                     clock_ahead_s=self.lab.clocks_ahead_s.get(self.name, 0))
        for adapter, prefix, _, _ in NETWORKS:
            wire = f"{adapter}-{self.name}"
            cable(self.machine, adapter, self.lab.fabric, wire)
            self.lab.bridges.attach(adapter, wire)
            self.machine.run("ip", "addr", "add", f"{prefix}.{self.id}/24", "dev", adapter)
        if self.physical:
            cable(self.machine, "pnic1", self.lab.fabric, f"pnic1-{self.name}")
            self.lab.switches.add_trunk(self.physical, f"pnic1-{self.name}", VLANS)

    def environment(self):
        """Words before a command that has to have it."""
        pairs = self.lab.environments.get(self.name, {})
        return ["env", *(f"{key}={value}" for key, value in pairs.items())] if pairs else []

    def start_services(self):
        self.machine.run(*self.environment(), "corosync", timeout=30)
        self.start_viaductd()

    def start_viaductd(self, *options):
        self.machine.daemon(os.path.join(self.directory, "log", "viaductd.log"),
                            *self.environment(), os.path.join(self.lab.bin, "viaductd"),
                            "--state-dir", os.path.join(self.directory, "state"),
                            "--log-dir", os.path.join(self.directory, "log"),
                            "--vm-memory", str(self.lab.vm_memory_mib),
                            "--migration-stall", str(round(10 * SLOW)),
                            # This machine's own device is no matter of a lab.
                            "--watchdog", "none",
                            "--lease", str(min(60000, round(self.lab.lease_ms * SLOW))),
                            *self.lab.viaductd_options, *options)

    def kill(self):
        """As with a power cord."""
        self.machine.stop()

    def restart(self):
        """After kill(): the node boots again, with what it had on disk."""
        self.start()
        self.start_services()
        self.lab.save()

    def count_processes(self, pattern):
        return int(self.machine.run("pgrep", "-fc", pattern, check=False).stdout.strip() or 0)

    def viaduct(self, *words, check=True, timeout=120):
        """Run the command line on this node."""
        return self.machine.run(os.path.join(self.lab.bin, "viaduct"), *words, check=check, timeout=timeout)

    def ask(self, *words, timeout=120):
        """The same with --json, parsed."""
        return json.loads(self.viaduct(*words, "--json", timeout=timeout).stdout)


class Lab:
    """`nodes`: [(name, physical switch or None)]; `servers`: [(name, physical switch, VLAN, address)]."""

    # For tests: more of viaductd's options, more commands in the namespaces of a node.
    viaductd_options, node_setup = (), ""

    def __init__(self, directory, bin_directory, nodes, servers=(), vm_memory_mib=2048, token_ms=1000,
                 lease_ms=3000):
        # For tests: {node: {variable: value}} of its services, {node: seconds} of its machine's clock.
        self.environments, self.clocks_ahead_s = {}, {}
        self.directory, self.bin = directory, bin_directory
        self.vm_memory_mib, self.lease_ms = vm_memory_mib, lease_ms
        self.spec = {"nodes": [list(n) for n in nodes], "servers": [list(s) for s in servers],
                     "bin": bin_directory, "vm_memory_mib": vm_memory_mib, "token_ms": token_ms,
                     "lease_ms": lease_ms}
        self.corosync_conf = corosync.configuration([(i + 1, n[0]) for i, n in enumerate(nodes)],
                                                    [prefix for _, prefix, _, _ in NETWORKS], token_ms)
        self.nodes = {n[0]: Node(self, i + 1, n[0], n[1]) for i, n in enumerate(nodes)}
        self.servers = {}
        self.fabric = self.bridges = self.switches = None

    @property
    def volume(self):
        """A directory that all nodes reach."""
        return os.path.join(self.directory, "volume")

    # ---- up ----

    def up(self, say=lambda text: None):
        os.makedirs(self.directory, exist_ok=True)
        os.makedirs(self.volume, exist_ok=True)
        key = os.path.join(self.directory, "authkey")
        if not os.path.exists(key):
            subprocess.run(["corosync-keygen", "-l", "-k", key], check=True, capture_output=True, timeout=30)
        try:
            say("physical network: bridges and Open vSwitch")
            self._start_fabric()
            for spec in self.spec["servers"]:
                self._start_server(*spec)
            say(f"{len(self.nodes)} nodes: namespaces, corosync, viaductd")
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                node.start_services()
            self.save()
            self.wait_until_ready()
        except BaseException:
            self.save()
            raise

    def _start_fabric(self):
        self.fabric = Machine.start("fabric")
        self.bridges = Bridges(self.fabric)
        for adapter, _, _, _ in NETWORKS:
            self.bridges.add(adapter)
        self.switches = PhysicalSwitches(self.fabric, os.path.join(self.directory, "ovs"))
        self.switches.start()
        names = sorted({n[1] for n in self.spec["nodes"] if n[1]} | {s[1] for s in self.spec["servers"]})
        for name in names:
            self.switches.add_switch(name)
        for a, b in zip(names, names[1:]):
            self.switches.connect(a, b, VLANS)

    def _start_server(self, name, physical, vlan, address):
        machine = Machine.start(name)
        cable(machine, "eth0", self.fabric, f"port-{name}")
        self.switches.add_access(physical, f"port-{name}", vlan)
        machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self.servers[name] = machine

    def wait_until_ready(self, seconds=40):
        """Until every node says that every node is up and the store in sync."""
        def ready():
            for node in self.nodes.values():
                done = node.viaduct("cluster", "status", "--json", check=False)
                if done.returncode:
                    return False
                status = json.loads(done.stdout)
                if not status["quorate"] or not status["synced"]:
                    return False
                if any(n["state"] != "Up" for n in status["nodes"]):
                    return False
            return True
        wait_for(ready, seconds, "the forming of the cluster")

    def name_networks(self):
        """Give the cluster networks their names, roles and the migration its own."""
        node = self.first()
        wait_for(lambda: len(node.ask("cluster", "network", "list")["networks"]) >= len(NETWORKS), 20,
                 "the discovery of the cluster networks")
        for _, prefix, name, settings in NETWORKS:
            node.viaduct("cluster", "network", "set", f"{prefix}.0/24", "--rename", name, *settings)

    def first(self):
        return next(iter(self.nodes.values()))

    # ---- down ----

    def down(self):
        machines = [n.machine for n in self.nodes.values()] + list(self.servers.values()) + [self.fabric]
        for machine in machines:
            if machine:
                machine.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- on disk, for `deploy/lab exec` and `deploy/lab down` ----

    def save(self):
        state = {"spec": self.spec, "time": time.time(),
                 "fabric": self.fabric.to_dict() if self.fabric else None,
                 "nodes": {n.name: n.machine.to_dict() for n in self.nodes.values() if n.machine},
                 "servers": {name: m.to_dict() for name, m in self.servers.items()}}
        path = os.path.join(self.directory, "lab.json")
        with open(path + ".new", "w") as f:
            json.dump(state, f, indent=1)
        os.rename(path + ".new", path)

    @classmethod
    def load(cls, directory):
        with open(os.path.join(directory, "lab.json")) as f:
            state = json.load(f)
        spec = state["spec"]
        lab = cls(directory, spec["bin"], spec["nodes"], spec["servers"], spec["vm_memory_mib"],
                  spec["token_ms"], spec["lease_ms"])
        if state["fabric"]:
            lab.fabric = Machine.from_dict(state["fabric"])
            lab.bridges = Bridges(lab.fabric)
            lab.switches = PhysicalSwitches(lab.fabric, os.path.join(directory, "ovs"))
        for name, d in state["nodes"].items():
            lab.nodes[name].machine = Machine.from_dict(d)
        lab.servers = {name: Machine.from_dict(d) for name, d in state["servers"].items()}
        return lab

    def machine(self, name):
        if name in self.nodes:
            return self.nodes[name].machine
        if name == "fabric":
            return self.fabric
        return self.servers.get(name)

    def exists(self):
        return os.path.exists(os.path.join(self.directory, "lab.json"))


def lock(directory):
    """Only one user of a lab directory at a time; held until the process ends. Leaves nothing behind."""
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind(f"\0viaduct-lab:{os.path.realpath(directory)}")
    except OSError:
        s.close()
        raise BlockingIOError(f"the lab in {directory} is in use") from None
    return s
