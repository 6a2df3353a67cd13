/* Connections against a scripted peer: order, partial reads, ends of every
 * kind, memory that is free after the reply. Each test ends with a loop that
 * has nothing left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "tranship/loop.h"
#include "tranship/proto.h"
#include "tranship/wire.h"
#include "wire_peer.h"

enum { DELETE_RECORDS = 21, LIST_GROUPS = 16, BIG = 3 << 20 };

typedef struct seen {
  int replies, failures;
  int status[16];
  tsh_err err;
  size_t size;
  uint8_t first, last;
  tsh_conn *conn;
  tsh_conn_meter meter;
  bool close_at_reply, keep;
  tsh_body *kept;
  uint8_t *kept_data;
} seen;

static void on_reply(void *user, const tsh_reply *reply) {
  seen *s = user;
  s->status[s->replies++] = reply->status;
  if (reply->err)
    s->err = *reply->err;
  s->size = reply->size;
  if (reply->size) {
    s->first = reply->data[0];
    s->last = reply->data[reply->size - 1];
  }
  if (s->keep && reply->body) {
    s->kept = tsh_body_keep(reply->body);
    s->kept_data = reply->data;
  }
  if (s->close_at_reply && s->conn) {
    tsh_conn *conn = s->conn;
    s->conn = NULL;
    tsh_conn_close(conn);
  }
}

static void on_failed(void *user, const tsh_err *err) {
  seen *s = user;
  s->failures++;
  s->err = *err;
}

static tsh_conn *open_to(tsh_loop *loop, uint16_t port, seen *s,
                         uint64_t timeout_ms) {
  tsh_err err;
  tsh_conn_options options = {.host = "127.0.0.1",
                              .port = port,
                              .client_id = "t",
                              .timeout_ms = timeout_ms,
                              .failed = on_failed,
                              .user = s,
                              .meter = &s->meter};
  s->conn = tsh_conn_open(loop, &options, &err);
  assert_non_null(s->conn);
  return s->conn;
}

static int send_body(seen *s, int16_t api_key, int16_t version,
                     struct iovec *parts, int count, tsh_err *err) {
  tsh_request req = {.api_key = api_key,
                     .version = version,
                     .parts = parts,
                     .count = count,
                     .replied = on_reply,
                     .user = s};
  return tsh_conn_send(s->conn, &req, err);
}

static void close_and_end(tsh_loop *loop, seen *s) {
  if (s->conn)
    tsh_conn_close(s->conn);
  s->conn = NULL;
  tsh_loop_run(loop);
  tsh_loop_close(loop);
}

/* Runs the loop until `what` replies came; the peer's end or a timeout of the
 * connection ends it in any case. */
static void run_until(tsh_loop *loop, seen *s, int replies);

typedef struct waiter {
  tsh_loop *loop;
  seen *s;
  int replies;
  tsh_timer *timer;
} waiter;

static void look(void *user) {
  waiter *w = user;
  tsh_timer_stop(w->timer);
  w->timer = NULL;
  if (w->s->replies >= w->replies)
    tsh_loop_stop(w->loop);
  else
    w->timer = tsh_timer_start(w->loop, 2, look, w);
}

static void run_until(tsh_loop *loop, seen *s, int replies) {
  waiter w = {loop, s, replies, NULL};
  w.timer = tsh_timer_start(loop, 0, look, &w);
  tsh_loop_run(loop);
}

static tsh_loop *new_loop(void) {
  tsh_loop *loop;
  assert_int_equal(tsh_loop_open(&loop, NULL), 0);
  return loop;
}

/* --- what was asked arrives, answers come in pieces ------------------------
 */

/* Answers each request with its own body, `user` bytes at a time. */
static void echo(peer *p) {
  size_t step = *(size_t *)p->user;
  uint32_t size;
  uint8_t *request;
  while ((request = peer_request(p, &size)) != NULL) {
    size_t header = 2 + 2 + 4 + 2 + 1; /* client id "t" */
    if (size < header)
      abort();
    size_t body = size - header;
    uint8_t *reply = malloc(8 + body);
    uint32_t length = htonl((uint32_t)(4 + body));
    memcpy(reply, &length, 4);
    memcpy(reply + 4, request + 4, 4);
    memcpy(reply + 8, request + header, body);
    for (size_t at = 0; at < 8 + body; at += step) {
      size_t n = 8 + body - at < step ? 8 + body - at : step;
      peer_write(p, reply + at, n);
      if (step < 64)
        usleep(500);
    }
    free(reply);
    free(request);
  }
}

static void pieces(void **state) {
  (void)state;
  size_t steps[] = {1, 7, 8, 9, 1 << 16};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    peer p;
    seen s = {0};
    char a[] = "abc", b[] = "xyz";
    struct iovec parts[] = {{a, 3}, {b, 3}};
    tsh_loop *loop = new_loop();
    peer_start(&p, echo, &steps[i]);
    open_to(loop, p.port, &s, 5000);
    for (int n = 0; n < 3; n++)
      assert_int_equal(send_body(&s, DELETE_RECORDS, 1, parts, 2, NULL), 0);
    assert_int_equal(send_body(&s, DELETE_RECORDS, 1, NULL, 0, NULL), 0);
    assert_int_equal(tsh_conn_in_flight(s.conn), 4);
    run_until(loop, &s, 3);
    assert_int_equal(s.first, 'a');
    assert_int_equal(s.last, 'z');
    run_until(loop, &s, 4);
    assert_int_equal(s.size, 0);
    for (int n = 0; n < 4; n++)
      assert_int_equal(s.status[n], 0);
    assert_int_equal(tsh_conn_in_flight(s.conn), 0);
    close_and_end(loop, &s);
    peer_stop(&p);
    assert_int_equal(s.failures, 0);
  }
}

static void big_and_kept(void **state) {
  (void)state;
  peer p;
  seen s = {.keep = true};
  size_t step = 1 << 20;
  uint8_t *payload = malloc(BIG);
  for (size_t i = 0; i < BIG; i++)
    payload[i] = (uint8_t)(i * 31 >> 3);
  struct iovec parts[] = {{payload, 1}, {payload + 1, BIG - 1}};
  tsh_loop *loop = new_loop();
  peer_start(&p, echo, &step);
  open_to(loop, p.port, &s, 20000);
  assert_int_equal(send_body(&s, DELETE_RECORDS, 1, parts, 2, NULL), 0);
  run_until(loop, &s, 1);
  assert_int_equal(s.size, BIG);
  close_and_end(loop, &s);
  peer_stop(&p);
  assert_memory_equal(s.kept_data, payload, BIG); /* outlives everything */
  tsh_body_release(s.kept);
  free(payload);
}

/* A flexible response header: tagged fields in front of the body. */
static void tagged(peer *p) {
  uint32_t size;
  uint8_t *request = peer_request(p, &size);
  uint8_t reply[] = {0, 0, 0, 10, 0, 0, 0, 0, 1, 5, 2, 0xaa, 0xbb, 'o'};
  assert(request && request[10] == 't' && request[11] == 0);
  memcpy(reply + 4, request + 4, 4);
  peer_write(p, reply, sizeof reply);
  free(request);
  free(peer_request(p, &size));
}

static void response_header(void **state) {
  (void)state;
  peer p;
  seen s = {0};
  tsh_loop *loop = new_loop();
  peer_start(&p, tagged, NULL);
  open_to(loop, p.port, &s, 5000);
  assert_int_equal(send_body(&s, LIST_GROUPS, 3, NULL, 0, NULL), 0);
  run_until(loop, &s, 1);
  assert_int_equal(s.status[0], 0);
  assert_int_equal(s.size, 1);
  assert_int_equal(s.first, 'o');
  close_and_end(loop, &s);
  peer_stop(&p);
}

/* --- ends ----------------------------------------------------------------- */

static void expect_end(void (*script)(peer *), uint64_t timeout_ms, int first,
                       int second, const char *words) {
  peer p;
  seen s = {0};
  tsh_err err;
  tsh_loop *loop = new_loop();
  peer_start(&p, script, NULL);
  open_to(loop, p.port, &s, timeout_ms);
  assert_int_equal(send_body(&s, LIST_GROUPS, 1, NULL, 0, NULL), 0);
  assert_int_equal(send_body(&s, LIST_GROUPS, 1, NULL, 0, NULL), 0);
  run_until(loop, &s, 2);
  assert_int_equal(s.status[0], first);
  assert_int_equal(s.status[1], second);
  if (!strstr(s.err.message, words))
    fail_msg("%s", s.err.message);
  assert_int_equal(s.failures, 1);
  assert_true(tsh_conn_failed(s.conn));
  assert_int_equal(send_body(&s, LIST_GROUPS, 1, NULL, 0, &err),
                   TSH_UNAVAILABLE);
  close_and_end(loop, &s);
  assert_int_equal(s.replies, 2);
  peer_stop(&p);
}

static void hang_up(peer *p) {
  uint32_t size;
  free(peer_request(p, &size));
  free(peer_request(p, &size));
}

static void reset(peer *p) {
  uint32_t size;
  struct linger hard = {1, 0};
  free(peer_request(p, &size));
  free(peer_request(p, &size));
  setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void half_a_reply(peer *p) {
  uint32_t size;
  uint8_t reply[] = {0, 0, 0, 100, 0, 0, 0, 0, 1, 2, 3};
  free(peer_request(p, &size));
  free(peer_request(p, &size));
  peer_write(p, reply, sizeof reply);
}

static void wrong_id(peer *p) {
  uint32_t size;
  uint8_t reply[] = {0, 0, 0, 4, 0, 0, 0, 77};
  free(peer_request(p, &size));
  free(peer_request(p, &size));
  peer_write(p, reply, sizeof reply);
  free(peer_request(p, &size));
}

static void huge(peer *p) {
  uint32_t size;
  uint8_t reply[] = {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  free(peer_request(p, &size));
  free(peer_request(p, &size));
  peer_write(p, reply, sizeof reply);
  free(peer_request(p, &size));
}

static void silent(peer *p) {
  uint32_t size;
  uint8_t *request;
  while ((request = peer_request(p, &size)) != NULL)
    free(request);
}

static void ends(void **state) {
  (void)state;
  int gone = TSH_UNAVAILABLE;
  expect_end(hang_up, 5000, gone, gone, "ended");
  expect_end(reset, 5000, gone, gone, "reset");
  expect_end(half_a_reply, 5000, gone, gone, "ended");
  expect_end(wrong_id, 5000, TSH_PROTOCOL, TSH_PROTOCOL, "nobody asked");
  expect_end(huge, 5000, TSH_PROTOCOL, TSH_PROTOCOL, "2147483647");
  expect_end(silent, 60, TSH_TIMEOUT, gone, "in time");
}

static void refused(void **state) {
  (void)state;
  peer p;
  seen s = {0};
  tsh_loop *loop = new_loop();
  peer_start(&p, silent, NULL); /* a port that was just in use ... */
  peer_stop(&p);                /* ... and is not any more */
  open_to(loop, p.port, &s, 5000);
  assert_int_equal(send_body(&s, LIST_GROUPS, 1, NULL, 0, NULL), 0);
  assert_int_equal(s.replies, 0);
  run_until(loop, &s, 1);
  assert_int_equal(s.status[0], TSH_UNAVAILABLE);
  assert_true(s.err.retriable);
  assert_non_null(strstr(s.err.message, "refused"));
  close_and_end(loop, &s);
}

static void names(void **state) {
  (void)state;
  peer p;
  seen s = {0};
  size_t step = 100;
  tsh_err err;
  tsh_loop *loop = new_loop();
  peer_start(&p, echo, &step); /* on 127.0.0.1 only: ::1 must be passed over */
  tsh_conn_options options = {.host = "localhost",
                              .port = p.port,
                              .client_id = "t",
                              .timeout_ms = 5000};
  s.conn = tsh_conn_open(loop, &options, &err);
  assert_int_equal(send_body(&s, DELETE_RECORDS, 1, NULL, 0, NULL), 0);
  run_until(loop, &s, 1);
  assert_int_equal(s.status[0], 0);
  close_and_end(loop, &s);
  peer_stop(&p);

  seen lost = {0};
  loop = new_loop();
  options.host = "no-such-host.invalid";
  options.failed = on_failed;
  options.user = &lost;
  lost.conn = tsh_conn_open(loop, &options, &err);
  assert_int_equal(send_body(&lost, DELETE_RECORDS, 1, NULL, 0, NULL), 0);
  run_until(loop, &lost, 1);
  assert_int_equal(lost.status[0], TSH_UNAVAILABLE);
  close_and_end(loop, &lost);

  lost = (seen){0};
  loop = new_loop();
  lost.conn = tsh_conn_open(loop, &options, &err);
  close_and_end(loop, &lost); /* in the middle of the lookup */
}

static void closing(void **state) {
  (void)state;
  peer p;
  seen s = {.close_at_reply = true};
  size_t step = 100;
  tsh_loop *loop = new_loop();
  peer_start(&p, echo, &step);
  open_to(loop, p.port, &s, 5000);
  for (int n = 0; n < 3; n++)
    assert_int_equal(send_body(&s, DELETE_RECORDS, 1, NULL, 0, NULL), 0);
  run_until(loop, &s, 3); /* the first reply closes; the rest is answered */
  assert_int_equal(s.replies, 3);
  assert_int_equal(s.status[0], 0);
  assert_int_equal(s.status[1], TSH_CLOSED);
  assert_int_equal(s.status[2], TSH_CLOSED);
  close_and_end(loop, &s);
  peer_stop(&p);
  assert_int_equal(s.failures, 0);
}

static void close_with_unsent(void **state) {
  (void)state;
  peer p;
  seen s = {0};
  uint8_t *payload = calloc(1, 16 << 20); /* more than the sockets take */
  struct iovec part = {payload, 16 << 20};
  tsh_loop *loop = new_loop();
  peer_start(&p, hang_up, NULL);
  open_to(loop, p.port, &s, 5000);
  for (int n = 0; n < 4; n++)
    assert_int_equal(send_body(&s, DELETE_RECORDS, 1, &part, 1, NULL), 0);
  tsh_conn_close(s.conn);
  s.conn = NULL;
  assert_int_equal(s.replies, 4);
  free(payload); /* nobody may touch it any more */
  close_and_end(loop, &s);
  peer_stop(&p);
}

/* --- refusals --------------------------------------------------------------
 */

static void refusals(void **state) {
  (void)state;
  seen s = {0};
  tsh_err err;
  tsh_loop *loop = new_loop();
  tsh_conn_options options = {
      .host = "127.0.0.1", .port = 1, .read_only = true};
  s.conn = tsh_conn_open(loop, &options, &err);
  assert_int_equal(send_body(&s, DELETE_RECORDS, 1, NULL, 0, &err),
                   TSH_READ_ONLY);
  assert_non_null(strstr(err.message, "DeleteRecords"));
  assert_int_equal(send_body(&s, 999, 0, NULL, 0, &err), TSH_INVALID);
  assert_int_equal(send_body(&s, LIST_GROUPS, 99, NULL, 0, &err), TSH_INVALID);
  assert_int_equal(send_body(&s, LIST_GROUPS, 1, NULL, 0, &err), 0);
  assert_int_equal(tsh_conn_in_flight(s.conn), 1);
  close_and_end(loop, &s);
  assert_int_equal(s.status[0], TSH_CLOSED);

  loop = new_loop();
  assert_null(tsh_conn_open(loop, &(tsh_conn_options){.host = "x"}, &err));
  assert_int_equal(err.kind, TSH_INVALID);
  assert_null(tsh_conn_open(loop, &(tsh_conn_options){.port = 1}, &err));
  tsh_loop_close(loop);
}

/* --- throttling --------------------------------------------------------------
 */

static long long now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (long long)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

typedef struct quota {
  long long answered, next;
} quota;

static void answer_throttle(peer *p, const uint8_t *request, uint16_t ms) {
  uint8_t reply[] = {0,          0, 0, 8, 0, 0, 0, 0, 0, 0, (uint8_t)(ms >> 8),
                     (uint8_t)ms};
  memcpy(reply + 4, request + 4, 4);
  peer_write(p, reply, sizeof reply);
}

static void throttling(peer *p) {
  quota *q = p->user;
  uint32_t size;
  uint8_t *request = peer_request(p, &size);
  q->answered = now_ms();
  answer_throttle(p, request, 300);
  free(request);
  request = peer_request(p, &size);
  q->next = now_ms();
  if (request)
    answer_throttle(p, request, 0);
  free(request);
  free(peer_request(p, &size));
}

static void throttled(void **state) {
  (void)state;
  peer p;
  seen s = {0};
  tsh_loop *loop = new_loop();
  quota q = {0};
  peer_start(&p, throttling, &q);
  open_to(loop, p.port, &s, 20000);
  assert_int_equal(send_body(&s, DELETE_RECORDS, 1, NULL, 0, NULL), 0);
  run_until(loop, &s, 1);
  assert_int_equal(send_body(&s, DELETE_RECORDS, 1, NULL, 0, NULL), 0);
  assert_true(tsh_conn_unsent(s.conn) > 0); /* it waits here */
  run_until(loop, &s, 2);
  assert_int_equal(s.status[1], 0);
  assert_true(q.next - q.answered >= 290);
  assert_int_equal(s.meter.open, 1);
  assert_int_equal(s.meter.throttled_ms, 300);
  close_and_end(loop, &s);
  assert_int_equal(s.meter.open, 0);
  peer_stop(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces),          cmocka_unit_test(big_and_kept),
      cmocka_unit_test(response_header), cmocka_unit_test(ends),
      cmocka_unit_test(refused),         cmocka_unit_test(names),
      cmocka_unit_test(closing),         cmocka_unit_test(close_with_unsent),
      cmocka_unit_test(refusals),        cmocka_unit_test(throttled)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
