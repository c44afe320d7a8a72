"""hv_vmbus: what is offered finds its driver, and everything may come and go again and again."""
from tests.conformance.peers import add_port, network
from tests.conformance.stor import drive, make_file
from tests.conformance.suite import wait
from tests.support.harness import check

MIB = 1 << 20
MAC, VID, SERVER = "00:15:5d:00:04:01", 2, "10.2.0.1"
# Device class, as the kernel shows it, and the in-box driver for it.
DRIVERS = {
    "f8615163-df3e-46c5-913f-f2d2f965ed0e": ("network adapter", "hv_netvsc"),
    "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f": ("SCSI controller", "hv_storvsc"),
    "57164f39-9115-4e78-ab55-382f3bd5422d": ("heartbeat", "hv_utils"),
    "0e0b6031-5213-4934-818b-38d90ced39db": ("shutdown", "hv_utils"),
    "9527e630-d0ae-497b-adce-e80ab0175caf": ("time synchronisation", "hv_utils"),
    "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6": ("key-value pairs", "hv_utils"),
    "35fa2e29-ea23-4236-96ae-3a6ebacba440": ("snapshots", "hv_utils"),
    "da0a7802-e377-4aac-8e77-0558eb1073f8": ("display", "hyperv_fb"),
    "f912ad6d-2b17-48ea-bd65-f927a61c7684": ("keyboard", "hyperv_keyboard"),
    "cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a": ("mouse", "hid_hyperv"),
    "525074dc-8985-46e2-8057-a307dc18a502": ("dynamic memory", "hv_balloon"),
}
MODULES = "hv_utils hyperv-keyboard hid-hyperv hyperv_fb hv_netvsc hv_storvsc"
# Once loaded it stays: in this kernel it has no way to be unloaded.
LASTING_MODULE = "hv_balloon"
TIMES = 5
# A sub-channel may be taken back while the guest is still describing its rings.
LATE = "GPADL_BODY without a header"
LIST = r"""
for d in /sys/bus/vmbus/devices/*; do
    driver=none
    [ -e $d/driver ] && driver=$(basename $(readlink $d/driver))
    echo "$(cat $d/class_id | tr -d '{}') $driver ${d##*/}"
done"""


def _devices(guest):
    return [line.split() for line in guest.out(LIST).splitlines()]


def _load(guest):
    guest.out(f"modprobe hv_vmbus && for m in {MODULES} sd_mod; do modprobe $m || exit 1; done", 40)
    guest.wait("[ -e /sys/class/net/eth0 ] && [ -b /dev/sd? ] && [ -e /dev/fb0 ]", what="all devices")


def _works(guest):
    """Network, disk and services do what they are for."""
    guest.wait("ip link set eth0 up && ip addr replace 10.2.0.2/24 dev eth0 && "
               f"ping -c 1 -W 2 {SERVER} >/dev/null", what="the network")
    guest.out(f"head -c 4k /dev/{drive(guest, 0)} | grep -q 'the disk'")
    wait(lambda: guest.host.call("vm.info")[0]["heartbeat"] == "ok", 20, "the heartbeat")


def _reload(suite, guest):
    with suite("drivers and bus are unloaded and loaded again, three times"):
        _load(guest)
        for _ in range(3):
            guest.out("for c in /sys/class/vtconsole/*; do grep -q frame $c/name && echo 0 >$c/bind; done; "
                      f"for m in {MODULES.replace('-', '_')} hv_vmbus; do rmmod $m || exit 1; done", 40)
            wait(lambda: not guest.host.call("vm.info")[0]["vmbus_connected"], 10, "the end of the connection")
            _load(guest)
        _works(guest)


def _offers(suite, guest):
    with suite("the guest speaks the newest version of the bus's protocol"):
        info = guest.host.call("vm.info")[0]
        check(info["vmbus_version"] == "5.3", f"it speaks {info['vmbus_version']}")
    with suite("everything offered has its driver") as p:
        guest.out(f"modprobe {LASTING_MODULE}")
        devices = _devices(guest)
        for kind, driver, name in devices:
            check(kind in DRIVERS, f"{name} is of an unknown class {kind}")
            check(driver == DRIVERS[kind][1], f"{DRIVERS[kind][0]}: the driver is {driver}")
        missing = [DRIVERS[kind][0] for kind in set(DRIVERS) - {d[0] for d in devices}]
        check(not missing, f"not offered: {missing}")
        p.detail = f"{len(devices)} devices"
    with suite("they work"):
        _works(guest)


def _rebind(suite, guest):
    for driver in sorted({driver for _, driver in DRIVERS.values()}):
        with suite(f"{driver} lets go of its devices and takes them again, {TIMES} times"):
            names = " ".join(name for _, d, name in _devices(guest) if d == driver)
            check(names, "it has none")
            path = f"/sys/bus/vmbus/drivers/{driver}"
            guest.out("for c in /sys/class/vtconsole/*; do grep -q frame $c/name && echo 0 >$c/bind; done; "
                      f"i=0; while [ $i -lt {TIMES} ]; do for n in {names}; do "
                      f"echo $n >{path}/unbind || exit 1; done; for n in {names}; do echo $n >{path}/bind || exit 2; "
                      "done; i=$((i+1)); done", 60)
    with suite("all of it works again"):
        guest.wait("[ -e /sys/class/net/eth0 ] && [ -b /dev/sd? ]", what="all devices")
        _works(guest)


def bus(suite):
    disk = make_file(suite.path("disk"), 8 * MIB, b"the disk\n")
    with network(suite, {VID: SERVER}) as (switch, _):
        port = add_port(switch, "VM1/nic0", MAC, mode="access", vid=VID)
        with suite.guest(vps=2, memory_mib=192, ports=[port], macs=[MAC], vram_bytes=8 * MIB,
                         disks=[{"path": disk}]) as guest:
            _reload(suite, guest)
            _offers(suite, guest)
            _rebind(suite, guest)
            with suite("nobody complained"):
                info = guest.host.call("vm.info")[0]
                last = info.get("vmbus_last_error")
                check(info["vmbus_errors"] == 0 or last == LATE, f"{info['vmbus_errors']} errors: {last}")
                complaints = guest.out("dmesg | grep -iE 'WARNING:|BUG:|hv_vmbus.*(fail|error|timed out)' || true")
                check(not complaints, complaints)
