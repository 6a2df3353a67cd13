/* vm.sandbox: what untrusted code may reach, and running it within a box.
 *
 * The safe library keeps three promises that Lua's own does not: the order of
 * pairs and next depends on the keys alone, nothing shows an address, and
 * pcall does not hold up code that has to end. Its tables are put together in
 * the Lua half (sandbox.lua); limits are box.c's. */
#include <stdlib.h>
#include <string.h>

#include "box.h"
#include "tranship/host.h"

/* A frozen table is a proxy; this key of its metatable says so, and its
 * __index is the table behind it. */
static const char frozen_key[] = "__frozen";

/* Replaces the value at `index` by the table behind it, if it is frozen. */
static void thaw(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, frozen_key) == LUA_TNIL)
    return;
  lua_pop(L, 1);
  luaL_getmetafield(L, index, "__index");
  lua_replace(L, index);
}

/* Text without addresses. */

static void push_text(lua_State *L, int index) {
  if (luaL_callmeta(L, index, "__tostring")) {
    if (!lua_isstring(L, -1))
      luaL_error(L, "'__tostring' must return a string");
    return;
  }
  switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
      luaL_tolstring(L, index, NULL);
      return;
    default:
      if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
        return;
      lua_pushstring(L, luaL_typename(L, index));
  }
}

static int safe_tostring(lua_State *L) {
  luaL_checkany(L, 1);
  push_text(L, 1);
  return 1;
}

/* string.format (the original is the upvalue): what %s shows has no address,
 * and %p, which is nothing else, is refused. */
static int safe_format(lua_State *L) {
  const char *p = luaL_checkstring(L, 1);
  int argument = 1, count = lua_gettop(L);

  for (; *p != '\0'; p++) {
    if (*p != '%' || *++p == '%')
      continue;
    p += strspn(p, "-+ #0123456789.");
    argument++;
    if (*p == 'p')
      return luaL_error(L, "invalid conversion '%%p' to 'format'");
    if (*p == 's' && argument <= count) {
      push_text(L, argument);
      lua_replace(L, argument);
    }
    if (*p == '\0')
      break;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, 1);
  return 1;
}

/* Order of keys: numbers, strings, booleans, then what has a text of its own.
 * Two keys whose texts are alike have no order, and that is an error: whatever
 * came first would be a matter of chance. */

static int rank(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      return 1;
    case LUA_TSTRING:
      return 2;
    case LUA_TBOOLEAN:
      return 3;
    default:
      return 4;
  }
}

static bool text_less(lua_State *L, int a, int b) {
  bool less;

  push_text(L, a);
  push_text(L, b);
  if (lua_rawequal(L, -1, -2))
    luaL_error(L, "two keys that both show as '%s' have no order",
               lua_tostring(L, -1));
  less = lua_compare(L, -2, -1, LUA_OPLT);
  lua_pop(L, 2);
  return less;
}

static bool key_less(lua_State *L, int a, int b) {
  int rank_a = rank(L, a), rank_b = rank(L, b);

  a = lua_absindex(L, a);
  b = lua_absindex(L, b);
  if (rank_a != rank_b)
    return rank_a < rank_b;
  if (rank_a <= 2)
    return lua_compare(L, a, b, LUA_OPLT);
  if (rank_a == 3)
    return !lua_toboolean(L, a) && lua_toboolean(L, b);
  return !lua_rawequal(L, a, b) && text_less(L, a, b);
}

static int compare_keys(lua_State *L) {
  lua_pushboolean(L, key_less(L, 1, 2));
  return 1;
}

/* next(t, key) -> the least key above `key`, and its value. */
static int sorted_next(lua_State *L) {
  enum { TABLE = 1, KEY, BEST };

  luaL_checktype(L, TABLE, LUA_TTABLE);
  lua_settop(L, 2);
  thaw(L, TABLE);
  lua_pushnil(L);
  for (lua_pushnil(L); lua_next(L, TABLE); lua_pop(L, 1)) {
    if (!lua_isnil(L, KEY) && !key_less(L, KEY, -2))
      continue;
    if (lua_isnil(L, BEST) || key_less(L, -2, BEST)) {
      lua_pushvalue(L, -2);
      lua_replace(L, BEST);
    }
  }
  if (lua_isnil(L, BEST))
    return 1;
  lua_pushvalue(L, BEST);
  lua_rawget(L, TABLE);
  return 2;
}

/* The iterator of pairs: upvalues are the table, its sorted keys, and how many
 * of them were visited. Keys that went away meanwhile are passed over. */
static int pairs_step(lua_State *L) {
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));

  for (;;) {
    lua_settop(L, 0);
    lua_rawgeti(L, lua_upvalueindex(2), ++at);
    lua_pushinteger(L, at);
    lua_replace(L, lua_upvalueindex(3));
    if (lua_isnil(L, 1))
      return 1;
    lua_pushvalue(L, 1);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
      return 2;
  }
}

static void push_sorted_keys(lua_State *L, int index) {
  lua_Integer count = 0;

  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, index);) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, ++count);
  }
  lua_pushvalue(L, lua_upvalueindex(1)); /* table.sort */
  lua_pushvalue(L, -2);
  lua_pushcfunction(L, compare_keys);
  lua_call(L, 2, 0);
}

/* pairs(t), sorted. Objects that bring their own __pairs are asked. */
static int sorted_pairs(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  thaw(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 3);
    return 3;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, 1);
  push_sorted_keys(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, pairs_step, 3);
  return 1;
}

/* pcall and xpcall that let code end. */

/* Tells the box of a protected call that failed for want of memory. */
static void note_memory(lua_State *L, int status) {
  tsh_box *box = tsh_bind_state(L)->box;

  if (box != NULL && status == LUA_ERRMEM)
    tsh_box_no_memory(box);
}

static bool must_stop(lua_State *L) {
  const tsh_box *box = tsh_bind_state(L)->box;

  return box != NULL && tsh_box_must_stop(box);
}

static int pcall_end(lua_State *L, int status, lua_KContext context) {
  (void)context;
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L);
  note_memory(L, status);
  if (must_stop(L))
    return tsh_box_stop(L, tsh_bind_state(L)->box);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int safe_pcall(lua_State *L) {
  int status;

  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_end);
  return pcall_end(L, status, 0);
}

/* The handler is called when the error has unwound, as an ordinary protected
 * call: Lua would call it within the count hook that raised a limit, where no
 * hook runs, and a handler that loops would never end. */

enum { HANDLER = 1, RESULTS };

/* Whatever the handler did, xpcall failed: false is there already. */
static int handler_end(lua_State *L, int status, lua_KContext context) {
  if (status != LUA_OK && status != LUA_YIELD)
    return pcall_end(L, status, context);
  return lua_gettop(L) - HANDLER;
}

static int xpcall_end(lua_State *L, int status, lua_KContext context) {
  (void)context;
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - HANDLER;
  note_memory(L, status);
  if (must_stop(L))
    return tsh_box_stop(L, tsh_bind_state(L)->box);
  lua_replace(L, RESULTS); /* the error, for the handler */
  lua_settop(L, RESULTS);
  lua_pushboolean(L, 0);
  lua_insert(L, RESULTS);
  lua_pushvalue(L, HANDLER);
  lua_insert(L, -2);
  status = lua_pcallk(L, 1, LUA_MULTRET, 0, 0, handler_end);
  return handler_end(L, status, 0);
}

/* xpcall(f, handler, ...) */
static int safe_xpcall(lua_State *L) {
  int status;

  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, 1);
  lua_insert(L, 1); /* true, f, handler, ... */
  lua_pushvalue(L, 3);
  lua_remove(L, 3);
  lua_insert(L, HANDLER); /* handler, true, f, ... */
  status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, 0, xpcall_end);
  return xpcall_end(L, status, 0);
}

/* Boxes. */

static int fail_load(lua_State *L, const char *kind) {
  lua_pushnil(L);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  lua_pushliteral(L, "sandbox");
  lua_setfield(L, -2, "origin");
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "message");
  luaL_setmetatable(L, "err");
  return 2;
}

/* box:load(text, chunk_name, environment) -> function | nil, err. Text only:
 * bytecode is not checked by Lua and could do anything. */
static int box_load(lua_State *L) {
  tsh_state *state = tsh_bind_state(L);
  tsh_box *box = tsh_box_check(L, 1), *before = state->box;
  size_t length;
  const char *text = luaL_checklstring(L, 2, &length);
  const char *name = luaL_checkstring(L, 3);
  int status;

  luaL_checktype(L, 4, LUA_TTABLE);
  state->box = box;
  status = luaL_loadbufferx(L, text, length, name, "t");
  state->box = before;
  if (status != LUA_OK)
    return fail_load(L, status == LUA_ERRMEM ? "limit" : "syntax");
  lua_pushvalue(L, 4);
  lua_setupvalue(L, -2, 1);
  return 1;
}

/* spawn(box, fn, ...) -> task within the box. */
static int box_spawn(lua_State *L) {
  tsh_box_check(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  tsh_task_spawn(L, lua_gettop(L) - 2);
  tsh_task_limit(L, 2, 1);
  return 1;
}

/* box:output(text) -> true; counts it, and ends the task over the limit. */
static int box_output(lua_State *L) {
  tsh_box *box = tsh_box_check(L, 1);
  size_t length;

  luaL_checklstring(L, 2, &length);
  if (!tsh_box_charge_output(box, length) && tsh_bind_state(L)->box == box)
    return tsh_box_stop(L, box);
  lua_pushboolean(L, 1);
  return 1;
}

static int box_usage(lua_State *L) {
  tsh_box_usage(L, tsh_box_check(L, 1));
  return 1;
}

/* fresh(text, ...) -> string | nil, err: runs text with string arguments in a
 * Lua state of its own, with the library and nothing else. It has a thread of
 * the pool to itself: whoever wants to compare goes on meanwhile. */

typedef struct fresh {
  tsh_work work;
  const char *stdlib;
  tsh_buf result;
  int count;
  tsh_buf values[]; /* the text, then the arguments */
} fresh;

static int fresh_run(tsh_work *work) {
  fresh *f = (fresh *)work;
  tsh_err *err = &f->work.op.err;
  tsh_host *host = NULL;
  int rc = tsh_host_open(&host, f->stdlib, err);

  if (rc != 0)
    return rc;
  rc = tsh_host_eval(host, tsh_buf_text(&f->values[0]), f->values[0].length,
                     "=fresh", f->count - 1, f->values + 1, &f->result, err);
  tsh_host_close(host);
  return rc;
}

static void fresh_free(tsh_op *op) {
  fresh *f = (fresh *)op;

  for (int i = 0; i < f->count; i++)
    tsh_buf_fini(&f->values[i]);
  tsh_buf_fini(&f->result);
  free(f);
}

static int push_fresh(lua_State *L, tsh_op *op) {
  const fresh *f = (fresh *)op;

  lua_pushlstring(L, tsh_buf_text(&f->result), f->result.length);
  return 1;
}

static int sandbox_fresh(lua_State *L) {
  int count = lua_gettop(L);
  fresh *f;

  for (int i = 1; i <= count; i++)
    luaL_checkstring(L, i);
  luaL_argcheck(L, count > 0, 1, "text expected");
  f = calloc(1, sizeof *f + (size_t)count * sizeof(tsh_buf));
  if (f == NULL)
    return luaL_error(L, "not enough memory");
  f->count = count;
  f->stdlib = tsh_bind_state(L)->stdlib;
  tsh_buf_init(&f->result, SIZE_MAX / 2);
  for (int i = 0; i < count; i++) {
    tsh_buf_init(&f->values[i], SIZE_MAX / 2);
    tsh_buf_add(&f->values[i], lua_tostring(L, i + 1), lua_rawlen(L, i + 1));
  }
  f->work.run = fresh_run;
  f->work.op.free = fresh_free;
  tsh_work_start(tsh_bind_loop(L), &f->work);
  return tsh_bind_await(L, &f->work.op, push_fresh);
}

/* bytecode(fn) -> the stripped bytecode of a Lua function, for trusted code
 * that compares functions; nothing here loads it. */

static int add_bytes(lua_State *L, const void *bytes, size_t size, void *out) {
  (void)L;
  tsh_buf_add(out, bytes, size);
  return 0;
}

static int sandbox_bytecode(lua_State *L) {
  tsh_buf bytes;

  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_argcheck(L, !lua_iscfunction(L, 1), 1, "a C function has no bytecode");
  lua_settop(L, 1);
  tsh_buf_init(&bytes, SIZE_MAX / 2);
  lua_dump(L, add_bytes, &bytes, 1);
  lua_pushlstring(L, tsh_buf_text(&bytes), bytes.length);
  tsh_buf_fini(&bytes);
  return 1;
}

static const luaL_Reg methods[] = {{"load", box_load},
                                   {"output", box_output},
                                   {"usage", box_usage},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"new", tsh_box_new},
                                     {"fresh", sandbox_fresh},
                                     {"bytecode", sandbox_bytecode},
                                     {"spawn", box_spawn},
                                     {"tostring", safe_tostring},
                                     {"next", sorted_next},
                                     {"pcall", safe_pcall},
                                     {"xpcall", safe_xpcall},
                                     {NULL, NULL}};

/* Pushes library.name. */
static void push_field(lua_State *L, const char *library, const char *name) {
  lua_getglobal(L, library);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

void tsh_sandbox_close_strings(lua_State *L) {
  lua_getglobal(L, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_getfield(L, -1, "format");
  lua_pushcclosure(L, safe_format, 1);
  lua_setfield(L, -2, "format");
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushliteral(L, "string");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 3);
}

int luaopen_vm_sandbox(lua_State *L) {
  luaL_newlib(L, functions);
  push_field(L, "table", "sort");
  lua_pushcclosure(L, sorted_pairs, 1);
  lua_setfield(L, -2, "pairs");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "methods"); /* for the Lua half, which adds to it */
  tsh_box_class(L);
  return 1;
}
