"""Settling how an upload is read, from its first bytes: what its parameters leave open, and what it says itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from jobsvc.kinds.context import Readable
from jobsvc.kinds.csv.detection import NAMES, detected_delimiter
from jobsvc.kinds.csv.encodings import UTF_8
from jobsvc.kinds.csv.format import MAX_ROW_BYTES
from jobsvc.kinds.csv.header import read_header, read_opening
from jobsvc.kinds.csv.params import AUTO, UploadParams
from jobsvc.kinds.errors import BadUpload, JobFailed

P = TypeVar("P", bound=UploadParams)


@dataclass(frozen=True)
class Settled(Generic[P]):
    """Parameters as they fit the file, the file's columns, and what its owner should know."""

    params: P
    columns: list[str]
    warnings: Sequence[str]


def settled(params: P, upload: Readable) -> Settled[P]:
    """Look at the beginning of an upload. Raises BadUpload if its header can't be read."""
    warnings = []
    with upload.open("rb") as file:
        form = params.form(MAX_ROW_BYTES)
        opening = read_opening(file)
        if opening.marked and params.encoding != UTF_8:
            params = params.model_copy(update={"encoding": UTF_8})
            warnings.append("a byte order mark says that the file is UTF-8: it is read so")
        if opening.separator is not None or params.delimiter == AUTO:
            found = detected_delimiter(file, form)
            if found not in (",", params.delimiter):
                why = "the file names its delimiter" if opening.separator else "the delimiter was detected"
                warnings.append(f"{why}: {NAMES.get(found, found)}")
            params = params.model_copy(update={"delimiter": found})
        try:
            columns = read_header(file, params.form(MAX_ROW_BYTES)).columns
        except JobFailed as error:
            raise BadUpload(str(error)) from None
    return Settled(params, columns, warnings)
