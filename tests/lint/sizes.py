#!/usr/bin/python3
"""How long functions and files are: a warning from 60 and 600 lines, a failure over 100 and 800."""
import re

import tree

FUNCTION_WARN, FUNCTION_MOST = 60, 100
FILE_WARN, FILE_MOST = 600, 800
NAME = re.compile(r"(\w+)\s*\(")


def functions(lines):
    """(name, first line, number of lines) of every function of a C file. The style puts a function's braces, and
    nothing else, at the start of a line."""
    start = None
    for number, line in enumerate(lines):
        if line.rstrip() == "{":
            start = number
            while start > 0 and lines[start - 1].strip() and not lines[start - 1].startswith(("}", "#", "/*", " */")):
                start -= 1
        elif line.startswith("}") and start is not None:
            match = NAME.search(" ".join(lines[start : start + 3]))
            yield (match.group(1) if match else "?"), start + 1, number - start + 1
            start = None


def main():
    problems = []
    for path in tree.files(ends=(".c", ".h", ".py", ".sh", "/run")):
        lines = tree.text(path).split("\n")[:-1]
        if len(lines) > FILE_MOST:
            problems.append(f"{path}: {len(lines)} lines: the most is {FILE_MOST}")
        elif len(lines) > FILE_WARN:
            print(f"warning: {path}: {len(lines)} lines")
        if not path.endswith(".c"):
            continue
        for name, line, count in functions(lines):
            if count > FUNCTION_MOST:
                problems.append(f"{path}:{line}: {name}() has {count} lines: the most is {FUNCTION_MOST}")
            elif count > FUNCTION_WARN:
                print(f"warning: {path}:{line}: {name}() has {count} lines")
    tree.finish(problems)


if __name__ == "__main__":
    main()
