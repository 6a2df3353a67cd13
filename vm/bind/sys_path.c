/* vm.sys, paths: the file system's names, and whole small files.
 *
 * These calls are short and do not wait; what has to reach the disk before
 * something else happens is an append file's business (sys_file.c), or asked
 * for with sync = true. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"

static int push_true(lua_State *L) {
  lua_pushboolean(L, 1);
  return 1;
}

static int sys_cwd(lua_State *L) {
  char path[PATH_MAX];

  if (getcwd(path, sizeof path) == NULL)
    return tsh_sys_fail(L, "find", "the working folder");
  lua_pushstring(L, path);
  return 1;
}

static int sys_realpath(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  char real[PATH_MAX];

  if (realpath(path, real) == NULL)
    return tsh_sys_fail(L, "resolve", path);
  lua_pushstring(L, real);
  return 1;
}

static int sys_read_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  luaL_Buffer b;
  ssize_t n;
  int failed;

  if (fd < 0)
    return tsh_sys_fail(L, "read", path);
  luaL_buffinit(L, &b);
  do {
    n = read(fd, luaL_prepbuffer(&b), LUAL_BUFFERSIZE);
    if (n > 0)
      luaL_addsize(&b, (size_t)n);
  } while (n > 0 || (n < 0 && errno == EINTR));
  failed = n < 0 ? errno : 0;
  close(fd);
  luaL_pushresult(&b);
  if (failed == 0)
    return 1;
  errno = failed;
  return tsh_sys_fail(L, "read", path);
}

static int write_bytes(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, bytes, length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    bytes += n;
    length -= (size_t)n;
  }
  return 0;
}

/* A rename is only safe on disk once its folder is. */
static int sync_folder_of(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int fd, rc;

  snprintf(folder, sizeof folder, "%.*s",
           slash == NULL ? 1 : (int)(slash - path + 1),
           slash == NULL ? "." : path);
  fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  rc = fsync(fd);
  close(fd);
  return rc;
}

static int write_to(const char *path, const char *bytes, size_t length,
                    mode_t mode, bool sync) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  int failed = 0;

  if (fd < 0)
    return -1;
  if (write_bytes(fd, bytes, length) != 0 || (sync && fsync(fd) != 0))
    failed = errno;
  if (close(fd) != 0 && failed == 0)
    failed = errno;
  errno = failed;
  return failed == 0 ? 0 : -1;
}

static int replace(const char *path, const char *bytes, size_t length,
                   mode_t mode, bool sync) {
  char temporary[PATH_MAX];

  if (snprintf(temporary, sizeof temporary, "%s.%d.new", path, (int)getpid()) >=
      (int)sizeof temporary) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (write_to(temporary, bytes, length, mode, sync) != 0 ||
      rename(temporary, path) != 0) {
    int failed = errno;

    unlink(temporary);
    errno = failed;
    return -1;
  }
  return sync ? sync_folder_of(path) : 0;
}

/* write_file(path, text, { mode = 0o644, sync = false, atomic = false }) */
static int sys_write_file(lua_State *L) {
  static const char *const names[] = {"mode", "sync", "atomic", NULL};
  const char *path = luaL_checkstring(L, 1);
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  mode_t mode = 0644;
  bool sync = false, atomic = false;

  if (!lua_isnoneornil(L, 3)) {
    tsh_bind_options(L, 3, names);
    mode = (mode_t)tsh_bind_opt_integer(L, 3, "mode", 0644);
    sync = tsh_bind_opt_boolean(L, 3, "sync", 0);
    atomic = tsh_bind_opt_boolean(L, 3, "atomic", 0);
  }
  if ((atomic ? replace : write_to)(path, bytes, length, mode, sync) != 0)
    return tsh_sys_fail(L, "write", path);
  return push_true(L);
}

static int make_parents(char *path, mode_t mode) {
  for (char *p = path + 1; *p != '\0'; p++) {
    if (*p != '/')
      continue;
    *p = '\0';
    if (mkdir(path, mode) != 0 && errno != EEXIST)
      return -1;
    *p = '/';
  }
  if (mkdir(path, mode) != 0 && errno != EEXIST)
    return -1;
  return 0;
}

/* mkdir(path, { parents = false, mode = 0o755 }); with parents, one that is
 * there already is fine. */
static int sys_mkdir(lua_State *L) {
  static const char *const names[] = {"parents", "mode", NULL};
  const char *path = luaL_checkstring(L, 1);
  char copy[PATH_MAX];
  bool parents = false;
  mode_t mode = 0755;
  int rc;

  if (!lua_isnoneornil(L, 2)) {
    tsh_bind_options(L, 2, names);
    parents = tsh_bind_opt_boolean(L, 2, "parents", 0);
    mode = (mode_t)tsh_bind_opt_integer(L, 2, "mode", 0755);
  }
  if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
    errno = ENAMETOOLONG;
    return tsh_sys_fail(L, "make folder", path);
  }
  rc = parents ? make_parents(copy, mode) : mkdir(path, mode);
  if (rc != 0)
    return tsh_sys_fail(L, "make folder", path);
  return push_true(L);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* list(folder) -> sorted names | nil, err. */
static int sys_list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct dirent **entries = NULL;
  int count = scandir(path, &entries, no_dots, by_name);

  if (count < 0)
    return tsh_sys_fail(L, "list", path);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_pushstring(L, entries[i]->d_name);
    lua_rawseti(L, -2, i + 1);
    free(entries[i]);
  }
  free(entries);
  return 1;
}

static const char *kind_of(mode_t mode) {
  if (S_ISREG(mode))
    return "file";
  if (S_ISDIR(mode))
    return "folder";
  return S_ISLNK(mode) ? "link" : "other";
}

/* stat(path) -> { kind, size, mode, modified } | nil, err; modified in wall
 * milliseconds; follows links. */
static int sys_stat(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat st;

  if (stat(path, &st) != 0)
    return tsh_sys_fail(L, "stat", path);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kind_of(st.st_mode));
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, st.st_size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, st.st_mode & 07777);
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, (lua_Integer)st.st_mtim.tv_sec * 1000 +
                         st.st_mtim.tv_nsec / 1000000);
  lua_setfield(L, -2, "modified");
  return 1;
}

/* remove(path): a file, or an empty folder. */
static int sys_remove(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);

  if (remove(path) != 0)
    return tsh_sys_fail(L, "remove", path);
  return push_true(L);
}

static int sys_rename(lua_State *L) {
  const char *from = luaL_checkstring(L, 1);
  const char *to = luaL_checkstring(L, 2);

  if (rename(from, to) != 0)
    return tsh_sys_fail(L, "rename", from);
  return push_true(L);
}

/* temporary_folder(prefix) -> path of a new private folder | nil, err. */
static int sys_temporary_folder(lua_State *L) {
  const char *prefix = luaL_checkstring(L, 1);
  const char *root = getenv("TMPDIR");
  char path[PATH_MAX];

  snprintf(path, sizeof path, "%s/%s.XXXXXX", root != NULL ? root : "/tmp",
           prefix);
  if (mkdtemp(path) == NULL)
    return tsh_sys_fail(L, "make folder", path);
  lua_pushstring(L, path);
  return 1;
}

static const luaL_Reg functions[] = {{"cwd", sys_cwd},
                                     {"realpath", sys_realpath},
                                     {"read_file", sys_read_file},
                                     {"write_file", sys_write_file},
                                     {"mkdir", sys_mkdir},
                                     {"list", sys_list},
                                     {"stat", sys_stat},
                                     {"remove", sys_remove},
                                     {"rename", sys_rename},
                                     {"temporary_folder", sys_temporary_folder},
                                     {NULL, NULL}};

void tsh_sys_register_paths(lua_State *L) { luaL_setfuncs(L, functions, 0); }
