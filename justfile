# What people do here, as one-liners. `just` lists them.

default:
    @just --list --unsorted

# three peers share, a fourth fetches a game from two of them, installs it and checks every byte
demo *ARGS:
    cargo run --release -p lanspread -- demo {{ARGS}}

# all tests of all crates, the scenario suite among them
test *ARGS:
    cargo test --workspace {{ARGS}}

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

# a peer of its own to type JSON commands at; its games and state are kept in target/peer-cli/NAME/
peer-cli-run NAME *ARGS:
    mkdir -p target/peer-cli/{{NAME}}/games target/peer-cli/{{NAME}}/state
    cargo run --release -p lanspread-peer-cli -- --name {{NAME}} --games-dir target/peer-cli/{{NAME}}/games --state-dir target/peer-cli/{{NAME}}/state {{ARGS}}

# a simulated party, such as: just sim --peers 64 --seed 7
sim *ARGS:
    cargo run --release -p lanspread-sim -- {{ARGS}}

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

# BLAKE3 over chunks
bench-hash *ARGS:
    cargo run --release -p lanspread-bench -- hash {{ARGS}}

# the competitor that comes from PyPI, into target/
bench-prepare:
    python3 -m venv target/bench/venv
    target/bench/venv/bin/pip install --quiet libtorrent
