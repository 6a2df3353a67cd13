/* vm.mirror: the copier, its flows and what it tells of them.
 *
 * Records never come up here: Lua sees positions, counts, segments and
 * reasons, some tens of times a second at most for each flow. */
#include "tranship/mirror.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "tranship/batch.h"

enum { TOPIC_ID_BYTES = 16, TOPIC_ID_TEXT = 22, FILLER_MOST = 1000000 };

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

static const luaL_Reg copier_methods[] = {{"start", copier_start},
                                          {"stop", copier_stop},
                                          {"next", copier_next},
                                          {"resume", copier_resume},
                                          {NULL, NULL}};

static void copier_release(void *body);

static const tsh_class copier_class = {"mirror.copier", sizeof(copier),
                                       copier_release, copier_methods};

static copier *check_copier(lua_State *L) {
  return tsh_bind_check(L, 1, &copier_class);
}

/* --- waiting ----------------------------------------------------------------
 */

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

/* --- opening and closing ----------------------------------------------------
 */

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

/* open{ memory, progress_ms, timeout_ms } -> copier. Never waits. */
static int mirror_open(lua_State *L) {
  static const char *const names[] = {"memory", "progress_ms", "timeout_ms",
                                      NULL};
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

/* --- flows ------------------------------------------------------------------
 */

static lua_Integer whole(lua_State *L, int index, const char *name,
                         lua_Integer fallback, lua_Integer least,
                         lua_Integer most) {
  lua_Integer value = tsh_bind_opt_integer(L, index, name, fallback);

  if (value < least || value > most)
    luaL_error(L, "option '%s' is out of its range", name);
  return value;
}

static const char *text(lua_State *L, int index, const char *name) {
  const char *value = tsh_bind_opt_string(L, index, name, NULL);

  if (value == NULL)
    luaL_error(L, "option '%s' is missing", name);
  return value;
}

/* Ids are shown in base64 without padding: by Kafka in the alphabet for URLs,
 * by librdkafka in the other. */
static int digit_value(char digit) {
  static const char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/";
  const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
  int value = at != NULL ? (int)(at - digits) : -1;

  return value > 63 ? value - 2 : value;
}

/* 16 bytes, or text for them. */
static void read_topic_id(lua_State *L, int index, tsh_mirror_flow *flow) {
  size_t size;
  const char *id;
  uint32_t bits = 0;
  int filled = 0, at = 0;

  if (lua_getfield(L, index, "topic_id") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  id = luaL_checklstring(L, -1, &size);
  flow->has_topic_id = true;
  if (size == TOPIC_ID_BYTES) {
    memcpy(flow->topic_id, id, size);
  } else {
    for (size_t i = 0; i < size && at < TOPIC_ID_BYTES; i++) {
      int value = digit_value(id[i]);

      if (value < 0 || size != TOPIC_ID_TEXT)
        break;
      bits = bits << 6 | (uint32_t)value;
      if ((filled += 6) >= 8)
        flow->topic_id[at++] = (uint8_t)(bits >> (filled -= 8));
    }
    if (at != TOPIC_ID_BYTES)
      luaL_error(L, "'%s' is no id of a topic", id);
  }
  lua_pop(L, 1); /* the table keeps it alive */
}

static void read_side(lua_State *L, tsh_mirror_side *side) {
  side->host = text(L, -1, "host");
  side->port = (uint16_t)whole(L, -1, "port", 0, 1, UINT16_MAX);
  side->topic = text(L, -1, "topic");
  side->partition = (int32_t)whole(L, -1, "partition", -1, 0, INT32_MAX);
}

static void read_source(lua_State *L, int index, tsh_mirror_flow *flow) {
  static const char *const names[] = {"host",       "port",     "topic",
                                      "partition",  "topic_id", "leader_epoch",
                                      "last_epoch", NULL};

  lua_getfield(L, index, "source");
  tsh_bind_options(L, -1, names);
  read_side(L, &flow->source);
  read_topic_id(L, lua_gettop(L), flow);
  flow->leader_epoch = (int32_t)whole(L, -1, "leader_epoch", -1, -1, INT32_MAX);
  flow->last_epoch = (int32_t)whole(L, -1, "last_epoch", -1, -1, INT32_MAX);
  lua_pop(L, 1);
}

static void read_target(lua_State *L, int index, tsh_mirror_flow *flow) {
  static const char *const names[] = {"host", "port", "topic", "partition",
                                      NULL};

  lua_getfield(L, index, "target");
  tsh_bind_options(L, -1, names);
  read_side(L, &flow->target);
  lua_pop(L, 1);
}

static void read_positions(lua_State *L, int index, tsh_mirror_flow *flow) {
  flow->same = tsh_bind_opt_boolean(L, index, "same", false);
  flow->source_offset = whole(L, index, "source_offset", -1, 0, INT64_MAX);
  flow->target_offset = whole(L, index, "target_offset", -1, 0, INT64_MAX);
  flow->log_end =
      whole(L, index, "log_end", -1, flow->target_offset, INT64_MAX);
  flow->until_offset = whole(L, index, "until_offset", -1, -1, INT64_MAX);
  flow->producer_id = whole(L, index, "producer_id", -1, -1, INT64_MAX);
  flow->producer_epoch =
      (int16_t)whole(L, index, "producer_epoch", -1, -1, INT16_MAX);
  flow->sequence = (int32_t)whole(L, index, "sequence", 0, 0, INT32_MAX);
  flow->max_batch_bytes =
      (size_t)whole(L, index, "max_batch_bytes", 0, 0, INT32_MAX);
  if (tsh_bind_opt_boolean(L, index, "no_producer_id", false))
    flow->producer_id = -1;
  else if (flow->producer_id < 0 || flow->producer_epoch < 0)
    luaL_error(L, "a producer id and epoch are missing");
}

/* copier:start{...} -> true */
static int copier_start(lua_State *L) {
  static const char *const names[] = {"id",
                                      "source",
                                      "target",
                                      "same",
                                      "source_offset",
                                      "target_offset",
                                      "log_end",
                                      "until_offset",
                                      "producer_id",
                                      "producer_epoch",
                                      "sequence",
                                      "max_batch_bytes",
                                      "no_producer_id",
                                      NULL};
  copier *c = check_copier(L);
  tsh_mirror_flow flow = {0};
  tsh_err err;

  tsh_bind_options(L, 2, names);
  flow.id = text(L, 2, "id");
  read_source(L, 2, &flow);
  read_target(L, 2, &flow);
  read_positions(L, 2, &flow);
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
  resume.target_offset = whole(L, 3, "target_offset", -1, 0, INT64_MAX);
  resume.producer_epoch =
      (int32_t)whole(L, 3, "producer_epoch", -1, -1, INT16_MAX);
  resume.sequence = (int32_t)whole(L, 3, "sequence", -1, -1, INT32_MAX);
  if (tsh_mirror_go_on(c->mirror, &resume, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* --- events -----------------------------------------------------------------
 */

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/* Only what is known is there. */
static void set_known(lua_State *L, const char *name, int64_t value) {
  if (value >= 0)
    set_integer(L, name, value);
}

static void set_segments(lua_State *L, const tsh_mirror_event *event) {
  lua_createtable(L, (int)event->segment_count, 0);
  for (size_t i = 0; i < event->segment_count; i++) {
    lua_createtable(L, 0, 3);
    set_integer(L, "source", event->segments[i].source);
    set_integer(L, "target", event->segments[i].target);
    set_integer(L, "count", event->segments[i].count);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "segments");
}

static void set_stop(lua_State *L, const tsh_mirror_event *event) {
  lua_pushstring(L, tsh_mirror_reason_name(event->reason));
  lua_setfield(L, -2, "reason");
  if (event->err.kind != TSH_OK) {
    tsh_bind_fail(L, &event->err);
    lua_remove(L, -2);
    lua_setfield(L, -2, "err");
  }
  set_known(L, "log_start", event->log_start);
  set_known(L, "log_end", event->log_end);
  set_known(L, "expected", event->expected);
  set_known(L, "got", event->got);
  set_known(L, "diverging_epoch", event->diverging_epoch);
}

static void push_event(lua_State *L, const tsh_mirror_event *event) {
  static const char *const kinds[] = {"progress", "hole", "stopped"};

  lua_createtable(L, 0, 16);
  lua_pushstring(L, kinds[event->kind]);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, event->id);
  lua_setfield(L, -2, "id");
  set_integer(L, "source_offset", event->source_offset);
  set_integer(L, "target_offset", event->target_offset);
  set_integer(L, "sequence", event->sequence);
  set_known(L, "source_epoch", event->source_epoch);
  set_known(L, "source_end", event->source_end);
  if (event->kind == TSH_MIRROR_HOLE) {
    set_integer(L, "from", event->from);
    set_integer(L, "to", event->to);
    return;
  }
  set_integer(L, "records", event->records);
  set_integer(L, "bytes", event->bytes);
  set_segments(L, event);
  if (event->kind == TSH_MIRROR_STOPPED)
    set_stop(L, event);
}

static int push_events(lua_State *L, tsh_op *op) {
  lua_Integer count = 0;

  lua_newtable(L);
  for (const tsh_mirror_event *event = ((wait *)op)->events; event != NULL;
       event = event->next) {
    push_event(L, event);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static int push_stopped(lua_State *L, tsh_op *op) {
  const tsh_mirror_event *event = ((wait *)op)->events;

  if (event->err.kind == TSH_NOT_FOUND && event->err.code == 0)
    return tsh_bind_fail(L, &event->err);
  push_event(L, event);
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

/* --- filler -----------------------------------------------------------------
 */

static int bytes_gc(lua_State *L) {
  uint8_t **bytes = lua_touserdata(L, 1);

  free(*bytes);
  *bytes = NULL;
  return 0;
}

/* Pushes a place for bytes that are freed with it, also past a raise. */
static uint8_t **push_keeper(lua_State *L) {
  uint8_t **bytes = lua_newuserdatauv(L, sizeof *bytes, 0);

  *bytes = NULL;
  if (luaL_newmetatable(L, "mirror.bytes")) {
    lua_pushcfunction(L, bytes_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return bytes;
}

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
  count = (int32_t)whole(L, 1, "count", 0, 1, FILLER_MOST);
  keyed = tsh_bind_opt_boolean(L, 1, "keyed", false);
  timestamp = whole(L, 1, "timestamp", 0, 0, INT64_MAX);
  stamp.producer_id = whole(L, 1, "producer_id", -1, -1, INT64_MAX);
  stamp.producer_epoch =
      (int16_t)whole(L, 1, "producer_epoch", -1, -1, INT16_MAX);
  stamp.sequence = (int32_t)whole(L, 1, "sequence", -1, -1, INT32_MAX);
  bytes = push_keeper(L);
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
