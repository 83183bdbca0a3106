# build  the shell, as a static binary           test   everything that the gate runs
# bench  the benchmarks, and a guest measured    docs   the pages made from the command table
# differential  N scripts of memory calls, from seed FIRST on, on the host and on ours
# examples  the demo guests, from examples/src (needs gcc; the results are kept in the repository)

GUESTCFLAGS = -static -nostdlib -nostartfiles -ffreestanding -fno-pic -no-pie -O1 -Wall -Wextra \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-Wl,--build-id=none -Wl,-z,noexecstack
GUESTS = $(patsubst examples/src/%.c,examples/bin/%,$(wildcard examples/src/*.c))

N = 2000
FIRST = 1

.PHONY: build test bench docs examples differential

build:
	CGO_ENABLED=0 go build -trimpath -o mmsh ./cmd/mmsh

test:
	go run ./internal/gate

bench:
	go test -run '^$$' -bench . -benchmem ./...
	go run ./internal/guestbench

differential:
	CGO_ENABLED=0 go test ./internal/difftest -count 1 -timeout 0 -v -run DifferentialPlay -plays $(N) -first-play $(FIRST)

# Each page is written whole or not at all: a shell that fails leaves the old one.
docs:
	go run ./cmd/mmsh help --markdown > docs/commands.md.new
	go run ./cmd/mmsh help --json-markdown > docs/json.md.new
	go run ./cmd/mmsh help --json-schema > docs/mmsh-1.schema.json.new
	for page in docs/*.new; do mv $$page $${page%.new}; done

examples: $(GUESTS)

examples/bin/%: examples/src/%.c examples/src/guest.h
	gcc $(GUESTCFLAGS) -o $@ $<
