/* Plain data and Lua values. A table's items 1..n become the sequence, its
 * text keys the named fields; nothing else can cross. */
#include "data.h"

static const char metatable[] = "data.pool";

enum { DEEPEST = 16 };

static int pool_gc(lua_State *L) {
  tsh_pool **slot = luaL_checkudata(L, 1, metatable);

  tsh_pool_free(*slot);
  *slot = NULL;
  return 0;
}

tsh_pool **tsh_bind_pool(lua_State *L) {
  tsh_pool **slot = lua_newuserdatauv(L, sizeof *slot, 0);

  *slot = NULL;
  if (luaL_newmetatable(L, metatable)) {
    lua_pushcfunction(L, pool_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *slot = tsh_pool_new();
  if (*slot == NULL)
    luaL_error(L, "no memory");
  return slot;
}

static void read_value(lua_State *L, int index, tsh_pool *pool, tsh_data *to,
                       const char *name, int depth);

static void read_table(lua_State *L, int index, tsh_pool *pool, tsh_data *to,
                       int depth) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);

  if (depth > DEEPEST)
    luaL_error(L, "a value nests too deeply");
  luaL_checkstack(L, 4, "a value nests too deeply");
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, index, i);
    read_value(L, lua_gettop(L), pool, to, NULL, depth);
    lua_pop(L, 1);
  }
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING)
      read_value(L, lua_gettop(L), pool, to,
                 tsh_pool_text(pool, lua_tostring(L, -2)), depth);
    else if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 ||
             lua_tointeger(L, -2) > count)
      luaL_error(L, "a table has names or items 1..n, nothing else");
  }
}

static void read_text(lua_State *L, int index, tsh_pool *pool, tsh_data *to,
                      const char *name) {
  size_t length;
  const char *text = tsh_bind_secret(L, index, &length);

  if (text == NULL)
    luaL_error(L, "a %s cannot be handed over", luaL_typename(L, index));
  tsh_data_add_bytes(pool, to, name, tsh_pool_copy(pool, text, length), length);
}

static void read_value(lua_State *L, int index, tsh_pool *pool, tsh_data *to,
                       const char *name, int depth) {
  int is_integer;
  lua_Integer number;

  switch (lua_type(L, index)) {
    case LUA_TNIL:
      tsh_data_add_none(pool, to);
      break;
    case LUA_TBOOLEAN:
      tsh_data_add_flag(pool, to, name, lua_toboolean(L, index));
      break;
    case LUA_TNUMBER:
      number = lua_tointegerx(L, index, &is_integer);
      if (!is_integer)
        luaL_error(L, "%f is not a whole number", lua_tonumber(L, index));
      tsh_data_add_number(pool, to, name, number);
      break;
    case LUA_TTABLE:
      read_table(L, index, pool, tsh_data_add_table(pool, to, name), depth + 1);
      break;
    default:
      read_text(L, index, pool, to, name);
  }
}

void tsh_bind_read_data(lua_State *L, int index, tsh_pool *pool, tsh_data *to,
                        const char *name) {
  read_value(L, lua_absindex(L, index), pool, to,
             name ? tsh_pool_text(pool, name) : NULL, 0);
}

static void push_table(lua_State *L, const tsh_data *data) {
  lua_Integer i = 0;

  luaL_checkstack(L, 3, "an answer nests too deeply");
  lua_createtable(L, (int)tsh_data_count(data), 0);
  TSH_DATA_EACH(item, data) {
    tsh_bind_push_data(L, item);
    if (item->name != NULL)
      lua_setfield(L, -2, item->name);
    else
      lua_rawseti(L, -2, ++i);
  }
}

void tsh_bind_push_data(lua_State *L, const tsh_data *data) {
  switch (data->kind) {
    case TSH_DATA_NONE:
      lua_pushnil(L);
      break;
    case TSH_DATA_FLAG:
      lua_pushboolean(L, data->as.flag);
      break;
    case TSH_DATA_NUMBER:
      lua_pushinteger(L, data->as.number);
      break;
    case TSH_DATA_TEXT:
      lua_pushlstring(L, data->as.text.bytes, data->as.text.length);
      break;
    case TSH_DATA_TABLE:
      push_table(L, data);
      break;
    case TSH_DATA_ERR:
      tsh_bind_fail(L, data->as.err);
      lua_remove(L, -2);
      break;
  }
}
