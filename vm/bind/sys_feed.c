/* vm.sys, events: signals, changes of files, lines from outside. All are feeds
 * with next(), which waits. */
#include "sys_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys.h"

typedef struct feed {
  tsh_feed *feed;
} feed;

static void feed_release(void *body) { tsh_feed_close(((feed *)body)->feed); }

static int push_next(lua_State *L, tsh_op *op) {
  tsh_feed_op *next = (tsh_feed_op *)op;

  if (next->item == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, next->item, next->length);
  return 1;
}

int tsh_sys_feed_next(lua_State *L, tsh_feed *from) {
  tsh_feed_op *next;
  char *item;
  size_t length;
  tsh_err err;
  int there = tsh_feed_take(from, &item, &length);

  if (there < 0) {
    lua_pushnil(L);
    return 1;
  }
  if (there > 0) {
    lua_pushlstring(L, item, length);
    free(item);
    return 1;
  }
  if (tsh_feed_next(&next, from, &err) != 0)
    return tsh_bind_fail(L, &err);
  return tsh_bind_await(L, &next->op, push_next);
}

static const tsh_class feed_class;

/* feed:next() -> item | nil at the end | nil, err. */
static int feed_next(lua_State *L) {
  feed *f = tsh_bind_check(L, 1, &feed_class);

  return tsh_sys_feed_next(L, f->feed);
}

static const luaL_Reg feed_methods[] = {{"next", feed_next}, {NULL, NULL}};

static const tsh_class feed_class = {"sys.feed", sizeof(feed), feed_release,
                                     feed_methods};

int tsh_sys_signal_number(lua_State *L, int index) {
  const char *name;

  if (lua_isinteger(L, index))
    return (int)lua_tointeger(L, index);
  name = luaL_checkstring(L, index);
  for (int i = 1; i < NSIG; i++) {
    const char *known = sigabbrev_np(i);

    if (known != NULL && strcmp(known, name) == 0)
      return i;
  }
  return luaL_error(L, "no signal '%s'", name);
}

/* signals{ "INT", "TERM" } -> feed of names. */
static int sys_signals(lua_State *L) {
  int numbers[NSIG + 1] = {0};
  feed *f;
  tsh_err err;

  luaL_checktype(L, 1, LUA_TTABLE);
  for (int i = 0; i < NSIG && lua_rawgeti(L, 1, i + 1) != LUA_TNIL; i++) {
    numbers[i] = tsh_sys_signal_number(L, -1);
    lua_pop(L, 1);
  }
  f = tsh_bind_new(L, &feed_class);
  if (tsh_feed_signals(&f->feed, tsh_bind_loop(L), numbers, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, f);
  return 1;
}

/* watch(path) -> feed of the names of what changed there. */
static int sys_watch(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  feed *f = tsh_bind_new(L, &feed_class);
  tsh_err err;

  if (tsh_feed_watch(&f->feed, tsh_bind_loop(L), path, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, f);
  return 1;
}

/* stdin_lines() -> feed of the lines of standard input. */
static int sys_stdin_lines(lua_State *L) {
  feed *f = tsh_bind_new(L, &feed_class);
  int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  tsh_err err;

  if (fd < 0)
    return tsh_sys_fail(L, "read", "standard input");
  if (tsh_feed_lines(&f->feed, tsh_bind_loop(L), fd, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, f);
  return 1;
}

static const luaL_Reg functions[] = {{"signals", sys_signals},
                                     {"watch", sys_watch},
                                     {"stdin_lines", sys_stdin_lines},
                                     {NULL, NULL}};

void tsh_sys_register_feeds(lua_State *L) {
  tsh_bind_class(L, &feed_class);
  luaL_setfuncs(L, functions, 0);
}
