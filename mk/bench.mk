# The load generator, the bare programs, and what the daemon costs beside them.

BENCH_BIN := build/bench/ssebench build/bench/rawlimit build/bench/rawdisk

build/bench/rawdisk: BENCH_LIBS := -llmdb -lpthread
build/bench/%: bench/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -o $@ $< $(BENCH_LIBS)

# Five minutes each, into docs/performance.md; one minute, to the terminal only.
.PHONY: bench bench-streams bench-journal bench-quick bench-selftest
bench: bench-streams bench-journal

bench-streams: deps $(BIN) $(BENCH_BIN)
	$(Q)bench/run --write $(ARGS)

bench-journal: deps $(BIN) $(BENCH_BIN)
	$(Q)bench/journal --write $(ARGS)

bench-quick: deps $(BIN) $(BENCH_BIN)
	$(Q)bench/run --rounds 2 --secs 2 $(ARGS)

# Does the generator see what is lost, doubled, swapped, misrouted or late?
bench-selftest: $(BENCH_BIN)
	$(Q)python3 bench/selftest.py
