/* value.c - one function a type; each leaves its field alone until all is well. */
#include "value_priv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "nearest_priv.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400 * 1000}, {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"KB", 1000},
    {"MB", 1000 * 1000},
    {"GB", 1000 * 1000 * 1000},
    {"TB", UINT64_C(1000) * 1000 * 1000 * 1000},
    {NULL, 0},
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* Adds what is wrong with a part of the value; NULL is allowed. */
typedef int store_fn(const struct config_option *o, struct slice text, void *field,
                     struct error *detail);

static store_fn store_number, store_flag, store_word, store_set, store_mode, store_address,
    store_text, store_url, store_list;

/* "must be" BEFORE allowed AFTER */
static const struct type {
    store_fn *store;
    const struct unit *units;
    const char *before;
    const char *after;
} types[] = {
    [CONFIG_TIME] = {store_number, time_units, "a time from ", "; units are ms, s, min, h and d"},
    [CONFIG_SIZE] = {store_number, size_units, "a size from ", "; units are B, KiB, MiB, GiB and "
                                                               "TiB"},
    [CONFIG_COUNT] = {store_number, no_units, "a whole number from ", ""},
    [CONFIG_FLAG] = {store_flag, NULL, "", ""},
    [CONFIG_WORD] = {store_word, NULL, "", ""},
    [CONFIG_SET] = {store_set, NULL, "", ""},
    [CONFIG_MODE] = {store_mode, NULL, "an octal file mode from ", ", such as 0660"},
    [CONFIG_ADDRESS] = {store_address, NULL, "", ", such as 127.0.0.1:8080"},
    [CONFIG_TEXT] = {store_text, NULL, "a text of ", " without control characters"},
    [CONFIG_URL] = {store_url, NULL, "", ", such as https://id.example.com/jwks.json, without a "
                                         "password in it"},
    [CONFIG_WEB_URL] = {store_url, NULL, "", ", such as https://app.example.com/hook, without a "
                                             "password in it"},
    [CONFIG_LOGIN] = {store_text, NULL, "a text of ", " without control characters"},
    [CONFIG_ORIGINS] = {store_list, NULL, "", ""},
    [CONFIG_HOSTS] = {store_list, NULL, "", ""},
    [CONFIG_NETWORKS] = {store_list, NULL, "", ""},
};

static void add_words(const struct config_word *words, struct buf *out)
{
    for (const struct config_word *w = words; w->text != NULL; w++) {
        if (w != words)
            buf_add_text(out, w[1].text == NULL ? " or " : ", ");
        buf_add_text(out, w->text);
    }
}

void config_option_allowed(const struct config_option *o, struct buf *out)
{
    switch (o->type) {
    case CONFIG_TIME:
    case CONFIG_SIZE:
    case CONFIG_COUNT:
    case CONFIG_MODE:
        buf_printf(out, "%s to %s", o->low, o->high);
        break;
    case CONFIG_TEXT:
    case CONFIG_LOGIN:
        buf_printf(out, "%s to %s bytes", o->low, o->high);
        break;
    case CONFIG_FLAG:
        buf_add_text(out, "yes or no");
        break;
    case CONFIG_WORD:
        add_words(o->words, out);
        break;
    case CONFIG_SET:
        add_words(o->words, out);
        buf_add_text(out, ", or several of them, separated by spaces or commas");
        break;
    case CONFIG_ADDRESS:
        buf_add_text(out, "HOST:PORT, *:PORT or unix:/PATH");
        break;
    case CONFIG_URL:
        buf_add_text(out, "an https URL, or an http one of this machine");
        break;
    case CONFIG_WEB_URL:
        buf_add_text(out, "an https or http URL");
        break;
    case CONFIG_ORIGINS:
        buf_printf(out, "up to %d origins such as https://app.example.com, separated by spaces or "
                        "commas", CONFIG_MAX_LIST);
        break;
    case CONFIG_HOSTS:
        buf_printf(out, "up to %d host names such as notify.example.com, separated by spaces or "
                        "commas", CONFIG_MAX_LIST);
        break;
    case CONFIG_NETWORKS:
        buf_printf(out, "up to %d IP addresses or networks such as 10.0.0.0/8, separated by "
                        "spaces or commas", CONFIG_MAX_LIST);
        break;
    }
}

int value_store(const struct config_option *o, struct slice text, void *field, struct error *why)
{
    const struct type *type = &types[o->type];
    struct error detail = {""};
    struct buf allowed = {0};
    int rc = type->store(o, text, field, &detail);

    if (rc != -EINVAL)
        return rc;
    config_option_allowed(o, &allowed);
    if (allowed.failed)
        rc = -ENOMEM;
    else
        error_set(why, "must be %s%.*s%s%s", type->before, SLICE_ARG(buf_slice(&allowed)),
                  type->after, detail.text);
    buf_fini(&allowed);
    return rc;
}

/* ---- numbers ---- */

/* Reads digits and a unit, maybe with blanks between. Returns 0 or -EINVAL. */
static int read_number(struct slice text, const struct unit *units, uint64_t *out)
{
    struct slice unit = text;
    struct slice digits = text;
    uint64_t number;

    while (unit.n > 0 && isdigit((unsigned char)unit.p[0])) {
        unit.p++;
        unit.n--;
    }
    digits.n -= unit.n;
    unit = slice_trim(unit);
    if (slice_to_u64(digits, &number) != 0)
        return -EINVAL;
    for (; units->name != NULL; units++)
        if (slice_is_nocase(unit, units->name))
            return __builtin_mul_overflow(number, units->factor, out) ? -EINVAL : 0;
    if (number != 0 || unit.n != 0) /* zero is the same in every unit, so it needs none */
        return -EINVAL;
    *out = 0;
    return 0;
}

static void put_number(const struct config_option *o, uint64_t number, void *field)
{
    uint32_t narrow = (uint32_t)number;

    if (o->size == sizeof narrow)
        memcpy(field, &narrow, sizeof narrow);
    else
        memcpy(field, &number, sizeof number);
}

static int store_number(const struct config_option *o, struct slice text, void *field,
                        struct error *detail)
{
    const struct unit *units = types[o->type].units;
    uint64_t low = 0;
    uint64_t high = 0;
    uint64_t number;
    int is_table_right = read_number(slice_of(o->low), units, &low) == 0 &&
                         read_number(slice_of(o->high), units, &high) == 0;

    (void)detail;
    assert(is_table_right && (o->size == 8 || high <= UINT32_MAX));
    if (!is_table_right || read_number(text, units, &number) != 0 || number < low || number > high)
        return -EINVAL;
    put_number(o, number, field);
    return 0;
}

static int store_mode(const struct config_option *o, struct slice text, void *field,
                      struct error *detail)
{
    mode_t mode = 0;

    (void)o;
    (void)detail;
    if (text.n == 0 || text.n > 4)
        return -EINVAL;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7')
            return -EINVAL;
        mode = mode * 8 + (mode_t)(text.p[i] - '0');
    }
    if (mode > 0777)
        return -EINVAL;
    memcpy(field, &mode, sizeof mode);
    return 0;
}

void value_format_size(uint64_t bytes, char out[VALUE_FORMAT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, VALUE_FORMAT_SIZE, "%" PRIu64 "%s", bytes, units[unit]);
}

/* ---- words ---- */

static int store_flag(const struct config_option *o, struct slice text, void *field,
                      struct error *detail)
{
    static const struct config_word words[] = {
        {"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}, {"on", 1}, {"off", 0}, {NULL, 0},
    };

    (void)o;
    (void)detail;
    for (const struct config_word *w = words; w->text != NULL; w++)
        if (slice_is_nocase(text, w->text)) {
            bool is_set = w->value == 1;

            memcpy(field, &is_set, sizeof is_set);
            return 0;
        }
    return -EINVAL;
}

static int store_word(const struct config_option *o, struct slice text, void *field,
                      struct error *detail)
{
    struct nearest nearest = {0};

    for (const struct config_word *w = o->words; w->text != NULL; w++) {
        if (slice_is(text, w->text)) {
            put_number(o, w->value, field);
            return 0;
        }
        nearest_offer(&nearest, text, w->text);
    }
    if (nearest.text != NULL)
        error_set(detail, "; did you mean %s?", nearest.text);
    return -EINVAL;
}

/* A word of value 0 is the empty set, beside which no other word can stand. */
static int store_set(const struct config_option *o, struct slice text, void *field,
                     struct error *detail)
{
    unsigned set = 0;
    bool has_zero = false;
    struct slice item;

    while (slice_cut_item(&text, &item)) {
        unsigned value;
        struct config_option one = *o;

        one.size = sizeof value;
        if (store_word(&one, item, &value, detail) != 0)
            return -EINVAL;
        has_zero |= value == 0;
        set |= value;
    }
    if (has_zero && set != 0) {
        error_set(detail, "; none stands alone");
        return -EINVAL;
    }
    put_number(o, set, field);
    return 0;
}

/* ---- texts ---- */

/* Takes `text`, NULL when it is empty, into the field of a char *. */
static int put_text(struct slice text, void *field)
{
    char *copy = NULL;
    char *old;

    if (text.n > 0) {
        copy = strndup(text.p, text.n);
        if (copy == NULL)
            return -ENOMEM;
    }
    memcpy(&old, field, sizeof old);
    free(old);
    memcpy(field, &copy, sizeof copy);
    return 0;
}

static int store_text(const struct config_option *o, struct slice text, void *field,
                      struct error *detail)
{
    uint64_t low = 0;
    uint64_t high = 0;

    (void)detail;
    if (slice_to_u64(slice_of(o->low), &low) != 0 || slice_to_u64(slice_of(o->high), &high) != 0)
        return -EINVAL;
    if (text.n < low || text.n > high || slice_has_control(text) || !slice_is_utf8(text))
        return -EINVAL;
    return put_text(text, field);
}

/* Whether `text` is an IP address of `family`. */
static bool is_ip(struct slice text, int family)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char name[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof name)
        return false;
    memcpy(name, text.p, text.n);
    name[text.n] = '\0';
    return inet_pton(family, name, bytes) == 1;
}

static bool is_bracketed_ip(struct slice text)
{
    return text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']' &&
           is_ip(slice_make(text.p + 1, text.n - 2), AF_INET6);
}

/* The last colon outside brackets, or NULL: what stands behind it is a port. */
static const char *port_colon(struct slice text)
{
    const char *colon = text.n == 0 ? NULL : memrchr(text.p, ':', text.n);

    return colon == NULL || memchr(colon, ']', text.n - (size_t)(colon - text.p)) != NULL ? NULL
                                                                                         : colon;
}

static bool is_port(struct slice text)
{
    uint64_t port;

    return slice_to_u64(text, &port) == 0 && port <= UINT16_MAX;
}

/* The same forms that net/address.h reads, which stands above us; so that a wrong one is found
 * with its line before anything is started. */
static bool is_address(struct slice text)
{
    const struct slice unix_prefix = slice_of("unix:");
    const size_t max_path = 107; /* sun_path without its terminator */
    const char *colon;
    struct slice host;

    if (slice_has_control(text) || !slice_is_utf8(text))
        return false;
    if (text.n > unix_prefix.n && memcmp(text.p, unix_prefix.p, unix_prefix.n) == 0)
        return text.n - unix_prefix.n <= max_path;
    colon = port_colon(text);
    if (colon == NULL || !is_port(slice_make(colon + 1, text.n - 1 - (size_t)(colon - text.p))))
        return false;
    host = slice_make(text.p, (size_t)(colon - text.p));
    return host.n == 0 || slice_is(host, "*") || slice_is_nocase(host, "localhost") ||
           is_ip(host, AF_INET) || is_bracketed_ip(host);
}

static int store_address(const struct config_option *o, struct slice text, void *field,
                         struct error *detail)
{
    (void)o;
    (void)detail;
    return is_address(text) ? put_text(text, field) : -EINVAL;
}

/* ---- URLs ---- */

/* Whether only this machine answers there. */
static bool is_own_host(struct slice host)
{
    return slice_is_nocase(host, "localhost") || slice_is(host, "[::1]") ||
           (is_ip(host, AF_INET) && memcmp(host.p, "127.", 4) == 0);
}

/* A password in the URL would be in the log, too. */
static bool is_url(struct slice text, bool takes_plain)
{
    bool is_tls = text.n > 8 && strncasecmp(text.p, "https://", 8) == 0;
    bool is_plain = text.n > 7 && strncasecmp(text.p, "http://", 7) == 0;
    struct slice host = slice_make(text.p + (is_tls ? 8 : 7), 0);
    const char *colon;

    if ((!is_tls && !is_plain) || memchr(text.p, '#', text.n) != NULL ||
        memchr(text.p, ' ', text.n) != NULL || slice_has_control(text))
        return false;
    while (host.p + host.n < text.p + text.n && strchr("/?", host.p[host.n]) == NULL)
        host.n++;
    colon = port_colon(host);
    if (colon != NULL && !is_port(slice_make(colon + 1, host.n - 1 - (size_t)(colon - host.p))))
        return false;
    if (colon != NULL)
        host.n = (size_t)(colon - host.p);
    if (host.n == 0 || memchr(host.p, '@', host.n) != NULL)
        return false;
    return is_tls || takes_plain || is_own_host(host);
}

/* Keys must come unchanged: over TLS, or from this machine. What is signed may go in plain text. */
static int store_url(const struct config_option *o, struct slice text, void *field,
                     struct error *detail)
{
    (void)detail;
    if (text.n > 0 && (text.n > 2000 || !is_url(text, o->type == CONFIG_WEB_URL)))
        return -EINVAL;
    return put_text(text, field);
}

/* ---- lists ---- */

static bool is_scheme(struct slice text)
{
    if (text.n == 0 || !islower((unsigned char)text.p[0]))
        return false;
    for (size_t i = 1; i < text.n; i++)
        if (!islower((unsigned char)text.p[i]) && !isdigit((unsigned char)text.p[i]) &&
            memchr("+-.", text.p[i], 3) == NULL)
            return false;
    return true;
}

static bool is_host(struct slice text)
{
    if (text.n > 2 && text.p[0] == '*' && text.p[1] == '.')
        text = slice_make(text.p + 2, text.n - 2);
    if (text.n == 0 || text.p[0] == '.' || text.p[text.n - 1] == '.')
        return is_bracketed_ip(text);
    for (size_t i = 0; i < text.n; i++)
        if (!islower((unsigned char)text.p[i]) && !isdigit((unsigned char)text.p[i]) &&
            memchr("-_.", text.p[i], 3) == NULL)
            return is_bracketed_ip(text);
    return true;
}

static void lower(char *text)
{
    for (char *p = text; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* Brings a host to the form that is compared. Returns whether it is one. */
static bool normalise_host(char *text)
{
    lower(text);
    return strcmp(text, "*") == 0 || is_host(slice_of(text));
}

/* Brings an origin to the form that browsers send (RFC 6454 6.2): lower case, and no port where
 * it is the scheme's own. Returns whether it is one. */
static bool normalise_origin(char *text)
{
    char *host = strstr(text, "://");
    const char *colon;
    struct slice rest;

    lower(text);
    if (strcmp(text, "*") == 0)
        return true;
    if (host == NULL || !is_scheme(slice_make(text, (size_t)(host - text))))
        return false;
    host += 3;
    rest = slice_of(host);
    colon = port_colon(rest);
    if (colon != NULL) {
        struct slice port = slice_of(colon + 1);
        bool is_own = (strncmp(text, "https:", 6) == 0 && slice_is(port, "443")) ||
                      (strncmp(text, "http:", 5) == 0 && slice_is(port, "80"));

        if (!is_port(port))
            return false;
        rest.n = (size_t)(colon - host);
        if (is_own)
            host[rest.n] = '\0';
    }
    return is_host(rest);
}

static bool is_network(const char *text)
{
    struct slice bits = slice_of(text);
    struct slice ip = slice_cut(&bits, '/');
    uint64_t n = 0;

    if (bits.p != NULL && slice_to_u64(bits, &n) != 0)
        return false;
    return (is_ip(ip, AF_INET) && n <= 32) || (is_ip(ip, AF_INET6) && n <= 128);
}

static void list_free(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

/* Whether it is an item of such a list; brings it to the form that is kept. */
static bool normalise(enum config_type type, char *text)
{
    switch (type) {
    case CONFIG_ORIGINS:
        return normalise_origin(text);
    case CONFIG_HOSTS:
        return normalise_host(text);
    default:
        return is_network(text);
    }
}

static int list_add(struct config_list *list, enum config_type type, struct slice item,
                    struct error *detail)
{
    char shown[VALUE_SHOWN_SIZE];
    char *copy;

    value_show(item, shown);
    if (list->count == CONFIG_MAX_LIST) {
        error_set(detail, "; these are more");
        return -EINVAL;
    }
    copy = strndup(item.p, item.n);
    if (copy == NULL)
        return -ENOMEM;
    list->items[list->count++] = copy;
    if (item.n < 256 && normalise(type, copy))
        return 0;
    error_set(detail, "; \"%s\" is not one", shown);
    return -EINVAL;
}

static int store_list(const struct config_option *o, struct slice text, void *field,
                      struct error *detail)
{
    struct config_list list = {calloc(CONFIG_MAX_LIST, sizeof(char *)), 0};
    struct slice item;
    int rc = list.items == NULL ? -ENOMEM : 0;

    while (rc == 0 && slice_cut_item(&text, &item))
        rc = list_add(&list, o->type, item, detail);
    if (rc != 0) {
        list_free(&list);
        return rc;
    }
    value_free(o, field);
    memcpy(field, &list, sizeof list);
    return 0;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!is_same_text(a->items[i], b->items[i]))
            return false;
    return true;
}

bool value_is_same(const struct config_option *o, const void *a, const void *b)
{
    struct config_list lists[2];
    char *texts[2];

    switch (o->type) {
    case CONFIG_ADDRESS:
    case CONFIG_TEXT:
    case CONFIG_URL:
    case CONFIG_WEB_URL:
    case CONFIG_LOGIN:
        memcpy(&texts[0], a, sizeof texts[0]);
        memcpy(&texts[1], b, sizeof texts[1]);
        return is_same_text(texts[0], texts[1]);
    case CONFIG_ORIGINS:
    case CONFIG_HOSTS:
    case CONFIG_NETWORKS:
        memcpy(&lists[0], a, sizeof lists[0]);
        memcpy(&lists[1], b, sizeof lists[1]);
        return is_same_list(&lists[0], &lists[1]);
    case CONFIG_TIME:
    case CONFIG_SIZE:
    case CONFIG_COUNT:
    case CONFIG_FLAG:
    case CONFIG_WORD:
    case CONFIG_SET:
    case CONFIG_MODE:
        break;
    }
    return memcmp(a, b, o->size) == 0; /* numbers without padding */
}

void value_free(const struct config_option *o, void *field)
{
    struct config_list list;
    char *text;

    switch (o->type) {
    case CONFIG_ADDRESS:
    case CONFIG_TEXT:
    case CONFIG_URL:
    case CONFIG_WEB_URL:
    case CONFIG_LOGIN:
        memcpy(&text, field, sizeof text);
        free(text);
        memset(field, 0, sizeof text);
        break;
    case CONFIG_ORIGINS:
    case CONFIG_HOSTS:
    case CONFIG_NETWORKS:
        memcpy(&list, field, sizeof list);
        list_free(&list);
        memset(field, 0, sizeof list);
        break;
    case CONFIG_TIME:
    case CONFIG_SIZE:
    case CONFIG_COUNT:
    case CONFIG_FLAG:
    case CONFIG_WORD:
    case CONFIG_SET:
    case CONFIG_MODE:
        break;
    }
}

void value_show(struct slice text, char out[VALUE_SHOWN_SIZE])
{
    bool is_utf8 = slice_is_utf8(text);
    size_t n = text.n;

    if (n > VALUE_SHOWN_SIZE - 4) {
        n = VALUE_SHOWN_SIZE - 4;
        while (n > 0 && is_utf8 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
            n--; /* not in the middle of a character */
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        out[i] = c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : text.p[i];
    }
    snprintf(out + n, VALUE_SHOWN_SIZE - n, "%s", n < text.n ? "..." : n == 0 ? "\"\"" : "");
}

/* ---- printing ---- */

static uint64_t number_of(const struct config_option *o, const void *field)
{
    uint32_t narrow;
    uint64_t number;

    if (o->size == sizeof narrow) {
        memcpy(&narrow, field, sizeof narrow);
        return narrow;
    }
    memcpy(&number, field, sizeof number);
    return number;
}

/* In the largest unit that it is whole numbers of. */
static void print_time(uint64_t ms, struct buf *out)
{
    const struct unit *unit = time_units;

    while (ms != 0 && unit[1].name != NULL && ms % unit[1].factor == 0)
        unit++;
    buf_add_u64(out, ms / unit->factor);
    if (ms != 0)
        buf_add_text(out, unit->name);
}

static void print_size(uint64_t bytes, struct buf *out)
{
    char text[VALUE_FORMAT_SIZE];

    value_format_size(bytes, text);
    buf_add_text(out, text);
}

static void print_words(const struct config_option *o, uint64_t value, struct buf *out)
{
    const char *separator = "";

    for (const struct config_word *w = o->words; w->text != NULL; w++) {
        bool is_in = o->type == CONFIG_SET && value != 0 ? (value & w->value) != 0
                                                        : value == w->value;

        if (!is_in)
            continue;
        buf_add_text(out, separator);
        buf_add_text(out, w->text);
        separator = ",";
    }
}

/* URLs without what stands before the last host, where that may be a login. */
static void print_without_login(const char *text, struct buf *out)
{
    const char *scheme = strstr(text, "://");
    const char *at = strrchr(text, '@');

    if (at != NULL) {
        buf_add(out, text, scheme != NULL && scheme < at ? (size_t)(scheme + 3 - text) : 0);
        buf_add_text(out, "...");
        text = at;
    }
    buf_add_text(out, text);
}

static bool is_url_type(const struct config_option *o)
{
    return o->type == CONFIG_URL || o->type == CONFIG_WEB_URL;
}

static void print_text(const struct config_option *o, const void *field, struct buf *out)
{
    const char *text;

    memcpy(&text, field, sizeof text);
    if (text == NULL)
        return;
    if (o->type == CONFIG_LOGIN) {
        print_without_login(text, out);
        return;
    }
    if (!is_url_type(o) || strchr(text, '?') == NULL) {
        buf_add_text(out, text);
        return;
    }
    buf_add(out, text, strcspn(text, "?"));
    buf_add_text(out, "?...");
}

static void print_list(const struct config_list *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        buf_add_text(out, list->items[i]);
    }
}

int value_print(const struct config_option *o, const void *field, struct buf *out)
{
    mode_t mode;
    bool flag;

    switch (o->type) {
    case CONFIG_TIME:
        print_time(number_of(o, field), out);
        break;
    case CONFIG_SIZE:
        print_size(number_of(o, field), out);
        break;
    case CONFIG_COUNT:
        buf_add_u64(out, number_of(o, field));
        break;
    case CONFIG_FLAG:
        memcpy(&flag, field, sizeof flag);
        buf_add_text(out, flag ? "yes" : "no");
        break;
    case CONFIG_WORD:
    case CONFIG_SET:
        print_words(o, number_of(o, field), out);
        break;
    case CONFIG_MODE:
        memcpy(&mode, field, sizeof mode);
        buf_printf(out, "%04o", (unsigned)mode);
        break;
    case CONFIG_ADDRESS:
    case CONFIG_TEXT:
    case CONFIG_URL:
    case CONFIG_WEB_URL:
    case CONFIG_LOGIN:
        print_text(o, field, out);
        break;
    case CONFIG_HOSTS:
    case CONFIG_ORIGINS:
    case CONFIG_NETWORKS:
        print_list(field, out);
        break;
    }
    return out->failed ? -ENOMEM : 0;
}
