/* vm.log: lines for those who look after the program, not its users' data. */
#include "tranship/log.h"
#include "bind.h"

static int write_line(lua_State *L, tsh_level level) {
  tsh_log(level, "%s", luaL_tolstring(L, 1, NULL));
  return 0;
}

static int log_debug(lua_State *L) { return write_line(L, TSH_DEBUG); }

static int log_info(lua_State *L) { return write_line(L, TSH_INFO); }

static int log_warn(lua_State *L) { return write_line(L, TSH_WARN); }

static int log_error(lua_State *L) { return write_line(L, TSH_ERROR); }

/* level() -> name; level(name) sets it. */
static int log_level(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    const char *name = luaL_checkstring(L, 1);
    int level = tsh_level_find(name);

    if (level < 0)
      return luaL_error(L, "no log level '%s'", name);
    tsh_log_set_level((tsh_level)level);
  }
  lua_pushstring(L, tsh_level_name(tsh_log_level()));
  return 1;
}

static const luaL_Reg functions[] = {{"debug", log_debug}, {"info", log_info},
                                     {"warn", log_warn},   {"error", log_error},
                                     {"level", log_level}, {NULL, NULL}};

int luaopen_vm_log(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
