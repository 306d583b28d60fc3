# tests/unit/*/test_out_of_memory: its own functions that allocate stand before those of the
# system, and fail when it says so.
$(BUILD)/tests/unit/%/test_out_of_memory: LDFLAGS += \
    -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=posix_memalign
