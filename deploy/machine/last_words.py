"""last_words.py MONITOR PID: what a QEMU machine that is about to be killed does, as far as it can be seen.

MONITOR is the socket of its monitor (which may not answer: then that is the answer), PID a process whose
children are looked at, too: their threads' states, processor times and waits in the kernel.
"""
import glob
import os
import re
import socket
import sys
import time

QUESTIONS = ["info status", "info registers", "info lapic", "info pic"]
PATIENCE_S = 5
# What the monitor echoes, key by key, and what of its answers never tells anything.
NOISE = re.compile(r"\x1b\[[A-Z]|^\(qemu\) .*\n|^(XMM|FPR|DR\d|  pin .* masked|dumping).*\n|^\n", re.M)


def ask(path, questions):
    """The monitor's answers, as far as they come."""
    text = b""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(PATIENCE_S)
        try:
            monitor.connect(path)
            monitor.sendall("".join(f"{question}\n" for question in questions).encode())
            end = time.monotonic() + PATIENCE_S
            # It prompts before each question, and once more after the last answer.
            while text.count(b"(qemu)") <= len(questions) and time.monotonic() < end:
                data = monitor.recv(65536)
                if not data:
                    break
                text += data
        except OSError as e:
            text += f"\nthe monitor: {e}".encode()
    return NOISE.sub("", text.decode("ascii", "replace").replace("\r", ""))


def family(pid):
    """A process and all that came of it."""
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path, encoding="ascii") as f:
                for child in f.read().split():
                    found += family(int(child))
        except OSError:
            pass
    return found


def threads(pid):
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(f"{task}/stat", encoding="ascii", errors="replace") as f:
                name, fields = f.read().split("(", 1)[1].rsplit(")", 1)
            with open(f"{task}/wchan", encoding="ascii") as f:
                waits = f.read()
        except OSError:
            continue
        ticks = sum(map(int, fields.split()[11:13]))
        yield f"{os.path.basename(task)} {name}: {fields.split()[0]}, {ticks / os.sysconf('SC_CLK_TCK'):.2f} s, {waits}"


def main():
    monitor, pid = sys.argv[1], int(sys.argv[2])
    # Twice, so that it is seen which ones run.
    for _ in range(2):
        print("\n".join(line for each in family(pid) for line in threads(each)))
        print(ask(monitor, QUESTIONS), flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
