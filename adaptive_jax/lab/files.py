"""Files read within bounds and written whole, and names made safe to show and to write."""

import os
import re
import tempfile
import zlib
from pathlib import Path

_CHUNK_BYTES = 2**20
_NAME_BYTES = 200  # of a file's name; file systems take 255, and endings are added


def read_at_most(path: str | os.PathLike[str], limit: int) -> bytes:
    """Returns all bytes of a file that has at most `limit`.

    Devices and pipes are read like files, as far as the limit. A named pipe that nobody writes to
    is empty.

    Args:
      path: the file.
      limit: in bytes.

    Raises:
      OSError: the file cannot be read.
      ValueError: it has more bytes, or no file can have this path.
    """

    def opener(name, flags):
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    content = bytearray()
    with open(path, "rb", buffering=0, opener=opener) as file:
        if hasattr(os, "O_NONBLOCK"):  # which was for the opening only
            os.set_blocking(file.fileno(), True)
        too_long = os.fstat(file.fileno()).st_size > limit
        while not too_long and (chunk := file.read(_CHUNK_BYTES)):
            content += chunk
            too_long = len(content) > limit
    if too_long:
        raise ValueError(f"more than {limit} bytes")
    return bytes(content)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file in UTF-8 that replaces an older one only once it is complete.

    Raises:
      OSError: it cannot be written; an older file is then unchanged.
    """
    content = text.encode("utf-8", "backslashreplace")  # a lone surrogate has no UTF-8
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        part = Path(folder) / "part"
        part.write_bytes(content)
        os.replace(part, path)


def one_line(text: str) -> str:
    """The text with a space for each line break, control or formatting character.

    >>> one_line("sgd\\n[31mred")
    'sgd [31mred'
    """
    return "".join(char if char.isprintable() else " " for char in text)


def file_name(text: str) -> str:
    """A text as the name of a file or folder: no path, nothing that a system refuses.

    Different texts have different names: what was changed ends with a checksum.

    >>> file_name("adam,seed=0"), file_name("../adam")
    ('adam,seed=0', '_._adam-ff78f5b5')
    """
    content = text.encode("utf-8", "surrogatepass")
    name = re.sub(r"[^\w.=,+-]|^\.|^$", "_", text).encode()[:_NAME_BYTES].decode("utf-8", "ignore")
    return name if name == text else f"{name}-{zlib.crc32(content):08x}"


def spreadsheet_text(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula.

    >>> spreadsheet_text("=HYPERLINK(0)"), spreadsheet_text("adam")
    ("'=HYPERLINK(0)", 'adam')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
