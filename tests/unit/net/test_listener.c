/* The listener and the loop, over real sockets on this machine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "net/listener.h"
#include "net/loop.h"

static struct stats stats;
static struct loop *loop;
static int accepted[8];
static size_t accepted_count;
static struct peer last_peer;
static uint64_t accept_ns; /* that handling a new connection takes */

static void on_accept(void *ctx, int fd, const struct peer *peer)
{
    assert_ptr_equal(ctx, &stats);
    assert_true(accepted_count < 8);
    accepted[accepted_count++] = fd;
    last_peer = *peer;
    for (uint64_t end = clock_mono_ns() + accept_ns; clock_mono_ns() < end;)
        ;
}

static int set_up(void **state)
{
    struct error why;

    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT, STDERR_FILENO, false);
    memset(&stats, 0, sizeof stats);
    accepted_count = 0;
    accept_ns = 0;
    loop = loop_create(&stats, &why);
    return loop == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < accepted_count; i++)
        close(accepted[i]);
    loop_destroy(loop);
    return 0;
}

static struct listener *listen_on(const char *address, struct error *why)
{
    struct listener_options options = {.address = slice_of(address), .mode = 0600,
                                       .user_timeout_ms = 12345};

    return listener_open(&options, loop, &stats, on_accept, &stats, why);
}

static int connect_to(const struct listener *l)
{
    struct sockaddr_storage address;
    socklen_t length;
    int fd;

    assert_int_equal(address_parse(slice_of(listener_address(l)), &address, &length, NULL), 0);
    fd = socket(address.ss_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

static void accept_until(size_t count)
{
    while (accepted_count < count)
        ev_run(loop_ev(loop), EVRUN_ONCE);
}

static void the_system_chooses_a_port_and_connections_come(void **state)
{
    struct listener *l = listen_on("127.0.0.1:0", NULL);
    char peer[PEER_TEXT_SIZE];
    int option = 0;
    socklen_t length = sizeof option;
    int fd;

    (void)state;
    assert_non_null(l);
    assert_null(strstr(listener_address(l), ":0"));
    fd = connect_to(l);
    accept_until(1);
    peer_format(&last_peer, false, peer);
    assert_string_equal(peer, "127.0.0.1");
    assert_true((fcntl(accepted[0], F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(accepted[0], F_GETFD) & FD_CLOEXEC) != 0);
    getsockopt(accepted[0], IPPROTO_TCP, TCP_NODELAY, &option, &length);
    assert_true(option != 0);
    getsockopt(accepted[0], IPPROTO_TCP, TCP_USER_TIMEOUT, &option, &length);
    assert_int_equal(option, 12345);
    close(fd);
    listener_close(l);
}

static void connections_that_take_long_are_spread_over_turns(void **state)
{
    struct listener *l = listen_on("127.0.0.1:0", NULL);
    int fds[4];

    (void)state;
    assert_non_null(l);
    for (int i = 0; i < 4; i++)
        fds[i] = connect_to(l);
    accept_ns = 10000000; /* more than a turn has for its events */
    for (size_t i = 1; i <= 4; i++) {
        accept_until(i);
        assert_int_equal(accepted_count, i);
    }
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    listener_close(l);
}

static void all_addresses_take_ipv4(void **state)
{
    struct listener *l = listen_on("*:0", NULL);
    struct sockaddr_in in = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char peer[PEER_TEXT_SIZE];

    (void)state;
    assert_non_null(l);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((uint16_t)atoi(strrchr(listener_address(l), ':') + 1));
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    accept_until(1);
    peer_format(&last_peer, false, peer);
    assert_string_equal(peer, "127.0.0.1");
    close(fd);
    listener_close(l);
}

static void a_port_in_use_is_named(void **state)
{
    struct listener *l = listen_on("127.0.0.1:0", NULL);
    struct error why = {""};

    (void)state;
    assert_null(listen_on(listener_address(l), &why));
    assert_non_null(strstr(why.text, listener_address(l)));
    listener_close(l);
}

static void make_path(char *out, size_t size, char *folder)
{
    assert_non_null(mkdtemp(folder));
    snprintf(out, size, "unix:%s/x.sock", folder);
}

static void a_unix_socket_has_its_mode_and_goes_with_its_listener(void **state)
{
    char folder[] = "/tmp/test_listener.XXXXXX";
    char address[64];
    struct listener *l;
    struct stat st;
    int fd;

    (void)state;
    make_path(address, sizeof address, folder);
    l = listen_on(address, NULL);
    assert_non_null(l);
    assert_string_equal(listener_address(l), address);
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fd = connect_to(l);
    accept_until(1);
    assert_int_equal(last_peer.port, 0);
    close(fd);
    listener_close(l);
    assert_int_equal(stat(address + 5, &st), -1);
    rmdir(folder);
}

static void a_stale_unix_socket_is_replaced_and_one_in_use_is_not(void **state)
{
    char folder[] = "/tmp/test_listener.XXXXXX";
    char address[64];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct listener *l;
    struct error why = {""};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    make_path(address, sizeof address, folder);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address + 5);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd); /* its file stays */
    l = listen_on(address, &why);
    assert_non_null(l);
    assert_null(listen_on(address, &why));
    assert_non_null(strstr(why.text, "in use"));
    listener_close(l);
    rmdir(folder);
}

static void file_of_a_unix_socket_is_given_to_a_user(void **state)
{
    char folder[] = "/tmp/test_listener.XXXXXX";
    uid_t uid = geteuid() == 0 ? 65534 : geteuid(); /* only root can give files away */
    gid_t gid = geteuid() == 0 ? 65533 : getegid();
    char address[64];
    struct listener *l;
    struct stat st;

    (void)state;
    make_path(address, sizeof address, folder);
    l = listen_on(address, NULL);
    assert_non_null(l);
    assert_int_equal(listener_give_to(l, uid, gid), 0);
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_gid, gid);
    assert_int_equal(st.st_mode & 0777, 0600);
    listener_close(l);
    assert_int_equal(stat(address + 5, &st), -1);
    rmdir(folder);
}

static void another_file_in_the_place_of_the_socket_is_not_given_away_nor_removed(void **state)
{
    char folder[] = "/tmp/test_listener.XXXXXX";
    char address[64];
    struct listener *l;
    struct stat before;
    struct stat after;

    (void)state;
    make_path(address, sizeof address, folder);
    l = listen_on(address, NULL);
    assert_non_null(l);
    assert_int_equal(unlink(address + 5), 0);
    assert_int_equal(listener_give_to(l, 65534, 65534), -ENOENT);
    assert_int_equal(symlink("/etc/passwd", address + 5), 0);
    assert_int_equal(stat(address + 5, &before), 0);
    assert_int_equal(listener_give_to(l, 65534, 65534), -ESTALE);
    assert_int_equal(stat(address + 5, &after), 0);
    assert_int_equal(after.st_uid, before.st_uid);
    listener_close(l);
    assert_int_equal(unlink(address + 5), 0);
    rmdir(folder);
}

static void a_tcp_listener_has_no_file_to_give(void **state)
{
    struct listener *l = listen_on("127.0.0.1:0", NULL);

    (void)state;
    assert_non_null(l);
    assert_int_equal(listener_give_to(l, 65534, 65534), 0);
    listener_close(l);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    char folder[] = "/tmp/test_listener.XXXXXX";
    char address[64];
    struct error why = {""};

    (void)state;
    make_path(address, sizeof address, folder);
    close(open(address + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_null(listen_on(address, &why));
    assert_non_null(strstr(why.text, "not a socket"));
    assert_int_equal(unlink(address + 5), 0);
    rmdir(folder);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    struct listener *l = listen_on("127.0.0.1:0", NULL);
    struct rlimit old;
    struct rlimit none;
    int fd = connect_to(l);
    int next = dup(fd);

    (void)state;
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)next; /* the lowest free one is past the limit */
    ev_run(loop_ev(loop), EVRUN_NOWAIT); /* whatever the loop itself opens is open */
    if (accepted_count > 0) {
        close(accepted[--accepted_count]);
        close(fd);
        fd = connect_to(l);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (stats.accept_paused == 0)
        ev_run(loop_ev(loop), EVRUN_ONCE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    next = connect_to(l); /* valgrind's kernel takes the first and drops it */
    accept_until(1);
    close(next);
    close(fd);
    listener_close(l);
}

static int hook_calls;
static bool hook(void *ctx)
{
    (void)ctx;
    if (++hook_calls == 5)
        loop_stop(loop);
    return true;
}

static void a_hook_with_more_work_runs_again_at_once(void **state)
{
    (void)state;
    hook_calls = 0;
    assert_int_equal(loop_add_turn_end(loop, hook, NULL), 0);
    loop_run(loop);
    assert_int_equal(hook_calls, 5);
    assert_true(stats.loop_turns >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_system_chooses_a_port_and_connections_come, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(connections_that_take_long_are_spread_over_turns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(all_addresses_take_ipv4, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_port_in_use_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_unix_socket_has_its_mode_and_goes_with_its_listener,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stale_unix_socket_is_replaced_and_one_in_use_is_not,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_of_a_unix_socket_is_given_to_a_user, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            another_file_in_the_place_of_the_socket_is_not_given_away_nor_removed, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(a_tcp_listener_has_no_file_to_give, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_socket_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_descriptors_accepting_pauses_and_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hook_with_more_work_runs_again_at_once, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
