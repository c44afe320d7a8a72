"""The departments scenario: nine VMs of four departments on two hosts, three servers, two physical switches.

         phA (Open vSwitch) ------------------ phC (Open vSwitch)
         |    |    |    |        VLANs 2-4           |
      host1  server1..3 (VLAN 2, 3, 4)             host2
      switch A, external (pnic1)                   switch C, external (pnic1)
        VM1 VM2 Sales 2, VM3 Finance 3, VM4 HR 4     VM7 Sales 2, VM8 Finance 3, VM9 HR 4
      switch B, private
        VM5 VM6 R&D

All of them are in one IP subnet, so that nothing but the VLANs and the private switch keeps them apart.
"""
import concurrent.futures
import json
import os
import re
import sys
import time

from .capture import Capture
from .lab import Lab
from .namespaces import SLOW, end_inside, wait_for

HOSTS = [("host1", "phA"), ("host2", "phC"), ("witness", None)]
SERVERS = [("Server1", "phA", 2, "10.20.0.101"), ("Server2", "phA", 3, "10.20.0.102"),
           ("Server3", "phA", 4, "10.20.0.103")]
LOGICAL = "departments"
# name, department, host, switch, VLAN
VMS = [
    ("VM1", "Sales", "host1", LOGICAL, 2), ("VM2", "Sales", "host1", LOGICAL, 2),
    ("VM3", "Finance", "host1", LOGICAL, 3), ("VM4", "HR", "host1", LOGICAL, 4),
    ("VM5", "R&D", "host1", "B", None), ("VM6", "R&D", "host1", "B", None),
    ("VM7", "Sales", "host2", LOGICAL, 2), ("VM8", "Finance", "host2", LOGICAL, 3),
    ("VM9", "HR", "host2", LOGICAL, 4),
]
DEPARTMENT_OF_VLAN = {2: "Sales", 3: "Finance", 4: "HR"}
MEMORY = "64M"
# A slow machine needs patience, and is busy enough when a few ping at once.
PING_TIMEOUT_MS, PINGERS = (300, 12) if SLOW == 1 else (1000, 6)
DIRTY_VM, DIRTY_RATE, DIRTY_MIB = "VM1", round(2000 / SLOW), 16


def address(name):
    if name.startswith("VM"):
        return f"10.20.0.{name[2:]}"
    return next(s[3] for s in SERVERS if s[0] == name)


def department(name):
    for vm in VMS:
        if vm[0] == name:
            return vm[1]
    return DEPARTMENT_OF_VLAN[next(s[2] for s in SERVERS if s[0] == name)]


class Failed(Exception):
    """The scenario is not as it must be."""


class Departments:
    def __init__(self, directory, bin_directory, kernel):
        self.lab = Lab(directory, bin_directory, HOSTS, SERVERS, vm_memory_mib=512)
        self.kernel = kernel
        self.macs = {}

    # ---- set-up ----

    def up(self, say):
        self.lab.up(say)
        self.lab.name_networks()
        host1 = self.lab.nodes["host1"]
        host1.viaduct("switch", "create", "A", "--node", "host1", "--type", "external", "--uplink", "pnic1",
                      "--logical", LOGICAL)
        host1.viaduct("switch", "create", "B", "--node", "host1", "--type", "private")
        host1.viaduct("switch", "create", "C", "--node", "host2", "--type", "external", "--uplink", "pnic1",
                      "--logical", LOGICAL)
        host1.viaduct("volume", "create", "Volume1", "--path", self.lab.volume)

    def start_vms(self):
        host1 = self.lab.nodes["host1"]
        for name, _, host, switch, vlan in VMS:
            line = f"ip={address(name)}/24 name={name}"
            if name == DIRTY_VM:
                line += f" dirty={DIRTY_RATE} ws={DIRTY_MIB}"
            nic = f"switch={switch}" + (f",vlan={vlan}" if vlan else "")
            host1.viaduct("vm", "create", name, "--node", host, "--kernel", self.kernel, "--memory", MEMORY,
                          "--cmdline", line, "--nic", nic)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda vm: host1.viaduct("vm", "start", vm[0]), VMS))
        for vm in host1.ask("vm", "list")["vms"]:
            self.macs[vm["name"]] = vm["nics"][0]["mac"]
        wait_for(lambda: all(self.is_ready(vm[0]) for vm in VMS), 30, "the start of the guests' network")

    def is_ready(self, name):
        live = self.lab.first().ask("vm", "show", name)["vm"].get("live", {})
        return all(nic["ready"] for nic in live.get("nics", [{"ready": False}]))

    def serial(self, name, line, timeout_s=20):
        """Type a line on a VM's serial port; the guest's answer, a line beginning with ok or err."""
        out = self.lab.first().viaduct("vm", "serial", name, "--send", line, "--until", "ok |err ",
                                       "--timeout", timeout_s, timeout=timeout_s + 20).stdout
        return out.strip().splitlines()[-1]

    # ---- the isolation matrix ----

    def measure_matrix(self):
        """{(from, to): reached} by real pings from every VM to every VM and server, and from the servers."""
        names = [vm[0] for vm in VMS]
        servers = [s[0] for s in SERVERS]
        matrix = {}

        def from_vm(name):
            for to in names + servers:
                if to != name:
                    answer = self.serial(name, f"ping {address(to)} 2 {PING_TIMEOUT_MS}")
                    match = re.search(r"received=(\d+)", answer)
                    if not match:
                        raise Failed(f"{name} could not ping: {answer}")
                    matrix[name, to] = int(match.group(1)) > 0

        def from_server(name):
            for to in names:
                done = self.lab.servers[name].run("ping", "-q", "-c", "2", "-i", "0.2", "-W", f"{SLOW:g}",
                                                  address(to), check=False)
                matrix[name, to] = done.returncode == 0

        with concurrent.futures.ThreadPoolExecutor(PINGERS) as pool:
            jobs = [pool.submit(from_vm, n) for n in names] + [pool.submit(from_server, s) for s in servers]
            for job in jobs:
                job.result()
        return matrix

    @staticmethod
    def matrix_errors(matrix):
        errors = []
        for (a, b), reached in sorted(matrix.items()):
            if reached != (department(a) == department(b)):
                errors.append(f"{a} ({department(a)}) {'reaches' if reached else 'does not reach'} "
                              f"{b} ({department(b)})")
        return errors

    @staticmethod
    def matrix_text(matrix):
        names = [vm[0] for vm in VMS]
        columns = names + [s[0] for s in SERVERS]
        lines = [f"{'from':18}" + "".join(f"{c:>8}" for c in columns)]
        for a in columns:
            cells = []
            for b in columns:
                if (a, b) in matrix:
                    cells.append("yes" if matrix[a, b] else ".")
                else:
                    cells.append("")
            lines.append(f"{a + ' ' + department(a):18}" + "".join(f"{c:>8}" for c in cells))
        return "\n".join(lines)

    # ---- what must not be on the wires ----

    def make_private_noise(self):
        """R&D broadcasts, so that there is something to not see."""
        for name in ("VM5", "VM6"):
            answer = self.serial(name, "bcast 50")
            if not answer.startswith("ok"):
                raise Failed(f"{name} could not broadcast: {answer}")

    def check_wires(self, frames):
        """No frame of R&D on any wire; no VM's frame on a wire that is not a trunk."""
        private = {self.macs["VM5"], self.macs["VM6"]}
        errors = []
        for mac in private:
            seen = [f for f in frames if mac in f[3:5]]
            if seen:
                errors.append(f"{len(seen)} frames of {mac} (R&D) on wires, the first on {seen[0][1]}")
        allowed = ("pnic1-", "port-", "phA", "phC", "ovs-")
        strays = [f for f in frames if not f[1].startswith(allowed)]
        if strays:
            errors.append(f"{len(strays)} frames of VMs on wires that are not theirs, the first on {strays[0][1]}")
        if not any(f[3] == self.macs["VM1"] and f[1] == "pnic1-host1" for f in frames):
            errors.append("the capture did not even see VM1 on its own wire")
        return errors

    def check_one_place(self, frames, vm, source, target):
        """After the first frame of `vm` comes from `target`'s wire, none comes from `source`'s."""
        mac = self.macs[vm]
        before = [f[0] for f in frames if f[3] == mac and f[2] == "in" and f[1] == f"pnic1-{source}"]
        after = [f[0] for f in frames if f[3] == mac and f[2] == "in" and f[1] == f"pnic1-{target}"]
        if not before or not after:
            return [f"{vm} was seen {len(before)} times on {source}'s wire and {len(after)} times on {target}'s"]
        if max(before) > min(after):
            return [f"{vm}'s MAC was on {source}'s wire {(max(before) - min(after)) / 1e6:.1f} ms after it had "
                    f"appeared on {target}'s"]
        return []

    # ---- the move, while Server1 talks ----

    def converse(self, server, vm):
        """Start the conversation; finish() ends it and returns what it says."""
        script = os.path.join(os.path.dirname(os.path.realpath(__file__)), "conversation.py")
        process = self.lab.servers[server].popen(sys.executable, script, address(vm), "7", stdout=-1, text=True)
        line = process.stdout.readline().strip()
        if line != "talking":
            raise Failed(f"{server} cannot talk to {vm}: {line}")

        def finish():
            end_inside(process)
            out, _ = process.communicate(timeout=40)
            return json.loads(out.strip().splitlines()[-1])
        return finish

    def migrate(self, vm, target, verb="live-migrate"):
        """Move and return the job with its report."""
        done = self.lab.first().viaduct(verb, vm, target, "--json", check=False)
        if done.returncode:
            raise Failed(f"{verb} {vm} {target}: exit {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def verify_memory(self, vm):
        """The guest reads its whole working set and says how much of it is wrong."""
        answer = self.serial(vm, "verify", 60)
        match = re.search(r"pages=(\d+) bad=(\d+)", answer)
        if not match or int(match.group(1)) == 0:
            raise Failed(f"{vm} could not verify its memory: {answer}")
        return int(match.group(1)), int(match.group(2))

    def capture(self, name):
        return Capture(self.lab, name)

    def down(self):
        self.lab.down()


def settle(seconds):
    """Let a running workload run; what is measured comes afterwards."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(0.1, max(0.0, end - time.monotonic())))
