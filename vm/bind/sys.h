/* The parts of vm.sys; each adds its functions to the table on top. */
#ifndef TRANSHIP_BIND_SYS_H
#define TRANSHIP_BIND_SYS_H

#include "bind.h"

void tsh_sys_register_digests(lua_State *L);   /* sys_digest.c */
void tsh_sys_register_paths(lua_State *L);     /* sys_path.c */
void tsh_sys_register_files(lua_State *L);     /* sys_file.c */
void tsh_sys_register_feeds(lua_State *L);     /* sys_feed.c */
void tsh_sys_register_processes(lua_State *L); /* sys_process.c */
void tsh_sys_register_probes(lua_State *L);    /* sys_probe.c */

/* Pushes nil and an err made from errno: "<what> <path>: <reason>". */
int tsh_sys_fail(lua_State *L, const char *what, const char *path);

#endif
