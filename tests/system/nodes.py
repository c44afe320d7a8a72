#!/usr/bin/env python3
"""Nodes that are paused, drained and resumed, in a cluster of three: the plan that is shown is the one that is
followed, what waits is queued and nothing else, what cannot be moved stays and says why. KVM is not needed: the VMs'
processes are puppets (vm_puppet.c). One that is stopped (SIGSTOP) keeps its VM moving for as long as a test wants."""
import json
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_NODES_LAB", "/var/lib/viaduct-test-nodes")
# A /dev of the node's own with something in KVM's place, which the puppets do not use.
DEVICES = """
mkdir -p /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs -o mode=755 tmpfs /dev && mkdir /dev/net /dev/shm
for d in null zero full random urandom net/tun; do touch /dev/$d; mount --bind /run/dev/$d /dev/$d; done
mount --bind /run/dev/shm /dev/shm
touch /dev/kvm
"""
# Larger ones first.
VMS = {"V1": "256M", "V2": "192M", "V3": "128M"}


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None), ("host2", None), ("witness", None)])
        self.lab.up()
        self.node = self.lab.nodes["witness"]
        self.libexec = os.path.join(DIRECTORY, "libexec")
        os.mkdir(self.libexec)
        os.symlink(os.path.join(os.path.dirname(bin_directory()), "puppet", "viaduct-vmhost"),
                   os.path.join(self.libexec, "viaduct-vmhost"))
        os.symlink(os.path.join(bin_directory(), "viaduct-vswitchd"), os.path.join(self.libexec, "viaduct-vswitchd"))
        for name in ("host1", "host2"):
            self.lab.nodes[name].machine.run("sh", "-ec", DEVICES)
            self.end_service(name, "TERM")
            self.lab.nodes[name].start_viaductd("--libexec-dir", self.libexec)
        self.lab.wait_until_ready()
        for name in ("host1", "host2"):
            self.viaduct("switch", "create", "S", "--node", name, "--type", "private")
        self.viaduct("volume", "create", "Volume1", "--path", self.lab.volume)
        self.wait_for_facts()
        for vm, memory in VMS.items():
            self.create(vm, memory)

    def wait_for_facts(self):
        """Until every node has said what it can do for VMs: before, nothing is placed there."""
        def known():
            nodes = {n["name"]: n["vm_memory_bytes"] for n in self.node.ask("node", "list")["nodes"]}
            return all(nodes.values())
        wait_for(known, 20, "the facts of the nodes")

    def create(self, vm, memory, node="host1"):
        self.viaduct("vm", "create", vm, "--node", node, "--kernel", os.path.join(DIRECTORY, "authkey"),
                     "--memory", memory, "--no-video", "--nic", "switch=S")

    def end_service(self, name, signal):
        node = self.lab.nodes[name]
        node.machine.run("kill", f"-{signal}", node.machine.run("pgrep", "-x", "viaductd").stdout.strip())
        wait_for(lambda: node.count_processes("^[^ ]*viaductd ") == 0, 10, "the end of viaductd")

    def viaduct(self, *words, **options):
        return self.node.viaduct(*words, **options)

    def refused(self, code, *words):
        done = self.viaduct(*words, check=False)
        check(done.returncode == code and done.stderr.count("\n") == 1,
              f"{' '.join(words)}: {done.returncode}, not {code}: {done.stderr}{done.stdout}")
        return done.stderr

    def vms(self):
        return {vm["name"]: vm for vm in self.node.ask("vm", "list")["vms"]}

    def where(self):
        return {name: (vm["node"], vm["state"]) for name, vm in self.vms().items()}

    def node_of(self, name):
        return next(n for n in self.node.ask("node", "list")["nodes"] if n["name"] == name)

    def plan(self, *options, node="host1"):
        return self.node.ask("node", "drain", node, "--dry-run", *options)["plan"]

    def jobs(self, node="host1"):
        return self.node.ask("job", "list", "--node", node)["jobs"]

    def job(self, job_id):
        return next(j for j in self.jobs(job_id.rsplit("-", 1)[0]) if j["id"] == job_id)

    def wait_job(self, job_id):
        wait_for(lambda: self.job(job_id)["state"] not in ("running", "queued"), 30, f"the end of {job_id}")
        return self.job(job_id)

    def steps(self, job_id):
        return {s["vm"]: s for s in self.job(job_id)["report"]["steps"]}

    def states(self, job_id):
        return {vm: step["state"] for vm, step in self.steps(job_id).items()}

    def signal(self, vm, signal, node="host1"):
        machine = self.lab.nodes[node].machine
        machine.run("kill", f"-{signal}", *machine.run("pgrep", "-f", f"vmhost-{vm}$").stdout.split())

    def start_all(self, node="host1"):
        for vm in VMS:
            if self.vms()[vm]["state"] != "Running":
                self.viaduct("vm", "start", vm, "--node", node)

    def home(self):
        """Every VM runs on host1, both nodes are up."""
        for name in ("host1", "host2"):
            self.viaduct("node", "resume", name)
        self.start_all()
        for vm, (node, _) in self.where().items():
            if node != "host1":
                self.viaduct("live-migrate", vm, "host1")
        check(self.where() == {vm: ("host1", "Running") for vm in VMS}, f"{self.where()}")


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def kinds(plan):
    return [(s["vm"], s["kind"], s["to"]) for s in plan["steps"]]


def test_list(env):
    nodes = env.node.ask("node", "list")["nodes"]
    check([(n["name"], n["state"], n["drain"]) for n in nodes] ==
          [(name, "up", "none") for name in ("host1", "host2", "witness")], f"{nodes}")
    check(all(n["vm_memory_bytes"] == 2048 << 20 and n["used_bytes"] == 0 and n["version"] for n in nodes), f"{nodes}")
    text = env.viaduct("node", "list").stdout
    check("witness *" in text and "0 B / 2.0 GiB" in text, text)
    text = env.viaduct("node", "show", "host1").stdout
    check("State     up" in text and all(vm in text for vm in VMS), text)
    check(env.viaduct("Get-ClusterNode").stdout == env.viaduct("node", "list").stdout, "the alias shows something else")


def test_what_makes_no_sense(env):
    for code, command in ((3, "node show nobody"), (3, "node drain nobody"), (3, "node pause nobody"),
                          (3, "node resume nobody"), (3, "node drain host1 --target nobody"),
                          (2, "node drain host1 --target host1"), (2, "node pause host1 --dry-run"),
                          (2, "node pause host1 --force"), (2, "node resume host1 --failback sometimes"),
                          (2, "cluster set"), (2, "cluster set --parallel-migrations many"),
                          (2, "node drain"), (3, "job cancel host1-999")):
        env.refused(code, *command.split())
    check(env.node_of("host1")["state"] == "up", "something was changed")
    check("at most 8" in env.viaduct("cluster", "set", "--parallel-migrations", "9").stdout, "not clamped")
    check("at most 1" in env.viaduct("cluster", "set", "--parallel-migrations", "0").stdout, "not clamped")


def test_vms_that_are_off(env):
    plan = env.plan()
    check(kinds(plan) == [(vm, "owner", "host2") for vm in VMS], f"{plan}")
    check(env.lab.nodes["host1"].ask("node", "drain", "host1", "--dry-run")["plan"] == plan, "another plan elsewhere")
    text = env.viaduct("Suspend-ClusterNode", "host1", "-Drain", "--dry-run").stdout
    check(plan["digest"] in text and "nothing was done" in text, text)
    check(env.node_of("host1")["state"] == "up" and env.vms()["V1"]["node"] == "host1", "a dry run did something")
    env.refused(7, "node", "drain", "host1", "--plan", "0123456789abcdef")
    check(env.node_of("host1")["state"] == "up", "another plan was begun")
    text = env.viaduct("node", "drain", "host1", "--plan", plan["digest"], "--wait").stdout
    check("host1 is drained" in text and "V3: done (owner to host2)" in text, text)
    check(env.where() == {vm: ("host2", "Off") for vm in VMS}, f"{env.where()}")
    node = env.node_of("host1")
    check((node["state"], node["drain"], node["vms"]) == ("paused", "done", []), f"{node}")


def test_a_paused_node_takes_nothing(env):
    line = env.refused(8, "vm", "start", "V1", "--node", "host1")
    check("host1 is paused" in line and "node resume host1" in line, line)
    env.start_all("host2")
    line = env.refused(8, "live-migrate", "V1", "host1")
    check("paused" in line, line)
    env.refused(8, "node", "drain", "host2", "--target", "host1")
    blocked = env.plan(node="host2")["steps"]
    check(all(s["kind"] == "blocked" and any("host1" in r for r in s["reasons"]) and
              any("witness" in r for r in s["reasons"]) for s in blocked), f"{blocked}")
    text = env.viaduct("node", "drain", "host2", "--dry-run").stdout
    check("3 blocked" in text and "paused" in text, text)


def test_the_way_back(env):
    text = env.viaduct("Resume-ClusterNode", "host1", "-Failback", "Immediate", "--wait").stdout
    check("They are back." in text, text)
    check(env.where() == {vm: ("host1", "Running") for vm in VMS}, f"{env.where()}")
    node = env.node_of("host1")
    check((node["state"], node["drain"], node["moved"]) == ("up", "none", []), f"{node}")
    check(sorted(j["kind"] for j in env.jobs()) .count("failback") == 1, "no job says so")


def test_a_plan_is_followed(env):
    plan = env.plan()
    check(kinds(plan) == [(vm, "live", "host2") for vm in VMS], f"{plan}")
    env.signal("V1", "STOP")
    begun = env.node.ask("node", "drain", "host1", "--plan", plan["digest"])
    job = begun["job"]
    check(begun["plan"] == plan, f"{begun}")
    wait_for(lambda: env.states(job) == {"V1": "moving", "V2": "queued", "V3": "queued"}, 8, "a move and two that wait")
    check(env.node_of("host1")["state"] == "draining", f"{env.node_of('host1')}")
    queued = [j["vm"] for j in env.jobs() if j["state"] == "queued"]
    check(queued == ["V2", "V3"], f"{env.jobs()}")
    check("queued" in env.viaduct("node", "show", "host1").stdout, "node show has no steps")
    env.refused(7, "node", "drain", "host1")
    env.refused(7, "live-migrate", "V2", "host2")
    env.signal("V1", "CONT")
    done = env.wait_job(job)
    check(done["state"] == "done" and done["report"]["digest"] == plan["digest"], f"{done}")
    check([(s["vm"], s["kind"], s["to"]) for s in done["report"]["steps"]] == kinds(plan), f"{done}")
    check(env.where() == {vm: ("host2", "Running") for vm in VMS}, f"{env.where()}")
    order = [j["vm"] for j in env.jobs() if j["kind"] == "live-migrate" and j["id"] in
             {s["job"] for s in done["report"]["steps"]}]
    check(order == list(VMS), f"{order}")
    env.home()


def test_a_cancelled_drain_leaves_the_rest(env):
    env.signal("V1", "STOP")
    job = env.node.ask("node", "drain", "host1")["job"]
    wait_for(lambda: env.states(job)["V1"] == "moving", 8, "the first move")
    env.viaduct("job", "cancel", job)
    check(env.states(job) == {"V1": "moving", "V2": "cancelled", "V3": "cancelled"}, f"{env.states(job)}")
    check(env.job(job)["state"] == "running", "it is over before its move is")
    env.signal("V1", "CONT")
    check(env.wait_job(job)["state"] == "cancelled", f"{env.job(job)}")
    check(env.where() == {"V1": ("host2", "Running"), "V2": ("host1", "Running"), "V3": ("host1", "Running")},
          f"{env.where()}")
    wait_for(lambda: env.node_of("host1")["drain"] == "failed", 5, "the drain's end")
    node = env.node_of("host1")
    check(node["state"] == "paused" and "V2" in node["reason"] and node["moved"] == [{"vm": "V1", "to": "host2"}],
          f"{node}")
    env.home()


def test_what_became_impossible_is_said(env):
    env.signal("V1", "STOP")
    job = env.node.ask("node", "drain", "host1")["job"]
    wait_for(lambda: env.states(job)["V1"] == "moving", 8, "the first move")
    env.viaduct("vm", "stop", "V2")
    env.signal("V1", "CONT")
    done = env.wait_job(job)
    step = env.steps(job)["V2"]
    check((done["state"], step["state"], step["why"]) ==
          ("failed", "failed", "no longer possible: it is not running"), f"{done}")
    check(env.where() == {"V1": ("host2", "Running"), "V2": ("host1", "Off"), "V3": ("host2", "Running")},
          f"{env.where()}")
    env.home()


def test_resumed_in_the_midst(env):
    env.signal("V1", "STOP")
    job = env.node.ask("node", "drain", "host1")["job"]
    wait_for(lambda: env.states(job)["V1"] == "moving", 8, "the first move")
    env.refused(7, "node", "resume", "host1", "--failback", "immediate")
    env.viaduct("node", "resume", "host1")
    env.signal("V1", "CONT")
    check(env.wait_job(job)["state"] == "cancelled", f"{env.job(job)}")
    node = env.node_of("host1")
    check((node["state"], node["drain"], node["moved"]) == ("up", "none", []), f"{node}")
    env.home()


def test_one_that_is_paused(env):
    env.viaduct("vm", "pause", "V2")
    step = next(s for s in env.plan()["steps"] if s["vm"] == "V2")
    check(step["kind"] == "blocked" and "paused" in step["reasons"][0], f"{step}")
    done = env.viaduct("node", "drain", "host1", "--wait", check=False)
    check(done.returncode == 1 and "V2: blocked: it is paused" in done.stdout and "V2 (it is paused" in done.stderr,
          done.stdout + done.stderr)
    step = next(s for s in env.plan("--force")["steps"] if s["vm"] == "V2")
    check((step["kind"], step["to"]) == ("stop", "host2"), f"{step}")
    env.viaduct("node", "drain", "host1", "--force", "--wait")
    check(env.where() == dict({vm: ("host2", "Running") for vm in VMS}, V2=("host2", "Off")), f"{env.where()}")
    check("turned off" in env.vms()["V2"]["reason"], f"{env.vms()['V2']}")
    check(len(env.node_of("host1")["moved"]) == 3, f"{env.node_of('host1')}")
    env.home()


def test_what_has_no_room_stays(env):
    env.create("Large", "1792M", "host2")
    env.viaduct("vm", "start", "Large")
    plan = env.plan()
    check([s["kind"] for s in plan["steps"]] == ["live", "blocked", "blocked"], f"{plan}")
    check(any("host2" in r and "MiB" in r for r in plan["steps"][1]["reasons"]), f"{plan}")
    done = env.viaduct("node", "drain", "host1", "--wait", check=False)
    check(done.returncode == 1 and "2 of 3 VMs are still here" in done.stderr, done.stderr)
    env.viaduct("vm", "stop", "Large")
    env.viaduct("vm", "delete", "Large")
    env.home()


def test_moves_by_people_wait_too(env):
    env.signal("V1", "STOP")
    first = env.node.ask("live-migrate", "V1", "host2", "--no-wait")
    second = env.node.ask("live-migrate", "V2", "host2", "--no-wait")
    third = env.node.ask("quick-migrate", "V3", "host2", "--no-wait")
    check([j["state"] for j in (first, second, third)] == ["running", "queued", "queued"], f"{first} {second} {third}")
    env.refused(7, "live-migrate", "V2", "host2")
    env.viaduct("job", "cancel", second["job"])
    check(env.job(second["job"])["state"] == "cancelled", "a move that waits goes on")
    env.signal("V1", "CONT")
    check(env.wait_job(third["job"])["state"] == "done", f"{env.jobs()}")
    check(env.where() == {"V1": ("host2", "Running"), "V2": ("host1", "Running"), "V3": ("host2", "Running")},
          f"{env.where()}")
    env.home()


def test_several_at_once(env):
    env.viaduct("cluster", "set", "--parallel-migrations", "2")
    env.signal("V1", "STOP")
    env.signal("V2", "STOP")
    job = env.node.ask("node", "drain", "host1")["job"]
    wait_for(lambda: env.states(job) == {"V1": "moving", "V2": "moving", "V3": "queued"}, 8, "two moves at once")
    env.signal("V1", "CONT")
    env.signal("V2", "CONT")
    check(env.wait_job(job)["state"] == "done", f"{env.job(job)}")
    env.viaduct("cluster", "set", "--parallel-migrations", "1")
    env.home()


def test_the_service_ends_in_the_midst(env):
    env.signal("V1", "STOP")
    job = env.node.ask("node", "drain", "host1")["job"]
    wait_for(lambda: env.states(job)["V1"] == "moving", 8, "the first move")
    env.end_service("host1", "KILL")
    env.lab.nodes["host1"].start_viaductd("--libexec-dir", env.libexec)
    env.lab.wait_until_ready()
    wait_for(lambda: env.node_of("host1")["drain"] == "failed", 10, "the news")
    node = env.node_of("host1")
    check(node["state"] == "paused" and "restarted" in node["reason"], f"{node}")
    # What ended with the service starts where VMs are taken.
    wait_for(lambda: env.where() == dict.fromkeys(VMS, ("host2", "Running")), 20, "the restart of the VMs")
    env.viaduct("node", "drain", "host1", "--wait")
    check(env.node_of("host1")["drain"] == "done", f"{env.node_of('host1')}")
    env.home()


def test_a_node_without_service(env):
    env.end_service("host1", "KILL")
    wait_for(lambda: env.node_of("host1")["state"] == "no service", 10, "the end of the service")
    env.refused(10, "node", "drain", "host1")
    env.viaduct("node", "pause", "host1")
    env.lab.nodes["host1"].start_viaductd("--libexec-dir", env.libexec)
    env.lab.wait_until_ready()
    check(env.node_of("host1")["state"] == "paused", f"{env.node_of('host1')}")
    env.home()


def test_without_quorum_nothing_is_changed(env):
    for name in ("host1", "host2"):
        env.lab.nodes[name].kill()
    wait_for(lambda: not env.node.ask("cluster", "status")["quorate"], 20, "the loss of quorum")
    for command in ("node pause witness", "node drain witness", "node resume host1", "cluster set "
                    "--parallel-migrations 2"):
        env.refused(5, *command.split())
    states = {n["name"]: n["state"] for n in json.loads(env.viaduct("node", "list", "--json").stdout)["nodes"]}
    check(states == {"host1": "down", "host2": "down", "witness": "isolated"}, f"{states}")


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
