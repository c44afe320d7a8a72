"""A guest that moves between processes, with its drivers at work: live migration and saved states."""
import json
import os
import subprocess
import sys
import time

from tests.conformance.cluster import WRITER
from tests.conformance.peers import add_port, network
from tests.conformance.stor import drive, make_file, storage
from tests.conformance.suite import wait
from tests.support.harness import ROOT, check
from tests.support.linux_guest import SLOW

MAC, VID, SERVER, ADDRESS = "00:15:5d:00:02:01", 2, "10.2.0.1", "10.2.0.2"
MOVES = 6  # twenty of them: cluster.py
# From the pause to the moment when the target could go on; to say so is a cluster's affair.
BLACKOUT = ("pause", "save", "sweep", "send", "target_ready")
MIB = 1 << 20
DRIVERS = "hv_vmbus hv_utils hv_balloon hyperv-keyboard hid-hyperv hyperv_fb hv_netvsc hv_storvsc sd_mod"


class Wanderer:
    """The guest, the switch that it hangs on and the port that it has at the moment."""

    def __init__(self, guest, switch, port):
        self.guest, self.switch, self.port = guest, switch, port
        self.moves = 0

    def _next_port(self):
        self.moves += 1
        name = f"VM1/move{self.moves}"
        return name, add_port(self.switch, name, MAC, mode="access", vid=VID, muted=True)

    def _take_port(self, name):
        self.switch.call("port.remove", port=self.port)
        self.switch.call("port.open", port=name)
        self.port = name

    def move(self):
        name, port = self._next_port()
        report = self.guest.move(ports=[port])
        self._take_port(name)
        return report

    def restore(self, path):
        name, port = self._next_port()
        self.guest.restore(path, ports=[port])
        self._take_port(name)


def _converse(peer):
    """The peer talks to the guest's echo service; what is returned ends that and says how it went."""
    from lablib.namespaces import end_inside
    script = os.path.join(ROOT, "deploy", "lablib", "conversation.py")
    process = peer.machine.popen(sys.executable, script, ADDRESS, "7", stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline().strip()
    check(line == "talking", f"the peer cannot talk to the guest: {line}")

    def finish():
        end_inside(process)
        out, _ = process.communicate(timeout=60 * SLOW)
        return json.loads(out.strip().splitlines()[-1])
    return finish


def _settle(suite, guest):
    with suite("drivers, file system and network are at work"):
        guest.out(f"for m in {DRIVERS}; do modprobe $m || exit 1; done", 60)
        guest.wait("[ -e /sys/class/net/eth0 ]", what="the network adapter")
        guest.out(f"ip link set eth0 up; ip addr add {ADDRESS}/24 dev eth0")
        guest.wait(f"ping -c 1 -W 2 {SERVER}", what="an answer of the peer")
        guest.out("(nc -ll -p 7 -e cat >/dev/null 2>&1 &) </dev/null")
        sd = drive(guest, 0)
        guest.out(f"/usr/sbin/mke2fs -q -t ext4 /dev/{sd} && mount -t ext4 /dev/{sd} /mnt", 60)
        guest.out(f"cat >/tmp/writer.sh <<'E'\n{WRITER}\nE\nsh /tmp/writer.sh >/dev/null 2>&1 </dev/null &")


def _wander(suite, w, peer):
    guest = w.guest
    with suite(f"{MOVES} live migrations in a row, with disk and TCP traffic in flight") as p:
        finish = _converse(peer)
        blackouts, rounds = [], []
        for _ in range(MOVES):
            report = w.move()
            blackouts.append(sum(report["blackout"][f"{part}_ns"] for part in BLACKOUT) / 1e6)
            rounds.append(len(report["rounds"]))
            guest.out("true")
        talk = finish()
        check(talk["ok"] and talk["sent"] == talk["received"] > 10000, f"the conversation: {talk}")
        blackouts.sort()
        p.detail = (f"{talk['received']} bytes of TCP all there, {sum(rounds) / MOVES:.1f} rounds, blackout median "
                    f"{blackouts[MOVES // 2]:.0f} ms, longest {blackouts[-1]:.0f} ms")


def _check_files(suite, guest, disk):
    with suite("the file system holds what was written on the way") as p:
        guest.out("touch /tmp/stop")
        guest.wait("[ -e /tmp/writer ]", 30, "the end of the writer")
        written = int(guest.out("cat /tmp/written"))
        guest.out("umount /mnt && echo 3 >/proc/sys/vm/drop_caches", 60)
        sd = drive(guest, 0)
        guest.out(f"/usr/sbin/e2fsck -f -n /dev/{sd} && mount -t ext4 /dev/{sd} /mnt", 60)
        guest.out("cd /mnt; for f in d*.bin; do md5sum <$f >/tmp/m; cmp /tmp/m $f.md5 || exit 1; done", 60)
        guest.out("umount /mnt")
        done = subprocess.run(["e2fsck", "-f", "-n", disk], capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, done.stdout + done.stderr)
        p.detail = f"{written} files"


def _well(suite, guest):
    with suite("the guest's kernel noticed nothing wrong"):
        complaints = guest.out("dmesg | grep -iE 'WARNING:|BUG:|soft lockup|rcu.*stall|I/O error|clocksource.*unstable' || true")
        check(not complaints, complaints)
        source = guest.out("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        check(source == "hyperv_clocksource_tsc_page", f"the clock source became {source}")
        check(storage(guest)["protocol_errors"] == 0, f"{storage(guest)}")
        info = guest.host.call("vm.info")[0]
        check(info["vmbus_errors"] == 0 and info["nics"][0]["protocol_errors"] == 0, f"{info}")


def _saved(suite, w):
    guest = w.guest
    with suite("a saved guest goes on where it was, twice in a row") as p:
        guest.out("echo remembered >/tmp/state; sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/tmp/pid")
        sizes = []
        for i in range(2):
            path = suite.path(f"saved{i}")
            sizes.append(guest.save(path)["file_bytes"] // MIB)
            saved_at = time.time()
            wait(lambda: time.time() > saved_at + 4, 10, "a time that the guest cannot know of")
            w.restore(path)
            check(guest.out("cat /tmp/state; kill -0 $(cat /tmp/pid) && echo there") == "remembered\nthere",
                  "the guest does not remember")
            guest.wait(f"ping -c 1 -W 2 {SERVER}", what="an answer of the peer")
        p.detail = f"{sizes} MiB"
    with suite("its clock is right again by itself"):
        guest.wait(f"t=$(date +%s) && [ $t -ge {int(time.time()) - 2} ]", what="the right time")
        off = int(guest.out("date +%s")) - time.time()
        check(abs(off) < 3, f"it is {off:.1f} s off")


def _while_booting(suite, guest):
    with suite("a guest in the middle of its boot moves three times"):
        def ran_s():
            return guest.host.call("vm.info")[0]["reference_time_100ns"] / 1e7
        for seconds in (1.5, 3, 4.5):
            begin = ran_s()
            wait(lambda: ran_s() > begin + seconds * SLOW / 8, 30, "some seconds of boot")
            guest.move()
        guest.agent.wait_up(60 * SLOW)
        guest.out("modprobe hv_vmbus")


def move(suite):
    with suite.guest(vps=2, memory_mib=128, wait=False) as guest:
        _while_booting(suite, guest)
    disk = make_file(suite.path("disk"), 64 * MIB)
    with network(suite, {VID: SERVER}) as (switch, peers):
        port = add_port(switch, "VM1/nic0", MAC, mode="access", vid=VID)
        with suite.guest(vps=2, memory_mib=160, tools=True, ports=[port], macs=[MAC], vram_bytes=8 * MIB,
                         disks=[{"path": disk}]) as guest:
            w = Wanderer(guest, switch, "VM1/nic0")
            _settle(suite, guest)
            _wander(suite, w, peers[VID])
            _check_files(suite, guest, disk)
            _well(suite, guest)
            _saved(suite, w)
