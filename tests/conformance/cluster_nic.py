"""The adapter of a VM in a cluster: its policy changes while the VM runs, and what the switch remembers moves along;
its offloads are recorded meanwhile, and the guest keeps those that it agreed on until it restarts."""
import re
import subprocess
import sys

from tests.conformance.suite import wait
from tests.support.harness import check

ECHO_PORT, CLOSED_PORT = 9, 8
# A server that sends back what it is sent, for as long as its standard input is open.
ECHO = f"""
import socket, sys, threading
s = socket.create_server(('', {ECHO_PORT}))
def serve():
    while True:
        c, _ = s.accept()
        while data := c.recv(4096):
            c.sendall(data)
threading.Thread(target=serve, daemon=True).start()
print('ready', flush=True)
sys.stdin.read()
"""


def rules(c, vm):
    return c.first.ask("vm", "nic", "acl", "list", vm, "0")


def _connects(c, address, port):
    script = f"import socket; socket.create_connection(('{address}', {port}), 3)"
    return c.lab.servers["Server1"].run(sys.executable, "-c", script, check=False).returncode == 0


def _lso(c, vm):
    """Large sends: what the guest has, what is said to be in force, what will be."""
    c.guest.wait("[ -e /sys/class/net/eth0 ]", 20, "the network adapter")
    features = c.guest.out("ethtool -k eth0")
    adapter = c.first.ask("offload", "show", "--vm", vm)["adapters"][0]
    return (re.search(r"^tcp-segmentation-offload: (\w+)", features, re.M).group(1), adapter["lso"],
            adapter.get("next", {}).get("lso"))


class Remembered:
    """A conversation that the guest began, whose answers no rule lets in: only the switch's memory of it does."""

    def __init__(self, c, vm, server):
        self.c, self.guest, self.vm = c, c.guest, vm
        self.echo = c.lab.servers["Server1"].popen(sys.executable, "-c", ECHO, stdin=subprocess.PIPE,
                                                   stdout=subprocess.PIPE, text=True)
        check(self.echo.stdout.readline() == "ready\n", "no echo server")
        self.guest.out(f"(while :; do date +%s; sleep 1; done | nc {server} {ECHO_PORT} >/tmp/echoed) "
                       ">/dev/null 2>&1 </dev/null &")
        self.guest.wait("[ -s /tmp/echoed ]", 20, "the first echo")

    def lines(self):
        return int(self.guest.out("wc -l </tmp/echoed"))

    def end(self):
        self.guest.out("pkill nc; true")
        self.echo.stdin.close()
        self.echo.wait(20)
        self.echo.stdout.close()


def prepare(suite, c, vm, address, server):
    """The conversation, or None."""
    guest, remembered = c.guest, None
    with suite("an access list takes effect while the VM runs"):
        guest.out(f"(nc -ll -p {CLOSED_PORT} -e cat >/dev/null 2>&1 &) </dev/null")
        wait(lambda: _connects(c, address, CLOSED_PORT), 20, "a connection before there are rules")
        for rule in (["--action", "allow", "--direction", "in", "--protocol", "tcp", "--local-ports", "7",
                      "--weight", "20"],
                     ["--action", "allow", "--direction", "out", "--protocol", "tcp", "--weight", "10",
                      "--stateful", "on"],
                     ["--action", "deny", "--direction", "in", "--protocol", "tcp"]):
            c.viaduct("vm", "nic", "acl", "add", vm, "0", *rule)
        check(not _connects(c, address, CLOSED_PORT), "what no rule allows was let in")
        check(_connects(c, address, 7), "what a rule allows was not let in")
        trace = c.viaduct("switch", "trace", f"{vm}/nic0", "--from", address, "--to", server, "--protocol", "tcp",
                          "--dport", "80").stdout
        check("rule 1 allows it" in trace, trace)
    with suite("answers to what the guest began come in"):
        remembered = Remembered(c, vm, server)
        listing = rules(c, vm)
        check(listing["conversations"] >= 1 and listing["rules"][2]["frames"] > 0, f"{listing}")
    with suite("an offload that is switched off waits for the guest's restart"):
        check(_lso(c, vm) == ("on", "Enabled", None), f"before: {_lso(c, vm)}")
        note = c.viaduct("offload", "set", "--nic", f"{vm}/nic0", "--lso", "off").stdout
        check("or its guest restarts" in note, f"it was said: {note}")
        check(_lso(c, vm) == ("on", "Enabled", "Disabled"), f"after: {_lso(c, vm)}")
    return remembered


def moved(suite, c, vm, remembered, before):
    """After the moves. `before`: the list's counters before them."""
    with suite("the guest's conversation goes on by the switch's memory, and counters have moved along") as p:
        lines = remembered.lines()
        wait(lambda: remembered.lines() > lines, 20, "another echo")
        after = rules(c, vm)
        for old, new in zip(before["rules"], after["rules"]):
            check(new["frames"] >= old["frames"], f"rule {old['rule']} counted {old['frames']}, now {new['frames']}")
        check(after["conversations"] >= 1, f"{after}")
        p.detail = f"{lines} echoes, {after['conversations']} conversations"
        remembered.end()
    with suite("the guest's offloads are those that it agreed on, not those that were recorded since"):
        check(_lso(c, vm) == ("on", "Enabled", "Disabled"), f"{_lso(c, vm)}")


def restarted(suite, c, vm):
    with suite("after its restart the guest has the offloads that were recorded"):
        c.guest.out("modprobe hv_netvsc")
        check(_lso(c, vm) == ("off", "Disabled", None), f"{_lso(c, vm)}")
