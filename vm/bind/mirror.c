/* vm.mirror: the copier, its flows and what it tells of them.
 *
 * Records never come up here: Lua sees positions, counts, segments and
 * reasons, some tens of times a second at most for each flow. */
#include "tranship/mirror.h"

#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "mirror_tables.h"
#include "tranship/batch.h"

enum { FILLER_MOST = 1000000 };

typedef struct copier copier;

/* A task that waits: for events, or for the answer to a stop. */
typedef struct wait {
  tsh_op op;
  copier *copier; /* NULL: closed, or done */
  char *id;       /* of a stop */
  tsh_mirror_event *events;
  struct wait *next;
} wait;

struct copier {
  lua_State *L; /* the main one: it outlives every handle */
  tsh_mirror *mirror;
  tsh_bell *bell;
  wait *waits;
};

static int copier_start(lua_State *L);
static int copier_stop(lua_State *L);
static int copier_next(lua_State *L);
static int copier_resume(lua_State *L);
static int copier_usage(lua_State *L);

static const luaL_Reg copier_methods[] = {
    {"start", copier_start},   {"stop", copier_stop},   {"next", copier_next},
    {"resume", copier_resume}, {"usage", copier_usage}, {NULL, NULL}};

static void copier_release(void *body);

static const tsh_class copier_class = {"mirror.copier", sizeof(copier),
                                       copier_release, copier_methods};

static copier *check_copier(lua_State *L) {
  return tsh_bind_check(L, 1, &copier_class);
}

/* --- waiting --- */

static void wait_free(tsh_op *op) {
  wait *w = (wait *)op;

  for (tsh_mirror_event *next; w->events != NULL; w->events = next) {
    next = w->events->next;
    tsh_mirror_event_free(w->events);
  }
  free(w->id);
  free(w);
}

static void wait_end(wait *w, int status) {
  wait **at = &w->copier->waits;

  while (*at != w)
    at = &(*at)->next;
  *at = w->next;
  w->copier = NULL;
  w->op.status = status;
  w->op.done(&w->op);
}

static void wait_cancel(tsh_op *op) {
  wait *w = (wait *)op;

  if (w->copier != NULL)
    wait_end(w, tsh_err_set(&op->err, TSH_CANCELED, "mirror", 0, "canceled"));
}

/* Events that nobody waits for stay in the core, where they are merged. */
static void rung(void *user) {
  copier *c = user;
  wait *next;

  for (wait *w = c->waits; w != NULL; w = next) {
    next = w->next;
    w->events = w->id != NULL ? tsh_mirror_take_stopped(c->mirror, w->id)
                              : tsh_mirror_take(c->mirror);
    if (w->events != NULL)
      wait_end(w, 0);
  }
}

static void ring(void *user) { tsh_bell_ring(user); }

static wait *wait_new(lua_State *L, copier *c, const char *id) {
  wait *w = calloc(1, sizeof *w);

  if (w == NULL || (id != NULL && (w->id = strdup(id)) == NULL)) {
    free(w);
    luaL_error(L, "not enough memory");
    return NULL;
  }
  w->op.cancel = wait_cancel;
  w->op.free = wait_free;
  w->copier = c;
  w->next = c->waits;
  c->waits = w;
  tsh_bell_ring(c->bell); /* what is there already */
  return w;
}

/* --- opening and closing --- */

static void close_mirror(void *p) { tsh_mirror_close(p); }

static void copier_release(void *body) {
  copier *c = body;

  while (c->waits != NULL)
    wait_end(c->waits, tsh_err_set(&c->waits->op.err, TSH_CLOSED, "mirror", 0,
                                   "the copier was closed"));
  tsh_mirror_mute(c->mirror);
  tsh_bell_close(c->bell);
  tsh_bind_reap(c->L, close_mirror, c->mirror); /* joins a thread */
}

/* open{ memory, rate, workers, progress_ms, timeout_ms } -> copier. Never
 * waits. */
static int mirror_open(lua_State *L) {
  static const char *const names[] = {"memory",      "rate",       "workers",
                                      "progress_ms", "timeout_ms", NULL};
  tsh_mirror_options options = {.rung = ring};
  tsh_err err;
  copier *c;

  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  tsh_bind_options(L, 1, names);
  options.memory = (size_t)tsh_bind_opt_integer(L, 1, "memory", 0);
  options.rate = tsh_bind_opt_range(L, 1, "rate", 0, 0, INT64_C(1) << 40);
  options.workers = (size_t)tsh_bind_opt_range(L, 1, "workers", 0, 0, 16);
  options.progress_ms = (uint32_t)tsh_bind_opt_integer(L, 1, "progress_ms", 0);
  options.timeout_ms = (uint32_t)tsh_bind_opt_integer(L, 1, "timeout_ms", 0);
  c = tsh_bind_new(L, &copier_class);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  c->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  c->bell = tsh_bell_open(tsh_bind_loop(L), rung, c);
  tsh_bell_unref(c->bell);
  options.user = c->bell;
  if (tsh_mirror_open(&c->mirror, &options, &err) != 0) {
    tsh_bell_close(c->bell);
    return tsh_bind_fail(L, &err);
  }
  tsh_bind_opened(L, c);
  return 1;
}

/* --- flows --- */

/* copier:start{...} -> true */
static int copier_start(lua_State *L) {
  copier *c = check_copier(L);
  tsh_mirror_flow flow = {0};
  tsh_err err;

  tsh_bind_read_flow(L, 2, &flow);
  if (tsh_mirror_start(c->mirror, &flow, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* copier:resume(id, { target_offset, producer_epoch, sequence }) -> true */
static int copier_resume(lua_State *L) {
  static const char *const names[] = {"target_offset", "producer_epoch",
                                      "sequence", NULL};
  copier *c = check_copier(L);
  tsh_mirror_resume resume = {.id = luaL_checkstring(L, 2)};
  tsh_err err;

  tsh_bind_options(L, 3, names);
  resume.target_offset =
      tsh_bind_opt_range(L, 3, "target_offset", -1, 0, INT64_MAX);
  resume.producer_epoch =
      (int32_t)tsh_bind_opt_range(L, 3, "producer_epoch", -1, -1, INT16_MAX);
  resume.sequence =
      (int32_t)tsh_bind_opt_range(L, 3, "sequence", -1, -1, INT32_MAX);
  if (tsh_mirror_go_on(c->mirror, &resume, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* copier:usage() -> { memory, memory_limit, connections, throttled_ms } */
static int copier_usage(lua_State *L) {
  tsh_mirror_usage usage = tsh_mirror_use(check_copier(L)->mirror);

  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)usage.memory);
  lua_setfield(L, -2, "memory");
  lua_pushinteger(L, (lua_Integer)usage.memory_limit);
  lua_setfield(L, -2, "memory_limit");
  lua_pushinteger(L, (lua_Integer)usage.connections);
  lua_setfield(L, -2, "connections");
  lua_pushinteger(L, (lua_Integer)usage.throttled_ms);
  lua_setfield(L, -2, "throttled_ms");
  return 1;
}

/* --- events --- */

static int push_events(lua_State *L, tsh_op *op) {
  lua_Integer count = 0;

  lua_newtable(L);
  for (const tsh_mirror_event *event = ((wait *)op)->events; event != NULL;
       event = event->next) {
    tsh_bind_push_mirror_event(L, event);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static int push_stopped(lua_State *L, tsh_op *op) {
  const tsh_mirror_event *event = ((wait *)op)->events;

  if (event->err.kind == TSH_NOT_FOUND && event->err.code == 0)
    return tsh_bind_fail(L, &event->err);
  tsh_bind_push_mirror_event(L, event);
  return 1;
}

/* copier:next() -> events | nil, err */
static int copier_next(lua_State *L) {
  copier *c = check_copier(L);

  for (wait *w = c->waits; w != NULL; w = w->next)
    if (w->id == NULL)
      return luaL_error(L, "another task waits for these events");
  return tsh_bind_await(L, &wait_new(L, c, NULL)->op, push_events);
}

/* copier:stop(id) -> the flow's last event | nil, err */
static int copier_stop(lua_State *L) {
  copier *c = check_copier(L);
  const char *id = luaL_checkstring(L, 2);
  tsh_err err;
  wait *w = wait_new(L, c, id);

  if (tsh_mirror_stop(c->mirror, id, &err) != 0) {
    c->waits = w->next; /* the newest is the first */
    wait_free(&w->op);
    return tsh_bind_fail(L, &err);
  }
  return tsh_bind_await(L, &w->op, push_stopped);
}

/* --- filler --- */

/* filler{ count, keyed, timestamp, producer_id, producer_epoch, sequence }
 * -> one batch of empty records, for Produce */
static int mirror_filler(lua_State *L) {
  static const char *const names[] = {
      "count",          "keyed",    "timestamp", "producer_id",
      "producer_epoch", "sequence", NULL};
  tsh_stamp stamp = {0};
  uint8_t **bytes;
  size_t size;
  tsh_err err;
  int32_t count;
  int keyed;
  int64_t timestamp;

  tsh_bind_options(L, 1, names);
  count = (int32_t)tsh_bind_opt_range(L, 1, "count", 0, 1, FILLER_MOST);
  keyed = tsh_bind_opt_boolean(L, 1, "keyed", false);
  timestamp = tsh_bind_opt_range(L, 1, "timestamp", 0, 0, INT64_MAX);
  stamp.producer_id =
      tsh_bind_opt_range(L, 1, "producer_id", -1, -1, INT64_MAX);
  stamp.producer_epoch =
      (int16_t)tsh_bind_opt_range(L, 1, "producer_epoch", -1, -1, INT16_MAX);
  stamp.sequence =
      (int32_t)tsh_bind_opt_range(L, 1, "sequence", -1, -1, INT32_MAX);
  bytes = tsh_bind_bytes(L);
  if (tsh_batch_filler(count, keyed, timestamp, &stamp, bytes, &size, &err) !=
      0)
    return tsh_bind_fail(L, &err);
  lua_pushlstring(L, (const char *)*bytes, size);
  return 1;
}

static const luaL_Reg functions[] = {
    {"open", mirror_open}, {"filler", mirror_filler}, {NULL, NULL}};

int luaopen_vm_mirror(lua_State *L);

int luaopen_vm_mirror(lua_State *L) {
  tsh_bind_class(L, &copier_class);
  luaL_newlib(L, functions);
  return 1;
}
