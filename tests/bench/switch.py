"""The virtual switch between two VMs and from a VM to an uplink, beside the Linux bridge with TAPs and Open
vSwitch's user-space datapath, without and with userspace-tso; all are up during the whole run and are measured in
turns. A "VM" is a process that holds one end of a port (tests/bench/pump): of a shared-memory port, or the queue
of a TAP, as QEMU without vhost does. The far end of the uplink is a raw socket on a veth pair.

  64 B, 1514 B   UDP frames (without FCS) as fast as they go, counted where they arrive; what is lost is not
                 counted. On the uplink the far adapter counts them.
  TCP            one bulk stream, with checksums and super-frames of 64 KiB left to the ports where the switch
                 takes them (not OVS without tso); each switch gets the window that suits it best.
  RTT            of a 64-byte frame, one outstanding.

Rates are also given for each CPU-second of the switch's process, and of everything: both VM processes, the
switch, and the kernel's softirq threads. The bridge has no process: its part is what sending costs more than on a
TAP that is on no bridge. The table has medians, (minimum-maximum), and Viaduct's ratio to each peer."""
import contextlib
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import tempfile

from tests.bench.switch_peers import MACS, PEERS, cpu_seconds
from tests.support.harness import Skip, need_namespaces

PATHS = [("VM to VM", "vm1", "vm2"), ("VM to uplink", "vm1", "far")]
SIZES = [64, 1514]
WINDOWS = [1 << n for n in range(16, 22)] + [3 << 20]  # up to what Linux offers by default
RUN_MS, RTT_MS, TRIAL_MS = 1000, 500, 300
LIMIT_S = 60
# What was measured, its value, its label.
ROWS = [
    ("load64", "kpps", "64 B kpps"),
    ("load64", "kpps_switch", "  per CPU-s of the switch"),
    ("load64", "kpps_all", "  per CPU-s of all"),
    ("load1514", "kpps", "1514 B kpps"),
    ("load1514", "kpps_switch", "  per CPU-s of the switch"),
    ("load1514", "kpps_all", "  per CPU-s of all"),
    ("tcp", "gbps", "TCP Gb/s"),
    ("tcp", "gbps_switch", "  per CPU-s of the switch"),
    ("tcp", "gbps_all", "  per CPU-s of all"),
    ("rtt", "p50_us", "RTT p50 us"),
    ("rtt", "p99_us", "RTT p99 us"),
]


class Pumps:
    """Runs pumps on ports of a peer."""

    def __init__(self, program):
        self.program = program
        self.softirq_pids = [int(pid) for pid in filter(str.isdigit, os.listdir("/proc")) if self._is_softirq(pid)]

    @staticmethod
    def _is_softirq(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
            return f.read().startswith("ksoftirqd/")
        return False

    def softirq_seconds(self):
        return sum(cpu_seconds(pid) for pid in self.softirq_pids)

    def start(self, role, port, fds, mac, peer_mac, options):
        return subprocess.Popen([self.program, role, "--port", port, "--mac", mac, "--peer-mac", peer_mac, *options],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                pass_fds=fds)

    def finish(self, what, *processes):
        """Their results, in order."""
        try:
            answers = [process.communicate(timeout=LIMIT_S) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait(10)
        if any(process.returncode for process in processes):
            raise RuntimeError(f"{what}: " + "; ".join(error.strip() for _, error in answers if error))
        return [json.loads(text) for text, _ in answers]

    def alone(self, peer, size):
        """CPU-seconds that sending one frame takes on a TAP which nobody forwards from."""
        options = ["--alone", "--bytes", str(size), "--ms", str(TRIAL_MS)]
        sent, = self.finish("a TAP alone", self.start("blast", f"tap:{peer.lone}", [peer.lone], MACS["vm1"],
                                                      MACS["vm2"], options))
        return sent["cpu_ns"] / 1e9 / sent["frames"]

    def pair(self, peer, roles, ends, *options):
        """Two pumps: (leader's result, follower's, {"switch": CPU-seconds or None, "all": CPU-seconds})."""
        options = list(options) + (["--offload"] if peer.offload else [])
        with contextlib.ExitStack() as stack:
            ports = [stack.enter_context(peer.port(end)) for end in ends]
            switch, softirq = peer.cpu_seconds(), self.softirq_seconds()
            # The follower first: it waits, the leader asks.
            processes = [self.start(roles[i], *ports[i], MACS[ends[i]], MACS[ends[1 - i]], options) for i in (1, 0)]
            theirs, ours = self.finish(f"{peer.title}, {roles[0]}", *processes)
            softirq = self.softirq_seconds() - softirq
            if switch is not None:
                switch = peer.cpu_seconds() - switch
        total = (ours.get("cpu_ns", 0) + theirs.get("cpu_ns", 0)) / 1e9 + (switch or 0) + softirq
        return ours, theirs, {"switch": switch, "all": total}


def per(value, seconds):
    return value / seconds if seconds and seconds > 0.01 else None


def load(pumps, peer, ends, size, cost_alone):
    on_wire = ends[1] == "far"
    before = peer.wire_frames()
    sent, got, cpu = pumps.pair(peer, ("blast", "sink"), (ends[0], "wire" if on_wire else ends[1]),
                                "--bytes", str(size), "--ms", str(RUN_MS))
    if on_wire:
        frames, rate = peer.wire_frames() - before, (peer.wire_frames() - before) / sent["ns"] * 1e6
    else:
        frames, rate = got["frames"], got["timed_frames"] / max(got["ns"], 1) * 1e6
    if cpu["switch"] is None and cost_alone:
        cpu["switch"] = sent["cpu_ns"] / 1e9 - sent["frames"] * cost_alone
    return {"kpps": rate, "kpps_switch": per(frames / 1e3, cpu["switch"]), "kpps_all": per(frames / 1e3, cpu["all"]),
            "sent": sent["frames"], "arrived": frames}


def tcp(pumps, peer, ends, window, run_ms=RUN_MS):
    sent, got, cpu = pumps.pair(peer, ("send", "receive"), ends, "--window", str(window), "--ms", str(run_ms))
    gbits = got["bytes"] * 8 / 1e9
    return {"gbps": gbits / max(got["ns"] / 1e9, 1e-9), "gbps_switch": per(gbits, cpu["switch"]),
            "gbps_all": per(gbits, cpu["all"]), "window_bytes": window, "went_back": sent["went_back"]}


def rtt(pumps, peer, ends):
    ping, _, _ = pumps.pair(peer, ("ping", "echo"), ends, "--ms", str(RTT_MS))
    return {"p50_us": ping["p50_ns"] / 1e3, "p99_us": ping["p99_ns"] / 1e3, "samples": ping["samples"],
            "lost": ping["lost"]}


def best_window(pumps, peer, ends):
    rates = {}
    for window in WINDOWS:
        rates[window] = tcp(pumps, peer, ends, window, TRIAL_MS)["gbps"]
        # Where frames get lost, more of them only take long.
        if rates[window] < max(rates.values()) / 2:
            break
    return max(rates, key=rates.get)


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    return {"cpu": model.group(1) if model else platform.machine(), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "load_before": os.getloadavg()[0]}


def start_peers(stack, bin_directory, directory):
    """(those that take part, {title: why not} of the others)."""
    peers, missing = [], {}
    for kind in PEERS:
        reason = kind.missing(bin_directory)
        if not reason:
            try:
                peers.append(kind(bin_directory, directory))
                stack.callback(peers[-1].close)
            except (OSError, RuntimeError, subprocess.SubprocessError) as e:
                reason = str(e)
        if reason:
            missing[kind.title] = reason
            print(f"{kind.title} does not take part: {reason}")
    return peers, missing


def one_run(pumps, peers, windows):
    """{path: {peer: {"load64", ...}}}."""
    values = {path: {peer.key: {} for peer in peers} for path, _, _ in PATHS}
    alone = {}
    for size, peer in itertools.product(SIZES, peers):
        if peer.cpu_seconds() is None:
            alone[peer.key, size] = pumps.alone(peer, size)
    for path, *ends in PATHS:
        for size, peer in itertools.product(SIZES, peers):
            values[path][peer.key][f"load{size}"] = load(pumps, peer, ends, size, alone.get((peer.key, size)))
        for peer in peers:
            values[path][peer.key]["tcp"] = tcp(pumps, peer, ends, windows[path, peer.key])
        for peer in peers:
            values[path][peer.key]["rtt"] = rtt(pumps, peer, ends)
    return values


def run(bin_directory, n_runs):
    program = os.path.join(os.path.dirname(bin_directory), "bench", "bench_pump")
    try:
        need_namespaces()
    except Skip as e:
        raise SystemExit(str(e)) from None
    if not os.path.exists(program):
        raise SystemExit(f"{program} is not there (deploy/build dev)")
    result = {"machine": machine(), "runs": n_runs, "values": []}
    with tempfile.TemporaryDirectory(prefix="viaduct-bench-") as directory, contextlib.ExitStack() as stack:
        peers, result["missing"] = start_peers(stack, bin_directory, directory)
        result["peers"] = [[peer.key, peer.title] for peer in peers]
        pumps = Pumps(program)
        windows = {(path, peer.key): best_window(pumps, peer, ends) for path, *ends in PATHS for peer in peers}
        print("  the windows of TCP are chosen", flush=True)
        for i in range(n_runs):
            result["values"].append(one_run(pumps, peers, windows))
            print(f"  run {i + 1} of {n_runs} done", flush=True)
    result["machine"]["load_after"] = os.getloadavg()[0]
    return result


def series(result, path, peer, group, key):
    values = (run[path][peer][group][key] for run in result["values"] if peer in run[path])
    return [v for v in values if v is not None]


def median(result, path, peer, group, key):
    values = series(result, path, peer, group, key)
    return statistics.median(values) if values else None


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(values):
    if not values:
        return "-"
    return f"{number(statistics.median(values))} ({number(min(values))}-{number(max(values))})"


def rows_of(result, path, peers):
    lines = [path]
    for group, key, label in ROWS:
        cells = [cell(series(result, path, peer, group, key)) for peer, _ in peers]
        ours = median(result, path, "viaduct", group, key)
        ratios = []
        for peer, _ in peers[1:]:
            theirs = median(result, path, peer, group, key)
            ratios.append(f"{ours / theirs:.2f}" if ours and theirs else "-")
        lines.append(f"  {label:28}" + "".join(f"{c:>22}" for c in cells) + "".join(f"{r:>9}" for r in ratios))
    return lines


def verdict(text, ours, theirs, factor):
    if not ours or not theirs:
        return f"  {text}: not measured"
    word = "met" if ours > factor * theirs or (factor > 1 and ours == factor * theirs) else "MISSED"
    return f"  {text}: {ours / theirs:.2f} times, {word}"


def budgets(result):
    """What the switch must reach; of the two forms of Open vSwitch the better one counts."""
    keys = [key for key, _ in result["peers"]]
    path = PATHS[0][0]

    def best(where, group, key, candidates):
        return max((median(result, where, p, group, key) or 0 for p in candidates if p in keys), default=None)
    lines = ["budgets:", verdict("TCP from VM to VM above the Linux bridge with TAPs",
                                 best(path, "tcp", "gbps", ["viaduct"]), best(path, "tcp", "gbps", ["bridge"]), 1)]
    for where, *_ in PATHS:
        lines.append(verdict(f"64-byte frames per CPU-second of the switch, {where}, at least 3 times Open vSwitch",
                             best(where, "load64", "kpps_switch", ["viaduct"]),
                             best(where, "load64", "kpps_switch", ["ovs", "ovs-tso"]), 3))
    return lines


def table(result):
    here, peers = result["machine"], result["peers"]
    lines = [f"virtual switches, median (minimum-maximum) of {result['runs']} runs",
             f"{here['cpu']}, {here['cores']} cores, Linux {here['kernel']}; load {here['load_before']:.1f} before, "
             f"{here['load_after']:.1f} after", ""]
    lines += [f"without {title}: {reason}" for title, reason in result["missing"].items()]
    lines.append(" " * 30 + "".join(f"{title:>22}" for _, title in peers) +
                 "".join(f"{'/' + title.removeprefix('Linux '):>9}" for _, title in peers[1:]))
    for path, *_ in PATHS:
        lines += rows_of(result, path, peers)
    return "\n".join(lines + [""] + budgets(result))
