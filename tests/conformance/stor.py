"""hv_storvsc: disks, optical discs and what comes and goes while the guest runs."""
import contextlib
import hashlib
import os
import re
import subprocess

from tests.conformance.suite import wait
from tests.support.chan import ChannelError
from tests.support.harness import check

MIB = 1 << 20
N_DISKS = 16  # optical drive included
DATA, PLAIN, READ_ONLY, DVD, HOT = 0, 1, 2, 3, 40
DATA_MIB = 96
SMALL_MIB = 4
# The file-system tools of this machine check what the guest's wrote, and the other way round.
# What the kernel may say: of its drivers, of the disc that was gone, and of the disk that was taken away in use.
EXPECTED = r"registering driver|storvsc_host_t|sr0|cmd 0x52 status|srb 0x20|I/O error, dev sd[a-z]+, .*\(READ\)"
MKFS = "/usr/sbin/mke2fs -q -t ext4 -E nodiscard"


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def make_file(path, size, first=b""):
    with open(path, "wb") as f:
        f.write(first)
        f.truncate(size)
    return path


def make_iso(suite, name, text):
    folder = suite.path(name)
    os.makedirs(folder)
    with open(os.path.join(folder, "text"), "w", encoding="ascii") as f:
        f.write(text)
    _run("genisoimage", "-quiet", "-R", "-o", f"{folder}.iso", folder)
    return f"{folder}.iso"


def _label(lun):
    return f"disk behind LUN {lun}\n".encode()


def _disks(suite):
    disks = []
    for lun in range(N_DISKS):
        if lun == DVD:
            disks.append({"path": make_iso(suite, "first", "the first disc"), "kind": "dvd"})
            continue
        size = (DATA_MIB if lun in (DATA, PLAIN) else SMALL_MIB) * MIB
        disks.append({"path": make_file(suite.path(f"d{lun}"), size, _label(lun)), "read_only": lun == READ_ONLY,
                      "direct": lun == DATA})
    return disks


def drive(guest, lun):
    """The guest's name of what is behind a LUN: sda, sr0."""
    return guest.wait(f"ls /sys/bus/scsi/devices/*:0:0:{lun}/block", what=f"LUN {lun}")


def storage(guest):
    return guest.host.call("vm.info")[0]["storage"]


def _find(suite, guest, disks):
    with suite(f"{N_DISKS} units are found, each with its own bytes") as p:
        guest.out("modprobe hv_vmbus; modprobe hv_storvsc; modprobe sd_mod; modprobe sr_mod; modprobe isofs", 30)
        guest.wait(f"[ $(ls -d /sys/bus/scsi/devices/[0-9]* | wc -l) = {N_DISKS} ]", what=f"{N_DISKS} units")
        for lun in set(range(N_DISKS)) - {DVD}:
            drive(guest, lun)
        labels = guest.out("for d in /sys/bus/scsi/devices/*:*/block/sd*; do head -n 1 /dev/${d##*/}; done", 30)
        for lun in set(range(N_DISKS)) - {DVD}:
            check(_label(lun).decode().strip() in labels.splitlines(), f"LUN {lun} is missing in {labels}")
        p.detail = f"vstor {storage(guest)['protocol']}"
    with suite("sizes, serial numbers and identifiers are those of the VM"):
        sd = drive(guest, PLAIN)
        check(int(guest.out(f"blockdev --getsize64 /dev/{sd}")) == DATA_MIB * MIB, "another size")
        serial = guest.out(f"tail -c +5 /sys/block/{sd}/device/vpd_pg80")
        check("disk1" in serial, f"the serial number is {serial!r}")
        wwid = guest.out(f"cat /sys/block/{sd}/device/wwid")
        check(f"{PLAIN:032x}"[-8:] in wwid or "disk1" in wwid, f"the identifier is {wwid}")
    with suite("requests go through several queues") as p:
        queues = int(guest.out(f"ls /sys/block/{drive(guest, DATA)}/mq | wc -l"))
        channels = storage(guest)["channels"]
        check(queues > 1 and channels > 1, f"{queues} queues over {channels} channels")
        p.detail = f"{queues} queues, {channels} channels"


def _file_system(suite, guest, disks):
    sd = drive(guest, DATA)
    with suite("a file system is made, filled, synced and checked") as p:
        before = storage(guest)
        guest.out(f"{MKFS} /dev/{sd} && mount -t ext4 /dev/{sd} /mnt", 60)
        guest.out("i=0; while [ $i -lt 8 ]; do head -c 2m /dev/urandom >/mnt/f$i; i=$((i+1)); done; "
                  "md5sum /mnt/f* >/tmp/sums; cp /tmp/sums /mnt/sums; sync", 120)
        guest.out("umount /mnt && echo 3 >/proc/sys/vm/drop_caches && "
                  f"/usr/sbin/e2fsck -f -n /dev/{sd} && mount -t ext4 /dev/{sd} /mnt && md5sum -c /tmp/sums", 120)
        after = storage(guest)
        check(after["flushes"] > before["flushes"], "nothing was flushed")
        p.detail = f"{after['writes'] - before['writes']} writes, {after['flushes'] - before['flushes']} flushes"
    with suite("the same bytes are in the disk's file"):
        guest.out("umount /mnt")
        _run("e2fsck", "-f", "-n", disks[DATA]["path"])
        _run("debugfs", "-R", f"dump /f5 {suite.path('f5')}", disks[DATA]["path"])
        with open(suite.path("f5"), "rb") as f:
            seen = hashlib.md5(f.read()).hexdigest()
        check(f"{seen}  /mnt/f5" in guest.out("cat /tmp/sums"), "f5 is another file here")


def _discard(suite, guest, disks):
    sd, path = drive(guest, DATA), disks[DATA]["path"]
    with suite("fstrim gives the room of removed files back") as p:
        full = os.stat(path).st_blocks
        guest.out(f"mount -t ext4 /dev/{sd} /mnt && rm /mnt/f[0-6] && sync && fstrim -v /mnt && md5sum -c /tmp/sums "
                  "2>/dev/null | grep -q 'f7: OK'; s=$?; umount /mnt; exit $s", 60)
        less = os.stat(path).st_blocks
        check((full - less) * 512 > 10 * MIB, f"{full} blocks became {less}")
        p.detail = f"{full * 512 // MIB} MiB became {less * 512 // MIB}"
    with suite("a discarded disk is empty, and reads as zeroes"):
        guest.out(f"blkdiscard /dev/{sd}", 60)
        check(os.stat(path).st_blocks * 512 < MIB, f"{os.stat(path).st_blocks} blocks are left")
        guest.out(f"head -c 1m /dev/{sd} | tr -d '\\0' | wc -c | grep -qx 0")
    with suite("zeroes can be written without being sent"):
        guest.out(f"printf X | dd of=/dev/{sd} bs=1 seek=5000 conv=notrunc && sync && "
                  f"/usr/sbin/blkdiscard -z -o 0 -l {MIB} /dev/{sd} && echo 3 >/proc/sys/vm/drop_caches", 60)
        guest.out(f"head -c 1m /dev/{sd} | tr -d '\\0' | wc -c | grep -qx 0")


def _throughput(suite, guest, disks):
    sd = drive(guest, PLAIN)
    with suite("large direct requests arrive whole") as p:
        clock = "cut -d' ' -f1 /proc/uptime"
        rates = []
        for way in (f"if=/dev/zero of=/dev/{sd} oflag=direct", f"if=/dev/{sd} of=/dev/null iflag=direct"):
            begin, end = guest.out(f"{clock}; dd bs=1M count=64 {way} 2>/dev/null && {clock}", 60).split()
            rates.append(64 / max(float(end) - float(begin), 0.01))
        p.detail = f"written {rates[0]:.0f} MiB/s, read {rates[1]:.0f} MiB/s"
    with suite("many disks at once, every byte in its place"):
        many = [lun for lun in range(N_DISKS) if lun not in (DATA, PLAIN, READ_ONLY, DVD)]
        names = " ".join(drive(guest, lun) for lun in many)
        guest.out(f"head -c {SMALL_MIB}m /dev/urandom >/tmp/r; for d in {names}; do "
                  "(echo $d; tail -c +17 /tmp/r) | head -c 4m | dd of=/dev/$d bs=64k 2>/dev/null & done; wait; sync", 120)
        reference = guest.out("tail -c +17 /tmp/r | head -c 3m | md5sum").split()[0]
        guest.out("rm /tmp/r")
        for lun in many:
            with open(disks[lun]["path"], "rb") as f:
                name, rest = f.read(3 * MIB + 4).split(b"\n", 1)
            check(name.decode() in names.split() and hashlib.md5(rest[:3 * MIB]).hexdigest() == reference,
                  f"LUN {lun} holds something else")


def _read_only(suite, guest, disks):
    sd = drive(guest, READ_ONLY)
    with suite("a write-protected disk is one to the guest, too"):
        check(guest.out(f"blockdev --getro /dev/{sd}") == "1", "it may be written")
        status, _ = guest.run(f"printf X | dd of=/dev/{sd} conv=fsync")
        check(status, "it was written")
        guest.out(f"head -n 1 /dev/{sd} | grep -q 'LUN {READ_ONLY}'")


def _medium(suite, guest, lun, path, force=False):
    fds = [os.open(path, os.O_RDONLY)] if path else []
    try:
        guest.host.call("disk.medium", fds, lun=lun, disk_id="0" * 32, serial="", force=force)
    finally:
        for fd in fds:
            os.close(fd)


def _disc(suite, guest):
    sr = drive(guest, DVD)
    with suite("a disc is read"):
        guest.wait(f"mount -t iso9660 -o ro /dev/{sr} /mnt", what="a mounted disc")
        check(guest.out("cat /mnt/text") == "the first disc", "another text")
    with suite("a mounted disc is not taken away without force"):
        with contextlib.suppress(ChannelError):
            _medium(suite, guest, DVD, None)
            check(False, "it was taken")
    with suite("the disc is changed"):
        guest.out("umount /mnt")
        _medium(suite, guest, DVD, None, force=True)
        status, _ = guest.run(f"mount -t iso9660 -o ro /dev/{sr} /mnt")
        check(status, "an empty drive was mounted")
        _medium(suite, guest, DVD, make_iso(suite, "second", "the second disc"))
        guest.wait(f"mount -t iso9660 -o ro /dev/{sr} /mnt", what="the new disc")
        check(guest.out("cat /mnt/text; umount /mnt") == "the second disc", "another text")


def _come_and_go(suite, guest):
    path = make_file(suite.path("hot"), 8 * MIB, _label(HOT))
    with suite("a disk added to the running guest is found"):
        guest.host.attach(HOT, path)
        sd = drive(guest, HOT)
        guest.out(f"head -n 1 /dev/{sd} | grep -q 'LUN {HOT}'")
    with suite("an enlarged disk is seen in its new size"):
        os.truncate(path, 16 * MIB)
        guest.host.call("disk.resized", lun=HOT)
        guest.wait(f"[ $(blockdev --getsize64 /dev/{sd}) = {16 * MIB} ]", what="the new size")
    with suite("a removed disk disappears, even in use"):
        guest.out(f"(while dd if=/dev/{sd} of=/dev/null bs=64k iflag=direct; do :; done) >/dev/null 2>&1 </dev/null &")
        guest.host.call("disk.detach", lun=HOT)
        guest.wait(f"[ ! -e /sys/block/{sd} ]", what="the end of the disk")
    with suite("another disk takes its place"):
        guest.host.attach(HOT, make_file(suite.path("hotter"), 12 * MIB, b"another\n"))
        sd = drive(guest, HOT)
        check(guest.out(f"head -n 1 /dev/{sd}") == "another", "the old disk's bytes")
        guest.host.call("disk.detach", lun=HOT)


def stor(suite):
    disks = _disks(suite)
    with suite.guest(vps=4, memory_mib=256, tools=True, disks=disks) as guest:
        _find(suite, guest, disks)
        _file_system(suite, guest, disks)
        _discard(suite, guest, disks)
        _throughput(suite, guest, disks)
        _read_only(suite, guest, disks)
        _disc(suite, guest)
        _come_and_go(suite, guest)
        with suite("nobody complained") as p:
            wait(lambda: storage(guest)["in_flight"] == 0, 10, "the end of all requests")
            info = storage(guest)
            check(info["protocol_errors"] == 0, f"{info}")
            lines = guest.out("dmesg | grep -iE 'storvsc|I/O error|WARNING|BUG:' || true").splitlines()
            complaints = [line for line in lines if not re.search(EXPECTED, line)]
            check(not complaints, "; ".join(complaints[:5]))
            p.detail = f"{info['reads']} reads, {info['writes']} writes, {info['discards']} discards"
