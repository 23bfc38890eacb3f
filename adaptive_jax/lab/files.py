"""Bounded folders and reading, atomic writing, and texts made safe as names, lines and cells."""

import contextlib
import os
import re
import tempfile
import zlib
from pathlib import Path

_CHUNK_BYTES = 2**20
_NAME_BYTES = 200  # file systems allow 255 bytes for a name, and suffixes are added


def read_at_most(path: str | os.PathLike[str], limit: int) -> bytes:
    """Returns all bytes of a file that has at most `limit`.

    Devices and pipes are read like files, up to the limit. A named pipe without a writer is empty.

    Args:
      path: the file.
      limit: the maximum number of bytes.

    Raises:
      OSError: the file cannot be read.
      ValueError: the file has more bytes, or the path is not a valid one.
    """

    def opener(name, flags):
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    content = bytearray()
    with open(path, "rb", buffering=0, opener=opener) as file:
        if hasattr(os, "O_NONBLOCK"):  # only opening must not block
            os.set_blocking(file.fileno(), True)
        too_long = os.fstat(file.fileno()).st_size > limit
        while not too_long and (chunk := file.read(_CHUNK_BYTES)):
            content += chunk
            too_long = len(content) > limit
    if too_long:
        raise ValueError(f"more than {limit} bytes")
    return bytes(content)


def write_whole(path: Path, text: str) -> None:
    """Writes a text file in UTF-8 atomically: an older file is replaced by a complete one.

    Raises:
      OSError: the file cannot be written. An older file is then unchanged.
    """
    content = text.encode("utf-8", "backslashreplace")  # UTF-8 cannot encode a lone surrogate
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        part = Path(folder) / "part"
        part.write_bytes(content)
        os.replace(part, path)


def bound(folder: Path, most: int) -> None:
    """Deletes a folder's oldest files if it holds more than `most` bytes, down to half of that.

    Args:
      folder: the folder, which need not exist. Its subfolders are left alone.
      most: the maximum number of bytes.
    """
    with contextlib.suppress(FileNotFoundError):  # no folder yet, or another process deletes too
        files = [file for file in folder.iterdir() if file.is_file()]
        oldest_first = sorted(files, key=lambda file: file.stat().st_mtime)
        sizes = [file.stat().st_size for file in oldest_first]
        total = sum(sizes)
        if total > most:
            for file, size in zip(oldest_first, sizes, strict=True):
                if total <= most / 2:
                    break
                file.unlink()
                total -= size


def one_line(text: str) -> str:
    """Replaces each line break, control or formatting character in the text by a space.

    >>> one_line("sgd\\n[31mred")
    'sgd [31mred'
    """
    return "".join(char if char.isprintable() else " " for char in text)


def file_name(text: str) -> str:
    """Turns a text into a valid name of a file or folder, without path separators.

    Different texts have different names: a name that had to be changed ends with a checksum.

    >>> file_name("adam,seed=0"), file_name("../adam")
    ('adam,seed=0', '_._adam-ff78f5b5')
    """
    content = text.encode("utf-8", "surrogatepass")
    name = re.sub(r"[^\w.=,+-]|^\.|^$", "_", text).encode()[:_NAME_BYTES].decode("utf-8", "ignore")
    return name if name == text else f"{name}-{zlib.crc32(content):08x}"


def spreadsheet_text(text: str) -> str:
    """Escapes a text so that no spreadsheet interprets it as a formula.

    >>> spreadsheet_text("=HYPERLINK(0)"), spreadsheet_text("adam")
    ("'=HYPERLINK(0)", 'adam')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
