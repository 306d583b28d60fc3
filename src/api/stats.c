/* stats.c - GET /stats: the daemon's own counters as JSON. */
#include <cjson/cJSON.h>
#include "access_priv.h"
#include "api_priv.h"
#include "base/log.h"
#include "base/process.h"

static bool add_number(cJSON *to, const char *name, uint64_t value)
{
    return cJSON_AddNumberToObject(to, name, (double)value) != NULL;
}

static bool add_journal(cJSON *to, const struct api *api)
{
    struct journal_status status;
    cJSON *journal = cJSON_AddObjectToObject(to, "journal");

    journal_get_status(manager_journal(api->nm), &status);
    return journal != NULL && cJSON_AddStringToObject(journal, "type", status.type) != NULL &&
           cJSON_AddStringToObject(journal, "epoch", status.epoch) != NULL &&
           cJSON_AddBoolToObject(journal, "up", status.is_up) != NULL &&
           add_number(journal, "head", status.head) &&
           add_number(journal, "entries", status.entries) &&
           add_number(journal, "bytes", status.bytes);
}

/* Bucket i counts what took less than 2^i microseconds and is in none before it. */
static bool add_histogram(cJSON *to, const char *name, const struct histogram *h)
{
    cJSON *histogram = cJSON_AddObjectToObject(to, name);
    cJSON *counts = cJSON_AddArrayToObject(histogram, "counts");

    for (size_t i = 0; counts != NULL && i < HISTOGRAM_BUCKETS; i++) {
        cJSON *count = cJSON_CreateNumber((double)h->counts[i]);

        if (count == NULL || !cJSON_AddItemToArray(counts, count)) {
            cJSON_Delete(count);
            return false;
        }
    }
    return counts != NULL && add_number(histogram, "sum_us", h->sum_us);
}

static bool add_histograms(cJSON *to, const struct stats *stats)
{
    cJSON *all = cJSON_AddObjectToObject(to, "histograms");
    bool ok = all != NULL;

    for (size_t i = 0; ok && i < histogram_count; i++)
        ok = add_histogram(all, histogram_infos[i].name,
                           stat_histogram(stats, &histogram_infos[i]));
    return ok;
}

static bool add_process(cJSON *to)
{
    cJSON *process = cJSON_AddObjectToObject(to, "process");
    struct process_info info;

    process_read(&info);
    return process != NULL && add_number(process, "resident_bytes", info.resident_bytes) &&
           add_number(process, "cpu_us", info.cpu_us);
}

cJSON *api_stats_tree(const struct api *api)
{
    cJSON *tree = cJSON_CreateObject();
    bool ok;

    ok = tree != NULL && cJSON_AddStringToObject(tree, "version", SSE_NOTIFY_VERSION) != NULL &&
         add_number(tree, "uptime_seconds", (loop_now_ms(api->loop) - api->started_ms) / 1000) &&
         add_number(tree, "log_lines_dropped", log_dropped()) &&
         add_number(tree, "log_warnings", log_kept_total()) && add_journal(tree, api) &&
         add_process(tree) && add_histograms(tree, api->stats);
    for (size_t i = 0; ok && i < stat_count; i++)
        ok = add_number(tree, stat_infos[i].name, stat_value(api->stats, &stat_infos[i]));
    if (ok)
        return tree;
    cJSON_Delete(tree);
    return NULL;
}

void api_stats(void *ctx, struct http_request *r)
{
    struct api *api = ctx;

    if (access_operate(api, r, api_stats))
        api_respond_cjson(r, api_stats_tree(api));
}
