"""Namespaces as small machines: a holder process keeps them, killing it ends all that runs inside."""
import os
import signal
import subprocess
import time

# How many times longer than usual things take on this machine. All waits, and corosync's own, stretch by it.
SLOW = max(1.0, float(os.environ.get("VIADUCT_SLOW", "1")))


def start_time(pid):
    """The kernel's start time of a process: with the pid it names a process for good. None: it ended."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def wait_for(condition, seconds, what):
    """Poll until condition() is true; its value. TimeoutError names what did not happen."""
    seconds *= SLOW
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02 * SLOW)


class Machine:
    """A set of namespaces: always network and processes; mounts and more for a full node."""

    FULL = ["--mount", "--uts", "--ipc"]

    def __init__(self, name, holder, init, full, clock_ahead_s=0):
        self.name, self.holder, self.init, self.full = name, holder, init, full
        self.clock_ahead_s = clock_ahead_s

    @classmethod
    def start(cls, name, full=False, setup=None, clock_ahead_s=0):
        """Make the namespaces. `setup`: shell commands that run inside, first. `clock_ahead_s`: of the clocks that
        count from the start of the machine."""
        script = "ip link set lo up; "
        script += "for d in all default; do echo 1 >/proc/sys/net/ipv6/conf/$d/disable_ipv6; done; "
        if full:
            script += f"hostname {name}; " + (setup or "")
        script += "echo ready; exec sleep infinity"
        command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += (cls.FULL + ["--propagation", "private"]) if full else []
        ahead = str(clock_ahead_s)
        command += ["--time", "--monotonic", ahead, "--boottime", ahead] if clock_ahead_s else []
        process = subprocess.Popen(command + ["sh", "-ec", script], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, text=True)
        line = process.stdout.readline()
        if line.strip() != "ready":
            rest = process.stdout.read() if process.poll() is not None else ""
            process.kill()
            raise RuntimeError(f"namespaces of {name} cannot be made: {(line + rest).strip()}")
        children = wait_for(lambda: cls._children(process.pid), 5, f"the first process of {name}")
        process.stdout.close()
        return cls(name, (process.pid, start_time(process.pid)),
                   (children[0], start_time(children[0])), full, clock_ahead_s)

    @staticmethod
    def _children(pid):
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as f:
                return [int(c) for c in f.read().split()]
        except OSError:
            return []

    def to_dict(self):
        return {"name": self.name, "holder": self.holder, "init": self.init, "full": self.full,
                "clock_ahead_s": self.clock_ahead_s}

    @classmethod
    def from_dict(cls, d):
        return cls(d["name"], tuple(d["holder"]), tuple(d["init"]), d["full"], d.get("clock_ahead_s", 0))

    @property
    def pid(self):
        return self.init[0]

    def is_alive(self):
        return start_time(self.init[0]) == self.init[1]

    def stop(self):
        """Kill everything inside, at once. Harmless when it is gone already."""
        for pid, started in (self.init, self.holder):
            if started is not None and start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: start_time(self.init[0]) != self.init[1], 10, f"the end of {self.name}")
        try:
            os.waitpid(self.holder[0], os.WNOHANG)
        except ChildProcessError:
            pass

    def command(self, *words):
        flags = ["-n", "-p", "-m"] + (["-u", "-i"] if self.full else []) + (["-T"] if self.clock_ahead_s else [])
        return ["nsenter", "-t", str(self.pid), *flags, "--", *map(str, words)]

    def run(self, *words, check=True, timeout=60, **kwargs):
        """Run inside and wait; the CompletedProcess with text output."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(self.command(*words), capture_output=True, text=True,
                              timeout=timeout * SLOW, **kwargs)
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, words))}: exit {done.returncode}: "
                               f"{(done.stderr or done.stdout).strip()}")
        return done

    def popen(self, *words, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*words), start_new_session=True, **kwargs)

    def daemon(self, log, *words):
        """Start inside and leave it running; its output goes to the file `log`."""
        with open(log, "ab") as out:
            self.popen(*words, stdout=out, stderr=subprocess.STDOUT)


def cable(machine_a, name_a, machine_b, name_b):
    """A wire between two machines; both ends up."""
    subprocess.run(["ip", "link", "add", name_a, "netns", str(machine_a.pid), "type", "veth", "peer", "name",
                    name_b, "netns", str(machine_b.pid)], check=True, capture_output=True, timeout=20)
    machine_a.run("ip", "link", "set", name_a, "up")
    machine_b.run("ip", "link", "set", name_b, "up")


def _innermost(pid):
    """The descendants of a process that have no children themselves."""
    found = []
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            for child in f.read().split():
                found += _innermost(int(child))
    except OSError:
        return []
    return found or [pid]


def end_inside(process):
    """Ask a program started with Machine.popen() to end. nsenter stands between and passes nothing on."""
    for pid in _innermost(process.pid):
        os.kill(pid, signal.SIGTERM)


def missing_ability():
    """None, or why namespaces cannot be used on this machine."""
    if os.geteuid() != 0:
        return "only root can make them"
    try:
        probe = subprocess.run(["unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "true"],
                               capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    return None if probe.returncode == 0 else probe.stderr.strip()
