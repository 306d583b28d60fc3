# sse-notify: `make run` tries it, `make test` proves it, `make help` lists the rest.
# V=1 shows the commands.

VERSION  := 0.1.0
BUILD    ?= build/release
CC       ?= cc
OPT      ?= -O3 -g
Q        := $(if $(V),,@)

WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Werror
HARDEN   ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CPPFLAGS += -iquote include -D_GNU_SOURCE -DSSE_NOTIFY_VERSION='"$(VERSION)"'
CFLAGS   += -std=c11 $(OPT) $(WARN) $(HARDEN) $(SANITIZE) -fno-common
LDFLAGS  += $(SANITIZE) -pie -Wl,-z,relro -Wl,-z,now
LDLIBS   += -lev -lcjson -lcurl -llmdb -lhiredis -lpthread -lm

include third_party/llhttp.mk

SRC      := $(sort $(wildcard src/*/*.c))
OBJ      := $(SRC:%.c=$(BUILD)/%.o)
MAIN     := $(BUILD)/src/daemon/main.o
LIB      := $(filter-out $(MAIN),$(OBJ)) $(LLHTTP_OBJ)
BIN      := $(BUILD)/sse-notify

.PHONY: all
all: $(BIN)

$(BIN): $(OBJ) $(LLHTTP_OBJ)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LLHTTP_LIBS) $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(LLHTTP_CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Its file is taken into the object by the assembler, of which no dependency file tells.
$(BUILD)/src/journal/redis.o: src/journal/redis.lua

include $(wildcard mk/*.mk)

-include $(OBJ:.o=.d)
