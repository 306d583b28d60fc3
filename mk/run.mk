# Trying, installing, cleaning.

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
DOCDIR  ?= $(PREFIX)/share/doc/sse-notify
INSTALL ?= install

.PHONY: run install clean
run: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@echo
	@echo "Starting $(BIN) (Ctrl-C ends it). In a second terminal, listen:"
	@echo "    curl -N http://127.0.0.1:8080/notifications/alice"
	@echo "and in a third, send:"
	@echo "    curl -d '{\"user\":\"alice\",\"data\":\"hello\"}' http://127.0.0.1:8080/notify"
	@echo
	@exec $(BIN) serve $(ARGS)

install: all
	$(INSTALL) -D -m 0755 $(BIN) $(DESTDIR)$(BINDIR)/sse-notify
	$(INSTALL) -D -m 0644 sse-notify.conf.example $(DESTDIR)$(DOCDIR)/sse-notify.conf.example

clean:
	rm -rf build
