"""Processes inside a lab's machine, as the test sees them from outside."""
import os
import signal

from lablib.namespaces import start_time


def pids_of(machine, pattern):
    """Those of its processes whose command line has `pattern` in it, and that have not ended."""
    space = os.readlink(f"/proc/{machine.pid}/ns/pid")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            same = os.readlink(f"/proc/{pid}/ns/pid") == space
            with open(f"/proc/{pid}/cmdline") as f:
                command = f.read().replace("\0", " ")
        except OSError:
            continue
        if same and pattern in command and start_time(pid):
            found.append(int(pid))
    return found


def resume(pids):
    """SIGCONT; also to the nsenter that a process was started with, which stops when its child does."""
    for pid in pids:
        if not start_time(pid):
            continue
        with open(f"/proc/{pid}/stat") as f:
            parent = int(f.read().rpartition(")")[2].split()[1])
        with open(f"/proc/{parent}/comm") as f:
            if f.read().strip() == "nsenter":
                os.kill(parent, signal.SIGCONT)
        os.kill(pid, signal.SIGCONT)
