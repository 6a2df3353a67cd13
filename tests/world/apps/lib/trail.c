/* Writing a trail, and finding where an earlier start left off. */
#include "trail.h"

#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, LINE = 1024, TAIL = 1 << 20 };

struct trail {
  int fd;
  char cluster[64];
  size_t used;
  char buffer[BUFFER];
};

/* Cuts what follows the last newline: a kill may tear a write. */
static void cut_torn_line(int fd, const char *path) {
  char c;
  off_t size = lseek(fd, 0, SEEK_END), end = size;
  while (end > 0 && pread(fd, &c, 1, end - 1) == 1 && c != '\n')
    end--;
  if (end < size && ftruncate(fd, end))
    app_die("%s: %s", path, strerror(errno));
}

struct trail *trail_open(const char *path, const char *cluster) {
  struct trail *trail = calloc(1, sizeof *trail);
  if (!trail)
    app_die("out of memory");
  trail->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (trail->fd < 0)
    app_die("%s: %s", path, strerror(errno));
  snprintf(trail->cluster, sizeof trail->cluster, "%s", cluster);
  cut_torn_line(trail->fd, path);
  return trail;
}

void trail_flush(struct trail *trail) {
  size_t done = 0;
  while (done < trail->used) {
    ssize_t n = write(trail->fd, trail->buffer + done, trail->used - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      app_die("the trail cannot be written: %s", strerror(errno));
    done += (size_t)n;
  }
  trail->used = 0;
}

void trail_close(struct trail *trail) {
  trail_flush(trail);
  close(trail->fd);
  free(trail);
}

void trail_line(struct trail *trail, const char *format, ...) {
  va_list args;
  if (BUFFER - trail->used < LINE)
    trail_flush(trail);
  trail->used += (size_t)sprintf(trail->buffer + trail->used, "%" PRId64 " %s ",
                                 app_wall_ms(), trail->cluster);
  va_start(args, format);
  int n = vsnprintf(trail->buffer + trail->used, LINE / 2, format, args);
  va_end(args);
  if (n < 0 || n >= LINE / 2)
    app_die("a line of the trail is too long");
  trail->used += (size_t)n;
  trail->buffer[trail->used++] = '\n';
}

void trail_record(struct trail *trail, const char *verb, const char *topic,
                  int partition, int64_t offset, const struct stamp *stamp) {
  trail_line(trail,
             "%s %s %d %" PRId64 " %" PRId64 " %s %" PRId64 " %016" PRIx64,
             verb, topic, partition, offset, stamp->timestamp, stamp->key,
             stamp->seq, stamp->digest);
}

/* Reservations are frequent enough for the last one to be in the tail. */
int64_t trail_next(const char *path) {
  int64_t next = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  char *tail = calloc(1, TAIL + 1);
  if (!tail)
    app_die("out of memory");
  off_t end = lseek(fd, 0, SEEK_END);
  if (pread(fd, tail, TAIL, end > TAIL ? end - TAIL : 0) < 0)
    app_die("%s: %s", path, strerror(errno));
  for (char *at = tail; (at = strstr(at, " reserve ")) != NULL; at++)
    next = strtoll(at + sizeof " reserve " - 1, NULL, 10);
  if (next == 0 && end > TAIL)
    app_die("%s: where did it leave off?", path);
  free(tail);
  close(fd);
  return next;
}
