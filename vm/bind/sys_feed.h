/* What sys_process.c needs of feeds. */
#ifndef TRANSHIP_BIND_SYS_FEED_H
#define TRANSHIP_BIND_SYS_FEED_H

#include <lua.h>

#include "tranship/feed.h"

/* The next item of a feed as a string, nil at its end; may wait. */
int tsh_sys_feed_next(lua_State *L, tsh_feed *from);
/* The number of the signal at `index`, a name without SIG or a number. */
int tsh_sys_signal_number(lua_State *L, int index);

#endif
