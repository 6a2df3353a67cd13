/* Inboxes: a named pipe, read as bytes come, never waited for. */
#include "tranship/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tranship/buf.h"

enum {
  OWNER_ONLY = 0600,
  AT_ONCE = 4096,
  FLAGS = O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW
};

struct tsh_inbox {
  int fd;
  tsh_buf bytes;
  char *path;
};

static int no_pipe(const char *path, tsh_err *err) {
  return tsh_err_set(err, TSH_EXISTS, "secret", 0, "%s is no pipe of ours",
                     path);
}

/* Ours, and a pipe: a secret must never get into a file. */
static int check_pipe(int fd, const char *path, tsh_err *err) {
  struct stat seen;

  if (fstat(fd, &seen) != 0)
    return tsh_err_errno(err, errno, "%s", path);
  if (!S_ISFIFO(seen.st_mode) || seen.st_uid != geteuid())
    return no_pipe(path, err);
  return 0;
}

/* What a process that ended has left. */
static int make_room(const char *path, tsh_err *err) {
  struct stat seen;

  if (lstat(path, &seen) != 0)
    return errno == ENOENT ? 0 : tsh_err_errno(err, errno, "%s", path);
  if (!S_ISFIFO(seen.st_mode))
    return no_pipe(path, err);
  return unlink(path) == 0 ? 0 : tsh_err_errno(err, errno, "%s", path);
}

static void free_inbox(tsh_inbox *inbox) {
  if (inbox->fd >= 0)
    close(inbox->fd);
  tsh_buf_wipe(&inbox->bytes);
  free(inbox->path);
  free(inbox);
}

int tsh_inbox_open(tsh_inbox **out, const char *path, tsh_err *err) {
  tsh_inbox *inbox;
  int rc = make_room(path, err);

  if (rc != 0)
    return rc;
  inbox = calloc(1, sizeof *inbox);
  if (inbox == NULL || (inbox->path = strdup(path)) == NULL) {
    free(inbox);
    return tsh_err_set(err, TSH_NO_MEMORY, "secret", 0, "no memory");
  }
  tsh_buf_init(&inbox->bytes, TSH_HANDOVER_LARGEST);
  inbox->fd = -1;
  if (mkfifo(path, OWNER_ONLY) != 0)
    rc = tsh_err_errno(err, errno, "make %s", path);
  else if ((inbox->fd = open(path, O_RDONLY | FLAGS)) < 0)
    rc = tsh_err_errno(err, errno, "%s", path);
  else
    rc = check_pipe(inbox->fd, path, err);
  if (rc != 0) {
    free_inbox(inbox);
    return rc;
  }
  *out = inbox;
  return 0;
}

void tsh_inbox_close(tsh_inbox *inbox) {
  if (inbox == NULL)
    return;
  unlink(inbox->path);
  free_inbox(inbox);
}

static int as_secret(tsh_inbox *inbox, tsh_secret **out, tsh_err *err) {
  size_t length = inbox->bytes.length;
  int rc = tsh_secret_new(out, length, err);

  if (rc != 0)
    return rc;
  memcpy(tsh_secret_bytes(*out), inbox->bytes.data, length);
  tsh_secret_publish(*out);
  return 0;
}

int tsh_inbox_take(tsh_inbox *inbox, tsh_secret **out, tsh_err *err) {
  char some[AT_ONCE];
  int errnum = 0, rc = 0;
  ssize_t n;

  *out = NULL;
  while ((n = read(inbox->fd, some, sizeof some)) != 0) {
    errnum = n < 0 ? errno : 0;
    if (n > 0)
      tsh_buf_add(&inbox->bytes, some, (size_t)n);
    else if (errnum != EINTR)
      break;
  }
  explicit_bzero(some, sizeof some);
  if (n < 0)
    return errnum == EAGAIN /* its writer is at it */
               ? 0
               : tsh_err_errno(err, errnum, "read %s", inbox->path);
  if (inbox->bytes.failed)
    rc = tsh_err_set(err, TSH_LIMIT, "secret", 0, "%s: too large a message",
                     inbox->path);
  else if (inbox->bytes.length > 0)
    rc = as_secret(inbox, out, err);
  tsh_buf_wipe(&inbox->bytes);
  return rc;
}

static int put(int fd, const char *path, const void *bytes, size_t length,
               tsh_err *err) {
  int waiting = 0;
  ssize_t n;

  if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0) {
    tsh_err_set(err, TSH_CONFLICT, "secret", 0,
                "what was handed over at %s was not taken yet", path);
    if (err != NULL)
      err->retriable = true;
    return TSH_CONFLICT;
  }
  n = write(fd, bytes, length);
  if (n < 0)
    return tsh_err_errno(err, errno, "hand over at %s", path);
  if ((size_t)n != length)
    return tsh_err_set(err, TSH_LIMIT, "secret", 0,
                       "%s has no room for %zu bytes of secrets", path, length);
  return 0;
}

int tsh_handover_give(const char *path, const void *bytes, size_t length,
                      tsh_err *err) {
  int fd, rc;

  if (length > TSH_HANDOVER_LARGEST)
    return tsh_err_set(err, TSH_LIMIT, "secret", 0,
                       "%zu bytes of secrets are too many for %s", length,
                       path);
  fd = open(path, O_WRONLY | FLAGS);
  if (fd < 0 && (errno == ENXIO || errno == ENOENT))
    return tsh_err_set(err, TSH_NOT_FOUND, "secret", errno,
                       "nobody takes secrets at %s", path);
  if (fd < 0)
    return tsh_err_errno(err, errno, "%s", path);
  rc = check_pipe(fd, path, err);
  if (rc == 0)
    rc = put(fd, path, bytes, length, err);
  close(fd);
  return rc;
}
