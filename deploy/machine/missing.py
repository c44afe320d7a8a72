"""Says in one line what this machine lacks for the lab, and exits 1; silent, exit 0, when it lacks nothing."""
import fcntl
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from lablib.namespaces import missing_ability  # noqa: E402

KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_API_VERSION = 0xAE00, 0xAE01, 12


def kvm_error():
    """None, or why /dev/kvm makes no VMs. That it is there says little: a VM must come out of it."""
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        try:
            version = fcntl.ioctl(kvm, KVM_GET_API_VERSION, 0)
            if version != KVM_API_VERSION:
                return f"its API is version {version}, not {KVM_API_VERSION}"
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
        finally:
            os.close(kvm)
    except OSError as e:
        return e.strerror
    return None


def main():
    reason = missing_ability()
    if reason:
        sys.exit(print(f"namespaces cannot be used: {reason}") or 1)
    reason = kvm_error()
    if reason:
        sys.exit(print(f"/dev/kvm cannot be used: {reason}") or 1)


if __name__ == "__main__":
    main()
