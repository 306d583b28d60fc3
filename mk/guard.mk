# How many instructions fixed work takes, and where they go.

GUARD_NEEDS := build/bench/fixed_random.so

build/bench/%.so: bench/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) -std=c11 -O2 -D_GNU_SOURCE $(WARN) -shared -fPIC -o $@ $<

.PHONY: guard-programs bench-guard bench-guard-update
guard-programs: $(BIN) $(GUARD_NEEDS)

# A quarter of a minute. Fails on what takes over 3 % more than bench/guard.json has.
bench-guard: guard-deps
	@$(MAKE) --no-print-directory $(JOBS) guard-programs
	$(Q)bench/guard $(ARGS)

bench-guard-update: guard-deps
	@$(MAKE) --no-print-directory $(JOBS) guard-programs
	$(Q)bench/guard --update $(ARGS)

.PHONY: flamegraphs
flamegraphs: guard-deps
	@$(MAKE) --no-print-directory $(JOBS) guard-programs
	$(Q)bench/flamegraphs
