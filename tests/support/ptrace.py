"""Have another process make a system call: as a debugger would, or somebody who found a hole in it."""
import ctypes
import os
import re

REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
             "ds es fs gs").split()
ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
SYSCALL_INSTRUCTION = b"\x0f\x05"
PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH = 7, 12, 13, 16

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Registers(ctypes.Structure):
    """x86-64's struct user_regs_struct."""
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS]


def _ptrace(request, pid, data=None):
    if _libc.ptrace(request, pid, None, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _find_instruction(pid):
    """The address of a system call instruction in the C library."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"(\w+)-(\w+) r-xp .*/libc\.so", line)
            if match:
                begin, end = (int(text, 16) for text in match.groups())
                memory.seek(begin)
                return begin + memory.read(end - begin).index(SYSCALL_INSTRUCTION)
    raise LookupError("no code of the C library")


def make_call(pid, number, arguments):
    """Stop the process, a child of ours, where it is, and have its first thread make the call. The wait status
    of what happens next: of the process's end, or of a signal."""
    address = _find_instruction(pid)
    _ptrace(PTRACE_ATTACH, pid)
    os.waitpid(pid, 0)
    registers = Registers()
    _ptrace(PTRACE_GETREGS, pid, ctypes.addressof(registers))
    for name, value in zip(ARGUMENTS, arguments):
        setattr(registers, name, value)
    registers.rax, registers.rip = number, address
    registers.orig_rax = 2 ** 64 - 1  # not within a call that would be made again
    _ptrace(PTRACE_SETREGS, pid, ctypes.addressof(registers))
    _ptrace(PTRACE_CONT, pid)
    return os.waitpid(pid, 0)[1]
