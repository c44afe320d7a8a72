#!/usr/bin/env python3
"""Where VMs can run, in a cluster of three nodes: what a node lacks is said as it is and as soon as it is so. KVM is not
needed: the VMs' processes are puppets (vm_puppet.c), and a file stands in for /dev/kvm. host1 and host2 have the switch
'lan' on physical switches, host3 has none."""
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_PLACEMENT_LAB", "/var/lib/viaduct-test-placement")
NODES = ("host1", "host2", "host3")
MEMORY_MIB = 512
NO_SWITCH = "it has no switch called 'lan', nor one with that logical name"
# A /dev of the node's own with something in KVM's place, which the puppets do not use.
DEVICES = """
mkdir -p /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs -o mode=755 tmpfs /dev && mkdir /dev/net /dev/shm
for d in null zero full random urandom net/tun; do touch /dev/$d; mount --bind /run/dev/$d /dev/$d; done
mount --bind /run/dev/shm /dev/shm
touch /dev/kvm
"""


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", "phA"), ("host2", "phC"), ("host3", None)],
                       vm_memory_mib=MEMORY_MIB)
        self.lab.up()
        self.libexec = os.path.join(DIRECTORY, "libexec")
        os.mkdir(self.libexec)
        os.symlink(os.path.join(os.path.dirname(bin_directory()), "puppet", "viaduct-vmhost"),
                   os.path.join(self.libexec, "viaduct-vmhost"))
        os.symlink(os.path.join(bin_directory(), "viaduct-vswitchd"), os.path.join(self.libexec, "viaduct-vswitchd"))
        for node in self.lab.nodes.values():
            self.with_puppets(node)
        self.lab.wait_until_ready()
        self.node = self.lab.first()
        for name in ("host1", "host2"):
            self.viaduct("switch", "create", "lan", "--node", name, "--type", "external", "--uplink", "pnic1")
        self.viaduct("volume", "create", "Volume1", "--path", self.lab.volume)
        self.create("VM1", "--nic", "switch=lan,vlan=2")

    def with_puppets(self, node):
        node.machine.run("sh", "-ec", DEVICES)
        node.machine.run("kill", node.machine.run("pgrep", "-x", "viaductd").stdout.strip())
        wait_for(lambda: node.count_processes("^[^ ]*viaductd ") == 0, 10, "the end of viaductd")
        node.start_viaductd("--libexec-dir", self.libexec)

    def viaduct(self, *words, **options):
        return self.node.viaduct(*words, **options)

    def create(self, vm, *options, memory="64M"):
        self.viaduct("vm", "create", vm, "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", memory,
                     "--no-video", *options)

    def row(self, vm, node=None):
        return (node or self.node).ask("vm", "where", vm)["vms"][0]

    def where(self, vm, node=None):
        """{node: [reason]}"""
        return {n["node"]: n["reasons"] for n in self.row(vm, node)["nodes"]}

    def expect(self, vm, reasons, seconds=30):
        """Until all nodes say so of `vm`; what `reasons` does not name is OK."""
        wanted = {name: reasons.get(name, []) for name in NODES}

        def found():
            return [self.where(vm, node) for node in self.lab.nodes.values() if node.machine]
        try:
            wait_for(lambda: all(f == wanted for f in found()), seconds, f"{wanted}")
        except Exception as e:
            raise AssertionError(f"{vm}: {found()}, not {wanted}") from e

    def events(self, text):
        """How often host1 has said so."""
        with open(os.path.join(self.node.directory, "log", "viaductd.log")) as log:
            return log.read().count(text)


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_facts_appear(env):
    env.expect("VM1", {"host3": [NO_SWITCH]})
    row = env.row("VM1")
    check(row["node"] == "host1" and not row["running"] and row["chosen"] == "host1", f"{row}")
    text = env.viaduct("vm", "where", "VM1").stdout
    check([line.split()[:2] for line in text.splitlines()[:2]] == [["Node", "Can"], ["host1", "*"]], text)
    check("\nhost2    OK\n" in text and text.endswith("\nVM1 would be started on host1.\n"), text)


def test_memory_and_processors(env):
    env.create("Big", memory="600M")
    env.expect("Big", {name: ["it has 512 MiB free of 512 MiB, Big needs 600 MiB"] for name in NODES})
    check(env.row("Big")["chosen"] == "", "somebody would take it")
    env.create("Half", "--node", "host2", memory="300M")
    env.create("Other", memory="300M")
    env.expect("Other", {})
    env.viaduct("vm", "start", "Half")
    env.expect("Other", {"host2": ["it has 212 MiB free of 512 MiB, Other needs 300 MiB"]})
    env.expect("Half", {})
    check(env.row("Half")["chosen"] == "host1", f"{env.row('Half')}")
    env.viaduct("vm", "stop", "Half")
    env.expect("Other", {})
    cpus = os.cpu_count()
    if cpus < 64:
        env.create("Wide", "--vps", str(cpus + 1))
        has = f"it has {cpus} processor{'s' if cpus > 1 else ''}, Wide has {cpus + 1} virtual ones"
        env.expect("Wide", {name: [has] for name in NODES})


def test_vlans(env):
    env.create("VM3", "--nic", "switch=lan,vlan=3")
    env.expect("VM3", {"host3": [NO_SWITCH]})
    env.lab.switches.vsctl("set", "port", "pnic1-host2", "trunks=2,4")
    try:
        env.expect("VM3", {"host2": ["switch lan does not reach VLAN 3"], "host3": [NO_SWITCH]}, 60)
        env.expect("VM1", {"host3": [NO_SWITCH]})
    finally:
        env.lab.switches.vsctl("set", "port", "pnic1-host2", "trunks=2,3,4")
    env.expect("VM3", {"host3": [NO_SWITCH]}, 60)


def test_volumes(env):
    image = os.path.join(env.lab.volume, "disk.img")
    with open(image, "wb") as f:
        f.truncate(1 << 20)
    env.create("Disk", "--disk", image)
    env.expect("Disk", {})
    host2 = env.lab.nodes["host2"].machine
    host2.run("mount", "-t", "tmpfs", "tmpfs", env.lab.volume)
    why = f"volume Volume1 is not reachable: {env.lab.volume} is not this volume; is it mounted?"
    env.expect("Disk", {"host2": [why]})
    host2.run("umount", env.lab.volume)
    env.expect("Disk", {})


def test_limit(env):
    for name in ("A", "B"):
        env.create(name, "--node", "host3")
    env.viaduct("vm", "start", "A")
    said = env.viaduct("node", "set", "host3", "--max-vms", "1").stdout
    check(said == "host3 runs at most 1 VM; what runs there already goes on\n", said)
    full = "it runs 1 VM already, and 1 is its limit"
    env.expect("B", {"host3": [full]})
    env.expect("A", {})
    refused = env.viaduct("vm", "start", "B", check=False)
    check(refused.returncode == 6 and "host3 runs 1 VM already, and 1 is its limit" in refused.stderr, f"{refused}")
    # Neither what moves, nor what is drained: its target is another one.
    env.viaduct("vm", "start", "B", "--node", "host1")
    moved = env.viaduct("live-migrate", "B", "host3", check=False)
    check(moved.returncode == 6 and full[3:] in moved.stderr, f"{moved}")
    plan = env.node.ask("node", "drain", "host1", "--dry-run")["plan"]
    check([step["to"] for step in plan["steps"] if step["vm"] == "B"] == ["host2"], f"{plan}")
    node = env.node.ask("node", "show", "host3")
    check(node["max_vms"] == 1 and node["running"] == 1, f"{node}")
    check("\nVMs       1 run here, 1 may\n" in env.viaduct("node", "show", "host3").stdout, "node show")
    check(" 1 / 1 " in env.viaduct("node", "list").stdout, "node list")
    # The limit of a node that restarts is what it was; what runs is no matter of it.
    for words, code in ((("host3", "--max-vms", "0"), 2), (("host3", "--max-vms", "few"), 2), (("host9", "--max-vms", "1"), 3),
                        (("host3",), 2)):
        done = env.viaduct("node", "set", *words, check=False)
        check(done.returncode == code and done.stderr.count("\n") == 1, f"{words}: {done.returncode}, {done.stderr}")
    env.viaduct("node", "set", "host3", "--max-vms", "none")
    env.expect("B", {})
    for name in ("A", "B"):
        env.viaduct("vm", "stop", name)
        env.viaduct("vm", "delete", name)


def test_policy(env):
    env.viaduct("vm", "policy", "Disk", "--possible", "host2,host3", "--preferred", "host3", "--priority", "high",
                "--apart", "dc", "--failback", "22-6", "--max-restarts", "5", "--restart-window", "600",
                "--heartbeat", "restart")
    env.expect("Disk", {"host1": ["it is not among Disk's possible owners"]})
    check(env.row("Disk")["chosen"] == "host3", f"{env.row('Disk')}")
    policy = env.node.ask("vm", "policy", "Disk")["policies"][0]
    check(policy == {"priority": "high", "preferred": ["host3"], "possible": ["host2", "host3"], "anti_affinity": "dc",
                     "failback": "22-6", "max_restarts": 5, "restart_window_s": 600, "heartbeat": "restart",
                     "vm": "Disk"}, f"{policy}")
    lines = env.viaduct("vm", "policy").stdout.splitlines()
    check(["Disk", "high", "host3", "host2,host3", "dc", "22-6", "5", "in", "600", "s", "restart"] in
          [line.split() for line in lines], f"{lines}")
    env.viaduct("vm", "policy", "Disk", "--possible", "all", "--preferred", "none", "--apart", "none")
    env.expect("Disk", {})
    env.viaduct("Set-ClusterOwnerNode", "-Group", "Disk", "-Owners", "host2,host1")
    check(env.node.ask("Get-ClusterOwnerNode", "-Group", "Disk")["policies"][0]["preferred"] == ["host2", "host1"],
          "by the names of cmdlets")
    for code, words in ((3, ("Disk", "--possible", "host9")), (3, ("nobody", "--priority", "low")),
                        (2, ("Disk", "--failback", "25-3")), (2, ("Disk", "--priority", "urgent")),
                        (2, ("Disk", "--possible", "host3")), (2, ("Disk", "--max-restarts", "many")),
                        (2, ("--priority", "low"))):
        done = env.viaduct("vm", "policy", *words, check=False)
        check(done.returncode == code and done.stderr.count("\n") == 1, f"{words}: {done.returncode}, {done.stderr}")
    env.viaduct("vm", "delete", "Disk")
    env.create("Disk")
    check(env.node.ask("vm", "policy", "Disk")["policies"][0]["priority"] == "medium", "it came back with its policy")


def test_the_table_of_all(env):
    vms = {vm["vm"]: vm for vm in env.node.ask("vm", "where")["vms"]}
    check({"VM1", "Big", "Other", "VM3", "Disk"} <= set(vms) and len(vms["VM1"]["nodes"]) == 3, f"{vms}")
    lines = env.viaduct("vm", "where").stdout.splitlines()
    rows = {line.split()[0]: line for line in lines}
    check(rows["VM1"].split()[1:] == ["host1", "(off)", "host1,host2", "host1", "host3", "(1", "reason)"], rows["VM1"])
    check("nowhere" in rows["Big"] and rows["Big"].count("(1 reason)") == 3, rows["Big"])


def test_nowhere_to_go_is_said_once(env):
    env.viaduct("vm", "start", "VM1")
    lost, back = "no other node can take VM1 any more", "VM1 can move again, to host2"
    # The watch must have seen that it could go somewhere: it says so of what changes only.
    wait_for(lambda: env.row("VM1")["running"] and env.row("VM1")["chosen"] == "host2", 20, "a way to go")

    def event(text, n, seconds=30):
        wait_for(lambda: env.events(text) == n, seconds, f"event {n}: {text}")

    n_back = 0
    env.viaduct("vm", "policy", "VM1", "--possible", "host1")
    try:
        event(lost, 1, 10)
    except TimeoutError:
        # It looked first when that was so already. It has looked by now, so the way back is news.
        env.viaduct("vm", "policy", "VM1", "--possible", "all")
        n_back += 1
        event(back, n_back)
        env.viaduct("vm", "policy", "VM1", "--possible", "host1")
        event(lost, 1)
    why = "host2: it is not among VM1's possible owners; host3: it is not among VM1's possible owners"
    check(env.events(f"{lost}: {why} (vm.nowhere-to-go)") == 1, "what the event says")
    env.viaduct("vm", "policy", "VM1", "--possible", "all")
    event(back, n_back + 1)
    check(env.events(lost) == 1, "more than once")


def test_a_node_that_is_down(env):
    env.lab.nodes["host2"].kill()
    env.lab.nodes["host2"].machine = None
    env.expect("VM1", {"host2": ["it is down"], "host3": [NO_SWITCH]})
    check(env.row("VM1")["chosen"] == "", f"{env.row('VM1')}")
    check("No other node can take VM1." in env.viaduct("vm", "where", "VM1").stdout, "the last line")
    env.lab.nodes["host2"].restart()
    # This time without anything in KVM's place.
    wait_for(lambda: not any("down" in r for r in env.where("VM1")["host2"]), 60, "its return")


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
