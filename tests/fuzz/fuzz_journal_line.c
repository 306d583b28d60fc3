/* fuzz_journal_line.c - no line of an import makes the reader go past its end; what it takes is
 * within the bounds of a record, and an entry that is written again reads the same. */
#include <stdint.h>
#include <stdlib.h>
#include "../../src/cli/journal_line_priv.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_entry(struct journal_line *l)
{
    struct journal_line again = {.seq = 0};
    struct error why = {.text = ""};
    struct buf out = {0};
    struct record r = {
        .seq = l->seq,
        .wall_ms = l->at_ms,
        .time_ms = l->clock_ms > 0 ? l->clock_ms : l->at_ms,
        .expires_ms = l->expires_ms,
        .to = l->to,
        .event = l->event,
        .collapse_key = l->collapse_key,
        .data = l->data,
        .is_json = l->is_json,
    };

    if ((l->to.kind != CHANNEL_EVERYONE && !channel_name_is_valid(l->to.name)) ||
        !event_name_is_valid(l->event) || l->collapse_key.n > MAX_KEY || l->seq > MAX_LINE_NUMBER)
        abort();
    journal_line_add_entry(&out, l->epoch[0] != '\0' ? l->epoch : "abcd1234", &r);
    if (l->seq > 0 && journal_line_read(&again, slice_make(out.p, out.len - 1), &why) != 0)
        abort();
    if (l->seq > 0 &&
        (again.seq != l->seq || again.at_ms != l->at_ms || again.expires_ms != l->expires_ms ||
         again.to.kind != l->to.kind || again.is_json != l->is_json ||
         !slice_equal(again.to.name, l->to.name) || !slice_equal(again.event, l->event) ||
         !slice_equal(again.collapse_key, l->collapse_key) || !slice_equal(again.data, l->data)))
        abort();
    journal_line_fini(&again);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice text = slice_make((const char *)bytes, n);
    struct journal_line l = {.seq = 0};
    struct error why = {.text = ""};

    if (journal_line_read(&l, text, &why) != 0) {
        if (why.text[0] == '\0')
            abort();
    } else if (l.kind == LINE_ENTRY) {
        check_entry(&l);
    }
    journal_line_fini(&l);
    return 0;
}
