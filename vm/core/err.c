/* Error values: filled once, at the lowest place that knows. */
#include "tranship/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    "ok",        "invalid", "io",     "timeout",     "canceled", "not found",
    "exists",    "auth",    "denied", "conflict",    "protocol", "no memory",
    "read only", "closed",  "limit",  "unavailable",
};

enum { KINDS = sizeof kind_names / sizeof kind_names[0] };

const char *tsh_kind_name(tsh_kind kind) {
  int index = -(int)kind;

  return index >= 0 && index < KINDS ? kind_names[index] : "unknown kind";
}

static void fill(tsh_err *err, tsh_kind kind, const char *origin, int code) {
  err->kind = kind;
  err->origin = origin;
  err->code = code;
  err->retriable = kind == TSH_TIMEOUT || kind == TSH_UNAVAILABLE;
  err->fatal = false;
}

int tsh_err_set(tsh_err *err, tsh_kind kind, const char *origin, int code,
                const char *format, ...) {
  va_list args;

  if (err == NULL)
    return kind;
  fill(err, kind, origin, code);
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return kind;
}

static tsh_kind errno_kind(int errnum) {
  switch (errnum) {
    case ENOENT:
    case ESRCH:
      return TSH_NOT_FOUND;
    case EEXIST:
      return TSH_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
      return TSH_DENIED;
    case EWOULDBLOCK:
    case EBUSY:
    case ENOTEMPTY:
      return TSH_CONFLICT;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return TSH_INVALID;
    case ENOMEM:
      return TSH_NO_MEMORY;
    case ETIMEDOUT:
      return TSH_TIMEOUT;
    case ECANCELED:
      return TSH_CANCELED;
    case EMFILE:
    case ENFILE:
    case EDQUOT:
    case EFBIG:
      return TSH_LIMIT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return TSH_UNAVAILABLE;
    case EPIPE:
    case EBADF:
      return TSH_CLOSED;
    default:
      return TSH_IO;
  }
}

int tsh_err_errno(tsh_err *err, int errnum, const char *format, ...) {
  tsh_kind kind = errno_kind(errnum);
  va_list args;
  int used;

  if (err == NULL)
    return kind;
  fill(err, kind, "sys", errnum);
  va_start(args, format);
  used = vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  if (used >= 0 && (size_t)used < sizeof err->message)
    snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s",
             strerror(errnum));
  return kind;
}
