/* error.c - see the header. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *why, const char *format, ...)
{
    va_list args;

    if (why == NULL)
        return -1;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return -1;
}
