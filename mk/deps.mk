# Debian packages that are missing, and nothing when none is. A target that needs them runs
# tools/deps first and the real work in a second make: only that one finds what was installed
# (third_party/llhttp.mk asks pkg-config while it is read).

.PHONY: deps guard-deps test-deps
deps:
	@tools/deps build

guard-deps:
	@tools/deps build guard

test-deps:
	@tools/deps build test

# As many jobs as there are processors, unless the caller has said how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
