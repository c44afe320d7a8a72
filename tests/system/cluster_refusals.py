#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the cluster's store refuses, and that nothing is lost by it: three nodes over real corosync.

    VIADUCT_BIN=DIR cluster_refusals.py [--keep] [CASE...]

Full disk, damaged and newer databases, a second process of a node, versions of the protocol that
do not go together. Exit status: 0 passed, 1 failed, 77 skipped, with the reason printed.
"""

import argparse
import errno
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
from tests.system.cluster_store import (SKIPPED, Failure, Lab, Probe, expect, expect_done,  # noqa: E402
                                        reason_to_skip, wait_until)

FILES = ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm")


def done(answer, what):
    expect(answer["errno"] == 0, f"{what}: {answer}")


def start_all(lab):
    for node in lab.nodes:
        node.start_corosync()
        node.start_probe()
    lab.wait_synced([1, 2, 3])


def case_full_disk(lab):
    """Node 3's state is on a disk that gets full: it leaves, says why, and comes back with room."""
    node = lab.node(3)
    node.stop_probe()
    state = f"{node.directory}/state"
    node.namespace.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", state)
    node.start_probe()
    lab.wait_synced([1, 2, 3])
    done(lab.node(1).ask("fill 1200 1500", 60), "the others go on writing")
    wait_until("node 3 says that its disk is full",
               lambda: node.status()["store_error"] == errno.ENOSPC)
    status = node.status()
    expect(not status["synced"], f"node 3 takes part with a full disk: {status}")
    expect(node.ask('put from/full "x"')["errno"] != 0, "a write at the node with the full disk")
    lab.wait_synced([1, 2])
    expect_done(lab.node(2).ask('put while/full "yes"'), "a write of the others")
    node.namespace.run("mount", "-o", "remount,size=64m", state)
    lab.wait_synced([1, 2, 3])
    expect(node.status()["store_error"] == 0, "the error is gone")
    expect(node.ask("get while/full").get("value") == "yes", "what was written meanwhile came over")
    expect(node.ask("get fill/0001199").get("value"), "what did not fit is there")
    # It is on the disk, too.
    node.stop_probe(kill=True)
    node.start_probe()
    lab.wait_synced([1, 2, 3])
    # Beside what was written meanwhile; nodes say who reaches whom.
    changed = node.status()["n_changed"]
    expect(changed < 20, f"the disk has what the node had: {changed} keys came over")
    node.stop_probe()
    node.namespace.run("umount", state)
    node.start_probe()
    lab.wait_synced([1, 2, 3])


def start_fails(node, text):
    process = subprocess.run(node.namespace.command(node.lab.probe_path, f"{node.directory}/state"),
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    expect(process.returncode != 0, "it starts")
    expect(text in process.stderr, f"it says: {process.stderr}")


def service_says(node, *texts):
    """The node service itself ends with a sentence that says what to do."""
    process = subprocess.run(
        node.namespace.command(node.lab.viaductd, "--state-dir", f"{node.directory}/state", "--log-dir",
                               f"{node.directory}/log", "--ipc-name", f"viaduct-refusal-{os.getpid()}"),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    expect(process.returncode == 1, f"viaductd ended with {process.returncode}: {process.stderr}")
    for text in texts:
        expect(text in process.stderr, f"viaductd says: {process.stderr}")


def remove_files(node):
    for name in FILES:
        path = f"{node.directory}/state/{name}"
        if os.path.exists(path):
            os.remove(path)


def case_damaged_database(lab):
    node = lab.node(2)
    expect_done(lab.node(1).ask('put before/damage "here"'), "put")
    node.stop_probe()
    path = f"{node.directory}/state/store.sqlite"
    with open(path, "r+b") as f:
        size = os.path.getsize(path)
        for at in range(0, size, 97):
            f.seek(at)
            f.write(b"\xa5\x5a")
    start_fails(node, "Bad message")
    service_says(node, "store.sqlite is damaged", "Move store.sqlite", "give this one the store back")
    expect_done(lab.node(1).ask('put during/damage "here"'), "the others go on")
    remove_files(node)
    node.start_probe()
    lab.wait_synced([1, 2, 3])
    expect(node.ask("get before/damage").get("value") == "here", "it was given back")
    expect(node.ask("get during/damage").get("value") == "here", "all of it")


def case_newer_database(lab):
    node = lab.node(2)
    node.stop_probe()
    path = f"{node.directory}/state/store.sqlite"
    with open(path, "r+b") as f:
        f.seek(60)  # user_version
        f.write((99).to_bytes(4, "big"))
    for name in FILES[1:]:
        if os.path.exists(f"{node.directory}/state/{name}"):
            os.remove(f"{node.directory}/state/{name}")
    start_fails(node, "Protocol not supported")
    service_says(node, "written by a newer viaduct", "Update viaduct on this node")
    remove_files(node)
    node.start_probe()
    lab.wait_synced([1, 2, 3])


def case_second_process(lab):
    """A node has one process in the cluster; the one that came later says so and stays out."""
    node = lab.node(2)
    start_fails(node, "resource busy")  # the same folder
    service_says(node, "in use: another viaductd runs")
    os.makedirs(f"{node.directory}/other", exist_ok=True)
    second = Probe(node, state="other")
    try:
        wait_until("the second one sees the first",
                   lambda: second.ask("status")["connect_error"] == errno.EADDRINUSE)
        for _ in range(20):
            expect(not second.ask("status")["synced"], "the second one takes part")
            time.sleep(0.05)
        expect(second.ask('put from/second "x"')["errno"] != 0, "the second one writes")
        lab.wait_synced([1, 2, 3])
        expect_done(node.ask('put from/first "x"'), "the first one writes")
        node.stop_probe()
        wait_until("the second one takes the place", lambda: second.ask("status")["synced"])
    finally:
        second.close()
    node.start_probe()
    lab.wait_synced([1, 2, 3])


def restart(lab, n, newest):
    lab.node(n).stop_probe()
    lab.node(n).start_probe(str(newest))


def protocols(lab):
    return [lab.node(n).status()["protocol"] for n in (1, 2, 3)]


def case_rolling_upgrade(lab):
    """From version 1 to 2, node by node; the upgrade is finished; an older one is kept out."""
    for n in (1, 2, 3):
        lab.node(n).stop_probe()
        remove_files(lab.node(n))
    for n in (1, 2, 3):
        lab.node(n).start_probe("1")
    lab.wait_synced([1, 2, 3])
    expect(protocols(lab) == [1, 1, 1], f"protocols: {protocols(lab)}")
    for n in (3, 1):
        restart(lab, n, 2)
        lab.wait_synced([1, 2, 3])
        expect_done(lab.node(2).ask(f"put during/{n} true"), "a write during the upgrade")
        expect(protocols(lab) == [1, 1, 1], f"protocols: {protocols(lab)}")
        expect(lab.node(n).ask("upgrade")["errno"] == errno.EPROTONOSUPPORT, "an unfinished upgrade")
    restart(lab, 2, 2)
    lab.wait_synced([1, 2, 3])
    expect(protocols(lab) == [2, 2, 2], f"protocols: {protocols(lab)}")
    lab.node(3).stop_probe()
    lab.wait_synced([1, 2])
    expect(lab.node(1).ask("upgrade")["errno"] == errno.EUNATCH, "a node that is not there")
    lab.node(3).start_probe("2")
    lab.wait_synced([1, 2, 3])
    expect_done(lab.node(1).ask("upgrade"), "upgrade")
    expect(lab.node(3).ask("upgrade")["errno"] == errno.EALREADY, "twice")
    restart(lab, 1, 1)
    wait_until("the older one knows that it is too old",
               lambda: lab.node(1).status()["protocol_needed"] == 2)
    lab.wait_synced([2, 3])
    expect_done(lab.node(2).ask('put without/1 true'), "the others go on")
    expect(lab.node(1).ask('put from/old "x"')["errno"] != 0, "the older one writes")
    restart(lab, 1, 2)
    lab.wait_synced([1, 2, 3])
    expect(lab.node(1).ask("get during/3").get("value") is True, "nothing is lost")
    expect(lab.node(1).ask("get without/1").get("value") is True, "nothing is lost")


CASES = [case_full_disk, case_damaged_database, case_newer_database, case_second_process, case_rolling_upgrade]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    options = parser.parse_args()
    programs = os.environ.get("VIADUCT_BIN", ".")
    reason = reason_to_skip(f"{programs}/cluster_probe")
    if reason:
        print(f"SKIP: {reason}")
        return SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Lab(f"{programs}/cluster_probe", 3, options.keep) as lab:
        lab.viaductd = os.path.abspath(f"{programs}/viaductd")
        start_all(lab)
        for case in CASES:
            name = case.__name__.removeprefix("case_")
            if options.cases and name not in options.cases:
                continue
            began = time.monotonic()
            try:
                case(lab)
            except Failure as failure:
                print(f"FAIL {name}: {failure}")
                for node in lab.nodes:
                    if node.probe:
                        print(f"# {node.name}: {node.status()}")
                return 1
            print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
