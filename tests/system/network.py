#!/usr/bin/env python3
"""Switches by the command line, on two nodes with a physical switch each: uplinks and teams, several adapters of the
host, names, VLAN probes, traces, captures. The host's own adapters are the traffic's ends, so no VM is needed."""
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import SLOW, cable, end_inside, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_NETWORK_LAB", "/var/lib/viaduct-test-network")
REFUSED, USAGE, NOT_FOUND = 8, 2, 3


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", "phA"), ("host2", "phC"), ("witness", None)])
        self.lab.up()
        self.host1, self.host2 = self.lab.nodes["host1"], self.lab.nodes["host2"]

    def fail(self, code, *words, node=None):
        done = (node or self.host1).viaduct(*words, check=False)
        check(done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
        return done.stderr

    def switch(self, name, node=None):
        node = node or self.host1
        return next((s for s in node.ask("switch", "list", "--node", node.name)["switches"]
                     if s["name"] == name and s["node"] == node.name), None)

    def port(self, switch, port, node=None):
        found = self.switch(switch, node)
        return next((p for p in (found or {}).get("ports", []) if p["id"] == port), None)

    def pings(self, node, address, count=1):
        return node.machine.run("ping", "-c", str(count), "-i", "0.2", "-W", str(round(2 * SLOW)), address,
                                check=False).returncode == 0

    def address(self, node, interface, address):
        wait_for(lambda: node.machine.run("ip", "link", "show", interface, check=False).returncode == 0, 10,
                 f"{interface} on {node.name}")
        node.machine.run("ip", "addr", "replace", address, "dev", interface)


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_external_switches_connect_hosts(env):
    env.host1.viaduct("switch", "create", "A", "--type", "external", "--uplink", "pnic1", "--logical", "lan",
                      "--management", "2")
    env.host1.viaduct("switch", "create", "C", "--node", "host2", "--type", "external", "--uplink", "pnic1",
                      "--logical", "lan", "--management", "2")
    env.address(env.host1, "vs-A", "10.30.2.1/24")
    env.address(env.host2, "vs-C", "10.30.2.2/24")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer over the physical switches")


def test_several_adapters(env):
    for vlan in (3, 4):
        env.host1.viaduct("switch", "adapter", "add", "A", f"net{vlan}", "--vlan", str(vlan))
        env.host2.viaduct("switch", "adapter", "add", "C", f"net{vlan}", "--vlan", str(vlan))
        env.address(env.host1, f"vs-net{vlan}", f"10.30.{vlan}.1/24")
        env.address(env.host2, f"vs-net{vlan}", f"10.30.{vlan}.2/24")
        wait_for(lambda v=vlan: env.pings(env.host1, f"10.30.{v}.2"), 20, f"an answer in VLAN {vlan}")
    env.host1.viaduct("switch", "adapter", "set", "A", "net4", "--vlan", "3")
    wait_for(lambda: not env.pings(env.host1, "10.30.4.2"), 20, "the end of VLAN 4")
    env.host1.viaduct("switch", "adapter", "remove", "A", "net4")
    wait_for(lambda: env.host1.machine.run("ip", "link", "show", "vs-net4", check=False).returncode, 10,
             "the adapter's end")
    for vlan in ("0", "4095", "4096", "-1"):
        env.fail(USAGE, "switch", "adapter", "add", "A", "bad", "--vlan", vlan)


def test_probe(env):
    result = env.host1.ask("switch", "probe", "A", "--to", "host2", "--vlans", "2-4")
    check(result["vlans"] == [{"vlan": v, "there": True, "back": True} for v in (2, 3, 4)], f"{result}")
    result = env.host1.ask("switch", "probe", "A", "--to", "host2")
    check([v["vlan"] for v in result["vlans"]] == [2, 3], f"not what the host's adapters use: {result}")
    env.lab.switches.vsctl("set", "port", "pnic1-host2", "trunks=2,4")
    try:
        done = env.host1.viaduct("switch", "probe", "A", "--to", "host2", "--vlans", "2-4", check=False)
        check(done.returncode == REFUSED, f"exit {done.returncode}: {done.stdout}")
        rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:] if line.strip()}
        check(rows["3"][:3] == ["no", "no", "cut"] and rows["2"][2] == "reaches" and rows["4"][2] == "reaches",
              done.stdout)
    finally:
        env.lab.switches.vsctl("set", "port", "pnic1-host2", "trunks=2,3,4")
    env.fail(NOT_FOUND, "switch", "probe", "A", "--to", "nowhere")
    env.fail(NOT_FOUND, "switch", "probe", "Z", "--to", "host2")
    env.fail(USAGE, "switch", "probe", "A", "--to", "host2", "--vlans", "0-4")


def test_addresses_are_known(env):
    check(env.pings(env.host1, "10.30.2.2"), "no answer")
    entries = env.host1.ask("switch", "addresses", "A")
    own = [e for e in entries if e["static"]]
    learned = [e for e in entries if not e["static"] and e["vlan"] == 2]
    check(len(own) == 2 and {e["vlan"] for e in own} == {2, 3}, f"{own}")
    check(any(e["port"] == "uplink:pnic1" for e in learned), f"{learned}")
    check(env.host1.viaduct("switch", "addresses", "A").stdout.split()[:5] ==
          ["VLAN", "MAC", "Port", "Age", "Kind"], "the table's head")


def test_workers_are_shown(env):
    workers = env.host1.ask("switch", "workers")
    # Switch A's uplink and the host's adapter on it, at least.
    check(sum(worker["ports"] for worker in workers) >= 2, f"{workers}")
    check("Busy" in env.host1.viaduct("switch", "workers").stdout, "a table")


def test_static_addresses(env):
    """Known to be behind the uplink without having been heard; an adapter of the host goes first."""
    mac, port = "00:15:5d:fe:00:01", "management/vs-A"
    env.host1.viaduct("switch", "address", "add", "A", mac, "--vlan", "2")

    def entry():
        return next((e for e in env.host1.ask("switch", "addresses", "A") if e["mac"] == mac), None)

    wait_for(entry, 10, "the entry")
    check(entry()["static"] and entry()["port"] == "uplink:pnic1" and entry()["vlan"] == 2, f"{entry()}")
    check("to all ports" not in env.host1.viaduct("switch", "trace", port, "--dst", mac).stdout, "it is flooded")
    own = env.port("A", port)["mac"]
    env.host1.viaduct("switch", "address", "add", "A", own, "--vlan", "2")
    check(env.pings(env.host1, "10.30.2.2"), "an own address went to the uplink")
    env.host1.viaduct("switch", "address", "remove", "A", own, "--vlan", "2")
    env.host1.viaduct("switch", "address", "remove", "A", mac, "--vlan", "2")
    wait_for(lambda: not entry(), 10, "the entry's end")
    env.fail(USAGE, "switch", "address", "remove", "A", mac, "--vlan", "2")
    env.fail(USAGE, "switch", "address", "add", "A", "ff:ff:ff:ff:ff:ff", "--vlan", "2")


def test_trace(env):
    port = "management/vs-A"
    trace = env.host1.ask("switch", "trace", port, "--from", "10.30.2.1", "--to", "10.30.2.2", "--protocol", "tcp",
                          "--dport", "22")
    check([o["port"] for o in trace["out"]] == ["uplink:pnic1"] and trace["out"][0]["vlan"] == 2, f"{trace}")
    text = env.host1.viaduct("switch", "trace", port, "--vlan", "3").stdout
    check("dropped (tagged)" in text and "It goes nowhere." in text, text)
    env.host1.viaduct("switch", "adapter", "set", "A", "A", "--dhcp-guard", "on")
    wait_for(lambda: env.port("A", port)["guards"]["dhcp"], 10, "the guard")
    text = env.host1.viaduct("switch", "trace", port, "--from", "10.30.2.1", "--to", "10.30.2.2", "--protocol", "udp",
                             "--sport", "67", "--dport", "68").stdout
    check("dropped (dhcp_guard)" in text, text)
    env.host1.viaduct("switch", "adapter", "set", "A", "A", "--dhcp-guard", "off")
    env.fail(USAGE, "switch", "trace", port, "--vlan", "5000")
    env.fail(NOT_FOUND, "switch", "trace", "management/vs-Z")


def test_capture(env):
    path = os.path.join(DIRECTORY, "capture.pcapng")
    process = env.host1.machine.popen(os.path.join(env.lab.bin, "viaduct"), "switch", "capture", "management/vs-A",
                                      "--out", path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 0, 10, "the begin of the capture")
        check(env.pings(env.host1, "10.30.2.2", 3), "no answer")
        wait_for(lambda: read_capture(path).count("ICMP echo reply") == 3, 10, "three answers in the capture")
    finally:
        end_inside(process)
        out, _ = process.communicate(timeout=20)
    check(process.returncode == 0, out)
    check(read_capture(path).count("ICMP echo request") == 3, read_capture(path))
    env.fail(NOT_FOUND, "switch", "capture", "management/vs-Z", "--out", path)


def read_capture(path):
    return subprocess.run(["tcpdump", "-nr", path], capture_output=True, text=True, timeout=20).stdout


def test_another_name(env):
    env.host2.viaduct("switch", "rename", "C", "D")
    wait_for(lambda: env.switch("D", env.host2) and not env.switch("C", env.host2), 10, "the new name")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer under the new name")
    check(env.port("D", "management/vs-C", env.host2)["state"] == "up", "the adapter kept its interface")


def test_team_survives_a_cut(env):
    for node, physical in ((env.host1, "phA"),):
        cable(node.machine, "pnic2", env.lab.fabric, f"pnic2-{node.name}")
        env.lab.switches.add_trunk(physical, f"pnic2-{node.name}", "2,3,4")
    env.host1.viaduct("switch", "set", "A", "--uplink", "pnic1,pnic2", "--team", "standby")

    def team():
        found = env.host1.ask("switch", "list", "--node", "host1")["switches"]
        return next(s for s in found if s["name"] == "A").get("team")
    wait_for(lambda: team() and all(m["up"] for m in team()["members"]), 10, "both members of the team")
    check([m["active"] for m in team()["members"]] == [True, False], f"{team()}")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer over the team")
    env.lab.fabric.run("ip", "link", "set", "pnic1-host1", "down")
    wait_for(lambda: [m["active"] for m in team()["members"]] == [False, True], 5, "the change to the other member")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer over the other member")
    env.lab.fabric.run("ip", "link", "set", "pnic1-host1", "up")
    wait_for(lambda: [m["active"] for m in team()["members"]] == [True, False], 20, "the way back")
    env.host1.viaduct("switch", "set", "A", "--uplink", "pnic2")
    wait_for(lambda: not team() and env.switch("A")["uplink"] == "pnic2", 10, "one adapter")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer over another adapter")


def wait_state(env, switch, state, why=""):
    """Until both nodes say so of a switch of host1, and why."""
    def said(node):
        found = next((s for s in node.ask("switch", "list")["switches"]
                      if (s["name"], s["node"]) == (switch, "host1")), {})
        return found.get("state") == state and (why in found["reason"] if why else found["reason"] == "")
    for node in (env.host1, env.host2):
        wait_for(lambda n=node: said(n), 10, f"by {node.name} switch {switch} {state}")


def test_an_uplink_of_another_switch(env):
    """The record is written, the switch process refuses; it has the uplink when the other switch lets go of it."""
    env.host1.viaduct("switch", "create", "T", "--type", "external", "--uplink", "pnic2", "--management", "0")
    wait_state(env, "T", "not bound", "pnic2 is the uplink of switch A already")
    check("ports" not in env.switch("T") and env.switch("A")["state"] == "up", f"{env.switch('T')}")
    row = next(r for r in env.host1.viaduct("switch", "list").stdout.splitlines() if r.startswith("T "))
    check(row.endswith("not bound  pnic2 is the uplink of switch A already"), row)
    env.host1.viaduct("switch", "set", "A", "--uplink", "pnic1")
    wait_state(env, "T", "up")
    wait_state(env, "A", "up")
    wait_for(lambda: env.port("T", "uplink:pnic2"), 10, "the port of the uplink")
    env.host1.viaduct("switch", "set", "A", "--uplink", "pnic2")
    wait_state(env, "A", "not bound", "pnic2 is the uplink of switch T already; it still has pnic1")
    check(env.port("A", "uplink:pnic1"), "the uplink before is gone")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer over the uplink that is left")
    env.host1.viaduct("switch", "delete", "T")
    wait_state(env, "A", "up")
    env.host1.viaduct("switch", "set", "A", "--uplink", "pnic1")
    wait_state(env, "A", "up")


def test_an_uplink_that_comes_and_goes(env):
    """An adapter that is not there yet; one that is removed, and is another when it is back."""
    env.fail(REFUSED, "switch", "create", "M", "--type", "external", "--uplink", "late0", "--management", "0")
    env.host1.viaduct("switch", "create", "M", "--type", "external", "--uplink", "late0", "--management", "0", "--force")
    wait_state(env, "M", "not bound", "there is no network adapter 'late0'")
    cable(env.host1.machine, "late0", env.lab.fabric, "late0-host1")
    wait_state(env, "M", "up")
    env.host1.viaduct("switch", "delete", "M")
    wait_for(lambda: not env.switch("M"), 10, "the end of the switch")

    env.host1.machine.run("ip", "link", "del", "pnic1")
    wait_state(env, "A", "not bound", "there is no network adapter 'pnic1'")
    check(not env.pings(env.host1, "10.30.2.2"), "an answer without an uplink")
    env.lab.switches.vsctl("del-port", "pnic1-host1")
    cable(env.host1.machine, "pnic1", env.lab.fabric, "pnic1-host1")
    env.lab.switches.add_trunk("phA", "pnic1-host1", "2,3,4")
    wait_state(env, "A", "up")
    wait_for(lambda: env.pings(env.host1, "10.30.2.2"), 20, "an answer over the uplink that is back")


def test_bandwidth(env):
    """A maximum for the host's own adapter holds, by real TCP."""
    env.host1.viaduct("switch", "adapter", "set", "A", "A", "--max-bandwidth", "20M")
    wait_for(lambda: env.port("A", "management/vs-A")["bandwidth"]["max_bps"] == 20_000_000, 10, "the maximum")
    server = env.host2.machine.popen("iperf3", "-s", "-1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5201 " in env.host2.machine.run("ss", "-tlnH").stdout, 10, "iperf3's server")
        done = env.host1.machine.run("iperf3", "-J", "-t", "3", "-c", "10.30.2.2", timeout=40)
    finally:
        server.kill()
        server.wait(10)
    mbits = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
    print(f"      {mbits:.1f} Mbit/s with a maximum of 20")
    check(10 < mbits < 22, f"{mbits:.1f} Mbit/s with a maximum of 20")


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
