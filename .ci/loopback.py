"""Bring up loopback in a fresh network namespace, then become the command given: `unshare --net loopback.py CMD...`."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS = 0x8914  # linux/sockios.h: set an interface's flags
IFF_UP = 0x1  # linux/if.h

if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    os.execvp(sys.argv[1], sys.argv[1:])
