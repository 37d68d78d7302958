# `make demo` and `make test` need Rust and nothing else: what is missing (a C compiler, a PostgreSQL
# server) is installed through the system's package manager, or named in one line.

# Where rustup puts cargo, for shells that have not been told.
export PATH := $(PATH):$(HOME)/.cargo/bin

# More arguments for the demonstration, as in: make demo ARGS="--guilds 200 --for 20s"
ARGS =

.PHONY: demo test deny setup

demo: setup
	cargo run --release -- demo $(ARGS)

test: setup
	@sh scripts/setup.sh rust-components
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo test

# Licences, sources and advisories of all dependencies; the last need the network. Once before:
# cargo install --locked cargo-deny
deny:
	cargo deny check

setup:
	@sh scripts/setup.sh
