# Everything here is a shorthand: `cargo demo` and `cargo test` need no just.
# `pip install rust-just` brings it.

# List the recipes
default:
    @just --list

# Show the main job on an embedded cluster
demo *ARGS:
    cargo demo -- {{ARGS}}

# Run all tests
test *ARGS:
    cargo test {{ARGS}}

# Run one file of end-to-end tests, such as `just e2e lifecycle`
e2e FILE *ARGS:
    cargo test --package duckworker-e2e --test {{FILE}} -- {{ARGS}}

# Format and lint
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings
    .ci/deny

# Write crds/ and the samples anew from the Rust types
generate:
    cargo run --package duckworker-api --bin crdgen

# Try: so many claims at once on a pool of 10 are all served in the end
crowd CLAIMS="5000":
    DUCKWORKER_CROWD={{CLAIMS}} cargo test --package duckworker-e2e --test claims many_more -- --nocapture

# Measure: 500 workers to Idle against the same writes, raw
bench-spawn *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-spawn -- {{ARGS}}

# Measure: claims by the library against the same status PUTs, raw
bench-claim *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-claim -- {{ARGS}}

# Measure: tenants' claims as an open loop, to Ready, against the same writes, raw (minutes; see --help)
bench-claims *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-claims -- {{ARGS}}

# Measure: a controller of ten thousand workers at rest: memory, start, writes
bench-scale *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-scale -- {{ARGS}}

# Measure: a controller of three is killed; the time until its workers are adopted
bench-failover *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-failover -- {{ARGS}}

# Measure: apply to Hot with real DuckDB workers on a real node, stage by stage (needs root)
bench-real *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-real -- {{ARGS}}

# Measure: the janitor sweeps 5 000 secrets and 2 000 pods while claims run, against raw deletions
bench-sweep *ARGS:
    cargo run --release --package duckworker-e2e --bin bench-sweep -- {{ARGS}}

# Measure: Flight SQL of the reference worker against DuckDB in process
bench-query:
    cargo run --package duckworker-e2e --bin with-libduckdb -- \
        cargo bench --package duckworker-worker --bench query

# Run the reference worker's own tests, which need libduckdb
test-worker *ARGS:
    cargo run --package duckworker-e2e --bin with-libduckdb -- \
        cargo test --release --package duckworker-worker --package duckworker-database {{ARGS}}

# All benches
bench: bench-spawn bench-claim bench-claims bench-scale bench-failover bench-sweep bench-real bench-query

# Crash at every call of every flow, lose, delay and double every write (takes minutes)
crash-sweep *ARGS:
    cargo run --package duckworker-e2e --bin crash-sweep -- {{ARGS}}

# Storms over API server, etcd, rights and tokens, of this many seconds each
storms SECONDS="60":
    DUCKWORKER_STORM_SECONDS={{SECONDS}} cargo test --package duckworker-e2e --test storms -- --nocapture

# Old and new builds side by side under faults and everyday work, then nothing may be left (see --help)
soak MINUTES="30" *ARGS:
    cargo run --package duckworker-e2e --bin soak -- --minutes {{MINUTES}} {{ARGS}}

# Threads that share memory, in many orders: each check in so many of them
interleavings SCHEDULES="10000":
    cargo run --package duckworker-interleavings -- {{SCHEDULES}}

# Manifests applied again and again while claims come and go: no conflict, no difference
gitops MINUTES="10":
    DUCKWORKER_GITOPS_MINUTES={{MINUTES}} cargo test --package duckworker-e2e --test gitops manifests -- --nocapture

# Every field of every kind at and beyond its limits, and metadata that mean harm, on the real API server (minutes; see --help)
fuzz-specs *ARGS:
    cargo run --package duckworker-e2e --bin fuzz-specs -- {{ARGS}}

# Random requests on the simulator and on the real API server must be answered alike
conformance N="20000":
    DUCKWORKER_CONFORMANCE_REQUESTS={{N}} cargo test --package duckworker-e2e --test conformance -- --nocapture

# Controllers and control planes under faults on the simulator, past the history checker
sim SEEDS="1000" FIRST="1":
    DUCKWORKER_SIM_SEEDS={{SEEDS}} DUCKWORKER_SIM_FIRST={{FIRST}} cargo test --release --package duckworker-e2e --test simulation simulated -- --nocapture

# Bugs on purpose: the simulator and the checker must find each (`all`, or names with commas)
planted BUGS="all" SEEDS="100":
    DUCKWORKER_PLANTED_BUGS={{BUGS}} DUCKWORKER_PLANTED_SEEDS={{SEEDS}} cargo test --release --package duckworker-e2e --test simulation planted -- --nocapture

# Check a recorded history: a file of JSON lines (DUCKWORKER_SIM_RECORD makes one of a simulation)
check-history *ARGS:
    cargo run --quiet --package duckworker-history -- {{ARGS}}

# Every order of events near a faultless life, so many steps deep, in a model checker
model DEPTH="9":
    cargo run --release --package duckworker-model -- {{DEPTH}}

# Mutation testing of files of a crate that needs no cluster (`cargo install --locked cargo-mutants` brings the tool)
mutants PACKAGE="duckworker-core" *ARGS:
    cargo mutants --package {{PACKAGE}} --baseline=skip --timeout 60 {{ARGS}}

# The same of what the proof rests on: the table and what decides by it, the client's writes, the checker's rules (hours)
mutants-proof:
    cargo mutants --package duckworker-core --baseline=skip --timeout 60 --output target/mutants-core \
        --file 'crates/core/src/{table,decide,tenant,version}.rs' --file 'crates/core/src/plan/binding/*.rs'
    cargo mutants --package duckworker-client --baseline=skip --timeout 100 --output target/mutants-client --profile dev \
        --file 'crates/client/src/{store,attempt,answer,outcome}.rs' -- -- --skip fences_cannot_be_forged
    cargo mutants --package duckworker-history --baseline=skip --timeout 60 --output target/mutants-history \
        --file 'crates/history/src/rules/*.rs'

# Everything that CI runs
ci:
    .ci/run
