"""A stock guest in a cluster: what an administrator types, with a disk on a shared volume and TCP from outside,
over twenty live migrations in a row, a quick one, a save, a restart.

The guest is driven through `viaduct vm console`, so the console itself has to survive every move."""
import json
import os
import subprocess
import sys
import threading

from tests.conformance import cluster_nic
from tests.conformance.picture import read_png
from tests.conformance.suite import wait
from tests.support.harness import ROOT, bin_directory, check, need_kvm, need_namespaces, skip
from tests.support.linux_guest import (CMDLINE, DIRECTORY, KERNEL, LINE_IS_READ, READ_LINE, SLOW, Agent,
                                       Shell)

VM, ADDRESS, SERVER = "L1", "10.20.0.1", "10.20.0.101"
MOVES = 20
DISK_MIB = 64
# Files with checksums, one after the other for as long as nobody says stop, the oldest giving way.
WRITER = r"""
i=0
while [ ! -e /tmp/stop ]; do
    f=/mnt/d$((i % 8)).bin
    dd if=/dev/urandom of=/tmp/b bs=64k count=8 2>/dev/null
    cp /tmp/b $f && md5sum </tmp/b >/tmp/m && cp /tmp/m $f.md5 && sync
    i=$((i+1))
    echo $i >/tmp/written
    sleep 0.2
done
echo over >/tmp/writer
"""


class ClusterGuest(Shell):
    """The guest behind `viaduct vm console` of one node."""

    def __init__(self, node, bin_path):
        self.process = node.machine.popen(os.path.join(bin_path, "viaduct"), "vm", "console", VM, bufsize=0,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.agent = Agent(lambda text: self.process.stdin.write(text.encode()))
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.agent.feed(data)

    def leave(self):
        """The escape key ends the console."""
        self.process.stdin.write(b"\x1d")
        return self.process.wait(timeout=30 * SLOW)


class Cluster:
    def __init__(self, suite):
        from lablib.lab import Lab
        self.suite = suite
        self.lab = Lab(suite.path("lab"), bin_directory(), [("host1", "phA"), ("host2", "phC"), ("witness", None)],
                       [("Server1", "phA", 2, SERVER)], vm_memory_mib=768)
        self.guest = None
        self.disk = os.path.join(self.lab.volume, "l1.raw")
        self.seconds_away = []

    def up(self):
        self.lab.up()
        self.lab.name_networks()
        self.first = self.lab.first()
        for name, host in (("A", "host1"), ("C", "host2")):
            self.viaduct("switch", "create", name, "--node", host, "--type", "external", "--uplink", "pnic1",
                         "--logical", "lan")
        self.viaduct("volume", "create", "Volume1", "--path", self.lab.volume)
        with open(os.path.join(self.lab.volume, "initrd"), "wb") as out:
            for name in ("initrd", "tools"):
                with open(os.path.join(DIRECTORY, name), "rb") as f:
                    out.write(f.read())
        with open(self.disk, "wb") as f:
            f.truncate(DISK_MIB << 20)
        self.viaduct("vm", "create", VM, "--node", "host1", "--kernel", KERNEL, "--initrd",
                     os.path.join(self.lab.volume, "initrd"), "--memory", "192M", "--vps", "2", "--cmdline", CMDLINE,
                     "--disk", f"{self.disk},serial=L1DISK", "--nic", "switch=lan,vlan=2")
        self.viaduct("vm", "start", VM)
        self.guest = ClusterGuest(self.first, bin_directory())
        self.guest.agent.wait_up(90 * SLOW)

    def viaduct(self, *words, **options):
        return self.first.viaduct(*words, **options)

    def vm(self):
        return next(vm for vm in self.first.ask("vm", "list")["vms"] if vm["name"] == VM)

    def wait_vm(self, condition, seconds, what):
        from lablib.namespaces import wait_for
        wait_for(lambda: condition(self.vm()), seconds, what)

    def move(self, target, verb="live-migrate"):
        # What the default asks for is out of reach of a slow machine with a busy guest: it would go on trying.
        options = ["--blackout", str(round(50 * SLOW))] if verb == "live-migrate" and SLOW > 1 else []
        done = self.viaduct(verb, VM, target, *options, "--json", check=False)
        check(done.returncode == 0, f"{verb} to {target}: exit {done.returncode}: {done.stderr.strip()}")
        check(self.vm()["node"] == target, f"{VM} is not on {target}")
        return json.loads(done.stdout)

    def converse(self):
        """Server1 talks to the guest's echo service; what finish() returns says how it went."""
        from lablib.namespaces import end_inside
        script = os.path.join(ROOT, "deploy", "lablib", "conversation.py")
        process = self.lab.servers["Server1"].popen(sys.executable, script, ADDRESS, "7", stdout=subprocess.PIPE,
                                                    text=True)
        line = process.stdout.readline().strip()
        check(line == "talking", f"Server1 cannot talk to the guest: {line}")

        def finish():
            end_inside(process)
            out, _ = process.communicate(timeout=60 * SLOW)
            return json.loads(out.strip().splitlines()[-1])
        return finish

    def diagnosis(self):
        yield f"-- the VMs\n{self.viaduct('vm', 'list', '--json', check=False, timeout=10).stdout}"
        yield from self.guest.diagnosis() if self.guest else ()

    def down(self):
        if self.guest:
            self.suite.keep("console.txt", self.guest.agent.text.encode())
        for name, node in self.lab.nodes.items():
            log = os.path.join(node.directory, "log", "viaductd.log")
            if os.path.exists(log):
                with open(log, "rb") as f:
                    self.suite.keep(f"{name}.txt", f.read())
        self.lab.down()


def _prepare_guest(suite, c):
    """False: what follows would make no sense."""
    guest, failed = c.guest, suite.counts["FAIL"]
    with suite("heartbeat reaches 'vm list', the guest's own words 'vm show'"):
        guest.out("for m in hv_utils hv_netvsc hv_storvsc sd_mod hv_balloon; do modprobe $m || exit 1; done; "
                  "mkdir -p /var/lib/hyperv /usr/libexec; /usr/sbin/hv_kvp_daemon", 30)
        c.wait_vm(lambda vm: vm["heartbeat"] == "ok", 30, "the heartbeat")
    with suite("the guest reaches a server outside, and is reached"):
        guest.wait("[ -e /sys/class/net/eth0 ]", 20, "the network adapter")
        guest.out(f"ip link set eth0 up; ip addr add {ADDRESS}/24 dev eth0")
        guest.wait(f"ping -c 1 -W 1 {SERVER} >/dev/null", 20, "an answer of the server")
        guest.out("(nc -ll -p 7 -e cat >/dev/null 2>&1 &) </dev/null")
    with suite("the disk on the shared volume is formatted and mounted"):
        guest.wait("[ -b /dev/sda ]", 20, "the disk")
        guest.out("/usr/sbin/mke2fs -q -t ext4 /dev/sda && modprobe ext4; mount -t ext4 /dev/sda /mnt", 60)
        guest.out(f"cat >/tmp/writer.sh <<'E'\n{WRITER}\nE\nsh /tmp/writer.sh >/dev/null 2>&1 </dev/null &")
    return suite.counts["FAIL"] == failed


def _twenty_moves(suite, c):
    """False: the guest is not where it should be."""
    guest, failed = c.guest, suite.counts["FAIL"]
    with suite(f"{MOVES} live migrations in a row, with disk and TCP traffic in flight", times=2) as p:
        finish = c.converse()
        parts = []
        for i in range(MOVES):
            job = c.move("host1" if c.vm()["node"] == "host2" else "host2")
            parts.append({k: v / 1e6 for k, v in job["report"]["blackout"].items()})
            guest.out("true")
        talk = finish()
        check(talk["ok"] and talk["sent"] == talk["received"] > 10000, f"the conversation: {talk}")
        medians = {k: sorted(part[k] for part in parts)[MOVES // 2] for k in parts[0]}
        by_part = ", ".join(f"{k[:-3]} {v:.0f}" for k, v in medians.items() if k != "total_ns")
        p.detail = (f"{talk['received']} bytes of TCP, all there; blackout median {medians['total_ns']:.0f} ms, "
                    f"longest {max(part['total_ns'] for part in parts):.0f} ms; medians of its parts: {by_part}")
    if suite.counts["FAIL"] > failed:
        return False
    with suite("the guest was told of its moves"):
        guest.wait("grep -aq ViaductLastAwayMilliseconds /var/lib/hyperv/.kvp_pool_0", 30, "the news of a move")
        guest.wait("! grep -aq ViaductMigration /var/lib/hyperv/.kvp_pool_0", 30, "the end of the last move")
        vm = c.first.ask("vm", "show", VM)["vm"]["live"]
        check(vm["last_away_ns"] > 0, "the VM does not know how long it was away")
        check(vm["guest"].get("OSName"), f"{vm['guest']}")
    with suite("the file system holds what was written during the moves") as p:
        guest.out("touch /tmp/stop")
        guest.wait("[ -e /tmp/writer ]", 60, "the end of the writer")
        n = int(guest.out("cat /tmp/written"))
        check(n > MOVES, f"only {n} files were written")
        guest.out("umount /mnt && mount -t ext4 /dev/sda /mnt", 60)
        guest.out("cd /mnt; for f in d*.bin; do md5sum <$f >/tmp/m; cmp /tmp/m $f.md5 || exit 1; done", 60)
        guest.out("umount /mnt; /usr/sbin/e2fsck -fn /dev/sda", 60)
        p.detail = f"{n} files"
    return suite.counts["FAIL"] == failed


def _other_ways(suite, c):
    guest = c.guest
    with suite("a quick migration carries guest and disk over"):
        guest.out("mount -t ext4 /dev/sda /mnt; echo before >/mnt/quick")
        c.move("host2" if c.vm()["node"] == "host1" else "host1", "quick-migrate")
        check(guest.out("cat /mnt/quick; sync") == "before", "the file is not there")
    with suite("a saved VM costs nothing, and goes on where it was, on the other node"):
        guest.out("echo waiting >/tmp/state")
        c.viaduct("vm", "save", VM)
        check(c.vm()["state"] == "Saved", f"it is {c.vm()['state']}")
        c.viaduct("vm", "start", VM, "--node", "host1" if c.vm()["node"] == "host2" else "host2")
        check(guest.out("cat /tmp/state; umount /mnt") == "waiting", "the guest does not remember")
        guest.out("/usr/sbin/e2fsck -fn /dev/sda", 60)
    with suite("pause and resume"):
        c.viaduct("vm", "pause", VM)
        check(c.vm()["state"] == "Paused", f"it is {c.vm()['state']}")
        c.viaduct("vm", "resume", VM)
        guest.out("true")


def _at_the_machine(suite, c):
    guest = c.guest
    with suite("a screenshot by the command line") as p:
        guest.out("modprobe hyperv_fb")
        path = c.suite.path("screen.png")
        guest.wait("[ -e /dev/fb0 ]", 20, "the frame buffer")
        guest.out(r"printf '\033[2J\033[1;1HA VM of the cluster\033[8;1HA VM of the cluster' >/dev/tty1")

        def text_shows():
            c.viaduct("vm", "screenshot", VM, path)
            with open(path, "rb") as f:
                data = f.read()
            picture = read_png(data)
            lines = [[picture.cell(column, row) for column in range(19)] for row in (0, 7, 4)]
            return data if lines[0] == lines[1] != lines[2] else None
        data = wait(text_shows, 10, "the guest's text on the picture")
        suite.keep("screen.png", data)
        p.detail = f"{len(data)} bytes"
    with suite("typed text arrives in the guest"):
        guest.out("modprobe hyperv-keyboard; modprobe evdev")
        guest.wait("grep -q 'Handlers=.*kbd' /proc/bus/input/devices", 20, "the keyboard")
        guest.out(READ_LINE)
        guest.wait(LINE_IS_READ, 20, "a listener at the console")
        c.viaduct("vm", "type", VM, "Viaduct types 123")
        guest.wait("[ -s /tmp/typed ]", 20, "the typed line")
        check(guest.out("cat /tmp/typed") == "Viaduct types 123", "another text arrived")
    with suite("a disk added to the running VM is there, and goes again"):
        extra = os.path.join(c.lab.volume, "extra.raw")
        with open(extra, "wb") as f:
            f.truncate(8 << 20)
        c.viaduct("vm", "disk", "add", VM, f"{extra},lun=5,serial=EXTRA")
        guest.wait("[ -b /dev/sdb ]", 20, "the new disk")
        c.viaduct("vm", "disk", "remove", VM, "5")
        guest.wait("[ ! -b /dev/sdb ]", 20, "the end of the disk")


def _memory(suite, c):
    with suite("memory limits of the running VM change, within what it was started with"):
        c.viaduct("vm", "memory", VM, "--min", "96M", "--max", "192M")
        vm = c.first.ask("vm", "show", VM)["vm"]
        check((vm["min_memory_bytes"], vm["max_memory_bytes"]) == (96 << 20, 192 << 20), f"{vm}")
        check(vm["live"]["memory"]["connected"], "the guest's driver is not there")
        refused = c.viaduct("vm", "memory", VM, "--min", "256M", check=False)
        check(refused.returncode == 2, f"a minimum above the start was taken: {refused.returncode}")


def _ends(suite, c):
    guest = c.guest
    with suite("the guest restarts itself, and its console goes on"):
        guest.agent.reset()
        c.viaduct("vm", "restart", VM)
        guest.agent.wait_up(90 * SLOW)
        check(c.vm()["state"] == "Running", f"it is {c.vm()['state']}")
    cluster_nic.restarted(suite, c, VM)
    with suite("an orderly shutdown ends as 'Off'"):
        guest.out("modprobe hv_utils")
        c.wait_vm(lambda vm: vm["heartbeat"] == "ok", 30, "the heartbeat")
        c.viaduct("vm", "shutdown", VM)
        c.wait_vm(lambda vm: vm["state"] == "Off", 40, "the end of the guest")
    with suite("the escape key leaves the console, and the log has what was printed"):
        check(guest.leave() in (0, 7), "the console did not end")
        text = c.viaduct("vm", "serial", VM).stdout
        check("@" in text, "the log is empty")


def _properties(suite, c):
    if not _prepare_guest(suite, c):
        return
    remembered = cluster_nic.prepare(suite, c, VM, ADDRESS, SERVER)
    before = cluster_nic.rules(c, VM)
    if not remembered or not _twenty_moves(suite, c):
        return
    cluster_nic.moved(suite, c, VM, remembered, before)
    _other_ways(suite, c)
    _at_the_machine(suite, c)
    _memory(suite, c)
    _ends(suite, c)


def cluster(suite):
    need_kvm()
    need_namespaces()
    if subprocess.run(["which", "corosync"], capture_output=True, timeout=10).returncode:
        skip("corosync is not installed")
    c = Cluster(suite)
    try:
        with suite.look_at(c):
            c.up()
            _properties(suite, c)
    finally:
        c.down()
