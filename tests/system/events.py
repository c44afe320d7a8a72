#!/usr/bin/env python3
"""Events and audit on three nodes: merged by time, filtered, followed while a node goes and comes back, kept over
a kill and a damaged file; who has changed what."""
import json
import os
import shutil
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import end_inside, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_EVENTS_LAB", "/var/lib/viaduct-test-events")
USAGE, NOT_FOUND, CONFLICT = 2, 3, 7
LONG = 60


class Follower:
    """`viaduct event list --follow` on a node; its lines as they come."""

    def __init__(self, node, *words):
        self.process = node.machine.popen(os.path.join(node.lab.bin, "viaduct"), "event", "list", "--follow", *words,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.out, self.err = [], []
        self.threads = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def wait(self, *parts, lines=None):
        lines = self.out if lines is None else lines
        wait_for(lambda: any(all(p in line for p in parts) for line in lines), LONG,
                 f"a line with {parts} among {lines[-8:]}")

    def end(self):
        end_inside(self.process)
        self.process.wait(timeout=20)
        for thread in self.threads:
            thread.join(timeout=20)


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None), ("host2", None), ("host3", None)])
        self.lab.up()
        self.host1, self.host2, self.host3 = (self.lab.nodes[n] for n in ("host1", "host2", "host3"))

    def events(self, *words, node=None):
        return (node or self.host1).ask("event", "list", *words)["events"]

    def wait_event(self, event_id, *words):
        wait_for(lambda: any(e["id"] == event_id for e in self.events(*words)), LONG, f"{event_id} {words}")

    def fail(self, code, *words):
        done = self.host1.viaduct(*words, check=False)
        check(done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
        return done.stderr

    def stop(self, node, signal="-TERM"):
        pid = node.machine.run("pgrep", "-x", "viaductd").stdout.strip()
        node.machine.run("kill", signal, pid)
        wait_for(lambda: node.machine.run("pgrep", "-x", "viaductd", check=False).returncode, 20, "the service's end")

    def start(self, node):
        node.start_viaductd()
        wait_for(lambda: any(n["name"] == node.name and n["state"] == "Up"
                             for n in self.host1.ask("cluster", "status")["nodes"]), LONG, f"{node.name} up")


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_events_of_all_nodes_are_merged(env):
    for node in env.lab.nodes.values():
        wait_for(lambda n=node: {e["node"] for e in env.events("--object", "node", node=n)
                                 if e["id"] == "service.started"} == set(env.lab.nodes), LONG, "three starts")
    events = env.events()
    check(events == sorted(events, key=lambda e: e["time_ms"]), f"not by time: {events}")
    joined = [e["object"] for e in events if e["id"] == "node.joined"]
    check(len(joined) >= 3 and {"node/host1", "node/host2", "node/host3"} <= set(joined), f"{joined}")
    text = env.host1.viaduct("event", "list")
    check(text.stdout.split()[:6] == ["Time", "Level", "Node", "Object", "Event", "What"] and not text.stderr,
          text.stdout + text.stderr)
    check(env.host1.viaduct("Get-ClusterLog").stdout == text.stdout, "the alias")


def test_filters(env):
    check({e["node"] for e in env.events("--node", "host2")} == {"host2"}, "of one node")
    check({e["object"] for e in env.events("--object", "node/host3")} == {"node/host3"}, "of one object")
    check(len(env.events("--limit", "2")) == 2, "the limit")
    check(env.events("--limit", "2") == env.events()[-2:], "the last ones")
    check(len(env.events("--since", "1d")) >= 3 and not env.events("--object", "no"), "since, nothing")
    for words in (("--level", "bad"), ("--since", "tomorrow"), ("--limit", "0"), ("--limit", "x")):
        env.fail(USAGE, "event", "list", *words)
    env.fail(NOT_FOUND, "event", "list", "--node", "nowhere")


def test_audit_says_who_and_what_came_of_it(env):
    env.host1.viaduct("switch", "create", "P", "--type", "private")
    env.host1.viaduct("switch", "create", "Q", "--node", "host2", "--type", "private")
    env.fail(CONFLICT, "switch", "create", "P", "--type", "private")

    def audits():
        return [e for e in env.events("--audit", node=env.host3) if e["request"].startswith("switch.create")]
    wait_for(lambda: len(audits()) == 3, 20, "three lines")
    first, second, third = audits()
    check(first["who"] == "root" and first["from"] == "host1" and first["object"] == "switch/P" and
          first["outcome"] == "done" and first["level"] == "info", f"{first}")
    # Where it was typed, and once.
    check(second["node"] == "host1" and "node=host2" in second["request"] and second["object"] == "switch/Q",
          f"{second}")
    check(third["outcome"].startswith("conflict: ") and third["level"] == "warning", f"{third}")
    check(not [e for e in env.events() if e["id"] == "audit"], "they are no everyday events")
    check(any(e["id"] == "audit" for e in env.events("--all")), "--all has both")
    table = env.host2.viaduct("event", "list", "--audit").stdout
    check(table.split()[:6] == ["Time", "Who", "From", "Object", "Request", "Outcome"], table)


def test_roles_of_local_users(env):
    """Users and groups of the test's own, in host1's view of the files alone."""
    run = env.host1.machine.run
    program = os.path.join(env.lab.directory, "viaduct")
    shutil.copy(os.path.join(env.lab.bin, "viaduct"), program)
    os.chmod(program, 0o755)
    os.chmod(env.lab.directory, 0o755)
    users = [("reader", 4001), ("operator", 4002), ("boss", 4003), ("nobodyelse", 4004)]
    groups = [("viaduct-read", 4101, "reader"), ("viaduct-operate", 4102, "operator"), ("viaduct-admin", 4103, "boss")]
    for file, lines in (("passwd", [f"{n}:x:{i}:{i}::/:/bin/sh" for n, i in users]),
                        ("group", [f"{n}:x:{i}:{m}" for n, i, m in groups])):
        path = os.path.join(env.lab.directory, file)
        with open(f"/etc/{file}") as old, open(path, "w") as new:
            new.write(old.read().rstrip("\n") + "\n" + "\n".join(lines) + "\n")
        os.chmod(path, 0o644)
        run("mount", "--bind", path, f"/etc/{file}")

    def code(user, *words):
        number = str(dict(users)[user])
        return run("setpriv", "--reuid", number, "--regid", number, "--init-groups", program, *words, check=False)
    check(code("nobodyelse", "vm", "list").returncode == 4, "no role")
    for user, reads, operates, administers in (("reader", 0, 8, 8), ("operator", 0, 3, 8), ("boss", 0, 3, 3)):
        done = [code(user, *words) for words in (("vm", "list"), ("vm", "start", "none"), ("vm", "delete", "none"))]
        check([d.returncode for d in done] == [reads, operates, administers],
              f"{user}: {[(d.returncode, d.stderr) for d in done]}")
    refusal = code("reader", "vm", "start", "none").stderr
    check("'operate'" in refusal and "viaduct-operate" in refusal and refusal.count("\n") == 1, refusal)
    wait_for(lambda: any(e["who"] == "boss" for e in env.events("--audit")), 20, "boss in the audit")


def test_follow_goes_on_while_a_node_restarts(env):
    follower = Follower(env.host1, "--limit", "1")
    everything = Follower(env.host2, "--all", "--json")
    try:
        wait_for(lambda: follower.out, LONG, "the last event")
        env.host3.kill()
        follower.wait("node/host3", "node.left")
        follower.wait("host3", "going on without it", lines=follower.err)
        missing = env.host1.viaduct("event", "list")
        check("without the events of host3: it is down" in missing.stderr and missing.stdout, missing.stderr)
        env.host1.viaduct("switch", "create", "R", "--type", "private")
        wait_for(lambda: any(json.loads(line)["object"] == "switch/R" for line in everything.out), LONG, "R, followed")
        env.host3.restart()
        follower.wait("host3", "answers again", lines=follower.err)
        follower.wait("host3", "service.started")
        pid = env.host3.machine.run("pgrep", "-f", "viaduct-vswitchd").stdout.split()[0]
        env.host3.machine.run("kill", "-KILL", pid)
        follower.wait("host3", "switch.process-ended")
        follower.wait("host3", "switch.process-restarted")
        # The service that is asked goes and comes, too.
        env.stop(env.host1)
        follower.wait("trying again", lines=follower.err)
        env.host1.start_viaductd()
        follower.wait("going on", lines=follower.err)
        follower.wait("host1", "service.ended")
        seen = [line for line in follower.out if "switch.process-ended" in line and " host3 " in line]
        check(len(seen) == 1, f"told twice: {seen}")
    finally:
        follower.end()
        everything.end()


def test_what_was_told_survives_a_kill(env):
    wait_for(lambda: len(env.host1.ask("cluster", "status")["nodes"]) == 3 and
             not env.host1.viaduct("event", "list", check=False).stderr, LONG, "three nodes")
    before = env.events("--node", "host2", "--all", "--limit", "300")
    env.stop(env.host2, "-KILL")
    env.start(env.host2)
    after = env.events("--node", "host2", "--all", "--limit", "300")
    check(after[:len(before)] == before and len(after) > len(before), f"{len(before)} events, {len(after)} after")


def test_a_damaged_file_stops_nothing(env):
    path = os.path.join(env.host2.directory, "state", "events.db")
    env.stop(env.host2)
    for name in os.listdir(os.path.dirname(path)):
        if name.startswith("events.db-"):
            os.unlink(os.path.join(os.path.dirname(path), name))
    with open(path, "wb") as f:
        f.write(b"no database at all " * 1000)
    env.start(env.host2)
    env.wait_event("events.trouble", "--node", "host2")
    check(os.path.exists(path + ".damaged"), "not moved aside")
    check(any(e["id"] == "service.started" for e in env.events("--node", "host2")), "it goes on")


def test_top_prints_one_frame(env):
    text = env.host1.viaduct("top", "--once").stdout
    check(text.startswith("viaduct top") and "host2" in text and "Cluster" in text, text)
    check("quorum yes" in text.splitlines()[0], text)
    frame = env.host1.ask("top", "--once")
    check({n["name"] for n in frame["status"]["nodes"]} == set(env.lab.nodes), f"{frame}")
    env.fail(USAGE, "top", "--once", "--sort", "colour")


main(setup, teardown)
