#!/usr/bin/python3
"""Makefile.am lists every source, unit test and fuzz target, and nothing that isn't there."""
import os
import re

import tree


def listed(makefile, name):
    match = re.search(r"^%s =((?:[^\n]*\\\n)*[^\n]*)$" % re.escape(name), makefile, re.M)
    return set(match.group(1).replace("\\", " ").split()) if match else set()


def compare(what, there, named, problems):
    for path in sorted(there - named):
        problems.append(f"Makefile.am: {path} is missing in {what}")
    for path in sorted(named - there):
        problems.append(f"Makefile.am: {what} names {path}, which doesn't exist")


def main():
    makefile = tree.text("Makefile.am")
    problems = []
    sources = set(tree.files("shared", "worker", "master", ends=(".c", ".h", ".def")))
    named = listed(makefile, "libgatehouse_a_SOURCES") | listed(makefile, "gatehouse_SOURCES")
    compare("libgatehouse_a_SOURCES", sources, named, problems)
    for variable, folder, prefix in (("UNIT_TESTS", "tests/unit", "test_"), ("FUZZ_TARGETS", "tests/fuzz", "fuzz_")):
        programs = {
            path[:-2] for path in tree.files(folder, ends=(".c",)) if os.path.basename(path).startswith(prefix)
        }
        compare(variable, programs, listed(makefile, variable), problems)
    tree.finish(problems)


if __name__ == "__main__":
    main()
