#!/usr/bin/env python3
"""Adapters of VMs that run, in a cluster of two nodes: settings of the machine, which are recorded at any time and in
force as the guest found them, wherever it goes. KVM is not needed: the VMs' processes are puppets (vm_puppet.c), which
take a guest from elsewhere only if their adapters were started with what its drivers agreed on."""
import os
import re
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402
from tests.support.puppets import use_puppets  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_VM_NIC_LAB", "/var/lib/viaduct-test-vm-nic")
VM = "VM1"

class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None), ("host2", None), ("witness", None)])
        use_puppets(self.lab)
        self.lab.up()
        self.node = self.lab.first()
        for name in ("host1", "host2"):
            self.viaduct("switch", "create", "S", "--node", name, "--type", "private")
        self.viaduct("volume", "create", "Volume1", "--path", self.lab.volume)
        self.viaduct("vm", "create", VM, "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M", "--no-video",
                     "--nic", "switch=S", "--nic", "switch=S,csum=tx")

    def viaduct(self, *words, **options):
        return self.node.viaduct(*words, **options)

    def vm(self):
        return next(vm for vm in self.node.ask("vm", "list")["vms"] if vm["name"] == VM)

    def offload(self, nic=0, node=None):
        """(what is, what will be where that differs)"""
        shown = (node or self.node).ask("offload", "show", "--vm", VM)
        check(all(a["of"] == "vm" for a in shown["adapters"]) and len(shown["adapters"]) == 2, f"{shown}")
        adapter = shown["adapters"][nic]
        return {k: adapter[k] for k in ("tcp_checksum", "lso", "rsc", "rss")}, adapter.get("next", {})

    def started_with(self, node):
        """What the adapters of the last process on that node were started with, as its log has it."""
        with open(os.path.join(self.lab.nodes[node].directory, "log", f"vm-{VM}.log")) as log:
            return re.findall(r"(waits|boots) with nic0: (withheld \w+, [\w ]+);", log.read())[-1]


ALL = {"tcp_checksum": "Rx & Tx Enabled", "lso": "Enabled", "rsc": "Enabled", "rss": "Enabled"}
NEXT = {"lso": "Disabled", "rss": "Disabled"}


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_a_vm_that_is_off(env):
    check(env.offload() == (ALL, {}), f"{env.offload()}")
    check(env.offload(1)[0] == dict(ALL, tcp_checksum="Tx Enabled", rsc="Disabled"), f"{env.offload(1)}")
    done = env.viaduct("vm", "nic", "set", VM, "0", "--rsc", "off")
    check(done.stdout == "", done.stdout)
    check(env.offload() == (dict(ALL, rsc="Disabled"), {}), f"{env.offload()}")
    env.viaduct("vm", "nic", "set", VM, "0", "--rsc", "on")
    env.viaduct("vm", "start", VM)
    check(env.started_with("host1") == ("boots", "withheld 0, queues"), f"{env.started_with('host1')}")


def test_a_running_vm_keeps_what_its_guest_agreed_on(env):
    done = env.viaduct("offload", "set", "--nic", f"{VM}/nic0", "--lso", "off", "--rss", "off")
    check(f"when {VM} starts next or its guest restarts" in done.stdout and done.stdout.count("\n") == 1, done.stdout)
    check(env.node.ask("vm", "nic", "list", VM)["nics"][0]["offload"]["lso"] is False, "it was not recorded")
    check(env.offload() == (ALL, NEXT), f"{env.offload()}")
    check(env.offload(1)[1] == {}, f"{env.offload(1)}")
    text = env.viaduct("offload", "show", "--vm", VM).stdout
    check("Enabled (Disabled from the next start)" in text, text)
    check("note" in env.node.ask("vm", "nic", "set", VM, "0", "--lso", "off"), "no note in JSON")


def test_what_cannot_be_set(env):
    for code, command in ((7, f"vm nic set {VM} 0 --mtu 9000"), (3, f"offload set --nic {VM}/nic2 --lso on"),
                          (3, "offload set --nic VM2/nic0 --lso on"), (2, f"offload set --nic {VM}/nic0"),
                          (2, f"offload set --nic {VM}/0 --lso on"), (2, f"offload set --nic {VM}/nic0 --lso maybe"),
                          (2, f"offload set --nic {VM}/nic0 --tcp-checksum off --lso on")):
        done = env.viaduct(*command.split(), check=False)
        check(done.returncode == code and done.stderr.count("\n") == 1, f"{command}: {done.returncode}, {done.stderr}")
    check(env.offload() == (ALL, NEXT), f"something was changed: {env.offload()}")


def move(env, verb, target, *options):
    env.viaduct(verb, VM, target, *options)
    check(env.vm()["node"] == target and env.vm()["state"] == "Running", f"{env.vm()}")
    check(env.started_with(target) == ("waits", "withheld 0, queues"), f"{env.started_with(target)}")
    for node in env.lab.nodes.values():
        check(env.offload(node=node) == (ALL, NEXT), f"by {node.name}: {env.offload(node=node)}")


def test_live_migration_takes_it_along(env):
    move(env, "live-migrate", "host2")
    move(env, "live-migrate", "host1")


def test_quick_migration_takes_it_along(env):
    move(env, "quick-migrate", "host2")


def test_a_saved_vm_goes_on_with_it(env):
    env.viaduct("vm", "save", VM)
    check(env.vm()["state"] == "Saved" and env.offload() == (ALL, NEXT), f"{env.offload()}")
    done = env.viaduct("vm", "nic", "set", VM, "0", "--rss", "off")
    check("starts without its saved state" in done.stdout, done.stdout)
    env.viaduct("vm", "start", VM, "--node", "host1")
    check(env.started_with("host1") == ("waits", "withheld 0, queues"), f"{env.started_with('host1')}")
    check(env.offload() == (ALL, NEXT), f"{env.offload()}")


def test_a_restart_of_the_guest_brings_the_new_ones(env):
    env.viaduct("vm", "restart", VM)
    wait_for(lambda: env.offload() == (dict(ALL, **NEXT), {}), 10, "the new offloads")
    wait_for(lambda: env.vm()["state"] == "Running", 10, "the guest's restart")
    kind, what = env.started_with("host1")
    check(kind == "boots" and what.startswith("withheld 0x") and what.endswith("one queue"), f"{kind} with {what}")
    env.viaduct("vm", "nic", "set", VM, "0", "--lso", "on")
    check(env.offload()[1] == {"lso": "Enabled"}, f"{env.offload()}")
    env.viaduct("live-migrate", VM, "host2")
    check(env.started_with("host2") == ("waits", what), f"{env.started_with('host2')}")


def test_the_next_start_brings_them(env):
    env.viaduct("vm", "stop", VM)
    wait_for(lambda: env.vm()["state"] == "Off", 10, "the end of the VM")
    check(env.offload() == (dict(ALL, rss="Disabled"), {}), f"{env.offload()}")
    env.viaduct("vm", "start", VM, "--node", "host1")
    check(env.started_with("host1") == ("boots", "withheld 0, one queue"), f"{env.started_with('host1')}")


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
