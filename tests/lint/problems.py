#!/usr/bin/python3
"""Every problem type that the program answers with is told in doc/problems.md with its status, and no other."""
import re

import tree


def main():
    made = {(kind, status) for status, kind in
            re.findall(r'^PROBLEM\(\w+, (\d+), "([^"]+)"', tree.text("worker/request/problems.def"), re.M)}
    told = set(re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", tree.text("doc/problems.md"), re.M))
    tree.finish([f"doc/problems.md: {kind} ({status}) is {'missing' if (kind, status) in made else 'no problem type'}"
                 for kind, status in sorted(made ^ told)])


if __name__ == "__main__":
    main()
