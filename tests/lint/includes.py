#!/usr/bin/python3
"""Who includes whom: downwards only, by the table below (doc/guide.md, "The house")."""
import re

import tree

LEVELS = (
    ("shared/base",),
    ("shared/conf", "shared/shm", "worker/loop", "worker/codec"),
    ("worker/net",),
    ("worker/http",),
    ("worker/store",),
    ("worker/request",),
    ("worker/upstream",),
    ("worker/service",),
    ("worker/policy",),
    ("worker/role",),
    ("master",),
)
LEVEL = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
MASTER_MAY = "worker/role/role.h"
POLICY_TABLE = "worker/policy/table.h"  # the one header of that folder
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)


def folder_of(path):
    """The folder of the table that the file is in: master/command belongs to master."""
    parts = path.split("/")
    return "master" if parts[0] == "master" else "/".join(parts[:2])


def wrong(path, target):
    """What is wrong with an include of `target` in `path`; None: nothing."""
    if target == "config.h":
        return None
    here, there = folder_of(path), folder_of(target)
    if there not in LEVEL:
        return "is not a path from the top, or its folder is not in the table"
    if here.startswith("shared/") and not there.startswith("shared/"):
        return "shared/ includes neither process"
    if here == "master" and there.startswith("worker/") and target != MASTER_MAY:
        return f"of worker/ the master includes {MASTER_MAY} alone"
    if here == "worker/policy" and there == "worker/policy" and target.endswith(".h"):
        if target != POLICY_TABLE:
            return "policies have no headers, and never include each other"
    if here != there and LEVEL[there] >= LEVEL[here]:
        return f"goes up: {here} is below {there}, or beside it"
    return None


def main():
    problems = []
    for path in tree.files("shared", "worker", "master", ends=(".c", ".h", ".def")):
        if folder_of(path) not in LEVEL:
            problems.append(f"{path}: its folder is not in the table of tests/lint/includes.py")
            continue
        for target in INCLUDE.findall(tree.text(path)):
            reason = wrong(path, target)
            if reason:
                problems.append(f'{path}: #include "{target}": {reason}')
    tree.finish(problems)


if __name__ == "__main__":
    main()
