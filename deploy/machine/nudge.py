"""nudge.py MONITOR: interrupt a QEMU machine once a second, as long as it runs.

QEMU's emulation of VMRUN and #VMEXIT changes the processor's set of pending interrupts without the lock that the
threads of its devices take, so now and then one is lost. When that is the local timer's, nothing ever interrupts the
nested guest again that runs at that moment, and the machine stands still. Any other interrupt makes the local APIC
show again all that are pending: here that of the keyboard, by way of the monitor's socket, MONITOR.
"""
import os
import socket
import sys
import time

PERIOD_S = 1
START_S = 30


def connect(path):
    end = time.monotonic() + START_S
    while True:
        monitor = socket.socket(socket.AF_UNIX)
        try:
            monitor.connect(path)
            return monitor
        except OSError:
            monitor.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def main():
    with connect(sys.argv[1]) as monitor:
        # Whoever holds the machine's end ends this program as well.
        while os.getppid() != 1:
            monitor.sendall(b"sendkey shift 1\n")
            end = time.monotonic() + PERIOD_S
            while (left := end - time.monotonic()) > 0:
                monitor.settimeout(left)
                try:
                    if not monitor.recv(4096):  # what it echoes
                        return
                except TimeoutError:
                    break


if __name__ == "__main__":
    try:
        main()
    except OSError as e:
        sys.exit(f"nudge: {e}")
