/* A feed of the lines of a descriptor: a pipe, a terminal, a file.
 *
 * libuv makes the descriptors it polls non-blocking, and that is a property of
 * the open file, which a terminal shares with the shell: so a terminal or pipe
 * is opened anew where the system can do that. Files cannot be polled, and
 * never block for long: they are read when somebody asks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "feed_int.h"

enum { MOST_ITEMS = 1000, CHUNK = 65536, LONGEST_LINE = 1 << 24 };

typedef struct lines {
  tsh_feed feed;
  uv_poll_t poll;
  uv_async_t again; /* a file's turn: reading goes on in the next round */
  bool is_file, is_polling;
  int fd;
  tsh_buf partial;
} lines;

static void split_lines(lines *l) {
  const char *begin = l->partial.data, *end = begin + l->partial.length;
  const char *feed_at;
  size_t used = 0;

  while ((feed_at = memchr(begin, '\n', (size_t)(end - begin))) != NULL) {
    size_t length = (size_t)(feed_at - begin);

    used += length + 1;
    tsh_feed__push(&l->feed, begin, length);
    begin = feed_at + 1;
  }
  tsh_buf_consume(&l->partial, used);
}

static void end(lines *l) {
  if (l->partial.length > 0)
    tsh_feed__push(&l->feed, l->partial.data, l->partial.length);
  tsh_buf_fini(&l->partial);
  tsh_feed__end(&l->feed);
}

/* Reads once; false when there will be no more. */
static bool read_some(lines *l) {
  char chunk[CHUNK];
  ssize_t n = read(l->fd, chunk, sizeof chunk);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return true;
  if (n > 0)
    tsh_buf_add(&l->partial, chunk, (size_t)n);
  if (n <= 0 || l->partial.failed) {
    end(l);
    return false;
  }
  split_lines(l);
  return true;
}

static void set_polling(lines *l, bool on);

static void readable(uv_poll_t *poll, int status, int events) {
  lines *l = poll->data;

  (void)events;
  if (status < 0)
    end(l);
  else if (read_some(l) && l->feed.count < MOST_ITEMS)
    return;
  set_polling(l, false);
}

static void set_polling(lines *l, bool on) {
  if (on == l->is_polling)
    return;
  l->is_polling = on;
  if (on)
    uv_poll_start(&l->poll, UV_READABLE | UV_DISCONNECT, readable);
  else
    uv_poll_stop(&l->poll);
}

static void file_turn(uv_async_t *again) {
  lines *l = again->data;

  while (!l->feed.is_ended && l->feed.waiter != NULL)
    read_some(l);
}

/* A poll that is on keeps the loop alive; that is wanted only while somebody
 * waits, so nothing is read ahead of the first question. */
static void lines_resume(tsh_feed *feed) {
  lines *l = (lines *)feed;

  if (feed->is_ended || feed->is_closed)
    return;
  if (l->is_file)
    uv_async_send(&l->again);
  else if (feed->count < MOST_ITEMS)
    set_polling(l, true);
}

static void lines_closed(uv_handle_t *handle) {
  lines *l = handle->data;

  close(l->fd);
  tsh_buf_fini(&l->partial);
  tsh_feed__free(&l->feed);
}

static void lines_stop(tsh_feed *feed) {
  lines *l = (lines *)feed;

  if (l->is_file)
    uv_close((uv_handle_t *)&l->again, lines_closed);
  else
    uv_close((uv_handle_t *)&l->poll, lines_closed);
}

/* A descriptor of our own for the same terminal or pipe, if there can be. */
static int own_descriptor(int fd) {
  char path[64];
  int own;

  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  own = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (own < 0)
    return fd;
  close(fd);
  return own;
}

int tsh_feed_lines(tsh_feed **out, tsh_loop *loop, int fd, tsh_err *err) {
  lines *l = tsh_feed__new(loop, sizeof *l);
  uv_loop_t *uv = tsh_loop_uv(loop);
  struct stat st;
  int rc;

  l->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  l->fd = l->is_file ? fd : own_descriptor(fd);
  l->feed.stop = lines_stop;
  l->feed.resume = lines_resume;
  l->poll.data = l->again.data = l;
  tsh_buf_init(&l->partial, LONGEST_LINE);
  rc = l->is_file ? UV_EPERM : uv_poll_init(uv, &l->poll, l->fd);
  if (rc == UV_EPERM) { /* also /dev/null: what no poll takes is like a file */
    l->is_file = true;
    rc = uv_async_init(uv, &l->again, file_turn);
  }
  if (rc != 0) {
    rc = tsh_err_errno(err, -rc, "read lines");
    close(l->fd);
    tsh_feed__free(&l->feed);
    return rc;
  }
  *out = &l->feed;
  return 0;
}
