/* nearest.c - the optimal string alignment distance: characters added, left out, changed, or two
 * neighbours swapped count one each. */
#include "nearest_priv.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Longer names than any of ours are near to none, so three rows of the matrix fit the stack. */
enum { MAX_NAME = 80, MAX_DISTANCE = 3 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][MAX_NAME + 1];

    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = is_same(a.p[i - 1], b.p[j - 1]);

            row[j] = least(above[j - 1] + !same, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && is_same(a.p[i - 1], b.p[j - 2]) &&
                is_same(a.p[i - 2], b.p[j - 1]))
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[a.n % 3][b.n];
}

void nearest_offer(struct nearest *best, struct slice typed, const char *known)
{
    struct slice name = slice_of(known);
    size_t longest = typed.n > name.n ? typed.n : name.n;
    size_t d;

    if (longest > MAX_NAME || typed.n == 0)
        return;
    d = distance(typed, name);
    if (d > MAX_DISTANCE || d * 3 > longest + 1) /* a third of the letters wrong is no slip */
        return;
    if (best->text == NULL || d < best->distance)
        *best = (struct nearest){known, d};
}
