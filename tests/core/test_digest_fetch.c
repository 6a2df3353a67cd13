/* A digest against a scripted broker: what it asks for, how it goes on, and
 * how it ends when the answers are wrong, late, or never come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../vm/core/wire/bytes.h"
#include "tranship/batch.h"
#include "tranship/digest.h"
#include "wire_peer.h"

enum { PER_BATCH = 10, TOTAL = 100 };

typedef struct script {
  int16_t top_error, error; /* codes to answer with */
  bool is_silent, is_torn, is_empty, is_foreign;
  int64_t stable; /* last stable offset told */
  int requests;
} script;

/* One batch of records "<offset>", at `base`. */
static uint8_t *make_batch(int64_t base, size_t *size) {
  tsh_builder builder;
  uint8_t *bytes;
  const tsh_stamp stamp = {-1, -1, -1, false};
  tsh_builder_init(&builder);
  for (int i = 0; i < PER_BATCH; i++) {
    char text[32];
    int n = snprintf(text, sizeof text, "%d", (int)base + i);
    tsh_record r = {
        .timestamp = 5, .value = (uint8_t *)text, .value_size = (size_t)n};
    if (tsh_builder_add(&builder, &r, NULL) != 0)
      abort();
  }
  if (tsh_builder_finish(&builder, TSH_CODEC_NONE, &stamp, &bytes, size,
                         NULL) != 0)
    abort();
  tsh_put64(bytes, (uint64_t)base);
  tsh_builder_fini(&builder);
  return bytes;
}

/* Version 12: one partition of one topic. */
static void write_answer(tsh_out *out, const script *s, int32_t id,
                         const uint8_t *batch, size_t size) {
  tsh_out_i32(out, id);
  tsh_out_no_tags(out, true);
  tsh_out_i32(out, 0); /* throttle */
  tsh_out_i16(out, s->top_error);
  tsh_out_i32(out, 0); /* session */
  tsh_out_count(out, 1, true, false);
  tsh_out_text(out, (tsh_text){"t", 1}, true);
  tsh_out_count(out, 1, true, false);
  tsh_out_i32(out, s->is_foreign ? 9 : 3);
  tsh_out_i16(out, s->error);
  tsh_out_i64(out, TOTAL);
  tsh_out_i64(out, s->stable);
  tsh_out_i64(out, 0);
  tsh_out_count(out, 0, true, false);
  tsh_out_i32(out, -1);
  tsh_out_bytes(out, (tsh_text){(const char *)batch, size}, true);
  tsh_out_no_tags(out, true);
  tsh_out_no_tags(out, true);
  tsh_out_no_tags(out, true);
}

static void answer(peer *p, const script *s, int32_t id, int64_t offset) {
  size_t size;
  uint8_t *batch = make_batch(offset / PER_BATCH * PER_BATCH, &size);
  uint8_t reply[4096];
  if (s->is_torn)
    batch[size - 5] ^= 1;
  tsh_out out = {reply + 4, 0};
  write_answer(&out, s, id, batch,
               s->is_empty || s->error || offset >= TOTAL ? 0 : size);
  tsh_put32(reply, (uint32_t)out.size);
  peer_write(p, reply, out.size + 4);
  free(batch);
}

static void play(peer *p) {
  script *s = p->user;
  uint32_t size;
  uint8_t *request;
  while ((request = peer_request(p, &size)) != NULL) {
    /* ... fetch offset: behind header, limits, topic "t", partition, epoch */
    const size_t header = 2 + 2 + 4 + 2 + strlen("tranship-digest") + 1;
    const size_t limits = 4 + 4 + 4 + 4 + 1 + 4 + 4, topic = 1 + 2 + 1;
    const uint8_t *part = request + header + limits + topic;
    assert(tsh_get16(request) == 1 && tsh_get16(request + 2) == 12);
    assert(tsh_get32(part) == 3);
    s->requests++;
    if (!s->is_silent)
      answer(p, s, (int32_t)tsh_get32(request + 4),
             (int64_t)tsh_get64(part + 8));
    free(request);
  }
}

typedef struct outcome {
  int status, code;
  size_t chunks;
  int64_t records, to;
  char words[512];
  tsh_loop *loop;
} outcome;

static void on_done(tsh_op *op) {
  const tsh_digest *d = (const tsh_digest *)op;
  outcome *o = op->user;
  o->status = op->status;
  o->code = op->err.code;
  o->chunks = d->count;
  for (size_t i = 0; i < d->count; i++) {
    o->records += d->chunks[i].records;
    o->to = d->chunks[i].to;
  }
  if (op->status)
    snprintf(o->words, sizeof o->words, "%s", op->err.message);
  op->free(op);
}

static void cancel_it(void *user) {
  tsh_op *op = *(tsh_op **)user;
  op->cancel(op);
}

static outcome run(script *s, int64_t from, int64_t to, bool cancel) {
  peer p;
  outcome o = {.status = 99};
  tsh_loop *loop;
  tsh_timer *timer = NULL;
  tsh_op *op;
  if (!s->stable)
    s->stable = TOTAL;
  peer_start(&p, play, s);
  const tsh_digest_spec spec = {.host = "127.0.0.1",
                                .port = p.port,
                                .topic = "t",
                                .partition = 3,
                                .from = from,
                                .to = to,
                                .committed = true,
                                .mode = TSH_DIGEST_RECORDS,
                                .chunk = 30,
                                .bucket = -1,
                                .timeout_ms = 300};
  assert_int_equal(tsh_loop_open(&loop, NULL), 0);
  tsh_digest *d = tsh_digest_start(loop, &spec, NULL);
  assert_non_null(d);
  op = &d->op;
  op->done = on_done;
  op->user = &o;
  if (cancel)
    timer = tsh_timer_start(loop, 20, cancel_it, &op);
  tsh_loop_run(loop);
  if (timer)
    tsh_timer_stop(timer);
  tsh_loop_close(loop);
  peer_stop(&p);
  return o;
}

static void whole(void **state) {
  (void)state;
  script s = {0};
  outcome o = run(&s, 0, TOTAL, false);
  assert_int_equal(o.status, 0);
  assert_int_equal(o.chunks, 4);
  assert_int_equal(o.records, TOTAL);
  assert_int_equal(s.requests, TOTAL / PER_BATCH);
  s = (script){0};
  o = run(&s, 15, 38, false);
  assert_int_equal(o.status, 0);
  assert_int_equal(o.records, 23);
  assert_int_equal(o.to, 38);
  assert_int_equal(s.requests, 3);
}

static void failures(void **state) {
  (void)state;
  const struct {
    script s;
    int status, code;
    const char *words;
  } cases[] = {
      {{.top_error = 58}, TSH_AUTH, 58, "SASL_AUTHENTICATION_FAILED"},
      {{.error = 6}, TSH_UNAVAILABLE, 6, "NOT_LEADER_OR_FOLLOWER"},
      {{.error = 1}, TSH_LIMIT, 1, "OFFSET_OUT_OF_RANGE"},
      {{.is_torn = true}, TSH_PROTOCOL, 2, ""},
      {{.is_foreign = true}, TSH_PROTOCOL, 0, "without what was asked"},
      {{.is_empty = true}, TSH_TIMEOUT, 0, "no data at offset 0"},
      {{.is_empty = true, .stable = -1}, TSH_UNAVAILABLE, 0, "can be read"},
      {{.is_silent = true}, TSH_TIMEOUT, 0, "in time"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    script s = cases[i].s;
    outcome o = run(&s, 0, TOTAL, false);
    assert_int_equal(o.status, cases[i].status);
    assert_int_equal(o.code, cases[i].code);
    if (!strstr(o.words, cases[i].words))
      fail_msg("%s", o.words);
  }
  script s = {0};
  outcome o = run(&s, 0, TOTAL + 1, false);
  assert_int_equal(o.status, TSH_UNAVAILABLE);
  assert_non_null(strstr(o.words, "up to offset 100, not to 101"));
}

static void canceled(void **state) {
  (void)state;
  script s = {.is_silent = true};
  outcome o = run(&s, 0, TOTAL, true);
  assert_int_equal(o.status, TSH_CANCELED);
}

static void nothing_to_read(void **state) {
  (void)state;
  script s = {0};
  outcome o = run(&s, 7, 7, false);
  assert_int_equal(o.status, 0);
  assert_int_equal(o.chunks, 0);
  assert_int_equal(s.requests, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole), cmocka_unit_test(failures),
      cmocka_unit_test(canceled), cmocka_unit_test(nothing_to_read)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
