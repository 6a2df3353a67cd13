/* Plain data and Lua values: one function each way for every call. */
#ifndef TRANSHIP_BIND_DATA_H
#define TRANSHIP_BIND_DATA_H

#include "bind.h"
#include "tranship/data.h"

/* A pool that a raised error frees. Pushes its keeper. */
tsh_pool **tsh_bind_pool(lua_State *L);

/* Adds the Lua value at `index` to `to`, as its next item or under `name`
 * (copied). Secrets are opened. Raises on what is no plain data. */
void tsh_bind_read_data(lua_State *L, int index, tsh_pool *pool, tsh_data *to,
                        const char *name);

void tsh_bind_push_data(lua_State *L, const tsh_data *data);

#endif
