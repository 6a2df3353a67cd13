/* vm.wire: connections to one broker and Kafka's own messages as tables.
 *
 * A call's table has the field names of Kafka's message definitions; ids of
 * topics are their usual text. The bytes between are the core's affair
 * (tranship/proto.h); here Lua values are handed over one by one. */
#include "tranship/wire.h"

#include <stdlib.h>

#include "bind.h"
#include "tranship/digest.h"
#include "tranship/proto.h"
#include "wire_login.h"
#include "wire_table.h"

typedef struct handle {
  tsh_conn *conn;
} handle;

static void handle_release(void *body) {
  handle *h = body;

  tsh_conn_close(h->conn);
}

static int conn_call(lua_State *L);
static int conn_is_open(lua_State *L);
static int conn_peer(lua_State *L);

static const luaL_Reg conn_methods[] = {{"call", conn_call},
                                        {"is_open", conn_is_open},
                                        {"peer", conn_peer},
                                        {NULL, NULL}};

static const tsh_class conn_class = {.name = "wire.conn",
                                     .size = sizeof(handle),
                                     .release = handle_release,
                                     .methods = conn_methods};

/* Calls. */

typedef struct call {
  tsh_op op;
  const tsh_message *msg;
  int16_t version;
  struct iovec request;
  tsh_body *body;
  const uint8_t *data;
  size_t size;
  bool marked;        /* the answer's mark is wanted, ... */
  lua_Integer unless; /* ... and nothing more if it is this one */
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
  lua_Integer mark;

  if (!c->marked)
    return tsh_bind_push_message(L, c->msg, c->version, c->data, c->size);
  mark = (lua_Integer)tsh_digest_bytes(c->data, c->size);
  if (mark == c->unless)
    lua_pushboolean(L, 0);
  else if (tsh_bind_push_message(L, c->msg, c->version, c->data, c->size) != 1)
    return 2;
  lua_pushinteger(L, mark);
  return 2;
}

/* Takes over the request's bytes; `how` is the call's options. */
static int start_call(lua_State *L, tsh_conn *conn, const call *how,
                      lua_Integer timeout_ms) {
  call *c = malloc(sizeof *c);
  struct iovec body = how->request;
  tsh_request req = {.api_key = how->msg->api_key,
                     .version = how->version,
                     .parts = &body,
                     .count = 1,
                     .timeout_ms = timeout_ms > 0 ? (uint64_t)timeout_ms : 0,
                     .replied = on_reply,
                     .user = c};
  tsh_err err = {0};
  int status;

  if (c == NULL) {
    free(body.iov_base);
    return luaL_error(L, "no memory");
  }
  *c = *how;
  c->op.free = call_free;
  status = tsh_conn_send(conn, &req, &err);
  if (status == 0)
    return tsh_bind_await(L, &c->op, push_response);
  call_free(&c->op);
  if (status == TSH_INVALID)
    return luaL_error(L, "%s", err.message);
  return tsh_bind_fail(L, &err);
}

/* conn:call(name, fields, { version =, timeout_ms =, unless = })
 *   -> response | nil, err; with `unless`: response | false, mark | nil, err */
static int conn_call(lua_State *L) {
  static const char *const names[] = {"version", "timeout_ms", "unless", NULL};
  handle *h = tsh_bind_check(L, 1, &conn_class);
  const char *name = luaL_checkstring(L, 2);
  const tsh_message *msg = tsh_message_find(name);
  lua_Integer timeout_ms = 0, version;
  call how = {.msg = msg};

  if (msg == NULL)
    return luaL_error(L, "no message '%s'", name);
  version = msg->version;
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
    how.marked = lua_getfield(L, 4, "unless") != LUA_TNIL;
    how.unless = tsh_bind_opt_integer(L, 4, "unless", 0);
  }
  if (version < msg->min || version > msg->max)
    return luaL_error(L, "%s has versions %d to %d", name, msg->min, msg->max);
  how.version = (int16_t)version;
  tsh_bind_write_message(L, 3, msg, how.version, &how.request);
  return start_call(L, h->conn, &how, timeout_ms);
}

/* is_open() -> false once the connection has failed by itself. */
static int conn_is_open(lua_State *L) {
  handle *h = tsh_bind_check(L, 1, &conn_class);

  lua_pushboolean(L, !tsh_conn_failed(h->conn));
  return 1;
}

/* peer() -> { subject, issuer, hosts, expires } | nil */
static int conn_peer(lua_State *L) {
  handle *h = tsh_bind_check(L, 1, &conn_class);
  tsh_peer peer;

  if (!tsh_conn_peer(h->conn, &peer))
    return 0;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, peer.subject);
  lua_setfield(L, -2, "subject");
  lua_pushstring(L, peer.issuer);
  lua_setfield(L, -2, "issuer");
  lua_pushstring(L, peer.hosts);
  lua_setfield(L, -2, "hosts");
  lua_pushinteger(L, peer.expires_ms);
  lua_setfield(L, -2, "expires");
  return 1;
}

/* connect{ host, port, login, client_id, read_only, timeout_ms } -> conn. Never
 * waits: what is wrong with the host is what the first call fails with. */
static int wire_connect(lua_State *L) {
  static const char *const names[] = {
      "host", "port", "login", "client_id", "read_only", "timeout_ms", NULL};
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
  options.login = tsh_bind_opt_login(L, 1);
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
  tsh_err_set(&err, kind, "kafka", code, "%s%s%s", what != NULL ? what : "",
              what != NULL ? ": " : "",
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
  tsh_bind_register_login(L);
  return 1;
}
