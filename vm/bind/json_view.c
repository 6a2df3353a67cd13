/* Views of JSON trees: objects and arrays that are read like tables, without
 * there being any. A list of ten thousand objects costs Lua what is looked
 * at. Views cannot be changed; json.copy makes a table of one. */
#include <string.h>

#include "json.h"

typedef struct view {
  json_t *node;
  tsh_hide hide;
} view;

static void view_release(void *body) { json_decref(((view *)body)->node); }

static const tsh_class view_class = {"json.view", sizeof(view), view_release,
                                     NULL, true};

/* What is hidden. */

static const char last_applied[] =
    "kubectl.kubernetes.io/last-applied-configuration";

static tsh_hide hide_child(tsh_hide hide, const char *key) {
  if (hide == TSH_HIDE_SECRET && key != NULL) {
    if (strcmp(key, "data") == 0)
      return TSH_HIDE_BASE64;
    if (strcmp(key, "stringData") == 0 || strcmp(key, last_applied) == 0)
      return TSH_HIDE_TEXT;
  }
  if (hide == TSH_HIDE_TOKEN && key != NULL && strcmp(key, "token") == 0)
    return TSH_HIDE_TEXT;
  return hide;
}

static bool hides_all(tsh_hide hide) {
  return hide == TSH_HIDE_BASE64 || hide == TSH_HIDE_TEXT;
}

static void push_hidden(lua_State *L, const json_t *node, const char *key,
                        tsh_hide hide) {
  const char *text = json_string_value(node);
  size_t length = json_string_length(node);
  tsh_buf plain;
  uint8_t **keeper;

  if (hide == TSH_HIDE_TEXT) {
    tsh_bind_push_secret(L, text, length, key);
    return;
  }
  keeper = tsh_bind_bytes(L);
  tsh_buf_init(&plain, length + 64);
  if (!tsh_base64_decode(text, &plain)) {
    tsh_buf_wipe(&plain);
    luaL_error(L, "json: what stands under '%s' is not base64", key);
  }
  *keeper = (uint8_t *)plain.data; /* freed with it, also past a raise */
  tsh_bind_push_secret(L, tsh_buf_text(&plain), plain.length, key);
  if (plain.data != NULL)
    explicit_bzero(plain.data, plain.length);
  lua_remove(L, -2);
}

void tsh_bind_push_view(lua_State *L, json_t *node, const char *key,
                        tsh_hide hide) {
  view *v;

  if (json_is_string(node) && hides_all(hide)) {
    push_hidden(L, node, key != NULL ? key : "secret", hide);
  } else if (!json_is_object(node) && !json_is_array(node)) {
    tsh_bind_push_scalar(L, node);
  } else {
    v = tsh_bind_new(L, &view_class);
    v->node = json_incref(node);
    v->hide = hide;
    tsh_bind_opened(L, v);
  }
}

/* Who set which field is half of what servers send, and of lists and events
 * nobody asks it (kubectl does not show it either): whoever does, gets the
 * object. */
static void drop_managers(json_t *object) {
  json_object_del(json_object_get(object, "metadata"), "managedFields");
}

static void make_lean(json_t *tree) {
  json_t *items = json_object_get(tree, "items"), *item;
  size_t i;

  json_array_foreach(items, i, item) drop_managers(item);
  drop_managers(json_object_get(tree, "object"));
}

int tsh_bind_push_parsed(lua_State *L, const char *text, size_t length,
                         tsh_hide hide, tsh_err *err) {
  view *v = tsh_bind_new(L, &view_class);
  int rc = tsh_json_read(&v->node, text, length, err);

  if (rc != 0) {
    lua_pop(L, 1);
    return rc;
  }
  make_lean(v->node);
  v->hide = hide;
  tsh_bind_opened(L, v);
  if (!json_is_object(v->node) && !json_is_array(v->node)) {
    tsh_bind_push_scalar(L, v->node);
    lua_remove(L, -2);
  }
  return 0;
}

/* Copies. */

static json_t *veiled(json_t *node, tsh_hide hide, bool *hid) {
  const char *key;
  json_t *child, *out;
  size_t i;

  if (json_is_object(node)) {
    out = json_object();
    json_object_foreach(node, key, child) json_object_set_new(
        out, key, veiled(child, hide_child(hide, key), hid));
    return out;
  }
  if (json_is_array(node)) {
    out = json_array();
    json_array_foreach(node, i, child)
        json_array_append_new(out, veiled(child, hide, hid));
    return out;
  }
  if (!json_is_string(node) || !hides_all(hide))
    return json_copy(node);
  *hid = true;
  return json_string("<secret>");
}

json_t *tsh_bind_view_copy(lua_State *L, int index, bool is_open, bool *hid) {
  view *v = tsh_bind_test(L, index, &view_class);

  if (v == NULL)
    return NULL;
  return is_open || v->hide == TSH_HIDE_NOTHING ? json_deep_copy(v->node)
                                                : veiled(v->node, v->hide, hid);
}

static void push_copy(lua_State *L, json_t *node, const char *key,
                      tsh_hide hide) {
  json_t *child;
  size_t i;

  luaL_checkstack(L, 4, "json");
  if (json_is_object(node)) {
    lua_createtable(L, 0, (int)json_object_size(node));
    json_object_foreach(node, key, child) {
      push_copy(L, child, key, hide_child(hide, key));
      lua_setfield(L, -2, key);
    }
  } else if (json_is_array(node)) {
    lua_createtable(L, (int)json_array_size(node), 0);
    tsh_bind_mark_array(L);
    json_array_foreach(node, i, child) {
      push_copy(L, child, key, hide);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
  } else {
    tsh_bind_push_view(L, node, key, hide);
  }
}

/* copy(value) -> a table, all the way down; what is no view comes back. */
static int json_copy_view(lua_State *L) {
  view *v = tsh_bind_test(L, 1, &view_class);

  lua_settop(L, 1);
  if (v != NULL)
    push_copy(L, v->node, NULL, v->hide);
  return 1;
}

/* Reading. */

static int view_index(lua_State *L) {
  view *v = tsh_bind_check(L, 1, &view_class);
  json_t *child = NULL;
  const char *key = NULL;
  tsh_hide hide = v->hide;

  if (lua_type(L, 2) == LUA_TSTRING) {
    key = lua_tostring(L, 2);
    child = json_object_get(v->node, key);
    hide = hide_child(hide, key);
  } else if (lua_isinteger(L, 2) && lua_tointeger(L, 2) > 0) {
    child = json_array_get(v->node, (size_t)lua_tointeger(L, 2) - 1);
  }
  if (child == NULL)
    lua_pushnil(L);
  else
    tsh_bind_push_view(L, child, key, hide);
  return 1;
}

static int view_newindex(lua_State *L) {
  return luaL_error(L, "what a server said cannot be changed; json.copy makes "
                       "a table of it");
}

static int view_len(lua_State *L) {
  view *v = tsh_bind_check(L, 1, &view_class);

  lua_pushinteger(L, (lua_Integer)json_array_size(v->node));
  return 1;
}

/* Steps of pairs: (view, key before) -> key, value. */

static int array_step(lua_State *L) {
  view *v = tsh_bind_check(L, 1, &view_class);
  lua_Integer i = luaL_optinteger(L, 2, 0);
  json_t *child = json_array_get(v->node, (size_t)i);

  if (child == NULL)
    return 0;
  lua_pushinteger(L, i + 1);
  tsh_bind_push_view(L, child, NULL, v->hide);
  return 2;
}

static int object_step(lua_State *L) {
  view *v = tsh_bind_check(L, 1, &view_class);
  const char *key = luaL_optstring(L, 2, NULL);
  void *at =
      key == NULL
          ? json_object_iter(v->node)
          : json_object_iter_next(v->node, json_object_iter_at(v->node, key));

  if (at == NULL)
    return 0;
  key = json_object_iter_key(at);
  lua_pushstring(L, key);
  tsh_bind_push_view(L, json_object_iter_value(at), key,
                     hide_child(v->hide, key));
  return 2;
}

static int view_pairs(lua_State *L) {
  view *v = tsh_bind_check(L, 1, &view_class);

  lua_pushcfunction(L, json_is_array(v->node) ? array_step : object_step);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

static int view_tostring(lua_State *L) {
  tsh_buf *text = tsh_bind_json_text(L, 1, TSH_SECRETS_SHOWN);

  lua_pushlstring(L, tsh_buf_text(text), text->length);
  return 1;
}

/* is_view(value) -> boolean; is_array(value): of a view. */
static int json_is_view(lua_State *L) {
  lua_pushboolean(L, tsh_bind_test(L, 1, &view_class) != NULL);
  return 1;
}

static int json_is_list(lua_State *L) {
  view *v = tsh_bind_test(L, 1, &view_class);

  lua_pushboolean(L, v != NULL && json_is_array(v->node));
  return 1;
}

/* equal(a, b) -> whether two views say the same, what they hide included. */
static int json_equal_views(lua_State *L) {
  view *a = tsh_bind_check(L, 1, &view_class);
  view *b = tsh_bind_check(L, 2, &view_class);

  lua_pushboolean(L, json_equal(a->node, b->node));
  return 1;
}

static const luaL_Reg metamethods[] = {
    {"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len},
    {"__pairs", view_pairs}, {"__tostring", view_tostring}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"copy", json_copy_view},
                                     {"is_view", json_is_view},
                                     {"is_array", json_is_list},
                                     {"equal", json_equal_views},
                                     {NULL, NULL}};

void tsh_bind_view_register(lua_State *L) {
  tsh_bind_class(L, &view_class);
  luaL_getmetatable(L, view_class.name);
  luaL_setfuncs(L, metamethods, 0);
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
