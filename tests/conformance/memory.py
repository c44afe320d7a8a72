"""hv_balloon: memory that goes and comes while the guest runs."""
from tests.conformance.suite import wait
from tests.support.harness import check

MIB = 1 << 20
START, LOW, HIGH = 384, 256, 768
FILE_MIB = 8


def dynmem(guest):
    return guest.host.call("vm.info")[0]["memory"]


def _target(guest, mib):
    guest.host.call("vm.memory", target_bytes=mib * MIB)


def _total_mib(guest):
    return int(guest.out("awk '/MemTotal/ {print $2}' /proc/meminfo")) // 1024


def _resident_mib(guest):
    with open(f"/proc/{guest.host.process.pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Rss:")) // 1024


def _balloon(suite, guest):
    # It says how much it needs only 5 minutes after its start: its clock of ticks begins below zero.
    with suite("the driver connects"):
        guest.out("modprobe hv_vmbus; echo online >/sys/devices/system/memory/auto_online_blocks; modprobe hv_balloon")
        wait(lambda: dynmem(guest)["connected"], 10, "the connection")
    with suite("memory is taken away, and is free here") as p:
        # All of it touched before, so that it is known to be this process's.
        guest.out(f"mount -t tmpfs -o size={START - 100}m tmpfs /mnt && head -c {START - 160}m /dev/zero >/mnt/all; "
                  "umount /mnt", 60)
        before, free = _resident_mib(guest), int(guest.out("awk '/MemFree/ {print $2}' /proc/meminfo")) // 1024
        _target(guest, LOW)
        wait(lambda: dynmem(guest)["assigned_bytes"] <= (LOW + 4) * MIB, 20, f"{LOW} MiB")
        now_free = int(guest.out("awk '/MemFree/ {print $2}' /proc/meminfo")) // 1024
        check(free - now_free > (START - LOW) * 3 // 4, f"free in the guest: {free} MiB became {now_free} MiB")
        # What the guest never touched it may give first.
        expected = before - (START - LOW) + (START - before) // 2 + 8
        wait(lambda: _resident_mib(guest) < expected, 10, f"fewer than {expected} of {before} resident MiB")
        p.detail = f"{before} MiB resident became {_resident_mib(guest)} MiB"
    with suite("memory is given back, and usable"):
        _target(guest, START)
        wait(lambda: dynmem(guest)["assigned_bytes"] >= START * MIB, 20, f"{START} MiB")
        _use(guest, START - 160)


def _use(guest, mib):
    """Fill memory with copies of a file of random bytes; look at some of them."""
    n = mib // FILE_MIB
    names = " ".join(f"/mnt/f{i}" for i in (1, n // 2, n))
    guest.out(f"mount -t tmpfs -o size=95% tmpfs /mnt; head -c {FILE_MIB}m /dev/urandom >/mnt/f1; i=2; "
              f"while [ $i -le {n} ]; do cp /mnt/f1 /mnt/f$i || exit 1; i=$((i+1)); done; "
              f"[ $(md5sum {names} | cut -c-32 | uniq | wc -l) = 1 ] && umount /mnt", 60)


def _hot_add(suite, guest):
    with suite("memory beyond the start is added") as p:
        before = _total_mib(guest)
        _target(guest, HIGH)
        wait(lambda: dynmem(guest)["added_bytes"] >= (HIGH - START) * MIB, 20, "the addition")
        guest.wait(f"[ $(awk '/MemTotal/ {{print $2}}' /proc/meminfo) -gt {(before + (HIGH - START) * 3 // 4) * 1024} ]", 20,
                   "the new memory in the guest")
        p.detail = f"{before} MiB became {_total_mib(guest)} MiB"
    with suite("added memory holds what is written to it"):
        _use(guest, START + 64)


def _moves(suite, guest):
    with suite("a guest with memory added and taken away moves"):
        _target(guest, START + 128)
        wait(lambda: dynmem(guest)["ballooned_bytes"] >= 128 * MIB, 20, "the balloon")
        before = dynmem(guest)
        guest.out("mount -t tmpfs -o size=64m tmpfs /mnt; head -c 32m /dev/urandom >/mnt/r; md5sum /mnt/r >/tmp/sum", 60)
        guest.move()
        guest.out("md5sum -c /tmp/sum && umount /mnt", 60)
        after = dynmem(guest)
        check(all(after[k] == before[k] for k in ("assigned_bytes", "added_bytes", "ballooned_bytes")),
              f"{before} became {after}")
    with suite("and its memory changes as before"):
        _target(guest, HIGH)
        wait(lambda: dynmem(guest)["ballooned_bytes"] == 0, 20, "the end of the balloon")
        guest.out("true")


def memory(suite):
    with suite.guest(vps=2, memory_mib=START, min_memory_bytes=LOW * MIB, max_memory_bytes=HIGH * MIB) as guest:
        _balloon(suite, guest)
        _hot_add(suite, guest)
        _moves(suite, guest)
        with suite("the guest's kernel noticed nothing wrong"):
            complaints = guest.out("dmesg | grep -iE 'WARNING:|BUG:|Bad page|hv_balloon.*(fail|error)' || true")
            check(not complaints, complaints)
