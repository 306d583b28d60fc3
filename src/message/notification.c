/* notification.c - the rules of names. */
#include "message/notification.h"

bool channel_name_is_valid(struct slice name)
{
    return name.n >= 1 && name.n <= MAX_CHANNEL_NAME && !slice_has_control(name) &&
           slice_is_utf8(name);
}

bool event_name_is_reserved(struct slice event)
{
    static const char *const reserved[] = {"gap", "bye", "retract", "ping", "expiring"};

    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (slice_is(event, reserved[i]))
            return true;
    return false;
}

bool event_name_is_valid(struct slice event)
{
    return event.n >= 1 && event.n <= MAX_EVENT_NAME && !slice_has_control(event) &&
           slice_is_utf8(event) && !event_name_is_reserved(event);
}
