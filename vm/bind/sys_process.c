/* vm.sys, processes: children of ours, and a look at others. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys.h"
#include "sys_feed.h"
#include "sys_file.h"
#include "tranship/process.h"

enum { MOST_KEPT = 16, STREAMS = 3, MOST_GIVEN = 60000 };

typedef struct process {
  tsh_process *process;
  int to;               /* our end of its stdin, or -1 */
  tsh_feed *from, *err; /* lines of its stdout and stderr, or NULL */
} process;

static void process_release(void *body) {
  process *p = body;

  if (p->to >= 0)
    close(p->to);
  if (p->from != NULL)
    tsh_feed_close(p->from);
  if (p->err != NULL)
    tsh_feed_close(p->err);
  tsh_process_close(p->process);
}

static const luaL_Reg process_methods[];
static const tsh_class process_class = {"sys.process", sizeof(process),
                                        process_release, process_methods};

static process *check_process(lua_State *L) {
  return tsh_bind_check(L, 1, &process_class);
}

/* Waiting for the end. */

static int push_end(lua_State *L, int64_t code, int number) {
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, code);
  lua_setfield(L, -2, "code");
  if (number != 0) {
    lua_pushstring(L, sigabbrev_np(number));
    lua_setfield(L, -2, "signal");
  }
  return 1;
}

static int push_waited(lua_State *L, tsh_op *op) {
  tsh_process_op *wait = (tsh_process_op *)op;

  return push_end(L, wait->code, wait->number);
}

/* process:wait() -> { code=, signal= } | nil, err. */
static int process_wait(lua_State *L) {
  process *p = check_process(L);
  int64_t code;
  int number;

  if (tsh_process_ended(p->process, &code, &number))
    return push_end(L, code, number);
  return tsh_bind_await(L, &tsh_process_wait(p->process)->op, push_waited);
}

/* process:kill(signal) -> true | nil, err. */
static int process_kill(lua_State *L) {
  process *p = check_process(L);
  tsh_err err;

  if (tsh_process_kill(p->process, tsh_sys_signal_number(L, 2), &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int read_from(lua_State *L, tsh_feed *feed, const char *name) {
  if (feed == NULL)
    return luaL_error(L, "its %s is not a pipe", name);
  return tsh_sys_feed_next(L, feed);
}

/* process:read() -> a line of its stdout | nil at the end. */
static int process_read(lua_State *L) {
  return read_from(L, check_process(L)->from, "stdout");
}

/* process:read_error() -> a line of its stderr | nil at the end. */
static int process_read_error(lua_State *L) {
  return read_from(L, check_process(L)->err, "stderr");
}

/* Writing to its stdin, on the pool: a pipe may be full for long. */

typedef struct write_op {
  tsh_work work;
  int fd;
  size_t length;
  char bytes[];
} write_op;

static int write_run(tsh_work *work) {
  write_op *w = (write_op *)work;
  size_t done = 0;

  while (done < w->length) {
    ssize_t n = write(w->fd, w->bytes + done, w->length - done);

    if (n >= 0)
      done += (size_t)n;
    else if (errno != EINTR)
      return tsh_err_errno(&work->op.err, errno, "write to a process");
  }
  return 0;
}

static void write_free(tsh_op *op) {
  close(((write_op *)op)->fd);
  free(op);
}

static int push_true(lua_State *L, tsh_op *op) {
  (void)op;
  lua_pushboolean(L, 1);
  return 1;
}

/* process:write(text) -> true | nil, err; waits until the pipe took it. */
static int process_write(lua_State *L) {
  process *p = check_process(L);
  size_t length;
  const char *text = luaL_checklstring(L, 2, &length);
  write_op *w;
  int fd;

  if (p->to < 0)
    return luaL_error(L, "its stdin is not a pipe, or was closed");
  fd = fcntl(p->to, F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    return tsh_sys_fail(L, "write to", "a process");
  w = calloc(1, sizeof *w + length);
  if (w == NULL)
    abort();
  w->fd = fd;
  w->length = length;
  memcpy(w->bytes, text, length);
  w->work.run = write_run;
  w->work.op.free = write_free;
  tsh_work_start(tsh_bind_loop(L), &w->work);
  return tsh_bind_await(L, &w->work.op, push_true);
}

static int process_close_stdin(lua_State *L) {
  process *p = check_process(L);

  if (p->to >= 0)
    close(p->to);
  p->to = -1;
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg process_methods[] = {{"wait", process_wait},
                                           {"kill", process_kill},
                                           {"read", process_read},
                                           {"read_error", process_read_error},
                                           {"write", process_write},
                                           {"close_stdin", process_close_stdin},
                                           {NULL, NULL}};

/* `process.pid` is a field; the rest are methods (the upvalue). */
static int process_index(lua_State *L) {
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "pid") == 0) {
    lua_pushinteger(L, tsh_process_pid(check_process(L)->process));
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

/* Starting. Arguments and environment are copied by pointer: the tables and
 * strings are on the stack until the child has started. Descriptors are closed
 * on every way out; what may raise comes before the first is opened. */

typedef struct start {
  char **args, **env;
  const char *cwd, *target[STREAMS];
  const char *given; /* a secret that its stdin holds, or NULL */
  size_t given_length;
  int keep[MOST_KEPT], keep_count;
  bool detached;
  int child[STREAMS], ours[STREAMS]; /* descriptors; -1: none */
} start;

/* An array of pointers that the collector frees. */
static char **push_pointers(lua_State *L, size_t count) {
  return lua_newuserdatauv(L, (count + 1) * sizeof(char *), 0);
}

static char **read_args(lua_State *L) {
  lua_Integer count;
  char **args;
  int list;

  lua_getfield(L, 1, "args");
  if (!lua_istable(L, -1))
    luaL_error(L, "option 'args' is a list of strings");
  list = lua_gettop(L);
  count = luaL_len(L, list);
  luaL_argcheck(L, count > 0, 1, "args names no program");
  luaL_checkstack(L, (int)count + 8, "too many arguments");
  args = push_pointers(L, (size_t)count);
  for (lua_Integer i = 0; i < count; i++) {
    lua_geti(L, list, i + 1);
    if (!lua_isstring(L, -1))
      luaL_error(L, "argument %d is not a string", (int)i + 1);
    args[i] = (char *)lua_tostring(L, -1); /* stays on the stack */
  }
  args[count] = NULL;
  return args;
}

static bool names_same(const char *a, const char *b) {
  size_t length = strcspn(a, "=");

  return strncmp(a, b, length + 1) == 0;
}

/* Our environment with the entries of option env put over it. */
static char **read_env(lua_State *L) {
  extern char **environ;
  size_t ours = 0, count = 0, added = 0;
  char **env;
  int list;

  if (lua_getfield(L, 1, "env") == LUA_TNIL)
    return NULL;
  luaL_checktype(L, -1, LUA_TTABLE);
  list = lua_gettop(L);
  while (environ[ours] != NULL)
    ours++;
  for (lua_pushnil(L); lua_next(L, list); lua_pop(L, 1))
    added++;
  luaL_checkstack(L, (int)added + 8, "too long an environment");
  env = push_pointers(L, ours + added);
  for (lua_pushnil(L); lua_next(L, list);) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
      luaL_error(L, "option 'env' is a table of strings by name");
    env[count++] = (char *)lua_pushfstring(L, "%s=%s", lua_tostring(L, -2),
                                           lua_tostring(L, -1));
    lua_replace(L, -2);
    lua_insert(L, -2); /* the entry stays, the key goes on */
  }
  added = count;
  for (size_t i = 0; i < ours; i++) {
    bool is_hidden = false;

    for (size_t j = 0; j < added; j++)
      is_hidden |= names_same(environ[i], env[j]);
    if (!is_hidden)
      env[count++] = environ[i];
  }
  env[count] = NULL;
  return env;
}

static void read_keep(lua_State *L, start *s) {
  if (lua_getfield(L, 1, "keep") == LUA_TNIL)
    return;
  luaL_checktype(L, -1, LUA_TTABLE);
  while (lua_geti(L, -1, s->keep_count + 1) != LUA_TNIL) {
    if (s->keep_count == MOST_KEPT)
      luaL_error(L, "more than %d locks to keep", MOST_KEPT);
    s->keep[s->keep_count++] = tsh_sys_lock_fd(L, -1);
    lua_pop(L, 1);
  }
}

static void read_given(lua_State *L, start *s) {
  if (lua_getfield(L, 1, "stdin") == LUA_TUSERDATA)
    s->given = tsh_bind_secret(L, -1, &s->given_length);
  lua_pop(L, 1); /* the options keep it */
  luaL_argcheck(L, s->given_length <= MOST_GIVEN, 1,
                "a secret of more than 60000 bytes");
}

static void read_options(lua_State *L, start *s) {
  static const char *const names[] = {"args",     "env",    "cwd",
                                      "stdin",    "stdout", "stderr",
                                      "detached", "keep",   NULL};
  static const char *const streams[] = {"stdin", "stdout", "stderr"};

  tsh_bind_options(L, 1, names);
  s->cwd = tsh_bind_opt_string(L, 1, "cwd", NULL);
  s->detached = tsh_bind_opt_boolean(L, 1, "detached", 0);
  read_given(L, s);
  for (int i = 0; i < STREAMS; i++) {
    const char *fallback = s->detached || i == 0 ? "null" : "inherit";

    s->child[i] = s->ours[i] = -1;
    s->target[i] = i == 0 && s->given != NULL
                       ? "a secret"
                       : tsh_bind_opt_string(L, 1, streams[i], fallback);
  }
  read_keep(L, s);
  s->args = read_args(L);
  s->env = read_env(L);
}

/* A pipe that holds the secret already, and has no other end: it is gone once
 * it was read, and lies nowhere else. */
static int open_given(start *s) {
  int ends[2], why;
  ssize_t n;

  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
    return -1;
  n = write(ends[1], s->given, s->given_length);
  why = errno;
  close(ends[1]);
  if (n == (ssize_t)s->given_length &&
      fcntl(ends[0], F_SETFL, 0) == 0) /* for the child it blocks */
    return s->child[0] = ends[0];
  close(ends[0]);
  errno = n < 0 ? why : ENOBUFS;
  return -1;
}

/* The descriptor a stream of the child becomes; -1 with errno on failure. */
static int open_stream(start *s, int i) {
  const char *target = s->target[i];
  int ends[2];

  if (i == 0 && s->given != NULL)
    return open_given(s);
  if (strcmp(target, "inherit") == 0)
    return s->child[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
  if (strcmp(target, "null") == 0)
    return s->child[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (strcmp(target, "pipe") != 0)
    return s->child[i] =
               i == 0 ? open(target, O_RDONLY | O_CLOEXEC)
                      : open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                             0644);
  if (pipe2(ends, O_CLOEXEC) != 0)
    return -1;
  s->child[i] = ends[i == 0 ? 0 : 1];
  s->ours[i] = ends[i == 0 ? 1 : 0];
  return s->child[i];
}

static void close_all(int *fds) {
  for (int i = 0; i < STREAMS; i++) {
    if (fds[i] >= 0)
      close(fds[i]);
    fds[i] = -1;
  }
}

static int start_process(start *s, process *p, tsh_loop *loop, tsh_err *err) {
  tsh_spawn spawn = {.args = s->args,
                     .env = s->env,
                     .cwd = s->cwd,
                     .streams = s->child,
                     .keep = s->keep,
                     .keep_count = s->keep_count,
                     .detached = s->detached};

  for (int i = 0; i < STREAMS; i++)
    if (open_stream(s, i) < 0)
      return tsh_err_errno(err, errno, "open %s", s->target[i]);
  return tsh_process_start(&p->process, loop, &spawn, err);
}

static int attach(process *p, tsh_loop *loop, int *ours, tsh_err *err) {
  tsh_feed **feeds[STREAMS] = {NULL, &p->from, &p->err};
  int rc = 0;

  p->to = ours[0];
  for (int i = 1; i < STREAMS && rc == 0; i++) {
    if (ours[i] >= 0)
      rc = tsh_feed_lines(feeds[i], loop, ours[i], err);
    ours[i] = -1; /* the feed's, also when it failed */
  }
  return rc;
}

/* spawn{ args=, env=, cwd=, stdin=, stdout=, stderr=, detached=, keep= }. */
static int sys_spawn(lua_State *L) {
  start s = {0};
  process *p;
  tsh_err err;
  int rc;

  lua_settop(L, 1);
  read_options(L, &s);
  p = tsh_bind_new(L, &process_class);
  p->to = -1;
  rc = start_process(&s, p, tsh_bind_loop(L), &err);
  close_all(s.child);
  if (rc != 0) {
    close_all(s.ours);
    return tsh_bind_fail(L, &err);
  }
  tsh_bind_opened(L, p);
  rc = attach(p, tsh_bind_loop(L), s.ours, &err);
  return rc != 0 ? tsh_bind_fail(L, &err) : 1;
}

/* Others. */

/* kill(pid, signal): a negative pid is a process group. */
static int sys_kill(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  int number = tsh_sys_signal_number(L, 2);
  char name[32];

  luaL_argcheck(L, pid > 1 || pid < -1, 1, "a process or a group of one");
  snprintf(name, sizeof name, "%lld", (long long)pid);
  if (kill((pid_t)pid, number) != 0)
    return tsh_sys_fail(L, "kill", name);
  lua_pushboolean(L, 1);
  return 1;
}

static ssize_t read_proc(lua_Integer pid, const char *name, char *text,
                         size_t size) {
  char path[64];
  ssize_t length;
  int fd;

  snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, name);
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  length = read(fd, text, size - 1);
  close(fd);
  text[length < 0 ? 0 : length] = '\0';
  return length;
}

static const char *state_name(char letter) {
  switch (letter) {
    case 'Z':
    case 'X':
      return "dead";
    case 'T':
    case 't':
      return "stopped";
    default:
      return "running";
  }
}

/* process(pid) -> { state, start_time, command } | nil, err. start_time is the
 * kernel's tick of birth: with the pid it names one process for good. A process
 * that ended and was not reaped yet is "dead". */
static int sys_process(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  char stat[1024], command[4096], *after;
  unsigned long long born = 0;
  ssize_t length;
  tsh_err err;

  length = read_proc(pid, "stat", stat, sizeof stat);
  after = length > 0 ? strrchr(stat, ')') : NULL;
  if (after == NULL) {
    tsh_err_set(&err, TSH_NOT_FOUND, "sys", ESRCH, "no process %d", (int)pid);
    return tsh_bind_fail(L, &err);
  }
  /* Field 22, counted from the state (3) that follows the name. */
  sscanf(after + 2,
         "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
         "%*s %*s %*s %*s %*s %llu",
         &born);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, state_name(after[2]));
  lua_setfield(L, -2, "state");
  lua_pushinteger(L, (lua_Integer)born);
  lua_setfield(L, -2, "start_time");
  length = read_proc(pid, "cmdline", command, sizeof command);
  for (ssize_t i = 0; i < length - 1; i++)
    if (command[i] == '\0')
      command[i] = ' ';
  lua_pushstring(L, length > 0 ? command : "");
  lua_setfield(L, -2, "command");
  return 1;
}

static const luaL_Reg functions[] = {{"spawn", sys_spawn},
                                     {"kill", sys_kill},
                                     {"process", sys_process},
                                     {NULL, NULL}};

void tsh_sys_register_processes(lua_State *L) {
  tsh_bind_class(L, &process_class);
  luaL_getmetatable(L, process_class.name);
  lua_getfield(L, -1, "__index");
  lua_pushcclosure(L, process_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
