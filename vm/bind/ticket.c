/* Tickets: the right to wake one waiting task, once.
 *
 * A ticket lives in a userdata. While an operation is under way the registry
 * holds it, so that a task may be cancelled and collected without the late
 * `done` finding a dead pointer; a void ticket lets that outcome drop. */
#include <string.h>

#include "state.h"

static const char metatable[] = "ticket";

struct tsh_ticket {
  tsh_state *state;
  tsh_task *task; /* NULL: void, or used */
  tsh_op *op;     /* NULL: a ticket that Lua wakes */
  tsh_bind_push push;
  bool is_done; /* op->done came */
};

/* User values: what it was woken with or what its operation works on, and the
 * task, which must not be collected before the ticket. */
enum { TICKET_VALUE = 1, TICKET_TASK, TICKET_VALUES = 2 };

static void free_op(tsh_ticket *ticket) {
  tsh_op *op = ticket->op;

  ticket->op = NULL;
  if (op != NULL)
    op->free(op);
}

static void unanchor(tsh_ticket *ticket) {
  lua_pushnil(ticket->state->L);
  lua_rawsetp(ticket->state->L, LUA_REGISTRYINDEX, ticket);
}

void tsh_ticket_void(tsh_ticket *ticket) {
  ticket->task->ticket = NULL;
  ticket->task = NULL;
  if (ticket->op == NULL)
    return;
  if (ticket->is_done)
    free_op(ticket);
  else if (ticket->op->cancel != NULL)
    ticket->op->cancel(ticket->op);
}

/* Raises where nothing may wait; returns the running task. */
static tsh_task *waiting_task(lua_State *L) {
  tsh_task *task = tsh_task_of(L);

  if (task == NULL)
    luaL_error(L, "this waits, and only a task may wait");
  else if (!lua_isyieldable(L))
    luaL_error(L, "this waits, and nothing can wait here "
                  "(a closer, a loading module, a sort or gsub callback)");
  return task;
}

static tsh_ticket *push_ticket(lua_State *L, tsh_task *task) {
  tsh_ticket *ticket = lua_newuserdatauv(L, sizeof *ticket, TICKET_VALUES);

  memset(ticket, 0, sizeof *ticket);
  ticket->state = task->state;
  ticket->task = task;
  luaL_setmetatable(L, metatable);
  lua_rawgetp(L, LUA_REGISTRYINDEX, task);
  lua_setiuservalue(L, -2, TICKET_TASK);
  return ticket;
}

bool tsh_ticket_wake(tsh_ticket *ticket) {
  tsh_task *task = ticket->task;

  if (task == NULL)
    return false;
  ticket->task = NULL;
  if (task->ticket == ticket) { /* else: woken before it was parked */
    task->ticket = NULL;
    tsh_task_ready(task);
  }
  return true;
}

/* Operations. */

static void op_done(tsh_op *op) {
  tsh_ticket *ticket = op->user;
  tsh_task *task = ticket->task;

  ticket->state->pending--;
  ticket->is_done = true;
  unanchor(ticket);
  if (task == NULL)
    free_op(ticket);
  else
    tsh_task_ready(task); /* it keeps the ticket until it runs */
}

static int await_end(lua_State *L, int status, lua_KContext context) {
  tsh_ticket *ticket = (tsh_ticket *)context;
  int pushed;

  (void)status;
  ticket->task->ticket = NULL;
  ticket->task = NULL;
  if (ticket->op->status != 0) {
    pushed = tsh_bind_fail(L, &ticket->op->err);
  } else {
    pushed = ticket->push(L, ticket->op); /* may raise: then __gc frees */
  }
  free_op(ticket);
  return pushed;
}

/* An operation that was started where nothing can wait for it. */

static void orphan_done(tsh_op *op) {
  tsh_state *state = op->user;

  state->pending--;
  op->free(op);
}

static void abandon(tsh_state *state, tsh_op *op) {
  op->user = state;
  op->done = orphan_done;
  state->pending++;
  if (op->cancel != NULL)
    op->cancel(op);
}

static int await_start(lua_State *L) {
  tsh_ticket *ticket = push_ticket(L, lua_touserdata(L, 1));

  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, ticket);
  return 1;
}

int tsh_bind_await(lua_State *L, tsh_op *op, tsh_bind_push push) {
  tsh_state *state = tsh_bind_state(L);
  tsh_task *task = tsh_task_of(L);
  tsh_ticket *ticket;

  /* Making the ticket may raise, and the operation has no owner until then. */
  if (task == NULL || !lua_isyieldable(L)) {
    abandon(state, op);
    waiting_task(L);
  }
  if (task->is_canceled) {
    abandon(state, op);
    return lua_yield(L, 0); /* for good */
  }
  lua_pushcfunction(L, await_start);
  lua_pushlightuserdata(L, task);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    abandon(state, op);
    return lua_error(L);
  }
  ticket = lua_touserdata(L, -1);
  ticket->op = op;
  ticket->push = push;
  op->done = op_done;
  op->user = ticket;
  state->pending++;
  if (lua_gettop(L) > 1) { /* the handle it works on stays alive meanwhile */
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, TICKET_VALUE);
  }
  task->ticket = ticket;
  return lua_yieldk(L, 0, (lua_KContext)ticket, await_end);
}

/* Tickets in Lua: the ground that joins, flags and queues stand on. */

static tsh_ticket *check_ticket(lua_State *L, int index) {
  return luaL_checkudata(L, index, metatable);
}

static int ticket_new(lua_State *L) {
  push_ticket(L, waiting_task(L));
  return 1;
}

static int park_end(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  lua_getiuservalue(L, 1, TICKET_VALUE);
  return 1;
}

/* park(ticket) -> the value it was woken with. */
static int ticket_park(lua_State *L) {
  tsh_ticket *ticket = check_ticket(L, 1);
  tsh_task *task = waiting_task(L);

  lua_settop(L, 1);
  if (task->is_canceled)
    return lua_yield(L, 0); /* for good */
  if (ticket->task == NULL) /* woken already */
    return park_end(L, LUA_OK, 0);
  if (ticket->task != task)
    return luaL_error(L, "this ticket belongs to another task");
  task->ticket = ticket;
  return lua_yieldk(L, 0, 0, park_end);
}

/* ticket:wake(value) -> whether somebody was woken by it. */
static int ticket_wake(lua_State *L) {
  tsh_ticket *ticket = check_ticket(L, 1);

  lua_settop(L, 2);
  if (ticket->op == NULL && ticket->task != NULL) {
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 1, TICKET_VALUE);
  }
  lua_pushboolean(L, ticket->op == NULL && tsh_ticket_wake(ticket));
  return 1;
}

static int ticket_is_live(lua_State *L) {
  lua_pushboolean(L, check_ticket(L, 1)->task != NULL);
  return 1;
}

static int ticket_gc(lua_State *L) {
  tsh_ticket *ticket = check_ticket(L, 1);

  if (ticket->is_done)
    free_op(ticket);
  return 0;
}

/* Timers: wake a ticket, with nil, after a time. */

typedef struct timer {
  tsh_timer *timer;
  tsh_ticket *ticket;
} timer;

static void timer_release(void *body) {
  timer *t = body;

  if (t->timer != NULL)
    tsh_timer_stop(t->timer);
}

static const tsh_class timer_class = {"timer", sizeof(timer), timer_release,
                                      NULL};

static void timer_fired(void *user) {
  timer *t = user;

  tsh_timer_stop(t->timer);
  t->timer = NULL;
  tsh_ticket_wake(t->ticket);
}

/* timer(ms, ticket) -> handle; close it when the wait is over. */
static int timer_new(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 1);
  tsh_ticket *ticket = check_ticket(L, 2);
  timer *t;

  lua_settop(L, 2);
  t = tsh_bind_new(L, &timer_class);
  t->ticket = ticket;
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, 1);
  t->timer = tsh_timer_start(tsh_bind_loop(L), ms < 0 ? 0 : (uint64_t)ms,
                             timer_fired, t);
  tsh_bind_opened(L, t);
  return 1;
}

static const luaL_Reg methods[] = {
    {"wake", ticket_wake}, {"is_live", ticket_is_live}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"ticket", ticket_new},
                                     {"park", ticket_park},
                                     {"timer", timer_new},
                                     {NULL, NULL}};

void tsh_ticket_register(lua_State *L) {
  luaL_newmetatable(L, metatable);
  lua_pushcfunction(L, ticket_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushstring(L, metatable);
  lua_setfield(L, -2, "__metatable");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  tsh_bind_class(L, &timer_class);
  luaL_setfuncs(L, functions, 0);
}
