# tests/unit/*/test_out_of_memory: its own malloc, calloc and realloc stand before those of the
# system, and fail when it says so.
$(BUILD)/tests/unit/%/test_out_of_memory: LDFLAGS += \
    -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
