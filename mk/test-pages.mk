# tests/unit/notify/test_model, test_catch_up: the journal's pages come when they say so.
$(BUILD)/tests/unit/notify/test_model $(BUILD)/tests/unit/notify/test_catch_up: LDFLAGS += \
    -Wl,--wrap=journal_read -Wl,--wrap=journal_cancel
