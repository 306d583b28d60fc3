/* Which row of the table serves a path. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/request_priv.h"
#include "http/router_priv.h"

static void stream(void *ctx, struct http_request *r)
{
    (void)ctx;
    (void)r;
}

static void history(void *ctx, struct http_request *r)
{
    stream(ctx, r);
}

static void notify(void *ctx, struct http_request *r)
{
    stream(ctx, r);
}

static void retract(void *ctx, struct http_request *r)
{
    stream(ctx, r);
}

static void kick(void *ctx, struct http_request *r)
{
    stream(ctx, r);
}

static const struct http_route routes[] = {
    {HTTP_GET, "/notifications/:userID", HTTP_PUBLIC, stream},
    {HTTP_GET, "/notifications/:userID/history", HTTP_PUBLIC, history},
    {HTTP_POST, "/notify", HTTP_INTERNAL, notify},
    {HTTP_DELETE, "/notifications/:userID/:id", HTTP_INTERNAL, retract},
    {HTTP_DELETE, "/users/:userID/streams/:clientID", HTTP_INTERNAL, kick},
    {0, NULL, 0, NULL},
};

static struct router *router;
static struct router_match found;

static http_handler *find(enum http_method method, const char *path, enum http_role role)
{
    router_match(router, slice_of(path), role, method, &found);
    return found.handler;
}

static const char *allowed(const char *path, enum http_role role)
{
    static char out[ROUTER_ALLOW_SIZE];

    find(HTTP_OTHER, path, role);
    router_allow(found.methods, out, sizeof out);
    return out;
}

static void a_path_finds_its_row_and_parameters(void **state)
{
    (void)state;
    assert_ptr_equal(find(HTTP_GET, "/notifications/alice", HTTP_ALL), stream);
    assert_int_equal(found.param_count, 1);
    assert_true(slice_is(found.params[0], "alice"));
    assert_ptr_equal(find(HTTP_DELETE, "/users/bob/streams/17", HTTP_ALL), kick);
    assert_int_equal(found.param_count, 2);
    assert_true(slice_is(found.params[0], "bob"));
    assert_true(slice_is(found.params[1], "17"));
    assert_ptr_equal(find(HTTP_POST, "/notify", HTTP_ALL), notify);
    assert_int_equal(found.param_count, 0);
}

static void rows_of_one_path_differ_by_method(void **state)
{
    (void)state;
    assert_ptr_equal(find(HTTP_GET, "/notifications/a/history", HTTP_ALL), history);
    assert_ptr_equal(find(HTTP_DELETE, "/notifications/a/history", HTTP_ALL), retract);
    assert_true(slice_is(found.params[1], "history"));
    assert_ptr_equal(find(HTTP_HEAD, "/notifications/a", HTTP_ALL), stream);
}

static void a_path_that_fits_no_row_is_unknown(void **state)
{
    static const char *const unknown[] = {
        "/", "", "/notify/", "/notifications", "/notifications/", "/notifications//history",
        "/notifications/a/b/c", "//notify", "/Notify", "notify", "/notify%2f", "/users/a/streams",
    };

    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        if (find(HTTP_GET, unknown[i], HTTP_ALL) != NULL || found.methods != 0)
            fail_msg("\"%s\" was found", unknown[i]);
    }
}

static void a_path_of_more_segments_than_any_row_is_unknown(void **state)
{
    char path[64] = "/users/a/streams/b";

    (void)state;
    while (strlen(path) + 3 < sizeof path) {
        strcat(path, "/c");
        assert_null(find(HTTP_DELETE, path, HTTP_ALL));
        assert_int_equal(found.methods, 0);
    }
}

static void a_name_may_stand_in_any_segment_and_four_times(void **state)
{
    static const struct http_route odd[] = {
        {HTTP_GET, "/:a/:b/x/:c/:d/y/z", HTTP_PUBLIC, stream},
        {HTTP_GET, "/:a", HTTP_PUBLIC, history},
        {HTTP_GET, "/", HTTP_PUBLIC, notify},
        {0, NULL, 0, NULL},
    };
    struct router *own = router_create(odd);

    (void)state;
    assert_non_null(own);
    router_match(own, slice_of("/1/2/%78/3/4/y/z"), HTTP_ALL, HTTP_GET, &found);
    assert_ptr_equal(found.handler, stream);
    assert_int_equal(found.param_count, 4);
    assert_true(slice_is(found.params[2], "3"));
    router_match(own, slice_of("/%2f"), HTTP_ALL, HTTP_GET, &found);
    assert_ptr_equal(found.handler, history);
    router_match(own, slice_of("/"), HTTP_ALL, HTTP_GET, &found);
    assert_ptr_equal(found.handler, notify);
    assert_int_equal(router_methods(own, HTTP_ALL), 1u << HTTP_GET);
    assert_int_equal(router_methods(own, HTTP_INTERNAL), 0);
    router_destroy(own);
}

static void a_row_of_another_role_does_not_exist(void **state)
{
    (void)state;
    assert_null(find(HTTP_POST, "/notify", HTTP_PUBLIC));
    assert_int_equal(found.methods, 0);
    assert_ptr_equal(find(HTTP_POST, "/notify", HTTP_INTERNAL), notify);
    assert_null(find(HTTP_GET, "/notifications/a", HTTP_INTERNAL));
}

static void literal_segments_fit_whatever_their_encoding(void **state)
{
    (void)state;
    assert_ptr_equal(find(HTTP_POST, "/%6eotif%79", HTTP_ALL), notify);
    assert_null(find(HTTP_POST, "/%6Fotify", HTTP_ALL));
}

static void the_allowed_methods_are_listed(void **state)
{
    (void)state;
    assert_string_equal(allowed("/notify", HTTP_ALL), "POST, OPTIONS");
    assert_string_equal(allowed("/notifications/a", HTTP_ALL), "GET, HEAD, OPTIONS");
    assert_string_equal(allowed("/notifications/a/history", HTTP_ALL),
                        "GET, HEAD, DELETE, OPTIONS");
    assert_string_equal(allowed("/notifications/a/history", HTTP_PUBLIC), "GET, HEAD, OPTIONS");
    assert_string_equal(allowed("/nothing", HTTP_ALL), "");
}

static int make_router(void **state)
{
    (void)state;
    router = router_create(routes);
    return router == NULL ? -1 : 0;
}

static int end_router(void **state)
{
    (void)state;
    router_destroy(router);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_finds_its_row_and_parameters),
        cmocka_unit_test(rows_of_one_path_differ_by_method),
        cmocka_unit_test(a_path_that_fits_no_row_is_unknown),
        cmocka_unit_test(a_path_of_more_segments_than_any_row_is_unknown),
        cmocka_unit_test(a_name_may_stand_in_any_segment_and_four_times),
        cmocka_unit_test(a_row_of_another_role_does_not_exist),
        cmocka_unit_test(literal_segments_fit_whatever_their_encoding),
        cmocka_unit_test(the_allowed_methods_are_listed),
    };

    return cmocka_run_group_tests(tests, make_router, end_router);
}
