/* vm.kube: sessions with Kubernetes API servers, and streams of lines. */
#include "tranship/kube.h"

#include <string.h>

#include "json.h"

enum {
  TIMEOUT_MS = 30000,
  IDLE_MS = 150000,
  MOST_PARAMS = 32,
  MOST_BYTES = 1 << 30,
  LONGEST_LINE = 64 << 20,
};

typedef struct session {
  tsh_kube *kube;
} session;

static void session_release(void *body) {
  tsh_kube_close(((session *)body)->kube);
}

typedef struct stream {
  tsh_kube_call *call;
  tsh_hide hide;
  bool is_at_end; /* a last line without its end was given */
} stream;

static void stream_release(void *body) {
  tsh_kube_free(((stream *)body)->call);
}

/* Answers. */

/* Bodies of these paths hold what may not be seen. */
static tsh_hide hide_of(const char *path) {
  const char *end = path + strlen(path);

  if (strncmp(path, "/api/v1/", 8) == 0 && strstr(path, "/secrets") != NULL)
    return TSH_HIDE_SECRET;
  if (end - path > 6 && strcmp(end - 6, "/token") == 0)
    return TSH_HIDE_TOKEN;
  return TSH_HIDE_NOTHING;
}

static void push_warnings(lua_State *L, tsh_http_call *http) {
  const char *warning;

  lua_newtable(L);
  for (size_t i = 0; (warning = tsh_http_header(http, "Warning", i)); i++) {
    lua_pushstring(L, warning);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* JSON as a view, anything else as text. */
static int push_body(lua_State *L, tsh_http_call *http, tsh_hide hide,
                     tsh_err *err) {
  const char *type = tsh_http_header(http, "Content-Type", 0);
  tsh_http_bytes body = tsh_http_body(http);
  int rc;

  if (type == NULL || strncmp(type, "application/json", 16) != 0) {
    lua_pushlstring(L, body.data, body.length);
    return 0;
  }
  rc = tsh_bind_push_parsed(L, body.data, body.length, hide, err);
  if (rc != 0)
    return tsh_err_set(err, TSH_PROTOCOL, "kube", 0,
                       "the server's answer is no JSON: %.200s", err->message);
  return 0;
}

static int push_answer(lua_State *L, tsh_http_call *http, tsh_hide hide) {
  tsh_err err;

  lua_newtable(L);
  if (push_body(L, http, hide, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_setfield(L, -2, "body");
  lua_pushinteger(L, tsh_http_status(http));
  lua_setfield(L, -2, "status");
  push_warnings(L, http);
  lua_setfield(L, -2, "warnings");
  lua_pushstring(L, tsh_http_header(http, "Retry-After", 0));
  lua_setfield(L, -2, "retry_after");
  return 1;
}

/* Requests. `ask` points into values on the stack. */

typedef struct request {
  tsh_kube_ask ask;
  tsh_kube_query query[MOST_PARAMS + 1];
  tsh_hide hide;
} request;

static void add_param(lua_State *L, request *r, size_t *count) {
  if (lua_type(L, -2) != LUA_TSTRING)
    luaL_error(L, "query: names are text");
  if (*count == MOST_PARAMS)
    luaL_error(L, "query: more than %d parameters", MOST_PARAMS);
  if (lua_isboolean(L, -1)) {
    r->query[(*count)++] = (tsh_kube_query){
        lua_tostring(L, -2), lua_toboolean(L, -1) ? "true" : "false"};
    return;
  }
  if (!lua_isstring(L, -1))
    luaL_error(L, "query: '%s' is a %s", lua_tostring(L, -2),
               luaL_typename(L, -1));
  r->query[(*count)++] =
      (tsh_kube_query){lua_tostring(L, -2), luaL_tolstring(L, -1, NULL)};
  lua_insert(L, 3); /* stays below, where it keeps the text alive */
}

static void read_query(lua_State *L, request *r) {
  size_t count = 0;

  r->ask.query = r->query;
  if (lua_getfield(L, 2, "query") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_checkstack(L, MOST_PARAMS + 8, "query");
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    add_param(L, r, &count);
  lua_insert(L, 3);
}

/* Pushes the body's keeper and returns its index, or 0. */
static int read_body(lua_State *L, request *r) {
  tsh_buf *text;
  size_t length;
  int at;

  if (lua_getfield(L, 2, "body") == LUA_TNIL)
    return 0;
  if (lua_type(L, -1) == LUA_TSTRING) {
    r->ask.body.data = lua_tolstring(L, -1, &length);
    r->ask.body.length = length;
    return 0;
  }
  text = tsh_bind_json_text(L, -1,
                            r->hide == TSH_HIDE_SECRET ? TSH_SECRETS_OPENED
                                                       : TSH_SECRETS_REFUSED);
  at = lua_gettop(L);
  r->ask.body = (tsh_http_bytes){text->data, text->length};
  return at;
}

static int read_request(lua_State *L, request *r, bool is_stream) {
  static const char *const names[] = {
      "method", "path",  "query",      "body",    "type",
      "accept", "limit", "timeout_ms", "idle_ms", NULL};

  memset(r, 0, sizeof *r);
  lua_settop(L, 2);
  tsh_bind_options(L, 2, names);
  r->ask.method = tsh_bind_opt_string(L, 2, "method", "GET");
  r->ask.path = tsh_bind_opt_string(L, 2, "path", NULL);
  luaL_argcheck(L, r->ask.path != NULL, 2, "path is missing");
  r->ask.content_type = tsh_bind_opt_string(L, 2, "type", NULL);
  r->ask.accept = tsh_bind_opt_string(L, 2, "accept", NULL);
  r->ask.timeout_ms = (uint32_t)tsh_bind_opt_integer(
      L, 2, "timeout_ms", is_stream ? 0 : TIMEOUT_MS);
  r->ask.idle_ms =
      (uint32_t)tsh_bind_opt_integer(L, 2, "idle_ms", is_stream ? IDLE_MS : 0);
  r->ask.limit = (size_t)tsh_bind_opt_integer(
      L, 2, "limit", is_stream ? LONGEST_LINE : MOST_BYTES);
  r->ask.is_stream = is_stream;
  r->hide = hide_of(r->ask.path);
  read_query(L, r);
  return read_body(L, r);
}

/* What cannot be meant is the caller's mistake. */
static int fail(lua_State *L, const tsh_err *err) {
  if (err->kind == TSH_INVALID)
    return luaL_error(L, "%s", err->message);
  return tsh_bind_fail(L, err);
}

static const tsh_class session_class, stream_class;

static int push_request(lua_State *L, tsh_op *op) {
  tsh_kube_call *call = (tsh_kube_call *)op;

  return push_answer(L, tsh_kube_http(call), hide_of(tsh_kube_path(call)));
}

static void keep(tsh_op *op) { (void)op; }

static int push_stream(lua_State *L, tsh_op *op) {
  stream *s = tsh_bind_new(L, &stream_class);

  s->call = (tsh_kube_call *)op;
  s->hide = hide_of(tsh_kube_path(s->call));
  op->free = keep; /* the stream's from here on */
  tsh_bind_opened(L, s);
  return 1;
}

static int ask(lua_State *L, bool is_stream) {
  session *s = tsh_bind_check(L, 1, &session_class);
  request r;
  tsh_kube_call *call;
  tsh_err err = {0};
  int body = read_request(L, &r, is_stream);
  int rc = tsh_kube_start(&call, s->kube, &r.ask, &err);

  if (body != 0)
    lua_closeslot(L, body);
  if (rc != 0)
    return fail(L, &err);
  return tsh_bind_await(L, tsh_kube_op(call),
                        is_stream ? push_stream : push_request);
}

/* session:request{ method, path, query, body, ... } -> answer | nil, err */
static int session_request(lua_State *L) { return ask(L, false); }

/* session:stream{ ... } -> stream | nil, err; as soon as its head is there. */
static int session_stream(lua_State *L) { return ask(L, true); }

static void set_text(lua_State *L, const char *name, const char *text) {
  if (text != NULL)
    lua_pushstring(L, text);
  else
    lua_pushnil(L);
  lua_setfield(L, -2, name);
}

/* session:about() -> { server, context, cluster, user, namespace, warning } */
static int session_about(lua_State *L) {
  session *s = tsh_bind_check(L, 1, &session_class);
  tsh_kube_about about = tsh_kube_about_of(s->kube);

  lua_createtable(L, 0, 6);
  set_text(L, "server", about.server);
  set_text(L, "context", about.context);
  set_text(L, "cluster", about.cluster);
  set_text(L, "user", about.user);
  set_text(L, "namespace", about.ns);
  set_text(L, "warning", about.warning);
  return 1;
}

static int session_is_read_only(lua_State *L) {
  session *s = tsh_bind_check(L, 1, &session_class);

  lua_pushboolean(L, tsh_kube_mode_of(s->kube) != TSH_KUBE_MAY_WRITE);
  return 1;
}

/* session:class{ method, path, query } -> "read", "dry run" or "write". */
static int session_class_of(lua_State *L) {
  static const char *const words[] = {[TSH_KUBE_READ] = "read",
                                      [TSH_KUBE_DRY] = "dry run",
                                      [TSH_KUBE_WRITE] = "write"};
  request r;

  tsh_bind_check(L, 1, &session_class);
  read_request(L, &r, false);
  lua_pushstring(L, words[tsh_kube_class_of(&r.ask)]);
  return 1;
}

static const luaL_Reg session_methods[] = {
    {"request", session_request}, {"stream", session_stream},
    {"about", session_about},     {"is_read_only", session_is_read_only},
    {"class", session_class_of},  {NULL, NULL}};

static const tsh_class session_class = {"kube.session", sizeof(session),
                                        session_release, session_methods};

/* Streams. */

typedef int (*push_line)(lua_State *L, stream *s, tsh_http_bytes line);

static int push_event(lua_State *L, stream *s, tsh_http_bytes line) {
  tsh_err err;

  if (tsh_bind_push_parsed(L, line.data, line.length, s->hide, &err) != 0) {
    tsh_err_set(&err, TSH_PROTOCOL, "kube", 0,
                "a line of the stream is no JSON: %.200s", err.message);
    return tsh_bind_fail(L, &err);
  }
  return 1;
}

static int push_text(lua_State *L, stream *s, tsh_http_bytes line) {
  (void)s;
  lua_pushlstring(L, line.data, line.length);
  return 1;
}

/* Half a line is what a cut connection leaves, or a log without its end. */
static int push_end(lua_State *L, stream *s, push_line push) {
  tsh_http_bytes rest = tsh_http_body(tsh_kube_http(s->call));
  tsh_err err;

  if (rest.length == 0) {
    lua_pushboolean(L, false);
    return 1;
  }
  if (push == push_text && !s->is_at_end) {
    s->is_at_end = true;
    return push_text(L, s, rest);
  }
  if (s->is_at_end) {
    lua_pushboolean(L, false);
    return 1;
  }
  tsh_err_set(&err, TSH_CLOSED, "kube", 0,
              "the stream ended in the middle of a line");
  return tsh_bind_fail(L, &err);
}

static int next_line(lua_State *L, stream *s, push_line push) {
  tsh_http_bytes line;

  if (tsh_http_line(tsh_kube_http(s->call), &line))
    return push(L, s, line);
  return push_end(L, s, push);
}

static int closed(lua_State *L) {
  tsh_err err;

  tsh_err_set(&err, TSH_CLOSED, "kube", 0, "the stream is closed");
  return tsh_bind_fail(L, &err);
}

static int after_event(lua_State *L, tsh_op *op) {
  stream *s = tsh_bind_test(L, 1, &stream_class);

  (void)op;
  return s != NULL ? next_line(L, s, push_event) : closed(L);
}

static int after_text(lua_State *L, tsh_op *op) {
  stream *s = tsh_bind_test(L, 1, &stream_class);

  (void)op;
  return s != NULL ? next_line(L, s, push_text) : closed(L);
}

static int wait_line(lua_State *L, push_line push, tsh_bind_push after) {
  stream *s = tsh_bind_check(L, 1, &stream_class);
  tsh_http_bytes line;

  lua_settop(L, 1);
  if (tsh_http_line(tsh_kube_http(s->call), &line))
    return push(L, s, line);
  return tsh_bind_await(L, tsh_http_wait(tsh_kube_http(s->call), TSH_HTTP_LINE),
                        after);
}

/* stream:next() -> a view of the next line | false at the end | nil, err */
static int stream_next(lua_State *L) {
  return wait_line(L, push_event, after_event);
}

/* stream:line() -> its text | false at the end | nil, err */
static int stream_line(lua_State *L) {
  return wait_line(L, push_text, after_text);
}

static int stream_status(lua_State *L) {
  stream *s = tsh_bind_check(L, 1, &stream_class);

  lua_pushinteger(L, tsh_http_status(tsh_kube_http(s->call)));
  return 1;
}

static int push_whole(lua_State *L, tsh_op *op) {
  stream *s = tsh_bind_test(L, 1, &stream_class);

  (void)op;
  return s != NULL ? push_answer(L, tsh_kube_http(s->call), s->hide)
                   : closed(L);
}

/* stream:answer() -> all of it, as request gives it: for what is no stream. */
static int stream_answer(lua_State *L) {
  stream *s = tsh_bind_check(L, 1, &stream_class);

  lua_settop(L, 1);
  return tsh_bind_await(L, tsh_http_wait(tsh_kube_http(s->call), TSH_HTTP_END),
                        push_whole);
}

static const luaL_Reg stream_methods[] = {{"next", stream_next},
                                          {"line", stream_line},
                                          {"status", stream_status},
                                          {"answer", stream_answer},
                                          {NULL, NULL}};

static const tsh_class stream_class = {"kube.stream", sizeof(stream),
                                       stream_release, stream_methods};

/* Opening. */

/* open{ kubeconfig, context, namespace, ... } -> session | nil, err. Never
 * waits, contacts nobody. */
static int kube_open(lua_State *L) {
  static const char *const names[] = {"kubeconfig", "context", "namespace",
                                      "agent",      "account", "read_only",
                                      "validates",  NULL};
  tsh_kube_setup setup = {0};
  session *s;
  tsh_err err;

  lua_settop(L, 1);
  tsh_bind_options(L, 1, names);
  setup.kubeconfig = tsh_bind_opt_string(L, 1, "kubeconfig", NULL);
  setup.context = tsh_bind_opt_string(L, 1, "context", NULL);
  setup.ns = tsh_bind_opt_string(L, 1, "namespace", NULL);
  setup.agent = tsh_bind_opt_string(L, 1, "agent", NULL);
  setup.account = tsh_bind_opt_string(L, 1, "account", NULL);
  if (tsh_bind_opt_boolean(L, 1, "read_only", false))
    setup.mode = TSH_KUBE_READ_ONLY;
  else if (tsh_bind_opt_boolean(L, 1, "validates", false))
    setup.mode = TSH_KUBE_VALIDATES;
  s = tsh_bind_new(L, &session_class);
  if (tsh_kube_open(&s->kube, tsh_bind_loop(L), &setup, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, s);
  return 1;
}

static const luaL_Reg functions[] = {{"open", kube_open}, {NULL, NULL}};

int luaopen_vm_kube(lua_State *L) {
  lua_getglobal(L, "require"); /* what answers hide comes as secrets */
  lua_pushliteral(L, "vm.secret");
  lua_call(L, 1, 0);
  tsh_bind_class(L, &session_class);
  tsh_bind_class(L, &stream_class);
  luaL_newlib(L, functions);
  return 1;
}
