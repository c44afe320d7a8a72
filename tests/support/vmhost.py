"""One VM process, driven as viaductd drives it."""
import base64
import os
import re
import secrets
import socket
import time

from .chan import Child


class Switch(Child):
    """viaduct-vswitchd with one private switch."""

    def __init__(self, bin_directory, log):
        super().__init__(os.path.join(bin_directory, "viaduct-vswitchd"), log)
        self.call("switch.create", name="P", type="private")

    def add_port(self, port, mac, vid=2, muted=False):
        _, fds = self.call("port.add", switch="P", port=port, mac=mac, mode="access", vid=vid, muted=muted)
        return fds


class VmHost(Child):
    def __init__(self, bin_directory, log, name="VM1"):
        super().__init__(os.path.join(bin_directory, "viaduct-vmhost"), log)
        self.name, self.text_read = name, 0

    def configure(self, kernel=None, cmdline="", memory_mib=64, ports=(), macs=(), initrd=None, mtu=1500, vps=1,
                  **fields):
        """`kernel` None: wait for state. `ports`: three descriptors for each adapter. `fields`: anything else that
        vm.configure takes."""
        fds = [os.open("/dev/kvm", os.O_RDWR)]
        fds += [fd for port in ports for fd in port]
        fds += [os.open(path, os.O_RDONLY) for path in (kernel, initrd) if kernel and path]
        fields.setdefault("vram_bytes", 0)
        try:
            return self.call("vm.configure", fds, name=self.name, memory_bytes=memory_mib << 20, vps=vps,
                             cmdline=cmdline, incoming=not kernel, initrd=bool(kernel and initrd),
                             nics=[{"mac": mac, "mtu": mtu} for mac in macs], **fields)[0]
        finally:
            for fd in fds:
                os.close(fd)

    def attach(self, lun, path=None, kind="disk", read_only=False, direct=False):
        """A disk in a file; a DVD drive with an image or, without `path`, empty."""
        flags = os.O_RDONLY if read_only or kind == "dvd" else os.O_RDWR
        fds = [os.open(path, flags | (os.O_DIRECT if direct else 0))] if path else []
        try:
            self.call("disk.attach", fds, lun=lun, kind=kind, read_only=read_only, disk_id=f"{lun:032x}",
                      serial=f"disk{lun}")
        finally:
            for fd in fds:
                os.close(fd)

    def serial_bytes(self):
        return b"".join(base64.b64decode(m["data"]) for _, m in list(self.events) if m["op"] == "serial")

    def serial_text(self):
        return self.serial_bytes().decode("utf-8", "replace").replace("\r", "")

    def command(self, line, timeout=20):
        """Type a line to the probe guest; its answer."""
        before = len(self.serial_text())
        self.call("vm.serial", text=line + "\n")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            match = re.search(r"^((?:ok|err) .*)\n", self.serial_text()[before:], re.M)
            if match:
                return match.group(1)
            with self.condition:
                self.condition.wait(0.05)
        raise TimeoutError(f"'{line}' was not answered; the serial port says: {self.serial_text()[-400:]}")

    def field(self, line, name):
        """A number out of an answer: field('status', 'bad')."""
        answer = self.command(line)
        match = re.search(rf"\b{name}=(\d+)", answer)
        if not match:
            raise ValueError(f"no {name}= in '{answer}'")
        return int(match.group(1))


def loopback_pairs(n):
    """n connected TCP sockets over 127.0.0.1: (connecting ends, accepting ends)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        out, back = [], []
        for _ in range(n):
            out.append(socket.create_connection(listener.getsockname(), timeout=10))
            back.append(listener.accept()[0])
    for s in out + back:
        s.settimeout(None)
    return out, back


def migrate(source, target, channels=2, **options):
    """Move the VM of `source` to `target`, committing here and now. (report, seconds from the request to
    the running target)."""
    key = secrets.token_hex(32)
    out, back = loopback_pairs(1 + channels)
    begin = time.monotonic()
    target.call("mig.in", [s.fileno() for s in back], key=key)
    source.call("mig.out", [s.fileno() for s in out], key=key, **options)
    for s in out + back:
        s.close()
    _, ready = source.wait_event(lambda m: m["op"] in ("mig.ready", "mig.done"), 120)
    if ready["op"] == "mig.done":
        raise RuntimeError(f"the migration failed: {ready['text']}")
    target.wait_event(lambda m: m["op"] == "mig.in.ready", 10)
    target.call("vm.start")
    seconds = time.monotonic() - begin
    source.call("mig.finish", committed=True)
    source.wait_event(lambda m: m["op"] == "mig.done", 10)
    return ready["report"], seconds
