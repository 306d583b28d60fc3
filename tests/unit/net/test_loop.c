/* test_loop.c - how long turns are told to be, and that no number of events makes one long. */
#include "net/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/sock.h"
#include "support/cm.h"

enum { SOCKS = 60, MS = 1000000, WORK_NS = 1 * MS, LONG_NS = 30 * MS };

struct peer_sock {
    struct sock sock;
    int peer;
    size_t handled; /* events */
    size_t at;      /* the order in which the first one was */
    size_t turn;    /* of the first one */
};

static struct stats stats;
static struct loop *loop;
static struct peer_sock socks[SOCKS];
static size_t handled;
static size_t turns;
static struct peer_sock *victim; /* what the first that is handled does something to */
static bool is_victim_to_close;  /* or only to want nothing */
static size_t epoll_changes;
static bool has_no_memory;

/* The loop and libev call this one: we count, or have no memory. */
int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    epoll_changes++;
    if (has_no_memory) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

static void burn(uint64_t ns)
{
    uint64_t end = clock_thread_ns() + ns;

    while (clock_thread_ns() < end)
        ;
}

static int make_loop(void **state)
{
    struct error why;

    (void)state;
    stats = (struct stats){0};
    handled = turns = 0;
    victim = NULL;
    is_victim_to_close = true;
    loop = loop_create(&stats, &why);
    return loop == NULL ? -1 : 0;
}

static int end_loop(void **state)
{
    (void)state;
    loop_destroy(loop);
    return 0;
}

/* ---- the clocks ---- */

static bool burn_once(void *ctx)
{
    (void)ctx;
    if (++turns == 2)
        burn(LONG_NS);
    if (turns == 4)
        loop_stop(loop);
    return true;
}

static void a_turn_that_works_is_long_by_both_clocks(void **state)
{
    (void)state;
    assert_int_equal(loop_add_turn_end(loop, burn_once, NULL), 0);
    loop_run(loop);
    assert_int_equal(stats.loop_turns, 4);
    assert_true(stats.loop_longest_cpu_us >= LONG_NS / 1000);
    assert_true(stats.loop_longest_us >= stats.loop_longest_cpu_us);
}

static bool sleep_once(void *ctx)
{
    struct timespec pause = {.tv_nsec = LONG_NS};

    (void)ctx;
    if (++turns == 2)
        nanosleep(&pause, NULL);
    if (turns == 4)
        loop_stop(loop);
    return true;
}

static void a_turn_that_is_kept_waiting_is_long_by_the_wall_clock_only(void **state)
{
    (void)state;
    assert_int_equal(loop_add_turn_end(loop, sleep_once, NULL), 0);
    loop_run(loop);
    assert_true(stats.loop_longest_us >= LONG_NS / 1000);
    assert_true(stats.loop_longest_cpu_us < LONG_NS / 1000 / 2);
}

/* ---- many events ---- */

static void on_event(struct sock *s, unsigned events)
{
    struct peer_sock *p = (struct peer_sock *)(void *)s;
    char byte;

    assert_true((events & NET_READ) != 0);
    assert_int_equal(sock_read(s, &byte, 1), 1);
    if (p->handled++ == 0) {
        p->at = handled++;
        p->turn = turns;
    }
    if (victim != NULL) {
        if (is_victim_to_close)
            sock_close(&victim->sock);
        else
            sock_want(&victim->sock, 0);
        victim = NULL;
        handled++;
    }
    burn(WORK_NS);
}

static void on_deadline(struct sock *s, uint64_t now_ms)
{
    (void)s;
    (void)now_ms;
}

static struct sock_owner owner = {.on_event = on_event, .on_deadline = on_deadline};

static bool until_all_are_handled(void *ctx)
{
    (void)ctx;
    turns++;
    if (handled == SOCKS)
        loop_stop(loop);
    return false;
}

static void open_all(void)
{
    owner.loop = loop;
    for (size_t i = 0; i < SOCKS; i++) {
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        socks[i] = (struct peer_sock){.peer = ends[1]};
        sock_open(&socks[i].sock, &owner, ends[0]);
        sock_want(&socks[i].sock, NET_READ);
        assert_int_equal(write(ends[1], "x", 1), 1);
    }
    assert_int_equal(loop_add_turn_end(loop, until_all_are_handled, NULL), 0);
}

static void close_all(void)
{
    for (size_t i = 0; i < SOCKS; i++) {
        if (socks[i].sock.fd >= 0)
            sock_close(&socks[i].sock);
        close(socks[i].peer);
    }
}

static void events_that_come_at_once_are_spread_over_turns(void **state)
{
    (void)state;
    open_all();
    loop_run(loop);
    for (size_t i = 0; i < SOCKS; i++) {
        assert_int_equal(socks[i].handled, 1);
        for (size_t k = 0; k < SOCKS; k++) /* in the order in which they were put off */
            assert_true(socks[i].turn <= socks[k].turn || socks[i].at > socks[k].at);
    }
    assert_true(turns > 3);
    assert_true(stats.loop_longest_cpu_us < SOCKS * WORK_NS / 1000 / 2);
    close_all();
}

static void what_is_closed_while_its_event_is_put_off_hears_nothing(void **state)
{
    (void)state;
    open_all();
    victim = &socks[SOCKS / 2];
    loop_run(loop);
    assert_int_equal(socks[SOCKS / 2].handled, 0);
    for (size_t i = 0; i < SOCKS; i++)
        assert_int_equal(socks[i].handled, i == SOCKS / 2 ? 0 : 1);
    close_all();
}

static void what_is_put_off_hears_of_what_comes_later(void **state)
{
    (void)state;
    open_all();
    loop_run(loop);
    handled = 0;
    for (size_t i = 0; i < SOCKS; i++) {
        socks[i].handled = 0;
        assert_int_equal(write(socks[i].peer, "y", 1), 1);
    }
    loop_run(loop);
    for (size_t i = 0; i < SOCKS; i++)
        assert_int_equal(socks[i].handled, 1);
    close_all();
}

static void what_wants_nothing_while_it_is_put_off_hears_once_it_wants_again(void **state)
{
    struct peer_sock *last = &socks[SOCKS / 2];

    (void)state;
    open_all();
    victim = last;
    is_victim_to_close = false;
    loop_run(loop);
    assert_int_equal(last->handled, 0);
    assert_int_equal(sock_wants(&last->sock), 0);
    handled = SOCKS - 1;
    sock_want(&last->sock, NET_READ);
    loop_run(loop);
    assert_int_equal(last->handled, 1);
    close_all();
}

/* ---- many that hang up ---- */

static void on_hang_up(struct sock *s, unsigned events)
{
    (void)events;
    handled++;
    sock_close(s);
    burn(WORK_NS);
}

static void streams_that_break_at_once_take_a_bounded_number_of_system_calls_each(void **state)
{
    static struct sock_owner closer = {.on_event = on_hang_up, .on_deadline = on_deadline};

    (void)state;
    closer.loop = loop;
    epoll_changes = 0;
    for (size_t i = 0; i < SOCKS; i++) {
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        sock_open(&socks[i].sock, &closer, ends[0]);
        sock_want(&socks[i].sock, NET_READ);
        close(ends[1]);
    }
    assert_int_equal(loop_add_turn_end(loop, until_all_are_handled, NULL), 0);
    loop_run(loop);
    assert_true(turns > 5);
    /* One each, and a few of the loop's own. */
    assert_in_range(epoll_changes, SOCKS, SOCKS + 4);
}

/* ---- one that cannot be watched ---- */

static void what_cannot_be_watched_is_ended(void **state)
{
    char byte;
    int ends[2];

    (void)state;
    owner.loop = loop;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    sock_open(&socks[0].sock, &owner, ends[0]);
    has_no_memory = true;
    sock_want(&socks[0].sock, NET_READ);
    has_no_memory = false;
    assert_int_equal(read(ends[1], &byte, 1), 0); /* its peer hears of it at once */
    sock_close(&socks[0].sock);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_turn_that_works_is_long_by_both_clocks, make_loop,
                                        end_loop),
        cmocka_unit_test_setup_teardown(a_turn_that_is_kept_waiting_is_long_by_the_wall_clock_only,
                                        make_loop, end_loop),
        cmocka_unit_test_setup_teardown(events_that_come_at_once_are_spread_over_turns, make_loop,
                                        end_loop),
        cmocka_unit_test_setup_teardown(what_is_closed_while_its_event_is_put_off_hears_nothing,
                                        make_loop, end_loop),
        cmocka_unit_test_setup_teardown(what_is_put_off_hears_of_what_comes_later, make_loop,
                                        end_loop),
        cmocka_unit_test_setup_teardown(
            what_wants_nothing_while_it_is_put_off_hears_once_it_wants_again, make_loop, end_loop),
        cmocka_unit_test_setup_teardown(
            streams_that_break_at_once_take_a_bounded_number_of_system_calls_each, make_loop,
            end_loop),
        cmocka_unit_test_setup_teardown(what_cannot_be_watched_is_ended, make_loop, end_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
