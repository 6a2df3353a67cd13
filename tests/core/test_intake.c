/* What the copier makes of the source's answers: what is passed over, holes
 * that wait, and answers that hold nothing. */
#include <signal.h>

#include "mirror_owner.h"

static void add(small *s, made batch) {
  pthread_mutex_lock(&s->world->lock);
  log_append(&s->world->source.logs[0], batch);
  pthread_mutex_unlock(&s->world->lock);
}

/* --- what is passed over ----------------------------------------------------
 */

static void corrupt_at(small *s, int64_t offset) {
  s->flow.until_offset = s->world->source.logs[0].end;
  tsh_mirror_event *stop = small_stop(s);
  assert_int_equal(stop->reason, TSH_MIRROR_CORRUPT);
  assert_true(stop->source_offset == offset);
  tsh_mirror_event_free(stop);
  small_close(s);
}

static made of_producer(int64_t base) {
  made batch = make_batch(base, 10, TSH_CODEC_NONE);
  set_producer(batch, 7, TSH_BATCH_TRANSACTIONAL);
  return batch;
}

/* One flipped bit makes a commit of an abort: what follows of its producer
 * would be passed over as well. */
static void a_broken_marker_ends_the_copy(void **state) {
  (void)state;
  small s;
  small_open(&s);
  log *l = &s.world->source.logs[0];
  l->aborted[l->aborted_count++] = (aborted_txn){7, 100, 110};
  add(&s, of_producer(100));
  made marker = make_marker(110, 7, 0);
  marker.bytes[marker.size - 3] ^= 1;
  add(&s, marker);
  add(&s, of_producer(111));
  add(&s, make_marker(121, 7, 1));
  corrupt_at(&s, 110);
}

static void a_broken_aborted_batch_ends_the_copy(void **state) {
  (void)state;
  small s;
  small_open(&s);
  log *l = &s.world->source.logs[0];
  l->aborted[l->aborted_count++] = (aborted_txn){7, 100, 110};
  made batch = of_producer(100);
  batch.bytes[batch.size - 1] ^= 1;
  add(&s, batch);
  add(&s, make_marker(110, 7, 0));
  corrupt_at(&s, 100);
}

/* A count of 1 that lost its bit. */
static void a_batch_that_seems_emptied_must_hold(void **state) {
  (void)state;
  small s;
  small_open(&s);
  made batch = make_batch(100, 1, TSH_CODEC_NONE);
  big_endian(batch.bytes + 57, 0, 4);
  add(&s, batch);
  corrupt_at(&s, 100);
}

/* --- holes ------------------------------------------------------------------
 */

static void go_on(small *s, int64_t target) {
  pthread_mutex_lock(&s->world->lock);
  s->world->target.logs[0].end = target;
  pthread_mutex_unlock(&s->world->lock);
  tsh_mirror_resume resume = {"0", target, -1, -1};
  assert_int_equal(tsh_mirror_go_on(s->owner.mirror, &resume, NULL), 0);
}

static void is_hole(tsh_mirror_event *event, int64_t from, int64_t to) {
  assert_int_equal(event->kind, TSH_MIRROR_HOLE);
  assert_true(event->from == from && event->to == to);
  tsh_mirror_event_free(event);
}

/* More of nothing is read while a hole waits: that is the next one. */
static void a_hole_stays_what_was_told(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.flow.same = true;
  add(&s, make_gapped(100, NULL, 0, 9));
  assert_int_equal(tsh_mirror_start(s.owner.mirror, &s.flow, NULL), 0);
  is_hole(next_news(&s.owner), 100, 110);
  add(&s, make_gapped(110, NULL, 0, 9));
  int64_t end = 0;
  while (end < 120) {
    tsh_mirror_event *event = next_event(&s.owner, TSH_MIRROR_PROGRESS);
    end = event->source_end;
    tsh_mirror_event_free(event);
  }
  go_on(&s, 110);
  is_hole(next_news(&s.owner), 110, 120);
  small_close(&s);
}

/* A hole is filled while its flow ends: its queue is gone by then. */
static void a_resume_may_come_too_late(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.flow.same = true;
  s.world->source.logs[0].end = 120;
  add(&s, make_batch(120, 5, TSH_CODEC_NONE));
  assert_int_equal(tsh_mirror_start(s.owner.mirror, &s.flow, NULL), 0);
  is_hole(next_news(&s.owner), 100, 120);
  s.world->hold_offsets = true;
  pthread_mutex_lock(&s.world->lock);
  s.world->fetch_error = 1;
  pthread_mutex_unlock(&s.world->lock);
  while (s.world->offsets_asked == 0)
    usleep(1000);
  assert_int_equal(tsh_mirror_stop(s.owner.mirror, "0", NULL), 0);
  go_on(&s, 120);
  s.world->hold_offsets = false;
  tsh_mirror_event *stop;
  while ((stop = tsh_mirror_take_stopped(s.owner.mirror, "0")) == NULL)
    owner_wait(&s.owner);
  assert_int_equal(stop->reason, TSH_MIRROR_OUT_OF_RANGE);
  assert_true(stop->target_offset == 100);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

/* --- nothing ----------------------------------------------------------------
 */

/* So answers a tiered log while its remote storage is slow. */
static void silence_is_no_end(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.flow.until_offset = 100;
  s.world->empty_answers = 1;
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_LEADER);
  assert_true(stop->err.retriable);
  assert_true(stop->source_offset == 0 && stop->target_offset == 0);
  tsh_mirror_event_free(stop);
  stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_REACHED);
  assert_true(s.world->target.logs[0].end == 100);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

static void a_cleaner_may_take_the_end(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.world->source.logs[0].end = 120;
  s.flow.until_offset = 120;
  s.flow.compacted = true;
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_REACHED);
  assert_true(stop->source_offset == 120 && stop->target_offset == 100);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* as the program does */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_broken_marker_ends_the_copy),
      cmocka_unit_test(a_broken_aborted_batch_ends_the_copy),
      cmocka_unit_test(a_batch_that_seems_emptied_must_hold),
      cmocka_unit_test(a_hole_stays_what_was_told),
      cmocka_unit_test(a_resume_may_come_too_late),
      cmocka_unit_test(silence_is_no_end),
      cmocka_unit_test(a_cleaner_may_take_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
