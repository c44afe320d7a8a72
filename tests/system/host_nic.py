#!/usr/bin/env python3
"""The host's own adapters, on one node of the lab: listing, bindings and their repair, order, scrub and its
way back, offloads. The adapters are virtual cables whose other ends nobody uses."""
import json
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import cable, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_NIC_LAB", "/var/lib/viaduct-test-host-nic")
ADAPTERS = {"eth0": "10.77.0.1/24", "eth1": "10.77.1.1/24"}


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None)])
        self.lab.up()
        self.node = self.lab.first()
        for name, address in ADAPTERS.items():
            cable(self.node.machine, name, self.lab.fabric, f"far-{name}")
            self.ip("addr", "add", address, "dev", name)
        self.ip("route", "add", "10.99.0.0/16", "via", "10.77.0.254", "metric", "7")
        self.ip("link", "add", "br0", "type", "bridge")

    def ip(self, *words, check=True):
        return self.node.machine.run("ip", *words, check=check)

    def addresses(self, nic):
        found = json.loads(self.ip("-j", "-4", "addr", "show", "dev", nic).stdout)
        return [f"{a['local']}/{a['prefixlen']}" for entry in found for a in entry.get("addr_info", [])]

    def routes(self, nic):
        return sorted((r["dst"], r.get("gateway"), r.get("metric", 0))
                      for r in json.loads(self.ip("-j", "route", "show", "dev", nic).stdout))

    def link(self, nic):
        return json.loads(self.ip("-j", "-d", "link", "show", "dev", nic).stdout)[0]

    def fail(self, code, *words):
        """The command must fail with this exit code; its one line."""
        done = self.node.viaduct(*words, check=False)
        check(done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
        check(done.stderr.startswith("viaduct: ") and done.stderr.count("\n") == 1, f"{words}: {done.stderr}")
        return done.stderr

    def components(self, nic):
        record, = self.node.ask("nic", "bindings", "--nic", nic)["nics"]
        return {c["name"]: c["enabled"] for c in record["components"]}

    def problems(self):
        return self.node.ask("nic", "bindings")["problems"]

    def switches(self):
        return {s["name"]: s for s in self.node.ask("switch", "list")["switches"]}


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


# ---- listing ----

def test_list(env):
    nics = {n["name"]: n for n in env.node.ask("nic", "list")["nics"]}
    check({"eth0", "eth1", "clu0", "mgmt0", "br0"} <= set(nics), f"adapters: {sorted(nics)}")
    check("lo" not in nics, "the loopback is no adapter")
    eth0 = nics["eth0"]
    check(eth0["kind"] == "veth" and eth0["driver"] == "veth" and eth0["link"] == "up", f"eth0: {eth0}")
    check(eth0["mac"] == env.link("eth0")["address"], f"MAC: {eth0}")
    check("10.77.0.1/24" in eth0["addresses"] and eth0["owner"] == "", f"eth0: {eth0}")
    check(nics["br0"]["kind"] == "bridge" and nics["br0"]["link"] == "disabled", f"br0: {nics['br0']}")
    text = env.node.viaduct("nic", "list").stdout
    check(text.splitlines()[0].split()[:3] == ["Name", "MAC", "Kind"] and "10.77.0.1/24" in text, text)
    alias = env.node.viaduct("Get-NetAdapter", "-CimSession", "host1").stdout
    check(alias == text, alias)


def test_records(env):
    text = env.node.viaduct("nvspbind").stdout
    check(text == env.node.viaduct("nic", "bindings").stdout, text)
    record = next(r for r in text.split("\n\n") if '"eth0":' in r).splitlines()
    check(record[0] == "{" + env.link("eth0")["address"] + "}", record[0])
    check(record[3] == '"eth0":' and len(record) == 9, f"record: {record}")
    check(record[4].split()[:2] == ["enabled:", "ipv4"], record[4])
    check(record[8].split()[:2] == ["disabled:", "viaduct_switch"], record[8])
    heads = env.node.viaduct("nvspbind", "-n", "eth0").stdout.splitlines()
    check(len(heads) == 4 and heads[3] == '"eth0":', f"/n: {heads}")
    check(env.node.viaduct("nvspbind", "/?").stdout.startswith("Viaduct network binding"), "no usage")
    check(not env.problems(), f"problems: {env.problems()}")
    env.fail(3, "nic", "bindings", "--nic", "eth9")
    env.fail(2, "nvspbind", "/x")
    env.fail(2, "nvspbind", "/d", "eth0")
    env.fail(2, "nvspbind", "/d", "eth0", "ipx")


# ---- components ----

def test_ipv4_goes_and_comes_back(env):
    addresses, routes = env.addresses("eth0"), env.routes("eth0")
    env.node.viaduct("nvspbind", "/d", "eth0", "ms_tcpip")
    check(env.addresses("eth0") == [] and env.routes("eth0") == [], f"left: {env.routes('eth0')}")
    check(not env.components("eth0")["ipv4"], "still enabled")
    with open(os.path.join(env.node.directory, "state", "nic-bindings.json")) as f:
        remembered = json.load(f)["nics"]["eth0"]["ipv4"]
    check([a["address"] for a in remembered["addresses"]] == addresses, f"remembered: {remembered}")
    env.node.viaduct("nic", "bindings", "--enable", "eth0,ipv4")
    check(env.addresses("eth0") == addresses and env.routes("eth0") == routes,
          f"back: {env.addresses('eth0')} {env.routes('eth0')}")
    check(env.components("eth0")["ipv4"], "not enabled")


def test_ipv6(env):
    path = "/proc/sys/net/ipv6/conf/eth1/disable_ipv6"
    if env.node.machine.run("test", "-e", path, check=False).returncode:
        check("IPv6" in env.fail(8, "nvspbind", "/d", "eth1", "ipv6"), "no reason")
        return
    env.node.viaduct("nvspbind", "/e", "eth1", "ipv6")
    check(env.components("eth1")["ipv6"], "not enabled")
    env.ip("addr", "add", "fd00:77::1/64", "dev", "eth1", "nodad")
    env.node.viaduct("nvspbind", "/d", "eth1", "ipv6")
    check(env.node.machine.run("cat", path).stdout.strip() == "1" and not env.components("eth1")["ipv6"], "on")
    env.node.viaduct("nvspbind", "/e", "eth1", "ms_tcpip6")
    check("fd00:77::1/64" in env.ip("-6", "addr", "show", "dev", "eth1").stdout, "the address did not come back")
    env.node.viaduct("nvspbind", "/d", "eth1", "ipv6")


def test_bridge_membership(env):
    env.fail(7, "nvspbind", "/d", "eth1", "bridge")
    env.fail(7, "nvspbind", "/e", "eth1", "bridge")
    env.ip("link", "set", "eth1", "master", "br0")
    check(env.components("eth1")["bridge"], "membership not seen")
    env.node.viaduct("nvspbind", "/d", "eth1", "bridge")
    check("master" not in env.link("eth1"), "still a member")
    env.node.viaduct("nvspbind", "/e", "eth1", "bridge")
    check(env.link("eth1").get("master") == "br0", "not a member again")
    env.ip("link", "set", "eth1", "nomaster")


def test_state_survives_the_service(env):
    addresses = env.addresses("eth1")
    env.node.viaduct("nvspbind", "/d", "eth1", "ipv4")
    pid = env.node.machine.run("pgrep", "-x", "viaductd").stdout.strip()
    env.node.machine.run("kill", pid)
    wait_for(lambda: env.node.count_processes("^[^ ]*viaductd ") == 0, 10, "the end of viaductd")
    env.node.start_viaductd()
    env.lab.wait_until_ready()
    env.node.viaduct("nvspbind", "/e", "eth1", "ipv4")
    check(env.addresses("eth1") == addresses, f"back: {env.addresses('eth1')}")


# ---- order ----

def test_order(env):
    def names():
        order = env.node.ask("nic", "bindings", "--order", "ipv4")["order"]
        return [e["nic"] for e in order if "metric" in e and e["nic"] in ADAPTERS]

    before = env.routes("eth1")
    dry = env.node.viaduct("nic", "bindings", "--top", "eth1,ipv4", "--dry-run").stdout
    check("would change: connected route of 10.77.1.1/24 on eth1: metric 0 -> 10" in dry, dry)
    check(env.routes("eth1") == before, "a dry run changed something")
    env.node.viaduct("nvspbind", "/++", "eth1", "ipv4")
    check(names() == ["eth1", "eth0"], f"order: {names()}")
    check(env.routes("eth1") == [("10.77.1.0/24", None, 10)], f"routes: {env.routes('eth1')}")
    env.node.viaduct("nvspbind", "/--", "eth1", "ipv4")
    check(names() == ["eth0", "eth1"], f"order: {names()}")
    env.node.viaduct("nvspbind", "/+", "eth1", "ipv4")
    text = env.node.viaduct("nvspbind", "/o", "ipv4").stdout
    check(text.split()[:3] == ["Place", "Name", "Metric"], text)
    env.fail(7, "nvspbind", "/+", "br0", "ipv4")
    env.fail(2, "nvspbind", "/o", "bridge")
    check(env.addresses("eth0") == ["10.77.0.1/24"], "an address got lost")


def test_order_of_default_routes(env):
    env.ip("route", "add", "default", "via", "10.77.0.254", "dev", "eth0", "metric", "500")
    env.node.viaduct("nvspbind", "/++", "eth0", "ipv4")
    check(("default", "10.77.0.254", 10) in env.routes("eth0"), f"routes: {env.routes('eth0')}")
    check(("default", "10.77.0.254", 500) not in env.routes("eth0"), "the old one is there too")


# ---- binding ----

def test_binding_refuses_what_the_node_needs(env):
    check("default route" in env.fail(8, "nvspbind", "/b", "eth0", "--switch", "A"), "no reason")
    check("10.10.2.1" in env.fail(8, "nvspbind", "/b", "clu0", "--switch", "A"), "no reason")
    env.fail(2, "nvspbind", "/b", "eth1")
    check(env.addresses("eth0") == ["10.77.0.1/24"] and not env.switches(), "something was changed")
    env.ip("route", "del", "default")


def test_bind_and_unbind(env):
    addresses, routes = env.addresses("eth0"), env.routes("eth0")
    env.node.viaduct("nvspbind", "/b", "eth0", "--switch", "A")
    check(env.switches()["A"]["uplink"] == "eth0", f"switches: {env.switches()}")
    check(env.addresses("eth0") == [] and env.routes("eth0") == [], "it still carries something")
    flags = env.link("eth0")["flags"]
    check("NOARP" in flags and "UP" in flags, f"flags: {flags}")
    enabled = [name for name, on in env.components("eth0").items() if on]
    check(enabled == ["viaduct_switch"] and not env.problems(), f"enabled: {enabled}, {env.problems()}")
    check("viaduct switch set A --uplink OTHER" in env.fail(8, "nvspbind", "/u", "eth0"), "no way out named")
    env.fail(8, "nic", "bindings", "--unbind", "eth0", "--force")
    env.fail(8, "nvspbind", "/e", "eth0", "ipv4")

    env.ip("addr", "add", "10.77.9.9/24", "dev", "eth0")
    problem, = env.problems()
    check(problem["nic"] == "eth0" and problem["cure"] == "viaduct nic bindings --repair eth0", f"{problem}")
    env.node.viaduct(*problem["cure"].split()[1:])
    check(env.addresses("eth0") == [] and not env.problems(), "the cure did not help")

    env.node.viaduct("switch", "delete", "A")
    wait_for(lambda: env.addresses("eth0") == addresses + ["10.77.9.9/24"], 10, "what the adapter had")
    env.ip("addr", "del", "10.77.9.9/24", "dev", "eth0")
    check(env.routes("eth0") == routes and "NOARP" not in env.link("eth0")["flags"], f"{env.routes('eth0')}")
    check(not env.problems(), f"problems: {env.problems()}")


# ---- scrub ----

def make_switches(env):
    env.node.viaduct("nvspbind", "/b", "eth0", "--switch", "A")
    env.node.viaduct("switch", "create", "B", "--type", "internal")
    env.node.viaduct("switch", "create", "C", "--type", "external", "--uplink", "eth1", "--management", "0")
    env.node.viaduct("switch", "create", "P", "--type", "private")
    for tap in ("vs-B", "vs-C"):
        wait_for(lambda tap=tap: env.ip("link", "show", tap, check=False).returncode == 0, 10, tap)


def records(env):
    keys = ("name", "type", "uplink", "logical")
    return sorted(tuple(s[k] for k in keys) for s in env.switches().values())


def steps(text):
    return [line.rsplit(": ", 1)[0] for line in text.splitlines() if line.startswith("   [")]


def no_tap(env, tap):
    wait_for(lambda: env.ip("link", "show", tap, check=False).returncode != 0, 10, f"the end of {tap}")


def undo_files(env):
    return [f for f in os.listdir(os.path.join(env.node.directory, "state")) if f.startswith("scrub-undo")]


def test_scrub_lists(env):
    make_switches(env)
    text = env.node.viaduct("nvspscrub").stdout
    check(text == env.node.viaduct("network", "scrub").stdout, text)
    for line in ("vs-B            switch B, enabled", "C               external", "eth0            switch A"):
        check(line in text, f"{line} is not in {text}")
    check(not undo_files(env), "a listing wrote a file")
    env.node.viaduct("nvspscrub", "/?")
    env.fail(2, "nvspscrub", "/x")
    env.fail(2, "network", "scrub", "-p", "-v")
    env.fail(3, "nvspscrub", "/n", "vs-X")


def test_scrub_disabled_and_by_name(env):
    env.ip("link", "set", "vs-C", "down")
    text = env.node.viaduct("nvspscrub", "/v").stdout
    check("kept: vs-B of switch B is enabled" in text and "vs-C" in steps(text)[0], text)
    no_tap(env, "vs-C")
    env.node.viaduct("nvspscrub", "/n", "vs-B")
    no_tap(env, "vs-B")
    check(set(env.switches()) == {"A", "B", "C", "P"}, f"switches: {env.switches()}")
    for name in sorted(undo_files(env), reverse=True):
        env.node.viaduct("network", "scrub", "--undo", os.path.join(env.node.directory, "state", name))
    for tap in ("vs-B", "vs-C"):
        wait_for(lambda tap=tap: env.ip("link", "show", tap, check=False).returncode == 0, 10, f"{tap} again")


def test_purge_and_undo(env):
    before, listing = records(env), env.node.viaduct("network", "scrub").stdout
    dry = env.node.viaduct("nvspscrub", "/p", "--dry-run").stdout
    check(records(env) == before and dry.endswith("finished: dry run, nothing was changed\n"), dry)
    undo = os.path.join(DIRECTORY, "undo.json")
    real = env.node.viaduct("nvspscrub", "/p", "--undo-file", undo).stdout
    check(steps(dry) == steps(real) and len(steps(real)) == 8, f"{dry}\n{real}")
    check(real.endswith("\nfinished\n") and undo in real and real.count(": done") == 8, real)
    order = [s.split("] ")[1].split()[:2] for s in steps(real)]
    check(order == [["delete", "management"]] * 2 + [["delete", "switch"]] * 4 + [["unbind", "adapter"]] * 2,
          f"order: {order}")
    check(not env.switches() and env.addresses("eth0") == ["10.77.0.1/24"], f"left: {env.switches()}")
    no_tap(env, "vs-B")
    check(not env.problems(), f"problems: {env.problems()}")

    env.node.viaduct("network", "scrub", "--undo", undo)
    check(records(env) == before, f"records: {records(env)}")
    check(env.addresses("eth0") == [] and not env.problems(), f"{env.addresses('eth0')}, {env.problems()}")
    for tap in ("vs-B", "vs-C"):
        wait_for(lambda tap=tap: env.ip("link", "show", tap, check=False).returncode == 0, 10, f"{tap} again")
    check(env.node.viaduct("network", "scrub").stdout == listing, "not as it was")
    env.fail(1, "network", "scrub", "--purge", "--undo-file", undo)
    env.fail(2, "network", "scrub", "--purge", "--undo-file", "relative")
    check(records(env) == before, "without a way back, something was changed")


def test_bad_undo_files(env):
    before = records(env)
    bad = ["", "{}", "[]", '{"version": 1}', '{"version": 1, "node": "host1", "switches": [], "bound": []}',
           '{"version": 1, "node": "host2", "switches": {}, "bound": []}',
           '{"version": 1, "node": "host1", "switches": {"../x": {"type": "private"}}, "bound": []}',
           '{"version": 1, "node": "host1", "switches": {"X": {"type": "odd"}}, "bound": []}',
           '{"version": 1, "node": "host1", "switches": {"X": {"type": "external"}}, "bound": []}',
           '{"version": 1, "node": "host1", "switches": {}, "bound": [{"nic": "../../etc", "switch": "A"}]}']
    path = os.path.join(DIRECTORY, "bad.json")
    for text in bad:
        with open(path, "w") as f:
            f.write(text)
        env.fail(8, "network", "scrub", "--undo", path)
    env.fail(8, "network", "scrub", "--undo", "/dev/zero")
    env.fail(3, "network", "scrub", "--undo", os.path.join(DIRECTORY, "missing"))
    check(records(env) == before, "something was changed")


# ---- offloads ----

def row(env, adapter):
    return next(a for a in env.node.ask("offload", "show")["adapters"] if a["adapter"] == adapter)


def test_offload_show(env):
    text = env.node.viaduct("offload", "show").stdout
    for label in ("Receive-Side Scaling State", "Chimney Offload State", "Direct Cache Access",
                  "Receive Window Auto-Tuning Level", "Add-On Congestion Control Provider", "ECN Capability",
                  "RFC 1323 Timestamps"):
        check(f"\n{label:35} : " in text, f"{label} is not in {text}")
    check("TCP checksum (IPv4)" in text, text)
    shown = env.node.ask("offload", "show", "--switch", "A")["adapters"]
    check([a["adapter"] for a in shown] == ["eth0"], f"of switch A: {shown}")
    env.fail(3, "offload", "show", "--host", "eth9")
    env.fail(3, "offload", "show", "--vm", "nobody")
    found = env.node.ask("offload", "show", "--connections")
    check(all(c["offload_state"] == "InHost" for c in found["connections"]), f"{found['connections']}")
    check(any(c["state"] == "LISTENING" for c in found["connections"]), f"{found['connections']}")


def features(env, nic):
    lines = env.node.machine.run("ethtool", "-k", nic).stdout.splitlines()[1:]
    return {line.split(":")[0].strip(): line.split(":")[1].split()[0] == "on" for line in lines}


def test_offload_set(env):
    for which, shown in (("tx", "Tx Enabled"), ("off", "Disabled"), ("both", "Rx & Tx Enabled")):
        done = env.node.viaduct("offload", "set", "--nic", "eth1", "--tcp-checksum", which, check=False)
        on = features(env, "eth1")
        if done.returncode:  # a driver may keep what it must
            check(done.returncode == 8 and "eth1" in done.stderr, done.stderr)
            continue
        check((on["tx-checksumming"], on["rx-checksumming"]) == (which != "off", which == "both"), f"{which}: {on}")
        check(row(env, "eth1")["tcp_checksum"] == shown, f"{which}: {row(env, 'eth1')}")
    env.node.viaduct("offload", "set", "--nic", "eth1", "--lso", "off", "--rsc", "off")
    on = features(env, "eth1")
    check(not on["tx-tcp-segmentation"] and not on["tx-tcp6-segmentation"] and not on["generic-segmentation-offload"] and
          not on["generic-receive-offload"], f"{on}")
    check((row(env, "eth1")["lso"], row(env, "eth1")["rsc"]) == ("Disabled", "Disabled"), f"{row(env, 'eth1')}")
    env.node.viaduct("offload", "set", "--nic", "eth1", "--lso", "on", "--rsc", "on")
    check(row(env, "eth1")["lso"] != "Disabled" and features(env, "eth1")["generic-receive-offload"], "not on again")
    env.fail(2, "offload", "set", "--nic", "eth1", "--lso", "perhaps")
    env.fail(2, "offload", "set", "--nic", "eth1")
    env.fail(2, "offload", "set", "--chimney", "on")
    env.fail(3, "offload", "set", "--nic", "eth9", "--lso", "on")


def test_chimney_is_honest(env):
    env.node.viaduct("Set-NetOffloadGlobalSetting", "-Chimney", "Automatic")
    text = env.node.viaduct("Get-NetOffloadGlobalSetting").stdout
    check("automatic (in host: Linux has no TCP chimney)" in text, text)


if __name__ == "__main__":
    main(setup, teardown)
