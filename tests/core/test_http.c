/* HTTP against a loopback peer that behaves, and one that does not. */
#include "check.h"

#include "http_peer.h"
#include "tranship/http.h"
#include "tranship/loop.h"

static tsh_loop *loop;
static tsh_http *http;

static int set_up(void **state) {
  (void)state;
  if (tsh_loop_open(&loop, NULL) != 0)
    return -1;
  return tsh_http_open(&http, loop, NULL);
}

static int tear_down(void **state) {
  (void)state;
  tsh_http_close(http);
  tsh_loop_close(loop);
  return 0;
}

/* A peer waits for the next request as long as its connection is kept. */
static void stop(http_peer *peer) {
  tsh_http_close(http);
  http_peer_stop(peer);
  assert_int_equal(tsh_http_open(&http, loop, NULL), 0);
}

static void is_done(tsh_op *op) { *(bool *)op->user = true; }

/* Waits for an event; the wait's status and error. */
static int await(tsh_http_call *call, tsh_http_event event, tsh_err *err) {
  bool done = false;
  tsh_op *op = tsh_http_wait(call, event);
  int status;

  op->done = is_done;
  op->user = &done;
  while (!done && tsh_loop_turn(loop))
    continue;
  assert_true(done);
  status = op->status;
  *err = op->err;
  op->free(op);
  return status;
}

static tsh_http_call *start(const http_peer *peer, tsh_http_ask ask) {
  static char url[64];
  tsh_http_peer to = {0};
  tsh_http_call *call;
  tsh_err err;

  snprintf(url, sizeof url, "http://127.0.0.1:%d/x", peer->port);
  ask.url = url;
  if (ask.method == NULL)
    ask.method = "GET";
  if (ask.limit == 0)
    ask.limit = 1 << 20;
  if (tsh_http_start(&call, http, &to, &ask, &err) != 0)
    fail_msg("%s", err.message);
  return call;
}

static void say_hello(http_peer *p, int number) {
  (void)number;
  http_say(p, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n"
              "Warning: 299 - \"one\"\r\nWarning: 299 - \"two\"\r\n\r\nhello");
}

static void test_request(void **state) {
  const char *const headers[] = {"X-Test: yes", NULL};
  http_peer peer;
  tsh_err err;

  (void)state;
  http_peer_start(&peer, say_hello, NULL);
  for (int i = 0; i < 3; i++) {
    tsh_http_call *call = start(&peer, (tsh_http_ask){.headers = headers});

    assert_int_equal(await(call, TSH_HTTP_END, &err), 0);
    assert_int_equal(tsh_http_status(call), 201);
    assert_int_equal(tsh_http_body(call).length, 5);
    assert_memory_equal(tsh_http_body(call).data, "hello", 5);
    assert_string_equal(tsh_http_header(call, "warning", 1), "299 - \"two\"");
    assert_null(tsh_http_header(call, "warning", 2));
    tsh_http_free(call);
  }
  assert_int_equal(peer.connections, 1); /* one, and used again */
  assert_non_null(strstr(peer.request, "X-Test: yes"));
  stop(&peer);
}

/* What a peer does, and how the call ends. */
static void expect_end(void (*answer)(http_peer *, int), tsh_http_ask ask,
                       tsh_kind kind) {
  http_peer peer;
  tsh_http_call *call;
  tsh_err err = {0};

  http_peer_start(&peer, answer, NULL);
  call = start(&peer, ask);
  assert_int_equal(await(call, TSH_HTTP_END, &err), kind);
  if (kind != 0)
    assert_true(err.message[0] != '\0' && !err.retriable);
  tsh_http_free(call);
  stop(&peer);
}

static void say_nonsense(http_peer *p, int number) {
  (void)number;
  http_say(p, "\x16\x03\x01 this is not HTTP at all\r\n\r\n");
  close(p->fd);
  p->fd = -1;
}

static void say_nothing(http_peer *p, int number) {
  (void)number;
  close(p->fd);
  p->fd = -1;
}

static void say_half(http_peer *p, int number) {
  say_nothing(
      (http_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"), p),
      number);
}

static void reset(http_peer *p, int number) {
  (void)number;
  http_reset(p);
}

static void stay_silent(http_peer *p, int number) {
  char byte;

  (void)number;
  recv(p->fd, &byte, 1, 0); /* until the other side gives up */
}

static void say_much(http_peer *p, int number) {
  (void)number;
  http_say(p,
           "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789");
}

static void lead_elsewhere(http_peer *p, int number) {
  (void)number;
  http_say(p, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n"
              "Content-Length: 0\r\n\r\n");
}

static void test_bad_peers(void **state) {
  (void)state;
  expect_end(say_nonsense, (tsh_http_ask){0}, TSH_PROTOCOL);
  expect_end(say_nothing, (tsh_http_ask){.method = "POST"}, TSH_CLOSED);
  expect_end(say_half, (tsh_http_ask){0}, TSH_CLOSED);
  expect_end(reset, (tsh_http_ask){.method = "POST"}, TSH_CLOSED);
  expect_end(stay_silent, (tsh_http_ask){.timeout_ms = 200}, TSH_TIMEOUT);
  expect_end(stay_silent, (tsh_http_ask){.idle_ms = 1000, .is_stream = true},
             TSH_TIMEOUT);
  expect_end(say_much, (tsh_http_ask){.limit = 19}, TSH_LIMIT);
  expect_end(say_much, (tsh_http_ask){.limit = 20}, TSH_OK);
  expect_end(lead_elsewhere, (tsh_http_ask){0}, TSH_OK); /* not followed */
}

/* Answers a request, and resets at the next one. */
static void answer_half(http_peer *p, int number) {
  if (number % 2 == 0)
    say_hello(p, number);
  else
    http_reset(p);
}

/* A connection that is lost when it is used again: what was sent may have been
 * done, and only what does no harm is sent once more. */
static void test_lost_again(void **state) {
  const char *const methods[] = {"GET", "POST", "PATCH", "DELETE"};

  (void)state;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    tsh_http_ask ask = {.method = methods[i]};
    http_peer peer;
    tsh_err err;

    if (i > 0)
      ask.body = (tsh_http_bytes){"{\"a\":1}", 7};
    http_peer_start(&peer, answer_half, NULL);
    for (int n = 0; n < 2; n++) {
      tsh_http_call *call = start(&peer, ask);

      assert_int_equal(await(call, TSH_HTTP_END, &err),
                       n == 0 || i == 0 ? 0 : TSH_CLOSED);
      tsh_http_free(call);
    }
    stop(&peer); /* and with it the thread that counts */
    assert_int_equal(peer.requests, i == 0 ? 3 : 2);
  }
}

static void test_nobody_there(void **state) {
  http_peer nobody = {.port = 9};
  tsh_http_call *call;
  tsh_err err;

  (void)state;
  call = start(&nobody, (tsh_http_ask){.method = "POST"});
  assert_int_equal(await(call, TSH_HTTP_END, &err), TSH_UNAVAILABLE);
  assert_true(err.retriable); /* it was surely not sent */
  tsh_http_free(call);
}

static void stream_lines(http_peer *p, int number) {
  (void)number;
  http_say(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  http_say(p, "8\r\n{\"a\":1}\n\r\n");
  http_say(p, "4\r\n{\"b\"\r\n");               /* a line may come in pieces */
  http_say(p, "f\r\n:2}\r\n{\"c\":3}\nha\r\n"); /* and several in one */
  http_say(p, "0\r\n\r\n");
}

static void expect_line(tsh_http_call *call, const char *text) {
  tsh_http_bytes line;
  tsh_err err;

  assert_int_equal(await(call, TSH_HTTP_LINE, &err), 0);
  assert_true(tsh_http_line(call, &line));
  assert_int_equal(line.length, strlen(text));
  assert_memory_equal(line.data, text, line.length);
}

static void test_stream(void **state) {
  http_peer peer;
  tsh_http_call *call;
  tsh_http_bytes line;
  tsh_err err;

  (void)state;
  http_peer_start(&peer, stream_lines, NULL);
  call = start(&peer, (tsh_http_ask){.is_stream = true});
  assert_int_equal(await(call, TSH_HTTP_HEAD, &err), 0);
  expect_line(call, "{\"a\":1}");
  expect_line(call, "{\"b\":2}");
  expect_line(call, "{\"c\":3}");
  assert_int_equal(await(call, TSH_HTTP_LINE, &err), 0);
  assert_false(tsh_http_line(call, &line));
  assert_int_equal(tsh_http_body(call).length, 2); /* half a line */
  tsh_http_free(call);
  stop(&peer);
}

enum { MANY = 20000 };

static void stream_many(http_peer *p, int number) {
  char text[300];

  (void)number;
  http_say(p, "HTTP/1.1 200 OK\r\n\r\n");
  for (int i = 0; i < MANY && p->fd >= 0; i++) {
    snprintf(text, sizeof text, "%08d %0200d\n", i, 0);
    http_say(p, text);
  }
  say_nothing(p, number);
}

/* Four megabytes to a reader who takes his time: none is lost, and the buffer
 * stays bounded, because libcurl is paused. */
static void test_slow_reader(void **state) {
  http_peer peer;
  tsh_http_call *call;
  tsh_err err;
  int seen = 0;

  (void)state;
  http_peer_start(&peer, stream_many, NULL);
  call = start(&peer, (tsh_http_ask){.is_stream = true});
  while (seen < MANY) {
    tsh_http_bytes line;

    for (int i = 0; i < 100; i++)
      tsh_loop_turn(loop);
    assert_true(tsh_http_body(call).length < 3 << 20);
    assert_int_equal(await(call, TSH_HTTP_LINE, &err), 0);
    while (tsh_http_line(call, &line)) {
      assert_int_equal(strtol(line.data, NULL, 10), seen);
      seen++;
    }
  }
  tsh_http_free(call);
  stop(&peer);
}

static void stream_long_line(http_peer *p, int number) {
  (void)number;
  http_say(p, "HTTP/1.1 200 OK\r\n\r\n");
  for (int i = 0; i < 100 && p->fd >= 0; i++)
    http_say(p, "01234567890123456789012345678901234567890123456789");
  stay_silent(p, number);
}

static void test_long_line(void **state) {
  (void)state;
  expect_end(stream_long_line, (tsh_http_ask){.is_stream = true, .limit = 1000},
             TSH_LIMIT);
}

static void test_close_early(void **state) {
  http_peer peer;
  tsh_http_call *call, *left;
  bool done = false, left_done = false;
  tsh_op *op;

  (void)state;
  http_peer_start(&peer, stay_silent, NULL);
  call = start(&peer, (tsh_http_ask){0});
  op = tsh_http_wait(call, TSH_HTTP_END);
  op->done = is_done;
  op->user = &done;
  op->cancel(op);
  assert_true(done && op->status == TSH_CANCELED);
  op->free(op);
  left = start(&peer, (tsh_http_ask){0});
  op = tsh_http_wait(left, TSH_HTTP_END);
  op->done = is_done;
  op->user = &left_done;
  tsh_http_close(http);
  assert_true(left_done && op->status == TSH_CLOSED);
  op->free(op);
  tsh_http_free(call);
  tsh_http_free(left);
  http_peer_stop(&peer);
  assert_int_equal(tsh_http_open(&http, loop, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_request),      cmocka_unit_test(test_bad_peers),
      cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_stream),
      cmocka_unit_test(test_slow_reader),  cmocka_unit_test(test_long_line),
      cmocka_unit_test(test_close_early),  cmocka_unit_test(test_lost_again),
  };

  return cmocka_run_group_tests(tests, set_up, tear_down);
}
