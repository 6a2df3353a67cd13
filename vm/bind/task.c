/* vm.task: coroutines on the loop.
 *
 * A task is resumed from one place, run_task, and only when the loop's bell
 * says that some are ready: no event calls into Lua itself. A task that is
 * cancelled is not resumed with an error, which pcall could catch: it is never
 * resumed, and its coroutine is closed. Joins, flags and the like are the Lua
 * half's (task.lua). */
#include <string.h>
#include <uv.h>

#include "state.h"
#include "tranship/log.h"

static const char metatable[] = "task";

tsh_task *tsh_task_of(lua_State *L) {
  tsh_task *task = tsh_bind_state(L)->current;

  return task != NULL && task->co == L ? task : NULL;
}

/* The queue of those that run next. */

void tsh_task_ready(tsh_task *task) {
  tsh_state *state = task->state;

  if (task->is_ready || task->is_done)
    return;
  task->is_ready = true;
  task->next_ready = NULL;
  *state->ready_end = task;
  state->ready_end = &task->next_ready;
  tsh_bell_ring(state->bell);
}

static tsh_task *take_ready(tsh_state *state) {
  tsh_task *task = state->ready;

  state->ready = task->next_ready;
  if (state->ready == NULL)
    state->ready_end = &state->ready;
  task->is_ready = false;
  return task;
}

static void leave_ready(tsh_task *task) {
  tsh_state *state = task->state;
  tsh_task **at = &state->ready;

  if (!task->is_ready)
    return;
  while (*at != task)
    at = &(*at)->next_ready;
  *at = task->next_ready;
  if (state->ready_end == &task->next_ready)
    state->ready_end = at;
  task->is_ready = false;
}

/* Life of a task. */

/* Runs in the coroutine: turns what went wrong into an err value while the
 * stack that explains it is still there. */
static int explain(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  tsh_bind_push_bug(L, 1, lua_tostring(L, -1));
  return 1;
}

static int body_end(lua_State *L, int status, lua_KContext context) {
  tsh_task *task = tsh_bind_state(L)->current;
  tsh_err err;

  (void)context;
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - 1;
  task->is_failed = true;
  if (status == LUA_ERRMEM) {
    if (task->box != NULL)
      tsh_box_no_memory(task->box);
    tsh_err_set(&err, TSH_NO_MEMORY, "task", 0, "not enough memory");
    tsh_bind_push_err(L, &err);
  }
  return 1;
}

static int body(lua_State *L) {
  lua_pushcfunction(L, explain);
  lua_insert(L, 1);
  return body_end(
      L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_end), 0);
}

/* A child starts with a shallow copy of what its maker had. */
static void copy_locals(lua_State *L) {
  tsh_task *parent = tsh_bind_state(L)->current;

  lua_newtable(L);
  if (parent == NULL)
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, parent);
  lua_getiuservalue(L, -1, TASK_LOCALS);
  lua_remove(L, -2);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_pop(L, 1);
}

/* Limits are shared by all that a limited task starts. */
static void inherit_box(lua_State *L, tsh_task *task) {
  tsh_task *parent = task->state->current;

  if (parent == NULL || parent->box == NULL)
    return;
  task->box = parent->box;
  lua_rawgetp(L, LUA_REGISTRYINDEX, parent);
  lua_getiuservalue(L, -1, TASK_BOX);
  lua_remove(L, -2);
  lua_setiuservalue(L, -2, TASK_BOX);
}

tsh_task *tsh_task_spawn(lua_State *L, int arguments) {
  tsh_state *state = tsh_bind_state(L);
  tsh_task *task = lua_newuserdatauv(L, sizeof *task, TASK_VALUES);

  memset(task, 0, sizeof *task);
  task->state = state;
  task->is_done = true; /* until it is complete */
  luaL_setmetatable(L, metatable);
  task->co = lua_newthread(L);
  lua_sethook(task->co, NULL, 0, 0);
  lua_setiuservalue(L, -2, TASK_THREAD);
  copy_locals(L);
  lua_setiuservalue(L, -2, TASK_LOCALS);
  lua_newtable(L);
  lua_setiuservalue(L, -2, TASK_JOINERS);
  inherit_box(L, task);
  lua_insert(L, -2 - arguments);
  if (!lua_checkstack(task->co, arguments + 2))
    luaL_error(L, "too many arguments for a task");
  lua_pushcfunction(task->co, body);
  lua_xmove(L, task->co, arguments + 1);
  task->arguments = arguments + 1;
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, task);
  task->is_done = false;
  task->next = state->tasks;
  task->link = &state->tasks;
  if (task->next != NULL)
    task->next->link = &task->next;
  state->tasks = task;
  tsh_task_ready(task);
  return task;
}

void tsh_task_limit(lua_State *L, int task_index, int box_index) {
  tsh_task *task = lua_touserdata(L, task_index);

  task->box = lua_touserdata(L, box_index);
  lua_pushvalue(L, box_index);
  lua_setiuservalue(L, task_index, TASK_BOX);
}

/* Wakes who joins, and lets go of the task. */
static void finish(tsh_task *task, int results) {
  lua_State *L = task->state->L;

  task->is_done = true;
  task->results = results;
  *task->link = task->next;
  if (task->next != NULL)
    task->next->link = task->link;
  lua_rawgetp(L, LUA_REGISTRYINDEX, task);
  lua_getiuservalue(L, -1, TASK_JOINERS);
  for (int i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    tsh_ticket_wake(lua_touserdata(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, task);
}

void tsh_task_kill(tsh_task *task) {
  tsh_state *state = task->state;
  tsh_task *before = state->current;

  leave_ready(task);
  if (task->ticket != NULL)
    tsh_ticket_void(task->ticket);
  task->is_running = true; /* its own closers cannot cancel it again */
  state->current = task;
  tsh_box_grace(state, task->box, true);
  if (lua_resetthread(task->co) != LUA_OK)
    tsh_log(TSH_ERROR, "a closer failed while its task was cancelled: %s",
            luaL_tolstring(task->co, -1, NULL));
  lua_settop(task->co, 0);
  tsh_box_grace(state, task->box, false);
  state->current = before;
  tsh_box_enter(state, before != NULL ? before->box : NULL,
                before != NULL ? before->co : NULL);
  task->is_running = false;
  task->is_failed = true;
  lua_xmove(state->L, task->co, 1);
  finish(task, 1);
}

static void kill_with(tsh_task *task, const tsh_err *err) {
  tsh_bind_push_err(task->state->L, err);
  tsh_task_kill(task);
}

static void kill_canceled(tsh_task *task) {
  tsh_err err;

  tsh_err_set(&err, TSH_CANCELED, "task", 0, "canceled");
  kill_with(task, &err);
}

/* A task stopped without waiting for anything: it was cancelled while it ran,
 * ran into a limit, or yielded where only the scheduler may. */
static void stopped(tsh_task *task) {
  tsh_err err;

  if (task->is_canceled)
    tsh_err_set(&err, TSH_CANCELED, "task", 0, "canceled");
  else if (task->box == NULL || !tsh_box_exhausted(task->box, &err))
    tsh_err_set(&err, TSH_INVALID, "task", 0,
                "coroutine.yield in a task, outside a coroutine of its own");
  kill_with(task, &err);
}

static void run_task(tsh_task *task) {
  tsh_state *state = task->state;
  int arguments = task->arguments, results = 0, status;
  tsh_err err;

  task->arguments = 0;
  task->is_running = true;
  state->current = task;
  tsh_box_enter(state, task->box, task->co);
  status = lua_resume(task->co, state->L, arguments, &results);
  tsh_box_enter(state, NULL, NULL);
  state->current = NULL;
  task->is_running = false;
  if (status == LUA_YIELD) {
    lua_pop(task->co, results);
    if (task->ticket == NULL && !task->is_ready)
      stopped(task);
  } else if (task->box != NULL && tsh_box_exhausted(task->box, &err)) {
    kill_with(task, &err);
  } else {
    task->is_failed |= status != LUA_OK;
    finish(task, status == LUA_OK ? results : 1);
  }
}

void tsh_task_run_ready(tsh_state *state) {
  tsh_task *last = NULL;

  /* Only those ready now: what they make ready waits for the next turn of
   * the loop, so that events are served in between. */
  for (tsh_task *t = state->ready; t != NULL; t = t->next_ready)
    last = t;
  while (state->ready != NULL) {
    tsh_task *task = take_ready(state);

    run_task(task);
    if (task == last)
      break;
  }
}

void tsh_task_cancel_all(tsh_state *state) {
  while (state->tasks != NULL) {
    state->tasks->is_seen = true; /* the end of the program is no news */
    kill_canceled(state->tasks);
  }
}

/* The module. */

static tsh_task *check_task(lua_State *L, int index) {
  return luaL_checkudata(L, index, metatable);
}

static int task_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  tsh_task_spawn(L, lua_gettop(L) - 1);
  return 1;
}

static int task_now(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)tsh_loop_now(tsh_bind_loop(L)));
  return 1;
}

/* now_us() -> monotonic microseconds, for measurements. */
static int task_now_us(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)(uv_hrtime() / 1000));
  return 1;
}

static int task_locals(lua_State *L) {
  tsh_task *task = tsh_bind_state(L)->current;

  if (task == NULL)
    return luaL_error(L, "locals belong to a task, and none runs");
  lua_rawgetp(L, LUA_REGISTRYINDEX, task);
  lua_getiuservalue(L, -1, TASK_LOCALS);
  return 1;
}

static int task_running(lua_State *L) {
  tsh_task *task = tsh_bind_state(L)->current;

  if (task == NULL)
    lua_pushnil(L);
  else
    lua_rawgetp(L, LUA_REGISTRYINDEX, task);
  return 1;
}

static int task_cancel(lua_State *L) {
  tsh_task *task = check_task(L, 1);

  if (task->is_done)
    return 0;
  task->is_seen = true;
  if (task->is_running)
    task->is_canceled = true; /* it ends at its next wait */
  else
    kill_canceled(task);
  return 0;
}

static int task_is_done(lua_State *L) {
  lua_pushboolean(L, check_task(L, 1)->is_done);
  return 1;
}

/* task:tell(ticket): wakes the ticket when the task is done. */
static int task_tell(lua_State *L) {
  tsh_task *task = check_task(L, 1);

  luaL_checkudata(L, 2, "ticket");
  if (task->is_done)
    return luaL_error(L, "the task is done already");
  if (task->is_running)
    return luaL_error(L, "a task cannot wait for itself");
  lua_getiuservalue(L, 1, TASK_JOINERS);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  return 0;
}

/* task:outcome() -> true, results... | nil, err, of a task that is done. */
static int task_outcome(lua_State *L) {
  tsh_task *task = check_task(L, 1);

  if (!task->is_done)
    return luaL_error(L, "the task is not done");
  task->is_seen = true;
  luaL_checkstack(L, task->results + 1, "results of a task");
  if (task->is_failed)
    lua_pushnil(L);
  else
    lua_pushboolean(L, 1);
  for (int i = 0; i < task->results; i++)
    lua_pushvalue(task->co, -task->results);
  lua_xmove(task->co, L, task->results);
  return task->results + 1;
}

static int task_tostring(lua_State *L) {
  tsh_task *task = check_task(L, 1);

  lua_pushfstring(L, "task (%s)",
                  !task->is_done    ? "live"
                  : task->is_failed ? "failed"
                                    : "done");
  return 1;
}

/* Nobody asked how it ended, and nobody can any more. */
static int task_gc(lua_State *L) {
  tsh_task *task = check_task(L, 1);

  if (!task->is_failed || task->is_seen)
    return 0;
  lua_getiuservalue(L, 1, TASK_THREAD);
  lua_pushvalue(task->co, -1);
  lua_xmove(task->co, L, 1);
  if (lua_getfield(L, -1, "traceback") == LUA_TSTRING)
    tsh_log(TSH_ERROR, "uncaught in a task nobody joined: %s\n%s",
            luaL_tolstring(L, -2, NULL), lua_tostring(L, -1));
  else
    tsh_log(TSH_ERROR, "uncaught in a task nobody joined: %s",
            luaL_tolstring(L, -2, NULL));
  return 0;
}

static const luaL_Reg methods[] = {
    {"cancel", task_cancel},   {"close", task_cancel},    {"tell", task_tell},
    {"is_done", task_is_done}, {"outcome", task_outcome}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__close", task_cancel},
                                       {"__gc", task_gc},
                                       {"__tostring", task_tostring},
                                       {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"spawn", task_spawn},   {"now", task_now},         {"now_us", task_now_us},
    {"locals", task_locals}, {"running", task_running}, {NULL, NULL}};

int luaopen_vm_task(lua_State *L) {
  luaL_newmetatable(L, metatable);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushstring(L, metatable);
  lua_setfield(L, -2, "__metatable");
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  luaL_newlib(L, functions);
  lua_insert(L, -2);
  lua_setfield(L, -2, "methods"); /* for the Lua half, which adds join */
  tsh_ticket_register(L);
  return 1;
}
