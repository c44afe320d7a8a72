#!/usr/bin/env python3
"""One file for a whole cluster: corosync's files from it start corosync, a plan shows what is missing, apply makes it,
and a second apply finds nothing to do. Changes, what is in the way of them, pruning, nonsense with its lines."""
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import SLOW, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_DEPLOY_LAB", "/var/lib/viaduct-test-deploy")
EXAMPLE = os.path.join(ROOT, "deploy", "examples", "departments.yaml")
USAGE, NOT_FOUND, CONFLICT, REFUSED, CANCELLED, DIFFERS = 2, 3, 7, 8, 9, 11


def slowed(conf):
    """corosync's times, longer where the machine is slow."""
    return re.sub(r"(token|knet_ping_interval|knet_ping_timeout): (\d+)",
                  lambda m: f"{m[1]}: {round(int(m[2]) * SLOW)}", conf)


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        os.makedirs(DIRECTORY)
        self.file = os.path.join(DIRECTORY, "departments.yaml")
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", "phA"), ("host2", "phC"), ("witness", None)])
        with open(EXAMPLE) as f:
            self.text = f.read().replace("/srv/viaduct/volume1}", f"{self.lab.volume}}}")
        self.write(self.text)
        self.etc = os.path.join(DIRECTORY, "etc-made")
        self.config("--new-key")
        with open(os.path.join(self.etc, "corosync.conf")) as f:
            self.lab.corosync_conf = slowed(f.read())
        shutil.copy(os.path.join(self.etc, "authkey"), os.path.join(DIRECTORY, "authkey"))
        self.lab.up()
        self.host1 = self.lab.first()
        wait_for(lambda: len(self.host1.ask("cluster", "network", "list")["networks"]) >= 3, 20,
                 "the discovery of the cluster networks")

    def write(self, text):
        with open(self.file, "w") as f:
            f.write(text)

    def config(self, *options, code=0, node="host1"):
        done = subprocess.run([os.path.join(bin_directory(), "viaduct"), "cluster", "config", self.file, "--node", node,
                               "--out", self.etc, *options], capture_output=True, text=True, timeout=30)
        check(done.returncode == code, f"config {options}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def run(self, *words, code=0):
        done = self.host1.viaduct(*words, check=False)
        check(done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def steps(self, *options):
        return [(s["action"], s["object"]) for s in
                json.loads(self.run("cluster", "plan", self.file, "--json", *options))["steps"]]

    def apply(self, *options, code=0):
        return self.run("cluster", "apply", self.file, "--yes", *options, code=code)


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_corosync_runs_with_what_was_made(env):
    status = env.host1.ask("cluster", "status")
    check(status["quorate"] and [n["name"] for n in status["nodes"]] == ["host1", "host2", "witness"], f"{status}")
    check(status["expected_votes"] == 3, f"{status}")
    text = env.host1.viaduct("cluster", "status").stdout
    check("upgrade" not in text, f"a new cluster has nothing to finish: {text}")


def test_config_is_made_once(env):
    again = env.config()
    check("as it should be" in again and "kept" in again, again)
    with open(os.path.join(env.etc, "authkey"), "rb") as f:
        key = f.read()
    check(len(key) == 256 and os.stat(os.path.join(env.etc, "authkey")).st_mode & 0o777 == 0o400, "the key")
    # Another token profile: a later version, shown, with a copy of what was there.
    env.write(env.text.replace("token: fast", "token: default"))
    changed = env.config("--new-key")
    check("-     token: 300" in changed and "+     token: 1000" in changed and "config_version: 2" in changed, changed)
    check(os.path.exists(os.path.join(env.etc, "corosync.conf.bak-1")), "no copy was kept")
    with open(os.path.join(env.etc, "authkey"), "rb") as f:
        check(f.read() == key, "another key")
    # Somebody else's file stays.
    foreign = os.path.join(env.etc, "corosync.conf")
    with open(foreign, "w") as f:
        f.write("totem {\n cluster_name: departments\n}\nnodelist {\n node {\n  nodeid: 1\n  name: x\n"
                "  ring0_addr: 10.0.0.1\n }\n}\n")
    check("--force" in env.config(code=REFUSED), "no way out was named")
    with open(foreign) as f:
        check("name: x" in f.read(), "it was replaced")
    env.config("--force")
    env.config(code=NOT_FOUND, node="host9")
    env.write(env.text)


def test_plan_shows_everything_and_does_nothing(env):
    text = env.run("cluster", "plan", env.file)
    for line in ("~ network Cluster (10.10.2.0/24)", "+ volume Volume1", "+ switch A on host1",
                 "+ switch C on host2", "+ switch B on host1", "+ VM VM1", "+ VM VM9", "~ policy of VM VM1"):
        check(line in text, f"'{line}' is not in\n{text}")
    env.run("cluster", "plan", env.file, "--exit-code", code=DIFFERS)
    check(env.host1.ask("vm", "list")["vms"] == [] and env.host1.ask("switch", "list")["switches"] == [],
          "something was made")
    # Without a yes nothing is done.
    check("nothing was done" in env.run("cluster", "apply", env.file, code=CANCELLED), "no word about it")


def test_apply_makes_it(env):
    text = env.apply()
    check("FAILED" not in text and "done" in text, text)
    check("nothing to do" in env.run("cluster", "plan", env.file, "--exit-code"), "there is something left")
    check("nothing to do" in env.apply(), "the second apply does something")
    vms = {vm["name"]: vm for vm in env.host1.ask("vm", "list")["vms"]}
    check(sorted(vms) == [f"VM{i}" for i in range(1, 10)], f"{sorted(vms)}")
    check(vms["VM8"]["node"] == "host2" and vms["VM8"]["nics"][0]["vid"] == 3, f"{vms['VM8']}")
    nets = {n["name"]: n for n in env.host1.ask("cluster", "network", "list")["networks"]}
    check(nets["Management"]["migration_order"] == -1 and nets["Migration"]["migration_order"] == 1, f"{nets}")
    switches = env.host1.ask("switch", "list")["switches"]
    check(sorted((s["node"], s["name"], s["type"]) for s in switches) ==
          [("host1", "A", "external"), ("host1", "B", "private"), ("host2", "C", "external")], f"{switches}")


def test_one_change_is_one_step(env):
    mac = env.host1.ask("vm", "show", "VM7")["vm"]["nics"][0]["mac"]
    env.write(env.text.replace("{name: VM7, node: host2, kernel: /srv/viaduct/vmlinuz, nics: [{switch: departments, "
                               "vlan: 2}]}", "{name: VM7, node: host2, kernel: /srv/viaduct/vmlinuz, vps: 2, nics: "
                               "[{switch: departments, vlan: 4, dhcp-guard: on}]}"))
    check(env.steps() == [("change", "VM VM7"), ("change", "network adapter 0 of VM VM7")], f"{env.steps()}")
    text = env.apply()
    check("vps: 1 -> 2" in text and "VLAN: access 2 -> access 4" in text and "dhcp-guard: off -> on" in text, text)
    vm = env.host1.ask("vm", "show", "VM7")["vm"]
    check(vm["vps"] == 2 and vm["nics"][0]["vid"] == 4 and vm["nics"][0]["mac"] == mac, f"{vm}")
    # Back to what was: settings that are not named have their defaults.
    env.write(env.text)
    env.apply()
    vm = env.host1.ask("vm", "show", "VM7")["vm"]
    check(vm["vps"] == 1 and vm["nics"][0]["vid"] == 2 and env.steps() == [], f"{vm}")


def test_switches_change(env):
    env.write(env.text.replace("type: private}", "type: internal, adapters: [{name: lab, vlan: 7}]}"))
    check(env.steps() == [("remove", "switch B on host1"), ("create", "switch B on host1"),
                          ("create", "adapter lab of switch B on host1")], f"{env.steps()}")
    env.apply()
    wait_for(lambda: env.host1.machine.run("ip", "link", "show", "vs-lab", check=False).returncode == 0, 10,
             "the host's interface")
    env.write(env.text.replace("type: private}", "type: internal}"))
    check(env.steps() == [] and env.steps("--prune") == [("remove", "adapter lab of switch B on host1")],
          f"{env.steps('--prune')}")
    env.apply("--prune")
    env.write(env.text)
    env.apply()
    check(env.steps("--prune") == [], f"{env.steps('--prune')}")


def test_a_step_that_fails_ends_it(env):
    changed = env.text.replace("{name: C, node: host2,", "{name: D, node: host1, type: external, uplink: nowhere0}\n"
                               "  - {name: E, node: host1, type: private}\n  - {name: C, node: host2,")
    changed = changed.replace("uplinks: [pnic1]", "uplinks: [pnic1, nowhere0]", 1)
    env.write(changed)
    text = env.apply(code=REFUSED)
    check("nowhere0" in text and "Not done:\n  + switch D on host1\n  + switch E on host1" in text, text)
    env.write(changed.replace("uplink: nowhere0}", "uplink: nowhere0, force: on}"))
    env.apply()
    check(env.steps() == [], f"{env.steps()}")


def test_prune(env):
    env.write(re.sub(r".*name: VM[56].*\n", "", env.text))
    check(env.steps() == [], f"{env.steps()}")
    check(env.steps("--prune") == [("remove", "VM VM5"), ("remove", "VM VM6"), ("remove", "switch D on host1"),
                                   ("remove", "switch E on host1")], f"{env.steps('--prune')}")
    env.apply("--prune")
    check(sorted(vm["name"] for vm in env.host1.ask("vm", "list")["vms"]) ==
          ["VM1", "VM2", "VM3", "VM4", "VM7", "VM8", "VM9"], "the wrong ones went")
    env.write(env.text)
    env.apply()


def test_what_cannot_be_done_now_waits(env):
    env.write(env.text.replace("switches:\n", "  - name: host4\n    id: 4\n    addresses: {Cluster: 10.10.2.4, "
                               "Management: 10.10.1.4, Migration: 10.10.3.4}\n\nswitches:\n"
                               "  - {name: X, node: host4, type: private}\n"))
    check(env.steps() == [("wait", "node host4"), ("wait", "switch X on host4")], f"{env.steps()}")
    text = env.apply(code=CONFLICT)
    check("viaduct node invite host4 --id 4 --address 10.10.2.4,10.10.1.4,10.10.3.4" in text, text)
    env.write(env.text)


def test_nonsense_has_its_lines(env):
    lines = env.text.split("\n")
    at = next(i for i, line in enumerate(lines, 1) if "name: VM3" in line)
    env.write(env.text.replace("name: VM3, node: host1", "name: VM2, node: hosst1").replace(
        "kernel: /srv/viaduct/vmlinuz, nics: [{switch: departments, vlan: 4}]", "kernal: /k, vps: 0"))
    for verb in (("plan",), ("apply", "--yes")):
        text = env.run("cluster", verb[0], env.file, *verb[1:], code=USAGE)
        for place, what in ((f"{at}:12", "VM 'VM2' is there already"),
                            (f"{at}:23", "there is no node 'hosst1' in this file; did you mean 'host1'?"),
                            (f"{at + 1}:30", "a VM has no setting 'kernal'; did you mean 'kernel'?")):
            check(f"{env.file}:{place}: {what}" in text, f"'{place}: {what}' is not in\n{text}")
        check("nothing was done" in text, text)
    env.write("a: &a [x]\nb: [*a, *a]\n")
    check(f"{env.file}:1:4: anchors" in env.run("cluster", "plan", env.file, code=USAGE), "anchors are taken")
    env.run("cluster", "plan", "/nowhere.yaml", code=USAGE)
    env.run("cluster", "plan", "/", code=USAGE)
    env.write(env.text)
    check(env.steps() == [], "something was done")


if __name__ == "__main__":
    main(setup, teardown)
