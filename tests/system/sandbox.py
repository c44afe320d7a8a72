#!/usr/bin/env python3
"""What a running VM process has left, as seen from outside: no privilege, no file, no network; and what it
does all the same."""
import os
import platform
import re
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
from tests.support.harness import bin_directory, check, kernel, main, need_kvm, skip  # noqa: E402
from tests.support.ptrace import make_call  # noqa: E402
from tests.support.vmhost import VmHost, migrate  # noqa: E402

NOBODY = "65534"
MEMORY_MIB = 64
# What is not passed on to a program must not even be there to be passed on.
STANDARD_FDS = {"0", "1", "2"}
O_CLOEXEC = 0o2000000


class Env:
    """One running VM, and what the log of its process says."""

    def __init__(self):
        need_kvm()
        if os.geteuid() != 0:
            skip("only root may look into the process of a VM")
        self.directory = tempfile.TemporaryDirectory(prefix="viaduct-test-")
        self.log = os.path.join(self.directory.name, "log")
        self.children = []
        try:
            self.vm = self.start("VM1")
            self.vm.configure(kernel(), "name=VM1", MEMORY_MIB)
            self.vm.call("vm.start")
            self.vm.command("status")
        except Exception:
            self.close()
            raise

    def start(self, name):
        self.children.append(VmHost(bin_directory(), self.log, name))
        return self.children[-1]

    def close(self):
        for child in self.children:
            child.stop()
        self.directory.cleanup()

    def log_text(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()


def proc(vm, *names):
    return os.path.join("/proc", str(vm.process.pid), *names)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def status_of(path):
    return dict(re.findall(r"^(\w+):\t(.*)$", read(path), re.M))


def has_namespaces(env):
    if "without namespaces" in env.log_text():
        skip("the kernel lets nobody make namespaces")
    return True


def test_no_thread_has_a_privilege(env):
    threads = os.listdir(proc(env.vm, "task"))
    check(len(threads) >= 2, f"threads: {threads}")
    for thread in threads:
        status = status_of(proc(env.vm, "task", thread, "status"))
        what = f"{status['Name']}: {status}"
        check(set(status["Uid"].split()) == {NOBODY} and set(status["Gid"].split()) == {NOBODY}, what)
        check(not status["Groups"].split(), what)
        check(status["NoNewPrivs"] == "1", what)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            check(int(status[kind], 16) == 0, what)
        check(status["Seccomp"] == "2", what)
        check(status.get("Seccomp_filters", "2") == "2", what)


def test_it_has_no_files(env):
    has_namespaces(env)
    check(os.listdir(proc(env.vm, "root")) == [], "its root is not empty")
    check(os.listdir(proc(env.vm, "cwd")) == [], "its working directory is not empty")
    mounts = read(proc(env.vm, "mounts")).splitlines()
    check(len(mounts) == 1, f"mounts: {mounts}")
    _, at, kind, options = mounts[0].split()[:4]
    check((at, kind) == ("/", "tmpfs") and {"ro", "nosuid", "nodev", "noexec"} <= set(options.split(",")), mounts[0])


def test_its_namespaces_are_its_own(env):
    has_namespaces(env)
    for name in ("user", "mnt", "net", "ipc", "uts", "cgroup"):
        check(os.readlink(proc(env.vm, "ns", name)) != os.readlink(f"/proc/self/ns/{name}"), f"{name} is shared")
    for table in ("route", "unix"):
        lines = read(proc(env.vm, "net", table)).splitlines()[1:]
        check(not lines, f"{table}: {lines}")


def test_its_descriptors_end_with_it(env):
    for fd in os.listdir(proc(env.vm, "fd")):
        target = os.readlink(proc(env.vm, "fd", fd))
        if fd in STANDARD_FDS:
            continue
        flags = int(re.search(r"^flags:\s*(\d+)", read(proc(env.vm, "fdinfo", fd)), re.M).group(1), 8)
        check(not target.startswith("/"), f"{fd}: {target} is still open")
        # libqb opens its pipe first and marks it afterwards.
        check(flags & O_CLOEXEC or target.startswith("pipe:"), f"{fd}: {target} would survive a program's start")


def test_nothing_is_left_when_it_dies(env):
    limits = read(proc(env.vm, "limits"))
    check(re.search(r"^Max core file size\s+0\s+0\s", limits, re.M), limits)
    check(re.search(r"^Max open files\s+(\d{1,4})\s", limits, re.M), limits)
    # /proc of a process that may not be dumped belongs to root.
    check(os.stat(proc(env.vm, "maps")).st_uid == 0, "others of its user may look into it")


def test_none_of_its_memory_is_code_it_could_write(env):
    for line in read(proc(env.vm, "maps")).splitlines():
        rights = line.split()[1]
        check(not ("w" in rights and "x" in rights), line)


def test_it_does_its_work(env):
    vm = env.vm
    for _ in range(3):
        vm.call("vm.pause")
        vm.call("vm.start")
        check(vm.command("status", 10).startswith("ok"), "no answer after a pause")
    target = env.start("VM1")
    target.configure(None, "", MEMORY_MIB)
    migrate(vm, target, channels=3)
    check(target.command("status", 10).startswith("ok"), "no answer after a move")
    vm.stop()
    check(vm.process.returncode == 0, f"the source ended with {vm.process.returncode}")
    env.vm = target


# What somebody would try who runs code in a VM's process: (what, number of the call, arguments).
ATTEMPTS = [
    ("a connection", 42, (3, 0, 0)),
    ("a program", 59, (0, 0, 0)),
    ("a process", 57, ()),
    ("a signal to another process", 62, (1, 0)),
    ("looking into another process", 310, (1, 0, 0, 0, 0, 0)),
    ("tracing another process", 101, (16, 1, 0, 0)),
    ("memory for code", 9, (0, 4096, 5, 0x22, 2 ** 64 - 1, 0)),
    ("a ring", 425, (8, 0)),
    ("another VM", 16, (0, 0xAE01, 0)),
    ("userfaultfd", 323, (0,)),
    ("a mount", 165, (0, 0, 0, 0, 0)),
]


def test_attempts_end_the_process(env):
    """The calls are put into the program as it runs, by its debugger."""
    if platform.machine() != "x86_64":
        skip("the numbers of system calls are those of x86-64")
    for what, number, arguments in ATTEMPTS:
        vm = env.start("VM2")
        vm.configure(kernel(), "name=VM2", MEMORY_MIB)
        vm.call("vm.start")
        status = make_call(vm.process.pid, number, arguments)
        check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS, f"{what}: status {status:#x}")
        vm.wait_event(lambda m: m["op"] == "closed", 10)


if __name__ == "__main__":
    main(setup=Env, teardown=Env.close)
