/* The error value: filled once, at the lowest place that knows.
 *
 * Core functions return 0 or a negative kind; their last parameter is a
 * `tsh_err *err`, which may be NULL when the caller does not ask why.
 * Programming mistakes are asserts, never errors. */
#ifndef TRANSHIP_ERR_H
#define TRANSHIP_ERR_H

#include <stdbool.h>

typedef enum tsh_kind {
  TSH_OK = 0,
  TSH_INVALID = -1,     /* a value that cannot be meant */
  TSH_IO = -2,          /* the machine or the network failed */
  TSH_TIMEOUT = -3,     /* a deadline passed */
  TSH_CANCELED = -4,    /* somebody asked for an early end */
  TSH_NOT_FOUND = -5,   /* no such topic, group, file, ... */
  TSH_EXISTS = -6,      /* it is there already */
  TSH_AUTH = -7,        /* who we are was refused */
  TSH_DENIED = -8,      /* what we may do was refused */
  TSH_CONFLICT = -9,    /* somebody else holds or changed it */
  TSH_PROTOCOL = -10,   /* bytes that do not follow their format */
  TSH_NO_MEMORY = -11,  /* allocation failed or a memory limit was reached */
  TSH_READ_ONLY = -12,  /* a write through a handle that only reads */
  TSH_CLOSED = -13,     /* the handle or connection is closed */
  TSH_LIMIT = -14,      /* a stated bound would be passed */
  TSH_UNAVAILABLE = -15 /* the other side is not there at the moment */
} tsh_kind;

typedef struct tsh_err {
  tsh_kind kind;
  const char *origin; /* "kafka", "wire", "sys", "json", ...: static text */
  int code;           /* the native code: errno, Kafka error code, ... */
  bool retriable;     /* the same call may succeed later */
  bool fatal;         /* the handle is of no more use */
  char message[512];  /* one line, no trailing period, no secrets */
} tsh_err;

/* Fills `err` (unless NULL) and returns `kind`. printf-style, truncating. */
int tsh_err_set(tsh_err *err, tsh_kind kind, const char *origin, int code,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* As tsh_err_set, with kind, flags and text derived from `errno`'s value. */
int tsh_err_errno(tsh_err *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "timeout", "not found", ...: the word Lua sees as `err.kind`. */
const char *tsh_kind_name(tsh_kind kind);

#endif
