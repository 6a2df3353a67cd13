/* What sys_process.c needs of locks. */
#ifndef TRANSHIP_BIND_SYS_FILE_H
#define TRANSHIP_BIND_SYS_FILE_H

#include <lua.h>

/* The descriptor of the lock at `index`; raises on anything else. */
int tsh_sys_lock_fd(lua_State *L, int index);

#endif
