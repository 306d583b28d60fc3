# What `make help` says. One line a target that a person would type.

.PHONY: help
help:
	@echo "make               build build/release/sse-notify"
	@echo "make run           install what is missing, build, start the daemon on 127.0.0.1:8080"
	@echo "make test          install what is missing, run every test (about ten minutes)"
	@echo "make install       program, units, manual pages, completions, rules (PREFIX, DESTDIR)"
	@echo "make uninstall     take them away again; the configuration and the journal stay"
	@echo "make deb           a Debian package, into build/deb"
	@echo "make pages         what is made from the program: example, reference, manual, completions"
	@echo "make clean         remove build/"
	@echo
	@echo "make deps          install what the build needs; does nothing when all is there"
	@echo "make test-deps     install what the tests need besides"
	@echo
	@echo "make lint          check the includes, the style, and that clang has no warning either"
	@echo "make unit          the unit tests"
	@echo "make integration   the built daemon, over real sockets"
	@echo "make deploy        what is in deploy/: alerts, dashboard, units, the package, the pages"
	@echo "make asan          unit and integration under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make tsan          where there is more than one thread, under ThreadSanitizer"
	@echo "make valgrind      the unit tests and a short integration run under valgrind"
	@echo "make fuzz          every fuzz target for FUZZ_SECONDS (60) seconds"
	@echo "make fuzz-corpus   keep what fuzzing found in tests/fuzz/corpus"
	@echo "make torture       kill the daemon and cut its power a hundred times and more: nothing is lost"
	@echo "make browser       headless Chromium against the built daemon"
	@echo "make console-pictures   take the pictures of the console anew: docs/console*.png"
	@echo "make coverage      line coverage of src/ by the unit and integration tests"
	@echo "make bench-guard   count the instructions of fixed work, and fail where they are over 3 % more"
	@echo "make bench-guard-update   agree to as many as it takes now"
	@echo "make flamegraphs   draw where they go: docs/profile-*.svg"
	@echo "make bench         what the daemon costs beside the kernel alone and Nchan; writes"
	@echo "                   docs/performance.*"
	@echo "make bench-streams, make bench-journal   either half of it"
	@echo "make bench-quick   the same in a minute and a half, beside the committed figures"
	@echo "make bench-million a million streams in one process, in a guest"
	@echo
	@echo "V=1 shows the commands. ARGS='-o log.level=debug' goes to the daemon of make run."
