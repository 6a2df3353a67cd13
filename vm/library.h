/* The Lua library: source text by path, embedded or in a folder. */
#ifndef TRANSHIP_LIBRARY_H
#define TRANSHIP_LIBRARY_H

#include <lua.h>

/* Pushes the compiled chunk of a library path ("kafka/topic.lua") and returns
 * 1, or pushes nothing and returns 0. Raises on a syntax error. */
int tsh_library_load(lua_State *L, const char *path);

/* Before another state is opened in this process: it need not compile again
 * what this one has. */
void tsh_library_share(lua_State *L);

#endif
