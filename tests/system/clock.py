#!/usr/bin/env python3
"""Clocks that are wrong change nothing. The wall clock of one node jumps by days while a VM runs there
(shifted_clock.c); that of another one, which counts from its start, is a hundred days ahead of the others' all the
time (a time namespace). KVM is not needed: the VMs' processes are puppets (vm_puppet.c)."""
import os
import shutil
import struct
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import SLOW, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, skip, with_lab  # noqa: E402
from tests.support.processes import pids_of  # noqa: E402
from tests.support.puppets import use_puppets  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_CLOCK_LAB", "/var/lib/viaduct-test-clock")
VM = "VM1"
DAY = 86400
AHEAD_S = 100 * DAY
LEASE_MS = 3000
SHIFTED, AHEAD = "host2", "host3"
LIBRARY = os.path.join(os.path.dirname(bin_directory()), "puppet", "shifted_clock.so")
# What would show that a jump was noticed.
TROUBLE = ("node.left", "node.joined", "quorum.lost", "quorum.regained", "store.copy-differs", "service.started",
           "vm.failed", "vm.failed-over", "vm.not-restarted", "vm.ownership-lost", "vm.started")


class Env:
    def __init__(self):
        need_namespaces()
        if not os.path.exists(LIBRARY):
            skip(f"{LIBRARY} is missing")
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [(f"host{i + 1}", None) for i in range(3)], lease_ms=LEASE_MS)
        use_puppets(self.lab)
        # A copy, where whoever the VMs' processes run as may read it.
        self.preload = shutil.copy(LIBRARY, DIRECTORY)
        self.shift_file = os.path.join(DIRECTORY, "shift")
        with open(self.shift_file, "wb") as f:
            f.write(struct.pack("=q", 0))
        self.lab.environments = {SHIFTED: {"LD_PRELOAD": self.preload, "SHIFTED_CLOCK": self.shift_file}}
        self.has_time_namespaces = os.path.exists("/proc/self/ns/time")
        if self.has_time_namespaces:
            self.lab.clocks_ahead_s = {AHEAD: AHEAD_S}
        self.lab.up()
        self.changes = 0
        for name in self.lab.nodes:
            self.lab.first().viaduct("switch", "create", "S", "--node", name, "--type", "private")
        self.lab.first().viaduct("vm", "create", VM, "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M",
                                 "--no-video", "--nic", "switch=S", "--node", SHIFTED)
        self.lab.first().viaduct("vm", "start", VM, "--node", SHIFTED)

    def node(self, *but):
        return next(n for n in self.lab.nodes.values() if n.name not in but)

    def vm(self, but=()):
        return next(vm for vm in self.node(*but).ask("vm", "list")["vms"] if vm["name"] == VM)

    def events(self, *words, but=()):
        return self.node(*but).ask("event", "list", "--limit", "300", *words)["events"]

    def pids(self, name=SHIFTED, pattern=f"vmhost-{VM}"):
        return pids_of(self.lab.nodes[name].machine, pattern)

    def change(self, node):
        """A write by this node that changes something; its audit, which has the node's time."""
        self.changes += 1
        node.viaduct("vm", "policy", VM, "--restart-window", str(3600 + self.changes))

        def audit():
            listed = node.ask("event", "list", "--audit", "--node", node.name, "--object", f"vm/{VM}")["events"]
            return next((e for e in listed if str(3600 + self.changes) in e["request"]), None)
        return wait_for(audit, 20, f"the audit of change {self.changes} on {node.name}")

    def clock_ahead(self):
        """By how much the clock is, on the node where it jumps."""
        return self.change(self.lab.nodes[SHIFTED])["time_ms"] / 1000 - time.time()

    def shift(self, seconds):
        """Files are mapped: from here on, for all processes of the node."""
        with open(self.shift_file, "r+b", buffering=0) as f:
            f.write(struct.pack("=q", seconds))
        ahead = self.clock_ahead()
        check(abs(ahead - seconds) < 60, f"the clock is {ahead:.0f} s ahead, not {seconds}")

    def all_in_sync(self):
        def same():
            statuses = [n.ask("cluster", "status") for n in self.lab.nodes.values()]
            return all(s["synced"] for s in statuses) and len({s["digest"] for s in statuses}) == 1
        wait_for(same, 20, "one store on all nodes")

    def live_migrate(self, to):
        if self.vm()["node"] != to:
            self.lab.first().viaduct("live-migrate", VM, to)
        check(self.vm()["node"] == to, f"{self.vm()}")

    def wait_elsewhere(self, but):
        def there():
            vm = self.vm(but=(but,))
            return vm["state"] == "Running" and vm["node"] != but and vm
        return wait_for(there, 20, f"{VM} away from {but}")["node"]

    def back(self, name):
        self.lab.nodes[name].restart()
        self.lab.wait_until_ready()


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def trouble(env):
    return [(e["node"], e["sequence"]) for e in env.events() if e["id"] in TROUBLE]


def jump(env, seconds):
    """Nothing but the times that are shown is another, for longer than a lease lasts."""
    pids, vm, before = env.pids(), env.vm(), trouble(env)
    check(len(pids) == 1 and vm["node"] == SHIFTED and vm["state"] == "Running", f"{vm}, {pids}")
    env.shift(seconds)
    end = time.monotonic() + 2.5 * LEASE_MS / 1000 * SLOW
    while time.monotonic() < end:
        for node in env.lab.nodes.values():
            env.change(node)
        check(env.pids() == pids, f"processes of {VM} were {pids} and are {env.pids()}")
        status = env.lab.nodes[SHIFTED].ask("cluster", "status")
        check(status["quorate"] and all(n["state"] == "Up" for n in status["nodes"]), f"{status}")
    env.all_in_sync()
    check(trouble(env) == before, f"{[e for e in env.events() if (e['node'], e['sequence']) not in before]}")
    now = env.vm()
    check(now["node"] == SHIFTED and now["state"] == "Running" and now["epoch"] == vm["epoch"], f"{vm}, then {now}")


def test_all_processes_have_that_clock(env):
    for pattern in ("corosync", "/viaductd ", f"vmhost-{VM}"):
        pids = env.pids(pattern=pattern)
        check(pids, f"no {pattern}")
        for pid in pids:
            with open(f"/proc/{pid}/maps") as f:
                maps = f.read()
            check(env.preload in maps and env.shift_file in maps, f"{pattern} has the machine's own clock")
    check(abs(env.clock_ahead()) < 60, "the clock is wrong before anything has set it")


def test_clocks_from_the_start_differ(env):
    """Their absolute values are never compared between nodes: all that follows works."""
    if not env.has_time_namespaces:
        skip("this kernel has no time namespaces")

    def uptime(name):
        return float(env.lab.nodes[name].machine.run("cat", "/proc/uptime").stdout.split()[0])
    check(abs(uptime(AHEAD) - uptime("host1") - AHEAD_S) < 600, f"{uptime(AHEAD)}, {uptime('host1')}")


def test_a_day_ahead(env):
    jump(env, DAY)


def test_two_days_back(env):
    jump(env, -DAY)


def test_ten_years_ahead_and_back(env):
    jump(env, 3650 * DAY)
    jump(env, 0)


def test_moves(env):
    for seconds in (DAY, -DAY):
        env.shift(seconds)
        env.live_migrate(AHEAD)
        env.live_migrate(SHIFTED)


def test_events_are_in_the_order_in_which_they_happened(env):
    env.shift(DAY)
    env.shift(0)
    for words in ((), ("--node", SHIFTED)):
        listed = [e for e in env.events("--all", *words) if e["node"] == SHIFTED]
        sequences = [e["sequence"] for e in listed]
        check(sequences == sorted(sequences), f"{words}: {sequences}")
        steps = [b["time_ms"] - a["time_ms"] for a, b in zip(listed, listed[1:])]
        check(max(steps) > DAY * 500 and min(steps) < -DAY * 500, f"no jumps among {len(listed)} events")


def test_restarts_noted_by_a_wrong_clock(env):
    """One restart an hour: what was noted a day ahead does not keep the VM off for that day. What was noted since
    counts."""
    env.live_migrate(AHEAD)
    env.lab.first().viaduct("vm", "policy", VM, "--preferred", f"{SHIFTED},{AHEAD}", "--max-restarts", "100")
    env.shift(DAY)
    env.lab.nodes[AHEAD].kill()
    check(env.wait_elsewhere(AHEAD) == SHIFTED, f"{env.vm(but=(AHEAD,))}")
    env.back(AHEAD)
    env.shift(0)
    env.lab.first().viaduct("vm", "policy", VM, "--restart-window", "600", "--max-restarts", "1")
    env.lab.nodes[SHIFTED].kill()
    owner = env.wait_elsewhere(SHIFTED)
    env.back(SHIFTED)

    def refusals():
        return sum(e["id"] == "vm.not-restarted" for e in env.events(but=(owner,)))
    before = refusals()
    env.lab.nodes[owner].kill()
    wait_for(lambda: refusals() > before, 20, "a restart that is one too many")
    check(env.vm(but=(owner,))["state"] == "Unknown", f"{env.vm(but=(owner,))}")
    env.node(owner).viaduct("vm", "policy", VM, "--max-restarts", "100")
    env.wait_elsewhere(owner)
    env.back(owner)
    env.all_in_sync()


def test_failover_after_a_jump(env):
    env.live_migrate(SHIFTED)
    env.shift(-DAY)
    env.lab.nodes[SHIFTED].kill()
    env.wait_elsewhere(SHIFTED)
    env.back(SHIFTED)
    env.shift(0)


if __name__ == "__main__":
    main(setup, teardown)
