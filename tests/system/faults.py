#!/usr/bin/env python3
"""What goes wrong in a cluster, and what must hold then: one clear line and an exit code for every refusal,
and exactly one runnable copy of a VM whatever dies at whatever moment."""
import os
import shutil
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, kernel, main, need_kvm, need_namespaces  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_LAB", "/var/lib/viaduct-test-lab")
HOSTS = [("host1", "phA"), ("host2", "phC"), ("witness", None)]


def setup():
    need_kvm()
    need_namespaces()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    lab = Lab(DIRECTORY, bin_directory(), HOSTS, vm_memory_mib=384)
    try:
        lab.up()
        lab.name_networks()
        for host in ("host1", "host2"):
            lab.first().viaduct("switch", "create", "net", "--node", host, "--type", "external", "--uplink", "pnic1")
        lab.first().viaduct("volume", "create", "Volume1", "--path", lab.volume)
        create(lab, "VM1", "host1", "128M", "dirty=2000 ws=32")
        # What starts by itself is failover.py's matter.
        lab.first().viaduct("vm", "policy", "VM1", "--priority", "none")
        lab.first().viaduct("vm", "start", "VM1")
        wait_for(lambda: dirtied(lab, "VM1") > 2000, 30, "the workload")
    except BaseException:
        lab.down()
        raise
    return lab


def teardown(lab):
    lab.down()


def create(lab, name, host, memory, cmdline=""):
    lab.first().viaduct("vm", "create", name, "--node", host, "--kernel", kernel(), "--memory", memory, "--cmdline",
                        f"name={name} ip=10.20.0.1/24 {cmdline}", "--nic", "switch=net,vlan=2")


def serial(node, vm, line):
    return node.viaduct("vm", "serial", vm, "--send", line, "--until", "ok |err ", "--timeout", "30").stdout


def dirtied(lab, vm, node=None):
    answer = serial(node or lab.first(), vm, "status")
    return int(answer.split("dirtied=")[1].split()[0])


def view(node, vm):
    entry = next(v for v in node.ask("vm", "list")["vms"] if v["name"] == vm)
    return entry["node"], entry["state"]


def copies(lab, vm):
    """{node: processes of that VM}, of the nodes that live."""
    return {n.name: n.count_processes(f"vmhost-{vm}") for n in lab.nodes.values() if n.machine.is_alive()}


def check_one_copy(lab, vm, where):
    """One process, on the node that the record names; it works and its memory is right."""
    node = lab.nodes[where]
    wait_for(lambda: view(node, vm) == (where, "Running"), 20, f"{vm} running on {where}")
    wait_for(lambda: sum(copies(lab, vm).values()) == 1, 20, f"one copy of {vm}")
    check(copies(lab, vm)[where] == 1, f"copies: {copies(lab, vm)}")
    before = dirtied(lab, vm, node)
    wait_for(lambda: dirtied(lab, vm, node) > before, 20, "the workload")
    answer = serial(node, vm, "verify")
    check(" bad=0 " in answer, answer)


def refused(lab, code, *words, node="host1", env=()):
    """The command fails with this exit code and one line that says something."""
    n = lab.nodes[node]
    done = n.machine.run("env", *env, os.path.join(lab.bin, "viaduct"), *words, check=False)
    lines = done.stderr.strip().splitlines()
    check(done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stderr}")
    check(len(lines) == 1 and lines[0].startswith("viaduct: ") and len(lines[0]) > 25, f"{words}: {done.stderr}")
    return lines[0]


# ---- refusals ----

def test_unknown_names(lab):
    refused(lab, 3, "vm", "show", "nobody")
    refused(lab, 3, "live-migrate", "nobody", "host2")
    refused(lab, 3, "live-migrate", "VM1", "nowhere")
    refused(lab, 3, "quick-migrate", "VM1", "nowhere")
    refused(lab, 3, "vm", "start", "nobody")
    refused(lab, 3, "switch", "delete", "nothing")
    refused(lab, 3, "cluster", "network", "set", "nothing", "--metric", "5")
    refused(lab, 3, "job", "cancel", "host1-999")


def test_senseless_commands(lab):
    refused(lab, 2, "fly")
    refused(lab, 2, "vm", "start")
    refused(lab, 2, "vm", "list", "--nonsense")
    refused(lab, 2, "vm", "create", "x", "--kernel", kernel(), "--memory", "lots")
    refused(lab, 2, "vm", "create", "../x", "--kernel", kernel())
    refused(lab, 2, "vm", "create", "x", "--kernel", kernel(), "--nic", "switch=net,vlan=4095")
    refused(lab, 2, "vm", "create", "x", "--kernel", kernel(), "--vps", "1000")
    refused(lab, 2, "switch", "create", "s", "--type", "magic")
    refused(lab, 2, "switch", "create", "s", "--type", "private", "--uplink", "pnic1")


def test_conflicts(lab):
    refused(lab, 7, "vm", "create", "VM1", "--kernel", kernel())
    refused(lab, 7, "vm", "start", "VM1")
    refused(lab, 7, "vm", "delete", "VM1")
    refused(lab, 7, "live-migrate", "VM1", "host1")
    refused(lab, 7, "switch", "delete", "net")


def test_missing_daemon(lab):
    line = refused(lab, 4, "vm", "list", env=["VIADUCT_IPC_NAME=nobody-listens"])
    check("viaductd" in line, line)


def test_full_target(lab):
    create(lab, "big", "host2", "320M")
    lab.first().viaduct("vm", "start", "big")
    line = refused(lab, 6, "live-migrate", "VM1", "host2")
    check("full" in line and "MiB" in line, line)
    refused(lab, 6, "quick-migrate", "VM1", "host2")
    create(lab, "more", "host2", "128M")
    refused(lab, 6, "vm", "start", "more")
    lab.first().viaduct("vm", "stop", "big")
    lab.first().viaduct("vm", "delete", "big")
    lab.first().viaduct("vm", "delete", "more")
    check_one_copy(lab, "VM1", "host1")


def test_any_node_may_be_asked(lab):
    lab.nodes["witness"].viaduct("live-migrate", "VM1", "host2")
    check_one_copy(lab, "VM1", "host2")
    lab.nodes["witness"].viaduct("Move-ClusterVirtualMachineRole", "-Name", "VM1", "-Node", "host1",
                                 "-MigrationType", "Live")
    check_one_copy(lab, "VM1", "host1")


# ---- deaths ----

def begin_slow_move(lab, source="host1", target="host2"):
    """A move that takes long enough to be interrupted in the middle of the pre-copy; its job's id."""
    node = lab.nodes[source]
    job = node.ask("live-migrate", "VM1", target, "--bandwidth", "8", "--no-compress", "--no-wait")["job"]

    def under_way():
        found = next(j for j in node.ask("job", "list")["jobs"] if j["id"] == job)
        check(found["state"] == "running", f"the move ended too early: {found}")
        return found["phase"] == "perform" and found["percent"] >= 10
    wait_for(under_way, 20, "the pre-copy")
    return job


def job_end(node, job):
    def ended():
        found = next(j for j in node.ask("job", "list")["jobs"] if j["id"] == job)
        return found if found["state"] != "running" else None
    return wait_for(ended, 30, "the end of the move")


def test_cancel(lab):
    job = begin_slow_move(lab)
    lab.first().viaduct("job", "cancel", job)
    check(job_end(lab.first(), job)["state"] == "cancelled", "the job was not cancelled")
    check_one_copy(lab, "VM1", "host1")


def test_target_process_dies_during_precopy(lab):
    job = begin_slow_move(lab)
    lab.nodes["host2"].machine.run("pkill", "-KILL", "-f", "vmhost-VM1")
    check(job_end(lab.first(), job)["state"] == "failed", "the job did not fail")
    check_one_copy(lab, "VM1", "host1")


def test_target_node_dies_during_precopy(lab):
    job = begin_slow_move(lab)
    lab.nodes["host2"].kill()
    check(job_end(lab.first(), job)["state"] == "failed", "the job did not fail")
    check_one_copy(lab, "VM1", "host1")
    lab.nodes["host2"].restart()
    lab.wait_until_ready()
    lab.first().viaduct("live-migrate", "VM1", "host2")
    check_one_copy(lab, "VM1", "host2")


def test_source_node_dies_right_after_the_commit(lab):
    """VM1 is on host2: it moves back to host1, and host2 dies as soon as the record names host1."""
    host1, host2 = lab.nodes["host1"], lab.nodes["host2"]
    mover = host2.machine.popen(os.path.join(lab.bin, "viaduct"), "live-migrate", "VM1", "host1", stdout=-1, stderr=-1)
    wait_for(lambda: view(host1, "VM1")[0] == "host1", 30, "the commit")
    host2.kill()
    mover.communicate(timeout=20)
    check_one_copy(lab, "VM1", "host1")
    host2.restart()
    lab.wait_until_ready()
    check_one_copy(lab, "VM1", "host1")


def test_source_node_dies_during_precopy(lab):
    host2 = lab.nodes["host2"]
    begin_slow_move(lab)
    check(copies(lab, "VM1")["host2"] == 1, "the target has no copy to throw away")
    lab.nodes["host1"].kill()
    wait_for(lambda: copies(lab, "VM1")["host2"] == 0, 20, "the target throwing its copy away")
    wait_for(lambda: view(host2, "VM1") == ("host1", "Unknown"), 20, "the state becoming unknown")
    lab.nodes["host1"].restart()
    lab.wait_until_ready()
    wait_for(lambda: view(host2, "VM1") == ("host1", "Off"), 20, "the node's own word on its VM")
    lab.first().viaduct("vm", "start", "VM1")
    wait_for(lambda: dirtied(lab, "VM1") > 2000, 30, "the workload")
    check_one_copy(lab, "VM1", "host1")


def test_deaths_at_many_moments(lab):
    """The target node dies at a moment that differs from round to round, commit and all."""
    for delay_ms in (0, 40, 80, 120, 160, 200, 260):
        host1, host2 = lab.nodes["host1"], lab.nodes["host2"]
        mover = host1.machine.popen(os.path.join(lab.bin, "viaduct"), "live-migrate", "VM1", "host2", stdout=-1,
                                    stderr=-1)
        end = time.monotonic() + delay_ms / 1000
        while time.monotonic() < end:
            time.sleep(0.005)
        host2.kill()
        mover.communicate(timeout=60)
        owner = view(host1, "VM1")[0]
        if owner == "host1":
            check_one_copy(lab, "VM1", "host1")
        else:
            # It was committed: the VM is the dead node's, and no copy may be left here.
            wait_for(lambda: copies(lab, "VM1")["host1"] == 0, 20, "the source's copy going")
        host2.restart()
        lab.wait_until_ready()
        if owner != "host1":
            wait_for(lambda: view(host1, "VM1") == ("host2", "Off"), 20, "the node's own word on its VM")
            host1.viaduct("vm", "start", "VM1", "--node", "host1")
            wait_for(lambda: dirtied(lab, "VM1") > 2000, 30, "the workload")
            check_one_copy(lab, "VM1", "host1")


# ---- quorum: the last test, it takes two nodes away ----

def test_no_quorum(lab):
    lab.nodes["host2"].kill()
    lab.nodes["witness"].kill()
    host1 = lab.first()
    wait_for(lambda: not host1.ask("cluster", "status")["quorate"], 30, "the loss of quorum")
    refused(lab, 5, "vm", "create", "x", "--kernel", kernel())
    refused(lab, 5, "live-migrate", "VM1", "host2")
    refused(lab, 5, "vm", "start", "VM1")
    # Nobody knows what the others do by now.
    wait_for(lambda: copies(lab, "VM1")["host1"] == 0, 30, "the end of the VM with its node's lease")
    wait_for(lambda: view(host1, "VM1") == ("host1", "Off"), 10, "its state")


if __name__ == "__main__":
    main(setup, teardown)
