# What the daemon costs, measured with its own load generator beside bare programs and others.

BENCH_BIN := build/bench/rawlimit build/bench/rawdisk

build/bench/rawdisk: BENCH_LIBS := -llmdb -lpthread
ifneq ($(IO_URING),0)
build/bench/rawlimit: BENCH_LIBS := -DHAVE_LIBURING -luring
endif
build/bench/%: bench/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -o $@ $< $(BENCH_LIBS)

.PHONY: bench bench-streams bench-journal bench-quick bench-programs bench-deps
bench-deps:
	@tools/deps build bench

bench-programs: $(BIN) $(BENCH_BIN)

# Ten minutes and five, into docs/performance.*
bench: bench-streams bench-journal

bench-streams: bench-deps
	@$(MAKE) --no-print-directory $(JOBS) bench-programs
	$(Q)bench/run --write $(ARGS)

bench-journal: bench-deps
	@$(MAKE) --no-print-directory $(JOBS) bench-programs
	$(Q)bench/journal --write $(ARGS)

# A minute and a half, to the terminal: how is this beside the committed figures?
bench-quick: deps
	@$(MAKE) --no-print-directory $(JOBS) bench-programs
	$(Q)bench/run --quick $(ARGS)

# A million streams in a guest, a quarter of an hour, into docs/performance.md.
.PHONY: bench-million
bench-million:
	@tools/deps build million
	@$(MAKE) --no-print-directory $(JOBS) all
	$(Q)bench/million --write $(ARGS)
