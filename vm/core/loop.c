/* The loop on libuv: timers, bells and blocking work.
 *
 * libuv handles may only be freed from their close callback, so what has a
 * handle is closed first and freed there; the pointer is dead to its owner
 * from then on. */
#include "tranship/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "tranship/log.h"

struct tsh_loop {
  uv_loop_t uv;
};

/* Small objects of the loop are as needed as the code itself: without them
 * nothing can be reported either. */
static void *must_alloc(size_t size) {
  void *p = calloc(1, size);

  if (p == NULL)
    abort();
  return p;
}

static void free_data(uv_handle_t *handle) { free(handle->data); }

int tsh_loop_open(tsh_loop **out, tsh_err *err) {
  tsh_loop *loop = must_alloc(sizeof *loop);
  int rc = uv_loop_init(&loop->uv);

  if (rc != 0) {
    free(loop);
    return tsh_err_errno(err, -rc, "event loop");
  }
  *out = loop;
  return 0;
}

/* A child that outlives whoever started it is no leak: what is left of it
 * here is a handle (process.c) that waits to reap it. Any other handle should
 * have been closed by its owner. */
static void let_go(uv_handle_t *handle, void *user) {
  (void)user;
  if (uv_is_closing(handle))
    return;
  if (handle->type == UV_PROCESS) {
    uv_close(handle, free_data);
    return;
  }
  tsh_log(TSH_ERROR, "a %s handle was left open on the loop",
          uv_handle_type_name(handle->type));
  assert(!"a handle was left open on the loop");
  uv_close(handle, NULL);
}

void tsh_loop_close(tsh_loop *loop) {
  uv_walk(&loop->uv, let_go, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT); /* to the end of what is closing */
  uv_loop_close(&loop->uv);
  free(loop);
}

void tsh_loop_run(tsh_loop *loop) { uv_run(&loop->uv, UV_RUN_DEFAULT); }

bool tsh_loop_turn(tsh_loop *loop) {
  return uv_run(&loop->uv, UV_RUN_ONCE) != 0;
}

void tsh_loop_stop(tsh_loop *loop) { uv_stop(&loop->uv); }

/* Events that took long must not make the next timer early, so the clock is
 * read, not remembered. */
uint64_t tsh_loop_now(tsh_loop *loop) {
  uv_update_time(&loop->uv);
  return uv_now(&loop->uv);
}

uv_loop_t *tsh_loop_uv(tsh_loop *loop) { return &loop->uv; }

/* Timers. */

struct tsh_timer {
  uv_timer_t uv;
  void (*fired)(void *user);
  void *user;
};

static void timer_fired(uv_timer_t *uv) {
  tsh_timer *timer = uv->data;

  timer->fired(timer->user);
}

tsh_timer *tsh_timer_start(tsh_loop *loop, uint64_t delay_ms,
                           void (*fired)(void *user), void *user) {
  tsh_timer *timer = must_alloc(sizeof *timer);

  timer->fired = fired;
  timer->user = user;
  uv_timer_init(&loop->uv, &timer->uv);
  timer->uv.data = timer;
  uv_update_time(&loop->uv);
  uv_timer_start(&timer->uv, timer_fired, delay_ms, 0);
  return timer;
}

void tsh_timer_stop(tsh_timer *timer) {
  uv_close((uv_handle_t *)&timer->uv, free_data);
}

/* Bells. */

struct tsh_bell {
  uv_async_t uv;
  void (*rung)(void *user);
  void *user;
};

static void bell_rung(uv_async_t *uv) {
  tsh_bell *bell = uv->data;

  bell->rung(bell->user);
}

tsh_bell *tsh_bell_open(tsh_loop *loop, void (*rung)(void *user), void *user) {
  tsh_bell *bell = must_alloc(sizeof *bell);

  bell->rung = rung;
  bell->user = user;
  if (uv_async_init(&loop->uv, &bell->uv, bell_rung) != 0)
    abort();
  bell->uv.data = bell;
  return bell;
}

void tsh_bell_ring(tsh_bell *bell) { uv_async_send(&bell->uv); }

void tsh_bell_unref(tsh_bell *bell) { uv_unref((uv_handle_t *)&bell->uv); }

void tsh_bell_close(tsh_bell *bell) {
  uv_close((uv_handle_t *)&bell->uv, free_data);
}

/* Blocking work. */

static void work_run(uv_work_t *uv) {
  tsh_work *work = uv->data;

  work->op.status = work->run(work);
}

static void work_done(uv_work_t *uv, int status) {
  tsh_work *work = uv->data;

  if (status == UV_ECANCELED)
    work->op.status =
        tsh_err_set(&work->op.err, TSH_CANCELED, "loop", 0, "canceled");
  work->uv = NULL;
  free(uv);
  work->op.done(&work->op);
}

static void work_cancel(tsh_op *op) {
  tsh_work *work = (tsh_work *)op;

  if (work->uv != NULL)
    uv_cancel((uv_req_t *)work->uv);
}

void tsh_work_start(tsh_loop *loop, tsh_work *work) {
  uv_work_t *uv = must_alloc(sizeof *uv);

  uv->data = work;
  work->uv = uv;
  work->op.cancel = work_cancel;
  uv_queue_work(&loop->uv, uv, work_run, work_done);
}
