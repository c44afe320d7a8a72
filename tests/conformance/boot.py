"""The machine itself: boot, processors, memory, clocks, and every way in which a run ends."""
import time

from tests.support.harness import check
from tests.support.linux_guest import DIRECTORY, KERNEL

PANIC = "Kernel panic - not syncing"


def _machine(suite, guest, vps, memory_mib):
    with suite(f"{vps} processors and {memory_mib} MiB boot") as p:
        seen = int(guest.out("nproc"))
        check(seen == vps, f"the guest sees {seen} processors")
        total_mib = int(guest.out("awk '/MemTotal/ {print $2}' /proc/meminfo")) // 1024
        # What the kernel keeps for itself: its code, and descriptors of pages.
        check(memory_mib - 80 - memory_mib // 32 < total_mib <= memory_mib, f"the guest has {total_mib} MiB")
        p.detail = f"{total_mib} MiB left to the guest"


def _clocks(suite, guest):
    with suite("the clock is right, and is the reference time page") as p:
        source = guest.out("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        check(source == "hyperv_clocksource_tsc_page", f"the clock source is {source}")
        before = time.time()
        seen = int(guest.out("date +%s"))
        check(before - 3 <= seen <= time.time() + 3, f"the guest's clock is {seen - before:.0f} s off")
        p.detail = source
    with suite("the guest's time runs as fast as ours"):
        def read():
            before = time.monotonic()
            return before, float(guest.out("cut -d' ' -f1 /proc/uptime")), time.monotonic()
        # Each was read at some time between the question and its answer, which a busy machine makes wait.
        asked_first, first, had_first = read()
        guest.wait(f"awk '{{ if ($1 < {first + 5}) exit 1 }}' /proc/uptime", what="five seconds")
        asked_last, last, had_last = read()
        shortest, longest = asked_last - had_first, had_last - asked_first
        check(shortest - 0.1 < last - first < longest + 0.1,
              f"{last - first:.2f} s there are {shortest:.2f} to {longest:.2f} s here")


def _ends(suite, guest, name, command, how):
    with suite(name) as p:
        guest.last(command)
        seen, text = guest.ended(30)
        check(seen == how, f"the run ended by '{seen}': {text}")
        p.detail = next((line for line in text.splitlines() if PANIC in line), text)
        return text


def _kexec(suite, guest):
    with suite("another kernel starts by kexec and finds the bus again") as p:
        guest.out("modprobe hv_vmbus")
        guest.agent.reset()
        guest.out("kexec -s -l /boot/vmlinuz --initrd=/boot/initrd --reuse-cmdline --append=again", 60)
        guest.last("kexec -e")
        guest.agent.wait_up(60)
        check("again" in guest.out("cat /proc/cmdline"), "the first kernel still runs")
        guest.out("modprobe hv_vmbus")
        devices = guest.out("ls /sys/bus/vmbus/devices | wc -l")
        check(guest.host.call("vm.info")[0]["vmbus_connected"], "the bus is not connected")
        p.detail = f"{devices} devices"


def boot(suite):
    with suite.guest(vps=1, memory_mib=256) as guest:
        _machine(suite, guest, 1, 256)
        _clocks(suite, guest)
        _ends(suite, guest, "power off by ACPI ends the run", "poweroff -f", "poweroff")
    with suite.guest(vps=2, memory_mib=192) as guest:
        _machine(suite, guest, 2, 192)
        _ends(suite, guest, "reboot is reported as a reset", "reboot -f", "reset")
    with suite.guest(vps=4, memory_mib=4608) as guest:
        _machine(suite, guest, 4, 4608)
        guest.out("modprobe hv_vmbus")
        text = _ends(suite, guest, "a crash is reported with the guest's own words",
                     "echo c >/proc/sysrq-trigger", "crash")
        with suite("the words are those of the panic"):
            check(text and f"{PANIC}: sysrq" in text, f"the report says: {text}")
    extra = {"boot/vmlinuz": KERNEL, "boot/initrd": f"{DIRECTORY}/initrd"}
    with suite.guest(vps=8, memory_mib=256, tools=True, extra=extra) as guest:
        _machine(suite, guest, 8, 256)
        _kexec(suite, guest)
