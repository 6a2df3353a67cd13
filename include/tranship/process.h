/* Child processes.
 *
 * A process outlives its handle: closing lets go of it, and it is reaped when
 * it ends, as long as the loop is there. */
#ifndef TRANSHIP_PROCESS_H
#define TRANSHIP_PROCESS_H

#include <stdbool.h>

#include "tranship/err.h"
#include "tranship/loop.h"

typedef struct tsh_process tsh_process;

typedef struct tsh_spawn {
  char **args;        /* args[0] is looked up in PATH; ends with NULL */
  char **env;         /* the whole environment; NULL: ours */
  const char *cwd;    /* NULL: ours */
  const int *streams; /* stdin, stdout, stderr; -1: nothing there */
  const int *keep;    /* descriptors it inherits as 3, 4, ... */
  int keep_count;
  bool detached; /* a session of its own */
} tsh_spawn;

int tsh_process_start(tsh_process **out, tsh_loop *loop, const tsh_spawn *spawn,
                      tsh_err *err);
int tsh_process_pid(const tsh_process *process);
int tsh_process_kill(tsh_process *process, int number, tsh_err *err);
void tsh_process_close(tsh_process *process);

/* How it ended, if it has: exit code, or the signal that ended it. */
bool tsh_process_ended(const tsh_process *process, int64_t *code, int *number);

typedef struct tsh_process_op {
  tsh_op op;
  tsh_process *process;
  int64_t code;
  int number;
} tsh_process_op;

/* Starts waiting for the end; several may wait. */
tsh_process_op *tsh_process_wait(tsh_process *process);

#endif
