/* The loop: timers fire in order and once, bells ring from any thread, work
 * runs elsewhere and is told about here. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tranship/loop.h"

static tsh_loop *open_loop(void) {
  tsh_loop *loop = NULL;
  tsh_err err;

  assert_int_equal(tsh_loop_open(&loop, &err), 0);
  return loop;
}

/* Timers. */

typedef struct tick {
  tsh_timer *timer;
  char *order;
  char name;
} tick;

static void ticked(void *user) {
  tick *t = user;

  strncat(t->order, &t->name, 1);
  tsh_timer_stop(t->timer);
}

static void timers_fire_in_order_and_once(void **state) {
  tsh_loop *loop = open_loop();
  char order[8] = "";
  tick a = {.order = order, .name = 'a'}, b = {.order = order, .name = 'b'};
  tick c = {.order = order, .name = 'c'};
  uint64_t begin = tsh_loop_now(loop);

  (void)state;
  b.timer = tsh_timer_start(loop, 20, ticked, &b);
  a.timer = tsh_timer_start(loop, 5, ticked, &a);
  c.timer = tsh_timer_start(loop, 10, ticked, &c);
  tsh_timer_stop(c.timer);
  tsh_loop_run(loop);
  assert_string_equal(order, "ab");
  assert_true(tsh_loop_now(loop) - begin >= 20);
  tsh_loop_close(loop);
}

/* Bells. */

enum { RINGS = 20000 };

typedef struct belfry {
  tsh_loop *loop;
  tsh_bell *bell;
  atomic_int given;
  int heard, rounds;
} belfry;

static void rung(void *user) {
  belfry *b = user;

  b->heard = atomic_load(&b->given);
  b->rounds++;
  if (b->heard == 2 * RINGS)
    tsh_loop_stop(b->loop);
}

static void *ring(void *user) {
  belfry *b = user;

  for (int i = 0; i < RINGS; i++) {
    atomic_fetch_add(&b->given, 1);
    tsh_bell_ring(b->bell);
  }
  return NULL;
}

static void no_ring_of_a_thread_is_lost(void **state) {
  belfry b = {.loop = open_loop()};
  pthread_t threads[2];

  (void)state;
  b.bell = tsh_bell_open(b.loop, rung, &b);
  for (int i = 0; i < 2; i++)
    pthread_create(&threads[i], NULL, ring, &b);
  tsh_loop_run(b.loop);
  for (int i = 0; i < 2; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(b.heard, 2 * RINGS);
  assert_in_range(b.rounds, 1, 2 * RINGS);
  tsh_bell_close(b.bell);
  tsh_loop_close(b.loop);
}

static void a_bell_may_be_left_out_of_account(void **state) {
  tsh_loop *loop = open_loop();
  belfry b = {.loop = loop};

  (void)state;
  b.bell = tsh_bell_open(loop, rung, &b);
  tsh_bell_unref(b.bell);
  assert_false(tsh_loop_turn(loop)); /* returns: nothing is left */
  tsh_bell_close(b.bell);
  tsh_loop_close(loop);
}

/* Work. */

typedef struct job {
  tsh_work work;
  pthread_t where;
  int to_fail, done;
  atomic_int *gate; /* run waits until it is open */
} job;

static int job_run(tsh_work *work) {
  job *j = (job *)work;

  j->where = pthread_self();
  while (j->gate != NULL && atomic_load(j->gate) == 0)
    usleep(1000);
  if (j->to_fail)
    return tsh_err_set(&work->op.err, TSH_IO, "test", 1, "failed as told");
  return 0;
}

static void job_done(tsh_op *op) { ((job *)op)->done++; }

static void start_job(tsh_loop *loop, job *j) {
  j->work.run = job_run;
  j->work.op.done = job_done;
  tsh_work_start(loop, &j->work);
}

static void work_runs_elsewhere_and_says_how_it_went(void **state) {
  tsh_loop *loop = open_loop();
  job good = {0}, bad = {.to_fail = 1};

  (void)state;
  start_job(loop, &good);
  start_job(loop, &bad);
  assert_int_equal(good.done, 0); /* never from inside the start */
  tsh_loop_run(loop);
  assert_int_equal(good.done, 1);
  assert_int_equal(bad.done, 1);
  assert_false(pthread_equal(good.where, pthread_self()));
  assert_int_equal(good.work.op.status, 0);
  assert_int_equal(bad.work.op.status, TSH_IO);
  assert_string_equal(bad.work.op.err.message, "failed as told");
  tsh_loop_close(loop);
}

static void work_is_cancelled_only_before_it_runs(void **state) {
  enum { JOBS = 12 }; /* more than the pool has threads */
  tsh_loop *loop = open_loop();
  atomic_int gate = 0;
  job jobs[JOBS];
  int canceled = 0;

  (void)state;
  memset(jobs, 0, sizeof jobs);
  for (int i = 0; i < JOBS; i++) {
    jobs[i].gate = &gate;
    start_job(loop, &jobs[i]);
  }
  usleep(50000);
  for (int i = 0; i < JOBS; i++)
    jobs[i].work.op.cancel(&jobs[i].work.op);
  atomic_store(&gate, 1);
  tsh_loop_run(loop);
  for (int i = 0; i < JOBS; i++) {
    assert_int_equal(jobs[i].done, 1);
    canceled += jobs[i].work.op.status == TSH_CANCELED;
  }
  assert_in_range(canceled, 1, JOBS - 1);
  jobs[0].work.op.cancel(&jobs[0].work.op); /* too late: nothing happens */
  assert_int_equal(jobs[0].done, 1);
  tsh_loop_close(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(timers_fire_in_order_and_once),
      cmocka_unit_test(no_ring_of_a_thread_is_lost),
      cmocka_unit_test(a_bell_may_be_left_out_of_account),
      cmocka_unit_test(work_runs_elsewhere_and_says_how_it_went),
      cmocka_unit_test(work_is_cancelled_only_before_it_runs),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
