/* Classes and options: the grammar every binding shares. */
#include "bind.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"
#include "tranship/log.h"

/* What stands before the body in every userdata of a class. */
typedef struct header {
  const tsh_class *cls;
  tsh_census *census;
  bool is_open;
  alignas(8) char body[]; /* as Lua aligns userdata: no more than 8 */
} header;

static header *header_of(void *body) {
  return (header *)((char *)body - offsetof(header, body));
}

tsh_state *tsh_bind_state(lua_State *L) {
  return *(tsh_state **)lua_getextraspace(L);
}

tsh_loop *tsh_bind_loop(lua_State *L) { return tsh_bind_state(L)->loop; }

/* Census. */

static tsh_census *census_of(tsh_state *state, const char *name) {
  tsh_census *census;

  for (census = state->classes; census != NULL; census = census->next)
    if (strcmp(census->name, name) == 0)
      return census;
  census = calloc(1, sizeof *census);
  if (census == NULL)
    abort();
  census->name = name;
  census->next = state->classes;
  state->classes = census;
  return census;
}

/* Classes. */

/* The metatable's name is the class's; its address tells classes of one name
 * apart, which would be a mistake of ours. */
static header *check_header(lua_State *L, int index) {
  const tsh_class *cls = lua_touserdata(L, lua_upvalueindex(1));

  return luaL_checkudata(L, index, cls->name);
}

static void release(header *h) {
  if (!h->is_open)
    return;
  h->is_open = false;
  h->census->open--;
  h->cls->release(h->body);
}

static int class_close(lua_State *L) {
  release(check_header(L, 1));
  lua_pushboolean(L, 1);
  return 1;
}

static int class_gc(lua_State *L) {
  header *h = check_header(L, 1);

  if (h->is_open && !h->cls->is_value) {
    h->census->leaked++;
    tsh_log(tsh_bind_state(L)->is_closing ? TSH_DEBUG : TSH_WARN, "leaked %s",
            h->cls->name);
  }
  release(h);
  return 0;
}

static int class_tostring(lua_State *L) {
  header *h = check_header(L, 1);

  lua_pushfstring(L, "%s%s", h->cls->name, h->is_open ? "" : " (closed)");
  return 1;
}

void tsh_bind_class(lua_State *L, const tsh_class *cls) {
  const luaL_Reg own[] = {{"__close", class_close}, {"__gc", class_gc}, {0}};
  const luaL_Reg close[] = {{"close", class_close}, {0}};

  if (!luaL_newmetatable(L, cls->name)) {
    lua_pop(L, 1);
    return;
  }
  census_of(tsh_bind_state(L), cls->name);
  lua_pushlightuserdata(L, (void *)cls);
  luaL_setfuncs(L, own, 1);
  lua_pushlightuserdata(L, (void *)cls);
  lua_pushcclosure(L, class_tostring, 1);
  lua_setfield(L, -2, "__tostring");
  lua_pushstring(L, cls->name);
  lua_setfield(L, -2, "__metatable");
  lua_newtable(L);
  lua_pushlightuserdata(L, (void *)cls);
  luaL_setfuncs(L, close, 1);
  if (cls->methods != NULL)
    luaL_setfuncs(L, cls->methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

enum { VALUES = 2 }; /* Lua values that a handle may hold on to */

void *tsh_bind_new(lua_State *L, const tsh_class *cls) {
  header *h = lua_newuserdatauv(L, offsetof(header, body) + cls->size, VALUES);

  memset(h, 0, offsetof(header, body) + cls->size);
  h->cls = cls;
  h->census = census_of(tsh_bind_state(L), cls->name);
  luaL_setmetatable(L, cls->name);
  return h->body;
}

void tsh_bind_opened(lua_State *L, void *body) {
  header *h = header_of(body);

  (void)L;
  assert(!h->is_open);
  h->is_open = true;
  h->census->open++;
}

void *tsh_bind_check(lua_State *L, int index, const tsh_class *cls) {
  header *h = luaL_checkudata(L, index, cls->name);

  if (!h->is_open)
    luaL_error(L, "%s is closed", cls->name);
  return h->body;
}

void *tsh_bind_test(lua_State *L, int index, const tsh_class *cls) {
  header *h = luaL_testudata(L, index, cls->name);

  return h != NULL && h->is_open ? h->body : NULL;
}

/* Reaping: destroys that wait have no place inside a collection. */

typedef struct reap {
  tsh_work work;
  tsh_state *state;
  void (*destroy)(void *p);
  void *p;
} reap;

static int reap_run(tsh_work *work) {
  reap *r = (reap *)work;

  r->destroy(r->p);
  return 0;
}

static void reap_done(tsh_op *op) {
  reap *r = (reap *)op;

  r->state->reaps--;
  free(r);
}

void tsh_bind_reap(lua_State *L, void (*destroy)(void *p), void *p) {
  reap *r = calloc(1, sizeof *r);

  if (r == NULL)
    abort();
  r->state = tsh_bind_state(L);
  r->state->reaps++;
  r->destroy = destroy;
  r->p = p;
  r->work.run = reap_run;
  r->work.op.done = reap_done;
  tsh_work_start(r->state->loop, &r->work);
}

/* Options. */

static bool is_known(const char *name, const char *const names[]) {
  for (; *names != NULL; names++)
    if (strcmp(name, *names) == 0)
      return true;
  return false;
}

void tsh_bind_options(lua_State *L, int index, const char *const names[]) {
  index = lua_absindex(L, index);
  luaL_checktype(L, index, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;

    if (name == NULL)
      luaL_error(L, "options are named, and one of these is not");
    else if (!is_known(name, names))
      luaL_error(L, "unknown option '%s'", name);
  }
}

const char *tsh_bind_opt_string(lua_State *L, int index, const char *name,
                                const char *fallback) {
  const char *value = fallback;

  if (lua_getfield(L, index, name) == LUA_TSTRING)
    value = lua_tostring(L, -1); /* the table keeps it alive */
  else if (!lua_isnil(L, -1))
    luaL_error(L, "option '%s' is a string, not a %s", name,
               luaL_typename(L, -1));
  lua_pop(L, 1);
  return value;
}

lua_Integer tsh_bind_opt_integer(lua_State *L, int index, const char *name,
                                 lua_Integer fallback) {
  lua_Integer value = fallback;
  int is_integer = 1;

  if (lua_getfield(L, index, name) == LUA_TNUMBER)
    value = lua_tointegerx(L, -1, &is_integer);
  else if (!lua_isnil(L, -1))
    is_integer = 0;
  if (!is_integer)
    luaL_error(L, "option '%s' is an integer", name);
  lua_pop(L, 1);
  return value;
}

int tsh_bind_opt_boolean(lua_State *L, int index, const char *name,
                         int fallback) {
  int value = fallback;

  if (lua_getfield(L, index, name) == LUA_TBOOLEAN)
    value = lua_toboolean(L, -1);
  else if (!lua_isnil(L, -1))
    luaL_error(L, "option '%s' is true or false", name);
  lua_pop(L, 1);
  return value;
}

static int bytes_gc(lua_State *L) {
  uint8_t **bytes = lua_touserdata(L, 1);

  free(*bytes);
  *bytes = NULL;
  return 0;
}

uint8_t **tsh_bind_bytes(lua_State *L) {
  uint8_t **bytes = lua_newuserdatauv(L, sizeof *bytes, 0);

  *bytes = NULL;
  if (luaL_newmetatable(L, "bind.bytes")) {
    lua_pushcfunction(L, bytes_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return bytes;
}
