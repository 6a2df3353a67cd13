/* Ten thousand partitions: all are copied, and at no time is more held than the
 * budget allows, however many there are. */
#define MOST_LOGS 10000
#define MOST_ABORTED 1
#include "mirror_owner.h"

#include <malloc.h>
#include <signal.h>

enum {
  BATCHES = 4,
  RECORDS = 40,          /* in a batch: about 1 KB */
  MEMORY = 4 << 20,      /* bytes, a tenth of what is to be copied */
  WORKERS = 3,           /* of mirror_owner.h */
  LEAST_FETCH = 64 << 10 /* that a worker may promise though nothing is left */
};

static char ids[MOST_LOGS][12];

static world *make_world(void) {
  world *w = world_new();
  for (int p = 0; p < MOST_LOGS; p++) {
    snprintf(ids[p], sizeof ids[p], "%d", p);
    for (int i = 0; i < BATCHES; i++)
      log_append(&w->source.logs[p],
                 make_batch(i * RECORDS, RECORDS, TSH_CODEC_NONE));
  }
  return w;
}

static void start_all(world *w, owner *o, int64_t until) {
  for (int p = 0; p < MOST_LOGS; p++) {
    tsh_mirror_flow flow = flow_of(w, ids[p], p);
    flow.until_offset = until;
    flow.max_batch_bytes = 100000;
    assert_int_equal(tsh_mirror_start(o->mirror, &flow, NULL), 0);
  }
}

/* Takes events until every partition has got to its end or stopped; gives the
 * most memory that was seen in use. */
static size_t await_all(owner *o, tsh_mirror_kind kind) {
  static bool there[MOST_LOGS];
  size_t most = 0;
  memset(there, 0, sizeof there);
  for (int left = MOST_LOGS; left > 0;) {
    tsh_mirror_event *next, *event = tsh_mirror_take(o->mirror);
    tsh_mirror_usage usage = tsh_mirror_use(o->mirror);
    if (usage.memory > most)
      most = usage.memory;
    if (event == NULL)
      owner_wait(o);
    for (; event != NULL; event = next) {
      next = event->next;
      int p = atoi(event->id);
      if (event->kind == TSH_MIRROR_STOPPED)
        assert_int_equal(event->reason, TSH_MIRROR_REACHED);
      if (event->kind == kind && !there[p] &&
          event->source_offset == BATCHES * RECORDS) {
        there[p] = true;
        left--;
      }
      tsh_mirror_event_free(event);
    }
  }
  return most;
}

static void is_copied(const world *w) {
  for (int p = 0; p < MOST_LOGS; p++)
    assert_true(w->target.logs[p].end == BATCHES * RECORDS);
}

static void memory_is_bounded_for_all_together(void **state) {
  (void)state;
  owner o;
  world *w = make_world();
  owner_open(&o, MEMORY, 0);
  start_all(w, &o, BATCHES * RECORDS);
  size_t most = await_all(&o, TSH_MIRROR_STOPPED);
  print_message("at most %zu bytes held\n", most);
  assert_true(most > 0 && most <= MEMORY + 2 * WORKERS * LEAST_FETCH);
  assert_int_equal(tsh_mirror_use(o.mirror).memory_limit, MEMORY);
  is_copied(w);
  owner_close(&o);
  world_free(w);
}

/* Caught up, they hold nothing but themselves. */
static void quiet_ones_cost_little(void **state) {
  (void)state;
  owner o;
  world *w = make_world();
  owner_open(&o, MEMORY, 0);
  size_t before = mallinfo2().uordblks;
  start_all(w, &o, -1);
  await_all(&o, TSH_MIRROR_PROGRESS);
  is_copied(w);
  size_t copied = (size_t)MOST_LOGS * BATCHES * 2000; /* the target's logs */
  size_t after = mallinfo2().uordblks; /* 0 where malloc is another */
  assert_true(after < before + copied + (size_t)MOST_LOGS * 3000);
  owner_close(&o);
  world_free(w);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* as the program does */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_bounded_for_all_together),
      cmocka_unit_test(quiet_ones_cost_little),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
