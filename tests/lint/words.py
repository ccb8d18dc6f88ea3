#!/usr/bin/python3
"""Words that a finished product doesn't have: notes to oneself, promises, and paths of one machine."""
import os
import re

import tree

# Each in two pieces, so that it stands nowhere, here neither.
NOTES = [a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("HA", "CK"), ("W", "IP"), ("T", "BD"))]
WORDS = re.compile(
    r"\b(" + "|".join(NOTES) + r")\b"
    r"|\b[Nn]ot (yet )?implemented\b|(?i:\bplace-?holder|\bstub(s|bed)?\b|\blorem ipsum\b"
    r"|\bfor" r" now\b|\bcoming soon\b|\bquick hack\b|\bdebug only\b)"
    r"|\b[Uu]nimplemented\b"  # in capitals it is a status of gRPC
    r"|(?<![\w./-])/(work|home|root)/"
)
SELF = os.path.relpath(os.path.abspath(__file__), tree.ROOT)


def main():
    problems = []
    for path in tree.files():
        if path == SELF or path == "LICENSE" or "/corpus/" in path or path.startswith(tuple(made())):
            continue
        if not tree.is_text(path):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            match = WORDS.search(line)
            if match:
                problems.append(f"{path}:{number}: {match.group(0).strip()!r}: {line.strip()[:100]}")
    tree.finish(problems)


def made():
    """What autogen.sh and configure make in the checkout."""
    return ("Makefile.in", "aclocal.m4", "config.", "configure~", "Makefile~", "configure") + ("stamp-h",)


if __name__ == "__main__":
    main()
