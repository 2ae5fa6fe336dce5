"""Licences told from their texts, where a package's metadata names none."""

import re
from pathlib import Path

# What a licence's text is known by.
PHRASES = {
    "Apache-2.0": r"apache license,? version 2\.0",
    "MPL-2.0": r"mozilla public license,? (version|v\.) ?2\.0",
    "MIT": r"permission is hereby granted, free of charge, to any person obtaining a copy",
    "ISC": r"permission to use, copy, modify, and(/or)? distribute this software for any purpose with or without fee",
    "Unlicense": r"this is free and unencumbered software released into the public domain",
    "CC0-1.0": r"cc0 1\.0 universal",
    "CC-BY-4.0": r"creative commons attribution 4\.0 international",
    "CC-BY-SA-4.0": r"creative commons attribution-sharealike 4\.0 international",
    "BSL-1.0": r"boost software license - version 1\.0",
    "Zlib": r"this software is provided 'as-is', without any express or implied warranty",
    "BUSL-1.1": r"business source license 1\.1",
    "EPL-2.0": r"eclipse public license - v 2\.0",
    "AGPL-3.0-only": r"gnu affero general public license version 3, ",
    "LGPL-3.0-only": r"gnu lesser general public license version 3, ",
    "LGPL-2.1-only": r"gnu lesser general public license version 2\.1, ",
    "GPL-3.0-only": r"gnu general public license version 3, ",
    "GPL-2.0-only": r"gnu general public license version 2, ",
}
BSD = r"redistributions of source code must retain the above copyright"
BSD_3 = r"(used to endorse or promote products|may be used to endorse)"
FILE = re.compile(r"(licen[cs]e|copying|unlicense)([.-].*)?", re.IGNORECASE)


def told_by(text: str) -> list[str]:
    """The licences (SPDX ids) whose texts are in a file."""
    words = " ".join(re.sub(r"[\"“”`]", "'", text).replace("''", "'").lower().split())
    found = {name for name, phrase in PHRASES.items() if re.search(phrase, words)}
    if re.search(BSD, words):
        found.add("BSD-3-Clause" if re.search(BSD_3, words) else "BSD-2-Clause")
    return sorted(found)


def of_folder(folder: Path) -> list[str]:
    """The licences whose texts are in a folder's licence files."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and FILE.fullmatch(file.name)]
    return sorted({name for file in files for name in told_by(file.read_text(errors="replace"))})
