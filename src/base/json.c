/* json.c - a scanner over the text with one bit a level for "object or array". */
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include "base/word.h"

struct scan {
    const char *p;
    size_t n;
    size_t at;
    const char *reason; /* what was expected at `at`; NULL while all is well */
};

static bool fail(struct scan *s, const char *reason)
{
    s->reason = reason;
    return false;
}

static bool is_space(char c)
{
    return c <= ' ' && (c == ' ' || c == '\t' || c == '\n' || c == '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline void skip_space(struct scan *s)
{
    while (s->at < s->n && is_space(s->p[s->at]))
        s->at++;
}

static bool next_is(const struct scan *s, char c)
{
    return s->at < s->n && s->p[s->at] == c;
}

static bool scan_escape(struct scan *s)
{
    s->at++;
    if (s->at == s->n)
        return fail(s, "an escape character");
    if (s->p[s->at] == 'u') {
        for (int i = 0; i < 4; i++) {
            s->at++;
            if (s->at == s->n || hex_value(s->p[s->at]) < 0)
                return fail(s, "four hexadecimal digits behind \\u");
        }
    } else if (strchr("\"\\/bfnrt", s->p[s->at]) == NULL || s->p[s->at] == '\0') {
        return fail(s, "one of \" \\ / b f n r t u behind the backslash");
    }
    s->at++;
    return true;
}

/* Goes on to the next byte of a string that means something: a quote, a backslash, a control
 * character; or to the end. Payloads are strings, and each is scanned more than once. */
static void skip_plain(struct scan *s)
{
    while (s->n - s->at >= WORD_SIZE) {
        uint64_t w = word_load(s->p + s->at);
        uint64_t marks = word_equal(w, '"') | word_equal(w, '\\') | word_below(w, 0x20);

        if (marks != 0) {
            s->at += word_first(marks);
            return;
        }
        s->at += WORD_SIZE;
    }
    while (s->at < s->n && s->p[s->at] != '"' && s->p[s->at] != '\\' &&
           (unsigned char)s->p[s->at] >= 0x20)
        s->at++;
}

static bool scan_string(struct scan *s)
{
    if (!next_is(s, '"'))
        return fail(s, "a string in double quotes");
    s->at++;
    for (;;) {
        skip_plain(s);
        if (s->at == s->n)
            return fail(s, "the closing quote of a string");
        if (s->p[s->at] == '"')
            break;
        if (s->p[s->at] != '\\')
            return fail(s, "no raw control character in a string (write it as an escape)");
        if (!scan_escape(s))
            return false;
    }
    s->at++;
    return true;
}

static bool scan_digits(struct scan *s)
{
    if (s->at == s->n || !is_digit(s->p[s->at]))
        return fail(s, "a digit");
    while (s->at < s->n && is_digit(s->p[s->at]))
        s->at++;
    return true;
}

static bool scan_number(struct scan *s)
{
    if (next_is(s, '-'))
        s->at++;
    if (next_is(s, '0'))
        s->at++;
    else if (!scan_digits(s))
        return false;
    if (next_is(s, '.')) {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        s->at++;
        if (next_is(s, '+') || next_is(s, '-'))
            s->at++;
        if (!scan_digits(s))
            return false;
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    for (; *word != '\0'; word++, s->at++)
        if (!next_is(s, *word))
            return fail(s, "true, false or null");
    return true;
}

static bool scan_scalar(struct scan *s)
{
    switch (s->at < s->n ? s->p[s->at] : '\0') {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return scan_number(s);
    default:
        return fail(s, "a value");
    }
}

struct levels {
    unsigned char is_object[JSON_MAX_DEPTH];
    size_t depth;
};

static bool scan_key(struct scan *s)
{
    skip_space(s);
    if (!next_is(s, '"'))
        return fail(s, "a member name in double quotes");
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (!next_is(s, ':'))
        return fail(s, "a colon behind the member name");
    s->at++;
    return true;
}

/* Stands at '[' or '{'; afterwards at the first value, or behind an empty container. */
static bool open_level(struct scan *s, struct levels *l, bool *is_empty)
{
    bool is_object = s->p[s->at] == '{';

    if (l->depth == JSON_MAX_DEPTH)
        return fail(s, "no deeper nesting than 256 levels");
    s->at++;
    skip_space(s);
    *is_empty = next_is(s, is_object ? '}' : ']');
    if (*is_empty) {
        s->at++;
        return true;
    }
    l->is_object[l->depth++] = is_object;
    return !is_object || scan_key(s);
}

/* Stands behind a value: closes what ends here, and goes to the next value if there is one. */
static bool after_value(struct scan *s, struct levels *l)
{
    while (l->depth > 0) {
        bool is_object = l->is_object[l->depth - 1];

        skip_space(s);
        if (next_is(s, ',')) {
            s->at++;
            return !is_object || scan_key(s);
        }
        if (!next_is(s, is_object ? '}' : ']'))
            return fail(s, is_object ? "a comma or } behind the member"
                                     : "a comma or ] behind the element");
        s->at++;
        l->depth--;
    }
    return true;
}

static bool scan_value(struct scan *s)
{
    struct levels l;

    l.depth = 0;
    do {
        bool is_whole = true;

        skip_space(s);
        if (next_is(s, '{') || next_is(s, '[')) {
            if (!open_level(s, &l, &is_whole))
                return false;
        } else if (!scan_scalar(s)) {
            return false;
        }
        if (is_whole && !after_value(s, &l))
            return false;
    } while (l.depth > 0);
    return true;
}

int json_check(struct slice text, size_t *error_offset, const char **reason)
{
    struct scan s = {.p = text.p, .n = text.n};
    size_t good = slice_utf8_prefix(text);
    bool ok = scan_value(&s);

    if (ok) {
        skip_space(&s);
        ok = s.at == s.n || fail(&s, "nothing behind the value");
    }
    if (good < text.n && (ok || good <= s.at)) {
        s.at = good;
        ok = fail(&s, "well-formed UTF-8");
    }
    if (ok)
        return 0;
    *error_offset = s.at;
    *reason = s.reason;
    return -EINVAL;
}

struct slice json_trim(struct slice text)
{
    while (text.n > 0 && is_space(text.p[0])) {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && is_space(text.p[text.n - 1]))
        text.n--;
    return text;
}

enum json_type json_type_of(struct slice value)
{
    switch (value.p[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

/* Behind the string that starts at `at` of a checked text: its first quote that is not escaped,
 * which is one with an even number of backslashes before it. */
static size_t string_end(struct slice text, size_t at)
{
    const char *quote = text.p + at;
    const char *before;

    do {
        quote++;
        quote = memchr(quote, '"', (size_t)(text.p + text.n - quote));
        before = quote;
        while (before[-1] == '\\')
            before--;
    } while ((quote - before) % 2 != 0);
    return (size_t)(quote + 1 - text.p);
}

/* Behind the object or array that starts at `at` of a checked text, in which the brackets outside
 * of strings are all that matters. */
static size_t container_end(struct slice text, size_t at)
{
    size_t depth = 0;

    for (;;) {
        switch (text.p[at]) {
        case '"':
            at = string_end(text, at);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        default:
            break;
        }
        at++;
        if (depth == 0)
            return at;
    }
}

/* Behind the value that starts at `at` of a checked text. */
static size_t value_end(struct slice text, size_t at)
{
    struct scan s = {.p = text.p, .n = text.n, .at = at};

    if (text.p[at] == '"')
        return string_end(text, at);
    if (text.p[at] == '{' || text.p[at] == '[')
        return container_end(text, at);
    (void)scan_scalar(&s);
    return s.at;
}

/* Goes to the next element of a container: over the bracket or comma and white space. */
static bool to_element(struct slice container, size_t *cursor)
{
    struct scan s = {.p = container.p, .n = container.n, .at = *cursor};

    skip_space(&s);
    if (s.at + 1 >= s.n || (s.at > 0 && s.p[s.at] != ','))
        return false;
    s.at++;
    skip_space(&s);
    *cursor = s.at;
    return s.p[s.at] != ']' && s.p[s.at] != '}';
}

bool json_array_next(struct slice array, size_t *cursor, struct slice *value)
{
    size_t end;

    if (!to_element(array, cursor))
        return false;
    end = value_end(array, *cursor);
    *value = slice_make(array.p + *cursor, end - *cursor);
    *cursor = end;
    return true;
}

bool json_object_next(struct slice object, size_t *cursor, struct slice *key, struct slice *value)
{
    struct scan s;

    if (!to_element(object, cursor))
        return false;
    s = (struct scan){.p = object.p, .n = object.n, .at = string_end(object, *cursor)};
    *key = slice_make(object.p + *cursor, s.at - *cursor);
    skip_space(&s);
    s.at++; /* the colon */
    skip_space(&s);
    *cursor = value_end(object, s.at);
    *value = slice_make(object.p + s.at, *cursor - s.at);
    return true;
}

bool json_string_is(struct slice key, const char *name)
{
    struct slice inner = slice_make(key.p + 1, key.n - 2);
    struct buf plain = {0};
    bool is_it;

    if (memchr(inner.p, '\\', inner.n) == NULL)
        return slice_is(inner, name);
    is_it = json_add_unescaped(&plain, key) == 0 && slice_is(buf_slice(&plain), name);
    buf_fini(&plain);
    return is_it;
}

static unsigned hex4(const char *p)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++)
        value = value * 16 + (unsigned)hex_value(p[i]);
    return value;
}

static int add_utf8(struct buf *b, unsigned c)
{
    char out[4];
    size_t n;

    if (c < 0x80) {
        out[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        n = 2;
    } else if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        n = 3;
    } else {
        out[0] = (char)(0xf0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3f));
        out[2] = (char)(0x80 | (c >> 6 & 0x3f));
        out[3] = (char)(0x80 | (c & 0x3f));
        n = 4;
    }
    return buf_add(b, out, n);
}

/* `p` is behind "\u"; returns how many bytes were used, or -EILSEQ, -ENOMEM. */
static int add_unicode_escape(struct buf *b, const char *p, const char *end)
{
    unsigned c = hex4(p);
    unsigned low;

    if (c >= 0xdc00 && c <= 0xdfff)
        return -EILSEQ;
    if (c < 0xd800 || c > 0xdbff)
        return add_utf8(b, c) == 0 ? 4 : -ENOMEM;
    if (end - p < 10 || p[4] != '\\' || p[5] != 'u')
        return -EILSEQ;
    low = hex4(p + 6);
    if (low < 0xdc00 || low > 0xdfff)
        return -EILSEQ;
    return add_utf8(b, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00)) == 0 ? 10 : -ENOMEM;
}

int json_add_unescaped(struct buf *b, struct slice string)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *p = string.p + 1;
    const char *end = string.p + string.n - 1;

    if (buf_reserve(b, string.n) != 0)
        return -ENOMEM;
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        int used;

        if (stop == NULL)
            stop = end;
        buf_add(b, p, (size_t)(stop - p));
        if (stop == end)
            break;
        p = stop + 2;
        if (stop[1] != 'u') {
            buf_add_char(b, to[strchr(from, stop[1]) - from]);
            continue;
        }
        used = add_unicode_escape(b, p, end);
        if (used < 0)
            return used;
        p += used;
    }
    return b->failed ? -ENOMEM : 0;
}

int json_add_compact(struct buf *b, struct slice value)
{
    const char *run = value.p;
    const char *end = value.p + value.n;

    for (const char *p = value.p; p < end;) {
        if (*p == '"') {
            p = value.p + string_end(value, (size_t)(p - value.p));
        } else if (is_space(*p)) {
            buf_add(b, run, (size_t)(p - run));
            run = ++p;
        } else {
            p++;
        }
    }
    buf_add(b, run, (size_t)(end - run));
    return b->failed ? -ENOMEM : 0;
}

static void add_escaped_char(struct buf *b, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *at = c == '\0' ? NULL : strchr(from, c);

    if (at != NULL) {
        buf_add_char(b, '\\');
        buf_add_char(b, to[at - from]);
    } else {
        buf_printf(b, "\\u%04x", c);
    }
}

int json_add_string(struct buf *b, struct slice utf8)
{
    size_t good = slice_utf8_prefix(utf8);
    size_t run = 0;

    buf_add_char(b, '"');
    for (size_t i = 0; i < utf8.n; i++) {
        unsigned char c = (unsigned char)utf8.p[i];
        bool is_wrong = i == good;

        if (!is_wrong && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_add(b, utf8.p + run, i - run);
        if (is_wrong) {
            buf_add_text(b, "\xef\xbf\xbd");
            good = i + 1 + slice_utf8_prefix(slice_make(utf8.p + i + 1, utf8.n - i - 1));
        } else {
            add_escaped_char(b, c);
        }
        run = i + 1;
    }
    buf_add(b, utf8.p + run, utf8.n - run);
    buf_add_char(b, '"');
    return b->failed ? -ENOMEM : 0;
}
