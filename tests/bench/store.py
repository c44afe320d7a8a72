"""The replicated store over real corosync, one namespace for each node: write latency and writes a second,
and what a node costs that joins while there are many keys. There is no peer with the same promises; the
figures beside each other are those of 3 and 5 nodes. Needs root."""
import json
import os
import shutil
import statistics
import subprocess
import time

from tests.system import cluster_store

WRITES = 1000
KEYS = 100_000
KEY_BYTES = 100
SIZES = (3, 5)
TIMEOUT = 300


class Stops:
    """How long the machine itself stood still (stops.c): what a turn that was begun then had to wait as well."""

    def __init__(self, bin_directory):
        program = os.path.join(os.path.dirname(bin_directory), "bench", "bench_stops")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def longest_ms(self):
        """None: there can be no deadline task here."""
        answer = self.ask("read")
        return None if "error" in answer else answer["longest_us"] / 1000


def form(lab, numbers):
    for n in numbers:
        lab.node(n).start_corosync()
        lab.node(n).start_probe()
    lab.wait_synced(numbers)


def latency(lab):
    """One write at a time from node 1; then all nodes at once."""
    lab.node(1).ask("bench 100 bench/warm", TIMEOUT)
    alone = lab.node(1).ask(f"bench {WRITES} bench/alone", TIMEOUT)
    for node in lab.nodes:
        node.probe.send(f"bench {WRITES} bench/{node.name}")
    together = [node.probe.receive(TIMEOUT) for node in lab.nodes]
    for node in lab.nodes:
        node.probe.send(f"fill {WRITES} {KEY_BYTES}")
    began = time.monotonic()
    for node in lab.nodes:
        cluster_store.expect_done(dict(node.probe.receive(TIMEOUT), version=0), "fill")
    many_s = time.monotonic() - began
    return {"p50_ms": alone["p50_us"] / 1000, "p99_ms": alone["p99_us"] / 1000,
            "alone_per_s": alone["per_second"],
            "together_per_s": sum(r["per_second"] for r in together),
            "many_per_s": len(lab.nodes) * WRITES / many_s}


def join(lab, stops):
    """The last node comes with an empty disk while the others write."""
    last = lab.n_nodes
    others = list(range(1, last))
    lab.node(last).stop_probe()
    lab.wait_synced(others, TIMEOUT)
    cluster_store.expect_done(dict(lab.node(1).ask(f"fill {KEYS} {KEY_BYTES}", TIMEOUT), version=0), "fill")
    shutil.rmtree(f"{lab.node(last).directory}/state")
    os.makedirs(f"{lab.node(last).directory}/state")
    for n in others:
        lab.node(n).ask("reset")
    stops.ask("reset")
    lab.node(2).probe.send(f"bench {WRITES} bench/meanwhile")
    began = time.monotonic()
    lab.node(last).start_probe()
    cluster_store.wait_until("the node has joined", lambda: lab.node(last).status()["synced"], TIMEOUT, 0.005)
    joined_s = time.monotonic() - began
    meanwhile = lab.node(2).probe.receive(TIMEOUT)
    states = [lab.node(n).status() for n in range(1, last + 1)]
    return {"machine_stop_ms": stops.longest_ms(), "joined_s": joined_s, "write_max_ms": meanwhile["max_us"] / 1000,
            "stall_ms": max(s["longest_turn_us"] for s in states[:-1]) / 1000,
            "stall_own_ms": max(s["longest_turn_own_us"] for s in states[:-1]) / 1000,
            "joiner_stall_ms": states[-1]["longest_turn_us"] / 1000,
            "joiner_stall_own_ms": states[-1]["longest_turn_own_us"] / 1000}


def one(bin_directory, n_nodes):
    with cluster_store.Lab(os.path.join(bin_directory, "cluster_probe"), n_nodes, False) as lab, \
            Stops(bin_directory) as stops:
        form(lab, range(1, n_nodes + 1))
        # While all are there: 100,000 keys want version 2 of the protocol.
        lab.node(1).ask("upgrade")
        result = latency(lab)
        result.update(join(lab, stops))
        return result


def run(bin_directory, runs):
    reason = cluster_store.reason_to_skip(os.path.join(bin_directory, "cluster_probe"))
    if reason:
        raise SystemExit(f"SKIP: {reason}")
    return {str(n): [one(bin_directory, n) for _ in range(runs)] for n in SIZES}


ROWS = [("write from one node, p50", "p50_ms", "ms"), ("write from one node, p99", "p99_ms", "ms"),
        ("one at a time, one node", "alone_per_s", "/s"), ("one at a time, all nodes", "together_per_s", "/s"),
        ("many under way, all nodes", "many_per_s", "/s"),
        ("join with 100,000 keys", "joined_s", "s"), ("longest write meanwhile", "write_max_ms", "ms"),
        ("longest turn of a member", "stall_ms", "ms"), ("  without waiting for a processor", "stall_own_ms", "ms"),
        ("longest turn of the one that joins", "joiner_stall_ms", "ms"),
        ("  without waiting for a processor", "joiner_stall_own_ms", "ms"),
        ("longest stop of the machine meanwhile", "machine_stop_ms", "ms")]


def table(result):
    runs = len(next(iter(result.values())))
    lines = [f"{f'medians of {runs} runs (range)':38}" + "".join(f"{n + ' nodes':>28}" for n in result)]
    for text, key, unit in ROWS:
        line = f"{text:38}"
        for samples in result.values():
            values = sorted(s[key] for s in samples if s[key] is not None)
            cell = (f"{statistics.median(values):.2f} {unit} ({values[0]:.2f} to {values[-1]:.2f})" if values
                    else "not measured")
            line += f"{cell:>28}"
        lines.append(line)
    if any(s["machine_stop_ms"] is None for samples in result.values() for s in samples):
        lines.append("Stops of the machine are measured by a deadline task, which cannot be had here.")
    return "\n".join(lines)
