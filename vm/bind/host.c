/* vm.host: what this program is made of, and what its state holds open. */
#include "../sources.h"

#include <string.h>

#include "state.h"

#ifndef TRANSHIP_VERSION
#define TRANSHIP_VERSION "0"
#endif

/* census() -> { tasks=, pending=, open={class=n}, leaked={class=n} }: live
 * tasks but the running one, operations under way, handles by class. */
static int host_census(lua_State *L) {
  tsh_state *state = tsh_bind_state(L);
  lua_Integer tasks = 0;

  for (const tsh_task *t = state->tasks; t != NULL; t = t->next)
    tasks += t != state->current;
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, tasks);
  lua_setfield(L, -2, "tasks");
  lua_pushinteger(L, state->pending + state->reaps);
  lua_setfield(L, -2, "pending");
  lua_newtable(L);
  lua_newtable(L);
  for (const tsh_census *c = state->classes; c != NULL; c = c->next) {
    if (c->leaked > 0) {
      lua_pushinteger(L, c->leaked);
      lua_setfield(L, -2, c->name);
    }
    if (c->open > 0) {
      lua_pushinteger(L, c->open);
      lua_setfield(L, -3, c->name);
    }
  }
  lua_setfield(L, -3, "leaked");
  lua_setfield(L, -2, "open");
  return 1;
}

/* library() -> paths of the embedded library, sorted. */
static int host_library(lua_State *L) {
  lua_createtable(L, (int)tsh_source_count, 0);
  for (size_t i = 0; i < tsh_source_count; i++) {
    lua_pushstring(L, tsh_sources[i].path);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* embedded(path) -> text | nil. */
static int host_embedded(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);

  for (size_t i = 0; i < tsh_source_count; i++) {
    if (strcmp(tsh_sources[i].path, path) != 0)
      continue;
    lua_pushlstring(L, (const char *)tsh_sources[i].text,
                    tsh_sources[i].length);
    return 1;
  }
  return 0;
}

static const luaL_Reg functions[] = {{"census", host_census},
                                     {"library", host_library},
                                     {"embedded", host_embedded},
                                     {NULL, NULL}};

int luaopen_vm_host(lua_State *L) {
  luaL_newlib(L, functions);
  lua_pushliteral(L, TRANSHIP_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushstring(L, tsh_bind_state(L)->stdlib);
  lua_setfield(L, -2, "stdlib");
  return 1;
}
