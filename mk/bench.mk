# The load generator, the kernel's limit, and what the daemon costs beside it.

BENCH_BIN := build/bench/ssebench build/bench/rawlimit

build/bench/%: bench/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) -std=gnu11 -O2 -D_GNU_SOURCE $(BENCH_CPPFLAGS) -Wall -Wextra -o $@ $< $(BENCH_LIBS)

ifneq ($(IO_URING),0)
build/bench/rawlimit: BENCH_CPPFLAGS := -DHAVE_LIBURING
build/bench/rawlimit: BENCH_LIBS := -luring
endif

# Five minutes, into docs/performance.md; one minute, to the terminal only.
.PHONY: bench bench-quick bench-selftest
bench: deps $(BIN) $(BENCH_BIN)
	$(Q)bench/run --write $(ARGS)

bench-quick: deps $(BIN) $(BENCH_BIN)
	$(Q)bench/run --rounds 2 --secs 2 $(ARGS)

# Does the generator see what is lost, doubled, swapped, misrouted or late?
bench-selftest: $(BENCH_BIN)
	$(Q)python3 bench/selftest.py
