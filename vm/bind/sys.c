/* vm.sys: the machine. This file holds plain facts; digests, paths, files,
 * processes and events have a file each. */
#include "sys.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tranship/buf.h"
#include "tranship/secret.h"

int tsh_sys_fail(lua_State *L, const char *what, const char *path) {
  tsh_err err;

  tsh_err_errno(&err, errno, "%s %s", what, path);
  return tsh_bind_fail(L, &err);
}

static int sys_env(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

/* Wall clock, in milliseconds since 1970. */
static int sys_time(lua_State *L) {
  struct timespec t;

  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushinteger(L, (lua_Integer)t.tv_sec * 1000 + t.tv_nsec / 1000000);
  return 1;
}

static int sys_hostname(lua_State *L) {
  char name[HOST_NAME_MAX + 1];

  if (gethostname(name, sizeof name) != 0)
    return luaL_error(L, "gethostname: %s", strerror(errno));
  lua_pushstring(L, name);
  return 1;
}

static int sys_user(lua_State *L) {
  const struct passwd *user = getpwuid(getuid());

  if (user != NULL)
    lua_pushstring(L, user->pw_name);
  else
    lua_pushfstring(L, "%d", (int)getuid());
  return 1;
}

static int sys_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int sys_isatty(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* tty_size() -> columns, rows; nothing when no terminal is there. */
static int sys_tty_size(lua_State *L) {
  struct winsize size;

  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
      continue;
    lua_pushinteger(L, size.ws_col);
    lua_pushinteger(L, size.ws_row);
    return 2;
  }
  return 0;
}

/* Writes all of `text`, redacted, whatever stdio may hold back. */
static int write_all(lua_State *L, FILE *file) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  tsh_buf clean;
  bool is_written;

  tsh_buf_init(&clean, SIZE_MAX / 2);
  if (tsh_secret_redact(text, length, &clean) > 0) {
    text = tsh_buf_text(&clean);
    length = clean.length;
  }
  is_written = fwrite(text, 1, length, file) == length && fflush(file) == 0;
  tsh_buf_fini(&clean);
  if (!is_written)
    return tsh_sys_fail(L, "write to", file == stdout ? "stdout" : "stderr");
  lua_pushboolean(L, 1);
  return 1;
}

static int sys_out(lua_State *L) { return write_all(L, stdout); }

static int sys_errout(lua_State *L) { return write_all(L, stderr); }

static int sys_executable(lua_State *L) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);

  if (length < 0)
    return tsh_sys_fail(L, "read", "/proc/self/exe");
  lua_pushlstring(L, path, (size_t)length);
  return 1;
}

static const luaL_Reg functions[] = {{"env", sys_env},
                                     {"time", sys_time},
                                     {"hostname", sys_hostname},
                                     {"user", sys_user},
                                     {"pid", sys_pid},
                                     {"isatty", sys_isatty},
                                     {"tty_size", sys_tty_size},
                                     {"out", sys_out},
                                     {"errout", sys_errout},
                                     {"executable", sys_executable},
                                     {NULL, NULL}};

int luaopen_vm_sys(lua_State *L) {
  luaL_newlib(L, functions);
  tsh_sys_register_digests(L);
  tsh_sys_register_paths(L);
  tsh_sys_register_files(L);
  tsh_sys_register_feeds(L);
  tsh_sys_register_processes(L);
  tsh_sys_register_probes(L);
  return 1;
}
