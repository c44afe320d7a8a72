#!/usr/bin/env python3
"""Administration over the network, from a machine that is no node: enrolled keys, roles, revoked, expired and
unknown ones, clients that send rubbish or nothing."""
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "deploy")]
from lablib.lab import Lab  # noqa: E402
from lablib.namespaces import Machine, cable, end_inside, wait_for  # noqa: E402
from tests.support.harness import bin_directory, check, main, need_namespaces, with_lab  # noqa: E402

DIRECTORY = os.environ.get("VIADUCT_REMOTE_LAB", "/var/lib/viaduct-test-remote")
USAGE, NOT_FOUND, CONFLICT, REFUSED, UNREACHABLE = 2, 3, 7, 8, 10
GARBAGE = """
import os, socket, sys
sockets = []
for i in range(60):
    s = socket.create_connection((sys.argv[1], 5711), timeout=5)
    s.settimeout(5)
    sockets.append(s)
    try:
        if i % 3 == 0:
            s.sendall(os.urandom(4096))
        elif i % 3 == 1:
            # The beginning of ZMTP 3.1 with CURVE, then rubbish.
            s.sendall(b'\\xff' + bytes(8) + b'\\x7f\\x03\\x01CURVE' + bytes(47) + os.urandom(2000))
    except OSError:
        pass
print('connected', len(sockets), flush=True)
sys.stdin.read(1)
"""


class Env:
    def __init__(self):
        need_namespaces()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        self.client = None
        self.lab = Lab(DIRECTORY, bin_directory(), [("host1", None), ("host2", None), ("host3", None)])
        self.lab.up()
        self.lab.name_networks()
        self.host1 = self.lab.nodes["host1"]
        self.client = Machine.start("client")
        cable(self.client, "eth0", self.lab.fabric, "port-client")
        self.lab.bridges.attach("mgmt0", "port-client")
        self.client.run("ip", "addr", "add", "10.10.1.99/24", "dev", "eth0")

    def file(self, name):
        return os.path.join(self.lab.directory, f"{name}.key")

    def enroll(self, name, role, *words):
        self.host1.viaduct("admin", "enroll", name, "--role", role, "--out", self.file(name), *words)

    def remote(self, name, *words, check=True, timeout=60):
        return self.client.run(os.path.join(self.lab.bin, "viaduct"), "--remote", self.file(name), *words,
                               check=check, timeout=timeout)

    def fail(self, code, name, *words):
        done = self.remote(name, *words, check=False)
        check(done.returncode == code and done.stderr.count("\n") == 1,
              f"{words}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
        return done.stderr

    def admin(self, name):
        return next(a for a in self.host1.ask("admin", "list")["admins"] if a["name"] == name)


def setup():
    return with_lab(Env)


def teardown(env):
    if env.client:
        env.client.stop()
    env.lab.down()


def test_a_key_is_enrolled(env):
    env.enroll("anna", "administer", "--expires", "90d")
    check(os.stat(env.file("anna")).st_mode & 0o777 == 0o600, "others can read it")
    anna = env.admin("anna")
    check(anna["role"] == "administer" and anna["state"] == "valid" and anna["enrolled_by"] == "root", f"{anna}")
    check(anna["expires"] - anna["since"] == 90 * 86400, f"{anna}")
    with open(env.file("anna")) as f:
        file = json.load(f)
    check({s["node"] for s in file["servers"]} == set(env.lab.nodes), f"{file['servers']}")
    check(file["servers"][0]["addresses"][0] == "10.10.1.1", "not the network for clients first")
    check(file["secret"] not in env.host1.viaduct("admin", "list", "--json").stdout, "the cluster knows the secret")
    done = env.host1.viaduct("admin", "enroll", "anna", "--role", "read", "--out", env.file("other"), check=False)
    check(done.returncode == CONFLICT and not os.path.exists(env.file("other")), done.stderr)


def test_the_same_commands_give_the_same_output(env):
    check(env.remote("anna", "vm", "list").stdout == env.host1.viaduct("vm", "list").stdout, "vm list")
    nodes = json.loads(env.remote("anna", "cluster", "status", "--json").stdout)["nodes"]
    check({n["name"]: n["state"] for n in nodes} == {n: "Up" for n in env.lab.nodes}, f"{nodes}")
    done = env.client.run("env", f"VIADUCT_REMOTE={env.file('anna')}", os.path.join(env.lab.bin, "viaduct"),
                          "Get-ClusterNode")
    check(done.stdout == env.remote("anna", "node", "list").stdout, "by the environment")
    check(env.fail(NOT_FOUND, "anna", "vm", "start", "none").startswith("viaduct: there is no VM"), "its errors")


def test_changes_are_audited_with_key_and_address(env):
    env.remote("anna", "switch", "create", "P", "--node", "host2", "--type", "private")

    def lines():
        return [e for e in env.host1.ask("event", "list", "--audit")["events"] if e["object"] == "switch/P"]
    wait_for(lines, 20, "a line")
    line, = lines()
    check(line["who"] == "key anna" and line["from"].startswith("10.10.1.99 at host") and line["outcome"] == "done",
          f"{line}")


def test_roles(env):
    env.enroll("rita", "read")
    env.enroll("otto", "operate")
    env.remote("rita", "vm", "list")
    check("'operate'" in env.fail(REFUSED, "rita", "vm", "start", "none"), "the role that is needed")
    env.fail(NOT_FOUND, "otto", "vm", "start", "none")
    check("'administer'" in env.fail(REFUSED, "otto", "switch", "delete", "P", "--node", "host2"), "a forwarded one")
    env.fail(REFUSED, "otto", "admin", "enroll", "eve", "--role", "read", "--out", env.file("eve"))
    check(not os.path.exists(env.file("eve")), "a file without a key")
    env.remote("anna", "admin", "set", "otto", "--role", "administer")
    env.remote("otto", "switch", "delete", "P", "--node", "host2")
    check(env.admin("otto")["role"] == "administer", "not changed")


def test_a_revoked_key_ends_at_once(env):
    follower = env.client.popen(os.path.join(env.lab.bin, "viaduct"), "--remote", env.file("otto"), "event", "list",
                                "--follow", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        check(follower.stdout.readline(), "the follower sees nothing")
        env.host1.viaduct("admin", "revoke", "otto")
        text = env.fail(REFUSED, "otto", "vm", "list")
        check("was revoked at" in text and "by root" in text, text)
        # A connection that was there before has it no better.
        env.host1.viaduct("switch", "create", "Q", "--type", "private")
        check(follower.wait(timeout=60) == REFUSED, "the follower goes on")
        check("was revoked" in follower.stderr.read(), "no reason")
    finally:
        if follower.poll() is None:
            end_inside(follower)
            follower.wait(timeout=20)
    check(env.admin("otto")["state"] == "revoked", f"{env.admin('otto')}")
    done = env.host1.viaduct("admin", "set", "otto", "--role", "read", check=False)
    check(done.returncode == CONFLICT, done.stderr)
    refused = [e for e in env.host1.ask("event", "list", "--object", "admin/otto")["events"]]
    check(refused and refused[0]["id"] == "admin.refused", f"{refused}")


def test_an_expired_key_hears_so(env):
    env.enroll("ella", "read", "--expires", "3s")
    wait_for(lambda: env.admin("ella")["state"] == "expired", 20, "the end of three seconds")
    text = env.fail(REFUSED, "ella", "vm", "list")
    check("expired at" in text and "admin set ella --expires" in text, text)
    env.host1.viaduct("admin", "set", "ella", "--expires", "1h")
    env.remote("ella", "vm", "list")


def test_an_unknown_key_hears_so(env):
    shutil.copy(env.file("otto"), env.file("old"))
    os.unlink(env.file("otto"))
    env.enroll("otto", "read")
    text = env.fail(REFUSED, "old", "vm", "list")
    check("does not know the key of otto" in text, text)
    env.remote("otto", "vm", "list")


def test_files_that_make_no_sense(env):
    with open(env.file("bad"), "w") as f:
        f.write("{}")
    os.chmod(env.file("bad"), 0o600)
    env.fail(USAGE, "bad", "vm", "list")
    os.chmod(env.file("rita"), 0o644)
    check("chmod 600" in env.fail(USAGE, "rita", "vm", "list"), "it can be read by others")
    os.chmod(env.file("rita"), 0o600)
    env.fail(USAGE, "nothing", "vm", "list")
    with open(env.file("anna")) as f:
        far = json.load(f)
    for server in far["servers"]:
        server["addresses"] = ["10.10.1.250"]
    with open(env.file("far"), "w") as f:
        json.dump(far, f)
    os.chmod(env.file("far"), 0o600)
    check("10.10.1.250" in env.fail(UNREACHABLE, "far", "vm", "list"), "what was tried")
    # A server that is not who the file says: somebody else's key.
    for server in far["servers"]:
        server.update(addresses=["10.10.1.1"], key=far["public"])
    with open(env.file("far"), "w") as f:
        json.dump(far, f)
    env.fail(UNREACHABLE, "far", "vm", "list")


def test_another_node_answers_when_one_is_down(env):
    env.host1.viaduct("cluster", "status")
    pid = env.host1.machine.run("pgrep", "-x", "viaductd").stdout.strip()
    env.host1.machine.run("kill", pid)
    wait_for(lambda: env.host1.machine.run("pgrep", "-x", "viaductd", check=False).returncode, 20, "its end")
    check(env.remote("anna", "cluster", "status", "--json").stdout, "nobody answers")
    env.host1.start_viaductd()
    wait_for(lambda: all(n["state"] == "Up" for n in
                         json.loads(env.remote("anna", "cluster", "status", "--json").stdout)["nodes"]), 60, "host1")


def test_rubbish_and_silence_cost_others_nothing(env):
    wait_for(lambda: env.host1.machine.run("ss", "-Hltn", "sport", "=", ":5711").stdout, 20, "the listener")
    garbage = env.client.popen("python3", "-c", GARBAGE, "10.10.1.1", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    try:
        check(garbage.stdout.readline().strip() == "connected 60", "the garbage client does not get through")
        begin = time.monotonic()
        env.host1.viaduct("vm", "list")
        env.remote("anna", "vm", "list")
        print(f"# two requests beside 60 hostile connections: {time.monotonic() - begin:.2f} s")
        pid = env.host1.machine.run("pgrep", "-x", "viaductd").stdout.strip()

        def open_connections():
            out = env.host1.machine.run("ss", "-Htn", "state", "established", "sport", "=", ":5711").stdout
            return len(out.splitlines())
        # Whoever does not finish the handshake is dropped by its time limit.
        wait_for(lambda: open_connections() == 0, 30, "the end of the hostile connections")
        check(env.host1.machine.run("pgrep", "-x", "viaductd").stdout.strip() == pid, "viaductd died")
    finally:
        garbage.stdin.close()
        garbage.wait(timeout=20)


main(setup, teardown)
