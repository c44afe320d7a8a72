"""Pictures of a guest's screen: PNG files as vm.screenshot writes them, and a viewer of the RFB protocol."""
import socket
import struct
import zlib

from tests.support.harness import check

# RFC 6143
SET_PIXEL_FORMAT, SET_ENCODINGS, UPDATE_REQUEST, KEY_EVENT, POINTER_EVENT = 0, 2, 3, 4, 5
RAW, SECURITY_NONE = 0, 1
FRAMEBUFFER_UPDATE = 0


class Picture:
    """Rows of (red, green, blue) bytes."""

    def __init__(self, width, height, rows):
        self.width, self.height, self.rows = width, height, rows

    def cell(self, column, row, width=8, height=16):
        """The pixels of one character."""
        return tuple(bytes(self.rows[row * height + y][column * width * 3:(column + 1) * width * 3])
                     for y in range(height))

    def as_32_bits(self):
        """As a frame buffer of 32 bits a pixel holds it: blue, green, red, opaque."""
        out = bytearray(b"\xff" * (self.width * self.height * 4))
        data = b"".join(bytes(row) for row in self.rows)
        for channel in range(3):
            out[2 - channel::4] = data[channel::3]
        return bytes(out)


def _unfilter(kind, line, above, step):
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            p = left + up - corner
            guess = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
        line[i] = (line[i] + guess) & 0xFF
    return line


def read_png(data):
    """8 bits a channel, without interlacing; what else there is in a PNG file is refused."""
    check(data[:8] == b"\x89PNG\r\n\x1a\n", "this is no PNG file")
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        check(zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0], f"{kind}: wrong sum")
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += 12 + size
    check(depth == 8 and color in (2, 6) and not interlace, f"a PNG of {depth} bits, color type {color}")
    step = 3 if color == 2 else 4
    raw, rows, above = zlib.decompress(packed), [], bytearray(width * step)
    stride = 1 + width * step
    for y in range(height):
        line = bytearray(raw[y * stride + 1:(y + 1) * stride])
        if raw[y * stride]:
            line = _unfilter(raw[y * stride], line, above, step)
        above = line
        rows.append(line if step == 3 else bytearray(v for i, v in enumerate(line) if i % 4 < 3))
    return Picture(width, height, rows)


class Viewer:
    """A viewer without a window."""

    def __init__(self, host, timeout_s):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(timeout_s)
        host.call("vm.viewer", [theirs.fileno()])
        theirs.close()
        check(self._take(12).startswith(b"RFB 003."), "this is no RFB server")
        self.socket.sendall(b"RFB 003.008\n")
        kinds = self._take(self._take(1)[0])
        check(SECURITY_NONE in kinds, f"security types {kinds}")
        self.socket.sendall(bytes([SECURITY_NONE]))
        check(self._take(4) == b"\0\0\0\0", "refused")
        self.socket.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self._take(4))
        self._take(16)
        self.name = self._take(struct.unpack(">I", self._take(4))[0]).decode()
        # 32 bits, red at 16, green at 8, blue at 0, little endian
        self.socket.sendall(struct.pack(">B3xBBBBHHHBBB3x", SET_PIXEL_FORMAT, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.socket.sendall(struct.pack(">BxHi", SET_ENCODINGS, 1, RAW))

    def _take(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            check(part, "the server hung up")
            data += part
        return data

    def _request(self, incremental):
        self.socket.sendall(struct.pack(">BBHHHH", UPDATE_REQUEST, incremental, 0, 0, self.width, self.height))

    def picture(self):
        """All of it; the server may send it piece by piece, each when it is asked for what is new."""
        self._request(0)
        rows = [bytearray(self.width * 3) for _ in range(self.height)]
        missing = self.width * self.height
        while missing > 0:
            kind, n_rectangles = struct.unpack(">BxH", self._take(4))
            check(kind == FRAMEBUFFER_UPDATE, f"message {kind}")
            for _ in range(n_rectangles):
                x, y, width, height, encoding = struct.unpack(">HHHHi", self._take(12))
                check(encoding == RAW, f"encoding {encoding}")
                data = self._take(width * height * 4)
                for i in range(height):
                    line = data[i * width * 4:(i + 1) * width * 4]
                    for channel in range(3):
                        rows[y + i][x * 3 + channel:(x + width) * 3:3] = line[2 - channel::4]
                missing -= width * height
            if missing > 0:
                self._request(1)
        return Picture(self.width, self.height, rows)

    def point(self, x, y, buttons=0):
        self.socket.sendall(struct.pack(">BBHH", POINTER_EVENT, buttons, x, y))

    def key(self, keysym):
        for down in (1, 0):
            self.socket.sendall(struct.pack(">BB2xI", KEY_EVENT, down, keysym))

    def close(self):
        self.socket.close()
