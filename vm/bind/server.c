/* vm.server: a small HTTP server; see include/tranship/server.h. */
#include "tranship/server.h"

#include <stdlib.h>

#include "bind.h"
#include "sys_feed.h"

typedef struct server {
  tsh_server *server;
} server;

static void server_release(void *body) {
  tsh_feed_close(tsh_server_feed(((server *)body)->server));
}

static const tsh_class server_class;

static tsh_server *check_server(lua_State *L) {
  return ((server *)tsh_bind_check(L, 1, &server_class))->server;
}

/* server:next() -> "ID METHOD PATH" | nil, err. */
static int server_next(lua_State *L) {
  return tsh_sys_feed_next(L, tsh_server_feed(check_server(L)));
}

/* server:answer(id, status, type, body) -> is the client still there? */
static int server_answer(lua_State *L) {
  tsh_server *to = check_server(L);
  lua_Integer id = luaL_checkinteger(L, 2);
  int status = (int)luaL_checkinteger(L, 3);
  const char *type = luaL_checkstring(L, 4);
  size_t length;
  const char *body = luaL_checklstring(L, 5, &length);

  lua_pushboolean(
      L, tsh_server_answer(to, (uint64_t)id, status, type, body, length));
  return 1;
}

/* server:port() -> the port it listens on. */
static int server_port(lua_State *L) {
  lua_pushinteger(L, tsh_server_port(check_server(L)));
  return 1;
}

static const luaL_Reg server_methods[] = {{"next", server_next},
                                          {"answer", server_answer},
                                          {"port", server_port},
                                          {NULL, NULL}};

static const tsh_class server_class = {"server", sizeof(server), server_release,
                                       server_methods};

/* open{ host, port, timeout_ms } -> server | nil, err. */
static int server_open(lua_State *L) {
  static const char *const names[] = {"host", "port", "timeout_ms", NULL};
  const char *host;
  lua_Integer port, timeout_ms;
  server *s;
  tsh_err err;

  tsh_bind_options(L, 1, names);
  host = tsh_bind_opt_string(L, 1, "host", "127.0.0.1");
  port = tsh_bind_opt_integer(L, 1, "port", 0);
  luaL_argcheck(L, port >= 0 && port <= UINT16_MAX, 1, "no such port");
  timeout_ms = tsh_bind_opt_integer(L, 1, "timeout_ms", 0);
  s = tsh_bind_new(L, &server_class);
  if (tsh_server_open(&s->server, tsh_bind_loop(L), host, (uint16_t)port,
                      (uint32_t)timeout_ms, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, s);
  return 1;
}

static const luaL_Reg functions[] = {{"open", server_open}, {NULL, NULL}};

int luaopen_vm_server(lua_State *L);

int luaopen_vm_server(lua_State *L) {
  tsh_bind_class(L, &server_class);
  luaL_newlib(L, functions);
  return 1;
}
