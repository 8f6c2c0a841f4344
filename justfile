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

# form, scripts, styles and generated types of the page, as in CI; `--write` brings form and types up to date
page-check *ARGS:
    tools/page-check {{ARGS}}

# the pictures of the page's dialogs, in the dark and in the light (docs/security.md)
page-pictures DIR="docs/img":
    LANSPREAD_PAGE_PICTURES={{DIR}} cargo test -p lanspread --test browser

# the lints, as strict as in CI
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

fmt:
    cargo fmt --all

# all that CI demands
ci:
    .ci/run

# both programs for Linux and Windows, each one file, with checksums, in dist/
dist:
    tools/dist.sh

# the programs for Windows are checked, as in CI (docs/windows.md)
windows-check *ARGS:
    tools/windows.sh check --workspace --all-targets {{ARGS}}

# tests of the Windows target under Wine, such as: just windows-tests -p lanspread-store
windows-tests *ARGS:
    tools/windows.sh test {{ARGS}}

# the scriptable peer, optimised
peer-cli-build:
    cargo build --release -p lanspread-peer-cli

# the scenario suite with each peer in a container of the image (podman or docker)
peer-cli-tests *ARGS: peer-cli-image
    LANSPREAD_LAB=container cargo test -p lanspread-peer-cli --test scenarios -- {{ARGS}}

# the same with real processes on loopback addresses, as in CI
peer-cli-tests-local *ARGS:
    cargo test -p lanspread-peer-cli --test scenarios -- {{ARGS}}

# the same in network namespaces: each peer with its own address and cable on one switch (root, or user namespaces)
peer-cli-tests-netns *ARGS:
    tools/netns-tests {{ARGS}}

# the image of the scriptable peer: one static program and nothing else, made without any registry
peer-cli-image PROFILE="release":
    tools/peer-cli-image {{PROFILE}}

# the HTTP interface against its own OpenAPI document, judged by schemathesis (SEED and EXAMPLES choose what is tried)
api-judge *ARGS:
    tools/api-judge {{ARGS}}

# every scenario, or one, against each fault that it claims to notice; writes what it ran to docs/testing/teeth-report.md
teeth *ARGS:
    tools/teeth {{ARGS}}

# the whole scenario suite N times with two busy loops beside it, to find what fails now and then (docs/testing/flakes.md)
flakes N="10" *ARGS:
    tools/flakes {{N}} {{ARGS}}

# a peer of its own to type JSON commands at; its games and state are kept in target/peer-cli/NAME/
peer-cli-run NAME *ARGS:
    mkdir -p target/peer-cli/{{NAME}}/games target/peer-cli/{{NAME}}/state
    cargo run --release -p lanspread-peer-cli -- --name {{NAME}} --games-dir target/peer-cli/{{NAME}}/games --state-dir target/peer-cli/{{NAME}}/state {{ARGS}}

# a simulated party, such as: just sim --peers 64 --seed 7
sim *ARGS:
    cargo run --release -p lanspread-sim -- {{ARGS}}

# every fuzz target, so many seconds each (docs/testing/fuzzing.md)
fuzz SECONDS="60":
    LANSPREAD_FUZZ_SECONDS={{SECONDS}} cargo test --release -p lanspread-fuzz --test targets -- --nocapture

# the same under libFuzzer, which follows coverage, such as: just fuzz-guided 600 manifest
fuzz-guided *ARGS:
    tools/fuzz {{ARGS}}

# the benchmarks (docs/benchmarks.md); all need root, for network namespaces with shaped links, except bench-hash
# one seed and six receivers at 100 Mbit/s, beside aria2, libtorrent and one HTTP server; other rooms such as:
# just bench-swarm --situations mass --receivers 16,33 --rates 25,50 --queue-ms 20,50,200 --groups 4
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

# from the start of a peer until all see each other
bench-find *ARGS:
    cargo build --release -p lanspread-peer-cli
    cargo run --release -p lanspread-bench -- find {{ARGS}}

# a game of 100,000 small files, beside tar through a pipe
bench-files *ARGS:
    cargo run --release -p lanspread-bench -- files {{ARGS}}

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
