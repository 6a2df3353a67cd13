/* What one Lua state carries: its loop, its tasks, its open handles.
 *
 * Private to vm/host.c and to the bindings that run tasks (task.c, ticket.c,
 * box.c). Other bindings need bind.h only. The pointer sits in the extra space
 * of every Lua thread, so that any function finds it without a registry look.
 */
#ifndef TRANSHIP_BIND_STATE_H
#define TRANSHIP_BIND_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "bind.h"

typedef struct tsh_state tsh_state;
typedef struct tsh_task tsh_task;
typedef struct tsh_ticket tsh_ticket;
typedef struct tsh_box tsh_box;
typedef struct tsh_census tsh_census;

struct tsh_state {
  lua_State *L; /* the main thread: for the registry, never runs a task */
  tsh_loop *loop;
  tsh_bell *bell;    /* rung when a task became ready */
  tsh_task *tasks;   /* all that are not done */
  tsh_task *current; /* the one that runs, or NULL between events */
  tsh_task *ready, **ready_end;
  unsigned pending;    /* operations whose `done` is still to come */
  unsigned reaps;      /* destroys under way on the thread pool */
  tsh_census *classes; /* open and leaked handles by class */
  const char *stdlib;  /* folder instead of the embedded library, or NULL */
  size_t used;         /* bytes the allocator has given out */
  tsh_box *box;        /* whose limits hold at the moment, or NULL */
  bool is_closing;     /* the program is over: open handles are no news */
};

tsh_state *tsh_bind_state(lua_State *L);

/* Open and leaked handles of one class. */
struct tsh_census {
  const char *name;
  unsigned open;
  unsigned leaked;
  tsh_census *next;
};

/* A task: a coroutine, what it waits for, and how it ended. Lives in a
 * userdata that the registry holds until the task is done. */
struct tsh_task {
  tsh_state *state;
  lua_State *co;
  tsh_task *next, **link; /* in state->tasks */
  tsh_task *next_ready;
  tsh_ticket *ticket; /* what it waits for, or NULL */
  tsh_box *box;       /* the limits it runs under, or NULL */
  int arguments;      /* values on co's stack for the next resume */
  int results;        /* values on co's stack once done */
  bool is_ready, is_running, is_canceled, is_failed, is_done, is_seen;
};

/* User values of a task's userdata. */
enum { TASK_THREAD = 1, TASK_LOCALS, TASK_JOINERS, TASK_BOX, TASK_VALUES = 4 };

/* Spawns the function below `arguments` values on L's stack (all are popped)
 * and pushes the task. */
tsh_task *tsh_task_spawn(lua_State *L, int arguments);
/* Puts a task into the queue of those that run next. */
void tsh_task_ready(tsh_task *task);
/* Ends a task that is not running; closes what is to be closed in it. The
 * error value is on top of state->L, and is popped. */
void tsh_task_kill(tsh_task *task);
/* Runs what is ready: the only way from an event into Lua. */
void tsh_task_run_ready(tsh_state *state);
void tsh_task_cancel_all(tsh_state *state);
/* The task that runs L's code, or NULL (inner coroutine, no task). */
tsh_task *tsh_task_of(lua_State *L);
/* Adds ticket, park and timer to the table on top. */
void tsh_ticket_register(lua_State *L);
/* Readies the task that waits by this ticket; false if that was done. */
bool tsh_ticket_wake(tsh_ticket *ticket);
/* Voids the ticket of a task that will not be resumed by it. */
void tsh_ticket_void(tsh_ticket *ticket);

/* Pushes an err value with this kind, origin and text. */
void tsh_bind_push_err(lua_State *L, const tsh_err *err);
/* Pushes the value `index` as an err value: itself, or wrapped as a bug. */
void tsh_bind_push_bug(lua_State *L, int index, const char *traceback);

/* Boxes (box.c): limits of untrusted code, as the scheduler and the allocator
 * ask for them. NULL stands for "no limits" throughout. */
void tsh_box_enter(tsh_state *state, tsh_box *box, lua_State *co);
/* Around closing what a stopped coroutine left open: a small allowance. */
void tsh_box_grace(tsh_state *state, tsh_box *box, bool begin);
/* Whether a limit was passed; fills `err` with which. */
bool tsh_box_exhausted(const tsh_box *box, tsh_err *err);
void tsh_box_no_memory(tsh_box *box);
/* Whether the state may grow from `used` by `more` bytes. */
bool tsh_box_allows(const tsh_box *box, size_t used, size_t more);

/* Takes string.dump away, and addresses from string.format; locks the
 * metatable of strings. For the whole state: methods of strings find these
 * functions whatever environment the code has. */
void tsh_sandbox_close_strings(lua_State *L);

/* Adds a new task to a box: tsh_task_spawn, then this. */
void tsh_task_limit(lua_State *L, int task_index, int box_index);

#endif
