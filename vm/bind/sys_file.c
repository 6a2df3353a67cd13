/* vm.sys, files: append files and locks.
 *
 * An append file's sync waits on the thread pool: fsync may take long. A lock
 * is a flock, so it belongs to the open file description: a child that
 * inherits the descriptor holds it on, whatever becomes of its parent. */
#include "sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "sys.h"

enum { LONGEST_HOLDER = 4096 };

static int push_true(lua_State *L) {
  lua_pushboolean(L, 1);
  return 1;
}

/* Append files. */

typedef struct append_file {
  int fd;
} append_file;

static void append_release(void *body) { close(((append_file *)body)->fd); }

static const luaL_Reg append_methods[];
static const tsh_class append_class = {"sys.file", sizeof(append_file),
                                       append_release, append_methods};

static append_file *check_append(lua_State *L) {
  return tsh_bind_check(L, 1, &append_class);
}

/* append(path, { mode = 0o644 }) -> file | nil, err. */
static int sys_append(lua_State *L) {
  static const char *const names[] = {"mode", NULL};
  const char *path = luaL_checkstring(L, 1);
  int mode = 0644;
  append_file *file;

  if (!lua_isnoneornil(L, 2)) {
    tsh_bind_options(L, 2, names);
    mode = (int)tsh_bind_opt_integer(L, 2, "mode", 0644);
  }
  file = tsh_bind_new(L, &append_class);
  file->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode);
  if (file->fd < 0)
    return tsh_sys_fail(L, "open", path);
  tsh_bind_opened(L, file);
  return 1;
}

/* file:write(text) -> true | nil, err. A part that was written when the disk
 * filled up is taken back, so that no torn line stays behind. */
static int append_write(lua_State *L) {
  append_file *file = check_append(L);
  size_t length, done = 0;
  const char *text = luaL_checklstring(L, 2, &length);
  off_t before = lseek(file->fd, 0, SEEK_END);

  while (done < length) {
    ssize_t n = write(file->fd, text + done, length - done);

    if (n >= 0) {
      done += (size_t)n;
    } else if (errno != EINTR) {
      int failed = errno;

      if (done > 0 && before >= 0 && ftruncate(file->fd, before) != 0)
        failed = errno;
      errno = failed;
      return tsh_sys_fail(L, "append", "to a file");
    }
  }
  return push_true(L);
}

/* The descriptor is a copy: the file may be closed while the pool works. */
typedef struct sync_op {
  tsh_work work;
  int fd;
} sync_op;

static int sync_run(tsh_work *work) {
  if (fsync(((sync_op *)work)->fd) == 0)
    return 0;
  return tsh_err_errno(&work->op.err, errno, "sync a file");
}

static void sync_free(tsh_op *op) {
  close(((sync_op *)op)->fd);
  free(op);
}

static int push_done(lua_State *L, tsh_op *op) {
  (void)op;
  return push_true(L);
}

/* file:sync() -> true | nil, err; waits until the disk has everything. */
static int append_sync(lua_State *L) {
  append_file *file = check_append(L);
  int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
  sync_op *sync;

  if (fd < 0)
    return tsh_sys_fail(L, "sync", "a file");
  sync = calloc(1, sizeof *sync);
  if (sync == NULL)
    abort();
  sync->fd = fd;
  sync->work.run = sync_run;
  sync->work.op.free = sync_free;
  tsh_work_start(tsh_bind_loop(L), &sync->work);
  return tsh_bind_await(L, &sync->work.op, push_done);
}

/* file:size() -> bytes. */
static int append_size(lua_State *L) {
  lua_pushinteger(L, lseek(check_append(L)->fd, 0, SEEK_END));
  return 1;
}

static const luaL_Reg append_methods[] = {{"write", append_write},
                                          {"sync", append_sync},
                                          {"size", append_size},
                                          {NULL, NULL}};

/* Locks. */

typedef struct file_lock {
  int fd;
} file_lock;

/* Closing one descriptor leaves the lock to a child that has its own. */
static void lock_release(void *body) { close(((file_lock *)body)->fd); }

static const tsh_class lock_class = {"sys.lock", sizeof(file_lock),
                                     lock_release, NULL};

int tsh_sys_lock_fd(lua_State *L, int index) {
  return ((file_lock *)tsh_bind_check(L, index, &lock_class))->fd;
}

static int fail_held(lua_State *L, int fd, const char *path) {
  char holder[LONGEST_HOLDER];
  ssize_t length = pread(fd, holder, sizeof holder, 0);
  tsh_err err;

  close(fd);
  tsh_err_set(&err, TSH_CONFLICT, "sys", EWOULDBLOCK, "%s is locked", path);
  tsh_bind_fail(L, &err);
  lua_pushlstring(L, holder, length < 0 ? 0 : (size_t)length);
  lua_setfield(L, -2, "holder");
  return 2;
}

static int write_holder(int fd, const char *text, size_t length) {
  if (ftruncate(fd, 0) != 0)
    return -1;
  return pwrite(fd, text, length, 0) == (ssize_t)length ? 0 : -1;
}

/* lock(path, text) -> lock | nil, err. `text` says who holds it; when somebody
 * else does, err.kind is "conflict" and err.holder that one's text. */
static int sys_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t length;
  const char *text = luaL_optlstring(L, 2, "", &length);
  file_lock *lock = tsh_bind_new(L, &lock_class);

  lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock->fd < 0)
    return tsh_sys_fail(L, "lock", path);
  if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return fail_held(L, lock->fd, path);
    close(lock->fd);
    return tsh_sys_fail(L, "lock", path);
  }
  tsh_bind_opened(L, lock);
  if (write_holder(lock->fd, text, length) != 0) {
    tsh_sys_fail(L, "write", path);
    lua_getfield(L, -3, "close");
    lua_pushvalue(L, -4);
    lua_call(L, 1, 0);
    return 2;
  }
  return 1;
}

static const luaL_Reg functions[] = {
    {"append", sys_append}, {"lock", sys_lock}, {NULL, NULL}};

void tsh_sys_register_files(lua_State *L) {
  tsh_bind_class(L, &append_class);
  tsh_bind_class(L, &lock_class);
  luaL_setfuncs(L, functions, 0);
}
