"""The tests; `make check` runs those that take moments, `make test` all."""
