"""What every data script needs: archives downloaded or taken from where the user put them, checked and unpacked."""

from fgssl_edu.data.fetch.archives import staging, unpack
from fgssl_edu.data.fetch.lists import corners, lines, located, mat, voc_box
from fgssl_edu.data.fetch.raw import records, write_pictures
from fgssl_edu.data.fetch.script import build, command

__all__ = [
    "build",
    "command",
    "corners",
    "lines",
    "located",
    "mat",
    "records",
    "staging",
    "unpack",
    "voc_box",
    "write_pictures",
]
