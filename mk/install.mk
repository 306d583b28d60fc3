# Installing below DESTDIR and PREFIX, and the Debian package.

PREFIX       ?= /usr/local
BINDIR       ?= $(PREFIX)/bin
DATADIR      ?= $(PREFIX)/share
DOCDIR       ?= $(DATADIR)/doc/sse-notify
MANDIR       ?= $(DATADIR)/man
UNITDIR      ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR  ?= $(PREFIX)/lib/sysusers.d
CONFDIR      := /etc/sse-notify
INSTALL      ?= install

# FROM > TO below DESTDIR, with the program where it is installed.
unit = sed 's|/usr/bin/sse-notify|$(BINDIR)/sse-notify|' $(1) >$(DESTDIR)$(2) && \
       chmod 0644 $(DESTDIR)$(2)
put = $(INSTALL) -D -m 0644 $(1) $(DESTDIR)$(2)

.PHONY: install uninstall deb pages
pages: all
	tools/make-pages $(BIN)

install: all
	$(INSTALL) -D -m 0755 $(BIN) $(DESTDIR)$(BINDIR)/sse-notify
	$(INSTALL) -d -m 0755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(CONFDIR)
	$(INSTALL) -d -m 0700 $(DESTDIR)$(CONFDIR)/keys
	test -e $(DESTDIR)$(CONFDIR)/sse-notify.conf || \
	    $(call put,sse-notify.conf.example,$(CONFDIR)/sse-notify.conf)
	$(call unit,deploy/sse-notify.service,$(UNITDIR)/sse-notify.service)
	$(call unit,deploy/sse-notify.socket,$(UNITDIR)/sse-notify.socket)
	$(call put,deploy/sse-notify.sysusers,$(SYSUSERSDIR)/sse-notify.conf)
	$(call put,docs/man/sse-notify.8,$(MANDIR)/man8/sse-notify.8)
	$(call put,docs/man/sse-notify.conf.5,$(MANDIR)/man5/sse-notify.conf.5)
	$(call put,deploy/completions/sse-notify.bash,$(DATADIR)/bash-completion/completions/sse-notify)
	$(call put,deploy/completions/sse-notify.zsh,$(DATADIR)/zsh/vendor-completions/_sse-notify)
	$(call put,deploy/completions/sse-notify.fish,$(DATADIR)/fish/vendor_completions.d/sse-notify.fish)
	$(call put,deploy/grafana-dashboard.json,$(DATADIR)/sse-notify/grafana-dashboard.json)
	$(call put,deploy/prometheus-rules.yaml,$(DATADIR)/sse-notify/prometheus-rules.yaml)
	$(call put,sse-notify.conf.example,$(DOCDIR)/examples/sse-notify.conf)
	for page in docs/*.md docs/openapi.yaml; do \
	    $(call put,$$page,$(DOCDIR)/$$(basename $$page)) || exit 1; done

# The configuration and the journal stay.
uninstall:
	rm -f $(DESTDIR)$(BINDIR)/sse-notify $(DESTDIR)$(UNITDIR)/sse-notify.service \
	    $(DESTDIR)$(UNITDIR)/sse-notify.socket $(DESTDIR)$(SYSUSERSDIR)/sse-notify.conf \
	    $(DESTDIR)$(MANDIR)/man8/sse-notify.8 $(DESTDIR)$(MANDIR)/man5/sse-notify.conf.5 \
	    $(DESTDIR)$(DATADIR)/bash-completion/completions/sse-notify \
	    $(DESTDIR)$(DATADIR)/zsh/vendor-completions/_sse-notify \
	    $(DESTDIR)$(DATADIR)/fish/vendor_completions.d/sse-notify.fish
	rm -rf $(DESTDIR)$(DATADIR)/sse-notify $(DESTDIR)$(DOCDIR)

# Into build/deb, from a copy of the tree with the packaging in its place. DEB_OBJECTS is a build
# folder whose objects are taken along, to test the packaging and not for a package to be given away:
# they were not made with dpkg's flags.
DEB_TREE := build/deb/sse-notify-$(VERSION)
deb:
	@tools/deps build deb
	rm -rf build/deb
	mkdir -p $(DEB_TREE)
	tar -c --exclude=./build --exclude=./.git --exclude=node_modules . | tar -x -C $(DEB_TREE)
	cp -r deploy/debian $(DEB_TREE)/debian
	$(if $(DEB_OBJECTS),mkdir -p $(DEB_TREE)/build/release && cp -a $(DEB_OBJECTS)/sse-notify \
	    $(DEB_OBJECTS)/src $(wildcard $(DEB_OBJECTS)/third_party) $(DEB_TREE)/build/release)
	cd $(DEB_TREE) && dpkg-buildpackage -b -us -uc $(if $(DEB_OBJECTS),-nc)
	@echo && ls build/deb/*.deb
