/* vm.err: the error value as Lua sees it.
 *
 * A table with kind, origin, code, message, retriable, fatal and cause, under
 * one locked metatable, whether C or Lua made it. */
#include <string.h>

#include "bind.h"
#include "state.h"

static const char metatable[] = "err";

void tsh_bind_push_err(lua_State *L, const tsh_err *err) {
  lua_createtable(L, 0, 6);
  lua_pushstring(L, tsh_kind_name(err->kind));
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, err->message);
  lua_setfield(L, -2, "message");
  if (err->origin != NULL) {
    lua_pushstring(L, err->origin);
    lua_setfield(L, -2, "origin");
  }
  lua_pushinteger(L, err->code);
  lua_setfield(L, -2, "code");
  lua_pushboolean(L, err->retriable);
  lua_setfield(L, -2, "retriable");
  lua_pushboolean(L, err->fatal);
  lua_setfield(L, -2, "fatal");
  luaL_setmetatable(L, metatable);
}

int tsh_bind_fail(lua_State *L, const tsh_err *err) {
  lua_pushnil(L);
  tsh_bind_push_err(L, err);
  return 2;
}

static bool is_err(lua_State *L, int index) {
  bool same;

  if (!lua_istable(L, index) || !lua_getmetatable(L, index))
    return false;
  luaL_getmetatable(L, metatable);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

void tsh_bind_push_bug(lua_State *L, int index, const char *traceback) {
  index = lua_absindex(L, index);
  if (is_err(L, index)) {
    lua_pushvalue(L, index);
    return;
  }
  lua_createtable(L, 0, 4);
  lua_pushliteral(L, "bug");
  lua_setfield(L, -2, "kind");
  if (lua_type(L, index) == LUA_TSTRING)
    lua_pushvalue(L, index);
  else
    lua_pushfstring(L, "an error of type %s", luaL_typename(L, index));
  lua_setfield(L, -2, "message");
  lua_pushvalue(L, index);
  lua_setfield(L, -2, "value");
  if (traceback != NULL) {
    lua_pushstring(L, traceback);
    lua_setfield(L, -2, "traceback");
  }
  luaL_setmetatable(L, metatable);
}

/* One line: the origin, the message, and what it was caused by. */
static int err_tostring(lua_State *L) {
  luaL_Buffer b;

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "origin");
  lua_getfield(L, 1, "message");
  lua_getfield(L, 1, "kind");
  lua_getfield(L, 1, "cause");
  luaL_buffinit(L, &b);
  if (lua_isstring(L, 2)) {
    lua_pushvalue(L, 2);
    luaL_addvalue(&b);
    luaL_addstring(&b, ": ");
  }
  lua_pushvalue(L, lua_isstring(L, 3) ? 3 : 4);
  if (!lua_isstring(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "an error without a message");
  }
  luaL_addvalue(&b);
  if (!lua_isnil(L, 5)) {
    luaL_addstring(&b, ": ");
    luaL_tolstring(L, 5, NULL);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

static int err_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, metatable);
  return 1;
}

static int err_is(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, is_err(L, 1));
  return 1;
}

static const luaL_Reg functions[] = {
    {"new", err_new}, {"is", err_is}, {NULL, NULL}};

int luaopen_vm_err(lua_State *L) {
  luaL_newmetatable(L, metatable);
  lua_pushcfunction(L, err_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushstring(L, metatable);
  lua_setfield(L, -2, "__metatable");
  luaL_newlib(L, functions);
  return 1;
}
