# shellcheck shell=bash
# Functions for etc/demo/run and tests/run: install what is lacking, build out of tree. Sourced; the caller sets
# `root`, the checkout. Everything that is made lies in $root/build, but for what autogen.sh makes.

build_folder=$root/build

say() { printf '%s\n' "$*" >&2; }

packages_of() { # GROUP: its packages
    sed -n "s/^$1: //p" "$root/etc/packages"
}

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs without starting any service, and puts the machine's own policy back.
apt_install() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    else
        policy=
    fi
    apt-get update -q </dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null || status=1
    [ -z "$policy" ] || rm -f "$policy"
    return "$status"
}

need_packages() { # GROUP …: installs what is lacking of them
    local group package lacking=()
    for group in "$@"; do
        for package in $(packages_of "$group"); do
            package_installed "$package" || lacking+=("$package")
        done
    done
    [ ${#lacking[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "these packages are missing, and only root can install them: apt-get install ${lacking[*]}"
        return 1
    fi
    say "installing: ${lacking[*]}"
    mkdir -p "$build_folder/log"
    if ! apt_install "${lacking[@]}" >"$build_folder/log/packages.log" 2>&1; then
        tail -n 20 "$build_folder/log/packages.log" >&2
        return 1
    fi
}

make_configure() { # ./configure, when it is older than what it is made from
    if [ "$root/configure" -nt "$root/configure.ac" ] && [ "$root/Makefile.in" -nt "$root/Makefile.am" ] &&
        [ "$root/Makefile.in" -nt "$root/configure.ac" ]; then
        return 0
    fi
    "$root/autogen.sh"
}

build_in() { # FOLDER TARGET [CONFIGURE ARGUMENT …]: $build_folder/FOLDER; what is said goes to log/FOLDER.log
    local folder=$build_folder/$1 log=$build_folder/log/$1.log target=$2
    shift 2
    mkdir -p "$folder" "$build_folder/log"
    if ! {
        make_configure &&
            cd "$folder" &&
            if [ ! -e Makefile ] || [ "$root/configure" -nt config.status ]; then
                "$root/configure" --prefix="$folder/installed" "$@"
            fi &&
            make -j "$(nproc)" "$target" && cd "$root"
    } >"$log" 2>&1 </dev/null; then
        cd "$root" || return 1
        grep -E 'error|Error|missing|\*\*\*' "$log" | head -n 20 >&2
        say "the whole of it: $log"
        return 1
    fi
}
