"""Machines with systemd as their first process: namespaces with a control group and a file system of their own, which
shows that of this machine. What is written goes to `upper`, and is there again when the machine boots again."""
import os
import subprocess
import time
import uuid

from .namespaces import SLOW, Machine, start_time, wait_for

# In the namespaces, before systemd. $1: a folder, $2: the machine's name. Services of this machine do not start there,
# nothing is mounted by fstab, and services of packages do start, also where a container's policy forbids it here.
BOOT = r"""
set -e
root=$1/root
mkdir -p "$1/upper" "$1/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$root"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty net/tun fuse kvm; do
    [ -e "/dev/$device" ] || continue
    mkdir -p "$(dirname "$root/dev/$device")"
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc proc "$root/proc"
# The kernel's settings are those of this machine, but for the network's.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
[ ! -e "$root/proc/sysrq-trigger" ] || mount --bind /dev/null "$root/proc/sysrq-trigger"
mount -t sysfs -o ro sys "$root/sys"
mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -p "$root/run/upper"
mount --bind "$1/upper" "$root/run/upper"
cd "$root"
mkdir -p dev/pts dev/shm run/old
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . run/old
umount -l /run/old
if [ ! -e /etc/machine-of-lab ]; then
    rm -rf /etc/systemd/system /usr/sbin/policy-rc.d
    mkdir -p /etc/systemd/system /etc/systemd/system-generators
    ln -s /dev/null /etc/systemd/system/systemd-sysctl.service
    ln -sf /dev/null /etc/systemd/system-generators/systemd-sysv-generator
    : >/etc/fstab
    echo "$3" >/etc/machine-id
    echo "$2" >/etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$2" >/etc/hosts
    touch /etc/machine-of-lab
fi
hostname "$2"
ip link set lo up
for d in all default; do echo 1 >/proc/sys/net/ipv6/conf/$d/disable_ipv6; done
echo ready
read -r _
exec env -i container=viaduct-lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target \
    </dev/null >"/run/upper/systemd.log" 2>&1
"""


class CannotBoot(Exception):
    """Such a machine cannot be had here; the reason."""


def _cgroup2():
    """(mount point, our own group below it) of the unified hierarchy."""
    with open("/proc/mounts") as f:
        places = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
    with open("/proc/self/cgroup") as f:
        own = [line.strip()[3:] for line in f if line.startswith("0::")]
    if not places or not own:
        raise CannotBoot("there is no cgroup2")
    return places[0], places[0] + own[0].rstrip("/")


class SystemdMachine(Machine):
    """`folder`: on a file system that can be the upper layer of an overlay."""

    @classmethod
    def boot(cls, name, folder):
        top, own = _cgroup2()
        group = os.path.join(top, f"viaduct-{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        os.makedirs(folder, exist_ok=True)
        try:
            os.mkdir(group)
        except OSError as e:
            raise CannotBoot(f"a control group cannot be made: {e}") from e
        # A test that is killed takes its machines with it.
        enter = 'echo $$ >"$0/cgroup.procs"; exec setpriv --pdeathsig KILL unshare --pid --mount --net --uts ' \
                '--ipc --cgroup --fork --kill-child --propagation private bash -c "$1" boot "$2" "$3" "$4"'
        process = subprocess.Popen(["sh", "-c", enter, group, BOOT, folder, name, uuid.uuid4().hex],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, text=True)
        line = process.stdout.readline()
        if line.strip() != "ready":
            rest = process.stdout.read()
            process.wait()
            cls._forget(group)
            raise CannotBoot(f"namespaces for systemd cannot be made: {(line + rest).strip()}")
        # systemd wants its group for itself.
        with open(os.path.join(own, "cgroup.procs"), "w") as f:
            f.write(str(process.pid))
        init = cls._children(process.pid)[0]
        machine = cls(name, (process.pid, start_time(process.pid)), (init, start_time(init)), True)
        machine.group, machine.folder, machine.process = group, folder, process
        process.stdin.write("go\n")
        process.stdin.close()
        try:
            wait_for(lambda: machine.run("systemctl", "is-system-running", check=False).stdout.strip()
                     in ("running", "degraded"), 60, f"the boot of {name}")
        except TimeoutError:
            log = machine.console()
            machine.stop()
            raise CannotBoot(f"systemd does not get up here: {log[-500:]}") from None
        return machine

    @staticmethod
    def _forget(group):
        end = time.monotonic() + 10 * SLOW
        for directory, _, _ in os.walk(group, topdown=False):
            while os.path.isdir(directory) and time.monotonic() < end:
                try:
                    os.rmdir(directory)
                except OSError:
                    time.sleep(0.05)

    def console(self):
        try:
            with open(os.path.join(self.folder, "upper", "systemd.log"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def command(self, *words):
        return ["nsenter", "-t", str(self.pid), "-n", "-p", "-m", "-u", "-i", "-C", "--", "env", "-i", "LC_ALL=C.UTF-8",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "PAGER=cat",
                "DEBIAN_FRONTEND=noninteractive", *map(str, words)]

    def stop(self):
        """As with a power cord; what was written stays for the next boot."""
        super().stop()
        self.process.stdout.close()
        self.process.wait(10 * SLOW)
        self._forget(self.group)
