/* The copier's structures as Lua tables: flows on the way in, events on the
 * way out. */
#include "mirror_tables.h"

#include <string.h>

#include "wire_login.h"

enum { TOPIC_ID_BYTES = 16, TOPIC_ID_TEXT = 22 };

/* --- flows --- */

lua_Integer tsh_bind_opt_range(lua_State *L, int index, const char *name,
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
  side->port = (uint16_t)tsh_bind_opt_range(L, -1, "port", 0, 1, UINT16_MAX);
  side->login = tsh_bind_opt_login(L, lua_gettop(L));
  side->topic = text(L, -1, "topic");
  side->partition =
      (int32_t)tsh_bind_opt_range(L, -1, "partition", -1, 0, INT32_MAX);
}

static void read_source(lua_State *L, int index, tsh_mirror_flow *flow) {
  static const char *const names[] = {"host",       "port",     "topic",
                                      "partition",  "topic_id", "leader_epoch",
                                      "last_epoch", "login",    NULL};

  lua_getfield(L, index, "source");
  tsh_bind_options(L, -1, names);
  read_side(L, &flow->source);
  read_topic_id(L, lua_gettop(L), flow);
  flow->leader_epoch =
      (int32_t)tsh_bind_opt_range(L, -1, "leader_epoch", -1, -1, INT32_MAX);
  flow->last_epoch =
      (int32_t)tsh_bind_opt_range(L, -1, "last_epoch", -1, -1, INT32_MAX);
  lua_pop(L, 1);
}

static void read_target(lua_State *L, int index, tsh_mirror_flow *flow) {
  static const char *const names[] = {"host",      "port",  "topic",
                                      "partition", "login", NULL};

  lua_getfield(L, index, "target");
  tsh_bind_options(L, -1, names);
  read_side(L, &flow->target);
  lua_pop(L, 1);
}

static void read_producer(lua_State *L, tsh_mirror_producer *out) {
  static const char *const names[] = {
      "source_id", "transactional_id", "host",  "port", "id",
      "epoch",     "sequence",         "since", NULL};

  tsh_bind_options(L, -1, names);
  out->source_id = tsh_bind_opt_range(L, -1, "source_id", -1, 0, INT64_MAX);
  out->transactional_id = text(L, -1, "transactional_id");
  out->host = text(L, -1, "host");
  out->port = (uint16_t)tsh_bind_opt_range(L, -1, "port", 0, 1, UINT16_MAX);
  out->id = tsh_bind_opt_range(L, -1, "id", -1, 0, INT64_MAX);
  out->epoch = (int16_t)tsh_bind_opt_range(L, -1, "epoch", -1, 0, INT16_MAX);
  out->sequence =
      (int32_t)tsh_bind_opt_range(L, -1, "sequence", 0, 0, INT32_MAX);
  out->since = tsh_bind_opt_range(L, -1, "since", -1, -1, INT64_MAX);
}

/* A userdatum on the stack keeps the list until the flow is started. */
static void read_producers(lua_State *L, int index, tsh_mirror_flow *flow) {
  tsh_mirror_producer *list;
  lua_Integer count;

  if (lua_getfield(L, index, "producers") == LUA_TNIL)
    return;
  luaL_checktype(L, -1, LUA_TTABLE);
  count = luaL_len(L, -1);
  list = lua_newuserdatauv(L, (size_t)count * sizeof *list + 1, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_geti(L, -2, i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    read_producer(L, &list[i]);
    lua_pop(L, 1);
  }
  flow->producers = list;
  flow->producer_count = (size_t)count;
}

static void read_positions(lua_State *L, int index, tsh_mirror_flow *flow) {
  flow->compacted = tsh_bind_opt_boolean(L, index, "compacted", false);
  flow->same = tsh_bind_opt_boolean(L, index, "same", false);
  flow->transactions = tsh_bind_opt_boolean(L, index, "transactions", false);
  flow->source_offset =
      tsh_bind_opt_range(L, index, "source_offset", -1, 0, INT64_MAX);
  flow->target_offset =
      tsh_bind_opt_range(L, index, "target_offset", -1, 0, INT64_MAX);
  flow->log_end = tsh_bind_opt_range(L, index, "log_end", -1,
                                     flow->target_offset, INT64_MAX);
  flow->until_offset =
      tsh_bind_opt_range(L, index, "until_offset", -1, -1, INT64_MAX);
  flow->producer_id =
      tsh_bind_opt_range(L, index, "producer_id", -1, -1, INT64_MAX);
  flow->producer_epoch = (int16_t)tsh_bind_opt_range(L, index, "producer_epoch",
                                                     -1, -1, INT16_MAX);
  flow->sequence =
      (int32_t)tsh_bind_opt_range(L, index, "sequence", 0, 0, INT32_MAX);
  flow->max_batch_bytes =
      (size_t)tsh_bind_opt_range(L, index, "max_batch_bytes", 0, 0, INT32_MAX);
  if (tsh_bind_opt_boolean(L, index, "no_producer_id", false))
    flow->producer_id = -1;
  else if (flow->producer_id < 0 || flow->producer_epoch < 0)
    luaL_error(L, "a producer id and epoch are missing");
}

void tsh_bind_read_flow(lua_State *L, int index, tsh_mirror_flow *flow) {
  static const char *const names[] = {"id",
                                      "source",
                                      "target",
                                      "same",
                                      "transactions",
                                      "producers",
                                      "source_offset",
                                      "target_offset",
                                      "log_end",
                                      "until_offset",
                                      "producer_id",
                                      "producer_epoch",
                                      "sequence",
                                      "max_batch_bytes",
                                      "no_producer_id",
                                      "compacted",
                                      NULL};

  tsh_bind_options(L, index, names);
  flow->id = text(L, index, "id");
  read_source(L, index, flow);
  read_target(L, index, flow);
  read_positions(L, index, flow);
  read_producers(L, index, flow);
}

/* --- events --- */

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

static void set_refused(lua_State *L, const tsh_mirror_refused *refused) {
  if (refused->offset < 0)
    return;
  lua_createtable(L, 0, 3);
  set_integer(L, "offset", refused->offset);
  set_integer(L, "records", refused->records);
  set_integer(L, "bytes", (int64_t)refused->bytes);
  lua_setfield(L, -2, "refused");
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
  set_refused(L, &event->refused);
  set_known(L, "producer", event->producer);
  set_known(L, "diverging_epoch", event->diverging_epoch);
}

void tsh_bind_push_mirror_event(lua_State *L, const tsh_mirror_event *event) {
  static const char *const kinds[] = {"progress", "hole", "stopped"};

  lua_createtable(L, 0, 16);
  lua_pushstring(L, kinds[event->kind]);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, event->id);
  lua_setfield(L, -2, "id");
  set_integer(L, "source_offset", event->source_offset);
  set_integer(L, "target_offset", event->target_offset);
  set_integer(L, "sequence", event->sequence);
  set_integer(L, "stable_offset", event->stable_offset);
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
