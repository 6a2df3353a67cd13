/* One Lua state on one loop: its allocator, its modules, its main task.
 *
 * C calls up once, to run a file of the library; everything after that goes
 * through the scheduler (bind/task.c). */
#include "tranship/host.h"

#include <assert.h>
#include <errno.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/state.h"
#include "library.h"
#include "tranship/log.h"

struct tsh_host {
  tsh_state state; /* first: Lua's extra space points here */
};

#define X(name) int luaopen_vm_##name(lua_State *L);
#include "bind/modules.h"
#undef X

static const luaL_Reg modules[] = {
#define X(name) {"vm." #name, luaopen_vm_##name},
#include "bind/modules.h"
#undef X
    {NULL, NULL}};

/* Memory. Growth is counted, and refused where a box says so. */
static void *allocate(void *user, void *p, size_t old_size, size_t new_size) {
  tsh_state *state = user;
  void *moved;

  if (p == NULL)
    old_size = 0; /* Lua passes the kind of object here */
  if (new_size == 0) {
    free(p);
    state->used -= old_size;
    return NULL;
  }
  if (new_size > old_size && state->box != NULL &&
      !tsh_box_allows(state->box, state->used, new_size - old_size))
    return NULL;
  moved = realloc(p, new_size);
  if (moved != NULL)
    state->used += new_size - old_size;
  return moved;
}

/* Modules. */

static const char *push_path(lua_State *L, const char *module) {
  luaL_gsub(L, module, ".", "/");
  lua_pushliteral(L, ".lua");
  lua_concat(L, 2);
  return lua_tostring(L, -1);
}

static int search_library(lua_State *L) {
  const char *module = luaL_checkstring(L, 1);
  const char *path = push_path(L, module);

  if (strncmp(module, "vm.", 3) == 0 || !tsh_library_load(L, path)) {
    lua_pushfstring(L, "no '%s' in the library", path);
    return 1;
  }
  lua_pushfstring(L, "stdlib/%s", path);
  return 2;
}

/* Opens a C module and lets its Lua half, if it has one, complete it. */
static int open_module(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_CFunction open = lua_tocfunction(L, lua_upvalueindex(1));
  const char *path = push_path(L, name);

  lua_pushcfunction(L, open);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  if (!tsh_library_load(L, path))
    return 1;
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  return 1;
}

static void set_up_require(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const luaL_Reg *module = modules; module->name != NULL; module++) {
    lua_pushcfunction(L, module->func);
    lua_pushcclosure(L, open_module, 1);
    lua_setfield(L, -2, module->name);
  }
  lua_pop(L, 1);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_pushcfunction(L, search_library);
  lua_rawseti(L, -2, 2);
  for (lua_Integer i = luaL_len(L, -1); i > 2; i--) {
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 1);
  for (const char *const *name =
           (const char *const[]){"path", "cpath", "loadlib", NULL};
       *name != NULL; name++) {
    lua_pushliteral(L, "");
    lua_setfield(L, -2, *name);
  }
  lua_pop(L, 1);
}

static int set_up(lua_State *L) {
  luaL_openlibs(L);
  tsh_sandbox_close_strings(L);
  set_up_require(L);
  /* Errors and tasks are there before anybody requires them. */
  lua_getglobal(L, "require");
  lua_pushliteral(L, "vm.err");
  lua_call(L, 1, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "vm.task");
  lua_call(L, 1, 0);
  return 0;
}

/* Opening and closing. */

static void rung(void *user) { tsh_task_run_ready(user); }

/* Moves the error on top of the stack into `err`; a traceback, if it has one,
 * is for those who debug us. */
static int take_error(lua_State *L, tsh_err *err) {
  tsh_err_set(err, TSH_INVALID, "host", 0, "%s", luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "traceback");
    if (lua_isstring(L, -1))
      tsh_log(TSH_DEBUG, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return TSH_INVALID;
}

int tsh_host_open(tsh_host **out, const char *stdlib, tsh_err *err) {
  tsh_host *host = calloc(1, sizeof *host);
  tsh_state *state = &host->state;
  int rc;

  if (host == NULL)
    return tsh_err_set(err, TSH_NO_MEMORY, "host", 0, "no memory");
  rc = tsh_loop_open(&state->loop, err);
  if (rc != 0) {
    free(host);
    return rc;
  }
  state->bell = tsh_bell_open(state->loop, rung, state);
  tsh_bell_unref(state->bell);
  state->ready_end = &state->ready;
  state->stdlib = stdlib;
  state->L = lua_newstate(allocate, state);
  if (state->L == NULL) {
    tsh_host_close(host);
    return tsh_err_set(err, TSH_NO_MEMORY, "host", 0, "no memory");
  }
  *(tsh_state **)lua_getextraspace(state->L) = state;
  lua_pushcfunction(state->L, set_up);
  if (lua_pcall(state->L, 0, 0, 0) != LUA_OK) {
    rc = take_error(state->L, err);
    tsh_host_close(host);
    return rc;
  }
  *out = host;
  return 0;
}

static void free_census(tsh_state *state) {
  while (state->classes != NULL) {
    tsh_census *census = state->classes;

    state->classes = census->next;
    free(census);
  }
}

void tsh_host_close(tsh_host *host) {
  tsh_state *state = &host->state;

  if (state->L != NULL) {
    tsh_task_cancel_all(state);
    while (state->pending > 0)
      tsh_loop_turn(state->loop);
    state->is_closing = true;
    lua_close(state->L);
  }
  while (state->reaps > 0)
    tsh_loop_turn(state->loop);
  tsh_bell_close(state->bell);
  tsh_loop_close(state->loop);
  free_census(state);
  free(host);
}

#ifndef TRANSHIP_FREES_ALL
static bool has_open(const tsh_state *state) {
  for (const tsh_census *c = state->classes; c != NULL; c = c->next)
    if (c->open > 0)
      return true;
  return state->tasks != NULL || state->pending > 0 || state->reaps > 0;
}
#endif

void tsh_host_leave(tsh_host *host) {
#ifndef TRANSHIP_FREES_ALL
  if (!has_open(&host->state))
    return;
#endif
  tsh_host_close(host);
}

/* Running. */

/* Serves events until `task` is done. A loop with nothing left to wait for
 * would wait for ever: then the task is ended with an error. */
static void serve(tsh_state *state, const tsh_task *task) {
  tsh_err err;

  while (!task->is_done) {
    if (tsh_loop_turn(state->loop) || task->is_done)
      continue;
    if (state->ready != NULL) { /* the bell alone does not turn the loop */
      tsh_task_run_ready(state);
      continue;
    }
    tsh_err_set(&err, TSH_INVALID, "task", 0,
                "deadlock: every task waits for another one");
    tsh_bind_push_err(state->L, &err);
    tsh_task_kill((tsh_task *)task);
  }
}

/* Runs the function below `arguments` values; leaves the outcome on the stack:
 * true and one value, or nil and an err. */
static void run(tsh_state *state, int arguments) {
  lua_State *L = state->L;
  tsh_task *task = tsh_task_spawn(L, arguments);
  int at = lua_gettop(L);

  serve(state, task);
  lua_getfield(L, at, "outcome");
  lua_insert(L, at);
  lua_call(L, 1, 2);
}

/* Events use the main thread's stack while it serves them. */
enum { STACK_OF_EVENTS = 64 };

/* Protected bodies, as opening a chunk and making a task may raise. */

struct program {
  tsh_state *state;
  const char *path, *text, *chunk_name;
  size_t length;
  int argc;
  char **argv;
  const tsh_buf *values;
};

static int run_protected(lua_State *L) {
  struct program *program = lua_touserdata(L, 1);

  luaL_checkstack(L, program->argc + STACK_OF_EVENTS, "arguments");
  if (program->path != NULL) {
    if (!tsh_library_load(L, program->path))
      return luaL_error(L, "no '%s' in the library", program->path);
  } else if (luaL_loadbufferx(L, program->text, program->length,
                              program->chunk_name, "t") != LUA_OK) {
    return lua_error(L);
  }
  for (int i = 0; i < program->argc; i++) {
    if (program->argv != NULL)
      lua_pushstring(L, program->argv[i]);
    else
      lua_pushlstring(L, tsh_buf_text(&program->values[i]),
                      program->values[i].length);
  }
  run(program->state, program->argc);
  if (lua_isnil(L, -2))
    return lua_error(L);
  return 1;
}

static int run_program(tsh_host *host, struct program *program, tsh_err *err) {
  lua_State *L = host->state.L;

  program->state = &host->state;
  lua_pushcfunction(L, run_protected);
  lua_pushlightuserdata(L, program);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK)
    return take_error(L, err);
  return 0;
}

int tsh_host_run(tsh_host *host, const char *path, int argc, char **argv,
                 int *code, tsh_err *err) {
  struct program program = {.path = path, .argc = argc, .argv = argv};
  int rc = run_program(host, &program, err);

  if (rc != 0)
    return rc;
  *code = (int)lua_tointeger(host->state.L, -1);
  lua_pop(host->state.L, 1);
  return 0;
}

int tsh_host_eval(tsh_host *host, const char *text, size_t length,
                  const char *chunk_name, int argc, const tsh_buf *argv,
                  tsh_buf *result, tsh_err *err) {
  struct program program = {.text = text,
                            .length = length,
                            .argc = argc,
                            .chunk_name = chunk_name,
                            .values = argv};
  int rc = run_program(host, &program, err);
  const char *value;

  if (rc != 0)
    return rc;
  value = lua_tolstring(host->state.L, -1, &length);
  if (value != NULL)
    tsh_buf_add(result, value, length);
  else
    rc = tsh_err_set(err, TSH_INVALID, "host", 0, "%s returned no string",
                     chunk_name);
  lua_pop(host->state.L, 1);
  return rc;
}
