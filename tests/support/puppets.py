"""Labs whose VMs are puppets (tests/system/vm_puppet.c): to viaductd the processes of VMs, without KVM."""
import os

# A /dev of the node's own with something in KVM's place, which the puppets do not use.
DEVICES = """
mkdir -p /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs -o mode=755 tmpfs /dev && mkdir /dev/net /dev/shm
for d in null zero full random urandom net/tun; do touch /dev/$d; mount --bind /run/dev/$d /dev/$d; done
mount --bind /run/dev/shm /dev/shm
touch /dev/kvm
"""


def use_puppets(lab):
    """Before lab.up(): all nodes of this lab run puppets."""
    os.makedirs(lab.directory, exist_ok=True)
    libexec = os.path.join(lab.directory, "libexec")
    os.mkdir(libexec)
    os.symlink(os.path.join(os.path.dirname(lab.bin), "puppet", "viaduct-vmhost"),
               os.path.join(libexec, "viaduct-vmhost"))
    os.symlink(os.path.join(lab.bin, "viaduct-vswitchd"), os.path.join(libexec, "viaduct-vswitchd"))
    lab.node_setup = DEVICES
    lab.viaductd_options = ("--libexec-dir", libexec)
