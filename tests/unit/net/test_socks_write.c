/* test_socks_write.c - many writes at once come out one by one as send would have told, with
 * io_uring and without, and when io_uring fails in the middle. */
#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/loop.h"
#include "support/cm.h"

enum { SOCKS = 600, BIG = 1 << 20, ROOM = 8192 };

static struct stats stats;
static struct loop *loop;
static struct sock socks[SOCKS];
static int peers[SOCKS];
static struct write writes[SOCKS];
static struct iovec iov[SOCKS][2];
static char big[BIG];
static char read_back[BIG];

static void on_event(struct sock *s, unsigned events)
{
    (void)s;
    (void)events;
}

static void on_deadline(struct sock *s, uint64_t now_ms)
{
    (void)s;
    (void)now_ms;
}

static struct sock_owner owner = {NULL, on_event, on_deadline};

static int begin(void **state)
{
    struct error why;

    (void)state;
    stats = (struct stats){0};
    loop = loop_create(&stats, &why);
    if (loop == NULL)
        return -1;
    owner.loop = loop;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 31 >> 3);
    for (int i = 0; i < SOCKS; i++) {
        int room = ROOM;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
            return -1;
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        sock_open(&socks[i], &owner, pair[0]);
        peers[i] = pair[1];
    }
    return 0;
}

static int begin_with_uring(void **state)
{
    struct error why;

    return begin(state) == 0 && loop_use_uring(loop, &why) == 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < SOCKS; i++) {
        sock_close(&socks[i]);
        if (peers[i] >= 0)
            close(peers[i]);
    }
    loop_destroy(loop);
    return 0;
}

/* `first` and `second` bytes of `big` in two pieces, the second empty where there is one only. */
static void prepare(int i, size_t first, size_t second)
{
    iov[i][0] = (struct iovec){big, first};
    iov[i][1] = (struct iovec){big + first, second};
    writes[i] = (struct write){
        .to = &socks[i], .iov = iov[i], .count = second > 0 ? 2 : 1, .taken = 12345};
}

static void close_peer(int i)
{
    close(peers[i]);
    peers[i] = -1;
}

static void assert_peer_has(int i, ssize_t bytes)
{
    assert_int_equal(recv(peers[i], read_back, sizeof read_back, 0), bytes);
    assert_memory_equal(read_back, big, bytes);
    assert_int_equal(recv(peers[i], read_back, sizeof read_back, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void each_peer_gets_its_own_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SOCKS; i++)
            prepare(i, (size_t)i + 1, i % 3 == 0 ? 7 : 0);
        socks_write(loop, writes, SOCKS);
        for (int i = 0; i < SOCKS; i++) {
            assert_int_equal(writes[i].taken, i + 1 + (i % 3 == 0 ? 7 : 0));
            assert_peer_has(i, writes[i].taken);
        }
    }
}

/* Among writes that go well there are one of which a part is taken, one of which nothing is, and
 * one whose peer is gone; their order does not matter. */
static void what_becomes_of_one_write_is_nothing_to_the_others(void **state)
{
    ssize_t part;

    (void)state;
    for (int i = 0; i < SOCKS; i++)
        prepare(i, 100, 50);
    prepare(3, BIG / 2, BIG / 2);
    while (sock_write(&socks[5], big, ROOM) > 0)
        ;
    close_peer(7);
    prepare(SOCKS - 1, BIG, 0);
    socks_write(loop, writes, SOCKS);
    part = writes[3].taken;
    assert_true(part > 0 && part < BIG);
    assert_int_equal(writes[5].taken, -EAGAIN);
    assert_int_equal(writes[7].taken, -EPIPE);
    assert_int_equal(writes[SOCKS - 1].taken, part);
    assert_peer_has(3, part);
    for (int i = 0; i < SOCKS - 1; i++)
        if (i != 3 && i != 5 && i != 7) {
            assert_int_equal(writes[i].taken, 150);
            assert_peer_has(i, 150);
        }
}

/* Reads on behind the `at` bytes that came before; returns how many there are now. */
static size_t read_on(int i, size_t at)
{
    ssize_t n;

    while ((n = recv(peers[i], read_back, sizeof read_back, 0)) > 0) {
        assert_memory_equal(read_back, big + at, n);
        at += (size_t)n;
    }
    return at;
}

static void a_socket_takes_more_once_its_peer_has_read(void **state)
{
    size_t sent[2] = {0, 0};

    (void)state;
    while (sent[0] < BIG || sent[1] < BIG) {
        for (int i = 0; i < 2; i++) {
            prepare(i, BIG - sent[i], 0);
            iov[i][0].iov_base = big + sent[i];
        }
        socks_write(loop, writes, 2);
        for (int i = 0; i < 2; i++) {
            size_t before = sent[i];

            sent[i] = read_on(i, before);
            assert_int_equal(sent[i] - before, writes[i].taken);
        }
    }
}

static void io_uring_is_what_wrote(void **state)
{
    (void)state;
    for (int i = 0; i < SOCKS; i++)
        prepare(i, 10, 0);
    socks_write(loop, writes, SOCKS);
    assert_int_equal(stats.uring_writes, SOCKS);
}

/* The descriptor of the ring, which the kernel shows as such. */
static int ring_descriptor(void)
{
    char path[64];
    char to[64];

    for (int fd = 0; fd < 4000; fd++) {
        ssize_t n;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        n = readlink(path, to, sizeof to - 1);
        if (n > 0 && memmem(to, (size_t)n, "io_uring", 8) != NULL)
            return fd;
    }
    return -1;
}

static void nothing_is_lost_when_io_uring_fails(void **state)
{
    int ring = ring_descriptor();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_true(ring >= 0 && null >= 0);
    assert_int_equal(dup2(null, ring), ring); /* from now on it is no ring */
    close(null);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < SOCKS; i++)
            prepare(i, 10, 20);
        socks_write(loop, writes, SOCKS);
        for (int i = 0; i < SOCKS; i++) {
            assert_int_equal(writes[i].taken, 30);
            assert_peer_has(i, 30);
        }
    }
    assert_int_equal(stats.uring_writes, 0);
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define URING(name) {#name " (io_uring)", name, begin_with_uring, end, NULL}
    const struct CMUnitTest plain[] = {
        PLAIN(each_peer_gets_its_own_bytes),
        PLAIN(what_becomes_of_one_write_is_nothing_to_the_others),
        PLAIN(a_socket_takes_more_once_its_peer_has_read),
    };
    const struct CMUnitTest uring[] = {
        URING(each_peer_gets_its_own_bytes),
        URING(what_becomes_of_one_write_is_nothing_to_the_others),
        URING(a_socket_takes_more_once_its_peer_has_read),
        URING(io_uring_is_what_wrote),
        URING(nothing_is_lost_when_io_uring_fails),
    };
    int failed = cmocka_run_group_tests(plain, NULL, NULL);
    struct error why;
    void *none = NULL;

    if (begin(&none) != 0)
        return 1;
    if (loop_use_uring(loop, &why) != 0) {
        printf("without io_uring: %s\n", why.text);
        end(&none);
        return failed;
    }
    end(&none);
    return failed + cmocka_run_group_tests(uring, NULL, NULL);
}
