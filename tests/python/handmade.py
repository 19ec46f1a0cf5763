"""Checkpoint files made by hand, byte by byte, so that what lies behind the checksum is reached."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shrew_ema import EMA
from support import Params

BLANK = b"00000000"
KEY = b'"shrew_ema_crc32":"'

Json = dict[str, Any]


class Handmade:
    """A file taken apart: its header as text, and its values."""

    def __init__(self, file: bytes) -> None:
        (size,) = struct.unpack("<Q", file[:8])
        self.header = file[8 : 8 + size]
        self.values = file[8 + size :]

    @classmethod
    def saved(cls, ema: EMA, folder: Path) -> "Handmade":
        """What `save` writes."""
        ema.save(folder / "made.safetensors")
        file = (folder / "made.safetensors").read_bytes()
        (folder / "made.safetensors").unlink()
        return cls(file)

    def document(self) -> Json:
        """The books."""
        document: Json = json.loads(json.loads(self.header)["__metadata__"]["shrew_ema"])
        return document

    def with_header(self, edit: Callable[[Json], object]) -> "Handmade":
        """The same with another header."""
        header = json.loads(self.header)
        edit(header)
        return self.with_text(json.dumps(header, separators=(",", ":")))

    def with_document(self, edit: Callable[[Json], object]) -> "Handmade":
        """The same with other books."""
        document = self.document()
        edit(document)
        return self.with_document_text(json.dumps(document, separators=(",", ":")))

    def with_document_text(self, text: str) -> "Handmade":
        """The same with books that say this."""

        def edit(header: Json) -> None:
            header["__metadata__"]["shrew_ema"] = text

        return self.with_header(edit)

    def with_text(self, header: str) -> "Handmade":
        """The same with a header of these letters."""
        made = Handmade.__new__(Handmade)
        made.header, made.values = header.encode(), self.values
        return made

    def with_values(self, values: bytes) -> "Handmade":
        """The same with other values."""
        made = Handmade.__new__(Handmade)
        made.header, made.values = self.header, values
        return made

    def file(self, length: int | None = None) -> bytes:
        """The bytes of the file, with a checksum that is right."""
        header = self.header
        place = header.find(KEY) + len(KEY)
        if place >= len(KEY):
            blank = header[:place] + BLANK + header[place + len(BLANK) :]
            header = blank.replace(KEY + BLANK, KEY + b"%08x" % zlib.crc32(blank), 1)
        return struct.pack("<Q", len(header) if length is None else length) + header + self.values


def model() -> Params:
    """A small model of every class of dtype."""
    return {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "d": np.array([0.5, -2.0]),
        "flag": np.array([True, False, True]),
        "n": np.array(7),
    }


def trained(params: Params, decay: Any = 0.5, **options: Any) -> EMA:  # noqa: ANN401 - whatever an EMA takes
    """An EMA of a model after five updates."""
    ema = EMA(params, decay, **options)
    for _ in range(5):
        params["w"] += 1
        ema.update()
    return ema
