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
LDLIBS   += -lev -lcjson -lcurl -lcrypto -llmdb -lpthread -lm

include third_party/llhttp.mk

# IO_URING=0 builds without liburing, 1 demands it; otherwise it is used if it is there.
IO_URING ?= $(shell pkg-config --exists 'liburing >= 2.3' 2>/dev/null && echo 1 || echo 0)
ifneq ($(IO_URING),0)
CPPFLAGS += -DHAVE_LIBURING
LDLIBS   += -luring
endif

# REDIS=0 builds without the journal in Redis, 1 demands hiredis; otherwise as that is there.
REDIS    ?= $(shell pkg-config --exists hiredis 2>/dev/null && echo 1 || echo 0)
ifneq ($(REDIS),0)
CPPFLAGS += -DHAVE_REDIS
LDLIBS   += -lhiredis
else
WITHOUT  += $(wildcard src/journal/redis*.c)
endif

SRC      := $(filter-out $(WITHOUT),$(sort $(wildcard src/*/*.c)))
ASSETS   := $(BUILD)/src/api/console_assets.o
OBJ      := $(SRC:%.c=$(BUILD)/%.o) $(ASSETS)
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

# The console's charts are drawn by Chart.js, from Debian's libjs-chart.js.
CHART_JS ?= /usr/share/javascript/chart.js/chart.min.js

$(ASSETS): src/api/console_assets.S $(wildcard console/*) $(CHART_JS)
	@mkdir -p $(@D)
	@echo "  AS    $<"
	$(Q)$(CC) -DCHART_JS='"$(CHART_JS)"' -c -o $@ $<

include $(wildcard mk/*.mk)

-include $(OBJ:.o=.d)
