# What people do here, as one-liners. `just` lists them.

default:
    @just --list --unsorted

# three peers share, a fourth fetches a game from two of them, installs it and checks every byte
demo *ARGS:
    cargo run --release -p lanspread -- demo {{ARGS}}

# all tests of all crates, the scenario suite among them
test *ARGS:
    cargo test --workspace {{ARGS}}

# the page's tests, in a real Chromium (Debian: apt-get install chromium chromium-driver)
page-tests *ARGS:
    cargo test -p lanspread --test browser -- {{ARGS}}

# the lints, as strict as in CI
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

fmt:
    cargo fmt --all

# all that CI demands
ci:
    .ci/run

# the scriptable peer, optimised
peer-cli-build:
    cargo build --release -p lanspread-peer-cli

# the scenario suite: real processes on loopback addresses
peer-cli-tests *ARGS:
    cargo test -p lanspread-peer-cli {{ARGS}}

# the same in network namespaces: each peer with its own address and cable on one switch (root, or user namespaces)
peer-cli-tests-netns *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    export LANSPREAD_LAB=netns
    # Built first, because there is no network in there.
    cargo test -p lanspread-peer-cli --test scenarios --no-run
    run=(cargo test --offline -p lanspread-peer-cli --test scenarios -- {{ARGS}})
    [ "$(id -u)" = 0 ] && exec "${run[@]}"
    # `ip netns` keeps its names below /run, so it gets one of its own.
    exec unshare --user --map-root-user --net --mount sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' sh "${run[@]}"

# the image of the scriptable peer: one static program and nothing else, made without any registry
peer-cli-image PROFILE="release":
    #!/usr/bin/env bash
    set -euo pipefail
    works() { command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1; }
    if works podman; then engine=podman; elif works docker; then engine=docker; else
        echo "neither podman nor docker works here. On Debian: apt-get install podman netavark aardvark-dns," >&2
        echo "or docker.io with its daemon running. What each says:" >&2
        for engine in podman docker; do
            command -v $engine >/dev/null || { echo "  $engine: not installed" >&2; continue; }
            $engine info 2>&1 >/dev/null | tail -1 | sed "s/^/  $engine: /" >&2
        done
        exit 1
    fi
    host=$(rustc --version --verbose | sed -n 's/^host: //p')
    # With a target named, the flags are not for build scripts and macros, which cannot be static.
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --profile {{PROFILE}} --target "$host" -p lanspread-peer-cli
    built=${CARGO_TARGET_DIR:-target}/$host/{{ if PROFILE == "dev" { "debug" } else { PROFILE } }}
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    cp "$built/lanspread-peer-cli" "$folder/"
    printf 'FROM scratch\nCOPY lanspread-peer-cli /\nENTRYPOINT ["/lanspread-peer-cli"]\n' >"$folder/Dockerfile"
    $engine build --tag localhost/lanspread-peer-cli "$folder"

# the scenario suite with each peer in a container of that image (podman or docker)
peer-cli-tests-container *ARGS: peer-cli-image
    LANSPREAD_LAB=container cargo test -p lanspread-peer-cli --test scenarios -- {{ARGS}}

# every scenario against each fault that it claims to notice; without a filter it writes docs/teeth.md
teeth *ARGS:
    LANSPREAD_TEETH=1 {{ if ARGS == "" { 'LANSPREAD_TEETH_REPORT="$PWD/docs/teeth.md"' } else { "" } }} \
        cargo test --target-dir target/teeth -p lanspread-peer-cli --features sabotage --test scenarios -- {{ARGS}}

# the whole scenario suite N times with two busy loops beside it, to find what fails now and then (docs/flakes.md)
flakes N="10" *ARGS:
    #!/usr/bin/env bash
    set -uo pipefail
    cargo test -p lanspread-peer-cli --test scenarios --no-run || exit 1
    for _ in 1 2; do (while :; do :; done) & loops+=($!); done
    trap 'kill "${loops[@]}"' EXIT
    mkdir -p target/flakes
    red=0
    for run in $(seq {{N}}); do
        log=target/flakes/run-$run.log
        if cargo test -q -p lanspread-peer-cli --test scenarios -- {{ARGS}} >"$log" 2>&1; then
            echo "run $run: green, $(sed -n 's/^test result.*finished in //p' "$log" | tail -1)"; rm "$log"
        else
            red=$((red + 1)); echo "run $run: RED, see $log"; sed -n 's/^---- \(.*\) ----$/  \1/p' "$log"
        fi
    done
    echo "$red of {{N}} runs were red"
    [ $red = 0 ]

# a peer of its own to type JSON commands at; its games and state are kept in target/peer-cli/NAME/
peer-cli-run NAME *ARGS:
    mkdir -p target/peer-cli/{{NAME}}/games target/peer-cli/{{NAME}}/state
    cargo run --release -p lanspread-peer-cli -- --name {{NAME}} --games-dir target/peer-cli/{{NAME}}/games --state-dir target/peer-cli/{{NAME}}/state {{ARGS}}

# a simulated party, such as: just sim --peers 64 --seed 7
sim *ARGS:
    cargo run --release -p lanspread-sim -- {{ARGS}}

# every fuzz target, so many seconds each (docs/fuzzing.md)
fuzz SECONDS="60":
    LANSPREAD_FUZZ_SECONDS={{SECONDS}} cargo test --release -p lanspread-fuzz --test targets -- --nocapture

# the benchmarks (docs/benchmarks.md); all need root, for network namespaces with shaped links, except bench-hash
# one seed and six receivers at 100 Mbit/s, beside aria2, libtorrent and one HTTP server
bench-swarm *ARGS:
    cargo run --release -p lanspread-bench -- swarm {{ARGS}}

# one source, one receiver, beside plain TCP, a bare copy, HTTP and scp
bench-link *ARGS:
    cargo run --release -p lanspread-bench -- link {{ARGS}}

# CPU per gigabyte at both ends, beside QUIC
bench-cpu *ARGS:
    cargo run --release -p lanspread-bench --features quic -- cpu {{ARGS}}

# from the click until the game can be played; `--receivers 6 --mib 342 --rate 100` for a whole room
bench-play *ARGS:
    cargo run --release -p lanspread-bench -- play {{ARGS}}

# a receiver is killed again and again, in mid-download and in mid-install, such as: just bench-kill --kills 200 --seed 7
bench-kill *ARGS:
    cargo run -p lanspread-bench -- kill {{ARGS}}

# BLAKE3 over chunks
bench-hash *ARGS:
    cargo run --release -p lanspread-bench -- hash {{ARGS}}

# the page in Chromium: first paint, weight, long tasks while 1,000 games change (docs/page.md)
bench-page RUNS="10":
    LANSPREAD_PAGE_FIGURES={{RUNS}} cargo test --release -p lanspread --test browser

# the competitor that comes from PyPI, into target/
bench-prepare:
    python3 -m venv target/bench/venv
    target/bench/venv/bin/pip install --quiet libtorrent
