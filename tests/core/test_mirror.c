/* The copier between two brokers of our own: random histories and faults must
 * end in one copy; every reason to stop is met. */
#include <signal.h>

#include "mirror_owner.h"

enum { PARTITIONS = 12, SPAN = 1 << 14 };

/* --- histories --------------------------------------------------------------
 */

typedef struct history {
  bool committed[SPAN]; /* a record lies at this source offset */
  int64_t where[SPAN];  /* as the segments told */
} history;

static int pick(uint32_t *seed, int below) {
  *seed = *seed * 1664525u + 1013904223u;
  return (int)((*seed >> 8) % (uint32_t)below);
}

static void note(history *h, const log *l) {
  tsh_batch batch = read_batch(l->batches[l->count - 1].bytes);
  tsh_records records;
  tsh_record record;
  tsh_records_init(&records);
  assert_int_equal(tsh_records_open(&records, &batch, 1 << 20, NULL), 0);
  while (tsh_records_next(&records, &record, NULL) == 1)
    h->committed[record.offset] = true;
  tsh_records_fini(&records);
}

/* Plain, gapped, emptied, transactional batches and their markers. */
static void make_history(log *l, history *h, uint32_t seed, bool plain) {
  int64_t open[3] = {-1, -1, -1}; /* first offsets of transactions */
  int first[3] = {0};
  memset(h, 0, sizeof *h);
  l->end = l->start = pick(&seed, 50);
  while (l->count < 60 && l->end < SPAN - 400) {
    int kind = pick(&seed, plain ? 6 : 10), producer = pick(&seed, 3);
    if (kind < 4) {
      log_append(l, make_batch(l->end, 1 + pick(&seed, 200),
                               (tsh_codec)pick(&seed, 5)));
      note(h, l);
    } else if (kind < 6) {
      int deltas[12], count = 0, at = 0;
      while (count < 12 && at < 54) /* one byte each */
        deltas[count++] = at += 1 + pick(&seed, 9);
      if (pick(&seed, 4) == 0)
        count = 0;
      log_append(l, make_gapped(l->end, deltas, count, 70));
      note(h, l);
      l->end += pick(&seed, 3) == 0 ? pick(&seed, 20) : 0; /* a hole */
    } else if (kind < 9) {
      if (open[producer] < 0) {
        open[producer] = l->end;
        first[producer] = l->count;
      }
      made batch = make_batch(l->end, 1 + pick(&seed, 30), TSH_CODEC_LZ4);
      set_producer(batch, producer, TSH_BATCH_TRANSACTIONAL);
      log_append(l, batch);
    } else if (open[producer] >= 0) {
      bool commit = pick(&seed, 3) > 0;
      log_append(l, make_marker(l->end, producer, commit));
      for (int i = first[producer]; commit && i < l->count; i++) {
        tsh_batch batch = read_batch(l->batches[i].bytes);
        if (batch.producer_id == producer &&
            !tsh_batch_is(&batch, TSH_BATCH_CONTROL))
          for (int64_t at = batch.base_offset;
               at < tsh_batch_next_offset(&batch); at++)
            h->committed[at] = true;
      }
      if (!commit)
        l->aborted[l->aborted_count++] =
            (aborted_txn){producer, open[producer], l->end - 1};
      open[producer] = -1;
    }
  }
  for (int producer = 0; producer < 3; producer++)
    if (open[producer] >= 0) { /* nothing stays open */
      log_append(l, make_marker(l->end, producer, 0));
      l->aborted[l->aborted_count++] =
          (aborted_txn){producer, open[producer], l->end - 1};
    }
  log_append(l, make_batch(l->end, 1, TSH_CODEC_NONE));
  note(h, l);
  for (int i = 0; i < SPAN; i++)
    h->where[i] = -1;
}

static uint32_t hash_of(const tsh_record *record) {
  uint32_t hash = tsh_crc32c(0, &record->timestamp, sizeof record->timestamp);
  hash = tsh_crc32c(hash, record->key, record->key_size);
  return tsh_crc32c(hash, record->value, record->value_size) | 1;
}

/* A number for each record of a log by its offset; 0 where there is none. */
static uint32_t *contents(const log *l) {
  uint32_t *hashes = calloc(SPAN, sizeof *hashes);
  tsh_records records;
  tsh_record record;
  tsh_records_init(&records);
  for (int i = 0; i < l->count; i++) {
    tsh_batch batch = read_batch(l->batches[i].bytes);
    assert_int_equal(tsh_records_open(&records, &batch, 1 << 20, NULL), 0);
    while (tsh_records_next(&records, &record, NULL) == 1) {
      assert_true(record.offset < SPAN && hashes[record.offset] == 0);
      hashes[record.offset] = hash_of(&record);
    }
  }
  tsh_records_fini(&records);
  return hashes;
}

/* One copy: each committed record lies where the map says, one after the
 * other, and nothing else is there. */
static void check_copy(const log *source, const log *target, const history *h,
                       bool same) {
  uint32_t *from = contents(source), *to = contents(target);
  int64_t expected = 0;
  for (int64_t at = 0; at < source->end; at++) {
    if (!h->committed[at]) {
      assert_true(h->where[at] == -1);
      assert_true(!same || to[at] == 0);
      continue;
    }
    assert_true(h->where[at] == (same ? at : expected));
    assert_true(from[at] != 0 && from[at] == to[h->where[at]]);
    expected++;
  }
  assert_true(target->end == (same ? source->end : expected));
  free(from);
  free(to);
}

/* --- one copy ---------------------------------------------------------------
 */

typedef struct run {
  world *world;
  owner owner;
  history *histories;
  tsh_mirror_flow flows[PARTITIONS];
  char ids[PARTITIONS][16];
  int done;
  int stops[TSH_MIRROR_FAILED + 1];
} run;

static log *target_log(run *r, int p) { return &r->world->target.logs[p]; }

static int64_t end_of(run *r, log *l) {
  pthread_mutex_lock(&r->world->lock);
  int64_t end = l->end;
  pthread_mutex_unlock(&r->world->lock);
  return end;
}

static void launch(run *r, int p) {
  r->flows[p].log_end = end_of(r, target_log(r, p));
  assert_int_equal(tsh_mirror_start(r->owner.mirror, &r->flows[p], NULL), 0);
}

static void keep(run *r, int p, const tsh_mirror_event *event) {
  for (size_t i = 0; i < event->segment_count; i++)
    for (int64_t k = 0; k < event->segments[i].count; k++) {
      int64_t *where = &r->histories[p].where[event->segments[i].source + k];
      int64_t target = event->segments[i].target + k;
      assert_true(*where == -1 || *where == target);
      *where = target;
    }
  r->flows[p].source_offset = event->source_offset;
  r->flows[p].target_offset = event->target_offset;
  r->flows[p].sequence = event->sequence;
  r->flows[p].last_epoch = event->source_epoch;
}

/* The owner's markers: offsets without records. */
static void fill_hole(run *r, int p, const tsh_mirror_event *event) {
  assert_true(end_of(r, target_log(r, p)) == event->from);
  pthread_mutex_lock(&r->world->lock);
  target_log(r, p)->end = event->to;
  pthread_mutex_unlock(&r->world->lock);
  tsh_mirror_resume resume = {r->ids[p], event->to, -1, -1};
  assert_int_equal(tsh_mirror_go_on(r->owner.mirror, &resume, NULL), 0);
}

static void react(run *r, const tsh_mirror_event *event) {
  int p = atoi(event->id);
  if (event->kind == TSH_MIRROR_HOLE) {
    fill_hole(r, p, event);
    return;
  }
  keep(r, p, event);
  if (event->kind != TSH_MIRROR_STOPPED)
    return;
  r->stops[event->reason]++;
  if (event->reason == TSH_MIRROR_REACHED)
    r->done++;
  else if (event->reason == TSH_MIRROR_LEADER ||
           event->reason == TSH_MIRROR_SEQUENCE)
    launch(r, p);
  else
    fail_msg("partition %d: %s: %s", p, tsh_mirror_reason_name(event->reason),
             event->err.message);
}

static void run_world(uint32_t seed, bool same, size_t memory) {
  run *r = calloc(1, sizeof *r);
  r->world = world_new();
  r->world->seed = seed;
  r->histories = calloc(PARTITIONS, sizeof *r->histories);
  owner_open(&r->owner, memory, 0);
  for (int p = 0; p < PARTITIONS; p++) {
    log *source = &r->world->source.logs[p];
    make_history(source, &r->histories[p], seed + (uint32_t)p * 77, same);
    snprintf(r->ids[p], sizeof r->ids[p], "%d", p);
    r->flows[p] = flow_of(r->world, r->ids[p], p);
    r->flows[p].same = same;
    r->flows[p].source_offset = source->start;
    r->flows[p].target_offset = same ? source->start : 0;
    r->flows[p].sequence = INT32_MAX - 300; /* wraps on the way */
    r->flows[p].until_offset = source->end;
    r->flows[p].max_batch_bytes = seed % 2 == 0 ? 3000 : 1000000;
    target_log(r, p)->end = r->flows[p].target_offset;
  }
  r->world->drop_before = r->world->drop_after = r->world->refuse = 15;
  for (int p = 0; p < PARTITIONS; p++)
    launch(r, p);
  while (r->done < PARTITIONS) {
    tsh_mirror_event *event = tsh_mirror_take(r->owner.mirror);
    if (event == NULL)
      owner_wait(&r->owner);
    while (event != NULL) {
      tsh_mirror_event *next = event->next;
      react(r, event);
      tsh_mirror_event_free(event);
      event = next;
    }
  }
  assert_true(r->stops[TSH_MIRROR_LEADER] > 0);
  owner_close(&r->owner);
  for (int p = 0; p < PARTITIONS; p++)
    check_copy(&r->world->source.logs[p], target_log(r, p), &r->histories[p],
               same);
  world_free(r->world);
  free(r->histories);
  free(r);
}

static void faults_end_in_one_copy(void **state) {
  (void)state;
  for (uint32_t seed = 1; seed <= 8; seed++)
    run_world(seed, false, seed < 4 ? 0 : 1);
}

static void faults_keep_same_offsets(void **state) {
  (void)state;
  for (uint32_t seed = 101; seed <= 106; seed++)
    run_world(seed, true, seed % 2);
}

/* --- reasons ----------------------------------------------------------------
 */

static void flipped_bits_stop_where_they_are(void **state) {
  (void)state;
  for (int whole = 0; whole < 2; whole++) {
    small s;
    small_open(&s);
    made *batch = &s.world->source.logs[0].batches[6].bytes;
    batch->bytes[batch->size - 3] ^= 1;
    s.flow.until_offset = whole ? -1 : 65; /* to be forwarded, or rebuilt */
    tsh_mirror_event *stop = small_stop(&s);
    assert_int_equal(stop->reason, TSH_MIRROR_CORRUPT);
    assert_true(stop->source_offset == 60 && stop->target_offset == 60);
    assert_true(s.world->target.logs[0].end == 60);
    tsh_mirror_event_free(stop);
    small_close(&s);
  }
}

static void other_reasons(void **state) {
  (void)state;
  static const struct {
    int fetch, produce;
    tsh_mirror_reason reason;
  } cases[] = {
      {74, 0, TSH_MIRROR_LEADER},    {100, 0, TSH_MIRROR_TOPIC_ID},
      {29, 0, TSH_MIRROR_DENIED},    {3, 0, TSH_MIRROR_LEADER},
      {0, 90, TSH_MIRROR_FENCED},    {0, 47, TSH_MIRROR_FENCED},
      {0, 45, TSH_MIRROR_SEQUENCE},  {0, 46, TSH_MIRROR_SEQUENCE},
      {0, 10, TSH_MIRROR_TOO_LARGE}, {0, 32, TSH_MIRROR_TIMESTAMP},
      {0, 87, TSH_MIRROR_CORRUPT},   {0, 7, TSH_MIRROR_LEADER},
      {0, 29, TSH_MIRROR_DENIED},    {0, 21, TSH_MIRROR_FAILED},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    small s;
    small_open(&s);
    s.world->fetch_error = cases[i].fetch;
    s.world->produce_error = cases[i].produce;
    tsh_mirror_event *stop = small_stop(&s);
    assert_int_equal(stop->reason, cases[i].reason);
    assert_int_equal(stop->err.code, cases[i].fetch + cases[i].produce);
    assert_true(stop->source_offset == 0 && stop->target_offset == 0);
    tsh_mirror_event_free(stop);
    small_close(&s);
  }
}

/* Batches are divided until the target takes them; what cannot be divided is
 * named. */
static void large_batches_are_divided(void **state) {
  (void)state;
  for (int codec = 0; codec < 5; codec++)
    for (size_t most = 300; most < 6000; most += 1700) {
      small s;
      small_open(&s);
      log *source = &s.world->source.logs[0], *target = s.world->target.logs;
      for (int i = 0; i < 3; i++)
        log_append(source, make_batch(source->end, 200, (tsh_codec)codec));
      s.world->most_size = s.flow.max_batch_bytes = most;
      s.flow.until_offset = source->end;
      tsh_mirror_event *stop = small_stop(&s);
      assert_int_equal(stop->reason, TSH_MIRROR_REACHED);
      assert_true(target->end == source->end);
      uint32_t *from = contents(source), *to = contents(target);
      assert_memory_equal(from, to, SPAN * sizeof *from);
      free(from);
      free(to);
      tsh_mirror_event_free(stop);
      small_close(&s);
    }
}

static void what_is_refused_is_named(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.world->most_size = 1; /* batches that its owner knows nothing of */
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_TOO_LARGE);
  assert_true(stop->refused.offset == 0 && stop->refused.records == 10);
  assert_true(stop->refused.bytes ==
              s.world->source.logs[0].batches[0].bytes.size);
  tsh_mirror_event_free(stop);
  s.flow.max_batch_bytes = 100; /* a record alone takes 80 */
  s.flow.sequence = 500;
  stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_TOO_LARGE);
  assert_true(stop->refused.offset == 0 && stop->refused.records == 1);
  tsh_mirror_event_free(stop);
  s.world->most_size = 0;
  s.world->produce_error = 32;
  s.world->bad_record = 7;
  s.flow.max_batch_bytes = 0;
  stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_TIMESTAMP);
  assert_true(stop->refused.offset == 7 && stop->refused.records == 1);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

/* A leader may have changed in offsets that a cleaner has emptied since: the
 * epoch before them ends before their end, where copying goes on. */
static void a_hole_tells_the_epoch_behind_it(void **state) {
  (void)state;
  small s;
  small_open(&s);
  log *source = &s.world->source.logs[0];
  for (int i = 0; i < source->count; i++)
    big_endian(source->batches[i].bytes.bytes + 12, 3, 4);
  made behind = make_batch(source->end + 20, 10, TSH_CODEC_NONE);
  big_endian(behind.bytes + 12, 4, 4);
  source->end += 20;
  log_append(source, behind);
  s.flow.same = true;
  assert_int_equal(tsh_mirror_start(s.owner.mirror, &s.flow, NULL), 0);
  tsh_mirror_event *event = next_event(&s.owner, TSH_MIRROR_HOLE);
  assert_true(event->from == 100 && event->to == 120);
  assert_true(event->source_offset == 100);
  assert_int_equal(event->source_epoch, 4);
  tsh_mirror_event_free(event);
  small_close(&s);
}

static void a_cut_log_is_told(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.world->diverge = 3;
  s.flow.last_epoch = 5;
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_DIVERGED);
  assert_int_equal(stop->diverging_epoch, 3);
  assert_true(stop->log_end == 7);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

static void both_ends_are_told(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.flow.source_offset = 200;
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_OUT_OF_RANGE);
  assert_true(stop->log_start == 0 && stop->log_end == 100);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

static void another_place_is_foreign(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.world->shift_base = 4;
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_FOREIGN);
  assert_true(stop->expected == 0 && stop->got == 4);
  assert_true(stop->target_offset == 0);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

static void a_wrong_resume_is_foreign(void **state) {
  (void)state;
  small s;
  small_open(&s);
  log *l = &s.world->source.logs[0];
  l->end = 120;
  log_append(l, make_batch(120, 5, TSH_CODEC_NONE));
  s.flow.same = true;
  assert_int_equal(tsh_mirror_start(s.owner.mirror, &s.flow, NULL), 0);
  tsh_mirror_event *event = NULL, *stop = NULL;
  while (stop == NULL) {
    while ((event = tsh_mirror_take(s.owner.mirror)) == NULL)
      owner_wait(&s.owner);
    for (tsh_mirror_event *next; event != NULL; event = next) {
      next = event->next;
      if (event->kind == TSH_MIRROR_HOLE) {
        assert_true(event->from == 100 && event->to == 120);
        tsh_mirror_resume resume = {"0", 119, -1, -1};
        assert_int_equal(tsh_mirror_go_on(s.owner.mirror, &resume, NULL), 0);
      }
      if (event->kind == TSH_MIRROR_STOPPED)
        stop = event;
      else
        tsh_mirror_event_free(event);
    }
  }
  assert_int_equal(stop->reason, TSH_MIRROR_FOREIGN);
  assert_true(stop->expected == 120 && stop->got == 119);
  assert_true(stop->source_offset == 100 && stop->target_offset == 100);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

static void impossible_starts_are_refused(void **state) {
  (void)state;
  small s;
  small_open(&s);
  s.flow.target_offset = 5;
  tsh_mirror_event *stop = small_stop(&s);
  assert_int_equal(stop->reason, TSH_MIRROR_FAILED);
  assert_int_equal(stop->err.kind, TSH_INVALID);
  tsh_mirror_event_free(stop);
  small_close(&s);
}

static void stops_are_answered_with_all_there_is(void **state) {
  (void)state;
  for (int i = 0; i < 30; i++) {
    small s;
    small_open(&s);
    assert_int_equal(tsh_mirror_start(s.owner.mirror, &s.flow, NULL), 0);
    if (i % 3 > 0)
      usleep((unsigned)i * 100);
    assert_int_equal(tsh_mirror_stop(s.owner.mirror, "0", NULL), 0);
    assert_int_equal(tsh_mirror_stop(s.owner.mirror, "none", NULL), 0);
    tsh_mirror_event *stop, *none;
    while ((none = tsh_mirror_take_stopped(s.owner.mirror, "none")) == NULL)
      owner_wait(&s.owner);
    assert_int_equal(none->err.kind, TSH_NOT_FOUND);
    while ((stop = tsh_mirror_take_stopped(s.owner.mirror, "0")) == NULL)
      owner_wait(&s.owner);
    assert_int_equal(stop->reason, TSH_MIRROR_ASKED);
    assert_true(stop->target_offset == s.world->target.logs[0].end);
    int64_t told = 0;
    for (size_t k = 0; k < stop->segment_count; k++)
      told += stop->segments[k].count;
    assert_true(told == stop->target_offset && told == stop->records);
    assert_null(tsh_mirror_take(s.owner.mirror));
    tsh_mirror_event_free(none);
    tsh_mirror_event_free(stop);
    small_close(&s);
  }
}

/* Flows of a worker share a connection: one that stops while it stood in line
 * leaves the line. Compressed batches are not merged, so there is a line. */
static void stops_leave_the_line(void **state) {
  (void)state;
  enum { FLOWS = 6, BATCHES = 120, ROUNDS = 12 };
  static const char *const ids[FLOWS] = {"0", "1", "2", "3", "4", "5"};
  for (int round = 0; round < ROUNDS; round++) {
    world *w = world_new();
    owner o;
    owner_open(&o, 0, 0);
    for (int p = 0; p < FLOWS; p++) {
      for (int i = 0; i < BATCHES; i++)
        log_append(&w->source.logs[p], make_batch(i * 5, 5, TSH_CODEC_LZ4));
      tsh_mirror_flow flow = flow_of(w, ids[p], p);
      assert_int_equal(tsh_mirror_start(o.mirror, &flow, NULL), 0);
    }
    usleep((unsigned)round * 700);
    for (int p = 0; p < FLOWS; p++)
      assert_int_equal(tsh_mirror_stop(o.mirror, ids[p], NULL), 0);
    for (int p = 0; p < FLOWS; p++) {
      tsh_mirror_event *stop;
      while ((stop = tsh_mirror_take_stopped(o.mirror, ids[p])) == NULL)
        owner_wait(&o);
      assert_int_equal(stop->reason, TSH_MIRROR_ASKED);
      assert_true(stop->target_offset == w->target.logs[p].end);
      tsh_mirror_event_free(stop);
    }
    owner_close(&o);
    world_free(w);
  }
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* as the program does */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(faults_end_in_one_copy),
      cmocka_unit_test(faults_keep_same_offsets),
      cmocka_unit_test(flipped_bits_stop_where_they_are),
      cmocka_unit_test(other_reasons),
      cmocka_unit_test(large_batches_are_divided),
      cmocka_unit_test(what_is_refused_is_named),
      cmocka_unit_test(a_hole_tells_the_epoch_behind_it),
      cmocka_unit_test(a_cut_log_is_told),
      cmocka_unit_test(both_ends_are_told),
      cmocka_unit_test(another_place_is_foreign),
      cmocka_unit_test(a_wrong_resume_is_foreign),
      cmocka_unit_test(impossible_starts_are_refused),
      cmocka_unit_test(stops_are_answered_with_all_there_is),
      cmocka_unit_test(stops_leave_the_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
