"""``manifest.json``: which version this is, which files there are, and their checksums.

Owns what makes a directory a saved graph of a version this one can read; opens no other file but to
check it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch

from ...errors import FormatError

VERSION = 8  # of the format; what this reads and writes


def canonical_bytes(manifest: dict[str, Any]) -> bytes:
    """The bytes a manifest's own checksum is taken of."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()


def write_manifest(folder: Path, files: dict[str, Any], minimum_reader: int) -> None:
    """Write the manifest of these files, which are there."""
    from ... import __version__

    manifest: dict[str, Any] = {
        "format": "flexir",
        "version": VERSION,
        "minimum_reader": minimum_reader,
        "producer": f"flextorchir {__version__}",
        "torch": torch.__version__,
        "files": files,
    }
    manifest["sha256"] = hashlib.sha256(canonical_bytes(manifest)).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def read(path: Path) -> tuple[dict[str, Any], str]:
    """The manifest of a directory, and what that holds: ``"graph"`` or ``"program"``.

    Raises:
        FormatError: there is none, or it is not as it should be.
    """
    try:
        text = (path / "manifest.json").read_bytes()
    except OSError as error:
        raise FormatError(f"{path} is no saved graph: {error}") from error
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"manifest.json: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "flexir":
        raise FormatError("manifest.json: 'format' is not 'flexir'")
    minimum = manifest.get("minimum_reader")
    if type(minimum) is not int or minimum > VERSION:
        raise FormatError(
            f"manifest.json: 'minimum_reader' is {minimum!r}; this reads up to {VERSION}. "
            "Install a newer flextorchir."
        )
    if type(manifest.get("version")) is not int or manifest["version"] < 1:
        raise FormatError(f"manifest.json: 'version' is {manifest.get('version')!r}")
    if manifest.get("sha256") != hashlib.sha256(canonical_bytes(manifest)).hexdigest():
        raise FormatError("manifest.json: does not match its own 'sha256'")
    files = manifest.get("files")
    listed = set(files) if isinstance(files, dict) else set()
    kinds = [kind for kind in ("graph", "program") if {f"{kind}.pb", f"{kind}.txt"} <= listed]
    if len(kinds) != 1:
        raise FormatError(
            "manifest.json: 'files' does not list graph.pb and graph.txt (or program.pb and "
            "program.txt) alone"
        )
    return manifest, kinds[0]


def check_file(path: Path, name: str, entry: Any) -> None:
    """Raise FormatError unless a file is there, inside the directory, as the manifest says."""
    if os.path.basename(name) != name or name in ("", ".", "..") or "\0" in name:
        raise FormatError(f"manifest.json: the file name {name!r} leaves the directory")
    file = path / name
    if file.is_symlink() or not file.is_file():
        raise FormatError(f"{name}: missing, or no plain file")
    if not isinstance(entry, dict) or entry.get("size") != file.stat().st_size:
        raise FormatError(f"{name}: {file.stat().st_size} bytes; manifest.json says {entry!r:.99}")
    with file.open("rb") as opened:
        if "sha256" in entry:
            what, digest = "its content", hashlib.sha256(opened.read()).hexdigest()
        else:
            size = int.from_bytes(opened.read(8), "little")
            if size > file.stat().st_size - 8:
                raise FormatError(f"{name}: its header is longer than the file")
            opened.seek(0)
            what, digest = "its header", hashlib.sha256(opened.read(8 + size)).hexdigest()
    if digest != entry.get("sha256", entry.get("header_sha256")):
        raise FormatError(f"{name}: {what} does not match the SHA-256 in manifest.json")
