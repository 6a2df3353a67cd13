/* The loop: the only place of a thread that sleeps.
 *
 * One loop belongs to one thread. Everything here is called on that thread,
 * except tsh_bell_ring, which any thread may call at any time. What only
 * blocks (getaddrinfo, fsync, a joining destroy) runs as a tsh_work on the
 * thread pool. There are no polling timers. Times are monotonic milliseconds
 * unless a name says otherwise. */
#ifndef TRANSHIP_LOOP_H
#define TRANSHIP_LOOP_H

#include <stdint.h>

#include "tranship/err.h"

typedef struct tsh_loop tsh_loop;
struct uv_loop_s;

int tsh_loop_open(tsh_loop **out, tsh_err *err);
/* Runs closing callbacks to their end; asserts that no handle is left. */
void tsh_loop_close(tsh_loop *loop);
/* Sleeps and serves events until tsh_loop_stop, or until nothing is left. */
void tsh_loop_run(tsh_loop *loop);
void tsh_loop_stop(tsh_loop *loop);
/* Sleeps until something happens and serves it; false if nothing is left that
 * could happen. */
bool tsh_loop_turn(tsh_loop *loop);
uint64_t tsh_loop_now(tsh_loop *loop);
/* For the rooms that wrap libuv themselves (wire, process). */
struct uv_loop_s *tsh_loop_uv(tsh_loop *loop);

/* An operation: something started, to be told about once.
 * Embedded as first member by the room that runs it. `done` is called exactly
 * once, on the loop's thread, never from inside the starting call. The room
 * sets `status` (0 or a negative kind) and `err` before. Whoever started it
 * sets `done` and `user`, and calls `free` after `done`, never before. */
typedef struct tsh_op tsh_op;
struct tsh_op {
  void (*done)(tsh_op *op);
  void (*cancel)(tsh_op *op); /* ask for an early end; `done` still comes */
  void (*free)(tsh_op *op);
  int status;
  tsh_err err;
  void *user;
};

/* Timers. `fired` is called once, on the loop's thread. */
typedef struct tsh_timer tsh_timer;
tsh_timer *tsh_timer_start(tsh_loop *loop, uint64_t delay_ms,
                           void (*fired)(void *user), void *user);
void tsh_timer_stop(tsh_timer *timer); /* frees it; fine from inside `fired` */

/* A bell: any thread rings, `rung` is called soon on the loop's thread.
 * Several rings may come as one, so drain what the bell stands for. */
typedef struct tsh_bell tsh_bell;
tsh_bell *tsh_bell_open(tsh_loop *loop, void (*rung)(void *user), void *user);
void tsh_bell_ring(tsh_bell *bell);
/* An open bell keeps tsh_loop_run from returning, unless it was told so. */
void tsh_bell_unref(tsh_bell *bell);
void tsh_bell_close(tsh_bell *bell);

/* Work that only blocks: `run` on the thread pool, then op.done on the loop.
 * `run` returns 0 or a kind and may fill op.err; it touches nothing that the
 * loop's thread touches meanwhile. Cancel works only until `run` starts. */
typedef struct tsh_work {
  tsh_op op;
  int (*run)(struct tsh_work *work);
  void *uv; /* private */
} tsh_work;
void tsh_work_start(tsh_loop *loop, tsh_work *work);

#endif
