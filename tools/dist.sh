#!/usr/bin/env bash
# Both programs for both systems, each one file that needs nothing beside it, and their checksums: dist/.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
# Archives, and with them checksums, should not depend on where they were made.
remap="--remap-path-prefix=$PWD= --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}="
target=${CARGO_TARGET_DIR:-$PWD/target}
programs=(lanspread lanspread-peer-cli)
rm -rf dist
mkdir dist

linux() {
    local triple=x86_64-unknown-linux-gnu out=dist/lanspread-$version-linux-x86_64
    # With a target named, the flags are not for build scripts and macros, which cannot be static.
    RUSTFLAGS="-C target-feature=+crt-static $remap" \
        cargo build --profile dist --target $triple "${programs[@]/#/--package=}"
    mkdir "$out"
    for program in "${programs[@]}"; do
        install "$target/$triple/dist/$program" "$out/"
        if readelf --dynamic "$out/$program" | grep NEEDED; then
            echo "$program is not static" >&2
            exit 1
        fi
    done
}

windows() {
    local triple=x86_64-pc-windows-gnu out=dist/lanspread-$version-windows-x86_64 foreign
    WINDOWS_RUSTFLAGS="-C target-feature=+crt-static $remap" \
        tools/windows.sh build --profile dist "${programs[@]/#/--package=}"
    mkdir "$out"
    for program in "${programs[@]}"; do
        install "$target/windows/$triple/dist/$program.exe" "$out/"
        # What comes with the compiler is no part of Windows: libgcc_s_seh-1.dll, libwinpthread-1.dll, libstdc++-6.dll.
        foreign=$(x86_64-w64-mingw32-objdump --private-headers "$out/$program.exe" | grep 'DLL Name: lib' || true)
        if [ -n "$foreign" ]; then
            echo "$program.exe is not static: $foreign" >&2
            exit 1
        fi
    done
}

(linux)
(windows)
cd dist
sha256sum */* >SHA256SUMS
cat SHA256SUMS
ls -l --block-size=1 */* | awk '{ printf "%11d bytes  %s\n", $5, $NF }'
