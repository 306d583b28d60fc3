# The test programs. tests/run builds the variants it needs (each in its own build folder), runs
# them and counts; the targets here are short names for its suites.

FUZZ_SECONDS ?= 60

UNIT_SRC    := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_BIN    := $(UNIT_SRC:%.c=$(BUILD)/%)
FUZZ_SRC    := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN    := $(FUZZ_SRC:%.c=$(BUILD)/%)
SUPPORT_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/support/*.c)))
TEST_OBJ    := $(UNIT_BIN:=.o) $(FUZZ_BIN:=.o) $(SUPPORT_OBJ)

.SECONDARY: $(TEST_OBJ)

# Tests may look at a private header of src/ and at tests/support.
$(BUILD)/tests/%.o: CPPFLAGS += -iquote src -iquote tests

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(SUPPORT_OBJ) $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LLHTTP_LIBS) $(LDLIBS) -lcmocka

# CC=clang SANITIZE=-fsanitize=fuzzer-no-link,...: see FUZZ in tests/run.
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(LIB)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LLHTTP_LIBS) $(LDLIBS)

.PHONY: unit-programs fuzz-programs syntax
unit-programs: $(UNIT_BIN)
fuzz-programs: $(FUZZ_BIN)

# All of src and tests once through the compiler for its warnings alone.
CHECKED := $(SRC) $(UNIT_SRC) $(FUZZ_SRC) $(wildcard tests/support/*.c) tests/faults/faults.c
syntax: $(CHECKED:%=$(BUILD)/%.syntax)
$(BUILD)/%.c.syntax: %.c
	$(Q)$(CC) $(CPPFLAGS) -iquote src -iquote tests $(LLHTTP_CPPFLAGS) $(CFLAGS) -fsyntax-only $<

.PHONY: test lint unit integration deploy asan tsan valgrind fuzz fuzz-corpus browser coverage torture
test: test-deps
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run

lint unit integration deploy asan tsan valgrind fuzz browser coverage: test-deps
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run $@

# A hundred kills and more, some minutes; `tests/run torture` is a short run of it.
torture: test-deps $(BIN)
	@SSE_NOTIFY_BIN=$(abspath $(BIN)) tests/torture/torture.py

# The pictures of the console, two minutes, into docs/.
.PHONY: console-pictures
console-pictures: test-deps $(BIN)
	cd tests/browser && CONSOLE_PICTURES=$(abspath docs) \
	    node --test --test-name-pattern='^pictures$$' console.test.js

fuzz-corpus:
	@tests/run --keep-corpus

-include $(TEST_OBJ:.o=.d)
