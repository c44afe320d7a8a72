#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cluster module over real corosync: three nodes in namespaces of this machine.

    VIADUCT_BIN=DIR cluster_store.py [--nodes N] [--writes N] [--keep] [CASE...]

Each node is a set of namespaces with its own corosync and one cluster_probe (from DIR), joined to
the others by bridges in a namespace of their own. Everything lives in a temporary directory and in
processes started here; both are gone at the end, also after a failure. Exit status: 0 passed,
1 failed, 77 skipped (not root, no namespaces, no corosync), with the reason printed.
"""

import argparse
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
NETS = [("clu", "10.10.2"), ("mgmt", "10.10.1"), ("lm", "10.10.3")]  # by link number
EXTRA_NET = ("stor", "10.10.4")  # carries no link
TOKEN_MS = 1000
CORE_TIMEOUT = 30


class Failure(Exception):
    pass


def run(*argv, check=True):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=30)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done


def wait_until(what, condition, timeout=CORE_TIMEOUT, interval=0.02):
    deadline = time.monotonic() + timeout
    while True:
        last = condition()
        if last:
            return last
        if time.monotonic() > deadline:
            raise Failure(f"timed out after {timeout} s: {what}")
        time.sleep(interval)


class Namespace:
    """A process that holds namespaces; killing it ends everything inside."""

    def __init__(self, flags, setup=""):
        self.holder = subprocess.Popen(
            ["unshare", *flags, "--fork", "--kill-child=KILL", "sh", "-c",
             setup + "\necho ready\nexec sleep 3600"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        if self.holder.stdout.readline().strip() != "ready":
            raise Failure(f"unshare: {self.holder.stderr.read().strip()}")
        children = open(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read().split()
        self.pid = int(children[0])

    def command(self, *argv):
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-i", "-p", "--", *argv]

    def run(self, *argv, check=True):
        return run(*self.command(*argv), check=check)

    def close(self):
        if self.holder.poll() is None:
            self.holder.kill()
        self.holder.wait(timeout=10)


class Fabric(Namespace):
    def __init__(self):
        super().__init__(["-n"])
        self.run("ip", "link", "set", "lo", "up")
        for name, _ in [*NETS, EXTRA_NET]:
            self.run("ip", "link", "add", f"br-{name}", "type", "bridge", "mcast_snooping", "0")
            self.run("ip", "link", "set", f"br-{name}", "up")

    def command(self, *argv):
        return ["nsenter", "-t", str(self.pid), "-n", "--", *argv]

    def cut(self, net, node, up=False):
        self.run("ip", "link", "set", f"{net}-n{node}", "up" if up else "down")


class Probe:
    def __init__(self, node, *arguments, state="state"):
        self.node = node
        self.errors = open(f"{node.directory}/probe.log", "a")
        self.process = subprocess.Popen(
            node.namespace.command(node.lab.probe_path, f"{node.directory}/{state}", *arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1)

    def send(self, line):
        self.process.stdin.write(line + "\n")

    def receive(self, timeout=CORE_TIMEOUT):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise Failure(f"{self.node.name}: the probe does not answer")
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{self.node.name}: the probe is gone")
        return json.loads(line)

    def ask(self, line, timeout=CORE_TIMEOUT):
        self.send(line)
        return self.receive(timeout)

    def child(self):
        """nsenter starts the probe as its child and hands no signals on."""
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        return int(children[0])

    def stop(self):
        os.kill(self.child(), signal.SIGSTOP)

    def go_on(self):
        os.kill(self.child(), signal.SIGCONT)
        os.kill(self.process.pid, signal.SIGCONT)  # nsenter stops with its child

    def close(self, kill=False):
        try:
            if kill:
                os.kill(self.child(), signal.SIGKILL)
            self.process.stdin.close()
        except OSError:
            pass  # gone already
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
        self.process.stdout.close()
        self.errors.close()


class Node:
    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.name = f"node{number}"
        self.directory = f"{lab.directory}/{self.name}"
        self.probe = None
        for part in ("etc", "lib", "log", "state"):
            os.makedirs(f"{self.directory}/{part}")
        shutil.copy(f"{lab.directory}/authkey", f"{self.directory}/etc/authkey")
        with open(f"{self.directory}/etc/corosync.conf", "w") as conf:
            conf.write(lab.corosync_conf())
        d = self.directory
        self.namespace = Namespace(
            ["-n", "-m", "-u", "-i", "-p", "--mount-proc", "--propagation", "private"], f"""
            set -e
            hostname {self.name}
            mount -t tmpfs -o mode=755 tmpfs /run
            mount -t tmpfs -o mode=1777,size=256m tmpfs /dev/shm
            mkdir -p /etc/corosync /var/lib/corosync /var/log/corosync
            mount --bind {d}/etc /etc/corosync
            mount --bind {d}/lib /var/lib/corosync
            mount --bind {d}/log /var/log/corosync
            ip link set lo up""")
        for name, subnet in [*NETS, EXTRA_NET]:
            run("ip", "link", "add", name, "netns", str(self.namespace.pid), "type", "veth", "peer",
                "name", f"{name}-n{number}", "netns", str(lab.fabric.pid))
            lab.fabric.run("ip", "link", "set", f"{name}-n{number}", "master", f"br-{name}")
            lab.fabric.run("ip", "link", "set", f"{name}-n{number}", "up")
            self.namespace.run("ip", "addr", "add", f"{subnet}.{number}/24", "dev", name)
            self.namespace.run("ip", "link", "set", name, "up")

    def start_corosync(self):
        self.namespace.run("corosync")

    def kill_corosync(self):
        self.namespace.run("sh", "-c", "kill -9 $(cat /run/corosync.pid)")

    def start_probe(self, *arguments):
        self.probe = Probe(self, *arguments)

    def stop_probe(self, kill=False):
        if self.probe:
            self.probe.close(kill)
        self.probe = None

    def ask(self, line, timeout=CORE_TIMEOUT):
        return self.probe.ask(line, timeout)

    def status(self):
        return self.ask("status")

    def close(self):
        try:
            self.stop_probe()
        finally:
            self.namespace.close()


class Lab:
    def __init__(self, probe_path, n_nodes, keep):
        self.probe_path = os.path.abspath(probe_path)
        self.n_nodes = n_nodes
        self.keep = keep
        self.nodes = []
        self.fabric = None
        self.directory = tempfile.mkdtemp(prefix="viaduct-cluster-")

    def __enter__(self):
        try:
            run("corosync-keygen", "-l", "-k", f"{self.directory}/authkey")
            self.fabric = Fabric()
            for number in range(1, self.n_nodes + 1):
                self.nodes.append(Node(self, number))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for thing in [*self.nodes, self.fabric]:
            try:
                if thing:
                    thing.close()
            except Exception as error:  # the rest has to go as well
                print(f"# cleaning up: {error}")
        if self.keep:
            print(f"# kept: {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def node(self, number):
        return self.nodes[number - 1]

    def corosync_conf(self):
        interfaces = "".join(f"""
    interface {{
        linknumber: {link}
        knet_transport: udp
        knet_ping_interval: 200
        knet_ping_timeout: 500
        knet_pong_count: 2
    }}""" for link in range(len(NETS)))
        nodes = ""
        for i in range(1, self.n_nodes + 1):
            rings = "\n        ".join(f"ring{link}_addr: {subnet}.{i}"
                                      for link, (_, subnet) in enumerate(NETS))
            nodes += f"""
    node {{
        nodeid: {i}
        name: node{i}
        {rings}
    }}"""
        return f"""totem {{
    version: 2
    cluster_name: viaduct-test
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
    token: {TOKEN_MS}
    token_coefficient: 0
    link_mode: passive{interfaces}
}}
nodelist {{{nodes}
}}
quorum {{
    provider: corosync_votequorum
    expected_votes: {self.n_nodes}
    wait_for_all: 0
}}
system {{
    sched_rr: yes
    move_to_root_cgroup: auto
    state_dir: /var/lib/corosync
}}
logging {{
    to_stderr: no
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
"""

    def wait_synced(self, numbers, timeout=CORE_TIMEOUT):
        """All of them synced with each other, with one digest."""
        def agreed():
            states = [self.node(n).status() for n in numbers]
            if not all(s["synced"] for s in states):
                return False
            for n in numbers:
                synced = {x["id"] for x in self.node(n).ask("nodes") if x["is_synced"]}
                if synced != set(numbers):
                    return False
            return len({(s["digest"], s["generation"]) for s in states}) == 1
        wait_until(f"nodes {numbers} are synced", agreed, timeout)

    def wait_value(self, number, key, value):
        wait_until(f"node{number} has {key} = {value}",
                   lambda: self.node(number).ask(f"get {key}").get("value") == value)


def expect(condition, text):
    if not condition:
        raise Failure(text)


def expect_done(answer, what):
    expect(answer["errno"] == 0, f"{what}: {answer}")
    return answer["version"]


def case_form(lab):
    began = time.monotonic()
    for node in lab.nodes:
        node.start_corosync()
        node.start_probe()
    everybody = range(1, lab.n_nodes + 1)
    lab.wait_synced(everybody)
    print(f"# {lab.n_nodes} nodes formed a cluster in {time.monotonic() - began:.1f} s")
    nodes = lab.node(1).ask("nodes")
    expect([n["name"] for n in nodes] == [f"node{i}" for i in everybody], f"names: {nodes}")
    expect(all(n["is_member"] and n["has_service"] for n in nodes), f"members: {nodes}")


def case_write_read(lab):
    version = expect_done(lab.node(1).ask('put vm/VM1 {"vcpus": 2}'), "put")
    for n in range(1, lab.n_nodes + 1):
        # Done means that everybody has it: no waiting here.
        got = lab.node(n).ask("get vm/VM1")
        expect(got == {"value": {"vcpus": 2}, "version": version}, f"node{n} has {got}")
    stale = lab.node(2).ask('cas vm/VM1 0 {"vcpus": 4}')
    expect(stale["errno"] != 0 and stale["version"] == version, f"cas against 0: {stale}")
    newer = expect_done(lab.node(2).ask(f'cas vm/VM1 {version} {{"vcpus": 4}}'), "cas")
    expect(newer > version, "versions grow")
    expect_done(lab.node(3).ask("del vm/VM1"), "del")
    expect(lab.node(1).ask("get vm/VM1") == {}, "deleted")
    expect_done(lab.node(1).ask("owner vm/VM1 1"), "owner")
    expect(lab.node(2).ask("get owner/vm/VM1")["value"] == {"node": 1, "epoch": 1}, "owner record")


def case_macs(lab):
    for n in range(1, lab.n_nodes + 1):
        lab.node(n).probe.send(f"mac vm/VM{n}/nic0")
    macs = [lab.node(n).probe.receive()["mac"] for n in range(1, lab.n_nodes + 1)]
    expect(len(set(macs)) == lab.n_nodes, f"macs: {macs}")
    expect(all(m.startswith("00:15:5d:") for m in macs), f"macs: {macs}")
    again = lab.node(2).ask("mac vm/VM1/nic0")
    expect(again["mac"] == macs[0], "a lease stays")
    taken = lab.node(2).ask(f"mac vm/other/nic0 {macs[0]}")
    expect(taken["errno"] != 0, f"{macs[0]} leased twice: {taken}")


def case_contention(lab):
    """Everybody increments one counter by compare-and-set; nothing may get lost."""
    per_node = 40
    done = {n: 0 for n in range(1, lab.n_nodes + 1)}

    def attempt(n):
        got = lab.node(n).ask("get counter")
        lab.node(n).probe.send(f"cas counter {got.get('version', 0)} {got.get('value', 0) + 1}")

    while any(count < per_node for count in done.values()):
        trying = [n for n, count in done.items() if count < per_node]
        for n in trying:
            attempt(n)
        for n in trying:
            done[n] += lab.node(n).probe.receive()["errno"] == 0
    lab.wait_value(1, "counter", per_node * lab.n_nodes)


def case_latency(lab):
    count = lab.writes
    lab.node(1).ask("bench 200 bench/warm")
    for n in range(1, lab.n_nodes + 1):
        result = lab.node(n).ask(f"bench {count} bench/node{n}", 120)
        expect(result.get("count") == count, f"bench: {result}")
        print(f"# store write from node{n}, {lab.n_nodes} nodes, {count} writes: "
              f"p50 {result['p50_us'] / 1000:.2f} ms, p99 {result['p99_us'] / 1000:.2f} ms, "
              f"min {result['min_us'] / 1000:.2f} ms, max {result['max_us'] / 1000:.2f} ms, "
              f"{result['per_second']}/s")
    for n in range(1, lab.n_nodes + 1):
        lab.node(n).probe.send(f"bench {count} bench/node{n}")
    results = [lab.node(n).probe.receive(120) for n in range(1, lab.n_nodes + 1)]
    print("# all at once: " + ", ".join(
        f"p50 {r['p50_us'] / 1000:.2f} p99 {r['p99_us'] / 1000:.2f} ms" for r in results))


def case_networks(lab):
    def states(n=1):
        return {net["subnet"]: net for net in lab.node(n).ask("nets")}

    wait_until("networks are up", lambda: [s["state"] for s in states().values()] == [3, 3, 3, 3])
    nets = states()
    expect(list(nets) == [f"10.10.{i}.0/24" for i in range(1, 5)], f"{list(nets)}")
    expect(nets["10.10.1.0/24"]["name"] == "Cluster Network 1", "default name")
    expect(len({net["metric"] for net in nets.values()}) == 4, "metrics are unique")
    override = '{"name": "Migration", "role": 1}'
    expect_done(lab.node(1).ask(f"put net/10.10.3.0/24 {override}"), "override")
    expect_done(lab.node(1).ask('put migration/networks {"order": ["10.10.3.0/24"]}'), "the order")
    def path():
        return [net["name"] for net in lab.node(2).ask("migration 1 2")]

    wait_until("every network is known to reach", lambda: len(path()) == 4)
    expect(path()[0] == "Migration", f"migration networks: {path()}")
    time.sleep(10)  # knet takes its time for the first timeouts after a start
    began = time.monotonic()
    lab.fabric.cut("lm", 3)
    for n in range(1, lab.n_nodes + 1):
        wait_until(f"node{n} sees the cut", lambda n=n: states(n)["10.10.3.0/24"]["state"] == 2)
    print(f"# cut of one link: Partitioned at every node after {time.monotonic() - began:.2f} s")
    # The first report makes it Partitioned; who has failed is known when all have reported.
    expected = {str(n): 1 if n == 3 else 3 for n in range(1, lab.n_nodes + 1)}
    wait_until("the failed interface is known",
               lambda: states(2)["10.10.3.0/24"]["interfaces"] == expected)
    expect("Migration" not in [x["name"] for x in lab.node(1).ask("migration 1 3")],
           "a path that is cut is offered")
    expect(lab.node(1).ask("migration 1 2")[0]["name"] == "Migration", "the others still have it")
    lab.fabric.cut("lm", 3, up=True)
    wait_until("the link is back", lambda: states()["10.10.3.0/24"]["state"] == 3)


def case_corosync_killed(lab):
    """One node's corosync dies: the others go on, it cannot write, and is brought up to date."""
    n = lab.n_nodes
    began = time.monotonic()
    lab.node(n).kill_corosync()
    wait_until("the node notices", lambda: not lab.node(n).status()["connected"])
    refused = lab.node(n).ask('put from/dead "x"')
    expect(refused["errno"] != 0, f"a write without corosync: {refused}")
    expect(lab.node(n).ask("get counter").get("value"), "reads still work")
    lab.wait_synced(range(1, n))
    print(f"# corosync killed: the others are synced again after {time.monotonic() - began:.2f} s")
    expect_done(lab.node(1).ask('put while/away "yes"'), "put by the majority")
    lab.node(n).start_corosync()
    began = time.monotonic()
    lab.wait_synced(range(1, n + 1))
    print(f"# and with it {time.monotonic() - began:.2f} s after its start")
    expect(lab.node(n).ask("get while/away").get("value") == "yes", "the state came over")
    expect(lab.node(1).ask("get from/dead") == {}, "the refused write is nowhere")


def case_partition(lab):
    """All links of one node are cut: it has no quorum and cannot write; merging brings it back."""
    n = lab.n_nodes
    for name, _ in NETS:
        lab.fabric.cut(name, n)
    wait_until("the minority loses quorum", lambda: not lab.node(n).status()["quorate"])
    expect(lab.node(n).ask('put minority "x"')["errno"] != 0, "the minority wrote")
    lab.wait_synced(range(1, n))
    for i in range(50):
        expect_done(lab.node(1 + i % (n - 1)).ask(f'put majority/{i} {i}'), "put by the majority")
    for name, _ in NETS:
        lab.fabric.cut(name, n, up=True)
    lab.wait_synced(range(1, n + 1))
    expect(lab.node(n).ask("get majority/49").get("value") == 49, "the state came over")
    expect(lab.node(n).ask("get minority") == {}, "the refused write is nowhere")


def case_restart(lab):
    """Daemons die and come back while others write; then all at once, from their disks."""
    text = json.dumps({"text": "x" * 8000})
    for i in range(100):
        expect_done(lab.node(1).ask(f"put big/{i} {text}"), "put")
    lab.node(2).stop_probe(kill=True)
    lab.wait_synced([1, *range(3, lab.n_nodes + 1)])
    expect_done(lab.node(1).ask("put big/50 null"), "put")
    shutil.rmtree(f"{lab.node(2).directory}/state")
    os.makedirs(f"{lab.node(2).directory}/state")
    lab.node(2).start_probe()
    lab.node(3).probe.send("bench 500 bench/joining")
    result = lab.node(3).probe.receive(60)
    print(f"# writes while a node with an empty disk joined: p50 {result['p50_us'] / 1000:.2f} ms, "
          f"max {result['max_us'] / 1000:.2f} ms")
    lab.wait_synced(range(1, lab.n_nodes + 1))
    expect(lab.node(2).ask("get big/99").get("value") == json.loads(text), "the state came over")
    before = lab.node(1).status()
    for node in lab.nodes:
        node.stop_probe(kill=True)
    for node in lab.nodes:
        node.start_probe()
    lab.wait_synced(range(1, lab.n_nodes + 1))
    after = lab.node(2).status()
    expect(after["generation"] > before["generation"], "generations grow")
    expect(lab.node(2).ask("get big/50").get("value", 0) is None, "the store came from the disks")


def hang(lab, hung, writer):
    lab.node(hung).probe.stop()
    try:
        began = time.monotonic()
        expect_done(lab.node(writer).ask(f"put despite/{hung} true"), "put")
        took = time.monotonic() - began
        expect_done(lab.node(2).ask(f"put despite/{hung}/2 true"), "put")
    finally:
        lab.node(hung).probe.go_on()
    lab.wait_synced(range(1, lab.n_nodes + 1))
    expect(lab.node(hung).ask(f"get despite/{hung}/2").get("value") is True, "the state came over")
    return took


def case_hung(lab):
    """A stopped daemon holds writes up for a while, then they go on without it, and it returns."""
    print(f"# a write past a hung daemon took {hang(lab, lab.n_nodes, 1):.2f} s, "
          f"past a hung coordinator {hang(lab, 1, lab.n_nodes):.2f} s")


CASES = [case_form, case_write_read, case_macs, case_contention, case_latency, case_networks,
         case_corosync_killed, case_partition, case_restart, case_hung]


def reason_to_skip(probe_path):
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    for program in ("unshare", "nsenter", "ip", "corosync", "corosync-keygen"):
        if not shutil.which(program):
            return f"needs {program}"
    if run("unshare", "-n", "-m", "-u", "-i", "-p", "--fork", "true", check=False).returncode != 0:
        return "cannot create namespaces"
    if not os.access(probe_path, os.X_OK):
        return f"needs the program cluster_probe, not found as {probe_path}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", help="which ones; form always runs")
    parser.add_argument("--probe", help="path of cluster_probe, instead of the one in VIADUCT_BIN",
                        default=f"{os.environ.get('VIADUCT_BIN', '.')}/cluster_probe")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--writes", type=int, default=2000, help="of the latency case")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    options = parser.parse_args()
    reason = reason_to_skip(options.probe)
    if reason:
        print(f"SKIP: {reason}")
        return SKIPPED
    # Being told to end is a way out like any other: nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Lab(options.probe, options.nodes, options.keep) as lab:
        lab.writes = options.writes
        for case in CASES:
            name = case.__name__.removeprefix("case_")
            if options.cases and name != "form" and name not in options.cases:
                continue
            began = time.monotonic()
            try:
                case(lab)
            except Failure as failure:
                print(f"FAIL {name}: {failure}")
                for node in lab.nodes:
                    if node.probe:
                        print(f"# {node.name}: {node.status()}")
                return 1
            print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
