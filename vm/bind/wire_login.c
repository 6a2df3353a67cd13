/* vm.wire, logins: how raw connections show who we are. */
#include "wire_login.h"

#include <string.h>

typedef struct handle {
  tsh_login *login;
} handle;

static void handle_release(void *body) {
  tsh_login_release(((handle *)body)->login);
}

static int login_replace(lua_State *L);

static const luaL_Reg methods[] = {{"replace", login_replace}, {NULL, NULL}};

static const tsh_class login_class = {.name = "wire.login",
                                      .size = sizeof(handle),
                                      .release = handle_release,
                                      .methods = methods,
                                      .is_value = true};

const char *tsh_bind_opt_secret(lua_State *L, int index, const char *name) {
  size_t length;
  const char *text = NULL;

  if (lua_getfield(L, index, name) != LUA_TNIL) {
    text = tsh_bind_secret(L, -1, &length);
    if (text == NULL)
      luaL_error(L, "option '%s' is a text or a secret", name);
    if (strlen(text) != length)
      luaL_error(L, "option '%s' holds a zero byte", name);
  }
  lua_pop(L, 1); /* the table keeps it alive */
  return text;
}

char **tsh_bind_opt_command(lua_State *L, int index, const char *name) {
  lua_Integer count;
  char **words;
  int list;

  if (lua_getfield(L, index, name) == LUA_TNIL)
    return NULL;
  list = lua_gettop(L);
  luaL_checktype(L, list, LUA_TTABLE);
  count = luaL_len(L, list);
  if (count < 1)
    luaL_error(L, "option '%s' names no program", name);
  luaL_checkstack(L, (int)count + 8, "too many arguments");
  words = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *words, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_geti(L, list, i + 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "option '%s' is a list of texts", name);
    words[i] = (char *)lua_tostring(L, -1); /* stays on the stack */
  }
  words[count] = NULL;
  return words;
}

static void read_spec(lua_State *L, int index, tsh_login_spec *spec) {
  static const char *const names[] = {
      "protocol", "mechanism", "user",         "password", "token", "ca",
      "cert",     "key",       "key_password", "any_host", NULL};
  static const char *const protocols[] = {"plaintext", "ssl", "sasl_plaintext",
                                          "sasl_ssl"};
  const char *protocol;
  int which = 0;

  tsh_bind_options(L, index, names);
  protocol = tsh_bind_opt_string(L, index, "protocol", protocols[0]);
  while (which < 4 && strcmp(protocol, protocols[which]) != 0)
    which++;
  if (which == 4)
    luaL_error(L, "no protocol '%s'", protocol);
  spec->tls = which % 2 == 1;
  spec->mechanism =
      which >= 2 ? tsh_bind_opt_string(L, index, "mechanism", "PLAIN") : NULL;
  spec->user = tsh_bind_opt_string(L, index, "user", NULL);
  spec->password = tsh_bind_opt_secret(L, index, "password");
  spec->ca = tsh_bind_opt_secret(L, index, "ca");
  spec->cert = tsh_bind_opt_secret(L, index, "cert");
  spec->key = tsh_bind_opt_secret(L, index, "key");
  spec->key_password = tsh_bind_opt_secret(L, index, "key_password");
  spec->any_host = tsh_bind_opt_boolean(L, index, "any_host", 0);
  spec->token_command = tsh_bind_opt_command(L, index, "token");
}

/* login{ protocol, mechanism, user, password, token, ca, cert, ... } ->
 * login | nil, err. Contacts nothing. */
static int wire_login(lua_State *L) {
  tsh_login_spec spec = {0};
  tsh_err err = {0};
  handle *h;

  lua_settop(L, 1);
  read_spec(L, 1, &spec);
  h = tsh_bind_new(L, &login_class);
  if (tsh_login_new(&h->login, &spec, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, h);
  return 1;
}

/* login:replace{...} -> true | nil, err */
static int login_replace(lua_State *L) {
  handle *h = tsh_bind_check(L, 1, &login_class);
  tsh_login_spec spec = {0};
  tsh_err err = {0};

  lua_settop(L, 2);
  read_spec(L, 2, &spec);
  if (tsh_login_replace(h->login, &spec, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

tsh_login *tsh_bind_opt_login(lua_State *L, int index) {
  handle *h = NULL;

  if (lua_getfield(L, index, "login") != LUA_TNIL)
    h = tsh_bind_check(L, lua_gettop(L), &login_class);
  lua_pop(L, 1); /* the table keeps it alive */
  return h != NULL ? h->login : NULL;
}

void tsh_bind_register_login(lua_State *L) {
  tsh_bind_class(L, &login_class);
  lua_pushcfunction(L, wire_login);
  lua_setfield(L, -2, "login");
}
