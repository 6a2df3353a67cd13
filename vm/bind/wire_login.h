/* Logins as Lua values: what the files of raw connections need of them. */
#ifndef TRANSHIP_BIND_WIRE_LOGIN_H
#define TRANSHIP_BIND_WIRE_LOGIN_H

#include "bind.h"
#include "tranship/login.h"

/* The login in field "login" of the table at `index`, or NULL. It stays while
 * the table does; keep it to hold it longer. */
tsh_login *tsh_bind_opt_login(lua_State *L, int index);

/* A text or a secret in a field, NULL without one; as long as the table. */
const char *tsh_bind_opt_secret(lua_State *L, int index, const char *name);
/* A list of texts in a field, for a command: NULL without one. The list is the
 * collector's, and on the stack. */
char **tsh_bind_opt_command(lua_State *L, int index, const char *name);

/* Adds the class and wire.login to the table on top. */
void tsh_bind_register_login(lua_State *L);

#endif
