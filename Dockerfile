# The controller. Build from the top of the repository: docker build -t duckworker .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package duckworker --bin duckworker \
    && cp target/release/duckworker /duckworker

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /duckworker /usr/local/bin/duckworker
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/duckworker"]
CMD ["controller"]
