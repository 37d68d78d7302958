#!/bin/sh
# Installs what building and running need besides Rust: a C compiler and a PostgreSQL server (14 or
# newer). Does nothing when both are there. Says what it does; when it may not or cannot, it prints one
# line that says what to install and exits with 1.
#
# With the argument `rust-components` it makes sure of cargo fmt and cargo clippy instead.
set -eu

MIN_MAJOR=14

fail() {
    echo "setup: $*" >&2
    exit 1
}

have_compiler() {
    probe=$(mktemp) || fail "cannot make a temporary file"
    status=0
    echo '#include <stdlib.h>
int main(void) { return 0; }' | cc -x c -o "$probe" - 2>/dev/null || status=1
    rm -f "$probe"
    return $status
}

# The same places that the program searches.
server_dirs() {
    echo "$PATH" | tr ':' '\n'
    pg_config --bindir 2>/dev/null || true
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/local/pgsql/bin; do
        echo "$dir"
    done
}

have_server() {
    server_dirs | while IFS= read -r dir; do
        [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] || continue
        major=$("$dir/postgres" --version 2>/dev/null | sed -n 's/^.*(PostgreSQL) \([0-9]*\).*$/\1/p')
        if [ "${major:-0}" -ge "$MIN_MAJOR" ]; then
            echo yes
            break
        fi
    done | grep -q yes
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# The package manager, and what it calls the two things.
choose_manager() {
    if have apt-get; then
        manager=apt-get compiler="gcc libc6-dev" server=postgresql
    elif have dnf; then
        manager=dnf compiler=gcc server=postgresql-server
    elif have apk; then
        manager=apk compiler="gcc musl-dev" server=postgresql
    elif have pacman; then
        manager=pacman compiler=gcc server=postgresql
    elif have brew; then
        manager=brew compiler=gcc server=postgresql@17
    else
        manager=none compiler="a C compiler" server="a PostgreSQL server ($MIN_MAJOR or newer)"
    fi
}

install_command() {
    case $manager in
    apt-get) echo "apt-get install -y" ;;
    dnf) echo "dnf install -y" ;;
    apk) echo "apk add" ;;
    pacman) echo "pacman -S --noconfirm --needed" ;;
    brew) echo "brew install" ;;
    esac
}

# Sets `become` to what goes before a command that needs root; fails when there is nothing.
choose_become() {
    become=
    if [ "$manager" = brew ] || [ "$(id -u)" = 0 ]; then
        return 0
    fi
    if have sudo && sudo -n true 2>/dev/null; then
        become="sudo -n"
        return 0
    fi
    return 1
}

install() {
    log=$(mktemp) || fail "cannot make a temporary file"
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    if [ "$manager" = apt-get ]; then
        # The lists of a fresh machine are empty; a stale one of some other source does not matter.
        $become apt-get update >"$log" 2>&1 || true
    fi
    # Unquoted, because both are lists of words.
    # shellcheck disable=SC2046,SC2086
    $become $(install_command) $missing >"$log" 2>&1
}

install_missing() {
    missing=
    choose_manager
    have_compiler || missing="$compiler"
    have_server || missing="${missing:+$missing }$server"
    [ -n "$missing" ] || return 0

    [ "$manager" != none ] || fail "no known package manager here: install $missing"
    choose_become || fail "this needs root, and sudo does not work without a password: as root, run: $(install_command) $missing"
    echo "setup: installing $missing with $manager"
    install || fail "$manager failed ($(tail -n 1 "$log")): install $missing"
    have_compiler || fail "there is still no working C compiler (cc): install one"
    have_server || fail "there is still no PostgreSQL server: install version $MIN_MAJOR or newer"
}

add_rust_components() {
    for component in fmt clippy; do
        cargo $component --version >/dev/null 2>&1 && continue
        name=$component
        [ $component = clippy ] || name=rustfmt
        have rustup || fail "cargo $component is missing: install $name"
        echo "setup: adding $name with rustup"
        rustup component add "$name" >/dev/null 2>&1 || fail "rustup component add $name failed: install $name"
    done
}

have cargo || fail "cargo is missing: install Rust, see https://rustup.rs"
case ${1-} in
"") install_missing ;;
rust-components) add_rust_components ;;
*) fail "unknown argument $1, allowed: rust-components, or none" ;;
esac
