# llhttp, the HTTP/1.1 parser: the system's library where there is one of version 9 or later
# (Debian 13), else built from the sources that node-llhttp installs (Debian 12, Ubuntu 24.04).
# LLHTTP_STRICT_MODE=1 must be set on every unit that includes its header: without it a bare CR
# passes as a line end and requests can be smuggled.
ifeq ($(shell pkg-config --exists 'libllhttp >= 9' 2>/dev/null && echo yes),yes)
LLHTTP_CPPFLAGS := -DLLHTTP_STRICT_MODE=1 $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS     := $(shell pkg-config --libs libllhttp)
LLHTTP_OBJ      :=
else
LLHTTP_DIR      := /usr/share/llhttp
LLHTTP_CPPFLAGS := -DLLHTTP_STRICT_MODE=1 -isystem /usr/share/include/llhttp
LLHTTP_LIBS     :=
LLHTTP_OBJ      := $(patsubst %,$(BUILD)/third_party/llhttp/%.o,api http llhttp)
endif

$(BUILD)/third_party/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(LLHTTP_CPPFLAGS) -std=gnu11 $(OPT) $(HARDEN) $(SANITIZE) -w -c -o $@ $<
