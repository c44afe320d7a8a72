"""Live migration of the probe guest on one machine: between two viaduct-vmhosts, and the same ELF between
two QEMU processes, in turns. The guest dirties memory at a set rate and measures its own blackout, the
longest time between two looks at the clock; the vCPUs are pinned to one core, everything else to the others,
for both alike."""
import os
import shutil
import statistics
import tempfile
import time

from tests.bench.qemu import PROGRAM, Qemu, free_port
from tests.support.vmhost import VmHost, migrate

MEMORY_MIB = 512
# working set in MiB, pages dirtied a second
CASES = [(256, 20000), (256, 100000)]
VCPU_CORE = 0
LIMIT_S = 60


def pin(pid, is_vcpu):
    """The vCPU threads on their core, the rest elsewhere."""
    others = set(range(os.cpu_count())) - {VCPU_CORE} or {VCPU_CORE}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as f:
            comm = f.read().strip()
        os.sched_setaffinity(int(task), {VCPU_CORE} if is_vcpu(comm) else others)


def warm_up(vm, working_set_mib, rate):
    """Until the whole working set was written once."""
    pages = working_set_mib * 256
    end = time.monotonic() + 60 + 2 * pages / rate
    while vm.field("status", "dirtied") < min(pages, 2 * rate):
        if time.monotonic() > end:
            raise TimeoutError("the guest's workload does not run")
        time.sleep(0.2)


def check(vm, working_set_mib):
    answer = vm.command("verify", 60)
    if " bad=0 " not in answer or f"pages={working_set_mib * 256} " not in answer:
        raise RuntimeError(f"the guest's memory is wrong after the move: {answer}")


def one_viaduct(bin_directory, kernel, directory, working_set_mib, rate):
    log = os.path.join(directory, "vmhost.log")
    source, target = VmHost(bin_directory, log), VmHost(bin_directory, log)
    try:
        source.configure(kernel, f"name=VM1 dirty={rate} ws={working_set_mib}", MEMORY_MIB)
        source.call("vm.start")
        pin(source.process.pid, lambda comm: comm.startswith("vp"))
        warm_up(source, working_set_mib, rate)
        target.configure(None, "", MEMORY_MIB)
        pin(target.process.pid, lambda comm: comm.startswith("vp"))
        source.command("gap")
        report, seconds = migrate(source, target)
        gap_us = target.field("gap", "us")
        check(target, working_set_mib)
        return {"total_ms": seconds * 1000, "blackout_ms": gap_us / 1000, "sent_mib": report["sent_bytes"] / 2**20,
                "rounds": len(report["rounds"])}
    finally:
        source.stop()
        target.stop()


def one_qemu(kernel, directory, working_set_mib, rate):
    port = free_port()
    cmdline = f"name=VM1 dirty={rate} ws={working_set_mib}"
    source = Qemu(directory, "source", kernel, cmdline, MEMORY_MIB)
    target = None
    try:
        pin(source.process.pid, lambda comm: comm.startswith("CPU"))
        warm_up(source, working_set_mib, rate)
        target = Qemu(directory, "target", kernel, cmdline, MEMORY_MIB, port)
        pin(target.process.pid, lambda comm: comm.startswith("CPU"))
        source.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        source.command("gap")
        source.ask("migrate", uri=f"tcp:127.0.0.1:{port}")
        end = time.monotonic() + LIMIT_S
        while True:
            info = source.ask("query-migrate")
            if info["status"] in ("completed", "failed", "cancelled") or time.monotonic() > end:
                break
            time.sleep(0.01)
        if info["status"] != "completed":
            return {"total_ms": LIMIT_S * 1000, "blackout_ms": None, "sent_mib": None, "rounds": None}
        gap_us = target.field("gap", "us")
        check(target, working_set_mib)
        return {"total_ms": info["total-time"], "blackout_ms": gap_us / 1000,
                "sent_mib": info["ram"]["transferred"] / 2**20, "rounds": info["ram"]["dirty-sync-count"]}
    finally:
        source.stop()
        if target:
            target.stop()


def median(runs, key):
    values = [r[key] for r in runs if r[key] is not None]
    return statistics.median(values) if values else None


def run(bin_directory, n_runs):
    kernel = os.path.join(os.path.dirname(bin_directory), "guest", "probe.elf")
    with_peer = shutil.which(PROGRAM) is not None
    if not with_peer:
        print("QEMU is not installed: Viaduct alone (deploy/install-packages brings it)")
    result = {"memory_mib": MEMORY_MIB, "runs": n_runs, "cases": []}
    for working_set_mib, rate in CASES:
        ours, peer = [], []
        for i in range(n_runs):
            with tempfile.TemporaryDirectory(prefix="viaduct-bench-") as directory:
                ours.append(one_viaduct(bin_directory, kernel, directory, working_set_mib, rate))
                if with_peer:
                    peer.append(one_qemu(kernel, directory, working_set_mib, rate))
            print(f"  {working_set_mib} MiB at {rate} pages/s: run {i + 1} of {n_runs} done", flush=True)
        result["cases"].append({"working_set_mib": working_set_mib, "rate": rate, "viaduct": ours, "qemu": peer})
    return result


def table(result):
    lines = [f"live migration of a {result['memory_mib']} MiB guest over loopback, median of {result['runs']} runs", "",
             f"{'dirtying':28}{'':16}{'Viaduct':>12}{'QEMU':>12}{'ratio':>8}"]
    for case in result["cases"]:
        title = f"{case['working_set_mib']} MiB, {case['rate']} pages/s"
        for key, label in (("total_ms", "total ms"), ("blackout_ms", "blackout ms"), ("sent_mib", "sent MiB"),
                           ("rounds", "rounds")):
            ours, peer = median(case["viaduct"], key), median(case["qemu"], key)
            ratio = f"{ours / peer:8.2f}" if ours and peer else f"{'-':>8}"
            lines.append(f"{title:28}{label:16}{ours:12.1f}" + (f"{peer:12.1f}" if peer else f"{'-':>12}") + ratio)
            title = ""
    return "\n".join(lines)
