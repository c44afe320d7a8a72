"""From the death of a node - its namespaces are killed, corosync and all - to its VM running on another one, over real
corosync, with 3 and 5 nodes and two profiles: `fast` (token 300 ms, lease 1 s) and `default` (token 1 s, lease 3 s).
VMs are puppets (tests/system/vm_puppet.c): what a guest needs to boot comes on top, and is the same without a cluster.

  total      from the kill to the word of the store that the VM runs
  detection  until corosync has left the node out of the membership
  fencing    then until the lease of the dead node has run out
  decision   until a node is asked to start the VM
  start      ownership, process, run; the word in the store

The table has medians (minimum-maximum) in milliseconds. Needs root."""
import os
import shutil
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "deploy"))
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import need_namespaces  # noqa: E402
from tests.support.puppets import use_puppets  # noqa: E402

PROFILES = {"fast": (300, 1000), "default": (1000, 3000)}
SIZES = (3, 5)
PARTS = ("total", "detection", "fencing", "decision", "start")
BUDGET_MS = 2000
DIRECTORY = "/var/lib/viaduct-bench-failover"
VM = "VM1"


def vm(node):
    return next(v for v in node.ask("vm", "list")["vms"] if v["name"] == VM)


def one_death(lab):
    """The node of the VM dies; the parts in milliseconds."""
    owner = lab.nodes[vm(lab.first())["node"]]
    witness = next(n for n in lab.nodes.values() if n is not owner)
    epoch = vm(witness)["epoch"]
    began = time.monotonic()
    owner.kill()

    def runs():
        seen = vm(witness)
        return seen["epoch"] > epoch and seen["state"] == "Running"
    wait_for(runs, 30, "the VM running elsewhere")
    total = (time.monotonic() - began) * 1000
    last = wait_for(lambda: witness.ask("vm", "show", VM)["vm"].get("restart"), 10, "the record of the restart")
    parts = {k: last[f"{k}_ns"] / 1e6 for k in ("fencing", "decision", "start")}
    owner.restart()
    lab.wait_until_ready()
    return dict(parts, total=total, detection=total - sum(parts.values()))


def run(_bin_directory, runs):
    need_namespaces()
    result = {}
    for profile, (token_ms, lease_ms) in PROFILES.items():
        for size in SIZES:
            shutil.rmtree(DIRECTORY, ignore_errors=True)
            lab = Lab(DIRECTORY, _bin_directory, [(f"host{i + 1}", None) for i in range(size)], token_ms=token_ms,
                      lease_ms=lease_ms)
            use_puppets(lab)
            try:
                lab.up()
                node = lab.first()
                node.viaduct("vm", "create", VM, "--kernel", os.path.join(DIRECTORY, "authkey"), "--memory", "64M",
                             "--no-video", "--node", "host2")
                node.viaduct("vm", "policy", VM, "--max-restarts", "1000")
                node.viaduct("vm", "start", VM, "--node", "host2")
                deaths = [one_death(lab) for _ in range(runs)]
            finally:
                lab.down()
            result[f"{profile}, {size} nodes"] = {
                part: {"median": statistics.median(d[part] for d in deaths), "min": min(d[part] for d in deaths),
                       "max": max(d[part] for d in deaths)} for part in PARTS}
    return result


def table(result):
    lines = [f"{'ms':18}" + "".join(f"{part:>20}" for part in PARTS)]
    for name, parts in result.items():
        lines.append(f"{name:18}" + "".join(
            "{:>20}".format("{median:.0f} ({min:.0f}-{max:.0f})".format(**parts[part])) for part in PARTS))
    worst = max(parts["total"]["median"] for name, parts in result.items() if name.startswith("fast"))
    lines.append(f"budget: {BUDGET_MS} ms in the median with the fast profile: "
                 f"{'met' if worst <= BUDGET_MS else 'MISSED'} ({worst:.0f} ms)")
    return "\n".join(lines)
