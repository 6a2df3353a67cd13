/* vm.wire: connections to one broker and Kafka's own messages as tables.
 *
 * A call's table has the field names of Kafka's message definitions; ids of
 * topics are their usual text. The bytes between are the core's affair
 * (tranship/proto.h); here Lua values are handed over one by one. */
#include "tranship/wire.h"

#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "tranship/proto.h"

typedef struct handle {
  tsh_conn *conn;
} handle;

static void handle_release(void *body) {
  handle *h = body;

  tsh_conn_close(h->conn);
}

static int conn_call(lua_State *L);

static const luaL_Reg conn_methods[] = {{"call", conn_call}, {NULL, NULL}};

static const tsh_class conn_class = {"wire.conn", sizeof(handle),
                                     handle_release, conn_methods};

static handle *check_conn(lua_State *L) {
  return tsh_bind_check(L, 1, &conn_class);
}

/* Ids of topics: 16 bytes, shown as base64 for URLs without padding. */

enum { ID_BYTES = 16, ID_TEXT = 22 };

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void write_id(const uint8_t *id, char *text) {
  for (int i = 0; i < ID_TEXT; i++) {
    int bit = i * 6, at = bit / 8;
    unsigned pair = (unsigned)id[at] << 8;

    if (at + 1 < ID_BYTES)
      pair |= id[at + 1];
    text[i] = digits[pair >> (10 - bit % 8) & 63];
  }
}

static int read_id(const char *text, size_t length, uint8_t *id) {
  memset(id, 0, ID_BYTES);
  if (length != ID_TEXT)
    return 0;
  for (int i = 0; i < ID_TEXT; i++) {
    const char *digit = memchr(digits, text[i], sizeof digits - 1);
    int bit = i * 6, at = bit / 8;
    unsigned pair;

    if (digit == NULL)
      return 0;
    pair = (unsigned)(digit - digits) << (10 - bit % 8);
    id[at] |= (uint8_t)(pair >> 8);
    if (at + 1 < ID_BYTES)
      id[at + 1] |= (uint8_t)pair;
  }
  return 1;
}

/* Tables to bytes: the table being read is on top of the stack. */

typedef struct maker {
  lua_State *L;
  const tsh_message *msg;
  int16_t version;
  struct iovec out;
  tsh_err err;
  int status;
  uint8_t id[ID_BYTES];
} maker;

static int refuse(maker *m, const tsh_field *field, const char *want,
                  tsh_err *err) {
  return tsh_err_set(err, TSH_INVALID, "wire", 0, "%s: %s is %s, not a %s",
                     m->msg->name, field->name, want, luaL_typename(m->L, -1));
}

static void push_member(maker *m, const tsh_field *field, int64_t index) {
  if (index >= 0) {
    lua_rawgeti(m->L, -1, index + 1);
  } else {
    lua_pushstring(m->L, field->name);
    lua_rawget(m->L, -2);
  }
}

/* A name that no field has is a typing mistake; silence would hide it. */
static int check_names(maker *m, const tsh_field *fields, tsh_err *err) {
  for (lua_pushnil(m->L); lua_next(m->L, -2); lua_pop(m->L, 1)) {
    const tsh_field *field = fields;
    const char *name =
        lua_type(m->L, -2) == LUA_TSTRING ? lua_tostring(m->L, -2) : "?";

    while (field->name != NULL && strcmp(field->name, name) != 0)
      field++;
    if (field->name != NULL)
      continue;
    tsh_err_set(err, TSH_INVALID, "wire", 0, "%s: no field '%s'",
                m->msg->name, name);
    lua_pop(m->L, 2);
    return TSH_INVALID;
  }
  return 0;
}

static int make_enter(void *user, const tsh_field *field, int64_t index,
                      int64_t *count, tsh_err *err) {
  maker *m = user;
  int status = 1;

  luaL_checkstack(m->L, 4, "a message nests too deeply");
  push_member(m, field, index);
  if (lua_isnil(m->L, -1))
    status = 0;
  else if (!lua_istable(m->L, -1))
    status = refuse(m, field, "a table", err);
  else if (count != NULL)
    *count = (int64_t)lua_rawlen(m->L, -1);
  else if (check_names(m, field->fields, err) != 0)
    status = TSH_INVALID;
  if (status != 1)
    lua_pop(m->L, 1);
  return status;
}

static void make_leave(void *user, const tsh_field *field) {
  maker *m = user;

  (void)field;
  lua_pop(m->L, 1);
}

static const char *read_number(maker *m, tsh_value *out) {
  int is_integer;

  out->integer = lua_tointegerx(m->L, -1, &is_integer);
  return is_integer && lua_type(m->L, -1) == LUA_TNUMBER ? NULL : "an integer";
}

/* The table keeps its strings, so their bytes outlive the pop. */
static const char *read_bytes(maker *m, const tsh_field *field,
                              tsh_value *out) {
  if (lua_type(m->L, -1) != LUA_TSTRING)
    return "a string";
  out->bytes.data = lua_tolstring(m->L, -1, &out->bytes.size);
  if (field->type != TSH_F_UUID)
    return NULL;
  if (!read_id(out->bytes.data, out->bytes.size, m->id))
    return "an id of 22 characters";
  out->bytes = (tsh_text){(const char *)m->id, sizeof m->id};
  return NULL;
}

static const char *read_value(maker *m, const tsh_field *field,
                              tsh_value *out) {
  *out = (tsh_value){0};
  switch (field->type) {
  case TSH_F_BOOL:
    out->integer = lua_toboolean(m->L, -1);
    return lua_isboolean(m->L, -1) ? NULL : "true or false";
  case TSH_F_F64:
    out->real = lua_tonumber(m->L, -1);
    return lua_type(m->L, -1) == LUA_TNUMBER ? NULL : "a number";
  case TSH_F_UUID:
  case TSH_F_TEXT:
  case TSH_F_BYTES:
    return read_bytes(m, field, out);
  default:
    return read_number(m, out);
  }
}

static int make_value(void *user, const tsh_field *field, int64_t index,
                      tsh_value *out, tsh_err *err) {
  maker *m = user;
  const char *wrong;
  int status;

  push_member(m, field, index);
  if (lua_isnil(m->L, -1)) {
    status = 0;
  } else {
    wrong = read_value(m, field, out);
    status = wrong == NULL ? 1 : refuse(m, field, wrong, err);
  }
  lua_pop(m->L, 1);
  return status;
}

static int make_protected(lua_State *L) {
  maker *m = lua_touserdata(L, 2);
  tsh_source source = {m, make_enter, make_leave, make_value};

  lua_settop(L, 1);
  m->L = L;
  m->status = check_names(m, m->msg->request, &m->err);
  if (m->status == 0)
    m->status = tsh_message_encode(m->msg, false, m->version, &source, &m->out,
                                   &m->err);
  return 0;
}

/* Encodes the table at `index`. A Lua error inside must not lose the block. */
static void make(lua_State *L, maker *m, int index) {
  int status;

  lua_pushcfunction(L, make_protected);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, m);
  status = lua_pcall(L, 2, 0, 0);
  if (status == LUA_OK && m->status == 0)
    return;
  free(m->out.iov_base);
  if (status != LUA_OK)
    lua_error(L);
  luaL_error(L, "%s", m->err.message);
}

/* Bytes to tables: the table being filled is on top of the stack. */

static void attach(lua_State *L, const tsh_field *field) {
  if (field->list)
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  else
    lua_setfield(L, -2, field->name);
}

static void push_list(void *user, const tsh_field *field, int64_t count) {
  lua_State *L = user;

  (void)field;
  luaL_checkstack(L, 4, "a message nests too deeply");
  if (count < 0)
    lua_pushnil(L);
  else
    lua_newtable(L);
}

static void push_list_end(void *user, const tsh_field *field) {
  lua_setfield(user, -2, field->name);
}

static void push_open(void *user, const tsh_field *field) {
  (void)field;
  luaL_checkstack(user, 4, "a message nests too deeply");
  lua_newtable(user);
}

static void push_open_end(void *user, const tsh_field *field) {
  if (field != NULL)
    attach(user, field);
}

static void push_value(void *user, const tsh_field *field,
                       const tsh_value *value) {
  lua_State *L = user;
  char id[ID_TEXT];

  if (value->null)
    return;
  switch (field->type) {
  case TSH_F_BOOL:
    lua_pushboolean(L, value->integer != 0);
    break;
  case TSH_F_F64:
    lua_pushnumber(L, value->real);
    break;
  case TSH_F_UUID:
    write_id((const uint8_t *)value->bytes.data, id);
    lua_pushlstring(L, id, sizeof id);
    break;
  case TSH_F_TEXT:
  case TSH_F_BYTES:
    lua_pushlstring(L, value->bytes.data, value->bytes.size);
    break;
  default:
    lua_pushinteger(L, value->integer);
  }
  attach(L, field);
}

/* Calls. */

typedef struct call {
  tsh_op op;
  const tsh_message *msg;
  int16_t version;
  struct iovec request;
  tsh_body *body;
  const uint8_t *data;
  size_t size;
} call;

static void call_free(tsh_op *op) {
  call *c = (call *)op;

  tsh_body_release(c->body);
  free(c->request.iov_base);
  free(c);
}

static void on_reply(void *user, const tsh_reply *reply) {
  call *c = user;

  c->op.status = reply->status;
  if (reply->err != NULL)
    c->op.err = *reply->err;
  if (reply->body != NULL)
    c->body = tsh_body_keep(reply->body);
  c->data = reply->data;
  c->size = reply->size;
  c->op.done(&c->op);
}

static int push_response(lua_State *L, tsh_op *op) {
  call *c = (call *)op;
  tsh_visitor visitor = {L, push_list, push_list_end, push_open, push_open_end,
                         push_value};
  int top = lua_gettop(L);
  tsh_err err = {0};

  if (tsh_message_decode(c->msg, true, c->version, c->data, c->size, &visitor,
                         &err) == 0)
    return 1;
  lua_settop(L, top);
  return tsh_bind_fail(L, &err);
}

static int start_call(lua_State *L, handle *h, maker *m, uint64_t timeout_ms) {
  call *c = calloc(1, sizeof *c);
  tsh_request req = {.api_key = m->msg->api_key, .version = m->version,
                     .parts = &m->out, .count = 1, .timeout_ms = timeout_ms,
                     .replied = on_reply, .user = c};
  int status;

  if (c == NULL) {
    free(m->out.iov_base);
    return luaL_error(L, "no memory");
  }
  c->op.free = call_free;
  c->msg = m->msg;
  c->version = m->version;
  c->request = m->out;
  status = tsh_conn_send(h->conn, &req, &m->err);
  if (status == 0)
    return tsh_bind_await(L, &c->op, push_response);
  call_free(&c->op);
  if (status == TSH_INVALID)
    return luaL_error(L, "%s", m->err.message);
  return tsh_bind_fail(L, &m->err);
}

/* conn:call(name, fields, { version =, timeout_ms = }) -> response | nil, err */
static int conn_call(lua_State *L) {
  static const char *const names[] = {"version", "timeout_ms", NULL};
  handle *h = check_conn(L);
  const char *name = luaL_checkstring(L, 2);
  maker m = {.msg = tsh_message_find(name)};
  lua_Integer timeout_ms = 0, version;

  if (m.msg == NULL)
    return luaL_error(L, "no message '%s'", name);
  version = m.msg->version;
  lua_settop(L, 4);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  luaL_checktype(L, 3, LUA_TTABLE);
  if (!lua_isnil(L, 4)) {
    tsh_bind_options(L, 4, names);
    version = tsh_bind_opt_integer(L, 4, "version", version);
    timeout_ms = tsh_bind_opt_integer(L, 4, "timeout_ms", 0);
  }
  if (version < m.msg->min || version > m.msg->max)
    return luaL_error(L, "%s has versions %d to %d", name, m.msg->min,
                      m.msg->max);
  m.version = (int16_t)version;
  make(L, &m, 3);
  return start_call(L, h, &m, timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
}

/* connect{ host, port, client_id, read_only, timeout_ms } -> conn. Never
 * waits: what is wrong with the host is what the first call fails with. */
static int wire_connect(lua_State *L) {
  static const char *const names[] = {"host", "port", "client_id",
                                      "read_only", "timeout_ms", NULL};
  tsh_conn_options options = {0};
  lua_Integer port, timeout_ms;
  tsh_err err = {0};
  handle *h;

  tsh_bind_options(L, 1, names);
  options.host = tsh_bind_opt_string(L, 1, "host", NULL);
  port = tsh_bind_opt_integer(L, 1, "port", 0);
  timeout_ms = tsh_bind_opt_integer(L, 1, "timeout_ms", 0);
  luaL_argcheck(L, options.host != NULL, 1, "host is missing");
  luaL_argcheck(L, port > 0 && port < 65536, 1, "port is missing");
  luaL_argcheck(L, timeout_ms >= 0, 1, "timeout_ms is negative");
  options.port = (uint16_t)port;
  options.client_id = tsh_bind_opt_string(L, 1, "client_id", NULL);
  options.read_only = tsh_bind_opt_boolean(L, 1, "read_only", 0);
  options.timeout_ms = (uint64_t)timeout_ms;
  h = tsh_bind_new(L, &conn_class);
  h->conn = tsh_conn_open(tsh_bind_loop(L), &options, &err);
  if (h->conn == NULL && err.kind == TSH_INVALID)
    return luaL_error(L, "%s", err.message);
  if (h->conn == NULL)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, h);
  return 1;
}

/* error_name(code) -> "NOT_LEADER_OR_FOLLOWER" */
static int wire_error_name(lua_State *L) {
  lua_Integer code = luaL_checkinteger(L, 1);
  const char *name = tsh_kafka_error_name((int)code);

  if (name != NULL)
    lua_pushstring(L, name);
  else
    lua_pushfstring(L, "error %I", (LUAI_UACINT)code);
  return 1;
}

/* error(code, what) -> err: what a broker's error code means, as a value. */
static int wire_error(lua_State *L) {
  int code = (int)luaL_checkinteger(L, 1);
  const char *what = luaL_optstring(L, 2, NULL);
  const char *name = tsh_kafka_error_name(code);
  tsh_err err = {0};
  bool retriable;
  tsh_kind kind = tsh_kafka_error_kind(code, &retriable);

  luaL_argcheck(L, code != 0, 1, "0 is no error");
  tsh_err_set(&err, kind, "kafka", code, "%s%s%s",
              what != NULL ? what : "", what != NULL ? ": " : "",
              name != NULL ? name : "an unknown error code");
  err.retriable = retriable;
  tsh_bind_fail(L, &err);
  return 1;
}

/* messages() -> { [name] = { key =, min =, max =, version =, writes = } } */
static int wire_messages(lua_State *L) {
  const tsh_message *msg;

  lua_newtable(L);
  for (size_t i = 0; (msg = tsh_message_at(i)) != NULL; i++) {
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, msg->api_key);
    lua_setfield(L, -2, "key");
    lua_pushinteger(L, msg->min);
    lua_setfield(L, -2, "min");
    lua_pushinteger(L, msg->max);
    lua_setfield(L, -2, "max");
    lua_pushinteger(L, msg->version);
    lua_setfield(L, -2, "version");
    lua_pushboolean(L, msg->writes);
    lua_setfield(L, -2, "writes");
    lua_setfield(L, -2, msg->name);
  }
  return 1;
}

static const luaL_Reg functions[] = {{"connect", wire_connect},
                                     {"error", wire_error},
                                     {"error_name", wire_error_name},
                                     {"messages", wire_messages},
                                     {NULL, NULL}};

int luaopen_vm_wire(lua_State *L) {
  tsh_bind_class(L, &conn_class);
  luaL_newlib(L, functions);
  return 1;
}
