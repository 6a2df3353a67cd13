/* Which flows are fetched when there is little memory: who waits for news, or
 * for a target that stands still, keeps nobody else from it. */
#include <signal.h>
#include <time.h>

#include "mirror_owner.h"

enum {
  WORKERS = 3,    /* of mirror_owner.h: flow i is with worker i % WORKERS */
  STALLED = 5,    /* flows that hold the whole budget between them */
  BUSY = 1,       /* among quiet ones */
  RECORDS = 2000, /* in a batch: about 60 KB */
  BATCHES = 40,
  MANY_BATCHES = 300,
  LONG_MS = 60000, /* stands the target still ... */
  SOON_MS = 30000  /* ... and what it takes is a second or two */
};

static const char *const ids[] = {"0", "1", "2",  "3",  "4",  "5",  "6", "7",
                                  "8", "9", "10", "11", "12", "13", "14"};

static void add(world *w, int p, int batches) {
  pthread_mutex_lock(&w->lock);
  log *l = &w->source.logs[p];
  for (int i = 0; i < batches; i++)
    log_append(l, make_batch(l->end, RECORDS, TSH_CODEC_NONE));
  pthread_mutex_unlock(&w->lock);
}

static int64_t end_of(world *w, log *l) {
  pthread_mutex_lock(&w->lock);
  int64_t end = l->end;
  pthread_mutex_unlock(&w->lock);
  return end;
}

static bool all_is_held(const tsh_mirror *mirror) {
  tsh_mirror_usage usage = tsh_mirror_use(mirror);
  return usage.memory > usage.memory_limit / 4 * 3;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void the_busy_do_not_wait_for_the_quiet(void **state) {
  (void)state;
  world *w = world_new();
  owner o;
  owner_open_with(&o, 1, 0, LONG_MS); /* the least memory there is */
  for (int p = 0; p < STALLED * WORKERS; p++) {
    tsh_mirror_flow flow = flow_of(w, ids[p], p);
    if (p % WORKERS == 0) {
      w->hold_produce[p] = true;
      add(w, p, BATCHES);
    }
    assert_int_equal(tsh_mirror_start(o.mirror, &flow, NULL), 0);
  }
  while (!all_is_held(o.mirror))
    usleep(1000);
  add(w, BUSY, MANY_BATCHES);
  int64_t end = end_of(w, &w->source.logs[BUSY]), begin = now_ms();
  while (end_of(w, &w->target.logs[BUSY]) < end) {
    assert_true(now_ms() - begin < SOON_MS);
    usleep(10000);
  }
  for (int p = 0; p < STALLED * WORKERS; p++)
    w->hold_produce[p] = false;
  owner_close(&o);
  world_free(w);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* as the program does */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_busy_do_not_wait_for_the_quiet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
