#!/usr/bin/env python3
"""The watchdog of a node with a device of the kernel's own, softdog, which is told not to reset anything: it says in the
kernel's log when it would have. Runs inside a QEMU machine (deploy/machine/run), for it takes the kernel's modules and the
machine's only device. The VM's process is a puppet (vm_puppet.c)."""
import os
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import SLOW, start_time, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, skip, with_lab  # noqa: E402
from tests.support.processes import pids_of, resume  # noqa: E402
from tests.support.puppets import use_puppets  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_WATCHDOG_LAB", "/var/lib/viaduct-test-watchdog")
SYSFS = "/sys/class/watchdog/watchdog0"
FREEZER = "/run/viaduct-test-freezer"
LEASE_MS = 1000
FIRED = "softdog: Triggered - Reboot ignored"
DEVICE = "touch /dev/watchdog; mount --bind /run/dev/watchdog /dev/watchdog\n"


def sysfs(name):
    with open(os.path.join(SYSFS, name)) as f:
        return f.read().strip()


def n_fired():
    return subprocess.run(["dmesg"], capture_output=True, text=True, check=True, timeout=60).stdout.count(FIRED)


def load_softdog():
    if os.environ.get("VIADUCT_MACHINE_INSIDE", "0") == "0":
        skip("it takes a machine of its own: deploy/machine/run")
    # With the settings of this test, and nobody else's.
    if os.path.exists(SYSFS):
        skip(f"this machine has a watchdog of its own: {sysfs('identity')}")
    done = subprocess.run(["busybox", "modprobe", "softdog", "soft_noboot=1"], capture_output=True, text=True, timeout=120)
    if done.returncode:
        skip(f"there is no softdog: {done.stderr.strip()}")
    wait_for(lambda: os.path.exists("/dev/watchdog") and os.path.exists(SYSFS), 10, "the device")


class Env:
    def __init__(self):
        need_namespaces()
        load_softdog()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None)], lease_ms=LEASE_MS)
        use_puppets(self.lab)
        self.lab.node_setup += DEVICE
        self.lab.viaductd_options += ("--watchdog", "auto")
        self.lab.up()
        self.node = self.lab.first()
        self.node.viaduct("vm", "create", "VM1", "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M",
                          "--no-video")
        self.node.viaduct("vm", "policy", "VM1", "--priority", "none")

    def signal(self, pattern, number):
        pids = pids_of(self.node.machine, pattern)
        check(pids, f"there is no {pattern}")
        for pid in pids:
            os.kill(pid, number)
        return pids

    def watchdog(self):
        return self.node.ask("node", "show", "host1")["watchdog"]

    def events(self, event):
        with open(os.path.join(self.node.directory, "log", "viaductd.log")) as log:
            return log.read().count(f"({event})")

    def start(self):
        """VM1 runs; no lease, no quorum, no service are only for a while."""
        wait_for(lambda: self.node.viaduct("vm", "start", "VM1", check=False).returncode == 0, 40, "VM1's start")
        check(sysfs("state") == "active", "it runs, and nothing watches over it")

    def wait_disarmed(self):
        wait_for(lambda: sysfs("state") == "inactive", 20, "the end of the watch")


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()
    subprocess.run(["rmmod", "softdog"], capture_output=True, timeout=60)


def timeout_s():
    return max(1, int(min(60000, LEASE_MS * SLOW) * 3 // 4000))


def test_nothing_is_armed_without_vms(env):
    check(sysfs("state") == "inactive", sysfs("state"))
    # The service says so of itself with its facts.
    wait_for(lambda: env.watchdog()["device"] == "/dev/watchdog", 20, "its facts")
    check(not env.watchdog()["armed"], f"{env.watchdog()}")
    check("Watchdog  /dev/watchdog, not armed: no VM runs here\n" in env.node.viaduct("node", "show", "host1").stdout,
          "node show")


def test_a_vm_arms_it(env):
    env.start()
    check(sysfs("timeout") == str(timeout_s()), f"{sysfs('timeout')} is not {timeout_s()}")
    wait_for(lambda: env.watchdog()["armed"], 20, "node show")
    watchdog = env.watchdog()
    check(watchdog["identity"] == "Software Watchdog" and watchdog["timeout_s"] == timeout_s() and watchdog["fed"] and
          watchdog["in_time"] == (timeout_s() * 4000 <= 3 * LEASE_MS * SLOW), f"{watchdog}")
    text = env.node.viaduct("node", "show", "host1").stdout
    check(f"Watchdog  /dev/watchdog (Software Watchdog, {timeout_s()} s), armed\n" in text, text)
    check(env.events("watchdog.armed") == 1, "the event")


def test_it_is_fed(env):
    # That it does not fire is seen after twice the time in which it would have, and that it does at once.
    end = time.monotonic() + 2 * timeout_s()
    wait_for(lambda: n_fired() or time.monotonic() > end, 3 * timeout_s(), "the time being over")
    check(n_fired() == 0 and sysfs("state") == "active", "it was not fed")


def test_a_service_that_stands_still_is_not_fed_for(env):
    stopped = env.signal("/viaductd ", signal.SIGSTOP)
    try:
        wait_for(lambda: n_fired() == 1, 2 * timeout_s(), "the reset that softdog does not make")
    finally:
        resume(stopped)
    # VM1 has lost its lease meanwhile, or does not need to.
    env.node.viaduct("vm", "stop", "VM1", check=False)
    env.wait_disarmed()
    check(env.events("watchdog.disarmed") == 1, "the event")


def test_a_process_that_cannot_be_killed_is_not_fed_for(env):
    """A process in a frozen group of the old kind hears no SIGKILL, like one that waits for a device within the kernel."""
    env.start()
    os.makedirs(FREEZER, exist_ok=True)
    done = subprocess.run(["mount", "-t", "cgroup", "-o", "freezer", "freezer", FREEZER], capture_output=True, text=True,
                          timeout=60)
    if done.returncode:
        env.node.viaduct("vm", "stop", "VM1")
        skip(f"the kernel has no such groups: {done.stderr.strip()}")
    group = os.path.join(FREEZER, "vm")
    os.mkdir(group)
    pid, = pids_of(env.node.machine, "vmhost-VM1")
    fired = n_fired()

    def write(name, text):
        with open(os.path.join(group, name), "w") as f:
            f.write(text)
    write("cgroup.procs", str(pid))
    write("freezer.state", "FROZEN")
    stopped = env.signal("corosync", signal.SIGSTOP)
    try:
        wait_for(lambda: env.events("watchdog.not-fed") == 1, 2 * LEASE_MS / 1000 + 10, "the event")
        wait_for(lambda: n_fired() == fired + 1, 2 * timeout_s(), "the reset that softdog does not make")
        check(start_time(pid) is not None, "it was killed all the same")
    finally:
        write("freezer.state", "THAWED")
        resume(stopped)
    # Now it dies, and nothing is left to watch over.
    env.wait_disarmed()
    with open(os.path.join(env.node.directory, "log", "viaductd.log")) as log:
        check("the process of VM VM1 is still there " in log.read(), "what the event says")


def test_a_service_that_ends_disarms_it(env):
    env.start()
    env.signal("/viaductd ", signal.SIGTERM)
    env.wait_disarmed()
    wait_for(lambda: env.node.count_processes("^[^ ]*viaductd ") == 0, 20, "its end")
    env.node.start_viaductd()


def test_a_service_that_is_killed_takes_it_over(env):
    env.start()
    env.signal("/viaductd ", signal.SIGKILL)
    wait_for(lambda: env.node.count_processes("^[^ ]*viaductd ") == 0, 20, "its end")
    check(sysfs("state") == "active", "nothing watches over what it has left")
    env.node.start_viaductd()
    env.wait_disarmed()


def test_the_last_vm_disarms_it(env):
    env.start()
    env.node.viaduct("vm", "stop", "VM1")
    env.wait_disarmed()


if __name__ == "__main__":
    main(setup=setup, teardown=teardown)
