"""The peer: the same guest under QEMU, driven over QMP and its serial socket."""
import json
import os
import re
import socket
import subprocess
import time

PROGRAM = "qemu-system-x86_64"


class Qemu:
    def __init__(self, directory, name, kernel, cmdline, memory_mib, incoming_port=None):
        self.directory, self.name = directory, name
        self.serial_path, self.qmp_path = (os.path.join(directory, f"{name}.{x}") for x in ("serial", "qmp"))
        command = [PROGRAM, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-name", f"{name},debug-threads=on",
                   "-M", "microvm,accel=kvm", "-cpu", "host,-arch-capabilities", "-m", str(memory_mib),
                   "-kernel", kernel, "-append", cmdline,
                   "-serial", f"unix:{self.serial_path},server=on,wait=off",
                   "-qmp", f"unix:{self.qmp_path},server=on,wait=off"]
        if incoming_port:
            command += ["-incoming", f"tcp:127.0.0.1:{incoming_port}"]
        self.log = open(os.path.join(directory, f"{name}.log"), "w")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.serial = self._connect(self.serial_path)
        self.serial.settimeout(0.1)
        self.text = ""
        self.qmp = self._connect(self.qmp_path).makefile("rw")
        self.qmp.readline()
        self.ask("qmp_capabilities")

    def _connect(self, path):
        end = time.monotonic() + 10
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"QEMU did not start; see {self.log.name}")
                time.sleep(0.02)

    def ask(self, command, **arguments):
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp.flush()
        while True:
            reply = json.loads(self.qmp.readline())
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise RuntimeError(f"QMP {command}: {reply['error']['desc']}")

    def read_serial(self):
        try:
            data = self.serial.recv(65536)
        except TimeoutError:
            return
        self.text += data.decode("ascii", "replace").replace("\r", "")

    def command(self, line, timeout=30):
        before = len(self.text)
        self.serial.sendall(line.encode() + b"\n")
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.read_serial()
            match = re.search(r"^((?:ok|err) .*)\n", self.text[before:], re.M)
            if match:
                return match.group(1)
        raise TimeoutError(f"'{line}' was not answered: {self.text[-300:]}")

    def field(self, line, name):
        return int(re.search(rf"\b{name}=(\d+)", self.command(line)).group(1))

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.serial.close()
        self.log.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]
