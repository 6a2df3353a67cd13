/* Between mirror.c and the tables it takes and gives. */
#ifndef TRANSHIP_BIND_MIRROR_TABLES_H
#define TRANSHIP_BIND_MIRROR_TABLES_H

#include "bind.h"
#include "tranship/mirror.h"

/* Option `name` as an integer from `least` to `most`; raises on any other. */
lua_Integer tsh_bind_opt_range(lua_State *L, int index, const char *name,
                               lua_Integer fallback, lua_Integer least,
                               lua_Integer most);
/* The table at `index` as a flow; raises on what cannot be meant. Its texts
 * are the table's. */
void tsh_bind_read_flow(lua_State *L, int index, tsh_mirror_flow *flow);
void tsh_bind_push_mirror_event(lua_State *L, const tsh_mirror_event *event);

#endif
