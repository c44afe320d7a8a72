"""hv_utils and the Hyper-V daemons: heartbeat, time, key-value pairs, snapshots, orderly ends."""
import time

from tests.conformance.peers import add_port, network
from tests.conformance.stor import drive, make_file
from tests.conformance.suite import wait
from tests.support.chan import ChannelError
from tests.support.harness import check
from tests.support.linux_guest import SLOW

MAC, VID, ADDRESS = "00:15:5d:00:03:01", 2, "10.2.0.2"
MIB = 1 << 20
POOLS = "/var/lib/hyperv/.kvp_pool_"
# Of tools/hv: a record of a pool.
KEY_BYTES, VALUE_BYTES = 512, 2048


def info(guest):
    return guest.host.call("vm.info")[0]


def _connect(suite, guest):
    with suite("all services find their drivers") as p:
        guest.out("modprobe hv_vmbus; modprobe hv_utils; modprobe hv_netvsc; modprobe hv_storvsc; modprobe sd_mod", 30)
        guest.out("mkdir -p /var/lib/hyperv /usr/libexec; hv_kvp_daemon; hv_vss_daemon")
        wait(lambda: all(s["connected"] for s in info(guest)["services"]), 10,
             f"the connection of all of {[s['name'] for s in info(guest)['services']]}")
        p.detail = ", ".join(f"{s['name']} {s['version']}" for s in info(guest)["services"])
    with suite("the heartbeat is there"):
        wait(lambda: info(guest)["heartbeat"] == "ok", 10, "the heartbeat")


def _items(suite, guest):
    with suite("the guest says what it is") as p:
        wait(lambda: info(guest)["guest"].get("OSBuildNumber"), 10, "the guest's items")
        items = info(guest)["guest"]
        check(items["OSBuildNumber"] == guest.out("uname -r"), f"it says {items}")
        p.detail = ", ".join(f"{k}={v}" for k, v in sorted(items.items()) if k.startswith("OS") and v)
    with suite("its addresses are known, and what it publishes") as p:
        guest.wait("[ -e /sys/class/net/eth0 ]", what="the network adapter")
        guest.out(f"ip link set eth0 up; ip addr add {ADDRESS}/24 dev eth0; head -c {VALUE_BYTES} /dev/zero >/tmp/pad; "
                  f"(printf conformance; head -c {KEY_BYTES - 11} /tmp/pad; printf passed; "
                  f"head -c {VALUE_BYTES - 6} /tmp/pad) >>{POOLS}1")
        # Both are fetched every 30 s of running time.
        wait(lambda: info(guest)["guest"].get("conformance") == "passed", 45 / SLOW + 5, "the guest's item")
        wait(lambda: ADDRESS in info(guest)["nics"][0].get("addresses", ""), 5, "the address")
        p.detail = info(guest)["nics"][0]["addresses"]
    with suite("items of the host reach the guest, change and go"):
        guest.host.call("vm.item", key="ViaductTest", value="first")
        guest.wait(f"grep -aq first {POOLS}0", what="the item")
        guest.host.call("vm.item", key="ViaductTest", value="gr\u00fc\u00dfe")
        guest.wait(f"grep -aq $(printf 'gr\\303\\274\\303\\237e') {POOLS}0", what="the new value")
        check(guest.run(f"grep -aq first {POOLS}0")[0], "the old value is still there")
        guest.host.call("vm.item", key="ViaductTest")
        guest.wait(f"! grep -aq ViaductTest {POOLS}0", what="the end of the item")


def _time(suite, guest):
    with suite("a wrong clock is set after a pause"):
        guest.out("date -s @1000000000")
        guest.host.call("vm.pause")
        paused_at = time.time()
        wait(lambda: time.time() > paused_at + 3, 10, "a time that the guest cannot know of")
        guest.host.call("vm.start")
        guest.wait("[ $(date +%s) -gt 1100000000 ]", what="another time")
        off = int(guest.out("date +%s")) - time.time()
        check(abs(off) < 3, f"the clock is {off:.0f} s off")
    with suite("a pause is no lost heartbeat"):
        def answers():
            check(info(guest)["heartbeat"] == "ok", f"it is '{info(guest)['heartbeat']}'")
            return next(s["answers"] for s in info(guest)["services"] if s["name"] == "heartbeat")
        before = answers()
        wait(lambda: answers() >= before + 2, 10, "the next heartbeats")


def _snapshot(suite, guest):
    sd = drive(guest, 0)
    guest.out(f"/usr/sbin/mke2fs -q -t ext4 /dev/{sd} && mount -t ext4 /dev/{sd} /mnt", 60)
    with suite("file systems freeze and thaw"):
        guest.host.call("vm.freeze", timeout=30 * SLOW, limit_ns=int(60e9 * SLOW))
        guest.out("sh -c 'echo x >/mnt/file; sync; touch /tmp/done' </dev/null >/dev/null 2>&1 & echo $! >/tmp/writer")
        guest.wait("grep -q '^State:.D' /proc/$(cat /tmp/writer)/status", what="a writer that is held up")
        check(guest.run("[ -e /tmp/done ]")[0], "a file was written to a frozen file system")
        guest.host.call("vm.thaw", timeout=30 * SLOW)
        guest.wait("[ -e /tmp/done ]", what="the write after the thaw")
    with suite("a freeze that nobody ends, ends by itself"):
        guest.out("rm /tmp/done")
        guest.host.call("vm.freeze", timeout=30 * SLOW, limit_ns=int(1e9 * SLOW))
        guest.out("(echo x >/mnt/file; sync; touch /tmp/done) </dev/null >/dev/null 2>&1 &")
        guest.wait("[ -e /tmp/done ]", 20, what="the write after the limit")
        try:
            guest.host.call("vm.thaw", timeout=30 * SLOW)
            check(False, "a second thaw was taken")
        except ChannelError:
            pass
    with suite("what was frozen can be unmounted"):
        guest.out("umount /mnt")


def _again(suite, guest):
    with suite("drivers and daemons that start again find everything"):
        guest.out("killall hv_kvp_daemon hv_vss_daemon")
        guest.wait("! pidof hv_kvp_daemon hv_vss_daemon", what="the daemons' end")
        guest.out("rmmod hv_utils && modprobe hv_utils && "
                  "hv_kvp_daemon && hv_vss_daemon", 30)
        wait(lambda: all(s["connected"] for s in info(guest)["services"]), 10, "the services' connection")
        wait(lambda: info(guest)["heartbeat"] == "ok", 10, "the heartbeat")
        guest.host.call("vm.item", key="ViaductTest", value="again")
        guest.wait(f"grep -aq again {POOLS}0", what="the item")
        check(not any(s["protocol_errors"] for s in info(guest)["services"]), f"{info(guest)['services']}")


def services(suite):
    disk = make_file(suite.path("disk"), 32 * MIB)
    with network(suite, {VID: "10.2.0.1"}) as (switch, _):
        port = add_port(switch, "VM1/nic0", MAC, mode="access", vid=VID)
        with suite.guest(vps=2, memory_mib=192, tools=True, ports=[port], macs=[MAC], disks=[{"path": disk}]) as guest:
            _connect(suite, guest)
            _items(suite, guest)
            _time(suite, guest)
            _snapshot(suite, guest)
            _again(suite, guest)
            with suite("an orderly shutdown ends the run"):
                guest.host.call("vm.shutdown", timeout=30 * SLOW)
                check(guest.ended(30)[0] == "poweroff", f"{guest.ended(1)}")
    with suite.guest() as guest:
        guest.out("modprobe hv_vmbus; modprobe hv_utils")
        wait(lambda: info(guest)["heartbeat"] == "ok", 10, "the heartbeat")
        with suite("an orderly restart is a reset"):
            guest.host.call("vm.shutdown", power="reboot", timeout=30 * SLOW)
            check(guest.ended(30)[0] == "reset", f"{guest.ended(1)}")
