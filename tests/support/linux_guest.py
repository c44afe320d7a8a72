"""The stock Linux guest of tests/guest, driven through the agent on its serial port."""
import base64
import contextlib
import glob
import gzip
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time

from .chan import ChannelError
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
# In the guest: read one line of the console's keyboard into /tmp/typed; and whether somebody listens there.
READ_LINE = ": >/tmp/typed; (timeout 300 head -n 1 </dev/tty1 >/tmp/typed) >/dev/null 2>&1 &"
LINE_IS_READ = "ls -l /proc/[0-9]*/fd/0 2>/dev/null | grep -q /dev/tty1"
BLACKOUT_BUDGET_NS = 50_000_000


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


def _archive(files):
    """A cpio archive of {path in the guest: path here}, all in one folder of the root."""
    def entry(name, mode, data):
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)
    folders = sorted({os.path.dirname(name) for name in files} - {""})
    entries = [entry(folder, 0o040755, b"") for folder in folders]
    for name, path in files.items():
        with open(path, "rb") as f:
            entries.append(entry(name, 0o100755, f.read()))
    return b"".join(entries) + entry("TRAILER!!!", 0, b"")


@contextlib.contextmanager
def initrd(tools, extra=None):
    """The path of the initial RAM disk; archives one after the other are one to Linux. `extra`: more files,
    {path in the guest: path here}."""
    with contextlib.ExitStack() as stack:
        fd = os.memfd_create("initrd", 0)
        stack.callback(os.close, fd)
        for name in ["initrd", "tools"][:1 + tools]:
            with open(os.path.join(DIRECTORY, name), "rb") as f:
                os.sendfile(fd, f.fileno(), None, os.fstat(f.fileno()).st_size)
        if extra:
            with open(fd, "wb", closefd=False) as f:
                f.write(_archive(extra))
        yield f"/proc/{os.getpid()}/fd/{fd}"


class GuestHost(VmHost):
    """viaduct-vmhost whose serial port and end go to an agent."""

    def __init__(self, bin_directory, log, name, agent):
        super().__init__(bin_directory, log, name)
        threading.Thread(target=self._pump, args=[agent], daemon=True).start()

    def _pump(self, agent):
        seen = 0
        while True:
            with self.condition:
                self.condition.wait_for(lambda: len(self.events) > seen)
                new = self.events[seen:]
                seen += len(new)
            for _, message in new:
                if message["op"] == "serial":
                    agent.feed(base64.b64decode(message["data"]))
                elif message["op"] == "vm.ended":
                    agent.end(f"the guest ended: {message['how']}: {message['text']}")
                elif message["op"] == "closed":
                    return


class GuestError(Exception):
    """A command in the guest failed."""


class SilentError(GuestError):
    """The guest was asked although it did not answer the last time."""


def process_view(pid):
    """What each thread of a process here does: its state, processor time, and what it waits for in the kernel."""
    lines = []
    for task in sorted(glob.glob(f"/proc/{pid}/task/*"), key=lambda path: int(os.path.basename(path))):
        try:
            with open(f"{task}/stat", encoding="ascii", errors="replace") as f:
                name, fields = f.read().split("(", 1)[1].rsplit(")", 1)
            with open(f"{task}/stack", encoding="ascii", errors="replace") as f:
                stack = [line.split()[-1].partition("+")[0] for line in f.read().splitlines()[:6]]
        except (OSError, IndexError):
            continue
        state, ticks = fields.split()[0], sum(map(int, fields.split()[11:13]))
        lines.append(f"{os.path.basename(task)} {name} {state} {ticks / os.sysconf('SC_CLK_TCK'):.1f} s "
                     f"{' < '.join(stack)}")
    return "\n".join(lines) or "it is gone"


class Agent:
    """The host's end of the agent's protocol (tests/guest/agent), over anything that carries text."""

    def __init__(self, send):
        self.send, self.next_id = send, 1
        self.condition = threading.Condition()
        self.text = ""  # all that came
        self.parsed = 0
        self.answers = {"0": []}  # id: the lines of its answer
        self.ended = None
        self.silent = None  # the command that was not answered: no other will be
        self.turn = threading.Lock()

    def feed(self, data):
        """Bytes from the guest."""
        with self.condition:
            self.text += data.decode("ascii", "replace").replace("\r", "")
            end = self.text.rfind("\n") + 1
            for line in self.text[self.parsed:end].splitlines():
                # In the middle of a line of the kernel's, perhaps: the sum tells.
                match = re.search(r"@(\d+) ([A-Za-z0-9+/= .]+)$", line)
                if match and match[1] in self.answers:
                    self.answers[match[1]].append(match[2])
            self.parsed = max(end, self.parsed)
            self.condition.notify_all()

    def end(self, reason):
        """There will be no more answers."""
        with self.condition:
            self.ended = reason
            self.condition.notify_all()

    def _wait_end(self, request_id, timeout_s):
        def complete():
            return any(line.split()[0] == END for line in self.answers[request_id])
        with self.condition:
            done = self.condition.wait_for(lambda: complete() or self.ended, timeout_s)
            if self.ended and not complete():
                raise GuestError(self.ended)
            if not done:
                raise TimeoutError(f"the guest did not answer within {timeout_s:.0f} s")

    def wait_up(self, timeout_s):
        self._wait_end("0", timeout_s)

    def reset(self):
        """The guest starts again."""
        with self.condition:
            self.answers, self.ended, self.silent = {"0": []}, None, None

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

    def console(self):
        """What came that is not an answer."""
        with self.condition:
            lines = self.text.splitlines()
        return "\n".join(line for line in lines if not line.startswith("@"))

    def post(self, command, timeout_s):
        """Have a command run; the id of its answer."""
        request_id = str(self.next_id)
        self.next_id += 1
        self.answers[request_id] = []
        data = base64.b64encode(command.encode()).decode()
        for at in range(0, len(data), CHUNK_BYTES):
            self.send(f"add {request_id} {data[at:at + CHUNK_BYTES]}\n")
        self.send(f"run {request_id} {timeout_s:.0f}\n")
        return request_id

    def run(self, command, timeout_s):
        with self.turn:
            if self.silent:
                raise SilentError(f"the guest never answered to '{self.silent}'")
            request_id = self.post(command, timeout_s)
            # The guest itself ends what takes too long, or says what hangs (tests/guest/overdue).
            patience_s = timeout_s + 20 + 10 * SLOW
            for _ in range(3):
                try:
                    self._wait_end(request_id, patience_s)
                except GuestError:
                    raise
                except BaseException as e:
                    self.silent = command
                    e.add_note(f"the command is '{command}'")
                    raise
                answer = self._read(request_id)
                if answer:
                    del self.answers[request_id]
                    return answer
                self.send(f"again {request_id}\n")
            raise GuestError(f"the answer to '{command}' arrived damaged three times")


class Shell:
    """Commands in a guest that `self.agent` reaches."""

    def run(self, command, seconds=20):
        """(status, output) of a shell command in the guest; `seconds` are for a machine that is not slow."""
        return self.agent.run(command, seconds * SLOW)

    def out(self, command, seconds=20):
        """The output of a command that must succeed."""
        status, output = self.run(command, seconds)
        if status:
            raise GuestError(f"'{command}' in the guest: status {status}: {output.strip()[-600:]}")
        return output.strip()

    def diagnosis(self):
        """What can be learnt of a guest in which something did not happen, in pieces. Bounded."""
        # What hangs is there, too, when the agent cannot say it any more.
        yield f"-- the guest's console\n{self.agent.console()[-12000:]}"
        try:
            tasks = self.agent.run("hung", 3 * SLOW)[1]
        except (GuestError, TimeoutError, ChannelError) as e:
            tasks = str(e)
        yield f"-- tasks in the guest\n{tasks.strip()}"

    def last(self, command):
        """A command after which the guest may not answer any more."""
        self.agent.post(command, 60 * SLOW)

    def wait(self, command, seconds=10, what=None):
        """Wait until a shell command in the guest succeeds; its output."""
        bound = int(seconds * SLOW)
        late = shlex.quote(f"{what or 'this'} did not happen within {bound} s")
        return self.out(f"end=$(($(date +%s) + {bound})); until out=$({command} 2>/dev/null); do [ $(date +%s) -lt $end ] || "
                        f"{{ echo {late}; exit 1; }}; sleep 0.2; done; "
                        'echo "$out"', seconds + 10)


class LinuxGuest(Shell):
    """A VM with the stock Linux guest. `host` is the process that runs it: another one after a move."""

    def __init__(self, bin_directory, log, name="VM1"):
        self.bin_directory, self.log, self.name = bin_directory, log, name
        self.agent = Agent(lambda text: self.host.call("vm.serial", text=text))
        self.host = None
        self.hosts = []
        self.shape, self.disks = {}, []

    def new_host(self):
        """A VM process without a VM."""
        host = GuestHost(self.bin_directory, self.log, self.name, self.agent)
        self.hosts.append(host)
        return host

    def boot(self, cmdline="", tools=False, memory_mib=192, wait=True, kernel=KERNEL, disks=(), extra=None,
             **shape):
        """Configure, start and, with `wait`, wait for the agent. `disks`: what VmHost.attach() takes, for each LUN.
        `extra`: files for the guest. `shape`: more of VmHost.configure()."""
        self.shape = {"memory_mib": memory_mib, **shape}
        self.disks = [dict(disk) for disk in disks]
        self.host = self.new_host()
        with initrd(tools, extra) as path:
            self.host.configure(kernel, f"{CMDLINE} {cmdline}".strip(), initrd=path, **self.shape)
        self._attach(self.host)
        self.host.call("vm.start")
        if wait:
            self.agent.wait_up(60 * SLOW)
        return self

    def _attach(self, host):
        for lun, disk in enumerate(self.disks):
            host.attach(lun, **disk)

    def incoming(self, **shape):
        """A VM process of the same shape that waits for state."""
        host = self.new_host()
        host.configure(None, "", **{**self.shape, **shape})
        self._attach(host)
        return host

    def move(self, **shape):
        """Live migration to a new process; the report. How long a guest may stand still is stretched with all
        that takes longer here."""
        target = self.incoming(**shape)
        report, _ = migrate(self.host, target, blackout_budget_ns=int(BLACKOUT_BUDGET_NS * SLOW))
        source, self.host = self.host, target
        source.stop()
        return report

    def save(self, path):
        """Save to a file; the process that ran the VM ends."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            report, _ = self.host.call("vm.save", [fd], timeout=60 * SLOW)
        finally:
            os.close(fd)
        self.host.stop()
        return report

    def restore(self, path, **shape):
        """Go on, in a new process, from where save() left off."""
        self.host = self.incoming(**shape)
        fd = os.open(path, os.O_RDONLY)
        try:
            self.host.call("vm.load", [fd], timeout=60 * SLOW)
        finally:
            os.close(fd)
        self.host.call("vm.start")

    def ended(self, seconds=20):
        """How the run of the guest ended: (how, text)."""
        _, message = self.host.wait_event(lambda m: m["op"] == "vm.ended", seconds * SLOW)
        return message["how"], message["text"]

    def console(self):
        return self.agent.text

    def diagnosis(self):
        try:
            view = json.dumps(self.host.call("vm.info", timeout=10)[0], indent=1)
        except (ChannelError, TimeoutError, OSError) as e:
            view = f"vm.info: {e}"
        yield f"-- the VM's own view\n{view}"
        yield f"-- the VM's process\n{process_view(self.host.process.pid)}"
        yield from super().diagnosis()

    def close(self):
        for host in self.hosts:
            host.stop()
