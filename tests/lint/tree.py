"""The files of the project, for the checks: what a checkout holds, without what was built in it."""
import os

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILT = {".git", "build", "build-aux", "autom4te.cache", "__pycache__", ".deps"}
CODE = ("shared", "worker", "master", "tests/unit", "tests/fuzz")


def files(*tops, ends=()):
    """Paths below the root, sorted; below `tops` if there are any, and with one of the endings if any are given."""
    found = []
    for top in tops or (".",):
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = sorted(name for name in folders if name not in BUILT)
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                if not ends or path.endswith(tuple(ends)):
                    found.append(path)
    return sorted(found)


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def is_text(path):
    with open(os.path.join(ROOT, path), "rb") as file:
        start = file.read(4096)
    return b"\0" not in start


def finish(problems):
    """Prints the problems; the exit status says whether there were any."""
    for problem in problems:
        print(problem)
    raise SystemExit(1 if problems else 0)
