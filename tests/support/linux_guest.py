"""The stock Linux guest of tests/guest, driven through the agent on its serial port."""
import base64
import contextlib
import gzip
import hashlib
import os
import re
import subprocess
import sys
import threading
import time

from .harness import ROOT, SKIPPED, skip
from .vmhost import VmHost, migrate

SLOW = float(os.environ.get("VIADUCT_SLOW", "1"))
DIRECTORY = os.path.join(ROOT, "build", "guest")
KERNEL = os.path.join(DIRECTORY, "vmlinuz")
# What protects a real guest costs an emulated one most of its time.
CMDLINE = ("console=ttyS0 quiet panic=-1 nokaslr norandmaps mitigations=off init_on_alloc=0 lsm= audit=0 "
           "tsc=nowatchdog rcupdate.rcu_expedited=1")
# The canonical mode of a terminal takes lines of 4095 characters.
CHUNK_BYTES = 900
END = "."


def hardware_kvm():
    """Whether a stock kernel has a chance here: some KVMs do without virtualization in hardware, and run
    only guests made for them."""
    with open("/proc/cpuinfo") as f:
        return re.search(r"^flags\s*:.* (vmx|svm)\b", f.read(), re.M) is not None and os.path.exists("/dev/kvm")


def run_where_linux_runs():
    """Go on inside the QEMU machine when stock guests cannot run here: replaces this process."""
    if hardware_kvm() or os.environ.get("VIADUCT_MACHINE_INSIDE", "0") != "0":
        return
    sys.stdout.flush()
    os.environ["VIADUCT_MACHINE"] = "1"
    prepare()  # inside there is no network
    command = [os.path.join(ROOT, "deploy", "run-anywhere"), sys.executable, *sys.argv]
    os.execv(command[0], command)


def prepare():
    """Make the guest's files where they are missing; skips where they cannot be had."""
    done = subprocess.run([os.path.join(ROOT, "tests", "guest", "prepare")], capture_output=True, text=True, timeout=300)
    if done.returncode == SKIPPED:
        skip(done.stderr.strip())
    if done.returncode:
        raise RuntimeError(f"tests/guest/prepare failed: {done.stderr}")


@contextlib.contextmanager
def initrd(tools):
    """A descriptor of the initial RAM disk; archives one after the other are one to Linux."""
    with contextlib.ExitStack() as stack:
        fd = os.memfd_create("initrd")
        stack.callback(os.close, fd)
        for name in ["initrd", "tools"][:1 + tools]:
            with open(os.path.join(DIRECTORY, name), "rb") as f:
                os.sendfile(fd, f.fileno(), None, os.fstat(f.fileno()).st_size)
        yield fd


class GuestHost(VmHost):
    """viaduct-vmhost with all that a stock guest can have; `on_text` gets what its serial port says."""

    def __init__(self, bin_directory, log, name="VM1", on_text=None):
        super().__init__(bin_directory, log, name)
        if on_text:
            threading.Thread(target=self._pump, args=[on_text], daemon=True).start()

    def _pump(self, on_text):
        seen = 0
        while True:
            with self.condition:
                self.condition.wait_for(lambda: len(self.events) > seen)
                new = self.events[seen:]
                seen += len(new)
            for _, message in new:
                if message["op"] == "serial":
                    on_text(message["text"])
                elif message["op"] == "closed":
                    return

    def configure(self, kernel=None, cmdline="", memory_mib=192, ports=(), macs=(), initrd_fd=None, vps=1, mtu=1500,
                  **fields):
        """`kernel` None: wait for state. `ports`: three descriptors for each adapter. `fields`: more of
        vm.configure's (node/vm/vm_control.c)."""
        fds = [os.open("/dev/kvm", os.O_RDWR)]
        ours = fds[:]
        fds += [fd for port in ports for fd in port]
        if kernel:
            ours.append(os.open(kernel, os.O_RDONLY))
            fds.append(ours[-1])
            if initrd_fd is not None:
                fds.append(initrd_fd)
        try:
            return self.call("vm.configure", fds, name=self.name, memory_bytes=memory_mib << 20, vps=vps,
                             cmdline=cmdline, incoming=not kernel, initrd=bool(kernel) and initrd_fd is not None,
                             nics=[{"mac": mac, "mtu": mtu} for mac in macs], **fields)[0]
        finally:
            for fd in ours:
                os.close(fd)


class GuestError(Exception):
    """A command in the guest failed."""


class Agent:
    """The host's end of the agent's protocol (tests/guest/agent), over anything that carries text."""

    def __init__(self, send):
        self.send, self.next_id = send, 1
        self.condition = threading.Condition()
        self.text = ""  # all that came
        self.parsed = 0
        self.answers = {"0": []}  # id: the lines of its answer
        self.turn = threading.Lock()

    def feed(self, text):
        """Text from the guest."""
        with self.condition:
            self.text += text
            end = self.text.rfind("\n") + 1
            for line in self.text[self.parsed:end].splitlines():
                # In the middle of a line of the kernel's, perhaps: the sum tells.
                match = re.search(r"@(\d+) ([A-Za-z0-9+/= .]+)$", line)
                if match and match[1] in self.answers:
                    self.answers[match[1]].append(match[2])
            self.parsed = max(end, self.parsed)
            self.condition.notify_all()

    def _wait_end(self, request_id, timeout_s):
        def ended():
            return any(line.split()[0] == END for line in self.answers[request_id])
        with self.condition:
            if not self.condition.wait_for(ended, timeout_s):
                raise TimeoutError(f"the guest did not answer within {timeout_s:.0f} s; its console says: "
                                   f"{self.text[-600:]!r}")

    def wait_up(self, timeout_s):
        self._wait_end("0", timeout_s)

    def reset(self):
        """The guest starts again."""
        with self.condition:
            self.answers = {"0": []}

    def _read(self, request_id):
        """(status, output) of an answer that is complete; None when it arrived damaged."""
        with self.condition:
            lines = self.answers[request_id]
            self.answers[request_id] = []
        fields = lines[-1].split()
        if len(fields) != 3 or fields[0] != END:
            return None
        try:
            data = base64.b64decode("".join(lines[:-1]), validate=True)
        except ValueError:
            return None
        if hashlib.md5(data).hexdigest() != fields[2]:
            return None
        return int(fields[1]), gzip.decompress(data).decode("utf-8", "replace")

    def run(self, command, timeout_s):
        with self.turn:
            request_id = str(self.next_id)
            self.next_id += 1
            self.answers[request_id] = []
            data = base64.b64encode(command.encode()).decode()
            for at in range(0, len(data), CHUNK_BYTES):
                self.send(f"add {request_id} {data[at:at + CHUNK_BYTES]}\n")
            self.send(f"run {request_id} {timeout_s:.0f}\n")
            # The guest itself ends what takes too long.
            patience_s = timeout_s + 20 * SLOW
            for _ in range(3):
                self._wait_end(request_id, patience_s)
                answer = self._read(request_id)
                if answer:
                    del self.answers[request_id]
                    return answer
                self.send(f"again {request_id}\n")
            raise GuestError(f"the answer to '{command}' arrived damaged three times")


class LinuxGuest:
    """A VM with the stock Linux guest. `host` is the process that runs it: another one after a move."""

    def __init__(self, bin_directory, log, name="VM1"):
        self.bin_directory, self.log, self.name = bin_directory, log, name
        self.agent = Agent(lambda text: self.host.call("vm.serial", text=text))
        self.host = None
        self.hosts = []
        self.shape = {}

    def new_host(self):
        """A VM process without a VM."""
        host = GuestHost(self.bin_directory, self.log, self.name, self.agent.feed)
        self.hosts.append(host)
        return host

    def boot(self, cmdline="", tools=False, memory_mib=192, wait=True, kernel=KERNEL, **shape):
        """Configure, start and, with `wait`, wait for the agent. `shape`: more of VmHost.configure()."""
        self.shape = {"memory_mib": memory_mib, **shape}
        self.host = self.new_host()
        with initrd(tools) as fd:
            self.host.configure(kernel, f"{CMDLINE} {cmdline}".strip(), initrd_fd=fd, **self.shape)
        self.host.call("vm.start")
        if wait:
            self.agent.wait_up(60 * SLOW)
        return self

    def incoming(self, **shape):
        """A VM process of the same shape that waits for state."""
        host = self.new_host()
        host.configure(None, "", **{**self.shape, **shape})
        return host

    def move(self, **shape):
        """Live migration to a new process; the report."""
        target = self.incoming(**shape)
        report, _ = migrate(self.host, target)
        source, self.host = self.host, target
        source.stop()
        return report

    def run(self, command, seconds=20):
        """(status, output) of a shell command in the guest; `seconds` are for a machine that is not slow."""
        return self.agent.run(command, seconds * SLOW)

    def out(self, command, seconds=20):
        """The output of a command that must succeed."""
        status, output = self.run(command, seconds)
        if status:
            raise GuestError(f"'{command}' in the guest: status {status}: {output.strip()[-600:]}")
        return output.strip()

    def wait(self, command, seconds=20, what=None):
        """Wait until a shell command in the guest succeeds; its output."""
        bound = int(seconds * SLOW)
        return self.out(f"n=0; until out=$({command}); do n=$((n+1)); [ $n -lt {bound * 5} ] || "
                        f"{{ echo '{what or 'this'} did not happen'; exit 1; }}; sleep 0.2; done; echo \"$out\"", seconds)

    def ended(self, seconds=20):
        """How the run of the guest ended: (how, text)."""
        _, message = self.host.wait_event(lambda m: m["op"] == "vm.ended", seconds * SLOW)
        return message["how"], message["text"]

    def console(self):
        return self.agent.text

    def close(self):
        for host in self.hosts:
            host.stop()
