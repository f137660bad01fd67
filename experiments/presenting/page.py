"""A document as one HTML page that needs nothing but itself: style and pictures are in it, and no script."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rlprune.errors import RunError
from rlprune.experiments.presenting.document import Document, spans


def to_html(document: Document) -> str:
    """The page.

    Raises:
        RunError: a picture cannot be read.
    """
    loader = PackageLoader("rlprune.experiments.presenting", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"spans": spans, "data_uri": _data_uri}
    return environment.get_template("page.html.jinja").render(document=document)


def _data_uri(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as reason:
        raise RunError(f"Cannot read {path}: {reason.strerror or reason}.") from reason
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
