#!/usr/bin/env python3
"""A third node joins a cluster of two that runs, by an invitation; it gets the store. It is evicted; when it comes
back it is refused and says why; with another invitation it is a node again. What would harm the cluster is refused."""
import json
import os
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab, Node  # noqa: E402
from lablib.namespaces import wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, skip, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_JOIN_LAB", "/var/lib/viaduct-test-join")
USAGE, NOT_FOUND, NO_QUORUM, CONFLICT, REFUSED, UNREACHABLE = 2, 3, 5, 7, 8, 10
ADDRESSES = "10.10.2.3,10.10.1.3,10.10.3.3"


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None), ("host2", None)])
        # Expected votes follow from the nodes, as in a file that we made.
        self.lab.corosync_conf = self.lab.corosync_conf.replace("    expected_votes: 2\n", "")
        # What systemd does elsewhere.
        program = os.path.join(DIRECTORY, "restart-corosync")
        self.lab.viaductd_options = ["--corosync-restart", program]
        self.lab.up()
        with open(program, "w") as f:
            f.write("#!/bin/sh\npkill -9 -x corosync && timeout 10 pidwait -x corosync\nexec corosync\n")
        os.chmod(program, 0o755)
        self.host1, self.host2 = self.lab.nodes["host1"], self.lab.nodes["host2"]
        self.host1.viaduct("switch", "create", "P", "--node", "host2", "--type", "private")
        # A machine with nothing but viaductd.
        self.host3 = Node(self.lab, 3, "host3", None)
        self.host3.start()
        self.lab.nodes["host3"] = self.host3
        for name in ("corosync.conf", "authkey"):
            os.unlink(self.etc(self.host3, name))
        self.host3.start_viaductd()
        wait_for(lambda: self.host3.viaduct("cluster", "status", check=False).returncode == 0, 10, "viaductd on host3")

    @staticmethod
    def etc(node, name):
        return os.path.join(node.directory, "etc", name)

    def read(self, node, name):
        with open(self.etc(node, name), "rb") as f:
            return f.read()

    def fail(self, code, *words, node=None):
        done = (node or self.host1).viaduct(*words, check=False)
        check(done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
        return done.stderr

    def token(self):
        return self.host1.ask("node", "invite", "host3", "--address", ADDRESSES)["token"]

    def states(self, node=None):
        return {n["name"]: n["state"] for n in (node or self.host1).ask("cluster", "status")["nodes"]}

    @staticmethod
    def status(node):
        done = node.viaduct("cluster", "status", "--json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def boot(self, node, conf):
        """A node that was killed starts, with this corosync.conf."""
        now, self.lab.corosync_conf = self.lab.corosync_conf, conf
        node.start()
        self.lab.corosync_conf = now
        node.start_services()

    def pause(self, name):
        """As 'viaduct node pause' records it."""
        done = self.host1.viaduct("node", "pause", name, check=False)
        if "there is no command" in done.stderr:
            skip("this viaduct has no 'node pause'")
        check(done.returncode == 0, f"{done.stderr}")

    def wait_for_states(self, wanted, node=None, seconds=40):
        wait_for(lambda: self.states(node) == wanted, seconds, f"{wanted}")

    def same_store(self):
        digests = {n.ask("cluster", "status")["digest"] for n in (self.host1, self.host2, self.host3)}
        return len(digests) == 1


def setup():
    return with_lab(Env)


def teardown(env):
    env.lab.down()


def test_nonsense_is_refused(env):
    env.fail(USAGE, "node", "invite", "host3", "--address", "10.10.2.3")
    env.fail(USAGE, "node", "invite", "host3", "--address", "10.10.2.3,10.10.1.3,x")
    env.fail(USAGE, "node", "invite", "-x", "--address", ADDRESSES)
    env.fail(CONFLICT, "node", "invite", "host2", "--address", ADDRESSES)
    env.fail(CONFLICT, "node", "invite", "host3", "--address", "10.10.2.2,10.10.1.3,10.10.3.3")
    env.fail(CONFLICT, "node", "invite", "host3", "--id", "1", "--address", ADDRESSES)
    env.fail(USAGE, "node", "join", "--token", "nonsense", node=env.host3)
    env.fail(USAGE, "node", "join", node=env.host3)
    env.fail(USAGE, "node", "join", "/dev/null", node=env.host3)
    env.fail(USAGE, "node", "join", "/dev/null", "--token", "nonsense", node=env.host3)
    env.fail(NOT_FOUND, "node", "join", "/there/is/none", node=env.host3)
    env.fail(NO_QUORUM, "node", "invite", "host3", "--address", ADDRESSES, node=env.host3)
    check("is node host2 of a cluster already" in
          env.fail(CONFLICT, "node", "join", "--token", env.token(), node=env.host2), "no reason")


def test_a_used_or_wrong_token_opens_nothing(env):
    old = env.token()
    env.token()  # replaces the first one
    check("make another" in env.fail(UNREACHABLE, "node", "join", "--token", old, node=env.host3), "no way out")
    check(not os.path.exists(env.etc(env.host3, "authkey")), "a key came")


def test_join(env):
    done = env.host3.viaduct("node", "join", "--token", env.token())
    check("host3" in done.stdout and "corosync is being started" in done.stdout, done.stdout)
    check(env.read(env.host3, "authkey") == env.read(env.host1, "authkey"), "another key")
    check(os.stat(env.etc(env.host3, "authkey")).st_mode & 0o777 == 0o400, "the key can be read by others")
    texts = {env.read(n, "corosync.conf") for n in (env.host1, env.host2, env.host3)}
    check(len(texts) == 1 and b"config_version: 1" in next(iter(texts)), f"{texts}")
    env.wait_for_states({"host1": "Up", "host2": "Up", "host3": "Up"})
    status = env.host1.ask("cluster", "status")
    check(status["quorate"] and status["expected_votes"] == 3 and status["total_votes"] == 3, f"{status}")
    wait_for(env.same_store, 20, "equal stores")
    check([s["name"] for s in env.host3.ask("switch", "list")["switches"]] == ["P"], "the store did not come")


def test_it_is_a_node_like_the_others(env):
    env.host3.viaduct("switch", "create", "Q", "--type", "private")
    env.host3.viaduct("vm", "create", "V", "--kernel", os.path.realpath(sys.executable))
    wait_for(lambda: {s["name"] for s in env.host1.ask("switch", "list")["switches"]} == {"P", "Q"}, 10, "its switch")
    # Requests between nodes go through, in both directions.
    env.host1.viaduct("switch", "adapter", "list", "--node", "host3")
    env.host3.viaduct("switch", "adapter", "list", "--node", "host2")


def test_evict_is_refused_while_it_would_hurt(env):
    check("V" in env.fail(REFUSED, "node", "evict", "host3"), "the VM is not named")
    env.host1.viaduct("vm", "delete", "V")
    check("pause" in env.fail(REFUSED, "node", "evict", "host3"), "no word about pausing")
    check("this node" in env.fail(REFUSED, "node", "evict", "host1"), "no reason")
    env.fail(NOT_FOUND, "node", "evict", "nobody")


def test_evict(env):
    env.host3.kill()
    env.wait_for_states({"host1": "Up", "host2": "Up", "host3": "Down"})
    done = env.host1.viaduct("node", "evict", "host3")
    check("no node any more" in done.stdout, done.stdout)
    env.wait_for_states({"host1": "Up", "host2": "Up"})
    status = env.host2.ask("cluster", "status")
    check(status["quorate"] and status["expected_votes"] == 2, f"{status}")
    for node in (env.host1, env.host2):
        check(b"host3" not in env.read(node, "corosync.conf"), "it is still in corosync.conf")
        check([s["name"] for s in node.ask("switch", "list")["switches"]] == ["P"], "its switch is still there")


def test_it_comes_back_and_is_refused(env):
    env.two_nodes = env.read(env.host2, "corosync.conf").decode()
    env.boot(env.host3, env.read(env.host3, "corosync.conf").decode())
    wait_for(lambda: "evicted" in env.status(env.host3), 30, "the news of its eviction")
    refusal = env.fail(NO_QUORUM, "switch", "create", "Z", "--type", "private", node=env.host3)
    check("was evicted" in refusal, refusal)
    check("evicted" in env.host3.viaduct("cluster", "status").stdout, "the status does not say so")
    wait_for(lambda: not env.host3.count_processes("^corosync"), 20, "the end of its corosync")
    check(os.path.exists(env.etc(env.host3, "corosync.conf.evicted")) and
          not os.path.exists(env.etc(env.host3, "corosync.conf")), "it would start with the old file again")
    check(env.states() == {"host1": "Up", "host2": "Up"} and env.status(env.host1)["quorate"], "the others")


def test_it_joins_again(env):
    invitation = os.path.join(env.lab.directory, "invitation")
    said = env.host1.viaduct("node", "invite", "host3", "--address", ADDRESSES, "--out", invitation).stdout
    check("viaduct-join-" not in said and f"{invitation} has the invitation of host3" in said, said)
    check(os.stat(invitation).st_mode & 0o777 == 0o600, "others may read it")
    env.host3.viaduct("node", "join", invitation)
    env.wait_for_states({"host1": "Up", "host2": "Up", "host3": "Up"})
    wait_for(env.same_store, 20, "equal stores")
    ids = {n["name"]: n["id"] for n in env.status(env.host1)["nodes"]}
    check(ids["host3"] == 4, f"an id that was used is used again: {ids}")
    check("evicted" not in env.status(env.host3), "it still thinks it was evicted")
    env.host3.viaduct("switch", "create", "Q", "--type", "private")
    env.host1.viaduct("switch", "adapter", "list", "--node", "host3")


def test_quorum_is_protected(env):
    """With one of three nodes down, neither a fourth may come nor another one go."""
    env.host2.kill()
    env.wait_for_states({"host1": "Up", "host2": "Down", "host3": "Up"})
    check("quorum" in env.fail(REFUSED, "node", "invite", "host4", "--address", "10.10.2.9,10.10.1.9,10.10.3.9"),
          "a fourth node")
    env.pause("host3")
    check("quorum" in env.fail(REFUSED, "node", "evict", "host3"), "one of two")


def test_a_node_that_was_away_catches_up(env):
    """host2 comes back with the corosync.conf of before: it gets the new one over CURVE, its corosync is started anew,
    and with that it is a member."""
    if env.host2.machine.is_alive():
        env.host2.kill()
    env.boot(env.host2, env.two_nodes)
    wait_for(lambda: env.read(env.host2, "corosync.conf") == env.read(env.host1, "corosync.conf"), 30, "its file")
    env.wait_for_states({"host1": "Up", "host2": "Up", "host3": "Up"})
    wait_for(env.same_store, 20, "equal stores")


def test_a_node_that_is_up_and_paused_is_evicted(env):
    """It leaves by itself, and hears why."""
    env.pause("host3")
    env.host1.viaduct("node", "evict", "host3")
    env.wait_for_states({"host1": "Up", "host2": "Up"})
    wait_for(lambda: "evicted" in env.status(env.host3), 20, "the news of its eviction")
    wait_for(lambda: not env.host3.count_processes("^corosync"), 20, "the end of its corosync")
    check(env.status(env.host1)["quorate"], "quorum was lost")


if __name__ == "__main__":
    main(setup, teardown)
