#!/usr/bin/env bash
# lanspread for Windows from Debian 12 or newer: checked, built, and tried under Wine.
#
#   tools/windows.sh check   [ARGS]    cargo check
#   tools/windows.sh clippy  [ARGS]    cargo clippy
#   tools/windows.sh build   [ARGS]    cargo build
#   tools/windows.sh test    [ARGS]    cargo test, every test program under Wine
#   tools/windows.sh mixed             a Windows peer and a Linux peer exchange games
#   tools/windows.sh wine PROGRAM ...  any program under the same Wine
#
# rustup needs a download server for another target's standard library. Where there is none, Debian has what it takes: a
# compiler together with the source of its standard library (the packages that browsers are built with, *-web), from
# which the library is made here once. Needs root for the packages, if they are missing.
#
# Ends with 77 where the tools cannot be had; nothing was checked then.
set -euo pipefail
# Else what fails within $(...) would go on.
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

TARGET=x86_64-pc-windows-gnu
CC=x86_64-w64-mingw32-gcc-posix
# Apart from the other builds: another compiler would make each rebuild what the other has made.
BUILT=${CARGO_TARGET_DIR:-$PWD/target}/windows
# The standard library is kept for the whole machine, so that a clean clone does not make it again.
HOME_OF_TOOLS=${LANSPREAD_WINDOWS:-${XDG_CACHE_HOME:-$HOME/.cache}/lanspread-windows}

unavailable() {
    echo "tools/windows.sh: $*" >&2
    exit 77
}

# Installs those of the packages that are missing.
packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || unavailable "no Debian, and these are missing: ${missing[*]}"
    [ "$(id -u)" = 0 ] || unavailable "these packages are missing, and only root can install them: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { apt-get -o DPkg::Lock::Timeout=300 update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
            install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -5 "$log" >&2
        unavailable "these packages cannot be installed: ${missing[*]}"
    fi
    rm "$log"
}

# The project's own toolchain is of another version, so Debian's is named in full.
debians() {
    # Flags from outside would take the place of ours.
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc "$@"
}

# The standard library: as metadata, which is all that a check needs and quick to make, or whole.
# $1: check or build. Prints the folder that stands in the place of the compiler's own.
sysroot() {
    local how=$1 version root dummy
    version=$(/usr/bin/rustc --version)
    root=$HOME_OF_TOOLS/sysroot-$how
    if [ "$(cat "$root/made-by" 2>/dev/null)" != "$version" ]; then
        echo "the standard library for $TARGET ($how), by $version ..." >&2
        rm -rf "$root"
        dummy=$(mktemp -d)
        mkdir -p "$dummy/src" "$root/lib/rustlib/$TARGET/lib"
        : >"$dummy/src/lib.rs"
        printf '[package]\nname = "nothing"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$dummy/Cargo.toml"
        # What only nightly compilers may do, every compiler may with this; it is for the standard library alone.
        (cd "$dummy" && debians env RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$dummy/target" \
            cargo "$how" --quiet --release -Zbuild-std=std,panic_abort,test --target $TARGET) >&2
        find "$dummy/target/$TARGET/release/deps" \( -name '*.rlib' -o -name '*.rmeta' \) ! -name '*nothing*' \
            -exec cp -t "$root/lib/rustlib/$TARGET/lib" {} +
        # Where a library is whole, its metadata alone would only be in the way.
        [ "$how" = check ] || rm -f "$root/lib/rustlib/$TARGET/lib/"*.rmeta
        rm -rf "$dummy"
        echo "$version" >"$root/made-by"
    fi
    echo "$root"
}

# $1: check or build, as above; the rest is a cargo command. Its own arguments may end with some for the tests or clippy,
# so ours come first.
windows_cargo() {
    local root command=$2 quick=()
    root=$(sysroot "$1")
    # Where nothing is run, optimised macros and build scripts would take longer to make than they save.
    [ "$1" = build ] || quick=(--config 'profile.dev.package."*".opt-level=0')
    shift 2
    debians env CARGO_TARGET_DIR="$BUILT" \
        CC_x86_64_pc_windows_gnu=$CC AR_x86_64_pc_windows_gnu=x86_64-w64-mingw32-ar \
        CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=$CC \
        CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot $root ${WINDOWS_RUSTFLAGS:-}" \
        CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="$PWD/tools/windows.sh wine" \
        cargo "$command" --target $TARGET "${quick[@]}" "$@"
}

compiler() {
    packages rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-posix "$@"
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(/usr/bin/rustc --version | cut -d' ' -f2)
    # The older of the two must be the one that is wanted.
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)" = "$wanted" ] ||
        unavailable "Debian's rustc is $found, and $wanted is the least that this project compiles with"
}

# Wine with a prefix of our own, and the one library that Rust's standard library asks for and Wine 8 does not have.
wine_ready() {
    WINE=$(command -v wine64 || command -v wine || echo /usr/lib/wine/wine64)
    export WINEPREFIX=${WINEPREFIX:-$HOME_OF_TOOLS/wine} WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES='mscoree,mshtml='
    local dll=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
    [ -e "$dll" ] && return
    mkdir -p "$HOME_OF_TOOLS"
    exec {lock}>"$HOME_OF_TOOLS/lock"
    flock $lock
    if [ ! -e "$dll" ]; then
        timeout 300 "$WINE" wineboot --init </dev/null >/dev/null 2>&1 || true
        $CC -O2 -shared -s -o "$dll.new" tools/bcryptprimitives.c -ladvapi32
        mv "$dll.new" "$dll"
    fi
    exec {lock}>&-
}

# Wine's services live on behind the first program and hold its pipes open, so that whoever reads them waits for ever.
# So they are started here, without any.
wine_up() {
    local server
    server=$(command -v wineserver || echo /usr/lib/wine/wineserver)
    "$server" --persistent=300 </dev/null >/dev/null 2>&1 || true
    "$WINE" wineboot </dev/null >/dev/null 2>&1 || true
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
check)
    compiler
    windows_cargo check check "$@"
    ;;
clippy)
    compiler rust-web-clippy
    windows_cargo check clippy "$@"
    ;;
build)
    compiler
    windows_cargo build build "$@"
    ;;
test)
    compiler wine64
    wine_ready
    wine_up
    # Some scenarios demand unit tests, and cargo cannot be asked for them from under Wine.
    [ ! -d "$BUILT/$TARGET/debug/deps" ] || export LANSPREAD_UNIT_TESTS=$BUILT/$TARGET/debug/deps
    windows_cargo build test "$@"
    ;;
mixed)
    compiler wine64
    wine_ready
    wine_up
    windows_cargo build build --package lanspread-peer-cli
    LANSPREAD_WINDOWS_PEER=$BUILT/$TARGET/debug/lanspread-peer-cli.exe \
        cargo test --package lanspread-peer-cli --test mixed "$@"
    ;;
wine)
    wine_ready
    exec "$WINE" "$@"
    ;;
*)
    sed -n 's/^# \{0,1\}//p' "$0" | sed -n 2,10p >&2
    exit 2
    ;;
esac
