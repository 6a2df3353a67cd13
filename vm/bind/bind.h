/* What every binding file shares: classes, error values, waiting.
 *
 * The only C that includes lua.h lives in this folder and in host.c. A bind
 * file may jump (luaL_error) and never owns anything that is not inside a
 * userdata; a core file owns and never jumps. */
#ifndef TRANSHIP_BIND_H
#define TRANSHIP_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "tranship/err.h"
#include "tranship/loop.h"

/* Classes. A class is named as messages show it ("kafka.client"); `methods`
 * must hold close, and may hold anything else; __close, __gc, __tostring,
 * __name and __index are added. `release` frees what the body holds; it never
 * waits (hand blocking destroys to tsh_bind_reap) and is called once. */
typedef struct tsh_class {
  const char *name;
  size_t size;
  void (*release)(void *body);
  const luaL_Reg *methods; /* without close */
  bool is_value; /* nothing outside hangs on it: the collector may close it
                    without that being a leak */
} tsh_class;

/* In luaopen_. The metatable stays open for additions: luaL_getmetatable. */
void tsh_bind_class(lua_State *L, const tsh_class *cls);
/* Pushes a new userdata, zeroed and closed; returns its body. */
void *tsh_bind_new(lua_State *L, const tsh_class *cls);
/* After acquiring: the handle is open (and counted). */
void tsh_bind_opened(lua_State *L, void *body);
/* The body of argument `index`; raises on another type or a closed handle. */
void *tsh_bind_check(lua_State *L, int index, const tsh_class *cls);
/* The same, but NULL instead of raising. */
void *tsh_bind_test(lua_State *L, int index, const tsh_class *cls);

/* Errors. Pushes nil and the err value; returns 2. */
int tsh_bind_fail(lua_State *L, const tsh_err *err);

/* Waiting. Yields the running task until `op` is done, then frees it after
 * `push` has turned its outcome into Lua values (it returns how many; it is
 * only called for status 0, failures become nil, err). Raises outside a task.
 * Use as: return tsh_bind_await(L, &x->op, push_x); with the operation already
 * started. Cancel of the task cancels the op; its late outcome is dropped (the
 * op's `free` is called, `push` is not). The value at stack index 1, usually
 * the handle, is kept alive until `done`; but it may be closed meanwhile, so
 * what an op needs must not go away with the handle. */
typedef int (*tsh_bind_push)(lua_State *L, tsh_op *op);
int tsh_bind_await(lua_State *L, tsh_op *op, tsh_bind_push push);

/* The loop this Lua state lives on. */
tsh_loop *tsh_bind_loop(lua_State *L);
/* Runs `destroy(p)` on the thread pool; the state closes after it is done. */
void tsh_bind_reap(lua_State *L, void (*destroy)(void *p), void *p);

/* Options: field readers for the table at `index`, default beside the name.
 * tsh_bind_options raises on a field not in `names` (NULL-terminated). */
void tsh_bind_options(lua_State *L, int index, const char *const names[]);
const char *tsh_bind_opt_string(lua_State *L, int index, const char *name,
                                const char *fallback);
lua_Integer tsh_bind_opt_integer(lua_State *L, int index, const char *name,
                                 lua_Integer fallback);
int tsh_bind_opt_boolean(lua_State *L, int index, const char *name,
                         int fallback);

/* Pushes a place for malloc'd bytes, NULL at first; they are freed with it,
 * also past a raise. */
uint8_t **tsh_bind_bytes(lua_State *L);

/* Secrets: bytes of a vm.secret userdata or of a plain string. The only door
 * through which a sink opens a secret; bytes stay valid while it is on the
 * stack. Returns NULL when the value is neither. */
const char *tsh_bind_secret(lua_State *L, int index, size_t *length);
/* Pushes a secret with these bytes; returns 1. */
int tsh_bind_push_secret(lua_State *L, const char *bytes, size_t length,
                         const char *label);

#endif
