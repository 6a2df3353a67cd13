/* A shared library that is loaded when it is first needed: what it brings along
 * would cost every start of the program some milliseconds. */
#ifndef TRANSHIP_LIBRARY_H
#define TRANSHIP_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>

#include "tranship/err.h"

typedef struct tsh_library {
  const char *file;         /* "libsnappy.so.1" */
  const char *called;       /* "libsnappy" */
  const char *origin;       /* of its errors */
  const char *needed;       /* what helps where a function is missing, or "" */
  const char *const *names; /* of its functions; NULL ends them */
  void *table;              /* as many pointers to functions, in that order */
  void (*then)(void);       /* called when all are there, or NULL */
  pthread_mutex_t lock;
  bool is_tried;
  char why[256]; /* it cannot be used */
} tsh_library;

/* Before any of its functions is called; any thread. Later calls only give the
 * first one's result. */
int tsh_library__load(tsh_library *library, tsh_err *err);

#endif
