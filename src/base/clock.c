/* clock.c - see the header. */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_thread_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_mono_us(void)
{
    return clock_mono_ns() / 1000u;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000u;
}

uint64_t clock_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

void clock_format(uint64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char day[24];

    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        day[0] = '\0';
    snprintf(out, CLOCK_TEXT_SIZE, "%s.%03uZ", day, (unsigned)(wall_ms % 1000));
}

/* Cuts `n` digits off the front. */
static int cut_number(struct slice *s, size_t n, int *value)
{
    *value = 0;
    if (s->n < n)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return -EINVAL;
        *value = *value * 10 + (s->p[i] - '0');
    }
    *s = slice_make(s->p + n, s->n - n);
    return 0;
}

/* Cuts one of these characters off; 0: there is none of them. */
static char cut_char(struct slice *s, const char *among)
{
    char c = s->n > 0 ? s->p[0] : '\0';

    if (c == '\0' || strchr(among, c) == NULL)
        return '\0';
    *s = slice_make(s->p + 1, s->n - 1);
    return c;
}

/* A number of so many digits from `least` to `most`, and what stands before it. */
static int cut_part(struct slice *s, const char *before, size_t digits, int least, int most,
                    int *value)
{
    if (before[0] != '\0' && cut_char(s, before) == '\0')
        return -EINVAL;
    return cut_number(s, digits, value) == 0 && *value >= least && *value <= most ? 0 : -EINVAL;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

static int cut_thousandths(struct slice *s, int *ms)
{
    int weight = 100;
    size_t digits = 0;

    *ms = 0;
    if (cut_char(s, ".") == '\0')
        return 0;
    for (; s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9'; digits++) {
        *ms += (s->p[0] - '0') * weight;
        weight /= 10;
        *s = slice_make(s->p + 1, s->n - 1);
    }
    return digits > 0 ? 0 : -EINVAL;
}

static int cut_offset(struct slice *s, int *minutes)
{
    char sign = cut_char(s, "Zz+-");
    int h;
    int m;

    *minutes = 0;
    if (sign == 'Z' || sign == 'z')
        return 0;
    if (sign == '\0' || cut_part(s, "", 2, 0, 23, &h) != 0 || cut_part(s, ":", 2, 0, 59, &m) != 0)
        return -EINVAL;
    *minutes = sign == '-' ? -(h * 60 + m) : h * 60 + m;
    return 0;
}

int clock_parse(struct slice text, uint64_t *wall_ms)
{
    struct tm t = {.tm_isdst = 0};
    int year;
    int month;
    int ms;
    int offset;
    int64_t seconds;

    if (cut_part(&text, "", 4, 1970, 9999, &year) != 0 ||
        cut_part(&text, "-", 2, 1, 12, &month) != 0 ||
        cut_part(&text, "-", 2, 1, days_of(year, month), &t.tm_mday) != 0 ||
        cut_part(&text, "Tt ", 2, 0, 23, &t.tm_hour) != 0 ||
        cut_part(&text, ":", 2, 0, 59, &t.tm_min) != 0 ||
        cut_part(&text, ":", 2, 0, 59, &t.tm_sec) != 0 || cut_thousandths(&text, &ms) != 0 ||
        cut_offset(&text, &offset) != 0 || text.n != 0)
        return -EINVAL;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    seconds = (int64_t)timegm(&t) - offset * 60;
    if (seconds < 0)
        return -EINVAL;
    *wall_ms = (uint64_t)seconds * 1000 + (uint64_t)ms;
    return 0;
}
