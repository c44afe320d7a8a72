"""hyperv_fb, hyperv_keyboard and hid_hyperv: what is on the screen, and what is typed and pointed at."""
import hashlib
import os
import string
import struct

from tests.conformance.picture import Viewer, read_png
from tests.conformance.suite import wait
from tests.support.harness import check
from tests.support.linux_guest import LINE_IS_READ, READ_LINE, SLOW

MIB = 1 << 20
WIDTH, HEIGHT = 800, 600
TEXT_ROW = 5
TEXT = string.ascii_letters + string.digits
TYPED = "Viaduct types: \"[{~}]\" & 100% of $US; ok?"
# linux/input-event-codes.h
EV_KEY, EV_ABS, ABS_X, ABS_Y, BTN_LEFT = 1, 3, 0, 1, 0x110
EVENT_BYTES = 24


def display(guest):
    return guest.host.call("vm.info")[0]["display"]


def screenshot(suite, guest, name):
    path = suite.path(f"{name}.png")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        guest.host.call("vm.screenshot", [fd])
    finally:
        os.close(fd)
    with open(path, "rb") as f:
        data = f.read()
    suite.keep(f"{name}.png", data)
    return read_png(data)


def _once(value, condition):
    """The value when it meets the condition."""
    return value if condition(value) else None


def _listen(guest):
    """From now on a line that is typed arrives in /tmp/typed."""
    guest.out(READ_LINE)
    guest.wait(LINE_IS_READ, what="a listener at the console")


def _show(suite, guest):
    with suite("the frame buffer has the size that the guest wants") as p:
        guest.out("modprobe hv_vmbus; modprobe hyperv_fb; modprobe hyperv-keyboard; modprobe hid-hyperv; "
                  "modprobe hid-generic; modprobe evdev", 30)
        guest.wait("[ -e /dev/fb0 ]", what="the frame buffer")
        wait(lambda: display(guest)["active"], 10, "a picture")
        size = (display(guest)["width"], display(guest)["height"])
        check(size == (WIDTH, HEIGHT), f"it is {size}")
        check(guest.out("cat /sys/class/graphics/fb0/name") == "hyperv_fb", "another driver drives it")
        p.detail = f"{WIDTH} x {HEIGHT}, {guest.out('cat /sys/class/graphics/fb0/bits_per_pixel')} bits"
    with suite("a screenshot shows the text on the guest's console"):
        # Cursor off, clear, one line.
        guest.out(rf"printf '\033[?25l\033[2J\033[{TEXT_ROW + 1};1H{TEXT}{TEXT[::-1][:26]}' >/dev/tty1")
        end = len(TEXT) + 25
        picture = wait(lambda: _once(screenshot(suite, guest, "text"), lambda p: p.cell(end, TEXT_ROW) != p.cell(0, 0)),
                       10, "the end of the text on the screen")
        check((picture.width, picture.height) == (WIDTH, HEIGHT), f"{picture.width} x {picture.height}")
        blank = picture.cell(0, 0)
        check(len(set(b"".join(blank))) == 1, "an empty cell is not empty")
        glyphs = {}
        line = TEXT + TEXT[::-1][:26]
        for column, character in enumerate(line):
            cell = picture.cell(column, TEXT_ROW)
            check(glyphs.setdefault(character, cell) == cell, f"two kinds of '{character}'")
        check(len(set(glyphs.values())) == len(TEXT) and blank not in glyphs.values(), "letters look alike")
        check(all(picture.cell(c, r) == blank for r in range(HEIGHT // 16) for c in range(WIDTH // 8)
                  if r != TEXT_ROW or c >= len(line)), "there is something else on the screen")
        inked = sum(1 for y in range(16) for x in range(8) if glyphs["H"][y][x * 3] != blank[0][0])
        check(20 < inked < 80, f"'H' has {inked} dots")
    with suite("it is what the guest has in its frame buffer, byte for byte"):
        stride = int(guest.out("cat /sys/class/graphics/fb0/stride"))
        check(stride == WIDTH * 4, f"lines of {stride} bytes")
        there = guest.out(f"head -c {WIDTH * HEIGHT * 4} /dev/fb0 | md5sum").split()[0]
        here = hashlib.md5(screenshot(suite, guest, "bytes").as_32_bits()).hexdigest()
        check(there == here, "it is another picture")


def _type(suite, guest):
    with suite("typed text arrives in the guest, and shows on the screen"):
        wait(lambda: display(guest)["keyboard"], 10, "the keyboard")
        guest.out(r"printf '\033[2J\033[1;1H' >/dev/tty1")
        _listen(guest)
        reply = guest.host.call("vm.type", text=TYPED + "\n")[0]
        check(reply["typed"] == len(TYPED) + 1, f"{reply}")
        guest.wait("[ -s /tmp/typed ]", what="the line")
        check(guest.out("cat /tmp/typed") == TYPED, f"it is {guest.out('cat /tmp/typed')!r}")
        picture = wait(lambda: _once(screenshot(suite, guest, "typed"), lambda p: p.cell(0, 0) != p.cell(79, 5)),
                       10, "the typed text on the screen")
        check(picture.cell(0, 0) != picture.cell(79, 5) and picture.cell(TYPED.index("t"), 0) ==
              picture.cell(TYPED.index("t", 6), 0), "it does not show")
    with suite("much text typed at once is all there") as p:
        text = (string.ascii_letters + string.digits) * 8
        _listen(guest)
        at = 0
        while at < len(text):
            at += guest.host.call("vm.type", text=text[at:])[0]["typed"]
        wait(lambda: guest.host.call("vm.type", text="\n")[0]["typed"] == 1, 10, "room for Enter")
        guest.wait("[ -s /tmp/typed ]", 20, what="the line")
        check(guest.out("cat /tmp/typed") == text, f"it is {guest.out('cat /tmp/typed')!r}")
        p.detail = f"{len(text)} characters"


def _view(suite, guest):
    viewer = Viewer(guest.host, 30 * SLOW)
    try:
        with suite("a viewer sees the same picture"):
            guest.out(r"printf '\033[2J\033[1;1Hseen by a viewer' >/dev/tty1")
            wait(lambda: _once(screenshot(suite, guest, "viewer"), lambda p: p.cell(15, 0) != p.cell(79, 5)), 10,
                 "the text on the screen")
            check((viewer.width, viewer.height) == (WIDTH, HEIGHT), f"{viewer.width} x {viewer.height}")
            wait(lambda: viewer.picture().rows == screenshot(suite, guest, "viewer").rows, 10, "the same picture")
        with suite("its keys arrive in the guest"):
            _listen(guest)
            for character in "viewer":
                viewer.key(ord(character))
            viewer.key(0xFF0D)  # Return
            guest.wait("[ -s /tmp/typed ]", what="the line")
            check(guest.out("cat /tmp/typed") == "viewer", f"it is {guest.out('cat /tmp/typed')!r}")
        with suite("its pointer moves the guest's") as p:
            devices = guest.out("cat /proc/bus/input/devices")
            mouse = next((d for d in devices.split("\n\n") if "mouse" in d.lower()), None)
            check(mouse, f"the guest has no mouse: {devices}")
            event = mouse.split("event")[1].split()[0]
            guest.out(f"(timeout 100 cat /dev/input/event{event} >/tmp/events) >/dev/null 2>&1 & echo $! >/tmp/cat")
            guest.wait(f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q input/event{event}", what="a listener")
            viewer.point(WIDTH // 4, HEIGHT // 2)
            viewer.point(WIDTH * 3 // 4, HEIGHT // 2, 1)
            viewer.point(WIDTH * 3 // 4, HEIGHT // 2, 0)
            guest.wait(f"[ $(stat -c %s /tmp/events) -ge {6 * EVENT_BYTES} ]", what="events")
            text = guest.out("kill $(cat /tmp/cat); od -v -A n -t x1 /tmp/events")
            data = bytes.fromhex(text.replace("\n", "").replace(" ", ""))
            events = [struct.unpack("<HHi", data[i + 16:i + 24]) for i in range(0, len(data), EVENT_BYTES)]
            xs = [value for kind, code, value in events if (kind, code) == (EV_ABS, ABS_X)]
            keys = [value for kind, code, value in events if (kind, code) == (EV_KEY, BTN_LEFT)]
            check(keys == [1, 0], f"the button: {keys}")
            check(len(xs) == 2 and abs(xs[1] / xs[0] - 3) < 0.1, f"positions {xs}")
            p.detail = f"at {xs}"
    finally:
        viewer.close()


def screen(suite):
    with suite.guest(vps=2, memory_mib=192, vram_bytes=8 * MIB, cmdline=f"video=hyperv_fb:{WIDTH}x{HEIGHT}") as guest:
        _show(suite, guest)
        _type(suite, guest)
        _view(suite, guest)
        with suite("a guest that moved shows its picture again, and hears its keyboard"):
            before = screenshot(suite, guest, "before").rows
            guest.move()
            wait(lambda: display(guest)["active"] and display(guest)["keyboard"], 10, "display and keyboard")
            check(screenshot(suite, guest, "after").rows == before, "it is another picture")
            _listen(guest)
            guest.host.call("vm.type", text="still here\n")
            guest.wait("[ -s /tmp/typed ]", what="the line")
            check(guest.out("cat /tmp/typed") == "still here", f"it is {guest.out('cat /tmp/typed')!r}")
