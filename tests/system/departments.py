#!/usr/bin/env python3
"""The departments scenario, asserted: who reaches whom, what is on the wires, a live migration under a TCP
conversation, a quick migration, and the whole again backwards."""
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.departments import Departments, settle  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, kernel, main, need_kvm, need_namespaces  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_LAB", "/var/lib/viaduct-test-lab")


def setup():
    need_kvm()
    need_namespaces()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    scenario = Departments(DIRECTORY, bin_directory(), kernel())
    try:
        scenario.up(lambda text: None)
        scenario.start_vms()
    except BaseException:
        show_logs(scenario)
        scenario.down()
        raise
    return scenario


def show_logs(scenario):
    for node in scenario.lab.nodes.values():
        path = os.path.join(node.directory, "log", "viaductd.log")
        if os.path.exists(path):
            with open(path) as f:
                print(f"--- {node.name}\n" + "".join(f.readlines()[-30:]))


def teardown(scenario):
    scenario.down()


def check_matrix(scenario):
    errors = scenario.matrix_errors(scenario.measure_matrix())
    check(not errors, "\n".join(errors))


def placed(scenario, vm):
    entry = next(v for v in scenario.lab.first().ask("vm", "list")["vms"] if v["name"] == vm)
    return entry["node"], entry["state"], entry["nics"][0]["mac"]


def test_isolation(scenario):
    capture = scenario.capture("isolation")
    check_matrix(scenario)
    scenario.make_private_noise()
    errors = scenario.check_wires(capture.stop())
    check(not errors, "\n".join(errors))


def move_under_conversation(scenario, source, target):
    mac = placed(scenario, "VM1")[2]
    capture = scenario.capture("move")
    finish = scenario.converse("Server1", "VM1")
    settle(0.5)
    job = scenario.migrate("VM1", target)
    settle(0.5)
    talk = finish()
    frames = capture.stop()
    check(talk["ok"] and talk["received"] == talk["sent"] > 10000, f"the conversation: {talk}")
    errors = scenario.check_one_place(frames, "VM1", source, target)
    check(not errors, "\n".join(errors))
    pages, bad = scenario.verify_memory("VM1")
    check(pages > 0 and bad == 0, f"{bad} of {pages} pages are wrong")
    check(placed(scenario, "VM1") == (target, "Running", mac), f"afterwards: {placed(scenario, 'VM1')}")
    return job["report"]


def test_live_migration_under_a_conversation(scenario):
    report = move_under_conversation(scenario, "host1", "host2")
    check(report["network"]["name"] == "Migration", f"path: {report['network']}")
    sent = {n["name"]: n["tx_bytes"] for n in report["networks"]}
    pages = report["sent_bytes"]
    check(sent["Migration"] >= pages, f"the migration network carried {sent['Migration']} of {pages} bytes")
    for name in ("Cluster", "Management"):
        check(sent[name] < 0.05 * pages, f"{name} carried {sent[name]} bytes while {pages} were sent")
    check(report["blackout"]["total_ns"] > 0 and len(report["rounds"]) >= 2, f"report: {report}")


def test_isolation_after_the_move(scenario):
    check_matrix(scenario)


def test_ten_moves_under_conversations(scenario):
    for i in range(10):
        there = "host1" if i % 2 == 0 else "host2"
        move_under_conversation(scenario, "host2" if there == "host1" else "host1", there)


def test_quick_migration(scenario):
    mac = placed(scenario, "VM4")[2]
    report = scenario.migrate("VM4", "host2", verb="quick-migrate")["report"]
    check(placed(scenario, "VM4") == ("host2", "Running", mac), f"afterwards: {placed(scenario, 'VM4')}")
    check(0 < report["file_bytes"] < report["raw_bytes"], f"report: {report}")
    check(scenario.serial("VM4", "ping 10.20.0.103 3 1000").find("received=3") > 0, "Server3 is out of reach")
    check(not [f for f in os.listdir(scenario.lab.volume) if f.endswith(".saved")], "the state was left behind")
    wait_for(lambda: scenario.lab.first().ask("volume", "list")["volumes"][0]["owner"] == "host2", 10,
             "the change of the volume's owner")


def test_internal_switch_reaches_the_host(scenario):
    """VM, host and nobody else: an internal switch with the host's own adapter."""
    host2 = scenario.lab.nodes["host2"]
    host2.viaduct("switch", "create", "I", "--type", "internal")
    host2.viaduct("vm", "create", "inner", "--kernel", scenario.kernel, "--memory", "32M", "--cmdline",
                  "ip=10.30.0.2/24", "--nic", "switch=I")
    host2.viaduct("vm", "start", "inner")
    wait_for(lambda: host2.machine.run("ip", "addr", "add", "10.30.0.1/24", "dev", "vs-I", check=False)
             .returncode == 0, 10, "the host's adapter")
    wait_for(lambda: host2.machine.run("ping", "-c", "1", "-W", "1", "10.30.0.2", check=False).returncode == 0, 20,
             "the host reaching the VM")
    host2.viaduct("vm", "stop", "inner")
    host2.viaduct("vm", "delete", "inner")
    host2.viaduct("switch", "delete", "I")
    wait_for(lambda: host2.machine.run("ip", "link", "show", "vs-I", check=False).returncode != 0, 10,
             "the adapter going with its switch")


def test_private_switch_cannot_be_left(scenario):
    done = scenario.lab.first().viaduct("live-migrate", "VM5", "host2", check=False)
    check(done.returncode == 8 and "switch" in done.stderr, f"exit {done.returncode}: {done.stderr}")
    check(placed(scenario, "VM5")[:2] == ("host1", "Running"), f"afterwards: {placed(scenario, 'VM5')}")


if __name__ == "__main__":
    main(setup, teardown)
