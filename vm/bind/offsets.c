/* vm.offsets: exact maps from source to target offsets. */
#include "tranship/offsets.h"

#include <stdlib.h>

#include "bind.h"

typedef struct handle {
  tsh_offsets *map;
} handle;

static void handle_release(void *body) {
  tsh_offsets_free(((handle *)body)->map);
}

static int map_append(lua_State *L);
static int map_reach(lua_State *L);
static int map_lookup(lua_State *L);
static int map_reverse(lua_State *L);
static int map_segments(lua_State *L);
static int map_position(lua_State *L);
static int map_save(lua_State *L);

static const luaL_Reg map_methods[] = {
    {"append", map_append},     {"reach", map_reach},
    {"lookup", map_lookup},     {"reverse", map_reverse},
    {"segments", map_segments}, {"position", map_position},
    {"save", map_save},         {NULL, NULL}};

static const tsh_class map_class = {"offsets.map", sizeof(handle),
                                    handle_release, map_methods};

static tsh_offsets *check_map(lua_State *L) {
  return ((handle *)tsh_bind_check(L, 1, &map_class))->map;
}

static int success(lua_State *L) {
  lua_pushboolean(L, 1);
  return 1;
}

/* map:append(source, target, count) -> true | nil, err */
static int map_append(lua_State *L) {
  tsh_offsets *map = check_map(L);
  tsh_err err;

  if (tsh_offsets_append(map, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3),
                         luaL_checkinteger(L, 4), &err) != 0)
    return tsh_bind_fail(L, &err);
  return success(L);
}

/* map:reach(source, target) */
static int map_reach(lua_State *L) {
  tsh_offsets_reach(check_map(L), luaL_checkinteger(L, 2),
                    luaL_checkinteger(L, 3));
  return 0;
}

static int push_found(lua_State *L, tsh_found found, int64_t offset) {
  if (found >= TSH_FOUND_BEHIND)
    lua_pushnil(L);
  else
    lua_pushinteger(L, offset);
  lua_pushstring(L, tsh_found_name(found));
  return 2;
}

/* map:lookup(source) -> target | nil, how */
static int map_lookup(lua_State *L) {
  int64_t offset = 0;
  tsh_found found =
      tsh_offsets_lookup(check_map(L), luaL_checkinteger(L, 2), &offset);

  return push_found(L, found, offset);
}

/* map:reverse(target) -> source | nil, how */
static int map_reverse(lua_State *L) {
  int64_t offset = 0;
  tsh_found found =
      tsh_offsets_reverse(check_map(L), luaL_checkinteger(L, 2), &offset);

  return push_found(L, found, offset);
}

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/* map:segments() -> {{source, target, count}, ...} with named fields */
static int map_segments(lua_State *L) {
  tsh_offsets *map = check_map(L);
  size_t count = tsh_offsets_count(map);

  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    tsh_segment segment = tsh_offsets_at(map, i);

    lua_createtable(L, 0, 3);
    set_integer(L, "source", segment.source);
    set_integer(L, "target", segment.target);
    set_integer(L, "count", segment.count);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* map:position() -> source, target */
static int map_position(lua_State *L) {
  int64_t source, target;

  tsh_offsets_position(check_map(L), &source, &target);
  lua_pushinteger(L, source);
  lua_pushinteger(L, target);
  return 2;
}

/* map:save() -> string | nil, err */
static int map_save(lua_State *L) {
  tsh_offsets *map = check_map(L);
  uint8_t **bytes = tsh_bind_bytes(L);
  size_t size;
  tsh_err err;

  if (tsh_offsets_save(map, bytes, &size, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushlstring(L, (const char *)*bytes, size);
  return 1;
}

static handle *push_map(lua_State *L) { return tsh_bind_new(L, &map_class); }

/* new{ source, target } -> map */
static int offsets_new(lua_State *L) {
  static const char *const names[] = {"source", "target", NULL};
  int64_t source = 0, target = 0;
  handle *h;

  if (!lua_isnoneornil(L, 1)) {
    tsh_bind_options(L, 1, names);
    source = tsh_bind_opt_integer(L, 1, "source", 0);
    target = tsh_bind_opt_integer(L, 1, "target", 0);
  }
  h = push_map(L);
  h->map = tsh_offsets_new(source, target);
  if (h->map == NULL)
    return luaL_error(L, "not enough memory");
  tsh_bind_opened(L, h);
  return 1;
}

/* The table on top as a segment; false where a field is no integer. */
static int read_segment(lua_State *L, tsh_segment *out) {
  int64_t *const to[] = {&out->source, &out->target, &out->count};
  static const char *const names[] = {"source", "target", "count"};
  int is_integer = lua_istable(L, -1);

  for (int i = 0; i < 3 && is_integer; i++) {
    lua_getfield(L, -1, names[i]);
    *to[i] = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
  }
  return is_integer;
}

/* The list at 1. Where it begins is told nowhere, so the map begins at 0. */
static int load_list(lua_State *L) {
  handle *h = push_map(L);
  tsh_segment next;
  tsh_err err;
  int is_segment = 1, status = 0;

  h->map = tsh_offsets_new(0, 0);
  if (h->map == NULL)
    return luaL_error(L, "not enough memory");
  tsh_bind_opened(L, h);
  for (lua_Integer i = 1; status == 0 && lua_geti(L, 1, i) != LUA_TNIL; i++) {
    if (!(is_segment = read_segment(L, &next)))
      break;
    status =
        tsh_offsets_append(h->map, next.source, next.target, next.count, &err);
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  if (!is_segment || status != 0)
    luaL_callmeta(L, 2, "__close");
  luaL_argcheck(L, is_segment, 1,
                "a segment has integers source, target and count");
  lua_settop(L, 2);
  return status != 0 ? tsh_bind_fail(L, &err) : 1;
}

/* load(list of segments | saved string) -> map | nil, err */
static int offsets_load(lua_State *L) {
  size_t size;
  const char *bytes;
  handle *h;
  tsh_err err;

  lua_settop(L, 1);
  if (lua_istable(L, 1))
    return load_list(L);
  bytes = luaL_checklstring(L, 1, &size);
  h = push_map(L);
  if (tsh_offsets_load(&h->map, (const uint8_t *)bytes, size, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, h);
  return 1;
}

static const luaL_Reg functions[] = {
    {"new", offsets_new}, {"load", offsets_load}, {NULL, NULL}};

int luaopen_vm_offsets(lua_State *L);

int luaopen_vm_offsets(lua_State *L) {
  tsh_bind_class(L, &map_class);
  luaL_newlib(L, functions);
  return 1;
}
