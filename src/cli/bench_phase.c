/* bench_phase.c - NAME or NAME:SETTING=VALUE,...: the settings are a table. */
#include "bench_priv.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    struct load_phase defaults;
} kinds[] = {
    {"idle", {.kind = LOAD_IDLE}},
    {"unicast", {.kind = LOAD_UNICAST, .publishers = 16, .pipeline = 1, .window = 512, .batch = 1}},
    {"fanout", {.kind = LOAD_FANOUT, .publishers = 1, .pipeline = 1, .window = 1, .batch = 1}},
    {"latency",
     {.kind = LOAD_LATENCY, .publishers = 16, .pipeline = 1, .batch = 1, .rate = 1000}},
    {"mixed", {.kind = LOAD_MIXED, .publishers = 16, .pipeline = 1, .batch = 1, .rate = 100}},
    {"publish", {.kind = LOAD_PUBLISH, .publishers = 16, .pipeline = 1, .batch = 1}},
    {"storm", {.kind = LOAD_STORM, .publishers = 16, .pipeline = 1, .batch = 1, .each = 10}},
    {"catchup", {.kind = LOAD_CATCHUP, .each = 100}},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static const struct {
    const char *name;
    size_t offset; /* of the uint64_t in struct load_phase */
    uint64_t min;
    uint64_t max;
} settings[] = {
    {"count", offsetof(struct load_phase, count), 1, UINT32_MAX},
    {"rate", offsetof(struct load_phase, rate), 1, 1000000},
    {"publishers", offsetof(struct load_phase, publishers), 1, 1000},
    {"pipeline", offsetof(struct load_phase, pipeline), 1, 1000},
    {"window", offsetof(struct load_phase, window), 1, 100000},
    {"batch", offsetof(struct load_phase, batch), 1, LOAD_MAX_BATCH},
    {"each", offsetof(struct load_phase, each), 1, 100000},
};

enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

static int take_seconds(struct slice value, uint64_t *ms, struct error *why)
{
    uint64_t seconds;

    if (slice_to_u64(value, &seconds) != 0 || seconds < 1 || seconds > 3600)
        return error_set(why, "seconds=%.*s: must be a whole number from 1 to 3600",
                         SLICE_ARG(value));
    *ms = seconds * 1000;
    return 0;
}

static int take_setting(struct slice setting, struct load_phase *phase, struct error *why)
{
    struct slice value = setting;
    struct slice name = slice_cut(&value, '=');

    if (value.p == NULL)
        return error_set(why, "%.*s: a setting is NAME=VALUE", SLICE_ARG(setting));
    if (slice_is(name, "seconds"))
        return take_seconds(value, &phase->ms, why);
    for (size_t i = 0; i < SETTINGS; i++) {
        uint64_t number;

        if (!slice_is(name, settings[i].name))
            continue;
        if (slice_to_u64(value, &number) != 0 || number < settings[i].min ||
            number > settings[i].max)
            return error_set(why, "%.*s: must be a whole number from %llu to %llu",
                             SLICE_ARG(setting), (unsigned long long)settings[i].min,
                             (unsigned long long)settings[i].max);
        *(uint64_t *)(void *)((char *)phase + settings[i].offset) = number;
        return 0;
    }
    return error_set(why, "there is no setting %.*s", SLICE_ARG(name));
}

int bench_phase_parse(const char *text, uint64_t ms, struct load_phase *phase, struct error *why)
{
    struct slice rest = slice_of(text);
    struct slice name = slice_cut(&rest, ':');
    struct error inner = {0};

    for (size_t i = 0; i < KINDS; i++) {
        if (!slice_is(name, kinds[i].name))
            continue;
        *phase = kinds[i].defaults;
        phase->text = text;
        phase->ms = ms;
        while (rest.p != NULL) {
            if (take_setting(slice_cut(&rest, ','), phase, &inner) != 0)
                return error_set(why, "%.40s: %s", text, inner.text);
        }
        return 0;
    }
    return error_set(why, "there is no phase %.40s, but idle, unicast, fanout, latency, mixed, "
                          "publish, storm, catchup", text);
}
