/* Transactions kept as such by the copier: begun, ended, and gone on with where
 * a predecessor left them. */
#include <limits.h>
#include <signal.h>

#include "mirror_owner.h"

enum { FIRST = 7, SECOND = 8 }; /* producers of the source */

typedef struct copy {
  small s;
  tsh_mirror_producer producers[2];
} copy;

static tsh_mirror_producer producer(const small *s, int64_t source_id,
                                    const char *name) {
  return (tsh_mirror_producer){.source_id = source_id,
                               .transactional_id = name,
                               .host = "127.0.0.1",
                               .port = s->world->target.port,
                               .id = 10 * source_id,
                               .epoch = 1,
                               .since = -1};
}

static void add(copy *c, int64_t source_id, int count) {
  log *l = &c->s.world->source.logs[0];
  made batch = make_batch(l->end, count, TSH_CODEC_NONE);
  if (source_id >= 0)
    set_producer(batch, source_id, TSH_BATCH_TRANSACTIONAL);
  log_append(l, batch);
}

static void end(copy *c, int64_t source_id, bool commit) {
  log *l = &c->s.world->source.logs[0];
  log_append(l, make_marker(l->end, source_id, commit));
}

static void copy_open_empty(copy *c) {
  small_open_empty(&c->s);
  c->producers[0] = producer(&c->s, FIRST, "first");
  c->producers[1] = producer(&c->s, SECOND, "second");
  c->s.flow.same = c->s.flow.transactions = true;
  c->s.flow.producers = c->producers;
  c->s.flow.producer_count = 2;
}

/* Two transactions, both ended at once: 0 to 9 and 10 to 19, markers at 20 and
 * 21, and five records behind them. */
static void copy_open(copy *c) {
  copy_open_empty(c);
  add(c, FIRST, 10);
  add(c, SECOND, 10);
  end(c, FIRST, true);
  end(c, SECOND, false);
  add(c, -1, 5);
  c->s.flow.until_offset = 27;
}

static void start_at(copy *c, int64_t offset, int64_t log_end) {
  c->s.flow.source_offset = c->s.flow.target_offset = offset;
  c->s.flow.log_end = log_end;
  c->s.world->target.logs[0].end = log_end;
}

/* It ends as it should, without a hole on the way. */
static void reaches(copy *c) {
  assert_int_equal(tsh_mirror_start(c->s.owner.mirror, &c->s.flow, NULL), 0);
  tsh_mirror_event *stop = next_news(&c->s.owner);
  assert_int_equal(stop->kind, TSH_MIRROR_STOPPED);
  assert_int_equal(stop->reason, TSH_MIRROR_REACHED);
  assert_true(stop->source_offset == 27 && stop->stable_offset == 27);
  assert_true(c->s.world->target.logs[0].end == 27);
  tsh_mirror_event_free(stop);
}

static bool has_ended(copy *c, const char *name, bool commit) {
  int seen = 0;
  for (int i = 0; i < c->s.world->end_count; i++)
    seen += strcmp(c->s.world->ends[i].name, name) == 0 &&
            c->s.world->ends[i].commit == commit;
  return seen == 1;
}

static void transactions_end_as_they_did(void **state) {
  (void)state;
  copy c;
  copy_open(&c);
  c.s.world->concurrent = 5;
  reaches(&c);
  assert_int_equal(c.s.world->end_count, 2);
  assert_true(has_ended(&c, "first", true) && has_ended(&c, "second", false));
  small_close(&c.s);
}

/* The second one's marker landed first, in the first one's place, and then the
 * first one's coordinator was gone. */
static void markers_land_in_any_order(void **state) {
  (void)state;
  copy c;
  copy_open(&c);
  c.producers[0].since = 0;
  c.producers[0].sequence = 10;
  start_at(&c, 20, 21);
  reaches(&c);
  assert_int_equal(c.s.world->end_count, 1);
  assert_true(has_ended(&c, "first", true));
  small_close(&c.s);
}

/* A commit may not become an abort by a flipped bit. */
static void a_broken_marker_ends_nothing(void **state) {
  (void)state;
  copy c;
  copy_open(&c);
  made *marker = &c.s.world->source.logs[0].batches[2].bytes;
  marker->bytes[marker->size - 3] ^= 1;
  tsh_mirror_event *stop = small_stop(&c.s);
  assert_int_equal(stop->reason, TSH_MIRROR_CORRUPT);
  assert_true(stop->target_offset == 20);
  assert_int_equal(c.s.world->end_count, 0);
  tsh_mirror_event_free(stop);
  small_close(&c.s);
}

/* More of a transaction is read while its beginning is repeated, and then the
 * flow stops: nothing of it is left behind. */
static void a_stop_ends_repeated_beginnings(void **state) {
  (void)state;
  enum { ROUNDS = 100, MORE = 8 };
  copy c;
  copy_open_empty(&c);
  world *w = c.s.world;
  for (int round = 0; round < ROUNDS; round++) {
    w->concurrent = INT_MAX;
    assert_int_equal(tsh_mirror_start(c.s.owner.mirror, &c.s.flow, NULL), 0);
    for (int i = 0; i < MORE; i++) {
      pthread_mutex_lock(&w->lock);
      add(&c, FIRST, 1);
      pthread_mutex_unlock(&w->lock);
      usleep(300);
    }
    assert_int_equal(tsh_mirror_stop(c.s.owner.mirror, "0", NULL), 0);
    tsh_mirror_event *stop;
    while ((stop = tsh_mirror_take_stopped(c.s.owner.mirror, "0")) == NULL)
      owner_wait(&c.s.owner);
    assert_int_equal(stop->reason, TSH_MIRROR_ASKED);
    assert_true(stop->target_offset == 0);
    tsh_mirror_event_free(stop);
  }
  small_close(&c.s);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* as the program does */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(transactions_end_as_they_did),
      cmocka_unit_test(markers_land_in_any_order),
      cmocka_unit_test(a_broken_marker_ends_nothing),
      cmocka_unit_test(a_stop_ends_repeated_beginnings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
