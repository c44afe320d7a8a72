"""Boot of the stock Linux guest, from the start of the process to the first line of the guest's own init:
viaduct-vmhost and QEMU's microvm, in turns, with the same kernel, initial RAM disk, command line and memory, on
the same KVM."""
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from tests.bench.qemu import PROGRAM
from tests.support.linux_guest import CMDLINE, KERNEL, SLOW, initrd, prepare, run_where_linux_runs
from tests.support.vmhost import VmHost

MEMORY_MIB = 128
MARKER = "viaduct-guest: init"
LIMIT_S = 60 * SLOW
COMMAND_LINE = f"{CMDLINE} viaduct=bench"


def one_viaduct(bin_directory, directory, initrd_path):
    begin = time.monotonic()
    host = VmHost(bin_directory, os.path.join(directory, "vmhost.log"))
    try:
        host.configure(KERNEL, COMMAND_LINE, MEMORY_MIB, initrd=initrd_path)
        host.call("vm.start")
        with host.condition:
            if not host.condition.wait_for(lambda: MARKER in host.serial_text(), LIMIT_S):
                raise TimeoutError(f"no init in viaduct-vmhost: {host.serial_text()[-400:]}")
        return time.monotonic() - begin
    finally:
        host.stop()


def one_qemu(initrd_path):
    begin = time.monotonic()
    # The quickest of its boots: without this clock Linux waits for one for seconds.
    process = subprocess.Popen(
        [PROGRAM, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-M", "microvm,accel=kvm,rtc=on,pit=off", "-cpu", "host",
         "-m", str(MEMORY_MIB), "-kernel", KERNEL, "-initrd", initrd_path,
         "-append", COMMAND_LINE, "-serial", "stdio"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    try:
        text = ""
        for line in process.stdout:
            text += line.decode("ascii", "replace")
            if MARKER in text:
                return time.monotonic() - begin
        raise TimeoutError(f"no init in QEMU: {text[-400:]}")
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(10)
        process.stdout.close()


def run(bin_directory, n_runs):
    run_where_linux_runs()
    prepare()
    with_peer = shutil.which(PROGRAM) is not None
    if not with_peer:
        print("QEMU is not installed: Viaduct alone (deploy/install-packages brings it)")
    result = {"memory_mib": MEMORY_MIB, "runs": n_runs, "viaduct_s": [], "qemu_s": []}
    with tempfile.TemporaryDirectory(prefix="viaduct-bench-") as directory, initrd(tools=False) as path:
        # The first run of each reads files that the others find in memory.
        for i in range(n_runs + 1):
            ours = one_viaduct(bin_directory, directory, path)
            peer = one_qemu(path) if with_peer else None
            if i:
                result["viaduct_s"].append(ours)
                result["qemu_s"] += [peer] if with_peer else []
            print(f"  run {i} of {n_runs}: {ours:.2f} s" + (f", QEMU {peer:.2f} s" if with_peer else ""), flush=True)
    return result


def table(result):
    ours = statistics.median(result["viaduct_s"])
    lines = [f"stock Linux guest of {result['memory_mib']} MiB, process start to init, median of {result['runs']} runs",
             "", f"{'Viaduct':>12}{'QEMU microvm':>16}{'ratio':>8}"]
    if result["qemu_s"]:
        peer = statistics.median(result["qemu_s"])
        lines.append(f"{ours:10.2f} s{peer:14.2f} s{ours / peer:8.2f}")
    else:
        lines.append(f"{ours:10.2f} s{'-':>16}{'-':>8}")
    return "\n".join(lines)
