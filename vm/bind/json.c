/* vm.json: Lua values to JSON text and back.
 *
 * A table is an array if its keys are 1..n, else an object; an empty one is an
 * object unless json.array marked it. Trees hang in a guard userdata, so that
 * an error in the middle frees them. */
#include "json.h"

#include <math.h>
#include <string.h>

enum { DEEPEST = 200, MOST_BYTES = 1 << 30 };

static const char array_metatable[] = "json.array";

/* Where the value stands that is encoded: only a Secret's data may hold
 * secrets, and only on the way to a server that keeps them. */
typedef enum place { SHOWN, REFUSED, TOP, IN_DATA, IN_STRING_DATA } place;

/* The guard. */

typedef struct guard {
  json_t *tree;
  tsh_buf text;
} guard;

static void guard_release(void *body) {
  guard *g = body;

  json_decref(g->tree);
  tsh_buf_wipe(&g->text);
}

static const tsh_class guard_class = {"json.tree", sizeof(guard), guard_release,
                                      NULL};

/* Closed on every way out of the function that pushes it. */
static guard *push_guard(lua_State *L) {
  guard *g = tsh_bind_new(L, &guard_class);

  tsh_buf_init(&g->text, MOST_BYTES);
  tsh_bind_opened(L, g);
  lua_toclose(L, -1);
  return g;
}

/* Encoding. Every new node is hung into the tree before it is filled. */

static bool is_array(lua_State *L, int index, lua_Integer *length) {
  lua_Integer count = 0;
  bool is_marked = false;

  if (lua_getmetatable(L, index)) {
    luaL_getmetatable(L, array_metatable);
    is_marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  *length = (lua_Integer)lua_rawlen(L, index);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;

    if (key < 1 || key > *length) {
      lua_pop(L, 2);
      return false;
    }
    count++;
  }
  return count == *length && (count > 0 || is_marked);
}

static void check_new(lua_State *L, const json_t *node) {
  if (node == NULL)
    luaL_error(L, "json: no memory");
}

static json_t *secret_node(lua_State *L, int index, place at) {
  size_t length;
  const char *bytes = tsh_bind_secret(L, index, &length);
  tsh_buf coded;
  json_t *node;

  if (bytes == NULL || at == TOP || at == REFUSED)
    luaL_error(L, "json: a secret may stand in data or stringData of a Secret");
  if (at == IN_STRING_DATA)
    return json_stringn(bytes, length);
  tsh_buf_init(&coded, MOST_BYTES);
  tsh_base64_encode(bytes, length, &coded);
  node = json_stringn(tsh_buf_text(&coded), coded.length);
  tsh_buf_wipe(&coded);
  return node;
}

static json_t *userdata_node(lua_State *L, int index, place at) {
  bool hid = false;
  json_t *node =
      tsh_bind_view_copy(L, index, at != SHOWN && at != REFUSED, &hid);

  if (hid && at == REFUSED) {
    json_decref(node);
    luaL_error(L, "json: what is hidden there may stand in a Secret only");
  }
  if (node != NULL)
    return node;
  if (luaL_testudata(L, index, "secret") == NULL)
    luaL_error(L, "json: a userdata has no JSON form");
  if (at != SHOWN)
    return secret_node(L, index, at);
  node = json_string(luaL_tolstring(L, index, NULL)); /* what it may show */
  lua_pop(L, 1);
  return node;
}

/* A node without children, or an empty container, for the value `index`. */
static json_t *new_node(lua_State *L, int index, lua_Integer *length,
                        place at) {
  size_t size;
  const char *text;
  json_t *node;

  *length = -1;
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
      return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
      if (lua_isinteger(L, index))
        return json_integer(lua_tointeger(L, index));
      if (!isfinite(lua_tonumber(L, index)))
        luaL_error(L, "json: %f is no JSON number", lua_tonumber(L, index));
      return json_real(lua_tonumber(L, index));
    case LUA_TSTRING:
      text = lua_tolstring(L, index, &size);
      node = json_stringn(text, size);
      if (node == NULL)
        luaL_error(L, "json: a string is not UTF-8");
      return node;
    case LUA_TTABLE:
      return is_array(L, index, length) ? json_array() : json_object();
    case LUA_TUSERDATA:
      return userdata_node(L, index, at);
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, index) == NULL)
        return json_null();
      /* fall through */
    default:
      luaL_error(L, "json: a %s has no JSON form", luaL_typename(L, index));
      return NULL;
  }
}

static void fill(lua_State *L, json_t *node, int index, lua_Integer length,
                 int depth, place at);

static json_t *child_node(lua_State *L, lua_Integer *length, place at) {
  json_t *child = new_node(L, lua_gettop(L), length, at);

  check_new(L, child);
  return child;
}

static void fill_array(lua_State *L, json_t *node, int index,
                       lua_Integer length, int depth, place at) {
  lua_Integer child_length;

  for (lua_Integer i = 1; i <= length; i++) {
    json_t *child;

    lua_rawgeti(L, index, i);
    child = child_node(L, &child_length, at);
    if (json_array_append_new(node, child) != 0)
      luaL_error(L, "json: no memory");
    fill(L, child, lua_gettop(L), child_length, depth, at);
    lua_pop(L, 1);
  }
}

/* Depth 1: the children of the top. */
static place place_of(const char *key, int depth, place at) {
  if (at != TOP || depth != 1)
    return at;
  if (strcmp(key, "data") == 0)
    return IN_DATA;
  return strcmp(key, "stringData") == 0 ? IN_STRING_DATA : TOP;
}

static void fill_object(lua_State *L, json_t *node, int index, int depth,
                        place at) {
  lua_Integer child_length;

  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    size_t size;
    const char *key;
    json_t *child;
    place inner;

    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "json: an object's key is a %s, not a string",
                 luaL_typename(L, -2));
    key = lua_tolstring(L, -2, &size);
    inner = place_of(key, depth, at);
    child = child_node(L, &child_length, inner);
    if (json_object_setn_new(node, key, size, child) != 0)
      luaL_error(L, "json: a key is not UTF-8");
    fill(L, child, lua_gettop(L), child_length, depth, inner);
  }
}

static void fill(lua_State *L, json_t *node, int index, lua_Integer length,
                 int depth, place at) {
  if (depth > DEEPEST)
    luaL_error(L, "json: nested deeper than %d (or within itself)", DEEPEST);
  if (json_is_array(node) || json_is_object(node))
    luaL_checkstack(L, 8, "json");
  if (lua_type(L, index) != LUA_TTABLE)
    return; /* a view, copied whole */
  if (json_is_array(node))
    fill_array(L, node, index, length, depth + 1, at);
  else
    fill_object(L, node, index, depth + 1, at);
}

tsh_buf *tsh_bind_json_text(lua_State *L, int index, tsh_secrets secrets) {
  place at = secrets == TSH_SECRETS_SHOWN     ? SHOWN
             : secrets == TSH_SECRETS_REFUSED ? REFUSED
                                              : TOP;
  lua_Integer length;
  guard *g;
  tsh_err err;

  index = lua_absindex(L, index);
  g = push_guard(L);
  g->tree = new_node(L, index, &length, at);
  check_new(L, g->tree);
  fill(L, g->tree, index, length, 0, at);
  if (tsh_json_write(g->tree, 0, &g->text, &err) != 0)
    luaL_error(L, "json: %s", err.message);
  return &g->text;
}

/* encode(value, { indent = n }) -> text. Raises on what has no JSON form. */
static int json_encode(lua_State *L) {
  static const char *const names[] = {"indent", NULL};
  lua_Integer indent = 0, length;
  guard *g;
  tsh_err err;

  luaL_checkany(L, 1);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    tsh_bind_options(L, 2, names);
    indent = tsh_bind_opt_integer(L, 2, "indent", 0);
  }
  g = push_guard(L);
  g->tree = new_node(L, 1, &length, SHOWN);
  check_new(L, g->tree);
  fill(L, g->tree, 1, length, 0, SHOWN);
  if (tsh_json_write(g->tree, (int)indent, &g->text, &err) != 0)
    return luaL_error(L, "json: %s", err.message);
  lua_pushlstring(L, tsh_buf_text(&g->text), g->text.length);
  return 1;
}

/* Decoding. */

void tsh_bind_push_scalar(lua_State *L, const json_t *node) {
  switch (json_typeof(node)) {
    case JSON_STRING:
      lua_pushlstring(L, json_string_value(node), json_string_length(node));
      return;
    case JSON_INTEGER:
      lua_pushinteger(L, json_integer_value(node));
      return;
    case JSON_REAL:
      lua_pushnumber(L, json_real_value(node));
      return;
    case JSON_NULL:
      lua_pushlightuserdata(L, NULL);
      return;
    default:
      lua_pushboolean(L, json_is_true(node));
  }
}

void tsh_bind_mark_array(lua_State *L) {
  luaL_setmetatable(L, array_metatable);
}

void tsh_bind_push_tree(lua_State *L, json_t *tree) {
  size_t i, size;
  const char *key;
  json_t *child;

  luaL_checkstack(L, 4, "json");
  switch (json_typeof(tree)) {
    case JSON_OBJECT:
      lua_createtable(L, 0, (int)json_object_size(tree));
      json_object_keylen_foreach(tree, key, size, child) {
        lua_pushlstring(L, key, size);
        tsh_bind_push_tree(L, child);
        lua_rawset(L, -3);
      }
      return;
    case JSON_ARRAY:
      lua_createtable(L, (int)json_array_size(tree), 0);
      tsh_bind_mark_array(L);
      json_array_foreach(tree, i, child) {
        tsh_bind_push_tree(L, child);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
      }
      return;
    default:
      tsh_bind_push_scalar(L, tree);
  }
}

/* decode(text) -> value | nil, err. null is json.null; arrays are marked. */
static int json_decode(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  guard *g;
  tsh_err err;

  lua_settop(L, 1);
  g = push_guard(L);
  if (tsh_json_read(&g->tree, text, length, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_push_tree(L, g->tree);
  return 1;
}

/* array(t) -> t, marked: an array even when it is empty. */
static int json_mark_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, array_metatable);
  return 1;
}

static const luaL_Reg functions[] = {{"encode", json_encode},
                                     {"decode", json_decode},
                                     {"array", json_mark_array},
                                     {NULL, NULL}};

int luaopen_vm_json(lua_State *L) {
  tsh_bind_class(L, &guard_class);
  luaL_newmetatable(L, array_metatable);
  luaL_newlib(L, functions);
  tsh_bind_view_register(L);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
