/* When flows are fetched: within a limited rate, and watched while quiet. */
#include <signal.h>
#include <time.h>

#include "mirror_owner.h"

/* 300 KB at 200 KB/s, of which 64 KiB may come at once. */
static void the_rate_limit_holds(void **state) {
  (void)state;
  enum { PARTS = 3, COUNT = 250 };
  owner o;
  world *w = world_new();
  int64_t bytes = 0;
  struct timespec begin, end;
  owner_open(&o, 0, 200000);
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int p = 0; p < PARTS; p++) {
    char id[16];
    log *l = &w->source.logs[p];
    for (int i = 0; i < 20; i++) {
      made batch = make_batch(i * COUNT, COUNT, TSH_CODEC_NONE);
      bytes += (int64_t)batch.size;
      log_append(l, batch);
    }
    snprintf(id, sizeof id, "%d", p);
    tsh_mirror_flow flow = flow_of(w, id, p);
    flow.until_offset = l->end;
    assert_int_equal(tsh_mirror_start(o.mirror, &flow, NULL), 0);
  }
  for (int stops = 0; stops < PARTS;) {
    tsh_mirror_event *at = tsh_mirror_take(o.mirror), *next;
    if (at == NULL)
      owner_wait(&o);
    for (; at != NULL; at = next) {
      next = at->next;
      if (at->kind == TSH_MIRROR_STOPPED) {
        assert_int_equal(at->reason, TSH_MIRROR_REACHED);
        stops++;
      }
      tsh_mirror_event_free(at);
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - begin.tv_sec) +
                   (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
  /* What the last fetches brought is not waited off any more. */
  assert_true(seconds >= (double)(bytes - 4 * 65536) / 200000);
  owner_close(&o);
  world_free(w);
}

/* Takes events until `count` records have landed on target partition p. */
static void await_landed(owner *o, world *w, int p, int64_t count) {
  for (;;) {
    pthread_mutex_lock(&w->lock);
    int64_t end = w->target.logs[p].end;
    pthread_mutex_unlock(&w->lock);
    if (end == count)
      return;
    for (tsh_mirror_event *next, *at = tsh_mirror_take(o->mirror); at != NULL;
         at = next) {
      next = at->next;
      assert_int_not_equal(at->kind, TSH_MIRROR_STOPPED);
      tsh_mirror_event_free(at);
    }
    usleep(1000);
  }
}

static int counted(world *w, const int *counter) {
  pthread_mutex_lock(&w->lock);
  int count = *counter;
  pthread_mutex_unlock(&w->lock);
  return count;
}

/* Quiet flows are watched in sessions; what comes is copied all the same, and
 * so it is after a broker has forgotten a session. */
static void quiet_flows_are_watched(void **state) {
  (void)state;
  enum { PARTS = 9 };
  owner o;
  world *w = world_new();
  owner_open(&o, 0, 0);
  for (int p = 0; p < PARTS; p++) {
    char id[16];
    snprintf(id, sizeof id, "%d", p);
    log_append(&w->source.logs[p], make_batch(0, 10, TSH_CODEC_NONE));
    tsh_mirror_flow flow = flow_of(w, id, p);
    assert_int_equal(tsh_mirror_start(o.mirror, &flow, NULL), 0);
  }
  for (int p = 0; p < PARTS; p++)
    await_landed(&o, w, p, 10);
  for (int round = 1; round <= 3; round++) {
    int wanted = counted(w, &w->source.told) + (round == 1 ? PARTS : 1);
    while (counted(w, &w->source.told) < wanted)
      usleep(1000);
    if (round == 2) {
      pthread_mutex_lock(&w->lock);
      w->session_error = 70;
      pthread_mutex_unlock(&w->lock);
      while (counted(w, &w->session_error) != 0)
        usleep(1000);
    }
    int full = counted(w, &w->source.full_fetches);
    usleep(round == 1 ? 100000 : 0); /* all are watched */
    assert_true(round > 1 || counted(w, &w->source.full_fetches) == full);
    pthread_mutex_lock(&w->lock);
    log_append(&w->source.logs[round],
               make_batch(10, 10 * round, TSH_CODEC_NONE));
    pthread_mutex_unlock(&w->lock);
    await_landed(&o, w, round, 10 + 10 * round);
  }
  assert_int_equal(tsh_mirror_stop(o.mirror, "5", NULL), 0);
  tsh_mirror_event *stop;
  while ((stop = tsh_mirror_take_stopped(o.mirror, "5")) == NULL)
    owner_wait(&o);
  assert_true(stop->reason == TSH_MIRROR_ASKED && stop->source_offset == 10);
  tsh_mirror_event_free(stop);
  owner_close(&o);
  world_free(w);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN); /* as the program does */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_rate_limit_holds),
      cmocka_unit_test(quiet_flows_are_watched),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
