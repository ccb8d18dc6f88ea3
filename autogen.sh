#!/bin/sh
# Makes ./configure from configure.ac. Needs autoconf and automake (Debian: the packages of these names).
set -e
cd "$(dirname "$0")"
for tool in autoconf automake; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "autogen.sh: $tool is missing: apt-get install $tool" >&2
        exit 1
    fi
done
mkdir -p build-aux
exec autoreconf --install --force
