/* The Lua library: chunks by path, embedded or in a folder. */
#ifndef TRANSHIP_LIBRARY_H
#define TRANSHIP_LIBRARY_H

#include <lua.h>

/* Pushes the compiled chunk of a library path ("kafka/topic.lua") and returns
 * 1, or pushes nothing and returns 0. Raises on a syntax error. */
int tsh_library_load(lua_State *L, const char *path);

#endif
