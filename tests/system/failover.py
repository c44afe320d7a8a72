#!/usr/bin/env python3
"""What becomes of VMs when processes, nodes and networks die, in a cluster of VIADUCT_FAILOVER_NODES (3) nodes. At no
time are there two processes of one VM, stopped ones included: somebody looks all the while. KVM is
not needed: the VMs' processes are puppets (vm_puppet.c)."""
import os
import shutil
import signal
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import NETWORKS, Lab  # noqa: E402
from lablib.namespaces import SLOW, start_time, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402
from tests.support.processes import pids_of, resume  # noqa: E402
from tests.support.puppets import use_puppets  # noqa: E402

N_NODES = int(os.environ.get("VIADUCT_FAILOVER_NODES", "3"))
DIRECTORY = os.environ.get("VIADUCT_FAILOVER_LAB", f"/var/lib/viaduct-test-failover-{N_NODES}")
VM = "VM1"
PUPPET = os.path.realpath(os.path.join(os.path.dirname(bin_directory()), "puppet", "viaduct-vmhost"))
TOKEN_MS, LEASE_MS = 1000, 3000
# knet gives a link that is new up to ten times its timeout: longer than the token lasts, which then is lost with it.
KNET_SETTLES_S = 12


def vm_processes(name):
    """Pids of the processes of a VM, on whatever node; not those that have ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                words = f.read().split("\0")
            program = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            continue
        if len(words) > 1 and words[1] == f"vmhost-{name}" and program == PUPPET and start_time(pid):
            found.append(int(pid))
    return found


class Watch:
    """Looks for two processes of the same VM, all the time."""

    def __init__(self, name):
        self.name, self.looks, self.twice, self.over = name, 0, [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.is_set():
            found = vm_processes(self.name)
            self.looks += 1
            if len(found) > 1:
                self.twice.append(found)
            self.over.wait(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(10)
        check(not self.twice, f"{self.name} had processes {self.twice[:3]} at the same time")
        check(self.looks > 10, "nobody looked")


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [(f"host{i + 1}", None) for i in range(N_NODES)],
                       token_ms=TOKEN_MS, lease_ms=LEASE_MS)
        use_puppets(self.lab)
        self.lab.up()
        for name in self.lab.nodes:
            self.viaduct("switch", "create", "S", "--node", name, "--type", "private")
        self.viaduct("vm", "create", VM, "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M", "--no-video",
                     "--nic", "switch=S", "--node", "host2")
        self.viaduct("vm", "policy", VM, "--max-restarts", "100")
        self.start_on("host2")

    def node(self, *but):
        """One that answers."""
        return next(n for n in self.lab.nodes.values() if n.name not in but)

    def viaduct(self, *words, but=(), **options):
        return self.node(*but).viaduct(*words, **options)

    def vm(self, name=VM, but=()):
        return next(vm for vm in self.node(*but).ask("vm", "list")["vms"] if vm["name"] == name)

    def start_on(self, node, name=VM):
        self.viaduct("vm", "start", name, "--node", node)
        check(self.vm(name)["node"] == node and len(vm_processes(name)) == 1, f"{self.vm(name)}")

    def wait_elsewhere(self, but, since, what):
        """VM runs on another node; how long that took is printed."""
        def there():
            vm = self.vm(but=but)
            return vm["state"] == "Running" and vm["node"] not in but and vm
        vm = wait_for(there, 20, f"{VM} on another node after {what}")
        took = time.monotonic() - since
        last = self.node(*but).ask("vm", "show", VM)["vm"].get("restart", {})
        split = ", ".join(f"{k[:-3].replace('_', ' ')} {last[k] / 1e6:.0f} ms" for k in
                          ("fencing_ns", "decision_ns", "start_ns") if k in last)
        print(f"      {what}: runs on {vm['node']} after {took:.2f} s ({split})", flush=True)
        check(len(vm_processes(VM)) == 1, f"{vm_processes(VM)}")
        return vm["node"]

    def all_up(self):
        self.lab.wait_until_ready()
        check(len(vm_processes(VM)) == 1 and self.vm()["state"] == "Running", f"{self.vm()}, {vm_processes(VM)}")

    def cut(self, name, networks, cut=True):
        for adapter in networks:
            self.lab.fabric.run("ip", "link", "set", f"{adapter}-{name}", "down" if cut else "up")

    def pids(self, name, pattern):
        return pids_of(self.lab.nodes[name].machine, pattern)

    def corosync_age_s(self):
        """Of the youngest."""
        ages = [node.machine.run("ps", "-o", "etimes=", "-C", "corosync").stdout.split()
                for node in self.lab.nodes.values()]
        return min(int(age) for found in ages for age in found)

    def signal(self, name, pattern, number):
        pids = self.pids(name, pattern)
        check(pids, f"{name} has no {pattern}")
        for pid in pids:
            os.kill(pid, number)
        return pids


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_a_node_dies(env):
    owner = env.vm()["node"]
    with Watch(VM):
        since = time.monotonic()
        env.lab.nodes[owner].kill()
        env.wait_elsewhere((owner,), since, "the death of its node")
        env.lab.nodes[owner].restart()
        env.all_up()


def test_viaductd_is_killed(env):
    owner = env.vm()["node"]
    with Watch(VM):
        since = time.monotonic()
        env.signal(owner, "/viaductd ", signal.SIGKILL)
        env.wait_elsewhere((owner,), since, "the death of viaductd")
        env.lab.nodes[owner].start_viaductd()
        env.all_up()


def test_viaductd_is_killed_and_comes_back_at_once(env):
    """Its node's own word that the VM is gone is worth as much as a lease that has run out."""
    owner = env.vm()["node"]
    epoch = env.vm()["epoch"]
    with Watch(VM):
        since = time.monotonic()
        env.signal(owner, "/viaductd ", signal.SIGKILL)
        env.lab.nodes[owner].start_viaductd()
        wait_for(lambda: env.vm(but=(owner,))["state"] == "Running" and env.vm(but=(owner,))["epoch"] > epoch, 20,
                 "the restart")
        print(f"      runs on {env.vm(but=(owner,))['node']} after {time.monotonic() - since:.2f} s", flush=True)
        env.all_up()


def test_corosync_is_killed(env):
    owner = env.vm()["node"]
    with Watch(VM):
        since = time.monotonic()
        env.signal(owner, "corosync", signal.SIGKILL)
        env.wait_elsewhere((owner,), since, "the death of corosync")
        env.lab.nodes[owner].machine.run("corosync", timeout=30)
        env.all_up()


def test_one_link_is_cut(env):
    """Nothing happens but that the network is shown as what it is."""
    wait_for(lambda: env.corosync_age_s() > KNET_SETTLES_S, 30, "the settling of links")
    owner, before = env.vm()["node"], vm_processes(VM)
    other = env.node(owner)
    members = {n["name"] for n in other.ask("cluster", "status")["nodes"] if n["state"] == "Up"}
    for adapter, prefix, _, _ in NETWORKS:
        subnet = f"{prefix}.0/24"
        env.cut(owner, [adapter])
        wait_for(lambda: next(n for n in other.ask("cluster", "network", "list")["networks"]
                              if n["subnet"] == subnet)["state"] != "Up", 10, f"the loss of {subnet} being seen")
        up = {n["name"] for n in other.ask("cluster", "status")["nodes"] if n["state"] == "Up"}
        check(up == members, f"members are {up} without {subnet}")
        env.cut(owner, [adapter], False)
        wait_for(lambda: next(n for n in other.ask("cluster", "network", "list")["networks"]
                              if n["subnet"] == subnet)["state"] == "Up", 30, f"the return of {subnet}")
    check(vm_processes(VM) == before and env.vm()["node"] == owner, f"{env.vm()}")


def test_all_links_are_cut(env):
    owner = env.vm()["node"]
    with Watch(VM):
        since = time.monotonic()
        env.cut(owner, [n[0] for n in NETWORKS])
        env.wait_elsewhere((owner,), since, "the loss of all its links")
        check(not env.pids(owner, f"vmhost-{VM}"), "it still runs where it was")
        env.cut(owner, [n[0] for n in NETWORKS], False)
        env.all_up()


def test_a_node_stands_still(env):
    """With all its processes, as a machine does that is paused; then it goes on as if nothing had been."""
    owner = env.vm()["node"]
    with Watch(VM):
        since = time.monotonic()
        stopped = [p for what in ("corosync", "viaductd", "vmhost-") for p in env.pids(owner, what)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        env.wait_elsewhere((owner,), since, "a node that stands still")
        check(not env.pids(owner, f"vmhost-{VM}"), "it still is where it was, stopped")
        resume(stopped)
        env.all_up()


def test_viaductd_stands_still(env):
    """corosync still counts its node in: the lease is revoked."""
    owner = env.vm()["node"]
    with Watch(VM):
        since = time.monotonic()
        stopped = env.signal(owner, "/viaductd ", signal.SIGSTOP)
        env.wait_elsewhere((owner,), since, "a viaductd that stands still")
        resume(stopped)
        env.all_up()


def test_viaductd_of_the_first_node_stands_still(env):
    """It is the one that decides for all, and nobody writes anything that would show the others that it does not."""
    if env.vm()["node"] != "host1":
        env.viaduct("live-migrate", VM, "host1")
    digests = []

    def quiet():
        digests.append(env.node().ask("cluster", "status")["digest"])
        return len(digests) > 10 and len(set(digests[-10:])) == 1
    wait_for(quiet, 20, "a store that stays as it is")
    with Watch(VM):
        since = time.monotonic()
        stopped = env.signal("host1", "/viaductd ", signal.SIGSTOP)
        there = env.wait_elsewhere(("host1",), since, "the first node's viaductd that stands still")
        listed = env.lab.nodes[there].ask("node", "list")["nodes"]
        check(next(n for n in listed if n["name"] == "host1")["state"] == "no answer", f"{listed}")
        events = env.lab.nodes[there].ask("event", "list", "--object", "node/host1")["events"]
        check(any("stands still" in e["text"] for e in events), f"{events}")
        resume(stopped)
        env.all_up()


def test_priorities(env):
    """High before low, as far as there is room; what is not to start stays, and says so."""
    owner = env.vm()["node"]
    for name, priority in (("Low", "low"), ("Medium", "medium"), ("High", "high"), ("Never", "none")):
        env.viaduct("vm", "create", name, "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M",
                    "--no-video", "--node", owner)
        env.viaduct("vm", "policy", name, "--priority", priority)
        env.start_on(owner, name)
    survivor = env.node(owner)
    env.lab.nodes[owner].kill()
    wanted = ("Low", "Medium", "High", VM)
    wait_for(lambda: all(env.vm(n, (owner,))["state"] == "Running" and env.vm(n, (owner,))["node"] != owner
                         for n in wanted), 20, "the start of all that is wanted")
    check(env.vm("Never", (owner,))["state"] == "Unknown", f"{env.vm('Never', (owner,))}")
    survivor.viaduct("vm", "start", "Never", "--node", survivor.name)
    check(env.vm("Never", (owner,))["node"] == survivor.name, "people cannot start it")
    env.lab.nodes[owner].restart()
    env.all_up()
    for name in ("Low", "Medium", "High", "Never"):
        env.viaduct("vm", "stop", name)
        env.viaduct("vm", "delete", name)


def test_failback(env):
    """What failover took away from its preferred owner goes back to it; what people move stays."""
    owner = env.vm()["node"]
    env.viaduct("vm", "policy", VM, "--preferred", owner, "--failback", "immediate")
    env.lab.nodes[owner].kill()
    wait_for(lambda: env.vm(but=(owner,))["node"] != owner and env.vm(but=(owner,))["state"] == "Running", 20,
             "failover")
    env.lab.nodes[owner].restart()
    wait_for(lambda: env.vm(but=(owner,))["node"] == owner and env.vm(but=(owner,))["state"] == "Running", 40,
             "failback")
    env.lab.wait_until_ready()
    other = env.node(owner)
    other.viaduct("live-migrate", VM, other.name)
    check(env.vm()["node"] == other.name, f"{env.vm()}")
    env.viaduct("vm", "policy", VM, "--preferred", "", "--failback", "none")
    env.all_up()


def test_a_guest_that_does_not_answer(env):
    """It is restarted, as often as its policy allows, and only if that says so."""
    owner = env.vm()["node"]
    create = ("vm", "create", "Silent", "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M", "--no-video",
              "--cmdline", "silent", "--node", owner)
    env.viaduct(*create)
    env.start_on(owner, "Silent")
    wait_for(lambda: env.vm("Silent")["heartbeat"] == "lost", 10, "the loss of the heartbeat")
    env.viaduct("vm", "stop", "Silent")
    env.viaduct("vm", "policy", "Silent", "--heartbeat", "restart", "--max-restarts", "2")
    env.viaduct("vm", "start", "Silent", "--node", owner)

    def events(name):
        listed = env.node().ask("event", "list", "--object", "vm/Silent")["events"]
        return sum(e["id"] == name for e in listed)
    wait_for(lambda: events("vm.not-restarted") == 1, 20, "the end of restarts")
    check(events("vm.heartbeat-restarted") == 2, f"{events('vm.heartbeat-restarted')} restarts")
    env.viaduct("vm", "stop", "Silent")
    env.viaduct("vm", "delete", "Silent")


def test_too_many_restarts(env):
    owner = env.vm()["node"]
    listed = env.node().ask("event", "list", "--object", f"vm/{VM}")["events"]
    check(any(e["id"] == "vm.failed-over" for e in listed), "no event tells of what has been")
    env.viaduct("vm", "policy", VM, "--max-restarts", "1", "--restart-window", "1000000")
    env.lab.nodes[owner].kill()
    survivor = env.node(owner)
    wait_for(lambda: env.vm(but=(owner,))["state"] == "Unknown", 20, "the state becoming unknown")
    wait_for(lambda: survivor.viaduct("vm", "start", VM, "--node", survivor.name, check=False).returncode == 0, 20,
             "a start by hand")
    env.viaduct("vm", "policy", VM, "--max-restarts", "100", "--restart-window", "3600", but=(owner,))
    env.lab.nodes[owner].restart()
    env.all_up()


def test_quorum_is_lost(env):
    """Whoever is left ends its VMs; when the others are back, each runs once."""
    owner = env.vm()["node"]
    others = [n for n in env.lab.nodes.values() if n.name != owner]
    dead = others[:N_NODES // 2 + 1]
    with Watch(VM):
        for node in dead:
            node.kill()
        wait_for(lambda: not vm_processes(VM), 20, "the end of the VM")
        for node in dead:
            node.restart()
        self_started = time.monotonic()
        wait_for(lambda: len(vm_processes(VM)) == 1, 40, "the restart of the VM")
        print(f"      runs {time.monotonic() - self_started:.2f} s after the nodes were back", flush=True)
        env.lab.wait_until_ready()
        wait_for(lambda: env.vm()["state"] == "Running", 20, "its state")
        env.all_up()


if __name__ == "__main__":
    print(f"{N_NODES} nodes, token {TOKEN_MS} ms, lease {LEASE_MS} ms, times {SLOW:g}")
    main(setup, teardown)
