"""What every data script needs: archives downloaded or taken from where the user put them, checked and unpacked."""

from fgssl_edu.data.fetch.archives import staging, unpack
from fgssl_edu.data.fetch.script import build, command

__all__ = ["build", "command", "staging", "unpack"]
