#!/usr/bin/env python3
"""Cluster networks and MAC addresses with real corosync and viaductd in namespaces, without VMs that run.

Nodes have the lab's three networks, over which corosync's links run, and one more without a link: IPv4 and
IPv6 on one wire. VIADUCT_LAB_NODES says how many there are (3)."""
import json
import os
import shutil
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import SLOW, cable, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_LAB", "/var/lib/viaduct-test-lab")
N_NODES = int(os.environ.get("VIADUCT_LAB_NODES", "3"))
NAMES = [f"host{i + 1}" for i in range(N_NODES)]
STORAGE, STORAGE6 = "10.10.4.0/24", "fd00:10:4::/64"
VISIBLE_S = 1.0 * SLOW


def setup():
    need_namespaces()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    lab = Lab(DIRECTORY, bin_directory(), [(name, None) for name in NAMES], vm_memory_mib=384)
    try:
        lab.up()
        lab.name_networks()
        lab.bridges.add("stor0")
        for name in NAMES:
            connect_storage(lab, name)
        wait_for(lambda: all_up(lab, 5), 40, "five networks that are up at every node")
    except BaseException:
        lab.down()
        raise
    return lab


def connect_storage(lab, name):
    machine, number = lab.nodes[name].machine, NAMES.index(name) + 1
    cable(machine, "stor0", lab.fabric, f"stor0-{name}")
    lab.bridges.attach("stor0", f"stor0-{name}")
    machine.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/stor0/disable_ipv6")
    machine.run("ip", "addr", "add", f"10.10.4.{number}/24", "dev", "stor0")
    machine.run("ip", "addr", "add", f"fd00:10:4::{number}/64", "dev", "stor0", "nodad")


def teardown(lab):
    lab.down()


# ---- looking ----

def networks(lab, node=None):
    listed = (node or lab.first()).ask("cluster", "network", "list")["networks"]
    return {net["name"] if net["name"][:7] != "Cluster" or len(net["name"]) == 7 else net["subnet"]: net
            for net in listed}


def states(lab, node=None):
    return {name: net["state"] for name, net in networks(lab, node).items()}


def interface_states(lab, network):
    return [i["state"] for i in networks(lab)[network]["interfaces"]]


def all_up(lab, count):
    return all(len(seen) == count and set(seen.values()) == {"Up"}
               for seen in (states(lab, node) for node in lab.nodes.values()))


def wire(network):
    return {"Cluster": "clu0", "Management": "mgmt0", "Migration": "mig0"}.get(network, "stor0")


def cut(lab, network, node, up=False):
    lab.fabric.run("ip", "link", "set", f"{wire(network)}-{node}", "up" if up else "down")


def isolate(lab, network, nodes, on):
    """Those nodes do not reach each other, and everybody else."""
    for node in nodes:
        lab.fabric.run("ip", "link", "set", f"{wire(network)}-{node}", "type", "bridge_slave", "isolated",
                       "on" if on else "off")


def classes(lab, node):
    found = {}
    for entry in lab.nodes[node].ask("cluster", "network", "classes")["classes"]:
        for peer in entry["peers"]:
            found[entry["class"], peer] = entry["network"]
    return found


def path(lab, a, b):
    return lab.first().ask("network", "path", a, b)["paths"]


def usable(lab, a, b):
    return [p["network"] for p in path(lab, a, b) if p["use"] == "yes"]


def events(lab, node):
    with open(os.path.join(lab.nodes[node].directory, "log", "viaductd.log"), errors="replace") as f:
        return f.read()


def check_members(lab):
    status = lab.first().ask("cluster", "status")
    check([n["state"] for n in status["nodes"]] == ["Up"] * N_NODES, f"a node was dropped: {status['nodes']}")
    return status["generation"]


def refused(lab, code, *words, node=None):
    done = (node or lab.first()).viaduct(*words, check=False)
    check(done.returncode == code, f"{words}: exit {done.returncode}, expected {code}: {done.stderr}")
    check(done.stderr.count("\n") == 1, f"{words}: more than one line: {done.stderr}")
    return done.stderr


# ---- networks ----

def test_tables(lab):
    text = lab.first().viaduct("Get-ClusterNetwork").stdout.splitlines()
    check(text[0].split() == ["Name", "State", "Metric", "Role"], f"columns: {text[0]}")
    text = lab.first().viaduct("Get-ClusterNetworkInterface").stdout.splitlines()
    check(text[0].split() == ["Name", "Node", "Network", "State"], f"columns: {text[0]}")
    check(text[1].startswith("host1 - "), f"an interface's name: {text[1]}")
    text = lab.first().viaduct("network", "list", "--verbose").stdout.splitlines()
    check("Subnet" in text[0] and "Migration" in text[0], f"verbose columns: {text[0]}")
    metrics = [net["metric"] for net in networks(lab).values()]
    check(len(set(metrics)) == len(metrics), f"metrics are not unique: {metrics}")
    check(STORAGE6 in networks(lab), f"no IPv6 network: {list(networks(lab))}")


def time_to_see(lab, network, victim):
    """From the cut until every node shows it; each is watched by a process of its own."""
    script = ("i=0; until viaduct network list --json | grep -q Partitioned; do i=$((i + 1)); "
              "[ $i -lt 400 ] || exit 1; done")
    cut(lab, network, victim)
    begin = time.monotonic()
    watchers = [n.machine.popen("env", f"PATH={lab.bin}:{os.environ['PATH']}", "sh", "-c", script)
                for n in lab.nodes.values()]
    for watcher in watchers:
        check(watcher.wait(timeout=60) == 0, f"the cut of {network} was never seen")
    return time.monotonic() - begin


def test_cut_of_one_link(lab):
    """Seen within a second by every node, with and without a corosync link, and no node is dropped. What a busy
    machine adds is not ours: of a few tries one must be in time. Links are as new as they are, and a second cut comes right
    after the first: knet gives such links up to ten times their timeout, probes do not."""
    generation = check_members(lab)
    name = networks(lab)["Migration"]["name"]
    for network in ("Migration", STORAGE):
        tries, victim = [], NAMES[-1]
        while len(tries) < 2 or (tries[-1] >= VISIBLE_S and len(tries) < 4):
            if tries:
                cut(lab, network, victim, up=True)
                wait_for(lambda: all_up(lab, 5), 30, "the link being back")
            tries.append(time_to_see(lab, network, victim))
        print(f"      cut of {network}: Partitioned at all {N_NODES} nodes after "
              f"{', '.join(f'{t:.2f}' for t in tries)} s", flush=True)
        try:
            check(tries[-1] < VISIBLE_S, f"seen after {tries} s")
            reason = networks(lab)[network]["reason"]
            check(victim in reason and "cannot reach" in reason, f"the reason names nobody: {reason}")
            wait_for(lambda: sorted(interface_states(lab, network), reverse=True) == ["Up"] * (N_NODES - 1) + ["Failed"], 10,
                     "the failed interface")
            check(check_members(lab) == generation, "the membership changed")
            if network == STORAGE:
                wait_for(lambda: states(lab)[STORAGE6] == "Partitioned", 5, "the cut for IPv6 on the same wire")
            else:
                wait_for(lambda: f"network {name} (10.10.3.0/24) is partitioned" in events(lab, NAMES[0]), 10,
                         "the event")
                wait_for(lambda: f"mig0 of {victim} on network {name} has failed" in events(lab, victim), 10,
                         "the event of the interface")
        finally:
            cut(lab, network, victim, up=True)
        wait_for(lambda: all_up(lab, 5), 30, "all links being back")
    check(not any("is partitioned" in events(lab, n) for n in NAMES[1:]), "more than one node told of it")
    wait_for(lambda: f"network {name} (10.10.3.0/24) is up again" in events(lab, NAMES[0]), 10, "the event")
    check(check_members(lab) == generation, "the membership changed")


def test_traffic_moves_on(lab):
    """Every class goes on over the next network, requests between services too."""
    generation, victim = check_members(lab), NAMES[-1]
    before = classes(lab, "host1")
    check(before["heartbeat", victim] == "Cluster", f"heartbeats: {before}")
    check(before["migration", victim] == "Migration", f"migrations: {before}")
    check(before["management", victim] == "Cluster", f"requests: {before}")
    cut(lab, "Cluster", victim)
    begin = time.monotonic()
    wait_for(lambda: classes(lab, "host1")["heartbeat", victim] == "Management", 10, "heartbeats moving")
    now = classes(lab, "host1")
    check(now["volume", victim] != "Cluster", f"volumes: {now}")
    check(now["heartbeat", NAMES[1]] == "Cluster", f"others moved as well: {now}")
    # The other node must answer this one by itself.
    wait_for(lambda: classes(lab, "host1")["management", victim] == "Management", 10, "requests moving")
    answer = lab.first().viaduct("cluster", "network", "classes", "--node", victim, "--json", timeout=30)
    check(json.loads(answer.stdout)["node"] == victim, "the node does not answer")
    print(f"      traffic moved and answered after {time.monotonic() - begin:.2f} s", flush=True)
    check(check_members(lab) == generation, "the membership changed")
    cut(lab, "Cluster", victim, up=True)
    wait_for(lambda: all_up(lab, 5), 30, "the link being back")


def test_one_pair(lab):
    """Two nodes that do not reach each other, on a network of each kind."""
    a, b = NAMES[0], NAMES[-1]
    for network in ("Migration", STORAGE6):
        isolate(lab, network, (a, b), True)
        wait_for(lambda: states(lab)[network] == "Partitioned", 10, f"the cut on {network}")
        check(networks(lab)[network]["reason"] in (f"{a} cannot reach {b} on it", f"{b} cannot reach {a} on it"),
              networks(lab)[network]["reason"])
        expected = ["Unreachable"] + ["Up"] * (N_NODES - 2) + ["Unreachable"]
        wait_for(lambda: interface_states(lab, network) == expected, 10, f"states {expected}")
    check("Migration" not in usable(lab, a, b), "the path that is cut is offered")
    check(usable(lab, a, NAMES[1])[0] == "Migration", "others lost the path too")
    for network in ("Migration", STORAGE6):
        isolate(lab, network, (a, b), False)
    wait_for(lambda: all_up(lab, 5), 30, "the pair being back")


def test_down_and_unavailable(lab):
    for name in NAMES:
        cut(lab, STORAGE, name)
    wait_for(lambda: states(lab)[STORAGE] == "Down", 10, "Down")
    wait_for(lambda: set(interface_states(lab, STORAGE)) == {"Failed"}, 10, "all interfaces failed")
    for name in NAMES:
        cut(lab, STORAGE, name, up=True)
    wait_for(lambda: all_up(lab, 5), 30, "all being back")
    victim = lab.nodes[NAMES[-1]]
    victim.machine.run("ip", "link", "set", "stor0", "down")
    wait_for(lambda: interface_states(lab, STORAGE)[-1] == "Failed", 10, "the adapter that was switched off")
    victim.machine.run("ip", "link", "set", "stor0", "up")
    victim.machine.run("ip", "addr", "replace", f"fd00:10:4::{N_NODES}/64", "dev", "stor0", "nodad")
    wait_for(lambda: all_up(lab, 5), 30, "all being back")


def test_settings_persist(lab):
    first = lab.first()
    first.viaduct("cluster", "network", "set", STORAGE6, "--rename", "Storage", "--role", "None", "--metric", "77")
    refused(lab, 7, "cluster", "network", "set", STORAGE, "--rename", "Storage")
    refused(lab, 8, "cluster", "network", "set", "Cluster", "--role", "None")
    refused(lab, 2, "cluster", "network", "set", "Cluster", "--metric", "many")
    refused(lab, 3, "cluster", "network", "set", "Nowhere", "--metric", "5")
    victim = lab.nodes[NAMES[-1]]
    victim.kill()
    wait_for(lambda: interface_states(lab, "Storage")[-1] == "Unavailable", 20, "Unavailable")
    victim.restart()
    lab.wait_until_ready()
    connect_storage(lab, victim.name)
    wait_for(lambda: all_up(lab, 5), 40, "the node being back on all networks")
    net = networks(lab, victim)["Storage"]
    check((net["role"], net["metric"], net["auto_metric"]) == ("None", 77, False), f"settings: {net}")
    first.viaduct("cluster", "network", "set", "Storage", "--role", "ClusterAndClient", "--metric", "auto")
    check(networks(lab)["Storage"]["auto_metric"], "the metric is not automatic again")


# ---- migrations ----

def test_strict_mode(lab):
    a, b = NAMES[0], NAMES[-1]
    first = lab.first()
    check(usable(lab, a, b)[0] == "Migration", f"{path(lab, a, b)}")
    check("Management" not in usable(lab, a, b), "an excluded network is offered")
    cut(lab, "Migration", b)
    wait_for(lambda: usable(lab, a, b)[:1] not in ([], ["Migration"]), 10, "the fallback")
    first.viaduct("cluster", "network", "migration", "--strict", "on")
    check(usable(lab, a, b) == [], f"strict mode falls back: {path(lab, a, b)}")
    whys = {p["network"]: (p["use"], p["why"]) for p in path(lab, a, b)}
    check(whys["Migration"] == ("down", f"{a} cannot reach {b} on it"), f"{whys}")
    check(whys["Cluster"] == ("refused", "strict mode: it is not in the migration order"), f"{whys}")
    check(whys["Management"] == ("refused", "it is excluded from migrations"), f"{whys}")
    check("would be refused" in first.viaduct("network", "path", a, b).stdout, "no sentence")
    check(usable(lab, a, NAMES[1]) == ["Migration"], "the others cannot move either")
    first.viaduct("cluster", "network", "migration", "--order", "Migration,Cluster")
    check(usable(lab, a, b) == ["Cluster"], f"{path(lab, a, b)}")
    refused(lab, 2, "cluster", "network", "migration", "--order", "Cluster", "--exclude", "Cluster")
    refused(lab, 8, "cluster", "network", "migration", "--order", "")
    first.viaduct("cluster", "network", "migration", "--order", "Migration", "--exclude", "Management", "--strict",
                  "off")
    cut(lab, "Migration", b, up=True)
    wait_for(lambda: usable(lab, a, b)[:1] == ["Migration"], 20, "the network being back")


# ---- MAC addresses ----

def make_vm(lab, name, nic, node="host1", expected=0):
    done = lab.first().viaduct("vm", "create", name, "--node", node, "--kernel", "/bin/true", "--nic", nic,
                               check=False)
    check(done.returncode == expected, f"vm create {name}: {done.returncode} {done.stderr}")
    return done.stderr


def macs(lab):
    return {m["vm"]: m for m in lab.first().ask("mac", "list")["macs"] if "vm" in m}


def test_macs_come_from_the_nodes_range(lab):
    wait_for(lambda: len(lab.first().ask("mac", "pool", "list")["pools"]) == 1 + N_NODES, 20, "ranges of all nodes")
    make_vm(lab, "A", "switch=net", node="host1")
    make_vm(lab, "B", "switch=net", node="host2")
    found = macs(lab)
    check(found["A"]["mac"].startswith("00:15:5d:02:01:"), f"{found['A']}")
    check(found["B"]["mac"].startswith("00:15:5d:02:02:"), f"{found['B']}")
    check((found["B"]["node"], found["B"]["range"], found["B"]["static"]) == ("host2", "host2", False), f"{found}")
    error = make_vm(lab, "C", f"switch=net,mac={found['A']['mac'].upper()}", expected=7)
    check("network adapter 0 of VM A" in error, f"the holder is not named: {error}")
    make_vm(lab, "C", "switch=net,mac=02:00:00:00:00:01")
    check(macs(lab)["C"]["static"], "a chosen address is dynamic")
    lab.first().viaduct("vm", "delete", "C")


def test_pools(lab):
    first = lab.first()
    refused(lab, 2, "mac", "pool", "add", "own", "--first", "03:00:00:00:00:00", "--last", "03:00:00:00:00:01")
    refused(lab, 7, "mac", "pool", "add", "own", "--first", "00:15:5d:00:00:00", "--last", "00:15:5d:00:00:01")
    first.viaduct("mac", "pool", "add", "own", "--first", "02:aa:00:00:00:00", "--last", "02:aa:00:00:00:01")
    error = refused(lab, 8, "mac", "pool", "remove", "default")
    check("vm/A/nic0" in error or "vm/B/nic0" in error, f"no holder is named: {error}")
    first.viaduct("Set-VMHost", "-ComputerName", "host2", "-MacAddressMinimum", "02AA00000000", "-MacAddressMaximum",
                  "02AA00000001")
    held = macs(lab)["B"]["mac"]
    for name in ("D", "E"):
        make_vm(lab, name, "switch=net", node="host2")
    check({macs(lab)[n]["mac"] for n in "DE"} == {"02:aa:00:00:00:00", "02:aa:00:00:00:01"}, f"{macs(lab)}")
    make_vm(lab, "F", "switch=net", node="host2")  # its range is full: another address of the cluster
    check(macs(lab)["F"]["mac"].startswith("00:15:5d:"), f"{macs(lab)}")
    check(macs(lab)["B"]["mac"] == held, "a lease changed with the range")
    for name in "ABF":
        first.viaduct("vm", "delete", name)
    wait_for(lambda: set(macs(lab)) == {"D", "E"}, 10, "the leases going")
    first.viaduct("mac", "pool", "remove", "default")
    error = make_vm(lab, "G", "switch=net", node="host1", expected=6)
    check("own has 2 of 2 in use" in error, f"no numbers: {error}")
    first.viaduct("mac", "pool", "add", "default", "--first", "00:15:5d:00:00:00", "--last", "00:15:5d:ff:ff:ff")
    make_vm(lab, "G", "switch=net", node="host1")
    victim = lab.nodes[NAMES[-1]]
    victim.kill()
    wait_for(lambda: [n["state"] for n in first.ask("cluster", "status")["nodes"]][-1] == "Down", 20, "the node's end")
    victim.restart()
    lab.wait_until_ready()
    listed = victim.ask("mac", "list")["macs"]
    check([m["mac"] for m in listed] == [m["mac"] for m in first.ask("mac", "list")["macs"]], "leases differ")


if __name__ == "__main__":
    main(setup, teardown)
