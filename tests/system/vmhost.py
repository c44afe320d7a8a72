#!/usr/bin/env python3
"""VM processes and a switch without a cluster: boot, network, migration, saved state, and what happens
when the other side dies."""
import os
import re
import secrets
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
from tests.support.chan import ChannelError  # noqa: E402
from tests.support.harness import bin_directory, check, kernel, main, need_kvm  # noqa: E402
from tests.support.vmhost import Switch, VmHost, loopback_pairs, migrate  # noqa: E402

MACS = ["00:15:5d:00:00:01", "00:15:5d:00:00:02"]
MEMORY_MIB = 64
WORKLOAD = "dirty=5000 ws=16"


class Env:
    """Everything a test starts; ended with it."""

    def __init__(self):
        need_kvm()
        self.directory = tempfile.TemporaryDirectory(prefix="viaduct-test-")
        self.log = os.path.join(self.directory.name, "log")
        self.children = []

    def switch(self):
        self.children.append(Switch(bin_directory(), self.log))
        return self.children[-1]

    def vm(self, name="VM1"):
        self.children.append(VmHost(bin_directory(), self.log, name))
        return self.children[-1]

    def boot(self, name, cmdline, switch=None, mac=None, vid=2):
        vm = self.vm(name)
        ports = [switch.add_port(f"{name}/nic0", mac, vid)] if switch else []
        vm.configure(kernel(), f"name={name} {cmdline}", MEMORY_MIB, ports, [mac] if switch else [])
        vm.call("vm.start")
        return vm

    def close(self):
        for child in self.children:
            child.stop()
        self.directory.cleanup()


def wait(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def network_ready(vm):
    return vm.call("vm.info")[0]["nics"][0]["ready"]


def with_env(test):
    def run():
        env = Env()
        try:
            test(env)
        finally:
            env.close()
    run.__code__ = run.__code__.replace(co_firstlineno=test.__code__.co_firstlineno)
    return run


def received(answer):
    return int(re.search(r"received=(\d+)", answer).group(1))


@with_env
def test_guest_speaks_the_newest_protocols(env):
    vm = env.boot("VM1", "ip=10.20.0.1/24", env.switch(), MACS[0])
    wait(lambda: network_ready(vm), 20, "the guest's network")
    info = vm.call("vm.info")[0]
    check(info["vmbus_version"] == "5.3" and info["nics"][0]["nvsp"] == "6.1", f"spoken: {info}")
    check(info["vmbus_errors"] == 0 and info["nics"][0]["protocol_errors"] == 0, f"errors: {info}")


@with_env
def test_vlans_keep_guests_apart(env):
    switch = env.switch()
    one = env.boot("VM1", "ip=10.20.0.1/24", switch, MACS[0], vid=2)
    env.boot("VM2", "ip=10.20.0.2/24", switch, MACS[1], vid=2)
    env.boot("VM3", "ip=10.20.0.3/24", switch, "00:15:5d:00:00:03", vid=3)
    for vm in env.children[1:]:
        wait(lambda vm=vm: network_ready(vm), 20, "the guests' network")
    check(received(one.command("ping 10.20.0.2 3 1000")) == 3, "VM2, in the same VLAN, was not reached")
    check(received(one.command("ping 10.20.0.3 2 500")) == 0, "VM3, in another VLAN, was reached")


@with_env
def test_live_migration_keeps_memory_and_address(env):
    here, there = env.switch(), env.switch()
    source = env.boot("VM1", f"ip=10.20.0.1/24 {WORKLOAD}", here, MACS[0])
    wait(lambda: network_ready(source) and source.field("status", "dirtied") > 4096, 30, "the workload")
    target = env.vm()
    target.configure(None, "", MEMORY_MIB, [there.add_port("VM1/nic0", MACS[0])], [MACS[0]])
    report, _ = migrate(source, target)
    check(report["error"] == 0 and report["sent_bytes"] < report["raw_bytes"], f"report: {report}")
    before = target.field("status", "dirtied")
    wait(lambda: target.field("status", "dirtied") > before + 1000, 20, "the workload on the target")
    answer = target.command("verify", 60)
    check("pages=4096 " in answer and " bad=0 " in answer, answer)
    check(MACS[0] in target.command("net"), "the MAC address changed")
    neighbour = env.boot("VM2", "ip=10.20.0.2/24", there, MACS[1])
    wait(lambda: network_ready(neighbour), 20, "the neighbour's network")
    check(received(neighbour.command("ping 10.20.0.1 3 1000")) == 3, "the moved VM cannot be reached")


@with_env
def test_idle_guest_wakes_up_again(env):
    """A guest that sleeps until a timer fires: after a pause, after a move."""
    vm = env.boot("VM1", "")
    wait(lambda: "ready" in vm.serial_text(), 20, "the guest's start")
    for _ in range(5):
        vm.call("vm.pause")
        vm.call("vm.start")
        check(vm.command("status", 5).startswith("ok"), "no answer after a pause")
    target = env.vm()
    target.configure(None, "", MEMORY_MIB)
    migrate(vm, target)
    check(target.command("status", 5).startswith("ok"), "no answer after a move")


@with_env
def test_twelve_moves_in_a_row(env):
    vm = env.boot("VM1", WORKLOAD)
    wait(lambda: vm.field("status", "dirtied") > 4096, 30, "the workload")
    for _ in range(12):
        target = env.vm()
        target.configure(None, "", MEMORY_MIB)
        migrate(vm, target)
        vm.stop()
        vm = target
    answer = vm.command("verify", 60)
    check("pages=4096 " in answer and " bad=0 " in answer, answer)


def begin_slow_move(env, vm, target):
    """A move held back so that it can be interrupted in the middle of the pre-copy."""
    out, back = loopback_pairs(3)
    key = secrets.token_hex(32)
    target.call("mig.in", [s.fileno() for s in back], key=key)
    vm.call("mig.out", [s.fileno() for s in out], key=key, bandwidth_bytes_per_s=4 << 20, compress=False)
    for s in out + back:
        s.close()
    vm.wait_event(lambda m: m["op"] == "mig.progress" and m["report"]["percent"] >= 10, 20)


def check_goes_on(vm):
    before = vm.field("status", "dirtied")
    wait(lambda: vm.field("status", "dirtied") > before + 1000, 20, "the workload on the source")
    check(" bad=0 " in vm.command("verify", 60), "the source's memory is wrong")
    check(vm.call("vm.info")[0]["state"] == "running", "the source does not run")


@with_env
def test_death_of_the_target_leaves_the_source_running(env):
    vm, target = env.boot("VM1", WORKLOAD), env.vm()
    target.configure(None, "", MEMORY_MIB)
    wait(lambda: vm.field("status", "dirtied") > 4096, 30, "the workload")
    begin_slow_move(env, vm, target)
    target.process.kill()
    _, done = vm.wait_event(lambda m: m["op"] == "mig.done", 20)
    check(done["error"] != 0, f"the move 'worked': {done}")
    check_goes_on(vm)


@with_env
def test_cancel_leaves_the_source_running(env):
    vm, target = env.boot("VM1", WORKLOAD), env.vm()
    target.configure(None, "", MEMORY_MIB)
    wait(lambda: vm.field("status", "dirtied") > 4096, 30, "the workload")
    begin_slow_move(env, vm, target)
    vm.call("mig.cancel")
    _, done = vm.wait_event(lambda m: m["op"] == "mig.done", 20)
    check(done["error"] == 125, f"not 'cancelled': {done}")
    target.wait_event(lambda m: m["op"] == "mig.in.failed", 20)
    check_goes_on(vm)


@with_env
def test_refused_commit_leaves_the_source_running(env):
    vm, target = env.boot("VM1", WORKLOAD), env.vm()
    target.configure(None, "", MEMORY_MIB)
    wait(lambda: vm.field("status", "dirtied") > 4096, 30, "the workload")
    out, back = loopback_pairs(3)
    key = secrets.token_hex(32)
    target.call("mig.in", [s.fileno() for s in back], key=key)
    vm.call("mig.out", [s.fileno() for s in out], key=key)
    vm.wait_event(lambda m: m["op"] == "mig.ready", 30)
    check(vm.call("vm.info")[0]["state"] == "paused", "the source runs while the commit is undecided")
    vm.call("mig.finish", committed=False)
    vm.wait_event(lambda m: m["op"] == "mig.done", 20)
    target.wait_event(lambda m: m["op"] == "mig.in.failed", 20)
    check_goes_on(vm)


@with_env
def test_wrong_key_is_refused(env):
    vm, target = env.boot("VM1", ""), env.vm()
    target.configure(None, "", MEMORY_MIB)
    out, back = loopback_pairs(2)
    target.call("mig.in", [s.fileno() for s in back], key=secrets.token_hex(32))
    vm.call("mig.out", [s.fileno() for s in out], key=secrets.token_hex(32))
    _, done = vm.wait_event(lambda m: m["op"] == "mig.done", 30)
    check(done["error"] != 0, "a stranger took the VM")
    check(vm.call("vm.info")[0]["state"] == "running", "the source does not run")


@with_env
def test_saved_state_comes_back(env):
    vm = env.boot("VM1", WORKLOAD)
    wait(lambda: vm.field("status", "dirtied") > 4096, 30, "the workload")
    path = os.path.join(env.directory.name, "saved")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    reply, _ = vm.call("vm.save", [fd], timeout=60)
    os.close(fd)
    check(os.path.getsize(path) == reply["file_bytes"] < reply["raw_bytes"], f"sizes: {reply}")
    vm.stop()
    restored = env.vm()
    restored.configure(None, "", MEMORY_MIB)
    fd = os.open(path, os.O_RDONLY)
    restored.call("vm.load", [fd], timeout=60)
    os.close(fd)
    restored.call("vm.start")
    check_goes_on(restored)


@with_env
def test_broken_saved_states_are_refused(env):
    vm = env.boot("VM1", WORKLOAD)
    wait(lambda: vm.field("status", "dirtied") > 4096, 30, "the workload")
    path = os.path.join(env.directory.name, "saved")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    vm.call("vm.save", [fd], timeout=60)
    os.close(fd)
    with open(path, "rb") as f:
        good = f.read()
    middle = len(good) // 2
    broken = [b"", good[:10], good[:middle], good[:-1], good + b"more",
              good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:]]
    for content in broken:
        victim = env.vm()
        victim.configure(None, "", MEMORY_MIB)
        with open(path, "wb") as f:
            f.write(content)
        fd = os.open(path, os.O_RDONLY)
        try:
            victim.call("vm.load", [fd], timeout=60)
            check(False, f"a broken state of {len(content)} bytes was taken")
        except ChannelError as e:
            check(len(str(e)) > 10, f"no clear error: {e}")
        finally:
            os.close(fd)
            victim.stop()


@with_env
def test_bad_requests_are_refused(env):
    vm = env.vm()
    bad = [{"name": ""}, {"name": "x" * 64}, {"memory_bytes": 1}, {"memory_bytes": -2097152}, {"vps": 0},
           {"vps": 65}, {"nics": [{"mac": "zz"}]}, {"nics": [{"mac": "01:00:00:00:00:00"}]},
           {"nics": [{"mac": MACS[0], "mtu": 10}]}, {"nics": [{"mac": MACS[0]}] * 5}, {"cmdline": "x" * 1024}]
    for change in bad:
        request = {"name": "VM1", "memory_bytes": MEMORY_MIB << 20, "vps": 1, "nics": [], **change}
        try:
            vm.call("vm.configure", [], **request)
            check(False, f"{change} was taken")
        except ChannelError:
            pass
    for op in ("vm.start", "vm.pause", "vm.save", "mig.out", "mig.in", "mig.finish", "nonsense"):
        try:
            vm.call(op)
            check(False, f"{op} without a VM was taken")
        except ChannelError:
            pass
    check(vm.call("vm.info")[0]["state"] == "empty", "the process is not well any more")


if __name__ == "__main__":
    main()
