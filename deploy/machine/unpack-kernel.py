"""unpack-kernel.py BZIMAGE ELF: take the kernel out of its self-extracting image.

An emulated processor needs half of the machine's whole start for the extraction; this one does not. When the
image holds something other than XZ data, it is copied as it is: it boots, too.
"""
import lzma
import shutil
import struct
import sys

# From the Linux/x86 boot protocol, version 2.08 and later.
SECTOR = 512
SETUP_SECTORS = 0x1F1
PAYLOAD = 0x248  # u32 offset from the protected-mode code, u32 length


def main():
    image, out = sys.argv[1:]
    with open(image, "rb") as f:
        data = f.read()
    offset, length = struct.unpack_from("<II", data, PAYLOAD)
    begin = (data[SETUP_SECTORS] + 1) * SECTOR + offset
    try:
        # The length counts four bytes more than the stream has.
        kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data[begin:begin + length])
    except lzma.LZMAError:
        shutil.copyfile(image, out)
        return
    with open(out, "wb") as f:
        f.write(kernel)


if __name__ == "__main__":
    main()
